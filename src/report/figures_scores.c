/* Forest plots of scores before and after, and the position effect. */
#include <math.h>
#include <string.h>

#include "report/figures.h"
#include "report/tables.h"
#include "report/verdict.h"

#define WIDTH 760.0
#define LEFT 190.0  /* where the plot begins: category names stand before it */
#define RIGHT 520.0 /* where it ends: numbers and words stand behind it */
#define ROW 34.0
#define TOP 40.0  /* legend */
#define SHOWN 40  /* rows of a figure */
#define FIGURES 8 /* figures of a kind; the scores after them stand in a table */

static void widen(double x, double *low, double *high)
{
    if (isnan(x))
        return;
    *low = fmin(*low, x);
    *high = fmax(*high, x);
}

static void put_mark(eh_svg *s, const eh_scale *x, const eh_measured *m, bool after, double y)
{
    const char *cls = after ? "after" : "before";
    if (isnan(m->value))
        return;
    if (!isnan(m->low) && !isnan(m->high)) {
        eh_svg_line(s, cls, eh_scale_at(x, m->low), y, eh_scale_at(x, m->high), y);
        eh_svg_line(s, cls, eh_scale_at(x, m->low), y - 3, eh_scale_at(x, m->low), y + 3);
        eh_svg_line(s, cls, eh_scale_at(x, m->high), y - 3, eh_scale_at(x, m->high), y + 3);
    }
    if (after)
        eh_svg_diamond(s, "after dot", eh_scale_at(x, m->value), y, 5.5);
    else
        eh_svg_circle(s, "before dot", eh_scale_at(x, m->value), y, 4.5);
}

static void put_row(eh_svg *s, const eh_record *r, const eh_record_row *row, const eh_scale *x, double y)
{
    eh_words *w = s->w;
    const eh_move move = eh_move_of(row, r->fdr);
    const bool total = eh_is_total(row);
    const char *name = row->kind == EH_SCORE_UTILITY
                           ? eh_say(w, "%s, %s", row->score, total ? row->task : row->category)
                       : total ? "all categories"
                               : row->category;
    const int d = eh_decimals(row->before.value, row->after.value, NAN);

    if (row->targeted)
        eh_svg_rect(s, "aim", 4, y - 4, 7, 7);
    eh_svg_text(s, total && row->kind == EH_SCORE_BIAS ? "name total" : "name", 18, y + 4, 's',
                eh_shortened(w, name, 25));
    put_mark(s, x, &row->before, false, row->has_after ? y - 6 : y);
    if (row->has_after)
        put_mark(s, x, &row->after, true, y + 6);
    if (isnan(row->before.value) && isnan(row->after.value))
        eh_svg_text(s, "tick", (LEFT + RIGHT) / 2, y + 4, 'm', "not defined (0/0)");
    if (row->has_after) {
        eh_svg_text(s, "value", RIGHT + 14, y + 4, 's',
                    eh_say(w, "%s \xE2\x86\x92 %s",
                           isnan(row->before.value) ? "\xE2\x80\x93" : eh_fixed(w, row->before.value, d),
                           isnan(row->after.value) ? "\xE2\x80\x93" : eh_fixed(w, row->after.value, d)));
        eh_svg_text(s,
                    move == EH_MOVE_BETTER                            ? "word better"
                    : move == EH_MOVE_WORSE || move == EH_MOVE_TURNED ? "word worse"
                                                                      : "word",
                    WIDTH - 4, y + 4, 'e', move == EH_MOVE_UNJUDGED ? "" : eh_move_words(move));
    } else if (!isnan(row->before.value)) {
        eh_svg_text(s, "value", RIGHT + 14, y + 4, 's',
                    eh_fixed(w, row->before.value, eh_decimals(row->before.value, NAN, NAN)));
        if (row->better == EH_BETTER_ZERO || row->better == EH_BETTER_FIFTY)
            eh_svg_text(s, "word", WIDTH - 4, y + 4, 'e',
                        eh_leans(&row->before, row->better) ? "leans" : "inconclusive");
    }
}

static void put_legend(eh_svg *s, bool edited, bool aimed)
{
    double at = LEFT;
    eh_svg_line(s, "before", at - 12, 14, at + 12, 14);
    eh_svg_circle(s, "before dot", at, 14, 4.5);
    eh_svg_text(s, "tick", at + 18, 18, 's', edited ? "before" : "measured");
    at += edited ? 90 : 105;
    if (edited) {
        eh_svg_line(s, "after", at - 12, 14, at + 12, 14);
        eh_svg_diamond(s, "after dot", at, 14, 5.5);
        eh_svg_text(s, "tick", at + 18, 18, 's', "after");
        at += 75;
    }
    eh_svg_text(s, "tick", at - 12, 18, 's', "whiskers: interval");
    if (aimed) {
        eh_svg_rect(s, "aim", 4, 10, 7, 7);
        eh_svg_text(s, "tick", 18, 18, 's', "aimed at by the edit");
    }
}

