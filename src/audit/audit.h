/*
 * Inside an audit: a benchmark's items chosen, asked, recorded and scored, whatever the benchmark is (task/task.h).
 *
 * The audit cuts a task's items into blocks, asks the engine a block at a time, keeps a record per
 * item (JSON Lines, journalled), and at the end reads all records back and scores from them alone:
 * a run that was resumed and one that was not cannot differ.
 */
#ifndef EH_AUDIT_AUDIT_H
#define EH_AUDIT_AUDIT_H

#include <jansson.h>

#include "job/split.h"
#include "model/session.h"
#include "task/task.h"

struct eh_audit {
    eh_audit_result result; /* row, and notes when all is done, are those below */
    eh_score_row *row;      /* [result.n_row]; its words are the arena's */
    int64_t room;
    eh_buf notes;
    eh_arena arena;
};

/* What the user asked for, checked. */
typedef struct eh_audit_plan {
    eh_audit_options o;            /* this library's own: complete */
    eh_task_options task;          /* what benchmarks are opened with */
    const eh_way *answer, *orders; /* the ways asked for, as far as they do not depend on the benchmark */
    eh_bootstrap_options bootstrap;
} eh_audit_plan;

/* The options taken (NULL: all defaults) and checked. */
int eh_audit_plan_make(const eh_session *s, const eh_audit_options *o, eh_audit_plan *p, eh_err *err);
/* Who is asked. */
eh_asker eh_audit_asker(const eh_session *s, bool chat);
/* The categories that are asked of a benchmark, a comma list; NULL: all. */
const char *eh_audit_categories(const eh_audit_plan *p, const eh_task *row);

/* ---- A task -------------------------------------------------------------------------------- */

/* A task with its items loaded, as the plan asks, and none chosen; the caller's to eh_task_close. */
int eh_audit_row_open(const eh_session *s, const eh_audit_plan *p, const eh_task *row, eh_open_task **t, eh_err *err);
/* A task by its name with its items loaded and chosen, one at least; the caller's to eh_task_close. Whoever asks calls
 * eh_audit_prepare first. */
int eh_audit_task_open(const eh_session *s, const eh_audit_plan *p, const char *name, eh_open_task **out, eh_err *err);
int eh_audit_prepare(eh_open_task *t, eh_err *err);

/*
 * Chooses items by --split, --categories, --rows and --limit into t->pick, in place of those that were chosen before.
 *
 * --categories may say a category or a family by its name. A split is drawn over all templates of a family before
 * anything else is left out (job/split.h).
 * Errors   EH_EINVAL a category that is not there; EH_ENOMEM. That no item is left is no error here.
 */
int eh_audit_choose(eh_open_task *t, const eh_audit_plan *p, eh_err *err);

/* Answers what was asked for, with observers as eh_score_observed has them. */
int eh_audit_answer(eh_session *s, eh_ask *ask, const eh_observer *observer, int n_observer, eh_err *err);
/* Takes the answers of items from an out folder's samples_<task>.jsonl. */
int eh_audit_read_records(eh_open_task *t, const char *dir, eh_err *err);

/* Hash of all that the picked items are. */
int eh_audit_hash_items(const eh_open_task *t, char out[EH_SHA256_TEXT], eh_err *err);
/* Everything that a task's answers depend on, as a JSON object; NULL: no memory. */
json_t *eh_audit_what(const eh_open_task *t, const eh_session *s, const eh_audit_plan *p, const char *data_sha,
                      const char *fingerprint);

/* ---- Results ------------------------------------------------------------------------------- */

/* results.json and reproduce.json. */
int eh_audit_write_results(const eh_audit *a, const eh_audit_plan *p, const eh_session *s, eh_open_task *const *task,
                           int64_t n_task, eh_err *err);
int eh_audit_write_reproduce(const eh_audit *a, const eh_audit_plan *p, const eh_session *s, eh_open_task *const *task,
                             const char (*data_sha)[EH_SHA256_TEXT], int64_t n_task,
                             const char *fingerprint, double scoring_seconds, eh_err *err);

#endif
