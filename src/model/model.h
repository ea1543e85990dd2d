/*
 * The model: mapped weights, their shape, and the layers as the forward pass wants them.
 *
 * A linear is one product: one or several weight tensors that read the same input, stacked (Q, K
 * and V; gate and up). It is packed when first needed; between batches it stays packed if it fits
 * the memory allowed, else it is dropped and packed anew for the next batch. The output head is cut
 * into slices of rows, so that neither its packing nor its logits are ever held whole.
 */
#ifndef EH_MODEL_MODEL_H
#define EH_MODEL_MODEL_H

#include "base/mem.h"
#include "op/attention.h"
#include "backend/product.h"
#include "backend/simd.h"
#include "arch/config.h"
#include "text/tokenizer.h"

#define EH_LINEAR_PARTS 3
#define EH_HEAD_SLICE 8192 /* rows of the output head in a slice */

typedef struct eh_linear {
    const eh_tensor *part[EH_LINEAR_PARTS]; /* each [n_out of the part, n_in] */
    bool unpermute[EH_LINEAR_PARTS];        /* rows are stored with rotary pairs interleaved */
    int n_part;
    int64_t first, n_out, n_in; /* rows first..first+n_out-1 of the stacked parts */
    eh_precision precision;     /* of this product; EH_F32 at both ends of a bf16 model, too */
    float *bias;                /* [n_out] or NULL */
    float *own;                 /* [n_out, n_in] or NULL: weights in place of the parts' (training), HF order */
    float *row_scale;           /* [n_out] or NULL: edits in force; bias_now is the bias under them */
    float *col_scale;           /* [n_in] or NULL */
    float *bias_now;            /* [n_out] or NULL */
    eh_packed *packed;          /* NULL: not now */
    bool keep;                  /* between batches */
} eh_linear;

typedef struct eh_layer {
    float *attn_norm, *mlp_norm; /* [d_model] */
    float *q_norm, *k_norm;      /* [d_head] or NULL */
    eh_linear qkv, o, gate_up, down;
    int64_t window; /* 0: none */
} eh_layer;

struct eh_model {
    eh_weights *weights;
    eh_config config;
    eh_tokenizer *tokenizer; /* NULL: none */
    char tokenizer_trouble[1000];
    char *path;

    eh_precision precision;
    int threads;
    int64_t batch_tokens;
    int64_t memory;    /* for kept weights, bytes */
    bool memory_given; /* by the user: generation keeps to it, too */
    bool sharing;
    const eh_product *product;
    const eh_simd *simd;

    const eh_tensor *embed; /* [n_vocab, d_model] */
    float *own_embed;       /* [n_vocab, d_model] or NULL: in place of it (training); a tied head reads it, too */
    eh_layer *layer;        /* [n_layer] */
    float *final_norm;      /* [d_model] */
    eh_linear *head;        /* [n_head_slice] */
    int64_t n_head_slice;
    double *rope_freq; /* [d_rot / 2] radians per position */
    float *rope_cos, *rope_sin; /* [n_rope_pos, d_rot / 2] */
    int64_t n_rope_pos;

    eh_unit_edit *edit; /* [n_edit] in force; means are copies of its own */
    int64_t n_edit;
    char trained[65]; /* hash of the weights that training put in place; "" if none */

    eh_arena arena;   /* lives as long as the model */
    eh_arena scratch; /* a batch's working memory; empty between calls */
    int64_t n_computed, n_asked; /* tokens */
};

/* Makes sure l is packed. Errors: EH_ENOMEM. */
int eh_linear_need(eh_model *m, eh_linear *l, eh_err *err);
void eh_linear_done(eh_linear *l); /* drops it unless it is kept */
/* Rows from..from+n-1 of a linear as it is in force (own weights, edits), f32, Hugging Face order. */
void eh_linear_rows(const eh_model *m, const eh_linear *l, int64_t from, int64_t n, float *out);
/* Gives l weights of its own, in l->own, as they are in force: edits on it become part of them. Whoever
 * changes l->own calls eh_linear_changed. */
