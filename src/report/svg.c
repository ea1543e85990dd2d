#include "report/svg.h"

#include <math.h>
#include <string.h>

static void attribute(eh_svg *s, const char *name, double x)
{
    eh_buf_printf(s->b, " %s=\"", name);
    eh_put_coord(s->b, x);
    eh_buf_char(s->b, '"');
}

void eh_svg_open(eh_svg *s, const char *id, double width, double height, const char *title, const char *desc)
{
    eh_buf_printf(s->b,
                  "<div class=\"plot\" tabindex=\"0\" role=\"group\" aria-label=\"Figure; scrolls sideways on small "
                  "screens\"><svg role=\"img\" aria-labelledby=\"%s-t %s-d\" viewBox=\"0 0 ",
                  id, id);
    eh_put_coord(s->b, width);
    eh_buf_char(s->b, ' ');
    eh_put_coord(s->b, height);
    eh_buf_printf(s->b, "\" xmlns=\"http://www.w3.org/2000/svg\"><title id=\"%s-t\">", id);
    eh_put_html(s->b, title);
    eh_buf_printf(s->b, "</title><desc id=\"%s-d\">", id);
    eh_put_html(s->b, desc);
    eh_buf_str(s->b, EH_STR("</desc>\n"));
}

void eh_svg_close(eh_svg *s)
{
    eh_buf_str(s->b, EH_STR("</svg></div>\n"));
}

void eh_svg_line(eh_svg *s, const char *cls, double x1, double y1, double x2, double y2)
{
    eh_buf_printf(s->b, "<line class=\"%s\"", cls);
    attribute(s, "x1", x1);
    attribute(s, "y1", y1);
    attribute(s, "x2", x2);
    attribute(s, "y2", y2);
    eh_buf_str(s->b, EH_STR("/>\n"));
}

void eh_svg_rect(eh_svg *s, const char *cls, double x, double y, double width, double height)
{
    eh_buf_printf(s->b, "<rect class=\"%s\"", cls);
    attribute(s, "x", x);
    attribute(s, "y", y);
    attribute(s, "width", width);
    attribute(s, "height", height);
    eh_buf_str(s->b, EH_STR("/>\n"));
}

void eh_svg_circle(eh_svg *s, const char *cls, double x, double y, double r)
{
    eh_buf_printf(s->b, "<circle class=\"%s\"", cls);
    attribute(s, "cx", x);
    attribute(s, "cy", y);
    attribute(s, "r", r);
    eh_buf_str(s->b, EH_STR("/>\n"));
}

void eh_svg_diamond(eh_svg *s, const char *cls, double x, double y, double r)
{
    const double xs[] = {x, x + r, x, x - r}, ys[] = {y - r, y, y + r, y};
    eh_buf_printf(s->b, "<path class=\"%s\" d=\"", cls);
    for (int i = 0; i < 4; i++) {
        eh_buf_char(s->b, i == 0 ? 'M' : 'L');
        eh_put_coord(s->b, xs[i]);
        eh_buf_char(s->b, ' ');
        eh_put_coord(s->b, ys[i]);
    }
    eh_buf_str(s->b, EH_STR("Z\"/>\n"));
}

static void put_text(eh_svg *s, const char *cls, double x, double y, char anchor, bool up, const char *text)
{
    eh_buf_printf(s->b, "<text class=\"%s\"", cls);
    attribute(s, "x", x);
    attribute(s, "y", y);
    if (anchor != 's')
        eh_buf_printf(s->b, " text-anchor=\"%s\"", anchor == 'm' ? "middle" : "end");
    if (up) {
        eh_buf_str(s->b, EH_STR(" transform=\"rotate(-90 "));
        eh_put_coord(s->b, x);
        eh_buf_char(s->b, ' ');
        eh_put_coord(s->b, y);
        eh_buf_str(s->b, EH_STR(")\""));
    }
    eh_buf_char(s->b, '>');
    eh_put_html(s->b, text);
    eh_buf_str(s->b, EH_STR("</text>\n"));
}

