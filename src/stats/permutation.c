#include "stats/permutation.h"

#include <math.h>

#include "base/par.h"
#include "base/rng.h"

#define LANES 4  /* units in a panel, and permutations in a pack: 16 sums stay in registers */
#define BLOCK 64 /* permutations of one call of the parallel loop; their packs fit the second cache */

/* |c| <= 1; sums of the same products in another order differ by less than this, and must count as ties. */
#define TIE 1e-10

typedef struct look {
    const eh_groups *strata;
    const double *y; /* [n_item] the measure stratum by stratum, about the strata's means, of length 1 */
    int64_t n_item;
    double *panel; /* [n_panel, n_item, LANES] units, likewise */
    int64_t n_panel;
    double *found;  /* [n_panel * LANES] |c| of the measure as it is */
    double *pack;   /* [n_thread, BLOCK / LANES, n_item, LANES] permuted measures */
    int64_t *count; /* [n_thread, n_panel * LANES] permutations as far out */
    uint64_t seed;
    int64_t from, to; /* permutations of this look */
} look;

/* c[p][u] = sum over items of permutation p's y times unit u's x. */
static void products(const double *y, const double *x, int64_t n, double c[LANES][LANES])
{
    double sum[LANES][LANES] = {{0}};
    for (int64_t i = 0; i < n; i++)
        for (int p = 0; p < LANES; p++)
            for (int u = 0; u < LANES; u++)
                sum[p][u] += y[i * LANES + p] * x[i * LANES + u];
    for (int p = 0; p < LANES; p++)
        for (int u = 0; u < LANES; u++)
            c[p][u] = sum[p][u];
}

/* Permutation b of the measure, into one lane of a pack [n_item, LANES]: Fisher and Yates's shuffle in each stratum. */
static void permute(const look *l, int64_t b, double *lane)
{
    eh_rng r = eh_rng_at(l->seed, "permutation", (uint64_t)b);
    for (int64_t i = 0; i < l->n_item; i++)
        lane[i * LANES] = l->y[i];
    for (int64_t g = 0; g < l->strata->n; g++) {
        const int64_t begin = l->strata->begin[g], end = l->strata->begin[g + 1];
        for (int64_t i = end - 1; i > begin; i--) {
            const int64_t j = begin + eh_rng_below(&r, i - begin + 1);
            const double t = lane[i * LANES];
            lane[i * LANES] = lane[j * LANES];
            lane[j * LANES] = t;
        }
    }
}

static void one_block(void *ctx, int64_t i, int worker)
{
    const look *l = ctx;
    const int64_t from = l->from + i * BLOCK, to = from + BLOCK < l->to ? from + BLOCK : l->to;
    double *pack = l->pack + l->n_item * BLOCK * worker;
    int64_t *count = l->count + worker * l->n_panel * LANES;
    double c[LANES][LANES];

    for (int64_t b = from; b < to; b++)
        permute(l, b, pack + (b - from) / LANES * LANES * l->n_item + (b - from) % LANES);
    for (int64_t k = 0; k < l->n_panel; k++)
        for (int64_t b = from; b < to; b += LANES) {
            products(pack + (b - from) * l->n_item, l->panel + k * l->n_item * LANES, l->n_item, c);
            for (int p = 0; p < LANES && b + p < to; p++)
                for (int u = 0; u < LANES; u++)
                    count[k * LANES + u] += fabs(c[p][u]) >= l->found[k * LANES + u] - TIE;
        }
}

/*
 * The units listed, in panels: about the strata's means and of length 1, so that c is r within strata
 * and its expectation over permutations is 0. A unit that varies between strata only is 0 throughout,
 * and every permutation ties with it: p = 1.
 */
