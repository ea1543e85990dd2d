/* The standard normal distribution, for intervals. */
#ifndef EH_STATS_NORMAL_H
#define EH_STATS_NORMAL_H

/* P(Z <= z). */
double eh_normal_cdf(double z);
/* The z with P(Z <= z) = p; -inf at 0, +inf at 1, NaN outside 0..1. Exact to the last few bits,
 * by bisection: for a handful of calls per interval, not for inner loops. */
double eh_normal_quantile(double p);

#endif
