/* run.json: what is read, what is refused. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "report/record.h"

#define MODEL "\"version\":1,\"model\":{\"n_layer\":2,\"n_head\":3}"

static eh_err err;

static int parse(const char *text, eh_record *r)
{
    return eh_record_parse(eh_str_of(text), "t", r, &err);
}

TEST(a_record_needs_version_and_model_only)
{
    eh_record r = {0};
    CHECK_OK(parse("{\"version\":1,\"model\":{}}", &r));
    CHECK_INT(r.n_row, 0);
    CHECK(!r.locate.given && !r.has_position && !r.splits.given && !r.controls.given);
    CHECK_NEAR(r.confidence, 0.95, 0);
    CHECK_NEAR(r.fdr, 0.05, 0);
    CHECK(!r.has_seed);
    eh_record_clear(&r);
    eh_record_clear(&r);
    eh_record_clear(NULL);
}

TEST(null_is_not_a_number_and_unknown_keys_are_let_be)
{
    eh_record r = {0};
    CHECK_OK(parse("{" MODEL ",\"new\":[{}],\"rows\":[{\"task\":\"t\",\"category\":\"all\",\"score\":\"s\","
                   "\"better\":\"50\",\"kind\":\"bias\",\"targeted\":true,\"before\":{\"value\":null,\"low\":0.5,"
                   "\"n\":7},\"more\":1}]}",
                   &r));
    CHECK_INT(r.n_row, 1);
    CHECK(isnan(r.row[0].before.value) && isnan(r.row[0].before.high) && isnan(r.row[0].difference.q));
    CHECK_NEAR(r.row[0].before.low, 0.5, 0);
    CHECK_INT(r.row[0].before.n, 7);
    CHECK_INT(r.row[0].before.n_cluster, -1);
    CHECK(!r.row[0].has_after && r.row[0].targeted && r.row[0].better == EH_BETTER_FIFTY);
    eh_record_clear(&r);
}

#define TWO_ROWS \
    "\"rows\":[{\"task\":\"a\",\"category\":\"all\",\"score\":\"s\",\"better\":\"lower\",\"kind\":\"position\"}," \
    "{\"task\":\"b\",\"category\":\"all\",\"score\":\"s\"}]"

TEST(words_and_units_go_to_the_rows_of_their_task_and_score)
{
    eh_record r = {0};
    CHECK_OK(parse("{" MODEL "," TWO_ROWS ",\"scores\":[{\"task\":\"a\",\"score\":\"s\",\"words\":\"how it is\","
                   "\"unit\":\"nats\"},{\"task\":\"b\",\"score\":\"t\",\"words\":\"of no row\"}],"
                   "\"citations\":[{\"used_for\":\"pairs\",\"work\":\"A book.\"}]}",
                   &r));
    CHECK_STR(r.row[0].words, "how it is");
    CHECK_STR(r.row[0].unit, "nats");
    CHECK(r.row[0].kind == EH_SCORE_POSITION && r.row[0].better == EH_BETTER_LOWER);
    CHECK(eh_row_is(&r.row[0], EH_SCORE_OTHER) && !eh_row_is(&r.row[0], EH_SCORE_BIAS));
    CHECK(r.row[1].words == NULL);
    CHECK_STR(r.row[1].unit, "score");
    CHECK_INT(r.n_citation, 1);
    CHECK_STR(r.citation[0].used_for, "pairs");
    CHECK_STR(r.citation[0].work, "A book.");
    eh_record_clear(&r);
    /* Words without a letter are none. */
    CHECK_OK(parse("{" MODEL "," TWO_ROWS ",\"scores\":[{\"task\":\"a\",\"score\":\"s\",\"words\":\"\"}]}", &r));
    CHECK(r.row[0].words == NULL);
    eh_record_clear(&r);
}

