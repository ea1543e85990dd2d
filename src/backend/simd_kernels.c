/*
 * The kernels of backend/simd.h, in plain C for the compiler to vectorise. Built once per
 * instruction set (cmake/simd.cmake) with FMA contraction on.
 *
 * Rows never mix: a tail runs the code of a full tile, padded, so that a row's bits do not depend
 * on its neighbours.
 */
#include "backend/simd.h"

#include <math.h>
#include <string.h>

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define QUOTE2(a) #a
#define QUOTE(a) QUOTE2(a)

#define LANES 16
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

static inline lanes load(const float *p)
{
    lanes x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void store(float *p, lanes x)
{
    memcpy(p, &x, sizeof x);
}

/*
 * e^x, within 2 ulp for -87.3 <= x <= 88.3; below it goes to 0, above it stays at e^88.3; NaN stays
 * NaN. x = n ln 2 + r with |r| <= ln(2)/2; e^r by its Taylor polynomial of degree 7 (error below
 * 1e-8 there); 2^n by adding n to the exponent.
 */
static inline float exp_f32(float x)
{
    const float low = -87.3f, high = 88.3f;
    const float c = x < low ? low : x > high ? high : x;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    const float z = c * 1.44269504f + magic;
    const float n = z - magic;
    const float r = (c - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t bits, shift;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&shift, &z, sizeof shift);
    bits += shift << 23;
    memcpy(&p, &bits, sizeof p);
    return x < low ? 0.0f : p;
}

static double norm(float *x, const float *delta, const float *w, int64_t n, double eps, float *out)
{
    double sum = 0.0;
    if (delta != NULL) {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) {
            x[i] += delta[i];
            sum += (double)x[i] * (double)x[i];
        }
    } else {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++)
            sum += (double)x[i] * (double)x[i];
    }
    const float scale = (float)(1.0 / sqrt(sum / (double)n + eps));
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i] * scale * w[i];
    return sum;
}

static double norm_grad(const float *x, const float *w, const float *g, int64_t n, double eps, bool exact, float *dx,
                        float *scale)
{
    double sum = 0.0, s = 0.0;
#pragma omp simd reduction(+ : sum, s)
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
        s += (double)(w[i] * g[i]) * (double)x[i];
    }
    const double r = 1.0 / sqrt(sum / (double)n + eps);
    const float a = (float)r, b = exact ? (float)(r * r * r * s / (double)n) : 0.0f;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        dx[i] = a * (w[i] * g[i]) - b * x[i];
    *scale = a;
    return s;
}

static double layer_norm(float *x, const float *delta, const float *w, const float *b, int64_t n, double eps,
                         float *out)
{
    double sum = 0.0, square = 0.0;
    if (delta != NULL) {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) {
            x[i] += delta[i];
            sum += (double)x[i];
        }
    } else {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++)
            sum += (double)x[i];
    }
    const double mean = sum / (double)n;
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double scale = 1.0 / sqrt(square / (double)n + eps);
    for (int64_t i = 0; i < n; i++) {
        const float h = (float)(((double)x[i] - mean) * scale);
        out[i] = b != NULL ? h * w[i] + b[i] : h * w[i];
    }
    return square;
}

static double layer_norm_grad(const float *x, const float *w, const float *g, int64_t n, double eps, bool exact,
                              float *dx, float *mean, float *scale)
{
    double sum = 0.0, square = 0.0, flat = 0.0, slope = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    const double m = sum / (double)n;
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < n; i++)
        square += ((double)x[i] - m) * ((double)x[i] - m);
    const double r = 1.0 / sqrt(square / (double)n + eps);
#pragma omp simd reduction(+ : flat, slope)
    for (int64_t i = 0; i < n; i++) {
        const double wg = (double)(w[i] * g[i]);
        flat += wg;
        slope += wg * ((double)x[i] - m) * r;
    }
    const double level = flat / (double)n, tilt = exact ? slope / (double)n : 0.0;
    for (int64_t i = 0; i < n; i++)
        dx[i] = (float)(r * ((double)(w[i] * g[i]) - level - ((double)x[i] - m) * r * tilt));
    *mean = (float)m;
    *scale = (float)r;
    return flat + slope;
}

