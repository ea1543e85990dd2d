/* Values written out: as Python's str() and repr() write them, and as its json.dumps does. */
#include "jinja/interpreter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

/* ---- Text of a value ------------------------------------------------------------------------- */

/* Python's repr of a float: the fewest digits that read back, as 0.1, 1e-05, 1e+16. */
static void put_float(eh_buf *b, double x)
{
    if (!isfinite(x)) {
        eh_buf_str(b, isnan(x) ? EH_STR("nan") : x > 0 ? EH_STR("inf") : EH_STR("-inf"));
        return;
    }
    char text[40];
    int digits = 1;
    for (; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, x);
        if (strtod(text, NULL) == x)
            break;
    }
    const int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        const int after_point = digits - 1 - exponent;
        eh_buf_printf(b, "%.*f", after_point > 1 ? after_point : 1, x);
        return;
    }
    *strchr(text, 'e') = '\0';
    eh_buf_printf(b, "%se%c%02d", text, exponent < 0 ? '-' : '+', abs(exponent));
}

/* str.isprintable() for one character */
static bool printable(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return code == ' ';
    default: return true;
    }
}

static void put_quoted(eh_buf *b, eh_str s)
{
    const bool has_single = s.n > 0 && memchr(s.p, '\'', (size_t)s.n) != NULL;
    const bool has_double = s.n > 0 && memchr(s.p, '"', (size_t)s.n) != NULL;
    const char quote = has_single && !has_double ? '"' : '\'';
    eh_buf_char(b, quote);
    for (int64_t i = 0; i < s.n;) {
        int32_t code;
        const int len = eh_jinja_char(s, i, &code);
        if (code == quote || code == '\\')
            eh_buf_printf(b, "\\%c", (char)code);
        else if (code == '\n' || code == '\r' || code == '\t')
            eh_buf_printf(b, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
        else if (code < 0 || printable(code))
            eh_buf_bytes(b, s.p + i, len);
        else
            eh_buf_printf(b, code > 0xFFFF ? "\\U%08x" : code > 0xFF ? "\\u%04x" : "\\x%02x", (unsigned)code);
        i += len;
    }
    eh_buf_char(b, quote);
}

static int put_repr(eh_jinja *c, int64_t at, const eh_jv *v, eh_buf *b);

static int put_list(eh_jinja *c, int64_t at, const eh_jv *v, eh_buf *b)
{
    const bool tuple = v->kind == EH_JV_TUPLE;
    eh_buf_char(b, tuple ? '(' : '[');
    for (int64_t i = 0; i < v->seq->n; i++) {
        if (i > 0)
            eh_buf_str(b, EH_STR(", "));
        const int rc = put_repr(c, at, &v->seq->v[i], b);
        if (rc < 0)
            return rc;
    }
    if (tuple && v->seq->n == 1)
        eh_buf_char(b, ',');
    eh_buf_char(b, tuple ? ')' : ']');
    return EH_OK;
}

static int put_dict(eh_jinja *c, int64_t at, const eh_jv *v, eh_buf *b)
{
    eh_buf_char(b, '{');
    for (int64_t i = 0; i < v->dict->n; i++) {
        if (i > 0)
            eh_buf_str(b, EH_STR(", "));
        int rc = put_repr(c, at, &v->dict->pair[i].key, b);
        eh_buf_str(b, EH_STR(": "));
        if (rc == EH_OK)
            rc = put_repr(c, at, &v->dict->pair[i].value, b);
        if (rc < 0)
            return rc;
    }
    eh_buf_char(b, '}');
    return EH_OK;
}

static int put_plain(eh_jinja *c, int64_t at, const eh_jv *v, bool quoted, eh_buf *b)
{
    switch (v->kind) {
    case EH_JV_UNDEF: eh_buf_str(b, quoted ? EH_STR("Undefined") : EH_STR("")); return EH_OK;
    case EH_JV_NONE: eh_buf_str(b, EH_STR("None")); return EH_OK;
    case EH_JV_BOOL: eh_buf_str(b, v->b ? EH_STR("True") : EH_STR("False")); return EH_OK;
    case EH_JV_INT: eh_buf_printf(b, "%" PRId64, v->i); return EH_OK;
    case EH_JV_FLOAT: put_float(b, v->f); return EH_OK;
    case EH_JV_STR:
        if (quoted && v->safe)
            return eh_jinja_fail(c, EH_ENOSUP, at, "a string marked safe inside a printed list is not supported");
        if (quoted)
            put_quoted(b, v->s);
        else
            eh_buf_str(b, v->s);
        return eh_jinja_step(c, at, 0, v->s.n);
    case EH_JV_LIST:
    case EH_JV_TUPLE: return put_list(c, at, v, b);
    case EH_JV_DICT: return put_dict(c, at, v, b);
    default: return eh_jinja_fail(c, EH_ENOSUP, at, "printing %s is not supported", eh_jv_type(v));
    }
}

/* Stops early where the buffer has failed already: the caller asks it, and time is not wasted. */
static int put_counted(eh_jinja *c, int64_t at, const eh_jv *v, bool quoted, eh_buf *b)
{
    int rc = eh_jinja_step(c, at, 1, 0);
    if (rc == EH_OK && b->fault == 0)
        rc = eh_jinja_deeper(c, at);
    if (rc < 0 || b->fault != 0)
        return rc;
    rc = put_plain(c, at, v, quoted, b);
    c->depth--;
    return rc;
}

static int put_repr(eh_jinja *c, int64_t at, const eh_jv *v, eh_buf *b)
{
    return put_counted(c, at, v, true, b);
}

int eh_jv_put(eh_jinja *c, int64_t at, const eh_jv *v, eh_buf *b)
{
    return put_counted(c, at, v, false, b);
}

int eh_jv_to_str(eh_jinja *c, int64_t at, const eh_jv *v, eh_str *out)
{
    if (v->kind == EH_JV_STR) {
        *out = v->s;
        return EH_OK;
    }
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    eh_jv text;
    int rc = eh_jv_put(c, at, v, &b);
    rc = eh_jinja_take(c, at, &b, rc, &text);
    if (rc == EH_OK)
        *out = text.s;
    return rc;
}

/* ---- JSON as Python's json.dumps writes it --------------------------------------------------- */

static void json_string(eh_buf *b, eh_str s, bool ascii)
{
    eh_buf_char(b, '"');
    for (int64_t i = 0; i < s.n;) {
        int32_t code;
        const int len = eh_jinja_char(s, i, &code);
        static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
        const char *special = code > 0 && code < 0x80 ? strchr(from, (int)code) : NULL;
        if (special != NULL)
            eh_buf_printf(b, "\\%c", to[special - from]);
        else if (code >= 0 && code < 0x20)
            eh_buf_printf(b, "\\u%04x", (unsigned)code);
        else if (ascii && code > 0xFFFF)
            eh_buf_printf(b, "\\u%04x\\u%04x", 0xD800 + (unsigned)((code - 0x10000) >> 10),
                          0xDC00 + (unsigned)((code - 0x10000) & 0x3FF));
        else if (ascii && code >= 0x7F)
            eh_buf_printf(b, "\\u%04x", (unsigned)code);
        else
            eh_buf_bytes(b, s.p + i, len);
        i += len;
    }
    eh_buf_char(b, '"');
}

typedef struct json_style {
    bool ascii, sorted;
    const eh_str *indent; /* NULL: all on one line */
    eh_str comma, colon;
    int level;
} json_style;

static int json_value(eh_jinja *c, int64_t at, const eh_jv *v, const json_style *style, eh_buf *b);

static void json_break(const json_style *style, int level, eh_buf *b)
{
    if (style->indent == NULL)
        return;
    eh_buf_char(b, '\n');
    for (int k = 0; k < level; k++)
        eh_buf_str(b, *style->indent);
}

static int json_key(eh_jinja *c, int64_t at, const eh_jv *key, const json_style *style, eh_buf *b)
{
    switch (key->kind) {
    case EH_JV_STR: json_string(b, key->s, style->ascii); return eh_jinja_step(c, at, 1, key->s.n);
    case EH_JV_NONE:
    case EH_JV_BOOL:
    case EH_JV_INT:
    case EH_JV_FLOAT: {
        eh_buf_char(b, '"');
        const int rc = json_value(c, at, key, style, b);
        eh_buf_char(b, '"');
        return rc;
    }
    default: return eh_jinja_fail(c, EH_EFORMAT, at, "%s cannot be a key in JSON", eh_jv_type(key));
    }
}

static int json_list(eh_jinja *c, int64_t at, const eh_jv *v, const json_style *style, eh_buf *b)
{
    json_style inner = *style;
    inner.level++;
    eh_buf_char(b, '[');
    for (int64_t i = 0; i < v->seq->n; i++) {
        if (i > 0)
            eh_buf_str(b, style->comma);
        json_break(style, inner.level, b);
        const int rc = json_value(c, at, &v->seq->v[i], &inner, b);
        if (rc < 0)
            return rc;
    }
    if (v->seq->n > 0)
        json_break(style, style->level, b);
    eh_buf_char(b, ']');
    return EH_OK;
}

static int json_dict(eh_jinja *c, int64_t at, const eh_jv *v, const json_style *style, eh_buf *b)
{
    if (style->sorted && v->dict->n > 1)
        return eh_jinja_fail(c, EH_ENOSUP, at, "tojson with sort_keys is not supported");
    json_style inner = *style;
    inner.level++;
    eh_buf_char(b, '{');
    for (int64_t i = 0; i < v->dict->n; i++) {
        if (i > 0)
            eh_buf_str(b, style->comma);
        json_break(style, inner.level, b);
        int rc = json_key(c, at, &v->dict->pair[i].key, style, b);
        eh_buf_str(b, style->colon);
        if (rc == EH_OK)
            rc = json_value(c, at, &v->dict->pair[i].value, &inner, b);
        if (rc < 0)
            return rc;
    }
    if (v->dict->n > 0)
        json_break(style, style->level, b);
    eh_buf_char(b, '}');
    return EH_OK;
}

static int json_inner(eh_jinja *c, int64_t at, const eh_jv *v, const json_style *style, eh_buf *b)
{
    switch (v->kind) {
    case EH_JV_NONE: eh_buf_str(b, EH_STR("null")); return EH_OK;
    case EH_JV_BOOL: eh_buf_str(b, v->b ? EH_STR("true") : EH_STR("false")); return EH_OK;
    case EH_JV_INT: eh_buf_printf(b, "%" PRId64, v->i); return EH_OK;
    case EH_JV_FLOAT:
        if (isfinite(v->f))
            put_float(b, v->f);
        else
            eh_buf_str(b, isnan(v->f) ? EH_STR("NaN") : v->f > 0 ? EH_STR("Infinity") : EH_STR("-Infinity"));
        return EH_OK;
    case EH_JV_STR: json_string(b, v->s, style->ascii); return eh_jinja_step(c, at, 0, v->s.n);
    case EH_JV_LIST:
    case EH_JV_TUPLE: return json_list(c, at, v, style, b);
    case EH_JV_DICT: return json_dict(c, at, v, style, b);
    default: return eh_jinja_fail(c, EH_EFORMAT, at, "%s cannot be written as JSON", eh_jv_type(v));
    }
}

static int json_value(eh_jinja *c, int64_t at, const eh_jv *v, const json_style *style, eh_buf *b)
{
    int rc = eh_jinja_step(c, at, 1 + style->level, 0);
    if (rc == EH_OK && b->fault == 0)
        rc = eh_jinja_deeper(c, at);
    if (rc < 0 || b->fault != 0)
        return rc;
    rc = json_inner(c, at, v, style, b);
    c->depth--;
    return rc;
}

int eh_jv_json(eh_jinja *c, int64_t at, const eh_jv *v, bool ascii, const eh_str *indent, eh_str comma, eh_str colon,
               bool sorted, eh_buf *b)
{
    const json_style style = {.ascii = ascii, .sorted = sorted, .indent = indent, .comma = comma, .colon = colon};
    return json_value(c, at, v, &style, b);
}
