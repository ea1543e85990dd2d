#include "train/params.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/par.h"

/* ---- Which linears ------------------------------------------------------------------------------- */

/* Which units' edits are on a linear. */
static eh_unit_kind unit_of(eh_linear_role role)
{
    return role == EH_LINEAR_QKV || role == EH_LINEAR_O ? EH_UNIT_HEAD : EH_UNIT_NEURON;
}

static bool layer_has(const eh_session *s, int64_t layer, eh_unit_kind kind)
{
    for (int64_t i = 0; i < s->n_edit; i++)
        if (s->edit[i].layer == layer && s->edit[i].kind == kind)
            return true;
    return false;
}

/* Rows of a layer's linear that are trained, from the first; 0: none. */
static int64_t trained_rows(const eh_params *p, int64_t layer, eh_linear_role role)
{
    const eh_config *c = &p->s->m->config;
    const eh_linear *l = &p->s->layer[layer].linear[role];
    switch (p->group) {
    case EH_TUNE_EDITED:
        if (!layer_has(p->s, layer, unit_of(role)))
            return 0;
        return role == EH_LINEAR_QKV ? c->n_head * c->d_head : l->n_out;
    case EH_TUNE_ATTENTION: return unit_of(role) == EH_UNIT_HEAD ? l->n_out : 0;
    case EH_TUNE_ALL: return l->n_out;
    case EH_TUNE_NORMS:
    case EH_TUNE_BY_PRESET:
    case EH_TUNE_NONE:
    case EH_TUNE_N_GROUP: break;
    }
    return 0;
}

static bool trains_norms(eh_tune_group group)
{
    return group == EH_TUNE_NORMS || group == EH_TUNE_ALL;
}

static bool is_edited(const eh_linear *l)
{
    return l->row_scale != NULL || l->col_scale != NULL || l->bias_now != NULL;
}

/* ---- The layout of pieces ------------------------------------------------------------------------ */

/* n weights at w, in a gradient of n_grad numbers; *grad gets its place. Without p->grad it only counts. */
static void add(eh_params *p, float *w, int64_t n, int64_t n_grad, float **grad)
{
    if (p->grad != NULL && grad != NULL)
        *grad = p->grad + p->n_grad;
    for (int64_t from = 0; from < n; from += EH_PARAM_PIECE, p->n_piece++)
        if (p->grad != NULL)
            p->piece[p->n_piece] = (eh_param_piece){w + from, n - from < EH_PARAM_PIECE ? n - from : EH_PARAM_PIECE,
                                                    p->n_grad + from};
    p->n_weight += n;
    p->n_grad += n_grad;
}

static void add_linear(eh_params *p, eh_linear *l, int64_t n_row, float **grad, float **bias_grad)
{
    if (n_row == 0)
        return;
    add(p, l->own, n_row * l->n_in, l->n_out * l->n_in, grad);
    /* A bias that an edit brings is the linear's own from now on. */
    if (eh_linear_bias(l) != NULL && bias_grad != NULL)
        add(p, l->own_bias, n_row, l->n_out, bias_grad);
    if (p->linear != NULL)
        p->linear[p->n_linear] = l;
    p->n_linear++;
}

/* A layer's pieces, in the order in which a checkpoint has them. */
static const struct {
    bool is_norm;
    int role;
} order[] = {
    {true, EH_NORM_ATTN},      {false, EH_LINEAR_QKV}, {true, EH_NORM_Q},      {true, EH_NORM_K},
    {false, EH_LINEAR_O},      {true, EH_NORM_POST_ATTN}, {true, EH_NORM_MLP}, {false, EH_LINEAR_UP},
    {false, EH_LINEAR_DOWN},   {true, EH_NORM_POST_MLP},
};

