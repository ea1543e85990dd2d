/*
 * A template's text to tokens: Jinja's lexer with trim_blocks and lstrip_blocks on.
 * Source: the Jinja 3.1 template designer documentation.
 */
#include "jinja/lex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef eh_jinja_parser parser;
typedef eh_jinja_token token;

/* ---- Characters of tags ---------------------------------------------------------------------- */

static char byte_at(const parser *p, int64_t i)
{
    return i >= 0 && i < p->s.n ? p->s.p[i] : '\0';
}

static bool text_at(const parser *p, int64_t i, eh_str what)
{
    return i <= p->s.n && eh_str_starts((eh_str){p->s.p + i, p->s.n - i}, what);
}

static int64_t skip_space(const parser *p, int64_t i)
{
    int32_t code;
    while (i < p->s.n) {
        const int len = eh_jinja_char(p->s, i, &code);
        if (!eh_is_space(code))
            break;
        i += len;
    }
    return i;
}

/* End of [from, to) without the space at its end. */
static int64_t strip_end(const parser *p, int64_t from, int64_t to)
{
    int64_t end = from;
    for (int64_t i = from; i < to;) {
        int32_t code;
        i += eh_jinja_char(p->s, i, &code);
        if (!eh_is_space(code))
            end = i;
    }
    return end;
}

/* Where the text after a tag starts when the tag's end mark (%} or #}, with its sign) is at i;
 * -1: it is not. A minus takes all space after it, no sign one line end, a plus nothing. */
static int64_t tag_end(const parser *p, int64_t i, eh_str mark)
{
    if (byte_at(p, i) == '-' && text_at(p, i + 1, mark))
        return skip_space(p, i + 1 + mark.n);
    if (byte_at(p, i) == '+' && text_at(p, i + 1, mark))
        return i + 1 + mark.n;
    if (!text_at(p, i, mark))
        return -1;
    return i + mark.n + (byte_at(p, i + mark.n) == '\n');
}

static bool is_digit(char b)
{
    return b >= '0' && b <= '9';
}

static bool is_letter(char b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '_';
}

/* ---- Text between tags ----------------------------------------------------------------------- */

/* The end of the text [from, to) before a tag with this sign. */
static int64_t text_end(const parser *p, int64_t from, int64_t to, char sign, bool is_print)
{
    if (sign == '-')
        return strip_end(p, from, to);
    if (sign == '+' || is_print)
        return to;
    int64_t line = to;
    while (line > from && p->s.p[line - 1] != '\n')
        line--;
    const bool starts_line = line > from || p->line_start;
    return starts_line && strip_end(p, line, to) == line ? line : to;
}

/* {% raw %} at the tag that starts at i: where its text starts, or -1. */
static int64_t raw_start(const parser *p, int64_t i)
{
    const char sign = byte_at(p, i + 2);
    i = skip_space(p, i + 2 + (sign == '-' || sign == '+'));
    if (!text_at(p, i, EH_STR("raw")))
        return -1;
    i = skip_space(p, i + 3);
    if (text_at(p, i, EH_STR("-%}")))
        return skip_space(p, i + 3);
    return text_at(p, i, EH_STR("%}")) ? i + 2 : -1;
}

static void set_token(parser *p, eh_jinja_token_kind kind, int64_t at, int64_t end)
{
    p->now = (token){.kind = kind, .at = at, .s = {p->s.p + at, end - at}};
}

/* The text of a raw block as a token. */
static int lex_raw(parser *p)
{
    for (int64_t i = p->pos; i < p->s.n; i++) {
        if (!text_at(p, i, EH_STR("{%")))
            continue;
        char sign = byte_at(p, i + 2);
        if (sign != '-' && sign != '+')
            sign = '\0';
        int64_t k = skip_space(p, i + 2 + (sign != '\0'));
        if (!text_at(p, k, EH_STR("endraw")))
            continue;
        k = tag_end(p, skip_space(p, k + 6), EH_STR("%}"));
        if (k < 0)
            continue;
        set_token(p, EH_JT_DATA, p->pos, text_end(p, p->pos, i, sign, false));
        p->pos = k;
        p->line_start = byte_at(p, k - 1) == '\n';
        p->mode = EH_JINJA_IN_TEXT;
        return EH_OK;
    }
    return eh_jinja_fail(p->c, EH_EFORMAT, p->pos, "a raw block has no endraw");
}

