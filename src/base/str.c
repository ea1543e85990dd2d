#include "base/str.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"

eh_str eh_str_of(const char *s)
{
    return s == NULL ? (eh_str){"", 0} : (eh_str){s, (int64_t)strlen(s)};
}

bool eh_str_eq(eh_str a, eh_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, (size_t)a.n) == 0);
}

bool eh_str_starts(eh_str s, eh_str start)
{
    return s.n >= start.n && eh_str_eq((eh_str){s.p, start.n}, start);
}

bool eh_str_ends(eh_str s, eh_str end)
{
    return s.n >= end.n && eh_str_eq((eh_str){s.p + (s.n - end.n), end.n}, end);
}

/* Makes room for n more bytes and the NUL. */
static bool grow(eh_buf *b, int64_t n)
{
    if (b->fault != 0)
        return false;
    const int64_t limit = b->limit > 0 ? b->limit : EH_BUF_LIMIT;
    if (n > limit - b->n) {
        b->fault = EH_ERANGE;
        return false;
    }
    if (b->n + n + 1 > b->room) {
        int64_t room = b->room < 64 ? 64 : b->room * 2;
        if (room < b->n + n + 1)
            room = b->n + n + 1;
        char *p = eh_realloc(b->p, room, 1);
        if (p == NULL) {
            b->fault = EH_ENOMEM;
            return false;
        }
        b->p = p;
        b->room = room;
    }
    return true;
}

void eh_buf_bytes(eh_buf *b, const void *p, int64_t n)
{
    if (!grow(b, n))
        return;
    if (n > 0)
        memcpy(b->p + b->n, p, (size_t)n);
    b->n += n;
    b->p[b->n] = '\0';
}

void eh_buf_str(eh_buf *b, eh_str s)
{
    eh_buf_bytes(b, s.p, s.n);
}

void eh_buf_char(eh_buf *b, char c)
{
    eh_buf_bytes(b, &c, 1);
}

static void put_formatted(eh_buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    if (n < 0) {
        if (b->fault == 0)
            b->fault = EH_ERANGE; /* longer than an int can say */
    } else if (grow(b, n)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, format, again);
        b->n += n;
    }
    va_end(again);
}

void eh_buf_printf(eh_buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_formatted(b, format, args);
    va_end(args);
}

int eh_buf_note(eh_buf *b, eh_err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_formatted(b, format, args);
    va_end(args);
    eh_buf_char(b, '\n');
    return eh_buf_check(b, "the notes", err);
}

/* Appends what printf made of a finite number. A program may have set a locale whose decimal point
 * is a comma or several bytes; in the buffer it is a point. */
static void put_number(eh_buf *b, const char *text)
{
    const size_t before = strspn(text, "+-0123456789e");
    const size_t point = strcspn(text + before, "+-0123456789e");
    eh_buf_bytes(b, text, (int64_t)before);
    if (point > 0)
        eh_buf_char(b, '.');
    eh_buf_str(b, eh_str_of(text + before + point));
}

void eh_buf_double(eh_buf *b, double x)
{
    if (!isfinite(x)) {
        eh_buf_str(b, EH_STR("null"));
        return;
    }
    char text[40];
    /* A normal double that has a name of at most DBL_DIG digits shows it at DBL_DIG: %g drops zeros. */
    for (int digits = fabs(x) < DBL_MIN ? 1 : DBL_DIG; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    put_number(b, text);
}

void eh_buf_float(eh_buf *b, float x)
{
    if (!isfinite(x)) {
        eh_buf_str(b, EH_STR("null"));
        return;
    }
    char text[40];
    for (int digits = fabsf(x) < FLT_MIN ? 1 : FLT_DIG; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x)
            break;
    }
    put_number(b, text);
}

void eh_buf_json(eh_buf *b, eh_str s)
{
    eh_buf_char(b, '"');
    for (int64_t i = 0; i < s.n;) {
        const unsigned char c = (unsigned char)s.p[i];
        const int len = eh_utf8_next(s, i, NULL);
        if (len == 0) {
            eh_buf_str(b, EH_STR("\xEF\xBF\xBD"));
            i++;
            continue;
        }
        if (c == '"' || c == '\\') {
            eh_buf_char(b, '\\');
            eh_buf_char(b, (char)c);
        } else if (c == '\n') {
            eh_buf_str(b, EH_STR("\\n"));
        } else if (c == '\t') {
            eh_buf_str(b, EH_STR("\\t"));
        } else if (c < 0x20 || c == 0x7f) {
            eh_buf_printf(b, "\\u%04x", c);
        } else {
            eh_buf_bytes(b, s.p + i, len);
        }
        i += len;
    }
    eh_buf_char(b, '"');
}

int eh_buf_check(const eh_buf *b, const char *what, eh_err *err)
{
    if (b->fault == EH_ENOMEM)
        return eh_fail(err, EH_ENOMEM, "no memory for %s beyond %lld bytes", what, (long long)b->n);
    if (b->fault != 0)
        return eh_fail(err, b->fault, "%s is larger than the %lld bytes allowed for it", what,
                       (long long)(b->limit > 0 ? b->limit : EH_BUF_LIMIT));
    return EH_OK;
}

void eh_buf_reset(eh_buf *b)
{
    b->n = 0;
    b->fault = 0;
    if (b->p != NULL)
        b->p[0] = '\0';
}

void eh_buf_clear(eh_buf *b)
{
    eh_free(b->p);
    *b = (eh_buf){.limit = b->limit};
}

eh_str eh_buf_get(const eh_buf *b)
{
    return (eh_str){b->p == NULL ? "" : b->p, b->n};
}

int eh_utf8_next(eh_str s, int64_t at, int32_t *code)
{
    if (at < 0 || at >= s.n)
        return 0;
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s.p + at;
    utf8proc_int32_t c = p[0];
    int len = 1;
    if (c >= 0x80) /* texts are mostly ASCII, for which no call is needed */
        len = (int)utf8proc_iterate(p, s.n - at, &c);
    if (len <= 0)
        return 0;
    if (code != NULL)
        *code = c;
    return len;
}

bool eh_is_space(int32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

int eh_utf8_put(int32_t code, char out[4])
{
    return (int)utf8proc_encode_char(code, (utf8proc_uint8_t *)out);
}
