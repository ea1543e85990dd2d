#include "tensor/tensor.h"

static int64_t row_length(const eh_tensor *t)
{
    return t->n_dim > 0 ? t->dim[t->n_dim - 1] : 1; /* a scalar is one row of one */
}

int64_t eh_tensor_count(const eh_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->n_dim; i++)
        n *= t->dim[i]; /* the reader of the file has checked that this fits */
    return n;
}

int64_t eh_tensor_row_bytes(const eh_tensor *t)
{
    const eh_dtype_info *type = eh_dtype_get(t->dtype);
    return row_length(t) / type->block * type->bytes;
}

void eh_tensor_rows(const eh_tensor *t, int64_t row, int64_t n_row, float *out)
{
    eh_dtype_to_f32(t->dtype, t->data + row * eh_tensor_row_bytes(t), n_row * row_length(t), out);
}
