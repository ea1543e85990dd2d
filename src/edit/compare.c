/* Two models of one shape, number by number in Hugging Face order, whatever their formats. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/stored.h"

typedef struct sums { /* of b - a and of a */
    double d2, a2, max_abs;
    int64_t n_differ;
} sums;

typedef struct comparing {
    const eh_session *a, *b;
    sums *head;   /* [n_layer, n_head] */
    sums *neuron; /* [n_layer, d_ff] */
    float *x, *y; /* a row of each */
} comparing;

/* NaN is worst of all, and stays. */
static double worse(double worst, double x)
{
    return x <= worst || isnan(worst) ? worst : x;
}

static void add(sums *s, float x, float y)
{
    const double d = x == y ? 0.0 : (double)y - (double)x; /* equal infinities are equal */
    s->d2 += d * d;
    s->a2 += (double)x * (double)x;
    if (d != 0.0) /* NaN differs, too */
        s->n_differ++;
    s->max_abs = worse(s->max_abs, fabs(d));
}

static double relative(const sums *s)
{
    return s->d2 == 0.0 ? 0.0 : s->a2 > 0.0 ? sqrt(s->d2 / s->a2) : (double)NAN;
}

/* Whose number this is, of the units; NULL: nobody's alone. */
static sums *owner(const comparing *j, const eh_stored *s, int64_t row, int64_t col)
{
    const eh_config *c = &j->a->m->config;
    const int64_t out = s->bias ? col : row; /* which output of the linear */
    switch (s->slot) {
    case EH_SLOT_Q:
        return &j->head[s->layer * c->n_head + out / c->d_head];
    case EH_SLOT_O:
        return s->bias ? NULL : &j->head[s->layer * c->n_head + col / c->d_head];
    case EH_SLOT_GATE:
    case EH_SLOT_UP:
        return &j->neuron[s->layer * c->d_ff + out];
    case EH_SLOT_DOWN:
        return s->bias ? NULL : &j->neuron[s->layer * c->d_ff + col];
    default:
        return NULL;
    }
}

/* A tensor that one of them lacks: a bias counts as zeros there; a tied head is read as what it is tied to. */
static void read_row(const eh_session *s, const eh_stored *t, bool there, int64_t row, float *x)
{
    if (there || t->slot == EH_SLOT_LM_HEAD)
        eh_stored_rows(s, t, row, 1, x);
    else
        memset(x, 0, (size_t)t->n_col * sizeof *x);
}

static double share_of_equal_bytes(const eh_tensor *a, const eh_tensor *b)
{
    if (a == NULL || b == NULL || a->dtype != b->dtype || a->n_byte != b->n_byte)
        return (double)NAN;
    int64_t n = 0;
    for (int64_t i = 0; i < a->n_byte; i++)
        n += a->data[i] == b->data[i];
    return a->n_byte > 0 ? (double)n / (double)a->n_byte : 1.0;
}

static bool compare_one(comparing *j, int64_t i, eh_tensor_difference *d, sums *all)
{
    eh_stored s, t;
    const bool in_a = eh_stored_at(j->a, i, &s), in_b = eh_stored_at(j->b, i, &t);
    if (!in_a && !in_b)
        return false;
    sums sum = {0};
    for (int64_t row = 0; row < s.n_row; row++) {
        read_row(j->a, &s, in_a, row, j->x);
        read_row(j->b, &t, in_b, row, j->y);
        for (int64_t c = 0; c < s.n_col; c++) {
            add(&sum, j->x[c], j->y[c]);
            sums *unit = owner(j, &s, row, c);
            if (unit != NULL)
                add(unit, j->x[c], j->y[c]);
        }
    }
    const eh_tensor *name = s.part.t != NULL ? s.part.t : t.part.t;
    *d = (eh_tensor_difference){.name = name != NULL ? name->name : "", .layer = s.layer, .n = s.n_row * s.n_col,
                                .n_differ = sum.n_differ, .max_abs = sum.max_abs, .relative = relative(&sum),
                                .equal_bytes = share_of_equal_bytes(s.part.t, t.part.t)};
    all->d2 += sum.d2;
    all->a2 += sum.a2;
    all->max_abs = worse(all->max_abs, sum.max_abs);
    return true;
}

