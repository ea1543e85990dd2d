/* Our own questions in BBQ's form. docs/methods/bbq.md */
#include "task/bbq_form.h"
#include "task/probe.h"

static int load(eh_open_task *t, eh_err *err)
{
    eh_bbq_self *s = eh_calloc(1, (int64_t)sizeof *s);
    if (s == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a task");
    t->self = s;
    const int rc = eh_probe_load(t->o.probes, &s->set, err);
    return rc == EH_OK ? eh_bbq_form_items(t, s, err) : rc;
}

static const eh_work work[] = {EH_BBQ_FORM_WORK};

const eh_task eh_task_probes = {
    .about = {.name = "probes",
              .what = "evenhand's own questions in BBQ's form, so that an audit needs no download",
              .licence = "CC BY 4.0",
              .source = "evenhand, data/probes; form and scores after Parrish et al. 2022",
              .published = EH_PROBE_PUBLISHED,
              .files = "bbq_form.jsonl and unknown.json",
              .score = eh_bbq_score_table,
              .n_score = EH_BBQ_N_SCORE,
              .measure = "ci_bias",
              .lowers = "lean_amb",
              .beside = "pairs,utility",
              .trains = true},
    .work = work,
    .n_work = 1,
    .load = load,
    EH_BBQ_FORM_ROW,
};
