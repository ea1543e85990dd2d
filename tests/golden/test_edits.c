/*
 * Edits in force: against Hugging Face's code on models whose weights were really changed
 * (tests/golden/tiny, edit.*), the published form of soft pruning against ours, and that an edit
 * touches the chosen unit and nothing else.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "evenhand.h"
#include "tiny_model.h"

static eh_err err;

static float *golden(const char *folder, const char *name, int64_t *n)
{
    char command[9000];
    const char *dir = tiny_dir();
    CHECK_OK(eh_dir_make(dir, &err));
    save_text(dir, "config.json", "{}");
    snprintf(command, sizeof command, "ln -s '%s/golden.safetensors' '%s/model.safetensors'", folder, dir);
    CHECK(system(command) == 0);
    eh_weights *w;
    CHECK_OK(eh_weights_open(dir, &w, &err));
    const eh_tensor *t = eh_weights_find(w, name);
    CHECK(t != NULL);
    *n = eh_tensor_count(t);
    float *x = malloc((size_t)*n * sizeof *x);
    CHECK(x != NULL);
    eh_tensor_rows(t, 0, t->n_dim > 1 ? *n / t->dim[t->n_dim - 1] : 1, x);
    eh_weights_close(w);
    return x;
}

/* The logits of the 9 tokens under an edit are the golden's: f32 against double, of logits up to 10. */
static void compare(const char *family, const char *name, const eh_unit_edit *edit, int64_t n_edit, double tolerance)
{
    char path[300];
    int64_t n_tok, n;
    snprintf(path, sizeof path, "tests/golden/tiny/%s", family);
    const char *folder = repo_path(path);
    eh_session *on;
    CHECK_OK(session_open(folder, NULL, &on, &err));
    float *tokens = golden(folder, "tokens.len9", &n_tok), *want = golden(folder, name, &n);
    float *got = malloc((size_t)n * sizeof *got);
    int32_t tok[9];
    CHECK(got != NULL && n_tok == 9);
    for (int i = 0; i < 9; i++)
        tok[i] = (int32_t)tokens[i];
    CHECK_OK(eh_session_edit(on, edit, n_edit, &err));
    CHECK_OK(eh_logits(on, tok, 9, got, &err));
    snprintf(path, sizeof path, "%s %s", family, name);
    check_floats(got, want, n, tolerance, path);
    free(tokens);
    free(want);
    free(got);
    session_close(on);
}

static const char *const families[] = {"llama",  "llama-mha",   "llama-untied-scaled", "mistral", "qwen2", "qwen3",
                                       "gemma2", "gemma3_text", "cohere",              "opt",     "gpt2"};
#define N_FAMILY (sizeof families / sizeof *families)
static const eh_unit_edit zero_head = {EH_UNIT_HEAD, 1, 2, EH_EDIT_ZERO, 1.0, NULL};
static const eh_unit_edit soft_head = {EH_UNIT_HEAD, 1, 2, EH_EDIT_SOFT, 0.3, NULL};

TEST(a_zeroed_head_gives_the_logits_of_the_changed_weights)
{
    for (size_t f = 0; f < N_FAMILY; f++)
        compare(families[f], "edit.zero_head", &zero_head, 1, 2e-5);
}

TEST(a_soft_pruned_head_gives_the_logits_of_the_changed_weights)
{
    for (size_t f = 0; f < N_FAMILY; f++)
        compare(families[f], "edit.soft_prune", &soft_head, 1, 2e-5);
}

/* The published edit scales the rows of Q, K and V. With one K/V head a query head ours says the same. */
TEST(our_form_equals_the_published_one_where_each_query_head_has_its_own_keys)
{
    static const char *const own_keys[] = {"llama-mha", "opt", "gpt2"};
    for (int i = 0; i < 3; i++)
        compare(own_keys[i], "edit.qkv_scale", &soft_head, 1, 1e-5);
}

TEST(zeroed_neurons_give_the_logits_of_the_changed_weights)
{
    const eh_unit_edit two[2] = {{EH_UNIT_NEURON, 0, 3, EH_EDIT_ZERO, 1.0, NULL},
                                 {EH_UNIT_NEURON, 0, 7, EH_EDIT_ZERO, 1.0, NULL}};
    for (size_t f = 0; f < N_FAMILY; f++)
        compare(families[f], "edit.zero_neurons", two, 2, 2e-5);
}

/* ---- What an edit leaves alone ------------------------------------------------------------- */

#define N_TOK 7
#define WIDTH_MAX 128
static const int32_t tok[N_TOK] = {1, 5, 9, 2, 60, 33, 8};

