/*
 * Every backend of the table against sums in double written out here, on shapes that fit no block, and
 * the promise that a row's bits in f32 depend on nothing but that row; two at once; one with memory of
 * its own. The same program runs once more in a child that oneDNN takes for a machine with AVX2 only.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "backend/backend.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "check.h"
#include "tensor/dtype.h"

#define U 5.9604644775390625e-8 /* 2^-24 */
#define M_MOST 700              /* rows: more than a block of 512 */
#define N_IN_MOST 576
#define N_OUT_MOST 193

static eh_err err;

static const int64_t n_ins[] = {1, 7, 72, 576}, n_outs[] = {1, 65, 193};

static float x[M_MOST * N_IN_MOST], w[N_OUT_MOST * N_IN_MOST], out[M_MOST * N_OUT_MOST], part[M_MOST * N_OUT_MOST];
static uint16_t x_half[M_MOST * N_IN_MOST], w_half[N_OUT_MOST * N_IN_MOST];

/* Numbers spread over 2^12 in size, so that sums round. */
static void draw(float *to, int64_t n, uint64_t index)
{
    eh_rng r = eh_rng_at(7, "product", index);
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)(eh_rng_normal(&r) * exp2((double)eh_rng_below(&r, 12) - 6.0));
}

static void to_half(float *values, uint16_t *half, int64_t n)
{
    eh_f32_to_bf16(values, n, half);
    eh_bf16_to_f32(half, n, values);
}

static bool is_plain(const eh_backend_kind *kind)
{
    return strcmp(kind->name, "reference") == 0;
}

static eh_backend *open_kind(const eh_backend_kind *kind, int n_thread)
{
    eh_backend *b = NULL;
    CHECK_OK(eh_backend_open(kind, n_thread, &b, &err));
    return b;
}

static eh_backend *open_best(int n_thread)
{
    const eh_backend_kind *kind = NULL;
    CHECK_OK(eh_backend_find(NULL, &kind, &err));
    return open_kind(kind, n_thread);
}

static bool has_onednn(void)
{
    const eh_backend_kind *kind;
    return eh_backend_find("onednn", &kind, NULL) == EH_OK;
}

/* out [m, n_out] against double sums of x and w. However the n_in products are added up in float,
 * fused or not, the error stays below n_in roundings of the sum of their sizes; bf16 products are
 * exact in f32, so the same bound holds there. `rounds`: 1 for double sums rounded once. */
static void check_values(const char *what, int64_t m, int64_t n_in, int64_t n_out, int64_t rounds)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t o = 0; o < n_out; o++) {
            double want = 0, size = 0;
            for (int64_t k = 0; k < n_in; k++) {
                const double one = (double)x[i * n_in + k] * (double)w[o * n_in + k];
                want += one;
                size += fabs(one);
            }
            if (!(fabs((double)out[i * n_out + o] - want) <= (double)rounds * U * size)) {
                print_error("%s, %d x %d x %d: row %d, column %d\n", what, (int)m, (int)n_in, (int)n_out, (int)i,
                            (int)o);
                CHECK_NEAR((double)out[i * n_out + o], want, (double)rounds * U * size);
            }
        }
}

static const int64_t rows_tried[] = {1, 2, 3, 5, 8, 16, 31, 64, 65, 130};

/* The roundings that a sum of n_in products may take. */
static int64_t rounds_of(const eh_backend_kind *kind, int64_t n_in)
{
    return is_plain(kind) ? 1 : n_in + 1;
}

TEST(every_row_of_the_table_is_complete_and_no_name_stands_twice)
{
    const eh_backend_kind *k;
    int n = 0;
    for (; (k = eh_backend_row(n)) != NULL; n++) {
        CHECK(k->name != NULL && k->name[0] != '\0' && k->words != NULL && k->words[0] != '\0');
        CHECK(k->available != NULL && k->has_bf16 != NULL && k->open != NULL && k->close != NULL);
        CHECK(k->pack != NULL && k->run != NULL && k->drop != NULL && k->gemm != NULL);
        CHECK(k->memory != NULL && k->memory->alloc != NULL && k->memory->release != NULL);
        CHECK(k->memory->upload != NULL && k->memory->download != NULL);
        for (int i = 0; i < n; i++)
            CHECK(strcmp(k->name, eh_backend_row(i)->name) != 0);
    }
    CHECK(n >= 1 && is_plain(eh_backend_row(n - 1)) && eh_backend_row(n - 1)->available());
    CHECK(eh_backend_row(-1) == NULL);
}

