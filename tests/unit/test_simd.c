/*
 * Every compilation of the kernels that this machine can run, against double arithmetic written
 * out here. Tolerances are multiples of 2^-24, half a unit in the last place of a float near 1.
 */
#include "backend/simd.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "tensor/dtype.h"

#define U 5.9604644775390625e-8 /* 2^-24 */
#define N_MOST 1000

static const char *const names[] = {"generic", "avx2", "avx512"};
static const int64_t sizes[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 576, 999};

/* Calls body(k) for each variant that runs here; at least the generic one does. */
static void each(void (*body)(const eh_simd *k))
{
    CHECK(eh_simd_named("generic") != NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (eh_simd_named(names[i]) != NULL)
            body(eh_simd_named(names[i]));
}

static void draw(float *x, int64_t n, uint64_t seed, double size)
{
    eh_rng r = eh_rng_at(seed, "simd", (uint64_t)n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(size * eh_rng_normal(&r));
}

TEST(variants_are_found_by_name)
{
    CHECK_STR(eh_simd_named("generic")->name, "generic");
    CHECK(eh_simd_named("sse9") == NULL && eh_simd_named("") == NULL);
    CHECK(eh_simd_get() == eh_simd_get());
}

/* ---- norm ------------------------------------------------------------------------------------- */

static void norm_is_right(const eh_simd *k)
{
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t n = sizes[s];
        float x[N_MOST], delta[N_MOST], w[N_MOST], out[N_MOST], kept[N_MOST];
        draw(x, n, 1, 3.0);
        draw(delta, n, 2, 1.0);
        draw(w, n, 3, 1.0);
        memcpy(kept, x, sizeof kept);
        for (int with_delta = 0; with_delta < 2; with_delta++) {
            memcpy(x, kept, sizeof x);
            double sum = 0;
            for (int64_t i = 0; i < n; i++) {
                const float y = with_delta ? kept[i] + delta[i] : kept[i];
                sum += (double)y * (double)y;
            }
            const double got = k->norm(x, with_delta ? delta : NULL, w, n, 1e-5, out);
            CHECK_NEAR(got, sum, 1e-13 * sum);
            for (int64_t i = 0; i < n; i++) {
                const float y = with_delta ? kept[i] + delta[i] : kept[i];
                const double want = (double)y / sqrt(sum / (double)n + 1e-5) * (double)w[i];
                CHECK(x[i] == y);
                CHECK_NEAR((double)out[i], want, 3.1 * U * fabs(want)); /* the scale, and two products, rounded */
            }
        }
    }
}

static void norm_sees_what_is_not_finite(const eh_simd *k)
{
    float w[40], out[40];
    draw(w, 40, 4, 1.0);
    for (int64_t at = 0; at < 40; at += 13) {
        float x[40];
        draw(x, 40, 5, 1.0);
        x[at] = NAN;
        CHECK(isnan(k->norm(x, NULL, w, 40, 1e-5, out)));
        x[at] = INFINITY;
        CHECK(!isfinite(k->norm(x, NULL, w, 40, 1e-5, out)));
        x[at] = 1e30f; /* its square is no float, but the sum is a double */
        CHECK(isfinite(k->norm(x, NULL, w, 40, 1e-5, out)));
    }
}

TEST(norm_matches_double_and_reports_what_is_not_finite)
{
    each(norm_is_right);
    each(norm_sees_what_is_not_finite);
}

static void norm_in_place(const eh_simd *k)
{
    float x[100], w[100], out[100];
    draw(x, 100, 6, 1.0);
    draw(w, 100, 7, 1.0);
    k->norm(x, NULL, w, 100, 1e-6, out);
    k->norm(x, NULL, w, 100, 1e-6, x);
    CHECK(memcmp(x, out, sizeof x) == 0);
}

TEST(norm_may_write_over_its_input) /* as for query and key heads */
{
    each(norm_in_place);
}

/* ---- rope, gates, sums -------------------------------------------------------------------------- */

static void rope_turns(const eh_simd *k)
{
    for (int64_t half = 1; half < 70; half++) {
        float x[140], was[140], c[70], s[70];
        draw(x, 2 * half + 2, 8, 1.0);
        memcpy(was, x, sizeof was);
        for (int64_t i = 0; i < half; i++) {
            c[i] = (float)cos(0.37 * (double)(i + 1));
            s[i] = (float)sin(0.37 * (double)(i + 1));
        }
        k->rope(x, c, s, half);
        for (int64_t i = 0; i < half; i++) {
            const double a = (double)was[i], b = (double)was[i + half];
            CHECK_NEAR((double)x[i], a * (double)c[i] - b * (double)s[i], 2 * U * (fabs(a) + fabs(b)));
            CHECK_NEAR((double)x[i + half], b * (double)c[i] + a * (double)s[i], 2 * U * (fabs(a) + fabs(b)));
        }
        CHECK(x[2 * half] == was[2 * half] && x[2 * half + 1] == was[2 * half + 1]); /* the rest stays */
    }
}

TEST(rope_turns_pairs_of_the_two_halves)
{
    each(rope_turns);
}

static double silu(double x)
{
    return x / (1.0 + exp(-x));
}

/* Every gate from -87 to 87 in steps of 1/128: this is the exponential's whole range. */
static void silu_is_right(const eh_simd *k)
{
    enum { n = 2 * 87 * 128 + 1 };
    static float gate[n], up[n], out[n];
    for (int64_t i = 0; i < n; i++) {
        gate[i] = (float)(i - n / 2) / 128.0f;
        up[i] = i % 2 == 0 ? 1.0f : -2.5f;
    }
    k->silu.run(gate, up, n, out);
    for (int64_t i = 0; i < n; i++) {
        const double want = silu((double)gate[i]) * (double)up[i];
        CHECK_NEAR((double)out[i], want, 8 * U * fabs(want)); /* 2 ulp of the exponential, sum, quotient, product */
    }
    const float far_gate[4] = {-200.0f, 200.0f, -1e30f, 0.0f}, one[4] = {1, 1, 1, 1};
    k->silu.run(far_gate, one, 4, out);
    CHECK_NEAR((double)out[0], 0.0, 1e-35);
    CHECK_NEAR((double)out[1], 200.0, 0.0);
    CHECK_NEAR((double)out[2], 0.0, 1e-7); /* e^-x stops growing at e^88.3 */
    CHECK_NEAR((double)out[3], 0.0, 0.0);
}

static void silu_keeps_nan(const eh_simd *k)
{
    for (int64_t at = 0; at < 37; at += 4) {
        float gate[37], up[37], out[37];
        draw(gate, 37, 9, 1.0);
        draw(up, 37, 10, 1.0);
        gate[at] = NAN;
        k->silu.run(gate, up, 37, out);
        for (int64_t i = 0; i < 37; i++)
            CHECK((isnan(out[i]) != 0) == (i == at));
        gate[at] = 1.0f;
        up[at] = NAN;
        k->silu.run(gate, up, 37, out);
        for (int64_t i = 0; i < 37; i++)
            CHECK((isnan(out[i]) != 0) == (i == at));
    }
}

TEST(silu_mul_matches_double_over_the_whole_range)
{
    each(silu_is_right);
    each(silu_keeps_nan);
}

static void adds(const eh_simd *k)
{
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        float x[N_MOST], y[N_MOST], was[N_MOST];
        draw(x, sizes[s], 11, 1.0);
        draw(y, sizes[s], 12, 1.0);
        memcpy(was, x, sizeof was);
        k->add(x, y, sizes[s]);
        for (int64_t i = 0; i < sizes[s]; i++)
            CHECK(x[i] == was[i] + y[i]);
    }
}

