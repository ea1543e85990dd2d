/*
 * onednn_gemm - how oneDNN's matmul behaves on the products of a language model
 *
 * Build  gcc -O2 -std=c11 -fopenmp -ffp-contract=off bench/onednn_gemm.c -ldnnl -lm -o build/onednn_gemm
 * Use    onednn_gemm SECTION...     sections: peak speed pack strips small runtime bits every fixed omp
 *        OMP_NUM_THREADS decides the threads of `peak` .. `runtime`; `bits` sets its own.
 *
 * Products are  dst[M,N] = src[M,K] * W^T,  W stored as models store it: [N out, K in], row-major,
 * which oneDNN calls a K x N matrix with tag "ba".
 */
#define _GNU_SOURCE
#include <dnnl.h>
#include <immintrin.h>
#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { const char *name; int k, n; } shape;

static const shape smollm2[] = {
    {"q/o", 576, 576}, {"k/v", 576, 192}, {"qkv", 576, 960}, {"gate", 576, 1536},
    {"gate+up", 576, 3072}, {"down", 1536, 576}, {"head", 576, 49152},
};
static const shape llama8b[] = {
    {"q/o", 4096, 4096}, {"k/v", 4096, 1024}, {"qkv", 4096, 6144}, {"gate", 4096, 14336},
    {"gate+up", 4096, 28672}, {"down", 14336, 4096},
};
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static dnnl_engine_t engine;
static dnnl_stream_t stream;

static void check(dnnl_status_t s, const char *what)
{
    if (s != dnnl_success) {
        fprintf(stderr, "%s: oneDNN status %d\n", what, (int)s);
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const char *type_name(dnnl_data_type_t t) { return t == dnnl_f32 ? "f32" : "bf16"; }
static size_t type_size(dnnl_data_type_t t) { return t == dnnl_f32 ? 4 : 2; }

/*
 * Numbers in -1..1 with full mantissas (f32) or their upper halves (bf16), of magnitudes spread over
 * 2^12: even bf16 products, 16 bits each, then make sums that must round, so that order shows.
 */
static void *filled(dnnl_data_type_t t, size_t n, uint32_t seed)
{
    void *p = aligned_alloc(64, (n * type_size(t) + 63) / 64 * 64);
    uint64_t x = seed * 0x9E3779B97F4A7C15u + 1;

    if (p == NULL)
        exit(2);
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        const float f = (float)((int32_t)(x >> 32)) * (1.0f / 2147483648.0f)
                        / (float)(1 << (x >> 20) % 13);
        if (t == dnnl_f32) {
            ((float *)p)[i] = f;
        } else {
            uint32_t u;
            memcpy(&u, &f, 4);
            ((uint16_t *)p)[i] = (uint16_t)(u >> 16);
        }
    }
    return p;
}

/* ---- descriptions ------------------------------------------------------------------------- */

static dnnl_memory_desc_t md2(int64_t a, int64_t b, dnnl_data_type_t t, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t md;
    check(dnnl_memory_desc_init_by_tag(&md, 2, (dnnl_dims_t){a, b}, t, tag), "memory desc");
    return md;
}

/* "BA4b64a"-like name: outer dims by falling stride (capital: blocked), then the inner blocks. */
static void layout(const dnnl_memory_desc_t *md, char *out)
{
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    const int first = b->strides[0] >= b->strides[1] ? 0 : 1;
    bool blocked[2] = {false, false};

    for (int i = 0; i < b->inner_nblks; i++)
        blocked[b->inner_idxs[i]] = true;
    for (int i = 0; i < 2; i++) {
        const int d = i == 0 ? first : 1 - first;
        out += sprintf(out, "%c", (blocked[d] ? 'A' : 'a') + d);
    }
    for (int i = 0; i < b->inner_nblks; i++)
        out += sprintf(out, "%lld%c", (long long)b->inner_blks[i], 'a' + (int)b->inner_idxs[i]);
}

/* ---- one product -------------------------------------------------------------------------- */

typedef struct {
    dnnl_primitive_t prim;
    dnnl_memory_t src, w, dst, scratch;
    dnnl_memory_desc_t w_md, scratch_md;
    char impl[64];
    double make_s;                                  /* seconds to create */
} product;

/* weights == NULL: let oneDNN choose their layout. False: oneDNN has no such product. */
static bool product_make(product *p, int64_t m, int k, int n, dnnl_data_type_t t,
                         const dnnl_memory_desc_t *weights, dnnl_data_type_t dst_t)
{
    static bool user_scratch_known;
    static dnnl_primitive_attr_t attr;              /* scratch memory is the caller's, see `omp` */

    if (!user_scratch_known) {
        check(dnnl_primitive_attr_create(&attr), "attr");
        if (getenv("SCRATCH") == NULL || strcmp(getenv("SCRATCH"), "library") != 0)
            dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
        user_scratch_known = true;
    }
    const bool runtime = m == DNNL_RUNTIME_DIM_VAL;
    dnnl_memory_desc_t src = md2(m, k, t, dnnl_ab);
    dnnl_memory_desc_t dst = md2(m, n, dst_t, dnnl_ab);
    dnnl_memory_desc_t w = weights ? *weights : md2(k, n, t, dnnl_format_tag_any);
    dnnl_matmul_desc_t d;
    dnnl_primitive_desc_t pd = NULL;
    const char *impl;

    memset(p, 0, sizeof *p);
    const double t0 = now();
    check(dnnl_matmul_desc_init(&d, &src, &w, NULL, &dst), "matmul desc");
    if (dnnl_primitive_desc_create(&pd, &d, attr, engine, NULL) != dnnl_success)
        return false;
    check(dnnl_primitive_create(&p->prim, pd), "matmul");
    p->make_s = now() - t0;
    p->w_md = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    p->scratch_md = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &impl);
    snprintf(p->impl, sizeof p->impl, "%s", impl);
    dnnl_primitive_desc_destroy(pd);
    if (!runtime) {
        check(dnnl_memory_create(&p->src, &src, engine, DNNL_MEMORY_NONE), "src");
        check(dnnl_memory_create(&p->dst, &dst, engine, DNNL_MEMORY_NONE), "dst");
    }
    check(dnnl_memory_create(&p->w, &p->w_md, engine, DNNL_MEMORY_NONE), "weights");
    check(dnnl_memory_create(&p->scratch, &p->scratch_md, engine, DNNL_MEMORY_ALLOCATE), "scratch");
    return true;
}

