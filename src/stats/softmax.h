/*
 * Log-sum-exp and softmax of a few log-probabilities, in double.
 *
 *     double p[3];
 *     rc = eh_log_softmax(lp, 3, lp_norm, err);
 *     rc = eh_softmax(lp, 3, p, err);
 *
 * Both subtract the largest entry first, so entries of any size neither overflow nor all vanish.
 */
#ifndef EH_STATS_SOFTMAX_H
#define EH_STATS_SOFTMAX_H

#include <stdint.h>

#include "base/err.h"

/* ln sum_i exp(x[i]); -inf for n == 0 and where all entries are -inf, NaN where one is NaN. */
double eh_log_sum_exp(const double *x, int64_t n);

/* out[i] = x[i] - ln sum_j exp(x[j]). x and out may be the same. EH_ENUMERIC where an entry is NaN
 * or +inf, or where all are -inf (then there is nothing to renormalise). */
int eh_log_softmax(const double *x, int64_t n, double *out, eh_err *err);
int eh_softmax(const double *x, int64_t n, double *out, eh_err *err);

#endif
