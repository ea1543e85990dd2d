/* run.json, from which the report is made, and unlearning_results.csv. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/put.h"
#include "run/run.h"
#include "task/benchmarks.h"

/* What a score is, of a benchmark of this run. */
static const eh_benchmark_score *score_of(const eh_run_state *r, const char *task, const char *score)
{
    const eh_task *row = eh_task_find(task, r->audit.extra);
    return row != NULL ? eh_task_score(row, score) : NULL;
}

static void put_model(eh_buf *b, const eh_run_state *r, const char *fingerprint)
{
    eh_model_info info;
    eh_session_info session;
    eh_model_describe(r->s->m, &info);
    eh_session_describe(r->s, &session);
    eh_put_key(b, "model");
    eh_buf_char(b, '{');
    eh_put_text(b, "path", info.path);
    eh_put_text(b, "family", info.family);
    eh_put_int(b, "n_layer", info.n_layer);
    eh_put_int(b, "n_head", info.n_head);
    eh_put_int(b, "n_kv", info.n_kv);
    eh_put_int(b, "d_model", info.d_model);
    eh_put_int(b, "n_param", info.n_param);
    eh_put_text(b, "dtype", info.dtype);
    eh_put_text(b, "precision", session.precision == EH_BF16 ? "bf16" : "f32");
    eh_put_text(b, "fingerprint", fingerprint);
    eh_put_text(b, "features", session.features);
    eh_put_end(b, "},\n");
}

static int put_splits(eh_buf *b, const eh_run_state *r, eh_err *err)
{
    eh_open_task *t = NULL;
    int rc = eh_run_open_task(r, &t, err);
    eh_put_key(b, "splits");
    eh_buf_char(b, '{');
    for (int i = EH_SPLIT_SELECT; i <= EH_SPLIT_TEST && rc == EH_OK; i++) {
        eh_run_count n;
        rc = eh_run_choose(r, (eh_split)i, t, &n, err);
        if (rc < 0)
            break;
        eh_put_key(b, eh_split_names[i]);
        eh_buf_char(b, '{');
        eh_put_int(b, "items", n.n_item);
        eh_put_int(b, "templates", n.n_template);
        eh_put_end(b, "},");
    }
    eh_task_close(t);
    eh_put_bool(b, "mixed", false);
    eh_put_end(b, "},\n");
    return rc;
}

static void put_estimate(eh_buf *b, const char *key, double value, double low, double high, int64_t n,
                         int64_t n_cluster)
{
    eh_put_key(b, key);
    eh_buf_char(b, '{');
    eh_put_double(b, "value", value);
    eh_put_double(b, "low", low);
    eh_put_double(b, "high", high);
    eh_put_int(b, "n", n);
    eh_put_int(b, "n_cluster", n_cluster);
    eh_put_end(b, "},");
}

static void put_row_start(eh_buf *b, const eh_run_state *r, const char *task, const char *category, const char *score,
                          const char *better, const char *note)
{
    eh_buf_char(b, '{');
    eh_put_text(b, "task", task);
    eh_put_text(b, "category", category);
    eh_put_text(b, "score", score);
    eh_put_text(b, "better", better);
    eh_put_text(b, "kind", eh_score_kind_name(score_of(r, task, score)->kind));
    eh_put_bool(b, "targeted", strcmp(task, r->audit.tasks) == 0 && strcmp(score, r->score) == 0);
    eh_put_text(b, "note", note);
}

/* Every score before and after; without an edit, before alone. */
static void put_rows(eh_buf *b, const eh_run_state *r, const eh_audit *before)
{
    eh_put_key(b, "rows");
    eh_buf_str(b, EH_STR("[\n"));
    for (int64_t i = 0; i < r->changes.n; i++) {
        const eh_change *c = &r->changes.row[i];
        const eh_estimate *x = &c->before, *y = &c->after, *d = &c->difference.e;
        put_row_start(b, r, c->task, c->category, c->score, eh_better_name(c->better), c->note);
        put_estimate(b, "before", x->value, x->low, x->high, x->n, x->n_cluster);
        put_estimate(b, "after", y->value, y->low, y->high, y->n, y->n_cluster);
        eh_put_key(b, "difference");
        eh_buf_char(b, '{');
        eh_put_double(b, "value", d->value);
        eh_put_double(b, "low", d->low);
        eh_put_double(b, "high", d->high);
        eh_put_double(b, "p", c->difference.p);
        eh_put_double(b, "q", c->q);
        eh_put_double(b, "mde", c->difference.mde);
        eh_put_end(b, "}");
        eh_put_end(b, i + 1 < r->changes.n ? "},\n" : "}\n");
    }
    for (int64_t i = 0; i < before->n_row && r->changes.n == 0; i++) {
        const eh_score_row *s = &before->row[i];
        put_row_start(b, r, s->task, s->category, s->score, s->better, s->note);
        put_estimate(b, "before", s->value, s->low, s->high, s->n, s->n_cluster);
        eh_put_end(b, i + 1 < before->n_row ? "},\n" : "}\n");
    }
    eh_buf_str(b, EH_STR("],\n"));
}