/* After the mark {# with its sign. */
static int skip_comment(parser *p, int64_t at)
{
    for (int64_t i = p->pos; i < p->s.n; i++) {
        const int64_t end = tag_end(p, i, EH_STR("#}"));
        if (end < 0)
            continue;
        p->pos = end;
        p->line_start = byte_at(p, end - 1) == '\n';
        return EH_OK;
    }
    return eh_jinja_fail(p->c, EH_EFORMAT, at, "a comment has no end");
}

/* One stretch of text up to the next tag, and past the tag's mark. */
static int lex_text(parser *p)
{
    int64_t i = p->pos;
    while (i < p->s.n && !(p->s.p[i] == '{' && (byte_at(p, i + 1) == '{' || byte_at(p, i + 1) == '%' ||
                                                byte_at(p, i + 1) == '#')))
        i++;
    if (i == p->s.n) {
        set_token(p, p->pos < i ? EH_JT_DATA : EH_JT_END, p->pos, i);
        p->pos = i;
        return EH_OK;
    }
    const char what = p->s.p[i + 1];
    char sign = byte_at(p, i + 2);
    if (sign != '-' && sign != '+')
        sign = '\0';
    set_token(p, EH_JT_DATA, p->pos, text_end(p, p->pos, i, sign, what == '{'));
    p->pos = i + 2 + (sign != '\0');
    if (what == '#')
        return skip_comment(p, i);
    if (what == '%') {
        const int64_t raw = raw_start(p, i);
        if (raw >= 0) {
            p->pos = raw;
            p->line_start = byte_at(p, raw - 1) == '\n';
            p->mode = EH_JINJA_IN_RAW;
            return EH_OK;
        }
    }
    p->line_start = false;
    p->mode = what == '{' ? EH_JINJA_IN_PRINT : EH_JINJA_IN_BLOCK;
    p->opening = what == '{' ? EH_JT_PRINT : EH_JT_BLOCK;
    p->opening_at = i;
    return EH_OK;
}

/* ---- Tokens of tags -------------------------------------------------------------------------- */

/* One escape of a string literal, Python's "unicode-escape"; p->s.p[*i] is the character after the
 * backslash. */
static int lex_escape(parser *p, int64_t *i, eh_buf *b)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    const char e = p->s.p[*i];
    const char *simple = e != '\0' ? strchr(from, e) : NULL;
    if (simple != NULL) {
        eh_buf_char(b, to[simple - from]);
        (*i)++;
        return EH_OK;
    }
    if (e == '\n') {
        (*i)++;
        return EH_OK;
    }
    const bool octal = e >= '0' && e <= '7';
    const int most = octal ? 3 : e == 'x' ? 2 : e == 'u' ? 4 : e == 'U' ? 8 : 0;
    if (e == 'N' || (unsigned char)e >= 0x80)
        return eh_jinja_fail(p->c, EH_ENOSUP, *i, "the escape '\\%s' in a string is not supported",
                             e == 'N' ? "N" : "?");
    if (most == 0) { /* not an escape: the backslash stays */
        eh_buf_char(b, '\\');
        return EH_OK;
    }
    int64_t k = *i + !octal;
    int64_t code = 0;
    int n = 0;
    for (; n < most; n++, k++) {
        const char d = byte_at(p, k);
        const int digit = is_digit(d)            ? d - '0'
                          : d >= 'a' && d <= 'f' ? d - 'a' + 10
                          : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                                 : 99;
        if (digit >= (octal ? 8 : 16))
            break;
        code = code * (octal ? 8 : 16) + digit;
    }
    if ((!octal && n < most) || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return eh_jinja_fail(p->c, EH_EFORMAT, *i, "the escape '\\%c' is not followed by a character's number", e);
    char utf8[4];
    eh_buf_bytes(b, utf8, eh_utf8_put((int32_t)code, utf8));
    *i = k;
    return EH_OK;
}

