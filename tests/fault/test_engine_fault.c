/*
 * Each allocation in turn fails while a model is opened, scores, generates and is tested: the call
 * ends with EH_ENOMEM, outputs stay, the model is as good as before, and (under the address
 * sanitizer) nothing leaks.
 */
#include <string.h>

#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "evenhand.h"
#include "grad_room.h"

static eh_err err;

static const char *llama(void)
{
    return repo_path("tests/golden/tiny/llama");
}

/* Opening parses a tokenizer, thousands of allocations of a few kinds: all of the first hundred,
 * then every 17th. Returns how many a whole opening takes. */
static int64_t fail_opening(const char *path)
{
    eh_session *on;
    eh_mem_fail_after(0);
    CHECK_OK(session_open(path, NULL, &on, &err));
    const int64_t whole = eh_mem_count();
    session_close(on);
    for (int64_t k = 1; k <= whole; k += k < 100 || k > whole - 100 ? 1 : 17) {
        on = NULL;
        err.text[0] = '\0';
        eh_mem_fail_after(k);
        const int rc = session_open(path, NULL, &on, &err);
        eh_mem_fail_after(0);
        if (rc != EH_ENOMEM)
            print_error("allocation %d of %d failed: %d %s\n", (int)k, (int)whole, rc, err.text);
        CHECK_INT(rc, EH_ENOMEM);
        CHECK(on == NULL && err.text[0] != '\0');
    }
    return whole;
}

TEST(opening_survives_every_failed_allocation)
{
    CHECK(fail_opening(llama()) > 100);
    CHECK(fail_opening(repo_path("tests/golden/tiny/llama-untied-scaled")) > 20); /* shards, no tokenizer */
    CHECK(fail_opening(repo_path("tests/golden/tiny/gguf/llama-Q4_1.gguf")) > 5);
}

/* Three requests that share a prefix. */
static const int32_t tok[3][6] = {{5, 6, 7, 8, 9, 10}, {5, 6, 7, 11, 12, 13}, {5, 6, 400, 1, 2, 3}};
static const int32_t cand[2] = {20, 21};

static void ask(eh_request *r, eh_answer *a, float (*token)[3], float (*candidate)[2])
{
    for (int i = 0; i < 3; i++) {
        r[i] = (eh_request){tok[i], 6, 3, cand, 2};
        a[i] = (eh_answer){.token_logprob = token[i], .cand_logprob = candidate[i]};
    }
}

static void fail_scoring(const eh_session_options *o)
{
    eh_request r[3];
    eh_answer a[3];
    float want[3][3], got[3][3], want_cand[3][2], got_cand[3][2];
    eh_session *on;
    ask(r, a, want, want_cand);
    CHECK_OK(session_open(llama(), o, &on, &err));
    CHECK_OK(eh_score(on, r, 3, a, &err));
    session_close(on);

    int64_t k = 1;
    for (;; k++) {
        CHECK_OK(session_open(llama(), o, &on, &err)); /* anew: nothing is packed yet */
        eh_mem_fail_after(k);
        ask(r, a, got, got_cand);
        const int rc = eh_score(on, r, 3, a, &err);
        eh_mem_fail_after(0);
        if (rc != EH_OK) {
            CHECK_INT(rc, EH_ENOMEM);
            CHECK_OK(eh_score(on, r, 3, a, &err)); /* with memory again, all is well */
        }
        CHECK(memcmp(want, got, sizeof want) == 0 && memcmp(want_cand, got_cand, sizeof want_cand) == 0);
        session_close(on);
        if (rc == EH_OK)
            break;
    }
    CHECK(k > 20);
}

TEST(scoring_survives_every_failed_allocation)
{
    eh_session_options plain, anew;
    eh_session_options_init(&plain, sizeof plain);
    plain.product = "reference";
    plain.threads = 1;
    eh_session_options_init(&anew, sizeof anew);
    anew.memory = 1;
    anew.threads = 1;
    eh_session_options half;
    eh_session_options_init(&half, sizeof half);
    half.precision = EH_BF16;
    half.product = "reference";
    half.threads = 1;
    fail_scoring(NULL);
    fail_scoring(&plain);
    fail_scoring(&anew);
    fail_scoring(&half);
}

