#include "task/bbq_build.h"

#include <stdlib.h>

#include "task/rows.h"

int eh_bbq_build_add(eh_bbq_build *b, const eh_bbq_row *row, eh_err *err)
{
    eh_bbq_row *more = eh_list_grow(b->row, b->n, &b->room, (int64_t)sizeof *more, err);
    if (more == NULL)
        return EH_ENOMEM;
    b->row = more;
    b->row[b->n++] = *row;
    return EH_OK;
}

static int row_order(const void *a, const void *b)
{
    const eh_bbq_row *x = a, *y = b;
    const int c = eh_str_order(x->family, y->family);
    return c != 0 ? c : (x->item.example_id > y->item.example_id) - (x->item.example_id < y->item.example_id);
}

int eh_bbq_build_sort(eh_bbq_build *b, eh_err *err)
{
    if (b->n > 0)
        qsort(b->row, (size_t)b->n, sizeof *b->row, row_order);
    for (int64_t i = 1; i < b->n; i++)
        if (row_order(&b->row[i - 1], &b->row[i]) == 0)
            return eh_fail(err, EH_EFORMAT, "%.*s: two questions have the example_id %lld",
                           (int)(b->row[i].family.n < 100 ? b->row[i].family.n : 100), b->row[i].family.p,
                           (long long)b->row[i].item.example_id);
    return EH_OK;
}

/* The category that a row is scored in. */
static int category_of(const eh_bbq_row *row, eh_arena *memory, eh_str *out, eh_err *err)
{
    if (!row->item.by_name) {
        *out = row->family;
        return EH_OK;
    }
    eh_buf b = {0};
    eh_buf_str(&b, row->family);
    eh_buf_str(&b, EH_STR(" (names)"));
    int rc = eh_buf_check(&b, "the name of a category", err);
    if (rc == EH_OK)
        rc = eh_text_keep(memory, eh_buf_get(&b), out, err);
    eh_buf_clear(&b);
    return rc;
}

int eh_bbq_build_finish(eh_bbq_build *b, eh_bbq_set *set, eh_err *err)
{
    const int64_t n = b->n, room = n > 0 ? n : 1;
    eh_arena keys = {0};
    eh_bbq_set s = {.n_item = n, .report = b->report};
    int rc = EH_OK;

    eh_str *key = eh_new(&keys, eh_str, room);
    int32_t *number = eh_new(&keys, int32_t, room);
    s.item = eh_alloc(room, (int64_t)sizeof *s.item);
    if (key == NULL || number == NULL || s.item == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld questions", (long long)n);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        s.item[i] = b->row[i].item;
        key[i] = b->row[i].family;
        s.report.n_biased += s.item[i].biased >= 0;
    }
    rc = eh_names_number(key, n, &b->memory, number, &s.family, &s.n_family, err);
    for (int64_t i = 0; rc == EH_OK && i < n; i++) {
        s.item[i].family = number[i];
        /* The published ids run through the file, four to an item. */
        const bool same = i > 0 && s.item[i].family == s.item[i - 1].family &&
                          s.item[i].example_id / 4 == s.item[i - 1].example_id / 4;
        s.n_group += !same;
        s.item[i].group = s.n_group - 1;
        key[i] = b->row[i].cluster;
    }
    if (rc == EH_OK)
        rc = eh_names_number(key, n, &b->memory, number, &s.cluster, &s.n_cluster, err);
    for (int64_t i = 0; rc == EH_OK && i < n; i++) {
        s.item[i].cluster = number[i];
        /* Neighbours mostly agree: one copy of the name then serves both. */
        if (i > 0 && s.item[i].family == s.item[i - 1].family && s.item[i].by_name == s.item[i - 1].by_name)
            key[i] = key[i - 1];
        else
            rc = category_of(&b->row[i], &keys, &key[i], err);
    }
    if (rc == EH_OK)
        rc = eh_names_number(key, n, &b->memory, number, &s.category, &s.n_category, err);
    for (int64_t i = 0; rc == EH_OK && i < n; i++)
        s.item[i].category = number[i];

done:
    eh_arena_clear(&keys);
    if (rc < 0) {
        eh_free(s.item);
        return rc;
    }
    s.memory = b->memory;
    b->memory = (eh_arena){0};
    eh_bbq_build_drop(b);
    *set = s;
    return EH_OK;
}

void eh_bbq_build_drop(eh_bbq_build *b)
{
    if (b == NULL)
        return;
    eh_free(b->row);
    eh_arena_clear(&b->memory);
    *b = (eh_bbq_build){0};
}