TEST(backends_are_found_by_name_and_the_first_that_runs_here_is_the_best)
{
    const eh_backend_kind *k = NULL, *untouched = eh_backend_row(0);
    for (int i = 0; eh_backend_row(i) != NULL; i++) {
        const int rc = eh_backend_find(eh_backend_row(i)->name, &k, &err);
        CHECK(eh_backend_row(i)->available() ? rc == EH_OK && k == eh_backend_row(i) : rc == EH_ENOSUP);
    }
    CHECK_OK(eh_backend_find(NULL, &k, &err));
    for (int i = 0; eh_backend_row(i) != k; i++)
        CHECK(!eh_backend_row(i)->available());
    CHECK_FAILS(eh_backend_find("cublas", &untouched, &err), EH_EINVAL, "\"cublas\" is not in this build");
    CHECK_FAILS(eh_backend_find("", &untouched, &err), EH_EINVAL, "which has: ");
    for (int i = 0; eh_backend_row(i) != NULL; i++)
        CHECK(strstr(err.text, eh_backend_row(i)->name) != NULL);
    CHECK(untouched == eh_backend_row(0));
}

TEST(every_open_backend_is_another_and_its_memory_holds_what_is_put_there)
{
    for (int i = 0; eh_backend_row(i) != NULL; i++) {
        eh_backend *one = open_kind(eh_backend_row(i), 1), *two = open_kind(eh_backend_row(i), 3);
        CHECK(one != two && one->kind == eh_backend_row(i) && two->kind == one->kind);
        CHECK(one->n_thread == 1 && two->n_thread == 3);
        const eh_backend_memory *memory = one->kind->memory;
        void *p = memory->alloc(one, 1000);
        CHECK(p != NULL && (uintptr_t)p % 64 == 0);
        draw(x, 250, 20);
        memset(part, 0, 1000);
        CHECK_OK(memory->upload(one, p, x, 1000, &err));
        CHECK_OK(memory->download(one, part, p, 1000, &err));
        CHECK(memcmp(part, x, 1000) == 0);
        memory->release(one, p);
        memory->release(one, NULL);
        eh_backend_close(one);
        eh_backend_close(two);
    }
    eh_backend_close(NULL);
}

TEST(f32_products_match_double_sums_on_odd_shapes)
{
    const eh_backend_kind *kind;
    for (int at = 0; (kind = eh_backend_row(at)) != NULL; at++) {
        eh_backend *b = open_kind(kind, 2);
        for (size_t i = 0; i < sizeof n_ins / sizeof *n_ins; i++)
            for (size_t o = 0; o < sizeof n_outs / sizeof *n_outs; o++) {
                const int64_t n_in = n_ins[i], n_out = n_outs[o];
                eh_packed *packed;
                draw(x, 130 * n_in, 1);
                draw(w, n_out * n_in, 2);
                CHECK_OK(eh_backend_pack(b, EH_F32, w, false, n_out, n_in, &packed, &err));
                CHECK_INT(packed->n_out, n_out);
                CHECK_INT(packed->n_in, n_in);
                CHECK(packed->backend == b && packed->precision == EH_F32);
                CHECK(packed->n_byte >= n_out * n_in * 4);
                for (size_t r = 0; r < sizeof rows_tried / sizeof *rows_tried; r++) {
                    memset(out, 0xFF, sizeof out); /* NaN: what is not written shows */
                    CHECK_OK(eh_backend_run(packed, x, rows_tried[r], out, &err));
                    check_values(kind->name, rows_tried[r], n_in, n_out, rounds_of(kind, n_in));
                    CHECK(isnan(out[rows_tried[r] * n_out])); /* nor is anything beyond */
                }
                eh_backend_drop(packed);
            }
        eh_backend_close(b);
    }
}

