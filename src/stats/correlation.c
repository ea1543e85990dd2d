#include "stats/correlation.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/par.h"
#include "stats/estimate.h"
#include "stats/groups.h"
#include "stats/permutation.h"

#define PERMUTATIONS_MAX 10000000
#define CHUNK 64 /* units of one bootstrap: few enough that the jackknife's rows stay short */

/* ---- Two columns ---------------------------------------------------------------------------------- */

typedef struct ranked {
    double value;
    int32_t at;
} ranked;

static int compare(const void *a, const void *b)
{
    const double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
    return (x > y) - (x < y);
}

/* Ranks 1..n of what `order` [n] holds, ties sharing the mean of theirs; order is sorted on the way. */
static void ranks(ranked *order, int64_t n, double *rank)
{
    qsort(order, (size_t)n, sizeof *order, compare);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && order[end].value == order[i].value;)
            end++;
        for (int64_t k = i; k < end; k++)
            rank[order[k].at] = (double)(i + 1 + end) / 2;
    }
}

static void ranks_of(const double *x, int64_t n, ranked *order, double *rank)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = (ranked){x[i], (int32_t)i};
    ranks(order, n, rank);
}

/*
 * r = sum (x - mean x)(y - mean y) / sqrt( sum (x - mean x)^2 sum (y - mean y)^2 )     (Pearson 1896)
 *
 * x and y [n] are centred in place. NaN where one does not vary.
 */
static double r_in_place(double *x, double *y, int64_t n)
{
    const double xx = eh_centre(x, n, x), yy = eh_centre(y, n, y);
    double xy = 0;
    for (int64_t i = 0; i < n; i++)
        xy += x[i] * y[i];
    return eh_r_of_sums(xy, xx, yy);
}

/* What Pearson and Spearman have in common: the checks, and room for two columns. */
static int correlation_of(const double *x, const double *y, int64_t n, bool by_rank, double *r, eh_err *err)
{
    int rc = EH_OK;
    eh_arena mem = {0};
    if (n < 3 || n > EH_ITEMS_MAX)
        return eh_fail(err, n < 3 ? EH_EDOM : EH_EINVAL, "a correlation of %lld pairs; 3 to %lld can be had",
                       (long long)n, (long long)EH_ITEMS_MAX);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || !isfinite(y[i]))
            return eh_fail(err, EH_ENUMERIC, "pair %lld of a correlation is (%g, %g)", (long long)i, x[i], y[i]);

    double *a = eh_new(&mem, double, n);
    double *b = eh_new(&mem, double, n);
    ranked *order = eh_new(&mem, ranked, n);
    if (a == NULL || b == NULL || order == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a correlation of %lld pairs", (long long)n);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        a[i] = x[i];
        b[i] = y[i];
    }
    if (by_rank) {
        ranks_of(x, n, order, a);
        ranks_of(y, n, order, b);
    }
    const double value = r_in_place(a, b, n);
    if (isnan(value)) {
        rc = eh_fail(err, EH_EDOM, "a correlation of %lld pairs is 0/0: one side has the same value in all of them",
                     (long long)n);
        goto done;
    }
    *r = value;

done:
    eh_arena_clear(&mem);
    return rc;
}

int eh_pearson(const double *x, const double *y, int64_t n, double *r, eh_err *err)
{
    return correlation_of(x, y, n, false, r, err);
}

int eh_spearman(const double *x, const double *y, int64_t n, double *rho, eh_err *err)
{
    return correlation_of(x, y, n, true, rho, err);
}

/*
 * U = R_positive - n_1 (n_1 + 1) / 2,  area = U / (n_1 n_0)     (Mann and Whitney 1947)
 */
int eh_auc(const double *score, const bool *positive, int64_t n, double *auc, eh_err *err)
{
    int rc = EH_OK;
    int64_t n_positive = 0;
    double sum = 0;
    eh_arena mem = {0};
    if (n > EH_ITEMS_MAX)
        return eh_fail(err, EH_EINVAL, "%lld scores; at most %lld can be had", (long long)n, (long long)EH_ITEMS_MAX);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(score[i]))
            return eh_fail(err, EH_ENUMERIC, "score %lld is %g", (long long)i, score[i]);
        n_positive += positive[i];
    }
    if (n_positive == 0 || n_positive == n)
        return eh_fail(err, EH_EDOM, "an area under the curve needs positives and negatives; %lld of %lld are positive",
                       (long long)n_positive, (long long)n);

    ranked *order = eh_new(&mem, ranked, n);
    double *rank = eh_new(&mem, double, n);
    if (order == NULL || rank == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the ranks of %lld scores", (long long)n);
        goto done;
    }
    ranks_of(score, n, order, rank);
    for (int64_t i = 0; i < n; i++)
        sum += positive[i] ? rank[i] : 0;
    const double n1 = (double)n_positive, n0 = (double)(n - n_positive);
    *auc = (sum - n1 * (n1 + 1) / 2) / (n1 * n0);

