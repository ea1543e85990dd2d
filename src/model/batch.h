/*
 * A batch: many requests as a forest of token trees, and what is asked of it.
 *
 * Requests in lexicographic order of their tokens are read one after another; the part that a
 * request shares with the one before it is a prefix that is in the forest already, and the rest
 * becomes a new segment. The order of reading is depth-first order.
 */
#ifndef EH_MODEL_BATCH_H
#define EH_MODEL_BATCH_H

#include "base/mem.h"
#include "op/attention.h"

/* One number asked for: log p(id | the path down to row). */
typedef struct eh_want {
    int64_t row;  /* index into ask */
    int32_t id;
    float *logprob; /* where it goes */
    bool *greedy;   /* AND-ed with "id was the likeliest"; NULL for candidates */
} eh_want;

typedef struct eh_batch {
    int64_t n_tok;
    int32_t *tok, *depth, *segment_of; /* [n_tok] */
    int64_t n_segment;
    eh_segment *segment;
    int64_t n_ask;
    int64_t *ask; /* [n_ask] rows whose logits are wanted, ascending */
    int64_t n_want;
    eh_want *want;
    int64_t deepest;
    int64_t n_request;
    int64_t *request;  /* [n_request] indices of the call's requests that are in */
    int64_t *last_row; /* [n_request] the row of each one's position from - 1 */
    int64_t number;    /* which batch of the call, from 0; the caller's to set */
} eh_batch;

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
