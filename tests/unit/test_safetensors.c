#include "check.h"
#include "weight_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"

static eh_err err;

static const char *folder(void)
{
    static const char *dir;
    if (dir == NULL) {
        dir = temp_dir();
        save_text(dir, "config.json", "{\"model_type\": \"none\"}");
    }
    return dir;
}

/* Opens a folder whose model.safetensors has this header and n_data bytes after it. */
static int open_header(const char *header, int64_t n_data, eh_weights **w)
{
    eh_buf b = {0};
    safetensors(&b, header, n_data);
    save(folder(), "model.safetensors", &b);
    return eh_weights_open(folder(), w, &err);
}

/* ---- What is read -------------------------------------------------------------------------- */

TEST(two_tensors_worked_by_hand)
{
    /* "b" first in the header, "a" first in the data; the header's end is padded with spaces. */
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"b\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[8,14]},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}   ";
    const int64_t data = 8 + (int64_t)sizeof header - 1;
    eh_weights *w;
    CHECK_OK(open_header(header, 14, &w));
    CHECK_INT(eh_weights_kind_of(w), EH_WEIGHTS_SAFETENSORS);
    CHECK_STR(eh_weights_path(w), folder());
    CHECK_INT(eh_weights_n_file(w), 1);
    CHECK(eh_str_ends(eh_str_of(eh_weights_file_path(w, 0)), EH_STR("/model.safetensors")));
    CHECK_INT(eh_weights_file_map(w, 0)->n, data + 14);
    CHECK_INT(eh_weights_count(w), 2);

    const eh_tensor *a = eh_weights_find(w, "a"), *b = eh_weights_find(w, "b");
    CHECK(a == eh_weights_at(w, 0) && b == eh_weights_at(w, 1));
    CHECK_STR(a->name, "a");
    CHECK_INT(a->dtype, EH_DTYPE_F32);
    CHECK_INT(a->n_dim, 1);
    CHECK_INT(a->dim[0], 2);
    CHECK_INT(a->n_byte, 8);
    CHECK_INT(a->offset, data);
    CHECK_INT(a->file, 0);
    CHECK(a->data == eh_weights_file_map(w, 0)->p + data && memcmp(a->data, "\0\1\2\3\4\5\6\7", 8) == 0);
    CHECK_INT(b->n_dim, 2);
    CHECK(b->dim[0] == 2 && b->dim[1] == 3);
    CHECK_INT(b->n_byte, 6);
    CHECK(b->data[0] == 8);
    float row[3];
    eh_tensor_rows(b, 1, 1, row);
    CHECK(row[0] == 11.0f && row[1] == 12.0f && row[2] == 13.0f);

    CHECK(eh_weights_find(w, "c") == NULL && eh_weights_find(w, "") == NULL);
    CHECK(eh_weights_find(w, "__metadata__") == NULL);
    eh_weights_will_need(w, a);
    CHECK_STR(json_string_value(json_object_get(eh_weights_config(w), "model_type")), "none");
    CHECK(eh_weights_generation_config(w) == NULL);
    CHECK_INT(eh_gguf_count(w), 0);
    CHECK(eh_gguf_get(w, "general.name") == NULL);
    eh_weights_close(w);
}

TEST(scalars_and_empty_tensors_are_tensors)
{
    eh_weights *w;
    CHECK_OK(open_header("{\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                         "\"none\":{\"dtype\":\"F32\",\"shape\":[7,0],\"data_offsets\":[4,4]},"
                         "\"nought\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[0,0]},"
                         "\"four\":{\"dtype\":\"U8\",\"shape\":[1,1,2,1],\"data_offsets\":[4,6]}}",
                         6, &w));
    CHECK_INT(eh_weights_count(w), 4);
    CHECK_INT(eh_weights_find(w, "scalar")->n_dim, 0);
    CHECK_INT(eh_tensor_count(eh_weights_find(w, "scalar")), 1);
    CHECK_INT(eh_tensor_count(eh_weights_find(w, "none")), 0);
    CHECK_INT(eh_weights_find(w, "none")->n_byte, 0);
    CHECK_INT(eh_weights_find(w, "four")->dim[2], 2);
    eh_weights_close(w);
}

TEST(a_file_may_hold_no_tensor_at_all)
{
    eh_weights *w;
    CHECK_OK(open_header("{}", 0, &w));
    CHECK_INT(eh_weights_count(w), 0);
    CHECK(eh_weights_find(w, "a") == NULL);
    eh_weights_close(w);
}

