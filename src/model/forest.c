#include "model/forest.h"

bool eh_forest_room(eh_batch *b, int64_t n_tok, int64_t n_segment, eh_arena *arena)
{
    b->tok = eh_new_raw(arena, int32_t, n_tok);
    b->depth = eh_new_raw(arena, int32_t, n_tok);
    b->segment_of = eh_new_raw(arena, int32_t, n_tok);
    b->segment = eh_new_raw(arena, eh_segment, n_segment);
    b->ask = eh_new_raw(arena, int64_t, n_tok);
    return b->tok && b->depth && b->segment_of && b->segment && b->ask;
}

int64_t eh_forest_add(eh_batch *b, const int32_t *tok, int64_t n, int64_t depth, int64_t parent, int64_t cache)
{
    const int64_t first = b->n_tok;
    if (n == 0)
        return first;
    b->segment[b->n_segment] = (eh_segment){first, n, depth, parent, cache};
    for (int64_t i = 0; i < n; i++, b->n_tok++) {
        b->tok[b->n_tok] = tok[i];
        b->depth[b->n_tok] = (int32_t)(depth + i);
        b->segment_of[b->n_tok] = (int32_t)b->n_segment;
    }
    b->n_segment++;
    if (depth + n - 1 > b->deepest)
        b->deepest = depth + n - 1;
    return first;
}

void eh_forest_ask(eh_batch *b, const bool *asked, int64_t *index)
{
    for (int64_t row = 0; row < b->n_tok; row++)
        if (asked[row]) {
            index[row] = b->n_ask;
            b->ask[b->n_ask++] = row;
        }
}
