/*
 * A score sheet: what a benchmark's answers come to, per template, and the scores that are made of it.
 *
 *     eh_sheet s;
 *     rc = eh_bbq_sheet(&set, answer, part, &s, err);       sums per template, and the scores' formulas
 *     rc = eh_sheet_estimate(&s, &options, e, err);             each score with its interval
 *     rc = eh_sheet_difference(&before, &after, &options, d, err);    paired: after less before
 *     eh_sheet_clear(&s);
 */
#ifndef EH_STATS_SHEET_H
#define EH_STATS_SHEET_H

#include "stats/estimate.h"

#define EH_SHEET_SCORES 24 /* most scores of one sheet */

typedef struct eh_sheet {
    double *sum;      /* [n_cluster, width]; the sheet's */
    int64_t *cluster; /* [n_cluster] which template each row is, ascending; the sheet's */
    int64_t n_cluster, width;
    int64_t n_score;
    eh_statistic score[EH_SHEET_SCORES]; /* in the order in which the benchmark describes them */
} eh_sheet;

/* Room for the templates that are there: has[i] of n says so for template i. EH_ENOMEM. */
int eh_sheet_open(eh_sheet *s, const bool *has, int64_t n, int64_t width, eh_err *err);
double *eh_sheet_row(const eh_sheet *s, int64_t cluster); /* the sums of a template that is there */
void eh_sheet_clear(eh_sheet *s);

int eh_sheet_estimate(const eh_sheet *s, const eh_bootstrap_options *options, eh_estimate *out, eh_err *err);

typedef struct eh_difference {
    eh_estimate e; /* of after - before: paired cluster bootstrap */
    double p;      /* two-sided; NaN where the difference is not defined */
    double mde;    /* smallest true difference that 80 % of such studies would find at 5 %; NaN without an interval */
} eh_difference;

/*
 * eh_sheet_difference - the same scores of the same templates, before and after
 *
 * p: before and after of a template are swapped at random, whole templates together (all 2^n ways where
 * they are no more than the draws asked for, else options->n_resample draws), and the difference is taken
 * anew: (1 + #{|d_b| >= |d|}) / (1 + B), or the exact share. For means this is the sign-flip test.
 * mde = 2.80 standard errors, the error taken from the interval's width.
 * out      [n_score]
 * Errors   EH_EINVAL the two sheets do not have the same templates or scores; those of eh_bootstrap
 */
int eh_sheet_difference(const eh_sheet *before, const eh_sheet *after, const eh_bootstrap_options *options,
                        eh_difference *out, eh_err *err);

#endif
