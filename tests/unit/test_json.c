#include "check.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

static eh_err err;

static json_t *parse(const char *text)
{
    json_t *v = NULL;
    CHECK_OK(eh_json_parse(eh_str_of(text), "test", &v, &err));
    return v;
}

/* The text is refused with these words, and the output is left as it was. */
static void refuse(eh_str text, const char *words)
{
    json_t *v = (json_t *)(uintptr_t)1;
    CHECK_FAILS(eh_json_parse(text, "cfg.json", &v, &err), EH_EFORMAT, words);
    CHECK(v == (json_t *)(uintptr_t)1);
    CHECK(strncmp(err.text, "cfg.json: ", 10) == 0);
}

TEST(what_is_not_json_is_refused_with_its_place)
{
    refuse(EH_STR(""), "line 1");
    refuse((eh_str){0}, "cfg.json");
    refuse(EH_STR("{\"a\": 1,\n \"b\": }"), "line 2, column");
    refuse(EH_STR("{} {}"), "line 1, column 4");
    refuse(EH_STR("[1, 2"), "line 1");
    refuse(EH_STR("\"cut"), "line 1");
    refuse(EH_STR("\"ends in a backslash\\"), "line 1");
    refuse(EH_STR("[01]"), "line 1");
    refuse(EH_STR("[NaN]"), "line 1");
    refuse(EH_STR("[1e999]"), "overflow");
    refuse(EH_STR("[9223372036854775808]"), "too big integer");
    refuse(EH_STR("\"\xff\""), "line 1");
    refuse(EH_STR("\"\xed\xa0\x80\""), "line 1");
    refuse(EH_STR("[1]\0"), "line 1");
}

TEST(a_key_twice_is_refused)
{
    refuse(EH_STR("{\"a\": 1, \"b\": 2, \"a\": 1}"), "duplicate object key");
    refuse(EH_STR("{\"x\": {\"a\": 1, \"\\u0061\": 1}}"), "duplicate object key");
}

TEST(a_string_may_hold_nul_a_key_may_not)
{
    json_t *v = parse("\"a\\u0000b\"");
    CHECK(eh_str_eq(eh_json_text(v), EH_STR("a\0b")));
    json_decref(v);
    refuse(EH_STR("{\"a\\u0000b\": 1}"), "NUL");
}

static eh_buf nested(char open, const char *inner, char close, int depth)
{
    eh_buf b = {0};
    for (int i = 0; i < depth; i++) {
        eh_buf_char(&b, open);
        if (open == '{')
            eh_buf_str(&b, EH_STR("\"k\":"));
    }
    eh_buf_str(&b, eh_str_of(inner));
    for (int i = 0; i < depth; i++)
        eh_buf_char(&b, close);
    return b;
}

TEST(depth_is_bounded)
{
    eh_buf b = nested('[', "1", ']', 512);
    json_t *v = parse(b.p);
    json_decref(v);
    eh_buf_clear(&b);
    b = nested('{', "1", '}', 512);
    v = parse(b.p);
    json_decref(v);
    eh_buf_clear(&b);

    const int depths[] = {513, 2049, 100000};
    for (int i = 0; i < 3; i++) {
        b = nested('[', "", ']', depths[i]);
        refuse(eh_buf_get(&b), "at byte 512: JSON is nested more than 512 deep");
        refuse((eh_str){b.p, depths[i]}, "nested more than 512 deep"); /* never closed */
        refuse((eh_str){b.p + depths[i], depths[i]}, "line 1");        /* never opened */
        eh_buf_clear(&b);
        b = nested('{', "1", '}', depths[i]);
        refuse(eh_buf_get(&b), "nested more than 512 deep");
        eh_buf_clear(&b);
    }
}

TEST(brackets_in_strings_are_not_depth)
{
    eh_buf b = {0};
    eh_buf_str(&b, EH_STR("[\"\\\""));
    for (int i = 0; i < 2000; i++)
        eh_buf_str(&b, EH_STR("[{"));
    eh_buf_str(&b, EH_STR("\\\\\", [2]]"));
    json_t *v = parse(b.p);
    CHECK_INT(json_array_size(v), 2);
    json_decref(v);
    eh_buf_clear(&b);
}

