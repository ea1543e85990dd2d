/* Operations beyond Llama's, against plain double code: forward, gradient by central differences, rules. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "op/attention.h"
#include "op/gate.h"
#include "op/head.h"
#include "op/norm.h"
#include "op/rotary.h"

#define STEP 1e-5

static eh_err err;

static uint64_t state = 1;

static float draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 40) / (double)(1 << 24) * 4.0 - 2.0);
}

static void fill(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = draw();
}

static const eh_simd *kernels[3];

static int n_kernels(void)
{
    static const char *const names[] = {"generic", "avx2", "avx512"};
    int n = 0;
    for (int i = 0; i < 3; i++)
        if (eh_simd_named(names[i]) != NULL)
            kernels[n++] = eh_simd_named(names[i]);
    return n;
}

/* ---- Layer norm ---------------------------------------------------------------------------------------- */

#define N 37

/* sum_i g_i h_i of h = layer norm of x. */
static double layer_norm_sum(const double *x, const float *w, const float *b, const float *g)
{
    double mean = 0, var = 0, sum = 0;
    for (int i = 0; i < N; i++)
        mean += x[i] / N;
    for (int i = 0; i < N; i++)
        var += (x[i] - mean) * (x[i] - mean) / N;
    for (int i = 0; i < N; i++)
        sum += (double)g[i] * ((x[i] - mean) / sqrt(var + 1e-5) * (double)w[i] + (double)b[i]);
    return sum;
}

TEST(layer_norm_by_hand)
{
    /* mean 2, variance 2/3: (x - 2) / sqrt(2/3) = -1.2247, 0, 1.2247; times w, plus b */
    float x[3] = {1, 2, 3}, out[3];
    const float w[3] = {1, 5, 2}, b[3] = {0, 0.5f, -1};
    const eh_norm_op o = {eh_simd_get(), 1, EH_NORM_LAYER, 0.0, 3, w, b};
    CHECK(eh_norm_row(&o, x, NULL, out));
    CHECK_NEAR((double)out[0], -1.224744871, 1e-6);
    CHECK_NEAR((double)out[1], 0.5, 1e-6);
    CHECK_NEAR((double)out[2], 2 * 1.224744871 - 1, 1e-6);
}

TEST(gemmas_weight_is_one_more)
{
    const float w[2] = {0.5f, -1.0f};
    float room[2];
    CHECK(eh_norm_weight(EH_NORM_RMS, w, 2, room) == w && eh_norm_weight(EH_NORM_LAYER, w, 2, room) == w);
    const float *one_more = eh_norm_weight(EH_NORM_RMS_PLUS1, w, 2, room);
    CHECK(one_more[0] == 1.5f && one_more[1] == 0.0f);
    CHECK(eh_norm_weight(EH_NORM_RMS_PLUS1, NULL, 2, room) == NULL);
}