/* Counts pieces, or places them once p->grad is there. Both take the same way. */
static void lay_out(eh_params *p)
{
    eh_session *s = p->s;
    const eh_config *c = &s->m->config;
    const bool norms = trains_norms(p->group);
    p->n_piece = p->n_weight = p->n_grad = p->n_linear = 0;
    for (int64_t i = 0; i < c->n_layer; i++)
        for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
            eh_session_layer *l = &s->layer[i];
            eh_layer_grad *g = &p->grads.layer[i];
            const int role = order[k].role;
            if (!order[k].is_norm) {
                add_linear(p, &l->linear[role], trained_rows(p, i, (eh_linear_role)role), &g->linear[role],
                           &g->bias[role]);
            } else if (norms && l->norm[role] != NULL) {
                const int64_t n = eh_norm_width(c, (eh_norm_role)role);
                add(p, l->own_norm[role], n, n, &g->norm[role]);
                if (l->norm_bias[role] != NULL)
                    add(p, l->own_norm_bias[role], n, n, &g->norm_bias[role]);
            }
        }
    if (norms && s->final_norm != NULL)
        add(p, s->own_final_norm, c->d_model, c->d_model, &p->grads.final_norm);
    if (norms && s->final_norm_bias != NULL)
        add(p, s->own_final_norm_bias, c->d_model, c->d_model, &p->grads.final_norm_bias);
    if (p->group != EH_TUNE_ALL)
        return;
    add(p, s->own_embed, c->n_vocab * c->d_model, c->n_vocab * c->d_model, &p->grads.embed);
    const int64_t n_position = eh_session_positions(s) * c->d_model;
    if (n_position > 0)
        add(p, s->own_position, n_position, n_position, &p->grads.position);
    for (int64_t i = 0; i < s->m->n_lm_head_slice; i++) {
        eh_linear *l = &s->lm_head[i];
        if (!c->tied) /* the slices' gradients follow each other: one matrix */
            add_linear(p, l, l->n_out, i == 0 ? &p->grads.lm_head : NULL, NULL);
        else if (p->linear != NULL)
            p->linear[p->n_linear++] = l;
        else
            p->n_linear++;
    }
}

/* ---- Held slices --------------------------------------------------------------------------------- */

#define HOLDS 5 /* blocks of one edit at most */

static int64_t hold_room(const eh_config *c)
{
    const int64_t head = 2 * c->d_model * c->d_head + c->d_head + c->d_model, neuron = 4 * c->d_model + 2;
    return head > neuron ? head : neuron;
}

/* Rows row..row+n_row-1, columns col..col+n_col-1 of a [., stride] matrix whose gradient is g; none without one. */
static void hold(eh_params *p, float *w, float *g, int64_t stride, int64_t row, int64_t n_row, int64_t col,
                 int64_t n_col)
{
    if (w == NULL || g == NULL)
        return;
    float *value = p->n_hold == 0 ? p->held : p->hold[p->n_hold - 1].value +
                                                  p->hold[p->n_hold - 1].n_row * p->hold[p->n_hold - 1].n_col;
    eh_hold *h = &p->hold[p->n_hold++];
    *h = (eh_hold){w + row * stride + col, g + row * stride + col, n_row, n_col, stride, value};
    for (int64_t i = 0; i < n_row; i++)
        memcpy(h->value + i * n_col, h->w + i * stride, (size_t)n_col * sizeof *h->value);
}

/* Rows row..row+n_row-1, columns col..col+n_col-1 of a layer's linear; of its bias, numbers col..col+n_col-1. */
static void hold_part(eh_params *p, int64_t layer, eh_linear_role role, int64_t row, int64_t n_row, int64_t col,
                      int64_t n_col)
{
    const eh_linear *l = &p->s->layer[layer].linear[role];
    hold(p, l->own, p->grads.layer[layer].linear[role], l->n_in, row, n_row, col, n_col);
}

static void hold_bias(eh_params *p, int64_t layer, eh_linear_role role, int64_t at, int64_t n)
{
    const eh_linear *l = &p->s->layer[layer].linear[role];
    hold(p, l->own_bias, p->grads.layer[layer].bias[role], l->n_out, 0, 1, at, n);
}

/* What eh_session_edit touches for this edit (edits.c). */
static void hold_edit(eh_params *p, const eh_unit_edit *e)
{
    const eh_config *c = &p->s->m->config;
    if (e->kind == EH_UNIT_HEAD) {
        const int64_t at = e->index * c->d_head;
        hold_part(p, e->layer, EH_LINEAR_O, 0, c->d_model, at, c->d_head);
        if (e->mode == EH_EDIT_MEAN)
            hold_bias(p, e->layer, EH_LINEAR_O, 0, c->d_model);
        if (e->mode != EH_EDIT_SOFT || p->s->layer[e->layer].norm[EH_NORM_Q] != NULL)
            return;
        hold_part(p, e->layer, EH_LINEAR_QKV, at, c->d_head, 0, c->d_model);
        hold_bias(p, e->layer, EH_LINEAR_QKV, at, c->d_head);
        return;
    }
    hold_part(p, e->layer, EH_LINEAR_DOWN, 0, c->d_model, e->index, 1);
    if (e->mode == EH_EDIT_MEAN)
        hold_bias(p, e->layer, EH_LINEAR_DOWN, 0, c->d_model);
    const int64_t n_row = p->s->layer[e->layer].linear[EH_LINEAR_UP].n_out;
    for (int64_t row = e->index; e->mode == EH_EDIT_ZERO && row < n_row; row += c->d_ff) {
        hold_part(p, e->layer, EH_LINEAR_UP, row, 1, 0, c->d_model);
        hold_bias(p, e->layer, EH_LINEAR_UP, row, 1);
    }
}

