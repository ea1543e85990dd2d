#include "text/flow.h"

#include "base/mem.h"

static void add_span(eh_flow *f, eh_span s)
{
    if (f->n_span > 0) {
        const eh_span *last = &f->span[f->n_span - 1];
        if (!last->whole && !s.whole && last->to == s.from && last->from + (s.at - last->at) == s.from) {
            f->span[f->n_span - 1].to = s.to;
            return;
        }
    }
    if (f->n_span == f->room) {
        const int64_t room = f->room < 16 ? 16 : 2 * f->room;
        eh_span *p = eh_realloc(f->span, room, (int64_t)sizeof *p);
        if (p == NULL) {
            f->fault = EH_ENOMEM;
            return;
        }
        f->span = p;
        f->room = room;
    }
    f->span[f->n_span++] = s;
}

int eh_flow_borrow(eh_flow *f, eh_str text, int64_t from, eh_err *err)
{
    eh_flow_begin(f);
    f->text = text;
    add_span(f, (eh_span){0, from, from + text.n, false});
    return f->fault < 0 ? eh_fail(err, f->fault, "no memory to take up %lld bytes of text", (long long)text.n) : EH_OK;
}

void eh_flow_begin(eh_flow *f)
{
    eh_buf_reset(&f->own);
    f->text = (eh_str){"", 0};
    f->n_span = 0;
    f->cursor = 0;
    f->fault = 0;
}

static int64_t span_at(eh_flow *f, int64_t at)
{
    int64_t i = f->cursor;
    while (i > 0 && f->span[i].at > at)
        i--;
    while (i + 1 < f->n_span && f->span[i + 1].at <= at)
        i++;
    return f->cursor = i;
}

void eh_flow_range(eh_flow *f, int64_t a, int64_t b, int64_t *from, int64_t *to)
{
    if (f->n_span == 0) {
        *from = *to = 0;
        return;
    }
    const eh_span *s = &f->span[span_at(f, a)];
    if (a == f->text.n && a > 0) { /* behind the last byte */
        *from = *to = s->to;
        return;
    }
    *from = s->whole ? s->from : s->from + (a - s->at);
    if (a == b) {
        *to = *from;
        return;
    }
    s = &f->span[span_at(f, b - 1)];
    *to = s->whole ? s->to : s->from + (b - s->at);
}

void eh_flow_copy(eh_flow *f, eh_flow *src, int64_t a, int64_t b)
{
    if (a == b || f->fault != 0)
        return;
    for (int64_t i = span_at(src, a), at = a; at < b; i++) {
        const eh_span *s = &src->span[i];
        const int64_t next = i + 1 < src->n_span ? src->span[i + 1].at : src->text.n;
        const int64_t end = next < b ? next : b;
        const int64_t here = f->own.n + (at - a);
        if (s->whole)
            add_span(f, (eh_span){here, s->from, s->to, true});
        else
            add_span(f, (eh_span){here, s->from + (at - s->at), s->from + (end - s->at), false});
        at = end;
    }
    eh_buf_bytes(&f->own, src->text.p + a, b - a);
}

void eh_flow_put(eh_flow *f, eh_str text, eh_flow *src, int64_t a, int64_t b)
{
    if (text.n == 0 || f->fault != 0)
        return;
    eh_span s = {.at = f->own.n, .whole = true};
    eh_flow_range(src, a, b, &s.from, &s.to);
    add_span(f, s);
    eh_buf_str(&f->own, text);
}

int eh_flow_end(eh_flow *f, eh_err *err)
{
    const int rc = eh_buf_check(&f->own, "normalised text", err);
    if (rc < 0)
        return rc;
    if (f->fault < 0)
        return eh_fail(err, f->fault, "no memory for the offsets of %lld bytes of normalised text",
                       (long long)f->own.n);
    f->text = eh_buf_get(&f->own);
    return EH_OK;
}

void eh_flow_clear(eh_flow *f)
{
    eh_buf_clear(&f->own);
    eh_free(f->span);
    *f = (eh_flow){0};
}
