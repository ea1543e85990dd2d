/* Calibration training on a tiny model: what it changes, what it holds, what it refuses, how it goes on. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "train/checkpoint.h"
#include "train/train.h"

static eh_err err;

static eh_session *open_tiny(const char *name, int threads) /* 0: all */
{
    char path[200];
    const eh_session_options o = session_options(NULL, threads > 0 ? threads : EH_ALL);
    eh_session *on;
    snprintf(path, sizeof path, "tests/golden/tiny/%s", name);
    CHECK_OK(session_open(repo_path(path), &o, &on, &err));
    return on;
}

static const int32_t tok[4][12] = {
    {3, 5, 8, 13, 21, 34, 55, 89, 4, 6, 7, 9},
    {90, 80, 70, 60, 50, 40, 30, 20, 10, 1, 2, 3},
    {11, 22, 33, 44, 55, 66, 77, 88, 99, 12, 23, 34},
    {1, 2, 4, 8, 16, 32, 64, 32, 16, 8, 4, 2},
};
static const eh_request requests[4] = {
    {.tok = tok[0], .n_tok = 12, .from = 9},
    {.tok = tok[1], .n_tok = 12, .from = 11},
    {.tok = tok[2], .n_tok = 10, .from = 4},
    {.tok = tok[3], .n_tok = 12, .from = 1},
};

static eh_tune_plan plan_of(eh_tune_group group, double lr, int64_t steps)
{
    eh_tune_plan p = {.group = group, .adamw = EH_ADAMW_DEFAULT, .steps = steps, .batch = 2, .clip = 1.0, .seed = 5};
    p.adamw.lr = lr;
    return p;
}

static const eh_tune_data data = {.example = requests, .n_example = 3, .held_out = requests + 3, .n_held_out = 1};

/* All logits of one sequence. */
static void logits_of(eh_session *on, float *out)
{
    CHECK_OK(eh_logits(on, tok[3], 12, out, &err));
}

#define N_LOGIT (12 * 1024) /* room for the tiny vocabularies */

static eh_tune_state train(eh_session *on, const eh_tune_plan *p, const eh_tune_data *d)
{
    eh_tune_state s = {0};
    CHECK_OK(eh_tune_train(on, NULL, p, d, &s, &err));
    return s;
}

/* ---- What it does -------------------------------------------------------------------------------- */

TEST(a_learning_rate_of_0_changes_nothing)
{
    static float before[N_LOGIT], after[N_LOGIT];
    for (int g = EH_TUNE_ATTENTION; g < EH_TUNE_N_GROUP; g++) {
        eh_session *on = open_tiny("llama", 1);
        CHECK(on->m->config.n_vocab * 12 <= N_LOGIT);
        logits_of(on, before);
        const eh_tune_plan p = plan_of((eh_tune_group)g, 0.0, 3);
        eh_tune_state s = train(on, &p, &data);
        logits_of(on, after);
        CHECK(memcmp(before, after, (size_t)(on->m->config.n_vocab * 12) * sizeof *before) == 0);
        CHECK(s.point[3].grad_norm > 0.0 && s.point[3].tune_loss == s.point[0].tune_loss);
        eh_free(s.point);
        session_close(on);
    }
}

/* Overfitting: one batch again and again is learnt, by each group of weights. */
TEST(the_loss_of_one_batch_falls)
{
    const eh_tune_data one = {.example = requests, .n_example = 2};
    for (int g = EH_TUNE_ATTENTION; g < EH_TUNE_N_GROUP; g++) {
        eh_session *on = open_tiny("llama", 0);
        const eh_tune_plan p = plan_of((eh_tune_group)g, 1e-2, 30);
        eh_tune_state s = train(on, &p, &one);
        CHECK(s.point[30].loss < (g == EH_TUNE_ALL ? 0.1 : 0.8) * s.point[1].loss);
        eh_free(s.point);
        session_close(on);
    }
}

