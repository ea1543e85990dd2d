/*
 * Tokenizer files from strangers. An input that begins with 'G' is a GGUF vocabulary in lines: model, pre,
 * "type score spelling" per token, an empty line, merges. Any other is tokenizer.json, with
 * tokenizer_config.json behind a line "---" if there is one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

#define TOKENS_MAX 2000

static void require(int holds)
{
    if (!holds)
        abort();
}

static void use(const eh_tokenizer *t)
{
#define TEXT(s) {(s), (int64_t)sizeof(s) - 1}
    static const eh_str texts[] = {
        TEXT(""),
        TEXT("Hello world, it's 1234 <s>x</s> <|endoftext|>  \n\n a"),
        TEXT("e\xCC\x81\xE2\x96\x81\xF0\x9F\x98\x80\xE4\xB8\xAD \xC3"),
        TEXT("a\0\xff\xfe zz"),
        TEXT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
    };
#undef TEXT
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        for (unsigned flags = 0; flags < 4; flags++) {
            eh_ids ids = {0};
            eh_buf whole = {0}, joined = {0};
            eh_stream s;
            if (eh_tokenizer_encode(t, texts[k], flags, &ids, NULL) < 0)
                continue;
            for (int64_t i = 0; i < ids.n; i++) {
                require(ids.id[i] >= 0 && ids.id[i] < eh_tokenizer_n_vocab(t));
                require(0 <= ids.start[i] && ids.start[i] <= ids.end[i] && ids.end[i] <= texts[k].n);
            }
            require(eh_tokenizer_decode(t, ids.id, ids.n, flags == 0, &whole, NULL) == EH_OK);
            eh_stream_init(&s, t, flags == 0);
            for (int64_t i = 0; i < ids.n; i++)
                require(eh_stream_put(&s, ids.id[i], &joined, NULL) == EH_OK);
            require(eh_stream_end(&s, &joined, NULL) == EH_OK);
            require(eh_str_eq(eh_buf_get(&whole), eh_buf_get(&joined)));
            eh_stream_clear(&s);
            eh_ids_clear(&ids);
            eh_buf_clear(&whole);
            eh_buf_clear(&joined);
        }
}

static eh_str next_line(eh_str *s)
{
    const char *end = memchr(s->p, '\n', (size_t)s->n);
    const eh_str line = {s->p, end == NULL ? s->n : end - s->p};
    const int64_t used = line.n + (end != NULL);
    *s = (eh_str){s->p + used, s->n - used};
    return line;
}

static void gguf(eh_str s)
{
    static eh_str token[TOKENS_MAX], merge[TOKENS_MAX];
    static float score[TOKENS_MAX];
    static int32_t type[TOKENS_MAX];
    eh_gguf_vocab v = {.where = "fuzz",
                       .tokens = token,
                       .merges = merge,
                       .types = type,
                       .scores = score,
                       .bos = -1,
                       .eos = -1,
                       .unk = -1,
                       .pad = -1,
                       .add_bos = -1,
                       .add_eos = -1,
                       .add_space_prefix = -1};
    eh_tokenizer *t = NULL;
    v.model = next_line(&s);
    v.pre = next_line(&s);
    while (s.n > 0 && v.n < TOKENS_MAX) {
        const eh_str line = next_line(&s);
        if (line.n < 3)
            break;
        type[v.n] = line.p[0] - '0';
        score[v.n] = (float)(line.p[1] - 'm');
        token[v.n++] = (eh_str){line.p + 2, line.n - 2};
    }
    while (s.n > 0 && v.n_merge < TOKENS_MAX)
        merge[v.n_merge++] = next_line(&s);
    v.bos = v.n > 1 ? 1 : -1;
    if (eh_tokenizer_open_gguf(&v, &t, NULL) == EH_OK)
        use(t);
    eh_tokenizer_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    eh_str json = {(const char *)data, (int64_t)size}, config = {"", 0};
    eh_tokenizer *t = NULL;
    eh_err err;
    if (size > 0 && data[0] == 'G') {
        gguf((eh_str){(const char *)data + 1, (int64_t)size - 1});
        return 0;
    }
    for (int64_t i = 0; i + 5 <= json.n; i++)
        if (memcmp(json.p + i, "\n---\n", 5) == 0) {
            config = (eh_str){json.p + i + 5, json.n - i - 5};
            json.n = i;
        }
    if (eh_tokenizer_open_bytes(json, config, "fuzz", &t, &err) == EH_OK)
        use(t);
    else
        require(err.text[0] != '\0' && t == NULL);
    eh_tokenizer_close(t);
    return 0;
}