TEST(layer_norm_and_its_gradient_match_plain_double)
{
    static const eh_rule_set exact = {true, true, 1, 1, 1, 1}, held = {false, false, 1, 1, 1, 1};
    for (int v = n_kernels() - 1; v >= 0; v--) {
        enum { ROWS = 40 };
        static float x[ROWS * N], delta[ROWS * N], g[ROWS * N], out[ROWS * N], dx[ROWS * N], lrp[ROWS * N];
        float w[N], b[N], dw[N] = {0}, db[N] = {0}, room[2 * N];
        double part[4 * 2 * N], want_w[N] = {0}, want_b[N] = {0};
        fill(x, ROWS * N), fill(delta, ROWS * N), fill(g, ROWS * N), fill(w, N), fill(b, N);
        const eh_norm_op o = {kernels[v], 2, EH_NORM_LAYER, 1e-5, N, w, b};
        CHECK_INT(eh_norm_run(&o, x, delta, ROWS, EH_F32, NULL, out), -1);
        const eh_norm_grad to = {dx, false, dw, db, room, part}, to_lrp = {lrp, false, NULL, NULL, room, NULL};
        CHECK_INT(eh_norm_back(&o, &exact, x, g, ROWS, &to), -1);
        CHECK_INT(eh_norm_back(&o, &held, x, g, ROWS, &to_lrp), -1);
        for (int r = 0; r < ROWS; r++) {
            double xd[N], mean = 0, var = 0, flat = 0;
            const float *gr = g + r * N;
            for (int i = 0; i < N; i++) {
                xd[i] = (double)x[r * N + i];
                mean += xd[i] / N;
                flat += (double)w[i] * (double)gr[i] / N;
            }
            for (int i = 0; i < N; i++)
                var += (xd[i] - mean) * (xd[i] - mean) / N;
            for (int i = 0; i < N; i++) {
                const double h = (xd[i] - mean) / sqrt(var + 1e-5), kept = xd[i];
                CHECK_NEAR((double)out[r * N + i], h * (double)w[i] + (double)b[i], 2e-6);
                xd[i] = kept + STEP;
                const double up = layer_norm_sum(xd, w, b, gr);
                xd[i] = kept - STEP;
                CHECK_NEAR((double)dx[r * N + i], (up - layer_norm_sum(xd, w, b, gr)) / (2 * STEP), 5e-6);
                xd[i] = kept;
                CHECK_NEAR((double)lrp[r * N + i], ((double)w[i] * (double)gr[i] - flat) / sqrt(var + 1e-5), 5e-6);
                want_w[i] += (double)gr[i] * h;
                want_b[i] += (double)gr[i];
            }
        }
        for (int i = 0; i < N; i++) {
            CHECK_NEAR((double)dw[i], want_w[i], 2e-5);
            CHECK_NEAR((double)db[i], want_b[i], 2e-5);
        }
        float alone[N]; /* a row has the same bits without the others, and the one that is not finite is named */
        CHECK_INT(eh_norm_run(&o, x + 7 * N, NULL, 1, EH_F32, NULL, alone), -1);
        CHECK(memcmp(alone, out + 7 * N, sizeof alone) == 0);
        x[5 * N + 3] = NAN;
        CHECK_INT(eh_norm_run(&o, x, NULL, ROWS, EH_F32, NULL, out), 5);
        g[6 * N] = INFINITY;
        x[5 * N + 3] = 0;
        CHECK_INT(eh_norm_back(&o, &exact, x, g, ROWS, &to), 6);
    }
}

/* ---- Activations ----------------------------------------------------------------------------------------- */

static double f_of(eh_activation a, double x)
{
    switch (a) {
    case EH_ACT_SILU: return x / (1 + exp(-x));
    case EH_ACT_GELU: return x * 0.5 * erfc(-x / sqrt(2.0));
    case EH_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case EH_ACT_RELU: break;
    }
    return x > 0 ? x : 0;
}

TEST(every_activation_gated_and_plain_matches_plain_double)
{
    enum { ROWS = 19, D = 21 };
    static const eh_rule_set exact = {true, true, 1, 1, 1, 1}, lrp = {false, false, 0.5f, 0.5f, 0.25f, 0.5f};
    for (int v = n_kernels() - 1; v >= 0; v--)
        for (int a = EH_ACT_SILU; a <= EH_ACT_RELU; a++)
            for (int gated = 0; gated < 2; gated++) {
                static float in[ROWS * 2 * D], g[ROWS * D], out[ROWS * D], din[ROWS * 2 * D], rel[ROWS * 2 * D];
                const eh_gate o = {kernels[v], 2, (eh_activation)a, gated != 0, D};
                const int64_t width = eh_gate_width(o.gated, D);
                CHECK_INT(width, gated ? 2 * D : D);
                fill(in, ROWS * width), fill(g, ROWS * D);
                for (int64_t i = 0; i < ROWS * width; i++)
                    in[i] *= 3.0f;
                eh_gate_run(&o, in, ROWS, out);
                eh_gate_back(&o, &exact, in, g, ROWS, din);
                eh_gate_back(&o, &lrp, in, g, ROWS, rel);
                for (int64_t i = 0; i < ROWS * D; i++) {
                    const int64_t at = i / D * width + i % D;
                    const double x = (double)in[at], u = gated ? (double)in[at + D] : 1.0, gi = (double)g[i];
                    const double f = f_of(o.activation, x);
                    const double slope = (f_of(o.activation, x + STEP) - f_of(o.activation, x - STEP)) / (2 * STEP);
                    CHECK_NEAR((double)out[i], f * u, 5e-6);
                    CHECK_NEAR((double)din[at], gi * u * slope, 2e-5);
                    /* Times its input: the relevance of the output, shared out. */
                    CHECK_NEAR((double)rel[at] * x, (gated ? 0.5 : 1.0) * gi * u * f, 2e-5);
                    if (gated) {
                        CHECK_NEAR((double)din[at + D], gi * f, 2e-5);
                        CHECK_NEAR((double)rel[at + D] * u, 0.5 * gi * u * f, 2e-5);
                    }
                }
            }
}

