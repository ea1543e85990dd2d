/*
 * The product by oneDNN's matmul primitive, C API. What was measured to decide the following is in
 * docs/numerics.md and bench/onednn_gemm.c.
 *
 * - The packed layout is the one oneDNN asks for at m = 512; it serves every other m as well.
 * - Rows go through in blocks of 512: source and result stay in the cache, and there are only two
 *   primitives to a weight and batch, the block's and the tail's.
 * - Below AVX-512 a row's bits depend on how many rows there are and on the number of threads,
 *   except at exactly 64 rows on one thread: there, blocks have 64 rows, the tail is padded, and
 *   the threads share out the blocks. (f32 only: oneDNN packs no bfloat16 there.)
 * - Scratch is ours: oneDNN's own belongs to the thread that made the primitive, and another
 *   thread that runs it gets garbage.
 */
#include <dnnl.h>
#include <dnnl_debug.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "backend/product.h"

#define M_BLOCK 512
#define M_BLOCK_OLD 64 /* below AVX-512 */
#define KEPT 3         /* primitives kept per weight: the block's, the tail's, and one more tail */

typedef struct kept_primitive {
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t scratch;
    int64_t m;
    int n_thread; /* read when a primitive is made, not when it runs */
    int64_t used; /* a counter: the least is replaced */
} kept_primitive;

typedef struct onednn_packed {
    eh_packed head;
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
    void *bytes; /* the packed weight; 64-byte aligned */
    kept_primitive kept[KEPT];
    int64_t clock;
} onednn_packed;

extern const eh_product eh_product_onednn;

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_primitive_attr_t attr;
static bool is_old; /* below AVX-512 */
static dnnl_status_t made = dnnl_runtime_error;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_engine(void)
{
    made = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (made == dnnl_success)
        made = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (made == dnnl_success)
        made = dnnl_primitive_attr_create(&attr);
    if (made == dnnl_success)
        made = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    /* The default of 1,024 primitives would keep one for every batch's tail there ever was. */
    if (made == dnnl_success)
        made = dnnl_set_primitive_cache_capacity(64);
    is_old = dnnl_get_effective_cpu_isa() < dnnl_cpu_isa_avx512_core;
}

/* One product runs at a time (it uses all the threads it is given), in one scratch that grows. */
static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;
static void *scratch_bytes;
static size_t scratch_size;

static dnnl_status_t need_scratch(size_t size)
{
    if (size > scratch_size) {
        eh_block_free(scratch_bytes);
        scratch_bytes = eh_block_alloc((int64_t)size);
        scratch_size = scratch_bytes != NULL ? size : 0;
    }
    return size == 0 || scratch_bytes != NULL ? dnnl_success : dnnl_out_of_memory;
}

static int fail(eh_err *err, dnnl_status_t status, const char *what, int64_t n_out, int64_t n_in)
{
    return eh_fail(err, status == dnnl_out_of_memory ? EH_ENOMEM : EH_ENOSUP,
                   "oneDNN could not %s for a %lld x %lld weight: %s", what, (long long)n_out, (long long)n_in,
                   dnnl_status2str(status));
}

static dnnl_data_type_t type_of(eh_precision precision)
{
    return precision == EH_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* Describes out[m, n_out] = x[m, n_in] * w, with w as given. */
static dnnl_status_t describe(const dnnl_memory_desc_t *w, dnnl_data_type_t type, int64_t m, int64_t n_out,
                              int64_t n_in, dnnl_primitive_desc_t *pd)
{
    const dnnl_dims_t x_dims = {m, n_in}, y_dims = {m, n_out};
    dnnl_memory_desc_t x, y;
    dnnl_matmul_desc_t d;
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&x, 2, x_dims, type, dnnl_ab);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&y, 2, y_dims, dnnl_f32, dnnl_ab);
    if (s == dnnl_success)
        s = dnnl_matmul_desc_init(&d, &x, w, NULL, &y);
    if (s == dnnl_success)
        s = dnnl_primitive_desc_create(pd, &d, attr, engine, NULL);
    return s;
}

static void onednn_drop(eh_packed *packed)
{
    onednn_packed *p = (onednn_packed *)packed;
    for (int i = 0; i < KEPT; i++)
        if (p->kept[i].primitive != NULL)
            dnnl_primitive_destroy(p->kept[i].primitive);
    if (p->memory != NULL)
        dnnl_memory_destroy(p->memory);
    eh_block_free(p->bytes);
    eh_free(p);
}

