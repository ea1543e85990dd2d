/*
 * Products by oneDNN's matmul primitive, C API. What was measured to decide the following is in
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
 * - Engine, streams, attributes, scratch and primitives belong to an open backend. What oneDNN keeps for the whole
 *   process, and locks by itself for moments, is its cache of compiled kernels; every open sets its capacity, always
 *   to the same.
 */
#include <dnnl.h>
#include <dnnl_debug.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/mem.h"
#include "base/par.h"

#define M_BLOCK 512
#define M_BLOCK_OLD 64 /* below AVX-512 */
#define KEPT 3         /* primitives kept per weight: the block's, the tail's, and one more tail */
/* The default of 1,024 primitives would keep one for every batch's tail there ever was. */
#define CACHE_CAPACITY 64

extern const eh_backend_kind eh_backend_onednn;

/* ---- What oneDNN 2 and 3 write differently: descriptors ---------------------------------------------------- */

/* In oneDNN 2 a struct that is copied; in 3 a handle, made by dnnl_memory_desc_create_with_tag, copied by
 * dnnl_memory_desc_clone, and given back by desc_drop. */
typedef struct desc {
    dnnl_memory_desc_t md;
} desc;

/* [rows, cols] in the layout that the tag names. */
static dnnl_status_t desc_make(desc *d, int64_t rows, int64_t cols, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    const dnnl_dims_t dims = {rows, cols};
    return dnnl_memory_desc_init_by_tag(&d->md, 2, dims, type, tag);
}

/* A descriptor that pd has, as one that outlives it. */
static dnnl_status_t desc_ask(desc *d, const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    const dnnl_memory_desc_t *found = dnnl_primitive_desc_query_md(pd, what, 0);
    if (found == NULL)
        return dnnl_runtime_error;
    d->md = *found;
    return dnnl_success;
}

/* One that was never made is fine. */
static void desc_drop(desc *d)
{
    (void)d;
}

static int64_t desc_bytes(const desc *d)
{
    return (int64_t)dnnl_memory_desc_get_size(&d->md);
}

static dnnl_status_t memory_make(dnnl_memory_t *memory, const desc *d, dnnl_engine_t engine, void *bytes)
{
    return dnnl_memory_create(memory, &d->md, engine, bytes);
}

/* y = x * w */
static dnnl_status_t matmul_describe(dnnl_primitive_desc_t *pd, const desc *x, const desc *w, const desc *y,
                                     const_dnnl_primitive_attr_t attr, dnnl_engine_t engine)
{
    dnnl_matmul_desc_t d;
    const dnnl_status_t s = dnnl_matmul_desc_init(&d, &x->md, &w->md, NULL, &y->md);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) : s;
}

static dnnl_status_t reorder_describe(dnnl_primitive_desc_t *pd, const desc *from, const desc *to,
                                      dnnl_engine_t engine)
{
    return dnnl_reorder_primitive_desc_create(pd, &from->md, engine, &to->md, engine, NULL);
}

/* ---- Open and close ------------------------------------------------------------------------------------------- */

typedef struct onednn {
    eh_backend head;
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr;
    dnnl_stream_t *stream; /* [n_stream] */
    int n_stream;          /* 1; below AVX-512 one for each worker */
    bool is_old;           /* below AVX-512 */
    void *scratch;         /* n_scratch bytes */
    int64_t n_scratch;
} onednn;

typedef struct kept_primitive {
    dnnl_primitive_t primitive;
    desc scratch;
    int64_t m;
    int n_thread; /* read when a primitive is made, not when it runs */
    int64_t used; /* a counter: the least is replaced */
} kept_primitive;

typedef struct onednn_packed {
    eh_packed head;
    desc layout;
    dnnl_memory_t memory;
    void *bytes; /* the packed weight; 64-byte aligned */
    kept_primitive kept[KEPT];
    int64_t clock;
} onednn_packed;

static bool onednn_available(void)
{
    return true; /* it has plain code, too, for processors that it knows nothing of */
}

static void onednn_close(eh_backend *b)
{
    onednn *o = (onednn *)b;
    for (int i = 0; i < o->n_stream; i++)
        dnnl_stream_destroy(o->stream[i]);
    eh_free(o->stream);
    if (o->attr != NULL)
        dnnl_primitive_attr_destroy(o->attr);
    if (o->engine != NULL)
        dnnl_engine_destroy(o->engine);
    eh_block_free(o->scratch);
    eh_free(o);
}

