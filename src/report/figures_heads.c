/* Where the bias lives: maps of heads, curves over layers, confirmation by ablation. */
#include <math.h>
#include <stdlib.h>

#include "report/figures.h"
#include "report/tables.h"
#include "report/verdict.h"

#define WIDTH 760.0
#define LEFT 64.0
#define ROOM 672.0 /* for the map, across */
#define SIGNED 12  /* pixels from which a cell has room for its sign */
#define GRADES 10  /* steps of colour to each side of 0 */

static double largest(const double *map, int64_t n, double most)
{
    for (int64_t i = 0; map != NULL && i < n; i++)
        if (fabs(map[i]) > most) /* not for NaN */
            most = fabs(map[i]);
    return most;
}

/* Grade of a value: -GRADES..GRADES, 0 where it is smaller than half a grade. */
static int grade_of(double v, double most)
{
    return isnan(v) ? 0 : (int)lround(v / most * GRADES);
}

/* A layer is a column, a head a row; with few layers the cells are wide, and never higher than wide. */
typedef struct grid {
    double w, h; /* of a cell, pixels */
    double top;
} grid;

static grid grid_of(const eh_record *r)
{
    const double w = ROOM / (double)r->model.n_layer;
    grid g = {.w = w > 64 ? 64 : w > 4 ? floor(w) : w, .top = 12};
    g.h = g.w > 22 ? 22 : g.w;
    return g;
}

/* All cells of one grade are one path: a map of 126 x 128 heads stays a small file. */
static void put_cells(eh_svg *s, const eh_record *r, const double *map, double most, const grid *g)
{
    const int64_t n_head = r->model.n_head;
    for (int grade = -GRADES; grade <= GRADES; grade++) {
        bool any = false;
        for (int64_t i = 0; grade != 0 && i < r->model.n_layer * n_head; i++) {
            if (grade_of(map[i], most) != grade)
                continue;
            if (!any)
                eh_buf_printf(s->b, "<path class=\"%s\" fill-opacity=\"%s%d\" d=\"", grade < 0 ? "neg" : "pos",
                              abs(grade) == GRADES ? "" : "0.", abs(grade) == GRADES ? 1 : abs(grade));
            any = true;
            eh_buf_char(s->b, 'M');
            eh_put_coord(s->b, LEFT + g->w * (double)(i / n_head));
            eh_buf_char(s->b, ' ');
            eh_put_coord(s->b, g->top + g->h * (double)(i % n_head));
            eh_buf_char(s->b, 'h');
            eh_put_coord(s->b, g->w);
            eh_buf_char(s->b, 'v');
            eh_put_coord(s->b, g->h);
            eh_buf_char(s->b, 'h');
            eh_put_coord(s->b, -g->w);
            eh_buf_char(s->b, 'z');
        }
        if (any)
            eh_buf_str(s->b, EH_STR("\"/>\n"));
    }
}

/* What is not defined is not 0: a stroke through the cell. */
static void put_undefined(eh_svg *s, const eh_record *r, const double *map, const grid *g)
{
    const int64_t n_head = r->model.n_head;
    bool any = false;
    for (int64_t i = 0; i < r->model.n_layer * n_head; i++) {
        if (!isnan(map[i]))
            continue;
        eh_buf_str(s->b, any ? EH_STR("M") : EH_STR("<path class=\"void\" d=\"M"));
        any = true;
        eh_put_coord(s->b, LEFT + g->w * ((double)(i / n_head) + 0.2));
        eh_buf_char(s->b, ' ');
        eh_put_coord(s->b, g->top + g->h * ((double)(i % n_head) + 0.8));
        eh_buf_char(s->b, 'l');
        eh_put_coord(s->b, 0.6 * g->w);
        eh_buf_char(s->b, ' ');
        eh_put_coord(s->b, -0.6 * g->h);
    }
    if (any)
        eh_buf_str(s->b, EH_STR("\"/>\n"));
}

#define TITLED 2048 /* cells that get a title of their own, which pointers show */

static void put_titles(eh_svg *s, const eh_record *r, const double *map, double most, const grid *g)
{
    const int64_t n_head = r->model.n_head, n = r->model.n_layer * n_head;
    for (int64_t i = 0; i < n; i++) {
        const double x = LEFT + g->w * (double)(i / n_head), y = g->top + g->h * (double)(i % n_head);
        if (g->h >= SIGNED && fabs(map[i]) >= 0.5 * most) /* the sign, for those who do not see the colour */
            eh_svg_text(s, fabs(map[i]) > 0.75 * most ? "sign on" : "sign", x + g->w / 2, y + g->h / 2 + 4, 'm',
                        map[i] > 0 ? "+" : "\xE2\x88\x92");
        if (n > TITLED)
            continue;
        eh_buf_str(s->b, EH_STR("<rect class=\"hit\" x=\""));
        eh_put_coord(s->b, x);
        eh_buf_str(s->b, EH_STR("\" y=\""));
        eh_put_coord(s->b, y);
        eh_buf_str(s->b, EH_STR("\" width=\""));
        eh_put_coord(s->b, g->w);
        eh_buf_str(s->b, EH_STR("\" height=\""));
        eh_put_coord(s->b, g->h);
        eh_buf_printf(s->b, "\"><title>layer %lld, head %lld: ", (long long)(i / n_head), (long long)(i % n_head));
        eh_put_html(s->b, eh_fixed(s->w, map[i], 3));
        if (r->locate.q != NULL && !isnan(r->locate.q[i]))
            eh_put_html(s->b, eh_say(s->w, ", q %s", eh_chance(s->w, r->locate.q[i])));
        eh_buf_str(s->b, EH_STR("</title></rect>\n"));
    }
}

