/*
 * Normalisers: steps that change a text before it is split, each keeping the way back.
 */
#ifndef EH_TEXT_NORMALIZE_H
#define EH_TEXT_NORMALIZE_H

#include "text/flow.h"
#include "text/pattern.h"

typedef enum eh_norm_kind {
    EH_NORM_NFC,
    EH_NORM_NFD,
    EH_NORM_NFKC,
    EH_NORM_NFKD,
    EH_NORM_LOWERCASE,
    EH_NORM_STRIP,         /* white space, at `left` and `right` */
    EH_NORM_STRIP_ACCENTS, /* all marks */
    EH_NORM_REPLACE,       /* find (or pattern) -> text */
    EH_NORM_PREPEND,       /* text before anything that is not empty */
    EH_NORM_PREPEND_ONCE,  /* the same, unless it begins with text already */
    EH_NORM_PREPEND_FIRST, /* the same, and only at the very start of the input */
} eh_norm_kind;

typedef struct eh_norm {
    eh_norm_kind kind;
    eh_str find;
    eh_str text;
    eh_pattern *pattern; /* EH_NORM_REPLACE: instead of find */
    bool left, right;
} eh_norm;

/* Runs n steps on flow[*now]; the result is in flow[*now] again, with *now either 0 or 1. */
int eh_normalize(const eh_norm *step, int64_t n, eh_matcher *m, eh_flow flow[2], int *now, eh_err *err);

/* Whether a canonical or compatible composition can reach back across the front of character c:
 * when not, texts can be cut before c, normalised apart, and joined. `compat`: for NFKC, NFKD. */
bool eh_norm_joins_left(int32_t c, bool compat);

#endif
