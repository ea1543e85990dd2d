/* The block loop: every item once, in its order, whatever stopped the job on the way. */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "job/blocks.h"

static eh_err err;

/* A job that notes what was asked of it. */
typedef struct job {
    int n_begin, n_block;
    int64_t from[64], to[64];
    int64_t fail_at;   /* a block that starts here fails; -1: none does */
    int64_t stop_at;   /* progress says stop there; -1: never */
    int64_t said[130]; /* [n_said] what progress was told */
    int n_said;
} job;

static int begin(void *ctx, eh_err *e)
{
    job *j = ctx;
    (void)e;
    CHECK_INT(j->n_block, 0);
    j->n_begin++;
    return EH_OK;
}

static int block(void *ctx, int64_t from, int64_t to, eh_buf *records, eh_err *e)
{
    job *j = ctx;
    CHECK_INT(records->n, 0);
    j->from[j->n_block] = from;
    j->to[j->n_block++] = to;
    for (int64_t i = from; i < to; i++) {
        eh_jsonw w = {.b = records};
        eh_jsonw_begin(&w, NULL, '{');
        eh_jsonw_int(&w, "i", i);
        eh_jsonw_double(&w, "x", (double)i / 8.0);
        eh_jsonw_finish(&w);
    }
    return from == j->fail_at ? eh_fail(e, EH_ENUMERIC, "item %lld is no number", (long long)from) : EH_OK;
}

static int progress(void *ctx, const char *stage, int64_t done, int64_t total)
{
    job *j = ctx;
    CHECK_STR(stage, "count");
    CHECK(done <= total);
    j->said[j->n_said++] = done;
    return done == j->stop_at;
}

static json_t *what(int seed)
{
    json_t *w = json_pack("{s:i,s:s}", "seed", seed, "model", "m");
    CHECK(w != NULL);
    return w;
}

/* One call of the program. */
static int run(const char *dir, int64_t n, int64_t size, int seed, bool force, job *state, int64_t *n_computed)
{
    eh_journal *j = NULL;
    json_t *w = what(seed);
    const eh_blocks b = {.task = "count",
                         .what = w,
                         .force = force,
                         .n = n,
                         .size = size,
                         .unit = "things",
                         .progress = progress,
                         .progress_ctx = state,
                         .begin = begin,
                         .block = block,
                         .ctx = state};
    int rc = eh_journal_open(dir, &j, &err);
    if (rc == EH_OK)
        rc = eh_blocks_run(j, &b, n_computed, &err);
    eh_journal_close(j);
    json_decref(w);
    return rc;
}

#define FRESH ((job){.fail_at = -1, .stop_at = -1})

static const char *samples(const char *dir, const char *ending)
{
    static char path[4200];
    snprintf(path, sizeof path, "%s/samples_count.jsonl%s", dir, ending);
    return path;
}

static void read_samples(const char *dir, eh_buf *b)
{
    CHECK_OK(eh_file_read(samples(dir, ""), 1 << 20, b, &err));
}

TEST(seven_items_in_blocks_of_three)
{
    const char *dir = temp_dir();
    job j = FRESH;
    int64_t n = 100;
    eh_buf b = {0};
    CHECK_OK(run(dir, 7, 3, 1, false, &j, &n));
    CHECK_INT(n, 107);
    CHECK_INT(j.n_block, 3);
    CHECK_INT(j.n_begin, 1);
    CHECK(j.from[0] == 0 && j.to[0] == 3 && j.from[1] == 3 && j.to[1] == 6 && j.from[2] == 6 && j.to[2] == 7);
    CHECK_INT(j.n_said, 4);
    CHECK(j.said[0] == 0 && j.said[1] == 3 && j.said[2] == 6 && j.said[3] == 7);
    read_samples(dir, &b);
    CHECK_STR(b.p, "{\"i\":0,\"x\":0}\n{\"i\":1,\"x\":0.125}\n{\"i\":2,\"x\":0.25}\n{\"i\":3,\"x\":0.375}\n"
                   "{\"i\":4,\"x\":0.5}\n{\"i\":5,\"x\":0.625}\n{\"i\":6,\"x\":0.75}\n");
    eh_buf_clear(&b);
    CHECK(!eh_file_exists(samples(dir, ".part")));

    /* Done is done: nothing is begun, nothing computed. */
    j = FRESH;
    CHECK_OK(run(dir, 7, 3, 1, false, &j, &n));
    CHECK_INT(n, 107);
    CHECK(j.n_block == 0 && j.n_begin == 0 && j.n_said == 1 && j.said[0] == 7);
    CHECK(eh_file_exists(samples(dir, "")));
}

