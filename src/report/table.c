#include "report/table.h"

#include <math.h>
#include <string.h>

eh_table eh_table_of(eh_words *w, const eh_column *column, int64_t n_column)
{
    return (eh_table){.w = w, .column = column, .n_column = n_column};
}

static void add(eh_table *t, eh_cell c)
{
    if (t->n == t->room) {
        const int64_t room = t->room > 0 ? 2 * t->room : 64;
        eh_cell *cell = eh_new_raw(&t->w->mem, eh_cell, room);
        if (cell == NULL) {
            t->w->starved = true;
            return;
        }
        if (t->n > 0)
            memcpy(cell, t->cell, (size_t)t->n * sizeof *cell);
        t->cell = cell;
        t->room = room;
    }
    t->cell[t->n++] = c;
}

void eh_cell_text(eh_table *t, const char *text)
{
    add(t, (eh_cell){.text = text == NULL ? "" : text});
}

void eh_cell_number(eh_table *t, double x, int decimals)
{
    add(t, (eh_cell){.x = x, .decimals = decimals});
}

void eh_cell_count(eh_table *t, int64_t n)
{
    eh_cell_number(t, n < 0 ? NAN : (double)n, 0);
}

int64_t eh_table_rows(const eh_table *t)
{
    return t->n_column > 0 ? t->n / t->n_column : 0;
}

static int64_t rows_shown(const eh_table *t)
{
    const int64_t n = eh_table_rows(t);
    return n < EH_TABLE_SHOWN ? n : EH_TABLE_SHOWN;
}

/* A count of a million reads better in groups; scores never get there. */
static const char *shown(const eh_table *t, const eh_cell *c)
{
    if (c->text != NULL)
        return c->text;
    if (isnan(c->x))
        return "\xE2\x80\x93";
    if (c->decimals == 0 && c->x >= 1000 && c->x < 1e15)
        return eh_count(t->w, (int64_t)c->x);
    return c->decimals < 0 ? eh_number(t->w, c->x) : eh_fixed(t->w, c->x, c->decimals);
}

#define LONG 40 /* bytes from which a text gets a wide column */

void eh_table_html(const eh_table *t, const char *caption, eh_buf *b)
{
    eh_buf_str(b, EH_STR("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\""));
    eh_put_html(b, caption);
    eh_buf_str(b, EH_STR("\"><table><caption>"));
    eh_put_html(b, caption);
    eh_buf_str(b, EH_STR("</caption>\n<thead><tr>"));
    for (int64_t c = 0; c < t->n_column; c++)
        if (t->column[c].title != NULL) {
            eh_buf_printf(b, "<th scope=\"col\"%s>", t->column[c].is_text ? " class=\"l\"" : "");
            eh_put_html(b, t->column[c].title);
            eh_buf_str(b, EH_STR("</th>"));
        }
    eh_buf_str(b, EH_STR("</tr></thead>\n<tbody>\n"));
    for (int64_t r = 0; r < rows_shown(t); r++) {
        bool first = true;
        eh_buf_str(b, EH_STR("<tr>"));
        for (int64_t c = 0; c < t->n_column; c++) {
            if (t->column[c].title == NULL)
                continue;
            const char *text = shown(t, &t->cell[r * t->n_column + c]);
            const char *cls = !t->column[c].is_text ? "" : strlen(text) > LONG ? " class=\"l long\"" : " class=\"l\"";
            eh_buf_printf(b, "<%s%s>", first ? "th scope=\"row\"" : "td", cls);
            eh_put_html(b, text);
            eh_buf_str(b, first ? EH_STR("</th>") : EH_STR("</td>"));
            first = false;
        }
        eh_buf_str(b, EH_STR("</tr>\n"));
    }
    eh_buf_str(b, EH_STR("</tbody></table></div>\n"));
}

void eh_table_markdown(const eh_table *t, eh_buf *b)
{
    eh_buf_str(b, EH_STR("\n|"));
    for (int64_t c = 0; c < t->n_column; c++)
        if (t->column[c].title != NULL) {
            eh_buf_char(b, ' ');
            eh_put_markdown(b, t->column[c].title);
            eh_buf_str(b, EH_STR(" |"));
        }
    eh_buf_str(b, EH_STR("\n|"));
    for (int64_t c = 0; c < t->n_column; c++)
        if (t->column[c].title != NULL)
            eh_buf_str(b, t->column[c].is_text ? EH_STR(" --- |") : EH_STR(" ---: |"));
    for (int64_t r = 0; r < rows_shown(t); r++) {
        eh_buf_str(b, EH_STR("\n|"));
        for (int64_t c = 0; c < t->n_column; c++)
            if (t->column[c].title != NULL) {
                eh_buf_char(b, ' ');
                eh_put_markdown(b, shown(t, &t->cell[r * t->n_column + c]));
                eh_buf_str(b, EH_STR(" |"));
            }
    }
    eh_buf_str(b, EH_STR("\n\n"));
}

void eh_table_csv(const eh_table *t, eh_buf *b)
{
    bool first = true;
    for (int64_t c = 0; c < t->n_column; c++)
        if (t->column[c].name != NULL) {
            eh_buf_str(b, first ? EH_STR("") : EH_STR(","));
            eh_put_csv(b, t->column[c].name);
            first = false;
        }
    eh_buf_char(b, '\n');
    for (int64_t r = 0; r < eh_table_rows(t); r++) {
        first = true;
        for (int64_t c = 0; c < t->n_column; c++) {
            const eh_cell *cell = &t->cell[r * t->n_column + c];
            if (t->column[c].name == NULL)
                continue;
            eh_buf_str(b, first ? EH_STR("") : EH_STR(","));
            if (cell->text != NULL)
                eh_put_csv(b, cell->text);
            else if (isfinite(cell->x))
                eh_buf_double(b, cell->x); /* all its digits; empty when not defined */
            first = false;
        }
        eh_buf_char(b, '\n');
    }
}
