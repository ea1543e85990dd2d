/*
 * A batch: many requests as a forest of token trees, and what is asked of it.
 *
 * Requests in lexicographic order of their tokens are read one after another; the part that a
 * request shares with the one before it is a prefix that is in the forest already, and the rest
 * becomes a new segment. The order of reading is depth-first order.
 */
#ifndef EH_MODEL_BATCH_H
#define EH_MODEL_BATCH_H

#include "model/forest.h"

/* Which rows requests may have in common. */
typedef enum eh_sharing {
    EH_SHARE_NONE,
    EH_SHARE_ALL,
    EH_SHARE_APART /* prefixes, but not the row of position from - 1 nor any after it */
} eh_sharing;

/* How many of its tokens go through the layers. */
int64_t eh_request_depth(const eh_request *r);

/* The order in which requests are packed: by tokens, then by index. order [n]. */
void eh_batch_order(const eh_request *request, int64_t n, int64_t *order);

/*
 * Packs requests order[from], order[from + 1], ... until batch_tokens distinct tokens are in (at
 * least one request). Sets *next to the first that is left. Everything comes from `arena`.
 */
int eh_batch_pack(const eh_request *request, eh_answer *answer, const int64_t *order, int64_t from, int64_t n,
                  int64_t batch_tokens, eh_sharing sharing, eh_arena *arena, eh_batch *batch, int64_t *next,
                  eh_err *err);

#endif
