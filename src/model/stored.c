#include "model/stored.h"

#include <string.h>

#include "base/par.h"

/* Of a layer: a weight and a bias for each projection, then for each norm; behind the layers the rest. */
#define N_LAYER_SLOT (2 * (EH_N_PROJECTION + EH_N_NORM))
static const struct {
    eh_slot slot;
    bool bias;
} rest[] = {
    {EH_SLOT_EMBED, false},      {EH_SLOT_LM_HEAD, false},     {EH_SLOT_FINAL_NORM, false},
    {EH_SLOT_FINAL_NORM, true}, {EH_SLOT_POSITION, false},
};
#define N_REST ((int64_t)(sizeof rest / sizeof *rest))

int64_t eh_n_stored(const eh_model *m)
{
    return m->config.n_layer * N_LAYER_SLOT + N_REST;
}

static void find(const eh_session *s, eh_stored *t)
{
    eh_filed f;
    eh_config_filed(&s->m->config, t->slot, t->layer, t->bias, &f);
    memcpy(t->name, f.name, sizeof t->name);
    t->part = eh_part_find(s->m->weights, &s->m->config, &f);
}

static bool projection_at(const eh_session *s, const eh_projection *p, eh_stored *t)
{
    t->slot = p->slot;
    t->role = p->role;
    t->l = &s->layer[t->layer].linear[t->role];
    for (const eh_projection *before = eh_projections; before < p; before++)
        if (before->role == p->role && eh_config_has(&s->m->config, before->slot))
            t->first += eh_slot_rows(&s->m->config, before->slot);
    const int64_t n_out = eh_slot_rows(&s->m->config, t->slot);
    t->n_row = t->bias ? 1 : n_out;
    t->n_col = t->bias ? n_out : t->l->n_in;
    find(s, t);
    if (!eh_config_has(&s->m->config, t->slot))
        return false;
    if (!t->bias)
        return true;
    const float *bias = eh_linear_bias(t->l);
    t->vector = bias != NULL ? bias + t->first : NULL;
    return bias != NULL;
}

static bool rest_at(const eh_session *s, int64_t i, eh_stored *t)
{
    const eh_config *c = &s->m->config;
    t->layer = -1;
    t->slot = rest[i].slot;
    t->bias = rest[i].bias;
    if (t->slot != EH_SLOT_FINAL_NORM)
        t->n_row = eh_slot_rows(c, t->slot);
    else
        t->vector = t->bias ? s->final_norm_bias : s->final_norm;
    find(s, t);
    return eh_config_has(c, t->slot) && (t->slot != EH_SLOT_FINAL_NORM || t->vector != NULL);
}

bool eh_stored_at(const eh_session *s, int64_t i, eh_stored *t)
{
    const eh_config *c = &s->m->config;
    *t = (eh_stored){.layer = i / N_LAYER_SLOT, .n_row = 1, .n_col = c->d_model};
    if (t->layer >= c->n_layer)
        return rest_at(s, i - c->n_layer * N_LAYER_SLOT, t);
    const int64_t k = i % N_LAYER_SLOT / 2;
    t->bias = i % 2 == 1;
    if (k < EH_N_PROJECTION)
        return projection_at(s, &eh_projections[k], t);
    const eh_norm_role role = (eh_norm_role)(k - EH_N_PROJECTION);
    t->slot = (eh_slot)(EH_SLOT_NORM + role);
    t->vector = t->bias ? s->layer[t->layer].norm_bias[role] : s->layer[t->layer].norm[role];
    t->n_col = eh_norm_width(c, role);
    find(s, t);
    return t->vector != NULL;
}

void eh_stored_rows(const eh_session *s, const eh_stored *t, int64_t row, int64_t n, float *out)
{
    if (t->vector != NULL)
        memcpy(out, t->vector, (size_t)t->n_col * sizeof *out);
    else if (t->l != NULL)
        eh_linear_rows(t->l, t->first + row, n, out);
    else if (t->slot == EH_SLOT_EMBED && s->own_embed != NULL)
        memcpy(out, s->own_embed + row * t->n_col, (size_t)(n * t->n_col) * sizeof *out);
    else if (t->slot == EH_SLOT_POSITION && s->own_position != NULL)
        memcpy(out, s->own_position + row * t->n_col, (size_t)(n * t->n_col) * sizeof *out);
    else if (t->slot == EH_SLOT_EMBED || t->slot == EH_SLOT_POSITION)
        eh_part_rows(&t->part, row, n, out);
    else
        for (int64_t i = 0; i < n; i++)
            eh_linear_rows(&s->lm_head[(row + i) / EH_LM_HEAD_SLICE], (row + i) % EH_LM_HEAD_SLICE, 1,
                           out + i * t->n_col);
}

