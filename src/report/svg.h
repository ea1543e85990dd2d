/*
 * The pen: shapes of a figure as inline SVG. Colours are classes of the page's style sheet, so that
 * a figure follows light, dark and print.
 *
 *     eh_svg_open(&s, "controls", 760, 200, "title", "what is to be seen");
 *     const eh_scale x = eh_scale_nice(low, high, 60, 640);
 *     eh_svg_axis_x(&s, &x, 160, 20, "change (score)");
 *     eh_svg_circle(&s, "before", eh_scale_at(&x, v), 100, 5);
 *     eh_svg_close(&s);
 */
#ifndef EH_REPORT_SVG_H
#define EH_REPORT_SVG_H

#include "report/words.h"

typedef struct eh_svg {
    eh_buf *b;
    eh_words *w;
} eh_svg;

void eh_svg_open(eh_svg *s, const char *id, double width, double height, const char *title, const char *desc);
void eh_svg_close(eh_svg *s);
void eh_svg_line(eh_svg *s, const char *cls, double x1, double y1, double x2, double y2);
void eh_svg_rect(eh_svg *s, const char *cls, double x, double y, double width, double height);
void eh_svg_circle(eh_svg *s, const char *cls, double x, double y, double r);
void eh_svg_diamond(eh_svg *s, const char *cls, double x, double y, double r);
/* Anchor: 's' start, 'm' middle, 'e' end. */
void eh_svg_text(eh_svg *s, const char *cls, double x, double y, char anchor, const char *text);
/* The same, turned to run upwards. */
void eh_svg_text_up(eh_svg *s, const char *cls, double x, double y, const char *text);
/* At most n characters of a text, an ellipsis in place of the rest. */
const char *eh_shortened(eh_words *w, const char *text, int64_t n);

/* A polyline through [n] points; where one is NaN the line is cut. */
void eh_svg_path(eh_svg *s, const char *cls, const double *x, const double *y, int64_t n);

typedef struct eh_scale {
    double low, high;      /* data */
    double from, to;       /* pixels */
    double first, step;    /* ticks */
    int n_tick, decimals;
} eh_scale;

/* A scale whose ends are ticks, of about `want` steps. low == high and low > high are mended. */
eh_scale eh_scale_nice(double low, double high, double from, double to, int want);
double eh_scale_at(const eh_scale *s, double x);

/* Ticks, labels, grid lines from y up by `up` pixels, and the title below; likewise to the left. */
void eh_svg_axis_x(eh_svg *s, const eh_scale *x, double y, double up, const char *title);
void eh_svg_axis_y(eh_svg *s, const eh_scale *y, double x, double right, const char *title);

#endif
