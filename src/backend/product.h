/*
 * The product: out[m, n_out] = x[m, n_in] * W^T, with W [n_out, n_in] packed once for its backend.
 *
 *     eh_packed *w;
 *     rc = eh_product_pack(eh_product_best(), EH_F32, rows, n_out, n_in, threads, &w, err);
 *     rc = eh_product_run(w, x, m, out, threads, err);
 *     eh_product_drop(w);
 *
 * Backends are rows of a table: `reference` (plain C, double sums) and `onednn`. In f32 a row of
 * `out` has the same bits whatever m is and however many threads run (on oneDNN: measured, with
 * AVX-512; docs/numerics.md).
 */
#ifndef EH_BACKEND_PRODUCT_H
#define EH_BACKEND_PRODUCT_H

#include <stdint.h>

#include "base/err.h"

typedef struct eh_packed eh_packed;

typedef struct eh_product {
    const char *name;
    /* Takes w [n_out, n_in], f32 or (is_bf16) bfloat16, row-major; the caller's again on return. */
    int (*pack)(eh_precision precision, const void *w, bool is_bf16, int64_t n_out, int64_t n_in, int n_thread,
                eh_packed **packed, eh_err *err);
    /* x [m, n_in]: float in f32, bfloat16 in bf16. out [m, n_out] float, overwritten. */
    int (*run)(eh_packed *packed, const void *x, int64_t m, float *out, int n_thread, eh_err *err);
    void (*drop)(eh_packed *packed);
    /* See eh_product_gemm. */
    int (*gemm)(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                const float *b, int64_t ldb, float beta, float *c, int64_t ldc, int n_thread, eh_err *err);
} eh_product;

/* Every backend's packed weight starts with this. */
struct eh_packed {
    const eh_product *product;
    eh_precision precision;
    int64_t n_out, n_in;
    int64_t n_byte; /* memory it holds */
};

const eh_product *eh_product_named(const char *name); /* NULL: not built */
const eh_product *eh_product_best(void);
/* Whether the processor has bfloat16 products; without, bf16 runs, but slower than f32. */
bool eh_product_has_bf16(void);

int eh_product_pack(const eh_product *product, eh_precision precision, const void *w, bool is_bf16, int64_t n_out,
                    int64_t n_in, int n_thread, eh_packed **packed, eh_err *err);
int eh_product_run(eh_packed *packed, const void *x, int64_t m, float *out, int n_thread, eh_err *err);
void eh_product_drop(eh_packed *packed); /* NULL is fine */

/*
 * What gradients need: c [m, n] = op(a) op(b) + beta * c in f32, all row-major, op(x) = x or its transpose;
 * op(a) [m, k], op(b) [k, n]; ld: floats from a row as it lies to the next. beta 0: c is not read. The result
 * does not depend on the number of threads: c is cut into tiles of a fixed size, each one thread's.
 */
int eh_product_gemm(const eh_product *product, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k,
                    const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc,
                    int n_thread, eh_err *err);

#endif
