#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"

/* "<folder>/<name>"; the result lives until the next call but seven. */
static const char *in(const char *dir, const char *name)
{
    static char kept[8][4200];
    static int at;
    char *p = kept[at++ % 8];
    snprintf(p, sizeof kept[0], "%s/%s", dir, name);
    return p;
}

static void put(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    CHECK(fwrite(p, 1, n, f) == n);
    CHECK(fclose(f) == 0);
}

static int entries(const char *dir)
{
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    int n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.' || (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0);
    closedir(d);
    return n;
}

static void holds(const char *path, const char *want)
{
    eh_buf b = {0};
    eh_err err = {0};
    CHECK_OK(eh_file_read(path, 1 << 20, &b, &err));
    CHECK_STR(eh_buf_get(&b).p, want);
    eh_buf_clear(&b);
}

/* ---- Mapped files ---------------------------------------------------------------------- */

TEST(a_map_is_the_file)
{
    const char *dir = temp_dir();
    eh_map map;
    eh_err err = {0};
    put(in(dir, "a"), "x\0y", 3);
    CHECK_OK(eh_map_open(in(dir, "a"), &map, &err));
    CHECK_INT(map.n, 3);
    CHECK(memcmp(map.p, "x\0y", 3) == 0);
    /* A hint for any range, silly ones included, harms nothing. */
    eh_map_will_need(&map, 0, 3);
    eh_map_will_need(&map, 2, INT64_MAX);
    eh_map_will_need(&map, -1, 5);
    eh_map_will_need(&map, 3, 1);
    eh_map_close(&map);
    CHECK(map.p == NULL && map.n == 0);
    eh_map_close(&map);
    eh_map_close(NULL);
}

TEST(an_empty_file_maps_to_an_empty_text)
{
    const char *dir = temp_dir();
    eh_map map;
    eh_err err = {0};
    put(in(dir, "empty"), "", 0);
    CHECK_OK(eh_map_open(in(dir, "empty"), &map, &err));
    CHECK_INT(map.n, 0);
    CHECK_STR(map.p, "");
    eh_map_close(&map);
}

/* A folder, a pipe that nobody writes to and a missing file are told apart; the map stays as it was. */
TEST(what_is_not_a_plain_file_is_not_mapped)
{
    const char *dir = temp_dir();
    eh_map map = {"untouched", 9};
    eh_err err = {0};
    CHECK(mkfifo(in(dir, "pipe"), 0600) == 0);
    CHECK_FAILS(eh_map_open(in(dir, "none"), &map, &err), EH_ENOENT, "/none: cannot open: No such file");
    CHECK_FAILS(eh_map_open(dir, &map, &err), EH_EIO, "is not a plain file");
    CHECK_FAILS(eh_map_open(in(dir, "pipe"), &map, &err), EH_EIO, "is not a plain file");
    CHECK(map.n == 9);
}

/* ---- Whole files, packed or not --------------------------------------------------------- */

TEST(a_plain_file_is_read_as_it_is)
{
    const char *dir = temp_dir();
    eh_buf b = {0};
    eh_err err = {0};
    put(in(dir, "plain"), "a\0b\n", 4);
    CHECK_OK(eh_file_read(in(dir, "plain"), 4, &b, &err));
    CHECK_INT(b.n, 4);
    CHECK(memcmp(b.p, "a\0b\n", 5) == 0);

    /* Half the gzip mark is not a mark, and reading again gives the old bytes back. */
    put(in(dir, "plain"), "\x1f", 1);
    CHECK_OK(eh_file_read(in(dir, "plain"), 4, &b, &err));
    CHECK(eh_str_eq(eh_buf_get(&b), EH_STR("\x1f")));

    put(in(dir, "plain"), "", 0);
    CHECK_OK(eh_file_read(in(dir, "plain"), 4, &b, &err));
    CHECK_STR(eh_buf_get(&b).p, "");
    eh_buf_clear(&b);
}

TEST(a_plain_file_larger_than_zlibs_buffers_is_read_whole)
{
    const char *dir = temp_dir();
    const int64_t n = 1000003;
    char *p = eh_alloc(n, 1);
    eh_buf b = {0};
    eh_err err = {0};
    for (int64_t i = 0; i < n; i++)
        p[i] = (char)(i * i % 251);
    put(in(dir, "big"), p, (size_t)n);
    CHECK_OK(eh_file_read(in(dir, "big"), n, &b, &err));
    CHECK(eh_str_eq(eh_buf_get(&b), (eh_str){p, n}));
    CHECK_FAILS(eh_file_read(in(dir, "big"), n - 1, &b, &err), EH_ERANGE, "larger than the 1000002 bytes");
    CHECK_INT(b.n, n); /* what was there stays */
    eh_buf_clear(&b);
    eh_free(p);
}

