/* run.json, from which the report is made, and unlearning_results.csv. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/jsonw.h"
#include "run/run.h"
#include "task/benchmarks.h"

/* What a score is, of a benchmark of this run. */
static const eh_benchmark_score *score_of(const eh_run_state *r, const char *task, const char *score)
{
    const eh_task *row = eh_task_find(task, r->audit.extra);
    return row != NULL ? eh_task_score(row, score) : NULL;
}

static void put_model(eh_jsonw *w, const eh_run_state *r, const char *fingerprint)
{
    eh_model_info info;
    eh_session_info session;
    eh_model_describe(r->s->m, &info);
    eh_session_describe(r->s, &session);
    eh_jsonw_begin(w, "model", '{');
    eh_jsonw_text(w, "path", info.path);
    eh_jsonw_text(w, "family", info.family);
    eh_jsonw_int(w, "n_layer", info.n_layer);
    eh_jsonw_int(w, "n_head", info.n_head);
    eh_jsonw_int(w, "n_kv", info.n_kv);
    eh_jsonw_int(w, "d_model", info.d_model);
    eh_jsonw_int(w, "n_param", info.n_param);
    eh_jsonw_text(w, "dtype", info.dtype);
    eh_jsonw_text(w, "precision", session.precision == EH_BF16 ? "bf16" : "f32");
    eh_jsonw_text(w, "fingerprint", fingerprint);
    eh_jsonw_text(w, "features", session.features);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

static int put_splits(eh_jsonw *w, const eh_run_state *r, eh_err *err)
{
    eh_open_task *t = NULL;
    int rc = eh_audit_row_open(r->s, &r->plan, r->task, &t, err);
    eh_jsonw_begin(w, "splits", '{');
    for (int i = EH_SPLIT_SELECT; i <= EH_SPLIT_TEST && rc == EH_OK; i++) {
        eh_run_count n;
        rc = eh_run_choose(r, (eh_split)i, t, &n, err);
        if (rc < 0)
            break;
        eh_jsonw_begin(w, eh_choice_name(EH_CHOICE_SPLIT, i), '{');
        eh_jsonw_int(w, "items", n.n_item);
        eh_jsonw_int(w, "templates", n.n_template);
        eh_jsonw_end(w);
    }
    eh_task_close(t);
    eh_jsonw_bool(w, "mixed", false);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    return rc;
}

static void put_estimate(eh_jsonw *w, const char *key, double value, double low, double high, int64_t n,
                         int64_t n_cluster)
{
    eh_jsonw_begin(w, key, '{');
    eh_jsonw_double(w, "value", value);
    eh_jsonw_double(w, "low", low);
    eh_jsonw_double(w, "high", high);
    eh_jsonw_int(w, "n", n);
    eh_jsonw_int(w, "n_cluster", n_cluster);
    eh_jsonw_end(w);
}

static void put_row_start(eh_jsonw *w, const eh_run_state *r, const char *task, const char *category, const char *score,
                          const char *better, const char *note)
{
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_text(w, "task", task);
    eh_jsonw_text(w, "category", category);
    eh_jsonw_text(w, "score", score);
    eh_jsonw_text(w, "better", better);
    eh_jsonw_text(w, "kind", eh_choice_name(EH_CHOICE_SCORE_KIND, (int)score_of(r, task, score)->kind));
    eh_jsonw_bool(w, "targeted", strcmp(task, r->audit.tasks) == 0 && strcmp(score, r->score) == 0);
    eh_jsonw_text(w, "note", note);
}

/* Every score before and after; without an edit, before alone. */
static void put_rows(eh_jsonw *w, const eh_run_state *r, const eh_audit *before)
{
    eh_jsonw_begin(w, "rows", '[');
    for (int64_t i = 0; i < r->changes.n; i++) {
        const eh_change *c = &r->changes.row[i];
        const eh_estimate *x = &c->before, *y = &c->after, *d = &c->difference.e;
        put_row_start(w, r, c->task, c->category, c->score, eh_choice_name(EH_CHOICE_BETTER, (int)c->better), c->note);
        put_estimate(w, "before", x->value, x->low, x->high, x->n, x->n_cluster);
        put_estimate(w, "after", y->value, y->low, y->high, y->n, y->n_cluster);
        eh_jsonw_begin(w, "difference", '{');
        eh_jsonw_double(w, "value", d->value);
        eh_jsonw_double(w, "low", d->low);
        eh_jsonw_double(w, "high", d->high);
        eh_jsonw_double(w, "p", c->difference.p);
        eh_jsonw_double(w, "q", c->q);
        eh_jsonw_double(w, "mde", c->difference.mde);
        eh_jsonw_end(w);
        eh_jsonw_end(w);
    }
    for (int64_t i = 0; i < before->result.n_row && r->changes.n == 0; i++) {
        const eh_score_row *s = &before->row[i];
        put_row_start(w, r, s->task, s->category, s->score, eh_choice_name(EH_CHOICE_BETTER, (int)s->better), s->note);
        put_estimate(w, "before", s->value, s->low, s->high, s->n, s->n_cluster);
        eh_jsonw_end(w);
    }
    eh_jsonw_end_on_line(w, 0);
    eh_jsonw_line(w, 0);
}

/* Row k of the run: the benchmark that judges, then those beside it. */
static const eh_task *row_at(const eh_run_state *r, int k)
{
    return k == 0 ? r->task : r->beside[k - 1];
}

/* What the scores of the rows are, so that whoever reads the file needs to know no benchmark. */
static void put_scores(eh_jsonw *w, const eh_run_state *r)
{
    eh_jsonw_begin(w, "scores", '[');
    for (int k = 0; k <= r->n_beside; k++) {
        const eh_benchmark *about = &row_at(r, k)->about;
        for (int i = 0; i < about->n_score; i++) {
            const eh_benchmark_score *s = &about->score[i];
            eh_jsonw_line(w, 0);
            eh_jsonw_begin(w, NULL, '{');
            eh_jsonw_text(w, "task", about->name);
            eh_jsonw_text(w, "score", s->name);
            eh_jsonw_text(w, "words", s->words);
            eh_jsonw_text(w, "unit", s->unit);
            eh_jsonw_text(w, "better", eh_choice_name(EH_CHOICE_BETTER, (int)s->better));
            eh_jsonw_text(w, "kind", eh_choice_name(EH_CHOICE_SCORE_KIND, (int)s->kind));
            eh_jsonw_end(w);
        }
    }
    eh_jsonw_end_on_line(w, 0);
    eh_jsonw_line(w, 0);
}

/* Is the work cited by a row before this one? */
static bool is_cited(const eh_run_state *r, int k, const eh_work *work)
{
    for (int e = 0; e < k; e++)
        for (int i = 0; i < row_at(r, e)->n_work; i++)
            if (strcmp(row_at(r, e)->work[i].work, work->work) == 0)
                return true;
    return false;
}

/* The works that the benchmarks rest on. */
static void put_citations(eh_jsonw *w, const eh_run_state *r)
{
    eh_jsonw_begin(w, "citations", '[');
    for (int k = 0; k <= r->n_beside; k++)
        for (int i = 0; i < row_at(r, k)->n_work; i++) {
            const eh_work *cited = &row_at(r, k)->work[i];
            if (is_cited(r, k, cited))
                continue;
            eh_jsonw_begin(w, NULL, '{');
            eh_jsonw_text(w, "used_for", cited->used_for);
            eh_jsonw_text(w, "work", cited->work);
            eh_jsonw_end(w);
        }
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

/* One side of the position effect; NaN: not measured, and left out. */
static void put_side(eh_jsonw *w, const char *key, double effect, const double *place, int n_place)
{
    if (isnan(effect))
        return;
    eh_jsonw_begin(w, key, '{');
    eh_jsonw_double(w, "effect", effect);
    eh_jsonw_doubles(w, "places", place, n_place);
    eh_jsonw_end(w);
}

/* Of the test split, before and after; where it does not show the options, what the first look at them said. */
static void put_position(eh_jsonw *w, const eh_run_state *r)
{
    const char *task = r->audit.tasks;
    const eh_benchmark_score *place[EH_RUN_PLACES];
    int n_place;
    const eh_benchmark_score *score = eh_run_positions(r, place, &n_place);
    const eh_change *effect = score != NULL ? eh_changes_find(&r->changes, task, "all", score->name) : NULL;
    double before = r->position_before, after = (double)NAN, from[EH_RUN_PLACES], to[EH_RUN_PLACES] = {0.0};
    memcpy(from, r->place, sizeof from);
    for (int i = 0; i < n_place && effect != NULL; i++) {
        const eh_change *p = eh_changes_find(&r->changes, task, "all", place[i]->name);
        from[i] = p->before.value;
        to[i] = p->after.value;
    }
    if (effect != NULL) {
        before = effect->before.value;
        after = effect->after.value;
    }
    if (isnan(before))
        return;
    eh_jsonw_begin(w, "position", '{');
    put_side(w, "before", before, from, n_place);
    put_side(w, "after", after, to, n_place);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

static void put_locate(eh_jsonw *w, const eh_run_state *r)
{
    const eh_locate_result *l = eh_head_map_get(r->before);
    eh_jsonw_begin(w, "locate", '{');
    eh_jsonw_text(w, "statistic", l->statistic);
    eh_jsonw_text(w, "measure", l->measure);
    eh_jsonw_text(w, "unit", "Pearson r");
    eh_jsonw_int(w, "n_item", l->n_item);
    eh_locate_put_reliability(w, l);
    eh_locate_put_map(w, r->before, "before", false);
    if (r->after != NULL)
        eh_locate_put_map(w, r->after, "after", false);
    eh_locate_put_map(w, r->before, "q", true);
    eh_jsonw_begin(w, "selected", '[');
    for (int64_t i = 0; i < l->n_choice; i++) {
        const eh_head_choice *c = &l->choice[i];
        double alpha = 0.0; /* selected, and left alone by the search */
        for (int64_t k = 0; k < r->n_edit; k++)
            if (r->edit[k].layer == c->layer && r->edit[k].index == c->head)
                alpha = r->edit[k].alpha;
        eh_jsonw_begin(w, NULL, '{');
        eh_jsonw_int(w, "layer", c->layer);
        eh_jsonw_int(w, "head", c->head);
        eh_jsonw_double(w, "score", c->score);
        eh_jsonw_double(w, "q", c->q);
        eh_jsonw_int(w, "n_category", c->n_category);
        eh_jsonw_double(w, "alpha", alpha);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_bool(w, "found", l->found);
    eh_jsonw_text(w, "why", l->why);
    eh_locate_put_confirmation(w, l);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

static void put_layers(eh_jsonw *w, const eh_run_state *r)
{
    const eh_locate_items *t = &r->before->items;
    eh_jsonw_begin(w, "layers", '{');
    eh_jsonw_begin(w, "curves", '[');
    for (int s = 0; s < EH_LAYER_N_STAT; s++) {
        eh_jsonw_begin(w, NULL, '{');
        eh_jsonw_text(w, "name", eh_layer_stat_names[s]);
        eh_jsonw_begin(w, "values", '[');
        for (int64_t i = 0; i < t->n_layer; i++)
            eh_jsonw_double(w, NULL, t->layers[i * EH_LAYER_N_STAT + s]);
        eh_jsonw_end(w);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

static void put_setting(eh_jsonw *w, const eh_setting *p)
{
    eh_jsonw_double(w, "bias", p->bias);
    eh_jsonw_double(w, "kl_median", p->kl_median);
    eh_jsonw_double(w, "kl_p95", p->kl_p95);
    eh_jsonw_double(w, "perplexity", p->perplexity);
    eh_jsonw_double(w, "utility", p->utility);
}

static void put_search(eh_jsonw *w, const eh_run_state *r)
{
    if (r->n_point == 0)
        return;
    eh_jsonw_begin(w, "search", '{');
    char objective[200];
    snprintf(objective, sizeof objective, "|%s| on the tune split", r->score);
    eh_jsonw_text(w, "objective", objective);
    eh_jsonw_text(w, "rule", r->rule);
    eh_jsonw_begin(w, "original", '{');
    put_setting(w, &r->original);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, "points", '[');
    for (int64_t i = 0; i < r->n_point; i++) {
        eh_jsonw_begin(w, NULL, '{');
        eh_jsonw_int(w, "heads", r->point[i].heads);
        eh_jsonw_double(w, "strength", r->point[i].strength);
        put_setting(w, &r->point[i]);
        eh_jsonw_bool(w, "front", r->point[i].front);
        eh_jsonw_bool(w, "chosen", r->point[i].chosen);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

/* p: the share of draws, and the edit itself, that do as well or better. */
static void put_controls(eh_jsonw *w, const eh_run_state *r)
{
    if (r->n_control == 0)
        return;
    int64_t as_good = 1;
    for (int64_t i = 0; i < r->n_control; i++)
        as_good += r->control[i] <= r->control_edit;
    eh_jsonw_begin(w, "controls", '{');
    eh_jsonw_text(w, "score", r->score);
    char unit[200];
    snprintf(unit, sizeof unit, "change of |%s| on the test split, before calibration", r->score);
    eh_jsonw_text(w, "unit", unit);
    eh_jsonw_double(w, "edit", r->control_edit);
    eh_jsonw_doubles(w, "draws", r->control, r->n_control);
    eh_jsonw_double(w, "p", (double)as_good / (double)(r->n_control + 1));
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

static void put_fluency(eh_jsonw *w, const eh_run_state *r)
{
    if (!r->has_text || r->n_edit == 0)
        return;
    const eh_fluency_change *t = &r->text;
    eh_jsonw_begin(w, "text", '{');
    eh_jsonw_begin(w, "perplexity", '{');
    eh_jsonw_double(w, "before", r->fluency.perplexity);
    eh_jsonw_double(w, "after", t->perplexity);
    eh_jsonw_end(w);
    eh_jsonw_begin(w, "kl", '{');
    eh_jsonw_double(w, "mean", t->kl_mean);
    eh_jsonw_double(w, "median", t->kl_median);
    eh_jsonw_double(w, "p95", t->kl_p95);
    eh_jsonw_double(w, "p99", t->kl_p99);
    eh_jsonw_double(w, "max", t->kl_max);
    eh_jsonw_double(w, "same_top", t->same_top);
    eh_jsonw_end(w);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

static void put_notes(eh_jsonw *w, const eh_run_state *r)
{
    eh_jsonw_begin(w, "notes", '[');
    eh_jsonw_texts(w, r->notes.p);
    eh_jsonw_texts(w, eh_head_map_get(r->before)->notes);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
}

/* The files that a reader would check, with their hashes; also as SHA256SUMS. */
static int put_files(eh_jsonw *w, eh_run_state *r, eh_buf *sums, eh_err *err)
{
    char samples[300];
    snprintf(samples, sizeof samples, "samples_%.200s.jsonl", r->audit.tasks);
    const char *const folders[] = {"bias_evaluation", "bias_evaluation_after", "bias_localization_before",
                                   "bias_localization_after", "bias_mitigation", "."};
    const char *const files[] = {samples, "results.json", "samples_locate.jsonl", "heads.csv", "locate.json",
                                 "samples_search.jsonl", "tune.jsonl", "edit.json"};
    int rc = EH_OK;
    eh_jsonw_begin(w, "files", '[');
    for (size_t d = 0; d < sizeof folders / sizeof *folders && rc == EH_OK; d++)
        for (size_t f = 0; f < sizeof files / sizeof *files && rc == EH_OK; f++) {
            char name[700], sha[EH_SHA256_TEXT];
            snprintf(name, sizeof name, "%s%s%s", strcmp(folders[d], ".") == 0 ? "" : folders[d],
                     strcmp(folders[d], ".") == 0 ? "" : "/", files[f]);
            const char *path = eh_run_path(r, name);
            if (path == NULL)
                return eh_fail(err, EH_ENOMEM, "no memory for a path");
            if (!eh_file_exists(path))
                continue;
            rc = eh_sha256_file(path, sha, err);
            if (rc < 0)
                break;
            eh_jsonw_begin(w, NULL, '{');
            eh_jsonw_text(w, "name", name);
            eh_jsonw_text(w, "sha256", sha);
            eh_jsonw_end(w);
            eh_buf_printf(sums, "%s  %s\n", sha, name);
        }
    eh_jsonw_end(w);
    return rc;
}

static int write_results(eh_run_state *r, eh_err *err)
{
    eh_buf b = {0};
    eh_buf_str(&b, EH_STR("task,category,score,better,before,after,change,low,high,p,q,minimum_detectable,n,"
                          "templates\n"));
    for (int64_t i = 0; i < r->changes.n; i++) {
        const eh_change *c = &r->changes.row[i];
        const double x[] = {c->before.value,     c->after.value,    c->difference.e.value, c->difference.e.low,
                            c->difference.e.high, c->difference.p, c->q,                  c->difference.mde};
        eh_buf_printf(&b, "%s,%s,%s,%s", c->task, c->category, c->score,
                      eh_choice_name(EH_CHOICE_BETTER, (int)c->better));
        for (size_t k = 0; k < sizeof x / sizeof *x; k++) {
            eh_buf_char(&b, ',');
            if (isfinite(x[k]))
                eh_buf_double(&b, x[k]);
        }
        eh_buf_printf(&b, ",%lld,%lld\n", (long long)c->before.n, (long long)c->before.n_cluster);
    }
    const int rc = eh_file_write_in(r->out, "unlearning_results.csv", &b, err);
    eh_buf_clear(&b);
    return rc;
}

int eh_run_write(eh_run_state *r, const eh_audit *before, eh_err *err)
{
    char fingerprint[65];
    eh_buf b = {0}, sums = {0};
    eh_jsonw *w = &(eh_jsonw){.b = &b};
    int rc = write_results(r, err);
    if (rc == EH_OK)
        rc = eh_weights_fingerprint(r->s->m->weights, fingerprint, err);
    if (rc < 0)
        return rc;
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_int(w, "version", 1);
    eh_jsonw_text(w, "evenhand", EH_VERSION);
    eh_jsonw_text(w, "command", r->audit.command);
    eh_jsonw_text(w, "preset", eh_choice_name(EH_CHOICE_PRESET, (int)r->o.preset));
    eh_jsonw_int(w, "seed", (int64_t)r->audit.seed);
    eh_jsonw_double(w, "confidence", r->audit.confidence);
    eh_jsonw_text(w, "answer", r->plan.answer->name);
    eh_jsonw_bool(w, "options_shown", r->plan.answer->ordered);
    put_model(w, r, fingerprint);
    rc = put_splits(w, r, err);
    if (rc == EH_OK) {
        put_rows(w, r, before);
        put_scores(w, r);
        put_citations(w, r);
        put_position(w, r);
        put_locate(w, r);
        put_layers(w, r);
        put_search(w, r);
        put_controls(w, r);
        put_fluency(w, r);
        rc = eh_run_put_tune(w, r, err);
    }
    if (rc == EH_OK) {
        put_notes(w, r);
        if (r->n_edit > 0)
            eh_jsonw_text(w, "recipe", "edit.json");
        rc = put_files(w, r, &sums, err);
    }
    eh_jsonw_finish(w);
    if (rc == EH_OK)
        rc = eh_file_write_in(r->out, "run.json", &b, err);
    if (rc == EH_OK)
        rc = eh_file_write_in(r->out, "SHA256SUMS", &sums, err);
    eh_buf_clear(&b);
    eh_buf_clear(&sums);
    return rc;
}
