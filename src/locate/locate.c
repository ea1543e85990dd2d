/* Locating heads: every item asked, with observers, and a record of what was seen. */
#include "locate/locate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/options.h"
#include "model/batch.h"
#include "model/backward.h"
#include "probe/patch.h"
#include "stats/correlation.h"

/* Items of a block. Their records hold a number for each head, so a block is small. */
#define BLOCK 32
/* Tokens of a backward batch: it keeps n_layer residual streams. */
#define BACKWARD_TOKENS 1024

/* ---- One block ------------------------------------------------------------------------------------ */

typedef struct block {
    eh_ask ask;
    eh_arena arena;
    eh_head_probe heads;
    eh_layer_probe layers;
    eh_effect_probe effect[2]; /* head_effect, head_relevance */
    int64_t number[BLOCK][EH_TASK_NUMBERS];
    eh_look look[BLOCK];
    int64_t first_goal[BLOCK + 1];
} block;

static void block_clear(block *b)
{
    eh_ask_clear(&b->ask);
    eh_arena_clear(&b->arena);
    eh_head_probe_clear(&b->heads);
    eh_layer_probe_clear(&b->layers);
    eh_effect_probe_clear(&b->effect[0]);
    eh_effect_probe_clear(&b->effect[1]);
}

static int forward(eh_head_map *l, block *b, int64_t n, eh_err *err)
{
    eh_head_set *set = eh_new(&b->arena, eh_head_set, b->ask.n);
    if (set == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld requests", (long long)b->ask.n);
    for (int64_t r = 0; r < b->ask.n; r++)
        set[r].skip = true;
    for (int64_t k = 0; k < n; k++)
        for (int f = 0; b->look[k].skip == NULL && f < b->look[k].n_forward; f++)
            set[b->look[k].forward[f].number] = (eh_head_set){.group = b->look[k].forward[f].group,
                                                              .n_group = b->look[k].forward[f].n_group,
                                                              .context = b->look[k].forward[f].context};
    int rc = eh_head_probe_start(&b->heads, l->s, b->ask.request, set, b->ask.n, err);
    if (rc == EH_OK)
        rc = eh_layer_probe_start(&b->layers, l->s, b->ask.n, err);
    if (rc < 0)
        return rc;
    const eh_observer o[2] = {eh_head_probe_observer(&b->heads), eh_layer_probe_observer(&b->layers)};
    return eh_audit_answer(l->s, &b->ask, o, 2, err);
}

/* The goals of one item: a sequence each, of the parts that share a request. */
static int add_goals(const block *b, const eh_look *look, eh_arena *arena, eh_goal *goal, int64_t *n, eh_err *err)
{
    bool done[EH_LOOK_REQUESTS] = {false};
    for (int p = 0; p < look->n_part; p++) {
        if (done[p])
            continue;
        const eh_request *r = &b->ask.request[look->part[p].number];
        const int64_t n_own = r->n_tok - r->from; /* tokens of the continuation */
        eh_term *term = eh_new(arena, eh_term, n_own * look->n_part + look->n_part);
        if (term == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for the goals of an item");
        int64_t n_term = 0;
        for (int k = p; k < look->n_part; k++) {
            if (look->part[k].number != look->part[p].number)
                continue;
            done[k] = true;
            if (look->part[k].cand >= 0)
                term[n_term++] = (eh_term){r->n_tok - 1, r->cand[look->part[k].cand], false, look->part[k].weight};
            else
                for (int64_t i = r->from; i < r->n_tok; i++)
                    term[n_term++] = (eh_term){i - 1, r->tok[i], false, look->part[k].weight};
        }
        /* One target: its sequences share what they have in common. */
        goal[(*n)++] = (eh_goal){r->tok, eh_request_depth(r), term, n_term, .joined = p > 0};
    }
    return EH_OK;
}

static int backward(eh_head_map *l, block *b, int64_t n, eh_err *err)
{
    eh_goal *goal = eh_new(&b->arena, eh_goal, n * EH_LOOK_REQUESTS);
    if (goal == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld goals", (long long)(n * EH_LOOK_REQUESTS));
    int64_t n_goal = 0;
    int rc = EH_OK;
    for (int64_t k = 0; k < n && rc == EH_OK; k++) {
        b->first_goal[k] = n_goal;
        if (b->look[k].skip == NULL)
            rc = add_goals(b, &b->look[k], &b->arena, goal, &n_goal, err);
    }
    b->first_goal[n] = n_goal;
    for (int s = EH_HEAD_N_FORWARD; s < EH_HEAD_N_STAT && rc == EH_OK; s++) {
        eh_effect_probe *e = &b->effect[s - EH_HEAD_N_FORWARD];
        if (!l->wanted[s] || n_goal == 0)
            continue;
        const eh_backward_options options = {.rules = eh_head_stat_table[s].rules, .batch_tokens = BACKWARD_TOKENS};
        rc = eh_effect_probe_start(e, l->s, n_goal, err);
        const eh_observer o = eh_effect_probe_observer(e);
        if (rc == EH_OK)
            rc = eh_backward(l->s, goal, n_goal, &options, NULL, &o, 1, err);
    }
    return rc;
}

/* A statistic of item k, for every head, into x [n_unit]. */
static void statistic_of(const eh_head_map *l, const block *b, int64_t k, int s, double *x)
{
    const int64_t n_unit = l->s->m->config.n_layer * l->s->m->config.n_head;
    const eh_look *look = &b->look[k];
    for (int64_t u = 0; u < n_unit; u++)
        x[u] = 0.0;
    if (s < EH_HEAD_N_FORWARD) {
        for (int f = 0; f < look->n_forward; f++) {
            const float *v = b->heads.value + (look->forward[f].number * EH_HEAD_N_FORWARD + s) * n_unit;
            for (int64_t u = 0; u < n_unit; u++)
                x[u] += look->forward[f].weight * (double)v[u];
        }
        return;
    }
    const eh_effect_probe *e = &b->effect[s - EH_HEAD_N_FORWARD];
    for (int64_t g = b->first_goal[k]; g < b->first_goal[k + 1]; g++)
        for (int64_t u = 0; u < n_unit; u++)
            x[u] += e->value[g * n_unit + u];
}

/* Item k of the block, which is item i of the task. */
static int record(eh_head_map *l, const block *b, int64_t k, int64_t i, double *x, eh_jsonw *w, eh_err *err)
{
    const eh_look *look = &b->look[k];
    const int64_t n_unit = l->s->m->config.n_layer * l->s->m->config.n_head;
    eh_jsonw_int(w, "doc_id", i);
    eh_jsonw_text(w, "category", l->task->names.category[look->category]);
    eh_jsonw_text(w, "cluster", l->task->names.cluster[look->cluster]);
    if (look->skip != NULL) {
        eh_jsonw_text(w, "skipped", look->skip);
        return EH_OK;
    }
    double measure[EH_N_MEASURE];
    const int rc = l->task->row->measure(l->task, i, &b->ask, b->number[k], measure, err);
    if (rc < 0)
        return rc;
    eh_jsonw_int(w, "stratum", look->stratum);
    eh_jsonw_bool(w, "placed", look->forward[0].n_group > 0);
    eh_jsonw_doubles(w, "measure", measure, EH_N_MEASURE);
    eh_jsonw_begin(w, "heads", '{');
    for (int s = 0; s < EH_HEAD_N_STAT; s++) {
        if (!l->wanted[s])
            continue;
        statistic_of(l, b, k, s, x);
        eh_jsonw_begin(w, eh_head_stat_name(s), '[');
        for (int64_t u = 0; u < n_unit; u++)
            eh_jsonw_float(w, NULL, (float)x[u]);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    const int64_t n_layer_number = l->s->m->config.n_layer * EH_LAYER_N_STAT;
    const float *v = b->layers.value + look->forward[0].number * n_layer_number;
    eh_jsonw_floats(w, "layers", v, n_layer_number);
    return EH_OK;
}

typedef struct asking {
    eh_head_map *l;
    block *b;
    double *x; /* [n_unit] */
} asking;

static int ask_block(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *err)
{
    const asking *a = ctx;
    eh_head_map *l = a->l;
    block *b = a->b;
    const int64_t *pick = l->task->pick + from, n = to - from;
    eh_jsonw w = {.b = records};
    eh_arena_clear(&b->arena);
    eh_ask_reset(&b->ask);
    int rc = EH_OK;
    for (int64_t k = 0; k < n && rc == EH_OK; k++)
        rc = eh_locate_ask(l, pick[k], &b->ask, b->number[k], &b->arena, &b->look[k], err);
    if (rc == EH_OK)
        rc = forward(l, b, n, err);
    if (rc == EH_OK && (l->wanted[EH_HEAD_EFFECT] || l->wanted[EH_HEAD_RELEVANCE]))
        rc = backward(l, b, n, err);
    for (int64_t k = 0; k < n && rc == EH_OK; k++) {
        eh_jsonw_begin(&w, NULL, '{');
        rc = record(l, b, k, pick[k], a->x, &w, err);
        eh_jsonw_finish(&w);
    }
    return rc;
}

static int ask_all(eh_head_map *l, eh_journal *j, const json_t *what, eh_err *err)
{
    const eh_audit_options *o = &l->plan.o;
    asking state = {l, eh_calloc(1, (int64_t)sizeof *state.b),
                    eh_alloc(l->s->m->config.n_layer * l->s->m->config.n_head, (int64_t)sizeof *state.x)};
    const eh_blocks blocks = {
        .task = "locate",
        .what = what,
        .force = o->force,
        .n = l->task->n_pick,
        .size = BLOCK,
        .unit = "items",
        .progress = o->progress,
        .progress_ctx = o->progress_ctx,
        .block = ask_block,
        .ctx = &state,
    };
    int rc = EH_OK;
    if (state.b == NULL || state.x == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a block of items");
    } else {
        state.b->ask = (eh_ask){.who = l->task->who, .places = true};
        rc = eh_blocks_run(j, &blocks, &l->n_computed, err);
        block_clear(state.b);
    }
    eh_free(state.b);
    eh_free(state.x);
    return rc;
}

/* ---- Reading the records ---------------------------------------------------------------------------- */

/* A list of n numbers or nulls (NaN). */
static int get_numbers(const json_t *list, const char *what, const char *where, int64_t n, double *x, eh_err *err)
{
    if (!json_is_array(list) || (int64_t)json_array_size(list) != n)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is not a list of %lld numbers", where, what, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!json_is_number(v) && !json_is_null(v))
            return eh_fail(err, EH_EFORMAT, "%s: \"%s\" holds %s", where, what, eh_json_type(v));
        x[i] = json_is_number(v) ? json_number_value(v) : (double)NAN;
    }
    return EH_OK;
}

static int32_t index_of(const char *const *name, int64_t n, const char *wanted)
{
    for (int32_t i = 0; wanted != NULL && i < n; i++)
        if (strcmp(name[i], wanted) == 0)
            return i;
    return -1;
}

typedef struct reading {
    eh_head_map *l;
    double *x; /* room for the numbers of a list */
} reading;

static int read_record(void *ctx, int64_t k, const json_t *r, const char *where, eh_err *err)
{
    const reading *state = ctx;
    eh_head_map *l = state->l;
    eh_locate_items *t = &l->items;
    double *x = state->x;
    (void)k; /* items that took no part leave no place */
    if (json_object_get(r, "skipped") != NULL) {
        t->n_skipped++;
        return EH_OK;
    }
    const int64_t i = t->n, n_unit = t->n_unit;
    const eh_task_names *names = &l->task->names;
    int64_t stratum;
    bool placed = false;
    double measure[EH_N_MEASURE];
    t->category[i] = index_of(names->category, names->n_category, json_string_value(json_object_get(r, "category")));
    t->cluster[i] = index_of(names->cluster, names->n_cluster, json_string_value(json_object_get(r, "cluster")));
    if (t->category[i] < 0 || t->cluster[i] < 0)
        return eh_fail(err, EH_EFORMAT, "%s: its category or cluster is not one of this task", where);
    int rc = eh_json_int(r, where, "stratum", 0, INT32_MAX, &stratum, err);
    if (rc == EH_OK)
        rc = eh_json_bool(r, where, "placed", &placed, err);
    if (rc == EH_OK)
        rc = get_numbers(json_object_get(r, "measure"), "measure", where, EH_N_MEASURE, measure, err);
    if (rc < 0)
        return rc;
    t->stratum[i] = (int32_t)stratum;
    t->n_unplaced += !placed;
    for (int q = 0; q < EH_N_MEASURE; q++)
        t->measure[q][i] = measure[q];
    const json_t *heads = json_object_get(r, "heads");
    for (int s = 0; s < EH_HEAD_N_STAT && rc == EH_OK; s++) {
        if (!l->wanted[s])
            continue;
        const char *name = eh_head_stat_name(s);
        rc = get_numbers(json_object_get(heads, name), name, where, n_unit, x, err);
        for (int64_t u = 0; u < n_unit && rc == EH_OK; u++)
            t->stat[s][i * n_unit + u] = (float)x[u];
    }
    if (rc == EH_OK)
        rc = get_numbers(json_object_get(r, "layers"), "layers", where, t->n_layer * EH_LAYER_N_STAT, x, err);
    for (int64_t u = 0; u < t->n_layer * EH_LAYER_N_STAT && rc == EH_OK; u++)
        t->layers[u] += x[u];
    t->n += rc == EH_OK;
    return rc;
}

static int items_room(eh_head_map *l, eh_err *err)
{
    eh_locate_items *t = &l->items;
    const int64_t n = l->task->n_pick;
    t->n_layer = l->s->m->config.n_layer;
    t->n_unit = t->n_layer * l->s->m->config.n_head;
    t->category = eh_new(&t->memory, int32_t, n);
    t->cluster = eh_new(&t->memory, int32_t, n);
    t->stratum = eh_new(&t->memory, int32_t, n);
    t->layers = eh_new(&t->memory, double, t->n_layer * EH_LAYER_N_STAT);
    bool good = t->category && t->cluster && t->stratum && t->layers;
    for (int q = 0; q < EH_N_MEASURE; q++)
        good = (t->measure[q] = eh_new(&t->memory, double, n)) != NULL && good;
    for (int s = 0; s < EH_HEAD_N_STAT; s++)
        if (l->wanted[s])
            good = (t->stat[s] = n <= INT64_MAX / t->n_unit ? eh_new(&t->memory, float, n * t->n_unit)
                    : NULL) != NULL &&
                   good;
    return good ? EH_OK
                : eh_fail(err, EH_ENOMEM, "no memory for the statistics of %lld heads on %lld items; --limit takes "
                                          "fewer",
                          (long long)t->n_unit, (long long)n);
}

static int read_all(eh_head_map *l, eh_err *err)
{
    int rc = items_room(l, err);
    if (rc < 0)
        return rc;
    const int64_t n_layer_number = l->items.n_layer * EH_LAYER_N_STAT;
    reading state = {l, eh_alloc(l->items.n_unit > n_layer_number ? l->items.n_unit : n_layer_number,
                                 (int64_t)sizeof *state.x)};
    rc = state.x == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a record")
                         : eh_records_read(l->plan.o.out, "locate", l->task->n_pick, read_record, &state, err);
    for (int64_t u = 0; u < n_layer_number && l->items.n > 0; u++)
        l->items.layers[u] /= (double)l->items.n;
    eh_free(state.x);
    return rc;
}

/* ---- The whole ---------------------------------------------------------------------------------------- */

void eh_locate_options_init(eh_locate_options *o, size_t size)
{
    const eh_locate_options initial = {
        .split = EH_SPLIT_SELECT,
        .statistics = 1u << EH_HEAD_EFFECT,
        .statistic = EH_HEAD_AUTO,
        .measure = EH_MEASURE_AUTO,
        .select = EH_SELECT_FDR,
        .q = 0.05,
        .floor = 0.1,
        .share = 0.3,
        .permutations = EH_CORRELATE_PERMUTATIONS,
        .confirm = 5,
    };
    eh_options_init(o, size, &initial, sizeof initial);
}

static int take_statistics(eh_head_map *l, eh_err *err)
{
    if (l->o.statistics >> EH_HEAD_N_STAT != 0 || l->o.statistic < EH_HEAD_AUTO || l->o.statistic >= EH_HEAD_N_STAT)
        return eh_fail(err, EH_EINVAL, "there is no head statistic of bits %x or number %d", l->o.statistics,
                       (int)l->o.statistic);
    for (int s = 0; s < EH_HEAD_N_STAT; s++) /* the forward ones all come from one pass */
        l->wanted[s] = s < EH_HEAD_N_FORWARD || (l->o.statistics >> s & 1u) != 0 || (int)l->o.statistic == s;
    l->statistic = (int)l->o.statistic;
    return EH_OK;
}

static int take_options(eh_head_map *l, const eh_locate_options *given, eh_err *err)
{
    eh_audit_options audit;
    eh_locate_options_init(&l->o, sizeof l->o);
    eh_audit_options_init(&audit, sizeof audit);
    int rc = eh_options_take(&l->o, sizeof l->o, given, "eh_locate_options_init", err);
    if (rc == EH_OK)
        rc = eh_options_take(&audit, sizeof audit, l->o.audit, "eh_audit_options_init", err);
    audit.split = l->o.split;
    if (rc == EH_OK)
        rc = eh_audit_plan_make(l->s, &audit, &l->plan, err);
    if (rc == EH_OK)
        rc = take_statistics(l, err);
    if (rc < 0)
        return rc;
    if (strchr(l->plan.o.tasks, ',') != NULL)
        return eh_fail(err, EH_EINVAL, "locating works on one benchmark at a time; \"%s\" names several",
                       l->plan.o.tasks);
    if (!(l->o.q > 0.0 && l->o.q < 1.0) || !(l->o.floor >= 0.0 && l->o.floor < 1.0) ||
        !(l->o.share > 0.0 && l->o.share <= 1.0) || l->o.permutations < 99 || l->o.permutations > 1000000)
        return eh_fail(err, EH_EINVAL, "q is %g, floor %g, share %g, permutations %lld; wanted numbers from 0 to 1, "
                                       "and 99 to 1,000,000 permutations",
                       l->o.q, l->o.floor, l->o.share, (long long)l->o.permutations);
    if ((l->o.confirm < 0 && l->o.confirm != EH_ALL) || l->o.trace < 0)
        return eh_fail(err, EH_EINVAL, "confirm is %lld and trace %lld, wanted 0 or more, confirm also EH_ALL (%d)",
                       (long long)l->o.confirm, (long long)l->o.trace, EH_ALL);
    if (eh_choice_name(EH_CHOICE_SELECTION, (int)l->o.select) == NULL)
        return eh_fail(err, EH_EINVAL, "there is no selection %d", (int)l->o.select);
    if (eh_choice_name(EH_CHOICE_MEASURE, (int)l->o.measure) == NULL)
        return eh_fail(err, EH_EINVAL, "there is no measure %d", (int)l->o.measure);
    rc = eh_audit_task_open(l->s, &l->plan, l->plan.o.tasks, &l->task, err);
    if (rc < 0)
        return rc;
    const eh_benchmark *about = &l->task->row->about;
    const eh_choice *own = eh_choice_find(EH_CHOICE_MEASURE, about->measure);
    if (own == NULL)
        return eh_fail(err, EH_EINVAL, "heads cannot be located on %s: its items name no groups", about->name);
    l->measure = l->o.measure != EH_MEASURE_AUTO ? l->o.measure : (eh_measure)own->value;
    return eh_audit_prepare(l->task, err);
}

/* Everything that the records depend on, and which statistics they hold. */
static json_t *what_of(const eh_head_map *l, const char *data_sha, const char *fingerprint)
{
    json_t *what = eh_audit_what(l->task, l->s, &l->plan, data_sha, fingerprint);
    json_t *list = json_array();
    bool good = what != NULL && list != NULL;
    for (int s = 0; s < EH_HEAD_N_STAT && good; s++)
        if (l->wanted[s])
            good = json_array_append_new(list, json_string(eh_head_stat_name(s))) == 0;
    if (!good || json_object_set(what, "statistics", list) != 0 ||
        json_object_set_new(what, "task", json_string(l->task->row->about.name)) != 0 ||
        json_object_set_new(what, "block", json_integer(BLOCK)) != 0) {
        json_decref(what);
        what = NULL;
    }
    json_decref(list);
    return what;
}

/* Group attention needs groups that were found in most items; without, the effect says it. */
static int choose_statistic(eh_head_map *l, eh_err *err)
{
    const eh_locate_items *t = &l->items;
    if (t->n < 8)
        return eh_fail(err, EH_EDOM, "only %lld items are left to locate on (%lld were skipped); at least 8 are wanted",
                       (long long)t->n, (long long)t->n_skipped);
    int rc = EH_OK;
    if (l->statistic < 0) {
        l->statistic = 2 * t->n_unplaced > t->n && l->wanted[EH_HEAD_EFFECT] ? EH_HEAD_EFFECT : EH_HEAD_GROUP_ATTENTION;
        if (l->statistic == EH_HEAD_EFFECT)
            rc = eh_buf_note(&l->notes, err, "In %lld of %lld items the groups were not found in the text: heads are "
                             "selected by head_effect.", (long long)t->n_unplaced, (long long)t->n);
    }
    if (rc == EH_OK && t->n_unplaced > 0)
        rc = eh_buf_note(&l->notes, err, "The groups were not found in the text of %lld of %lld items: these have no "
                         "group_attention.", (long long)t->n_unplaced, (long long)t->n);
    if (rc == EH_OK && t->n_skipped > 0)
        rc = eh_buf_note(&l->notes, err, "%lld items without a biased answer, or too long, took no part.",
                         (long long)t->n_skipped);
    return rc;
}

int eh_locate_run(eh_session *s, const eh_locate_options *options, eh_head_map **out, eh_err *err)
{
    eh_head_map *l = eh_calloc(1, (int64_t)sizeof *l);
    if (l == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to locate");
    l->s = s;
    eh_journal *j = NULL;
    json_t *what = NULL;
    char data_sha[EH_SHA256_TEXT], fingerprint[65];
    int rc;
    if ((rc = take_options(l, options, err)) < 0 || (rc = eh_audit_hash_items(l->task, data_sha, err)) < 0 ||
        (rc = eh_session_fingerprint(s, fingerprint, err)) < 0 || (rc = eh_journal_open(l->plan.o.out, &j, err)) < 0)
        goto done;
    what = what_of(l, data_sha, fingerprint);
    if (what == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a journal line");
        goto done;
    }
    if ((rc = ask_all(l, j, what, err)) < 0 || (rc = read_all(l, err)) < 0 || (rc = choose_statistic(l, err)) < 0 ||
        (rc = eh_locate_map(l, err)) < 0 || (rc = eh_locate_confirm(l, j, what, err)) < 0 ||
        (rc = eh_locate_trace(l, j, what, err)) < 0)
        goto done;
    l->result.notes = l->notes.p != NULL ? l->notes.p : "";
    rc = eh_locate_write(l, fingerprint, err);
done:
    eh_journal_close(j);
    json_decref(what);
    if (rc < 0) {
        eh_head_map_close(l);
        return rc;
    }
    *out = l;
    return EH_OK;
}

const eh_locate_result *eh_head_map_get(const eh_head_map *l)
{
    return &l->result;
}

void eh_head_map_close(eh_head_map *l)
{
    if (l == NULL)
        return;
    eh_task_close(l->task);
    eh_arena_clear(&l->items.memory);
    eh_arena_clear(&l->memory);
    eh_buf_clear(&l->notes);
    eh_free(l->row);
    eh_free(l->choice);
    eh_free(l->ablated);
    eh_free(l->trace);
    eh_free(l);
}
