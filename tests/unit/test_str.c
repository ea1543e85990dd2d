#include "check.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "base/str.h"

TEST(slices_compare_by_bytes)
{
    CHECK(eh_str_eq(EH_STR("ab"), eh_str_of("ab")));
    CHECK(!eh_str_eq(EH_STR("ab"), EH_STR("abc")));
    CHECK(!eh_str_eq(EH_STR("a\0b"), EH_STR("a\0c")));
    CHECK_INT(EH_STR("a\0b").n, 3);
    CHECK(eh_str_eq(eh_str_of(NULL), (eh_str){0}));
    CHECK(eh_str_of(NULL).p != NULL);

    CHECK(eh_str_starts(EH_STR("blk.3.attn"), EH_STR("blk.")));
    CHECK(eh_str_starts(EH_STR("blk"), EH_STR("")));
    CHECK(!eh_str_starts(EH_STR("bl"), EH_STR("blk")));
    CHECK(eh_str_ends(EH_STR("a.gguf"), EH_STR(".gguf")));
    CHECK(!eh_str_ends(EH_STR("gguf"), EH_STR(".gguf")));
    CHECK(!eh_str_ends(EH_STR("a.gguf2"), EH_STR(".gguf")));
}

TEST(a_buffer_grows_and_stays_terminated)
{
    eh_buf b = {0};
    CHECK_STR(eh_buf_get(&b).p, "");
    for (int i = 0; i < 1000; i++) {
        eh_buf_printf(&b, "%d", i % 10);
        CHECK_INT(b.n, i + 1);
        CHECK_INT(strlen(b.p), i + 1);
    }
    eh_buf_char(&b, '\0');
    eh_buf_str(&b, EH_STR("x"));
    CHECK_INT(b.n, 1002);
    CHECK(memcmp(b.p + 998, "89\0x", 5) == 0);
    eh_buf_reset(&b);
    CHECK_INT(b.n, 0);
    CHECK_STR(b.p, "");
    eh_buf_clear(&b);
    CHECK(b.p == NULL);
}

/* Each length at once, so that the room it needs lies on either side of every size the buffer takes. */
TEST(a_buffer_takes_any_length_at_once)
{
    static const char bytes[300] = {1};
    for (int64_t n = 0; n <= 300; n++) {
        eh_buf b = {0};
        eh_buf_bytes(&b, bytes, n);
        CHECK_INT(b.n, n);
        CHECK(b.room > n);
        eh_buf_clear(&b);
    }
}

/* The ceiling is a ceiling to the byte; the first failure is kept, and nothing is appended after it. */
TEST(a_buffer_stops_at_its_limit_and_remembers)
{
    eh_buf b = {.limit = 5};
    eh_err err = {0};
    eh_buf_str(&b, EH_STR("12345"));
    CHECK_OK(eh_buf_check(&b, "the note", &err));
    eh_buf_char(&b, '6');
    CHECK_FAILS(eh_buf_check(&b, "the note", &err), EH_ERANGE, "the note is larger than the 5 bytes");
    CHECK_STR(b.p, "12345");
    eh_buf_str(&b, EH_STR(""));
    eh_buf_printf(&b, "%s", "");
    CHECK_INT(b.fault, EH_ERANGE);
    CHECK_INT(b.n, 5);

    eh_buf_reset(&b);
    eh_buf_printf(&b, "%s", "123456");
    CHECK_INT(b.fault, EH_ERANGE);
    CHECK_INT(b.n, 0);
    eh_buf_clear(&b);
    CHECK_INT(b.limit, 5);
    CHECK_INT(b.fault, 0);
}

/* U+24B62 and its neighbours: the table of RFC 3629, and each kind of wrong sequence. */
TEST(a_note_is_a_line_of_its_own_however_long)
{
    eh_buf b = {0};
    eh_err err = {0};
    CHECK_OK(eh_buf_note(&b, &err, "%d of %s", 3, "five"));
    CHECK_OK(eh_buf_note(&b, &err, "%02000d", 7));
    CHECK_INT(b.n, 10 + 2001);
    CHECK(memcmp(b.p, "3 of five\n00", 12) == 0);
    CHECK_STR(b.p + b.n - 2, "7\n");
    eh_buf_clear(&b);
    eh_buf full = {.limit = 4};
    CHECK_FAILS(eh_buf_note(&full, &err, "too long"), EH_ERANGE, "the notes");
    eh_buf_clear(&full);
}

