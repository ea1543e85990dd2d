/*
 * The kinds of weight source, and the values in a GGUF file's metadata: what weights.h, which answers,
 * and source.h, which is behind it, have in common. Include weights.h.
 */
#ifndef EH_FORMAT_KINDS_H
#define EH_FORMAT_KINDS_H

#include <stdint.h>

#include "base/str.h"

typedef enum eh_weights_kind { EH_WEIGHTS_GGUF, EH_WEIGHTS_SAFETENSORS } eh_weights_kind;

/* GGUF metadata: key -> value, in file order. */
typedef enum eh_gguf_type {
    EH_GGUF_U8, EH_GGUF_I8, EH_GGUF_U16, EH_GGUF_I16, EH_GGUF_U32, EH_GGUF_I32, EH_GGUF_F32, EH_GGUF_BOOL,
    EH_GGUF_STRING, EH_GGUF_ARRAY, EH_GGUF_U64, EH_GGUF_I64, EH_GGUF_F64
} eh_gguf_type; /* the numbers of the format */

typedef struct eh_gguf_value {
    eh_str key;
    eh_gguf_type type;
    eh_gguf_type item; /* of an array */
    int64_t n;         /* items of an array, else 1 */
    int64_t i;         /* integer and bool scalars (u64 beyond INT64_MAX is refused) */
    double f;          /* F32, F64 scalars */
    eh_str s;          /* STRING scalars; borrowed from the map */
    const char *data;  /* arrays of numbers: packed little-endian items in the map */
    eh_str *strings;   /* arrays of strings: [n], borrowed from the map; NULL otherwise */
} eh_gguf_value;

typedef struct eh_weights eh_weights;

#endif
