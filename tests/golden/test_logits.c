/*
 * The forward pass against float64 references of Hugging Face's code (tests/golden/tiny, made as
 * told in ../shared/golden/tiny/README.md): logits, hidden states, attention probabilities.
 * Tolerances are that README's, relative to the largest number of a tensor, and 1e-4 absolute on
 * logits at f32.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "session.h"
#include "evenhand.h"
#include "golden_file.h"

static const char *const folders[] = {"llama",  "llama-mha",   "llama-untied-scaled", "mistral", "qwen2", "qwen3",
                                      "gemma2", "gemma3_text", "cohere",              "opt",     "gpt2"};
#define N_FOLDER (sizeof folders / sizeof *folders)
static const int lengths[] = {1, 2, 9, 33};

static eh_err err;

static const char *golden_of(const char *folder)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/tiny/%s/golden.safetensors", folder);
    return repo_path(path);
}

static void compare_logits(const eh_session_options *o, double relative)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        char folder[200];
        snprintf(folder, sizeof folder, "tests/golden/tiny/%s", folders[f]);
        const char *path = repo_path(folder);
        eh_session *on;
        CHECK_OK(session_open(path, o, &on, &err));
        eh_weights *w = golden_open(golden_of(folders[f]));
        for (int i = 0; i < 4; i++) {
            char name[100];
            int64_t n_tok, n;
            snprintf(name, sizeof name, "tokens.len%d", lengths[i]);
            int32_t *tok = golden_tokens(w, name, &n_tok);
            snprintf(name, sizeof name, "logits.len%d", lengths[i]);
            float *want = golden_floats(w, name, &n);
            float *got = malloc((size_t)n * sizeof *got);
            CHECK(got != NULL);
            CHECK_OK(eh_logits(on, tok, n_tok, got, &err));
            char what[200];
            snprintf(what, sizeof what, "%s %s", folders[f], name);
            const double tolerance = relative * golden_largest(want, n);
            check_floats(got, want, n, relative < 1e-4 ? fmin(tolerance, 1e-4) : tolerance, what);
            free(tok);
            free(want);
            free(got);
        }
        eh_weights_close(w);
        session_close(on);
    }
}

TEST(f32_logits_of_every_llama_like_family_match_the_double_reference)
{
    compare_logits(NULL, 2e-5);
}

TEST(the_plain_product_gives_the_same_logits)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.product = "reference";
    compare_logits(&o, 2e-5);
}

/* Keeps what it sees of one forward pass: residual stream and attention probabilities. */
typedef struct seen {
    float resid[8][9 * 128];
    float prob[4][8][9][9];
    int64_t d_model;
} seen;

static int keep(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    seen *s = ctx;
    if (b->site == EH_SITE_RESID) {
        s->d_model = b->width;
        memcpy(s->resid[b->layer + 1] + b->first * b->width, b->value, (size_t)(b->n_row * b->width) * sizeof(float));
    } else {
        memcpy(s->prob[b->layer][b->head][b->first], b->value, (size_t)b->width * sizeof(float));
    }
    return 0;
}

TEST(observers_see_hidden_states_and_attention_of_the_reference)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        char folder[200];
        snprintf(folder, sizeof folder, "tests/golden/tiny/%s", folders[f]);
        eh_session *on;
        CHECK_OK(session_open(repo_path(folder), NULL, &on, &err));
        eh_weights *w = golden_open(golden_of(folders[f]));
        eh_model_info info;
        eh_model_describe(on->m, &info);
        int64_t n_tok, n;
        int32_t *tok = golden_tokens(w, "tokens.len9", &n_tok);
        static seen s;
        memset(&s, 0, sizeof s);
        const eh_observer o = {1u << EH_SITE_RESID | 1u << EH_SITE_PROB, keep, &s};
        const eh_request r = {.tok = tok, .n_tok = n_tok, .from = n_tok};
        eh_answer a = {0};
        CHECK_OK(eh_score_observed(on, &r, 1, &a, &o, 1, &err));
        for (int64_t l = 0; l <= info.n_layer; l++) {
            char name[100];
            snprintf(name, sizeof name, l == 0 ? "hidden.len9.embed" : "hidden.len9.block%d", (int)l - 1);
            float *want = golden_floats(w, name, &n);
            check_floats(s.resid[l], want, n, 2e-5 * golden_largest(want, n), name);
            free(want);
        }
        float *want = golden_floats(w, "attn.len9", &n);
        CHECK_INT(n, info.n_layer * info.n_head * 81);
        for (int64_t l = 0; l < info.n_layer; l++)
            for (int64_t h = 0; h < info.n_head; h++)
                check_floats(&s.prob[l][h][0][0], want + (l * info.n_head + h) * 81, 81, 2e-5, "attention");
        free(want);
        free(tok);
        eh_weights_close(w);
        session_close(on);
    }
}

TEST(gguf_files_of_every_type_give_their_own_golden_logits)
{
    static const char *const files[] = {"llama-F32",  "llama-F16",  "llama-Q4_0",        "llama-Q4_1",    "llama-Q5_0",
                                        "llama-Q5_1", "llama-Q8_0", "llama-scaled-BF16", "kmodel-Q4_K_M",
                                            "kmodel-Q5_K_M"};
    eh_weights *w = golden_open(golden_of("gguf"));
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        char name[200];
        snprintf(name, sizeof name, "tests/golden/tiny/gguf/%s.gguf", files[f]);
        eh_session *on;
        CHECK_OK(session_open(repo_path(name), NULL, &on, &err));
        int64_t n_tok, n;
        snprintf(name, sizeof name, "%s.tokens", files[f]);
        int32_t *tok = golden_tokens(w, name, &n_tok);
        snprintf(name, sizeof name, "%s.logits", files[f]);
        float *want = golden_floats(w, name, &n);
        float *got = malloc((size_t)n * sizeof *got);
        CHECK(got != NULL);
        CHECK_OK(eh_logits(on, tok, n_tok, got, &err));
        check_floats(got, want, n, 3e-5 * golden_largest(want, n), files[f]);
        free(tok);
        free(want);
        free(got);
        session_close(on);
    }
    eh_weights_close(w);
}

/* The vocabulary is 0..511: an id on either side of it is refused before anything is computed, and named. */
TEST(ids_beyond_the_vocabulary_are_refused)
{
    static const int32_t ids[] = {-1, 512};
    eh_session *on;
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), NULL, &on, &err));
    for (int i = 0; i < 2; i++) {
        const int32_t good[2] = {511, 0}, bad[2] = {1, ids[i]};
        float logprob[2] = {7.0f, 7.0f};
        eh_answer a = {.token_logprob = logprob, .cand_logprob = logprob + 1};
        const eh_request token = {.tok = bad, .n_tok = 2, .from = 1};
        const eh_request candidate = {.tok = good, .n_tok = 2, .from = 1, .cand = bad, .n_cand = 2};
        CHECK_FAILS(eh_score(on, &token, 1, &a, &err), EH_EINVAL, "request 0: token 1 is ");
        CHECK_FAILS(eh_score(on, &candidate, 1, &a, &err), EH_EINVAL, "request 0: candidate 1 is ");
        CHECK(logprob[0] == 7.0f && logprob[1] == 7.0f);
    }
    session_close(on);
}
