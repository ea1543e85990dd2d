/*
 * The functions, methods, filters and tests of templates. Each is a row of a table; a row
 * without a function is something that Jinja or Python has and that is refused here, by name.
 */
#include "jinja/engine.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#define N(table) ((int64_t)(sizeof(table) / sizeof *(table)))

static const eh_jinja_row *find(const eh_jinja_row *row, int64_t n, eh_str name)
{
    for (int64_t k = 0; k < n; k++)
        if (eh_str_eq(name, eh_str_of(row[k].name)))
            return &row[k];
    return NULL;
}

/* ---- Arguments ------------------------------------------------------------------------------- */

/* Puts each argument into the place of its parameter. */
static int bind(eh_jinja *c, int64_t at, const char *what, const eh_jinja_row *row, const eh_jinja_args *args,
                eh_jv *slot[EH_JINJA_PARAMS])
{
    int n_param = 0;
    while (n_param < EH_JINJA_PARAMS && row->param[n_param] != NULL)
        n_param++;
    if (args->n > n_param)
        return eh_jinja_fail(c, EH_ENOSUP, at, "%s '%s' with %lld arguments is not supported, at most %d are", what,
                             row->name, (long long)args->n, n_param);
    for (int64_t k = 0; k < args->n; k++)
        slot[k] = &args->v[k];
    for (int64_t k = 0; k < args->n_key; k++) {
        int i = 0;
        while (i < n_param && !eh_str_eq(args->key[k], eh_str_of(row->param[i])))
            i++;
        if (i == n_param)
            return eh_jinja_fail(c, EH_ENOSUP, at, "%s '%s' with the argument '%.*s' is not supported", what, row->name,
                                 (int)args->key[k].n, args->key[k].p);
        if (slot[i] != NULL)
            return eh_jinja_fail(c, EH_EFORMAT, at, "%s '%s' is given '%s' twice", what, row->name, row->param[i]);
        slot[i] = &args->val[k];
    }
    for (int i = 0; i < row->least; i++)
        if (slot[i] == NULL)
            return eh_jinja_fail(c, EH_EFORMAT, at, "%s '%s' wants its argument '%s'", what, row->name, row->param[i]);
    return EH_OK;
}

int eh_jinja_call_row(eh_jinja *c, int64_t at, const char *what, const eh_jinja_row *row, eh_jv self,
                      const eh_jinja_args *args, eh_jv *out)
{
    if (row->any != NULL)
        return row->any(c, at, self, args, out);
    if (row->fn == NULL)
        return eh_jinja_fail(c, EH_ENOSUP, at, "%s '%s' is not supported", what, row->name);
    eh_jv *slot[EH_JINJA_PARAMS] = {NULL};
    const int rc = bind(c, at, what, row, args, slot);
    return rc == EH_OK ? row->fn(c, at, self, slot, out) : rc;
}

/* An argument that must be of one kind. A missing one leaves *out as it is. */
static int want_str(eh_jinja *c, int64_t at, const eh_jv *v, eh_str *out)
{
    if (v == NULL)
        return EH_OK;
    if (v->kind != EH_JV_STR)
        return eh_jinja_fail(c, EH_EFORMAT, at, "%s given, a string wanted", eh_jv_type(v));
    *out = v->s;
    return EH_OK;
}

static int want_int(eh_jinja *c, int64_t at, const eh_jv *v, int64_t *out)
{
    if (v == NULL)
        return EH_OK;
    if (v->kind != EH_JV_INT && v->kind != EH_JV_BOOL)
        return eh_jinja_fail(c, EH_EFORMAT, at, "%s given, an integer wanted", eh_jv_type(v));
    *out = v->kind == EH_JV_BOOL ? v->b : v->i;
    return EH_OK;
}

static bool given(const eh_jv *v)
{
    return v != NULL && v->kind != EH_JV_NONE;
}

/* ---- Strings --------------------------------------------------------------------------------- */

static bool in_set(eh_str set, eh_str one)
{
    int64_t n_byte = 0;
    return eh_jinja_find(set, one, 0, &n_byte) >= 0;
}

/* Takes space, or the characters of *set, off the start (ends & 1) and the end (ends & 2). */
static int strip(eh_jinja *c, int64_t at, eh_str s, const eh_jv *set, int ends, eh_jv *out)
{
    eh_str chars = {0};
    int rc = given(set) ? want_str(c, at, set, &chars) : EH_OK;
    if (rc == EH_OK)
        rc = eh_jinja_step(c, at, 1, chars.n > 0 && s.n > EH_JINJA_BYTES_MAX / chars.n ? EH_JINJA_BYTES_MAX + 1
                                                                                      : s.n * (chars.n + 1));
    if (rc < 0)
        return rc;
    int64_t from = -1, to = 0;
    for (int64_t i = 0; i < s.n;) {
        int32_t code;
        const int len = eh_jinja_char(s, i, &code);
        const bool off = given(set) ? in_set(chars, (eh_str){s.p + i, len}) : eh_is_space(code);
        if (!off) {
            from = from < 0 ? i : from;
            to = i + len;
        }
        i += len;
    }
    if (from < 0)
        from = ends & 1 ? s.n : 0; /* all of it goes, at whichever end */
    if (!(ends & 1))
        from = 0;
    if (!(ends & 2))
        to = s.n;
    *out = eh_jv_str((eh_str){s.p + from, to > from ? to - from : 0});
    return EH_OK;
}

static int str_strip(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return strip(c, at, self.s, arg[0], 3, out);
}

static int str_lstrip(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return strip(c, at, self.s, arg[0], 1, out);
}

static int str_rstrip(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return strip(c, at, self.s, arg[0], 2, out);
}

/* A growing list of slices of one string. */
typedef struct pieces {
    eh_str *p;
    int64_t n, room;
} pieces;

static int add_piece(eh_jinja *c, int64_t at, pieces *list, const char *p, int64_t n)
{
    int rc = eh_jinja_step(c, at, 1, 0);
    if (rc < 0)
        return rc;
    if (list->n == list->room) {
        const int64_t room = list->room < 8 ? 8 : 2 * list->room;
        eh_str *more = eh_jinja_new(c, at, room, (int64_t)sizeof *more);
        if (more == NULL)
            return c->err->code;
        if (list->n > 0)
            memcpy(more, list->p, (size_t)list->n * sizeof *more);
        list->p = more;
        list->room = room;
    }
    list->p[list->n++] = (eh_str){p, n};
    return EH_OK;
}

static int pieces_list(eh_jinja *c, int64_t at, const pieces *list, bool backwards, eh_jv *out)
{
    eh_jv made;
    const int rc = eh_jinja_seq(c, at, EH_JV_LIST, list->n, &made);
    for (int64_t k = 0; rc == EH_OK && k < list->n; k++)
        made.seq->v[k] = eh_jv_str(list->p[backwards ? list->n - 1 - k : k]);
    if (rc == EH_OK)
        *out = made;
    return rc;
}

