/* Options of programs that know fewer fields, as many, or more; and what the public enums are called. */
#include <string.h>

#include "base/options.h"
#include "check.h"
#include "evenhand.h"

static eh_err err;

/* What the struct was once, is, and will be. */
typedef struct old_options {
    size_t size;
    int64_t limit;
} old_options;

typedef struct now_options {
    size_t size;
    int64_t limit;
    double q;
    const char *name;
} now_options;

typedef struct new_options {
    size_t size;
    int64_t limit;
    double q;
    const char *name;
    int64_t more[2];
} new_options;

static void now_options_init(void *o, size_t size)
{
    const now_options initial = {.limit = 7, .q = 0.5, .name = "seven"};
    eh_options_init(o, size, &initial, sizeof initial);
}

static int take(now_options *own, const void *given)
{
    now_options_init(own, sizeof *own);
    return eh_options_take(own, sizeof *own, given, "now_options_init", &err);
}

TEST(options_are_taken_and_null_is_all_defaults)
{
    now_options o, own;
    now_options_init(&o, sizeof o);
    CHECK_INT(o.size, sizeof o);
    CHECK_INT(o.limit, 7);
    CHECK_STR(o.name, "seven");
    CHECK_OK(take(&own, NULL));
    CHECK(own.limit == 7 && own.q == 0.5 && own.size == sizeof own);
    o.limit = 0; /* 0 means 0 */
    o.q = 0.0;
    o.name = NULL;
    CHECK_OK(take(&own, &o));
    CHECK(own.limit == 0 && own.q == 0.0 && own.name == NULL);
}

/* A program that was built before q was there: q has its default, and the byte behind its struct is not touched. */
TEST(an_older_program_gets_the_default_of_what_it_does_not_know)
{
    struct {
        old_options o;
        int64_t guard;
    } x = {.guard = 99};
    now_options own;
    now_options_init(&x.o, sizeof x.o);
    CHECK(x.o.size == sizeof x.o && x.o.limit == 7 && x.guard == 99);
    x.o.limit = 3;
    CHECK_OK(take(&own, &x.o));
    CHECK(own.limit == 3 && own.q == 0.5);
    CHECK_STR(own.name, "seven");
    CHECK_INT(own.size, sizeof own);
}

/* One that was built for a later evenhand: fine as long as it sets nothing that is not there yet. */
TEST(a_newer_program_may_set_what_is_known)
{
    new_options o;
    now_options own;
    memset(&o, 0xff, sizeof o);
    now_options_init(&o, sizeof o);
    CHECK(o.size == sizeof o && o.limit == 7 && o.more[0] == 0 && o.more[1] == 0);
    o.limit = 4;
    CHECK_OK(take(&own, &o));
    CHECK_INT(own.limit, 4);
    o.more[1] = 1;
    own.limit = 77;
    CHECK_FAILS(eh_options_take(&own, sizeof own, &o, "now_options_init", &err), EH_EINVAL,
                "made for a newer evenhand");
    CHECK_INT(own.limit, 77);
}

TEST(options_that_were_never_filled_in_are_refused)
{
    now_options zeroed = {0}, own, garbage;
    memset(&garbage, 0xff, sizeof garbage);
    CHECK_FAILS(take(&own, &zeroed), EH_EINVAL, "options were not initialised: call now_options_init first");
    CHECK_FAILS(take(&own, &garbage), EH_EINVAL, "call now_options_init first");
    zeroed.size = sizeof(size_t) - 1;
    CHECK_FAILS(take(&own, &zeroed), EH_EINVAL, "call now_options_init first");
    now_options_init(&zeroed, sizeof(size_t) - 1); /* no room for the size: nothing is done */
    CHECK(zeroed.limit == 0 && zeroed.size == sizeof(size_t) - 1);
}

