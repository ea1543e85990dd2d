#include "model/backward.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/par.h"
#include "model/goals.h"
#include "model/forward.h"
#include "model/layer.h"
#include "op/affine.h"

#define HEAD_ROWS 256  /* rows of the output head at once, over the whole vocabulary */
#define HEAD_FLOATS (12 * 1024 * 1024) /* of logits at once, but for a vocabulary beyond 98,304 */
/* With weight gradients: tokens a batch, and bytes for what need not be computed again. Together they are as much as
 * fits beside 16 bytes a weight when training is to stay below half of transformers' memory (docs/speed.md). */
#define GRAD_TOKENS 512
#define KEPT_BYTES ((int64_t)256 * 1024 * 1024)

typedef struct back {
    eh_session *s;
    const eh_rule_set *rules;
    const eh_grads *grads; /* or NULL */
    eh_goal_batch *goals;
    eh_pass f;    /* the forward pass's room and rows, for running a layer again */
    eh_kept *kept; /* [n_layer] */
    float *saved; /* [n_layer + 1, n_tok, d_model] residual stream at each layer's input, and at the end */
    float *g;     /* [n_tok, d_model] d(goal)/d(residual stream), going back */
    float *dh;    /* [n_tok, d_model] of a norm's output */
    float *da;    /* [n_tok, n_head * d_head] of attention's output */
    float *dqkv;  /* [n_tok, (n_head + 2 n_kv) * d_head] */
    float *dact;  /* [EH_MLP_ROWS, d_ff] of the down projection's input */
    float *dgu;   /* [EH_MLP_ROWS, eh_gate_width] */
    float *room;  /* for eh_linear_back */
    float *row;   /* [threads, widest norm, or both of queries and keys] */
    float *h;     /* [n_tok, d_model] a norm's output, for weight gradients; NULL without */
    double *part; /* [row blocks, 2 widest norm] sums of row blocks, for norms' gradients; NULL without */
    /* Where norms stand behind attention and MLP; else NULL. */
    float *out;     /* [n_tok, d_model] what such a norm of the attention was given */
    float *mlp_out; /* [EH_MLP_ROWS, d_model] and of the MLP */
    float *dout;    /* [n_tok, d_model] gradient of what was added to the stream, before the norm */
} back;

static const eh_layer_grad no_grad;

static int not_finite(const back *k, const char *site, int64_t row, eh_err *err)
{
    return eh_fail(err, EH_ENUMERIC, "layer %lld, %s: the gradient is not finite at position %d",
                   (long long)k->f.layer, site, k->f.b->depth[row]);
}

/* Through a norm of the layer, from g = d/d(its output): dx, added or put there, and its weights' gradients. */
static int64_t norm_back(const back *k, eh_norm_role role, const float *x, const float *g, int64_t n_row,
                         const eh_layer_grad *to, float *dx, bool add)
{
    const eh_norm_op o = eh_pass_norm(&k->f, role, k->f.norm_room);
    const eh_norm_grad ng = {dx, add, to->norm[role], to->norm_bias[role], k->row, k->part};
    return eh_norm_back(&o, k->rules, x, g, n_row, &ng);
}

/* What the linears behind `role` read, in f32, for their weights' gradients: the norm of the stream, or the stream. */
static const float *input_again(const back *k, eh_norm_role role, const float *x, int64_t n_row)
{
    const eh_norm_op o = eh_pass_norm(&k->f, role, k->f.norm_room);
    if (o.w == NULL)
        return x;
    eh_norm_again(&o, x, n_row, k->h);
    return k->h;
}

/* g from the stream behind attention or MLP, whose norm there was given x, to what was added: *dout is where it is.
 * Rows from `at` on. */
static int leave_back(back *k, eh_norm_role role, const char *site, const float *x, int64_t at, int64_t n_row,
                      const eh_layer_grad *to, const float **dout, eh_err *err)
{
    const eh_config *c = &k->s->m->config;
    float *g = k->g + at * c->d_model;
    *dout = g;
    if (!eh_has_post_norms(c))
        return EH_OK;
    float *d = k->dout + at * c->d_model;
    const int64_t bad = norm_back(k, role, x, g, n_row, to, d, false);
    if (bad >= 0)
        return not_finite(k, site, at + bad, err);
    if (c->order == EH_BLOCK_POST) /* the norm was of the sum: the stream before it has the same gradient */
        memcpy(g, d, (size_t)(n_row * c->d_model) * sizeof *g);
    *dout = d;
    return EH_OK;
}

