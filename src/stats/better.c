#include "stats/better.h"

const char *const eh_better_names[EH_N_BETTER] = {
    [EH_BETTER_ZERO] = "0",       [EH_BETTER_FIFTY] = "50",       [EH_BETTER_HIGHER] = "higher",
    [EH_BETTER_LOWER] = "lower",  [EH_BETTER_NEITHER] = "none",
};

const char *const eh_score_kind_names[EH_N_SCORE_KIND] = {
    [EH_SCORE_BIAS] = "bias",
    [EH_SCORE_UTILITY] = "utility",
    [EH_SCORE_POSITION] = "position",
    [EH_SCORE_OTHER] = "other",
};

const char *eh_better_name(eh_better better)
{
    return (unsigned)better < EH_N_BETTER ? eh_better_names[better] : "?";
}

const char *eh_score_kind_name(eh_score_kind kind)
{
    return (unsigned)kind < EH_N_SCORE_KIND ? eh_score_kind_names[kind] : "?";
}
