#include "edit/select.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

const eh_select_options eh_select_published = {.q = 2.0, .floor = 0.2, .share = 0.3};

static int by_weight(const void *a, const void *b)
{
    const eh_pick *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    return x->head < y->head ? -1 : x->head > y->head;
}

int eh_select_heads(const double *r, const double *q, int64_t n_category, int64_t n_layer, int64_t n_head,
                    const eh_select_options *options, eh_pick *pick, int64_t *n, eh_err *err)
{
    if (n_category < 1)
        return eh_fail(err, EH_EINVAL, "there is no category to select from");
    if (!(options->q >= 0.0) || !(options->floor >= 0.0 && options->floor <= 1.0) ||
        !(options->share > 0.0 && options->share <= 1.0))
        return eh_fail(err, EH_EINVAL, "selection by q %g, |r| from %g, %g of the categories; wanted 0 to 1 each",
                       options->q,
                       options->floor, options->share);
    const int64_t n_unit = n_layer * n_head;
    const int64_t least = (int64_t)ceil(options->share * (double)n_category - 1e-9);
    *n = 0;
    for (int64_t u = 0; u < n_unit; u++) {
        eh_pick side[2] = {{.q = INFINITY}, {.q = INFINITY}}; /* qualifying with r < 0, and with r > 0 */
        for (int64_t c = 0; c < n_category; c++) {
            const double rc = r[c * n_unit + u], qc = q[c * n_unit + u];
            if (isnan(rc) || !(fabs(rc) >= options->floor) || rc == 0.0)
                continue;
            if (options->q <= 1.0 && !(qc <= options->q))
                continue;
            eh_pick *s = &side[rc > 0.0];
            s->n_category++;
            s->weight += fabs(rc);
            s->score += rc;
            s->q = qc < s->q ? qc : s->q;
        }
        /* One sign: a head that qualifies both ways is taken for neither unless one alone is enough. */
        const eh_pick *s = side[1].weight >= side[0].weight ? &side[1] : &side[0];
        if (s->n_category < least || s->n_category == 0)
            continue;
        pick[*n] = *s;
        pick[*n].layer = u / n_head;
        pick[*n].head = u % n_head;
        pick[*n].score /= (double)s->n_category;
        (*n)++;
    }
    qsort(pick, (size_t)*n, sizeof *pick, by_weight);
    return EH_OK;
}

int eh_select_twin(const eh_pick *pick, int64_t n, int64_t n_layer, int64_t n_head, uint64_t seed, int64_t draw,
                   eh_pick *twin, eh_err *err)
{
    int64_t *order = eh_alloc(n_head, (int64_t)sizeof *order);
    bool *taken = eh_alloc(n_head, (int64_t)sizeof *taken);
    int rc = order == NULL || taken == NULL ? eh_fail(err, EH_ENOMEM, "no memory for %lld heads", (long long)n_head)
                                            : EH_OK;
    for (int64_t l = 0; l < n_layer && rc == EH_OK; l++) {
        int64_t n_here = 0, n_order = 0;
        for (int64_t h = 0; h < n_head; h++)
            taken[h] = false;
        for (int64_t i = 0; i < n; i++)
            if (pick[i].layer == l) {
                taken[pick[i].head] = true;
                n_here++;
            }
        if (n_here == 0)
            continue;
        for (int64_t h = 0; h < n_head; h++)
            if (!taken[h] || n_head < 2 * n_here)
                order[n_order++] = h;
        eh_rng r = eh_rng_at(seed, "twin", (uint64_t)(draw * n_layer + l));
        eh_rng_shuffle(&r, order, n_order);
        int64_t at = 0;
        for (int64_t i = 0; i < n; i++)
            if (pick[i].layer == l) {
                twin[i] = pick[i];
                twin[i].head = order[at++];
            }
    }
    eh_free(order);
    eh_free(taken);
    return rc;
}
