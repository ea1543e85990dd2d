#include "base/jsonw.h"

#include <string.h>

static void begin_line(eh_buf *b, int indent)
{
    eh_buf_char(b, '\n');
    for (int i = 0; i < indent; i++)
        eh_buf_char(b, ' ');
}

/* All that stands before a value: the comma behind the entry before, the line break, the key. */
static void lead(eh_jsonw *w, const char *key)
{
    bool *some = w->depth > 0 ? &w->some[w->depth - 1] : NULL;
    if (some != NULL && *some)
        eh_buf_char(w->b, ',');
    if (w->on_line)
        begin_line(w->b, w->indent);
    else if (w->lines && w->depth == 1 && *some)
        begin_line(w->b, w->margin);
    else if (some != NULL && *some && w->spaced)
        eh_buf_char(w->b, ' ');
    w->on_line = false;
    if (some != NULL)
        *some = true;
    if (key == NULL)
        return;
    eh_buf_json(w->b, eh_str_of(key));
    eh_buf_str(w->b, w->spaced ? EH_STR(": ") : EH_STR(":"));
}

void eh_jsonw_begin(eh_jsonw *w, const char *key, char open)
{
    lead(w, key);
    if (w->depth == EH_JSONW_DEPTH) {
        if (w->b->fault == 0)
            w->b->fault = EH_ERANGE;
        return;
    }
    eh_buf_char(w->b, open);
    w->close[w->depth] = open == '{' ? '}' : ']';
    w->some[w->depth++] = false;
}

void eh_jsonw_end(eh_jsonw *w)
{
    w->on_line = false;
    if (w->depth > 0)
        eh_buf_char(w->b, w->close[--w->depth]);
}

void eh_jsonw_end_on_line(eh_jsonw *w, int indent)
{
    begin_line(w->b, indent);
    eh_jsonw_end(w);
}

void eh_jsonw_finish(eh_jsonw *w)
{
    while (w->depth > 0)
        eh_jsonw_end(w);
    eh_buf_char(w->b, '\n');
}

void eh_jsonw_line(eh_jsonw *w, int indent)
{
    w->on_line = true;
    w->indent = indent;
}

void eh_jsonw_text(eh_jsonw *w, const char *key, const char *text)
{
    if (text == NULL)
        eh_jsonw_raw(w, key, EH_STR("null"));
    else
        eh_jsonw_str(w, key, eh_str_of(text));
}

void eh_jsonw_str(eh_jsonw *w, const char *key, eh_str text)
{
    lead(w, key);
    eh_buf_json(w->b, text);
}

void eh_jsonw_int(eh_jsonw *w, const char *key, int64_t x)
{
    lead(w, key);
    eh_buf_printf(w->b, "%lld", (long long)x);
}

void eh_jsonw_uint(eh_jsonw *w, const char *key, uint64_t x)
{
    lead(w, key);
    eh_buf_printf(w->b, "%llu", (unsigned long long)x);
}

void eh_jsonw_double(eh_jsonw *w, const char *key, double x)
{
    lead(w, key);
    eh_buf_double(w->b, x);
}

void eh_jsonw_float(eh_jsonw *w, const char *key, float x)
{
    lead(w, key);
    eh_buf_float(w->b, x);
}

void eh_jsonw_bool(eh_jsonw *w, const char *key, bool x)
{
    eh_jsonw_raw(w, key, x ? EH_STR("true") : EH_STR("false"));
}

void eh_jsonw_raw(eh_jsonw *w, const char *key, eh_str json)
{
    lead(w, key);
    eh_buf_str(w->b, json);
}

void eh_jsonw_ints(eh_jsonw *w, const char *key, const int64_t *x, int64_t n)
{
    eh_jsonw_begin(w, key, '[');
    for (int64_t i = 0; i < n; i++)
        eh_jsonw_int(w, NULL, x[i]);
    eh_jsonw_end(w);
}

void eh_jsonw_doubles(eh_jsonw *w, const char *key, const double *x, int64_t n)
{
    eh_jsonw_begin(w, key, '[');
    for (int64_t i = 0; i < n; i++)
        eh_jsonw_double(w, NULL, x[i]);
    eh_jsonw_end(w);
}

void eh_jsonw_floats(eh_jsonw *w, const char *key, const float *x, int64_t n)
{
    eh_jsonw_begin(w, key, '[');
    for (int64_t i = 0; i < n; i++)
        eh_jsonw_float(w, NULL, x[i]);
    eh_jsonw_end(w);
}

void eh_jsonw_texts(eh_jsonw *w, const char *lines)
{
    for (const char *p = lines != NULL ? lines : ""; *p != '\0';) {
        const size_t n = strcspn(p, "\n");
        eh_jsonw_str(w, NULL, (eh_str){p, (int64_t)n});
        p += n + (p[n] == '\n');
    }
}

static int append(const char *p, size_t n, void *b)
{
    eh_buf_bytes(b, p, (int64_t)n);
    return ((const eh_buf *)b)->fault == 0 ? 0 : -1;
}

void eh_buf_json_value(eh_buf *b, const json_t *v, int indent)
{
    const size_t layout = indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT;
    if (json_dump_callback(v, append, b, layout | JSON_ENCODE_ANY) != 0 && b->fault == 0)
        b->fault = EH_ENOMEM;
}