/* At space, any amount of it between pieces, none at the ends. */
static int split_space(eh_jinja *c, int64_t at, eh_str s, int64_t most, eh_jv *out)
{
    pieces list = {0};
    int64_t start = -1;
    int rc = eh_jinja_step(c, at, 1, s.n);
    for (int64_t i = 0; rc == EH_OK && i < s.n;) {
        int32_t code;
        const int len = eh_jinja_char(s, i, &code);
        if (!eh_is_space(code)) {
            start = start < 0 ? i : start;
            if (most >= 0 && list.n == most)
                break; /* the rest is one piece, space and all */
        } else if (start >= 0) {
            rc = add_piece(c, at, &list, s.p + start, i - start);
            start = -1;
        }
        i += len;
    }
    if (rc == EH_OK && start >= 0)
        rc = add_piece(c, at, &list, s.p + start, s.n - start);
    return rc == EH_OK ? pieces_list(c, at, &list, false, out) : rc;
}

static int split_at(eh_jinja *c, int64_t at, eh_str s, eh_str mark, int64_t most, eh_jv *out)
{
    pieces list = {0};
    int64_t from = 0, n_byte = 0;
    int rc = EH_OK;
    while (rc == EH_OK && (most < 0 || list.n < most)) {
        const int64_t i = eh_jinja_find(s, mark, from, &n_byte);
        if (i < 0)
            break;
        rc = add_piece(c, at, &list, s.p + from, i - from);
        from = i + mark.n;
    }
    if (rc == EH_OK)
        rc = eh_jinja_step(c, at, 1, n_byte);
    if (rc == EH_OK)
        rc = add_piece(c, at, &list, s.p + from, s.n - from);
    return rc == EH_OK ? pieces_list(c, at, &list, false, out) : rc;
}

static int rsplit_at(eh_jinja *c, int64_t at, eh_str s, eh_str mark, int64_t most, eh_jv *out)
{
    pieces list = {0};
    int64_t end = s.n, n_byte = 0;
    int rc = EH_OK;
    for (int64_t i = s.n - mark.n; rc == EH_OK && i >= 0 && (most < 0 || list.n < most); i--) {
        if (eh_jinja_find((eh_str){s.p + i, mark.n}, mark, 0, &n_byte) != 0)
            continue;
        rc = add_piece(c, at, &list, s.p + i + mark.n, end - i - mark.n);
        end = i;
        i -= mark.n - 1;
    }
    if (rc == EH_OK)
        rc = eh_jinja_step(c, at, 1, n_byte);
    if (rc == EH_OK)
        rc = add_piece(c, at, &list, s.p, end);
    return rc == EH_OK ? pieces_list(c, at, &list, true, out) : rc;
}

static int split(eh_jinja *c, int64_t at, eh_str s, eh_jv *const *arg, bool from_right, eh_jv *out)
{
    eh_str mark = {0};
    int64_t most = -1;
    int rc = want_int(c, at, arg[1], &most);
    if (rc == EH_OK && given(arg[0]))
        rc = want_str(c, at, arg[0], &mark);
    if (rc < 0)
        return rc;
    if (!given(arg[0]))
        return from_right && most >= 0
                   ? eh_jinja_fail(c, EH_ENOSUP, at, "rsplit at space with a limit is not supported")
                   : split_space(c, at, s, most, out);
    if (mark.n == 0)
        return eh_jinja_fail(c, EH_EFORMAT, at, "a string cannot be split at an empty one");
    return from_right ? rsplit_at(c, at, s, mark, most, out) : split_at(c, at, s, mark, most, out);
}

static int str_split(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return split(c, at, self.s, arg, false, out);
}

static int str_rsplit(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return split(c, at, self.s, arg, true, out);
}

/* Starts or ends with a string, or with one of a tuple. */
static int has_end(eh_jinja *c, int64_t at, eh_str s, const eh_jv *what, bool start, eh_jv *out)
{
    const int64_t n = what->kind == EH_JV_TUPLE ? what->seq->n : 1;
    const eh_jv *one = what->kind == EH_JV_TUPLE ? what->seq->v : what;
    bool has = false;
    for (int64_t k = 0; k < n && !has; k++) {
        eh_str end = {0};
        int rc = want_str(c, at, &one[k], &end);
        if (rc == EH_OK)
            rc = eh_jinja_step(c, at, 1, end.n);
        if (rc < 0)
            return rc;
        has = start ? eh_str_starts(s, end) : eh_str_ends(s, end);
    }
    *out = eh_jv_bool(has);
    return EH_OK;
}

static int str_startswith(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return has_end(c, at, self.s, arg[0], true, out);
}

static int str_endswith(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return has_end(c, at, self.s, arg[0], false, out);
}

static int str_removeprefix(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    eh_str end = {0};
    const int rc = want_str(c, at, arg[0], &end);
    *out = self;
    if (rc == EH_OK && eh_str_starts(self.s, end))
        *out = eh_jv_str((eh_str){self.s.p + end.n, self.s.n - end.n});
    return rc;
}

static int str_removesuffix(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    eh_str end = {0};
    const int rc = want_str(c, at, arg[0], &end);
    *out = self;
    if (rc == EH_OK && eh_str_ends(self.s, end))
        *out = eh_jv_str((eh_str){self.s.p, self.s.n - end.n});
    return rc;
}

/* Python maps these to more than one character, or by what is around them; utf8proc's simple
 * mappings would be wrong for them. */
static bool has_special_case(int32_t code, bool upper)
{
    if (!upper)
        return code == 0x130 || code == 0x3A3;
    return code == 0xDF || code == 0x149 || code == 0x1F0 || code == 0x390 || code == 0x3B0 || code == 0x587 ||
           (code >= 0x1E96 && code <= 0x1E9A) || (code >= 0x1F50 && code <= 0x1F56) ||
           (code >= 0x1F80 && code <= 0x1FFC) || (code >= 0xFB00 && code <= 0xFB17);
}

static int change_case(eh_jinja *c, int64_t at, eh_str s, bool upper, eh_jv *out)
{
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    int rc = EH_OK;
    for (int64_t i = 0; rc == EH_OK && i < s.n;) {
        int32_t code;
        const int len = eh_jinja_char(s, i, &code);
        if (code < 0) {
            eh_buf_bytes(&b, s.p + i, len);
        } else if (has_special_case(code, upper)) {
            rc = eh_jinja_fail(c, EH_ENOSUP, at, "%s on the character U+%04X is not supported",
                               upper ? "upper" : "lower", (unsigned)code);
        } else {
            char utf8[4];
            eh_buf_bytes(&b, utf8, eh_utf8_put(upper ? utf8proc_toupper(code) : utf8proc_tolower(code), utf8));
        }
        i += len;
    }
    return eh_jinja_take(c, at, &b, rc, out);
}

static int str_upper(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return change_case(c, at, self.s, true, out);
}

static int str_lower(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return change_case(c, at, self.s, false, out);
}

typedef enum words { FIRST_ONLY, AFTER_LETTERS, AFTER_MARKS } words;

/* A capital at the start, or of each word: Python's title() starts one after anything that is not
 * a letter, Jinja's filter after space and - ( { [ < only. */
