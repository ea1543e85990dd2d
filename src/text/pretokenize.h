/*
 * Pre-tokenizers: how a normalised text is cut into the words that the model sees.
 */
#ifndef EH_TEXT_PRETOKENIZE_H
#define EH_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "text/pattern.h"

/* What becomes of a match. */
typedef enum eh_pretok_behavior {
    EH_PRETOK_ISOLATED,        /* a word of its own */
    EH_PRETOK_REMOVED,         /* dropped */
    EH_PRETOK_CONTIGUOUS,      /* one word with the matches next to it */
    EH_PRETOK_MERGED_PREVIOUS, /* joins the unmatched text before it */
    EH_PRETOK_MERGED_NEXT,     /* joins the unmatched text behind it */
} eh_pretok_behavior;

typedef enum eh_pretok_kind { EH_PRETOK_PATTERN, EH_PRETOK_TEXT, EH_PRETOK_DIGITS } eh_pretok_kind;

typedef struct eh_pretok {
    eh_pretok_kind kind;
    eh_pretok_behavior behavior;
    bool invert; /* matched and unmatched change places */
    eh_pattern *pattern;
    eh_str text;
} eh_pretok;

#define EH_PRETOK_MAX 16 /* steps: each is one level of recursion */

/* Gets one word: bytes [at, at + n) of the text, n > 0. A negative result ends the cutting. */
typedef int eh_word_fn(void *ctx, int64_t at, int64_t n, eh_err *err);

/* Cuts text by the first step, each piece by the next, and so on; gives the words in order. A piece
 * is matched by itself: look-ahead does not see beyond it. */
int eh_pretokenize(const eh_pretok *step, int64_t n_step, eh_matcher *m, eh_str text, eh_word_fn *word, void *ctx,
                   eh_err *err);

#endif
