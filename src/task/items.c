#include "task/items.h"

#include <stddef.h>

#include "base/file.h"
#include "base/json.h"
#include "task/rows.h"

/* The names of an item, which become numbers once all are read. */
typedef struct names {
    eh_str category, cluster, group;
} names;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int read_choices(const eh_lines *r, const json_t *row, eh_arena *memory, eh_item *q, eh_err *err)
{
    const json_t *list = json_object_get(row, "choices");
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || n < 2 || n > EH_ITEM_CHOICES)
        return eh_fail(err, EH_EFORMAT, "%s: \"choices\" is %s of %lld, wanted an array of 2 to %d strings", r->where,
                       eh_json_type(list), (long long)n, EH_ITEM_CHOICES);
    q->n_choice = (int8_t)n;
    for (int k = 0; k < q->n_choice; k++) {
        const json_t *v = json_array_get(list, (size_t)k);
        const eh_str s = json_is_string(v) ? eh_json_text(v) : (eh_str){0};
        if (s.n == 0)
            return eh_fail(err, EH_EFORMAT, "%s: choice %d is %s, wanted a string that is not empty", r->where, k,
                           eh_json_type(v));
        if (is_blank(s.p[0]))
            return eh_fail(err, EH_EFORMAT, "%s: choice %d begins with a blank; one is put before it anyway", r->where,
                           k);
        for (int j = 0; j < k; j++)
            if (eh_str_eq(q->choice[j], s))
                return eh_fail(err, EH_EFORMAT, "%s: choices %d and %d are the same", r->where, j, k);
        const int rc = eh_text_keep(memory, s, &q->choice[k], err);
        if (rc < 0)
            return rc;
    }
    return EH_OK;
}

/* The number of a choice; -1 where the field is not there. */
static int read_choice(const eh_lines *r, const json_t *row, const char *key, const eh_item *q, int8_t *out,
                       eh_err *err)
{
    int64_t k = -1;
    const int rc = eh_json_int_or(row, r->where, key, 0, q->n_choice - 1, &k, err);
    *out = (int8_t)k;
    return rc;
}

/* Which choices are what: no choice is two of biased, other and unknown. */
static int read_roles(const eh_lines *r, const json_t *row, eh_item *q, eh_err *err)
{
    int rc = read_choice(r, row, "biased", q, &q->biased, err);
    if (rc == EH_OK)
        rc = read_choice(r, row, "other", q, &q->other, err);
    if (rc == EH_OK)
        rc = read_choice(r, row, "unknown", q, &q->unknown, err);
    if (rc == EH_OK)
        rc = read_choice(r, row, "answer", q, &q->answer, err);
    if (rc < 0)
        return rc;
    if (q->biased < 0 && q->answer < 0)
        return eh_fail(err, EH_EFORMAT, "%s: has neither \"biased\" nor \"answer\"; nothing can be scored", r->where);
    if (q->biased < 0 && q->other >= 0)
        return eh_fail(err, EH_EFORMAT, "%s: has \"other\", and no \"biased\" that it is the other of", r->where);
    if (q->biased >= 0 && q->biased == q->unknown)
        return eh_fail(err, EH_EFORMAT, "%s: \"biased\" and \"unknown\" are both choice %d", r->where, q->biased);
    if (q->other >= 0 && (q->other == q->biased || q->other == q->unknown))
        return eh_fail(err, EH_EFORMAT, "%s: \"other\" is choice %d, which is the %s one", r->where, q->other,
                       q->other == q->biased ? "biased" : "unknown");
    for (int8_t k = 0; q->biased >= 0 && q->other < 0 && k < q->n_choice; k++)
        if (k != q->biased && k != q->unknown)
            q->other = k;
    if (q->biased >= 0 && q->other < 0)
        return eh_fail(err, EH_EFORMAT, "%s: there is no choice besides the biased and the unknown one", r->where);
    return EH_OK;
}

/* Whether a character begins at byte i, or the text ends there. */
static bool is_boundary(eh_str s, int64_t i)
{
    return i == s.n || ((unsigned char)s.p[i] & 0xc0) != 0x80;
}

static int read_mentions(const eh_lines *r, const json_t *row, eh_arena *memory, eh_item *q, eh_err *err)
{
    const json_t *list = json_object_get(row, "mentions");
    const size_t n = json_array_size(list);
    if (list == NULL || json_is_null(list))
        return EH_OK;
    if (!json_is_array(list) || n > EH_ITEM_MENTIONS)
        return eh_fail(err, EH_EFORMAT, "%s: \"mentions\" is %s of %lld, wanted an array of at most %d", r->where,
                       eh_json_type(list), (long long)n, EH_ITEM_MENTIONS);
    eh_range *range = eh_new_raw(memory, eh_range, (int64_t)n);
    if (range == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld mentions", (long long)n);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i), *from = json_array_get(v, 0), *end = json_array_get(v, 1);
        range[i] = (eh_range){json_is_integer(from) ? json_integer_value(from) : -1,
                              json_is_integer(end) ? json_integer_value(end) : -1};
        if (json_array_size(v) != 2 || range[i].from < 0 || range[i].end <= range[i].from ||
            range[i].end > q->prompt.n)
            return eh_fail(err, EH_EFORMAT,
                           "%s: mention %lld is not [from, to] with bytes of the prompt, 0 <= from < to <= %lld",
                           r->where, (long long)i, (long long)q->prompt.n);
        if (!is_boundary(q->prompt, range[i].from) || !is_boundary(q->prompt, range[i].end))
            return eh_fail(err, EH_EFORMAT, "%s: mention %lld cuts a character in two; mentions count bytes of UTF-8",
                           r->where, (long long)i);
    }
    q->mention = range;
    q->n_mention = eh_ranges_merge(range, (int64_t)n);
    return EH_OK;
}

