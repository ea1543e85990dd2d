#include "text/added.h"

#include <stdlib.h>
#include <string.h>

#include "text/chars.h"

static int by_text(const void *pa, const void *pb)
{
    const eh_added *a = pa, *b = pb;
    const int64_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
    const int c = memcmp(a->text.p, b->text.p, (size_t)n);
    return c != 0 ? c : (a->text.n > b->text.n) - (a->text.n < b->text.n);
}

int eh_added_set_init(eh_added_set *s, eh_added *item, int64_t n, const char *where, eh_err *err)
{
    qsort(item, (size_t)n, sizeof *item, by_text);
    for (int64_t i = 0; i + 1 < n; i++)
        if (eh_str_eq(item[i].text, item[i + 1].text))
            return eh_fail(err, EH_EFORMAT, "%s: added tokens %d and %d are spelt alike", where, (int)item[i].id,
                           (int)item[i + 1].id);
    *s = (eh_added_set){.item = item, .n = n};
    for (int64_t i = 0; i < n; i++)
        s->first[(unsigned char)item[i].text.p[0]] = true;
    return EH_OK;
}

/* The longest item that text begins with at `at`: the items that agree with the text so far are a
 * shrinking range of the sorted list. */
static const eh_added *longest(const eh_added_set *s, eh_str text, int64_t at)
{
    const eh_added *best = NULL;
    int64_t low = 0, high = s->n;
    for (int64_t k = 0; at + k < text.n && low < high; k++) {
        const unsigned char c = (unsigned char)text.p[at + k];
        int64_t a = low, b = high; /* first item whose byte k is not below c */
        while (a < b) {
            const int64_t mid = a + (b - a) / 2;
            const eh_str t = s->item[mid].text;
            if (t.n <= k || (unsigned char)t.p[k] < c)
                a = mid + 1;
            else
                b = mid;
        }
        low = a;
        b = high; /* first item whose byte k is above c */
        while (a < b) {
            const int64_t mid = a + (b - a) / 2;
            if ((unsigned char)s->item[mid].text.p[k] <= c)
                a = mid + 1;
            else
                b = mid;
        }
        high = a;
        if (low < high && s->item[low].text.n == k + 1)
            best = &s->item[low];
    }
    return best;
}

static int32_t char_before(eh_str s, int64_t at)
{
    int64_t start = at - 1;
    while (start > 0 && (s.p[start] & 0xC0) == 0x80)
        start--;
    int32_t c = 0;
    eh_utf8_next(s, start, &c);
    return c;
}

const eh_added *eh_added_find(const eh_added_set *s, eh_str text, int64_t from, bool literal, int64_t *start,
                              int64_t *end)
{
    if (s->n == 0)
        return NULL;
    for (int64_t at = from; at < text.n;) {
        const eh_added *t = s->first[(unsigned char)text.p[at]] ? longest(s, text, at) : NULL;
        if (t == NULL) {
            at++;
            continue;
        }
        int64_t a = at, b = at + t->text.n;
        at = b; /* what is passed over hides what begins inside it */
        if (literal && t->special)
            continue;
        int32_t c = 0;
        if (t->single_word &&
            ((a > 0 && eh_char_is_word(char_before(text, a))) ||
             (b < text.n && eh_utf8_next(text, b, &c) > 0 && eh_char_is_word(c))))
            continue;
        while (t->lstrip && a > from && eh_char_is_space(char_before(text, a)))
            do
                a--;
            while (a > from && (text.p[a] & 0xC0) == 0x80);
        while (t->rstrip && b < text.n) {
            const int len = eh_utf8_next(text, b, &c);
            if (len == 0 || !eh_char_is_space(c))
                break;
            b += len;
        }
        *start = a;
        *end = b;
        return t;
    }
    return NULL;
}
