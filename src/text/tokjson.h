/*
 * What the files that read tokenizer.json share. Each kind of component is a row of a table: its
 * "type" and the function that reads the rest. A kind without a row is refused by name, for a step
 * left out would change ids silently.
 *
 *     static const eh_tokjson_kind normalizers[] = {{"NFC", norm_nfc}, ..., {NULL, NULL}};
 *     return eh_tokjson_read_kind(l, j, "normalizer", normalizers);
 *
 * tokjson.c opens the files and reads tokenizer_config.json; tokjson_encode.c reads what is done to texts,
 * tokjson_model.c the vocabulary, tokjson_decode.c the way back; tokjson_common.c holds what these share.
 */
#ifndef EH_TEXT_TOKJSON_H
#define EH_TEXT_TOKJSON_H

#include "base/json.h"
#include "text/parts.h"

/* One file being read. */
typedef struct eh_tokjson {
    eh_tokenizer *t;
    const char *where;
    const json_t *root;
    eh_added *added; /* [n_added] */
    int64_t n_added;
    bool byte_level;   /* a ByteLevel pre-tokenizer was read; nothing may follow it */
    bool has_template; /* a post-processor that adds tokens was read */
    /* of the decoder: what was read so far */
    bool fallback_read, fuse_read, whole_read;
    eh_err *err;
} eh_tokjson;

typedef int eh_tokjson_fn(eh_tokjson *l, const json_t *j);

typedef struct eh_tokjson_kind {
    const char *name;
    eh_tokjson_fn *read;
} eh_tokjson_kind;

/* A copy of s in the tokenizer's arena. */
int eh_tokjson_keep(eh_tokjson *l, eh_str s, eh_str *out);

/* Reads component j by the row of its type; the table ends with {NULL, NULL}. what: "normalizer", ... */
int eh_tokjson_read_kind(eh_tokjson *l, const json_t *j, const char *what, const eh_tokjson_kind *table);

/* Each item of the array j[key], by read. Sequences nest at most as deep as eh_json_parse lets them. */
int eh_tokjson_read_each(eh_tokjson *l, const json_t *j, const char *key, eh_tokjson_fn *read);

/* j["pattern"]: {"String": s} or {"Regex": s}; pattern may be NULL where only a string will do. */
int eh_tokjson_pattern(eh_tokjson *l, const json_t *j, const char *what, eh_str *text, eh_pattern **pattern);

/* The replacement character of a Metaspace, and whether it goes in front of every text, of none or of the first. */
int eh_tokjson_metaspace(eh_tokjson *l, const json_t *j, eh_str *replacement, eh_str *scheme);

/* One more token that EH_ENCODE_DEFAULT adds, in front of the text or behind it. */
int eh_tokjson_add_affix(eh_tokjson *l, bool behind, int64_t id);

/* The parts of tokenizer.json. */
int eh_tokjson_normalizer(eh_tokjson *l, const json_t *j);
int eh_tokjson_pre_tokenizer(eh_tokjson *l, const json_t *j);
int eh_tokjson_post_processor(eh_tokjson *l, const json_t *j);
int eh_tokjson_decoder(eh_tokjson *l, const json_t *j);
/* "model" and "added_tokens"; config adds tokens that the latter lacks. After the pre-tokenizer. */
int eh_tokjson_model(eh_tokjson *l, const json_t *model, const json_t *config);

#endif
