/*
 * Tables: filled once from the record, written as HTML, Markdown and CSV, so that all three hold
 * the same.
 *
 *     static const eh_column columns[] = {{"layer", "layer", false}, {"score", "score", false}};
 *     eh_table t = eh_table_of(&w, columns, 2);
 *     eh_cell_number(&t, 3, 0);
 *     eh_cell_number(&t, 0.12, EH_DIGITS_AUTO);
 *     eh_table_html(&t, "Heads", &b);
 *
 * A column without a title stands in the CSV only, one without a name on the page only.
 */
#ifndef EH_REPORT_TABLE_H
#define EH_REPORT_TABLE_H

#include "report/words.h"

#define EH_DIGITS_AUTO (-1)
#define EH_TABLE_SHOWN 400 /* rows on the page at most; the CSV has all */

typedef struct eh_column {
    const char *name;  /* in the CSV; NULL: not there */
    const char *title; /* on the page; NULL: not there */
    bool is_text;      /* set to the left */
} eh_column;

typedef struct eh_cell {
    const char *text; /* NULL: a number */
    double x;
    int decimals;
} eh_cell;

typedef struct eh_table {
    eh_words *w;
    const eh_column *column; /* [n_column] */
    int64_t n_column;
    eh_cell *cell; /* [n] row by row */
    int64_t n, room;
} eh_table;

eh_table eh_table_of(eh_words *w, const eh_column *column, int64_t n_column);
void eh_cell_text(eh_table *t, const char *text); /* NULL: empty */
void eh_cell_number(eh_table *t, double x, int decimals);
void eh_cell_count(eh_table *t, int64_t n); /* -1: not given */
int64_t eh_table_rows(const eh_table *t);

void eh_table_html(const eh_table *t, const char *caption, eh_buf *b);
void eh_table_markdown(const eh_table *t, eh_buf *b);
void eh_table_csv(const eh_table *t, eh_buf *b);

#endif
