/* Values of a template: Python's, as far as templates meet them. */
#include "jinja/interpreter.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Errors and bounds ----------------------------------------------------------------------- */

int eh_jinja_fail(eh_jinja *c, int code, int64_t at, const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int64_t line = 1, column = 1;
    for (int64_t i = 0; i < at && i < c->src.n; i++) {
        const unsigned char byte = (unsigned char)c->src.p[i];
        if (byte == '\n') {
            line++;
            column = 1;
        } else if ((byte & 0xC0) != 0x80) {
            column++;
        }
    }
    return eh_fail(c->err, code, "%s, line %lld, column %lld: %s", c->what, (long long)line, (long long)column,
                   text);
}

int eh_jinja_step(eh_jinja *c, int64_t at, int64_t n_step, int64_t n_byte)
{
    c->n_step += n_step;
    c->n_byte += n_byte;
    if (c->n_step > EH_JINJA_STEPS_MAX)
        return eh_jinja_fail(c, EH_ERANGE, at, "the template takes more than %d steps", EH_JINJA_STEPS_MAX);
    if (c->n_byte > EH_JINJA_BYTES_MAX)
        return eh_jinja_fail(c, EH_ERANGE, at, "the template compares and copies more than %lld bytes",
                             (long long)EH_JINJA_BYTES_MAX);
    return EH_OK;
}

int eh_jinja_deeper(eh_jinja *c, int64_t at)
{
    if (c->depth >= EH_JINJA_DEPTH)
        return eh_jinja_fail(c, EH_ERANGE, at, "evaluation is nested more than %d deep", EH_JINJA_DEPTH);
    c->depth++;
    return EH_OK;
}

void *eh_jinja_new(eh_jinja *c, int64_t at, int64_t n, int64_t size)
{
    void *p = eh_arena_zeroed(&c->arena, n, size);
    if (p != NULL)
        return p;
    if (n > (EH_JINJA_ARENA_MAX - c->arena.used - 64) / size)
        eh_jinja_fail(c, EH_ERANGE, at, "the template needs more than %lld bytes of memory",
                      (long long)EH_JINJA_ARENA_MAX);
    else
        eh_jinja_fail(c, EH_ENOMEM, at, "no memory for %lld bytes", (long long)(n * size));
    return NULL;
}

int eh_jinja_text(eh_jinja *c, int64_t at, const char *p, int64_t n, eh_jv *out)
{
    int rc = eh_jinja_step(c, at, 1, n);
    if (rc < 0)
        return rc;
    char *copy = eh_jinja_new(c, at, n + 1, 1);
    if (copy == NULL)
        return c->err->code;
    if (n > 0)
        memcpy(copy, p, (size_t)n);
    *out = eh_jv_str((eh_str){copy, n});
    return EH_OK;
}

int eh_jinja_seq(eh_jinja *c, int64_t at, eh_jv_kind kind, int64_t n, eh_jv *out)
{
    int rc = eh_jinja_step(c, at, n, 0);
    if (rc < 0)
        return rc;
    eh_jv_seq *seq = eh_jinja_new(c, at, 1, (int64_t)sizeof *seq);
    if (seq == NULL)
        return c->err->code;
    seq->v = eh_jinja_new(c, at, n, (int64_t)sizeof *seq->v);
    if (seq->v == NULL)
        return c->err->code;
    seq->n = n;
    *out = (eh_jv){.kind = kind, .seq = seq};
    return EH_OK;
}

int eh_jinja_take(eh_jinja *c, int64_t at, eh_buf *b, int rc, eh_jv *out)
{
    if (rc == EH_OK && b->fault == EH_ENOMEM)
        rc = eh_jinja_fail(c, EH_ENOMEM, at, "no memory for a string beyond %lld bytes", (long long)b->n);
    else if (rc == EH_OK && b->fault != 0)
        rc = eh_jinja_fail(c, EH_ERANGE, at, "a string grows beyond %lld bytes", (long long)b->limit);
    if (rc == EH_OK) {
        const eh_str s = eh_buf_get(b);
        rc = eh_jinja_text(c, at, s.p, s.n, out);
    }
    eh_buf_clear(b);
    return rc;
}

/* ---- Characters ------------------------------------------------------------------------------ */

int eh_jinja_char(eh_str s, int64_t i, int32_t *code)
{
    const int len = eh_utf8_next(s, i, code);
    if (len > 0)
        return len;
    if (code != NULL)
        *code = -1;
    return 1;
}

