#include "text/vocab.h"

#include <string.h>

/* At most half full and well mixed, 1,000,000 names need some 60 steps. */
#define SEARCH_MAX 1024

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

static uint64_t hash_of(eh_str s)
{
    uint64_t h = (uint64_t)s.n * 0x9E3779B97F4A7C15u;
    const char *p = s.p;
    int64_t left = s.n;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = mix(h ^ w) + 0x9E3779B97F4A7C15u;
    }
    uint64_t w = 0;
    for (int64_t i = 0; i < left; i++)
        w |= (uint64_t)(unsigned char)p[i] << 8 * i;
    return mix(h ^ w);
}

int eh_names_init(eh_names *t, eh_arena *a, const eh_str *key, int64_t n, const char *where, eh_err *err)
{
    int64_t room = 64;
    while (room < 2 * n)
        room *= 2;
    eh_name_slot *slot = eh_new_raw(a, eh_name_slot, room);
    if (slot == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for a table of %lld names", where, (long long)n);
    for (int64_t i = 0; i < room; i++)
        slot[i] = (eh_name_slot){0, -1};
    *t = (eh_names){key, slot, (uint64_t)room - 1};
    return EH_OK;
}

int eh_names_put(eh_names *t, int32_t id, int32_t *other, const char *where, eh_err *err)
{
    const eh_str key = t->key[id];
    const uint64_t h = hash_of(key);
    const uint32_t tag = (uint32_t)(h >> 32);
    for (uint64_t i = 0; i < SEARCH_MAX; i++) {
        eh_name_slot *s = &t->slot[(h + i) & t->mask];
        if (s->id < 0) {
            *s = (eh_name_slot){tag, id};
            return EH_OK;
        }
        if (s->tag == tag && eh_str_eq(t->key[s->id], key)) {
            *other = s->id;
            return eh_fail(err, EH_EFORMAT, "%s: tokens %d and %d are spelt alike", where, (int)s->id, (int)id);
        }
    }
    *other = -1;
    return eh_fail(err, EH_EFORMAT,
                   "%s: token %d: too many spellings share a place in the table; the vocabulary looks made for it",
                   where, (int)id);
}

int32_t eh_names_get(const eh_names *t, eh_str key)
{
    const uint64_t h = hash_of(key);
    const uint32_t tag = (uint32_t)(h >> 32);
    for (uint64_t i = 0; i < SEARCH_MAX; i++) {
        const eh_name_slot *s = &t->slot[(h + i) & t->mask];
        if (s->id < 0)
            return -1;
        if (s->tag == tag && eh_str_eq(t->key[s->id], key))
            return s->id;
    }
    return -1;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

int eh_byte_of(eh_str s)
{
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>')
        return -1;
    const int high = hex(s.p[3]), low = hex(s.p[4]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

/* Printable Latin-1 bytes stand for themselves; the 68 others, in order, for U+0100 and on
 * (bytes_to_unicode in GPT-2's encoder.py). */
static bool stands_for_itself(int b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

int32_t eh_byte_char(uint8_t byte)
{
    if (stands_for_itself(byte))
        return byte;
    int32_t before = 0;
    for (int b = 0; b < byte; b++)
        before += !stands_for_itself(b);
    return 256 + before;
}

int64_t eh_byte_text(eh_str spelling, char *out)
{
    int64_t n = 0;
    for (int64_t at = 0; at < spelling.n;) {
        int32_t c;
        const int len = eh_utf8_next(spelling, at, &c);
        if (len == 0)
            return -1;
        if (c < 256) {
            if (!stands_for_itself(c))
                return -1;
        } else {
            /* 0..32, then 127..160, then 173 */
            const int32_t k = c - 256;
            if (k > 67)
                return -1;
            c = k < 33 ? k : k < 67 ? k - 33 + 127 : 173;
        }
        out[n++] = (char)(unsigned char)c;
        at += len;
    }
    return n;
}