static void product_free(product *p)
{
    dnnl_primitive_destroy(p->prim);
    if (p->src)
        dnnl_memory_destroy(p->src);
    if (p->dst)
        dnnl_memory_destroy(p->dst);
    dnnl_memory_destroy(p->w);
    dnnl_memory_destroy(p->scratch);
}

static void product_run(product *p, const void *src, const void *w, void *dst)
{
    dnnl_memory_set_data_handle(p->src, (void *)src);
    dnnl_memory_set_data_handle(p->w, (void *)w);
    dnnl_memory_set_data_handle(p->dst, dst);
    const dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, p->src}, {DNNL_ARG_WEIGHTS, p->w},
                                   {DNNL_ARG_DST, p->dst}, {DNNL_ARG_SCRATCHPAD, p->scratch}};
    check(dnnl_primitive_execute(p->prim, stream, 4, arg), "run");
    dnnl_stream_wait(stream);
}

/* Seconds of one run: the best of several, about `budget` seconds in all. */
static double product_time(product *p, const void *src, const void *w, void *dst, double budget)
{
    double best = 1e30, spent = 0;

    product_run(p, src, w, dst);
    for (int i = 0; i == 0 || (spent < budget && i < 2000); i++) {
        const double t0 = now();
        product_run(p, src, w, dst);
        const double s = now() - t0;
        spent += s;
        if (s < best)
            best = s;
    }
    return best;
}

/* Copies `from` in layout a to a fresh block in layout b; *seconds is the second, warm run's. */
static void *repack(const void *from, const dnnl_memory_desc_t *a, const dnnl_memory_desc_t *b,
                    double *seconds, double *make_s, char *impl)
{
    void *to = aligned_alloc(64, (dnnl_memory_desc_get_size(b) + 63) / 64 * 64);
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t prim;
    dnnl_memory_t ma, mb;
    const char *name;

    if (to == NULL)
        exit(2);
    double t0 = now();
    check(dnnl_reorder_primitive_desc_create(&pd, a, engine, b, engine, NULL), "reorder desc");
    check(dnnl_primitive_create(&prim, pd), "reorder");
    if (make_s)
        *make_s = now() - t0;
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    if (impl)
        strcpy(impl, name);
    dnnl_primitive_desc_destroy(pd);
    check(dnnl_memory_create(&ma, a, engine, (void *)from), "from");
    check(dnnl_memory_create(&mb, b, engine, to), "to");
    const dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, ma}, {DNNL_ARG_TO, mb}};
    for (int i = 0; i < 3; i++) {
        t0 = now();
        check(dnnl_primitive_execute(prim, stream, 2, arg), "reorder run");
        dnnl_stream_wait(stream);
        if (seconds)
            *seconds = now() - t0;
    }
    dnnl_memory_destroy(ma);
    dnnl_memory_destroy(mb);
    dnnl_primitive_destroy(prim);
    return to;
}

/* ---- sections ----------------------------------------------------------------------------- */