done:
    eh_arena_clear(&mem);
    return rc;
}

int eh_map_correlation(const double *a, const double *b, int64_t n_unit, eh_map_agreement *out, eh_err *err)
{
    int rc = EH_OK;
    eh_arena mem = {0};
    eh_map_agreement got = {0};
    double *x = eh_new(&mem, double, n_unit);
    double *y = eh_new(&mem, double, n_unit);
    if (x == NULL || y == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for two maps of %lld units", (long long)n_unit);
        goto done;
    }
    for (int64_t u = 0; u < n_unit; u++) {
        if (isnan(a[u]) || isnan(b[u]))
            continue;
        x[got.n] = a[u];
        y[got.n++] = b[u];
    }
    rc = eh_pearson(x, y, got.n, &got.r, err);
    if (rc == EH_OK)
        rc = eh_spearman(x, y, got.n, &got.rho, err);
    if (rc < 0) {
        rc = eh_fail_in(err, rc, "two maps of %lld units, %lld with a value in both", (long long)n_unit,
                        (long long)got.n);
        goto done;
    }
    *out = got;

done:
    eh_arena_clear(&mem);
    return rc;
}

/* ---- Many units ------------------------------------------------------------------------------------- */

static int all_items_map(eh_arena *mem, const eh_sample *s, const eh_groups *g, const char *where, double *r,
                         eh_err *err)
{
    const eh_arena_mark here = eh_arena_here(mem);
    eh_map_work w;
    int rc = EH_OK;
    int32_t *all = eh_new(mem, int32_t, s->n_item);
    if (all == NULL || !eh_map_work_make(mem, s->n_item, g == NULL ? 1 : g->n, s->n_unit, &w)) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a map of %lld units", (long long)s->n_unit);
        goto done;
    }
    for (int64_t i = 0; i < s->n_item; i++)
        all[i] = (int32_t)i;
    if (!eh_map_of(s->x, s->y, s->n_unit, all, s->n_item, g == NULL ? NULL : g->of, g == NULL ? 1 : g->n, &w, r))
        rc = eh_fail(err, EH_EDOM, "the measure does not vary %s (%lld items): there is nothing to correlate with",
                     where, (long long)s->n_item);

done:
    eh_arena_rewind(mem, here);
    return rc;
}

int eh_correlate_within(const float *x, const double *y, const int32_t *group, int64_t n_item, int64_t n_unit,
                        double *r, eh_err *err)
{
    const eh_sample s = {.x = x, .y = y, .n_item = n_item, .n_unit = n_unit};
    eh_arena mem = {0};
    eh_groups g;
    int rc = eh_items_check(x, y, n_item, n_unit, err);
    if (rc == EH_OK)
        rc = eh_groups_make(&mem, group, n_item, &g, err);
    if (rc == EH_OK)
        rc = all_items_map(&mem, &s, &g, group == NULL ? "at all" : "within any group", r, err);
    eh_arena_clear(&mem);
    return rc;
}

/* Four roundings of a float: what a sum that must be 1 is off by. */
static bool is_constant(const eh_sample *s, int64_t u)
{
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < s->n_item; i++) {
        low = fmin(low, (double)s->x[i * s->n_unit + u]);
        high = fmax(high, (double)s->x[i * s->n_unit + u]);
    }
    return high - low <= 4 * (double)FLT_EPSILON * fmax(fabs(low), fabs(high));
}

typedef struct rank_job {
    const eh_sample *s;
    const int32_t *unit;
    const double *y_rank; /* [n_item] */
    ranked *order;        /* [n_thread, n_item] */
    double *rank;         /* [n_thread, 2, n_item] */
    eh_correlation *out;
} rank_job;

