/* The parts of a tokenizer: the way back through normalisers, cutting, merging, added tokens,
 * decoding, and what is refused. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "text/chars.h"
#include "text/parts.h"
#include "text/tokenizer.h"

static eh_err err;

/* ---- Small tokenizers, written down here -------------------------------------------------- */

/* Byte-level over ASCII letters, blank and newline (spelt as GPT-2's alphabet has them). Ids: a 0, b 1,
 * c 2, blank 3, newline 4, "ab" 5, "abc" 6, " a" 7, 0xC3 8, 0xA9 9, e-acute 10, 0xFF 11, apostrophe 12, s 13. */
#define BYTE_VOCAB \
    "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"\\u0120\":3,\"\\u010a\":4,\"ab\":5,\"abc\":6,\"\\u0120a\":7,\"\\u00c3\":8," \
    "\"\\u00a9\":9," \
    "\"\\u00c3\\u00a9\":10,\"\\u00ff\":11,\"'\":12,\"s\":13}," \
    "\"merges\":[\"a b\",[\"ab\",\"c\"],\"\\u0120 a\",\"\\u00c3 \\u00a9\"]"
#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}"

/* SentencePiece style. Ids: <unk> 0, <s> 1, </s> 2, bytes 3..258, U+2581 259, a 260, b 261, "ab" 262, U+2581"a" 263. */
static const char *spm_json(bool with_bytes)
{
    static char text[16384];
    size_t n = (size_t)sprintf(text, "{\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true,"
                                     "\"normalized\":false}],"
                               "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\","
                               "\"prepend\":\"\\u2581\"},"
                               "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},"
                               "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\","
                               "\"pattern\":{\"String\":\"\\u2581\"},\"content\":\" \"},"
                               "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \","
                               "\"start\":1,\"stop\":0}]},"
                               "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,"
                               "\"byte_fallback\":%s,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2",
                               with_bytes ? "true" : "false");
    for (int i = 0; i < 256; i++)
        n += (size_t)sprintf(text + n, ",\"<0x%02X>\":%d", i, 3 + i);
    sprintf(text + n, ",\"\\u2581\":259,\"a\":260,\"b\":261,\"ab\":262,\"\\u2581a\":263},\"merges\":[\"a b\",\"\\u2581 "
                      "a\"]}}");
    return text;
}

static eh_tokenizer *open_json(const char *json, const char *config)
{
    eh_tokenizer *t = NULL;
    CHECK_OK(eh_tokenizer_open_bytes(eh_str_of(json), eh_str_of(config), "test", &t, &err));
    return t;
}

/* ids as "7 5:0-2 ..." with ranges, or without. */
static const char *encoded(const eh_tokenizer *t, eh_str text, unsigned flags, bool ranges)
{
    static char out[4096];
    eh_ids ids = {0};
    size_t n = 0;
    out[0] = '\0';
    CHECK_OK(eh_tokenizer_encode(t, text, flags, &ids, &err));
    for (int64_t i = 0; i < ids.n; i++) {
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%d", i > 0 ? " " : "", (int)ids.id[i]);
        if (ranges)
            n += (size_t)snprintf(out + n, sizeof out - n, ":%d-%d", (int)ids.start[i], (int)ids.end[i]);
    }
    eh_ids_clear(&ids);
    return out;
}

static const char *decoded(const eh_tokenizer *t, const int32_t *id, int64_t n, bool skip)
{
    static char out[4096];
    eh_buf b = {0};
    CHECK_OK(eh_tokenizer_decode(t, id, n, skip, &b, &err));
    snprintf(out, sizeof out, "%s", b.p == NULL ? "" : b.p);
    eh_buf_clear(&b);
    return out;
}

/* ---- Flows and normalisers ---------------------------------------------------------------- */

TEST(a_flow_knows_its_way_back)
{
    eh_flow a = {0}, b = {0}, c = {0};
    int64_t from, to;
    CHECK_OK(eh_flow_borrow(&a, EH_STR("ab cd"), 100, &err));
    eh_flow_begin(&b);
    eh_flow_put(&b, EH_STR("__"), &a, 0, 0); /* stands for nothing */
    eh_flow_copy(&b, &a, 0, 2);
    eh_flow_put(&b, EH_STR("xyz"), &a, 2, 3);
    eh_flow_copy(&b, &a, 3, 5);
    CHECK_OK(eh_flow_end(&b, &err));
    CHECK(eh_str_eq(b.text, EH_STR("__abxyzcd")));
    static const int64_t want[][4] = {
        {0, 2, 100, 100}, {0, 4, 100, 102}, {2, 3, 100, 101}, {3, 4, 101, 102}, {4, 5, 102, 103}, {6, 8, 102, 104},
        {8, 9, 104, 105}, {9, 9, 105, 105}, {2, 9, 100, 105}, {3, 5, 101, 103},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        eh_flow_range(&b, want[i][0], want[i][1], &from, &to);
        CHECK_INT(from, want[i][2]);
        CHECK_INT(to, want[i][3]);
    }
    eh_flow_begin(&c); /* a second change on top of the first */
    eh_flow_copy(&c, &b, 3, 5);
    eh_flow_put(&c, EH_STR("Q"), &b, 5, 8);
    CHECK_OK(eh_flow_end(&c, &err));
    eh_flow_range(&c, 1, 3, &from, &to);
    CHECK_INT(from, 102);
    CHECK_INT(to, 104);
    eh_flow_clear(&a);
    eh_flow_clear(&b);
    eh_flow_clear(&c);
}

/* Runs steps over text; *ranges gets "from-to" of each character of the result. */
static const char *normalized(const eh_norm *step, int64_t n, const char *text, char *ranges)
{
    static char out[8192];
    eh_flow flow[2] = {{.n_span = 0}, {.n_span = 0}};
    eh_matcher *m = NULL;
    int now = 0;
    CHECK_OK(eh_matcher_open(&m, &err));
    CHECK_OK(eh_flow_borrow(&flow[0], eh_str_of(text), 0, &err));
    CHECK_OK(eh_normalize(step, n, m, flow, &now, &err));
    const eh_str s = flow[now].text;
    snprintf(out, sizeof out, "%.*s", (int)s.n, s.p);
    if (ranges != NULL) {
        size_t k = 0;
        ranges[0] = '\0';
        for (int64_t at = 0; at < s.n;) {
            int64_t from, to;
            const int len = eh_utf8_next(s, at, NULL);
            eh_flow_range(&flow[now], at, at + len, &from, &to);
            k += (size_t)sprintf(ranges + k, "%s%d-%d", k > 0 ? " " : "", (int)from, (int)to);
            at += len;
        }
    }
    eh_matcher_close(m);
    eh_flow_clear(&flow[0]);
    eh_flow_clear(&flow[1]);
    return out;
}

