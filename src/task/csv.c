#include "task/csv.h"

#include "base/mem.h"

static eh_str field(const eh_buf *b, const int64_t *end, int64_t i)
{
    const int64_t from = i == 0 ? 0 : end[i - 1];
    return (eh_str){b->n == 0 ? "" : b->p + from, end[i] - from};
}

/* One record into cells; 1, 0 at the end, or an error. */
static int record(eh_csv *csv, eh_buf *cells, int64_t *end, int64_t *n_field, eh_err *err)
{
    const char *p = csv->text.p;
    const int64_t n = csv->text.n;
    int64_t at = csv->at, k = 0;

    while (at < n && (p[at] == '\n' || (p[at] == '\r' && at + 1 < n && p[at + 1] == '\n'))) {
        at += p[at] == '\r' ? 2 : 1;
        csv->line++;
    }
    csv->row_line = csv->line;
    if (at >= n)
        return 0;
    eh_buf_reset(cells);
    for (bool more = true; more;) {
        if (k == EH_CSV_COLUMNS_MAX)
            return eh_fail(err, EH_EFORMAT, "%s: line %lld: more than %d fields", csv->where, (long long)csv->row_line,
                           EH_CSV_COLUMNS_MAX);
        if (at < n && p[at] == '"') {
            for (at++;; at++) {
                const int64_t from = at;
                while (at < n && p[at] != '"')
                    csv->line += p[at++] == '\n';
                eh_buf_bytes(cells, p + from, at - from);
                if (at >= n)
                    return eh_fail(err, EH_EFORMAT, "%s: line %lld: field %lld opens a quote that is never closed",
                                   csv->where, (long long)csv->row_line, (long long)k + 1);
                at++;
                if (at >= n || p[at] != '"')
                    break;
                eh_buf_char(cells, '"'); /* two quotes stand for one */
            }
        } else {
            const int64_t from = at;
            while (at < n && p[at] != ',' && p[at] != '\n' && p[at] != '"' &&
                   !(p[at] == '\r' && at + 1 < n && p[at + 1] == '\n'))
                at++;
            eh_buf_bytes(cells, p + from, at - from);
        }
        end[k++] = cells->n;
        more = at < n && p[at] == ',';
        if (more)
            at++;
        else if (at < n && p[at] != '\n' && p[at] != '\r')
            return eh_fail(err, EH_EFORMAT,
                           "%s: line %lld: field %lld has \"%c\" where a comma or the line's end should be", csv->where,
                           (long long)csv->row_line, (long long)k, p[at] >= ' ' && p[at] < 127 ? p[at] : '?');
    }
    if (at < n && p[at] == '\r')
        at++;
    if (at < n && p[at] == '\n')
        at++;
    else if (at < n)
        return eh_fail(err, EH_EFORMAT, "%s: line %lld: a carriage return without a line feed", csv->where,
                       (long long)csv->row_line);
    csv->line++;
    csv->at = at;
    *n_field = k;
    if (cells->fault != 0)
        return eh_fail(err, cells->fault == EH_ENOMEM ? EH_ENOMEM : EH_EFORMAT,
                       "%s: line %lld: a record of more than %d bytes, or no memory for it", csv->where,
                       (long long)csv->row_line, EH_CSV_RECORD_MAX);
    return 1;
}

int eh_csv_open(eh_csv *csv, eh_str text, const char *where, eh_err *err)
{
    *csv = (eh_csv){.text = text, .where = where, .line = 1};
    csv->header.limit = csv->cells.limit = EH_CSV_RECORD_MAX;
    int rc = record(csv, &csv->header, csv->header_end, &csv->n_column, err);
    if (rc == 0)
        rc = eh_fail(err, EH_EFORMAT, "%s: is empty; its first line should name the columns", where);
    for (int64_t i = 0; rc > 0 && i < csv->n_column; i++)
        for (int64_t j = 0; rc > 0 && j < i; j++) {
            const eh_str a = field(&csv->header, csv->header_end, i);
            if (eh_str_eq(a, field(&csv->header, csv->header_end, j)))
                rc = eh_fail(err, EH_EFORMAT, "%s: columns %lld and %lld are both called \"%.*s\"", where,
                             (long long)j + 1, (long long)i + 1, (int)(a.n < 80 ? a.n : 80), a.p);
        }
    if (rc > 0)
        return EH_OK;
    eh_csv_close(csv);
    return rc;
}

void eh_csv_close(eh_csv *csv)
{
    if (csv == NULL)
        return;
    eh_buf_clear(&csv->header);
    eh_buf_clear(&csv->cells);
}

int eh_csv_next(eh_csv *csv, eh_err *err)
{
    int64_t n_field = 0;
    const int rc = record(csv, &csv->cells, csv->cell_end, &n_field, err);
    if (rc > 0 && n_field != csv->n_column)
        return eh_fail(err, EH_EFORMAT, "%s: line %lld: %lld fields, where the first line names %lld columns",
                       csv->where, (long long)csv->row_line, (long long)n_field, (long long)csv->n_column);
    return rc;
}

eh_str eh_csv_cell(const eh_csv *csv, int64_t i)
{
    return field(&csv->cells, csv->cell_end, i);
}

int eh_csv_column(const eh_csv *csv, const char *name, int64_t *index, eh_err *err)
{
    for (int64_t i = 0; i < csv->n_column; i++)
        if (eh_str_eq(field(&csv->header, csv->header_end, i), eh_str_of(name))) {
            *index = i;
            return EH_OK;
        }
    return eh_fail(err, EH_EFORMAT, "%s: has no column \"%s\" among its %lld", csv->where, name,
                   (long long)csv->n_column);
}

int eh_csv_int(const eh_csv *csv, int64_t i, int64_t low, int64_t high, int64_t *out, eh_err *err)
{
    const eh_str s = eh_csv_cell(csv, i), name = field(&csv->header, csv->header_end, i);
    const bool minus = s.n > 0 && s.p[0] == '-';
    int64_t x = 0;
    bool good = s.n > minus && s.n < 19; /* 18 digits always fit */
    for (int64_t k = minus; good && k < s.n; k++) {
        good = s.p[k] >= '0' && s.p[k] <= '9';
        x = 10 * x + (s.p[k] - '0');
    }
    if (minus)
        x = -x;
    if (!good || x < low || x > high)
        return eh_fail(err, EH_EFORMAT, "%s: line %lld: \"%.*s\" is \"%.*s\", wanted an integer from %lld to %lld",
                       csv->where, (long long)csv->row_line, (int)(name.n < 80 ? name.n : 80), name.p,
                       (int)(s.n < 80 ? s.n : 80), s.p, (long long)low, (long long)high);
    *out = x;
    return EH_OK;
}
