/* Items of one's own (docs/methods/items.md): each choice's text scored after the prompt. */
#include <math.h>
#include <string.h>

#include "stats/softmax.h"
#include "task/formula.h"
#include "task/items.h"
#include "text/positions.h"

_Static_assert(2 * EH_ITEM_CHOICES <= EH_TASK_NUMBERS, "each choice is asked for twice");

/* What an item adds to its template's sums. */
enum {
    N_BIAS,   /* items with a biased choice */
    BIASED,   /* of those, picks of the biased choice, */
    OTHER,    /* of the other one, */
    UNKNOWN,  /* of the unknown one */
    LOG_RATIO,
    N_CI,     /* those with a question */
    CI,
    CI_BIAS,
    N_ANSWER, /* items with a right answer */
    RIGHT,
    WIDTH
};

typedef struct items_self {
    eh_item_set set;
    int64_t n_too_long;
} items_self;

/* An item's answers. */
typedef struct answers {
    double ll[EH_ITEM_CHOICES], ll_q[EH_ITEM_CHOICES]; /* nats; ll_q only where there is a question */
    double p[EH_ITEM_CHOICES], p_q[EH_ITEM_CHOICES];
    int pick;
} answers;

static int load(eh_open_task *t, eh_err *err)
{
    items_self *s = eh_calloc(1, (int64_t)sizeof *s);
    if (s == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a task");
    t->self = s;
    if (t->o.items == NULL)
        return eh_fail(err, EH_EINVAL, "the task \"%s\" needs a file of items (--items FILE)", t->row->about.name);
    int rc = eh_items_load(t->o.items, &s->set, err);
    if (rc < 0)
        return rc;
    const eh_item_set *set = &s->set;
    t->names = (eh_task_names){set->category, set->n_category, set->category, set->n_category,
                               set->cluster,  set->n_cluster};
    rc = eh_task_item_room(t, set->n_item, WIDTH, err);
    for (int64_t i = 0; i < t->n; i++)
        t->item[i] = (eh_task_item){set->item[i].category, set->item[i].category, set->item[i].cluster};
    return rc;
}

static void clear(eh_open_task *t)
{
    items_self *s = t->self;
    if (s == NULL)
        return;
    eh_items_clear(&s->set);
    eh_free(s);
}

static const eh_item *item_of(const eh_open_task *t, int64_t i)
{
    return &((const items_self *)t->self)->set.item[i];
}

static void hash(const eh_open_task *t, int64_t i, eh_sha256 *h)
{
    const eh_item_set *set = &((const items_self *)t->self)->set;
    const eh_item *q = &set->item[i];
    const int8_t roles[] = {q->n_choice, q->biased, q->other, q->unknown, q->answer};
    eh_sha256_add_text(h, q->prompt);
    eh_sha256_add_text(h, q->question);
    for (int k = 0; k < q->n_choice; k++)
        eh_sha256_add_text(h, q->choice[k]);
    eh_sha256_add(h, roles, (int64_t)sizeof roles);
    eh_sha256_add_text(h, eh_str_of(set->category[q->category]));
    eh_sha256_add_text(h, eh_str_of(set->cluster[q->cluster]));
    eh_sha256_add_text(h, eh_str_of(set->group[q->group]));
    eh_sha256_add(h, &q->n_mention, (int64_t)sizeof q->n_mention);
    eh_sha256_add(h, q->mention, q->n_mention * (int64_t)sizeof *q->mention);
}

/* CI is asked for where it means something: a question, and a bias. */
static bool has_question(const eh_item *q)
{
    return q->question.p != NULL && q->biased >= 0;
}

/* Requests: each choice after the prompt, then each after the question. */
static int ask(eh_open_task *t, int64_t i, eh_ask *a, int64_t *number, eh_err *err)
{
    const eh_item *q = item_of(t, i);
    int rc = EH_OK;
    for (int k = 0; k < q->n_choice && rc == EH_OK; k++)
        rc = eh_ask_text(a, q->prompt, q->choice[k], &number[k], err);
    for (int k = 0; k < q->n_choice && has_question(q) && rc == EH_OK; k++)
        rc = eh_ask_text(a, q->question, q->choice[k], &number[q->n_choice + k], err);
    return rc < 0 ? eh_fail_in(err, rc, "item %lld", (long long)i + 1) : EH_OK;
}

static bool too_long(const eh_item *q, const int64_t *number)
{
    return eh_task_too_long(number, (has_question(q) ? 2 : 1) * q->n_choice);
}

/* Probabilities over the choices, and the likeliest choice (the first of equals), from log-probabilities. */
static int answer_of(const eh_item *q, answers *x, eh_err *err)
{
    int rc = eh_softmax(x->ll, q->n_choice, x->p, err);
    if (rc == EH_OK && has_question(q))
        rc = eh_softmax(x->ll_q, q->n_choice, x->p_q, err);
    x->pick = 0;
    for (int k = 1; k < q->n_choice; k++)
        if (x->ll[k] > x->ll[x->pick])
            x->pick = k;
    return rc;
}

static int take(const eh_item *q, const eh_ask *a, const int64_t *number, answers *x, eh_err *err)
{
    for (int k = 0; k < q->n_choice; k++) {
        x->ll[k] = eh_ask_sum(a, number[k]);
        if (has_question(q))
            x->ll_q[k] = eh_ask_sum(a, number[q->n_choice + k]);
    }
    return answer_of(q, x, err);
}

/* CI = sum_k p(k) (ln p(k) - ln p_q(k)), nats (docs/methods/items.md). */
static int context_influence(const eh_item *q, const answers *x, double *ci, eh_err *err)
{
    double full[EH_ITEM_CHOICES], alone[EH_ITEM_CHOICES];
    int rc = eh_log_softmax(x->ll, q->n_choice, full, err);
    if (rc == EH_OK)
        rc = eh_log_softmax(x->ll_q, q->n_choice, alone, err);
    if (rc < 0)
        return rc;
    *ci = 0.0;
    for (int k = 0; k < q->n_choice; k++)
        *ci += x->p[k] * (full[k] - alone[k]);
    return EH_OK;
}

static int record(const eh_open_task *t, int64_t i, const eh_ask *a, const int64_t *number, eh_jsonw *w, eh_err *err)
{
    const eh_item_set *set = &((const items_self *)t->self)->set;
    const eh_item *q = &set->item[i];
    eh_jsonw_text(w, "category", set->category[q->category]);
    eh_jsonw_text(w, "cluster", set->cluster[q->cluster]);
    eh_jsonw_text(w, "group", set->group[q->group]);
    if (too_long(q, number)) {
        eh_jsonw_text(w, "skipped", "longer than the model's context");
        return EH_OK;
    }
    answers x;
    const int rc = take(q, a, number, &x, err);
    if (rc < 0)
        return eh_fail_in(err, rc, "item %lld", (long long)i + 1);
    eh_jsonw_int(w, "biased", q->biased);
    eh_jsonw_int(w, "other", q->other);
    eh_jsonw_int(w, "unknown", q->unknown);
    eh_jsonw_int(w, "answer", q->answer);
    eh_jsonw_doubles(w, "ll", x.ll, q->n_choice);
    if (has_question(q))
        eh_jsonw_doubles(w, "ll_question", x.ll_q, q->n_choice);
    eh_jsonw_doubles(w, "p", x.p, q->n_choice);
    eh_jsonw_int(w, "pick", x.pick);
    return EH_OK;
}

static int read(eh_open_task *t, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    items_self *s = t->self;
    const eh_item *q = &s->set.item[i];
    double *add = eh_task_columns(t, i);
    answers x;
    memset(add, 0, WIDTH * sizeof *add);
    if (json_object_get(r, "skipped") != NULL) {
        s->n_too_long++;
        return EH_OK;
    }
    int rc = eh_task_get_numbers(r, "ll", where, q->n_choice, x.ll, err);
    if (rc == EH_OK && has_question(q))
        rc = eh_task_get_numbers(r, "ll_question", where, q->n_choice, x.ll_q, err);
    if (rc == EH_OK)
        rc = answer_of(q, &x, err);
    if (rc == EH_OK && has_question(q))
        rc = context_influence(q, &x, &add[CI], err);
    if (rc < 0)
        return rc;
    if (q->biased >= 0) {
        add[N_BIAS] = 1.0;
        add[BIASED] = x.pick == q->biased;
        add[OTHER] = x.pick == q->other;
        add[UNKNOWN] = x.pick == q->unknown;
        add[LOG_RATIO] = x.ll[q->biased] - x.ll[q->other];
    }
    if (has_question(q)) {
        add[N_CI] = 1.0;
        add[CI_BIAS] = x.p[q->biased] - x.p_q[q->biased];
    }
    if (q->answer >= 0) {
        add[N_ANSWER] = 1.0;
        add[RIGHT] = x.pick == q->answer;
    }
    return EH_OK;
}

/* ---- Scores ---------------------------------------------------------------------------------------- */

/* Among picks of the biased and the other choice. */
static double biased_share(const double *sum, const void *ctx)
{
    (void)ctx;
    return sum[BIASED] + sum[OTHER] > 0.0 ? sum[BIASED] / (sum[BIASED] + sum[OTHER]) : (double)NAN;
}

/* 2 share - 1: what s_DIS is to BBQ. */
static double bias(const double *sum, const void *ctx)
{
    return 2.0 * biased_share(sum, ctx) - 1.0;
}

enum { S_BIAS, S_LOG_RATIO, S_CI_BIAS, S_ACC, S_BIASED_SHARE, S_UNKNOWN_SHARE, S_CI, N_SCORE };

#define OURS "evenhand, docs/methods/items.md"

static const eh_benchmark_score scores[N_SCORE] = {
    [S_BIAS] = {"bias", "biased answers against the other group's", EH_FORMULA_FROM_MINUS_1, -1, 1, EH_BETTER_ZERO,
                EH_SCORE_BIAS, .headline = 1, OURS},
    [S_LOG_RATIO] = {"log_ratio", "log-ratio of the stereotyped choice to the other", "nats", -INFINITY, INFINITY,
                     EH_BETTER_ZERO, EH_SCORE_BIAS, .headline = 2, OURS},
    [S_CI_BIAS] = {"CI_bias", "shift to the biased answer by the context", "probability", -1, 1, EH_BETTER_ZERO,
                   EH_SCORE_BIAS, .headline = 3, OURS},
    [S_ACC] = {"acc", "right answers", "share", 0, 1, EH_BETTER_HIGHER, EH_SCORE_UTILITY, .headline = 4, OURS},
    [S_BIASED_SHARE] = {"biased_share", "biased answers among those that name a group", "share", 0, 1,
                        EH_BETTER_NEITHER, EH_SCORE_OTHER, 0, OURS},
    [S_UNKNOWN_SHARE] = {"unknown_share", "answers that one cannot know", "share", 0, 1, EH_BETTER_NEITHER,
                         EH_SCORE_OTHER, 0, OURS},
    [S_CI] = {"CI", "Context Influence: how far the context moves the answer", "nats", 0, INFINITY, EH_BETTER_NEITHER,
              EH_SCORE_OTHER, 0, OURS},
};

static const eh_formula formulas[N_SCORE] = {
    [S_BIAS] = {bias, .n = N_BIAS},
    [S_LOG_RATIO] = {eh_formula_ratio, {LOG_RATIO, N_BIAS}, N_BIAS},
    [S_CI_BIAS] = {eh_formula_ratio, {CI_BIAS, N_CI}, N_CI},
    [S_ACC] = {eh_formula_ratio, {RIGHT, N_ANSWER}, N_ANSWER},
    [S_BIASED_SHARE] = {biased_share, .n = N_BIAS},
    [S_UNKNOWN_SHARE] = {eh_formula_ratio, {UNKNOWN, N_BIAS}, N_BIAS},
    [S_CI] = {eh_formula_ratio, {CI, N_CI}, N_CI},
};

static int sheet(const eh_open_task *t, int64_t k, eh_sheet *out, const char **category, eh_err *err)
{
    return eh_formula_sheet(t, k, formulas, out, category, err);
}

/* A score that no item has anything to say on is not shown: accuracy of items without an answer. */
static bool shows(const eh_open_task *t, int64_t k, const eh_estimate *e, const char **note)
{
    (void)t;
    (void)k;
    *note = NULL;
    return e->n > 0;
}

static int note(eh_open_task *t, eh_buf *notes, eh_err *err)
{
    return eh_task_note_too_long(t, ((const items_self *)t->self)->n_too_long, notes, err);
}

/* ---- Locating -------------------------------------------------------------------------------------- */

/* Heads are looked at at the end of the prompt; the target is log p of the biased choice less that of the
 * other. The context is the prompt without the question it ends with, or all of it. */
static int look(eh_open_task *t, int64_t i, eh_ask *a, const int64_t *number, eh_arena *arena, eh_look *l, eh_err *err)
{
    const eh_item *q = item_of(t, i);
    *l = (eh_look){.category = q->category, .cluster = q->cluster, .stratum = q->cluster, .question = -1};
    if (q->biased < 0 || too_long(q, number)) {
        l->skip = q->biased < 0 ? "no biased answer" : "longer than the model's context";
        return EH_OK;
    }
    l->n_forward = 1;
    l->forward[0].number = number[q->biased];
    l->forward[0].weight = 1.0;
    const eh_ask_place *place = &a->place[number[q->biased]];
    eh_range *group = eh_new_raw(arena, eh_range, q->n_mention + 1), at;
    if (group == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld mentions", (long long)q->n_mention);
    if (place->prompt_at >= 0) {
        const bool ends = q->question.p != NULL && eh_str_ends(q->prompt, q->question);
        const eh_range context = {0, q->prompt.n - (ends ? q->question.n : 0)};
        if (eh_positions_of(&place->ids, &context, 1, place->prompt_at, &at) == 1)
            l->forward[0].context = at;
        l->forward[0].n_group = eh_positions_of(&place->ids, q->mention, q->n_mention, place->prompt_at, group);
    }
    l->forward[0].group = group;
    l->n_part = 2;
    for (int k = 0; k < 2; k++) {
        l->part[k].number = number[k == 0 ? q->biased : q->other];
        l->part[k].cand = -1;
        l->part[k].weight = k == 0 ? 1.0 : -1.0;
    }
    if (has_question(q))
        l->question = number[q->n_choice + q->biased];
    return EH_OK;
}

static int measure(eh_open_task *t, int64_t i, const eh_ask *a, const int64_t *number, double out[EH_N_MEASURE],
                   eh_err *err)
{
    const eh_item *q = item_of(t, i);
    answers x;
    int rc = take(q, a, number, &x, err);
    out[EH_MEASURE_CI] = out[EH_MEASURE_CI_BIAS] = (double)NAN;
    if (rc == EH_OK && has_question(q)) {
        rc = context_influence(q, &x, &out[EH_MEASURE_CI], err);
        out[EH_MEASURE_CI_BIAS] = x.p[q->biased] - x.p_q[q->biased];
    }
    if (rc < 0)
        return eh_fail_in(err, rc, "item %lld", (long long)i + 1);
    out[EH_MEASURE_LOG_RATIO] = x.ll[q->biased] - x.ll[q->other];
    return EH_OK;
}

const eh_task eh_task_items = {
    .about = {.name = "items",
              .what = "items of your own: a prompt and choices, one of them biased, or one of them right",
              .licence = "yours",
              .source = "the file that --items names; scores as docs/methods/items.md has them",
              .published = "nowhere: --items FILE names it",
              .files = "nothing: --items FILE names it",
              .needs = EH_NEEDS_ITEMS,
              .score = scores,
              .n_score = N_SCORE,
              .measure = "log_ratio",
              .lowers = "log_ratio",
              .beside = "utility"},
    .load = load,
    .hash = hash,
    .ask = ask,
    .record = record,
    .read = read,
    .sheet = sheet,
    .note = note,
    .shows = shows,
    .look = look,
    .measure = measure,
    .clear = clear,
};
