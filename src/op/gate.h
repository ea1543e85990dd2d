/*
 * The middle of an MLP: an activation f, gated or plain.
 *
 *     gated   a = f(gate) * up        Shazeer 2020 (arXiv 2002.05202)
 *     plain   a = f(up)
 *
 * Back: the gradient; or by the rules f(x)/x for f'(x), and the product's relevance shared between its factors
 * (backend/simd.h, eh_simd_activation).
 */
#ifndef EH_OP_GATE_H
#define EH_OP_GATE_H

#include "arch/arch.h"
#include "backend/simd.h"
#include "op/rules.h"

typedef struct eh_gate {
    const eh_simd *simd;
    int n_thread;
    eh_activation activation;
    bool gated;
    int64_t d; /* neurons */
} eh_gate;

/* Channels of a row of its input: gate and up behind one another, or up alone. */
static inline int64_t eh_gate_width(bool gated, int64_t d)
{
    return gated ? 2 * d : d;
}

/* in [n_row, eh_gate_width], out [n_row, d]. */
void eh_gate_run(const eh_gate *o, const float *in, int64_t n_row, float *out);
/* din [n_row, eh_gate_width] from g [n_row, d] = d/d(out). */
void eh_gate_back(const eh_gate *o, const eh_rule_set *r, const float *in, const float *g, int64_t n_row, float *din);

#endif
