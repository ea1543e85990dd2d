/*
 * Before and after, item by item.
 *
 *     eh_paired e;
 *     rc = eh_sign_flip(after_less_before, template, n, &(eh_paired_options){.seed = 1}, &e, err);
 *     e.mean, e.p, e.se; an effect below e.detectable would most likely have been missed
 *     rc = eh_mcnemar(only_before_right, only_after_right, &p, err);
 *
 * The interval of a difference of two ratio scores comes from eh_bootstrap (estimate.h) with both
 * measurements side by side in a row of twice the width.
 */
#ifndef EH_STATS_PAIRED_H
#define EH_STATS_PAIRED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define EH_FLIPS 9999
#define EH_FLIP_EXACT 16 /* up to that many clusters all 2^k sign patterns are looked at */

typedef struct eh_paired_options {
    uint64_t seed;
    int64_t n_flip; /* sign patterns drawn where there are too many; 0: EH_FLIPS */
    double alpha;   /* of `detectable`, two-sided; 0: 0.05 */
    double power;   /* of `detectable`; 0: 0.8 */
} eh_paired_options;

typedef struct eh_paired {
    double mean;       /* of the differences, over items */
    double se;         /* its standard error over clusters; NaN with one cluster */
    double detectable; /* the smallest true |mean| that is found with `power` at `alpha`; NaN with se */
    double p;          /* two-sided */
    double least;      /* no p below this can be had with so many clusters or draws */
    int64_t n;
    int64_t n_cluster;
    int64_t n_flip; /* sign patterns behind p */
    bool exact;     /* all of them were looked at */
} eh_paired;

/*
 * eh_sign_flip - is the mean difference zero?
 *
 * Under no effect a cluster's differences are as likely with all signs turned. Clusters are turned as a
 * whole; p is the share of sign patterns whose |sum| is at least the one found. Up to EH_FLIP_EXACT
 * clusters: all patterns, the one found among them. Beyond: (1 + count) / (n_flip + 1) over random ones.
 *
 * in       diff [n]; cluster [n], NULL: each item is its own
 * Errors   EH_EINVAL n < 1 or a count, alpha or power that makes no sense; EH_ENUMERIC; EH_ENOMEM
 */
int eh_sign_flip(const double *diff, const int32_t *cluster, int64_t n, const eh_paired_options *options,
                 eh_paired *out, eh_err *err);

/* The smallest true effect that a two-sided test at `alpha` finds with probability `power`, given the
 * estimate's standard error: (z(1 - alpha/2) + z(power)) se (Bloom 1995). */
double eh_detectable(double se, double alpha, double power);

/*
 * McNemar's exact test (1947): of the items whose answer changed between right and wrong, are as many
 * lost as won? Two-sided binomial p; 1 when none changed. Items of a template are not independent:
 * eh_sign_flip on the differences of right (0 or 1) knows about that, this does not.
 *
 * Errors   EH_EINVAL a count below 0, or more than 1e7 in all
 */
int eh_mcnemar(int64_t lost, int64_t won, double *p, eh_err *err);

#endif
