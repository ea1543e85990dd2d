#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "stats/correlation.h"

/* Twelve pairs with ties on both sides, in three strata of four. The numbers quoted as scipy's were made by
 * scipy 1.17.1 and numpy 2.4.6 with the calls that stand beside them. */
static const double x12[12] = {2.5, 0.5, 2.5, 3.0, 7.25, 1.0, 6.0, 6.0, 4.5, 2.5, 9.0, 8.0};
static const double y12[12] = {1, 0, 3, 2, 5, 2, 2, 7, 3, 1, 8, 4};
static const int32_t by_four[12] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2};

static void floats(const double *x, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)x[i];
}

/* ---- Pearson and Spearman ------------------------------------------------------------------------ */

/* Deviations -1, 0, 1 and -4/3, -1/3, 5/3: r = 3 / sqrt(2 * 14/3). */
TEST(pearson_worked_by_hand)
{
    eh_err err;
    const double x[3] = {1, 2, 3}, y[3] = {1, 2, 4};
    double r;
    CHECK_OK(eh_pearson(x, y, 3, &r, &err));
    CHECK_NEAR(r, 3 / sqrt(28.0 / 3), 1e-15);
}

/* Ranks of 10, 20, 20, 40 are 1, 2.5, 2.5, 4, those of y 4, 1, 2, 3. Deviations -1.5, 0, 0, 1.5 and
 * 1.5, -1.5, -0.5, 0.5: rho = (-2.25 + 0.75) / sqrt(4.5 * 5). */
TEST(spearman_with_ties_worked_by_hand)
{
    eh_err err;
    const double x[4] = {10, 20, 20, 40}, y[4] = {9, 1, 2, 3};
    double rho;
    CHECK_OK(eh_spearman(x, y, 4, &rho, &err));
    CHECK_NEAR(rho, -1.5 / sqrt(22.5), 1e-15);
}

TEST(pearson_and_spearman_agree_with_scipy)
{
    eh_err err;
    double r, rho;
    CHECK_OK(eh_pearson(x12, y12, 12, &r, &err));
    CHECK_OK(eh_spearman(x12, y12, 12, &rho, &err));
    CHECK_NEAR(r, 0.81011654926558985, 1e-15); /* scipy.stats.pearsonr(x, y)[0] */
    CHECK_NEAR(rho, 0.823530720116189, 1e-15); /* scipy.stats.spearmanr(x, y)[0] */
}

TEST(correlations_are_symmetric_and_odd_in_sign)
{
    eh_err err;
    double minus[12], r, back, odd;
    for (int i = 0; i < 12; i++)
        minus[i] = -x12[i];
    CHECK_OK(eh_pearson(x12, y12, 12, &r, &err));
    CHECK_OK(eh_pearson(y12, x12, 12, &back, &err));
    CHECK_OK(eh_pearson(minus, y12, 12, &odd, &err));
    CHECK_NEAR(back, r, 1e-15);
    CHECK_NEAR(odd, -r, 0);
    CHECK_OK(eh_spearman(x12, y12, 12, &r, &err));
    CHECK_OK(eh_spearman(minus, y12, 12, &odd, &err));
    CHECK_NEAR(odd, -r, 1e-15);
}

TEST(spearman_hears_of_the_order_only)
{
    eh_err err;
    double bent[12], rho, again, r, other;
    for (int i = 0; i < 12; i++)
        bent[i] = exp(3 * x12[i]) - 7;
    CHECK_OK(eh_spearman(x12, y12, 12, &rho, &err));
    CHECK_OK(eh_spearman(bent, y12, 12, &again, &err));
    CHECK_NEAR(again, rho, 0);
    CHECK_OK(eh_pearson(x12, y12, 12, &r, &err));
    CHECK_OK(eh_pearson(bent, y12, 12, &other, &err));
    CHECK(fabs(other - r) > 0.05);
}

TEST(pearson_does_not_overflow_or_vanish_with_the_unit)
{
    eh_err err;
    for (double unit = 1e-300; unit < 1e308; unit *= 1e75) {
        double a[12], r;
        for (int i = 0; i < 12; i++)
            a[i] = unit * x12[i];
        CHECK_OK(eh_pearson(a, y12, 12, &r, &err));
        CHECK_NEAR(r, 0.81011654926558985, 1e-14);
    }
}

TEST(correlations_refuse_what_is_0_over_0)
{
    eh_err err;
    const double tenth[10] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}; /* ten of them do not sum to 1 */
    const double bad[3] = {1, NAN, 3};
    double r = 7;
    CHECK_FAILS(eh_pearson(tenth, y12, 10, &r, &err), EH_EDOM, "same value");
    CHECK_FAILS(eh_pearson(x12, tenth, 10, &r, &err), EH_EDOM, "0/0");
    CHECK_FAILS(eh_spearman(tenth, y12, 10, &r, &err), EH_EDOM, "same value");
    CHECK_FAILS(eh_pearson(x12, y12, 2, &r, &err), EH_EDOM, "2 pairs");
    CHECK_FAILS(eh_spearman(x12, y12, 0, &r, &err), EH_EDOM, "0 pairs");
    CHECK_FAILS(eh_pearson(bad, y12, 3, &r, &err), EH_ENUMERIC, "pair 1");
    CHECK_FAILS(eh_spearman(y12, bad, 3, &r, &err), EH_ENUMERIC, "pair 1");
    CHECK(r == 7);
}

