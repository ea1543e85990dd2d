/* Each rule of docs/methods/report.md, by hand. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "report/verdict.h"

static eh_err err;

/* ---- One row: before, after, difference, q ---------------------------------------- */

typedef struct row_case {
    const char *why;
    eh_better better;
    double before[3], after[3], difference[2], q; /* value, low, high */
    eh_move want;
} row_case;

static const row_case row_cases[] = {
    {"less lean on the same side, sure",
     EH_BETTER_ZERO,
     {.30, .2, .4},
     {.10, .02, .18},
     {-.28, -.12},
     .01,
     EH_MOVE_BETTER},
    {"the same on the other side",
     EH_BETTER_ZERO,
     {-.30, -.4, -.2},
     {-.10, -.18, -.02},
     {.12, .28},
     .01,
     EH_MOVE_BETTER},
    {"down to where 0 is inside", EH_BETTER_ZERO, {.30, .2, .4}, {-.02, -.1, .06}, {-.4, -.2}, .01, EH_MOVE_BETTER},
    {"q exactly at the level", EH_BETTER_ZERO, {.30, .2, .4}, {.10, .02, .18}, {-.28, -.12}, .05, EH_MOVE_BETTER},
    {"q above the level", EH_BETTER_ZERO, {.30, .2, .4}, {.10, .02, .18}, {-.28, -.12}, .051, EH_MOVE_INCONCLUSIVE},
    {"no q", EH_BETTER_ZERO, {.30, .2, .4}, {.10, .02, .18}, {-.28, -.12}, NAN, EH_MOVE_INCONCLUSIVE},
    {"interval of the change holds 0", EH_BETTER_ZERO, {.30, .2, .4}, {.10, .02, .18}, {-.4, .01}, .01,
     EH_MOVE_INCONCLUSIVE},
    {"interval of the change ends at 0", EH_BETTER_ZERO, {.30, .2, .4}, {.10, .02, .18}, {-.4, 0}, .01,
     EH_MOVE_INCONCLUSIVE},
    {"no lean before: nearer may as well be further",
     EH_BETTER_ZERO,
     {.05, -.03, .12},
     {.01, -.06, .08},
     {-.06, -.02},
     .01,
     EH_MOVE_INCONCLUSIVE},
    {"after may lie as far on the other side",
     EH_BETTER_ZERO,
     {.10, .02, .2},
     {-.02, -.15, .1},
     {-.2, -.04},
     .01,
     EH_MOVE_INCONCLUSIVE},
    {"no interval after", EH_BETTER_ZERO, {.30, .2, .4}, {.10, NAN, NAN}, {-.28, -.12}, .01, EH_MOVE_INCONCLUSIVE},
    {"more lean, sure", EH_BETTER_ZERO, {.10, .02, .18}, {.30, .2, .4}, {.12, .28}, .01, EH_MOVE_WORSE},
    {"more lean, not corrected", EH_BETTER_ZERO, {.10, .02, .18}, {.30, .2, .4}, {.12, .28}, .2, EH_MOVE_PERHAPS_WORSE},
    {"more, but no lean after",
     EH_BETTER_ZERO,
     {.01, -.05, .07},
     {.06, -.01, .13},
     {.02, .08},
     .01,
     EH_MOVE_PERHAPS_WORSE},
    {"over to the other side, as far",
     EH_BETTER_ZERO,
     {.20, .1, .3},
     {-.25, -.35, -.15},
     {-.5, -.4},
     .01,
     EH_MOVE_WORSE},
    {"over to the other side, less far",
     EH_BETTER_ZERO,
     {.20, .1, .3},
     {-.12, -.2, -.05},
     {-.4, -.25},
     .01,
     EH_MOVE_TURNED},
    {"interval and values disagree", EH_BETTER_ZERO, {.30, .2, .4}, {.10, .02, .18}, {.12, .28}, .01,
     EH_MOVE_INCONCLUSIVE},
    {"nearer 50", EH_BETTER_FIFTY, {62, 58, 66}, {55, 51, 59}, {-9, -5}, .01, EH_MOVE_BETTER},
    {"further from 50, below", EH_BETTER_FIFTY, {48, 44, 52}, {38, 34, 42}, {-13, -7}, .01, EH_MOVE_WORSE},
    {"higher is better", EH_BETTER_HIGHER, {.5, .4, .6}, {.6, .5, .7}, {.05, .15}, .01, EH_MOVE_BETTER},
    {"lower is worse then", EH_BETTER_HIGHER, {.6, .5, .7}, {.5, .4, .6}, {-.15, -.05}, .01, EH_MOVE_WORSE},
    {"lower, by its interval alone",
     EH_BETTER_HIGHER,
     {.6, .5, .7},
     {.5, .4, .6},
     {-.15, -.05},
     NAN,
     EH_MOVE_PERHAPS_WORSE},
    {"lower is better", EH_BETTER_LOWER, {.6, .5, .7}, {.5, .4, .6}, {-.15, -.05}, .01, EH_MOVE_BETTER},
    {"no direction", EH_BETTER_NEITHER, {.6, .5, .7}, {.5, .4, .6}, {-.15, -.05}, .01, EH_MOVE_UNJUDGED},
    {"0/0", EH_BETTER_ZERO, {NAN, NAN, NAN}, {.1, .05, .2}, {-.2, -.1}, .01, EH_MOVE_UNDEFINED},
    {"no interval of the change", EH_BETTER_ZERO, {.3, .2, .4}, {.1, .05, .2}, {NAN, NAN}, .01, EH_MOVE_UNDEFINED},
};