/* Before it told of scores and works, a record knew three kinds, and called the correlation of half maps a seed. */
TEST(a_record_of_version_0_1_is_read)
{
    eh_record r = {0};
    CHECK_OK(parse("{" MODEL ",\"rows\":[{\"task\":\"probes\",\"category\":\"all\",\"score\":\"s_AMB\","
                   "\"better\":\"0\","
                   "\"kind\":\"bias\"},{\"task\":\"utility\",\"category\":\"all\",\"score\":\"acc\",\"kind\":"
                   "\"utility\"}],\"locate\":{\"reliability\":{\"split_half\":0.6,\"seed\":0.43}}}",
                   &r));
    CHECK(r.row[0].words == NULL && r.row[0].kind == EH_SCORE_BIAS && r.row[1].kind == EH_SCORE_UTILITY);
    CHECK_STR(r.row[0].unit, "score");
    CHECK_INT(r.n_citation, 0);
    CHECK_NEAR(r.locate.half_map_correlation, 0.43, 0);
    eh_record_clear(&r);
    CHECK_OK(parse("{" MODEL ",\"locate\":{\"reliability\":{\"half_map_correlation\":0.5,\"seed\":0.43}}}", &r));
    CHECK_NEAR(r.locate.half_map_correlation, 0.5, 0);
    eh_record_clear(&r);
}

TEST(maps_are_layer_by_layer)
{
    eh_record r = {0};
    CHECK_OK(
        parse("{" MODEL ",\"locate\":{\"before\":[[1,2,3],[4,null,6]],\"selected\":[{\"layer\":1,\"head\":2}]}}", &r));
    CHECK_NEAR(r.locate.before[3], 4, 0);
    CHECK(isnan(r.locate.before[4]) && r.locate.after == NULL);
    CHECK(r.locate.found); /* something is selected and nothing else is said */
    CHECK_INT(r.locate.selected[0].layer, 1);
    eh_record_clear(&r);
}

TEST(texts_cannot_act)
{
    eh_record r = {0};
    CHECK_OK(parse("{" MODEL ",\"command\":\"a\\u001b[2J\\nb\\u202ec\\u0085\",\"preset\":\"\xC3\xA9\"}", &r));
    CHECK_STR(r.command, "a\xEF\xBF\xBD[2J b\xEF\xBF\xBD"
                         "c\xEF\xBF\xBD");
    CHECK_STR(r.preset, "\xC3\xA9");
    eh_record_clear(&r);
}

