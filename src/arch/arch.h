/*
 * What models differ in, each difference a field that loading, the forward pass, the backward pass, edits and saving
 * go by; none of them knows a family's name. A family is one row of eh_archs (families.c): what its layers are made of,
 * where its config says so, what its tensors are called. docs/families.md tells how to add one.
 *
 *     const eh_arch *a = eh_arch_of(EH_WEIGHTS_SAFETENSORS, EH_STR("llama"));     NULL: not known
 *     for (int i = 0; eh_archs[i] != NULL; i++) ... eh_archs[i]->name ...
 */
#ifndef EH_ARCH_ARCH_H
#define EH_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "format/kinds.h"

typedef struct eh_arch eh_arch;

/* ---- What a model is made of ---------------------------------------------------------------------- */

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
    EH_BLOCK_POST      /* x = post(x + f(x)); no norm after the last block */
} eh_block_order;

typedef enum eh_linear_role {
    EH_LINEAR_QKV,  /* queries, keys, values */
    EH_LINEAR_O,    /* the attention's output */
    EH_LINEAR_UP,   /* into the MLP: gate and up, or up alone */
    EH_LINEAR_DOWN, /* out of it */
    EH_N_LINEAR
} eh_linear_role;

typedef enum eh_norm_role {
    EH_NORM_ATTN, /* before the attention */
    EH_NORM_MLP,  /* before the MLP */
    EH_NORM_Q,    /* of queries */
    EH_NORM_K,    /* of keys */
    EH_NORM_POST_ATTN, /* of what the attention adds; of the sum in a post-norm block */
    EH_NORM_POST_MLP,
    EH_N_NORM
} eh_norm_role;

/* What is stored of a model. Those that share a tensor are slices of its outputs in this order. */
typedef enum eh_slot {
    EH_SLOT_EMBED, EH_SLOT_LM_HEAD, EH_SLOT_FINAL_NORM,
    EH_SLOT_POSITION, /* the table of learned positions */
    EH_SLOT_NORM,     /* + eh_norm_role; of a layer, as all that follow */
    EH_SLOT_Q = EH_SLOT_NORM + EH_N_NORM,
    EH_SLOT_K, EH_SLOT_V, EH_SLOT_O, EH_SLOT_GATE, EH_SLOT_UP, EH_SLOT_DOWN,
    EH_N_SLOT
} eh_slot;

/* How a weight lies in its file; without any of these it is [outputs, inputs]. */
enum {
    EH_LAYOUT_TRANSPOSED = 1, /* [inputs, outputs] */
    EH_LAYOUT_PAIRED = 2      /* rows of a head are stored with rotary pairs interleaved: llama.cpp's Q and K */
};

/* ---- What a config says --------------------------------------------------------------------------- */

typedef enum eh_rope_scaling { EH_ROPE_PLAIN, EH_ROPE_LINEAR, EH_ROPE_LLAMA3, EH_ROPE_FACTORS } eh_rope_scaling;

typedef struct eh_rope {
    double theta;
    eh_rope_scaling scaling;
    double factor, low, high; /* llama3 (factor: linear, too) */
    int64_t original_ctx;
} eh_rope;

#define EH_ROPES 2 /* kinds of rotary positions in one model, at most */

/* What layers of one model differ in. */
typedef struct eh_layer_plan {
    int64_t window; /* a token sees itself and the window - 1 before it; 0: all */
    int rope;       /* which of the config's; -1: this layer has no rotary positions */
} eh_layer_plan;

typedef struct eh_config {
    const eh_arch *arch;
    eh_weights_kind kind; /* of the files it was read from */
    bool bare;            /* their tensors lack the row's prefix */
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
    eh_rope rope[EH_ROPES];
    int64_t window;             /* of the layers that have one; 0: none has */
    const eh_layer_plan *layer; /* [n_layer] */
    int32_t bos, eos;         /* first of each; -1: none */
    int32_t eos_list[8];      /* every token that ends a text */
    int n_eos;
} eh_config;

/* ---- A family ------------------------------------------------------------------------------------- */

typedef enum eh_key_type {
    EH_KEY_INT,       /* int64_t, low to high */
    EH_KEY_REAL,      /* double, low to high */
    EH_KEY_BOOL,      /* bool */
    EH_KEY_ACTIVATION /* eh_activation, by name; one of the row's */
} eh_key_type;

/* A field of eh_config that is a plain key of config.json, of a GGUF's metadata (behind "ARCHITECTURE."), or of both.
 * A key that is not there leaves the field as the row starts it. */
typedef struct eh_arch_key {
    size_t at; /* offsetof(eh_config, ...) */
    eh_key_type type;
    const char *json, *gguf; /* NULL: that format does not say */
    double low, high;
    bool required;
} eh_arch_key;

/* One format's files. */
typedef struct eh_arch_files {
    const char *arch;        /* GGUF: general.architecture; NULL: has none of its own */
    const char *const *name; /* [EH_N_SLOT] without ".weight" and ".bias"; "%": the layer's number; NULL: not stored */
    uint8_t layout[EH_N_SLOT];
    bool takes_o_bias, takes_mlp_bias; /* readers of the format take a bias at the attention's output, in the MLP, that
                                          the model did not have */
} eh_arch_files;

typedef enum eh_window_rule {
    EH_WINDOW_NEVER,    /* whatever the config carries along */
    EH_WINDOW_SWITCHED, /* where "use_sliding_window" is true */
    EH_WINDOW_ALWAYS    /* unless it is false */
} eh_window_rule;

typedef struct eh_keys eh_keys; /* a config in either format: arch/keys.h */

struct eh_arch {
    const char *name;           /* for people */
    const char *model_type[3];  /* of config.json; ended by NULL */
    const char *prefix;         /* of tensor names in a folder, which some files leave out; NULL: all have it */
    eh_arch_files folder, gguf;
    const char *o_bias_key, *mlp_bias_key; /* of config.json: what says that there is such a bias; NULL: nothing does */
    const eh_arch_key *key[4];  /* tables ended by a key without a name; ended by NULL */
    unsigned activations;       /* that the family may have: 1u << EH_ACT_... */
    eh_window_rule windows;     /* of config.json's "sliding_window" */
    int64_t window_first;       /* without "layer_types": layers from this one on have the window, */
    int64_t full_every;         /* but every so many-th sees all; 0: none does */
    int sliding_rope;           /* the rotary positions of layers with a window */
    /* What is no plain key. Called after all else is read, before it is checked. NULL: nothing. */
    int (*more)(const eh_keys *k, eh_config *c, eh_err *err);
    eh_config start; /* what the family fixes, and what it is where the config does not say; 0: d_rot and d_head follow
                        from the rest, n_kv is n_head, attn_scale is 1 / sqrt(d_head), the other scales are 1 */
};

extern const eh_arch *const eh_archs[]; /* ended by NULL */
/* By config.json's "model_type" or GGUF's "general.architecture". */
const eh_arch *eh_arch_of(eh_weights_kind kind, eh_str name);

#endif
