#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"

#include <pcre2.h>
#include <string.h>

#include "base/mem.h"

#define EXPRESSION_BYTES_MAX 8192
/* Steps for one match. The known expressions need a few per character of a run of blanks or of
 * capitals, so the limit grows with the text; a hostile one is stopped by it. */
#define STEPS_LEAST 100000
#define STEPS_PER_BYTE 8
#define HEAP_KIB_MAX (64 * 1024)

struct eh_pattern {
    pcre2_code *code;
};

struct eh_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static void *take(PCRE2_SIZE n, void *unused)
{
    (void)unused;
    return n > INT64_MAX ? NULL : eh_alloc((int64_t)n, 1);
}

static void give(void *p, void *unused)
{
    (void)unused;
    eh_free(p);
}

/* ---- Translation ------------------------------------------------------------------------ */

typedef struct reader {
    eh_str in;
    int64_t at;
    const char *where;
    eh_buf *out;
    eh_err *err;
} reader;

static int refuse(const reader *r, int64_t at, int64_t n, const char *why)
{
    if (n > r->in.n - at)
        n = r->in.n - at;
    return eh_fail(r->err, EH_ENOSUP, "%s: expression: at byte %lld: \"%.*s\": %s", r->where, (long long)at, (int)n,
                   r->in.p + at, why);
}

static bool looking_at(const reader *r, const char *s)
{
    return eh_str_starts((eh_str){r->in.p + r->at, r->in.n - r->at}, eh_str_of(s));
}

static char char_at(const reader *r, int64_t at)
{
    return at < r->in.n ? r->in.p[at] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_digit(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* \p{Name} and \P{Name}, copied; whether there is such a property PCRE2 will say. */
static int property(reader *r, int64_t start)
{
    const int64_t open = start + 2;
    int64_t close = open;
    if (char_at(r, open) == '{')
        while (close < r->in.n && r->in.p[close] != '}')
            close++;
    if (close < open + 2 || close == r->in.n)
        return refuse(r, start, 2, "a property without its name in braces");
    for (int64_t i = open + 1; i < close; i++)
        if (!is_letter(r->in.p[i]) && (r->in.p[i] != '_' || i == open + 1))
            return refuse(r, start, close + 1 - start, "a property whose name is not letters");
    eh_buf_bytes(r->out, r->in.p + start, close + 1 - start);
    r->at = close + 1;
    return EH_OK;
}

/* The number of a character: `least` to `most` hexadecimal digits at `from`, with `end` behind them ('\0': nothing). */
static int code_point(reader *r, int64_t start, int64_t from, int least, int most, char end)
{
    int n = 0;
    int32_t code = 0;
    for (; n < most && hex_digit(char_at(r, from + n)) >= 0; n++)
        code = code * 16 + hex_digit(char_at(r, from + n));
    if (n < least || code > 0x10FFFF || (end != '\0' && char_at(r, from + n) != end))
        return refuse(r, start, 2, "wanted \\uHHHH or \\x{H..}");
    eh_buf_printf(r->out, "\\x{%x}", (unsigned)code);
    r->at = from + n + (end != '\0');
    return EH_OK;
}

/* \uHHHH */
static int code_point_of_four(reader *r, int64_t start)
{
    return code_point(r, start, start + 2, 4, 4, '\0');
}

/* \x{H..} */
static int code_point_in_braces(reader *r, int64_t start)
{
    if (char_at(r, start + 2) != '{')
        return refuse(r, start, 2, "wanted \\uHHHH or \\x{H..}");
    return code_point(r, start, start + 3, 1, 6, '}');
}

#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}"

/* What may follow a backslash, besides the ASCII characters that are neither letter nor digit: those
 * stand for themselves. Each is told as PCRE2 gets it, or read by a function. */
static const struct escape {
    char key;
    const char *out;
    const char *in_class; /* NULL: refused there */
    int (*read)(reader *r, int64_t start);
} escapes[] = {
    {.key = 'r', .out = "\\r", .in_class = "\\r"},
    {.key = 'n', .out = "\\n", .in_class = "\\n"},
    {.key = 't', .out = "\\t", .in_class = "\\t"},
    {.key = 'f', .out = "\\f", .in_class = "\\f"},
    {.key = 'v', .out = "\\x{0b}", .in_class = "\\x{0b}"}, /* vertical tab to Oniguruma, a class to PCRE2 */
    {.key = 'd', .out = "\\d", .in_class = "\\d"},
    {.key = 'D', .out = "\\D", .in_class = "\\D"},
    {.key = 's', .out = "\\p{White_Space}", .in_class = "\\p{White_Space}"},
    {.key = 'S', .out = "\\P{White_Space}", .in_class = "\\P{White_Space}"},
    {.key = 'w', .out = "[" WORD "]", .in_class = WORD},
    {.key = 'W', .out = "[^" WORD "]"}, /* the opposite of several classes is not a list of classes */
    {.key = 'p', .read = property},
    {.key = 'P', .read = property},
    {.key = 'u', .read = code_point_of_four},
    {.key = 'x', .read = code_point_in_braces},
};

/* The escape whose backslash is at r->at. */
static int escape(reader *r, bool in_class)
{
    const int64_t start = r->at;
    if (start + 1 >= r->in.n)
        return refuse(r, start, 1, "a backslash with nothing behind it");
    const char key = r->in.p[start + 1];
    const struct escape *e = NULL;
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0] && e == NULL; i++)
        if (escapes[i].key == key)
            e = &escapes[i];
    if (e != NULL && e->read != NULL)
        return e->read(r, start);
    const char *out = e == NULL ? NULL : in_class ? e->in_class : e->out;
    if (out != NULL)
        eh_buf_str(r->out, eh_str_of(out));
    else if (e == NULL && (unsigned char)key < 0x80 && !is_letter(key) && !is_digit(key))
        eh_buf_bytes(r->out, r->in.p + start, 2);
    else
        return refuse(r, start, 2, "not an escape that is supported here");
    r->at += 2;
    return EH_OK;
}

