#include <float.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/rng.h"
#include "check.h"

static eh_err err;

/* What was written is this; the buffer is emptied. */
static void wrote(eh_buf *b, const char *want)
{
    CHECK_OK(eh_buf_check(b, "a test", &err));
    CHECK_STR(eh_buf_get(b).p, want);
    eh_buf_clear(b);
}

TEST(an_object_by_hand)
{
    eh_buf b = {0};
    eh_jsonw w = {.b = &b};
    eh_jsonw_begin(&w, NULL, '{');
    eh_jsonw_text(&w, "a \"b\"", "caf\xc3\xa9\n");
    eh_jsonw_text(&w, "none", NULL);
    eh_jsonw_str(&w, "cut", (eh_str){"xyz", 2});
    eh_jsonw_int(&w, "least", INT64_MIN);
    eh_jsonw_uint(&w, "most", UINT64_MAX);
    eh_jsonw_double(&w, "tenth", 0.1);
    eh_jsonw_float(&w, "float", 0.1f);
    eh_jsonw_double(&w, "nan", (double)NAN);
    eh_jsonw_float(&w, "infinite", -INFINITY);
    eh_jsonw_bool(&w, "yes", true);
    eh_jsonw_bool(&w, "no", false);
    eh_jsonw_raw(&w, "raw", EH_STR("{ }"));
    eh_jsonw_begin(&w, "empty", '{');
    eh_jsonw_end(&w);
    eh_jsonw_begin(&w, "list", '[');
    eh_jsonw_doubles(&w, NULL, (const double[]){1.0, -2.5, (double)INFINITY}, 3);
    eh_jsonw_ints(&w, NULL, (const int64_t[]){7}, 1);
    eh_jsonw_ints(&w, NULL, NULL, 0);
    eh_jsonw_floats(&w, NULL, (const float[]){0.1f, 3.0f}, 2);
    eh_jsonw_texts(&w, "first\nsecond \"2\"\n");
    eh_jsonw_texts(&w, "no end");
    eh_jsonw_texts(&w, "");
    eh_jsonw_texts(&w, NULL);
    eh_jsonw_end(&w);
    eh_jsonw_finish(&w);
    wrote(&b, "{\"a \\\"b\\\"\":\"caf\xc3\xa9\\n\",\"none\":null,\"cut\":\"xy\",\"least\":-9223372036854775808,"
              "\"most\":18446744073709551615,\"tenth\":0.1,\"float\":0.1,\"nan\":null,\"infinite\":null,\"yes\":true,"
              "\"no\":false,\"raw\":{ },\"empty\":{},\"list\":[[1,-2.5,null],[7],[],[0.1,3],\"first\","
              "\"second \\\"2\\\"\",\"no end\"]}\n");
}

TEST(lines_break_where_they_are_asked_for)
{
    eh_buf b = {0};
    eh_jsonw w = {.b = &b};
    eh_jsonw_begin(&w, NULL, '{');
    eh_jsonw_begin(&w, "rows", '[');
    for (int i = 0; i < 2; i++) {
        eh_jsonw_line(&w, 0);
        eh_jsonw_begin(&w, NULL, '{');
        eh_jsonw_int(&w, "i", i);
        eh_jsonw_end(&w);
    }
    eh_jsonw_end_on_line(&w, 0);
    eh_jsonw_line(&w, 0);
    eh_jsonw_int(&w, "n", 2);
    eh_jsonw_line(&w, 0); /* nothing follows: no line */
    eh_jsonw_finish(&w);
    wrote(&b, "{\"rows\":[\n{\"i\":0},\n{\"i\":1}\n],\n\"n\":2}\n");
}

