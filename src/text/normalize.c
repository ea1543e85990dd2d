#include "text/normalize.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/chars.h"

/* ---- Unicode normal forms ---------------------------------------------------------------- */

/* Starters that can be the second of a canonical composition (NFC_Quick_Check=Maybe, class 0):
 * vowel signs and Hangul vowels and finals. DerivedNormalizationProps.txt, Unicode 15. */
static const struct {
    int32_t low, high;
} second_starter[] = {
    {0x09BE, 0x09BE},   {0x09D7, 0x09D7},   {0x0B3E, 0x0B3E},   {0x0B56, 0x0B57},   {0x0BBE, 0x0BBE},
    {0x0BD7, 0x0BD7},   {0x0CC2, 0x0CC2},   {0x0CD5, 0x0CD6},   {0x0D3E, 0x0D3E},   {0x0D57, 0x0D57},
    {0x0DCF, 0x0DCF},   {0x0DDF, 0x0DDF},   {0x102E, 0x102E},   {0x1161, 0x1175},   {0x11A8, 0x11C2},
    {0x1B35, 0x1B35},   {0x11127, 0x11127}, {0x1133E, 0x1133E}, {0x11357, 0x11357}, {0x114B0, 0x114B0},
    {0x114BA, 0x114BA}, {0x114BD, 0x114BD}, {0x115AF, 0x115AF}, {0x11930, 0x11930},
};

static utf8proc_option_t decompose_how(bool compat)
{
    return compat ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE : UTF8PROC_DECOMPOSE | UTF8PROC_STABLE;
}

bool eh_norm_joins_left(int32_t c, bool compat)
{
    if (c < 0x300)
        return false;
    int32_t first[64];
    int bound = UTF8PROC_BOUNDCLASS_START;
    if (utf8proc_decompose_char(c, first, 64, decompose_how(compat), &bound) <= 0)
        return true;
    if (utf8proc_get_property(first[0])->combining_class != 0)
        return true;
    for (size_t i = 0; i < sizeof second_starter / sizeof second_starter[0]; i++)
        if (first[0] >= second_starter[i].low && first[0] <= second_starter[i].high)
            return true;
    return false;
}

/* A piece that can be normalised by itself: one character that joins nothing, or such a one with
 * all that join it. */
typedef struct piece {
    int32_t *code; /* [n] */
    int64_t n;
    int64_t room;
} piece;

static bool piece_room(piece *p, int64_t more)
{
    if (p->n + more <= p->room)
        return true;
    const int64_t room = 2 * p->room + more + 64;
    int32_t *code = eh_realloc(p->code, room, (int64_t)sizeof *code);
    if (code == NULL)
        return false;
    p->code = code;
    p->room = room;
    return true;
}

/* Canonical ordering: runs of marks stably by combining class. utf8proc's own ordering takes
 * quadratic time on a long run, so a run is counted out instead. */
static int order_marks(piece *p, eh_err *err)
{
    int32_t *copy = NULL;
    for (int64_t i = 0; i < p->n;) {
        int64_t end = i;
        bool sorted = true;
        int before = 0;
        while (end < p->n) {
            const int class = utf8proc_get_property(p->code[end])->combining_class;
            if (class == 0)
                break;
            sorted = sorted && before <= class;
            before = class;
            end++;
        }
        if (!sorted) {
            int64_t start[257] = {0};
            if (copy == NULL)
                copy = eh_alloc(p->n, (int64_t)sizeof *copy);
            if (copy == NULL)
                return eh_fail(err, EH_ENOMEM, "no memory to order %lld combining marks", (long long)(end - i));
            for (int64_t k = i; k < end; k++)
                start[utf8proc_get_property(p->code[k])->combining_class + 1]++;
            for (int class = 0; class < 256; class++)
                start[class + 1] += start[class];
            for (int64_t k = i; k < end; k++)
                copy[start[utf8proc_get_property(p->code[k])->combining_class]++] = p->code[k];
            memcpy(p->code + i, copy, (size_t)(end - i) * sizeof *copy);
        }
        i = end > i ? end : i + 1;
    }
    eh_free(copy);
    return EH_OK;
}