TEST(normalizers_by_hand)
{
    char r[400];
    const eh_norm nfc = {.kind = EH_NORMALIZE_NFC}, nfd = {.kind = EH_NORMALIZE_NFD};
    const eh_norm nfkc = {.kind = EH_NORMALIZE_NFKC};
    CHECK_STR(normalized(&nfc, 1, "xe\u0301y", r), "x\u00e9y");
    CHECK_STR(r, "0-1 1-4 4-5");
    CHECK_STR(normalized(&nfc, 1, "plain \u00e9 \u4e2d", r), "plain \u00e9 \u4e2d");
    CHECK_STR(normalized(&nfd, 1, "x\u00e9y", r), "xe\u0301y");
    CHECK_STR(r, "0-1 1-3 1-3 3-4");
    CHECK_STR(normalized(&nfkc, 1, "\ufb01\u2460", r), "fi1");
    CHECK_STR(r, "0-3 0-3 3-6");
    CHECK_STR(normalized(&nfc, 1, "\u1112\u1161\u11ab", r), "\ud55c");
    CHECK_STR(r, "0-9");
    CHECK_STR(normalized(&nfc, 1, "q\u0307\u0323", r), "q\u0323\u0307"); /* marks change places */
    CHECK_STR(r, "0-5 0-5 0-5");

    const eh_norm low = {.kind = EH_NORMALIZE_LOWERCASE};
    CHECK_STR(normalized(&low, 1, "A\u0130\u00c9z", r), "ai\u0307\u00e9z");
    CHECK_STR(r, "0-1 1-3 1-3 3-5 5-6");
    const eh_norm strip = {.kind = EH_NORMALIZE_STRIP, .left = true, .right = true};
    const eh_norm left = {.kind = EH_NORMALIZE_STRIP, .left = true};
    CHECK_STR(normalized(&strip, 1, " \u00a0a b\n", r), "a b");
    CHECK_STR(r, "3-4 4-5 5-6");
    CHECK_STR(normalized(&left, 1, "  a ", r), "a ");
    CHECK_STR(normalized(&strip, 1, " \t ", r), "");
    const eh_norm bare[2] = {{.kind = EH_NORMALIZE_NFD}, {.kind = EH_NORMALIZE_STRIP_ACCENTS}};
    CHECK_STR(normalized(bare, 2, "\u00e9\u00c5", r), "eA");
    CHECK_STR(r, "0-2 2-4");
    const eh_norm spm[2] = {{.kind = EH_NORMALIZE_PREPEND, .text = EH_STR("_")},
                            {.kind = EH_NORMALIZE_REPLACE, .find = EH_STR(" "), .text = EH_STR("_")}};
    CHECK_STR(normalized(spm, 2, "a b", r), "_a_b");
    CHECK_STR(r, "0-0 0-1 1-2 2-3");
    CHECK_STR(normalized(spm, 2, "", r), "");
    const eh_norm once = {.kind = EH_NORMALIZE_PREPEND_ONCE, .text = EH_STR(" ")};
    CHECK_STR(normalized(&once, 1, " a", r), " a");
    CHECK_STR(normalized(&once, 1, "a", r), " a");
}

/* Cutting a text before every character that joins nothing, and normalising the parts, gives what
 * utf8proc makes of the whole. */