static void rope(float *x, const float *cosine, const float *sine, int64_t n_half)
{
    float *y = x + n_half;
#pragma omp simd
    for (int64_t i = 0; i < n_half; i++) {
        const float a = x[i], b = y[i];
        x[i] = a * cosine[i] - b * sine[i];
        y[i] = b * cosine[i] + a * sine[i];
    }
}

static void rope_grad(float *g, const float *cosine, const float *sine, int64_t n_half)
{
    float *h = g + n_half;
#pragma omp simd
    for (int64_t i = 0; i < n_half; i++) {
        const float a = g[i], b = h[i];
        g[i] = a * cosine[i] + b * sine[i];
        h[i] = b * cosine[i] - a * sine[i];
    }
}

static void rope_pairs(float *x, const float *cosine, const float *sine, int64_t n_half)
{
    for (int64_t i = 0; i < n_half; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosine[i] - b * sine[i];
        x[2 * i + 1] = b * cosine[i] + a * sine[i];
    }
}

static void rope_pairs_grad(float *g, const float *cosine, const float *sine, int64_t n_half)
{
    for (int64_t i = 0; i < n_half; i++) {
        const float a = g[2 * i], b = g[2 * i + 1];
        g[2 * i] = a * cosine[i] + b * sine[i];
        g[2 * i + 1] = b * cosine[i] - a * sine[i];
    }
}

/* ---- Activations: f(x), and its slope beside it ------------------------------------------------------------- */

static inline float silu(float x)
{
    return x / (1.0f + exp_f32(-x));
}

static inline float silu_slope(float x, bool exact, float *f)
{
    const float s = 1.0f / (1.0f + exp_f32(-x));
    *f = x * s;
    return exact ? s + *f * (1.0f - s) : *f / (x + 1e-10f);
}

static inline float gelu(float x)
{
    return 0.5f * x * erfcf(-0.707106781f * x);
}

static inline float gelu_slope(float x, bool exact, float *f)
{
    const float phi = 0.5f * erfcf(-0.707106781f * x);
    *f = x * phi;
    return exact ? phi + x * 0.398942280f * exp_f32(-0.5f * x * x) : *f / (x + 1e-10f);
}

static inline float gelu_tanh(float x)
{
    return x / (1.0f + exp_f32(-1.595769122f * (x + 0.044715f * x * x * x)));
}

static inline float gelu_tanh_slope(float x, bool exact, float *f)
{
    const float s = 1.0f / (1.0f + exp_f32(-1.595769122f * (x + 0.044715f * x * x * x)));
    *f = x * s;
    return exact ? s + *f * (1.0f - s) * 1.595769122f * (1.0f + 0.134145f * x * x) : *f / (x + 1e-10f);
}

static inline float relu(float x)
{
    return x < 0.0f ? 0.0f : x; /* NaN stays */
}

static inline float relu_slope(float x, bool exact, float *f)
{
    *f = relu(x);
    return exact ? (x > 0.0f ? 1.0f : x <= 0.0f ? 0.0f : x) : *f / (x + 1e-10f);
}

#define ACTIVATION(f)                                                                                          \
    static void f##_run(const float *x, const float *up, int64_t n, float *out)                                \
    {                                                                                                          \
        if (up == NULL) {                                                                                      \
            _Pragma("omp simd") for (int64_t i = 0; i < n; i++) out[i] = f(x[i]);                              \
            return;                                                                                            \
        }                                                                                                      \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) out[i] = f(x[i]) * up[i];                          \
    }                                                                                                          \
    static void f##_grad(const float *x, const float *up, const float *g, int64_t n, bool exact, float x_share, \
                         float up_share, float *dx, float *dup)                                                \
    {                                                                                                          \
        float y;                                                                                               \
        if (up == NULL) {                                                                                      \
            _Pragma("omp simd private(y)") for (int64_t i = 0; i < n; i++) dx[i] =                             \
                g[i] * f##_slope(x[i], exact, &y);                                                             \
            return;                                                                                            \
        }                                                                                                      \
        _Pragma("omp simd private(y)") for (int64_t i = 0; i < n; i++)                                         \
        {                                                                                                      \
            const float slope = f##_slope(x[i], exact, &y), gi = g[i], ui = up[i];                             \
            dx[i] = x_share * (gi * ui * slope);                                                               \
            dup[i] = up_share * (gi * y);                                                                      \
        }                                                                                                      \
    }