/* ---- Area under the curve ------------------------------------------------------------------------ */

/* Positives 3, 2 against negatives 2, 1: won, won, tied, won = 3.5 of 4. */
TEST(auc_worked_by_hand)
{
    eh_err err;
    const double score[4] = {3, 2, 2, 1};
    const bool positive[4] = {true, true, false, false};
    double auc;
    CHECK_OK(eh_auc(score, positive, 4, &auc, &err));
    CHECK_NEAR(auc, 3.5 / 4, 0);
}

TEST(auc_agrees_with_scipy_and_turns_round_with_the_labels)
{
    eh_err err;
    const bool label[12] = {0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0};
    bool other[12];
    double auc, turned;
    for (int i = 0; i < 12; i++)
        other[i] = !label[i];
    CHECK_OK(eh_auc(x12, label, 12, &auc, &err));
    CHECK_OK(eh_auc(x12, other, 12, &turned, &err));
    CHECK_NEAR(auc, 0.8, 1e-15); /* scipy.stats.mannwhitneyu(x[label], x[~label]).statistic / (5 * 7) */
    CHECK_NEAR(turned, 1 - auc, 1e-15);
}

TEST(auc_refuses_one_class_and_no_numbers)
{
    eh_err err;
    const double score[2] = {1, INFINITY};
    const bool both[2] = {true, true}, none[2] = {false, false}, one[2] = {true, false};
    double auc = 7;
    CHECK_FAILS(eh_auc(x12, both, 2, &auc, &err), EH_EDOM, "2 of 2 are positive");
    CHECK_FAILS(eh_auc(x12, none, 2, &auc, &err), EH_EDOM, "0 of 2 are positive");
    CHECK_FAILS(eh_auc(x12, none, 0, &auc, &err), EH_EDOM, "0 of 0");
    CHECK_FAILS(eh_auc(score, one, 2, &auc, &err), EH_ENUMERIC, "score 1");
    CHECK(auc == 7);
}

/* ---- Many units: r, rho, within -------------------------------------------------------------------- */

/* Two groups of two: x less its means is -1, 1, -1, 1 and y -1, 1, 1, -1 in unit 0 (r = 0), x is
 * -1, 1, 1, -1 in unit 1 (r = 1), and unit 2 varies between the groups only. */
TEST(within_worked_by_hand)
{
    eh_err err;
    const float x[4 * 3] = {0, 10, 5, 2, 12, 5, 8, 3, 6, 10, 1, 6};
    const double y[4] = {0, 2, 7, 5};
    const int32_t group[4] = {-9, -9, 4, 4};
    double r[3];
    CHECK_OK(eh_correlate_within(x, y, group, 4, 3, r, &err));
    CHECK_NEAR(r[0], 0, 0);
    CHECK_NEAR(r[1], 1, 1e-15);
    CHECK(isnan(r[2]));
}

TEST(within_one_group_is_pearson)
{
    eh_err err;
    const int32_t same[12] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
    float x[12];
    double r, none, one;
    floats(x12, 12, x);
    CHECK_OK(eh_pearson(x12, y12, 12, &r, &err));
    CHECK_OK(eh_correlate_within(x, y12, NULL, 12, 1, &none, &err));
    CHECK_OK(eh_correlate_within(x, y12, same, 12, 1, &one, &err));
    CHECK_NEAR(none, r, 1e-15);
    CHECK_NEAR(one, none, 0);
}

/* Means of 0.7 and 1.3 over 7 items round; a measure that is constant in each group must not be taken to vary. */
TEST(within_is_not_fooled_by_the_rounding_of_a_mean)
{
    eh_err err;
    float x[21];
    double y[21], r = 7;
    int32_t group[21];
    for (int i = 0; i < 21; i++) {
        x[i] = (float)(i * i % 11);
        group[i] = i / 7;
        y[i] = 0.1 + 0.6 * group[i];
    }
    CHECK_FAILS(eh_correlate_within(x, y, group, 21, 1, &r, &err), EH_EDOM, "within any group");
    CHECK(r == 7);
}

/* Each group's shift of x and of y may be anything. */
TEST(within_does_not_hear_of_the_groups_means)
{
    eh_err err;
    float x[12], moved[12];
    double y[12], r, again;
    floats(x12, 12, x);
    for (int i = 0; i < 12; i++) {
        moved[i] = x[i] + (float)(64 * by_four[i]);
        y[i] = y12[i] - 100 * by_four[i];
    }
    CHECK_OK(eh_correlate_within(x, y12, by_four, 12, 1, &r, &err));
    CHECK_OK(eh_correlate_within(moved, y, by_four, 12, 1, &again, &err));
    CHECK_NEAR(r, 0.74683621567598868, 1e-15); /* numpy: xc @ yc / sqrt(xc @ xc * (yc @ yc)), centred by stratum */
    CHECK_NEAR(again, r, 1e-13);
}

