#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "stats/estimate.h"
#include "stats/normal.h"
#include "stats/softmax.h"

/* Column 0 over column 1. */
static double ratio(const double *sum, const void *ctx)
{
    (void)ctx;
    return sum[0] / sum[1];
}

static double column(const double *sum, const void *ctx)
{
    return sum[*(const int *)ctx];
}

static double difference(const double *sum, const void *ctx)
{
    (void)ctx;
    return sum[1] - sum[0];
}

/* ---- Normal, softmax ----------------------------------------------------------------------- */

TEST(normal_quantile_has_its_textbook_values)
{
    CHECK_NEAR(eh_normal_quantile(0.975), 1.959963984540054, 1e-14);
    CHECK_NEAR(eh_normal_quantile(0.2), -0.8416212335729142, 1e-14);
    CHECK_NEAR(eh_normal_quantile(1e-10), -6.361340902404056, 1e-13);
    CHECK_NEAR(eh_normal_quantile(0.5), 0, 0);
}

TEST(normal_quantile_undoes_the_distribution)
{
    for (double z = -6; z <= 6; z += 0.37)
        CHECK_NEAR(eh_normal_quantile(eh_normal_cdf(z)), z, 1e-7); /* at z = 6, 1 - p has 7 digits left */
    CHECK(isinf(eh_normal_quantile(0)) && eh_normal_quantile(0) < 0);
    CHECK(isinf(eh_normal_quantile(1)) && eh_normal_quantile(1) > 0);
    CHECK(isnan(eh_normal_quantile(-0.1)) && isnan(eh_normal_quantile(1.1)) && isnan(eh_normal_quantile(NAN)));
}

TEST(softmax_worked_by_hand)
{
    eh_err err;
    const double x[3] = {0, log(2), log(5)};
    double p[3];
    CHECK_NEAR(eh_log_sum_exp(x, 3), log(8), 1e-15);
    CHECK_OK(eh_softmax(x, 3, p, &err));
    CHECK_NEAR(p[0], 0.125, 1e-15);
    CHECK_NEAR(p[1], 0.25, 1e-15);
    CHECK_NEAR(p[2], 0.625, 1e-15);
}

TEST(softmax_is_not_moved_by_a_constant_however_large)
{
    eh_err err;
    const double near[3] = {-1, -2, -4};
    double p[3], q[3];
    CHECK_OK(eh_softmax(near, 3, p, &err));
    for (double c = -1e6; c <= 1e6; c += 5e5) {
        const double far[3] = {near[0] + c, near[1] + c, near[2] + c};
        CHECK_OK(eh_softmax(far, 3, q, &err));
        for (int i = 0; i < 3; i++)
            CHECK_NEAR(q[i], p[i], 1e-9); /* 1e6 leaves ten digits of x */
    }
}

TEST(softmax_refuses_what_has_no_sum)
{
    eh_err err;
    double p[2] = {7, 7};
    const double none[2] = {-INFINITY, -INFINITY}, bad[2] = {0, NAN}, all[2] = {0, INFINITY};
    CHECK_FAILS(eh_softmax(none, 2, p, &err), EH_ENUMERIC, "minus infinity");
    CHECK_FAILS(eh_softmax(bad, 2, p, &err), EH_ENUMERIC, "log-probability 1 of 2");
    CHECK_FAILS(eh_softmax(all, 2, p, &err), EH_ENUMERIC, "inf");
    CHECK(p[0] == 7 && p[1] == 7);
    CHECK(eh_log_sum_exp(none, 2) == -INFINITY && eh_log_sum_exp(none, 0) == -INFINITY);
}

/* ---- Wilson --------------------------------------------------------------------------------- */

/* 81 of 263: Newcombe, Two-sided confidence intervals for the single proportion, Statistics in
 * Medicine 17 (1998), table I, has 0.2553 to 0.3662 for Wilson's. */
TEST(wilson_has_newcombes_values)
{
    eh_err err;
    eh_estimate e;
    CHECK_OK(eh_wilson(81, 263, 0.95, &e, &err));
    CHECK_NEAR(e.value, 81.0 / 263, 0);
    CHECK_NEAR(e.low, 0.2553, 5e-5);
    CHECK_NEAR(e.high, 0.3662, 5e-5);
    CHECK_STR(e.method, "wilson");
    CHECK_INT(e.n, 263);
    CHECK_OK(eh_wilson(0, 20, 0.95, &e, &err));
    CHECK_NEAR(e.low, 0, 0);
    CHECK_NEAR(e.high, 0.1611, 5e-5);
}