/* Stopped at any block, on request or by a fault in the next, and called again: the bytes of one call. */
TEST(a_job_that_was_stopped_anywhere_ends_with_the_bytes_of_one_call)
{
    static const int64_t sizes[] = {1, 2, 5, 11, 12, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t n = 11, size = sizes[s], n_block = (n + size - 1) / size;
        char top[400], whole[500];
        eh_buf want = {0};
        job first = FRESH;
        snprintf(top, sizeof top, "%s", temp_dir());
        snprintf(whole, sizeof whole, "%s/whole", top);
        CHECK_OK(run(whole, n, size, 1, false, &first, NULL));
        CHECK_INT(first.n_block, n_block);
        read_samples(whole, &want);
        for (int64_t k = 0; k < 2 * n_block; k++) {
            const bool by_fault = k >= n_block;
            const int64_t at = k % n_block * size;
            char dir[500], words[100];
            eh_buf got = {0};
            int64_t n_first = 0, n_second = 0;
            job a = FRESH, b = FRESH;
            *(by_fault ? &a.fail_at : &a.stop_at) = at;
            snprintf(dir, sizeof dir, "%s/%d", top, (int)k);
            snprintf(words, sizeof words,
                     by_fault ? "item %d is no number" : "stopped on request after %d of 11 things", (int)at);
            CHECK_FAILS(run(dir, n, size, 1, false, &a, &n_first), by_fault ? EH_ENUMERIC : EH_ESTOP, words);
            CHECK_INT(n_first, at);
            CHECK_INT(a.n_begin, by_fault || at > 0);
            CHECK(!eh_file_exists(samples(dir, "")));
            CHECK_OK(run(dir, n, size, 1, false, &b, &n_second));
            CHECK_INT(n_first + n_second, n);
            CHECK_INT(b.n_begin, 1);
            CHECK_INT(b.from[0], at);
            read_samples(dir, &got);
            CHECK(eh_str_eq(eh_buf_get(&got), eh_buf_get(&want)));
            eh_buf_clear(&got);
        }
        eh_buf_clear(&want);
    }
}

/* A byte that changed in the finished records: its block is computed again, with all after it. */
TEST(a_damaged_block_and_all_after_it_are_computed_again)
{
    const char *dir = temp_dir();
    job j = FRESH;
    eh_buf want = {0}, got = {0};
    CHECK_OK(run(dir, 9, 2, 1, false, &j, NULL));
    read_samples(dir, &want);
    const char *at = strstr(want.p, "{\"i\":5");
    FILE *f = fopen(samples(dir, ""), "r+b");
    CHECK(at != NULL && f != NULL && fseek(f, at - want.p, SEEK_SET) == 0 && fputc('X', f) == 'X' && fclose(f) == 0);
    j = FRESH;
    CHECK_OK(run(dir, 9, 2, 1, false, &j, NULL));
    CHECK(j.n_block == 3 && j.from[0] == 4);
    read_samples(dir, &got);
    CHECK(eh_str_eq(eh_buf_get(&got), eh_buf_get(&want)));
    eh_buf_clear(&want);
    eh_buf_clear(&got);
}

TEST(records_of_another_job_are_refused_unless_forced)
{
    const char *dir = temp_dir();
    job j = FRESH;
    CHECK_OK(run(dir, 4, 2, 1, false, &j, NULL));
    CHECK_FAILS(run(dir, 4, 2, 2, false, &j, NULL), EH_EINVAL, "holds records of count made with another \"seed\"");
    CHECK_INT(j.n_block, 2);
    CHECK(eh_file_exists(samples(dir, "")));
    j = FRESH;
    CHECK_OK(run(dir, 4, 2, 2, true, &j, NULL));
    CHECK_INT(j.n_block, 2);
}

