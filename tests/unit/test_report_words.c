/* Numbers with sensible digits, and the escapes. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "report/svg.h"
#include "report/table.h"

static eh_words w;

TEST(numbers_have_sensible_digits)
{
    CHECK_INT(eh_decimals(0.312, NAN, NAN), 3);
    CHECK_INT(eh_decimals(0.001, 0.3, NAN), 3); /* the largest decides */
    CHECK_INT(eh_decimals(0.0042, NAN, NAN), 4);
    CHECK_INT(eh_decimals(17.31, 1, 2), 1);
    CHECK_INT(eh_decimals(-1234, 1, 2), 0);
    CHECK_STR(eh_fixed(&w, 0.0605, 2), "0.06");
    CHECK_STR(eh_fixed(&w, -0.125, 2), "\xE2\x88\x92"
                                       "0.13"); /* halves away from zero */
    CHECK_STR(eh_fixed(&w, -0.004, 2), "0.00"); /* and no minus nought */
    CHECK_STR(eh_fixed(&w, 1.999, 2), "2.00");
    CHECK_STR(eh_fixed(&w, NAN, 2), "not defined");
    CHECK_STR(eh_signed(&w, 0.12, 2), "+0.12");
    CHECK_STR(eh_signed(&w, 0.001, 2), "0.00");
    CHECK_STR(eh_number(&w, 30), "30");
    CHECK_STR(eh_number(&w, 1e29), "1e+29");
    CHECK_STR(eh_count(&w, 134515008), "134,515,008");
    CHECK_STR(eh_count(&w, 999), "999");
    CHECK_STR(eh_count(&w, -1), "not given");
    CHECK_STR(eh_chance(&w, 0.0004), "<\xC2\xA0"
                                     "0.001");
    CHECK_STR(eh_chance(&w, 0.04), "=\xC2\xA0"
                                   "0.040");
    CHECK_STR(eh_percent(&w, 0.83), "83\xC2\xA0%");
    CHECK_STR(eh_percent(&w, 0.012), "1.2\xC2\xA0%");
    CHECK(!w.starved);
    eh_words_clear(&w);
}

TEST(no_text_gets_out_of_its_place)
{
    eh_buf b = {0};
    eh_put_html(&b, "<a href=\"x\" id='y'>&");
    CHECK_STR(b.p, "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;");
    eh_buf_reset(&b);
    eh_put_markdown(&b, "a|b*c_d`e[f]<g>\\&");
    CHECK_STR(b.p, "a\\|b\\*c\\_d\\`e\\[f\\]&lt;g>\\\\&amp;");
    eh_buf_reset(&b);
    eh_put_csv(&b, "plain");
    eh_buf_char(&b, ';');
    eh_put_csv(&b, "a,\"b\"");
    CHECK_STR(b.p, "plain;\"a,\"\"b\"\"\"");
    eh_buf_reset(&b);
    eh_put_coord(&b, -12.04);
    eh_buf_char(&b, ' ');
    eh_put_coord(&b, 12.06);
    eh_buf_char(&b, ' ');
    eh_put_coord(&b, -0.01);
    CHECK_STR(b.p, "-12 12.1 0");
    eh_buf_clear(&b);
}

TEST(a_long_name_is_cut_between_characters)
{
    CHECK_STR(eh_shortened(&w, "abc", 3), "abc");
    CHECK_STR(eh_shortened(&w, "abcd", 3), "ab\xE2\x80\xA6");
    CHECK_STR(eh_shortened(&w, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 3), "\xC3\xA9\xC3\xA9\xE2\x80\xA6");
    eh_words_clear(&w);
}

TEST(a_table_says_the_same_in_three_forms)
{
    static const eh_column columns[] = {{"task", "task", true}, {"exact", NULL, false}, {NULL, "shown", false}};
    eh_table t = eh_table_of(&w, columns, 3);
    eh_buf b = {0};
    eh_cell_text(&t, "a|b");
    eh_cell_number(&t, 1.0 / 3, 3);
    eh_cell_number(&t, 1.0 / 3, 3);
    eh_cell_text(&t, NULL);
    eh_cell_number(&t, NAN, 3);
    eh_cell_number(&t, NAN, 3);
    eh_table_markdown(&t, &b);
    CHECK_STR(b.p, "\n| task | shown |\n| --- | ---: |\n| a\\|b | 0.333 |\n|  | \xE2\x80\x93 |\n\n");
    eh_buf_reset(&b);
    eh_table_csv(&t, &b);
    CHECK_STR(b.p, "task,exact\na|b,0.3333333333333333\n,\n");
    eh_buf_reset(&b);
    eh_table_html(&t, "x", &b);
    CHECK(strstr(b.p, "<th scope=\"row\" class=\"l\">a|b</th><td>0.333</td>") != NULL);
    CHECK(strstr(b.p, "exact") == NULL);
    eh_buf_clear(&b);
    eh_words_clear(&w);
}

/* Ends on ticks, the data inside, at most twice the steps asked for; whatever the data. */
TEST(a_scale_holds_its_data)
{
    static const double ends[][2] = {{0, 1},       {-0.037, 0.0021},      {50, 66.2},
                                     {1e-9, 2e-9}, {-1e30, 1e30},         {3, 3},
                                     {0, 0},       {INFINITY, -INFINITY}, {1e9, 1e9 + 1e-3}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const eh_scale s = eh_scale_nice(ends[i][0], ends[i][1], 100, 200, 5);
        CHECK(s.n_tick >= 2 && s.n_tick <= 12);
        if (ends[i][0] <= ends[i][1]) {
            CHECK(s.low <= ends[i][0] + 1e-6 * s.step && s.high >= ends[i][1] - 1e-6 * s.step);
            CHECK(eh_scale_at(&s, ends[i][0]) >= 99.99 && eh_scale_at(&s, ends[i][1]) <= 200.01);
        }
    }
    const eh_scale s = eh_scale_nice(0.02, 0.93, 0, 100, 5);
    CHECK_NEAR(s.step, 0.2, 1e-15);
    CHECK_NEAR(s.low, 0, 1e-15);
    CHECK_NEAR(s.high, 1, 1e-15);
    CHECK_INT(s.n_tick, 6);
    CHECK_INT(s.decimals, 1);
}