static int64_t gz_put(const char *path, const char *mode, const char *text)
{
    gzFile z = gzopen(path, mode);
    CHECK(z != NULL);
    CHECK(gzwrite(z, text, (unsigned)strlen(text)) == (int)strlen(text));
    CHECK(gzclose(z) == Z_OK);
    struct stat st;
    CHECK(stat(path, &st) == 0);
    return st.st_size;
}

TEST(a_packed_file_is_unpacked_all_its_members)
{
    const char *dir = temp_dir();
    gz_put(in(dir, "a.gz"), "wb", "first line\n");
    holds(in(dir, "a.gz"), "first line\n");
    gz_put(in(dir, "a.gz"), "ab", "second line\n");
    holds(in(dir, "a.gz"), "first line\nsecond line\n");
}

/* The mark is two bytes; from there on every shorter file is one that was cut off. */
TEST(a_packed_file_cut_anywhere_is_an_error)
{
    const char *dir = temp_dir();
    char bytes[4096];
    eh_err err = {0};
    const int64_t n = gz_put(in(dir, "a.gz"), "wb", "a text that is not there when it is cut, not even a part of it");
    FILE *f = fopen(in(dir, "a.gz"), "rb");
    CHECK(f != NULL && fread(bytes, 1, sizeof bytes, f) == (size_t)n);
    fclose(f);
    for (int64_t cut = 2; cut < n; cut++) {
        eh_buf b = {0};
        eh_buf_str(&b, EH_STR("untouched"));
        put(in(dir, "cut.gz"), bytes, (size_t)cut);
        CHECK_FAILS(eh_file_read(in(dir, "cut.gz"), 1 << 20, &b, &err), EH_EFORMAT, "cut.gz: ");
        CHECK_STR(b.p, "untouched");
        eh_buf_clear(&b);
    }
}

TEST(a_packed_file_with_a_wrong_byte_is_an_error)
{
    const char *dir = temp_dir();
    char bytes[4096];
    eh_buf b = {0};
    eh_err err = {0};
    const int64_t n = gz_put(in(dir, "a.gz"), "wb", "the checksum behind this text is the judge");
    FILE *f = fopen(in(dir, "a.gz"), "rb");
    CHECK(f != NULL && fread(bytes, 1, sizeof bytes, f) == (size_t)n);
    fclose(f);
    for (int64_t at = n - 8; at < n; at++) { /* CRC-32 and length */
        bytes[at] = (char)(bytes[at] ^ 1);
        put(in(dir, "bad.gz"), bytes, (size_t)n);
        CHECK_FAILS(eh_file_read(in(dir, "bad.gz"), 1 << 20, &b, &err), EH_EFORMAT, "bad.gz: ");
        bytes[at] = (char)(bytes[at] ^ 1);
    }
    CHECK(b.p == NULL);
}

TEST(the_limit_holds_for_what_comes_out_of_a_packed_file)
{
    const char *dir = temp_dir();
    eh_buf b = {0};
    eh_err err = {0};
    gzFile z = gzopen(in(dir, "bomb.gz"), "wb9");
    static const char zeros[65536];
    for (int i = 0; i < 160; i++)
        CHECK(gzwrite(z, zeros, sizeof zeros) == (int)sizeof zeros);
    CHECK(gzclose(z) == Z_OK);
    CHECK_FAILS(eh_file_read(in(dir, "bomb.gz"), 100000, &b, &err), EH_ERANGE, "larger than the 100000 bytes");
    CHECK(b.p == NULL);
}

TEST(what_cannot_be_read_is_said_with_its_path)
{
    const char *dir = temp_dir();
    eh_buf b = {0};
    eh_err err = {0};
    CHECK_FAILS(eh_file_read(in(dir, "none"), 10, &b, &err), EH_ENOENT, "/none: cannot open");
    CHECK_FAILS(eh_file_read(dir, 10, &b, &err), EH_EIO, "is a folder, not a file");
    CHECK(b.p == NULL);
}

/* ---- Files that appear whole or not at all ---------------------------------------------- */

