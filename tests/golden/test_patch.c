/* Patches and layer summaries on the tiny models, against plain passes and by hand. */
#include "probe/patch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "session.h"
#include "probe/layers.h"

static const char *const folders[] = {"llama",  "llama-mha", "mistral", "qwen2", "qwen3",
                                      "gemma2", "cohere",    "opt",     "gpt2"};
#define N_FOLDER (sizeof folders / sizeof *folders)
#define N 12

static eh_err err;

static eh_session *open_tiny(const char *folder, const eh_session_options *o)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/tiny/%s", folder);
    eh_session *on;
    CHECK_OK(session_open(repo_path(path), o, &on, &err));
    return on;
}

/* Full prompts and what they are without their beginnings; pairs of them are the same or share a beginning. */
static int32_t tok[N][30];
static const int32_t cand[3] = {7, 9, 200};
static eh_request full[N], part[N];
static float logprob[N][3];
static eh_answer answer[N];

static void fill(void)
{
    eh_rng r = eh_rng_at(8, "patch", 0);
    for (int64_t i = 0; i < N; i++) {
        const int64_t n = 12 + i;
        for (int64_t k = 0; k < n; k++)
            tok[i][k] = i % 2 == 1 && k < 9 ? tok[i - 1][k] : (int32_t)eh_rng_below(&r, 300);
        full[i] = (eh_request){tok[i], n, n, cand, 3};
        if (i == 5)
            full[5] = full[4];
        part[i] = (eh_request){full[i].tok + 5, full[i].n_tok - 5, full[i].n_tok - 5, NULL, 0};
        answer[i] = (eh_answer){.cand_logprob = logprob[i]};
    }
}

/* ---- Heads ablated ----------------------------------------------------------------------------------------- */

static void hold_to_edit(eh_session *on, const eh_ablate *list, int64_t n)
{
    static float edited[N][3], plain[N][3];
    eh_unit_edit edit[4];
    for (int64_t i = 0; i < n; i++)
        edit[i] = (eh_unit_edit){.kind = EH_UNIT_HEAD,
                                 .layer = list[i].layer,
                                 .index = list[i].head,
                                 .mode = list[i].mean != NULL ? EH_EDIT_MEAN : EH_EDIT_ZERO,
                                 .alpha = 1.0,
                                 .mean = list[i].mean};
    CHECK_OK(eh_score(on, full, N, answer, &err));
    memcpy(plain, logprob, sizeof plain);
    CHECK_OK(eh_session_edit(on, edit, n, &err));
    CHECK_OK(eh_score(on, full, N, answer, &err));
    memcpy(edited, logprob, sizeof edited);
    CHECK_OK(eh_session_edit(on, NULL, 0, &err));
    eh_ablation a = {on, list, n};
    const eh_observer o = eh_ablation_observer(&a);
    CHECK_OK(eh_score_observed(on, full, N, answer, &o, 1, &err));
    check_floats(logprob[0], edited[0], 3 * N, 1e-5, "ablation against edit"); /* a few ulp of numbers up to 16 */
    double moved = 0.0;
    for (int i = 0; i < N; i++)
        moved = fmax(moved, fabs((double)logprob[i][0] - (double)plain[i][0]));
    CHECK(moved > 1e-2);
}

TEST(ablation_is_the_edit_that_silences)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_session *on = open_tiny(folders[f], NULL);
        fill();
        float mean[64] = {0};
        for (int64_t k = 0; k < on->m->config.d_head; k++)
            mean[k] = 0.01f * (float)(k + 1);
        const eh_ablate list[] = {{0, 1, NULL}, {1, 3, mean}, {1, 0, NULL}};
        hold_to_edit(on, list, 1);
        hold_to_edit(on, list + 1, 1);
        hold_to_edit(on, list, 3);
        session_close(on);
    }
}

TEST(ablation_of_what_is_not_there_is_refused)
{
    eh_session *on = open_tiny("llama", NULL);
    fill();
    const eh_ablate bad[] = {{2, 0, NULL}, {-1, 0, NULL}, {0, 4, NULL}, {0, -1, NULL}};
    for (int i = 0; i < 4; i++) {
        eh_ablation a = {on, &bad[i], 1};
        const eh_observer o = eh_ablation_observer(&a);
        CHECK_FAILS(eh_score_observed(on, full, N, answer, &o, 1, &err), EH_ERANGE, "2 layers of 4 heads");
    }
    session_close(on);
}

/* ---- Means --------------------------------------------------------------------------------------------------- */

static int add_rows(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    for (int64_t i = 0; i < b->n_row; i++)
        for (int64_t k = 0; k < b->width; k++)
            ((double *)ctx)[b->layer * b->width + k] += (double)b->value[i * b->width + k];
    return 0;
}