static void put_selected(eh_svg *s, const char *cls, const eh_record *r, const grid *g)
{
    for (int64_t i = 0; i < r->locate.n_selected; i++) {
        const double x = LEFT + g->w * (double)r->locate.selected[i].layer;
        const double y = g->top + g->h * (double)r->locate.selected[i].head;
        const double by = g->h >= SIGNED ? 1 : 0.5;
        eh_svg_rect(s, cls, x - by, y - by, g->w + 2 * by, g->h + 2 * by);
    }
}

static void put_colour_scale(eh_svg *s, double most, double y, const char *unit, bool picked)
{
    const double step = 11, from = LEFT, width = step * (2 * GRADES + 1);
    const int d = eh_decimals(most, NAN, NAN);
    eh_svg_rect(s, "mid", from, y, width, 12);
    for (int g = -GRADES; g <= GRADES; g++)
        if (g != 0) {
            eh_buf_printf(s->b, "<rect class=\"%s\" fill-opacity=\"%s%d\" x=\"", g < 0 ? "neg" : "pos",
                          abs(g) == GRADES ? "" : "0.", abs(g) == GRADES ? 1 : abs(g));
            eh_put_coord(s->b, from + step * (g + GRADES));
            eh_buf_str(s->b, EH_STR("\" y=\""));
            eh_put_coord(s->b, y);
            eh_buf_str(s->b, EH_STR("\" width=\"11\" height=\"12\"/>\n"));
        }
    eh_svg_rect(s, "frame", from, y, width, 12);
    eh_svg_text(s, "tick", from, y + 27, 's', eh_fixed(s->w, -most, d));
    eh_svg_text(s, "tick", from + width / 2, y + 27, 'm', "0");
    eh_svg_text(s, "tick", from + width, y + 27, 'e', eh_signed(s->w, most, d));
    eh_svg_text(s, "tick", from + width + 14, y + 11, 's', eh_shortened(s->w, unit, 40));
    if (picked) {
        eh_svg_rect(s, "pick", from + width + 260, y, 12, 12);
        eh_svg_text(s, "tick", from + width + 280, y + 11, 's', "selected head");
    }
}

static void put_map(eh_doc *d, const eh_record *r, const double *map, double most, bool after)
{
    const int64_t n_layer = r->model.n_layer, n_head = r->model.n_head;
    const grid g = grid_of(r);
    const double height = g.h * (double)n_head, width = g.w * (double)n_layer, top = g.top;
    const char *statistic = r->locate.statistic == NULL ? "score" : r->locate.statistic;
    const char *unit = r->locate.unit == NULL ? "score" : r->locate.unit;
    const char *id = after ? "heads-after" : "heads-before";
    const char *title = !after && r->locate.after == NULL ? "Every attention head"
                        : after                           ? "Every attention head, after the edit"
                                                          : "Every attention head, before the edit";
    eh_svg s = eh_doc_figure(d, id, title);
    if (d->html) {
        const int64_t every = n_layer > 64   ? 10
                              : n_layer > 16 ? 5
                                             : 1,
                      every_head = g.h >= SIGNED ? 1
                                   : n_head > 32 ? 8
                                                 : 4;
        eh_svg_open(&s, id, WIDTH, top + height + 92, title,
                    eh_say(d->w,
                           "Heat map of %s layers across and %s heads down; %s heads are outlined as selected. The "
                           "table below holds the numbers.",
                           eh_count(d->w, n_layer), eh_count(d->w, n_head), eh_count(d->w, r->locate.n_selected)));
        eh_svg_rect(&s, "mid", LEFT, top, width, height);
        put_cells(&s, r, map, most, &g);
        put_undefined(&s, r, map, &g);
        eh_svg_rect(&s, "frame", LEFT, top, width, height);
        put_selected(&s, "halo", r, &g); /* keeps the dark outline apart from a dark cell */
        put_selected(&s, "pick", r, &g);
        put_titles(&s, r, map, most, &g);
        for (int64_t l = 0; l < n_layer; l += every)
            eh_svg_text(&s, "tick", LEFT + g.w * ((double)l + 0.5), top + height + 15, 'm', eh_count(d->w, l));
        for (int64_t h = 0; h < n_head; h += every_head)
            eh_svg_text(&s, "tick", LEFT - 6, top + g.h * ((double)h + 0.5) + 4, 'e', eh_count(d->w, h));
        eh_svg_text(&s, "label", LEFT + width / 2, top + height + 33, 'm', "layer");
        eh_svg_text_up(&s, "label", LEFT - 42, top + height / 2, "head");
        put_colour_scale(&s, most, top + height + 52, eh_say(d->w, "%s (%s)", statistic, unit),
                         r->locate.n_selected > 0);
        eh_svg_close(&s);
    }
    const char *of = r->locate.measure == NULL ? ""
                                               : eh_say(d->w, " in correlation with %s over %s items",
                                                        r->locate.measure, eh_count(d->w, r->locate.n_item));
    const char *caption =
        after ? "The same measurement on the edited model, in the same colours. The outlined heads are those that were "
                "selected."
              : eh_say(d->w,
                       "Each cell is one head: %s%s. %s, pale is near 0, a stroke means not defined; %s A strong "
                       "colour alone proves nothing: with many heads some look strong by chance.",
                       statistic, of,
                       g.h >= SIGNED ? "Orange and + are above 0, blue and \xE2\x88\x92 below"
                                     : "Orange is above 0, blue below",
                       r->locate.n_selected > 0 ? "outlined heads were selected." : "no head was selected.");
    const eh_table t = eh_map_table(r, d->w, map);
    eh_doc_figure_end(d, caption, &t, after ? "heads_after" : "heads_before");
}

