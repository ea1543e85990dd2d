/* tokenizer.json: the way back from tokens to text. */
#include "text/tokjson.h"

/* A step on tokens one by one, which must come before those that look at the neighbours. */
static int add_decode_step(eh_tokjson *l, eh_decode_step s, const char *what)
{
    eh_tokenizer *t = l->t;
    if (l->fallback_read || l->whole_read)
        return eh_fail(l->err, EH_ENOSUP, "%s: decoder %s at this place is not supported", l->where, what);
    if (t->n_decode_step == EH_STEPS_MAX)
        return eh_fail(l->err, EH_ENOSUP, "%s: more than %d decoders", l->where, EH_STEPS_MAX);
    t->decode_step[t->n_decode_step++] = s;
    return EH_OK;
}

static int dec_sequence(eh_tokjson *l, const json_t *j)
{
    return eh_tokjson_read_each(l, j, "decoders", eh_tokjson_decoder);
}

static int dec_byte_level(eh_tokjson *l, const json_t *j)
{
    (void)j;
    const int rc = add_decode_step(l, (eh_decode_step){.kind = EH_DECODE_STEP_BYTES}, "ByteLevel");
    l->t->decoder.bytes = true;
    l->whole_read = l->fuse_read = true;
    return rc;
}

static int dec_replace(eh_tokjson *l, const json_t *j)
{
    eh_decode_step s = {.kind = EH_DECODE_STEP_REPLACE};
    int rc = eh_json_str(j, l->where, "content", &s.text, l->err);
    if (rc == EH_OK)
        rc = eh_tokjson_keep(l, s.text, &s.text);
    if (rc == EH_OK)
        rc = eh_tokjson_pattern(l, j, "decoder Replace", &s.find, NULL);
    return rc < 0 ? rc : add_decode_step(l, s, "Replace");
}

static int dec_byte_fallback(eh_tokjson *l, const json_t *j)
{
    (void)j;
    if (l->fallback_read || l->whole_read)
        return eh_fail(l->err, EH_ENOSUP, "%s: decoder ByteFallback at this place is not supported", l->where);
    l->t->decoder.byte_fallback = l->fallback_read = true;
    return EH_OK;
}

static int dec_fuse(eh_tokjson *l, const json_t *j)
{
    (void)j;
    l->fuse_read = l->whole_read = true;
    return EH_OK;
}

static int dec_strip(eh_tokjson *l, const json_t *j)
{
    eh_decode_step s = {.kind = EH_DECODE_STEP_STRIP};
    int64_t stop = 0;
    int rc = eh_json_str(j, l->where, "content", &s.find, l->err);
    if (rc == EH_OK && (s.find.n == 0 || eh_utf8_next(s.find, 0, NULL) != s.find.n))
        rc = eh_fail(l->err, EH_EFORMAT, "%s: decoder Strip: the content is not one character", l->where);
    if (rc == EH_OK)
        rc = eh_tokjson_keep(l, s.find, &s.find);
    if (rc == EH_OK)
        rc = eh_json_int(j, l->where, "start", 0, 1 << 20, &s.start, l->err);
    if (rc == EH_OK)
        rc = eh_json_int(j, l->where, "stop", 0, INT64_MAX, &stop, l->err);
    if (rc == EH_OK && stop != 0)
        rc = eh_fail(l->err, EH_ENOSUP, "%s: decoder Strip: taking off the end (\"stop\" %lld) is not supported",
                     l->where, (long long)stop);
    if (rc < 0 || !l->fuse_read)
        return rc < 0 ? rc : add_decode_step(l, s, "Strip");
    if (l->t->decoder.strip_n > 0 || l->t->decoder.bytes)
        return eh_fail(l->err, EH_ENOSUP, "%s: decoder Strip at this place is not supported", l->where);
    l->t->decoder.strip = s.find;
    l->t->decoder.strip_n = s.start;
    return EH_OK;
}

static int dec_metaspace(eh_tokjson *l, const json_t *j)
{
    eh_str mark, scheme;
    int rc = eh_tokjson_metaspace(l, j, &mark, &scheme);
    if (rc == EH_OK && (l->fallback_read || l->whole_read))
        rc = eh_fail(l->err, EH_ENOSUP, "%s: decoder Metaspace at this place is not supported", l->where);
    if (rc < 0)
        return rc;
    l->t->decoder.metaspace = mark;
    l->t->decoder.metaspace_drop = !eh_str_eq(scheme, EH_STR("never"));
    l->whole_read = true;
    return EH_OK;
}

static const eh_tokjson_kind decoders[] = {
    {"Sequence", dec_sequence},           {"ByteLevel", dec_byte_level}, {"Replace", dec_replace},
    {"ByteFallback", dec_byte_fallback},  {"Fuse", dec_fuse},            {"Strip", dec_strip},
    {"Metaspace", dec_metaspace},         {NULL, NULL},
};

int eh_tokjson_decoder(eh_tokjson *l, const json_t *j)
{
    return eh_tokjson_read_kind(l, j, "decoder", decoders);
}