TEST(head_means_are_means_over_the_rows)
{
    double *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        eh_session_options o;
        eh_session_options_init(&o, sizeof o);
        o.product = "reference";
        o.threads = threads;
        eh_session *on = open_tiny("llama", &o);
        fill();
        const int64_t n = on->m->config.n_layer * on->m->config.n_head * on->m->config.d_head;
        double *sum = calloc((size_t)n, sizeof *sum);
        CHECK(sum != NULL);
        eh_head_means p = {0};
        CHECK_OK(eh_head_means_start(&p, on, &err));
        float mean[64];
        eh_head_means_get(&p, 1, 2, mean); /* of nothing */
        CHECK(mean[0] == 0.0f);
        const eh_observer look[] = {eh_head_means_observer(&p), {1u << EH_SITE_HEAD_OUT, add_rows, sum}};
        const int64_t before = on->n_computed;
        CHECK_OK(eh_score_observed(on, full, 4, answer, look, 2, &err));
        CHECK_OK(eh_score_observed(on, full + 4, N - 4, answer + 4, look, 2, &err));
        CHECK_INT(p.n_row, on->n_computed - before);
        CHECK(memcmp(sum, p.sum, (size_t)n * sizeof *sum) == 0);
        eh_head_means_get(&p, 1, 2, mean);
        const int64_t at = (on->m->config.n_head + 2) * on->m->config.d_head;
        CHECK_NEAR(mean[3], sum[at + 3] / (double)p.n_row, 1e-7);
        if (first == NULL)
            first = sum;
        CHECK(memcmp(sum, first, (size_t)n * sizeof *sum) == 0);
        if (sum != first)
            free(sum);
        eh_head_means_clear(&p);
        session_close(on);
    }
    free(first);
}

/* ---- Layer tracing --------------------------------------------------------------------------------------------- */

static float plain[N * 3], patched[N * 2 * EH_TRACE_N * 3];

TEST(what_a_run_puts_into_itself_changes_nothing)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.product = "reference";
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_session *on = open_tiny(folders[f], &o);
        fill();
        CHECK_OK(eh_trace(on, full, full, N, plain, patched, &err));
        CHECK_OK(eh_score(on, full, N, answer, &err));
        CHECK(memcmp(plain, logprob, sizeof plain) == 0);
        for (int64_t i = 0; i < N; i++)
            for (int k = 0; k < 4; k++)
                CHECK(memcmp(patched + (i * 4 + k) * 3, plain + i * 3, 3 * sizeof *plain) == 0);
        session_close(on);
    }
}

/* One patch in a pass of its own, on a single prompt. */
typedef struct one {
    eh_site site;
    int64_t layer;
    float *value;
    bool put;
} one;

static int see_one(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    const one *x = ctx;
    const int64_t row = b->last_row[0] - b->first;
    if (b->layer != x->layer || row < 0 || row >= b->n_row)
        return 0;
    if (x->put)
        memcpy(b->value + row * b->width, x->value, (size_t)b->width * sizeof(float));
    else
        memcpy(x->value, b->value + row * b->width, (size_t)b->width * sizeof(float));
    return 0;
}

TEST(a_trace_is_what_one_pass_for_each_patch_gives)
{
    eh_session_options options[] = {session_options("reference", EH_ALL), session_options("reference", EH_ALL)};
    options[1].no_prefix_sharing = true;
    static const eh_site site[] = {EH_SITE_HEAD_OUT, EH_SITE_NEURON};
    for (int s = 0; s < 2; s++) {
        eh_session *on = open_tiny("llama", &options[s]);
        fill();
        const int64_t before = on->n_computed;
        int64_t tokens = 0;
        CHECK_OK(eh_trace(on, part, full, N, plain, patched, &err));
        const int64_t computed = on->n_computed - before;
        for (int64_t i = 0; i < N; i++)
            tokens += full[i].n_tok + part[i].n_tok + 4;
        CHECK_INT(computed <= tokens, s == 0);
        for (int64_t i = 0; i < N; i++)
            for (int64_t l = 0; l < 2; l++)
                for (int k = 0; k < 2; k++) {
                    static float value[512];
                    one x = {site[k], l, value, false};
                    const eh_observer o = {1u << site[k], see_one, &x};
                    CHECK_OK(eh_score_observed(on, &part[i], 1, answer, &o, 1, &err));
                    x.put = true;
                    CHECK_OK(eh_score_observed(on, &full[i], 1, answer, &o, 1, &err));
                    CHECK(memcmp(logprob[0], patched + ((i * 2 + l) * 2 + k) * 3, sizeof logprob[0]) == 0);
                    /* Every component of the last position moves the target. */
                    CHECK(fabs((double)logprob[0][0] - (double)plain[i * 3]) > 1e-6);
                }
        session_close(on);
    }
}