TEST(logits_survive_every_failed_allocation)
{
    static float want[6 * 512], got[6 * 512];
    eh_session *on;
    CHECK_OK(session_open(llama(), NULL, &on, &err));
    CHECK_OK(eh_logits(on, tok[0], 6, want, &err));
    int64_t k = 1;
    for (;; k++) {
        eh_mem_fail_after(k);
        const int rc = eh_logits(on, tok[0], 6, got, &err);
        eh_mem_fail_after(0);
        if (rc == EH_OK)
            break;
        CHECK_INT(rc, EH_ENOMEM);
    }
    CHECK(k > 1);
    CHECK(memcmp(want, got, sizeof want) == 0);
    session_close(on);
}

TEST(generating_survives_every_failed_allocation)
{
    const eh_request prompts[2] = {{.tok = tok[0], .n_tok = 6, .from = 6}, {.tok = tok[2], .n_tok = 4, .from = 4}};
    eh_sampling options;
    eh_sampling_init(&options, sizeof options);
    options.max_new = 4;
    options.temperature = 1.0;
    options.top_p = 0.9;
    options.ignore_eos = true;
    eh_generated want[4], got[4];
    eh_session *on;
    CHECK_OK(session_open(llama(), NULL, &on, &err));
    CHECK_OK(eh_generate(on, prompts, 2, 2, &options, NULL, NULL, want, &err));
    session_close(on);
    int64_t k = 1;
    for (bool done = false; !done; k++) {
        CHECK_OK(session_open(llama(), NULL, &on, &err));
        eh_mem_fail_after(k);
        const int rc = eh_generate(on, prompts, 2, 2, &options, NULL, NULL, got, &err);
        eh_mem_fail_after(0);
        done = rc == EH_OK;
        if (!done) {
            CHECK_INT(rc, EH_ENOMEM);
            CHECK_OK(eh_generate(on, prompts, 2, 2, &options, NULL, NULL, got, &err));
        }
        for (int i = 0; i < 4; i++) {
            CHECK(got[i].n_tok == 4 && memcmp(got[i].tok, want[i].tok, 4 * sizeof(int32_t)) == 0);
            eh_release(got[i].tok);
        }
        session_close(on);
    }
    CHECK(k > 50);
    for (int i = 0; i < 4; i++)
        eh_release(want[i].tok);
}

static int no_more(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    *(double *)ctx += (double)b->grad[0];
    return 0;
}

static void fail_attributing(const char *path, const eh_session_options *o)
{
    const eh_term term[2] = {{5, -1, true, 1.0}, {2, 9, false, -1.0}};
    const eh_goal goal[2] = {{.tok = tok[0], .n_tok = 6, .term = term, .n_term = 2},
                             {.tok = tok[1], .n_tok = 3, .term = &term[1], .n_term = 1}};
    double want[2], got[2], seen = 0;
    const eh_observer look = {1u << EH_SITE_RESID | 1u << EH_SITE_HEAD_OUT | 1u << EH_SITE_NEURON, no_more, &seen};
    eh_session *on;
    CHECK_OK(session_open(path, o, &on, &err));
    CHECK_OK(eh_attribute(on, goal, 2, EH_RULES_ATTNLRP, want, &look, 1, &err));
    session_close(on);
    int64_t k = 1;
    for (bool done = false; !done; k++) {
        CHECK_OK(session_open(path, o, &on, &err));
        got[0] = got[1] = 7.0;
        eh_mem_fail_after(k);
        const int rc = eh_attribute(on, goal, 2, EH_RULES_ATTNLRP, got, &look, 1, &err);
        eh_mem_fail_after(0);
        done = rc == EH_OK;
        if (!done) {
            CHECK_INT(rc, EH_ENOMEM);
            CHECK(got[0] == 7.0 && got[1] == 7.0);
            CHECK_OK(eh_attribute(on, goal, 2, EH_RULES_ATTNLRP, got, &look, 1, &err));
        }
        CHECK(memcmp(got, want, sizeof want) == 0);
        session_close(on);
    }
    CHECK(k > 20);
}

