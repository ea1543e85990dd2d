#include "model/backward.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/par.h"
#include "model/goals.h"
#include "model/layer.h"

#define BIAS_COLS 64 /* columns of a work item that sums rows */
#define HEAD_ROWS 256  /* rows of the output head at once, over the whole vocabulary */
#define HEAD_FLOATS (12 * 1024 * 1024) /* of logits at once, but for a vocabulary beyond 98,304 */
/* With weight gradients: tokens a batch, and bytes for what need not be computed again. Together they are as much as
 * fits beside 16 bytes a weight when training is to stay below half of transformers' memory (docs/speed.md). */
#define GRAD_TOKENS 512
#define KEPT_BYTES ((int64_t)256 * 1024 * 1024)

/*
 * The table of rules. Linears, rotary positions and the residual stream's sums are the same in all.
 * What the numbers do stands with each operation: norm_grad, silu_mul_grad (backend/simd.h),
 * eh_attention_grad (op/attention.h). The choices are those of LXT 2.1's "efficient" AttnLRP
 * and CP-LRP (docs/methods/attribution.md).
 */
typedef struct rule_set {
    bool exact_norm;           /* else 1/rms is held constant */
    bool exact_activation;     /* else f(x)/x takes the place of f'(x) */
    float gate_share, up_share; /* of the product gate * up */
    float qk_share, v_share;    /* of the two products of attention */
} rule_set;

static const rule_set rule_sets[] = {
    [EH_RULES_GRADIENT] = {true, true, 1.0f, 1.0f, 1.0f, 1.0f},
    [EH_RULES_ATTNLRP] = {false, false, 0.5f, 0.5f, 0.25f, 0.5f},
    [EH_RULES_CPLRP] = {false, false, 0.0f, 1.0f, 0.0f, 1.0f},
};

typedef struct back {
    eh_session *s;
    const rule_set *rules;
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
    float *dgu;   /* [EH_MLP_ROWS, 2 d_ff] */
    float *room;  /* for eh_linear_back */
    float *row;   /* [threads, d_model] */
    float *h;     /* [n_tok, d_model] a norm's output, for weight gradients; NULL without */
    double *part; /* [row blocks, max(d_model, 2 d_head)] sums of row blocks, for norms' gradients; NULL without */
} back;

/* ---- Sums over rows, in an order of their own: of row blocks, or of columns -------------------------- */

typedef struct bias_job {
    const float *dy;
    int64_t n_row, n_out;
    float *db;
} bias_job;

static void bias_cols(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const bias_job *j = ctx;
    const int64_t from = i * BIAS_COLS, n = j->n_out - from < BIAS_COLS ? j->n_out - from : BIAS_COLS;
    double sum[BIAS_COLS] = {0};
    for (int64_t r = 0; r < j->n_row; r++)
        for (int64_t c = 0; c < n; c++)
            sum[c] += (double)j->dy[r * j->n_out + from + c];
    for (int64_t c = 0; c < n; c++)
        j->db[from + c] += (float)sum[c];
}

/* dW += dy^T x, db += the sum of dy's rows, where they are wanted. dy [n_row, n_out], x [n_row, n_in] */
static int linear_grad(const back *k, const float *dy, int64_t n_out, const float *x, int64_t n_in, int64_t n_row,
                       float *dw, float *db, eh_err *err)
{
    if (db != NULL) {
        bias_job j = {dy, n_row, n_out, db};
        eh_par_for(k->s->threads, (n_out + BIAS_COLS - 1) / BIAS_COLS, bias_cols, &j);
    }
    if (dw == NULL)
        return EH_OK;
    const eh_gemm g = {
        .trans_a = true,
        .m = n_out, .n = n_in, .k = n_row,
        .a = dy, .lda = n_out,
        .b = x, .ldb = n_in,
        .beta = 1.0f,
        .c = dw, .ldc = n_in,
    };
    return eh_backend_gemm(k->s->backend, &g, err);
}

/* dw[n] += the row blocks' sums, at `at` of each. */
static void add_parts(const back *k, int64_t n_block, int64_t ld, int64_t at, int64_t n, float *dw)
{
    for (int64_t c = 0; c < n; c++) {
        double sum = 0.0;
        for (int64_t i = 0; i < n_block; i++)
            sum += k->part[i * ld + at + c];
        dw[c] += (float)sum;
    }
}

/* ---- Norm ------------------------------------------------------------------------------------------- */

typedef struct norm_job {
    const back *k;
    const float *x, *w, *dh; /* [n_row, d_model], [d_model], [n_row, d_model] */
    int64_t n_row;
    float *g; /* [n_row, d_model] the norm's part is added to it */
    bool to_weight;
    _Atomic int64_t bad_row;
} norm_job;

