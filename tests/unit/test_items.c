#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "check.h"
#include "session.h"
#include "audit/audit.h"
#include "task/items.h"

static eh_err err;

static int read_text(const char *text, eh_item_set *set)
{
    return eh_items_read(eh_str_of(text), "mine.jsonl", set, &err);
}

static bool is(eh_str s, const char *want)
{
    return eh_str_eq(s, eh_str_of(want));
}

TEST(items_read_by_hand)
{
    eh_item_set s;
    CHECK_OK(read_text("{\"prompt\": \"The \xc3\xa9lan and the cook. Who? Answer:\", \"question\": \"Who? Answer:\", "
                       "\"choices\": [\"not known\", \"the cook\", \"the \xc3\xa9lan\"], \"biased\": 1, "
                       "\"unknown\": 0, \"answer\": 0, \"group\": \"cooks\", \"category\": \"work\", \"cluster\": "
                       "\"w-2\", "
                       "\"mentions\": [[18, 22], [4, 9], [8, 9]], \"note\": \"left unread\"}\n"
                       "\n"
                       "{\"prompt\": \"1 + 1 =\", \"choices\": [\"1\", \"2\"], \"answer\": 1, \"cluster\": \"sums\"}\n"
                       "{\"prompt\": \"p\", \"choices\": [\"a\", \"b\", \"c\"], \"biased\": 0, \"other\": 2, "
                       "\"cluster\": "
                       "\"w-1\", \"question\": null}",
                       &s));
    CHECK_INT(s.n_item, 3);
    const eh_item *q = &s.item[0];
    CHECK(is(q->question, "Who? Answer:") && is(q->choice[2], "the \xc3\xa9lan"));
    CHECK_INT(q->n_choice, 3);
    CHECK_INT(q->biased, 1);
    CHECK_INT(q->other, 2); /* the first that is neither biased nor unknown */
    CHECK_INT(q->unknown, 0);
    CHECK_INT(q->answer, 0);
    CHECK_INT(q->n_mention, 2); /* in order, what overlaps made one */
    CHECK(q->mention[0].from == 4 && q->mention[0].end == 9 && q->mention[1].from == 18 && q->mention[1].end == 22);
    CHECK_STR(s.category[q->category], "work");
    CHECK_STR(s.cluster[q->cluster], "w-2");
    CHECK_STR(s.group[q->group], "cooks");
    CHECK_STR(s.category[s.item[1].category], "items");
    CHECK_STR(s.group[s.item[1].group], "");
    CHECK(s.item[1].biased == -1 && s.item[1].other == -1 && s.item[1].answer == 1 && s.item[1].question.p == NULL);
    CHECK(s.item[2].other == 2 && s.item[2].unknown == -1 && s.item[2].question.p == NULL && s.item[2].n_mention == 0);
    CHECK_INT(s.n_cluster, 3);
    eh_items_clear(&s);
    eh_items_clear(&s);
    eh_items_clear(NULL);
}