TEST(normal_forms_agree_with_utf8proc_on_random_text)
{
    static const int32_t pool[] = {'a', 'e', ' ', 'q', 0xE9, 0x301, 0x307, 0x323, 0x327, 0x345, 0x344, 0x1100,
                                   0x1161, 0x11A8, 0xAC00, 0xAC01, 0x9C7, 0x9BE, 0x9D7, 0x915, 0x93C,
                                   0x94D, 0xF71, 0xF72, 0xF73, 0xFF76, 0xFF9E, 0x3099, 0x304B, 0xFB01, 0x2126, 0x212B,
                                   0x1D15E, 0x1F600, 0x200D, 0x37A, 0xFDFA, 0xFFFD, 0};
    static const struct {
        eh_normalize_kind kind;
        int option;
    } form[4] = {
        {EH_NORMALIZE_NFC, UTF8PROC_COMPOSE},
        {EH_NORMALIZE_NFD, UTF8PROC_DECOMPOSE},
        {EH_NORMALIZE_NFKC, UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
        {EH_NORMALIZE_NFKD, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
    };
    eh_rng rng = eh_rng_at(7, "normal forms", 0);
    for (int round = 0; round < 4000; round++) {
        char text[200];
        size_t n = 0;
        const int64_t length = eh_rng_below(&rng, 12) + 1;
        for (int64_t i = 0; i < length; i++) {
            int32_t c = pool[eh_rng_below(&rng, (int64_t)(sizeof pool / sizeof pool[0]) - 1)];
            if (eh_rng_below(&rng, 4) == 0)
                do
                    c = (int32_t)eh_rng_below(&rng, 0x2FFFF) + 1;
                while (c >= 0xD800 && c < 0xE000);
            n += (size_t)eh_utf8_put(c, text + n);
        }
        text[n] = '\0';
        for (int k = 0; k < 4; k++) {
            const eh_norm step = {.kind = form[k].kind};
            utf8proc_uint8_t *want = NULL;
            CHECK(utf8proc_map((const utf8proc_uint8_t *)text, 0, &want,
                               (utf8proc_option_t)(form[k].option | UTF8PROC_STABLE | UTF8PROC_NULLTERM)) >= 0);
            CHECK_STR(normalized(&step, 1, text, NULL), (const char *)want);
            free(want);
        }
    }
}

/* Every character that is the second of a canonical decomposition in two can be composed to the
 * left, so the table of eh_norm_joins_left must have it. */
TEST(all_seconds_of_compositions_join_left)
{
    int n = 0;
    for (int32_t c = 0x80; c < 0x110000; c++) {
        const utf8proc_property_t *p = utf8proc_get_property(c);
        int32_t part[8];
        int bound = 0;
        if (c >= 0xD800 && c < 0xE000)
            continue;
        if (p->combining_class != 0)
            CHECK(c < 0x300 || eh_norm_joins_left(c, false));
        if (p->comp_exclusion || p->decomp_type != 0) /* compatible, or excluded from composition */
            continue;
        const int64_t k = utf8proc_decompose_char(c, part, 8, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &bound);
        if (k < 2 || k > 8)
            continue;
        CHECK(eh_norm_joins_left(part[k - 1], false));
        n++;
    }
    CHECK(n > 10000); /* Hangul alone has 11,172 */
}

/* A long run of marks out of order takes linear time. */
TEST(a_million_marks_are_put_in_order)
{
    const int64_t n = 1000000;
    eh_buf text = {0};
    eh_flow flow[2] = {{.n_span = 0}, {.n_span = 0}};
    const eh_norm nfc = {.kind = EH_NORMALIZE_NFC};
    int now = 0;
    eh_buf_char(&text, 'q');
    for (int64_t i = 0; i < n; i++)
        eh_buf_str(&text, i % 2 == 0 ? EH_STR("\u0301") : EH_STR("\u0323"));
    CHECK_OK(eh_flow_borrow(&flow[0], eh_buf_get(&text), 0, &err));
    CHECK_OK(eh_normalize(&nfc, 1, NULL, flow, &now, &err));
    CHECK_INT(flow[now].text.n, text.n);
    CHECK(memcmp(flow[now].text.p + 1, "\u0323\u0323", 4) == 0);
    eh_buf_clear(&text);
    eh_flow_clear(&flow[0]);
    eh_flow_clear(&flow[1]);
}

/* ---- Expressions -------------------------------------------------------------------------- */

typedef struct pattern_row {
    const char *in, *out; /* NULL: refused, with the words of `why` */
    const char *why;
} pattern_row;

static void check_expressions(const pattern_row *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        eh_buf b = {0};
        const int rc = eh_pattern_translate(eh_str_of(row[i].in), "test", &b, &err);
        if (row[i].out != NULL) {
            CHECK_OK(rc);
            CHECK_STR(b.p, row[i].out);
        } else {
            CHECK(rc == EH_ENOSUP || rc == EH_EFORMAT);
            CHECK_FAILS(rc, rc, row[i].why);
        }
        eh_buf_clear(&b);
    }
}

TEST(expressions_are_taken_over_or_refused_by_name)
{
    static const pattern_row row[] = {
        {"a|b", "a|b", ""},
        {"\\s+(?!\\S)", "\\p{White_Space}+(?!\\P{White_Space})", ""},
        {"[^\\s\\p{L}]?", "[^\\p{White_Space}\\p{L}]?", ""},
        {"(ab)?c", "(?:ab)?c", ""},
        {"(?i:'s|'t)x{1,3}", "(?i:'s|'t)x{1,3}", ""},
        {"[a[bc]d]", "[abcd]", ""}, /* a class in a class adds up in Oniguruma */
        {"\\u4e00\\x{1F600}", "\\x{4e00}\\x{1f600}", ""},
        {"a++b?+", "a++b?+", ""},
        {"\\-\\/\\[", "\\-\\/\\[", ""},
        {"", NULL, "expression of 0 bytes"},
        {"(a+)+", NULL, "a group repeated without limit"},
        {"(?:a|b)*c", NULL, "a group repeated without limit"},
        {"(?:a|b){2,}", NULL, "a group repeated without limit"},
        {"\\p{N}{1,3}+", NULL, "possessive to PCRE2 but not to Oniguruma"},
        {"a**", NULL, "a repeat of a repeat"},
        {"+a", NULL, "a repeat of nothing"},
        {"^a", NULL, "\"^\": not supported"},
        {"a$", NULL, "\"$\": not supported"},
        {"(?<name>a)", NULL, "not a group that is supported"},
        {"(?R)", NULL, "not a group that is supported"},
        {"(*ACCEPT)a", NULL, "not a group that is supported"},
        {"(a)\\1", NULL, "not an escape that is supported"},
        {"a\\b", NULL, "not an escape that is supported"},
        {"\\C", NULL, "not an escape that is supported"},
        {"[[:alpha:]]", NULL, "not supported inside a class"},
        {"[a&&b]", NULL, "intersections"},
        {"[abc", NULL, "a class that is not closed"},
        {"[]", NULL, "an empty class"},
        {"\\p{L", NULL, "a property without its name"},
        {"\\p{^L}", NULL, "a property whose name is not letters"},
        {"a{x}", NULL, "not a repeat"},
        {"a\\", NULL, "a backslash with nothing behind it"},
        {"a\xff", NULL, "is not UTF-8"},
    };
    check_expressions(row, sizeof row / sizeof row[0]);
    eh_pattern *p = NULL;
    CHECK_FAILS(eh_pattern_open(EH_STR("a*"), "test", &p, &err), EH_ENOSUP, "may match nothing at all");
    CHECK_FAILS(eh_pattern_open(EH_STR("a)"), "test", &p, &err), EH_ENOSUP, "PCRE2 says");
    CHECK_FAILS(eh_pattern_open(EH_STR("\\p{Nonesuch}"), "test", &p, &err), EH_ENOSUP, "PCRE2 says");
    CHECK(p == NULL);
}

#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}"
#define NO_ESCAPE "not an escape that is supported"
#define NO_NUMBER "wanted \\uHHHH or \\x{H..}"

/* Each escape that there is, by itself and in a class. */
TEST(escapes_one_by_one)
{
    static const pattern_row row[] = {
        {"\\r\\n\\t\\f\\v", "\\r\\n\\t\\f\\x{0b}", ""},
        {"[\\r\\n\\t\\f\\v]", "[\\r\\n\\t\\f\\x{0b}]", ""},
        {"\\d\\D", "\\d\\D", ""},
        {"[\\d][\\D]", "[\\d][\\D]", ""},
        {"\\s\\S", "\\p{White_Space}\\P{White_Space}", ""},
        {"[\\s][\\S]", "[\\p{White_Space}][\\P{White_Space}]", ""},
        {"\\w", "[" WORD "]", ""},
        {"[^-\\w]", "[^-" WORD "]", ""},
        {"\\W", "[^" WORD "]", ""},
        {"[\\W]", NULL, NO_ESCAPE},
        {"\\p{L}\\P{Lu}[\\p{White_Space}]", "\\p{L}\\P{Lu}[\\p{White_Space}]", ""},
        {"\\pL", NULL, "a property without its name in braces"},
        {"\\P", NULL, "a property without its name in braces"},
        {"\\p{}", NULL, "a property without its name in braces"},
        {"\\p{_L}", NULL, "a property whose name is not letters"},
        {"\\p{L1}", NULL, "at byte 0: \"\\p{L1}\": a property whose name is not letters"},
        {"\\u00e9[\\u00E9]", "\\x{e9}[\\x{e9}]", ""},
        {"\\u00e90", "\\x{e9}0", ""}, /* four digits and no more */
        {"\\u00e", NULL, NO_NUMBER},
        {"\\u00eg", NULL, NO_NUMBER},
        {"\\u{e9}", NULL, NO_NUMBER},
        {"\\x{9}[\\x{10FFFF}]", "\\x{9}[\\x{10ffff}]", ""},
        {"\\x41", NULL, NO_NUMBER},
        {"\\x", NULL, NO_NUMBER},
        {"\\x{}", NULL, NO_NUMBER},
        {"\\x{41", NULL, NO_NUMBER},
        {"\\x{4g}", NULL, NO_NUMBER},
        {"\\x{110000}", NULL, NO_NUMBER},
        {"\\x{0000041}", NULL, NO_NUMBER}, /* seven digits */
        {"\\.\\*\\\\\\^\\ [\\]\\-]", "\\.\\*\\\\\\^\\ [\\]\\-]", ""},
        {"\\0", NULL, NO_ESCAPE},
        {"\\A", NULL, NO_ESCAPE},
        {"[\\b]", NULL, NO_ESCAPE},
        {"\\\u00e9", NULL, NO_ESCAPE},
        {"a[\\", NULL, "a backslash with nothing behind it"},
    };
    check_expressions(row, sizeof row / sizeof row[0]);
    for (int c = 1; c < 128; c++) { /* a letter or digit has a meaning or is refused; the rest is itself */
        const char in[] = {'\\', (char)c, '\0'};
        const bool other = !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
        const bool known = c != '\0' && strchr("rntfvdDsSwW", c) != NULL;
        eh_buf b = {0};
        CHECK_INT(eh_pattern_translate(eh_str_of(in), "test", &b, &err), other || known ? EH_OK : EH_ENOSUP);
        CHECK(!other || strcmp(b.p, in) == 0);
        eh_buf_clear(&b);
    }
}

TEST(groups_repeats_and_classes_one_by_one)
{
    static const pattern_row row[] = {
        {"(a)(?:b)(?i:c)(?>d)", "(?:a)(?:b)(?i:c)(?>d)", ""},
        {"(?=a)(?!b)(?<=c)(?<!d)e", "(?=a)(?!b)(?<=c)(?<!d)e", ""},
        {"(?i)a", NULL, "not a group that is supported"},
        {"(?#a)b", NULL, "not a group that is supported"},
        {"(+a)", NULL, "a repeat of nothing"},
        {"a|*b", NULL, "a repeat of nothing"},
        {"a*b+c?d{2}e{2,}f{2,3}", "a*b+c?d{2}e{2,}f{2,3}", ""},
        {"a*?b+?c??d{2}?e*+", "a*?b+?c??d{2}?e*+", ""},
        {"[ab]+\\s{2}(c)?(d){2}(e){1,2}", "[ab]+\\p{White_Space}{2}(?:c)?(?:d){2}(?:e){1,2}", ""},
        {"(a)*", NULL, "a group repeated without limit"},
        {"a{2}{3}", NULL, "a repeat of a repeat"},
        {"a{}", NULL, "not a repeat"},
        {"a{,3}", NULL, "not a repeat"},
        {"a{1,2,3}", NULL, "not a repeat"},
        {"a{123456789}", NULL, "not a repeat"},
        {"a{2", NULL, "not a repeat"},
        {"a{2}+", NULL, "possessive to PCRE2 but not to Oniguruma"},
        {"[a-z^.*+?{}()|$]", "[a-z^.*+?{}()|$]", ""},
        {"[^]a]", NULL, "an empty class"},
        {"[a[^b]]", NULL, "not supported inside a class"},
        {"[a[]b]]", NULL, "not supported inside a class"},
        {"[a[b]", NULL, "a class that is not closed"},
        {".\u4e00", ".\u4e00", ""},
    };
    check_expressions(row, sizeof row / sizeof row[0]);

    char deep[300] = "";
    for (int i = 0; i < 100; i++)
        strcat(deep, "(");
    strcat(deep, "a");
    eh_buf b = {0};
    CHECK_OK(eh_pattern_translate(eh_str_of(deep), "test", &b, &err));
    eh_buf_clear(&b);
    deep[100] = '(';
    CHECK_FAILS(eh_pattern_translate(eh_str_of(deep), "test", &b, &err), EH_ENOSUP, "nested more than 100 deep");
    eh_buf_clear(&b);
    CHECK_FAILS(eh_pattern_translate((eh_str){"a\0b", 3}, "test", &b, &err), EH_ENOSUP, "not supported here");
    eh_buf_clear(&b);
}

static int64_t first_match(const char *expression, const char *text, int64_t *end)
{
    eh_pattern *p = NULL;
    eh_matcher *m = NULL;
    int64_t start = -1;
    CHECK_OK(eh_pattern_open(eh_str_of(expression), "test", &p, &err));
    CHECK_OK(eh_matcher_open(&m, &err));
    const int rc = eh_pattern_find(p, m, eh_str_of(text), 0, &start, end, &err);
    CHECK(rc >= 0);
    eh_pattern_close(p);
    eh_matcher_close(m);
    return rc == 1 ? start : -1;
}

/* White space is Unicode's property, as in the engines the files were written for: with the line
 * separators and NEL, without U+180E, which PCRE2's own \s takes. */
TEST(white_space_is_the_unicode_property)
{
    int64_t end;
    CHECK_INT(first_match("\\s", "a\u180e", &end), -1);
    CHECK_INT(first_match("\\s", "a\xc2\x85", &end), 1);
    CHECK_INT(first_match("\\s", "a\u2028", &end), 1);
    CHECK_INT(first_match("\\s", "a\u3000", &end), 1);
    CHECK_INT(first_match("[^\\s]+", "\u180ea", &end), 0);
    CHECK_INT(end, 4);
    CHECK_INT(first_match("\\w+", "-a\u0301_9\u200d-", &end), 1);
    CHECK_INT(end, 9);
    CHECK_INT(first_match("(?i:'s)", "'\u017f", &end), 0); /* the long s is an s, as for Oniguruma */
    for (int32_t c = 1; c < 0x30000; c++) {
        char u[5] = {0};
        if (c >= 0xD800 && c < 0xE000)
            continue;
        if (!eh_char_is_space(c) && c > 0x3100)
            continue;
        u[eh_utf8_put(c, u)] = '\0';
        if (c < 0x100 || eh_char_is_space(c) || (c >= 0x1FF0 && c < 0x2070))
            CHECK_INT(first_match("\\s", u, &end) == 0, eh_char_is_space(c));
    }
}

/* Cubic work on a text of its own making: given up with a sentence, and soon. */
TEST(a_hostile_expression_is_given_up)
{
    eh_pattern *p = NULL;
    eh_matcher *m = NULL;
    int64_t start, end;
    char text[20001];
    memset(text, 'a', 20000);
    strcpy(text + 19997, "ccb"); /* matches at its end, once all that comes before was tried */
    CHECK_OK(eh_pattern_open(EH_STR("a*a*a*a*[^a]b"), "test", &p, &err));
    CHECK_OK(eh_matcher_open(&m, &err));
    CHECK_FAILS(eh_pattern_find(p, m, (eh_str){text, 20000}, 0, &start, &end, &err), EH_ERANGE, "given up");
    eh_pattern_close(p);
    eh_matcher_close(m);
}

/* ---- Cutting ------------------------------------------------------------------------------ */

static int join_word(void *ctx, int64_t at, int64_t n, eh_err *e)
{
    (void)e;
    char *out = ctx;
    sprintf(out + strlen(out), "%s%d-%d", out[0] != '\0' ? " " : "", (int)at, (int)(at + n));
    return EH_OK;
}

TEST(behaviours_of_a_split_by_hand)
{
    static const struct {
        eh_pretok_behavior behavior;
        bool invert;
        const char *words; /* of "--a-b--", split at "-" */
    } row[] = {
        {EH_PRETOK_ISOLATED, false, "0-1 1-2 2-3 3-4 4-5 5-6 6-7"},
        {EH_PRETOK_REMOVED, false, "2-3 4-5"},
        {EH_PRETOK_REMOVED, true, "0-1 1-2 3-4 5-6 6-7"},
        {EH_PRETOK_CONTIGUOUS, false, "0-2 2-3 3-4 4-5 5-7"},
        {EH_PRETOK_MERGED_PREVIOUS, false, "0-1 1-2 2-4 4-6 6-7"}, /* as tokenizers' own test has it */
        {EH_PRETOK_MERGED_NEXT, false, "0-1 1-3 3-5 5-6 6-7"},
    };
    eh_matcher *m = NULL;
    CHECK_OK(eh_matcher_open(&m, &err));
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const eh_pretok by_text = {.kind = EH_PRETOK_TEXT, .behavior = row[i].behavior, .invert = row[i].invert,
                                   .text = EH_STR("-")};
        char out[200] = "";
        CHECK_OK(eh_pretokenize(&by_text, 1, m, EH_STR("--a-b--"), join_word, out, &err));
        CHECK_STR(out, row[i].words);
        eh_pretok by_pattern = {.kind = EH_PRETOK_PATTERN, .behavior = row[i].behavior, .invert = row[i].invert};
        CHECK_OK(eh_pattern_open(EH_STR("-"), "test", &by_pattern.pattern, &err));
        out[0] = '\0';
        CHECK_OK(eh_pretokenize(&by_pattern, 1, m, EH_STR("--a-b--"), join_word, out, &err));
        CHECK_STR(out, row[i].words);
        eh_pattern_close(by_pattern.pattern);
    }
    const eh_pretok two[2] = {{.kind = EH_PRETOK_DIGITS, .behavior = EH_PRETOK_CONTIGUOUS},
                             {.kind = EH_PRETOK_TEXT, .behavior = EH_PRETOK_ISOLATED, .text = EH_STR("1")}};
    char out[200] = "";
    CHECK_OK(eh_pretokenize(two, 2, m, EH_STR("a121\u00b2b"), join_word, out, &err));
    CHECK_STR(out, "0-1 1-2 2-3 3-4 4-6 6-7");
    eh_matcher_close(m);
}

