/* Every allocation of the base room fails in turn: each call then says so, leaves its outputs alone
 * and (under the address sanitizer) leaks nothing. */
#include "check.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/sink.h"

/* One round of work; EH_OK when all allocations were granted. */
typedef int work(const char *dir, eh_err *err);

/* Fails the k-th allocation for k = 1, 2, ... until the work needs no more than k - 1 of them.
 * Returns how many allocations that were. */
static int64_t fail_each(work *w, const char *dir)
{
    for (int64_t k = 1;; k++) {
        eh_err err = {0};
        eh_mem_fail_after(k);
        const int rc = w(dir, &err);
        const int64_t count = eh_mem_count();
        eh_mem_fail_after(0);
        if (count < k) {
            CHECK_OK(rc);
            return count;
        }
        if (rc != EH_ENOMEM || err.code != EH_ENOMEM || strlen(err.text) < 10)
            fail_msg("allocation %lld failed and the call gave %d \"%s\"", (long long)k, rc, err.text);
        if (k == 100000)
            fail_msg("the work never succeeds");
    }
}

static int fill_buffer(const char *dir, eh_err *err)
{
    eh_buf b = {0};
    (void)dir;
    for (int i = 0; i < 1000; i++)
        eh_buf_printf(&b, "%d ", i);
    eh_buf_json(&b, EH_STR("caf\xc3\xa9"));
    eh_buf_double(&b, 0.1);
    const int rc = eh_buf_check(&b, "the numbers", err);
    /* What fitted is still there and terminated. */
    CHECK(rc == EH_OK || strlen(eh_buf_get(&b).p) == (size_t)b.n);
    eh_buf_clear(&b);
    return rc;
}

TEST(a_buffer_without_memory_says_so)
{
    CHECK(fail_each(fill_buffer, NULL) >= 5);
}

static json_t *value; /* jansson keeps a table of what it is in while it writes it */

static int write_json(const char *dir, eh_err *err)
{
    eh_buf b = {0};
    eh_jsonw w = {.b = &b};
    (void)dir;
    eh_jsonw_begin(&w, NULL, '{');
    for (int i = 0; i < 100; i++)
        eh_jsonw_text(&w, "key", "value");
    eh_jsonw_finish(&w);
    eh_buf_json_value(&b, value, 0);
    const int rc = eh_buf_check(&b, "the text", err);
    eh_buf_clear(&b);
    return rc;
}

TEST(json_without_memory_to_write_says_so)
{
    value = json_pack("{s:[i,{s:s}]}", "list", 1, "text", "t");
    CHECK(value != NULL);
    CHECK(fail_each(write_json, NULL) >= 5);
    json_decref(value);
}

static int fill_arena(const char *dir, eh_err *err)
{
    eh_arena a = {0};
    int rc = EH_OK;
    (void)dir;
    for (int i = 0; i < 40 && rc == EH_OK; i++) {
        const int64_t used = a.used;
        const eh_arena_mark mark = eh_arena_here(&a);
        if (eh_new(&a, double, 5000) == NULL) {
            rc = eh_fail(err, EH_ENOMEM, "no room for block %d", i);
            CHECK(a.used == used);
        } else if (i % 3 == 0) {
            eh_arena_rewind(&a, mark);
        }
    }
    eh_arena_clear(&a);
    return rc;
}

TEST(an_arena_without_memory_stays_whole)
{
    CHECK(fail_each(fill_arena, NULL) >= 3);
}

static const char *note(const char *dir)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/a/b/note.json", dir);
    return path;
}

static int write_file(const char *dir, eh_err *err)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/a/b", dir);
    const int rc = eh_dir_make(folder, err);
    return rc < 0 ? rc : eh_file_write(note(dir), EH_STR("{\"a\": [1, 2.5, \"x\"], \"b\": {\"c\": null}}"), err);
}

TEST(a_file_is_written_whole_or_not_at_all)
{
    CHECK(fail_each(write_file, temp_dir()) >= 3);
}

static int read_file(const char *dir, eh_err *err)
{
    eh_buf b = {0};
    eh_buf kept = {0};
    const int rc = eh_file_read(note(dir), 1 << 20, &b, err);
    CHECK(rc == EH_OK || memcmp(&b, &kept, sizeof b) == 0);
    eh_buf_clear(&b);
    return rc;
}

TEST(a_file_is_read_whole_or_not_at_all)
{
    const char *dir = temp_dir();
    eh_err err = {0};
    CHECK_OK(write_file(dir, &err));
    CHECK(fail_each(read_file, dir) >= 1);
}

/* jansson shrugs off some failures while it reads: a long string must not come back short. */
static int parse_json(const char *dir, eh_err *err)
{
    (void)dir;
    static char text[5000];
    if (text[0] == '\0') {
        memset(text, 'x', sizeof text);
        memcpy(text, "{\"list\": [1, 2.5, true, null, {\"deep\": [[[]]]}], \"long\": \"", 58);
        memcpy(text + sizeof text - 3, "\"}", 3);
    }
    json_t *root = NULL;
    int rc = eh_json_parse(eh_str_of(text), "the test", &root, err);
    CHECK(rc == EH_OK || root == NULL);
    if (rc == EH_OK) {
        eh_str s;
        CHECK(eh_json_str(root, "the test", "long", &s, err) == EH_OK);
        CHECK_INT(s.n, (int64_t)sizeof text - 58 - 3);
    }
    json_decref(root);
    return rc;
}

TEST(json_is_read_whole_or_not_at_all)
{
    CHECK(fail_each(parse_json, NULL) >= 20);
}

