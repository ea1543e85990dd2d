#include "model/forward.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/par.h"
#include "model/layer.h"

#define HEAD_ROWS 256  /* rows of logits at once */

/* ---- One layer ------------------------------------------------------------------------------------ */

static bool wanted(const eh_pass *f, eh_site site)
{
    for (int i = 0; i < f->n_observer; i++)
        if (f->observer[i].sites & 1u << site)
            return true;
    return false;
}

int eh_pass_show(eh_pass *f, eh_site site, int64_t layer, int64_t first, int64_t n_row, int64_t width, float *value,
                 const float *grad, eh_err *err)
{
    const eh_block block = {
        .site = site,
        .layer = layer,
        .first = first,
        .n_row = n_row,
        .width = width,
        .value = value,
        .grad = grad,
        .head = -1,
        .tok = f->b->tok + first,
        .depth = f->b->depth + first,
        .batch = f->b->number,
        .n_request = f->b->n_request,
        .request = f->b->request,
        .last_row = f->b->last_row,
        .first_row = f->first_row,
    };
    for (int i = 0; i < f->n_observer; i++)
        if (f->observer[i].sites & 1u << site) {
            const int rc = f->observer[i].see(f->observer[i].ctx, &block, err);
            if (rc < 0)
                return rc;
        }
    return EH_OK;
}

/* Attention probabilities come row by row, from all threads at once. */
static void show_prob_at(eh_pass *f, eh_site site, int worker, int64_t tok, int64_t head, const float *p,
                         int64_t n_pos)
{
    const eh_block block = {
        .site = site,
        .layer = f->layer,
        .first = tok,
        .n_row = 1,
        .width = n_pos,
        .value = (float *)(uintptr_t)p,
        .head = head,
        .tok = f->b->tok + tok,
        .depth = f->b->depth + tok,
        .worker = worker,
        .batch = f->b->number,
        .n_request = f->b->n_request,
        .request = f->b->request,
        .last_row = f->b->last_row,
    };
    for (int i = 0; i < f->n_observer; i++)
        if (f->observer[i].sites & 1u << block.site) {
            eh_err err;
            const int rc = f->observer[i].see(f->observer[i].ctx, &block, &err);
            int none = 0;
            if (rc < 0 && atomic_compare_exchange_strong(&f->see_code, &none, rc))
                f->see_err = err;
        }
}

static void show_prob(void *ctx, int worker, int64_t tok, int64_t head, const float *p, int64_t n_pos,
                      const int64_t *row)
{
    (void)row;
    eh_pass *f = ctx;
    if (f->see_prob)
        show_prob_at(f, EH_SITE_PROB, worker, tok, head, p, n_pos);
    if (f->is_answer != NULL && f->is_answer[tok])
        show_prob_at(f, EH_SITE_ANSWER_PROB, worker, tok, head, p, n_pos);
}

static void to_product_input(const eh_pass *f, const float *x, int64_t n, void *h, int64_t at)
{
    if (f->to == EH_BF16)
        f->s->simd->to_bf16(x, n, (uint16_t *)h + at);
    else
        memcpy((float *)h + at, x, (size_t)n * sizeof *x);
}

/* ---- Norms, in and out of the stream ------------------------------------------------------------------- */

static eh_norm_op norm_of(const eh_session *s, int64_t n, const float *w, const float *b, float *room)
{
    const eh_config *c = &s->m->config;
    return (eh_norm_op){
        .simd = s->simd,
        .n_thread = s->threads,
        .kind = c->norm,
        .eps = c->norm_eps,
        .n = n,
        .w = eh_norm_weight(c->norm, w, n, room),
        .b = b,
    };
}

eh_norm_op eh_pass_norm(const eh_pass *f, eh_norm_role role, float *room)
{
    const eh_session_layer *l = &f->s->layer[f->layer];
    return norm_of(f->s, eh_norm_width(&f->s->m->config, role), l->norm[role], l->norm_bias[role], room);
}

eh_norm_op eh_final_norm(const eh_session *s, float *room)
{
    return norm_of(s, s->m->config.d_model, s->final_norm, s->final_norm_bias, room);
}