TEST(a_file_in_the_making_appears_at_commit)
{
    const char *dir = temp_dir();
    const char *path = in(dir, "results.json");
    eh_outfile f;
    eh_err err = {0};
    put(path, "old", 3);
    CHECK_OK(eh_outfile_open(&f, path, &err));
    CHECK_OK(eh_outfile_put(&f, "new ", 4, &err));
    CHECK_OK(eh_outfile_put(&f, "words", 5, &err));
    CHECK_OK(eh_outfile_put(&f, NULL, 0, &err));
    holds(path, "old");
    CHECK_OK(eh_outfile_commit(&f, &err));
    holds(path, "new words");
    eh_outfile_drop(&f);
    holds(path, "new words");
    CHECK_INT(entries(dir), 1);
    eh_outfile_drop(&f);
    eh_outfile_drop(NULL);
}

TEST(a_dropped_file_leaves_nothing)
{
    const char *dir = temp_dir();
    eh_outfile f;
    eh_err err = {0};
    CHECK_OK(eh_outfile_open(&f, in(dir, "a"), &err));
    CHECK_OK(eh_outfile_put(&f, "half", 4, &err));
    eh_outfile_drop(&f);
    CHECK_INT(entries(dir), 0);
}

/* Write, flush and rename fail in turn: the old file is still the old one, and nothing lies about. */
TEST(a_failing_disk_leaves_the_old_file_alone)
{
    const char *dir = temp_dir();
    const char *path = in(dir, "a");
    eh_err err = {0};
    put(path, "old", 3);
    int k = 1;
    for (;; k++) {
        eh_file_fail_after(k);
        const int rc = eh_file_write(path, EH_STR("new"), &err);
        eh_file_fail_after(0);
        CHECK_INT(entries(dir), 1);
        if (rc == EH_OK)
            break;
        CHECK_FAILS(rc, EH_EIO, "/a: cannot ");
        CHECK(strstr(err.text, "No space left on device") != NULL);
        holds(path, "old");
    }
    CHECK_INT(k, 4); /* three places can fail */
    holds(path, "new");
}

/* The disk that is full for good: /dev/full refuses the flush, not the write. */
TEST(a_full_disk_is_an_error_at_the_latest_at_commit)
{
    eh_outfile f;
    eh_err err = {0};
    const char *dir = temp_dir();
    CHECK_OK(eh_outfile_open(&f, in(dir, "a"), &err));
    FILE *full = fopen("/dev/full", "wb");
    if (full == NULL) {
        eh_outfile_drop(&f);
        SKIP("this system has no /dev/full");
    }
    fclose(f.stream);
    f.stream = full;
    CHECK_OK(eh_outfile_put(&f, "x", 1, &err));
    CHECK_FAILS(eh_outfile_commit(&f, &err), EH_EIO, "No space left on device");
    eh_outfile_drop(&f);
    CHECK_INT(entries(dir), 0);
}

TEST(a_buffer_lands_in_a_folder_unless_something_went_wrong_with_it)
{
    const char *dir = temp_dir();
    eh_buf b = {.limit = 4};
    eh_err err = {0};
    eh_buf_str(&b, EH_STR("text"));
    CHECK_OK(eh_file_write_in(dir, "a", &b, &err));
    holds(in(dir, "a"), "text");
    eh_buf_char(&b, '!');
    CHECK_FAILS(eh_file_write_in(dir, "b", &b, &err), EH_ERANGE, "b is larger than the 4 bytes");
    CHECK_INT(entries(dir), 1);
    eh_buf_clear(&b);
}

TEST(a_folder_in_the_place_of_the_file_is_refused_at_once)
{
    const char *dir = temp_dir();
    eh_outfile f;
    eh_err err = {0};
    CHECK(mkdir(in(dir, "out"), 0700) == 0);
    CHECK_FAILS(eh_outfile_open(&f, in(dir, "out"), &err), EH_EIO, "/out: cannot write: is a folder");
    CHECK_FAILS(eh_outfile_open(&f, in(dir, "out/"), &err), EH_EIO, "is a folder");
    eh_outfile_drop(&f);
    CHECK_FAILS(eh_outfile_open(&f, in(dir, "none/a"), &err), EH_ENOENT, "none/a");
    CHECK_INT(entries(dir), 1);
}

/* Root may write anywhere, so a child without rights does it. */
TEST(a_read_only_folder_is_an_error_and_stays_empty)
{
    const char *dir = temp_dir();
    CHECK(chmod(dir, 0555) == 0);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        eh_err err = {0};
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(3);
        if (eh_file_write(in(dir, "a"), EH_STR("x"), &err) != EH_EIO)
            _exit(1);
        _exit(strstr(err.text, "Permission denied") != NULL ? 0 : 2);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    CHECK_INT(entries(dir), 0);
    CHECK(chmod(dir, 0700) == 0);
}

/* ---- Folders and paths ------------------------------------------------------------------- */

