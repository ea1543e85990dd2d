/*
 * Llama 1 to 3.x, and what most families have from it.
 * Source   Touvron et al. 2023 (arXiv:2302.13971); transformers' modeling_llama.py; llama.cpp's
 *          gguf-py/gguf/constants.py
 */
#include "arch/family.h"

const char *const eh_llama_names[EH_N_SLOT] = {
    [EH_SLOT_EMBED] = "model.embed_tokens",
    [EH_SLOT_LM_HEAD] = "lm_head",
    [EH_SLOT_FINAL_NORM] = "model.norm",
    [EH_SLOT_NORM + EH_NORM_ATTN] = "model.layers.%.input_layernorm",
    [EH_SLOT_NORM + EH_NORM_MLP] = "model.layers.%.post_attention_layernorm",
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

const char *const eh_gguf_names[EH_N_SLOT] = {
    [EH_SLOT_EMBED] = "token_embd",
    [EH_SLOT_LM_HEAD] = "output",
    [EH_SLOT_FINAL_NORM] = "output_norm",
    [EH_SLOT_POSITION] = "position_embd",
    [EH_SLOT_NORM + EH_NORM_ATTN] = "blk.%.attn_norm",
    [EH_SLOT_NORM + EH_NORM_MLP] = "blk.%.ffn_norm",
    [EH_SLOT_NORM + EH_NORM_Q] = "blk.%.attn_q_norm",
    [EH_SLOT_NORM + EH_NORM_K] = "blk.%.attn_k_norm",
    [EH_SLOT_NORM + EH_NORM_POST_ATTN] = "blk.%.post_attention_norm",
    [EH_SLOT_NORM + EH_NORM_POST_MLP] = "blk.%.post_ffw_norm",
    [EH_SLOT_Q] = "blk.%.attn_q",
    [EH_SLOT_K] = "blk.%.attn_k",
    [EH_SLOT_V] = "blk.%.attn_v",
    [EH_SLOT_O] = "blk.%.attn_output",
    [EH_SLOT_GATE] = "blk.%.ffn_gate",
    [EH_SLOT_UP] = "blk.%.ffn_up",
    [EH_SLOT_DOWN] = "blk.%.ffn_down",
};

/* A GGUF's vocabulary is as large as its embedding has rows. */
const eh_arch_key eh_shape_keys[] = {
    {EH_FIELD(n_layer), EH_KEY_INT, "num_hidden_layers", "block_count", 1, EH_LAYERS_MAX, true},
    {EH_FIELD(d_model), EH_KEY_INT, "hidden_size", "embedding_length", 1, EH_SHAPE_MAX, true},
    {EH_FIELD(d_ff), EH_KEY_INT, "intermediate_size", "feed_forward_length", 1, EH_SHAPE_MAX, true},
    {EH_FIELD(n_vocab), EH_KEY_INT, "vocab_size", NULL, 1, EH_SHAPE_MAX, true},
    {EH_FIELD(n_head), EH_KEY_INT, "num_attention_heads", "attention.head_count", 1, EH_HEADS_MAX, true},
    {EH_FIELD(n_kv), EH_KEY_INT, "num_key_value_heads", "attention.head_count_kv", 1, EH_HEADS_MAX, false},
    {EH_FIELD(d_head), EH_KEY_INT, "head_dim", "attention.key_length", 1, 65536, false},
    {EH_FIELD(n_ctx), EH_KEY_INT, "max_position_embeddings", "context_length", 1, EH_CTX_MAX, false},
    {0},
};

const eh_arch_key eh_llama_keys[] = {
    {EH_FIELD(activation), EH_KEY_ACTIVATION, "hidden_act", NULL, 0, 0, false},
    {EH_FIELD(norm_eps), EH_KEY_REAL, "rms_norm_eps", "attention.layer_norm_rms_epsilon", 0, 1, false},
    {EH_FIELD(rope[0].theta), EH_KEY_REAL, "rope_theta", "rope.freq_base", 1, 1e12, false},
    {EH_FIELD(d_rot), EH_KEY_INT, NULL, "rope.dimension_count", 1, 65536, false},
    {EH_FIELD(window), EH_KEY_INT, NULL, "attention.sliding_window", 0, EH_CTX_MAX, false},
    {EH_FIELD(tied), EH_KEY_BOOL, "tie_word_embeddings", NULL, 0, 0, false},
    {0},
};

/* A GGUF's biases are those it has. */
const eh_arch_key eh_bias_keys[] = {
    {EH_FIELD(qkv_bias), EH_KEY_BOOL, "attention_bias", NULL, 0, 0, false},
    {EH_FIELD(o_bias), EH_KEY_BOOL, "attention_bias", NULL, 0, 0, false},
    {EH_FIELD(mlp_bias), EH_KEY_BOOL, "mlp_bias", NULL, 0, 0, false},
    {0},
};

const eh_arch eh_arch_llama = {
    .name = "Llama",
    .model_type = {"llama"},
    .folder = {.name = eh_llama_names, .takes_o_bias = true, .takes_mlp_bias = true},
    .gguf = {.arch = "llama",
             .name = eh_gguf_names,
             .layout = {[EH_SLOT_Q] = EH_LAYOUT_PAIRED, [EH_SLOT_K] = EH_LAYOUT_PAIRED},
             .takes_o_bias = true,
             .takes_mlp_bias = true},
    .o_bias_key = "attention_bias",
    .mlp_bias_key = "mlp_bias",
    .key = {eh_shape_keys, eh_llama_keys, eh_bias_keys},
    .activations = 1u << EH_ACT_SILU,
    .start = {.n_ctx = 2048, .norm_eps = 1e-6, .gated = true, .rope = {{.theta = 10000.0}}},
};
