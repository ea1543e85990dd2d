/*
 * What computes the products of a session: out[m, n_out] = x[m, n_in] * W^T, with W [n_out, n_in] packed once.
 *
 *     rc = eh_backend_find(NULL, &kind, err);                              the best that runs here
 *     rc = eh_backend_open(kind, threads, &b, err);
 *     rc = eh_backend_pack(b, EH_F32, rows, false, n_out, n_in, &w, err);
 *     rc = eh_backend_run(w, x, m, out, err);
 *     eh_backend_drop(w);
 *     eh_backend_close(b);                                                 after all that it packed
 *
 * A kind of backend is one file and one row of backends.c: `onednn` and `reference` (plain C, double sums). An open
 * backend belongs to one session, with all that it changes: library handles, scratch, packed weights. So two of them
 * never wait for each other, and one is used by one call at a time.
 *
 * In f32 a row of `out` has the same bits whatever m is and however many threads run (on oneDNN: measured, with
 * AVX-512; docs/numerics.md). What each function of a kind must hold, and how to add one: docs/backends.md.
 */
#ifndef EH_BACKEND_BACKEND_H
#define EH_BACKEND_BACKEND_H

#include <stdint.h>

#include "base/err.h"

typedef struct eh_backend eh_backend;
typedef struct eh_packed eh_packed;

/* c [m, n] = op(a) op(b) + beta * c in f32, all row-major, op(x) = x or its transpose; op(a) [m, k], op(b) [k, n].
 * ld: floats from a row as it lies to the next. beta 0: c is not read. */
typedef struct eh_gemm {
    bool trans_a, trans_b;
    int64_t m, n, k;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float beta;
    float *c;
    int64_t ldc;
} eh_gemm;

/* Where the numbers lie that a backend computes with. */
typedef struct eh_backend_memory {
    bool is_host;                                  /* the program's own memory: nothing is copied for a call */
    void *(*alloc)(eh_backend *b, int64_t n_byte); /* on a 64-byte boundary, not zeroed; NULL: no room */
    void (*release)(eh_backend *b, void *p);       /* NULL is fine */
    /* From the program's memory to the backend's, and back; done on return. */
    int (*upload)(eh_backend *b, void *to, const void *from, int64_t n_byte, eh_err *err);
    int (*download)(eh_backend *b, void *to, const void *from, int64_t n_byte, eh_err *err);
} eh_backend_memory;

/* For kinds that compute on the processor. */
extern const eh_backend_memory eh_host_memory;
bool eh_host_has_bf16(void);

typedef struct eh_backend_kind {
    const char *name;        /* what options and records call it */
    const char *words;       /* a line on it */
    bool (*available)(void); /* whether this machine can run it */
    bool (*has_bf16)(void);  /* has bfloat16 products: automatic precision asks; without, pack may refuse them */
    int (*open)(int n_thread, eh_backend **b, eh_err *err);
    void (*close)(eh_backend *b); /* half-built ones, too */
    const eh_backend_memory *memory;
    /* Takes w [n_out, n_in] in the program's memory, f32 or (is_bf16) bfloat16, row-major; the caller's again on
     * return. */
    int (*pack)(eh_backend *b, eh_precision precision, const void *w, bool is_bf16, int64_t n_out, int64_t n_in,
                eh_packed **packed, eh_err *err);
    /* In the backend's memory: x [m, n_in] float in f32, bfloat16 in bf16; out [m, n_out] float, overwritten. m > 0. */
    int (*run)(eh_packed *packed, const void *x, int64_t m, float *out, eh_err *err);
    void (*drop)(eh_packed *packed);
    /* In the backend's memory; m, n > 0. The result does not depend on the number of threads. */
    int (*gemm)(eh_backend *b, const eh_gemm *g, eh_err *err);
} eh_backend_kind;

/* Every open backend starts with this. Its open fills in kind and n_thread; the rest is backend.c's. */
struct eh_backend {
    const eh_backend_kind *kind;
    int n_thread;
    void *stage; /* n_stage bytes of its memory for a call's operands, where that is not the program's */
    int64_t n_stage;
};

/* And every packed weight with this. It belongs to the backend that packed it. */
struct eh_packed {
    eh_backend *backend;
    eh_precision precision;
    int64_t n_out, n_in;
    int64_t n_byte; /* memory it holds */
};

/* ---- The table (backends.c) -------------------------------------------------------------------------------- */

/* Rows 0, 1, ..., the best first; NULL after the last. */
const eh_backend_kind *eh_backend_row(int i);
/* By name; NULL: the first that this machine can run. Errors: EH_EINVAL not built, EH_ENOSUP not for this machine. */
int eh_backend_find(const char *name, const eh_backend_kind **kind, eh_err *err);

/* ---- An open backend (backend.c): all pointers are to the program's memory ------------------------------- */

int eh_backend_open(const eh_backend_kind *kind, int n_thread, eh_backend **b, eh_err *err);
void eh_backend_close(eh_backend *b); /* NULL is fine */
int eh_backend_pack(eh_backend *b, eh_precision precision, const void *w, bool is_bf16, int64_t n_out, int64_t n_in,
                    eh_packed **packed, eh_err *err);
int eh_backend_run(eh_packed *packed, const void *x, int64_t m, float *out, eh_err *err);
void eh_backend_drop(eh_packed *packed); /* NULL is fine */
/* What gradients need. */
int eh_backend_gemm(eh_backend *b, const eh_gemm *g, eh_err *err);

#endif