static void rho_of_unit(void *ctx, int64_t k, int worker)
{
    const rank_job *j = ctx;
    const int64_t n = j->s->n_item;
    ranked *order = j->order + worker * n;
    double *x = j->rank + worker * 2 * n, *y = x + n;
    for (int64_t i = 0; i < n; i++) {
        order[i] = (ranked){(double)j->s->x[i * j->s->n_unit + j->unit[k]], (int32_t)i};
        y[i] = j->y_rank[i];
    }
    ranks(order, n, x);
    j->out[j->unit[k]].rho = r_in_place(x, y, n);
}

static int add_rho(const eh_sample *s, const int32_t *unit, int64_t n, int n_thread, eh_correlation *out, eh_err *err)
{
    const int64_t n_item = s->n_item;
    int rc = EH_OK;
    eh_arena mem = {0};
    double *y_rank = eh_new(&mem, double, n_item);
    rank_job job = {
        .s = s,
        .unit = unit,
        .y_rank = y_rank,
        .order = eh_new(&mem, ranked, n_item * n_thread), /* n_item and n_thread both fit 31 bits */
        .rank = eh_new(&mem, double, 2 * n_item * n_thread),
        .out = out,
    };
    if (y_rank == NULL || job.order == NULL || job.rank == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the ranks of %lld items", (long long)n_item);
        goto done;
    }
    ranks_of(s->y, n_item, job.order, y_rank);
    eh_par_for(n_thread, n, rho_of_unit, &job);

done:
    eh_arena_clear(&mem);
    return rc;
}

/*
 * r of a draw of clusters, from its sums: items, y, y^2, and for each unit x, x^2, xy. x and y were
 * centred over all items, so that little cancels; where all but 1e-12 does, the draw has no variation
 * (a few clusters, each constant) and r is 0/0.
 */
static double r_of_sums(const double *sum, const void *ctx)
{
    const double *x = sum + 3 + 3 * *(const int64_t *)ctx;
    const double yy = sum[2] - sum[1] * sum[1] / sum[0], xx = x[1] - x[0] * x[0] / sum[0];
    if (!(yy > 1e-12 * sum[2] && xx > 1e-12 * x[1]))
        return NAN;
    return eh_r_of_sums(x[2] - x[0] * sum[1] / sum[0], xx, yy);
}

/* Intervals of the n units listed, CHUNK at a time; every chunk has the same draws of clusters. */
static int add_intervals(const eh_sample *s, const eh_groups *clusters, const int32_t *unit, int64_t n,
                         const eh_bootstrap_options *options, eh_correlation *out, eh_err *err)
{
    const int64_t n_item = s->n_item, width = 3 + 3 * CHUNK;
    int rc = EH_OK;
    eh_arena mem = {0};
    double *x = eh_new(&mem, double, n_item);
    double *y = eh_new(&mem, double, n_item);
    double *sum = eh_new(&mem, double, clusters->n * width);
    if (x == NULL || y == NULL || sum == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the sums of %lld clusters", (long long)clusters->n);
        goto done;
    }
    eh_centre(s->y, n_item, y);
    for (int64_t from = 0; from < n; from += CHUNK) {
        const int64_t n_here = n - from < CHUNK ? n - from : CHUNK;
        const eh_clusters c = {sum, clusters->n, 3 + 3 * n_here};
        int64_t at[CHUNK];
        eh_statistic stat[CHUNK];
        eh_estimate e[CHUNK];

        for (int64_t i = 0; i < clusters->n * c.width; i++)
            sum[i] = 0;
        for (int64_t i = 0; i < n_item; i++) {
            double *row = sum + clusters->of[i] * c.width;
            row[0] += 1;
            row[1] += y[i];
            row[2] += y[i] * y[i];
        }
        for (int64_t k = 0; k < n_here; k++) {
            for (int64_t i = 0; i < n_item; i++)
                x[i] = (double)s->x[i * s->n_unit + unit[from + k]];
            eh_centre(x, n_item, x);
            for (int64_t i = 0; i < n_item; i++) {
                double *row = sum + clusters->of[i] * c.width + 3 + 3 * k;
                row[0] += x[i];
                row[1] += x[i] * x[i];
                row[2] += x[i] * y[i];
            }
            at[k] = k;
            stat[k] = (eh_statistic){r_of_sums, &at[k], n_item};
        }
        rc = eh_bootstrap(&c, stat, n_here, options, e, err);
        if (rc < 0)
            goto done;
        for (int64_t k = 0; k < n_here; k++) {
            eh_correlation *o = &out[unit[from + k]];
            o->low = e[k].low;
            o->high = e[k].high;
            o->method = e[k].method;
        }
    }

done:
    eh_arena_clear(&mem);
    return rc;
}