TEST(what_is_wrong_is_named)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"[]", "wanted an object"},
        {"{}", "has no \"version\""},
        {"{\"version\":2,\"model\":{}}", "\"version\" is 2"},
        {"{\"version\":1}", "has no \"model\""},
        {"{\"version\":1,\"model\":[]}", "\"model\" is an array"},
        {"{\"version\":1,\"model\":{\"n_layer\":0}}", "t: model: \"n_layer\" is 0"},
        {"{\"version\":1,\"model\":{\"n_layer\":2000}}", "t: model: \"n_layer\" is 2000"},
        {"{\"version\":1,\"model\":{\"path\":7}}", "t: model: \"path\" is an integer"},
        {"{" MODEL ",\"command\":\"a\\u0000b\"}", "\"command\" holds a NUL"},
        {"{" MODEL ",\"confidence\":1}", "\"confidence\" is 1"},
        {"{" MODEL ",\"rows\":{}}", "\"rows\" is an object"},
        {"{" MODEL ",\"rows\":[7]}", "t: rows[0]: is an integer"},
        {"{" MODEL ",\"rows\":[{\"task\":\"t\",\"category\":\"c\"}]}", "rows[0]: has no \"score\""},
        {"{" MODEL ",\"rows\":[{\"task\":\"t\",\"category\":\"c\",\"score\":\"s\",\"better\":\"up\"}]}",
         "\"better\" is \"up\""},
        {"{" MODEL ",\"rows\":[{\"task\":\"t\",\"category\":\"c\",\"score\":\"s\",\"before\":{\"value\":\"1\"}}]}",
         "rows[0].before: \"value\" is a string"},
        {"{" MODEL ",\"rows\":[{\"task\":\"t\",\"category\":\"c\",\"score\":\"s\",\"after\":{\"low\":2,\"high\":1}}]}",
         "rows[0].after: its interval is 2 to 1"},
        {"{" MODEL ",\"rows\":[{\"task\":\"t\",\"category\":\"c\",\"score\":\"s\",\"difference\":{\"q\":1.5}}]}",
         "rows[0].difference: \"q\" is 1.5"},
        {"{" MODEL ",\"rows\":[{\"task\":\"t\",\"category\":\"c\",\"score\":\"s\",\"before\":{\"value\":1e31}}]}",
         "\"value\" is 1e+31"},
        {"{" MODEL ",\"rows\":[{\"task\":\"t\",\"category\":\"c\",\"score\":\"s\",\"kind\":\"place\"}]}",
         "\"kind\" is \"place\""},
        {"{" MODEL ",\"scores\":[{\"task\":\"t\"}]}", "scores[0]: has no \"score\""},
        {"{" MODEL ",\"scores\":[{\"task\":\"t\",\"score\":\"s\",\"unit\":1}]}", "scores[0]: \"unit\" is an integer"},
        {"{" MODEL ",\"citations\":[{\"work\":\"w\"}]}", "citations[0]: has no \"used_for\""},
        {"{" MODEL ",\"position\":{\"before\":{\"effect\":1.2}}}", "position: \"effect\" is 1.2"},
        {"{" MODEL ",\"locate\":{\"before\":[[1,2,3]]}}", "\"before\" has 1 rows, the model has 2 layers"},
        {"{" MODEL ",\"locate\":{\"q\":[[1,2,3],[1,2]]}}", "q[1] is an array of 2, wanted an array of 3"},
        {"{" MODEL ",\"locate\":{\"after\":[[1,2,3],[1,2,\"x\"]]}}", "after[1] is a string"},
        {"{\"version\":1,\"model\":{},\"locate\":{\"before\":[[1]]}}", "the model has no n_layer"},
        {"{" MODEL ",\"locate\":{\"selected\":[{\"layer\":2,\"head\":0}]}}", "selected[0]: \"layer\" is 2"},
        {"{" MODEL ",\"locate\":{\"selected\":[{\"layer\":1}]}}", "selected[0]: has no \"head\""},
        {"{" MODEL ",\"locate\":{\"confirmation\":{\"spearman\":-2}}}", "locate.confirmation: \"spearman\""},
        {"{" MODEL ",\"layers\":{\"curves\":[{\"name\":\"a\",\"values\":[1]}]}}", "curves[0]: has 1 values"},
        {"{" MODEL ",\"search\":{\"points\":[{\"front\":1}]}}", "search.points[0]: \"front\" is an integer"},
        {"{" MODEL ",\"controls\":{\"draws\":[true]}}", "draws[0] is true"},
        {"{" MODEL ",\"tune\":{\"steps\":[[]]}}", "tune.steps[0]: is an array"},
        {"{" MODEL ",\"text\":{\"kl\":{\"same_top\":3}}}", "text.kl: \"same_top\" is 3"},
        {"{" MODEL ",\"notes\":[7]}", "\"notes\" is an integer"},
        {"{" MODEL ",\"files\":[{}]}", "files[0]: has no \"name\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        eh_record r = {.n_row = 77};
        CHECK_FAILS(parse(cases[i].text, &r), EH_EFORMAT, cases[i].words);
        CHECK_INT(r.n_row, 77);
    }
}

TEST(too_many_rows_are_refused)
{
    eh_buf b = {0};
    eh_record r = {0};
    eh_buf_str(&b, EH_STR("{" MODEL ",\"rows\":["));
    for (int i = 0; i <= EH_RECORD_ROWS; i++)
        eh_buf_str(&b, i == 0 ? EH_STR("{}") : EH_STR(",{}"));
    eh_buf_str(&b, EH_STR("]}"));
    CHECK_FAILS(eh_record_parse(eh_buf_get(&b), "t", &r, &err), EH_EFORMAT, "at most 5000 are allowed");
    eh_buf_clear(&b);
}

TEST(a_record_that_is_not_there_is_said)
{
    char path[400];
    eh_record r = {0};
    snprintf(path, sizeof path, "%s/run.json", temp_dir());
    CHECK_FAILS(eh_record_read(path, &r, &err), EH_ENOENT, path);
}
