/* Opening a model: tensors found and checked against the config, matrices described, nothing packed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"

int64_t eh_norm_width(const eh_config *c, eh_norm_role role)
{
    return role == EH_NORM_Q || role == EH_NORM_K ? c->d_head : c->d_model;
}

/* The tensor of this name, of shape [rows, cols], or [rows] when cols is 0. */
static int find(const eh_model *m, const char *name, int64_t rows, int64_t cols, const eh_tensor **t, eh_err *err)
{
    const eh_tensor *found = eh_weights_find(m->weights, name);
    if (found == NULL)
        return eh_fail(err, EH_EFORMAT, "%s: has no tensor \"%s\"", m->path, name);
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
        return eh_fail(err, EH_EFORMAT, "%s: tensor \"%s\" is %s, wanted %s", m->path, name, got, wanted);
    }
    if (found->dtype == EH_DTYPE_I32 || found->dtype == EH_DTYPE_I64 || found->dtype == EH_DTYPE_U8)
        return eh_fail(err, EH_EFORMAT, "%s: tensor \"%s\" holds integers, wanted weights", m->path, name);
    *t = found;
    return EH_OK;
}

static int find_slot(const eh_model *m, eh_slot slot, int64_t layer, const char *kind, int64_t rows, int64_t cols,
                     const eh_tensor **t, eh_err *err)
{
    char name[EH_TENSOR_NAME];
    eh_model_name(m, slot, layer, kind, name);
    return find(m, name, rows, cols, t, err);
}