TEST(add_adds)
{
    each(adds);
}

/* ---- bfloat16 ---------------------------------------------------------------------------------- */

/* All upper halves, with lower halves on, beside and between the places where rounding turns. */
static void rounds_to_bf16(const eh_simd *k)
{
    static const uint32_t low[] = {0, 1, 0x1234, 0x7FFF, 0x8000, 0x8001, 0xC000, 0xFFFF};
    enum { n_low = sizeof low / sizeof *low };
    static float x[4096 * n_low];
    static uint16_t got[4096 * n_low], want[4096 * n_low];
    for (uint32_t high = 0; high < 65536; high += 4096) {
        for (uint32_t h = 0; h < 4096; h++)
            for (uint32_t l = 0; l < n_low; l++) {
                const uint32_t bits = (high + h) << 16 | low[l];
                memcpy(&x[h * n_low + l], &bits, sizeof bits);
            }
        k->to_bf16(x, 4096 * n_low, got);
        eh_f32_to_bf16(x, 4096 * n_low, want);
        for (int64_t i = 0; i < 4096 * n_low; i++)
            if (got[i] != want[i]) {
                print_error("%s: %a became %04x, wanted %04x\n", k->name, (double)x[i], got[i], want[i]);
                fail();
            }
    }
    const float ties[3] = {1.00390625f, 1.01171875f, -1.00390625f};
    k->to_bf16(ties, 3, got);
    CHECK_INT(got[0], 0x3F80); /* 1 + 2^-8 lies between 1 and 1 + 2^-7: to the even one */
    CHECK_INT(got[1], 0x3F82);
    CHECK_INT(got[2], 0xBF80);
}

TEST(to_bf16_rounds_as_the_tensor_room_does)
{
    each(rounds_to_bf16);
}

