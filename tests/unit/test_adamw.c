#include <math.h>
#include <string.h>

#include "check.h"
#include "train/adamw.h"

/*
 * w = 1, g = 0.5, then 0.25; lr 0.1, betas 0.9 and 0.999, decay 0.01:
 * step 1: w = 0.999; m = 0.05, v = 0.00025; m / 0.1 = 0.5, sqrt(v / 0.001) = 0.5; w = 0.999 - 0.1 = 0.899
 * step 2: w = 0.899 * 0.999 = 0.898101; m = 0.07, v = 0.00031225; m / 0.19 = 0.368421,
 *         sqrt(v / 0.001999) = 0.395223; w = 0.898101 - 0.1 * 0.932184 = 0.804883
 */
TEST(two_steps_on_one_weight_by_hand)
{
    const eh_adamw options = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.01};
    float w = 1.0f, m = 0.0f, v = 0.0f, g = 0.5f;
    eh_adamw_step(&options, 1, options.lr, 1.0, 1, &w, &g, &m, &v);
    CHECK_NEAR((double)w, 0.899, 1e-6);
    CHECK_NEAR((double)m, 0.05, 1e-8);
    CHECK_NEAR((double)v, 0.00025, 1e-10);
    g = 0.25f;
    eh_adamw_step(&options, 2, options.lr, 1.0, 1, &w, &g, &m, &v);
    CHECK_NEAR((double)w, 0.804883, 2e-6);
}

/* The gradient's factor is the clipping: half the gradient at full factor, or the whole at half, are one. */
TEST(a_factor_on_the_gradient_is_a_smaller_gradient)
{
    const eh_adamw options = EH_ADAMW_DEFAULT;
    float w[2] = {0.3f, 0.3f}, m[2] = {0.01f, 0.01f}, v[2] = {0.02f, 0.02f};
    const float g[2] = {0.5f, 0.25f};
    eh_adamw_step(&options, 7, 1e-2, 0.5, 1, &w[0], &g[0], &m[0], &v[0]);
    eh_adamw_step(&options, 7, 1e-2, 1.0, 1, &w[1], &g[1], &m[1], &v[1]);
    CHECK(w[0] == w[1] && m[0] == m[1] && v[0] == v[1] && w[0] != 0.3f);
}

/* Each weight by itself: however the pieces are cut, the bits are the same. */
TEST(pieces_do_not_matter)
{
    enum { N = 1003 };
    const eh_adamw options = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.1};
    static float w[2][N], m[2][N], v[2][N], g[N];
    for (int i = 0; i < N; i++) {
        w[0][i] = w[1][i] = (float)sin(i);
        m[0][i] = m[1][i] = (float)cos(i) * 0.1f;
        v[0][i] = v[1][i] = (float)(i % 7) * 1e-3f;
        g[i] = (float)sin(3 * i);
    }
    eh_adamw_step(&options, 3, options.lr, 0.7, N, w[0], g, m[0], v[0]);
    for (int at = 0, n = 1; at < N; at += n, n = n % 37 + 1) {
        n = n < N - at ? n : N - at;
        eh_adamw_step(&options, 3, options.lr, 0.7, n, w[1] + at, g + at, m[1] + at, v[1] + at);
    }
    CHECK(memcmp(w[0], w[1], sizeof w[0]) == 0 && memcmp(m[0], m[1], sizeof m[0]) == 0);
    CHECK(memcmp(v[0], v[1], sizeof v[0]) == 0);
}

/* A gradient that never was anything but 0 moves nothing: what is held is not pushed. */
TEST(no_gradient_moves_nothing)
{
    const eh_adamw options = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    float w = 0.7f, m = 0.0f, v = 0.0f;
    const float g = 0.0f;
    for (int t = 1; t < 9; t++)
        eh_adamw_step(&options, t, options.lr, 1.0, 1, &w, &g, &m, &v);
    CHECK(w == 0.7f);
}
