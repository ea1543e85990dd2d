/*
 * Inside an audit: a task as the audit runs it, whatever its items are.
 *
 * The audit cuts a task's items into blocks, asks the engine a block at a time, keeps a record per
 * item (JSON Lines, journalled), and at the end reads all records back and scores from them alone:
 * a run that was resumed and one that was not cannot differ.
 */
#ifndef EH_AUDIT_AUDIT_H
#define EH_AUDIT_AUDIT_H

#include <jansson.h>

#include "base/hash.h"
#include "base/jsonw.h"
#include "stats/sheet.h"
#include "probe/heads.h"
#include "audit/ask.h"
#include "job/split.h"
#include "task/bbq_prompt.h"
#include "task/task.h"

struct eh_audit {
    eh_score_row *row; /* [n_row]; its words are the arena's */
    int64_t n_row, room;
    eh_buf notes;
    double seconds;
    int64_t n_item, n_computed;
    eh_arena arena;
};

/* What the user asked for, with defaults filled in. */
typedef struct eh_audit_plan {
    eh_audit_options o;
    const char *probes; /* folder */
    eh_split split;
    eh_bbq_form form;
    const eh_bbq_orders *orders;
    eh_bootstrap_options bootstrap;
} eh_audit_plan;

typedef struct eh_audit_names { /* what the indices of items stand for */
    const char *const *category;
    int64_t n_category;
    const char *const *family;
    int64_t n_family;
    const char *const *cluster;
    int64_t n_cluster;
} eh_audit_names;

typedef struct eh_audit_task eh_audit_task;

/* ---- What locating needs of an item (locate/locate.h) ------------------------------------------- */

typedef enum eh_measure { EH_MEASURE_CI, EH_MEASURE_CI_BIAS, EH_MEASURE_LOG_RATIO, EH_N_MEASURE } eh_measure;

#define EH_LOOK_REQUESTS 6 /* most requests of an item that are looked at, or that its goal is made of */

typedef struct eh_look {
    int32_t category, cluster;
    int32_t stratum; /* within which measures are exchanged: the template, and what else items of one kind share */
    const char *skip; /* why the item takes no part; NULL: it does */

    /* Requests at whose answer position heads are looked at; a statistic of the item is the sum of
     * weight * statistic. */
    int n_forward;
    struct {
        int64_t number;
        double weight;
        eh_head_set set;
    } forward[EH_LOOK_REQUESTS];

    /* The target whose gradient is taken: the sum of weight * log p, of candidate `cand` of a request,
     * or of its whole continuation (cand -1). Larger: more biased. */
    int n_part;
    struct {
        int64_t number, cand;
        double weight;
    } part[EH_LOOK_REQUESTS];

    int64_t question; /* the request of the prompt without its context, for tracing; -1: there is none */
} eh_look;

/* A kind of task is a row of functions; `self` is the kind's own. */
typedef struct eh_audit_kind {
    const char *task; /* its name in eh_task_table */
    /* Loads the items and chooses those that take part: t->pick, t->n_pick, t->self. */
    int (*load)(eh_audit_task *t, eh_err *err);
    int32_t (*cluster)(const eh_audit_task *t, int64_t i); /* item i's template */
    /* Adds everything that item i depends on to the hash. */
    void (*hash)(const eh_audit_task *t, int64_t i, eh_sha256 *h);
    /* Adds item i's requests to `ask`, their numbers to `number` (room for EH_AUDIT_NUMBERS). */
    int (*ask)(eh_audit_task *t, int64_t i, eh_ask *ask, int64_t *number, eh_err *err);
    /* Adds the fields of item i's record, whose "doc_id" is there, to the object that is open. */
    int (*record)(const eh_audit_task *t, int64_t i, const eh_ask *ask, const int64_t *number, eh_jsonw *w,
                  eh_err *err);
    /* Takes item i's answer from its record. */
    int (*read)(eh_audit_task *t, int64_t i, const json_t *record, const char *where, eh_err *err);
    /* Sheet k of the answers: 0 is of all items, then one a category; *name is its category. Returns
     * EH_AUDIT_NO_SHEET where no item of it takes part, EH_AUDIT_LAST after the last. */
    int (*sheet)(const eh_audit_task *t, int64_t k, eh_sheet *s, const char **name, eh_err *err);
    /* Adds notes on the whole, and sets t->warning to what must stand beside its scores. May be NULL. */
    int (*note)(eh_audit_task *t, eh_audit *a, eh_err *err);
    /* Whether score s of a sheet is shown, and what is said beside it (*note). May be NULL: all are. */
    bool (*shows)(const eh_audit_task *t, int64_t s, const eh_estimate *e, const char **note);
    /* What locating looks at: after item i's requests were asked for (and may ask for more), before
     * they are answered. Position sets come from `arena`. NULL: the task cannot be located on. */
    int (*look)(eh_audit_task *t, int64_t i, eh_ask *ask, const int64_t *number, eh_arena *arena, eh_look *look,
                eh_err *err);
    /* The item's measures, from the answers; NaN: not defined for such items. */
    int (*measure)(eh_audit_task *t, int64_t i, const eh_ask *ask, const int64_t *number, double measure[EH_N_MEASURE],
                   eh_err *err);
    void (*clear)(eh_audit_task *t);
} eh_audit_kind;

