/* What the stages of a run share: options and paths, audits and their scores, edits of the chosen heads, the task. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "run/run.h"

const char *eh_run_path(eh_run_state *r, const char *name)
{
    char *path = eh_path_join(r->out, name);
    const char *kept = path != NULL ? eh_arena_text(&r->memory, path, (int64_t)strlen(path)) : NULL;
    eh_free(path);
    return kept;
}

eh_audit_options eh_run_options_of(const eh_run_state *r, eh_split split)
{
    eh_audit_options o = r->audit;
    o.split = split;
    if (o.limit == EH_ALL)
        o.limit = r->preset->limit[split];
    return o;
}

int eh_run_audit(eh_run_state *r, const char *tasks, eh_split split, const char *folder, eh_audit **a, eh_err *err)
{
    eh_audit_options o = eh_run_options_of(r, split);
    o.tasks = tasks;
    o.out = eh_run_path(r, folder);
    if (o.out == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    eh_audit *done = NULL;
    const int rc = eh_audit_run(r->s, &o, &done, err);
    if (rc < 0)
        return rc;
    r->n_item += done->result.n_item;
    r->n_computed += done->result.n_computed;
    if (a != NULL)
        *a = done;
    else
        eh_audit_close(done);
    return EH_OK;
}

static const eh_score_row *total_of(const eh_audit *a, const char *task, const char *score)
{
    for (int64_t i = 0; i < a->result.n_row; i++)
        if (strcmp(a->row[i].task, task) == 0 && strcmp(a->row[i].category, "all") == 0 &&
            strcmp(a->row[i].score, score) == 0)
            return &a->row[i];
    return NULL;
}

double eh_run_score(const eh_audit *a, const char *task, const char *score)
{
    const eh_score_row *row = total_of(a, task, score);
    return row != NULL && row->defined ? row->value : (double)NAN;
}

int64_t eh_run_score_n(const eh_audit *a, const char *task, const char *score)
{
    const eh_score_row *row = total_of(a, task, score);
    return row != NULL ? row->n : 0;
}

eh_pick *eh_run_picks(eh_run_state *r, int64_t *n)
{
    const eh_locate_result *l = eh_head_map_get(r->before);
    eh_pick *p = eh_new(&r->memory, eh_pick, l->n_choice);
    for (int64_t i = 0; p != NULL && i < l->n_choice; i++)
        p[i] = (eh_pick){.layer = l->choice[i].layer,
                         .head = l->choice[i].head,
                         .weight = l->choice[i].weight,
                         .score = l->choice[i].score,
                         .q = l->choice[i].q,
                         .n_category = l->choice[i].n_category};
    *n = l->n_choice;
    return p;
}

void eh_run_edit(const eh_run_state *r, const eh_pick *pick, int64_t heads, double strength, eh_unit_edit *edit)
{
    const eh_edit_mode mode = r->o.mode;
    for (int64_t i = 0; i < heads; i++) {
        const double alpha = mode == EH_EDIT_ZERO ? 1.0 : strength * pick[i].weight / pick[0].weight;
        edit[i] = (eh_unit_edit){.kind = EH_UNIT_HEAD,
                                 .layer = pick[i].layer,
                                 .index = pick[i].head,
                                 .mode = mode,
                                 .alpha = alpha < 1.0 ? alpha : 1.0};
    }
}

int eh_run_apply(eh_run_state *r, const eh_pick *pick, int64_t heads, double strength, eh_err *err)
{
    eh_unit_edit *edit = eh_alloc(heads, (int64_t)sizeof *edit);
    if (edit == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld edits", (long long)heads);
    eh_run_edit(r, pick, heads, strength, edit);
    const int rc = eh_session_edit(r->s, edit, heads, err);
    eh_free(edit);
    return rc;
}

const eh_benchmark_score *eh_run_positions(const eh_run_state *r, const eh_benchmark_score *place[EH_RUN_PLACES],
                                           int *n)
{
    const eh_benchmark *b = &r->task->about;
    const eh_benchmark_score *effect = NULL;
    *n = 0;
    for (int i = 0; i < b->n_score; i++) {
        const eh_benchmark_score *s = &b->score[i];
        if (s->kind == EH_SCORE_POSITION && s->better != EH_BETTER_NEITHER)
            effect = s;
        else if (s->kind == EH_SCORE_POSITION && *n < EH_RUN_PLACES)
            place[(*n)++] = s;
    }
    return effect;
}

void eh_run_text(const eh_run_state *r, char path[EH_RUN_PATH])
{
    snprintf(path, EH_RUN_PATH, "%.4000s%s", r->o.text != NULL ? r->o.text : r->plan.task.probes,
             r->o.text != NULL ? "" : "/plain.txt");
}

int eh_run_choose(const eh_run_state *r, eh_split split, eh_open_task *t, eh_run_count *count, eh_err *err)
{
    eh_audit_plan p = r->plan;
    p.o = eh_run_options_of(r, split);
    int rc = eh_audit_choose(t, &p, err);
    if (rc == EH_OK && t->n_pick == 0)
        rc = eh_fail(err, EH_EINVAL, "no item of %s is left in the split \"%s\" by --categories and --limit",
                     r->task->about.name, eh_choice_name(EH_CHOICE_SPLIT, (int)split));
    bool *seen = rc == EH_OK ? eh_calloc(t->names.n_cluster, (int64_t)sizeof *seen) : NULL;
    if (rc == EH_OK && seen == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld templates", (long long)t->names.n_cluster);
    *count = (eh_run_count){.n_item = t->n_pick};
    for (int64_t k = 0; k < t->n_pick && rc == EH_OK; k++) {
        const int32_t c = t->item[t->pick[k]].cluster;
        count->n_template += !seen[c];
        seen[c] = true;
    }
    eh_free(seen);
    return rc;
}