static int capitals(eh_jinja *c, int64_t at, eh_str s, const char *name, words where, eh_jv *out)
{
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    int rc = EH_OK;
    bool start = true;
    for (int64_t i = 0; i < s.n && rc == EH_OK; i++) {
        char ch = s.p[i];
        if ((unsigned char)ch >= 0x80) {
            rc = eh_jinja_fail(c, EH_ENOSUP, at, "%s on text beyond ASCII is not supported", name);
            break;
        }
        const bool small = ch >= 'a' && ch <= 'z', large = ch >= 'A' && ch <= 'Z';
        if (start && small)
            ch = (char)(ch - 'a' + 'A');
        else if (!start && large)
            ch = (char)(ch - 'A' + 'a');
        eh_buf_char(&b, ch);
        const bool mark = eh_is_space(ch) || (ch != '\0' && strchr("-({[<", ch) != NULL);
        start = where == AFTER_LETTERS ? !(small || large) : where == AFTER_MARKS && mark;
    }
    return eh_jinja_take(c, at, &b, rc, out);
}

static int str_title(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return capitals(c, at, self.s, "title", AFTER_LETTERS, out);
}

static int str_capitalize(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return capitals(c, at, self.s, "capitalize", FIRST_ONLY, out);
}

/* An empty `old` stands before each character and at the end. */
static int replace(eh_jinja *c, int64_t at, eh_str s, eh_str old, eh_str new, int64_t most, eh_jv *out)
{
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    int64_t from = 0, i = 0, n_byte = 0;
    for (int64_t k = 0; (most < 0 || k < most) && b.fault == 0; k++) {
        if (old.n > 0)
            i = eh_jinja_find(s, old, from, &n_byte);
        else if (k > 0)
            i = from < s.n ? from + eh_jinja_char(s, from, NULL) : -1;
        if (i < 0)
            break;
        eh_buf_bytes(&b, s.p + from, i - from);
        eh_buf_str(&b, new);
        from = i + old.n;
    }
    if (b.fault == 0)
        eh_buf_bytes(&b, s.p + from, s.n - from);
    return eh_jinja_take(c, at, &b, eh_jinja_step(c, at, 1, n_byte), out);
}

static int str_replace(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    eh_str old = {0}, new = {0};
    int64_t most = -1;
    int rc = want_str(c, at, arg[0], &old);
    if (rc == EH_OK)
        rc = want_str(c, at, arg[1], &new);
    if (rc == EH_OK)
        rc = want_int(c, at, arg[2], &most);
    return rc == EH_OK ? replace(c, at, self.s, old, new, most, out) : rc;
}

static int str_find(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    eh_str what = {0};
    int64_t n_byte = self.s.n;
    const int rc = want_str(c, at, arg[0], &what);
    if (rc < 0)
        return rc;
    const int64_t i = eh_jinja_find(self.s, what, 0, &n_byte);
    *out = eh_jv_int(i < 0 ? -1 : eh_jinja_chars((eh_str){self.s.p, i}));
    return eh_jinja_step(c, at, 1, n_byte);
}

static int str_count(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    eh_str what = {0};
    int64_t n = 0, n_byte = self.s.n;
    const int rc = want_str(c, at, arg[0], &what);
    if (rc < 0)
        return rc;
    if (what.n == 0)
        n = eh_jinja_chars(self.s) + 1;
    else
        for (int64_t i = 0; (i = eh_jinja_find(self.s, what, i, &n_byte)) >= 0; i += what.n)
            n++;
    *out = eh_jv_int(n);
    return eh_jinja_step(c, at, 1, n_byte);
}

/* Strings of `items` with `mark` between them; each must be a string already, unless `any` kind will do. */
static int join(eh_jinja *c, int64_t at, eh_str mark, const eh_jv_seq *items, bool any, eh_jv *out)
{
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    int rc = eh_jinja_step(c, at, items->n, 0);
    for (int64_t k = 0; rc == EH_OK && k < items->n; k++) {
        if (k > 0)
            eh_buf_str(&b, mark);
        if (any || items->v[k].kind == EH_JV_STR)
            rc = eh_jv_put(c, at, &items->v[k], &b);
        else
            rc = eh_jinja_fail(c, EH_EFORMAT, at, "%s among the strings to join", eh_jv_type(&items->v[k]));
    }
    return eh_jinja_take(c, at, &b, rc, out);
}

static int str_join(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    eh_jv_seq items;
    const int rc = eh_jv_items(c, at, arg[0], &items);
    return rc == EH_OK ? join(c, at, self.s, &items, false, out) : rc;
}

static const eh_jinja_row str_methods[] = {
    {.name = "strip", .fn = str_strip, .param = {"chars"}},
    {.name = "lstrip", .fn = str_lstrip, .param = {"chars"}},
    {.name = "rstrip", .fn = str_rstrip, .param = {"chars"}},
    {.name = "split", .fn = str_split, .param = {"sep", "maxsplit"}},
    {.name = "rsplit", .fn = str_rsplit, .param = {"sep", "maxsplit"}},
    {.name = "startswith", .fn = str_startswith, .least = 1, .param = {"prefix"}},
    {.name = "endswith", .fn = str_endswith, .least = 1, .param = {"suffix"}},
    {.name = "removeprefix", .fn = str_removeprefix, .least = 1, .param = {"prefix"}},
    {.name = "removesuffix", .fn = str_removesuffix, .least = 1, .param = {"suffix"}},
    {.name = "upper", .fn = str_upper},
    {.name = "lower", .fn = str_lower},
    {.name = "title", .fn = str_title},
    {.name = "capitalize", .fn = str_capitalize},
    {.name = "replace", .fn = str_replace, .least = 2, .param = {"old", "new", "count"}},
    {.name = "find", .fn = str_find, .least = 1, .param = {"sub"}},
    {.name = "count", .fn = str_count, .least = 1, .param = {"sub"}},
    {.name = "join", .fn = str_join, .least = 1, .param = {"iterable"}},
    {.name = "casefold"}, {.name = "center"}, {.name = "encode"}, {.name = "expandtabs"}, {.name = "format"},
    {.name = "format_map"}, {.name = "index"}, {.name = "isalnum"}, {.name = "isalpha"}, {.name = "isascii"},
    {.name = "isdecimal"}, {.name = "isdigit"}, {.name = "isidentifier"}, {.name = "islower"}, {.name = "isnumeric"},
    {.name = "isprintable"}, {.name = "isspace"}, {.name = "istitle"}, {.name = "isupper"}, {.name = "ljust"},
    {.name = "maketrans"}, {.name = "partition"}, {.name = "rfind"}, {.name = "rindex"}, {.name = "rjust"},
    {.name = "rpartition"}, {.name = "splitlines"}, {.name = "swapcase"}, {.name = "translate"}, {.name = "zfill"},
};

/* ---- Mappings, lists, loops ------------------------------------------------------------------ */