/* Reorders w into p->desc. */
static dnnl_status_t reorder(onednn_packed *p, const void *w, bool is_bf16)
{
    const dnnl_dims_t dims = {p->head.n_in, p->head.n_out};
    dnnl_memory_desc_t from_desc;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;

    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&from_desc, 2, dims, is_bf16 ? dnnl_bf16 : dnnl_f32, dnnl_ba);
    if (s == dnnl_success)
        s = dnnl_memory_create(&from, &from_desc, engine, (void *)(uintptr_t)w);
    if (s == dnnl_success)
        s = dnnl_reorder_primitive_desc_create(&pd, &from_desc, engine, &p->desc, engine, NULL);
    if (s == dnnl_success)
        s = dnnl_primitive_create(&primitive, pd);
    if (s == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, p->memory}};
        s = dnnl_primitive_execute(primitive, stream, 2, args);
    }
    if (s == dnnl_success)
        s = dnnl_stream_wait(stream);
    if (primitive != NULL)
        dnnl_primitive_destroy(primitive);
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    if (from != NULL)
        dnnl_memory_destroy(from);
    return s;
}

static int onednn_pack(eh_precision precision, const void *w, bool is_bf16, int64_t n_out, int64_t n_in,
                       int n_thread, eh_packed **packed, eh_err *err)
{
    pthread_once(&once, make_engine);
    if (made != dnnl_success)
        return fail(err, made, "start", n_out, n_in);
    if (precision == EH_BF16 && is_old)
        return eh_fail(err, EH_ENOSUP, "bfloat16 products need a processor with AVX-512; use f32");
    eh_par_set_library_threads(n_thread);

    onednn_packed *p = eh_calloc(1, (int64_t)sizeof *p);
    if (p == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a packed weight");
    p->head = (eh_packed){&eh_product_onednn, precision, n_out, n_in, 0};

    const dnnl_dims_t dims = {n_in, n_out};
    dnnl_memory_desc_t any;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&any, 2, dims, type_of(precision), dnnl_format_tag_any);
    if (s == dnnl_success)
        s = describe(&any, type_of(precision), is_old ? M_BLOCK_OLD : M_BLOCK, n_out, n_in, &pd);
    if (s == dnnl_success) {
        p->desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        p->head.n_byte = (int64_t)dnnl_memory_desc_get_size(&p->desc);
        dnnl_primitive_desc_destroy(pd);
        p->bytes = eh_block_alloc(p->head.n_byte);
        if (p->bytes == NULL)
            s = dnnl_out_of_memory;
    }
    if (s == dnnl_success)
        s = dnnl_memory_create(&p->memory, &p->desc, engine, p->bytes);
    if (s == dnnl_success)
        s = reorder(p, w, is_bf16);
    if (s != dnnl_success) {
        onednn_drop(&p->head);
        return fail(err, s, "pack", n_out, n_in);
    }
    *packed = &p->head;
    return EH_OK;
}

/* The primitive for m rows: one kept from before, or a new one in place of the one unused longest. */
static dnnl_status_t primitive_for(onednn_packed *p, int64_t m, int n_thread, kept_primitive **found)
{
    kept_primitive *oldest = &p->kept[0];
    for (int i = 0; i < KEPT; i++) {
        kept_primitive *k = &p->kept[i];
        if (k->primitive != NULL && k->m == m && k->n_thread == n_thread) {
            k->used = ++p->clock;
            *found = k;
            return dnnl_success;
        }
        if (k->used < oldest->used)
            oldest = k;
    }
    kept_primitive fresh = {.m = m, .n_thread = n_thread, .used = ++p->clock};
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s = describe(&p->desc, type_of(p->head.precision), m, p->head.n_out, p->head.n_in, &pd);
    if (s != dnnl_success)
        return s;
    fresh.scratch = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    s = dnnl_primitive_create(&fresh.primitive, pd);
    dnnl_primitive_desc_destroy(pd);
    if (s != dnnl_success)
        return s;
    if (oldest->primitive != NULL)
        dnnl_primitive_destroy(oldest->primitive);
    *oldest = fresh;
    *found = oldest;
    return dnnl_success;
}

