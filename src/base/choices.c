/* What the members of the public enums are called: the only place where their names stand. */
#include <string.h>

#include "evenhand.h"

static const eh_choice precisions[] = {
    {"auto", "f32 below 2 billion parameters, else bf16 where the processor has it", EH_PRECISION_AUTO},
    {"f32", "products in float32", EH_F32},
    {"bf16", "products in bfloat16 with float32 sums", EH_BF16},
};

static const eh_choice perplexities[] = {
    {"wanda", "disjoint windows, the tail dropped; exp of the mean over windows of the mean loss", EH_PPL_BLOCKS},
    {"sliding", "overlapping windows; each token counts once, with at least window - stride before it", EH_PPL_SLIDING},
    {"harness", "by document: every token counts once, the first after the begin-of-text token", EH_PPL_ROLLING},
};

static const eh_choice units[] = {
    {"head", "a query head of attention", EH_UNIT_HEAD},
    {"neuron", "a neuron of an MLP", EH_UNIT_NEURON},
};

static const eh_choice modes[] = {
    {"soft", "a head's queries times (1 - alpha)^2 and its output times 1 - alpha", EH_EDIT_SOFT},
    {"output", "its output alone, times 1 - alpha", EH_EDIT_OUTPUT},
    {"zero", "ablated: its output is 0", EH_EDIT_ZERO},
    {"mean", "ablated: its mean output goes into a bias", EH_EDIT_MEAN}, /* last: eh_study_run does not take it */
};

static const eh_choice splits[] = {
    {"all", "all templates", EH_SPLIT_ALL},
    {"select", "those that select units", EH_SPLIT_SELECT},
    {"tune", "those that tune an edit", EH_SPLIT_TUNE},
    {"test", "those that judge it", EH_SPLIT_TEST},
};

static const eh_choice measures[] = {
    {"auto", "the benchmark's own", EH_MEASURE_AUTO},
    {"ci", "how far the context moves the answer", EH_MEASURE_CI},
    {"ci_bias", "how far it moves it towards the biased one", EH_MEASURE_CI_BIAS},
    {"log_ratio", "log p of the biased answer less that of the other", EH_MEASURE_LOG_RATIO},
};

static const eh_choice head_stats[] = {
    {"auto", "group_attention, unless most items' groups are not found in their text: then head_effect", EH_HEAD_AUTO},
    {"group_attention", "attention from the answer position to the tokens that name the groups",
     EH_HEAD_GROUP_ATTENTION},
    {"context_attention", "attention from the answer position to the whole context", EH_HEAD_CONTEXT_ATTENTION},
    {"entropy", "entropy of the answer position's attention, nats", EH_HEAD_ENTROPY},
    {"head_norm", "length of the head's output there, times its length after the output projection", EH_HEAD_NORM},
    {"head_effect", "gradient times the head's output, summed: about what ablating it would cost", EH_HEAD_EFFECT},
    {"head_relevance", "the same with the gradient of layer-wise relevance propagation", EH_HEAD_RELEVANCE},
};

static const eh_choice selections[] = {
    {"fdr", "by a false-discovery rate", EH_SELECT_FDR},
    {"published", "by the published thresholds, |r| >= 0.2 in 30 % of the categories, without a test: for comparison "
                  "only", EH_SELECT_PUBLISHED},
};

static const eh_choice presets[] = {
    {"quick", "24, 8 and 16 items of a category to select, tune and judge; 4 settings, 5 controls, no training",
     EH_PRESET_QUICK},
    {"standard", "all items, 12 settings, 5 controls, 60 steps of calibration", EH_PRESET_STANDARD},
    {"thorough", "all items, 24 settings, 20 controls, 200 steps", EH_PRESET_THOROUGH},
};

