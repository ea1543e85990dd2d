/* Opening a model: tensors found and checked against the config, matrices described, nothing packed. */
#include <math.h>

#include "model/model.h"

int64_t eh_norm_width(const eh_config *c, eh_norm_role role)
{
    return eh_slot_cols(c, (eh_slot)(EH_SLOT_NORM + role));
}

/* Where a slot's weight or bias lies, checked. */
static int find(const eh_model *m, eh_slot slot, int64_t layer, bool bias, eh_part *p, eh_err *err)
{
    eh_filed f;
    eh_config_filed(&m->config, slot, layer, bias, &f);
    const eh_part found = eh_part_find(m->weights, &m->config, &f);
    const int rc = eh_part_check(&found, &f, m->path, err);
    if (rc == EH_OK)
        *p = found;
    return rc;
}

/* A small vector, to f32 in the model's arena. */
static int load_vector(eh_model *m, const eh_part *p, float **out, eh_err *err)
{
    float *x = eh_new_raw(&m->arena, float, p->n_out);
    if (x == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld weights", (long long)p->n_out);
    eh_part_rows(p, 0, p->n_out, x);
    *out = x;
    return EH_OK;
}

/* A norm's weight, and its bias where it has one. */
static int load_norm(eh_model *m, eh_slot slot, int64_t layer, float **weight, float **bias, eh_err *err)
{
    eh_part p;
    int rc = EH_OK;
    if (eh_config_has(&m->config, slot) && (rc = find(m, slot, layer, false, &p, err)) == EH_OK)
        rc = load_vector(m, &p, weight, err);
    if (rc == EH_OK && eh_config_has_bias(&m->config, slot) && (rc = find(m, slot, layer, true, &p, err)) == EH_OK)
        rc = load_vector(m, &p, bias, err);
    return rc;
}

/* Adds a projection to its matrix: weight, and bias if it has one. */
static int add_part(eh_model *m, eh_matrix *x, eh_slot slot, int64_t layer, eh_err *err)
{
    eh_part bias;
    int rc = find(m, slot, layer, false, &x->part[x->n_part], err);
    if (rc == EH_OK && x->bias != NULL && (rc = find(m, slot, layer, true, &bias, err)) == EH_OK)
        eh_part_rows(&bias, 0, bias.n_out, x->bias + x->n_out);
    if (rc < 0)
        return rc;
    x->n_out += x->part[x->n_part++].n_out;
    return EH_OK;
}

static int load_linear(eh_model *m, eh_linear_role role, int64_t layer, eh_err *err)
{
    const eh_config *c = &m->config;
    eh_matrix *x = &m->layer[layer].linear[role];
    int64_t n_out = 0;
    bool bias = false;
    for (int k = 0; k < EH_N_PROJECTION; k++)
        if (eh_projections[k].role == role && eh_config_has(c, eh_projections[k].slot)) {
            x->n_in = eh_slot_cols(c, eh_projections[k].slot);
            n_out += eh_slot_rows(c, eh_projections[k].slot);
            bias = eh_config_has_bias(c, eh_projections[k].slot);
        }
    if (bias && (x->bias = eh_new(&m->arena, float, n_out)) == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld biases", (long long)n_out);
    int rc = EH_OK;
    for (int k = 0; k < EH_N_PROJECTION && rc == EH_OK; k++)
        if (eh_projections[k].role == role && eh_config_has(c, eh_projections[k].slot))
            rc = add_part(m, x, eh_projections[k].slot, layer, err);
    return rc;
}

static int load_layer(eh_model *m, int64_t i, eh_err *err)
{
    eh_layer *l = &m->layer[i];
    int rc = EH_OK;
    for (int k = 0; k < EH_N_NORM && rc == EH_OK; k++)
        rc = load_norm(m, (eh_slot)(EH_SLOT_NORM + k), i, &l->norm[k], &l->norm_bias[k], err);
    for (int k = 0; k < EH_N_LINEAR && rc == EH_OK; k++)
        rc = load_linear(m, (eh_linear_role)k, i, err);
    return rc;
}

static int load_head(eh_model *m, eh_err *err)
{
    const eh_config *c = &m->config;
    eh_part p;
    int rc = find(m, c->tied ? EH_SLOT_EMBED : EH_SLOT_LM_HEAD, 0, false, &p, err);
    if (rc < 0)
        return rc;
    m->n_lm_head_slice = (c->n_vocab + EH_LM_HEAD_SLICE - 1) / EH_LM_HEAD_SLICE;
    m->lm_head = eh_new(&m->arena, eh_matrix, m->n_lm_head_slice);
    if (m->lm_head == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the output head's slices");
    for (int64_t i = 0; i < m->n_lm_head_slice; i++) {
        const int64_t first = i * EH_LM_HEAD_SLICE;
        m->lm_head[i] = (eh_matrix){
            .part = {p},
            .n_part = 1,
            .first = first,
            .n_out = c->n_vocab - first < EH_LM_HEAD_SLICE ? c->n_vocab - first : EH_LM_HEAD_SLICE,
            .n_in = c->d_model,
        };
    }
    return EH_OK;
}

static int load_tables(eh_model *m, eh_err *err)
{
    eh_part embed = {0}, position = {0};
    int rc = find(m, EH_SLOT_EMBED, 0, false, &embed, err);
    if (rc == EH_OK && eh_config_has(&m->config, EH_SLOT_POSITION))
        rc = find(m, EH_SLOT_POSITION, 0, false, &position, err);
    m->embed = embed.t;
    m->position = position.t;
    return rc;
}

/* What a GGUF divides the frequencies by: factor [n]. */
static int load_factors(eh_model *m, int64_t n, float **factor, eh_err *err)
{
    const eh_filed f = {.name = EH_ROPE_FACTORS_NAME, .n_out = n, .n_whole = n};
    const eh_part p = eh_part_find(m->weights, &m->config, &f);
    int rc = eh_part_check(&p, &f, m->path, err);
    if (rc == EH_OK)
        rc = load_vector(m, &p, factor, err);
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        if (!((*factor)[i] > 0.0f) || !isfinite((*factor)[i]))
            rc = eh_fail(err, EH_EFORMAT, "%s: %s[%lld] is %g, wanted a positive number", m->path, f.name,
                         (long long)i, (double)(*factor)[i]);
    return rc;
}

/* Radians per position of each rotary pair. Sources: RoFormer eq. 15; Llama 3's scaling as in
 * Meta's llama-models and transformers' modeling_rope_utils, "llama3". */
static int load_rope(eh_model *m, int which, eh_err *err)
{
    const eh_config *c = &m->config;
    const eh_rope *r = &c->rope[which];
    const int64_t n = c->d_rot / 2;
    float *factor = NULL;
    double *freq = m->rope_freq[which] = eh_new(&m->arena, double, n);
    if (freq == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld rotary frequencies", (long long)n);
    if (r->scaling == EH_ROPE_FACTORS) {
        const int rc = load_factors(m, n, &factor, err);
        if (rc < 0)
            return rc;
    }
    for (int64_t i = 0; i < n; i++) {
        double f = pow(r->theta, -2.0 * (double)i / (double)c->d_rot);
        if (r->scaling == EH_ROPE_LINEAR) {
            f /= r->factor;
        } else if (r->scaling == EH_ROPE_FACTORS) {
            f /= (double)factor[i];
        } else if (r->scaling == EH_ROPE_LLAMA3) {
            const double turns = f * (double)r->original_ctx / 6.283185307179586476925;
            if (turns < r->low)
                f /= r->factor;
            else if (turns < r->high) {
                const double smooth = (turns - r->low) / (r->high - r->low);
                f = (1.0 - smooth) * f / r->factor + smooth * f;
            }
        }
        freq[i] = f;
    }
    return EH_OK;
}

int eh_model_load(eh_model *m, eh_err *err)
{
    const eh_config *c = &m->config;
    m->layer = eh_new(&m->arena, eh_layer, c->n_layer);
    if (m->layer == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld layers", (long long)c->n_layer);
    int rc = load_tables(m, err);
    for (int64_t i = 0; rc == EH_OK && i < c->n_layer; i++)
        rc = load_layer(m, i, err);
    if (rc == EH_OK)
        rc = load_norm(m, EH_SLOT_FINAL_NORM, 0, &m->final_norm, &m->final_norm_bias, err);
    if (rc == EH_OK)
        rc = load_head(m, err);
    for (int k = 0; rc == EH_OK && k < EH_ROPES; k++)
        if (c->d_rot > 0 && c->rope[k].theta > 0.0)
            rc = load_rope(m, k, err);
    return rc;
}
