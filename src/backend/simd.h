/*
 * The kernels around the products: norms, rotary, gates, softmax, tree attention.
 *
 *     const eh_simd *k = eh_simd_get();        the best this machine can run, chosen once
 *     k->norm(x, delta, w, d, eps, out);
 *
 * simd_kernels.c is compiled once per instruction set; this table is one compilation of it. Each
 * function works on one row (or one block of 8 query rows) and its result depends on that row
 * alone: that is what makes f32 scoring batch-invariant (docs/numerics.md).
 */
#ifndef EH_BACKEND_SIMD_H
#define EH_BACKEND_SIMD_H

#include <stdbool.h>
#include <stdint.h>

#define EH_ATTN_ROWS 8   /* query rows that attention works on at once */
#define EH_ATTN_PANEL 16 /* positions in a panel of keys */

/* An activation f, and what its gated or plain MLP makes of it. */
typedef struct eh_simd_activation {
    /* out[n] = f(x) * up, or f(x) where up is NULL. */
    void (*run)(const float *x, const float *up, int64_t n, float *out);

    /* dx[n], dup[n] from g[n] = d/d out, with the shares that the rule for a product gives its factors (both 1: the
     * gradient); where up is NULL, dx = g * f' and dup is not written.
     *     dx = x_share * g * up * f',  f' or, if not exact, f(x) / (x + 1e-10)
     *     dup = up_share * g * f
     * Source: Arras et al. 2025 (arXiv 2502.15886), section 3. */
    void (*grad)(const float *x, const float *up, const float *g, int64_t n, bool exact, float x_share, float up_share,
                 float *dx, float *dup);
} eh_simd_activation;

typedef struct eh_simd {
    const char *name;

    /* x[n] += delta[n] (unless NULL); out[n] = x / sqrt(mean(x^2) + eps) * w.
     * Returns the sum of squares: not finite when any x is not. out may be x.
     * Source: RMSNorm, Zhang and Sennrich 2019, eq. 4. */
    double (*norm)(float *x, const float *delta, const float *w, int64_t n, double eps, float *out);

    /* dx[n] (may be g) from g[n] = d/d out; *scale = r = 1 / sqrt(mean(x^2) + eps). Returns S: not finite
     * when any g is not.
     *     exact:  dx_i = r w_i g_i - x_i r^3 / n * S,  S = sum_j w_j g_j x_j
     *     else:   dx_i = r w_i g_i, r held constant (AttnLRP, Achtibat et al. 2024, eq. 12) */
    double (*norm_grad)(const float *x, const float *w, const float *g, int64_t n, double eps, bool exact, float *dx,
                        float *scale);

    /* x[n] += delta[n] (unless NULL); out[n] = (x - mean(x)) / sqrt(var(x) + eps) * w + b (b NULL: none). Returns the
     * sum of squares about the mean: not finite when any x is not. out may be x.
     * Source: Layer Normalization, Ba, Kiros and Hinton 2016, eq. 4. */
    double (*layer_norm)(float *x, const float *delta, const float *w, const float *b, int64_t n, double eps,
                         float *out);

    /* dx[n] (may be g) from g[n] = d/d out; *mean, and *scale = r = 1 / sqrt(var(x) + eps). With h_i = (x_i - mean) r:
     *     exact:  dx_i = r (w_i g_i - mean(w g) - h_i mean(w g h))
     *     else:   dx_i = r (w_i g_i - mean(w g)), r held constant, the mean is not (as LXT's AttnLRP)
     * Returns what is not finite when any g is not. */
    double (*layer_norm_grad)(const float *x, const float *w, const float *g, int64_t n, double eps, bool exact,
                              float *dx, float *mean, float *scale);

    /* Rotary embedding of one head's first 2 * n_half channels, in place, pairs (i, i + n_half).
     * cosine, sine [n_half]. Source: RoFormer, Su et al. 2021, eq. 34, in the half-split order. */
    void (*rope)(float *x, const float *cosine, const float *sine, int64_t n_half);

    /* Its gradient in place, the turn backwards; a rotation is linear, so all rules agree. */
    void (*rope_grad)(float *g, const float *cosine, const float *sine, int64_t n_half);

    /* The same with pairs (2i, 2i + 1): RoFormer's own order. */
    void (*rope_pairs)(float *x, const float *cosine, const float *sine, int64_t n_half);
    void (*rope_pairs_grad)(float *g, const float *cosine, const float *sine, int64_t n_half);

    /* Activations: silu x sigmoid(x); gelu x Phi(x); gelu_tanh x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), which is the
     * form with tanh; relu max(0, x). Sources: Hendrycks and Gimpel 2016; Elfwing et al. 2018. */
    eh_simd_activation silu, gelu, gelu_tanh, relu;

    /* x[n] = factor * exp(x[n] - shift) */
    void (*exp_minus)(float *x, int64_t n, float shift, float factor);

    /* x[n] += y[n] */
    void (*add)(float *x, const float *y, int64_t n);

    /* To bfloat16, nearest even; NaN stays NaN. */
    void (*to_bf16)(const float *x, int64_t n, uint16_t *out);

    /* log(sum(exp(x[n]))), nats; the sum is kept in double in an order fixed by n. NaN if any x is
     * NaN. *top: index of the (first) largest. */
    double (*logsumexp)(const float *x, int64_t n, int64_t *top);

    /* One block of EH_ATTN_ROWS query rows against panels of keys.
     * q [EH_ATTN_ROWS, d_head]; kt [n_panel, d_head, EH_ATTN_PANEL];
     * out: s [EH_ATTN_ROWS, n_panel * EH_ATTN_PANEL] dot products, unscaled. */
    void (*scores)(const float *q, const float *kt, int64_t n_panel, int64_t d_head, float *s);

    /* Softmax of scale * s over positions first..last (inclusive) of one row of n scores; all other
     * positions become 0. Sums run over fixed tiles of absolute position. */
    void (*softmax)(float *s, int64_t n, int64_t first, int64_t last, float scale);

    /* s[n] = cap * tanh(u), u = scale * s / cap. With slope [n] (not NULL) also d/d s:
     *     exact: scale * (1 - tanh(u)^2);  else the identity rule, scale * tanh(u) / (u + 1e-10)
     * Source: Gemma 2, arXiv 2408.00118, section 2. */
    void (*softcap)(float *s, int64_t n, float scale, float cap, bool exact, float *slope);

    /* dp[n] in place, from d/d p to d/d (unscaled score), for p = softmax(scale * s):
     *     ds_i = scale * p_i (dp_i - sum_j p_j dp_j) */
    void (*softmax_grad)(const float *p, float *dp, int64_t n, float scale);

    /* out [EH_ATTN_ROWS, d_pad] = p [EH_ATTN_ROWS, ld] over positions from..to-1 times v [to, d_pad];
     * d_pad is a multiple of 16. Positions are added in ascending order. */
    void (*mix)(const float *p, int64_t ld, const float *v, int64_t from, int64_t to, int64_t d_pad, float *out);

    /* The transpose of mix: out [n, d_pad] += p [EH_ATTN_ROWS, ld]^T over positions 0..n-1 times
     * x [EH_ATTN_ROWS, d_pad]. */
    void (*spread)(const float *p, int64_t ld, const float *x, int64_t n, int64_t d_pad, float *out);
} eh_simd;

const eh_simd *eh_simd_get(void);
/* By name ("generic", "avx2", "avx512"), for tests; NULL when not built or not runnable here. */
const eh_simd *eh_simd_named(const char *name);

#endif