void eh_figures_heads(eh_doc *d, const eh_record *r)
{
    const int64_t n = r->model.n_layer * r->model.n_head;
    double most = largest(r->locate.after, n, largest(r->locate.before, n, 0));
    if (most <= 0)
        most = 1;
    if (r->locate.before != NULL)
        put_map(d, r, r->locate.before, most, false);
    if (r->locate.after != NULL)
        put_map(d, r, r->locate.after, most, true);
}

#define CURVES 8
#define STRIP 96.0

void eh_figure_layers(eh_doc *d, const eh_record *r)
{
    const int64_t n = r->model.n_layer, shown = r->n_curve < CURVES ? r->n_curve : CURVES;
    double *px = eh_new(&d->w->mem, double, n + 1), *py = eh_new(&d->w->mem, double, n + 1);
    d->w->starved |= px == NULL || py == NULL;
    if (r->n_curve == 0 || px == NULL || py == NULL)
        return;
    eh_svg s = eh_doc_figure(d, "layers", "Layer by layer");
    if (d->html) {
        const double cell = grid_of(r).w, width = cell * (double)n, bottom = STRIP * (double)shown;
        const int64_t every = n > 64 ? 10 : n > 16 ? 5 : 1;
        eh_svg_open(&s, "layers", WIDTH, bottom + 44, "Layer by layer",
                    eh_say(d->w, "%s curves over %s layers.", eh_count(d->w, shown), eh_count(d->w, n)));
        for (int64_t c = 0; c < shown; c++) {
            const double top = STRIP * (double)c + 26, low_y = top + STRIP - 42;
            double low = INFINITY, high = -INFINITY;
            for (int64_t l = 0; l < n; l++)
                if (!isnan(r->curve[c].value[l])) {
                    low = fmin(low, r->curve[c].value[l]);
                    high = fmax(high, r->curve[c].value[l]);
                }
            const eh_scale y = eh_scale_nice(low, high, low_y, top, 2);
            for (int64_t l = 0; l < n; l++) {
                px[l] = LEFT + cell * ((double)l + 0.5);
                py[l] = eh_scale_at(&y, r->curve[c].value[l]);
            }
            eh_svg_axis_y(&s, &y, LEFT, width, NULL);
            eh_svg_text(&s, "name", LEFT, top - 8, 's', eh_shortened(d->w, r->curve[c].name, 80));
            eh_svg_path(&s, "curve", px, py, n);
            for (int64_t l = 0; l < n && n <= 64; l++)
                if (!isnan(py[l]))
                    eh_svg_circle(&s, "curve dot", px[l], py[l], 2);
        }
        for (int64_t l = 0; l < n; l += every)
            eh_svg_text(&s, "tick", LEFT + cell * ((double)l + 0.5), bottom + 6, 'm', eh_count(d->w, l));
        eh_svg_text(&s, "label", LEFT + width / 2, bottom + 26, 'm', "layer");
        eh_svg_close(&s);
    }
    const eh_table t = eh_figure_table_of("layers", r, d->w);
    eh_doc_figure_end(d,
                      eh_say(d->w,
                             "Each strip shows one quantity on its own scale; layers run as in the maps "
                             "above.%s",
                             r->n_curve > shown ? " The table has more curves than are drawn." : ""),
                      &t, "layers");
}
