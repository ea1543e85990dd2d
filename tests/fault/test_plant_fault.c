/* Planting with a disk or memory that fails at any point: a clean error, and nothing left where the folder would be. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "check.h"
#include "evenhand.h"

static eh_err err;

static int64_t entries(const char *dir)
{
    int64_t n = -2; /* . and .. */
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* `set` arms the k-th failure; with `force` a folder is there before, and must be afterwards, as it was. */
static int64_t fail_each(void set(int64_t k), int64_t step, int code, bool force)
{
    char top[300], out[400], truth[500];
    int64_t met = 0;
    snprintf(top, sizeof top, "%s", temp_dir());
    snprintf(out, sizeof out, "%s/planted", top);
    snprintf(truth, sizeof truth, "%s/truth.json", out);
    eh_plant_options first, o;
    eh_plant_options_init(&first, sizeof first);
    first.out = out;
    first.seed = 1;
    o = first;
    o.seed = 2;
    o.force = force;
    if (force)
        CHECK_OK(eh_plant(&first, NULL, &err));
    for (int64_t k = 1;; k += step) {
        eh_planted p = {.n_item = 77};
        eh_err e = {0};
        set(k);
        const int rc = eh_plant(&o, &p, &e);
        set(0);
        if (rc == EH_OK) {
            CHECK_INT(p.n_item, 480);
            CHECK_INT(entries(top), 1);
            CHECK_INT(entries(out), 8);
            return met;
        }
        met++;
        if (rc != code || e.code != code || strlen(e.text) < 10 || p.n_item != 77)
            fail_msg("failure %lld gave %d \"%s\"", (long long)k, rc, e.text);
        if (entries(top) != force || (force && !eh_file_exists(truth)))
            fail_msg("failure %lld left %lld entries", (long long)k, (long long)entries(top));
    }
}

TEST(every_write_that_fails_leaves_nothing)
{
    const int64_t fresh = fail_each(eh_file_fail_after, 1, EH_EIO, false);
    const int64_t again = fail_each(eh_file_fail_after, 1, EH_EIO, true);
    print_message("%lld writes failed in turn, %lld with a folder to replace\n", (long long)fresh, (long long)again);
    CHECK(fresh >= 24 && again > fresh);
}

TEST(memory_that_runs_out_leaves_nothing)
{
    const int64_t met = fail_each(eh_mem_fail_after, 5, EH_ENOMEM, false);
    print_message("%lld allocations failed, one in 5\n", (long long)met);
    CHECK(met > 10);
}