TEST(activations_keep_nan_and_stay_finite_far_out)
{
    const float far[4] = {-1e4f, 1e4f, 0.0f, NAN};
    const eh_simd_activation *const all[] = {&eh_simd_get()->silu, &eh_simd_get()->gelu, &eh_simd_get()->gelu_tanh,
                                             &eh_simd_get()->relu};
    for (int i = 0; i < 4; i++) {
        float out[4];
        all[i]->run(far, NULL, 4, out);
        CHECK_NEAR((double)out[0], 0.0, 1e-30);
        CHECK_NEAR((double)out[1], 1e4, 0.0);
        CHECK(out[2] == 0.0f && isnan(out[3]));
    }
}

/* ---- Rotary pairs ------------------------------------------------------------------------------------------ */

TEST(pairs_turn_by_hand_and_back)
{
    /* A quarter turn: (a, b) -> (-b, a), of channels 0 and 1; the second pair stays. */
    float x[6] = {1, 2, 3, 4, 5, 6};
    const float cosine[2] = {0, 1}, sine[2] = {1, 0};
    for (int v = n_kernels() - 1; v >= 0; v--) {
        float y[6];
        memcpy(y, x, sizeof y);
        kernels[v]->rope_pairs(y, cosine, sine, 2);
        const float want[6] = {-2, 1, 3, 4, 5, 6};
        for (int i = 0; i < 6; i++)
            CHECK_NEAR((double)y[i], (double)want[i], 0.0);
        kernels[v]->rope_pairs_grad(y, cosine, sine, 2);
        CHECK(memcmp(y, x, sizeof y) == 0);
    }
}

TEST(norms_of_whole_queries_and_of_heads_by_hand)
{
    /* Two query heads and a key head of two channels. By heads each has its own root mean square; as a whole, queries
     * share theirs. */
    const float row[6] = {3, 4, 0, 0, 1, 1}, w[4] = {1, 1, 1, 1};
    const int32_t pos[1] = {0};
    eh_norm_op q = {eh_simd_get(), 1, EH_NORM_RMS, 0.0, 4, w, NULL}, k = q;
    k.n = 2;
    const eh_rotary o = {.simd = eh_simd_get(), .n_thread = 1, .n_head = 2, .n_kv = 1, .d_head = 2, .ld = 6,
                         .pos = pos, .q = &q, .k = &k};
    float x[6], raw[6];
    memcpy(x, row, sizeof x);
    eh_rotary_run(&o, x, 1, raw);
    CHECK(memcmp(raw, row, sizeof raw) == 0);
    CHECK_NEAR((double)x[0], 3 / 2.5, 1e-6); /* sqrt((9 + 16) / 4) */
    CHECK_NEAR((double)x[1], 4 / 2.5, 1e-6);
    CHECK_NEAR((double)x[4], 1.0, 1e-6);
    q.n = 2;
    memcpy(x, row, sizeof x);
    x[2] = x[3] = 7;
    eh_rotary_run(&o, x, 1, NULL);
    CHECK_NEAR((double)x[0], 3 / sqrt(12.5), 1e-6);
    CHECK_NEAR((double)x[2], 1.0, 1e-6);
}