TEST(correlate_gives_each_unit_what_two_columns_give)
{
    enum { N = 60, UNITS = 9 };
    eh_err err;
    float x[N * UNITS];
    double y[N], column[N];
    int32_t stratum[N], cluster[N];
    eh_correlation c[UNITS];
    int64_t n_constant = -1;
    eh_rng r = eh_rng_at(1, "test columns", 0);
    for (int i = 0; i < N; i++) {
        y[i] = eh_rng_normal(&r);
        stratum[i] = 7 - i % 10;
        cluster[i] = i % 5 * 1000;
        for (int u = 0; u < UNITS; u++)
            x[i * UNITS + u] = (float)(floor(4 * eh_rng_normal(&r)) + u * y[i]);
    }
    const eh_sample s = {x, y, stratum, cluster, N, UNITS};
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){.n_permutation = 99, .n_bootstrap = 99}, c, &n_constant, &err));
    double within[UNITS];
    CHECK_OK(eh_correlate_within(x, y, stratum, N, UNITS, within, &err));
    CHECK_INT(n_constant, 0);
    for (int u = 0; u < UNITS; u++) {
        double pearson, spearman;
        for (int i = 0; i < N; i++)
            column[i] = (double)x[i * UNITS + u];
        CHECK_OK(eh_pearson(column, y, N, &pearson, &err));
        CHECK_OK(eh_spearman(column, y, N, &spearman, &err));
        CHECK_NEAR(c[u].r, pearson, 1e-14);
        CHECK_NEAR(c[u].rho, spearman, 1e-14);
        CHECK_NEAR(c[u].within, within[u], 0);
        CHECK_INT(c[u].n, N);
        CHECK(!c[u].constant);
    }
}

/* ---- The permutation test --------------------------------------------------------------------------- */

/* All 4!^3 = 13,824 permutations within strata: 356 are as far out (numpy and itertools.permutations,
 * ties by 1e-9). 99,999 random ones have a standard error of 0.0005. */
TEST(p_is_the_share_of_permutations_within_strata)
{
    eh_err err;
    float x[12];
    eh_correlation c;
    floats(x12, 12, x);
    const eh_sample s = {x, y12, by_four, by_four, 12, 1};
    const eh_correlate_options options = {.seed = 1, .n_permutation = 99999, .n_bootstrap = 9};
    CHECK_OK(eh_correlate(&s, &options, &c, NULL, &err));
    CHECK_NEAR(c.p, 356.0 / 13824, 0.0015);
    CHECK_INT(c.n_permutation, 99999);
}

/* Small whole numbers, so that many permutations tie with what was found; in other units the tied sums round
 * apart, and must still count. The permutations are the same for the same seed, hence so is p, to the bit. */
TEST(p_counts_ties_whatever_the_unit)
{
    enum { N = 24, UNITS = 40 };
    eh_err err;
    float x[N * UNITS];
    double y[N], scaled[N];
    int32_t stratum[N];
    eh_correlation want[UNITS], c[UNITS];
    eh_rng r = eh_rng_at(1, "test ties", 0);
    for (int i = 0; i < N; i++) {
        stratum[i] = i / 4;
        y[i] = (double)eh_rng_below(&r, 3);
        for (int u = 0; u < UNITS; u++)
            x[i * UNITS + u] = (float)eh_rng_below(&r, 3);
    }
    const eh_correlate_options options = {.seed = 3, .n_permutation = 999, .n_bootstrap = 1};
    const eh_sample plain = {x, y, stratum, stratum, N, UNITS}, other = {x, scaled, stratum, stratum, N, UNITS};
    CHECK_OK(eh_correlate(&plain, &options, want, NULL, &err));
    for (double unit = 0.1; unit < 1000; unit *= 9.7) {
        for (int i = 0; i < N; i++)
            scaled[i] = unit * (y[i] + 0.3);
        CHECK_OK(eh_correlate(&other, &options, c, NULL, &err));
        for (int u = 0; u < UNITS; u++)
            CHECK_NEAR(c[u].p, want[u].p, 0);
    }
}

/* What a template has in common moves r, and moves neither `within` nor p. */
TEST(p_says_nothing_on_differences_between_strata)
{
    eh_err err;
    float x[40 * 2];
    double y[40];
    int32_t stratum[40];
    eh_correlation c[2];
    eh_rng r = eh_rng_at(1, "test between", 0);
    for (int i = 0; i < 40; i++) {
        stratum[i] = i / 4;
        y[i] = stratum[i] + 0.1 * eh_rng_normal(&r);
        x[2 * i] = (float)(0.1 * stratum[i]); /* the same in all four */
        x[2 * i + 1] = (float)(stratum[i] + 0.1 * eh_rng_normal(&r));
    }
    const eh_sample s = {x, y, stratum, stratum, 40, 2};
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){.seed = 1, .n_bootstrap = 99}, c, NULL, &err));
    CHECK(c[0].r > 0.95 && c[1].r > 0.95);
    CHECK(isnan(c[0].within) && c[0].p == 1 && !c[0].constant);
    CHECK(fabs(c[1].within) < 0.5 && c[1].p > 0.05);
}

