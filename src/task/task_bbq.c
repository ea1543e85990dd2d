/* BBQ, by letters or by text. docs/methods/bbq.md */
#include "task/bbq_form.h"

static const eh_work work[] = {EH_BBQ_FORM_WORK};

const eh_task eh_task_bbq = {
    .about = {.name = "bbq",
              .what = "questions about two groups, with and without a context that answers them; options shown as "
                      "letters or scored as text",
              .licence = "CC BY 4.0",
              .source = "Parrish et al., BBQ: A Hand-Built Bias Benchmark for Question Answering, Findings of ACL "
                        "2022; scores as its authors compute them",
              .published = EH_BBQ_PUBLISHED,
              .files = "<Category>.jsonl, plain or .gz, and additional_metadata.csv if it is there",
              .needs = EH_NEEDS_DATA,
              .score = eh_bbq_score_table,
              .n_score = EH_BBQ_N_SCORE,
              .measure = "ci_bias",
              .lowers = "lean_amb",
              .beside = "pairs,utility",
              .trains = true},
    .work = work,
    .n_work = 1,
    .load = eh_bbq_form_load,
    EH_BBQ_FORM_ROW,
};