TEST(utf8_takes_what_the_rfc_takes)
{
    const struct {
        eh_str bytes;
        int len;
        int32_t code;
    } rows[] = {
        {EH_STR("\x00"), 1, 0},
        {EH_STR("A"), 1, 'A'},
        {EH_STR("\x7f"), 1, 0x7f},
        {EH_STR("\xc2\x80"), 2, 0x80},
        {EH_STR("\xdf\xbf"), 2, 0x7ff},
        {EH_STR("\xe0\xa0\x80"), 3, 0x800},
        {EH_STR("\xed\x9f\xbf"), 3, 0xd7ff},
        {EH_STR("\xee\x80\x80"), 3, 0xe000},
        {EH_STR("\xef\xbf\xbf"), 3, 0xffff},
        {EH_STR("\xf0\x90\x80\x80"), 4, 0x10000},
        {EH_STR("\xf0\xa4\xad\xa2"), 4, 0x24b62},
        {EH_STR("\xf4\x8f\xbf\xbf"), 4, 0x10ffff},
        {EH_STR(""), 0, -1},
        {EH_STR("\x80"), 0, -1},             /* starts in the middle */
        {EH_STR("\xc0\x80"), 0, -1},         /* overlong */
        {EH_STR("\xc1\xbf"), 0, -1},
        {EH_STR("\xe0\x9f\xbf"), 0, -1},
        {EH_STR("\xf0\x8f\xbf\xbf"), 0, -1},
        {EH_STR("\xed\xa0\x80"), 0, -1},     /* surrogate */
        {EH_STR("\xed\xbf\xbf"), 0, -1},
        {EH_STR("\xf4\x90\x80\x80"), 0, -1}, /* beyond U+10FFFF */
        {EH_STR("\xf5\x80\x80\x80"), 0, -1},
        {EH_STR("\xff"), 0, -1},
        {EH_STR("\xc2"), 0, -1},             /* cut off */
        {EH_STR("\xe2\x82"), 0, -1},
        {EH_STR("\xf0\x9f\x98"), 0, -1},
        {EH_STR("\xe2(\xa1"), 0, -1},        /* broken in the middle */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int32_t code = -7; /* left alone where there is no character */
        CHECK_INT(eh_utf8_next(rows[i].bytes, 0, &code), rows[i].len);
        CHECK_INT(code, rows[i].len > 0 ? rows[i].code : -7);
    }
    CHECK_INT(eh_utf8_next(EH_STR("a"), -1, NULL), 0);
    CHECK_INT(eh_utf8_next(EH_STR("a"), 1, NULL), 0);
}

/* The length of the character that n bytes begin with, by the grammar of RFC 3629, section 4. */
static int rfc_length(const unsigned char *p, int n)
{
    static const struct {
        unsigned char first, last, second_from, second_to;
        int len;
    } rule[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof rule / sizeof rule[0]; i++) {
        if (p[0] < rule[i].first || p[0] > rule[i].last)
            continue;
        bool fine = rule[i].len <= n;
        fine = fine && (rule[i].len < 2 || (p[1] >= rule[i].second_from && p[1] <= rule[i].second_to));
        for (int k = 2; k < rule[i].len; k++)
            fine = fine && p[k] >= 0x80 && p[k] <= 0xbf;
        return fine ? rule[i].len : 0;
    }
    return 0;
}

