/* Opening a model: tensors found and checked against the config, linears described, nothing packed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/par.h"
#include "model/model.h"

/* What a tensor is called in the two formats; %lld is the layer. */
typedef struct tensor_name {
    const char *folder, *gguf;
} tensor_name;

static const tensor_name name_embed = {"model.embed_tokens.weight", "token_embd.weight"};
static const tensor_name name_final_norm = {"model.norm.weight", "output_norm.weight"};
static const tensor_name name_head = {"lm_head.weight", "output.weight"};
static const tensor_name name_attn_norm = {"model.layers.%lld.input_layernorm.weight", "blk.%lld.attn_norm.weight"};
static const tensor_name name_mlp_norm = {"model.layers.%lld.post_attention_layernorm.weight",
                                          "blk.%lld.ffn_norm.weight"};
static const tensor_name name_q_norm = {"model.layers.%lld.self_attn.q_norm.weight", "blk.%lld.attn_q_norm.weight"};
static const tensor_name name_k_norm = {"model.layers.%lld.self_attn.k_norm.weight", "blk.%lld.attn_k_norm.weight"};
static const tensor_name name_q = {"model.layers.%lld.self_attn.q_proj.%s", "blk.%lld.attn_q.%s"};
static const tensor_name name_k = {"model.layers.%lld.self_attn.k_proj.%s", "blk.%lld.attn_k.%s"};
static const tensor_name name_v = {"model.layers.%lld.self_attn.v_proj.%s", "blk.%lld.attn_v.%s"};
static const tensor_name name_o = {"model.layers.%lld.self_attn.o_proj.%s", "blk.%lld.attn_output.%s"};
static const tensor_name name_gate = {"model.layers.%lld.mlp.gate_proj.%s", "blk.%lld.ffn_gate.%s"};
static const tensor_name name_up = {"model.layers.%lld.mlp.up_proj.%s", "blk.%lld.ffn_up.%s"};
static const tensor_name name_down = {"model.layers.%lld.mlp.down_proj.%s", "blk.%lld.ffn_down.%s"};

/* Finds a tensor and checks its shape: [rows, cols], or [rows] when cols is 0. */
static int find(const eh_model *m, const tensor_name *name, int64_t layer, const char *kind, int64_t rows,
                int64_t cols, const eh_tensor **t, eh_err *err)
{
    char full[200];
    const char *pattern = eh_weights_kind_of(m->weights) == EH_WEIGHTS_GGUF ? name->gguf : name->folder;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(full, sizeof full, pattern, (long long)layer, kind);
#pragma GCC diagnostic pop
    const eh_tensor *found = eh_weights_find(m->weights, full);
    if (found == NULL)
        return eh_fail(err, EH_EFORMAT, "%s: has no tensor \"%s\"", m->path, full);
    const int n_dim = cols == 0 ? 1 : 2;
    if (found->n_dim != n_dim || found->dim[0] != rows || (cols != 0 && found->dim[1] != cols)) {
        char got[80] = "";
        for (int i = 0; i < found->n_dim; i++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%lld", i > 0 ? " x " : "",
                     (long long)found->dim[i]);
        char wanted[60];
        if (cols == 0)
            snprintf(wanted, sizeof wanted, "%lld", (long long)rows);
        else
            snprintf(wanted, sizeof wanted, "%lld x %lld", (long long)rows, (long long)cols);
        return eh_fail(err, EH_EFORMAT, "%s: tensor \"%s\" is %s, wanted %s", m->path, full, got, wanted);
    }
    if (found->dtype == EH_DTYPE_I32 || found->dtype == EH_DTYPE_I64 || found->dtype == EH_DTYPE_U8)
        return eh_fail(err, EH_EFORMAT, "%s: tensor \"%s\" holds integers, wanted weights", m->path, full);
    *t = found;
    return EH_OK;
}