/* ---- MLP -------------------------------------------------------------------------------------------- */

/* What the norm behind the MLP was given, of the rows in hand. */
static int mlp_out_again(back *k, const float *x, eh_err *err)
{
    eh_pass *f = &k->f;
    const int rc = eh_layer_down(f, k->mlp_out, err);
    if (rc == EH_OK && k->s->m->config.order == EH_BLOCK_POST)
        k->s->simd->add(k->mlp_out, x, f->n_row * k->s->m->config.d_model);
    return rc;
}

/* Rows f.first..f.first+f.n_row-1, through the MLP's linears: from dout to what its norm, or the stream, gave. */
static int mlp_rows_back(back *k, const eh_layer_grad *to, const float *h, const float *dout, float *dh, float beta,
                         eh_err *err)
{
    eh_session *s = k->s;
    eh_pass *f = &k->f;
    const eh_config *c = &s->m->config;
    const int64_t at = f->first * c->d_model, width = eh_gate_width(c->gated, c->d_ff);
    eh_linear *up = &s->layer[f->layer].linear[EH_LINEAR_UP], *down = &s->layer[f->layer].linear[EH_LINEAR_DOWN];
    const eh_gate gate = eh_pass_gate(f);
    int rc;
    if ((rc = eh_linear_back(s, down, dout, f->n_row, 0.0f, k->dact, k->room, err)) < 0 ||
        (rc = eh_pass_show(f, EH_SITE_NEURON, f->layer, f->first, f->n_row, c->d_ff, f->act, k->dact, err)) < 0)
        return rc;
    eh_gate_back(&gate, k->rules, f->gu, k->dact, f->n_row, k->dgu);
    if ((rc = eh_linear_weight_back(s->backend, dout, c->d_model, f->act, c->d_ff, f->n_row, to->linear[EH_LINEAR_DOWN],
                                    to->bias[EH_LINEAR_DOWN], err)) < 0 ||
        (rc = eh_linear_weight_back(s->backend, k->dgu, width, h != NULL ? h + at : NULL, c->d_model, f->n_row,
                                    to->linear[EH_LINEAR_UP], to->bias[EH_LINEAR_UP], err)) < 0)
        return rc;
    return eh_linear_back(s, up, k->dgu, f->n_row, beta, dh, k->room, err);
}

/* g from the layer's output to the MLP's input; f.x is the stream there, x that at the layer's. Side by side with the
 * attention, the gradient of what both read goes to dh, and g stays. */
static int mlp_back(back *k, const float *x, const eh_layer_grad *to, eh_err *err)
{
    eh_session *s = k->s;
    eh_pass *f = &k->f;
    const eh_config *c = &s->m->config;
    eh_linear *up = &s->layer[f->layer].linear[EH_LINEAR_UP], *down = &s->layer[f->layer].linear[EH_LINEAR_DOWN];
    const float *const kept_gu = k->kept[f->layer].gu, *h = NULL;
    const bool parallel = c->order == EH_BLOCK_PARALLEL, post = eh_has_post_norms(c);
    const eh_norm_role role = parallel ? EH_NORM_ATTN : EH_NORM_MLP;
    int rc = EH_OK;
    if (kept_gu == NULL && !parallel)
        rc = eh_pass_enter(f, role, up->precision, "MLP", err);
    if (rc < 0 || (kept_gu == NULL && (rc = eh_linear_need(s, up, err)) < 0) ||
        (post && (rc = eh_linear_need(s, down, err)) < 0))
        return rc;
    const bool has_norm = s->layer[f->layer].norm[role] != NULL;
    if (to->linear[EH_LINEAR_UP] != NULL)
        h = input_again(k, role, parallel ? x : f->x, f->n_live);
    for (f->first = 0; f->first < f->n_live; f->first += EH_MLP_ROWS) {
        f->n_row = f->n_live - f->first < EH_MLP_ROWS ? f->n_live - f->first : EH_MLP_ROWS;
        const int64_t at = f->first * c->d_model;
        const float *dout;
        if (kept_gu != NULL) {
            const eh_gate gate = eh_pass_gate(f);
            f->gu = k->kept[f->layer].gu + f->first * eh_gate_width(c->gated, c->d_ff);
            eh_gate_run(&gate, f->gu, f->n_row, f->act);
        } else if ((rc = eh_layer_gate(f, err)) < 0) {
            return rc;
        }
        if ((post && (rc = mlp_out_again(k, f->x + at, err)) < 0) ||
            (rc = leave_back(k, EH_NORM_POST_MLP, "MLP", k->mlp_out, f->first, f->n_row, to, &dout, err)) < 0)
            return rc;
        float *const g = k->g + at, *const dh = k->dh + at;
        if ((rc = mlp_rows_back(k, to, h, dout, has_norm ? dh : g, has_norm ? 0.0f : 1.0f, err)) < 0)
            return rc;
        const int64_t bad = parallel || !has_norm ? -1 : norm_back(k, role, f->x + at, dh, f->n_row, to, g, true);
        if (bad >= 0)
            return not_finite(k, "MLP", f->first + bad, err);
    }
    eh_linear_done(up);
    eh_linear_done(down);
    return EH_OK;
}

