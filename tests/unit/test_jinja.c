/* The template engine by its own interface: what a caller hands in, and what messages call it. The
 * language itself is tested through chats: test_chat.c by hand, test_chat_jinja.c against Jinja. */
#include <string.h>

#include "base/mem.h"
#include "check.h"
#include "jinja/jinja.h"

static eh_err err;

static void renders(const char *tmpl, const eh_jinja_input *in, const char *want)
{
    eh_buf out = {0};
    CHECK_OK(eh_jinja_render(eh_str_of(tmpl), in, &out, &err));
    CHECK_STR(eh_buf_get(&out).p, want);
    eh_buf_clear(&out);
}

static void fails(const char *tmpl, const eh_jinja_input *in, int code, const char *words)
{
    eh_buf out = {0};
    CHECK_FAILS(eh_jinja_render(eh_str_of(tmpl), in, &out, &err), code, words);
    CHECK_INT(out.n, 0);
    eh_buf_clear(&out);
}

static const eh_jinja_pair ada[] = {{EH_STR("name"), EH_STR("Ada")}, {EH_STR("born"), EH_STR("1815")}};
static const eh_jinja_pair kurt[] = {{EH_STR("name"), EH_STR("Kurt")}};
static const eh_jinja_map people[] = {{ada, 2}, {kurt, 1}, {NULL, 0}};

TEST(the_example_of_the_header)
{
    const eh_jinja_var var[] = {
        {.name = EH_STR("greeting"), .kind = EH_JINJA_STR, .s = EH_STR("Hello")},
        {.name = EH_STR("people"), .kind = EH_JINJA_MAPS, .maps = {people, 1}},
    };
    const eh_jinja_input in = {.var = var, .n_var = 2};
    renders("{% for p in people %}{{ greeting }}, {{ p.name }}!{% endfor %}", &in, "Hello, Ada!");
}

/* str() of each kind is Python's. */
TEST(a_variable_of_each_kind)
{
    const eh_jinja_var var[] = {
        {.name = EH_STR("nothing"), .kind = EH_JINJA_NONE},
        {.name = EH_STR("yes"), .kind = EH_JINJA_BOOL, .b = true},
        {.name = EH_STR("no"), .kind = EH_JINJA_BOOL, .b = false},
        {.name = EH_STR("text"), .kind = EH_JINJA_STR, .s = EH_STR("a 'b'")},
        {.name = EH_STR("people"), .kind = EH_JINJA_MAPS, .maps = {people, 3}},
        {.name = EH_STR("nobody"), .kind = EH_JINJA_MAPS, .maps = {NULL, 0}},
    };
    const eh_jinja_input in = {.var = var, .n_var = 6};
    renders("{{ nothing }} {{ yes }} {{ no }} {{ text }} {{ people }} {{ nobody }}", &in,
            "None True False a 'b' [{'name': 'Ada', 'born': '1815'}, {'name': 'Kurt'}, {}] []");
    renders("{{ people[1].born is defined }}{% for k, v in people[0].items() %} {{ k }}={{ v }}{% endfor %}", &in,
            "False name=Ada born=1815");
    renders("{{ other is defined }}{{ yes is boolean }}{{ nothing is none }}", &in, "FalseTrueTrue");
    renders("{{ other is defined }}", &(eh_jinja_input){0}, "False");
}

/* Of what is given twice the later counts, as in a Python dictionary. */
TEST(the_later_of_two_counts)
{
    const eh_jinja_pair twice[] = {{EH_STR("k"), EH_STR("1")}, {EH_STR("l"), EH_STR("2")}, {EH_STR("k"), EH_STR("3")}};
    const eh_jinja_map map[] = {{twice, 3}};
    const eh_jinja_var var[] = {
        {.name = EH_STR("x"), .kind = EH_JINJA_STR, .s = EH_STR("old")},
        {.name = EH_STR("m"), .kind = EH_JINJA_MAPS, .maps = {map, 1}},
        {.name = EH_STR("x"), .kind = EH_JINJA_BOOL, .b = true},
    };
    renders("{{ x }} {{ m }}", &(eh_jinja_input){.var = var, .n_var = 3}, "True [{'k': '3', 'l': '2'}]");
}

