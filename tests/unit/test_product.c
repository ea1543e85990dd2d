/*
 * Both product backends against sums in double written out here, on shapes that fit no block, and
 * the promise that a row's bits in f32 depend on nothing but that row. The same program runs once
 * more in a child that oneDNN takes for a machine with AVX2 only.
 */
#include "backend/product.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
static const char *const backends[] = {"reference", "onednn"};

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

TEST(f32_products_match_double_sums_on_odd_shapes)
{
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < sizeof n_ins / sizeof *n_ins; i++)
            for (size_t o = 0; o < sizeof n_outs / sizeof *n_outs; o++) {
                const eh_product *p = eh_product_named(backends[b]);
                if (p == NULL)
                    continue;
                const int64_t n_in = n_ins[i], n_out = n_outs[o];
                eh_packed *packed;
                draw(x, 130 * n_in, 1);
                draw(w, n_out * n_in, 2);
                CHECK_OK(eh_product_pack(p, EH_F32, w, false, n_out, n_in, 2, &packed, &err));
                CHECK_INT(packed->n_out, n_out);
                CHECK_INT(packed->n_in, n_in);
                CHECK(packed->n_byte >= n_out * n_in * 4);
                for (size_t r = 0; r < sizeof rows_tried / sizeof *rows_tried; r++) {
                    memset(out, 0xFF, sizeof out); /* NaN: what is not written shows */
                    CHECK_OK(eh_product_run(packed, x, rows_tried[r], out, 2, &err));
                    check_values(backends[b], rows_tried[r], n_in, n_out, b == 0 ? 1 : n_in + 1);
                    CHECK(isnan(out[rows_tried[r] * n_out])); /* nor is anything beyond */
                }
                eh_product_drop(packed);
            }
}

TEST(bf16_products_match_double_sums_of_the_rounded_numbers)
{
    for (size_t b = 0; b < 2; b++)
        for (int from_half = 0; from_half < 2; from_half++)
            for (size_t i = 0; i < sizeof n_ins / sizeof *n_ins; i++)
                for (size_t o = 0; o < sizeof n_outs / sizeof *n_outs; o++) {
                    const eh_product *p = eh_product_named(backends[b]);
                    const int64_t n_in = n_ins[i], n_out = n_outs[o];
                    if (p == NULL || (b == 0 && n_in > 100))
                        continue;
                    eh_packed *packed = NULL;
                    draw(x, 130 * n_in, 3);
                    draw(w, n_out * n_in, 4);
                    to_half(x, x_half, 130 * n_in);
                    if (from_half) /* else the packer rounds */
                        to_half(w, w_half, n_out * n_in);
                    const int rc = eh_product_pack(p, EH_BF16, from_half ? (const void *)w_half : (const void *)w,
                                                   from_half, n_out, n_in, 2, &packed, &err);
                    if (rc == EH_ENOSUP && b == 1) {
                        CHECK(packed == NULL && strstr(err.text, "AVX-512") != NULL);
                        SKIP("no bfloat16 products here");
                    }
                    CHECK_OK(rc);
                    to_half(w, w_half, n_out * n_in);
                    for (size_t r = 0; r < sizeof rows_tried / sizeof *rows_tried; r++) {
                        memset(out, 0xFF, sizeof out);
                        CHECK_OK(eh_product_run(packed, x_half, rows_tried[r], out, 2, &err));
                        check_values(backends[b], rows_tried[r], n_in, n_out, b == 0 ? 1 : n_in + 1);
                    }
                    eh_product_drop(packed);
                }
}

