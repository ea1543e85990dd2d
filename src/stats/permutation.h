/* The permutation test of eh_correlate (correlation.h), which has the formula. Not for other rooms. */
#ifndef EH_STATS_PERMUTATION_H
#define EH_STATS_PERMUTATION_H

#include <stdint.h>

#include "base/err.h"
#include "stats/groups.h"
#include "stats/sample.h"

/* Fewer than this many permutations as far out as the unit, and it is looked at again. */
#define EH_PERMUTATION_FEW 20

/*
 * p and n_permutation (the rest of out is left) of the n units listed, from n_permutation permutations
 * and more for the units that need them.
 *
 * in       unit [n]; strata of s->stratum; y varies within some stratum
 * Errors   EH_ENOMEM
 */
int eh_permutation_p(const eh_sample *s, const eh_groups *strata, const int32_t *unit, int64_t n, uint64_t seed,
                     int64_t n_permutation, int n_thread, eh_correlation *out, eh_err *err);

#endif