static int check_finite(const eh_pass *f, int64_t bad_row, const char *site, eh_err *err)
{
    if (bad_row < 0)
        return EH_OK;
    const int64_t tok = f->n_live < f->b->n_tok ? f->b->ask[bad_row] : bad_row;
    return eh_fail(err, EH_ENUMERIC, "layer %lld, %s: the residual stream is not finite at position %d",
                   (long long)f->layer, site, f->b->depth[tok]);
}

static void add_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const eh_pass *f = ctx;
    const int64_t d = f->s->m->config.d_model;
    const int64_t from = block * EH_ROW_BLOCK, to = eh_row_block_end(block, f->n_live);
    f->s->simd->add(f->x + from * d, f->delta + from * d, (to - from) * d);
}

void eh_pass_add(eh_pass *f)
{
    if (f->has_delta)
        eh_par_for(f->s->threads, eh_row_blocks(f->n_live), add_block, f);
    f->has_delta = false;
}

static void stream_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const eh_pass *f = ctx;
    const int64_t d = f->s->m->config.d_model;
    const int64_t from = block * EH_ROW_BLOCK, to = eh_row_block_end(block, f->n_live);
    to_product_input(f, f->x + from * d, (to - from) * d, f->h, from * d);
}

int eh_pass_enter(eh_pass *f, eh_norm_role role, eh_precision to, const char *site, eh_err *err)
{
    const eh_norm_op o = eh_pass_norm(f, role, f->norm_room);
    if (o.w == NULL) {
        eh_pass_add(f);
        f->to = to;
        eh_par_for(f->s->threads, eh_row_blocks(f->n_live), stream_block, f);
        return EH_OK;
    }
    const int64_t bad = eh_norm_run(&o, f->x, f->has_delta ? f->delta : NULL, f->n_live, to, f->row, f->h);
    f->has_delta = false;
    return check_finite(f, bad, site, err);
}

int eh_pass_leave(eh_pass *f, eh_norm_role role, const char *site, eh_err *err)
{
    const eh_block_order order = f->s->m->config.order;
    f->has_delta = order != EH_BLOCK_POST;
    if (!eh_has_post_norms(&f->s->m->config))
        return EH_OK;
    const eh_norm_op o = eh_pass_norm(f, role, f->norm_room);
    const int64_t bad = order == EH_BLOCK_POST
                            ? eh_norm_run(&o, f->x, f->delta, f->n_live, EH_F32, NULL, f->x)
                            : eh_norm_run(&o, f->delta, NULL, f->n_live, EH_F32, NULL, f->delta);
    return check_finite(f, bad, site, err);
}

/* ---- Attention ------------------------------------------------------------------------------------------- */

eh_rotary eh_pass_rotary(const eh_pass *f, eh_norm_op norm[2])
{
    const eh_session *s = f->s;
    const eh_config *c = &s->m->config;
    norm[0] = eh_pass_norm(f, EH_NORM_Q, f->norm_room);
    norm[1] = eh_pass_norm(f, EH_NORM_K, f->norm_room + norm[0].n);
    eh_rotary o = {
        .simd = s->simd,
        .n_thread = s->threads,
        .n_head = c->n_head,
        .n_kv = c->n_kv,
        .d_head = c->d_head,
        .ld = eh_d_qkv(c),
        .pairs = c->positions == EH_POS_ROTARY_PAIRS,
        .n_half = c->d_rot / 2,
        .pos = f->b->depth,
        .q = norm[0].w != NULL ? &norm[0] : NULL,
        .k = norm[1].w != NULL ? &norm[1] : NULL,
    };
    eh_session_rope(s, f->layer, &o.cosine, &o.sine);
    return o;
}