/* What is computed before it is handed out. */
typedef struct correlating {
    eh_arena memory;
    eh_groups strata, clusters;
    eh_correlation *made; /* [n_unit] */
    int32_t *unit;        /* [n] units that vary */
    int64_t n;
} correlating;

/* r over all items and within strata, for every unit; those that vary are listed. */
static int add_r(const eh_sample *s, correlating *c, eh_err *err)
{
    double *r = eh_new(&c->memory, double, s->n_unit);
    double *within = eh_new(&c->memory, double, s->n_unit);
    c->made = eh_new(&c->memory, eh_correlation, s->n_unit);
    c->unit = eh_new(&c->memory, int32_t, s->n_unit);
    if (c->made == NULL || c->unit == NULL || r == NULL || within == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the correlations of %lld units", (long long)s->n_unit);
    int rc = eh_groups_make(&c->memory, s->stratum, s->n_item, &c->strata, err);
    if (rc == EH_OK)
        rc = eh_groups_make(&c->memory, s->cluster, s->n_item, &c->clusters, err);
    if (rc == EH_OK)
        rc = all_items_map(&c->memory, s, NULL, "at all", r, err);
    if (rc == EH_OK && c->strata.n == s->n_item)
        rc = eh_fail(err, EH_EDOM,
                     "each of the %lld items is a stratum of its own: there is nothing to permute, and no p; "
                     "strata (template and condition) need two items or more",
                     (long long)s->n_item);
    if (rc == EH_OK)
        rc = all_items_map(&c->memory, s, &c->strata, "within any stratum", within, err);
    for (int64_t u = 0; u < s->n_unit && rc == EH_OK; u++) {
        const bool constant = is_constant(s, u);
        c->made[u] = (eh_correlation){
            .r = constant ? (double)NAN : r[u],
            .rho = NAN,
            .within = constant ? (double)NAN : within[u],
            .p = 1,
            .low = NAN,
            .high = NAN,
            .method = EH_METHOD_NONE,
            .n = s->n_item,
            .constant = constant,
        };
        if (!constant)
            c->unit[c->n++] = (int32_t)u;
    }
    return rc;
}

int eh_correlate(const eh_sample *s, const eh_correlate_options *options, eh_correlation *out, int64_t *n_constant,
                 eh_err *err)
{
    const int64_t n_permutation = options->n_permutation == 0 ? EH_CORRELATE_PERMUTATIONS : options->n_permutation;
    const int n_thread = options->n_thread < 1 ? 1 : options->n_thread;
    const eh_bootstrap_options draws = {
        .seed = options->seed,
        .n_resample = options->n_bootstrap == 0 ? EH_CORRELATE_RESAMPLES : options->n_bootstrap,
        .level = options->level,
        .percentile = options->percentile,
        .n_thread = n_thread,
    };
    if (n_permutation < 1 || n_permutation > PERMUTATIONS_MAX)
        return eh_fail(err, EH_EINVAL, "%lld permutations asked for; 1 to %d can be had", (long long)n_permutation,
                       PERMUTATIONS_MAX);
    correlating c = {0};
    int rc = eh_items_check(s->x, s->y, s->n_item, s->n_unit, err);
    if (rc == EH_OK)
        rc = add_r(s, &c, err);
    if (rc == EH_OK)
        rc = add_intervals(s, &c.clusters, c.unit, c.n, &draws, c.made, err);
    if (rc == EH_OK)
        rc = add_rho(s, c.unit, c.n, n_thread, c.made, err);
    if (rc == EH_OK && c.n > 0)
        rc = eh_permutation_p(s, &c.strata, c.unit, c.n, options->seed, n_permutation, n_thread, c.made, err);
    for (int64_t u = 0; u < s->n_unit && rc == EH_OK; u++)
        out[u] = c.made[u];
    if (rc == EH_OK && n_constant != NULL)
        *n_constant = s->n_unit - c.n;
    eh_arena_clear(&c.memory);
    return rc;
}
