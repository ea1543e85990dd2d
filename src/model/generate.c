/*
 * Generation: prompts are run once each, their keys and values copied to their samples, and then
 * all sequences step together, a token each.
 */
#include <math.h>
#include <string.h>

#include "base/options.h"
#include "base/rng.h"
#include "model/forest.h"
#include "model/forward.h"
#include "model/sampling.h"

/* Sequences in flight and cached positions: enough to keep the products busy, bounded in memory. */
#define SEQUENCES 128
#define POSITIONS 32768

typedef struct sequence {
    int64_t prompt, sample;
    int64_t n_cached; /* positions in the cache */
    int32_t last;     /* the token to be run next */
    bool done;
    eh_generated *out;
    eh_rng rng;
} sequence;

typedef struct group {
    eh_session *s;
    const eh_sampling *sampling;
    eh_cache cache;
    sequence *seq; /* [n_seq] */
    int64_t n_seq;
    float *logits; /* [n_seq, n_vocab] */
    eh_sampler sampler;
    eh_token_see *see;
    void *see_ctx;
} group;

static bool ends(const eh_session *s, int32_t tok)
{
    for (int i = 0; i < s->m->config.n_eos; i++)
        if (s->m->config.eos_list[i] == tok)
            return true;
    return false;
}

/* Chooses the next token of a sequence from its logits. */
static int choose(group *g, sequence *s, const float *logits, eh_err *err)
{
    int64_t top;
    const double lse = g->s->simd->logsumexp(logits, g->s->m->config.n_vocab, &top);
    if (!isfinite(lse))
        return eh_fail(err, EH_ENUMERIC, "prompt %lld: the logits after %lld tokens are not finite",
                       (long long)s->prompt, (long long)s->n_cached);
    /* One uniform number a token: the stream's n-th draw belongs to the n-th token. */
    const int32_t tok =
        g->sampling->temperature > 0.0 ? eh_sampler_draw(&g->sampler, logits, eh_rng_double(&s->rng)) : (int32_t)top;
    if (!g->sampling->ignore_eos && ends(g->s, tok)) {
        s->out->ended = s->done = true;
        return EH_OK;
    }
    s->out->logprob += (double)logits[tok] - lse;
    s->out->tok[s->out->n_tok++] = tok;
    s->last = tok;
    if (s->out->n_tok == g->sampling->max_new || s->n_cached + 1 > g->s->m->config.n_ctx)
        s->done = true;
    if (g->see != NULL && g->see(g->see_ctx, s->prompt, s->sample, tok) != 0)
        return eh_fail(err, EH_ESTOP, "stopped on request");
    return EH_OK;
}

/* Runs a stretch of tokens of each sequence of `which` and leaves the logits of their last ones. */
static int run_stretches(group *g, const int64_t *which, int64_t n, const int32_t *const *tok, const int64_t *n_tok,
                         eh_err *err)
{
    eh_session *s = g->s;
    eh_arena *room = &s->scratch;
    const eh_arena_mark mark = eh_arena_here(room);
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += n_tok[i];
    eh_batch b = {0};
    float *x = eh_new_raw(room, float, total * s->m->config.d_model);
    int rc = EH_OK;
    if (!eh_forest_room(&b, total, n, room) || x == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory to generate with %lld tokens", (long long)total);
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        sequence *q = &g->seq[which[i]];
        b.ask[b.n_ask++] = eh_forest_add(&b, tok[i], n_tok[i], q->n_cached, -1, which[i]) + n_tok[i] - 1;
        q->n_cached += n_tok[i];
    }
    if (rc == EH_OK)
        rc = eh_forward(s, &b, &g->cache, NULL, 0, x, err);
    if (rc == EH_OK)
        rc = eh_head_copy(s, x, b.n_ask, g->logits, err);
    eh_arena_rewind(room, mark);
    return rc;
}

