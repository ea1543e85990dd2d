/*
 * The model: mapped weights, their shape, the tokenizer. Once open nothing in it changes, so any number of sessions,
 * each in a thread of its own, may share it. What a call needs beside it (edits in force, packed weights, scratch,
 * counters) is a session's (model/session.h).
 *
 * The products of a layer are `linear[ROLE]`: one or several weight tensors that read the same input, stacked by rows
 * (Q, K and V; gate and up). Loading, packing, editing, training and saving go over the roles in a loop. The output
 * head is cut into slices of rows, so that neither its packing nor its logits are ever held whole.
 */
#ifndef EH_MODEL_MODEL_H
#define EH_MODEL_MODEL_H

#include "arch/config.h"
#include "base/mem.h"
#include "text/tokenizer.h"

#define EH_LINEAR_PARTS 3
#define EH_HEAD_SLICE 8192 /* rows of the output head in a slice */

typedef enum eh_linear_role {
    EH_LINEAR_QKV,  /* queries, keys, values */
    EH_LINEAR_O,    /* the attention's output */
    EH_LINEAR_UP,   /* into the MLP: gate and up */
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

/* A product's weight as the files have it. */
typedef struct eh_matrix {
    const eh_tensor *part[EH_LINEAR_PARTS]; /* each [n_out of the part, n_in] */
    bool unpermute[EH_LINEAR_PARTS];        /* rows are stored with rotary pairs interleaved */
    int n_part;
    int64_t first, n_out, n_in; /* rows first..first+n_out-1 of the stacked parts */
    float *bias;                /* [n_out] or NULL */
} eh_matrix;

typedef struct eh_layer {
    float *norm[EH_N_NORM];      /* [eh_norm_width]; NULL: the layer has no such norm */
    float *norm_bias[EH_N_NORM]; /* likewise */
    eh_matrix linear[EH_N_LINEAR];
    int64_t window; /* a token sees itself and the window - 1 before it; 0: all */
} eh_layer;

struct eh_model {
    eh_weights *weights;
    eh_config config;
    eh_tokenizer *tokenizer; /* NULL: none */
    char tokenizer_trouble[1000];
    char *path;

    const eh_tensor *embed; /* [n_vocab, d_model] */
    eh_layer *layer;        /* [n_layer] */
    const eh_tensor *position; /* [positions, d_model] learned; NULL: none */
    float *final_norm, *final_norm_bias; /* [d_model]; the bias may be NULL */
    eh_matrix *head;        /* [n_head_slice] */
    int64_t n_head_slice;
    double *rope_freq; /* [d_rot / 2] radians per position */
    int64_t n_param;
    eh_arena arena;    /* holds the above */
};

/* Numbers of a norm's weight. */
int64_t eh_norm_width(const eh_config *c, eh_norm_role role);

/* Row r of a head-wise projection in Hugging Face order lies at this row of a permuted GGUF tensor: there the two halves
 * of a head that rotate together are interleaved. And the other way round. */
int64_t eh_permuted_row(int64_t r, int64_t d_head);
int64_t eh_unpermuted_row(int64_t r, int64_t d_head);

/* Tensors found and checked against the config, matrices described, nothing packed (load.c). m has its weights and config. */
int eh_model_load(eh_model *m, eh_err *err);
/* Opens the tokenizer that the weight files bring (text.c). */
int eh_model_open_tokenizer(eh_model *m, eh_err *err);
/* EH_ENOSUP, and why there is no tokenizer, where there is none. */
int eh_model_need_tokenizer(const eh_model *m, eh_err *err);

/* What a slot of a model is called in its files: eh_model_name(m, EH_SLOT_..., layer, "weight", name). */
typedef enum eh_slot {
    EH_SLOT_EMBED, EH_SLOT_HEAD, EH_SLOT_FINAL_NORM, EH_SLOT_ATTN_NORM, EH_SLOT_MLP_NORM, EH_SLOT_Q_NORM,
        EH_SLOT_K_NORM,
    EH_SLOT_Q, EH_SLOT_K, EH_SLOT_V, EH_SLOT_O, EH_SLOT_GATE, EH_SLOT_UP, EH_SLOT_DOWN, EH_N_SLOT
} eh_slot;
#define EH_TENSOR_NAME 200
void eh_model_name(const eh_model *m, eh_slot slot, int64_t layer, const char *kind, char name[EH_TENSOR_NAME]);

#endif
