#include "task/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

eh_lines eh_rows(eh_str text, const char *file)
{
    return (eh_lines){.text = text, .file = file, .limit = EH_ROW_MAX, .skip_blank = true};
}

int eh_text_keep(eh_arena *memory, eh_str s, eh_str *out, eh_err *err)
{
    const char *p = eh_arena_text(memory, s.p, s.n);
    if (p == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a text of %lld bytes", (long long)s.n);
    *out = (eh_str){p, s.n};
    return EH_OK;
}

int eh_row_text(const eh_lines *r, const json_t *row, const char *key, int64_t least, eh_arena *memory, eh_str *out,
                eh_err *err)
{
    eh_str s;
    const int rc = eh_json_str(row, r->where, key, &s, err);
    if (rc == EH_ENOENT) /* a field that is not there is a fault of the file, not a file that is not there */
        return eh_fail(err, EH_EFORMAT, "%s: has no \"%s\"", r->where, key);
    if (rc < 0)
        return rc;
    if (s.n < least)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" has %lld bytes, wanted at least %lld", r->where, key,
                       (long long)s.n, (long long)least);
    return eh_text_keep(memory, s, out, err);
}

int eh_str_order(eh_str a, eh_str b)
{
    const int c = a.n == 0 || b.n == 0 ? 0 : memcmp(a.p, b.p, (size_t)(a.n < b.n ? a.n : b.n));
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

typedef struct keyed {
    eh_str key;
    int64_t i;
} keyed;

static int keyed_order(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    const int c = eh_str_order(x->key, y->key);
    return c != 0 ? c : (x->i > y->i) - (x->i < y->i);
}

/* The keys in order, with where they came from; NULL when there is no memory. The caller frees. */
static keyed *sorted_keys(const eh_str *key, int64_t n)
{
    keyed *k = eh_alloc(n > 0 ? n : 1, (int64_t)sizeof *k);
    if (k == NULL)
        return NULL;
    for (int64_t i = 0; i < n; i++)
        k[i] = (keyed){key[i], i};
    if (n > 0)
        qsort(k, (size_t)n, sizeof *k, keyed_order);
    return k;
}

int eh_names_number(const eh_str *key, int64_t n, eh_arena *memory, int32_t *index, const char ***names,
                    int64_t *n_name, eh_err *err)
{
    int rc = EH_OK;
    const char **list = NULL;
    int64_t n_list = 0;
    keyed *k = n > INT32_MAX ? NULL : sorted_keys(key, n);
    if (k == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld names", (long long)n);
        goto done;
    }
    for (int64_t i = 0; i < n; i++)
        n_list += i == 0 || !eh_str_eq(k[i].key, k[i - 1].key);
    list = eh_new(memory, const char *, n_list > 0 ? n_list : 1);
    for (int64_t i = 0, at = -1; rc == EH_OK && i < n; i++) {
        if (i == 0 || !eh_str_eq(k[i].key, k[i - 1].key)) {
            at++;
            if (list == NULL || (list[at] = eh_arena_text(memory, k[i].key.p, k[i].key.n)) == NULL)
                rc = eh_fail(err, EH_ENOMEM, "no memory for %lld names", (long long)n_list);
        }
        index[k[i].i] = (int32_t)at;
    }
    if (rc == EH_OK) {
        *names = list;
        *n_name = n_list;
    }

done:
    eh_free(k);
    return rc;
}

void *eh_list_grow(void *list, int64_t n, int64_t *room, int64_t size, eh_err *err)
{
    if (n < *room)
        return list;
    const int64_t want = *room > 0 ? 2 * *room : 256;
    void *more = eh_realloc(list, want, size);
    if (more == NULL)
        eh_fail(err, EH_ENOMEM, "no memory for %lld rows of %lld bytes", (long long)want, (long long)size);
    else
        *room = want;
    return more;
}

int eh_row_ids_add(eh_row_ids *ids, eh_str id, int64_t line, eh_err *err)
{
    eh_str *more_ids = eh_list_grow(ids->id, ids->n, &ids->room, (int64_t)sizeof *more_ids, err);
    if (more_ids == NULL)
        return EH_ENOMEM;
    ids->id = more_ids;
    int64_t *more_lines = eh_list_grow(ids->line, ids->n, &ids->line_room, (int64_t)sizeof *more_lines, err);
    if (more_lines == NULL)
        return EH_ENOMEM;
    ids->line = more_lines;
    ids->id[ids->n] = id;
    ids->line[ids->n++] = line;
    return EH_OK;
}

int eh_row_ids_unique(const eh_row_ids *ids, const char *where, eh_err *err)
{
    int rc = EH_OK;
    keyed *k = sorted_keys(ids->id, ids->n);
    if (k == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld ids", (long long)ids->n);
    for (int64_t i = 1; rc == EH_OK && i < ids->n; i++)
        if (eh_str_eq(k[i].key, k[i - 1].key))
            rc = eh_fail(err, EH_EFORMAT, "%s: lines %lld and %lld have the same id \"%.*s\"", where,
                         (long long)ids->line[k[i - 1].i], (long long)ids->line[k[i].i],
                         (int)(k[i].key.n < 100 ? k[i].key.n : 100), k[i].key.p);
    eh_free(k);
    return rc;
}

void eh_row_ids_clear(eh_row_ids *ids)
{
    eh_free(ids->id);
    eh_free(ids->line);
    *ids = (eh_row_ids){0};
}
