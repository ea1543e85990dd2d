/*
 * Norms of rows.
 *
 *     RMS     h_i = x_i / sqrt(mean(x^2) + eps) * w_i           Zhang and Sennrich 2019 (arXiv 1910.07467), eq. 4
 *     layer   h_i = (x_i - mean(x)) / sqrt(var(x) + eps) * w_i + b_i    Ba et al. 2016 (arXiv 1607.06450), eq. 4
 *
 * Gemma's (1 + w) is RMS with another weight, whose gradient is the same (eh_norm_weight). The gradients and what the
 * rules hold constant stand with the kernels (backend/simd.h). A row's result depends on that row alone.
 */
#ifndef EH_OP_NORM_H
#define EH_OP_NORM_H

#include "arch/arch.h"
#include "backend/simd.h"
#include "op/row_blocks.h"
#include "op/rules.h"

typedef struct eh_norm_op {
    const eh_simd *simd;
    int n_thread;
    eh_norm_kind kind;
    double eps;
    int64_t n;       /* channels of a row */
    const float *w;  /* [n] as they take part: eh_norm_weight */
    const float *b;  /* [n]; NULL: none */
} eh_norm_op;

/* w as the kernels take it: itself, or 1 + w in room [n]. */
const float *eh_norm_weight(eh_norm_kind kind, const float *w, int64_t n, float *room);

/* One row: x [n] += delta [n] (unless NULL); out [n], which may be x, is its norm. False: x is not finite. */
bool eh_norm_row(const eh_norm_op *o, float *x, const float *delta, float *out);
/* dx [n], which may be g, from g = d/d(out). In *mean and *scale, what w is multiplied with is (x - mean) scale.
 * False: g is not finite. */
bool eh_norm_row_back(const eh_norm_op *o, const eh_rule_set *r, const float *x, const float *g, float *dx, float *mean,
                      float *scale);

/* x [n_row, n] += delta (unless NULL); out [n_row, n] = the norm of x, float or (to EH_BF16) bfloat16, by room
 * [n_thread, n]. Returns a row that is not finite; -1: there is none. */
int64_t eh_norm_run(const eh_norm_op *o, float *x, const float *delta, int64_t n_row, eh_precision to, float *room,
                    void *out);
/* The same of rows that are as they are, in f32. */
int64_t eh_norm_again(const eh_norm_op *o, const float *x, int64_t n_row, float *out);

/* Where what goes back is put. */
typedef struct eh_norm_grad {
    float *dx;      /* [n_row, n] */
    bool add;       /* it is added there; else it takes the place of what is there, and dx may be g */
    float *dw, *db; /* [n] added to; NULL: not wanted */
    float *room;    /* [n_thread, n] */
    double *part;   /* [row blocks, 2 n] where dw or db is wanted */
} eh_norm_grad;

/* x [n_row, n] before the norm, g [n_row, n] = d/d(out). Returns a row whose gradient is not finite; -1: none. */
int64_t eh_norm_back(const eh_norm_op *o, const eh_rule_set *r, const float *x, const float *g, int64_t n_row,
                     const eh_norm_grad *to);

#endif