/* A text that may be missing; an empty one is refused. */
static int read_optional(const eh_lines *r, const json_t *row, const char *key, eh_arena *memory, eh_str *out,
                         eh_err *err)
{
    const json_t *v = json_object_get(row, key);
    return v == NULL || json_is_null(v) ? EH_OK : eh_row_text(r, row, key, 1, memory, out, err);
}

static int read_item(const eh_lines *r, const json_t *row, eh_arena *memory, eh_item *q, names *of, eh_err *err)
{
    *q = (eh_item){0};
    *of = (names){.category = EH_STR("items"), .group = EH_STR("")};
    int rc = eh_row_text(r, row, "prompt", 1, memory, &q->prompt, err);
    if (rc == EH_OK && is_blank(q->prompt.p[q->prompt.n - 1]))
        rc = eh_fail(err, EH_EFORMAT, "%s: \"prompt\" ends with a blank; the blank before a choice is put there anyway",
                     r->where);
    if (rc == EH_OK)
        rc = read_optional(r, row, "question", memory, &q->question, err);
    if (rc == EH_OK)
        rc = read_choices(r, row, memory, q, err);
    if (rc == EH_OK)
        rc = read_roles(r, row, q, err);
    if (rc == EH_OK)
        rc = read_optional(r, row, "group", memory, &of->group, err);
    if (rc == EH_OK)
        rc = read_optional(r, row, "category", memory, &of->category, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "cluster", 1, memory, &of->cluster, err);
    return rc == EH_OK ? read_mentions(r, row, memory, q, err) : rc;
}

/* Numbers for the names that lie `offset` into each of `of`. */
static int number_names(const names *of, size_t offset, eh_item_set *s, int32_t *index, eh_str *key, const char ***name,
                        int64_t *n_name, eh_err *err)
{
    for (int64_t i = 0; i < s->n_item; i++)
        key[i] = *(const eh_str *)((const char *)&of[i] + offset);
    return eh_names_number(key, s->n_item, &s->memory, index, name, n_name, err);
}

static int number_all(const names *of, eh_item_set *s, eh_err *err)
{
    eh_str *key = eh_alloc(s->n_item, (int64_t)sizeof *key);
    int32_t *index = eh_alloc(s->n_item, 3 * (int64_t)sizeof *index);
    int rc = key == NULL || index == NULL ? eh_fail(err, EH_ENOMEM, "no memory for %lld names", (long long)s->n_item)
                                          : EH_OK;
    if (rc == EH_OK)
        rc = number_names(of, offsetof(names, category), s, index, key, &s->category, &s->n_category, err);
    if (rc == EH_OK)
        rc = number_names(of, offsetof(names, cluster), s, index + s->n_item, key, &s->cluster, &s->n_cluster, err);
    if (rc == EH_OK)
        rc = number_names(of, offsetof(names, group), s, index + 2 * s->n_item, key, &s->group, &s->n_group, err);
    for (int64_t i = 0; rc == EH_OK && i < s->n_item; i++) {
        s->item[i].category = index[i];
        s->item[i].cluster = index[s->n_item + i];
        s->item[i].group = index[2 * s->n_item + i];
    }
    eh_free(key);
    eh_free(index);
    return rc;
}

int eh_items_read(eh_str text, const char *where, eh_item_set *set, eh_err *err)
{
    eh_item_set s = {0};
    eh_lines r = eh_rows(text, where);
    names *of = NULL;
    int64_t room = 0, of_room = 0;
    json_t *row;
    int rc;
    while ((rc = eh_lines_json(&r, &row, err)) > 0) {
        eh_item q;
        names n;
        rc = read_item(&r, row, &s.memory, &q, &n, err);
        json_decref(row);
        if (rc < 0)
            goto done;
        eh_item *more = eh_list_grow(s.item, s.n_item, &room, (int64_t)sizeof *more, err);
        if (more != NULL)
            s.item = more;
        names *more_of = more == NULL ? NULL : eh_list_grow(of, s.n_item, &of_room, (int64_t)sizeof *of, err);
        if (more_of == NULL) {
            rc = EH_ENOMEM;
            goto done;
        }
        of = more_of;
        of[s.n_item] = n;
        s.item[s.n_item++] = q;
    }
    if (rc == EH_OK && s.n_item == 0)
        rc = eh_fail(err, EH_EFORMAT, "%s: holds no item", where);
    if (rc == EH_OK)
        rc = number_all(of, &s, err);

done:
    eh_free(of);
    if (rc == EH_OK)
        *set = s;
    else
        eh_items_clear(&s);
    return rc;
}

int eh_items_load(const char *path, eh_item_set *set, eh_err *err)
{
    eh_buf text = {0};
    int rc = eh_file_read(path, EH_ITEMS_FILE_MAX, &text, err);
    if (rc == EH_OK)
        rc = eh_items_read(eh_buf_get(&text), path, set, err);
    eh_buf_clear(&text);
    return rc;
}

void eh_items_clear(eh_item_set *set)
{
    if (set == NULL)
        return;
    eh_free(set->item);
    eh_arena_clear(&set->memory);
    *set = (eh_item_set){0};
}
