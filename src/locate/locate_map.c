/* The map: every statistic of every head against the measure, by category and over all of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stats/correlation.h"
#include "stats/multiple.h"
#include "locate/locate.h"

#define RELIABLE 0.3 /* a map below this is labelled noise (docs/methods/statistics.md) */

/* The items of one category (or all, -1) on which statistic s is defined, gathered for eh_correlate. */
typedef struct gathered {
    float *x; /* [n, n_unit] */
    double *y;
    int32_t *stratum, *cluster, *group;
    int64_t n;
    eh_arena memory;
} gathered;

static int gather(const eh_head_map *l, int s, int32_t category, gathered *g, eh_err *err)
{
    const eh_locate_items *t = &l->items;
    *g = (gathered){0};
    g->x = eh_new_raw(&g->memory, float, t->n * t->n_unit);
    g->y = eh_new_raw(&g->memory, double, t->n);
    g->stratum = eh_new_raw(&g->memory, int32_t, t->n);
    g->cluster = eh_new_raw(&g->memory, int32_t, t->n);
    g->group = eh_new_raw(&g->memory, int32_t, t->n);
    if (!g->x || !g->y || !g->stratum || !g->cluster || !g->group) {
        eh_arena_clear(&g->memory);
        return eh_fail(err, EH_ENOMEM, "no memory to correlate %lld items", (long long)t->n);
    }
    for (int64_t i = 0; i < t->n; i++) {
        const float *x = t->stat[s] + i * t->n_unit;
        const double y = t->measure[l->measure][i];
        if ((category >= 0 && t->category[i] != category) || isnan(y) || isnan(x[0]))
            continue;
        memcpy(g->x + g->n * t->n_unit, x, (size_t)t->n_unit * sizeof *x);
        g->y[g->n] = y;
        g->stratum[g->n] = t->stratum[i];
        g->cluster[g->n] = t->cluster[i];
        g->group[g->n++] = t->category[i];
    }
    return EH_OK;
}