/* What the packer made of w comes to lie in w. False: refused, with the reason. */
static bool check_half(eh_backend *b, bool from_half, int64_t n_out, int64_t n_in)
{
    eh_packed *packed = NULL;
    draw(x, 130 * n_in, 3);
    draw(w, n_out * n_in, 4);
    to_half(x, x_half, 130 * n_in);
    if (from_half) /* else the packer rounds */
        to_half(w, w_half, n_out * n_in);
    const int rc = eh_backend_pack(b, EH_BF16, from_half ? (const void *)w_half : (const void *)w, from_half, n_out,
                                   n_in, &packed, &err);
    if (rc == EH_ENOSUP) {
        CHECK(packed == NULL && strstr(err.text, "AVX-512") != NULL && !is_plain(b->kind));
        return false;
    }
    CHECK_OK(rc);
    to_half(w, w_half, n_out * n_in);
    for (size_t r = 0; r < sizeof rows_tried / sizeof *rows_tried; r++) {
        memset(out, 0xFF, sizeof out);
        CHECK_OK(eh_backend_run(packed, x_half, rows_tried[r], out, &err));
        check_values(b->kind->name, rows_tried[r], n_in, n_out, rounds_of(b->kind, n_in));
    }
    eh_backend_drop(packed);
    return true;
}

TEST(bf16_products_match_double_sums_of_the_rounded_numbers)
{
    const eh_backend_kind *kind;
    bool refused = false;
    for (int at = 0; (kind = eh_backend_row(at)) != NULL; at++) {
        eh_backend *b = open_kind(kind, 2);
        for (int from_half = 0; from_half < 2; from_half++)
            for (size_t i = 0; i < sizeof n_ins / sizeof *n_ins; i++)
                for (size_t o = 0; o < sizeof n_outs / sizeof *n_outs; o++)
                    if (!is_plain(kind) || n_ins[i] <= 100)
                        refused |= !check_half(b, from_half, n_outs[o], n_ins[i]);
        eh_backend_close(b);
    }
    if (refused)
        SKIP("no bfloat16 products here");
}

TEST(a_bf16_source_packs_to_the_same_f32_product)
{
    for (int at = 0; eh_backend_row(at) != NULL; at++) {
        eh_backend *b = open_kind(eh_backend_row(at), 2);
        eh_packed *one, *other;
        draw(x, 9 * 72, 5);
        draw(w, 65 * 72, 6);
        to_half(w, w_half, 65 * 72);
        CHECK_OK(eh_backend_pack(b, EH_F32, w, false, 65, 72, &one, &err));
        CHECK_OK(eh_backend_pack(b, EH_F32, w_half, true, 65, 72, &other, &err));
        CHECK_OK(eh_backend_run(one, x, 9, out, &err));
        CHECK_OK(eh_backend_run(other, x, 9, part, &err));
        CHECK(memcmp(out, part, 9 * 65 * sizeof *out) == 0);
        eh_backend_drop(one);
        eh_backend_drop(other);
        eh_backend_close(b);
    }
}

/* Rows first..first+m-1 alone, on so many threads, against the same rows of all 700 at once on two. */
static void check_company(eh_backend *const on[4], int64_t n_out, int64_t n_in)
{
    static const int64_t ms[] = {1, 2, 3, 17, 63, 64, 65, 130, 511, 512, 513};
    static const int64_t firsts[] = {0, 1, 37, 187};
    eh_packed *packed[4];
    draw(x, M_MOST * n_in, 8);
    draw(w, n_out * n_in, 9);
    for (int k = 0; k < 4; k++)
        CHECK_OK(eh_backend_pack(on[k], EH_F32, w, false, n_out, n_in, &packed[k], &err));
    CHECK_OK(eh_backend_run(packed[1], x, M_MOST, out, &err));
    for (size_t m = 0; m < sizeof ms / sizeof *ms; m++)
        for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
            /* More threads than cores wait long for each other: once a shape is enough. */
            const int threads = ms[m] == 130 && f < 2 ? 3 + (int)f : 1 + (int)(m + f) % 2;
            CHECK_OK(eh_backend_run(packed[threads - 1], x + firsts[f] * n_in, ms[m], part, &err));
            if (memcmp(part, out + firsts[f] * n_out, (size_t)(ms[m] * n_out) * sizeof *out) != 0) {
                print_error("%s %d x %d: %d rows from %d on %d threads have other bits\n", on[0]->kind->name,
                            (int)n_out, (int)n_in, (int)ms[m], (int)firsts[f], threads);
                fail();
            }
        }
    for (int k = 0; k < 4; k++)
        eh_backend_drop(packed[k]);
}