TEST(wilson_turns_round_with_the_share)
{
    eh_err err;
    eh_estimate a, b;
    for (int k = 0; k <= 12; k++) {
        CHECK_OK(eh_wilson(k, 12, 0.9, &a, &err));
        CHECK_OK(eh_wilson(12 - k, 12, 0.9, &b, &err));
        CHECK_NEAR(a.low, 1 - b.high, 1e-15);
        CHECK(a.low >= 0 && a.high <= 1 && a.low <= a.value && a.value <= a.high && a.low < a.high);
    }
}

TEST(wilson_of_nothing_is_not_defined)
{
    eh_err err;
    eh_estimate e;
    CHECK_OK(eh_wilson(0, 0, 0.95, &e, &err));
    CHECK(!e.defined && isnan(e.value) && isnan(e.low));
    CHECK_FAILS(eh_wilson(3, 2, 0.95, &e, &err), EH_EINVAL, "3 out of 2");
    CHECK_FAILS(eh_wilson(-1, 2, 0.95, &e, &err), EH_EINVAL, "-1 out of 2");
    CHECK_FAILS(eh_wilson(1, 2, 1.0, &e, &err), EH_EINVAL, "level");
}

/* ---- BCa and percentile by hand --------------------------------------------------------------- */

TEST(quantile_is_linear_between_order_statistics)
{
    const double x[3] = {1, 2, 10};
    CHECK_NEAR(eh_quantile(x, 3, 0), 1, 0);
    CHECK_NEAR(eh_quantile(x, 3, 0.25), 1.5, 0);
    CHECK_NEAR(eh_quantile(x, 3, 0.75), 6, 0);
    CHECK_NEAR(eh_quantile(x, 3, 1), 10, 0);
    CHECK_NEAR(eh_quantile(x, 1, 0.3), 1, 0);
}

/* Draws 1..10, value 5.5: half of the draws are below, z0 = 0; jackknife 1, 2, 3 is symmetric,
 * a = 0. Then BCa is the percentile interval: at 80 %, positions 0.9 and 8.1 of 0..9. */
