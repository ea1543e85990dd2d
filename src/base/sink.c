#include "base/sink.h"

#define PIECE ((int64_t)1 << 20) /* hashed and written while it is in the cache */

int eh_sink_open(eh_sink *s, const char *path, eh_err *err)
{
    *s = (eh_sink){0};
    const int rc = eh_outfile_open(&s->out, path, err);
    if (rc == EH_OK)
        eh_sha256_begin(&s->hash);
    return rc;
}

int eh_sink_put(eh_sink *s, const void *p, int64_t n, eh_err *err)
{
    int rc = EH_OK;
    for (int64_t at = 0; at < n && rc == EH_OK; at += PIECE) {
        const int64_t piece = n - at < PIECE ? n - at : PIECE;
        eh_sha256_add(&s->hash, (const char *)p + at, piece);
        rc = eh_outfile_put(&s->out, (const char *)p + at, piece, err);
    }
    s->n += n;
    return rc;
}

int eh_sink_sum(eh_sink *s, char sum[EH_SHA256_TEXT], eh_err *err)
{
    return eh_sha256_end(&s->hash, sum, err);
}

int eh_sink_commit(eh_sink *s, eh_err *err)
{
    return eh_outfile_commit(&s->out, err);
}

void eh_sink_drop(eh_sink *s)
{
    if (s == NULL)
        return;
    eh_sha256_drop(&s->hash);
    eh_outfile_drop(&s->out);
    *s = (eh_sink){0};
}
