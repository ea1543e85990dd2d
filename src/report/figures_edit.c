/* The edit: search, controls, confirmation, training. */
#include <math.h>
#include <stdlib.h>

#include "report/figures.h"
#include "report/tables.h"
#include "report/verdict.h"

#define WIDTH 760.0
#define LEFT 78.0
#define RIGHT 726.0

static void widen(double x, double *low, double *high)
{
    if (isnan(x))
        return;
    *low = fmin(*low, x);
    *high = fmax(*high, x);
}

static int by_x(const void *a, const void *b)
{
    const double *x = a, *y = b;
    if (x[0] != y[0])
        return x[0] < y[0] ? -1 : 1;
    return x[1] < y[1] ? -1 : x[1] > y[1];
}

/* ---- Search ---------------------------------------- */

/* The front as a staircase: between two points nothing better was seen. */
static void put_front(eh_svg *s, const eh_record *r, bool kl, const eh_scale *x, const eh_scale *y)
{
    const int64_t n = r->search.n_point;
    double *at = eh_new(&s->w->mem, double, 2 * n + 2); /* [n, 2] */
    double *px = eh_new(&s->w->mem, double, 2 * n + 1), *py = eh_new(&s->w->mem, double, 2 * n + 1);
    int64_t m = 0, k = 0;
    s->w->starved |= at == NULL || px == NULL || py == NULL;
    if (at == NULL || px == NULL || py == NULL)
        return;
    for (int64_t i = 0; i < n; i++) {
        const eh_point *p = &r->search.point[i];
        const double damage = kl ? p->kl_median : p->perplexity;
        if (!p->front || isnan(damage) || isnan(p->bias))
            continue;
        at[2 * m] = eh_scale_at(x, damage);
        at[2 * m++ + 1] = eh_scale_at(y, p->bias);
    }
    qsort(at, (size_t)m, 2 * sizeof *at, by_x);
    for (int64_t i = 0; i < m; i++) {
        if (i > 0) {
            px[k] = at[2 * i];
            py[k++] = at[2 * i - 1];
        }
        px[k] = at[2 * i];
        py[k++] = at[2 * i + 1];
    }
    eh_svg_path(s, "front", px, py, k);
}

void eh_figure_search(eh_doc *d, const eh_record *r)
{
    const int64_t n = r->search.n_point;
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    bool kl = false;
    if (n == 0)
        return;
    for (int64_t i = 0; i < n; i++)
        kl |= !isnan(r->search.point[i].kl_median);
    for (int64_t i = 0; i < n; i++) {
        widen(kl ? r->search.point[i].kl_median : r->search.point[i].perplexity, &x_low, &x_high);
        widen(r->search.point[i].bias, &y_low, &y_high);
    }
    const double original = kl ? 0 : r->search.perplexity;
    widen(original, &x_low, &x_high);
    widen(r->search.bias, &y_low, &y_high);

    const char *objective = r->search.objective == NULL ? "bias" : r->search.objective;
    eh_svg s = eh_doc_figure(d, "search", "What less bias costs");
    if (d->html) {
        const eh_scale x = eh_scale_nice(x_low, x_high, LEFT, RIGHT, 6), y = eh_scale_nice(y_low, y_high, 310, 36, 5);
        eh_svg_open(&s, "search", WIDTH, 358, "What less bias costs",
                    eh_say(d->w,
                           "Scatter plot of %s tried edits: damage across, bias up, with the front of edits that no "
                           "other beats in both.",
                           eh_count(d->w, n)));
        eh_svg_axis_y(&s, &y, LEFT, RIGHT - LEFT, eh_shortened(d->w, objective, 44));
        eh_svg_axis_x(&s, &x, 310, 274,
                      kl ? "damage: KL to the original, median over tokens (nats)" : "damage: perplexity");
        put_front(&s, r, kl, &x, &y);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t i = 0; i < n; i++) {
                const eh_point *p = &r->search.point[i];
                const double damage = kl ? p->kl_median : p->perplexity;
                if (isnan(damage) || isnan(p->bias) || p->chosen != (pass == 1))
                    continue;
                const double at_x = eh_scale_at(&x, damage), at_y = eh_scale_at(&y, p->bias);
                if (!p->chosen) {
                    eh_svg_circle(&s, p->front ? "point on" : "point", at_x, at_y, p->front ? 4.5 : 3.5);
                    continue;
                }
                eh_svg_diamond(&s, "after dot", at_x, at_y, 9);
                eh_svg_text(&s, "name total over", at_x + (at_x > RIGHT - 90 ? -14 : 14), at_y - 9,
                            at_x > RIGHT - 90 ? 'e' : 's', "chosen");
            }
        if (!isnan(r->search.bias) && !isnan(original)) {
            const double at_x = eh_scale_at(&x, original), at_y = eh_scale_at(&y, r->search.bias);
            eh_svg_rect(&s, "before dot", at_x - 5, at_y - 5, 10, 10);
            eh_svg_text(&s, "name over", at_x + 12, at_y + 4, 's', "original");
        }
        eh_svg_circle(&s, "point", LEFT + 10, 14, 3.5);
        eh_svg_text(&s, "tick", LEFT + 20, 18, 's', "tried");
        eh_svg_circle(&s, "point on", LEFT + 80, 14, 4.5);
        eh_svg_text(&s, "tick", LEFT + 90, 18, 's', "front: no other is better in both");
        eh_svg_close(&s);
    }
    const eh_table t = eh_figure_table_of("search", r, d->w);
    eh_doc_figure_end(
        d,
        "Each point is one edit that was tried, measured on the tune split; lower is less bias, further left "
        "is less damage. The split that judges the edit had no part in this.",
        &t, "search");
}

