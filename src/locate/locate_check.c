/* Is the map true? Heads really ablated, and components put in place one at a time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "probe/patch.h"
#include "stats/correlation.h"
#include "locate/locate.h"

/* Items on which a head is ablated, at most: each head costs two more passes over them. */
#define CONFIRM_ITEMS 100
#define TRACE_BLOCK 8

/* ---- Which items, and their targets ------------------------------------------------------------------ */

/* The items that take part, or `most` of them drawn by seed, ascending. */
static int draw_items(const eh_head_map *l, const char *purpose, int64_t most, int64_t *pick, int64_t *n, eh_err *err)
{
    const eh_open_task *t = l->task;
    int64_t *order = eh_alloc(t->n_pick, (int64_t)sizeof *order);
    if (order == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld items", (long long)t->n_pick);
    for (int64_t i = 0; i < t->n_pick; i++)
        order[i] = i;
    eh_rng r = eh_rng_at(l->plan.o.seed, purpose, 0);
    if (t->n_pick > most)
        eh_rng_shuffle(&r, order, t->n_pick);
    bool *in = eh_calloc(t->n_pick, (int64_t)sizeof *in);
    if (in == NULL) {
        eh_free(order);
        return eh_fail(err, EH_ENOMEM, "no memory for %lld items", (long long)t->n_pick);
    }
    for (int64_t k = 0; k < t->n_pick && k < most; k++)
        in[order[k]] = true;
    *n = 0;
    for (int64_t i = 0; i < t->n_pick; i++)
        if (in[i])
            pick[(*n)++] = t->pick[i];
    eh_free(in);
    eh_free(order);
    return EH_OK;
}

/* The requests that the items' targets are made of, and nothing else. */
typedef struct targets {
    eh_ask ask;
    eh_arena arena;
    eh_look *look; /* [n] */
    int64_t n;
    eh_request *request; /* [n_request] */
    eh_answer *answer;   /* their rooms are the ask's */
    int64_t n_request;
    double *base, *now; /* [n] the target of each item */
} targets;

static void targets_clear(targets *t)
{
    eh_ask_clear(&t->ask);
    eh_arena_clear(&t->arena);
}

static int targets_open(eh_head_map *l, const int64_t *pick, int64_t n, targets *t, eh_err *err)
{
    int64_t number[EH_TASK_NUMBERS];
    *t = (targets){.ask = {.who = l->task->who, .places = true}};
    t->look = eh_new(&t->arena, eh_look, n);
    t->base = eh_new(&t->arena, double, n);
    t->now = eh_new(&t->arena, double, n);
    int rc = t->look && t->base && t->now ? EH_OK
                                          : eh_fail(err, EH_ENOMEM, "no memory for the targets of %lld items",
                                                    (long long)n);
    for (int64_t k = 0; k < n && rc == EH_OK; k++) {
        rc = eh_locate_ask(l, pick[k], &t->ask, number, &t->arena, &t->look[t->n], err);
        t->n += rc == EH_OK && t->look[t->n].skip == NULL;
    }
    if (rc < 0)
        return rc;
    bool *used = eh_new(&t->arena, bool, t->ask.n);
    t->request = eh_new(&t->arena, eh_request, t->ask.n);
    t->answer = eh_new(&t->arena, eh_answer, t->ask.n);
    if (used == NULL || t->request == NULL || t->answer == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld requests", (long long)t->ask.n);
    for (int64_t k = 0; k < t->n; k++)
        for (int p = 0; p < t->look[k].n_part; p++)
            used[t->look[k].part[p].number] = true;
    for (int64_t r = 0; r < t->ask.n; r++)
        if (used[r]) {
            t->request[t->n_request] = t->ask.request[r];
            t->answer[t->n_request++] = t->ask.answer[r];
        }
    return EH_OK;
}

/* Scores them under an observer and puts each item's target into out. */
static int targets_score(eh_head_map *l, targets *t, const eh_observer *o, double *out, eh_err *err)
{
    const int rc = eh_score_observed(l->s, t->request, t->n_request, t->answer, o, 1, err);
    for (int64_t k = 0; k < t->n && rc == EH_OK; k++) {
        out[k] = 0.0;
        for (int p = 0; p < t->look[k].n_part; p++) {
            const int64_t number = t->look[k].part[p].number, cand = t->look[k].part[p].cand;
            out[k] += t->look[k].part[p].weight * (cand >= 0 ? (double)t->ask.answer[number].cand_logprob[cand]
                                                             : eh_ask_sum(&t->ask, number));
        }
    }
    return rc;
}

/* Mean of d [n], and its standard error over whole templates. */
static void mean_of(const eh_look *look, const double *d, int64_t n, int64_t n_cluster, double *sum, double *mean,
                    double *error)
{
    *mean = 0.0;
    for (int64_t k = 0; k < n; k++)
        *mean += d[k] / (double)n;
    for (int64_t c = 0; c < n_cluster; c++)
        sum[c] = 0.0;
    bool several = false;
    for (int64_t k = 0; k < n; k++) {
        sum[look[k].cluster] += d[k] - *mean;
        several |= look[k].cluster != look[0].cluster;
    }
    double square = 0.0;
    for (int64_t c = 0; c < n_cluster; c++)
        square += sum[c] * sum[c];
    *error = several ? sqrt(square) / (double)n : (double)NAN;
}

/* ---- Ablation ------------------------------------------------------------------------------------------ */

static const eh_head_row *pooled_row(const eh_head_map *l, const char *statistic)
{
    for (int64_t i = 0; i < l->result.n_row; i += l->items.n_unit)
        if (strcmp(l->row[i].category, "all") == 0 && strcmp(l->row[i].statistic, statistic) == 0)
            return &l->row[i];
    return NULL;
}

static int by_predicted(const void *a, const void *b)
{
    const eh_ablated *x = a, *y = b;
    const double dx = isnan(x->predicted) ? -1.0 : x->predicted, dy = isnan(y->predicted) ? -1.0 : y->predicted;
    if (dx != dy)
        return dx > dy ? -1 : 1;
    return x->layer != y->layer ? (x->layer < y->layer ? -1 : 1) : x->head < y->head ? -1 : x->head > y->head;
}

/* The heads that are ablated: the top by the pooled map, and their random twins; or all. */
static int choose_heads(eh_head_map *l, eh_err *err)
{
    const int64_t n_unit = l->items.n_unit, n_layer = l->items.n_layer, n_head = l->s->m->config.n_head;
    const eh_head_row *map = pooled_row(l, l->result.statistic), *effect = pooled_row(l, "head_effect");
    eh_ablated *all = eh_calloc(n_unit, (int64_t)sizeof *all);
    eh_pick *pick = eh_calloc(2 * n_unit, (int64_t)sizeof *pick);
    l->ablated = eh_calloc(2 * n_unit, (int64_t)sizeof *l->ablated);
    int rc = EH_OK;
    if (all == NULL || pick == NULL || l->ablated == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld heads", (long long)n_unit);
        goto done;
    }
    for (int64_t u = 0; u < n_unit; u++)
        all[u] = (eh_ablated){.layer = u / n_head,
                              .head = u % n_head,
                              .top = true,
                              .predicted = map != NULL ? fabs(map[u].score) : (double)NAN,
                              .effect = effect != NULL ? -effect[u].mean : (double)NAN};
    const int64_t k = l->o.confirm < 0 || l->o.confirm > n_unit ? n_unit : l->o.confirm;
    eh_ablated *sorted = l->ablated;
    memcpy(sorted, all, (size_t)n_unit * sizeof *all);
    qsort(sorted, (size_t)n_unit, sizeof *sorted, by_predicted);
    l->result.n_ablated = k;
    if (k < n_unit) {
        for (int64_t i = 0; i < k; i++)
            pick[i] = (eh_pick){.layer = sorted[i].layer, .head = sorted[i].head};
        rc = eh_select_twin(pick, k, n_layer, n_head, l->plan.o.seed, 0, pick + k, err);
        for (int64_t i = 0; i < k && rc == EH_OK; i++) {
            l->ablated[k + i] = all[pick[k + i].layer * n_head + pick[k + i].head];
            l->ablated[k + i].top = false;
        }
        l->result.n_ablated = 2 * k;
    }
    l->result.ablated = l->ablated;
done:
    eh_free(all);
    eh_free(pick);
    return rc;
}

/* What heads are ablated on, and what is known before the first is. */
typedef struct ablating {
    eh_head_map *l;
    targets targets;
    eh_head_means means;
    double *sum; /* [n_cluster] */
} ablating;

/* Every head's mean output, and every item's target, of the model as it is. */
static int begin_ablation(void *ctx, eh_err *err)
{
    ablating *a = ctx;
    const int rc = eh_head_means_start(&a->means, a->l->s, err);
    const eh_observer see = eh_head_means_observer(&a->means);
    return rc == EH_OK ? targets_score(a->l, &a->targets, &see, a->targets.base, err) : rc;
}

/* One head ablated, and set to its mean: the change of every item's target. */
static int ablate(ablating *a, const eh_ablated *head, eh_jsonw *w, eh_err *err)
{
    eh_head_map *l = a->l;
    targets *t = &a->targets;
    float *mean = eh_alloc(l->s->m->config.d_head, (int64_t)sizeof *mean);
    if (mean == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a head's mean output");
    eh_head_means_get(&a->means, head->layer, head->head, mean);
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_int(w, "layer", head->layer);
    eh_jsonw_int(w, "head", head->head);
    eh_jsonw_bool(w, "top", head->top);
    int rc = EH_OK;
    for (int way = 0; way < 2 && rc == EH_OK; way++) {
        const eh_ablate one = {head->layer, head->head, way == 0 ? NULL : mean};
        eh_ablation ablation = {l->s, &one, 1};
        const eh_observer o = eh_ablation_observer(&ablation);
        rc = targets_score(l, t, &o, t->now, err);
        for (int64_t k = 0; k < t->n; k++)
            t->now[k] -= t->base[k];
        eh_jsonw_doubles(w, way == 0 ? "zero" : "mean", t->now, t->n);
    }
    eh_jsonw_finish(w);
    eh_free(mean);
    return rc;
}

static int ablate_block(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *err)
{
    ablating *a = ctx;
    eh_jsonw w = {.b = records};
    int rc = EH_OK;
    for (int64_t i = from; i < to && rc == EH_OK; i++)
        rc = ablate(a, &a->l->ablated[i], &w, err);
    return rc;
}

static int read_ablated(void *ctx, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    ablating *a = ctx;
    targets *t = &a->targets;
    eh_ablated *head = &a->l->ablated[i];
    const int64_t n_cluster = a->l->task->names.n_cluster;
    int rc = eh_task_get_numbers(r, "zero", where, t->n, t->now, err);
    if (rc < 0)
        return rc;
    mean_of(t->look, t->now, t->n, n_cluster, a->sum, &head->zero, &head->zero_error);
    rc = eh_task_get_numbers(r, "mean", where, t->n, t->now, err);
    if (rc == EH_OK)
        mean_of(t->look, t->now, t->n, n_cluster, a->sum, &head->at_mean, &head->at_mean_error);
    return rc;
}

/* Does the predicted order agree with what ablation did? */
static int agree(eh_head_map *l, eh_err *err)
{
    eh_locate_result *r = &l->result;
    double *x = eh_alloc(r->n_ablated, (int64_t)sizeof *x), *y = eh_alloc(r->n_ablated, (int64_t)sizeof *y);
    int rc = x == NULL || y == NULL ? eh_fail(err, EH_ENOMEM, "no memory for %lld heads", (long long)r->n_ablated)
        : EH_OK;
    for (int which = 0; which < 2 && rc == EH_OK; which++) {
        int64_t n = 0;
        for (int64_t i = 0; i < r->n_ablated; i++) {
            const double predicted = which == 0 ? l->ablated[i].predicted : l->ablated[i].effect;
            if (isnan(predicted))
                continue;
            x[n] = predicted;
            y[n++] = which == 0 ? fabs(l->ablated[i].zero) : l->ablated[i].zero;
        }
        double rho = (double)NAN;
        rc = eh_spearman(x, y, n, &rho, err);
        if (rc == EH_EDOM)
            rc = EH_OK; /* too few, or all alike: not defined */
        if (which == 0)
            r->confirmed = rho;
        else
            r->confirmed_effect = rho;
    }
    eh_free(x);
    eh_free(y);
    return rc;
}

int eh_locate_confirm(eh_head_map *l, eh_journal *j, const json_t *what, eh_err *err)
{
    if (l->o.confirm == 0)
        return EH_OK;
    const eh_audit_options *o = &l->plan.o;
    const int64_t n_cluster = l->task->names.n_cluster;
    int64_t *pick = eh_alloc(l->task->n_pick, (int64_t)sizeof *pick), n = 0;
    ablating a = {.l = l, .sum = eh_alloc(n_cluster, (int64_t)sizeof *a.sum)};
    json_t *mine = json_deep_copy(what);
    int rc = choose_heads(l, err);
    if (rc == EH_OK && (pick == NULL || a.sum == NULL || mine == NULL ||
                        json_object_set_new(mine, "select", json_string(l->result.statistic)) != 0 ||
                        json_object_set_new(mine, "measure", json_string(l->result.measure)) != 0 ||
                        json_object_set_new(mine, "seed", json_integer((json_int_t)o->seed)) != 0 ||
                        json_object_set_new(mine, "confirm", json_integer((json_int_t)l->o.confirm)) != 0))
        rc = eh_fail(err, EH_ENOMEM, "no memory to confirm the map");
    if (rc == EH_OK)
        rc = draw_items(l, "confirm", CONFIRM_ITEMS, pick, &n, err);
    if (rc == EH_OK)
        rc = targets_open(l, pick, n, &a.targets, err);
    if (rc == EH_OK && a.targets.n == 0)
        rc = eh_fail(err, EH_EDOM, "none of the %lld items drawn to confirm the map takes part", (long long)n);
    const eh_blocks blocks = {
        .task = "confirm",
        .what = mine,
        .force = o->force,
        .n = l->result.n_ablated,
        .size = 1,
        .unit = "heads",
        .progress = o->progress,
        .progress_ctx = o->progress_ctx,
        .begin = begin_ablation,
        .block = ablate_block,
        .ctx = &a,
    };
    if (rc == EH_OK)
        rc = eh_blocks_run(j, &blocks, NULL, err);
    if (rc == EH_OK)
        rc = eh_records_read(o->out, "confirm", l->result.n_ablated, read_ablated, &a, err);
    if (rc == EH_OK)
        rc = agree(l, err);
    json_decref(mine);
    eh_head_means_clear(&a.means);
    targets_clear(&a.targets);
    eh_free(a.sum);
    eh_free(pick);
    return rc;
}

/* ---- Tracing ---------------------------------------------------------------------------------------------- */

/* The first tokens of the two answers, the biased one first; false where they are the same. */
static bool two_tokens(const eh_ask *ask, const eh_look *look, int32_t out[2])
{
    for (int k = 0; k < 2; k++) {
        int p = 0;
        while (p < look->n_part && (look->part[p].weight > 0.0) != (k == 0))
            p++;
        if (p == look->n_part)
            return false;
        const eh_request *r = &ask->request[look->part[p].number];
        out[k] = look->part[p].cand >= 0 ? r->cand[look->part[p].cand] : r->tok[r->from];
    }
    return out[0] != out[1];
}

/* What is traced, and what was read of it. */
typedef struct tracing {
    eh_head_map *l;
    const int64_t *pick; /* items drawn */
    eh_ask ask;
    eh_arena arena;      /* of a block */
    int64_t n_patch;
    double *change;      /* [n_read, n_patch] */
    eh_look *look;       /* [n_read] their templates */
    int64_t n_read;
} tracing;

/* Items pick[from..to): the prompt without its context is the source, the full prompt the target. */
static int trace_block(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *err)
{
    tracing *t = ctx;
    eh_head_map *l = t->l;
    const int64_t *pick = t->pick + from, n = to - from;
    int64_t number[EH_TASK_NUMBERS], used[TRACE_BLOCK], n_used = 0;
    int32_t cand[TRACE_BLOCK][2];
    eh_request source[TRACE_BLOCK], target[TRACE_BLOCK];
    eh_look look[TRACE_BLOCK];
    eh_jsonw w = {.b = records};
    int rc = EH_OK;
    eh_arena_clear(&t->arena);
    eh_ask_reset(&t->ask);
    for (int64_t k = 0; k < n && rc == EH_OK; k++) {
        rc = eh_locate_ask(l, pick[k], &t->ask, number, &t->arena, &look[k], err);
        if (rc < 0 || look[k].skip != NULL || look[k].question < 0 || !two_tokens(&t->ask, &look[k], cand[n_used]))
            continue;
        used[n_used++] = k;
    }
    for (int64_t u = 0; u < n_used; u++) {
        const eh_request *q = &t->ask.request[look[used[u]].question];
        const eh_request *f = &t->ask.request[look[used[u]].forward[0].number];
        source[u] = (eh_request){q->tok, q->from, q->from, cand[u], 2};
        target[u] = (eh_request){f->tok, f->from, f->from, cand[u], 2};
    }
    float *plain = eh_new(&t->arena, float, TRACE_BLOCK * 2);
    float *patched = eh_new(&t->arena, float, TRACE_BLOCK * t->n_patch * 2);
    if (rc == EH_OK && (plain == NULL || patched == NULL))
        rc = eh_fail(err, EH_ENOMEM, "no memory to trace %lld layers", (long long)l->items.n_layer);
    if (rc == EH_OK && n_used > 0)
        rc = eh_trace(l->s, source, target, n_used, plain, patched, err);
    for (int64_t k = 0, u = 0; k < n && rc == EH_OK; k++) {
        eh_jsonw_begin(&w, NULL, '{');
        eh_jsonw_int(&w, "doc_id", pick[k]);
        eh_jsonw_int(&w, "cluster", look[k].cluster);
        if (u == n_used || used[u] != k) {
            eh_jsonw_text(&w, "skipped", "no two answers to tell apart");
            eh_jsonw_finish(&w);
            continue;
        }
        const double base = (double)plain[2 * u] - (double)plain[2 * u + 1];
        eh_jsonw_double(&w, "target", base);
        eh_jsonw_begin(&w, "change", '[');
        for (int64_t p = 0; p < t->n_patch; p++) {
            const float *x = patched + (u * t->n_patch + p) * 2;
            eh_jsonw_double(&w, NULL, (double)x[0] - (double)x[1] - base);
        }
        eh_jsonw_finish(&w);
        u++;
    }
    return rc;
}

static int read_traced(void *ctx, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    tracing *t = ctx;
    int64_t cluster = 0;
    (void)i;
    if (json_object_get(r, "skipped") != NULL)
        return EH_OK;
    int rc = eh_json_int(r, where, "cluster", 0, t->l->task->names.n_cluster - 1, &cluster, err);
    if (rc == EH_OK)
        rc = eh_task_get_numbers(r, "change", where, t->n_patch, t->change + t->n_read * t->n_patch, err);
    if (rc == EH_OK)
        t->look[t->n_read++].cluster = (int32_t)cluster;
    return rc;
}

/* Means and standard errors of the n items' changes, from their records, into l->trace. */
static int read_trace(tracing *t, int64_t n, eh_err *err)
{
    eh_head_map *l = t->l;
    const int64_t n_cluster = l->task->names.n_cluster;
    eh_arena mem = {0};
    double *one = eh_new(&mem, double, n), *sum = eh_new(&mem, double, n_cluster);
    t->change = eh_new(&mem, double, n * t->n_patch);
    t->look = eh_new(&mem, eh_look, n);
    l->trace = eh_calloc(2 * t->n_patch, (int64_t)sizeof *l->trace);
    int rc = t->change && one && sum && t->look && l->trace
                 ? eh_records_read(l->plan.o.out, "trace", n, read_traced, t, err)
                 : eh_fail(err, EH_ENOMEM, "no memory for the traces of %lld items", (long long)n);
    for (int64_t p = 0; p < t->n_patch && rc == EH_OK && t->n_read > 0; p++) {
        for (int64_t i = 0; i < t->n_read; i++)
            one[i] = t->change[i * t->n_patch + p];
        mean_of(t->look, one, t->n_read, n_cluster, sum, &l->trace[p], &l->trace[t->n_patch + p]);
    }
    if (rc == EH_OK && t->n_read == 0) {
        eh_free(l->trace);
        l->trace = NULL;
        rc = eh_buf_note(&l->notes, err, "No item could be traced: it takes two answers that begin with different "
                         "tokens, and a prompt without its context.");
    }
    eh_arena_clear(&mem);
    return rc;
}

int eh_locate_trace(eh_head_map *l, eh_journal *j, const json_t *what, eh_err *err)
{
    if (l->o.trace == 0)
        return EH_OK;
    const eh_audit_options *o = &l->plan.o;
    int64_t *pick = eh_alloc(l->task->n_pick, (int64_t)sizeof *pick), n = 0;
    tracing t = {.l = l,
                 .pick = pick,
                 .ask = {.who = l->task->who, .places = true},
                 .n_patch = l->items.n_layer * EH_TRACE_N};
    json_t *mine = json_deep_copy(what);
    int rc = EH_OK;
    if (pick == NULL || mine == NULL || json_object_set_new(mine, "seed", json_integer((json_int_t)o->seed)) != 0 ||
        json_object_set_new(mine, "trace", json_integer((json_int_t)l->o.trace)) != 0)
        rc = eh_fail(err, EH_ENOMEM, "no memory to trace");
    if (rc == EH_OK)
        rc = draw_items(l, "trace", l->o.trace, pick, &n, err);
    const eh_blocks blocks = {
        .task = "trace",
        .what = mine,
        .force = o->force,
        .n = n,
        .size = TRACE_BLOCK,
        .unit = "items",
        .progress = o->progress,
        .progress_ctx = o->progress_ctx,
        .block = trace_block,
        .ctx = &t,
    };
    if (rc == EH_OK)
        rc = eh_blocks_run(j, &blocks, NULL, err);
    if (rc == EH_OK)
        rc = read_trace(&t, n, err);
    json_decref(mine);
    eh_arena_clear(&t.arena);
    eh_ask_clear(&t.ask);
    eh_free(pick);
    return rc;
}
