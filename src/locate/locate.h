/*
 * Inside a study of heads: the items' records, and what is read from them.
 *
 * locate.c asks the model and writes a record per item; locate_map.c makes the map of correlations,
 * its reliability and the selection from records alone; locate_check.c ablates and traces, to see
 * whether the map is true; locate_write.c writes the tables.
 */
#ifndef EH_LOCATE_LOCATE_H
#define EH_LOCATE_LOCATE_H

#include "edit/select.h"
#include "probe/heads.h"
#include "probe/layers.h"
#include "audit/audit.h"
#include "job/blocks.h"

typedef struct eh_locate_items {
    int64_t n, n_unit, n_layer;
    int64_t n_skipped, n_unplaced;
    int32_t *category, *cluster, *stratum; /* [n] */
    double *measure[EH_N_MEASURE];         /* each [n] */
    float *stat[EH_HEAD_N_STAT];           /* each [n, n_unit], or NULL: not asked for */
    double *layers;                        /* [n_layer, EH_LAYER_N_STAT] means over the items */
    eh_arena memory;
} eh_locate_items;

struct eh_head_map {
    eh_locate_options o;
    eh_audit_plan plan;
    eh_open_task *task;
    eh_session *s;
    bool wanted[EH_HEAD_N_STAT];
    int statistic;     /* an eh_head_stat: the one that selects; -1: to be chosen from the records */
    eh_measure measure;
    eh_locate_items items;
    eh_locate_result result;
    eh_head_row *row;
    eh_head_choice *choice;
    eh_ablated *ablated;
    double *trace;     /* [n_layer, EH_TRACE_N] mean change of the target, and behind it its standard error; or NULL */
    int64_t n_computed; /* items asked by this call */
    eh_buf notes;
    eh_arena memory;   /* names and sentences */
};

/* Correlations, q, reliability, selection: fills l->result but for what is ablated. */
int eh_locate_map(eh_head_map *l, eh_err *err);
/* Ablation of heads and tracing of layers, as far as they were asked for. */
int eh_locate_confirm(eh_head_map *l, eh_journal *j, const json_t *what, eh_err *err);
int eh_locate_trace(eh_head_map *l, eh_journal *j, const json_t *what, eh_err *err);
/* heads.csv, layers.csv, confirm.csv, locate.json. */
int eh_locate_write(const eh_head_map *l, const char *fingerprint, eh_err *err);

/* Fields of locate.json that run.json has, too: the pooled map of the statistic that selected (or its q) as nested
 * lists [n_layer][n_head]; reliability; what ablating heads did, nothing where none was ablated. */
void eh_locate_put_map(eh_jsonw *w, const eh_head_map *l, const char *key, bool q);
void eh_locate_put_reliability(eh_jsonw *w, const eh_locate_result *r);
void eh_locate_put_confirmation(eh_jsonw *w, const eh_locate_result *r);

/* Asks for item i's requests and what to look at in them (task/task.h). */
int eh_locate_ask(eh_head_map *l, int64_t i, eh_ask *ask, int64_t *number, eh_arena *arena, eh_look *look, eh_err *err);

#endif
