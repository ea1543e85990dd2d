/* The audit: plan, blocks, records, scores. */
#include "audit/audit.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "job/blocks.h"

/* Items of a block: the unit of records and of resumption. Enough to fill several batches. */
#define BLOCK 128

static const eh_audit_kind *const kinds[] = {&eh_audit_bbq, &eh_audit_bbq_harness, &eh_audit_probes, &eh_audit_pairs,
                                             &eh_audit_utility, &eh_audit_items};
#define N_KIND ((int64_t)(sizeof kinds / sizeof *kinds))
#define MAX_TASKS 16

const eh_audit_kind *eh_audit_kind_find(const char *task)
{
    for (int64_t i = 0; i < N_KIND; i++)
        if (strcmp(kinds[i]->task, task) == 0)
            return kinds[i];
    return NULL;
}

const eh_benchmark *eh_benchmarks(int *n)
{
    static eh_benchmark table[MAX_TASKS];
    for (int64_t i = 0; i < eh_task_count && i < MAX_TASKS; i++) {
        const eh_task_info *t = &eh_task_table[i];
        table[i] = (eh_benchmark){t->name, t->what, t->licence, t->citation, t->published, eh_better_name(t->better)};
    }
    *n = (int)eh_task_count;
    return table;
}

/* ---- Rows, notes, numbers ---------------------------------------------------------------------------- */

static const char *copy(eh_audit *a, const char *s)
{
    return s == NULL ? NULL : eh_arena_text(&a->arena, s, (int64_t)strlen(s));
}

