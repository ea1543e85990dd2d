/* The plain backend: C that says what a product is, sums in double. All others are held against it. */
#include "base/mem.h"
#include "base/par.h"
#include "backend/backend.h"
#include "tensor/dtype.h"

extern const eh_backend_kind eh_backend_reference;

static bool reference_available(void)
{
    return true;
}

static int reference_open(int n_thread, eh_backend **b, eh_err *err)
{
    eh_backend *mine = eh_calloc(1, (int64_t)sizeof *mine);
    if (mine == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to open the reference backend");
    *mine = (eh_backend){.kind = &eh_backend_reference, .n_thread = n_thread};
    *b = mine;
    return EH_OK;
}

static void reference_close(eh_backend *b)
{
    eh_free(b);
}

typedef struct reference_packed {
    eh_packed head;
    float *w; /* [n_out, n_in]; in bf16 the values are rounded to bfloat16 */
} reference_packed;

static float bf16_value(uint16_t h)
{
    float x;
    eh_bf16_to_f32(&h, 1, &x);
    return x;
}

static float bf16_rounded(float x)
{
    uint16_t h;
    eh_f32_to_bf16(&x, 1, &h);
    return bf16_value(h);
}

static void reference_drop(eh_packed *packed)
{
    reference_packed *p = (reference_packed *)packed;
    eh_free(p->w);
    eh_free(p);
}

static int reference_pack(eh_backend *b, eh_precision precision, const void *w, bool is_bf16, int64_t n_out,
                          int64_t n_in, eh_packed **packed, eh_err *err)
{
    const int64_t n = n_out * n_in;
    reference_packed *p = eh_calloc(1, (int64_t)sizeof *p);
    float *copy = eh_alloc(n, (int64_t)sizeof *copy);
    if (p == NULL || copy == NULL) {
        eh_free(p);
        eh_free(copy);
        return eh_fail(err, EH_ENOMEM, "no memory to pack a %lld x %lld weight", (long long)n_out, (long long)n_in);
    }
    for (int64_t i = 0; i < n; i++) {
        const float x = is_bf16 ? bf16_value(((const uint16_t *)w)[i]) : ((const float *)w)[i];
        copy[i] = precision == EH_BF16 ? bf16_rounded(x) : x;
    }
    p->w = copy;
    p->head = (eh_packed){b, precision, n_out, n_in, n * (int64_t)sizeof *copy};
    *packed = &p->head;
    return EH_OK;
}

typedef struct reference_job {
    const reference_packed *p;
    const void *x;
    float *out;
} reference_job;

static void reference_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const reference_job *job = ctx;
    const int64_t n_in = job->p->head.n_in, n_out = job->p->head.n_out;
    const bool bf16 = job->p->head.precision == EH_BF16;
    const float *xf = (const float *)job->x + i * n_in;
    const uint16_t *xb = (const uint16_t *)job->x + i * n_in;
    for (int64_t o = 0; o < n_out; o++) {
        const float *w = job->p->w + o * n_in;
        double sum = 0.0;
        for (int64_t k = 0; k < n_in; k++)
            sum += (double)(bf16 ? bf16_value(xb[k]) : xf[k]) * (double)w[k];
        job->out[i * n_out + o] = (float)sum;
    }
}

static int reference_run(eh_packed *packed, const void *x, int64_t m, float *out, eh_err *err)
{
    (void)err;
    reference_job job = {(const reference_packed *)packed, x, out};
    eh_par_for(packed->backend->n_thread, m, reference_row, &job);
    return EH_OK;
}

static void reference_gemm_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const eh_gemm *g = ctx;
    for (int64_t o = 0; o < g->n; o++) {
        double sum = g->beta != 0.0f ? (double)g->beta * (double)g->c[i * g->ldc + o] : 0.0;
        for (int64_t k = 0; k < g->k; k++)
            sum += (double)g->a[g->trans_a ? k * g->lda + i : i * g->lda + k] *
                   (double)g->b[g->trans_b ? o * g->ldb + k : k * g->ldb + o];
        g->c[i * g->ldc + o] = (float)sum;
    }
}

static int reference_gemm(eh_backend *b, const eh_gemm *g, eh_err *err)
{
    (void)err;
    eh_gemm job = *g;
    eh_par_for(b->n_thread, g->m, reference_gemm_row, &job);
    return EH_OK;
}

const eh_backend_kind eh_backend_reference = {
    .name = "reference",
    .words = "plain C with sums in double: slow, and what the others are held against",
    .available = reference_available,
    .has_bf16 = eh_host_has_bf16,
    .open = reference_open,
    .close = reference_close,
    .memory = &eh_host_memory,
    .pack = reference_pack,
    .run = reference_run,
    .drop = reference_drop,
    .gemm = reference_gemm,
};
