/*
 * What a correlation is made of and what comes out: shared by correlation.h, which has the calls, and by
 * the permutation test behind it.
 *
 *     eh_sample s = {x, y, template_and_condition, template, n_item, n_unit};
 */
#ifndef EH_STATS_SAMPLE_H
#define EH_STATS_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/* What is correlated. Stratum and cluster are any numbers; equal numbers belong together. */
typedef struct eh_sample {
    const float *x;         /* [n_item, n_unit] a statistic of each unit on each item */
    const double *y;        /* [n_item] the measure */
    const int32_t *stratum; /* [n_item] y is permuted within these: question template x condition */
    const int32_t *cluster; /* [n_item] these are drawn whole, and split whole: question templates */
    int64_t n_item;
    int64_t n_unit;
} eh_sample;

typedef struct eh_correlation {
    double r;              /* Pearson, all items */
    double rho;            /* Spearman, all items */
    double within;         /* Pearson of x and y less their strata's means: what p judges; NaN where x
                              varies between strata only (then p = 1). Its sign may differ from r's. */
    double p;              /* two-sided, by permutation within strata; never 0 */
    double low, high;      /* interval of r by cluster bootstrap; NaN where method is "none" */
    const char *method;    /* one of the EH_METHOD_ words of estimate.h */
    int64_t n;             /* items */
    int64_t n_permutation; /* that p rests on */
    bool constant;         /* x does not vary: r, rho, within, low and high are NaN, and p = 1 */
} eh_correlation;

#endif
