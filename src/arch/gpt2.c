/*
 * GPT-2: learned positions, layer norms with biases, a plain MLP; queries, keys and values are one tensor, and all
 * matrices lie transposed (Conv1D).
 * Source   Radford et al. 2019; transformers' modeling_gpt2.py
 */
#include "arch/family.h"

static const char *const names[EH_N_SLOT] = {
    [EH_SLOT_EMBED] = "transformer.wte",
    [EH_SLOT_LM_HEAD] = "lm_head",
    [EH_SLOT_FINAL_NORM] = "transformer.ln_f",
    [EH_SLOT_POSITION] = "transformer.wpe",
    [EH_SLOT_NORM + EH_NORM_ATTN] = "transformer.h.%.ln_1",
    [EH_SLOT_NORM + EH_NORM_MLP] = "transformer.h.%.ln_2",
    [EH_SLOT_Q] = "transformer.h.%.attn.c_attn",
    [EH_SLOT_K] = "transformer.h.%.attn.c_attn",
    [EH_SLOT_V] = "transformer.h.%.attn.c_attn",
    [EH_SLOT_O] = "transformer.h.%.attn.c_proj",
    [EH_SLOT_UP] = "transformer.h.%.mlp.c_fc",
    [EH_SLOT_DOWN] = "transformer.h.%.mlp.c_proj",
};

static const eh_arch_key keys[] = {
    {EH_FIELD(n_layer), EH_KEY_INT, "n_layer", NULL, 1, EH_LAYERS_MAX, true},
    {EH_FIELD(d_model), EH_KEY_INT, "n_embd", NULL, 1, EH_SHAPE_MAX, true},
    {EH_FIELD(d_ff), EH_KEY_INT, "n_inner", NULL, 1, EH_SHAPE_MAX, false},
    {EH_FIELD(n_vocab), EH_KEY_INT, "vocab_size", NULL, 1, EH_SHAPE_MAX, true},
    {EH_FIELD(n_head), EH_KEY_INT, "n_head", NULL, 1, EH_HEADS_MAX, true},
    {EH_FIELD(n_ctx), EH_KEY_INT, "n_positions", NULL, 1, EH_CTX_MAX, false},
    {EH_FIELD(activation), EH_KEY_ACTIVATION, "activation_function", NULL, 0, 0, false},
    {EH_FIELD(norm_eps), EH_KEY_REAL, "layer_norm_epsilon", NULL, 0, 1, false},
    {EH_FIELD(tied), EH_KEY_BOOL, "tie_word_embeddings", NULL, 0, 0, false},
    {0},
};

static int read_more(const eh_keys *k, eh_config *c, eh_err *err)
{
    bool scaled = true, by_layer = false;
    int rc = eh_keys_bool(k, "scale_attn_weights", false, &scaled, err);
    if (rc == EH_OK)
        rc = eh_keys_bool(k, "scale_attn_by_inverse_layer_idx", false, &by_layer, err);
    if (rc == EH_OK && by_layer)
        rc = eh_fail(err, EH_ENOSUP, "%s: scale_attn_by_inverse_layer_idx is not supported", k->where);
    if (!scaled)
        c->attn_scale = 1.0;
    if (c->d_ff == 0)
        c->d_ff = 4 * c->d_model;
    return rc;
}

const eh_arch eh_arch_gpt2 = {
    .name = "GPT-2",
    .model_type = {"gpt2"},
    .prefix = "transformer.",
    .folder = {.name = names,
               .layout = {[EH_SLOT_Q] = EH_LAYOUT_TRANSPOSED,
                          [EH_SLOT_K] = EH_LAYOUT_TRANSPOSED,
                          [EH_SLOT_V] = EH_LAYOUT_TRANSPOSED,
                          [EH_SLOT_O] = EH_LAYOUT_TRANSPOSED,
                          [EH_SLOT_UP] = EH_LAYOUT_TRANSPOSED,
                          [EH_SLOT_DOWN] = EH_LAYOUT_TRANSPOSED}},
    .key = {keys},
    .activations = 1u << EH_ACT_GELU_TANH | 1u << EH_ACT_GELU | 1u << EH_ACT_RELU | 1u << EH_ACT_SILU,
    .more = read_more,
    .start = {.n_ctx = 1024,
              .norm = EH_NORM_LAYER,
              .norm_eps = 1e-5,
              .norm_bias = true,
              .activation = EH_ACT_GELU_TANH,
              .qkv_bias = true,
              .o_bias = true,
              .mlp_bias = true,
              .positions = EH_POS_LEARNED,
              .tied = true},
};
