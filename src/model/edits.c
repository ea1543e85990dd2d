/*
 * Edits in force: what a recipe does to a model in memory.
 *
 * An edit is kept as scales on the rows and columns of linears, and takes part when a linear is
 * expanded for packing: the file stays mapped, and an edit costs no memory to speak of.
 *
 * Soft pruning, published as W_M^h <- (1 - a) W_M^h for M in {Q, K, V}: with one K/V head a query head
 * that multiplies the head's attention logits by (1-a)^2 and its output by (1-a). Here the first goes
 * into the rows of Q and the second into the columns of the output projection, which says the same
 * and touches no other head when K and V are shared (docs/methods/edits.md).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/model.h"

void eh_linear_unedit(eh_linear *l)
{
    eh_free(l->row_scale);
    eh_free(l->col_scale);
    eh_free(l->bias_now);
    l->row_scale = l->col_scale = l->bias_now = NULL;
}

void eh_model_free_edits(eh_model *m)
{
    for (int64_t i = 0; i < m->n_edit; i++)
        eh_free((void *)(uintptr_t)m->edit[i].mean);
    eh_free(m->edit);
    m->edit = NULL;
    m->n_edit = 0;
}

const eh_unit_edit *eh_model_edits(const eh_model *m, int64_t *n)
{
    *n = m->n_edit;
    return m->edit;
}

int eh_model_fingerprint_edits(const eh_model *m, char text[65], eh_err *err)
{
    eh_sha256 h;
    eh_sha256_begin(&h);
    eh_sha256_add_text(&h, eh_str_of(text));
    eh_sha256_add_text(&h, eh_str_of(m->trained));
    for (int64_t i = 0; i < m->n_edit; i++) {
        const eh_unit_edit *e = &m->edit[i];
        const int64_t where[4] = {(int64_t)e->kind, e->layer, e->index, (int64_t)e->mode};
        eh_sha256_add(&h, where, (int64_t)sizeof where);
        eh_sha256_add(&h, &e->alpha, (int64_t)sizeof e->alpha);
        if (e->mean != NULL)
            eh_sha256_add(&h, e->mean, (e->kind == EH_UNIT_HEAD ? m->config.d_head : 1) * (int64_t)sizeof *e->mean);
    }
    return eh_sha256_end(&h, text, err);
}

static int named_twice(const eh_unit_edit *edit, int64_t i, eh_err *err)
{
    const eh_unit_edit *e = &edit[i];
    int64_t k = 0;
    while (edit[k].kind != e->kind || edit[k].layer != e->layer || edit[k].index != e->index)
        k++;
    return eh_fail(err, EH_EINVAL, "units %lld and %lld are both layer %lld, %s %lld", (long long)k, (long long)i,
                   (long long)e->layer, e->kind == EH_UNIT_HEAD ? "head" : "neuron", (long long)e->index);
}

/* named [n_layer, n_head + d_ff], all false. */
static int check(const eh_model *m, const eh_unit_edit *edit, int64_t n, bool *named, eh_err *err)
{
    const eh_config *c = &m->config;
    for (int64_t i = 0; i < n; i++) {
        const eh_unit_edit *e = &edit[i];
        const bool head = e->kind == EH_UNIT_HEAD;
        const int64_t n_unit = head ? c->n_head : c->d_ff;
        const char *const unit = head ? "head" : "neuron";
        if (e->mode > EH_EDIT_MEAN || e->kind > EH_UNIT_NEURON)
            return eh_fail(err, EH_EINVAL, "unit %lld: has a kind or mode that is not in evenhand.h", (long long)i);
        if (e->layer < 0 || e->layer >= c->n_layer || e->index < 0 || e->index >= n_unit)
            return eh_fail(err, EH_ERANGE, "unit %lld is layer %lld, %s %lld; the model has layers 0 to %lld, each with "
                           "%ss 0 to %lld", (long long)i, (long long)e->layer, unit, (long long)e->index,
                           (long long)c->n_layer - 1, unit, (long long)n_unit - 1);
        if (!(e->alpha >= 0.0 && e->alpha <= 1.0)) /* NaN fails, too */
            return eh_fail(err, EH_ERANGE, "unit %lld: alpha is %g, wanted 0 (left alone) to 1 (silenced)",
                           (long long)i, e->alpha);
        if (e->mode == EH_EDIT_MEAN && e->mean == NULL)
            return eh_fail(err, EH_EINVAL, "unit %lld: mode \"mean\" wants the unit's mean output", (long long)i);
        bool *const seen = &named[e->layer * (c->n_head + c->d_ff) + (head ? 0 : c->n_head) + e->index];
        if (*seen)
            return named_twice(edit, i, err);
        *seen = true;
    }
    return EH_OK;
}