/* ---- Log of a sum ------------------------------------------------------------------------------- */

static void lse_is_right(const eh_simd *k)
{
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int spread = 0; spread < 3; spread++) {
            const int64_t n = sizes[s];
            float x[N_MOST];
            draw(x, n, 13 + (uint64_t)spread, spread == 0 ? 0.0 : spread == 1 ? 3.0 : 60.0);
            int64_t want_top = 0, top = -1;
            double sum = 0;
            for (int64_t i = 0; i < n; i++)
                if (x[i] > x[want_top])
                    want_top = i;
            for (int64_t i = 0; i < n; i++)
                sum += exp((double)x[i] - (double)x[want_top]);
            const double got = k->logsumexp(x, n, &top);
            CHECK_NEAR(got, (double)x[want_top] + log(sum), 60 * U); /* x - max rounds: up to 6 U at 100 apart */
            CHECK_INT(top, want_top);
        }
}

static void lse_of_extremes(const eh_simd *k)
{
    int64_t top;
    const float equal[5] = {2, 7, 7, 7, 1}, low[3] = {-INFINITY, 3, -INFINITY}, large[2] = {3e38f, -3e38f};
    CHECK_NEAR(k->logsumexp(equal, 5, &top), 7 + log(3 + exp(-5) + exp(-6)), 4 * U);
    CHECK_INT(top, 1); /* the first of the largest */
    CHECK_NEAR(k->logsumexp(low, 3, &top), 3.0, 0.0);
    CHECK_INT(top, 1);
    CHECK_NEAR(k->logsumexp(large, 2, &top), (double)3e38f, 0.0);
    for (int64_t at = 0; at < 70; at += 3) {
        float x[70];
        draw(x, 70, 17, 1.0);
        x[at] = NAN;
        CHECK(isnan(k->logsumexp(x, 70, &top)));
        CHECK(top >= 0 && top < 70);
    }
}

TEST(logsumexp_matches_double_and_keeps_nan)
{
    each(lse_is_right);
    each(lse_of_extremes);
}

/* ---- Attention's parts ---------------------------------------------------------------------------- */

#define D_MOST 80
#define PANELS 5

static void scores_are_right(const eh_simd *k)
{
    static const int64_t dims[] = {1, 6, 16, 64, 80};
    for (size_t t = 0; t < sizeof dims / sizeof *dims; t++) {
        const int64_t d = dims[t], n_pos = PANELS * EH_ATTN_PANEL;
        float q[EH_ATTN_ROWS * D_MOST], kt[PANELS * EH_ATTN_PANEL * D_MOST], s[EH_ATTN_ROWS * PANELS * EH_ATTN_PANEL];
        float fewer[EH_ATTN_ROWS * PANELS * EH_ATTN_PANEL];
        draw(q, EH_ATTN_ROWS * d, 20, 1.0);
        draw(kt, n_pos * d, 21, 1.0);
        k->scores(q, kt, PANELS, d, s);
        for (int64_t r = 0; r < EH_ATTN_ROWS; r++)
            for (int64_t p = 0; p < n_pos; p++) {
                double want = 0, size = 0;
                const float *key = kt + p / EH_ATTN_PANEL * d * EH_ATTN_PANEL + p % EH_ATTN_PANEL;
                for (int64_t c = 0; c < d; c++) {
                    const double one = (double)q[r * d + c] * (double)key[c * EH_ATTN_PANEL];
                    want += one;
                    size += fabs(one);
                }
                CHECK_NEAR((double)s[r * n_pos + p], want, (double)(d + 1) * U * size);
            }
        /* Fewer panels, and other rows beside it: the same bits. */
        float other[EH_ATTN_ROWS * D_MOST] = {0};
        memcpy(other + 3 * d, q + 3 * d, (size_t)d * sizeof *q);
        k->scores(other, kt, 2, d, fewer);
        CHECK(memcmp(fewer + 3 * 2 * EH_ATTN_PANEL, s + 3 * n_pos, 2 * EH_ATTN_PANEL * sizeof *s) == 0);
    }
}

TEST(scores_match_double_row_by_row)
{
    each(scores_are_right);
}

