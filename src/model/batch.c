#include "model/batch.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local const eh_request *sorting; /* qsort takes no context; qsort_r is not POSIX */

/* A last token that is only scored need not go through the layers: nothing is asked of it. A request
 * that scores nothing (from == n_tok) is there for what observers see, and runs whole. */
int64_t eh_request_depth(const eh_request *r)
{
    return r->n_cand > 0 || r->from == r->n_tok ? r->n_tok : r->n_tok - 1;
}

static int compare(const void *pa, const void *pb)
{
    const int64_t ia = *(const int64_t *)pa, ib = *(const int64_t *)pb;
    const eh_request *a = &sorting[ia], *b = &sorting[ib];
    const int64_t na = eh_request_depth(a), nb = eh_request_depth(b);
    const int64_t n = na < nb ? na : nb;
    for (int64_t i = 0; i < n; i++)
        if (a->tok[i] != b->tok[i])
            return a->tok[i] < b->tok[i] ? -1 : 1;
    if (na != nb)
        return na < nb ? -1 : 1;
    return ia < ib ? -1 : ia > ib;
}

void eh_batch_order(const eh_request *request, int64_t n, int64_t *order)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    sorting = request;
    qsort(order, (size_t)n, sizeof *order, compare);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Tokens of b's path that are a's, too. Apart: a's rows from from - 1 on are its own; what it has before them, it
 * shares with requests that call no row of it their own, either. */
static int64_t common(const eh_request *a, const eh_request *b, eh_sharing sharing)
{
    if (sharing == EH_SHARE_NONE)
        return 0;
    int64_t n = least(eh_request_depth(a), eh_request_depth(b));
    if (sharing == EH_SHARE_APART)
        n = least(n, least(a->from, b->from) - 1);
    int64_t i = 0;
    while (i < n && a->tok[i] == b->tok[i])
        i++;
    return i;
}

int eh_batch_pack(const eh_request *request, eh_answer *answer, const int64_t *order, int64_t from, int64_t n,
                  int64_t batch_tokens, eh_sharing sharing, eh_arena *arena, eh_batch *batch, int64_t *next,
                  eh_err *err)
{
    /* How many requests fit, and how large the parts become. */
    int64_t n_tok = 0, n_want = 0, longest = 0, end = from;
    for (; end < n; end++) {
        const eh_request *r = &request[order[end]];
        const int64_t shared = end > from ? common(&request[order[end - 1]], r, sharing) : 0;
        const int64_t depth = eh_request_depth(r);
        if (end > from && n_tok + depth - shared > batch_tokens)
            break;
        n_tok += depth - shared;
        n_want += r->n_tok - r->from + r->n_cand;
        if (depth > longest)
            longest = depth;
    }
    eh_batch b = {
        .tok = eh_new_raw(arena, int32_t, n_tok),
        .depth = eh_new_raw(arena, int32_t, n_tok),
        .segment_of = eh_new_raw(arena, int32_t, n_tok),
        .segment = eh_new_raw(arena, eh_segment, end - from),
        .ask = eh_new_raw(arena, int64_t, n_tok),
        .want = eh_new_raw(arena, eh_want, n_want),
        .deepest = longest - 1,
        .request = eh_new_raw(arena, int64_t, end - from),
        .last_row = eh_new_raw(arena, int64_t, end - from),
    };
    int64_t *path = eh_new_raw(arena, int64_t, longest); /* row of each position of the request in hand */
    bool *asked = eh_new(arena, bool, n_tok);
    if (!b.tok || !b.depth || !b.segment_of || !b.segment || !b.ask || !b.want || !b.request || !b.last_row || !path ||
        !asked)
        return eh_fail(err, EH_ENOMEM, "no memory for a batch of %lld tokens", (long long)n_tok);

    for (int64_t o = from; o < end; o++) {
        const eh_request *r = &request[order[o]];
        const int64_t shared = o > from ? common(&request[order[o - 1]], r, sharing) : 0;
        const int64_t depth = eh_request_depth(r);
        if (shared < depth) {
            b.segment[b.n_segment] = (eh_segment){
                .first = b.n_tok,
                .n = depth - shared,
                .depth = shared,
                .parent = shared > 0 ? path[shared - 1] : -1,
                .cache = -1,
            };
            for (int64_t i = shared; i < depth; i++) {
                b.tok[b.n_tok] = r->tok[i];
                b.depth[b.n_tok] = (int32_t)i;
                b.segment_of[b.n_tok] = (int32_t)b.n_segment;
                path[i] = b.n_tok++;
            }
            b.n_segment++;
        }
        b.request[b.n_request] = order[o];
        b.last_row[b.n_request++] = path[r->from - 1];
        eh_answer *a = &answer[order[o]];
        a->is_greedy = true;
        for (int64_t i = r->from; i < r->n_tok; i++) {
            b.want[b.n_want++] = (eh_want){path[i - 1], r->tok[i], &a->token_logprob[i - r->from], &a->is_greedy};
            asked[path[i - 1]] = true;
        }
        for (int64_t i = 0; i < r->n_cand; i++)
            b.want[b.n_want++] = (eh_want){path[r->n_tok - 1], r->cand[i], &a->cand_logprob[i], NULL};
        if (r->n_cand > 0)
            asked[path[r->n_tok - 1]] = true;
    }
    /* Rows become indices into ask. */
    int64_t *index = eh_new_raw(arena, int64_t, n_tok);
    if (index == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a batch of %lld tokens", (long long)n_tok);
    for (int64_t i = 0; i < b.n_tok; i++)
        if (asked[i]) {
            index[i] = b.n_ask;
            b.ask[b.n_ask++] = i;
        }
    for (int64_t i = 0; i < b.n_want; i++)
        b.want[i].row = index[b.want[i].row];
    *batch = b;
    *next = end;
    return EH_OK;
}
