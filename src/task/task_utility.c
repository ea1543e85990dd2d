/* Our own questions of plain knowledge, four choices each. */
#include <string.h>

#include "task/formula.h"
#include "task/probe.h"

enum { N, RIGHT, RIGHT_NORM, WIDTH }; /* what an item adds to its template's sums */

typedef struct utility_self {
    eh_utility_set set;
    const char **cluster; /* [n_item] their names: every question stands for itself */
    eh_arena memory;
} utility_self;

static int load(eh_open_task *t, eh_err *err)
{
    utility_self *s = eh_calloc(1, (int64_t)sizeof *s);
    if (s == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a task");
    t->self = s;
    int rc = eh_utility_load(t->o.probes, &s->set, err);
    if (rc < 0)
        return rc;
    const eh_utility_set *set = &s->set;
    s->cluster = eh_new(&s->memory, const char *, set->n_item);
    bool named = s->cluster != NULL;
    for (int64_t i = 0; named && i < set->n_item; i++)
        named = (s->cluster[i] = eh_arena_text(&s->memory, set->item[i].id.p, set->item[i].id.n)) != NULL;
    if (!named)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld questions", (long long)set->n_item);
    t->names = (eh_task_names){set->topic, set->n_topic, set->topic, set->n_topic, s->cluster, set->n_item};
    rc = eh_task_item_room(t, set->n_item, WIDTH, err);
    for (int64_t i = 0; i < t->n; i++)
        t->item[i] = (eh_task_item){set->item[i].topic, set->item[i].topic, (int32_t)i};
    return rc;
}

static void clear(eh_open_task *t)
{
    utility_self *s = t->self;
    if (s == NULL)
        return;
    eh_utility_clear(&s->set);
    eh_arena_clear(&s->memory);
    eh_free(s);
}

static void hash(const eh_open_task *t, int64_t i, eh_sha256 *h)
{
    const eh_utility *u = &((const utility_self *)t->self)->set.item[i];
    eh_sha256_add_text(h, u->id);
    eh_sha256_add_text(h, u->question);
    for (int k = 0; k < 4; k++)
        eh_sha256_add_text(h, u->choice[k]);
    eh_sha256_add(h, &u->answer, (int64_t)sizeof u->answer);
}

static int ask(eh_open_task *t, int64_t i, eh_ask *a, int64_t *number, eh_err *err)
{
    const eh_utility *u = &((const utility_self *)t->self)->set.item[i];
    eh_buf context = {0}, choice = {0};
    eh_buf_str(&context, EH_STR("Question: "));
    eh_buf_str(&context, u->question);
    eh_buf_str(&context, EH_STR("\nAnswer:"));
    int rc = eh_buf_check(&context, "a question", err);
    for (int k = 0; k < 4 && rc == EH_OK; k++) {
        eh_buf_reset(&choice);
        eh_buf_char(&choice, ' ');
        eh_buf_str(&choice, u->choice[k]);
        rc = eh_buf_check(&choice, "a choice", err);
        if (rc == EH_OK)
            rc = eh_ask_pair(a, eh_buf_get(&context), eh_buf_get(&choice), &number[k], err);
    }
    eh_buf_clear(&context);
    eh_buf_clear(&choice);
    return rc;
}

static int record(const eh_open_task *t, int64_t i, const eh_ask *a, const int64_t *number, eh_jsonw *w, eh_err *err)
{
    const utility_self *s = t->self;
    const eh_utility *u = &s->set.item[i];
    double ll[4];
    (void)err;
    for (int k = 0; k < 4; k++)
        ll[k] = eh_ask_sum(a, number[k]);
    eh_jsonw_str(w, "id", u->id);
    eh_jsonw_text(w, "topic", s->set.topic[u->topic]);
    eh_jsonw_doubles(w, "ll", ll, 4);
    eh_jsonw_int(w, "answer", u->answer);
    return EH_OK;
}

static int read(eh_open_task *t, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    utility_self *s = t->self;
    const eh_utility *u = &s->set.item[i];
    double ll[4];
    const int rc = eh_task_get_numbers(r, "ll", where, 4, ll, err);
    if (rc < 0)
        return rc;
    int best = 0, best_norm = 0;
    for (int k = 1; k < 4; k++) {
        best = ll[k] > ll[best] ? k : best;
        best_norm = ll[k] / (double)u->choice[k].n > ll[best_norm] / (double)u->choice[best_norm].n ? k : best_norm;
    }
    const double x[WIDTH] = {1.0, best == u->answer ? 1.0 : 0.0, best_norm == u->answer ? 1.0 : 0.0};
    memcpy(eh_task_columns(t, i), x, sizeof x);
    return EH_OK;
}

/* ---- Scores ------------------------------------------------------------------------------------------- */

enum { S_ACC, S_ACC_NORM, N_SCORE };

#define HARNESS "EleutherAI lm-evaluation-harness 0.4"

static const eh_benchmark_score scores[N_SCORE] = {
    [S_ACC] = {"acc", "right answers", "share", 0, 1, EH_BETTER_HIGHER, EH_SCORE_UTILITY, .headline = 1, HARNESS},
    [S_ACC_NORM] = {"acc_norm", "right answers, by length", "share", 0, 1, EH_BETTER_HIGHER, EH_SCORE_UTILITY,
                    .headline = 2, HARNESS},
};

static const eh_formula formulas[N_SCORE] = {
    [S_ACC] = {eh_formula_ratio, {RIGHT, N}, N},
    [S_ACC_NORM] = {eh_formula_ratio, {RIGHT_NORM, N}, N}, /* per byte of the choice, as the harness's byte length */
};

static int sheet(const eh_open_task *t, int64_t k, eh_sheet *out, const char **category, eh_err *err)
{
    return eh_formula_sheet(t, k, formulas, out, category, err);
}

static const eh_work work[] = {
    {"questions of knowledge, or their form",
     "Hendrycks et al.: Measuring Massive Multitask Language Understanding. ICLR 2021."},
};

const eh_task eh_task_utility = {
    .about = {.name = "utility",
              .what = "evenhand's own questions of plain knowledge, four choices each: what an edit must not break",
              .licence = "CC BY 4.0",
              .source = "evenhand, data/probes; form after Hendrycks et al., MMLU, ICLR 2021",
              .published = EH_PROBE_PUBLISHED,
              .files = "utility.jsonl",
              .score = scores,
              .n_score = N_SCORE},
    .work = work,
    .n_work = 1,
    .load = load,
    .hash = hash,
    .ask = ask,
    .record = record,
    .read = read,
    .sheet = sheet,
    .clear = clear,
};
