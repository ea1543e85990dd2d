#include "model/stored.h"

#include <string.h>

/* Of a layer: a weight and a bias for each projection, then the norms. */
static const struct {
    eh_slot slot;
    eh_linear_role role;
    int part; /* of its linear */
} projections[] = {
    {EH_SLOT_Q, EH_LINEAR_QKV, 0}, {EH_SLOT_K, EH_LINEAR_QKV, 1},   {EH_SLOT_V, EH_LINEAR_QKV, 2},
    {EH_SLOT_O, EH_LINEAR_O, 0},   {EH_SLOT_GATE, EH_LINEAR_UP, 0}, {EH_SLOT_UP, EH_LINEAR_UP, 1},
    {EH_SLOT_DOWN, EH_LINEAR_DOWN, 0},
};
#define N_PROJECTION ((int64_t)(sizeof projections / sizeof *projections))
static const eh_slot norms[EH_N_NORM] = {EH_SLOT_ATTN_NORM, EH_SLOT_MLP_NORM, EH_SLOT_Q_NORM, EH_SLOT_K_NORM};
#define N_LAYER_SLOT (2 * N_PROJECTION + EH_N_NORM)

int64_t eh_n_stored(const eh_model *m)
{
    return m->config.n_layer * N_LAYER_SLOT + 3;
}

static void name(const eh_session *s, const char *kind, eh_stored *t)
{
    eh_model_name(s->m, t->slot, t->layer, kind, t->name);
    t->t = eh_weights_find(s->m->weights, t->name);
}

static bool projection_at(const eh_session *s, int64_t k, eh_stored *t)
{
    const int part = projections[k / 2].part;
    t->slot = projections[k / 2].slot;
    t->role = projections[k / 2].role;
    t->bias = k % 2 == 1;
    t->l = &s->layer[t->layer].linear[t->role];
    for (int p = 0; p < part; p++)
        t->first += t->l->of->part[p]->dim[0];
    t->unpermute = t->l->of->unpermute[part];
    t->n_row = t->bias ? 1 : t->l->of->part[part]->dim[0];
    t->n_col = t->bias ? t->l->of->part[part]->dim[0] : t->l->n_in;
    name(s, t->bias ? "bias" : "weight", t);
    if (!t->bias)
        return true;
    const float *bias = eh_linear_bias(t->l);
    t->vector = bias != NULL ? bias + t->first : NULL;
    return bias != NULL;
}

bool eh_stored_at(const eh_session *s, int64_t i, eh_stored *t)
{
    const eh_config *c = &s->m->config;
    *t = (eh_stored){.layer = i / N_LAYER_SLOT, .n_row = 1, .n_col = c->d_model};
    const int64_t slot = i % N_LAYER_SLOT;
    if (t->layer >= c->n_layer) {
        static const eh_slot last[] = {EH_SLOT_EMBED, EH_SLOT_HEAD, EH_SLOT_FINAL_NORM};
        t->layer = -1;
        t->slot = last[i - c->n_layer * N_LAYER_SLOT];
        t->n_row = t->slot == EH_SLOT_FINAL_NORM ? 1 : c->n_vocab;
        t->vector = t->slot == EH_SLOT_FINAL_NORM ? s->final_norm : NULL;
        name(s, "", t);
        return !(t->slot == EH_SLOT_HEAD && c->tied);
    }
    if (slot < 2 * N_PROJECTION)
        return projection_at(s, slot, t);
    const int64_t k = slot - 2 * N_PROJECTION;
    t->slot = norms[k];
    t->vector = s->layer[t->layer].norm[k];
    t->n_col = eh_norm_width(c, (eh_norm_role)k);
    name(s, "", t);
    return t->vector != NULL;
}

void eh_stored_rows(const eh_session *s, const eh_stored *t, int64_t row, int64_t n, float *out)
{
    if (t->vector != NULL)
        memcpy(out, t->vector, (size_t)t->n_col * sizeof *out);
    else if (t->l != NULL)
        eh_linear_rows(s, t->l, t->first + row, n, out);
    else if (t->slot == EH_SLOT_EMBED && s->own_embed != NULL)
        memcpy(out, s->own_embed + row * t->n_col, (size_t)(n * t->n_col) * sizeof *out);
    else if (t->slot == EH_SLOT_EMBED)
        eh_tensor_rows(s->m->embed, row, n, out);
    else
        for (int64_t i = 0; i < n; i++)
            eh_linear_rows(s, &s->head[(row + i) / EH_HEAD_SLICE], (row + i) % EH_HEAD_SLICE, 1, out + i * t->n_col);
}

int64_t eh_stored_row(const eh_session *s, const eh_stored *t, int64_t at)
{
    return t->unpermute ? eh_unpermuted_row(at, s->m->config.d_head) : at;
}

/* What flags rule out need not be read. */
static bool may_have_changed(const eh_session *s, const eh_stored *t)
{
    if (t->vector != NULL)
        return true;
    if (t->slot == EH_SLOT_EMBED)
        return s->own_embed != NULL;
    if (t->slot == EH_SLOT_HEAD) {
        for (int64_t i = 0; i < s->m->n_head_slice; i++)
            if (s->head[i].own != NULL)
                return true;
        return false;
    }
    if (t->l->own != NULL || t->l->col_scale != NULL)
        return true;
    for (int64_t i = 0; i < t->n_row && t->l->row_scale != NULL; i++)
        if (t->l->row_scale[t->first + i] != 1.0f)
            return true;
    return false;
}

int eh_stored_changed(const eh_session *s, const eh_stored *t, bool *changed, eh_err *err)
{
    bool differs = t->t == NULL;
    if (!differs && may_have_changed(s, t)) {
        float *x = eh_alloc(2 * t->n_col, (int64_t)sizeof *x), *y = x + t->n_col;
        if (x == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for a row of \"%s\"", t->name);
        for (int64_t i = 0; i < t->n_row && !differs; i++) {
            eh_stored_rows(s, t, i, 1, x);
            if (t->vector == NULL) {
                eh_tensor_rows(t->t, t->unpermute ? eh_permuted_row(i, s->m->config.d_head) : i, 1, y);
                differs = memcmp(x, y, (size_t)t->n_col * sizeof *x) != 0;
                continue;
            }
            eh_tensor_rows(t->t, 0, 1, y);
            for (int64_t c = 0; c < t->n_col && !differs; c++)
                differs = memcmp(&x[eh_stored_row(s, t, c)], &y[c], sizeof *x) != 0;
        }
        eh_free(x);
    }
    *changed = differs;
    return EH_OK;
}