static dnnl_status_t start(onednn *o)
{
    dnnl_status_t s = dnnl_engine_create(&o->engine, dnnl_cpu, 0);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_create(&o->attr);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_set_scratchpad_mode(o->attr, dnnl_scratchpad_mode_user);
    if (s == dnnl_success)
        s = dnnl_set_primitive_cache_capacity(CACHE_CAPACITY);
    const int n = o->is_old ? o->head.n_thread : 1;
    o->stream = eh_calloc(n, (int64_t)sizeof *o->stream);
    if (s == dnnl_success && o->stream == NULL)
        s = dnnl_out_of_memory;
    while (s == dnnl_success && o->n_stream < n) {
        s = dnnl_stream_create(&o->stream[o->n_stream], o->engine, dnnl_stream_default_flags);
        o->n_stream += s == dnnl_success;
    }
    return s;
}

static int onednn_open(int n_thread, eh_backend **b, eh_err *err)
{
    onednn *o = eh_calloc(1, (int64_t)sizeof *o);
    if (o == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to open the oneDNN backend");
    o->head = (eh_backend){.kind = &eh_backend_onednn, .n_thread = n_thread};
    o->is_old = dnnl_get_effective_cpu_isa() < dnnl_cpu_isa_avx512_core;
    const dnnl_status_t s = start(o);
    if (s != dnnl_success) {
        onednn_close(&o->head);
        return eh_fail(err, s == dnnl_out_of_memory ? EH_ENOMEM : EH_ENOSUP, "oneDNN could not start: %s",
                       dnnl_status2str(s));
    }
    *b = &o->head;
    return EH_OK;
}

/* ---- Packing --------------------------------------------------------------------------------------------------- */

static onednn *opened(const eh_packed *packed)
{
    return (onednn *)packed->backend;
}

/* One scratch that grows: a backend runs one product at a time. */
static dnnl_status_t need_scratch(onednn *o, int64_t size)
{
    if (size > o->n_scratch) {
        eh_block_free(o->scratch);
        o->scratch = eh_block_alloc(size);
        o->n_scratch = o->scratch != NULL ? size : 0;
    }
    return size == 0 || o->scratch != NULL ? dnnl_success : dnnl_out_of_memory;
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
static dnnl_status_t describe(const onednn *o, const desc *w, dnnl_data_type_t type, int64_t m, int64_t n_out,
                              int64_t n_in, dnnl_primitive_desc_t *pd)
{
    desc x = {0}, y = {0};
    dnnl_status_t s = desc_make(&x, m, n_in, type, dnnl_ab);
    if (s == dnnl_success)
        s = desc_make(&y, m, n_out, dnnl_f32, dnnl_ab);
    if (s == dnnl_success)
        s = matmul_describe(pd, &x, w, &y, o->attr, o->engine);
    desc_drop(&x);
    desc_drop(&y);
    return s;
}

static void drop_kept(kept_primitive *k)
{
    if (k->primitive != NULL)
        dnnl_primitive_destroy(k->primitive);
    desc_drop(&k->scratch);
}

static void onednn_drop(eh_packed *packed)
{
    onednn_packed *p = (onednn_packed *)packed;
    for (int i = 0; i < KEPT; i++)
        drop_kept(&p->kept[i]);
    if (p->memory != NULL)
        dnnl_memory_destroy(p->memory);
    desc_drop(&p->layout);
    eh_block_free(p->bytes);
    eh_free(p);
}

/* Reorders w into p->layout. */
static dnnl_status_t reorder(onednn_packed *p, const void *w, bool is_bf16)
{
    const onednn *o = opened(&p->head);
    desc given = {0};
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;

    dnnl_status_t s = desc_make(&given, p->head.n_in, p->head.n_out, is_bf16 ? dnnl_bf16 : dnnl_f32, dnnl_ba);
    if (s == dnnl_success)
        s = memory_make(&from, &given, o->engine, (void *)(uintptr_t)w);
    if (s == dnnl_success)
        s = reorder_describe(&pd, &given, &p->layout, o->engine);
    if (s == dnnl_success)
        s = dnnl_primitive_create(&primitive, pd);
    if (s == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, p->memory}};
        s = dnnl_primitive_execute(primitive, o->stream[0], 2, args);
    }
    if (s == dnnl_success)
        s = dnnl_stream_wait(o->stream[0]);
    if (primitive != NULL)
        dnnl_primitive_destroy(primitive);
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    if (from != NULL)
        dnnl_memory_destroy(from);
    desc_drop(&given);
    return s;
}

/* The layout that oneDNN wants for this weight. */
static dnnl_status_t choose_layout(onednn_packed *p)
{
    const onednn *o = opened(&p->head);
    const dnnl_data_type_t type = type_of(p->head.precision);
    desc any = {0};
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s = desc_make(&any, p->head.n_in, p->head.n_out, type, dnnl_format_tag_any);
    if (s == dnnl_success)
        s = describe(o, &any, type, o->is_old ? M_BLOCK_OLD : M_BLOCK, p->head.n_out, p->head.n_in, &pd);
    if (s == dnnl_success)
        s = desc_ask(&p->layout, pd, dnnl_query_weights_md);
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    desc_drop(&any);
    return s;
}