TEST(prompts_of_another_form_are_not_traced)
{
    eh_session *on = open_tiny("llama", NULL);
    fill();
    eh_request r = full[0];
    r.from = 3;
    CHECK_FAILS(eh_trace(on, part, &r, 1, plain, patched, &err), EH_EINVAL, "prompt 0");
    CHECK_FAILS(eh_trace(on, &r, full, 1, plain, patched, &err), EH_EINVAL, "prompt 0");
    r = full[0];
    r.n_cand = 0;
    CHECK_FAILS(eh_trace(on, part, &r, 1, plain, patched, &err), EH_EINVAL, "0 candidates");
    eh_request two[] = {full[0], full[1]};
    two[1].n_cand = 2;
    CHECK_FAILS(eh_trace(on, part, two, 2, plain, patched, &err), EH_EINVAL, "prompt 1 has 2 candidates");
    CHECK_OK(eh_trace(on, NULL, NULL, 0, NULL, NULL, &err));
    eh_capture t = {0};
    CHECK_FAILS(eh_capture_start(&t, on, EH_SITE_RESID, 1, &err), EH_EINVAL, "cannot be captured");
    CHECK_OK(eh_capture_start(&t, on, EH_SITE_NEURON, 1, &err));
    const eh_observer o = eh_capture_observer(&t);
    CHECK_FAILS(eh_score_observed(on, full, 2, answer, &o, 1, &err), EH_EINVAL, "asked of 1");
    eh_capture_clear(&t);
    const eh_patch put = {.layer = -1};
    eh_patches puts = {&put, 1};
    const eh_observer p = eh_patches_observer(&puts);
    CHECK_FAILS(eh_score_observed(on, full, 2, answer, &p, 1, &err), EH_EINVAL, "patches for 1");
    session_close(on);
}

/* ---- Layer summaries ------------------------------------------------------------------------------------------- */

TEST(layer_summaries_by_hand)
{
    eh_session *on = open_tiny("llama", NULL);
    eh_layer_probe p = {0};
    CHECK_OK(eh_layer_probe_start(&p, on, 3, &err));
    const eh_observer o = eh_layer_probe_observer(&p);
    float value[2][4] = {{9, 9, 9, 9}, {-4, 2, 0.0039f, 0}}; /* of size 4 at most: 0.0039 is small, just */
    const int64_t request[] = {2, 0}, last_row[] = {6, 9};
    eh_block b = {.site = EH_SITE_RESID, .layer = 1, .first = 5, .n_row = 2, .width = 4, .value = value[0],
                  .n_request = 2, .request = request, .last_row = last_row};
    CHECK_OK(o.see(o.ctx, &b, &err));
    b.site = EH_SITE_NEURON;
    b.first = 9;
    b.n_row = 1;
    CHECK_OK(o.see(o.ctx, &b, &err));
    b.layer = -1; /* the embeddings are no layer */
    b.site = EH_SITE_RESID;
    CHECK_OK(o.see(o.ctx, &b, &err));
    const float *got = p.value + (2 * 2 + 1) * EH_LAYER_N_STAT;
    CHECK_NEAR(got[EH_LAYER_RESID_MEAN], -1.9961 / 4, 1e-7);
    CHECK_NEAR(got[EH_LAYER_RESID_MAX], 2.0, 0.0);
    CHECK_NEAR(got[EH_LAYER_RESID_SPARSITY], 0.5, 0.0);
    CHECK_NEAR(got[EH_LAYER_NEURON_MEAN], 0.0, 0.0); /* that row was not shown at this site */
    got = p.value + (0 * 2 + 1) * EH_LAYER_N_STAT;
    CHECK_NEAR(got[EH_LAYER_NEURON_MEAN], 9.0, 0.0);
    CHECK_NEAR(got[EH_LAYER_NEURON_MAX], 9.0, 0.0);
    CHECK_NEAR(got[EH_LAYER_NEURON_SPARSITY], 0.0, 0.0);
    const int64_t beyond[] = {3, 0};
    b.layer = 0;
    b.request = beyond;
    CHECK_FAILS(o.see(o.ctx, &b, &err), EH_EINVAL, "started for 3");
    eh_layer_probe_clear(&p);
    session_close(on);
}

TEST(layer_summaries_do_not_depend_on_the_batch)
{
    eh_session_options options[] = {session_options("reference", 1), session_options("reference", 3),
                                    session_options("reference", EH_ALL)};
    options[1].batch_tokens = 30;
    options[2].no_prefix_sharing = true;
    static float first[N * 2 * EH_LAYER_N_STAT];
    for (int k = 0; k < 3; k++) {
        eh_session *on = open_tiny("qwen3", &options[k]);
        fill();
        eh_layer_probe p = {0};
        CHECK_OK(eh_layer_probe_start(&p, on, N, &err));
        const eh_observer o = eh_layer_probe_observer(&p);
        CHECK_OK(eh_score_observed(on, full, N, answer, &o, 1, &err));
        for (int64_t i = 0; i < N * 2; i++) {
            const float *got = p.value + i * EH_LAYER_N_STAT;
            CHECK(got[EH_LAYER_RESID_MAX] > got[EH_LAYER_RESID_MEAN]);
            CHECK(got[EH_LAYER_NEURON_MAX] > got[EH_LAYER_NEURON_MEAN]);
            CHECK(got[EH_LAYER_NEURON_SPARSITY] >= 0.0f && got[EH_LAYER_NEURON_SPARSITY] < 1.0f);
        }
        if (k == 0)
            memcpy(first, p.value, sizeof first);
        CHECK(memcmp(first, p.value, sizeof first) == 0);
        eh_layer_probe_clear(&p);
        session_close(on);
    }
}
