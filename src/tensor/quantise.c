/*
 * Floats to stored numbers. The layouts are those of dtype.c, where each is told; how the scales are
 * chosen is ours: the types with one scale (and minimum) for 32 numbers span the largest and smallest
 * as ggml's reference does, the K types search a few scales a sub-block by least squares.
 *
 * A quantiser works in two steps: it chooses the scales and stores them, then it rounds each number to
 * the grid that the stored scales stand for. Given what the block stood for so far (`was`, else NULL)
 * the first step is left out and the block's own scales stay; of a K type those of its sub-blocks that
 * changed are chosen again, on the super-block's scale, where that helps.
 */
#include <math.h>
#include <string.h>

#include "tensor/packed_scales.h"
#include "tensor/dtype.h"

#define BLOCK_MAX 256 /* numbers */
#define KEEP 4.0      /* a block keeps its scales, and with them the neighbours, at up to twice the error */

static float half_at(const uint8_t *p)
{
    return eh_f16_to_f32_one((uint16_t)(p[0] | p[1] << 8));
}

static void put_half(uint8_t *p, float x)
{
    const uint16_t h = eh_f32_to_f16_one(x);
    p[0] = (uint8_t)(h & 0xff);
    p[1] = (uint8_t)(h >> 8);
}

/* The whole number nearest to x / step, in low..high; `none` where there is no step. NaN gives low. */
static int nearest(float x, float step, float low, float high, int none)
{
    if (step == 0.0f)
        return none;
    const float q = rintf(x / step);
    return (int)(q >= low ? q <= high ? q : high : low);
}

/* The number farthest from 0, with its sign. */
static float extreme(const float *x, int n)
{
    float most = 0.0f;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(most))
            most = x[i];
    return most;
}

static void span(const float *x, int n, float *low, float *high)
{
    *low = *high = x[0];
    for (int i = 1; i < n; i++) {
        *low = x[i] < *low ? x[i] : *low;
        *high = x[i] > *high ? x[i] : *high;
    }
}

/* ---- 32 numbers, one scale ----------------------------------------------------------------- */

static void quantise_q8_0(const float *x, const float *was, uint8_t *p)
{
    if (was == NULL)
        put_half(p, fabsf(extreme(x, 32)) / 127.0f);
    const float d = half_at(p);
    for (int i = 0; i < 32; i++)
        p[2 + i] = (uint8_t)(int8_t)nearest(x[i], d, -128, 127, 0);
}

