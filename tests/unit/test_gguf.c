#include "check.h"
#include "weight_files.h"

#include "base/hash.h"

static eh_err err;

static int open_bytes(eh_buf *b, eh_weights **w)
{
    static const char *dir;
    if (dir == NULL)
        dir = temp_dir();
    return eh_weights_open(save(dir, "m.gguf", b), w, &err);
}

/* ---- What is read -------------------------------------------------------------------------- */

/* Version 2 and 3 differ in nothing but the number (and in what big-endian files say). */
TEST(two_tensors_worked_by_hand)
{
    for (uint32_t version = 2; version <= 3; version++) {
        eh_buf b = {0};
        gguf_start(&b, version, 2, 1);
        gguf_key(&b, "general.name", EH_GGUF_STRING);
        gguf_string(&b, "by hand");
        gguf_tensor(&b, "q.weight", 2, (uint64_t[]){32, 3}, 2, 32); /* Q4_0: three rows of 18 bytes */
        gguf_tensor(&b, "norm", 1, (uint64_t[]){5}, 0, 0);
        const int64_t header = b.n;
        gguf_data(&b, 32, 32 + 54);
        const int64_t data = b.n - (32 + 54);
        eh_weights *w;
        CHECK_OK(open_bytes(&b, &w));
        CHECK_INT(eh_weights_kind_of(w), EH_WEIGHTS_GGUF);
        CHECK_INT(eh_weights_n_file(w), 1);
        CHECK_STR(eh_weights_file_path(w, 0), eh_weights_path(w));
        CHECK(eh_weights_config(w) == NULL && eh_weights_generation_config(w) == NULL);
        CHECK_INT(eh_weights_count(w), 2);
        CHECK(data > header && data % 32 == 0);

        const eh_tensor *q = eh_weights_find(w, "q.weight"), *norm = eh_weights_find(w, "norm");
        CHECK(q == eh_weights_at(w, 0) && norm == eh_weights_at(w, 1));
        CHECK_INT(q->dtype, EH_DTYPE_Q4_0);
        CHECK_INT(q->n_dim, 2);
        CHECK(q->dim[0] == 3 && q->dim[1] == 32); /* outermost first */
        CHECK_INT(q->n_byte, 54);
        CHECK_INT(q->offset, data + 32);
        CHECK(q->data[0] == 32 && q->data == eh_weights_file_map(w, 0)->p + q->offset);
        CHECK_INT(norm->dtype, EH_DTYPE_F32);
        CHECK_INT(norm->n_byte, 20);
        CHECK_INT(norm->offset, data);
        CHECK(eh_weights_find(w, "output.weight") == NULL);
        CHECK_INT(eh_gguf_count(w), 1);
        CHECK(eh_str_eq(eh_gguf_get(w, "general.name")->s, EH_STR("by hand")));

        char got[65], wanted[65];
        CHECK_OK(eh_weights_sha256(w, got, &err));
        CHECK_OK(eh_sha256_file(eh_weights_path(w), wanted, &err));
        CHECK_STR(got, wanted);
        eh_weights_close(w);
    }
}