TEST(f32_rows_have_the_same_bits_in_any_company_on_any_threads)
{
    const eh_backend_kind *kind;
    for (int at = 0; (kind = eh_backend_row(at)) != NULL; at++) {
        eh_backend *on[4]; /* with 1 to 4 threads */
        for (int k = 0; k < 4; k++)
            on[k] = open_kind(kind, k + 1);
        for (size_t i = 0; i < sizeof n_ins / sizeof *n_ins; i++)
            for (size_t o = 0; o < sizeof n_outs / sizeof *n_outs; o++)
                if (!is_plain(kind) || n_ins[i] <= 100) /* it is slow, and its rows cannot know of each other */
                    check_company(on, n_outs[o], n_ins[i]);
        for (int k = 0; k < 4; k++)
            eh_backend_close(on[k]);
    }
}

TEST(nothing_of_a_row_leaks_into_another)
{
    eh_backend *b = open_best(2);
    eh_packed *packed;
    draw(x, 20 * 72, 10);
    draw(w, 65 * 72, 11);
    CHECK_OK(eh_backend_pack(b, EH_F32, w, false, 65, 72, &packed, &err));
    x[7 * 72 + 3] = NAN;
    CHECK_OK(eh_backend_run(packed, x, 20, out, &err));
    for (int64_t i = 0; i < 20; i++)
        for (int64_t o = 0; o < 65; o++)
            CHECK((isnan(out[i * 65 + o]) != 0) == (i == 7));
    CHECK_OK(eh_backend_run(packed, x, 0, NULL, &err)); /* no rows, nothing to do */
    eh_backend_drop(packed);
    eh_backend_drop(NULL);
    eh_backend_close(b);
}

/* ---- The general product ------------------------------------------------------------------------------------ */

typedef struct gemm_case {
    eh_gemm g;
    float *a, *b, *was; /* was: c as it stood */
    int64_t n_c;
} gemm_case;

static gemm_case gemm_case_of(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float beta)
{
    const int64_t lda = (trans_a ? m : k) + 3, ldb = (trans_b ? k : n) + 1, ldc = n + 2;
    const int64_t n_a = (trans_a ? k : m) * lda, n_b = (trans_b ? n : k) * ldb, n_c = m * ldc;
    gemm_case c = {.a = malloc((size_t)n_a * sizeof(float)), .b = malloc((size_t)n_b * sizeof(float)),
                   .was = malloc((size_t)n_c * sizeof(float)), .n_c = n_c};
    CHECK(c.a != NULL && c.b != NULL && c.was != NULL);
    draw(c.a, n_a, 41);
    draw(c.b, n_b, 42);
    draw(c.was, n_c, 43);
    if (beta == 0.0f)
        c.was[0] = NAN; /* not read */
    c.g = (eh_gemm){trans_a, trans_b, m, n, k, c.a, lda, c.b, ldb, beta, NULL, ldc};
    return c;
}

static void free_case(gemm_case *c)
{
    free(c->a);
    free(c->b);
    free(c->was);
}

/* c by backend b; the caller's to free. */
static float *multiply(eh_backend *b, const gemm_case *c)
{
    eh_gemm g = c->g;
    g.c = malloc((size_t)c->n_c * sizeof(float));
    CHECK(g.c != NULL);
    memcpy(g.c, c->was, (size_t)c->n_c * sizeof(float));
    CHECK_OK(eh_backend_gemm(b, &g, &err));
    return g.c;
}