TEST(the_same_bits_from_any_number_of_threads)
{
    static float a[N_LOGIT], b[N_LOGIT];
    char hash[2][65];
    for (int k = 0; k < 2; k++) {
        eh_session *on = open_tiny("qwen2", k == 0 ? 1 : 3);
        const eh_tune_plan p = plan_of(EH_TUNE_ALL, 1e-3, 4);
        eh_tune_state s = train(on, &p, &data);
        logits_of(on, k == 0 ? a : b);
        memcpy(hash[k], on->trained, sizeof hash[k]);
        eh_free(s.point);
        session_close(on);
    }
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK_STR(hash[0], hash[1]);
    CHECK(strlen(hash[0]) == 64);
}

/* Before the first step the loss of a step is the mean over the learnt tokens of its examples, all together. */
TEST(the_loss_is_of_answer_tokens_alone_and_by_token)
{
    eh_session *on = open_tiny("llama", 0);
    float lp[3][12];
    eh_answer a[3] = {{.token_logprob = lp[0]}, {.token_logprob = lp[1]}, {.token_logprob = lp[2]}};
    CHECK_OK(eh_score(on, requests, 3, a, &err));
    double sum = 0.0;
    for (int i = 0; i < 3; i++)
        for (int64_t k = 0; k < requests[i].n_tok - requests[i].from; k++)
            sum -= (double)lp[i][k];
    eh_tune_plan p = plan_of(EH_TUNE_NORMS, 1e-3, 1);
    p.batch = 3;
    eh_tune_state s = train(on, &p, &data);
    CHECK_NEAR(s.point[1].loss, sum / (3 + 1 + 6), 1e-5);
    eh_free(s.point);
    session_close(on);
}

/* Text and examples are mixed by their share, each by its own tokens. */
TEST(a_text_has_its_share_of_the_loss)
{
    eh_session *on = open_tiny("llama", 0);
    float lp[2][12];
    eh_answer a[2] = {{.token_logprob = lp[0]}, {.token_logprob = lp[1]}};
    const eh_request both[2] = {requests[0], requests[3]};
    CHECK_OK(eh_score(on, both, 2, a, &err));
    double mean[2] = {0.0, 0.0};
    for (int i = 0; i < 2; i++)
        for (int64_t k = 0, n = both[i].n_tok - both[i].from; k < n; k++)
            mean[i] -= (double)lp[i][k] / (double)n;
    eh_tune_plan p = plan_of(EH_TUNE_NORMS, 1e-3, 1);
    p.batch = p.text_batch = 1;
    p.text_share = 0.3;
    const eh_tune_data d = {.example = requests, .n_example = 1, .text = requests + 3, .n_text = 1};
    eh_tune_state s = train(on, &p, &d);
    CHECK_NEAR(s.point[1].loss, 0.7 * mean[0] + 0.3 * mean[1], 1e-5);
    eh_free(s.point);
    session_close(on);
}

/* ---- The KL term --------------------------------------------------------------------------------- */

/* sum_v q (log q - log p), by hand from two models' logits after a token. */
static double kl_of(const float *logits_q, const float *logits_p, int64_t n)
{
    double zq = 0.0, zp = 0.0, kl = 0.0;
    for (int64_t v = 0; v < n; v++) {
        zq += exp((double)logits_q[v]);
        zp += exp((double)logits_p[v]);
    }
    for (int64_t v = 0; v < n; v++) {
        const double lq = (double)logits_q[v] - log(zq), lp = (double)logits_p[v] - log(zp);
        kl += exp(lq) * (lq - lp);
    }
    return kl;
}

