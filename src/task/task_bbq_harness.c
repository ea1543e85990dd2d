/* BBQ's questions as lm-evaluation-harness asks them: twelve continuations compared. docs/methods/bbq.md */
#include "task/bbq_form.h"

static int ask(eh_open_task *t, int64_t i, eh_ask *a, int64_t *number, eh_err *err)
{
    const eh_bbq_self *s = t->self;
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

static int record(const eh_open_task *t, int64_t i, const eh_ask *a, const int64_t *number, eh_jsonw *w, eh_err *err)
{
    const eh_bbq_self *s = t->self;
    const eh_bbq_harness h = eh_bbq_harness_of(&s->set.item[i]);
    double ll[EH_BBQ_HARNESS_CHOICES];
    int8_t choice;
    eh_bbq_form_put_item(t, i, w);
    if (eh_task_too_long(number, EH_BBQ_HARNESS_CHOICES)) {
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

static int read(eh_open_task *t, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    eh_bbq_self *s = t->self;
    double ll[EH_BBQ_HARNESS_CHOICES];
    if (json_object_get(r, "skipped") != NULL) {
        s->n_too_long++;
        return EH_OK;
    }
    const int rc = eh_task_get_numbers(r, "ll", where, EH_BBQ_HARNESS_CHOICES, ll, err);
    return rc == EH_OK ? eh_bbq_harness_pick(ll, &s->choice[i], err) : rc;
}

static int sheet(const eh_open_task *t, int64_t k, eh_sheet *out, const char **category, eh_err *err)
{
    const eh_bbq_self *s = t->self;
    if (k > s->set.n_family)
        return EH_TASK_LAST;
    *category = k == 0 ? "all" : s->set.family[k - 1];
    if (k > 0 && !eh_bbq_form_takes_part(t, (eh_bbq_part){-1, (int32_t)(k - 1)}))
        return EH_TASK_NO_SHEET;
    return eh_bbq_harness_sheet(&s->set, s->choice, (eh_bbq_part){-1, (int32_t)(k - 1)}, out, err);
}

static const eh_work work[] = {
    EH_BBQ_FORM_WORK,
    {"the second convention for BBQ", "EleutherAI: lm-evaluation-harness 0.4, task bbq."},
};

const eh_task eh_task_bbq_harness = {
    .about = {.name = "bbq_harness",
              .what = "the same questions as lm-evaluation-harness asks them: options hidden, twelve continuations "
                      "compared",
              .licence = "CC BY 4.0",
              .source =
                  "the questions: Parrish et al. 2022; the convention: EleutherAI lm-evaluation-harness 0.4, task bbq",
              .published = "https://github.com/nyu-mll/BBQ (data/*.jsonl)",
              .files = "<Category>.jsonl, plain or .gz",
              .needs = EH_NEEDS_DATA,
              .score = eh_bbq_harness_table,
              .n_score = EH_BBQ_N_HARNESS_SCORE},
    .work = work,
    .n_work = 2,
    .load = eh_bbq_form_load,
    .hash = eh_bbq_form_hash,
    .ask = ask,
    .record = record,
    .read = read,
    .sheet = sheet,
    .note = eh_bbq_form_note_data,
    .clear = eh_bbq_form_clear,
};
