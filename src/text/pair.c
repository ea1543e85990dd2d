#include "text/pair.h"

#include <string.h>

int64_t eh_str_rstrip(eh_str s)
{
    while (s.n > 0) {
        int64_t at = s.n - 1;
        while (at > 0 && s.n - at < 4 && ((unsigned char)s.p[at] & 0xC0) == 0x80)
            at--;
        int32_t code;
        if (eh_utf8_next(s, at, &code) != s.n - at || !eh_is_space(code))
            break;
        s.n = at;
    }
    return s.n;
}

/* Drops tokens on the left until max_tok are left. */
static void cut_left(eh_ids *ids, int64_t max_tok, int64_t *from)
{
    const int64_t extra = max_tok > 0 && ids->n > max_tok ? ids->n - max_tok : 0;
    if (extra == 0)
        return;
    ids->n -= extra;
    memmove(ids->id, ids->id + extra, (size_t)ids->n * sizeof *ids->id);
    memmove(ids->start, ids->start + extra, (size_t)ids->n * sizeof *ids->start);
    memmove(ids->end, ids->end + extra, (size_t)ids->n * sizeof *ids->end);
    *from = *from > extra ? *from - extra : 1;
}

/* Puts the prefix token in front, with no text of its own. */
static int put_prefix(eh_ids *ids, int32_t prefix, eh_err *err)
{
    const int rc = eh_ids_push(ids, prefix, 0, 0, err);
    if (rc < 0)
        return rc;
    memmove(ids->id + 1, ids->id, (size_t)(ids->n - 1) * sizeof *ids->id);
    memmove(ids->start + 1, ids->start, (size_t)(ids->n - 1) * sizeof *ids->start);
    memmove(ids->end + 1, ids->end, (size_t)(ids->n - 1) * sizeof *ids->end);
    ids->id[0] = prefix;
    ids->start[0] = ids->end[0] = 0;
    return EH_OK;
}

int eh_pair_encode(const eh_tokenizer *t, eh_str context, eh_str continuation, int32_t prefix, int64_t max_tok,
                   eh_ids *ids, int64_t *from, eh_err *err)
{
    eh_buf whole = {0};
    eh_buf_str(&whole, context);
    eh_buf_str(&whole, continuation);
    int rc = eh_buf_check(&whole, "context and continuation", err);
    if (rc == EH_OK)
        rc = eh_tokenizer_encode(t, eh_buf_get(&whole), EH_ENCODE_SPECIAL, ids, err);
    eh_buf_clear(&whole);
    if (rc < 0)
        return rc;

    int64_t cut = 0;
    const eh_str bare = {context.p, eh_str_rstrip(context)};
    if (bare.n > 0) {
        eh_ids alone = {0};
        rc = eh_tokenizer_encode(t, bare, EH_ENCODE_SPECIAL, &alone, err);
        cut = alone.n;
        eh_ids_clear(&alone);
        if (rc < 0)
            return rc;
    }
    if (cut == 0 && ids->n > 0) {
        if (prefix < 0)
            prefix = eh_tokenizer_bos(t) >= 0 ? eh_tokenizer_bos(t) : eh_tokenizer_eos(t);
        if (prefix < 0)
            return eh_fail(err, EH_EINVAL,
                           "the context is empty and the model has neither BOS nor EOS to stand for it");
        if (ids->id[0] != prefix && (rc = put_prefix(ids, prefix, err)) < 0)
            return rc;
        cut = 1;
    }
    if (cut >= ids->n)
        return eh_fail(err, EH_EINVAL, "the continuation \"%.*s\" adds no token to its context",
                       (int)(continuation.n < 200 ? continuation.n : 200), continuation.p);
    *from = cut;
    cut_left(ids, max_tok, from);
    return EH_OK;
}
