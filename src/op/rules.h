/*
 * The rules by which a gradient goes back through an operation: the gradient itself, or those that make relevance of
 * it. Every operation takes a set; what it does with it stands in its header. Linears, rotary positions and the
 * residual stream's sums are the same in all.
 *
 *     const eh_rule_set *r = eh_rule_set_of(EH_RULES_ATTNLRP);
 *
 * Source   AttnLRP: Achtibat et al. 2024 (arXiv 2402.05602), in the gradient form of Arras et al. 2025 (arXiv
 *          2502.15886); CP-LRP: Ali et al. 2022 (arXiv 2202.07304). The choices are those of LXT 2.1's "efficient"
 *          patches (docs/methods/attribution.md).
 */
#ifndef EH_OP_RULES_H
#define EH_OP_RULES_H

#include <stdbool.h>

#include "evenhand/score.h"

typedef struct eh_rule_set {
    bool exact_norm;            /* else 1/rms, or 1/sd, is held constant */
    bool exact_activation;      /* else f(x)/x takes the place of f'(x); the same for soft caps */
    float gate_share, up_share; /* of the product gate * up */
    float qk_share, v_share;    /* of the two products of attention */
} eh_rule_set;

/* NULL: there is no such set. */
const eh_rule_set *eh_rule_set_of(eh_rules rules);

#endif
