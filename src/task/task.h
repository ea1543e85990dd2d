/*
 * A benchmark is one file and one row: an eh_task, with what it is (evenhand/study.h), whose it is, and the functions
 * that load its items, ask them and score them. Everything else in the house goes by the row; docs/benchmarks.md shows
 * one being written.
 *
 *     const eh_task *row = eh_task_find("pairs", NULL);                      task/benchmarks.h
 *     rc = eh_task_open(row, &options, &who, &t, err);                       its items: t->item [t->n]
 *     rc = row->ask(t, i, &ask, number, err);                                item i's requests
 *     ... a model answers them ...
 *     rc = row->record(t, i, &ask, number, &w, err);                         and what it said, as fields of JSON
 *     rc = row->read(t, i, record, where, err);                              which is all that is scored:
 *     rc = row->sheet(t, 0, &sheet, &category, err);
 *     eh_task_close(t);
 *
 * A task knows tokenizers, and no model.
 */
#ifndef EH_TASK_TASK_H
#define EH_TASK_TASK_H

#include <jansson.h>

#include "base/hash.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/range.h"
#include "base/str.h"
#include "evenhand/study.h"
#include "stats/sheet.h"
#include "text/ask.h"

/* ---- Ways of asking ------------------------------------------------------------------------ */

/* One of the words of --answer or --orders. */
typedef struct eh_way {
    const char *name;   /* "letters" */
    const char *what;   /* one line */
    const char *source; /* whose way it is; NULL: nobody's in particular */
    bool ordered;       /* --answer: options are shown, so that their order may matter */
    const char *learnt; /* --answer: the way in which examples are learnt, where that is another; NULL: this one */
} eh_way;

/* The ways that a benchmark has, where it has several. */
typedef struct eh_ways {
    const eh_way *const *way; /* [n] */
    int n;
    int initial; /* unless another is named */
    int content; /* --answer: the way for models whose answers go by the order of what is shown; -1: there is none */
} eh_ways;

/* ---- An open task -------------------------------------------------------------------------- */

/* What a task is opened with. */
typedef struct eh_task_options {
    const char *data, *items, *probes; /* as in eh_audit_options; probes is a folder in any case */
    const char *categories;            /* a hint: those that will be asked, a comma list; NULL: all */
    const char *answer, *orders;       /* ways; NULL: the initial one. Tasks without ways do not look */
} eh_task_options;

typedef struct eh_task_item {
    int32_t category, family, cluster; /* indices into the names */
} eh_task_item;

typedef struct eh_task_names { /* what the indices of items stand for */
    const char *const *category; /* what scores are given for */
    int64_t n_category;
    const char *const *family;   /* templates are split within a family */
    int64_t n_family;
    const char *const *cluster;  /* the question templates */
    int64_t n_cluster;
} eh_task_names;

typedef struct eh_task eh_task;

typedef struct eh_open_task {
    const eh_task *row;
    eh_task_options o;
    eh_asker who;
    int answer, orders;  /* of row->answer->way, row->orders->way; 0 where there are none */
    eh_task_item *item;  /* [n] */
    int64_t n;
    double *column;      /* [n, width] what each item adds to its template's sums (task/formula.h); read() fills them */
    int64_t width;
    eh_task_names names; /* the task's own */
    const char *warning; /* said beside every score; NULL: nothing to warn of */
    void *self;          /* what else the row's functions keep */
    int64_t *pick;       /* [n_pick] items that take part, in stored order; audit/audit.h chooses */
    int64_t n_pick;
} eh_open_task;

/* ---- What locating needs of an item (locate/locate.h) --------------------------------------- */

#define EH_LOOK_REQUESTS 6 /* most requests of an item that are looked at, or that its goal is made of */

