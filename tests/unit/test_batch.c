/* Requests packed into token trees: by hand, and against a trie built naively. */
#include "model/batch.h"

#include <string.h>

#include "base/rng.h"
#include "check.h"

static eh_err err;

#define N_MOST 60
#define LEN_MOST 20

typedef struct set {
    int32_t tok[N_MOST][LEN_MOST], cand[N_MOST][3];
    eh_request request[N_MOST];
    eh_answer answer[N_MOST];
    float token_logprob[N_MOST][LEN_MOST], cand_logprob[N_MOST][3];
    int64_t order[N_MOST];
    int64_t n;
} set;

static set s;

static void begin(void)
{
    memset(&s, 0, sizeof s);
}

/* A request of the digits in `tokens`, scored from `from`, with the first n_cand of 7, 8, 9 as candidates. */
static void add(const char *tokens, int64_t from, int64_t n_cand)
{
    const int64_t i = s.n++, n = (int64_t)strlen(tokens);
    for (int64_t t = 0; t < n; t++)
        s.tok[i][t] = tokens[t] - '0';
    for (int32_t c = 0; c < 3; c++)
        s.cand[i][c] = 7 + c;
    s.request[i] = (eh_request){s.tok[i], n, from, s.cand[i], n_cand};
    s.answer[i] = (eh_answer){.token_logprob = s.token_logprob[i], .cand_logprob = s.cand_logprob[i]};
}

static eh_batch pack(int64_t from, int64_t batch_tokens, eh_sharing sharing, eh_arena *arena, int64_t *next)
{
    eh_batch b;
    CHECK_OK(eh_batch_pack(s.request, s.answer, s.order, from, s.n, batch_tokens, sharing, arena, &b, next, &err));
    return b;
}

TEST(what_is_only_scored_last_does_not_run)
{
    begin();
    add("123", 1, 0);
    add("123", 3, 0);
    add("123", 2, 1);
    add("1", 1, 1);
    CHECK_INT(eh_request_depth(&s.request[0]), 2);
    CHECK_INT(eh_request_depth(&s.request[1]), 3); /* scores nothing: it is there for the observers */
    CHECK_INT(eh_request_depth(&s.request[2]), 3); /* candidates ask after the last token */
    CHECK_INT(eh_request_depth(&s.request[3]), 1);
}

TEST(order_is_by_tokens_then_length_then_index)
{
    begin();
    add("21", 2, 1);
    add("123", 3, 1);
    add("12", 2, 1);
    add("12", 1, 1);
    add("1299", 3, 0); /* its last token does not run: 129 */
    eh_batch_order(s.request, s.n, s.order);
    const int64_t want[5] = {2, 3, 1, 4, 0};
    for (int i = 0; i < 5; i++)
        CHECK_INT(s.order[i], want[i]);
}

/* "1234 7" and "1256" share 12; "3" stands alone. The order is already that of the tokens. */
TEST(a_forest_by_hand)
{
    eh_arena arena = {0};
    int64_t next;
    begin();
    add("1234", 3, 1); /* scores 4 after 123, and asks for a candidate after 1234 */
    add("1256", 2, 0); /* scores 5 after 12, 6 after 125 */
    add("3", 1, 2);
    eh_batch_order(s.request, s.n, s.order);
    const eh_batch b = pack(0, 100, EH_SHARE_ALL, &arena, &next);
    const int32_t tok[6] = {1, 2, 3, 4, 5, 3}, depth[6] = {0, 1, 2, 3, 2, 0}, segment_of[6] = {0, 0, 0, 0, 1, 2};
    CHECK_INT(next, 3);
    CHECK_INT(b.n_tok, 6);
    CHECK(memcmp(b.tok, tok, sizeof tok) == 0);
    CHECK(memcmp(b.depth, depth, sizeof depth) == 0);
    CHECK(memcmp(b.segment_of, segment_of, sizeof segment_of) == 0);
    CHECK_INT(b.deepest, 3);
    CHECK_INT(b.n_segment, 3);
    const eh_segment runs[3] = {{0, 4, 0, -1, -1}, {4, 1, 2, 1, -1}, {5, 1, 0, -1, -1}};
    CHECK(memcmp(b.segment, runs, sizeof runs) == 0);

    /* Asked: after 12 (row 1), 123 (2), 1234 (3), 125 (4), 3 (5). */
    CHECK_INT(b.n_ask, 5);
    for (int64_t i = 0; i < 5; i++)
        CHECK_INT(b.ask[i], i + 1);
    const struct {
        int64_t row;
        int32_t id;
        const float *where;
        const bool *greedy;
    } wants[6] = {
        {1, 4, &s.token_logprob[0][0], &s.answer[0].is_greedy}, {2, 7, &s.cand_logprob[0][0], NULL},
        {0, 5, &s.token_logprob[1][0], &s.answer[1].is_greedy}, {3, 6, &s.token_logprob[1][1], &s.answer[1].is_greedy},
        {4, 7, &s.cand_logprob[2][0], NULL},                    {4, 8, &s.cand_logprob[2][1], NULL},
    };
    CHECK_INT(b.n_want, 6);
    for (int i = 0; i < 6; i++)
        CHECK(b.want[i].row == wants[i].row && b.want[i].id == wants[i].id && b.want[i].logprob == wants[i].where &&
              b.want[i].greedy == wants[i].greedy);
    CHECK(s.answer[0].is_greedy && s.answer[1].is_greedy && s.answer[2].is_greedy); /* until a token says otherwise */
    eh_arena_clear(&arena);
}

