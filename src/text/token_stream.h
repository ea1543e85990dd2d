/*
 * Text out of tokens that arrive one by one. The calls are tokenizer.c's; the struct is here for decode.c,
 * which does the work.
 *
 *     eh_stream s;
 *     eh_stream_init(&s, tokenizer, true);
 *     rc = eh_stream_put(&s, id, &text, err);      for each
 *     rc = eh_stream_end(&s, &text, err);
 *     eh_stream_clear(&s);
 */
#ifndef EH_TEXT_TOKEN_STREAM_H
#define EH_TEXT_TOKEN_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef struct eh_tokenizer eh_tokenizer;

/* Decoding as tokens arrive: hands over text as soon as it is settled, so that all that was handed
 * over, joined, is the decoding of all tokens. A run of byte tokens (<0xNN>) is settled when it
 * ends, for one bad byte makes the whole run U+FFFD. After a failure the stream is of no more use. */
typedef struct eh_stream {
    const eh_tokenizer *t;
    bool skip_special;
    /* private */
    int64_t n_token;    /* tokens seen */
    int64_t strip_left; /* blanks still to be taken off the front */
    eh_buf held;        /* bytes that wait for what comes next */
} eh_stream;
void eh_stream_init(eh_stream *s, const eh_tokenizer *t, bool skip_special);
int eh_stream_put(eh_stream *s, int32_t id, eh_buf *out, eh_err *err);
int eh_stream_end(eh_stream *s, eh_buf *out, eh_err *err); /* what is left, U+FFFD for a cut character */
void eh_stream_clear(eh_stream *s);

#endif
