/*
 * GGUF, versions 2 and 3, little-endian. Source: gguf.md of ggml, and for what it leaves open the
 * checks of ggml's own reader (gguf.cpp):
 *
 *     "GGUF", version u32, n_tensor u64, n_value u64
 *     n_value times    key string, type u32, value
 *     n_tensor times   name string, n_dim u32, dims u64 (innermost first), type u32, offset u64
 *     padding to general.alignment (32), then the tensors' bytes, to which the offsets refer
 *
 * A string is a length (u64) and bytes. Every count is checked against the bytes that are left, at
 * the least that one item takes, before anything is allocated for it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/source.h"
#include "format/weights.h"

#define ALIGNMENT 32
#define VALUE_LEAST (8 + 1 + 4 + 1)         /* a key of one byte and a value of one */
#define TENSOR_LEAST (8 + 1 + 4 + 0 + 4 + 8) /* a scalar with a name of one byte */

/* By eh_gguf_type. */
static const struct {
    const char *name;
    int size;  /* bytes; 0: not of one size */
    char kind; /* unsigned, signed, float; bool; other */
} types[] = {
    {"uint8", 1, 'u'},  {"int8", 1, 's'},   {"uint16", 2, 'u'}, {"int16", 2, 's'}, {"uint32", 4, 'u'},
    {"int32", 4, 's'},  {"float32", 4, 'f'}, {"bool", 1, 'b'},   {"string", 0, 'o'}, {"array", 0, 'o'},
    {"uint64", 8, 'u'}, {"int64", 8, 's'},  {"float64", 8, 'f'},
};
#define N_TYPE ((uint32_t)(sizeof types / sizeof *types))

/* ---- Taking bytes -------------------------------------------------------------------------- */

/* A place in the file that moves on. It remembers the first failure: what is taken after it is
 * zero or empty, so that a reader may take several things and look at `rc` once. */
typedef struct cursor {
    const char *path;
    const char *p; /* [n] */
    int64_t n;
    int64_t at;
    int rc;
    eh_err *err;
} cursor;

/* The next n bytes; NULL after a failure. */
static const char *take(cursor *c, int64_t n, const char *what)
{
    if (c->rc < 0)
        return NULL;
    if (n > c->n - c->at) {
        c->rc = eh_fail(c->err, EH_EFORMAT,
                        "%s: at byte %" PRId64 ": %s takes %" PRId64 " bytes, %" PRId64 " are left", c->path, c->at,
                        what, n, c->n - c->at);
        return NULL;
    }
    c->at += n;
    return c->p + (c->at - n);
}

static uint64_t take_number(cursor *c, int size, const char *what)
{
    uint64_t x = 0;
    const char *p = take(c, size, what);
    if (p != NULL)
        memcpy(&x, p, (size_t)size);
    return x;
}

static uint32_t take_u32(cursor *c, const char *what)
{
    return (uint32_t)take_number(c, 4, what);
}

/* A u64 that counts things, of which each takes at least `least` of the bytes that follow. */
static int64_t take_count(cursor *c, int64_t least, const char *what)
{
    const uint64_t n = take_number(c, 8, what);
    if (c->rc < 0 || n <= (uint64_t)((c->n - c->at) / least))
        return (int64_t)n;
    c->rc = eh_fail(c->err, EH_EFORMAT,
                    "%s: at byte %" PRId64 ": %s is %" PRIu64 ", but only %" PRId64 " bytes are left", c->path,
                    c->at - 8, what, n, c->n - c->at);
    return 0;
}

static eh_str take_string(cursor *c, const char *what)
{
    const int64_t n = take_count(c, 1, what);
    const char *p = take(c, n, what);
    return p == NULL ? (eh_str){"", 0} : (eh_str){p, n};
}

