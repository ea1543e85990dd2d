#include "train/params.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/par.h"

const eh_tune_group_info eh_tune_groups[EH_TUNE_N_GROUP] = {
    [EH_TUNE_EDITED] = {"edited", "the tensors that hold edited units: query and output projections of layers with "
                                  "edited heads, the MLP of layers with edited neurons"},
    [EH_TUNE_ATTENTION] = {"attention", "query, key, value and output projections of all layers"},
    [EH_TUNE_NORMS] = {"norms", "the weights of all norms"},
    [EH_TUNE_ALL] = {"all", "everything, embedding and output head too"},
};

/* ---- Which linears ------------------------------------------------------------------------------- */

#define N_KIND 4 /* linears of a layer */

static eh_linear *linear_of(eh_layer *l, int kind)
{
    eh_linear *const all[N_KIND] = {&l->qkv, &l->o, &l->gate_up, &l->down};
    return all[kind];
}

static bool layer_has(const eh_model *m, int64_t layer, eh_unit_kind kind)
{
    for (int64_t i = 0; i < m->n_edit; i++)
        if (m->edit[i].layer == layer && m->edit[i].kind == kind)
            return true;
    return false;
}

/* Rows of a layer's linear that are trained, from the first; 0: none. */
static int64_t trained_rows(const eh_params *p, int64_t layer, int kind)
{
    const eh_config *c = &p->m->config;
    const eh_linear *l = linear_of(&p->m->layer[layer], kind);
    const bool attention = kind < 2;
    switch (p->group) {
    case EH_TUNE_EDITED:
        if (!layer_has(p->m, layer, attention ? EH_UNIT_HEAD : EH_UNIT_NEURON))
            return 0;
        return kind == 0 ? c->n_head * c->d_head : l->n_out;
    case EH_TUNE_ATTENTION: return attention ? l->n_out : 0;
    case EH_TUNE_ALL: return l->n_out;
    case EH_TUNE_NORMS:
    case EH_TUNE_N_GROUP: break;
    }
    return 0;
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
            p->piece[p->n_piece] = (eh_param_piece){w + from, n - from < EH_PARAM_PIECE ? n - from : EH_PARAM_PIECE, p->n_grad + from};
    p->n_weight += n;
    p->n_grad += n_grad;
}

static void add_linear(eh_params *p, eh_linear *l, int64_t n_row, float **grad, float **bias_grad)
{
    if (n_row == 0)
        return;
    add(p, l->own, n_row * l->n_in, l->n_out * l->n_in, grad);
    /* A bias that an edit brings is the linear's own from now on. */
    if ((l->bias != NULL || l->bias_now != NULL) && bias_grad != NULL)
        add(p, l->bias, n_row, l->n_out, bias_grad);
    if (p->linear != NULL)
        p->linear[p->n_linear] = l;
    p->n_linear++;
}

