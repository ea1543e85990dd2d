/* The three splits: by template, by name alone, no family without each of them. */
#include "check.h"

#include <string.h>

#include "job/split.h"

static const char *const names[] = {"Age/01", "Age/02", "Age/03", "Age/04", "Age/05", "Age/06", "Age/07", "Age/08",
                                    "SES/01", "SES/02", "SES/03"};
static const int32_t family[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1};

/* Of eight templates two fifths are three, a fifth is two; of three, one each. */
TEST(split_sizes_by_hand)
{
    eh_split s[11];
    eh_err err;
    int64_t n[2][4] = {{0}, {0}};
    CHECK_OK(eh_split_clusters(names, family, 11, s, &err));
    for (int i = 0; i < 11; i++)
        n[family[i]][s[i]]++;
    CHECK_INT(n[0][EH_SPLIT_SELECT], 3);
    CHECK_INT(n[0][EH_SPLIT_TUNE], 2);
    CHECK_INT(n[0][EH_SPLIT_TEST], 3);
    CHECK_INT(n[1][EH_SPLIT_SELECT], 1);
    CHECK_INT(n[1][EH_SPLIT_TUNE], 1);
    CHECK_INT(n[1][EH_SPLIT_TEST], 1);
}

/* A template's split does not depend on its place, nor on what other families are there. */
TEST(split_depends_on_names_alone)
{
    eh_split a[11], b[8];
    const char *turned[8];
    const int32_t one[8] = {5, 5, 5, 5, 5, 5, 5, 5};
    eh_err err;
    for (int i = 0; i < 8; i++)
        turned[i] = names[7 - i];
    CHECK_OK(eh_split_clusters(names, family, 11, a, &err));
    CHECK_OK(eh_split_clusters(turned, one, 8, b, &err));
    for (int i = 0; i < 8; i++)
        CHECK_INT(b[i], a[7 - i]);
}

/* With too few templates for three splits, the judge comes before the tuner. */
TEST(split_of_one_and_two)
{
    eh_split s[2];
    eh_err err;
    int64_t n[4] = {0};
    CHECK_OK(eh_split_clusters(names, family, 1, s, &err));
    CHECK_INT(s[0], EH_SPLIT_SELECT);
    CHECK_OK(eh_split_clusters(names, family, 2, s, &err));
    n[s[0]]++;
    n[s[1]]++;
    CHECK_INT(n[EH_SPLIT_SELECT], 1);
    CHECK_INT(n[EH_SPLIT_TEST], 1);
}

TEST(split_names)
{
    CHECK_INT(eh_choice_find(EH_CHOICE_SPLIT, "tune")->value, EH_SPLIT_TUNE);
    CHECK(eh_choice_find(EH_CHOICE_SPLIT, "train") == NULL);
}
