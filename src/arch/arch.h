/*
 * What models differ in, each difference a field that loading, the forward pass, the backward pass, edits and saving go by;
 * none of them knows a family's name. A family is one row of eh_archs: what its layers are made of, where its config says
 * so, what its tensors are called.
 *
 *     const eh_arch *a = eh_arch_of_config(EH_STR("llama"));       by "model_type" of config.json
 */
#ifndef EH_ARCH_ARCH_H
#define EH_ARCH_ARCH_H

#include <stdbool.h>
#include <stdint.h>

typedef enum eh_norm_kind {
    EH_NORM_RMS,       /* x / rms(x) * w */
    EH_NORM_RMS_PLUS1, /* x / rms(x) * (1 + w) */
    EH_NORM_LAYER      /* (x - mean) / sd * w, + b where there is one */
} eh_norm_kind;

typedef enum eh_activation { EH_ACT_SILU, EH_ACT_GELU, EH_ACT_GELU_TANH, EH_ACT_RELU } eh_activation;

typedef enum eh_positions {
    EH_POS_ROTARY,       /* pairs (i, i + n/2) of a head's channels turn */
    EH_POS_ROTARY_PAIRS, /* pairs (2i, 2i + 1) do */
    EH_POS_LEARNED,      /* a row of a table is added to the embedding */
    EH_POS_NONE
} eh_positions;

typedef enum eh_qk_norm {
    EH_QK_NORM_NONE,
    EH_QK_NORM_HEAD, /* each query and key head by itself, weights [d_head] */
    EH_QK_NORM_WHOLE /* all queries, and all keys, of a row as one vector */
} eh_qk_norm;

/* Where a block's norms stand: f is the attention, then the MLP. */
typedef enum eh_block_order {
    EH_BLOCK_PRE,      /* x += f(norm(x)) */
    EH_BLOCK_PARALLEL, /* x += attention(norm(x)) + mlp(norm(x)), one norm for both */
    EH_BLOCK_SANDWICH, /* x += post(f(norm(x))) */
    EH_BLOCK_BRANCH,   /* x += post(f(x)) */
    EH_BLOCK_POST      /* x = post(x + f(x)) */
} eh_block_order;

#endif