static void store_cache(const eh_pass *f)
{
    const eh_config *c = &f->s->m->config;
    const int64_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    for (int64_t r = 0; r < f->b->n_segment; r++) {
        const eh_segment *segment = &f->b->segment[r];
        const int64_t s = f->layer * f->cache->n_seq + segment->cache;
        for (int64_t i = 0; i < segment->n; i++) {
            const float *k = f->qkv + (segment->first + i) * eh_d_qkv(c) + d_q;
            memcpy(f->cache->k[s] + (segment->depth + i) * d_kv, k, (size_t)d_kv * sizeof *k);
            memcpy(f->cache->v[s] + (segment->depth + i) * d_kv, k + d_kv, (size_t)d_kv * sizeof *k);
        }
    }
}

static void head_out_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const eh_pass *f = ctx;
    const int64_t width = f->s->m->config.n_head * f->s->m->config.d_head;
    const int64_t from = block * EH_ROW_BLOCK, to = eh_row_block_end(block, f->n_live);
    to_product_input(f, f->a + from * width, (to - from) * width, f->ho, from * width);
}

static void keep_rows(const eh_batch *b, void *x, int64_t n_byte)
{
    for (int64_t i = 0; i < b->n_ask; i++)
        if (b->ask[i] != i)
            memcpy((char *)x + i * n_byte, (const char *)x + b->ask[i] * n_byte, (size_t)n_byte);
}

/* Moves the rows asked for to the front of the residual stream; what is not asked for ends here. Rows are ascending, so
 * nothing is overwritten unread. */
static void keep_asked(eh_pass *f)
{
    keep_rows(f->b, f->x, f->s->m->config.d_model * (int64_t)sizeof *f->x);
    f->n_live = f->b->n_ask;
}

eh_attention eh_pass_attention(eh_pass *f)
{
    const eh_session *s = f->s;
    const eh_config *c = &s->m->config;
    const int64_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    return (eh_attention){
        .simd = s->simd,
        .n_head = c->n_head,
        .n_kv = c->n_kv,
        .d_head = c->d_head,
        .scale = (float)c->attn_scale,
        .softcap = (float)c->attn_softcap,
        .window = c->layer[f->layer].window,
        .n_segment = f->b->n_segment,
        .segment = f->b->segment,
        .segment_of = f->b->segment_of,
        .n_tok = f->b->n_tok,
        .q = f->qkv,
        .k = f->qkv + d_q,
        .v = f->qkv + d_q + d_kv,
        .ld = eh_d_qkv(c),
        .cache_k = f->cache != NULL ? (const float *const *)f->cache->k + f->layer * f->cache->n_seq : NULL,
        .cache_v = f->cache != NULL ? (const float *const *)f->cache->v + f->layer * f->cache->n_seq : NULL,
        .out = f->a,
        .see = f->see_prob || f->is_answer != NULL ? show_prob : NULL,
        .see_ctx = f,
    };
}

int eh_layer_attend(eh_pass *f, eh_err *err)
{
    eh_session *s = f->s;
    eh_linear *l = &s->layer[f->layer].linear[EH_LINEAR_QKV];
    int rc;
    if ((rc = eh_pass_enter(f, EH_NORM_ATTN, l->precision, "attention", err)) < 0 ||
        (rc = eh_linear_need(s, l, err)) < 0 || (rc = eh_linear_run(l, f->h, f->b->n_tok, f->qkv, err)) < 0)
        return rc;
    eh_linear_done(l);
    eh_norm_op norm[2];
    const eh_rotary o = eh_pass_rotary(f, norm);
    eh_rotary_run(&o, f->qkv, f->b->n_tok, f->raw);
    if (f->cache != NULL)
        store_cache(f);
    const eh_attention a = eh_pass_attention(f);
    if ((rc = eh_attention_run(&a, s->threads, &s->scratch, err)) < 0)
        return rc;
    return f->see_code < 0 ? eh_fail(err, f->see_code, "%s", f->see_err.text) : EH_OK;
}

int eh_layer_project(eh_pass *f, eh_err *err)
{
    eh_linear *l = &f->s->layer[f->layer].linear[EH_LINEAR_O];
    int rc;
    f->to = l->precision;
    eh_par_for(f->s->threads, eh_row_blocks(f->n_live), head_out_block, f);
    if ((rc = eh_linear_need(f->s, l, err)) < 0 || (rc = eh_linear_run(l, f->ho, f->n_live, f->delta, err)) < 0)
        return rc;
    eh_linear_done(l);
    return EH_OK;
}