/* Row k of the run: the benchmark that judges, then those beside it. */
static const eh_task *row_at(const eh_run_state *r, int k)
{
    return k == 0 ? r->task : r->beside[k - 1];
}

/* What the scores of the rows are, so that whoever reads the file needs to know no benchmark. */
static void put_scores(eh_buf *b, const eh_run_state *r)
{
    eh_put_key(b, "scores");
    eh_buf_str(b, EH_STR("[\n"));
    for (int k = 0; k <= r->n_beside; k++) {
        const eh_benchmark *about = &row_at(r, k)->about;
        for (int i = 0; i < about->n_score; i++) {
            const eh_benchmark_score *s = &about->score[i];
            eh_buf_char(b, '{');
            eh_put_text(b, "task", about->name);
            eh_put_text(b, "score", s->name);
            eh_put_text(b, "words", s->words);
            eh_put_text(b, "unit", s->unit);
            eh_put_text(b, "better", eh_better_name(s->better));
            eh_put_text(b, "kind", eh_score_kind_name(s->kind));
            eh_put_end(b, k == r->n_beside && i + 1 == about->n_score ? "}\n" : "},\n");
        }
    }
    eh_buf_str(b, EH_STR("],\n"));
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
static void put_citations(eh_buf *b, const eh_run_state *r)
{
    eh_put_key(b, "citations");
    eh_buf_char(b, '[');
    for (int k = 0; k <= r->n_beside; k++)
        for (int i = 0; i < row_at(r, k)->n_work; i++) {
            const eh_work *w = &row_at(r, k)->work[i];
            if (is_cited(r, k, w))
                continue;
            eh_buf_char(b, '{');
            eh_put_text(b, "used_for", w->used_for);
            eh_put_text(b, "work", w->work);
            eh_put_end(b, "},");
        }
    eh_put_end(b, "],\n");
}

/* One side of the position effect; NaN: not measured, and left out. */
static void put_side(eh_buf *b, const char *key, double effect, const double *place, int n_place)
{
    if (isnan(effect))
        return;
    eh_put_key(b, key);
    eh_buf_char(b, '{');
    eh_put_double(b, "effect", effect);
    eh_put_key(b, "places");
    eh_task_put_numbers(b, place, n_place);
    eh_buf_str(b, EH_STR("},"));
}

/* Of the test split, before and after; where it does not show the options, what the first look at them said. */
static void put_position(eh_buf *b, const eh_run_state *r)
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
    eh_put_key(b, "position");
    eh_buf_char(b, '{');
    put_side(b, "before", before, from, n_place);
    put_side(b, "after", after, to, n_place);
    eh_put_end(b, "},\n");
}

static void put_locate(eh_buf *b, const eh_run_state *r)
{
    const eh_locate_result *l = eh_head_map_get(r->before);
    eh_put_key(b, "locate");
    eh_buf_char(b, '{');
    eh_put_text(b, "statistic", l->statistic);
    eh_put_text(b, "measure", l->measure);
    eh_put_text(b, "unit", "Pearson r");
    eh_put_int(b, "n_item", l->n_item);
    eh_locate_put_reliability(b, l);
    eh_locate_put_map(b, r->before, "before", false);
    if (r->after != NULL)
        eh_locate_put_map(b, r->after, "after", false);
    eh_locate_put_map(b, r->before, "q", true);
    eh_put_key(b, "selected");
    eh_buf_char(b, '[');
    for (int64_t i = 0; i < l->n_choice; i++) {
        const eh_head_choice *c = &l->choice[i];
        double alpha = 0.0; /* selected, and left alone by the search */
        for (int64_t k = 0; k < r->n_edit; k++)
            if (r->edit[k].layer == c->layer && r->edit[k].index == c->head)
                alpha = r->edit[k].alpha;
        eh_buf_char(b, '{');
        eh_put_int(b, "layer", c->layer);
        eh_put_int(b, "head", c->head);
        eh_put_double(b, "score", c->score);
        eh_put_double(b, "q", c->q);
        eh_put_int(b, "n_category", c->n_category);
        eh_put_double(b, "alpha", alpha);
        eh_put_end(b, "},");
    }
    eh_put_end(b, "],\n");
    eh_put_bool(b, "found", l->found);
    eh_put_text(b, "why", l->why);
    eh_locate_put_confirmation(b, l);
    eh_put_end(b, "},\n");
}

