/* eh_selftest on a good model, on one with a planted NaN, and on reference files right and wrong. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "session.h"
#include "evenhand.h"
#include "format/weights.h"

static eh_err err;
static eh_check found[16];
static int n_found;

static const eh_check *named(const char *name)
{
    for (int i = 0; i < n_found; i++)
        if (strcmp(found[i].name, name) == 0)
            return &found[i];
    return NULL;
}

static void run(const char *path, const eh_session_options *o, const char *against)
{
    eh_model *m;
    n_found = 16;
    CHECK_OK(eh_model_open(path, &m, &err));
    CHECK_OK(eh_selftest(m, o, against, found, &n_found, &err));
    eh_model_close(m);
}

static void all_passed(void)
{
    for (int i = 0; i < n_found; i++) {
        if (!found[i].passed && !found[i].skipped)
            print_error("%s: %s\n", found[i].name, found[i].text);
        CHECK(found[i].passed || found[i].skipped);
    }
}

static const char *llama(void)
{
    return repo_path("tests/golden/tiny/llama");
}

TEST(a_good_model_passes_every_check)
{
    static const char *const names[] = {
        "finite values",         "prefix sharing",     "thread counts", "batches of 256 tokens",
        "batches of 4096 tokens", "packed anew",       "reference product", "f32 against bf16",
        "generation equals scoring", "tokenizer round trips",
    };
    run(llama(), NULL, NULL);
    all_passed();
    CHECK_INT(n_found, sizeof names / sizeof *names);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_STR(found[i].name, names[i]);
    CHECK(named("prefix sharing")->passed && named("tokenizer round trips")->passed);
}

TEST(other_families_and_models_without_tokenizer_pass)
{
    static const char *const folders[] = {"llama-mha",   "llama-untied-scaled", "mistral", "qwen2", "qwen3", "gemma2",
                                          "gemma3_text", "cohere",              "opt",     "gpt2"};
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        char path[100];
        snprintf(path, sizeof path, "tests/golden/tiny/%s", folders[f]);
        run(repo_path(path), NULL, NULL);
        all_passed();
        CHECK(named("tokenizer round trips")->skipped);
    }
}

TEST(the_reference_product_and_bf16_pass_as_well)
{
    eh_session_options plain, half;
    eh_session_options_init(&plain, sizeof plain);
    plain.product = "reference";
    eh_session_options_init(&half, sizeof half);
    half.precision = EH_BF16;
    half.product = "reference";
    run(llama(), &plain, NULL);
    all_passed();
    CHECK(named("reference product")->skipped && named("f32 against bf16")->skipped);
    run(llama(), &half, NULL);
    all_passed();
}

TEST(room_for_fewer_than_sixteen_checks_is_refused)
{
    int n = 15;
    eh_model *m;
    CHECK_OK(eh_model_open(llama(), &m, &err));
    CHECK_FAILS(eh_selftest(m, NULL, NULL, found, &n, &err), EH_EINVAL, "room for 15 checks");
    CHECK_INT(n, 15);
    eh_model_close(m);
}

static const char *write_file(const char *text)
{
    static char path[200];
    if (path[0] == '\0')
        snprintf(path, sizeof path, "%s/against.json", temp_dir());
    FILE *f = fopen(path, "w");
    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
    return path;
}

/* ---- A context of a few tokens -------------------------------------------------------------- */

/* A copy of tiny/llama in a folder of its own, its config edited by sed. */
static const char *copy_llama(const char *sed)
{
    static char dir[200];
    char command[2000];
    snprintf(dir, sizeof dir, "%s", temp_dir());
    snprintf(command, sizeof command, "cp '%s'/*.json '%s'/model.safetensors '%s' && sed -i '%s' '%s/config.json'",
             llama(), llama(), dir, sed, dir);
    CHECK(system(command) == 0);
    return dir;
}