static eh_precision mlp_precision(const eh_pass *f)
{
    return f->s->layer[f->layer].linear[EH_LINEAR_UP].precision;
}

static int attention(eh_pass *f, eh_err *err)
{
    const eh_config *c = &f->s->m->config;
    const int64_t d_q = c->n_head * c->d_head;
    int rc = eh_layer_attend(f, err);
    if (rc < 0 || (rc = eh_pass_show(f, EH_SITE_HEAD_OUT, f->layer, 0, f->b->n_tok, d_q, f->a, NULL, err)) < 0)
        return rc;
    /* Nobody looks at what comes after in the last layer: the rows that are not asked for end here. */
    if (f->layer == c->n_layer - 1 && !wanted(f, EH_SITE_NEURON) && !wanted(f, EH_SITE_RESID)) {
        keep_asked(f);
        keep_rows(f->b, f->a, d_q * (int64_t)sizeof *f->a);
        if (c->order == EH_BLOCK_PARALLEL) /* the MLP has yet to read it */
            keep_rows(f->b, f->h, c->d_model * (mlp_precision(f) == EH_BF16 ? 2 : 4));
    }
    rc = eh_layer_project(f, err);
    return rc == EH_OK ? eh_pass_leave(f, EH_NORM_POST_ATTN, "attention", err) : rc;
}

/* ---- MLP ------------------------------------------------------------------------------------------------- */

eh_gate eh_pass_gate(const eh_pass *f)
{
    const eh_config *c = &f->s->m->config;
    return (eh_gate){f->s->simd, f->s->threads, c->activation, c->gated, c->d_ff};
}

int eh_layer_gate(eh_pass *f, eh_err *err)
{
    eh_linear *l = &f->s->layer[f->layer].linear[EH_LINEAR_UP];
    const int64_t at = f->first * f->s->m->config.d_model;
    const void *h = (const char *)f->h + at * (l->precision == EH_BF16 ? 2 : 4);
    const int rc = eh_linear_run(l, h, f->n_row, f->gu, err);
    const eh_gate o = eh_pass_gate(f);
    if (rc == EH_OK)
        eh_gate_run(&o, f->gu, f->n_row, f->act);
    return rc;
}

static void act_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const eh_pass *f = ctx;
    const int64_t d = f->s->m->config.d_ff;
    const int64_t from = block * EH_ROW_BLOCK, to = eh_row_block_end(block, f->n_row);
    f->s->simd->to_bf16(f->act + from * d, (to - from) * d, f->act_h + from * d);
}

int eh_layer_down(eh_pass *f, float *out, eh_err *err)
{
    eh_linear *l = &f->s->layer[f->layer].linear[EH_LINEAR_DOWN];
    if (l->precision != EH_BF16)
        return eh_linear_run(l, f->act, f->n_row, out, err);
    eh_par_for(f->s->threads, eh_row_blocks(f->n_row), act_block, f);
    return eh_linear_run(l, f->act_h, f->n_row, out, err);
}

