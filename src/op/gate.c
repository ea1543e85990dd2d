#include "op/gate.h"

#include "base/par.h"
#include "op/row_blocks.h"

typedef struct job {
    const eh_gate *o;
    const eh_rule_set *rules;
    const float *in, *g;
    int64_t n_row;
    float *out; /* or din */
} job;

static const eh_simd_activation *kernels(const eh_gate *o)
{
    switch (o->activation) {
    case EH_ACT_GELU: return &o->simd->gelu;
    case EH_ACT_GELU_TANH: return &o->simd->gelu_tanh;
    case EH_ACT_RELU: return &o->simd->relu;
    case EH_ACT_SILU: break;
    }
    return &o->simd->silu;
}

static void run_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const job *j = ctx;
    const int64_t d = j->o->d, width = eh_gate_width(j->o->gated, d);
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, j->n_row); i++) {
        const float *in = j->in + i * width;
        kernels(j->o)->run(in, j->o->gated ? in + d : NULL, d, j->out + i * d);
    }
}

void eh_gate_run(const eh_gate *o, const float *in, int64_t n_row, float *out)
{
    job j = {.o = o, .in = in, .n_row = n_row, .out = out};
    eh_par_for(o->n_thread, eh_row_blocks(n_row), run_block, &j);
}

static void back_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const job *j = ctx;
    const eh_rule_set *r = j->rules;
    const int64_t d = j->o->d, width = eh_gate_width(j->o->gated, d);
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, j->n_row); i++) {
        const float *in = j->in + i * width;
        float *din = j->out + i * width;
        kernels(j->o)->grad(in, j->o->gated ? in + d : NULL, j->g + i * d, d, r->exact_activation, r->gate_share,
                            r->up_share, din, din + (j->o->gated ? d : 0));
    }
}

void eh_gate_back(const eh_gate *o, const eh_rule_set *r, const float *in, const float *g, int64_t n_row, float *din)
{
    job j = {.o = o, .rules = r, .in = in, .g = g, .n_row = n_row, .out = din};
    eh_par_for(o->n_thread, eh_row_blocks(n_row), back_block, &j);
}