ACTIVATION(silu)
ACTIVATION(gelu)
ACTIVATION(gelu_tanh)
ACTIVATION(relu)

static void exp_minus(float *x, int64_t n, float shift, float factor)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] = factor * exp_f32(x[i] - shift);
}

static void add(float *x, const float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] += y[i];
}

static void to_bf16(const float *x, int64_t n, uint16_t *out)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        const uint32_t rounded = bits + 0x7FFFu + (bits >> 16 & 1u);
        const uint32_t quiet = bits | 0x400000u; /* a NaN must not round to infinity */
        out[i] = (uint16_t)((x[i] == x[i] ? rounded : quiet) >> 16);
    }
}

static double logsumexp(const float *x, int64_t n, int64_t *top)
{
    float max = x[0];
#pragma omp simd reduction(max : max)
    for (int64_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)exp_f32(x[i] - max);
    int64_t at = 0;
    while (at < n - 1 && x[at] != max)
        at++;
    *top = at;
    return (double)max + log(sum);
}

static void scores(const float *q, const float *kt, int64_t n_panel, int64_t d_head, float *s)
{
    const int64_t ld = n_panel * EH_ATTN_PANEL;
    for (int64_t p = 0; p < n_panel; p++) {
        const float *k = kt + p * d_head * EH_ATTN_PANEL;
        lanes a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, a4 = {0}, a5 = {0}, a6 = {0}, a7 = {0};
        for (int64_t c = 0; c < d_head; c++) {
            const lanes kc = load(k + c * EH_ATTN_PANEL);
            const float *qc = q + c;
            a0 += qc[0] * kc;
            a1 += qc[d_head] * kc;
            a2 += qc[2 * d_head] * kc;
            a3 += qc[3 * d_head] * kc;
            a4 += qc[4 * d_head] * kc;
            a5 += qc[5 * d_head] * kc;
            a6 += qc[6 * d_head] * kc;
            a7 += qc[7 * d_head] * kc;
        }
        float *out = s + p * EH_ATTN_PANEL;
        store(out, a0);
        store(out + ld, a1);
        store(out + 2 * ld, a2);
        store(out + 3 * ld, a3);
        store(out + 4 * ld, a4);
        store(out + 5 * ld, a5);
        store(out + 6 * ld, a6);
        store(out + 7 * ld, a7);
    }
}

static void softmax(float *s, int64_t n, int64_t first, int64_t last, float scale)
{
    float max = s[first];
#pragma omp simd reduction(max : max)
    for (int64_t i = first; i <= last; i++)
        max = s[i] > max ? s[i] : max;
    for (int64_t i = 0; i < first; i++)
        s[i] = 0.0f;
    for (int64_t i = last + 1; i < n; i++)
        s[i] = 0.0f;
    /* Whole panels, so that a position always meets the same lane of the sum; what lies outside
     * first..last adds an exact 0. */
    const int64_t from = first / EH_ATTN_PANEL * EH_ATTN_PANEL;
    float part[EH_ATTN_PANEL] = {0};
    for (int64_t i = from; i <= last; i += EH_ATTN_PANEL) {
#pragma omp simd
        for (int64_t j = 0; j < EH_ATTN_PANEL; j++) {
            const float e = exp_f32((s[i + j] - max) * scale);
            const float kept = i + j >= first && i + j <= last ? e : 0.0f;
            s[i + j] = kept;
            part[j] += kept;
        }
    }
    float sum = 0.0f;
    for (int j = 0; j < EH_ATTN_PANEL; j++)
        sum += part[j];
    const float inverse = 1.0f / sum;
#pragma omp simd
    for (int64_t i = first; i <= last; i++)
        s[i] *= inverse;
}

/* tanh, within 1e-6 of the value: near 0 its series, else from e^2x. */
static inline float tanh_f32(float x)
{
    const float a = x < 0.0f ? -x : x, y = x * x;
    const float near = x * (1.0f + y * (-0.333333333f + y * (0.133333333f + y * -0.0539682540f)));
    const float far = 1.0f - 2.0f / (1.0f + exp_f32(2.0f * a));
    return a < 0.15f ? near : x < 0.0f ? -far : far;
}