static void put_layers(eh_buf *b, const eh_run_state *r)
{
    const eh_locate_items *t = &r->before->items;
    eh_put_key(b, "layers");
    eh_buf_str(b, EH_STR("{\"curves\":["));
    for (int s = 0; s < EH_LAYER_N_STAT; s++) {
        eh_buf_char(b, '{');
        eh_put_text(b, "name", eh_layer_stat_names[s]);
        eh_put_key(b, "values");
        eh_buf_char(b, '[');
        for (int64_t i = 0; i < t->n_layer; i++) {
            eh_buf_double(b, t->layers[i * EH_LAYER_N_STAT + s]);
            eh_buf_char(b, ',');
        }
        eh_put_end(b, "]},");
    }
    eh_put_end(b, "]},\n");
}

static void put_setting(eh_buf *b, const eh_setting *p)
{
    eh_put_double(b, "bias", p->bias);
    eh_put_double(b, "kl_median", p->kl_median);
    eh_put_double(b, "kl_p95", p->kl_p95);
    eh_put_double(b, "perplexity", p->perplexity);
    eh_put_double(b, "utility", p->utility);
}

static void put_search(eh_buf *b, const eh_run_state *r)
{
    if (r->n_point == 0)
        return;
    eh_put_key(b, "search");
    eh_buf_char(b, '{');
    char objective[200];
    snprintf(objective, sizeof objective, "|%s| on the tune split", r->score);
    eh_put_text(b, "objective", objective);
    eh_put_text(b, "rule", r->rule);
    eh_put_key(b, "original");
    eh_buf_char(b, '{');
    put_setting(b, &r->original);
    eh_put_end(b, "},\n");
    eh_put_key(b, "points");
    eh_buf_char(b, '[');
    for (int64_t i = 0; i < r->n_point; i++) {
        eh_buf_char(b, '{');
        eh_put_int(b, "heads", r->point[i].heads);
        eh_put_double(b, "strength", r->point[i].strength);
        put_setting(b, &r->point[i]);
        eh_put_bool(b, "front", r->point[i].front);
        eh_put_bool(b, "chosen", r->point[i].chosen);
        eh_put_end(b, "},");
    }
    eh_put_end(b, "]},\n");
}

/* p: the share of draws, and the edit itself, that do as well or better. */
static void put_controls(eh_buf *b, const eh_run_state *r)
{
    if (r->n_control == 0)
        return;
    int64_t as_good = 1;
    for (int64_t i = 0; i < r->n_control; i++)
        as_good += r->control[i] <= r->control_edit;
    eh_put_key(b, "controls");
    eh_buf_char(b, '{');
    eh_put_text(b, "score", r->score);
    char unit[200];
    snprintf(unit, sizeof unit, "change of |%s| on the test split, before calibration", r->score);
    eh_put_text(b, "unit", unit);
    eh_put_double(b, "edit", r->control_edit);
    eh_put_key(b, "draws");
    eh_task_put_numbers(b, r->control, r->n_control);
    eh_buf_char(b, ',');
    eh_put_double(b, "p", (double)as_good / (double)(r->n_control + 1));
    eh_put_end(b, "},\n");
}

static void put_fluency(eh_buf *b, const eh_run_state *r)
{
    if (!r->has_text || r->n_edit == 0)
        return;
    const eh_fluency_change *t = &r->text;
    eh_put_key(b, "text");
    eh_buf_str(b, EH_STR("{\"perplexity\":{"));
    eh_put_double(b, "before", r->fluency.perplexity);
    eh_put_double(b, "after", t->perplexity);
    eh_put_end(b, "},");
    eh_put_key(b, "kl");
    eh_buf_char(b, '{');
    eh_put_double(b, "mean", t->kl_mean);
    eh_put_double(b, "median", t->kl_median);
    eh_put_double(b, "p95", t->kl_p95);
    eh_put_double(b, "p99", t->kl_p99);
    eh_put_double(b, "max", t->kl_max);
    eh_put_double(b, "same_top", t->same_top);
    eh_put_end(b, "}},\n");
}

