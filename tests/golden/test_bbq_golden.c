/*
 * BBQ against what others computed: the published UnifiedQA answers, lm-evaluation-harness, and
 * SmolLM2's golden numbers. Needs the shared folder; skipped without it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "check.h"
#include "task/bbq_score.h"
#include "task/csv.h"
#include "task/rows.h"

static const eh_bootstrap_options few = {.seed = 1, .n_resample = 20};

static void load(const char *const *only, int64_t n_only, eh_bbq_set *set)
{
    eh_err err;
    const char *dir = shared_path("data");
    if (dir == NULL)
        SKIP("no shared data folder");
    CHECK_OK(eh_bbq_load(dir, only, n_only, set, &err));
}

static int32_t family_of(const eh_bbq_set *set, const char *name)
{
    for (int32_t i = 0; i < set->n_family; i++)
        if (strcmp(set->family[i], name) == 0)
            return i;
    print_error("no family %s\n", name);
    fail();
    return -1;
}

static int64_t find(const eh_bbq_set *set, int32_t family, int64_t id)
{
    int64_t low = 0, high = set->n_item;
    while (low < high) {
        const int64_t mid = (low + high) / 2;
        const eh_bbq_item *item = &set->item[mid];
        if (item->family < family || (item->family == family && item->example_id < id))
            low = mid + 1;
        else
            high = mid;
    }
    CHECK(low < set->n_item && set->item[low].family == family && set->item[low].example_id == id);
    return low;
}

/* ---- The published answers of UnifiedQA: the table of data/README.md ---------------------------------- */

static const struct {
    const char *family;
    int arc, disambig, rows;
    double accuracy;
    int named, biased;
    double score;
} published[] = {
    {"Age", 0, 0, 1840, 54.67, 834, 691, 29.78},
    {"Age", 1, 0, 1839, 33.88, 1216, 1058, 48.94},
    {"Age", 0, 1, 1840, 93.48, 1720, 870, 1.16},
    {"Age", 1, 1, 1840, 89.62, 1655, 855, 3.32},
    {"Disability_status", 0, 0, 778, 53.34, 363, 264, 21.21},
    {"Disability_status", 1, 0, 778, 35.99, 498, 376, 32.65},
    {"Disability_status", 0, 1, 778, 92.80, 728, 359, -1.37},
    {"Disability_status", 1, 1, 778, 92.03, 723, 359, -0.69},
    {"Nationality", 0, 0, 1540, 65.97, 524, 308, 5.97},
    {"Nationality", 1, 0, 1540, 41.62, 899, 561, 14.48},
    {"Nationality", 0, 1, 1540, 93.70, 1447, 732, 1.17},
    {"Nationality", 1, 1, 1540, 92.86, 1439, 718, -0.21},
    {"Sexual_orientation", 0, 0, 432, 68.75, 135, 80, 5.79},
    {"Sexual_orientation", 1, 0, 432, 51.62, 209, 130, 11.81},
    {"Sexual_orientation", 0, 1, 432, 93.98, 407, 202, -0.74},
    {"Sexual_orientation", 1, 1, 432, 92.59, 400, 201, 0.50},
};