static dnnl_status_t memory_of(dnnl_memory_t *memory, int64_t rows, int64_t cols, dnnl_data_type_t type, void *bytes)
{
    const dnnl_dims_t dims = {rows, cols};
    dnnl_memory_desc_t desc;
    const dnnl_status_t s = dnnl_memory_desc_init_by_tag(&desc, 2, dims, type, dnnl_ab);
    return s == dnnl_success ? dnnl_memory_create(memory, &desc, engine, bytes) : s;
}

/* m rows in one call of primitive k, with its scratch at `scratch`. */
static dnnl_status_t execute(const onednn_packed *p, const kept_primitive *k, dnnl_stream_t on, const void *x,
                             float *out, void *scratch)
{
    dnnl_memory_t x_mem = NULL, y_mem = NULL, scratch_mem = NULL;
    dnnl_status_t s = dnnl_memory_create(&scratch_mem, &k->scratch, engine, scratch);
    if (s == dnnl_success)
        s = memory_of(&x_mem, k->m, p->head.n_in, type_of(p->head.precision), (void *)(uintptr_t)x);
    if (s == dnnl_success)
        s = memory_of(&y_mem, k->m, p->head.n_out, dnnl_f32, out);
    if (s == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, x_mem},
                                        {DNNL_ARG_WEIGHTS, p->memory},
                                        {DNNL_ARG_DST, y_mem},
                                        {DNNL_ARG_SCRATCHPAD, scratch_mem}};
        s = dnnl_primitive_execute(k->primitive, on, 4, args);
    }
    if (s == dnnl_success)
        s = dnnl_stream_wait(on);
    if (x_mem != NULL)
        dnnl_memory_destroy(x_mem);
    if (y_mem != NULL)
        dnnl_memory_destroy(y_mem);
    if (scratch_mem != NULL)
        dnnl_memory_destroy(scratch_mem);
    return s;
}

/* Blocks of M_BLOCK rows and a tail, each on all threads. */
static dnnl_status_t run_blocks(onednn_packed *p, const void *x, int64_t m, float *out, int n_thread)
{
    const int64_t size = p->head.precision == EH_BF16 ? 2 : 4;
    dnnl_status_t s = dnnl_success;
    eh_par_set_library_threads(n_thread);
    for (int64_t at = 0; at < m && s == dnnl_success; at += M_BLOCK) {
        kept_primitive *k = NULL;
        s = primitive_for(p, m - at < M_BLOCK ? m - at : M_BLOCK, n_thread, &k);
        if (s == dnnl_success)
            s = need_scratch(dnnl_memory_desc_get_size(&k->scratch));
        if (s == dnnl_success)
            s = execute(p, k, stream, (const char *)x + at * p->head.n_in * size, out + at * p->head.n_out,
                        scratch_bytes);
    }
    return s;
}

/* Below AVX-512: blocks of M_BLOCK_OLD rows, each computed by one thread. */
typedef struct old_job {
    const onednn_packed *p;
    const kept_primitive *k;
    const float *x;
    int64_t m;
    float *out;
    char *scratch; /* [workers, n_scratch] */
    int64_t n_scratch;
    float *x_pad, *out_pad; /* [M_BLOCK_OLD, n_in], [M_BLOCK_OLD, n_out]: the tail, filled up with zero rows */
    _Atomic int status;
} old_job;

static void old_block(void *ctx, int64_t i, int worker)
{
    old_job *j = ctx;
    const int64_t n_in = j->p->head.n_in, n_out = j->p->head.n_out, at = i * M_BLOCK_OLD;
    const int64_t n = j->m - at < M_BLOCK_OLD ? j->m - at : M_BLOCK_OLD;
    const bool is_tail = n < M_BLOCK_OLD;
    const float *x = j->x + at * n_in;
    float *out = j->out + at * n_out;
    dnnl_stream_t own = NULL;
    if (is_tail)
        memcpy(j->x_pad, x, (size_t)(n * n_in) * sizeof *x);
    dnnl_status_t s = dnnl_stream_create(&own, engine, dnnl_stream_default_flags);
    if (s == dnnl_success)
        s = execute(j->p, j->k, own, is_tail ? j->x_pad : x, is_tail ? j->out_pad : out,
                    j->scratch + worker * j->n_scratch);
    if (s == dnnl_success && is_tail)
        memcpy(out, j->out_pad, (size_t)(n * n_out) * sizeof *out);
    if (s != dnnl_success)
        atomic_store(&j->status, (int)s);
    if (own != NULL)
        dnnl_stream_destroy(own);
}