/* The prompts' keys and values, once each, then copied to their other samples. */
static int prefill(group *g, const eh_request *prompt, int64_t n_sample, eh_err *err)
{
    const eh_config *c = &g->s->m->config;
    const size_t width = (size_t)(c->n_kv * c->d_head) * sizeof(float);
    for (int64_t i = 0; i < g->n_seq; i += n_sample) {
        const eh_request *r = &prompt[g->seq[i].prompt];
        int rc = run_stretches(g, &i, 1, &r->tok, &r->n_tok, err);
        if (rc < 0)
            return rc;
        for (int64_t s = 1; s < n_sample; s++) {
            g->seq[i + s].n_cached = r->n_tok;
            for (int64_t l = 0; l < c->n_layer; l++) {
                const int64_t from = l * g->cache.n_seq + i;
                memcpy(g->cache.k[from + s], g->cache.k[from], (size_t)r->n_tok * width);
                memcpy(g->cache.v[from + s], g->cache.v[from], (size_t)r->n_tok * width);
            }
        }
        for (int64_t s = 0; s < n_sample; s++)
            if ((rc = choose(g, &g->seq[i + s], g->logits, err)) < 0)
                return rc;
    }
    return EH_OK;
}

static int step_all(group *g, eh_err *err)
{
    const eh_arena_mark mark = eh_arena_here(&g->s->scratch);
    int64_t *which = eh_new_raw(&g->s->scratch, int64_t, g->n_seq);
    int64_t *one = eh_new_raw(&g->s->scratch, int64_t, g->n_seq);
    const int32_t **tok = (const int32_t **)eh_arena_raw(&g->s->scratch, g->n_seq, (int64_t)sizeof *tok);
    int rc = EH_OK;
    if (which == NULL || one == NULL || tok == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld sequences", (long long)g->n_seq);
    while (rc == EH_OK) {
        int64_t n = 0;
        for (int64_t i = 0; i < g->n_seq; i++)
            if (!g->seq[i].done) {
                which[n] = i;
                one[n] = 1;
                tok[n++] = &g->seq[i].last;
            }
        if (n == 0)
            break;
        rc = run_stretches(g, which, n, tok, one, err);
        for (int64_t i = 0; i < n && rc == EH_OK; i++)
            rc = choose(g, &g->seq[which[i]], g->logits + i * g->s->m->config.n_vocab, err);
    }
    eh_arena_rewind(&g->s->scratch, mark);
    return rc;
}

void eh_sampling_init(eh_sampling *o, size_t size)
{
    const eh_sampling initial = {.top_p = 1.0, .top_k = EH_ALL, .max_new = 128};
    eh_options_init(o, size, &initial, sizeof initial);
}

static int check_call(const eh_session *s, const eh_request *prompt, int64_t n_prompt, int64_t n_sample,
                      const eh_sampling *sampling, eh_err *err)
{
    if (n_sample < 1 || n_sample > SEQUENCES || sampling->max_new < 1 || sampling->max_new > s->m->config.n_ctx)
        return eh_fail(err, EH_EINVAL, "%lld samples of %lld tokens; wanted 1 to %d, and 1 to the context of %lld",
                       (long long)n_sample, (long long)sampling->max_new, SEQUENCES, (long long)s->m->config.n_ctx);
    if (!(sampling->temperature >= 0.0 && sampling->temperature <= 1000.0) ||
        !(sampling->top_p > 0.0 && sampling->top_p <= 1.0) || (sampling->top_k < 1 && sampling->top_k != EH_ALL))
        return eh_fail(err, EH_EINVAL, "temperature %g, top_p %g, top_k %lld; wanted 0 to 1000, above 0 to 1, "
                       "1 or more (or EH_ALL)", sampling->temperature, sampling->top_p, (long long)sampling->top_k);
    for (int64_t i = 0; i < n_prompt; i++) {
        if (prompt[i].n_tok < 1)
            return eh_fail(err, EH_EINVAL, "prompt %lld has no token", (long long)i);
        if (prompt[i].n_tok > s->m->config.n_ctx)
            return eh_fail(err, EH_ERANGE, "prompt %lld: %lld tokens; the model's context is %lld", (long long)i,
                           (long long)prompt[i].n_tok, (long long)s->m->config.n_ctx);
        for (int64_t t = 0; t < prompt[i].n_tok; t++)
            if (prompt[i].tok[t] < 0 || prompt[i].tok[t] >= s->m->config.n_vocab)
                return eh_fail(err, EH_EINVAL, "prompt %lld: token %lld is %d; the vocabulary has 0 to %lld",
                               (long long)i, (long long)t, prompt[i].tok[t], (long long)s->m->config.n_vocab - 1);
    }
    return EH_OK;
}

/* Prompts first..end-1 with all their samples. */
static int run_group(eh_session *s, const eh_request *prompt, int64_t first, int64_t end, int64_t n_sample,
                     const eh_sampling *sampling, eh_token_see *see, void *ctx, eh_generated *out, eh_err *err)
{
    const int64_t n_vocab = s->m->config.n_vocab;
    int64_t longest = 0;
    for (int64_t i = first; i < end; i++)
        if (prompt[i].n_tok > longest)
            longest = prompt[i].n_tok;
    int64_t room = longest + sampling->max_new;
    if (room > s->m->config.n_ctx)
        room = s->m->config.n_ctx;
    group g = {.s = s, .sampling = sampling, .n_seq = (end - first) * n_sample, .see = see, .see_ctx = ctx};
    eh_arena arena = {0};
    int rc = eh_cache_init(&g.cache, s, g.n_seq, room, err);
    if (rc < 0)
        return rc;
    g.seq = eh_new(&arena, sequence, g.n_seq);
    g.logits = eh_new_raw(&arena, float, g.n_seq * n_vocab);
    g.sampler = (eh_sampler){
        .o = sampling,
        .n = n_vocab,
        .p = eh_new_raw(&arena, double, n_vocab),
        .heap = eh_new_raw(&arena, int32_t, n_vocab),
    };
    if (!g.seq || !g.logits || !g.sampler.p || !g.sampler.heap) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld sequences", (long long)g.n_seq);
        goto done;
    }
    for (int64_t i = 0; i < g.n_seq; i++) {
        const int64_t p = first + i / n_sample, k = i % n_sample;
        g.seq[i] = (sequence){
            .prompt = p,
            .sample = k,
            .out = &out[p * n_sample + k],
            .rng = eh_rng_at(sampling->seed, "generate", (uint64_t)p << 20 | (uint64_t)k),
        };
    }
    rc = prefill(&g, prompt, n_sample, err);
    if (rc == EH_OK)
        rc = step_all(&g, err);
done:
    eh_cache_clear(&g.cache, s);
    eh_arena_clear(&arena);
    return rc;
}