/* Every pair of bytes, with what may follow it, whole and cut off. */
TEST(utf8_agrees_with_the_grammar_of_the_rfc)
{
    static const unsigned char tail[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    const int n_tail = (int)sizeof tail;
    for (int pair = 0; pair < 0x10000; pair++)
        for (int more = 0; more < n_tail * n_tail; more++)
            for (int n = 1; n <= 4; n++) {
                const unsigned char p[4] = {(unsigned char)(pair >> 8), (unsigned char)(pair & 0xff),
                                            tail[more / n_tail], tail[more % n_tail]};
                const int got = eh_utf8_next((eh_str){(const char *)p, n}, 0, NULL), want = rfc_length(p, n);
                if (got != want)
                    fail_msg("%02x %02x %02x %02x cut to %d: length %d, wanted %d", p[0], p[1], p[2], p[3], n, got,
                             want);
            }
}

TEST(utf8_reads_back_every_code_point_it_writes)
{
    for (int32_t c = 0; c <= 0x10ffff; c++) {
        char bytes[4];
        int32_t back = -1;
        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        const int n = eh_utf8_put(c, bytes);
        const int len = eh_utf8_next((eh_str){bytes, n}, 0, &back);
        if (len != n || back != c)
            fail_msg("U+%04X is written in %d bytes and read as U+%04X in %d", (unsigned)c, n, (unsigned)back, len);
    }
}

static const char *as_json(eh_str s)
{
    static eh_buf b;
    eh_buf_clear(&b);
    eh_buf_json(&b, s);
    return b.p;
}

TEST(json_strings_are_escaped_by_hand)
{
    CHECK_STR(as_json(EH_STR("")), "\"\"");
    CHECK_STR(as_json(EH_STR("say \"hi\" \\ /")), "\"say \\\"hi\\\" \\\\ /\"");
    CHECK_STR(as_json(EH_STR("a\nb\tc\r\x01\x7f")), "\"a\\nb\\tc\\u000d\\u0001\\u007f\"");
    CHECK_STR(as_json(EH_STR("a\0b")), "\"a\\u0000b\"");
    CHECK_STR(as_json(EH_STR("caf\xc3\xa9 \xf0\x9f\x98\x80")), "\"caf\xc3\xa9 \xf0\x9f\x98\x80\"");
    CHECK_STR(as_json(EH_STR("\xff" "a\xe2\x82")), "\"\xef\xbf\xbd" "a\xef\xbf\xbd\xef\xbf\xbd\"");
    as_json((eh_str){0});
}

/* Whatever the bytes, what is written is JSON, and valid text comes back as it was. */
TEST(json_strings_read_back)
{
    eh_rng r = eh_rng_at(7, "json strings", 0);
    eh_err err = {0};
    for (int round = 0; round < 2000; round++) {
        char bytes[64];
        eh_buf b = {0};
        json_t *v;
        bool valid = true;
        const int64_t n = eh_rng_below(&r, 64);
        for (int64_t i = 0; i < n; i++)
            bytes[i] = (char)eh_rng_below(&r, round % 2 == 0 ? 128 : 256);
        const eh_str s = {bytes, n};
        for (int64_t i = 0; i < n && valid;) {
            const int len = eh_utf8_next(s, i, NULL);
            valid = len > 0;
            i += len;
        }
        eh_buf_json(&b, s);
        CHECK_OK(eh_json_parse(eh_buf_get(&b), "the test", &v, &err));
        CHECK(!valid || eh_str_eq(eh_json_text(v), s));
        json_decref(v);
        eh_buf_clear(&b);
    }
}

static const char *as_double(double x)
{
    static eh_buf b;
    eh_buf_clear(&b);
    eh_buf_double(&b, x);
    return b.p;
}

static const char *as_float(float x)
{
    static eh_buf b;
    eh_buf_clear(&b);
    eh_buf_float(&b, x);
    return b.p;
}

TEST(numbers_have_the_fewest_digits)
{
    CHECK_STR(as_double(0.1), "0.1");
    CHECK_STR(as_double(-2.5), "-2.5");
    CHECK_STR(as_double(1.0 / 3.0), "0.3333333333333333");
    CHECK_STR(as_double(0.1 + 0.2), "0.30000000000000004");
    CHECK_STR(as_double(1e100), "1e+100");
    CHECK_STR(as_double(0.0), "0");
    CHECK_STR(as_double(-0.0), "-0");
    CHECK_STR(as_double(0x1p-1074), "5e-324"); /* the least double: one digit names it */
    CHECK_STR(as_double(DBL_MAX), "1.7976931348623157e+308");
    CHECK_STR(as_double(NAN), "null");
    CHECK_STR(as_double(-INFINITY), "null");

    CHECK_STR(as_float(0.1f), "0.1");
    CHECK_STR(as_float(16777216.0f), "16777216");
    CHECK_STR(as_float(1.0f / 3.0f), "0.33333334");
    CHECK_STR(as_float(0x1p-149f), "1e-45");
    CHECK_STR(as_float(FLT_MAX), "3.4028235e+38");
    CHECK_STR(as_float(INFINITY), "null");
}

/* Any bit pattern reads back as itself, and no text with fewer digits would have. */
TEST(numbers_read_back_bit_for_bit)
{
    eh_rng r = eh_rng_at(7, "numbers", 0);
    for (int i = 0; i < 40000; i++) {
        uint64_t bits = eh_rng_u64(&r);
        uint32_t bits32 = eh_rng_u32(&r);
        if (i % 10 == 0) { /* the subnormal ones, too, of every length */
            bits &= UINT64_C(0x800fffffffffffff) >> (i / 10 % 50);
            bits32 &= UINT32_C(0x807fffff) >> (i / 10 % 20);
        }
        double x;
        float y;
        memcpy(&x, &bits, sizeof x);
        memcpy(&y, &bits32, sizeof y);
        char fewer[40];
        if (isfinite(x)) {
            const char *s = as_double(x);
            const double back = strtod(s, NULL);
            CHECK(memcmp(&back, &x, sizeof x) == 0);
            int digits = 0;
            for (const char *p = s; *p != '\0' && *p != 'e'; p++)
                digits += *p >= '0' && *p <= '9';
            for (int d = 1; d < digits && d < 17 && strchr(s, 'e') != NULL; d++) {
                snprintf(fewer, sizeof fewer, "%.*g", d, x);
                CHECK(strtod(fewer, NULL) != x);
            }
        }
        if (isfinite(y)) {
            const float back = strtof(as_float(y), NULL);
            CHECK(memcmp(&back, &y, sizeof y) == 0);
        }
    }
}

TEST(numbers_keep_their_point_in_a_country_of_commas)
{
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL)
        SKIP("this system has no locale de_DE.UTF-8");
    char d[40], f[40];
    snprintf(d, sizeof d, "%s", as_double(-1.5e-7));
    snprintf(f, sizeof f, "%s", as_float(0.25f));
    setlocale(LC_NUMERIC, "C");
    CHECK_STR(d, "-1.5e-07");
    CHECK_STR(f, "0.25");
}
