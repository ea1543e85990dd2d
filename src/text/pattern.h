/*
 * Expressions of tokenizer files, run by PCRE2 (UTF, Unicode properties, JIT).
 *
 * The files are written for Oniguruma, whose syntax is nearly PCRE2's. An expression is taken
 * over construct by construct: what both read alike is copied, \s \S \w \W are spelt out because
 * the two differ on U+180E and on marks, and anything else is refused by name. So are repeated
 * groups of unlimited length and expressions that match nothing at all: the first can take
 * exponential time, the second would split between all characters.
 */
#ifndef EH_TEXT_PATTERN_H
#define EH_TEXT_PATTERN_H

#include <stdint.h>

#include "base/str.h"

typedef struct eh_pattern eh_pattern; /* does not change: any number of threads */
typedef struct eh_matcher eh_matcher; /* state of one thread's matching, for any pattern */

int eh_pattern_open(eh_str expression, const char *where, eh_pattern **p, eh_err *err);
void eh_pattern_close(eh_pattern *p);

int eh_matcher_open(eh_matcher **m, eh_err *err);
void eh_matcher_close(eh_matcher *m);

/* The first match in text (valid UTF-8) at or after byte `from`, which begins a character.
 * 1: found, [*start, *end) is not empty; 0: none; EH_ERANGE when the search was given up because
 * it went past its limits of steps or memory. */
int eh_pattern_find(const eh_pattern *p, eh_matcher *m, eh_str text, int64_t from, int64_t *start, int64_t *end,
                    eh_err *err);

/* The expression as PCRE2 gets it; for tests. */
int eh_pattern_translate(eh_str expression, const char *where, eh_buf *out, eh_err *err);

#endif