TEST(a_bf16_source_packs_to_the_same_f32_product)
{
    for (size_t b = 0; b < 2; b++) {
        const eh_product *p = eh_product_named(backends[b]);
        if (p == NULL)
            continue;
        eh_packed *one, *other;
        draw(x, 9 * 72, 5);
        draw(w, 65 * 72, 6);
        to_half(w, w_half, 65 * 72);
        CHECK_OK(eh_product_pack(p, EH_F32, w, false, 65, 72, 1, &one, &err));
        CHECK_OK(eh_product_pack(p, EH_F32, w_half, true, 65, 72, 2, &other, &err));
        CHECK_OK(eh_product_run(one, x, 9, out, 1, &err));
        CHECK_OK(eh_product_run(other, x, 9, part, 1, &err));
        CHECK(memcmp(out, part, 9 * 65 * sizeof *out) == 0);
        eh_product_drop(one);
        eh_product_drop(other);
    }
}

/* Rows first..first+m-1 alone, on so many threads, against the same rows of all 700 at once. */
TEST(f32_rows_have_the_same_bits_in_any_company_on_any_threads)
{
    static const int64_t ms[] = {1, 2, 3, 17, 63, 64, 65, 130, 511, 512, 513};
    static const int64_t firsts[] = {0, 1, 37, 187};
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < sizeof n_ins / sizeof *n_ins; i++)
            for (size_t o = 0; o < sizeof n_outs / sizeof *n_outs; o++) {
                const eh_product *p = eh_product_named(backends[b]);
                const int64_t n_in = n_ins[i], n_out = n_outs[o];
                if (p == NULL || (b == 0 && n_in > 100))
                    continue; /* the reference is slow, and its rows cannot know of each other */
                eh_packed *packed;
                draw(x, M_MOST * n_in, 8);
                draw(w, n_out * n_in, 9);
                CHECK_OK(eh_product_pack(p, EH_F32, w, false, n_out, n_in, 2, &packed, &err));
                CHECK_OK(eh_product_run(packed, x, M_MOST, out, 2, &err));
                for (size_t m = 0; m < sizeof ms / sizeof *ms; m++)
                    for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
                        /* More threads than cores wait long for each other: once a shape is enough. */
                        const int threads = ms[m] == 130 && f < 2 ? 3 + (int)f : 1 + (int)(m + f) % 2;
                        CHECK_OK(eh_product_run(packed, x + firsts[f] * n_in, ms[m], part, threads, &err));
                        if (memcmp(part, out + firsts[f] * n_out, (size_t)(ms[m] * n_out) * sizeof *out) != 0) {
                            print_error("%s %d x %d: %d rows from %d on %d threads have other bits\n", backends[b],
                                        (int)n_out, (int)n_in, (int)ms[m], (int)firsts[f], threads);
                            fail();
                        }
                    }
                eh_product_drop(packed);
            }
}

TEST(nothing_of_a_row_leaks_into_another)
{
    eh_packed *packed;
    draw(x, 20 * 72, 10);
    draw(w, 65 * 72, 11);
    CHECK_OK(eh_product_pack(eh_product_best(), EH_F32, w, false, 65, 72, 2, &packed, &err));
    x[7 * 72 + 3] = NAN;
    CHECK_OK(eh_product_run(packed, x, 20, out, 2, &err));
    for (int64_t i = 0; i < 20; i++)
        for (int64_t o = 0; o < 65; o++)
            CHECK((isnan(out[i * 65 + o]) != 0) == (i == 7));
    CHECK_OK(eh_product_run(packed, x, 0, NULL, 2, &err)); /* no rows, nothing to do */
    eh_product_drop(packed);
    eh_product_drop(NULL);
}

TEST(backends_are_found_by_name)
{
    CHECK_STR(eh_product_named("reference")->name, "reference");
    CHECK(eh_product_named("cublas") == NULL);
    CHECK(eh_product_best() != NULL);
    if (eh_product_named("onednn") != NULL)
        CHECK(eh_product_best() == eh_product_named("onednn"));
}

