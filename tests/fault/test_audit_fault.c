/* An audit whose disk or memory fails at any point: a clean error, and a folder where the next run
 * finishes with the same records as if nothing had happened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "evenhand.h"

static const char *const samples[] = {"samples_probes.jsonl", "samples_pairs.jsonl", "samples_utility.jsonl"};
static eh_err err;
static eh_session *on;
static char probes[300], top[300];
static eh_buf undisturbed[3];

static void put(const char *name, const eh_buf *b)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", probes, name);
    CHECK_OK(eh_file_write(path, eh_buf_get(b), &err));
}

/* A probe set that is quick: two templates, 130 pairs (two blocks), three questions. */
static void make_probes(void)
{
    eh_buf b = {0};
    snprintf(probes, sizeof probes, "%s", temp_dir());
    for (int i = 1; i <= 2; i++)
        eh_buf_printf(&b,
                      "{\"id\": \"C/%d\", \"category\": \"C\", \"stereotyped\": \"s\", \"other\": \"o\", \"fills\": "
                      "[{\"stereotyped\": \"a%d\", \"other\": \"b\"}], \"context\": \"{X} {Y}\", \"disambig\": "
                      "\"{Y} {X}\", \"question_neg\": \"n\", \"question_nonneg\": \"m\", \"answer_neg\": \"X\", "
                      "\"answer_nonneg\": \"Y\"}\n",
                      i, i);
    put("bbq_form.jsonl", &b);
    eh_buf_reset(&b);
    eh_buf_str(&b, EH_STR("{\"phrases\": [\"not known\"]}"));
    put("unknown.json", &b);
    eh_buf_reset(&b);
    for (int i = 0; i < 130; i++)
        eh_buf_printf(&b,
                      "{\"id\": \"p%d\", \"category\": \"c%d\", \"cluster\": \"k%d\", \"sent_more\": \"x %d\", "
                      "\"sent_less\": \"y %d\", \"direction\": \"stereo\"}\n",
                      i, i % 2, i / 4, i, i);
    put("pairs.jsonl", &b);
    eh_buf_reset(&b);
    for (int i = 0; i < 3; i++)
        eh_buf_printf(&b,
                      "{\"id\": \"u%d\", \"topic\": \"t\", \"question\": \"q %d\", \"choices\": [\"1\", \"2\", \"3\", "
                      "\"4\"], \"answer\": %d}\n",
                      i, i, i);
    put("utility.jsonl", &b);
    eh_buf_clear(&b);
}

static void forget(void)
{
    session_close(on);
    for (int i = 0; i < 3; i++)
        eh_buf_clear(&undisturbed[i]);
}

/* Leaves *audit as it was on failure. */
static int run(const char *out, bool force, eh_audit **audit, eh_err *e)
{
    eh_audit_options o;
    eh_audit_options_init(&o, sizeof o);
    o.tasks = "probes,pairs,utility";
    o.probes = probes;
    o.out = out;
    o.resamples = 20;
    o.force = force;
    o.command = "test";
    return eh_audit_run(on, &o, audit, e);
}

static void read_samples(const char *out, eh_buf got[3])
{
    for (int i = 0; i < 3; i++) {
        char path[500];
        snprintf(path, sizeof path, "%s/%s", out, samples[i]);
        CHECK_OK(eh_file_read(path, 1 << 20, &got[i], &err));
    }
}

/* Goes on in the folder and compares the records, all of them. */
static void finishes(const char *out, int64_t k)
{
    eh_audit *a = NULL;
    eh_buf got[3] = {{0}};
    CHECK_OK(run(out, false, &a, &err));
    eh_audit_close(a);
    read_samples(out, got);
    for (int i = 0; i < 3; i++) {
        if (got[i].n != undisturbed[i].n || memcmp(got[i].p, undisturbed[i].p, (size_t)got[i].n) != 0)
            fail_msg("after failure %lld %s is another", (long long)k, samples[i]);
        eh_buf_clear(&got[i]);
    }
}

/* Everything a test starts from: made once, by whichever test comes first, and never changed. */
static void undisturbed_audit(void)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.precision = EH_F32;
    o.threads = 1;
    eh_audit *a = NULL;
    char out[400];
    if (on != NULL)
        return;
    make_probes();
    snprintf(top, sizeof top, "%s", temp_dir());
    snprintf(out, sizeof out, "%s/undisturbed", top);
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), &o, &on, &err));
    CHECK_OK(run(out, false, &a, &err));
    eh_audit_close(a);
    read_samples(out, undisturbed);
    atexit(forget);
}

TEST(an_undisturbed_audit_writes_all_records_and_the_same_twice)
{
    static const int64_t n_record[3] = {2 * 2 * 4, 130, 3}; /* templates, groups swapped, rows; pairs; questions */
    char out[400];
    undisturbed_audit();
    for (int i = 0; i < 3; i++) {
        int64_t n = 0;
        for (int64_t k = 0; k < undisturbed[i].n; k++)
            n += undisturbed[i].p[k] == '\n';
        CHECK_INT(n, n_record[i]);
    }
    snprintf(out, sizeof out, "%s/again", top);
    finishes(out, 0);
}

/* `step`: which failures are tried; `set` arms the k-th. Returns how many were met. */
static int64_t fail_each(void set(int64_t k), int64_t step, int code, bool force)
{
    int64_t met = 0;
    undisturbed_audit();
    for (int64_t k = 1;; k += step) {
        eh_audit *const untouched = (eh_audit *)&met;
        eh_audit *a = untouched;
        eh_err e = {0};
        char out[400];
        snprintf(out, sizeof out, "%s/%d-%d-%lld", top, code, force, (long long)k);
        if (force) {
            eh_audit *first;
            CHECK_OK(run(out, false, &first, &err));
            eh_audit_close(first);
        }
        set(k);
        const int rc = run(out, force, &a, &e);
        set(0);
        if (rc == EH_OK) {
            eh_audit_close(a);
            return met;
        }
        if (rc != code || e.code != code || strlen(e.text) < 10 || a != untouched)
            fail_msg("failure %lld gave %d \"%s\"", (long long)k, rc, e.text);
        met++;
        finishes(out, k);
    }
}

TEST(every_write_that_fails_is_told_and_made_good)
{
    const int64_t fresh = fail_each(eh_file_fail_after, 1, EH_EIO, false);
    const int64_t again = fail_each(eh_file_fail_after, 1, EH_EIO, true);
    print_message("%lld writes failed in turn, %lld with a folder to start over in\n", (long long)fresh,
                  (long long)again);
    CHECK(fresh >= 20 && again > fresh);
}

TEST(memory_that_runs_out_anywhere_is_told_and_made_good)
{
    const int64_t met = fail_each(eh_mem_fail_after, 151, EH_ENOMEM, false);
    print_message("%lld allocations failed, one in 151\n", (long long)met);
    CHECK(met > 50);
}

TEST(a_model_whose_audit_failed_serves_on)
{
    eh_audit *a = NULL;
    char out[400];
    undisturbed_audit();
    snprintf(out, sizeof out, "%s/failed", top);
    eh_mem_fail_after(200);
    CHECK(run(out, false, &a, &err) < 0);
    eh_mem_fail_after(0);
    snprintf(out, sizeof out, "%s/after", top);
    finishes(out, 0);
}