static int mlp(eh_pass *f, eh_err *err)
{
    eh_session *s = f->s;
    const eh_config *c = &s->m->config;
    eh_linear *up = &s->layer[f->layer].linear[EH_LINEAR_UP], *down = &s->layer[f->layer].linear[EH_LINEAR_DOWN];
    int rc = EH_OK;
    if (c->order == EH_BLOCK_PARALLEL)
        eh_pass_add(f); /* h is the attention's, of the stream before */
    else
        rc = eh_pass_enter(f, EH_NORM_MLP, up->precision, "MLP", err);
    if (rc < 0 || (rc = eh_linear_need(s, up, err)) < 0 || (rc = eh_linear_need(s, down, err)) < 0)
        return rc;
    float *const kept_gu = f->kept != NULL ? f->kept[f->layer].gu : NULL;
    if (kept_gu != NULL)
        memcpy(f->kept[f->layer].mid, f->x, (size_t)(f->n_live * c->d_model) * sizeof *f->x);
    for (f->first = 0; f->first < f->n_live; f->first += EH_MLP_ROWS) {
        f->n_row = f->n_live - f->first < EH_MLP_ROWS ? f->n_live - f->first : EH_MLP_ROWS;
        if (kept_gu != NULL)
            f->gu = kept_gu + f->first * eh_gate_width(c->gated, c->d_ff);
        if ((rc = eh_layer_gate(f, err)) < 0 ||
            (rc = eh_pass_show(f, EH_SITE_NEURON, f->layer, f->first, f->n_row, c->d_ff, f->act, NULL, err)) < 0 ||
            (rc = eh_layer_down(f, f->delta + f->first * c->d_model, err)) < 0)
            return rc;
    }
    eh_linear_done(up);
    eh_linear_done(down);
    return eh_pass_leave(f, EH_NORM_POST_MLP, "MLP", err);
}

/* ---- Embedding ------------------------------------------------------------------------------------------- */

/* x = scale * E[token] + P[position + offset], the second where positions are learned. */
static void embed_block(void *ctx, int64_t block, int worker)
{
    const eh_pass *f = ctx;
    const eh_session *s = f->s;
    const eh_config *c = &s->m->config;
    const int64_t d = c->d_model;
    const float scale = (float)c->embed_scale;
    float *row = f->row + worker * d;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, f->b->n_tok); i++) {
        float *x = f->x + i * d;
        if (s->own_embed != NULL)
            memcpy(x, s->own_embed + f->b->tok[i] * d, (size_t)d * sizeof *x);
        else
            eh_tensor_rows(s->m->embed, f->b->tok[i], 1, x);
        for (int64_t e = 0; scale != 1.0f && e < d; e++)
            x[e] *= scale;
        if (c->positions != EH_POS_LEARNED)
            continue;
        const int64_t at = f->b->depth[i] + c->position_offset;
        if (s->own_position == NULL)
            eh_tensor_rows(s->m->position, at, 1, row);
        s->simd->add(x, s->own_position != NULL ? s->own_position + at * d : row, d);
    }
}

/* Asks the system to read a layer's weights ahead, unless they are packed already. */
static void read_ahead(const eh_session *s, int64_t layer)
{
    if (layer >= s->m->config.n_layer)
        return;
    for (int k = 0; k < EH_N_LINEAR; k++) {
        const eh_linear *l = &s->layer[layer].linear[k];
        for (int p = 0; l->packed == NULL && p < l->of->n_part; p++)
            eh_weights_will_need(s->m->weights, l->of->part[p].t);
    }
}

int eh_pass_room(eh_pass *f, eh_err *err)
{
    eh_session *s = f->s;
    const eh_config *c = &s->m->config;
    eh_arena *room = &s->scratch;
    const int64_t n = f->b->n_tok, n_mlp = n < EH_MLP_ROWS ? n : EH_MLP_ROWS;
    const int64_t d_q = c->n_head * c->d_head;
    const int64_t wide = c->d_model > d_q ? c->d_model : d_q;
    const bool bf16 = s->precision == EH_BF16, parallel = c->order == EH_BLOCK_PARALLEL;
    f->delta = eh_new_raw(room, float, n * c->d_model);
    f->h = eh_new_raw(room, float, n * wide); /* a bf16 model has f32 products, too */
    f->qkv = eh_new_raw(room, float, n * eh_d_qkv(c));
    f->a = eh_new_raw(room, float, n * d_q);
    f->ho = parallel ? eh_new_raw(room, float, n * d_q) : f->h;
    f->gu = eh_new_raw(room, float, n_mlp * eh_gate_width(c->gated, c->d_ff));
    f->act = eh_new_raw(room, float, n_mlp * c->d_ff);
    f->act_h = eh_new_raw(room, uint16_t, bf16 ? n_mlp * c->d_ff : 0);
    f->row = eh_new_raw(room, float, s->threads * c->d_model);
    f->norm_room = eh_new_raw(room, float, 2 * wide);
    if (!f->delta || !f->h || !f->ho || !f->qkv || !f->a || !f->gu || !f->act || !f->act_h || !f->row || !f->norm_room)
        return eh_fail(err, EH_ENOMEM, "no memory for a batch of %lld tokens; a smaller --batch-tokens needs less",
                       (long long)n);
    return EH_OK;
}

