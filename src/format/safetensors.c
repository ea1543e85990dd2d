/*
 * safetensors: 8 bytes of header length, a JSON header, the tensors' bytes. Source: the format's own
 * description (github.com/huggingface/safetensors, README, "Format") and what its reader checks:
 *
 *     {"__metadata__": {"format": "pt"},
 *      "model.norm.weight": {"dtype": "F32", "shape": [576], "data_offsets": [0, 2304]}, ...}
 *
 * Offsets count from the end of the header. Sorted, the tensors must fill the rest of the file
 * without overlap, hole or remainder.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/source.h"

#define HEADER_MAX 100000000 /* the reference reader's limit */

/* "where: name" and what is wrong with it. */
#define REFUSE(code, format, ...) eh_fail(err, code, "%s: %s: " format, where, t->name, __VA_ARGS__)

static int read_shape(const json_t *shape, const char *where, eh_tensor *t, eh_err *err)
{
    if (!json_is_array(shape))
        return REFUSE(EH_EFORMAT, "its shape is %s, wanted an array", eh_json_type(shape));
    const size_t n_dim = json_array_size(shape);
    if (n_dim > EH_DIM_MAX)
        return REFUSE(EH_ENOSUP, "has %zu dimensions; at most %d are supported", n_dim, EH_DIM_MAX);
    t->n_dim = (int)n_dim;
    for (size_t i = 0; i < n_dim; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim))
            return REFUSE(EH_EFORMAT, "dimension %zu of its shape is %s, wanted an integer", i, eh_json_type(dim));
        t->dim[i] = json_integer_value(dim);
        if (t->dim[i] < 0)
            return REFUSE(EH_EFORMAT, "dimension %zu of its shape is %" PRId64, i, t->dim[i]);
    }
    return EH_OK;
}

/* `data` is the file's position of offset 0, `room` the bytes from there to its end. */
static int read_tensor(const json_t *v, const char *where, const char *bytes, int64_t data, int64_t room,
                       eh_tensor *t, eh_err *err)
{
    char shape[EH_SHAPE_TEXT];
    if (!json_is_object(v))
        return REFUSE(EH_EFORMAT, "is %s, wanted an object", eh_json_type(v));
    const json_t *dtype = json_object_get(v, "dtype");
    if (!json_is_string(dtype))
        return REFUSE(EH_EFORMAT, "its dtype is %s, wanted a string", eh_json_type(dtype));
    if (!eh_dtype_of_safetensors(eh_json_text(dtype), &t->dtype))
        return REFUSE(EH_ENOSUP, "is stored as %.40s, which cannot be read; convert it to F32, F16 or BF16",
                      json_string_value(dtype));
    const int rc = read_shape(json_object_get(v, "shape"), where, t, err);
    if (rc < 0)
        return rc;
    const char *type = eh_dtype_get(t->dtype)->name;
    if (!eh_source_bytes(t, &t->n_byte))
        return REFUSE(EH_EFORMAT, "%s %s takes more bytes than there are addresses", type, eh_source_shape(t, shape));

    const json_t *offsets = json_object_get(v, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return REFUSE(EH_EFORMAT, "its data_offsets are %s, wanted an array of two integers", eh_json_type(offsets));
    const int64_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || to > room)
        return REFUSE(EH_EFORMAT, "its data_offsets are [%" PRId64 ", %" PRId64 "]; %" PRId64 " bytes follow the header",
                      from, to, room);
    if (to - from != t->n_byte)
        return REFUSE(EH_EFORMAT,
                      "%s %s takes %" PRId64 " bytes, its data_offsets [%" PRId64 ", %" PRId64 "] hold %" PRId64, type,
                      eh_source_shape(t, shape), t->n_byte, from, to, to - from);
    t->offset = data + from;
    t->data = bytes + t->offset;
    return EH_OK;
}

/* By place; an empty tensor comes before the one that starts where it lies. */
static int by_place(const void *a, const void *b)
{
    const eh_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->n_byte != y->n_byte)
        return x->n_byte < y->n_byte ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Tensors t[n], sorted by place, must tile the bytes from `data` to `end`. */
