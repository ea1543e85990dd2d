/* Ids and texts against the reference: small tokenizers of this repository, and real vocabularies
 * where they are there (tools/real_tokenizers.py of the shared data makes them). */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer.h"

static eh_err err;

/* ---- Comparing --------------------------------------------------------------------------- */

static bool same_ids(const eh_ids *got, const json_t *want)
{
    bool same = json_is_array(want) && got->n == (int64_t)json_array_size(want);
    for (int64_t i = 0; i < got->n && same; i++)
        same = got->id[i] == json_integer_value(json_array_get(want, (size_t)i));
    return same;
}

static void show(const char *what, eh_str text, const eh_ids *got, const json_t *want)
{
    eh_buf b = {0};
    eh_buf_printf(&b, "%s: ", what);
    eh_buf_json(&b, text);
    eh_buf_printf(&b, "\n  got");
    for (int64_t i = 0; i < got->n && i < 60; i++)
        eh_buf_printf(&b, " %d", (int)got->id[i]);
    eh_buf_printf(&b, "\n  want");
    for (size_t i = 0; i < json_array_size(want) && i < 60; i++)
        eh_buf_printf(&b, " %d", (int)json_integer_value(json_array_get(want, i)));
    print_error("%s\n", b.p);
    eh_buf_clear(&b);
}

/* Ranges are in order, inside the text, and start and end with whole characters. For byte-level
 * tokenizers they cover every byte, so that the slices of ASCII text joined are the text. */
static void check_ranges(eh_str text, const eh_ids *ids, bool all_bytes)
{
    eh_buf joined = {0};
    int64_t covered = 0;
    bool ascii = true;
    for (int64_t i = 0; i < text.n; i++)
        ascii = ascii && (unsigned char)text.p[i] < 0x80;
    for (int64_t i = 0; i < ids->n; i++) {
        CHECK(0 <= ids->start[i] && ids->start[i] <= ids->end[i] && ids->end[i] <= text.n);
        CHECK(i == 0 || (ids->start[i] >= ids->start[i - 1] && ids->end[i] >= ids->end[i - 1]));
        CHECK(ids->start[i] == text.n || (text.p[ids->start[i]] & 0xC0) != 0x80);
        CHECK(ids->end[i] == text.n || (text.p[ids->end[i]] & 0xC0) != 0x80);
        CHECK(!all_bytes || ids->start[i] <= covered);
        covered = ids->end[i];
        eh_buf_bytes(&joined, text.p + ids->start[i], ids->end[i] - ids->start[i]);
    }
    if (all_bytes) {
        CHECK_INT(covered, text.n);
        if (ascii)
            CHECK(eh_str_eq(eh_buf_get(&joined), text));
    }
    eh_buf_clear(&joined);
}

/* The stream's pieces, joined, are the whole decoding, and each is whole characters. */
static void check_stream(const eh_tokenizer *t, const eh_ids *ids, bool skip_special)
{
    eh_buf whole = {0}, joined = {0}, piece = {0};
    eh_stream s;
    CHECK_OK(eh_tokenizer_decode(t, ids->id, ids->n, skip_special, &whole, &err));
    eh_stream_init(&s, t, skip_special);
    for (int64_t i = 0; i <= ids->n; i++) {
        eh_buf_reset(&piece);
        if (i < ids->n)
            CHECK_OK(eh_stream_put(&s, ids->id[i], &piece, &err));
        else
            CHECK_OK(eh_stream_end(&s, &piece, &err));
        for (int64_t at = 0; at < piece.n;) {
            const int len = eh_utf8_next(eh_buf_get(&piece), at, NULL);
            CHECK(len > 0);
            at += len;
        }
        eh_buf_str(&joined, eh_buf_get(&piece));
    }
    CHECK(eh_str_eq(eh_buf_get(&joined), eh_buf_get(&whole)));
    eh_stream_clear(&s);
    eh_buf_clear(&whole);
    eh_buf_clear(&joined);
    eh_buf_clear(&piece);
}