/* eh_study_run takes all of them, eh_tune those that train something. */
#define NOT_FOR_TUNE 2
static const eh_choice groups[] = {
    {"preset", "nothing with preset quick, else edited", EH_TUNE_BY_PRESET},
    {"none", "nothing: no calibration", EH_TUNE_NONE},
    {"edited", "the tensors that hold edited units: query and output projections of layers with edited heads, the MLP "
               "of layers with edited neurons", EH_TUNE_EDITED},
    {"attention", "query, key, value and output projections of all layers", EH_TUNE_ATTENTION},
    {"norms", "the weights of all norms", EH_TUNE_NORMS},
    {"all", "everything, embedding and lm_head too", EH_TUNE_ALL},
};

static const eh_choice schedules[] = {
    {"linear", "falling to 0", EH_SCHEDULE_LINEAR},
    {"constant", "staying", EH_SCHEDULE_CONSTANT},
};

static const eh_choice betters[] = {
    {"0", "the nearer to 0, the better", EH_BETTER_ZERO},
    {"50", "the nearer to 50, the better", EH_BETTER_FIFTY},
    {"higher", "the higher, the better", EH_BETTER_HIGHER},
    {"lower", "the lower, the better", EH_BETTER_LOWER},
    {"none", "describes, does not judge", EH_BETTER_NEITHER},
};

static const eh_choice score_kinds[] = {
    {"bias", "of the bias", EH_SCORE_BIAS},
    {"utility", "of what the model can do", EH_SCORE_UTILITY},
    {"position", "of position bias", EH_SCORE_POSITION},
    {"other", "of something else", EH_SCORE_OTHER},
};

#define WITHOUT_FIRST(list, n_left_out) (list) + (n_left_out), (int)(sizeof(list) / sizeof *(list)) - (n_left_out)
#define WITHOUT_LAST(list, n_left_out) (list), (int)(sizeof(list) / sizeof *(list)) - (n_left_out)
#define WHOLE(list) WITHOUT_LAST(list, 0)

static const struct {
    const eh_choice *choice; /* [n] */
    int n;
} kinds[EH_N_CHOICE_KIND] = {
    [EH_CHOICE_PRECISION] = {WHOLE(precisions)},
    [EH_CHOICE_PERPLEXITY] = {WHOLE(perplexities)},
    [EH_CHOICE_UNIT] = {WHOLE(units)},
    [EH_CHOICE_EDIT_MODE] = {WHOLE(modes)},
    [EH_CHOICE_RUN_MODE] = {WITHOUT_LAST(modes, 1)},
    [EH_CHOICE_SPLIT] = {WHOLE(splits)},
    [EH_CHOICE_MEASURE] = {WHOLE(measures)},
    [EH_CHOICE_HEAD_STAT] = {WHOLE(head_stats)},
    [EH_CHOICE_SELECTION] = {WHOLE(selections)},
    [EH_CHOICE_PRESET] = {WHOLE(presets)},
    [EH_CHOICE_TUNE_GROUP] = {WITHOUT_FIRST(groups, NOT_FOR_TUNE)},
    [EH_CHOICE_RUN_TRAIN] = {WHOLE(groups)},
    [EH_CHOICE_SCHEDULE] = {WHOLE(schedules)},
    [EH_CHOICE_BETTER] = {WHOLE(betters)},
    [EH_CHOICE_SCORE_KIND] = {WHOLE(score_kinds)},
};

const eh_choice *eh_choices(eh_choice_kind kind, int *n)
{
    const bool there = (unsigned)kind < EH_N_CHOICE_KIND;
    *n = there ? kinds[kind].n : 0;
    return there ? kinds[kind].choice : NULL;
}

const eh_choice *eh_choice_find(eh_choice_kind kind, const char *name)
{
    int n;
    const eh_choice *c = eh_choices(kind, &n);
    for (int i = 0; name != NULL && i < n; i++)
        if (strcmp(c[i].name, name) == 0)
            return &c[i];
    return NULL;
}

const char *eh_choice_name(eh_choice_kind kind, int value)
{
    int n;
    const eh_choice *c = eh_choices(kind, &n);
    for (int i = 0; i < n; i++)
        if (c[i].value == value)
            return c[i].name;
    return NULL;
}