/* ---- Merging ------------------------------------------------------------------------------ */

TEST(byte_level_by_hand)
{
    eh_tokenizer *t = open_json("{\"pre_tokenizer\":" BYTE_LEVEL ",\"decoder\":" BYTE_LEVEL
                                ",\"model\":{\"type\":\"BPE\"," BYTE_VOCAB "}}", "");
    CHECK_STR(eh_tokenizer_kind(t), "byte-level BPE");
    CHECK_INT(eh_tokenizer_n_vocab(t), 14);
    CHECK_STR(encoded(t, EH_STR("abc ab"), 0, true), "6:0-3 3:3-4 5:4-6"); /* "a b" ranks before " a" */
    eh_tokenizer_close(t);
}

TEST(ranks_decide_and_the_left_goes_first)
{
    eh_tokenizer *t = open_json("{\"pre_tokenizer\":" BYTE_LEVEL
                                ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"aa\":2,\"aab\":3,\"ab\":4},"
                                "\"merges\":[\"a a\",\"a b\",\"aa b\"]}}", "");
    CHECK_STR(encoded(t, EH_STR("aaa"), 0, true), "2:0-2 0:2-3");
    CHECK_STR(encoded(t, EH_STR("aab"), 0, true), "3:0-3");
    CHECK_STR(encoded(t, EH_STR("aaab"), 0, true), "2:0-2 4:2-4");
    CHECK_STR(encoded(t, EH_STR("azb"), 0, true), "4:0-3"); /* z is not in the vocabulary: dropped before merging */
    eh_tokenizer_close(t);
}

static eh_tokenizer *small(const char *name)
{
    char path[200];
    eh_tokenizer *t = NULL;
    snprintf(path, sizeof path, "tests/golden/tiny/tokenizers/%s", name);
    CHECK_OK(eh_tokenizer_open_json(repo_path(path), &t, &err));
    return t;
}

