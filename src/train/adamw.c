#include "train/adamw.h"

#include <math.h>

/*
 *     w <- w - lr * decay * w
 *     m <- m + (1 - beta1) * (g - m)
 *     v <- beta2 * v + (1 - beta2) * g^2
 *     w <- w - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 */
void eh_adamw_step(const eh_adamw *options, int64_t step, double lr, double scale, int64_t n, float *restrict w,
                   const float *restrict g, float *restrict m, float *restrict v)
{
    const double t = (double)step;
    const float keep = (float)(1.0 - lr * options->decay);
    const float one_beta1 = (float)(1.0 - options->beta1), beta2 = (float)options->beta2,
        one_beta2 = (float)(1.0 - options->beta2);
    const float root2 = (float)sqrt(1.0 - pow(options->beta2, t)), eps = (float)options->eps;
    const float rate = (float)(lr / (1.0 - pow(options->beta1, t))), s = (float)scale;
    for (int64_t i = 0; i < n; i++) {
        const float grad = g[i] * s;
        m[i] += one_beta1 * (grad - m[i]);
        v[i] = beta2 * v[i] + one_beta2 * grad * grad;
        w[i] = w[i] * keep - rate * (m[i] / (sqrtf(v[i]) / root2 + eps));
    }
}