TEST(the_kl_term_is_the_divergence_from_the_original_by_hand)
{
    static float q[N_LOGIT], p[N_LOGIT];
    const eh_unit_edit edit = {.kind = EH_UNIT_HEAD, .layer = 0, .index = 1, .mode = EH_EDIT_ZERO, .alpha = 1.0};
    const eh_tune_data d = {.text = requests + 3, .n_text = 1};
    double loss[2];
    eh_session *original = open_tiny("llama", 0);
    for (int k = 0; k < 2; k++) { /* without the term, and with it */
        eh_session *on = open_tiny("llama", 0);
        CHECK_OK(eh_session_edit(on, &edit, 1, &err));
        logits_of(original, q);
        logits_of(on, p);
        eh_tune_plan plan = plan_of(EH_TUNE_EDITED, 1e-3, 1);
        plan.batch = 0;
        plan.text_batch = 1;
        plan.kl = k * 2.5;
        eh_tune_state s = {0};
        CHECK_OK(eh_tune_train(on, original, &plan, &d, &s, &err));
        loss[k] = s.point[1].loss;
        eh_free(s.point);
        session_close(on);
    }
    const int64_t n = original->m->config.n_vocab;
    double mean = 0.0;
    for (int i = 0; i < 11; i++) /* the texts' 11 learnt tokens */
        mean += kl_of(q + i * n, p + i * n, n) / 11.0;
    CHECK(mean > 1e-3);
    CHECK_NEAR(loss[1] - loss[0], 2.5 * mean, 1e-4 * mean + 1e-6);
    session_close(original);
}

/* Nothing else in the loss, an edited model is drawn back towards the original. */
TEST(the_kl_term_alone_brings_the_original_back)
{
    const eh_unit_edit edit = {.kind = EH_UNIT_HEAD, .layer = 0, .index = 1, .mode = EH_EDIT_ZERO, .alpha = 1.0};
    eh_session *original = open_tiny("llama", 0), *on = open_tiny("llama", 0);
    const eh_tune_data d = {.example = requests, .n_example = 3, .text = requests + 3, .n_text = 1};
    eh_tune_plan p = plan_of(EH_TUNE_ALL, 3e-3, 40);
    eh_tune_state s = {0};
    CHECK_OK(eh_session_edit(on, &edit, 1, &err));
    p.text_batch = 1;
    p.kl = 100.0;
    CHECK_OK(eh_tune_train(on, original, &p, &d, &s, &err));
    CHECK(s.point[40].loss < 0.3 * s.point[1].loss);
    eh_free(s.point);
    session_close(on);
    session_close(original);
}

/* ---- Held edits ---------------------------------------------------------------------------------- */

static const eh_unit_edit edits[] = {
    {.kind = EH_UNIT_HEAD, .layer = 0, .index = 1, .mode = EH_EDIT_SOFT, .alpha = 0.3},
    {.kind = EH_UNIT_HEAD, .layer = 1, .index = 0, .mode = EH_EDIT_ZERO, .alpha = 1.0},
    {.kind = EH_UNIT_NEURON, .layer = 0, .index = 3, .mode = EH_EDIT_ZERO, .alpha = 1.0},
    {.kind = EH_UNIT_NEURON, .layer = 1, .index = 7, .mode = EH_EDIT_OUTPUT, .alpha = 0.5},
};
#define N_EDIT ((int64_t)(sizeof edits / sizeof *edits))

/* The slices that an edit scales, one after the other; the number of floats. */
static int64_t slices_of(const eh_session *on, float *out)
{
    const eh_config *c = &on->m->config;
    int64_t n = 0;
    float *w = malloc((size_t)(2 * c->d_ff * c->d_model + c->d_model * c->d_ff) * sizeof *w);
    CHECK(w != NULL);
    for (int64_t i = 0; i < N_EDIT; i++) {
        const eh_session_layer *l = &on->layer[edits[i].layer];
        const bool head = edits[i].kind == EH_UNIT_HEAD;
        const eh_linear *in = head ? &l->linear[EH_LINEAR_QKV] : &l->linear[EH_LINEAR_UP], *from = head
            ? &l->linear[EH_LINEAR_O] : &l->linear[EH_LINEAR_DOWN];
        const int64_t width = head ? c->d_head : 1, at = edits[i].index * width;
        eh_linear_rows(from, 0, from->n_out, w);
        for (int64_t r = 0; r < from->n_out; r++, n += width)
            memcpy(out + n, w + r * from->n_in + at, (size_t)width * sizeof *w);
        if (edits[i].mode != (head ? EH_EDIT_SOFT : EH_EDIT_ZERO))
            continue;
        eh_linear_rows(in, at, width, out + n);
        n += width * in->n_in;
        const float *bias = eh_linear_bias(in);
        for (int64_t k = 0; bias != NULL && k < width; k++)
            out[n++] = bias[at + k];
    }
    free(w);
    return n;
}