static eh_record_row row_of(const row_case *c)
{
    return (eh_record_row){
        .task = "t",
        .category = "all",
        .score = "s",
        .better = c->better,
        .kind = EH_SCORE_BIAS,
        .has_after = true,
        .before = {c->before[0], c->before[1], c->before[2], 10, 5},
        .after = {c->after[0], c->after[1], c->after[2], 10, 5},
        .difference = {.value = c->after[0] - c->before[0],
                       .low = c->difference[0],
                       .high = c->difference[1],
                       .p = c->q,
                       .q = c->q,
                       .mde = NAN},
    };
}

TEST(a_row_is_judged_by_what_its_intervals_carry)
{
    for (size_t i = 0; i < sizeof row_cases / sizeof row_cases[0]; i++) {
        const eh_record_row row = row_of(&row_cases[i]);
        const eh_move got = eh_move_of(&row, 0.05);
        if (got != row_cases[i].want)
            print_error("%s: %s\n", row_cases[i].why, eh_move_words(got));
        CHECK_INT(got, row_cases[i].want);
    }
}

/* Turning every sign is the same bias towards the other group: the same finding. */
TEST(findings_about_zero_are_even_in_the_groups)
{
    for (size_t i = 0; i < sizeof row_cases / sizeof row_cases[0]; i++) {
        if (row_cases[i].better != EH_BETTER_ZERO)
            continue;
        const row_case *c = &row_cases[i];
        const row_case turned = {c->why,
                                 c->better,
                                 {-c->before[0], -c->before[2], -c->before[1]},
                                 {-c->after[0], -c->after[2], -c->after[1]},
                                 {-c->difference[1], -c->difference[0]},
                                 c->q,
                                 c->want};
        const eh_record_row row = row_of(&turned);
        CHECK_INT(eh_move_of(&row, 0.05), c->want);
    }
}

TEST(without_an_after_nothing_is_judged)
{
    eh_record_row row = row_of(&row_cases[0]);
    row.has_after = false;
    CHECK_INT(eh_move_of(&row, 0.05), EH_MOVE_UNJUDGED);
}

/* ---- Controls ---------------------------------------- */

static eh_standing standing(double edit, const double *draw, int64_t n, double *p)
{
    int64_t n_draw, as_low;
    eh_record r = {0};
    r.controls.given = true;
    r.controls.edit = edit;
    r.controls.draw = draw;
    r.controls.n_draw = n;
    return eh_standing_of(&r, &n_draw, &as_low, p);
}

TEST(the_edit_among_random_edits)
{
    double draw[40], p;
    for (int i = 0; i < 40; i++)
        draw[i] = -0.01 * i;
    CHECK_INT(standing(-1, draw, 40, &p), EH_STANDING_BEATS);
    CHECK_NEAR(p, 1.0 / 41, 1e-15);
    CHECK_INT(standing(-1, draw, 5, &p), EH_STANDING_TOO_FEW);
    CHECK_NEAR(p, 1.0 / 6, 1e-15);
    CHECK_INT(standing(-1, draw, 19, &p), EH_STANDING_BEATS); /* 1/20 */
    CHECK_INT(standing(-0.02, draw, 5, &p), EH_STANDING_WITHIN);
    CHECK_NEAR(p, 4.0 / 6, 1e-15); /* -0.02 itself, -0.03, -0.04 */
    CHECK_INT(standing(NAN, draw, 5, &p), EH_STANDING_NONE);
    CHECK_INT(standing(-1, draw, 0, &p), EH_STANDING_NONE);
    draw[0] = NAN; /* a draw without an estimate is none */
    CHECK_INT(standing(-1, draw, 1, &p), EH_STANDING_NONE);
}