/* Its reader asserts what a failed allocation makes untrue: numbers and names that just fit a buffer. */
static char token_text[200];

static int parse_token(const char *dir, eh_err *err)
{
    json_t *root = NULL;
    (void)dir;
    const int rc = eh_json_parse(eh_str_of(token_text), "the test", &root, err);
    CHECK((rc == EH_OK) == (root != NULL));
    json_decref(root);
    return rc;
}

TEST(json_tokens_of_every_length_survive_no_memory)
{
    for (int n = 1; n <= 70; n++) {
        snprintf(token_text, sizeof token_text, "[[%.*s, 7], -0.%.*s, {\"%.*s\": true}]", n < 18 ? n : 18,
                 "1234567890123456789", n,
                 "1415926535897932384626433832795028841971693993751058209749445923078164", n,
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        CHECK(fail_each(parse_token, NULL) >= 5);
    }
}

static int read_json_file(const char *dir, eh_err *err)
{
    json_t *root = NULL;
    const int rc = eh_json_file(note(dir), 1 << 20, &root, err);
    CHECK((rc == EH_OK) == (root != NULL));
    json_decref(root);
    return rc;
}

TEST(a_json_file_is_read_whole_or_not_at_all)
{
    const char *dir = temp_dir();
    eh_err err = {0};
    CHECK_OK(write_file(dir, &err));
    CHECK(fail_each(read_json_file, dir) >= 10);
}

/* The lines that were read before memory ran out are good, and the one it ran out at is not given. */
static int read_lines(const char *dir, eh_err *err)
{
    const eh_str text = EH_STR("{\"i\": 1}\n\n{\"i\": 2, \"s\": [\"text\", 0.5]}\n");
    eh_lines l = {.text = text, .file = "f", .skip_blank = true};
    json_t *const untouched = (json_t *)(uintptr_t)1;
    int64_t i = 0, n = 0;
    int more;
    (void)dir;
    for (;; n++) {
        json_t *o = untouched;
        more = eh_lines_json(&l, &o, err);
        if (more <= 0) {
            CHECK(o == untouched);
            break;
        }
        CHECK(eh_json_int(o, l.where, "i", 0, 9, &i, err) == EH_OK && i == n + 1);
        json_decref(o);
    }
    CHECK(more < 0 || n == 2);
    eh_lines_close(&l);
    return more;
}

TEST(lines_are_objects_or_an_error)
{
    CHECK(fail_each(read_lines, NULL) >= 10);
}

static int write_hashed(const char *dir, eh_err *err)
{
    char path[4096], sum[EH_SHA256_TEXT];
    eh_sink s = {0};
    snprintf(path, sizeof path, "%s/hashed", dir);
    int rc = eh_sink_open(&s, path, err);
    if (rc == EH_OK)
        rc = eh_sink_put(&s, "abc", 3, err);
    if (rc == EH_OK)
        rc = eh_sink_sum(&s, sum, err);
    if (rc == EH_OK)
        rc = eh_sink_commit(&s, err);
    eh_sink_drop(&s);
    CHECK(rc == EH_OK || !eh_file_exists(path));
    return rc;
}

TEST(a_hashed_file_is_written_whole_or_not_at_all)
{
    CHECK(fail_each(write_hashed, temp_dir()) >= 2);
}

static bool no_name(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return false;
}

/* A folder with a copy of another in it; what force may replace is looked at first. */
static const eh_outdir_rule *rule;

static int write_folder(const char *dir, eh_err *err)
{
    char out[4096], from[4096];
    eh_outdir d = {0};
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(from, sizeof from, "%s/from", dir);
    int rc = eh_outdir_open(&d, out, rule, true, err);
    if (rc == EH_OK)
        rc = eh_outdir_copy(&d, from, no_name, NULL, err);
    if (rc == EH_OK)
        rc = eh_outdir_write(&d, "a", EH_STR("new"), err);
    if (rc == EH_OK)
        rc = eh_outdir_commit(&d, err);
    eh_outdir_drop(&d);
    return rc;
}

TEST(a_folder_is_written_whole_or_not_at_all)
{
    static const char *const names[] = {"a", "b", NULL};
    static const eh_outdir_rule by_names = {.names = names}, by_marks = {.marks = names, .kind = "test"};
    for (int i = 0; i < 2; i++) {
        const char *dir = temp_dir();
        char path[4096];
        eh_err err = {0};
        eh_buf b = {0};
        rule = i == 0 ? &by_names : &by_marks;
        snprintf(path, sizeof path, "%s/from/deep", dir);
        CHECK_OK(eh_dir_make(path, &err));
        snprintf(path, sizeof path, "%s/from/b", dir);
        CHECK_OK(eh_file_write(path, EH_STR("copied"), &err));
        snprintf(path, sizeof path, "%s/out", dir);
        CHECK_OK(eh_dir_make(path, &err));
        snprintf(path, sizeof path, "%s/out/a", dir);
        CHECK_OK(eh_file_write(path, EH_STR("old"), &err));
        CHECK(fail_each(write_folder, dir) >= 10);
        CHECK_OK(eh_file_read(path, 100, &b, &err));
        CHECK_STR(b.p, "new");
        eh_buf_clear(&b);
    }
}

static int join_path(const char *dir, eh_err *err)
{
    char *p = eh_path_join(dir, "name");
    if (p == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    eh_free(p);
    return EH_OK;
}

TEST(a_path_without_memory_is_null)
{
    CHECK(fail_each(join_path, "a/rather/long/path/so/that/the/buffer/has/to/grow/once/more/than/its/first/room") >= 2);
}