TEST(edited_slices_have_the_same_bits_before_and_after)
{
    static const char *const names[] = {"llama", "qwen2", "qwen3", "llama-untied-scaled"};
    static float before[1 << 16], after[1 << 16], logits[2][N_LOGIT];
    for (size_t f = 0; f < sizeof names / sizeof *names; f++)
        for (int g = 0; g < EH_TUNE_N_GROUP; g++) {
            eh_session *on = open_tiny(names[f], 0);
            CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
            const int64_t n = slices_of(on, before);
            logits_of(on, logits[0]);
            eh_tune_plan p = plan_of((eh_tune_group)g, 1e-2, 5);
            p.adamw.decay = 0.1; /* pulls at what is held, too */
            eh_tune_state s = train(on, &p, &data);
            CHECK_INT(slices_of(on, after), n);
            if (f != 2) /* with query norms, soft pruning leaves the queries alone: they are free to move */
                CHECK(memcmp(before, after, (size_t)n * sizeof *before) == 0);
            CHECK(before[0] == after[0]);
            logits_of(on, logits[1]);
            CHECK(memcmp(logits[0], logits[1], (size_t)on->m->config.n_vocab * sizeof **logits) != 0);
            /* The edits are in the weights now, and in force no more. */
            int64_t left;
            eh_session_edits(on, &left);
            CHECK_INT(left, 0);
            eh_free(s.point);
            session_close(on);
        }
}

/* A zeroed head's output columns and a zeroed neuron's rows stay exactly 0. */
TEST(zeroed_units_stay_zero)
{
    eh_session *on = open_tiny("llama", 0);
    CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
    const eh_tune_plan p = plan_of(EH_TUNE_EDITED, 1e-2, 5);
    eh_tune_state s = train(on, &p, &data);
    const eh_config *c = &on->m->config;
    for (int64_t r = 0; r < c->d_model; r++) {
        for (int64_t e = 0; e < c->d_head; e++)
            CHECK(on->layer[1].linear[EH_LINEAR_O].own[r * on->layer[1].linear[EH_LINEAR_O].n_in + e] == 0.0f);
        CHECK(on->layer[0].linear[EH_LINEAR_DOWN].own[r * c->d_ff + 3] == 0.0f);
        CHECK(on->layer[0].linear[EH_LINEAR_UP].own[3 * c->d_model + r] == 0.0f);
        CHECK(on->layer[0].linear[EH_LINEAR_UP].own[(c->d_ff + 3) * c->d_model + r] == 0.0f);
    }
    /* Of the group "edited", keys and values have not moved. */
    float *stored = malloc((size_t)(on->layer[0].linear[EH_LINEAR_QKV].n_out * c->d_model) * sizeof *stored);
    CHECK(stored != NULL);
    eh_session *fresh = open_tiny("llama", 0);
    eh_linear_rows(&fresh->layer[0].linear[EH_LINEAR_QKV], 0, on->layer[0].linear[EH_LINEAR_QKV].n_out, stored);
    const int64_t d_q = c->n_head * c->d_head;
    CHECK(memcmp(stored + d_q * c->d_model, on->layer[0].linear[EH_LINEAR_QKV].own + d_q * c->d_model,
                 (size_t)(2 * c->n_kv * c->d_head * c->d_model) * sizeof *stored) == 0);
    CHECK(memcmp(stored, on->layer[0].linear[EH_LINEAR_QKV].own, (size_t)(d_q * c->d_model) * sizeof *stored) != 0);
    free(stored);
    eh_free(s.point);
    session_close(fresh);
    session_close(on);
}

