/*
 * A layer in pieces: what the forward pass runs, and the backward pass runs again.
 *
 *     eh_pass f = {.m = m, .b = &batch, .n_live = batch.n_tok, .x = x, .bad_row = -1};
 *     rc = eh_pass_room(&f, err);                            from m->scratch
 *     rc = eh_layer_attend(&f, err);                         x -> qkv, a
 *     rc = eh_layer_project(&f, err);                        a -> delta
 *     rc = eh_pass_norm(&f, l->mlp_norm, ..., err);          x += delta; x -> h
 *     for f.first, f.n_row: rc = eh_layer_gate(&f, err);     h -> gu, act
 */
#ifndef EH_MODEL_LAYER_H
#define EH_MODEL_LAYER_H

#include "model/forward.h"

#define EH_ROW_BLOCK 16 /* rows of an elementwise work item */
#define EH_MLP_ROWS 512 /* rows that go through the MLP together: its wide middle stays in the cache */

/* What the backward pass would else compute again. NULL: not kept. */
typedef struct eh_kept {
    float *qkv, *raw, *a; /* as in eh_pass */
    float *mid;           /* [n_tok, d_model] stream at the MLP's input */
    float *gu;            /* [n_tok, 2 d_ff] */
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
    int64_t n_live; /* rows that still go on: in the last layer only those whose logits are asked for */

    float *x;     /* [n_tok, d_model] residual stream */
    float *delta; /* [n_tok, d_model] what the last product adds to it; pending where has_delta */
    bool has_delta;
    void *h;      /* [n_tok, max(d_model, n_head * d_head)] input of the next product, at its precision */
    float *qkv;   /* [n_tok, (n_head + 2 n_kv) * d_head] */
    float *raw;   /* [n_tok, n_head + n_kv, d_head] where not NULL: queries and keys before norms of their own */
    float *a;     /* [n_tok, n_head * d_head] */
    float *gu;    /* [n_row, 2 d_ff], n_row <= EH_MLP_ROWS */
    float *act;   /* [EH_MLP_ROWS, d_ff] */
    uint16_t *act_h; /* [EH_MLP_ROWS, d_ff] in bf16 */
    float *row;   /* [threads, d_model] a norm's output on its way to bf16 */

    /* for the row jobs */
    const float *norm_w;
    eh_precision to; /* of the next product's input */
    int64_t first, n_row;
    _Atomic int64_t bad_row; /* a row that is not finite; -1: none */
    _Atomic int see_code;    /* an observer's first failure, with its sentence */
    eh_err see_err;
} eh_pass;

static inline int64_t eh_d_qkv(const eh_config *c)
{
    return (c->n_head + 2 * c->n_kv) * c->d_head;
}

static inline int64_t eh_row_blocks(int64_t n)
{
    return (n + EH_ROW_BLOCK - 1) / EH_ROW_BLOCK;
}

static inline int64_t eh_row_block_end(int64_t block, int64_t n)
{
    const int64_t end = (block + 1) * EH_ROW_BLOCK;
    return end < n ? end : n;
}

/* To the observers of `site`: rows first..first+n_row-1, with their gradient if there is one. */
int eh_pass_show(eh_pass *f, eh_site site, int64_t layer, int64_t first, int64_t n_row, int64_t width, float *value,
                 const float *grad, eh_err *err);
int eh_pass_room(eh_pass *f, eh_err *err);
/* x += delta where it is pending; h = norm(x) at precision `to`. `site` is for the message. */
int eh_pass_norm(eh_pass *f, const float *w, eh_precision to, const char *site, eh_err *err);
/* The attention of f->layer, over f->qkv into f->a. */
eh_attention eh_pass_attention(eh_pass *f);
int eh_layer_attend(eh_pass *f, eh_err *err);  /* x -> qkv (rotated), a */
int eh_layer_project(eh_pass *f, eh_err *err); /* a -> delta, pending; h is overwritten */
int eh_layer_gate(eh_pass *f, eh_err *err);    /* rows first..first+n_row-1 of h -> gu, act; gate_up is packed */
void eh_layer_act(eh_pass *f);                 /* only gu -> act */
/* eh_forward without a cache that also fills `kept`. All rows are live in all layers if an observer sees the stream. */
int eh_forward_kept(eh_session *s, const eh_batch *b, const eh_kept *kept, const eh_observer *observer, int n_observer,
                    float *x, eh_err *err);

#endif
