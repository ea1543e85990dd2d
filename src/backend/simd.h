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

typedef struct eh_simd {
    const char *name;

    /* x[n] += delta[n] (unless NULL); out[n] = x / sqrt(mean(x^2) + eps) * w.
     * Returns the sum of squares: not finite when any x is not.
     * Source: RMSNorm, Zhang and Sennrich 2019, eq. 4. */
    double (*norm)(float *x, const float *delta, const float *w, int64_t n, double eps, float *out);

    /* dx[n] (may be g) from g[n] = d/d out; *scale = r = 1 / sqrt(mean(x^2) + eps). Returns S: not finite
     * when any g is not.
     *     exact:  dx_i = r w_i g_i - x_i r^3 / n * S,  S = sum_j w_j g_j x_j
     *     else:   dx_i = r w_i g_i, r held constant (AttnLRP, Achtibat et al. 2024, eq. 12) */
    double (*norm_grad)(const float *x, const float *w, const float *g, int64_t n, double eps, bool exact, float *dx,
                        float *scale);

    /* Rotary embedding of one head's first 2 * n_half channels, in place, pairs (i, i + n_half).
     * cosine, sine [n_half]. Source: RoFormer, Su et al. 2021, eq. 34, in the half-split order. */
    void (*rope)(float *x, const float *cosine, const float *sine, int64_t n_half);

    /* Its gradient in place, the turn backwards; a rotation is linear, so all rules agree. */
    void (*rope_grad)(float *g, const float *cosine, const float *sine, int64_t n_half);

    /* out[n] = gate * sigmoid(gate) * up. */
    void (*silu_mul)(const float *gate, const float *up, int64_t n, float *out);

    /* dgate[n], dup[n] from g[n] = d/d out, with f = gate * s, s = sigmoid(gate), and the shares that the
     * rule for a product gives its factors (both 1: the gradient):
     *     dgate = gate_share * g * up * f',  f' = s + f (1 - s), or f / (gate + 1e-10) if not exact
     *     dup = up_share * g * f
     * Source: Arras et al. 2025 (arXiv 2502.15886), section 3. */
    void (*silu_mul_grad)(const float *gate, const float *up, const float *g, int64_t n, bool exact, float gate_share,
                          float up_share, float *dgate, float *dup);

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
