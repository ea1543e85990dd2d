/* Each allocation failing in turn: a clean EH_ENOMEM, outputs untouched, nothing leaked (under ASan). */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "bbq_rows.h"
#include "check.h"
#include "task/bbq_score.h"
#include "task/csv.h"
#include "task/items.h"
#include "task/probe.h"

typedef int attempt_fn(eh_err *err);

/* Runs it with the k-th allocation failing, k = 1, 2, .. until it succeeds. */
static void fail_each(attempt_fn *attempt, const char *what)
{
    int64_t k = 0, failed = 0;
    for (int rc = -1; rc < 0;) {
        eh_err err = {0};
        eh_mem_fail_after(++k);
        rc = attempt(&err);
        eh_mem_fail_after(0);
        if (rc < 0 && (rc != EH_ENOMEM || err.text[0] == '\0')) {
            print_error("%s, allocation %lld: %d \"%s\"\n", what, (long long)k, rc, err.text);
            fail();
        }
        failed += rc < 0;
        CHECK(k < 100000);
    }
    print_message("%s: %lld allocations failed in turn\n", what, (long long)failed);
    CHECK(failed > 0);
}

static eh_buf rows;
static const char meta[] = "category,example_id,target_loc,label_type\nAge,0,0,label\nAge,2,1,name\n";

static int read_bbq(eh_err *err)
{
    eh_bbq_set set = {.n_item = 77};
    const int rc = eh_bbq_read(&(eh_bbq_source){eh_buf_get(&rows), "t.jsonl", NULL}, 1,
                               &(eh_bbq_source){eh_str_of(meta), "m.csv", NULL}, &set, err);
    if (rc < 0) {
        CHECK_INT(set.n_item, 77);
        return rc;
    }
    CHECK_INT(set.n_item, 8);
    eh_bbq_clear(&set);
    return rc;
}

TEST(bbq_reading_survives_no_memory)
{
    row_spec second = old_and_young;
    second.id = 4;
    eh_buf_clear(&rows);
    put_rows(&rows, &old_and_young);
    put_rows(&rows, &second);
    fail_each(read_bbq, "eh_bbq_read");
    eh_buf_clear(&rows);
}

static char dir[300];

static int load_bbq(eh_err *err)
{
    eh_bbq_set set = {.n_item = 77};
    const int rc = eh_bbq_load(dir, NULL, 0, &set, err);
    CHECK(rc == EH_OK || set.n_item == 77);
    if (rc == EH_OK)
        eh_bbq_clear(&set);
    return rc;
}

TEST(bbq_loading_survives_no_memory)
{
    eh_err err;
    char path[400];
    eh_buf b = {0};
    put_rows(&b, &old_and_young);
    snprintf(dir, sizeof dir, "%s", temp_dir());
    snprintf(path, sizeof path, "%s/Age.jsonl", dir);
    CHECK_OK(eh_file_write(path, eh_buf_get(&b), &err));
    snprintf(path, sizeof path, "%s/additional_metadata.csv", dir);
    CHECK_OK(eh_file_write(path, eh_str_of(meta), &err));
    fail_each(load_bbq, "eh_bbq_load");
    eh_buf_clear(&b);
}

static int read_probe(eh_err *err)
{
    static const char form[] =
        "{\"id\": \"C/1\", \"category\": \"C\", \"stereotyped\": \"s\", \"other\": \"o\", \"fills\": "
        "[{\"stereotyped\": "
        "\"a\", \"other\": \"b\"}], \"context\": \"{X} {Y}\", \"disambig\": \"{Y} {X}\", \"question_neg\": \"n\", "
        "\"question_nonneg\": \"m\", \"answer_neg\": \"X\", \"answer_nonneg\": \"Y\"}";
    eh_bbq_set set = {.n_item = 77};
    const int rc = eh_probe_read(eh_str_of(form), "f", EH_STR("{\"phrases\": [\"u\"]}"), "u", &set, err);
    CHECK(rc == EH_OK || set.n_item == 77);
    if (rc == EH_OK)
        eh_bbq_clear(&set);
    return rc;
}

