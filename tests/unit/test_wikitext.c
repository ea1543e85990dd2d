/* Detokenising WikiText: each rule by hand, their order, and two pages that lm-evaluation-harness detokenised. */
#include "text/wikitext.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "check.h"

static eh_err err;

static void becomes_n(const char *from, int64_t n, const char *want, int64_t n_want)
{
    eh_buf out = {0};
    CHECK_OK(eh_wikitext_detokenise((eh_str){from, n}, &out, &err));
    if (out.n != n_want || (n_want > 0 && memcmp(out.p, want, (size_t)n_want) != 0)) {
        print_error("\"%.*s\" became \"%.*s\", wanted \"%.*s\"\n", (int)n, from, (int)out.n, out.p, (int)n_want, want);
        fail();
    }
    eh_buf_clear(&out);
}

static void becomes(const char *from, const char *want)
{
    becomes_n(from, (int64_t)strlen(from), want, (int64_t)strlen(want));
}

TEST(each_rule_by_hand)
{
    becomes("", "");
    becomes("plain text", "plain text");
    becomes("the boys ' hats", "the boys' hats");
    becomes("guest @-@ starring 1 @,@ 000 2 @.@ 5", "guest-starring 1,000 2.5");
    becomes("a : b ; c . d ! e ? f , g", "a: b; c. d! e? f, g");
    becomes("x ( 1987 ) y", "x (1987) y");
    becomes("x [ sic ] { y  }", "x [sic] {y}");
    becomes("he said \" no \" and \" yes \"", "he said \"no\" and \"yes\"");
    becomes("an ' odd ' word", "an 'odd' word");
    becomes("= = Title = =", "== Title ==");
    becomes("= = = Title = = =", "=== Title ===");
    becomes("= = = = Title = = = =", "==== Title ====");
    becomes("20 \xC2\xB0 C", "20\xC2\xB0" "C");
    becomes("line \n next", "line\nnext");
    becomes("N N N is N and N .", "N 1 N is 1 and 1 ."); /* " N " eats the blank that the next needs */
    becomes("the dog 's bone", "the dog's bone");
}

TEST(marks_without_their_partner_stay)
{
    becomes("x ( y", "x ( y");
    becomes("x ) y", "x ) y");
    becomes("\" a \" b \" c", "\"a\" b \" c");
    becomes("( a ( b ) c )", "(a ( b) c )"); /* up to the first that closes */
    becomes("()", "()");
    becomes("(   )", "()");
    becomes("( \xE2\x80\x83 a \xC2\xA0)", "(a)"); /* Unicode blanks are blanks */
    becomes("( \xE3\x81\x82 \xFF )", "(\xE3\x81\x82 \xFF)");
}

TEST(rules_run_in_the_order_of_the_harness)
{
    becomes("( a , b )", "(a, b)");
    becomes("\" it 's \"", "\"it's\"");
    becomes("= = = = =", "====="); /* four at once, then the two that are left touching */
    becomes(" \n \n ", "\n\n");
    becomes("a . . . b", "a. .. b"); /* the first full stop eats the blank of the second */
    becomes_n("a\0( b )", 7, "a\0(b)", 5);
}

TEST(the_golden_pages_come_out_as_the_harness_made_them)
{
    if (shared_path("golden/smollm2/perplexity.json") == NULL)
        SKIP("needs ../shared/golden/smollm2");
    json_t *o = json_load_file(shared_path("golden/smollm2/perplexity.json"), JSON_ALLOW_NUL, NULL);
    const json_t *docs = json_object_get(json_object_get(o, "lm_eval_rolling"), "docs");
    CHECK(json_array_size(docs) >= 2);
    for (size_t i = 0; i < json_array_size(docs); i++) {
        const json_t *page = json_object_get(json_array_get(docs, i), "page");
        const json_t *plain = json_object_get(json_array_get(docs, i), "detokenised");
        becomes_n(json_string_value(page), (int64_t)json_string_length(page), json_string_value(plain),
                  (int64_t)json_string_length(plain));
    }
    json_decref(o);
}

TEST(it_appends_and_says_when_memory_is_short)
{
    eh_buf out = {0};
    eh_buf_str(&out, EH_STR("before: "));
    CHECK_OK(eh_wikitext_detokenise(EH_STR("a , b"), &out, &err));
    CHECK_STR(out.p, "before: a, b");
    eh_buf_clear(&out);
    for (int64_t k = 1;; k++) {
        eh_mem_fail_after(k);
        const int rc = eh_wikitext_detokenise(EH_STR("x ( y ) , z"), &out, &err);
        eh_mem_fail_after(0);
        if (rc == EH_OK) {
            CHECK(k > 2);
            break;
        }
        CHECK_FAILS(rc, EH_ENOMEM, "plain text");
        eh_buf_clear(&out);
    }
    CHECK_STR(out.p, "x (y), z");
    eh_buf_clear(&out);
}