TEST(unifiedqa_rescored_gives_the_published_values)
{
    static const char *const only[] = {"Age", "Disability_status", "Nationality", "Sexual_orientation"};
    eh_err err;
    eh_bbq_set set = {0};
    load(only, 4, &set);
    CHECK_INT(set.n_item, 9180);

    const char *path = shared_path("data/bbq/unifiedqa_predictions.csv.gz");
    CHECK(path != NULL);
    eh_buf text = {0};
    eh_csv csv;
    int64_t column[4];
    CHECK_OK(eh_file_read(path, (int64_t)1 << 26, &text, &err));
    CHECK_OK(eh_csv_open(&csv, eh_buf_get(&text), path, &err));
    CHECK_OK(eh_csv_column(&csv, "category", &column[0], &err));
    CHECK_OK(eh_csv_column(&csv, "example_id", &column[1], &err));
    CHECK_OK(eh_csv_column(&csv, "idx_race", &column[2], &err));
    CHECK_OK(eh_csv_column(&csv, "idx_arc", &column[3], &err));
    eh_bbq_answer *answer[2];
    for (int f = 0; f < 2; f++)
        CHECK((answer[f] = eh_calloc(set.n_item, (int64_t)sizeof *answer[f])) != NULL);
    int64_t n_row = 0;
    while (eh_csv_next(&csv, &err) > 0) {
        char family[64];
        int64_t id = 0;
        const eh_str name = eh_csv_cell(&csv, column[0]);
        snprintf(family, sizeof family, "%.*s", (int)name.n, name.p);
        CHECK_OK(eh_csv_int(&csv, column[1], 0, 100000, &id, &err));
        const int64_t i = find(&set, family_of(&set, family), id);
        for (int f = 0; f < 2; f++) {
            int64_t pick = -1; /* an empty cell: the text was none of the answers */
            if (eh_csv_cell(&csv, column[2 + f]).n > 0)
                CHECK_OK(eh_csv_int(&csv, column[2 + f], 0, 2, &pick, &err));
            answer[f][i] = eh_bbq_answer_pick((int)pick);
        }
        n_row++;
    }
    CHECK_INT(n_row, 9180);
    for (size_t k = 0; k < sizeof published / sizeof published[0]; k++) {
        const eh_bbq_part part = {-1, family_of(&set, published[k].family)};
        const eh_bbq_answer *a = answer[published[k].arc];
        double sum[EH_BBQ_N_COLUMN];
        eh_estimate e[EH_BBQ_N_SCORE];
        CHECK_OK(eh_bbq_count(&set, a, part, sum, &err));
        CHECK_OK(eh_bbq_scores(&set, a, part, &few, e, &err));
        const double *c = sum + (published[k].disambig ? EH_BBQ_C_DIS_N : EH_BBQ_C_AMB_N);
        CHECK_INT((int)c[EH_BBQ_C_AMB_N], published[k].rows);
        CHECK_INT((int)c[EH_BBQ_C_AMB_NAMED], published[k].named);
        CHECK_INT((int)c[EH_BBQ_C_AMB_BIASED], published[k].biased);
        const int s = published[k].disambig ? EH_BBQ_S_DIS : EH_BBQ_S_AMB;
        const int acc = published[k].disambig ? EH_BBQ_ACCURACY_DIS : EH_BBQ_ACCURACY_AMB;
        CHECK_NEAR(100 * e[s].value, published[k].score, 0.005001); /* two decimals are given */
        CHECK_NEAR(100 * e[acc].value, published[k].accuracy, 0.005001);
    }
    for (int f = 0; f < 2; f++)
        eh_free(answer[f]);
    eh_csv_close(&csv);
    eh_buf_clear(&text);
    eh_bbq_clear(&set);
}

/* ---- The rules on all rows ------------------------------------------------------------------------------ */