static int mark_answers(eh_pass *f, eh_err *err)
{
    f->see_prob = wanted(f, EH_SITE_PROB);
    if (!wanted(f, EH_SITE_ANSWER_PROB))
        return EH_OK;
    bool *is_answer = eh_new(&f->s->scratch, bool, f->b->n_tok);
    if (is_answer == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the answers of %lld requests", (long long)f->b->n_request);
    for (int64_t i = 0; i < f->b->n_request; i++)
        is_answer[f->b->last_row[i]] = true;
    f->is_answer = is_answer;
    return EH_OK;
}

static int forward(eh_session *s, const eh_batch *b, eh_cache *cache, const eh_kept *kept, const eh_observer *observer,
                   int n_observer, float *x, eh_err *err)
{
    eh_pass f = {.s = s, .b = b, .cache = cache, .kept = kept, .observer = observer, .n_observer = n_observer,
                 .n_live = b->n_tok, .x = x};
    const eh_arena_mark mark = eh_arena_here(&s->scratch);
    int rc = eh_session_need_rope(s, b->deepest + 1, err);
    if (rc < 0 || (rc = eh_pass_room(&f, err)) < 0 || (rc = mark_answers(&f, err)) < 0)
        goto done;
    eh_par_for(s->threads, eh_row_blocks(b->n_tok), embed_block, &f);
    if ((rc = eh_pass_show(&f, EH_SITE_START, -1, 0, b->n_tok, 0, NULL, NULL, err)) < 0)
        goto done;
    if ((rc = eh_pass_show(&f, EH_SITE_RESID, -1, 0, b->n_tok, s->m->config.d_model, x, NULL, err)) < 0)
        goto done;
    const bool show_resid = wanted(&f, EH_SITE_RESID);
    const eh_pass room = f;
    read_ahead(s, 0);
    for (f.layer = 0; f.layer < s->m->config.n_layer; f.layer++) {
        read_ahead(s, f.layer + 1);
        const eh_kept *k = kept != NULL && kept[f.layer].gu != NULL ? &kept[f.layer] : NULL;
        f.qkv = k != NULL ? k->qkv : room.qkv;
        f.raw = k != NULL ? k->raw : NULL;
        f.a = k != NULL ? k->a : room.a;
        f.gu = room.gu;
        if ((rc = attention(&f, err)) < 0 || (rc = mlp(&f, err)) < 0)
            goto done;
        /* The next norm adds what is pending as it goes; who looks at the stream cannot wait for it. */
        if (show_resid || f.layer == s->m->config.n_layer - 1) {
            eh_pass_add(&f);
            if ((rc = eh_pass_show(&f, EH_SITE_RESID, f.layer, 0, b->n_tok, s->m->config.d_model, x, NULL, err)) < 0)
                goto done;
        }
    }
    if (show_resid || wanted(&f, EH_SITE_NEURON))
        keep_asked(&f);
    s->n_computed += b->n_tok;
done:
    eh_arena_rewind(&s->scratch, mark);
    return rc;
}

int eh_forward(eh_session *s, const eh_batch *b, eh_cache *cache, const eh_observer *observer, int n_observer, float *x,
               eh_err *err)
{
    return forward(s, b, cache, NULL, observer, n_observer, x, err);
}

int eh_forward_kept(eh_session *s, const eh_batch *b, const eh_kept *kept, const eh_observer *observer, int n_observer,
                    float *x, eh_err *err)
{
    return forward(s, b, NULL, kept, observer, n_observer, x, err);
}

/* ---- The head --------------------------------------------------------------------------------------- */

eh_logits_of eh_session_logits(const eh_session *s)
{
    return (eh_logits_of){s->simd, (float)s->m->config.logit_scale, (float)s->m->config.final_softcap};
}

typedef struct logits_job {
    eh_logits_of o;
    float *logits;
    int64_t n;
} logits_job;

static void logits_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const logits_job *j = ctx;
    eh_logits_run(&j->o, j->logits + i * j->n, j->n);
}

