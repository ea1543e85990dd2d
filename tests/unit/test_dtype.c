#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "tensor/tensor.h"

static uint32_t bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* Hexadecimal text of a JSON string to bytes; returns how many. */
static int64_t unhex(const json_t *text, uint8_t *out, int64_t room)
{
    const char *s = json_string_value(text);
    CHECK(s != NULL);
    const int64_t n = (int64_t)strlen(s) / 2;
    CHECK(n <= room);
    for (int64_t i = 0; i < n; i++) {
        const char pair[3] = {s[2 * i], s[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

/* ---- Blocks -------------------------------------------------------------------------------- */

/* gguf-py's own values for random blocks, bit for bit, at an odd address. */
TEST(every_block_type_gives_the_bits_of_gguf_py)
{
    eh_err err = {0};
    json_t *root;
    CHECK_OK(eh_json_file(repo_path("tests/golden/dequant.json"), 1 << 20, &root, &err));
    const char *name;
    json_t *entry;
    int n_type = 0;
    json_object_foreach(root, name, entry) {
        const uint32_t id = (uint32_t)json_integer_value(json_object_get(entry, "id"));
        char room[16];
        eh_dtype t;
        CHECK(eh_dtype_of_gguf(id, &t));
        const eh_dtype_info *info = eh_dtype_get(t);
        CHECK_STR(info->name, name);
        CHECK_STR(eh_dtype_gguf_name(id, room), name);
        CHECK_INT(info->block, json_integer_value(json_object_get(entry, "block_elements")));
        CHECK_INT(info->bytes, json_integer_value(json_object_get(entry, "block_bytes")));

        /* The blocks one after the other, so that stepping from block to block is tested, too. */
        static uint8_t stored[1 + 4096], wanted[16384];
        static float got[4096];
        int64_t n_stored = 1, n_wanted = 0;
        size_t i;
        json_t *block;
        json_array_foreach(json_object_get(entry, "blocks"), i, block) {
            n_stored += unhex(json_object_get(block, "bytes"), stored + n_stored, (int64_t)sizeof stored - n_stored);
            n_wanted += unhex(json_object_get(block, "values_f32_le"), wanted + n_wanted,
                              (int64_t)sizeof wanted - n_wanted);
        }
        CHECK(n_wanted >= 4 * 64);
        CHECK_INT((n_stored - 1) / info->bytes * info->block, n_wanted / 4);
        eh_dtype_to_f32(t, stored + 1, n_wanted / 4, got);
        CHECK(memcmp(got, wanted, (size_t)n_wanted) == 0);
        n_type++;
    }
    json_decref(root);
    CHECK_INT(n_type, 10);
}

/* d = 0.5 (0x3800), m = -1 (0xbc00); byte j = 0x10 * j + (15 - j). */
TEST(q4_1_worked_by_hand)
{
    uint8_t block[20] = {0x00, 0x38, 0x00, 0xbc};
    float got[32];
    for (int j = 0; j < 16; j++)
        block[4 + j] = (uint8_t)(j << 4 | (15 - j));
    eh_dtype_to_f32(EH_DTYPE_Q4_1, block, 32, got);
    for (int j = 0; j < 16; j++) {
        CHECK_NEAR((double)got[j], 0.5 * (15 - j) - 1.0, 0.0);
        CHECK_NEAR((double)got[j + 16], 0.5 * j - 1.0, 0.0);
    }
}

/* d = 2 (0x4000); the scale of each sixteen is its number, all quants 33 = 0b100001. */
TEST(q6_k_worked_by_hand)
{
    uint8_t block[210];
    float got[256];
    memset(block, 0x11, 128);
    memset(block + 128, 0xaa, 64);
    for (int i = 0; i < 16; i++)
        block[192 + i] = (uint8_t)(int8_t)(i - 8);
    block[208] = 0x00;
    block[209] = 0x40;
    eh_dtype_to_f32(EH_DTYPE_Q6_K, block, 256, got);
    for (int i = 0; i < 256; i++)
        CHECK_NEAR((double)got[i], 2.0 * (i / 16 - 8) * (33 - 32), 0.0);
}

/* A run of blocks is the blocks, one by one. */
TEST(blocks_do_not_know_their_neighbours)
{
    static uint8_t stored[9 * 210];
    static float all[9 * 256], one[256];
    eh_rng r = eh_rng_at(1, "blocks", 0);
    for (int t = 0; t < EH_DTYPE_COUNT; t++) {
        const eh_dtype_info *info = eh_dtype_get((eh_dtype)t);
        for (int64_t i = 0; i < 9 * info->bytes; i++)
            stored[i] = (uint8_t)eh_rng_u32(&r);
        eh_dtype_to_f32((eh_dtype)t, stored, 9 * info->block, all);
        for (int64_t b = 0; b < 9; b++) {
            eh_dtype_to_f32((eh_dtype)t, stored + b * info->bytes, info->block, one);
            CHECK(memcmp(one, all + b * info->block, (size_t)info->block * sizeof *one) == 0);
        }
    }
}

TEST(integers_and_doubles_become_the_nearest_float)
{
    const int32_t i32[3] = {-7, INT32_MAX, 1 << 24};
    const int64_t i64[3] = {-7, INT64_MAX, 16777217}; /* 2^24 + 1 lies between two floats */
    const double f64[3] = {-0.1, 1e300, 1.0 + 0x1p-24};
    const uint8_t u8[130] = {0, 255, 128, [129] = 9};
    float got[130];

    eh_dtype_to_f32(EH_DTYPE_I32, i32, 3, got);
    CHECK(got[0] == -7.0f && got[1] == 0x1p31f && got[2] == 0x1p24f);
    eh_dtype_to_f32(EH_DTYPE_I64, i64, 3, got);
    CHECK(got[0] == -7.0f && got[1] == 0x1p63f && got[2] == 0x1p24f);
    eh_dtype_to_f32(EH_DTYPE_F64, f64, 3, got);
    CHECK(got[0] == -0.1f && isinf(got[1]) && got[2] == 1.0f);
    eh_dtype_to_f32(EH_DTYPE_U8, u8, 130, got);
    CHECK(got[0] == 0.0f && got[1] == 255.0f && got[2] == 128.0f && got[128] == 0.0f && got[129] == 9.0f);
    eh_dtype_to_f32(EH_DTYPE_BOOL, (const uint8_t[2]){1, 0}, 2, got);
    CHECK(got[0] == 1.0f && got[1] == 0.0f);
}

/* ---- Half and bfloat16 --------------------------------------------------------------------- */

/* The definition: (-1)^s 2^(e-15) (1 + f/1024), or (-1)^s 2^-14 f/1024 for e = 0. */
TEST(each_of_the_65536_halves_is_the_number_it_stands_for)
{
    static uint16_t all[65536];
    static float many[65536];
    for (int h = 0; h < 65536; h++)
        all[h] = (uint16_t)h;
    eh_dtype_to_f32(EH_DTYPE_F16, all, 65536, many);
    for (int h = 0; h < 65536; h++) {
        const int e = h >> 10 & 31, f = h & 1023;
        const float got = eh_f16_to_f32_one((uint16_t)h);
        CHECK(bits(got) == bits(many[h]));
        CHECK_INT(bits(got) >> 31, h >> 15);
        if (e == 31 && f != 0)
            CHECK(isnan(got));
        else if (e == 31)
            CHECK(isinf(got));
        else
            CHECK((double)fabsf(got) == (e == 0 ? ldexp(f, -24) : ldexp(1024 + f, e - 25)));
    }
}

TEST(each_of_the_65536_halves_comes_back)
{
    for (int h = 0; h < 65536; h++) {
        const float x = eh_f16_to_f32_one((uint16_t)h);
        const uint16_t back = eh_f32_to_f16_one(x);
        if (isnan(x))
            CHECK(isnan(eh_f16_to_f32_one(back)) && (back & 0x8000) == (h & 0x8000));
        else
            CHECK_INT(back, h);
    }
}

TEST(each_of_the_65536_bfloats_comes_back)
{
    static uint16_t all[65536], back[65536];
    static float x[65536];
    for (int h = 0; h < 65536; h++)
        all[h] = (uint16_t)h;
    eh_bf16_to_f32(all, 65536, x);
    eh_f32_to_bf16(x, 65536, back);
    for (int h = 0; h < 65536; h++) {
        CHECK(bits(x[h]) == (uint32_t)h << 16);
        if (isnan(x[h]))
            CHECK((back[h] & 0x7f80) == 0x7f80 && (back[h] & 0x7f) != 0 && (back[h] & 0x8000) == (h & 0x8000));
        else
            CHECK_INT(back[h], h);
    }
}

/* Between neighbours a and b = a + 1 step: the middle goes to the even one, its float neighbours to
 * a and b. `step` runs over all finite positive halves, subnormals too. */
TEST(halves_round_to_nearest_even_everywhere)
{
    for (uint16_t a = 0; a < 0x7bff; a++) {
        const float low = eh_f16_to_f32_one(a), high = eh_f16_to_f32_one((uint16_t)(a + 1));
        const float middle = low + (high - low) / 2; /* exact: f32 has 13 bits more */
        CHECK_INT(eh_f32_to_f16_one(middle), a % 2 == 0 ? a : a + 1);
        CHECK_INT(eh_f32_to_f16_one(nextafterf(middle, 0.0f)), a);
        CHECK_INT(eh_f32_to_f16_one(nextafterf(middle, INFINITY)), a + 1);
        CHECK_INT(eh_f32_to_f16_one(-middle), 0x8000 | (a % 2 == 0 ? a : a + 1));
    }
    CHECK_INT(eh_f32_to_f16_one(65519.996f), 0x7bff); /* the largest half is 65504; 65520 is half-way */
    CHECK_INT(eh_f32_to_f16_one(65520.0f), 0x7c00);
    CHECK_INT(eh_f32_to_f16_one(1e30f), 0x7c00);
    CHECK_INT(eh_f32_to_f16_one(-INFINITY), 0xfc00);
    CHECK_INT(eh_f32_to_f16_one(1e-30f), 0);
}

TEST(bfloats_round_to_nearest_even_everywhere)
{
    for (uint32_t a = 0; a < 0x7f80; a++) {
        float x[3];
        uint16_t got[3];
        for (uint32_t k = 0; k < 3; k++) {
            const uint32_t u = a << 16 | (0x7fff + k); /* just below the middle, the middle, just above */
            memcpy(&x[k], &u, sizeof u);
        }
        eh_f32_to_bf16(x, 3, got);
        CHECK_INT(got[0], a);
        CHECK_INT(got[1], a % 2 == 0 ? a : a + 1); /* past the largest finite number: infinity */
        CHECK_INT(got[2], a + 1);
    }
}

/* A NaN whose payload lies in the lower half only must not turn into an infinity. */
TEST(a_nan_stays_nan_when_its_payload_is_cut)
{
    const uint32_t u[2] = {0x7f800001, 0xffffffff};
    float x[2];
    uint16_t got[2];
    memcpy(x, u, sizeof u);
    eh_f32_to_bf16(x, 2, got);
    CHECK_INT(got[0], 0x7fc0);
    CHECK_INT(got[1], 0xffff);
    CHECK_INT(eh_f32_to_f16_one(x[0]), 0x7e00);
    CHECK_INT(eh_f32_to_f16_one(x[1]), 0xffff);
}

/* ---- Names and shapes ---------------------------------------------------------------------- */

TEST(types_are_found_by_number_and_by_name)
{
    eh_dtype t;
    for (int i = 0; i < EH_DTYPE_COUNT; i++) {
        const eh_dtype_info *info = eh_dtype_get((eh_dtype)i);
        char room[16];
        CHECK(info->gguf >= 0 || info->safetensors != NULL);
        if (info->gguf >= 0) {
            CHECK(eh_dtype_of_gguf((uint32_t)info->gguf, &t) && (int)t == i);
            CHECK_STR(eh_dtype_gguf_name((uint32_t)info->gguf, room), info->name);
        }
        if (info->safetensors != NULL)
            CHECK(eh_dtype_of_safetensors(eh_str_of(info->safetensors), &t) && (int)t == i);
    }
    CHECK(eh_dtype_get(EH_DTYPE_COUNT) == NULL);
}

TEST(unknown_types_are_refused_and_leave_the_output_alone)
{
    eh_dtype t = EH_DTYPE_I64;
    CHECK(!eh_dtype_of_gguf(10, &t)); /* Q2_K: known by name only */
    CHECK(!eh_dtype_of_gguf(UINT32_MAX, &t));
    CHECK(!eh_dtype_of_safetensors(EH_STR("F8_E4M3"), &t));
    CHECK(!eh_dtype_of_safetensors(EH_STR("f32"), &t));
    CHECK(!eh_dtype_of_safetensors(EH_STR(""), &t));
    CHECK_INT(t, EH_DTYPE_I64);
}

TEST(types_we_cannot_read_still_have_their_ggml_name)
{
    char room[16];
    CHECK_STR(eh_dtype_gguf_name(16, room), "IQ2_XXS");
    CHECK_STR(eh_dtype_gguf_name(23, room), "IQ4_XS");
    CHECK_STR(eh_dtype_gguf_name(29, room), "IQ1_M");
    CHECK_STR(eh_dtype_gguf_name(35, room), "TQ2_0");
    CHECK_STR(eh_dtype_gguf_name(39, room), "MXFP4");
    CHECK_STR(eh_dtype_gguf_name(42, room), "Q2_0");
    CHECK_STR(eh_dtype_gguf_name(43, room), "type 43");
    CHECK_STR(eh_dtype_gguf_name(UINT32_MAX, room), "type 4294967295");
}

TEST(rows_of_a_tensor_are_its_last_dimension)
{
    float data[24], got[8];
    for (int i = 0; i < 24; i++)
        data[i] = (float)i;
    const eh_tensor t = {.dtype = EH_DTYPE_F32, .n_dim = 3, .dim = {2, 3, 4}, .data = (const char *)data};
    CHECK_INT(eh_tensor_count(&t), 24);
    CHECK_INT(eh_tensor_row_bytes(&t), 16);
    eh_tensor_rows(&t, 4, 2, got);
    check_floats(got, data + 16, 8, 0.0, "rows 4 and 5");

    const eh_tensor scalar = {.dtype = EH_DTYPE_F32, .n_dim = 0, .data = (const char *)(data + 7)};
    CHECK_INT(eh_tensor_count(&scalar), 1);
    CHECK_INT(eh_tensor_row_bytes(&scalar), 4);
    eh_tensor_rows(&scalar, 0, 1, got);
    CHECK(got[0] == 7.0f);

    const eh_tensor empty = {.dtype = EH_DTYPE_F32, .n_dim = 2, .dim = {3, 0}};
    CHECK_INT(eh_tensor_count(&empty), 0);
    CHECK_INT(eh_tensor_row_bytes(&empty), 0);

    const eh_tensor q = {.dtype = EH_DTYPE_Q4_K, .n_dim = 2, .dim = {5, 512}};
    CHECK_INT(eh_tensor_row_bytes(&q), 288);
}
