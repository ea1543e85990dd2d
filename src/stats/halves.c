#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "stats/correlation.h"
#include "stats/estimate.h"
#include "stats/groups.h"

#define SPLITS_MAX 1000000

typedef struct splitting {
    const eh_sample *s;
    const eh_groups *clusters;
    const eh_groups *strata; /* NULL: maps of plain r */
    uint64_t seed;
    eh_map_work *work; /* [n_thread] */
    int64_t *order;    /* [n_thread, n_cluster] */
    int32_t *item;     /* [n_thread, n_item] */
    double *map;       /* [n_thread, 2, n_unit] */
    double *half;      /* [n_split]; NaN where not defined */
} splitting;

/* The map of the clusters order[from..to-1]; false where it is not defined. */
static bool half_map(const splitting *p, const int64_t *order, int64_t from, int64_t to, int32_t *item,
                     const eh_map_work *w, double *map)
{
    int64_t n = 0;
    for (int64_t k = from; k < to; k++) {
        const int32_t *begin = p->clusters->begin + order[k];
        for (int64_t i = begin[0]; i < begin[1]; i++)
            item[n++] = p->clusters->item[i];
    }
    return n >= 3 && eh_map_of(p->s->x, p->s->y, p->s->n_unit, item, n, p->strata == NULL ? NULL : p->strata->of,
                               p->strata == NULL ? 1 : p->strata->n, w, map);
}

static void one_split(void *ctx, int64_t b, int worker)
{
    const splitting *p = ctx;
    const int64_t n_unit = p->s->n_unit, n_cluster = p->clusters->n;
    int64_t *order = p->order + worker * n_cluster, n = 0;
    int32_t *item = p->item + worker * p->s->n_item;
    double *one = p->map + worker * 2 * n_unit, *two = one + n_unit, xx, yy, xy = 0;
    eh_rng r = eh_rng_at(p->seed, "split", (uint64_t)b);

    for (int64_t k = 0; k < n_cluster; k++)
        order[k] = k;
    eh_rng_shuffle(&r, order, n_cluster);
    p->half[b] = NAN;
    if (!half_map(p, order, 0, n_cluster / 2, item, &p->work[worker], one) ||
        !half_map(p, order, n_cluster / 2, n_cluster, item, &p->work[worker], two))
        return;
    for (int64_t u = 0; u < n_unit; u++) {
        if (isnan(one[u]) || isnan(two[u]))
            continue;
        one[n] = one[u];
        two[n++] = two[u];
    }
    if (n < 3)
        return;
    xx = eh_centre(one, n, one);
    yy = eh_centre(two, n, two);
    for (int64_t u = 0; u < n; u++)
        xy += one[u] * two[u];
    p->half[b] = eh_r_of_sums(xy, xx, yy);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*
 * r_whole = 2 r_half / (1 + r_half)     (Spearman 1910; Brown 1910)
 *
 * Below r_half = -1/3 the formula runs off to minus infinity, though it says no more than that the
 * halves do not agree: it is cut at -1.
 */
static double spearman_brown(double half)
{
    return half <= -1.0 / 3 ? -1 : 2 * half / (1 + half);
}

int eh_split_half(const eh_sample *s, const eh_halves_options *options, eh_reliability *out, eh_err *err)
{
    const int64_t n_split = options->n_split == 0 ? EH_SPLITS : options->n_split;
    const double level = options->level == 0 ? 0.95 : options->level;
    const int n_thread = options->n_thread < 1 ? 1 : options->n_thread;
    if (n_split < 1 || n_split > SPLITS_MAX)
        return eh_fail(err, EH_EINVAL, "%lld splits asked for; 1 to %d can be had", (long long)n_split, SPLITS_MAX);
    if (!(level > 0 && level < 1))
        return eh_fail(err, EH_EINVAL, "an interval's level is %g; it must lie between 0 and 1", level);
    int rc = eh_items_check(s->x, s->y, s->n_item, s->n_unit, err);
    if (rc < 0)
        return rc;

    eh_arena mem = {0};
    eh_groups clusters, strata = {0};
    rc = eh_groups_make(&mem, s->cluster, s->n_item, &clusters, err);
    if (rc == EH_OK && options->within)
        rc = eh_groups_make(&mem, s->stratum, s->n_item, &strata, err);
    if (rc < 0)
        goto done;
    if (clusters.n < 2 || s->n_unit < 3) {
        rc = eh_fail(err, EH_EDOM,
                     "halves of %lld clusters, maps of %lld units: a split needs two clusters and three units",
                     (long long)clusters.n, (long long)s->n_unit);
        goto done;
    }
    splitting p = {
        .s = s,
        .clusters = &clusters,
        .strata = options->within ? &strata : NULL,
        .seed = options->seed,
        .work = eh_new(&mem, eh_map_work, n_thread),
        .order = eh_new(&mem, int64_t, clusters.n * n_thread),
        .item = eh_new(&mem, int32_t, s->n_item * n_thread),
        .map = eh_new(&mem, double, 2 * s->n_unit * n_thread),
        .half = eh_new(&mem, double, n_split),
    };
    bool room = p.work != NULL && p.order != NULL && p.item != NULL && p.map != NULL && p.half != NULL;
    for (int t = 0; t < n_thread && room; t++)
        room = eh_map_work_make(&mem, s->n_item, options->within ? strata.n : 1, s->n_unit, &p.work[t]);
    if (!room) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for splits of %lld items and maps of %lld units", (long long)s->n_item,
                     (long long)s->n_unit);
        goto done;
    }
    eh_par_for(n_thread, n_split, one_split, &p);

    eh_reliability made = {.half = NAN, .value = NAN, .low = NAN, .high = NAN, .n_split = n_split};
    int64_t n = 0;
    double sum = 0;
    for (int64_t b = 0; b < n_split; b++)
        if (!isnan(p.half[b])) {
            sum += p.half[b];
            p.half[n++] = p.half[b];
        }
    made.n_undefined = n_split - n;
    made.defined = n > 0 && n >= made.n_undefined;
    if (made.defined) {
        qsort(p.half, (size_t)n, sizeof *p.half, compare);
        made.half = sum / (double)n;
        made.value = spearman_brown(made.half);
        made.low = spearman_brown(eh_quantile(p.half, n, (1 - level) / 2));
        made.high = spearman_brown(eh_quantile(p.half, n, (1 + level) / 2));
    }
    *out = made;

done:
    eh_arena_clear(&mem);
    return rc;
}
