#include "check.h"

#include <string.h>

#include "base/mem.h"

TEST(sizes_that_overflow_are_refused)
{
    CHECK(eh_alloc(-1, 1) == NULL);
    CHECK(eh_alloc(1, -1) == NULL);
    CHECK(eh_alloc(INT64_MAX, 2) == NULL);
    CHECK(eh_calloc(INT64_MAX / 4 + 1, 4) == NULL);
    CHECK(eh_alloc(INT64_MAX, 1) == NULL);
    /* 2^32 * 2^32 is 0 in 64 bits: the product that fools an unchecked malloc. */
    CHECK(eh_alloc((int64_t)1 << 32, (int64_t)1 << 32) == NULL);
}

TEST(nothing_is_still_something_to_free)
{
    void *p = eh_alloc(0, 8);
    void *q = eh_calloc(8, 0);
    CHECK(p != NULL && q != NULL);
    eh_free(p);
    eh_free(q);
    eh_free(NULL);
}

TEST(calloc_zeroes_and_realloc_keeps)
{
    int32_t *p = eh_calloc(100, sizeof *p);
    CHECK(p != NULL);
    for (int i = 0; i < 100; i++) {
        CHECK_INT(p[i], 0);
        p[i] = i;
    }
    CHECK(eh_realloc(p, INT64_MAX, 4) == NULL); /* p is still ours */
    int32_t *q = eh_realloc(p, 10000, sizeof *q);
    CHECK(q != NULL);
    for (int i = 0; i < 100; i++)
        CHECK_INT(q[i], i);
    eh_free(q);
}

TEST(strdup_copies)
{
    const char s[] = "head 3";
    char *copy = eh_strdup(s);
    CHECK_STR(copy, s);
    CHECK(copy != s);
    eh_free(copy);
}

TEST(the_kth_allocation_and_all_after_it_fail_when_told_to)
{
    eh_arena a = {0};
    eh_mem_fail_after(3);
    void *p = eh_alloc(1, 1);
    void *q = eh_calloc(1, 1);
    CHECK(p != NULL && q != NULL);
    CHECK(eh_realloc(p, 2, 1) == NULL);
    CHECK(eh_strdup("x") == NULL);
    CHECK(eh_new(&a, char, 1) == NULL);
    CHECK_INT(eh_mem_count(), 5);

    eh_mem_fail_after(0);
    CHECK_INT(eh_mem_count(), 0);
    void *r = eh_alloc(1, 1);
    CHECK(r != NULL);
    CHECK_INT(eh_mem_count(), 1);
    eh_free(p);
    eh_free(q);
    eh_free(r);
}

TEST(arena_hands_out_aligned_zeroed_room_that_does_not_overlap)
{
    eh_arena a = {0};
    unsigned char *p[500];

    for (int i = 0; i < 500; i++) {
        p[i] = eh_new(&a, unsigned char, 3 * i);
        CHECK(p[i] != NULL);
        CHECK_INT((uintptr_t)p[i] % 64, 0);
        for (int j = 0; j < 3 * i; j++)
            CHECK_INT(p[i][j], 0);
        memset(p[i], i & 0xff, (size_t)(3 * i));
    }
    for (int i = 0; i < 500; i++)
        for (int j = 0; j < 3 * i; j++)
            CHECK_INT(p[i][j], i & 0xff);
    eh_arena_clear(&a);
    CHECK(a.top == NULL);
    CHECK_INT(a.used, 0);
}

TEST(arena_counts_in_units_of_its_alignment)
{
    eh_arena a = {0};
    CHECK(eh_new(&a, char, 1) != NULL);
    CHECK_INT(a.used, 64);
    CHECK(eh_new(&a, char, 64) != NULL);
    CHECK_INT(a.used, 128);
    CHECK(eh_new(&a, char, 65) != NULL);
    CHECK_INT(a.used, 256);
    CHECK_INT(a.high, 256);
    eh_arena_clear(&a);
    CHECK_INT(a.high, 256);
}

/* Rewinding goes back over chunks, the room is handed out again, and what was before the mark stays. */
TEST(arena_rewinds_to_its_mark)
{
    eh_arena a = {0};
    char *first = eh_arena_text(&a, "stays", 5);
    const eh_arena_mark mark = eh_arena_here(&a);
    char *second = eh_new(&a, char, 100);
    memset(second, 'x', 100);
    for (int i = 0; i < 20; i++)
        CHECK(eh_new(&a, char, 50000) != NULL); /* several chunks */

    eh_arena_rewind(&a, mark);
    CHECK_INT(a.used, mark.used);
    CHECK(a.high > 20 * 50000);
    char *again = eh_new(&a, char, 100);
    CHECK(again == second);
    CHECK_INT(again[0], 0); /* zeroed anew */
    CHECK_STR(first, "stays");

    const eh_arena_mark empty = {0};
    eh_arena_rewind(&a, empty);
    CHECK(a.top == NULL);
    eh_arena_clear(&a);
}

TEST(arena_refuses_what_its_limit_or_a_size_does_not_hold)
{
    eh_arena a = {.limit = 1000};
    CHECK(eh_new(&a, char, 1001) == NULL);
    CHECK(eh_new(&a, char, 900) != NULL); /* takes 960 */
    CHECK(eh_new(&a, char, 64) == NULL);
    CHECK_INT(a.used, 960);
    CHECK(eh_new(&a, char, -1) == NULL);
    CHECK(eh_new(&a, double, INT64_MAX / 4) == NULL);
    eh_arena_clear(&a);
    CHECK_INT(a.limit, 1000);
    CHECK(eh_new(&a, char, 900) != NULL);
    eh_arena_clear(&a);

    eh_arena free_arena = {0};
    CHECK(eh_new(&free_arena, char, INT64_MAX) == NULL);
    CHECK(eh_arena_text(&free_arena, "", INT64_MAX) == NULL);
    CHECK(eh_arena_text(&free_arena, "", -1) == NULL);
    CHECK_INT(free_arena.used, 0);
    eh_arena_clear(&free_arena);
}

TEST(arena_text_ends_in_nul_and_may_hold_one)
{
    eh_arena a = {0};
    char *p = eh_arena_text(&a, "a\0b???", 3);
    CHECK(p != NULL && memcmp(p, "a\0b", 4) == 0);
    CHECK_STR(eh_arena_text(&a, NULL, 0), "");
    eh_arena_clear(&a);
}
