/*
 * Block layouts: ggml's (ggml/src/ggml-common.h, MIT), as described there and in gguf-py's quants.py.
 * The loops are plain and short so that the compiler turns them into vector code for whatever
 * machine it builds for; every one has a fixed count and no branch inside.
 */
#include "tensor/dtype.h"

#include "tensor/packed_scales.h"

#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weight files are read as they lie: little-endian");

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float f32_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/*
 * binary16 has 5 bits of exponent (bias 15) and 10 of fraction, binary32 has 8 (bias 127) and 23.
 * All three cases are computed and one is kept by masks (with ?: gcc 12 branches: 2 GB/s instead of 10):
 *     normal         the exponent grows by 127 - 15 = 112
 *     inf, NaN       exponent 31 becomes 255, growing by 224
 *     subnormal, 0   fraction * 2^-24 = (2^-14 + fraction * 2^-24) - 2^-14, which is exact in f32
 */
static inline float f16_value(uint16_t h)
{
    const int32_t magnitude = (h & 0x7fff) << 13; /* exponent and fraction where binary32 has them */
    const int32_t normal = magnitude + (112 << 23);
    const int32_t special = magnitude + (224 << 23);
    const int32_t small = (int32_t)bits_of(f32_of((uint32_t)magnitude + (113u << 23)) - 0x1p-14f);
    const int32_t is_small = -(magnitude < 1 << 23);
    const int32_t is_special = -(magnitude >= 31 << 23);
    const int32_t bits =
        (small & is_small) | (special & is_special) | (normal & ~(is_small | is_special));
    return f32_of((uint32_t)bits | (uint32_t)(h & 0x8000) << 16);
}

float eh_f16_to_f32_one(uint16_t h)
{
    return f16_value(h);
}

uint16_t eh_f32_to_f16_one(float x)
{
    const uint32_t u = bits_of(x);
    const uint32_t sign = u >> 16 & 0x8000;
    const uint32_t magnitude = u & 0x7fffffff;
    uint32_t h;
    if (magnitude > 0x7f800000) { /* NaN: made quiet, the upper payload kept */
        h = 0x7e00 | (magnitude >> 13 & 0x3ff);
    } else if (magnitude >= 0x47800000) { /* 2^16 and more, infinity */
        h = 0x7c00;
    } else if (magnitude >= 0x38800000) { /* 2^-14 and more: normal; a carry may reach infinity, rightly */
        const uint32_t r = magnitude - (112u << 23);
        h = (r + 0xfff + (r >> 13 & 1)) >> 13;
    } else {
        /* The numbers of [0.5, 1) are 2^-24 apart, as f16's subnormals are: adding 0.5 rounds. */
        h = bits_of(f32_of(magnitude) + 0.5f) - 0x3f000000;
    }
    return (uint16_t)(sign | h);
}

void eh_bf16_to_f32(const uint16_t *x, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = f32_of((uint32_t)x[i] << 16);
}

void eh_f32_to_bf16(const float *x, int64_t n, uint16_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(x[i]);
        const uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
        const uint32_t nan = u >> 16 | 0x40;
        out[i] = (uint16_t)((int32_t)(u & 0x7fffffff) > 0x7f800000 ? nan : rounded);
    }
}

/* ---- One function per type: n blocks at p to f32 ------------------------------------------ */

/* Numbers of one element each may lie at any address: they are copied out 64 at a time. */
#define PIECE 64
#define EXPAND_PLAIN(name, type, to_f32) \
    static void name(const uint8_t *restrict p, int64_t n, float *restrict out) \
    { \
        type piece[PIECE]; \
        for (; n >= PIECE; n -= PIECE, p += sizeof piece, out += PIECE) { \
            memcpy(piece, p, sizeof piece); \
            for (int i = 0; i < PIECE; i++) \
                out[i] = to_f32(piece[i]); \
        } \
        memcpy(piece, p, (size_t)n * sizeof piece[0]); \
        for (int i = 0; i < (int)n; i++) \
            out[i] = to_f32(piece[i]); \
    }

static inline float bf16_value(uint16_t h)
{
    return f32_of((uint32_t)h << 16);
}

EXPAND_PLAIN(expand_f16, uint16_t, f16_value)
EXPAND_PLAIN(expand_bf16, uint16_t, bf16_value)
EXPAND_PLAIN(expand_f64, double, (float))
EXPAND_PLAIN(expand_i32, int32_t, (float))
EXPAND_PLAIN(expand_i64, int64_t, (float))
EXPAND_PLAIN(expand_u8, uint8_t, (float))

static void expand_f32(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    if (n > 0)
        memcpy(out, p, (size_t)n * sizeof *out);
}

static inline float half_at(const uint8_t *p)
{
    return f16_value((uint16_t)(p[0] | p[1] << 8));
}

