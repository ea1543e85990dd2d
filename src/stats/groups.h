/*
 * Groups of items, and maps of r about their means: what correlation.c, permutation.c, split.c and
 * paired.c share. Not for other rooms.
 */
#ifndef EH_STATS_GROUPS_H
#define EH_STATS_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

/* The sum of so many equal floats is exact in double, so that a constant column has deviations of exactly 0;
 * and counts of items times counts of units or threads do not overflow. */
#define EH_ITEMS_MAX ((int64_t)1 << 29)

typedef struct eh_groups {
    int64_t n;
    int32_t *of;    /* [n_item] 0..n-1, in ascending order of id */
    int32_t *item;  /* [n_item] the items, group by group */
    int32_t *begin; /* [n + 1] group g has item[begin[g]] .. item[begin[g + 1] - 1] */
} eh_groups;

/* id [n_item] any numbers; NULL: one group. EH_EINVAL more than EH_ITEMS_MAX items, EH_ENOMEM. */
int eh_groups_make(eh_arena *mem, const int32_t *id, int64_t n_item, eh_groups *g, eh_err *err);

/* EH_EINVAL no units, or more units or items than EH_ITEMS_MAX; EH_EDOM fewer than three items; EH_ENUMERIC an
 * x [n_item, n_unit] or y [n_item] that is not finite. */
int eh_items_check(const float *x, const double *y, int64_t n_item, int64_t n_unit, eh_err *err);

/* y about its mean, scaled so that nothing overflows; the sum of squares, 0 where y is constant.
 * out [n] */
double eh_centre(const double *y, int64_t n, double *out);

/* xy / sqrt(xx yy), kept in -1..1; NaN where a variance is 0. */
double eh_r_of_sums(double xy, double xx, double yy);

/* Scratch of one thread for eh_map_of. */
typedef struct eh_map_work {
    double *y;      /* [n_item] */
    double *first;  /* [n_group] */
    double *y_mean; /* [n_group] */
    int64_t *count; /* [n_group] */
    double *x_mean; /* [n_group, n_unit] */
    double *xx;     /* [n_unit] */
    double *xy;     /* [n_unit] */
} eh_map_work;

/* The measure of the n items listed about its means in the groups of [n_item] (NULL: one group), scaled, into
 * w->y [n]; the sum of squares, 0 where y is constant in every group. */
double eh_centre_by(const double *y, const int32_t *item, int64_t n, const int32_t *of, int64_t n_group,
                    const eh_map_work *w);

/* False: no memory. */
bool eh_map_work_make(eh_arena *mem, int64_t n_item, int64_t n_group, int64_t n_unit, eh_map_work *w);

/*
 * r [n_unit] of x [n_item, n_unit] and y [n_item] over the n items listed, both about their means in the
 * groups of [n_item] (NULL: one group). NaN for a unit that does not vary in any group; false, and r as
 * it was, where y does not.
 */
bool eh_map_of(const float *x, const double *y, int64_t n_unit, const int32_t *item, int64_t n, const int32_t *of,
               int64_t n_group, const eh_map_work *w, double *r);

#endif
