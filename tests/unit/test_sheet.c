/* Score sheets: sums per template, and before against after. */
#include "check.h"

#include <math.h>

#include "stats/sheet.h"

static double share(const double *sum, const void *ctx)
{
    (void)ctx;
    return sum[0] / sum[1];
}

/* Templates 1, 3 and 4 of five are there; each has `right` of `n` answers. */
static void make(eh_sheet *s, const double right[3], const double n[3])
{
    const bool has[5] = {false, true, false, true, true};
    eh_err err;
    CHECK_OK(eh_sheet_open(s, has, 5, 2, &err));
    static const int64_t at[3] = {1, 3, 4};
    for (int i = 0; i < 3; i++) {
        eh_sheet_row(s, at[i])[0] = right[i];
        eh_sheet_row(s, at[i])[1] = n[i];
    }
    s->n_score = 1;
    s->score[0] = (eh_statistic){share, NULL, 12};
}

TEST(sheet_keeps_the_templates_that_are_there)
{
    eh_sheet s;
    make(&s, (double[]){1, 2, 3}, (double[]){4, 4, 4});
    CHECK_INT(s.n_cluster, 3);
    CHECK_INT(s.cluster[0], 1);
    CHECK_INT(s.cluster[2], 4);
    CHECK_NEAR(s.sum[2], 2.0, 0.0);
    eh_estimate e;
    eh_err err;
    CHECK_OK(eh_sheet_estimate(&s, &(eh_bootstrap_options){.seed = 1}, &e, &err));
    CHECK_NEAR(e.value, 0.5, 1e-15);
    CHECK_INT(e.n_cluster, 3);
    eh_sheet_clear(&s);
}

/* 6 of 12 before, 9 of 12 after: 0.25 more. Each template gained one: of the 8 ways to swap, only all and
 * none give a difference as large, so p = 2/8. */
TEST(difference_by_hand)
{
    eh_sheet b, a;
    eh_difference d;
    eh_err err;
    make(&b, (double[]){1, 2, 3}, (double[]){4, 4, 4});
    make(&a, (double[]){2, 3, 4}, (double[]){4, 4, 4});
    CHECK_OK(eh_sheet_difference(&b, &a, &(eh_bootstrap_options){.seed = 1}, &d, &err));
    CHECK_NEAR(d.e.value, 0.25, 1e-15);
    CHECK_NEAR(d.p, 0.25, 0.0);
    CHECK_NEAR(d.mde, 0.0, 1e-12); /* every template gained the same: no spread */
    eh_sheet_clear(&b);
    eh_sheet_clear(&a);
}

/* After against before is the same finding with its sign turned. */
TEST(difference_is_odd)
{
    eh_sheet b, a;
    eh_difference d, e;
    eh_err err;
    make(&b, (double[]){1, 2, 3}, (double[]){4, 5, 6});
    make(&a, (double[]){4, 1, 5}, (double[]){4, 5, 6});
    const eh_bootstrap_options options = {.seed = 3, .percentile = true};
    CHECK_OK(eh_sheet_difference(&b, &a, &options, &d, &err));
    CHECK_OK(eh_sheet_difference(&a, &b, &options, &e, &err));
    CHECK_NEAR(d.e.value, -e.e.value, 1e-15);
    CHECK_NEAR(d.e.low, -e.e.high, 1e-12);
    CHECK_NEAR(d.p, e.p, 0.0);
    CHECK(d.mde > 0.0);
    eh_sheet_clear(&b);
    eh_sheet_clear(&a);
}

/* Under no effect p is uniform: of 400 pairs of equal chance few have p <= 0.05. */
TEST(swap_p_holds_its_level)
{
    int found = 0;
    uint64_t state = 88172645463325252u; /* xorshift: any source of bits would do */
    for (int k = 0; k < 400; k++) {
        const bool has[12] = {true, true, true, true, true, true, true, true, true, true, true, true};
        eh_sheet s[2];
        eh_difference d;
        eh_err err;
        for (int w = 0; w < 2; w++) {
            CHECK_OK(eh_sheet_open(&s[w], has, 12, 2, &err));
            for (int i = 0; i < 12; i++) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                eh_sheet_row(&s[w], i)[0] = (double)(state % 9);
                eh_sheet_row(&s[w], i)[1] = 8.0;
            }
            s[w].n_score = 1;
            s[w].score[0] = (eh_statistic){share, NULL, 96};
        }
        CHECK_OK(eh_sheet_difference(&s[0], &s[1], &(eh_bootstrap_options){.seed = 1, .n_resample = 499}, &d, &err));
        found += d.p <= 0.05;
        eh_sheet_clear(&s[0]);
        eh_sheet_clear(&s[1]);
    }
    CHECK(found <= 36); /* mean 20, three standard deviations above it 33 */
    CHECK(found >= 5);
}

TEST(difference_refuses_other_templates)
{
    const bool has[5] = {true, true, false, true, false};
    eh_sheet b, a;
    eh_difference d = {.p = 7.0};
    eh_err err;
    make(&b, (double[]){1, 2, 3}, (double[]){4, 4, 4});
    CHECK_OK(eh_sheet_open(&a, has, 5, 2, &err));
    a.n_score = 1;
    a.score[0] = b.score[0];
    CHECK_FAILS(eh_sheet_difference(&b, &a, &(eh_bootstrap_options){.seed = 1}, &d, &err), EH_EINVAL,
                "the same templates");
    CHECK_NEAR(d.p, 7.0, 0.0);
    eh_sheet_clear(&b);
    eh_sheet_clear(&a);
}

/* 0/0 after: no difference, no p. */
TEST(difference_that_is_not_defined)
{
    eh_sheet b, a;
    eh_difference d;
    eh_err err;
    make(&b, (double[]){1, 2, 3}, (double[]){4, 4, 4});
    make(&a, (double[]){0, 0, 0}, (double[]){0, 0, 0});
    CHECK_OK(eh_sheet_difference(&b, &a, &(eh_bootstrap_options){.seed = 1}, &d, &err));
    CHECK(!d.e.defined && isnan(d.p) && isnan(d.mde));
    eh_sheet_clear(&b);
    eh_sheet_clear(&a);
}