int eh_linear_own(eh_model *m, eh_linear *l, eh_err *err);
/* Its two halves: the memory that this wants (NULL where it is there), and the change, which cannot fail. `own` is for
 * eh_block_free as long as it is not taken. */
int eh_linear_own_room(eh_model *m, const eh_linear *l, float **own, float **bias, eh_err *err);
void eh_linear_own_in(eh_model *m, eh_linear *l, float *own, float *bias);
/* The same for the embedding, and with it for the output head where that is tied. */
int eh_model_own_embed(eh_model *m, eh_err *err);
void eh_linear_changed(eh_linear *l); /* what is packed is no more true */
/* out [n_row, n_out] = x * W^T (+ bias). x is float or bfloat16 by the linear's precision. */
int eh_linear_run(eh_model *m, eh_linear *l, const void *x, int64_t n_row, float *out, eh_err *err);
/* Backwards: dx [n_row, n_in] = dy [n_row, n_out] * W + beta * dx, W as it is in force, in f32 at every precision; a
 * bias has no part in it, whatever the rules. room [eh_linear_room(l)] holds rows of W. */
int64_t eh_linear_room(const eh_linear *l);
int eh_linear_back(eh_model *m, const eh_linear *l, const float *dy, int64_t n_row, float beta, float *dx, float *room,
                   eh_err *err);

/* Which linears stay packed between batches, for this much memory (-1: all). */
void eh_model_plan_memory(eh_model *m, int64_t memory);

/* Cosines and sines for positions below n. */
int eh_model_need_rope(eh_model *m, int64_t n, eh_err *err);

/* What stands for each stored tensor, for writers and comparers:
 *
 *     for (int64_t i = 0; i < eh_model_n_stored(m); i++)
 *         if (eh_model_stored(m, i, &s))
 *             eh_stored_rows(m, &s, 0, s.n_row, out);       in force, Hugging Face order
 */
typedef enum eh_stored_kind {
    EH_STORED_NORM, EH_STORED_Q, EH_STORED_K, EH_STORED_V, EH_STORED_O, EH_STORED_GATE, EH_STORED_UP, EH_STORED_DOWN,
    EH_STORED_EMBED, EH_STORED_HEAD
} eh_stored_kind;

typedef struct eh_stored {
    eh_stored_kind kind;
    bool bias;             /* of the projection `kind`; a row of n_col numbers */
    int64_t layer;         /* -1: none */
    char name[200];        /* as the model's format calls it */
    const eh_tensor *t;    /* NULL: the file has none; an edit brought it */
    const eh_linear *l;    /* of a projection; rows first..first + n_row - 1 of it */
    int64_t first;
    bool unpermute;        /* the file has the rows in another order: eh_stored_row */
    const float *vector;   /* of a bias or a norm, in force */
    int64_t n_row, n_col;
} eh_stored;

int64_t eh_model_n_stored(const eh_model *m);
bool eh_model_stored(const eh_model *m, int64_t i, eh_stored *s); /* false: this model has no such tensor */
void eh_stored_rows(const eh_model *m, const eh_stored *s, int64_t row, int64_t n, float *out);
/* The row (of a bias: the number) that lies at `at` in the file. */
int64_t eh_stored_row(const eh_model *m, const eh_stored *s, int64_t at);
/* Some stored number of it is not what is in force. Reads the rows that an edit or a training may have changed. */
int eh_stored_changed(const eh_model *m, const eh_stored *s, bool *changed, eh_err *err);

/* Edits (edits.c). */
void eh_linear_unedit(eh_linear *l);       /* as if no edit were in force */
void eh_model_free_edits(eh_model *m);
/* Base fingerprint in `text`, replaced by one that stands for the edits and the training, too. */
int eh_model_fingerprint_edits(const eh_model *m, char text[65], eh_err *err);

/* Opens the tokenizer that the weight files bring. */
int eh_model_open_tokenizer(eh_model *m, eh_err *err);

#endif