/* Rows of one figure: of one score; of utility, all that share unit and direction. */
static bool belongs(const eh_record_row *a, const eh_record_row *b)
{
    if (a->kind == EH_SCORE_UTILITY)
        return a->better == b->better && strcmp(a->unit, b->unit) == 0;
    return strcmp(a->task, b->task) == 0 && strcmp(a->score, b->score) == 0;
}

static void draw_forest(eh_svg *s, const eh_record *r, const int64_t *index, int64_t n, const char *id,
                        const char *title)
{
    const eh_record_row *first = &r->row[index[0]];
    const bool has_target = first->better == EH_BETTER_ZERO || first->better == EH_BETTER_FIFTY;
    const double t = first->better == EH_BETTER_FIFTY ? 50 : 0, height = ROW * (double)n, bottom = TOP + height;
    double low = INFINITY, high = -INFINITY;
    bool edited = false, aimed = false;

    if (has_target)
        widen(t, &low, &high);
    for (int64_t k = 0; k < n; k++) {
        const eh_record_row *row = &r->row[index[k]];
        const double all[] = {row->before.value, row->before.low, row->before.high,
                              row->after.value,  row->after.low,  row->after.high};
        for (int i = 0; i < 6; i++)
            widen(all[i], &low, &high);
        edited |= row->has_after;
        aimed |= row->targeted;
    }
    const eh_scale x = eh_scale_nice(low, high, LEFT, RIGHT, 5);
    eh_svg_open(s, id, WIDTH, bottom + 44, title,
                eh_say(s->w,
                       "Forest plot of %s rows: each score%s with its interval. The table below holds the numbers.",
                       eh_count(s->w, n), edited ? " before and after the edit" : ""));
    put_legend(s, edited, aimed);
    for (int64_t k = 0; k < n; k += 2)
        eh_svg_rect(s, "band", 0, TOP + ROW * (double)k, WIDTH, ROW);
    eh_svg_axis_x(s, &x, bottom, height, eh_score_axis(s->w, first));
    if (has_target)
        eh_svg_line(s, "zero", eh_scale_at(&x, t), TOP - 8, eh_scale_at(&x, t), bottom);
    for (int64_t k = 0; k < n; k++)
        put_row(s, r, &r->row[index[k]], &x, TOP + ROW * ((double)k + 0.5));
    eh_svg_close(s);
}

/* How to read a forest plot; said once in each part of the page. */
static const char *how_to_read(eh_words *w, const eh_record *r, const eh_record_row *first)
{
    const bool edited = eh_record_is_edited(r);
    const char *target = "";
    if (first->better == EH_BETTER_ZERO || first->better == EH_BETTER_FIFTY)
        target = eh_say(w,
                        " The heavy line at %s is where an even-handed model stands; an interval that crosses it is "
                        "inconclusive: it shows neither a lean nor the absence of one.",
                        first->better == EH_BETTER_FIFTY ? "50" : "0");
    return eh_say(w, "%s%s Whiskers are %s intervals.%s",
                  edited ? "Hollow circles are the model as it was, filled diamonds the edited one."
                         : "Circles are the model as it is.",
                  target, eh_percent(w, r->confidence),
                  edited ? " Whether two whiskers overlap says nothing about the change: that is paired, question by "
                           "question, and judged by its own interval (\"finding\" in the table)."
                         : "");
}

static void put_forest(eh_doc *d, const eh_record *r, const int64_t *index, int64_t n, int number, const char *csv)
{
    const eh_record_row *first = &r->row[index[0]];
    const char *words = first->words;
    const int64_t shown = n < SHOWN ? n : SHOWN;
    const char *id = eh_say(d->w, "%s-%d", csv, number);
    const char *title =
        first->kind == EH_SCORE_UTILITY
            ? eh_say(d->w, "Utility (%s; better: %s)", first->unit, eh_better_words(first->better))
        : words == NULL ? eh_say(d->w, "%s (%s)", first->score, first->task)
                        : eh_say(d->w, "%s: %s (%s)", first->score, words, first->task);
    eh_svg s = eh_doc_figure(d, id, title);
    if (d->html)
        draw_forest(&s, r, index, shown, id, title);
    const char *options = number == 1 ? how_to_read(d->w, r, first) : "Read it like the first figure of this section.";
    if (n > shown)
        options = eh_say(d->w, "%s The first %s of %s rows are drawn.", options, eh_count(d->w, shown),
                         eh_count(d->w, n));
    const eh_table table = eh_rows_table(r, d->w, index, n, first->kind == EH_SCORE_BIAS);
    eh_doc_figure_end(d, options, &table, csv);
}