typedef struct seen {
    float head[TINY_LAYERS][N_TOK * WIDTH_MAX]; /* EH_SITE_HEAD_OUT */
    float resid[TINY_LAYERS][N_TOK * TINY_WIDTH];
    float logits[N_TOK * TINY_VOCAB];
} seen;

static int keep(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    seen *s = ctx;
    if (b->site == EH_SITE_RESID && b->layer < 0)
        return EH_OK;
    float *to = b->site == EH_SITE_HEAD_OUT ? s->head[b->layer] : s->resid[b->layer];
    memcpy(to + b->first * b->width, b->value, (size_t)(b->n_row * b->width) * sizeof *to);
    return EH_OK;
}

/* Two candidates keep the last layer's rows alive; observers see every row of earlier layers. */
static void look(eh_session *on, seen *s)
{
    float logprob[N_TOK];
    memset(s, 0, sizeof *s);
    const eh_request r = {.tok = tok, .n_tok = N_TOK, .from = 1};
    eh_answer a = {.token_logprob = logprob};
    const eh_observer o = {.sites = 1u << EH_SITE_HEAD_OUT | 1u << EH_SITE_RESID, .see = keep, .ctx = s};
    CHECK_OK(eh_score_observed(on, &r, 1, &a, &o, 1, &err));
    CHECK_OK(eh_logits(on, tok, N_TOK, s->logits, &err));
}

static bool head_equal(const seen *a, const seen *b, int layer, int64_t n_head, int64_t head)
{
    for (int64_t t = 0; t < N_TOK - 1; t++)
        if (memcmp(a->head[layer] + (t * n_head + head) * TINY_HEAD, b->head[layer] + (t * n_head + head) * TINY_HEAD,
                   TINY_HEAD * sizeof(float)) != 0)
            return false;
    return true;
}

static void check_spared(const tiny_model *options, eh_edit_mode mode, bool chosen_changes)
{
    static seen before, now, after;
    const char *dir = tiny_dir();
    eh_session *on;
    tiny_model_write(dir, options);
    CHECK_OK(session_open(dir, NULL, &on, &err));
    look(on, &before);
    for (int64_t head = 0; head < options->n_head; head++) {
        const eh_unit_edit e = {EH_UNIT_HEAD, 0, head, mode, mode == EH_EDIT_ZERO ? 1.0 : 0.5, NULL};
        CHECK_OK(eh_session_edit(on, &e, 1, &err));
        look(on, &now);
        for (int64_t h = 0; h < options->n_head; h++)
            CHECK(head_equal(&before, &now, 0, options->n_head, h) == (h != head || !chosen_changes));
        CHECK(memcmp(before.resid[0], now.resid[0], sizeof before.resid[0]) != 0);
        CHECK(memcmp(before.logits, now.logits, sizeof before.logits) != 0);
    }
    CHECK_OK(eh_session_edit(on, NULL, 0, &err));
    look(on, &after);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    session_close(on);
}

TEST(an_edit_changes_the_chosen_head_only_for_any_grouping)
{
    const tiny_model grouping[] = {{.n_head = 4, .n_kv = 4}, {.n_head = 4, .n_kv = 2}, {.n_head = 6, .n_kv = 2},
                                   {.n_head = 8, .n_kv = 2}, {.n_head = 16, .n_kv = 2}};
    for (size_t i = 0; i < sizeof grouping / sizeof *grouping; i++) {
        check_spared(&grouping[i], EH_EDIT_SOFT, true);
        check_spared(&grouping[i], EH_EDIT_OUTPUT, false); /* its own output comes before the columns */
    }
}

/* What a query norm would undo is left out: the head's output stays, what is made of it is scaled. */
TEST(under_query_norms_only_the_output_part_acts)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2, .family = "qwen3", .qk_norm = true};
    check_spared(&options, EH_EDIT_SOFT, false);
}

TEST(biases_are_scaled_with_their_rows)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2, .family = "qwen2", .qkv_bias = true};
    check_spared(&options, EH_EDIT_SOFT, true);
}

/* Mean: the head's output replaced by a constant is the constant through W_o, whatever the token:
 * the residual's change between "zero" and "mean" is W_o mean for every row. */