TEST(generation_config_is_read_when_it_is_there)
{
    eh_weights *w;
    save_text(folder(), "generation_config.json", "{\"top_k\": 7}");
    CHECK_OK(open_header("{}", 0, &w));
    CHECK_INT(json_integer_value(json_object_get(eh_weights_generation_config(w), "top_k")), 7);
    eh_weights_close(w);
    save_text(folder(), "generation_config.json", "[7]");
    CHECK_FAILS(open_header("{}", 0, &w), EH_EFORMAT, "generation_config.json: is an array, wanted an object");
    char path[4096];
    snprintf(path, sizeof path, "%s/generation_config.json", folder());
    CHECK(unlink(path) == 0);
}

TEST(every_name_of_many_is_found)
{
    enum { N = 3000 };
    eh_buf h = {0};
    eh_buf_char(&h, '{');
    for (int i = 0; i < N; i++) /* an order that is neither sorted nor that of the data */
        eh_buf_printf(&h, "%s\"t.%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i == 0 ? "" : ",",
                      i * 7 % N, i * 11 % N, i * 11 % N + 1);
    eh_buf_char(&h, '}');
    eh_weights *w;
    CHECK_OK(open_header(h.p, N, &w));
    CHECK_INT(eh_weights_count(w), N);
    for (int i = 0; i < N; i++) {
        char name[20];
        snprintf(name, sizeof name, "t.%d", i * 7 % N);
        const eh_tensor *t = eh_weights_find(w, name);
        CHECK(t != NULL && t == eh_weights_at(w, i * 11 % N) && t->data[0] == (char)(i * 11 % N));
    }
    CHECK(eh_weights_find(w, "t.3000") == NULL && eh_weights_find(w, "t.") == NULL && eh_weights_find(w, "u") == NULL);
    eh_weights_close(w);
    eh_buf_clear(&h);
}

/* ---- What is refused ----------------------------------------------------------------------- */

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

static const struct {
    const char *header;
    int64_t n_data;
    int code;
    const char *words;
} refused[] = {
    /* the header as a whole */
    {"[" A "]", 8, EH_EFORMAT, "does not start with '{'"},
    {" {" A "}", 8, EH_EFORMAT, "does not start with '{'"},
    {"", 0, EH_EFORMAT, "does not start with '{'"},
    {"{" A, 8, EH_EFORMAT, "line 1"},
    {"{" A "}x", 8, EH_EFORMAT, "line 1"},
    {"{" A "," A "}", 8, EH_EFORMAT, "duplicate"},
    {"{\"\xff\":1}", 0, EH_EFORMAT, "unable to decode byte 0xff"},
    {"{\"__metadata__\":7}", 0, EH_EFORMAT, "__metadata__ is an integer, wanted an object"},
    {"{\"__metadata__\":{\"n\":7}}", 0, EH_EFORMAT, "\"n\" is an integer, wanted a string"},
    /* names */
    {"{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "name of 0 bytes"},
    {"{\"a\\u001b[2J\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "without control"},
    {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "NUL"},
    /* fields */
    {"{\"a\":7}", 0, EH_EFORMAT, "a: is an integer, wanted an object"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "dtype is nothing, wanted a string"},
    {"{\"a\":{\"dtype\":1,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "dtype is an integer"},
    {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", 8, EH_ENOSUP, "a: is stored as F8_E4M3"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "shape is nothing, wanted an array"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "shape is an integer"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "a real number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, EH_EFORMAT, "dimension 0 of its shape is -2"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, EH_ENOSUP, "has 5 dimensions"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, EH_EFORMAT, "data_offsets are nothing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", 8, EH_EFORMAT, "two integers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8, EH_EFORMAT, "two integers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{\"0\":0}}}", 8, EH_EFORMAT, "two integers"},
    /* sizes that do not fit */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,8]}}", 8, EH_EFORMAT,
     "more bytes than there are addresses"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, EH_EFORMAT,
     "more bytes than there are addresses"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807,0,3],\"data_offsets\":[0,0]}}", 0, EH_EFORMAT,
     "more bytes than there are addresses"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}", 0, EH_EFORMAT, "line 1"},
    /* offsets against the shape and the file */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 8, EH_EFORMAT,
     "a: F32 [2] takes 8 bytes, its data_offsets [0, 4] hold 4"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, EH_EFORMAT, "[8, 0]; 8 bytes follow"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, EH_EFORMAT, "[-8, 0]"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, EH_EFORMAT, "7 bytes follow the header"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[9223372036854775800,9223372036854775807]}}", 8,
     EH_EFORMAT, "8 bytes follow the header"},
    {"{" A "}", 9, EH_EFORMAT, "the last tensor ends at byte"},
    {"{}", 1, EH_EFORMAT, "the last tensor ends at byte 10, the file at 11"},
    /* tensors against each other */
    {"{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}," A "}", 8, EH_EFORMAT, "inside a, which ends at"},
    {"{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}," A "}", 8, EH_EFORMAT, "b starts at byte"},
    {"{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}," A "}", 16, EH_EFORMAT,
     "before b, belong to no tensor"},
};

