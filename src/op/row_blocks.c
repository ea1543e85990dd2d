#include "op/row_blocks.h"

void eh_row_blocks_add(const double *part, int64_t n_block, int64_t ld, int64_t at, int64_t n, float *dw)
{
    for (int64_t c = 0; c < n; c++) {
        double sum = 0.0;
        for (int64_t i = 0; i < n_block; i++)
            sum += part[i * ld + at + c];
        dw[c] += (float)sum;
    }
}
