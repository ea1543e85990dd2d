/*
 * Reading CSV as RFC 4180 has it: quoted fields may hold commas, doubled quotes and line breaks.
 *
 *     eh_csv csv;
 *     int64_t id, rc = eh_csv_open(&csv, text, path, err);
 *     rc = eh_csv_column(&csv, "example_id", &id, err);
 *     while ((more = eh_csv_next(&csv, err)) > 0)
 *         ... eh_csv_cell(&csv, id) ...
 *     eh_csv_close(&csv);
 *
 * The first record names the columns and says how many every record has. Lines end in LF or CRLF;
 * empty lines are passed over. The text belongs to the caller and must outlive the reader.
 */
#ifndef EH_TASK_CSV_H
#define EH_TASK_CSV_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define EH_CSV_COLUMNS_MAX 256
#define EH_CSV_RECORD_MAX (1 << 20) /* bytes of one record */

typedef struct eh_csv {
    eh_str text;
    const char *where;
    int64_t at;       /* byte the next record starts at */
    int64_t line;     /* its line, from 1 */
    int64_t row_line; /* line the current record started on */
    int64_t n_column;
    eh_buf header, cells;                          /* fields, unquoted, one after the other */
    int64_t header_end[EH_CSV_COLUMNS_MAX];        /* where each ends */
    int64_t cell_end[EH_CSV_COLUMNS_MAX];
} eh_csv;

/* Reads the header record. EH_EFORMAT where there is none, or two columns have one name. */
int eh_csv_open(eh_csv *csv, eh_str text, const char *where, eh_err *err);
void eh_csv_close(eh_csv *csv);
/* 1: a record is there; 0: the end; negative: an error that names the line. */
int eh_csv_next(eh_csv *csv, eh_err *err);
/* Field i (0-based) of the current record; good until the next record is read. */
eh_str eh_csv_cell(const eh_csv *csv, int64_t i);
/* Index of the column of that name; EH_EFORMAT names what is missing. */
int eh_csv_column(const eh_csv *csv, const char *name, int64_t *index, eh_err *err);
/* Field i as an integer in low..high. EH_EFORMAT otherwise. */
int eh_csv_int(const eh_csv *csv, int64_t i, int64_t low, int64_t high, int64_t *out, eh_err *err);

#endif
