/*
 * Ranges: from..end-1 of bytes, of positions, of rows.
 *
 *     n = eh_ranges_merge(range, n);        ascending, none empty, none touching another
 */
#ifndef EH_BASE_RANGE_H
#define EH_BASE_RANGE_H

#include <stdint.h>

typedef struct eh_range {
    int64_t from, end; /* end exclusive; from == end: empty */
} eh_range;

/* The same numbers by the fewest ranges, ascending; returns how many there are. */
int64_t eh_ranges_merge(eh_range *range, int64_t n);

#endif
