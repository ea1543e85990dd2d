/* The methods of strings: Python's, on characters and not on bytes. */
#include "jinja/builtin.h"

#include <string.h>

#include <utf8proc.h>

static bool in_set(eh_str set, eh_str one)
{
    int64_t n_byte = 0;
    return eh_jinja_find(set, one, 0, &n_byte) >= 0;
}

int eh_jinja_strip(eh_jinja *c, int64_t at, eh_str s, const eh_jv *set, int ends, eh_jv *out)
{
    eh_str chars = {0};
    int rc = eh_jinja_given(set) ? eh_jinja_want_str(c, at, set, &chars) : EH_OK;
    if (rc == EH_OK)
        rc = eh_jinja_step(c, at, 1, chars.n > 0 && s.n > EH_JINJA_BYTES_MAX / chars.n ? EH_JINJA_BYTES_MAX + 1
                                                                                      : s.n * (chars.n + 1));
    if (rc < 0)
        return rc;
    int64_t from = -1, to = 0;
    for (int64_t i = 0; i < s.n;) {
        int32_t code;
        const int len = eh_jinja_char(s, i, &code);
        const bool off = eh_jinja_given(set) ? in_set(chars, (eh_str){s.p + i, len}) : eh_is_space(code);
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
    return eh_jinja_strip(c, at, self.s, arg[0], 3, out);
}

static int str_lstrip(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return eh_jinja_strip(c, at, self.s, arg[0], 1, out);
}

static int str_rstrip(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    return eh_jinja_strip(c, at, self.s, arg[0], 2, out);
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
    int rc = eh_jinja_want_int(c, at, arg[1], &most);
    if (rc == EH_OK && eh_jinja_given(arg[0]))
        rc = eh_jinja_want_str(c, at, arg[0], &mark);
    if (rc < 0)
        return rc;
    if (!eh_jinja_given(arg[0]))
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
        int rc = eh_jinja_want_str(c, at, &one[k], &end);
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
    const int rc = eh_jinja_want_str(c, at, arg[0], &end);
    *out = self;
    if (rc == EH_OK && eh_str_starts(self.s, end))
        *out = eh_jv_str((eh_str){self.s.p + end.n, self.s.n - end.n});
    return rc;
}

static int str_removesuffix(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    eh_str end = {0};
    const int rc = eh_jinja_want_str(c, at, arg[0], &end);
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

int eh_jinja_change_case(eh_jinja *c, int64_t at, eh_str s, bool upper, eh_jv *out)
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
    return eh_jinja_change_case(c, at, self.s, true, out);
}

static int str_lower(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return eh_jinja_change_case(c, at, self.s, false, out);
}

int eh_jinja_capitals(eh_jinja *c, int64_t at, eh_str s, const char *name, eh_jinja_words where, eh_jv *out)
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
        start = where == EH_JINJA_AFTER_LETTERS ? !(small || large) : where == EH_JINJA_AFTER_MARKS && mark;
    }
    return eh_jinja_take(c, at, &b, rc, out);
}

static int str_title(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return eh_jinja_capitals(c, at, self.s, "title", EH_JINJA_AFTER_LETTERS, out);
}

static int str_capitalize(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return eh_jinja_capitals(c, at, self.s, "capitalize", EH_JINJA_FIRST_ONLY, out);
}

/* An empty `old` stands before each character and at the end. */
int eh_jinja_replace(eh_jinja *c, int64_t at, eh_str s, eh_str old, eh_str new, int64_t most, eh_jv *out)
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
    int rc = eh_jinja_want_str(c, at, arg[0], &old);
    if (rc == EH_OK)
        rc = eh_jinja_want_str(c, at, arg[1], &new);
    if (rc == EH_OK)
        rc = eh_jinja_want_int(c, at, arg[2], &most);
    return rc == EH_OK ? eh_jinja_replace(c, at, self.s, old, new, most, out) : rc;
}

static int str_find(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    eh_str what = {0};
    int64_t n_byte = self.s.n;
    const int rc = eh_jinja_want_str(c, at, arg[0], &what);
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
    const int rc = eh_jinja_want_str(c, at, arg[0], &what);
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

int eh_jinja_join(eh_jinja *c, int64_t at, eh_str mark, const eh_jv_seq *items, bool any, eh_jv *out)
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
    return rc == EH_OK ? eh_jinja_join(c, at, self.s, &items, false, out) : rc;
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

const eh_jinja_row *eh_jinja_string_method(eh_str name)
{
    return eh_jinja_find_row(str_methods, EH_JINJA_ROWS(str_methods), name);
}
