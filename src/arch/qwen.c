/*
 * Qwen 2 and 2.5: Llama with biases of queries, keys and values. Qwen 3: without them, with norms of query and key
 * heads. Either may have a sliding window from some layer on; both configs' default for that layer is 28.
 * Source   transformers' modeling_qwen2.py, modeling_qwen3.py
 */
#include "arch/family.h"

/* Queries, keys and values have theirs whatever the config says. */
static const eh_arch_key qwen2_bias_keys[] = {
    {EH_FIELD(o_bias), EH_KEY_BOOL, "attention_bias", NULL, 0, 0, false},
    {EH_FIELD(mlp_bias), EH_KEY_BOOL, "mlp_bias", NULL, 0, 0, false},
    {0},
};

const eh_arch eh_arch_qwen2 = {
    .name = "Qwen 2",
    .model_type = {"qwen2"},
    .folder = {.name = eh_llama_names},
    .gguf = {.arch = "qwen2", .name = eh_gguf_names},
    .key = {eh_shape_keys, eh_llama_keys, qwen2_bias_keys},
    .activations = 1u << EH_ACT_SILU,
    .windows = EH_WINDOW_SWITCHED,
    .window_first = 28,
    .start = {.n_ctx = 2048, .norm_eps = 1e-6, .gated = true, .qkv_bias = true, .rope = {{.theta = 10000.0}}},
};

const eh_arch eh_arch_qwen3 = {
    .name = "Qwen 3",
    .model_type = {"qwen3"},
    .folder = {.name = eh_llama_names, .takes_o_bias = true},
    .gguf = {.arch = "qwen3", .name = eh_gguf_names},
    .o_bias_key = "attention_bias",
    .key = {eh_shape_keys, eh_llama_keys, eh_bias_keys},
    .activations = 1u << EH_ACT_SILU,
    .windows = EH_WINDOW_SWITCHED,
    .window_first = 28,
    .start = {.n_ctx = 2048,
              .norm_eps = 1e-6,
              .gated = true,
              .qk_norm = EH_QK_NORM_HEAD,
              .rope = {{.theta = 10000.0}}},
};
