#include "stats/sheet.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "stats/normal.h"

int eh_sheet_open(eh_sheet *s, const bool *has, int64_t n, int64_t width, eh_err *err)
{
    *s = (eh_sheet){.width = width};
    int64_t n_cluster = 0;
    for (int64_t i = 0; i < n; i++)
        n_cluster += has[i];
    s->sum = eh_calloc(n_cluster > 0 ? n_cluster * width : 1, (int64_t)sizeof *s->sum);
    s->cluster = eh_alloc(n_cluster > 0 ? n_cluster : 1, (int64_t)sizeof *s->cluster);
    if (s->sum == NULL || s->cluster == NULL) {
        eh_sheet_clear(s);
        return eh_fail(err, EH_ENOMEM, "no memory for the sums of %lld templates", (long long)n_cluster);
    }
    for (int64_t i = 0; i < n; i++)
        if (has[i])
            s->cluster[s->n_cluster++] = i;
    return EH_OK;
}

double *eh_sheet_row(const eh_sheet *s, int64_t cluster)
{
    int64_t low = 0, high = s->n_cluster - 1;
    while (low < high) {
        const int64_t mid = (low + high) / 2;
        if (s->cluster[mid] < cluster)
            low = mid + 1;
        else
            high = mid;
    }
    return s->sum + low * s->width;
}

void eh_sheet_clear(eh_sheet *s)
{
    eh_free(s->sum);
    eh_free(s->cluster);
    *s = (eh_sheet){0};
}

int eh_sheet_estimate(const eh_sheet *s, const eh_bootstrap_options *options, eh_estimate *out, eh_err *err)
{
    const eh_clusters c = {s->sum, s->n_cluster, s->width};
    return eh_bootstrap(&c, s->score, s->n_score, options, out, err);
}

/* ---- Before and after --------------------------------------------------------------------------- */

typedef struct pair_ctx {
    const eh_statistic *score;
    int64_t width;
} pair_ctx;

/* sum holds before's columns, then after's. */
static double difference(const double *sum, const void *ctx)
{
    const pair_ctx *p = ctx;
    return p->score->value(sum + p->width, p->score->ctx) - p->score->value(sum, p->score->ctx);
}

/* Adds each template's two rows to total [2 width], swapped where `swap` says so. */
static void add_up(const double *both, int64_t n, int64_t width, const bool *swap, double *total)
{
    memset(total, 0, (size_t)(2 * width) * sizeof *total);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < 2 * width; k++)
            total[swap[i] ? (k + width) % (2 * width) : k] += both[i * 2 * width + k];
}

/* Swapped draws against the difference that was found: a hair less counts as equal, for sums in
 * another order may differ in their last bits. */
static bool as_far(double drawn, double found)
{
    return fabs(drawn) >= fabs(found) * (1.0 - 1e-9);
}

static void swap_tests(const double *both, int64_t n, const pair_ctx *ctx, int64_t n_score,
                       const eh_bootstrap_options *options, bool *swap, double *total, eh_difference *out)
{
    const int64_t width = ctx[0].width;
    const int64_t n_draw = options->n_resample > 0 ? options->n_resample : EH_BOOTSTRAP_RESAMPLES;
    const bool exact = n < 40 && ((int64_t)1 << n) <= n_draw;
    const int64_t n_way = exact ? (int64_t)1 << n : n_draw;
    int64_t count[EH_SHEET_SCORES] = {0}, valid[EH_SHEET_SCORES] = {0};
    for (int64_t b = 0; b < n_way; b++) {
        eh_rng r = eh_rng_at(options->seed, "swap", (uint64_t)b);
        for (int64_t i = 0; i < n; i++)
            swap[i] = exact ? b >> i & 1 : eh_rng_u32(&r) & 1u;
        add_up(both, n, width, swap, total);
        for (int64_t s = 0; s < n_score; s++) {
            const double d = difference(total, &ctx[s]);
            if (isnan(d))
                continue;
            valid[s]++;
            count[s] += as_far(d, out[s].e.value);
        }
    }
    for (int64_t s = 0; s < n_score; s++)
        out[s].p = !out[s].e.defined || valid[s] == 0 ? (double)NAN
                   : exact                            ? (double)count[s] / (double)valid[s]
                                                      : (double)(1 + count[s]) / (double)(1 + valid[s]);
}

int eh_sheet_difference(const eh_sheet *before, const eh_sheet *after, const eh_bootstrap_options *options,
                        eh_difference *out, eh_err *err)
{
    const int64_t n = before->n_cluster, w = before->width;
    if (n != after->n_cluster || w != after->width || before->n_score != after->n_score ||
        (n > 0 && memcmp(before->cluster, after->cluster, (size_t)n * sizeof *before->cluster) != 0))
        return eh_fail(err, EH_EINVAL, "before and after do not have the same templates: %lld and %lld", (long long)n,
                       (long long)after->n_cluster);
    eh_arena mem = {0};
    double *both = eh_new(&mem, double, n * 2 * w), *total = eh_new(&mem, double, 2 * w);
    bool *swap = eh_new(&mem, bool, n);
    pair_ctx ctx[EH_SHEET_SCORES];
    eh_statistic stat[EH_SHEET_SCORES];
    eh_estimate e[EH_SHEET_SCORES];
    int rc;
    if (both == NULL || total == NULL || swap == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the sums of %lld templates", (long long)n);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(both + i * 2 * w, before->sum + i * w, (size_t)w * sizeof *both);
        memcpy(both + i * 2 * w + w, after->sum + i * w, (size_t)w * sizeof *both);
    }
    for (int64_t s = 0; s < before->n_score; s++) {
        ctx[s] = (pair_ctx){&before->score[s], w};
        stat[s] = (eh_statistic){difference, &ctx[s], before->score[s].n};
    }
    const eh_clusters c = {both, n, 2 * w};
    rc = eh_bootstrap(&c, stat, before->n_score, options, e, err);
    if (rc < 0)
        goto done;
    const double z = eh_normal_quantile(0.5 + 0.5 * (options->level > 0.0 ? options->level : 0.95));
    for (int64_t s = 0; s < before->n_score; s++) {
        const double error = (e[s].high - e[s].low) / (2.0 * z);
        out[s] = (eh_difference){e[s], (double)NAN, (eh_normal_quantile(0.975) + eh_normal_quantile(0.8)) * error};
    }
    swap_tests(both, n, ctx, before->n_score, options, swap, total, out);
done:
    eh_arena_clear(&mem);
    return rc;
}