/* Normalises in[a, b) into p and says whether anything changed. */
static int normal_piece(eh_str in, int64_t a, int64_t b, bool compat, bool compose, piece *p, bool *changed,
                        eh_err *err)
{
    p->n = 0;
    for (int64_t at = a; at < b;) {
        int32_t c;
        at += eh_utf8_next(in, at, &c);
        int32_t part[64]; /* the longest decomposition has 18 */
        int bound = UTF8PROC_BOUNDCLASS_START;
        const utf8proc_ssize_t n = utf8proc_decompose_char(c, part, 64, decompose_how(compat), &bound);
        if (n < 0 || n > 64)
            return eh_fail(err, EH_EFORMAT, "U+%04X cannot be decomposed: %s", (unsigned)c, utf8proc_errmsg(n));
        if (!piece_room(p, n))
            return eh_fail(err, EH_ENOMEM, "no memory to normalise %lld bytes of text", (long long)(b - a));
        memcpy(p->code + p->n, part, (size_t)n * sizeof *part);
        p->n += n;
    }
    const int rc = order_marks(p, err);
    if (rc < 0)
        return rc;
    if (compose && p->n > 1)
        p->n = utf8proc_normalize_utf32(p->code, p->n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    int64_t at = a;
    *changed = false;
    for (int64_t i = 0; i < p->n && !*changed; i++) {
        int32_t c;
        const int len = eh_utf8_next(in, at, &c);
        *changed = at >= b || len == 0 || c != p->code[i];
        at += len;
    }
    *changed = *changed || at != b;
    return EH_OK;
}

static int normal_form(eh_normalize_kind kind, eh_flow *in, eh_flow *out, bool *changed, eh_err *err)
{
    const bool compat = kind == EH_NORMALIZE_NFKC || kind == EH_NORMALIZE_NFKD;
    const bool compose = kind == EH_NORMALIZE_NFC || kind == EH_NORMALIZE_NFKC;
    const int32_t quiet = compose && !compat ? 0x300 : 0x80; /* below, no character changes by itself */
    const eh_str s = in->text;
    piece p = {0};
    int64_t copied = 0; /* bytes of s that are in out */
    int rc = EH_OK;
    int32_t c = 0, next = 0;
    int len = 0, next_len = s.n > 0 ? eh_utf8_next(s, 0, &next) : 0;
    for (int64_t a = 0, b; a < s.n; a = b) {
        c = next;
        len = next_len;
        b = a + len;
        next_len = b < s.n ? eh_utf8_next(s, b, &next) : 0;
        bool joined = false;
        while (b < s.n && next >= 0x300 && eh_norm_joins_left(next, compat)) {
            joined = true;
            b += next_len;
            next_len = b < s.n ? eh_utf8_next(s, b, &next) : 0;
        }
        if (!joined && c < quiet)
            continue;
        bool differs = false;
        rc = normal_piece(s, a, b, compat, compose, &p, &differs, err);
        if (rc < 0)
            goto done;
        if (!differs)
            continue;
        *changed = true;
        eh_flow_copy(out, in, copied, a);
        copied = b;
        eh_buf text = {0};
        for (int64_t i = 0; i < p.n; i++) {
            char u[4];
            eh_buf_bytes(&text, u, eh_utf8_put(p.code[i], u));
        }
        rc = eh_buf_check(&text, "normalised text", err);
        if (rc == EH_OK)
            eh_flow_put(out, eh_buf_get(&text), in, a, b);
        eh_buf_clear(&text);
        if (rc < 0)
            goto done;
    }
    if (*changed)
        eh_flow_copy(out, in, copied, s.n);
done:
    eh_free(p.code);
    return rc;
}

/* ---- The other steps: each says whether it changed anything; if not, out is left empty ------ */

static int lowercase(eh_flow *in, eh_flow *out, bool *changed)
{
    const eh_str s = in->text;
    int64_t copied = 0;
    for (int64_t at = 0; at < s.n;) {
        int32_t c;
        const int len = eh_utf8_next(s, at, &c);
        const int32_t low = c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : utf8proc_tolower(c);
        if (low != c) {
            char u[8];
            int n = eh_utf8_put(low, u);
            if (c == 0x130) { /* the one character whose lower case is two */
                n = eh_utf8_put('i', u);
                n += eh_utf8_put(0x307, u + n);
            }
            eh_flow_copy(out, in, copied, at);
            eh_flow_put(out, (eh_str){u, n}, in, at, at + len);
            copied = at + len;
            *changed = true;
        }
        at += len;
    }
    if (*changed)
        eh_flow_copy(out, in, copied, s.n);
    return EH_OK;
}

static int strip(const eh_norm *step, eh_flow *in, eh_flow *out, bool *changed)
{
    const eh_str s = in->text;
    int64_t a = 0, b = s.n; /* what stays */
    int32_t c;
    while (step->left && a < s.n) {
        const int len = eh_utf8_next(s, a, &c);
        if (!eh_char_is_space(c))
            break;
        a += len;
    }
    if (step->right) {
        b = a;
        for (int64_t at = a; at < s.n;) {
            at += eh_utf8_next(s, at, &c);
            if (!eh_char_is_space(c))
                b = at;
        }
    }
    *changed = a > 0 || b < s.n;
    if (*changed)
        eh_flow_copy(out, in, a, b);
    return EH_OK;
}

static int strip_accents(eh_flow *in, eh_flow *out, bool *changed)
{
    const eh_str s = in->text;
    int64_t copied = 0;
    for (int64_t at = 0; at < s.n;) {
        int32_t c;
        const int len = eh_utf8_next(s, at, &c);
        if (c >= 0x300 && eh_char_is_mark(c)) {
            eh_flow_copy(out, in, copied, at);
            copied = at + len;
            *changed = true;
        }
        at += len;
    }
    if (*changed)
        eh_flow_copy(out, in, copied, s.n);
    return EH_OK;
}

/* The next place of `find` in s at or after `from`; -1: none. */
static int64_t find_text(eh_str s, int64_t from, eh_str find)
{
    while (from + find.n <= s.n) {
        const char *p = memchr(s.p + from, find.p[0], (size_t)(s.n - from - find.n + 1));
        if (p == NULL)
            return -1;
        from = p - s.p;
        if (memcmp(p, find.p, (size_t)find.n) == 0)
            return from;
        from++;
    }
    return -1;
}

static int replace(const eh_norm *step, eh_matcher *m, eh_flow *in, eh_flow *out, bool *changed, eh_err *err)
{
    const eh_str s = in->text;
    int64_t copied = 0, start = 0, end = 0;
    for (;;) {
        if (step->pattern != NULL) {
            const int found = eh_pattern_find(step->pattern, m, s, end, &start, &end, err);
            if (found < 0)
                return found;
            if (found == 0)
                break;
        } else {
            start = find_text(s, end, step->find);
            if (start < 0)
                break;
            end = start + step->find.n;
        }
        eh_flow_copy(out, in, copied, start);
        eh_flow_put(out, step->text, in, start, end);
        copied = end;
        *changed = true;
    }
    if (*changed)
        eh_flow_copy(out, in, copied, s.n);
    return EH_OK;
}

static int prepend(const eh_norm *step, eh_flow *in, eh_flow *out, bool *changed)
{
    if (in->text.n == 0)
        return EH_OK;
    if (step->kind != EH_NORMALIZE_PREPEND && eh_str_starts(in->text, step->text))
        return EH_OK;
    if (step->kind == EH_NORMALIZE_PREPEND_FIRST && in->span[0].from != 0)
        return EH_OK;
    *changed = true;
    eh_flow_put(out, step->text, in, 0, 0);
    eh_flow_copy(out, in, 0, in->text.n);
    return EH_OK;
}

int eh_normalize(const eh_norm *step, int64_t n, eh_matcher *m, eh_flow flow[2], int *now, eh_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        eh_flow *in = &flow[*now], *out = &flow[1 - *now];
        bool changed = false;
        int rc = EH_EINVAL;
        eh_flow_begin(out);
        switch (step[i].kind) {
        case EH_NORMALIZE_NFC:
        case EH_NORMALIZE_NFD:
        case EH_NORMALIZE_NFKC:
        case EH_NORMALIZE_NFKD: rc = normal_form(step[i].kind, in, out, &changed, err); break;
        case EH_NORMALIZE_LOWERCASE: rc = lowercase(in, out, &changed); break;
        case EH_NORMALIZE_STRIP: rc = strip(&step[i], in, out, &changed); break;
        case EH_NORMALIZE_STRIP_ACCENTS: rc = strip_accents(in, out, &changed); break;
        case EH_NORMALIZE_REPLACE: rc = replace(&step[i], m, in, out, &changed, err); break;
        case EH_NORMALIZE_PREPEND:
        case EH_NORMALIZE_PREPEND_ONCE:
        case EH_NORMALIZE_PREPEND_FIRST: rc = prepend(&step[i], in, out, &changed); break;
        }
        if (rc == EH_OK && changed) {
            rc = eh_flow_end(out, err);
            *now = 1 - *now;
        }
        if (rc < 0)
            return rc;
    }
    return EH_OK;
}
