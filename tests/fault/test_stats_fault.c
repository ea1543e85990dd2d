/* Every allocation of the stats room fails in turn: each call then says so and leaves its outputs alone. */
#include "check.h"

#include <string.h>

#include "base/mem.h"
#include "stats/correlation.h"
#include "stats/multiple.h"
#include "stats/paired.h"

enum { N = 48, UNITS = 5 };

typedef struct data {
    float x[N * UNITS];
    double y[N];
    int32_t group[N];
    eh_sample s;
} data;

static data make(void)
{
    data d;
    for (int i = 0; i < N; i++) {
        d.y[i] = i * i % 11;
        d.group[i] = i / 4;
        for (int u = 0; u < UNITS; u++)
            d.x[i * UNITS + u] = (float)(i * (i + u) % 13);
    }
    return d;
}

typedef int work(data *d, eh_err *err);

/* Fails the k-th allocation for k = 1, 2, ... until the work needs no more; returns how many it needs. */
static int64_t fail_each(work *w)
{
    data d = make();
    d.s = (eh_sample){d.x, d.y, d.group, d.group, N, UNITS};
    for (int64_t k = 1;; k++) {
        eh_err err = {0};
        eh_mem_fail_after(k);
        const int rc = w(&d, &err);
        const int64_t count = eh_mem_count();
        eh_mem_fail_after(0);
        if (count < k) {
            CHECK_OK(rc);
            return count;
        }
        CHECK_FAILS(rc, EH_ENOMEM, "memory");
        CHECK(k < 1000);
    }
}

static int correlate(data *d, eh_err *err)
{
    eh_correlation c[UNITS] = {{.p = 7}};
    int64_t n_constant = 7;
    const eh_correlate_options options = {.n_permutation = 99, .n_bootstrap = 9, .n_thread = 2};
    const int rc = eh_correlate(&d->s, &options, c, &n_constant, err);
    CHECK(rc == EH_OK || (c[0].p == 7 && n_constant == 7));
    return rc;
}

static int split(data *d, eh_err *err)
{
    eh_reliability e = {.half = 7};
    const eh_halves_options options = {.n_split = 9, .within = true, .n_thread = 2};
    const int rc = eh_split_half(&d->s, &options, &e, err);
    CHECK(rc == EH_OK || e.half == 7);
    return rc;
}

static int within(data *d, eh_err *err)
{
    double r[UNITS] = {7};
    const int rc = eh_correlate_within(d->x, d->y, d->group, N, UNITS, r, err);
    CHECK(rc == EH_OK || r[0] == 7);
    return rc;
}

static int columns(data *d, eh_err *err)
{
    eh_map_agreement m = {.r = 7};
    double y[N], auc = 7;
    bool positive[N];
    for (int i = 0; i < N; i++) {
        y[i] = (double)d->x[i];
        positive[i] = i % 3 == 0;
    }
    int rc = eh_map_correlation(d->y, y, N, &m, err);
    CHECK(rc == EH_OK || m.r == 7);
    if (rc == EH_OK) {
        rc = eh_auc(y, positive, N, &auc, err);
        CHECK(rc == EH_OK || auc == 7);
    }
    return rc;
}

static int tests(data *d, eh_err *err)
{
    eh_paired e = {.p = 7};
    double p[2] = {0.5, 0.1};
    int rc = eh_sign_flip(d->y, d->group, N, &(eh_paired_options){.n_flip = 9}, &e, err);
    CHECK(rc == EH_OK || e.p == 7);
    if (rc == EH_OK) {
        rc = eh_bh(p, 2, p, err);
        CHECK(rc == EH_OK || (p[0] == 0.5 && p[1] == 0.1));
    }
    return rc;
}

TEST(statistics_without_memory_say_so)
{
    CHECK(fail_each(correlate) >= 5);
    CHECK(fail_each(split) >= 1);
    CHECK(fail_each(within) >= 1);
    CHECK(fail_each(columns) >= 3);
    CHECK(fail_each(tests) >= 2);
}