/* ---- Dots on a line: controls, confirmation ---------------------------------------- */

/* Stacks equal dots upwards so that none hides another; returns nothing, draws within `height`. */
static void put_dots(eh_svg *s, const char *cls, const double *v, int64_t n, const eh_scale *x, double base,
                     double height)
{
    enum { BINS = 80 };
    int64_t stack[BINS] = {0}, most = 1;
    const double width = (x->to - x->from) / BINS;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            for (int b = 0; b < BINS; b++) {
                most = stack[b] > most ? stack[b] : most;
                stack[b] = 0;
            }
        const double step = fmin(9, height / (double)most);
        for (int64_t i = 0; i < n; i++) {
            if (isnan(v[i]))
                continue;
            int bin = (int)((eh_scale_at(x, v[i]) - x->from) / width);
            bin = bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
            if (pass == 1 && n <= 2000)
                eh_svg_circle(s, cls, eh_scale_at(x, v[i]), base - 6 - step * (double)stack[bin], 4);
            stack[bin]++;
        }
        for (int b = 0; pass == 1 && n > 2000 && b < BINS; b++) /* too many to tell apart: bars */
            if (stack[b] > 0)
                eh_svg_rect(s, "bar before", x->from + width * b, base - step * (double)stack[b], width - 0.5,
                            step * (double)stack[b]);
    }
}

void eh_figure_controls(eh_doc *d, const eh_record *r)
{
    double low = 0, high = 0; /* "no change" is always in sight */
    if (!r->controls.given || (isnan(r->controls.edit) && r->controls.n_draw == 0))
        return;
    widen(r->controls.edit, &low, &high);
    for (int64_t i = 0; i < r->controls.n_draw; i++)
        widen(r->controls.draw[i], &low, &high);
    eh_svg s = eh_doc_figure(d, "controls-figure", "The edit among random edits");
    if (d->html) {
        const double base = 150;
        const eh_scale x = eh_scale_nice(low, high, 30, 730, 7);
        eh_svg_open(&s, "controls-figure", WIDTH, 196, "The edit among random edits",
                    eh_say(d->w, "%s random edits as dots, the chosen edit as a diamond, on the axis of change.",
                           eh_count(d->w, r->controls.n_draw)));
        eh_svg_axis_x(&s, &x, base, base - 40,
                      eh_shortened(d->w, r->controls.unit == NULL ? "change" : r->controls.unit, 90));
        eh_svg_line(&s, "zero", eh_scale_at(&x, 0), 40, eh_scale_at(&x, 0), base);
        eh_svg_text(&s, "tick", eh_scale_at(&x, 0), 32, 'm', "no change");
        put_dots(&s, "point", r->controls.draw, r->controls.n_draw, &x, base, 90);
        if (!isnan(r->controls.edit)) {
            const double at = eh_scale_at(&x, r->controls.edit);
            eh_svg_line(&s, "after", at, 24, at, base);
            eh_svg_diamond(&s, "after dot", at, base - 6, 8);
            eh_svg_text(&s, "name total", at + (at > 620 ? -8 : 8), 22, at > 620 ? 'e' : 's', "the edit");
        }
        eh_svg_close(&s);
    }
    const eh_table t = eh_figure_table_of("controls", r, d->w);
    eh_doc_figure_end(
        d,
        "Each dot is an edit of as many heads, drawn at random from the same layers, with the same strengths. "
        "Further left is less bias. Only an edit to the left of the dots is evidence that these heads, "
        "and not just any, matter.",
        &t, "controls");
}