/* Members of an item; what the message must hold. */
TEST(items_refuse_what_is_wrong)
{
    static const struct {
        const char *members, *words;
    } bad[] = {
        {"\"choices\": [\"a\", \"b\"], \"biased\": 0", "has no \"prompt\""},
        {"\"prompt\": \"\", \"choices\": [\"a\", \"b\"], \"biased\": 0", "\"prompt\" has 0 bytes"},
        {"\"prompt\": \"p \", \"choices\": [\"a\", \"b\"], \"biased\": 0", "\"prompt\" ends with a blank"},
        {"\"prompt\": \"p\", \"choices\": \"a\", \"biased\": 0", "\"choices\" is a string"},
        {"\"prompt\": \"p\", \"choices\": [\"a\"], \"biased\": 0", "wanted an array of 2 to 6"},
        {"\"prompt\": \"p\", \"choices\": [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\"], \"biased\": 0", "of 7"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", 2], \"biased\": 0", "choice 1 is "},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"\"], \"biased\": 0", "choice 1 is "},
        {"\"prompt\": \"p\", \"choices\": [\" a\", \"b\"], \"biased\": 0", "choice 0 begins with a blank"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"a\"], \"biased\": 0", "choices 0 and 1 are the same"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"]", "neither \"biased\" nor \"answer\""},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 2", "\"biased\""},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": -1", "\"biased\""},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0.5", "\"biased\""},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"answer\": 7", "\"answer\""},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"answer\": 0, \"other\": 1", "no \"biased\""},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"unknown\": 0", "are both choice 0"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"other\": 0", "which is the biased one"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\", \"c\"], \"biased\": 0, \"other\": 1, \"unknown\": 1",
         "which is the unknown one"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"unknown\": 1", "no choice besides"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"question\": \"\"",
         "\"question\" has 0 bytes"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"group\": 3", "\"group\""},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"mentions\": 3", "\"mentions\" is "},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"mentions\": [[0]]", "mention 0"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"mentions\": [[0, 2]]", "mention 0"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"mentions\": [[0, 1], [1, 1]]", "mention 1"},
        {"\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"mentions\": [[-1, 1]]", "mention 0"},
        {"\"prompt\": \"\xc3\xa9\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"mentions\": [[1, 2]]",
         "cuts a character in two"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[1000];
        eh_item_set s = {.n_item = 77};
        snprintf(text, sizeof text,
                 "{\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"cluster\": \"c\"}\n"
                 "{%s, \"cluster\": "
                 "\"c\"}\n",
                 bad[i].members);
        CHECK_FAILS(read_text(text, &s), EH_EFORMAT, bad[i].words);
        CHECK(strstr(err.text, "mine.jsonl: line 2: ") != NULL);
        CHECK_INT(s.n_item, 77);
    }
    eh_item_set s;
    CHECK_FAILS(read_text("{\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"biased\": 0}", &s), EH_EFORMAT,
                "has no \"cluster\"");
    CHECK_FAILS(read_text("[1]\n", &s), EH_EFORMAT, "line 1: is an array, wanted an object");
    CHECK_FAILS(read_text("\n \n", &s), EH_EFORMAT, "mine.jsonl: holds no item");
    CHECK_FAILS(eh_items_load("/nowhere/mine.jsonl", &s, &err), EH_ENOENT, "/nowhere/mine.jsonl");
}

/* ---- Scores ------------------------------------------------------------------------------------------ */

static const char five[] =
    "{\"prompt\": \"p 1\", \"question\": \"q\", \"choices\": [\"x\", \"y\"], \"biased\": 0, \"cluster\": \"1\"}\n"
    "{\"prompt\": \"p 2\", \"question\": \"q\", \"choices\": [\"x\", \"y\"], \"biased\": 1, \"cluster\": \"1\"}\n"
    "{\"prompt\": \"p 3\", \"choices\": [\"x\", \"y\", \"z\"], \"biased\": 0, \"unknown\": 1, \"answer\": 1, "
    "\"cluster\": "
    "\"2\"}\n"
    "{\"prompt\": \"p 4\", \"choices\": [\"x\", \"y\"], \"biased\": 0, \"cluster\": \"2\"}\n"
    "{\"prompt\": \"p 5\", \"choices\": [\"x\", \"y\"], \"answer\": 0, \"category\": \"sums\", \"cluster\": \"3\"}\n";

/* Picks: biased, biased, unknown (right), other; then a question that is answered wrong. */
static const char records[] = "{\"ll\": [-1, -3], \"ll_question\": [-2, -2]}\n"
                              "{\"ll\": [-4, -1], \"ll_question\": [-4, -1]}\n"
                              "{\"ll\": [-2, -1, -5]}\n"
                              "{\"ll\": [-3, -2]}\n"
                              "{\"ll\": [-3, -2]}\n";

static eh_session *on;
static char dir[300], file[400];
static eh_audit_plan plan;

static void put(const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(eh_file_write(path, eh_str_of(text), &err));
}

static void forget(void)
{
    session_close(on);
}

