/* Answering requests: batches of token trees through the layers, and the log-softmax of what is asked. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/par.h"
#include "model/forward.h"

typedef struct softmax_job {
    const eh_session *s;
    const eh_batch *b;
    const int64_t *want_of; /* [n_ask + 1] first want of each asked row */
    eh_softmax_row *row;    /* [n_ask] */
    int64_t first, from, n;
    const float *logits;
} softmax_job;

static void softmax_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const softmax_job *j = ctx;
    const float *logits = j->logits + i * j->n;
    const int64_t row = j->first + i;
    eh_softmax_add(j->s->simd, logits, j->from, j->n, &j->row[row]);
    for (int64_t w = j->want_of[row]; w < j->want_of[row + 1]; w++) {
        const eh_want *want = &j->b->want[w];
        if (want->id >= j->from && want->id < j->from + j->n)
            *want->logprob = logits[want->id - j->from]; /* the logit, for now */
    }
}

static void see_slice(void *ctx, int64_t first, int64_t n_row, int64_t from, int64_t n, float *logits)
{
    softmax_job *j = ctx;
    j->first = first;
    j->from = from;
    j->n = n;
    j->logits = logits;
    eh_par_for(j->s->threads, n_row, softmax_row, j);
}

static int by_row(const void *a, const void *b)
{
    const int64_t x = ((const eh_want *)a)->row, y = ((const eh_want *)b)->row;
    return x < y ? -1 : x > y;
}

static int answer_wants(eh_session *s, eh_batch *b, const float *x, eh_err *err)
{
    if (b->n_ask == 0)
        return EH_OK;
    int64_t *want_of = eh_new(&s->scratch, int64_t, b->n_ask + 1);
    softmax_job j = {
        .s = s,
        .b = b,
        .want_of = want_of,
        .row = eh_new_raw(&s->scratch, eh_softmax_row, b->n_ask),
    };
    if (!want_of || !j.row)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld positions", (long long)b->n_ask);
    qsort(b->want, (size_t)b->n_want, sizeof *b->want, by_row);
    for (int64_t w = 0; w < b->n_want; w++)
        want_of[b->want[w].row + 1] = w + 1;

    const int rc = eh_head_run(s, x, b->n_ask, see_slice, &j, err);
    if (rc < 0)
        return rc;
    for (int64_t w = 0; w < b->n_want; w++) {
        const eh_want *want = &b->want[w];
        if (!isfinite(j.row[want->row].lse))
            return eh_fail(err, EH_ENUMERIC, "output head: the logits at position %d are not finite",
                           b->depth[b->ask[want->row]]);
        *want->logprob = (float)((double)*want->logprob - j.row[want->row].lse);
        if (want->greedy != NULL && j.row[want->row].top != want->id)
            *want->greedy = false;
    }
    return EH_OK;
}

static int check_request(const eh_session *s, const eh_request *r, int64_t i, eh_err *err)
{
    const eh_config *c = &s->m->config;
    if (r->n_tok < 1 || r->from < 1 || r->from > r->n_tok || r->n_cand < 0)
        return eh_fail(err, EH_EINVAL,
                       "request %lld: %lld tokens scored from %lld; wanted at least one token, and 1 <= from <= tokens",
                       (long long)i, (long long)r->n_tok, (long long)r->from);
    if (eh_request_depth(r) > c->n_ctx)
        return eh_fail(err, EH_ERANGE, "request %lld: %lld tokens; the model's context is %lld", (long long)i,
                       (long long)eh_request_depth(r), (long long)c->n_ctx);
    for (int64_t t = 0; t < r->n_tok; t++)
        if (r->tok[t] < 0 || r->tok[t] >= c->n_vocab)
            return eh_fail(err, EH_EINVAL, "request %lld: token %lld is %d; the vocabulary has 0 to %lld",
                           (long long)i, (long long)t, r->tok[t], (long long)c->n_vocab - 1);
    for (int64_t t = 0; t < r->n_cand; t++)
        if (r->cand[t] < 0 || r->cand[t] >= c->n_vocab)
            return eh_fail(err, EH_EINVAL, "request %lld: candidate %lld is %d; the vocabulary has 0 to %lld",
                           (long long)i, (long long)t, r->cand[t], (long long)c->n_vocab - 1);
    return EH_OK;
}

