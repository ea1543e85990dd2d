#include "stats/pareto.h"

#include <math.h>

static int check(const double *point, int64_t n, int64_t k, eh_err *err)
{
    if (n < 1 || k < 1)
        return eh_fail(err, EH_EINVAL, "a Pareto front of %lld points with %lld objectives", (long long)n,
                       (long long)k);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            if (isnan(point[i * k + j]))
                return eh_fail(err, EH_ENUMERIC, "objective %lld of point %lld is not a number", (long long)j,
                               (long long)i);
    return EH_OK;
}

/* a is as good as b in every objective and better in one. */
static bool dominates(const double *a, const double *b, int64_t k)
{
    bool better = false;
    for (int64_t j = 0; j < k; j++) {
        if (a[j] > b[j])
            return false;
        better = better || a[j] < b[j];
    }
    return better;
}

int eh_pareto(const double *point, int64_t n, int64_t k, bool *on_front, eh_err *err)
{
    const int rc = check(point, n, k, err);
    if (rc < 0)
        return rc;
    for (int64_t i = 0; i < n; i++) {
        on_front[i] = true;
        for (int64_t other = 0; other < n && on_front[i]; other++)
            on_front[i] = !dominates(point + other * k, point + i * k, k);
    }
    return EH_OK;
}

/* The first objective that differs decides. */
static bool comes_before(const double *a, const double *b, int64_t k)
{
    for (int64_t j = 0; j < k; j++)
        if (a[j] != b[j])
            return a[j] < b[j];
    return false;
}

int eh_pareto_choose(const double *point, int64_t n, int64_t k, const double *ceiling, int64_t *chosen, eh_err *err)
{
    const int rc = check(point, n, k, err);
    if (rc < 0)
        return rc;
    for (int64_t j = 0; j < k; j++)
        if (isnan(ceiling[j]))
            return eh_fail(err, EH_ENUMERIC, "the ceiling of objective %lld is not a number; INFINITY sets none",
                           (long long)j);
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        bool within = true;
        for (int64_t j = 0; j < k; j++)
            within = within && point[i * k + j] <= ceiling[j];
        if (within && (best < 0 || comes_before(point + i * k, point + best * k, k)))
            best = i;
    }
    *chosen = best;
    return EH_OK;
}
