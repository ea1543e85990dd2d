#include "text/wikitext.h"

#include <string.h>

/* One rule: a literal replaced, or (with `close`) the blanks just inside a pair of marks dropped. */
typedef struct rule {
    const char *from, *to;
    char close; /* from is then the opening mark */
} rule;

/* The harness has one rule more, re.sub(r"/' [0-9]/", r"/'[0-9]/", ...): it can match nothing but a
 * quote and a digit between slashes, was meant otherwise, and is left out. */
static const rule rules[] = {
    {"s '", "s'", 0},      {" @-@ ", "-", 0},     {" @,@ ", ",", 0},   {" @.@ ", ".", 0},  {" : ", ": ", 0},
    {" ; ", "; ", 0},      {" . ", ". ", 0},      {" ! ", "! ", 0},    {" ? ", "? ", 0},   {" , ", ", ", 0},
    {"(", NULL, ')'},      {"[", NULL, ']'},      {"{", NULL, '}'},    {"\"", NULL, '"'},  {"'", NULL, '\''},
    {"= = = =", "====", 0}, {"= = =", "===", 0},  {"= =", "==", 0},    {" \xC2\xB0 ", "\xC2\xB0", 0},
    {" \n", "\n", 0},      {"\n ", "\n", 0},      {" N ", " 1 ", 0},   {" 's", "'s", 0},
};

/* str.replace: left to right, without overlap. */
static void replace(eh_str s, const char *from, const char *to, eh_buf *out)
{
    const eh_str f = eh_str_of(from);
    for (int64_t i = 0; i < s.n;) {
        if (s.n - i >= f.n && memcmp(s.p + i, f.p, (size_t)f.n) == 0) {
            eh_buf_str(out, eh_str_of(to));
            i += f.n;
        } else {
            eh_buf_char(out, s.p[i++]);
        }
    }
}

static int space_at(eh_str s, int64_t i)
{
    int32_t c;
    const int len = eh_utf8_next(s, i, &c);
    return len > 0 && eh_is_space(c) ? len : 0;
}

/* re.sub("\(\s*([^\)]*?)\s*\)", "(\1)") and its like: from an opening mark to the next closing one,
 * blanks just inside dropped. An opening mark without a closing one stays as it is. */
static void tighten(eh_str s, char open, char close, eh_buf *out)
{
    for (int64_t i = 0; i < s.n;) {
        const char *end = s.p[i] == open ? memchr(s.p + i + 1, close, (size_t)(s.n - i - 1)) : NULL;
        if (end == NULL) {
            eh_buf_char(out, s.p[i++]);
            continue;
        }
        int64_t from = i + 1, to = end - s.p;
        for (int len; from < to && (len = space_at(s, from)) > 0;)
            from += len;
        for (int64_t at = from, last = from; at < to;) { /* `to` after the last character that is no blank */
            const int blank = space_at(s, at);
            const int len = blank > 0 ? blank : eh_utf8_next(s, at, NULL) > 0 ? eh_utf8_next(s, at, NULL) : 1;
            at += len;
            if (blank == 0)
                last = at;
            if (at >= to)
                to = last;
        }
        eh_buf_char(out, open);
        eh_buf_bytes(out, s.p + from, to - from);
        eh_buf_char(out, close);
        i = end - s.p + 1;
    }
}

int eh_wikitext_detokenise(eh_str page, eh_buf *out, eh_err *err)
{
    eh_buf a = {0}, b = {0};
    eh_buf_str(&a, page);
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        eh_buf_reset(&b);
        if (rules[r].close != 0)
            tighten(eh_buf_get(&a), rules[r].from[0], rules[r].close, &b);
        else
            replace(eh_buf_get(&a), rules[r].from, rules[r].to, &b);
        const eh_buf t = a;
        a = b;
        b = t;
    }
    eh_buf_str(out, eh_buf_get(&a));
    int rc = eh_buf_check(&a, "the plain text", err);
    if (rc == EH_OK)
        rc = eh_buf_check(&b, "the plain text", err);
    if (rc == EH_OK)
        rc = eh_buf_check(out, "the plain text", err);
    eh_buf_clear(&a);
    eh_buf_clear(&b);
    return rc;
}
