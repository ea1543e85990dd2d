/*
 * evenhand/text.h - text to tokens and back, and requests made of them (band 1: open and ask)
 *
 *     rc = eh_encode_pair(m, "The sky is", 10, " blue", 5, &id, &n, &from, &err);
 *     const eh_request r = {.tok = id, .n_tok = n, .from = from};
 *     eh_release(id);
 */
#ifndef EVENHAND_TEXT_H
#define EVENHAND_TEXT_H

#include "evenhand/model.h"

/* ---- Requests: tokens, and what to score of them ------------------------------------------- */

typedef struct eh_request {
    const int32_t *tok;  /* [n_tok], n_tok >= 1 */
    int64_t n_tok;
    int64_t from;        /* scores log p(tok[i] | tok[0..i-1]) for i in from..n_tok-1; 1 <= from <= n_tok */
    const int32_t *cand; /* [n_cand] candidates for the token after the last */
    int64_t n_cand;
} eh_request;

typedef struct eh_answer {
    float *token_logprob; /* [n_tok - from], nats; the caller's room */
    float *cand_logprob;  /* [n_cand], nats; the caller's room */
    bool is_greedy;       /* every scored token was the likeliest of the vocabulary */
} eh_answer;

/* ---- Tokens -------------------------------------------------------------------------------- */

/* All text is UTF-8 with its length; arrays that come back are the caller's to eh_release. */
enum {
    EH_TEXT_SPECIAL = 1, /* special tokens written in the text are recognised */
    EH_TEXT_DEFAULT = 2  /* with the model's own BOS/EOS policy */
};
EH_API int eh_tokenize(const eh_model *m, const char *text, int64_t n, unsigned flags, int32_t **id, int64_t *n_id,
                       eh_err *err);
EH_API int eh_detokenize(const eh_model *m, const int32_t *id, int64_t n, bool skip_special, char **text,
                         int64_t *n_text, eh_err *err);
/* Context and continuation by the rule of lm-evaluation-harness: trailing blanks of the context
 * move to the continuation, both are encoded together and cut at the length of the context encoded
 * alone; an empty context becomes BOS (EOS if there is none). Too long: cut on the left.
 * The request's arrays are one allocation that *id points to. */
EH_API int eh_encode_pair(const eh_model *m, const char *context, int64_t n_context, const char *continuation,
                          int64_t n_continuation, int32_t **id, int64_t *n_id, int64_t *from, eh_err *err);

#endif
