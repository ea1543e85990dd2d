/*
 * Tree attention against a plain double implementation on random forests, and the promise that a
 * token's bits do not depend on where its ancestors lie: in a forest, in a chain, or in a cache.
 */
#include "op/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"

#define U 5.9604644775390625e-8 /* 2^-24 */
#define TOK_MOST 700
#define POS_MOST 400
#define RUN_MOST 40

static eh_err err;

typedef struct shape {
    int64_t n_head, n_kv, d_head, window;
} shape;

static const shape shapes[] = {
    {4, 2, 16, 0}, {9, 3, 64, 0}, {3, 1, 10, 0},  {2, 2, 40, 0},
    {6, 2, 16, 5}, {4, 4, 8, 16}, {8, 1, 24, 33}, {1, 1, 1, 1},
};
#define N_SHAPE (sizeof shapes / sizeof *shapes)

/* A forest with its numbers. Rows of qkv: queries, keys, values side by side. */
typedef struct forest {
    shape s;
    int64_t n_tok, n_segment;
    eh_segment segment[RUN_MOST];
    int32_t segment_of[TOK_MOST];
    int64_t parent[TOK_MOST]; /* row; -1: a root, or the cache */
    int64_t depth[TOK_MOST];
    float *qkv, *out;
    int64_t n_cache, cached[4]; /* positions in each cached sequence */
    float *cache_k[4], *cache_v[4];
} forest;

static int64_t d_row(const shape *s)
{
    return (s->n_head + 2 * s->n_kv) * s->d_head;
}

static float *draw(int64_t n, uint64_t index)
{
    float *x = malloc((size_t)n * sizeof *x + 1);
    CHECK(x != NULL);
    eh_rng r = eh_rng_at(3, "attention", index);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)eh_rng_normal(&r);
    return x;
}

/* Segments of random length hang on random tokens, often in the middle of a segment; some start a tree of
 * their own, some continue a cached sequence. */
static forest *grow(const shape *s, uint64_t seed, bool caches)
{
    forest *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    eh_rng r = eh_rng_at(seed, "forest", (uint64_t)s->d_head);
    f->s = *s;
    f->n_cache = caches ? 4 : 0;
    for (int64_t c = 0; c < f->n_cache; c++) {
        f->cached[c] = 1 + eh_rng_below(&r, 70);
        f->cache_k[c] = draw(f->cached[c] * s->n_kv * s->d_head, seed + 100 + (uint64_t)c);
        f->cache_v[c] = draw(f->cached[c] * s->n_kv * s->d_head, seed + 200 + (uint64_t)c);
    }
    while (f->n_segment < 20) {
        eh_segment *segment = &f->segment[f->n_segment];
        const int64_t most = f->n_segment % 5 == 0 ? 130 : 20;
        *segment = (eh_segment){.first = f->n_tok, .n = 1 + eh_rng_below(&r, most), .parent = -1, .cache = -1};
        const int64_t kind = eh_rng_below(&r, 5);
        if (f->n_segment > 0 && kind >= 2) {
            segment->parent = eh_rng_below(&r, f->n_tok);
            segment->depth = f->depth[segment->parent] + 1;
        } else if (caches && kind == 1) {
            segment->cache = eh_rng_below(&r, f->n_cache);
            segment->depth = f->cached[segment->cache];
        }
        if (segment->depth + segment->n > POS_MOST || f->n_tok + segment->n > TOK_MOST)
            continue;
        for (int64_t i = 0; i < segment->n; i++, f->n_tok++) {
            f->segment_of[f->n_tok] = (int32_t)f->n_segment;
            f->parent[f->n_tok] = i == 0 ? segment->parent : f->n_tok - 1;
            f->depth[f->n_tok] = segment->depth + i;
        }
        f->n_segment++;
    }
    f->qkv = draw(f->n_tok * d_row(s), seed + 300);
    f->out = draw(f->n_tok * s->n_head * s->d_head, 0);
    return f;
}

