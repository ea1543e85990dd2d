/*
 * What a model is: the numbers of its shape, read from config.json or GGUF metadata, and the
 * family it belongs to.
 *
 * A family is a row in a table of variants (family.c): what its layers have beyond plain Llama
 * (biases, query/key norms, windows), and how its tensors are called. The forward pass knows the
 * variants, never the family's name.
 */
#ifndef EH_ARCH_CONFIG_H
#define EH_ARCH_CONFIG_H

#include "arch/arch.h"
#include "base/err.h"
#include "format/weights.h"

typedef enum eh_rope_scaling { EH_ROPE_PLAIN, EH_ROPE_LINEAR, EH_ROPE_LLAMA3, EH_ROPE_FACTORS } eh_rope_scaling;

typedef struct eh_family {
    const char *name;
    const char *model_type; /* in config.json */
    const char *gguf;       /* general.architecture; several families may share one */
    bool qkv_bias;          /* whatever the config says */
    bool qk_norm;           /* RMSNorm of each query and key head, before rotary */
    bool gguf_permutes;     /* its GGUF files store Q and K rows with rotary pairs interleaved */
    bool takes_o_bias;      /* its config.json knows attention_bias, for Q, K, V and the output */
    bool takes_mlp_bias;    /* its config.json knows mlp_bias */
    bool windows;           /* a sliding_window in config.json counts unless use_sliding_window says no */
} eh_family;

typedef struct eh_config {
    const eh_family *family;
    int64_t n_layer, d_model, d_ff, n_vocab, n_ctx;
    int64_t n_head, n_kv, d_head; /* query heads, key/value heads, channels of a head */
    int64_t d_rot;                /* channels of a head that rotate */
    eh_norm_kind norm;
    double norm_eps;
    eh_qk_norm qk_norm;
    eh_block_order order;
    eh_activation activation;
    bool gated; /* MLP: down(act(gate(x)) * up(x)), else down(act(up(x))) */
    bool qkv_bias, o_bias, mlp_bias, norm_bias;
    eh_positions positions;
    int64_t position_offset; /* learned: position p has row p + offset */
    double embed_scale;      /* embeddings times this; 1: as they are */
    double attn_scale;       /* of the dot products of queries and keys */
    double attn_softcap;     /* scores become cap * tanh(score / cap); 0: no */
    double final_softcap;    /* logits likewise */
    double logit_scale;      /* logits times this, before the cap */
    bool tied; /* the output head is the embedding */
    double rope_theta;
    eh_rope_scaling rope_scaling;
    double rope_factor, rope_low, rope_high; /* llama3 (factor: linear, too) */
    int64_t rope_original_ctx;
    int64_t window;           /* sliding window where a layer has one; 0: none has */
    int64_t window_first;     /* layers from this one on have it (Qwen 2: max_window_layers) */
    int32_t bos, eos;         /* first of each; -1: none */
    int32_t eos_list[8];      /* every token that ends a text */
    int n_eos;
} eh_config;

/* Reads and checks it. Errors name the file and the field, what was found and what was wanted. */
int eh_config_read(const eh_weights *w, eh_config *c, eh_err *err);

/* The families known, for messages and help: a table ended by a row without a name. */
extern const eh_family eh_families[];

#endif
