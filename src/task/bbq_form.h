/*
 * Questions in BBQ's form, as several benchmarks ask them: a row's functions (task/task.h), by letters or by the
 * options' text. A row takes them by EH_BBQ_FORM_ROW, and brings a `load` that ends with eh_bbq_form_items. Private to
 * the room.
 *
 *     static int load(eh_open_task *t, eh_err *err)
 *     {
 *         eh_bbq_self *s = t->self = eh_calloc(1, (int64_t)sizeof *s);
 *         ... eh_probe_load(t->o->probes, &s->set, err) ...
 *         return eh_bbq_form_items(t, s, err);
 *     }
 */
#ifndef EH_TASK_BBQ_FORM_H
#define EH_TASK_BBQ_FORM_H

#include "task/bbq_score.h"

typedef struct eh_bbq_self { /* what an open task keeps */
    eh_bbq_set set;
    eh_bbq_answer *answer; /* [n_item] */
    int8_t *choice;        /* [n_item] of the harness's continuations; -1: not answered */
    int32_t letter[3];     /* tokens of " A", " B", " C" */
    int64_t n_too_long;
} eh_bbq_self;

/* The items of s->set. s is t->self. */
int eh_bbq_form_items(eh_open_task *t, eh_bbq_self *s, eh_err *err);
int eh_bbq_form_load(eh_open_task *t, eh_err *err); /* the published files, in --data */
int eh_bbq_form_prepare(eh_open_task *t, eh_err *err);
void eh_bbq_form_hash(const eh_open_task *t, int64_t i, eh_sha256 *h);
int eh_bbq_form_ask(eh_open_task *t, int64_t i, eh_ask *ask, int64_t *number, eh_err *err);
int eh_bbq_form_record(const eh_open_task *t, int64_t i, const eh_ask *ask, const int64_t *number, eh_jsonw *w,
                       eh_err *err);
int eh_bbq_form_read(eh_open_task *t, int64_t i, const json_t *record, const char *where, eh_err *err);
int eh_bbq_form_sheet(const eh_open_task *t, int64_t k, eh_sheet *s, const char **category, eh_err *err);
int eh_bbq_form_note(eh_open_task *t, eh_buf *notes, eh_err *err);
bool eh_bbq_form_shows(const eh_open_task *t, int64_t s, const eh_estimate *e, const char **note);
int eh_bbq_form_look(eh_open_task *t, int64_t i, eh_ask *ask, const int64_t *number, eh_arena *arena, eh_look *look,
                     eh_err *err);
int eh_bbq_form_measure(eh_open_task *t, int64_t i, const eh_ask *ask, const int64_t *number,
                        double measure[EH_N_MEASURE], eh_err *err);
int eh_bbq_form_example(eh_open_task *t, int64_t i, eh_example_fn *take, void *ctx, eh_err *err);
void eh_bbq_form_clear(eh_open_task *t);

/* The part of a row that is common to all of them, but for `load`. */
#define EH_BBQ_FORM_ROW \
    .answer = &eh_bbq_forms, \
    .orders = &eh_bbq_order_ways, \
    .prepare = eh_bbq_form_prepare, \
    .hash = eh_bbq_form_hash, \
    .ask = eh_bbq_form_ask, \
    .record = eh_bbq_form_record, \
    .read = eh_bbq_form_read, \
    .sheet = eh_bbq_form_sheet, \
    .note = eh_bbq_form_note, \
    .shows = eh_bbq_form_shows, \
    .look = eh_bbq_form_look, \
    .measure = eh_bbq_form_measure, \
    .example = eh_bbq_form_example, \
    .clear = eh_bbq_form_clear

#define EH_BBQ_FORM_WORK \
    {"the form of the questions and their bias scores", \
     "Parrish et al.: BBQ: A Hand-Built Bias Benchmark for Question Answering. Findings of ACL 2022."}

/* What the harness's way of asking shares with it: the fields that a record begins with, which parts have a picked
 * item, and what is to be said of the data. */
void eh_bbq_form_put_item(const eh_open_task *t, int64_t i, eh_jsonw *w);
bool eh_bbq_form_takes_part(const eh_open_task *t, eh_bbq_part part);
int eh_bbq_form_note_data(eh_open_task *t, eh_buf *notes, eh_err *err);

#endif