/* The two ways to merge, and cutting a word where no token reaches across, give the same tokens. */
TEST(searching_and_heap_merge_alike_and_cuts_change_nothing)
{
    static const char *const names[] = {"gpt2", "llama3", "gemma", "llama2"};
    static const char *const parts[] = {"the", " ", "\u2581", "in", "he", "a", "er", "\u00e9", "\u4e2d", "\n", "  ",
                                        "t", "\U0001f600", "1", "\u0120"};
    eh_rng rng = eh_rng_at(3, "words", 0);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        eh_tokenizer *t = small(names[k]);
        eh_bpe uncut = t->bpe;
        uncut.touch = NULL;
        CHECK(t->bpe.byte_level || t->bpe.touch != NULL);
        eh_bpe_work *w[3] = {NULL};
        for (int i = 0; i < 3; i++)
            CHECK_OK(eh_bpe_work_open(&w[i], &err));
        for (int round = 0; round < 2000; round++) {
            eh_buf word = {0};
            const int64_t length = eh_rng_below(&rng, round % 10 == 0 ? 300 : 12) + 1;
            for (int64_t i = 0; i < length; i++)
                eh_buf_str(&word, eh_str_of(parts[eh_rng_below(&rng, (int64_t)(sizeof parts / sizeof parts[0]))]));
            const eh_bpe_piece *p[3];
            int64_t n[3];
            CHECK_OK(eh_bpe_word_by(&t->bpe, w[0], eh_buf_get(&word), false, &p[0], &n[0], &err));
            CHECK_OK(eh_bpe_word_by(&t->bpe, w[1], eh_buf_get(&word), true, &p[1], &n[1], &err));
            CHECK_OK(eh_bpe_word_by(&uncut, w[2], eh_buf_get(&word), false, &p[2], &n[2], &err));
            for (int i = 1; i < 3; i++) {
                CHECK_INT(n[i], n[0]);
                CHECK(memcmp(p[i], p[0], (size_t)n[0] * sizeof *p[0]) == 0);
            }
            eh_buf_clear(&word);
        }
        for (int i = 0; i < 3; i++)
            eh_bpe_work_close(w[i]);
        eh_tokenizer_close(t);
    }
}

TEST(a_word_of_two_megabytes_does_not_take_quadratic_time)
{
    static const char *const names[] = {"gpt2", "llama2"};
    const int64_t n = 2000000;
    char *text = malloc((size_t)n);
    for (int64_t i = 0; i < n; i++)
        text[i] = "the"[i % 3];
    for (int k = 0; k < 2; k++) {
        eh_tokenizer *t = small(names[k]);
        eh_ids ids = {0};
        eh_buf back = {0};
        CHECK_OK(eh_tokenizer_encode(t, (eh_str){text, n}, 0, &ids, &err));
        CHECK(ids.n < n);
        CHECK_OK(eh_tokenizer_decode(t, ids.id, ids.n, false, &back, &err));
        CHECK(eh_str_eq(eh_buf_get(&back), (eh_str){text, n}));
        eh_ids_clear(&ids);
        eh_buf_clear(&back);
        eh_tokenizer_close(t);
    }
    free(text);
}

/* ---- Bytes that are not UTF-8 ------------------------------------------------------------- */

TEST(bytes_that_are_not_utf8_are_their_own_bytes_or_the_replacement)
{
    eh_tokenizer *t = open_json("{\"pre_tokenizer\":" BYTE_LEVEL ",\"decoder\":" BYTE_LEVEL
                                ",\"model\":{\"type\":\"BPE\"," BYTE_VOCAB "}}", "");
    CHECK_STR(encoded(t, EH_STR("a\xff" "b"), 0, true), "0:0-1 11:1-2 1:2-3");
    CHECK_STR(encoded(t, EH_STR("\xc3\xa9\xc3"), 0, true), "10:0-2 8:2-3");
    CHECK_STR(encoded(t, EH_STR("a\0b"), 0, true), "0:0-1 1:2-3"); /* NUL has no token here */
    eh_tokenizer_close(t);
    t = open_json(spm_json(true), "");
    /* U+FFFD is EF BF BD: three byte tokens, each for the one byte that was there */
    CHECK_STR(encoded(t, EH_STR("a\xff" "b"), 0, true), "263:0-1 242:1-2 194:1-2 192:1-2 261:2-3");
    eh_tokenizer_close(t);
}

/* ---- SentencePiece style ------------------------------------------------------------------ */

TEST(sentencepiece_style_by_hand)
{
    eh_tokenizer *t = open_json(spm_json(true), "");
    CHECK_STR(eh_tokenizer_kind(t), "SentencePiece BPE");
    CHECK_STR(encoded(t, EH_STR("ab b"), 0, true), "259:0-0 262:0-2 259:2-3 261:3-4");
    CHECK_STR(encoded(t, EH_STR("\u00e9"), 0, true), "259:0-0 198:0-2 172:0-2"); /* C3 A9 */
    CHECK_STR(encoded(t, EH_STR("a<s>a"), EH_ENCODE_SPECIAL, true), "263:0-1 1:1-4 263:4-5");
    CHECK_STR(encoded(t, EH_STR(""), EH_ENCODE_SPECIAL | EH_ENCODE_DEFAULT, true), "");
    CHECK_STR(decoded(t, (int32_t[]){263, 198, 172, 261}, 4, false), "a\u00e9b");
    CHECK_STR(decoded(t, (int32_t[]){259, 263, 198, 260}, 4, false), " a\ufffda");
    /* one bad byte spoils the run */
    CHECK_STR(decoded(t, (int32_t[]){198, 172, 258, 1}, 4, true), "\ufffd\ufffd\ufffd");
    CHECK_STR(decoded(t, (int32_t[]){1, 263, 1, 261}, 4, true), "ab");
    CHECK_STR(decoded(t, (int32_t[]){1, 263, 1, 261}, 4, false), "<s> a<s>b");
    CHECK_STR(decoded(t, (int32_t[]){263, 100000, 261}, 3, false), "ab"); /* a row without a token */
    eh_buf b = {0};
    CHECK_FAILS(eh_tokenizer_decode(t, (int32_t[]){260, -1}, 2, false, &b, &err), EH_ERANGE, "id -1");
    CHECK_INT(b.n, 0);
    eh_tokenizer_close(t);
    t = open_json(spm_json(false), "");
    CHECK_STR(encoded(t, EH_STR("\u00e9\u00e9" "a"), 0, true), "259:0-0 0:0-4 260:4-5"); /* unknowns fuse */
    eh_tokenizer_close(t);
}

/* As Hugging Face's Metaspace decodes: the mark is a blank, but in the first token it is nothing, unless no text gets
 * one in front ("never"). */