/* c [m, n] with a margin that must stay, against double sums; then on two threads, bit for bit. */
static void check_gemm(eh_backend *one, eh_backend *two, const gemm_case *x_case)
{
    const eh_gemm g = x_case->g;
    float *c = multiply(one, x_case), *again = multiply(two, x_case);
    int64_t wrong = 0;
    for (int64_t i = 0; i < g.m; i++)
        for (int64_t o = 0; o < g.ldc && i * g.ldc + o < x_case->n_c; o++) {
            const float got = c[i * g.ldc + o], *was = &x_case->was[i * g.ldc + o];
            if (o >= g.n) {
                wrong += memcmp(&got, was, sizeof got) != 0;
                continue;
            }
            double want = g.beta == 0.0f ? 0.0 : (double)g.beta * (double)*was, size = fabs(want);
            for (int64_t e = 0; e < g.k; e++) {
                const double p = (double)g.a[g.trans_a ? e * g.lda + i : i * g.lda + e] *
                                 (double)g.b[g.trans_b ? o * g.ldb + e : e * g.ldb + o];
                want += p;
                size += fabs(p);
            }
            wrong += !(fabs((double)got - want) <= (double)(g.k + 1) * U * size);
        }
    if (wrong > 0)
        print_error("%s, gemm %d%d, %d x %d x %d: %d wrong\n", one->kind->name, g.trans_a, g.trans_b, (int)g.m,
                    (int)g.n, (int)g.k, (int)wrong);
    CHECK_INT(wrong, 0);
    CHECK(memcmp(c, again, (size_t)x_case->n_c * sizeof *c) == 0);
    free(c);
    free(again);
}

/* Shapes on both sides of oneDNN's tiles. */
static void check_gemms(const eh_backend_kind *kind)
{
    static const int64_t shapes[][3] = {{1, 1, 1}, {5, 3, 7}, {64, 96, 33}, {257, 385, 20}, {300, 40, 500}};
    eh_backend *one = open_kind(kind, 1), *two = open_kind(kind, 2);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int trans = 0; trans < 4; trans++)
            for (int beta = 0; beta < 2; beta++) {
                gemm_case c = gemm_case_of(trans & 1, trans & 2, shapes[s][0], shapes[s][1], shapes[s][2],
                                           (float)beta);
                check_gemm(one, two, &c);
                free_case(&c);
            }
    CHECK_OK(eh_backend_gemm(one, &(eh_gemm){.n = 5, .k = 5, .lda = 5, .ldb = 5, .ldc = 5}, &err));
    eh_backend_close(one);
    eh_backend_close(two);
}

TEST(the_general_product_matches_double_sums_in_every_order_on_any_number_of_threads)
{
    for (int at = 0; eh_backend_row(at) != NULL; at++)
        check_gemms(eh_backend_row(at));
}

/* ---- Two at once --------------------------------------------------------------------------------------------- */

#define N_ROUND 6
#define N_AGAIN 10 /* so that two callers meet */
#define WIDE 72
#define HIGH 65
#define ROWS 200

/* One caller's work with a backend of its own: packing, products of many sizes, gradients. */
typedef struct work {
    const eh_backend_kind *kind;
    int n_thread;
    float x[ROWS * WIDE], w[HIGH * WIDE];
    float out[N_ROUND][ROWS * HIGH], dw[N_ROUND][HIGH * WIDE];
    int rc;
    eh_err err;
} work;

static void *do_work(void *ctx)
{
    work *k = ctx;
    eh_backend *b = NULL;
    eh_packed *packed = NULL;
    k->rc = eh_backend_open(k->kind, k->n_thread, &b, &k->err);
    for (int i = 0; i < N_ROUND && k->rc == EH_OK; i++) {
        const int64_t m = ROWS - 31 * i;
        if (i % 2 == 0) { /* every second time anew */
            eh_backend_drop(packed);
            packed = NULL;
            k->rc = eh_backend_pack(b, EH_F32, k->w, false, HIGH, WIDE, &packed, &k->err);
        }
        for (int again = 0; again < N_AGAIN && k->rc == EH_OK; again++)
            k->rc = eh_backend_run(packed, k->x, m, k->out[i], &k->err);
        const eh_gemm g = {.trans_a = true, .m = HIGH, .n = WIDE, .k = m, .a = k->out[i], .lda = HIGH, .b = k->x,
                           .ldb = WIDE, .c = k->dw[i], .ldc = WIDE};
        if (k->rc == EH_OK)
            k->rc = eh_backend_gemm(b, &g, &k->err);
    }
    eh_backend_drop(packed);
    eh_backend_close(b);
    return NULL;
}

static work *work_of(const eh_backend_kind *kind, int n_thread, uint64_t index)
{
    work *k = calloc(1, sizeof *k);
    CHECK(k != NULL);
    k->kind = kind;
    k->n_thread = n_thread;
    draw(k->x, ROWS * WIDE, index);
    draw(k->w, HIGH * WIDE, index + 1);
    return k;
}