static void norm_back_block(void *ctx, int64_t block, int worker)
{
    norm_job *j = ctx;
    const back *k = j->k;
    const int64_t d = k->s->m->config.d_model;
    float *dx = k->row + worker * d;
    double *part = j->to_weight ? k->part + block * d : NULL;
    for (int64_t c = 0; part != NULL && c < d; c++)
        part[c] = 0.0;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, j->n_row); i++) {
        const float *x = j->x + i * d, *dh = j->dh + i * d;
        float scale;
        if (!isfinite(k->s->simd->norm_grad(x, j->w, dh, d, k->s->m->config.norm_eps, k->rules->exact_norm, dx,
                                            &scale)))
            atomic_store(&j->bad_row, i);
        k->s->simd->add(j->g + i * d, dx, d);
        for (int64_t c = 0; part != NULL && c < d; c++)
            part[c] += (double)(dh[c] * x[c] * scale);
    }
}

/* g += what comes back through norm(x) * w from dh; dw += the weight's, if wanted. The first of a row that is
 * not finite goes to *bad_row, else -1. */
static void norm_back(const back *k, const float *x, const float *w, const float *dh, int64_t n_row, float *g,
                      float *dw, int64_t *bad_row)
{
    norm_job j = {.k = k, .x = x, .w = w, .dh = dh, .n_row = n_row, .g = g, .to_weight = dw != NULL};
    atomic_store(&j.bad_row, -1);
    eh_par_for(k->s->threads, eh_row_blocks(n_row), norm_back_block, &j);
    if (dw != NULL)
        add_parts(k, eh_row_blocks(n_row), k->s->m->config.d_model, 0, k->s->m->config.d_model, dw);
    *bad_row = atomic_load(&j.bad_row);
}

typedef struct norm_again_job {
    const back *k;
    const float *x, *w;
    int64_t n_row;
} norm_again_job;

static void norm_again_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const norm_again_job *j = ctx;
    const eh_session *s = j->k->s;
    const int64_t d = s->m->config.d_model;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, j->n_row); i++) {
        /* Nothing is added to x, so it is not written to. */
        s->simd->norm((float *)(uintptr_t)(j->x + i * d), NULL, j->w, d, s->m->config.norm_eps, j->k->h + i * d);
    }
}

/* k->h = norm(x) * w in f32, for weight gradients. */
static void norm_again(const back *k, const float *x, const float *w, int64_t n_row)
{
    norm_again_job j = {k, x, w, n_row};
    eh_par_for(k->s->threads, eh_row_blocks(n_row), norm_again_block, &j);
}

/* ---- MLP -------------------------------------------------------------------------------------------- */

static void gate_back_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const back *k = ctx;
    const int64_t d = k->s->m->config.d_ff;
    const rule_set *r = k->rules;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, k->f.n_row); i++) {
        const float *gu = k->f.gu + i * 2 * d;
        float *dgu = k->dgu + i * 2 * d;
        k->s->simd->silu_mul_grad(gu, gu + d, k->dact + i * d, d, r->exact_activation, r->gate_share, r->up_share, dgu,
                                  dgu + d);
    }
}

static int not_finite(const back *k, const char *site, int64_t row, eh_err *err)
{
    return eh_fail(err, EH_ENUMERIC, "layer %lld, %s: the gradient is not finite at position %d",
                   (long long)k->f.layer, site, k->f.b->depth[row]);
}