static void check_text(const eh_tokenizer *t, const eh_ids *ids, bool skip_special, const json_t *want)
{
    eh_buf b = {0};
    CHECK_OK(eh_tokenizer_decode(t, ids->id, ids->n, skip_special, &b, &err));
    if (!eh_str_eq(eh_buf_get(&b), eh_json_text(want))) {
        print_error("decoded \"%s\", wanted \"%s\"\n", b.p, json_string_value(want));
        fail();
    }
    eh_buf_clear(&b);
}

/* ---- Small tokenizers -------------------------------------------------------------------- */

static void small(const char *name, bool all_bytes)
{
    char path[300];
    eh_tokenizer *t = NULL;
    json_t *golden = NULL;
    eh_ids ids = {0};
    snprintf(path, sizeof path, "tests/golden/tiny/tokenizers/%s", name);
    CHECK_OK(eh_tokenizer_open_json(repo_path(path), &t, &err));
    snprintf(path, sizeof path, "tests/golden/tiny/tokenizers/%s/golden.json", name);
    CHECK_OK(eh_json_file(repo_path(path), 16 << 20, &golden, &err));
    CHECK_INT(eh_tokenizer_n_vocab(t), json_integer_value(json_object_get(golden, "vocab_size")));

    const json_t *cases = json_object_get(golden, "cases");
    CHECK(json_array_size(cases) > 100);
    int bad = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const eh_str text = eh_json_text(json_object_get(c, "text"));
        CHECK_OK(eh_tokenizer_encode(t, text, EH_ENCODE_SPECIAL | EH_ENCODE_DEFAULT, &ids, &err));
        if (!same_ids(&ids, json_object_get(c, "ids"))) {
            show(name, text, &ids, json_object_get(c, "ids"));
            bad++;
        }
        check_text(t, &ids, true, json_object_get(c, "decoded_ids_skip_special"));
        check_stream(t, &ids, true);
        check_stream(t, &ids, false);
        CHECK_OK(eh_tokenizer_encode(t, text, EH_ENCODE_SPECIAL, &ids, &err));
        if (!same_ids(&ids, json_object_get(c, "ids_nospecial"))) {
            show(name, text, &ids, json_object_get(c, "ids_nospecial"));
            bad++;
        }
        check_text(t, &ids, false, json_object_get(c, "decoded"));
        check_ranges(text, &ids, all_bytes);
    }
    CHECK_INT(bad, 0);

    const json_t *prefixes = json_object_get(golden, "prefix_decoding");
    CHECK(json_array_size(prefixes) > 0);
    for (size_t i = 0; i < json_array_size(prefixes); i++) {
        const json_t *c = json_array_get(prefixes, i);
        const json_t *list = json_object_get(c, "ids"), *want = json_object_get(c, "decoded_prefixes");
        int32_t id[1000];
        eh_ids prefix = {.id = id};
        for (size_t k = 0; k < json_array_size(list); k++) {
            id[k] = (int32_t)json_integer_value(json_array_get(list, k));
            prefix.n = (int64_t)k + 1;
            check_text(t, &prefix, false, json_array_get(want, k));
        }
    }
    json_decref(golden);
    eh_ids_clear(&ids);
    eh_tokenizer_close(t);
}

TEST(small_llama3_agrees_with_the_reference) { small("llama3", true); }
TEST(small_gpt2_agrees_with_the_reference) { small("gpt2", true); }
TEST(small_qwen2_agrees_with_the_reference) { small("qwen2", true); }
TEST(small_smollm_agrees_with_the_reference) { small("smollm", false); } /* lacks some bytes */
TEST(small_gemma_agrees_with_the_reference) { small("gemma", true); }
TEST(small_llama2_agrees_with_the_reference) { small("llama2", true); }
TEST(small_metaspace_agrees_with_the_reference) { small("metaspace", true); }