typedef struct eh_look {
    int32_t category, cluster;
    int32_t stratum;  /* within which measures are exchanged: the template, and what else items of one kind share */
    const char *skip; /* why the item takes no part; NULL: it does */

    /* Requests at whose answer position heads are looked at; a statistic of the item is the sum of
     * weight * statistic. */
    int n_forward;
    struct {
        int64_t number;
        double weight;
        const eh_range *group; /* [n_group] tokens where the groups are spoken of: ascending, apart from each other */
        int64_t n_group;       /* 0: not known */
        eh_range context;      /* tokens of the context; empty: not known */
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

/* ---- The row ------------------------------------------------------------------------------- */

/* A work that a report cites where it used the benchmark. */
typedef struct eh_work {
    const char *used_for; /* "sentence pairs" */
    const char *work;     /* "Nangia, ...: CrowS-Pairs: .... EMNLP 2020." */
} eh_work;

/* Takes a training example: a prompt, and the right answer behind a blank. */
typedef int eh_example_fn(void *ctx, eh_str prompt, eh_str answer, eh_err *err);

#define EH_TASK_NUMBERS 12 /* most requests of one item: six orders, twice; or twelve continuations */
#define EH_TASK_NO_SHEET 1
#define EH_TASK_LAST 2

/* Functions that may be NULL say so. */
struct eh_task {
    eh_benchmark about;
    const eh_work *work; /* [n_work] */
    int n_work;
    const eh_ways *answer, *orders; /* NULL: there is one way only, and --answer or --orders says nothing to it */

    /* Loads the items: eh_task_item_room, then t->item, t->names, t->self. On failure what is there is cleared. */
    int (*load)(eh_open_task *t, eh_err *err);
    /* What asking needs beside the items; called before anything is asked. NULL: nothing. */
    int (*prepare)(eh_open_task *t, eh_err *err);
    /* Adds everything that item i depends on to the hash. */
    void (*hash)(const eh_open_task *t, int64_t i, eh_sha256 *h);
    /* Adds item i's requests to `ask`, their numbers to `number` (room for EH_TASK_NUMBERS). */
    int (*ask)(eh_open_task *t, int64_t i, eh_ask *ask, int64_t *number, eh_err *err);
    /* Adds the fields of item i's record, whose "doc_id" is there, to the object that is open. */
    int (*record)(const eh_open_task *t, int64_t i, const eh_ask *ask, const int64_t *number, eh_jsonw *w,
                  eh_err *err);
    /* Takes item i's answer from its record. */
    int (*read)(eh_open_task *t, int64_t i, const json_t *record, const char *where, eh_err *err);
    /* Sheet k of the answers, with the scores of about.score in their order: 0 is of all items, then one a category;
     * *category is its name. Returns EH_TASK_NO_SHEET where no item of it takes part, EH_TASK_LAST after the last. */
    int (*sheet)(const eh_open_task *t, int64_t k, eh_sheet *s, const char **category, eh_err *err);
    /* Adds notes on the whole, and sets t->warning to what must stand beside its scores. NULL: nothing to say. */
    int (*note)(eh_open_task *t, eh_buf *notes, eh_err *err);
    /* Whether score s of a sheet is shown, and what is said beside it (*note). NULL: all are. */
    bool (*shows)(const eh_open_task *t, int64_t s, const eh_estimate *e, const char **note);

    /* What locating looks at: after item i's requests were asked for (and may ask for more), before they are answered.
     * Ranges come from `arena`. NULL, as is about.measure: the task cannot be located on. */
    int (*look)(eh_open_task *t, int64_t i, eh_ask *ask, const int64_t *number, eh_arena *arena, eh_look *look,
                eh_err *err);
    /* The item's measures, from the answers; NaN: not defined for such items. NULL together with look. */
    int (*measure)(eh_open_task *t, int64_t i, const eh_ask *ask, const int64_t *number, double measure[EH_N_MEASURE],
                   eh_err *err);

    /* Hands item i to `take`, as one example or several. NULL: there is nothing to learn from its items. */
    int (*example)(eh_open_task *t, int64_t i, eh_example_fn *take, void *ctx, eh_err *err);

    void (*clear)(eh_open_task *t); /* t->self, also NULL or half-built. NULL: there is nothing to give back */
};

/* *t is the caller's to close. Errors: a way that the row does not have, those of its load, and EH_EINVAL where what it
 * loaded does not hold together. The options' texts must live as long as *t. */
int eh_task_open(const eh_task *row, const eh_task_options *o, const eh_asker *who, eh_open_task **t, eh_err *err);
void eh_task_close(eh_open_task *t); /* NULL is fine */

/* ---- What rows are read for ---------------------------------------------------------------- */

/* NULL where the row has no score of that name. */
const eh_benchmark_score *eh_task_score(const eh_task *row, const char *name);
/* The row's first score of a kind; NULL: it has none. */
const eh_benchmark_score *eh_task_score_of_kind(const eh_task *row, eh_score_kind kind);
/* Has it scores of utility, and none of bias? */
bool eh_task_is_utility(const eh_task *row);
/* The way of that name; NULL: there is none, or no ways at all. */
const eh_way *eh_way_find(const eh_ways *ways, const char *name);
/* The ways that t is asked in; NULL where its row has none. */
const eh_way *eh_task_answer(const eh_open_task *t);
const eh_way *eh_task_orders(const eh_open_task *t);

/* ---- What the rows' functions share -------------------------------------------------------- */

/* Room for n items at t->item and t->column, zeroed. width 0: the row makes its sheets without columns. */
int eh_task_item_room(eh_open_task *t, int64_t n, int64_t width, eh_err *err);
double *eh_task_columns(const eh_open_task *t, int64_t i); /* [width] item i's */
/* The sentence on n items that were left out; none where n is 0. */
int eh_task_note_too_long(const eh_open_task *t, int64_t n, eh_buf *notes, eh_err *err);
/* Does one of n requests exceed the model's context? */
bool eh_task_too_long(const int64_t *number, int64_t n);
/* Fails with EH_ENOENT and a sentence that says which file of the task is not there, where it was looked for and where
 * it is published. */
int eh_task_missing(const char *task, const char *file, const char *places, const char *published, eh_err *err);

/* Reads n numbers of a record. */
int eh_task_get_numbers(const json_t *record, const char *key, const char *where, int64_t n, double *x, eh_err *err);
/* [n, width] numbers, as a list of lists. */
int eh_task_get_table(const json_t *record, const char *key, const char *where, int64_t n, int64_t width, double *x,
                      eh_err *err);

#endif
