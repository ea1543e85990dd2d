#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "check.h"
#include "task/probe.h"

static const char form[] =
    "{\"id\": \"C/1\", \"category\": \"C\", \"stereotype\": \"s\", \"stereotyped\": \"cooks\", \"other\": \"bakers\", "
    "\"fills\": [{\"stereotyped\": \"the cook\", \"other\": \"the baker\"}, "
    "{\"stereotyped\": \"Ivo\", \"other\": \"\xc3\xa9va\"}], "
    "\"context\": \"On Monday {X} met {Y}.\", \"disambig\": \"{Y} sang! {X} did not.\", "
    "\"question_neg\": \"Who was silent?\", \"question_nonneg\": \"Who sang?\", "
    "\"answer_neg\": \"X\", \"answer_nonneg\": \"Y\", \"label_type\": \"label\"}\n";
static const char phrases[] = "{\"phrases\": [\"not known\", \"Nobody knows\"]}";

static int read_form(const char *f, const char *u, eh_bbq_set *set, eh_err *err)
{
    return eh_probe_read(eh_str_of(f), "f.jsonl", eh_str_of(u), "u.json", set, err);
}

static bool is(eh_str s, const char *want)
{
    return eh_str_eq(s, eh_str_of(want));
}

/* One template, two fills: (cook, baker), (baker, cook), (Ivo, Eva), (Eva, Ivo). */
TEST(probe_template_worked_by_hand)
{
    eh_err err;
    eh_bbq_set s;
    CHECK_OK(read_form(form, phrases, &s, &err));
    CHECK_INT(s.n_item, 16);
    CHECK_INT(s.n_group, 4);
    CHECK_INT(s.n_cluster, 1);
    CHECK_STR(s.cluster[0], "C/1");
    CHECK_STR(s.category[0], "C");
    /* Group 0: order stereotyped, other, unknown; first phrase. */
    CHECK(is(s.item[0].context, "On Monday the cook met the baker."));
    CHECK(is(s.item[1].context, "On Monday the cook met the baker. The baker sang! The cook did not."));
    CHECK(is(s.item[0].question, "Who was silent?") && is(s.item[2].question, "Who sang?"));
    CHECK(is(s.item[0].option[0], "The cook") && is(s.item[0].option[1], "The baker") && is(s.item[0].option[2],
    "Not known"));
    CHECK_INT(s.item[0].label, 2);
    CHECK_INT(s.item[1].label, 0); /* the silent one is X, the cook */
    CHECK_INT(s.item[3].label, 1);
    CHECK_INT(s.item[0].biased, 0);
    CHECK_INT(s.item[2].biased, 1);
    CHECK_INT(s.item[2].stereotyped, 0);
    CHECK_INT(s.item[1].harness_biased, 1);
    CHECK_INT(s.item[3].harness_biased, 2);
    /* Group 1: swapped; order stereotyped, unknown, other; second phrase. */
    CHECK(is(s.item[5].context, "On Monday the baker met the cook. The cook sang! The baker did not."));
    CHECK(is(s.item[4].option[0], "The cook") && is(s.item[4].option[1], "Nobody knows") && is(s.item[4].option[2],
    "The baker"));
    CHECK_INT(s.item[5].label, 2); /* the silent one is now the baker */
    CHECK_INT(s.item[5].biased, 0);
    /* Group 2: a first letter beyond ASCII is a letter, too. */
    CHECK(is(s.item[9].context, "On Monday Ivo met \xc3\xa9va. \xc3\x89va sang! Ivo did not."));
    CHECK(is(s.item[8].option[0], "\xc3\x89va") && is(s.item[8].option[1], "Not known") && is(s.item[8].option[2],
    "Ivo"));
    eh_bbq_clear(&s);
}

TEST(probes_of_the_repository_are_balanced)
{
    eh_err err;
    eh_bbq_set s;
    CHECK_OK(eh_probe_load(repo_path("data/probes"), &s, &err));
    CHECK_INT(s.n_item, 1784); /* data/probes/README.md */
    CHECK_INT(s.n_cluster, 104);
    CHECK_INT(s.n_family, 13);
    CHECK_INT(s.n_category, 15); /* two of them have names apart */
    CHECK_INT(s.n_group, 446);
    CHECK_INT(s.report.n_biased, s.n_item);
    int64_t at[3][3] = {{0}}, right[3] = {0}, with = 0, dis = 0;
    for (int64_t i = 0; i < s.n_item; i++) {
        const eh_bbq_item *item = &s.item[i];
        const int other = 3 - item->unknown - item->stereotyped;
        at[0][item->stereotyped]++;
        at[1][other]++;
        at[2][item->unknown]++;
        right[item->label]++;
        dis += item->disambig;
        with += item->disambig && item->label == item->biased;
        CHECK_INT(item->label == item->unknown, !item->disambig);
        CHECK_INT(item->biased, item->neg ? item->stereotyped : other);
        CHECK(!eh_str_eq(item->option[0], item->option[1]) && !eh_str_eq(item->option[1], item->option[2]));
        CHECK(item->context.n > 0 && memchr(item->context.p, '{', (size_t)item->context.n) == NULL);
        if (item->disambig) /* the ambiguous context is a prefix: prefix sharing lives on it */
            CHECK(eh_str_starts(item->context, s.item[i - 1].context));
    }
    CHECK_INT(dis, 892);
    CHECK_INT(with, 446); /* the right answer agrees with the bias in half of them */
    for (int k = 0; k < 3; k++) {
        for (int p = 0; p < 3; p++)
            CHECK_NEAR((double)at[k][p], 1784.0 / 3, 16); /* categories are not multiples of six groups */
        CHECK_NEAR((double)right[k], 1784.0 / 3, 16);
    }
    eh_bbq_clear(&s);
}