/* A class, from its bracket to the matching one. */
static int class(reader *r)
{
    const int64_t start = r->at;
    int depth = 1; /* Oniguruma: a class within a class adds its characters */
    eh_buf_char(r->out, '[');
    r->at++;
    if (r->at < r->in.n && r->in.p[r->at] == '^') {
        eh_buf_char(r->out, '^');
        r->at++;
    }
    if (r->at < r->in.n && r->in.p[r->at] == ']')
        return refuse(r, start, r->at - start + 1, "an empty class");
    while (r->at < r->in.n) {
        const char c = r->in.p[r->at];
        if (c == '\\') {
            const int rc = escape(r, true);
            if (rc < 0)
                return rc;
        } else if (c == ']') {
            r->at++;
            if (--depth == 0) {
                eh_buf_char(r->out, ']');
                return EH_OK;
            }
        } else if (c == '[') {
            if (looking_at(r, "[^") || looking_at(r, "[:") || looking_at(r, "[]"))
                return refuse(r, r->at, 2, "not supported inside a class");
            depth++;
            r->at++;
        } else if (looking_at(r, "&&")) {
            return refuse(r, r->at, 2, "intersections of classes are not supported");
        } else {
            eh_buf_char(r->out, c);
            r->at++;
        }
    }
    return refuse(r, start, 20, "a class that is not closed");
}

/* {n}, {n,} or {n,m} at r->at: its length, and whether it has no upper limit. */
static int repeat_in_braces(const reader *r, int64_t *length, bool *unlimited)
{
    static const char *const no_repeat = "not a repeat; a brace that stands for itself is written \\{";
    const int64_t start = r->at;
    int64_t n = 1;
    int commas = 0, digits = 0;
    for (; start + n < r->in.n && r->in.p[start + n] != '}'; n++) {
        const char c = r->in.p[start + n];
        const bool fine = (is_digit(c) && ++digits <= 8) || (c == ',' && digits > 0 && commas++ == 0);
        if (!fine)
            return refuse(r, start, n + 1, no_repeat);
    }
    if (start + n == r->in.n || digits == 0)
        return refuse(r, start, n, no_repeat);
    *unlimited = r->in.p[start + n - 1] == ',';
    *length = n + 1;
    if (char_at(r, start + n + 1) == '+')
        return refuse(r, start, n + 2, "possessive to PCRE2 but not to Oniguruma");
    return EH_OK;
}

