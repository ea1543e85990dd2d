/*
 * Tiny models of any row of the family table, in either format, whose logical weights do not depend on how the row lays
 * them out: what must be read of a slot is known without reading.
 *
 *     eh_config c = row_config(a, EH_WEIGHTS_SAFETENSORS);
 *     row_write(path, &c, "{}");                       a folder, or a GGUF file
 *     row_weight(&c, EH_SLOT_Q, 1, false, w);          [rows, cols] of layer 1's queries
 */
#ifndef EH_TESTS_ROW_MODEL_H
#define EH_TESTS_ROW_MODEL_H

#include <jansson.h>

#include "arch/config.h"
#include "base/rng.h"
#include "weight_files.h"

#define ROW_LAYERS 3
#define ROW_NUMBERS 8192 /* of one weight, at most */
#define ROW_TENSORS 80

/* A small shape: every number another one. */
static inline eh_config row_config(const eh_arch *a, eh_weights_kind kind)
{
    eh_config c = a->start;
    c.arch = a;
    c.kind = kind;
    c.n_layer = ROW_LAYERS;
    c.d_model = 16;
    c.d_ff = 24;
    c.n_vocab = 40;
    c.n_ctx = 12;
    c.n_head = 4;
    c.d_head = 4;
    c.n_kv = c.n_head;
    for (int t = 0; a->key[t] != NULL; t++)
        for (const eh_arch_key *k = a->key[t]; k->json != NULL || k->gguf != NULL; k++)
            if (k->at == offsetof(eh_config, n_kv))
                c.n_kv = 2; /* a config may say so */
    return c;
}

static inline int64_t row_count(const eh_config *c, eh_slot slot, bool bias)
{
    const int64_t rows = eh_slot_rows(c, slot), cols = eh_slot_cols(c, slot);
    return rows == 0 ? cols : bias ? rows : rows * cols;
}

/* The logical weight, in Hugging Face order. */
static inline void row_weight(const eh_config *c, eh_slot slot, int64_t layer, bool bias, float *w)
{
    eh_rng r = eh_rng_at(3, "a row's model", (uint64_t)(((int64_t)slot * 64 + layer) * 2 + bias));
    const int64_t n = row_count(c, slot, bias);
    CHECK(n <= ROW_NUMBERS);
    for (int64_t i = 0; i < n; i++)
        w[i] = (float)(eh_slot_rows(c, slot) == 0 && !bias ? 0.5 + eh_rng_double(&r) : 0.3 * eh_rng_normal(&r));
}

typedef struct row_tensor {
    char name[EH_TENSOR_NAME];
    int n_dim;
    int64_t dim[2];
    float *x;
} row_tensor;

typedef struct row_file {
    row_tensor t[ROW_TENSORS];
    int n;
} row_file;

static inline row_tensor *row_tensor_of(row_file *f, const eh_filed *at)
{
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->t[i].name, at->name) == 0)
            return &f->t[i];
    CHECK(f->n < ROW_TENSORS);
    row_tensor *t = &f->t[f->n++];
    const bool turned = (at->layout & EH_LAYOUT_TRANSPOSED) != 0;
    *t = (row_tensor){.n_dim = at->n_in > 0 ? 2 : 1, .dim = {at->n_whole, at->n_in}};
    if (turned) {
        t->dim[0] = at->n_in;
        t->dim[1] = at->n_whole;
    }
    memcpy(t->name, at->name, sizeof t->name);
    t->x = calloc((size_t)(at->n_whole * (at->n_in > 0 ? at->n_in : 1)), sizeof *t->x);
    CHECK(t->x != NULL);
    return t;
}

/* Where the logical number (r, i) lies, by the definition of each layout. */
static inline int64_t row_place(const eh_config *c, const eh_filed *f, int64_t r, int64_t i)
{
    if (f->layout & EH_LAYOUT_PAIRED) {
        const int64_t half = c->d_head / 2, head = r / c->d_head, in_head = r % c->d_head;
        r = head * c->d_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
    }
    const int64_t at = f->first + r;
    return f->n_in == 0 ? at : f->layout & EH_LAYOUT_TRANSPOSED ? i * f->n_whole + at : at * f->n_in + i;
}

static inline void row_put(row_file *file, const eh_config *c, eh_slot slot, int64_t layer, bool bias)
{
    static float w[ROW_NUMBERS];
    eh_filed f;
    eh_config_filed(c, slot, layer, bias, &f);
    row_tensor *t = row_tensor_of(file, &f);
    const int64_t n_in = f.n_in > 0 ? f.n_in : 1;
    row_weight(c, slot, layer, bias, w);
    for (int64_t k = 0; k < f.n_out * n_in; k++)
        t->x[row_place(c, &f, k / n_in, k % n_in)] = w[k];
}

