/*
 * Normalisers: steps that change a text before it is split, each keeping the way back.
 */
#ifndef EH_TEXT_NORMALIZE_H
#define EH_TEXT_NORMALIZE_H

#include "text/flow.h"
#include "text/pattern.h"

typedef enum eh_normalize_kind {
    EH_NORMALIZE_NFC,
    EH_NORMALIZE_NFD,
    EH_NORMALIZE_NFKC,
    EH_NORMALIZE_NFKD,
    EH_NORMALIZE_LOWERCASE,
    EH_NORMALIZE_STRIP,         /* white space, at `left` and `right` */
    EH_NORMALIZE_STRIP_ACCENTS, /* all marks */
    EH_NORMALIZE_REPLACE,       /* find (or pattern) -> text */
    EH_NORMALIZE_PREPEND,       /* text before anything that is not empty */
    EH_NORMALIZE_PREPEND_ONCE,  /* the same, unless it begins with text already */
    EH_NORMALIZE_PREPEND_FIRST, /* the same, and only at the very start of the input */
} eh_normalize_kind;

typedef struct eh_norm {
    eh_normalize_kind kind;
    eh_str find;
    eh_str text;
    eh_pattern *pattern; /* EH_NORMALIZE_REPLACE: instead of find */
    bool left, right;
} eh_norm;

/* Runs n steps on flow[*now]; the result is in flow[*now] again, with *now either 0 or 1. */
int eh_normalize(const eh_norm *step, int64_t n, eh_matcher *m, eh_flow flow[2], int *now, eh_err *err);

/* Whether a canonical or compatible composition can reach back across the front of character c:
 * when not, texts can be cut before c, normalised apart, and joined. `compat`: for NFKC, NFKD. */
bool eh_norm_joins_left(int32_t c, bool compat);

#endif