/* ---- The whole verdict ---------------------------------------- */

#define ROW(category, score, kind, targeted, before, after, difference)                                                \
    "{\"task\":\"probes\",\"category\":\"" category "\",\"score\":\"" score "\",\"better\":\"0\",\"kind\":\"" kind     \
    "\",\"targeted\":" targeted ",\"before\":" before ",\"after\":" after ",\"difference\":" difference "}"
#define LEANS "{\"value\":0.3,\"low\":0.2,\"high\":0.4}"
#define LESS "{\"value\":0.1,\"low\":0.02,\"high\":0.18}"
#define DOWN "{\"value\":-0.2,\"low\":-0.28,\"high\":-0.12,\"q\":0.004,\"mde\":0.07}"
#define UP "{\"value\":0.2,\"low\":0.12,\"high\":0.28,\"q\":0.004}"
#define FLAT "{\"value\":-0.2,\"low\":-0.5,\"high\":0.1,\"q\":0.4,\"mde\":0.31}"
#define BETTER_ROW ROW("all", "s_AMB", "bias", "true", LEANS, LESS, DOWN)
#define FEW_DRAWS "\"controls\":{\"edit\":-0.2,\"draws\":[0,0.01,-0.02]}"
#define MANY_DRAWS "\"controls\":{\"edit\":-0.2,\"draws\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}"

#define SCORES                                                                                                         \
    "\"scores\":[{\"task\":\"probes\",\"score\":\"s_AMB\",\"words\":\"bias where the context does not answer\","     \
    "\"unit\":\"score\"}]"

static eh_record record;
static eh_words words;
static eh_findings found;

static void judge(const char *parts)
{
    char text[8000];
    eh_words_clear(&words);
    eh_record_clear(&record);
    snprintf(text, sizeof text, "{\"version\":1,\"model\":{\"n_layer\":2,\"n_head\":2}," SCORES ",%s}", parts);
    CHECK_OK(eh_record_parse(eh_str_of(text), "t", &record, &err));
    eh_verdict_of(&record, &words, &found);
    CHECK(!words.starved);
}

/* The first sentence of this kind; fails when there is none. */
static const char *said(eh_sentence_kind kind)
{
    for (int64_t i = 0; i < found.n; i++)
        if (found.sentence[i].kind == kind)
            return found.sentence[i].text;
    fail_msg("no sentence of kind %d", (int)kind);
    return "";
}

static bool is_said(eh_sentence_kind kind)
{
    for (int64_t i = 0; i < found.n; i++)
        if (found.sentence[i].kind == kind)
            return true;
    return false;
}

#define HAS(text, part) CHECK(strstr((text), (part)) != NULL)
#define LACKS(text, part) CHECK(strstr((text), (part)) == NULL)

TEST(better_and_beating_the_controls)
{
    judge("\"rows\":[" BETTER_ROW "]," MANY_DRAWS);
    HAS(found.headline, "came down, by more than random edits do");
    HAS(said(EH_SAID_BETTER), "Bias where the context does not answer (s_AMB, probes, all categories)");
    HAS(said(EH_SAID_BETTER), "from 0.300 to 0.100");
    HAS(said(EH_SAID_BETTER), "q\xC2\xA0=\xC2\xA0"
                              "0.004");
    HAS(said(EH_SAID_CONTROL), "none of 20 did as well");
    CHECK(!is_said(EH_SAID_WORSE) && !is_said(EH_SAID_INCONCLUSIVE) && !is_said(EH_SAID_CAUTION));
    /* A score that the record has no words for is called by its name. */
    judge("\"rows\":[" ROW("all", "s_DIS", "bias", "true", LEANS, LESS, DOWN) "]," MANY_DRAWS);
    HAS(said(EH_SAID_BETTER), "s_DIS, probes, all categories got better");
}

TEST(few_draws_are_said_to_be_few)
{
    judge("\"rows\":[" BETTER_ROW "]," FEW_DRAWS);
    HAS(found.headline, "by more than the 3 random edits tried");
    HAS(said(EH_SAID_CONTROL), "p\xC2\xA0=\xC2\xA0"
                               "0.25 is the smallest value that so few can give");
}

