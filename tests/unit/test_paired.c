#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "stats/estimate.h"
#include "stats/paired.h"

static const double ten[10] = {0.3, -0.1, 0.25, 0.4, -0.05, 0.1, 0.2, 0.15, -0.3, 0.35};

/* ---- Sign flips ------------------------------------------------------------------------------------- */

/* 1, 2, 3: of eight sums +-1 +-2 +-3 only 6 and -6 are as far out. s = 1, se = 1/sqrt(3). */
TEST(sign_flip_worked_by_hand)
{
    eh_err err;
    const double d[3] = {1, 2, 3};
    eh_paired e;
    CHECK_OK(eh_sign_flip(d, NULL, 3, &(eh_paired_options){0}, &e, &err));
    CHECK(e.exact);
    CHECK_NEAR(e.mean, 2, 0);
    CHECK_NEAR(e.p, 0.25, 0);
    CHECK_NEAR(e.least, 0.25, 0);
    CHECK_NEAR(e.se, 1 / sqrt(3), 1e-15);
    CHECK_INT(e.n, 3);
    CHECK_INT(e.n_cluster, 3);
    CHECK_INT(e.n_flip, 8);
}

/* Clusters {1, 2}, {3}, {-1}: sums 3, 3, -1, total 5. Of +-3 +-3 +-1 four in eight are as far out: 7, 5 and
 * their negatives. Items on their own: of +-1 +-3 +-2 +-1 six in sixteen: 7, 5, 5 and their negatives.
 * m = 5/4; e_k = 3 - 5/2, 3 - 5/4, -1 - 5/4 = 1/2, 7/4, -9/4; se^2 = 3/2 * (4 + 49 + 81)/16 / 16. */
TEST(sign_flip_turns_clusters_whole)
{
    eh_err err;
    const double d[4] = {1, 3, 2, -1};
    const int32_t cluster[4] = {70, -1, 70, 3};
    eh_paired e, own;
    CHECK_OK(eh_sign_flip(d, cluster, 4, &(eh_paired_options){0}, &e, &err));
    CHECK_OK(eh_sign_flip(d, NULL, 4, &(eh_paired_options){0}, &own, &err));
    CHECK_NEAR(e.p, 0.5, 0);
    CHECK_NEAR(e.mean, 1.25, 0);
    CHECK_NEAR(e.se, sqrt(1.5 * 134 / 256), 1e-15);
    CHECK_INT(e.n_cluster, 3);
    CHECK_NEAR(own.p, 0.375, 0);
}

/* scipy 1.17.1: permutation_test((d,), mean, permutation_type='samples', n_resamples=inf): 116/1024;
 * sem(d) = 0.07; (norm.ppf(.975) + norm.ppf(.8)) * sem(d). */
TEST(sign_flip_agrees_with_scipy)
{
    eh_err err;
    eh_paired e;
    CHECK_OK(eh_sign_flip(ten, NULL, 10, &(eh_paired_options){0}, &e, &err));
    CHECK_NEAR(e.p, 116.0 / 1024, 0);
    CHECK_NEAR(e.mean, 0.13, 1e-15);
    CHECK_NEAR(e.se, 0.07, 1e-15);
    CHECK_NEAR(e.detectable, 0.19611096526790778, 1e-14);
}

/* The ten again, with seven zeros: 17 clusters are too many to enumerate, and zeros change nothing. A
 * random p of 99,999 draws has a standard error of 0.001. */
