/* Floats to stored numbers and back: what comes back, what is spared, what is exact. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "tensor/dtype.h"

static const eh_dtype blocked[] = {EH_DTYPE_Q4_0, EH_DTYPE_Q4_1, EH_DTYPE_Q5_0, EH_DTYPE_Q5_1,
                                   EH_DTYPE_Q8_0, EH_DTYPE_Q4_K, EH_DTYPE_Q5_K, EH_DTYPE_Q6_K};
#define N_BLOCKED (sizeof blocked / sizeof *blocked)
#define N 2048
#define GUARD 64

/* The two calls under test, by way of a buffer between guards: what lies beside the stored numbers stays as it was. */
static void guarded(void call(eh_dtype, const float *, int64_t, void *), eh_dtype t, const float *x, int64_t n,
                    void *stored)
{
    static uint8_t room[GUARD + N * 8 + GUARD];
    const int64_t bytes = n / eh_dtype_get(t)->block * eh_dtype_get(t)->bytes;
    memset(room, 0xa5, sizeof room);
    memcpy(room + GUARD, stored, (size_t)bytes);
    call(t, x, n, room + GUARD);
    memcpy(stored, room + GUARD, (size_t)bytes);
    for (int i = 0; i < GUARD; i++)
        if (room[i] != 0xa5 || room[GUARD + bytes + i] != 0xa5)
            fail_msg("%s: a byte beside the stored numbers was written", eh_dtype_get(t)->name);
}

static void from_f32(eh_dtype t, const float *x, int64_t n, void *stored)
{
    guarded(eh_dtype_from_f32, t, x, n, stored);
}

static void update(eh_dtype t, const float *x, int64_t n, void *stored)
{
    guarded(eh_dtype_update, t, x, n, stored);
}

static void draw_few(float *x, int n, uint64_t seed)
{
    eh_rng r = eh_rng_at(seed, "quantise", 0);
    for (int i = 0; i < n; i++)
        x[i] = (float)(0.05 * eh_rng_normal(&r));
}

static void draw(float *x, uint64_t seed)
{
    draw_few(x, N, seed);
}

static double rms(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += pow((double)a[i] - (double)b[i], 2);
    return sqrt(sum / N);
}

/* Two numbers by hand: 1 is the largest, so d = 1/127 in f16 and the other, half of it, is 63 or 64 steps. */
TEST(q8_0_by_hand)
{
    float x[32] = {1.0f, 0.5f, -1.0f};
    uint8_t p[34] = {0};
    from_f32(EH_DTYPE_Q8_0, x, 32, p);
    CHECK_INT((int8_t)p[2], 127);
    CHECK_INT((int8_t)p[4], -127);
    CHECK((int8_t)p[3] == 63 || (int8_t)p[3] == 64);
    CHECK_INT(p[5], 0);
    CHECK_INT(p[0] | p[1] << 8, eh_f32_to_f16_one(1.0f / 127.0f));
}

/* ---- Known answers: numbers on a grid whose scale is 1, so that the bytes can be told by hand ----------------- */

static void check_bytes(eh_dtype t, const float *x, const uint8_t *want)
{
    const eh_dtype_info *info = eh_dtype_get(t);
    uint8_t got[256];
    memset(got, 0xee, sizeof got);
    from_f32(t, x, info->block, got);
    for (int64_t i = 0; i < info->bytes; i++)
        if (got[i] != want[i])
            fail_msg("%s: byte %lld is 0x%02x, wanted 0x%02x", info->name, (long long)i, got[i], want[i]);
}