int64_t eh_jinja_chars(eh_str s)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s.n; n++)
        i += eh_jinja_char(s, i, NULL);
    return n;
}

int64_t eh_jinja_find(eh_str s, eh_str what, int64_t from, int64_t *n_byte)
{
    for (int64_t i = from; what.n <= s.n - i; i++) {
        int64_t k = 0;
        while (k < what.n && s.p[i + k] == what.p[k])
            k++;
        *n_byte += k + 1;
        if (k == what.n)
            return i;
        if (*n_byte > EH_JINJA_BYTES_MAX)
            break; /* the caller's next step refuses; looking on would only take time */
    }
    return -1;
}

/* ---- What a value is ------------------------------------------------------------------------- */

const char *eh_jv_type(const eh_jv *v)
{
    static const char *const name[] = {
        [EH_JV_UNDEF] = "an undefined value", [EH_JV_NONE] = "none",          [EH_JV_BOOL] = "a boolean",
        [EH_JV_INT] = "an integer",           [EH_JV_FLOAT] = "a float",      [EH_JV_STR] = "a string",
        [EH_JV_LIST] = "a list",              [EH_JV_TUPLE] = "a tuple",      [EH_JV_RANGE] = "a range",
        [EH_JV_VIEW] = "a view of a mapping", [EH_JV_ITER] = "a generator",   [EH_JV_DICT] = "a mapping",
        [EH_JV_SPACE] = "a namespace",        [EH_JV_MACRO] = "a macro",      [EH_JV_FUNC] = "a function",
        [EH_JV_METHOD] = "a method",          [EH_JV_LOOP] = "a loop",
    };
    return name[v->kind];
}

bool eh_jv_true(const eh_jv *v)
{
    switch (v->kind) {
    case EH_JV_UNDEF:
    case EH_JV_NONE: return false;
    case EH_JV_BOOL: return v->b;
    case EH_JV_INT: return v->i != 0;
    case EH_JV_FLOAT: return v->f != 0.0;
    case EH_JV_STR: return v->s.n > 0;
    case EH_JV_LIST:
    case EH_JV_TUPLE:
    case EH_JV_RANGE:
    case EH_JV_VIEW: return v->seq->n > 0;
    case EH_JV_DICT: return v->dict->n > 0;
    default: return true;
    }
}

bool eh_jv_is_number(const eh_jv *v)
{
    return v->kind == EH_JV_BOOL || v->kind == EH_JV_INT || v->kind == EH_JV_FLOAT;
}

static double real(const eh_jv *v)
{
    return v->kind == EH_JV_FLOAT ? v->f : (double)eh_jv_whole(v);
}

/* ---- Equality, order, membership ------------------------------------------------------------- */

static int equal_inner(eh_jinja *c, int64_t at, const eh_jv *a, const eh_jv *b, bool *out)
{
    *out = false;
    if (eh_jv_is_whole(a) && eh_jv_is_whole(b)) {
        *out = eh_jv_whole(a) == eh_jv_whole(b);
        return EH_OK;
    }
    if (eh_jv_is_number(a) && eh_jv_is_number(b)) {
        *out = real(a) == real(b);
        return EH_OK;
    }
    if (a->kind != b->kind)
        return EH_OK;
    switch (a->kind) {
    case EH_JV_UNDEF:
    case EH_JV_NONE: *out = true; return EH_OK;
    case EH_JV_STR:
        *out = eh_str_eq(a->s, b->s);
        return eh_jinja_step(c, at, 0, a->s.n == b->s.n ? a->s.n : 0);
    case EH_JV_LIST:
    case EH_JV_TUPLE:
    case EH_JV_RANGE: {
        if (a->seq->n != b->seq->n)
            return EH_OK;
        bool same = true;
        for (int64_t i = 0; i < a->seq->n && same; i++) {
            const int rc = eh_jv_equal(c, at, &a->seq->v[i], &b->seq->v[i], &same);
            if (rc < 0)
                return rc;
        }
        *out = same;
        return EH_OK;
    }
    case EH_JV_DICT: {
        if (a->dict->n != b->dict->n)
            return EH_OK;
        bool same = true;
        for (int64_t i = 0; i < a->dict->n && same; i++) {
            int rc = EH_OK;
            const eh_jv *other = eh_jv_dict_get(c, at, b->dict, &a->dict->pair[i].key, &rc);
            same = false;
            if (rc == EH_OK && other != NULL)
                rc = eh_jv_equal(c, at, &a->dict->pair[i].value, other, &same);
            if (rc < 0)
                return rc;
        }
        *out = same;
        return EH_OK;
    }
    case EH_JV_SPACE: *out = a->dict == b->dict; return EH_OK;
    default:
        return eh_jinja_fail(c, EH_ENOSUP, at, "comparing %s with another is not supported", eh_jv_type(a));
    }
}