TEST(sign_flip_by_draws_agrees_with_all_patterns)
{
    eh_err err;
    double d[17] = {0};
    eh_paired e, again, other;
    memcpy(d, ten, sizeof ten);
    CHECK_OK(eh_sign_flip(d, NULL, 17, &(eh_paired_options){.seed = 1, .n_flip = 99999}, &e, &err));
    CHECK_OK(eh_sign_flip(d, NULL, 17, &(eh_paired_options){.seed = 1, .n_flip = 99999}, &again, &err));
    CHECK_OK(eh_sign_flip(d, NULL, 17, &(eh_paired_options){.seed = 2, .n_flip = 99999}, &other, &err));
    CHECK(!e.exact);
    CHECK_NEAR(e.p, 116.0 / 1024, 0.003);
    CHECK_NEAR(e.least, 1e-5, 1e-20);
    CHECK(e.p == again.p && e.p != other.p);
    CHECK_OK(eh_sign_flip(d, NULL, 16, &(eh_paired_options){0}, &e, &err));
    CHECK(e.exact);
    CHECK_NEAR(e.p, 116.0 / 1024, 0);
}

/* Whole numbers, whose sums tie exactly; in other units they round apart, and must still count as ties. */
TEST(sign_flip_is_odd_in_the_sign_and_has_no_unit)
{
    eh_err err;
    const double whole[10] = {6, -2, 5, 8, -1, 2, 4, 3, -6, 7}; /* ten / 0.05 */
    eh_paired e, turned;
    CHECK_OK(eh_sign_flip(whole, NULL, 10, &(eh_paired_options){0}, &e, &err));
    CHECK_NEAR(e.p, 116.0 / 1024, 0);
    for (double unit = -1e-5; unit > -1e5; unit *= 3.7) {
        double d[10];
        for (int i = 0; i < 10; i++)
            d[i] = unit * whole[i];
        CHECK_OK(eh_sign_flip(d, NULL, 10, &(eh_paired_options){0}, &turned, &err));
        CHECK_NEAR(turned.mean, unit * e.mean, 1e-14 * fabs(unit));
        CHECK_NEAR(turned.p, e.p, 0);
        CHECK_NEAR(turned.detectable, -unit * e.detectable, 1e-13 * fabs(unit));
    }
}

/* Differences of +-1 are answers won and lost, and their sign flips McNemar's binomial: with 64 of them every
 * sign must be a draw of its own. 99,999 draws have a standard error of 0.0016. */
TEST(sign_flip_of_answers_is_mcnemar)
{
    eh_err err;
    double d[64], p;
    eh_paired e;
    for (int i = 0; i < 64; i++)
        d[i] = i < 35 ? 1 : -1;
    CHECK_OK(eh_sign_flip(d, NULL, 64, &(eh_paired_options){.seed = 1, .n_flip = 99999}, &e, &err));
    CHECK_OK(eh_mcnemar(29, 35, &p, &err));
    CHECK_NEAR(e.p, p, 0.0048);
}

/* 40 clusters of five that share a shift of mean zero: p <= 0.05 in 5 % of 1,000 sets (standard deviation
 * 0.7 %) with clusters, far more often without. */
TEST(sign_flip_holds_its_level_under_clusters)
{
    eh_err err;
    int small = 0, naive = 0;
    for (int k = 0; k < 1000; k++) {
        double d[200];
        int32_t cluster[200];
        eh_paired e;
        eh_rng r = eh_rng_at(4, "test flip", (uint64_t)k);
        double shift = 0;
        for (int i = 0; i < 200; i++) {
            if (i % 5 == 0)
                shift = eh_rng_normal(&r);
            cluster[i] = i / 5;
            d[i] = shift + eh_rng_normal(&r);
        }
        CHECK_OK(eh_sign_flip(d, cluster, 200, &(eh_paired_options){.seed = 1, .n_flip = 199}, &e, &err));
        small += e.p <= 0.05;
        CHECK_OK(eh_sign_flip(d, NULL, 200, &(eh_paired_options){.seed = 1, .n_flip = 199}, &e, &err));
        naive += e.p <= 0.05;
    }
    print_message("p <= 0.05 in %d of 1000 by cluster, %d by item\n", small, naive);
    CHECK(small >= 30 && small <= 70);
    CHECK(naive > 150);
}

/* A true effect of the size called detectable is found in about 80 % of sets. se itself is estimated from
 * 60 clusters, and the test is no normal one: a point or two. */
