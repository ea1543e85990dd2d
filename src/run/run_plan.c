/*
 * What a run would take: items counted, the model timed for two seconds on some of them.
 *
 * The stages' costs are counted in plain audits of an item. A step of locating costs LOCATE of them
 * (docs/methods/run.md): the same requests, and a backward pass of the target's.
 */
#include <math.h>
#include <time.h>

#include "run/run.h"

#define PROBE_SECONDS 2.0
#define LOCATE 2.5

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* Items of t that the model answers in a second, from ever larger groups of them. */
static int time_items(eh_run_state *r, eh_open_task *t, double *rate, eh_err *err)
{
    eh_ask ask = {.who = t->who};
    int64_t number[EH_TASK_NUMBERS], at = 0, done = 0;
    const double start = now();
    double seconds = 0.0;
    int rc = eh_audit_prepare(t, err);
    for (int64_t n = 2; rc == EH_OK && seconds < PROBE_SECONDS && at < t->n_pick; n *= 2) {
        eh_ask_reset(&ask);
        const int64_t end = at + n < t->n_pick ? at + n : t->n_pick;
        for (int64_t k = at; k < end && rc == EH_OK; k++)
            rc = t->row->ask(t, t->pick[k], &ask, number, err);
        if (rc == EH_OK)
            rc = eh_audit_answer(r->s, &ask, NULL, 0, err);
        done += end - at;
        at = end;
        seconds = now() - start;
        *rate = (double)done / seconds;
    }
    eh_ask_clear(&ask);
    return rc;
}

int eh_run_time(eh_run_state *r, eh_run_plan *out, eh_err *err)
{
    eh_run_count n[3] = {{0}};
    eh_open_task *t = NULL;
    double rate = (double)NAN;
    int rc = eh_audit_row_open(r->s, &r->plan, r->task, &t, err);
    for (int i = 0; i < 3 && rc == EH_OK; i++) {
        rc = eh_run_choose(r, (eh_split)(EH_SPLIT_SELECT + i), t, &n[i], err);
        if (i == 0 && rc == EH_OK)
            rc = time_items(r, t, &rate, err);
    }
    eh_task_close(t);
    if (rc < 0)
        return rc;
    const double points = (double)(r->o.heads != EH_AUTO ? 1 : r->o.points);
    const double draws = (double)r->o.controls;
    const double select = (double)n[0].n_item, tune = (double)n[1].n_item, test = (double)n[2].n_item;
    eh_session_info info;
    eh_session_describe(r->s, &info);
    *out = (eh_run_plan){
        .n_select = n[0].n_item,
        .n_tune = n[1].n_item,
        .n_test = n[2].n_item,
        .items_per_second = rate,
        .seconds_found_nothing = (test + LOCATE * select) / rate,
        .seconds = (test + LOCATE * select + (points + 1.0) * tune + (draws + 1.0) * test + test + LOCATE * select) /
                   rate,
        .bytes = info.kept_bytes + info.batch_bytes,
    };
    return EH_OK;
}