/* Takes each category's means off: what is left does not live on the differences between them. */
static int centre(gathered *g, int64_t n_unit, int64_t n_category, eh_err *err)
{
    double *mean = eh_new(&g->memory, double, n_category * (n_unit + 1));
    int64_t *n = eh_new(&g->memory, int64_t, n_category);
    if (mean == NULL || n == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the means of %lld categories", (long long)n_category);
    for (int64_t i = 0; i < g->n; i++) {
        double *m = mean + g->group[i] * (n_unit + 1);
        n[g->group[i]]++;
        m[n_unit] += g->y[i];
        for (int64_t u = 0; u < n_unit; u++)
            m[u] += (double)g->x[i * n_unit + u];
    }
    for (int64_t c = 0; c < n_category; c++)
        for (int64_t u = 0; u <= n_unit && n[c] > 0; u++)
            mean[c * (n_unit + 1) + u] /= (double)n[c];
    for (int64_t i = 0; i < g->n; i++) {
        const double *m = mean + g->group[i] * (n_unit + 1);
        g->y[i] -= m[n_unit];
        for (int64_t u = 0; u < n_unit; u++)
            g->x[i * n_unit + u] = (float)((double)g->x[i * n_unit + u] - m[u]);
    }
    return EH_OK;
}

/* Rows of one category. One too small or without variation gives no rows. */
static int correlate(eh_head_map *l, int s, int32_t category, const char *name, int64_t *n_constant, eh_err *err)
{
    const int64_t n_unit = l->items.n_unit, n_head = l->s->m->config.n_head;
    gathered g;
    int rc = gather(l, s, category, &g, err);
    if (rc < 0)
        return rc;
    double *mean = eh_new(&g.memory, double, n_unit);
    eh_correlation *c = eh_new(&g.memory, eh_correlation, n_unit);
    if (mean == NULL || c == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld heads", (long long)n_unit);
        goto done;
    }
    for (int64_t i = 0; i < g.n; i++)
        for (int64_t u = 0; u < n_unit; u++)
            mean[u] += (double)g.x[i * n_unit + u] / (double)g.n;
    if (category < 0 && (rc = centre(&g, n_unit, l->task->names.n_category, err)) < 0)
        goto done;
    const eh_sample sample = {g.x, g.y, g.stratum, g.cluster, g.n, n_unit};
    const eh_correlate_options options = {.seed = l->plan.o.seed,
                                  .n_permutation = l->o.permutations,
                                  .n_bootstrap = l->plan.o.resamples,
                                  .level = l->plan.o.confidence,
                                  .n_thread = l->s->threads};
    rc = eh_correlate(&sample, &options, c, n_constant, err);
    if (rc == EH_EDOM) { /* said, not hidden: the category stands in no table */
        rc = eh_buf_note(&l->notes, err, "%s, %s: no correlation: %s.", name, eh_head_stat_name(s), err->text);
        goto done;
    }
    for (int64_t u = 0; u < n_unit && rc == EH_OK; u++)
        l->row[l->result.n_row++] = (eh_head_row){
            .layer = u / n_head,
            .head = u % n_head,
            .category = name,
            .statistic = eh_head_stat_name(s),
            .score = c[u].r,
            .rho = c[u].rho,
            .p = c[u].p,
            .q = (double)NAN,
            .low = c[u].low,
            .high = c[u].high,
            .mean = mean[u],
            .n = g.n,
            /* A test of another sign than r's does not speak for r. */
            .agrees = c[u].r * c[u].within > 0.0,
        };
done:
    eh_arena_clear(&g.memory);
    return rc;
}

/* q over rows [from, to). */
static int adjust(eh_head_map *l, int64_t from, int64_t to, eh_err *err)
{
    if (from == to)
        return EH_OK;
    double *p = eh_alloc(to - from, (int64_t)sizeof *p);
    if (p == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld tests", (long long)(to - from));
    for (int64_t i = from; i < to; i++)
        p[i - from] = l->row[i].p;
    const int rc = eh_bh(p, to - from, p, err);
    for (int64_t i = from; i < to && rc == EH_OK; i++)
        l->row[i].q = p[i - from];
    eh_free(p);
    return rc;
}

/* ---- Reliability and selection ---------------------------------------------------------------------- */

static int reliability(eh_head_map *l, eh_err *err)
{
    gathered g;
    eh_locate_result *r = &l->result;
    r->split_half = r->split_half_low = r->split_half_high = r->half_map_correlation = (double)NAN;
    int rc = gather(l, l->statistic, -1, &g, err);
    if (rc < 0)
        return rc;
    rc = centre(&g, l->items.n_unit, l->task->names.n_category, err);
    const eh_sample sample = {g.x, g.y, g.stratum, g.cluster, g.n, l->items.n_unit};
    eh_reliability e;
    if (rc == EH_OK)
        rc = eh_split_half(&sample, &(eh_halves_options){.seed = l->plan.o.seed, .n_thread = l->s->threads}, &e, err);
    if (rc == EH_OK && e.defined) {
        r->split_half = e.value;
        r->split_half_low = e.low;
        r->split_half_high = e.high;
        r->half_map_correlation = e.half;
    }
    eh_arena_clear(&g.memory);
    return rc == EH_EDOM ? EH_OK : rc; /* one template: no halves, not defined */
}

static const char *keep_text(eh_head_map *l, const char *text)
{
    return eh_arena_text(&l->memory, text, (int64_t)strlen(text));
}

/* Categories with rows of the statistic that selects, their r and q by head. */
static int choose(eh_head_map *l, eh_err *err)
{
    eh_locate_result *r = &l->result;
    const int64_t n_unit = l->items.n_unit;
    const char *statistic = eh_head_stat_name(l->statistic);
    const bool published = l->o.select == EH_SELECT_PUBLISHED;
    eh_arena mem = {0};
    double *score = eh_new(&mem, double, l->task->names.n_category * n_unit);
    double *q = eh_new(&mem, double, l->task->names.n_category * n_unit);
    eh_pick *pick = eh_new(&mem, eh_pick, n_unit);
    l->choice = eh_calloc(n_unit, (int64_t)sizeof *l->choice);
    int rc = EH_OK;
    if (!score || !q || !pick || !l->choice) {
        rc = eh_fail(err, EH_ENOMEM, "no memory to select from %lld heads", (long long)n_unit);
        goto done;
    }
    for (int64_t i = 0; i + n_unit <= r->n_row; i += n_unit) {
        const eh_head_row *row = &r->row[i];
        if (strcmp(row->statistic, statistic) != 0 || strcmp(row->category, "all") == 0)
            continue;
        for (int64_t u = 0; u < n_unit; u++) {
            score[r->n_category * n_unit + u] = row[u].agrees || published ? row[u].score : (double)NAN;
            q[r->n_category * n_unit + u] = row[u].q;
        }
        r->n_category++;
    }
    const eh_select_options fdr = {l->o.q, l->o.floor, l->o.share};
    int64_t n = 0;
    if (r->n_category > 0)
        rc = eh_select_heads(score, q, r->n_category, l->s->m->config.n_layer, l->s->m->config.n_head,
                             published ? &eh_select_published : &fdr, pick, &n, err);
    if (rc < 0)
        goto done;
    if (published)
        rc = eh_buf_note(&l->notes, err, "Selected by the published thresholds, |r| >= 0.2 in 30 %% of the categories, "
                         "without a test: with 20 items a category this keeps most heads that are pure noise.");
    char why[600] = "";
    if (r->n_category == 0)
        snprintf(why, sizeof why, "no category had enough items for a correlation with %s", statistic);
    else if (n == 0)
        snprintf(why, sizeof why,
                 "no head's %s correlates with %s beyond chance (false-discovery rate %g, |r| at least %g) in %g %% of "
                 "the %lld categories with the same sign",
                 statistic, r->measure, l->o.q, l->o.floor, 100 * l->o.share, (long long)r->n_category);
    else if (!published && !l->o.even_noise && r->split_half < RELIABLE)
        snprintf(why, sizeof why,
                 "the map of %s is noise: its half-map correlation is %.2f, its reliability %.2f (Spearman-Brown; "
                 "wanted %.1f); the %lld heads that passed the test are not selected (--even-noise selects them)",
                 statistic, r->half_map_correlation, r->split_half, RELIABLE, (long long)n);
    if (why[0] != '\0') {
        n = 0;
        r->why = keep_text(l, why);
        if (r->why == NULL)
            rc = eh_fail(err, EH_ENOMEM, "no memory for a sentence");
    }
    for (int64_t i = 0; i < n; i++)
        l->choice[i] = (eh_head_choice){pick[i].layer, pick[i].head, pick[i].weight, pick[i].score, pick[i].q,
                                        pick[i].n_category};
    r->choice = l->choice;
    r->n_choice = n;
    r->found = n > 0;
done:
    eh_arena_clear(&mem);
    return rc;
}

int eh_locate_map(eh_head_map *l, eh_err *err)
{
    eh_locate_result *r = &l->result;
    const eh_task_names *names = &l->task->names;
    *r = (eh_locate_result){
        .statistic = eh_head_stat_name(l->statistic),
        .measure = eh_choice_name(EH_CHOICE_MEASURE, (int)l->measure),
        .n_item = l->items.n,
        .n_skipped = l->items.n_skipped,
        .n_unplaced = l->items.n_unplaced,
        .n_layer = l->s->m->config.n_layer,
        .n_head = l->s->m->config.n_head,
        .confirmed = (double)NAN,
        .confirmed_effect = (double)NAN,
    };
    l->row = eh_alloc((names->n_category + 1) * EH_HEAD_N_STAT, l->items.n_unit * (int64_t)sizeof *l->row);
    if (l->row == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the rows of %lld heads", (long long)l->items.n_unit);
    r->row = l->row;
    int rc = EH_OK;
    for (int s = 0; s < EH_HEAD_N_STAT && rc == EH_OK; s++) {
        if (!l->wanted[s])
            continue;
        int64_t constant = 0, all_constant = 0;
        const int64_t first = r->n_row;
        rc = correlate(l, s, -1, "all", &all_constant, err);
        if (rc == EH_OK)
            rc = adjust(l, first, r->n_row, err);
        const int64_t from = r->n_row;
        for (int32_t c = 0; c < names->n_category && rc == EH_OK; c++) {
            bool there = false;
            for (int64_t i = 0; i < l->items.n && !there; i++)
                there = l->items.category[i] == c;
            if (there)
                rc = correlate(l, s, c, names->category[c], &constant, err);
        }
        if (rc == EH_OK)
            rc = adjust(l, from, r->n_row, err);
        if (rc == EH_OK && all_constant > 0)
            rc = eh_buf_note(&l->notes, err, "%s does not vary at all in %lld of %lld heads: refused there, not "
                             "reported as 0.", eh_head_stat_name(s), (long long)all_constant,
                             (long long)l->items.n_unit);
    }
    if (rc == EH_OK)
        rc = reliability(l, err);
    if (rc == EH_OK)
        rc = choose(l, err);
    if (rc == EH_OK && r->split_half < RELIABLE)
        rc = eh_buf_note(&l->notes, err, "Reliability of the map: %.2f (Spearman-Brown from two halves of the "
                         "templates). Below 0.3 it is noise, however pretty its picture.", r->split_half);
    return rc;
}
