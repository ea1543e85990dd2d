/* Which heads are taken: by sign, share of categories and false-discovery rate. */
#include "check.h"

#include <math.h>

#include "edit/select.h"

static const eh_select_options options = {.q = 0.05, .floor = 0.1, .share = 0.5};

/* Two layers of two heads, three categories: half of them is two.
 * Head (0,0) qualifies twice with one sign, (0,1) once, (1,0) twice with opposite signs, (1,1) everywhere. */
static const double r3[3 * 4] = {0.5, 0.6, 0.4, -0.2, 0.3, 0.05, -0.4, -0.3, 0.2, 0.9, 0.0, -0.4};
static const double q3[3 * 4] = {0.01, 0.01, 0.01, 0.04, 0.02, 0.01, 0.01, 0.01, 0.9, 0.2, 0.01, 0.03};

TEST(selection_by_hand)
{
    eh_pick p[4];
    eh_err err;
    int64_t n = 0;
    CHECK_OK(eh_select_heads(r3, q3, 3, 2, 2, &options, p, &n, &err));
    CHECK_INT(n, 2);
    CHECK_INT(p[0].layer, 1);
    CHECK_INT(p[0].head, 1);
    CHECK_INT(p[0].n_category, 3);
    CHECK_NEAR(p[0].weight, 0.9, 1e-12);
    CHECK_NEAR(p[0].score, -0.3, 1e-12);
    CHECK_NEAR(p[0].q, 0.01, 0.0);
    CHECK_INT(p[1].layer, 0);
    CHECK_INT(p[1].head, 0);
    CHECK_NEAR(p[1].weight, 0.8, 1e-12);
}

/* The published rule asks no test: (0,0) counts in all three, and (0,1), too. */
TEST(published_thresholds_take_more)
{
    eh_pick p[4];
    eh_err err;
    int64_t n = 0;
    CHECK_OK(eh_select_heads(r3, q3, 3, 2, 2, &eh_select_published, p, &n, &err));
    CHECK_INT(n, 4);
    CHECK_INT(p[0].head, 1);
    CHECK_NEAR(p[0].weight, 1.5, 1e-12);
}

/* A share that is a whole number of categories asks for that many, though 0.3 * 10 is a hair above 3 in double. */
TEST(a_whole_share_of_the_categories_is_not_rounded_up)
{
    static const double shares[] = {0.3, 0.1, 0.6, 0.7};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const eh_select_options some = {.q = 1.0, .floor = 0.1, .share = shares[i]};
        const int wanted = (int)(10 * shares[i] + 0.5);
        double r[10 * 2] = {0}, q[10 * 2] = {0}; /* the first head qualifies in just enough, the second in one fewer */
        eh_pick p[2];
        eh_err err;
        int64_t n = 0;
        for (int c = 0; c < wanted; c++) {
            r[2 * c] = 0.5;
            r[2 * c + 1] = c > 0 ? 0.5 : 0.0;
        }
        CHECK_OK(eh_select_heads(r, q, 10, 1, 2, &some, p, &n, &err));
        CHECK_INT(n, 1);
        CHECK_INT(p[0].head, 0);
    }
}

TEST(what_is_not_defined_never_qualifies)
{
    const double r[2] = {NAN, 0.9}, q[2] = {0.0, NAN};
    eh_pick p[2];
    eh_err err;
    int64_t n = 7;
    CHECK_OK(eh_select_heads(r, q, 1, 1, 2, &options, p, &n, &err));
    CHECK_INT(n, 0);
}

TEST(selection_refuses_nonsense)
{
    const eh_select_options wrong = {.q = 0.05, .floor = 0.1, .share = NAN};
    eh_pick p[4];
    eh_err err;
    int64_t n;
    CHECK_FAILS(eh_select_heads(r3, q3, 3, 2, 2, &wrong, p, &n, &err), EH_EINVAL, "selection by");
    CHECK_FAILS(eh_select_heads(r3, q3, 0, 2, 2, &options, p, &n, &err), EH_EINVAL, "no category");
}

/* A twin has the picks' layers, none of their heads while others are left, and no head twice. */
TEST(twin_matches_layers_and_avoids_the_picks)
{
    const eh_pick pick[3] = {{.layer = 1, .head = 2, .weight = 3.0}, {.layer = 0, .head = 0, .weight = 2.0},
                             {.layer = 1, .head = 5, .weight = 1.0}};
    eh_err err;
    bool differ = false;
    int64_t first = -1;
    for (int64_t draw = 0; draw < 20; draw++) {
        eh_pick t[3];
        CHECK_OK(eh_select_twin(pick, 3, 2, 8, 1, draw, t, &err));
        for (int i = 0; i < 3; i++) {
            CHECK_INT(t[i].layer, pick[i].layer);
            CHECK_NEAR(t[i].weight, pick[i].weight, 0.0);
            CHECK(t[i].head >= 0 && t[i].head < 8);
        }
        CHECK(t[0].head != 2 && t[0].head != 5 && t[2].head != 2 && t[2].head != 5 && t[0].head != t[2].head);
        CHECK(t[1].head != 0);
        differ |= first >= 0 && t[0].head != first;
        first = t[0].head;
    }
    CHECK(differ);
}

/* With more than half of a layer picked there are not enough others: then from all of it. */
TEST(twin_of_a_crowded_layer)
{
    const eh_pick pick[3] = {{.head = 0}, {.head = 1}, {.head = 2}};
    eh_pick t[3];
    eh_err err;
    CHECK_OK(eh_select_twin(pick, 3, 1, 4, 1, 0, t, &err));
    CHECK(t[0].head != t[1].head && t[1].head != t[2].head && t[0].head != t[2].head);
}