/* A mean output that went into a bias the model did not have is part of the weights, and held. */
TEST(a_mean_output_stays_in_its_bias)
{
    static float logits[2][N_LOGIT];
    eh_session *on = open_tiny("llama", 0);
    float mean[64];
    CHECK(on->m->config.d_head <= 64 && on->layer[0].linear[EH_LINEAR_O].of->bias == NULL);
    for (int i = 0; i < 64; i++)
        mean[i] = 0.1f * (float)(i % 5);
    const eh_unit_edit e = {
        .kind = EH_UNIT_HEAD, .layer = 0, .index = 2, .mode = EH_EDIT_MEAN, .alpha = 1.0, .mean = mean};
    CHECK_OK(eh_session_edit(on, &e, 1, &err));
    logits_of(on, logits[0]);
    eh_tune_plan p = plan_of(EH_TUNE_EDITED, 0.0, 1);
    eh_tune_state s = train(on, &p, &data);
    logits_of(on, logits[1]);
    CHECK(memcmp(logits[0], logits[1], (size_t)(12 * on->m->config.n_vocab) * sizeof **logits) == 0);
    eh_free(s.point);
    CHECK(on->layer[0].linear[EH_LINEAR_O].own_bias != NULL);
    float *kept = malloc((size_t)on->m->config.d_model * sizeof *kept);
    CHECK(kept != NULL);
    memcpy(kept, on->layer[0].linear[EH_LINEAR_O].own_bias, (size_t)on->m->config.d_model * sizeof *kept);
    session_close(on);

    on = open_tiny("llama", 0);
    CHECK_OK(eh_session_edit(on, &e, 1, &err));
    p = plan_of(EH_TUNE_ALL, 1e-2, 3);
    s = train(on, &p, &data);
    CHECK(memcmp(kept, on->layer[0].linear[EH_LINEAR_O].own_bias, (size_t)on->m->config.d_model * sizeof *kept) == 0);
    free(kept);
    eh_free(s.point);
    session_close(on);
}

/* Edits made after a training are laid on what was trained. */
TEST(edits_after_a_training_are_not_those_before_it)
{
    static float logits[2][N_LOGIT];
    eh_session *on = open_tiny("llama", 0);
    char before[65], after[65], again[65];
    CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
    CHECK_OK(eh_session_fingerprint(on, before, &err));
    const eh_tune_plan p = plan_of(EH_TUNE_EDITED, 0.0, 1);
    eh_tune_state s = train(on, &p, &data);
    CHECK_OK(eh_session_fingerprint(on, after, &err));
    logits_of(on, logits[0]);
    CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
    CHECK_OK(eh_session_edit(on, NULL, 0, &err));
    CHECK_OK(eh_session_fingerprint(on, again, &err));
    logits_of(on, logits[1]);
    CHECK(memcmp(logits[0], logits[1], (size_t)(12 * on->m->config.n_vocab) * sizeof **logits) == 0);
    CHECK_STR(after, again);
    CHECK(strcmp(before, after) != 0);
    eh_free(s.point);
    session_close(on);
}

/* ---- Schedule, early stop ------------------------------------------------------------------------ */

TEST(the_rate_grows_then_stays_or_falls)
{
    eh_tune_plan p = plan_of(EH_TUNE_ALL, 1.0, 10);
    p.warmup = 4;
    CHECK_NEAR(eh_tune_rate(&p, 1), 0.25, 0.0);
    CHECK_NEAR(eh_tune_rate(&p, 4), 1.0, 0.0);
    CHECK_NEAR(eh_tune_rate(&p, 10), 1.0, 0.0);
    p.linear = true;
    CHECK_NEAR(eh_tune_rate(&p, 5), 1.0, 0.0);
    CHECK_NEAR(eh_tune_rate(&p, 8), 0.5, 1e-15);
    CHECK_NEAR(eh_tune_rate(&p, 10), 1.0 / 6.0, 1e-15);
}

