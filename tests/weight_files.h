/*
 * Building small weight files by hand, right ones and wrong ones.
 *
 *     eh_buf b = {0};
 *     gguf_start(&b, 3, 1, 1);                        one tensor, one metadata value
 *     gguf_key(&b, "general.alignment", EH_GGUF_U32);
 *     put_u32(&b, 32);
 *     gguf_tensor(&b, "a.weight", 2, (uint64_t[]){4, 3}, 0, 0);    innermost dimension first
 *     gguf_data(&b, 32, 48);
 *     save(dir, "m.gguf", &b);
 */
#ifndef EH_TESTS_WEIGHT_FILES_H
#define EH_TESTS_WEIGHT_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "check.h"
#include "format/weights.h"

/* Writes b to dir/name and empties it; the path lives until the next call. */
static inline const char *save(const char *dir, const char *name, eh_buf *b)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fwrite(b->p, 1, (size_t)b->n, f) == (size_t)b->n && fclose(f) == 0);
    eh_buf_clear(b);
    return path;
}

static inline const char *save_text(const char *dir, const char *name, const char *text)
{
    eh_buf b = {0};
    eh_buf_bytes(&b, text, (int64_t)strlen(text));
    return save(dir, name, &b);
}

static inline void put_u32(eh_buf *b, uint32_t x)
{
    eh_buf_bytes(b, &x, 4);
}

static inline void put_u64(eh_buf *b, uint64_t x)
{
    eh_buf_bytes(b, &x, 8);
}

static inline void put_zeros(eh_buf *b, int64_t n)
{
    while (n-- > 0)
        eh_buf_char(b, '\0');
}

/* ---- safetensors --------------------------------------------------------------------------- */

static inline void safetensors(eh_buf *b, const char *header, int64_t n_data)
{
    put_u64(b, strlen(header));
    eh_buf_str(b, eh_str_of(header));
    for (int64_t i = 0; i < n_data; i++)
        eh_buf_char(b, (char)i);
}

/* ---- GGUF ---------------------------------------------------------------------------------- */

static inline void gguf_start(eh_buf *b, uint32_t version, uint64_t n_tensor, uint64_t n_value)
{
    eh_buf_str(b, EH_STR("GGUF"));
    put_u32(b, version);
    put_u64(b, n_tensor);
    put_u64(b, n_value);
}

static inline void gguf_string(eh_buf *b, const char *s)
{
    put_u64(b, strlen(s));
    eh_buf_str(b, eh_str_of(s));
}

static inline void gguf_key(eh_buf *b, const char *key, uint32_t type)
{
    gguf_string(b, key);
    put_u32(b, type);
}

static inline void gguf_u32(eh_buf *b, const char *key, uint32_t x)
{
    gguf_key(b, key, EH_GGUF_U32);
    put_u32(b, x);
}

static inline void gguf_array(eh_buf *b, const char *key, uint32_t item, uint64_t n)
{
    gguf_key(b, key, EH_GGUF_ARRAY);
    put_u32(b, item);
    put_u64(b, n);
}

static inline void gguf_tensor(eh_buf *b, const char *name, uint32_t n_dim, const uint64_t *dim, uint32_t type,
                               uint64_t offset)
{
    gguf_string(b, name);
    put_u32(b, n_dim);
    for (uint32_t i = 0; i < n_dim; i++)
        put_u64(b, dim[i]);
    put_u32(b, type);
    put_u64(b, offset);
}

/* Padding, then n bytes 0, 1, 2, ... */
static inline void gguf_data(eh_buf *b, int64_t alignment, int64_t n)
{
    put_zeros(b, (alignment - b->n % alignment) % alignment);
    for (int64_t i = 0; i < n; i++)
        eh_buf_char(b, (char)i);
}

#endif
