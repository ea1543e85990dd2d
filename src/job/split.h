/*
 * Three splits by question template: no template both picks a unit and judges it (docs/methods/run.md).
 *
 *     rc = eh_split_clusters(name, family, n, split, err);
 *     if (split[item.cluster] == EH_SPLIT_TEST) ...
 *
 * The templates of a family are put in the order of the SHA-256 of their names, and dealt out: two
 * fifths select units, one fifth tunes the edit, two fifths judge it; each at least one where there are
 * three. So a split depends on the names alone, not on seeds, limits or the order of files.
 */
#ifndef EH_JOB_SPLIT_H
#define EH_JOB_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "evenhand/study.h"

/* name, family, out [n] */
int eh_split_clusters(const char *const *name, const int32_t *family, int64_t n, eh_split *out, eh_err *err);

#endif