static void fell(forest *f)
{
    for (int64_t c = 0; c < f->n_cache; c++) {
        free(f->cache_k[c]);
        free(f->cache_v[c]);
    }
    free(f->qkv);
    free(f->out);
    free(f);
}

static void attend(const forest *f, const eh_simd *simd, int n_thread, eh_attention_see *see, void *ctx)
{
    const shape *s = &f->s;
    const eh_attention a = {
        .simd = simd,
        .n_head = s->n_head,
        .n_kv = s->n_kv,
        .d_head = s->d_head,
        .scale = (float)(1.0 / sqrt((double)s->d_head)),
        .window = s->window,
        .n_segment = f->n_segment,
        .segment = f->segment,
        .segment_of = f->segment_of,
        .n_tok = f->n_tok,
        .q = f->qkv,
        .k = f->qkv + s->n_head * s->d_head,
        .v = f->qkv + (s->n_head + s->n_kv) * s->d_head,
        .ld = d_row(s),
        .cache_k = f->n_cache > 0 ? (const float *const *)f->cache_k : NULL,
        .cache_v = f->n_cache > 0 ? (const float *const *)f->cache_v : NULL,
        .out = f->out,
        .see = see,
        .see_ctx = ctx,
    };
    eh_arena arena = {0};
    CHECK_OK(eh_attention_run(&a, n_thread, &arena, &err));
    CHECK_INT(arena.used, 0); /* its scratch is given back */
    eh_arena_clear(&arena);
}

/* Where the keys and values of a token's ancestors lie, by position; row -1: in the cache. */
static void path_of(const forest *f, int64_t tok, int64_t kv, const float **k, const float **v, int64_t *row)
{
    const shape *s = &f->s;
    const int64_t d = s->d_head;
    for (int64_t t = tok, pos = f->depth[tok]; pos >= 0; pos--) {
        if (t >= 0) {
            k[pos] = f->qkv + t * d_row(s) + (s->n_head + kv) * d;
            v[pos] = k[pos] + s->n_kv * d;
            row[pos] = t;
            const int64_t up = f->parent[t];
            if (up < 0 && pos > 0) { /* what is above lies in the cache */
                const int64_t c = f->segment[f->segment_of[t]].cache;
                for (int64_t p = 0; p < pos; p++) {
                    k[p] = f->cache_k[c] + (p * s->n_kv + kv) * d;
                    v[p] = f->cache_v[c] + (p * s->n_kv + kv) * d;
                    row[p] = -1;
                }
                return;
            }
            t = up;
        }
    }
}

/* Probabilities p [depth + 1] of one token and head, and the mixed values. */
static void plain(const forest *f, int64_t tok, int64_t head, double *p, double *out, double *size)
{
    const shape *s = &f->s;
    const float *k[POS_MOST], *v[POS_MOST];
    int64_t row[POS_MOST];
    const int64_t d = s->d_head, n = f->depth[tok] + 1;
    const int64_t from = s->window > 0 && n > s->window ? n - s->window : 0;
    path_of(f, tok, head / (s->n_head / s->n_kv), k, v, row);
    const float *q = f->qkv + tok * d_row(s) + head * d;
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        p[i] = 0;
        for (int64_t c = 0; c < d; c++)
            p[i] += (double)q[c] * (double)k[i][c];
        p[i] /= sqrt((double)d);
        if (i >= from)
            max = fmax(max, p[i]);
    }
    for (int64_t i = 0; i < n; i++)
        sum += p[i] = i < from ? 0.0 : exp(p[i] - max);
    for (int64_t c = 0; c < d; c++) {
        out[c] = *size = 0;
        for (int64_t i = 0; i < n; i++)
            out[c] += (p[i] / sum) * (double)v[i][c];
    }
    for (int64_t i = 0; i < n; i++) {
        p[i] /= sum;
        *size = fmax(*size, fabs(p[i]));
    }
}

