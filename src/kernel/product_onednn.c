/*
 * The product by oneDNN's matmul primitive, C API.
 *
 * The packed layout is the one oneDNN asks for at m = 512; primitives for every other m are then
 * made for that layout. Measured on AVX-512 hosts with oneDNN 2.6.3: same layout, speed and bits as
 * each m's own choice (docs/numerics.md). Making a primitive costs about 0.3 ms, so each backend
 * weight keeps the few it used last.
 */
#include <dnnl.h>
#include <dnnl_debug.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "kernel/product.h"

#define M_OF_LAYOUT 512
#define KEPT 4 /* primitives kept per weight: the full chunk, the tail, and two of other callers */

typedef struct kept_primitive {
    dnnl_primitive_t primitive;
    int64_t m;
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
static dnnl_status_t made = dnnl_runtime_error;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_engine(void)
{
    made = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (made == dnnl_success)
        made = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
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
        s = dnnl_primitive_desc_create(pd, &d, NULL, engine, NULL);
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
    eh_free(p->bytes);
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
        s = describe(&any, type_of(precision), M_OF_LAYOUT, n_out, n_in, &pd);
    if (s == dnnl_success) {
        p->desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        p->head.n_byte = (int64_t)dnnl_memory_desc_get_size(&p->desc);
        dnnl_primitive_desc_destroy(pd);
        p->bytes = eh_alloc_aligned(p->head.n_byte);
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
static dnnl_status_t primitive_for(onednn_packed *p, int64_t m, dnnl_primitive_t *primitive)
{
    kept_primitive *oldest = &p->kept[0];
    for (int i = 0; i < KEPT; i++) {
        kept_primitive *k = &p->kept[i];
        if (k->primitive != NULL && k->m == m) {
            k->used = ++p->clock;
            *primitive = k->primitive;
            return dnnl_success;
        }
        if (k->used < oldest->used)
            oldest = k;
    }
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t fresh = NULL;
    dnnl_status_t s = describe(&p->desc, type_of(p->head.precision), m, p->head.n_out, p->head.n_in, &pd);
    if (s == dnnl_success)
        s = dnnl_primitive_create(&fresh, pd);
    if (pd != NULL)
        dnnl_primitive_desc_destroy(pd);
    if (s != dnnl_success)
        return s;
    if (oldest->primitive != NULL)
        dnnl_primitive_destroy(oldest->primitive);
    *oldest = (kept_primitive){fresh, m, ++p->clock};
    *primitive = fresh;
    return dnnl_success;
}

static int onednn_run(eh_packed *packed, const void *x, int64_t m, float *out, int n_thread, eh_err *err)
{
    onednn_packed *p = (onednn_packed *)packed;
    const dnnl_dims_t x_dims = {m, packed->n_in}, y_dims = {m, packed->n_out};
    dnnl_memory_desc_t x_desc, y_desc;
    dnnl_memory_t x_mem = NULL, y_mem = NULL;
    dnnl_primitive_t primitive = NULL;

    eh_par_set_library_threads(n_thread);
    dnnl_status_t s = primitive_for(p, m, &primitive);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&x_desc, 2, x_dims, type_of(packed->precision), dnnl_ab);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&y_desc, 2, y_dims, dnnl_f32, dnnl_ab);
    if (s == dnnl_success)
        s = dnnl_memory_create(&x_mem, &x_desc, engine, (void *)(uintptr_t)x);
    if (s == dnnl_success)
        s = dnnl_memory_create(&y_mem, &y_desc, engine, out);
    if (s == dnnl_success) {
        const dnnl_exec_arg_t args[] = {
            {DNNL_ARG_SRC, x_mem}, {DNNL_ARG_WEIGHTS, p->memory}, {DNNL_ARG_DST, y_mem}};
        s = dnnl_primitive_execute(primitive, stream, 3, args);
    }
    if (s == dnnl_success)
        s = dnnl_stream_wait(stream);
    if (x_mem != NULL)
        dnnl_memory_destroy(x_mem);
    if (y_mem != NULL)
        dnnl_memory_destroy(y_mem);
    return s == dnnl_success ? EH_OK : fail(err, s, "multiply", packed->n_out, packed->n_in);
}

const eh_product eh_product_onednn = {"onednn", onednn_pack, onednn_run, onednn_drop};