TEST(a_long_string_is_read_whole)
{
    const int64_t n = 10 * 1000 * 1000;
    eh_buf b = {0};
    json_t *v;
    eh_buf_char(&b, '"');
    char *x = eh_alloc(n, 1);
    memset(x, 'x', (size_t)n);
    eh_buf_bytes(&b, x, n);
    eh_free(x);
    eh_buf_char(&b, '"');
    CHECK_OK(eh_json_parse(eh_buf_get(&b), "test", &v, &err));
    CHECK_INT(eh_json_text(v).n, n);
    json_decref(v);
    eh_buf_clear(&b);
}

TEST(fields_are_read_when_they_are_what_was_wanted)
{
    json_t *o = parse("{\"i\": -3, \"r\": 0.5, \"n\": 2, \"t\": true, \"f\": false, \"s\": \"x\\u0000y\"}");
    int64_t i = 0;
    double r = 0, n = 0;
    bool t = false, f = true;
    eh_str s = {0};
    CHECK_OK(eh_json_int(o, "test", "i", -3, -3, &i, &err));
    CHECK_OK(eh_json_real(o, "test", "r", 0, 1, &r, &err));
    CHECK_OK(eh_json_real(o, "test", "n", 2, 2, &n, &err)); /* an integer is a number, too */
    CHECK_OK(eh_json_bool(o, "test", "t", &t, &err));
    CHECK_OK(eh_json_bool(o, "test", "f", &f, &err));
    CHECK_OK(eh_json_str(o, "test", "s", &s, &err));
    CHECK_INT(i, -3);
    CHECK_NEAR(r, 0.5, 0);
    CHECK_NEAR(n, 2, 0);
    CHECK(t && !f);
    CHECK(eh_str_eq(s, EH_STR("x\0y")));
    json_decref(o);
}

TEST(integers_are_held_to_their_bounds_and_to_64_bits)
{
    json_t *o = parse("{\"most\": 9223372036854775807, \"least\": -9223372036854775808, \"real\": 1.0}");
    int64_t x = 7;
    CHECK_OK(eh_json_int(o, "test", "most", INT64_MIN, INT64_MAX, &x, &err));
    CHECK(x == INT64_MAX);
    CHECK_OK(eh_json_int(o, "test", "least", INT64_MIN, INT64_MAX, &x, &err));
    CHECK(x == INT64_MIN);
    x = 7;
    CHECK_FAILS(eh_json_int(o, "test", "most", 1, 100, &x, &err), EH_EFORMAT,
                "test: \"most\" is 9223372036854775807, wanted 1 to 100");
    CHECK_FAILS(eh_json_int_or(o, "test", "least", 1, 100, &x, &err), EH_EFORMAT, "wanted 1 to 100");
    CHECK_FAILS(eh_json_int(o, "test", "real", 0, 9, &x, &err), EH_EFORMAT,
                "\"real\" is a real number, wanted an integer");
    CHECK_INT(x, 7);
    json_decref(o);
}

TEST(a_missing_or_null_field_is_an_error_or_the_default)
{
    json_t *o = parse("{\"null\": null}");
    const char *const keys[] = {"none", "null"};
    for (int k = 0; k < 2; k++) {
        int64_t i = 7;
        double r = 7;
        bool b = true;
        eh_str s = EH_STR("seven");
        CHECK_FAILS(eh_json_int(o, "test", keys[k], 0, 9, &i, &err), EH_ENOENT, "test: has no \"n");
        CHECK_FAILS(eh_json_real(o, "test", keys[k], 0, 9, &r, &err), EH_ENOENT, "test: has no");
        CHECK_FAILS(eh_json_bool(o, "test", keys[k], &b, &err), EH_ENOENT, "test: has no");
        CHECK_FAILS(eh_json_str(o, "test", keys[k], &s, &err), EH_ENOENT, "test: has no");
        CHECK_OK(eh_json_int_or(o, "test", keys[k], 0, 9, &i, &err));
        CHECK_OK(eh_json_real_or(o, "test", keys[k], 0, 9, &r, &err));
        CHECK_OK(eh_json_bool_or(o, "test", keys[k], &b, &err));
        CHECK_OK(eh_json_str_or(o, "test", keys[k], &s, &err));
        CHECK_INT(i, 7);
        CHECK_NEAR(r, 7, 0);
        CHECK(b);
        CHECK_STR(s.p, "seven");
    }
    json_decref(o);
}