int eh_generate(eh_session *s, const eh_request *prompt, int64_t n_prompt, int64_t n_sample,
                const eh_sampling *given, eh_token_see *see, void *ctx, eh_generated *out, eh_err *err)
{
    eh_sampling own;
    const eh_sampling *const sampling = &own;
    eh_sampling_init(&own, sizeof own);
    int rc = eh_options_take(&own, sizeof own, given, "eh_sampling_init", err);
    if (rc == EH_OK)
        rc = check_call(s, prompt, n_prompt, n_sample, sampling, err);
    if (rc < 0)
        return rc;
    const int64_t n = n_prompt * n_sample;
    for (int64_t i = 0; i < n; i++)
        out[i] = (eh_generated){0};
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        out[i].tok = eh_alloc(sampling->max_new, (int64_t)sizeof *out[i].tok);
        if (out[i].tok == NULL)
            rc = eh_fail(err, EH_ENOMEM, "no memory for %lld continuations", (long long)n);
    }
    eh_session_plan_memory(s, s->memory_given ? s->memory : -1); /* every step needs every layer */
    for (int64_t first = 0; first < n_prompt && rc == EH_OK;) {
        int64_t end = first, positions = 0;
        for (; end < n_prompt; end++) {
            positions += n_sample * (prompt[end].n_tok + sampling->max_new);
            if (end > first && ((end - first + 1) * n_sample > SEQUENCES || positions > POSITIONS))
                break;
        }
        rc = run_group(s, prompt, first, end, n_sample, sampling, see, ctx, out, err);
        first = end;
    }
    eh_session_plan_memory(s, s->memory);
    if (rc < 0)
        for (int64_t i = 0; i < n; i++) {
            eh_free(out[i].tok);
            out[i] = (eh_generated){0};
        }
    return rc;
}
