#include "task/task.h"

#include <string.h>

const eh_task_info eh_task_table[] = {
    {
        .name = "bbq",
        .what = "questions about two groups, with and without a context that answers them; options shown as letters or "
                "scored as text",
        .score = "s_AMB, s_DIS",
        .better = EH_BETTER_ZERO,
        .licence = "CC BY 4.0",
        .citation = "Parrish et al., BBQ: A Hand-Built Bias Benchmark for Question Answering, Findings of ACL 2022; "
                    "scores as its authors compute them",
        .published = "https://github.com/nyu-mll/BBQ (data/*.jsonl, supplemental/additional_metadata.csv)",
        .files = "<Category>.jsonl, plain or .gz, and additional_metadata.csv if it is there",
    },
    {
        .name = "bbq_harness",
        .what = "the same questions as lm-evaluation-harness asks them: options hidden, twelve continuations compared",
        .score = "amb_bias_score, disamb_bias_score",
        .better = EH_BETTER_ZERO,
        .licence = "CC BY 4.0",
        .citation =
            "the questions: Parrish et al. 2022; the convention: EleutherAI lm-evaluation-harness 0.4, task bbq",
        .published = "https://github.com/nyu-mll/BBQ (data/*.jsonl)",
        .files = "<Category>.jsonl, plain or .gz",
    },
    {
        .name = "probes",
        .what = "evenhand's own questions in BBQ's form, so that an audit needs no download",
        .score = "s_AMB, s_DIS",
        .better = EH_BETTER_ZERO,
        .licence = "CC BY 4.0",
        .citation = "evenhand, data/probes; form and scores after Parrish et al. 2022",
        .published = "the data/probes folder of evenhand",
        .files = "bbq_form.jsonl and unknown.json",
    },
    {
        .name = "pairs",
        .what = "evenhand's own sentence pairs that differ in the group they name",
        .score = "percentage of pairs whose more stereotypical sentence is the likelier one",
        .better = EH_BETTER_FIFTY,
        .licence = "CC BY 4.0",
        .citation = "evenhand, data/probes; after Nangia et al., CrowS-Pairs, EMNLP 2020",
        .published = "the data/probes folder of evenhand",
        .files = "pairs.jsonl",
    },
    {
        .name = "utility",
        .what = "evenhand's own questions of plain knowledge, four choices each: what an edit must not break",
        .score = "accuracy",
        .better = EH_BETTER_HIGHER,
        .licence = "CC BY 4.0",
        .citation = "evenhand, data/probes; form after Hendrycks et al., MMLU, ICLR 2021",
        .published = "the data/probes folder of evenhand",
        .files = "utility.jsonl",
    },
    {
        .name = "items",
        .what = "items of your own: a prompt and choices, one of them biased, or one of them right",
        .score = "bias, log_ratio",
        .better = EH_BETTER_ZERO,
        .licence = "yours",
        .citation = "the file that --items names; scores as docs/methods/items.md has them",
        .published = "nowhere: --items FILE names it",
        .files = "nothing: --items FILE names it",
    },
};
const int64_t eh_task_count = (int64_t)(sizeof eh_task_table / sizeof eh_task_table[0]);

const char *eh_better_name(eh_better better)
{
    switch (better) {
    case EH_BETTER_ZERO: return "0";
    case EH_BETTER_FIFTY: return "50";
    case EH_BETTER_HIGHER: return "higher";
    case EH_BETTER_LOWER: return "lower";
    case EH_BETTER_NEITHER: return "none";
    }
    return "?";
}

const eh_task_info *eh_task_find(const char *name)
{
    for (int64_t i = 0; i < eh_task_count; i++)
        if (strcmp(eh_task_table[i].name, name) == 0)
            return &eh_task_table[i];
    return NULL;
}

int eh_task_missing(const char *task, const char *file, const char *places, eh_err *err)
{
    const eh_task_info *t = eh_task_find(task);
    return eh_fail(err, EH_ENOENT, "%s: %s is not there; looked in %s; it is published at %s", task, file, places,
                   t != NULL ? t->published : "?");
}
