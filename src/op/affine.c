#include "op/affine.h"

#include <stddef.h>

#include "base/par.h"

#define BIAS_COLS 64 /* columns of a work item that sums rows */

void eh_linear_add_bias(float *y, int64_t n_row, int64_t n_out, const float *b)
{
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t o = 0; o < n_out; o++)
            y[i * n_out + o] += b[o];
}

typedef struct bias_job {
    const float *dy;
    int64_t n_row, n_out;
    float *db;
} bias_job;

static void bias_cols(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const bias_job *j = ctx;
    const int64_t from = i * BIAS_COLS, n = j->n_out - from < BIAS_COLS ? j->n_out - from : BIAS_COLS;
    double sum[BIAS_COLS] = {0};
    for (int64_t r = 0; r < j->n_row; r++)
        for (int64_t c = 0; c < n; c++)
            sum[c] += (double)j->dy[r * j->n_out + from + c];
    for (int64_t c = 0; c < n; c++)
        j->db[from + c] += (float)sum[c];
}

int eh_linear_weight_back(eh_backend *backend, const float *dy, int64_t n_out, const float *x, int64_t n_in,
                          int64_t n_row, float *dw, float *db, eh_err *err)
{
    if (db != NULL) {
        bias_job j = {dy, n_row, n_out, db};
        eh_par_for(backend->n_thread, (n_out + BIAS_COLS - 1) / BIAS_COLS, bias_cols, &j);
    }
    if (dw == NULL)
        return EH_OK;
    const eh_gemm g = {
        .trans_a = true,
        .m = n_out, .n = n_in, .k = n_row,
        .a = dy, .lda = n_out,
        .b = x, .ldb = n_in,
        .beta = 1.0f,
        .c = dw, .ldc = n_in,
    };
    return eh_backend_gemm(backend, &g, err);
}