#define CHAINS 24
__attribute__((target("avx512f"), noinline)) static float spin_f32(int64_t n)
{
    __m512 acc[CHAINS], a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(1e-9f);
    for (int j = 0; j < CHAINS; j++)
        acc[j] = _mm512_set1_ps((float)j);
    for (int64_t i = 0; i < n; i++)
#pragma GCC unroll 24
        for (int j = 0; j < CHAINS; j++)
            acc[j] = _mm512_fmadd_ps(acc[j], a, b);
    for (int j = 1; j < CHAINS; j++)
        acc[0] = _mm512_add_ps(acc[0], acc[j]);
    return _mm512_reduce_add_ps(acc[0]);
}

__attribute__((target("avx512f,avx512bf16"), noinline)) static float spin_bf16(int64_t n)
{
    __m512 acc[CHAINS];
    __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f80), b = (__m512bh)_mm512_set1_epi16(0x1000);
    for (int j = 0; j < CHAINS; j++)
        acc[j] = _mm512_set1_ps((float)j);
    for (int64_t i = 0; i < n; i++)
#pragma GCC unroll 24
        for (int j = 0; j < CHAINS; j++)
            acc[j] = _mm512_dpbf16_ps(acc[j], a, b);
    for (int j = 1; j < CHAINS; j++)
        acc[0] = _mm512_add_ps(acc[0], acc[j]);
    return _mm512_reduce_add_ps(acc[0]);
}

/* What the vector units can do at most: independent multiply-adds in registers, all threads. */
static void section_peak(void)
{
    const int64_t n = 20000000;
    volatile float sink = 0;

    if (!__builtin_cpu_supports("avx512f")) {
        printf("peak: no AVX-512 here, not measured\n");
        return;
    }
    for (int bf = 0; bf < 2; bf++) {
        if (bf && !__builtin_cpu_supports("avx512bf16"))
            continue;
        double best = 1e30;
        for (int r = 0; r < 3; r++) {
            const double t0 = now();
#pragma omp parallel
            {
                const float s = bf ? spin_bf16(n) : spin_f32(n);
#pragma omp critical
                sink += s;
            }
            if (now() - t0 < best)
                best = now() - t0;
        }
        printf("peak %s: %.0f GFLOP/s with %d threads\n", bf ? "bf16" : "f32",
               (bf ? 64.0 : 32.0) * CHAINS * (double)n * omp_get_max_threads() / best / 1e9,
               omp_get_max_threads());
    }
}

static const int rows[] = {64, 512, 2048, 4096};

/* GFLOP/s: layout oneDNN's own; layout of M = 512 forced; plain [N,K] (as stored); plain [K,N]. */
static void speed_of(const char *model, const shape *sh, int n_sh, dnnl_data_type_t t)
{
    for (int i = 0; i < n_sh; i++) {
        const int k = sh[i].k, n = sh[i].n;
        const dnnl_memory_desc_t stored = md2(k, n, t, dnnl_ba), plain = md2(k, n, t, dnnl_ab);
        void *w = filled(t, (size_t)k * (size_t)n, 7);
        void *w_ab = repack(w, &stored, &plain, NULL, NULL, NULL);
        product p512;
        product_make(&p512, 512, k, n, t, NULL, dnnl_f32);
        void *w512 = repack(w, &stored, &p512.w_md, NULL, NULL, NULL);
        for (int j = 0; j < COUNT(rows); j++) {
            const int m = rows[j];
            const double flop = 2.0 * m * k * n;
            void *src = filled(t, (size_t)m * (size_t)k, 3);
            float *dst = aligned_alloc(64, (size_t)m * (size_t)n * 4);
            char lay[4][64], forced_impl[64];
            double rate[4];
            product p;

            if (dst == NULL)
                exit(2);
            for (int way = 0; way < 4; way++) {
                const dnnl_memory_desc_t *forced[] = {NULL, &p512.w_md, &stored, &plain};
                product_make(&p, m, k, n, t, forced[way], dnnl_f32);
                void *mine = way == 0 ? repack(w, &stored, &p.w_md, NULL, NULL, NULL) : NULL;
                const void *use[] = {mine, w512, w, w_ab};
                layout(&p.w_md, lay[way]);
                if (way == 1)
                    strcpy(forced_impl, p.impl);
                rate[way] = flop / product_time(&p, src, use[way], dst, 0.2) / 1e9;
                product_free(&p);
                free(mine);
            }
            printf("%s %-8s %-4s M %4d K %5d N %5d | %-12s %6.1f | %-12s %-20s %6.1f | ba %6.1f | ab %6.1f\n",
                   model, sh[i].name, type_name(t), m, k, n, lay[0], rate[0], lay[1], forced_impl,
                   rate[1], rate[2], rate[3]);
            fflush(stdout);
            free(src);
            free(dst);
        }
        product_free(&p512);
        free(w512);
        free(w_ab);
        free(w);
    }
}

