#include <string.h>

#include "base/mem.h"
#include "base/sink.h"
#include "check.h"

static eh_err err;

/* FIPS 180-2's "abc", in pieces, and a byte behind the sum. */
TEST(a_file_is_hashed_as_it_is_written)
{
    char path[500], sum[EH_SHA256_TEXT];
    eh_sink s;
    eh_buf b = {0};
    snprintf(path, sizeof path, "%s/f", temp_dir());
    CHECK_OK(eh_sink_open(&s, path, &err));
    CHECK_OK(eh_sink_put(&s, "a", 1, &err));
    CHECK_OK(eh_sink_put(&s, "bc", 2, &err));
    CHECK_OK(eh_sink_put(&s, NULL, 0, &err));
    CHECK_OK(eh_sink_sum(&s, sum, &err));
    CHECK_STR(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_OK(eh_sink_put(&s, "!", 1, &err));
    CHECK_INT(s.n, 4);
    CHECK(!eh_file_exists(path));
    CHECK_OK(eh_sink_commit(&s, &err));
    eh_sink_drop(&s);
    eh_sink_drop(&s);
    eh_sink_drop(NULL);
    CHECK_OK(eh_file_read(path, 100, &b, &err));
    CHECK_STR(b.p, "abc!");
    eh_buf_clear(&b);
}

/* More than is hashed and written at once. */
TEST(a_large_file_has_the_sum_of_its_bytes)
{
    const int64_t n = ((int64_t)5 << 20) / 2 + 1;
    char path[500], sum[EH_SHA256_TEXT], want[EH_SHA256_TEXT], found[EH_SHA256_TEXT];
    char *p = eh_alloc(n, 1);
    eh_sink s;
    for (int64_t i = 0; i < n; i++)
        p[i] = (char)(i * i % 251);
    snprintf(path, sizeof path, "%s/f", temp_dir());
    CHECK_OK(eh_sink_open(&s, path, &err));
    CHECK_OK(eh_sink_put(&s, p, n, &err));
    CHECK_OK(eh_sink_sum(&s, sum, &err));
    CHECK_OK(eh_sink_commit(&s, &err));
    eh_sink_drop(&s);
    CHECK_OK(eh_sha256_of(p, n, want, &err));
    CHECK_OK(eh_sha256_file(path, found, &err));
    CHECK_STR(sum, want);
    CHECK_STR(found, want);
    eh_free(p);
}

TEST(what_cannot_be_hashed_or_written_is_told_and_not_there)
{
    char path[500], sum[EH_SHA256_TEXT] = "untouched";
    eh_sink s;
    snprintf(path, sizeof path, "%s/none/f", temp_dir());
    CHECK_FAILS(eh_sink_open(&s, path, &err), EH_ENOENT, "cannot write");
    eh_sink_drop(&s);
    snprintf(path, sizeof path, "%s/f", temp_dir());
    CHECK_OK(eh_sink_open(&s, path, &err));
    CHECK_OK(eh_sink_put(&s, "abc", 3, &err));
    eh_sha256_fail_after(1);
    CHECK_FAILS(eh_sink_sum(&s, sum, &err), EH_ENOMEM, "SHA-256");
    eh_sha256_fail_after(0);
    CHECK_STR(sum, "untouched");
    eh_sink_drop(&s);
    CHECK(!eh_file_exists(path));
}
