#include "probe/patch.h"

#include <string.h>

#include "base/par.h"

#define TRACE_ITEMS 32                 /* prompts traced in one call of the engine, at most */
#define TRACE_BYTES ((int64_t)64 << 20) /* of components taken from them */

static int64_t site_width(const eh_session *s, eh_site site)
{
    return site == EH_SITE_HEAD_OUT ? s->m->config.n_head * s->m->config.d_head : s->m->config.d_ff;
}

/* ---- Heads ablated ------------------------------------------------------------------------------------- */

static int see_ablation(void *ctx, const eh_block *b, eh_err *err)
{
    const eh_ablation *a = ctx;
    const eh_config *c = &a->s->m->config;
    for (int64_t i = 0; i < a->n; i++) {
        const eh_ablate *x = &a->list[i];
        if (x->layer < 0 || x->layer >= c->n_layer || x->head < 0 || x->head >= c->n_head)
            return eh_fail(err, EH_ERANGE,
                           "layer %lld head %lld is to be ablated; the model has %lld layers of %lld heads",
                           (long long)x->layer, (long long)x->head, (long long)c->n_layer, (long long)c->n_head);
        if (b->site != EH_SITE_HEAD_OUT || x->layer != b->layer)
            continue;
        const size_t size = (size_t)c->d_head * sizeof(float);
        for (int64_t row = 0; row < b->n_row; row++) {
            float *out = b->value + row * b->width + x->head * c->d_head;
            if (x->mean != NULL)
                memcpy(out, x->mean, size);
            else
                memset(out, 0, size);
        }
    }
    return EH_OK;
}

eh_observer eh_ablation_observer(eh_ablation *a)
{
    return (eh_observer){.sites = 1u << EH_SITE_START | 1u << EH_SITE_HEAD_OUT, .see = see_ablation, .ctx = a};
}

/* ---- What heads put out on average ----------------------------------------------------------------------- */