static void section_speed(const char *only)
{
    printf("# GFLOP/s | own layout | layout of M=512 forced, its implementation | ba | ab\n");
    for (int t = 0; t < 2; t++) {
        if (strstr(only, "smol"))
            speed_of("smollm2", smollm2, COUNT(smollm2), t ? dnnl_bf16 : dnnl_f32);
        if (strstr(only, "llama"))
            speed_of("llama8b", llama8b, COUNT(llama8b), t ? dnnl_bf16 : dnnl_f32);
    }
}

/* Few rows (generation, tails): microseconds a call with M=512's layout, and time to create. */
static void section_small(void)
{
    const int few[] = {1, 2, 4, 8, 16, 32, 48};
    const shape sh[] = {{"q/o", 576, 576}, {"gate+up", 576, 3072}, {"head", 576, 49152},
                        {"8b q/o", 4096, 4096}, {"8b down", 14336, 4096}};
    printf("# few rows, packed for M=512: us/call (GB/s of weights), ms to create\n");
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < COUNT(sh); i++) {
            const dnnl_data_type_t ty = t ? dnnl_bf16 : dnnl_f32;
            const int k = sh[i].k, n = sh[i].n;
            const dnnl_memory_desc_t stored = md2(k, n, ty, dnnl_ba);
            product p512, p;
            product_make(&p512, 512, k, n, ty, NULL, dnnl_f32);
            void *w = filled(ty, (size_t)k * (size_t)n, 7);
            void *packed = repack(w, &stored, &p512.w_md, NULL, NULL, NULL);
            void *src = filled(ty, 64 * (size_t)k, 3);
            float *dst = aligned_alloc(64, 64 * (size_t)n * 4);
            printf("%-8s %-4s create(M=512) %.2f ms:", sh[i].name, type_name(ty), p512.make_s * 1e3);
            for (int j = 0; j < COUNT(few); j++) {
                product_make(&p, few[j], k, n, ty, &p512.w_md, dnnl_f32);
                const double s = product_time(&p, src, packed, dst, 0.1);
                printf("  M%d %.0fus (%.1f) %.2fms", few[j], s * 1e6,
                       (double)k * n * (double)type_size(ty) / s / 1e9, p.make_s * 1e3);
                product_free(&p);
            }
            printf("\n");
            fflush(stdout);
            product_free(&p512);
            free(w), free(packed), free(src), free(dst);
        }
}

/* GB/s read while packing [N,K] as stored into the layout of M = 512. */
static void section_pack(void)
{
    const shape sh[] = {{"q/o", 576, 576}, {"gate", 576, 1536}, {"down", 1536, 576},
                        {"head", 576, 49152}, {"8b q/o", 4096, 4096}, {"8b gate", 4096, 14336},
                        {"8b down", 14336, 4096}};
    printf("# packing: GB/s of stored weights read, ms, creation ms, implementation\n");
    for (int i = 0; i < COUNT(sh); i++)
        for (int way = 0; way < 4; way++) {
            const dnnl_data_type_t from = way & 1 ? dnnl_bf16 : dnnl_f32;
            const dnnl_data_type_t to = way & 2 ? dnnl_bf16 : dnnl_f32;
            const int k = sh[i].k, n = sh[i].n;
            const dnnl_memory_desc_t stored = md2(k, n, from, dnnl_ba);
            product p;
            char lay[64], impl[64];
            double s, make_s;
            product_make(&p, 512, k, n, to, NULL, dnnl_f32);
            layout(&p.w_md, lay);
            void *w = filled(from, (size_t)k * (size_t)n, 7);
            free(repack(w, &stored, &p.w_md, &s, &make_s, impl));
            printf("%-8s %-4s -> %-4s %-14s %6.2f GB/s %9.3f ms  make %.2f ms  %s\n", sh[i].name,
                   type_name(from), type_name(to), lay,
                   (double)k * n * (double)type_size(from) / s / 1e9, s * 1e3, make_s * 1e3, impl);
            fflush(stdout);
            free(w);
            product_free(&p);
        }
}

/*
 * The same packing in strips of 64 outputs: the packed layout's outer dimension is N / 64, so a strip
 * is contiguous on both sides, fits the cache, and strips are independent. Needs N a multiple of 64.
 */
