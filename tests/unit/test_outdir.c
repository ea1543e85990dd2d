#include "check.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/outdir.h"

static eh_err err;

static const char *const names[] = {"a.txt", "b.txt", NULL};
static const char *const marks[] = {"mark.json", "other.json", NULL};
static const eh_outdir_rule by_names = {.names = names}, by_marks = {.marks = marks, .kind = "test"};
static const eh_outdir_rule *const rules[] = {&by_names, &by_marks};

static eh_arena paths;

/* "<folder>/<name>", to be kept */
static const char *in(const char *dir, const char *name)
{
    char *joined = eh_path_join(dir, name);
    CHECK(joined != NULL);
    const char *kept = eh_arena_text(&paths, joined, (int64_t)strlen(joined));
    CHECK(kept != NULL);
    eh_free(joined);
    return kept;
}

static int entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = -2; /* . and .. */
    CHECK(d != NULL);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void put(const char *path, const char *text)
{
    CHECK_OK(eh_file_write(path, eh_str_of(text), &err));
}

static void holds(const char *path, const char *want)
{
    eh_buf b = {0};
    CHECK_OK(eh_file_read(path, 1 << 20, &b, &err));
    CHECK_STR(eh_buf_get(&b).p, want);
    eh_buf_clear(&b);
}

static void make_dir(const char *path)
{
    CHECK_OK(eh_dir_make(path, &err));
}

TEST(a_folder_appears_when_it_is_whole)
{
    for (int i = 0; i < 2; i++) {
        const char *top = temp_dir(), *out = in(top, "x/out");
        eh_outdir d;
        CHECK_OK(eh_outdir_open(&d, in(top, "x/out//"), rules[i], false, &err));
        CHECK_STR(d.path, out);
        CHECK_OK(eh_outdir_write(&d, "a.txt", EH_STR("first"), &err));
        CHECK(!eh_dir_exists(out));
        CHECK_OK(eh_outdir_commit(&d, &err));
        holds(in(out, "a.txt"), "first");
        eh_outdir_drop(&d); /* too late to matter */
        eh_outdir_drop(&d);
        eh_outdir_drop(NULL);
        CHECK_INT(entries(in(top, "x")), 1);
        holds(in(out, "a.txt"), "first");
    }
}

TEST(a_dropped_folder_leaves_nothing)
{
    const char *top = temp_dir();
    eh_outdir d;
    CHECK_OK(eh_outdir_open(&d, in(top, "out"), &by_names, false, &err));
    CHECK_OK(eh_outdir_write(&d, "a.txt", EH_STR("x"), &err));
    make_dir(in(d.temp, "deeper"));
    eh_outdir_drop(&d);
    CHECK_INT(entries(top), 0);
}

TEST(force_replaces_a_folder_of_these_names_alone)
{
    const char *top = temp_dir(), *out = in(top, "out");
    eh_outdir d;
    make_dir(out);
    put(in(out, "b.txt"), "old");
    CHECK_FAILS(eh_outdir_open(&d, out, &by_names, false, &err), EH_EINVAL,
                "is there already; choose another folder, or replace it with --force");
    put(in(out, "letters"), "dear");
    CHECK_FAILS(eh_outdir_open(&d, out, &by_names, true, &err), EH_EINVAL,
                "holds letters, which this command did not write");
    CHECK_INT(entries(top), 1);
    holds(in(out, "letters"), "dear");
    unlink(in(out, "letters"));
    CHECK_OK(eh_outdir_open(&d, out, &by_names, true, &err));
    CHECK_OK(eh_outdir_write(&d, "a.txt", EH_STR("new"), &err));
    holds(in(out, "b.txt"), "old");
    CHECK_OK(eh_outdir_commit(&d, &err));
    eh_outdir_drop(&d);
    CHECK_INT(entries(top), 1);
    CHECK_INT(entries(out), 1); /* the old files went with the old folder */
    holds(in(out, "a.txt"), "new");

    put(in(top, "file"), "mine");
    CHECK_FAILS(eh_outdir_open(&d, in(top, "file"), &by_names, true, &err), EH_EINVAL, "is there, and is not a folder");
    CHECK(symlink(out, in(top, "link")) == 0);
    CHECK_FAILS(eh_outdir_open(&d, in(top, "link"), &by_names, true, &err), EH_EINVAL, "is not a folder");
    holds(in(top, "file"), "mine");
}

