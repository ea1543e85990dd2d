#include <string.h>

#include "base/str.h"
#include "check.h"
#include "task/csv.h"

static eh_str cell(const eh_csv *csv, int64_t i)
{
    return eh_csv_cell(csv, i);
}

static bool is(eh_str s, const char *want)
{
    return eh_str_eq(s, eh_str_of(want));
}

TEST(csv_reads_what_rfc_4180_writes)
{
    eh_err err;
    eh_csv csv;
    int64_t b = -1;
    CHECK_OK(
        eh_csv_open(&csv, EH_STR("a,b,\"the \"\"c\"\"\"\r\n1,\"x,y\",\r\n\"\",\"two\nlines\",z\n"), "t.csv", &err));
    CHECK_INT(csv.n_column, 3);
    CHECK_OK(eh_csv_column(&csv, "the \"c\"", &b, &err));
    CHECK_INT(b, 2);
    CHECK_INT(eh_csv_next(&csv, &err), 1);
    CHECK(is(cell(&csv, 0), "1") && is(cell(&csv, 1), "x,y") && is(cell(&csv, 2), ""));
    CHECK_INT(csv.row_line, 2);
    CHECK_INT(eh_csv_next(&csv, &err), 1);
    CHECK(is(cell(&csv, 0), "") && is(cell(&csv, 1), "two\nlines") && is(cell(&csv, 2), "z"));
    CHECK_INT(csv.row_line, 3);
    CHECK_INT(eh_csv_next(&csv, &err), 0);
    CHECK_INT(eh_csv_next(&csv, &err), 0);
    eh_csv_close(&csv);
}

TEST(csv_does_not_need_a_last_line_end_and_passes_empty_lines)
{
    eh_err err;
    eh_csv csv;
    CHECK_OK(eh_csv_open(&csv, EH_STR("\n\r\na\n\n1\n\r\n2"), "t.csv", &err));
    CHECK_INT(eh_csv_next(&csv, &err), 1);
    CHECK(is(cell(&csv, 0), "1"));
    CHECK_INT(eh_csv_next(&csv, &err), 1);
    CHECK(is(cell(&csv, 0), "2"));
    CHECK_INT(csv.row_line, 7);
    CHECK_INT(eh_csv_next(&csv, &err), 0);
    eh_csv_close(&csv);
}

static const struct {
    const char *text, *words;
} bad[] = {
    {"", "is empty"},
    {"\n\n", "is empty"},
    {"a,a\n1,2\n", "both called \"a\""},
    {"a,b\n1\n", "line 2: 1 fields, where the first line names 2"},
    {"a,b\n1,2,3\n", "line 2: 3 fields"},
    {"a\n\"open\n\n", "line 2: field 1 opens a quote that is never closed"},
    {"a\n\"x\"y\n", "line 2: field 1 has \"y\" where a comma"},
    {"a\nx\"y\n", "line 2: field 1 has \"\"\" where a comma"},
    {"a\n\"x\"\ry\n", "carriage return without a line feed"},
};

TEST(csv_refuses_with_file_and_line)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        eh_err err = {0};
        eh_csv csv = {0};
        int rc = eh_csv_open(&csv, eh_str_of(bad[i].text), "t.csv", &err);
        while (rc >= 0 && (rc = eh_csv_next(&csv, &err)) > 0)
            ;
        CHECK_FAILS(rc, EH_EFORMAT, bad[i].words);
        CHECK(strncmp(err.text, "t.csv: ", 7) == 0);
        eh_csv_close(&csv);
    }
}

TEST(csv_bounds_columns_and_records)
{
    eh_err err;
    eh_csv csv;
    eh_buf b = {0};
    for (int i = 0; i < 300; i++)
        eh_buf_printf(&b, "c%d,", i);
    CHECK_FAILS(eh_csv_open(&csv, eh_buf_get(&b), "t.csv", &err), EH_EFORMAT, "more than 256 fields");
    for (int n = 256; n <= 257; n++) { /* the last that may, and the first that may not */
        eh_buf_reset(&b);
        for (int i = 0; i < n; i++)
            eh_buf_printf(&b, i == 0 ? "c%d" : ",c%d", i);
        if (n == 257) {
            CHECK_FAILS(eh_csv_open(&csv, eh_buf_get(&b), "t.csv", &err), EH_EFORMAT, "more than 256 fields");
            continue;
        }
        CHECK_OK(eh_csv_open(&csv, eh_buf_get(&b), "t.csv", &err));
        CHECK_INT(csv.n_column, 256);
        eh_csv_close(&csv);
    }
    eh_buf_reset(&b);
    eh_buf_str(&b, EH_STR("a\n\""));
    for (int i = 0; i < EH_CSV_RECORD_MAX / 8 + 1; i++)
        eh_buf_str(&b, EH_STR("12345678"));
    eh_buf_str(&b, EH_STR("\"\n"));
    CHECK_OK(eh_csv_open(&csv, eh_buf_get(&b), "t.csv", &err));
    CHECK_FAILS(eh_csv_next(&csv, &err), EH_EFORMAT, "a record of more than 1048576 bytes");
    eh_csv_close(&csv);
    eh_buf_clear(&b);
}

TEST(csv_integers_are_integers_in_range)
{
    static const char *const wrong[] = {"", "-", "1.5", "x", "11", "-6", "99999999999999999999", " 1", "1 "};
    eh_err err;
    eh_csv csv;
    int64_t x = 7;
    CHECK_OK(eh_csv_open(&csv, EH_STR("n\n-5\n10\n"), "t.csv", &err));
    CHECK_INT(eh_csv_next(&csv, &err), 1);
    CHECK_OK(eh_csv_int(&csv, 0, -5, 10, &x, &err));
    CHECK_INT(x, -5);
    CHECK_INT(eh_csv_next(&csv, &err), 1);
    CHECK_OK(eh_csv_int(&csv, 0, -5, 10, &x, &err));
    CHECK_INT(x, 10);
    eh_csv_close(&csv);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        eh_buf b = {0};
        eh_buf_printf(&b, "n,m\n%s,\n", wrong[i]);
        CHECK_OK(eh_csv_open(&csv, eh_buf_get(&b), "t.csv", &err));
        CHECK_INT(eh_csv_next(&csv, &err), 1);
        CHECK_FAILS(eh_csv_int(&csv, 0, -5, 10, &x, &err), EH_EFORMAT, "wanted an integer from -5 to 10");
        CHECK(strstr(err.text, "t.csv: line 2: \"n\"") != NULL);
        eh_csv_close(&csv);
        eh_buf_clear(&b);
    }
    CHECK_INT(x, 10);
    CHECK_OK(eh_csv_open(&csv, EH_STR("n\n1\n"), "t.csv", &err));
    CHECK_FAILS(eh_csv_column(&csv, "m", &x, &err), EH_EFORMAT, "has no column \"m\"");
    eh_csv_close(&csv);
}