/* Units that have no more to do with the measure than what templates do to both. Under such a null 5 % of
 * 1,000 units have p <= 0.05, 50 with a standard deviation of 6.9; without strata nearly all. */
enum { NULL_ITEMS = 96, NULL_UNITS = 1000 };

static void make_null(float *x, double *y, int32_t *stratum, double template_effect)
{
    eh_rng r = eh_rng_at(5, "test null", 0);
    for (int i = 0; i < NULL_ITEMS; i++) {
        stratum[i] = i / 6;
        y[i] = template_effect * (stratum[i] % 4) + eh_rng_normal(&r);
        for (int u = 0; u < NULL_UNITS; u++)
            x[i * NULL_UNITS + u] = (float)(template_effect * (stratum[i] % 4) + eh_rng_normal(&r));
    }
}

TEST(p_is_uniform_where_there_is_no_effect)
{
    eh_err err;
    static float x[NULL_ITEMS * NULL_UNITS];
    static double y[NULL_ITEMS];
    static int32_t stratum[NULL_ITEMS], one[NULL_ITEMS];
    static eh_correlation c[NULL_UNITS];
    int small = 0, naive = 0;
    double mean = 0;
    make_null(x, y, stratum, 1);
    eh_sample s = {x, y, stratum, stratum, NULL_ITEMS, NULL_UNITS};
    const eh_correlate_options options = {.seed = 2, .n_permutation = 1999, .n_bootstrap = 20, .n_thread = 2};
    CHECK_OK(eh_correlate(&s, &options, c, NULL, &err));
    for (int u = 0; u < NULL_UNITS; u++) {
        small += c[u].p <= 0.05;
        mean += c[u].p / NULL_UNITS;
    }
    s.stratum = one;
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){.n_permutation = 199, .n_bootstrap = 20}, c, NULL, &err));
    for (int u = 0; u < NULL_UNITS; u++)
        naive += c[u].p <= 0.05;
    print_message("p <= 0.05: %d of %d within strata, %d without; mean p %.3f\n", small, NULL_UNITS, naive, mean);
    CHECK(small >= 30 && small <= 70); /* binomial(1000, 0.05): 99.7 % of it */
    /* Three standard errors: sqrt(1/12/1000) = 0.009 of the units, and as much of the shared permutations
     * (from 300 seeds). */
    CHECK_NEAR(mean, 0.5, 0.04);
    CHECK(naive > 900);
}

/* The looks: a p from whichever of the three came last must still be a p. From a first look of 99
 * permutations all levels below 0.2 rest on the second or third. */
TEST(p_is_valid_after_the_second_and_third_look)
{
    eh_err err;
    enum { N = 24, UNITS = 2000 };
    static float x[N * UNITS];
    static eh_correlation c[UNITS];
    double y[N];
    int32_t stratum[N];
    eh_rng r = eh_rng_at(8, "test looks", 0);
    for (int i = 0; i < N; i++) {
        stratum[i] = i / 8;
        y[i] = eh_rng_normal(&r);
        for (int u = 0; u < UNITS; u++)
            x[i * UNITS + u] = (float)eh_rng_normal(&r);
    }
    const eh_sample s = {x, y, stratum, stratum, N, UNITS};
    const eh_correlate_options options = {.seed = 4, .n_permutation = 99, .n_bootstrap = 1, .n_thread = 2};
    CHECK_OK(eh_correlate(&s, &options, c, NULL, &err));
    const double level[6] = {0.005, 0.02, 0.05, 0.1, 0.2, 0.5};
    for (int k = 0; k < 6; k++) {
        int n = 0;
        for (int u = 0; u < UNITS; u++)
            n += c[u].p <= level[k];
        print_message("p <= %g: %.4f of %d\n", level[k], (double)n / UNITS, UNITS);
        /* Units are independent given y and its permutations: binomial, and three standard errors of it. Where
         * two looks meet, at 20/100 and 20/1000, both must be passed: fewer than the level. */
        const double three_se = 3 * sqrt(level[k] * (1 - level[k]) / UNITS);
        CHECK((double)n / UNITS <= level[k] + three_se);
        CHECK(level[k] == 0.02 || level[k] == 0.2 || (double)n / UNITS >= level[k] - three_se);
    }
}

TEST(p_has_more_permutations_where_it_is_small)
{
    eh_err err;
    enum { N = 60 };
    float x[N * 2];
    double y[N];
    int32_t stratum[N];
    eh_correlation c[2];
    eh_rng r = eh_rng_at(1, "test more", 0);
    for (int i = 0; i < N; i++) {
        stratum[i] = i / 6;
        y[i] = eh_rng_normal(&r);
        x[2 * i] = (float)-y[i];
        x[2 * i + 1] = (float)eh_rng_normal(&r);
    }
    const eh_sample s = {x, y, stratum, stratum, N, 2};
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){.n_permutation = 499, .n_bootstrap = 50}, c, NULL, &err));
    CHECK_INT(c[0].n_permutation, 9999); /* 20 (499 + 1) - 1 */
    CHECK_NEAR(c[0].p, 1e-4, 1e-18);
    CHECK_NEAR(c[0].r, -1, 1e-12);
    CHECK_INT(c[1].n_permutation, 499);
    CHECK(c[1].p > 0.05);
}

