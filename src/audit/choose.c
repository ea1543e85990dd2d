/* Which items of a task take part. */
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "base/rng.h"

/* Marks what --categories names, by category or family. */
static void mark_wanted(const char *list, const char *const *name, int64_t n, bool *wanted)
{
    for (const char *p = list; *p != '\0';) {
        const size_t len = strcspn(p, ",");
        for (int64_t i = 0; i < n; i++)
            if (strlen(name[i]) == len && memcmp(name[i], p, len) == 0)
                wanted[i] = true;
        p += len + (p[len] == ',');
    }
}

/* Every name of the list must be somebody's. */
static int check_names(const char *list, const char *const *category, int64_t n_category, const char *const *family,
                       int64_t n_family, eh_err *err)
{
    for (const char *p = list; *p != '\0';) {
        const size_t len = strcspn(p, ",");
        char one[200];
        snprintf(one, sizeof one, "%.*s", (int)(len < 199 ? len : 199), p);
        bool known = false;
        for (int64_t i = 0; i < n_category; i++)
            known |= strcmp(category[i], one) == 0;
        for (int64_t i = 0; i < n_family; i++)
            known |= strcmp(family[i], one) == 0;
        if (!known) {
            eh_buf all = {0};
            for (int64_t i = 0; i < n_category; i++)
                eh_buf_printf(&all, "%s%s", i > 0 ? ", " : "", category[i]);
            const int rc = eh_fail(err, EH_EINVAL, "there is no category \"%s\"; there are %s", one,
                                   all.p != NULL ? all.p : "none");
            eh_buf_clear(&all);
            return rc;
        }
        p += len + (p[len] == ',');
    }
    return EH_OK;
}

/* Whole templates of one category, in an order drawn by seed, while they stay within the limit. */
static void draw_templates(const eh_audit_plan *p, const eh_open_task *t, int32_t category, int64_t *order,
                           int64_t *size, bool *drawn)
{
    int64_t n = 0;
    memset(size, 0, (size_t)t->names.n_cluster * sizeof *size);
    for (int64_t k = 0; k < t->n_pick; k++) {
        const eh_task_item *q = &t->item[t->pick[k]];
        if (q->category == category && size[q->cluster]++ == 0)
            order[n++] = q->cluster;
    }
    eh_rng r = eh_rng_at(p->o.seed, "limit", (uint64_t)category);
    eh_rng_shuffle(&r, order, n);
    int64_t sum = 0;
    for (int64_t k = 0; k < n; k++)
        if (k == 0 || sum + size[order[k]] <= p->o.limit) { /* one at least, however small the limit */
            drawn[order[k]] = true;
            sum += size[order[k]];
        }
}

/* The split of each template: those of a family are dealt among themselves. */
static int split_clusters(const eh_open_task *t, eh_split *out, eh_err *err)
{
    const eh_task_names *names = &t->names;
    eh_arena mem = {0};
    int32_t *family = eh_new(&mem, int32_t, names->n_cluster);
    int rc = family == NULL ? eh_fail(err, EH_ENOMEM, "no memory to split %lld templates", (long long)names->n_cluster)
                            : EH_OK;
    for (int64_t i = 0; i < t->n && rc == EH_OK; i++)
        family[t->item[i].cluster] = t->item[i].family;
    if (rc == EH_OK)
        rc = eh_split_clusters(names->cluster, family, names->n_cluster, out, err);
    eh_arena_clear(&mem);
    return rc;
}

const char *eh_audit_categories(const eh_audit_plan *p, const eh_task *row)
{
    const char *of = p->o.categories_of;
    return of == NULL || strcmp(of, row->about.name) == 0 ? p->o.categories : NULL;
}

int eh_audit_choose(eh_open_task *t, const eh_audit_plan *p, eh_err *err)
{
    const eh_audit_options *o = &p->o;
    const eh_task_names *names = &t->names;
    eh_arena mem = {0};
    eh_split *split = eh_new(&mem, eh_split, names->n_cluster);
    bool *by_category = eh_new(&mem, bool, names->n_category), *by_family = eh_new(&mem, bool, names->n_family);
    int64_t *rows = eh_new(&mem, int64_t, names->n_family), *order = eh_new(&mem, int64_t, names->n_cluster);
    int64_t *size = eh_new(&mem, int64_t, names->n_cluster);
    bool *drawn = eh_new(&mem, bool, names->n_cluster);
    if (t->pick == NULL)
        t->pick = eh_alloc(t->n, (int64_t)sizeof *t->pick);
    t->n_pick = 0;
    int rc = EH_OK;
    if (!split || !by_category || !by_family || !rows || !order || !size || !drawn || !t->pick) {
        rc = eh_fail(err, EH_ENOMEM, "no memory to choose from %lld items", (long long)t->n);
        goto done;
    }
    const char *const wanted = eh_audit_categories(p, t->row);
    if (wanted != NULL) {
        rc = check_names(wanted, names->category, names->n_category, names->family, names->n_family, err);
        if (rc < 0)
            goto done;
        mark_wanted(wanted, names->category, names->n_category, by_category);
        mark_wanted(wanted, names->family, names->n_family, by_family);
    }
    if (o->split != EH_SPLIT_ALL && (rc = split_clusters(t, split, err)) < 0)
        goto done;
    for (int64_t i = 0; i < t->n; i++) {
        const eh_task_item *q = &t->item[i];
        if (o->split != EH_SPLIT_ALL && split[q->cluster] != o->split)
            continue;
        if (wanted != NULL && !by_category[q->category] && !by_family[q->family])
            continue;
        if (o->rows != EH_ALL && rows[q->family]++ >= o->rows)
            continue;
        t->pick[t->n_pick++] = i;
    }
    if (o->limit != EH_ALL) {
        for (int32_t c = 0; c < names->n_category; c++)
            draw_templates(p, t, c, order, size, drawn);
        int64_t kept = 0;
        for (int64_t k = 0; k < t->n_pick; k++)
            if (drawn[t->item[t->pick[k]].cluster])
                t->pick[kept++] = t->pick[k];
        t->n_pick = kept;
    }
done:
    eh_arena_clear(&mem);
    return rc;
}
