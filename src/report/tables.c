#include "report/tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/verdict.h"

/* ---- Scores ---------------------------------------- */

static const eh_column row_columns[] = {
    {"task", NULL, true},
    {"category", "category", true},
    {NULL, "score", true},
    {"score", NULL, true},
    {"better", "better", true},
    {"kind", NULL, true},
    {"targeted", NULL, true},
    {NULL, "before", false},
    {NULL, "after", false},
    {NULL, "change", false},
    {"before", NULL, false},
    {"before_low", NULL, false},
    {"before_high", NULL, false},
    {"after", NULL, false},
    {"after_low", NULL, false},
    {"after_high", NULL, false},
    {"difference", NULL, false},
    {"difference_low", NULL, false},
    {"difference_high", NULL, false},
    {"p", NULL, false},
    {"q", "q", false},
    {"mde", "minimum detectable effect", false},
    {"n", "items", false},
    {"n_cluster", "templates", false},
    {"finding", "finding", true},
    {"note", "note", true},
};

/* Whether a column of the page would say anything in these rows. */
static bool is_of_use(const eh_column *c, const eh_record *r, const int64_t *index, int64_t n)
{
    static const char *const of_edit[] = {"after", "change", "q", "minimum detectable effect", "finding"};
    bool edited = false, noted = false;
    for (int64_t k = 0; k < n; k++) {
        edited |= r->row[index[k]].has_after;
        noted |= r->row[index[k]].note != NULL;
    }
    for (size_t i = 0; i < sizeof of_edit / sizeof of_edit[0]; i++)
        if (strcmp(c->title, of_edit[i]) == 0)
            return edited;
    return strcmp(c->title, "note") != 0 || noted;
}

/* "0.182 [0.141, 0.223]" */
static const char *estimate(eh_words *w, double value, double low, double high, bool sign)
{
    const int d = eh_decimals(value, low, high);
    if (isnan(value))
        return "not defined";
    const char *v = sign ? eh_signed(w, value, d) : eh_fixed(w, value, d);
    if (isnan(low) || isnan(high))
        return eh_say(w, "%s, no interval", v);
    return eh_say(w, "%s [%s, %s]", v, sign ? eh_signed(w, low, d) : eh_fixed(w, low, d),
                  sign ? eh_signed(w, high, d) : eh_fixed(w, high, d));
}

eh_table eh_rows_table(const eh_record *r, eh_words *w, const int64_t *index, int64_t n, bool titled)
{
    enum { WIDTH = sizeof row_columns / sizeof row_columns[0] };
    eh_column *column = eh_new_raw(&w->mem, eh_column, WIDTH);
    w->starved |= column == NULL;
    if (column == NULL)
        return eh_table_of(w, NULL, 0);
    memcpy(column, row_columns, sizeof row_columns);
    for (int c = 0; c < WIDTH; c++)
        if (column[c].title != NULL &&
            (!is_of_use(&column[c], r, index, n) || (titled && strcmp(column[c].title, "score") == 0)))
            column[c].title = NULL; /* the CSV keeps it */
    eh_table t = eh_table_of(w, column, WIDTH);
    for (int64_t k = 0; k < n; k++) {
        const eh_record_row *x = &r->row[index[k]];
        eh_cell_text(&t, x->task);
        eh_cell_text(&t, x->category);
        eh_cell_text(&t, eh_say(w, "%s, %s%s", x->score, x->task, x->targeted ? " (targeted)" : ""));
        eh_cell_text(&t, x->score);
        eh_cell_text(&t, eh_choice_name(EH_CHOICE_BETTER, (int)x->better));
        eh_cell_text(&t, eh_choice_name(EH_CHOICE_SCORE_KIND, (int)x->kind));
        eh_cell_text(&t, x->targeted ? "yes" : "no");
        eh_cell_text(&t, estimate(w, x->before.value, x->before.low, x->before.high, false));
        eh_cell_text(&t,
                     x->has_after ? estimate(w, x->after.value, x->after.low, x->after.high, false) : "not measured");
        eh_cell_text(&t,
                     x->has_after ? estimate(w, x->difference.value, x->difference.low, x->difference.high, true) : "");
        const double all[] = {x->before.value,    x->before.low,   x->before.high,      x->after.value,
                              x->after.low,       x->after.high,   x->difference.value, x->difference.low,
                              x->difference.high, x->difference.p, x->difference.q,     x->difference.mde};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            eh_cell_number(&t, all[i], eh_decimals(all[i], NAN, NAN));
        eh_cell_count(&t, x->before.n);
        eh_cell_count(&t, x->before.n_cluster);
        eh_cell_text(&t, eh_move_words(eh_move_of(x, r->fdr)));
        eh_cell_text(&t, x->note);
    }
    return t;
}

