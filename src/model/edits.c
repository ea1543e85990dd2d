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
#include <string.h>

#include "base/hash.h"
#include "model/session.h"

static void free_units(eh_unit_edit *edit, int64_t n)
{
    for (int64_t i = 0; edit != NULL && i < n; i++)
        eh_free((void *)(uintptr_t)edit[i].mean);
    eh_free(edit);
}

void eh_session_free_edits(eh_session *s)
{
    free_units(s->edit, s->n_edit);
    s->edit = NULL;
    s->n_edit = 0;
}

const eh_unit_edit *eh_session_edits(const eh_session *s, int64_t *n)
{
    *n = s->n_edit;
    return s->edit;
}

/* Numbers of a unit's mean output. */
static int64_t mean_width(const eh_session *s, const eh_unit_edit *e)
{
    return e->kind == EH_UNIT_HEAD ? s->m->config.d_head : 1;
}

/* The model's own where nothing else is in force; else one that stands for the edits and the training, too. */
int eh_session_fingerprint(const eh_session *s, char text[65], eh_err *err)
{
    const int rc = eh_model_fingerprint(s->m, text, err);
    if (rc < 0 || (s->n_edit == 0 && s->trained[0] == '\0'))
        return rc;
    eh_sha256 h;
    eh_sha256_begin(&h);
    eh_sha256_add_text(&h, eh_str_of(text));
    eh_sha256_add_text(&h, eh_str_of(s->trained));
    for (int64_t i = 0; i < s->n_edit; i++) {
        const eh_unit_edit *e = &s->edit[i];
        const int64_t where[4] = {(int64_t)e->kind, e->layer, e->index, (int64_t)e->mode};
        eh_sha256_add(&h, where, (int64_t)sizeof where);
        eh_sha256_add(&h, &e->alpha, (int64_t)sizeof e->alpha);
        if (e->mean != NULL)
            eh_sha256_add(&h, e->mean, mean_width(s, e) * (int64_t)sizeof *e->mean);
    }
    return eh_sha256_end(&h, text, err);
}