static dnnl_status_t run_old(onednn_packed *p, const float *x, int64_t m, float *out, int n_thread)
{
    old_job j = {.p = p, .x = x, .m = m, .out = out, .status = (int)dnnl_success};
    kept_primitive *k = NULL;
    eh_par_set_library_threads(1);
    dnnl_status_t s = primitive_for(p, M_BLOCK_OLD, 1, &k);
    if (s != dnnl_success)
        return s;
    j.k = k;
    j.n_scratch = ((int64_t)dnnl_memory_desc_get_size(&k->scratch) + 63) / 64 * 64;
    s = need_scratch((size_t)(n_thread * j.n_scratch));
    j.scratch = scratch_bytes;
    if (s == dnnl_success && m % M_BLOCK_OLD != 0) {
        j.x_pad = eh_calloc(M_BLOCK_OLD * p->head.n_in, (int64_t)sizeof *j.x_pad);
        j.out_pad = eh_alloc(M_BLOCK_OLD * p->head.n_out, (int64_t)sizeof *j.out_pad);
        if (j.x_pad == NULL || j.out_pad == NULL)
            s = dnnl_out_of_memory;
    }
    if (s == dnnl_success) {
        eh_par_for(n_thread, (m + M_BLOCK_OLD - 1) / M_BLOCK_OLD, old_block, &j);
        s = (dnnl_status_t)atomic_load(&j.status);
    }
    eh_free(j.x_pad);
    eh_free(j.out_pad);
    return s;
}

static int onednn_run(eh_packed *packed, const void *x, int64_t m, float *out, int n_thread, eh_err *err)
{
    onednn_packed *p = (onednn_packed *)packed;
    pthread_mutex_lock(&running);
    const dnnl_status_t s = is_old ? run_old(p, x, m, out, n_thread) : run_blocks(p, x, m, out, n_thread);
    pthread_mutex_unlock(&running);
    return s == dnnl_success ? EH_OK : fail(err, s, "multiply", packed->n_out, packed->n_in);
}

/* ---- Gradients ------------------------------------------------------------------------------------ */

/* dnnl_sgemm cuts k by the number of threads, and then sums in another order: so each call runs on one
 * thread and makes one tile. Large enough that packing a tile's operands again is little work. */
#define TILE_M 256
#define TILE_N 384

typedef struct gemm_job {
    char trans_a, trans_b;
    int64_t m, n, k, lda, ldb, ldc;
    const float *a, *b;
    float beta, *c;
    _Atomic int status;
} gemm_job;

static void gemm_tile(void *ctx, int64_t i, int worker)
{
    (void)worker;
    gemm_job *j = ctx;
    const int64_t across = (j->n + TILE_N - 1) / TILE_N;
    const int64_t row = i / across * TILE_M, col = i % across * TILE_N;
    const int64_t m = j->m - row < TILE_M ? j->m - row : TILE_M, n = j->n - col < TILE_N ? j->n - col : TILE_N;
    const float *a = j->a + (j->trans_a == 'T' ? row : row * j->lda);
    const float *b = j->b + (j->trans_b == 'T' ? col * j->ldb : col);
    const dnnl_status_t s = dnnl_sgemm(j->trans_a, j->trans_b, m, n, j->k, 1.0f, a, j->lda, b, j->ldb, j->beta,
                                       j->c + row * j->ldc + col, j->ldc);
    if (s != dnnl_success)
        atomic_store(&j->status, (int)s);
}

static int onednn_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                       const float *b, int64_t ldb, float beta, float *c, int64_t ldc, int n_thread, eh_err *err)
{
    gemm_job j = {trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', m, n, k, lda, ldb, ldc, a, b, beta, c, (int)dnnl_success};
    eh_par_set_library_threads(1); /* for a lone tile; within a parallel loop oneDNN keeps to one by itself */
    eh_par_for(n_thread, (m + TILE_M - 1) / TILE_M * ((n + TILE_N - 1) / TILE_N), gemm_tile, &j);
    const dnnl_status_t s = (dnnl_status_t)atomic_load(&j.status);
    return s == dnnl_success ? EH_OK : fail(err, s, "multiply", m, n);
}

const eh_product eh_product_onednn = {"onednn", onednn_pack, onednn_run, onednn_drop, onednn_gemm};