TEST(a_folder_is_made_with_its_parents_and_again_for_nothing)
{
    const char *dir = temp_dir();
    eh_err err = {0};
    CHECK_OK(eh_dir_make(in(dir, "a/b//c/"), &err));
    CHECK(eh_dir_exists(in(dir, "a/b/c")));
    CHECK(!eh_file_exists(in(dir, "a/b/c")));
    CHECK_OK(eh_dir_make(in(dir, "a/b/c"), &err));
    CHECK_OK(eh_dir_make("/", &err));
}

TEST(a_file_in_the_way_of_a_folder_is_said)
{
    const char *dir = temp_dir();
    eh_err err = {0};
    put(in(dir, "f"), "x", 1);
    CHECK(eh_file_exists(in(dir, "f")));
    CHECK(!eh_dir_exists(in(dir, "f")));
    CHECK(!eh_file_exists(in(dir, "g")));
    CHECK_FAILS(eh_dir_make(in(dir, "f"), &err), EH_EIO, "/f: is there, and is not a folder");
    CHECK_FAILS(eh_dir_make(in(dir, "f/sub"), &err), EH_EIO, "Not a directory");
    CHECK_FAILS(eh_dir_make("", &err), EH_EINVAL, "no name");
}

TEST(paths_join_with_one_slash)
{
    const char *const rows[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}, {"a", "", "a/"}, {"", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *p = eh_path_join(rows[i][0], rows[i][1]);
        CHECK_STR(p, rows[i][2]);
        eh_free(p);
    }
}

/* ---- Folders as a whole ---------------------------------------------------------------- */

static int add_name(void *ctx, const char *name, eh_err *err)
{
    eh_buf_printf(ctx, "%s ", name);
    return strcmp(name, "stop") == 0 ? eh_fail(err, EH_ESTOP, "stopped") : EH_OK;
}

TEST(the_entries_of_a_folder_come_by_name)
{
    const char *dir = temp_dir();
    eh_buf b = {0};
    eh_err err = {0};
    put(in(dir, "b"), "", 0);
    put(in(dir, ".a"), "", 0);
    CHECK_OK(eh_dir_make(in(dir, "c/d"), &err));
    CHECK_OK(eh_dir_each(dir, add_name, &b, &err));
    CHECK_STR(b.p, ".a b c ");
    put(in(dir, "stop"), "", 0);
    put(in(dir, "z"), "", 0);
    eh_buf_reset(&b);
    CHECK_FAILS(eh_dir_each(dir, add_name, &b, &err), EH_ESTOP, "stopped");
    CHECK_STR(b.p, ".a b c stop ");
    CHECK_FAILS(eh_dir_each(in(dir, "none"), add_name, &b, &err), EH_ENOENT, "none");
    eh_buf_clear(&b);
}

/* One for the two tests below: check.c deals out 20. */
static const char *folders_dir(void)
{
    static const char *dir;
    dir = dir != NULL ? dir : temp_dir();
    return dir;
}

/* What a link points to is not in the folder. */
TEST(a_folder_is_removed_with_all_in_it_and_nothing_else)
{
    const char *dir = folders_dir();
    eh_err err = {0};
    CHECK_OK(eh_dir_make(in(dir, "gone/deep/deeper"), &err));
    CHECK_OK(eh_dir_make(in(dir, "stays"), &err));
    put(in(dir, "stays/a"), "a", 1);
    put(in(dir, "gone/deep/b"), "b", 1);
    CHECK(symlink(in(dir, "stays"), in(dir, "gone/link")) == 0);
    eh_mem_fail_after(1); /* works without memory: it is what failed calls clean up with */
    eh_dir_remove(in(dir, "gone"));
    eh_mem_fail_after(0);
    CHECK(access(in(dir, "gone"), F_OK) != 0);
    holds(in(dir, "stays/a"), "a");
}

TEST(a_folder_appears_by_a_rename)
{
    const char *dir = folders_dir();
    eh_err err = {0};
    CHECK_OK(eh_dir_make(in(dir, "temp"), &err));
    put(in(dir, "temp/a"), "a", 1);
    CHECK_OK(eh_dir_commit(in(dir, "temp"), in(dir, "whole"), &err));
    holds(in(dir, "whole/a"), "a");
    CHECK(access(in(dir, "temp"), F_OK) != 0);
    CHECK_OK(eh_dir_make(in(dir, "temp"), &err));
    CHECK_FAILS(eh_dir_commit(in(dir, "temp"), in(dir, "whole"), &err), EH_EIO, "whole: cannot put in place");
    holds(in(dir, "whole/a"), "a");
}