int eh_audit_add_row(eh_audit *a, const char *task, const char *category, const char *name, const eh_estimate *e,
                     eh_better better, const char *note, eh_err *err)
{
    if (a->n_row == a->room) {
        const int64_t room = a->room < 64 ? 64 : 2 * a->room;
        eh_score_row *r = eh_realloc(a->row, room, (int64_t)sizeof *r);
        if (r == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for %lld scores", (long long)room);
        a->row = r;
        a->room = room;
    }
    eh_score_row *r = &a->row[a->n_row];
    *r = (eh_score_row){
        .task = copy(a, task),
        .category = copy(a, category),
        .score = name,
        .value = e->value,
        .low = e->low,
        .high = e->high,
        .defined = e->defined,
        .n = e->n,
        .n_cluster = e->n_cluster,
        .better = eh_better_name(better),
        .note = note,
    };
    if (r->task == NULL || r->category == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a score");
    a->n_row++;
    return EH_OK;
}

int eh_audit_add_note(eh_audit *a, eh_err *err, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    eh_buf_printf(&a->notes, "%s\n", text);
    return eh_buf_check(&a->notes, "the notes", err);
}

int eh_audit_get_numbers(const json_t *record, const char *key, const char *where, int64_t n, double *x, eh_err *err)
{
    const json_t *list = json_object_get(record, key);
    if (!json_is_array(list) || (int64_t)json_array_size(list) != n)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is not a list of %lld numbers", where, key, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!json_is_number(v))
            return eh_fail(err, EH_EFORMAT, "%s: \"%s\" holds %s", where, key, eh_json_type(v));
        x[i] = json_number_value(v);
    }
    return EH_OK;
}

/* ---- Which items ----------------------------------------------------------------------------------------- */

/* Marks what --categories names, by category or family. */
static void mark_wanted(const char *list, const char *const *name, int64_t n, bool *wanted)
{
    for (const char *p = list; *p != '\0';) {
        const size_t len = strcspn(p, ",");
        for (int64_t i = 0; i < n; i++)
            if (strlen(name[i]) == len && memcmp(name[i], p, len) == 0)
                wanted[i] = true;
        p += len + (p[len] == ',');
    }
}

/* Every name of the list must be somebody's. */
static int check_names(const char *list, const char *const *category, int64_t n_category, const char *const *family,
                       int64_t n_family, eh_err *err)
{
    for (const char *p = list; *p != '\0';) {
        const size_t len = strcspn(p, ",");
        char one[200];
        snprintf(one, sizeof one, "%.*s", (int)(len < 199 ? len : 199), p);
        bool known = false;
        for (int64_t i = 0; i < n_category; i++)
            known |= strcmp(category[i], one) == 0;
        for (int64_t i = 0; i < n_family; i++)
            known |= strcmp(family[i], one) == 0;
        if (!known) {
            eh_buf all = {0};
            for (int64_t i = 0; i < n_category; i++)
                eh_buf_printf(&all, "%s%s", i > 0 ? ", " : "", category[i]);
            const int rc = eh_fail(err, EH_EINVAL, "there is no category \"%s\"; there are %s", one,
                                   all.p != NULL ? all.p : "none");
            eh_buf_clear(&all);
            return rc;
        }
        p += len + (p[len] == ',');
    }
    return EH_OK;
}

/* Whole templates of one category, in an order drawn by seed, while they stay within the limit. */
static void draw_templates(const eh_audit_plan *p, const eh_audit_item *item, const int64_t *pick, int64_t n_pick,
                           int32_t category, int64_t *order, int64_t *size, int64_t n_cluster, bool *drawn)
{
    int64_t n = 0;
    memset(size, 0, (size_t)n_cluster * sizeof *size);
    for (int64_t k = 0; k < n_pick; k++) {
        const eh_audit_item *q = &item[pick[k]];
        if (q->category == category && size[q->cluster]++ == 0)
            order[n++] = q->cluster;
    }
    eh_rng r = eh_rng_at(p->o.seed, "limit", (uint64_t)category);
    eh_rng_shuffle(&r, order, n);
    int64_t sum = 0;
    for (int64_t k = 0; k < n; k++)
        if (k == 0 || sum + size[order[k]] <= p->o.limit) { /* one at least, however small the limit */
            drawn[order[k]] = true;
            sum += size[order[k]];
        }
}

/* The split of each template: those of a family are dealt among themselves. */
static int split_clusters(const eh_audit_item *item, int64_t n, const eh_audit_names *names, eh_split *out,
                          eh_err *err)
{
    eh_arena mem = {0};
    int32_t *family = eh_new(&mem, int32_t, names->n_cluster);
    int rc = family == NULL ? eh_fail(err, EH_ENOMEM, "no memory to split %lld templates", (long long)names->n_cluster)
                            : EH_OK;
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        family[item[i].cluster] = item[i].family;
    if (rc == EH_OK)
        rc = eh_split_clusters(names->cluster, family, names->n_cluster, out, err);
    eh_arena_clear(&mem);
    return rc;
}

int eh_audit_choose(eh_audit_task *t, const eh_audit_item *item, int64_t n, const eh_audit_names *names, eh_err *err)
{
    const eh_audit_options *o = &t->plan->o;
    const int64_t n_category = names->n_category, n_family = names->n_family, n_cluster = names->n_cluster;
    eh_arena mem = {0};
    eh_split *split = eh_new(&mem, eh_split, n_cluster);
    bool *by_category = eh_new(&mem, bool, n_category), *by_family = eh_new(&mem, bool, n_family);
    int64_t *rows = eh_new(&mem, int64_t, n_family), *order = eh_new(&mem, int64_t, n_cluster);
    int64_t *size = eh_new(&mem, int64_t, n_cluster);
    bool *drawn = eh_new(&mem, bool, n_cluster);
    t->pick = eh_alloc(n, (int64_t)sizeof *t->pick);
    int rc = EH_OK;
    if (!split || !by_category || !by_family || !rows || !order || !size || !drawn || !t->pick) {
        rc = eh_fail(err, EH_ENOMEM, "no memory to choose from %lld items", (long long)n);
        goto done;
    }
    const bool ours = o->categories_of == NULL || strcmp(o->categories_of, t->kind->task) == 0;
    const char *const wanted = ours ? o->categories : NULL;
    if (wanted != NULL) {
        rc = check_names(wanted, names->category, n_category, names->family, n_family, err);
        if (rc < 0)
            goto done;
        mark_wanted(wanted, names->category, n_category, by_category);
        mark_wanted(wanted, names->family, n_family, by_family);
    }
    if (t->plan->split != EH_SPLIT_ALL && (rc = split_clusters(item, n, names, split, err)) < 0)
        goto done;
    t->n_all = n;
    for (int64_t i = 0; i < n; i++) {
        if (t->plan->split != EH_SPLIT_ALL && split[item[i].cluster] != t->plan->split)
            continue;
        if (wanted != NULL && !by_category[item[i].category] && !by_family[item[i].family])
            continue;
        if (o->rows > 0 && rows[item[i].family]++ >= o->rows)
            continue;
        t->pick[t->n_pick++] = i;
    }
    if (o->limit > 0) {
        for (int32_t c = 0; c < n_category; c++)
            draw_templates(t->plan, item, t->pick, t->n_pick, c, order, size, n_cluster, drawn);
        int64_t kept = 0;
        for (int64_t k = 0; k < t->n_pick; k++)
            if (drawn[item[t->pick[k]].cluster])
                t->pick[kept++] = t->pick[k];
        t->n_pick = kept;
    }
done:
    eh_arena_clear(&mem);
    return rc;
}

/* ---- Running a task ----------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

int eh_audit_hash_items(const eh_audit_task *t, char out[EH_SHA256_TEXT], eh_err *err)
{
    eh_sha256 h;
    eh_sha256_begin(&h);
    for (int64_t k = 0; k < t->n_pick; k++)
        t->kind->hash(t, t->pick[k], &h);
    return eh_sha256_end(&h, out, err);
}

json_t *eh_audit_what(const eh_audit_task *t, const char *data_sha, const char *fingerprint)
{
    const eh_audit_plan *p = t->plan;
    const bool letters = p->form == EH_BBQ_LETTERS;
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:i}", "evenhand", EH_VERSION, "model", fingerprint, "precision",
                     t->s->precision == EH_BF16 ? "bf16" : "f32", "data", data_sha, "answer",
                     eh_bbq_form_table[p->form].name, "orders", letters ? p->orders->name : "stored", "chat",
                     p->o.chat, "block", BLOCK);
}

/* What answers a task's blocks, and its records. */
typedef struct asking {
    eh_audit_task *t;
    eh_ask ask;
} asking;

static int ask_block(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *err)
{
    asking *a = ctx;
    eh_audit_task *t = a->t;
    int64_t number[BLOCK][EH_AUDIT_NUMBERS];
    eh_jsonw w = {.b = records};
    int rc = EH_OK;
    eh_ask_reset(&a->ask);
    for (int64_t k = from; k < to && rc == EH_OK; k++)
        rc = t->kind->ask(t, t->pick[k], &a->ask, number[k - from], err);
    if (rc == EH_OK)
        rc = eh_ask_answer(&a->ask, err);
    for (int64_t k = from; k < to && rc == EH_OK; k++) {
        eh_jsonw_begin(&w, NULL, '{');
        eh_jsonw_int(&w, "doc_id", t->pick[k]);
        rc = t->kind->record(t, t->pick[k], &a->ask, number[k - from], &w, err);
        eh_jsonw_finish(&w);
    }
    return rc;
}

static int run_task(eh_audit_task *t, eh_journal *j, const json_t *what, eh_audit *a, eh_err *err)
{
    const eh_audit_options *o = &t->plan->o;
    char unit[100];
    snprintf(unit, sizeof unit, "items of %.80s", t->kind->task);
    asking state = {t, {.s = t->s, .chat = o->chat}};
    const eh_blocks b = {
        .task = t->kind->task,
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
    const int rc = eh_blocks_run(j, &b, &a->n_computed, err);
    eh_ask_clear(&state.ask);
    return rc;
}

static int read_record(void *ctx, int64_t i, const json_t *record, const char *where, eh_err *err)
{
    eh_audit_task *t = ctx;
    return t->kind->read(t, t->pick[i], record, where, err);
}

int eh_audit_read_records(eh_audit_task *t, const char *dir, eh_err *err)
{
    return eh_records_read(dir, t->kind->task, t->n_pick, read_record, t, err);
}

static int score_task(eh_audit_task *t, eh_audit *a, eh_err *err)
{
    int rc = t->kind->note != NULL ? t->kind->note(t, a, err) : EH_OK;
    for (int64_t k = 0; rc == EH_OK; k++) {
        eh_sheet s;
        eh_estimate e[EH_SHEET_SCORES];
        const char *name;
        rc = t->kind->sheet(t, k, &s, &name, err);
        if (rc == EH_AUDIT_LAST)
            return EH_OK;
        if (rc == EH_AUDIT_NO_SHEET)
            rc = EH_OK;
        else if (rc == EH_OK) {
            rc = eh_sheet_estimate(&s, &t->plan->bootstrap, e, err);
            for (int64_t i = 0; i < s.n_score && rc == EH_OK; i++) {
                const char *said = NULL;
                if (t->kind->shows == NULL || t->kind->shows(t, i, &e[i], &said))
                    rc = eh_audit_add_row(a, t->kind->task, name, s.name[i], &e[i], (eh_better)s.better[i], said, err);
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

static bool names_task(const char *list, const char *task)
{
    for (size_t len; *list != '\0'; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        if (len == strlen(task) && memcmp(list, task, len) == 0)
            return true;
    }
    return false;
}

int eh_audit_plan_make(const eh_session *s, const eh_audit_options *o, eh_audit_plan *p, eh_err *err)
{
    *p = (eh_audit_plan){.o = *o, .probes = find_probes(o)};
    if (o->out == NULL || o->out[0] == '\0')
        return eh_fail(err, EH_EINVAL, "an audit needs an out folder");
    if (p->o.tasks == NULL)
        p->o.tasks = o->items != NULL ? "items" : "probes";
    if (o->items != NULL && !names_task(p->o.tasks, "items"))
        return eh_fail(err, EH_EINVAL, "a file of items is given, and the benchmarks named (%s) do not hold \"items\"",
                       p->o.tasks);
    const char *answer = o->answer != NULL ? o->answer : "letters";
    int form = 0;
    while (form < EH_BBQ_N_FORM && strcmp(eh_bbq_form_table[form].name, answer) != 0)
        form++;
    if (form == EH_BBQ_N_FORM)
        return eh_fail(err, EH_EINVAL, "there is no answer form \"%s\"; there are letters, text and text_pmi", answer);
    p->form = (eh_bbq_form)form;
    const char *orders = o->orders != NULL ? o->orders : "cyclic";
    p->orders = eh_bbq_orders_find(orders);
    if (p->orders == NULL)
        return eh_fail(err, EH_EINVAL, "there are no orders \"%s\"; there are stored, cyclic and all", orders);
    if (!eh_split_find(o->split, &p->split))
        return eh_fail(err, EH_EINVAL, "there is no split \"%s\"; there are all, select, tune and test", o->split);
    if (o->limit < 0 || o->rows < 0 || o->resamples < 0 || o->resamples > 10000000)
        return eh_fail(err, EH_EINVAL, "limit, rows and resamples cannot be negative, nor resamples above 10 million");
    if (o->confidence != 0.0 && !(o->confidence > 0.0 && o->confidence < 1.0))
        return eh_fail(err, EH_EINVAL, "confidence is %g, wanted between 0 and 1", o->confidence);
    p->bootstrap = (eh_bootstrap_options){
        .seed = o->seed,
        .n_resample = o->resamples,
        .level = o->confidence,
        .n_thread = s->threads,
    };
    return EH_OK;
}

int eh_audit_task_open(eh_session *s, const eh_audit_plan *p, const char *name, eh_audit_task **out, eh_err *err)
{
    const eh_audit_kind *kind = eh_audit_kind_find(name);
    if (kind == NULL)
        return eh_fail(err, EH_EINVAL, "there is no benchmark \"%s\"", name);
    eh_audit_task *t = eh_calloc(1, (int64_t)sizeof *t);
    if (t == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a task");
    *t = (eh_audit_task){.kind = kind, .plan = p, .s = s};
    int rc = kind->load(t, err);
    if (rc == EH_OK && t->n_pick == 0)
        rc = eh_fail(err, EH_EINVAL, "no item of %s is left by --split, --categories, --rows and --limit", name);
    if (rc < 0) {
        eh_audit_task_close(t);
        return rc;
    }
    *out = t;
    return EH_OK;
}

void eh_audit_task_close(eh_audit_task *t)
{
    if (t == NULL)
        return;
    t->kind->clear(t);
    eh_free(t->pick);
    eh_free(t);
}

/* The tasks named, loaded. */
static int load_tasks(eh_session *s, const eh_audit_plan *p, eh_audit_task **task, int64_t *n, eh_err *err)
{
    for (const char *at = p->o.tasks; *at != '\0';) {
        const size_t len = strcspn(at, ",");
        char name[100];
        snprintf(name, sizeof name, "%.*s", (int)(len < 99 ? len : 99), at);
        for (int64_t i = 0; i < *n; i++)
            if (strcmp(task[i]->kind->task, name) == 0)
                return eh_fail(err, EH_EINVAL, "the benchmark \"%s\" is named twice", name);
        if (*n == MAX_TASKS)
            return eh_fail(err, EH_EINVAL, "more than %d benchmarks are named", MAX_TASKS);
        const int rc = eh_audit_task_open(s, p, name, &task[*n], err);
        if (rc < 0)
            return rc;
        (*n)++;
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
    eh_audit_task *task[MAX_TASKS] = {0};
    char data_sha[MAX_TASKS][EH_SHA256_TEXT];
    char fingerprint[65];
    int64_t n_task = 0;
    eh_journal *j = NULL;

    if ((rc = load_tasks(s, &plan, task, &n_task, err)) < 0 || (rc = eh_session_fingerprint(s, fingerprint, err)) < 0 ||
        (rc = eh_journal_open(plan.o.out, &j, err)) < 0)
        goto done;
    for (int64_t i = 0; i < n_task && rc == EH_OK; i++) {
        rc = eh_audit_hash_items(task[i], data_sha[i], err);
        json_t *what = rc < 0 ? NULL : eh_audit_what(task[i], data_sha[i], fingerprint);
        if (rc == EH_OK && what == NULL)
            rc = eh_fail(err, EH_ENOMEM, "no memory for a journal line");
        const double before = now();
        if (rc == EH_OK)
            rc = run_task(task[i], j, what, a, err);
        scoring += now() - before;
        json_decref(what);
        if (rc == EH_OK)
            rc = eh_audit_read_records(task[i], plan.o.out, err);
        if (rc == EH_OK)
            rc = score_task(task[i], a, err);
        a->n_item += task[i]->n_pick;
    }
    a->seconds = now() - start;
    if (rc == EH_OK)
        rc = eh_audit_write_results(a, &plan, s, task, n_task, err);
    if (rc == EH_OK)
        rc = eh_audit_write_reproduce(a, &plan, s, task, (const char(*)[EH_SHA256_TEXT])data_sha, n_task, fingerprint,
                                      scoring, err);
done:
    for (int64_t i = 0; i < n_task; i++)
        eh_audit_task_close(task[i]);
    eh_journal_close(j);
    if (rc < 0) {
        eh_audit_close(a);
        return rc;
    }
    *out = a;
    return EH_OK;
}

const eh_score_row *eh_audit_rows(const eh_audit *a, int64_t *n)
{
    *n = a->n_row;
    return a->row;
}

const char *eh_audit_notes(const eh_audit *a)
{
    return a->notes.p != NULL ? a->notes.p : "";
}

double eh_audit_seconds(const eh_audit *a, int64_t *n_item, int64_t *n_computed)
{
    *n_item = a->n_item;
    *n_computed = a->n_computed;
    return a->seconds;
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
