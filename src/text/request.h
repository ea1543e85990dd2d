/*
 * The request: tokens, and what to score of them. The one type that tasks and the engine share.
 *
 * Tasks compile their items into requests and know nothing of models; the engine answers requests
 * and knows nothing of tasks. What is answered for a request depends on its tokens alone.
 */
#ifndef EH_TEXT_REQUEST_H
#define EH_TEXT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

typedef struct eh_request {
    const int32_t *tok;  /* [n_tok], n_tok >= 1 */
    int64_t n_tok;
    int64_t from;        /* scores log p(tok[i] | tok[0..i-1]) for i in from..n_tok-1; 1 <= from <= n_tok */
    const int32_t *cand; /* [n_cand] candidates for the token after the last; their log-probabilities */
    int64_t n_cand;
} eh_request;

typedef struct eh_answer {
    float *token_logprob; /* [n_tok - from], nats; the caller's room */
    float *cand_logprob;  /* [n_cand], nats; the caller's room */
    bool is_greedy;       /* every scored token was the likeliest of the vocabulary */
} eh_answer;

#endif