/* g from the layer's output to the MLP's input; f.x is the stream there. */
static int mlp_back(back *k, const eh_layer_grad *to, eh_err *err)
{
    eh_session *s = k->s;
    eh_pass *f = &k->f;
    const eh_config *c = &s->m->config;
    eh_session_layer *l = &s->layer[f->layer];
    const eh_kept *kept = &k->kept[f->layer];
    int rc;
    if (kept->gu == NULL && ((rc = eh_pass_norm(f, l->norm[EH_NORM_MLP], l->linear[EH_LINEAR_UP].precision, "MLP",
                                                err)) < 0 ||
                             (rc = eh_linear_need(s, &l->linear[EH_LINEAR_UP], err)) < 0))
        return rc;
    if (to->linear[EH_LINEAR_UP] != NULL)
        norm_again(k, f->x, l->norm[EH_NORM_MLP], f->n_live);
    for (f->first = 0; f->first < f->n_live; f->first += EH_MLP_ROWS) {
        f->n_row = f->n_live - f->first < EH_MLP_ROWS ? f->n_live - f->first : EH_MLP_ROWS;
        const int64_t at = f->first * c->d_model;
        float *g = k->g + at;
        if (kept->gu != NULL) {
            f->gu = kept->gu + f->first * 2 * c->d_ff;
            eh_layer_act(f);
        } else if ((rc = eh_layer_gate(f, err)) < 0) {
            return rc;
        }
        if ((rc = eh_linear_back(s, &l->linear[EH_LINEAR_DOWN], g, f->n_row, 0.0f, k->dact, k->room, err)) < 0 ||
            (rc = eh_pass_show(f, EH_SITE_NEURON, f->layer, f->first, f->n_row, c->d_ff, f->act, k->dact, err)) < 0)
            return rc;
        eh_par_for(s->threads, eh_row_blocks(f->n_row), gate_back_block, k);
        if ((rc = linear_grad(k, g, c->d_model, f->act, c->d_ff, f->n_row, to->linear[EH_LINEAR_DOWN],
                              to->bias[EH_LINEAR_DOWN], err)) < 0 ||
            (rc = linear_grad(k, k->dgu, 2 * c->d_ff, k->h + (k->h != NULL ? at : 0), c->d_model, f->n_row,
                              to->linear[EH_LINEAR_UP],
                              to->bias[EH_LINEAR_UP], err)) < 0 ||
            (rc = eh_linear_back(s, &l->linear[EH_LINEAR_UP], k->dgu, f->n_row, 0.0f, k->dh, k->room, err)) < 0)
            return rc;
        int64_t bad;
        norm_back(k, f->x + at, l->norm[EH_NORM_MLP], k->dh, f->n_row, g, to->norm[EH_NORM_MLP], &bad);
        if (bad >= 0)
            return not_finite(k, "MLP", f->first + bad, err);
    }
    eh_linear_done(&l->linear[EH_LINEAR_UP]);
    return EH_OK;
}

/* ---- Attention -------------------------------------------------------------------------------------- */

/* Rotary positions, and query and key norms. */
static void rotate_back_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const back *k = ctx;
    const eh_session *s = k->s;
    const eh_config *c = &s->m->config;
    const eh_session_layer *l = &s->layer[k->f.layer];
    const int64_t half = c->d_rot / 2, d = c->d_head, n_head = c->n_head + c->n_kv;
    double *part = k->part != NULL && l->norm[EH_NORM_Q] != NULL ? k->part + block * 2 * d : NULL;
    for (int64_t i = 0; part != NULL && i < 2 * d; i++)
        part[i] = 0.0;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, k->f.b->n_tok); i++) {
        const int64_t pos = k->f.b->depth[i];
        for (int64_t head = 0; head < n_head; head++) {
            float *g = k->dqkv + i * eh_d_qkv(c) + head * d;
            s->simd->rope_grad(g, s->rope_cos + pos * half, s->rope_sin + pos * half, half);
            const float *w = head < c->n_head ? l->norm[EH_NORM_Q] : l->norm[EH_NORM_K];
            if (w == NULL)
                continue;
            const float *x = k->f.raw + (i * n_head + head) * d;
            float *dx = k->f.qkv + i * eh_d_qkv(c) + head * d, scale; /* what was there has done its work */
            s->simd->norm_grad(x, w, g, d, c->norm_eps, k->rules->exact_norm, dx, &scale);
            for (int64_t e = 0; part != NULL && e < d; e++)
                part[(head < c->n_head ? 0 : d) + e] += (double)(g[e] * x[e] * scale);
            memcpy(g, dx, (size_t)d * sizeof *g);
        }
    }
}