/* The i-th key or tensor name. */
static eh_str take_name(cursor *c, const char *what, int64_t i)
{
    const int64_t at = c->at;
    const eh_str s = take_string(c, what);
    if (c->rc == EH_OK && !eh_source_name_good(s))
        c->rc = eh_fail(c->err, EH_EFORMAT,
                        "%s: at byte %" PRId64 ": %s %" PRId64 " has %" PRId64
                        " bytes; wanted 1 to %d of UTF-8 without control characters",
                        c->path, at, what, i, s.n, EH_NAME_MAX);
    return s;
}

/* ---- Metadata ------------------------------------------------------------------------------ */

static int64_t int_at(eh_gguf_type type, const char *p)
{
    uint64_t x = 0;
    memcpy(&x, p, (size_t)types[type].size);
    const uint64_t sign = types[type].kind == 's' ? 1ull << (8 * types[type].size - 1) : 0;
    return (int64_t)((x ^ sign) - sign);
}

static double real_at(eh_gguf_type type, const char *p)
{
    float x;
    double y;
    if (types[type].kind != 'f')
        return (double)int_at(type, p);
    if (type == EH_GGUF_F64) {
        memcpy(&y, p, sizeof y);
        return y;
    }
    memcpy(&x, p, sizeof x);
    return (double)x;
}

double eh_gguf_item_real(const eh_gguf_value *v, int64_t i)
{
    return real_at(v->item, v->data + i * types[v->item].size);
}

int64_t eh_gguf_item_int(const eh_gguf_value *v, int64_t i)
{
    return int_at(v->item, v->data + i * types[v->item].size);
}

static void refuse_value(cursor *c, const eh_gguf_value *v, int code, const char *what)
{
    c->rc = eh_fail(c->err, code, "%s: %.*s: %s", c->path, (int)v->key.n, v->key.p, what);
}

/* n packed items of one type at p: looks at those whose type has more bits than values. */
static void check_items(cursor *c, const eh_gguf_value *v, eh_gguf_type type, const char *p, int64_t n)
{
    if (type != EH_GGUF_BOOL && type != EH_GGUF_U64)
        return;
    const int64_t high = type == EH_GGUF_BOOL ? 1 : INT64_MAX;
    for (int64_t i = 0; i < n; i++) {
        const int64_t x = int_at(type, p + i * types[type].size);
        if (x < 0 || x > high) {
            refuse_value(c, v, EH_EFORMAT,
                         type == EH_GGUF_BOOL ? "holds a bool that is neither 0 nor 1"
                                              : "holds a uint64 of 2^63 or more");
            return;
        }
    }
}

static eh_gguf_type take_type(cursor *c, const eh_gguf_value *v)
{
    const uint32_t number = take_u32(c, "the type of a value");
    if (number < N_TYPE)
        return (eh_gguf_type)number;
    c->rc = eh_fail(c->err, EH_EFORMAT, "%s: %.*s: has value type %u; the format knows 0 to %u", c->path, (int)v->key.n,
                    v->key.p, (unsigned)number, (unsigned)N_TYPE - 1);
    return EH_GGUF_U8;
}

static void take_array(eh_weights *w, cursor *c, eh_gguf_value *v)
{
    v->item = take_type(c, v);
    const int64_t size = types[v->item].size;
    if (v->item == EH_GGUF_ARRAY) {
        refuse_value(c, v, EH_ENOSUP, "is an array of arrays, which is not supported");
    } else if (v->item == EH_GGUF_STRING) {
        v->n = take_count(c, 8, "the length of an array");
        v->strings = eh_new_raw(&w->arena, eh_str, v->n);
        if (v->strings == NULL)
            refuse_value(c, v, EH_ENOMEM, "no memory for its strings");
        for (int64_t i = 0; i < v->n && c->rc == EH_OK; i++)
            v->strings[i] = take_string(c, "a string of an array");
    } else {
        v->n = take_count(c, size, "the length of an array");
        v->data = take(c, v->n * size, "an array");
        if (c->rc == EH_OK)
            check_items(c, v, v->item, v->data, v->n);
    }
}