/* ---- What may be asked ----------------------------------------------------------------------------------- */

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
static int check(const eh_session *s, const eh_unit_edit *edit, int64_t n, bool *named, eh_err *err)
{
    const eh_config *c = &s->m->config;
    for (int64_t i = 0; i < n; i++) {
        const eh_unit_edit *e = &edit[i];
        const bool head = e->kind == EH_UNIT_HEAD;
        const int64_t n_unit = head ? c->n_head : c->d_ff;
        const char *const unit = head ? "head" : "neuron";
        if (e->mode > EH_EDIT_MEAN || e->kind > EH_UNIT_NEURON)
            return eh_fail(err, EH_EINVAL, "unit %lld: has a kind or mode that is not in evenhand.h", (long long)i);
        if (e->layer < 0 || e->layer >= c->n_layer || e->index < 0 || e->index >= n_unit)
            return eh_fail(err, EH_ERANGE,
                           "unit %lld is layer %lld, %s %lld; the model has layers 0 to %lld, each with %ss 0 to %lld",
                           (long long)i, (long long)e->layer, unit, (long long)e->index,
                           (long long)c->n_layer - 1, unit, (long long)n_unit - 1);
        if (!(e->alpha >= 0.0 && e->alpha <= 1.0)) /* NaN fails, too */
            return eh_fail(err, EH_ERANGE, "unit %lld: alpha is %g, wanted 0 (left alone) to 1 (ablated)",
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

/* ---- What is in the making: beside what is in force, until nothing can fail any more ------------------------ */

/* A linear's scales. NULL: not touched. */
typedef struct scales {
    float *row, *col, *bias;
} scales;

typedef struct making {
    const eh_session *s;
    scales *linear;     /* [n_layer, EH_N_LINEAR] */
    eh_unit_edit *unit; /* [n] copies, with means of their own */
    int64_t n;
} making;

static scales *scales_of(const making *k, int64_t layer, eh_linear_role role)
{
    return &k->linear[layer * EH_N_LINEAR + role];
}

static const eh_linear *linear_of(const making *k, int64_t layer, eh_linear_role role)
{
    return &k->s->layer[layer].linear[role];
}

/* [from, from + n) of a vector of n_all scales become x; all others are 1 when it is new. */
static bool put_scale(float **scale, int64_t n_all, int64_t from, int64_t n, float x)
{
    if (*scale == NULL) {
        *scale = eh_alloc(n_all, (int64_t)sizeof **scale);
        for (int64_t i = 0; *scale != NULL && i < n_all; i++)
            (*scale)[i] = 1.0f;
    }
    for (int64_t i = 0; *scale != NULL && i < n; i++)
        (*scale)[from + i] = x;
    return *scale != NULL;
}

/* The bias in the making += columns [at, at + n) of W, as it is without edits, times mean. */
static bool add_mean(const making *k, int64_t layer, eh_linear_role role, int64_t at, int64_t n, const float *mean)
{
    const eh_linear *l = linear_of(k, layer, role);
    const float *stored = l->own_bias != NULL ? l->own_bias : l->of->bias;
    scales *to = scales_of(k, layer, role);
    float *row = eh_alloc(l->n_in, (int64_t)sizeof *row);
    if (to->bias == NULL) {
        to->bias = eh_calloc(l->n_out, (int64_t)sizeof *to->bias);
        if (to->bias != NULL && stored != NULL)
            memcpy(to->bias, stored, (size_t)l->n_out * sizeof *stored);
    }
    if (row == NULL || to->bias == NULL) {
        eh_free(row);
        return false;
    }
    const eh_linear plain = {.of = l->of, .n_out = l->n_out, .n_in = l->n_in, .own = l->own};
    for (int64_t r = 0; r < l->n_out; r++) {
        eh_linear_rows(&plain, r, 1, row);
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++)
            sum += (double)row[at + i] * (double)mean[i];
        to->bias[r] = (float)((double)to->bias[r] + sum);
    }
    eh_free(row);
    return true;
}

static bool make_head(const making *k, const eh_unit_edit *e)
{
    const eh_linear *qkv = linear_of(k, e->layer, EH_LINEAR_QKV), *o = linear_of(k, e->layer, EH_LINEAR_O);
    const int64_t d = k->s->m->config.d_head, at = e->index * d;
    const double keep = 1.0 - e->alpha;
    const bool scaled = e->mode == EH_EDIT_SOFT || e->mode == EH_EDIT_OUTPUT;
    if (!put_scale(&scales_of(k, e->layer, EH_LINEAR_O)->col, o->n_in, at, d, scaled ? (float)keep : 0.0f))
        return false;
    if (e->mode == EH_EDIT_MEAN)
        return add_mean(k, e->layer, EH_LINEAR_O, at, d, e->mean);
    if (e->mode != EH_EDIT_SOFT || k->s->layer[e->layer].norm[EH_NORM_Q] != NULL)
        return true;
    return put_scale(&scales_of(k, e->layer, EH_LINEAR_QKV)->row, qkv->n_out, at, d, (float)(keep * keep));
}

static bool make_neuron(const making *k, const eh_unit_edit *e)
{
    const eh_linear *up = linear_of(k, e->layer, EH_LINEAR_UP), *down = linear_of(k, e->layer, EH_LINEAR_DOWN);
    const bool scaled = e->mode == EH_EDIT_SOFT || e->mode == EH_EDIT_OUTPUT;
    if (!put_scale(&scales_of(k, e->layer, EH_LINEAR_DOWN)->col, down->n_in, e->index, 1,
                   scaled ? (float)(1.0 - e->alpha) : 0.0f))
        return false;
    if (e->mode == EH_EDIT_MEAN)
        return add_mean(k, e->layer, EH_LINEAR_DOWN, e->index, 1, e->mean);
    bool good = true;
    for (int64_t row = e->index; e->mode == EH_EDIT_ZERO && good && row < up->n_out; row += k->s->m->config.d_ff)
        good = put_scale(&scales_of(k, e->layer, EH_LINEAR_UP)->row, up->n_out, row, 1, 0.0f);
    return good;
}

/* The rows' scales hold for their biases. */
static bool scale_bias(const eh_linear *l, scales *to)
{
    const float *stored = l->own_bias != NULL ? l->own_bias : l->of->bias;
    if (stored == NULL || to->row == NULL)
        return true;
    to->bias = eh_alloc(l->n_out, (int64_t)sizeof *to->bias);
    for (int64_t i = 0; to->bias != NULL && i < l->n_out; i++)
        to->bias[i] = stored[i] * to->row[i];
    return to->bias != NULL;
}

static bool copy_units(making *k, const eh_unit_edit *edit, int64_t n)
{
    k->n = n;
    k->unit = eh_calloc(n > 0 ? n : 1, (int64_t)sizeof *k->unit);
    for (int64_t i = 0; k->unit != NULL && i < n; i++) {
        k->unit[i] = edit[i];
        k->unit[i].mean = NULL;
        if (edit[i].mode != EH_EDIT_MEAN)
            continue;
        const size_t size = (size_t)mean_width(k->s, &edit[i]) * sizeof(float);
        float *mean = eh_alloc((int64_t)size, 1);
        if (mean == NULL)
            return false;
        memcpy(mean, edit[i].mean, size);
        k->unit[i].mean = mean;
    }
    return k->unit != NULL;
}

static bool make(making *k, const eh_unit_edit *edit, int64_t n)
{
    const int64_t n_layer = k->s->m->config.n_layer;
    k->linear = eh_calloc(n_layer * EH_N_LINEAR, (int64_t)sizeof *k->linear);
    bool good = copy_units(k, edit, n) && k->linear != NULL;
    for (int64_t i = 0; good && i < n; i++)
        good = k->unit[i].kind == EH_UNIT_HEAD ? make_head(k, &k->unit[i]) : make_neuron(k, &k->unit[i]);
    for (int64_t i = 0; good && i < n_layer; i++)
        good = scale_bias(linear_of(k, i, EH_LINEAR_QKV), scales_of(k, i, EH_LINEAR_QKV)) &&
               scale_bias(linear_of(k, i, EH_LINEAR_UP), scales_of(k, i, EH_LINEAR_UP));
    return good;
}

/* The linear's scales and those in the making change places. */
static void swap(eh_linear *l, scales *with)
{
    const scales was = {l->row_scale, l->col_scale, l->bias_now};
    if (was.row || was.col || was.bias || with->row || with->col || with->bias)
        eh_linear_changed(l);
    l->row_scale = with->row;
    l->col_scale = with->col;
    l->bias_now = with->bias;
    *with = was;
}

int eh_session_edit(eh_session *s, const eh_unit_edit *edit, int64_t n, eh_err *err)
{
    const eh_config *c = &s->m->config;
    bool *named = eh_calloc(c->n_layer, c->n_head + c->d_ff);
    int rc = named != NULL ? check(s, edit, n, named, err)
                           : eh_fail(err, EH_ENOMEM, "no memory to check %lld edits", (long long)n);
    eh_free(named);
    if (rc < 0)
        return rc;
    making k = {.s = s};
    if (make(&k, edit, n)) {
        for (int64_t i = 0; i < c->n_layer; i++)
            for (int r = 0; r < EH_N_LINEAR; r++)
                swap(&s->layer[i].linear[r], scales_of(&k, i, (eh_linear_role)r));
        eh_unit_edit *was = s->edit;
        const int64_t n_was = s->n_edit;
        s->edit = k.unit;
        s->n_edit = n;
        k.unit = was;
        k.n = n_was;
    } else {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld edits", (long long)n);
    }
    for (int64_t i = 0; k.linear != NULL && i < c->n_layer * EH_N_LINEAR; i++) {
        eh_free(k.linear[i].row);
        eh_free(k.linear[i].col);
        eh_free(k.linear[i].bias);
    }
    eh_free(k.linear);
    free_units(k.unit, k.n);
    return rc;
}
