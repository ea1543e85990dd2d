/*
 * Estimates: a number with its interval, n and how it was got (docs/methods/intervals.md).
 *
 *     double sum[n_cluster * 2];                 per cluster: right answers, answers
 *     const eh_clusters c = {sum, n_cluster, 2};
 *     const eh_statistic acc = {share, NULL, n}; share() divides column 0 by column 1
 *     eh_estimate e;
 *     rc = eh_bootstrap(&c, &acc, 1, &(eh_bootstrap_options){.seed = 1}, &e, err);
 *     e.value, e.low .. e.high, e.method
 *
 * Rows that share a question template are not independent, so whole templates (clusters) are
 * drawn. Each cluster is a short vector of sums, a statistic is a function of the summed vector:
 * ratio scores such as s_AMB need no copies of rows, and one set of draws serves many statistics.
 * The difference of two measurements on the same clusters is one more statistic: lay both vectors
 * side by side in a row of twice the width, and the draws are paired.
 */
#ifndef EH_STATS_ESTIMATE_H
#define EH_STATS_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct eh_estimate {
    bool defined;        /* false: 0/0; value, low and high are NaN */
    double value;
    double low, high;    /* ends of the interval; NaN where method is "none" */
    double level;        /* coverage the interval aims at, e.g. 0.95 */
    int64_t n;           /* rows behind the value */
    int64_t n_cluster;   /* clusters that were drawn from; 0 for Wilson */
    int64_t n_resample;  /* draws; 0 for Wilson */
    int64_t n_undefined; /* draws on which the statistic was 0/0: they are no part of the interval */
    const char *method;  /* one of the EH_METHOD_ words */
} eh_estimate;

#define EH_METHOD_BCA "bca"
#define EH_METHOD_PERCENTILE "percentile"
#define EH_METHOD_WILSON "wilson"
#define EH_METHOD_CONSTANT "constant" /* every draw gave the value: no width, and no news of templates not seen */
#define EH_METHOD_NONE "none"         /* 0/0, one cluster, or more than half of the draws were 0/0 */

typedef struct eh_clusters {
    const double *sum; /* [n_cluster, width] */
    int64_t n_cluster;
    int64_t width;
} eh_clusters;

/* A number from a summed vector [width]. NaN means "not defined on this sample" (0/0). It must
 * depend on its arguments alone: it is called from several threads. */
typedef double eh_statistic_fn(const double *sum, const void *ctx);

typedef struct eh_statistic {
    eh_statistic_fn *value;
    const void *ctx;
    int64_t n; /* rows, copied into the estimate */
} eh_statistic;

#define EH_BOOTSTRAP_RESAMPLES 2000

typedef struct eh_bootstrap_options {
    uint64_t seed;
    int64_t n_resample; /* 0: EH_BOOTSTRAP_RESAMPLES */
    double level;       /* 0: 0.95 */
    bool percentile;    /* percentile even where BCa can be had */
    int n_thread;       /* 0 and 1: the calling thread alone */
} eh_bootstrap_options;

/*
 * eh_bootstrap - cluster bootstrap of n_stat statistics from the same draws
 *
 * Draw b takes n_cluster clusters with replacement, from the stream (seed, "bootstrap", b): the
 * same bytes for any number of threads. The interval is BCa (Efron 1987; bias correction with ties
 * counted half, acceleration from the jackknife over clusters). Where BCa is not defined (all draws
 * on one side of the value, a cluster without which the statistic is 0/0) it is the percentile
 * interval, and `method` says so.
 *
 * out      [n_stat], the caller's; written on success only
 * Errors   EH_EINVAL   no clusters, columns, or a level outside 0..1
 *          EH_ENUMERIC a cluster's sum is not finite; the message says which
 *          EH_ENOMEM
 * Cost     n_resample * n_cluster * width additions; n_resample * n_stat doubles.
 */
int eh_bootstrap(const eh_clusters *c, const eh_statistic *stat, int64_t n_stat, const eh_bootstrap_options *options,
                 eh_estimate *out, eh_err *err);

/* The interval's ends from sorted draws [n_draw] of a statistic, its value, and its jackknife values
 * [n_jack] (one per cluster left out). False where BCa is not defined; then *low and *high are left. */
bool eh_bca_ends(const double *draw, int64_t n_draw, double value, const double *jack, int64_t n_jack, double level,
                 double *low, double *high);

/* The q-quantile (0..1) of sorted x [n], n >= 1, interpolated linearly between order statistics. */
double eh_quantile(const double *x, int64_t n, double q);

/* Wilson's score interval (1927) for k of n independent trials; 0 of 0 gives an estimate that is
 * not defined. EH_EINVAL unless 0 <= k <= n and 0 < level < 1. */
int eh_wilson(int64_t k, int64_t n, double level, eh_estimate *out, eh_err *err);

#endif