/* d, 16 bytes of nibbles: byte j holds number j (low) and number j + 16 (high); value d * (q - 8). */
static void expand_q4_0(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    for (int64_t b = 0; b < n; b++, p += 18, out += 32) {
        const float d = half_at(p);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)((p[2 + j] & 15) - 8);
            out[j + 16] = d * (float)((p[2 + j] >> 4) - 8);
        }
    }
}

/* d, m, nibbles as above; value d * q + m. */
static void expand_q4_1(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    for (int64_t b = 0; b < n; b++, p += 20, out += 32) {
        const float d = half_at(p);
        const float m = half_at(p + 2);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)(p[4 + j] & 15) + m;
            out[j + 16] = d * (float)(p[4 + j] >> 4) + m;
        }
    }
}

/* Nibbles at qs and 32 fifth bits at qh (bit j belongs to number j) to 32 numbers 0..31. */
static inline void fives(const uint8_t *restrict qs, const uint8_t *restrict qh, uint8_t q[restrict 32])
{
    for (int j = 0; j < 16; j++) {
        q[j] = qs[j] & 15;
        q[j + 16] = qs[j] >> 4;
    }
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 8; j++)
            q[8 * k + j] |= (uint8_t)((qh[k] >> j & 1) << 4);
}

/* d, 32 fifth bits, nibbles; value d * (q - 16). */
static void expand_q5_0(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    uint8_t q[32];
    for (int64_t b = 0; b < n; b++, p += 22, out += 32) {
        const float d = half_at(p);
        fives(p + 6, p + 2, q);
        for (int j = 0; j < 32; j++)
            out[j] = d * (float)(q[j] - 16);
    }
}

/* d, m, 32 fifth bits, nibbles; value d * q + m. */
static void expand_q5_1(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    uint8_t q[32];
    for (int64_t b = 0; b < n; b++, p += 24, out += 32) {
        const float d = half_at(p);
        const float m = half_at(p + 2);
        fives(p + 8, p + 4, q);
        for (int j = 0; j < 32; j++)
            out[j] = d * (float)q[j] + m;
    }
}

/* d, 32 signed bytes; value d * q. */
static void expand_q8_0(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    for (int64_t b = 0; b < n; b++, p += 34, out += 32) {
        const float d = half_at(p);
        for (int j = 0; j < 32; j++)
            out[j] = d * (float)(int8_t)p[2 + j];
    }
}

/* d, dmin, scales, 128 bytes of nibbles: each 32 bytes hold sub-block 2j (low) and 2j + 1 (high);
 * value (d * scale) * q - (dmin * min). */
static void expand_q4_k(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    float scale[8], low[8];
    for (int64_t b = 0; b < n; b++, p += 144) {
        scales_k(p + 4, half_at(p), half_at(p + 2), scale, low);
        for (int j = 0; j < 8; j += 2, out += 64) {
            const uint8_t *q = p + 16 + 16 * j;
            for (int l = 0; l < 32; l++)
                out[l] = scale[j] * (float)(q[l] & 15) - low[j];
            for (int l = 0; l < 32; l++)
                out[l + 32] = scale[j + 1] * (float)(q[l] >> 4) - low[j + 1];
        }
    }
}

/* As Q4_K, with 32 bytes of fifth bits before the nibbles: bit s of byte l is for number l of sub-block s. */
static void expand_q5_k(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    float scale[8], low[8];
    for (int64_t b = 0; b < n; b++, p += 176) {
        const uint8_t *h = p + 16;
        scales_k(p + 4, half_at(p), half_at(p + 2), scale, low);
        for (int j = 0; j < 8; j += 2, out += 64) {
            const uint8_t *q = p + 48 + 16 * j;
            for (int l = 0; l < 32; l++)
                out[l] = scale[j] * (float)((q[l] & 15) | (h[l] >> j & 1) << 4) - low[j];
            for (int l = 0; l < 32; l++)
                out[l + 32] = scale[j + 1] * (float)(q[l] >> 4 | (h[l] >> (j + 1) & 1) << 4) - low[j + 1];
        }
    }
}

/* 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, d; two halves of 128 numbers.
 * In a half, number 32k + l takes nibble k / 2 of byte 32 (k % 2) + l, bit pair k of byte l, and
 * scale 2k + l / 16; value (d * scale) * (q - 32). */
