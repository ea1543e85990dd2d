/*
 * Attention over a forest of token trees.
 *
 * Tokens lie in depth-first order. A segment is a stretch of tokens each of which is the child of the
 * one before it; where a tree branches, a new segment begins and names its parent. A token's position
 * is its depth, and it attends to itself and its ancestors only:
 *
 *     tokens   The cat sat | down . | on the mat        parent of "on" = "sat" = parent of "down"
 *     row       0   1   2     3   4    5  6   7
 *     depth     0   1   2     3   4    3  4   5
 *
 * A segment may also continue a cached sequence (generation): then its ancestors are the cache's
 * positions 0..depth-1.
 *
 * Sums run over absolute positions in ascending order, in fixed tiles, so that a token's result has
 * the same bits wherever its ancestors lie (docs/numerics.md).
 */
#ifndef EH_OP_ATTENTION_H
#define EH_OP_ATTENTION_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "backend/simd.h"

typedef struct eh_segment {
    int64_t first;  /* row of its first token */
    int64_t n;      /* tokens */
    int64_t depth;  /* position of its first token */
    int64_t parent; /* row of the token before its first; -1: none in this batch */
    int64_t cache;  /* which cached sequence comes before it; -1: none. Then parent is -1 */
} eh_segment;

/* What a token attends to. */
typedef enum eh_mask {
    EH_MASK_ANCESTORS, /* itself and what comes before it on its path */
    EH_MASK_ALL        /* every token of its segment, which has no parent and no cache */
} eh_mask;

/* Called for each (token, head) by the thread that computed it: p [n_pos] are the attention
 * probabilities by position; row [n_pos] the batch's row of each position (-1: in the cache). */
typedef void eh_attention_see(void *ctx, int worker, int64_t tok, int64_t head, const float *p, int64_t n_pos,
                              const int64_t *row);

typedef struct eh_attention {
    const eh_simd *simd;
    int64_t n_head, n_kv, d_head; /* query heads; key/value heads; channels of a head */
    float scale;                  /* of the dot products */
    float softcap;                /* scores become cap * tanh(score / cap) before the softmax; 0: no */
    eh_mask mask;
    int64_t window;               /* a token sees itself and the window - 1 before it; 0: all. Of ancestors only */

    int64_t n_segment;
    const eh_segment *segment;       /* [n_segment], in the order of their rows */
    const int32_t *segment_of;   /* [n_tok] */
    int64_t n_tok;
    const float *q, *k, *v;  /* rows of ld floats; q [n_head * d_head], k and v [n_kv * d_head] used */
    int64_t ld;
    const float *const *cache_k; /* [n sequences] each [positions, n_kv * d_head]; or NULL */
    const float *const *cache_v;
    float *out; /* [n_tok, n_head * d_head] */

    eh_attention_see *see; /* or NULL */
    void *see_ctx;
} eh_attention;

/* Runs it on n_thread threads with scratch from `arena` (rewound before returning). EH_EINVAL: EH_MASK_ALL with a
 * window, or over a segment that has a parent or a cache. */
int eh_attention_run(const eh_attention *a, int n_thread, eh_arena *arena, eh_err *err);

/*
 * What goes back through it. With P = softmax(scale * Q K^T), A = P V and dA = d/dA, for one head:
 *
 *     dV = P^T dA        dP = dA V^T        dS_ij = scale * P_ij (dP_ij - sum_k P_ik dP_ik)
 *     dQ = dS K          dK = dS^T Q        summed over the query heads that share a key/value head
 *
 * The relevance rules are factors on these (AttnLRP, Achtibat et al. 2024, in the gradient form of
 * Arras et al. 2025): of a product of two, each factor gets half, so V 1/2, and Q and K, which come
 * through both products, 1/4; CP-LRP (Ali et al. 2022) holds P constant: Q and K get 0, V all.
 *
 * A segment is a sequence of its own, or branches off one that is: its parent is in a segment without a parent, and
 * what comes back to its ancestors is added to theirs. No cache; `out` and `see` of the forward pass are
 * not used. Scratch: 2 * n_tok * n_head * d_head floats, and for each thread what grows
 * with the deepest position alone.
 */
typedef struct eh_attention_grad {
    const float *d_out;       /* [n_tok, n_head * d_head] */
    float qk_share, v_share;  /* both 1: the gradient */
    bool exact_cap;           /* the cap's slope; else its identity rule (backend/simd.h, softcap) */
    float *dq, *dk, *dv;      /* rows of the forward's ld floats, as q, k and v; overwritten */
} eh_attention_grad;

int eh_attention_back(const eh_attention *a, const eh_attention_grad *g, int n_thread, eh_arena *arena, eh_err *err);

#endif
