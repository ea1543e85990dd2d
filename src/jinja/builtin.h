/*
 * What the files of built-in things share. Each filter, test, method and function is a row of a table
 * (eh_jinja_row); a row without a function is something that Jinja or Python has and that is refused
 * here, by name. To add one: a function of type eh_jinja_fn, and its row beside the others.
 *
 *     static int f_first(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out);
 *     {.name = "first", .fn = f_first},
 *
 * calls.c finds and calls rows; builtin.c holds functions and the methods of mappings, lists and loops,
 * strings.c the methods of strings, filters.c and tests.c theirs.
 */
#ifndef EH_JINJA_BUILTIN_H
#define EH_JINJA_BUILTIN_H

#include "jinja/interpreter.h"

#define EH_JINJA_ROWS(table) ((int64_t)(sizeof(table) / sizeof *(table)))

const eh_jinja_row *eh_jinja_find_row(const eh_jinja_row *row, int64_t n, eh_str name); /* NULL: none */
const eh_jinja_row *eh_jinja_string_method(eh_str name);

/* An argument that must be of one kind. A missing one (NULL) leaves *out as it is. */
int eh_jinja_want_str(eh_jinja *c, int64_t at, const eh_jv *v, eh_str *out);
int eh_jinja_want_int(eh_jinja *c, int64_t at, const eh_jv *v, int64_t *out);

static inline bool eh_jinja_given(const eh_jv *v)
{
    return v != NULL && v->kind != EH_JV_NONE;
}

/* ---- What filters and methods have in common -------------------------------------------------- */

/* Takes space, or the characters of *set, off the start (ends & 1) and the end (ends & 2). */
int eh_jinja_strip(eh_jinja *c, int64_t at, eh_str s, const eh_jv *set, int ends, eh_jv *out);
int eh_jinja_change_case(eh_jinja *c, int64_t at, eh_str s, bool upper, eh_jv *out);

typedef enum eh_jinja_words { EH_JINJA_FIRST_ONLY, EH_JINJA_AFTER_LETTERS, EH_JINJA_AFTER_MARKS } eh_jinja_words;

/* A capital at the start, or of each word: Python's title() starts one after anything that is not
 * a letter, Jinja's filter after space and - ( { [ < only. */
int eh_jinja_capitals(eh_jinja *c, int64_t at, eh_str s, const char *name, eh_jinja_words where, eh_jv *out);

/* At most `most` of them; -1: all. */
int eh_jinja_replace(eh_jinja *c, int64_t at, eh_str s, eh_str old, eh_str new, int64_t most, eh_jv *out);

/* Strings of `items` with `mark` between them; each must be a string already, unless `any` kind will do. */
int eh_jinja_join(eh_jinja *c, int64_t at, eh_str mark, const eh_jv_seq *items, bool any, eh_jv *out);

/* The keys, the values or the pairs of a mapping. */
int eh_jinja_view(eh_jinja *c, int64_t at, const eh_jv_dict *d, eh_jv_kind kind, bool keys, bool values, eh_jv *out);

#endif