/* g from the attention's output to the layer's input, where the stream is x. */
static int attention_back(back *k, const float *x, const eh_layer_grad *to, eh_err *err)
{
    eh_session *s = k->s;
    eh_pass *f = &k->f;
    const eh_config *c = &s->m->config;
    eh_session_layer *l = &s->layer[f->layer];
    const int64_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head, n = f->b->n_tok;
    int rc;
    if ((rc = eh_linear_back(s, &l->linear[EH_LINEAR_O], k->g, n, 0.0f, k->da, k->room, err)) < 0 ||
        (rc = eh_pass_show(f, EH_SITE_HEAD_OUT, f->layer, 0, n, d_q, f->a, k->da, err)) < 0 ||
        (rc = linear_grad(k, k->g, c->d_model, f->a, d_q, n, to->linear[EH_LINEAR_O], to->bias[EH_LINEAR_O], err)) < 0)
        return rc;
    const eh_attention a = eh_pass_attention(f);
    const eh_attention_grad ag = {
        .d_out = k->da,
        .qk_share = k->rules->qk_share,
        .v_share = k->rules->v_share,
        .dq = k->dqkv,
        .dk = k->dqkv + d_q,
        .dv = k->dqkv + d_q + d_kv,
    };
    if ((rc = eh_attention_back(&a, &ag, s->threads, &s->scratch, err)) < 0)
        return rc;
    eh_par_for(s->threads, eh_row_blocks(n), rotate_back_block, k);
    if (to->norm[EH_NORM_Q] != NULL)
        add_parts(k, eh_row_blocks(n), 2 * c->d_head, 0, c->d_head, to->norm[EH_NORM_Q]);
    if (to->norm[EH_NORM_K] != NULL)
        add_parts(k, eh_row_blocks(n), 2 * c->d_head, c->d_head, c->d_head, to->norm[EH_NORM_K]);
    if (to->linear[EH_LINEAR_QKV] != NULL)
        norm_again(k, x, l->norm[EH_NORM_ATTN], n);
    if ((rc = linear_grad(k, k->dqkv, eh_d_qkv(c), k->h, c->d_model, n, to->linear[EH_LINEAR_QKV],
                          to->bias[EH_LINEAR_QKV], err)) < 0 ||
        (rc = eh_linear_back(s, &l->linear[EH_LINEAR_QKV], k->dqkv, n, 0.0f, k->dh, k->room, err)) < 0)
        return rc;
    int64_t bad;
    norm_back(k, x, l->norm[EH_NORM_ATTN], k->dh, n, k->g, to->norm[EH_NORM_ATTN], &bad);
    return bad >= 0 ? not_finite(k, "attention", bad, err) : EH_OK;
}

static int layer_back(back *k, int64_t layer, eh_err *err)
{
    static const eh_layer_grad none = {0};
    eh_pass *f = &k->f;
    const int64_t n = f->b->n_tok * k->s->m->config.d_model;
    const float *x = k->saved + layer * n;
    const eh_layer_grad *to = k->grads != NULL && k->grads->layer != NULL ? &k->grads->layer[layer] : &none;
    const eh_kept *kept = &k->kept[layer];
    const eh_pass room = *f;
    int rc = EH_OK;
    f->layer = layer;
    if (kept->gu != NULL) {
        f->x = kept->mid;
        f->qkv = kept->qkv;
        f->raw = kept->raw;
        f->a = kept->a;
    } else {
        memcpy(f->x, x, (size_t)n * sizeof *x);
        if ((rc = eh_layer_attend(f, err)) < 0 || (rc = eh_layer_project(f, err)) < 0)
            return rc;
    }
    if ((rc = mlp_back(k, to, err)) < 0 || (rc = attention_back(k, x, to, err)) < 0)
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
    float *p;            /* [threads, EH_HEAD_SLICE] the reference's probabilities; NULL without KL terms */
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
    float *p = j->p + worker * EH_HEAD_SLICE;
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
    j->k->s->simd->exp_minus(logits, j->n, (float)j->row[row].lse, j->coef[row]);
    for (int64_t t = goals->kl_of[row]; t < goals->kl_of[row + 1]; t++)
        j->k->s->simd->add(logits, reference(j, &goals->kl[t], worker, -(float)goals->kl[t].term.weight), j->n);
    for (int64_t t = goals->term_of[row]; t < goals->term_of[row + 1]; t++) {
        const int64_t id = goals->term[t].term.id - j->from;
        if (id >= 0 && id < j->n)
            logits[id] += (float)goals->term[t].term.weight;
    }
}