TEST(two_backends_from_two_threads_give_what_each_gives_alone)
{
    for (int at = 0; eh_backend_row(at) != NULL; at++) {
        work *alone[2], *together[2];
        for (int i = 0; i < 2; i++) {
            alone[i] = work_of(eh_backend_row(at), 1 + i, 60 + 2 * (uint64_t)i);
            do_work(alone[i]);
            CHECK_OK(alone[i]->rc);
        }
        CHECK(memcmp(alone[0]->dw, alone[1]->dw, sizeof alone[0]->dw) != 0);
        for (int again = 0; again < 3; again++) {
            pthread_t thread[2];
            for (int i = 0; i < 2; i++)
                together[i] = work_of(eh_backend_row(at), 1 + i, 60 + 2 * (uint64_t)i);
            for (int i = 0; i < 2; i++)
                CHECK_INT(pthread_create(&thread[i], NULL, do_work, together[i]), 0);
            for (int i = 0; i < 2; i++)
                CHECK_INT(pthread_join(thread[i], NULL), 0);
            for (int i = 0; i < 2; i++) {
                CHECK_OK(together[i]->rc);
                CHECK(memcmp(alone[i]->out, together[i]->out, sizeof alone[i]->out) == 0);
                CHECK(memcmp(alone[i]->dw, together[i]->dw, sizeof alone[i]->dw) == 0);
                free(together[i]);
            }
        }
        free(alone[0]);
        free(alone[1]);
    }
}

/* What one packed stays as it is when another of the same kind is closed. */
TEST(closing_one_backend_leaves_another_alone)
{
    for (int at = 0; eh_backend_row(at) != NULL; at++) {
        eh_backend *one = open_kind(eh_backend_row(at), 2), *two = open_kind(eh_backend_row(at), 2);
        eh_packed *of_one, *of_two;
        draw(x, 9 * 72, 5);
        draw(w, 65 * 72, 6);
        CHECK_OK(eh_backend_pack(one, EH_F32, w, false, 65, 72, &of_one, &err));
        CHECK_OK(eh_backend_pack(two, EH_F32, w, false, 65, 72, &of_two, &err));
        CHECK_OK(eh_backend_run(of_one, x, 9, out, &err));
        eh_backend_drop(of_one);
        eh_backend_close(one);
        CHECK_OK(eh_backend_run(of_two, x, 9, part, &err));
        CHECK(memcmp(out, part, 9 * 65 * sizeof *out) == 0);
        eh_backend_drop(of_two);
        eh_backend_close(two);
    }
}

/* ---- Nobody waits -------------------------------------------------------------------------------------------- */

/* A page that may not be read: whoever does stands still, in the middle of a product, until the page is opened. */
static struct {
    char *page; /* [n_byte] */
    size_t n_byte;
    _Atomic bool reached, other_done, waited_in_vain;
} gate;

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void at_gate(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    const char *at = info->si_addr;
    if (at < gate.page || at >= gate.page + gate.n_byte || atomic_load(&gate.reached)) {
        signal(signal_number, SIG_DFL); /* a fault like any other */
        return;
    }
    atomic_store(&gate.reached, true);
    for (int i = 0; i < 20000 && !atomic_load(&gate.other_done); i++)
        nap();
    atomic_store(&gate.waited_in_vain, !atomic_load(&gate.other_done));
    mprotect(gate.page, gate.n_byte, PROT_READ | PROT_WRITE);
}

/* Packs, multiplies and makes gradients, once the other one stands at the gate. */
static void *pass_by(void *ctx)
{
    for (int i = 0; i < 20000 && !atomic_load(&gate.reached); i++)
        nap();
    do_work(ctx);
    atomic_store(&gate.other_done, true);
    return NULL;
}

