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

static void draw(float *x, uint64_t seed)
{
    eh_rng r = eh_rng_at(seed, "quantise", 0);
    for (int i = 0; i < N; i++)
        x[i] = (float)(0.05 * eh_rng_normal(&r));
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
    uint8_t p[34];
    eh_dtype_from_f32(EH_DTYPE_Q8_0, x, 32, p);
    CHECK_INT((int8_t)p[2], 127);
    CHECK_INT((int8_t)p[4], -127);
    CHECK((int8_t)p[3] == 63 || (int8_t)p[3] == 64);
    CHECK_INT(p[5], 0);
    CHECK_INT(p[0] | p[1] << 8, eh_f32_to_f16_one(1.0f / 127.0f));
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
        eh_dtype_from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        const double got = rms(x, y);
        if (!(got < bound[k]))
            print_error("%s: error %g\n", eh_dtype_get(blocked[k])->name, got);
        CHECK(got < bound[k]);
        CHECK(got > bound[k] / 20);
    }
}

/* Plain types: what they hold comes back as it was, bit for bit. */
TEST(plain_types_give_back_what_they_hold)
{
    static float x[N], y[N], z[N];
    static const eh_dtype plain[] = {EH_DTYPE_F32, EH_DTYPE_F16, EH_DTYPE_BF16, EH_DTYPE_F64};
    uint8_t p[N * 8];
    draw(x, 2);
    for (size_t k = 0; k < 4; k++) {
        eh_dtype_from_f32(plain[k], x, N, p);
        eh_dtype_to_f32(plain[k], p, N, y);
        eh_dtype_from_f32(plain[k], y, N, p);
        eh_dtype_to_f32(plain[k], p, N, z);
        CHECK(memcmp(y, z, sizeof y) == 0);
    }
    const float odd[3] = {-1.5f, 2.5f, 300.0f};
    uint8_t bytes[3];
    eh_dtype_from_f32(EH_DTYPE_U8, odd, 3, bytes);
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
        eh_dtype_from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        memcpy(q, p, bytes);
        eh_dtype_update(blocked[k], y, N, q);
        CHECK(memcmp(p, q, bytes) == 0);
        for (int i = 0; i < info->block; i++) /* the second block alone */
            y[info->block + i] *= 0.5f;
        eh_dtype_update(blocked[k], y, N, q);
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
            eh_dtype_from_f32(blocked[k], x, N, p);
            eh_dtype_to_f32(blocked[k], p, N, y);
            for (int i = 0; i < N; i++)
                want[i] = factor[f] * y[i];
            memcpy(q, p, sizeof q);
            eh_dtype_update(blocked[k], want, N, q);
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
        eh_dtype_from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        const float was = y[7];
        y[7] = 0.0f;
        eh_dtype_update(blocked[k], y, N, p);
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

/* A head is a run of whole sub-blocks: silenced, it is exactly zero in every type, and in the K types the
 * other sub-blocks of its super-block keep their values. */
TEST(runs_of_32_can_be_silenced_exactly)
{
    static float x[N], y[N], got[N];
    static uint8_t p[N * 2];
    draw(x, 6);
    for (size_t k = 0; k < N_BLOCKED; k++) {
        eh_dtype_from_f32(blocked[k], x, N, p);
        eh_dtype_to_f32(blocked[k], p, N, y);
        for (int i = 64; i < 128; i++)
            y[i] = 0.0f;
        for (int i = 512; i < 544; i++)
            y[i] *= 0.5f;
        eh_dtype_update(blocked[k], y, N, p);
        eh_dtype_to_f32(blocked[k], p, N, got);
        for (int i = 0; i < N; i++)
            CHECK(got[i] == y[i] || (i >= 512 && i < 544));
    }
}

/* What no weight should be still ends in bytes, not in a trap. */
TEST(what_is_not_finite_is_survived)
{
    float x[256];
    uint8_t p[512];
    for (int i = 0; i < 256; i++)
        x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -1e38f;
    for (size_t k = 0; k < N_BLOCKED; k++) {
        memset(p, 0x11, sizeof p);
        eh_dtype_update(blocked[k], x, 256 / eh_dtype_get(blocked[k])->block * eh_dtype_get(blocked[k])->block, p);
        eh_dtype_from_f32(blocked[k], x, eh_dtype_get(blocked[k])->block, p);
    }
}