/* ---- Open and close ------------------------------------------------------------------------------ */

/* Memory for own weights, one linear after the other; a linear that has them needs none. */
typedef struct own_room {
    eh_linear *l;
    float *own, *bias;
} own_room;

static int get_own(own_room *room, int64_t *n, eh_linear *l, eh_err *err)
{
    room[*n].l = l;
    const int rc = eh_linear_own_room(l, &room[*n].own, &room[*n].bias, err);
    *n += rc == EH_OK;
    return rc;
}

static int check(const eh_session *s, eh_tune_group group, eh_err *err)
{
    if (s->precision != EH_F32)
        return eh_fail(err, EH_ENOSUP, "%s is opened in bf16; training wants f32 (--precision f32)", s->m->path);
    if (group == EH_TUNE_EDITED && s->n_edit == 0)
        return eh_fail(err, EH_EINVAL, "no edit is in force, so there are no edited tensors to train; apply a recipe, "
                       "or train attention, norms or all");
    return EH_OK;
}

/* Memory for every linear that is trained or edited: room [*n]. */
static int own_all(const eh_params *p, own_room *room, int64_t *n, eh_err *err)
{
    eh_session *s = p->s;
    int rc = EH_OK;
    for (int64_t i = 0; i < s->m->config.n_layer; i++)
        for (int k = 0; k < EH_N_LINEAR && rc == EH_OK; k++) {
            eh_linear *l = &s->layer[i].linear[k];
            if (trained_rows(p, i, (eh_linear_role)k) > 0 || is_edited(l))
                rc = get_own(room, n, l, err);
        }
    const bool head = p->group == EH_TUNE_ALL && !s->m->config.tied;
    for (int64_t i = 0; head && i < s->m->n_lm_head_slice && rc == EH_OK; i++)
        rc = get_own(room, n, &s->lm_head[i], err);
    if (rc == EH_OK && p->group == EH_TUNE_ALL)
        rc = eh_session_own_embed(s, err);
    if (rc == EH_OK && p->group == EH_TUNE_ALL)
        rc = eh_session_own_position(s, err);
    if (rc == EH_OK && trains_norms(p->group))
        rc = eh_session_own_norms(s, err);
    return rc;
}

/* Room for the pieces, the held slices and the gradients; *grad is the caller's until p->grad is set. */
static int get_room(eh_params *p, float **grad, eh_err *err)
{
    const int64_t n_edit = p->s->n_edit;
    p->piece = eh_calloc(p->n_piece, (int64_t)sizeof *p->piece);
    p->part = eh_calloc(p->n_piece, (int64_t)sizeof *p->part);
    p->linear = eh_calloc(p->n_linear + 1, (int64_t)sizeof *p->linear);
    p->hold = eh_calloc(n_edit * HOLDS + 1, (int64_t)sizeof *p->hold);
    p->held = eh_alloc(n_edit + 1, hold_room(&p->s->m->config) * (int64_t)sizeof *p->held);
    *grad = eh_block_alloc(p->n_grad * (int64_t)sizeof **grad);
    return p->piece && p->part && p->linear && p->hold && p->held && *grad
               ? EH_OK
               : eh_fail(err, EH_ENOMEM, "no memory for the gradients of %lld weights", (long long)p->n_weight);
}

/* The edits become part of the weights; nothing here can fail. */
static void take_in(eh_params *p, const own_room *room, int64_t n_room, float *grad, const char before[EH_SHA256_TEXT])
{
    eh_session *s = p->s;
    for (int64_t i = 0; i < n_room; i++)
        eh_linear_own_in(s, room[i].l, room[i].own, room[i].bias);
    p->grad = grad;
    lay_out(p);
    for (int64_t i = 0; i < s->n_edit; i++)
        hold_edit(p, &s->edit[i]);
    eh_session_free_edits(s);
    memcpy(s->trained, before, EH_SHA256_TEXT);
    for (int64_t i = 0; i < p->n_linear; i++)
        p->linear[i]->keep = false; /* packed weights are true for one step only */
    for (int i = 0; i < eh_weights_n_file(s->m->weights); i++) {
        const eh_map *map = eh_weights_file_map(s->m->weights, i);
        eh_map_forget(map, 0, map->n); /* what was copied need not stay in memory twice */
    }
}