static void section_strips(void)
{
    const shape sh[] = {{"gate", 576, 1536}, {"down", 1536, 576}, {"head", 576, 49152},
                        {"8b q/o", 4096, 4096}, {"8b gate", 4096, 14336}, {"8b down", 14336, 4096}};
    printf("# packing in strips: GB/s of stored weights read, ms\n");
    for (int i = 0; i < COUNT(sh); i++)
        for (int way = 0; way < 4; way++) {
            const dnnl_data_type_t from = way & 1 ? dnnl_bf16 : dnnl_f32;
            const dnnl_data_type_t to = way & 2 ? dnnl_bf16 : dnnl_f32;
            const int k = sh[i].k, n = sh[i].n;
            const dnnl_memory_desc_t stored = md2(k, n, from, dnnl_ba), a = md2(k, 64, from, dnnl_ba);
            const dnnl_memory_desc_t b = md2(k, 64, to, to == dnnl_f32 ? dnnl_BA16a64b : dnnl_BA16a64b2a);
            const size_t a_size = dnnl_memory_desc_get_size(&a), b_size = dnnl_memory_desc_get_size(&b);
            char *w = filled(from, (size_t)k * (size_t)n, 7);
            char *strips = aligned_alloc(64, b_size * (size_t)(n / 64));
            double best = 1e30;
            dnnl_primitive_desc_t pd;
            dnnl_primitive_t prim;
            product p;

            product_make(&p, 512, k, n, to, NULL, dnnl_f32);
            void *whole = repack(w, &stored, &p.w_md, NULL, NULL, NULL);
            omp_set_num_threads(1);                 /* each strip is one thread's */
            check(dnnl_reorder_primitive_desc_create(&pd, &a, engine, &b, engine, NULL), "strip");
            check(dnnl_primitive_create(&prim, pd), "strip");
            dnnl_primitive_desc_destroy(pd);
            omp_set_num_threads(2);
            for (int r = 0; r < 4; r++) {
                const double t0 = now();
#pragma omp parallel
                {
                    dnnl_stream_t st;
                    dnnl_memory_t ma, mb;
                    dnnl_stream_create(&st, engine, dnnl_stream_default_flags);
                    dnnl_memory_create(&ma, &a, engine, DNNL_MEMORY_NONE);
                    dnnl_memory_create(&mb, &b, engine, DNNL_MEMORY_NONE);
                    const dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, ma}, {DNNL_ARG_TO, mb}};
#pragma omp for schedule(static)
                    for (int j = 0; j < n / 64; j++) {
                        dnnl_memory_set_data_handle(ma, w + (size_t)j * a_size);
                        dnnl_memory_set_data_handle(mb, strips + (size_t)j * b_size);
                        dnnl_primitive_execute(prim, st, 2, arg);
                    }
                    dnnl_memory_destroy(ma), dnnl_memory_destroy(mb), dnnl_stream_destroy(st);
                }
                if (now() - t0 < best)
                    best = now() - t0;
            }
            printf("%-8s %-4s -> %-4s %6.2f GB/s %9.3f ms  %s\n", sh[i].name, type_name(from), type_name(to),
                   (double)k * n * (double)type_size(from) / best / 1e9, best * 1e3,
                   memcmp(whole, strips, dnnl_memory_desc_get_size(&p.w_md)) ? "NOT the whole's bytes" : "same bytes");
            dnnl_primitive_destroy(prim);
            product_free(&p);
            free(w), free(strips), free(whole);
        }
}

/* M left open until the run: does it take packed weights, and what does it cost? */
static void section_runtime(void)
{
    const shape sh[] = {{"q/o", 576, 576}, {"gate+up", 576, 3072}, {"down", 1536, 576},
                        {"8b q/o", 4096, 4096}};
    for (int i = 0; i < COUNT(sh); i++)
        for (int t = 0; t < 2; t++) {
            const dnnl_data_type_t ty = t ? dnnl_bf16 : dnnl_f32;
            const int k = sh[i].k, n = sh[i].n;
            const dnnl_memory_desc_t stored = md2(k, n, ty, dnnl_ba), plain = md2(k, n, ty, dnnl_ab);
            product p512, p;
            product_make(&p512, 512, k, n, ty, NULL, dnnl_f32);
            void *w = filled(ty, (size_t)k * (size_t)n, 7);
            const char *name[] = {"any", "packed", "ba", "ab"};
            const dnnl_memory_desc_t *lay[] = {NULL, &p512.w_md, &stored, &plain};
            for (int way = 0; way < 4; way++) {
                char got[64];
                if (!product_make(&p, DNNL_RUNTIME_DIM_VAL, k, n, ty, lay[way], dnnl_f32)) {
                    printf("%-8s %-4s open M, %-6s: refused\n", sh[i].name, type_name(ty), name[way]);
                    continue;
                }
                layout(&p.w_md, got);
                printf("%-8s %-4s open M, %-6s: %-12s %-24s", sh[i].name, type_name(ty), name[way],
                       got, p.impl);
                for (int j = 0; j < COUNT(rows); j += 2) {
                    const int m = rows[j];
                    void *src = filled(ty, (size_t)m * (size_t)k, 3);
                    float *dst = aligned_alloc(64, (size_t)m * (size_t)n * 4);
                    const dnnl_memory_desc_t s_md = md2(m, k, ty, dnnl_ab), d_md = md2(m, n, dnnl_f32, dnnl_ab);
                    void *packed = repack(w, &stored, &p.w_md, NULL, NULL, NULL);
                    dnnl_memory_create(&p.src, &s_md, engine, DNNL_MEMORY_NONE);
                    dnnl_memory_create(&p.dst, &d_md, engine, DNNL_MEMORY_NONE);
                    if (strncmp(p.impl, "ref", 3) != 0)
                        printf("  M%d %.1f GFLOP/s", m,
                               2.0 * m * k * n / product_time(&p, src, packed, dst, 0.1) / 1e9);
                    dnnl_memory_destroy(p.src), dnnl_memory_destroy(p.dst);
                    p.src = p.dst = NULL;
                    free(src), free(dst), free(packed);
                }
                printf("\n");
                fflush(stdout);
                product_free(&p);
            }
            free(w);
            product_free(&p512);
        }
}

