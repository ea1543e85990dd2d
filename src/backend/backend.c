/*
 * An open backend, whatever its kind. Where its memory is not the program's, a call's operands are staged: copied into
 * one block of the backend's memory that grows, and the result copied back. That is right, and slow; who holds numbers
 * in the backend's memory calls the kind's functions themselves (docs/backends.md).
 */
#include "backend/backend.h"

#include <string.h>

#include "base/mem.h"

/* ---- The processor and its memory ------------------------------------------------------------------------ */

bool eh_host_has_bf16(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static void *host_alloc(eh_backend *b, int64_t n_byte)
{
    (void)b;
    return eh_block_alloc(n_byte);
}

static void host_release(eh_backend *b, void *p)
{
    (void)b;
    eh_block_free(p);
}

static int host_copy(eh_backend *b, void *to, const void *from, int64_t n_byte, eh_err *err)
{
    (void)b;
    (void)err;
    memcpy(to, from, (size_t)n_byte);
    return EH_OK;
}

const eh_backend_memory eh_host_memory = {true, host_alloc, host_release, host_copy, host_copy};

/* ---- Staging ---------------------------------------------------------------------------------------------- */

#define ALIGN 64

/* at[i]: room for size[i] bytes of the backend's memory, until the next call. */
static int stage(eh_backend *b, int n, const int64_t *size, void **at, eh_err *err)
{
    int64_t need = 0;
    for (int i = 0; i < n; i++)
        need += (size[i] + ALIGN - 1) / ALIGN * ALIGN;
    if (need > b->n_stage) {
        b->kind->memory->release(b, b->stage);
        b->stage = b->kind->memory->alloc(b, need);
        b->n_stage = b->stage != NULL ? need : 0;
    }
    if (b->stage == NULL)
        return eh_fail(err, EH_ENOMEM, "backend %s has no room for %lld bytes of a product", b->kind->name,
                       (long long)need);
    char *next = b->stage;
    for (int i = 0; i < n; i++) {
        at[i] = next;
        next += (size[i] + ALIGN - 1) / ALIGN * ALIGN;
    }
    return EH_OK;
}

static int staged_run(eh_packed *packed, const void *x, int64_t m, float *out, eh_err *err)
{
    eh_backend *b = packed->backend;
    const eh_backend_memory *memory = b->kind->memory;
    const int64_t size[2] = {m * packed->n_in * (packed->precision == EH_BF16 ? 2 : 4),
                             m * packed->n_out * (int64_t)sizeof *out};
    void *at[2] = {NULL, NULL};
    int rc = stage(b, 2, size, at, err);
    if (rc == EH_OK)
        rc = memory->upload(b, at[0], x, size[0], err);
    if (rc == EH_OK)
        rc = b->kind->run(packed, at[0], m, at[1], err);
    if (rc == EH_OK)
        rc = memory->download(b, out, at[1], size[1], err);
    return rc;
}

/* Bytes from the first to the last number of a matrix whose rows lie ld floats apart. */
static int64_t extent(int64_t n_row, int64_t n_col, int64_t ld)
{
    return n_row == 0 || n_col == 0 ? 0 : ((n_row - 1) * ld + n_col) * (int64_t)sizeof(float);
}

static int staged_gemm(eh_backend *b, const eh_gemm *g, eh_err *err)
{
    const eh_backend_memory *memory = b->kind->memory;
    const int64_t size[3] = {extent(g->trans_a ? g->k : g->m, g->trans_a ? g->m : g->k, g->lda),
                             extent(g->trans_b ? g->n : g->k, g->trans_b ? g->k : g->n, g->ldb),
                             extent(g->m, g->n, g->ldc)};
    void *at[3] = {NULL, NULL, NULL};
    int rc = stage(b, 3, size, at, err);
    if (rc < 0)
        return rc;
    eh_gemm there = *g;
    there.a = at[0];
    there.b = at[1];
    there.c = at[2];
    rc = memory->upload(b, at[0], g->a, size[0], err);
    if (rc == EH_OK)
        rc = memory->upload(b, at[1], g->b, size[1], err);
    if (rc == EH_OK && (g->beta != 0.0f || g->ldc > g->n)) /* what lies between the rows comes back as it was */
        rc = memory->upload(b, at[2], g->c, size[2], err);
    if (rc == EH_OK)
        rc = b->kind->gemm(b, &there, err);
    if (rc == EH_OK)
        rc = memory->download(b, g->c, at[2], size[2], err);
    return rc;
}

/* ---- Calls ------------------------------------------------------------------------------------------------ */

int eh_backend_open(const eh_backend_kind *kind, int n_thread, eh_backend **b, eh_err *err)
{
    return kind->open(n_thread, b, err);
}

void eh_backend_close(eh_backend *b)
{
    if (b == NULL)
        return;
    b->kind->memory->release(b, b->stage);
    b->kind->close(b);
}

int eh_backend_pack(eh_backend *b, eh_precision precision, const void *w, bool is_bf16, int64_t n_out, int64_t n_in,
                    eh_packed **packed, eh_err *err)
{
    return b->kind->pack(b, precision, w, is_bf16, n_out, n_in, packed, err);
}

int eh_backend_run(eh_packed *packed, const void *x, int64_t m, float *out, eh_err *err)
{
    const eh_backend_kind *kind = packed->backend->kind;
    if (m == 0)
        return EH_OK;
    return kind->memory->is_host ? kind->run(packed, x, m, out, err) : staged_run(packed, x, m, out, err);
}

void eh_backend_drop(eh_packed *packed)
{
    if (packed != NULL)
        packed->backend->kind->drop(packed);
}

int eh_backend_gemm(eh_backend *b, const eh_gemm *g, eh_err *err)
{
    if (g->m == 0 || g->n == 0)
        return EH_OK;
    return b->kind->memory->is_host ? b->kind->gemm(b, g, err) : staged_gemm(b, g, err);
}
