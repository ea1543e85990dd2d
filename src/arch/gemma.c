/*
 * Gemma 2: norms (1 + w) before and behind attention and MLP, soft caps on scores and logits, every other layer with a
 * window. Gemma 3 (its text part): norms of query and key heads instead of caps, five layers with a window to one
 * without, each kind with rotary positions of its own.
 * Source   Gemma Team 2024 (arXiv:2408.00118), 2025 (arXiv:2503.19786); transformers' modeling_gemma2.py,
 *          modeling_gemma3.py
 */
#include <math.h>

#include "arch/family.h"

static const char *const names[EH_N_SLOT] = {
    [EH_SLOT_EMBED] = "model.embed_tokens",
    [EH_SLOT_LM_HEAD] = "lm_head",
    [EH_SLOT_FINAL_NORM] = "model.norm",
    [EH_SLOT_NORM + EH_NORM_ATTN] = "model.layers.%.input_layernorm",
    [EH_SLOT_NORM + EH_NORM_POST_ATTN] = "model.layers.%.post_attention_layernorm",
    [EH_SLOT_NORM + EH_NORM_MLP] = "model.layers.%.pre_feedforward_layernorm",
    [EH_SLOT_NORM + EH_NORM_POST_MLP] = "model.layers.%.post_feedforward_layernorm",
    [EH_SLOT_NORM + EH_NORM_Q] = "model.layers.%.self_attn.q_norm",
    [EH_SLOT_NORM + EH_NORM_K] = "model.layers.%.self_attn.k_norm",
    [EH_SLOT_Q] = "model.layers.%.self_attn.q_proj",
    [EH_SLOT_K] = "model.layers.%.self_attn.k_proj",
    [EH_SLOT_V] = "model.layers.%.self_attn.v_proj",
    [EH_SLOT_O] = "model.layers.%.self_attn.o_proj",
    [EH_SLOT_GATE] = "model.layers.%.mlp.gate_proj",
    [EH_SLOT_UP] = "model.layers.%.mlp.up_proj",
    [EH_SLOT_DOWN] = "model.layers.%.mlp.down_proj",
};

static const eh_arch_key keys[] = {
    {EH_FIELD(activation), EH_KEY_ACTIVATION, "hidden_activation", NULL, 0, 0, false},
    {EH_FIELD(norm_eps), EH_KEY_REAL, "rms_norm_eps", NULL, 0, 1, false},
    {EH_FIELD(rope[0].theta), EH_KEY_REAL, "rope_theta", NULL, 1, 1e12, false},
    {EH_FIELD(rope[1].theta), EH_KEY_REAL, "rope_local_base_freq", NULL, 1, 1e12, false},
    {EH_FIELD(attn_softcap), EH_KEY_REAL, "attn_logit_softcapping", NULL, 1e-6, 1e6, false},
    {EH_FIELD(final_softcap), EH_KEY_REAL, "final_logit_softcapping", NULL, 1e-6, 1e6, false},
    {EH_FIELD(tied), EH_KEY_BOOL, "tie_word_embeddings", NULL, 0, 0, false},
    {EH_FIELD(qkv_bias), EH_KEY_BOOL, "attention_bias", NULL, 0, 0, false},
    {EH_FIELD(o_bias), EH_KEY_BOOL, "attention_bias", NULL, 0, 0, false},
    {0},
};

static int read_more(const eh_keys *k, eh_config *c, eh_err *err)
{
    double scalar = 256.0;
    const int rc = eh_keys_real(k, "query_pre_attn_scalar", 1e-6, 1e6, false, &scalar, err);
    c->attn_scale = 1.0 / sqrt(scalar);
    c->embed_scale = sqrt((double)c->d_model);
    if (json_is_null(json_object_get(k->json, "attn_logit_softcapping"))) /* null is none; missing is the default */
        c->attn_softcap = 0.0;
    if (json_is_null(json_object_get(k->json, "final_logit_softcapping")))
        c->final_softcap = 0.0;
    return rc;
}

static int read_gemma3(const eh_keys *k, eh_config *c, eh_err *err)
{
    static const char *const kinds[EH_ROPES] = {"full_attention", "sliding_attention"};
    const json_t *ropes = json_object_get(k->json, "rope_parameters"); /* transformers 5: one for each kind */
    int64_t pattern = c->arch->full_every;
    bool both_ways = false;
    int rc = read_more(k, c, err);
    if (rc == EH_OK)
        rc = eh_keys_bool(k, "use_bidirectional_attention", false, &both_ways, err);
    if (rc == EH_OK)
        rc = eh_keys_int(k, "sliding_window_pattern", 1, EH_SHAPE_MAX, false, &pattern, err);
    if (rc == EH_OK && both_ways)
        return eh_fail(err, EH_ENOSUP, "%s: use_bidirectional_attention is not supported", k->where);
    if (rc == EH_OK && pattern != c->arch->full_every && !eh_keys_has(k, "layer_types"))
        return eh_fail(err, EH_ENOSUP, "%s: sliding_window_pattern %lld without layer_types is not supported; %lld is",
                       k->where, (long long)pattern, (long long)c->arch->full_every);
    for (int i = 0; i < EH_ROPES && rc == EH_OK; i++) {
        const json_t *o = json_object_get(ropes, kinds[i]);
        if (json_is_object(o))
            rc = eh_rope_read(o, k->where, &c->rope[i], &c->d_rot, err);
    }
    return rc;
}

const eh_arch eh_arch_gemma2 = {
    .name = "Gemma 2",
    .model_type = {"gemma2"},
    .folder = {.name = names, .takes_o_bias = true},
    .o_bias_key = "attention_bias",
    .key = {eh_shape_keys, keys},
    .activations = 1u << EH_ACT_GELU_TANH,
    .windows = EH_WINDOW_ALWAYS,
    .full_every = 2,
    .more = read_more,
    .start = {.n_ctx = 8192,
              .norm = EH_NORM_RMS_PLUS1,
              .norm_eps = 1e-6,
              .order = EH_BLOCK_SANDWICH,
              .activation = EH_ACT_GELU_TANH,
              .gated = true,
              .attn_softcap = 50.0,
              .final_softcap = 30.0,
              .tied = true,
              .window = 4096,
              .rope = {{.theta = 1e4}}},
};

const eh_arch eh_arch_gemma3 = {
    .name = "Gemma 3",
    .model_type = {"gemma3_text"},
    .folder = {.name = names, .takes_o_bias = true},
    .o_bias_key = "attention_bias",
    .key = {eh_shape_keys, keys},
    .activations = 1u << EH_ACT_GELU_TANH,
    .windows = EH_WINDOW_ALWAYS,
    .full_every = 6,
    .sliding_rope = 1,
    .more = read_gemma3,
    .start = {.n_ctx = 131072,
              .norm = EH_NORM_RMS_PLUS1,
              .norm_eps = 1e-6,
              .qk_norm = EH_QK_NORM_HEAD,
              .order = EH_BLOCK_SANDWICH,
              .activation = EH_ACT_GELU_TANH,
              .gated = true,
              .tied = true,
              .window = 4096,
              .rope = {{.theta = 1e6}, {.theta = 1e4}}},
};
