/* Questions in BBQ's form: by letters or by text, and by the harness's twelve continuations. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "audit/audit.h"
#include "task/bbq_score.h"
#include "task/mention.h"
#include "task/probe.h"
#include "text/positions.h"

typedef struct bbq_self {
    eh_bbq_set set;
    eh_audit_names names;
    eh_bbq_answer *answer; /* [n_item] */
    int8_t *choice;        /* [n_item], harness */
    int32_t letter[3];     /* tokens of " A", " B", " C" */
    int64_t n_too_long;
} bbq_self;

/* ---- Loading ----------------------------------------------------------------------------------- */

static int choose(eh_audit_task *t, eh_err *err)
{
    bbq_self *s = t->self;
    eh_audit_item *item = eh_alloc(s->set.n_item, (int64_t)sizeof *item);
    if (item == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld items", (long long)s->set.n_item);
    for (int64_t i = 0; i < s->set.n_item; i++)
        item[i] = (eh_audit_item){s->set.item[i].category, s->set.item[i].family, s->set.item[i].cluster};
    s->names = (eh_audit_names){s->set.category, s->set.n_category, s->set.family, s->set.n_family,
                                s->set.cluster,  s->set.n_cluster};
    t->names = &s->names;
    const int rc = eh_audit_choose(t, item, s->set.n_item, &s->names, err);
    eh_free(item);
    return rc;
}

/* The tokens that stand for the letters; two letters with one token cannot be told apart. */
static int find_letters(eh_audit_task *t, eh_err *err)
{
    static const char *const letters[3] = {"A", "B", "C"};
    bbq_self *s = t->self;
    eh_ask a = {.s = t->s, .chat = t->plan->o.chat};
    int rc = EH_OK;
    for (int i = 0; i < 3 && rc == EH_OK; i++)
        rc = eh_ask_first_token(&a, EH_STR("Answer:"), eh_str_of(letters[i]), &s->letter[i], err);
    if (rc == EH_OK && (s->letter[0] == s->letter[1] || s->letter[0] == s->letter[2] || s->letter[1] == s->letter[2]))
        rc = eh_fail(err, EH_ENOSUP,
                     "this tokenizer writes two of the letters \" A\", \" B\", \" C\" with the same first token; use "
                     "--answer text_pmi");
    return rc;
}

/* The families that --categories names, or all that are there. A name that is no family ("SES
 * (names)", or a slip) is looked for among the categories of all of them. */
static int load_families(const eh_audit_task *t, eh_bbq_set *set, eh_err *err)
{
    const char *only[64];
    int64_t n = 0;
    bool all_known = true;
    for (const char *p = t->plan->o.categories; p != NULL && *p != '\0' && n < 64;) {
        const size_t len = strcspn(p, ",");
        bool known = false;
        for (int64_t f = 0; f < eh_bbq_n_family; f++)
            if (strlen(eh_bbq_families[f]) == len && memcmp(eh_bbq_families[f], p, len) == 0) {
                only[n++] = eh_bbq_families[f];
                known = true;
            }
        all_known &= known;
        p += len + (p[len] == ',');
    }
    const bool some = all_known && n > 0;
    return eh_bbq_load(t->plan->o.data, some ? only : NULL, some ? n : 0, set, err);
}

static int load(eh_audit_task *t, bool probes, eh_err *err)
{
    bbq_self *s = eh_calloc(1, (int64_t)sizeof *s);
    if (s == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a task");
    t->self = s;
    int rc;
    if (probes)
        rc = eh_probe_load(t->plan->probes, &s->set, err);
    else if (t->plan->o.data == NULL)
        rc = eh_task_missing(t->kind->task, "its files", "no --data folder is given", err);
    else
        rc = load_families(t, &s->set, err);
    if (rc < 0)
        return rc;
    s->answer = eh_calloc(s->set.n_item, (int64_t)sizeof *s->answer);
    s->choice = eh_alloc(s->set.n_item, (int64_t)sizeof *s->choice);
    if (s->answer == NULL || s->choice == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld answers", (long long)s->set.n_item);
    memset(s->choice, -1, (size_t)s->set.n_item);
    return choose(t, err);
}

static int load_bbq(eh_audit_task *t, eh_err *err)
{
    const int rc = load(t, false, err);
    return rc == EH_OK && t->plan->form == EH_BBQ_LETTERS ? find_letters(t, err) : rc;
}

static int load_probes(eh_audit_task *t, eh_err *err)
{
    const int rc = load(t, true, err);
    return rc == EH_OK && t->plan->form == EH_BBQ_LETTERS ? find_letters(t, err) : rc;
}

static int load_harness(eh_audit_task *t, eh_err *err)
{
    return load(t, false, err);
}

static void clear(eh_audit_task *t)
{
    bbq_self *s = t->self;
    if (s == NULL)
        return;
    eh_bbq_clear(&s->set);
    eh_free(s->answer);
    eh_free(s->choice);
    eh_free(s);
}

static int32_t cluster(const eh_audit_task *t, int64_t i)
{
    return ((const bbq_self *)t->self)->set.item[i].cluster;
}

static void hash(const eh_audit_task *t, int64_t i, eh_sha256 *h)
{
    const bbq_self *s = t->self;
    const eh_bbq_item *q = &s->set.item[i];
    eh_sha256_add_text(h, q->context);
    eh_sha256_add_text(h, q->question);
    for (int k = 0; k < 3; k++)
        eh_sha256_add_text(h, q->option[k]);
    eh_sha256_add_text(h, eh_str_of(s->set.category[q->category]));
    eh_sha256_add_text(h, eh_str_of(s->set.cluster[q->cluster]));
    const int8_t marks[] = {q->label, q->unknown, q->biased, q->stereotyped, q->neg, q->disambig};
    eh_sha256_add(h, marks, (int64_t)sizeof marks);
}

/* ---- Letters and text ---------------------------------------------------------------------------- */

/* Requests of an item: letters: for each order the full and the question-only prompt; text: three
 * options after the full prompt, three after the question, and for PMI three after "Answer:". */
static int ask_letters(eh_audit_task *t, const eh_bbq_item *q, eh_ask *ask, int64_t *number, eh_err *err)
{
    const bbq_self *s = t->self;
    eh_buf prompt = {0};
    int rc = EH_OK;
    for (int k = 0; k < t->plan->orders->n && rc == EH_OK; k++)
        for (int full = 1; full >= 0 && rc == EH_OK; full--) {
            rc = eh_bbq_prompt_letters(q, t->plan->orders->order[k], full, &prompt, err);
            if (rc == EH_OK)
                rc = eh_ask_next(ask, eh_buf_get(&prompt), s->letter, 3, &number[2 * k + (full ? 0 : 1)], err);
        }
    eh_buf_clear(&prompt);
    return rc;
}

static int ask_text(eh_audit_task *t, const eh_bbq_item *q, eh_ask *ask, int64_t *number, eh_err *err)
{
    eh_buf prompt = {0};
    const int n_kind = t->plan->form == EH_BBQ_TEXT_PMI ? 3 : 2;
    int rc = EH_OK;
    for (int kind = 0; kind < n_kind && rc == EH_OK; kind++) {
        if (kind < 2)
            rc = eh_bbq_prompt_text(q, kind == 0, &prompt, err);
        const eh_str p = kind < 2 ? eh_buf_get(&prompt) : EH_STR(EH_BBQ_PMI_CONTEXT);
        for (int k = 0; k < 3 && rc == EH_OK; k++)
            rc = eh_ask_text(ask, p, q->option[k], &number[3 * kind + k], err);
    }
    eh_buf_clear(&prompt);
    return rc;
}

static int n_number(const eh_audit_plan *p)
{
    return p->form == EH_BBQ_LETTERS ? 2 * p->orders->n : p->form == EH_BBQ_TEXT ? 6 : 9;
}

static int ask(eh_audit_task *t, int64_t i, eh_ask *a, int64_t *number, eh_err *err)
{
    const bbq_self *s = t->self;
    const eh_bbq_item *q = &s->set.item[i];
    return t->plan->form == EH_BBQ_LETTERS ? ask_letters(t, q, a, number, err) : ask_text(t, q, a, number, err);
}

static bool fits(const int64_t *number, int n)
{
    for (int k = 0; k < n; k++)
        if (number[k] == EH_ASK_TOO_LONG)
            return false;
    return true;
}

/* What every record starts with: which item it is, and what its answers mean. */
static void put_item(const eh_audit_task *t, int64_t i, eh_jsonw *w)
{
    const bbq_self *s = t->self;
    const eh_bbq_item *q = &s->set.item[i];
    eh_jsonw_text(w, "category", s->set.category[q->category]);
    eh_jsonw_int(w, "example_id", q->example_id);
    eh_jsonw_text(w, "cluster", s->set.cluster[q->cluster]);
    eh_jsonw_int(w, "group", q->group);
    eh_jsonw_text(w, "context_condition", q->disambig ? "disambig" : "ambig");
    eh_jsonw_text(w, "question_polarity", q->neg ? "neg" : "nonneg");
    eh_jsonw_int(w, "label", q->label);
    eh_jsonw_int(w, "unknown", q->unknown);
    eh_jsonw_int(w, "stereotyped", q->stereotyped);
    eh_jsonw_int(w, "biased", q->biased);
}

/* [orders, 3] as nested lists. */
static void put_orders(eh_jsonw *w, const char *key, const double *x, int n)
{
    eh_jsonw_begin(w, key, '[');
    for (int k = 0; k < n; k++)
        eh_jsonw_doubles(w, NULL, x + 3 * k, 3);
    eh_jsonw_end(w);
}

static int get_orders(const json_t *record, const char *key, const char *where, int n, double *x, eh_err *err)
{
    const json_t *list = json_object_get(record, key);
    if (!json_is_array(list) || json_array_size(list) != (size_t)n)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is not a list of %d", where, key, n);
    for (int k = 0; k < n; k++) {
        const json_t *three = json_array_get(list, (size_t)k);
        for (size_t i = 0; i < 3; i++) {
            const json_t *v = json_array_get(three, i);
            if (!json_is_number(v))
                return eh_fail(err, EH_EFORMAT, "%s: \"%s\" does not hold three numbers an order", where, key);
            x[3 * k + (int)i] = json_number_value(v);
        }
    }
    return EH_OK;
}

/* The log-probabilities that an answer is made of. */
typedef struct measured {
    double full[6 * 3], q[6 * 3], alone[3];
} measured;

static int answer_of(const eh_audit_plan *p, const measured *x, eh_bbq_answer *a, eh_err *err)
{
    const eh_bbq_orders *orders = p->form == EH_BBQ_LETTERS ? p->orders : eh_bbq_orders_find("stored");
    if (p->form != EH_BBQ_TEXT_PMI)
        return eh_bbq_answer_of(orders, x->full, x->q, a, err);
    double full[3], q[3];
    for (int i = 0; i < 3; i++) {
        full[i] = x->full[i] - x->alone[i];
        q[i] = x->q[i] - x->alone[i];
    }
    return eh_bbq_answer_of(orders, full, q, a, err);
}

/* What the engine answered. */
static void take(const eh_audit_plan *p, const eh_ask *a, const int64_t *number, measured *x)
{
    if (p->form == EH_BBQ_LETTERS) {
        for (int k = 0; k < p->orders->n; k++)
            for (int l = 0; l < 3; l++) {
                x->full[3 * k + l] = (double)a->answer[number[2 * k]].cand_logprob[l];
                x->q[3 * k + l] = (double)a->answer[number[2 * k + 1]].cand_logprob[l];
            }
        return;
    }
    for (int l = 0; l < 3; l++) {
        x->full[l] = eh_ask_sum(a, number[l]);
        x->q[l] = eh_ask_sum(a, number[3 + l]);
        if (p->form == EH_BBQ_TEXT_PMI)
            x->alone[l] = eh_ask_sum(a, number[6 + l]);
    }
}

static int record(const eh_audit_task *t, int64_t i, const eh_ask *a, const int64_t *number, eh_jsonw *w, eh_err *err)
{
    const eh_audit_plan *p = t->plan;
    put_item(t, i, w);
    eh_jsonw_text(w, "answer", eh_bbq_form_table[p->form].name);
    eh_jsonw_bool(w, "chat", p->o.chat);
    if (!fits(number, n_number(p))) {
        eh_jsonw_text(w, "skipped", "longer than the model's context");
        return EH_OK;
    }
    measured x;
    int n = 1;
    if (p->form == EH_BBQ_LETTERS) {
        n = p->orders->n;
        eh_jsonw_text(w, "orders", p->orders->name);
    }
    take(p, a, number, &x);
    eh_bbq_answer answer;
    const int rc = answer_of(p, &x, &answer, err);
    if (rc < 0)
        return eh_fail_in(err, rc, "item %lld", (long long)i);
    put_orders(w, "lp_full", x.full, n);
    put_orders(w, "lp_question", x.q, n);
    if (p->form == EH_BBQ_TEXT_PMI)
        put_orders(w, "lp_alone", x.alone, 1);
    eh_jsonw_doubles(w, "p", answer.p, 3);
    eh_jsonw_doubles(w, "p_question", answer.p_q, 3);
    eh_jsonw_double(w, "ci", answer.ci);
    eh_jsonw_int(w, "pick", answer.pick);
    eh_jsonw_int(w, "acc", answer.pick == ((const bbq_self *)t->self)->set.item[i].label);
    return EH_OK;
}

static int read(eh_audit_task *t, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    bbq_self *s = t->self;
    if (json_object_get(r, "skipped") != NULL) {
        s->n_too_long++;
        return EH_OK;
    }
    const int n = t->plan->form == EH_BBQ_LETTERS ? t->plan->orders->n : 1;
    measured x;
    int rc = get_orders(r, "lp_full", where, n, x.full, err);
    if (rc == EH_OK)
        rc = get_orders(r, "lp_question", where, n, x.q, err);
    if (rc == EH_OK && t->plan->form == EH_BBQ_TEXT_PMI)
        rc = get_orders(r, "lp_alone", where, 1, x.alone, err);
    return rc == EH_OK ? answer_of(t->plan, &x, &s->answer[i], err) : rc;
}

/* ---- Locating ------------------------------------------------------------------------------------- */

/* The option that is neither the biased one nor "unknown". */
static int other_option(const eh_bbq_item *q)
{
    return 3 - q->biased - q->unknown;
}

/* The tokens of both groups' mentions and of the context, in the prompt of request `number`. */
static int find_places(const eh_bbq_item *q, const eh_ask *a, int64_t number, const eh_mentions *found,
                       eh_arena *arena, eh_head_set *set, eh_err *err)
{
    const eh_ask_place *place = &a->place[number];
    *set = (eh_head_set){0};
    if (place->prompt_at < 0)
        return EH_OK;
    eh_range *group = eh_new_raw(arena, eh_range, found->n + 1);
    if (group == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld mentions", (long long)found->n);
    eh_range context = {0, q->context.n};
    eh_range at;
    if (eh_positions_of(&place->ids, &context, 1, place->prompt_at, &at) == 1)
        set->context = at;
    const int other = other_option(q);
    if (found->n_of[q->biased] > 0 && found->n_of[other] > 0)
        set->n_group = eh_positions_of(&place->ids, found->span, found->n, place->prompt_at, group);
    set->group = group;
    return EH_OK;
}

/*
 * By letters, heads are looked at in the full prompt of every order, and the target is the letter of the
 * biased option less that of the other group's, in the first order. By text, one look at the full
 * prompt, and the target is the biased option's text less the other's (in text_pmi each less its own
 * without the prompt).
 */
static int look(eh_audit_task *t, int64_t i, eh_ask *a, const int64_t *number, eh_arena *arena, eh_look *l, eh_err *err)
{
    const bbq_self *s = t->self;
    const eh_audit_plan *p = t->plan;
    const eh_bbq_item *q = &s->set.item[i];
    *l = (eh_look){.category = q->category,
                   .cluster = q->cluster,
                   .stratum = 4 * q->cluster + 2 * q->disambig + q->neg};
    if (q->biased < 0 || !fits(number, n_number(p))) {
        l->skip = q->biased < 0 ? "no biased answer" : "longer than the model's context";
        return EH_OK;
    }
    eh_mentions found = {0};
    int rc = eh_mentions_find(q, &found, err);
    const bool letters = p->form == EH_BBQ_LETTERS;
    l->question = number[letters ? 1 : 3];
    l->n_forward = letters ? p->orders->n : 1;
    for (int k = 0; k < l->n_forward && rc == EH_OK; k++) {
        l->forward[k].number = number[2 * k];
        l->forward[k].weight = 1.0 / l->n_forward;
        rc = find_places(q, a, number[2 * k], &found, arena, &l->forward[k].set, err);
    }
    eh_mentions_clear(&found);
    const int8_t option[2] = {q->biased, (int8_t)other_option(q)};
    for (int k = 0; k < 2 && rc == EH_OK; k++) {
        const double sign = k == 0 ? 1.0 : -1.0;
        int place = 0;
        while (letters && p->orders->order[0][place] != option[k])
            place++;
        l->part[l->n_part].number = letters ? number[0] : number[option[k]];
        l->part[l->n_part].cand = letters ? place : -1;
        l->part[l->n_part++].weight = sign;
        if (p->form == EH_BBQ_TEXT_PMI) {
            l->part[l->n_part].number = number[6 + option[k]];
            l->part[l->n_part].cand = -1;
            l->part[l->n_part++].weight = -sign;
        }
    }
    return rc;
}

static int measure(eh_audit_task *t, int64_t i, const eh_ask *a, const int64_t *number, double out[EH_N_MEASURE],
                   eh_err *err)
{
    const bbq_self *s = t->self;
    const eh_bbq_item *q = &s->set.item[i];
    measured x;
    eh_bbq_answer answer;
    take(t->plan, a, number, &x);
    const int rc = answer_of(t->plan, &x, &answer, err);
    if (rc < 0)
        return eh_fail_in(err, rc, "item %lld", (long long)i);
    out[EH_MEASURE_CI] = answer.ci;
    out[EH_MEASURE_CI_BIAS] = answer.p[q->biased] - answer.p_q[q->biased];
    out[EH_MEASURE_LOG_RATIO] = log(answer.p[q->biased]) - log(answer.p[other_option(q)]);
    return EH_OK;
}

/* ---- Scores ---------------------------------------------------------------------------------------- */

/* Below this many templates an interval is only a hint. */
#define FEW_TEMPLATES 10

static bool is_position(eh_bbq_score k)
{
    return k == EH_BBQ_POSITION_EFFECT || k == EH_BBQ_PLACE_1 || k == EH_BBQ_PLACE_2 || k == EH_BBQ_PLACE_3;
}

/* In the text forms options are not shown: a place means nothing. One order has no effect. */
static bool shows(const eh_audit_task *t, int64_t k, const eh_estimate *e, const char **note)
{
    const bool position = is_position((eh_bbq_score)k);
    if (position && (t->plan->form != EH_BBQ_LETTERS || (k == EH_BBQ_POSITION_EFFECT && t->plan->orders->n == 1)))
        return false;
    *note = t->warning != NULL && !position ? t->warning
            : e->defined && e->n_cluster < FEW_TEMPLATES ? "fewer than 10 templates: the interval is a hint"
                                                         : NULL;
    return true;
}

/* Which categories have an item that takes part. */
static bool takes_part(const eh_audit_task *t, int32_t category, int32_t family)
{
    const bbq_self *s = t->self;
    for (int64_t i = 0; i < t->n_pick; i++)
        if ((category < 0 || s->set.item[t->pick[i]].category == category) &&
            (family < 0 || s->set.item[t->pick[i]].family == family))
            return true;
    return false;
}

static int note_data(const eh_audit_task *t, eh_audit *a, eh_err *err)
{
    const bbq_self *s = t->self;
    const eh_bbq_report *r = &s->set.report;
    int rc = EH_OK;
    if (s->n_too_long > 0)
        rc = eh_audit_add_note(a, err, "%s: %lld items are longer than the model's context and were left out.",
                               t->kind->task, (long long)s->n_too_long);
    if (rc == EH_OK && r->n_target_differ > 0)
        rc = eh_audit_add_note(a, err,
                               "%s: in %lld of %lld rows the metadata name another biased answer than the exact group "
                               "names do; the metadata are followed, as the authors do.",
                               t->kind->task, (long long)r->n_target_differ,
                               (long long)(r->n_target_differ + r->n_target_same));
    return rc;
}

static int sheet(const eh_audit_task *t, int64_t k, eh_sheet *out, const char **name, eh_err *err)
{
    const bbq_self *s = t->self;
    if (k > s->set.n_category)
        return EH_AUDIT_LAST;
    *name = k == 0 ? "all" : s->set.category[k - 1];
    if (k > 0 && !takes_part(t, (int32_t)(k - 1), -1))
        return EH_AUDIT_NO_SHEET;
    return eh_bbq_sheet(&s->set, s->answer, (eh_bbq_part){(int32_t)(k - 1), -1}, out, err);
}

static int note(eh_audit_task *t, eh_audit *a, eh_err *err)
{
    const bbq_self *s = t->self;
    int rc = note_data(t, a, err);
    if (rc < 0 || t->plan->form != EH_BBQ_LETTERS)
        return rc;
    double sum[EH_BBQ_N_COLUMN];
    rc = eh_bbq_count(&s->set, s->answer, EH_BBQ_ALL, sum, err);
    if (rc < 0)
        return rc;
    const double n = sum[EH_BBQ_C_ORDER_N], changed = sum[EH_BBQ_C_ORDER_CHANGED];
    if (t->plan->orders->n == 1) {
        t->warning = "one order only: how much of this is position is not known (--orders cyclic)";
    } else if (n > 0.0 && changed / n > 0.5) {
        t->warning = "position effect above 50 %: the model answers by place, not by content; see --answer text_pmi";
        rc = eh_audit_add_note(a, err,
                               "%s: %.0f %% of the answers change with the order of the options: by letters this "
                               "model answers by position. Scores near 0 do not mean it is unbiased; ask again "
                               "with --answer text_pmi.",
                               t->kind->task, 100.0 * changed / n);
    }
    return rc;
}

/* ---- The harness's way ------------------------------------------------------------------------------- */

static int harness_ask(eh_audit_task *t, int64_t i, eh_ask *a, int64_t *number, eh_err *err)
{
    const bbq_self *s = t->self;
    const eh_bbq_item *q = &s->set.item[i];
    const eh_bbq_harness h = eh_bbq_harness_of(q);
    eh_buf prompt = {0}, choice = {0};
    int rc = eh_bbq_prompt_harness(q, &prompt, err);
    for (int k = 0; k < EH_BBQ_HARNESS_CHOICES && rc == EH_OK; k++) {
        eh_buf_reset(&choice);
        eh_buf_char(&choice, ' ');
        eh_buf_str(&choice, h.choice[k]);
        rc = eh_buf_check(&choice, "a continuation", err);
        if (rc == EH_OK)
            rc = eh_ask_pair(a, eh_buf_get(&prompt), eh_buf_get(&choice), &number[k], err);
    }
    eh_buf_clear(&prompt);
    eh_buf_clear(&choice);
    return rc;
}

static int harness_record(const eh_audit_task *t, int64_t i, const eh_ask *a, const int64_t *number, eh_jsonw *w,
                          eh_err *err)
{
    const bbq_self *s = t->self;
    const eh_bbq_harness h = eh_bbq_harness_of(&s->set.item[i]);
    double ll[EH_BBQ_HARNESS_CHOICES];
    int8_t choice;
    put_item(t, i, w);
    if (!fits(number, EH_BBQ_HARNESS_CHOICES)) {
        eh_jsonw_text(w, "skipped", "longer than the model's context");
        return EH_OK;
    }
    for (int k = 0; k < EH_BBQ_HARNESS_CHOICES; k++)
        ll[k] = eh_ask_sum(a, number[k]);
    const int rc = eh_bbq_harness_pick(ll, &choice, err);
    if (rc < 0)
        return eh_fail_in(err, rc, "item %lld", (long long)i);
    eh_jsonw_doubles(w, "ll", ll, EH_BBQ_HARNESS_CHOICES);
    eh_jsonw_int(w, "choice", choice);
    eh_jsonw_int(w, "pick", h.option[choice]);
    eh_jsonw_int(w, "acc", h.target >> choice & 1);
    return EH_OK;
}

static int harness_read(eh_audit_task *t, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    bbq_self *s = t->self;
    double ll[EH_BBQ_HARNESS_CHOICES];
    if (json_object_get(r, "skipped") != NULL) {
        s->n_too_long++;
        return EH_OK;
    }
    const int rc = eh_audit_get_numbers(r, "ll", where, EH_BBQ_HARNESS_CHOICES, ll, err);
    return rc == EH_OK ? eh_bbq_harness_pick(ll, &s->choice[i], err) : rc;
}

static int harness_sheet(const eh_audit_task *t, int64_t k, eh_sheet *out, const char **name, eh_err *err)
{
    const bbq_self *s = t->self;
    if (k > s->set.n_family)
        return EH_AUDIT_LAST;
    *name = k == 0 ? "all" : s->set.family[k - 1];
    if (k > 0 && !takes_part(t, -1, (int32_t)(k - 1)))
        return EH_AUDIT_NO_SHEET;
    return eh_bbq_harness_sheet(&s->set, s->choice, (eh_bbq_part){-1, (int32_t)(k - 1)}, out, err);
}

static int harness_note(eh_audit_task *t, eh_audit *a, eh_err *err)
{
    return note_data(t, a, err);
}

const eh_audit_kind eh_audit_bbq = {"bbq", load_bbq, cluster, hash, ask, record, read, sheet, note, shows, look,
                                    measure, clear};
const eh_audit_kind eh_audit_probes = {"probes", load_probes, cluster, hash, ask, record, read, sheet, note, shows,
                                       look, measure, clear};
const eh_audit_kind eh_audit_bbq_harness = {
    "bbq_harness", load_harness,  cluster,      hash, harness_ask, harness_record, harness_read,
    harness_sheet, harness_note, NULL,         NULL, NULL,        clear};