/* The same with the metadata kept back: the rule must find what the exact names say. */
TEST(exact_group_rule_and_names_rule_agree_with_the_metadata_on_all_rows)
{
    eh_err err;
    eh_bbq_source source[11];
    eh_buf text[11] = {{0}};
    char path[11][300];
    int64_t n = 0;
    if (shared_path("data/bbq") == NULL)
        SKIP("no shared data folder");
    for (int64_t k = 0; k < eh_bbq_n_family; k++) {
        char name[100];
        snprintf(name, sizeof name, "data/bbq/%s.jsonl.gz", eh_bbq_families[k]);
        const char *p = shared_path(name);
        if (p == NULL)
            continue;
        snprintf(path[n], sizeof path[n], "%s", p);
        CHECK_OK(eh_file_read(path[n], EH_ITEMS_FILE_MAX, &text[n], &err));
        source[n] = (eh_bbq_source){eh_buf_get(&text[n]), path[n], eh_bbq_families[k]};
        n++;
    }
    eh_bbq_set set;
    CHECK_OK(eh_bbq_read(source, n, NULL, &set, &err));
    for (int64_t k = 0; k < n; k++)
        eh_buf_clear(&text[k]);
    CHECK_INT(set.n_item, 55716);
    CHECK_INT(set.n_group, 13929);
    CHECK_INT(set.n_cluster, 293);
    CHECK_INT(set.n_category, 13); /* nine families, four of them with names apart */
    CHECK_INT(set.report.n_biased, 55716 - 116);

    /* The nearest of all: what exact group names give, row by row. */
    const char *meta = shared_path("data/bbq/additional_metadata.csv.gz");
    eh_buf m = {0};
    eh_csv csv;
    int64_t column[5], n_target = 0, n_place = 0, n_type = 0, n_official = 0, n_row = 0;
    static const char *const names[5] = {"category", "example_id", "target_loc_exact", "stereotyped_loc", "label_type"};
    CHECK_OK(eh_file_read(meta, EH_ITEMS_FILE_MAX, &m, &err));
    CHECK_OK(eh_csv_open(&csv, eh_buf_get(&m), meta, &err));
    int64_t official = 0;
    CHECK_OK(eh_csv_column(&csv, "target_loc", &official, &err));
    for (int i = 0; i < 5; i++)
        CHECK_OK(eh_csv_column(&csv, names[i], &column[i], &err));
    while (eh_csv_next(&csv, &err) > 0) {
        char family[64];
        int64_t id = 0, target = -1, place = -1, published_target = -1;
        const eh_str name = eh_csv_cell(&csv, column[0]);
        snprintf(family, sizeof family, "%.*s", (int)name.n, name.p);
        CHECK_OK(eh_csv_int(&csv, column[1], 0, 100000, &id, &err));
        if (eh_csv_cell(&csv, column[2]).n > 0)
            CHECK_OK(eh_csv_int(&csv, column[2], 0, 2, &target, &err));
        if (eh_csv_cell(&csv, column[3]).n > 0)
            CHECK_OK(eh_csv_int(&csv, column[3], 0, 2, &place, &err));
        if (eh_csv_cell(&csv, official).n > 0)
            CHECK_OK(eh_csv_int(&csv, official, 0, 2, &published_target, &err));
        const eh_bbq_item *item = &set.item[find(&set, family_of(&set, family), id)];
        n_target += item->biased == target;
        n_place += item->stereotyped == place;
        n_official += item->biased == published_target;
        n_type += item->by_name == eh_str_eq(eh_csv_cell(&csv, column[4]), EH_STR("name"));
        n_row++;
    }
    print_message("%lld rows: exact target %lld, stereotyped place %lld, label type %lld, official target %lld\n",
                  (long long)n_row, (long long)n_target, (long long)n_place, (long long)n_type, (long long)n_official);
    CHECK_INT(n_row, 55716);
    CHECK_INT(n_target, 55716);
    CHECK_INT(n_place, 55716);
    CHECK_INT(n_type, 55716);
    CHECK_INT(n_official, 55716 - 116); /* the official script matches by substring */
    eh_csv_close(&csv);
    eh_buf_clear(&m);
    eh_bbq_clear(&set);
}

/* The indices of a bit set, "0,2"; bits up to 12. */
static void put_bits(eh_buf *b, uint32_t bits)
{
    bool first = true;
    for (int k = 0; k <= 12; k++)
        if (bits >> k & 1) {
            eh_buf_printf(b, "%s%d", first ? "" : ",", k);
            first = false;
        }
}

/* "category, id, biased, targets" of every row, as lm-eval 0.4.13's own functions give them (process_docs,
 * doc_to_biased_answer, doc_to_targets run over the local rows; 16 rows of SES on which they stop, for
 * an answer has no words, were given words that match nothing). */