/* Counts pieces, or places them once p->grad is there. Both take the same way. */
static void lay_out(eh_params *p)
{
    eh_model *m = p->m;
    const eh_config *c = &m->config;
    const bool norms = p->group == EH_TUNE_NORMS || p->group == EH_TUNE_ALL, all = p->group == EH_TUNE_ALL;
    p->n_piece = p->n_weight = p->n_grad = p->n_linear = 0;
    for (int64_t i = 0; i < c->n_layer; i++) {
        eh_layer *l = &m->layer[i];
        eh_layer_grad *g = &p->grads.layer[i];
        if (norms)
            add(p, l->attn_norm, c->d_model, c->d_model, &g->attn_norm);
        add_linear(p, &l->qkv, trained_rows(p, i, 0), &g->qkv, &g->qkv_bias);
        if (norms && l->q_norm != NULL) {
            add(p, l->q_norm, c->d_head, c->d_head, &g->q_norm);
            add(p, l->k_norm, c->d_head, c->d_head, &g->k_norm);
        }
        add_linear(p, &l->o, trained_rows(p, i, 1), &g->o, &g->o_bias);
        if (norms)
            add(p, l->mlp_norm, c->d_model, c->d_model, &g->mlp_norm);
        add_linear(p, &l->gate_up, trained_rows(p, i, 2), &g->gate_up, &g->gate_up_bias);
        add_linear(p, &l->down, trained_rows(p, i, 3), &g->down, &g->down_bias);
    }
    if (norms)
        add(p, m->final_norm, c->d_model, c->d_model, &p->grads.final_norm);
    if (!all)
        return;
    add(p, m->own_embed, c->n_vocab * c->d_model, c->n_vocab * c->d_model, &p->grads.embed);
    for (int64_t i = 0; i < m->n_head_slice; i++) {
        eh_linear *l = &m->head[i];
        if (!c->tied) /* the slices' gradients follow each other: one matrix */
            add_linear(p, l, l->n_out, i == 0 ? &p->grads.head : NULL, NULL);
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

/* What eh_model_edit touches for this edit (edits.c). */
static void hold_edit(eh_params *p, const eh_unit_edit *e)
{
    const eh_config *c = &p->m->config;
    eh_layer *l = &p->m->layer[e->layer];
    const eh_layer_grad *g = &p->grads.layer[e->layer];
    if (e->kind == EH_UNIT_HEAD) {
        const int64_t at = e->index * c->d_head;
        hold(p, l->o.own, g->o, l->o.n_in, 0, l->o.n_out, at, c->d_head);
        if (e->mode == EH_EDIT_MEAN)
            hold(p, l->o.bias, g->o_bias, l->o.n_out, 0, 1, 0, l->o.n_out);
        if (e->mode != EH_EDIT_SOFT || l->q_norm != NULL)
            return;
        hold(p, l->qkv.own, g->qkv, l->qkv.n_in, at, c->d_head, 0, l->qkv.n_in);
        hold(p, l->qkv.bias, g->qkv_bias, l->qkv.n_out, 0, 1, at, c->d_head);
        return;
    }
    hold(p, l->down.own, g->down, l->down.n_in, 0, l->down.n_out, e->index, 1);
    if (e->mode == EH_EDIT_MEAN)
        hold(p, l->down.bias, g->down_bias, l->down.n_out, 0, 1, 0, l->down.n_out);
    for (int64_t row = e->index; e->mode == EH_EDIT_ZERO && row < 2 * c->d_ff; row += c->d_ff) {
        hold(p, l->gate_up.own, g->gate_up, l->gate_up.n_in, row, 1, 0, l->gate_up.n_in);
        hold(p, l->gate_up.bias, g->gate_up_bias, l->gate_up.n_out, 0, 1, row, 1);
    }
}

/* ---- Open and close ------------------------------------------------------------------------------ */

/* Memory for own weights, one linear after the other; a linear that has them needs none. */
typedef struct own_room {
    eh_linear *l;
    float *own, *bias;
} own_room;

static int get_own(eh_model *m, own_room *room, eh_linear *l, eh_err *err)
{
    room->l = l;
    return eh_linear_own_room(m, l, &room->own, &room->bias, err);
}

static int check(const eh_model *m, eh_tune_group group, eh_err *err)
{
    if (m->precision != EH_F32)
        return eh_fail(err, EH_ENOSUP, "%s is opened in bf16; training wants f32 (--precision f32)", m->path);
    if (group == EH_TUNE_EDITED && m->n_edit == 0)
        return eh_fail(err, EH_EINVAL, "no edit is in force, so there are no edited tensors to train; apply a recipe, "
                       "or train attention, norms or all");
    return EH_OK;
}

int eh_params_open(eh_model *m, eh_tune_group group, eh_params *out, eh_err *err)
{
    int rc = check(m, group, err);
    if (rc < 0)
        return rc;
    const eh_config *c = &m->config;
    eh_params p = {.m = m, .group = group};
    const bool head = group == EH_TUNE_ALL && !c->tied;
    const int64_t n_most = c->n_layer * N_KIND + (head ? m->n_head_slice : 0);
    int64_t n_room = 0;
    own_room *room = eh_calloc(n_most, (int64_t)sizeof *room);
    p.grads.layer = eh_calloc(c->n_layer, (int64_t)sizeof *p.grads.layer);
    if (room == NULL || p.grads.layer == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a training");
        goto done;
    }
    if (group == EH_TUNE_ALL && (rc = eh_model_own_embed(m, err)) < 0)
        goto done;
    for (int64_t i = 0; i < c->n_layer; i++)
        for (int k = 0; k < N_KIND && rc == EH_OK; k++) {
            eh_linear *l = linear_of(&m->layer[i], k);
            if (trained_rows(&p, i, k) > 0 || is_edited(l))
                rc = get_own(m, &room[n_room++], l, err);
        }
    for (int64_t i = 0; head && i < m->n_head_slice && rc == EH_OK; i++)
        rc = get_own(m, &room[n_room++], &m->head[i], err);
    char before[EH_SHA256_TEXT];
    if (rc < 0 || (rc = eh_model_fingerprint(m, before, err)) < 0)
        goto done;

    lay_out(&p);
    p.piece = eh_calloc(p.n_piece, (int64_t)sizeof *p.piece);
    p.part = eh_calloc(p.n_piece, (int64_t)sizeof *p.part);
    p.linear = eh_calloc(p.n_linear + 1, (int64_t)sizeof *p.linear);
    p.hold = eh_calloc(m->n_edit * HOLDS + 1, (int64_t)sizeof *p.hold);
    p.held = eh_alloc(m->n_edit + 1, hold_room(c) * (int64_t)sizeof *p.held);
    float *grad = eh_block_alloc(p.n_grad * (int64_t)sizeof *grad);
    if (!p.piece || !p.part || !p.linear || !p.hold || !p.held || !grad) {
        eh_block_free(grad);
        rc = eh_fail(err, EH_ENOMEM, "no memory for the gradients of %lld weights", (long long)p.n_weight);
        goto done;
    }

    /* Nothing from here on can fail: the edits become part of the weights. */
    for (int64_t i = 0; i < n_room; i++)
        eh_linear_own_in(m, room[i].l, room[i].own, room[i].bias);
    n_room = 0;
    p.grad = grad;
    lay_out(&p);
    for (int64_t i = 0; i < m->n_edit; i++)
        hold_edit(&p, &m->edit[i]);
    eh_model_free_edits(m);
    memcpy(m->trained, before, sizeof before);
    for (int64_t i = 0; i < p.n_linear; i++)
        p.linear[i]->keep = false; /* packed weights are true for one step only */
    for (int i = 0; i < eh_weights_n_file(m->weights); i++) {
        const eh_map *map = eh_weights_file_map(m->weights, i);
        eh_map_forget(map, 0, map->n); /* what was copied need not stay in memory twice */
    }
    *out = p;
    p = (eh_params){0};

done:
    for (int64_t i = 0; i < n_room; i++)
        eh_block_free(room[i].own);
    eh_free(room);
    eh_params_clear(&p);
    return rc;
}

void eh_params_clear(eh_params *p)
{
    if (p->linear != NULL)
        eh_model_plan_memory(p->m, p->m->memory);
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
    eh_par_for(p->m->threads, (p->n_grad + EH_PARAM_PIECE - 1) / EH_PARAM_PIECE, zero_piece, p);
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
    eh_par_for(p->m->threads, p->n_piece, norm_piece, p);
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
    eh_sha256_add_text(&h, eh_str_of(p->m->trained));
    for (int64_t i = 0; i < p->n_piece; i++)
        eh_sha256_add(&h, p->piece[i].w, p->piece[i].n * (int64_t)sizeof *p->piece[i].w);
    const int rc = eh_sha256_end(&h, text, err);
    if (rc == EH_OK)
        memcpy(p->m->trained, text, sizeof text);
    return rc;
}