/* A name whose value the caller does not know is neither undefined nor anything: reading it is an error. */
TEST(a_refused_name_is_refused_when_it_is_read)
{
    const eh_jinja_var var[] = {
        {.name = EH_STR("secret"), .kind = EH_JINJA_REFUSED, .s = EH_STR("nobody knows the secret")},
    };
    const eh_jinja_input in = {.var = var, .n_var = 1};
    fails("x\n {{ secret }}", &in, EH_ENOSUP, "template, line 2, column 5: nobody knows the secret");
    fails("{{ secret is defined }}", &in, EH_ENOSUP, "nobody knows the secret");
    renders("{% if false %}{{ secret }}{% endif %}{{ secrets is defined }}", &in, "False");
    renders("{% set secret = 'told' %}{{ secret }}", &in, "told");
}

TEST(messages_call_the_template_by_its_name)
{
    const eh_jinja_input plain = {0};
    const eh_jinja_input named = {.what = "letter", .refusal = "the letter was not written"};
    fails("{{ 1 / 0 }}", &plain, EH_EFORMAT, "template, line 1, column 6: division by zero");
    fails("{{ 1 / 0 }}", &named, EH_EFORMAT, "letter, line 1, column 6: division by zero");
    CHECK(strstr(err.text, "template") == NULL);
    fails("{{ raise_exception('no paper') }}", &plain, EH_EINVAL, "the template raises an exception: no paper");
    fails("{{ raise_exception('no paper') }}", &named, EH_EINVAL, "the letter was not written: no paper");

    static char large[EH_JINJA_TEMPLATE_MAX + 1];
    eh_buf out = {0};
    CHECK_FAILS(eh_jinja_render((eh_str){large, sizeof large}, &named, &out, &err), EH_ERANGE,
                "a letter of 1048577 bytes; at most 1048576 are read");
    CHECK_INT(out.n, 0);
}

/* 1 March 2004 was a Monday. */
TEST(the_clock_is_the_callers)
{
    const struct tm day = {.tm_year = 104, .tm_mon = 2, .tm_mday = 1, .tm_wday = 1, .tm_yday = 60, .tm_hour = 7};
    renders("{{ strftime_now('%a %d.%m.%Y %H h') }}", &(eh_jinja_input){.now = &day}, "Mon 01.03.2004 07 h");
}

/* Many variables are charged to the template that gets them, as its own would be. */
TEST(variables_count_as_work)
{
    static eh_jinja_map map[EH_JINJA_STEPS_MAX + 1];
    const eh_jinja_var var[] = {{.name = EH_STR("m"), .kind = EH_JINJA_MAPS, .maps = {map, EH_JINJA_STEPS_MAX + 1}}};
    fails("", &(eh_jinja_input){.var = var, .n_var = 1}, EH_ERANGE, "more than 1000000 steps");
}

TEST(every_allocation_may_fail)
{
    const eh_jinja_var var[] = {
        {.name = EH_STR("people"), .kind = EH_JINJA_MAPS, .maps = {people, 3}},
        {.name = EH_STR("x"), .kind = EH_JINJA_STR, .s = EH_STR("y")},
    };
    bool done = false;
    for (int64_t k = 1; !done; k++) {
        CHECK(k < 1000);
        eh_buf out = {0};
        eh_mem_fail_after(k);
        const int rc = eh_jinja_render(EH_STR("{{ people | map(attribute='name') | join(x) }}"),
                                       &(eh_jinja_input){.var = var, .n_var = 2}, &out, &err);
        eh_mem_fail_after(0);
        done = rc == EH_OK;
        CHECK(done ? eh_str_eq(eh_buf_get(&out), EH_STR("AdayKurty")) : rc == EH_ENOMEM && out.n == 0);
        eh_buf_clear(&out);
    }
}
