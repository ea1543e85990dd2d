#include "text/decode.h"

#include <string.h>

#include "text/chars.h"

#define REPLACEMENT EH_STR("\xEF\xBF\xBD")

/* ---- Opening ----------------------------------------------------------------------------- */

static int64_t find_text(eh_str s, int64_t from, eh_str find)
{
    for (int64_t at = from; at + find.n <= s.n; at++)
        if (memcmp(s.p + at, find.p, (size_t)find.n) == 0)
            return at;
    return -1;
}

/* One step on one token: text -> *b (left empty when the step changes nothing). Says whether it did. */
static bool apply(const eh_decode_step *step, eh_str text, eh_buf *b)
{
    switch (step->kind) {
    case EH_DECODE_STEP_BYTES: {
        eh_buf_str(b, text);
        if (b->fault != 0)
            return false;
        const int64_t n = eh_byte_text(text, b->p); /* never longer than its spelling */
        if (n >= 0)
            b->n = n;
        return n >= 0; /* a token outside the alphabet is taken as it is spelt */
    }
    case EH_DECODE_STEP_REPLACE: {
        int64_t copied = 0, at = find_text(text, 0, step->find);
        if (at < 0)
            return false;
        for (; at >= 0; at = find_text(text, copied, step->find)) {
            eh_buf_bytes(b, text.p + copied, at - copied);
            eh_buf_str(b, step->text);
            copied = at + step->find.n;
        }
        eh_buf_bytes(b, text.p + copied, text.n - copied);
        return true;
    }
    case EH_DECODE_STEP_STRIP: {
        int64_t at = 0;
        for (int64_t i = 0; i < step->start && eh_str_starts((eh_str){text.p + at, text.n - at}, step->find); i++)
            at += step->find.n;
        if (at == 0)
            return false;
        eh_buf_bytes(b, text.p + at, text.n - at);
        return true;
    }
    }
    return false;
}

int eh_decoder_init(eh_decoder *d, eh_arena *a, const eh_decode_step *step, int64_t n_step, const char *where,
                    eh_err *err)
{
    const eh_vocab *v = d->vocab;
    eh_buf texts = {0}, one = {0}, next = {0};
    int rc = EH_OK;
    struct {
        int64_t at, n;
    } *place = eh_alloc(v->n, (int64_t)sizeof *place);
    d->text = eh_new(a, eh_str, v->n);
    if (d->text == NULL || place == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "%s: no memory for the texts of %lld tokens", where, (long long)v->n);
        goto done;
    }
    for (int64_t i = 0; i < v->n; i++) {
        eh_str text = v->spelling[i];
        bool changed = false;
        place[i].at = -1;
        if (text.p == NULL)
            continue;
        for (int64_t k = 0; k < n_step; k++) {
            eh_buf_reset(&next);
            const bool did = apply(&step[k], text, &next);
            if (next.fault != 0)
                break; /* asked for below */
            if (!did)
                continue;
            changed = true;
            const eh_buf t = one;
            one = next;
            next = t;
            text = eh_buf_get(&one);
        }
        if (changed) {
            place[i].at = texts.n;
            place[i].n = text.n;
            eh_buf_str(&texts, text);
        }
        rc = one.fault < 0 ? eh_buf_check(&one, "the text of a token", err)
                           : eh_buf_check(next.fault < 0 ? &next : &texts, "the texts of tokens", err);
        if (rc < 0)
            goto done;
    }
    char *p = eh_arena_text(a, texts.p, texts.n);
    if (p == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "%s: no memory for the texts of its tokens", where);
        goto done;
    }
    for (int64_t i = 0; i < v->n; i++)
        if (place[i].at >= 0)
            d->text[i] = (eh_str){p + place[i].at, place[i].n};
done:
    eh_free(place);
    eh_buf_clear(&texts);
    eh_buf_clear(&one);
    eh_buf_clear(&next);
    return rc;
}

/* ---- Decoding ---------------------------------------------------------------------------- */

/* Text that is settled, but for what is taken off the front of the whole. */
static void give(const eh_decoder *d, eh_stream *s, eh_str text, eh_buf *out)
{
    while (s->strip_left > 0 && text.n > 0) {
        if (!eh_str_starts(text, d->strip)) {
            s->strip_left = 0;
            break;
        }
        text = (eh_str){text.p + d->strip.n, text.n - d->strip.n};
        s->strip_left--;
    }
    eh_buf_str(out, text);
}

static bool is_utf8(eh_str s)
{
    for (int64_t at = 0; at < s.n;) {
        const int len = eh_utf8_next(s, at, NULL);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

/* A run of byte tokens has ended. */
static void end_run(const eh_decoder *d, eh_stream *s, eh_buf *out)
{
    const eh_str run = eh_buf_get(&s->held);
    if (is_utf8(run))
        give(d, s, run, out);
    else
        for (int64_t i = 0; i < run.n; i++)
            give(d, s, REPLACEMENT, out);
    eh_buf_reset(&s->held);
}

/* Gives what of the held bytes is whole characters, and U+FFFD for what never will be. */
static void give_whole(const eh_decoder *d, eh_stream *s, bool all, eh_buf *out)
{
    const eh_str held = eh_buf_get(&s->held);
    int64_t at = 0, given = 0;
    while (at < held.n) {
        const int step = eh_utf8_step((eh_str){held.p + at, held.n - at});
        if (step > 0) {
            at += step;
            continue;
        }
        if (step == 0 && !all)
            break;
        give(d, s, (eh_str){held.p + given, at - given}, out);
        give(d, s, REPLACEMENT, out);
        at = given = step == 0 ? held.n : at - step;
    }
    give(d, s, (eh_str){held.p + given, at - given}, out);
    if (at > 0) {
        memmove(s->held.p, s->held.p + at, (size_t)(held.n - at));
        s->held.n = held.n - at;
    }
}

void eh_decode_put(const eh_decoder *d, eh_stream *s, int32_t id, eh_buf *out)
{
    if (id < 0 || id >= d->vocab->n || d->vocab->spelling[id].p == NULL)
        return; /* rows that a model has beyond its vocabulary stand for no text */
    const eh_str text = d->text[id].p != NULL ? d->text[id] : d->vocab->spelling[id];
    const bool first = s->n_token++ == 0;
    if (d->bytes) {
        eh_buf_str(&s->held, text);
        give_whole(d, s, false, out);
        return;
    }
    const int byte = d->byte_fallback ? eh_byte_of(text) : -1;
    if (byte >= 0) {
        eh_buf_char(&s->held, (char)(unsigned char)byte);
        return;
    }
    if (s->held.n > 0)
        end_run(d, s, out);
    if (d->blank_between && !first)
        give(d, s, EH_STR(" "), out);
    if (d->metaspace.n == 0) {
        give(d, s, text, out);
        return;
    }
    int64_t copied = 0;
    for (int64_t at = find_text(text, 0, d->metaspace); at >= 0; at = find_text(text, copied, d->metaspace)) {
        give(d, s, (eh_str){text.p + copied, at - copied}, out);
        if (!first || !d->metaspace_drop)
            give(d, s, EH_STR(" "), out);
        copied = at + d->metaspace.n;
    }
    give(d, s, (eh_str){text.p + copied, text.n - copied}, out);
}

void eh_decode_end(const eh_decoder *d, eh_stream *s, eh_buf *out)
{
    if (d->bytes)
        give_whole(d, s, true, out);
    else if (s->held.n > 0)
        end_run(d, s, out);
}