int64_t *eh_rows_of(const eh_record *r, eh_words *w, eh_score_kind kind, int64_t *n)
{
    int64_t *index = eh_new(&w->mem, int64_t, r->n_row + 1);
    *n = 0;
    w->starved |= index == NULL;
    for (int64_t i = 0; index != NULL && i < r->n_row; i++)
        if (eh_row_is(&r->row[i], kind))
            index[(*n)++] = i;
    return index;
}

static eh_table kind_table(const eh_record *r, eh_words *w, eh_score_kind kind)
{
    int64_t n;
    const int64_t *index = eh_rows_of(r, w, kind, &n);
    return eh_rows_table(r, w, index, n, false);
}

static eh_table make_forest(const eh_record *r, eh_words *w)
{
    return kind_table(r, w, EH_SCORE_BIAS);
}

static eh_table make_utility(const eh_record *r, eh_words *w)
{
    return kind_table(r, w, EH_SCORE_UTILITY);
}

static eh_table make_other(const eh_record *r, eh_words *w)
{
    return kind_table(r, w, EH_SCORE_OTHER);
}

static eh_table make_position(const eh_record *r, eh_words *w)
{
    static const eh_column columns[] = {{"what", "what", true}, {"before", "before", false}, {"after", "after", false}};
    const eh_record_position *p = r->position;
    const int64_t n = p[0].n_place > p[1].n_place ? p[0].n_place : p[1].n_place;
    eh_table t = eh_table_of(w, columns, 3);
    if (!r->has_position)
        return t;
    eh_cell_text(&t, "answers that change with the order");
    for (int s = 0; s < 2; s++)
        eh_cell_number(&t, p[s].effect, 3);
    for (int64_t i = 0; i < n; i++) {
        eh_cell_text(&t, eh_say(w, "mean probability of position %s", eh_count(w, i + 1)));
        for (int s = 0; s < 2; s++)
            eh_cell_number(&t, i < p[s].n_place ? p[s].place[i] : (double)NAN, 3);
    }
    return t;
}

/* ---- Heads and layers ---------------------------------------- */

static bool *selected_mask(const eh_record *r, eh_words *w)
{
    bool *mask = eh_new(&w->mem, bool, r->model.n_layer * r->model.n_head + 1);
    w->starved |= mask == NULL;
    for (int64_t i = 0; mask != NULL && i < r->locate.n_selected; i++)
        mask[r->locate.selected[i].layer * r->model.n_head + r->locate.selected[i].head] = true;
    return mask;
}

static eh_table make_heads(const eh_record *r, eh_words *w, const double *map)
{
    static const eh_column columns[] = {{"layer", "layer", false},
                                        {"head", "head", false},
                                        {"score", "score", false},
                                        {"q", "q", false},
                                        {"selected", "selected", true}};
    eh_table t = eh_table_of(w, columns, 5);
    const bool *mask = map == NULL ? NULL : selected_mask(r, w);
    for (int64_t i = 0; mask != NULL && i < r->model.n_layer * r->model.n_head; i++) {
        eh_cell_number(&t, (double)(i / r->model.n_head), 0);
        eh_cell_number(&t, (double)(i % r->model.n_head), 0);
        eh_cell_number(&t, map[i], 3);
        eh_cell_number(&t, r->locate.q == NULL ? (double)NAN : r->locate.q[i], 3);
        eh_cell_text(&t, mask[i] ? "yes" : "no");
    }
    return t;
}

static eh_table make_heads_before(const eh_record *r, eh_words *w)
{
    return make_heads(r, w, r->locate.before);
}

static eh_table make_heads_after(const eh_record *r, eh_words *w)
{
    return make_heads(r, w, r->locate.after);
}

typedef struct ranked {
    double strength;
    int64_t at;
} ranked;

static int stronger(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->strength != y->strength)
        return x->strength > y->strength ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

#define STRONGEST 40