static inline void row_fill(row_file *file, const eh_config *c)
{
    for (int s = 0; s < EH_N_SLOT; s++)
        for (int64_t layer = 0; layer < (s < EH_SLOT_NORM ? 1 : c->n_layer); layer++) {
            if (eh_config_has(c, (eh_slot)s))
                row_put(file, c, (eh_slot)s, layer, false);
            if (eh_config_has_bias(c, (eh_slot)s))
                row_put(file, c, (eh_slot)s, layer, true);
        }
}

/* What the table of keys says of this config's integers that a file must say, and of those that the shape sets. */
static inline int64_t row_value(const eh_config *c, const eh_arch_key *k)
{
    static const size_t said[] = {offsetof(eh_config, n_layer), offsetof(eh_config, d_model), offsetof(eh_config, d_ff),
                                  offsetof(eh_config, n_vocab), offsetof(eh_config, n_head), offsetof(eh_config, n_kv),
                                  offsetof(eh_config, d_head),  offsetof(eh_config, n_ctx)};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (k->type == EH_KEY_INT && k->at == said[i])
            return *(const int64_t *)((const char *)c + k->at);
    return 0;
}

static inline void row_write_folder(const char *dir, const eh_config *c, const row_file *file, const char *more)
{
    eh_err err;
    eh_buf head = {0}, data = {0}, out = {0};
    json_t *o = json_loads(more, 0, NULL);
    CHECK(o != NULL);
    json_object_set_new(o, "model_type", json_string(c->arch->model_type[0]));
    for (int t = 0; c->arch->key[t] != NULL; t++)
        for (const eh_arch_key *k = c->arch->key[t]; k->json != NULL || k->gguf != NULL; k++)
            if (k->json != NULL && row_value(c, k) > 0)
                json_object_set_new(o, k->json, json_integer(row_value(c, k)));
    CHECK_OK(eh_dir_make(dir, &err));
    char *text = json_dumps(o, 0);
    save_text(dir, "config.json", text);
    free(text);
    json_decref(o);
    for (int i = 0; i < file->n; i++) {
        const row_tensor *t = &file->t[i];
        const int64_t n = t->dim[0] * (t->n_dim > 1 ? t->dim[1] : 1), at = data.n;
        eh_buf_printf(&head, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%lld", i > 0 ? "," : "{", t->name,
                      (long long)t->dim[0]);
        if (t->n_dim > 1)
            eh_buf_printf(&head, ",%lld", (long long)t->dim[1]);
        eh_buf_bytes(&data, t->x, n * 4);
        eh_buf_printf(&head, "],\"data_offsets\":[%lld,%lld]}", (long long)at, (long long)data.n);
    }
    eh_buf_printf(&head, "}");
    put_u64(&out, (uint64_t)head.n);
    eh_buf_str(&out, eh_buf_get(&head));
    eh_buf_str(&out, eh_buf_get(&data));
    save(dir, "model.safetensors", &out);
    eh_buf_clear(&head);
    eh_buf_clear(&data);
}

static inline void row_write_gguf(const char *dir, const char *name, const eh_config *c, const row_file *file)
{
    eh_buf b = {0};
    uint64_t n_key = 1, at = 0;
    char key[120];
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            gguf_start(&b, 3, (uint64_t)file->n, n_key);
            gguf_key(&b, "general.architecture", EH_GGUF_STRING);
            gguf_string(&b, c->arch->gguf.arch);
        }
        for (int t = 0; c->arch->key[t] != NULL; t++)
            for (const eh_arch_key *k = c->arch->key[t]; k->json != NULL || k->gguf != NULL; k++) {
                if (k->gguf == NULL || row_value(c, k) == 0)
                    continue;
                snprintf(key, sizeof key, "%s.%s", c->arch->gguf.arch, k->gguf);
                n_key += pass == 0;
                if (pass == 1)
                    gguf_u32(&b, key, (uint32_t)row_value(c, k));
            }
    }
    for (int i = 0; i < file->n; i++) {
        const row_tensor *t = &file->t[i];
        const uint64_t dim[2] = {(uint64_t)t->dim[t->n_dim - 1], (uint64_t)t->dim[0]};
        gguf_tensor(&b, t->name, (uint32_t)t->n_dim, dim, 0, at);
        at += (dim[0] * (t->n_dim > 1 ? dim[1] : 1) * 4 + 31) / 32 * 32;
    }
    for (int i = 0; i < file->n; i++) {
        const row_tensor *t = &file->t[i];
        put_zeros(&b, (32 - b.n % 32) % 32);
        eh_buf_bytes(&b, t->x, t->dim[0] * (t->n_dim > 1 ? t->dim[1] : 1) * 4);
    }
    save(dir, name, &b);
}

/* A folder DIR, with more of config.json; or the file DIR/model.gguf. */
static inline void row_write(const char *dir, const eh_config *c, const char *more)
{
    static row_file file;
    file.n = 0;
    row_fill(&file, c);
    if (c->kind == EH_WEIGHTS_GGUF)
        row_write_gguf(dir, "model.gguf", c, &file);
    else
        row_write_folder(dir, c, &file, more);
    for (int i = 0; i < file.n; i++)
        free(file.t[i].x);
}

#endif