static void softmax_is_right(const eh_simd *k)
{
    eh_rng r = eh_rng_at(5, "softmax", 0);
    for (int round = 0; round < 300; round++) {
        float s[PANELS * EH_ATTN_PANEL], was[PANELS * EH_ATTN_PANEL];
        const int64_t n = PANELS * EH_ATTN_PANEL;
        const int64_t first = eh_rng_below(&r, n), last = first + eh_rng_below(&r, n - first);
        const float scale = round % 3 == 0 ? 1.0f : round % 3 == 1 ? 0.125f : 0.0883883f;
        draw(s, n, 30 + (uint64_t)round, 10.0);
        s[(first + 1) % n] = 1e9f * (float)(first > 0); /* outside or inside: both must work */
        memcpy(was, s, sizeof was);
        double max = -INFINITY, sum = 0, total = 0;
        for (int64_t i = first; i <= last; i++)
            max = fmax(max, (double)was[i]);
        for (int64_t i = first; i <= last; i++)
            sum += exp(((double)was[i] - max) * (double)scale);
        k->softmax(s, n, first, last, scale);
        for (int64_t i = 0; i < n; i++) {
            if (i < first || i > last) {
                CHECK(s[i] == 0.0f);
                continue;
            }
            /* The argument rounds twice, to relative 2^-24 each; e^x turns that into |x| 2^-24. */
            const double x = ((double)was[i] - max) * (double)scale, want = exp(x) / sum;
            CHECK_NEAR((double)s[i], want, x < -87.0 ? 1e-37 : (2 * fabs(x) + 20) * U * want);
            total += (double)s[i];
        }
        CHECK_NEAR(total, 1.0, 30 * U);
    }
}

/* A row of n scores: the bits do not depend on how much padding lies behind it. */
static void softmax_ignores_padding(const eh_simd *k)
{
    for (int64_t last = 0; last < 2 * EH_ATTN_PANEL; last++) {
        float a[PANELS * EH_ATTN_PANEL], b[PANELS * EH_ATTN_PANEL];
        draw(a, PANELS * EH_ATTN_PANEL, 40, 5.0);
        draw(b, PANELS * EH_ATTN_PANEL, 41, 5.0);
        memcpy(b, a, (size_t)(last + 1) * sizeof *a);
        b[last + 1] = NAN; /* what lies behind is not even looked at */
        k->softmax(a, 2 * EH_ATTN_PANEL, 0, last, 0.125f);
        k->softmax(b, PANELS * EH_ATTN_PANEL, 0, last, 0.125f);
        CHECK(memcmp(a, b, 2 * EH_ATTN_PANEL * sizeof *a) == 0);
        for (int64_t i = last + 1; i < PANELS * EH_ATTN_PANEL; i++)
            CHECK(b[i] == 0.0f);
    }
}

static void softmax_keeps_nan(const eh_simd *k)
{
    for (int64_t at = 0; at < 20; at++) {
        float s[32];
        draw(s, 32, 42, 1.0);
        s[at] = NAN;
        k->softmax(s, 32, 0, 19, 1.0f);
        CHECK(isnan(s[at]));
        CHECK(isnan(s[(at + 1) % 20])); /* and the sum with it */
        CHECK(s[20] == 0.0f);
    }
}

TEST(softmax_matches_double_on_any_stretch)
{
    each(softmax_is_right);
    each(softmax_keeps_nan);
}

TEST(a_softmax_row_has_the_same_bits_whatever_lies_behind_it)
{
    each(softmax_ignores_padding);
}

static void mixes(const eh_simd *k)
{
    static const int64_t dims[] = {16, 32, 80};
    for (size_t t = 0; t < sizeof dims / sizeof *dims; t++) {
        const int64_t d = dims[t], ld = PANELS * EH_ATTN_PANEL;
        float p[EH_ATTN_ROWS * PANELS * EH_ATTN_PANEL], v[PANELS * EH_ATTN_PANEL * D_MOST];
        float out[EH_ATTN_ROWS * D_MOST], longer[EH_ATTN_ROWS * D_MOST];
        draw(p, EH_ATTN_ROWS * ld, 50, 1.0);
        draw(v, ld * d, 51, 1.0);
        const int64_t from = 3, to = 50;
        k->mix(p, ld, v, from, to, d, out);
        for (int64_t r = 0; r < EH_ATTN_ROWS; r++)
            for (int64_t c = 0; c < d; c++) {
                double want = 0, size = 0;
                for (int64_t i = from; i < to; i++) {
                    want += (double)p[r * ld + i] * (double)v[i * d + c];
                    size += fabs((double)p[r * ld + i] * (double)v[i * d + c]);
                }
                CHECK_NEAR((double)out[r * d + c], want, 50 * U * size);
            }
        /* Positions of probability 0 behind the last one change no bit. */
        for (int64_t r = 0; r < EH_ATTN_ROWS; r++)
            for (int64_t i = to; i < ld; i++)
                p[r * ld + i] = 0.0f;
        k->mix(p, ld, v, from, ld, d, longer);
        CHECK(memcmp(out, longer, (size_t)(EH_ATTN_ROWS * d) * sizeof *out) == 0);
    }
}

TEST(mix_matches_double_and_zeros_change_no_bit)
{
    each(mixes);
}
