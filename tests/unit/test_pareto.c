#include <math.h>

#include "base/rng.h"
#include "check.h"
#include "stats/pareto.h"

/* (1, 5), (2, 2) and (4, 1) are the best of their kind; (3, 3) loses to (2, 2), and (4, 2) to (2, 2), too. */
TEST(pareto_front_worked_by_hand)
{
    eh_err err;
    const double p[5 * 2] = {3, 3, 1, 5, 2, 2, 4, 2, 4, 1};
    bool on[5];
    CHECK_OK(eh_pareto(p, 5, 2, on, &err));
    CHECK(!on[0] && on[1] && on[2] && !on[3] && on[4]);
}

TEST(pareto_keeps_equal_points_together)
{
    eh_err err;
    const double p[4 * 2] = {1, 2, 1, 2, 2, 1, 1, 3};
    bool on[4];
    CHECK_OK(eh_pareto(p, 4, 2, on, &err));
    CHECK(on[0] && on[1] && on[2] && !on[3]);
}

TEST(pareto_takes_infinity_for_a_value)
{
    eh_err err;
    const double p[3 * 2] = {0, INFINITY, 1, 1, 2, INFINITY};
    bool on[3];
    CHECK_OK(eh_pareto(p, 3, 2, on, &err));
    CHECK(on[0] && on[1] && !on[2]);
}

static bool beats(const double *a, const double *b, int k)
{
    int better = 0, worse = 0;
    for (int j = 0; j < k; j++) {
        better += a[j] < b[j];
        worse += a[j] > b[j];
    }
    return better > 0 && worse == 0;
}

/* No point of the front is beaten by any; every other is beaten by one of the front. And whatever the
 * ceilings, the choice is within them, on the front, and none within has less of the first objective. */
TEST(pareto_front_and_choice_hold_on_random_points)
{
    eh_err err;
    enum { N = 80, K = 3 };
    for (int run = 0; run < 50; run++) {
        double p[N * K], ceiling[K] = {INFINITY, 0, 0};
        bool on[N];
        int64_t chosen;
        eh_rng r = eh_rng_at(1, "test pareto", (uint64_t)run);
        for (int i = 0; i < N * K; i++)
            p[i] = (double)eh_rng_below(&r, 12); /* many ties */
        CHECK_OK(eh_pareto(p, N, K, on, &err));
        for (int i = 0; i < N; i++) {
            bool beaten = false, by_front = false;
            for (int j = 0; j < N; j++) {
                beaten = beaten || beats(p + j * K, p + i * K, K);
                by_front = by_front || (on[j] && beats(p + j * K, p + i * K, K));
            }
            CHECK(on[i] == !beaten);
            CHECK(on[i] || by_front);
        }
        ceiling[1] = ceiling[2] = (double)(run % 12);
        CHECK_OK(eh_pareto_choose(p, N, K, ceiling, &chosen, &err));
        for (int i = 0; i < N; i++)
            if (p[i * K + 1] <= ceiling[1] && p[i * K + 2] <= ceiling[2])
                CHECK(chosen >= 0 && p[chosen * K] <= p[i * K]);
        if (chosen >= 0)
            CHECK(on[chosen] && p[chosen * K + 1] <= ceiling[1] && p[chosen * K + 2] <= ceiling[2]);
    }
}

/* Least bias is 0.1, but that ruins the perplexity; of the two with 0.2 the one with less damage. */
TEST(pareto_choice_worked_by_hand)
{
    eh_err err;
    const double p[5 * 2] = {0.5, 10, 0.1, 99, 0.2, 12, 0.2, 11, 0.3, 10.5};
    int64_t chosen = 7;
    CHECK_OK(eh_pareto_choose(p, 5, 2, (const double[]){INFINITY, 12}, &chosen, &err));
    CHECK_INT(chosen, 3);
    CHECK_OK(eh_pareto_choose(p, 5, 2, (const double[]){INFINITY, INFINITY}, &chosen, &err));
    CHECK_INT(chosen, 1);
    CHECK_OK(eh_pareto_choose(p, 5, 2, (const double[]){INFINITY, 10}, &chosen, &err));
    CHECK_INT(chosen, 0); /* a ceiling may be touched */
    CHECK_OK(eh_pareto_choose(p, 5, 2, (const double[]){INFINITY, 9}, &chosen, &err));
    CHECK_INT(chosen, -1);
    CHECK_OK(eh_pareto_choose(p, 5, 2, (const double[]){0.15, 50}, &chosen, &err));
    CHECK_INT(chosen, -1);
}

TEST(pareto_refuses_what_is_no_number)
{
    eh_err err;
    const double p[4] = {1, 2, 3, NAN};
    bool on[2] = {true, false};
    int64_t chosen = 7;
    CHECK_FAILS(eh_pareto(p, 2, 2, on, &err), EH_ENUMERIC, "objective 1 of point 1");
    CHECK_FAILS(eh_pareto(p, 0, 2, on, &err), EH_EINVAL, "0 points");
    CHECK_FAILS(eh_pareto(p, 2, 0, on, &err), EH_EINVAL, "0 objectives");
    CHECK_FAILS(eh_pareto_choose(p, 2, 2, p, &chosen, &err), EH_ENUMERIC, "objective 1 of point 1");
    CHECK_FAILS(eh_pareto_choose(p, 1, 2, p + 2, &chosen, &err), EH_ENUMERIC, "ceiling of objective 1");
    CHECK(chosen == 7 && on[0] && !on[1]);
}
