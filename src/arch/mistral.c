/*
 * Mistral: Llama with a sliding window. Its GGUF files say that they are Llama's.
 * Source   Jiang et al. 2023 (arXiv:2310.06825); transformers' modeling_mistral.py
 */
#include "arch/family.h"

const eh_arch eh_arch_mistral = {
    .name = "Mistral",
    .model_type = {"mistral"},
    .folder = {.name = eh_llama_names},
    .key = {eh_shape_keys, eh_llama_keys, eh_bias_keys},
    .activations = 1u << EH_ACT_SILU,
    .windows = EH_WINDOW_ALWAYS,
    .start = {.n_ctx = 2048, .norm_eps = 1e-6, .gated = true, .rope = {{.theta = 10000.0}}},
};
