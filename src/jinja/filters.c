/* The filters. */
#include "jinja/builtin.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    return rc == EH_OK ? eh_jinja_strip(c, at, v.s, arg[0], 3, out) : rc;
}

static int f_upper(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? eh_jinja_change_case(c, at, v.s, true, out) : rc;
}

static int f_lower(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? eh_jinja_change_case(c, at, v.s, false, out) : rc;
}

static int f_capitalize(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? eh_jinja_capitals(c, at, v.s, "capitalize", EH_JINJA_FIRST_ONLY, out) : rc;
}

static int f_title(eh_jinja *c, int64_t at, eh_jv v, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    const int rc = as_str(c, at, &v);
    return rc == EH_OK ? eh_jinja_capitals(c, at, v.s, "title", EH_JINJA_AFTER_MARKS, out) : rc;
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
    if (rc == EH_OK && eh_jinja_given(arg[2]))
        rc = eh_jinja_want_int(c, at, arg[2], &most);
    return rc == EH_OK ? eh_jinja_replace(c, at, v.s, old, new, most, out) : rc;
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
    if (eh_jinja_given(arg[1])) {
        eh_jv found;
        if ((rc = eh_jinja_seq(c, at, EH_JV_LIST, items.n, &found)) < 0)
            return rc;
        for (int64_t k = 0; k < items.n; k++)
            if ((rc = by_path(c, at, items.v[k], arg[1], &found.seq->v[k])) < 0)
                return rc;
        items = *found.seq;
    }
    return eh_jinja_join(c, at, mark, &items, true, out);
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
    return v.kind == EH_JV_STR ? eh_jinja_join(c, at, EH_STR(""), made.seq, false, out) : EH_OK;
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
    const int rc = eh_jinja_want_int(c, at, &v, &i);
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
    return eh_jinja_view(c, at, v.dict, EH_JV_ITER, true, true, out);
}

/* How far json.dumps indents: a number of blanks, or a string. */
static int json_indent(eh_jinja *c, int64_t at, const eh_jv *v, eh_str *out)
{
    if (v->kind == EH_JV_STR) {
        *out = v->s;
        return EH_OK;
    }
    int64_t n = 0;
    int rc = eh_jinja_want_int(c, at, v, &n);
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
    const bool lines = eh_jinja_given(arg[1]);
    int rc = EH_OK;
    if (lines) {
        comma = EH_STR(",");
        rc = json_indent(c, at, arg[1], &indent);
    }
    if (rc == EH_OK && eh_jinja_given(arg[2])) {
        const eh_jv *s = arg[2];
        if ((s->kind != EH_JV_LIST && s->kind != EH_JV_TUPLE) || s->seq->n != 2)
            return eh_jinja_fail(c, EH_EFORMAT, at, "separators of JSON are two strings");
        rc = eh_jinja_want_str(c, at, &s->seq->v[0], &comma);
        if (rc == EH_OK)
            rc = eh_jinja_want_str(c, at, &s->seq->v[1], &colon);
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
    return eh_jinja_want_str(c, at, &args->v[n_before], name);
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
    const eh_jinja_row *row = eh_jinja_find_row(filters, EH_JINJA_ROWS(filters), name);
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
