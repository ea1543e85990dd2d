/*
 * Where norms stand in a block, and of what: every order goes back as it goes forward. Gradients of a goal by
 * eh_backward against central differences of its value, on a tiny model of transformers' whose session is told another
 * order (tests/golden/tiny has the models of published orders).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "grad_room.h"
#include "session.h"

static eh_err err;

static const int32_t tok[] = {3, 17, 5, 9, 40, 2, 11, 8};
#define N_TOK ((int64_t)(sizeof tok / sizeof *tok))

/* Norms that the order has, in the session's layers; the others go. */
static void set_order(eh_session *on, eh_block_order order)
{
    eh_config *c = (eh_config *)(uintptr_t)&on->m->config;
    c->order = order;
    for (int64_t i = 0; i < c->n_layer; i++) {
        eh_session_layer *l = &on->layer[i];
        if (order == EH_BLOCK_BRANCH || order == EH_BLOCK_POST)
            l->norm[EH_NORM_ATTN] = l->norm[EH_NORM_MLP] = NULL;
        if (order == EH_BLOCK_PRE || order == EH_BLOCK_PARALLEL)
            l->norm[EH_NORM_POST_ATTN] = l->norm[EH_NORM_POST_MLP] = NULL;
        if (order == EH_BLOCK_PARALLEL)
            l->norm[EH_NORM_MLP] = NULL;
    }
    if (order == EH_BLOCK_POST)
        on->final_norm = NULL;
}

static double value_of(eh_session *on, const eh_goal *goal)
{
    double value;
    CHECK_OK(eh_backward(on, goal, 1, &(eh_backward_options){.rules = EH_RULES_GRADIENT}, &value, NULL, 0, &err));
    return value;
}

/* Three places of some weights of the session's own, against central differences. */
static void compare(eh_session *on, const eh_goal *goal, float *w, const float *g, int64_t n, const char *what)
{
    double top = 0;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, fabs((double)g[i]));
    CHECK(top > 0);
    for (int64_t k = 0; k < 3; k++) {
        const int64_t at = k * (n - 1) / 2;
        const float was = w[at], step = 2e-3f;
        w[at] = was + step;
        const double up = value_of(on, goal);
        w[at] = was - step;
        const double slope = (up - value_of(on, goal)) / (2.0 * (double)step);
        w[at] = was;
        check_near((double)g[at], slope, 2e-2 * top, what, __FILE__, __LINE__);
    }
}

static void order_goes_back(const char *folder, eh_block_order order)
{
    char path[200];
    eh_session *on;
    snprintf(path, sizeof path, "tests/golden/tiny/%s", folder);
    CHECK_OK(session_open(repo_path(path), NULL, &on, &err));
    set_order(on, order);
    CHECK_OK(eh_session_own_norms(on, &err));
    CHECK_OK(eh_session_own_embed(on, &err));
    const eh_term term = {.pos = N_TOK - 1, .id = 6, .logit = true, .weight = 1.0};
    const eh_goal goal = {tok, N_TOK, &term, 1, false};
    grad_room g = grad_room_of(on);
    double value;
    CHECK_OK(eh_backward(on, &goal, 1, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &g.grads}, &value,
                         NULL, 0, &err));
    /* The value is the logit that the forward pass gives. */
    float *logits = malloc((size_t)(N_TOK * on->m->config.n_vocab) * sizeof *logits);
    CHECK(logits != NULL);
    CHECK_OK(eh_logits(on, tok, N_TOK, logits, &err));
    CHECK_NEAR(value, (double)logits[(N_TOK - 1) * on->m->config.n_vocab + 6], 1e-6 + 1e-6 * fabs(value));
    free(logits);
    for (int k = 0; k < EH_N_NORM; k++)
        for (int64_t layer = 0; layer < on->m->config.n_layer; layer += on->m->config.n_layer - 1) {
            char what[100];
            snprintf(what, sizeof what, "%s, order %d, norm %d, layer %lld", folder, order, k, (long long)layer);
            if (g.grads.layer[layer].norm[k] != NULL)
                compare(on, &goal, on->layer[layer].own_norm[k], g.grads.layer[layer].norm[k],
                        eh_norm_width(&on->m->config, (eh_norm_role)k), what);
        }
    if (!on->m->config.tied) { /* a tied head reads it, too, and would have to be packed anew */
        const int64_t d = on->m->config.d_model;
        compare(on, &goal, on->own_embed + tok[2] * d, g.grads.embed + tok[2] * d, d, "the embedding");
    }
    grad_room_free(&g);
    session_close(on);
}

TEST(every_order_goes_back_as_it_goes_forward)
{
    for (int order = EH_BLOCK_PRE; order <= EH_BLOCK_POST; order++)
        order_goes_back("gemma2", (eh_block_order)order);
}

TEST(so_it_does_under_norms_of_whole_queries)
{
    /* Gemma 3's norms of heads, told to be of all queries and keys: weights for them are made up. */
    static float q[512], k[512];
    eh_session *on;
    CHECK_OK(session_open(repo_path("tests/golden/tiny/gemma3_text"), NULL, &on, &err));
    eh_config *c = (eh_config *)(uintptr_t)&on->m->config;
    CHECK(c->n_head * c->d_head <= 512 && c->qk_norm == EH_QK_NORM_HEAD);
    c->qk_norm = EH_QK_NORM_WHOLE;
    CHECK_INT(eh_norm_width(c, EH_NORM_Q), c->n_head * c->d_head);
    CHECK_INT(eh_norm_width(c, EH_NORM_K), c->n_kv * c->d_head);
    for (int i = 0; i < 512; i++) {
        q[i] = (float)sin(0.7 * i) * 0.5f;
        k[i] = (float)cos(0.3 * i) * 0.5f;
    }
    for (int64_t i = 0; i < c->n_layer; i++) {
        on->layer[i].norm[EH_NORM_Q] = q;
        on->layer[i].norm[EH_NORM_K] = k;
    }
    const eh_term term = {.pos = N_TOK - 1, .id = 6, .logit = true, .weight = 1.0};
    const eh_goal goal = {tok, N_TOK, &term, 1, false};
    CHECK_OK(eh_session_own_norms(on, &err));
    grad_room g = grad_room_of(on);
    CHECK_OK(eh_backward(on, &goal, 1, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &g.grads}, NULL,
                         NULL, 0, &err));
    for (int r = EH_NORM_Q; r <= EH_NORM_K; r++)
        compare(on, &goal, on->layer[1].own_norm[r], g.grads.layer[1].norm[r], eh_norm_width(c, (eh_norm_role)r),
                "a norm of the whole");
    grad_room_free(&g);
    session_close(on);
}
