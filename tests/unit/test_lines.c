#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/lines.h"
#include "base/rng.h"
#include "check.h"

static eh_err err;

/* The next line is this one, and has this number. */
static void next_is(eh_lines *l, const char *want, int64_t number)
{
    eh_str line;
    char got[100], where[100];
    CHECK_INT(eh_lines_next(l, &line, &err), 1);
    snprintf(got, sizeof got, "%.*s", (int)line.n, line.p);
    CHECK_STR(got, want);
    CHECK_INT(l->number, number);
    snprintf(where, sizeof where, "%s: line %d", l->file, (int)number);
    CHECK_STR(l->where, where);
}

static void ends(eh_lines *l)
{
    eh_str line = EH_STR("as it was");
    CHECK_INT(eh_lines_next(l, &line, &err), 0);
    CHECK_INT(eh_lines_next(l, &line, &err), 0);
    CHECK(eh_str_eq(line, EH_STR("as it was")));
}

TEST(lines_of_a_text_by_hand)
{
    eh_lines l = {.text = EH_STR("a b\n\nc\r\n\rd\r\r\n \t\r\nlast\r"), .file = "f.txt"};
    next_is(&l, "a b", 1);
    next_is(&l, "", 2);
    next_is(&l, "c", 3);
    next_is(&l, "\rd\r", 4); /* a carriage return elsewhere is the line's own */
    next_is(&l, " \t", 5);
    next_is(&l, "last\r", 6);
    ends(&l);
    eh_lines_close(&l);
    ends(&l);
}

TEST(a_line_that_ends_the_text_may_lack_its_end_unless_whole_lines_are_wanted)
{
    eh_lines open = {.text = EH_STR("a\nb"), .file = "f"}, whole = {.text = EH_STR("a\nb"), .file = "f", .whole = true};
    next_is(&open, "a", 1);
    next_is(&open, "b", 2);
    ends(&open);
    CHECK_INT(open.at, 3);
    next_is(&whole, "a", 1);
    ends(&whole);
    CHECK_INT(whole.at, 2); /* where the torn line begins */
    eh_lines none = {.text = EH_STR(""), .file = "f"}, one = {.text = EH_STR("\n"), .file = "f"};
    ends(&none);
    next_is(&one, "", 1);
    ends(&one);
}

TEST(blank_lines_are_counted_whether_they_are_given_or_not)
{
    eh_lines l = {.text = EH_STR("\n \t\r\n\r\nx\n\n y \n\t"), .file = "f", .skip_blank = true};
    next_is(&l, "x", 4);
    next_is(&l, " y ", 6);
    ends(&l);
}

TEST(a_line_above_the_limit_is_refused_with_its_place)
{
    eh_str line = EH_STR("as it was");
    eh_lines l = {.text = EH_STR("1234\n12345\n"), .file = "rows.jsonl", .limit = 4};
    next_is(&l, "1234", 1);
    CHECK_FAILS(eh_lines_next(&l, &line, &err), EH_EFORMAT, "rows.jsonl: line 2: has 5 bytes; a row may have 4");
    CHECK(eh_str_eq(line, EH_STR("as it was")));
    /* Its end does not count, a blank line that is not given has no length. */
    eh_lines ended = {.text = EH_STR("1234\r\n        \n"), .file = "f", .limit = 4, .skip_blank = true};
    next_is(&ended, "1234", 1);
    ends(&ended);
}

TEST(a_nul_is_a_byte_as_any_other)
{
    eh_str line;
    eh_lines l = {.text = EH_STR("a\0b\nc"), .file = "f"};
    CHECK_INT(eh_lines_next(&l, &line, &err), 1);
    CHECK(eh_str_eq(line, EH_STR("a\0b")));
    next_is(&l, "c", 2);
}