TEST(headers_that_break_a_rule_are_refused)
{
    eh_weights *w = NULL;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const int rc = open_header(refused[i].header, refused[i].n_data, &w);
        if (rc != refused[i].code || strstr(err.text, refused[i].words) == NULL)
            print_error("header %s gave:\n", refused[i].header);
        CHECK_FAILS(rc, refused[i].code, refused[i].words);
        CHECK(strstr(err.text, "model.safetensors") != NULL); /* each sentence names the file */
        CHECK(w == NULL);                                     /* and the output is left alone */
    }
}

TEST(header_lengths_are_checked_against_the_file)
{
    static const struct {
        uint64_t length;
        const char *words;
    } cases[] = {
        {3, "promised, 2 left"},
        {100000000, "a header of 100000000 bytes promised, 2 left"},
        {100000001, "promises a header of 100000001 bytes; at most 100000000"},
        {UINT64_MAX, "promises a header of 18446744073709551615 bytes"},
        {INT64_MAX - 7, "at most 100000000"},
    };
    eh_weights *w = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        eh_buf b = {0};
        put_u64(&b, cases[i].length);
        eh_buf_str(&b, EH_STR("{}"));
        save(folder(), "model.safetensors", &b);
        CHECK_FAILS(eh_weights_open(folder(), &w, &err), EH_EFORMAT, cases[i].words);
    }
    save_text(folder(), "model.safetensors", "");
    CHECK_FAILS(eh_weights_open(folder(), &w, &err), EH_EFORMAT, "has 0 bytes");
    save_text(folder(), "model.safetensors", "1234567");
    CHECK_FAILS(eh_weights_open(folder(), &w, &err), EH_EFORMAT, "has 7 bytes");
    save_text(folder(), "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n");
    CHECK_FAILS(eh_weights_open(folder(), &w, &err), EH_EFORMAT, "git lfs pull");
}

TEST(deep_json_and_long_names_are_refused)
{
    eh_weights *w = NULL;
    eh_buf h = {0};
    eh_buf_str(&h, EH_STR("{\"a\":"));
    for (int i = 0; i < 100000; i++)
        eh_buf_char(&h, '[');
    CHECK_FAILS(open_header(h.p, 0, &w), EH_EFORMAT, "deep");

    eh_buf_reset(&h);
    eh_buf_str(&h, EH_STR("{\""));
    for (int i = 0; i < 10 << 20; i++)
        eh_buf_char(&h, 'n');
    eh_buf_str(&h, EH_STR("\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"));
    CHECK_FAILS(open_header(h.p, 8, &w), EH_EFORMAT, "a name of 10485760 bytes; wanted 1 to 512");
    CHECK(w == NULL);
    eh_buf_clear(&h);
}

/* ---- Folders ------------------------------------------------------------------------------- */

/* A folder of its own with config.json and two shards: a in one, b and c in two. */
static const char *sharded(const char *index)
{
    static const char *dir;
    eh_buf b = {0};
    if (dir == NULL) {
        dir = temp_dir();
        save_text(dir, "config.json", "{}");
        safetensors(&b, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
        save(dir, "one.safetensors", &b);
        safetensors(&b,
                    "{\"c\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                    "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[2,5]}}",
                    5);
        save(dir, "two.safetensors", &b);
        safetensors(&b, "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
        save(dir, "twin.safetensors", &b);
    }
    save_text(dir, "model.safetensors.index.json", index);
    return dir;
}