TEST(wordpiece_is_refused_by_name)
{
    eh_tokenizer *t = NULL;
    const char *dir = shared_path("golden/tiny/tokenizers/wordpiece");
    if (dir == NULL)
        SKIP("no shared data");
    CHECK_FAILS(eh_tokenizer_open_json(dir, &t, &err), EH_ENOSUP, "\"WordPiece\" is not supported");
    CHECK(t == NULL);
}

/* ---- Real vocabularies ------------------------------------------------------------------- */

/* <folder of real tokenizers>/<family>/<file>, or NULL. */
static const char *real_path(const char *family, const char *file)
{
    static char kept[4][4096];
    static int at;
    const char *given = getenv("EVENHAND_TOKENIZERS");
    const char *dirs[] = {given, repo_path("models/tokenizers"), "/var/tmp/realtok"};
    for (int i = 0; i < 3; i++) {
        char *p = kept[at++ % 4];
        if (dirs[i] == NULL)
            continue;
        snprintf(p, sizeof kept[0], "%s/%s%s%s", dirs[i], family, file[0] != '\0' ? "/" : "", file);
        if (access(p, R_OK) == 0)
            return p;
    }
    return NULL;
}

/* A reader of GGUF metadata for these tests alone: the text room does not know the format room.
 * It trusts its file. */
typedef struct gguf {
    eh_map map;
    int64_t at;
    eh_str *tokens, *merges;
    float *scores;
    int32_t *types;
    eh_gguf_vocab v;
} gguf;

static uint64_t number(gguf *g, int size)
{
    uint64_t x = 0;
    memcpy(&x, g->map.p + g->at, (size_t)size);
    g->at += size;
    return x;
}

static eh_str string(gguf *g)
{
    const int64_t n = (int64_t)number(g, 8);
    g->at += n;
    return (eh_str){g->map.p + g->at - n, n};
}