static int onednn_pack(eh_backend *b, eh_precision precision, const void *w, bool is_bf16, int64_t n_out,
                       int64_t n_in, eh_packed **packed, eh_err *err)
{
    const onednn *o = (const onednn *)b;
    if (precision == EH_BF16 && o->is_old)
        return eh_fail(err, EH_ENOSUP, "bfloat16 products need a processor with AVX-512; use f32");
    eh_par_set_library_threads(b->n_thread);

    onednn_packed *p = eh_calloc(1, (int64_t)sizeof *p);
    if (p == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a packed weight");
    p->head = (eh_packed){b, precision, n_out, n_in, 0};
    dnnl_status_t s = choose_layout(p);
    if (s == dnnl_success) {
        p->head.n_byte = desc_bytes(&p->layout);
        p->bytes = eh_block_alloc(p->head.n_byte);
        if (p->bytes == NULL)
            s = dnnl_out_of_memory;
    }
    if (s == dnnl_success)
        s = memory_make(&p->memory, &p->layout, o->engine, p->bytes);
    if (s == dnnl_success)
        s = reorder(p, w, is_bf16);
    if (s != dnnl_success) {
        onednn_drop(&p->head);
        return fail(err, s, "pack", n_out, n_in);
    }
    *packed = &p->head;
    return EH_OK;
}

/* ---- Running --------------------------------------------------------------------------------------------------- */

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
    dnnl_status_t s = describe(opened(&p->head), &p->layout, type_of(p->head.precision), m, p->head.n_out,
                               p->head.n_in, &pd);
    if (s == dnnl_success)
        s = desc_ask(&fresh.scratch, pd, dnnl_query_scratchpad_md);
    if (s == dnnl_success)
        s = dnnl_primitive_create(&fresh.primitive, pd);
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    if (s != dnnl_success) {
        drop_kept(&fresh);
        return s;
    }
    drop_kept(oldest);
    *oldest = fresh;
    *found = oldest;
    return dnnl_success;
}

static dnnl_status_t memory_of(const onednn *o, dnnl_memory_t *memory, int64_t rows, int64_t cols,
                               dnnl_data_type_t type, void *bytes)
{
    desc d = {0};
    dnnl_status_t s = desc_make(&d, rows, cols, type, dnnl_ab);
    if (s == dnnl_success)
        s = memory_make(memory, &d, o->engine, bytes);
    desc_drop(&d);
    return s;
}