/* ---- Attention -------------------------------------------------------------------------------------- */

/* Queries and keys of dqkv, through their positions and norms. */
static void rotary_back(back *k, const eh_layer_grad *to)
{
    eh_norm_op norm[2];
    const eh_rotary o = eh_pass_rotary(&k->f, norm);
    const eh_rotary_grad g = {k->dqkv, k->f.raw, to->norm[EH_NORM_Q], to->norm[EH_NORM_K], k->row, k->part};
    eh_rotary_back(&o, k->rules, k->f.b->n_tok, &g);
}

/* g from the attention's output to the layer's input, where the stream is x. */
static int attention_back(back *k, const float *x, const eh_layer_grad *to, eh_err *err)
{
    eh_session *s = k->s;
    eh_pass *f = &k->f;
    const eh_config *c = &s->m->config;
    eh_linear *qkv = &s->layer[f->layer].linear[EH_LINEAR_QKV], *o = &s->layer[f->layer].linear[EH_LINEAR_O];
    const int64_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head, n = f->b->n_tok;
    const float *dout, *h = NULL;
    int rc;
    if ((rc = leave_back(k, EH_NORM_POST_ATTN, "attention", k->out, 0, n, to, &dout, err)) < 0 ||
        (rc = eh_linear_back(s, o, dout, n, 0.0f, k->da, k->room, err)) < 0 ||
        (rc = eh_pass_show(f, EH_SITE_HEAD_OUT, f->layer, 0, n, d_q, f->a, k->da, err)) < 0 ||
        (rc = eh_linear_weight_back(s->backend, dout, c->d_model, f->a, d_q, n, to->linear[EH_LINEAR_O],
                                    to->bias[EH_LINEAR_O], err)) < 0)
        return rc;
    const eh_attention a = eh_pass_attention(f);
    const eh_attention_grad ag = {
        .d_out = k->da,
        .qk_share = k->rules->qk_share,
        .v_share = k->rules->v_share,
        .exact_cap = k->rules->exact_activation,
        .dq = k->dqkv,
        .dk = k->dqkv + d_q,
        .dv = k->dqkv + d_q + d_kv,
    };
    if ((rc = eh_attention_back(&a, &ag, s->threads, &s->scratch, err)) < 0)
        return rc;
    rotary_back(k, to);
    if (to->linear[EH_LINEAR_QKV] != NULL)
        h = input_again(k, EH_NORM_ATTN, x, n);
    if ((rc = eh_linear_weight_back(s->backend, k->dqkv, eh_d_qkv(c), h, c->d_model, n, to->linear[EH_LINEAR_QKV],
                                    to->bias[EH_LINEAR_QKV], err)) < 0)
        return rc;
    if (s->layer[f->layer].norm[EH_NORM_ATTN] == NULL)
        return eh_linear_back(s, qkv, k->dqkv, n, 1.0f, k->g, k->room, err);
    const float beta = c->order == EH_BLOCK_PARALLEL ? 1.0f : 0.0f; /* the MLP's part is there */
    if ((rc = eh_linear_back(s, qkv, k->dqkv, n, beta, k->dh, k->room, err)) < 0)
        return rc;
    const int64_t bad = norm_back(k, EH_NORM_ATTN, x, k->dh, n, to, k->g, true);
    return bad >= 0 ? not_finite(k, "attention", bad, err) : EH_OK;
}

