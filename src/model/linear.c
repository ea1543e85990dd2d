/* Linears of a session: expanded, packed, multiplied, forwards and backwards; and given weights of their own. */
#include <string.h>

#include "base/par.h"
#include "model/session.h"
#include "op/affine.h"

/* Rows of the stacked parts, expanded to f32 by the worker threads, 64 at a time. */
#define FILL_ROWS 64
#define BACK_FLOATS (4 * 1024 * 1024) /* of a weight expanded on the way back */

/* As stored: no own weights, no edits. */
static void stored_rows(const eh_linear *l, int64_t from, int64_t to, float *out)
{
    for (int64_t row = from; row < to;) {
        int64_t at = l->of->first + row; /* row of the stacked parts */
        int p = 0;
        while (at >= l->of->part[p].n_out)
            at -= l->of->part[p++].n_out;
        const int64_t left = l->of->part[p].n_out - at;
        const int64_t n = left < to - row ? left : to - row;
        eh_part_rows(&l->of->part[p], at, n, out + (row - from) * l->n_in);
        row += n;
    }
}

const float *eh_linear_bias(const eh_linear *l)
{
    return l->bias_now != NULL ? l->bias_now : l->own_bias != NULL ? l->own_bias : l->of->bias;
}

void eh_linear_rows(const eh_linear *l, int64_t from, int64_t n, float *out)
{
    if (l->own == NULL)
        stored_rows(l, from, from + n, out);
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
    eh_linear_rows(j->l, j->from + at, n, j->out + at * j->l->n_in);
}

/* eh_linear_rows on all threads. */
static void fill(const eh_session *s, const eh_linear *l, int64_t from, int64_t n, float *out)
{
    fill_job job = {l, from, n, out};
    eh_par_for(s->threads, (n + FILL_ROWS - 1) / FILL_ROWS, fill_rows, &job);
}

/* Weights of one's own, and those stored as bfloat16 in one piece, go to the packer as they lie. */
static const void *as_it_lies(const eh_linear *l, bool *is_bf16)
{
    const eh_part *p = &l->of->part[0];
    *is_bf16 = l->own == NULL;
    if (l->row_scale != NULL || l->col_scale != NULL)
        return NULL;
    if (l->own != NULL)
        return l->own;
    if (l->of->n_part != 1 || p->layout != 0 || p->t->dtype != EH_DTYPE_BF16)
        return NULL;
    return p->t->data + (p->first + l->of->first) * eh_tensor_row_bytes(p->t);
}

int eh_linear_need(eh_session *s, eh_linear *l, eh_err *err)
{
    if (l->packed != NULL)
        return EH_OK;
    bool is_bf16;
    const void *w = as_it_lies(l, &is_bf16);
    if (w != NULL)
        return eh_backend_pack(s->backend, l->precision, w, is_bf16, l->n_out, l->n_in, &l->packed, err);

    float *rows = eh_block_alloc(l->n_out * l->n_in * (int64_t)sizeof *rows);
    if (rows == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to expand \"%s\"", l->of->part[0].t->name);
    fill(s, l, 0, l->n_out, rows);
    const int rc = eh_backend_pack(s->backend, l->precision, rows, false, l->n_out, l->n_in, &l->packed, err);
    eh_block_free(rows);
    return rc;
}

void eh_linear_unedit(eh_linear *l)
{
    eh_free(l->row_scale);
    eh_free(l->col_scale);
    eh_free(l->bias_now);
    l->row_scale = l->col_scale = l->bias_now = NULL;
}

void eh_linear_changed(eh_linear *l)
{
    eh_backend_drop(l->packed);
    l->packed = NULL;
}

void eh_linear_done(eh_linear *l)
{
    if (!l->keep)
        eh_linear_changed(l);
}

int eh_linear_own_room(const eh_linear *l, float **own, float **bias, eh_err *err)
{
    const bool wants_bias = l->own_bias == NULL && eh_linear_bias(l) != NULL;
    float *w = l->own == NULL ? eh_block_alloc(l->n_out * l->n_in * (int64_t)sizeof *w) : NULL;
    float *b = wants_bias ? eh_alloc(l->n_out, (int64_t)sizeof *b) : NULL;
    if ((l->own == NULL && w == NULL) || (wants_bias && b == NULL)) {
        eh_block_free(w);
        eh_free(b);
        return eh_fail(err, EH_ENOMEM, "no memory for own weights of \"%s\"", l->of->part[0].t->name);
    }
    *own = w;
    *bias = b;
    return EH_OK;
}

void eh_linear_own_in(eh_session *s, eh_linear *l, float *own, float *bias)
{
    fill(s, l, 0, l->n_out, own != NULL ? own : l->own);
    if (own != NULL)
        l->own = own;
    const float *now = eh_linear_bias(l);
    if (bias != NULL)
        l->own_bias = bias;
    if (now != NULL && now != l->own_bias)
        memcpy(l->own_bias, now, (size_t)l->n_out * sizeof *now);
    eh_linear_unedit(l);
    eh_linear_changed(l);
}

int eh_linear_own(eh_session *s, eh_linear *l, eh_err *err)
{
    float *own = NULL, *bias = NULL;
    const int rc = eh_linear_own_room(l, &own, &bias, err);
    if (rc == EH_OK)
        eh_linear_own_in(s, l, own, bias);
    return rc;
}

int eh_linear_run(eh_linear *l, const void *x, int64_t n_row, float *out, eh_err *err)
{
    const int rc = eh_backend_run(l->packed, x, n_row, out, err);
    const float *bias = eh_linear_bias(l);
    if (rc == EH_OK && bias != NULL)
        eh_linear_add_bias(out, n_row, l->n_out, bias);
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

int eh_linear_back(eh_session *s, const eh_linear *l, const float *dy, int64_t n_row, float beta, float *dx,
                   float *room,
                   eh_err *err)
{
    const bool as_is = l->own != NULL && l->row_scale == NULL && l->col_scale == NULL;
    const int64_t step = as_is ? l->n_out : back_rows(l);
    int rc = EH_OK;
    for (int64_t from = 0; from < l->n_out && rc == EH_OK; from += step) {
        const int64_t n = l->n_out - from < step ? l->n_out - from : step;
        if (!as_is)
            fill(s, l, from, n, room);
        const eh_gemm g = {
            .m = n_row, .n = l->n_in, .k = n,
            .a = dy + from, .lda = l->n_out,
            .b = as_is ? l->own : room, .ldb = l->n_in,
            .beta = from > 0 ? 1.0f : beta,
            .c = dx, .ldc = l->n_in,
        };
        rc = eh_backend_gemm(s->backend, &g, err);
    }
    return rc;
}