static eh_table strongest_table(const eh_record *r, eh_words *w, const double *map)
{
    static const eh_column columns[] = {
        {NULL, "layer", false}, {NULL, "head", false}, {NULL, "score", false}, {NULL, "q", false}};
    const int64_t n = r->model.n_layer * r->model.n_head;
    eh_table t = eh_table_of(w, columns, 4);
    ranked *rank = eh_new(&w->mem, ranked, n + 1);
    w->starved |= rank == NULL;
    if (rank == NULL)
        return t;
    for (int64_t i = 0; i < n; i++)
        rank[i] = (ranked){isnan(map[i]) ? -1 : fabs(map[i]), i};
    qsort(rank, (size_t)n, sizeof *rank, stronger);
    for (int64_t k = 0; k < n && k < STRONGEST && rank[k].strength >= 0; k++) {
        eh_cell_number(&t, (double)(rank[k].at / r->model.n_head), 0);
        eh_cell_number(&t, (double)(rank[k].at % r->model.n_head), 0);
        eh_cell_number(&t, map[rank[k].at], 3);
        eh_cell_number(&t, r->locate.q == NULL ? (double)NAN : r->locate.q[rank[k].at], 3);
    }
    return t;
}

eh_table eh_map_table(const eh_record *r, eh_words *w, const double *map)
{
    const int64_t n_layer = r->model.n_layer, n_head = r->model.n_head;
    if (n_head > 16 || n_layer > 64)
        return strongest_table(r, w, map);
    eh_column *columns = eh_new(&w->mem, eh_column, n_head + 1);
    w->starved |= columns == NULL;
    if (columns == NULL)
        return eh_table_of(w, NULL, 0);
    columns[0].title = "layer";
    for (int64_t h = 0; h < n_head; h++)
        columns[h + 1].title = eh_say(w, "head %s", eh_count(w, h));
    eh_table t = eh_table_of(w, columns, n_head + 1);
    for (int64_t l = 0; l < n_layer; l++) {
        eh_cell_number(&t, (double)l, 0);
        for (int64_t h = 0; h < n_head; h++)
            eh_cell_number(&t, map[l * n_head + h], 3);
    }
    return t;
}

static eh_table make_selected(const eh_record *r, eh_words *w)
{
    static const eh_column columns[] = {{"layer", "layer", false},           {"head", "head", false},
                                        {"score", "score", false},           {"q", "q", false},
                                        {"n_category", "categories", false}, {"alpha", "strength", false}};
    eh_table t = eh_table_of(w, columns, 6);
    for (int64_t i = 0; i < r->locate.n_selected; i++) {
        const eh_selected *s = &r->locate.selected[i];
        eh_cell_number(&t, (double)s->layer, 0);
        eh_cell_number(&t, (double)s->head, 0);
        eh_cell_number(&t, s->score, 3);
        eh_cell_number(&t, s->q, eh_decimals(s->q, NAN, NAN));
        eh_cell_count(&t, s->n_category);
        eh_cell_number(&t, s->alpha, 2);
    }
    return t;
}

static eh_table make_layers(const eh_record *r, eh_words *w)
{
    eh_column *columns = eh_new(&w->mem, eh_column, r->n_curve + 1);
    w->starved |= columns == NULL;
    if (columns == NULL || r->n_curve == 0)
        return eh_table_of(w, NULL, 0);
    columns[0] = (eh_column){"layer", "layer", false};
    for (int64_t i = 0; i < r->n_curve; i++)
        columns[i + 1] = (eh_column){r->curve[i].name, r->curve[i].name, false};
    eh_table t = eh_table_of(w, columns, r->n_curve + 1);
    for (int64_t l = 0; l < r->model.n_layer; l++) {
        eh_cell_number(&t, (double)l, 0);
        for (int64_t i = 0; i < r->n_curve; i++)
            eh_cell_number(&t, r->curve[i].value[l], eh_decimals(r->curve[i].value[l], NAN, NAN));
    }
    return t;
}

static eh_table make_confirmation(const eh_record *r, eh_words *w)
{
    static const eh_column columns[] = {{"heads", "heads", true}, {"effect", "effect of ablation", false}};
    eh_table t = eh_table_of(w, columns, 2);
    for (int64_t i = 0; i < r->locate.n_top + r->locate.n_random; i++) {
        const bool top = i < r->locate.n_top;
        const double x = top ? r->locate.top[i] : r->locate.random[i - r->locate.n_top];
        eh_cell_text(&t, top ? "top" : "random");
        eh_cell_number(&t, x, eh_decimals(x, NAN, NAN));
    }
    return t;
}

