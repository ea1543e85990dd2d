/*
 * OPT: learned positions from row 2 on, ReLU, biases everywhere. Of the published sizes 350m alone has its norms behind
 * the sums, and a projection of its embeddings, which is refused.
 * Source   Zhang et al. 2022 (arXiv:2205.01068); transformers' modeling_opt.py
 */
#include "arch/family.h"

static const char *const names[EH_N_SLOT] = {
    [EH_SLOT_EMBED] = "model.decoder.embed_tokens",
    [EH_SLOT_LM_HEAD] = "lm_head",
    [EH_SLOT_FINAL_NORM] = "model.decoder.final_layer_norm",
    [EH_SLOT_POSITION] = "model.decoder.embed_positions",
    [EH_SLOT_NORM + EH_NORM_ATTN] = "model.decoder.layers.%.self_attn_layer_norm",
    [EH_SLOT_NORM + EH_NORM_MLP] = "model.decoder.layers.%.final_layer_norm",
    [EH_SLOT_NORM + EH_NORM_POST_ATTN] = "model.decoder.layers.%.self_attn_layer_norm",
    [EH_SLOT_NORM + EH_NORM_POST_MLP] = "model.decoder.layers.%.final_layer_norm",
    [EH_SLOT_Q] = "model.decoder.layers.%.self_attn.q_proj",
    [EH_SLOT_K] = "model.decoder.layers.%.self_attn.k_proj",
    [EH_SLOT_V] = "model.decoder.layers.%.self_attn.v_proj",
    [EH_SLOT_O] = "model.decoder.layers.%.self_attn.out_proj",
    [EH_SLOT_UP] = "model.decoder.layers.%.fc1",
    [EH_SLOT_DOWN] = "model.decoder.layers.%.fc2",
};

static const eh_arch_key keys[] = {
    {EH_FIELD(n_layer), EH_KEY_INT, "num_hidden_layers", NULL, 1, EH_LAYERS_MAX, true},
    {EH_FIELD(d_model), EH_KEY_INT, "hidden_size", NULL, 1, EH_SHAPE_MAX, true},
    {EH_FIELD(d_ff), EH_KEY_INT, "ffn_dim", NULL, 1, EH_SHAPE_MAX, true},
    {EH_FIELD(n_vocab), EH_KEY_INT, "vocab_size", NULL, 1, EH_SHAPE_MAX, true},
    {EH_FIELD(n_head), EH_KEY_INT, "num_attention_heads", NULL, 1, EH_HEADS_MAX, true},
    {EH_FIELD(n_ctx), EH_KEY_INT, "max_position_embeddings", NULL, 1, EH_CTX_MAX, false},
    {EH_FIELD(activation), EH_KEY_ACTIVATION, "activation_function", NULL, 0, 0, false},
    {EH_FIELD(qkv_bias), EH_KEY_BOOL, "enable_bias", NULL, 0, 0, false},
    {EH_FIELD(o_bias), EH_KEY_BOOL, "enable_bias", NULL, 0, 0, false},
    {EH_FIELD(mlp_bias), EH_KEY_BOOL, "enable_bias", NULL, 0, 0, false},
    {EH_FIELD(tied), EH_KEY_BOOL, "tie_word_embeddings", NULL, 0, 0, false},
    {0},
};

static int read_more(const eh_keys *k, eh_config *c, eh_err *err)
{
    bool before = true, affine = true, removed = false;
    int64_t embed = c->d_model;
    int rc = eh_keys_bool(k, "do_layer_norm_before", false, &before, err);
    if (rc == EH_OK)
        rc = eh_keys_bool(k, "layer_norm_elementwise_affine", false, &affine, err);
    if (rc == EH_OK)
        rc = eh_keys_bool(k, "_remove_final_layer_norm", false, &removed, err);
    if (rc == EH_OK)
        rc = eh_keys_int(k, "word_embed_proj_dim", 1, EH_SHAPE_MAX, false, &embed, err);
    if (rc < 0)
        return rc;
    if (embed != c->d_model)
        return eh_fail(err, EH_ENOSUP, "%s: word_embed_proj_dim %lld beside hidden_size %lld: a projection of the "
                       "embeddings is not supported", k->where, (long long)embed, (long long)c->d_model);
    if (!affine || (removed && before))
        return eh_fail(err, EH_ENOSUP, "%s: %s is not supported", k->where,
                       affine ? "_remove_final_layer_norm" : "layer_norm_elementwise_affine false");
    if (!before)
        c->order = EH_BLOCK_POST;
    return EH_OK;
}

const eh_arch eh_arch_opt = {
    .name = "OPT",
    .model_type = {"opt"},
    .prefix = "model.",
    .folder = {.name = names},
    .key = {keys},
    .activations = 1u << EH_ACT_RELU | 1u << EH_ACT_GELU,
    .more = read_more,
    .start = {.n_ctx = 2048,
              .norm = EH_NORM_LAYER,
              .norm_eps = 1e-5,
              .norm_bias = true,
              .activation = EH_ACT_RELU,
              .qkv_bias = true,
              .o_bias = true,
              .mlp_bias = true,
              .positions = EH_POS_LEARNED,
              .position_offset = 2,
              .tied = true},
};
