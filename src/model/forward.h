/*
 * The forward pass, layer by layer for a whole batch, and the output head.
 *
 *     float *x;                                  [n_tok, d_model]
 *     rc = eh_forward(m, &batch, NULL, observer, n, x, err);
 *     rc = eh_head_run(m, x, batch.n_ask, see_logits, &ctx, err);
 *
 * K and V live for one layer, unless a cache is given (generation).
 */
#ifndef EH_MODEL_FORWARD_H
#define EH_MODEL_FORWARD_H

#include "model/batch.h"
#include "model/cache.h"
#include "model/session.h"

/* The residual stream after the last layer, of the rows in b->ask, into the first n_ask rows of
 * x [n_tok, d_model]. Scratch comes from m->scratch. */
int eh_forward(eh_session *s, const eh_batch *b, eh_cache *cache, const eh_observer *observer, int n_observer, float *x,
               eh_err *err);

/* One piece of logits: rows first..first+n_row-1 of those asked for, vocabulary from..from+n-1.
 * logits [n_row, n] may be overwritten. Called in ascending order of `from`, and of `first` within it. */
typedef void eh_logits_see(void *ctx, int64_t first, int64_t n_row, int64_t from, int64_t n, float *logits);

/* Final norm and output head for x [n_ask, d_model]. */
int eh_head_run(eh_session *s, const float *x, int64_t n_ask, eh_logits_see *see, void *ctx, eh_err *err);
/* The same, whole: out [n_ask, n_vocab]. */
int eh_head_copy(eh_session *s, const float *x, int64_t n_ask, float *out, eh_err *err);

/* eh_logits, of the tokens from `first` on: out [n_tok - first, n_vocab], 0 <= first < n_tok. */
int eh_logits_from(eh_session *s, const int32_t *tok, int64_t n_tok, int64_t first, float *out, eh_err *err);

/* Log-softmax over a vocabulary that comes in slices: adds logits [n] of tokens from..from+n-1, from = 0 first. */
typedef struct eh_softmax_row {
    double lse;   /* log of the sum of exp(logit) so far */
    float best;   /* largest logit so far */
    int32_t top;  /* its token, the first of equals */
} eh_softmax_row;
void eh_softmax_add(const eh_simd *simd, const float *logits, int64_t from, int64_t n, eh_softmax_row *row);

#endif
