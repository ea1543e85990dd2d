/*
 * What an edit did to plain text: loss, and the distance from the model before it, token by token.
 *
 *     eh_fluency f = {0};
 *     rc = eh_fluency_open(&f, m, text, err);              m as it is now is what later ones are held against
 *     ... edit m ...
 *     rc = eh_fluency_measure(&f, m, &d, err);
 *     d.perplexity, d.kl_p95
 *     eh_fluency_clear(&f);
 */
#ifndef EH_RUN_FLUENCY_H
#define EH_RUN_FLUENCY_H

#include "base/str.h"
#include "model/session.h"

typedef struct eh_fluency {
    int32_t *tok; /* [n] */
    int64_t n;
    float *logprob; /* [n - 1, n_vocab] of the model it was opened with */
    double perplexity; /* of that model on these tokens */
} eh_fluency;

/* KL(before || now) at each position but the last, nats (docs/methods/perplexity.md). */
typedef struct eh_fluency_change {
    double perplexity;
    double kl_mean, kl_median, kl_p95, kl_p99, kl_max;
    double same_top; /* share of positions whose likeliest token is the same */
} eh_fluency_change;

/* The first tokens of text, as many as 128 MiB of log-probabilities allow, 512 at most.
 * EH_EDOM: the text has fewer than 32 tokens. */
int eh_fluency_open(eh_fluency *f, eh_session *s, eh_str text, eh_err *err);
int eh_fluency_measure(const eh_fluency *f, eh_session *s, eh_fluency_change *out, eh_err *err);
void eh_fluency_clear(eh_fluency *f);

#endif
