#include "model/layout.h"

#include <stdio.h>
#include <string.h>

#define STRIP 64 /* columns of a transposed weight that are read together */

static bool is_transposed(const eh_part *p)
{
    return (p->layout & EH_LAYOUT_TRANSPOSED) != 0;
}

eh_part eh_part_find(const eh_weights *w, const eh_config *c, const eh_filed *f)
{
    return (eh_part){
        .t = eh_weights_find(w, f->name),
        .layout = f->layout,
        .first = f->first,
        .n_out = f->n_out,
        .n_in = f->n_in,
        .d_head = c->d_head,
    };
}

int eh_part_check(const eh_part *p, const eh_filed *f, const char *where, eh_err *err)
{
    const eh_tensor *t = p->t;
    const bool turned = is_transposed(p);
    const int64_t dim[2] = {turned ? f->n_in : f->n_whole, turned ? f->n_whole : f->n_in};
    const int n_dim = f->n_in > 0 ? 2 : 1;
    if (t == NULL)
        return eh_fail(err, EH_EFORMAT, "%s: has no tensor \"%s\"", where, f->name);
    if (t->n_dim != n_dim || t->dim[0] != dim[0] || (n_dim == 2 && t->dim[1] != dim[1])) {
        char got[80] = "", wanted[60];
        for (int i = 0; i < t->n_dim; i++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%lld", i > 0 ? " x " : "", (long long)t->dim[i]);
        snprintf(wanted, sizeof wanted, n_dim == 1 ? "%lld" : "%lld x %lld", (long long)dim[0], (long long)dim[1]);
        return eh_fail(err, EH_EFORMAT, "%s: tensor \"%s\" is %s, wanted %s", where, f->name, got, wanted);
    }
    if (t->dtype == EH_DTYPE_I32 || t->dtype == EH_DTYPE_I64 || t->dtype == EH_DTYPE_U8)
        return eh_fail(err, EH_EFORMAT, "%s: tensor \"%s\" holds integers, wanted weights", where, f->name);
    if (eh_dtype_get(t->dtype)->block > 1 && (turned || (n_dim == 1 && f->n_out < f->n_whole)))
        return eh_fail(err, EH_ENOSUP, "%s: tensor \"%s\" is %s in blocks across what belongs to different outputs; "
                       "F32, F16 or BF16 can be read there", where, f->name, eh_dtype_get(t->dtype)->name);
    return EH_OK;
}

/* llama.cpp interleaves the two halves of a head that rotate together. */
int64_t eh_part_stored_row(const eh_part *p, int64_t r)
{
    if ((p->layout & EH_LAYOUT_PAIRED) == 0)
        return r;
    const int64_t head = r / p->d_head, c = r % p->d_head, half = p->d_head / 2;
    return head * p->d_head + c % half * 2 + c / half;
}

int64_t eh_part_row_at(const eh_part *p, int64_t at)
{
    if ((p->layout & EH_LAYOUT_PAIRED) == 0)
        return at;
    const int64_t head = at / p->d_head, c = at % p->d_head, half = p->d_head / 2;
    return head * p->d_head + c % 2 * half + c / 2;
}

/* Numbers first..first+n-1 of row `row` of the tensor; what does not begin at a block must not be in blocks. */
static void read_numbers(const eh_tensor *t, int64_t row, int64_t first, int64_t n, float *out)
{
    const eh_dtype_info *type = eh_dtype_get(t->dtype);
    eh_dtype_to_f32(t->dtype, t->data + row * eh_tensor_row_bytes(t) + first / type->block * type->bytes, n, out);
}

static void read_columns(const eh_part *p, int64_t row, int64_t n, float *out)
{
    float x[STRIP];
    for (int64_t r = 0; r < n; r += STRIP) {
        const int64_t n_strip = n - r < STRIP ? n - r : STRIP;
        for (int64_t i = 0; i < p->n_in; i++) {
            read_numbers(p->t, i, p->first + row + r, n_strip, x);
            for (int64_t k = 0; k < n_strip; k++)
                out[(r + k) * p->n_in + i] = x[k];
        }
    }
}

void eh_part_rows(const eh_part *p, int64_t row, int64_t n, float *out)
{
    const bool paired = (p->layout & EH_LAYOUT_PAIRED) != 0;
    const int64_t n_in = p->n_in;
    if (is_transposed(p)) {
        read_columns(p, row, n, out);
    } else if (n_in > 0 && !paired) {
        eh_tensor_rows(p->t, p->first + row, n, out);
    } else if (n_in > 0) {
        for (int64_t i = 0; i < n; i++)
            eh_tensor_rows(p->t, p->first + eh_part_stored_row(p, row + i), 1, out + i * n_in);
    } else if (!paired) {
        read_numbers(p->t, 0, p->first + row, n, out);
    } else {
        for (int64_t i = 0; i < n; i++)
            read_numbers(p->t, 0, p->first + eh_part_stored_row(p, row + i), 1, out + i);
    }
}

void eh_part_span(const eh_part *p, int64_t *from, int64_t *to)
{
    *from = p->n_in == 0 || is_transposed(p) ? 0 : p->first;
    *to = p->n_in == 0 ? 1 : is_transposed(p) ? p->n_in : p->first + p->n_out;
}

int64_t eh_part_width(const eh_part *p)
{
    return p->n_in == 0 || is_transposed(p) ? p->n_out : p->n_in;
}

void eh_part_overlay(const eh_part *p, const float *x, char *bytes)
{
    const eh_dtype_info *type = eh_dtype_get(p->t->dtype);
    const int64_t first = p->n_in == 0 || is_transposed(p) ? p->first : 0;
    eh_dtype_update(p->t->dtype, x, eh_part_width(p), bytes + first / type->block * type->bytes);
}