/* The repeat at r->at, if there is one: * + ? {n,m}, each with ? or (not behind braces) + behind it. */
static int repeat(reader *r, bool of_group)
{
    const int64_t start = r->at;
    const char c = char_at(r, start);
    bool unlimited = c == '*' || c == '+';
    int64_t n = 1;
    if (c == '{') {
        const int rc = repeat_in_braces(r, &n, &unlimited);
        if (rc < 0)
            return rc;
    } else if (c != '*' && c != '+' && c != '?') {
        return EH_OK;
    }
    if (unlimited && of_group)
        return refuse(r, start, n, "a group repeated without limit is not supported");
    if (char_at(r, start + n) == '?' || char_at(r, start + n) == '+')
        n++;
    eh_buf_bytes(r->out, r->in.p + start, n);
    r->at = start + n;
    if (r->at < r->in.n && strchr("*+?{", r->in.p[r->at]) != NULL)
        return refuse(r, start, n + 1, "a repeat of a repeat is not supported");
    return EH_OK;
}

/* The opening of a group. A plain one becomes one that captures nothing: nobody asks what it held. */
static int group(reader *r, int *depth)
{
    static const char *const opening[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    if (++*depth > 100)
        return refuse(r, r->at, 1, "groups nested more than 100 deep");
    for (size_t i = 0; i < sizeof opening / sizeof opening[0]; i++)
        if (looking_at(r, opening[i])) {
            eh_buf_str(r->out, eh_str_of(opening[i]));
            r->at += (int64_t)strlen(opening[i]);
            return EH_OK;
        }
    if (looking_at(r, "(?") || looking_at(r, "(*"))
        return refuse(r, r->at, 3, "not a group that is supported here");
    eh_buf_str(r->out, EH_STR("(?:"));
    r->at++;
    return EH_OK;
}

static int character(reader *r)
{
    const int len = eh_utf8_next(r->in, r->at, NULL);
    eh_buf_bytes(r->out, r->in.p + r->at, len);
    r->at += len;
    return EH_OK;
}

/* One construct at r->at, with the repeat behind it. */
static int construct(reader *r, int *depth)
{
    const char c = r->in.p[r->at];
    int rc;
    switch (c) {
    case '(': return group(r, depth); /* a repeat may not follow */
    case '|': return character(r);    /* nor here */
    case ')':
        --*depth;
        rc = character(r);
        break;
    case '\\': rc = escape(r, false); break;
    case '[': rc = class(r); break;
    case '^':
    case '$':
    case '\0': return refuse(r, r->at, 1, "not supported here");
    case '*':
    case '+':
    case '?':
    case '{': return refuse(r, r->at, 1, "a repeat of nothing");
    default: rc = character(r); break;
    }
    return rc == EH_OK ? repeat(r, c == ')') : rc;
}

int eh_pattern_translate(eh_str expression, const char *where, eh_buf *out, eh_err *err)
{
    reader r = {expression, 0, where, out, err};
    if (expression.n == 0 || expression.n > EXPRESSION_BYTES_MAX)
        return eh_fail(err, EH_ENOSUP, "%s: expression of %lld bytes; 1 to %d are supported", where,
                       (long long)expression.n, EXPRESSION_BYTES_MAX);
    for (int64_t at = 0; at < expression.n;) {
        const int len = eh_utf8_next(expression, at, NULL);
        if (len == 0)
            return eh_fail(err, EH_EFORMAT, "%s: expression: byte %lld is not UTF-8", where, (long long)at);
        at += len;
    }
    int depth = 0;
    while (r.at < r.in.n) {
        const int rc = construct(&r, &depth);
        if (rc < 0)
            return rc;
    }
    return eh_buf_check(out, "the expression", err);
}

/* ---- Matching --------------------------------------------------------------------------- */

int eh_pattern_open(eh_str expression, const char *where, eh_pattern **pattern, eh_err *err)
{
    eh_buf b = {0};
    pcre2_general_context *general = NULL;
    pcre2_compile_context *context = NULL;
    eh_pattern *p = NULL;
    int rc = eh_pattern_translate(expression, where, &b, err);
    if (rc < 0)
        goto done;
    p = eh_calloc(1, (int64_t)sizeof *p);
    general = pcre2_general_context_create(take, give, NULL);
    context = general == NULL ? NULL : pcre2_compile_context_create(general);
    if (p == NULL || context == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "%s: no memory for its expression", where);
        goto done;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code;
    PCRE2_SIZE at;
    p->code = pcre2_compile((PCRE2_SPTR)b.p, (PCRE2_SIZE)b.n, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code,
                            &at, context);
    if (p->code == NULL) {
        char text[200];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        rc = eh_fail(err, code == PCRE2_ERROR_HEAP_FAILED ? EH_ENOMEM : EH_ENOSUP,
                     "%s: expression: PCRE2 says \"%s\" at byte %lld of \"%s\"", where, text, (long long)at, b.p);
        goto done;
    }
    uint32_t empty = 0;
    pcre2_pattern_info(p->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty) {
        rc = eh_fail(err, EH_ENOSUP, "%s: expression \"%s\" may match nothing at all", where, b.p);
        goto done;
    }
    /* Without JIT (no memory for it, or not on this machine) matching is slower but the same. */
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
    *pattern = p;
    p = NULL;
done:
    eh_pattern_close(p);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    eh_buf_clear(&b);
    return rc;
}

void eh_pattern_close(eh_pattern *p)
{
    if (p == NULL)
        return;
    pcre2_code_free(p->code);
    eh_free(p);
}

int eh_matcher_open(eh_matcher **matcher, eh_err *err)
{
    eh_matcher *m = eh_calloc(1, (int64_t)sizeof *m);
    pcre2_general_context *general = pcre2_general_context_create(take, give, NULL);
    if (m != NULL && general != NULL) {
        m->data = pcre2_match_data_create(1, general);
        m->context = pcre2_match_context_create(general);
    }
    pcre2_general_context_free(general);
    if (m == NULL || m->data == NULL || m->context == NULL) {
        eh_matcher_close(m);
        return eh_fail(err, EH_ENOMEM, "no memory to match expressions");
    }
    pcre2_set_heap_limit(m->context, HEAP_KIB_MAX);
    *matcher = m;
    return EH_OK;
}

void eh_matcher_close(eh_matcher *m)
{
    if (m == NULL)
        return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    eh_free(m);
}

int eh_pattern_find(const eh_pattern *p, eh_matcher *m, eh_str text, int64_t from, int64_t *start, int64_t *end,
                    eh_err *err)
{
    const int64_t left = text.n - from;
    const int64_t steps = left > (INT32_MAX - STEPS_LEAST) / STEPS_PER_BYTE ? INT32_MAX
                                                                            : STEPS_LEAST + left * STEPS_PER_BYTE;
    pcre2_set_match_limit(m->context, (uint32_t)steps);
    int rc = pcre2_match(p->code, (PCRE2_SPTR)text.p, (PCRE2_SIZE)text.n, (PCRE2_SIZE)from, PCRE2_NO_UTF_CHECK, m->data,
                         m->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter's memory is on the heap, and limited there */
        rc = pcre2_match(p->code, (PCRE2_SPTR)text.p, (PCRE2_SIZE)text.n, (PCRE2_SIZE)from,
                         PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0) {
        char why[200];
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
        return eh_fail(err, rc == PCRE2_ERROR_NOMEMORY ? EH_ENOMEM : EH_ERANGE,
                       "splitting %lld bytes of text was given up at byte %lld: %s", (long long)text.n,
                       (long long)from, why);
    }
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(m->data);
    *start = (int64_t)found[0];
    *end = (int64_t)found[1];
    if (*start < from || *end <= *start) /* a look-behind could begin a match early; none may be empty */
        return eh_fail(err, EH_ERANGE, "splitting text: the expression matched bytes %lld to %lld, searched from %lld",
                       (long long)*start, (long long)*end, (long long)from);
    return 1;
}
