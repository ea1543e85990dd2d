/* Each allocation in turn fails: opening, encoding and decoding end with EH_ENOMEM, their outputs
 * untouched, and (under the address sanitizer) nothing leaks. */
#include "check.h"

#include <string.h>

#include "base/mem.h"
#include "text/tokenizer.h"

static eh_err err;

static const char byte_level[] =
    "{\"added_tokens\":[{\"id\":9,\"content\":\"<x>\",\"special\":true},{\"id\":10,\"content\":\"Q\",\"special\":false,"
    "\"normalized\":true}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"},"
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"z+\"},\"content\":\"a\"}]},"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{N}"
    "{1,3}|\\\\s+(?!\\\\S)\"},"
    "\"behavior\":\"MergedWithPrevious\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<x>\"}},"
    "{\"Sequence\":{\"id\":\"A\"}}],"
    "\"special_tokens\":{\"<x>\":{\"ids\":[9]}}},\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,\"\\u0120\":2,\"ab\":3,"
    "\"\\u00c3\":4,\"\\u00a9\":5,\"\\u0120a\":6},"
    "\"merges\":[\"a b\",[\"\\u0120\",\"a\"]]}}";
static const char config[] = "{\"bos_token\":\"<x>\",\"add_bos_token\":true,\"chat_template\":\"{{ x }}\","
                             "\"added_tokens_decoder\":{\"11\":{\"content\":\"<y>\",\"special\":true}}}";

static int open_json(eh_tokenizer **t)
{
    return eh_tokenizer_open_bytes(eh_str_of(byte_level), eh_str_of(config), "test", t, &err);
}

static int open_gguf(eh_tokenizer **t)
{
    static const eh_str tokens[] = {{"<unk>", 5}, {"<s>", 3}, {"</s>", 4}, {"\xE2\x96\x81", 3}, {"a", 1}, {"b", 1},
                                    {"ab", 2}, {"xy", 2}};
    static const float scores[] = {0, 0, 0, -3, -4, -5, -1, -2};
    static const int32_t types[] = {2, 3, 3, 1, 1, 1, 1, 1};
    const eh_gguf_vocab v = {.where = "t.gguf", .model = EH_STR("llama"), .tokens = tokens, .n = 8, .scores = scores,
                             .types = types, .bos = 1, .eos = 2, .unk = 0, .pad = -1, .add_bos = -1, .add_eos = 1,
                             .add_space_prefix = 1, .chat_template = EH_STR("{{ y }}")};
    return eh_tokenizer_open_gguf(&v, t, &err);
}

/* The number of allocations that were failed in turn before one attempt went through. */
static int64_t fail_opening(int (*open)(eh_tokenizer **))
{
    for (int64_t k = 1;; k++) {
        eh_tokenizer *t = NULL;
        eh_mem_fail_after(k);
        const int rc = open(&t);
        eh_mem_fail_after(0);
        if (rc == EH_OK) {
            eh_tokenizer_close(t);
            return k - 1;
        }
        if (rc != EH_ENOMEM)
            print_error("allocation %d failed: %s\n", (int)k, err.text);
        CHECK_INT(rc, EH_ENOMEM);
        CHECK(t == NULL && err.text[0] != '\0');
    }
}

TEST(opening_survives_every_failed_allocation)
{
    CHECK(fail_opening(open_json) > 100);
    CHECK(fail_opening(open_gguf) > 4); /* most of it comes out of one piece of the arena */
}

static void fail_using(int (*open)(eh_tokenizer **))
{
    static const char text[] = "Ab <x>\xff qab ZZ123 e\xCC\x81 xyx "
                               "<y>abababababababababababababababababababab"
                               "abababababababababababababababababababababab";
    eh_tokenizer *t = NULL;
    eh_ids ids = {0}, want = {0};
    eh_buf out = {0};
    int64_t k = 1;
    CHECK_OK(open(&t));
    CHECK_OK(eh_tokenizer_encode(t, EH_STR(text), EH_ENCODE_SPECIAL | EH_ENCODE_DEFAULT, &want, &err));
    for (;; k++) {
        eh_mem_fail_after(k);
        const int rc = eh_tokenizer_encode(t, EH_STR(text), EH_ENCODE_SPECIAL | EH_ENCODE_DEFAULT, &ids, &err);
        eh_mem_fail_after(0);
        if (rc == EH_OK)
            break;
        CHECK_INT(rc, EH_ENOMEM);
        CHECK(ids.n == 0 && ids.id == NULL);
    }
    CHECK(k > 5);
    CHECK_INT(ids.n, want.n);
    CHECK(memcmp(ids.id, want.id, (size_t)want.n * sizeof *want.id) == 0);
    for (k = 1;; k++) {
        eh_mem_fail_after(k);
        const int rc = eh_tokenizer_decode(t, ids.id, ids.n, false, &out, &err);
        eh_mem_fail_after(0);
        if (rc == EH_OK)
            break;
        CHECK_INT(rc, EH_ENOMEM);
        CHECK_INT(out.n, 0);
        eh_buf_clear(&out);
    }
    CHECK(k > 1);
    eh_ids_clear(&ids);
    eh_ids_clear(&want);
    eh_buf_clear(&out);
    eh_tokenizer_close(t);
}

TEST(using_survives_every_failed_allocation)
{
    fail_using(open_json);
    fail_using(open_gguf);
}