static void expand_q6_k(const uint8_t *restrict p, int64_t n, float *restrict out)
{
    float scale[16];
    for (int64_t b = 0; b < n; b++, p += 210) {
        const float d = half_at(p + 208);
        for (int i = 0; i < 16; i++)
            scale[i] = d * (float)(int8_t)p[192 + i];
        for (int half = 0; half < 2; half++, out += 128) {
            const float *s = scale + 8 * half;
            for (int part = 0; part < 2; part++) {
                const uint8_t *q = p + 64 * half + 16 * part;
                const uint8_t *h = p + 128 + 32 * half + 16 * part;
                float *o = out + 16 * part;
                for (int l = 0; l < 16; l++) {
                    o[l] = s[part] * (float)(((q[l] & 15) | (h[l] & 3) << 4) - 32);
                    o[l + 32] = s[part + 2] * (float)(((q[l + 32] & 15) | (h[l] >> 2 & 3) << 4) - 32);
                    o[l + 64] = s[part + 4] * (float)((q[l] >> 4 | (h[l] >> 4 & 3) << 4) - 32);
                    o[l + 96] = s[part + 6] * (float)((q[l + 32] >> 4 | h[l] >> 6 << 4) - 32);
                }
            }
        }
    }
}

/* ---- The table ---------------------------------------------------------------------------- */

static const struct {
    eh_dtype_info info;
    void (*expand)(const uint8_t *restrict p, int64_t n_block, float *restrict out);
} kinds[EH_DTYPE_COUNT] = {
    [EH_DTYPE_F32] = {{"F32", "F32", 0, 1, 4}, expand_f32},
    [EH_DTYPE_F16] = {{"F16", "F16", 1, 1, 2}, expand_f16},
    [EH_DTYPE_BF16] = {{"BF16", "BF16", 30, 1, 2}, expand_bf16},
    [EH_DTYPE_Q4_0] = {{"Q4_0", NULL, 2, 32, 18}, expand_q4_0},
    [EH_DTYPE_Q4_1] = {{"Q4_1", NULL, 3, 32, 20}, expand_q4_1},
    [EH_DTYPE_Q5_0] = {{"Q5_0", NULL, 6, 32, 22}, expand_q5_0},
    [EH_DTYPE_Q5_1] = {{"Q5_1", NULL, 7, 32, 24}, expand_q5_1},
    [EH_DTYPE_Q8_0] = {{"Q8_0", NULL, 8, 32, 34}, expand_q8_0},
    [EH_DTYPE_Q4_K] = {{"Q4_K", NULL, 12, 256, 144}, expand_q4_k},
    [EH_DTYPE_Q5_K] = {{"Q5_K", NULL, 13, 256, 176}, expand_q5_k},
    [EH_DTYPE_Q6_K] = {{"Q6_K", NULL, 14, 256, 210}, expand_q6_k},
    [EH_DTYPE_F64] = {{"F64", "F64", 28, 1, 8}, expand_f64},
    [EH_DTYPE_I32] = {{"I32", "I32", 26, 1, 4}, expand_i32},
    [EH_DTYPE_I64] = {{"I64", "I64", 27, 1, 8}, expand_i64},
    [EH_DTYPE_U8] = {{"U8", "U8", -1, 1, 1}, expand_u8},
    [EH_DTYPE_BOOL] = {{"BOOL", "BOOL", -1, 1, 1}, expand_u8},
};

const eh_dtype_info *eh_dtype_get(eh_dtype t)
{
    return (unsigned)t < EH_DTYPE_COUNT ? &kinds[t].info : NULL;
}

bool eh_dtype_of_gguf(uint32_t number, eh_dtype *t)
{
    for (int i = 0; i < EH_DTYPE_COUNT; i++)
        if (kinds[i].info.gguf >= 0 && (uint32_t)kinds[i].info.gguf == number) {
            *t = (eh_dtype)i;
            return true;
        }
    return false;
}

bool eh_dtype_of_safetensors(eh_str name, eh_dtype *t)
{
    for (int i = 0; i < EH_DTYPE_COUNT; i++)
        if (kinds[i].info.safetensors != NULL && eh_str_eq(name, eh_str_of(kinds[i].info.safetensors))) {
            *t = (eh_dtype)i;
            return true;
        }
    return false;
}

/* By number; those that ggml has withdrawn keep the name they had. */
static const char *const gguf_names[] = {
    /*  0 */ "F32", "F16", "Q4_0", "Q4_1", "Q4_2", "Q4_3", "Q5_0", "Q5_1", "Q8_0", "Q8_1",
    /* 10 */ "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    /* 20 */ "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M",
    /* 30 */ "BF16", "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "TQ1_0", "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8",
    /* 38 */ "IQ4_NL_8_8", "MXFP4",
    /* 40 */ "NVFP4", "Q1_0", "Q2_0",
};

const char *eh_dtype_gguf_name(uint32_t number, char room[16])
{
    if (number < sizeof gguf_names / sizeof *gguf_names)
        return gguf_names[number];
    snprintf(room, 16, "type %u", (unsigned)number);
    return room;
}

void eh_dtype_to_f32(eh_dtype t, const void *stored, int64_t n, float *out)
{
    kinds[t].expand(stored, n / kinds[t].info.block, out);
}
