/* Context and continuation to tokens, by the harness' rule. */
#include "text/pair.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "check.h"

static eh_err err;

static const char *const names[] = {"smollm", "gpt2", "llama2", "llama3", "qwen2", "gemma", "metaspace"};
#define N_NAME (sizeof names / sizeof *names)

static eh_tokenizer *open_one(const char *name)
{
    char path[200];
    eh_tokenizer *t;
    snprintf(path, sizeof path, "tests/golden/tiny/tokenizers/%s", name);
    CHECK_OK(eh_tokenizer_open_json(repo_path(path), &t, &err));
    return t;
}

static eh_ids encode(const eh_tokenizer *t, const char *text)
{
    eh_ids ids = {0};
    CHECK_OK(eh_tokenizer_encode(t, eh_str_of(text), EH_ENCODE_SPECIAL, &ids, &err));
    return ids;
}

/* The pair's ids are those of `whole` (with `prefix` in front unless -1), cut after `from`. */
static void check_pair(const eh_tokenizer *t, const char *context, const char *continuation, int32_t prefix,
                       const char *whole, int64_t from)
{
    eh_ids ids = {0}, want = encode(t, whole);
    int64_t got = -1;
    CHECK_OK(eh_pair_encode(t, eh_str_of(context), eh_str_of(continuation), -1, 0, &ids, &got, &err));
    const int64_t extra = prefix >= 0;
    CHECK_INT(ids.n, want.n + extra);
    if (prefix >= 0)
        CHECK_INT(ids.id[0], prefix);
    CHECK(memcmp(ids.id + extra, want.id, (size_t)want.n * sizeof *want.id) == 0);
    CHECK_INT(got, from);
    eh_ids_clear(&ids);
    eh_ids_clear(&want);
}

static int64_t count(const eh_tokenizer *t, const char *text)
{
    eh_ids ids = encode(t, text);
    const int64_t n = ids.n;
    eh_ids_clear(&ids);
    return n;
}

TEST(both_are_encoded_together_and_cut_where_the_context_alone_ends)
{
    for (size_t i = 0; i < N_NAME; i++) {
        eh_tokenizer *t = open_one(names[i]);
        check_pair(t, "The cat sat", " on the mat", -1, "The cat sat on the mat", count(t, "The cat sat"));
        check_pair(t, "The ca", "t sat", -1, "The cat sat", count(t, "The ca")); /* even where that cuts a word */
        eh_tokenizer_close(t);
    }
}

TEST(blanks_at_the_end_of_the_context_move_to_the_continuation)
{
    for (size_t i = 0; i < N_NAME; i++) {
        eh_tokenizer *t = open_one(names[i]);
        check_pair(t, "The cat  ", "sat", -1, "The cat  sat", count(t, "The cat"));
        check_pair(t, "The cat\n\t ", "sat", -1, "The cat\n\t sat", count(t, "The cat"));
        check_pair(t, "The cat\xE2\x80\x83", "sat", -1, "The cat\xE2\x80\x83sat", count(t, "The cat")); /* U+2003 */
        eh_tokenizer_close(t);
    }
}

TEST(an_empty_context_is_the_prefix_token)
{
    for (size_t i = 0; i < N_NAME; i++) {
        eh_tokenizer *t = open_one(names[i]);
        const int32_t prefix = eh_tokenizer_bos(t) >= 0 ? eh_tokenizer_bos(t) : eh_tokenizer_eos(t);
        CHECK(prefix >= 0);
        check_pair(t, "", "The cat", prefix, "The cat", 1);
        check_pair(t, "   ", "sat", prefix, "   sat", 1); /* nothing but blanks: all of them move */
        /* A continuation that brings the token itself does not get it twice. */
        char marked[200];
        const eh_str spelt = eh_tokenizer_token(t, prefix);
        snprintf(marked, sizeof marked, "%.*sThe cat", (int)spelt.n, spelt.p);
        check_pair(t, "", marked, -1, marked, 1);
        eh_tokenizer_close(t);
    }
}

TEST(the_prefix_may_be_given)
{
    eh_tokenizer *t = open_one("smollm");
    eh_ids ids = {0};
    int64_t from;
    CHECK_OK(eh_pair_encode(t, EH_STR(""), EH_STR("cat"), 7, 0, &ids, &from, &err));
    CHECK(ids.id[0] == 7 && from == 1);
    eh_ids_clear(&ids);
    eh_tokenizer_close(t);
}

TEST(what_is_too_long_is_cut_on_the_left)
{
    eh_tokenizer *t = open_one("smollm");
    eh_ids all = encode(t, "The cat sat on the mat and the dog");
    const int64_t n = all.n, n_context = count(t, "The cat sat on the mat");
    for (int64_t most = 2; most <= n + 2; most++) {
        eh_ids ids = {0};
        int64_t from;
        CHECK_OK(eh_pair_encode(t, EH_STR("The cat sat on the mat"), EH_STR(" and the dog"), -1, most, &ids, &from,
                                &err));
        const int64_t kept = most < n ? most : n;
        CHECK_INT(ids.n, kept);
        CHECK(memcmp(ids.id, all.id + n - kept, (size_t)kept * sizeof *ids.id) == 0);
        CHECK(memcmp(ids.start, all.start + n - kept, (size_t)kept * sizeof *ids.start) == 0);
        /* A token must be left to condition on, even where the continuation fills everything. */
        CHECK_INT(from, n_context - (n - kept) >= 1 ? n_context - (n - kept) : 1);
        eh_ids_clear(&ids);
    }
    eh_ids_clear(&all);
    eh_tokenizer_close(t);
}

TEST(a_continuation_without_a_token_is_refused)
{
    eh_tokenizer *t = open_one("smollm");
    eh_ids ids = {0};
    int64_t from;
    CHECK_FAILS(eh_pair_encode(t, EH_STR("The cat"), EH_STR(""), -1, 0, &ids, &from, &err), EH_EINVAL, "adds no token");
    eh_ids_clear(&ids);
    CHECK_FAILS(eh_pair_encode(t, EH_STR(""), EH_STR(""), -1, 0, &ids, &from, &err), EH_EINVAL, "adds no token");
    eh_ids_clear(&ids);
    eh_tokenizer_close(t);
}

TEST(rstrip_knows_every_blank_of_unicode_and_no_half_character)
{
    CHECK_INT(eh_str_rstrip(EH_STR("")), 0);
    CHECK_INT(eh_str_rstrip(EH_STR(" \t\n")), 0);
    CHECK_INT(eh_str_rstrip(EH_STR("ab \xC2\xA0\xE3\x80\x80 ")), 2);
    CHECK_INT(eh_str_rstrip(EH_STR("ab \xA0")), 4); /* a stray byte is no blank */
    CHECK_INT(eh_str_rstrip(EH_STR("a b")), 3);
}

TEST(a_failed_allocation_is_an_error_and_nothing_leaks)
{
    eh_tokenizer *t = open_one("smollm");
    int64_t k = 1;
    for (;; k++) {
        eh_ids ids = {0};
        int64_t from;
        eh_mem_fail_after(k);
        const int rc = eh_pair_encode(t, EH_STR("The cat  "), EH_STR("sat"), -1, 0, &ids, &from, &err);
        eh_mem_fail_after(0);
        eh_ids_clear(&ids);
        if (rc == EH_OK)
            break;
        CHECK_INT(rc, EH_ENOMEM);
    }
    CHECK(k > 4);
    eh_tokenizer_close(t);
}