TEST(detectable_is_found_with_the_power_it_promises)
{
    eh_err err;
    int found = 0;
    const double se = sqrt(1.0 / 60), effect = eh_detectable(se, 0.05, 0.8);
    double mean_detectable = 0;
    for (int k = 0; k < 1000; k++) {
        double d[60];
        eh_paired e;
        eh_rng r = eh_rng_at(5, "test power", (uint64_t)k);
        for (int i = 0; i < 60; i++)
            d[i] = effect + eh_rng_normal(&r);
        CHECK_OK(eh_sign_flip(d, NULL, 60, &(eh_paired_options){.seed = 1, .n_flip = 399}, &e, &err));
        found += e.p <= 0.05;
        mean_detectable += e.detectable / 1000;
    }
    print_message("found in %d of 1000\n", found);
    CHECK_NEAR(found / 1000.0, 0.79, 0.04);
    CHECK_NEAR(mean_detectable, effect, 0.02 * effect);
    CHECK_NEAR(eh_detectable(1, 0.05, 0.8), 2.801585, 1e-6); /* Bloom's 2.8 */
}

TEST(sign_flip_of_nothing_or_one_cluster_has_p_1)
{
    eh_err err;
    const double zero[20] = {0}, d[2] = {1, 2};
    const int32_t one[2] = {4, 4};
    eh_paired e;
    CHECK_OK(eh_sign_flip(zero, NULL, 20, &(eh_paired_options){0}, &e, &err));
    CHECK(e.p == 1 && e.mean == 0 && e.se == 0);
    CHECK_OK(eh_sign_flip(d, one, 2, &(eh_paired_options){0}, &e, &err));
    CHECK(e.p == 1 && e.least == 1 && isnan(e.se) && isnan(e.detectable));
    CHECK_NEAR(e.mean, 1.5, 0);
}

TEST(sign_flip_refuses_what_makes_no_sense)
{
    eh_err err;
    const double bad[2] = {1, NAN}, huge[2] = {1e308, 1e308};
    eh_paired e = {.p = 7};
    CHECK_FAILS(eh_sign_flip(bad, NULL, 2, &(eh_paired_options){0}, &e, &err), EH_ENUMERIC, "difference 1");
    CHECK_FAILS(eh_sign_flip(huge, NULL, 2, &(eh_paired_options){0}, &e, &err), EH_ENUMERIC, "too large");
    CHECK_FAILS(eh_sign_flip(ten, NULL, 0, &(eh_paired_options){0}, &e, &err), EH_EINVAL, "0 differences");
    CHECK_FAILS(eh_sign_flip(ten, NULL, 5, &(eh_paired_options){.n_flip = -1}, &e, &err), EH_EINVAL,
                "-1 sign patterns");
    CHECK_FAILS(eh_sign_flip(ten, NULL, 5, &(eh_paired_options){.alpha = 1}, &e, &err), EH_EINVAL, "alpha is 1");
    CHECK_FAILS(eh_sign_flip(ten, NULL, 5, &(eh_paired_options){.power = NAN}, &e, &err), EH_EINVAL, "power nan");
    CHECK(e.p == 7);
}

/* ---- McNemar -------------------------------------------------------------------------------------------- */

/* Three lost, none won: 2 * (1/2)^3. */
TEST(mcnemar_worked_by_hand)
{
    eh_err err;
    double p;
    CHECK_OK(eh_mcnemar(3, 0, &p, &err));
    CHECK_NEAR(p, 0.25, 0);
    CHECK_OK(eh_mcnemar(1, 3, &p, &err)); /* 2 (1 + 4)/16 */
    CHECK_NEAR(p, 0.625, 1e-16);
    CHECK_OK(eh_mcnemar(0, 0, &p, &err));
    CHECK_NEAR(p, 1, 0);
}