static int view(eh_jinja *c, int64_t at, const eh_jv_dict *d, eh_jv_kind kind, bool keys, bool values, eh_jv *out)
{
    eh_jv made;
    int rc = eh_jinja_seq(c, at, kind, d->n, &made);
    for (int64_t k = 0; rc == EH_OK && k < d->n; k++) {
        eh_jv *item = &made.seq->v[k];
        if (keys && values) {
            if ((rc = eh_jinja_seq(c, at, EH_JV_TUPLE, 2, item)) < 0)
                break;
            item->seq->v[0] = d->pair[k].key;
            item->seq->v[1] = d->pair[k].value;
        } else {
            *item = keys ? d->pair[k].key : d->pair[k].value;
        }
    }
    if (rc == EH_OK)
        *out = made;
    return rc;
}

static int dict_items(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return view(c, at, self.dict, EH_JV_VIEW, true, true, out);
}

static int dict_keys(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return view(c, at, self.dict, EH_JV_VIEW, true, false, out);
}

static int dict_values(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return view(c, at, self.dict, EH_JV_VIEW, false, true, out);
}

static int dict_get(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    int rc;
    const eh_jv *there = eh_jv_dict_get(c, at, self.dict, arg[0], &rc);
    *out = there != NULL ? *there : arg[1] != NULL ? *arg[1] : eh_jv_none();
    return rc;
}

static const eh_jinja_row dict_methods[] = {
    {.name = "items", .fn = dict_items},
    {.name = "keys", .fn = dict_keys},
    {.name = "values", .fn = dict_values},
    {.name = "get", .fn = dict_get, .least = 1, .param = {"key", "default"}},
    {.name = "copy"}, {.name = "fromkeys"},
    {.name = "pop"}, {.name = "popitem"}, {.name = "clear"}, {.name = "update"}, {.name = "setdefault"},
};

static const eh_jinja_row list_methods[] = {
    {.name = "append"}, {.name = "extend"}, {.name = "insert"}, {.name = "pop"}, {.name = "remove"},
    {.name = "clear"}, {.name = "sort"}, {.name = "reverse"}, {.name = "copy"}, {.name = "index"}, {.name = "count"},
};

static int no_keywords(eh_jinja *c, int64_t at, const char *name, const eh_jinja_args *args)
{
    return args->n_key == 0 ? EH_OK : eh_jinja_fail(c, EH_EFORMAT, at, "'%s' takes no named arguments", name);
}

static int loop_cycle(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out)
{
    const int rc = no_keywords(c, at, "cycle", args);
    if (rc < 0)
        return rc;
    if (args->n == 0)
        return eh_jinja_fail(c, EH_EFORMAT, at, "'cycle' has nothing to choose from");
    *out = args->v[self.loop->index0 % args->n];
    return EH_OK;
}

static int loop_changed(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out)
{
    int rc = no_keywords(c, at, "changed", args);
    eh_jv_seq *last = &self.loop->changed;
    bool same = last->v != NULL && last->n == args->n;
    for (int64_t k = 0; rc == EH_OK && same && k < args->n; k++)
        rc = eh_jv_equal(c, at, &last->v[k], &args->v[k], &same);
    if (rc < 0)
        return rc;
    *last = (eh_jv_seq){.v = args->v, .n = args->n};
    *out = eh_jv_bool(!same);
    return EH_OK;
}

static const eh_jinja_row loop_methods[] = {
    {.name = "cycle", .any = loop_cycle},
    {.name = "changed", .any = loop_changed},
};

const eh_jinja_row *eh_jinja_method(const eh_jv *v, eh_str name)
{
    switch (v->kind) {
    case EH_JV_STR: return find(str_methods, N(str_methods), name);
    case EH_JV_DICT: return find(dict_methods, N(dict_methods), name);
    case EH_JV_LIST: return find(list_methods, N(list_methods), name);
    case EH_JV_TUPLE: return find(list_methods + N(list_methods) - 2, 2, name); /* index and count */
    case EH_JV_LOOP: return find(loop_methods, N(loop_methods), name);
    default: return NULL;
    }
}

/* ---- Functions ------------------------------------------------------------------------------- */

/* range() gives at most as many numbers as Jinja's sandbox allows. */
#define RANGE_MAX 100000

static int fn_range(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)self;
    int64_t v[3] = {0, 0, 1};
    for (int k = 0; k < 3; k++) {
        const int rc = want_int(c, at, arg[k], &v[k]);
        if (rc < 0)
            return rc;
    }
    const int64_t from = arg[1] != NULL ? v[0] : 0, to = arg[1] != NULL ? v[1] : v[0], by = v[2];
    if (by == 0)
        return eh_jinja_fail(c, EH_EFORMAT, at, "a range cannot go in steps of 0");
    int64_t n = 0;
    for (int64_t i = from; by > 0 ? i < to : i > to;) {
        if (++n > RANGE_MAX)
            return eh_jinja_fail(c, EH_ERANGE, at, "a range of more than %d numbers", RANGE_MAX);
        if (__builtin_add_overflow(i, by, &i))
            break;
    }
    eh_jv made;
    const int rc = eh_jinja_seq(c, at, EH_JV_RANGE, n, &made);
    for (int64_t k = 0; rc == EH_OK && k < n; k++)
        made.seq->v[k] = eh_jv_int(from + k * by);
    if (rc == EH_OK)
        *out = made;
    return rc;
}

static int make_dict(eh_jinja *c, int64_t at, eh_jv_kind kind, const eh_jinja_args *args, eh_jv *out)
{
    if (args->n > 1 || (args->n == 1 && args->v[0].kind != EH_JV_DICT))
        return eh_jinja_fail(c, EH_ENOSUP, at, "a mapping made from other than one mapping and names is not supported");
    eh_jv_dict *d = eh_jinja_new(c, at, 1, (int64_t)sizeof *d);
    if (d == NULL)
        return c->err->code;
    int rc = EH_OK;
    if (args->n == 1)
        for (int64_t k = 0; rc == EH_OK && k < args->v[0].dict->n; k++)
            rc = eh_jv_dict_set(c, at, d, &args->v[0].dict->pair[k].key, &args->v[0].dict->pair[k].value);
    for (int64_t k = 0; rc == EH_OK && k < args->n_key; k++) {
        const eh_jv key = eh_jv_str(args->key[k]);
        rc = eh_jv_dict_set(c, at, d, &key, &args->val[k]);
    }
    if (rc == EH_OK)
        *out = (eh_jv){.kind = kind, .dict = d};
    return rc;
}

static int fn_dict(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out)
{
    (void)self;
    return make_dict(c, at, EH_JV_DICT, args, out);
}

static int fn_namespace(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out)
{
    (void)self;
    return make_dict(c, at, EH_JV_SPACE, args, out);
}

static int fn_raise(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)self;
    (void)out;
    eh_str text;
    const int rc = eh_jv_to_str(c, at, arg[0], &text);
    if (rc < 0)
        return rc;
    const char *means = c->in->refusal != NULL ? c->in->refusal : "the template raises an exception";
    return eh_jinja_fail(c, EH_EINVAL, at, "%s: %.*s", means, (int)text.n, text.p);
}

