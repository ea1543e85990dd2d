/*
 * The end of a language model's output head: what becomes of its products.
 *
 *     logit = cap * tanh(scale * z / cap), or scale * z without a cap
 *
 * Back, with t = logit / cap and u = atanh(t): scale * (1 - t^2), or by the rules' identity for a cap scale * t / u.
 * Source   scale: Cohere's modeling_cohere.py; cap: Gemma 2 (arXiv 2408.00118), section 2
 *
 * Another head (a classifier's) is a file of its own beside this one.
 */
#ifndef EH_OP_HEAD_H
#define EH_OP_HEAD_H

#include "backend/simd.h"
#include "op/rules.h"

typedef struct eh_logits_of {
    const eh_simd *simd;
    float scale; /* 1: none */
    float cap;   /* 0: none */
} eh_logits_of;

/* z [n] becomes logits, in place. */
void eh_logits_run(const eh_logits_of *o, float *z, int64_t n);
/* g [n] = d/d(logit) becomes d/dz. logit [n]: those of eh_logits_run. */
void eh_logits_back(const eh_logits_of *o, const eh_rule_set *r, const float *logit, float *g, int64_t n);

#endif
