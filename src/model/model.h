/*
 * The model: mapped weights, their shape, the tokenizer. Once open nothing in it changes, so any number of sessions,
 * each in a thread of its own, may share it. What a call needs beside it (edits in force, packed weights, scratch,
 * counters) is a session's (model/session.h).
 *
 * The products of a layer are `linear[ROLE]`: one or several weight tensors that read the same input, stacked by rows
 * (Q, K and V; gate and up, or up alone). Loading, packing, editing, training and saving go over the roles in a loop,
 * and over what the config says is stored (arch/config.h). The output head is cut into slices of rows, so that neither
 * its packing nor its logits are ever held whole.
 */
#ifndef EH_MODEL_MODEL_H
#define EH_MODEL_MODEL_H

#include "arch/config.h"
#include "base/mem.h"
#include "model/layout.h"
#include "text/tokenizer.h"

#define EH_LINEAR_PARTS 3
#define EH_LM_HEAD_SLICE 8192 /* rows of the output head in a slice */

/* A product's weight as the files have it. */
typedef struct eh_matrix {
    eh_part part[EH_LINEAR_PARTS];
    int n_part;
    int64_t first, n_out, n_in; /* rows first..first+n_out-1 of the stacked parts */
    float *bias;                /* [n_out] or NULL */
} eh_matrix;

typedef struct eh_layer {
    float *norm[EH_N_NORM];      /* [eh_norm_width]; NULL: the layer has no such norm */
    float *norm_bias[EH_N_NORM]; /* likewise */
    eh_matrix linear[EH_N_LINEAR];
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
    eh_matrix *lm_head;     /* [n_lm_head_slice] */
    int64_t n_lm_head_slice;
    double *rope_freq[EH_ROPES]; /* [d_rot / 2] radians per position; NULL: no layer has them */
    int64_t n_param;
    eh_arena arena;    /* holds the above */
};

/* Numbers of a norm's weight. */
int64_t eh_norm_width(const eh_config *c, eh_norm_role role);

/* Tensors found and checked against the config, matrices described, nothing packed (load.c). m has its weights and
 * config. */
int eh_model_load(eh_model *m, eh_err *err);
/* Opens the tokenizer that the weight files bring (text.c). */
int eh_model_open_tokenizer(eh_model *m, eh_err *err);
/* EH_ENOSUP, and why there is no tokenizer, where there is none. */
int eh_model_need_tokenizer(const eh_model *m, eh_err *err);

#endif