/* The layer's attention again, from the stream x at its input to that at the MLP's. */
static int attention_again(back *k, const float *x, eh_err *err)
{
    eh_pass *f = &k->f;
    const eh_config *c = &k->s->m->config;
    const int64_t n = f->b->n_tok * c->d_model;
    int rc;
    memcpy(f->x, x, (size_t)n * sizeof *x);
    if ((rc = eh_layer_attend(f, err)) < 0 || (rc = eh_layer_project(f, err)) < 0)
        return rc;
    if (k->out != NULL) {
        memcpy(k->out, f->delta, (size_t)n * sizeof *k->out);
        if (c->order == EH_BLOCK_POST)
            k->s->simd->add(k->out, x, n);
    }
    rc = eh_pass_leave(f, EH_NORM_POST_ATTN, "attention", err);
    if (c->order == EH_BLOCK_PARALLEL)
        f->has_delta = false; /* the MLP does not read it */
    return rc;
}

static int layer_back(back *k, int64_t layer, eh_err *err)
{
    eh_pass *f = &k->f;
    const float *x = k->saved + layer * f->b->n_tok * k->s->m->config.d_model;
    const eh_layer_grad *to = k->grads != NULL && k->grads->layer != NULL ? &k->grads->layer[layer] : &no_grad;
    const eh_kept *kept = &k->kept[layer];
    const eh_pass room = *f;
    int rc = EH_OK;
    f->layer = layer;
    if (kept->gu != NULL) {
        f->x = kept->mid;
        f->qkv = kept->qkv;
        f->raw = kept->raw;
        f->a = kept->a;
    } else if ((rc = attention_again(k, x, err)) < 0) {
        return rc;
    }
    if ((rc = mlp_back(k, x, to, err)) < 0 || (rc = attention_back(k, x, to, err)) < 0)
        return rc;
    f->x = room.x;
    f->qkv = room.qkv;
    f->raw = room.raw;
    f->a = room.a;
    f->gu = room.gu;
    return eh_pass_show(f, EH_SITE_RESID, layer - 1, 0, f->b->n_tok, k->s->m->config.d_model, (float *)(uintptr_t)x,
                        k->g,
                        err);
}

/* ---- The output head: the goals' values, then their gradients ------------------------------------------ */

typedef struct head_job {
    back *k;
    eh_softmax_row *row; /* [n_ask] */
    float *p;            /* [threads, EH_LM_HEAD_SLICE] the reference's probabilities; NULL without KL terms */
    eh_logits_of of;     /* what made logits of the head's products, */
    float *logit;        /* [threads, EH_LM_HEAD_SLICE] and a row of them, where there is a cap */
    float *coef;         /* [n_ask] factor of the softmax in d(goal)/d(logits) */
    const float *h;      /* [n_ask, d_model] the head's input */
    float *dh;           /* [n_ask, d_model] and its gradient */
    float *all;          /* [n_row, n_vocab] logits of rows at, at + 1 ..., slice by slice */
    int64_t at, n_row;
    int64_t first, from, n;
    float *logits;
} head_job;

/* The reference's probabilities of this slice, times `factor`. */
static const float *reference(const head_job *j, const eh_row_kl *kl, int worker, float factor)
{
    float *p = j->p + worker * EH_LM_HEAD_SLICE;
    memcpy(p, kl->term.logp + j->from, (size_t)j->n * sizeof *p);
    j->k->s->simd->exp_minus(p, j->n, 0.0f, factor);
    return p;
}

static void value_row(void *ctx, int64_t i, int worker)
{
    const head_job *j = ctx;
    const float *logits = j->logits + i * j->n;
    const int64_t row = j->first + i;
    eh_goal_batch *goals = j->k->goals;
    eh_softmax_add(j->k->s->simd, logits, j->from, j->n, &j->row[row]);
    for (int64_t t = goals->term_of[row]; t < goals->term_of[row + 1]; t++) {
        const int64_t id = goals->term[t].term.id - j->from;
        if (id >= 0 && id < j->n)
            goals->term[t].got = logits[id];
    }
    for (int64_t t = goals->kl_of[row]; t < goals->kl_of[row + 1]; t++) {
        eh_row_kl *kl = &goals->kl[t];
        const float *p = reference(j, kl, worker, 1.0f);
        for (int64_t v = 0; v < j->n; v++)
            if (p[v] > 0.0f) {
                kl->mass += (double)p[v];
                kl->sum += (double)p[v] * ((double)kl->term.logp[j->from + v] - (double)logits[v]);
            }
    }
}