TEST(a_mean_edit_adds_the_same_to_every_token)
{
    static seen zero, mean;
    const tiny_model options = {.n_head = 4, .n_kv = 2};
    float value[TINY_HEAD];
    const char *dir = tiny_dir();
    eh_session *on;
    for (int i = 0; i < TINY_HEAD; i++)
        value[i] = 0.25f * (float)(i - 3);
    tiny_model_write(dir, &options);
    CHECK_OK(session_open(dir, NULL, &on, &err));
    /* By hand: with every MLP neuron of layer 0 silenced the residual is embedding + attention. */
    eh_unit_edit all[1 + TINY_FF];
    all[0] = (eh_unit_edit){EH_UNIT_HEAD, 0, 3, EH_EDIT_MEAN, 1.0, value};
    for (int i = 0; i < TINY_FF; i++)
        all[1 + i] = (eh_unit_edit){EH_UNIT_NEURON, 0, i, EH_EDIT_ZERO, 1.0, NULL};
    CHECK_OK(eh_session_edit(on, all, 1 + TINY_FF, &err));
    look(on, &mean);
    all[0].mode = EH_EDIT_ZERO;
    CHECK_OK(eh_session_edit(on, all, 1 + TINY_FF, &err));
    look(on, &zero);
    eh_weights *w;
    CHECK_OK(eh_weights_open(dir, &w, &err));
    const eh_tensor *o = eh_weights_find(w, "model.layers.0.self_attn.o_proj.weight");
    CHECK(o != NULL);
    for (int64_t r = 0; r < TINY_WIDTH; r++) {
        float row[4 * TINY_HEAD];
        double want = 0;
        eh_tensor_rows(o, r, 1, row);
        for (int i = 0; i < TINY_HEAD; i++)
            want += (double)row[3 * TINY_HEAD + i] * (double)value[i];
        for (int64_t t = 0; t < N_TOK - 1; t++)
            CHECK_NEAR((double)mean.resid[0][t * TINY_WIDTH + r] - (double)zero.resid[0][t * TINY_WIDTH + r], want,
                       2e-6);
    }
    eh_weights_close(w);
    session_close(on);
}

TEST(edits_that_cannot_be_are_refused_and_leave_those_in_force)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2};
    const char *dir = tiny_dir();
    static seen before, after;
    eh_session *on;
    int64_t n;
    tiny_model_write(dir, &options);
    CHECK_OK(session_open(dir, NULL, &on, &err));
    const eh_unit_edit good = {EH_UNIT_HEAD, 1, 2, EH_EDIT_SOFT, 0.3, NULL};
    CHECK_OK(eh_session_edit(on, &good, 1, &err));
    look(on, &before);
    const struct {
        eh_unit_edit e[2];
        int64_t n;
        int code;
        const char *words;
    } bad[] = {
        {{{EH_UNIT_HEAD, 0, 4, EH_EDIT_SOFT, 0.5, NULL}}, 1, EH_ERANGE, "heads 0 to 3"},
        {{{EH_UNIT_HEAD, 2, 0, EH_EDIT_SOFT, 0.5, NULL}}, 1, EH_ERANGE, "layers 0 to 1"},
        {{{EH_UNIT_HEAD, -1, 0, EH_EDIT_SOFT, 0.5, NULL}}, 1, EH_ERANGE, "layer -1"},
        {{{EH_UNIT_NEURON, 0, TINY_FF, EH_EDIT_SOFT, 0.5, NULL}}, 1, EH_ERANGE, "neurons 0 to 39"},
        {{{EH_UNIT_HEAD, 0, 0, EH_EDIT_SOFT, 1.5, NULL}}, 1, EH_ERANGE, "alpha is 1.5"},
        {{{EH_UNIT_HEAD, 0, 0, EH_EDIT_SOFT, NAN, NULL}}, 1, EH_ERANGE, "alpha is nan"},
        {{{EH_UNIT_HEAD, 0, 0, EH_EDIT_MEAN, 1.0, NULL}}, 1, EH_EINVAL, "mean output"},
        {{{EH_UNIT_HEAD, 0, 0, EH_EDIT_SOFT, 0.5, NULL}, {EH_UNIT_HEAD, 0, 0, EH_EDIT_ZERO, 1.0, NULL}}, 2, EH_EINVAL,
         "units 0 and 1 are both layer 0, head 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(eh_session_edit(on, bad[i].e, bad[i].n, &err), bad[i].code, bad[i].words);
        CHECK(eh_session_edits(on, &n)->index == 2 && n == 1);
    }
    look(on, &after);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    session_close(on);
}