static int lex_string(parser *p)
{
    const int64_t at = p->pos;
    const char quote = p->s.p[at];
    int64_t i = at + 1;
    while (i < p->s.n && p->s.p[i] != quote && p->s.p[i] != '\\')
        i++;
    if (byte_at(p, i) == quote) { /* nothing to unescape: the template's own bytes serve */
        p->now = (token){.kind = EH_JT_STR, .at = at, .s = {p->s.p + at + 1, i - at - 1}};
        p->pos = i + 1;
        return EH_OK;
    }
    eh_buf b = {.limit = EH_JINJA_TEMPLATE_MAX};
    int rc = EH_OK;
    for (i = at + 1; rc == EH_OK && i < p->s.n && p->s.p[i] != quote;) {
        if (p->s.p[i] != '\\') {
            eh_buf_char(&b, p->s.p[i++]);
        } else if (++i < p->s.n) {
            rc = lex_escape(p, &i, &b);
        }
    }
    if (rc == EH_OK && i >= p->s.n)
        rc = eh_jinja_fail(p->c, EH_EFORMAT, at, "a string has no end");
    eh_jv made;
    rc = eh_jinja_take(p->c, at, &b, rc, &made);
    if (rc < 0)
        return rc;
    p->now = (token){.kind = EH_JT_STR, .at = at, .s = made.s};
    p->pos = i + 1;
    return EH_OK;
}

static int lex_number(parser *p)
{
    const int64_t at = p->pos;
    int64_t i = at;
    while (is_digit(byte_at(p, i)))
        i++;
    const bool after_dot = at > 0 && p->s.p[at - 1] == '.'; /* x.0.1 is two indices, not a float */
    bool is_float = false;
    if (!after_dot && byte_at(p, i) == '.' && is_digit(byte_at(p, i + 1))) {
        is_float = true;
        for (i++; is_digit(byte_at(p, i));)
            i++;
    }
    if (!after_dot && (byte_at(p, i) == 'e' || byte_at(p, i) == 'E')) {
        int64_t k = i + 1;
        k += byte_at(p, k) == '+' || byte_at(p, k) == '-';
        if (is_digit(byte_at(p, k))) {
            is_float = true;
            for (i = k; is_digit(byte_at(p, i));)
                i++;
        }
    }
    if (is_letter(byte_at(p, i)) || i - at > 40 || (!is_float && i - at > 1 && p->s.p[at] == '0'))
        return eh_jinja_fail(p->c, EH_ENOSUP, at, "this way to write a number is not supported");
    char text[48] = {0};
    memcpy(text, p->s.p + at, (size_t)(i - at));
    p->now = (token){.kind = is_float ? EH_JT_FLOAT : EH_JT_INT, .at = at};
    p->pos = i;
    if (is_float) {
        p->now.f = strtod(text, NULL);
        return EH_OK;
    }
    errno = 0;
    p->now.i = strtoll(text, NULL, 10);
    return errno == 0 ? EH_OK : eh_jinja_fail(p->c, EH_ERANGE, at, "the integer %s is beyond 64 bits", text);
}

