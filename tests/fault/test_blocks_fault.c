/* A job whose disk, memory or hashing fails at any point: told, made good by the next call, nothing stays mapped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "check.h"
#include "job/blocks.h"

static eh_err err;
static char top[300];
static eh_buf undisturbed;

static int block(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *e)
{
    (void)ctx;
    (void)e;
    for (int64_t i = from; i < to; i++)
        eh_buf_printf(records, "{\"i\":%lld,\"text\":\"%0100lld\"}\n", (long long)i, (long long)i);
    return EH_OK;
}

static int take(void *ctx, int64_t i, const json_t *record, const char *where, eh_err *e)
{
    (void)where;
    (void)e;
    CHECK_INT(json_integer_value(json_object_get(record, "i")), i);
    ++*(int64_t *)ctx;
    return EH_OK;
}

static json_t *what;

static int run(const char *dir, bool force, eh_err *e)
{
    eh_journal *j = NULL;
    int64_t n = 0;
    const eh_blocks b = {.task = "t", .what = what, .force = force, .n = 7, .size = 2, .unit = "items", .block = block};
    int rc = eh_journal_open(dir, &j, e);
    if (rc == EH_OK)
        rc = eh_blocks_run(j, &b, NULL, e);
    if (rc == EH_OK)
        rc = eh_records_read(dir, "t", 7, take, &n, e);
    CHECK(rc < 0 || n == 7);
    eh_journal_close(j);
    return rc;
}

/* Is a file of this folder mapped? The address sanitizer sees no mapping that leaks. */
static bool is_mapped(const char *dir)
{
    char line[1000];
    bool found = false;
    FILE *f = fopen("/proc/self/maps", "r");
    if (f == NULL)
        return false;
    while (fgets(line, sizeof line, f) != NULL)
        found = found || strstr(line, dir) != NULL;
    fclose(f);
    return found;
}

static void finishes(const char *dir, int64_t k)
{
    char path[500];
    eh_buf got = {0};
    CHECK_OK(run(dir, false, &err));
    snprintf(path, sizeof path, "%s/samples_t.jsonl", dir);
    CHECK_OK(eh_file_read(path, 1 << 20, &got, &err));
    if (!eh_str_eq(eh_buf_get(&got), eh_buf_get(&undisturbed)))
        fail_msg("after failure %lld the records are others", (long long)k);
    eh_buf_clear(&got);
}

static void forget(void)
{
    json_decref(what);
    eh_buf_clear(&undisturbed);
}

/* What all tests start from: made once, by whichever comes first. */
static void undisturbed_job(void)
{
    char dir[400], path[500];
    if (what != NULL)
        return;
    what = json_pack("{s:s,s:i}", "model", "m", "seed", 1);
    CHECK(what != NULL);
    atexit(forget);
    snprintf(top, sizeof top, "%s", temp_dir());
    snprintf(dir, sizeof dir, "%s/undisturbed", top);
    CHECK_OK(run(dir, false, &err));
    snprintf(path, sizeof path, "%s/samples_t.jsonl", dir);
    CHECK_OK(eh_file_read(path, 1 << 20, &undisturbed, &err));
}

TEST(an_undisturbed_job_leaves_all_records_and_nothing_mapped)
{
    int64_t n = 0;
    undisturbed_job();
    for (int64_t i = 0; i < undisturbed.n; i++)
        n += undisturbed.p[i] == '\n';
    CHECK_INT(n, 7);
    CHECK(!is_mapped(top));
}

/* What the folder holds when the failures begin. */
typedef enum before { NOTHING, HALF, ALL } before;

/* `set` arms the k-th failure. Returns how many were met. */
static int64_t fail_each(void set(int64_t k), int code, before held, bool force)
{
    undisturbed_job();
    for (int64_t k = 1;; k++) {
        eh_err e = {0};
        char dir[400];
        snprintf(dir, sizeof dir, "%s/%d-%d-%d-%lld", top, code, held, force, (long long)k);
        if (held == HALF) {
            eh_sha256_fail_after(3); /* two blocks, and no further */
            CHECK_FAILS(run(dir, false, &err), EH_ENOMEM, "SHA-256");
            eh_sha256_fail_after(0);
        } else if (held == ALL)
            CHECK_OK(run(dir, false, &err));
        set(k);
        const int rc = run(dir, force, &e);
        set(0);
        if (is_mapped(dir))
            fail_msg("after failure %lld (\"%s\") a file of the job stays mapped", (long long)k, e.text);
        if (rc == EH_OK)
            return k - 1;
        if (rc != code || e.code != code || strlen(e.text) < 10)
            fail_msg("failure %lld gave %d \"%s\"", (long long)k, rc, e.text);
        finishes(dir, k);
    }
}

TEST(every_write_that_fails_is_told_and_made_good)
{
    /* Two for what is appended and flushed: the task, of each block records and line. And one to put them in place. */
    CHECK_INT(fail_each(eh_file_fail_after, EH_EIO, NOTHING, false), 2 + 4 * 4 + 1);
    CHECK(fail_each(eh_file_fail_after, EH_EIO, HALF, false) >= 2 * 4 + 1);
    CHECK(fail_each(eh_file_fail_after, EH_EIO, ALL, true) >= 2 + 4 * 4 + 1);
}

TEST(memory_that_runs_out_anywhere_is_told_and_made_good)
{
    CHECK(fail_each(eh_mem_fail_after, EH_ENOMEM, NOTHING, false) > 50);
    CHECK(fail_each(eh_mem_fail_after, EH_ENOMEM, HALF, false) > 50);
    CHECK(fail_each(eh_mem_fail_after, EH_ENOMEM, ALL, false) > 50);
    CHECK(fail_each(eh_mem_fail_after, EH_ENOMEM, ALL, true) > 50);
}

/* The blocks that are there are hashed, too: then their file is mapped. */
TEST(a_hash_that_cannot_be_computed_is_told_and_made_good)
{
    CHECK_INT(fail_each(eh_sha256_fail_after, EH_ENOMEM, NOTHING, false), 4);
    CHECK_INT(fail_each(eh_sha256_fail_after, EH_ENOMEM, HALF, false), 2 + 2);
    CHECK_INT(fail_each(eh_sha256_fail_after, EH_ENOMEM, ALL, false), 4);
}
