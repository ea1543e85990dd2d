/* A GGUF file's metadata in its variants: what a missing key stands for, what is refused and in which words. */
#include "arch/config.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "check.h"
#include "weight_files.h"

static eh_err err;
static eh_arena arena;

/* Where the bytes of `word` stand in the file: they must, once. */
static char *find(const eh_buf *file, const char *word)
{
    char *at = NULL;
    const size_t len = strlen(word);
    for (int64_t i = 0; i + (int64_t)len <= file->n; i++)
        if (memcmp(file->p + i, word, len) == 0) {
            CHECK(at == NULL);
            at = file->p + i;
        }
    CHECK(at != NULL);
    return at;
}

/* Reads tiny/gguf/llama-F32 with one key renamed (value < 0) or with another value in its 32 bits. */
static int read_with(const char *key, int64_t value, eh_config *c)
{
    char path[500], stored[60];
    eh_buf file = {0};
    CHECK_OK(eh_file_read(repo_path("tests/golden/tiny/gguf/llama-F32.gguf"), 1 << 24, &file, &err));
    /* A key is its length (64 bits), its bytes, then the value's type (4: uint32, 6: float32). */
    const uint64_t len = strlen(key);
    memcpy(stored, key, len);
    memcpy(stored + len, strstr(key, "eps") != NULL || strstr(key, "freq") != NULL ? "\x06" : "\x04", 2);
    char *at = find(&file, stored);
    uint64_t said;
    memcpy(&said, at - sizeof said, sizeof said);
    CHECK_INT(said, len);
    if (value < 0) {
        at[len - 1] = '?';
    } else {
        const uint32_t x = (uint32_t)value;
        memcpy(at + len + 4, &x, sizeof x);
    }
    snprintf(path, sizeof path, "%s/a.gguf", temp_dir());
    CHECK_OK(eh_file_write(path, eh_buf_get(&file), &err));
    eh_buf_clear(&file);
    eh_weights *w;
    CHECK_OK(eh_weights_open(path, &w, &err));
    const int rc = eh_config_read(w, &arena, c, &err);
    eh_weights_close(w);
    return rc;
}

static eh_config without(const char *key)
{
    eh_config c;
    CHECK_OK(read_with(key, -1, &c));
    return c;
}

static void refuse(const char *key, int64_t value, int code, const char *words)
{
    eh_config c = {.n_layer = 77};
    CHECK_FAILS(read_with(key, value, &c), code, words);
    CHECK(strstr(err.text, "a.gguf") != NULL);
    CHECK_INT(c.n_layer, 77);
}

/* The file says 256 positions, theta 100,000, epsilon 1e-5, two key heads of 16 channels for four query heads. */
TEST(missing_keys_have_their_defaults)
{
    CHECK_INT(without("llama.context_length").n_ctx, 2048);
    CHECK_NEAR(without("llama.rope.freq_base").rope[0].theta, 10000.0, 0.0);
    CHECK_NEAR(without("llama.attention.layer_norm_rms_epsilon").norm_eps, 1e-5, 0.0);
    CHECK_INT(without("llama.attention.head_count_kv").n_kv, 4);
    CHECK_INT(without("llama.attention.key_length").d_head, 16); /* 64 / 4 */
    CHECK_INT(without("llama.rope.dimension_count").d_rot, 16);
    const eh_config c = without("llama.vocab_size"); /* the embedding has a row for each */
    CHECK(c.n_vocab == 512 && c.n_ctx == 256 && c.n_kv == 2 && c.rope[0].theta == 100000.0);
}

TEST(keys_that_must_be_there_are_asked_for_by_name)
{
    static const char *const needed[] = {"llama.block_count", "llama.embedding_length", "llama.feed_forward_length",
                                         "llama.attention.head_count"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        char words[100];
        snprintf(words, sizeof words, "has no metadata \"%s\"", needed[i]);
        refuse(needed[i], -1, EH_EFORMAT, words);
    }
}

TEST(values_that_cannot_be_are_refused)
{
    refuse("llama.block_count", 0, EH_EFORMAT, "\"llama.block_count\" is 0, wanted 1 to 100000");
    refuse("llama.block_count", 100001, EH_EFORMAT, "\"llama.block_count\" is 100001");
    refuse("llama.attention.head_count", 65, EH_EFORMAT, "heads");
    refuse("llama.attention.value_length", 8, EH_ENOSUP, "value heads of 8 channels beside key heads of 16");
    refuse("llama.rope.freq_base", 0, EH_EFORMAT, "\"llama.rope.freq_base\" is 0, wanted a real number");
    refuse("llama.rope.freq_base", 0x7fc00000, EH_EFORMAT, "\"llama.rope.freq_base\" is nan");
}