/* 1 in f16 is 0x3c00, -3 is 0xc200, -5 is 0xc500; the first sixteen numbers are in the low nibbles. */
TEST(types_with_one_scale_give_the_bytes_told_by_hand)
{
    float x[32];
    uint8_t q4_0[18] = {0x00, 0x3c}, q4_1[20] = {0x00, 0x3c, 0x00, 0xc2};
    uint8_t q5_0[22] = {0x00, 0x3c, 0x00, 0xff, 0xff, 0x00}, q8_0[34] = {0x00, 0x3c};
    uint8_t q5_1[24] = {0x00, 0x3c, 0x00, 0xc5, 0x00, 0xff, 0xff, 0x00};

    /* q = 0, 1 .. 15, then 15, 14 .. 0 */
    for (int i = 0; i < 16; i++)
        q4_0[2 + i] = q4_1[4 + i] = (uint8_t)(i | (15 - i) << 4);
    for (int i = 0; i < 32; i++)
        x[i] = (float)(i < 16 ? i : 31 - i) - 8.0f;
    check_bytes(EH_DTYPE_Q4_0, x, q4_0);
    for (int i = 0; i < 32; i++)
        x[i] += 5.0f; /* -3 .. 12 */
    check_bytes(EH_DTYPE_Q4_1, x, q4_1);

    /* q = 0, 2 .. 30, then 31, 29 .. 1: the fifth bits are those of 16 and more */
    for (int i = 0; i < 16; i++)
        q5_0[6 + i] = q5_1[8 + i] = (uint8_t)((2 * i & 15) | ((31 - 2 * i) & 15) << 4);
    for (int i = 0; i < 32; i++)
        x[i] = (float)(i < 16 ? 2 * i : 31 - 2 * (i - 16)) - 16.0f;
    check_bytes(EH_DTYPE_Q5_0, x, q5_0);
    for (int i = 0; i < 32; i++)
        x[i] += 11.0f; /* -5 .. 26 */
    check_bytes(EH_DTYPE_Q5_1, x, q5_1);

    for (int i = 0; i < 32; i++) {
        x[i] = (float)(127 - 8 * i);
        q8_0[2 + i] = (uint8_t)(int8_t)(127 - 8 * i);
    }
    check_bytes(EH_DTYPE_Q8_0, x, q8_0);
}

/* scale[j] q - low[j], and the twelve bytes of their six bits each, packed as packed_scales.h tells. */
TEST(q4_k_and_q5_k_give_the_bytes_told_by_hand)
{
    static const int scale[8] = {63, 1, 2, 17, 33, 48, 62, 5}, low[8] = {63, 0, 1, 16, 47, 32, 31, 62};
    static const uint8_t head[16] = {0x00, 0x3c, 0x00, 0x3c, 0xbf, 0xc1, 0xc2, 0x11,
                                     0xbf, 0x80, 0x41, 0xd0, 0xf1, 0x00, 0xfe, 0xe5};
    for (int top = 15; top <= 31; top += 16) {
        float x[256];
        int q[256];
        uint8_t want[176] = {0}, *nibbles = want + (top == 15 ? 16 : 48);
        memcpy(want, head, sizeof head);
        for (int i = 0; i < 256; i++) {
            q[i] = (7 * i + i / 32) % (top + 1); /* each sub-block has all of 0..top */
            x[i] = (float)(scale[i / 32] * q[i] - low[i / 32]);
        }
        for (int i = 0; i < 32; i++)
            for (int j = 0; j < 8; j++) {
                nibbles[32 * (j / 2) + i] |= (uint8_t)((q[32 * j + i] & 15) << 4 * (j % 2));
                if (top == 31)
                    want[16 + i] |= (uint8_t)((q[32 * j + i] >= 16) << j);
            }
        check_bytes(top == 15 ? EH_DTYPE_Q4_K : EH_DTYPE_Q5_K, x, want);
    }
}

/* scale[j] (q - 32); four bits of q in 128 bytes, two in 64, as ggml lays them out in each half. */
TEST(q6_k_gives_the_bytes_told_by_hand)
{
    static const int8_t scale[16] = {-128, 127, 1, -1, 64, -64, 2, 3, 100, -100, 55, -17, 9, -9, 33, 77};
    float x[256];
    int q[256];
    uint8_t want[210] = {[208] = 0x00, [209] = 0x3c};
    for (int i = 0; i < 256; i++) {
        q[i] = i % 16 == 0 ? 0 : (11 * i + 5) % 64; /* 0 is the number farthest from zero */
        x[i] = (float)(scale[i / 16] * (q[i] - 32));
    }
    for (int half = 0; half < 2; half++)
        for (int l = 0; l < 32; l++) {
            const int *at = q + 128 * half + l;
            want[64 * half + l] = (uint8_t)((at[0] & 15) | (at[64] & 15) << 4);
            want[64 * half + 32 + l] = (uint8_t)((at[32] & 15) | (at[96] & 15) << 4);
            want[128 + 32 * half + l] = (uint8_t)(at[0] >> 4 | at[32] >> 4 << 2 | at[64] >> 4 << 4 | at[96] >> 4 << 6);
        }
    memcpy(want + 192, scale, sizeof scale);
    check_bytes(EH_DTYPE_Q6_K, x, want);
}