/* ---- Attention: soft cap, and everything for a mask ----------------------------------------------------- */

enum { HEADS = 3, D_HEAD = 5, TOK = 27, LD = 3 * HEADS * D_HEAD };

typedef struct attend {
    float scale, cap;
    eh_mask mask;
    const int64_t *length; /* of two sequences */
} attend;

/* sum of d_out * attention, in double. */
static double attention_sum(const attend *a, const double *x, const float *d_out)
{
    double sum = 0;
    int64_t first = 0;
    for (int s = 0; s < 2; first += a->length[s++])
        for (int64_t i = first; i < first + a->length[s]; i++)
            for (int h = 0; h < HEADS; h++) {
                const int64_t last = a->mask == EH_MASK_ALL ? first + a->length[s] - 1 : i;
                double p[TOK], total = 0;
                for (int64_t j = first; j <= last; j++) {
                    double dot = 0;
                    for (int e = 0; e < D_HEAD; e++)
                        dot += x[i * LD + h * D_HEAD + e] * x[j * LD + (HEADS + h) * D_HEAD + e];
                    dot *= (double)a->scale;
                    p[j] = exp(a->cap > 0 ? (double)a->cap * tanh(dot / (double)a->cap) : dot);
                    total += p[j];
                }
                for (int64_t j = first; j <= last; j++)
                    for (int e = 0; e < D_HEAD; e++)
                        sum += p[j] / total * x[j * LD + (2 * HEADS + h) * D_HEAD + e] *
                               (double)d_out[(i * HEADS + h) * D_HEAD + e];
            }
    return sum;
}

TEST(a_soft_cap_and_the_whole_mask_match_plain_double_with_their_gradients)
{
    static const int64_t length[2] = {9, 18};
    const attend cases[] = {{0.4f, 2.0f, EH_MASK_ANCESTORS, length},
                            {0.4f, 0.0f, EH_MASK_ALL, length},
                            {0.7f, 1.5f, EH_MASK_ALL, length}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const attend *a = &cases[c];
        static float x[TOK * LD], d_out[TOK * HEADS * D_HEAD], out[TOK * HEADS * D_HEAD], dx[TOK * LD];
        static double xd[TOK * LD];
        int32_t segment_of[TOK];
        fill(x, TOK * LD), fill(d_out, TOK * HEADS * D_HEAD);
        for (int i = 0; i < TOK * LD; i++)
            xd[i] = (double)x[i];
        for (int i = 0; i < TOK; i++)
            segment_of[i] = i >= 9;
        const eh_segment segment[2] = {{0, 9, 0, -1, -1}, {9, 18, 0, -1, -1}};
        const eh_attention o = {.simd = eh_simd_get(), .n_head = HEADS, .n_kv = HEADS, .d_head = D_HEAD,
                                .scale = a->scale, .softcap = a->cap, .mask = a->mask, .n_segment = 2,
                                .segment = segment, .segment_of = segment_of, .n_tok = TOK, .q = x,
                                .k = x + HEADS * D_HEAD, .v = x + 2 * HEADS * D_HEAD, .ld = LD, .out = out};
        eh_arena arena = {0};
        CHECK_OK(eh_attention_run(&o, 2, &arena, &err));
        double got = 0;
        for (int i = 0; i < TOK * HEADS * D_HEAD; i++)
            got += (double)out[i] * (double)d_out[i];
        CHECK_NEAR(got, attention_sum(a, xd, d_out), 2e-4);
        const eh_attention_grad g = {d_out, 1, 1, true, dx, dx + HEADS * D_HEAD, dx + 2 * HEADS * D_HEAD};
        CHECK_OK(eh_attention_back(&o, &g, 2, &arena, &err));
        for (int i = 0; i < TOK * LD; i++) {
            const double kept = xd[i];
            xd[i] = kept + STEP;
            const double up = attention_sum(a, xd, d_out);
            xd[i] = kept - STEP;
            CHECK_NEAR((double)dx[i], (up - attention_sum(a, xd, d_out)) / (2 * STEP), 2e-5);
            xd[i] = kept;
        }
        eh_arena_clear(&arena);
    }
}

