/*
 * For the fuzz targets of weight files: a folder that goes away at exit, files in it, and reading
 * whatever a file that opened has to give. ASan and UBSan are the judges.
 */
#ifndef EH_FUZZ_WEIGHT_INPUT_H
#define EH_FUZZ_WEIGHT_INPUT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/weights.h"

#define ROW_MAX 4096

static char input_dir[64];

static void input_path(char path[200], const char *name)
{
    snprintf(path, 200, "%s/%s", input_dir, name);
}

static void input_remove(void)
{
    static const char *const names[] = {"config.json",     "model.safetensors", "model.safetensors.index.json",
                                        "one.safetensors", "two.safetensors",   "m.gguf"};
    char path[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        input_path(path, names[i]);
        unlink(path);
    }
    rmdir(input_dir);
}

static void input_write(const char *name, const void *p, size_t n)
{
    char path[200];
    input_path(path, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* Makes the folder, once. */
static void input_start(void)
{
    if (input_dir[0] != '\0')
        return;
    strcpy(input_dir, "/tmp/evenhand-fuzz-XXXXXX");
    if (mkdtemp(input_dir) == NULL)
        abort();
    atexit(input_remove);
    input_write("config.json", "{}", 2);
}

static volatile double sum; /* keeps the compiler from dropping what was read */

/* Opens; reads the first and last row of each tensor and the ends of each array; closes. */
static void input_open(const char *path)
{
    static float row[ROW_MAX];
    char print[65];
    eh_err err = {0};
    eh_weights *w = NULL;
    const int rc = eh_weights_open(path, &w, &err);
    if ((rc < 0) != (w == NULL) || (rc < 0 && (err.code != rc || err.text[0] == '\0')))
        abort();
    if (rc < 0)
        return;
    for (int64_t i = 0; i < eh_weights_count(w); i++) {
        const eh_tensor *t = eh_weights_at(w, i);
        const int64_t width = t->n_dim > 0 ? t->dim[t->n_dim - 1] : 1, n = eh_tensor_count(t);
        if (eh_weights_find(w, t->name) != t)
            abort();
        eh_weights_will_need(w, t);
        if (n == 0 || width > ROW_MAX)
            continue;
        eh_tensor_rows(t, 0, 1, row);
        eh_tensor_rows(t, n / width - 1, 1, row);
        sum += (double)row[width - 1];
    }
    for (int64_t i = 0; i < eh_gguf_count(w); i++) {
        const eh_gguf_value *v = eh_gguf_at(w, i);
        if (v->type == EH_GGUF_ARRAY && v->n > 0 && v->item == EH_GGUF_STRING)
            sum += (double)(v->strings[v->n - 1].n > 0 ? v->strings[v->n - 1].p[v->strings[v->n - 1].n - 1] : 0);
        else if (v->type == EH_GGUF_ARRAY && v->n > 0)
            sum += eh_gguf_item_real(v, 0) + eh_gguf_item_real(v, v->n - 1);
    }
    if (eh_weights_fingerprint(w, print, &err) < 0)
        abort();
    eh_weights_close(w);
}

#endif