TEST(models_with_a_tiny_context_pass)
{
    static const char *const contexts[] = {"1", "2", "3", "17"};
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++) {
        char sed[100];
        snprintf(sed, sizeof sed, "s/\"max_position_embeddings\": 256/\"max_position_embeddings\": %s/", contexts[i]);
        run(copy_llama(sed), NULL, NULL);
        all_passed();
    }
}

/* ---- A planted NaN --------------------------------------------------------------------------- */

/* Overwrites the first float of a tensor in a copy of tiny/llama. */
static const char *plant(const char *tensor, float value)
{
    const char *dir = copy_llama("s/nothing//");
    char path[300];
    eh_weights *w;
    CHECK_OK(eh_weights_open(dir, &w, &err));
    const eh_tensor *t = eh_weights_find(w, tensor);
    CHECK(t != NULL && t->dtype == EH_DTYPE_F32);
    const int64_t at = t->offset;
    eh_weights_close(w);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "r+b");
    CHECK(f != NULL && fseek(f, (long)at, SEEK_SET) == 0 && fwrite(&value, sizeof value, 1, f) == 1 && fclose(f) == 0);
    return dir;
}

/* What scoring says of a model with one bad weight. */
static void check_score_fails(const char *dir, const char *words)
{
    static const int32_t tok[] = {5, 6, 7, 8};
    float lp[3];
    const eh_request r = {.tok = tok, .n_tok = 4, .from = 1};
    eh_answer a = {.token_logprob = lp};
    eh_session *on;
    CHECK_OK(session_open(dir, NULL, &on, &err));
    CHECK_FAILS(eh_score(on, &r, 1, &a, &err), EH_ENUMERIC, words);
    session_close(on);
}

TEST(a_nan_in_a_weight_is_an_error_that_names_the_layer)
{
    check_score_fails(plant("model.layers.0.self_attn.q_proj.weight", NAN), "layer 0, MLP");
    check_score_fails(plant("model.layers.0.mlp.up_proj.weight", NAN), "layer 1, attention");
    check_score_fails(plant("model.layers.1.self_attn.o_proj.weight", NAN), "layer 1, MLP");
    check_score_fails(plant("model.layers.1.mlp.down_proj.weight", INFINITY), "after layer 1");
    check_score_fails(plant("model.norm.weight", NAN), "output head");
}

TEST(a_planted_nan_fails_the_selftest)
{
    run(plant("model.layers.1.self_attn.v_proj.weight", NAN), NULL, NULL);
    CHECK(!found[0].passed && !found[0].skipped);
    CHECK_STR(found[0].name, "finite values");
    CHECK(strstr(found[0].text, "layer 1") != NULL);
    CHECK(named("tokenizer round trips")->passed);
}

TEST(a_planted_nan_fails_the_reference_logits_and_is_no_damaged_file)
{
    char path[300];
    snprintf(path, sizeof path, "%s", plant("model.layers.1.self_attn.v_proj.weight", NAN));
    run(path, NULL, write_file("{\"ids\":[5,6],\"top_ids\":[1],\"top_logits\":[1]}"));
    CHECK(!named("reference logits")->passed && strstr(named("reference logits")->text, "layer 1") != NULL);
    CHECK(!named("finite values")->passed);
}

/* ---- Reference logits ------------------------------------------------------------------------ */

/* Two prompts as JSON, from the model's own logits, the last one moved by `off`. */
static void prompts_as_json(char *out, size_t room, double off, const char *between)
{
    static const int32_t tok[] = {5, 17, 300};
    eh_session *on;
    eh_model_info info;
    CHECK_OK(session_open(llama(), NULL, &on, &err));
    eh_model_describe(on->m, &info);
    float *logits = malloc((size_t)(3 * info.n_vocab) * sizeof *logits);
    CHECK(logits != NULL);
    CHECK_OK(eh_logits(on, tok, 3, logits, &err));
    const float *last = logits + 2 * info.n_vocab;
    double sum = 0;
    for (int64_t i = 0; i < info.n_vocab; i++)
        sum += exp((double)last[i]);
    snprintf(out, room,
             "{\"ids\":[5],\"top_ids\":[1,0],\"top_logits\":[%.9g,%.9g]}%s"
             "{\"ids\":[5,17,300],\"top_ids\":[9],\"top_logits\":[%.9g],\"logsumexp\":%.12g,\"more\":null}",
             (double)logits[1], (double)logits[0], between, (double)last[9] + off, log(sum));
    free(logits);
    session_close(on);
}