static int fn_strftime(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)self;
    eh_str format = {0};
    int rc = want_str(c, at, arg[0], &format);
    if (rc < 0)
        return rc;
    struct tm now;
    if (c->in->now != NULL) {
        now = *c->in->now;
    } else {
        const time_t t = time(NULL);
        if (localtime_r(&t, &now) == NULL)
            return eh_jinja_fail(c, EH_EIO, at, "the system does not tell the local time");
    }
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    for (int64_t i = 0; rc == EH_OK && i < format.n; i++) {
        if (format.p[i] != '%') {
            eh_buf_char(&b, format.p[i]);
            continue;
        }
        const char what = ++i < format.n ? format.p[i] : '\0';
        if (what == '\0' || strchr("aAbBcdHIjmMpSwxXyY%", what) == NULL) {
            rc = eh_jinja_fail(c, EH_ENOSUP, at, "strftime_now with '%%%c' is not supported",
                               what == '\0' ? ' ' : what);
            break;
        }
        const char one[] = {'%', what, '\0'};
        char text[100];
        eh_buf_bytes(&b, text, (int64_t)strftime(text, sizeof text, one, &now));
    }
    return eh_jinja_take(c, at, &b, rc, out);
}

static const eh_jinja_row functions[] = {
    {.name = "range", .fn = fn_range, .least = 1, .param = {"start", "stop", "step"}},
    {.name = "dict", .any = fn_dict},
    {.name = "namespace", .any = fn_namespace},
    {.name = "raise_exception", .fn = fn_raise, .least = 1, .param = {"message"}},
    {.name = "strftime_now", .fn = fn_strftime, .least = 1, .param = {"format"}},
    {.name = "lipsum"}, {.name = "cycler"}, {.name = "joiner"},
};

const eh_jinja_row *eh_jinja_function(eh_str name)
{
    return find(functions, N(functions), name);
}

/* ---- Filters --------------------------------------------------------------------------------- */

/* What a string filter works on: str(v). */
static int as_str(eh_jinja *c, int64_t at, eh_jv *v)
{
    eh_str s;
    const int rc = eh_jv_to_str(c, at, v, &s);
    if (rc == EH_OK)
        *v = eh_jv_str(s);
    return rc;
}

static int f_string(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    *out = v;
    return v.kind == EH_JV_STR ? EH_OK : as_str(c, at, out);
}

static int f_safe(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    *out = v;
    const int rc = as_str(c, at, out);
    out->safe = true;
    return rc;
}

static int f_trim(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? strip(c, at, v.s, arg[0], 3, out) : rc;
}

static int f_upper(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? str_upper(c, at, v, arg, out) : rc;
}

static int f_lower(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? str_lower(c, at, v, arg, out) : rc;
}

static int f_capitalize(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? str_capitalize(c, at, v, arg, out) : rc;
}

static int f_title(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? capitals(c, at, v.s, "title", AFTER_MARKS, out) : rc;
}

static int f_replace(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    eh_str old, new;
    int64_t most = -1;
    int rc = as_str(c, at, &v);
    if (rc == EH_OK)
        rc = eh_jv_to_str(c, at, arg[0], &old);
    if (rc == EH_OK)
        rc = eh_jv_to_str(c, at, arg[1], &new);
    if (rc == EH_OK && given(arg[2]))
        rc = want_int(c, at, arg[2], &most);
    return rc == EH_OK ? replace(c, at, v.s, old, new, most, out) : rc;
}

static int f_length(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    int64_t n = 0;
    const int rc = eh_jv_length(c, at, &v, &n);
    *out = eh_jv_int(n);
    return rc;
}

static int f_default(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)c;
    (void)at;
    const bool also_false = arg[1] != NULL && eh_jv_true(arg[1]);
    *out = v;
    if (v.kind == EH_JV_UNDEF || (also_false && !eh_jv_true(&v)))
        *out = arg[0] != NULL ? *arg[0] : eh_jv_str(EH_STR(""));
    return EH_OK;
}

/* v.a.0.b by "a.0.b", as map, selectattr and join look attributes up; items come before methods. */
static int by_path(eh_jinja *c, int64_t at, eh_jv v, const eh_jv *path, eh_jv *out)
{
    *out = v;
    if (path->kind != EH_JV_STR)
        return eh_jv_item(c, at, &v, path, out);
    for (int64_t from = 0; from <= path->s.n;) {
        int64_t to = from;
        bool digits = true;
        for (; to < path->s.n && path->s.p[to] != '.'; to++)
            digits = digits && path->s.p[to] >= '0' && path->s.p[to] <= '9';
        const eh_str name = {path->s.p + from, to - from};
        eh_jv key = eh_jv_str(name);
        if (name.n > 0 && name.n < 18 && digits) {
            char text[20] = {0};
            memcpy(text, name.p, (size_t)name.n);
            key = eh_jv_int(strtoll(text, NULL, 10));
        }
        const eh_jv from_what = *out;
        const int rc = eh_jv_item(c, at, &from_what, &key, out);
        if (rc < 0)
            return rc;
        from = to + 1;
    }
    return EH_OK;
}

static int f_join(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    eh_str mark = EH_STR("");
    eh_jv_seq items;
    int rc = arg[0] != NULL ? eh_jv_to_str(c, at, arg[0], &mark) : EH_OK;
    if (rc == EH_OK)
        rc = eh_jv_items(c, at, &v, &items);
    if (rc < 0)
        return rc;
    if (given(arg[1])) {
        eh_jv found;
        if ((rc = eh_jinja_seq(c, at, EH_JV_LIST, items.n, &found)) < 0)
            return rc;
        for (int64_t k = 0; k < items.n; k++)
            if ((rc = by_path(c, at, items.v[k], arg[1], &found.seq->v[k])) < 0)
                return rc;
        items = *found.seq;
    }
    return join(c, at, mark, &items, true, out);
}

static int f_list(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    eh_jv_seq items;
    eh_jv made;
    int rc = eh_jv_items(c, at, &v, &items);
    if (rc == EH_OK)
        rc = eh_jinja_seq(c, at, EH_JV_LIST, items.n, &made);
    if (rc < 0)
        return rc;
    if (items.n > 0)
        memcpy(made.seq->v, items.v, (size_t)items.n * sizeof *items.v);
    *out = made;
    return EH_OK;
}

static int f_first(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    *out = eh_jv_undef(EH_STR("first"));
    if (v.kind == EH_JV_ITER) {
        if (v.seq->next < v.seq->n)
            *out = v.seq->v[v.seq->next++];
        return EH_OK;
    }
    eh_jv_seq items;
    const int rc = eh_jv_items(c, at, &v, &items);
    if (rc == EH_OK && items.n > 0)
        *out = items.v[0];
    return rc;
}

static int f_last(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    eh_jv_seq items;
    if (v.kind == EH_JV_ITER)
        return eh_jinja_fail(c, EH_EFORMAT, at, "a generator has no last item; make it a list first");
    const int rc = eh_jv_items(c, at, &v, &items);
    if (rc == EH_OK)
        *out = items.n > 0 ? items.v[items.n - 1] : eh_jv_undef(EH_STR("last"));
    return rc;
}

