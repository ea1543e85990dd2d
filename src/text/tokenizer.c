#include "text/tokenizer.h"

#include <string.h>

#include "text/chars.h"
#include "text/parts.h"

/* ---- Opening and closing ----------------------------------------------------------------- */

int eh_tokenizer_new(const char *where, eh_tokenizer **t, eh_err *err)
{
    eh_tokenizer *p = eh_calloc(1, (int64_t)sizeof *p);
    if (p != NULL) {
        p->where = eh_arena_text(&p->arena, where, (int64_t)strlen(where));
        p->bos = p->eos = -1;
        p->bpe.unk = -1;
        p->bpe.vocab = &p->vocab;
        p->decoder.vocab = &p->vocab;
    }
    if (p == NULL || p->where == NULL) {
        eh_tokenizer_close(p);
        return eh_fail(err, EH_ENOMEM, "%s: no memory for a tokenizer", where);
    }
    *t = p;
    return EH_OK;
}

void eh_tokenizer_close(eh_tokenizer *t)
{
    if (t == NULL)
        return;
    for (int64_t i = 0; i < t->n_norm; i++)
        eh_pattern_close(t->norm[i].pattern);
    for (int64_t i = 0; i < t->n_split; i++)
        eh_pattern_close(t->split[i].pattern);
    eh_arena_clear(&t->arena);
    eh_free(t);
}

