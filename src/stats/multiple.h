/*
 * Many tests at once.
 *
 *     rc = eh_bh(p, n_head * n_category, q, err);
 *     found = q[i] <= 0.05: of all that are found so, 5 % are false on average
 */
#ifndef EH_STATS_MULTIPLE_H
#define EH_STATS_MULTIPLE_H

#include <stdint.h>

#include "base/err.h"

/*
 * Benjamini and Hochberg's q-values (JRSS B 57, 1995): q <= a exactly where their procedure at level a
 * rejects. In the order of p, never below it, equal where p is equal.
 *
 * in       p [n]; out q [n], which may be p itself
 * Errors   EH_EINVAL n < 1; EH_ERANGE a p that does not lie in 0..1 (NaN included), the message says
 *          which; EH_ENOMEM
 */
int eh_bh(const double *p, int64_t n, double *q, eh_err *err);

#endif