/* Learning one sequence does not help another: it stops, and the weights are those of the best look. */
TEST(patience_ends_a_training_at_its_best)
{
    eh_session *on = open_tiny("llama", 0);
    eh_tune_plan p = plan_of(EH_TUNE_ALL, 3e-2, 60);
    p.eval_every = 1;
    p.patience = 3;
    const eh_tune_data d = {.example = requests, .n_example = 1, .held_out = requests + 1, .n_held_out = 1};
    eh_tune_state s = train(on, &p, &d);
    CHECK(s.finished && s.step < 60 && s.step == s.best_step + 3);
    for (int64_t i = 0; i <= s.step; i++)
        CHECK(s.point[i].tune_loss >= s.point[s.best_step].tune_loss);
    float lp[12];
    eh_answer a = {.token_logprob = lp};
    CHECK_OK(eh_score(on, requests + 1, 1, &a, &err));
    CHECK_NEAR(-(double)lp[0], s.point[s.best_step].tune_loss, 0.0);
    eh_free(s.point);
    session_close(on);
}

/* A clipped gradient's step is shorter, and what is recorded is the norm before. */
TEST(clipping_bounds_the_gradient)
{
    double norm[2];
    static float logits[3][N_LOGIT];
    for (int k = 0; k < 2; k++) {
        eh_session *on = open_tiny("llama", 0);
        logits_of(on, logits[2]);
        eh_tune_plan p = plan_of(EH_TUNE_ALL, 1e-3, 1);
        p.adamw.eps = 1.0; /* the step then is nearly that of the gradient */
        p.clip = k == 0 ? 0.0 : 0.5;
        eh_tune_state s = train(on, &p, &data);
        norm[k] = s.point[1].grad_norm;
        logits_of(on, logits[k]);
        eh_free(s.point);
        session_close(on);
    }
    double moved[2] = {0.0, 0.0};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 1000; i++)
            moved[k] += fabs((double)logits[k][i] - (double)logits[2][i]);
    CHECK(norm[0] == norm[1] && norm[0] > 1.0);
    CHECK(moved[1] > 0.0 && moved[1] < 0.5 * moved[0]);
}

/* ---- Files: stop, go on -------------------------------------------------------------------------- */

typedef struct stop {
    int64_t at;
} stop;

static int stop_at(void *ctx, const char *stage, int64_t done, int64_t total)
{
    (void)stage;
    (void)total;
    return done == ((stop *)ctx)->at;
}

static eh_buf read_file(const char *dir, const char *name)
{
    char path[500];
    eh_buf b = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(eh_file_read(path, 1 << 24, &b, &err));
    return b;
}

/* Trains in dir; stops before step `at` + 1 (-1: goes to the end). */
static int train_in(const char *dir, eh_tune_group group, int64_t at, int64_t patience, char fingerprint[65])
{
    eh_session *on = open_tiny("llama", 1);
    CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
    stop s = {at};
    eh_tune_plan p = plan_of(group, 1e-2, 9);
    p.linear = true;
    p.warmup = 2;
    p.eval_every = 2;
    p.save_every = 4;
    p.patience = patience;
    p.dir = dir;
    p.progress = stop_at;
    p.progress_ctx = &s;
    eh_tune_state state = {0};
    const int rc = eh_tune_train(on, NULL, &p, &data, &state, &err);
    if (rc == EH_OK)
        CHECK_OK(eh_session_fingerprint(on, fingerprint, &err));
    eh_free(state.point);
    session_close(on);
    return rc;
}

