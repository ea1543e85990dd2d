/* The audit: plan, blocks, records, scores. */
#include "audit/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/options.h"
#include "job/blocks.h"
#include "task/benchmarks.h"

/* Items of a block: the unit of records and of resumption. Enough to fill several batches. */
#define BLOCK 128

#define MAX_TASKS 16

/* ---- Rows -------------------------------------------------------------------------------------------- */

static const char *copy(eh_audit *a, const char *s)
{
    return s == NULL ? NULL : eh_arena_text(&a->arena, s, (int64_t)strlen(s));
}

/* A row of the result; texts are copied. */
static int add_row(eh_audit *a, const char *task, const char *category, const eh_benchmark_score *score,
                   const eh_estimate *e, const char *note, eh_err *err)
{
    if (a->result.n_row == a->room) {
        const int64_t room = a->room < 64 ? 64 : 2 * a->room;
        eh_score_row *r = eh_realloc(a->row, room, (int64_t)sizeof *r);
        if (r == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for %lld scores", (long long)room);
        a->row = r;
        a->room = room;
    }
    eh_score_row *r = &a->row[a->result.n_row];
    *r = (eh_score_row){
        .task = copy(a, task),
        .category = copy(a, category),
        .score = score->name,
        .value = e->value,
        .low = e->low,
        .high = e->high,
        .defined = e->defined,
        .n = e->n,
        .n_cluster = e->n_cluster,
        .better = score->better,
        .note = note,
    };
    if (r->task == NULL || r->category == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a score");
    a->result.n_row++;
    return EH_OK;
}

/* ---- Running a task ----------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

int eh_audit_hash_items(const eh_open_task *t, char out[EH_SHA256_TEXT], eh_err *err)
{
    eh_sha256 h;
    eh_sha256_begin(&h);
    for (int64_t k = 0; k < t->n_pick; k++)
        t->row->hash(t, t->pick[k], &h);
    return eh_sha256_end(&h, out, err);
}

json_t *eh_audit_what(const eh_open_task *t, const eh_session *s, const eh_audit_plan *p, const char *data_sha,
                      const char *fingerprint)
{
    const eh_way *answer = t->row->answer != NULL ? eh_task_answer(t) : p->answer;
    const eh_way *orders = t->row->orders != NULL ? eh_task_orders(t) : p->orders;
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:i}", "evenhand", EH_VERSION, "model", fingerprint, "precision",
                     s->precision == EH_BF16 ? "bf16" : "f32", "data", data_sha, "answer", answer->name, "orders",
                     answer->ordered ? orders->name : "stored", "chat", p->o.chat, "block", BLOCK);
}

int eh_audit_answer(eh_session *s, eh_ask *ask, const eh_observer *observer, int n_observer, eh_err *err)
{
    return eh_score_observed(s, ask->request, ask->n, ask->answer, observer, n_observer, err);
}

/* What answers a task's blocks, and its records. */
typedef struct asking {
    eh_open_task *t;
    eh_session *s;
    eh_ask ask;
} asking;

static int ask_block(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *err)
{
    asking *a = ctx;
    const eh_open_task *t = a->t;
    int64_t number[BLOCK][EH_TASK_NUMBERS];
    eh_jsonw w = {.b = records};
    int rc = EH_OK;
    eh_ask_reset(&a->ask);
    for (int64_t k = from; k < to && rc == EH_OK; k++)
        rc = t->row->ask(a->t, t->pick[k], &a->ask, number[k - from], err);
    if (rc == EH_OK)
        rc = eh_audit_answer(a->s, &a->ask, NULL, 0, err);
    for (int64_t k = from; k < to && rc == EH_OK; k++) {
        eh_jsonw_begin(&w, NULL, '{');
        eh_jsonw_int(&w, "doc_id", t->pick[k]);
        rc = t->row->record(t, t->pick[k], &a->ask, number[k - from], &w, err);
        eh_jsonw_finish(&w);
    }
    return rc;
}

static int run_task(eh_open_task *t, eh_session *s, const eh_audit_options *o, eh_journal *j, const json_t *what,
                    eh_audit *a, eh_err *err)
{
    char unit[100];
    snprintf(unit, sizeof unit, "items of %.80s", t->row->about.name);
    asking state = {t, s, {.who = t->who}};
    const eh_blocks b = {
        .task = t->row->about.name,
        .what = what,
        .force = o->force,
        .n = t->n_pick,
        .size = BLOCK,
        .unit = unit,
        .progress = o->progress,
        .progress_ctx = o->progress_ctx,
        .block = ask_block,
        .ctx = &state,
    };
    const int rc = eh_blocks_run(j, &b, &a->result.n_computed, err);
    eh_ask_clear(&state.ask);
    return rc;
}

static int read_record(void *ctx, int64_t i, const json_t *record, const char *where, eh_err *err)
{
    eh_open_task *t = ctx;
    return t->row->read(t, t->pick[i], record, where, err);
}

int eh_audit_read_records(eh_open_task *t, const char *dir, eh_err *err)
{
    return eh_records_read(dir, t->row->about.name, t->n_pick, read_record, t, err);
}

static int score_task(eh_open_task *t, const eh_bootstrap_options *bootstrap, eh_audit *a, eh_err *err)
{
    const eh_task *row = t->row;
    int rc = row->note != NULL ? row->note(t, &a->notes, err) : EH_OK;
    for (int64_t k = 0; rc == EH_OK; k++) {
        eh_sheet s;
        eh_estimate e[EH_SHEET_SCORES];
        const char *category;
        rc = row->sheet(t, k, &s, &category, err);
        if (rc == EH_TASK_LAST)
            return EH_OK;
        if (rc == EH_TASK_NO_SHEET)
            rc = EH_OK;
        else if (rc == EH_OK) {
            rc = eh_sheet_estimate(&s, bootstrap, e, err);
            for (int64_t i = 0; i < s.n_score && rc == EH_OK; i++) {
                const char *said = NULL;
                if (row->shows == NULL || row->shows(t, i, &e[i], &said))
                    rc = add_row(a, row->about.name, category, &row->about.score[i], &e[i], said, err);
            }
            eh_sheet_clear(&s);
        }
    }
    return rc;
}

/* ---- The whole ------------------------------------------------------------------------------------------------- */

/* Our probe set: where the user says, else where it was installed, else in the source tree. */
static const char *find_probes(const eh_audit_options *o)
{
    const char *const places[] = {o->probes, getenv("EVENHAND_PROBES"), EH_DATA_INSTALLED "/probes",
                                  EH_DATA_SOURCE "/probes"};
    for (int i = 0; i < 4; i++)
        if (places[i] != NULL && (i < 2 || eh_dir_exists(places[i])))
            return places[i];
    return EH_DATA_INSTALLED "/probes";
}

/* Is a benchmark named that asks a file of items? */
static bool names_items(const eh_audit_options *o)
{
    const char *list = o->tasks;
    for (size_t len; *list != '\0'; list += len + (list[len] == ',')) {
        const eh_task *row;
        len = strcspn(list, ",");
        for (int i = 0; (row = eh_task_at(i, o->extra)) != NULL; i++)
            if (row->about.needs == EH_NEEDS_ITEMS && strlen(row->about.name) == len &&
                memcmp(list, row->about.name, len) == 0)
                return true;
    }
    return false;
}

static const eh_ways *ways_of(const eh_task *row, bool orders)
{
    return orders ? row->orders : row->answer;
}

/* The way of that name that some benchmark has; NULL: the initial one of the first that has any. */
static const eh_way *find_way(const eh_audit_options *o, const char *name, bool orders)
{
    const eh_task *row;
    for (int i = 0; (row = eh_task_at(i, o->extra)) != NULL; i++) {
        const eh_ways *ways = ways_of(row, orders);
        const eh_way *way = ways == NULL ? NULL : name == NULL ? ways->way[ways->initial] : eh_way_find(ways, name);
        if (way != NULL)
            return way;
    }
    return NULL;
}

static int no_way(const eh_audit_options *o, bool orders, eh_err *err)
{
    eh_buf all = {0};
    const eh_task *row;
    const char *last = NULL;
    int n = 0;
    for (int i = 0; (row = eh_task_at(i, o->extra)) != NULL; i++) {
        const eh_ways *ways = ways_of(row, orders);
        for (int k = 0; ways != NULL && k < ways->n; k++) {
            bool earlier = false;
            for (int e = 0; e < i; e++)
                earlier |= eh_way_find(ways_of(eh_task_at(e, o->extra), orders), ways->way[k]->name) != NULL;
            if (earlier)
                continue;
            if (last != NULL)
                eh_buf_printf(&all, "%s%s", n++ > 0 ? ", " : "", last);
            last = ways->way[k]->name;
        }
    }
    const int rc = eh_fail(err, EH_EINVAL, "%s \"%s\"; there are %s and %s",
                           orders ? "there are no orders" : "there is no answer form", orders ? o->orders : o->answer,
                           all.p != NULL ? all.p : "others", last);
    eh_buf_clear(&all);
    return rc;
}

void eh_audit_options_init(eh_audit_options *o, size_t size)
{
    const eh_audit_options initial = {
        .split = EH_SPLIT_ALL,
        .limit = EH_ALL,
        .rows = EH_ALL,
        .resamples = EH_BOOTSTRAP_RESAMPLES,
        .confidence = 0.95,
    };
    eh_options_init(o, size, &initial, sizeof initial);
}

int eh_audit_plan_make(const eh_session *s, const eh_audit_options *given, eh_audit_plan *p, eh_err *err)
{
    const eh_audit_options *const o = &p->o;
    *p = (eh_audit_plan){.answer = NULL};
    eh_audit_options_init(&p->o, sizeof p->o);
    const int rc = eh_options_take(&p->o, sizeof p->o, given, "eh_audit_options_init", err);
    if (rc < 0)
        return rc;
    if (o->out == NULL || o->out[0] == '\0')
        return eh_fail(err, EH_EINVAL, "an audit needs an out folder");
    const char *of_items = eh_task_initial(true)->about.name;
    if (p->o.tasks == NULL)
        p->o.tasks = o->items != NULL ? of_items : eh_task_initial(false)->about.name;
    if (o->items != NULL && !names_items(&p->o))
        return eh_fail(err, EH_EINVAL, "a file of items is given, and the benchmarks named (%s) do not hold \"%s\"",
                       p->o.tasks, of_items);
    p->answer = find_way(o, o->answer, false);
    p->orders = find_way(o, o->orders, true);
    if (p->answer == NULL || p->orders == NULL)
        return no_way(o, p->answer != NULL, err);
    if (eh_choice_name(EH_CHOICE_SPLIT, (int)o->split) == NULL)
        return eh_fail(err, EH_EINVAL, "there is no split %d", (int)o->split);
    if ((o->limit < 1 && o->limit != EH_ALL) || (o->rows < 1 && o->rows != EH_ALL))
        return eh_fail(err, EH_EINVAL, "limit is %lld and rows %lld, wanted 1 or more, or EH_ALL (%d)",
                       (long long)o->limit, (long long)o->rows, EH_ALL);
    if (o->resamples < 1 || o->resamples > 10000000)
        return eh_fail(err, EH_EINVAL, "resamples is %lld, wanted 1 to 10 million", (long long)o->resamples);
    if (!(o->confidence > 0.0 && o->confidence < 1.0))
        return eh_fail(err, EH_EINVAL, "confidence is %g; wanted more than 0 and less than 1, such as 0.95",
                       o->confidence);
    p->task = (eh_task_options){
        .data = o->data,
        .items = o->items,
        .probes = find_probes(o),
        .answer = o->answer,
        .orders = o->orders,
    };
    p->bootstrap = (eh_bootstrap_options){
        .seed = o->seed,
        .n_resample = o->resamples,
        .level = o->confidence,
        .n_thread = s->threads,
    };
    return EH_OK;
}

eh_asker eh_audit_asker(const eh_session *s, bool chat)
{
    return (eh_asker){
        .tokenizer = s->m->tokenizer,
        .trouble = s->m->tokenizer_trouble,
        .name = s->m->path,
        .n_ctx = s->m->config.n_ctx,
        .chat = chat,
    };
}

/* ---- The tasks named ------------------------------------------------------------------------------------- */

int eh_audit_row_open(const eh_session *s, const eh_audit_plan *p, const eh_task *row, eh_open_task **t, eh_err *err)
{
    const eh_asker who = eh_audit_asker(s, p->o.chat);
    eh_task_options o = p->task;
    o.categories = eh_audit_categories(p, row);
    return eh_task_open(row, &o, &who, t, err);
}

int eh_audit_task_open(const eh_session *s, const eh_audit_plan *p, const char *name, eh_open_task **out, eh_err *err)
{
    const eh_task *row;
    eh_open_task *t;
    int rc = eh_task_named(name, p->o.extra, &row, err);
    if (rc == EH_OK)
        rc = eh_audit_row_open(s, p, row, &t, err);
    if (rc < 0)
        return rc;
    rc = eh_audit_choose(t, p, err);
    if (rc == EH_OK && t->n_pick == 0)
        rc = eh_fail(err, EH_EINVAL, "no item of %s is left by --split, --categories, --rows and --limit", name);
    if (rc < 0) {
        eh_task_close(t);
        return rc;
    }
    *out = t;
    return EH_OK;
}

int eh_audit_prepare(eh_open_task *t, eh_err *err)
{
    return t->row->prepare != NULL ? t->row->prepare(t, err) : EH_OK;
}

/* The tasks named, loaded. */
static int load_tasks(const eh_session *s, const eh_audit_plan *p, eh_open_task **task, int64_t *n, eh_err *err)
{
    for (const char *at = p->o.tasks; *at != '\0';) {
        const size_t len = strcspn(at, ",");
        char name[100];
        snprintf(name, sizeof name, "%.*s", (int)(len < 99 ? len : 99), at);
        for (int64_t i = 0; i < *n; i++)
            if (strcmp(task[i]->row->about.name, name) == 0)
                return eh_fail(err, EH_EINVAL, "the benchmark \"%s\" is named twice", name);
        if (*n == MAX_TASKS)
            return eh_fail(err, EH_EINVAL, "more than %d benchmarks are named", MAX_TASKS);
        int rc = eh_audit_task_open(s, p, name, &task[*n], err);
        if (rc < 0)
            return rc;
        rc = eh_audit_prepare(task[(*n)++], err);
        if (rc < 0)
            return rc;
        at += len + (at[len] == ',');
    }
    return *n > 0 ? EH_OK : eh_fail(err, EH_EINVAL, "no benchmark is named");
}

int eh_audit_run(eh_session *s, const eh_audit_options *options, eh_audit **out, eh_err *err)
{
    eh_audit_plan plan;
    int rc = eh_audit_plan_make(s, options, &plan, err);
    if (rc < 0)
        return rc;
    const double start = now();
    double scoring = 0.0;
    eh_audit *a = eh_calloc(1, (int64_t)sizeof *a);
    if (a == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for an audit");
    eh_open_task *task[MAX_TASKS] = {0};
    char data_sha[MAX_TASKS][EH_SHA256_TEXT];
    char fingerprint[65];
    int64_t n_task = 0;
    eh_journal *j = NULL;

    if ((rc = load_tasks(s, &plan, task, &n_task, err)) < 0 || (rc = eh_session_fingerprint(s, fingerprint, err)) < 0 ||
        (rc = eh_journal_open(plan.o.out, &j, err)) < 0)
        goto done;
    for (int64_t i = 0; i < n_task && rc == EH_OK; i++) {
        rc = eh_audit_hash_items(task[i], data_sha[i], err);
        json_t *what = rc < 0 ? NULL : eh_audit_what(task[i], s, &plan, data_sha[i], fingerprint);
        if (rc == EH_OK && what == NULL)
            rc = eh_fail(err, EH_ENOMEM, "no memory for a journal line");
        const double before = now();
        if (rc == EH_OK)
            rc = run_task(task[i], s, &plan.o, j, what, a, err);
        scoring += now() - before;
        json_decref(what);
        if (rc == EH_OK)
            rc = eh_audit_read_records(task[i], plan.o.out, err);
        if (rc == EH_OK)
            rc = score_task(task[i], &plan.bootstrap, a, err);
        a->result.n_item += task[i]->n_pick;
    }
    a->result.seconds = now() - start;
    if (rc == EH_OK)
        rc = eh_audit_write_results(a, &plan, s, task, n_task, err);
    if (rc == EH_OK)
        rc = eh_audit_write_reproduce(a, &plan, s, task, (const char(*)[EH_SHA256_TEXT])data_sha, n_task, fingerprint,
                                      scoring, err);
done:
    for (int64_t i = 0; i < n_task; i++)
        eh_task_close(task[i]);
    eh_journal_close(j);
    if (rc < 0) {
        eh_audit_close(a);
        return rc;
    }
    a->result.row = a->row;
    a->result.notes = a->notes.p != NULL ? a->notes.p : "";
    a->result.answer = plan.answer->name;
    a->result.orders = plan.orders->name;
    *out = a;
    return EH_OK;
}

const eh_audit_result *eh_audit_get(const eh_audit *a)
{
    return &a->result;
}

void eh_audit_close(eh_audit *a)
{
    if (a == NULL)
        return;
    eh_free(a->row);
    eh_buf_clear(&a->notes);
    eh_arena_clear(&a->arena);
    eh_free(a);
}