/* Python gives a string, a list where the thing can only be walked once, else an iterator. */
static int f_reverse(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    eh_jv_seq items;
    eh_jv made;
    int rc = eh_jv_items(c, at, &v, &items);
    if (rc == EH_OK)
        rc = eh_jinja_seq(c, at, v.kind == EH_JV_ITER || v.kind == EH_JV_STR ? EH_JV_LIST : EH_JV_ITER, items.n, &made);
    if (rc < 0)
        return rc;
    for (int64_t k = 0; k < items.n; k++)
        made.seq->v[k] = items.v[items.n - 1 - k];
    *out = made;
    return v.kind == EH_JV_STR ? join(c, at, EH_STR(""), made.seq, false, out) : EH_OK;
}

static bool is_not_finite(eh_str s)
{
    static const char *const names[] = {"inf", "infinity", "nan"};
    if (s.n > 0 && (s.p[0] == '+' || s.p[0] == '-'))
        s = (eh_str){s.p + 1, s.n - 1};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        int64_t i = 0;
        while (i < s.n && names[k][i] != '\0' && (s.p[i] | 0x20) == names[k][i])
            i++;
        if (i == s.n && names[k][i] == '\0')
            return true;
    }
    return false;
}

typedef enum number { NOT_A_NUMBER, WHOLE, REAL, UNSURE } number;

/* A string as a decimal number, with space around it. UNSURE: Python may read it, this does not. */
static number read_number(eh_str s, int64_t *i, double *f)
{
    char text[64];
    while (s.n > 0 && eh_is_space((unsigned char)s.p[0]))
        s = (eh_str){s.p + 1, s.n - 1};
    while (s.n > 0 && eh_is_space((unsigned char)s.p[s.n - 1]))
        s.n--;
    bool digit = false, fraction = false, other = false;
    for (int64_t k = 0; k < s.n; k++) {
        const char ch = s.p[k];
        if ((unsigned char)ch >= 0x80 || ch == '_')
            return UNSURE;
        digit = digit || (ch >= '0' && ch <= '9');
        fraction = fraction || ch == '.' || ch == 'e' || ch == 'E';
        other = other || ((ch < '0' || ch > '9') && (ch == '\0' || strchr("+-.eE", ch) == NULL));
    }
    if (is_not_finite(s))
        return UNSURE;
    if (!digit || other)
        return NOT_A_NUMBER;
    if (s.n >= (int64_t)sizeof text)
        return UNSURE;
    memcpy(text, s.p, (size_t)s.n);
    text[s.n] = '\0';
    char *end;
    errno = 0;
    if (fraction)
        *f = strtod(text, &end);
    else
        *i = strtoll(text, &end, 10);
    if (*end != '\0')
        return NOT_A_NUMBER;
    return fraction ? REAL : errno == 0 ? WHOLE : UNSURE;
}

static int f_number(eh_jinja *c, int64_t at, eh_jv v, const eh_jv *otherwise, bool want_float, eh_jv *out)
{
    int64_t i = 0;
    double f = 0.0;
    number kind = NOT_A_NUMBER;
    switch (v.kind) {
    case EH_JV_UNDEF: return eh_jinja_fail(c, EH_EFORMAT, at, "'%.*s' is undefined", (int)v.s.n, v.s.p);
    case EH_JV_STR: kind = read_number(v.s, &i, &f); break;
    case EH_JV_BOOL: kind = WHOLE, i = v.b; break;
    case EH_JV_INT: kind = WHOLE, i = v.i; break;
    case EH_JV_FLOAT: kind = REAL, f = v.f; break;
    default: break;
    }
    if (kind == UNSURE || (kind == REAL && !want_float && !(fabs(f) < 9e18)))
        return eh_jinja_fail(c, EH_ENOSUP, at, "turning this text or number into %s is not supported",
                             want_float ? "a float" : "an integer");
    if (kind == NOT_A_NUMBER)
        *out = otherwise != NULL ? *otherwise : want_float ? eh_jv_float(0.0) : eh_jv_int(0);
    else if (want_float)
        *out = eh_jv_float(kind == WHOLE ? (double)i : f);
    else
        *out = eh_jv_int(kind == WHOLE ? i : (int64_t)f);
    return EH_OK;
}

static int f_int(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    return f_number(c, at, v, arg[0], false, out);
}

static int f_float(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    return f_number(c, at, v, arg[0], true, out);
}

static int f_abs(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    if (v.kind == EH_JV_FLOAT) {
        *out = eh_jv_float(fabs(v.f));
        return EH_OK;
    }
    int64_t i = 0;
    const int rc = want_int(c, at, &v, &i);
    if (rc < 0)
        return rc;
    if (i == INT64_MIN)
        return eh_jinja_fail(c, EH_ERANGE, at, "an integer goes beyond 64 bits");
    *out = eh_jv_int(i < 0 ? -i : i);
    return EH_OK;
}

static int f_items(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    if (v.kind == EH_JV_UNDEF)
        return eh_jinja_seq(c, at, EH_JV_ITER, 0, out);
    if (v.kind != EH_JV_DICT)
        return eh_jinja_fail(c, EH_EFORMAT, at, "%s given to the filter 'items', a mapping wanted", eh_jv_type(&v));
    return view(c, at, v.dict, EH_JV_ITER, true, true, out);
}

/* How far json.dumps indents: a number of blanks, or a string. */
static int json_indent(eh_jinja *c, int64_t at, const eh_jv *v, eh_str *out)
{
    if (v->kind == EH_JV_STR) {
        *out = v->s;
        return EH_OK;
    }
    int64_t n = 0;
    int rc = want_int(c, at, v, &n);
    if (rc == EH_OK && n > 1000)
        rc = eh_jinja_fail(c, EH_ERANGE, at, "an indent of more than 1000 blanks");
    if (rc < 0)
        return rc;
    n = n < 0 ? 0 : n;
    char *blanks = eh_jinja_new(c, at, n + 1, 1);
    if (blanks == NULL)
        return c->err->code;
    memset(blanks, ' ', (size_t)n);
    *out = (eh_str){blanks, n};
    return EH_OK;
}

/* transformers' own tojson, which is Python's json.dumps, not Jinja's for HTML. */
static int f_tojson(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    eh_str indent, comma = EH_STR(", "), colon = EH_STR(": ");
    const bool ascii = arg[0] != NULL && eh_jv_true(arg[0]);
    const bool sorted = arg[3] != NULL && eh_jv_true(arg[3]);
    const bool lines = given(arg[1]);
    int rc = EH_OK;
    if (lines) {
        comma = EH_STR(",");
        rc = json_indent(c, at, arg[1], &indent);
    }
    if (rc == EH_OK && given(arg[2])) {
        const eh_jv *s = arg[2];
        if ((s->kind != EH_JV_LIST && s->kind != EH_JV_TUPLE) || s->seq->n != 2)
            return eh_jinja_fail(c, EH_EFORMAT, at, "separators of JSON are two strings");
        rc = want_str(c, at, &s->seq->v[0], &comma);
        if (rc == EH_OK)
            rc = want_str(c, at, &s->seq->v[1], &colon);
    }
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    if (rc == EH_OK)
        rc = eh_jv_json(c, at, &v, ascii, lines ? &indent : NULL, comma, colon, sorted, &b);
    return eh_jinja_take(c, at, &b, rc, out);
}

/* ---- Filters that apply others --------------------------------------------------------------- */

