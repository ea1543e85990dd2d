/*
 * Correlation of many units (attention heads, neurons) with one measure: how strong, by how much
 * more than chance, and how reliable the map of it is (docs/methods/statistics.md).
 *
 *     const eh_sample s = {x, y, template_and_condition, template, n_item, n_unit};
 *     eh_correlation *c = ...;                           [n_unit]
 *     rc = eh_correlate(&s, &(eh_correlate_options){.seed = 1, .n_thread = 2}, c, &n_constant, err);
 *     c[u].r, c[u].low .. c[u].high, c[u].p
 *     rc = eh_split_half(&s, &(eh_halves_options){.seed = 1}, &reliability, err);
 *
 * r is Pearson's over all items. p is a permutation test in which the measure changes places within
 * strata only: it asks whether unit and measure go together among items of one stratum, and what a
 * stratum as a whole has in common (the wording of its template) says nothing.
 */
#ifndef EH_STATS_CORRELATION_H
#define EH_STATS_CORRELATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "stats/sample.h"

/*
 * Pearson's r, and Spearman's rho (r of the ranks; ties get the mean of their ranks), of n pairs.
 *
 * Errors   EH_EDOM     n < 3, or one of the two does not vary
 *          EH_ENUMERIC a value is not finite; the message says which
 *          EH_ENOMEM   (eh_spearman)
 */
int eh_pearson(const double *x, const double *y, int64_t n, double *r, eh_err *err);
int eh_spearman(const double *x, const double *y, int64_t n, double *rho, eh_err *err);

#define EH_CORRELATE_PERMUTATIONS 9999
#define EH_CORRELATE_RESAMPLES 1000

typedef struct eh_correlate_options {
    uint64_t seed;
    int64_t n_permutation; /* of the first look; 0: EH_CORRELATE_PERMUTATIONS */
    int64_t n_bootstrap;   /* 0: EH_CORRELATE_RESAMPLES */
    double level;          /* of the intervals; 0: 0.95 */
    bool percentile;       /* percentile intervals even where BCa can be had */
    int n_thread;          /* 0 and 1: the calling thread alone */
} eh_correlate_options;

/*
 * eh_correlate - each unit's correlation with the measure, with interval and p
 *
 * A unit is constant when its values lie within four float roundings of each other: the rest of a
 * sum that must be 1 is no signal.
 *
 * p = (1 + #{ |c_b - E c| >= |c - E c| }) / (B + 1), c = sum_i x_i y_i (Phipson and Smyth 2010). E c
 * is known exactly: each y replaced by its stratum's mean. Fewer than 20 of B permutations as far out
 * as the unit, and the unit is looked at again with 10 (B + 1) - 1 permutations in all, and if these
 * are fewer than 20, too, with 20 (B + 1) - 1. Such a p is valid (P(p <= a) <= a under no effect) for
 * every a. All units of a look share their permutations.
 *
 * out      [n_unit] and *n_constant (NULL: not wanted), the caller's; written on success only
 * Errors   EH_EINVAL   no units, a count or level that makes no sense
 *          EH_EDOM     fewer than three items; y does not vary, or not within any stratum; no
 *                      stratum has two items, so that there is nothing to permute
 *          EH_ENUMERIC an x or y is not finite; the message says which
 *          EH_ENOMEM
 * Cost     B n_item n_unit multiply-adds (900 items, 270 units, B 9,999: see docs/methods/statistics.md),
 *          and for the few units that are looked at again 20 B n_item steps of shuffling; 8 n_item n_unit bytes.
 * Threads  n_thread; the same bytes for any number of them.
 */
int eh_correlate(const eh_sample *s, const eh_correlate_options *options, eh_correlation *out, int64_t *n_constant,
                 eh_err *err);

/*
 * Pearson's r of x and y after each group's mean has been taken from both: one r over all categories
 * that does not live on the differences between them. group NULL: one group, plain r. NaN: the unit does
 * not vary within any group.
 *
 * in       x [n_item, n_unit], y [n_item], group [n_item]; out r [n_unit]
 * Errors   EH_EINVAL no units; EH_EDOM fewer than three items, or y does not vary within any group;
 *          EH_ENUMERIC; EH_ENOMEM
 */
int eh_correlate_within(const float *x, const double *y, const int32_t *group, int64_t n_item, int64_t n_unit,
                        double *r, eh_err *err);

/*
 * Area under the ROC curve: the chance that a positive scores above a negative, ties half
 * (Mann and Whitney 1947).
 *
 * in       score [n], positive [n]
 * Errors   EH_EDOM no positive or no negative; EH_ENUMERIC; EH_ENOMEM
 */
int eh_auc(const double *score, const bool *positive, int64_t n, double *auc, eh_err *err);

#define EH_SPLITS 100

typedef struct eh_halves_options {
    uint64_t seed;
    int64_t n_split; /* 0: EH_SPLITS */
    double level;    /* of the interval; 0: 0.95 */
    bool within;     /* maps of `within` (strata's means taken off), not of r */
    int n_thread;
} eh_halves_options;

typedef struct eh_reliability {
    double half;      /* mean over splits of the correlation between the maps of two halves */
    double value;     /* that of the whole map, by Spearman-Brown: 2 half / (1 + half), not below -1 */
    double low, high; /* the middle `level` of the splits, by the same formula: how much it depends on
                         the split, and no confidence interval; NaN when not defined */
    int64_t n_split;
    int64_t n_undefined; /* splits on which it was not defined; part of nothing else */
    bool defined;        /* half of the splits at least were */
} eh_reliability;

/*
 * eh_split_half - would other questions give the same map?
 *
 * Clusters are split at random into halves, the map of r [n_unit] is computed on each half, and the
 * two maps are correlated over units that vary in both. A split is not defined when a half has fewer
 * than three items or no variation of y, or fewer than three units can be compared.
 *
 * Errors   EH_EINVAL a count or level that makes no sense; EH_EDOM fewer than two clusters or three
 *          units; EH_ENUMERIC; EH_ENOMEM
 */
int eh_split_half(const eh_sample *s, const eh_halves_options *options, eh_reliability *out, eh_err *err);

typedef struct eh_map_agreement {
    double r;
    double rho;
    int64_t n; /* units that have a value in both maps */
} eh_map_agreement;

/* Agreement of two whole maps [n_unit] (two seeds, two sets of questions, predicted and measured
 * effects). NaN in a map: the unit has no value, and is left out. Errors as eh_pearson over the rest. */
int eh_map_correlation(const double *a, const double *b, int64_t n_unit, eh_map_agreement *out, eh_err *err);

#endif
