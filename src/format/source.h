/*
 * What a weight source is made of, and what its readers share. Private to the room: weights.c opens, answers and
 * closes; gguf.c, safetensors.c and folder.c fill the struct in while it is being opened.
 *
 * A reader may stop half-way with an error: eh_weights_close() copes with any half-built source.
 */
#ifndef EH_FORMAT_SOURCE_H
#define EH_FORMAT_SOURCE_H

#include <stdbool.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "format/kinds.h"
#include "tensor/tensor.h"

/* Names longer than this are refused: no real one comes near, and each must fit into an error sentence. */
#define EH_NAME_MAX 512

typedef struct eh_weight_file {
    const char *path;
    eh_map map;
    int64_t header; /* bytes at its start that are not tensor data */
} eh_weight_file;

struct eh_weights {
    eh_weights_kind kind;
    eh_arena arena; /* paths, names, metadata and the indices */
    const char *path;
    eh_weight_file *file; /* [n_file] */
    int n_file;
    eh_tensor *tensor; /* [n_tensor], on the heap: it grows with each shard */
    int64_t n_tensor;
    const eh_tensor **by_name; /* [n_tensor], sorted */
    eh_gguf_value *value;      /* [n_value] */
    int64_t n_value;
    const eh_gguf_value **by_key; /* [n_value], sorted */
    json_t *config;
    json_t *generation;
};

/* One GGUF file: w->file[0] is mapped. */
int eh_gguf_read(eh_weights *w, eh_err *err);
/* Adds the tensors of w->file[file], which is mapped. */
int eh_safetensors_read(eh_weights *w, int file, eh_err *err);
/* A Hugging Face folder at w->path. */
int eh_folder_read(eh_weights *w, eh_err *err);

/* Maps path (in the arena) as w->file[file]. */
int eh_source_map(eh_weights *w, int file, const char *path, eh_err *err);
/* Room for n more tensors behind w->tensor[n_tensor - 1]; the caller counts them in. */
int eh_source_grow(eh_weights *w, int64_t n, eh_err *err);
/* Sorts the tensors by name for eh_source_find(); two of one name are an error. */
int eh_source_index(eh_weights *w, eh_err *err);
const eh_tensor *eh_source_find(const eh_weights *w, const char *name); /* NULL: not there */

/* Parses JSON that lists tensors. A JSON tree can take 75 times the room of its text ("{},{},..."), so text
 * that is denser in values than any list of tensors is refused before it is parsed. */
int eh_source_json(eh_str text, const char *where, json_t **root, eh_err *err);
/* A name that can stand in a sentence: 1 to EH_NAME_MAX bytes of UTF-8 without control characters. */
bool eh_source_name_good(eh_str name);
/* The bytes that t's shape takes, checked at every step; false when they pass INT64_MAX or a row is not
 * whole blocks. Dimensions of 0 are fine, but cannot hide a product that overflows. */
bool eh_source_bytes(const eh_tensor *t, int64_t *n_byte);
/* "[2, 3]" */
#define EH_SHAPE_TEXT 96
const char *eh_source_shape(const eh_tensor *t, char room[EH_SHAPE_TEXT]);
/* What a file that is not what was hoped for looks like, and what to do: "a Git LFS pointer, ..."; NULL if unknown. */
const char *eh_source_guess(eh_str bytes);

#endif