static void take_value(eh_weights *w, cursor *c, int64_t i, eh_gguf_value *v)
{
    v->n = 1;
    v->key = take_name(c, "metadata key", i);
    v->type = take_type(c, v);
    if (c->rc < 0)
        return;
    if (v->type == EH_GGUF_ARRAY) {
        take_array(w, c, v);
    } else if (v->type == EH_GGUF_STRING) {
        v->s = take_string(c, "a string");
    } else {
        const char *p = take(c, types[v->type].size, "a value");
        if (p == NULL)
            return;
        check_items(c, v, v->type, p, 1);
        if (types[v->type].kind == 'f')
            v->f = real_at(v->type, p);
        else
            v->i = int_at(v->type, p);
    }
}

static int compare_str(eh_str a, eh_str b)
{
    const int64_t n = a.n < b.n ? a.n : b.n;
    const int order = memcmp(a.p, b.p, (size_t)n);
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_key(const void *a, const void *b)
{
    return compare_str((*(const eh_gguf_value *const *)a)->key, (*(const eh_gguf_value *const *)b)->key);
}

static void read_values(eh_weights *w, cursor *c, int64_t n)
{
    w->value = eh_new(&w->arena, eh_gguf_value, n);
    w->by_key = eh_new_raw(&w->arena, const eh_gguf_value *, n);
    if (w->value == NULL || w->by_key == NULL) {
        c->rc = eh_fail(c->err, EH_ENOMEM, "%s: no memory for %" PRId64 " metadata values", c->path, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        take_value(w, c, i, &w->value[i]);
        if (c->rc < 0)
            return;
        w->by_key[i] = &w->value[i];
    }
    qsort(w->by_key, (size_t)n, sizeof *w->by_key, by_key);
    for (int64_t i = 1; i < n; i++)
        if (eh_str_eq(w->by_key[i - 1]->key, w->by_key[i]->key)) {
            refuse_value(c, w->by_key[i], EH_EFORMAT, "is there twice");
            return;
        }
    w->n_value = n;
}

const eh_gguf_value *eh_gguf_get(const eh_weights *w, const char *key)
{
    const eh_str wanted = eh_str_of(key);
    int64_t low = 0, high = w->n_value;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int order = compare_str(wanted, w->by_key[middle]->key);
        if (order == 0)
            return w->by_key[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

int64_t eh_gguf_count(const eh_weights *w)
{
    return w->n_value;
}

const eh_gguf_value *eh_gguf_at(const eh_weights *w, int64_t i)
{
    return &w->value[i];
}

/* ---- Tensors ------------------------------------------------------------------------------- */

static void refuse_type(cursor *c, const eh_tensor *t, uint32_t number)
{
    char room[16], readable[200];
    int n = 0;
    for (int i = 0; i < EH_DTYPE_COUNT; i++) {
        const eh_dtype_info *info = eh_dtype_get((eh_dtype)i);
        if (info->gguf >= 0 && n < (int)sizeof readable)
            n += snprintf(readable + n, sizeof readable - (size_t)n, n == 0 ? "%s" : ", %s", info->name);
    }
    c->rc = eh_fail(c->err, EH_ENOSUP,
                    "%s: %s: is stored as %s, which cannot be read; convert the model to one of %s", c->path, t->name,
                    eh_dtype_gguf_name(number, room), readable);
}

/* Dimensions are innermost first in the file, outermost first here. */
static void take_shape(cursor *c, eh_tensor *t)
{
    const uint32_t n_dim = take_u32(c, "a number of dimensions");
    if (n_dim > EH_DIM_MAX) {
        c->rc = eh_fail(c->err, EH_EFORMAT, "%s: %s: has %u dimensions; at most %d are allowed", c->path, t->name,
                        (unsigned)n_dim, EH_DIM_MAX);
        return;
    }
    t->n_dim = (int)n_dim;
    for (int i = t->n_dim - 1; i >= 0; i--) {
        const uint64_t dim = take_number(c, 8, "a dimension");
        if (dim > INT64_MAX) {
            c->rc = eh_fail(c->err, EH_EFORMAT, "%s: %s: has a dimension of %" PRIu64, c->path, t->name, dim);
            return;
        }
        t->dim[i] = (int64_t)dim;
    }
}

/* One entry of the table. Its offset stays as it is written: relative to the data. */
static void take_tensor(eh_weights *w, cursor *c, int64_t i, int64_t alignment, eh_tensor *t)
{
    char shape[EH_SHAPE_TEXT];
    const eh_str name = take_name(c, "tensor name", i);
    *t = (eh_tensor){.name = eh_arena_text(&w->arena, name.p, name.n)};
    if (t->name == NULL)
        c->rc = eh_fail(c->err, EH_ENOMEM, "%s: no memory for the name of a tensor", c->path);
    if (c->rc == EH_OK)
        take_shape(c, t);
    const uint32_t number = take_u32(c, "a tensor's type");
    const uint64_t offset = take_number(c, 8, "a tensor's offset");
    if (c->rc < 0)
        return;
    if (!eh_dtype_of_gguf(number, &t->dtype)) {
        refuse_type(c, t, number);
        return;
    }
    const eh_dtype_info *type = eh_dtype_get(t->dtype);
    if (!eh_source_bytes(t, &t->n_byte))
        c->rc = eh_fail(c->err, EH_EFORMAT,
                        "%s: %s: %s %s is not made of rows of whole blocks of %" PRId64
                        ", or takes more than 2^63 bytes",
                        c->path, t->name, type->name, eh_source_shape(t, shape), type->block);
    else if (offset > INT64_MAX || (int64_t)offset % alignment != 0)
        c->rc = eh_fail(c->err, EH_EFORMAT,
                        "%s: %s: its offset %" PRIu64 " is not a multiple of the alignment, %" PRId64, c->path,
                        t->name, offset, alignment);
    t->offset = (int64_t)offset;
}

/* Turns the offset into a place in the file, `data` being where offset 0 is. */
static void place(cursor *c, eh_tensor *t, int64_t data)
{
    const int64_t room = data > c->n ? -1 : c->n - data;
    if (t->offset > room || t->n_byte > room - t->offset) {
        c->rc = eh_fail(c->err, EH_EFORMAT,
                        "%s: %s: takes %" PRId64 " bytes at offset %" PRId64
                        " of the data, which start at byte %" PRId64 "; the file ends at byte %" PRId64
                        ": is it cut off?",
                        c->path, t->name, t->n_byte, t->offset, data, c->n);
        return;
    }
    t->offset += data;
    t->data = c->p + t->offset;
}

static int by_place(const void *a, const void *b)
{
    const eh_tensor *x = *(const eh_tensor *const *)a, *y = *(const eh_tensor *const *)b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->n_byte != y->n_byte)
        return x->n_byte < y->n_byte ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Holes are padding and may hold anything; two tensors may not share a byte. */
static void check_overlap(eh_weights *w, cursor *c)
{
    const eh_arena_mark mark = eh_arena_here(&w->arena);
    const eh_tensor **sorted = eh_new_raw(&w->arena, const eh_tensor *, w->n_tensor);
    if (sorted == NULL) {
        c->rc = eh_fail(c->err, EH_ENOMEM, "%s: no memory to sort %" PRId64 " tensors", c->path, w->n_tensor);
        return;
    }
    for (int64_t i = 0; i < w->n_tensor; i++)
        sorted[i] = &w->tensor[i];
    qsort(sorted, (size_t)w->n_tensor, sizeof *sorted, by_place);
    for (int64_t i = 1; i < w->n_tensor && c->rc == EH_OK; i++) {
        const eh_tensor *a = sorted[i - 1], *b = sorted[i];
        if (a->offset + a->n_byte > b->offset)
            c->rc = eh_fail(c->err, EH_EFORMAT, "%s: %s starts at byte %" PRId64 ", inside %s, which ends at %" PRId64,
                            c->path, b->name, b->offset, a->name, a->offset + a->n_byte);
    }
    eh_arena_rewind(&w->arena, mark);
}

static void read_tensors(eh_weights *w, cursor *c, int64_t n, int64_t alignment)
{
    c->rc = eh_source_grow(w, n, c->err);
    for (int64_t i = 0; i < n && c->rc == EH_OK; i++)
        take_tensor(w, c, i, alignment, &w->tensor[i]);
    if (c->rc < 0)
        return;
    w->file[0].header = c->at;
    const int64_t data = c->at + (alignment - c->at % alignment) % alignment;
    for (int64_t i = 0; i < n && c->rc == EH_OK; i++)
        place(c, &w->tensor[i], data);
    if (c->rc < 0)
        return;
    w->n_tensor = n;
    c->rc = eh_source_index(w, c->err);
    if (c->rc == EH_OK)
        check_overlap(w, c);
}

/* ---- The file ------------------------------------------------------------------------------ */

static void check_version(cursor *c)
{
    const uint32_t version = take_u32(c, "the version");
    if (c->rc < 0 || version == 2 || version == 3)
        return;
    if (version != 0 && (version & 0xffff) == 0)
        c->rc = eh_fail(c->err, EH_ENOSUP, "%s: is a big-endian GGUF file; only little-endian ones are supported",
                        c->path);
    else
        c->rc = eh_fail(c->err, EH_ENOSUP,
                        "%s: is GGUF version %u; versions 2 and 3 are supported: convert the model again", c->path,
                        (unsigned)version);
}

/* A part of a split model lacks tensors that only the other parts hold. */
static void check_split(const eh_weights *w, cursor *c)
{
    const eh_gguf_value *count = eh_gguf_get(w, "split.count"), *no = eh_gguf_get(w, "split.no");
    if (count != NULL && count->i > 1)
        c->rc = eh_fail(c->err, EH_ENOSUP,
                        "%s: is part %" PRId64 " of a model split over %" PRId64
                        " files, which is not supported: join them with `llama-gguf-split --merge`",
                        c->path, no != NULL && no->i >= 0 && no->i < count->i ? no->i + 1 : 1, count->i);
}

static int64_t find_alignment(const eh_weights *w, cursor *c)
{
    const eh_gguf_value *v = eh_gguf_get(w, "general.alignment");
    if (v == NULL)
        return ALIGNMENT;
    if (v->type != EH_GGUF_U32)
        c->rc = eh_fail(c->err, EH_EFORMAT, "%s: general.alignment is of type %s, wanted uint32", c->path,
                        types[v->type].name);
    else if (v->i < 8 || (v->i & (v->i - 1)) != 0)
        c->rc = eh_fail(c->err, EH_EFORMAT, "%s: general.alignment is %" PRId64 ", wanted a power of two of 8 or more",
                        c->path, v->i);
    return v->i;
}

int eh_gguf_read(eh_weights *w, eh_err *err)
{
    cursor c = {.path = w->path, .p = w->file[0].map.p, .n = w->file[0].map.n, .at = 4, .err = err};
    check_version(&c);
    const int64_t n_tensor = take_count(&c, TENSOR_LEAST, "the number of tensors");
    const int64_t n_value = take_count(&c, VALUE_LEAST, "the number of metadata values");
    if (c.rc == EH_OK)
        read_values(w, &c, n_value);
    if (c.rc == EH_OK)
        check_split(w, &c);
    const int64_t alignment = c.rc == EH_OK ? find_alignment(w, &c) : ALIGNMENT;
    if (c.rc == EH_OK)
        read_tensors(w, &c, n_tensor, alignment);
    return c.rc;
}