int eh_params_open(eh_session *s, eh_tune_group group, eh_params *out, eh_err *err)
{
    int rc = check(s, group, err);
    if (rc < 0)
        return rc;
    eh_params p = {.s = s, .group = group};
    float *grad = NULL;
    int64_t n_room = 0;
    char before[EH_SHA256_TEXT];
    own_room *room = eh_calloc(s->m->config.n_layer * EH_N_LINEAR + s->m->n_lm_head_slice, (int64_t)sizeof *room);
    p.grads.layer = eh_calloc(s->m->config.n_layer, (int64_t)sizeof *p.grads.layer);
    if (room == NULL || p.grads.layer == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for a training");
    if (rc == EH_OK)
        rc = own_all(&p, room, &n_room, err);
    if (rc == EH_OK)
        rc = eh_session_fingerprint(s, before, err);
    if (rc == EH_OK) {
        lay_out(&p);
        rc = get_room(&p, &grad, err);
    }
    if (rc == EH_OK) {
        take_in(&p, room, n_room, grad, before);
        *out = p;
    } else {
        for (int64_t i = 0; i < n_room; i++) {
            eh_block_free(room[i].own);
            eh_free(room[i].bias);
        }
        eh_block_free(grad);
        eh_params_clear(&p);
    }
    eh_free(room);
    return rc;
}

void eh_params_clear(eh_params *p)
{
    if (p->linear != NULL)
        eh_session_plan_memory(p->s, p->s->memory);
    eh_block_free(p->grad);
    eh_free(p->piece);
    eh_free(p->part);
    eh_free(p->grads.layer);
    eh_free(p->linear);
    eh_free(p->hold);
    eh_free(p->held);
    *p = (eh_params){0};
}

/* ---- A step -------------------------------------------------------------------------------------- */

static void zero_piece(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const eh_params *p = ctx;
    const int64_t n = p->n_grad - i * EH_PARAM_PIECE < EH_PARAM_PIECE ? p->n_grad - i * EH_PARAM_PIECE : EH_PARAM_PIECE;
    memset(p->grad + i * EH_PARAM_PIECE, 0, (size_t)n * sizeof *p->grad);
}

void eh_params_zero(eh_params *p)
{
    eh_par_for(p->s->threads, (p->n_grad + EH_PARAM_PIECE - 1) / EH_PARAM_PIECE, zero_piece, p);
}

#define SUMS 8 /* side by side, for the compiler to vectorise */

static void norm_piece(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const eh_params *p = ctx;
    const float *g = p->grad + p->piece[i].at;
    const int64_t n = p->piece[i].n;
    double sum[SUMS] = {0};
    int64_t k = 0;
    for (; k + SUMS <= n; k += SUMS)
        for (int s = 0; s < SUMS; s++)
            sum[s] += (double)g[k + s] * (double)g[k + s];
    for (int s = 0; k < n; k++, s++)
        sum[s] += (double)g[k] * (double)g[k];
    p->part[i] = 0.0;
    for (int s = 0; s < SUMS; s++)
        p->part[i] += sum[s];
}

double eh_params_norm(eh_params *p)
{
    for (int64_t i = 0; i < p->n_hold; i++)
        for (int64_t r = 0; r < p->hold[i].n_row; r++)
            memset(p->hold[i].g + r * p->hold[i].stride, 0, (size_t)p->hold[i].n_col * sizeof *p->hold[i].g);
    eh_par_for(p->s->threads, p->n_piece, norm_piece, p);
    double sum = 0.0;
    for (int64_t i = 0; i < p->n_piece; i++)
        sum += p->part[i];
    return sqrt(sum);
}

void eh_params_changed(eh_params *p)
{
    for (int64_t i = 0; i < p->n_hold; i++) {
        const eh_hold *h = &p->hold[i];
        for (int64_t r = 0; r < h->n_row; r++)
            memcpy(h->w + r * h->stride, h->value + r * h->n_col, (size_t)h->n_col * sizeof *h->w);
    }
    for (int64_t i = 0; i < p->n_linear; i++)
        eh_linear_changed(p->linear[i]);
}

int eh_params_sign(eh_params *p, eh_err *err)
{
    char text[EH_SHA256_TEXT];
    eh_sha256 h;
    eh_sha256_begin(&h);
    eh_sha256_add_text(&h, eh_str_of(p->s->trained));
    for (int64_t i = 0; i < p->n_piece; i++)
        eh_sha256_add(&h, p->piece[i].w, p->piece[i].n * (int64_t)sizeof *p->piece[i].w);
    const int rc = eh_sha256_end(&h, text, err);
    if (rc == EH_OK)
        memcpy(p->s->trained, text, sizeof text);
    return rc;
}