void eh_svg_text(eh_svg *s, const char *cls, double x, double y, char anchor, const char *text)
{
    put_text(s, cls, x, y, anchor, false, text);
}

void eh_svg_text_up(eh_svg *s, const char *cls, double x, double y, const char *text)
{
    put_text(s, cls, x, y, 'm', true, text);
}

const char *eh_shortened(eh_words *w, const char *text, int64_t n)
{
    const eh_str s = eh_str_of(text);
    int64_t at = 0, seen = 0, cut = 0;
    while (at < s.n && seen < n) {
        const int len = eh_utf8_next(s, at, NULL);
        if (++seen == n - 1)
            cut = at + (len > 0 ? len : 1);
        at += len > 0 ? len : 1;
    }
    return at >= s.n ? text : eh_say(w, "%.*s\xE2\x80\xA6", (int)cut, text);
}

void eh_svg_path(eh_svg *s, const char *cls, const double *x, const double *y, int64_t n)
{
    bool down = false;
    eh_buf_printf(s->b, "<path class=\"%s\" d=\"", cls);
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i]) || isnan(y[i])) {
            down = false;
            continue;
        }
        eh_buf_char(s->b, down ? 'L' : 'M');
        eh_put_coord(s->b, x[i]);
        eh_buf_char(s->b, ' ');
        eh_put_coord(s->b, y[i]);
        down = true;
    }
    eh_buf_str(s->b, EH_STR("\"/>\n"));
}

/* Steps of 1, 2 or 5 times a power of ten (Heckbert, Nice numbers for graph labels, Graphics Gems, 1990). */
eh_scale eh_scale_nice(double low, double high, double from, double to, int want)
{
    if (!(low <= high)) {
        low = 0;
        high = 1;
    }
    if (!(high - low > 1e-9 * fmax(fabs(low), fabs(high))) || high - low < 1e-30) {
        const double by = low == 0 ? 1 : fabs(low) / 2;
        low -= by;
        high += by;
    }
    const double raw = (high - low) / want, power = pow(10, floor(log10(raw))), part = raw / power;
    const double step = power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
    eh_scale s = {.from = from, .to = to, .step = step};
    s.low = s.first = step * floor(low / step + 1e-9);
    s.high = step * ceil(high / step - 1e-9);
    s.n_tick = (int)llround((s.high - s.low) / step) + 1;
    const double decimals = -floor(log10(step) + 1e-9);
    s.decimals = decimals < 0 ? 0 : decimals > 9 ? 9 : (int)decimals;
    return s;
}

double eh_scale_at(const eh_scale *s, double x)
{
    return s->from + (x - s->low) / (s->high - s->low) * (s->to - s->from);
}

void eh_svg_axis_x(eh_svg *s, const eh_scale *x, double y, double up, const char *title)
{
    for (int i = 0; i < x->n_tick; i++) {
        const double v = x->first + i * x->step, at = eh_scale_at(x, v);
        eh_svg_line(s, "grid", at, y - up, at, y);
        eh_svg_text(s, "tick", at, y + 15, 'm', eh_fixed(s->w, v, x->decimals));
    }
    eh_svg_line(s, "axis", x->from, y, x->to, y);
    eh_svg_text(s, "label", (x->from + x->to) / 2, y + 33, 'm', title);
}

void eh_svg_axis_y(eh_svg *s, const eh_scale *y, double x, double right, const char *title)
{
    for (int i = 0; i < y->n_tick; i++) {
        const double v = y->first + i * y->step, at = eh_scale_at(y, v);
        eh_svg_line(s, "grid", x, at, x + right, at);
        eh_svg_text(s, "tick", x - 6, at + 4, 'e', eh_fixed(s->w, v, y->decimals));
    }
    eh_svg_line(s, "axis", x, y->from, x, y->to);
    if (title != NULL)
        eh_svg_text_up(s, "label", x - 46, (y->from + y->to) / 2, title);
}
