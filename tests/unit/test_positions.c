/* Ranges, and from bytes to positions. */
#include "text/positions.h"

#include <string.h>

#include "check.h"

static eh_err err;

TEST(ranges_merge_by_hand)
{
    eh_range r[] = {{7, 9}, {1, 3}, {3, 4}, {5, 5}, {2, 3}, {8, 12}, {20, 21}};
    CHECK_INT(eh_ranges_merge(r, 7), 3);
    CHECK(r[0].from == 1 && r[0].end == 4 && r[1].from == 7 && r[1].end == 12 && r[2].from == 20 && r[2].end == 21);
    CHECK_INT(eh_ranges_merge(r, 0), 0);
    CHECK_INT(eh_ranges_merge(NULL, 0), 0);
}

/* BOS | The | " cat" | " s" | "at" | "." on "The cat sat." that begins at byte 10 of the text */
TEST(spans_become_positions_by_overlap)
{
    int64_t start[] = {0, 10, 13, 17, 19, 21}, end[] = {0, 13, 17, 19, 21, 22};
    int32_t id[6] = {0};
    const eh_ids ids = {.id = id, .start = start, .end = end, .n = 6, .room = 6};
    const eh_range span[] = {{8, 11}, {4, 7}, {5, 5}, {30, 31}};
    eh_range pos[4];
    CHECK_INT(eh_positions_of(&ids, span, 4, 10, pos), 1); /* "sat" and "cat" are neighbours; nothing else is there */
    CHECK(pos[0].from == 2 && pos[0].end == 5);
    CHECK_INT(eh_positions_of(&ids, span, 1, 10, pos), 1);
    CHECK(pos[0].from == 3 && pos[0].end == 5);
    const eh_range apart[] = {{11, 12}, {0, 1}};
    CHECK_INT(eh_positions_of(&ids, apart, 2, 10, pos), 2);
    CHECK(pos[0].from == 1 && pos[0].end == 2 && pos[1].from == 5 && pos[1].end == 6);
    const eh_range all = {0, 12};
    CHECK_INT(eh_positions_of(&ids, &all, 1, 10, pos), 1);
    CHECK(pos[0].from == 1 && pos[0].end == 6);
}

/* The tokens of a span, decoded, hold the span's text. */
TEST(positions_of_a_real_tokenizer_hold_their_words)
{
    eh_tokenizer *t;
    CHECK_OK(eh_tokenizer_open_json(repo_path("tests/golden/tiny/llama"), &t, &err));
    const char *text = "The grandfather met \xc3\x89va, and the grandson left; \xc3\x89va did not.";
    eh_ids ids = {0};
    CHECK_OK(eh_tokenizer_encode(t, eh_str_of(text), EH_ENCODE_DEFAULT, &ids, &err));
    static const char *const words[] = {"grandfather", "\xc3\x89va", "grandson", "left"};
    for (size_t w = 0; w < 4; w++) {
        const int64_t at = (int64_t)(strstr(text, words[w]) - text);
        const eh_range span = {at, at + (int64_t)strlen(words[w])};
        eh_range pos;
        CHECK_INT(eh_positions_of(&ids, &span, 1, 0, &pos), 1);
        eh_buf out = {0};
        CHECK_OK(eh_tokenizer_decode(t, ids.id + pos.from, pos.end - pos.from, true, &out, &err));
        CHECK(strstr(out.p, words[w]) != NULL);
        eh_buf_clear(&out);
        /* One token fewer on either side lacks a piece of it. */
        CHECK(ids.start[pos.from] <= span.from + 1 && ids.end[pos.end - 1] >= span.end);
        CHECK(ids.end[pos.from] > span.from && ids.start[pos.end - 1] < span.end);
    }
    eh_ids_clear(&ids);
    eh_tokenizer_close(t);
}
