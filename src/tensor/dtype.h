/*
 * Stored numbers: what types a weight file may hold, and their way to float32.
 *
 *     const eh_dtype_info *t = eh_dtype_get(EH_DTYPE_Q4_1);
 *     int64_t bytes = n / t->block * t->bytes;
 *     eh_dtype_to_f32(EH_DTYPE_Q4_1, stored, n, out);       exact: the one value the bytes stand for
 *
 * Quantised types store blocks: `block` numbers in `bytes` bytes. A row always holds whole blocks.
 */
#ifndef EH_TENSOR_DTYPE_H
#define EH_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef enum eh_dtype {
    EH_DTYPE_F32,
    EH_DTYPE_F16,
    EH_DTYPE_BF16,
    EH_DTYPE_Q4_0,
    EH_DTYPE_Q4_1,
    EH_DTYPE_Q5_0,
    EH_DTYPE_Q5_1,
    EH_DTYPE_Q8_0,
    EH_DTYPE_Q4_K,
    EH_DTYPE_Q5_K,
    EH_DTYPE_Q6_K,
    EH_DTYPE_F64,
    EH_DTYPE_I32,
    EH_DTYPE_I64,
    EH_DTYPE_U8,   /* safetensors only, as BOOL */
    EH_DTYPE_BOOL, /* a byte, 0 or 1; older GPT-2 files keep their causal mask this way */
    EH_DTYPE_COUNT
} eh_dtype;

typedef struct eh_dtype_info {
    const char *name;        /* "Q4_1" */
    const char *safetensors; /* its name there, or NULL */
    int gguf;                /* its ggml type number, or -1 */
    int64_t block;           /* numbers in a block */
    int64_t bytes;           /* bytes of a block */
} eh_dtype_info;

const eh_dtype_info *eh_dtype_get(eh_dtype t);
/* Finds the type by its number in GGUF, or by its name in safetensors; false when unknown. */
bool eh_dtype_of_gguf(uint32_t number, eh_dtype *t);
bool eh_dtype_of_safetensors(eh_str name, eh_dtype *t);
/* The ggml name of a type number we may not be able to read ("IQ2_XXS"), for messages; "type 99". */
const char *eh_dtype_gguf_name(uint32_t number, char room[16]);

/* n numbers (whole blocks) from stored bytes; any alignment. Exact for every type but F64, I32 and
 * I64, which are rounded to the nearest. In blocks the scale is multiplied in f32 first, then the
 * minimum added or taken away: the order of ggml, so the same bits as gguf-py gives. */
void eh_dtype_to_f32(eh_dtype t, const void *stored, int64_t n, float *out);
/* n floats to bfloat16, rounded to nearest even; NaN stays NaN (a quiet one). */
void eh_f32_to_bf16(const float *x, int64_t n, uint16_t *out);
void eh_bf16_to_f32(const uint16_t *x, int64_t n, float *out);
/*
 * The other way (quantise.c). _from_f32 makes n stored numbers (whole blocks) of floats, to nearest
 * even for the plain types. _update makes stored numbers follow x and spares what it can: blocks that
 * stand for x already keep their bytes; another block keeps its scales (a K type's sub-blocks that
 * changed may take others) and has the numbers rounded to their grid, so that neighbours of a changed
 * number stay as they are; where that costs more than twice the error (root mean square) of the better
 * of two others, that one is taken: its scales multiplied (exact but for their rounding to f16, and
 * exactly zero for zeros), or quantised anew. Integers are rounded and clipped.
 */
void eh_dtype_from_f32(eh_dtype t, const float *x, int64_t n, void *stored);
void eh_dtype_update(eh_dtype t, const float *x, int64_t n, void *stored);
float eh_f16_to_f32_one(uint16_t h);
uint16_t eh_f32_to_f16_one(float x); /* nearest even; beyond 65520: infinity; NaN stays NaN */

#endif
