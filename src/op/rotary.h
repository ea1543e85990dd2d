/*
 * Queries and keys on their way to attention: norms of their own, where a family has them, then rotary positions.
 *
 *     halves  channels (i, i + n/2) of a head turn by pos * freq_i
 *     pairs   channels (2i, 2i + 1) do; RoFormer, Su et al. 2021 (arXiv 2104.09864), eq. 34
 *
 * A rotation is linear: back it turns the other way by every rule. Norms go back as in op/norm.h.
 */
#ifndef EH_OP_ROTARY_H
#define EH_OP_ROTARY_H

#include "op/norm.h"

typedef struct eh_rotary {
    const eh_simd *simd;
    int n_thread;
    int64_t n_head, n_kv, d_head; /* a row of qk: n_head queries, then n_kv keys; */
    int64_t ld;                   /* rows are ld floats apart */
    bool pairs;
    int64_t n_half;               /* channel pairs of a head that turn */
    const float *cosine, *sine;   /* [positions, n_half]; NULL: nothing turns */
    const int32_t *pos;           /* [n_row] */
    /* NULL: no norms. Their n: d_head, each head by itself; or that of all queries, all keys, of a row. */
    const eh_norm_op *q, *k;
} eh_rotary;

/* In place; queries and keys as they were before their norms go to raw [n_row, n_head + n_kv, d_head] (NULL:
 * nowhere). */
void eh_rotary_run(const eh_rotary *o, float *qk, int64_t n_row, float *raw);

typedef struct eh_rotary_grad {
    float *g;           /* rows of ld floats: d/d(turned), then d/d(input) */
    const float *raw;   /* what the norms were given; NULL without norms */
    float *dwq, *dwk;   /* [q->n], [k->n] added to; NULL: not wanted */
    float *room;        /* [n_thread, q->n + k->n] with norms */
    double *part;       /* [row blocks, q->n + k->n] where dwq or dwk is wanted */
} eh_rotary_grad;

void eh_rotary_back(const eh_rotary *o, const eh_rule_set *r, int64_t n_row, const eh_rotary_grad *to);

#endif
