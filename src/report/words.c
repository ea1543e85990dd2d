#include "report/words.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MINUS "\xE2\x88\x92"

void eh_words_clear(eh_words *w)
{
    eh_arena_clear(&w->mem);
    w->starved = false;
}

const char *eh_say(eh_words *w, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *s = n < 0 ? NULL : eh_new_raw(&w->mem, char, (int64_t)n + 1);
    if (s != NULL)
        vsnprintf(s, (size_t)n + 1, format, again);
    va_end(again);
    w->starved |= s == NULL;
    return s != NULL ? s : "";
}

int eh_decimals(double a, double b, double c)
{
    const double all[3] = {a, b, c};
    double most = 0;
    for (int i = 0; i < 3; i++)
        if (isfinite(all[i]) && fabs(all[i]) > most)
            most = fabs(all[i]);
    if (most >= 1000)
        return 0;
    if (most >= 10)
        return 1;
    if (most >= 1)
        return 2;
    int decimals = 3;
    while (most > 0 && most < 0.01 && decimals < 9) {
        most *= 10;
        decimals++;
    }
    return decimals;
}

/* |x| with so many decimals, in digits of our own. */
static void put_digits(eh_buf *b, double x, int decimals)
{
    double scale = 1;
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    if (!(fabs(x) * scale < 9e15)) {
        eh_buf_double(b, fabs(x));
        return;
    }
    const long long digits = llround(fabs(x) * scale), unit = (long long)scale;
    eh_buf_printf(b, "%lld", digits / unit);
    if (decimals > 0)
        eh_buf_printf(b, ".%0*lld", decimals, digits % unit);
}

static const char *keep(eh_words *w, eh_buf *b)
{
    const char *s = b->fault != 0 ? NULL : eh_arena_text(&w->mem, b->p, b->n);
    eh_buf_clear(b);
    w->starved |= s == NULL;
    return s != NULL ? s : "";
}

static bool rounds_to_zero(double x, int decimals)
{
    for (int i = 0; i < decimals; i++)
        x *= 10;
    return fabs(x) < 0.5;
}

const char *eh_fixed(eh_words *w, double x, int decimals)
{
    eh_buf b = {0};
    if (!isfinite(x))
        return "not defined";
    if (x < 0 && !rounds_to_zero(x, decimals))
        eh_buf_str(&b, EH_STR(MINUS));
    put_digits(&b, x, decimals);
    return keep(w, &b);
}

const char *eh_signed(eh_words *w, double x, int decimals)
{
    const bool up = x > 0 && !rounds_to_zero(x, decimals);
    return up ? eh_say(w, "+%s", eh_fixed(w, x, decimals)) : eh_fixed(w, x, decimals);
}

const char *eh_number(eh_words *w, double x)
{
    return eh_fixed(w, x, x == floor(x) && fabs(x) < 1e15 ? 0 : eh_decimals(x, 0, 0));
}

const char *eh_chance(eh_words *w, double p)
{
    if (p < 0.001)
        return "<\xC2\xA0"
               "0.001";
    return eh_say(w, "=\xC2\xA0%s", eh_fixed(w, p, p < 0.1 ? 3 : 2));
}

const char *eh_percent(eh_words *w, double share)
{
    return eh_say(w, "%s\xC2\xA0%%", eh_fixed(w, 100 * share, fabs(share) < 0.0995 ? 1 : 0));
}

const char *eh_count(eh_words *w, int64_t n)
{
    char plain[32];
    eh_buf b = {0};
    if (n < 0)
        return "not given";
    const int len = snprintf(plain, sizeof plain, "%lld", (long long)n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            eh_buf_char(&b, ',');
        eh_buf_char(&b, plain[i]);
    }
    return keep(w, &b);
}

/* ---- Escapes ---------------------------------------- */

void eh_put_html(eh_buf *b, const char *s)
{
    for (; *s != '\0'; s++) {
        switch (*s) {
        case '&': eh_buf_str(b, EH_STR("&amp;")); break;
        case '<': eh_buf_str(b, EH_STR("&lt;")); break;
        case '>': eh_buf_str(b, EH_STR("&gt;")); break;
        case '"': eh_buf_str(b, EH_STR("&quot;")); break;
        case '\'': eh_buf_str(b, EH_STR("&#39;")); break;
        default: eh_buf_char(b, *s);
        }
    }
}

void eh_put_markdown(eh_buf *b, const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '<')
            eh_buf_str(b, EH_STR("&lt;"));
        else if (*s == '&')
            eh_buf_str(b, EH_STR("&amp;"));
        else if (strchr("\\`*_[]|~$", *s) != NULL)
            eh_buf_printf(b, "\\%c", *s);
        else
            eh_buf_char(b, *s);
    }
}

void eh_put_csv(eh_buf *b, const char *s)
{
    if (strpbrk(s, ",\"\r\n") == NULL) {
        eh_buf_str(b, eh_str_of(s));
        return;
    }
    eh_buf_char(b, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"')
            eh_buf_char(b, '"');
        eh_buf_char(b, *s);
    }
    eh_buf_char(b, '"');
}

void eh_put_coord(eh_buf *b, double x)
{
    if (x < 0 && !rounds_to_zero(x, 1))
        eh_buf_char(b, '-');
    const long long tenths = llround(fabs(x) * 10);
    eh_buf_printf(b, "%lld", tenths / 10);
    if (tenths % 10 != 0)
        eh_buf_printf(b, ".%lld", tenths % 10);
}
