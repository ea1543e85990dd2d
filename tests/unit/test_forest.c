/* The forest builder, and drawing from logits: by hand, by a property, on random requests. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "model/batch.h"
#include "model/sampling.h"

static eh_err err;

/* The picture of op/attention.h. */
TEST(two_branches_by_hand)
{
    static const int32_t the_cat_sat[] = {10, 11, 12}, down[] = {13, 14}, on[] = {15, 16, 17};
    eh_arena arena = {0};
    eh_batch b = {0};
    CHECK(eh_forest_room(&b, 8, 3, &arena));
    CHECK_INT(eh_forest_add(&b, the_cat_sat, 3, 0, -1, -1), 0);
    CHECK_INT(eh_forest_add(&b, down, 2, 3, 2, -1), 3);
    CHECK_INT(eh_forest_add(&b, NULL, 0, 3, 2, -1), 5); /* nothing is no segment */
    CHECK_INT(eh_forest_add(&b, on, 3, 3, 2, -1), 5);
    static const int32_t depth[] = {0, 1, 2, 3, 4, 3, 4, 5}, of[] = {0, 0, 0, 1, 1, 2, 2, 2};
    CHECK_INT(b.n_tok, 8);
    CHECK_INT(b.n_segment, 3);
    CHECK_INT(b.deepest, 5);
    for (int i = 0; i < 8; i++) {
        CHECK_INT(b.tok[i], 10 + i);
        CHECK_INT(b.depth[i], depth[i]);
        CHECK_INT(b.segment_of[i], of[i]);
    }
    CHECK(b.segment[0].parent == -1 && b.segment[1].parent == 2 && b.segment[2].parent == 2);
    CHECK(b.segment[2].first == 5 && b.segment[2].n == 3 && b.segment[2].depth == 3 && b.segment[2].cache == -1);
    const bool asked[8] = {[2] = true, [7] = true};
    int64_t index[8];
    eh_forest_ask(&b, asked, index);
    CHECK(b.n_ask == 2 && b.ask[0] == 2 && b.ask[1] == 7 && index[2] == 0 && index[7] == 1);
    eh_arena_clear(&arena);
}

/* The token of each position of the path down to a row, from the segments alone. */
static int64_t path_of(const eh_batch *b, int64_t row, int32_t *tok)
{
    const int64_t n = b->depth[row] + 1;
    for (int64_t at = n - 1; row >= 0; at--) {
        const eh_segment *s = &b->segment[b->segment_of[row]];
        tok[at] = b->tok[row];
        row = row > s->first ? row - 1 : s->parent;
    }
    return n;
}

TEST(every_request_is_read_back_from_its_rows)
{
    enum { N = 60, LEN = 12 };
    for (int round = 0; round < 30; round++)
        for (int sharing = EH_SHARE_NONE; sharing <= EH_SHARE_APART; sharing++) {
            int32_t tok[N][LEN], read[LEN];
            float logprob[N][LEN];
            eh_request r[N];
            eh_answer a[N];
            int64_t order[N], next, seen = 0, n_row = 0, n_depth = 0;
            eh_rng g = eh_rng_at(7, "forest", (uint64_t)round);
            for (int i = 0; i < N; i++) {
                const int64_t n = 2 + (int64_t)(eh_rng_double(&g) * (LEN - 2));
                for (int64_t t = 0; t < n; t++)
                    tok[i][t] = (int32_t)(eh_rng_double(&g) * 2.0); /* two tokens: much in common */
                const int64_t from = 1 + (int64_t)(eh_rng_double(&g) * (double)(n - 1));
                r[i] = (eh_request){.tok = tok[i], .n_tok = n, .from = from};
                a[i] = (eh_answer){.token_logprob = logprob[i]};
            }
            eh_batch_order(r, N, order);
            eh_arena arena = {0};
            for (int64_t at = 0; at < N; at = next) {
                eh_batch b;
                CHECK_OK(eh_batch_pack(r, a, order, at, N, 40, (eh_sharing)sharing, &arena, &b, &next, &err));
                CHECK(next > at && (b.n_tok <= 40 || next == at + 1));
                CHECK_INT(b.n_request, next - at);
                n_row += b.n_tok;
                for (int64_t k = 0; k < b.n_request; k++, seen++) {
                    const eh_request *of = &r[b.request[k]];
                    CHECK_INT(path_of(&b, b.last_row[k], read), of->from);
                    CHECK(memcmp(read, of->tok, (size_t)of->from * sizeof *read) == 0);
                    n_depth += eh_request_depth(of);
                }
            }
            CHECK_INT(seen, N);
            CHECK(sharing == EH_SHARE_NONE ? n_row == n_depth : n_row < n_depth);
            eh_arena_clear(&arena);
        }
}

/* ---- Drawing ------------------------------------------------------------------------------------------ */

static int32_t draw(const float *logits, int64_t n, double t, int64_t k, double p, double u)
{
    const eh_sampling o = {.temperature = t, .top_k = k, .top_p = p};
    double room[16];
    int32_t heap[16];
    const eh_sampler s = {&o, n, room, heap};
    return eh_sampler_draw(&s, logits, u);
}

TEST(draws_by_hand)
{
    /* Probabilities 0.5, 0.25, 0.125, 0.125. */
    const float x[4] = {logf(4), logf(2), 0, 0};
    CHECK_INT(draw(x, 4, 1, -1, 1, 0.0), 0);
    CHECK_INT(draw(x, 4, 1, -1, 1, 0.499), 0);
    CHECK_INT(draw(x, 4, 1, -1, 1, 0.501), 1);
    CHECK_INT(draw(x, 4, 1, -1, 1, 0.874), 2);
    CHECK_INT(draw(x, 4, 1, -1, 1, 0.876), 3);
    /* The two likeliest: 2/3 and 1/3. */
    CHECK_INT(draw(x, 4, 1, 2, 1, 0.66), 0);
    CHECK_INT(draw(x, 4, 1, 2, 1, 0.67), 1);
    CHECK_INT(draw(x, 4, 1, 2, 1, 0.999), 1);
    /* Half of it is one token, a little more takes the second, too: the one that crosses the line is kept. */
    CHECK_INT(draw(x, 4, 1, -1, 0.49, 0.999), 0);
    CHECK_INT(draw(x, 4, 1, -1, 0.51, 0.999), 1);
    /* Of equals the smaller id comes first. */
    CHECK_INT(draw(x, 4, 1, 3, 1, 0.999), 2);
    /* At half the temperature the odds are squared: 16 : 4 : 1 : 1. */
    CHECK_INT(draw(x, 4, 0.5, -1, 1, 15.9 / 22), 0);
    CHECK_INT(draw(x, 4, 0.5, -1, 1, 16.1 / 22), 1);
    /* top_k beyond the vocabulary cuts nothing. */
    CHECK_INT(draw(x, 4, 1, 9, 1, 0.876), 3);
}

TEST(tokens_come_as_often_as_their_probability_says)
{
    const float x[4] = {logf(4), logf(2), 0, 0};
    const double p[4] = {0.5, 0.25, 0.125, 0.125};
    int count[4] = {0};
    eh_rng g = eh_rng_at(1, "draws", 0);
    for (int i = 0; i < 20000; i++)
        count[draw(x, 4, 1, -1, 1, eh_rng_double(&g))]++;
    for (int i = 0; i < 4; i++) /* five standard deviations */
        CHECK_NEAR(count[i], 20000 * p[i], 5 * sqrt(20000 * p[i] * (1 - p[i])));
}