int eh_score_observed(eh_session *s, const eh_request *request, int64_t n, eh_answer *answer,
                      const eh_observer *observer, int n_observer, eh_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        const int rc = check_request(s, &request[i], i, err);
        if (rc < 0)
            return rc;
    }
    int rc = EH_OK;
    eh_sharing sharing = s->sharing ? EH_SHARE_ALL : EH_SHARE_NONE;
    for (int i = 0; s->sharing && i < n_observer; i++)
        if (observer[i].sites & EH_SITES_APART)
            sharing = EH_SHARE_APART;
    int64_t *order = eh_alloc(n, (int64_t)sizeof *order);
    if (order == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld requests", (long long)n);
    eh_batch_order(request, n, order);
    const eh_arena_mark mark = eh_arena_here(&s->scratch);
    int64_t number = 0;
    for (int64_t at = 0; at < n && rc == EH_OK;) {
        eh_batch b;
        rc = eh_batch_pack(request, answer, order, at, n, s->batch_tokens, sharing, &s->scratch, &b, &at, err);
        b.number = number++;
        float *x = rc < 0 ? NULL : eh_new_raw(&s->scratch, float, b.n_tok * s->m->config.d_model);
        if (rc == EH_OK && x == NULL)
            rc = eh_fail(err, EH_ENOMEM, "no memory for a batch of %lld tokens", (long long)b.n_tok);
        if (rc == EH_OK)
            rc = eh_forward(s, &b, NULL, observer, n_observer, x, err);
        if (rc == EH_OK)
            rc = answer_wants(s, &b, x, err);
        eh_arena_rewind(&s->scratch, mark);
    }
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        s->n_asked += eh_request_depth(&request[i]);
    eh_free(order);
    return rc;
}

int eh_score(eh_session *s, const eh_request *request, int64_t n, eh_answer *answer, eh_err *err)
{
    return eh_score_observed(s, request, n, answer, NULL, 0, err);
}

/* ---- Plain logits --------------------------------------------------------------------------------------- */

int eh_logits_from(eh_session *s, const int32_t *tok, int64_t n_tok, int64_t first, float *out, eh_err *err)
{
    const eh_request r = {.tok = tok, .n_tok = n_tok, .from = n_tok};
    eh_answer a = {0};
    int rc = check_request(s, &r, 0, err);
    if (rc < 0)
        return rc;
    const eh_arena_mark mark = eh_arena_here(&s->scratch);
    const int64_t order = 0;
    int64_t next;
    eh_batch b;
    rc = eh_batch_pack(&r, &a, &order, 0, 1, n_tok, EH_SHARE_ALL, &s->scratch, &b, &next, err);
    float *x = rc < 0 ? NULL : eh_new_raw(&s->scratch, float, n_tok * s->m->config.d_model);
    if (rc == EH_OK && x == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld tokens", (long long)n_tok);
    if (rc == EH_OK) {
        for (int64_t i = first; i < n_tok; i++)
            b.ask[i - first] = i;
        b.n_ask = n_tok - first;
        rc = eh_forward(s, &b, NULL, NULL, 0, x, err);
    }
    if (rc == EH_OK)
        rc = eh_head_copy(s, x, n_tok - first, out, err);
    eh_arena_rewind(&s->scratch, mark);
    return rc;
}

int eh_logits(eh_session *s, const int32_t *tok, int64_t n_tok, float *out, eh_err *err)
{
    return eh_logits_from(s, tok, n_tok, 0, out, err);
}
