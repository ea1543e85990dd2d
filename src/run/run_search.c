/*
 * The search: how many heads, and how strongly (docs/methods/run.md).
 *
 * Every setting is judged on the tune split: bias down, damage down. The settings tried are drawn by
 * seed from the grid of head counts and strengths, with the whole selection at full strength always
 * among them; all are kept, the front is marked, and one rule chooses.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/rng.h"
#include "job/blocks.h"
#include "stats/pareto.h"
#include "run/run.h"

/* Damage that the choice may do. */
#define MOST_PERPLEXITY 1.05 /* of the original's */
#define MOST_LOSS 0.02       /* of accuracy */
#define MOST_KL 0.05         /* median, nats */

static const double strengths[] = {0.25, 0.5, 0.75, 1.0};
#define N_STRENGTH ((int64_t)(sizeof strengths / sizeof *strengths))

/* Head counts 1, 2, 4, ... and all n. */
static int64_t counts(int64_t n, int64_t *out)
{
    int64_t k = 0;
    for (int64_t c = 1; c < n; c *= 2)
        out[k++] = c;
    out[k++] = n;
    return k;
}

static int draw_points(eh_run_state *r, int64_t n_pick, eh_err *err)
{
    int64_t count[64];
    const int64_t n_count = counts(n_pick, count), n_grid = n_count * N_STRENGTH;
    const int64_t want = r->o.points;
    int64_t *order = eh_new(&r->memory, int64_t, n_grid);
    r->point = eh_new(&r->memory, eh_setting, n_grid);
    if (order == NULL || r->point == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld settings", (long long)n_grid);
    for (int64_t i = 0; i < n_grid; i++)
        order[i] = i;
    eh_rng g = eh_rng_at(r->audit.seed, "search", 0);
    eh_rng_shuffle(&g, order, n_grid - 1); /* the last one, all at full strength, comes first in any case */
    r->n_point = want < n_grid ? want : n_grid;
    for (int64_t i = 0; i < r->n_point; i++) {
        const int64_t at = i == 0 ? n_grid - 1 : order[i - 1];
        r->point[i] = (eh_setting){.heads = count[at / N_STRENGTH], .strength = strengths[at % N_STRENGTH]};
    }
    return EH_OK;
}

/* Measures what is in force on the tune split. */
static int measure(eh_run_state *r, const char *folder, eh_setting *p, eh_err *err)
{
    char tasks[300];
    const char *task = r->audit.tasks;
    snprintf(tasks, sizeof tasks, "%.100s%s%.100s", task, r->o.utility[0] != '\0' ? "," : "", r->o.utility);
    eh_audit *a = NULL;
    int rc = eh_run_audit(r, tasks, EH_SPLIT_TUNE, folder, &a, err);
    if (rc < 0)
        return rc;
    p->bias = eh_run_score(a, task, r->score);
    const char *acc = r->spared != NULL ? eh_task_score_of_kind(r->spared, EH_SCORE_UTILITY)->name : NULL;
    p->utility = acc != NULL ? eh_run_score(a, r->o.utility, acc) : (double)NAN;
    p->n_utility = acc != NULL ? eh_run_score_n(a, r->o.utility, acc) : 0;
    eh_audit_close(a);
    p->perplexity = p->kl_median = p->kl_p95 = (double)NAN;
    if (r->has_text) {
        eh_fluency_change c;
        rc = eh_fluency_measure(&r->fluency, r->s, &c, err);
        if (rc < 0)
            return rc;
        p->perplexity = c.perplexity;
        p->kl_median = c.kl_median;
        p->kl_p95 = c.kl_p95;
    }
    return EH_OK;
}

static void put_point(const eh_setting *p, eh_jsonw *w)
{
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_int(w, "heads", p->heads);
    eh_jsonw_double(w, "strength", p->strength);
    eh_jsonw_double(w, "bias", p->bias);
    eh_jsonw_double(w, "utility", p->utility);
    eh_jsonw_int(w, "utility_n", p->n_utility);
    eh_jsonw_double(w, "perplexity", p->perplexity);
    eh_jsonw_double(w, "kl_median", p->kl_median);
    eh_jsonw_double(w, "kl_p95", p->kl_p95);
    eh_jsonw_finish(w);
}

static double number_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

/* Setting i of the search: 0 is the model as it came. */
static eh_setting *setting(eh_run_state *r, int64_t i)
{
    return i == 0 ? &r->original : &r->point[i - 1];
}

static int read_point(void *ctx, int64_t i, const json_t *o, const char *where, eh_err *err)
{
    eh_setting *p = setting(ctx, i);
    p->bias = number_of(o, "bias");
    p->utility = number_of(o, "utility");
    p->perplexity = number_of(o, "perplexity");
    p->kl_median = number_of(o, "kl_median");
    p->kl_p95 = number_of(o, "kl_p95");
    return eh_json_int(o, where, "utility_n", 0, INT64_MAX, &p->n_utility, err);
}

typedef struct searching {
    eh_run_state *r;
    const eh_pick *pick;
} searching;

static int try_settings(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *err)
{
    const searching *s = ctx;
    eh_jsonw w = {.b = records};
    int rc = EH_OK;
    for (int64_t i = from; i < to && rc == EH_OK; i++) {
        char folder[100];
        eh_setting *p = setting(s->r, i);
        snprintf(folder, sizeof folder, "bias_mitigation/%03lld", (long long)i);
        rc = i == 0 ? eh_session_edit(s->r->s, NULL, 0, err) : eh_run_apply(s->r, s->pick, p->heads, p->strength, err);
        if (rc == EH_OK)
            rc = measure(s->r, folder, p, err);
        put_point(p, &w);
    }
    return rc;
}

/* |bias|, and each damage over the original's; what was not measured cannot decide. */
#define N_OBJECTIVE 4
static void objectives(const eh_run_state *r, const eh_setting *p, double x[N_OBJECTIVE])
{
    const eh_setting *o = &r->original;
    x[0] = isnan(p->bias) ? (double)INFINITY : fabs(p->bias);
    x[1] = isnan(p->perplexity) ? 0.0 : p->perplexity / o->perplexity;
    x[2] = isnan(p->utility) || isnan(o->utility) ? 0.0 : o->utility - p->utility;
    x[3] = isnan(p->kl_median) ? 0.0 : p->kl_median;
}

static int choose(eh_run_state *r, eh_err *err)
{
    double *x = eh_new(&r->memory, double, r->n_point * N_OBJECTIVE);
    bool *front = eh_new(&r->memory, bool, r->n_point);
    if (x == NULL || front == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld settings", (long long)r->n_point);
    for (int64_t i = 0; i < r->n_point; i++)
        objectives(r, &r->point[i], x + i * N_OBJECTIVE);
    /* Of few questions, one may go either way. */
    const double one = r->original.n_utility > 0 ? 1.0 / (double)r->original.n_utility + 1e-9 : 0.0;
    const double ceiling[N_OBJECTIVE] = {fabs(r->original.bias), MOST_PERPLEXITY, one > MOST_LOSS ? one : MOST_LOSS,
                                         MOST_KL};
    int rc = eh_pareto(x, r->n_point, N_OBJECTIVE, front, err);
    if (rc == EH_OK)
        rc = eh_pareto_choose(x, r->n_point, N_OBJECTIVE, ceiling, &r->chosen, err);
    for (int64_t i = 0; i < r->n_point && rc == EH_OK; i++) {
        r->point[i].front = front[i];
        r->point[i].chosen = i == r->chosen;
    }
    r->rule = "Least bias on the tune split among settings with a perplexity of at most 1.05 times the original's, at "
              "most two points of utility lost (or one question, where there are few), and a median KL to the original "
              "of at most 0.05 nats.";
    return rc;
}

/* Everything that the records depend on; NULL: no memory. */
static json_t *what_of(const eh_run_state *r, const eh_pick *pick, int64_t n_pick, const char *fingerprint)
{
    const char *answer = r->plan.answer->name;
    json_t *what = json_pack("{s:s,s:s,s:s,s:I,s:I,s:f,s:s,s:s}", "model", fingerprint, "task", r->audit.tasks,
                             "answer", answer, "seed", (json_int_t)r->audit.seed, "points", (json_int_t)r->n_point,
                             "strength", r->o.strength, "mode",
                             eh_choice_name(EH_CHOICE_EDIT_MODE, (int)r->o.mode), "utility", r->o.utility);
    json_t *heads = json_array();
    bool good = what != NULL && heads != NULL;
    for (int64_t i = 0; i < n_pick && good; i++)
        good = json_array_append_new(heads, json_pack("[I,I,f]", (json_int_t)pick[i].layer, (json_int_t)pick[i].head,
                                                      pick[i].weight)) == 0;
    if (!good || json_object_set(what, "heads", heads) != 0) {
        json_decref(what);
        what = NULL;
    }
    json_decref(heads);
    return what;
}

/* The settings to try: the user's own, measured and not searched, or those that are drawn. */
static int choose_points(eh_run_state *r, int64_t n_pick, eh_err *err)
{
    if (r->o.heads == EH_AUTO)
        return draw_points(r, n_pick, err);
    r->point = eh_new(&r->memory, eh_setting, 1);
    if (r->point == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a setting");
    r->n_point = 1;
    r->point[0] = (eh_setting){.heads = r->o.heads < n_pick ? r->o.heads : n_pick, .strength = r->o.strength};
    return EH_OK;
}

int eh_run_search(eh_run_state *r, eh_err *err)
{
    const char *dir = eh_run_path(r, "bias_mitigation");
    int64_t n_pick;
    const eh_pick *pick = eh_run_picks(r, &n_pick);
    if (dir == NULL || pick == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the search");
    eh_journal *j = NULL;
    json_t *what = NULL;
    char fingerprint[65];
    searching state = {r, pick};
    int rc = choose_points(r, n_pick, err);
    if (rc == EH_OK)
        rc = eh_session_fingerprint(r->s, fingerprint, err);
    if (rc == EH_OK)
        rc = eh_journal_open(dir, &j, err);
    if (rc == EH_OK && (what = what_of(r, pick, n_pick, fingerprint)) == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for a journal line");
    const eh_blocks blocks = {
        .task = "search",
        .what = what,
        .force = r->audit.force,
        .n = r->n_point + 1,
        .size = 1,
        .unit = "settings",
        .progress = r->audit.progress,
        .progress_ctx = r->audit.progress_ctx,
        .block = try_settings,
        .ctx = &state,
    };
    if (rc == EH_OK)
        rc = eh_blocks_run(j, &blocks, NULL, err);
    if (rc == EH_OK)
        rc = eh_records_read(dir, "search", r->n_point + 1, read_point, r, err);
    if (rc == EH_OK && r->o.heads != EH_AUTO) {
        r->chosen = 0;
        r->point[0].chosen = r->point[0].front = true;
        r->rule = "Heads and strength were given by the user.";
    } else if (rc == EH_OK) {
        rc = choose(r, err);
    }
    eh_session_edit(r->s, NULL, 0, NULL);
    eh_journal_close(j);
    json_decref(what);
    return rc;
}