/* ---- Any numbers ------------------------------------------------------------------------------------------- */

/* The block with every number's q set to this one, its scales as they are; how many there are to set. */
static int set_all(eh_dtype t, uint8_t *p, int q)
{
    const uint8_t nibble = (uint8_t)((q & 15) * 0x11), fifth = q >= 16 ? 0xff : 0x00;
    switch (t) {
    case EH_DTYPE_Q4_0: memset(p + 2, nibble, 16); return 16;
    case EH_DTYPE_Q4_1: memset(p + 4, nibble, 16); return 16;
    case EH_DTYPE_Q5_0: memset(p + 2, fifth, 4), memset(p + 6, nibble, 16); return 32;
    case EH_DTYPE_Q5_1: memset(p + 4, fifth, 4), memset(p + 8, nibble, 16); return 32;
    case EH_DTYPE_Q8_0: memset(p + 2, q, 32); return 256;
    case EH_DTYPE_Q4_K: memset(p + 16, nibble, 128); return 16;
    case EH_DTYPE_Q5_K: memset(p + 16, fifth, 32), memset(p + 48, nibble, 128); return 32;
    default: memset(p, nibble, 128), memset(p + 128, (q >> 4) * 0x55, 64); return 64;
    }
}

/* The plain way to round: of all numbers that the block's scales stand for, none is nearer than the one taken. */
TEST(every_number_is_rounded_to_the_nearest_of_its_grid)
{
    static float x[N], y[N], z[256];
    uint8_t p[N * 2], block[256];
    draw(x, 7);
    for (size_t k = 0; k < N_BLOCKED; k++) {
        const eh_dtype_info *info = eh_dtype_get(blocked[k]);
        from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        for (int64_t b = 0; b < N / info->block; b++)
            for (int q = 0, n = 1; q < n; q++) {
                memcpy(block, p + b * info->bytes, (size_t)info->bytes);
                n = set_all(blocked[k], block, q);
                eh_dtype_to_f32(blocked[k], block, info->block, z);
                for (int64_t i = 0; i < info->block; i++) {
                    const double at = (double)x[b * info->block + i], taken = (double)y[b * info->block + i];
                    /* 1e-7: a tie may fall either way where f32 rounds */
                    if (fabs((double)z[i] - at) < fabs(taken - at) - 1e-7)
                        fail_msg("%s: %.9g became %.9g, but %.9g is nearer", info->name, at, taken, (double)z[i]);
                }
            }
    }
}

/* Error of a normal variable of deviation 0.05, root mean square, against a uniform grid over its
 * block: about span / levels / sqrt(12), so for Q4_1 0.2 / 15 / 3.5 = 0.0039. The bounds are a quarter
 * above what comes out; a scale off by 1.5 or a nibble in the wrong place is far beyond them. */
TEST(numbers_come_back_within_the_step_of_their_type)
{
    static float x[N], y[N];
    static const double bound[] = {0.0052, 0.0049, 0.0027, 0.0023, 0.00033, 0.0044, 0.0022, 0.00105};
    uint8_t p[N * 2];
    draw(x, 1);
    for (size_t k = 0; k < N_BLOCKED; k++) {
        from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        const double got = rms(x, y);
        if (!(got < bound[k]))
            print_error("%s: error %g\n", eh_dtype_get(blocked[k])->name, got);
        CHECK(got < bound[k]);
        CHECK(got > bound[k] / 20);
    }
}

/* Plain types: a float comes back within half of their last bit (2^-11 for f16's eleven, 2^-8 for bf16's eight; a
 * subnormal f16 within 2^-25), and what they hold then comes back as it was, bit for bit. */