/* A small vector, to f32 in the model's arena. */
static int load_vector(eh_model *m, const tensor_name *name, int64_t layer, const char *kind, int64_t n, float **out,
                       eh_err *err)
{
    const eh_tensor *t;
    int rc = find(m, name, layer, kind, n, 0, &t, err);
    if (rc < 0)
        return rc;
    float *x = eh_new_raw(&m->arena, float, n);
    if (x == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld weights", (long long)n);
    eh_tensor_rows(t, 0, 1, x);
    *out = x;
    return EH_OK;
}

/* Row r of a head-wise projection in Hugging Face order lies at this row of a permuted GGUF tensor:
 * there the two halves of a head that rotate together are interleaved. */
static int64_t permuted_row(int64_t r, int64_t d_head)
{
    const int64_t head = r / d_head, c = r % d_head, half = d_head / 2;
    return head * d_head + c % half * 2 + c / half;
}

/* The other way round. */
static int64_t unpermuted_row(int64_t r, int64_t d_head)
{
    const int64_t head = r / d_head, c = r % d_head, half = d_head / 2;
    return head * d_head + c % 2 * half + c / 2;
}

/* Adds a projection to a linear: weight, and bias if it has one. */
static int add_part(eh_model *m, eh_linear *l, const tensor_name *name, int64_t layer, int64_t n_out, bool unpermute,
                    bool bias, eh_err *err)
{
    int rc = find(m, name, layer, "weight", n_out, l->n_in, &l->part[l->n_part], err);
    if (rc == EH_OK && bias) {
        float *b = NULL;
        rc = load_vector(m, name, layer, "bias", n_out, &b, err);
        if (rc == EH_OK) {
            for (int64_t i = 0; i < n_out; i++)
                l->bias[l->n_out + i] = b[unpermute ? permuted_row(i, m->config.d_head) : i];
        }
    }
    if (rc < 0)
        return rc;
    l->unpermute[l->n_part] = unpermute;
    l->n_part++;
    l->n_out += n_out;
    return EH_OK;
}

/*
 * In bf16 most of the error comes from rounding the inputs of few products, measured on SmolLM2
 * (docs/numerics.md): those of the last two layers and of the output head. These stay in f32; the
 * last layer and the head see only the rows that are asked for, so that costs little.
 */
#define F32_LAST_LAYERS 2

static eh_precision layer_precision(const eh_model *m, int64_t layer)
{
    return layer >= m->config.n_layer - F32_LAST_LAYERS ? EH_F32 : m->precision;
}

static int start_linear(eh_model *m, eh_linear *l, eh_precision precision, int64_t n_in, int64_t n_out, bool bias,
                        eh_err *err)
{
    l->n_in = n_in;
    l->precision = precision;
    if (bias) {
        l->bias = eh_new(&m->arena, float, n_out);
        if (l->bias == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for %lld biases", (long long)n_out);
    }
    return EH_OK;
}

static int load_layer(eh_model *m, int64_t i, eh_err *err)
{
    const eh_config *c = &m->config;
    eh_layer *l = &m->layer[i];
    const int64_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    const eh_precision precision = layer_precision(m, i);
    const bool swap = eh_weights_kind_of(m->weights) == EH_WEIGHTS_GGUF && c->family->gguf_permutes;
    int rc;

    if ((rc = load_vector(m, &name_attn_norm, i, "", c->d_model, &l->attn_norm, err)) < 0 ||
        (rc = load_vector(m, &name_mlp_norm, i, "", c->d_model, &l->mlp_norm, err)) < 0)
        return rc;
    if (c->family->qk_norm && ((rc = load_vector(m, &name_q_norm, i, "", c->d_head, &l->q_norm, err)) < 0 ||
                               (rc = load_vector(m, &name_k_norm, i, "", c->d_head, &l->k_norm, err)) < 0))
        return rc;
    if ((rc = start_linear(m, &l->qkv, precision, c->d_model, d_q + 2 * d_kv, c->qkv_bias, err)) < 0 ||
        (rc = add_part(m, &l->qkv, &name_q, i, d_q, swap, c->qkv_bias, err)) < 0 ||
        (rc = add_part(m, &l->qkv, &name_k, i, d_kv, swap, c->qkv_bias, err)) < 0 ||
        (rc = add_part(m, &l->qkv, &name_v, i, d_kv, false, c->qkv_bias, err)) < 0 ||
        (rc = start_linear(m, &l->o, precision, d_q, c->d_model, c->o_bias, err)) < 0 ||
        (rc = add_part(m, &l->o, &name_o, i, c->d_model, false, c->o_bias, err)) < 0 ||
        (rc = start_linear(m, &l->gate_up, precision, c->d_model, 2 * c->d_ff, c->mlp_bias, err)) < 0 ||
        (rc = add_part(m, &l->gate_up, &name_gate, i, c->d_ff, false, c->mlp_bias, err)) < 0 ||
        (rc = add_part(m, &l->gate_up, &name_up, i, c->d_ff, false, c->mlp_bias, err)) < 0 ||
        (rc = start_linear(m, &l->down, precision, c->d_ff, c->d_model, c->mlp_bias, err)) < 0 ||
        (rc = add_part(m, &l->down, &name_down, i, c->d_model, false, c->mlp_bias, err)) < 0)
        return rc;
    l->window = i >= c->window_first ? c->window : 0;
    return EH_OK;
}

static int load_head(eh_model *m, eh_err *err)
{
    const eh_config *c = &m->config;
    const eh_tensor *t;
    int rc = find(m, c->tied ? &name_embed : &name_head, 0, "", c->n_vocab, c->d_model, &t, err);
    if (rc < 0)
        return rc;
    m->n_head_slice = (c->n_vocab + EH_HEAD_SLICE - 1) / EH_HEAD_SLICE;
    m->head = eh_new(&m->arena, eh_linear, m->n_head_slice);
    if (m->head == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the output head's slices");
    for (int64_t i = 0; i < m->n_head_slice; i++) {
        const int64_t first = i * EH_HEAD_SLICE;
        m->head[i] = (eh_linear){
            .part = {t},
            .n_part = 1,
            .first = first,
            .n_out = c->n_vocab - first < EH_HEAD_SLICE ? c->n_vocab - first : EH_HEAD_SLICE,
            .n_in = c->d_model,
            .precision = EH_F32,
        };
    }
    return EH_OK;
}

/* Radians per position of each rotary pair. Sources: RoFormer eq. 15; Llama 3's scaling as in
 * Meta's llama-models and transformers' modeling_rope_utils, "llama3". */
static int load_rope(eh_model *m, eh_err *err)
{
    const eh_config *c = &m->config;
    const int64_t n = c->d_rot / 2;
    m->rope_freq = eh_new(&m->arena, double, n);
    if (m->rope_freq == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld rotary frequencies", (long long)n);
    float *factor = NULL;
    if (c->rope_scaling == EH_ROPE_FACTORS) {
        static const tensor_name name_factors = {"", "rope_freqs.weight"};
        const int rc = load_vector(m, &name_factors, 0, "", n, &factor, err);
        if (rc < 0)
            return rc;
    }
    for (int64_t i = 0; i < n; i++) {
        double f = pow(c->rope_theta, -2.0 * (double)i / (double)c->d_rot);
        if (c->rope_scaling == EH_ROPE_LINEAR) {
            f /= c->rope_factor;
        } else if (c->rope_scaling == EH_ROPE_FACTORS) {
            if (!(factor[i] > 0.0f) || !isfinite(factor[i]))
                return eh_fail(err, EH_EFORMAT, "%s: rope_freqs.weight[%lld] is %g, wanted a positive number", m->path,
                               (long long)i, (double)factor[i]);
            f /= (double)factor[i];
        } else if (c->rope_scaling == EH_ROPE_LLAMA3) {
            const double turns = f * (double)c->rope_original_ctx / 6.283185307179586476925;
            if (turns < c->rope_low)
                f /= c->rope_factor;
            else if (turns < c->rope_high) {
                const double smooth = (turns - c->rope_low) / (c->rope_high - c->rope_low);
                f = (1.0 - smooth) * f / c->rope_factor + smooth * f;
            }
        }
        m->rope_freq[i] = f;
    }
    return EH_OK;
}

int eh_model_need_rope(eh_model *m, int64_t n, eh_err *err)
{
    if (n <= m->n_rope_pos)
        return EH_OK;
    int64_t room = m->n_rope_pos < 512 ? 512 : 2 * m->n_rope_pos;
    if (room < n)
        room = n;
    const int64_t half = m->config.d_rot / 2;
    float *cosine = eh_alloc(room, half * (int64_t)sizeof *cosine);
    float *sine = eh_alloc(room, half * (int64_t)sizeof *sine);
    if (cosine == NULL || sine == NULL) {
        eh_free(cosine);
        eh_free(sine);
        return eh_fail(err, EH_ENOMEM, "no memory for rotary tables of %lld positions", (long long)room);
    }
    for (int64_t p = 0; p < room; p++)
        for (int64_t i = 0; i < half; i++) {
            cosine[p * half + i] = (float)cos((double)p * m->rope_freq[i]);
            sine[p * half + i] = (float)sin((double)p * m->rope_freq[i]);
        }
    eh_free(m->rope_cos);
    eh_free(m->rope_sin);
    m->rope_cos = cosine;
    m->rope_sin = sine;
    m->n_rope_pos = room;
    return EH_OK;
}

/* ---- Linears ---------------------------------------------------------------------------------- */

/* Rows of the stacked parts, expanded to f32 by the worker threads, 64 at a time. */
#define FILL_ROWS 64
#define BACK_FLOATS (4 * 1024 * 1024) /* of a weight expanded on the way back */

/* As stored: no own weights, no edits. */
static void stored_rows(const eh_model *m, const eh_linear *l, int64_t from, int64_t to, float *out)
{
    for (int64_t row = from; row < to;) {
        int64_t at = l->first + row; /* row of the stacked parts */
        int p = 0;
        while (at >= l->part[p]->dim[0])
            at -= l->part[p++]->dim[0];
        float *x = out + (row - from) * l->n_in;
        if (l->unpermute[p]) {
            eh_tensor_rows(l->part[p], permuted_row(at, m->config.d_head), 1, x);
            row++;
        } else {
            const int64_t left = l->part[p]->dim[0] - at;
            const int64_t n = left < to - row ? left : to - row;
            eh_tensor_rows(l->part[p], at, n, x);
            row += n;
        }
    }
}

void eh_linear_rows(const eh_model *m, const eh_linear *l, int64_t from, int64_t n, float *out)
{
    if (l->own == NULL)
        stored_rows(m, l, from, from + n, out);
    else if (out != l->own + from * l->n_in) /* edits may be worked into own weights where they lie */
        memcpy(out, l->own + from * l->n_in, (size_t)(n * l->n_in) * sizeof *out);
    for (int64_t i = 0; i < n && l->row_scale != NULL; i++)
        if (l->row_scale[from + i] != 1.0f)
            for (int64_t c = 0; c < l->n_in; c++)
                out[i * l->n_in + c] *= l->row_scale[from + i];
    for (int64_t i = 0; i < n && l->col_scale != NULL; i++)
        for (int64_t c = 0; c < l->n_in; c++)
            out[i * l->n_in + c] *= l->col_scale[c];
}

typedef struct fill_job {
    const eh_model *m;
    const eh_linear *l;
    int64_t from, n;
    float *out;
} fill_job;

static void fill_rows(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const fill_job *j = ctx;
    const int64_t at = block * FILL_ROWS;
    const int64_t n = at + FILL_ROWS < j->n ? FILL_ROWS : j->n - at;
    eh_linear_rows(j->m, j->l, j->from + at, n, j->out + at * j->l->n_in);
}

/* eh_linear_rows on all threads. */
static void fill(const eh_model *m, const eh_linear *l, int64_t from, int64_t n, float *out)
{
    fill_job job = {m, l, from, n, out};
    eh_par_for(m->threads, (n + FILL_ROWS - 1) / FILL_ROWS, fill_rows, &job);
}

/* Weights of one's own, and those stored as bfloat16 in one piece, go to the packer as they lie. */
static const void *as_it_lies(const eh_linear *l, bool *is_bf16)
{
    const eh_tensor *t = l->part[0];
    *is_bf16 = l->own == NULL;
    if (l->row_scale != NULL || l->col_scale != NULL)
        return NULL;
    if (l->own != NULL)
        return l->own;
    if (l->n_part != 1 || l->unpermute[0] || t->dtype != EH_DTYPE_BF16)
        return NULL;
    return t->data + l->first * eh_tensor_row_bytes(t);
}

int eh_linear_need(eh_model *m, eh_linear *l, eh_err *err)
{
    if (l->packed != NULL)
        return EH_OK;
    bool is_bf16;
    const void *w = as_it_lies(l, &is_bf16);
    if (w != NULL)
        return eh_product_pack(m->product, l->precision, w, is_bf16, l->n_out, l->n_in, m->threads, &l->packed, err);

    float *rows = eh_block_alloc(l->n_out * l->n_in * (int64_t)sizeof *rows);
    if (rows == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to expand \"%s\"", l->part[0]->name);
    fill(m, l, 0, l->n_out, rows);
    const int rc =
        eh_product_pack(m->product, l->precision, rows, false, l->n_out, l->n_in, m->threads, &l->packed, err);
    eh_block_free(rows);
    return rc;
}

void eh_linear_changed(eh_linear *l)
{
    eh_product_drop(l->packed);
    l->packed = NULL;
}

void eh_linear_done(eh_linear *l)
{
    if (!l->keep)
        eh_linear_changed(l);
}

int eh_linear_own_room(eh_model *m, const eh_linear *l, float **own, float **bias, eh_err *err)
{
    float *b = NULL, *w = NULL;
    /* A mean that an edit put into a bias of a linear that has none. */
    if (l->bias_now != NULL && l->bias == NULL)
        b = eh_new_raw(&m->arena, float, l->n_out);
    if (l->own == NULL)
        w = eh_block_alloc(l->n_out * l->n_in * (int64_t)sizeof *w);
    if ((l->own == NULL && w == NULL) || (l->bias_now != NULL && l->bias == NULL && b == NULL)) {
        eh_block_free(w);
        return eh_fail(err, EH_ENOMEM, "no memory for own weights of \"%s\"", l->part[0]->name);
    }
    *own = w;
    *bias = b;
    return EH_OK;
}

void eh_linear_own_in(eh_model *m, eh_linear *l, float *own, float *bias)
{
    fill(m, l, 0, l->n_out, own != NULL ? own : l->own);
    if (own != NULL)
        l->own = own;
    if (bias != NULL)
        l->bias = bias;
    if (l->bias_now != NULL)
        memcpy(l->bias, l->bias_now, (size_t)l->n_out * sizeof *l->bias);
    eh_linear_unedit(l);
    eh_linear_changed(l);
}

int eh_linear_own(eh_model *m, eh_linear *l, eh_err *err)
{
    float *own = NULL, *bias = NULL;
    const int rc = eh_linear_own_room(m, l, &own, &bias, err);
    if (rc == EH_OK)
        eh_linear_own_in(m, l, own, bias);
    return rc;
}

int eh_model_own_embed(eh_model *m, eh_err *err)
{
    const eh_config *c = &m->config;
    if (m->own_embed != NULL)
        return EH_OK;
    float *own = eh_block_alloc(c->n_vocab * c->d_model * (int64_t)sizeof *own);
    if (own == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for an own embedding");
    eh_tensor_rows(m->embed, 0, c->n_vocab, own);
    m->own_embed = own;
    for (int64_t i = 0; i < m->n_head_slice && c->tied; i++) {
        m->head[i].own = own + m->head[i].first * c->d_model; /* borrowed */
        eh_linear_changed(&m->head[i]);
    }
    return EH_OK;
}

int eh_linear_run(eh_model *m, eh_linear *l, const void *x, int64_t n_row, float *out, eh_err *err)
{
    const int rc = eh_product_run(l->packed, x, n_row, out, m->threads, err);
    const float *bias = l->bias_now != NULL ? l->bias_now : l->bias;
    if (rc == EH_OK && bias != NULL)
        for (int64_t i = 0; i < n_row; i++)
            m->simd->add(out + i * l->n_out, bias, l->n_out);
    return rc;
}

/* Rows of W that are expanded at once on the way back: bounded, and enough for a good product. */
static int64_t back_rows(const eh_linear *l)
{
    const int64_t fit = BACK_FLOATS / l->n_in, n = fit > FILL_ROWS ? fit : FILL_ROWS;
    return n < l->n_out ? n : l->n_out;
}

int64_t eh_linear_room(const eh_linear *l)
{
    return back_rows(l) * l->n_in;
}

int eh_linear_back(eh_model *m, const eh_linear *l, const float *dy, int64_t n_row, float beta, float *dx, float *room,
                   eh_err *err)
{
    const bool as_is = l->own != NULL && l->row_scale == NULL && l->col_scale == NULL;
    const int64_t step = as_is ? l->n_out : back_rows(l);
    int rc = EH_OK;
    for (int64_t from = 0; from < l->n_out && rc == EH_OK; from += step) {
        const int64_t n = l->n_out - from < step ? l->n_out - from : step;
        if (!as_is)
            fill(m, l, from, n, room);
        rc = eh_product_gemm(m->product, false, false, n_row, l->n_in, n, dy + from, l->n_out, as_is ? l->own : room,
                             l->n_in, from > 0 ? 1.0f : beta, dx, l->n_in, m->threads, err);
    }
    return rc;
}

/* Packed, a weight takes its numbers at the precision's size (plus a little for rounding up). */
static int64_t packed_size(const eh_linear *l)
{
    return l->n_out * l->n_in * (l->precision == EH_BF16 ? 2 : 4);
}

/* Calls `what` for every linear, layers first, then the head's slices. */
static void each_linear(eh_model *m, void (*what)(eh_model *m, eh_linear *l, void *ctx), void *ctx)
{
    for (int64_t i = 0; i < m->config.n_layer; i++) {
        eh_layer *l = &m->layer[i];
        what(m, &l->qkv, ctx);
        what(m, &l->o, ctx);
        what(m, &l->gate_up, ctx);
        what(m, &l->down, ctx);
    }
    for (int64_t i = 0; i < m->n_head_slice; i++)
        what(m, &m->head[i], ctx);
}

static void plan_one(eh_model *m, eh_linear *l, void *left)
{
    (void)m;
    const int64_t size = packed_size(l);
    l->keep = size <= *(int64_t *)left;
    if (l->keep)
        *(int64_t *)left -= size;
    else
        eh_linear_done(l);
}

void eh_model_plan_memory(eh_model *m, int64_t memory)
{
    int64_t left = memory < 0 ? INT64_MAX : memory;
    each_linear(m, plan_one, &left);
}

static void drop_one(eh_model *m, eh_linear *l, void *ctx)
{
    (void)ctx;
    eh_linear_changed(l);
    eh_linear_unedit(l);
    if (m->own_embed == NULL || l->own < m->own_embed ||
        l->own >= m->own_embed + m->config.n_vocab * m->config.d_model)
        eh_block_free(l->own);
}

/* ---- What stands for each stored tensor --------------------------------------------------------- */

/* Of a layer: a weight and a bias for each projection, then four norms. */
static const struct {
    const tensor_name *name;
    eh_stored_kind kind;
    int part; /* of its linear */
} projections[] = {
    {&name_q, EH_STORED_Q, 0},       {&name_k, EH_STORED_K, 1},   {&name_v, EH_STORED_V, 2},
    {&name_o, EH_STORED_O, 0},       {&name_gate, EH_STORED_GATE, 0}, {&name_up, EH_STORED_UP, 1},
    {&name_down, EH_STORED_DOWN, 0},
};
#define N_PROJECTION ((int64_t)(sizeof projections / sizeof *projections))
static const tensor_name *const norms[] = {&name_attn_norm, &name_mlp_norm, &name_q_norm, &name_k_norm};
#define N_NORM ((int64_t)(sizeof norms / sizeof *norms))
#define N_LAYER_SLOT (2 * N_PROJECTION + N_NORM)

int64_t eh_model_n_stored(const eh_model *m)
{
    return m->config.n_layer * N_LAYER_SLOT + 3;
}

static void name_stored(const eh_model *m, const tensor_name *name, const char *kind, eh_stored *s)
{
    const char *pattern = eh_weights_kind_of(m->weights) == EH_WEIGHTS_GGUF ? name->gguf : name->folder;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(s->name, sizeof s->name, pattern, (long long)s->layer, kind);
#pragma GCC diagnostic pop
    s->t = eh_weights_find(m->weights, s->name);
}

static bool stored_projection(const eh_model *m, int64_t slot, eh_stored *s)
{
    const eh_layer *l = &m->layer[s->layer];
    const int part = projections[slot / 2].part;
    s->kind = projections[slot / 2].kind;
    s->bias = slot % 2 == 1;
    s->l = s->kind <= EH_STORED_V ? &l->qkv : s->kind == EH_STORED_O ? &l->o
           : s->kind == EH_STORED_DOWN ? &l->down : &l->gate_up;
    for (int p = 0; p < part; p++)
        s->first += s->l->part[p]->dim[0];
    s->unpermute = s->l->unpermute[part];
    s->n_row = s->bias ? 1 : s->l->part[part]->dim[0];
    s->n_col = s->bias ? s->l->part[part]->dim[0] : s->l->n_in;
    name_stored(m, projections[slot / 2].name, s->bias ? "bias" : "weight", s);
    if (!s->bias)
        return true;
    const float *bias = s->l->bias_now != NULL ? s->l->bias_now : s->l->bias;
    s->vector = bias != NULL ? bias + s->first : NULL;
    return bias != NULL;
}

bool eh_model_stored(const eh_model *m, int64_t i, eh_stored *s)
{
    const eh_config *c = &m->config;
    *s = (eh_stored){.kind = EH_STORED_NORM, .layer = i / N_LAYER_SLOT, .n_row = 1, .n_col = c->d_model};
    const int64_t slot = i % N_LAYER_SLOT;
    if (s->layer >= c->n_layer) {
        static const tensor_name *const last[] = {&name_embed, &name_head, &name_final_norm};
        const int64_t k = i - c->n_layer * N_LAYER_SLOT;
        s->layer = -1;
        s->kind = k == 0 ? EH_STORED_EMBED : k == 1 ? EH_STORED_HEAD : EH_STORED_NORM;
        s->n_row = k < 2 ? c->n_vocab : 1;
        s->vector = k == 2 ? m->final_norm : NULL;
        name_stored(m, last[k], "", s);
        return !(k == 1 && c->tied);
    }
    if (slot < 2 * N_PROJECTION)
        return stored_projection(m, slot, s);
    const eh_layer *l = &m->layer[s->layer];
    const float *const vector[] = {l->attn_norm, l->mlp_norm, l->q_norm, l->k_norm};
    const int64_t k = slot - 2 * N_PROJECTION;
    s->vector = vector[k];
    s->n_col = k < 2 ? c->d_model : c->d_head;
    name_stored(m, norms[k], "", s);
    return s->vector != NULL;
}

void eh_stored_rows(const eh_model *m, const eh_stored *s, int64_t row, int64_t n, float *out)
{
    if (s->vector != NULL)
        memcpy(out, s->vector, (size_t)s->n_col * sizeof *out);
    else if (s->l != NULL)
        eh_linear_rows(m, s->l, s->first + row, n, out);
    else if (s->kind == EH_STORED_EMBED && m->own_embed != NULL)
        memcpy(out, m->own_embed + row * s->n_col, (size_t)(n * s->n_col) * sizeof *out);
    else if (s->kind == EH_STORED_EMBED)
        eh_tensor_rows(m->embed, row, n, out);
    else
        for (int64_t i = 0; i < n; i++)
            eh_linear_rows(m, &m->head[(row + i) / EH_HEAD_SLICE], (row + i) % EH_HEAD_SLICE, 1, out + i * s->n_col);
}

int64_t eh_stored_row(const eh_model *m, const eh_stored *s, int64_t at)
{
    return s->unpermute ? unpermuted_row(at, m->config.d_head) : at;
}

/* What flags rule out need not be read. */
static bool may_have_changed(const eh_model *m, const eh_stored *s)
{
    if (s->vector != NULL)
        return true;
    if (s->kind == EH_STORED_EMBED)
        return m->own_embed != NULL;
    if (s->kind == EH_STORED_HEAD) {
        for (int64_t i = 0; i < m->n_head_slice; i++)
            if (m->head[i].own != NULL)
                return true;
        return false;
    }
    if (s->l->own != NULL || s->l->col_scale != NULL)
        return true;
    for (int64_t i = 0; i < s->n_row && s->l->row_scale != NULL; i++)
        if (s->l->row_scale[s->first + i] != 1.0f)
            return true;
    return false;
}

int eh_stored_changed(const eh_model *m, const eh_stored *s, bool *changed, eh_err *err)
{
    bool differs = s->t == NULL;
    if (!differs && may_have_changed(m, s)) {
        float *x = eh_alloc(2 * s->n_col, (int64_t)sizeof *x), *y = x + s->n_col;
        if (x == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for a row of \"%s\"", s->name);
        for (int64_t i = 0; i < s->n_row && !differs; i++) {
            eh_stored_rows(m, s, i, 1, x);
            if (s->vector == NULL) {
                eh_tensor_rows(s->t, s->unpermute ? permuted_row(i, m->config.d_head) : i, 1, y);
                differs = memcmp(x, y, (size_t)s->n_col * sizeof *x) != 0;
                continue;
            }
            eh_tensor_rows(s->t, 0, 1, y);
            for (int64_t c = 0; c < s->n_col && !differs; c++)
                differs = memcmp(&x[eh_stored_row(m, s, c)], &y[c], sizeof *x) != 0;
        }
        eh_free(x);
    }
    *changed = differs;
    return EH_OK;
}

/* ---- Open, close, tell -------------------------------------------------------------------------- */

#define SCORING_MEMORY ((int64_t)384 << 20)
#define BATCH_TOKENS 4096

static int64_t count_parameters(const eh_weights *w)
{
    int64_t n = 0;
    for (int64_t i = 0; i < eh_weights_count(w); i++)
        n += eh_tensor_count(eh_weights_at(w, i));
    return n;
}

static int resolve_options(eh_model *m, const eh_options *given, eh_err *err)
{
    const eh_options o = given != NULL ? *given : (eh_options){0};
    if (o.threads < 0 || o.threads > 4096)
        return eh_fail(err, EH_EINVAL, "threads is %d, wanted 1 to 4096, or 0 for all cores", o.threads);
    if (o.batch_tokens < 0 || o.batch_tokens > (1 << 24))
        return eh_fail(err, EH_EINVAL, "batch_tokens is %lld, wanted 1 to %d", (long long)o.batch_tokens, 1 << 24);
    if (o.memory < 0)
        return eh_fail(err, EH_EINVAL, "memory is %lld bytes, wanted a positive number", (long long)o.memory);
    m->threads = o.threads > 0 ? o.threads : eh_par_cores();
    m->batch_tokens = o.batch_tokens > 0 ? o.batch_tokens : BATCH_TOKENS;
    m->memory = o.memory > 0 ? o.memory : SCORING_MEMORY;
    m->memory_given = o.memory > 0;
    m->sharing = !o.no_prefix_sharing;
    m->simd = eh_simd_get();
    m->product = o.product != NULL ? eh_product_named(o.product) : eh_product_best();
    if (m->product == NULL)
        return eh_fail(err, EH_EINVAL, "product backend \"%s\" is not in this build", o.product);
    m->precision = o.precision;
    if (m->precision == EH_AUTO)
        m->precision =
            count_parameters(m->weights) < 2000000000 || !eh_product_has_bf16() ? EH_F32 : EH_BF16;
    return EH_OK;
}

int eh_model_open(const char *path, const eh_options *options, eh_model **out, eh_err *err)
{
    eh_model *m = eh_calloc(1, (int64_t)sizeof *m);
    if (m == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a model");
    int rc;
    m->path = eh_strdup(path);
    if (m->path == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
        goto done;
    }
    if ((rc = eh_weights_open(path, &m->weights, err)) < 0 || (rc = resolve_options(m, options, err)) < 0 ||
        (rc = eh_config_read(m->weights, &m->config, err)) < 0)
        goto done;
    m->layer = eh_new(&m->arena, eh_layer, m->config.n_layer);
    if (m->layer == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld layers", (long long)m->config.n_layer);
        goto done;
    }
    rc = find(m, &name_embed, 0, "", m->config.n_vocab, m->config.d_model, &m->embed, err);
    for (int64_t i = 0; rc == EH_OK && i < m->config.n_layer; i++)
        rc = load_layer(m, i, err);
    if (rc < 0 || (rc = load_vector(m, &name_final_norm, 0, "", m->config.d_model, &m->final_norm, err)) < 0 ||
        (rc = load_head(m, err)) < 0 || (rc = load_rope(m, err)) < 0 || (rc = eh_model_open_tokenizer(m, err)) < 0)
        goto done;
    eh_model_plan_memory(m, m->memory);
    *out = m;
    m = NULL;
done:
    eh_model_close(m);
    return rc;
}

void eh_model_close(eh_model *m)
{
    if (m == NULL)
        return;
    if (m->layer != NULL && m->head != NULL)
        each_linear(m, drop_one, NULL);
    eh_block_free(m->own_embed);
    eh_model_free_edits(m);
    eh_tokenizer_close(m->tokenizer);
    eh_weights_close(m->weights);
    eh_free(m->rope_cos);
    eh_free(m->rope_sin);
    eh_free(m->path);
    eh_arena_clear(&m->arena);
    eh_arena_clear(&m->scratch);
    eh_free(m);
}

static void sum_one(eh_model *m, eh_linear *l, void *ctx)
{
    (void)m;
    int64_t *sum = ctx;
    sum[0] += packed_size(l);
    sum[1] += l->keep ? packed_size(l) : 0;
}

/* The processor's words for what the products use. */
static const char *cpu_features(void)
{
#if defined(__x86_64__)
    /* amx_bf16 is not among the names gcc 12 can ask for; oneDNN finds it by itself. */
    return __builtin_cpu_supports("avx512bf16") ? "avx512 avx512_bf16"
           : __builtin_cpu_supports("avx512f")  ? "avx512"
           : __builtin_cpu_supports("avx2")     ? "avx2"
                                                : "sse2";
#else
    return "generic";
#endif
}

void eh_model_info(const eh_model *m, eh_info *info)
{
    const eh_config *c = &m->config;
    int64_t sum[2] = {0, 0};
    each_linear((eh_model *)(uintptr_t)m, sum_one, sum);
    int64_t bytes = 0;
    for (int i = 0; i < eh_weights_n_file(m->weights); i++)
        bytes += eh_weights_file_map(m->weights, i)->n;
    const int64_t d_qkv = (c->n_head + 2 * c->n_kv) * c->d_head;
    *info = (eh_info){
        .path = m->path,
        .format = eh_weights_kind_of(m->weights) == EH_WEIGHTS_GGUF ? "GGUF" : "safetensors",
        .family = c->family->name,
        .dtype = eh_dtype_get(m->layer[0].down.part[0]->dtype)->name,
        .tokenizer = m->tokenizer != NULL ? eh_tokenizer_kind(m->tokenizer) : NULL,
        .tokenizer_trouble = m->tokenizer != NULL ? NULL : m->tokenizer_trouble,
        .product = m->product->name,
        .simd = m->simd->name,
        .features = cpu_features(),
        .n_layer = c->n_layer,
        .d_model = c->d_model,
        .n_head = c->n_head,
        .n_kv = c->n_kv,
        .d_head = c->d_head,
        .d_ff = c->d_ff,
        .n_vocab = c->n_vocab,
        .n_ctx = c->n_ctx,
        .n_param = count_parameters(m->weights),
        .n_byte = bytes,
        .tied = c->tied,
        .precision = m->precision,
        .threads = m->threads,
        .batch_tokens = m->batch_tokens,
        .packed_bytes = sum[0],
        .kept_bytes = sum[1],
        .batch_bytes = m->batch_tokens * (12 * c->d_model + 4 * d_qkv + 8 * c->n_head * c->d_head) +
                       (int64_t)512 * c->d_ff * 14 + (int64_t)256 * EH_HEAD_SLICE * 4,
        .bos = c->bos,
        .eos = c->eos,
    };
}

int eh_model_fingerprint(const eh_model *m, char out[65], eh_err *err)
{
    const int rc = eh_weights_fingerprint(m->weights, out, err);
    return rc < 0 || (m->n_edit == 0 && m->trained[0] == '\0') ? rc : eh_model_fingerprint_edits(m, out, err);
}

void eh_model_counts(const eh_model *m, int64_t *computed, int64_t *asked)
{
    *computed = m->n_computed;
    *asked = m->n_asked;
}
