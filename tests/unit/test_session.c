/* Sessions: what one does is nobody else's, and two on one model give what each would give alone. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "session.h"
#include "evenhand.h"
#include "model/model.h"

#define N_REQUEST 24
#define N_TOK 40
#define N_CALL 4

static eh_err err;

static eh_model *open_llama(void)
{
    eh_model *m = NULL;
    CHECK_OK(eh_model_open(repo_path("tests/golden/tiny/llama"), &m, &err));
    return m;
}

/* One session's work: scores, generation and gradients, under an edit of its own. */
typedef struct work {
    const eh_model *m;
    eh_unit_edit edit;
    eh_session_options options;
    float logprob[N_CALL][N_REQUEST * N_TOK];
    double value[N_CALL];
    int32_t tok[N_CALL][16];
    int rc;
    eh_err err;
} work;

static int call(eh_session *s, work *w, int k)
{
    eh_request request[N_REQUEST];
    eh_answer answer[N_REQUEST];
    int32_t mine[N_REQUEST][N_TOK];
    for (int i = 0; i < N_REQUEST; i++) {
        for (int t = 0; t < N_TOK; t++)
            mine[i][t] = (t < N_TOK / 2 ? 7 * t + k : 13 * t + 31 * i + k) % 500;
        request[i] = (eh_request){.tok = mine[i], .n_tok = N_TOK, .from = 1 + i % (N_TOK - 1)};
        answer[i] = (eh_answer){.token_logprob = w->logprob[k] + i * N_TOK};
    }
    int rc = eh_score(s, request, N_REQUEST, answer, &w->err);
    const eh_term term = {.pos = N_TOK - 1, .id = 5, .weight = 1.0};
    const eh_goal goal = {.tok = mine[0], .n_tok = N_TOK, .term = &term, .n_term = 1};
    if (rc == EH_OK)
        rc = eh_attribute(s, &goal, 1, EH_RULES_ATTNLRP, &w->value[k], NULL, 0, &w->err);
    eh_generated out = {0};
    eh_sampling sampling;
    eh_sampling_init(&sampling, sizeof sampling);
    sampling.max_new = 16;
    sampling.temperature = 1.0;
    sampling.seed = (uint64_t)k;
    sampling.ignore_eos = true;
    if (rc == EH_OK)
        rc = eh_generate(s, request, 1, 1, &sampling, NULL, NULL, &out, &w->err);
    if (rc == EH_OK)
        memcpy(w->tok[k], out.tok, sizeof w->tok[k]);
    eh_release(out.tok);
    return rc;
}

static void *run(void *ctx)
{
    work *w = ctx;
    eh_session *s = NULL;
    w->rc = eh_session_open(w->m, &w->options, &s, &w->err);
    if (w->rc == EH_OK)
        w->rc = eh_session_edit(s, &w->edit, 1, &w->err);
    for (int k = 0; k < N_CALL && w->rc == EH_OK; k++)
        w->rc = call(s, w, k);
    eh_session_close(s);
    return NULL;
}

static void fill(work w[2], const eh_model *m)
{
    memset(w, 0, 2 * sizeof *w);
    w[0] = (work){.m = m, .edit = {EH_UNIT_HEAD, 0, 1, EH_EDIT_SOFT, 0.6, NULL},
                  .options = session_options(NULL, 1)};
    w[1] = (work){.m = m, .edit = {EH_UNIT_NEURON, 1, 7, EH_EDIT_ZERO, 1.0, NULL},
                  .options = session_options(NULL, 2)};
    w[1].options.memory = 1;
    w[1].options.batch_tokens = 100;
}

static void same(const work *a, const work *b)
{
    CHECK_OK(a->rc);
    CHECK_OK(b->rc);
    CHECK(memcmp(a->logprob, b->logprob, sizeof a->logprob) == 0);
    CHECK(memcmp(a->value, b->value, sizeof a->value) == 0);
    CHECK(memcmp(a->tok, b->tok, sizeof a->tok) == 0);
}

