/* Rows of a batch in blocks: the unit of work of the elementwise operations. A block's sums are its own, so that what
 * is summed over rows does not depend on the number of threads. */
#ifndef EH_OP_ROW_BLOCKS_H
#define EH_OP_ROW_BLOCKS_H

#include <stdint.h>

#define EH_ROW_BLOCK 16

static inline int64_t eh_row_blocks(int64_t n)
{
    return (n + EH_ROW_BLOCK - 1) / EH_ROW_BLOCK;
}

static inline int64_t eh_row_block_end(int64_t block, int64_t n)
{
    const int64_t end = (block + 1) * EH_ROW_BLOCK;
    return end < n ? end : n;
}

/* dw[n] += the sums part [n_block, ld] of row blocks, at `at` of each, in their order. */
void eh_row_blocks_add(const double *part, int64_t n_block, int64_t ld, int64_t at, int64_t n, float *dw);

#endif
