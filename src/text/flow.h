/*
 * A flow: text on its way through the normalisers, that remembers where each byte came from.
 *
 *     eh_flow_borrow(&a, text, 0);                   every byte stands for itself
 *     eh_flow_begin(&b);
 *     eh_flow_copy(&b, &a, 0, 5);                    five bytes as they are
 *     eh_flow_put(&b, EH_STR("\u2581"), &a, 5, 6);   three bytes that stand for one
 *     rc = eh_flow_end(&b, err);
 *     eh_flow_range(&b, 5, 8, &from, &to);           5, 6
 *
 * The way back is a list of spans. Inside a `whole` span every byte stands for all of its source;
 * in the others byte k stands for source byte from + k. Sources never run backwards.
 */
#ifndef EH_TEXT_FLOW_H
#define EH_TEXT_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef struct eh_span {
    int64_t at;   /* first byte in the flow; the span ends where the next begins */
    int64_t from; /* bytes of the source: [from, to) */
    int64_t to;
    bool whole;
} eh_span;

typedef struct eh_flow {
    eh_str text;
    eh_buf own; /* the bytes of text, unless they are borrowed */
    eh_span *span; /* [n_span] */
    int64_t n_span;
    int64_t room;
    int64_t cursor; /* span looked at last: look-ups mostly go forward */
    int fault;
} eh_flow;

/* text itself, whose first byte is byte `from` of the source. The text is borrowed. */
int eh_flow_borrow(eh_flow *f, eh_str text, int64_t from, eh_err *err);

void eh_flow_begin(eh_flow *f);
/* Appends bytes [a, b) of src with their ways. */
void eh_flow_copy(eh_flow *f, eh_flow *src, int64_t a, int64_t b);
/* Appends text that stands for bytes [a, b) of src; a == b: for nothing, at that place. */
void eh_flow_put(eh_flow *f, eh_str text, eh_flow *src, int64_t a, int64_t b);
int eh_flow_end(eh_flow *f, eh_err *err); /* says whether memory held out, and sets text */

/* Source bytes of bytes [a, b) of the flow; a <= b <= text.n. */
void eh_flow_range(eh_flow *f, int64_t a, int64_t b, int64_t *from, int64_t *to);
void eh_flow_clear(eh_flow *f);

#endif