static int same_shape(const eh_session *a, const eh_session *b, eh_err *err)
{
    const eh_config *x = &a->m->config, *y = &b->m->config;
    const struct {
        const char *what;
        int64_t x, y;
    } number[] = {
        {"layers", x->n_layer, y->n_layer}, {"channels", x->d_model, y->d_model}, {"heads", x->n_head, y->n_head},
        {"key/value heads", x->n_kv, y->n_kv}, {"channels a head", x->d_head, y->d_head},
        {"neurons a layer", x->d_ff, y->d_ff}, {"tokens in the vocabulary", x->n_vocab, y->n_vocab},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (number[i].x != number[i].y)
            return eh_fail(err, EH_EINVAL, "%s has %lld %s, %s has %lld: only models of one shape can be compared",
                           a->m->path, (long long)number[i].x, number[i].what, b->m->path, (long long)number[i].y);
    return EH_OK;
}

/* NaN, which is worst, first; then by size, layer, kind, index. */
static int by_relative(const void *a, const void *b)
{
    const eh_unit_difference *x = a, *y = b;
    const double dx = isnan(x->relative) ? INFINITY : x->relative, dy = isnan(y->relative) ? INFINITY : y->relative;
    if (dx != dy)
        return dx > dy ? -1 : 1;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    if (x->neuron != y->neuron)
        return x->neuron ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static int list_units(const comparing *j, eh_comparison *c, eh_err *err)
{
    const eh_config *k = &j->a->m->config;
    const int64_t n_head = k->n_layer * k->n_head, n_all = n_head + k->n_layer * k->d_ff;
    int64_t n = 0;
    for (int64_t i = 0; i < n_all; i++)
        n += (i < n_head ? j->head[i] : j->neuron[i - n_head]).n_differ > 0;
    c->unit = eh_calloc(n > 0 ? n : 1, (int64_t)sizeof *c->unit);
    if (c->unit == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld units", (long long)n);
    for (int64_t i = 0; i < n_all; i++) {
        const bool neuron = i >= n_head;
        const int64_t at = neuron ? i - n_head : i, width = neuron ? k->d_ff : k->n_head;
        const sums *s = neuron ? &j->neuron[at] : &j->head[at];
        if (s->n_differ > 0)
            c->unit[c->n_unit++] = (eh_unit_difference){neuron, at / width, at % width, s->max_abs, relative(s)};
    }
    if (n > 0)
        qsort(c->unit, (size_t)n, sizeof *c->unit, by_relative);
    return EH_OK;
}

int eh_compare(const eh_session *a, const eh_session *b, eh_comparison *out, eh_err *err)
{
    int rc = same_shape(a, b, err);
    if (rc < 0)
        return rc;
    const eh_config *k = &a->m->config;
    const int64_t n = eh_n_stored(a->m);
    int64_t widest = k->d_model > k->d_ff ? k->d_model : k->d_ff;
    if (widest < k->n_head * k->d_head)
        widest = k->n_head * k->d_head;
    comparing j = {a, b, eh_calloc(k->n_layer * k->n_head, (int64_t)sizeof(sums)),
                   eh_calloc(k->n_layer * k->d_ff, (int64_t)sizeof(sums)), eh_alloc(widest, (int64_t)sizeof(float)),
                   eh_alloc(widest, (int64_t)sizeof(float))};
    eh_comparison c = {.tensor = eh_calloc(n, (int64_t)sizeof *c.tensor)};
    sums all = {0};
    double equal = 0, bytes = 0;
    if (j.head == NULL || j.neuron == NULL || j.x == NULL || j.y == NULL || c.tensor == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory to compare %lld tensors", (long long)n);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        eh_tensor_difference *d = &c.tensor[c.n_tensor];
        if (!compare_one(&j, i, d, &all))
            continue;
        c.n_tensor++;
        c.n_tensor_differ += d->n_differ > 0;
        if (!isnan(d->equal_bytes)) {
            const double size = (double)eh_weights_find(a->m->weights, d->name)->n_byte;
            equal += d->equal_bytes * size;
            bytes += size;
        }
    }
    c.max_abs = all.max_abs;
    c.relative = relative(&all);
    c.equal_bytes = bytes > 0 ? equal / bytes : (double)NAN;
    rc = list_units(&j, &c, err);
    if (rc == EH_OK) {
        *out = c;
        c = (eh_comparison){0};
    }
done:
    eh_comparison_clear(&c);
    eh_free(j.head);
    eh_free(j.neuron);
    eh_free(j.x);
    eh_free(j.y);
    return rc;
}

void eh_comparison_clear(eh_comparison *c)
{
    eh_free(c->tensor);
    eh_free(c->unit);
    *c = (eh_comparison){0};
}