TEST(what_random_edits_do_as_well_is_no_merit)
{
    judge("\"rows\":[" BETTER_ROW "],\"controls\":{\"edit\":-0.2,\"draws\":[-0.3,-0.2,0,0,0]}");
    HAS(found.headline, "random edits do as well");
    HAS(said(EH_SAID_CONTROL), "2 of 5 left as little bias or less");
}

TEST(without_controls_that_is_said)
{
    judge("\"rows\":[" BETTER_ROW "]");
    HAS(found.headline, "no random edits were tried beside it");
    HAS(said(EH_SAID_CONTROL), "not compared");
}

TEST(what_got_worse_leads)
{
    judge("\"rows\":[" BETTER_ROW "," ROW("all", "s_DIS", "bias", "false", LESS, LEANS, UP) "]," MANY_DRAWS);
    CHECK(strstr(found.headline, "The edit made one score worse.") == found.headline);
    HAS(found.headline, "The targeted bias came down");
    CHECK_INT(found.sentence[0].kind, EH_SAID_WORSE);
    HAS(found.sentence[0].text, "s_DIS");
    HAS(found.sentence[0].text, "not aimed at this");

    judge("\"rows\":[" ROW("all", "s_AMB", "bias", "true", LESS, LEANS, UP) "]," MANY_DRAWS);
    HAS(found.headline, "made the bias it was aimed at worse, in 1 of 1 score");
}

TEST(worse_in_a_category_leads_too)
{
    judge("\"rows\":[" BETTER_ROW "," ROW("Religion", "s_AMB", "bias", "true", LESS, LEANS, UP) "]," MANY_DRAWS);
    CHECK(strstr(found.headline, "The edit made one score worse.") == found.headline);
    HAS(found.sentence[0].text, "Got worse in one category: s_AMB (probes) in Religion (0.100 to 0.300)");
}

TEST(overshooting_is_not_called_better)
{
    judge("\"rows\":[" ROW("all", "s_AMB", "bias", "true", LEANS, "{\"value\":-0.15,\"low\":-0.2,\"high\":-0.1}",
                           "{\"value\":-0.45,\"low\":-0.5,\"high\":-0.4,\"q\":0.001}") "]");
    HAS(said(EH_SAID_WORSE), "Overshot");
    HAS(found.headline, "or lean the other way");
    LACKS(found.headline, "came down");
}

TEST(perhaps_worse_is_a_caution)
{
    judge(
        "\"rows\":[" ROW("all", "s_DIS", "bias", "false", LESS, LEANS, "{\"low\":0.12,\"high\":0.28,\"q\":0.09}") "]");
    HAS(said(EH_SAID_CAUTION), "Perhaps worse");
    CHECK(!is_said(EH_SAID_WORSE));
}

TEST(an_inconclusive_change_is_said_with_what_could_have_been_seen)
{
    judge("\"rows\":[" ROW("all", "s_AMB", "bias", "true", LEANS, LESS, FLAT) "]");
    HAS(found.headline, "No effect on the bias that the edit was aimed at could be shown");
    HAS(said(EH_SAID_INCONCLUSIVE), "The minimum detectable effect is 0.310: a smaller change");
    CHECK(!is_said(EH_SAID_BETTER));
}

TEST(no_estimate_is_not_zero)
{
    judge("\"rows\":[" ROW("all", "s_AMB", "bias", "true", "{\"value\":null}", LESS, "null") "]");
    HAS(said(EH_SAID_INCONCLUSIVE), "Without an estimate");
}

TEST(a_model_that_answers_by_position_is_called_that)
{
    judge("\"rows\":[" BETTER_ROW "]," MANY_DRAWS
          ",\"position\":{\"before\":{\"effect\":0.83},\"after\":{\"effect\":0.9}}");
    HAS(found.headline, "answers by position");
    LACKS(found.headline, "came down");
    HAS(said(EH_SAID_CAUTION), "83\xC2\xA0% of its answers");
    HAS(said(EH_SAID_CAUTION), "90\xC2\xA0% after the edit");

    judge("\"rows\":[" BETTER_ROW "]," MANY_DRAWS ",\"position\":{\"before\":{\"effect\":0.5}}"); /* not above */
    LACKS(found.headline, "by position");
    judge("\"rows\":[" ROW("all", "s_DIS", "bias", "false", LESS, LEANS,
                           UP) "],\"position\":{\"before\":{\"effect\":0.83}}");
    CHECK(strstr(found.headline, "The edit made one score worse. This model answers by position") == found.headline);
    /* The edit alone may make a model answer by position: its scores fall with that. */
    judge("\"rows\":[" BETTER_ROW "],\"position\":{\"before\":{\"effect\":0.2},\"after\":{\"effect\":0.9}}");
    HAS(found.headline, "answers by position");
}

