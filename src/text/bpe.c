#include "text/bpe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_MAX 1024
#define SHORT_MAX 48        /* symbols; longer words are merged with a heap */
#define TOUCH_BITS 20
#define NO_RANK INT32_MAX
#define CUT_BYTES_MAX 512   /* cutting a token in all ways is quadratic in its length; real ones have up to 100 */

/* ---- Merges ------------------------------------------------------------------------------ */

static uint64_t pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static uint64_t pair_hash(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 29;
}

static const eh_bpe_pair *pair_find(const eh_bpe *b, int32_t left, int32_t right)
{
    const uint64_t key = pair_key(left, right);
    for (uint64_t i = pair_hash(key);; i++) { /* ends: a quarter of the slots are free at least */
        const eh_bpe_pair *p = &b->pair[i & b->pair_mask];
        if (p->made < 0)
            return NULL;
        if (p->key == key)
            return p;
    }
}

int eh_bpe_room_pairs(eh_bpe *b, eh_arena *a, int64_t n, const char *where, eh_err *err)
{
    int64_t room = 64;
    while (room < 2 * n)
        room *= 2;
    b->pair = eh_new_raw(a, eh_bpe_pair, room);
    if (b->pair == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for a table of %lld merges", where, (long long)n);
    for (int64_t i = 0; i < room; i++)
        b->pair[i] = (eh_bpe_pair){.made = -1};
    b->pair_mask = (uint64_t)room - 1;
    b->n_pair = 0;
    return EH_OK;
}

int eh_bpe_add_pair(eh_bpe *b, int32_t left, int32_t right, int32_t made, int32_t rank, bool last_wins,
                    const char *where, eh_err *err)
{
    const uint64_t key = pair_key(left, right);
    const uint64_t h = pair_hash(key);
    for (uint64_t i = 0; i < SEARCH_MAX && i <= b->pair_mask; i++) {
        eh_bpe_pair *p = &b->pair[(h + i) & b->pair_mask];
        if (p->made >= 0 && p->key != key)
            continue;
        if (p->made < 0)
            b->n_pair++;
        if (p->made < 0 || last_wins)
            *p = (eh_bpe_pair){key, rank, made};
        return EH_OK;
    }
    return eh_fail(err, EH_EFORMAT, "%s: merge %d: too many merges share a place in the table; they look made for it",
                   where, (int)rank);
}

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int better_first(const void *pa, const void *pb)
{
    const scored *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int64_t n_chars(eh_str s)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xC0) != 0x80;
    return n;
}

/* The token of a text that the model may make; -1: none. */
static int32_t token_of(const eh_bpe *b, eh_str text)
{
    const int32_t id = eh_names_get(&b->vocab->names, text);
    return id >= 0 && (b->vocab->flags[id] & EH_TOKEN_HIDDEN) == 0 ? id : -1;
}

/* The symbol of a part of a token: a token, or a character that is none and gets a symbol of its own. */
static int32_t part_symbol(eh_bpe *b, eh_str part, bool one_char, const char *where, eh_err *err, int *rc)
{
    int32_t id = token_of(b, part);
    if (id >= 0 || !one_char)
        return id;
    id = eh_names_get(&b->extra_names, part);
    if (id < 0) {
        int32_t other;
        id = (int32_t)b->n_extra;
        b->extra[id] = part;
        *rc = eh_names_put(&b->extra_names, id, &other, where, err);
        b->n_extra++;
    }
    return (int32_t)b->vocab->n + id;
}