static const struct {
    const char *find, *put, *words;
} faults[] = {
    {"\"id\": \"C/1\", ", "", "f.jsonl: line 1: has no \"id\""},
    {"\"category\": \"C\"", "\"category\": \"\"", "\"category\" has 0 bytes"},
    {"\"stereotyped\": \"cooks\", ", "", "has no \"stereotyped\""},
    {"\"fills\": [", "\"fills\": 1, \"x\": [", "\"fills\" is an integer"},
    {"\"stereotyped\": \"the cook\"", "\"stereotyped\": \"\"", "\"stereotyped\" has 0 bytes"},
    {"On Monday {X}", "On Monday", "\"context\" has {X} 0 times, wanted once"},
    {"On Monday {X}", "On Monday {X} and {X}", "\"context\" has {X} 2 times, wanted once"},
    {"On Monday {X}", "On Monday {X} {", "\"context\" has a brace at byte 14"},
    {"On Monday {X}", "On Monday {Z}", "\"context\" has a brace at byte 10"},
    {"{Y} sang!", "He sang!", "\"disambig\" has {Y} 0 times"},
    {"Who sang?", "Who {Y}, {Y} sang?", "\"question_nonneg\" has {Y} 2 times, wanted at most once"},
    {"\"answer_neg\": \"X\"", "\"answer_neg\": \"Z\"", "\"answer_neg\" is \"Z\", wanted \"X\" or \"Y\""},
    {"\"answer_neg\": \"X\"", "\"answer_neg\": \"Y\"", "are both \"Y\""},
    {"\"label_type\": \"label\"", "\"label_type\": \"face\"", "\"label_type\" is \"face\""},
    {"\"question_neg\"", "\"question_not\"", "has no \"question_neg\""},
};

TEST(probe_faults_are_named)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        eh_err err = {0};
        eh_bbq_set set = {.n_item = 77};
        eh_buf b = {0};
        const char *at = strstr(form, faults[i].find);
        CHECK(at != NULL);
        eh_buf_bytes(&b, form, at - form);
        eh_buf_str(&b, eh_str_of(faults[i].put));
        eh_buf_str(&b, eh_str_of(at + strlen(faults[i].find)));
        CHECK_FAILS(read_form(b.p, phrases, &set, &err), EH_EFORMAT, faults[i].words);
        CHECK_INT(set.n_item, 77);
        eh_buf_clear(&b);
    }
}

TEST(probe_files_must_hold_something_once)
{
    eh_err err;
    eh_bbq_set set;
    eh_buf twice = {0};
    eh_buf_str(&twice, eh_str_of(form));
    eh_buf_char(&twice, '\n');
    eh_buf_str(&twice, eh_str_of(form));
    CHECK_FAILS(read_form(twice.p, phrases, &set, &err), EH_EFORMAT, "lines 1 and 3 have the same id \"C/1\"");
    eh_buf_clear(&twice);
    CHECK_FAILS(read_form("\n", phrases, &set, &err), EH_EFORMAT, "holds no template");
    CHECK_FAILS(read_form(form, "{}", &set, &err), EH_EFORMAT, "u.json: \"phrases\" is nothing");
    CHECK_FAILS(read_form(form, "[]", &set, &err), EH_EFORMAT, "\"phrases\"");
    CHECK_FAILS(read_form(form, "{\"phrases\": []}", &set, &err), EH_EFORMAT, "\"phrases\" is an array, wanted");
    CHECK_FAILS(read_form(form, "{\"phrases\": [\"\"]}", &set, &err), EH_EFORMAT, "phrase 1 is a string, wanted");
    CHECK_FAILS(read_form(form, "{\"phrases\": [1]}", &set, &err), EH_EFORMAT, "phrase 1 is an integer");
    CHECK_FAILS(read_form(form, "{", &set, &err), EH_EFORMAT, "u.json");
}