/* Asked by text, such a model's scores may be read; that letters would not do is said. */
TEST(by_text_positions_do_not_matter)
{
    judge("\"answer\":\"text_pmi\",\"rows\":[" BETTER_ROW "]," MANY_DRAWS
          ",\"position\":{\"before\":{\"effect\":0.83}}");
    HAS(found.headline, "came down");
    HAS(said(EH_SAID_CAUTION), "Given lettered options, this model answers by position (83\xC2\xA0%");
    judge("\"answer\":\"letters\",\"rows\":[" BETTER_ROW "]," MANY_DRAWS
          ",\"position\":{\"before\":{\"effect\":0.83}}");
    LACKS(found.headline, "came down");
}

#define SELECTED "\"selected\":[{\"layer\":0,\"head\":1,\"score\":0.5,\"q\":0.01,\"n_category\":3,\"alpha\":0}]"
#define TRIED "\"search\":{\"points\":[{\"heads\":1,\"strength\":1,\"bias\":0.4,\"front\":true,\"chosen\":false}]}"

/* Heads that correlate with a bias, and no edit of them that helped: a result, too, and not an audit. */
TEST(heads_whose_edit_did_not_help_are_a_result)
{
    judge("\"locate\":{\"found\":true," SELECTED "}," TRIED);
    HAS(found.headline, "no edit of them lowered the bias");
    HAS(said(EH_SAID_NOTHING), "beyond chance: 1. Edits of them that were tried: 1. None lowered it");
    judge("\"locate\":{\"found\":true," SELECTED "}," TRIED ",\"rows\":[" BETTER_ROW "]," MANY_DRAWS);
    CHECK(!is_said(EH_SAID_NOTHING));
    HAS(found.headline, "came down");
}

TEST(nothing_found_is_a_result)
{
    judge("\"locate\":{\"found\":false,\"why\":\"The smallest q is 0.21.\"}");
    HAS(found.headline, "Nothing was found");
    HAS(found.headline, "not edited");
    HAS(said(EH_SAID_NOTHING), "The smallest q is 0.21.");
    HAS(said(EH_SAID_NOTHING), "This is a result");
}

TEST(a_map_that_does_not_repeat_is_called_noise)
{
    judge("\"locate\":{\"found\":true,\"reliability\":{\"split_half\":0.29}}");
    HAS(said(EH_SAID_CAUTION), "Read it as noise");
    judge("\"locate\":{\"found\":true,\"reliability\":{\"split_half\":0.3}}");
    CHECK(!is_said(EH_SAID_CAUTION));
    judge("\"locate\":{\"found\":true}");
    CHECK(!is_said(EH_SAID_CAUTION));
}

TEST(mixed_splits_and_lost_fluency_are_cautions)
{
    judge("\"rows\":[" BETTER_ROW "],\"splits\":{\"mixed\":true}");
    HAS(found.headline, "The questions that chose the edit judged it.");
    HAS(said(EH_SAID_CAUTION), "splits were mixed");
    judge("\"rows\":[" BETTER_ROW "],\"text\":{\"perplexity\":{\"before\":10,\"after\":11.2}}");
    HAS(said(EH_SAID_CAUTION), "Fluency suffered: perplexity rose from 10 to 11.2 (+12\xC2\xA0%)");
    HAS(found.headline, "Fluency suffered");
    judge("\"rows\":[" BETTER_ROW "],\"text\":{\"perplexity\":{\"before\":10,\"after\":10.9}}");
    CHECK(!is_said(EH_SAID_CAUTION));
    HAS(said(EH_SAID_COST), "Perplexity went from 10 to 10.9");
}

/* "Unchanged" is never said: the loss that the interval still allows is. */
TEST(utility_is_said_by_what_its_interval_excludes)
{
    judge("\"rows\":[{\"task\":\"utility\",\"category\":\"all\",\"score\":\"acc\",\"better\":\"higher\",\"kind\":"
          "\"utility\",\"before\":{\"value\":0.52},\"after\":{\"value\":0.51},\"difference\":{\"value\":-0.01,"
          "\"low\":-0.021,\"high\":0.012,\"q\":0.6}}]");
    HAS(said(EH_SAID_COST), "The interval excludes a loss of more than 0.021");
    CHECK_STR(found.headline, "No bias score was measured after the edit.");
}