TEST(a_job_without_a_block_is_refused)
{
    const char *dir = temp_dir();
    job j = FRESH;
    CHECK_FAILS(run(dir, 0, 2, 1, false, &j, NULL), EH_EINVAL, "a job of 0 things in blocks of 2");
    CHECK_FAILS(run(dir, 2, 0, 1, false, &j, NULL), EH_EINVAL, "has no block");
    CHECK_FAILS(run(dir, -1, 1, 1, false, &j, NULL), EH_EINVAL, "has no block");
    CHECK_INT(j.n_block, 0);
}

/* A block larger than any number of items, and a journal that holds more blocks than there are items. */
TEST(sizes_and_counts_that_do_not_fit_do_no_harm)
{
    const char *dir = temp_dir();
    job j = FRESH;
    int64_t n = 0;
    CHECK_OK(run(dir, 5, INT64_MAX, 1, false, &j, &n));
    CHECK(n == 5 && j.n_block == 1 && j.to[0] == 5);
    const char *more = temp_dir();
    j = FRESH;
    CHECK_OK(run(more, 5, 1, 1, false, &j, NULL));
    j = FRESH;
    CHECK_OK(run(more, 2, INT64_MAX, 1, false, &j, NULL));
    CHECK_INT(j.n_block, 0);
}

/* ---- Records read back ------------------------------------------------------------------------------- */

static int take(void *ctx, int64_t i, const json_t *record, const char *where, eh_err *e)
{
    int64_t *next = ctx, found = -1;
    char want[100];
    snprintf(want, sizeof want, "/samples_count.jsonl: line %d", (int)i + 1);
    CHECK_INT(i, (*next)++);
    CHECK(strlen(where) > strlen(want) && strcmp(where + strlen(where) - strlen(want), want) == 0);
    CHECK(json_is_integer(json_object_get(record, "i")));
    found = json_integer_value(json_object_get(record, "i"));
    return found == i ? EH_OK : eh_fail(e, EH_EFORMAT, "%s: is item %d", where, (int)found);
}

TEST(records_come_back_in_their_order)
{
    const char *dir = temp_dir();
    job j = FRESH;
    int64_t next = 0;
    CHECK_OK(run(dir, 7, 3, 1, false, &j, NULL));
    CHECK_OK(eh_records_read(dir, "count", 7, take, &next, &err));
    CHECK_INT(next, 7);
}

TEST(records_that_are_not_what_was_written_are_refused)
{
    const char *dir = temp_dir();
    int64_t next = 0;
    CHECK_FAILS(eh_records_read(dir, "count", 1, take, &next, &err), EH_ENOENT, "samples_count.jsonl: cannot open");
    static const struct {
        const char *text, *words;
        int64_t seen;
    } bad[] = {
        {"{\"i\":0}\n", "samples_count.jsonl: holds fewer than the 2 records of this run", 1},
        {"", "holds fewer than the 2 records of this run", 0},
        {"{\"i\":0}\n{\"i\":1}\n{\"i\":2}\n", "holds more than the 2 records of this run", 2},
        {"{\"i\":0}\n\n{\"i\":1}\n", "samples_count.jsonl: line 2: ", 1},
        {"{\"i\":0}\n{\"i\"", "samples_count.jsonl: line 2: ", 1},
        {"{\"i\":0}\n[]\n", "samples_count.jsonl: line 2: is an array, wanted an object", 1},
        {"{\"i\":1}\n{\"i\":0}\n", "samples_count.jsonl: line 1: is item 1", 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_OK(eh_file_write(samples(dir, ""), eh_str_of(bad[i].text), &err));
        next = 0;
        CHECK_FAILS(eh_records_read(dir, "count", 2, take, &next, &err), EH_EFORMAT, bad[i].words);
        CHECK_INT(next, bad[i].seen);
    }
    /* The last record may lack its end: it is whole all the same. */
    CHECK_OK(eh_file_write(samples(dir, ""), EH_STR("{\"i\":0}\r\n{\"i\":1}"), &err));
    next = 0;
    CHECK_OK(eh_records_read(dir, "count", 2, take, &next, &err));
}