/* Every type where another one was wanted: said with what was found; the outputs stay. */
TEST(a_field_of_another_type_is_refused)
{
    const struct {
        const char *json, *is;
    } rows[] = {
        {"{}", "an object"}, {"[]", "an array"},  {"\"1\"", "a string"}, {"1", "an integer"},
        {"1.5", "a real number"}, {"true", "true"}, {"false", "false"},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        char text[64], words[64];
        snprintf(text, sizeof text, "{\"v\": %s}", rows[k].json);
        snprintf(words, sizeof words, "test: \"v\" is %s, wanted", rows[k].is);
        json_t *o = parse(text);
        const json_t *v = json_object_get(o, "v");
        int64_t i = 7;
        double r = 7;
        bool b = true;
        eh_str s = EH_STR("seven");
        CHECK_STR(eh_json_type(v), rows[k].is);
        if (!json_is_integer(v))
            CHECK_FAILS(eh_json_int(o, "test", "v", 0, 9, &i, &err), EH_EFORMAT, words);
        if (!json_is_number(v))
            CHECK_FAILS(eh_json_real_or(o, "test", "v", 0, 9, &r, &err), EH_EFORMAT, words);
        if (!json_is_boolean(v))
            CHECK_FAILS(eh_json_bool(o, "test", "v", &b, &err), EH_EFORMAT, words);
        if (!json_is_string(v))
            CHECK_FAILS(eh_json_str_or(o, "test", "v", &s, &err), EH_EFORMAT, words);
        CHECK(i == 7 && r == 7 && b && strcmp(s.p, "seven") == 0);
        json_decref(o);
    }
    CHECK_STR(eh_json_type(NULL), "nothing");
    CHECK_STR(eh_json_type(json_null()), "null");
}

TEST(real_numbers_are_held_to_their_bounds)
{
    json_t *o = parse("{\"r\": 1.5}");
    double r = 7;
    CHECK_FAILS(eh_json_real(o, "test", "r", 0, 1, &r, &err), EH_EFORMAT, "\"r\" is 1.5, wanted 0 to 1");
    CHECK_FAILS(eh_json_real(o, "test", "r", NAN, 1, &r, &err), EH_EFORMAT, "1.5");
    CHECK_NEAR(r, 7, 0);
    json_decref(o);
}

/* Asked for its fields, an array has not "no such field": it is the wrong thing. Nothing has no fields. */
TEST(fields_of_what_is_not_an_object)
{
    json_t *a = parse("[1]");
    int64_t i = 7;
    CHECK_FAILS(eh_json_int(a, "test", "v", 0, 9, &i, &err), EH_EFORMAT,
                "test: is an array, wanted an object with \"v\"");
    CHECK_FAILS(eh_json_int_or(a, "test", "v", 0, 9, &i, &err), EH_EFORMAT, "is an array");
    CHECK_FAILS(eh_json_int(NULL, "test", "v", 0, 9, &i, &err), EH_ENOENT, "has no \"v\"");
    CHECK_OK(eh_json_int_or(NULL, "test", "v", 0, 9, &i, &err));
    CHECK_INT(i, 7);
    json_decref(a);
}

TEST(a_json_file_is_read_within_its_limit)
{
    char path[4096];
    json_t *v = NULL;
    snprintf(path, sizeof path, "%s/a.json", temp_dir());
    CHECK_FAILS(eh_json_file(path, 100, &v, &err), EH_ENOENT, "a.json: cannot open");
    CHECK_OK(eh_file_write(path, EH_STR("{\"a\": [1, 2]}"), &err));
    CHECK_FAILS(eh_json_file(path, 5, &v, &err), EH_ERANGE, "larger than the 5 bytes");
    CHECK(v == NULL);
    CHECK_OK(eh_json_file(path, 100, &v, &err));
    CHECK_INT(json_array_size(json_object_get(v, "a")), 2);
    json_decref(v);
}