TEST(probe_folders_without_files_say_what_is_missing)
{
    eh_err err;
    eh_bbq_set set;
    eh_pair_set pairs;
    eh_utility_set utility;
    const char *dir = temp_dir();
    char path[300];
    CHECK_FAILS(eh_probe_load(dir, &set, &err), EH_ENOENT, "probes: bbq_form.jsonl is not there; looked in /");
    CHECK_FAILS(eh_pairs_load(dir, &pairs, &err), EH_ENOENT, "pairs: pairs.jsonl is not there");
    CHECK_FAILS(eh_utility_load(dir, &utility, &err), EH_ENOENT, "utility.jsonl is not there");
    snprintf(path, sizeof path, "%s/bbq_form.jsonl", dir);
    CHECK_OK(eh_file_write(path, eh_str_of(form), &err));
    CHECK_FAILS(eh_probe_load(dir, &set, &err), EH_ENOENT, "unknown.json is not there");
}

/* ---- Pairs and utility -------------------------------------------------------------------------------- */

TEST(pairs_of_the_repository_load)
{
    eh_err err;
    eh_pair_set s;
    CHECK_OK(eh_pairs_load(repo_path("data/probes"), &s, &err));
    CHECK_INT(s.n_item, 200);
    CHECK_INT(s.n_category, 13);
    CHECK_INT(s.n_cluster, 134);
    int anti = 0;
    for (int64_t i = 0; i < s.n_item; i++) {
        anti += s.item[i].anti;
        CHECK(s.item[i].more.n > 0 && s.item[i].less.n > 0);
        CHECK(s.item[i].category >= 0 && s.item[i].category < 13 && s.item[i].cluster >= 0 && s.item[i].cluster < 134);
    }
    CHECK_INT(anti, 47);
    eh_pairs_clear(&s);
}

TEST(utility_of_the_repository_loads)
{
    eh_err err;
    eh_utility_set s;
    int at[4] = {0};
    CHECK_OK(eh_utility_load(repo_path("data/probes"), &s, &err));
    CHECK_INT(s.n_item, 100);
    CHECK_INT(s.n_topic, 11);
    for (int64_t i = 0; i < s.n_item; i++)
        at[s.item[i].answer]++;
    for (int k = 0; k < 4; k++)
        CHECK_INT(at[k], 25);
    eh_utility_clear(&s);
}

#define PAIR(more, less, direction) \
    "{\"id\": \"a\", \"category\": \"c\", \"cluster\": \"k\", \"sent_more\": " more ", \"sent_less\": " less \
    ", \"direction\": " direction "}"
#define UTILITY(choices, answer) \
    "{\"id\": \"a\", \"topic\": \"t\", \"question\": \"q\", \"choices\": [" choices "], \"answer\": " answer "}"

TEST(pair_and_utility_faults_are_named)
{
    static const struct {
        bool pair;
        const char *text, *words;
    } bad[] = {
        {true, PAIR("\"x\"", "\"x\"", "\"stereo\""), "are the same sentence"},
        {true, PAIR("\"x\"", "\"y\"", "\"up\""), "\"direction\" is \"up\""},
        {true, PAIR("\"x\"", "null", "\"stereo\""), "t: line 1: has no \"sent_less\""},
        {true, PAIR("\"x\"", "\"y\"", "\"stereo\"") "\n" PAIR("\"z\"", "\"y\"", "\"stereo\""),
         "lines 1 and 2 have the same id"},
        {true, "", "holds no pair"},
        {true, "[]", "t: line 1: is an array, wanted an object"},
        {false, UTILITY("\"1\", \"2\", \"3\"", "0"), "\"choices\" is an array of 3"},
        {false, UTILITY("\"1\", \"2\", \"3\", 4", "0"), "choice 3 is an integer"},
        {false, UTILITY("\"1\", \"2\", \"3\", \"\"", "0"), "choice 3 is a string, wanted a string that is not empty"},
        {false, UTILITY("\"1\", \"2\", \"3\", \"4\"", "4"), "\"answer\" is 4, wanted 0 to 3"},
        {false, UTILITY("\"1\", \"2\", \"3\", \"4\"", "null"), "has no \"answer\""},
        {false, "\n \n", "holds no question"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        eh_err err = {0};
        eh_pair_set p = {.n_item = 77};
        eh_utility_set u = {.n_item = 77};
        const eh_str text = eh_str_of(bad[i].text);
        CHECK_FAILS(bad[i].pair ? eh_pairs_read(text, "t", &p, &err) : eh_utility_read(text, "t", &u, &err), EH_EFORMAT,
                    bad[i].words);
        CHECK(p.n_item == 77 && u.n_item == 77);
    }
}