int eh_head_means_start(eh_head_means *p, const eh_session *s, eh_err *err)
{
    double *sum = eh_calloc(s->m->config.n_layer * site_width(s, EH_SITE_HEAD_OUT), (int64_t)sizeof *sum);
    if (sum == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the mean output of every head");
    eh_head_means_clear(p);
    *p = (eh_head_means){sum, 0, s};
    return EH_OK;
}

void eh_head_means_clear(eh_head_means *p)
{
    eh_free(p->sum);
    *p = (eh_head_means){0};
}

typedef struct means_job {
    const eh_head_means *p;
    const eh_block *b;
} means_job;

static void add_head(void *ctx, int64_t head, int worker)
{
    (void)worker;
    const means_job *j = ctx;
    const int64_t d = j->p->s->m->config.d_head;
    double *sum = j->p->sum + j->b->layer * j->b->width + head * d;
    for (int64_t row = 0; row < j->b->n_row; row++)
        for (int64_t k = 0; k < d; k++)
            sum[k] += (double)j->b->value[row * j->b->width + head * d + k];
}

static int see_means(void *ctx, const eh_block *b, eh_err *err)
{
    (void)err;
    eh_head_means *p = ctx;
    if (b->site == EH_SITE_START) {
        p->n_row += b->n_row;
        return EH_OK;
    }
    means_job j = {p, b};
    eh_par_for(p->s->threads, p->s->m->config.n_head, add_head, &j);
    return EH_OK;
}

eh_observer eh_head_means_observer(eh_head_means *p)
{
    return (eh_observer){.sites = 1u << EH_SITE_START | 1u << EH_SITE_HEAD_OUT, .see = see_means, .ctx = p};
}

void eh_head_means_get(const eh_head_means *p, int64_t layer, int64_t head, float *mean)
{
    const int64_t d = p->s->m->config.d_head;
    const double *sum = p->sum + (layer * p->s->m->config.n_head + head) * d;
    for (int64_t k = 0; k < d; k++)
        mean[k] = p->n_row > 0 ? (float)(sum[k] / (double)p->n_row) : 0.0f;
}

/* ---- One row taken, one row put ---------------------------------------------------------------------------- */

int eh_capture_start(eh_capture *t, const eh_session *s, eh_site site, int64_t n, eh_err *err)
{
    if (site != EH_SITE_HEAD_OUT && site != EH_SITE_NEURON)
        return eh_fail(err, EH_EINVAL, "site %d cannot be captured; head outputs and neurons can", (int)site);
    const int64_t width = s->m->config.n_layer * site_width(s, site);
    float *value = n <= INT64_MAX / width ? eh_calloc(n * width, (int64_t)sizeof *value) : NULL;
    if (value == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the components of %lld requests", (long long)n);
    eh_capture_clear(t);
    *t = (eh_capture){value, n, site_width(s, site), s->m->config.n_layer, site};
    return EH_OK;
}

void eh_capture_clear(eh_capture *t)
{
    eh_free(t->value);
    *t = (eh_capture){0};
}

static int see_take(void *ctx, const eh_block *b, eh_err *err)
{
    const eh_capture *t = ctx;
    for (int64_t i = 0; i < b->n_request; i++) {
        const int64_t r = b->request[i], row = b->last_row[i] - b->first;
        if (r >= t->n)
            return eh_fail(err, EH_EINVAL,
                           "request %lld of the call; components were asked of %lld requests", (long long)r,
                           (long long)t->n);
        if (row >= 0 && row < b->n_row)
            memcpy(t->value + (r * t->n_layer + b->layer) * t->width, b->value + row * b->width,
                   (size_t)b->width * sizeof(float));
    }
    return EH_OK;
}

eh_observer eh_capture_observer(eh_capture *t)
{
    return (eh_observer){.sites = 1u << t->site, .see = see_take, .ctx = t};
}

static int see_puts(void *ctx, const eh_block *b, eh_err *err)
{
    const eh_patches *p = ctx;
    for (int64_t i = 0; i < b->n_request; i++) {
        const int64_t r = b->request[i], row = b->last_row[i] - b->first;
        if (r >= p->n)
            return eh_fail(err, EH_EINVAL,
                           "request %lld of the call; there are patches for %lld requests", (long long)r,
                           (long long)p->n);
        const eh_patch *put = &p->put[r];
        if (put->layer == b->layer && put->site == b->site && row >= 0 && row < b->n_row)
            memcpy(b->value + row * b->width, put->value, (size_t)b->width * sizeof(float));
    }
    return EH_OK;
}

eh_observer eh_patches_observer(eh_patches *p)
{
    return (eh_observer){
        .sites = 1u << EH_SITE_HEAD_OUT | 1u << EH_SITE_NEURON | EH_SITES_APART, .see = see_puts, .ctx = p};
}

/* ---- Layer tracing ------------------------------------------------------------------------------------------ */

static int check_trace(const eh_request *source, const eh_request *target, int64_t n, eh_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (source[i].from != source[i].n_tok || target[i].from != target[i].n_tok)
            return eh_fail(err, EH_EINVAL,
                           "prompt %lld: layer tracing reads candidates after the whole prompt, and scores no token",
                           (long long)i);
        if (target[i].n_cand < 1 || target[i].n_cand != target[0].n_cand)
            return eh_fail(err, EH_EINVAL,
                           "prompt %lld has %lld candidates; wanted at least one, and as many as prompt 0",
                           (long long)i, (long long)target[i].n_cand);
    }
    return EH_OK;
}

/* Prompts of one call: both runs. `request`, `answer` and `put` have room for n * (1 + n_layer * EH_TRACE_N). */
typedef struct trace_room {
    eh_capture take[EH_TRACE_N];
    eh_request *request;
    eh_answer *answer;
    eh_patch *put;
} trace_room;

static int trace_some(eh_session *s, trace_room *room, const eh_request *source, const eh_request *target, int64_t n,
                      float *plain, float *patched, eh_err *err)
{
    static const eh_site site[EH_TRACE_N] = {[EH_TRACE_ATTENTION] = EH_SITE_HEAD_OUT, [EH_TRACE_MLP] = EH_SITE_NEURON};
    const int64_t n_layer = s->m->config.n_layer, n_cand = target[0].n_cand;
    eh_observer take[EH_TRACE_N];
    for (int k = 0; k < EH_TRACE_N; k++) {
        const int rc = eh_capture_start(&room->take[k], s, site[k], n, err);
        if (rc < 0)
            return rc;
        take[k] = eh_capture_observer(&room->take[k]);
    }
    for (int64_t i = 0; i < n; i++) {
        room->request[i] = (eh_request){.tok = source[i].tok, .n_tok = source[i].n_tok, .from = source[i].from};
        room->answer[i] = (eh_answer){0};
    }
    int rc = eh_score_observed(s, room->request, n, room->answer, take, EH_TRACE_N, err);
    if (rc < 0)
        return rc;

    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        room->request[at] = target[i];
        room->answer[at] = (eh_answer){.cand_logprob = plain + i * n_cand};
        room->put[at++] = (eh_patch){.layer = -1};
        for (int64_t l = 0; l < n_layer; l++)
            for (int k = 0; k < EH_TRACE_N; k++) {
                room->request[at] = target[i];
                room->answer[at] =
                    (eh_answer){.cand_logprob = patched + ((i * n_layer + l) * EH_TRACE_N + k) * n_cand};
                room->put[at++] =
                    (eh_patch){site[k], l, room->take[k].value + (i * n_layer + l) * room->take[k].width};
            }
    }
    eh_patches puts = {room->put, at};
    const eh_observer observer = eh_patches_observer(&puts);
    return eh_score_observed(s, room->request, at, room->answer, &observer, 1, err);
}

int eh_trace(eh_session *s, const eh_request *source, const eh_request *target, int64_t n, float *plain, float *patched,
             eh_err *err)
{
    int rc = check_trace(source, target, n, err);
    if (rc < 0 || n == 0)
        return rc;
    const int64_t per_item = 1 + s->m->config.n_layer * EH_TRACE_N;
    const int64_t bytes = s->m->config.n_layer * (int64_t)sizeof(float) *
                          (site_width(s, EH_SITE_HEAD_OUT) + site_width(s, EH_SITE_NEURON));
    int64_t most = TRACE_BYTES / bytes;
    most = most < 1 ? 1 : most > TRACE_ITEMS ? TRACE_ITEMS : most;
    trace_room room = {
        .request = eh_alloc(most * per_item, (int64_t)sizeof *room.request),
        .answer = eh_alloc(most * per_item, (int64_t)sizeof *room.answer),
        .put = eh_alloc(most * per_item, (int64_t)sizeof *room.put),
    };
    if (room.request == NULL || room.answer == NULL || room.put == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for the patches of %lld prompts", (long long)most);
    for (int64_t i = 0; rc == EH_OK && i < n; i += most) {
        const int64_t n_cand = target[0].n_cand;
        rc = trace_some(s, &room, source + i, target + i, n - i < most ? n - i : most, plain + i * n_cand,
                        patched + i * (per_item - 1) * n_cand, err);
    }
    for (int k = 0; k < EH_TRACE_N; k++)
        eh_capture_clear(&room.take[k]);
    eh_free(room.request);
    eh_free(room.answer);
    eh_free(room.put);
    return rc;
}
