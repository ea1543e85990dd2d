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

/* After the backslash at r->at. */
static int escape(reader *r, bool in_class)
{
    const int64_t start = r->at;
    if (start + 1 >= r->in.n)
        return refuse(r, start, 1, "a backslash with nothing behind it");
    const char c = r->in.p[start + 1];
    r->at += 2;
    if (strchr("rntfdDv", c) != NULL && c != '\0') {
        /* \v is vertical tab to Oniguruma, a class to PCRE2 */
        eh_buf_str(r->out, c == 'v' ? EH_STR("\\x{0b}") : (eh_str){r->in.p + start, 2});
    } else if (c == 's' || c == 'S') {
        eh_buf_str(r->out, c == 's' ? EH_STR("\\p{White_Space}") : EH_STR("\\P{White_Space}"));
    } else if (c == 'w') {
        eh_buf_str(r->out, in_class ? EH_STR("\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}")
                                    : EH_STR("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]"));
    } else if (c == 'W' && !in_class) {
        eh_buf_str(r->out, EH_STR("[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]"));
    } else if (c == 'p' || c == 'P') {
        int64_t n = 0;
        if (r->at < r->in.n && r->in.p[r->at] == '{')
            while (r->at + n < r->in.n && r->in.p[r->at + n] != '}')
                n++;
        if (n < 2 || r->at + n >= r->in.n)
            return refuse(r, start, 2, "a property without its name in braces");
        for (int64_t i = 1; i < n; i++) {
            const char k = r->in.p[r->at + i];
            if (!((k >= 'a' && k <= 'z') || (k >= 'A' && k <= 'Z') || (i > 1 && k == '_')))
                return refuse(r, start, n + 3, "a property whose name is not letters");
        }
        eh_buf_bytes(r->out, r->in.p + start, n + 3);
        r->at += n + 1;
    } else if (c == 'u' || c == 'x') {
        /* \uHHHH and \x{H..} */
        const bool braces = c == 'x' && r->at < r->in.n && r->in.p[r->at] == '{';
        int64_t at = r->at + braces, n = 0;
        int32_t code = 0;
        for (; at + n < r->in.n && n < 6; n++) {
            const char k = r->in.p[at + n];
            const int digit = k >= '0' && k <= '9' ? k - '0' : k >= 'a' && k <= 'f' ? k - 'a' + 10
                            : k >= 'A' && k <= 'F' ? k - 'A' + 10 : -1;
            if (digit < 0 || (!braces && n == 4))
                break;
            code = code * 16 + digit;
        }
        if ((braces ? n == 0 || at + n >= r->in.n || r->in.p[at + n] != '}' : c != 'u' || n != 4) || code > 0x10FFFF)
            return refuse(r, start, 2, "wanted \\uHHHH or \\x{H..}");
        eh_buf_printf(r->out, "\\x{%x}", (unsigned)code);
        r->at = at + n + braces;
    } else if ((unsigned char)c < 0x80 &&
               !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) {
        eh_buf_bytes(r->out, r->in.p + start, 2); /* the character itself */
    } else {
        return refuse(r, start, 2, "not an escape that is supported here");
    }
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

/* The repeat at r->at, if there is one: * + ? {n,m}, each with ? or (not behind braces) + behind it. */
static int repeat(reader *r, bool of_group)
{
    if (r->at >= r->in.n)
        return EH_OK;
    const int64_t start = r->at;
    const char c = r->in.p[start];
    bool unlimited = c == '*' || c == '+';
    int64_t n = 1;
    if (c == '{') {
        int commas = 0, digits = 0;
        for (; start + n < r->in.n && r->in.p[start + n] != '}'; n++) {
            const char k = r->in.p[start + n];
            if (k >= '0' && k <= '9' && ++digits <= 8)
                continue;
            if (k == ',' && digits > 0 && commas++ == 0)
                continue;
            return refuse(r, start, n + 1, "not a repeat; a brace that stands for itself is written \\{");
        }
        if (start + n == r->in.n || digits == 0)
            return refuse(r, start, n, "not a repeat; a brace that stands for itself is written \\{");
        unlimited = r->in.p[start + n - 1] == ',';
        n++;
        if (start + n < r->in.n && r->in.p[start + n] == '+')
            return refuse(r, start, n + 1, "possessive to PCRE2 but not to Oniguruma");
    } else if (c != '*' && c != '+' && c != '?') {
        return EH_OK;
    }
    if (unlimited && of_group)
        return refuse(r, start, n, "a group repeated without limit is not supported");
    if (start + n < r->in.n && (r->in.p[start + n] == '?' || r->in.p[start + n] == '+'))
        n++;
    eh_buf_bytes(r->out, r->in.p + start, n);
    r->at = start + n;
    if (r->at < r->in.n && strchr("*+?{", r->in.p[r->at]) != NULL)
        return refuse(r, start, n + 1, "a repeat of a repeat is not supported");
    return EH_OK;
}

int eh_pattern_translate(eh_str expression, const char *where, eh_buf *out, eh_err *err)
{
    static const char *const opening[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
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
        const char c = r.in.p[r.at];
        bool group_ends = false;
        int rc = EH_OK;
        if (c == '\\') {
            rc = escape(&r, false);
        } else if (c == '[') {
            rc = class(&r);
        } else if (c == '(') {
            if (++depth > 100)
                return refuse(&r, r.at, 1, "groups nested more than 100 deep");
            size_t i = 0;
            while (i < sizeof opening / sizeof opening[0] && !looking_at(&r, opening[i]))
                i++;
            if (i < sizeof opening / sizeof opening[0]) {
                eh_buf_str(out, eh_str_of(opening[i]));
                r.at += (int64_t)strlen(opening[i]);
            } else if (looking_at(&r, "(?") || looking_at(&r, "(*")) {
                return refuse(&r, r.at, 3, "not a group that is supported here");
            } else {
                eh_buf_str(out, EH_STR("(?:")); /* nobody asks what a group held */
                r.at++;
            }
            continue; /* a repeat may not follow */
        } else if (c == ')') {
            depth--;
            eh_buf_char(out, ')');
            r.at++;
            group_ends = true;
        } else if (c == '|') {
            eh_buf_char(out, '|');
            r.at++;
            continue;
        } else if (c == '^' || c == '$' || c == '\0') {
            rc = refuse(&r, r.at, 1, "not supported here");
        } else if (strchr("*+?{", c) != NULL) {
            rc = refuse(&r, r.at, 1, "a repeat of nothing");
        } else {
            const int len = eh_utf8_next(r.in, r.at, NULL);
            eh_buf_bytes(out, r.in.p + r.at, len);
            r.at += len;
        }
        if (rc == EH_OK)
            rc = repeat(&r, group_ends);
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