/* ---- the same bits? ----------------------------------------------------------------------- */

typedef struct { int64_t runs, bad; double worst; int first_m; } verdict;

static void compare(const float *a, const float *b, size_t n, int m, verdict *v)
{
    v->runs++;
    if (memcmp(a, b, n * sizeof *a) == 0)
        return;
    v->bad++;
    if (v->first_m == 0)
        v->first_m = m;
    for (size_t i = 0; i < n; i++) {
        const double d = a[i] > b[i] ? (double)a[i] - b[i] : (double)b[i] - a[i];
        if (d > v->worst)
            v->worst = d;
    }
}

static const int some_m[] = {1, 2, 3, 4, 5, 7, 8, 12, 13, 15, 16, 17, 23, 31, 32, 33, 40, 47, 48,
    49, 63, 64, 65, 96, 100, 127, 128, 129, 192, 200, 255, 256, 257, 300, 384, 500, 511, 512, 513,
    600, 777, 1000, 1023, 1024, 1025, 1300, 1500, 1777, 2000, 2047, 2048};

static float as_float(const void *p, dnnl_data_type_t t, size_t i)
{
    float f;
    const uint32_t u = t == dnnl_f32 ? 0 : (uint32_t)((const uint16_t *)p)[i] << 16;

    memcpy(&f, &u, 4);
    return t == dnnl_f32 ? ((const float *)p)[i] : f;
}

/* Share of 8 rows' values equal to one chain of fused multiply-adds over k = 0.., restarted and
   added to the total each `chunk`; also shows that `bits` can tell orders apart. */
static double like_chain(const float *got, const void *src, const void *w, dnnl_data_type_t t, int k,
                         int n, int chunk)
{
    int64_t same = 0;

    for (int i = 0; i < 8; i++)
        for (int j = 0; j < n; j++) {
            float total = 0, part = 0;
            for (int c = 0; c < k; c++) {
                part = fmaf(as_float(src, t, (size_t)i * (size_t)k + (size_t)c),
                            as_float(w, t, (size_t)j * (size_t)k + (size_t)c), part);
                if ((c + 1) % chunk == 0 || c + 1 == k) {
                    total += part;
                    part = 0;
                }
            }
            same += total == got[(size_t)i * (size_t)n + (size_t)j];
        }
    return 100.0 * (double)same / (8.0 * n);
}

