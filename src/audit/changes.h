/*
 * Before and after: two audits of the same items, from their records.
 *
 *     eh_changes c = {0};
 *     rc = eh_changes_of(m, &options, "before", "after", &c, err);     options as both were made with
 *     c.row[i].difference.e.value, .p, c.row[i].q
 *     eh_changes_clear(&c);
 */
#ifndef EH_AUDIT_CHANGES_H
#define EH_AUDIT_CHANGES_H

#include "audit/audit.h"

typedef struct eh_change {
    const char *task, *category, *score; /* as in eh_score_row */
    eh_better better;
    eh_estimate before, after;
    eh_difference difference; /* after - before */
    double q; /* Benjamini-Hochberg: over the categories of one score; of "all", over all scores that judge */
    const char *note;         /* what is said beside the score, or NULL */
} eh_change;

typedef struct eh_changes {
    eh_change *row; /* [n] */
    int64_t n, room;
    eh_arena memory; /* names */
} eh_changes;

/* Errors: those of loading a task, of records that are not there or not whole, and of eh_sheet_difference. */
int eh_changes_of(eh_session *s, const eh_audit_options *o, const char *before, const char *after, eh_changes *out,
                  eh_err *err);
const eh_change *eh_changes_find(const eh_changes *c, const char *task, const char *category, const char *score);
void eh_changes_clear(eh_changes *c);

#endif
