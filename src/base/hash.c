#include "base/hash.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/file.h"

static _Atomic int64_t digests_left = -1; /* -1: never fail */

void eh_sha256_fail_after(int64_t k)
{
    atomic_store(&digests_left, k > 0 ? k : -1);
}

static bool told_to_fail(void)
{
    int64_t left = atomic_load(&digests_left);
    while (left > 1)
        if (atomic_compare_exchange_weak(&digests_left, &left, left - 1))
            return false;
    return left >= 0;
}

void eh_sha256_begin(eh_sha256 *h)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    h->state = ctx;
}

void eh_sha256_add(eh_sha256 *h, const void *p, int64_t n)
{
    if (h->state != NULL && n > 0 && EVP_DigestUpdate(h->state, p, (size_t)n) != 1) {
        EVP_MD_CTX_free(h->state);
        h->state = NULL;
    }
}

void eh_sha256_add_text(eh_sha256 *h, eh_str s)
{
    eh_sha256_add(h, &s.n, (int64_t)sizeof s.n);
    eh_sha256_add(h, s.p, s.n);
}

void eh_sha256_drop(eh_sha256 *h)
{
    EVP_MD_CTX_free(h->state);
    h->state = NULL;
}

int eh_sha256_end(eh_sha256 *h, char out[EH_SHA256_TEXT], eh_err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    const bool good = !told_to_fail() && h->state != NULL && EVP_DigestFinal_ex(h->state, digest, NULL) == 1;
    eh_sha256_drop(h);
    if (!good)
        return eh_fail(err, EH_ENOMEM, "libcrypto could not compute a SHA-256");
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return EH_OK;
}

int eh_sha256_of(const void *p, int64_t n, char out[EH_SHA256_TEXT], eh_err *err)
{
    eh_sha256 h;
    eh_sha256_begin(&h);
    eh_sha256_add(&h, p, n);
    return eh_sha256_end(&h, out, err);
}

int eh_sha256_file(const char *path, char out[EH_SHA256_TEXT], eh_err *err)
{
    eh_map map;
    int rc = eh_map_open(path, &map, err);
    if (rc < 0)
        return rc;
    rc = eh_sha256_of(map.p, map.n, out, err);
    eh_map_close(&map);
    return rc;
}