/* c [m, n] with a margin that must stay, against double sums; then on two threads, bit for bit. */
static void check_gemm(const eh_product *p, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float beta)
{
    const int64_t lda = (trans_a ? m : k) + 3, ldb = (trans_b ? k : n) + 1, ldc = n + 2;
    float *a = malloc((size_t)((trans_a ? k : m) * lda) * sizeof *a);
    float *b = malloc((size_t)((trans_b ? n : k) * ldb) * sizeof *b);
    float *c = malloc((size_t)(m * ldc) * sizeof *c), *was = malloc((size_t)(m * ldc) * sizeof *was);
    float *two = malloc((size_t)(m * ldc) * sizeof *two);
    CHECK(a != NULL && b != NULL && c != NULL && was != NULL && two != NULL);
    draw(a, (trans_a ? k : m) * lda, 41);
    draw(b, (trans_b ? n : k) * ldb, 42);
    draw(was, m * ldc, 43);
    if (beta == 0.0f)
        was[0] = NAN; /* not read */
    memcpy(c, was, (size_t)(m * ldc) * sizeof *c);
    memcpy(two, was, (size_t)(m * ldc) * sizeof *two);
    CHECK_OK(eh_product_gemm(p, trans_a, trans_b, m, n, k, a, lda, b, ldb, beta, c, ldc, 1, &err));
    CHECK_OK(eh_product_gemm(p, trans_a, trans_b, m, n, k, a, lda, b, ldb, beta, two, ldc, 2, &err));
    CHECK(memcmp(c, two, (size_t)(m * ldc) * sizeof *c) == 0);
    int64_t wrong = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t o = 0; o < ldc; o++) {
            const float got = c[i * ldc + o];
            if (o >= n) {
                wrong += memcmp(&got, &was[i * ldc + o], sizeof got) != 0;
                continue;
            }
            double want = beta == 0.0f ? 0.0 : (double)beta * (double)was[i * ldc + o], size = fabs(want);
            for (int64_t e = 0; e < k; e++) {
                const double one = (double)a[trans_a ? e * lda + i : i * lda + e] *
                                   (double)b[trans_b ? o * ldb + e : e * ldb + o];
                want += one;
                size += fabs(one);
            }
            wrong += !(fabs((double)got - want) <= (double)(k + 1) * U * size);
        }
    if (wrong > 0)
        print_error("%s, gemm %d%d, %d x %d x %d: %d wrong\n", p->name, trans_a, trans_b, (int)m, (int)n, (int)k,
                    (int)wrong);
    CHECK_INT(wrong, 0);
    free(a);
    free(b);
    free(c);
    free(was);
    free(two);
}

/* Shapes on both sides of oneDNN's tiles. */
TEST(the_general_product_matches_double_sums_in_every_order_on_any_number_of_threads)
{
    static const int64_t shapes[][3] = {{1, 1, 1}, {5, 3, 7}, {64, 96, 33}, {257, 385, 20}, {300, 40, 500}};
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++) {
        const eh_product *p = eh_product_named(backends[b]);
        for (size_t s = 0; p != NULL && s < sizeof shapes / sizeof *shapes; s++)
            for (int trans = 0; trans < 4; trans++)
                for (int beta = 0; beta < 2; beta++)
                    check_gemm(p, trans & 1, trans & 2, shapes[s][0], shapes[s][1], shapes[s][2], (float)beta);
    }
    CHECK_OK(eh_product_gemm(eh_product_best(), false, false, 0, 5, 5, NULL, 5, NULL, 5, 0.0f, NULL, 5, 2, &err));
}

TEST(the_same_holds_where_onednn_knows_avx2_only)
{
    if (getenv("DNNL_MAX_CPU_ISA") != NULL)
        SKIP("this is the child");
    if (eh_product_named("onednn") == NULL)
        SKIP("built without oneDNN");
    char self[4096], command[4200];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        SKIP("cannot tell which program this is");
    self[n] = '\0';
    snprintf(command, sizeof command, "CHECK_ONLY= DNNL_MAX_CPU_ISA=AVX2 '%s' >&2", self);
    CHECK_INT(system(command), 0);
}