TEST(the_whole_mask_is_refused_where_it_means_nothing)
{
    float x[LD] = {0}, out[HEADS * D_HEAD];
    const int32_t segment_of[1] = {0};
    eh_segment segment = {0, 1, 0, -1, 0};
    eh_attention o = {.simd = eh_simd_get(), .n_head = HEADS, .n_kv = HEADS, .d_head = D_HEAD, .scale = 1.0f,
                      .mask = EH_MASK_ALL, .n_segment = 1, .segment = &segment, .segment_of = segment_of, .n_tok = 1,
                      .q = x, .k = x, .v = x, .ld = LD, .out = out};
    eh_arena arena = {0};
    CHECK_FAILS(eh_attention_run(&o, 1, &arena, &err), EH_EINVAL, "begin a sequence");
    segment.cache = -1;
    o.window = 4;
    CHECK_FAILS(eh_attention_run(&o, 1, &arena, &err), EH_EINVAL, "no window");
    o.window = 0;
    CHECK_OK(eh_attention_run(&o, 1, &arena, &err));
    eh_arena_clear(&arena);
}

/* ---- Logits -------------------------------------------------------------------------------------------------- */

TEST(logits_are_scaled_and_capped_and_their_gradient_is_that_of_central_differences)
{
    static const eh_rule_set exact = {true, true, 1, 1, 1, 1}, lrp = {false, false, 1, 1, 1, 1};
    const eh_logits_of kinds[] = {{eh_simd_get(), 0.25f, 0.0f}, {eh_simd_get(), 1.0f, 5.0f},
                                  {eh_simd_get(), 0.5f, 3.0f}};
    for (int k = 0; k < 3; k++) {
        float z[33], logit[33], g[33], rel[33];
        fill(z, 33);
        for (int i = 0; i < 33; i++)
            z[i] *= 4.0f;
        memcpy(logit, z, sizeof z);
        eh_logits_run(&kinds[k], logit, 33);
        for (int i = 0; i < 33; i++)
            g[i] = rel[i] = 2.0f;
        eh_logits_back(&kinds[k], &exact, logit, g, 33);
        eh_logits_back(&kinds[k], &lrp, logit, rel, 33);
        const double s = (double)kinds[k].scale, cap = (double)kinds[k].cap;
        for (int i = 0; i < 33; i++) {
            const double x = (double)z[i], want = cap > 0 ? cap * tanh(s * x / cap) : s * x;
            CHECK_NEAR((double)logit[i], want, 3e-6);
            CHECK_NEAR((double)g[i], 2 * s * (cap > 0 ? 1 - pow(tanh(s * x / cap), 2) : 1), 2e-5);
            CHECK_NEAR((double)rel[i] * x, 2 * want, 3e-4); /* the identity rule: all relevance goes through */
        }
    }
    const eh_logits_of plain = {eh_simd_get(), 1.0f, 0.0f};
    float same[2] = {1.5f, -2.5f};
    eh_logits_run(&plain, same, 2);
    CHECK(same[0] == 1.5f && same[1] == -2.5f);
}

TEST(rule_sets_are_found_and_others_refused)
{
    CHECK(eh_rule_set_of(EH_RULES_GRADIENT)->exact_norm && !eh_rule_set_of(EH_RULES_ATTNLRP)->exact_norm);
    CHECK_NEAR((double)eh_rule_set_of(EH_RULES_CPLRP)->gate_share, 0.0, 0.0);
    CHECK(eh_rule_set_of((eh_rules)3) == NULL && eh_rule_set_of((eh_rules)-1) == NULL);
}
