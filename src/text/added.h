/*
 * Added tokens: found in the text before anything else happens to it, leftmost first, and the
 * longest among those that begin at the same place.
 */
#ifndef EH_TEXT_ADDED_H
#define EH_TEXT_ADDED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

typedef struct eh_added {
    int32_t id;
    eh_str text;
    bool lstrip, rstrip;  /* takes the white space on that side with it */
    bool single_word;     /* only where no word character is next to it */
    bool normalized;      /* looked for in the normalised text */
    bool special;
} eh_added;

typedef struct eh_added_set {
    eh_added *item; /* [n], by text */
    int64_t n;
    bool first[256]; /* bytes that any item begins with */
} eh_added_set;

/* Sorts the items, which stay the caller's. EH_EFORMAT when two have the same text. */
int eh_added_set_init(eh_added_set *s, eh_added *item, int64_t n, const char *where, eh_err *err);

/* The next one in text at or after `from`, everything before which is taken. literal: special ones
 * are not seen. NULL: none. [*start, *end) is what it takes of the text. */
const eh_added *eh_added_find(const eh_added_set *s, eh_str text, int64_t from, bool literal, int64_t *start,
                              int64_t *end);

#endif