/* A later look goes on where the one before ended: 99 permutations and then 900 are the first 999. */
TEST(p_of_a_later_look_is_that_of_as_many_permutations_at_once)
{
    eh_err err;
    enum { N = 48, UNITS = 60 };
    float x[N * UNITS];
    double y[N];
    int32_t stratum[N];
    eh_correlation looked[UNITS], once[UNITS];
    eh_rng r = eh_rng_at(1, "test later", 0);
    for (int i = 0; i < N; i++) {
        stratum[i] = i / 6;
        y[i] = eh_rng_normal(&r);
        for (int u = 0; u < UNITS; u++)
            x[i * UNITS + u] = (float)(eh_rng_normal(&r) + 0.3 * y[i]);
    }
    const eh_sample s = {x, y, stratum, stratum, N, UNITS};
    int n = 0;
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){.n_permutation = 99, .n_bootstrap = 1}, looked, NULL, &err));
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){.n_permutation = 999, .n_bootstrap = 1}, once, NULL, &err));
    for (int u = 0; u < UNITS; u++) {
        if (looked[u].n_permutation != 999)
            continue;
        CHECK_INT(once[u].n_permutation, 999);
        CHECK_NEAR(looked[u].p, once[u].p, 0);
        n++;
    }
    CHECK(n >= 10);
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

TEST(correlate_is_the_same_bytes_for_any_number_of_threads)
{
    eh_err err;
    static float x[NULL_ITEMS * NULL_UNITS];
    static double y[NULL_ITEMS];
    static int32_t stratum[NULL_ITEMS];
    static eh_correlation c[4][NULL_UNITS];
    make_null(x, y, stratum, 0);
    for (int i = 0; i < NULL_ITEMS; i++)
        x[i * NULL_UNITS] = (float)y[i]; /* one unit goes through all looks */
    const eh_sample s = {x, y, stratum, stratum, NULL_ITEMS, NULL_UNITS};
    for (int t = 0; t < 4; t++) {
        const eh_correlate_options options = {
            .seed = t < 3 ? 1 : 2, .n_permutation = 199, .n_bootstrap = 50, .n_thread = t < 3 ? t + 1 : 1};
        CHECK_OK(eh_correlate(&s, &options, c[t], NULL, &err));
    }
    int differ = 0;
    for (int u = 0; u < NULL_UNITS; u++) {
        for (int t = 1; t < 3; t++)
            CHECK(same(c[0][u].r, c[t][u].r) && same(c[0][u].rho, c[t][u].rho) &&
                  same(c[0][u].within, c[t][u].within) && same(c[0][u].p, c[t][u].p) &&
                  same(c[0][u].low, c[t][u].low) && same(c[0][u].high, c[t][u].high) &&
                  c[0][u].n_permutation == c[t][u].n_permutation);
        differ += c[0][u].p != c[3][u].p; /* another seed */
    }
    CHECK(differ > NULL_UNITS / 2);
}

/* A unit's p and interval are its own, whoever stands beside it. */
TEST(correlate_of_a_unit_does_not_hear_of_the_others)
{
    eh_err err;
    static float x[NULL_ITEMS * NULL_UNITS];
    static double y[NULL_ITEMS];
    static int32_t stratum[NULL_ITEMS];
    static eh_correlation c[NULL_UNITS];
    float column[NULL_ITEMS];
    eh_correlation alone;
    make_null(x, y, stratum, 0);
    const eh_sample s = {x, y, stratum, stratum, NULL_ITEMS, NULL_UNITS};
    const eh_correlate_options options = {.seed = 1, .n_permutation = 199, .n_bootstrap = 50};
    CHECK_OK(eh_correlate(&s, &options, c, NULL, &err));
    for (int u = 0; u < NULL_UNITS; u += 133) {
        for (int i = 0; i < NULL_ITEMS; i++)
            column[i] = x[i * NULL_UNITS + u];
        const eh_sample one = {column, y, stratum, stratum, NULL_ITEMS, 1};
        CHECK_OK(eh_correlate(&one, &options, &alone, NULL, &err));
        CHECK(same(alone.p, c[u].p) && same(alone.r, c[u].r) && same(alone.low, c[u].low) &&
              same(alone.high, c[u].high));
    }
}

/* ---- Intervals ----------------------------------------------------------------------------------------- */

/* scipy.stats.bootstrap((x, y), lambda a, b: pearsonr(a, b)[0], paired=True, vectorized=False,
 * n_resamples=20000, method=..., random_state=1): BCa 0.5515 to 0.9439, percentile 0.5681 to 0.9474.
 * An end of 20,000 draws has a standard error of about 0.004. */