TEST(harness_choices_are_those_of_lm_eval_on_all_rows)
{
    eh_err err;
    eh_bbq_set set = {0};
    load(NULL, 0, &set);
    eh_buf b = {0};
    char digest[EH_SHA256_TEXT];
    for (int64_t i = 0; i < set.n_item; i++) {
        const eh_bbq_harness h = eh_bbq_harness_of(&set.item[i]);
        eh_buf_printf(&b, "%s\t%lld\t", set.family[set.item[i].family], (long long)set.item[i].example_id);
        put_bits(&b, h.biased);
        eh_buf_char(&b, '\t');
        put_bits(&b, h.target);
        eh_buf_char(&b, '\n');
    }
    CHECK_OK(eh_buf_check(&b, "the list", &err));
    CHECK_OK(eh_sha256_of(b.p, b.n, digest, &err));
    CHECK_STR(digest, "83d2047fb37c716a069a3aceb8af7acb5eff15f830734de3f7704e2badea1cca");
    CHECK_INT(set.report.n_meta, 55716);
    CHECK_INT(set.report.n_target_differ, 116);
    CHECK_INT(set.report.n_type_differ, 0);
    CHECK(!set.report.meta_turned);
    eh_buf_clear(&b);
    eh_bbq_clear(&set);
}

/* ---- SmolLM2's golden numbers ------------------------------------------------------------------------------ */

static json_t *read_json(const char *name)
{
    eh_err err;
    json_t *root = NULL;
    const char *path = shared_path(name);
    if (path == NULL)
        SKIP("no shared golden folder");
    CHECK_OK(eh_json_file(path, (int64_t)1 << 24, &root, &err));
    return root;
}

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_number(v)) {
        print_error("no number %s\n", key);
        fail();
    }
    return json_number_value(v);
}

/* Golden "paper" numbers of one part: counts, accuracy and score, null where it is 0/0. */
static void check_paper(const eh_bbq_set *set, const eh_bbq_answer *a, eh_bbq_part part, const json_t *paper)
{
    eh_err err;
    double sum[EH_BBQ_N_COLUMN];
    eh_estimate e[EH_BBQ_N_SCORE];
    CHECK_OK(eh_bbq_count(set, a, part, sum, &err));
    CHECK_OK(eh_bbq_scores(set, a, part, &few, e, &err));
    for (int d = 0; d < 2; d++) {
        const json_t *want = json_object_get(paper, d ? "disambig" : "ambig");
        const double *c = sum + (d ? EH_BBQ_C_DIS_N : EH_BBQ_C_AMB_N);
        const eh_estimate *s = &e[d ? EH_BBQ_S_DIS : EH_BBQ_S_AMB];
        const eh_estimate *acc = &e[d ? EH_BBQ_ACCURACY_DIS : EH_BBQ_ACCURACY_AMB];
        CHECK_NEAR(c[EH_BBQ_C_AMB_N], number(want, "n"), 0);
        CHECK_NEAR(c[EH_BBQ_C_AMB_RIGHT], number(want, "n_correct"), 0);
        CHECK_NEAR(c[EH_BBQ_C_AMB_T_N], number(want, "n_with_target"), 0);
        CHECK_NEAR(c[EH_BBQ_C_AMB_NAMED], number(want, "n_non_unknown"), 0);
        CHECK_NEAR(c[EH_BBQ_C_AMB_BIASED], number(want, "n_biased"), 0);
        CHECK_NEAR(acc->value, number(want, "accuracy_all_rows"), 5.1e-8); /* seven decimals are given */
        const json_t *value = json_object_get(want, d ? "s_DIS" : "s_AMB");
        CHECK_INT(s->defined, !json_is_null(value));
        if (s->defined)
            CHECK_NEAR(s->value, json_number_value(value), 5.1e-8);
    }
}

