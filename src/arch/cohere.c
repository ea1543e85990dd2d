/*
 * Cohere's Command R and Aya: attention and MLP side by side behind one layer norm without bias, rotary positions of
 * neighbouring channels, scaled logits.
 * Source   transformers' modeling_cohere.py
 */
#include "arch/family.h"

static const eh_arch_key keys[] = {
    {EH_FIELD(activation), EH_KEY_ACTIVATION, "hidden_act", NULL, 0, 0, false},
    {EH_FIELD(norm_eps), EH_KEY_REAL, "layer_norm_eps", NULL, 0, 1, false},
    {EH_FIELD(rope[0].theta), EH_KEY_REAL, "rope_theta", NULL, 1, 1e12, false},
    {EH_FIELD(logit_scale), EH_KEY_REAL, "logit_scale", NULL, 1e-6, 1e6, false},
    {EH_FIELD(tied), EH_KEY_BOOL, "tie_word_embeddings", NULL, 0, 0, false},
    {EH_FIELD(qkv_bias), EH_KEY_BOOL, "attention_bias", NULL, 0, 0, false},
    {EH_FIELD(o_bias), EH_KEY_BOOL, "attention_bias", NULL, 0, 0, false},
    {0},
};

static int read_more(const eh_keys *k, eh_config *c, eh_err *err)
{
    bool qk_norm = false;
    (void)c;
    const int rc = eh_keys_bool(k, "use_qk_norm", false, &qk_norm, err);
    if (rc == EH_OK && qk_norm)
        return eh_fail(err, EH_ENOSUP, "%s: use_qk_norm is not supported in this family", k->where);
    return rc;
}

const eh_arch eh_arch_cohere = {
    .name = "Cohere",
    .model_type = {"cohere"},
    .folder = {.name = eh_llama_names, .takes_o_bias = true},
    .o_bias_key = "attention_bias",
    .key = {eh_shape_keys, keys},
    .activations = 1u << EH_ACT_SILU,
    .more = read_more,
    .start = {.n_ctx = 8192,
              .norm = EH_NORM_LAYER,
              .norm_eps = 1e-5,
              .order = EH_BLOCK_PARALLEL,
              .gated = true,
              .positions = EH_POS_ROTARY_PAIRS,
              .logit_scale = 0.0625,
              .tied = true,
              .rope = {{.theta = 10000.0}}},
};