void eh_figures_scores(eh_doc *d, const eh_record *r, eh_score_kind kind, const char *csv)
{
    int64_t n, n_rest = 0;
    int number = 0;
    int64_t *left = eh_rows_of(r, d->w, kind, &n);
    int64_t *group = eh_new(&d->w->mem, int64_t, n + 1), *rest = eh_new(&d->w->mem, int64_t, n + 1);
    d->w->starved |= group == NULL || rest == NULL;
    if (left == NULL || group == NULL || rest == NULL)
        return;
    /* Two rounds: scores with a targeted row, then the others. */
    for (int round = 0; round < 2; round++)
        for (int64_t i = 0; i < n; i++) {
            if (left[i] < 0)
                continue;
            const eh_record_row *first = &r->row[left[i]];
            int64_t m = 0;
            bool aimed = false;
            for (int total = 1; total >= 0; total--) /* "all" stands at the top */
                for (int64_t k = i; k < n; k++) {
                    const eh_record_row *row = left[k] < 0 ? NULL : &r->row[left[k]];
                    if (row == NULL || !belongs(first, row) || eh_is_total(row) != (total == 1))
                        continue;
                    aimed |= row->targeted;
                    group[m++] = left[k];
                }
            if (round == 0 && !aimed)
                continue;
            for (int64_t k = i; k < n; k++)
                for (int64_t g = 0; g < m && left[k] >= 0; g++)
                    if (group[g] == left[k])
                        left[k] = -1;
            if (number < FIGURES)
                put_forest(d, r, group, m, ++number, csv);
            else
                for (int64_t g = 0; g < m; g++)
                    rest[n_rest++] = group[g];
        }
    if (n_rest > 0) {
        const eh_table t = eh_rows_table(r, d->w, rest, n_rest, false);
        eh_doc_table(d, "More scores", &t);
    }
}

/* ---- Position ---------------------------------------- */

#define BARS_LEFT 260.0
#define BARS_RIGHT 690.0
#define BAR 13.0
#define PLACES 12 /* places drawn */

void eh_figure_position(eh_doc *d, const eh_record *r)
{
    const eh_record_position *p = r->position;
    const int64_t n = p[0].n_place > p[1].n_place ? p[0].n_place : p[1].n_place, shown = n < PLACES ? n : PLACES;
    const bool both = !isnan(p[1].effect) || p[1].n_place > 0;
    if (!r->has_position)
        return;
    eh_svg s = eh_doc_figure(d, "position", "Does the model answer by content or by position?");
    if (d->html) {
        const double row = both ? 44 : 28, bottom = 30 + row * (double)(shown + 1);
        const eh_scale x = eh_scale_nice(0, 1, BARS_LEFT, BARS_RIGHT, 5);
        eh_svg_open(
            &s, "position", WIDTH, bottom + 44, "Position effect",
            "Bars: share of answers that change with the order of the options, and the mean probability of each "
            "position.");
        eh_svg_axis_x(&s, &x, bottom, bottom - 24, "share of answers; mean probability");
        const double even = n > 0 ? 1 / (double)n : NAN, limit = eh_scale_at(&x, EH_POSITION_LIMIT);
        eh_svg_line(&s, "zero dashed", limit, 24, limit, 30 + row);
        eh_svg_text(&s, "tick", limit, 18, 'm', "above this line: by position");
        if (n > 0)
            eh_svg_line(&s, "zero dashed", eh_scale_at(&x, even), 30 + row, eh_scale_at(&x, even), bottom);
        for (int64_t i = 0; i <= shown; i++) {
            const double y = 30 + row * (double)i;
            eh_svg_text(&s, "name", BARS_LEFT - 12, y + row / 2 + 1, 'e',
                        i == 0 ? "answers that change with order"
                               : eh_say(d->w, "position %s (%c)", eh_count(d->w, i), (char)('A' + i - 1)));
            for (int side = 0; side < (both ? 2 : 1); side++) {
                const double v = i == 0 ? p[side].effect : i <= p[side].n_place ? p[side].place[i - 1] : (double)NAN;
                const double at = y + 5 + side * (BAR + 3);
                if (isnan(v))
                    continue;
                const double end = eh_scale_at(&x, fmin(fmax(v, 0), 1));
                eh_svg_rect(&s, side == 0 ? "bar before" : "bar after", BARS_LEFT, at, end - BARS_LEFT, BAR);
                eh_svg_text(&s, "tick over", end + 6, at + BAR - 2.5, 's',
                            eh_say(d->w, "%s %s", eh_fixed(d->w, v, 3),
                                   !both       ? ""
                                   : side == 0 ? "before"
                                               : "after"));
            }
        }
        eh_svg_close(&s);
    }
    const eh_table t = eh_figure_table_of("position", r, d->w);
    eh_doc_figure_end(
        d,
        "A model that reads the question gives the same answer wherever it stands, and prefers no "
        "position: the first bar (the position effect) is near 0, the others meet the dashed line of even shares. "
        "A model whose answers mostly change with the order looks unbiased only because it does not answer "
        "the question.",
        &t, "position");
}
