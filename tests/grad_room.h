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

static inline grad_room grad_room_of(const eh_session *on)
{
    const eh_config *c = &on->m->config;
    int64_t layer = 0;
    for (int k = 0; k < EH_N_NORM; k++)
        layer += 2 * eh_norm_width(c, (eh_norm_role)k);
    for (int k = 0; k < EH_N_LINEAR; k++)
        layer += on->layer[0].linear[k].n_out * (on->layer[0].linear[k].n_in + 1);
    grad_room g = {.n = (2 * c->n_vocab + 2 + eh_session_positions(on)) * c->d_model + c->n_layer * layer};
    g.all = calloc((size_t)g.n, sizeof *g.all);
    g.grads.layer = calloc((size_t)c->n_layer, sizeof *g.grads.layer);
    CHECK(g.all != NULL && g.grads.layer != NULL);
    float *at = g.all;
    g.grads.embed = grad_take(&at, c->n_vocab * c->d_model);
    g.grads.lm_head = c->tied ? NULL : grad_take(&at, c->n_vocab * c->d_model);
    g.grads.final_norm = grad_take(&at, c->d_model);
    g.grads.final_norm_bias = on->final_norm_bias != NULL ? grad_take(&at, c->d_model) : NULL;
    g.grads.position = on->m->position != NULL ? grad_take(&at, eh_session_positions(on) * c->d_model) : NULL;
    for (int64_t i = 0; i < c->n_layer; i++) {
        const eh_session_layer *from = &on->layer[i];
        eh_layer_grad *to = &g.grads.layer[i];
        for (int k = 0; k < EH_N_NORM; k++) {
            const int64_t n = eh_norm_width(c, (eh_norm_role)k);
            to->norm[k] = from->norm[k] != NULL ? grad_take(&at, n) : NULL;
            to->norm_bias[k] = from->norm_bias[k] != NULL ? grad_take(&at, n) : NULL;
        }
        for (int k = 0; k < EH_N_LINEAR; k++) {
            const eh_linear *l = &from->linear[k];
            to->linear[k] = grad_take(&at, l->n_out * l->n_in);
            to->bias[k] = eh_linear_bias(l) != NULL ? grad_take(&at, l->n_out) : NULL;
        }
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
