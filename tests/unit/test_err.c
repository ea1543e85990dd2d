#include "check.h"

#include <string.h>

#include "base/err.h"

TEST(fail_returns_the_code_and_keeps_the_sentence)
{
    eh_err err = {0};
    CHECK_INT(eh_fail(&err, EH_EFORMAT, "%s: %d bytes promised, %d left", "a.gguf", 12, 7), EH_EFORMAT);
    CHECK_INT(err.code, EH_EFORMAT);
    CHECK_STR(err.text, "a.gguf: 12 bytes promised, 7 left");
}

TEST(fail_without_a_place_for_the_sentence_still_returns_the_code)
{
    CHECK_INT(eh_fail(NULL, EH_EIO, "%s", "nobody hears this"), EH_EIO);
    CHECK_INT(eh_fail_in(NULL, EH_ENOMEM, "%s", "nor this"), EH_ENOMEM);
}

TEST(fail_in_puts_the_place_before_what_was_said)
{
    eh_err err = {0};
    eh_fail(&err, EH_EFORMAT, "wanted a string");
    CHECK_INT(eh_fail_in(&err, EH_EINVAL, "line %d", 3), EH_EINVAL);
    CHECK_STR(err.text, "line 3: wanted a string");
    CHECK_INT(err.code, EH_EINVAL);
}

/* A text that just fits is left whole; one byte more and its end says that it was cut. */
TEST(a_sentence_too_long_ends_in_dots)
{
    char text[sizeof((eh_err *)0)->text + 1];
    eh_err err = {0};
    memset(text, 'x', sizeof text);

    text[sizeof err.text - 1] = '\0';
    eh_fail(&err, EH_EIO, "%s", text);
    CHECK_STR(err.text, text);

    text[sizeof err.text - 1] = 'x';
    text[sizeof err.text] = '\0';
    eh_fail(&err, EH_EIO, "%s", text);
    CHECK_INT(strlen(err.text), sizeof err.text - 1);
    CHECK_STR(err.text + sizeof err.text - 5, "x...");
}

TEST(a_prefix_that_fills_the_room_is_cut_too)
{
    char text[3000];
    eh_err err = {0};
    memset(text, 'p', sizeof text);
    text[sizeof text - 1] = '\0';

    eh_fail(&err, EH_EIO, "short");
    eh_fail_in(&err, EH_EIO, "%s", text);
    CHECK_INT(strlen(err.text), sizeof err.text - 1);
    CHECK_STR(err.text + sizeof err.text - 5, "p...");

    eh_fail(&err, EH_EIO, "%s", text);
    eh_fail_in(&err, EH_EIO, "before");
    CHECK(strncmp(err.text, "before: ppp", 11) == 0);
    CHECK_STR(err.text + sizeof err.text - 5, "p...");
}

TEST(every_code_is_negative_has_its_own_number_and_words)
{
    const struct {
        int code;
        const char *words;
    } all[] = {
#define ROW(name, number, text) {EH_##name, text},
        EH_ERRORS(ROW)
#undef ROW
    };
    const int n = (int)(sizeof all / sizeof all[0]);

    CHECK_STR(eh_error_name(EH_OK), "done");
    CHECK_STR(eh_error_name(1), "unknown error");
    CHECK_STR(eh_error_name(-1000), "unknown error");
    for (int i = 0; i < n; i++) {
        CHECK(all[i].code < 0);
        CHECK_STR(eh_error_name(all[i].code), all[i].words);
        for (int j = 0; j < i; j++)
            CHECK(all[i].code != all[j].code && strcmp(all[i].words, all[j].words) != 0);
    }
}
