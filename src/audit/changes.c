#include "audit/changes.h"

#include <math.h>
#include <string.h>

#include "stats/multiple.h"

static eh_change *add(eh_changes *c)
{
    if (c->n == c->room) {
        const int64_t room = c->room < 64 ? 64 : 2 * c->room;
        eh_change *r = eh_realloc(c->row, room, (int64_t)sizeof *r);
        if (r == NULL)
            return NULL;
        c->row = r;
        c->room = room;
    }
    return &c->row[c->n++];
}

/* The scores of one sheet, before and after. */
static int compare(eh_changes *c, const eh_open_task *t, const eh_bootstrap_options *bootstrap, const char *category,
                   const eh_sheet *before, const eh_sheet *after, eh_err *err)
{
    eh_estimate eb[EH_SHEET_SCORES], ea[EH_SHEET_SCORES];
    eh_difference d[EH_SHEET_SCORES];
    int rc = eh_sheet_estimate(before, bootstrap, eb, err);
    if (rc == EH_OK)
        rc = eh_sheet_estimate(after, bootstrap, ea, err);
    if (rc == EH_OK)
        rc = eh_sheet_difference(before, after, bootstrap, d, err);
    for (int64_t s = 0; s < before->n_score && rc == EH_OK; s++) {
        const char *note = NULL;
        if (t->row->shows != NULL && !t->row->shows(t, s, &eb[s], &note))
            continue;
        eh_change *r = add(c);
        char *name = r != NULL ? eh_arena_text(&c->memory, category, (int64_t)strlen(category)) : NULL;
        if (name == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for a comparison");
        const eh_benchmark_score *score = &t->row->about.score[s];
        *r = (eh_change){t->row->about.name, name, score->name, score->better, eb[s], ea[s], d[s], (double)NAN, note};
    }
    return rc;
}

static int compare_task(eh_changes *c, eh_open_task *before, eh_open_task *after, const eh_bootstrap_options *bootstrap,
                        eh_err *err)
{
    eh_buf unused = {0}; /* notes belong to the audits, not to the comparison */
    int rc = before->row->note != NULL ? before->row->note(before, &unused, err) : EH_OK;
    eh_buf_clear(&unused);
    for (int64_t k = 0; rc == EH_OK; k++) {
        eh_sheet b = {0}, a = {0};
        const char *name;
        rc = before->row->sheet(before, k, &b, &name, err);
        if (rc == EH_OK)
            rc = after->row->sheet(after, k, &a, &name, err);
        if (rc == EH_OK)
            rc = compare(c, before, bootstrap, name, &b, &a, err);
        eh_sheet_clear(&b);
        eh_sheet_clear(&a);
        if (rc == EH_TASK_NO_SHEET)
            rc = EH_OK;
    }
    return rc == EH_TASK_LAST ? EH_OK : rc;
}

/* Are two rows tests of one family? The totals of all scores that judge are one; the categories of a score another. */
static bool one_family(const eh_change *a, const eh_change *b)
{
    const bool total = strcmp(a->category, "all") == 0;
    if (total != (strcmp(b->category, "all") == 0))
        return false;
    return total || (strcmp(a->task, b->task) == 0 && strcmp(a->score, b->score) == 0);
}

static bool is_test(const eh_change *c)
{
    return !isnan(c->difference.p) && (strcmp(c->category, "all") != 0 || c->better != EH_BETTER_NEITHER);
}

static int adjust(eh_changes *c, eh_err *err)
{
    double *p = eh_alloc(c->n > 0 ? c->n : 1, (int64_t)sizeof *p);
    if (p == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld tests", (long long)c->n);
    int rc = EH_OK;
    for (int64_t i = 0; i < c->n && rc == EH_OK; i++) {
        if (!is_test(&c->row[i]) || !isnan(c->row[i].q)) /* seen with an earlier row of its family */
            continue;
        int64_t n = 0, at = 0;
        for (int64_t k = i; k < c->n; k++)
            if (is_test(&c->row[k]) && one_family(&c->row[i], &c->row[k]))
                p[n++] = c->row[k].difference.p;
        rc = eh_bh(p, n, p, err);
        for (int64_t k = i; k < c->n && rc == EH_OK; k++)
            if (is_test(&c->row[k]) && one_family(&c->row[i], &c->row[k]))
                c->row[k].q = p[at++];
    }
    eh_free(p);
    return rc;
}

int eh_changes_of(eh_session *s, const eh_audit_options *o, const char *before, const char *after, eh_changes *out,
                  eh_err *err)
{
    eh_audit_plan plan;
    eh_changes c = {0};
    int rc = eh_audit_plan_make(s, o, &plan, err);
    for (const char *at = rc == EH_OK ? plan.o.tasks : ""; rc == EH_OK && *at != '\0';) {
        const size_t len = strcspn(at, ",");
        char name[100];
        memcpy(name, at, len < 99 ? len : 99);
        name[len < 99 ? len : 99] = '\0';
        eh_open_task *b = NULL, *a = NULL;
        if ((rc = eh_audit_task_open(s, &plan, name, &b, err)) == EH_OK &&
            (rc = eh_audit_task_open(s, &plan, name, &a, err)) == EH_OK &&
            (rc = eh_audit_read_records(b, before, err)) == EH_OK &&
            (rc = eh_audit_read_records(a, after, err)) == EH_OK)
            rc = compare_task(&c, b, a, &plan.bootstrap, err);
        eh_task_close(b);
        eh_task_close(a);
        at += len + (at[len] == ',');
    }
    if (rc == EH_OK)
        rc = adjust(&c, err);
    if (rc < 0) {
        eh_changes_clear(&c);
        return rc;
    }
    *out = c;
    return EH_OK;
}

const eh_change *eh_changes_find(const eh_changes *c, const char *task, const char *category, const char *score)
{
    for (int64_t i = 0; i < c->n; i++)
        if (strcmp(c->row[i].task, task) == 0 && strcmp(c->row[i].category, category) == 0 &&
            strcmp(c->row[i].score, score) == 0)
            return &c->row[i];
    return NULL;
}

void eh_changes_clear(eh_changes *c)
{
    eh_free(c->row);
    eh_arena_clear(&c->memory);
    *c = (eh_changes){0};
}
