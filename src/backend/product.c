#include "backend/product.h"

#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "tensor/dtype.h"

extern const eh_product eh_product_reference;
#if EH_ONEDNN
extern const eh_product eh_product_onednn;
#endif

const eh_product *eh_product_named(const char *name)
{
#if EH_ONEDNN
    if (strcmp(name, eh_product_onednn.name) == 0)
        return &eh_product_onednn;
#endif
    return strcmp(name, eh_product_reference.name) == 0 ? &eh_product_reference : NULL;
}

const eh_product *eh_product_best(void)
{
    const eh_product *fast = eh_product_named("onednn");
    return fast != NULL ? fast : &eh_product_reference;
}

bool eh_product_has_bf16(void)
{
#if EH_ONEDNN && defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

int eh_product_pack(const eh_product *product, eh_precision precision, const void *w, bool is_bf16, int64_t n_out,
                    int64_t n_in, int n_thread, eh_packed **packed, eh_err *err)
{
    return product->pack(precision, w, is_bf16, n_out, n_in, n_thread, packed, err);
}

int eh_product_run(eh_packed *packed, const void *x, int64_t m, float *out, int n_thread, eh_err *err)
{
    return m == 0 ? EH_OK : packed->product->run(packed, x, m, out, n_thread, err);
}

int eh_product_gemm(const eh_product *product, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
                    const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc,
                    int n_thread, eh_err *err)
{
    if (m == 0 || n == 0)
        return EH_OK;
    return product->gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, beta, c, ldc, n_thread, err);
}

void eh_product_drop(eh_packed *packed)
{
    if (packed != NULL)
        packed->product->drop(packed);
}

/* ---- The plain twin ---------------------------------------------------------------------- */

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

static int reference_pack(eh_precision precision, const void *w, bool is_bf16, int64_t n_out, int64_t n_in,
                          int n_thread, eh_packed **packed, eh_err *err)
{
    (void)n_thread;
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
    p->head = (eh_packed){&eh_product_reference, precision, n_out, n_in, n * (int64_t)sizeof *copy};
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

static int reference_run(eh_packed *packed, const void *x, int64_t m, float *out, int n_thread, eh_err *err)
{
    (void)err;
    reference_job job = {(const reference_packed *)packed, x, out};
    eh_par_for(n_thread, m, reference_row, &job);
    return EH_OK;
}

typedef struct gemm_job {
    bool trans_a, trans_b;
    int64_t n, k, lda, ldb, ldc;
    const float *a, *b;
    float beta, *c;
} gemm_job;

static void gemm_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const gemm_job *j = ctx;
    for (int64_t o = 0; o < j->n; o++) {
        double sum = j->beta != 0.0f ? (double)j->beta * (double)j->c[i * j->ldc + o] : 0.0;
        for (int64_t k = 0; k < j->k; k++)
            sum += (double)j->a[j->trans_a ? k * j->lda + i : i * j->lda + k] *
                   (double)j->b[j->trans_b ? o * j->ldb + k : k * j->ldb + o];
        j->c[i * j->ldc + o] = (float)sum;
    }
}

static int reference_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                          const float *b, int64_t ldb, float beta, float *c, int64_t ldc, int n_thread, eh_err *err)
{
    (void)err;
    gemm_job job = {trans_a, trans_b, n, k, lda, ldb, ldc, a, b, beta, c};
    eh_par_for(n_thread, m, gemm_row, &job);
    return EH_OK;
}

const eh_product eh_product_reference = {"reference", reference_pack, reference_run, reference_drop, reference_gemm};
