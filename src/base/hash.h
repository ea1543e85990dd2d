/* SHA-256, by libcrypto. Digests are lower-case hexadecimal, 64 characters and a NUL. */
#ifndef EH_BASE_HASH_H
#define EH_BASE_HASH_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define EH_SHA256_TEXT 65

typedef struct eh_sha256 {
    void *state; /* libcrypto's; NULL when there was no memory for it */
} eh_sha256;

void eh_sha256_begin(eh_sha256 *h);
void eh_sha256_add(eh_sha256 *h, const void *p, int64_t n);
/* The length, then the bytes: texts in a row cannot run into each other. */
void eh_sha256_add_text(eh_sha256 *h, eh_str s);
int eh_sha256_end(eh_sha256 *h, char out[EH_SHA256_TEXT], eh_err *err); /* frees the state, too */
void eh_sha256_drop(eh_sha256 *h); /* one that is not to be ended; an ended one is fine */

int eh_sha256_of(const void *p, int64_t n, char out[EH_SHA256_TEXT], eh_err *err);
int eh_sha256_file(const char *path, char out[EH_SHA256_TEXT], eh_err *err);

/* For tests: the k-th digest from now and all after it cannot be computed (EH_ENOMEM); 0: off. */
void eh_sha256_fail_after(int64_t k);

#endif
