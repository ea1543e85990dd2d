/*
 * Decoding: each token has a text of its own, settled at opening; what is left to do depends on
 * the neighbours (byte tokens, characters cut between tokens, the blank in front).
 */
#ifndef EH_TEXT_DECODE_H
#define EH_TEXT_DECODE_H

#include "base/mem.h"
#include "text/token_stream.h"
#include "text/vocab.h"

typedef enum eh_decode_kind {
    EH_DECODE_STEP_REPLACE,
    EH_DECODE_STEP_STRIP,
    EH_DECODE_STEP_BYTES, /* GPT-2's alphabet */
} eh_decode_kind;

typedef struct eh_decode_step { /* what is done to each token by itself */
    eh_decode_kind kind;
    eh_str find, text; /* STRIP: find is the character */
    int64_t start;     /* STRIP: how many */
} eh_decode_step;

typedef struct eh_decoder {
    const eh_vocab *vocab;
    eh_str *text;        /* [vocab->n]; p == NULL: as spelt */
    bool bytes;          /* tokens are bytes: characters may be cut between them */
    bool byte_fallback;  /* <0xNN> tokens are bytes; a run of them is a text or U+FFFD for each */
    eh_str strip;        /* taken off the front of the whole, up to strip_n times */
    int64_t strip_n;
    eh_str metaspace;    /* where not empty: stands for a blank, ... */
    bool metaspace_drop; /* ... but for nothing in the first token */
    bool blank_between;  /* no decoder at all: tokens are joined by blanks */
} eh_decoder;

/* Applies the steps to every token. */
int eh_decoder_init(eh_decoder *d, eh_arena *a, const eh_decode_step *step, int64_t n_step, const char *where,
                    eh_err *err);

/* s->t is not looked at. */
void eh_decode_put(const eh_decoder *d, eh_stream *s, int32_t id, eh_buf *out);
void eh_decode_end(const eh_decoder *d, eh_stream *s, eh_buf *out);

#endif
