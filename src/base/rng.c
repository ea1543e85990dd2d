#include "base/rng.h"

#include <Random123/philox.h>
#include <math.h>

/* FNV-1a, so that a purpose can be a word. */
static uint32_t word_hash(const char *s)
{
    uint32_t h = 2166136261u;
    for (; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

eh_rng eh_rng_at(uint64_t seed, const char *purpose, uint64_t index)
{
    return (eh_rng){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, word_hash(purpose), (uint32_t)index, (uint32_t)(index >> 32)},
    };
}

uint32_t eh_rng_u32(eh_rng *r)
{
    if (r->left == 0) {
        const philox4x32_ctr_t c = {{r->counter[0], r->counter[1], r->counter[2], r->counter[3]}};
        const philox4x32_key_t k = {{r->key[0], r->key[1]}};
        const philox4x32_ctr_t x = philox4x32(c, k);
        for (int i = 0; i < 4; i++)
            r->out[i] = x.v[i];
        r->counter[0]++;
        r->left = 4;
    }
    return r->out[4 - r->left--];
}

uint64_t eh_rng_u64(eh_rng *r)
{
    const uint64_t high = eh_rng_u32(r);
    return high << 32 | eh_rng_u32(r);
}

double eh_rng_double(eh_rng *r)
{
    return (double)(eh_rng_u64(r) >> 11) * 0x1p-53;
}

int64_t eh_rng_below(eh_rng *r, int64_t n)
{
    /* Numbers from the last, incomplete run of n would favour the small ones: draw again. */
    const uint64_t un = (uint64_t)n;
    const uint64_t last_fair = UINT64_MAX - (UINT64_MAX % un + 1) % un;
    uint64_t x;
    do
        x = eh_rng_u64(r);
    while (x > last_fair);
    return (int64_t)(x % un);
}

double eh_rng_normal(eh_rng *r)
{
    /* Box-Muller; 1 - u is never 0. */
    const double u = eh_rng_double(r);
    const double v = eh_rng_double(r);
    return sqrt(-2.0 * log(1.0 - u)) * cos(6.283185307179586476925 * v);
}

void eh_rng_shuffle(eh_rng *r, int64_t *x, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = eh_rng_below(r, i + 1);
        const int64_t t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}
