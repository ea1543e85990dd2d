/*
 * Three AdamW steps on every weight of the tiny Llama-like models against Hugging Face in float64 (golden.json,
 * "finetune", made as told in ../shared/golden/tiny/README.md): the loss after each step, to that README's 1e-5.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "train/train.h"
#include "format/weights.h"

static const char *const folders[] = {"llama",  "llama-mha",   "llama-untied-scaled", "mistral", "qwen2", "qwen3",
                                      "gemma2", "gemma3_text", "cohere",              "opt",     "gpt2"};
#define N_FOLDER (sizeof folders / sizeof *folders)
#define N_TOK 33
#define FIRST 4

static eh_err err;

/* The 33 tokens of a model's golden.safetensors. */
static void read_tokens(const char *folder, int32_t tok[N_TOK])
{
    char path[4096];
    const char *dir = temp_dir();
    snprintf(path, sizeof path, "%s/golden.safetensors", folder);
    char link_path[4096], config[4096], command[13000];
    snprintf(link_path, sizeof link_path, "%s/model.safetensors", dir);
    snprintf(config, sizeof config, "%s/config.json", dir);
    snprintf(command, sizeof command, "ln -s '%s' '%s' && echo '{}' > '%s'", path, link_path, config);
    CHECK(system(command) == 0);
    eh_weights *w;
    CHECK_OK(eh_weights_open(dir, &w, &err));
    const eh_tensor *t = eh_weights_find(w, "tokens.len33");
    float x[N_TOK];
    CHECK(t != NULL && eh_tensor_count(t) == N_TOK);
    eh_tensor_rows(t, 0, 1, x);
    for (int i = 0; i < N_TOK; i++)
        tok[i] = (int32_t)x[i];
    eh_weights_close(w);
}

static double loss_of(eh_session *on, const eh_request *r)
{
    float logprob[N_TOK];
    eh_answer a = {.token_logprob = logprob};
    double sum = 0.0;
    CHECK_OK(eh_score(on, r, 1, &a, &err));
    for (int i = 0; i < N_TOK - FIRST; i++)
        sum -= (double)logprob[i];
    return sum / (N_TOK - FIRST);
}

/* Losses before and after 1, 2, 3 steps from golden.json. */
static void read_losses(const char *folder, double want[4])
{
    char path[4096];
    json_t *root;
    snprintf(path, sizeof path, "%s/golden.json", folder);
    CHECK_OK(eh_json_file(path, 64 << 20, &root, &err));
    const json_t *f = json_object_get(root, "finetune");
    want[0] = json_number_value(json_object_get(f, "loss"));
    for (size_t i = 0; i < 3; i++)
        want[i + 1] = json_number_value(json_array_get(json_object_get(f, "loss_after_steps"), i));
    json_decref(root);
}

static void three_steps(const eh_session_options *o)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        char name[200];
        snprintf(name, sizeof name, "tests/golden/tiny/%s", folders[f]);
        const char *folder = repo_path(name);
        int32_t tok[N_TOK];
        double want[4];
        eh_session *on;
        eh_tune_state s = {0};
        read_tokens(folder, tok);
        read_losses(folder, want);
        CHECK_OK(session_open(folder, o, &on, &err));
        const eh_request r = {.tok = tok, .n_tok = N_TOK, .from = FIRST};
        const eh_tune_data d = {.example = &r, .n_example = 1};
        const eh_tune_plan p = {
            .group = EH_TUNE_ALL,
            .adamw = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.01},
            .steps = 3,
            .batch = 1,
        };
        CHECK_OK(eh_tune_train(on, NULL, &p, &d, &s, &err));
        CHECK_INT(s.step, 3);
        for (int i = 0; i < 3; i++)
            CHECK_NEAR(s.point[i + 1].loss, want[i], 1e-5 * want[i]); /* before step i + 1 */
        CHECK_NEAR(loss_of(on, &r), want[3], 1e-5 * want[3]);
        eh_free(s.point);
        session_close(on);
    }
}

TEST(three_adamw_steps_on_all_weights_give_the_losses_of_hugging_face)
{
    three_steps(NULL);
}

TEST(so_do_they_with_the_plain_product)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.product = "reference";
    three_steps(&o);
}
