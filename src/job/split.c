#include "job/split.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

typedef struct card {
    int32_t family;
    char hash[EH_SHA256_TEXT];
    int64_t i;
} card;

static int by_hash(const void *a, const void *b)
{
    const card *x = a, *y = b;
    if (x->family != y->family)
        return x->family < y->family ? -1 : 1;
    return strcmp(x->hash, y->hash);
}

/* Rank r of n templates: select has round(2n/5) of them, tune round(n/5), test the rest. */
static eh_split deal(int64_t r, int64_t n)
{
    int64_t select = (4 * n + 5) / 10, tune = (2 * n + 5) / 10;
    select = select == 0 ? 1 : select;
    tune = tune == 0 && n >= 3 ? 1 : tune;
    return r < select ? EH_SPLIT_SELECT : r < select + tune ? EH_SPLIT_TUNE : EH_SPLIT_TEST;
}

int eh_split_clusters(const char *const *name, const int32_t *family, int64_t n, eh_split *out, eh_err *err)
{
    card *all = eh_alloc(n > 0 ? n : 1, (int64_t)sizeof *all);
    int rc = all == NULL ? eh_fail(err, EH_ENOMEM, "no memory to split %lld templates", (long long)n) : EH_OK;
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        all[i].family = family[i];
        all[i].i = i;
        rc = eh_sha256_of(name[i], (int64_t)strlen(name[i]), all[i].hash, err);
    }
    if (rc == EH_OK)
        qsort(all, (size_t)n, sizeof *all, by_hash);
    for (int64_t first = 0, next; first < n && rc == EH_OK; first = next) {
        for (next = first; next < n && all[next].family == all[first].family; next++)
            ;
        for (int64_t k = first; k < next; k++)
            out[all[k].i] = deal(k - first, next - first);
    }
    eh_free(all);
    return rc;
}
