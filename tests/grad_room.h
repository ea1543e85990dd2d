/*
 * Room for the gradients of every weight of a model, zeroed.
 *
 *     grad_room g = grad_room_of(m);
 *     eh_backward(..., &g.grads, &err);
 *     grad_norm(&g, ...)
 *     grad_room_free(&g);
 */
#ifndef EH_TESTS_GRAD_ROOM_H
#define EH_TESTS_GRAD_ROOM_H

#include <stdlib.h>

#include "check.h"
#include "model/backward.h"

typedef struct grad_room {
    eh_grads grads;
    float *all; /* every tensor, one after another */
    int64_t n;
} grad_room;

static inline float *grad_take(float **at, int64_t n)
{
    float *here = *at;
    *at += n;
    return here;
}

static inline grad_room grad_room_of(const eh_model *m)
{
    const eh_config *c = &m->config;
    const int64_t d = c->d_model, d_q = c->n_head * c->d_head, d_qkv = d_q + 2 * c->n_kv * c->d_head;
    const int64_t layer = 3 * d + 2 * c->d_head + d_qkv * (d + 1) + d * d_q + 2 * c->d_ff * (d + 1) + d * (c->d_ff + 1);
    grad_room g = {.n = 2 * c->n_vocab * d + d + c->n_layer * layer};
    g.all = calloc((size_t)g.n, sizeof *g.all);
    g.grads.layer = calloc((size_t)c->n_layer, sizeof *g.grads.layer);
    CHECK(g.all != NULL && g.grads.layer != NULL);
    float *at = g.all;
    g.grads.embed = grad_take(&at, c->n_vocab * d);
    g.grads.head = c->tied ? NULL : grad_take(&at, c->n_vocab * d);
    g.grads.final_norm = grad_take(&at, d);
    for (int64_t i = 0; i < c->n_layer; i++) {
        const eh_layer *from = &m->layer[i];
        g.grads.layer[i] = (eh_layer_grad){
            .attn_norm = grad_take(&at, d),
            .mlp_norm = grad_take(&at, d),
            .q_norm = from->q_norm != NULL ? grad_take(&at, c->d_head) : NULL,
            .k_norm = from->k_norm != NULL ? grad_take(&at, c->d_head) : NULL,
            .qkv = grad_take(&at, d_qkv * d),
            .qkv_bias = from->qkv.bias != NULL ? grad_take(&at, d_qkv) : NULL,
            .o = grad_take(&at, d * d_q),
            .o_bias = from->o.bias != NULL ? grad_take(&at, d) : NULL,
            .gate_up = grad_take(&at, 2 * c->d_ff * d),
            .gate_up_bias = from->gate_up.bias != NULL ? grad_take(&at, 2 * c->d_ff) : NULL,
            .down = grad_take(&at, d * c->d_ff),
            .down_bias = from->down.bias != NULL ? grad_take(&at, d) : NULL,
        };
    }
    CHECK(at <= g.all + g.n);
    return g;
}

static inline void grad_room_free(grad_room *g)
{
    free(g->all);
    free(g->grads.layer);
}

#endif
