#include "run/fluency.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/par.h"
#include "stats/estimate.h"

#define MOST_TOKENS 512
#define LEAST_TOKENS 32
#define MOST_BYTES ((int64_t)128 << 20)

typedef struct rows_job {
    const eh_session *s;
    float *x; /* [n, n_vocab] logits, then log-probabilities */
} rows_job;

static void normalise_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const rows_job *j = ctx;
    const int64_t n = j->s->m->config.n_vocab;
    float *x = j->x + i * n;
    int64_t top;
    const double lse = j->s->simd->logsumexp(x, n, &top);
    for (int64_t k = 0; k < n; k++)
        x[k] = (float)((double)x[k] - lse);
}

/* Log-probabilities of what follows each token but the last, [n - 1, n_vocab]; the caller's to free. */
static int log_probabilities(const eh_fluency *f, eh_session *s, float **out, eh_err *err)
{
    float *x = eh_alloc(f->n - 1, s->m->config.n_vocab * (int64_t)sizeof *x);
    if (x == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the log-probabilities of %lld tokens", (long long)f->n);
    const int rc = eh_logits(s, f->tok, f->n - 1, x, err);
    if (rc < 0) {
        eh_free(x);
        return rc;
    }
    rows_job j = {s, x};
    eh_par_for(s->threads, f->n - 1, normalise_row, &j);
    *out = x;
    return EH_OK;
}

static double perplexity_of(const eh_fluency *f, const float *logprob, int64_t n_vocab)
{
    double sum = 0.0;
    for (int64_t i = 0; i + 1 < f->n; i++)
        sum -= (double)logprob[i * n_vocab + f->tok[i + 1]];
    return exp(sum / (double)(f->n - 1));
}

int eh_fluency_open(eh_fluency *f, eh_session *s, eh_str text, eh_err *err)
{
    *f = (eh_fluency){0};
    int64_t most = MOST_BYTES / (s->m->config.n_vocab * (int64_t)sizeof(float));
    most = most > MOST_TOKENS ? MOST_TOKENS : most < LEAST_TOKENS ? LEAST_TOKENS : most;
    most = most > s->m->config.n_ctx ? s->m->config.n_ctx : most;
    int rc = eh_tokenize(s->m, text.p, text.n, EH_TEXT_DEFAULT, &f->tok, &f->n, err);
    if (rc < 0)
        return rc;
    if (f->n < LEAST_TOKENS) {
        rc = eh_fail(err, EH_EDOM, "the text has %lld tokens; at least %d are wanted", (long long)f->n, LEAST_TOKENS);
        eh_fluency_clear(f);
        return rc;
    }
    f->n = f->n > most ? most : f->n;
    rc = log_probabilities(f, s, &f->logprob, err);
    if (rc < 0)
        eh_fluency_clear(f);
    else
        f->perplexity = perplexity_of(f, f->logprob, s->m->config.n_vocab);
    return rc;
}

void eh_fluency_clear(eh_fluency *f)
{
    eh_release(f->tok);
    eh_free(f->logprob);
    *f = (eh_fluency){0};
}

typedef struct kl_job {
    const float *p, *q; /* [n, n_vocab] log-probabilities */
    int64_t n_vocab;
    double *kl;
    bool *same;
} kl_job;

/* KL(p || q) = sum p (ln p - ln q); rounding may leave a hair below 0, which is 0. */
static void kl_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const kl_job *j = ctx;
    const float *p = j->p + i * j->n_vocab, *q = j->q + i * j->n_vocab;
    double sum = 0.0;
    int64_t top_p = 0, top_q = 0;
    for (int64_t k = 0; k < j->n_vocab; k++) {
        sum += exp((double)p[k]) * ((double)p[k] - (double)q[k]);
        top_p = p[k] > p[top_p] ? k : top_p;
        top_q = q[k] > q[top_q] ? k : top_q;
    }
    j->kl[i] = sum > 0.0 ? sum : 0.0;
    j->same[i] = top_p == top_q;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int eh_fluency_measure(const eh_fluency *f, eh_session *s, eh_fluency_change *out, eh_err *err)
{
    const int64_t n = f->n - 1;
    float *now = NULL;
    double *kl = eh_alloc(n, (int64_t)sizeof *kl);
    bool *same = eh_alloc(n, (int64_t)sizeof *same);
    int rc = kl == NULL || same == NULL ? eh_fail(err, EH_ENOMEM, "no memory for %lld positions", (long long)n)
                                        : log_probabilities(f, s, &now, err);
    if (rc == EH_OK) {
        kl_job j = {f->logprob, now, s->m->config.n_vocab, kl, same};
        eh_par_for(s->threads, n, kl_row, &j);
        double sum = 0.0, equal = 0.0;
        for (int64_t i = 0; i < n; i++) {
            sum += kl[i];
            equal += same[i];
        }
        qsort(kl, (size_t)n, sizeof *kl, by_size);
        *out = (eh_fluency_change){
            .perplexity = perplexity_of(f, now, s->m->config.n_vocab),
            .kl_mean = sum / (double)n,
            .kl_median = eh_quantile(kl, n, 0.5),
            .kl_p95 = eh_quantile(kl, n, 0.95),
            .kl_p99 = eh_quantile(kl, n, 0.99),
            .kl_max = kl[n - 1],
            .same_top = equal / (double)n,
        };
    }
    eh_free(now);
    eh_free(kl);
    eh_free(same);
    return rc;
}