static int lex_operator(parser *p)
{
    static const struct { const char *text; int op; } two[] = {
        {"==", EH_JO_EQ}, {"!=", EH_JO_NE}, {"<=", EH_JO_LE},
        {">=", EH_JO_GE}, {"**", EH_JO_POW}, {"//", EH_JO_FLOORDIV},
    };
    const int64_t at = p->pos;
    p->now = (token){.kind = EH_JT_OP, .at = at};
    for (size_t k = 0; k < sizeof two / sizeof *two; k++)
        if (text_at(p, at, eh_str_of(two[k].text))) {
            p->now.op = two[k].op;
            p->now.s = (eh_str){p->s.p + at, 2};
            p->pos += 2;
            return EH_OK;
        }
    const char b = p->s.p[at];
    if (b == '\0' || strchr("+-/*%~[](){}><=.:|,;", b) == NULL)
        return eh_jinja_fail(p->c, EH_EFORMAT, at, "a character that means nothing here (byte 0x%02x)",
                             (unsigned char)b);
    if (b == '(' || b == '[' || b == '{') {
        if (p->n_open == EH_JINJA_PARSE_DEPTH)
            return eh_jinja_fail(p->c, EH_ERANGE, at, "brackets are nested more than %d deep", EH_JINJA_PARSE_DEPTH);
        p->open[p->n_open++] = b == '(' ? ')' : b == '[' ? ']' : '}';
    } else if (b == ')' || b == ']' || b == '}') {
        if (p->n_open == 0 || p->open[p->n_open - 1] != b)
            return eh_jinja_fail(p->c, EH_EFORMAT, at, "'%c' closes nothing that is open", b);
        p->n_open--;
    }
    p->now.op = (unsigned char)b;
    p->now.s = (eh_str){p->s.p + at, 1};
    p->pos++;
    return EH_OK;
}

static int lex_tag(parser *p)
{
    /* Inside brackets the end marks are brackets and operators: {{ {'a': {}} }} */
    for (;;) {
        if (p->n_open == 0) {
            int64_t end = -1;
            if (p->mode == EH_JINJA_IN_BLOCK)
                end = tag_end(p, p->pos, EH_STR("%}"));
            else if (text_at(p, p->pos, EH_STR("-}}")))
                end = skip_space(p, p->pos + 3);
            else if (text_at(p, p->pos, EH_STR("}}")))
                end = p->pos + 2;
            if (end >= 0) {
                set_token(p, p->mode == EH_JINJA_IN_BLOCK ? EH_JT_BLOCK_END : EH_JT_PRINT_END, p->pos, end);
                p->pos = end;
                p->line_start = byte_at(p, end - 1) == '\n';
                p->mode = EH_JINJA_IN_TEXT;
                return EH_OK;
            }
        }
        const int64_t next = skip_space(p, p->pos);
        if (next == p->pos)
            break;
        p->pos = next;
    }
    set_token(p, EH_JT_END, p->pos, p->pos);
    if (p->pos >= p->s.n)
        return EH_OK;
    const char b = p->s.p[p->pos];
    if (is_digit(b))
        return lex_number(p);
    if (b == '"' || b == '\'')
        return lex_string(p);
    if ((unsigned char)b >= 0x80)
        return eh_jinja_fail(p->c, EH_ENOSUP, p->pos, "names beyond ASCII are not supported");
    if (!is_letter(b))
        return lex_operator(p);
    int64_t end = p->pos;
    while (is_letter(byte_at(p, end)) || is_digit(byte_at(p, end)))
        end++;
    if ((unsigned char)byte_at(p, end) >= 0x80)
        return eh_jinja_fail(p->c, EH_ENOSUP, end, "names beyond ASCII are not supported");
    set_token(p, EH_JT_NAME, p->pos, end);
    p->pos = end;
    return EH_OK;
}

int eh_jinja_advance(parser *p)
{
    int rc;
    do {
        if (p->opening != EH_JT_END) {
            set_token(p, p->opening, p->opening_at, p->opening_at + 2);
            p->opening = EH_JT_END;
            return EH_OK;
        }
        rc = p->mode == EH_JINJA_IN_TEXT ? lex_text(p) : p->mode == EH_JINJA_IN_RAW ? lex_raw(p) : lex_tag(p);
    } while (rc == EH_OK && p->now.kind == EH_JT_DATA && p->now.s.n == 0);
    return rc;
}

int eh_jinja_look(parser *p, token *next)
{
    const token now = p->now;
    const int64_t pos = p->pos;
    const eh_jinja_mode m = p->mode;
    const bool line_start = p->line_start;
    const int n_open = p->n_open;
    const char top = n_open > 0 ? p->open[n_open - 1] : '\0';
    const int rc = eh_jinja_advance(p);
    *next = p->now;
    p->now = now;
    p->pos = pos;
    p->mode = m;
    p->line_start = line_start;
    p->n_open = n_open;
    if (n_open > 0)
        p->open[n_open - 1] = top;
    return rc;
}
