/*
 * A tensor as it lies in a weight file: a view, never a copy.
 *
 * Row-major; the last dimension is contiguous. Linear weights are [out, in] in both safetensors and
 * GGUF (GGUF writes its dimensions the other way round; the reader turns them).
 */
#ifndef EH_TENSOR_TENSOR_H
#define EH_TENSOR_TENSOR_H

#include "tensor/dtype.h"

#define EH_DIM_MAX 4

typedef struct eh_tensor {
    const char *name; /* NUL-terminated; lives as long as the file it came from */
    eh_dtype dtype;
    int n_dim;                /* 0 (a scalar) to EH_DIM_MAX */
    int64_t dim[EH_DIM_MAX];  /* outermost first */
    const char *data;         /* [n_byte] in the mapped file; any alignment */
    int64_t n_byte;
    int file;        /* which of the source's files (shards) it lies in */
    int64_t offset;  /* where, in bytes from that file's start */
} eh_tensor;

int64_t eh_tensor_count(const eh_tensor *t); /* numbers in it */
int64_t eh_tensor_row_bytes(const eh_tensor *t); /* bytes of one row (last dimension) */
/* Rows [row, row + n_row) of a tensor seen as [count / last dim, last dim], to f32.
 * The caller guarantees the range. */
void eh_tensor_rows(const eh_tensor *t, int64_t row, int64_t n_row, float *out);

#endif
