/*
 * Each allocation in turn fails while a backend is opened, packs, multiplies and makes gradients: the call ends with
 * EH_ENOMEM, outputs stay, the backend is as good as before, and (under the address sanitizer) nothing leaks. For
 * every row of the table; once more in a child that oneDNN takes for a machine with AVX2 only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/mem.h"
#include "check.h"

#define N_IN 72
#define N_OUT 65
#define M 70 /* a block of 64 rows and a tail */

static eh_err err;
static float x[M * N_IN], w[N_OUT * N_IN], want[M * N_OUT], got[M * N_OUT];

static void fill(float *to, int n, int step)
{
    for (int i = 0; i < n; i++)
        to[i] = (float)((i * step) % 17 - 8);
}

static eh_backend *open_row(int i)
{
    eh_backend *b = NULL;
    CHECK_OK(eh_backend_open(eh_backend_row(i), 2, &b, &err));
    return b;
}

static eh_packed *pack(eh_backend *b)
{
    eh_packed *packed = NULL;
    CHECK_OK(eh_backend_pack(b, EH_F32, w, false, N_OUT, N_IN, &packed, &err));
    return packed;
}

TEST(opening_survives_every_failed_allocation)
{
    for (int i = 0; eh_backend_row(i) != NULL; i++) {
        int64_t k = 1;
        for (bool done = false; !done; k++) {
            eh_backend *b = NULL;
            err.text[0] = '\0';
            eh_mem_fail_after(k);
            const int rc = eh_backend_open(eh_backend_row(i), 2, &b, &err);
            eh_mem_fail_after(0);
            done = rc == EH_OK;
            if (!done) {
                CHECK_INT(rc, EH_ENOMEM);
                CHECK(b == NULL && err.text[0] != '\0');
            }
            eh_backend_close(b);
        }
        CHECK(k > 2); /* at least one could fail */
    }
}

TEST(packing_survives_every_failed_allocation)
{
    fill(w, N_OUT * N_IN, 7);
    fill(x, M * N_IN, 5);
    for (int i = 0; eh_backend_row(i) != NULL; i++) {
        eh_backend *b = open_row(i);
        eh_packed *whole = pack(b);
        CHECK_OK(eh_backend_run(whole, x, M, want, &err));
        int64_t k = 1;
        for (bool done = false; !done; k++) {
            eh_packed *packed = NULL;
            err.text[0] = '\0';
            eh_mem_fail_after(k);
            const int rc = eh_backend_pack(b, EH_F32, w, false, N_OUT, N_IN, &packed, &err);
            eh_mem_fail_after(0);
            done = rc == EH_OK;
            if (!done) {
                CHECK_INT(rc, EH_ENOMEM);
                CHECK(packed == NULL && err.text[0] != '\0');
            }
            /* What was packed before is as it was, and what is packed now is the same. */
            CHECK_OK(eh_backend_run(done ? packed : whole, x, M, got, &err));
            CHECK(memcmp(got, want, sizeof want) == 0);
            eh_backend_drop(packed);
        }
        CHECK(k > 2);
        eh_backend_drop(whole);
        eh_backend_close(b);
    }
}

/* The first product of a backend takes its scratch. */
TEST(multiplying_survives_every_failed_allocation)
{
    fill(w, N_OUT * N_IN, 7);
    fill(x, M * N_IN, 5);
    for (int i = 0; eh_backend_row(i) != NULL; i++) {
        eh_backend *first = open_row(i);
        eh_packed *whole = pack(first);
        CHECK_OK(eh_backend_run(whole, x, M, want, &err));
        eh_backend_drop(whole);
        eh_backend_close(first);
        int64_t k = 1;
        for (bool done = false; !done; k++) {
            eh_backend *b = open_row(i); /* anew */
            eh_packed *packed = pack(b);
            eh_mem_fail_after(k);
            const int rc = eh_backend_run(packed, x, M, got, &err);
            eh_mem_fail_after(0);
            done = rc == EH_OK;
            if (!done) {
                CHECK_INT(rc, EH_ENOMEM);
                CHECK_OK(eh_backend_run(packed, x, M, got, &err)); /* with memory again, all is well */
            }
            CHECK(memcmp(got, want, sizeof want) == 0);
            eh_backend_drop(packed);
            eh_backend_close(b);
        }
    }
}

TEST(gradients_survive_every_failed_allocation)
{
    static float dw[N_OUT * N_IN], dw_want[N_OUT * N_IN];
    fill(x, M * N_IN, 5);
    fill(want, M * N_OUT, 3);
    for (int i = 0; eh_backend_row(i) != NULL; i++) {
        eh_gemm g = {.trans_a = true, .m = N_OUT, .n = N_IN, .k = M, .a = want, .lda = N_OUT, .b = x, .ldb = N_IN,
                     .c = dw_want, .ldc = N_IN};
        eh_backend *b = open_row(i);
        CHECK_OK(eh_backend_gemm(b, &g, &err));
        eh_backend_close(b);
        g.c = dw;
        for (int64_t k = 1;; k++) {
            b = open_row(i);
            eh_mem_fail_after(k);
            const int rc = eh_backend_gemm(b, &g, &err);
            eh_mem_fail_after(0);
            eh_backend_close(b);
            if (rc == EH_OK)
                break;
            CHECK_INT(rc, EH_ENOMEM);
        }
        CHECK(memcmp(dw, dw_want, sizeof dw) == 0);
    }
}

TEST(the_same_holds_where_onednn_knows_avx2_only)
{
    if (getenv("DNNL_MAX_CPU_ISA") != NULL)
        SKIP("this is the child");
    char self[4096], command[4200];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        SKIP("cannot tell which program this is");
    self[n] = '\0';
    snprintf(command, sizeof command, "CHECK_ONLY= DNNL_MAX_CPU_ISA=AVX2 '%s' >&2", self);
    CHECK_INT(system(command), 0);
}