TEST(bca_without_skew_is_the_percentile_interval)
{
    const double draw[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, jack[3] = {1, 2, 3};
    double low, high;
    CHECK(eh_bca_ends(draw, 10, 5.5, jack, 3, 0.8, &low, &high));
    CHECK_NEAR(low, 1.9, 1e-12);
    CHECK_NEAR(high, 9.1, 1e-12);
}

/* Two of four draws are the value itself: half of them counts as below, so z0 = 0 again. */
TEST(bca_counts_ties_half)
{
    const double draw[4] = {1, 2, 2, 3}, jack[3] = {1, 2, 3};
    double low, high;
    CHECK(eh_bca_ends(draw, 4, 2, jack, 3, 0.8, &low, &high));
    CHECK_NEAR(low, 1.3, 1e-12); /* position 0.3 of 0..3 */
    CHECK_NEAR(high, 2.7, 1e-12);
}

/* Value 6.5: six of ten below, z0 = Phi^-1(0.6) = 0.2533471. Jackknife 1, 2, 6 about 3: d = 2, 1, -3,
 * sum d^3 = -18, sum d^2 = 14, a = -18 / (6 * 14^1.5) = -0.0572703. At 80 %, z = -+1.2815516:
 *   low   z0 + z = -1.0282045; / (1 - 0.0588856) = -1.0925384; + z0 = -0.8391913; Phi = 0.2006808
 *   high  z0 + z =  1.5348987; / (1 + 0.0879041) =  1.4108771; + z0 =  1.6642242; Phi = 0.9519662
 * and the quantiles of 1..10 there are 1 + 9 * 0.2006808 = 2.806127 and 1 + 9 * 0.9519662 = 9.567695. */
TEST(bca_with_skew_worked_by_hand)
{
    const double draw[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, jack[3] = {1, 2, 6};
    double low, high;
    CHECK(eh_bca_ends(draw, 10, 6.5, jack, 3, 0.8, &low, &high));
    CHECK_NEAR(low, 2.806127, 1e-6);
    CHECK_NEAR(high, 9.567695, 1e-6);
}

TEST(bca_says_where_it_is_not_defined)
{
    const double draw[4] = {1, 2, 3, 4}, jack[2] = {1, 2}, broken[2] = {1, NAN};
    double low = 7, high = 7;
    CHECK(!eh_bca_ends(draw, 4, 0.5, jack, 2, 0.9, &low, &high));
    CHECK(!eh_bca_ends(draw, 4, 4.5, jack, 2, 0.9, &low, &high));
    CHECK(!eh_bca_ends(draw, 4, 2.5, broken, 2, 0.9, &low, &high));
    CHECK(low == 7 && high == 7);
}

/* ---- The bootstrap ----------------------------------------------------------------------------- */

static bool same(const eh_estimate *a, const eh_estimate *b)
{
    return a->defined == b->defined && memcmp(&a->value, &b->value, sizeof a->value) == 0 &&
           memcmp(&a->low, &b->low, sizeof a->low) == 0 && memcmp(&a->high, &b->high, sizeof a->high) == 0 &&
           a->n_undefined == b->n_undefined && strcmp(a->method, b->method) == 0;
}

/* n clusters of a rate of their own, up to 12 rows each. */
static void make_clusters(double *sum, int64_t n, uint64_t index)
{
    eh_rng r = eh_rng_at(11, "clusters", index);
    for (int64_t i = 0; i < n; i++) {
        const double rate = 0.3 + 0.4 * (eh_rng_double(&r) < 0.5);
        const int64_t rows = 4 + eh_rng_below(&r, 9);
        sum[2 * i] = 0;
        sum[2 * i + 1] = (double)rows;
        for (int64_t k = 0; k < rows; k++)
            sum[2 * i] += eh_rng_double(&r) < rate;
    }
}

TEST(bootstrap_is_the_same_bytes_for_any_number_of_threads)
{
    eh_err err;
    double sum[2 * 37];
    make_clusters(sum, 37, 0);
    const int second = 1;
    const eh_clusters c = {sum, 37, 2};
    const eh_statistic stat[2] = {{ratio, NULL, 5}, {column, &second, 6}};
    eh_estimate one[2], two[2], three[2], other[2];
    CHECK_OK(eh_bootstrap(&c, stat, 2, &(eh_bootstrap_options){.seed = 3, .n_resample = 700, .n_thread = 1},
                          one, &err));
    CHECK_OK(eh_bootstrap(&c, stat, 2, &(eh_bootstrap_options){.seed = 3, .n_resample = 700, .n_thread = 2},
                          two, &err));
    CHECK_OK(eh_bootstrap(&c, stat, 2, &(eh_bootstrap_options){.seed = 3, .n_resample = 700, .n_thread = 3},
                          three, &err));
    CHECK_OK(eh_bootstrap(&c, stat, 2, &(eh_bootstrap_options){.seed = 4, .n_resample = 700, .n_thread = 1},
                          other, &err));
    for (int s = 0; s < 2; s++) {
        CHECK(same(&one[s], &two[s]));
        CHECK(same(&one[s], &three[s]));
        CHECK(!same(&one[s], &other[s]));
        CHECK_STR(one[s].method, "bca");
        CHECK(one[s].low < one[s].value && one[s].value < one[s].high);
        CHECK_INT(one[s].n_cluster, 37);
        CHECK_INT(one[s].n_resample, 700);
    }
    CHECK_INT(one[0].n, 5);
    CHECK_INT(one[1].n, 6);
}

TEST(bootstrap_of_one_statistic_does_not_hear_of_the_others)
{
    eh_err err;
    double sum[2 * 20];
    make_clusters(sum, 20, 1);
    const int first = 0;
    const eh_clusters c = {sum, 20, 2};
    const eh_statistic both[2] = {{column, &first, 0}, {ratio, NULL, 0}};
    const eh_bootstrap_options options = {.seed = 9, .n_resample = 300};
    eh_estimate alone, pair[2];
    CHECK_OK(eh_bootstrap(&c, &both[1], 1, &options, &alone, &err));
    CHECK_OK(eh_bootstrap(&c, both, 2, &options, pair, &err));
    CHECK(same(&alone, &pair[1]));
}

/* The mean of n values has standard error sd / sqrt(n): the percentile interval of many draws must
 * be about as wide as the normal one. */
TEST(bootstrap_of_a_mean_has_the_width_of_theory)
{
    eh_err err;
    double sum[2 * 400], mean = 0, var = 0;
    eh_rng r = eh_rng_at(5, "values", 0);
    for (int i = 0; i < 400; i++) {
        sum[2 * i] = eh_rng_normal(&r);
        sum[2 * i + 1] = 1;
        mean += sum[2 * i] / 400;
    }
    for (int i = 0; i < 400; i++)
        var += (sum[2 * i] - mean) * (sum[2 * i] - mean) / 400;
    const eh_clusters c = {sum, 400, 2};
    const eh_statistic stat = {ratio, NULL, 400};
    eh_estimate e;
    CHECK_OK(
        eh_bootstrap(&c, &stat, 1, &(eh_bootstrap_options){.seed = 1, .n_resample = 4000, .percentile = true},
                     &e, &err));
    const double half = 1.959964 * sqrt(var / 400);
    CHECK_STR(e.method, "percentile");
    CHECK_NEAR(e.value, mean, 1e-15);
    CHECK_NEAR(e.low, mean - half, 0.06 * half); /* an end quantile of 4,000 draws: sd about 2 % of half */
    CHECK_NEAR(e.high, mean + half, 0.06 * half);
}

/* Defined only where two certain clusters of ten are both drawn: in about 40 % of the draws. */
static double of_two(const double *sum, const void *ctx)
{
    (void)ctx;
    return sum[0] > 0.0 && sum[1] > 0.0 ? sum[0] / sum[1] : NAN;
}

TEST(a_statistic_that_most_draws_do_not_have_has_no_interval)
{
    eh_err err;
    const double sum[2 * 10] = {1.0, 0.0, 0.0, 2.0};
    const eh_clusters c = {sum, 10, 2};
    const eh_statistic stat = {of_two, NULL, 10};
    eh_estimate e;
    CHECK_OK(eh_bootstrap(&c, &stat, 1, &(eh_bootstrap_options){.seed = 1, .n_resample = 1000}, &e, &err));
    CHECK(e.defined);
    CHECK_NEAR(e.value, 0.5, 0.0);
    CHECK(e.n_undefined > 500 && e.n_undefined < 700); /* 2 * 0.9^10 - 0.8^10 = 0.590 of them */
    CHECK_STR(e.method, "none");
    CHECK(isnan(e.low) && isnan(e.high));
}

/* Rows of a template share its rate. Drawing templates, a 95 % interval holds the truth in about
 * 95 of 100 data sets; drawing rows as if they were independent, in far fewer. */
TEST(bootstrap_of_clusters_covers_and_of_rows_does_not)
{
    enum { SETS = 300, N = 40, ROWS = 25 };
    eh_err err;
    static double cluster[2 * N], row[2 * N * ROWS];
    int covered = 0, covered_rows = 0;
    for (int k = 0; k < SETS; k++) {
        eh_rng r = eh_rng_at(21, "coverage", (uint64_t)k);
        for (int i = 0; i < N; i++) {
            const double rate = eh_rng_double(&r) < 0.5 ? 0.2 : 0.8; /* 0.5 on the whole */
            cluster[2 * i] = 0;
            cluster[2 * i + 1] = ROWS;
            for (int j = 0; j < ROWS; j++) {
                const double hit = eh_rng_double(&r) < rate;
                cluster[2 * i] += hit;
                row[2 * (i * ROWS + j)] = hit;
                row[2 * (i * ROWS + j) + 1] = 1;
            }
        }
        const eh_clusters by_cluster = {cluster, N, 2}, by_row = {row, (int64_t)N * ROWS, 2};
        const eh_statistic stat = {ratio, NULL, 0};
        const eh_bootstrap_options options = {.seed = (uint64_t)k, .n_resample = 300, .n_thread = 2};
        eh_estimate e;
        CHECK_OK(eh_bootstrap(&by_cluster, &stat, 1, &options, &e, &err));
        covered += e.low <= 0.5 && 0.5 <= e.high;
        if (k % 3 != 0)
            continue;
        CHECK_OK(
            eh_bootstrap(&by_row, &stat, 1, &(eh_bootstrap_options){.seed = (uint64_t)k, .n_resample = 100}, &e, &err));
        covered_rows += e.low <= 0.5 && 0.5 <= e.high;
    }
    print_message("covered: %d of %d by cluster, %d of %d by row\n", covered, SETS, covered_rows, SETS / 3);
    /* 95 % of 300 is 285 with sd 3.8; forty clusters and 300 draws cost a point or two. */
    CHECK(covered >= 270 && covered <= 296);
    CHECK(covered_rows < 60);
}

/* A difference on the same draws: where both columns move together the difference does not move. */
TEST(bootstrap_of_two_measurements_side_by_side_is_paired)
{
    eh_err err;
    double sum[3 * 30];
    const int first = 0;
    eh_rng r = eh_rng_at(2, "paired", 0);
    for (int i = 0; i < 30; i++) {
        sum[3 * i] = (double)eh_rng_below(&r, 50);
        sum[3 * i + 1] = sum[3 * i] + 1; /* one more, in every cluster */
        sum[3 * i + 2] = 1;
    }
    const eh_clusters c = {sum, 30, 3};
    const eh_statistic stat[2] = {{column, &first, 0}, {difference, NULL, 0}};
    eh_estimate e[2];
    CHECK_OK(eh_bootstrap(&c, stat, 2, &(eh_bootstrap_options){.n_resample = 200}, e, &err));
    CHECK(e[0].high - e[0].low > 100);
    CHECK_STR(e[1].method, "constant");
    CHECK_NEAR(e[1].low, 30, 0);
    CHECK_NEAR(e[1].high, 30, 0);
}

TEST(bootstrap_counts_the_draws_that_are_0_over_0)
{
    eh_err err;
    /* One of three clusters has a denominator: a draw misses it with probability (2/3)^3 = 8/27. */
    const double sum[6] = {1, 2, 0, 0, 0, 0};
    const eh_clusters c = {sum, 3, 2};
    const eh_statistic stat = {ratio, NULL, 2};
    eh_estimate e;
    CHECK_OK(eh_bootstrap(&c, &stat, 1, &(eh_bootstrap_options){.seed = 1, .n_resample = 2700}, &e, &err));
    CHECK(e.defined);
    CHECK_NEAR(e.value, 0.5, 0);
    CHECK_NEAR((double)e.n_undefined, 800, 72); /* 3 sd of 23.7 */
    CHECK_STR(e.method, "constant");

    /* With two such clusters no jackknife value is missing, and BCa stands. */
    const double rare[8] = {1, 2, 3, 4, 0, 0, 0, 0};
    const eh_clusters d = {rare, 4, 2};
    CHECK_OK(eh_bootstrap(&d, &stat, 1, &(eh_bootstrap_options){.seed = 1, .n_resample = 500}, &e, &err));
    CHECK_STR(e.method, "bca");
    CHECK(e.n_undefined > 0);
}

TEST(bootstrap_falls_back_and_says_so)
{
    eh_err err;
    /* Leaving cluster 0 out divides by zero: no jackknife, no BCa. */
    const double sum[8] = {3, 1, 5, 0, 7, 0, 9, 0};
    const eh_clusters c = {sum, 4, 2};
    const eh_statistic stat = {ratio, NULL, 0};
    eh_estimate e;
    CHECK_OK(eh_bootstrap(&c, &stat, 1, &(eh_bootstrap_options){.seed = 1, .n_resample = 400}, &e, &err));
    CHECK(e.defined);
    CHECK_STR(e.method, "percentile");
    CHECK(e.low <= e.value && e.value <= e.high);
    CHECK(e.n_undefined > 0); /* x/0 is no number either */
}

TEST(bootstrap_of_0_over_0_or_of_one_cluster_has_no_interval)
{
    eh_err err;
    const double nothing[4] = {0, 0, 0, 0}, one[2] = {1, 4};
    const eh_clusters none = {nothing, 2, 2}, single = {one, 1, 2};
    const eh_statistic stat = {ratio, NULL, 0};
    eh_estimate e;
    CHECK_OK(eh_bootstrap(&none, &stat, 1, &(eh_bootstrap_options){.n_resample = 50}, &e, &err));
    CHECK(!e.defined && isnan(e.value) && isnan(e.low) && isnan(e.high));
    CHECK_STR(e.method, "none");
    CHECK_INT(e.n_undefined, 50);
    CHECK_OK(eh_bootstrap(&single, &stat, 1, &(eh_bootstrap_options){.n_resample = 50}, &e, &err));
    CHECK(e.defined && isnan(e.low));
    CHECK_NEAR(e.value, 0.25, 0);
    CHECK_STR(e.method, "none");
}

TEST(bootstrap_refuses_what_makes_no_sense)
{
    eh_err err;
    const double sum[4] = {1, 2, 3, NAN};
    const eh_clusters c = {sum, 2, 2}, good = {sum, 1, 2}, empty = {sum, 0, 2};
    const eh_statistic stat = {ratio, NULL, 0};
    eh_estimate e = {.value = 7};
    CHECK_FAILS(eh_bootstrap(&c, &stat, 1, &(eh_bootstrap_options){0}, &e, &err), EH_ENUMERIC,
                "cluster 1 has nan in column 1");
    CHECK_FAILS(eh_bootstrap(&empty, &stat, 1, &(eh_bootstrap_options){0}, &e, &err), EH_EINVAL, "0 clusters");
    CHECK_FAILS(eh_bootstrap(&good, &stat, 1, &(eh_bootstrap_options){.level = 1.5}, &e, &err), EH_EINVAL,
                "level is 1.5");
    CHECK_FAILS(eh_bootstrap(&good, &stat, 1, &(eh_bootstrap_options){.level = NAN}, &e, &err), EH_EINVAL, "level");
    CHECK_FAILS(eh_bootstrap(&good, &stat, 1, &(eh_bootstrap_options){.n_resample = -3}, &e, &err), EH_EINVAL, "-3");
    CHECK_NEAR(e.value, 7, 0);
}