TEST(stopped_anywhere_and_resumed_the_bytes_are_those_of_one_run)
{
    for (int64_t patience = 0; patience < 3; patience += 2) {
        const char *whole = temp_dir();
        char want[65], got[65];
        CHECK_OK(train_in(whole, EH_TUNE_EDITED, -1, patience, want));
        eh_buf ckpt = read_file(whole, "tune.ckpt"), curve = read_file(whole, "tune.jsonl");
        for (int64_t at = 0; at < 9; at += 2) {
            const char *dir = temp_dir();
            const int rc = train_in(dir, EH_TUNE_EDITED, at, patience, got);
            CHECK_FAILS(rc, EH_ESTOP, "stopped on request");
            CHECK_OK(train_in(dir, EH_TUNE_EDITED, -1, patience, got));
            eh_buf a = read_file(dir, "tune.ckpt"), b = read_file(dir, "tune.jsonl");
            CHECK(a.n == ckpt.n && memcmp(a.p, ckpt.p, (size_t)a.n) == 0);
            CHECK(b.n == curve.n && memcmp(b.p, curve.p, (size_t)b.n) == 0);
            CHECK_STR(got, want);
            eh_buf_clear(&a);
            eh_buf_clear(&b);
        }
        /* Done is done: once more, and nothing has changed. */
        CHECK_OK(train_in(whole, EH_TUNE_EDITED, 0, patience, got));
        CHECK_STR(got, want);
        eh_buf_clear(&ckpt);
        eh_buf_clear(&curve);
    }
}

TEST(a_checkpoint_of_another_training_or_a_damaged_one_is_refused)
{
    const char *dir = temp_dir();
    char path[500], text[65];
    CHECK_OK(train_in(dir, EH_TUNE_EDITED, -1, 0, text));
    CHECK_FAILS(train_in(dir, EH_TUNE_ALL, -1, 0, text), EH_EINVAL, "its train is \"edited\", not \"all\"");
    eh_buf good = read_file(dir, "tune.ckpt");
    snprintf(path, sizeof path, "%s/tune.ckpt", dir);
    static const char *const words[] = {"is damaged", "is not a training checkpoint", "is damaged"};
    for (int k = 0; k < 3; k++) {
        eh_buf bad = {0};
        eh_buf_bytes(&bad, good.p, k == 2 ? good.n - 100 : good.n);
        bad.p[k == 0 ? good.n / 2 : k == 1 ? 0 : 9] ^= 1;
        CHECK_OK(eh_file_write(path, eh_buf_get(&bad), &err));
        CHECK_FAILS(train_in(dir, EH_TUNE_EDITED, -1, 0, text), EH_EFORMAT, words[k]);
        eh_buf_clear(&bad);
    }
    eh_buf_clear(&good);
}

/* A file whose hash is right is not therefore believed: a best step beyond the last, points that are not its steps'. */
TEST(a_checkpoint_that_contradicts_itself_is_refused)
{
    static const struct {
        const char *find, *put, *words;
    } lie[] = {{"\"best_step\":", "\"best_step\":10", "\"best_step\""}, {"\"step\":", "\"step\":10", "\"points\""}};
    const char *dir = temp_dir();
    char path[500], text[65];
    CHECK_OK(train_in(dir, EH_TUNE_EDITED, -1, 0, text));
    eh_buf good = read_file(dir, "tune.ckpt");
    snprintf(path, sizeof path, "%s/tune.ckpt", dir);
    for (int k = 0; k < 2; k++) {
        int64_t n_header, at = 16, n_digit = 1;
        memcpy(&n_header, good.p + 8, sizeof n_header);
        const int64_t len = (int64_t)strlen(lie[k].find);
        while (memcmp(good.p + at, lie[k].find, (size_t)len) != 0)
            CHECK(++at < 16 + n_header);
        while (good.p[at + len + n_digit] >= '0' && good.p[at + len + n_digit] <= '9')
            n_digit++;
        eh_buf bad = {0};
        const int64_t longer = n_header + (int64_t)strlen(lie[k].put) - len - n_digit;
        eh_buf_bytes(&bad, good.p, 8);
        eh_buf_bytes(&bad, (const char *)&longer, sizeof longer);
        eh_buf_bytes(&bad, good.p + 16, at - 16);
        eh_buf_str(&bad, eh_str_of(lie[k].put));
        eh_buf_bytes(&bad, good.p + at + len + n_digit, good.n - 64 - at - len - n_digit);
        CHECK_OK(eh_sha256_of(bad.p, bad.n, text, &err));
        eh_buf_bytes(&bad, text, 64);
        CHECK_OK(eh_file_write(path, eh_buf_get(&bad), &err));
        CHECK_FAILS(train_in(dir, EH_TUNE_EDITED, -1, 0, text), EH_EFORMAT, lie[k].words);
        eh_buf_clear(&bad);
    }
    eh_buf_clear(&good);
}