TEST(reference_logits_are_read_in_both_layouts)
{
    char prompts[1000], text[1100];
    prompts_as_json(prompts, sizeof prompts, 0.0, "\n");
    run(llama(), NULL, write_file(prompts));
    all_passed();
    CHECK(strstr(named("reference logits")->text, "2 prompts, 3 logits") != NULL);

    prompts_as_json(prompts, sizeof prompts, 0.0, ",\n");
    snprintf(text, sizeof text, "{\"prompts\":[%s]}", prompts);
    run(llama(), NULL, write_file(text));
    all_passed();
    CHECK(strstr(named("reference logits")->text, "2 prompts, 3 logits") != NULL);
}

TEST(a_reference_logit_off_by_more_than_a_thousandth_fails)
{
    char prompts[1000];
    prompts_as_json(prompts, sizeof prompts, 0.0015, "\n");
    run(llama(), NULL, write_file(prompts));
    CHECK(!named("reference logits")->passed && !named("reference logits")->skipped);
    prompts_as_json(prompts, sizeof prompts, 0.0005, "\n");
    run(llama(), NULL, write_file(prompts));
    CHECK(named("reference logits")->passed);
}

TEST(a_reference_file_that_is_not_one_is_refused)
{
    static const struct {
        const char *text, *words;
        int code;
    } bad[] = {
        {"{\"prompts\":[]}", "has no prompts", EH_EFORMAT},
        {"[1]", "has no prompts", EH_EFORMAT},
        {"{\"prompts\":[{\"ids\":[1]}]}", "prompt 0: \"top_ids\" is missing", EH_EFORMAT},
        {"{\"prompts\":[{\"ids\":[],\"top_ids\":[1],\"top_logits\":[1]}]}", "\"ids\"", EH_EFORMAT},
        {"{\"ids\":[512],\"top_ids\":[1],\"top_logits\":[1]}", "line 1: \"ids\"[0] is not an id", EH_EFORMAT},
        {"{\"ids\":[1],\"top_ids\":[-1],\"top_logits\":[1]}", "\"top_ids\"[0] is not an id", EH_EFORMAT},
        {"{\"ids\":[1],\"top_ids\":[1],\"top_logits\":[1,2]}", "\"top_logits\" is not an array of 1", EH_EFORMAT},
        {"{\"ids\":[1],\"top_ids\":[1],\"top_logits\":[\"x\"]}", "\"top_logits\"[0] is a string", EH_EFORMAT},
        {"{\"ids\":[1],\"top_ids\":[1],\"top_logits\":[1],\"logsumexp\":[]}", "logsumexp", EH_EFORMAT},
        {"{\"ids\":[1],\"top_ids\":[1],\"top_logits\":[1]}\n{", "line 2", EH_EFORMAT},
    };
    eh_model *m;
    CHECK_OK(eh_model_open(llama(), &m, &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int n = 16;
        CHECK_FAILS(eh_selftest(m, NULL, write_file(bad[i].text), found, &n, &err), bad[i].code, bad[i].words);
    }
    int n = 16;
    CHECK_FAILS(eh_selftest(m, NULL, "/nowhere.json", found, &n, &err), EH_ENOENT, "/nowhere.json");
    eh_model_close(m);
}

TEST(smollm2_passes_against_its_golden_logits)
{
    if (smollm2_path() == NULL || shared_path("golden/smollm2/logits.jsonl") == NULL)
        SKIP("needs SmolLM2 and ../shared/golden/smollm2");
    run(smollm2_path(), NULL, shared_path("golden/smollm2/logits.jsonl"));
    for (int i = 0; i < n_found; i++)
        print_message("%-26s %s\n", found[i].name, found[i].text);
    all_passed();
}