/* Scales of a linear; all 1 when new. */
static bool need_scale(float **scale, int64_t n)
{
    if (*scale != NULL)
        return true;
    *scale = eh_alloc(n, (int64_t)sizeof **scale);
    for (int64_t i = 0; *scale != NULL && i < n; i++)
        (*scale)[i] = 1.0f;
    return *scale != NULL;
}

/* bias_now += columns [at, at + n) of W, as stored, times mean. */
static bool add_mean(const eh_model *m, eh_linear *l, int64_t at, int64_t n, const float *mean)
{
    float *row = eh_alloc(l->n_in, (int64_t)sizeof *row);
    if (l->bias_now == NULL) {
        l->bias_now = eh_calloc(l->n_out, (int64_t)sizeof *l->bias_now);
        if (l->bias_now != NULL && l->bias != NULL)
            memcpy(l->bias_now, l->bias, (size_t)l->n_out * sizeof *l->bias);
    }
    if (row == NULL || l->bias_now == NULL) {
        eh_free(row);
        return false;
    }
    const eh_linear plain = {.part = {l->part[0]}, .unpermute = {l->unpermute[0]}, .n_part = 1, .n_out = l->n_out,
                             .n_in = l->n_in, .own = l->own};
    for (int64_t r = 0; r < l->n_out; r++) {
        eh_linear_rows(m, &plain, r, 1, row);
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++)
            sum += (double)row[at + i] * (double)mean[i];
        l->bias_now[r] = (float)((double)l->bias_now[r] + sum);
    }
    eh_free(row);
    return true;
}

static bool edit_head(const eh_model *m, eh_layer *l, const eh_unit_edit *e)
{
    const int64_t d = m->config.d_head, at = e->index * d;
    const float keep = e->mode == EH_EDIT_SOFT || e->mode == EH_EDIT_OUTPUT ? (float)(1.0 - e->alpha) : 0.0f;
    if (!need_scale(&l->o.col_scale, l->o.n_in))
        return false;
    for (int64_t i = 0; i < d; i++)
        l->o.col_scale[at + i] = keep;
    if (e->mode == EH_EDIT_MEAN && !add_mean(m, &l->o, at, d, e->mean))
        return false;
    if (e->mode != EH_EDIT_SOFT || l->q_norm != NULL)
        return true;
    if (!need_scale(&l->qkv.row_scale, l->qkv.n_out))
        return false;
    for (int64_t i = 0; i < d; i++)
        l->qkv.row_scale[at + i] = (float)((1.0 - e->alpha) * (1.0 - e->alpha));
    return true;
}

static bool edit_neuron(const eh_model *m, eh_layer *l, const eh_unit_edit *e)
{
    const float keep = e->mode == EH_EDIT_SOFT || e->mode == EH_EDIT_OUTPUT ? (float)(1.0 - e->alpha) : 0.0f;
    if (!need_scale(&l->down.col_scale, l->down.n_in))
        return false;
    l->down.col_scale[e->index] = keep;
    if (e->mode == EH_EDIT_MEAN)
        return add_mean(m, &l->down, e->index, 1, e->mean);
    if (e->mode != EH_EDIT_ZERO)
        return true;
    if (!need_scale(&l->gate_up.row_scale, l->gate_up.n_out))
        return false;
    l->gate_up.row_scale[e->index] = 0.0f;
    l->gate_up.row_scale[m->config.d_ff + e->index] = 0.0f;
    return true;
}

