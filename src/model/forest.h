/*
 * The forest of token trees that a batch is, built a segment at a time in depth-first order:
 *
 *     tokens   The cat sat | down .        rc = eh_forest_room(&b, 5, 2, arena) ...
 *     row       0   1   2     3   4        sat = eh_forest_add(&b, tok, 3, 0, -1, -1) + 2;
 *     depth     0   1   2     3   4              eh_forest_add(&b, more, 2, 3, sat, -1);
 *
 * What is asked of its rows is marked row by row, and then numbered:
 *
 *     asked[4] = true;
 *     eh_forest_ask(&b, asked, index);         b.ask = {4}, index[4] = 0
 */
#ifndef EH_MODEL_FOREST_H
#define EH_MODEL_FOREST_H

#include "base/mem.h"
#include "evenhand/score.h"
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

/* Room in b, which is empty, for so many tokens in so many segments. False: no memory. */
bool eh_forest_room(eh_batch *b, int64_t n_tok, int64_t n_segment, eh_arena *arena);

/* Adds a segment of n tokens, the first at this depth, behind row `parent` or behind what cached sequence `cache` holds
 * (-1 each: none). Returns the row of its first token. Of 0 tokens: no segment. */
int64_t eh_forest_add(eh_batch *b, const int32_t *tok, int64_t n, int64_t depth, int64_t parent, int64_t cache);

/* b->ask gets the rows that asked [n_tok] marks, ascending; index [n_tok] their places in it. */
void eh_forest_ask(eh_batch *b, const bool *asked, int64_t *index);

#endif
