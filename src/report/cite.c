#include "report/cite.h"

#include <math.h>
#include <string.h>

static bool has_task(const eh_record *r, const char *start)
{
    for (int64_t i = 0; i < r->n_row; i++)
        if (strncmp(r->row[i].task, start, strlen(start)) == 0)
            return true;
    return false;
}

static bool statistic_is(const eh_record *r, const char *name)
{
    return r->locate.statistic != NULL && strcmp(r->locate.statistic, name) == 0;
}

static bool heads(const eh_record *r)
{
    return r->locate.given;
}

static bool questions(const eh_record *r)
{
    return has_task(r, "bbq") || has_task(r, "probes");
}

static bool harness(const eh_record *r)
{
    return has_task(r, "bbq_harness");
}

static bool pairs(const eh_record *r)
{
    return has_task(r, "pairs") || has_task(r, "crows");
}

static bool stereoset(const eh_record *r)
{
    return has_task(r, "stereoset");
}

static bool winobias(const eh_record *r)
{
    return has_task(r, "winobias");
}

static bool winogender(const eh_record *r)
{
    return has_task(r, "winogender");
}

static bool hellaswag(const eh_record *r)
{
    return has_task(r, "hellaswag");
}

static bool knowledge(const eh_record *r)
{
    return has_task(r, "mmlu") || has_task(r, "utility");
}

static bool gradient(const eh_record *r)
{
    return statistic_is(r, "head_effect");
}

static bool relevance(const eh_record *r)
{
    return statistic_is(r, "head_relevance");
}

static bool halves(const eh_record *r)
{
    return r->locate.given && !isnan(r->locate.split_half);
}

static bool many_tests(const eh_record *r)
{
    for (int64_t i = 0; i < r->n_row; i++)
        if (!isnan(r->row[i].difference.q))
            return true;
    return r->locate.q != NULL;
}

static bool intervals(const eh_record *r)
{
    return r->n_row > 0;
}

static bool permutation(const eh_record *r)
{
    return r->controls.n_draw > 0 || r->locate.q != NULL;
}

static bool training(const eh_record *r)
{
    return r->n_step > 0;
}

const eh_cited eh_cited_works[] = {
    {"localising by Context Influence, soft pruning, calibration",
     "Hossain, Raj, Zhu, Lin, Marasco: Toward Inclusive Language Models: Sparsity-Driven Calibration for Systematic "
     "and "
     "Interpretable Mitigation of Social Biases in LLMs. Findings of EMNLP 2025, 2475-2508.",
     heads},
    {"the form of the questions and their bias scores",
     "Parrish et al.: BBQ: A Hand-Built Bias Benchmark for Question Answering. Findings of ACL 2022.", questions},
    {"the second convention for BBQ", "EleutherAI: lm-evaluation-harness 0.4, task bbq.", harness},
    {"sentence pairs",
     "Nangia, Vania, Bhalerao, Bowman: CrowS-Pairs: A Challenge Dataset for Measuring Social Biases in Masked Language "
     "Models. EMNLP 2020.",
     pairs},
    {"StereoSet",
     "Nadeem, Bethke, Reddy: StereoSet: Measuring stereotypical bias in pretrained language models. ACL 2021.",
     stereoset},
    {"WinoBias",
     "Zhao, Wang, Yatskar, Ordonez, Chang: Gender Bias in Coreference Resolution: Evaluation and Debiasing Methods. "
     "NAACL 2018.",
     winobias},
    {"Winogender", "Rudinger, Naradowsky, Leonard, Van Durme: Gender Bias in Coreference Resolution. NAACL 2018.",
     winogender},
    {"HellaSwag",
     "Zellers, Holtzman, Bisk, Farhadi, Choi: HellaSwag: Can a Machine Really Finish Your Sentence? ACL 2019.",
     hellaswag},
    {"questions of knowledge, or their form",
     "Hendrycks et al.: Measuring Massive Multitask Language Understanding. ICLR 2021.", knowledge},
    {"gradient times output of a head: attribution patching",
     "Syed, Rager, Conmy: Attribution Patching Outperforms Automated Circuit Discovery. 2023, arXiv:2310.10348.",
     gradient},
    {"relevance of a head",
     "Achtibat et al.: AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers. ICML 2024, "
     "arXiv:2402.05602.",
     relevance},
    {"reliability from two halves",
     "Spearman: Correlation calculated from faulty data. British Journal of Psychology 3, 1910; Brown: Some "
     "experimental results in the correlation of mental abilities. Ibid.",
     halves},
    {"many tests: the false discovery rate",
     "Benjamini, Hochberg: Controlling the False Discovery Rate. Journal of the Royal Statistical Society B 57, 1995.",
     many_tests},
    {"intervals",
     "Efron: Better Bootstrap Confidence Intervals. Journal of the American Statistical Association 82, 1987.",
     intervals},
    {"p-values that are never zero",
     "Phipson, Smyth: Permutation P-values Should Never Be Zero. Statistical Applications in Genetics and Molecular "
     "Biology 9, 2010.",
     permutation},
    {"training", "Loshchilov, Hutter: Decoupled Weight Decay Regularization. ICLR 2019.", training},
};
const int eh_cited_count = (int)(sizeof eh_cited_works / sizeof eh_cited_works[0]);
