/*
 * Keys and values of sequences that are continued token by token (generation).
 *
 *     eh_cache c;
 *     rc = eh_cache_init(&c, s, n_seq, room, err);
 *     rc = eh_forward(s, &batch, &c, NULL, 0, x, err);      segments whose `cache` is i continue sequence i
 *     eh_cache_clear(&c, s);
 */
#ifndef EH_MODEL_CACHE_H
#define EH_MODEL_CACHE_H

#include "model/session.h"

/* Keys and values of sequences that are continued: a segment whose `cache` is s continues sequence s. */
typedef struct eh_cache {
    int64_t n_seq, room; /* sequences; positions each has room for */
    float **k, **v;      /* [n_layer * n_seq], each [room, n_kv * d_head] */
} eh_cache;

int eh_cache_init(eh_cache *c, const eh_session *s, int64_t n_seq, int64_t room, eh_err *err);
void eh_cache_clear(eh_cache *c, const eh_session *s);

#endif