/* The name of a filter or test among the arguments, and what follows it. */
static int split_name(eh_jinja *c, int64_t at, const eh_jinja_args *args, int64_t n_before, eh_str *name,
                      eh_jinja_args *rest)
{
    *rest = *args;
    rest->v += n_before + 1;
    rest->n -= n_before + 1;
    return want_str(c, at, &args->v[n_before], name);
}

static int map_by_attribute(eh_jinja *c, int64_t at, const eh_jv_seq *items, const eh_jinja_args *args, eh_jv *out)
{
    const eh_jv *attribute = NULL, *otherwise = NULL;
    for (int64_t k = 0; k < args->n_key; k++) {
        if (eh_str_eq(args->key[k], EH_STR("attribute")))
            attribute = &args->val[k];
        else if (eh_str_eq(args->key[k], EH_STR("default")))
            otherwise = &args->val[k];
        else
            return eh_jinja_fail(c, EH_EFORMAT, at, "the filter 'map' has no argument '%.*s'", (int)args->key[k].n,
                                 args->key[k].p);
    }
    if (attribute == NULL)
        return eh_jinja_fail(c, EH_EFORMAT, at, "the filter 'map' wants the name of a filter, or attribute=");
    eh_jv made;
    int rc = eh_jinja_seq(c, at, EH_JV_ITER, items->n, &made);
    for (int64_t k = 0; rc == EH_OK && k < items->n; k++) {
        rc = by_path(c, at, items->v[k], attribute, &made.seq->v[k]);
        if (rc == EH_OK && made.seq->v[k].kind == EH_JV_UNDEF && otherwise != NULL && otherwise->kind != EH_JV_NONE)
            made.seq->v[k] = *otherwise;
    }
    if (rc == EH_OK)
        *out = made;
    return rc;
}

static int f_map(eh_jinja *c, int64_t at, eh_jv v, const eh_jinja_args *args, eh_jv *out)
{
    eh_jv_seq items;
    int rc = eh_jv_items(c, at, &v, &items);
    if (rc < 0 || args->n == 0)
        return rc < 0 ? rc : map_by_attribute(c, at, &items, args, out);
    eh_jinja_args rest;
    eh_str name = {0};
    eh_jv made;
    rc = split_name(c, at, args, 0, &name, &rest);
    if (rc == EH_OK)
        rc = eh_jinja_seq(c, at, EH_JV_ITER, items.n, &made);
    for (int64_t k = 0; rc == EH_OK && k < items.n; k++)
        rc = eh_jinja_filter(c, at, name, items.v[k], &rest, &made.seq->v[k]);
    if (rc == EH_OK)
        *out = made;
    return rc;
}

/* The items whose own value, or whose attribute, passes a test (or is true), or does not. */
static int choose(eh_jinja *c, int64_t at, eh_jv v, const eh_jinja_args *args, bool by_attribute, bool wanted,
                  eh_jv *out)
{
    eh_jv_seq items = {0};
    eh_jv made;
    int rc = eh_jv_true(&v) ? eh_jv_items(c, at, &v, &items) : EH_OK;
    if (rc == EH_OK && by_attribute && args->n == 0)
        rc = eh_jinja_fail(c, EH_EFORMAT, at, "the name of the attribute to select by is missing");
    if (rc == EH_OK)
        rc = eh_jinja_seq(c, at, EH_JV_ITER, items.n, &made);
    if (rc < 0)
        return rc;
    made.seq->n = 0;
    for (int64_t k = 0; k < items.n; k++) {
        eh_jv tested = items.v[k];
        bool passes;
        if (by_attribute && (rc = by_path(c, at, items.v[k], &args->v[0], &tested)) < 0)
            return rc;
        if (args->n > by_attribute) {
            eh_jinja_args rest;
            eh_str name = {0};
            if ((rc = split_name(c, at, args, by_attribute, &name, &rest)) < 0 ||
                (rc = eh_jinja_test(c, at, name, tested, &rest, &passes)) < 0)
                return rc;
        } else {
            passes = eh_jv_true(&tested);
        }
        if (passes == wanted)
            made.seq->v[made.seq->n++] = items.v[k];
    }
    *out = made;
    return EH_OK;
}

static int f_select(eh_jinja *c, int64_t at, eh_jv v, const eh_jinja_args *args, eh_jv *out)
{
    return choose(c, at, v, args, false, true, out);
}

static int f_reject(eh_jinja *c, int64_t at, eh_jv v, const eh_jinja_args *args, eh_jv *out)
{
    return choose(c, at, v, args, false, false, out);
}

static int f_selectattr(eh_jinja *c, int64_t at, eh_jv v, const eh_jinja_args *args, eh_jv *out)
{
    return choose(c, at, v, args, true, true, out);
}

static int f_rejectattr(eh_jinja *c, int64_t at, eh_jv v, const eh_jinja_args *args, eh_jv *out)
{
    return choose(c, at, v, args, true, false, out);
}

static const eh_jinja_row filters[] = {
    {.name = "trim", .fn = f_trim, .param = {"chars"}},
    {.name = "length", .fn = f_length, .takes_safe = true},
    {.name = "count", .fn = f_length, .takes_safe = true},
    {.name = "join", .fn = f_join, .param = {"d", "attribute"}},
    {.name = "tojson", .fn = f_tojson, .takes_safe = true,
     .param = {"ensure_ascii", "indent", "separators", "sort_keys"}},
    {.name = "upper", .fn = f_upper},
    {.name = "lower", .fn = f_lower},
    {.name = "capitalize", .fn = f_capitalize},
    {.name = "title", .fn = f_title},
    {.name = "replace", .fn = f_replace, .least = 2, .param = {"old", "new", "count"}},
    {.name = "string", .fn = f_string, .takes_safe = true},
    {.name = "safe", .fn = f_safe, .takes_safe = true},
    {.name = "default", .fn = f_default, .param = {"default_value", "boolean"}, .takes_safe = true},
    {.name = "d", .fn = f_default, .param = {"default_value", "boolean"}, .takes_safe = true},
    {.name = "first", .fn = f_first},
    {.name = "last", .fn = f_last},
    {.name = "list", .fn = f_list},
    {.name = "reverse", .fn = f_reverse},
    {.name = "int", .fn = f_int, .param = {"default"}},
    {.name = "float", .fn = f_float, .param = {"default"}},
    {.name = "abs", .fn = f_abs},
    {.name = "items", .fn = f_items},
    {.name = "map", .any = f_map},
    {.name = "select", .any = f_select},
    {.name = "reject", .any = f_reject},
    {.name = "selectattr", .any = f_selectattr},
    {.name = "rejectattr", .any = f_rejectattr},
};