TEST(a_product_in_one_backend_does_not_wait_for_one_in_another)
{
    const long page = sysconf(_SC_PAGESIZE);
    struct sigaction now = {.sa_sigaction = at_gate, .sa_flags = SA_SIGINFO}, before;
    CHECK(page >= 9 * 72 * 4);
    gate.n_byte = (size_t)page;
    gate.page = mmap(NULL, gate.n_byte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(gate.page != MAP_FAILED);
    CHECK_INT(sigaction(SIGSEGV, &now, &before), 0);
    for (int at = 0; eh_backend_row(at) != NULL; at++) {
        eh_backend *b = open_kind(eh_backend_row(at), 1);
        work *other = work_of(eh_backend_row(at), 1, 70);
        eh_packed *packed;
        pthread_t thread;
        draw(x, 9 * 72, 5);
        draw(w, 65 * 72, 6);
        CHECK_OK(eh_backend_pack(b, EH_F32, w, false, 65, 72, &packed, &err));
        CHECK_OK(eh_backend_run(packed, x, 9, out, &err));
        memcpy(gate.page, x, 9 * 72 * sizeof *x);
        gate.reached = gate.other_done = gate.waited_in_vain = false;
        CHECK_INT(mprotect(gate.page, gate.n_byte, PROT_NONE), 0);
        CHECK_INT(pthread_create(&thread, NULL, pass_by, other), 0);
        CHECK_OK(eh_backend_run(packed, gate.page, 9, part, &err));
        CHECK_INT(pthread_join(thread, NULL), 0);
        CHECK_OK(other->rc);
        CHECK(gate.reached && !gate.waited_in_vain);
        CHECK(memcmp(part, out, 9 * 65 * sizeof *out) == 0);
        eh_backend_drop(packed);
        eh_backend_close(b);
        free(other);
    }
    CHECK_INT(sigaction(SIGSEGV, &before, NULL), 0);
    munmap(gate.page, gate.n_byte);
}

/* ---- A backend with memory of its own ------------------------------------------------------------------------ */

/*
 * What a backend of another device takes: this row and its functions. Its memory is not the program's: an address in
 * it lies where nothing may be read or written, and the device's own functions find the number behind it by its
 * distance from the start. It multiplies by the reference.
 */
#define DEVICE_BYTES ((int64_t)64 << 20)

typedef struct device {
    eh_backend head;
    eh_backend *plain;
    char *seen, *real; /* [DEVICE_BYTES] addresses as callers see them; what is behind */
    int64_t used, n_live, n_upload, n_download;
} device;

typedef struct device_packed {
    eh_packed head;
    eh_packed *plain;
} device_packed;

extern const eh_backend_kind device_kind;

static void *behind(const device *d, const void *p)
{
    return d->real + ((const char *)p - d->seen);
}

static bool yes(void)
{
    return true;
}

static void device_close(eh_backend *b)
{
    device *d = (device *)b;
    CHECK_INT(d->n_live, 0); /* all that was taken has been given back */
    eh_backend_close(d->plain);
    munmap(d->seen, (size_t)DEVICE_BYTES);
    free(d->real);
    free(d);
}

static int device_open(int n_thread, eh_backend **b, eh_err *e)
{
    device *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->head = (eh_backend){.kind = &device_kind, .n_thread = n_thread};
    d->real = malloc((size_t)DEVICE_BYTES);
    d->seen = mmap(NULL, (size_t)DEVICE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(d->real != NULL && d->seen != MAP_FAILED);
    const eh_backend_kind *plain = NULL;
    CHECK_OK(eh_backend_find("reference", &plain, e));
    CHECK_OK(eh_backend_open(plain, n_thread, &d->plain, e));
    *b = &d->head;
    return EH_OK;
}

static void *device_alloc(eh_backend *b, int64_t n_byte)
{
    device *d = (device *)b;
    if (n_byte > DEVICE_BYTES - d->used - 64)
        return NULL;
    void *p = d->seen + d->used;
    d->used += (n_byte + 63) / 64 * 64;
    d->n_live++;
    return p;
}

static void device_release(eh_backend *b, void *p)
{
    device *d = (device *)b;
    if (p != NULL && --d->n_live == 0)
        d->used = 0;
}

static int device_upload(eh_backend *b, void *to, const void *from, int64_t n_byte, eh_err *e)
{
    device *d = (device *)b;
    (void)e;
    memcpy(behind(d, to), from, (size_t)n_byte);
    d->n_upload++;
    return EH_OK;
}

static int device_download(eh_backend *b, void *to, const void *from, int64_t n_byte, eh_err *e)
{
    device *d = (device *)b;
    (void)e;
    memcpy(to, behind(d, from), (size_t)n_byte);
    d->n_download++;
    return EH_OK;
}

static int device_pack(eh_backend *b, eh_precision precision, const void *from, bool is_bf16, int64_t n_out,
                       int64_t n_in, eh_packed **packed, eh_err *e)
{
    device_packed *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    const int rc = eh_backend_pack(((device *)b)->plain, precision, from, is_bf16, n_out, n_in, &p->plain, e);
    CHECK_OK(rc);
    p->head = *p->plain;
    p->head.backend = b;
    *packed = &p->head;
    return EH_OK;
}

static int device_run(eh_packed *packed, const void *from, int64_t m, float *to, eh_err *e)
{
    const device *d = (const device *)packed->backend;
    return eh_backend_run(((device_packed *)packed)->plain, behind(d, from), m, behind(d, to), e);
}

static void device_drop(eh_packed *packed)
{
    eh_backend_drop(((device_packed *)packed)->plain);
    free(packed);
}

static int device_gemm(eh_backend *b, const eh_gemm *g, eh_err *e)
{
    const device *d = (const device *)b;
    eh_gemm there = *g;
    there.a = behind(d, g->a);
    there.b = behind(d, g->b);
    there.c = behind(d, g->c);
    return eh_backend_gemm(d->plain, &there, e);
}

static const eh_backend_memory device_memory = {false, device_alloc, device_release, device_upload, device_download};
const eh_backend_kind device_kind = {
    "device", "a device in this test", yes,         yes,        device_open, device_close,
    &device_memory, device_pack,       device_run,  device_drop, device_gemm,
};

TEST(a_backend_with_memory_of_its_own_gets_its_operands_there_and_the_result_back)
{
    eh_backend *there = open_kind(&device_kind, 2), *here = open_kind(((device *)there)->plain->kind, 2);
    const device *d = (const device *)there;
    for (int half = 0; half < 2; half++) {
        eh_packed *a, *b;
        const eh_precision precision = half ? EH_BF16 : EH_F32;
        draw(x, 130 * 72, 12);
        draw(w, 65 * 72, 13);
        to_half(x, x_half, 130 * 72);
        CHECK_OK(eh_backend_pack(there, precision, w, false, 65, 72, &a, &err));
        CHECK_OK(eh_backend_pack(here, precision, w, false, 65, 72, &b, &err));
        for (int64_t m = 1; m <= 130; m += 43) { /* the staging grows */
            memset(part, 0xFF, sizeof part);
            CHECK_OK(eh_backend_run(a, half ? (const void *)x_half : x, m, part, &err));
            CHECK_OK(eh_backend_run(b, half ? (const void *)x_half : x, m, out, &err));
            CHECK(memcmp(part, out, (size_t)(m * 65) * sizeof *out) == 0 && isnan(part[m * 65]));
        }
        eh_backend_drop(a);
        eh_backend_drop(b);
    }
    CHECK(d->n_upload >= 8 && d->n_download >= 8);
    eh_packed *wide;
    CHECK_OK(eh_backend_pack(there, EH_F32, w, false, 65, 72, &wide, &err));
    part[0] = 7.0f;
    CHECK_FAILS(eh_backend_run(wide, x, 1 << 20, part, &err), EH_ENOMEM, "backend device has no room");
    CHECK(part[0] == 7.0f);
    CHECK_OK(eh_backend_run(wide, x, 3, part, &err)); /* less fits again */
    eh_backend_drop(wide);
    eh_backend_close(there);
    eh_backend_close(here);
    check_gemms(&device_kind);
}

/* ---- An older processor --------------------------------------------------------------------------------------- */

TEST(the_same_holds_where_onednn_knows_avx2_only)
{
    if (getenv("DNNL_MAX_CPU_ISA") != NULL)
        SKIP("this is the child");
    if (!has_onednn())
        SKIP("built without oneDNN");
    char self[4096], command[4200];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        SKIP("cannot tell which program this is");
    self[n] = '\0';
    snprintf(command, sizeof command, "CHECK_ONLY= DNNL_MAX_CPU_ISA=AVX2 '%s' >&2", self);
    CHECK_INT(system(command), 0);
}