TEST(with_blanks_behind_commas_and_colons)
{
    eh_buf b = {0};
    eh_jsonw w = {.b = &b, .spaced = true};
    eh_jsonw_begin(&w, NULL, '{');
    eh_jsonw_line(&w, 1);
    eh_jsonw_int(&w, "version", 1);
    eh_jsonw_text(&w, "a", "b");
    eh_jsonw_line(&w, 1);
    eh_jsonw_begin(&w, "units", '[');
    eh_jsonw_line(&w, 2);
    eh_jsonw_ints(&w, NULL, (const int64_t[]){1, 2}, 2);
    eh_jsonw_end_on_line(&w, 1);
    eh_jsonw_begin(&w, "none", '[');
    eh_jsonw_end_on_line(&w, 0);
    eh_jsonw_end_on_line(&w, 0);
    wrote(&b, "{\n \"version\": 1, \"a\": \"b\",\n \"units\": [\n  [1, 2]\n ], \"none\": [\n]\n}");
}

TEST(an_object_whose_entries_are_lines)
{
    for (int margin = 0; margin < 2; margin++) {
        eh_buf b = {0};
        eh_jsonw w = {.b = &b, .lines = true, .margin = margin};
        eh_jsonw_begin(&w, NULL, '{');
        eh_jsonw_int(&w, "a", 1);
        eh_jsonw_ints(&w, "b", (const int64_t[]){1, 2}, 2); /* within it nothing changes */
        eh_jsonw_line(&w, 4);
        eh_jsonw_int(&w, "c", 3);
        eh_jsonw_int(&w, "d", 4);
        eh_jsonw_finish(&w);
        wrote(&b, margin == 0 ? "{\"a\":1,\n\"b\":[1,2],\n    \"c\":3,\n\"d\":4}\n"
                              : "{\"a\":1,\n \"b\":[1,2],\n    \"c\":3,\n \"d\":4}\n");
    }
}

/* JSON Lines: one writer, a record after the other; and a second writer behind the first. */
TEST(records_follow_each_other)
{
    eh_buf b = {0};
    eh_jsonw w = {.b = &b}, v = {.b = &b};
    for (int i = 0; i < 2; i++) {
        eh_jsonw_begin(&w, NULL, '{');
        eh_jsonw_begin(&w, "x", '[');
        eh_jsonw_int(&w, NULL, i);
        eh_jsonw_finish(&w); /* all that is open */
    }
    eh_jsonw_begin(&v, NULL, '[');
    eh_jsonw_finish(&v);
    wrote(&b, "{\"x\":[0]}\n{\"x\":[1]}\n[]\n");
}

TEST(a_value_of_jansson_is_written_as_it_writes_it)
{
    eh_buf b = {0};
    json_t *v = json_pack("{s:[i,f,n],s:{}}", "list", 1, 2.5, "object");
    CHECK(v != NULL);
    eh_buf_json_value(&b, v, 0);
    wrote(&b, "{\"list\":[1,2.5,null],\"object\":{}}");
    eh_buf_json_value(&b, v, 2);
    wrote(&b, "{\n  \"list\": [\n    1,\n    2.5,\n    null\n  ],\n  \"object\": {}\n}");
    eh_buf_json_value(&b, json_object_get(v, "list"), 0);
    eh_buf_json_value(&b, json_array_get(json_object_get(v, "list"), 0), 0);
    wrote(&b, "[1,2.5,null]1");
    json_decref(v);
}

