/*
 * Tokenizers: text to ids and back.
 *
 *     eh_tokenizer *t;
 *     rc = eh_tokenizer_open_json("models/SmolLM2", &t, err);    a folder with tokenizer.json
 *     eh_ids ids = {0};
 *     rc = eh_tokenizer_encode(t, text, EH_ENCODE_SPECIAL, &ids, err);
 *     eh_ids_clear(&ids);
 *     eh_tokenizer_close(t);
 *
 * Kinds: byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM), SentencePiece-style BPE with byte fallback
 * (Llama 2, Gemma). Built from tokenizer.json (+ tokenizer_config.json) or from GGUF metadata.
 * A tokenizer does not change after opening: any number of threads may use it at once.
 */
#ifndef EH_TEXT_TOKENIZER_H
#define EH_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "text/token_stream.h"

/* Token ids with where each came from. start/end are byte offsets into the text given, end
 * exclusive: the bytes of the *original* text that the token stands for. Tokens that are
 * pieces of one character carry that whole character's range each. A token added by policy (BOS,
 * EOS) has start = end = 0. */
typedef struct eh_ids {
    int32_t *id;    /* [n] */
    int64_t *start; /* [n] */
    int64_t *end;   /* [n] */
    int64_t n;
    int64_t room;
} eh_ids;

int eh_ids_push(eh_ids *ids, int32_t id, int64_t start, int64_t end, eh_err *err);
void eh_ids_clear(eh_ids *ids);

enum {
    EH_ENCODE_SPECIAL = 1, /* special tokens written in the text are recognised; else they are plain text
                              (added tokens that are not special are always recognised) */
    EH_ENCODE_DEFAULT = 2, /* with the model's own BOS/EOS policy */
};

/* What a GGUF reader hands over; all borrowed for the call. Missing parts are NULL / -1 / 0. */
typedef struct eh_gguf_vocab {
    const char *where;     /* file name for messages */
    eh_str model;          /* tokenizer.ggml.model: "gpt2", "llama" */
    eh_str pre;            /* tokenizer.ggml.pre: "llama-bpe", "smollm", "qwen2", "default", ... */
    const eh_str *tokens;  /* [n] */
    int64_t n;
    const float *scores;   /* [n] or NULL */
    const int32_t *types;  /* [n] or NULL: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte */
    const eh_str *merges;  /* [n_merge] */
    int64_t n_merge;
    int64_t bos, eos, unk, pad; /* ids or -1 */
    int add_bos, add_eos, add_space_prefix; /* 0, 1, or -1: not said */
    eh_str chat_template;  /* may be empty */
} eh_gguf_vocab;

int eh_tokenizer_open_json(const char *dir, eh_tokenizer **t, eh_err *err);
/* From bytes, for the fuzzer and for files elsewhere; config may be empty. */
int eh_tokenizer_open_bytes(eh_str tokenizer_json, eh_str tokenizer_config_json, const char *where,
                            eh_tokenizer **t, eh_err *err);
int eh_tokenizer_open_gguf(const eh_gguf_vocab *v, eh_tokenizer **t, eh_err *err);
void eh_tokenizer_close(eh_tokenizer *t);

/* text may hold NUL and bytes that are not UTF-8 (each such byte is encoded as byte-level tokenizers
 * do; tokenizers that work on characters take U+FFFD for it). ids is overwritten. */
int eh_tokenizer_encode(const eh_tokenizer *t, eh_str text, unsigned flags, eh_ids *ids, eh_err *err);
/* Appends the text of ids to *out. skip_special leaves special tokens out. Bytes that are not
 * UTF-8 become U+FFFD as the Hugging Face decoders do. An id without a token (a model may have more
 * rows than its tokenizer has tokens) adds nothing; a negative one is EH_ERANGE. */
int eh_tokenizer_decode(const eh_tokenizer *t, const int32_t *id, int64_t n, bool skip_special, eh_buf *out,
                        eh_err *err);

int64_t eh_tokenizer_n_vocab(const eh_tokenizer *t); /* largest id + 1; some below may have no token */
int32_t eh_tokenizer_bos(const eh_tokenizer *t);     /* -1: none */
int32_t eh_tokenizer_eos(const eh_tokenizer *t);     /* -1: none */
bool eh_tokenizer_adds_bos(const eh_tokenizer *t);   /* by the model's default policy */
bool eh_tokenizer_adds_eos(const eh_tokenizer *t);
const char *eh_tokenizer_kind(const eh_tokenizer *t); /* "byte-level BPE", "SentencePiece BPE" */
/* The token spelt like this; -1: none. Added tokens are asked first; a walk over them, not for hot loops. */
int32_t eh_tokenizer_find(const eh_tokenizer *t, eh_str spelling);
eh_str eh_tokenizer_token(const eh_tokenizer *t, int32_t id); /* its stored spelling; empty if unknown */
bool eh_tokenizer_is_special(const eh_tokenizer *t, int32_t id);
eh_str eh_tokenizer_chat_template(const eh_tokenizer *t); /* Jinja source, or empty */

#endif