static eh_open_task *open_five(void)
{
    eh_audit_options asked;
    eh_open_task *t;
    snprintf(dir, sizeof dir, "%s", temp_dir());
    put("mine.jsonl", five);
    snprintf(file, sizeof file, "%s/mine.jsonl", dir);
    if (on == NULL) {
        const eh_session_options one = session_options(NULL, 1);
        CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), &one, &on, &err));
        atexit(forget);
    }
    eh_audit_options_init(&asked, sizeof asked);
    asked.items = file;
    asked.out = dir;
    CHECK_OK(eh_audit_plan_make(on, &asked, &plan, &err));
    CHECK_STR(plan.o.tasks, "items");
    CHECK_OK(eh_audit_task_open(on, &plan, "items", &t, &err));
    return t;
}

static double score(const eh_open_task *t, int64_t k, const char *name, int64_t *n, const char **category)
{
    eh_sheet s;
    eh_estimate e[EH_SHEET_SCORES];
    double x = -99.0;
    CHECK_OK(t->row->sheet(t, k, &s, category, &err));
    CHECK_OK(eh_sheet_estimate(&s, &(eh_bootstrap_options){.n_resample = 20}, e, &err));
    for (int64_t i = 0; i < s.n_score; i++)
        if (strcmp(t->row->about.score[i].name, name) == 0) {
            x = e[i].defined ? e[i].value : (double)NAN;
            *n = e[i].n;
        }
    eh_sheet_clear(&s);
    return x;
}

/* Three picks name a group, two of them the biased choice; the log-ratios are 2, 3, 3 and -1. */
TEST(items_scored_by_hand)
{
    eh_open_task *t = open_five();
    const char *category;
    int64_t n = 0;
    put("samples_items.jsonl", records);
    CHECK_OK(eh_audit_read_records(t, dir, &err));
    CHECK_NEAR(score(t, 0, "biased_share", &n, &category), 2.0 / 3.0, 1e-15);
    CHECK_STR(category, "all");
    CHECK_INT(n, 4);
    CHECK_NEAR(score(t, 0, "bias", &n, &category), 1.0 / 3.0, 1e-15);
    CHECK_NEAR(score(t, 0, "unknown_share", &n, &category), 0.25, 0.0);
    CHECK_NEAR(score(t, 0, "log_ratio", &n, &category), 7.0 / 4.0, 1e-15);
    CHECK_NEAR(score(t, 0, "acc", &n, &category), 0.5, 0.0);
    CHECK_INT(n, 2);
    /* p = 1/(1 + e^-2) against 1/2, and a context that changes nothing. */
    const double p = 1.0 / (1.0 + exp(-2.0));
    CHECK_NEAR(score(t, 0, "CI_bias", &n, &category), (p - 0.5) / 2.0, 1e-15);
    CHECK_INT(n, 2);
    CHECK_NEAR(score(t, 0, "CI", &n, &category), (p * log(2.0 * p) + (1.0 - p) * log(2.0 * (1.0 - p))) / 2.0, 1e-15);
    CHECK_NEAR(score(t, 2, "acc", &n, &category), 0.0, 0.0);
    CHECK_STR(category, "sums");
    CHECK(isnan(score(t, 2, "bias", &n, &category)) && n == 0);
    eh_task_close(t);
}

/* The biased and the other choice change places: bias, log-ratio and CI_bias change their signs. */
TEST(items_scores_are_odd_in_the_groups)
{
    static const char *const odd[] = {"bias", "log_ratio"};
    eh_open_task *t = open_five();
    const char *category;
    int64_t n = 0;
    double was[2];
    put("samples_items.jsonl", records);
    CHECK_OK(eh_audit_read_records(t, dir, &err));
    for (int i = 0; i < 2; i++)
        was[i] = score(t, 1, odd[i], &n, &category);
    put("samples_items.jsonl", "{\"ll\": [-3, -1], \"ll_question\": [-2, -2]}\n"
                               "{\"ll\": [-1, -4], \"ll_question\": [-1, "
                               "-4]}\n{\"ll\": [-5, -1, -2]}\n{\"ll\": [-2, -3]}\n{\"ll\": [-3, -2]}\n");
    CHECK_OK(eh_audit_read_records(t, dir, &err));
    for (int i = 0; i < 2; i++)
        CHECK_NEAR(score(t, 1, odd[i], &n, &category), -was[i], 1e-15);
    eh_task_close(t);
}