static void gguf_open(const char *path, gguf *g)
{
    static const int size[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    *g = (gguf){0};
    CHECK_OK(eh_map_open(path, &g->map, &err));
    g->v = (eh_gguf_vocab){.where = path, .bos = -1, .eos = -1, .unk = -1, .pad = -1, .add_bos = -1, .add_eos = -1,
                           .add_space_prefix = -1};
    g->at = 16;
    const int64_t n_key = (int64_t)number(g, 8);
    for (int64_t k = 0; k < n_key; k++) {
        const eh_str key = string(g);
        const int type = (int)number(g, 4);
#define IS(name) eh_str_eq(key, EH_STR("tokenizer." name))
        if (type == 8) {
            const eh_str s = string(g);
            if (IS("ggml.model"))
                g->v.model = s;
            if (IS("ggml.pre"))
                g->v.pre = s;
            if (IS("chat_template"))
                g->v.chat_template = s;
        } else if (type == 9) {
            const int item = (int)number(g, 4);
            const int64_t n = (int64_t)number(g, 8);
            if (item == 8) {
                eh_str *list = malloc((size_t)n * sizeof *list);
                for (int64_t i = 0; i < n; i++)
                    list[i] = string(g);
                if (IS("ggml.tokens")) {
                    g->v.tokens = g->tokens = list;
                    g->v.n = n;
                } else if (IS("ggml.merges")) {
                    g->v.merges = g->merges = list;
                    g->v.n_merge = n;
                } else {
                    free(list);
                }
            } else {
                const char *p = g->map.p + g->at;
                if (IS("ggml.scores"))
                    g->v.scores = memcpy(g->scores = malloc((size_t)n * 4), p, (size_t)n * 4);
                if (IS("ggml.token_type"))
                    g->v.types = memcpy(g->types = malloc((size_t)n * 4), p, (size_t)n * 4);
                g->at += n * size[item];
            }
        } else {
            const int64_t x = (int64_t)number(g, size[type]);
            if (IS("ggml.bos_token_id"))
                g->v.bos = x;
            if (IS("ggml.eos_token_id"))
                g->v.eos = x;
            if (IS("ggml.unknown_token_id"))
                g->v.unk = x;
            if (IS("ggml.padding_token_id"))
                g->v.pad = x;
            if (IS("ggml.add_bos_token"))
                g->v.add_bos = (int)x;
            if (IS("ggml.add_eos_token"))
                g->v.add_eos = (int)x;
            if (IS("ggml.add_space_prefix"))
                g->v.add_space_prefix = (int)x;
        }
#undef IS
    }
}

static void gguf_close(gguf *g)
{
    free(g->tokens);
    free(g->merges);
    free(g->scores);
    free(g->types);
    eh_map_close(&g->map);
}

/* Every line of a JSON Lines file. */
static json_t *lines(const char *path)
{
    eh_buf b = {0};
    json_t *rows = json_array();
    CHECK_OK(eh_file_read(path, 64 << 20, &b, &err));
    for (int64_t at = 0; at < b.n;) {
        const char *end = memchr(b.p + at, '\n', (size_t)(b.n - at));
        const int64_t n = end == NULL ? b.n - at : end - b.p - at;
        json_t *row;
        if (n > 0) {
            CHECK_OK(eh_json_parse((eh_str){b.p + at, n}, path, &row, &err));
            json_array_append_new(rows, row);
        }
        at += n + 1;
    }
    eh_buf_clear(&b);
    return rows;
}

typedef struct tally {
    int rows, bad;       /* that must agree */
    int loose, loose_ok; /* marked optional, or (GGUF) with llama_cpp_differs */
    int loose_reference; /* of those, as the other implementation has it */
} tally;

static bool flag(const json_t *row, const char *key)
{
    return json_is_true(json_object_get(row, key));
}

static tally real(const char *family, const eh_tokenizer *t, bool from_gguf, bool all_bytes)
{
    char path[100];
    tally n = {0};
    eh_ids ids = {0}, more = {0};
    snprintf(path, sizeof path, "golden/tokenizers/%s.jsonl", family);
    json_t *rows = lines(shared_path(path));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const eh_str text = eh_json_text(json_object_get(row, "text"));
        const bool loose = flag(row, "optional") || (from_gguf && flag(row, "llama_cpp_differs"));
        CHECK_OK(eh_tokenizer_encode(t, text, EH_ENCODE_SPECIAL, &ids, &err));
        CHECK_OK(eh_tokenizer_encode(t, text, EH_ENCODE_SPECIAL | EH_ENCODE_DEFAULT, &more, &err));
        const bool ok = same_ids(&ids, json_object_get(row, "ids"));
        const bool ok_more = same_ids(&more, json_object_get(row, "ids_special"));
        if (loose) {
            n.loose++;
            n.loose_ok += ok && ok_more;
            n.loose_reference += !(ok && ok_more) && same_ids(&ids, json_object_get(row, "reference"));
        } else {
            n.rows++;
            n.bad += !(ok && ok_more);
            if (!ok && n.bad <= 5)
                show(family, text, &ids, json_object_get(row, "ids"));
            else if (!ok_more && n.bad <= 5)
                show(family, text, &more, json_object_get(row, "ids_special"));
        }
        check_ranges(text, &ids, all_bytes);
        check_stream(t, &ids, false);
        check_stream(t, &more, true);
    }
    json_decref(rows);
    eh_ids_clear(&ids);
    eh_ids_clear(&more);
    return n;
}

