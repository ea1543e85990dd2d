#include "op/head.h"

#include <math.h>
#include <stddef.h>

void eh_logits_run(const eh_logits_of *o, float *z, int64_t n)
{
    if (o->cap > 0.0f)
        o->simd->softcap(z, n, o->scale, o->cap, true, NULL);
    else if (o->scale != 1.0f)
        for (int64_t i = 0; i < n; i++)
            z[i] *= o->scale;
}

void eh_logits_back(const eh_logits_of *o, const eh_rule_set *r, const float *logit, float *g, int64_t n)
{
    if (o->cap <= 0.0f) {
        for (int64_t i = 0; o->scale != 1.0f && i < n; i++)
            g[i] *= o->scale;
        return;
    }
    const double most = 1.0 - 6e-8; /* a logit at the cap itself: tanh as near to 1 as a float is */
    for (int64_t i = 0; i < n; i++) {
        const double ratio = (double)logit[i] / (double)o->cap;
        const double t = ratio > most ? most : ratio < -most ? -most : ratio;
        const double u = atanh(t);
        const double slope = r->exact_activation ? 1.0 - t * t : t / (u + 1e-10);
        g[i] = (float)((double)(g[i] * o->scale) * slope);
    }
}