TEST(metaspace_decodes_by_hand)
{
    static const struct {
        const char *scheme, *want;
    } row[] = {{"always", "abab b"}, {"first", "abab b"}, {"never", " abab b"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char json[400];
        snprintf(json, sizeof json,
                 "{\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"%s\"},"
                 "\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\u2581ab\":0,\"\\u2581b\":1,\"ab\":2},\"merges\":[]}}",
                 row[i].scheme);
        eh_tokenizer *t = open_json(json, "");
        CHECK_STR(decoded(t, (int32_t[]){0, 2, 1}, 3, false), row[i].want);
        eh_tokenizer_close(t);
    }
}

/* ---- Added tokens ------------------------------------------------------------------------- */

#define WITH_ADDED(list) \
    "{\"added_tokens\":[" list "],\"pre_tokenizer\":" BYTE_LEVEL ",\"decoder\":" BYTE_LEVEL \
    ",\"model\":{\"type\":\"BPE\"," BYTE_VOCAB "}}"

TEST(added_tokens_are_leftmost_and_longest)
{
    eh_tokenizer *t = open_json(WITH_ADDED("{\"id\":20,\"content\":\"<a>\",\"special\":true},{\"id\":21,"
                                           "\"content\":\"<a>b\",\"special\":true},"
                                           "{\"id\":22,\"content\":\"bb\",\"special\":false,"
                                           "\"normalized\":false}"), "");
    CHECK_INT(eh_tokenizer_n_vocab(t), 23);
    CHECK_STR(encoded(t, EH_STR("a<a>bb"), EH_ENCODE_SPECIAL, true), "0:0-1 21:1-5 1:5-6");
    CHECK_STR(encoded(t, EH_STR("a<a>c"), EH_ENCODE_SPECIAL, true), "0:0-1 20:1-4 2:4-5");
    CHECK_STR(encoded(t, EH_STR("abbb"), 0, true), "0:0-1 22:1-3 1:3-4"); /* not special: found all the same */
    CHECK_STR(encoded(t, EH_STR("<a>"), 0, true), "0:1-2");           /* plain text now; <, > have no tokens */
    CHECK(eh_tokenizer_is_special(t, 20) && !eh_tokenizer_is_special(t, 22) && !eh_tokenizer_is_special(t, 5000));
    CHECK(eh_str_eq(eh_tokenizer_token(t, 22), EH_STR("bb")) && eh_tokenizer_token(t, 15).n == 0);
    CHECK_INT(eh_tokenizer_find(t, EH_STR("<a>b")), 21);
    CHECK_INT(eh_tokenizer_find(t, EH_STR("abc")), 6);
    CHECK_INT(eh_tokenizer_find(t, EH_STR("zz")), -1);
    eh_tokenizer_close(t);
}

TEST(added_tokens_take_blanks_and_mind_words_as_told)
{
    eh_tokenizer *t = open_json(WITH_ADDED("{\"id\":20,\"content\":\"<l>\",\"special\":true,\"lstrip\":true},"
                                           "{\"id\":21,\"content\":\"<r>\",\"special\":true,\"rstrip\":true},"
                                           "{\"id\":22,\"content\":\"ba\",\"special\":true,\"single_word\":true}"), "");
    CHECK_STR(encoded(t, EH_STR("a \u00a0<l> a"), EH_ENCODE_SPECIAL, true), "0:0-1 20:1-7 7:7-9");
    CHECK_STR(encoded(t, EH_STR("a<r> \n<l>a"), EH_ENCODE_SPECIAL, true), "0:0-1 21:1-6 20:6-9 0:9-10");
    CHECK_STR(encoded(t, EH_STR("aba ba"), EH_ENCODE_SPECIAL, true), "5:0-2 0:2-3 3:3-4 22:4-6");
    CHECK_STR(encoded(t, EH_STR("ba\u00e9"), EH_ENCODE_SPECIAL, true), "1:0-1 0:1-2 10:2-4");
    eh_tokenizer_close(t);
}

/* "normalized": looked for as the normaliser leaves it, in the normalised text. */
TEST(normalized_added_tokens_are_found_in_the_normalized_text)
{
    eh_tokenizer *t = open_json("{\"added_tokens\":[{\"id\":20,\"content\":\"BA\",\"special\":false,"
                                "\"normalized\":true},"
                                "{\"id\":21,\"content\":\"CA\",\"special\":false,\"normalized\":false}],"
                                "\"normalizer\":{\"type\":\"Lowercase\"},\"pre_tokenizer\":" BYTE_LEVEL
                                ",\"model\":{\"type\":\"BPE\"," BYTE_VOCAB "}}", "");
    CHECK_STR(encoded(t, EH_STR("AbaBa"), 0, true), "0:0-1 20:1-3 20:3-5");
    CHECK_STR(encoded(t, EH_STR("CAca"), 0, true), "21:0-2 2:2-3 0:3-4");
    eh_tokenizer_close(t);
}

/* ---- Policy ------------------------------------------------------------------------------- */

#define TEMPLATE \
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"B\",\"type_id\":0}}," \
    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]," \
    "\"special_tokens\":{\"B\":{\"id\":\"B\",\"ids\":[20],\"tokens\":[\"B\"]}}},"
#define WITH_BOS(post) \
    "{\"added_tokens\":[{\"id\":20,\"content\":\"B\",\"special\":true},{\"id\":21,\"content\":\"E\"," \
    "\"special\":true}]," post \
    "\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\"," BYTE_VOCAB "}}"