/* A small vector, to f32 in the model's arena. */
static int load_vector(eh_model *m, const char *name, int64_t n, float **out, eh_err *err)
{
    const eh_tensor *t;
    int rc = find(m, name, n, 0, &t, err);
    if (rc < 0)
        return rc;
    float *x = eh_new_raw(&m->arena, float, n);
    if (x == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld weights", (long long)n);
    eh_tensor_rows(t, 0, 1, x);
    *out = x;
    return EH_OK;
}

static int load_slot(eh_model *m, eh_slot slot, int64_t layer, const char *kind, int64_t n, float **out, eh_err *err)
{
    char name[EH_TENSOR_NAME];
    eh_model_name(m, slot, layer, kind, name);
    return load_vector(m, name, n, out, err);
}

int64_t eh_permuted_row(int64_t r, int64_t d_head)
{
    const int64_t head = r / d_head, c = r % d_head, half = d_head / 2;
    return head * d_head + c % half * 2 + c / half;
}

int64_t eh_unpermuted_row(int64_t r, int64_t d_head)
{
    const int64_t head = r / d_head, c = r % d_head, half = d_head / 2;
    return head * d_head + c % 2 * half + c / 2;
}

/* One stored projection, as a part of a layer's matrix. */
typedef struct part {
    eh_slot slot;
    eh_linear_role role;
    int64_t n_out;
    bool unpermute;
} part;

/* Adds a projection to its matrix: weight, and bias if it has one. */
static int add_part(eh_model *m, eh_matrix *x, const part *p, int64_t layer, eh_err *err)
{
    int rc = find_slot(m, p->slot, layer, "weight", p->n_out, x->n_in, &x->part[x->n_part], err);
    if (rc == EH_OK && x->bias != NULL) {
        float *b = NULL;
        rc = load_slot(m, p->slot, layer, "bias", p->n_out, &b, err);
        for (int64_t i = 0; rc == EH_OK && i < p->n_out; i++)
            x->bias[x->n_out + i] = b[p->unpermute ? eh_permuted_row(i, m->config.d_head) : i];
    }
    if (rc < 0)
        return rc;
    x->unpermute[x->n_part] = p->unpermute;
    x->n_part++;
    x->n_out += p->n_out;
    return EH_OK;
}

static int load_layer(eh_model *m, int64_t i, eh_err *err)
{
    const eh_config *c = &m->config;
    eh_layer *l = &m->layer[i];
    const int64_t d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    const bool swap = eh_weights_kind_of(m->weights) == EH_WEIGHTS_GGUF && c->family->gguf_permutes;
    static const eh_slot norm[] = {EH_SLOT_ATTN_NORM, EH_SLOT_MLP_NORM, EH_SLOT_Q_NORM, EH_SLOT_K_NORM};
    const struct {
        int64_t n_in, n_out;
        bool bias;
    } shape[EH_N_LINEAR] = {
        [EH_LINEAR_QKV] = {c->d_model, d_q + 2 * d_kv, c->qkv_bias},
        [EH_LINEAR_O] = {d_q, c->d_model, c->o_bias},
        [EH_LINEAR_UP] = {c->d_model, 2 * c->d_ff, c->mlp_bias},
        [EH_LINEAR_DOWN] = {c->d_ff, c->d_model, c->mlp_bias},
    };
    const part parts[] = {
        {EH_SLOT_Q, EH_LINEAR_QKV, d_q, swap},          {EH_SLOT_K, EH_LINEAR_QKV, d_kv, swap},
        {EH_SLOT_V, EH_LINEAR_QKV, d_kv, false},        {EH_SLOT_O, EH_LINEAR_O, c->d_model, false},
        {EH_SLOT_GATE, EH_LINEAR_UP, c->d_ff, false},   {EH_SLOT_UP, EH_LINEAR_UP, c->d_ff, false},
        {EH_SLOT_DOWN, EH_LINEAR_DOWN, c->d_model, false},
    };
    int rc = EH_OK;
    for (int k = 0; k <= EH_NORM_K && rc == EH_OK; k++)
        if ((k != EH_NORM_Q && k != EH_NORM_K) || c->family->qk_norm)
            rc = load_slot(m, norm[k], i, "", eh_norm_width(c, (eh_norm_role)k), &l->norm[k], err);
    for (int k = 0; k < EH_N_LINEAR && rc == EH_OK; k++) {
        l->linear[k].n_in = shape[k].n_in;
        if (shape[k].bias && (l->linear[k].bias = eh_new(&m->arena, float, shape[k].n_out)) == NULL)
            rc = eh_fail(err, EH_ENOMEM, "no memory for %lld biases", (long long)shape[k].n_out);
    }
    for (size_t k = 0; k < sizeof parts / sizeof *parts && rc == EH_OK; k++)
        rc = add_part(m, &l->linear[parts[k].role], &parts[k], i, err);
    l->window = i >= c->window_first ? c->window : 0;
    return rc;
}

static int load_head(eh_model *m, eh_err *err)
{
    const eh_config *c = &m->config;
    const eh_tensor *t;
    int rc = find_slot(m, c->tied ? EH_SLOT_EMBED : EH_SLOT_HEAD, 0, "", c->n_vocab, c->d_model, &t, err);
    if (rc < 0)
        return rc;
    m->n_head_slice = (c->n_vocab + EH_HEAD_SLICE - 1) / EH_HEAD_SLICE;
    m->head = eh_new(&m->arena, eh_matrix, m->n_head_slice);
    if (m->head == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the output head's slices");
    for (int64_t i = 0; i < m->n_head_slice; i++) {
        const int64_t first = i * EH_HEAD_SLICE;
        m->head[i] = (eh_matrix){
            .part = {t},
            .n_part = 1,
            .first = first,
            .n_out = c->n_vocab - first < EH_HEAD_SLICE ? c->n_vocab - first : EH_HEAD_SLICE,
            .n_in = c->d_model,
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
        const int rc = load_vector(m, "rope_freqs.weight", n, &factor, err);
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

int eh_model_load(eh_model *m, eh_err *err)
{
    const eh_config *c = &m->config;
    m->layer = eh_new(&m->arena, eh_layer, c->n_layer);
    if (m->layer == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld layers", (long long)c->n_layer);
    int rc = find_slot(m, EH_SLOT_EMBED, 0, "", c->n_vocab, c->d_model, &m->embed, err);
    for (int64_t i = 0; rc == EH_OK && i < c->n_layer; i++)
        rc = load_layer(m, i, err);
    if (rc == EH_OK)
        rc = load_slot(m, EH_SLOT_FINAL_NORM, 0, "", c->d_model, &m->final_norm, err);
    if (rc == EH_OK)
        rc = load_head(m, err);
    return rc == EH_OK ? load_rope(m, err) : rc;
}
