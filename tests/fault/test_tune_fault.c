/* A training whose memory or disk fails at any point: a clean error, and a folder where the next run ends with the
 * same bytes as if nothing had happened. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "train/train.h"

static eh_err err;

static const int32_t tok[3][8] = {
    {3, 5, 8, 13, 21, 34, 55, 89}, {90, 80, 70, 60, 50, 40, 30, 20}, {1, 2, 4, 8, 16, 32, 64, 3}};
static const eh_request requests[3] = {{.tok = tok[0], .n_tok = 8, .from = 6},
                                       {.tok = tok[1], .n_tok = 8, .from = 5},
                                       {.tok = tok[2], .n_tok = 8, .from = 1}};

/* Four steps, in dir; everything that can take part does. */
static int run(const char *dir, int64_t memory, int64_t file, char fingerprint[65], int64_t *n_alloc)
{
    static float mean[64];
    const eh_unit_edit edit[2] = {
        {.kind = EH_UNIT_HEAD, .layer = 0, .index = 1, .mode = EH_EDIT_SOFT, .alpha = 0.5},
        {.kind = EH_UNIT_HEAD, .layer = 1, .index = 0, .mode = EH_EDIT_MEAN, .alpha = 1.0, .mean = mean},
    };
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.threads = 1;
    const eh_tune_plan p = {.group = EH_TUNE_ALL, .adamw = EH_ADAMW_DEFAULT, .steps = 4, .batch = 1, .text_batch = 1,
                            .text_share = 0.5, .kl = 0.5, .clip = 1.0, .eval_every = 1, .patience = 4, .save_every = 2,
                            .dir = dir};
    const eh_tune_data d = {.example = requests, .n_example = 2, .text = requests + 2, .n_text = 1,
                            .held_out = requests + 1, .n_held_out = 1};
    eh_session *on, *original;
    eh_tune_state s = {0};
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), &o, &on, &err));
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), &o, &original, &err));
    CHECK_OK(eh_session_edit(on, edit, 2, &err));
    eh_mem_fail_after(memory);
    eh_file_fail_after(file);
    const int rc = eh_tune_train(on, original, &p, &d, &s, &err);
    if (n_alloc != NULL)
        *n_alloc = eh_mem_count();
    eh_mem_fail_after(0);
    eh_file_fail_after(0);
    if (rc == EH_OK && fingerprint != NULL)
        CHECK_OK(eh_session_fingerprint(on, fingerprint, &err));
    eh_free(s.point);
    session_close(original);
    session_close(on);
    return rc;
}

static void same_end(const char *dir, const char *want)
{
    char got[65];
    CHECK_OK(run(dir, 0, 0, got, NULL));
    CHECK_STR(got, want);
}

TEST(every_allocation_may_fail)
{
    char want[65];
    int64_t n = 0;
    CHECK_OK(run(temp_dir(), 0, 0, want, &n));
    CHECK(n > 50);
    const char *dir = temp_dir();
    for (int64_t k = 1; k <= n; k += 1 + k / 40) {
        const int rc = run(dir, k, 0, NULL, NULL);
        if (rc == EH_OK)
            break; /* the folder's checkpoint was finished by then */
        CHECK_INT(rc, EH_ENOMEM);
    }
    same_end(dir, want);
}

TEST(every_write_may_fail)
{
    char want[65];
    CHECK_OK(run(temp_dir(), 0, 0, want, NULL));
    const char *top = temp_dir();
    int64_t k = 1;
    for (;; k += 1 + k / 10) {
        char dir[300];
        snprintf(dir, sizeof dir, "%s/%lld", top, (long long)k);
        const int rc = run(dir, 0, k, NULL, NULL);
        if (rc == EH_OK)
            break;
        CHECK_INT(rc, EH_EIO);
        CHECK(strstr(err.text, "No space left") != NULL);
        static const char *const files[] = {"tune.ckpt", "tune.jsonl"};
        for (int i = 0; i < 2; i++) {
            char path[500];
            snprintf(path, sizeof path, "%s/%s.part-%ld", dir, files[i], (long)getpid());
            CHECK(!eh_file_exists(path));
        }
        if (k < 8 || k % 5 == 0)
            same_end(dir, want);
    }
    CHECK(k > 20);
}