TEST(metadata_of_every_type_is_read)
{
    eh_buf b = {0};
    gguf_start(&b, 3, 0, 17);
    gguf_key(&b, "u8", EH_GGUF_U8), eh_buf_char(&b, (char)200);
    gguf_key(&b, "i8", EH_GGUF_I8), eh_buf_char(&b, (char)-56);
    gguf_key(&b, "u16", EH_GGUF_U16), eh_buf_bytes(&b, &(uint16_t){65535}, 2);
    gguf_key(&b, "i16", EH_GGUF_I16), eh_buf_bytes(&b, &(int16_t){-32768}, 2);
    gguf_u32(&b, "u32", UINT32_MAX);
    gguf_key(&b, "i32", EH_GGUF_I32), eh_buf_bytes(&b, &(int32_t){INT32_MIN}, 4);
    gguf_key(&b, "f32", EH_GGUF_F32), eh_buf_bytes(&b, &(float){0.1f}, 4);
    gguf_key(&b, "bool", EH_GGUF_BOOL), eh_buf_char(&b, 1);
    gguf_key(&b, "string", EH_GGUF_STRING), gguf_string(&b, "");
    gguf_key(&b, "u64", EH_GGUF_U64), put_u64(&b, INT64_MAX);
    gguf_key(&b, "i64", EH_GGUF_I64), put_u64(&b, (uint64_t)INT64_MIN);
    gguf_key(&b, "f64", EH_GGUF_F64), eh_buf_bytes(&b, &(double){-1e300}, 8);
    gguf_array(&b, "i16s", EH_GGUF_I16, 3), eh_buf_bytes(&b, (int16_t[]){-1, 0, 32767}, 6);
    gguf_array(&b, "f32s", EH_GGUF_F32, 2), eh_buf_bytes(&b, (float[]){0.25f, -8.0f}, 8);
    gguf_array(&b, "strings", EH_GGUF_STRING, 3), gguf_string(&b, "a"), gguf_string(&b, ""), gguf_string(&b, "ccc");
    gguf_array(&b, "none", EH_GGUF_STRING, 0);
    gguf_array(&b, "bools", EH_GGUF_BOOL, 2), eh_buf_bytes(&b, "\1\0", 2);
    eh_weights *w;
    CHECK_OK(open_bytes(&b, &w));

    static const struct {
        const char *key;
        eh_gguf_type type;
        int64_t i;
    } ints[] = {
        {"u8", EH_GGUF_U8, 200},           {"i8", EH_GGUF_I8, -56},         {"u16", EH_GGUF_U16, 65535},
        {"i16", EH_GGUF_I16, -32768},      {"u32", EH_GGUF_U32, UINT32_MAX}, {"i32", EH_GGUF_I32, INT32_MIN},
        {"bool", EH_GGUF_BOOL, 1},         {"u64", EH_GGUF_U64, INT64_MAX}, {"i64", EH_GGUF_I64, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        const eh_gguf_value *v = eh_gguf_get(w, ints[i].key);
        CHECK(v != NULL && eh_str_eq(v->key, eh_str_of(ints[i].key)));
        CHECK_INT(v->type, ints[i].type);
        CHECK_INT(v->i, ints[i].i);
        CHECK_INT(v->n, 1);
    }
    CHECK(eh_gguf_get(w, "f32")->f == (double)0.1f && eh_gguf_get(w, "f64")->f == -1e300);
    CHECK_INT(eh_gguf_get(w, "string")->s.n, 0);

    const eh_gguf_value *v = eh_gguf_get(w, "i16s");
    CHECK(v->type == EH_GGUF_ARRAY && v->item == EH_GGUF_I16 && v->n == 3);
    CHECK(eh_gguf_item_int(v, 0) == -1 && eh_gguf_item_int(v, 2) == 32767 && eh_gguf_item_real(v, 0) == -1.0);
    v = eh_gguf_get(w, "f32s");
    CHECK(v->n == 2 && eh_gguf_item_real(v, 0) == 0.25 && eh_gguf_item_real(v, 1) == -8.0);
    v = eh_gguf_get(w, "strings");
    CHECK(v->item == EH_GGUF_STRING && v->n == 3 && eh_str_eq(v->strings[2], EH_STR("ccc")) && v->strings[1].n == 0);
    CHECK_INT(eh_gguf_get(w, "none")->n, 0);
    v = eh_gguf_get(w, "bools");
    CHECK(v->n == 2 && eh_gguf_item_int(v, 0) == 1 && eh_gguf_item_int(v, 1) == 0);

    CHECK_INT(eh_gguf_count(w), 17);
    CHECK(eh_gguf_at(w, 0) == eh_gguf_get(w, "u8") && eh_gguf_at(w, 16) == eh_gguf_get(w, "bools")); /* file order */
    CHECK(eh_gguf_get(w, "u") == NULL && eh_gguf_get(w, "") == NULL && eh_gguf_get(w, "zz") == NULL);
    eh_weights_close(w);
}

TEST(the_alignment_moves_the_data)
{
    for (uint32_t alignment = 8; alignment <= 4096; alignment *= 2) {
        eh_buf b = {0};
        gguf_start(&b, 3, 2, 1);
        gguf_u32(&b, "general.alignment", alignment);
        gguf_tensor(&b, "a", 1, (uint64_t[]){1}, 0, 0);
        gguf_tensor(&b, "b", 1, (uint64_t[]){1}, 0, alignment);
        const int64_t header = b.n;
        gguf_data(&b, alignment, alignment + 4);
        eh_weights *w;
        CHECK_OK(open_bytes(&b, &w));
        const int64_t data = eh_weights_at(w, 0)->offset;
        CHECK(data % alignment == 0 && data >= header && data < header + alignment);
        CHECK_INT(eh_weights_at(w, 1)->offset, data + alignment);
        eh_weights_close(w);
    }
}

TEST(scalars_empty_tensors_and_padding_behind_the_last_are_fine)
{
    eh_buf b = {0};
    gguf_start(&b, 3, 3, 0);
    gguf_tensor(&b, "scalar", 0, NULL, 0, 0);
    gguf_tensor(&b, "empty", 3, (uint64_t[]){0, 5, 2}, 0, 32);
    gguf_tensor(&b, "four", 4, (uint64_t[]){1, 2, 3, 4}, 1, 32);
    gguf_data(&b, 32, 32 + 48 + 100);
    eh_weights *w;
    CHECK_OK(open_bytes(&b, &w));
    CHECK_INT(eh_tensor_count(eh_weights_find(w, "scalar")), 1);
    CHECK_INT(eh_weights_find(w, "empty")->n_byte, 0);
    const eh_tensor *four = eh_weights_find(w, "four");
    CHECK(four->dim[0] == 4 && four->dim[1] == 3 && four->dim[2] == 2 && four->dim[3] == 1 && four->n_byte == 48);
    eh_weights_close(w);
}

TEST(a_vocabulary_without_tensors_opens)
{
    eh_buf b = {0};
    gguf_start(&b, 3, 0, 1);
    gguf_u32(&b, "k", 1); /* no padding behind it */
    eh_weights *w;
    CHECK_OK(open_bytes(&b, &w));
    CHECK_INT(eh_weights_count(w), 0);
    CHECK(eh_weights_find(w, "k") == NULL);
    char print[65];
    CHECK_OK(eh_weights_fingerprint(w, print, &err));
    eh_weights_close(w);
}

TEST(every_key_of_many_is_found)
{
    enum { N = 2000 };
    eh_buf b = {0};
    gguf_start(&b, 3, 0, N);
    for (uint32_t i = 0; i < N; i++) {
        char key[20];
        snprintf(key, sizeof key, "k.%u", i * 7 % N);
        gguf_u32(&b, key, i);
    }
    eh_weights *w;
    CHECK_OK(open_bytes(&b, &w));
    for (uint32_t i = 0; i < N; i++) {
        char key[20];
        snprintf(key, sizeof key, "k.%u", i * 7 % N);
        CHECK(eh_gguf_get(w, key) == eh_gguf_at(w, i) && eh_gguf_at(w, i)->i == i);
    }
    CHECK(eh_gguf_get(w, "k.2000") == NULL && eh_gguf_get(w, "k") == NULL);
    eh_weights_close(w);
}

/* ---- What is refused: metadata ------------------------------------------------------------- */

static void check_refused(eh_buf *b, int code, const char *words)
{
    eh_weights *w = NULL;
    CHECK_FAILS(open_bytes(b, &w), code, words);
    CHECK(strstr(err.text, "m.gguf") != NULL);
    CHECK(w == NULL);
}

TEST(other_versions_are_refused_by_name)
{
    static const struct {
        uint32_t version;
        const char *words;
    } cases[] = {
        {0, "is GGUF version 0; versions 2 and 3"},          {1, "is GGUF version 1; versions 2 and 3"},
        {4, "is GGUF version 4; versions 2 and 3"},          {0x03000000, "big-endian GGUF file"},
        {0x02000000, "big-endian GGUF file; only little-"}, {UINT32_MAX, "is GGUF version 4294967295"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        eh_buf b = {0};
        gguf_start(&b, cases[i].version, 0, 0);
        check_refused(&b, EH_ENOSUP, cases[i].words);
    }
}

/* A count is believed only as far as the file has bytes: no room is ever allocated for a promise. */
TEST(promised_counts_are_checked_against_the_bytes_left)
{
    static const uint64_t huge[] = {2, 1ull << 20, 1ull << 32, 1ull << 61, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        eh_buf b = {0};
        gguf_start(&b, 3, huge[i], 0);
        check_refused(&b, EH_EFORMAT, "the number of tensors is");

        gguf_start(&b, 3, 0, huge[i]);
        check_refused(&b, EH_EFORMAT, "the number of metadata values is");

        gguf_start(&b, 3, 0, 1);
        put_u64(&b, huge[i] + 20); /* the length of a key */
        put_zeros(&b, 12);
        check_refused(&b, EH_EFORMAT, "metadata key");

        gguf_start(&b, 3, 0, 1);
        gguf_key(&b, "k", EH_GGUF_STRING);
        put_u64(&b, huge[i]);
        check_refused(&b, EH_EFORMAT, "a string is");

        for (uint32_t item = 0; item <= EH_GGUF_F64; item++) {
            if (item == EH_GGUF_ARRAY)
                continue;
            gguf_start(&b, 3, 0, 1);
            gguf_array(&b, "k", item, huge[i]);
            eh_buf_char(&b, 0);
            check_refused(&b, EH_EFORMAT, "the length of an array is");
        }
    }
}

TEST(metadata_that_breaks_a_rule_is_refused)
{
    eh_buf b = {0};
    gguf_start(&b, 3, 0, 1), gguf_key(&b, "k", 13), put_zeros(&b, 8);
    check_refused(&b, EH_EFORMAT, "k: has value type 13; the format knows 0 to 12");
    gguf_start(&b, 3, 0, 1), gguf_key(&b, "key", EH_GGUF_F64), put_u32(&b, 0);
    check_refused(&b, EH_EFORMAT, "at byte 39: a value takes 8 bytes, 4 are left");
    gguf_start(&b, 3, 0, 1), gguf_array(&b, "k", 99, 0);
    check_refused(&b, EH_EFORMAT, "k: has value type 99");
    gguf_start(&b, 3, 0, 1), gguf_array(&b, "k", EH_GGUF_ARRAY, 1), put_zeros(&b, 20);
    check_refused(&b, EH_ENOSUP, "k: is an array of arrays");
    gguf_start(&b, 3, 0, 1), gguf_key(&b, "k", EH_GGUF_BOOL), eh_buf_char(&b, 2);
    check_refused(&b, EH_EFORMAT, "k: holds a bool that is neither 0 nor 1");
    gguf_start(&b, 3, 0, 1), gguf_array(&b, "k", EH_GGUF_BOOL, 2), eh_buf_bytes(&b, "\1\xff", 2);
    check_refused(&b, EH_EFORMAT, "k: holds a bool that is neither 0 nor 1");
    gguf_start(&b, 3, 0, 1), gguf_key(&b, "k", EH_GGUF_U64), put_u64(&b, 1ull << 63);
    check_refused(&b, EH_EFORMAT, "k: holds a uint64 of 2^63 or more");
    gguf_start(&b, 3, 0, 1), gguf_array(&b, "k", EH_GGUF_U64, 2), put_u64(&b, 1), put_u64(&b, UINT64_MAX);
    check_refused(&b, EH_EFORMAT, "k: holds a uint64 of 2^63 or more");
    gguf_start(&b, 3, 0, 3), gguf_u32(&b, "k", 1), gguf_u32(&b, "j", 1), gguf_u32(&b, "k", 1);
    check_refused(&b, EH_EFORMAT, "k: is there twice");
    gguf_start(&b, 3, 0, 1), gguf_u32(&b, "", 1), put_zeros(&b, 8);
    check_refused(&b, EH_EFORMAT, "metadata key 0 has 0 bytes");
    gguf_start(&b, 3, 0, 1), gguf_u32(&b, "a\nb", 1);
    check_refused(&b, EH_EFORMAT, "without control characters");
    gguf_start(&b, 3, 0, 1), gguf_u32(&b, "\xff", 1);
    check_refused(&b, EH_EFORMAT, "of UTF-8");

    char name[514];
    memset(name, 'x', sizeof name);
    name[513] = '\0';
    gguf_start(&b, 3, 0, 1), gguf_u32(&b, name, 1);
    check_refused(&b, EH_EFORMAT, "metadata key 0 has 513 bytes; wanted 1 to 512");
}

TEST(a_part_of_a_split_model_is_refused)
{
    eh_buf b = {0};
    gguf_start(&b, 3, 0, 2);
    gguf_key(&b, "split.no", EH_GGUF_U16), eh_buf_bytes(&b, &(uint16_t){1}, 2);
    gguf_key(&b, "split.count", EH_GGUF_U16), eh_buf_bytes(&b, &(uint16_t){4}, 2);
    check_refused(&b, EH_ENOSUP, "is part 2 of a model split over 4 files, which is not supported: join them");

    eh_weights *w;
    gguf_start(&b, 3, 0, 1);
    gguf_key(&b, "split.count", EH_GGUF_U16), eh_buf_bytes(&b, &(uint16_t){1}, 2);
    CHECK_OK(open_bytes(&b, &w));
    eh_weights_close(w);
}

TEST(odd_alignments_are_refused)
{
    static const uint32_t odd[] = {0, 1, 4, 24, 33, UINT32_MAX};
    eh_buf b = {0};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        gguf_start(&b, 3, 0, 1), gguf_u32(&b, "general.alignment", odd[i]);
        check_refused(&b, EH_EFORMAT, "wanted a power of two of 8 or more");
    }
    gguf_start(&b, 3, 0, 1), gguf_key(&b, "general.alignment", EH_GGUF_U64), put_u64(&b, 32);
    check_refused(&b, EH_EFORMAT, "general.alignment is of type uint64, wanted uint32");
}

/* ---- What is refused: tensors -------------------------------------------------------------- */

TEST(types_that_cannot_be_read_are_named)
{
    eh_buf b = {0};
    gguf_start(&b, 3, 1, 0), gguf_tensor(&b, "blk.0.ffn_up.weight", 1, (uint64_t[]){256}, 16, 0), gguf_data(&b, 32, 66);
    check_refused(&b, EH_ENOSUP,
                  "blk.0.ffn_up.weight: is stored as IQ2_XXS, which cannot be read; convert the model to one of F32, "
                  "F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, F64, I32, I64");
    gguf_start(&b, 3, 1, 0), gguf_tensor(&b, "t", 1, (uint64_t[]){256}, 1234567, 0), gguf_data(&b, 32, 66);
    check_refused(&b, EH_ENOSUP, "t: is stored as type 1234567");
}

static const struct {
    uint32_t n_dim;
    uint64_t dim[5]; /* innermost first */
    uint32_t type;
    uint64_t offset;
    const char *words;
} bad_tensor[] = {
    {5, {1, 1, 1, 1, 1}, 0, 0, "t: has 5 dimensions; at most 4"},
    {UINT32_MAX, {1}, 0, 0, "t: has 4294967295 dimensions"},
    {1, {1ull << 63}, 0, 0, "t: has a dimension of 9223372036854775808"},
    {1, {31}, 2, 0, "t: Q4_0 [31] is not made of rows of whole blocks of 32"},
    {2, {128, 2}, 12, 0, "t: Q4_K [2, 128] is not made of rows of whole blocks of 256"},
    {0, {0}, 8, 0, "t: Q8_0 [] is not made of rows"},
    {1, {1ull << 61}, 0, 0, "2^63 bytes"},
    {2, {1ull << 32, 1ull << 31}, 1, 0, "2^63 bytes"},
    {4, {1ull << 16, 1ull << 16, 1ull << 16, 1ull << 16}, 0, 0, "2^63 bytes"},
    {3, {1ull << 62, 0, 1ull << 62}, 0, 0, "2^63 bytes"}, /* empty, but its row count is not a number */
    {2, {1ull << 58, 32}, 2, 0, "2^63 bytes"},             /* the bytes would fit, the count of numbers not */
    {1, {16}, 0, 4, "its offset 4 is not a multiple of the alignment, 32"},
    {1, {16}, 0, UINT64_MAX - 31, "its offset 18446744073709551584 is not a multiple"},
    {1, {16}, 0, 32, "t: takes 64 bytes at offset 32 of the data, which start at byte 64; the file ends at byte 128"},
    {1, {16}, 0, INT64_MAX - 31, "is it cut off?"},
    {1, {1ull << 60}, 0, 0, "is it cut off?"},
    {1, {17}, 0, 0, "is it cut off?"},
};

TEST(tensors_that_break_a_rule_are_refused)
{
    eh_buf b = {0};
    for (size_t i = 0; i < sizeof bad_tensor / sizeof *bad_tensor; i++) {
        gguf_start(&b, 3, 1, 0);
        gguf_tensor(&b, "t", bad_tensor[i].n_dim > 5 ? 1 : bad_tensor[i].n_dim, bad_tensor[i].dim, bad_tensor[i].type,
                    bad_tensor[i].offset);
        if (bad_tensor[i].n_dim > 5)
            memcpy(b.p + 24 + 9, &bad_tensor[i].n_dim, 4);
        gguf_data(&b, 32, 64);
        check_refused(&b, EH_EFORMAT, bad_tensor[i].words);
    }
}

TEST(tensors_may_not_share_bytes_or_names)
{
    eh_buf b = {0};
    gguf_start(&b, 3, 2, 0);
    gguf_tensor(&b, "late", 1, (uint64_t[]){8}, 0, 32);
    gguf_tensor(&b, "early", 1, (uint64_t[]){9}, 0, 0);
    gguf_data(&b, 32, 64);
    check_refused(&b, EH_EFORMAT, "late starts at byte 160, inside early, which ends at 164");

    gguf_start(&b, 3, 2, 0);
    gguf_tensor(&b, "one", 1, (uint64_t[]){8}, 0, 0);
    gguf_tensor(&b, "two", 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&b, 32, 64);
    check_refused(&b, EH_EFORMAT, "two starts at byte 96, inside one, which ends at 128");

    gguf_start(&b, 3, 2, 0);
    gguf_tensor(&b, "same", 1, (uint64_t[]){8}, 0, 0);
    gguf_tensor(&b, "same", 1, (uint64_t[]){8}, 0, 32);
    gguf_data(&b, 32, 64);
    check_refused(&b, EH_EFORMAT, "tensor same is there twice");

    gguf_start(&b, 3, 1, 0);
    put_u64(&b, 3), eh_buf_bytes(&b, "a\0b", 3), put_zeros(&b, 100);
    check_refused(&b, EH_EFORMAT, "tensor name 0 has 3 bytes; wanted 1 to 512 of UTF-8 without control characters");
}
