#include "model/cache.h"

#include "base/mem.h"

int eh_cache_init(eh_cache *c, const eh_session *s, int64_t n_seq, int64_t room, eh_err *err)
{
    const int64_t n = s->m->config.n_layer * n_seq;
    const int64_t width = s->m->config.n_kv * s->m->config.d_head;
    *c = (eh_cache){.n_seq = n_seq, .room = room};
    c->k = eh_calloc(n, (int64_t)sizeof *c->k);
    c->v = eh_calloc(n, (int64_t)sizeof *c->v);
    bool good = c->k != NULL && c->v != NULL;
    for (int64_t i = 0; good && i < n; i++) {
        c->k[i] = eh_alloc(room, width * (int64_t)sizeof(float));
        c->v[i] = eh_alloc(room, width * (int64_t)sizeof(float));
        good = c->k[i] != NULL && c->v[i] != NULL;
    }
    if (good)
        return EH_OK;
    eh_cache_clear(c, s);
    return eh_fail(err, EH_ENOMEM, "no memory for keys and values of %lld sequences of %lld positions",
                   (long long)n_seq, (long long)room);
}

void eh_cache_clear(eh_cache *c, const eh_session *s)
{
    for (int64_t i = 0; i < s->m->config.n_layer * c->n_seq; i++) {
        if (c->k != NULL)
            eh_free(c->k[i]);
        if (c->v != NULL)
            eh_free(c->v[i]);
    }
    eh_free(c->k);
    eh_free(c->v);
    *c = (eh_cache){0};
}