int eh_jv_equal(eh_jinja *c, int64_t at, const eh_jv *a, const eh_jv *b, bool *out)
{
    int rc = eh_jinja_step(c, at, 1, 0);
    if (rc == EH_OK)
        rc = eh_jinja_deeper(c, at);
    if (rc < 0)
        return rc;
    rc = equal_inner(c, at, a, b, out);
    c->depth--;
    return rc;
}

static int sign_of(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int order_inner(eh_jinja *c, int64_t at, const eh_jv *a, const eh_jv *b, int *out)
{
    if (eh_jv_is_whole(a) && eh_jv_is_whole(b)) {
        *out = sign_of(eh_jv_whole(a), eh_jv_whole(b));
        return EH_OK;
    }
    if (eh_jv_is_number(a) && eh_jv_is_number(b)) {
        const double x = real(a), y = real(b);
        *out = isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
        return EH_OK;
    }
    if (a->kind == EH_JV_STR && b->kind == EH_JV_STR) {
        /* UTF-8 sorts as its code points do */
        const int64_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
        const int by_bytes = n > 0 ? memcmp(a->s.p, b->s.p, (size_t)n) : 0;
        *out = by_bytes != 0 ? (by_bytes > 0) - (by_bytes < 0) : sign_of(a->s.n, b->s.n);
        return eh_jinja_step(c, at, 0, n);
    }
    if (a->kind == b->kind && (a->kind == EH_JV_LIST || a->kind == EH_JV_TUPLE)) {
        for (int64_t i = 0; i < a->seq->n && i < b->seq->n; i++) {
            bool same;
            const int rc = eh_jv_equal(c, at, &a->seq->v[i], &b->seq->v[i], &same);
            if (rc < 0)
                return rc;
            if (!same)
                return eh_jv_order(c, at, &a->seq->v[i], &b->seq->v[i], out);
        }
        *out = sign_of(a->seq->n, b->seq->n);
        return EH_OK;
    }
    if (a->kind == EH_JV_UNDEF || b->kind == EH_JV_UNDEF) {
        const eh_str name = a->kind == EH_JV_UNDEF ? a->s : b->s;
        return eh_jinja_fail(c, EH_EFORMAT, at, "'%.*s' is undefined", (int)name.n, name.p);
    }
    return eh_jinja_fail(c, EH_EFORMAT, at, "%s and %s have no order", eh_jv_type(a), eh_jv_type(b));
}

int eh_jv_order(eh_jinja *c, int64_t at, const eh_jv *a, const eh_jv *b, int *out)
{
    int rc = eh_jinja_step(c, at, 1, 0);
    if (rc == EH_OK)
        rc = eh_jinja_deeper(c, at);
    if (rc < 0)
        return rc;
    rc = order_inner(c, at, a, b, out);
    c->depth--;
    return rc;
}

int eh_jv_in(eh_jinja *c, int64_t at, const eh_jv *what, const eh_jv *where, bool *out)
{
    *out = false;
    if (where->kind == EH_JV_STR) {
        if (what->kind != EH_JV_STR)
            return eh_jinja_fail(c, EH_EFORMAT, at, "only a string can be in a string, not %s", eh_jv_type(what));
        int64_t n_byte = 0;
        *out = eh_jinja_find(where->s, what->s, 0, &n_byte) >= 0;
        return eh_jinja_step(c, at, 1, n_byte);
    }
    if (where->kind == EH_JV_DICT) {
        int rc = EH_OK;
        *out = eh_jv_dict_get(c, at, where->dict, what, &rc) != NULL;
        return rc;
    }
    eh_jv_seq items;
    if (where->kind == EH_JV_ITER) {
        /* looking into a generator uses it up to the place where the item was found */
        eh_jv_seq *seq = where->seq;
        while (seq->next < seq->n && !*out) {
            const int rc = eh_jv_equal(c, at, what, &seq->v[seq->next++], out);
            if (rc < 0)
                return rc;
        }
        return EH_OK;
    }
    int rc = eh_jv_items(c, at, where, &items);
    for (int64_t i = 0; rc == EH_OK && i < items.n && !*out; i++)
        rc = eh_jv_equal(c, at, what, &items.v[i], out);
    return rc;
}

/* ---- Mappings -------------------------------------------------------------------------------- */

static int check_key(eh_jinja *c, int64_t at, const eh_jv *key)
{
    if (key->kind == EH_JV_LIST || key->kind == EH_JV_DICT)
        return eh_jinja_fail(c, EH_EFORMAT, at, "%s cannot be a key of a mapping", eh_jv_type(key));
    return EH_OK;
}

/* Mappings of templates have a handful of keys, so they are lists of pairs; a hostile large one
 * spends its steps. */
eh_jv *eh_jv_dict_get(eh_jinja *c, int64_t at, const eh_jv_dict *d, const eh_jv *key, int *rc)
{
    *rc = check_key(c, at, key);
    for (int64_t i = 0; *rc == EH_OK && i < d->n; i++) {
        bool same;
        *rc = eh_jv_equal(c, at, &d->pair[i].key, key, &same);
        if (*rc == EH_OK && same)
            return &d->pair[i].value;
    }
    return NULL;
}

int eh_jv_dict_set(eh_jinja *c, int64_t at, eh_jv_dict *d, const eh_jv *key, const eh_jv *value)
{
    int rc;
    eh_jv *there = eh_jv_dict_get(c, at, d, key, &rc);
    if (rc < 0)
        return rc;
    if (there != NULL) {
        *there = *value;
        return EH_OK;
    }
    if (d->n == d->room) {
        const int64_t room = d->room < 4 ? 4 : 2 * d->room;
        eh_jv_pair *pair = eh_jinja_new(c, at, room, (int64_t)sizeof *pair);
        if (pair == NULL)
            return c->err->code;
        if (d->n > 0)
            memcpy(pair, d->pair, (size_t)d->n * sizeof *pair);
        d->pair = pair;
        d->room = room;
    }
    d->pair[d->n++] = (eh_jv_pair){*key, *value};
    return EH_OK;
}

/* ---- Walking and counting -------------------------------------------------------------------- */

static int string_items(eh_jinja *c, int64_t at, eh_str s, eh_jv_seq *out)
{
    eh_jv list;
    int rc = eh_jinja_seq(c, at, EH_JV_LIST, eh_jinja_chars(s), &list);
    if (rc < 0)
        return rc;
    int64_t n = 0;
    for (int64_t i = 0; i < s.n;) {
        const int len = eh_jinja_char(s, i, NULL);
        list.seq->v[n++] = eh_jv_str((eh_str){s.p + i, len});
        i += len;
    }
    *out = *list.seq;
    return EH_OK;
}

int eh_jv_items(eh_jinja *c, int64_t at, const eh_jv *v, eh_jv_seq *out)
{
    switch (v->kind) {
    case EH_JV_LIST:
    case EH_JV_TUPLE:
    case EH_JV_RANGE:
    case EH_JV_VIEW: *out = *v->seq; return EH_OK;
    case EH_JV_UNDEF: *out = (eh_jv_seq){0}; return EH_OK;
    case EH_JV_STR: return string_items(c, at, v->s, out);
    case EH_JV_ITER:
        *out = (eh_jv_seq){.v = v->seq->v + v->seq->next, .n = v->seq->n - v->seq->next};
        v->seq->next = v->seq->n;
        return EH_OK;
    case EH_JV_DICT: {
        eh_jv list;
        const int rc = eh_jinja_seq(c, at, EH_JV_LIST, v->dict->n, &list);
        if (rc < 0)
            return rc;
        for (int64_t i = 0; i < v->dict->n; i++)
            list.seq->v[i] = v->dict->pair[i].key;
        *out = *list.seq;
        return EH_OK;
    }
    case EH_JV_LOOP: return eh_jinja_fail(c, EH_ENOSUP, at, "walking over a loop variable is not supported");
    default: return eh_jinja_fail(c, EH_EFORMAT, at, "%s cannot be walked over", eh_jv_type(v));
    }
}