int eh_bpe_pairs_of_scores(eh_bpe *b, eh_arena *a, const float *score, const char *where, eh_err *err)
{
    const eh_vocab *v = b->vocab;
    scored *order = eh_alloc(v->n, (int64_t)sizeof *order);
    int64_t n = 0, n_split = 0;
    int rc = EH_OK;
    if (order == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory to order %lld scores", where, (long long)v->n);
    for (int64_t i = 0; i < v->n; i++) {
        if (v->spelling[i].p == NULL || (v->flags[i] & EH_TOKEN_HIDDEN) != 0)
            continue;
        if (isnan(score[i])) {
            rc = eh_fail(err, EH_EFORMAT, "%s: the score of token %lld is not a number", where, (long long)i);
            goto done;
        }
        const int64_t k = n_chars(v->spelling[i]);
        if (v->spelling[i].n > CUT_BYTES_MAX) {
            rc = eh_fail(err, EH_ENOSUP,
                         "%s: token %lld has %lld bytes; up to %d are supported where merges come from scores", where,
                         (long long)i, (long long)v->spelling[i].n, CUT_BYTES_MAX);
            goto done;
        }
        if (k >= 2) {
            order[n++] = (scored){score[i], (int32_t)i};
            n_split += k - 1;
        }
    }
    qsort(order, (size_t)n, sizeof *order, better_first);

    /* No token of k characters has more than two of them at its ends. */
    int64_t n_end = 2 * n + 1;
    b->extra = eh_new(a, eh_str, n_end);
    if (b->extra == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "%s: no memory for %lld characters", where, (long long)n_end);
        goto done;
    }
    rc = eh_names_init(&b->extra_names, a, b->extra, n_end, where, err);
    if (rc == EH_OK)
        rc = eh_bpe_room_pairs(b, a, n_split < 4 * v->n ? n_split : 4 * v->n, where, err);
    int32_t rank = -1;
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        /* Equal scores share a rank: the leftmost goes first among them. */
        if (i == 0 || order[i].score < order[i - 1].score)
            rank++;
        const eh_str s = v->spelling[order[i].id];
        for (int64_t at = 1; at < s.n && rc == EH_OK; at++) {
            if ((s.p[at] & 0xC0) == 0x80)
                continue;
            const eh_str l = {s.p, at}, r = {s.p + at, s.n - at};
            const bool l_char = n_chars(l) == 1, r_char = n_chars(r) == 1;
            /* The right part alone must not claim a symbol when the left part is none. */
            if (!l_char && token_of(b, l) < 0)
                continue;
            if (!r_char && token_of(b, r) < 0)
                continue;
            const int32_t left = part_symbol(b, l, l_char, where, err, &rc);
            const int32_t right = rc == EH_OK ? part_symbol(b, r, r_char, where, err, &rc) : -1;
            if (rc == EH_OK && 4 * b->n_pair > 3 * (int64_t)b->pair_mask)
                rc = eh_fail(err, EH_ENOSUP, "%s: tokens can be cut in two in more than %lld ways", where,
                             (long long)b->n_pair);
            if (rc == EH_OK)
                rc = eh_bpe_add_pair(b, left, right, order[i].id, rank, false, where, err);
        }
    }
done:
    eh_free(order);
    return rc;
}

static uint32_t touch_hash(int32_t left, int32_t right)
{
    const uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> (64 - TOUCH_BITS));
}

static bool may_touch(const uint8_t *touch, int32_t left, int32_t right)
{
    const uint32_t h = touch_hash(left, right);
    return (touch[h >> 3] >> (h & 7) & 1) != 0;
}

