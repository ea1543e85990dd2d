/*
 * Linears, y = W x + b: what goes back to their weights. (Products themselves are the backend's, and what goes back to
 * x is a product with W as it is in force: model/linear.c.) All rules agree: the bias has no part in relevance, and
 *
 *     dW = dy^T x        db = sum of dy's rows        dx = dy W
 */
#ifndef EH_OP_AFFINE_H
#define EH_OP_AFFINE_H

#include "backend/backend.h"

/* y [n_row, n_out] += b [n_out] on each row. */
void eh_linear_add_bias(float *y, int64_t n_row, int64_t n_out, const float *b);

/* dw [n_out, n_in] += dy^T x and db [n_out] += the sum of dy's rows, where they are wanted (not NULL).
 * dy [n_row, n_out], x [n_row, n_in]; sums in double, in the order of the rows. */
int eh_linear_weight_back(eh_backend *backend, const float *dy, int64_t n_out, const float *x, int64_t n_in,
                          int64_t n_row, float *dw, float *db, eh_err *err);

#endif