int eh_jinja_filter(eh_jinja *c, int64_t at, eh_str name, eh_jv v, const eh_jinja_args *args, eh_jv *out)
{
    const eh_jinja_row *row = find(filters, N(filters), name);
    if (row == NULL)
        return eh_jinja_fail(c, EH_ENOSUP, at, "the filter '%.*s' is not supported", (int)name.n, name.p);
    if (v.kind == EH_JV_STR && v.safe && !row->takes_safe)
        return eh_jinja_fail(c, EH_ENOSUP, at, "the filter '%s' on a string marked safe is not supported", row->name);
    int rc = eh_jinja_step(c, at, 1, 0);
    if (rc == EH_OK)
        rc = eh_jinja_deeper(c, at); /* map may apply map, and so on */
    if (rc < 0)
        return rc;
    rc = eh_jinja_call_row(c, at, "the filter", row, v, args, out);
    c->depth--;
    return rc;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

typedef enum test_kind {
    IS_DEFINED, IS_UNDEFINED, IS_NONE, IS_BOOLEAN, IS_TRUE, IS_FALSE, IS_INTEGER, IS_FLOAT, IS_NUMBER, IS_STRING,
    IS_MAPPING, IS_ITERABLE, IS_SEQUENCE, IS_CALLABLE, IS_ODD, IS_EVEN,
    /* with an argument */
    IS_DIVISIBLE, IS_IN, IS_EQ, IS_NE, IS_LT, IS_LE, IS_GT, IS_GE,
} test_kind;

static const struct {
    const char *name;
    test_kind kind;
} tests[] = {
    {"defined", IS_DEFINED}, {"undefined", IS_UNDEFINED}, {"none", IS_NONE},       {"boolean", IS_BOOLEAN},
    {"true", IS_TRUE},       {"false", IS_FALSE},         {"integer", IS_INTEGER}, {"float", IS_FLOAT},
    {"number", IS_NUMBER},   {"string", IS_STRING},       {"mapping", IS_MAPPING}, {"iterable", IS_ITERABLE},
    {"odd", IS_ODD},         {"even", IS_EVEN},           {"in", IS_IN},           {"sequence", IS_SEQUENCE},
    {"callable", IS_CALLABLE}, {"divisibleby", IS_DIVISIBLE},
    {"==", IS_EQ},           {"eq", IS_EQ},               {"equalto", IS_EQ},      {"!=", IS_NE},
    {"ne", IS_NE},           {"<", IS_LT},                {"lt", IS_LT},           {"lessthan", IS_LT},
    {"<=", IS_LE},           {"le", IS_LE},               {">", IS_GT},            {"gt", IS_GT},
    {"greaterthan", IS_GT},  {">=", IS_GE},               {"ge", IS_GE},
};

static bool can_be_walked(const eh_jv *v)
{
    switch (v->kind) {
    case EH_JV_NONE:
    case EH_JV_BOOL:
    case EH_JV_INT:
    case EH_JV_FLOAT:
    case EH_JV_SPACE:
    case EH_JV_MACRO:
    case EH_JV_FUNC:
    case EH_JV_METHOD: return false;
    default: return true;
    }
}

static int test_remainder(eh_jinja *c, int64_t at, const eh_jv *v, int64_t by, int64_t want, bool *out)
{
    int64_t i = 0;
    const int rc = want_int(c, at, v, &i);
    if (rc < 0)
        return rc;
    if (by == 0)
        return eh_jinja_fail(c, EH_EFORMAT, at, "division by zero");
    const int64_t rest = by == -1 ? 0 : i % by;
    *out = (rest < 0 ? -rest : rest) == want;
    return EH_OK;
}

static int test_with(eh_jinja *c, int64_t at, test_kind kind, const eh_jv *v, const eh_jv *arg, bool *out)
{
    int rc, order = 0;
    if (kind == IS_DIVISIBLE) {
        int64_t by = 0;
        rc = want_int(c, at, arg, &by);
        return rc == EH_OK ? test_remainder(c, at, v, by, 0, out) : rc;
    }
    if (kind == IS_IN)
        return eh_jv_in(c, at, v, arg, out);
    if (kind == IS_EQ || kind == IS_NE) {
        rc = eh_jv_equal(c, at, v, arg, out);
        *out = *out == (kind == IS_EQ);
        return rc;
    }
    rc = eh_jv_order(c, at, v, arg, &order);
    *out = kind == IS_LT   ? order == -1
           : kind == IS_GT ? order == 1
           : kind == IS_LE ? order <= 0
                           : order == 0 || order == 1;
    return rc;
}

static int test_alone(eh_jinja *c, int64_t at, test_kind kind, const eh_jv *v, bool *out)
{
    switch (kind) {
    case IS_DEFINED: *out = v->kind != EH_JV_UNDEF; return EH_OK;
    case IS_UNDEFINED: *out = v->kind == EH_JV_UNDEF; return EH_OK;
    case IS_NONE: *out = v->kind == EH_JV_NONE; return EH_OK;
    case IS_BOOLEAN: *out = v->kind == EH_JV_BOOL; return EH_OK;
    case IS_TRUE: *out = v->kind == EH_JV_BOOL && v->b; return EH_OK;
    case IS_FALSE: *out = v->kind == EH_JV_BOOL && !v->b; return EH_OK;
    case IS_INTEGER: *out = v->kind == EH_JV_INT; return EH_OK;
    case IS_FLOAT: *out = v->kind == EH_JV_FLOAT; return EH_OK;
    case IS_NUMBER: *out = eh_jv_is_number(v); return EH_OK;
    case IS_STRING: *out = v->kind == EH_JV_STR; return EH_OK;
    case IS_MAPPING: *out = v->kind == EH_JV_DICT; return EH_OK;
    case IS_ITERABLE: *out = can_be_walked(v); return EH_OK;
    case IS_SEQUENCE: /* has a length and, in Python's eyes, items by index: mappings and undefined do too */
        *out = can_be_walked(v) && v->kind != EH_JV_VIEW && v->kind != EH_JV_ITER && v->kind != EH_JV_LOOP;
        return EH_OK;
    case IS_CALLABLE:
        *out = v->kind == EH_JV_UNDEF || v->kind == EH_JV_MACRO || v->kind == EH_JV_FUNC || v->kind == EH_JV_METHOD ||
               v->kind == EH_JV_LOOP;
        return EH_OK;
    case IS_ODD: return test_remainder(c, at, v, 2, 1, out);
    default: return test_remainder(c, at, v, 2, 0, out);
    }
}

int eh_jinja_test(eh_jinja *c, int64_t at, eh_str name, eh_jv v, const eh_jinja_args *args, bool *out)
{
    for (size_t k = 0; k < sizeof tests / sizeof *tests; k++) {
        if (!eh_str_eq(name, eh_str_of(tests[k].name)))
            continue;
        const int64_t n = tests[k].kind >= IS_DIVISIBLE;
        if (args->n != n || args->n_key > 0)
            return eh_jinja_fail(c, EH_EFORMAT, at, "the test '%s' takes %lld arguments, %lld given", tests[k].name,
                                 (long long)n, (long long)(args->n + args->n_key));
        const int rc = eh_jinja_step(c, at, 1, 0);
        if (rc < 0)
            return rc;
        return n > 0 ? test_with(c, at, tests[k].kind, &v, &args->v[0], out)
                     : test_alone(c, at, tests[k].kind, &v, out);
    }
    return eh_jinja_fail(c, EH_ENOSUP, at, "the test '%.*s' is not supported", (int)name.n, name.p);
}