TEST(plain_types_give_back_what_they_hold)
{
    static float x[N], y[N], z[N];
    static const eh_dtype plain[] = {EH_DTYPE_F32, EH_DTYPE_F16, EH_DTYPE_BF16, EH_DTYPE_F64};
    static const double half_bit[] = {0.0, 0x1p-11, 0x1p-8, 0.0};
    uint8_t p[N * 8];
    draw(x, 2);
    for (size_t k = 0; k < 4; k++) {
        from_f32(plain[k], x, N, p);
        eh_dtype_to_f32(plain[k], p, N, y);
        for (int i = 0; i < N; i++)
            CHECK_NEAR((double)y[i], (double)x[i], fmax(half_bit[k] * fabs((double)x[i]), k == 1 ? 0x1p-25 : 0.0));
        from_f32(plain[k], y, N, p);
        eh_dtype_to_f32(plain[k], p, N, z);
        CHECK(memcmp(y, z, sizeof y) == 0);
    }
    const float odd[3] = {-1.5f, 2.5f, 300.0f};
    uint8_t bytes[3];
    from_f32(EH_DTYPE_U8, odd, 3, bytes);
    CHECK(bytes[0] == 0 && bytes[1] == 2 && bytes[2] == 255);
}

TEST(blocks_that_say_it_already_keep_their_bytes)
{
    static float x[N], y[N];
    static uint8_t p[N * 2], q[N * 2];
    draw(x, 3);
    for (size_t k = 0; k < N_BLOCKED; k++) {
        const eh_dtype_info *info = eh_dtype_get(blocked[k]);
        const size_t bytes = (size_t)(N / info->block * info->bytes);
        from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        memcpy(q, p, bytes);
        update(blocked[k], y, N, q);
        CHECK(memcmp(p, q, bytes) == 0);
        for (int i = 0; i < info->block; i++) /* the second block alone */
            y[info->block + i] *= 0.5f;
        update(blocked[k], y, N, q);
        CHECK(memcmp(p, q, (size_t)info->bytes) == 0);
        CHECK(memcmp(p + info->bytes, q + info->bytes, (size_t)info->bytes) != 0);
        CHECK(memcmp(p + 2 * info->bytes, q + 2 * info->bytes, bytes - 2 * (size_t)info->bytes) == 0);
    }
}

/* A factor on a whole block goes into its scales: off by their rounding to f16, 2^-11 of the scale, and
 * the same for the minimum. A power of two and zero are exact. */
TEST(a_factor_on_a_block_costs_the_rounding_of_its_scales)
{
    static float x[N], y[N], want[N], got[N];
    static uint8_t p[N * 2], q[N * 2];
    static const float factor[] = {0.7f, 0.49f, 0.25f, 0.0f};
    draw(x, 4);
    for (size_t k = 0; k < N_BLOCKED; k++)
        for (int f = 0; f < 4; f++) {
            from_f32(blocked[k], x, N, p);
            eh_dtype_to_f32(blocked[k], p, N, y);
            for (int i = 0; i < N; i++)
                want[i] = factor[f] * y[i];
            memcpy(q, p, sizeof q);
            update(blocked[k], want, N, q);
            eh_dtype_to_f32(blocked[k], q, N, got);
            /* Numbers reach 0.25; a scale and a minimum are off by 2^-12 each, or, where a K scale is
             * subnormal in f16, by 2^-25 times 63 * 31 or 128 * 32. */
            const bool exact = factor[f] == 0.0f;
            for (int i = 0; i < N; i++)
                CHECK_NEAR((double)got[i], (double)want[i], exact ? 0.0 : 2.5e-4);
            if (exact)
                CHECK(rms(got, want) == 0.0);
        }
}

/* One number of a block changes: its neighbours stay as they were, and where the grid has a zero, a
 * number that is silenced is exactly that. */
TEST(neighbours_of_a_changed_number_stay)
{
    static float x[N], y[N], got[N];
    static uint8_t p[N * 2];
    draw(x, 5);
    for (size_t k = 0; k < N_BLOCKED; k++) {
        from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        const float was = y[7];
        y[7] = 0.0f;
        update(blocked[k], y, N, p);
        eh_dtype_to_f32(blocked[k], p, N, got);
        CHECK(was != 0.0f);
        for (int i = 0; i < N; i++)
            CHECK(i == 7 || got[i] == y[i]);
        const bool has_zero = blocked[k] == EH_DTYPE_Q4_0 || blocked[k] == EH_DTYPE_Q5_0 ||
                              blocked[k] == EH_DTYPE_Q8_0 || blocked[k] == EH_DTYPE_Q6_K;
        CHECK(!has_zero || got[7] == 0.0f);
        CHECK(fabs((double)got[7]) < 0.02);
    }
}

