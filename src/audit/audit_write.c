/* results.json, in the layout of lm-evaluation-harness with our rows beside it, and reproduce.json. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "audit/audit.h"
#include "base/put.h"

/* "s_AMB,none", "s_AMB_Age,none": the harness's names, with ends of the interval where it has a
 * standard error. */
static void put_score(eh_buf *b, const eh_score_row *r, const char *ending, double x)
{
    eh_buf key = {0};
    eh_buf_str(&key, eh_str_of(r->score));
    if (strcmp(r->category, "all") != 0)
        eh_buf_printf(&key, "_%s", r->category);
    eh_buf_printf(&key, "%s,none", ending);
    if (key.fault == 0)
        eh_put_double(b, key.p, r->defined ? x : (double)NAN);
    else
        b->fault = key.fault;
    eh_buf_clear(&key);
}

static void put_task_results(eh_buf *b, const eh_audit *a, const char *task)
{
    eh_put_key(b, task);
    eh_buf_char(b, '{');
    eh_put_text(b, "alias", task);
    for (int64_t i = 0; i < a->n_row; i++)
        if (strcmp(a->row[i].task, task) == 0) {
            put_score(b, &a->row[i], "", a->row[i].value);
            put_score(b, &a->row[i], "_low", a->row[i].low);
            put_score(b, &a->row[i], "_high", a->row[i].high);
        }
    eh_put_end(b, "},");
}

static void put_rows(eh_buf *b, const eh_audit *a)
{
    eh_put_key(b, "rows");
    eh_buf_str(b, EH_STR("[\n"));
    for (int64_t i = 0; i < a->n_row; i++) {
        const eh_score_row *r = &a->row[i];
        eh_buf_char(b, '{');
        eh_put_text(b, "task", r->task);
        eh_put_text(b, "category", r->category);
        eh_put_text(b, "score", r->score);
        eh_put_double(b, "value", r->value);
        eh_put_double(b, "low", r->low);
        eh_put_double(b, "high", r->high);
        eh_put_int(b, "n", r->n);
        eh_put_int(b, "n_cluster", r->n_cluster);
        eh_put_text(b, "better", r->better);
        eh_put_text(b, "note", r->note);
        eh_put_end(b, i + 1 < a->n_row ? "},\n" : "}\n");
    }
    eh_buf_str(b, EH_STR("],"));
}

static void put_notes(eh_buf *b, const eh_audit *a)
{
    eh_put_key(b, "notes");
    eh_buf_char(b, '[');
    for (const char *p = a->notes.p != NULL ? a->notes.p : ""; *p != '\0';) {
        const size_t n = strcspn(p, "\n");
        eh_buf_json(b, (eh_str){p, (int64_t)n});
        eh_buf_char(b, ',');
        p += n + (p[n] == '\n');
    }
    eh_put_end(b, "],");
}