static int check_tiling(const eh_tensor *t, int64_t n, const char *where, int64_t data, int64_t end, eh_err *err)
{
    int64_t at = data;
    for (int64_t i = 0; i < n; i++) {
        if (t[i].offset < at)
            return eh_fail(err, EH_EFORMAT, "%s: %s starts at byte %" PRId64 ", inside %s, which ends at %" PRId64,
                           where, t[i].name, t[i].offset, t[i - 1].name, at);
        if (t[i].offset > at)
            return eh_fail(err, EH_EFORMAT, "%s: bytes %" PRId64 " to %" PRId64 ", before %s, belong to no tensor",
                           where, at, t[i].offset, t[i].name);
        at += t[i].n_byte;
    }
    if (at != end)
        return eh_fail(err, EH_EFORMAT, "%s: the last tensor ends at byte %" PRId64 ", the file at %" PRId64, where, at,
                       end);
    return EH_OK;
}

static int check_metadata(json_t *metadata, const char *where, eh_err *err)
{
    const char *key;
    json_t *v;
    if (metadata == NULL)
        return EH_OK;
    if (!json_is_object(metadata))
        return eh_fail(err, EH_EFORMAT, "%s: __metadata__ is %s, wanted an object", where, eh_json_type(metadata));
    json_object_foreach(metadata, key, v)
        if (!json_is_string(v))
            return eh_fail(err, EH_EFORMAT, "%s: __metadata__: \"%.100s\" is %s, wanted a string", where, key,
                           eh_json_type(v));
    return EH_OK;
}

static int read_header(eh_weights *w, int file, json_t *root, eh_err *err)
{
    const eh_weight_file *f = &w->file[file];
    const char *where = f->path;
    const char *name;
    json_t *v;
    if (!json_is_object(root))
        return eh_fail(err, EH_EFORMAT, "%s: its header is %s, wanted an object", where, eh_json_type(root));
    json_t *metadata = json_object_get(root, "__metadata__");
    int rc = check_metadata(metadata, where, err);
    if (rc < 0)
        return rc;
    const int64_t n = (int64_t)json_object_size(root) - (metadata != NULL);
    rc = eh_source_grow(w, n, err);
    if (rc < 0)
        return rc;

    eh_tensor *first = w->tensor + w->n_tensor;
    eh_tensor *t = first;
    json_object_foreach(root, name, v) {
        if (v == metadata)
            continue;
        const eh_str text = eh_str_of(name);
        if (!eh_source_name_good(text))
            return eh_fail(err, EH_EFORMAT,
                           "%s: tensor %" PRId64 " has a name of %" PRId64
                           " bytes; wanted 1 to %d, without control characters",
                           where, (int64_t)(t - first), text.n, EH_NAME_MAX);
        *t = (eh_tensor){.name = eh_arena_text(&w->arena, text.p, text.n), .file = file};
        if (t->name == NULL)
            return eh_fail(err, EH_ENOMEM, "%s: no memory for the name of a tensor", where);
        rc = read_tensor(v, where, f->map.p, f->header, f->map.n - f->header, t, err);
        if (rc < 0)
            return rc;
        t++;
    }
    if (n > 0)
        qsort(first, (size_t)n, sizeof *first, by_place);
    rc = check_tiling(first, n, where, f->header, f->map.n, err);
    if (rc == EH_OK)
        w->n_tensor += n;
    return rc;
}

int eh_safetensors_read(eh_weights *w, int file, eh_err *err)
{
    eh_weight_file *f = &w->file[file];
    const char *where = f->path;
    const eh_str bytes = {f->map.p, f->map.n};
    uint64_t length;
    if (bytes.n < (int64_t)sizeof length)
        return eh_fail(err, EH_EFORMAT, "%s: has %" PRId64 " bytes; a safetensors file starts with 8 for its header's length",
                       where, bytes.n);
    memcpy(&length, bytes.p, sizeof length);
    if (length > HEADER_MAX) {
        const char *guess = eh_source_guess(bytes);
        if (guess != NULL)
            return eh_fail(err, EH_EFORMAT, "%s: is not a safetensors file; it is %s", where, guess);
        return eh_fail(err, EH_EFORMAT, "%s: promises a header of %" PRIu64 " bytes; at most %d are allowed", where,
                       length, HEADER_MAX);
    }
    if ((int64_t)length > bytes.n - 8)
        return eh_fail(err, EH_EFORMAT, "%s: a header of %" PRIu64 " bytes promised, %" PRId64 " left in the file", where,
                       length, bytes.n - 8);
    if (length == 0 || bytes.p[8] != '{')
        return eh_fail(err, EH_EFORMAT, "%s: its header does not start with '{'", where);

    json_t *root = NULL;
    f->header = 8 + (int64_t)length;
    int rc = eh_json_parse((eh_str){bytes.p + 8, (int64_t)length}, where, &root, err);
    if (rc == EH_OK)
        rc = read_header(w, file, root, err);
    json_decref(root);
    return rc;
}