/* Rows of M = 2048, 1 thread, layout of 512, against every other M, offset, thread count, layout. */
static void bits_of(const shape *s, dnnl_data_type_t t, bool every)
{
    const int k = s->k, n = s->n, top = 2048;
    const dnnl_memory_desc_t stored = md2(k, n, t, dnnl_ba), plain = md2(k, n, t, dnnl_ab);
    const size_t es = type_size(t);
    void *w = filled(t, (size_t)k * (size_t)n, 7);
    void *w_ab = repack(w, &stored, &plain, NULL, NULL, NULL);
    char *src = filled(t, (size_t)top * (size_t)k, 3);
    float *ref = aligned_alloc(64, (size_t)top * (size_t)n * 4);
    float *dst = aligned_alloc(64, (size_t)top * (size_t)n * 4);
    const char *name[] = {"packed(512)", "own choice", "ba", "ab"};
    verdict across = {0};
    product p512, p;

    omp_set_num_threads(1);
    product_make(&p512, 512, k, n, t, NULL, dnnl_f32);
    void *packed = repack(w, &stored, &p512.w_md, NULL, NULL, NULL);
    float *first = aligned_alloc(64, (size_t)top * (size_t)n * 4);
    printf("%-8s %-4s K %5d N %5d:", s->name, type_name(t), k, n);
    for (int way = 0; way < 4; way++) {
        const dnnl_memory_desc_t *lay[] = {&p512.w_md, NULL, &stored, &plain};
        verdict v[2] = {{0}, {0}};
        char last[64] = "", all[256] = "";
        for (int th = 1; th <= 2; th++) {
            omp_set_num_threads(th);
            const int n_m = every ? top : COUNT(some_m), step = (int64_t)k * n > 4000000 ? 3 : 1;
            for (int j = n_m - 1; j >= 0; j -= step) {
                const int m = every ? j + 1 : some_m[j];
                const int offset[] = {0, 1, 37, top - m};
                product_make(&p, m, k, n, t, lay[way], dnnl_f32);
                if (strcmp(last, p.impl) != 0 && strstr(all, p.impl) == NULL)
                    strcat(strcat(all, p.impl), " ");
                strcpy(last, p.impl);
                void *mine = way == 1 ? repack(w, &stored, &p.w_md, NULL, NULL, NULL) : NULL;
                const void *use[] = {packed, mine, w, w_ab};
                for (int o = 0; o < (every || step > 1 ? 1 : 4); o++) {
                    if (offset[o] + m > top || (m == top && o > 0))
                        continue;
                    const size_t at = (size_t)offset[o];
                    product_run(&p, src + at * (size_t)k * es, use[way], dst);
                    if (m == top && th == 1)
                        memcpy(ref, dst, (size_t)top * (size_t)n * 4);
                    compare(dst, ref + at * (size_t)n, (size_t)m * (size_t)n, m, &v[th - 1]);
                }
                product_free(&p);
                free(mine);
            }
        }
        if (way == 0)
            memcpy(first, ref, (size_t)top * (size_t)n * 4);
        else
            compare(ref, first, (size_t)top * (size_t)n, way, &across);
        printf(" | %s %s", name[way], all);
        for (int th = 0; th < 2; th++)
            if (v[th].bad)
                printf("%dT: %lld of %lld DIFFER (worst %.1e, largest M %d) ", th + 1, (long long)v[th].bad,
                       (long long)v[th].runs, v[th].worst, v[th].first_m);
            else
                printf("%dT: %lld same ", th + 1, (long long)v[th].runs);
        fflush(stdout);
    }
    printf("| layouts among themselves: %s | values equal to one fma chain: %.1f %%, in chunks of 64: %.1f %%\n",
           across.bad ? "differ" : "same", like_chain(first, src, w, t, k, n, k),
           like_chain(first, src, w, t, k, n, 64));
    fflush(stdout);
    product_free(&p512);
    free(w), free(w_ab), free(src), free(ref), free(dst), free(first), free(packed);
}

static void section_bits(bool every, const char *only)
{
    const shape big[] = {{"8b q/o", 4096, 4096}, {"8b k/v", 4096, 1024}, {"8b down", 14336, 1024}};
    const int threads = omp_get_max_threads();

    for (int t = 0; t < 2; t++) {
        for (int i = 0; i < COUNT(smollm2); i++)
            if (strstr(only, "smol") && smollm2[i].n < 40000 && (!every || smollm2[i].n < 200))
                bits_of(&smollm2[i], t ? dnnl_bf16 : dnnl_f32, every);
        for (int i = 0; i < COUNT(big) && !every; i++)
            if (strstr(only, "llama"))
                bits_of(&big[i], t ? dnnl_bf16 : dnnl_f32, false);
    }
    omp_set_num_threads(threads);
}

/* If M is always the same (the last block padded), does a row still depend on where it stands? */
static void section_fixed(void)
{
    const int fixed[] = {32, 64, 128, 256, 512}, top = 1024;
    const shape sh[] = {{"k/v", 576, 192}, {"q/o", 576, 576}, {"gate", 576, 1536}, {"down", 1536, 576}};

    for (int t = 0; t < 2; t++)
        for (int i = 0; i < COUNT(sh); i++) {
            const dnnl_data_type_t ty = t ? dnnl_bf16 : dnnl_f32;
            const int k = sh[i].k, n = sh[i].n;
            const dnnl_memory_desc_t stored = md2(k, n, ty, dnnl_ba);
            void *w = filled(ty, (size_t)k * (size_t)n, 7);
            char *src = filled(ty, (size_t)top * (size_t)k, 3);
            float *ref = aligned_alloc(64, (size_t)top * (size_t)n * 4);
            float *dst = aligned_alloc(64, (size_t)top * (size_t)n * 4);
            for (int j = 0; j < COUNT(fixed); j++) {
                const int m = fixed[j];
                verdict v = {0};
                product p;
                if (!product_make(&p, m, k, n, ty, &stored, dnnl_f32))
                    continue;
                for (int at = 0; at < top; at += m)
                    product_run(&p, src + (size_t)at * (size_t)k * type_size(ty), w, ref + (size_t)at * (size_t)n);
                for (int at = 1; at + m <= top; at += 37) {
                    product_run(&p, src + (size_t)at * (size_t)k * type_size(ty), w, dst);
                    compare(dst, ref + (size_t)at * (size_t)n, (size_t)m * (size_t)n, m, &v);
                }
                printf("%-5s %-4s M always %3d, %s: %lld of %lld differ; %.0f GFLOP/s\n", sh[i].name, type_name(ty),
                       m, p.impl, (long long)v.bad, (long long)v.runs,
                       2.0 * m * k * n / product_time(&p, src, w, dst, 0.03) / 1e9);
                product_free(&p);
            }
            free(w), free(src), free(ref), free(dst);
        }
}