/* ---- The edit ---------------------------------------- */

static eh_table make_search(const eh_record *r, eh_words *w)
{
    static const eh_column columns[] = {
        {"heads", "heads", false},
        {"strength", "strength", false},
        {"bias", "bias", false},
        {"kl_median", "KL, median", false},
        {"kl_p95", "KL, 95th percentile", false},
        {"perplexity", "perplexity", false},
        {"utility", "utility", false},
        {"front", NULL, true},
        {"chosen", NULL, true},
        {NULL, "point", true},
    };
    eh_table t = eh_table_of(w, columns, 10);
    for (int64_t i = 0; i < r->search.n_point; i++) {
        const eh_point *p = &r->search.point[i];
        const double all[] = {p->heads, p->strength, p->bias, p->kl_median, p->kl_p95, p->perplexity, p->utility};
        for (int k = 0; k < 7; k++)
            eh_cell_number(&t, all[k], EH_DIGITS_AUTO);
        eh_cell_text(&t, p->front ? "yes" : "no");
        eh_cell_text(&t, p->chosen ? "yes" : "no");
        eh_cell_text(&t, p->chosen ? "chosen" : p->front ? "front" : "");
    }
    return t;
}

static eh_table make_controls(const eh_record *r, eh_words *w)
{
    static const eh_column columns[] = {{"edit", "edit", true}, {"change", "change", false}};
    eh_table t = eh_table_of(w, columns, 2);
    if (!r->controls.given)
        return t;
    eh_cell_text(&t, "chosen heads");
    eh_cell_number(&t, r->controls.edit, eh_decimals(r->controls.edit, NAN, NAN));
    for (int64_t i = 0; i < r->controls.n_draw; i++) {
        eh_cell_text(&t, eh_say(w, "random heads %s", eh_count(w, i + 1)));
        eh_cell_number(&t, r->controls.draw[i], eh_decimals(r->controls.draw[i], NAN, NAN));
    }
    return t;
}

static eh_table make_tune(const eh_record *r, eh_words *w)
{
    static const eh_column columns[] = {
        {"step", "step", false}, {"loss", "loss", false}, {"tune_loss", "loss on the tune split", false}};
    eh_table t = eh_table_of(w, columns, 3);
    for (int64_t i = 0; i < r->n_step; i++) {
        eh_cell_number(&t, r->step[i].step, EH_DIGITS_AUTO);
        eh_cell_number(&t, r->step[i].loss, 3);
        eh_cell_number(&t, r->step[i].tune_loss, 3);
    }
    return t;
}

static eh_table make_text(const eh_record *r, eh_words *w)
{
    static const eh_column columns[] = {{"what", "what", true}, {"value", "value", false}};
    const struct {
        const char *what;
        double x;
    } all[] = {
        {"perplexity before", r->text.before},
        {"perplexity after", r->text.after},
        {"KL to the original, mean (nats)", r->text.mean},
        {"KL to the original, median (nats)", r->text.median},
        {"KL to the original, 95th percentile (nats)", r->text.p95},
        {"KL to the original, 99th percentile (nats)", r->text.p99},
        {"KL to the original, maximum (nats)", r->text.max},
        {"share of positions with the same likeliest token", r->text.same_top},
    };
    eh_table t = eh_table_of(w, columns, 2);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!isnan(all[i].x)) {
            eh_cell_text(&t, all[i].what);
            eh_cell_number(&t, all[i].x, eh_decimals(all[i].x, NAN, NAN));
        }
    return t;
}

const eh_figure_table eh_figure_tables[] = {
    {"forest", make_forest},
    {"utility", make_utility},
    {"other", make_other},
    {"position", make_position},
    {"heads_before", make_heads_before},
    {"heads_after", make_heads_after},
    {"selected", make_selected},
    {"layers", make_layers},
    {"confirmation", make_confirmation},
    {"search", make_search},
    {"controls", make_controls},
    {"tune", make_tune},
    {"text", make_text},
};
const int eh_figure_table_count = (int)(sizeof eh_figure_tables / sizeof eh_figure_tables[0]);

eh_table eh_figure_table_of(const char *name, const eh_record *r, eh_words *w)
{
    for (int i = 0; i < eh_figure_table_count; i++)
        if (strcmp(eh_figure_tables[i].name, name) == 0)
            return eh_figure_tables[i].make(r, w);
    return eh_table_of(w, NULL, 0);
}
