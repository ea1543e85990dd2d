#include "task/mention.h"

#include <utf8proc.h>

#include "base/mem.h"
#include "text/chars.h"

const char *const eh_mention_rule_names[EH_MENTION_N_RULE] = {"none", "phrase", "word", "part"};

/* ---- Finding words in a text ------------------------------------------------------------------------ */

/* The character at `at` in lower case, or the byte there (as a negative number) where none begins. */
static int32_t folded(eh_str s, int64_t at, int *n)
{
    int32_t code = 0;
    *n = eh_utf8_next(s, at, &code);
    if (*n > 0)
        return utf8proc_tolower(code);
    *n = 1;
    return -1 - (int32_t)(unsigned char)s.p[at];
}

static bool word_at(eh_str s, int64_t at)
{
    int32_t code;
    return at >= 0 && at < s.n && eh_utf8_next(s, at, &code) > 0 && eh_char_is_word(code);
}

/* Where the character before `at` begins; -1: there is none. */
static int64_t before(eh_str s, int64_t at)
{
    for (at--; at > 0 && ((unsigned char)s.p[at] & 0xc0) == 0x80; at--)
        ;
    return at;
}

/* Where `what` ends if it stands at `at` in s, whole words and whatever the case; else -1. */
static int64_t match(eh_str s, int64_t at, eh_str what)
{
    if (word_at(s, before(s, at)) && word_at(what, 0))
        return -1;
    int64_t i = 0, j = at;
    while (i < what.n) {
        int ni, nj;
        if (j >= s.n || folded(what, i, &ni) != folded(s, j, &nj))
            return -1;
        i += ni;
        j += nj;
    }
    return word_at(s, j) && word_at(what, before(what, what.n)) ? -1 : j;
}

/* The first place at or after `from`; false: none. */
static bool find(eh_str s, int64_t from, eh_str what, eh_range *found)
{
    for (int64_t at = from; what.n > 0 && at < s.n; at++) {
        const int64_t end = match(s, at, what);
        if (end >= 0) {
            *found = (eh_range){at, end};
            return true;
        }
    }
    return false;
}

static bool holds(eh_str s, eh_str what)
{
    eh_range r;
    return find(s, 0, what, &r);
}

/* ---- Mentions ------------------------------------------------------------------------------------------ */

/* Without blanks and punctuation at its ends. */
static eh_str trim(eh_str s)
{
    while (s.n > 0 && !word_at(s, 0)) {
        const int n = eh_utf8_next(s, 0, NULL);
        s = (eh_str){s.p + (n > 0 ? n : 1), s.n - (n > 0 ? n : 1)};
    }
    while (s.n > 0 && !word_at(s, before(s, s.n)))
        s.n = before(s, s.n);
    return s;
}

static eh_str without_article(eh_str s)
{
    static const eh_str articles[] = {{"the ", 4}, {"a ", 2}, {"an ", 3}};
    for (size_t i = 0; i < sizeof articles / sizeof *articles; i++)
        if (match(s, 0, articles[i]) >= 0)
            return trim((eh_str){s.p + articles[i].n, s.n - articles[i].n});
    return s;
}

/* The longest beginning or end of the phrase, in words, that the context has and the other option has not. */
static eh_str longest_part(eh_str phrase, eh_str context, eh_str other)
{
    int64_t most = 0;
    for (int64_t i = 0; i < phrase.n; i++)
        most += phrase.p[i] == ' ';
    for (int64_t n = most; n > 0; n--) {
        /* n words from the left end after word n, n words from the right begin after word most + 1 - n. */
        eh_str first = phrase, last = phrase;
        for (int64_t i = 0, seen = 0; i < phrase.n; i++) {
            if (phrase.p[i] != ' ')
                continue;
            seen++;
            if (seen == n)
                first.n = i;
            if (seen == most + 1 - n)
                last = (eh_str){phrase.p + i + 1, phrase.n - i - 1};
        }
        const eh_str part[2] = {trim(last), trim(first)};
        for (int k = 0; k < 2; k++)
            if (holds(context, part[k]) && !holds(other, part[k]))
                return part[k];
    }
    return (eh_str){0};
}