/* h [n_ask, d_model] = the final norm of x. */
static int head_input(eh_session *s, const float *x, int64_t n_ask, float *h, eh_err *err)
{
    const int64_t d = s->m->config.d_model;
    float *room = eh_new_raw(&s->scratch, float, d);
    if (room == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the final norm");
    const eh_norm_op o = eh_final_norm(s, room);
    if (o.w == NULL)
        memcpy(h, x, (size_t)(n_ask * d) * sizeof *h);
    else if (eh_norm_again(&o, x, n_ask, h) >= 0)
        return eh_fail(err, EH_ENUMERIC, "final norm: the residual stream is not finite after layer %lld",
                       (long long)s->m->config.n_layer - 1);
    return EH_OK;
}

int eh_head_run(eh_session *s, const float *x, int64_t n_ask, eh_logits_see *see, void *ctx, eh_err *err)
{
    const int64_t d = s->m->config.d_model;
    const int64_t n_rows = n_ask < HEAD_ROWS ? n_ask : HEAD_ROWS;
    const eh_arena_mark mark = eh_arena_here(&s->scratch);
    float *h = eh_new_raw(&s->scratch, float, n_ask * d);
    float *logits = eh_new_raw(&s->scratch, float, n_rows * EH_LM_HEAD_SLICE);
    int rc = EH_OK;
    if (h == NULL || logits == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the logits of %lld positions", (long long)n_ask);
        goto done;
    }
    if ((rc = head_input(s, x, n_ask, h, err)) < 0)
        goto done;
    logits_job j = {.o = eh_session_logits(s), .logits = logits};
    for (int64_t i = 0; i < s->m->n_lm_head_slice; i++) {
        eh_linear *slice = &s->lm_head[i];
        if ((rc = eh_linear_need(s, slice, err)) < 0)
            goto done;
        for (int64_t first = 0; first < n_ask; first += HEAD_ROWS) {
            const int64_t n = n_ask - first < HEAD_ROWS ? n_ask - first : HEAD_ROWS;
            if ((rc = eh_linear_run(slice, h + first * d, n, logits, err)) < 0)
                goto done;
            j.n = slice->n_out;
            if (j.o.cap > 0.0f || j.o.scale != 1.0f)
                eh_par_for(s->threads, n, logits_row, &j);
            see(ctx, first, n, slice->of->first, slice->n_out, logits);
        }
        eh_linear_done(slice);
    }
done:
    eh_arena_rewind(&s->scratch, mark);
    return rc;
}

void eh_softmax_add(const eh_simd *simd, const float *logits, int64_t from, int64_t n, eh_softmax_row *row)
{
    int64_t top;
    const double lse = simd->logsumexp(logits, n, &top);
    if (from == 0) {
        *row = (eh_softmax_row){lse, logits[top], (int32_t)top};
        return;
    }
    const double a = row->lse;
    row->lse = a > lse ? a + log1p(exp(lse - a)) : lse + log1p(exp(a - lse));
    if (logits[top] > row->best) {
        row->best = logits[top];
        row->top = (int32_t)(from + top);
    }
}

typedef struct copy_job {
    float *out;
    int64_t n_vocab;
} copy_job;

static void copy_slice(void *ctx, int64_t first, int64_t n_row, int64_t from, int64_t n, float *logits)
{
    const copy_job *j = ctx;
    for (int64_t i = 0; i < n_row; i++)
        memcpy(j->out + (first + i) * j->n_vocab + from, logits + i * n, (size_t)n * sizeof *logits);
}

int eh_head_copy(eh_session *s, const float *x, int64_t n_ask, float *out, eh_err *err)
{
    copy_job j = {out, s->m->config.n_vocab};
    return eh_head_run(s, x, n_ask, copy_slice, &j, err);
}