TEST(interval_agrees_with_scipy)
{
    eh_err err;
    float x[12];
    const int32_t own[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    eh_correlation c;
    floats(x12, 12, x);
    const eh_sample s = {x, y12, by_four, own, 12, 1};
    eh_correlate_options options = {.seed = 1, .n_permutation = 99, .n_bootstrap = 20000, .n_thread = 2};
    CHECK_OK(eh_correlate(&s, &options, &c, NULL, &err));
    CHECK_STR(c.method, "bca");
    CHECK_NEAR(c.low, 0.5515, 0.015);
    CHECK_NEAR(c.high, 0.9439, 0.006);
    options.percentile = true;
    CHECK_OK(eh_correlate(&s, &options, &c, NULL, &err));
    CHECK_STR(c.method, "percentile");
    CHECK_NEAR(c.low, 0.5681, 0.015);
    CHECK_NEAR(c.high, 0.9474, 0.006);
}

/* Every item twice is no news when the copies share a cluster, and shortens the interval when they do not. */
TEST(interval_draws_clusters)
{
    eh_err err;
    enum { N = 40 };
    float x[2 * N];
    double y[2 * N];
    int32_t stratum[2 * N], pair[2 * N], own[2 * N];
    eh_correlation once, twice, naive;
    eh_rng r = eh_rng_at(3, "test clusters", 0);
    for (int i = 0; i < N; i++) {
        y[i] = y[i + N] = eh_rng_normal(&r);
        x[i] = x[i + N] = (float)(y[i] + eh_rng_normal(&r));
        pair[i] = pair[i + N] = i;
        stratum[i] = stratum[i + N] = i / 4;
        own[i] = i;
        own[i + N] = N + i;
    }
    const eh_correlate_options options = {.seed = 1, .n_permutation = 99, .n_bootstrap = 2000};
    const eh_sample a = {x, y, stratum, pair, N, 1}, b = {x, y, stratum, pair, 2 * N, 1};
    const eh_sample c = {x, y, stratum, own, 2 * N, 1};
    CHECK_OK(eh_correlate(&a, &options, &once, NULL, &err));
    CHECK_OK(eh_correlate(&b, &options, &twice, NULL, &err));
    CHECK_OK(eh_correlate(&c, &options, &naive, NULL, &err));
    CHECK_NEAR(twice.low, once.low, 1e-12);
    CHECK_NEAR(twice.high, once.high, 1e-12);
    CHECK(naive.high - naive.low < 0.85 * (twice.high - twice.low)); /* 1/sqrt(2) in theory */
}

TEST(interval_of_one_cluster_is_none)
{
    eh_err err;
    const int32_t one[12] = {0};
    float x[12];
    eh_correlation c;
    floats(x12, 12, x);
    const eh_sample s = {x, y12, by_four, one, 12, 1};
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){.n_permutation = 99}, &c, NULL, &err));
    CHECK_STR(c.method, "none");
    CHECK(isnan(c.low) && isnan(c.high));
    CHECK_NEAR(c.r, 0.81011654926558985, 1e-14);
}

/* ---- What is refused, and constant units ---------------------------------------------------------------- */

/* The published defect: the maximum of a causal attention map is 1 on every item. Such a column is flagged,
 * also when it is the sum of a softmax row and off by a rounding or two. */
TEST(constant_units_are_flagged_and_counted)
{
    eh_err err;
    float x[12 * 3];
    eh_correlation c[3];
    int64_t n_constant = -1;
    for (int i = 0; i < 12; i++) {
        x[3 * i] = 1;
        x[3 * i + 1] = (float)x12[i];
        x[3 * i + 2] = i % 3 == 0 ? 0.99999994f : i % 3 == 1 ? 1.0f : 1.0000001f;
    }
    const eh_sample s = {x, y12, by_four, by_four, 12, 3};
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){.n_permutation = 99, .n_bootstrap = 99}, c, &n_constant, &err));
    CHECK_INT(n_constant, 2);
    for (int u = 0; u < 3; u += 2) {
        CHECK(c[u].constant && isnan(c[u].r) && isnan(c[u].rho) && isnan(c[u].within) && isnan(c[u].low));
        CHECK(c[u].p == 1);
        CHECK_STR(c[u].method, "none");
    }
    CHECK(!c[1].constant && c[1].p < 1);
    CHECK_NEAR(c[1].r, 0.81011654926558985, 1e-14);
}

TEST(correlate_of_constant_units_alone_is_no_crash)
{
    eh_err err;
    const float x[12] = {0};
    eh_correlation c;
    int64_t n_constant = 0;
    const eh_sample s = {x, y12, by_four, by_four, 12, 1};
    CHECK_OK(eh_correlate(&s, &(eh_correlate_options){0}, &c, &n_constant, &err));
    CHECK(c.constant && c.p == 1);
    CHECK_INT(n_constant, 1);
}