/* Scores of size 10 round to about 10 * d U; probabilities shift by that, relatively; values are of
 * size 4. 64 channels: 64 * 10 * U * 4 is 1.5e-4 at the very worst, and 2e-5 what sums of random
 * signs can reach. */
#define NEAR 2e-5

static void check_forest(const eh_simd *simd, bool caches, int n_thread)
{
    for (size_t i = 0; i < N_SHAPE; i++) {
        forest *f = grow(&shapes[i], 10 + i, caches);
        attend(f, simd, n_thread, NULL, NULL);
        for (int64_t t = 0; t < f->n_tok; t++)
            for (int64_t h = 0; h < f->s.n_head; h++) {
                double p[POS_MOST], want[64], size;
                plain(f, t, h, p, want, &size);
                for (int64_t c = 0; c < f->s.d_head; c++)
                    CHECK_NEAR((double)f->out[(t * f->s.n_head + h) * f->s.d_head + c], want[c], NEAR);
            }
        fell(f);
    }
}

TEST(random_forests_match_the_plain_sums)
{
    static const char *const names[] = {"generic", "avx2", "avx512"};
    for (size_t k = 0; k < 3; k++)
        if (eh_simd_named(names[k]) != NULL)
            check_forest(eh_simd_named(names[k]), false, 1);
    check_forest(eh_simd_get(), false, 2);
}

TEST(runs_that_continue_cached_sequences_match_the_plain_sums)
{
    check_forest(eh_simd_get(), true, 2);
}

/* The path of a token as a forest of one segment. */
static forest *chain_of(const forest *f, int64_t tok)
{
    const shape *s = &f->s;
    forest *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->s = *s;
    c->n_tok = f->depth[tok] + 1;
    c->n_segment = 1;
    c->segment[0] = (eh_segment){.n = c->n_tok, .parent = -1, .cache = -1};
    c->qkv = draw(c->n_tok * d_row(s), 1);
    c->out = draw(c->n_tok * s->n_head * s->d_head, 0);
    for (int64_t kv = 0; kv < s->n_kv; kv++) {
        const float *k[POS_MOST], *v[POS_MOST];
        int64_t row[POS_MOST];
        path_of(f, tok, kv, k, v, row);
        for (int64_t p = 0; p < c->n_tok; p++) {
            float *to = c->qkv + p * d_row(s) + (s->n_head + kv) * s->d_head;
            memcpy(to, k[p], (size_t)s->d_head * sizeof *to);
            memcpy(to + s->n_kv * s->d_head, v[p], (size_t)s->d_head * sizeof *to);
        }
    }
    for (int64_t p = 0; p < c->n_tok; p++)
        c->depth[p] = p;
    memcpy(c->qkv + (c->n_tok - 1) * d_row(s), f->qkv + tok * d_row(s),
           (size_t)(s->n_head * s->d_head) * sizeof *f->qkv);
    return c;
}

TEST(a_token_has_the_same_bits_in_a_forest_and_in_a_chain_of_its_own)
{
    for (size_t i = 0; i < N_SHAPE; i++)
        for (int caches = 0; caches < 2; caches++) {
            forest *f = grow(&shapes[i], 40 + i, caches != 0);
            const int64_t width = f->s.n_head * f->s.d_head;
            attend(f, eh_simd_get(), 2, NULL, NULL);
            for (int64_t r = 0; r < f->n_segment; r++)
                for (int64_t t = f->segment[r].first; t < f->segment[r].first + f->segment[r].n;
                     t += 1 + f->segment[r].n / 3) {
                    forest *c = chain_of(f, t);
                    attend(c, eh_simd_get(), 1, NULL, NULL);
                    const float *got = f->out + t * width, *want = c->out + (c->n_tok - 1) * width;
                    CHECK(memcmp(got, want, (size_t)width * sizeof *got) == 0);
                    fell(c);
                }
            fell(f);
        }
}