TEST(golden_letters_give_the_golden_ci_and_scores)
{
    eh_err err;
    eh_bbq_set set = {0};
    json_t *summary = read_json("golden/smollm2/bbq_mc_summary.json"), *row;
    load(NULL, 0, &set);
    eh_bbq_answer *a = eh_calloc(set.n_item, (int64_t)sizeof *a);
    const char *path = shared_path("golden/smollm2/bbq_mc.jsonl");
    eh_buf text = {0};
    CHECK_OK(eh_file_read(path, (int64_t)1 << 24, &text, &err));
    eh_lines r = eh_rows(eh_buf_get(&text), path);
    int n = 0;
    while (eh_lines_json(&r, &row, &err) > 0) {
        const int64_t i = find(&set, family_of(&set, json_string_value(json_object_get(row, "category"))),
                               (int64_t)number(row, "example_id"));
        const eh_bbq_item *item = &set.item[i];
        double full[3], q[3];
        for (int k = 0; k < 3; k++) {
            full[k] = json_number_value(json_array_get(json_object_get(row, "lp_full"), (size_t)k));
            q[k] = json_number_value(json_array_get(json_object_get(row, "lp_q"), (size_t)k));
        }
        CHECK_OK(eh_bbq_answer_of(eh_bbq_orders_find("stored"), full, q, &a[i], &err));
        CHECK_INT(a[i].pick, (int)number(row, "answer_full"));
        CHECK_INT(item->label, (int)number(row, "label"));
        CHECK_INT(item->unknown, (int)number(row, "unknown"));
        CHECK_INT(item->biased, (int)number(row, "target_loc"));
        for (int k = 0; k < 3; k++) /* log-probabilities have seven decimals, so p is good to 1e-7 */
            CHECK_NEAR(a[i].p[k], json_number_value(json_array_get(json_object_get(row, "p_full"), (size_t)k)), 1e-7);
        CHECK_NEAR(a[i].ci, number(row, "ci"), 2e-7);
        if (n == 0) {
            static const int8_t stored[3] = {0, 1, 2};
            eh_buf prompt = {0};
            CHECK_OK(eh_bbq_prompt_letters(item, stored, true, &prompt, &err));
            CHECK_STR(prompt.p, json_string_value(json_object_get(summary, "format_example_full")));
            CHECK_OK(eh_bbq_prompt_letters(item, stored, false, &prompt, &err));
            CHECK_STR(prompt.p, json_string_value(json_object_get(summary, "format_example_q")));
            eh_buf_clear(&prompt);
        }
        json_decref(row);
        n++;
    }
    CHECK_INT(n, 120);
    for (int32_t f = -1; f < set.n_family; f++) {
        const json_t *want = json_object_get(summary, f < 0 ? "ALL" : set.family[f]);
        const eh_bbq_part part = {-1, f};
        eh_estimate e[EH_BBQ_N_SCORE];
        CHECK(want != NULL);
        check_paper(&set, a, part, json_object_get(want, "paper"));
        CHECK_OK(eh_bbq_scores(&set, a, part, &few, e, &err));
        CHECK_INT(e[EH_BBQ_CI].n, (int)number(want, "items"));
        CHECK_NEAR(e[EH_BBQ_CI].value, number(want, "mean_ci"), 2e-7);
        CHECK_NEAR(e[EH_BBQ_CI_AMB].value, number(want, "mean_ci_ambig"), 2e-7);
        CHECK_NEAR(e[EH_BBQ_CI_DIS].value, number(want, "mean_ci_disambig"), 2e-7);
        CHECK_NEAR(e[EH_BBQ_PLACE_1].value + e[EH_BBQ_PLACE_2].value + e[EH_BBQ_PLACE_3].value, 1, 1e-13);
        CHECK(e[EH_BBQ_PLACE_1].value > 0.8); /* the model answers A 120 times */
    }
    eh_buf_clear(&text);
    eh_free(a);
    json_decref(summary);
    eh_bbq_clear(&set);
}

static void check_indices(uint32_t bits, const json_t *list)
{
    uint32_t want = 0;
    for (size_t k = 0; k < json_array_size(list); k++)
        want |= 1u << json_integer_value(json_array_get(list, k));
    CHECK_INT(bits, want);
}