static void each_row(head_job *j, int64_t first, int64_t n_row, int64_t from, int64_t n, float *logits,
                     eh_par_body *body)
{
    j->first = first;
    j->from = from;
    j->n = n;
    j->logits = logits;
    eh_par_for(j->k->s->threads, n_row, body, j);
}

static void value_slice(void *ctx, int64_t first, int64_t n_row, int64_t from, int64_t n, float *logits)
{
    head_job *j = ctx;
    float *to = j->all + j->n_row * from + first * n;
    memcpy(to, logits, (size_t)(n_row * n) * sizeof *to);
    each_row(j, j->at + first, n_row, from, n, to, value_row);
}

/* With l the logits and p = softmax(l): dl_v/d l_v = 1, d log p_v / dl = onehot(v) - p, and for a reference q
 * d KL(q || p) / dl = p - q. */
static void grad_row(void *ctx, int64_t i, int worker)
{
    const head_job *j = ctx;
    float *logits = j->logits + i * j->n;
    const int64_t row = j->first + i;
    const eh_goal_batch *goals = j->k->goals;
    float *logit = j->logit != NULL ? j->logit + worker * EH_LM_HEAD_SLICE : NULL;
    if (logit != NULL)
        memcpy(logit, logits, (size_t)j->n * sizeof *logit);
    j->k->s->simd->exp_minus(logits, j->n, (float)j->row[row].lse, j->coef[row]);
    for (int64_t t = goals->kl_of[row]; t < goals->kl_of[row + 1]; t++)
        j->k->s->simd->add(logits, reference(j, &goals->kl[t], worker, -(float)goals->kl[t].term.weight), j->n);
    for (int64_t t = goals->term_of[row]; t < goals->term_of[row + 1]; t++) {
        const int64_t id = goals->term[t].term.id - j->from;
        if (id >= 0 && id < j->n)
            logits[id] += (float)goals->term[t].term.weight;
    }
    eh_logits_back(&j->of, j->k->rules, logit, logits, j->n);
}

static int grad_slice(head_job *j, const eh_linear *slice, eh_err *err)
{
    const back *k = j->k;
    eh_session *s = k->s;
    const int64_t d = s->m->config.d_model;
    float *to = k->grads == NULL ? NULL : s->m->config.tied ? k->grads->embed : k->grads->lm_head;
    float *logits = j->all + j->n_row * slice->of->first;
    each_row(j, j->at, j->n_row, slice->of->first, slice->n_out, logits, grad_row);
    const int rc = eh_linear_weight_back(s->backend, logits, slice->n_out, j->h + (j->h != NULL ? j->at * d : 0), d,
                                         j->n_row, to != NULL ? to + slice->of->first * d : NULL, NULL, err);
    return rc < 0 ? rc : eh_linear_back(s, slice, logits, j->n_row, slice->of->first > 0 ? 1.0f : 0.0f,
                                        j->dh + j->at * d,
                                        k->room, err);
}

/* Values of these rows' goals, and in `coef` what the softmax of each asked row is multiplied with. */
static int sum_values(const head_job *j, double *value, eh_err *err)
{
    eh_goal_batch *goals = j->k->goals;
    for (int64_t r = j->at; r < j->at + j->n_row; r++) {
        const double lse = j->row[r].lse;
        double coef = 0.0;
        if (!isfinite(lse))
            return eh_fail(err, EH_ENUMERIC, "output head: the logits at position %d are not finite",
                           goals->b.depth[goals->b.ask[r]]);
        for (int64_t t = goals->term_of[r]; t < goals->term_of[r + 1]; t++) {
            eh_row_term *term = &goals->term[t];
            if (term->term.id < 0) {
                term->term.id = j->row[r].top;
                term->got = j->row[r].best;
            }
            value[term->goal] += term->term.weight * (term->term.logit ? (double)term->got : (double)term->got - lse);
            coef -= term->term.logit ? 0.0 : term->term.weight;
        }
        for (int64_t t = goals->kl_of[r]; t < goals->kl_of[r + 1]; t++) {
            const eh_row_kl *kl = &goals->kl[t];
            value[kl->term.goal] += kl->term.weight * (kl->sum + kl->mass * lse);
            coef += kl->term.weight;
        }
        j->coef[r] = (float)coef;
    }
    return EH_OK;
}