TEST(force_replaces_a_folder_that_bears_a_mark_alone)
{
    const char *top = temp_dir(), *out = in(top, "out");
    eh_outdir d;
    make_dir(in(out, "mark.json")); /* a folder is no mark */
    put(in(out, "letters"), "dear");
    CHECK_FAILS(eh_outdir_open(&d, out, &by_marks, false, &err), EH_EINVAL, "is there already; --force replaces it");
    CHECK_FAILS(eh_outdir_open(&d, out, &by_marks, true, &err), EH_EINVAL,
                "is there, and is no test folder: even --force does not replace it");
    holds(in(out, "letters"), "dear");
    put(in(out, "other.json"), "{}");
    CHECK_OK(eh_outdir_open(&d, out, &by_marks, true, &err));
    CHECK_OK(eh_outdir_commit(&d, &err));
    eh_outdir_drop(&d);
    CHECK_INT(entries(out), 0);
    put(in(top, "file"), "mine");
    CHECK_FAILS(eh_outdir_open(&d, in(top, "file"), &by_marks, true, &err), EH_EINVAL,
                "is a file; wanted the path of a folder");
    CHECK_FAILS(eh_outdir_open(&d, "", &by_marks, true, &err), EH_EINVAL, "a folder with no name");
    eh_outdir_drop(&d);
}

TEST(a_file_may_be_written_where_nothing_is_or_force_lets_it)
{
    const char *top = temp_dir();
    put(in(top, "file"), "mine");
    CHECK_OK(eh_outpath_check(in(top, "none"), false, &err));
    CHECK_FAILS(eh_outpath_check(in(top, "file"), false, &err), EH_EINVAL, "is there already; --force replaces it");
    CHECK_OK(eh_outpath_check(in(top, "file"), true, &err));
    CHECK_FAILS(eh_outpath_check(top, true, &err), EH_EINVAL, "is a folder; wanted the path of a file to write");
}

static bool not_this(void *ctx, const char *name)
{
    return strcmp(name, ctx) == 0;
}

TEST(what_is_not_written_is_carried_over)
{
    const char *top = temp_dir(), *from = in(top, "from"), *out = in(top, "out");
    char inner[] = "deep/er/skip";
    eh_outdir d;
    make_dir(in(from, "deep/er"));
    put(in(from, "a.txt"), "a");
    put(in(from, "deep/er/b.txt"), "b");
    put(in(from, "deep/er/skip"), "not this one");
    CHECK(symlink(in(from, "a.txt"), in(from, "link")) == 0);
    CHECK_OK(eh_outdir_open(&d, out, &by_names, false, &err));
    CHECK_OK(eh_outdir_copy(&d, from, not_this, inner, &err));
    CHECK_OK(eh_outdir_commit(&d, &err));
    eh_outdir_drop(&d);
    struct stat st;
    CHECK(lstat(in(out, "link"), &st) == 0 && S_ISREG(st.st_mode)); /* followed */
    holds(in(out, "link"), "a");
    holds(in(out, "deep/er/b.txt"), "b");
    CHECK_INT(entries(in(out, "deep/er")), 1);
    CHECK_INT(entries(out), 3);

    make_dir(in(from, "1/2/3/4/5/6/7/8/9"));
    CHECK_OK(eh_outdir_open(&d, in(top, "deep"), &by_names, false, &err));
    CHECK_FAILS(eh_outdir_copy(&d, from, not_this, inner, &err), EH_ENOSUP, "lies too deep");
    eh_outdir_drop(&d);
    CHECK_INT(entries(top), 2);
}

/* Each write, flush and rename fails in turn: what was there is there, and nothing else. */
TEST(a_failing_disk_leaves_the_old_folder_alone)
{
    for (int i = 0; i < 2; i++) {
        const char *top = temp_dir(), *out = in(top, "out");
        make_dir(out);
        put(in(out, i == 0 ? "a.txt" : "mark.json"), "old");
        int64_t k = 1;
        for (;; k++) {
            eh_outdir d = {0};
            eh_file_fail_after(k);
            int rc = eh_outdir_open(&d, out, rules[i], true, &err);
            if (rc == EH_OK)
                rc = eh_outdir_write(&d, "b.txt", EH_STR("new"), &err);
            if (rc == EH_OK)
                rc = eh_outdir_commit(&d, &err);
            eh_file_fail_after(0);
            eh_outdir_drop(&d);
            CHECK_INT(entries(top), 1);
            CHECK_INT(entries(out), 1);
            if (rc == EH_OK)
                break;
            CHECK_FAILS(rc, EH_EIO, "");
            holds(in(out, i == 0 ? "a.txt" : "mark.json"), "old");
        }
        CHECK_INT(k, 6); /* write, flush, rename; out of the way, in place */
        holds(in(out, "b.txt"), "new");
    }
}

/* A folder in the making that a killed process left under our name does not get into ours. */
TEST(what_was_left_beside_is_not_taken_in)
{
    const char *top = temp_dir();
    char name[100];
    eh_outdir d;
    snprintf(name, sizeof name, "out.part-%ld/old.txt", (long)getpid());
    make_dir(in(top, name));
    CHECK_OK(eh_outdir_open(&d, in(top, "out"), &by_names, false, &err));
    CHECK_INT(entries(d.temp), 0);
    eh_outdir_drop(&d);
    CHECK_INT(entries(top), 0);
}
