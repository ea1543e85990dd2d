/*
 * A weight source: one GGUF file, or a Hugging Face folder with one or many safetensors shards.
 * Both answer the same questions, so that the model room knows neither.
 *
 *     eh_weights *w;
 *     rc = eh_weights_open("models/SmolLM2", &w, err);        a folder or a .gguf file
 *     const eh_tensor *t = eh_weights_find(w, "model.embed_tokens.weight");
 *     ... the tensors' data stay valid until
 *     eh_weights_close(w);
 *
 * Everything is checked while opening: header sizes, offsets and lengths against the file, shapes
 * against byte counts (before multiplying), overlaps, duplicate names, shards named in the index
 * that are missing or that lack a tensor they should hold. Errors name file, offset or tensor,
 * found and wanted.
 */
#ifndef EH_FORMAT_WEIGHTS_H
#define EH_FORMAT_WEIGHTS_H

#include "base/file.h"
#include "base/json.h"
#include "format/kinds.h"
#include "tensor/tensor.h"

/* Errors  EH_ENOENT   no such path, or a folder without config.json or weights
 *         EH_EFORMAT  a rule of the format is broken, or the file is something else
 *         EH_ENOSUP   well-formed, but cannot be read: a type, GGUF version 1, big-endian, a split GGUF,
 *                     PyTorch's own files
 * Cost    the header alone; of the data no byte is read. docs/formats.md lists every check. */
int eh_weights_open(const char *path, eh_weights **w, eh_err *err);
void eh_weights_close(eh_weights *w); /* NULL is fine */

eh_weights_kind eh_weights_kind_of(const eh_weights *w);
const char *eh_weights_path(const eh_weights *w); /* as given to _open */
int64_t eh_weights_count(const eh_weights *w);
const eh_tensor *eh_weights_at(const eh_weights *w, int64_t i); /* in file order */
const eh_tensor *eh_weights_find(const eh_weights *w, const char *name); /* NULL: not there */
int eh_weights_n_file(const eh_weights *w);
const char *eh_weights_file_path(const eh_weights *w, int file);
const eh_map *eh_weights_file_map(const eh_weights *w, int file);
/* Bytes at a file's start that are not tensor data: up to the padding in a GGUF. */
int64_t eh_weights_file_header(const eh_weights *w, int file);
/* Hint: these bytes are wanted soon. */
void eh_weights_will_need(const eh_weights *w, const eh_tensor *t);

/* SHA-256 over the weight files' bytes in order (for one file: the file's own hash). Slow: reads all. */
int eh_weights_sha256(const eh_weights *w, char out[65], eh_err *err);
/* A fast fingerprint: SHA-256 over every file's size and header (names, types, shapes, offsets,
 * metadata) plus up to 64 KiB from the start of each tensor's data. */
int eh_weights_fingerprint(const eh_weights *w, char out[65], eh_err *err);

/* GGUF only; NULL in a folder, or when the key is missing. */
const eh_gguf_value *eh_gguf_get(const eh_weights *w, const char *key);
int64_t eh_gguf_count(const eh_weights *w);
const eh_gguf_value *eh_gguf_at(const eh_weights *w, int64_t i);
/* Item i of an array of numbers, as double or integer. The caller checks range and type: any type but
 * strings for _real, integers and bools for _int. */
double eh_gguf_item_real(const eh_gguf_value *v, int64_t i);
int64_t eh_gguf_item_int(const eh_gguf_value *v, int64_t i);

/* Folder only; NULL for GGUF, or when the file is not there (config.json always is). Owned by w. */
const json_t *eh_weights_config(const eh_weights *w);            /* config.json */
const json_t *eh_weights_generation_config(const eh_weights *w); /* generation_config.json */

#endif
