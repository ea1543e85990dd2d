/*
 * Scores as functions of sums: every item adds a row of columns to its template's sums, and a score is computed from
 * the sums of whatever templates are drawn.
 *
 *     enum { N, RIGHT, WIDTH };                                    the columns
 *     static const eh_formula formulas[] = {{eh_formula_ratio, {RIGHT, N}, N}};
 *     rc = eh_formula_sheet(t, k, formulas, sheet, category, err);              of t->column
 */
#ifndef EH_TASK_FORMULA_H
#define EH_TASK_FORMULA_H

#include "task/task.h"

typedef struct eh_formula {
    eh_statistic_fn *value; /* its ctx is the formula */
    int8_t column[4];       /* what it is a function of */
    int8_t n;               /* the column that counts its items; -1: column[2] and column[3] together do */
} eh_formula;

#define EH_FORMULA_FROM_MINUS_1 "score, \xE2\x88\x92" "1 to 1" /* a unit */

/* column 0 / column 1; 0/0 is NaN: not defined. */
double eh_formula_ratio(const double *sum, const void *ctx);
double eh_formula_percent(const double *sum, const void *ctx);

/* The items that the formula is made of, in all. */
int64_t eh_formula_n(const eh_formula *f, const double *total);

/* A row's `sheet` (task.h), of the items' columns, which are zero for an item that takes no part: about.n_score
 * formulas, in the order of about.score. */
int eh_formula_sheet(const eh_open_task *t, int64_t k, const eh_formula *formula, eh_sheet *out, const char **category,
                     eh_err *err);

#endif