/* ---- The observer ---------------------------------------------------------------------------- */

typedef struct seen {
    const forest *f;
    int8_t count[TOK_MOST][9];
    double worst;
    bool rows_right;
} seen;

static void see(void *ctx, int worker, int64_t tok, int64_t head, const float *p, int64_t n_pos, const int64_t *row)
{
    seen *s = ctx;
    const float *k[POS_MOST], *v[POS_MOST];
    int64_t rows[POS_MOST];
    double want[POS_MOST], out[64], size;
    (void)worker;
    s->count[tok][head]++;
    plain(s->f, tok, head, want, out, &size);
    path_of(s->f, tok, 0, k, v, rows);
    s->rows_right = s->rows_right && n_pos == s->f->depth[tok] + 1;
    for (int64_t i = 0; i < n_pos; i++) {
        s->worst = fmax(s->worst, fabs((double)p[i] - want[i]));
        s->rows_right = s->rows_right && row[i] == rows[i];
    }
}

TEST(an_observer_sees_every_row_of_probabilities_once)
{
    for (size_t i = 0; i < N_SHAPE; i++) {
        forest *f = grow(&shapes[i], 70 + i, true);
        static seen s;
        const int64_t n = f->n_tok * f->s.n_head * f->s.d_head;
        float *alone = malloc((size_t)n * sizeof *alone);
        CHECK(alone != NULL);
        attend(f, eh_simd_get(), 1, NULL, NULL);
        memcpy(alone, f->out, (size_t)n * sizeof *alone);
        memset(&s, 0, sizeof s);
        s.f = f;
        s.rows_right = true;
        attend(f, eh_simd_get(), 1, see, &s);
        for (int64_t t = 0; t < f->n_tok; t++)
            for (int64_t h = 0; h < f->s.n_head; h++)
                CHECK_INT(s.count[t][h], 1);
        CHECK(s.rows_right);
        CHECK_NEAR(s.worst, 0.0, 1e-5);
        CHECK(memcmp(alone, f->out, (size_t)n * sizeof *alone) == 0); /* looking changes nothing */
        free(alone);
        fell(f);
    }
}

/* ---- By hand, and refusals -------------------------------------------------------------------- */

/* Two tokens, one channel, scale 1: scores 0 and ln 3 give weights 1/4 and 3/4. */
TEST(two_tokens_by_hand)
{
    const shape s = {1, 1, 1, 0};
    forest *f = grow(&s, 1, false);
    f->n_tok = 2;
    f->n_segment = 1;
    f->segment[0] = (eh_segment){.n = 2, .parent = -1, .cache = -1};
    f->segment_of[0] = f->segment_of[1] = 0;
    const float qkv[6] = {5, 0, 8, 1, 1.09861229f, 4};
    memcpy(f->qkv, qkv, sizeof qkv);
    attend(f, eh_simd_get(), 1, NULL, NULL);
    CHECK_NEAR((double)f->out[0], 8.0, 0.0);
    CHECK_NEAR((double)f->out[1], 8.0 / 4 + 4.0 * 3 / 4, 1e-6);
    fell(f);
}

TEST(no_tokens_and_no_memory)
{
    eh_arena arena = {.limit = 1000};
    const eh_attention none = {.n_head = 1, .n_kv = 1, .d_head = 1};
    CHECK_OK(eh_attention_run(&none, 1, &arena, &err));
    const eh_segment segment = {.n = 1, .depth = 5000, .parent = -1, .cache = 0};
    const int32_t segment_of = 0;
    eh_attention a = none;
    a.n_segment = a.n_tok = 1;
    a.segment = &segment;
    a.segment_of = &segment_of;
    CHECK_FAILS(eh_attention_run(&a, 1, &arena, &err), EH_ENOMEM, "attention over 5008 positions");
    CHECK_INT(arena.used, 0);
    eh_arena_clear(&arena);
}
