/* results.json, in the layout of lm-evaluation-harness with our rows beside it, and reproduce.json. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/jsonw.h"
#include "audit/audit.h"

/* "s_AMB,none", "s_AMB_Age,none": the harness's names, with ends of the interval where it has a
 * standard error. */
static void put_score(eh_jsonw *w, const eh_score_row *r, const char *ending, double x)
{
    eh_buf key = {0};
    eh_buf_str(&key, eh_str_of(r->score));
    if (strcmp(r->category, "all") != 0)
        eh_buf_printf(&key, "_%s", r->category);
    eh_buf_printf(&key, "%s,none", ending);
    if (key.fault == 0)
        eh_jsonw_double(w, key.p, r->defined ? x : (double)NAN);
    else
        w->b->fault = key.fault;
    eh_buf_clear(&key);
}

static void put_task_results(eh_jsonw *w, const eh_audit *a, const char *task)
{
    eh_jsonw_begin(w, task, '{');
    eh_jsonw_text(w, "alias", task);
    for (int64_t i = 0; i < a->result.n_row; i++)
        if (strcmp(a->row[i].task, task) == 0) {
            put_score(w, &a->row[i], "", a->row[i].value);
            put_score(w, &a->row[i], "_low", a->row[i].low);
            put_score(w, &a->row[i], "_high", a->row[i].high);
        }
    eh_jsonw_end(w);
}

static void put_rows(eh_jsonw *w, const eh_audit *a)
{
    eh_jsonw_begin(w, "rows", '[');
    for (int64_t i = 0; i < a->result.n_row; i++) {
        const eh_score_row *r = &a->row[i];
        eh_jsonw_line(w, 0);
        eh_jsonw_begin(w, NULL, '{');
        eh_jsonw_text(w, "task", r->task);
        eh_jsonw_text(w, "category", r->category);
        eh_jsonw_text(w, "score", r->score);
        eh_jsonw_double(w, "value", r->value);
        eh_jsonw_double(w, "low", r->low);
        eh_jsonw_double(w, "high", r->high);
        eh_jsonw_int(w, "n", r->n);
        eh_jsonw_int(w, "n_cluster", r->n_cluster);
        eh_jsonw_text(w, "better", eh_choice_name(EH_CHOICE_BETTER, (int)r->better));
        eh_jsonw_text(w, "note", r->note);
        eh_jsonw_end(w);
    }
    eh_jsonw_end_on_line(w, 0);
}

static void put_notes(eh_jsonw *w, const eh_audit *a)
{
    eh_jsonw_begin(w, "notes", '[');
    eh_jsonw_texts(w, a->notes.p);
    eh_jsonw_end(w);
}

int eh_audit_write_results(const eh_audit *a, const eh_audit_plan *p, const eh_session *s, eh_open_task *const *task,
                           int64_t n_task, eh_err *err)
{
    eh_model_info info;
    eh_model_describe(s->m, &info);
    eh_buf out = {0};
    eh_jsonw *w = &(eh_jsonw){.b = &out};
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_begin(w, "results", '{');
    for (int64_t i = 0; i < n_task; i++)
        put_task_results(w, a, task[i]->row->about.name);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, "configs", '{');
    for (int64_t i = 0; i < n_task; i++) {
        const eh_benchmark *t = &task[i]->row->about;
        eh_jsonw_begin(w, t->name, '{');
        eh_jsonw_text(w, "task", t->name);
        eh_jsonw_text(w, "description", t->what);
        eh_jsonw_text(w, "licence", t->licence);
        eh_jsonw_text(w, "source", t->source);
        eh_jsonw_text(w, "published", t->published);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, "versions", '{');
    for (int64_t i = 0; i < n_task; i++)
        eh_jsonw_int(w, task[i]->row->about.name, 1);
    eh_jsonw_end(w);
    eh_jsonw_begin(w, "n-shot", '{');
    for (int64_t i = 0; i < n_task; i++)
        eh_jsonw_int(w, task[i]->row->about.name, 0);
    eh_jsonw_end(w);
    eh_jsonw_begin(w, "n-samples", '{');
    for (int64_t i = 0; i < n_task; i++) {
        eh_jsonw_begin(w, task[i]->row->about.name, '{');
        eh_jsonw_int(w, "original", task[i]->n);
        eh_jsonw_int(w, "effective", task[i]->n_pick);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, "config", '{');
    eh_jsonw_text(w, "model", "evenhand");
    eh_jsonw_text(w, "model_args", info.path);
    eh_jsonw_text(w, "model_dtype", s->precision == EH_BF16 ? "bf16" : "f32");
    eh_jsonw_int(w, "model_num_parameters", info.n_param);
    eh_jsonw_text(w, "answer", p->answer->name);
    eh_jsonw_text(w, "orders", p->answer->ordered ? p->orders->name : "stored");
    eh_jsonw_bool(w, "chat", p->o.chat);
    eh_jsonw_int(w, "bootstrap_iters", p->o.resamples);
    eh_jsonw_double(w, "confidence", p->o.confidence);
    eh_jsonw_int(w, "random_seed", (int64_t)p->o.seed);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, "evenhand", '{');
    eh_jsonw_text(w, "version", EH_VERSION);
    put_rows(w, a);
    put_notes(w, a);
    eh_jsonw_finish(w);
    const int rc = eh_file_write_in(p->o.out, "results.json", &out, err);
    eh_buf_clear(&out);
    return rc;
}