static int grad_slice(head_job *j, const eh_linear *slice, eh_err *err)
{
    const back *k = j->k;
    eh_session *s = k->s;
    const int64_t d = s->m->config.d_model;
    float *to = k->grads == NULL ? NULL : s->m->config.tied ? k->grads->embed : k->grads->head;
    float *logits = j->all + j->n_row * slice->of->first;
    each_row(j, j->at, j->n_row, slice->of->first, slice->n_out, logits, grad_row);
    const int rc = linear_grad(k, logits, slice->n_out, j->h + j->at * d, d, j->n_row,
                               to != NULL ? to + slice->of->first * d : NULL, NULL, err);
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
        .p = has_kl ? eh_new_raw(&s->scratch, float, s->threads * EH_HEAD_SLICE) : NULL,
        .coef = eh_new_raw(&s->scratch, float, n),
        .h = k->h,
        .dh = eh_new_raw(&s->scratch, float, n * d),
        .all = eh_new_raw(&s->scratch, float, n_row * s->m->config.n_vocab),
    };
    float *dx = eh_new(&s->scratch, float, n * d);
    int rc = EH_OK;
    if (!j.row || !j.coef || !j.dh || !j.all || !dx || (has_kl && !j.p)) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the logits of %lld positions", (long long)n);
        goto done;
    }
    if (k->h != NULL)
        norm_again(k, x, s->final_norm, n);
    for (j.at = 0; j.at < n; j.at += n_row) {
        j.n_row = n - j.at < n_row ? n - j.at : n_row;
        if ((rc = eh_head_run(s, x + j.at * d, j.n_row, value_slice, &j, err)) < 0 ||
            (rc = sum_values(&j, value, err)) < 0)
            goto done;
        for (int64_t i = 0; i < s->m->n_head_slice; i++)
            if ((rc = grad_slice(&j, &s->head[i], err)) < 0)
                goto done;
    }
    int64_t bad;
    norm_back(k, x, s->final_norm, j.dh, n, dx, k->grads != NULL ? k->grads->final_norm : NULL, &bad);
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
    const int64_t wide = c->d_model > 2 * c->d_head ? c->d_model : 2 * c->d_head;
    int64_t room = eh_linear_room(&s->head[0]);
    for (int i = 0; i < EH_N_LINEAR; i++) {
        const int64_t wants = eh_linear_room(&s->layer[0].linear[i]);
        room = wants > room ? wants : room;
    }
    k->g = eh_new_raw(arena, float, n * c->d_model);
    k->dh = eh_new_raw(arena, float, n * c->d_model);
    k->da = eh_new_raw(arena, float, n * c->n_head * c->d_head);
    k->dqkv = eh_new_raw(arena, float, n * eh_d_qkv(c));
    k->dact = eh_new_raw(arena, float, n_mlp * c->d_ff);
    k->dgu = eh_new_raw(arena, float, n_mlp * 2 * c->d_ff);
    k->room = eh_new_raw(arena, float, room);
    k->row = eh_new_raw(arena, float, s->threads * c->d_model);
    bool good = k->g && k->dh && k->da && k->dqkv && k->dact && k->dgu && k->room && k->row;
    if (k->grads != NULL) {
        k->h = eh_new_raw(arena, float, n * c->d_model);
        k->part = eh_new_raw(arena, double, eh_row_blocks(n) * wide);
        good = good && k->h != NULL && k->part != NULL;
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
    const int64_t each = n * (eh_d_qkv(c) + d_raw + d_q + c->d_model + 2 * c->d_ff);
    const int64_t budget = s->memory >= 0 && s->memory < KEPT_BYTES ? s->memory : KEPT_BYTES;
    int64_t left = k->grads != NULL ? budget / (each * (int64_t)sizeof(float)) : 0;
    k->kept = eh_new(&s->scratch, eh_kept, c->n_layer);
    bool good = k->kept != NULL;
    for (int64_t l = c->n_layer - 1; good && l >= 0 && left-- > 0; l--) {
        float *p = eh_new_raw(&s->scratch, float, each);
        good = p != NULL;
        if (!good)
            break;
        eh_kept *kept = &k->kept[l];
        kept->gu = p;
        kept->qkv = kept->gu + n * 2 * c->d_ff;
        kept->a = kept->qkv + n * eh_d_qkv(c);
        kept->mid = kept->a + n * d_q;
        kept->raw = d_raw > 0 ? kept->mid + n * c->d_model : NULL;
    }
    return good ? EH_OK : eh_fail(err, EH_ENOMEM, "no memory to keep layers of %lld tokens", (long long)n);
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
    atomic_store(&k->f.bad_row, -1);
    if (rc < 0 || (rc = get_room(k, err)) < 0 || (rc = head_back(k, x, value, err)) < 0)
        return rc;
    rc = eh_pass_show(&k->f, EH_SITE_RESID, c->n_layer - 1, 0, b->n_tok, d, k->saved + c->n_layer * n, k->g, err);
    for (int64_t l = c->n_layer - 1; l >= 0 && rc == EH_OK; l--)
        rc = layer_back(k, l, err);
    if (rc == EH_OK && k->grads != NULL && k->grads->embed != NULL)
        for (int64_t i = 0; i < b->n_tok; i++)
            s->simd->add(k->grads->embed + b->tok[i] * d, k->g + i * d, d);
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
    if ((int)options->rules < 0 || options->rules >= sizeof rule_sets / sizeof *rule_sets)
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
        back k = {.s = s, .rules = &rule_sets[options->rules], .grads = options->grads, .goals = &goals};
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