TEST(correlate_refuses_what_has_no_answer)
{
    eh_err err;
    const int32_t own[12] = {11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};
    const double flat[12] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
    const double steps[12] = {0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.7, 0.7, 0.7, 0.7};
    double bad[12];
    float x[12], inf[12];
    floats(x12, 12, x);
    floats(x12, 12, inf);
    memcpy(bad, y12, sizeof bad);
    bad[7] = NAN;
    inf[3] = INFINITY;
    eh_correlation c = {.p = 7};
    int64_t n = 7;
    const eh_correlate_options options = {.n_permutation = 9, .n_bootstrap = 9};
    eh_sample s = {x, y12, own, own, 12, 1};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_EDOM, "nothing to permute");
    s = (eh_sample){x, flat, by_four, own, 12, 1};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_EDOM, "does not vary at all");
    s = (eh_sample){x, steps, by_four, own, 12, 1};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_EDOM, "does not vary within any stratum");
    s = (eh_sample){x, bad, by_four, own, 12, 1};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_ENUMERIC, "measure of item 7");
    s = (eh_sample){inf, y12, by_four, own, 6, 2};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_ENUMERIC, "unit 1 on item 1");
    s = (eh_sample){x, y12, by_four, own, 2, 1};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_EDOM, "2 items");
    s = (eh_sample){x, y12, by_four, own, 12, 0};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_EINVAL, "0 units");
    s = (eh_sample){x, y12, by_four, own, 12, INT64_MAX / 4};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_EINVAL, "of either can be had");
    s = (eh_sample){x, y12, by_four, own, INT64_MAX / 4, 1};
    CHECK_FAILS(eh_correlate(&s, &options, &c, &n, &err), EH_EINVAL, "of either can be had");
    s = (eh_sample){x, y12, by_four, own, 12, 1};
    CHECK_FAILS(eh_correlate(&s, &(eh_correlate_options){.n_permutation = -1}, &c, &n, &err), EH_EINVAL,
                "-1 permutations");
    CHECK_FAILS(eh_correlate(&s, &(eh_correlate_options){.n_bootstrap = -1}, &c, &n, &err), EH_EINVAL, "-1 resamples");
    CHECK_FAILS(eh_correlate(&s, &(eh_correlate_options){.level = 2}, &c, &n, &err), EH_EINVAL, "level is 2");
    CHECK(c.p == 7 && n == 7);

    double r = 7;
    CHECK_FAILS(eh_correlate_within(x, steps, by_four, 12, 1, &r, &err), EH_EDOM, "within any group");
    CHECK_FAILS(eh_correlate_within(x, flat, NULL, 12, 1, &r, &err), EH_EDOM, "at all");
    CHECK_FAILS(eh_correlate_within(inf, y12, by_four, 12, 1, &r, &err), EH_ENUMERIC, "unit 0 on item 3");
    CHECK(r == 7);
}

/* ---- Reliability -------------------------------------------------------------------------------------------- */

/* Units whose true r spreads with variance tau^2 = 3/n, measured on n items with noise of 1/n: two halves
 * agree to tau^2 / (tau^2 + 2/n) = 0.6, and the whole map to 3/4 with another of its kind. */
enum { MAP_ITEMS = 400, MAP_UNITS = 400 };

static void make_map(float *x, double *y, int32_t *cluster, double spread)
{
    double loading[MAP_UNITS];
    eh_rng r = eh_rng_at(6, "test map", 0);
    for (int u = 0; u < MAP_UNITS; u++)
        loading[u] = spread * eh_rng_normal(&r);
    for (int i = 0; i < MAP_ITEMS; i++) {
        cluster[i] = i / 4;
        y[i] = eh_rng_normal(&r);
        for (int u = 0; u < MAP_UNITS; u++)
            x[i * MAP_UNITS + u] = (float)(loading[u] * y[i] + eh_rng_normal(&r));
    }
}

TEST(split_half_finds_the_reliability_that_was_planted)
{
    eh_err err;
    static float x[MAP_ITEMS * MAP_UNITS];
    static double y[MAP_ITEMS];
    static int32_t cluster[MAP_ITEMS];
    eh_reliability a, b, none;
    make_map(x, y, cluster, sqrt(3.0 / MAP_ITEMS));
    const eh_sample s = {x, y, cluster, cluster, MAP_ITEMS, MAP_UNITS};
    CHECK_OK(eh_split_half(&s, &(eh_halves_options){.seed = 1, .n_thread = 2}, &a, &err));
    CHECK_OK(eh_split_half(&s, &(eh_halves_options){.seed = 1, .n_thread = 1}, &b, &err));
    print_message("planted 0.6 and 0.75: %.3f and %.3f (%.3f to %.3f)\n", a.half, a.value, a.low, a.high);
    CHECK(a.defined);
    CHECK_NEAR(a.half, 0.6, 0.08); /* the variance of 400 loadings is off by 7 % (1 sd), 0.6 by 0.017; y's by more */
    CHECK_NEAR(a.value, 2 * a.half / (1 + a.half), 1e-15);
    CHECK(a.low < a.value && a.value < a.high);
    CHECK_INT(a.n_split, EH_SPLITS);
    CHECK_INT(a.n_undefined, 0);
    CHECK(same(a.half, b.half) && same(a.low, b.low) && same(a.high, b.high));

    CHECK_OK(eh_split_half(&s, &(eh_halves_options){.seed = 1, .within = true}, &b, &err));
    CHECK_NEAR(b.half, 0.53, 0.08); /* a quarter of the freedom went into the means: 3/4 n items, 2.25 / 4.25 */

    make_map(x, y, cluster, 0);
    CHECK_OK(eh_split_half(&s, &(eh_halves_options){.seed = 1}, &none, &err));
    print_message("of noise: %.3f (%.3f to %.3f)\n", none.value, none.low, none.high);
    CHECK(fabs(none.value) < 0.3);
}

