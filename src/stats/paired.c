#include "stats/paired.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "stats/groups.h"
#include "stats/normal.h"

#define FLIPS_MAX 10000000
#define CHANGED_MAX 10000000

/* |sum_k s_k d_k| with the signs s from 32 bits at a time. */
static double flipped(const double *d, int64_t n, uint32_t bits, eh_rng *r)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++) {
        if (r != NULL && k % 32 == 0)
            bits = eh_rng_u32(r);
        sum += (bits >> (k % 32) & 1) != 0 ? -d[k] : d[k];
    }
    return fabs(sum);
}

double eh_detectable(double se, double alpha, double power)
{
    return (eh_normal_quantile(1 - alpha / 2) + eh_normal_quantile(power)) * se;
}

/*
 * With d_k the sum over cluster k, n_k its items and m the mean over all n items,
 *
 *     se^2 = K / (K - 1)  sum_k (d_k - n_k m)^2 / n^2
 *
 * the linearised variance of a ratio of cluster sums (Cochran 1977, Sampling techniques, ch. 6); with
 * one item a cluster it is s^2 / n.
 */
int eh_sign_flip(const double *diff, const int32_t *cluster, int64_t n, const eh_paired_options *options,
                 eh_paired *out, eh_err *err)
{
    const int64_t n_flip = options->n_flip == 0 ? EH_FLIPS : options->n_flip;
    const double alpha = options->alpha == 0 ? 0.05 : options->alpha;
    const double power = options->power == 0 ? 0.8 : options->power;
    if (n < 1)
        return eh_fail(err, EH_EINVAL, "a test of %lld differences; at least one is needed", (long long)n);
    if (n_flip < 1 || n_flip > FLIPS_MAX)
        return eh_fail(err, EH_EINVAL, "%lld sign patterns asked for; 1 to %d can be had", (long long)n_flip,
                       FLIPS_MAX);
    if (!(alpha > 0 && alpha < 1 && power > 0 && power < 1))
        return eh_fail(err, EH_EINVAL, "alpha is %g and power %g; both must lie between 0 and 1", alpha, power);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(diff[i]))
            return eh_fail(err, EH_ENUMERIC, "difference %lld is %g", (long long)i, diff[i]);

    eh_arena mem = {0};
    eh_groups g = {.n = n};
    eh_paired made = {.n = n, .se = NAN, .detectable = NAN};
    double total = 0, spread = 0, size = 0;
    int rc = EH_OK;
    if (cluster != NULL) {
        rc = eh_groups_make(&mem, cluster, n, &g, err);
        if (rc < 0)
            goto done;
    }
    double *d = eh_new(&mem, double, g.n);
    int64_t *count = eh_new(&mem, int64_t, g.n);
    if (d == NULL || count == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the differences of %lld clusters", (long long)g.n);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = cluster == NULL ? i : g.of[i];
        d[k] += diff[i];
        count[k]++;
    }
    for (int64_t k = 0; k < g.n; k++) {
        total += d[k];
        size += fabs(d[k]);
    }
    if (!isfinite(size)) {
        rc = eh_fail(err, EH_ENUMERIC, "the sum of %lld differences is too large for a number", (long long)n);
        goto done;
    }
    made.mean = total / (double)n;
    made.n_cluster = g.n;
    if (g.n > 1) {
        for (int64_t k = 0; k < g.n; k++) {
            const double e = (d[k] - (double)count[k] * made.mean) / (double)n;
            spread += e * e;
        }
        made.se = sqrt((double)g.n / (double)(g.n - 1) * spread);
        made.detectable = eh_detectable(made.se, alpha, power);
    }

    /* Equal sums in another order differ by rounding, and must count as ties. */
    const double found = fabs(total) - 1e-12 * size;
    int64_t seen = 0;
    made.exact = g.n <= EH_FLIP_EXACT;
    made.n_flip = made.exact ? (int64_t)1 << g.n : n_flip;
    for (int64_t b = 0; b < made.n_flip; b++) {
        eh_rng r = {0};
        if (!made.exact)
            r = eh_rng_at(options->seed, "flip", (uint64_t)b);
        seen += flipped(d, g.n, (uint32_t)b, made.exact ? NULL : &r) >= found;
    }
    made.p = made.exact ? (double)seen / (double)made.n_flip : (1 + (double)seen) / (1 + (double)made.n_flip);
    made.least = made.exact ? 2 / (double)made.n_flip : 1 / (1 + (double)made.n_flip);
    *out = made;

done:
    eh_arena_clear(&mem);
    return rc;
}

/*
 * p = min(1, 2 P(X <= k)),  X ~ Binomial(n, 1/2),  n = lost + won, k = min(lost, won)
 *
 * P(X = k) = 2^-n prod_{i=1..k} (n - k + i)/i, with the exponent kept apart; the rest of the tail from
 * P(X = j - 1) = P(X = j) j / (n - j + 1).
 */
int eh_mcnemar(int64_t lost, int64_t won, double *p, eh_err *err)
{
    if (lost < 0 || won < 0 || lost > CHANGED_MAX || won > CHANGED_MAX - lost)
        return eh_fail(err, EH_EINVAL, "%lld answers lost and %lld won; none below 0 and %d in all can be had",
                       (long long)lost, (long long)won, CHANGED_MAX);
    const int64_t n = lost + won, k = lost < won ? lost : won;
    double term = 1, tail = 1;
    int64_t exponent = -n;
    for (int64_t i = 1; i <= k; i++) {
        int e;
        term = frexp(term * ((double)(n - k + i) / (double)i), &e);
        exponent += e;
    }
    double at_k = ldexp(term, exponent < -2000 ? -2000 : (int)exponent);
    term = 1;
    for (int64_t j = k; j >= 1 && term > 1e-18 * tail; j--) {
        term *= (double)j / (double)(n - j + 1);
        tail += term;
    }
    *p = fmin(1, 2 * at_k * tail);
    return EH_OK;
}
