/*
 * A file in the making (file.h) that is hashed as it is written, so that its SHA-256 is known when it lands.
 *
 *     eh_sink s = {0};
 *     rc = eh_sink_open(&s, "model.safetensors", err);
 *     rc = eh_sink_put(&s, p, n, err);
 *     rc = eh_sink_sum(&s, sum, err);
 *     rc = eh_sink_commit(&s, err);          the file is now there, and whole
 *   done:
 *     eh_sink_drop(&s);                      a committed file is left alone
 */
#ifndef EH_BASE_SINK_H
#define EH_BASE_SINK_H

#include "base/file.h"
#include "base/hash.h"

typedef struct eh_sink {
    eh_outfile out;
    eh_sha256 hash; /* ended by eh_sink_sum */
    int64_t n;      /* bytes so far */
} eh_sink;

int eh_sink_open(eh_sink *s, const char *path, eh_err *err);
int eh_sink_put(eh_sink *s, const void *p, int64_t n, eh_err *err);
/* The SHA-256 of all bytes so far. What is put after it is written, and belongs to no sum. */
int eh_sink_sum(eh_sink *s, char sum[EH_SHA256_TEXT], eh_err *err);
int eh_sink_commit(eh_sink *s, eh_err *err);
void eh_sink_drop(eh_sink *s);

#endif