/* With two clusters there is one split, and it can be done by hand. */
TEST(split_half_of_two_clusters_is_the_agreement_of_their_maps)
{
    eh_err err;
    enum { UNITS = 5 };
    float x[12 * UNITS];
    double one[UNITS], two[UNITS];
    int32_t cluster[12];
    eh_reliability s;
    eh_map_agreement m;
    eh_rng r = eh_rng_at(3, "test two", 0);
    for (int i = 0; i < 12; i++) {
        cluster[i] = i < 6 ? -3 : 12;
        for (int u = 0; u < UNITS; u++)
            x[i * UNITS + u] = u == 4 && i < 6 ? 1 : (float)(eh_rng_normal(&r) + 0.5 * u * y12[i]);
    }
    const eh_sample sample = {x, y12, by_four, cluster, 12, UNITS};
    CHECK_OK(eh_split_half(&sample, &(eh_halves_options){.n_split = 7}, &s, &err));
    CHECK_OK(eh_correlate_within(x, y12, NULL, 6, UNITS, one, &err));
    CHECK_OK(eh_correlate_within(x + 6 * UNITS, y12 + 6, NULL, 6, UNITS, two, &err));
    CHECK_OK(eh_map_correlation(one, two, UNITS, &m, &err));
    CHECK_INT(m.n, 4); /* unit 4 is constant in the first half */
    CHECK_NEAR(s.half, m.r, 1e-14);
    CHECK_NEAR(s.low, s.value, 1e-14);
    CHECK_INT(s.n_undefined, 0);
}

/* Halves that contradict each other: r = -1, where 2r/(1 + r) is minus infinity. */
TEST(split_half_does_not_run_off_below)
{
    eh_err err;
    const float x[6 * 3] = {1, -1, 0.3f, 2, -2, 0.1f, 3, -3, 0.2f, -1, 1, 0.3f, -2, 2, 0.5f, -3, 3, 0.4f};
    const double y[6] = {1, 2, 3, 1, 2, 3};
    const int32_t cluster[6] = {0, 0, 0, 1, 1, 1};
    const eh_sample s = {x, y, cluster, cluster, 6, 3};
    eh_reliability e;
    CHECK_OK(eh_split_half(&s, &(eh_halves_options){0}, &e, &err));
    CHECK_NEAR(e.half, -1, 1e-12);
    CHECK_NEAR(e.value, -1, 0);
}

TEST(split_half_counts_what_is_not_defined)
{
    eh_err err;
    const double steps[12] = {1, 1, 1, 1, 2, 2, 2, 2, 1, 2, 1, 3};
    const int32_t two[12] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1};
    float x[12 * 3];
    eh_reliability e;
    for (int i = 0; i < 36; i++)
        x[i] = (float)(i * i % 7);
    const eh_sample s = {x, steps, by_four, two, 12, 3};
    CHECK_OK(eh_split_half(&s, &(eh_halves_options){.within = true, .n_split = 10}, &e, &err));
    CHECK(!e.defined && isnan(e.value) && isnan(e.half) && isnan(e.low));
    CHECK_INT(e.n_undefined, 10);
}

TEST(split_half_refuses_what_cannot_be_split)
{
    eh_err err;
    const int32_t one[12] = {0};
    float x[36];
    eh_reliability e = {.half = 7};
    for (int i = 0; i < 36; i++)
        x[i] = (float)(i * i % 7);
    eh_sample s = {x, y12, by_four, one, 12, 3};
    CHECK_FAILS(eh_split_half(&s, &(eh_halves_options){0}, &e, &err), EH_EDOM, "1 clusters");
    s = (eh_sample){x, y12, by_four, by_four, 12, 2};
    CHECK_FAILS(eh_split_half(&s, &(eh_halves_options){0}, &e, &err), EH_EDOM, "2 units");
    s.n_unit = 3;
    CHECK_FAILS(eh_split_half(&s, &(eh_halves_options){.n_split = -2}, &e, &err), EH_EINVAL, "-2 splits");
    CHECK_FAILS(eh_split_half(&s, &(eh_halves_options){.level = NAN}, &e, &err), EH_EINVAL, "level");
    x[4] = NAN;
    CHECK_FAILS(eh_split_half(&s, &(eh_halves_options){0}, &e, &err), EH_ENUMERIC, "unit 1 on item 1");
    CHECK(e.half == 7);
}

TEST(map_correlation_leaves_units_without_a_value_out)
{
    eh_err err;
    const double a[5] = {1, NAN, 2, 3, 9}, b[5] = {1, 5, 2, 4, NAN}, inf[5] = {1, 2, INFINITY, 4, 5};
    eh_map_agreement m = {.r = 7};
    CHECK_OK(eh_map_correlation(a, b, 5, &m, &err));
    CHECK_INT(m.n, 3);
    CHECK_NEAR(m.r, 3 / sqrt(28.0 / 3), 1e-15);
    CHECK_NEAR(m.rho, 1, 1e-15);
    m.r = 7;
    CHECK_FAILS(eh_map_correlation(a, b, 3, &m, &err), EH_EDOM, "3 units, 2 with a value in both");
    CHECK_FAILS(eh_map_correlation(inf, inf, 5, &m, &err), EH_ENUMERIC, "inf");
    CHECK(m.r == 7);
}
