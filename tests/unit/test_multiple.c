#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "stats/multiple.h"

/* Four tests, p = 0.01, 0.02, 0.04, 0.5: n p / rank = 0.04, 0.04, 0.0533, 0.5. In another order on purpose. */
TEST(bh_worked_by_hand)
{
    eh_err err;
    const double p[4] = {0.5, 0.02, 0.04, 0.01};
    double q[4];
    CHECK_OK(eh_bh(p, 4, q, &err));
    CHECK_NEAR(q[3], 0.04, 1e-16);
    CHECK_NEAR(q[1], 0.04, 1e-16);
    CHECK_NEAR(q[2], 0.16 / 3, 1e-16);
    CHECK_NEAR(q[0], 0.5, 0);
}

/* scipy 1.17.1: scipy.stats.false_discovery_control(p) */
TEST(bh_agrees_with_scipy_on_ties_and_out_of_order)
{
    eh_err err;
    double p[10] = {0.001, 0.04, 0.039, 0.5, 0.04, 0.2, 0.9, 1.0, 0.012, 0.0005};
    const double want[10] = {0.005, 1.0 / 15, 1.0 / 15, 0.625, 1.0 / 15, 2.0 / 7, 1, 1, 0.04, 0.005};
    CHECK_OK(eh_bh(p, 10, p, &err)); /* in place */
    for (int i = 0; i < 10; i++)
        CHECK_NEAR(p[i], want[i], 1e-15);
}

TEST(bh_keeps_the_order_and_never_goes_below_p)
{
    eh_err err;
    enum { N = 300 };
    double p[N], q[N];
    eh_rng r = eh_rng_at(1, "test q", 0);
    for (int i = 0; i < N; i++)
        p[i] = floor(100 * pow(eh_rng_double(&r), 3)) / 100;
    CHECK_OK(eh_bh(p, N, q, &err));
    for (int i = 0; i < N; i++) {
        CHECK(q[i] >= p[i] && q[i] <= 1);
        for (int k = 0; k < N; k++)
            CHECK(p[i] < p[k] ? q[i] <= q[k] : p[i] > p[k] || q[i] == q[k]);
    }
}

/* q <= a exactly where the step-up procedure of 1995 rejects at level a. */
TEST(bh_is_the_step_up_procedure)
{
    eh_err err;
    enum { N = 60 };
    double p[N], q[N];
    eh_rng r = eh_rng_at(2, "test q", 0);
    for (int i = 0; i < N; i++)
        p[i] = pow(eh_rng_double(&r), 4);
    CHECK_OK(eh_bh(p, N, q, &err));
    for (double a = 0.013; a < 1; a += 0.05) {
        double cut = -1; /* the largest p with at most p N / a tests at or below it */
        for (int i = 0; i < N; i++) {
            int rank = 0;
            for (int k = 0; k < N; k++)
                rank += p[k] <= p[i];
            if (p[i] <= rank * a / N && p[i] > cut)
                cut = p[i];
        }
        for (int i = 0; i < N; i++)
            CHECK((q[i] <= a) == (p[i] <= cut));
    }
}

/* 100 tests, 80 of them null, a thousand times: the share of false findings is on average at most
 * 0.05 * 80/100 (exactly that for independent tests, theorem 1 of 1995). One run's share has a standard
 * deviation of about 0.045. And where all are null, something is found in 5 % of the runs. */
TEST(bh_holds_the_false_discovery_rate)
{
    eh_err err;
    double p[100], q[100], rate = 0, found_any = 0, power = 0;
    for (int run = 0; run < 1000; run++) {
        eh_rng r = eh_rng_at(3, "test fdr", (uint64_t)run);
        int found = 0, wrong = 0;
        for (int i = 0; i < 100; i++)
            p[i] = i < 80 ? eh_rng_double(&r) : 1e-3 * eh_rng_double(&r);
        CHECK_OK(eh_bh(p, 100, q, &err));
        for (int i = 0; i < 100; i++) {
            found += q[i] <= 0.05;
            wrong += q[i] <= 0.05 && i < 80;
        }
        rate += found > 0 ? (double)wrong / found / 1000 : 0;
        power += (found - wrong) / 20.0 / 1000;

        double least = 1;
        CHECK_OK(eh_bh(p, 80, q, &err));
        for (int i = 0; i < 80; i++)
            least = fmin(least, q[i]);
        found_any += least <= 0.05 ? 1.0 / 1000 : 0;
    }
    print_message("false share %.4f, power %.3f; something found among nulls alone in %.4f\n", rate, power, found_any);
    CHECK_NEAR(rate, 0.04, 3 * 0.045 / sqrt(1000));
    CHECK(power > 0.99);
    CHECK_NEAR(found_any, 0.05, 3 * sqrt(0.05 * 0.95 / 1000));
}

TEST(bh_refuses_what_is_no_p)
{
    eh_err err;
    double q[2] = {7, 7};
    CHECK_FAILS(eh_bh((const double[]){0.1, 1.5}, 2, q, &err), EH_ERANGE, "test 1 is 1.5");
    CHECK_FAILS(eh_bh((const double[]){-0.1, 0.5}, 2, q, &err), EH_ERANGE, "test 0 is -0.1");
    CHECK_FAILS(eh_bh((const double[]){0.1, NAN}, 2, q, &err), EH_ERANGE, "test 1 is nan");
    CHECK_FAILS(eh_bh(q, 0, q, &err), EH_EINVAL, "0 tests");
    CHECK(q[0] == 7 && q[1] == 7);
    CHECK_OK(eh_bh((const double[]){0, 1}, 2, q, &err));
    CHECK(q[0] == 0 && q[1] == 1);
}