TEST(shards_are_found_through_the_index)
{
    eh_weights *w;
    const char *dir = sharded("{\"metadata\":{\"total_size\":6},\"weight_map\":{\"b\":\"two.safetensors\","
                              "\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
    CHECK_OK(eh_weights_open(dir, &w, &err));
    CHECK_INT(eh_weights_n_file(w), 2);
    CHECK_INT(eh_weights_count(w), 3);
    CHECK(eh_weights_find(w, "a") == eh_weights_at(w, 0) && eh_weights_find(w, "a")->file == 0);
    CHECK(eh_weights_find(w, "c") == eh_weights_at(w, 1) && eh_weights_find(w, "c")->file == 1);
    CHECK(eh_weights_find(w, "b") == eh_weights_at(w, 2) && eh_weights_find(w, "b")->n_byte == 3);
    CHECK(eh_str_ends(eh_str_of(eh_weights_file_path(w, 1)), EH_STR("/two.safetensors")));

    /* The hash of two files is that of their bytes in order. */
    char got[65], wanted[65];
    eh_buf all = {0};
    for (int i = 0; i < 2; i++)
        eh_buf_bytes(&all, eh_weights_file_map(w, i)->p, eh_weights_file_map(w, i)->n);
    CHECK_OK(eh_weights_sha256(w, got, &err));
    CHECK_OK(eh_sha256_of(all.p, all.n, wanted, &err));
    CHECK_STR(got, wanted);
    eh_buf_clear(&all);
    eh_weights_close(w);
}

static const struct {
    const char *index;
    int code;
    const char *words;
} bad_index[] = {
    {"[]", EH_EFORMAT, "is an array, wanted an object"},
    {"{}", EH_EFORMAT, "its weight_map is nothing, wanted an object"},
    {"{\"weight_map\":[]}", EH_EFORMAT, "its weight_map is an array, wanted an object"},
    {"{\"weight_map\":{}}", EH_EFORMAT, "names 0 tensors"},
    {"{\"weight_map\":{\"a\":1}}", EH_EFORMAT, "the shard of a is an integer, wanted a string"},
    {"{\"weight_map\":{\"a\":\"../one.safetensors\"}}", EH_EFORMAT, "the plain name of a file"},
    {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", EH_EFORMAT, "the plain name of a file"},
    {"{\"weight_map\":{\"a\":\"sub/one.safetensors\"}}", EH_EFORMAT, "the plain name of a file"},
    {"{\"weight_map\":{\"a\":\"..\"}}", EH_EFORMAT, "the plain name of a file"},
    {"{\"weight_map\":{\"a\":\"\"}}", EH_EFORMAT, "the plain name of a file"},
    {"{\"weight_map\":{\"a\":\"one\\u0000\"}}", EH_EFORMAT, "the plain name of a file"},
    {"{\"weight_map\":{\"a\":\"gone.safetensors\"}}", EH_ENOENT, "gone.safetensors"},
    {"{\"weight_map\":{\"a\":\"config.json\"}}", EH_EFORMAT, "config.json"},
    {"{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}", EH_EFORMAT, "duplicate"},
    {"{\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"two.safetensors\",\"c\":\"two.safetensors\"}}", EH_EFORMAT,
     "a should lie in two.safetensors, but does not"},
    {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}", EH_EFORMAT,
     "b should lie in one.safetensors, but lies in two.safetensors"},
    {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}", EH_EFORMAT,
     "c lies in two.safetensors, but weight_map does not name it"},
    {"{\"weight_map\":{\"a\":\"one.safetensors\",\"d\":\"one.safetensors\"}}", EH_EFORMAT,
     "d should lie in one.safetensors, but does not"},
    {"{\"weight_map\":{\"a\":\"one.safetensors\",\"x\":\"twin.safetensors\"}}", EH_EFORMAT, "a is there twice"},
};

TEST(an_index_that_does_not_match_its_shards_is_refused)
{
    eh_weights *w = NULL;
    for (size_t i = 0; i < sizeof bad_index / sizeof *bad_index; i++) {
        const int rc = eh_weights_open(sharded(bad_index[i].index), &w, &err);
        if (rc != bad_index[i].code || strstr(err.text, bad_index[i].words) == NULL)
            print_error("index %s gave:\n", bad_index[i].index);
        CHECK_FAILS(rc, bad_index[i].code, bad_index[i].words);
        CHECK(w == NULL);
    }
}