int eh_audit_write_reproduce(const eh_audit *a, const eh_audit_plan *p, const eh_session *s, eh_open_task *const *task,
                             const char (*data_sha)[EH_SHA256_TEXT], int64_t n_task,
                             const char *fingerprint, double scoring_seconds, eh_err *err)
{
    eh_model_info info;
    eh_session_info session;
    eh_model_describe(s->m, &info);
    eh_session_describe(s, &session);
    eh_buf out = {0};
    eh_jsonw *w = &(eh_jsonw){.b = &out};
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_text(w, "evenhand", EH_VERSION);
    eh_jsonw_text(w, "command", p->o.command);
    eh_jsonw_begin(w, "model", '{');
    eh_jsonw_text(w, "path", info.path);
    eh_jsonw_text(w, "format", info.format);
    eh_jsonw_text(w, "family", info.family);
    eh_jsonw_text(w, "dtype", info.dtype);
    eh_jsonw_text(w, "fingerprint", fingerprint);
    eh_jsonw_int(w, "parameters", info.n_param);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, "data", '{');
    for (int64_t i = 0; i < n_task; i++) {
        eh_jsonw_begin(w, task[i]->row->about.name, '{');
        eh_jsonw_text(w, "sha256", data_sha[i]);
        eh_jsonw_int(w, "items", task[i]->n_pick);
        eh_jsonw_end(w);
    }
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, "options", '{');
    eh_jsonw_text(w, "tasks", p->o.tasks);
    eh_jsonw_text(w, "data", p->o.data);
    eh_jsonw_text(w, "items", p->o.items);
    eh_jsonw_text(w, "probes", p->task.probes);
    eh_jsonw_text(w, "categories", p->o.categories);
    eh_jsonw_text(w, "split", eh_choice_name(EH_CHOICE_SPLIT, (int)p->o.split));
    eh_jsonw_text(w, "answer", p->answer->name);
    eh_jsonw_text(w, "orders", p->orders->name);
    eh_jsonw_int(w, "limit", p->o.limit != EH_ALL ? p->o.limit : 0); /* in files 0 is all */
    eh_jsonw_int(w, "rows", p->o.rows != EH_ALL ? p->o.rows : 0);
    eh_jsonw_int(w, "seed", (int64_t)p->o.seed);
    eh_jsonw_text(w, "precision", s->precision == EH_BF16 ? "bf16" : "f32");
    eh_jsonw_int(w, "threads", session.threads);
    eh_jsonw_int(w, "batch_tokens", session.batch_tokens);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_begin(w, "machine", '{');
    eh_jsonw_text(w, "features", session.features);
    eh_jsonw_text(w, "kernels", session.simd);
    eh_jsonw_text(w, "product", session.product);
    eh_jsonw_end(w);
    eh_jsonw_line(w, 0);
    eh_jsonw_int(w, "items", a->result.n_item);
    eh_jsonw_int(w, "items_computed", a->result.n_computed);
    eh_jsonw_int(w, "tokens_asked", session.tokens_asked);
    eh_jsonw_int(w, "tokens_computed", session.tokens_computed);
    eh_jsonw_double(w, "seconds", a->result.seconds);
    eh_jsonw_double(w, "seconds_scoring", scoring_seconds);
    eh_jsonw_double(w, "rows_per_s", a->result.n_computed > 0 ? (double)a->result.n_computed / scoring_seconds
                                                                  : (double)NAN);
    eh_jsonw_finish(w);
    const int rc = eh_file_write_in(p->o.out, "reproduce.json", &out, err);
    eh_buf_clear(&out);
    return rc;
}
