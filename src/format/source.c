#include "format/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int eh_source_map(eh_weights *w, int file, const char *path, eh_err *err)
{
    eh_weight_file *f = &w->file[file];
    f->path = eh_arena_text(&w->arena, path, (int64_t)strlen(path));
    if (f->path == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
    return eh_map_open(f->path, &f->map, err);
}

int eh_source_grow(eh_weights *w, int64_t n, eh_err *err)
{
    eh_tensor *t = eh_realloc(w->tensor, w->n_tensor + n, (int64_t)sizeof *t);
    if (t == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for the table of %lld tensors", w->path,
                       (long long)(w->n_tensor + n));
    w->tensor = t;
    return EH_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const eh_tensor *const *)a)->name, (*(const eh_tensor *const *)b)->name);
}

int eh_source_index(eh_weights *w, eh_err *err)
{
    const eh_tensor **sorted = eh_new_raw(&w->arena, const eh_tensor *, w->n_tensor);
    if (sorted == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory to sort %lld names", w->path, (long long)w->n_tensor);
    for (int64_t i = 0; i < w->n_tensor; i++)
        sorted[i] = &w->tensor[i];
    qsort(sorted, (size_t)w->n_tensor, sizeof *sorted, by_name);
    for (int64_t i = 1; i < w->n_tensor; i++) {
        const eh_tensor *a = sorted[i - 1], *b = sorted[i];
        if (strcmp(a->name, b->name) == 0)
            return eh_fail(err, EH_EFORMAT, "%s: tensor %s is there twice: at byte %lld of %s and at byte %lld of %s",
                           w->path, a->name, (long long)a->offset, w->file[a->file].path, (long long)b->offset,
                           w->file[b->file].path);
    }
    w->by_name = sorted;
    return EH_OK;
}

const eh_tensor *eh_source_find(const eh_weights *w, const char *name)
{
    int64_t low = 0, high = w->n_tensor;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int order = strcmp(name, w->by_name[middle]->name);
        if (order == 0)
            return w->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* The densest entry that means anything, and so the limits below with some to spare:
 *     "a":{"dtype":"U8","shape":[1,1,1,1],"data_offsets":[0,1]},      3 brackets, 7 commas, 58 bytes
 */
int eh_source_json(eh_str text, const char *where, json_t **root, eh_err *err)
{
    int64_t n_bracket = 0, n_comma = 0;
    bool in_string = false;
    for (int64_t i = 0; i < text.n; i++) {
        const char c = text.p[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string)
            i += c == '\\';
        else if (c == '[' || c == '{')
            n_bracket++;
        else if (c == ',')
            n_comma++;
    }
    if (n_bracket > text.n / 16 + 64 || n_comma > text.n / 6 + 64)
        return eh_fail(err, EH_EFORMAT,
                       "%s: %lld brackets and %lld commas in %lld bytes of JSON are no list of tensors", where,
                       (long long)n_bracket, (long long)n_comma, (long long)text.n);
    return eh_json_parse(text, where, root, err);
}

bool eh_source_name_good(eh_str name)
{
    if (name.n < 1 || name.n > EH_NAME_MAX)
        return false;
    for (int64_t i = 0; i < name.n;) {
        const unsigned char c = (unsigned char)name.p[i];
        const int len = eh_utf8_next(name, i, NULL);
        if (len == 0 || c < 0x20 || c == 0x7f)
            return false;
        i += len;
    }
    return true;
}

bool eh_source_bytes(const eh_tensor *t, int64_t *n_byte)
{
    const eh_dtype_info *type = eh_dtype_get(t->dtype);
    int64_t n = t->n_dim > 0 ? t->dim[t->n_dim - 1] : 1;
    bool empty = n == 0;
    if (n % type->block != 0)
        return false;
    n = n / type->block + empty; /* blocks in a row; an empty one counts as one until the end */
    for (int i = 0; i + 1 < t->n_dim; i++) {
        empty = empty || t->dim[i] == 0;
        if (__builtin_mul_overflow(n, t->dim[i] > 0 ? t->dim[i] : 1, &n))
            return false;
    }
    /* The count of numbers must fit as well as that of bytes; no type has more than 8 bytes a number. */
    int64_t count;
    if (__builtin_mul_overflow(n, type->block, &count) || __builtin_mul_overflow(n, type->bytes, &n))
        return false;
    *n_byte = empty ? 0 : n;
    return true;
}

const char *eh_source_shape(const eh_tensor *t, char room[EH_SHAPE_TEXT])
{
    int n = snprintf(room, EH_SHAPE_TEXT, "[");
    for (int i = 0; i < t->n_dim; i++)
        n += snprintf(room + n, EH_SHAPE_TEXT - (size_t)n, i == 0 ? "%lld" : ", %lld", (long long)t->dim[i]);
    snprintf(room + n, EH_SHAPE_TEXT - (size_t)n, "]");
    return room;
}

const char *eh_source_guess(eh_str bytes)
{
    static const struct {
        eh_str start;
        const char *what;
    } known[] = {
        {{"version https://git-lfs", 23}, "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"},
        {{"PK\x03\x04", 4}, "a zip archive, perhaps a PyTorch checkpoint: convert it to safetensors"},
        {{"\x80\x02", 2}, "a Python pickle, perhaps a PyTorch checkpoint: convert it to safetensors"},
        {{"tjgg", 4}, "a ggjt file of before August 2023: convert the model to GGUF again"},
        {{"fmgg", 4}, "a ggmf file of before August 2023: convert the model to GGUF again"},
        {{"lmgg", 4}, "a ggml file of before August 2023: convert the model to GGUF again"},
        {{"\x89HDF", 4}, "an HDF5 file, perhaps Keras weights: convert it to safetensors"},
        {{"\x1f\x8b", 2}, "gzip-compressed: unpack it first"},
        {{"<!DOCTYPE", 9}, "a web page, perhaps the error page of a download"},
        {{"<html", 5}, "a web page, perhaps the error page of a download"},
        {{"{", 1}, "JSON text: give the folder it lies in"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (eh_str_starts(bytes, known[i].start))
            return known[i].what;
    return NULL;
}