int eh_audit_write_results(const eh_audit *a, const eh_audit_plan *p, const eh_session *s, eh_open_task *const *task,
                           int64_t n_task, eh_err *err)
{
    eh_model_info info;
    eh_model_describe(s->m, &info);
    eh_buf out = {0}, *b = &out;
    eh_buf_char(b, '{');
    eh_put_key(b, "results");
    eh_buf_char(b, '{');
    for (int64_t i = 0; i < n_task; i++)
        put_task_results(b, a, task[i]->row->about.name);
    eh_put_end(b, "},\n");
    eh_put_key(b, "configs");
    eh_buf_char(b, '{');
    for (int64_t i = 0; i < n_task; i++) {
        const eh_benchmark *t = &task[i]->row->about;
        eh_put_key(b, t->name);
        eh_buf_char(b, '{');
        eh_put_text(b, "task", t->name);
        eh_put_text(b, "description", t->what);
        eh_put_text(b, "licence", t->licence);
        eh_put_text(b, "source", t->source);
        eh_put_text(b, "published", t->published);
        eh_put_end(b, "},");
    }
    eh_put_end(b, "},\n");
    eh_put_key(b, "versions");
    eh_buf_char(b, '{');
    for (int64_t i = 0; i < n_task; i++)
        eh_put_int(b, task[i]->row->about.name, 1);
    eh_put_end(b, "},");
    eh_put_key(b, "n-shot");
    eh_buf_char(b, '{');
    for (int64_t i = 0; i < n_task; i++)
        eh_put_int(b, task[i]->row->about.name, 0);
    eh_put_end(b, "},");
    eh_put_key(b, "n-samples");
    eh_buf_char(b, '{');
    for (int64_t i = 0; i < n_task; i++) {
        eh_put_key(b, task[i]->row->about.name);
        eh_buf_char(b, '{');
        eh_put_int(b, "original", task[i]->n);
        eh_put_int(b, "effective", task[i]->n_pick);
        eh_put_end(b, "},");
    }
    eh_put_end(b, "},\n");
    eh_put_key(b, "config");
    eh_buf_char(b, '{');
    eh_put_text(b, "model", "evenhand");
    eh_put_text(b, "model_args", info.path);
    eh_put_text(b, "model_dtype", s->precision == EH_BF16 ? "bf16" : "f32");
    eh_put_int(b, "model_num_parameters", info.n_param);
    eh_put_text(b, "answer", p->answer->name);
    eh_put_text(b, "orders", p->answer->ordered ? p->orders->name : "stored");
    eh_put_key(b, "chat");
    eh_buf_str(b, p->o.chat ? EH_STR("true,") : EH_STR("false,"));
    eh_put_int(b, "bootstrap_iters", p->bootstrap.n_resample > 0 ? p->bootstrap.n_resample : EH_BOOTSTRAP_RESAMPLES);
    eh_put_double(b, "confidence", p->bootstrap.level > 0.0 ? p->bootstrap.level : 0.95);
    eh_put_int(b, "random_seed", (int64_t)p->o.seed);
    eh_put_end(b, "},\n");
    eh_put_key(b, "evenhand");
    eh_buf_char(b, '{');
    eh_put_text(b, "version", EH_VERSION);
    put_rows(b, a);
    put_notes(b, a);
    eh_put_end(b, "}}\n");
    const int rc = eh_put_file(p->o.out, "results.json", b, err);
    eh_buf_clear(b);
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
    eh_buf out = {0}, *b = &out;
    eh_buf_char(b, '{');
    eh_put_text(b, "evenhand", EH_VERSION);
    eh_put_text(b, "command", p->o.command);
    eh_put_key(b, "model");
    eh_buf_char(b, '{');
    eh_put_text(b, "path", info.path);
    eh_put_text(b, "format", info.format);
    eh_put_text(b, "family", info.family);
    eh_put_text(b, "dtype", info.dtype);
    eh_put_text(b, "fingerprint", fingerprint);
    eh_put_int(b, "parameters", info.n_param);
    eh_put_end(b, "},\n");
    eh_put_key(b, "data");
    eh_buf_char(b, '{');
    for (int64_t i = 0; i < n_task; i++) {
        eh_put_key(b, task[i]->row->about.name);
        eh_buf_char(b, '{');
        eh_put_text(b, "sha256", data_sha[i]);
        eh_put_int(b, "items", task[i]->n_pick);
        eh_put_end(b, "},");
    }
    eh_put_end(b, "},\n");
    eh_put_key(b, "options");
    eh_buf_char(b, '{');
    eh_put_text(b, "tasks", p->o.tasks);
    eh_put_text(b, "data", p->o.data);
    eh_put_text(b, "items", p->o.items);
    eh_put_text(b, "probes", p->task.probes);
    eh_put_text(b, "categories", p->o.categories);
    eh_put_text(b, "split", p->o.split != NULL ? p->o.split : "all");
    eh_put_text(b, "answer", p->answer->name);
    eh_put_text(b, "orders", p->orders->name);
    eh_put_int(b, "limit", p->o.limit);
    eh_put_int(b, "rows", p->o.rows);
    eh_put_int(b, "seed", (int64_t)p->o.seed);
    eh_put_text(b, "precision", s->precision == EH_BF16 ? "bf16" : "f32");
    eh_put_int(b, "threads", session.threads);
    eh_put_int(b, "batch_tokens", session.batch_tokens);
    eh_put_end(b, "},\n");
    eh_put_key(b, "machine");
    eh_buf_char(b, '{');
    eh_put_text(b, "features", session.features);
    eh_put_text(b, "kernels", session.simd);
    eh_put_text(b, "product", session.product);
    eh_put_end(b, "},\n");
    eh_put_int(b, "items", a->n_item);
    eh_put_int(b, "items_computed", a->n_computed);
    eh_put_int(b, "tokens_asked", session.tokens_asked);
    eh_put_int(b, "tokens_computed", session.tokens_computed);
    eh_put_double(b, "seconds", a->seconds);
    eh_put_double(b, "seconds_scoring", scoring_seconds);
    eh_put_double(b, "rows_per_s", a->n_computed > 0 ? (double)a->n_computed / scoring_seconds : (double)NAN);
    eh_put_end(b, "}\n");
    const int rc = eh_put_file(p->o.out, "reproduce.json", b, err);
    eh_buf_clear(b);
    return rc;
}