TEST(two_sessions_from_two_threads_give_what_each_gives_alone)
{
    eh_model *m = open_llama();
    work *alone = calloc(2, sizeof *alone), *together = calloc(2, sizeof *together);
    CHECK(alone != NULL && together != NULL);
    fill(alone, m);
    run(&alone[0]);
    run(&alone[1]);
    CHECK(memcmp(alone[0].logprob, alone[1].logprob, sizeof alone[0].logprob) != 0); /* their edits differ */
    for (int again = 0; again < 3; again++) {
        pthread_t thread[2];
        fill(together, m);
        for (int i = 0; i < 2; i++)
            CHECK_INT(pthread_create(&thread[i], NULL, run, &together[i]), 0);
        for (int i = 0; i < 2; i++)
            CHECK_INT(pthread_join(thread[i], NULL), 0);
        same(&alone[0], &together[0]);
        same(&alone[1], &together[1]);
    }
    free(alone);
    free(together);
    eh_model_close(m);
}

TEST(edits_of_one_session_are_not_in_force_in_another)
{
    eh_model *m = open_llama();
    eh_session *plain = NULL, *edited = NULL;
    static const int32_t tok[] = {3, 17, 99, 4, 250};
    float *a = malloc(5 * 512 * sizeof *a), *b = malloc(5 * 512 * sizeof *b);
    char of_model[65], of_plain[65], of_edited[65];
    int64_t n;
    CHECK(a != NULL && b != NULL);
    CHECK_OK(eh_session_open(m, NULL, &plain, &err));
    CHECK_OK(eh_logits(plain, tok, 5, a, &err));
    CHECK_OK(eh_session_open(m, NULL, &edited, &err));
    CHECK_OK(eh_session_edit(edited, &(eh_unit_edit){EH_UNIT_HEAD, 1, 0, EH_EDIT_ZERO, 1.0, NULL}, 1, &err));
    CHECK_OK(eh_logits(plain, tok, 5, b, &err));
    CHECK(memcmp(a, b, 5 * 512 * sizeof *a) == 0);
    CHECK_OK(eh_logits(edited, tok, 5, b, &err));
    CHECK(memcmp(a, b, 5 * 512 * sizeof *a) != 0);
    eh_session_edits(plain, &n);
    CHECK_INT(n, 0);
    CHECK_OK(eh_model_fingerprint(m, of_model, &err));
    CHECK_OK(eh_session_fingerprint(plain, of_plain, &err));
    CHECK_OK(eh_session_fingerprint(edited, of_edited, &err));
    CHECK_STR(of_plain, of_model);
    CHECK(strcmp(of_edited, of_model) != 0);
    CHECK(eh_session_model(edited) == m);
    free(a);
    free(b);
    eh_session_close(plain);
    eh_session_close(edited);
    eh_model_close(m);
}

TEST(options_out_of_range_are_refused)
{
    static const struct {
        int64_t threads, batch_tokens, memory;
        int precision;
        const char *product, *words;
    } bad[] = {
        {-2, 1, 0, EH_F32, NULL, "threads is -2"},      {0, 1, 0, EH_F32, NULL, "threads is 0"},
        {4097, 1, 0, EH_F32, NULL, "threads is 4097"},  {1, 0, 0, EH_F32, NULL, "batch_tokens is 0"},
        {1, -5, 0, EH_F32, NULL, "batch_tokens is -5"}, {1, 1, -2, EH_F32, NULL, "memory is -2"},
        {1, 1, 0, 7, NULL, "no precision 7"},           {1, 1, 0, EH_F32, "abacus", "\"abacus\" is not in this build"},
    };
    eh_model *m = open_llama();
    eh_session *s = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eh_session_options o = session_options(bad[i].product, bad[i].threads);
        o.batch_tokens = bad[i].batch_tokens;
        o.memory = bad[i].memory;
        o.precision = (eh_precision)bad[i].precision;
        CHECK_FAILS(eh_session_open(m, &o, &s, &err), EH_EINVAL, bad[i].words);
    }
    const eh_session_options never = {.threads = 1};
    CHECK_FAILS(eh_session_open(m, &never, &s, &err), EH_EINVAL, "call eh_session_options_init first");
    CHECK(s == NULL);
    eh_model_close(m);
}
