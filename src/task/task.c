#include "task/task.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* ---- Opening ---------------------------------------------------------------------------------------- */

/* The index of the way of that name; -1 where there is none. */
static int way_at(const eh_ways *ways, const char *name)
{
    for (int i = 0; ways != NULL && i < ways->n; i++)
        if (strcmp(ways->way[i]->name, name) == 0)
            return i;
    return -1;
}

/* What was asked for, or the initial way. */
static int choose_way(const eh_task *row, const char *option, const eh_ways *ways, const char *asked, int *out,
                      eh_err *err)
{
    *out = 0;
    if (ways == NULL)
        return EH_OK;
    *out = asked == NULL ? ways->initial : way_at(ways, asked);
    if (*out >= 0)
        return EH_OK;
    eh_buf all = {0};
    for (int i = 0; i < ways->n; i++)
        eh_buf_printf(&all, "%s%s", i > 0 ? ", " : "", ways->way[i]->name);
    const int rc = eh_fail(err, EH_EINVAL, "%s has no %s \"%s\"; it has %s", row->about.name, option, asked,
                           all.p != NULL ? all.p : "none");
    eh_buf_clear(&all);
    return rc;
}

static bool is_in(int32_t i, int64_t n)
{
    return i >= 0 && i < n;
}

/* Do the items' indices have names? */
static int check_items(const eh_open_task *t, eh_err *err)
{
    for (int64_t i = 0; i < t->n; i++) {
        const eh_task_item *q = &t->item[i];
        if (!is_in(q->category, t->names.n_category) || !is_in(q->family, t->names.n_family) ||
            !is_in(q->cluster, t->names.n_cluster))
            return eh_fail(err, EH_EINVAL,
                           "%s: item %lld is of category %d, family %d and template %d; there are %lld, %lld and %lld",
                           t->row->about.name, (long long)i, q->category, q->family, q->cluster,
                           (long long)t->names.n_category, (long long)t->names.n_family,
                           (long long)t->names.n_cluster);
    }
    return t->n > 0 ? EH_OK : eh_fail(err, EH_EINVAL, "%s: has no item", t->row->about.name);
}

int eh_task_open(const eh_task *row, const eh_task_options *o, const eh_asker *who, eh_open_task **out, eh_err *err)
{
    eh_open_task *t = eh_calloc(1, (int64_t)sizeof *t);
    if (t == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a task");
    *t = (eh_open_task){.row = row, .o = *o, .who = *who};
    int rc = choose_way(row, "answer form", row->answer, o->answer, &t->answer, err);
    if (rc == EH_OK)
        rc = choose_way(row, "orders", row->orders, o->orders, &t->orders, err);
    if (rc == EH_OK)
        rc = row->load(t, err);
    if (rc == EH_OK)
        rc = check_items(t, err);
    if (rc < 0) {
        eh_task_close(t);
        return rc;
    }
    *out = t;
    return EH_OK;
}

void eh_task_close(eh_open_task *t)
{
    if (t == NULL)
        return;
    if (t->row->clear != NULL)
        t->row->clear(t);
    eh_free(t->item);
    eh_free(t->column);
    eh_free(t->pick);
    eh_free(t);
}

/* ---- Reading rows ----------------------------------------------------------------------------------- */

const eh_benchmark_score *eh_task_score(const eh_task *row, const char *name)
{
    for (int i = 0; name != NULL && i < row->about.n_score; i++)
        if (strcmp(row->about.score[i].name, name) == 0)
            return &row->about.score[i];
    return NULL;
}

const eh_benchmark_score *eh_task_score_of_kind(const eh_task *row, eh_score_kind kind)
{
    for (int i = 0; i < row->about.n_score; i++)
        if (row->about.score[i].kind == kind)
            return &row->about.score[i];
    return NULL;
}

bool eh_task_is_utility(const eh_task *row)
{
    return eh_task_score_of_kind(row, EH_SCORE_UTILITY) != NULL && eh_task_score_of_kind(row, EH_SCORE_BIAS) == NULL;
}

const eh_way *eh_way_find(const eh_ways *ways, const char *name)
{
    const int i = way_at(ways, name);
    return i >= 0 ? ways->way[i] : NULL;
}

const eh_way *eh_task_answer(const eh_open_task *t)
{
    return t->row->answer != NULL ? t->row->answer->way[t->answer] : NULL;
}

const eh_way *eh_task_orders(const eh_open_task *t)
{
    return t->row->orders != NULL ? t->row->orders->way[t->orders] : NULL;
}

/* ---- What the rows' functions share ----------------------------------------------------------------- */

int eh_task_item_room(eh_open_task *t, int64_t n, int64_t width, eh_err *err)
{
    const int64_t room = n > 0 ? n : 1;
    t->item = eh_calloc(room, (int64_t)sizeof *t->item);
    t->column = eh_calloc(room, width * (int64_t)sizeof *t->column);
    if (t->item == NULL || t->column == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld items", (long long)n);
    t->n = n;
    t->width = width;
    return EH_OK;
}

double *eh_task_columns(const eh_open_task *t, int64_t i)
{
    return t->column + i * t->width;
}

int eh_task_note_too_long(const eh_open_task *t, int64_t n, eh_buf *notes, eh_err *err)
{
    return n > 0 ? eh_buf_note(notes, err, "%s: %lld items are longer than the model's context and were left out.",
                                t->row->about.name, (long long)n)
                 : EH_OK;
}

bool eh_task_too_long(const int64_t *number, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        if (number[k] == EH_ASK_TOO_LONG)
            return true;
    return false;
}

int eh_task_missing(const char *task, const char *file, const char *places, const char *published, eh_err *err)
{
    return eh_fail(err, EH_ENOENT, "%s: %s is not there; looked in %s; it is published at %s", task, file, places,
                   published);
}

/* The numbers of a list under a key, or of an entry of it. */
static int numbers_of(const json_t *list, const char *key, const char *where, int64_t n, double *x, eh_err *err)
{
    if (!json_is_array(list) || (int64_t)json_array_size(list) != n)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is not a list of %lld numbers", where, key, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!json_is_number(v))
            return eh_fail(err, EH_EFORMAT, "%s: \"%s\" holds %s", where, key, eh_json_type(v));
        x[i] = json_number_value(v);
    }
    return EH_OK;
}

int eh_task_get_numbers(const json_t *record, const char *key, const char *where, int64_t n, double *x, eh_err *err)
{
    return numbers_of(json_object_get(record, key), key, where, n, x, err);
}

int eh_task_get_table(const json_t *record, const char *key, const char *where, int64_t n, int64_t width, double *x,
                      eh_err *err)
{
    const json_t *list = json_object_get(record, key);
    if (!json_is_array(list) || (int64_t)json_array_size(list) != n)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is not a list of %lld lists", where, key, (long long)n);
    int rc = EH_OK;
    for (int64_t k = 0; k < n && rc == EH_OK; k++)
        rc = numbers_of(json_array_get(list, (size_t)k), key, where, width, x + k * width, err);
    return rc;
}