/* The rows' scales hold for their biases. */
static bool scale_bias(eh_linear *l)
{
    if (l->bias == NULL || l->row_scale == NULL)
        return true;
    l->bias_now = eh_alloc(l->n_out, (int64_t)sizeof *l->bias_now);
    for (int64_t i = 0; l->bias_now != NULL && i < l->n_out; i++)
        l->bias_now[i] = l->bias[i] * l->row_scale[i];
    return l->bias_now != NULL;
}

/* The linears that edits reach, in the order of `saved` below. */
#define N_EDITED 4
static void edited_linears(eh_layer *l, eh_linear *out[N_EDITED])
{
    out[0] = &l->qkv;
    out[1] = &l->o;
    out[2] = &l->gate_up;
    out[3] = &l->down;
}

int eh_model_edit(eh_model *m, const eh_unit_edit *edit, int64_t n, eh_err *err)
{
    const int64_t n_layer = m->config.n_layer;
    bool *named = eh_calloc(n_layer, m->config.n_head + m->config.d_ff);
    int rc = named != NULL ? check(m, edit, n, named, err)
                           : eh_fail(err, EH_ENOMEM, "no memory to check %lld edits", (long long)n);
    eh_free(named);
    if (rc < 0)
        return rc;
    /* Everything that can fail is done beside what is in force. */
    eh_unit_edit *copy = eh_calloc(n > 0 ? n : 1, (int64_t)sizeof *copy);
    eh_linear *saved = eh_calloc(n_layer * N_EDITED, (int64_t)sizeof *saved);
    bool good = copy != NULL && saved != NULL;
    for (int64_t i = 0; good && i < n; i++) {
        copy[i] = edit[i];
        copy[i].mean = NULL;
        if (edit[i].mode != EH_EDIT_MEAN)
            continue;
        const int64_t width = edit[i].kind == EH_UNIT_HEAD ? m->config.d_head : 1;
        float *mean = eh_alloc(width, (int64_t)sizeof *mean);
        if ((good = mean != NULL))
            memcpy(mean, edit[i].mean, (size_t)width * sizeof *mean);
        copy[i].mean = mean;
    }
    if (!good) {
        for (int64_t i = 0; copy != NULL && i < n; i++)
            eh_free((void *)(uintptr_t)copy[i].mean);
        eh_free(copy);
        eh_free(saved);
        return eh_fail(err, EH_ENOMEM, "no memory for %lld edits", (long long)n);
    }
    eh_linear *l[N_EDITED];
    for (int64_t i = 0; i < n_layer; i++) {
        edited_linears(&m->layer[i], l);
        for (int k = 0; k < N_EDITED; k++) {
            saved[i * N_EDITED + k] = *l[k];
            l[k]->row_scale = l[k]->col_scale = l[k]->bias_now = NULL;
        }
    }
    for (int64_t i = 0; good && i < n; i++)
        good = copy[i].kind == EH_UNIT_HEAD ? edit_head(m, &m->layer[copy[i].layer], &copy[i])
                                            : edit_neuron(m, &m->layer[copy[i].layer], &copy[i]);
    for (int64_t i = 0; good && i < n_layer; i++)
        good = scale_bias(&m->layer[i].qkv) && scale_bias(&m->layer[i].gate_up);
    for (int64_t i = 0; i < n_layer; i++) {
        edited_linears(&m->layer[i], l);
        for (int k = 0; k < N_EDITED; k++) {
            eh_linear *was = &saved[i * N_EDITED + k];
            if (!good) {
                eh_linear_unedit(l[k]);
                *l[k] = *was;
                continue;
            }
            if (was->row_scale != NULL || was->col_scale != NULL || was->bias_now != NULL || l[k]->row_scale != NULL ||
                l[k]->col_scale != NULL || l[k]->bias_now != NULL)
                eh_linear_changed(l[k]);
            eh_linear_unedit(was);
        }
    }
    eh_free(saved);
    if (!good) {
        for (int64_t i = 0; i < n; i++)
            eh_free((void *)(uintptr_t)copy[i].mean);
        eh_free(copy);
        return eh_fail(err, EH_ENOMEM, "no memory for the scales of %lld edits", (long long)n);
    }
    eh_model_free_edits(m);
    m->edit = copy;
    m->n_edit = n;
    return EH_OK;
}