/* x [n_ask, d_model]: the stream of the asked rows after the last layer. Its gradient goes to their rows of k->g. */
static int head_back(back *k, const float *x, double *value, eh_err *err)
{
    eh_session *s = k->s;
    const eh_batch *b = &k->goals->b;
    const int64_t d = s->m->config.d_model, n = b->n_ask;
    const bool has_kl = k->goals->kl_of[n] > 0;
    const int64_t fit = HEAD_FLOATS / s->m->config.n_vocab, most = fit < 128 ? 128 : fit < HEAD_ROWS ? fit : HEAD_ROWS;
    const int64_t n_row = n < most ? n : most;
    const eh_arena_mark mark = eh_arena_here(&s->scratch);
    head_job j = {
        .k = k,
        .row = eh_new_raw(&s->scratch, eh_softmax_row, n),
        .p = has_kl ? eh_new_raw(&s->scratch, float, s->threads * EH_LM_HEAD_SLICE) : NULL,
        .of = eh_session_logits(s),
        .logit = s->m->config.final_softcap > 0.0 ? eh_new_raw(&s->scratch, float, s->threads * EH_LM_HEAD_SLICE)
            : NULL,
        .coef = eh_new_raw(&s->scratch, float, n),
        .dh = eh_new_raw(&s->scratch, float, n * d),
        .all = eh_new_raw(&s->scratch, float, n_row * s->m->config.n_vocab),
    };
    float *dx = eh_new(&s->scratch, float, n * d);
    int rc = EH_OK;
    const bool has_cap = s->m->config.final_softcap > 0.0;
    if (!j.row || !j.coef || !j.dh || !j.all || !dx || (has_kl && !j.p) || (has_cap && !j.logit)) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the logits of %lld positions", (long long)n);
        goto done;
    }
    const eh_norm_op o = eh_final_norm(s, k->f.norm_room);
    j.h = x;
    if (k->h != NULL && o.w != NULL) {
        eh_norm_again(&o, x, n, k->h);
        j.h = k->h;
    }
    for (j.at = 0; j.at < n; j.at += n_row) {
        j.n_row = n - j.at < n_row ? n - j.at : n_row;
        if ((rc = eh_head_run(s, x + j.at * d, j.n_row, value_slice, &j, err)) < 0 ||
            (rc = sum_values(&j, value, err)) < 0)
            goto done;
        for (int64_t i = 0; i < s->m->n_lm_head_slice; i++)
            if ((rc = grad_slice(&j, &s->lm_head[i], err)) < 0)
                goto done;
    }
    const eh_norm_grad ng = {dx, false, k->grads != NULL ? k->grads->final_norm : NULL,
                             k->grads != NULL ? k->grads->final_norm_bias : NULL, k->row, k->part};
    const int64_t bad = o.w != NULL ? eh_norm_back(&o, k->rules, x, j.dh, n, &ng) : -1;
    if (o.w == NULL)
        dx = j.dh;
    if (bad >= 0) {
        rc = eh_fail(err, EH_ENUMERIC, "final norm: the gradient is not finite at position %d", b->depth[b->ask[bad]]);
        goto done;
    }
    memset(k->g, 0, (size_t)(b->n_tok * d) * sizeof *k->g);
    for (int64_t i = 0; i < n; i++)
        memcpy(k->g + b->ask[i] * d, dx + i * d, (size_t)d * sizeof *dx);
done:
    eh_arena_rewind(&s->scratch, mark);
    return rc;
}

/* ---- A batch ---------------------------------------------------------------------------------------- */

/* Keeps the residual stream at each layer's input, as an observer of the forward pass. */
static int keep_stream(void *ctx, const eh_block *block, eh_err *err)
{
    (void)err;
    const back *k = ctx;
    const int64_t n = block->n_row * block->width;
    memcpy(k->saved + (block->layer + 1) * n, block->value, (size_t)n * sizeof *k->saved);
    return EH_OK;
}

