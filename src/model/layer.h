/*
 * A layer in pieces: what the forward pass runs, and the backward pass runs again. What the pieces are made of stands
 * in the config: kinds of norm, of positions, of MLP, and where norms stand in a block (arch/arch.h).
 *
 *     eh_pass f = {.s = s, .b = batch, .n_live = batch->n_tok, .x = x};
 *     rc = eh_pass_room(&f, err);                                  from s->scratch
 *     rc = eh_layer_attend(&f, err);                               x -> h, qkv, a
 *     rc = eh_layer_project(&f, err);                              a -> delta
 *     rc = eh_pass_leave(&f, EH_NORM_POST_ATTN, "attention", err); delta -> x, or pending
 *     rc = eh_pass_enter(&f, EH_NORM_MLP, to, "MLP", err);         x -> h, what was pending first
 *     for f.first, f.n_row: rc = eh_layer_gate(&f, err);           h -> gu, act
 *                           rc = eh_layer_down(&f, delta, err);    act -> delta
 */
#ifndef EH_MODEL_LAYER_H
#define EH_MODEL_LAYER_H

#include "model/batch.h"
#include "model/cache.h"
#include "op/gate.h"
#include "op/head.h"
#include "op/norm.h"
#include "op/rotary.h"

#define EH_MLP_ROWS 512 /* rows that go through the MLP together: its wide middle stays in the cache */

/* What the backward pass would else compute again, of blocks in the order EH_BLOCK_PRE. NULL: not kept. */
typedef struct eh_kept {
    float *qkv, *raw, *a; /* as in eh_pass */
    float *mid;           /* [n_tok, d_model] stream at the MLP's input */
    float *gu;            /* [n_tok, eh_gate_width] */
} eh_kept;

typedef struct eh_pass {
    eh_session *s;
    const eh_batch *b;
    eh_cache *cache;
    const eh_kept *kept; /* [n_layer] where the forward pass puts it; or NULL */
    const eh_observer *observer;
    int n_observer;
    bool see_prob;         /* somebody looks at EH_SITE_PROB */
    const bool *is_answer; /* [n_tok] rows whose probabilities EH_SITE_ANSWER_PROB shows; NULL: nobody looks */
    int64_t layer;
    const int64_t *first_row; /* for blocks of the backward pass; else NULL */
    int64_t n_live; /* rows still computed: in the last layer only those whose logits are asked for */

    float *x;     /* [n_tok, d_model] residual stream */
    float *delta; /* [n_tok, d_model] what the last product adds to it; pending where has_delta */
    bool has_delta;
    void *h;      /* [n_tok, max(d_model, n_head * d_head)] input of a layer's first products, at their precision */
    void *ho;     /* [n_tok, n_head * d_head] the attention's output at its projection's; h, unless the MLP reads h */
    float *qkv;   /* [n_tok, (n_head + 2 n_kv) * d_head] */
    float *raw;   /* [n_tok, n_head + n_kv, d_head] where not NULL: queries and keys before norms of their own */
    float *a;     /* [n_tok, n_head * d_head] */
    float *gu;    /* [n_row, eh_gate_width], n_row <= EH_MLP_ROWS */
    float *act;   /* [EH_MLP_ROWS, d_ff] */
    uint16_t *act_h; /* [EH_MLP_ROWS, d_ff] in bf16 */
    float *row;   /* [threads, d_model] a row on its way to bf16, or to be added */
    float *norm_room; /* [2, widest norm] eh_norm_weight's */

    eh_precision to; /* for the row jobs: of the next product's input */
    int64_t first, n_row;
    _Atomic int see_code;    /* an observer's first failure, with its sentence */
    eh_err see_err;
} eh_pass;

static inline int64_t eh_d_qkv(const eh_config *c)
{
    return (c->n_head + 2 * c->n_kv) * c->d_head;
}

/* Do a block's norms stand behind attention and MLP? */
static inline bool eh_has_post_norms(const eh_config *c)
{
    return c->order == EH_BLOCK_SANDWICH || c->order == EH_BLOCK_BRANCH || c->order == EH_BLOCK_POST;
}

/* To the observers of `site`: rows first..first+n_row-1, with their gradient if there is one. */
int eh_pass_show(eh_pass *f, eh_site site, int64_t layer, int64_t first, int64_t n_row, int64_t width, float *value,
                 const float *grad, eh_err *err);
int eh_pass_room(eh_pass *f, eh_err *err);
/* A norm of the layer, as it is in force; w NULL: it has none. room [eh_norm_width]: as eh_norm_weight's. */
eh_norm_op eh_pass_norm(const eh_pass *f, eh_norm_role role, float *room);
/* The norm behind the last layer likewise. */
eh_norm_op eh_final_norm(const eh_session *s, float *room);
/* Into attention or MLP: x += delta where it is pending; h = norm(x), or x where there is none before it, at precision
 * `to`. `site` is for the message. */
int eh_pass_enter(eh_pass *f, eh_norm_role role, eh_precision to, const char *site, eh_err *err);
/* Out of it: delta, through the norm of that role where it stands there, is pending; or x is the norm of the sum. */
int eh_pass_leave(eh_pass *f, eh_norm_role role, const char *site, eh_err *err);
void eh_pass_add(eh_pass *f); /* x += delta now, where it is pending */
/* The operations of f->layer. norm [2] holds the norms of queries and keys as long as the result is used. */
eh_rotary eh_pass_rotary(const eh_pass *f, eh_norm_op norm[2]);
eh_gate eh_pass_gate(const eh_pass *f);
eh_logits_of eh_session_logits(const eh_session *s);
/* The attention of f->layer, over f->qkv into f->a. */
eh_attention eh_pass_attention(eh_pass *f);
int eh_layer_attend(eh_pass *f, eh_err *err);  /* x -> h, qkv (turned), a */
int eh_layer_project(eh_pass *f, eh_err *err); /* a -> delta; ho is overwritten */
int eh_layer_gate(eh_pass *f, eh_err *err);    /* rows first..first+n_row-1 of h -> gu, act; the linear is packed */
int eh_layer_down(eh_pass *f, float *out, eh_err *err); /* act -> out [n_row, d_model]; the linear is packed */
/* eh_forward without a cache that also fills `kept`. All rows are live in all layers if an observer sees the stream. */
int eh_forward_kept(eh_session *s, const eh_batch *b, const eh_kept *kept, const eh_observer *observer, int n_observer,
                    float *x, eh_err *err);

#endif