static void family(const char *name, bool all_bytes)
{
    const char *dir = real_path(name, "");
    eh_tokenizer *t = NULL;
    gguf g;
    if (dir == NULL || shared_path("golden/tokenizers/README.md") == NULL)
        SKIP("no real vocabularies, or no shared data");
    CHECK_OK(eh_tokenizer_open_json(dir, &t, &err));
    const tally a = real(name, t, false, all_bytes);
    eh_tokenizer_close(t);
    gguf_open(real_path(name, "tokenizer.gguf"), &g);
    CHECK_OK(eh_tokenizer_open_gguf(&g.v, &t, &err));
    gguf_close(&g); /* everything was borrowed for the call alone */
    const tally b = real(name, t, true, all_bytes);
    eh_tokenizer_close(t);
    print_message("%s: json %d rows, %d wrong, optional %d of %d as ids; gguf %d rows, %d wrong, of %d others %d as "
                  "ids, %d as the reference\n", name,
                  a.rows, a.bad, a.loose_ok, a.loose, b.rows, b.bad, b.loose, b.loose_ok, b.loose_reference);
    CHECK(a.rows > 400);
    CHECK_INT(a.bad, 0);
    CHECK_INT(b.bad, 0);
    CHECK_INT(a.loose_ok + a.loose_reference, a.loose);
}

TEST(gpt2_agrees_with_the_reference) { family("gpt2", true); }
TEST(llama3_agrees_with_the_reference) { family("llama3", true); }
TEST(qwen2_agrees_with_the_reference) { family("qwen2", true); }
TEST(deepseek_r1_qwen_agrees_with_the_reference) { family("deepseek-r1-qwen", true); }
TEST(smollm2_agrees_with_the_reference) { family("smollm2", false); }
TEST(gemma3_agrees_with_the_reference) { family("gemma3", true); }
TEST(llama2_agrees_with_the_reference) { family("llama2", true); }
TEST(mistral_v1_agrees_with_the_reference) { family("mistral-v1", true); }
TEST(mistral_v3_agrees_with_the_reference) { family("mistral-v3", true); }
TEST(mistral_nemo_agrees_with_the_reference) { family("mistral-nemo", true); }
TEST(command_r_agrees_with_the_reference) { family("command-r", true); }
TEST(gpt_neox_agrees_with_the_reference) { family("gpt-neox", true); }

TEST(smollm2_agrees_with_its_own_golden_from_gguf)
{
    const char *path = real_path("smollm2", "tokenizer.gguf"), *golden = shared_path("golden/smollm2/tokenize.jsonl");
    eh_tokenizer *t = NULL;
    eh_ids ids = {0};
    gguf g;
    if (path == NULL || golden == NULL)
        SKIP("no real vocabularies, or no shared data");
    gguf_open(path, &g);
    CHECK_OK(eh_tokenizer_open_gguf(&g.v, &t, &err));
    gguf_close(&g);
    CHECK_INT(eh_tokenizer_bos(t), 1);
    CHECK_INT(eh_tokenizer_eos(t), 2);
    CHECK(!eh_tokenizer_adds_bos(t));
    json_t *rows = lines(golden);
    int bad = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *plain = json_object_get(row, "ids"), *literal = json_object_get(row, "ids_literal");
        const eh_str text = eh_json_text(json_object_get(row, "text"));
        const struct {
            unsigned flags;
            const json_t *want;
        } mode[3] = {
            {EH_ENCODE_SPECIAL, plain},
            {0, literal != NULL ? literal : plain},
            {EH_ENCODE_SPECIAL | EH_ENCODE_DEFAULT, json_object_get(row, "ids_default")},
        };
        if (flag(row, "optional"))
            continue;
        for (int k = 0; k < 3; k++) {
            CHECK_OK(eh_tokenizer_encode(t, text, mode[k].flags, &ids, &err));
            if (!same_ids(&ids, mode[k].want)) {
                show("smollm2", text, &ids, mode[k].want);
                bad++;
            }
        }
    }
    CHECK(json_array_size(rows) == 242);
    CHECK_INT(bad, 0);
    json_decref(rows);
    eh_ids_clear(&ids);
    eh_tokenizer_close(t);
}