TEST(without_sharing_every_request_is_a_tree_of_its_own)
{
    eh_arena arena = {0};
    int64_t next;
    begin();
    add("123", 3, 1);
    add("123", 3, 1);
    add("124", 3, 1);
    eh_batch_order(s.request, s.n, s.order);
    const eh_batch shared = pack(0, 100, EH_SHARE_ALL, &arena, &next);
    const eh_batch alone = pack(0, 100, EH_SHARE_NONE, &arena, &next);
    CHECK_INT(shared.n_tok, 4);
    CHECK_INT(shared.n_segment, 2); /* the same request twice adds no segment */
    CHECK_INT(alone.n_tok, 9);
    CHECK_INT(alone.n_segment, 3);
    for (int r = 0; r < 3; r++)
        CHECK(alone.segment[r].parent == -1 && alone.segment[r].depth == 0 && alone.segment[r].n == 3);
    eh_arena_clear(&arena);
}

/* Rows of position from - 1 and after are each request's own; what comes before is shared. */
TEST(apart_the_answer_rows_are_nobody_elses)
{
    eh_arena arena = {0};
    int64_t next;
    begin();
    add("1234", 4, 1);
    add("1234", 4, 1);
    add("1234", 2, 1); /* its row of 2 is its own, and so are those of 3 and 4 */
    add("12345", 5, 1);
    add("12345", 5, 1);
    eh_batch_order(s.request, s.n, s.order);
    const eh_batch b = pack(0, 100, EH_SHARE_APART, &arena, &next);
    CHECK_INT(b.n_request, 5);
    /* 1234, then 4; then 234 on 1; the fourth finds only 1 before it that is nobody's: 2345; then 5. */
    CHECK_INT(b.n_tok, 4 + 1 + 3 + 4 + 1);
    const int64_t last_row[5] = {3, 4, 5, 11, 12};
    for (int i = 0; i < 5; i++)
        CHECK_INT(b.last_row[i], last_row[i]);
    for (int i = 0; i < 5; i++)
        for (int64_t row = b.last_row[i]; row >= 0;) { /* no path goes through another's answer */
            for (int k = 0; k < 5; k++)
                CHECK(k == i || b.last_row[k] != row);
            const eh_segment *r = &b.segment[b.segment_of[row]];
            row = row > r->first ? row - 1 : r->parent;
        }
    eh_arena_clear(&arena);
}

TEST(a_batch_ends_where_its_tokens_would_be_too_many)
{
    eh_arena arena = {0};
    int64_t next;
    begin();
    add("1111", 4, 1);
    add("1112", 4, 1); /* one new token */
    add("2222", 4, 1);
    eh_batch_order(s.request, s.n, s.order);
    CHECK_INT(pack(0, 5, EH_SHARE_ALL, &arena, &next).n_tok, 5);
    CHECK_INT(next, 2);
    CHECK_INT(pack(0, 4, EH_SHARE_ALL, &arena, &next).n_tok, 4);
    CHECK_INT(next, 1);
    CHECK_INT(pack(1, 4, EH_SHARE_ALL, &arena, &next).n_tok, 4); /* what an earlier batch held is not shared */
    CHECK_INT(next, 2);
    CHECK_INT(pack(0, 1, EH_SHARE_ALL, &arena, &next).n_tok, 4); /* longer than a batch: it goes alone, whole */
    CHECK_INT(next, 1);
    CHECK_INT(pack(0, 9, EH_SHARE_ALL, &arena, &next).n_tok, 9);
    CHECK_INT(next, 3);
    eh_arena_clear(&arena);
}

/* ---- A property ---------------------------------------------------------------------------------- */

static bool same_prefix(int64_t a, int64_t b, int64_t n)
{
    return memcmp(s.tok[a], s.tok[b], (size_t)n * sizeof(int32_t)) == 0;
}