TEST(template_and_config_make_the_default_policy)
{
    static const struct {
        const char *json, *config, *ids;
    } row[] = {
        {WITH_BOS(""), "", "0"},
        {WITH_BOS(TEMPLATE), "", "20 0"},
        {WITH_BOS(TEMPLATE), "{\"bos_token\":\"B\",\"add_bos_token\":true}", "20 0"},
        {WITH_BOS(TEMPLATE), "{\"bos_token\":{\"content\":\"B\"},\"add_bos_token\":false}", "0"},
        {WITH_BOS(""), "{\"bos_token\":\"B\",\"eos_token\":\"E\",\"add_bos_token\":true,\"add_eos_token\":true}",
         "20 0 21"},
        {WITH_BOS(""), "{\"bos_token\":\"B\",\"eos_token\":\"E\",\"add_bos_token\":null}", "0"},
        {WITH_BOS("\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"E\",21],\"cls\":[\"B\",20]},"), "",
         "20 0 21"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        eh_tokenizer *t = open_json(row[i].json, row[i].config);
        CHECK_STR(encoded(t, EH_STR("a"), EH_ENCODE_DEFAULT, false), row[i].ids);
        CHECK_STR(encoded(t, EH_STR("a"), 0, false), "0");
        eh_tokenizer_close(t);
    }
    eh_tokenizer *t = open_json(WITH_BOS(TEMPLATE),
                                "{\"bos_token\":\"B\",\"eos_token\":\"E\",\"chat_template\":\"{{ x }}\"}");
    CHECK_INT(eh_tokenizer_bos(t), 20);
    CHECK_INT(eh_tokenizer_eos(t), 21);
    CHECK(eh_tokenizer_adds_bos(t) && !eh_tokenizer_adds_eos(t));
    CHECK(eh_str_eq(eh_tokenizer_chat_template(t), EH_STR("{{ x }}")));
    eh_tokenizer_close(t);
    t = open_json(WITH_BOS(""), "{\"chat_template\":[{\"name\":\"tool\",\"template\":\"1\"},{\"name\":\"default\","
                                "\"template\":\"2\"}]}");
    CHECK(eh_str_eq(eh_tokenizer_chat_template(t), EH_STR("2")));
    eh_tokenizer_close(t);
}

TEST(added_tokens_of_the_config_alone_are_taken_too)
{
    eh_tokenizer *t = open_json(WITH_ADDED("{\"id\":20,\"content\":\"<x>\",\"special\":true}"),
                                "{\"added_tokens_decoder\":{\"20\":{\"content\":\"<x>\",\"special\":true},"
                                "\"21\":{\"content\":\"<y>\",\"special\":true}}}");
    CHECK_STR(encoded(t, EH_STR("<x><y>"), EH_ENCODE_SPECIAL, true), "20:0-3 21:3-6");
    eh_tokenizer_close(t);
}

/* ---- Streams ------------------------------------------------------------------------------ */

TEST(a_stream_gives_whole_characters_and_the_rest_at_the_end)
{
    eh_tokenizer *t = open_json("{\"decoder\":" BYTE_LEVEL ",\"pre_tokenizer\":" BYTE_LEVEL
                                ",\"model\":{\"type\":\"BPE\"," BYTE_VOCAB "}}", "");
    eh_stream s;
    eh_buf b = {0};
    eh_stream_init(&s, t, false);
    CHECK_OK(eh_stream_put(&s, 0, &b, &err));
    CHECK_STR(b.p, "a");
    CHECK_OK(eh_stream_put(&s, 8, &b, &err)); /* C3 */
    CHECK_STR(b.p, "a");
    CHECK_OK(eh_stream_put(&s, 9, &b, &err)); /* A9 */
    CHECK_STR(b.p, "a\u00e9");
    CHECK_OK(eh_stream_put(&s, 8, &b, &err));
    CHECK_OK(eh_stream_put(&s, 0, &b, &err)); /* C3 was nothing after all */
    CHECK_STR(b.p, "a\u00e9\ufffda");
    CHECK_OK(eh_stream_put(&s, 8, &b, &err));
    CHECK_OK(eh_stream_end(&s, &b, &err));
    CHECK_STR(b.p, "a\u00e9\ufffda\ufffd");
    eh_stream_clear(&s);
    eh_buf_clear(&b);
    eh_tokenizer_close(t);
}

TEST(utf8_steps_are_unicodes_maximal_subparts)
{
    static const struct {
        const char *p;
        int n, step;
    } row[] = {
        {"a", 1, 1}, {"\xc3\xa9", 2, 2}, {"\xc3", 1, 0}, {"\xc3z", 2, -1}, {"\xff", 1, -1}, {"\xc0\x80", 2, -1},
        {"\xe0\x80", 2, -1}, {"\xe4\xb8", 2, 0}, {"\xe4\xb8z", 3, -2}, {"\xed\xa0\x80", 3, -1}, {"\xf0\x9f\x98", 3, 0},
        {"\xf0\x9f\x98\x80", 4, 4}, {"\xf0\x9f\x98z", 4, -3}, {"\xf4\x90", 2, -1}, {"\xf5", 1, -1}, {"\x80", 1, -1},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        CHECK_INT(eh_utf8_step((eh_str){row[i].p, row[i].n}), row[i].step);
}

/* ---- GGUF --------------------------------------------------------------------------------- */

static const eh_str gguf_tokens[] = {{"<unk>", 5}, {"<s>", 3}, {"</s>", 4}, {"\xE2\x96\x81", 3}, {"a", 1}, {"b", 1},
                                     {"\xE2\x96\x81" "a", 4}, {"ab", 2}, {"xy", 2}, {"<0x41>", 6}, {"[u]", 3}};
static const float gguf_scores[] = {0, 0, 0, -10, -11, -12, -2, -1, -3, 0, 0};
static const int32_t gguf_types[] = {2, 3, 3, 1, 1, 1, 1, 1, 1, 6, 4};

static eh_gguf_vocab spm_vocab(void)
{
    return (eh_gguf_vocab){.where = "test.gguf", .model = EH_STR("llama"), .pre = EH_STR("default"),
                           .tokens = gguf_tokens, .n = 11,
                           .scores = gguf_scores, .types = gguf_types, .bos = 1, .eos = 2, .unk = 0, .pad = -1,
                           .add_bos = -1, .add_eos = -1, .add_space_prefix = -1};
}

TEST(scores_decide_merges_in_gguf)
{
    eh_tokenizer *t = NULL;
    eh_gguf_vocab v = spm_vocab();
    CHECK_OK(eh_tokenizer_open_gguf(&v, &t, &err));
    /* "ab" scores better than U+2581"a"; x and y are no tokens but "xy" is; A falls back to its byte */
    CHECK_STR(encoded(t, EH_STR("ab a xyA"), EH_ENCODE_DEFAULT, true), "1:0-0 3:0-0 7:0-2 6:2-4 3:4-5 8:5-7 9:7-8");
    CHECK_STR(encoded(t, EH_STR("xxx"), 0, true), "3:0-0 0:0-3"); /* unknown, fused */
    CHECK_STR(encoded(t, EH_STR("<s>[u]a"), EH_ENCODE_SPECIAL, true), "1:0-3 10:3-6 6:6-7");
    CHECK_STR(encoded(t, EH_STR("[u]"), 0, true), "10:0-3");
    CHECK(eh_tokenizer_adds_bos(t));
    CHECK_STR(decoded(t, (int32_t[]){1, 6, 7, 9}, 4, true), "aabA");
    eh_tokenizer_close(t);
    v.add_space_prefix = v.add_bos = 0;
    CHECK_OK(eh_tokenizer_open_gguf(&v, &t, &err));
    CHECK_STR(encoded(t, EH_STR("a a"), EH_ENCODE_DEFAULT, true), "4:0-1 6:1-3");
    CHECK_STR(decoded(t, (int32_t[]){6}, 1, true), " a");
    eh_tokenizer_close(t);
}

static void refused(const eh_gguf_vocab *v, int code, const char *why)
{
    eh_tokenizer *t = NULL;
    CHECK_FAILS(eh_tokenizer_open_gguf(v, &t, &err), code, why);
    CHECK(t == NULL);
}

TEST(gguf_vocabularies_that_make_no_sense_are_refused)
{
    static char long_token[20000];
    memset(long_token, 'a', sizeof long_token);
    const eh_str twice[] = {{"a", 1}, {"b", 1}, {"a", 1}}, huge[] = {{"a", 1}, {long_token, sizeof long_token}},
                 huge_spm[] = {{"a", 1}, {long_token, 600}}, plain[] = {{"a", 1}, {"b", 1}, {"ab", 2}},
                 cut[] = {{"a", 1}, {"\xE2", 1}, {"ab", 2}};
    const eh_str bad_merge[] = {{"a c", 3}}, no_blank[] = {{"ab", 2}}, no_result[] = {{"b a", 3}};
    const eh_str tail[] = {{"ab ", 3}};
    const float nan_scores[] = {0, 0.0f / 0.0f, 0};
    const int32_t bad_types[] = {1, 9, 1}, bad_byte[] = {1, 1, 6};
    const float zero[] = {0, 0, 0};
    const eh_gguf_vocab none = {.where = "t.gguf", .model = EH_STR("gpt2"), .pre = EH_STR("gpt-2"), .tokens = plain,
                                .n = 3, .bos = -1, .eos = -1, .unk = -1,
                                .pad = -1, .add_bos = -1, .add_eos = -1, .add_space_prefix = -1};
    eh_gguf_vocab v;
#define REFUSED(change, code, why) v = none, (change), refused(&v, (code), (why))
    REFUSED((v.model = EH_STR("bert")), EH_ENOSUP, "\"bert\" is not supported");
    REFUSED((v.pre = EH_STR("nonesuch")), EH_ENOSUP, "\"nonesuch\" is not known; known are default, gpt-2");
    REFUSED((v.tokens = NULL), EH_EFORMAT, "missing or empty");
    REFUSED((v.n = 0), EH_EFORMAT, "missing or empty");
    REFUSED((v.tokens = twice), EH_EFORMAT, "tokens 0 and 2 are spelt alike");
    REFUSED((v.tokens = huge, v.n = 2), EH_ENOSUP, "token 1 is spelt with 20000 bytes");
    /* it would cut characters of the text */
    REFUSED((v.tokens = cut), EH_EFORMAT, "token 1: byte 0 of its spelling is not UTF-8");
    REFUSED((v.types = bad_types), EH_EFORMAT, "type 9");
    REFUSED((v.bos = 3), EH_EFORMAT, "the BOS token is 3; there are 3");
    REFUSED((v.eos = -2), EH_EFORMAT, "the EOS token is -2");
    REFUSED((v.merges = bad_merge, v.n_merge = 1), EH_EFORMAT, "merge 0: \"c\" is not a token");
    REFUSED((v.merges = no_blank, v.n_merge = 1), EH_EFORMAT, "merge 0 is not two tokens");
    REFUSED((v.merges = no_result, v.n_merge = 1), EH_EFORMAT, "merge 0: \"b\" and \"a\" together");
    REFUSED((v.merges = tail, v.n_merge = 1), EH_EFORMAT, "merge 0 is not two tokens");
    REFUSED((v.add_bos = 1), EH_EFORMAT, "adds a BOS token, and names none");
    REFUSED((v.n_merge = -5), EH_EFORMAT, "-5 merges");
#undef REFUSED
    v = none;
    v.model = EH_STR("llama");
    refused(&v, EH_EFORMAT, "needs tokenizer.ggml.scores");
    v.scores = nan_scores;
    refused(&v, EH_EFORMAT, "the score of token 1 is not a number");
    v.scores = zero;
    v.types = bad_byte;
    refused(&v, EH_EFORMAT, "token 2 is a byte");
    v.types = NULL;
    v.tokens = huge_spm;
    v.n = 2;
    refused(&v, EH_ENOSUP, "token 1 has 600 bytes");
}

/* Every row of the table of pre-tokenizers opens: its expressions are all supported. */
TEST(all_known_pre_tokenizers_of_gguf_open)
{
    static const char *const names[] = {"", "default", "gpt-2", "phi-2", "mpt", "olmo", "llama-bpe", "llama3",
                                        "llama-v3", "smaug-bpe", "dbrx", "qwen2", "deepseek-r1-qwen", "smollm",
                                        "starcoder", "refact", "codeshell", "command-r", "tekken", "gpt-4o",
                                        "llama4", "deepseek-v3"};
    static const eh_str tokens[] = {{"a", 1}, {"b", 1}, {"ab", 2}};
    static const eh_str merges[] = {{"a b", 3}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        eh_tokenizer *t = NULL;
        const eh_gguf_vocab v = {.where = "t.gguf", .model = EH_STR("gpt2"), .pre = eh_str_of(names[i]),
                                 .tokens = tokens, .n = 3, .merges = merges, .n_merge = 1, .bos = 0, .eos = 1,
                                 .unk = -1, .pad = -1, .add_bos = 0, .add_eos = 1, .add_space_prefix = -1};
        CHECK_OK(eh_tokenizer_open_gguf(&v, &t, &err));
        CHECK_STR(encoded(t, EH_STR("aab"), EH_ENCODE_DEFAULT, false), "0 2 1");
        eh_tokenizer_close(t);
    }
}

/* The families whose tokenizer.json has NFC get it from GGUF too, which cannot say so. */
TEST(gguf_pre_tokenizers_bring_their_normalizer)
{
    static const eh_str tokens[] = {{"e", 1}, {"\u00c3", 2}, {"\u00a9", 2}, {"\u00c3\u00a9", 4}, {"\u00cc", 2},
                                    {"\u0123", 2}};
    static const eh_str merges[] = {{"\u00c3 \u00a9", 5}};
    static const struct {
        const char *pre, *ids;
    } row[] = {{"qwen2", "3:0-3"}, {"deepseek-r1-qwen", "3:0-3"}, {"command-r", "3:0-3"},
               {"llama-bpe", "0:0-1 4:1-3 5:1-3"}, {"smollm", "0:0-1 4:1-3 5:1-3"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        eh_tokenizer *t = NULL;
        const eh_gguf_vocab v = {.where = "t.gguf", .model = EH_STR("gpt2"), .pre = eh_str_of(row[i].pre),
                                 .tokens = tokens, .n = 6,
                                 .merges = merges, .n_merge = 1, .bos = 0, .eos = -1, .unk = -1, .pad = -1,
                                 .add_bos = 0, .add_eos = 0, .add_space_prefix = -1};
        CHECK_OK(eh_tokenizer_open_gguf(&v, &t, &err));
        CHECK_STR(encoded(t, EH_STR("e\u0301"), 0, true), row[i].ids);
        eh_tokenizer_close(t);
    }
}

/* ---- tokenizer.json that is refused ------------------------------------------------------- */

TEST(files_that_make_no_sense_are_refused)
{
#define MODEL "\"model\":{\"type\":\"BPE\"," BYTE_VOCAB "}"
    static const struct {
        int code;
        const char *why, *json;
    } row[] = {
        {EH_EFORMAT, "line 1", "{"},
        {EH_EFORMAT, "wanted an object", "[]"},
        {EH_EFORMAT, "\"model\" is nothing", "{}"},
        {EH_ENOSUP, "model \"Unigram\" is not supported", "{\"model\":{\"type\":\"Unigram\"}}"},
        {EH_EFORMAT, "\"vocab\" is nothing", "{\"model\":{\"type\":\"BPE\"}}"},
        {EH_EFORMAT, "\"merges\" is nothing", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}"},
        {EH_EFORMAT, "has an id that is not within",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}"},
        {EH_EFORMAT, "has an id that is not within",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":16000000},\"merges\":[]}}"},
        {EH_EFORMAT, "has an id that is not within",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1.5},\"merges\":[]}}"},
        {EH_EFORMAT, "id 0 is given to two tokens",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}"},
        {EH_EFORMAT, "duplicate object key",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}"},
        {EH_EFORMAT, "merge 0: \"x\" is not a token",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a x\"]}}"},
        {EH_EFORMAT, "merge 0 is not a pair",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b c\"]}}"},
        {EH_EFORMAT, "merge 0 is not a pair",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}"},
        {EH_EFORMAT, "together are not a token",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}"},
        {EH_ENOSUP, "\"dropout\" is not supported",
         "{\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}}"},
        {EH_ENOSUP, "\"end_of_word_suffix\" is not supported",
         "{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\"}}"},
        {EH_EFORMAT, "unknown token \"u\" is not in",
         "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"u\",\"vocab\":{\"a\":0},\"merges\":[]}}"},
        {EH_ENOSUP, "normalizer \"Precompiled\" is not supported; supported are Sequence, NFC,",
         "{\"normalizer\":{\"type\":\"Precompiled\"}," MODEL "}"},
        {EH_ENOSUP, "pre-tokenizer \"UnicodeScripts\" is not supported",
         "{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL "}"},
        {EH_ENOSUP, "post-processor \"Other\" is not supported", "{\"post_processor\":{\"type\":\"Other\"}," MODEL "}"},
        {EH_ENOSUP, "decoder \"CTC\" is not supported", "{\"decoder\":{\"type\":\"CTC\"}," MODEL "}"},
        {EH_ENOENT, "has no \"type\"", "{\"decoder\":{}," MODEL "}"},
        {EH_ENOSUP, "pre-tokenizer Digits behind ByteLevel",
         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL ",{\"type\":\"Digits\"}]},"
         MODEL "}"},
        {EH_ENOSUP, "changes the text, and is not the first",
         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},"
         "{\"type\":\"ByteLevel\"}]}," MODEL "}"},
        {EH_ENOSUP, "behavior \"Odd\"",
         "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Odd\"}," MODEL "}"},
        {EH_ENOSUP, "a group repeated without limit",
         "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+)+b\"},\"behavior\":\"Isolated\"},"
         MODEL "}"},
        {EH_ENOSUP, "\"stop\" 1", "{\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":0,\"stop\":1},"
         MODEL "}"},
        {EH_EFORMAT, "leaves out the text",
         "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[],\"special_tokens\":{}}," MODEL "}"},
        {EH_EFORMAT, "no such token",
         "{\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"a\",0],\"cls\":[\"b\",99]}," MODEL "}"},
        {EH_EFORMAT, "another id there", "{\"added_tokens\":[{\"id\":30,\"content\":\"abc\"}]," MODEL "}"},
        {EH_EFORMAT, "is spelt otherwise", "{\"added_tokens\":[{\"id\":3,\"content\":\"zz\"}]," MODEL "}"},
        {EH_EFORMAT, "is spelt otherwise",
         "{\"added_tokens\":[{\"id\":30,\"content\":\"zz\"},{\"id\":30,\"content\":\"yy\"}]," MODEL "}"},
        {EH_EFORMAT, "30 and 31 are spelt alike",
         "{\"added_tokens\":[{\"id\":30,\"content\":\"zz\"},{\"id\":31,\"content\":\"zz\"}]," MODEL "}"},
        {EH_EFORMAT, "is normalised to nothing",
         "{\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},\"added_tokens\":[{\"id\":30,"
         "\"content\":\" \"}]," MODEL "}"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        eh_tokenizer *t = NULL;
        CHECK_FAILS(eh_tokenizer_open_bytes(eh_str_of(row[i].json), EH_STR(""), "test", &t, &err), row[i].code,
                    row[i].why);
        CHECK(t == NULL);
    }
    eh_tokenizer *t = NULL;
    CHECK_FAILS(eh_tokenizer_open_bytes(EH_STR("{" MODEL "}"), EH_STR("{\"add_bos_token\":true}"), "test", &t, &err),
                EH_EFORMAT, "names none");
    CHECK_FAILS(eh_tokenizer_open_json("/nonexistent", &t, &err), EH_ENOENT, "/nonexistent/tokenizer.json");
#undef MODEL
}

/* ---- Threads ------------------------------------------------------------------------------ */

typedef struct job {
    const eh_tokenizer *t;
    int64_t wrong[64];
} job;

static void encode_job(void *ctx, int64_t i, int worker)
{
    (void)worker;
    job *j = ctx;
    eh_ids ids = {0};
    eh_buf back = {0};
    char text[100];
    snprintf(text, sizeof text, "the number %lld, in \u00e9 and 123456 times", (long long)i);
    const int rc = eh_tokenizer_encode(j->t, eh_str_of(text), EH_ENCODE_SPECIAL, &ids, NULL);
    const int rd = rc < 0 ? rc : eh_tokenizer_decode(j->t, ids.id, ids.n, false, &back, NULL);
    j->wrong[i] = rd < 0 || !eh_str_eq(eh_buf_get(&back), eh_str_of(text));
    eh_ids_clear(&ids);
    eh_buf_clear(&back);
}

TEST(one_tokenizer_serves_many_threads)
{
    job j = {.t = small("llama3")};
    eh_par_for(4, 64, encode_job, &j);
    for (int i = 0; i < 64; i++)
        CHECK_INT(j.wrong[i], 0);
    eh_tokenizer_close((eh_tokenizer *)j.t);
}
