#include "base/range.h"

#include <stdlib.h>

static int by_start(const void *a, const void *b)
{
    const eh_range *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

int64_t eh_ranges_merge(eh_range *range, int64_t n)
{
    int64_t kept = 0;
    if (n > 1)
        qsort(range, (size_t)n, sizeof *range, by_start);
    for (int64_t i = 0; i < n; i++) {
        if (range[i].from >= range[i].end)
            continue;
        if (kept > 0 && range[i].from <= range[kept - 1].end) {
            if (range[i].end > range[kept - 1].end)
                range[kept - 1].end = range[i].end;
        } else {
            range[kept++] = range[i];
        }
    }
    return kept;
}