/* Each allocation of the change in turn fails: the edits before stay in force, to the bit. */
TEST(a_failed_allocation_leaves_the_edits_before)
{
    static seen before, after;
    const tiny_model options = {.n_head = 4, .n_kv = 2, .family = "qwen2", .qkv_bias = true};
    const char *dir = tiny_dir();
    float value[TINY_HEAD] = {1, 2, 3};
    eh_session *on;
    int64_t n, k = 1;
    tiny_model_write(dir, &options);
    CHECK_OK(session_open(dir, NULL, &on, &err));
    const eh_unit_edit old = {EH_UNIT_HEAD, 1, 2, EH_EDIT_SOFT, 0.3, NULL};
    const eh_unit_edit new_ones[3] = {{EH_UNIT_HEAD, 0, 1, EH_EDIT_MEAN, 1.0, value},
                                      {EH_UNIT_HEAD, 1, 1, EH_EDIT_SOFT, 0.9, NULL},
                                      {EH_UNIT_NEURON, 1, 1, EH_EDIT_ZERO, 1.0, NULL}};
    CHECK_OK(eh_session_edit(on, &old, 1, &err));
    look(on, &before);
    for (;; k++) {
        eh_mem_fail_after(k);
        const int rc = eh_session_edit(on, new_ones, 3, &err);
        eh_mem_fail_after(0);
        if (rc == EH_OK)
            break;
        CHECK_INT(rc, EH_ENOMEM);
        CHECK(eh_session_edits(on, &n)->index == 2 && n == 1);
        look(on, &after);
        CHECK(memcmp(&before, &after, sizeof before) == 0);
    }
    CHECK(k > 8);
    CHECK(eh_session_edits(on, &n) != NULL && n == 3);
    session_close(on);
}

/* The fingerprint stands for weights and edits. */
TEST(the_fingerprint_knows_the_edits_in_force)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2};
    const char *dir = tiny_dir();
    char plain[65], edited[65], again[65];
    eh_session *on;
    tiny_model_write(dir, &options);
    CHECK_OK(session_open(dir, NULL, &on, &err));
    CHECK_OK(eh_session_fingerprint(on, plain, &err));
    CHECK_OK(eh_session_edit(on, &soft_head, 1, &err));
    CHECK_OK(eh_session_fingerprint(on, edited, &err));
    CHECK(strcmp(plain, edited) != 0);
    CHECK_OK(eh_session_edit(on, NULL, 0, &err));
    CHECK_OK(eh_session_fingerprint(on, again, &err));
    CHECK_STR(again, plain);
    session_close(on);
}

/* ---- The real model, written in its own type ------------------------------------------------- */

/* Q4_1, heads of 64 channels: whole blocks, so that a head costs the rounding of block scales to f16. */
TEST(smollm2_written_to_gguf_scores_as_the_edit_in_force)
{
    const char *path = smollm2_path();
    if (path == NULL)
        SKIP("no SmolLM2");
    static const int32_t text[] = {504, 2346, 253, 3060, 282, 47, 12, 300, 77, 901, 4000, 504, 253, 30};
    const int64_t n = (int64_t)(sizeof text / sizeof *text);
    const eh_unit_edit e[] = {{EH_UNIT_HEAD, 3, 5, EH_EDIT_SOFT, 0.7, NULL},
                              {EH_UNIT_HEAD, 10, 0, EH_EDIT_ZERO, 1.0, NULL},
                              {EH_UNIT_HEAD, 20, 8, EH_EDIT_OUTPUT, 0.4, NULL},
                              {EH_UNIT_NEURON, 0, 42, EH_EDIT_ZERO, 1.0, NULL}};
    float logprob[3][16];
    char out[300];
    snprintf(out, sizeof out, "%.200s.gguf", tiny_dir());
    const eh_request r = {.tok = text, .n_tok = n, .from = 1};
    eh_session *on;
    CHECK_OK(session_open(path, NULL, &on, &err));
    for (int k = 0; k < 3; k++) {
        eh_answer a = {.token_logprob = logprob[k]};
        if (k == 1)
            CHECK_OK(eh_session_edit(on, e, 4, &err));
        if (k == 2) {
            CHECK_OK(eh_session_save(on, out, false, NULL, &err));
            session_close(on);
            CHECK_OK(session_open(out, NULL, &on, &err));
        }
        CHECK_OK(eh_score(on, &r, 1, &a, &err));
    }
    session_close(on);
    double edit = 0, written = 0;
    for (int64_t i = 0; i < n - 1; i++) {
        edit = fmax(edit, fabs((double)logprob[1][i] - (double)logprob[0][i]));
        written = fmax(written, fabs((double)logprob[2][i] - (double)logprob[1][i]));
    }
    CHECK(edit > 0.1);
    CHECK(written < 1e-3); /* nats */
}