static void put_nibbles(uint8_t *p, const int *q)
{
    for (int i = 0; i < 16; i++)
        p[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
}

static void put_fifths(uint8_t *p, const int *q)
{
    memset(p, 0, 4);
    for (int i = 0; i < 32; i++)
        p[i / 8] |= (uint8_t)((q[i] >> 4 & 1) << i % 8);
}

static void quantise_q4_0(const float *x, const float *was, uint8_t *p)
{
    int q[32];
    if (was == NULL)
        put_half(p, extreme(x, 32) / -8.0f);
    const float d = half_at(p);
    for (int i = 0; i < 32; i++)
        q[i] = nearest(x[i], d, -8, 7, 0) + 8;
    put_nibbles(p + 2, q);
}

static void quantise_q5_0(const float *x, const float *was, uint8_t *p)
{
    int q[32];
    if (was == NULL)
        put_half(p, extreme(x, 32) / -16.0f);
    const float d = half_at(p);
    for (int i = 0; i < 32; i++)
        q[i] = nearest(x[i], d, -16, 15, 0) + 16;
    put_fifths(p + 2, q);
    put_nibbles(p + 6, q);
}

/* Scale and minimum; numbers 0..top. */
static void spread(const float *x, const float *was, uint8_t *p, int top, int *q)
{
    float low, high;
    span(x, 32, &low, &high);
    if (was == NULL) {
        put_half(p, (high - low) / (float)top);
        put_half(p + 2, low);
    }
    const float d = half_at(p), m = half_at(p + 2);
    for (int i = 0; i < 32; i++)
        q[i] = nearest(x[i] - m, d, 0, (float)top, 0);
}

static void quantise_q4_1(const float *x, const float *was, uint8_t *p)
{
    int q[32];
    spread(x, was, p, 15, q);
    put_nibbles(p + 4, q);
}

static void quantise_q5_1(const float *x, const float *was, uint8_t *p)
{
    int q[32];
    spread(x, was, p, 31, q);
    put_fifths(p + 4, q);
    put_nibbles(p + 8, q);
}

/* ---- K types ------------------------------------------------------------------------------- */

/*
 * scale * q - low, q in 0..top, low >= 0, for 32 numbers: from the plain span and a few finer and
 * coarser ones each x is rounded to a q, then (scale, low) are the least squares' for these q; the best
 * by squared error is taken.
 */
static void fit_span(const float *x, int top, float *scale, float *low)
{
    float lo, hi;
    span(x, 32, &lo, &hi);
    lo = lo < 0.0f ? lo : 0.0f;
    hi = hi > lo ? hi : lo;
    *scale = (hi - lo) / (float)top;
    *low = -lo;
    if (!(*scale > 0.0f))
        return;
    double best = -1.0;
    const float first_scale = *scale, first_low = *low;
    for (int k = -6; k <= 6; k++) {
        const float step = first_scale * (float)top / ((float)top + 0.25f * (float)k);
        double n = 32, q1 = 0, q2 = 0, x1 = 0, xq = 0;
        for (int i = 0; i < 32; i++) {
            const double q = nearest(x[i] + first_low, step, 0, (float)top, 0);
            q1 += q;
            q2 += q * q;
            x1 += (double)x[i];
            xq += q * (double)x[i];
        }
        const double det = n * q2 - q1 * q1;
        if (!(det > 0.0))
            continue;
        double s = (n * xq - q1 * x1) / det, m = (q1 * xq - q2 * x1) / det;
        if (m < 0.0) { /* a positive offset cannot be stored */
            m = 0.0;
            s = q2 > 0.0 ? xq / q2 : 0.0;
        }
        if (!(s > 0.0))
            continue;
        double error = 0.0;
        for (int i = 0; i < 32; i++) {
            const double e = s * nearest(x[i] + (float)m, (float)s, 0, (float)top, 0) - m - (double)x[i];
            error += e * e;
        }
        if (best < 0.0 || error < best) {
            best = error;
            *scale = (float)s;
            *low = (float)m;
        }
    }
}

/* scale * q, q in -32..31, for 16 numbers, the same way. */
static float fit_signed(const float *x)
{
    const float most = extreme(x, 16);
    float scale = most / -32.0f;
    double best = -1.0;
    for (int k = -6; k <= 6 && most != 0.0f; k++) {
        const float step = most / (-32.0f + 0.25f * (float)k);
        double q2 = 0, xq = 0, error = 0;
        for (int i = 0; i < 16; i++) {
            const double q = nearest(x[i], step, -32, 31, 0);
            q2 += q * q;
            xq += q * (double)x[i];
        }
        const double s = q2 > 0.0 ? xq / q2 : 0.0;
        for (int i = 0; i < 16; i++) {
            const double e = s * nearest(x[i], (float)s, -32, 31, 0) - (double)x[i];
            error += e * e;
        }
        if (best < 0.0 || error < best) {
            best = error;
            scale = (float)s;
        }
    }
    return scale;
}

/* Eight scales and minima of 6 bits each; packed_scales.h tells how they are packed. */
static void get_scales_k(const uint8_t *p, int *scale, int *low)
{
    float s[8], m[8];
    scales_k(p, 1.0f, 1.0f, s, m);
    for (int j = 0; j < 8; j++) {
        scale[j] = (int)s[j];
        low[j] = (int)m[j];
    }
}

static void put_scales_k(uint8_t *p, const int *scale, const int *low)
{
    for (int j = 0; j < 4; j++) {
        p[j] = (uint8_t)(scale[j] | scale[j + 4] >> 4 << 6);
        p[j + 4] = (uint8_t)(low[j] | low[j + 4] >> 4 << 6);
        p[j + 8] = (uint8_t)((scale[j + 4] & 15) | (low[j + 4] & 15) << 4);
    }
}

static double span_error(const float *x, float scale, float low, int top)
{
    double sum = 0.0;
    for (int i = 0; i < 32; i++) {
        const float y = scale * (float)nearest(x[i] + low, scale, 0, (float)top, 0) - low;
        sum += ((double)y - (double)x[i]) * ((double)y - (double)x[i]);
    }
    return sum;
}

/* d, dmin and the packed scales of Q4_K and Q5_K; then q [256]. */
static void quantise_spans(const float *x, const float *was, uint8_t *p, int top, int *q)
{
    float scale[8], low[8];
    int s[8], m[8];
    for (int j = 0; j < 8; j++)
        fit_span(x + 32 * j, top, &scale[j], &low[j]);
    if (was == NULL) {
        float most = 0.0f, most_low = 0.0f;
        for (int j = 0; j < 8; j++) {
            most = scale[j] > most ? scale[j] : most;
            most_low = low[j] > most_low ? low[j] : most_low;
        }
        put_half(p, most / 63.0f);
        put_half(p + 2, most_low / 63.0f);
    }
    const float d = half_at(p), dmin = half_at(p + 2);
    for (int j = 0; j < 8; j++) {
        s[j] = nearest(scale[j], d, 0, 63, 0);
        m[j] = nearest(low[j], dmin, 0, 63, 0);
    }
    if (was != NULL) {
        int old_s[8], old_m[8];
        get_scales_k(p + 4, old_s, old_m);
        for (int j = 0; j < 8; j++) {
            const float *xj = x + 32 * j;
            const bool same = memcmp(xj, was + 32 * j, 32 * sizeof *x) == 0;
            const double kept = span_error(xj, d * (float)old_s[j], dmin * (float)old_m[j], top);
            if (same || kept <= KEEP * span_error(xj, d * (float)s[j], dmin * (float)m[j], top)) {
                s[j] = old_s[j];
                m[j] = old_m[j];
            }
        }
    }
    put_scales_k(p + 4, s, m);
    for (int i = 0; i < 256; i++)
        q[i] = nearest(x[i] + dmin * (float)m[i / 32], d * (float)s[i / 32], 0, (float)top, 0);
}

static void put_nibbles_k(uint8_t *p, const int *q)
{
    for (int j = 0; j < 8; j += 2)
        for (int l = 0; l < 32; l++)
            p[16 * j + l] = (uint8_t)((q[32 * j + l] & 15) | (q[32 * (j + 1) + l] & 15) << 4);
}

static void quantise_q4_k(const float *x, const float *was, uint8_t *p)
{
    int q[256];
    quantise_spans(x, was, p, 15, q);
    put_nibbles_k(p + 16, q);
}

static void quantise_q5_k(const float *x, const float *was, uint8_t *p)
{
    int q[256];
    quantise_spans(x, was, p, 31, q);
    memset(p + 16, 0, 32);
    for (int i = 0; i < 256; i++)
        p[16 + i % 32] |= (uint8_t)(q[i] >> 4 << i / 32);
    put_nibbles_k(p + 48, q);
}

static double signed_error(const float *x, float scale)
{
    double sum = 0.0;
    for (int i = 0; i < 16; i++) {
        const double e = (double)(scale * (float)nearest(x[i], scale, -32, 31, 0)) - (double)x[i];
        sum += e * e;
    }
    return sum;
}

static void quantise_q6_k(const float *x, const float *was, uint8_t *p)
{
    float scale[16];
    for (int j = 0; j < 16; j++)
        scale[j] = fit_signed(x + 16 * j);
    if (was == NULL)
        put_half(p + 208, extreme(scale, 16) / -128.0f);
    for (int j = 0; j < 16; j++) {
        const float *xj = x + 16 * j, super = half_at(p + 208);
        const int8_t s = (int8_t)nearest(scale[j], super, -128, 127, 0), old = (int8_t)p[192 + j];
        const bool same = was != NULL && memcmp(xj, was + 16 * j, 16 * sizeof *x) == 0;
        if (was == NULL || (!same && signed_error(xj, super * (float)old) > KEEP * signed_error(xj, super * (float)s)))
            p[192 + j] = (uint8_t)s;
    }
    const float d = half_at(p + 208);
    memset(p, 0, 192);
    for (int i = 0; i < 256; i++) {
        const int q = nearest(x[i], d * (float)(int8_t)p[192 + i / 16], -32, 31, 0) + 32;
        const int half = i / 128, k = i % 128 / 32, l = i % 32;
        p[64 * half + 32 * (k % 2) + l] |= (uint8_t)((q & 15) << 4 * (k / 2));
        p[128 + 32 * half + l] |= (uint8_t)(q >> 4 << 2 * k);
    }
}

/* ---- The table ----------------------------------------------------------------------------- */

static const struct {
    void (*quantise)(const float *x, const float *was, uint8_t *p);
    int scale[2]; /* where the block's scales in f16 lie; 0 is a place, so the second is -1 for none */
} kinds[EH_DTYPE_COUNT] = {
    [EH_DTYPE_Q4_0] = {quantise_q4_0, {0, -1}}, [EH_DTYPE_Q4_1] = {quantise_q4_1, {0, 2}},
    [EH_DTYPE_Q5_0] = {quantise_q5_0, {0, -1}}, [EH_DTYPE_Q5_1] = {quantise_q5_1, {0, 2}},
    [EH_DTYPE_Q8_0] = {quantise_q8_0, {0, -1}}, [EH_DTYPE_Q4_K] = {quantise_q4_k, {0, 2}},
    [EH_DTYPE_Q5_K] = {quantise_q5_k, {0, 2}},  [EH_DTYPE_Q6_K] = {quantise_q6_k, {208, -1}},
};

static int64_t whole(float x, double low, double high)
{
    const double q = rint((double)x);
    return (int64_t)(q >= low ? q <= high ? q : high : low);
}

/* One number of a type without blocks. */
static void put_plain(eh_dtype t, float x, uint8_t *p)
{
    uint16_t h;
    int32_t i;
    int64_t j;
    const double d = (double)x;
    switch (t) {
    case EH_DTYPE_F16:
        h = eh_f32_to_f16_one(x);
        memcpy(p, &h, sizeof h);
        return;
    case EH_DTYPE_BF16:
        eh_f32_to_bf16(&x, 1, &h);
        memcpy(p, &h, sizeof h);
        return;
    case EH_DTYPE_F64:
        memcpy(p, &d, sizeof d);
        return;
    case EH_DTYPE_I32:
        i = (int32_t)whole(x, -2147483648.0, 2147483647.0);
        memcpy(p, &i, sizeof i);
        return;
    case EH_DTYPE_I64:
        j = whole(x, -9007199254740992.0, 9007199254740992.0);
        memcpy(p, &j, sizeof j);
        return;
    case EH_DTYPE_U8:
    case EH_DTYPE_BOOL:
        *p = (uint8_t)whole(x, 0.0, t == EH_DTYPE_U8 ? 255.0 : 1.0);
        return;
    default: /* F32 */
        memcpy(p, &x, sizeof x);
    }
}

void eh_dtype_from_f32(eh_dtype t, const float *x, int64_t n, void *stored)
{
    const eh_dtype_info *info = eh_dtype_get(t);
    uint8_t *p = stored;
    for (int64_t b = 0; b < n / info->block; b++, p += info->bytes, x += info->block) {
        if (kinds[t].quantise != NULL)
            kinds[t].quantise(x, NULL, p);
        else
            put_plain(t, *x, p);
    }
}

static double squared_error(eh_dtype t, const uint8_t *p, const float *x, int64_t n)
{
    float y[BLOCK_MAX];
    double sum = 0.0;
    eh_dtype_to_f32(t, p, n, y);
    for (int64_t i = 0; i < n; i++)
        sum += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
    return sum;
}

/* The block's scales times the factor that brings `was`, what it stands for, nearest to x. */
static void scale_block(eh_dtype t, const float *was, const float *x, int64_t n, uint8_t *p)
{
    double xy = 0.0, yy = 0.0;
    for (int64_t i = 0; i < n; i++) {
        xy += (double)x[i] * (double)was[i];
        yy += (double)was[i] * (double)was[i];
    }
    const double f = yy > 0.0 ? xy / yy : 0.0;
    for (int k = 0; k < 2; k++)
        if (kinds[t].scale[k] >= 0)
            put_half(p + kinds[t].scale[k], (float)(f * (double)half_at(p + kinds[t].scale[k])));
}

void eh_dtype_update(eh_dtype t, const float *x, int64_t n, void *stored)
{
    const eh_dtype_info *info = eh_dtype_get(t);
    const int64_t block = info->block;
    uint8_t *p = stored;
    float was[BLOCK_MAX];
    if (t == EH_DTYPE_F32 || t == EH_DTYPE_F16 || t == EH_DTYPE_BF16) { /* to f32 and back is exact: nothing to spare */
        eh_dtype_from_f32(t, x, n, stored);
        return;
    }
    for (int64_t b = 0; b < n / block; b++, p += info->bytes, x += block) {
        eh_dtype_to_f32(t, p, block, was);
        if (memcmp(was, x, (size_t)block * sizeof *x) == 0)
            continue;
        if (kinds[t].quantise == NULL) {
            put_plain(t, *x, p);
            continue;
        }
        uint8_t kept[BLOCK_MAX], anew[BLOCK_MAX]; /* a block has at most 210 bytes */
        memcpy(kept, p, (size_t)info->bytes);
        memcpy(anew, p, (size_t)info->bytes);
        kinds[t].quantise(x, was, kept);
        kinds[t].quantise(x, NULL, anew);
        scale_block(t, was, x, block, p);
        const double scaled_error = squared_error(t, p, x, block), anew_error = squared_error(t, anew, x, block);
        const double least = anew_error < scaled_error ? anew_error : scaled_error;
        if (squared_error(t, kept, x, block) <= KEEP * least)
            memcpy(p, kept, (size_t)info->bytes);
        else if (anew_error < scaled_error)
            memcpy(p, anew, (size_t)info->bytes);
    }
}
