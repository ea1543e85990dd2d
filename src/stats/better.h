/*
 * Where better lies, and what a score is about: the names that records and pages have for the enums of
 * evenhand/study.h.
 *
 *     eh_better_names[EH_BETTER_FIFTY]                 "50"
 *     eh_score_kind_names[EH_SCORE_BIAS]               "bias"
 */
#ifndef EH_STATS_BETTER_H
#define EH_STATS_BETTER_H

#include "evenhand/study.h"

extern const char *const eh_better_names[EH_N_BETTER];
extern const char *const eh_score_kind_names[EH_N_SCORE_KIND];

#endif
