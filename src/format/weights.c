#include "format/weights.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "format/source.h"

/* ---- Opening and closing ------------------------------------------------------------------- */

/* A GGUF file is known by its magic, whatever its name. */
static int read_file(eh_weights *w, eh_err *err)
{
    w->kind = EH_WEIGHTS_GGUF;
    w->file = eh_new(&w->arena, eh_weight_file, 1);
    if (w->file == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to open %s", w->path);
    w->n_file = 1;
    const int rc = eh_source_map(w, 0, w->path, err);
    if (rc < 0)
        return rc;
    const eh_str bytes = {w->file[0].map.p, w->file[0].map.n};
    if (eh_str_starts(bytes, EH_STR("GGUF")))
        return eh_gguf_read(w, err);

    const char *guess = bytes.n == 0 ? "empty" : eh_source_guess(bytes);
    if (guess == NULL && bytes.n > 8 && bytes.p[8] == '{')
        guess = "perhaps a safetensors file: give the folder that holds it with its config.json";
    if (guess != NULL)
        return eh_fail(err, EH_EFORMAT,
                       "%s: is not a GGUF file; it is %s (wanted a GGUF file or a Hugging Face folder)", w->path,
                       guess);
    char first[4 * 3 + 1] = "";
    for (int i = 0; i < 4 && i < bytes.n; i++)
        snprintf(first + 3 * i, 4, " %02x", (unsigned char)bytes.p[i]);
    return eh_fail(err, EH_EFORMAT,
                   "%s: is not a GGUF file: it starts with%s, not with \"GGUF\" (wanted a GGUF file or a Hugging Face "
                   "folder)",
                   w->path, first);
}

int eh_weights_open(const char *path, eh_weights **out, eh_err *err)
{
    eh_weights *w = eh_calloc(1, (int64_t)sizeof *w);
    if (w == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to open %s", path);
    int rc;
    w->path = eh_arena_text(&w->arena, path, (int64_t)strlen(path));
    if (w->path == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory to open %s", path);
    else
        rc = eh_dir_exists(path) ? eh_folder_read(w, err) : read_file(w, err);
    if (rc < 0)
        eh_weights_close(w);
    else
        *out = w;
    return rc;
}

void eh_weights_close(eh_weights *w)
{
    if (w == NULL)
        return;
    json_decref(w->config);
    json_decref(w->generation);
    for (int i = 0; i < w->n_file; i++)
        eh_map_close(&w->file[i].map);
    eh_free(w->tensor);
    eh_arena_clear(&w->arena);
    eh_free(w);
}

/* ---- Answering ----------------------------------------------------------------------------- */

eh_weights_kind eh_weights_kind_of(const eh_weights *w)
{
    return w->kind;
}

const char *eh_weights_path(const eh_weights *w)
{
    return w->path;
}

int64_t eh_weights_count(const eh_weights *w)
{
    return w->n_tensor;
}

const eh_tensor *eh_weights_at(const eh_weights *w, int64_t i)
{
    return &w->tensor[i];
}

const eh_tensor *eh_weights_find(const eh_weights *w, const char *name)
{
    return eh_source_find(w, name);
}

int eh_weights_n_file(const eh_weights *w)
{
    return w->n_file;
}

const char *eh_weights_file_path(const eh_weights *w, int file)
{
    return w->file[file].path;
}

const eh_map *eh_weights_file_map(const eh_weights *w, int file)
{
    return &w->file[file].map;
}

int64_t eh_weights_file_header(const eh_weights *w, int file)
{
    return w->file[file].header;
}

void eh_weights_will_need(const eh_weights *w, const eh_tensor *t)
{
    eh_map_will_need(&w->file[t->file].map, t->offset, t->n_byte);
}

const json_t *eh_weights_config(const eh_weights *w)
{
    return w->config;
}

const json_t *eh_weights_generation_config(const eh_weights *w)
{
    return w->generation;
}

int eh_weights_sha256(const eh_weights *w, char out[65], eh_err *err)
{
    eh_sha256 h;
    eh_sha256_begin(&h);
    for (int i = 0; i < w->n_file; i++)
        eh_sha256_add(&h, w->file[i].map.p, w->file[i].map.n);
    return eh_sha256_end(&h, out, err);
}

int eh_weights_fingerprint(const eh_weights *w, char out[65], eh_err *err)
{
    eh_sha256 h;
    eh_sha256_begin(&h);
    for (int i = 0; i < w->n_file; i++) {
        eh_sha256_add(&h, &w->file[i].map.n, (int64_t)sizeof w->file[i].map.n);
        eh_sha256_add(&h, w->file[i].map.p, w->file[i].header);
    }
    for (int64_t i = 0; i < w->n_tensor; i++) {
        const eh_tensor *t = &w->tensor[i];
        eh_sha256_add(&h, t->data, t->n_byte < 65536 ? t->n_byte : 65536);
    }
    return eh_sha256_end(&h, out, err);
}
