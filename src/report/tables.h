/* The tables of a report, each made from the record alone; the page and the CSV files share them. */
#ifndef EH_REPORT_TABLES_H
#define EH_REPORT_TABLES_H

#include "report/record.h"
#include "report/table.h"

/* Rows by their indices; titled: of one score, which stands above the table. */
eh_table eh_rows_table(const eh_record *r, eh_words *w, const int64_t *index, int64_t n, bool titled);

/* What lies under figures/, one by one; a table without rows is not written. */
typedef struct eh_figure_table {
    const char *name; /* "heads_before" */
    eh_table (*make)(const eh_record *r, eh_words *w);
} eh_figure_table;
extern const eh_figure_table eh_figure_tables[];
extern const int eh_figure_table_count;

/* One of those by name. */
eh_table eh_figure_table_of(const char *name, const eh_record *r, eh_words *w);
/* A map for the page: layers by heads where that is small, else its strongest heads. */
eh_table eh_map_table(const eh_record *r, eh_words *w, const double *map);

/* Indices of the rows of a kind; the caller's until the words are cleared. */
int64_t *eh_rows_of(const eh_record *r, eh_words *w, eh_score_kind kind, int64_t *n);

#endif
