#include "stats/groups.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int eh_groups_make(eh_arena *mem, const int32_t *id, int64_t n_item, eh_groups *g, eh_err *err)
{
    if (n_item > EH_ITEMS_MAX)
        return eh_fail(err, EH_EINVAL, "%lld items; at most %lld can be had", (long long)n_item,
                       (long long)EH_ITEMS_MAX);
    eh_groups made = {
        .of = eh_new(mem, int32_t, n_item),
        .item = eh_new(mem, int32_t, n_item),
        .begin = eh_new(mem, int32_t, n_item + 1),
    };
    const eh_arena_mark here = eh_arena_here(mem);
    uint64_t *key = eh_new(mem, uint64_t, n_item);
    if (made.of == NULL || made.item == NULL || made.begin == NULL || key == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the groups of %lld items", (long long)n_item);

    /* By id, then by place: the key's halves. */
    for (int64_t i = 0; i < n_item; i++)
        key[i] = (uint64_t)((id == NULL ? 0 : (int64_t)id[i]) - INT32_MIN) << 32 | (uint64_t)i;
    qsort(key, (size_t)n_item, sizeof *key, compare);
    for (int64_t k = 0; k < n_item; k++) {
        if (k == 0 || key[k] >> 32 != key[k - 1] >> 32)
            made.begin[made.n++] = (int32_t)k;
        made.item[k] = (int32_t)(key[k] & UINT32_MAX);
        made.of[made.item[k]] = (int32_t)(made.n - 1);
    }
    made.begin[made.n] = (int32_t)n_item;
    eh_arena_rewind(mem, here);
    *g = made;
    return EH_OK;
}

int eh_items_check(const float *x, const double *y, int64_t n_item, int64_t n_unit, eh_err *err)
{
    if (n_unit < 1 || n_unit > EH_ITEMS_MAX || n_item > EH_ITEMS_MAX)
        return eh_fail(err, EH_EINVAL, "a correlation of %lld units over %lld items; 1 to %lld of either can be had",
                       (long long)n_unit, (long long)n_item, (long long)EH_ITEMS_MAX);
    if (n_item < 3)
        return eh_fail(err, EH_EDOM, "a correlation over %lld items says nothing; at least three are needed",
                       (long long)n_item);
    for (int64_t i = 0; i < n_item; i++) {
        if (!isfinite(y[i]))
            return eh_fail(err, EH_ENUMERIC, "the measure of item %lld is %g", (long long)i, y[i]);
        for (int64_t u = 0; u < n_unit; u++)
            if (!isfinite(x[i * n_unit + u]))
                return eh_fail(err, EH_ENUMERIC, "the statistic of unit %lld on item %lld is %g", (long long)u,
                               (long long)i, (double)x[i * n_unit + u]);
    }
    return EH_OK;
}

static double largest(const double *y, int64_t n)
{
    double top = 0;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, fabs(y[i]));
    return top > 0 ? top : 1;
}

/* Equal values are taken from each other before anything is rounded, so that a constant gives exactly 0. */
double eh_centre(const double *y, int64_t n, double *out)
{
    const double scale = largest(y, n), first = n > 0 ? y[0] / scale : 0;
    double mean = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        out[i] = y[i] / scale - first;
        mean += out[i];
    }
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        out[i] -= mean;
        sum += out[i] * out[i];
    }
    return sum;
}

double eh_r_of_sums(double xy, double xx, double yy)
{
    if (!(xx > 0 && yy > 0))
        return NAN;
    return fmax(-1, fmin(1, xy / (sqrt(xx) * sqrt(yy))));
}

bool eh_map_work_make(eh_arena *mem, int64_t n_item, int64_t n_group, int64_t n_unit, eh_map_work *w)
{
    *w = (eh_map_work){
        .y = eh_new(mem, double, n_item),
        .first = eh_new(mem, double, n_group),
        .y_mean = eh_new(mem, double, n_group),
        .count = eh_new(mem, int64_t, n_group),
        .x_mean = eh_new(mem, double, n_group * n_unit),
        .xx = eh_new(mem, double, n_unit),
        .xy = eh_new(mem, double, n_unit),
    };
    return w->y != NULL && w->first != NULL && w->y_mean != NULL && w->count != NULL && w->x_mean != NULL &&
           w->xx != NULL && w->xy != NULL;
}

double eh_centre_by(const double *y, const int32_t *item, int64_t n, const int32_t *of, int64_t n_group,
                    const eh_map_work *w)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        w->y[k] = y[item[k]];
    const double scale = largest(w->y, n);
    for (int64_t g = 0; g < n_group; g++) {
        w->count[g] = 0;
        w->y_mean[g] = 0;
    }
    for (int64_t k = 0; k < n; k++) {
        const int64_t g = of == NULL ? 0 : of[item[k]];
        w->y[k] /= scale;
        if (w->count[g]++ == 0)
            w->first[g] = w->y[k];
        w->y[k] -= w->first[g];
        w->y_mean[g] += w->y[k];
    }
    for (int64_t k = 0; k < n; k++) {
        const int64_t g = of == NULL ? 0 : of[item[k]];
        w->y[k] -= w->y_mean[g] / (double)w->count[g];
        sum += w->y[k] * w->y[k];
    }
    return sum;
}

bool eh_map_of(const float *x, const double *y, int64_t n_unit, const int32_t *item, int64_t n, const int32_t *of,
               int64_t n_group, const eh_map_work *w, double *r)
{
    const double yy = eh_centre_by(y, item, n, of, n_group, w);
    if (!(yy > 0))
        return false;
    for (int64_t i = 0; i < n_group * n_unit; i++)
        w->x_mean[i] = 0;
    for (int64_t k = 0; k < n; k++) {
        const float *row = x + item[k] * n_unit;
        double *mean = w->x_mean + (of == NULL ? 0 : of[item[k]]) * n_unit;
        for (int64_t u = 0; u < n_unit; u++)
            mean[u] += (double)row[u];
    }
    for (int64_t g = 0; g < n_group; g++)
        for (int64_t u = 0; u < n_unit && w->count[g] > 0; u++)
            w->x_mean[g * n_unit + u] /= (double)w->count[g];
    for (int64_t u = 0; u < n_unit; u++)
        w->xx[u] = w->xy[u] = 0;
    for (int64_t k = 0; k < n; k++) {
        const float *row = x + item[k] * n_unit;
        const double *mean = w->x_mean + (of == NULL ? 0 : of[item[k]]) * n_unit;
        for (int64_t u = 0; u < n_unit; u++) {
            const double d = (double)row[u] - mean[u];
            w->xx[u] += d * d;
            w->xy[u] += d * w->y[k];
        }
    }
    for (int64_t u = 0; u < n_unit; u++)
        r[u] = eh_r_of_sums(w->xy[u], w->xx[u], yy);
    return true;
}
