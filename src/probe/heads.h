/*
 * Head statistics: one number of each attention head for each request, from one pass for all.
 *
 *     eh_head_probe p = {0};
 *     rc = eh_head_probe_start(&p, m, request, set, n, err);
 *     const eh_observer o = eh_head_probe_observer(&p);
 *     rc = eh_score_observed(m, request, n, answer, &o, 1, err);
 *     p.value[...]                                       [n, EH_HEAD_N_FORWARD, n_layer * n_head]
 *     eh_head_probe_clear(&p);
 *
 *     eh_effect_probe e = {0};
 *     rc = eh_effect_probe_start(&e, m, n_goal, err);
 *     const eh_observer o = eh_effect_probe_observer(&e);
 *     rc = eh_attribute(m, goal, n_goal, EH_RULES_GRADIENT, value, &o, 1, err);
 *     e.value[...]                                       [n_goal, n_layer * n_head]
 *     eh_effect_probe_clear(&e);
 *
 * A probe that was started may be started again, for the next call.
 * docs/methods/heads.md has the formulas, and why the maximum of the attention map is not among them.
 */
#ifndef EH_PROBE_HEADS_H
#define EH_PROBE_HEADS_H

#include "base/range.h"
#include "evenhand/study.h"
#include "model/session.h"

/* ---- The statistics ----------------------------------------------------------------------------- */

/* Of an eh_head_stat; its name is an eh_choice. */
typedef struct eh_head_stat_info {
    const char *source;
    bool backward;
    eh_rules rules;     /* of the backward pass */
} eh_head_stat_info;

extern const eh_head_stat_info eh_head_stat_table[EH_HEAD_N_STAT];
const char *eh_head_stat_name(int stat);

/* ---- Forward ------------------------------------------------------------------------------------- */

/* Where to look in one request. Positions lie in 0..from-1; the answer position is from - 1. */
typedef struct eh_head_set {
    const eh_range *group; /* [n_group] tokens of the group mentions: ascending, apart from each other */
    int64_t n_group;       /* 0: not known, group_attention is NaN */
    eh_range context;      /* its tokens; empty: context_attention is NaN */
    bool skip;             /* nothing is wanted of this request: all its values are NaN */
} eh_head_set;

typedef struct eh_head_probe {
    float *value; /* [n, EH_HEAD_N_FORWARD, n_layer * n_head] of the call that was observed */
    int64_t n;

    /* private */
    const eh_session *s;
    const eh_request *request; /* [n] the caller's, till the call is over */
    const eh_head_set *set;    /* [n] likewise */
    int64_t *first, *next;     /* first[row of the batch]: who answers there, or -1; next[request]: who else */
    int64_t *row;              /* [n_answer] the batch's rows where requests answer, ascending */
    int64_t n_answer;
    float *lane, *weight;      /* for head_norm: some rows' head outputs; rows of the output projection */
    double *part;              /* and sums of squares */
    eh_arena memory;
    eh_arena_mark batch;       /* what comes after it in `memory` is the batch's */
} eh_head_probe;

/*
 * Ready for one call of eh_score_observed with these requests. Both arrays must live till then.
 * Errors   EH_EINVAL a set that lies outside its request or is not in order; EH_ENOMEM
 */
int eh_head_probe_start(eh_head_probe *p, const eh_session *s, const eh_request *request, const eh_head_set *set,
                        int64_t n, eh_err *err);
eh_observer eh_head_probe_observer(eh_head_probe *p);
void eh_head_probe_clear(eh_head_probe *p);

/* ---- Backward ------------------------------------------------------------------------------------ */

typedef struct eh_effect_probe {
    double *value; /* [n, n_layer * n_head] sum over positions and channels of value * gradient */
    int64_t n;
    const eh_session *s; /* private */
} eh_effect_probe;

/* Ready for one call of eh_attribute with n goals. */
int eh_effect_probe_start(eh_effect_probe *p, const eh_session *s, int64_t n, eh_err *err);
eh_observer eh_effect_probe_observer(eh_effect_probe *p);
void eh_effect_probe_clear(eh_effect_probe *p);

#endif
