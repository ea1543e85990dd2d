/*
 * Which heads are taken for an edit, and their random twins (docs/methods/heads.md).
 *
 *     eh_select_options options = {.q = 0.05, .floor = 0.1, .share = 0.3};
 *     rc = eh_select_heads(r, q, n_category, n_layer, n_head, &options, pick, &n_pick, err);
 *     rc = eh_select_twin(pick, n_pick, n_layer, n_head, seed, draw, twin, err);
 */
#ifndef EH_EDIT_SELECT_H
#define EH_EDIT_SELECT_H

#include <stdint.h>

#include "base/err.h"

typedef struct eh_select_options {
    double q;     /* largest false-discovery rate at which a head qualifies in a category; above 1: not asked */
    double floor; /* smallest |r| */
    double share; /* of the categories in which it must qualify, with one sign */
} eh_select_options;

/* The published thresholds: |r| >= 0.2 in 30 % of the categories, no test. With 20 items that keeps
 * 70 % of heads that are pure noise: for comparison only. */
extern const eh_select_options eh_select_published;

typedef struct eh_pick {
    int64_t layer, head;
    double weight;      /* sum of |r| over the categories in which it qualifies */
    double score;       /* mean r there, signed */
    double q;           /* the smallest q there */
    int64_t n_category; /* in how many */
} eh_pick;

/*
 * in   r, q  [n_category, n_layer * n_head]; NaN: not defined there, which never qualifies
 * out  pick  [n_layer * n_head] room for all; *n of them are set, by weight, then layer, then head
 * Errors   EH_EINVAL no category, or an option outside 0..1
 */
int eh_select_heads(const double *r, const double *q, int64_t n_category, int64_t n_layer, int64_t n_head,
                    const eh_select_options *options, eh_pick *pick, int64_t *n, eh_err *err);

/*
 * As many heads of the same layers, drawn from those that were not picked (from all of the layer where
 * the picks leave too few); draw 0, 1, ... are different twins of one seed. Weights are the picks'.
 * out  twin [n]
 */
int eh_select_twin(const eh_pick *pick, int64_t n, int64_t n_layer, int64_t n_head, uint64_t seed, int64_t draw,
                   eh_pick *twin, eh_err *err);

#endif
