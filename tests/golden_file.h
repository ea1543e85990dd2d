/*
 * Reading reference numbers from a safetensors file.
 *
 *     eh_weights *w = golden_open(repo_path("tests/golden/tiny/llama/golden.safetensors"));
 *     float *want = golden_floats(w, "logits.len9", &n);                     to be freed
 *     eh_weights_close(w);
 */
#ifndef EH_GOLDEN_FILE_H
#define EH_GOLDEN_FILE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "format/weights.h"

/* A safetensors file by itself: the reader takes folders, so it is linked into one with an empty config. */
static inline eh_weights *golden_open(const char *file)
{
    static const char *dir;
    eh_err err;
    char link_path[4096], config[4096];
    if (dir == NULL)
        dir = temp_dir();
    snprintf(link_path, sizeof link_path, "%s/model.safetensors", dir);
    snprintf(config, sizeof config, "%s/config.json", dir);
    FILE *f = fopen(config, "w");
    CHECK(f != NULL && fputs("{}", f) >= 0 && fclose(f) == 0);
    CHECK(symlink(file, link_path) == 0);
    eh_weights *w;
    CHECK_OK(eh_weights_open(dir, &w, &err));
    CHECK(unlink(link_path) == 0); /* for the next */
    return w;
}

static inline float *golden_floats(const eh_weights *w, const char *name, int64_t *n)
{
    const eh_tensor *t = eh_weights_find(w, name);
    if (t == NULL)
        print_error("golden has no %s\n", name);
    CHECK(t != NULL);
    *n = eh_tensor_count(t);
    float *x = malloc((size_t)*n * sizeof *x);
    CHECK(x != NULL);
    eh_tensor_rows(t, 0, t->n_dim > 1 ? *n / t->dim[t->n_dim - 1] : 1, x);
    return x;
}

static inline int32_t *golden_tokens(const eh_weights *w, const char *name, int64_t *n)
{
    float *x = golden_floats(w, name, n);
    int32_t *tok = malloc((size_t)*n * sizeof *tok);
    CHECK(tok != NULL);
    for (int64_t i = 0; i < *n; i++)
        tok[i] = (int32_t)x[i];
    free(x);
    return tok;
}

static inline double golden_largest(const float *x, int64_t n)
{
    double m = 0;
    for (int64_t i = 0; i < n; i++)
        m = fmax(m, fabs((double)x[i]));
    return m;
}

#endif