int eh_vocab_init(eh_tokenizer *t, int64_t n, eh_err *err)
{
    eh_vocab *v = &t->vocab;
    if (n < 1 || n > EH_VOCAB_IDS_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: a vocabulary of %lld ids; 1 to %d are supported", t->where, (long long)n,
                       EH_VOCAB_IDS_MAX);
    v->spelling = eh_new(&t->arena, eh_str, n);
    v->flags = eh_new(&t->arena, uint8_t, n);
    if (v->spelling == NULL || v->flags == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for %lld tokens", t->where, (long long)n);
    v->n = n;
    return eh_names_init(&v->names, &t->arena, v->spelling, n, t->where, err);
}

void eh_bpe_find_bytes(eh_bpe *b)
{
    for (int i = 0; i < 256; i++) {
        char text[8];
        eh_str s = {text, 0};
        if (b->byte_level) {
            s.n = eh_utf8_put(eh_byte_char((uint8_t)i), text);
        } else {
            static const char hex[] = "0123456789ABCDEF";
            const char spelt[6] = {'<', '0', 'x', hex[i >> 4], hex[i & 15], '>'};
            memcpy(text, spelt, 6);
            s.n = 6;
        }
        b->byte_id[i] = eh_names_get(&b->vocab->names, s);
    }
}

int eh_bpe_find_raw(eh_tokenizer *t, eh_err *err)
{
    const eh_vocab *v = &t->vocab;
    int64_t total = 0;
    for (int64_t i = 0; i < v->n; i++)
        total += v->spelling[i].n;
    eh_str *raw = eh_new(&t->arena, eh_str, v->n);
    char *p = eh_new_raw(&t->arena, char, total);
    if (raw == NULL || p == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for the bytes of its tokens", t->where);
    int rc = eh_names_init(&t->bpe.raw, &t->arena, raw, v->n, t->where, err);
    for (int64_t i = 0; i < v->n && rc == EH_OK; i++) {
        if (v->spelling[i].n == 0 || (v->flags[i] & EH_TOKEN_HIDDEN) != 0)
            continue;
        const int64_t n = eh_byte_text(v->spelling[i], p);
        if (n < 0)
            continue;
        int32_t other;
        raw[i] = (eh_str){p, n};
        p += n;
        rc = eh_names_put(&t->bpe.raw, (int32_t)i, &other, t->where, err);
    }
    return rc;
}

int eh_bpe_add_merge(eh_tokenizer *t, eh_str left, eh_str right, int64_t rank, bool last_wins, eh_err *err)
{
    char both[2 * EH_TOKEN_BYTES_MAX];
    const eh_str part[2] = {left, right};
    int32_t id[2];
    for (int i = 0; i < 2; i++) {
        id[i] = eh_names_get(&t->vocab.names, part[i]);
        if (id[i] < 0)
            return eh_fail(err, EH_EFORMAT, "%s: merge %lld: \"%.*s\" is not a token", t->where, (long long)rank,
                           (int)(part[i].n < 100 ? part[i].n : 100), part[i].p);
    }
    memcpy(both, left.p, (size_t)left.n); /* tokens are at most EH_TOKEN_BYTES_MAX long */
    memcpy(both + left.n, right.p, (size_t)right.n);
    const int32_t made = eh_names_get(&t->vocab.names, (eh_str){both, left.n + right.n});
    if (made < 0)
        return eh_fail(err, EH_EFORMAT, "%s: merge %lld: \"%.*s\" and \"%.*s\" together are not a token", t->where,
                       (long long)rank, (int)(left.n < 100 ? left.n : 100), left.p,
                       (int)(right.n < 100 ? right.n : 100), right.p);
    return eh_bpe_add_pair(&t->bpe, id[0], id[1], made, (int32_t)rank, last_wins, t->where, err);
}

/* The texts that added tokens are looked for as: normalised like the text they are looked for in. */
static int normalize_added(eh_tokenizer *t, eh_added *added, int64_t n, eh_err *err)
{
    eh_flow flow[2] = {{.n_span = 0}, {.n_span = 0}};
    eh_matcher *m = NULL;
    int rc = eh_matcher_open(&m, err);
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        int now = 0;
        if (!added[i].normalized)
            continue;
        rc = eh_flow_borrow(&flow[0], added[i].text, 0, err);
        if (rc == EH_OK)
            rc = eh_normalize(t->norm, t->n_norm, m, flow, &now, err);
        if (rc < 0)
            break;
        const eh_str text = flow[now].text;
        if (text.n == 0) {
            rc = eh_fail(err, EH_EFORMAT, "%s: added token %d is normalised to nothing", t->where, (int)added[i].id);
            break;
        }
        added[i].text = (eh_str){eh_arena_text(&t->arena, text.p, text.n), text.n};
        if (added[i].text.p == NULL)
            rc = eh_fail(err, EH_ENOMEM, "%s: no memory for added token %d", t->where, (int)added[i].id);
    }
    eh_matcher_close(m);
    eh_flow_clear(&flow[0]);
    eh_flow_clear(&flow[1]);
    return rc;
}

int eh_tokenizer_finish(eh_tokenizer *t, eh_added *added, int64_t n, eh_err *err)
{
    /* Those looked for in the text as given first, the others behind them. */
    int64_t n_raw = 0;
    for (int64_t i = 0; i < n; i++) {
        if (added[i].normalized)
            continue;
        const eh_added a = added[i];
        added[i] = added[n_raw];
        added[n_raw++] = a;
    }
    int rc = n_raw == n ? EH_OK : normalize_added(t, added + n_raw, n - n_raw, err);
    if (rc == EH_OK)
        rc = eh_added_set_init(&t->raw, added, n_raw, t->where, err);
    if (rc == EH_OK)
        rc = eh_added_set_init(&t->normed, added + n_raw, n - n_raw, t->where, err);
    if (rc == EH_OK)
        rc = eh_bpe_finish(&t->bpe, &t->arena, t->where, err);
    if (rc == EH_OK)
        rc = eh_decoder_init(&t->decoder, &t->arena, t->decode_step, t->n_decode_step, t->where, err);
    for (int64_t i = 0; i < t->n_prefix + t->n_suffix && rc == EH_OK; i++) {
        const int32_t id = i < t->n_prefix ? t->prefix[i] : t->suffix[i - t->n_prefix];
        if (id < 0 || id >= t->vocab.n || t->vocab.spelling[id].p == NULL)
            rc = eh_fail(err, EH_EFORMAT, "%s: adds token %d to every text, and has no such token", t->where, (int)id);
    }
    return rc;
}

/* ---- Encoding ---------------------------------------------------------------------------- */

void eh_ids_clear(eh_ids *ids)
{
    eh_free(ids->id);
    eh_free(ids->start);
    eh_free(ids->end);
    *ids = (eh_ids){0};
}

typedef struct encoding {
    const eh_tokenizer *t;
    eh_str text;
    bool invalid; /* some bytes of text are not UTF-8: they are U+FFFD in base */
    bool literal;
    eh_flow base;       /* the text, valid */
    eh_flow section[2]; /* between added tokens, normalised */
    eh_flow part[2];    /* between added tokens of the normalised text */
    eh_flow *flow;      /* the one that words are cut from now */
    eh_matcher *m;
    eh_bpe_work *work;
    eh_ids ids;
    eh_buf raw;         /* a word's own bytes, where text is not UTF-8 */
    int64_t *raw_at;    /* [raw.n + 1]: where in the word each stands */
    int64_t raw_room;
} encoding;

static int ids_room(eh_ids *ids, int64_t more, eh_err *err)
{
    if (more <= ids->room - ids->n)
        return EH_OK;
    const int64_t room = 2 * ids->room + more + 32;
    int32_t *id = eh_realloc(ids->id, room, (int64_t)sizeof *id);
    if (id != NULL)
        ids->id = id;
    int64_t *start = id == NULL ? NULL : eh_realloc(ids->start, room, (int64_t)sizeof *start);
    if (start != NULL)
        ids->start = start;
    int64_t *end = start == NULL ? NULL : eh_realloc(ids->end, room, (int64_t)sizeof *end);
    if (end == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld token ids", (long long)room);
    ids->end = end;
    ids->room = room;
    return EH_OK;
}

static void ids_push(eh_ids *ids, int32_t id, int64_t start, int64_t end)
{
    ids->id[ids->n] = id;
    ids->start[ids->n] = start;
    ids->end[ids->n] = end;
    ids->n++;
}

int eh_ids_push(eh_ids *ids, int32_t id, int64_t start, int64_t end, eh_err *err)
{
    const int rc = ids_room(ids, 1, err);
    if (rc == EH_OK)
        ids_push(ids, id, start, end);
    return rc;
}

static int push_one(encoding *e, int32_t id, int64_t start, int64_t end, eh_err *err)
{
    const int rc = ids_room(&e->ids, 1, err);
    if (rc == EH_OK)
        ids_push(&e->ids, id, start, end);
    return rc;
}

/* The word's bytes as they were given: a byte that is not UTF-8 is U+FFFD in the flow, and stands
 * for a single byte of the source, which a true U+FFFD does not. */
static int raw_bytes(encoding *e, int64_t at, int64_t n, eh_err *err)
{
    const eh_str s = {e->flow->text.p, at + n};
    eh_buf_reset(&e->raw);
    if (e->raw_room < n + 1) {
        int64_t *p = eh_realloc(e->raw_at, 2 * (n + 1), (int64_t)sizeof *p);
        if (p == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for a word of %lld bytes", (long long)n);
        e->raw_at = p;
        e->raw_room = 2 * (n + 1);
    }
    for (int64_t i = at; i < at + n;) {
        int32_t c;
        const int len = eh_utf8_next(s, i, &c);
        int64_t from = 0, to = 0;
        if (c == 0xFFFD)
            eh_flow_range(e->flow, i, i + len, &from, &to);
        if (to - from == 1) {
            e->raw_at[e->raw.n] = i - at;
            eh_buf_char(&e->raw, e->text.p[from]);
        } else {
            for (int k = 0; k < len; k++)
                e->raw_at[e->raw.n + k] = i - at + k;
            eh_buf_bytes(&e->raw, s.p + i, len);
        }
        i += len;
    }
    e->raw_at[e->raw.n] = n;
    return eh_buf_check(&e->raw, "a word's bytes", err);
}

static int on_word(void *ctx, int64_t at, int64_t n, eh_err *err)
{
    encoding *e = ctx;
    const bool byte_level = e->t->bpe.byte_level;
    const bool raw = byte_level && e->invalid;
    const char *text = e->flow->text.p;
    const eh_bpe_piece *piece = NULL;
    int64_t n_piece = 0;
    int rc = raw ? raw_bytes(e, at, n, err) : EH_OK;
    if (rc == EH_OK)
        rc = eh_bpe_word(&e->t->bpe, e->work, raw ? eh_buf_get(&e->raw) : (eh_str){text + at, n}, &piece, &n_piece,
                         err);
    if (rc == EH_OK)
        rc = ids_room(&e->ids, n_piece, err);
    if (rc < 0)
        return rc;
    for (int64_t i = 0; i < n_piece; i++) {
        int64_t a = at + (raw ? e->raw_at[piece[i].at] : piece[i].at);
        int64_t b = at + (raw ? e->raw_at[piece[i].end] : piece[i].end);
        while (byte_level && (text[a] & 0xC0) == 0x80) /* a word begins and ends with whole characters */
            a--;
        while (byte_level && b < at + n && (text[b] & 0xC0) == 0x80)
            b++;
        int64_t start, end;
        eh_flow_range(e->flow, a, b, &start, &end);
        ids_push(&e->ids, piece[i].id, start, end);
    }
    return EH_OK;
}

static int encode_words(encoding *e, eh_flow *flow, eh_err *err)
{
    e->flow = flow;
    return eh_pretokenize(e->t->split, e->t->n_split, e->m, flow->text, on_word, e, err);
}

/* Bytes [a, b) of a normalised section, which hold no added token. */
static int encode_part(encoding *e, eh_flow *section, int64_t a, int64_t b, eh_err *err)
{
    int now = 0;
    if (a == b)
        return EH_OK;
    if (a == 0 && b == section->text.n && e->t->n_open == 0)
        return encode_words(e, section, err);
    eh_flow_begin(&e->part[0]);
    eh_flow_copy(&e->part[0], section, a, b);
    int rc = eh_flow_end(&e->part[0], err);
    if (rc == EH_OK)
        rc = eh_normalize(e->t->open, e->t->n_open, e->m, e->part, &now, err);
    return rc < 0 ? rc : encode_words(e, &e->part[now], err);
}

/* Bytes [a, b) of the text, which hold no added token but those of the normalised text. */
static int encode_section(encoding *e, int64_t a, int64_t b, eh_err *err)
{
    int now = 0, rc;
    if (a == b)
        return EH_OK;
    if (e->invalid) {
        eh_flow_begin(&e->section[0]);
        eh_flow_copy(&e->section[0], &e->base, a, b);
        rc = eh_flow_end(&e->section[0], err);
    } else {
        rc = eh_flow_borrow(&e->section[0], (eh_str){e->text.p + a, b - a}, a, err);
    }
    if (rc == EH_OK)
        rc = eh_normalize(e->t->norm, e->t->n_norm, e->m, e->section, &now, err);
    eh_flow *s = &e->section[now];
    int64_t at = 0, start, end;
    for (const eh_added *x;
         rc == EH_OK && (x = eh_added_find(&e->t->normed, s->text, at, e->literal, &start, &end)) != NULL; at = end) {
        int64_t from, to;
        rc = encode_part(e, s, at, start, err);
        eh_flow_range(s, start, end, &from, &to);
        if (rc == EH_OK)
            rc = push_one(e, x->id, from, to, err);
    }
    return rc < 0 ? rc : encode_part(e, s, at, s->text.n, err);
}

static int64_t first_invalid(eh_str s)
{
    for (int64_t at = 0; at < s.n;) {
        if ((unsigned char)s.p[at] < 0x80) {
            at++;
            continue;
        }
        const int len = eh_utf8_next(s, at, NULL);
        if (len == 0)
            return at;
        at += len;
    }
    return -1;
}

/* The text with U+FFFD for each byte that is not part of a character. */
static int make_valid(encoding *e, eh_err *err)
{
    eh_flow given = {0};
    int rc = eh_flow_borrow(&given, e->text, 0, err);
    eh_flow_begin(&e->base);
    int64_t copied = 0;
    for (int64_t at = 0; at < e->text.n && rc == EH_OK;) {
        const int len = eh_utf8_next(e->text, at, NULL);
        if (len == 0) {
            eh_flow_copy(&e->base, &given, copied, at);
            eh_flow_put(&e->base, EH_STR("\xEF\xBF\xBD"), &given, at, at + 1);
            copied = at + 1;
        }
        at += len > 0 ? len : 1;
    }
    if (rc == EH_OK) {
        eh_flow_copy(&e->base, &given, copied, e->text.n);
        rc = eh_flow_end(&e->base, err);
    }
    eh_flow_clear(&given);
    return rc;
}

int eh_tokenizer_encode(const eh_tokenizer *t, eh_str text, unsigned flags, eh_ids *ids, eh_err *err)
{
    encoding e = {.t = t, .text = text, .literal = (flags & EH_ENCODE_SPECIAL) == 0};
    int64_t at = 0, start, end;
    int rc = eh_matcher_open(&e.m, err);
    if (rc == EH_OK)
        rc = eh_bpe_work_open(&e.work, err);
    if (rc == EH_OK)
        rc = ids_room(&e.ids, EH_AFFIX_MAX + text.n / 4, err);
    if (rc < 0)
        goto done;
    e.invalid = first_invalid(text) >= 0;
    rc = e.invalid ? make_valid(&e, err) : eh_flow_borrow(&e.base, text, 0, err);
    for (int64_t i = 0; i < t->n_prefix && (flags & EH_ENCODE_DEFAULT) != 0; i++)
        ids_push(&e.ids, t->prefix[i], 0, 0);
    for (const eh_added *x;
         rc == EH_OK && (x = eh_added_find(&t->raw, e.base.text, at, e.literal, &start, &end)) != NULL; at = end) {
        int64_t from, to;
        rc = encode_section(&e, at, start, err);
        eh_flow_range(&e.base, start, end, &from, &to);
        if (rc == EH_OK)
            rc = push_one(&e, x->id, from, to, err);
    }
    if (rc == EH_OK)
        rc = encode_section(&e, at, e.base.text.n, err);
    for (int64_t i = 0; i < t->n_suffix && (flags & EH_ENCODE_DEFAULT) != 0 && rc == EH_OK; i++)
        rc = push_one(&e, t->suffix[i], 0, 0, err);
    if (rc == EH_OK) {
        eh_ids_clear(ids);
        *ids = e.ids;
        e.ids = (eh_ids){0};
    }
done:
    eh_ids_clear(&e.ids);
    eh_flow_clear(&e.base);
    for (int i = 0; i < 2; i++) {
        eh_flow_clear(&e.section[i]);
        eh_flow_clear(&e.part[i]);
    }
    eh_matcher_close(e.m);
    eh_bpe_work_close(e.work);
    eh_buf_clear(&e.raw);
    eh_free(e.raw_at);
    return rc;
}

/* ---- Decoding ---------------------------------------------------------------------------- */

void eh_stream_init(eh_stream *s, const eh_tokenizer *t, bool skip_special)
{
    *s = (eh_stream){.t = t, .skip_special = skip_special, .strip_left = t->decoder.strip_n};
}

/* Takes back what was appended when memory did not hold out. */
static int settle(const eh_stream *s, eh_buf *out, int64_t before, eh_err *err)
{
    int rc = eh_buf_check(&s->held, "text that is being decoded", err);
    if (rc == EH_OK)
        rc = eh_buf_check(out, "decoded text", err);
    if (rc < 0 && out->n > before) {
        out->n = before;
        out->p[before] = '\0';
    }
    return rc;
}

static int put(eh_stream *s, int32_t id, eh_buf *out, eh_err *err)
{
    if (id < 0)
        return eh_fail(err, EH_ERANGE, "%s: token id %d; ids begin at 0", s->t->where, (int)id);
    if (!s->skip_special || !eh_tokenizer_is_special(s->t, id))
        eh_decode_put(&s->t->decoder, s, id, out);
    return EH_OK;
}

int eh_stream_put(eh_stream *s, int32_t id, eh_buf *out, eh_err *err)
{
    const int64_t before = out->n;
    const int rc = put(s, id, out, err);
    return rc < 0 ? rc : settle(s, out, before, err);
}

int eh_stream_end(eh_stream *s, eh_buf *out, eh_err *err)
{
    const int64_t before = out->n;
    eh_decode_end(&s->t->decoder, s, out);
    return settle(s, out, before, err);
}

void eh_stream_clear(eh_stream *s)
{
    eh_buf_clear(&s->held);
}

int eh_tokenizer_decode(const eh_tokenizer *t, const int32_t *id, int64_t n, bool skip_special, eh_buf *out,
                        eh_err *err)
{
    const int64_t before = out->n;
    eh_stream s;
    int rc = EH_OK;
    eh_stream_init(&s, t, skip_special);
    for (int64_t i = 0; i < n; i++)
        if (id[i] < 0)
            return eh_fail(err, EH_ERANGE, "%s: token %lld has id %d; ids begin at 0", t->where, (long long)i,
                           (int)id[i]);
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        rc = put(&s, id[i], out, err);
    eh_decode_end(&t->decoder, &s, out);
    rc = settle(&s, out, before, err);
    eh_stream_clear(&s);
    return rc;
}

/* ---- Questions --------------------------------------------------------------------------- */

int64_t eh_tokenizer_n_vocab(const eh_tokenizer *t)
{
    return t->vocab.n;
}

int32_t eh_tokenizer_bos(const eh_tokenizer *t)
{
    return t->bos;
}

int32_t eh_tokenizer_eos(const eh_tokenizer *t)
{
    return t->eos;
}

static bool holds(const int32_t *list, int64_t n, int32_t id)
{
    for (int64_t i = 0; i < n; i++)
        if (list[i] == id && id >= 0)
            return true;
    return false;
}

bool eh_tokenizer_adds_bos(const eh_tokenizer *t)
{
    return holds(t->prefix, t->n_prefix, t->bos);
}

bool eh_tokenizer_adds_eos(const eh_tokenizer *t)
{
    return holds(t->suffix, t->n_suffix, t->eos);
}

const char *eh_tokenizer_kind(const eh_tokenizer *t)
{
    return t->bpe.byte_level ? "byte-level BPE" : "SentencePiece BPE";
}

int32_t eh_tokenizer_find(const eh_tokenizer *t, eh_str spelling)
{
    const eh_added_set *set[2] = {&t->raw, &t->normed};
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < set[k]->n; i++)
            if (eh_str_eq(t->vocab.spelling[set[k]->item[i].id], spelling))
                return set[k]->item[i].id;
    return eh_names_get(&t->vocab.names, spelling);
}

eh_str eh_tokenizer_token(const eh_tokenizer *t, int32_t id)
{
    const bool there = id >= 0 && id < t->vocab.n && t->vocab.spelling[id].p != NULL;
    return there ? t->vocab.spelling[id] : (eh_str){"", 0};
}

bool eh_tokenizer_is_special(const eh_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.n && (t->vocab.flags[id] & EH_TOKEN_SPECIAL) != 0;
}

eh_str eh_tokenizer_chat_template(const eh_tokenizer *t)
{
    return t->chat_template.p == NULL ? (eh_str){"", 0} : t->chat_template;
}
