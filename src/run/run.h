/*
 * Inside a run: its stages share what is here. run.c strings them together, run_search.c looks for the
 * number of heads and the strength, run_write.c writes run.json and unlearning_results.csv.
 *
 * Folders (the names of the first published system's output, where a reader of that paper looks):
 *
 *     bias_evaluation/            the test split before any edit, and whatever else is measured
 *     bias_localization_before/   where the bias lives (select split)
 *     bias_mitigation/            the search (tune split), edit.json, calibration
 *     bias_evaluation_after/, bias_localization_after/
 *     controls/                   the same edit on random heads of the same layers
 *     model/                      the edited model
 */
#ifndef EH_RUN_RUN_H
#define EH_RUN_RUN_H

#include "audit/changes.h"
#include "run/fluency.h"
#include "locate/locate.h"

/* One setting of the edit, and what it does on the tune split. */
typedef struct eh_setting {
    int64_t heads;
    double strength;
    double bias;                                 /* the objective, signed */
    double utility;                              /* accuracy; NaN: there is none */
    int64_t n_utility;                           /* of so many questions */
    double perplexity, kl_median, kl_p95;        /* NaN: no text */
    bool front, chosen;
} eh_setting;

#define EH_RUN_BESIDE 8 /* most benchmarks beside the one that judges */
#define EH_RUN_PLACES 8 /* most places whose probabilities a benchmark has scores of */

typedef struct eh_run_preset {
    int64_t limit[4]; /* items of a category by eh_split; EH_ALL */
    int64_t points;   /* of the search */
    int64_t controls; /* random twins */
    int64_t permutations, confirm, trace, steps;
} eh_run_preset;

typedef struct eh_run_state {
    eh_run_options o;         /* with what the preset says in place of EH_BY_PRESET */
    eh_locate_options locate;
    const eh_run_preset *preset;
    eh_session *s;
    eh_audit_options audit; /* what every audit of the run has in common */
    eh_audit_plan plan;     /* the same, with defaults filled in, for no split and without a limit of the preset's */
    const eh_task *task;    /* the benchmark that heads are located on and that judges the edit */
    const eh_task *beside[EH_RUN_BESIDE]; /* [n_beside] those that are measured beside it */
    int n_beside;
    const eh_task *spared;  /* the one of them that the search must not damage; NULL: none */
    const char *out;
    const char *score;      /* the objective: a score of the task */
    eh_fluency fluency;
    bool has_text;
    eh_setting original;      /* the model as it came */
    eh_setting *point;        /* [n_point] */
    int64_t n_point;
    const char *rule;       /* how the point was chosen, a sentence */
    int64_t chosen;         /* -1: none */
    eh_head_map *before, *after;
    eh_unit_edit *edit;     /* [n_edit] */
    int64_t n_edit;
    eh_changes changes;
    double *control;        /* [n_control] change of the objective's size by a random twin */
    int64_t n_control;
    double control_edit;    /* the same by the edit */
    double position_before; /* share of answers that change with order; NaN: not asked */
    double place[EH_RUN_PLACES]; /* mean probability of each place that the task has a score of */
    eh_fluency_change text;
    int64_t n_item, n_computed; /* of all stages' audits and maps: items, and those computed by this call */
    eh_buf notes;
    eh_arena memory;
} eh_run_state;

/* Items and templates of a split. */
typedef struct eh_run_count {
    int64_t n_item, n_template;
} eh_run_count;

#define EH_RUN_PATH 4200
/* The file of plain text: the user's, or the probe set's. */
void eh_run_text(const eh_run_state *r, char path[EH_RUN_PATH]);
/* Chooses the items of a split, and counts them. */
int eh_run_choose(const eh_run_state *r, eh_split split, eh_open_task *t, eh_run_count *count, eh_err *err);
/* The scores of the task's positions: their effect, and *n places; NULL: it has none. */
const eh_benchmark_score *eh_run_positions(const eh_run_state *r, const eh_benchmark_score *place[EH_RUN_PLACES],
                                           int *n);
/* "OUT/name", in the run's memory; NULL: no memory. */
const char *eh_run_path(eh_run_state *r, const char *name);
/* The audits' options for a split: what all have in common, and the split's limit. */
eh_audit_options eh_run_options_of(const eh_run_state *r, eh_split split);
/* An audit of `tasks` on a split into the folder; *a may be NULL. */
int eh_run_audit(eh_run_state *r, const char *tasks, eh_split split, const char *folder, eh_audit **a, eh_err *err);
/* The value of a score over all categories; NaN: not there or not defined. */
double eh_run_score(const eh_audit *a, const char *task, const char *score);
int64_t eh_run_score_n(const eh_audit *a, const char *task, const char *score); /* items behind it; 0: not there */
/* The edit of the `heads` first choices of a map at this strength: alpha = strength * weight / largest weight. */
void eh_run_edit(const eh_run_state *r, const eh_pick *pick, int64_t heads, double strength, eh_unit_edit *edit);
/* Puts it in force. */
int eh_run_apply(eh_run_state *r, const eh_pick *pick, int64_t heads, double strength, eh_err *err);
/* The map's choices as picks, [n] in the run's memory. */
eh_pick *eh_run_picks(eh_run_state *r, int64_t *n);

int eh_run_time(eh_run_state *r, eh_run_plan *out, eh_err *err);
int eh_run_search(eh_run_state *r, eh_err *err);
/* Trains what the edit broke, with the edit held; nothing where the preset and the user ask for none. */
int eh_run_calibrate(eh_run_state *r, eh_err *err);
/* "tune": the loss curve, as a field of run.json; nothing where nothing was trained. */
int eh_run_put_tune(eh_jsonw *w, eh_run_state *r, eh_err *err);
/* run.json, unlearning_results.csv, SHA256SUMS; `before` is the audit of the test split. */
int eh_run_write(eh_run_state *r, const eh_audit *before, eh_err *err);

#endif