/* scipy 1.17.1: binomtest(lost, lost + won, 0.5).pvalue */
TEST(mcnemar_agrees_with_scipy)
{
    eh_err err;
    const struct {
        int64_t lost, won;
        double p;
    } row[] = {
        {3, 12, 0.03515625},
        {0, 5, 0.0625},
        {7, 7, 1},
        {120, 171, 0.0033087986331269033},
        {1000, 1100, 0.03072070786424249},
        {4900, 5100, 0.04658552770494645},
    };
    for (int i = 0; i < 6; i++) {
        double p, turned;
        CHECK_OK(eh_mcnemar(row[i].lost, row[i].won, &p, &err));
        CHECK_OK(eh_mcnemar(row[i].won, row[i].lost, &turned, &err));
        CHECK_NEAR(p, row[i].p, 1e-11 * row[i].p);
        CHECK_NEAR(turned, p, 0);
    }
}

TEST(mcnemar_of_many_is_the_normal_one_and_of_extremes_is_zero)
{
    eh_err err;
    double p;
    /* z = (2,002,000 - 1,998,000 - 1) / sqrt(4e6) = 1.9995; 2 (1 - Phi(z)) = 0.0455542 */
    CHECK_OK(eh_mcnemar(1998000, 2002000, &p, &err));
    CHECK_NEAR(p, 0.0455542, 1e-6);
    CHECK_OK(eh_mcnemar(0, 5000, &p, &err));
    CHECK(p == 0); /* 2^-4999 is below the least number */
}

TEST(mcnemar_refuses_what_is_no_count)
{
    eh_err err;
    double p = 7;
    CHECK_FAILS(eh_mcnemar(-1, 3, &p, &err), EH_EINVAL, "-1 answers lost");
    CHECK_FAILS(eh_mcnemar(3, INT64_MAX, &p, &err), EH_EINVAL, "answers lost");
    CHECK(p == 7);
}

/* ---- A difference of two ratio scores: eh_bootstrap with both measurements in one row -------------------------- */

/* Columns: biased answers and answers before, then after. */
static double less_biased(const double *sum, const void *ctx)
{
    (void)ctx;
    return sum[2] / sum[3] - sum[0] / sum[1];
}

static double biased_in(const double *sum, const void *ctx)
{
    const int at = *(const int *)ctx;
    return sum[at] / sum[at + 1];
}

/* Templates differ a lot, the edit takes the same share off each: two intervals overlap, the paired one of
 * the difference is far from zero. */
TEST(difference_of_ratio_scores_is_paired_by_cluster)
{
    eh_err err;
    enum { N = 40, ROWS = 30 };
    double row[N * 4];
    const int before = 0, after = 2;
    eh_rng r = eh_rng_at(7, "test ratio", 0);
    for (int k = 0; k < N; k++) {
        const double rate = 0.2 + 0.6 * eh_rng_double(&r);
        const int answered = 20 + (int)eh_rng_below(&r, 11);
        for (int c = 0; c < 4; c++)
            row[4 * k + c] = 0;
        for (int i = 0; i < answered; i++) {
            const double draw = eh_rng_double(&r);
            row[4 * k] += draw < rate;
            row[4 * k + 1] += 1;
            if (i < ROWS - 5) { /* the edited model declines some that the other answered */
                row[4 * k + 2] += draw < rate - 0.08;
                row[4 * k + 3] += 1;
            }
        }
    }
    const eh_clusters c = {row, N, 4};
    const eh_statistic stat[3] = {{less_biased, NULL, N}, {biased_in, &before, N}, {biased_in, &after, N}};
    eh_estimate e[3];
    CHECK_OK(eh_bootstrap(&c, stat, 3, &(eh_bootstrap_options){.seed = 1}, e, &err));
    CHECK_NEAR(e[0].value, e[2].value - e[1].value, 1e-15);
    CHECK(e[0].high < 0 && e[0].low > -0.2);
    CHECK(e[2].high > e[1].low); /* apart they overlap */
    CHECK(e[0].high - e[0].low < 0.5 * (e[1].high - e[1].low));
}