TEST(an_audit_is_judged_by_its_intervals)
{
    judge(
        "\"rows\":[{\"task\":\"probes\",\"category\":\"all\",\"score\":\"s_AMB\",\"better\":\"0\",\"kind\":\"bias\","
        "\"before\":" LEANS "},{\"task\":\"probes\",\"category\":\"all\",\"score\":\"s_DIS\",\"better\":\"0\","
        "\"kind\":\"bias\",\"before\":{\"value\":0.02,\"low\":-0.05,\"high\":0.09}},{\"task\":\"probes\",\"category\":"
        "\"Age\",\"score\":\"s_AMB\",\"better\":\"0\",\"kind\":\"bias\",\"before\":" LEANS "}]");
    CHECK_STR(found.headline, "Nothing was edited. The model leans in 1 of 2 bias scores.");
    HAS(said(EH_SAID_MEASURED), "it excludes 0");
    HAS(said(EH_SAID_INCONCLUSIVE), "it includes 0: inconclusive");
    HAS(found.sentence[found.n - 1].text, "some do so by chance");

    judge("\"rows\":[{\"task\":\"pairs\",\"category\":\"all\",\"score\":\"pct_stereotype\",\"better\":\"50\",\"kind\":"
          "\"bias\",\"before\":{\"value\":52,\"low\":48,\"high\":56}}]");
    HAS(found.headline, "No bias score shows a lean");
}

TEST(many_rows_stay_a_short_verdict)
{
    eh_buf b = {0};
    eh_buf_str(&b, EH_STR("{\"version\":1,\"model\":{},\"rows\":["));
    for (int i = 0; i < 300; i++)
        eh_buf_printf(&b,
                      "%s{\"task\":\"t%d\",\"category\":\"all\",\"score\":\"s\",\"better\":\"higher\",\"kind\":\"%s\","
                      "\"before\":{\"value\":1},\"after\":{\"value\":%d},\"difference\":{\"low\":%d,\"high\":%d,"
                      "\"q\":0}}",
                      i == 0 ? "" : ",", i, i % 3 == 0 ? "bias" : "utility", i % 2 ? 2 : 0, i % 2 ? 1 : -2,
                      i % 2 ? 2 : -1);
    eh_buf_str(&b, EH_STR("]}"));
    eh_record_clear(&record);
    CHECK_OK(eh_record_parse(eh_buf_get(&b), "t", &record, &err));
    eh_verdict_of(&record, &words, &found);
    CHECK(!words.starved);
    CHECK(found.n < 20);
    HAS(found.headline, "The edit made");
    eh_buf_clear(&b);
    eh_words_clear(&words);
    eh_record_clear(&record);
}

/* Of a group of rows ten are named, whichever scores they are of; the others are counted. */
TEST(ten_rows_of_a_group_are_named)
{
    for (int n = 10; n <= 12; n += 2) {
        eh_buf b = {0};
        eh_buf_str(&b, EH_STR("{\"version\":1,\"model\":{},\"rows\":["));
        for (int i = 0; i < n; i++) /* five categories of a score, then the next score: no estimate after the edit */
            eh_buf_printf(&b,
                          "%s{\"task\":\"t\",\"category\":\"c%d\",\"score\":\"s%d\",\"better\":\"0\",\"kind\":\"bias\","
                          "\"before\":{\"value\":1},\"after\":{\"value\":null},\"difference\":null}",
                          i == 0 ? "" : ",", i, i / 5);
        eh_buf_str(&b, EH_STR("]}"));
        eh_record_clear(&record);
        CHECK_OK(eh_record_parse(eh_buf_get(&b), "t", &record, &err));
        eh_verdict_of(&record, &words, &found);
        const char *text = said(EH_SAID_INCONCLUSIVE);
        HAS(text, "s0 (t) in c0, c1, c2, c3, c4; s1 (t) in c5, c6, c7, c8, c9");
        LACKS(text, "s2");
        CHECK((strstr(text, "and 2 more in the tables") != NULL) == (n == 12));
        eh_buf_clear(&b);
        eh_words_clear(&words);
    }
    eh_record_clear(&record);
}