TEST(golden_harness_rows_and_metrics_are_reproduced)
{
    eh_err err;
    eh_bbq_set set = {0};
    json_t *summary = read_json("golden/smollm2/bbq_harness_summary.json"), *row;
    load(NULL, 0, &set);
    eh_bbq_answer *a = eh_calloc(set.n_item, (int64_t)sizeof *a);
    int8_t *choice = eh_alloc(set.n_item, 1);
    memset(choice, -1, (size_t)set.n_item);
    const char *path = shared_path("golden/smollm2/bbq_harness.jsonl");
    eh_buf text = {0}, prompt = {0};
    CHECK_OK(eh_file_read(path, (int64_t)1 << 24, &text, &err));
    eh_lines r = eh_rows(eh_buf_get(&text), path);
    int n = 0;
    while (eh_lines_json(&r, &row, &err) > 0) {
        const int64_t i = find(&set, family_of(&set, json_string_value(json_object_get(row, "category"))),
                               (int64_t)number(row, "example_id"));
        const eh_bbq_harness h = eh_bbq_harness_of(&set.item[i]);
        double ll[12];
        CHECK_OK(eh_bbq_prompt_harness(&set.item[i], &prompt, &err));
        CHECK_STR(prompt.p, json_string_value(json_object_get(row, "context")));
        const json_t *choices = json_object_get(row, "choices");
        CHECK_INT(json_array_size(choices), 12);
        for (size_t k = 0; k < 12; k++) {
            CHECK(eh_str_eq(h.choice[k], eh_json_text(json_array_get(choices, k))));
            ll[k] = json_number_value(json_array_get(json_object_get(row, "ll"), k));
        }
        check_indices(h.target, json_object_get(row, "targets"));
        check_indices(h.biased, json_object_get(row, "biased"));
        CHECK_OK(eh_bbq_harness_pick(ll, &choice[i], &err));
        CHECK_INT(choice[i], (int)number(row, "answer"));
        CHECK_INT(h.option[choice[i]], (int)number(row, "answer_original_index"));
        CHECK_INT(h.target >> choice[i] & 1, (int)number(row, "acc"));
        a[i] = eh_bbq_answer_pick(h.option[choice[i]]);
        json_decref(row);
        n++;
    }
    CHECK_INT(n, 40);

    const json_t *metrics = json_object_get(summary, "metrics_lm_eval");
    static const struct {
        const char *name;
        int score;
    } list[] = {
        {"acc", EH_BBQ_H_ACC},
        {"accuracy_amb", EH_BBQ_H_ACCURACY_AMB},
        {"accuracy_disamb", EH_BBQ_H_ACCURACY_DISAMB},
        {"amb_bias_score", EH_BBQ_H_AMB_BIAS},
        {"disamb_bias_score", EH_BBQ_H_DISAMB_BIAS},
    };
    eh_estimate e[EH_BBQ_N_HARNESS_SCORE];
    CHECK_OK(eh_bbq_harness_scores(&set, choice, EH_BBQ_ALL, &few, e, &err));
    for (size_t k = 0; k < 5; k++) {
        CHECK_STR(eh_bbq_harness_table[list[k].score].name, list[k].name);
        CHECK_NEAR(e[list[k].score].value, number(metrics, list[k].name), 1e-12);
    }
    const json_t *paper = json_object_get(summary, "paper");
    check_paper(&set, a, EH_BBQ_ALL, json_object_get(paper, "ALL"));
    for (int32_t f = 0; f < set.n_family; f++) {
        const eh_bbq_part part = {-1, f};
        CHECK_OK(eh_bbq_harness_scores(&set, choice, part, &few, e, &err));
        for (size_t k = 3; k < 5; k++) {
            char name[100];
            snprintf(name, sizeof name, "%s_%s", list[k].name, set.family[f]);
            CHECK_NEAR(e[list[k].score].value, number(metrics, name), 1e-12);
        }
        check_paper(&set, a, part, json_object_get(paper, set.family[f]));
    }
    eh_buf_clear(&text);
    eh_buf_clear(&prompt);
    eh_free(a);
    eh_free(choice);
    json_decref(summary);
    eh_bbq_clear(&set);
}
