/*
 * Choosing the next token from logits.
 *
 *     eh_sampler s = {.o = &sampling, .n = n_vocab, .p = p, .heap = heap};
 *     id = eh_sampler_draw(&s, logits, eh_rng_double(&rng));
 */
#ifndef EH_MODEL_SAMPLING_H
#define EH_MODEL_SAMPLING_H

#include <stdint.h>

#include "evenhand/score.h"

typedef struct eh_sampler {
    const eh_sampling *o; /* temperature above 0, top_k, top_p */
    int64_t n;            /* tokens there are */
    double *p;            /* [n] room */
    int32_t *heap;        /* [n] room */
} eh_sampler;

/*
 * Draws from softmax(logits / temperature), cut to the top_k likeliest and then to the fewest of those whose
 * probabilities sum to top_p (nucleus sampling, Holtzman et al. 2020, arXiv 1904.09751; the one that crosses the line
 * is kept). Of equals the smaller id is the likelier.
 *
 * in   logits [n] finite, u in [0, 1)
 */
int32_t eh_sampler_draw(const eh_sampler *s, const float *logits, double u);

#endif
