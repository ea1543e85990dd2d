#include "stats/estimate.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "stats/normal.h"

#define RESAMPLES_MAX 10000000

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double eh_quantile(const double *x, int64_t n, double q)
{
    const double at = q * (double)(n - 1);
    const int64_t i = (int64_t)at;
    if (i >= n - 1)
        return x[n - 1];
    return x[i] + (at - (double)i) * (x[i + 1] - x[i]);
}

/*
 * BCa (Efron 1987, Better bootstrap confidence intervals, JASA 82; Efron and Tibshirani 1993, ch. 14):
 *
 *     z0 = Phi^-1( share of draws below the value, ties counted half )
 *     a  = sum_i d_i^3 / ( 6 (sum_i d_i^2)^(3/2) ),   d_i = mean(jack) - jack_i
 *     end(alpha) = quantile of the draws at Phi( z0 + (z0 + z_alpha) / (1 - a (z0 + z_alpha)) )
 */
bool eh_bca_ends(const double *draw, int64_t n_draw, double value, const double *jack, int64_t n_jack, double level,
                 double *low, double *high)
{
    double below = 0, mean = 0, d2 = 0, d3 = 0, end[2];
    for (int64_t i = 0; i < n_draw; i++)
        below += draw[i] < value ? 1 : draw[i] > value ? 0 : 0.5;
    const double z0 = eh_normal_quantile(below / (double)n_draw);
    for (int64_t i = 0; i < n_jack; i++)
        mean += jack[i] / (double)n_jack;
    if (!isfinite(z0) || !isfinite(mean)) /* a jackknife value that is 0/0 makes the mean NaN */
        return false;
    for (int64_t i = 0; i < n_jack; i++) {
        const double d = mean - jack[i];
        d2 += d * d;
        d3 += d * d * d;
    }
    const double a = d2 > 0 ? d3 / (6 * d2 * sqrt(d2)) : 0;
    for (int i = 0; i < 2; i++) {
        const double z = z0 + eh_normal_quantile(i == 0 ? (1 - level) / 2 : (1 + level) / 2);
        if (!(1 - a * z > 0)) /* beyond the pole the map turns back on itself */
            return false;
        end[i] = eh_quantile(draw, n_draw, eh_normal_cdf(z0 + z / (1 - a * z)));
    }
    *low = end[0];
    *high = end[1];
    return true;
}

typedef struct draws {
    const eh_clusters *c;
    const eh_statistic *stat;
    int64_t n_stat;
    int64_t n_resample;
    uint64_t seed;
    int32_t *times; /* [n_thread, n_cluster]: how often a draw holds each cluster */
    double *sum;    /* [n_thread, width] */
    double *value;  /* [n_stat, n_resample] */
} draws;

static void one_draw(void *ctx, int64_t b, int worker)
{
    const draws *d = ctx;
    const int64_t n = d->c->n_cluster, width = d->c->width;
    int32_t *times = d->times + worker * n;
    double *sum = d->sum + worker * width;
    eh_rng r = eh_rng_at(d->seed, "bootstrap", (uint64_t)b);

    for (int64_t i = 0; i < n; i++)
        times[i] = 0;
    for (int64_t i = 0; i < n; i++)
        times[eh_rng_below(&r, n)]++;
    for (int64_t k = 0; k < width; k++)
        sum[k] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; times[i] > 0 && k < width; k++)
            sum[k] += times[i] * d->c->sum[i * width + k];
    for (int64_t s = 0; s < d->n_stat; s++)
        d->value[s * d->n_resample + b] = d->stat[s].value(sum, d->stat[s].ctx);
}

/* The estimate from the draws of one statistic, which are sorted in place; jack is room for [n_cluster]. */
static eh_estimate summarise(const draws *d, int64_t s, const double *total, double *sum, double *jack, double level,
                             bool percentile)
{
    const eh_statistic *stat = &d->stat[s];
    const int64_t n = d->c->n_cluster, width = d->c->width;
    eh_estimate e = {
        .value = NAN,
        .low = NAN,
        .high = NAN,
        .level = level,
        .n = stat->n,
        .n_cluster = n,
        .n_resample = d->n_resample,
        .method = EH_METHOD_NONE,
    };
    double *draw = d->value + s * d->n_resample;
    int64_t n_draw = 0;

    for (int64_t b = 0; b < d->n_resample; b++)
        if (isfinite(draw[b]))
            draw[n_draw++] = draw[b];
    e.n_undefined = d->n_resample - n_draw;
    const double value = stat->value(total, stat->ctx);
    if (!isfinite(value))
        return e;
    e.defined = true;
    e.value = value;
    if (n < 2 || n_draw < e.n_undefined || n_draw == 0)
        return e;

    qsort(draw, (size_t)n_draw, sizeof *draw, compare);
    if (draw[0] == value && draw[n_draw - 1] == value) {
        e.low = e.high = value;
        e.method = EH_METHOD_CONSTANT;
        return e;
    }
    for (int64_t i = 0; i < n && !percentile; i++) {
        for (int64_t k = 0; k < width; k++)
            sum[k] = total[k] - d->c->sum[i * width + k];
        jack[i] = stat->value(sum, stat->ctx);
    }
    if (!percentile && eh_bca_ends(draw, n_draw, value, jack, n, level, &e.low, &e.high)) {
        e.method = EH_METHOD_BCA;
        return e;
    }
    e.low = eh_quantile(draw, n_draw, (1 - level) / 2);
    e.high = eh_quantile(draw, n_draw, (1 + level) / 2);
    e.method = EH_METHOD_PERCENTILE;
    return e;
}

