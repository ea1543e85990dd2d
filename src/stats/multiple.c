#include "stats/multiple.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

typedef struct test {
    double p;
    int64_t at;
} test;

static int compare(const void *a, const void *b)
{
    const double x = ((const test *)a)->p, y = ((const test *)b)->p;
    return (x > y) - (x < y);
}

/*
 * Benjamini and Hochberg 1995: reject the k smallest, k the last rank with p_(k) <= k a / n. The least a
 * at which the test of rank i is among them:
 *
 *     q_(i) = min over k >= i of n p_(k) / k
 */
int eh_bh(const double *p, int64_t n, double *q, eh_err *err)
{
    if (n < 1)
        return eh_fail(err, EH_EINVAL, "q-values of %lld tests; at least one is needed", (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (!(p[i] >= 0 && p[i] <= 1))
            return eh_fail(err, EH_ERANGE, "p of test %lld is %g; it must lie in 0 to 1", (long long)i, p[i]);

    eh_arena mem = {0};
    test *order = eh_new(&mem, test, n);
    if (order == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the order of %lld tests", (long long)n);
    for (int64_t i = 0; i < n; i++)
        order[i] = (test){p[i], i};
    qsort(order, (size_t)n, sizeof *order, compare);
    double least = 1; /* n p_(n) / n is never more */
    for (int64_t k = n; k >= 1; k--) {
        least = fmin(least, (double)n * order[k - 1].p / (double)k);
        q[order[k - 1].at] = least;
    }
    eh_arena_clear(&mem);
    return EH_OK;
}