static void put_notes(eh_buf *b, const eh_run_state *r)
{
    const char *const all[] = {r->notes.p != NULL ? r->notes.p : "", eh_head_map_get(r->before)->notes};
    eh_put_key(b, "notes");
    eh_buf_char(b, '[');
    for (int i = 0; i < 2; i++)
        for (const char *p = all[i]; *p != '\0';) {
            const size_t n = strcspn(p, "\n");
            eh_buf_json(b, (eh_str){p, (int64_t)n});
            eh_buf_char(b, ',');
            p += n + (p[n] == '\n');
        }
    eh_put_end(b, "],\n");
}

/* The files that a reader would check, with their hashes; also as SHA256SUMS. */
static int put_files(eh_buf *b, eh_run_state *r, eh_buf *sums, eh_err *err)
{
    char samples[300];
    snprintf(samples, sizeof samples, "samples_%.200s.jsonl", r->audit.tasks);
    const char *const folders[] = {"bias_evaluation", "bias_evaluation_after", "bias_localization_before",
                                   "bias_localization_after", "bias_mitigation", "."};
    const char *const files[] = {samples, "results.json", "samples_locate.jsonl", "heads.csv", "locate.json",
                                 "samples_search.jsonl", "tune.jsonl", "edit.json"};
    int rc = EH_OK;
    eh_put_key(b, "files");
    eh_buf_char(b, '[');
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
            eh_buf_char(b, '{');
            eh_put_text(b, "name", name);
            eh_put_text(b, "sha256", sha);
            eh_put_end(b, "},");
            eh_buf_printf(sums, "%s  %s\n", sha, name);
        }
    eh_put_end(b, "]");
    return rc;
}

static int write_results(eh_run_state *r, eh_err *err)
{
    eh_buf b = {0};
    eh_buf_str(&b, EH_STR("task,category,score,better,before,after,change,low,high,p,q,minimum_detectable,n,templates\n"));
    for (int64_t i = 0; i < r->changes.n; i++) {
        const eh_change *c = &r->changes.row[i];
        const double x[] = {c->before.value,     c->after.value,    c->difference.e.value, c->difference.e.low,
                            c->difference.e.high, c->difference.p, c->q,                  c->difference.mde};
        eh_buf_printf(&b, "%s,%s,%s,%s", c->task, c->category, c->score, eh_better_name(c->better));
        for (size_t k = 0; k < sizeof x / sizeof *x; k++) {
            eh_buf_char(&b, ',');
            if (isfinite(x[k]))
                eh_buf_double(&b, x[k]);
        }
        eh_buf_printf(&b, ",%lld,%lld\n", (long long)c->before.n, (long long)c->before.n_cluster);
    }
    const int rc = eh_put_file(r->out, "unlearning_results.csv", &b, err);
    eh_buf_clear(&b);
    return rc;
}

int eh_run_write(eh_run_state *r, const eh_audit *before, eh_err *err)
{
    char fingerprint[65];
    eh_buf b = {0}, sums = {0};
    int rc = write_results(r, err);
    if (rc == EH_OK)
        rc = eh_weights_fingerprint(r->s->m->weights, fingerprint, err);
    if (rc < 0)
        return rc;
    eh_buf_char(&b, '{');
    eh_put_int(&b, "version", 1);
    eh_put_text(&b, "evenhand", EH_VERSION);
    eh_put_text(&b, "command", r->audit.command);
    eh_put_text(&b, "preset", r->preset->name);
    eh_put_int(&b, "seed", (int64_t)r->audit.seed);
    eh_put_double(&b, "confidence", r->audit.confidence > 0.0 ? r->audit.confidence : 0.95);
    eh_put_text(&b, "answer", r->plan.answer->name);
    put_model(&b, r, fingerprint);
    rc = put_splits(&b, r, err);
    if (rc == EH_OK) {
        put_rows(&b, r, before);
        put_scores(&b, r);
        put_citations(&b, r);
        put_position(&b, r);
        put_locate(&b, r);
        put_layers(&b, r);
        put_search(&b, r);
        put_controls(&b, r);
        put_fluency(&b, r);
        rc = eh_run_put_tune(&b, r, err);
    }
    if (rc == EH_OK) {
        put_notes(&b, r);
        if (r->n_edit > 0)
            eh_put_text(&b, "recipe", "edit.json");
        rc = put_files(&b, r, &sums, err);
    }
    eh_buf_str(&b, EH_STR("}\n"));
    if (rc == EH_OK)
        rc = eh_put_file(r->out, "run.json", &b, err);
    if (rc == EH_OK)
        rc = eh_put_file(r->out, "SHA256SUMS", &sums, err);
    eh_buf_clear(&b);
    eh_buf_clear(&sums);
    return rc;
}