int eh_bootstrap(const eh_clusters *c, const eh_statistic *stat, int64_t n_stat, const eh_bootstrap_options *options,
                 eh_estimate *out, eh_err *err)
{
    const int64_t n_resample = options->n_resample == 0 ? EH_BOOTSTRAP_RESAMPLES : options->n_resample;
    const double level = options->level == 0 ? 0.95 : options->level;
    const int n_thread = options->n_thread < 1 ? 1 : options->n_thread;

    if (c->n_cluster < 1 || c->width < 1 || n_stat < 1)
        return eh_fail(err, EH_EINVAL, "a bootstrap of %lld statistics over %lld clusters of %lld columns",
                       (long long)n_stat, (long long)c->n_cluster, (long long)c->width);
    if (n_resample < 1 || n_resample > RESAMPLES_MAX)
        return eh_fail(err, EH_EINVAL, "%lld resamples asked for; 1 to %d can be had", (long long)n_resample,
                       RESAMPLES_MAX);
    if (!(level > 0 && level < 1))
        return eh_fail(err, EH_EINVAL, "an interval's level is %g; it must lie between 0 and 1", level);
    for (int64_t i = 0; i < c->n_cluster; i++)
        for (int64_t k = 0; k < c->width; k++)
            if (!isfinite(c->sum[i * c->width + k]))
                return eh_fail(err, EH_ENUMERIC, "cluster %lld has %g in column %lld", (long long)i,
                               c->sum[i * c->width + k], (long long)k);

    int rc = EH_OK;
    eh_arena mem = {0};
    draws d = {.c = c, .stat = stat, .n_stat = n_stat, .n_resample = n_resample, .seed = options->seed};
    if (c->n_cluster > INT64_MAX / n_thread || c->width > INT64_MAX / n_thread || n_stat > INT64_MAX / n_resample) {
        rc = eh_fail(err, EH_ENOMEM, "a bootstrap of %lld clusters, %lld columns and %lld statistics does not fit",
                     (long long)c->n_cluster, (long long)c->width, (long long)n_stat);
        goto done;
    }
    d.times = eh_new(&mem, int32_t, c->n_cluster * n_thread);
    d.sum = eh_new(&mem, double, c->width * n_thread);
    d.value = eh_new(&mem, double, n_stat * n_resample);
    double *total = eh_new(&mem, double, c->width);
    double *sum = eh_new(&mem, double, c->width);
    double *jack = eh_new(&mem, double, c->n_cluster);
    if (d.times == NULL || d.sum == NULL || d.value == NULL || total == NULL || sum == NULL || jack == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld draws of %lld statistics over %lld clusters",
                     (long long)n_resample, (long long)n_stat, (long long)c->n_cluster);
        goto done;
    }
    for (int64_t i = 0; i < c->n_cluster; i++)
        for (int64_t k = 0; k < c->width; k++)
            total[k] += c->sum[i * c->width + k];
    eh_par_for(n_thread, n_resample, one_draw, &d);
    for (int64_t s = 0; s < n_stat; s++)
        out[s] = summarise(&d, s, total, sum, jack, level, options->percentile);

done:
    eh_arena_clear(&mem);
    return rc;
}

/*
 * Wilson 1927, Probable inference, the law of succession, and statistical inference, JASA 22:
 *
 *     ( p + z^2/2n  +-  z sqrt( p (1 - p)/n + z^2/4n^2 ) ) / ( 1 + z^2/n ),   p = k/n
 */
int eh_wilson(int64_t k, int64_t n, double level, eh_estimate *out, eh_err *err)
{
    if (n < 0 || k < 0 || k > n)
        return eh_fail(err, EH_EINVAL, "a share of %lld out of %lld", (long long)k, (long long)n);
    if (!(level > 0 && level < 1))
        return eh_fail(err, EH_EINVAL, "an interval's level is %g; it must lie between 0 and 1", level);
    if (n == 0) {
        *out = (eh_estimate){.value = NAN, .low = NAN, .high = NAN, .level = level, .method = EH_METHOD_NONE};
        return EH_OK;
    }
    const double z = eh_normal_quantile((1 + level) / 2);
    const double nn = (double)n, p = (double)k / nn, zz = z * z / nn;
    const double mid = p + zz / 2, half = z * sqrt(p * (1 - p) / nn + zz / (4 * nn));
    *out = (eh_estimate){
        .defined = true,
        .value = p,
        .low = k == 0 ? 0 : (mid - half) / (1 + zz), /* 0 and 1 exactly, where rounding would miss them */
        .high = k == n ? 1 : (mid + half) / (1 + zz),
        .level = level,
        .n = n,
        .method = EH_METHOD_WILSON,
    };
    return EH_OK;
}