/* Whatever the text: the lines lie in it one behind the other, with nothing but their ends between. */
TEST(lines_and_their_ends_are_the_text)
{
    static const char letters[] = "\n\n\r x";
    char text[40];
    for (uint64_t seed = 0; seed < 2000; seed++) {
        eh_rng r = eh_rng_at(seed, "lines", 0);
        const int64_t n = eh_rng_below(&r, (int64_t)sizeof text);
        int64_t n_end = 0, number = 0, at = 0;
        for (int64_t i = 0; i < n; i++) {
            text[i] = letters[eh_rng_below(&r, 5)];
            n_end += text[i] == '\n';
        }
        eh_lines l = {.text = {text, n}, .file = "f"};
        eh_str line;
        while (eh_lines_next(&l, &line, &err) > 0) {
            number++;
            CHECK(line.p == text + at && memchr(line.p, '\n', (size_t)line.n) == NULL);
            at += line.n;
            if (at < n && text[at] == '\r')
                at++;
            CHECK(at == n ? l.at == n : text[at] == '\n');
            at += at < n;
            CHECK_INT(l.at, at);
        }
        CHECK_INT(at, n);
        CHECK_INT(number, n_end + (n > 0 && text[n - 1] != '\n'));
    }
}

TEST(each_line_as_an_object)
{
    json_t *o = NULL;
    int64_t x = 0;
    eh_lines l = {.text = EH_STR("{\"x\": 1}\r\n\n {\"x\": 2} \n"), .file = "f", .skip_blank = true};
    for (int64_t i = 1; i <= 2; i++) {
        CHECK_INT(eh_lines_json(&l, &o, &err), 1);
        CHECK_OK(eh_json_int(o, l.where, "x", 0, 9, &x, &err));
        CHECK_INT(x, i);
        json_decref(o);
    }
    CHECK_INT(eh_lines_json(&l, &o, &err), 0);
}

TEST(what_is_no_object_is_refused_with_its_line)
{
    json_t *const untouched = (json_t *)(uintptr_t)1;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"{}\n[1]\n", "f.jsonl: line 2: is an array, wanted an object"},
        {"{}\n3\n", "f.jsonl: line 2: is an integer, wanted an object"},
        {"{}\n\n{}\n", "f.jsonl: line 2: "}, /* blank, and not to be passed over */
        {"{}\n{\"a\":\n", "f.jsonl: line 2: line 1, column "},
        {"{}\n{\"a\":1,\"a\":2}\n", "duplicate object key"},
        {"{}\n{} {}\n", "f.jsonl: line 2: "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *o = NULL;
        eh_lines l = {.text = eh_str_of(bad[i].text), .file = "f.jsonl"};
        CHECK_INT(eh_lines_json(&l, &o, &err), 1);
        json_decref(o);
        o = untouched;
        CHECK_FAILS(eh_lines_json(&l, &o, &err), EH_EFORMAT, bad[i].words);
        CHECK(o == untouched);
    }
}

TEST(lines_of_a_file)
{
    char path[500];
    eh_lines l = {.number = 77};
    snprintf(path, sizeof path, "%s/f.txt", temp_dir());
    CHECK_FAILS(eh_lines_open(&l, path, &err), EH_ENOENT, "f.txt: cannot open");
    CHECK_INT(l.number, 77);
    CHECK_OK(eh_file_write(path, EH_STR("a\nb"), &err));
    CHECK_OK(eh_lines_open(&l, path, &err));
    l.whole = true;
    next_is(&l, "a", 1);
    ends(&l);
    eh_lines_close(&l);
    eh_lines_close(&l);
    eh_lines_close(NULL);
    CHECK_OK(eh_file_write(path, EH_STR(""), &err));
    CHECK_OK(eh_lines_open(&l, path, &err));
    ends(&l);
    eh_lines_close(&l);
}

/* A path longer than a message still leaves room for the number of the line. */
TEST(a_long_path_is_cut_and_the_line_named)
{
    char file[3000];
    eh_str line;
    memset(file, 'p', sizeof file - 1);
    file[sizeof file - 1] = '\0';
    eh_lines l = {.text = EH_STR("x\ny"), .file = file};
    CHECK(eh_lines_next(&l, &line, &err) == 1 && eh_lines_next(&l, &line, &err) == 1);
    CHECK(strncmp(l.where, file, 1000) == 0);
    CHECK_STR(l.where + strlen(l.where) - 8, ": line 2");
}
