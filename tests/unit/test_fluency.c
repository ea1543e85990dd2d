/* What an edit did to plain text: nothing at all when there is none, and KL as defined when there is. */
#include "check.h"
#include "session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/fluency.h"

static const char text[] = "The quick brown fox jumps over the lazy dog, and then it sleeps in the warm sun until the "
                           "evening comes and the cold wind blows.";

static eh_session *open_tiny(void)
{
    eh_session *on;
    eh_err err;
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), NULL, &on, &err));
    return on;
}

TEST(no_edit_is_no_distance)
{
    eh_session *on = open_tiny();
    eh_fluency f;
    eh_fluency_change c;
    eh_err err;
    CHECK_OK(eh_fluency_open(&f, on, eh_str_of(text), &err));
    CHECK_OK(eh_fluency_measure(&f, on, &c, &err));
    CHECK_NEAR(c.kl_max, 0.0, 0.0);
    CHECK_NEAR(c.same_top, 1.0, 0.0);
    CHECK_NEAR(c.perplexity, f.perplexity, 0.0);
    eh_fluency_clear(&f);
    session_close(on);
}

/* Linear between the order statistics, the smallest at 0 and the largest at 1: each looked up by counting. */
static double quantile(const double *x, int64_t n, double at)
{
    const double rank = at * (double)(n - 1);
    const int64_t below = (int64_t)rank;
    double low = NAN, high = NAN;
    for (int64_t i = 0; i < n; i++) {
        int64_t smaller = 0;
        for (int64_t k = 0; k < n; k++)
            smaller += x[k] < x[i] || (x[k] == x[i] && k < i);
        low = smaller == below ? x[i] : low;
        high = smaller == below + 1 ? x[i] : high;
    }
    return rank > (double)below ? low + (rank - (double)below) * (high - low) : low;
}

/* KL(p || q) at every position from plain logits, in double; the text's perplexity likewise. */
TEST(distance_by_definition)
{
    eh_session *on = open_tiny();
    eh_model_info info;
    eh_fluency f;
    eh_fluency_change c;
    eh_err err;
    eh_model_describe(on->m, &info);
    CHECK_OK(eh_fluency_open(&f, on, eh_str_of(text), &err));
    const int64_t n = f.n - 1, v = info.n_vocab;
    float *p = malloc((size_t)(n * v) * sizeof *p), *q = malloc((size_t)(n * v) * sizeof *q);
    CHECK(p != NULL && q != NULL);
    CHECK_OK(eh_logits(on, f.tok, n, p, &err));
    const eh_unit_edit edit = {.kind = EH_UNIT_HEAD, .layer = 1, .index = 2, .mode = EH_EDIT_ZERO, .alpha = 1.0};
    CHECK_OK(eh_session_edit(on, &edit, 1, &err));
    CHECK_OK(eh_logits(on, f.tok, n, q, &err));
    CHECK_OK(eh_fluency_measure(&f, on, &c, &err));
    double sum = 0.0, most = 0.0, nll = 0.0;
    double *all = malloc((size_t)n * sizeof *all);
    CHECK(all != NULL);
    for (int64_t i = 0; i < n; i++) {
        double zp = 0.0, zq = 0.0, kl = 0.0;
        for (int64_t k = 0; k < v; k++) {
            zp += exp((double)p[i * v + k]);
            zq += exp((double)q[i * v + k]);
        }
        for (int64_t k = 0; k < v; k++)
            kl += exp((double)p[i * v + k]) / zp *
                  ((double)p[i * v + k] - log(zp) - (double)q[i * v + k] + log(zq));
        nll -= (double)q[i * v + f.tok[i + 1]] - log(zq);
        sum += kl;
        most = fmax(most, kl);
        all[i] = kl;
    }
    CHECK(most > 1e-3);
    CHECK_NEAR(c.kl_mean, sum / (double)n, 1e-5);
    CHECK_NEAR(c.kl_max, most, 1e-5);
    CHECK_NEAR(log(c.perplexity), nll / (double)n, 1e-5);
    CHECK_NEAR(c.kl_median, quantile(all, n, 0.5), 1e-5);
    CHECK_NEAR(c.kl_p95, quantile(all, n, 0.95), 1e-5);
    CHECK_NEAR(c.kl_p99, quantile(all, n, 0.99), 1e-5);
    CHECK(c.kl_median < c.kl_p95 && c.kl_p95 < c.kl_p99 && c.kl_p99 < c.kl_max);
    free(all);
    free(p);
    free(q);
    eh_fluency_clear(&f);
    session_close(on);
}

TEST(too_short_a_text_is_refused)
{
    eh_session *on = open_tiny();
    eh_fluency f;
    eh_err err;
    CHECK_FAILS(eh_fluency_open(&f, on, EH_STR("Hi."), &err), EH_EDOM, "at least 32");
    session_close(on);
}
