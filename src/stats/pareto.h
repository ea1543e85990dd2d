/*
 * Choosing among settings by several objectives, all of them better when smaller.
 *
 *     point [n, 3]: |bias|, perplexity, loss of accuracy
 *     rc = eh_pareto(point, n, 3, on_front, err);
 *     rc = eh_pareto_choose(point, n, 3, (const double[]){INFINITY, 1.05 * before, 0.01}, &i, err);
 */
#ifndef EH_STATS_PARETO_H
#define EH_STATS_PARETO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * The points that no other is better than: none is as good in every objective and better in one. Equal
 * points are on the front together. An infinite objective is a value like any other.
 *
 * in       point [n, k]; out on_front [n]
 * Errors   EH_EINVAL n < 1 or k < 1; EH_ENUMERIC an objective is NaN, the message says which
 * Cost     n^2 k
 */
int eh_pareto(const double *point, int64_t n, int64_t k, bool *on_front, eh_err *err);

/*
 * The point with the least first objective among those with every objective at or below its ceiling
 * [k] (INFINITY: none). Among equals the next objectives decide in their order, then the place in the
 * list: the choice lies on the front. *chosen = -1 where no point is within the ceilings.
 *
 * Errors   as eh_pareto; EH_ENUMERIC a ceiling is NaN
 */
int eh_pareto_choose(const double *point, int64_t n, int64_t k, const double *ceiling, int64_t *chosen, eh_err *err);

#endif