#define EH_AUDIT_NO_SHEET 1
#define EH_AUDIT_LAST 2
#define EH_AUDIT_NUMBERS 12 /* most requests of one item: six orders, twice; or twelve continuations */

struct eh_audit_task {
    const eh_audit_kind *kind;
    const eh_audit_plan *plan;
    eh_session *s;
    int64_t *pick; /* [n_pick] items that take part, in stored order */
    int64_t n_pick;
    int64_t n_all; /* items there are */
    const eh_audit_names *names; /* of categories and templates; the kind's */
    const char *warning; /* said beside every score; NULL: nothing to warn of */
    void *self;
};

/* The kinds there are; NULL: no such task. */
const eh_audit_kind *eh_audit_kind_find(const char *task);
extern const eh_audit_kind eh_audit_bbq, eh_audit_probes, eh_audit_bbq_harness, eh_audit_pairs, eh_audit_utility,
    eh_audit_items;

/*
 * Chooses items by --split, --categories, --rows and --limit into t->pick.
 *
 * in   item [n]; --categories may say a category or a family by its name
 * A split is drawn over all templates of a family before anything else is left out (job/split.h).
 */
typedef struct eh_audit_item {
    int32_t category, family, cluster;
} eh_audit_item;
int eh_audit_choose(eh_audit_task *t, const eh_audit_item *item, int64_t n, const eh_audit_names *names, eh_err *err);

/* A row of the result; texts are copied. */
int eh_audit_add_row(eh_audit *a, const char *task, const char *category, const char *score, const eh_estimate *e,
                     eh_better better, const char *note, eh_err *err);
int eh_audit_add_note(eh_audit *a, eh_err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Reads n finite numbers. */
int eh_audit_get_numbers(const json_t *record, const char *key, const char *where, int64_t n, double *x, eh_err *err);

/* A task by its name with its items loaded and chosen; the caller's to close. */
int eh_audit_task_open(eh_session *s, const eh_audit_plan *p, const char *name, eh_audit_task **out, eh_err *err);
void eh_audit_task_close(eh_audit_task *t); /* NULL is fine */
/* Defaults filled in, and the options checked. */
int eh_audit_plan_make(const eh_session *s, const eh_audit_options *o, eh_audit_plan *p, eh_err *err);
/* Takes the answers of items from an out folder's samples_<task>.jsonl. */
int eh_audit_read_records(eh_audit_task *t, const char *dir, eh_err *err);

/* Hash of all that the picked items are. */
int eh_audit_hash_items(const eh_audit_task *t, char out[EH_SHA256_TEXT], eh_err *err);
/* Everything that a task's answers depend on, as a JSON object; NULL: no memory. */
json_t *eh_audit_what(const eh_audit_task *t, const char *data_sha, const char *fingerprint);

/* results.json and reproduce.json. */
int eh_audit_write_results(const eh_audit *a, const eh_audit_plan *p, const eh_session *s, eh_audit_task *const *task,
                           int64_t n_task, eh_err *err);
int eh_audit_write_reproduce(const eh_audit *a, const eh_audit_plan *p, const eh_session *s, eh_audit_task *const *task,
                             const char (*data_sha)[EH_SHA256_TEXT], int64_t n_task,
                             const char *fingerprint, double scoring_seconds, eh_err *err);

#endif