static void softcap(float *s, int64_t n, float scale, float cap, bool exact, float *slope)
{
    const float factor = scale / cap;
    if (slope == NULL) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            s[i] = cap * tanh_f32(factor * s[i]);
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float u = factor * s[i], t = tanh_f32(u);
        slope[i] = scale * (exact ? 1.0f - t * t : t / (u + 1e-10f));
        s[i] = cap * t;
    }
}

static void softmax_grad(const float *p, float *dp, int64_t n, float scale)
{
    double mean = 0.0;
#pragma omp simd reduction(+ : mean)
    for (int64_t i = 0; i < n; i++)
        mean += (double)(p[i] * dp[i]);
    const float m = (float)mean;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        dp[i] = scale * (p[i] * (dp[i] - m));
}

static void mix(const float *p, int64_t ld, const float *v, int64_t from, int64_t to, int64_t d_pad, float *out)
{
    for (int64_t c = 0; c < d_pad; c += LANES) {
        lanes a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, a4 = {0}, a5 = {0}, a6 = {0}, a7 = {0};
        for (int64_t i = from; i < to; i++) {
            const lanes vi = load(v + i * d_pad + c);
            const float *pi = p + i;
            a0 += pi[0] * vi;
            a1 += pi[ld] * vi;
            a2 += pi[2 * ld] * vi;
            a3 += pi[3 * ld] * vi;
            a4 += pi[4 * ld] * vi;
            a5 += pi[5 * ld] * vi;
            a6 += pi[6 * ld] * vi;
            a7 += pi[7 * ld] * vi;
        }
        store(out + c, a0);
        store(out + d_pad + c, a1);
        store(out + 2 * d_pad + c, a2);
        store(out + 3 * d_pad + c, a3);
        store(out + 4 * d_pad + c, a4);
        store(out + 5 * d_pad + c, a5);
        store(out + 6 * d_pad + c, a6);
        store(out + 7 * d_pad + c, a7);
    }
}

static void spread(const float *p, int64_t ld, const float *x, int64_t n, int64_t d_pad, float *out)
{
    for (int64_t c = 0; c < d_pad; c += LANES) {
        const float *xc = x + c;
        const lanes x0 = load(xc), x1 = load(xc + d_pad), x2 = load(xc + 2 * d_pad), x3 = load(xc + 3 * d_pad);
        const lanes x4 = load(xc + 4 * d_pad), x5 = load(xc + 5 * d_pad), x6 = load(xc + 6 * d_pad);
        const lanes x7 = load(xc + 7 * d_pad);
        for (int64_t i = 0; i < n; i++) {
            const float *pi = p + i;
            lanes a = load(out + i * d_pad + c);
            a += pi[0] * x0;
            a += pi[ld] * x1;
            a += pi[2 * ld] * x2;
            a += pi[3 * ld] * x3;
            a += pi[4 * ld] * x4;
            a += pi[5 * ld] * x5;
            a += pi[6 * ld] * x6;
            a += pi[7 * ld] * x7;
            store(out + i * d_pad + c, a);
        }
    }
}

extern const eh_simd PASTE(eh_simd_, EH_SIMD_NAME);
const eh_simd PASTE(eh_simd_, EH_SIMD_NAME) = {
    .name = QUOTE(EH_SIMD_NAME),
    .norm = norm,
    .norm_grad = norm_grad,
    .layer_norm = layer_norm,
    .layer_norm_grad = layer_norm_grad,
    .rope = rope,
    .rope_grad = rope_grad,
    .rope_pairs = rope_pairs,
    .rope_pairs_grad = rope_pairs_grad,
    .silu = {silu_run, silu_grad},
    .gelu = {gelu_run, gelu_grad},
    .gelu_tanh = {gelu_tanh_run, gelu_tanh_grad},
    .relu = {relu_run, relu_grad},
    .exp_minus = exp_minus,
    .add = add,
    .to_bf16 = to_bf16,
    .logsumexp = logsumexp,
    .scores = scores,
    .softmax = softmax,
    .softcap = softcap,
    .softmax_grad = softmax_grad,
    .mix = mix,
    .spread = spread,
};