TEST(attributing_survives_every_failed_allocation)
{
    eh_session_options plain, anew;
    eh_session_options_init(&plain, sizeof plain);
    plain.product = "reference";
    plain.threads = 1;
    eh_session_options_init(&anew, sizeof anew);
    anew.memory = 1;
    anew.batch_tokens = 6;
    fail_attributing(llama(), NULL);
    fail_attributing(repo_path("tests/golden/tiny/llama"), &plain);
    fail_attributing(repo_path("tests/golden/tiny/llama"), &anew);
}

/* With gradients of weights and a KL term. */
TEST(going_back_to_weights_survives_every_failed_allocation)
{
    const eh_goal goal = {.tok = tok[0], .n_tok = 6};
    static const float logp[320];
    const eh_kl_term kl = {.goal = 0, .pos = 3, .weight = 1.0, .logp = logp};
    eh_session *on;
    double value;
    CHECK_OK(session_open(repo_path("tests/golden/tiny/qwen3"), NULL, &on, &err));
    grad_room g = grad_room_of(on);
    CHECK(on->m->config.n_vocab <= 320 && on->layer[0].norm[EH_NORM_Q] != NULL);
    session_close(on);
    int64_t k = 1;
    for (bool done = false; !done; k++) {
        CHECK_OK(session_open(repo_path("tests/golden/tiny/qwen3"), NULL, &on, &err)); /* anew: nothing is packed yet */
        eh_mem_fail_after(k);
        const int rc = eh_backward(on, &goal, 1, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .kl = &kl,
                                                                        .n_kl = 1, .grads = &g.grads}, &value, NULL, 0,
                                                                            &err);
        eh_mem_fail_after(0);
        done = rc == EH_OK;
        if (!done)
            CHECK_INT(rc, EH_ENOMEM);
        session_close(on);
    }
    CHECK(k > 20);
    grad_room_free(&g);
}

TEST(perplexity_survives_every_failed_allocation)
{
    static const char text[] = "A text of some words, long enough for two windows of sixteen tokens each, and a tail.";
    eh_session *on;
    CHECK_OK(session_open(llama(), NULL, &on, &err));
    for (int kind = 0; kind < 3; kind++) {
        eh_perplexity_options o;
        eh_perplexity_options_init(&o, sizeof o);
        o.kind = (eh_perplexity_kind)kind;
        o.window = 16;
        o.stride = 8;
        o.wikitext_page = kind == 2;
        eh_perplexity want, got;
        CHECK_OK(eh_perplexity_of(on, text, (int64_t)strlen(text), &o, &want, &err));
        for (int64_t k = 1;; k++) {
            got = (eh_perplexity){.n_tok = -1};
            eh_mem_fail_after(k);
            const int rc = eh_perplexity_of(on, text, (int64_t)strlen(text), &o, &got, &err);
            eh_mem_fail_after(0);
            if (rc == EH_OK)
                break;
            CHECK_INT(rc, EH_ENOMEM);
            CHECK_INT(got.n_tok, -1);
        }
        CHECK(memcmp(&got.nll, &want.nll, sizeof want.nll) == 0);
    }
    session_close(on);
}

/* The selftest opens many sessions: a sample of its allocations. */
TEST(the_selftest_survives_failed_allocations)
{
    eh_check check[16];
    int n = 16;
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.threads = 1;
    eh_model *m;
    CHECK_OK(eh_model_open(llama(), &m, &err));
    eh_mem_fail_after(0);
    CHECK_OK(eh_selftest(m, &o, NULL, check, &n, &err));
    const int64_t whole = eh_mem_count();
    for (int64_t k = 1; k < whole; k += 1 + whole / 12) {
        n = 16;
        eh_mem_fail_after(k);
        const int rc = eh_selftest(m, &o, NULL, check, &n, &err);
        eh_mem_fail_after(0);
        CHECK_INT(rc, EH_ENOMEM);
        CHECK_INT(n, 16);
    }
    eh_model_close(m);
}