TEST(a_path_that_is_neither_gets_help)
{
    const char *dir = temp_dir();
    char path[4096];
    eh_weights *w = NULL;
    CHECK_FAILS(eh_weights_open("/nowhere/at/all", &w, &err), EH_ENOENT, "/nowhere/at/all: cannot open");
    CHECK_FAILS(eh_weights_open("", &w, &err), EH_ENOENT, "cannot open");
    CHECK_FAILS(eh_weights_open("/dev/null", &w, &err), EH_EIO, "is not a plain file");
    snprintf(path, sizeof path, "%s/pipe", dir);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_FAILS(eh_weights_open(path, &w, &err), EH_EIO, "is not a plain file");

    CHECK_FAILS(eh_weights_open(dir, &w, &err), EH_ENOENT, "folder without config.json; wanted a Hugging Face");
    save_text(dir, "z.gguf", "");
    save_text(dir, "m.gguf", "");
    CHECK_FAILS(eh_weights_open(dir, &w, &err), EH_ENOENT, "it holds m.gguf: give that file");
    save_text(dir, "config.json", "{}");
    CHECK_FAILS(eh_weights_open(dir, &w, &err), EH_ENOENT, "neither model.safetensors nor");
    save_text(dir, "pytorch_model.bin", "");
    CHECK_FAILS(eh_weights_open(dir, &w, &err), EH_ENOSUP, "pytorch_model.bin; safetensors are needed");
    save_text(dir, "config.json", "{");
    CHECK_FAILS(eh_weights_open(dir, &w, &err), EH_EFORMAT, "config.json: line 1");
    save_text(dir, "config.json", "7");
    CHECK_FAILS(eh_weights_open(dir, &w, &err), EH_EFORMAT, "config.json: is an integer, wanted an object");
    CHECK(w == NULL);
}

TEST(a_file_that_is_not_gguf_is_told_by_its_first_bytes)
{
    static const struct {
        const char *bytes;
        const char *words;
    } cases[] = {
        {"", "it is empty"},
        {"hello", "starts with 68 65 6c 6c, not with \"GGUF\""},
        {"GG", "starts with 47 47, not"},
        {"tjgg\1", "convert the model to GGUF again"},
        {"version https://git-lfs.github.com/spec/v1", "git lfs pull"},
        {"PK\3\4", "zip archive"},
        {"{\"a\":1}", "give the folder"},
        {"<!DOCTYPE html>", "a web page"},
    };
    const char *dir = temp_dir();
    eh_weights *w = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(eh_weights_open(save_text(dir, "m.gguf", cases[i].bytes), &w, &err), EH_EFORMAT, cases[i].words);
    eh_buf b = {0};
    safetensors(&b, "{}", 0);
    CHECK_FAILS(eh_weights_open(save(dir, "model.safetensors", &b), &w, &err), EH_EFORMAT, "perhaps a safetensors file");
}

/* ---- Hashes -------------------------------------------------------------------------------- */

/* Header, size and the first 64 KiB of each tensor count; a byte behind them does not. */
TEST(the_fingerprint_sees_headers_and_the_start_of_each_tensor)
{
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[70000],\"data_offsets\":[0,70000]},"
                                 "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[70000,70002]}}";
    const int64_t data = 8 + (int64_t)sizeof header - 1;
    static const struct {
        int64_t at; /* of the data */
        bool seen;
    } cases[] = {{0, true}, {65535, true}, {65536, false}, {69999, false}, {70001, true}};
    char first[65], print[65], hash[65], first_hash[65];
    eh_weights *w;
    CHECK_OK(open_header(header, 70002, &w));
    CHECK_OK(eh_weights_fingerprint(w, first, &err));
    CHECK_OK(eh_weights_sha256(w, first_hash, &err));
    eh_weights_close(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        eh_buf b = {0};
        safetensors(&b, header, 70002);
        b.p[data + cases[i].at] ^= 1;
        save(folder(), "model.safetensors", &b);
        CHECK_OK(eh_weights_open(folder(), &w, &err));
        CHECK_OK(eh_weights_fingerprint(w, print, &err));
        CHECK_OK(eh_weights_sha256(w, hash, &err));
        CHECK((strcmp(print, first) != 0) == cases[i].seen);
        CHECK(strcmp(hash, first_hash) != 0);
        eh_weights_close(w);
    }

    char renamed[sizeof header];
    memcpy(renamed, header, sizeof header);
    *strchr(renamed, 'b') = 'c';
    CHECK_OK(open_header(renamed, 70002, &w));
    CHECK_OK(eh_weights_fingerprint(w, print, &err));
    CHECK(strcmp(print, first) != 0);
    eh_weights_close(w);
}