static int add(eh_mentions *m, eh_range span, int8_t option, eh_err *err)
{
    if (m->n == m->room) {
        const int64_t room = m->room > 0 ? 2 * m->room : 16;
        eh_range *s = eh_realloc(m->span, room, (int64_t)sizeof *s);
        if (s != NULL)
            m->span = s;
        int8_t *o = eh_realloc(m->option, room, (int64_t)sizeof *o);
        if (o != NULL)
            m->option = o;
        if (s == NULL || o == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for %lld mentions", (long long)room);
        m->room = room;
    }
    m->span[m->n] = span;
    m->option[m->n++] = option;
    return EH_OK;
}

static int find_all(eh_str context, eh_str what, int8_t option, eh_mentions *m, eh_err *err)
{
    eh_range r = {0};
    for (int64_t at = 0; find(context, at, what, &r); at = r.end) {
        const int rc = add(m, r, option, err);
        if (rc < 0)
            return rc;
    }
    return EH_OK;
}

static void drop(eh_mentions *m, int64_t k)
{
    m->n--;
    for (; k < m->n; k++) {
        m->span[k] = m->span[k + 1];
        m->option[k] = m->option[k + 1];
    }
}

/* "man" within "old man" speaks of the old man. */
static void drop_inner(eh_mentions *m)
{
    for (int64_t i = m->n - 1; i >= 0; i--)
        for (int64_t k = 0; k < m->n; k++) {
            const eh_range *a = &m->span[i], *b = &m->span[k];
            if (m->option[i] != m->option[k] && a->from >= b->from && a->end <= b->end &&
                a->end - a->from < b->end - b->from) {
                drop(m, i);
                break;
            }
        }
}

/* By their places in the text; there are few. */
static void sort(eh_mentions *m)
{
    for (int64_t i = 1; i < m->n; i++)
        for (int64_t k = i; k > 0 && m->span[k].from < m->span[k - 1].from; k--) {
            const eh_range s = m->span[k];
            const int8_t o = m->option[k];
            m->span[k] = m->span[k - 1];
            m->option[k] = m->option[k - 1];
            m->span[k - 1] = s;
            m->option[k - 1] = o;
        }
}

int eh_mentions_find(const eh_bbq_item *item, eh_mentions *out, eh_err *err)
{
    const eh_str context = item->context;
    out->n = 0;
    for (int8_t i = 0; i < 3; i++) {
        out->rule[i] = EH_MENTION_NONE;
        out->n_of[i] = 0;
        if (i == item->unknown)
            continue;
        const eh_str phrase = without_article(trim(item->option[i])), word = trim(item->word[i]);
        const eh_str other = item->option[3 - item->unknown - i];
        eh_str what = phrase;
        out->rule[i] = EH_MENTION_PHRASE;
        if (!holds(context, what)) {
            what = word;
            out->rule[i] = EH_MENTION_WORD;
        }
        if (out->rule[i] == EH_MENTION_WORD && (!holds(context, what) || holds(other, what))) {
            what = longest_part(phrase, context, other);
            out->rule[i] = what.n > 0 ? EH_MENTION_PART : EH_MENTION_NONE;
        }
        const int rc = find_all(context, what, i, out, err);
        if (rc < 0)
            return rc;
    }
    drop_inner(out);
    sort(out);
    for (int64_t k = 0; k < out->n; k++)
        out->n_of[out->option[k]]++;
    for (int i = 0; i < 3; i++)
        if (out->n_of[i] == 0)
            out->rule[i] = EH_MENTION_NONE;
    return EH_OK;
}

void eh_mentions_clear(eh_mentions *m)
{
    eh_free(m->span);
    eh_free(m->option);
    *m = (eh_mentions){0};
}

/* ---- Sentence pairs --------------------------------------------------------------------------------------- */

/* Whether a cut at i in a and at j in b, where the texts are alike on one side, leaves no word in pieces. */
static bool clean_cut(eh_str a, int64_t i, eh_str b, int64_t j)
{
    if ((i < a.n && ((unsigned char)a.p[i] & 0xc0) == 0x80) || (j < b.n && ((unsigned char)b.p[j] & 0xc0) == 0x80))
        return false;
    return !((word_at(a, before(a, i)) || word_at(b, before(b, j))) && (word_at(a, i) || word_at(b, j)));
}

static eh_range without_blanks(eh_str s, eh_range r)
{
    while (r.from < r.end && s.p[r.from] == ' ')
        r.from++;
    while (r.from < r.end && s.p[r.end - 1] == ' ')
        r.end--;
    return r;
}

void eh_pair_difference(const eh_pair *pair, eh_range *more, eh_range *less)
{
    const eh_str a = pair->more, b = pair->less;
    const int64_t most = a.n < b.n ? a.n : b.n;
    int64_t head = 0, tail = 0;
    while (head < most && a.p[head] == b.p[head])
        head++;
    while (head > 0 && !clean_cut(a, head, b, head))
        head--;
    while (tail < most - head && a.p[a.n - 1 - tail] == b.p[b.n - 1 - tail])
        tail++;
    while (tail > 0 && !clean_cut(a, a.n - tail, b, b.n - tail))
        tail--;
    *more = without_blanks(a, (eh_range){head, a.n - tail});
    *less = without_blanks(b, (eh_range){head, b.n - tail});
}
