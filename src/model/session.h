/*
 * A session: what calls on a model need beside it, and what they change.
 *
 *     eh_session *s;
 *     rc = eh_session_open(m, NULL, &s, err);          defaults: evenhand/model.h
 *     rc = eh_linear_need(s, l, err);                  l = &s->layer[i].linear[EH_LINEAR_O]
 *     rc = eh_linear_run(l, x, n_row, out, err);
 *     eh_linear_done(l);
 *
 * A linear is packed when first needed; between batches it stays packed if it fits the memory allowed, else it is
 * dropped and packed anew for the next batch. Edits are scales on rows and columns that take part when a linear is
 * expanded for packing; a training gives linears and norms weights of their own. So the model below never changes, and
 * sessions on one model do not see each other.
 */
#ifndef EH_MODEL_SESSION_H
#define EH_MODEL_SESSION_H

#include "backend/backend.h"
#include "backend/simd.h"
#include "model/model.h"

typedef struct eh_linear { /* a matrix, as it is in force in a session */
    const eh_matrix *of;
    int64_t n_out, n_in;    /* of the matrix */
    eh_precision precision; /* of this product; EH_F32 at both ends of a bf16 session, too */
    float *own;             /* [n_out, n_in] or NULL: weights in place of the parts' (training), HF order */
    float *own_bias;        /* [n_out] or NULL: in place of the matrix's */
    float *row_scale;       /* [n_out] or NULL: edits in force; bias_now is the bias under them */
    float *col_scale;       /* [n_in] or NULL */
    float *bias_now;        /* [n_out] or NULL */
    eh_packed *packed;      /* NULL: not now */
    bool keep;              /* between batches */
} eh_linear;

typedef struct eh_session_layer {
    const float *norm[EH_N_NORM], *norm_bias[EH_N_NORM]; /* the model's, or the own ones */
    float *own_norm[EH_N_NORM], *own_norm_bias[EH_N_NORM]; /* NULL: not trained */
    eh_linear linear[EH_N_LINEAR];
} eh_session_layer;

struct eh_session {
    const eh_model *m;
    eh_precision precision;
    int threads;
    int64_t batch_tokens;
    int64_t memory;    /* for kept weights, bytes */
    bool memory_given; /* by the user: generation keeps to it, too */
    bool sharing;
    eh_backend *backend; /* its own */
    const eh_simd *simd;

    eh_session_layer *layer; /* [n_layer] */
    const float *final_norm, *final_norm_bias; /* the model's, or the own ones */
    float *own_final_norm, *own_final_norm_bias;
    bool owns_norms;
    float *own_embed; /* [n_vocab, d_model] or NULL: in place of it (training); a tied head reads it, too */
    float *own_position; /* [eh_session_positions, d_model] or NULL: in place of the learned positions */
    eh_linear *lm_head;  /* [n_lm_head_slice] */
    float *rope_cos, *rope_sin; /* [EH_ROPES, n_rope_pos, d_rot / 2]; of a layer: eh_session_rope */
    int64_t n_rope_pos;

    eh_unit_edit *edit; /* [n_edit] in force; means are copies of its own */
    int64_t n_edit;
    char trained[65]; /* hash of the weights that training put in place; "" if none */

    eh_arena arena;   /* lives as long as the session */
    eh_arena scratch; /* a batch's working memory; empty between calls */
    int64_t n_computed, n_asked; /* tokens */
};

/* Another session on the same model with the same options, without edits or training. */
int eh_session_again(const eh_session *s, eh_session **out, eh_err *err);

/* ---- Linears (linear.c) --------------------------------------------------------------------------- */

/* Makes sure l is packed. Errors: EH_ENOMEM. */
int eh_linear_need(eh_session *s, eh_linear *l, eh_err *err);
void eh_linear_done(eh_linear *l); /* drops it unless it is kept */
/* The bias in force; NULL: none. */
const float *eh_linear_bias(const eh_linear *l);
/* Rows from..from+n-1 of a linear as it is in force (own weights, edits), f32, Hugging Face order. */
void eh_linear_rows(const eh_linear *l, int64_t from, int64_t n, float *out);
/* Gives l weights of its own, in l->own, as they are in force: edits on it become part of them. Whoever
 * changes l->own calls eh_linear_changed. */
int eh_linear_own(eh_session *s, eh_linear *l, eh_err *err);
/* Its two halves: the memory that this wants (NULL where it is there), and the change, which cannot fail. own is for
 * eh_block_free, bias for eh_free, as long as they are not taken. */
int eh_linear_own_room(const eh_linear *l, float **own, float **bias, eh_err *err);
void eh_linear_own_in(eh_session *s, eh_linear *l, float *own, float *bias);
void eh_linear_changed(eh_linear *l); /* what is packed is dropped: the weights are others now */
/* out [n_row, n_out] = x * W^T (+ bias). x is float or bfloat16 by the linear's precision. */
int eh_linear_run(eh_linear *l, const void *x, int64_t n_row, float *out, eh_err *err);
/* Backwards: dx [n_row, n_in] = dy [n_row, n_out] * W + beta * dx, W as it is in force, in f32 at every precision; a
 * bias has no part in it, whatever the rules. room [eh_linear_room(l)] holds rows of W. */
int64_t eh_linear_room(const eh_linear *l);
int eh_linear_back(eh_session *s, const eh_linear *l, const float *dy, int64_t n_row, float beta, float *dx,
                   float *room,
                   eh_err *err);

/* ---- Weights of a session's own (session.c) ---------------------------------------------------------- */

/* The same for the embedding, and with it for the output head where that is tied. */
int eh_session_own_embed(eh_session *s, eh_err *err);
/* And for learned positions, where the model has them: so many rows. */
int64_t eh_session_positions(const eh_session *s);
int eh_session_own_position(eh_session *s, eh_err *err);
/* And for all norms. */
int eh_session_own_norms(eh_session *s, eh_err *err);

/* Which linears stay packed between batches, for this much memory (-1: all). */
void eh_session_plan_memory(eh_session *s, int64_t memory);
/* Cosines and sines for positions below n. */
int eh_session_need_rope(eh_session *s, int64_t n, eh_err *err);
/* A layer's, [n_rope_pos, d_rot / 2] each; NULL: it has no rotary positions. */
void eh_session_rope(const eh_session *s, int64_t layer, const float **cosine, const float **sine);

/* ---- Edits (edits.c) ---------------------------------------------------------------------------------- */

void eh_linear_unedit(eh_linear *l); /* as if no edit were in force */
void eh_session_free_edits(eh_session *s);

#endif