/* m rows in one call of primitive k, with its scratch at `scratch`. */
static dnnl_status_t execute(const onednn_packed *p, const kept_primitive *k, dnnl_stream_t on, const void *x,
                             float *out, void *scratch)
{
    const onednn *o = opened(&p->head);
    dnnl_memory_t x_mem = NULL, y_mem = NULL, scratch_mem = NULL;
    dnnl_status_t s = memory_make(&scratch_mem, &k->scratch, o->engine, scratch);
    if (s == dnnl_success)
        s = memory_of(o, &x_mem, k->m, p->head.n_in, type_of(p->head.precision), (void *)(uintptr_t)x);
    if (s == dnnl_success)
        s = memory_of(o, &y_mem, k->m, p->head.n_out, dnnl_f32, out);
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
static dnnl_status_t run_blocks(onednn_packed *p, const void *x, int64_t m, float *out)
{
    onednn *o = opened(&p->head);
    const int64_t size = p->head.precision == EH_BF16 ? 2 : 4;
    dnnl_status_t s = dnnl_success;
    eh_par_set_library_threads(o->head.n_thread);
    for (int64_t at = 0; at < m && s == dnnl_success; at += M_BLOCK) {
        kept_primitive *k = NULL;
        s = primitive_for(p, m - at < M_BLOCK ? m - at : M_BLOCK, o->head.n_thread, &k);
        if (s == dnnl_success)
            s = need_scratch(o, desc_bytes(&k->scratch));
        if (s == dnnl_success)
            s = execute(p, k, o->stream[0], (const char *)x + at * p->head.n_in * size, out + at * p->head.n_out,
                        o->scratch);
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
    if (is_tail)
        memcpy(j->x_pad, x, (size_t)(n * n_in) * sizeof *x);
    const dnnl_status_t s = execute(j->p, j->k, opened(&j->p->head)->stream[worker], is_tail ? j->x_pad : x,
                                    is_tail ? j->out_pad : out, j->scratch + worker * j->n_scratch);
    if (s == dnnl_success && is_tail)
        memcpy(out, j->out_pad, (size_t)(n * n_out) * sizeof *out);
    if (s != dnnl_success)
        atomic_store(&j->status, (int)s);
}

static dnnl_status_t run_old(onednn_packed *p, const float *x, int64_t m, float *out)
{
    onednn *o = opened(&p->head);
    old_job j = {.p = p, .x = x, .m = m, .out = out, .status = (int)dnnl_success};
    kept_primitive *k = NULL;
    eh_par_set_library_threads(1);
    dnnl_status_t s = primitive_for(p, M_BLOCK_OLD, 1, &k);
    if (s != dnnl_success)
        return s;
    j.k = k;
    j.n_scratch = (desc_bytes(&k->scratch) + 63) / 64 * 64;
    s = need_scratch(o, o->head.n_thread * j.n_scratch);
    j.scratch = o->scratch;
    if (s == dnnl_success && m % M_BLOCK_OLD != 0) {
        j.x_pad = eh_calloc(M_BLOCK_OLD * p->head.n_in, (int64_t)sizeof *j.x_pad);
        j.out_pad = eh_alloc(M_BLOCK_OLD * p->head.n_out, (int64_t)sizeof *j.out_pad);
        if (j.x_pad == NULL || j.out_pad == NULL)
            s = dnnl_out_of_memory;
    }
    if (s == dnnl_success) {
        eh_par_for(o->head.n_thread, (m + M_BLOCK_OLD - 1) / M_BLOCK_OLD, old_block, &j);
        s = (dnnl_status_t)atomic_load(&j.status);
    }
    eh_free(j.x_pad);
    eh_free(j.out_pad);
    return s;
}

static int onednn_run(eh_packed *packed, const void *x, int64_t m, float *out, eh_err *err)
{
    onednn_packed *p = (onednn_packed *)packed;
    const dnnl_status_t s = opened(packed)->is_old ? run_old(p, x, m, out) : run_blocks(p, x, m, out);
    return s == dnnl_success ? EH_OK : fail(err, s, "multiply", packed->n_out, packed->n_in);
}

/* ---- Gradients ------------------------------------------------------------------------------------ */

/* dnnl_sgemm cuts k by the number of threads, and then sums in another order: so each call runs on one
 * thread and makes one tile. Large enough that packing a tile's operands again is little work. */
#define TILE_M 256
#define TILE_N 384

typedef struct tile_job {
    const eh_gemm *g;
    _Atomic int status;
} tile_job;

static void gemm_tile(void *ctx, int64_t i, int worker)
{
    (void)worker;
    tile_job *j = ctx;
    const eh_gemm *g = j->g;
    const int64_t across = (g->n + TILE_N - 1) / TILE_N;
    const int64_t row = i / across * TILE_M, col = i % across * TILE_N;
    const int64_t m = g->m - row < TILE_M ? g->m - row : TILE_M, n = g->n - col < TILE_N ? g->n - col : TILE_N;
    const float *a = g->a + (g->trans_a ? row : row * g->lda);
    const float *b = g->b + (g->trans_b ? col * g->ldb : col);
    const dnnl_status_t s = dnnl_sgemm(g->trans_a ? 'T' : 'N', g->trans_b ? 'T' : 'N', m, n, g->k, 1.0f, a, g->lda, b,
                                       g->ldb, g->beta, g->c + row * g->ldc + col, g->ldc);
    if (s != dnnl_success)
        atomic_store(&j->status, (int)s);
}

static int onednn_gemm(eh_backend *b, const eh_gemm *g, eh_err *err)
{
    tile_job j = {g, (int)dnnl_success};
    eh_par_set_library_threads(1); /* for a lone tile; within a parallel loop oneDNN keeps to one by itself */
    eh_par_for(b->n_thread, (g->m + TILE_M - 1) / TILE_M * ((g->n + TILE_N - 1) / TILE_N), gemm_tile, &j);
    const dnnl_status_t s = (dnnl_status_t)atomic_load(&j.status);
    return s == dnnl_success ? EH_OK : fail(err, s, "multiply", g->m, g->n);
}

const eh_backend_kind eh_backend_onednn = {
    .name = "onednn",
    .words = "oneDNN: kernels compiled for the processor at hand, AVX2 to AMX",
    .available = onednn_available,
    .has_bf16 = eh_host_has_bf16,
    .open = onednn_open,
    .close = onednn_close,
    .memory = &eh_host_memory,
    .pack = onednn_pack,
    .run = onednn_run,
    .drop = onednn_drop,
    .gemm = onednn_gemm,
};