/* A random tree, written and kept beside it as jansson's; `left`: entries it may still have. */
static json_t *grow(eh_jsonw *w, const char *key, eh_rng *r, int *left)
{
    char text[8];
    json_t *v = NULL;
    const int64_t kind = w->depth == 0 ? 5 + eh_rng_below(r, 2) : eh_rng_below(r, w->depth < 6 && *left > 0 ? 7 : 5);
    if (eh_rng_below(r, 4) == 0)
        eh_jsonw_line(w, (int)eh_rng_below(r, 3));
    switch (kind) {
    case 0: {
        const int64_t x = (int64_t)eh_rng_u64(r);
        eh_jsonw_int(w, key, x);
        return json_integer((json_int_t)x);
    }
    case 1: {
        /* Small or huge: a whole number that is written without an exponent would come back as an integer. */
        const double x = ldexp(eh_rng_normal(r), (int)eh_rng_below(r, 200) + (eh_rng_below(r, 2) == 0 ? -200 : 100));
        eh_jsonw_double(w, key, x);
        return json_real(x);
    }
    case 2: {
        int64_t n = eh_rng_below(r, 8);
        for (int64_t i = 0; i < n; i++)
            text[i] = "\"\\\n\t a\x01\x7f"[eh_rng_below(r, 8)];
        eh_jsonw_str(w, key, (eh_str){text, n});
        return json_stringn(text, (size_t)n);
    }
    case 3: {
        const bool x = eh_rng_below(r, 2) == 1;
        eh_jsonw_bool(w, key, x);
        return json_boolean(x);
    }
    case 4:
        eh_jsonw_text(w, key, NULL);
        return json_null();
    default:
        v = kind == 5 ? json_object() : json_array();
        eh_jsonw_begin(w, key, kind == 5 ? '{' : '[');
        for (int64_t i = eh_rng_below(r, 5); i > 0; i--) {
            (*left)--;
            snprintf(text, sizeof text, "k%d", (int)i);
            json_t *inner = grow(w, kind == 5 ? text : NULL, r, left);
            CHECK((kind == 5 ? json_object_set_new(v, text, inner) : json_array_append_new(v, inner)) == 0);
        }
        if (eh_rng_below(r, 3) == 0)
            eh_jsonw_end_on_line(w, 1);
        else
            eh_jsonw_end(w);
        return v;
    }
}

TEST(whatever_is_written_reads_back_as_it_was)
{
    for (uint64_t seed = 0; seed < 500; seed++) {
        eh_rng r = eh_rng_at(seed, "jsonw", 0);
        eh_buf b = {0};
        eh_jsonw w = {.b = &b, .spaced = seed % 2 == 1, .lines = seed % 3 == 1, .margin = 1};
        int left = 100;
        json_t *want = grow(&w, NULL, &r, &left), *got = NULL;
        CHECK_INT(w.depth, 0);
        CHECK_OK(eh_json_parse(eh_buf_get(&b), "what was written", &got, &err));
        if (!json_equal(got, want)) {
            eh_buf a = {0}, c = {0};
            eh_buf_json_value(&a, got, 0);
            eh_buf_json_value(&c, want, 0);
            fail_msg("seed %d: wrote %s\nwanted %s", (int)seed, a.p, c.p);
        }
        json_decref(want);
        json_decref(got);
        eh_buf_clear(&b);
    }
}

/* More than can be open at once is no text but an error; so is what the buffer refuses. */
TEST(too_deep_or_too_long_is_an_error_at_the_end)
{
    eh_buf b = {0};
    eh_jsonw w = {.b = &b};
    for (int i = 0; i < EH_JSONW_DEPTH; i++)
        eh_jsonw_begin(&w, NULL, '[');
    CHECK_OK(eh_buf_check(&b, "a nest", &err));
    eh_jsonw_begin(&w, NULL, '[');
    CHECK_FAILS(eh_buf_check(&b, "a nest", &err), EH_ERANGE, "a nest");
    eh_jsonw_finish(&w);
    CHECK_INT(w.depth, 0);
    eh_jsonw_end(&w); /* one too many */
    CHECK_FAILS(eh_buf_check(&b, "a nest", &err), EH_ERANGE, "a nest");
    eh_buf_clear(&b);

    eh_buf small = {.limit = 20};
    eh_jsonw v = {.b = &small};
    eh_jsonw_begin(&v, NULL, '{');
    eh_jsonw_text(&v, "key", "a text that is longer than the room");
    eh_jsonw_finish(&v);
    CHECK_FAILS(eh_buf_check(&small, "a record", &err), EH_ERANGE, "a record is larger than the 20 bytes");
    eh_buf_clear(&small);
}
