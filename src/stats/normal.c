#include "stats/normal.h"

#include <math.h>

double eh_normal_cdf(double z)
{
    /* erfc keeps its relative precision far out in the lower tail, where 1 + erf has none. */
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

double eh_normal_quantile(double p)
{
    if (!(p >= 0 && p <= 1))
        return NAN;
    if (p == 0 || p == 1)
        return p == 0 ? -INFINITY : INFINITY;
    if (p == 0.5)
        return 0;
    if (p > 0.5)
        return -eh_normal_quantile(1 - p);
    double low = -40, high = 0; /* the smallest positive double is P(Z <= -38.5) */
    for (;;) {
        const double mid = 0.5 * (low + high);
        if (mid <= low || mid >= high)
            return high;
        if (eh_normal_cdf(mid) < p)
            low = mid;
        else
            high = mid;
    }
}
