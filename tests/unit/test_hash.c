#include "check.h"

#include <string.h>

#include "base/file.h"
#include "base/hash.h"

/* FIPS 180-2, appendix B, and the empty text. */
TEST(sha256_of_the_standards_examples)
{
    const struct {
        const char *text, *digest;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    eh_err err = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char digest[EH_SHA256_TEXT];
        CHECK_OK(eh_sha256_of(rows[i].text, (int64_t)strlen(rows[i].text), digest, &err));
        CHECK_STR(digest, rows[i].digest);
    }
}

/* A million times "a", however it is cut into pieces. */
TEST(sha256_does_not_see_the_pieces)
{
    static char a[1000000];
    eh_err err = {0};
    memset(a, 'a', sizeof a);
    for (int64_t piece = 1; piece <= 1000000; piece = piece * 7 + 1) {
        char digest[EH_SHA256_TEXT];
        eh_sha256 h;
        eh_sha256_begin(&h);
        for (int64_t at = 0; at < 1000000; at += piece)
            eh_sha256_add(&h, a + at, piece < 1000000 - at ? piece : 1000000 - at);
        eh_sha256_add(&h, NULL, 0);
        CHECK_OK(eh_sha256_end(&h, digest, &err));
        CHECK_STR(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

TEST(sha256_of_a_file_is_that_of_its_bytes)
{
    const char *dir = temp_dir();
    char path[4096], digest[EH_SHA256_TEXT] = "untouched";
    eh_err err = {0};
    snprintf(path, sizeof path, "%s/abc", dir);
    CHECK_FAILS(eh_sha256_file(path, digest, &err), EH_ENOENT, "/abc: cannot open");
    CHECK_STR(digest, "untouched");
    CHECK_OK(eh_file_write(path, EH_STR("abc"), &err));
    CHECK_OK(eh_sha256_file(path, digest, &err));
    CHECK_STR(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_OK(eh_file_write(path, EH_STR(""), &err));
    CHECK_OK(eh_sha256_file(path, digest, &err));
    CHECK_STR(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* A state that was lost on the way is an error at the end, not a wrong digest. */
TEST(sha256_without_a_state_is_an_error)
{
    char digest[EH_SHA256_TEXT] = "untouched";
    eh_sha256 h = {0};
    eh_err err = {0};
    eh_sha256_add(&h, "abc", 3);
    CHECK_FAILS(eh_sha256_end(&h, digest, &err), EH_ENOMEM, "libcrypto");
    CHECK_STR(digest, "untouched");
}

TEST(a_digest_that_is_told_to_fail_fails_and_leaves_its_output)
{
    char digest[EH_SHA256_TEXT] = "untouched";
    eh_err err = {0};
    eh_sha256_fail_after(2);
    CHECK_OK(eh_sha256_of("abc", 3, digest, &err));
    CHECK(strncmp(digest, "ba7816bf", 8) == 0);
    CHECK_FAILS(eh_sha256_of("", 0, digest, &err), EH_ENOMEM, "SHA-256");
    CHECK_FAILS(eh_sha256_of("", 0, digest, &err), EH_ENOMEM, "SHA-256");
    CHECK(strncmp(digest, "ba7816bf", 8) == 0);
    eh_sha256_fail_after(0);
    CHECK_OK(eh_sha256_of("", 0, digest, &err));
    CHECK(strncmp(digest, "e3b0c442", 8) == 0);
    eh_sha256 h = {0};
    eh_sha256_begin(&h);
    eh_sha256_drop(&h); /* begun and not ended */
    eh_sha256_drop(&h);
    CHECK(h.state == NULL);
}