int eh_bpe_finish(eh_bpe *b, eh_arena *a, const char *where, eh_err *err)
{
    const eh_vocab *v = b->vocab;
    if (b->pair == NULL) {
        const int rc = eh_bpe_room_pairs(b, a, 0, where, err);
        if (rc < 0)
            return rc;
    }
    b->has_bytes = !b->byte_level;
    for (int i = 0; i < 256; i++)
        b->has_bytes = b->has_bytes && b->byte_id[i] >= 0;
    if (!b->has_bytes)
        return EH_OK; /* unknown tokens fuse, and what is dropped lets its neighbours merge, across any cut */
    uint8_t *touch = eh_new(a, uint8_t, (int64_t)1 << (TOUCH_BITS - 3));
    if (touch == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for its table of neighbours", where);
    for (uint64_t i = 0; i <= b->pair_mask; i++) {
        const eh_bpe_pair *p = &b->pair[i];
        if (p->made < 0)
            continue;
        const int64_t left = (int64_t)(p->key >> 32), right = (int64_t)(p->key & UINT32_MAX);
        if ((left < v->n && (v->flags[left] & EH_TOKEN_BYTE) != 0) ||
            (right < v->n && (v->flags[right] & EH_TOKEN_BYTE) != 0))
            return EH_OK; /* merges of byte tokens: their spelling is not their text */
        const eh_str s = v->spelling[p->made];
        int32_t before = -1;
        for (int64_t at = 0; at < s.n;) {
            int32_t c;
            const int len = eh_utf8_next(s, at, &c);
            if (len == 0)
                return EH_OK; /* not text; it cannot be made of characters either, but be safe */
            if (before >= 0) {
                const uint32_t h = touch_hash(before, c);
                touch[h >> 3] = (uint8_t)(touch[h >> 3] | 1u << (h & 7));
            }
            before = c;
            at += len;
        }
    }
    b->touch = touch;
    return EH_OK;
}

/* ---- Merging ----------------------------------------------------------------------------- */

typedef struct symbol {
    int32_t id;
    int32_t at, end; /* bytes of the word */
    int32_t rank;    /* of the merge with the next symbol; NO_RANK: none (short words) */
    int32_t made;    /* what that merge makes */
    int32_t prev, next; /* neighbours, -1: none (long words) */
} symbol;

typedef struct candidate { /* a merge that was possible when it was put on the heap */
    int32_t rank, pos, made;
} candidate;

struct eh_bpe_work {
    symbol *sym;
    int64_t n_sym, room_sym;
    candidate *heap;
    int64_t n_heap, room_heap;
    eh_bpe_piece *out;
    int64_t n_out, room_out;
};

int eh_bpe_work_open(eh_bpe_work **w, eh_err *err)
{
    eh_bpe_work *p = eh_calloc(1, (int64_t)sizeof *p);
    if (p == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to encode");
    *w = p;
    return EH_OK;
}

void eh_bpe_work_close(eh_bpe_work *w)
{
    if (w == NULL)
        return;
    eh_free(w->sym);
    eh_free(w->heap);
    eh_free(w->out);
    eh_free(w);
}

/* Room for `need` items of `size` bytes at *p. */
static bool grow(void **p, int64_t *room, int64_t need, int64_t size)
{
    if (need <= *room)
        return true;
    const int64_t more = need > INT64_MAX / 4 ? need : 2 * need + 64;
    void *q = eh_realloc(*p, more, size);
    if (q == NULL)
        return false;
    *p = q;
    *room = more;
    return true;
}

static int no_room(int64_t n, eh_err *err)
{
    return eh_fail(err, EH_ENOMEM, "no memory to encode a word of %lld symbols", (long long)n);
}

static bool before(candidate a, candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.pos < b.pos;
}

static bool heap_push(eh_bpe_work *w, candidate c)
{
    void *p = w->heap;
    if (!grow(&p, &w->room_heap, w->n_heap + 1, (int64_t)sizeof *w->heap))
        return false;
    w->heap = p;
    int64_t i = w->n_heap++;
    for (; i > 0 && before(c, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
    return true;
}

static candidate heap_pop(eh_bpe_work *w)
{
    const candidate top = w->heap[0], last = w->heap[--w->n_heap];
    int64_t i = 0;
    for (;;) {
        int64_t k = 2 * i + 1;
        if (k >= w->n_heap)
            break;
        if (k + 1 < w->n_heap && before(w->heap[k + 1], w->heap[k]))
            k++;
        if (!before(w->heap[k], last))
            break;
        w->heap[i] = w->heap[k];
        i = k;
    }
    w->heap[i] = last;
    return top;
}

static void rank_pair(const eh_bpe *b, symbol *s, int64_t i)
{
    const eh_bpe_pair *p = pair_find(b, s[i].id, s[i + 1].id);
    s[i].rank = p == NULL ? NO_RANK : p->rank;
    s[i].made = p == NULL ? -1 : p->made;
}

/* Short words: the best pair is searched for each time, and the rest moved up. Returns how many are left. */
static int64_t merge_by_search(const eh_bpe *b, symbol *s, int64_t n)
{
    for (int64_t i = 0; i + 1 < n; i++)
        rank_pair(b, s, i);
    while (n > 1) {
        int64_t best = 0;
        for (int64_t i = 1; i + 1 < n; i++)
            if (s[i].rank < s[best].rank)
                best = i;
        if (s[best].rank == NO_RANK)
            break;
        s[best].id = s[best].made;
        s[best].end = s[best + 1].end;
        memmove(s + best + 1, s + best + 2, (size_t)(n - best - 2) * sizeof *s);
        n--;
        if (best + 1 < n)
            rank_pair(b, s, best);
        if (best > 0)
            rank_pair(b, s, best - 1);
    }
    return n;
}

static bool push_pair(const eh_bpe *b, eh_bpe_work *w, int32_t i)
{
    const int32_t k = w->sym[i].next;
    const eh_bpe_pair *p = k < 0 ? NULL : pair_find(b, w->sym[i].id, w->sym[k].id);
    return p == NULL || heap_push(w, (candidate){p->rank, i, p->made});
}

/* Long words: a heap of merges over a linked list, n log n. Merges that a neighbour's merge has
 * overtaken stay on the heap and are passed over. */
static int merge_by_heap(const eh_bpe *b, eh_bpe_work *w, eh_err *err)
{
    symbol *s = w->sym;
    const int64_t n = w->n_sym;
    w->n_heap = 0;
    for (int64_t i = 0; i < n; i++) {
        s[i].prev = (int32_t)i - 1;
        s[i].next = i + 1 < n ? (int32_t)i + 1 : -1;
    }
    for (int64_t i = 0; i < n; i++)
        if (!push_pair(b, w, (int32_t)i))
            return no_room(n, err);
    while (w->n_heap > 0) {
        const candidate c = heap_pop(w);
        symbol *l = &s[c.pos];
        if (l->id < 0 || l->next < 0)
            continue;
        symbol *r = &s[l->next];
        const eh_bpe_pair *p = pair_find(b, l->id, r->id);
        if (p == NULL || p->made != c.made || p->rank != c.rank)
            continue;
        l->id = c.made;
        l->end = r->end;
        l->next = r->next;
        r->id = -1; /* gone */
        if (l->next >= 0)
            s[l->next].prev = c.pos;
        if (!push_pair(b, w, c.pos) || (l->prev >= 0 && !push_pair(b, w, l->prev)))
            return no_room(n, err);
    }
    int64_t left = 0;
    for (int64_t i = 0; i < n; i++)
        if (s[i].id >= 0)
            s[left++] = s[i];
    w->n_sym = left;
    return EH_OK;
}

typedef enum merging { BY_LENGTH, BY_SEARCH, BY_HEAP } merging;

/* ---- Words ------------------------------------------------------------------------------- */

static void add_symbol(eh_bpe_work *w, int32_t id, int64_t at, int64_t end)
{
    w->sym[w->n_sym++] = (symbol){.id = id, .at = (int32_t)at, .end = (int32_t)end};
}

/* What stands for a character that is no token: its byte tokens, or the unknown token, or nothing.
 * Returns how many. */
static int fallback(const eh_bpe *b, eh_str word, int64_t at, int64_t end, int32_t id[4])
{
    int n = 0;
    if (!b->byte_level)
        for (int64_t i = at; i < end && b->byte_id[(unsigned char)word.p[i]] >= 0; i++)
            id[n++] = b->byte_id[(unsigned char)word.p[i]];
    if (n == end - at)
        return n;
    id[0] = b->unk;
    return b->unk >= 0;
}

static void add_fallback(const eh_bpe *b, eh_bpe_work *w, eh_str word, int64_t at, int64_t end)
{
    int32_t id[4];
    const int n = fallback(b, word, at, end, id);
    symbol *last = w->n_sym > 0 ? &w->sym[w->n_sym - 1] : NULL;
    if (n == 1 && id[0] == b->unk && b->fuse_unk && last != NULL && last->id == b->unk)
        last->end = (int32_t)end;
    else
        for (int i = 0; i < n; i++)
            add_symbol(w, id[i], at, end);
}

static void put_out(const eh_bpe *b, eh_bpe_work *w, eh_str word, symbol s)
{
    if (s.id < b->vocab->n) {
        w->out[w->n_out++] = (eh_bpe_piece){s.id, s.at, s.end};
        return;
    }
    int32_t id[4]; /* a character that had a symbol for the sake of merges */
    const int n = fallback(b, word, s.at, s.end, id);
    eh_bpe_piece *last = w->n_out > 0 ? &w->out[w->n_out - 1] : NULL;
    if (n == 1 && id[0] == b->unk && b->fuse_unk && last != NULL && last->id == b->unk)
        last->end = s.end;
    else
        for (int i = 0; i < n; i++)
            w->out[w->n_out++] = (eh_bpe_piece){id[i], s.at, s.end};
}

/* Merges the symbols gathered so far and puts them out. */
static int settle(const eh_bpe *b, eh_bpe_work *w, eh_str word, merging method, eh_err *err)
{
    if (w->n_sym > 1 && (method == BY_SEARCH || (method == BY_LENGTH && w->n_sym <= SHORT_MAX))) {
        w->n_sym = merge_by_search(b, w->sym, w->n_sym);
    } else if (w->n_sym > 1) {
        const int rc = merge_by_heap(b, w, err);
        if (rc < 0)
            return rc;
    }
    void *p = w->out;
    if (!grow(&p, &w->room_out, w->n_out + 4 * w->n_sym, (int64_t)sizeof *w->out))
        return no_room(w->n_sym, err);
    w->out = p;
    for (int64_t i = 0; i < w->n_sym; i++)
        put_out(b, w, word, w->sym[i]);
    w->n_sym = 0;
    return EH_OK;
}

static int encode_word(const eh_bpe *b, eh_bpe_work *w, eh_str word, merging method, eh_err *err)
{
    w->n_sym = w->n_out = 0;
    void *p = w->sym;
    if (word.n > INT32_MAX)
        return eh_fail(err, EH_ERANGE,
                       "a stretch of text without a place to cut has %lld bytes; up to %d are supported",
                       (long long)word.n, INT32_MAX);
    if (!grow(&p, &w->room_sym, word.n + 4, (int64_t)sizeof *w->sym))
        return no_room(word.n, err);
    w->sym = p;
    if (b->byte_level) {
        const int32_t whole = b->whole_words ? eh_names_get(&b->raw, word) : -1;
        if (whole >= 0) {
            add_symbol(w, whole, 0, word.n);
        } else {
            for (int64_t i = 0; i < word.n; i++) {
                const int32_t id = b->byte_id[(unsigned char)word.p[i]];
                if (id >= 0)
                    add_symbol(w, id, i, i + 1);
                else
                    add_fallback(b, w, word, i, i + 1);
            }
        }
        return settle(b, w, word, method, err);
    }
    const int32_t whole = b->whole_words ? token_of(b, word) : -1;
    if (whole >= 0) {
        add_symbol(w, whole, 0, word.n);
        return settle(b, w, word, method, err);
    }
    int32_t left = -1;
    for (int64_t at = 0; at < word.n;) {
        int32_t c;
        const int len = eh_utf8_next(word, at, &c);
        if (left >= 0 && b->touch != NULL && !may_touch(b->touch, left, c)) {
            const int rc = settle(b, w, word, method, err);
            if (rc < 0)
                return rc;
        }
        left = c;
        const eh_str text = {word.p + at, len};
        int32_t id = token_of(b, text);
        if (id < 0 && b->n_extra > 0) {
            id = eh_names_get(&b->extra_names, text);
            id = id < 0 ? -1 : id + (int32_t)b->vocab->n;
        }
        if (id >= 0)
            add_symbol(w, id, at, at + len);
        else
            add_fallback(b, w, word, at, at + len);
        at += len;
    }
    return settle(b, w, word, method, err);
}

int eh_bpe_word(const eh_bpe *b, eh_bpe_work *w, eh_str word, const eh_bpe_piece **piece, int64_t *n, eh_err *err)
{
    const int rc = encode_word(b, w, word, BY_LENGTH, err);
    *piece = w->out;
    *n = w->n_out;
    return rc;
}

int eh_bpe_word_by(const eh_bpe *b, eh_bpe_work *w, eh_str word, bool heap, const eh_bpe_piece **piece, int64_t *n,
                   eh_err *err)
{
    const int rc = encode_word(b, w, word, heap ? BY_HEAP : BY_SEARCH, err);
    *piece = w->out;
    *n = w->n_out;
    return rc;
}