static int get_room(back *k, eh_err *err)
{
    eh_session *s = k->s;
    const eh_config *c = &s->m->config;
    eh_arena *arena = &s->scratch;
    const int64_t n = k->goals->b.n_tok, n_mlp = n < EH_MLP_ROWS ? n : EH_MLP_ROWS;
    const int64_t d_qk = (c->n_head + c->n_kv) * c->d_head, wide = c->d_model > d_qk ? c->d_model : d_qk;
    int64_t room = eh_linear_room(&s->lm_head[0]);
    for (int i = 0; i < EH_N_LINEAR; i++) {
        const int64_t wants = eh_linear_room(&s->layer[0].linear[i]);
        room = wants > room ? wants : room;
    }
    k->g = eh_new_raw(arena, float, n * c->d_model);
    k->dh = eh_new_raw(arena, float, n * c->d_model);
    k->da = eh_new_raw(arena, float, n * c->n_head * c->d_head);
    k->dqkv = eh_new_raw(arena, float, n * eh_d_qkv(c));
    k->dact = eh_new_raw(arena, float, n_mlp * c->d_ff);
    k->dgu = eh_new_raw(arena, float, n_mlp * eh_gate_width(c->gated, c->d_ff));
    k->room = eh_new_raw(arena, float, room);
    k->row = eh_new_raw(arena, float, s->threads * wide);
    bool good = k->g && k->dh && k->da && k->dqkv && k->dact && k->dgu && k->room && k->row;
    if (k->grads != NULL) {
        k->h = eh_new_raw(arena, float, n * c->d_model);
        k->part = eh_new_raw(arena, double, eh_row_blocks(n) * 2 * wide);
        good = good && k->h != NULL && k->part != NULL;
    }
    if (eh_has_post_norms(c)) {
        k->out = eh_new_raw(arena, float, n * c->d_model);
        k->mlp_out = eh_new_raw(arena, float, n_mlp * c->d_model);
        k->dout = eh_new_raw(arena, float, n * c->d_model);
        good = good && k->out != NULL && k->mlp_out != NULL && k->dout != NULL;
    }
    if (c->qk_norm != EH_QK_NORM_NONE) {
        k->f.raw = eh_new_raw(arena, float, n * (c->n_head + c->n_kv) * c->d_head);
        good = good && k->f.raw != NULL;
    }
    if (good)
        return eh_pass_room(&k->f, err);
    return eh_fail(err, EH_ENOMEM,
                   "no memory to go back over a batch of %lld tokens; a smaller --batch-tokens needs less",
                       (long long)n);
}

/* Room for what the last layers' forward pass leaves behind, as many as KEPT_BYTES allow. */
static int keep_room(back *k, eh_err *err)
{
    eh_session *s = k->s;
    const eh_config *c = &s->m->config;
    const int64_t n = k->goals->b.n_tok, d_q = c->n_head * c->d_head;
    const int64_t d_raw = c->qk_norm != EH_QK_NORM_NONE ? (c->n_head + c->n_kv) * c->d_head : 0;
    const int64_t width = eh_gate_width(c->gated, c->d_ff);
    const int64_t each = n * (eh_d_qkv(c) + d_raw + d_q + c->d_model + width);
    const int64_t budget = s->memory >= 0 && s->memory < KEPT_BYTES ? s->memory : KEPT_BYTES;
    int64_t left = k->grads != NULL && c->order == EH_BLOCK_PRE ? budget / (each * (int64_t)sizeof(float)) : 0;
    k->kept = eh_new(&s->scratch, eh_kept, c->n_layer);
    bool good = k->kept != NULL;
    for (int64_t l = c->n_layer - 1; good && l >= 0 && left-- > 0; l--) {
        float *p = eh_new_raw(&s->scratch, float, each);
        good = p != NULL;
        if (!good)
            break;
        eh_kept *kept = &k->kept[l];
        kept->gu = p;
        kept->qkv = kept->gu + n * width;
        kept->a = kept->qkv + n * eh_d_qkv(c);
        kept->mid = kept->a + n * d_q;
        kept->raw = d_raw > 0 ? kept->mid + n * c->d_model : NULL;
    }
    return good ? EH_OK : eh_fail(err, EH_ENOMEM, "no memory to keep layers of %lld tokens", (long long)n);
}

/* From the stream before the first layer to embeddings and positions. */
static void embed_back(back *k)
{
    const eh_batch *b = &k->goals->b;
    const eh_config *c = &k->s->m->config;
    const int64_t d = c->d_model;
    const float scale = (float)c->embed_scale;
    for (int64_t i = 0; i < b->n_tok; i++) {
        float *g = k->g + i * d;
        if (k->grads->position != NULL && c->positions == EH_POS_LEARNED)
            k->s->simd->add(k->grads->position + (b->depth[i] + c->position_offset) * d, g, d);
        if (k->grads->embed == NULL)
            continue;
        for (int64_t e = 0; scale != 1.0f && e < d; e++)
            g[e] *= scale;
        k->s->simd->add(k->grads->embed + b->tok[i] * d, g, d);
    }
}