static int read_pairs(eh_err *err)
{
    static const char text[] = "{\"id\": \"a\", \"category\": \"c\", \"cluster\": \"k\", \"sent_more\": \"x\", "
                               "\"sent_less\": \"y\", \"direction\": \"stereo\"}\n";
    eh_pair_set set = {.n_item = 77};
    const int rc = eh_pairs_read(eh_str_of(text), "t", &set, err);
    CHECK(rc == EH_OK || set.n_item == 77);
    if (rc == EH_OK)
        eh_pairs_clear(&set);
    return rc;
}

static int load_utility(eh_err *err)
{
    eh_utility_set set = {.n_item = 77};
    const int rc = eh_utility_load(dir, &set, err);
    CHECK(rc == EH_OK || set.n_item == 77);
    if (rc == EH_OK)
        eh_utility_clear(&set);
    return rc;
}

TEST(probe_loading_survives_no_memory)
{
    eh_err err;
    char path[400];
    fail_each(read_probe, "eh_probe_read");
    fail_each(read_pairs, "eh_pairs_read");
    snprintf(dir, sizeof dir, "%s", temp_dir());
    snprintf(path, sizeof path, "%s/utility.jsonl", dir);
    CHECK_OK(eh_file_write(path,
                           EH_STR("{\"id\": \"a\", \"topic\": \"t\", \"question\": \"q\", "
                                  "\"choices\": [\"1\", \"2\", \"3\", \"4\"], \"answer\": 0}"),
                           &err));
    fail_each(load_utility, "eh_utility_load");
}

static int read_csv(eh_err *err)
{
    eh_csv csv;
    int more, rc = eh_csv_open(&csv, EH_STR("a,b\n1,\"2\"\"\"\n"), "t", err);
    if (rc < 0)
        return rc;
    while ((more = eh_csv_next(&csv, err)) > 0)
        ;
    eh_csv_close(&csv);
    return more;
}

static eh_bbq_set scored;

static int scores(eh_err *err)
{
    eh_bbq_answer a[4];
    int8_t choice[4] = {0, 0, 0, 0};
    eh_estimate e[EH_BBQ_N_SCORE] = {{.value = 7}};
    for (int i = 0; i < 4; i++)
        a[i] = eh_bbq_answer_pick(0);
    const eh_bootstrap_options options = {.n_resample = 10};
    int rc = eh_bbq_scores(&scored, a, EH_BBQ_ALL, &options, e, err);
    CHECK(rc == EH_OK || e[0].value == 7);
    if (rc == EH_OK)
        rc = eh_bbq_harness_scores(&scored, choice, EH_BBQ_ALL, &options, e, err);
    return rc;
}

static int prompts(eh_err *err)
{
    eh_buf b = {0};
    int rc = eh_bbq_prompt_letters(&scored.item[0], eh_bbq_orders_table[0].order[0], true, &b, err);
    eh_buf_clear(&b);
    if (rc == EH_OK)
        rc = eh_bbq_prompt_text(&scored.item[0], true, &b, err);
    eh_buf_clear(&b);
    if (rc == EH_OK)
        rc = eh_bbq_prompt_harness(&scored.item[0], &b, err);
    eh_buf_clear(&b);
    return rc;
}

TEST(csv_scores_and_prompts_survive_no_memory)
{
    eh_err err;
    eh_buf b = {0};
    fail_each(read_csv, "csv");
    put_rows(&b, &old_and_young);
    CHECK_OK(eh_bbq_read(&(eh_bbq_source){eh_buf_get(&b), "t", NULL}, 1, NULL, &scored, &err));
    fail_each(scores, "scores");
    fail_each(prompts, "prompts");
    eh_bbq_clear(&scored);
    eh_buf_clear(&b);
}

static int read_items(eh_err *err)
{
    eh_item_set set = {.n_item = 77};
    const int rc = eh_items_read(
        EH_STR("{\"prompt\": \"the cook\", \"choices\": [\"a\", \"b\"], \"biased\": 0, \"question\": \"q\", \"group\": "
               "\"g\", \"cluster\": \"c\", \"mentions\": [[4, 8]]}\n"
               "{\"prompt\": \"1 + 1 =\", \"choices\": [\"1\", \"2\"], \"answer\": 1, \"cluster\": \"d\"}\n"),
        "i.jsonl", &set, err);
    CHECK(rc == EH_OK || set.n_item == 77);
    if (rc == EH_OK)
        eh_items_clear(&set);
    return rc;
}

TEST(items_reading_survives_no_memory)
{
    fail_each(read_items, "eh_items_read");
}