/* ---- Refusals ------------------------------------------------------------------------------------ */

static void refused(eh_session *on, const eh_tune_plan *p, const eh_tune_data *d, int code, const char *words)
{
    eh_tune_state s = {.step = 77};
    CHECK_FAILS(eh_tune_train(on, NULL, p, d, &s, &err), code, words);
    CHECK_INT(s.step, 77);
}

TEST(plans_that_make_no_sense_are_refused)
{
    eh_session *on = open_tiny("llama", 0);
    const eh_tune_plan good = plan_of(EH_TUNE_ALL, 1e-3, 2);
    eh_tune_plan p = good;
    p.group = EH_TUNE_EDITED;
    refused(on, &p, &data, EH_EINVAL, "no edit is in force");
    p = good, p.steps = 0;
    refused(on, &p, &data, EH_EINVAL, "0 steps");
    p = good, p.adamw.lr = (double)NAN;
    refused(on, &p, &data, EH_EINVAL, "learning rate");
    p = good, p.adamw.beta2 = 1.0;
    refused(on, &p, &data, EH_EINVAL, "betas");
    p = good, p.clip = -1.0;
    refused(on, &p, &data, EH_EINVAL, "clip");
    p = good, p.kl = 1.0;
    refused(on, &p, &data, EH_EINVAL, "original model");
    p = good, p.patience = 2;
    refused(on, &p, &data, EH_EINVAL, "to stop early");
    p = good, p.batch = 0;
    refused(on, &p, &data, EH_EINVAL, "nothing to train on");
    const eh_tune_data texts = {.example = requests, .n_example = 1, .text = requests, .n_text = 1};
    p = good, p.text_batch = 1;
    refused(on, &p, &texts, EH_EINVAL, "share of the loss is 0");
    p.text_share = 1.0;
    refused(on, &p, &texts, EH_EINVAL, "leaves nothing for the examples");
    const int32_t wrong[2] = {1, 1 << 20};
    const eh_request bad[] = {{.tok = wrong, .n_tok = 2, .from = 1}, {.tok = tok[0], .n_tok = 4, .from = 4},
                              {.tok = tok[0], .n_tok = 4, .from = 0}};
    static const char *const words[] = {"token 1 is 1048576", "learnt from token 4", "learnt from token 0"};
    for (int i = 0; i < 3; i++) {
        const eh_tune_data d = {.example = &bad[i], .n_example = 1};
        refused(on, &good, &d, EH_EINVAL, words[i]);
    }
    CHECK_STR(on->trained, "");
    session_close(on);
}

TEST(training_in_bf16_is_refused)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.precision = EH_BF16;
    eh_session *on;
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), &o, &on, &err));
    const eh_tune_plan p = plan_of(EH_TUNE_ALL, 1e-3, 2);
    refused(on, &p, &data, EH_ENOSUP, "--precision f32");
    session_close(on);
}

/* The step is named, and the place. */
TEST(a_loss_that_is_not_finite_stops_with_the_step)
{
    eh_session *on = open_tiny("llama", 0);
    const eh_tune_plan p = plan_of(EH_TUNE_ALL, 1e-3, 4);
    CHECK_OK(eh_session_own_norms(on, &err));
    on->own_final_norm[0] = 3e38f;
    const eh_tune_data d = {.example = requests, .n_example = 3};
    refused(on, &p, &d, EH_ENUMERIC, "step ");
    session_close(on);
}