/* Called from inside a parallel region, each thread its own rows, one shared primitive. */
static void section_omp(void)
{
    const int m = 512, k = 576, n = 1536, threads = omp_get_max_threads();
    const dnnl_memory_desc_t stored = md2(k, n, dnnl_f32, dnnl_ba);
    void *w = filled(dnnl_f32, (size_t)k * n, 7);
    float *src = filled(dnnl_f32, (size_t)m * k * 2, 3);
    float *a = aligned_alloc(64, (size_t)m * n * 8), *b = aligned_alloc(64, (size_t)m * n * 8);
    product p;

    for (int made_with = 1; made_with <= 2; made_with++) {
        omp_set_num_threads(made_with);
        product_make(&p, m, k, n, dnnl_f32, NULL, dnnl_f32);
        omp_set_num_threads(2);
        void *packed = repack(w, &stored, &p.w_md, NULL, NULL, NULL);
        dnnl_memory_t wm;
        dnnl_memory_create(&wm, &p.w_md, engine, packed);
        for (int i = 0; i < 2; i++)
            product_run(&p, src + (size_t)i * m * k, packed, a + (size_t)i * m * n);
        const dnnl_memory_desc_t s_md = md2(m, k, dnnl_f32, dnnl_ab), d_md = md2(m, n, dnnl_f32, dnnl_ab);
        double t0 = now();
#pragma omp parallel num_threads(2)
        {
            const int i = omp_get_thread_num();
            dnnl_stream_t st;
            dnnl_memory_t s, d, own;
            dnnl_stream_create(&st, engine, dnnl_stream_default_flags);
            dnnl_memory_create(&s, &s_md, engine, src + (size_t)i * m * k);
            dnnl_memory_create(&d, &d_md, engine, b + (size_t)i * m * n);
            dnnl_memory_create(&own, &p.scratch_md, engine, DNNL_MEMORY_ALLOCATE);
            const dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, s}, {DNNL_ARG_WEIGHTS, wm},
                                           {DNNL_ARG_DST, d}, {DNNL_ARG_SCRATCHPAD, own}};
            for (int r = 0; r < 50; r++)
                dnnl_primitive_execute(p.prim, st, 4, arg);
            dnnl_stream_wait(st);
            dnnl_memory_destroy(s), dnnl_memory_destroy(d), dnnl_memory_destroy(own);
            dnnl_stream_destroy(st);
        }
        const double s = now() - t0;
        printf("omp: made for %d threads, run inside a 2-thread region: scratch %zu bytes, %s, %.1f GFLOP/s\n",
               made_with, dnnl_memory_desc_get_size(&p.scratch_md),
               memcmp(a, b, (size_t)m * n * 8) ? "DIFFERENT BITS" : "same bits", 2.0 * m * k * n * 100 / s / 1e9);
        product_free(&p);
        dnnl_memory_destroy(wm);
        free(packed);
    }
    omp_set_num_threads(threads);
    free(w), free(src), free(a), free(b);
}

int main(int argc, char **argv)
{
    const char *models = getenv("MODELS") ? getenv("MODELS") : "smol llama";

    if (argc < 2) {
        fprintf(stderr, "usage: onednn_gemm peak|speed|pack|strips|small|runtime|bits|every|fixed|omp ...\n"
                        "       MODELS=smol or MODELS=llama narrows speed and bits\n");
        return 2;
    }
    check(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    for (int i = 1; i < argc; i++) {
        const char *s = argv[i];
        if (strcmp(s, "peak") == 0)
            section_peak();
        else if (strcmp(s, "speed") == 0)
            section_speed(models);
        else if (strcmp(s, "pack") == 0)
            section_pack();
        else if (strcmp(s, "strips") == 0)
            section_strips();
        else if (strcmp(s, "small") == 0)
            section_small();
        else if (strcmp(s, "runtime") == 0)
            section_runtime();
        else if (strcmp(s, "bits") == 0 || strcmp(s, "every") == 0)
            section_bits(s[0] == 'e', models);
        else if (strcmp(s, "fixed") == 0)
            section_fixed();
        else if (strcmp(s, "omp") == 0)
            section_omp();
        else
            fprintf(stderr, "unknown section %s\n", s);
    }
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return 0;
}