/* Distinct prefixes among requests order[from..to-1]: the size of their trie. */
static int64_t trie_size(int64_t from, int64_t to)
{
    int64_t n = 0;
    for (int64_t i = from; i < to; i++)
        for (int64_t len = 1; len <= eh_request_depth(&s.request[s.order[i]]); len++) {
            bool is_new = true;
            for (int64_t j = from; j < i && is_new; j++)
                is_new = eh_request_depth(&s.request[s.order[j]]) < len || !same_prefix(s.order[j], s.order[i], len);
            n += is_new;
        }
    return n;
}

/* The tokens from the root down to row are the first n of the request's. */
static bool path_is(const eh_batch *b, int64_t row, const int32_t *tok, int64_t n)
{
    while (n > 0 && row >= 0) {
        const eh_segment *r = &b->segment[b->segment_of[row]];
        if (b->tok[row] != tok[n - 1] || b->depth[row] != n - 1)
            return false;
        row = row > r->first ? row - 1 : r->parent;
        n--;
    }
    return n == 0 && row == -1;
}

/* Which request and place an answer's address belongs to. */
static bool find_place(const float *p, int64_t *request, int64_t *at, bool *is_cand)
{
    *is_cand = p >= &s.cand_logprob[0][0] && p < &s.cand_logprob[0][0] + N_MOST * 3;
    const int64_t i = *is_cand ? p - &s.cand_logprob[0][0] : p - &s.token_logprob[0][0];
    *request = i / (*is_cand ? 3 : LEN_MOST);
    *at = i % (*is_cand ? 3 : LEN_MOST);
    return *is_cand || (i >= 0 && i < N_MOST * LEN_MOST);
}

TEST(random_requests_make_the_trie_and_every_want_hangs_on_its_path)
{
    eh_rng r = eh_rng_at(1, "batch", 0);
    for (int round = 0; round < 300; round++) {
        const eh_sharing sharing = round % 4 != 0 ? EH_SHARE_ALL : EH_SHARE_NONE;
        eh_arena arena = {0};
        begin();
        while (s.n < 1 + round % N_MOST) {
            char text[LEN_MOST] = {0};
            const int64_t n = 1 + eh_rng_below(&r, LEN_MOST - 1);
            for (int64_t t = 0; t < n; t++)
                text[t] = (char)('0' + eh_rng_below(&r, round % 3 + 1)); /* few tokens: much is shared */
            add(text, 1 + eh_rng_below(&r, n), eh_rng_below(&r, 4));
        }
        eh_batch_order(s.request, s.n, s.order);
        const int64_t batch_tokens = 1 + eh_rng_below(&r, 200);
        int64_t n_want = 0, n_asked = 0;
        for (int64_t at = 0, next; at < s.n; at = next) {
            const eh_batch b = pack(at, batch_tokens, sharing, &arena, &next);
            CHECK(next > at);
            CHECK(b.n_tok <= batch_tokens || next == at + 1);
            int64_t depth_sum = 0;
            for (int64_t i = at; i < next; i++)
                depth_sum += eh_request_depth(&s.request[s.order[i]]);
            CHECK_INT(b.n_tok, sharing ? trie_size(at, next) : depth_sum);
            for (int64_t i = 1; i < b.n_ask; i++)
                CHECK(b.ask[i] > b.ask[i - 1]);
            for (int64_t w = 0; w < b.n_want; w++) {
                int64_t i, place;
                bool is_cand;
                CHECK(find_place(b.want[w].logprob, &i, &place, &is_cand));
                const eh_request *q = &s.request[i];
                const int64_t n = is_cand ? q->n_tok : q->from + place; /* tokens before the one asked for */
                CHECK_INT(b.want[w].id, is_cand ? q->cand[place] : q->tok[n]);
                CHECK(path_is(&b, b.ask[b.want[w].row], q->tok, n));
            }
            n_want += b.n_want;
        }
        for (int64_t i = 0; i < s.n; i++)
            n_asked += s.request[i].n_tok - s.request[i].from + s.request[i].n_cand;
        CHECK_INT(n_want, n_asked);
        eh_arena_clear(&arena);
    }
}

TEST(no_room_is_an_error)
{
    eh_arena arena = {.limit = 64};
    int64_t next = 77;
    eh_batch b = {.n_tok = 77};
    begin();
    add("12345", 1, 0);
    eh_batch_order(s.request, s.n, s.order);
    CHECK_FAILS(eh_batch_pack(s.request, s.answer, s.order, 0, 1, 10, EH_SHARE_ALL, &arena, &b, &next, &err), EH_ENOMEM,
                "batch of 4 tokens");
    CHECK(next == 77 && b.n_tok == 77);
    eh_arena_clear(&arena);
}
