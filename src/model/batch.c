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

/* How many requests fit, and how large the parts become. */
typedef struct measure {
    int64_t end, n_tok, n_want, longest;
} measure;

static measure measure_of(const eh_request *request, const int64_t *order, int64_t from, int64_t n,
                          int64_t batch_tokens, eh_sharing sharing)
{
    measure m = {.end = from};
    for (; m.end < n; m.end++) {
        const eh_request *r = &request[order[m.end]];
        const int64_t shared = m.end > from ? common(&request[order[m.end - 1]], r, sharing) : 0;
        const int64_t depth = eh_request_depth(r);
        if (m.end > from && m.n_tok + depth - shared > batch_tokens)
            break;
        m.n_tok += depth - shared;
        m.n_want += r->n_tok - r->from + r->n_cand;
        if (depth > m.longest)
            m.longest = depth;
    }
    return m;
}

/* What is wanted of a request whose positions lie at the rows path [depth]. */
static void want(eh_batch *b, const eh_request *r, eh_answer *a, const int64_t *path, bool *asked)
{
    a->is_greedy = true;
    for (int64_t i = r->from; i < r->n_tok; i++) {
        b->want[b->n_want++] = (eh_want){path[i - 1], r->tok[i], &a->token_logprob[i - r->from], &a->is_greedy};
        asked[path[i - 1]] = true;
    }
    for (int64_t i = 0; i < r->n_cand; i++)
        b->want[b->n_want++] = (eh_want){path[r->n_tok - 1], r->cand[i], &a->cand_logprob[i], NULL};
    if (r->n_cand > 0)
        asked[path[r->n_tok - 1]] = true;
}

int eh_batch_pack(const eh_request *request, eh_answer *answer, const int64_t *order, int64_t from, int64_t n,
                  int64_t batch_tokens, eh_sharing sharing, eh_arena *arena, eh_batch *batch, int64_t *next,
                  eh_err *err)
{
    const measure m = measure_of(request, order, from, n, batch_tokens, sharing);
    eh_batch b = {
        .want = eh_new_raw(arena, eh_want, m.n_want),
        .request = eh_new_raw(arena, int64_t, m.end - from),
        .last_row = eh_new_raw(arena, int64_t, m.end - from),
    };
    int64_t *path = eh_new_raw(arena, int64_t, m.longest); /* row of each position of the request in hand */
    int64_t *index = eh_new_raw(arena, int64_t, m.n_tok);
    bool *asked = eh_new(arena, bool, m.n_tok);
    if (!eh_forest_room(&b, m.n_tok, m.end - from, arena) || !b.want || !b.request || !b.last_row || !path || !index ||
        !asked)
        return eh_fail(err, EH_ENOMEM, "no memory for a batch of %lld tokens", (long long)m.n_tok);
    for (int64_t o = from; o < m.end; o++) {
        const eh_request *r = &request[order[o]];
        const int64_t shared = o > from ? common(&request[order[o - 1]], r, sharing) : 0;
        const int64_t depth = eh_request_depth(r);
        int64_t row = eh_forest_add(&b, r->tok + shared, depth - shared, shared, shared > 0 ? path[shared - 1] : -1,
                                    -1);
        for (int64_t i = shared; i < depth; i++)
            path[i] = row++;
        b.request[b.n_request] = order[o];
        b.last_row[b.n_request++] = path[r->from - 1];
        want(&b, r, &answer[order[o]], path, asked);
    }
    eh_forest_ask(&b, asked, index);
    for (int64_t i = 0; i < b.n_want; i++)
        b.want[i].row = index[b.want[i].row];
    *batch = b;
    *next = m.end;
    return EH_OK;
}