static void make_panels(const eh_sample *s, const int32_t *unit, int64_t n, look *l)
{
    l->n_panel = (n + LANES - 1) / LANES;
    for (int64_t i = 0; i < l->n_panel * LANES * l->n_item; i++)
        l->panel[i] = 0;
    for (int64_t k = 0; k < n; k++) {
        double *x = l->panel + k / LANES * LANES * l->n_item + k % LANES, xx = 0;
        for (int64_t g = 0; g < l->strata->n; g++) {
            const int64_t begin = l->strata->begin[g], end = l->strata->begin[g + 1];
            double mean = 0;
            for (int64_t i = begin; i < end; i++)
                mean += x[i * LANES] = (double)s->x[l->strata->item[i] * s->n_unit + unit[k]];
            mean /= (double)(end - begin);
            for (int64_t i = begin; i < end; i++) {
                x[i * LANES] -= mean;
                xx += x[i * LANES] * x[i * LANES];
            }
        }
        for (int64_t i = 0; i < l->n_item && xx > 0; i++)
            x[i * LANES] /= sqrt(xx);
    }
    for (int p = 0; p < LANES; p++)
        for (int64_t i = 0; i < l->n_item; i++)
            l->pack[i * LANES + p] = l->y[i];
    for (int64_t k = 0; k < l->n_panel; k++) {
        double c[LANES][LANES];
        products(l->pack, l->panel + k * l->n_item * LANES, l->n_item, c);
        for (int u = 0; u < LANES; u++)
            l->found[k * LANES + u] = fabs(c[0][u]);
    }
}

/* The measure in the order of the strata, about their means, of length 1. */
static void make_measure(const eh_sample *s, const eh_groups *strata, const eh_map_work *w, double *y)
{
    double yy = 0;
    eh_centre_by(s->y, strata->item, s->n_item, strata->of, strata->n, w);
    for (int64_t i = 0; i < s->n_item; i++)
        yy += w->y[i] * w->y[i];
    for (int64_t i = 0; i < s->n_item; i++)
        y[i] = w->y[i] / sqrt(yy);
}

int eh_permutation_p(const eh_sample *s, const eh_groups *strata, const int32_t *unit, int64_t n, uint64_t seed,
                     int64_t n_permutation, int n_thread, eh_correlation *out, eh_err *err)
{
    const int64_t looks[] = {n_permutation, 10 * (n_permutation + 1) - 1, 20 * (n_permutation + 1) - 1};
    const int64_t n_item = s->n_item, n_slot = (n + LANES - 1) / LANES * LANES;
    int rc = EH_OK;
    eh_arena mem = {0};
    eh_map_work w;
    look l = {.strata = strata, .n_item = n_item, .seed = seed};

    double *y = eh_new(&mem, double, n_item);
    int32_t *left = eh_new(&mem, int32_t, n);
    int64_t *seen = eh_new(&mem, int64_t, s->n_unit);
    l.panel = eh_new(&mem, double, n_slot * n_item);
    l.found = eh_new(&mem, double, n_slot);
    l.pack = n_item > INT64_MAX / BLOCK / n_thread ? NULL : eh_new(&mem, double, n_item * BLOCK * n_thread);
    l.count = eh_new(&mem, int64_t, n_thread * n_slot);
    if (y == NULL || left == NULL || seen == NULL || l.panel == NULL || l.found == NULL || l.pack == NULL ||
        l.count == NULL || !eh_map_work_make(&mem, n_item, strata->n, 1, &w)) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a permutation test of %lld units on %lld items", (long long)n,
                     (long long)n_item);
        goto done;
    }
    make_measure(s, strata, &w, y);
    l.y = y;
    for (int64_t k = 0; k < n; k++)
        left[k] = unit[k];

    int64_t n_left = n;
    for (int i = 0; i < 3 && n_left > 0; i++) {
        l.from = l.to;
        l.to = looks[i];
        make_panels(s, left, n_left, &l);
        for (int64_t k = 0; k < n_thread * l.n_panel * LANES; k++)
            l.count[k] = 0;
        eh_par_for(n_thread, (l.to - l.from + BLOCK - 1) / BLOCK, one_block, &l);
        int64_t n_few = 0;
        for (int64_t k = 0; k < n_left; k++) {
            const int32_t u = left[k];
            for (int t = 0; t < n_thread; t++)
                seen[u] += l.count[t * l.n_panel * LANES + k];
            out[u].p = (1 + (double)seen[u]) / ((double)l.to + 1);
            out[u].n_permutation = l.to;
            if (seen[u] < EH_PERMUTATION_FEW)
                left[n_few++] = u;
        }
        n_left = n_few;
    }

done:
    eh_arena_clear(&mem);
    return rc;
}