/* Every public struct of options begins with its size and has its defaults. */
TEST(defaults_are_what_the_header_says)
{
    eh_session_options session;
    eh_sampling sampling;
    eh_perplexity_options perplexity;
    eh_audit_options audit;
    eh_locate_options locate;
    eh_run_options run;
    eh_tune_options tune;
    eh_plant_options plant;
    eh_recipe_more more;
    eh_session_options_init(&session, sizeof session);
    eh_sampling_init(&sampling, sizeof sampling);
    eh_perplexity_options_init(&perplexity, sizeof perplexity);
    eh_audit_options_init(&audit, sizeof audit);
    eh_locate_options_init(&locate, sizeof locate);
    eh_run_options_init(&run, sizeof run);
    eh_tune_options_init(&tune, sizeof tune);
    eh_plant_options_init(&plant, sizeof plant);
    eh_recipe_more_init(&more, sizeof more);
    CHECK(session.size == sizeof session && sampling.size == sizeof sampling && perplexity.size == sizeof perplexity &&
          audit.size == sizeof audit && locate.size == sizeof locate && run.size == sizeof run &&
          tune.size == sizeof tune && plant.size == sizeof plant && more.size == sizeof more);
    CHECK(session.precision == EH_PRECISION_AUTO && session.threads == EH_ALL && session.memory == EH_AUTO);
    CHECK(sampling.top_p == 1.0 && sampling.top_k == EH_ALL && sampling.temperature == 0.0);
    CHECK(audit.split == EH_SPLIT_ALL && audit.limit == EH_ALL && audit.rows == EH_ALL && audit.seed == 0);
    CHECK(locate.split == EH_SPLIT_SELECT && locate.audit == NULL && locate.trace == 0);
    CHECK(run.heads == EH_AUTO && run.points == EH_BY_PRESET && run.train == EH_TUNE_BY_PRESET);
    CHECK(tune.split == EH_SPLIT_TUNE && tune.patience == EH_NO_LIMIT && tune.warmup == 0);
    CHECK(!plant.nothing && !more.seeded);
}

TEST(each_choice_has_a_name_and_is_found_by_it)
{
    for (int kind = 0; kind < EH_N_CHOICE_KIND; kind++) {
        int n;
        const eh_choice *c = eh_choices((eh_choice_kind)kind, &n);
        CHECK(c != NULL && n > 0);
        for (int i = 0; i < n; i++) {
            CHECK(c[i].name[0] != '\0' && c[i].words[0] != '\0');
            CHECK(strpbrk(c[i].name, ",| ") == NULL); /* they stand in lists */
            CHECK(eh_choice_find((eh_choice_kind)kind, c[i].name) == &c[i]);
            CHECK_STR(eh_choice_name((eh_choice_kind)kind, c[i].value), c[i].name);
        }
        CHECK(eh_choice_find((eh_choice_kind)kind, "nothing of the kind") == NULL);
        CHECK(eh_choice_find((eh_choice_kind)kind, NULL) == NULL);
        CHECK(eh_choice_name((eh_choice_kind)kind, 1000) == NULL);
    }
    int n = 7;
    CHECK(eh_choices(EH_N_CHOICE_KIND, &n) == NULL && n == 0);
}

/* Members that are indices elsewhere: none is left without a name. */
TEST(no_member_is_forgotten)
{
    static const struct {
        eh_choice_kind kind;
        int n;
    } dense[] = {{EH_CHOICE_PRECISION, EH_BF16 + 1}, {EH_CHOICE_PERPLEXITY, EH_PPL_ROLLING + 1},
                 {EH_CHOICE_UNIT, EH_UNIT_NEURON + 1}, {EH_CHOICE_EDIT_MODE, EH_EDIT_MEAN + 1},
                 {EH_CHOICE_SPLIT, EH_SPLIT_TEST + 1}, {EH_CHOICE_MEASURE, EH_N_MEASURE},
                 {EH_CHOICE_HEAD_STAT, EH_HEAD_N_STAT}, {EH_CHOICE_SELECTION, EH_SELECT_PUBLISHED + 1},
                 {EH_CHOICE_PRESET, EH_N_PRESET}, {EH_CHOICE_TUNE_GROUP, EH_TUNE_N_GROUP},
                 {EH_CHOICE_SCHEDULE, EH_SCHEDULE_CONSTANT + 1}, {EH_CHOICE_BETTER, EH_N_BETTER},
                 {EH_CHOICE_SCORE_KIND, EH_N_SCORE_KIND}};
    for (size_t k = 0; k < sizeof dense / sizeof *dense; k++)
        for (int value = 0; value < dense[k].n; value++)
            CHECK(eh_choice_name(dense[k].kind, value) != NULL);
    CHECK(eh_choice_find(EH_CHOICE_TUNE_GROUP, "none") == NULL); /* a training that trains nothing */
    CHECK_INT(eh_choice_find(EH_CHOICE_RUN_TRAIN, "none")->value, EH_TUNE_NONE);
    CHECK(eh_choice_find(EH_CHOICE_RUN_MODE, "mean") == NULL);
    CHECK_INT(eh_choice_find(EH_CHOICE_RUN_MODE, "zero")->value, EH_EDIT_ZERO);
}
