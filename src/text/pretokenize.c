#include "text/pretokenize.h"

#include <string.h>

#include "text/chars.h"

typedef struct cutter {
    const eh_pretok *step;
    int64_t n_step;
    eh_matcher *m;
    eh_str text;
    eh_word_fn *word;
    void *ctx;
    eh_err *err;
} cutter;

/* What a step has not passed on yet, for the behaviours that join neighbours. */
typedef struct pending {
    int64_t a, b; /* a == b: nothing */
    bool matched;
} pending;

static int cut(const cutter *c, int64_t k, int64_t a, int64_t b);

static int flush(const cutter *c, int64_t k, pending *p)
{
    const int64_t a = p->a, b = p->b;
    p->a = p->b = 0;
    return a < b ? cut(c, k + 1, a, b) : EH_OK;
}

/* One stretch of the piece, matched or not, in order. */
static int stretch(const cutter *c, int64_t k, pending *p, int64_t a, int64_t b, bool matched)
{
    const eh_pretok *s = &c->step[k];
    bool joins = false;
    if (a == b)
        return EH_OK;
    matched = matched != s->invert;
    switch (s->behavior) {
    case EH_PRETOK_ISOLATED: return cut(c, k + 1, a, b);
    case EH_PRETOK_REMOVED: return matched ? EH_OK : cut(c, k + 1, a, b);
    case EH_PRETOK_CONTIGUOUS: joins = matched == p->matched; break;
    case EH_PRETOK_MERGED_PREVIOUS: joins = matched && !p->matched; break;
    case EH_PRETOK_MERGED_NEXT: joins = !matched && p->matched; break;
    }
    if (joins && p->a < p->b) {
        p->b = b;
        p->matched = matched;
        return EH_OK;
    }
    const int rc = flush(c, k, p);
    *p = (pending){a, b, matched};
    return rc;
}

/* The next match of step s in the piece [a, b), at or after `from`. */
static int find(const cutter *c, const eh_pretok *s, int64_t a, int64_t b, int64_t from, int64_t *start, int64_t *end)
{
    const char *p = c->text.p;
    switch (s->kind) {
    case EH_PRETOK_PATTERN: {
        const int found = eh_pattern_find(s->pattern, c->m, (eh_str){p + a, b - a}, from - a, start, end, c->err);
        if (found == 1) {
            *start += a;
            *end += a;
        }
        return found;
    }
    case EH_PRETOK_TEXT:
        for (int64_t at = from; at + s->text.n <= b; at++) {
            const char *hit = memchr(p + at, s->text.p[0], (size_t)(b - at - s->text.n + 1));
            if (hit == NULL)
                return 0;
            at = hit - p;
            if (memcmp(hit, s->text.p, (size_t)s->text.n) == 0) {
                *start = at;
                *end = at + s->text.n;
                return 1;
            }
        }
        return 0;
    case EH_PRETOK_DIGITS:
        for (int64_t at = from; at < b;) {
            int32_t code = (unsigned char)p[at];
            const int len = code < 0x80 ? 1 : eh_utf8_next((eh_str){p, b}, at, &code);
            if (eh_char_is_number(code)) {
                *start = at;
                *end = at + len;
                return 1;
            }
            at += len;
        }
        return 0;
    }
    return 0;
}

static int cut(const cutter *c, int64_t k, int64_t a, int64_t b)
{
    if (k == c->n_step)
        return c->word(c->ctx, a, b - a, c->err);
    pending p = {0};
    int64_t at = a;
    while (at < b) {
        int64_t start, end;
        int rc = find(c, &c->step[k], a, b, at, &start, &end);
        if (rc < 0)
            return rc;
        if (rc == 0)
            break;
        rc = stretch(c, k, &p, at, start, false);
        if (rc == EH_OK)
            rc = stretch(c, k, &p, start, end, true);
        if (rc < 0)
            return rc;
        at = end;
    }
    const int rc = stretch(c, k, &p, at, b, false);
    return rc < 0 ? rc : flush(c, k, &p);
}

int eh_pretokenize(const eh_pretok *step, int64_t n_step, eh_matcher *m, eh_str text, eh_word_fn *word, void *ctx,
                   eh_err *err)
{
    const cutter c = {step, n_step, m, text, word, ctx, err};
    return text.n > 0 ? cut(&c, 0, 0, text.n) : EH_OK;
}
