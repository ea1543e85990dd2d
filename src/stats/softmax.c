#include "stats/softmax.h"

#include <math.h>

double eh_log_sum_exp(const double *x, int64_t n)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            return x[i];
        if (x[i] > max)
            max = x[i];
    }
    if (isinf(max))
        return max; /* -inf: nothing there; +inf: nothing else counts */
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i] - max);
    return max + log(sum);
}

int eh_log_softmax(const double *x, int64_t n, double *out, eh_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (isnan(x[i]) || x[i] == INFINITY)
            return eh_fail(err, EH_ENUMERIC, "log-probability %lld of %lld is %g", (long long)i, (long long)n, x[i]);
    const double total = eh_log_sum_exp(x, n);
    if (isinf(total))
        return eh_fail(err, EH_ENUMERIC, "all of %lld log-probabilities are minus infinity: nothing to renormalise",
                       (long long)n);
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i] - total;
    return EH_OK;
}

int eh_softmax(const double *x, int64_t n, double *out, eh_err *err)
{
    const int rc = eh_log_softmax(x, n, out, err);
    for (int64_t i = 0; rc == EH_OK && i < n; i++)
        out[i] = exp(out[i]);
    return rc;
}
