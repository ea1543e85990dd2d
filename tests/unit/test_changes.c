/* Before and after, from the records of two audits. */
#include "check.h"
#include "session.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/changes.h"

static double value_of(const eh_audit *a, const char *category, const char *score)
{
    const eh_score_row *row = eh_audit_get(a)->row;
    const int64_t n = eh_audit_get(a)->n_row;
    for (int64_t i = 0; i < n; i++)
        if (strcmp(row[i].category, category) == 0 && strcmp(row[i].score, score) == 0)
            return row[i].value;
    return NAN;
}

TEST(changes_are_the_audits_differences)
{
    char first[4096], second[4096];
    eh_session *on;
    eh_audit *before, *after;
    eh_changes same, c;
    eh_err err;
    snprintf(first, sizeof first, "%s", temp_dir());
    snprintf(second, sizeof second, "%s", temp_dir());
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), NULL, &on, &err));
    eh_audit_options o;
    eh_audit_options_init(&o, sizeof o);
    o.tasks = "pairs";
    o.probes = repo_path("data/probes");
    o.categories = "Gender,Age";
    o.out = first;
    o.resamples = 200;
    CHECK_OK(eh_audit_run(on, &o, &before, &err));

    /* The same folder twice: nothing changed, and nothing is claimed. */
    CHECK_OK(eh_changes_of(on, &o, first, first, &same, &err));
    CHECK(same.n > 0);
    for (int64_t i = 0; i < same.n; i++) {
        CHECK_NEAR(same.row[i].difference.e.value, 0.0, 0.0);
        CHECK_NEAR(same.row[i].difference.p, 1.0, 0.0);
    }

    const eh_unit_edit edit = {.kind = EH_UNIT_HEAD, .layer = 0, .index = 1, .mode = EH_EDIT_ZERO, .alpha = 1.0};
    CHECK_OK(eh_session_edit(on, &edit, 1, &err));
    o.out = second;
    CHECK_OK(eh_audit_run(on, &o, &after, &err));
    CHECK_OK(eh_changes_of(on, &o, first, second, &c, &err));
    for (int64_t i = 0; i < c.n; i++) {
        const eh_change *r = &c.row[i];
        CHECK_NEAR(r->before.value, value_of(before, r->category, r->score), 0.0);
        CHECK_NEAR(r->after.value, value_of(after, r->category, r->score), 0.0);
        CHECK_NEAR(r->difference.e.value, r->after.value - r->before.value, 1e-12);
        CHECK(r->q >= r->difference.p - 1e-12);
    }
    CHECK(eh_changes_find(&c, "pairs", "all", "log_ratio") != NULL);
    CHECK(eh_changes_find(&c, "pairs", "Nobody", "log_ratio") == NULL);
    eh_changes_clear(&c);

    /* Records of other items are not compared. */
    o.categories = "Gender";
    CHECK_FAILS(eh_changes_of(on, &o, first, second, &c, &err), EH_EFORMAT, "more than");
    eh_changes_clear(&same);
    eh_audit_close(before);
    eh_audit_close(after);
    session_close(on);
}
