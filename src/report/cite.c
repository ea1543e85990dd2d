#include "report/cite.h"

#include <math.h>
#include <string.h>

static bool statistic_is(const eh_record *r, const char *name)
{
    return r->locate.statistic != NULL && strcmp(r->locate.statistic, name) == 0;
}

static bool heads(const eh_record *r)
{
    return r->locate.given;
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

typedef struct method {
    const char *used_for, *work;
    bool (*is_used)(const eh_record *r);
} method;

/* The first stands before the works of the benchmarks, the others behind them. */
static const method methods[] = {
    {"localising by Context Influence, soft pruning, calibration",
     "Hossain, Raj, Zhu, Lin, Marasco: Toward Inclusive Language Models: Sparsity-Driven Calibration for Systematic "
     "and Interpretable Mitigation of Social Biases in LLMs. Findings of EMNLP 2025, 2475-2508.",
     heads},
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
#define N_METHOD ((int64_t)(sizeof methods / sizeof *methods))

const char *const *eh_cited(const eh_record *r, eh_words *w, int64_t *n)
{
    const char **items = eh_new(&w->mem, const char *, N_METHOD + r->n_citation);
    *n = 0;
    w->starved |= items == NULL;
    for (int64_t i = 0; items != NULL && i < N_METHOD; i++) {
        if (methods[i].is_used(r))
            items[(*n)++] = eh_say(w, "%s (%s)", methods[i].work, methods[i].used_for);
        for (int64_t k = 0; k < r->n_citation && i == 0; k++)
            items[(*n)++] = eh_say(w, "%s (%s)", r->citation[k].work, r->citation[k].used_for);
    }
    return items;
}