/* A block keeps its scales at up to twice the error (four times its square) of the best other choice. By hand in Q8_0:
 * scale 1, the largest number falls from 127 to 10.1, n others are 1. On the old grid the error is 0.1, squared 0.01.
 * A new scale of 10.1 / 127 makes of each 1 a 13 * 0.07953 = 1.0339, squared error 0.00115: five of them 0.0057, more
 * than a quarter of 0.01; one of them is less. */
TEST(a_block_keeps_its_scale_at_up_to_twice_the_error)
{
    for (int n = 1; n <= 5; n += 4) {
        float x[32] = {127.0f}, got[32];
        uint8_t p[34] = {0};
        for (int i = 1; i <= n; i++)
            x[i] = 1.0f;
        from_f32(EH_DTYPE_Q8_0, x, 32, p);
        CHECK_INT(p[0] | p[1] << 8, 0x3c00);
        x[0] = 10.1f;
        update(EH_DTYPE_Q8_0, x, 32, p);
        eh_dtype_to_f32(EH_DTYPE_Q8_0, p, 32, got);
        if (n == 5) {
            CHECK_NEAR((double)got[0], 10.0, 0.0);
            CHECK_NEAR((double)got[5], 1.0, 0.0);
        } else {
            CHECK_NEAR((double)got[0], 10.1, 0.01);
            CHECK_NEAR((double)got[1], 1.0339, 0.001);
        }
        CHECK_NEAR((double)got[6], 0.0, 0.0);
    }
}

/* A head is a run of whole sub-blocks: silenced, it is exactly zero in every type, and in the K types the
 * other sub-blocks of its super-block keep their values. */
TEST(runs_of_32_can_be_silenced_exactly)
{
    static float x[N], y[N], got[N];
    static uint8_t p[N * 2];
    draw(x, 6);
    for (size_t k = 0; k < N_BLOCKED; k++) {
        from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        for (int i = 64; i < 128; i++)
            y[i] = 0.0f;
        for (int i = 512; i < 544; i++)
            y[i] *= 0.5f;
        update(blocked[k], y, N, p);
        eh_dtype_to_f32(blocked[k], p, N, got);
        for (int i = 0; i < N; i++)
            CHECK(got[i] == y[i] || (i >= 512 && i < 544));
    }
}

/* What no weight should be still ends in bytes, all of them and the same whatever was there before; it is told
 * nothing of in the blocks beside it, which are those that their numbers give alone. */
TEST(what_is_not_finite_stays_in_its_block)
{
    float x[3 * 256];
    uint8_t p[3 * 256], q[3 * 256], alone[256];
    draw_few(x, 3 * 256, 8);
    for (size_t k = 0; k < N_BLOCKED; k++) {
        const eh_dtype_info *info = eh_dtype_get(blocked[k]);
        const int64_t n = info->block, bytes = info->bytes;
        for (int i = 0; i < n; i++)
            x[n + i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -1e38f;
        memset(p, 0x11, sizeof p);
        memset(q, 0xee, sizeof q);
        from_f32(blocked[k], x, 3 * n, p);
        from_f32(blocked[k], x, 3 * n, q);
        CHECK(memcmp(p, q, 3 * (size_t)bytes) == 0);
        for (int b = 0; b < 3; b += 2) {
            from_f32(blocked[k], x + b * n, n, alone);
            CHECK(memcmp(alone, p + b * bytes, (size_t)bytes) == 0);
        }
        /* The same where stored numbers follow: those beside it stand for theirs already. */
        float y[3 * 256];
        draw_few(y, (int)(3 * n), 9);
        from_f32(blocked[k], y, 3 * n, p);
        eh_dtype_to_f32(blocked[k], p, 3 * n, y);
        memcpy(q, p, sizeof q);
        memcpy(y + n, x + n, (size_t)n * sizeof *y);
        update(blocked[k], y, 3 * n, q);
        CHECK(memcmp(q, p, (size_t)bytes) == 0);
        CHECK(memcmp(q + 2 * bytes, p + 2 * bytes, (size_t)bytes) == 0);
        CHECK(memcmp(q + bytes, p + bytes, (size_t)bytes) != 0);
    }
}