void eh_figure_confirmation(eh_doc *d, const eh_record *r)
{
    double low = 0, high = 0;
    if (r->locate.n_top + r->locate.n_random == 0)
        return;
    for (int64_t i = 0; i < r->locate.n_top; i++)
        widen(r->locate.top[i], &low, &high);
    for (int64_t i = 0; i < r->locate.n_random; i++)
        widen(r->locate.random[i], &low, &high);
    eh_svg s = eh_doc_figure(d, "confirmation", "Does ablation confirm the map?");
    if (d->html) {
        const eh_scale x = eh_scale_nice(low, high, 130, 730, 6);
        eh_svg_open(&s, "confirmation", WIDTH, 182, "Confirmation by ablation",
                    "Two rows of dots: the effect of ablating the top heads, and of ablating random heads.");
        eh_svg_axis_x(&s, &x, 136, 120, "effect of ablating the head");
        eh_svg_line(&s, "zero", eh_scale_at(&x, 0), 16, eh_scale_at(&x, 0), 136);
        eh_svg_text(&s, "name", 4, 62, 's', "top heads");
        eh_svg_text(&s, "name", 4, 122, 's', "random heads");
        put_dots(&s, "after dot", r->locate.top, r->locate.n_top, &x, 72, 46);
        put_dots(&s, "point", r->locate.random, r->locate.n_random, &x, 132, 46);
        eh_svg_close(&s);
    }
    const eh_table t = eh_figure_table_of("confirmation", r, d->w);
    eh_doc_figure_end(d,
                      eh_say(d->w, "A map shows correlations, not causes; here each head was really ablated.%s",
                             isnan(r->locate.spearman)
                                 ? ""
                                 : eh_say(d->w,
                                          " The rank correlation (Spearman) of predicted and measured effects "
                                          "is %s.",
                                          eh_fixed(d->w, r->locate.spearman, 2))),
                      &t, "confirmation");
}

/* ---- Training ---------------------------------------- */

#define DRAWN 600 /* points of a curve; a longer one is thinned */

static void put_loss(eh_svg *s, const eh_record *r, bool tune, const eh_scale *x, const eh_scale *y)
{
    double px[DRAWN] = {0}, py[DRAWN] = {0};
    int64_t m = 0, seen = 0;
    const int64_t every = (r->n_step + DRAWN - 1) / DRAWN;
    for (int64_t i = 0; i < r->n_step && m < DRAWN; i++) {
        const double v = tune ? r->step[i].tune_loss : r->step[i].loss;
        if (isnan(v) || isnan(r->step[i].step) || seen++ % every != 0)
            continue;
        px[m] = eh_scale_at(x, r->step[i].step);
        py[m++] = eh_scale_at(y, v);
    }
    eh_svg_path(s, tune ? "curve tune" : "curve train", px, py, m);
    for (int64_t i = 0; tune && i < m && m <= 60; i++)
        eh_svg_diamond(s, "after dot", px[i], py[i], 4);
}

void eh_figure_tune(eh_doc *d, const eh_record *r)
{
    double x_low = INFINITY, x_high = -INFINITY, low = INFINITY, high = -INFINITY;
    if (r->n_step == 0)
        return;
    for (int64_t i = 0; i < r->n_step; i++) {
        widen(r->step[i].step, &x_low, &x_high);
        widen(r->step[i].loss, &low, &high);
        widen(r->step[i].tune_loss, &low, &high);
    }
    eh_svg s = eh_doc_figure(d, "tune", "The loss during calibration");
    if (d->html) {
        const eh_scale x = eh_scale_nice(x_low, x_high, LEFT, RIGHT, 6), y = eh_scale_nice(low, high, 230, 36, 4);
        eh_svg_open(&s, "tune", WIDTH, 278, "Loss over training steps",
                    "Two curves: the training loss, and the loss on the tune split.");
        eh_svg_axis_y(&s, &y, LEFT, RIGHT - LEFT, "loss (nats per token)");
        eh_svg_axis_x(&s, &x, 230, 194, "step");
        put_loss(&s, r, false, &x, &y);
        put_loss(&s, r, true, &x, &y);
        eh_svg_line(&s, "curve train", LEFT, 14, LEFT + 26, 14);
        eh_svg_text(&s, "tick", LEFT + 32, 18, 's', "training batches");
        eh_svg_line(&s, "curve tune", LEFT + 160, 14, LEFT + 186, 14);
        eh_svg_diamond(&s, "after dot", LEFT + 173, 14, 4);
        eh_svg_text(&s, "tick", LEFT + 194, 18, 's', "tune split");
        eh_svg_close(&s);
    }
    const eh_table t = eh_figure_table_of("tune", r, d->w);
    eh_doc_figure_end(d,
                      eh_say(d->w,
                             "The thin line is the loss of each training batch, the heavy dashed one that of the tune "
                             "split; training helps as long as the second falls.%s%s",
                             r->tune_note == NULL ? "" : " ", r->tune_note == NULL ? "" : r->tune_note),
                      &t, "tune");
}
