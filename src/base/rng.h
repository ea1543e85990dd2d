/*
 * Random streams: Philox4x32-10 (Salmon et al., SC 2011), by Random123.
 *
 *     eh_rng r = eh_rng_at(seed, "bootstrap", b);
 *     int64_t i = eh_rng_below(&r, n);
 *
 * A stream is a function of (seed, purpose, index) alone: which thread draws it, and what was
 * drawn before, changes nothing.
 */
#ifndef EH_BASE_RNG_H
#define EH_BASE_RNG_H

#include <stdint.h>

typedef struct eh_rng {
    uint32_t key[2];
    uint32_t counter[4]; /* draw number, purpose, index low, index high */
    uint32_t out[4];
    int left; /* numbers of `out` not yet handed out */
} eh_rng;

eh_rng eh_rng_at(uint64_t seed, const char *purpose, uint64_t index);
uint32_t eh_rng_u32(eh_rng *r);
uint64_t eh_rng_u64(eh_rng *r);
double eh_rng_double(eh_rng *r);               /* uniform in [0, 1), 53 bits */
int64_t eh_rng_below(eh_rng *r, int64_t n);    /* uniform in 0..n-1, without bias; n >= 1 */
double eh_rng_normal(eh_rng *r);               /* mean 0, variance 1 */
void eh_rng_shuffle(eh_rng *r, int64_t *x, int64_t n);

#endif