void eh_stored_file_rows(const eh_stored *t, int64_t row, int64_t n, float *out)
{
    if (t->part.n_in == 0)
        eh_part_rows(&t->part, 0, t->n_col, out);
    else
        eh_part_rows(&t->part, row, n, out);
}

/* ---- What has changed ---------------------------------------------------------------------------------- */

/* What flags rule out need not be read. */
static bool may_have_changed(const eh_session *s, const eh_stored *t)
{
    if (t->vector != NULL)
        return true;
    if (t->slot == EH_SLOT_EMBED)
        return s->own_embed != NULL;
    if (t->slot == EH_SLOT_POSITION)
        return s->own_position != NULL;
    if (t->slot == EH_SLOT_LM_HEAD) {
        for (int64_t i = 0; i < s->m->n_lm_head_slice; i++)
            if (s->lm_head[i].own != NULL)
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

#define COMPARE_ROWS 16 /* at once: a transposed weight's rows cost less together */

int eh_stored_changed(const eh_session *s, const eh_stored *t, bool *changed, eh_err *err)
{
    bool differs = t->part.t == NULL;
    if (!differs && may_have_changed(s, t)) {
        float *x = eh_alloc(2 * COMPARE_ROWS * t->n_col, (int64_t)sizeof *x), *y = x + COMPARE_ROWS * t->n_col;
        if (x == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for a row of \"%s\"", t->name);
        for (int64_t i = 0; i < t->n_row && !differs; i += COMPARE_ROWS) {
            const int64_t n = t->n_row - i < COMPARE_ROWS ? t->n_row - i : COMPARE_ROWS;
            eh_stored_rows(s, t, i, n, x);
            eh_stored_file_rows(t, i, n, y);
            differs = memcmp(x, y, (size_t)(n * t->n_col) * sizeof *x) != 0;
        }
        eh_free(x);
    }
    *changed = differs;
    return EH_OK;
}

/* ---- The way back -------------------------------------------------------------------------------------- */

int eh_stored_writer_open(const eh_session *s, const eh_stored *t, eh_stored_writer *w, eh_err *err)
{
    const int64_t width = eh_part_width(&t->part);
    const bool turned = (t->part.layout & EH_LAYOUT_TRANSPOSED) != 0;
    float *row = eh_alloc(s->threads * width, (int64_t)sizeof *row);
    float *whole = turned ? eh_alloc(t->n_row * t->n_col, (int64_t)sizeof *whole) : NULL;
    if (row == NULL || (turned && whole == NULL)) {
        eh_free(row);
        eh_free(whole);
        return eh_fail(err, EH_ENOMEM, "no memory to write \"%s\"", t->name);
    }
    if (turned)
        eh_stored_rows(s, t, 0, t->n_row, whole);
    *w = (eh_stored_writer){s, t, row, whole};
    return EH_OK;
}

void eh_stored_writer_close(eh_stored_writer *w)
{
    eh_free(w->row);
    eh_free(w->whole);
    *w = (eh_stored_writer){0};
}

typedef struct write_job {
    const eh_stored_writer *w;
    int64_t first; /* row of the file's tensor */
    char *bytes;
} write_job;

static void write_row(void *ctx, int64_t i, int worker)
{
    const write_job *j = ctx;
    const eh_stored *t = j->w->t;
    const eh_part *p = &t->part;
    const int64_t width = eh_part_width(p), at = j->first + i;
    float *x = j->w->row + worker * width;
    if (t->vector != NULL)
        for (int64_t c = 0; c < width; c++)
            x[c] = t->vector[eh_part_row_at(p, c)];
    else if (j->w->whole != NULL)
        for (int64_t r = 0; r < width; r++)
            x[r] = j->w->whole[r * t->n_col + at];
    else
        eh_stored_rows(j->w->s, t, eh_part_row_at(p, at - p->first), 1, x);
    eh_part_overlay(p, x, j->bytes + i * eh_tensor_row_bytes(p->t));
}

void eh_stored_write(const eh_stored_writer *w, int64_t row, int64_t n, char *bytes)
{
    int64_t from, to;
    eh_part_span(&w->t->part, &from, &to);
    from = from > row ? from : row;
    to = to < row + n ? to : row + n;
    if (from >= to)
        return;
    write_job job = {w, from, bytes + (from - row) * eh_tensor_row_bytes(w->t->part.t)};
    eh_par_for(w->s->threads, to - from, write_row, &job);
}