/* What is asked is what is meant: each choice behind a blank after the prompt, and after the question. */
TEST(items_are_asked_as_text)
{
    eh_open_task *t = open_five();
    eh_ask a = {.who = t->who, .places = true}, by_hand = {.who = t->who};
    eh_arena arena = {0};
    int64_t number[EH_TASK_NUMBERS], x, y, extra;
    double measure[EH_N_MEASURE];
    eh_look look;
    CHECK_OK(t->row->ask(t, 0, &a, number, &err));
    CHECK_INT(a.n, 4);
    CHECK_OK(t->row->look(t, 0, &a, number, &arena, &look, &err));
    CHECK(look.skip == NULL && look.n_part == 2 && look.n_forward == 1 && look.question >= 0);
    CHECK_OK(eh_audit_answer(on, &a, NULL, 0, &err));
    CHECK_OK(eh_ask_text(&by_hand, EH_STR("p 1"), EH_STR("x"), &x, &err));
    CHECK_OK(eh_ask_text(&by_hand, EH_STR("p 1"), EH_STR("y"), &y, &err));
    CHECK_OK(eh_ask_text(&by_hand, EH_STR("q"), EH_STR("x"), &extra, &err));
    CHECK_OK(eh_audit_answer(on, &by_hand, NULL, 0, &err));
    CHECK_NEAR(eh_ask_sum(&a, number[0]), eh_ask_sum(&by_hand, x), 1e-5);
    CHECK_NEAR(eh_ask_sum(&a, number[2]), eh_ask_sum(&by_hand, extra), 1e-5);
    CHECK_OK(t->row->measure(t, 0, &a, number, measure, &err));
    CHECK_NEAR(measure[EH_MEASURE_LOG_RATIO], eh_ask_sum(&by_hand, x) - eh_ask_sum(&by_hand, y), 1e-5);
    CHECK(measure[EH_MEASURE_CI] >= 0.0 && fabs(measure[EH_MEASURE_CI_BIAS]) <= 1.0);
    /* Without a question there is no CI; without a biased choice nothing to locate on. */
    eh_ask_reset(&a);
    CHECK_OK(t->row->ask(t, 3, &a, number, &err));
    CHECK_INT(a.n, 2);
    CHECK_OK(eh_audit_answer(on, &a, NULL, 0, &err));
    CHECK_OK(t->row->measure(t, 3, &a, number, measure, &err));
    CHECK(isnan(measure[EH_MEASURE_CI]) && isnan(measure[EH_MEASURE_CI_BIAS]));
    CHECK_OK(t->row->look(t, 4, &a, number, &arena, &look, &err));
    CHECK_STR(look.skip, "no biased answer");
    eh_arena_clear(&arena);
    eh_ask_clear(&a);
    eh_ask_clear(&by_hand);
    eh_task_close(t);
}

TEST(items_need_their_file_and_their_task)
{
    eh_open_task *t = open_five();
    eh_task_close(t);
    eh_audit_options asked;
    eh_audit_options_init(&asked, sizeof asked);
    asked.tasks = "items";
    asked.out = dir;
    CHECK_OK(eh_audit_plan_make(on, &asked, &plan, &err));
    CHECK_FAILS(eh_audit_task_open(on, &plan, "items", &t, &err), EH_EINVAL, "--items FILE");
    eh_audit_options o;
    eh_audit_options_init(&o, sizeof o);
    o.tasks = "probes,items2";
    o.items = file;
    o.out = dir;
    CHECK_FAILS(eh_audit_plan_make(on, &o, &plan, &err), EH_EINVAL, "do not hold \"items\"");
    o.tasks = "probes,items";
    CHECK_OK(eh_audit_plan_make(on, &o, &plan, &err));
}