static int batch_back(back *k, double *value, const eh_observer *observer, int n_observer, eh_err *err)
{
    eh_session *s = k->s;
    const eh_batch *b = &k->goals->b;
    const eh_config *c = &s->m->config;
    const int64_t d = c->d_model, n = b->n_tok * d;
    float *x = eh_new_raw(&s->scratch, float, n);
    k->saved = eh_new_raw(&s->scratch, float, (c->n_layer + 1) * n);
    if (x == NULL || k->saved == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the residual stream of %lld tokens in %lld layers; a smaller "
                       "--batch-tokens needs less", (long long)b->n_tok, (long long)c->n_layer);
    const eh_observer keeper = {1u << EH_SITE_RESID, keep_stream, k};
    int rc = keep_room(k, err);
    if (rc == EH_OK)
        rc = eh_forward_kept(s, b, k->kept, &keeper, 1, x, err);
    k->f = (eh_pass){.s = s, .b = b, .observer = observer, .n_observer = n_observer, .first_row = k->goals->first_row,
                     .n_live = b->n_tok, .x = x};
    if (rc < 0 || (rc = get_room(k, err)) < 0 || (rc = head_back(k, x, value, err)) < 0)
        return rc;
    rc = eh_pass_show(&k->f, EH_SITE_RESID, c->n_layer - 1, 0, b->n_tok, d, k->saved + c->n_layer * n, k->g, err);
    for (int64_t l = c->n_layer - 1; l >= 0 && rc == EH_OK; l--)
        rc = layer_back(k, l, err);
    if (rc == EH_OK && k->grads != NULL)
        embed_back(k);
    return rc;
}

static int check_observers(const eh_observer *observer, int n_observer, eh_err *err)
{
    const unsigned sites = 1u << EH_SITE_RESID | 1u << EH_SITE_HEAD_OUT | 1u << EH_SITE_NEURON;
    for (int i = 0; i < n_observer; i++)
        if (observer[i].sites & ~sites)
            return eh_fail(err, EH_EINVAL, "observer %d: a backward pass shows the residual stream, head outputs and "
                           "neurons only", i);
    return EH_OK;
}

int eh_backward(eh_session *s, const eh_goal *goal, int64_t n, const eh_backward_options *options, double *value,
                const eh_observer *observer, int n_observer, eh_err *err)
{
    if (eh_rule_set_of(options->rules) == NULL)
        return eh_fail(err, EH_EINVAL, "there is no rule set %d", (int)options->rules);
    int rc = eh_goals_check(s->m, goal, n, options->kl, options->n_kl, err);
    if (rc < 0 || (rc = check_observers(observer, n_observer, err)) < 0)
        return rc;
    double *sum = eh_calloc(n > 0 ? n : 1, (int64_t)sizeof *sum);
    if (sum == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld goals", (long long)n);
    const eh_arena_mark mark = eh_arena_here(&s->scratch);
    int64_t number = 0, most = s->batch_tokens;
    if (options->batch_tokens > 0 && most > options->batch_tokens)
        most = options->batch_tokens;
    if (options->grads != NULL && most > GRAD_TOKENS)
        most = GRAD_TOKENS;
    for (int64_t at = 0; at < n && rc == EH_OK;) {
        eh_goal_batch goals;
        back k = {.s = s, .rules = eh_rule_set_of(options->rules), .grads = options->grads, .goals = &goals};
        rc = eh_goals_pack(goal, n, options->kl, options->n_kl, at, most, &s->scratch, &goals, err);
        if (rc == EH_OK) {
            goals.b.number = number++;
            at = goals.end;
            rc = batch_back(&k, sum, observer, n_observer, err);
        }
        eh_arena_rewind(&s->scratch, mark);
    }
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        s->n_asked += goal[i].n_tok;
    if (rc == EH_OK && value != NULL)
        memcpy(value, sum, (size_t)n * sizeof *value);
    eh_free(sum);
    return rc;
}

int eh_attribute(eh_session *s, const eh_goal *goal, int64_t n, eh_rules rules, double *value,
                 const eh_observer *observer, int n_observer, eh_err *err)
{
    return eh_backward(s, goal, n, &(eh_backward_options){.rules = rules}, value, observer, n_observer, err);
}
