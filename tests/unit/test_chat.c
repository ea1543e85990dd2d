/* Chat templates by hand: what comes out, what is refused and how, and the bounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "check.h"
#include "text/chat.h"

#define S(text) eh_str_of(text)

static const eh_chat_message talk[] = {
    {{"system", 6}, {"Be brief.", 9}},
    {{"user", 4}, {"  Hello \n", 9}},
};

static int render_str(eh_str tmpl, eh_buf *out, eh_err *err)
{
    return eh_chat_render(tmpl, talk, 2, true, S("<s>"), S("</s>"), out, err);
}

static void renders(const char *tmpl, const char *want)
{
    eh_buf out = {0};
    eh_err err = {0};
    CHECK_OK(render_str(S(tmpl), &out, &err));
    CHECK_STR(out.p == NULL ? "" : out.p, want);
    eh_buf_clear(&out);
}

static void fails(const char *tmpl, int code, const char *words)
{
    eh_buf out = {0};
    eh_err err = {0};
    CHECK_FAILS(render_str(S(tmpl), &out, &err), code, words);
    CHECK_INT(out.n, 0);
    eh_buf_clear(&out);
}

/* `unit` n times between `before` and `after`; the caller frees. */
static char *repeated(const char *before, const char *unit, int n, const char *after)
{
    const size_t len = strlen(unit);
    char *text = malloc(strlen(before) + len * (size_t)n + strlen(after) + 1);
    CHECK(text != NULL);
    char *p = text + sprintf(text, "%s", before);
    for (int k = 0; k < n; k++, p += len)
        memcpy(p, unit, len);
    strcpy(p, after);
    return text;
}

/* ---- By hand --------------------------------------------------------------------------------- */

/* The best-known template of all, in its five lines. */
TEST(chat_markup_worked_by_hand)
{
    const char *tmpl = "{% for message in messages %}"
                       "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
                       "{% endfor %}"
                       "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    renders(tmpl, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n  Hello \n<|im_end|>\n"
                  "<|im_start|>assistant\n");

    eh_buf out = {0};
    eh_err err = {0};
    CHECK_OK(eh_chat_render(S(tmpl), talk, 1, false, (eh_str){0}, (eh_str){0}, &out, &err));
    CHECK_STR(out.p, "<|im_start|>system\nBe brief.<|im_end|>\n");
    eh_buf_clear(&out);
}

TEST(text_is_appended_and_kept_on_failure)
{
    eh_buf out = {0};
    eh_err err = {0};
    eh_buf_str(&out, S("before "));
    CHECK_OK(render_str(S("{{ messages[1].content | trim }}"), &out, &err));
    CHECK_STR(out.p, "before Hello");
    CHECK(render_str(S("lost {{ 1 / 0 }}"), &out, &err) == EH_EFORMAT);
    CHECK_STR(out.p, "before Hello");
    CHECK(render_str(S("{{ 1 / 0 }}"), &out, NULL) == EH_EFORMAT);
    eh_buf_clear(&out);
}

/* A tag of its own on a line leaves no trace; a minus takes all space on its side. */
TEST(white_space_control_worked_by_hand)
{
    renders("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc");
    renders("a \n {{- 'b' -}} \n c", "abc");
    renders("a\n  {%+ if true %}b{% endif +%}\nc", "a\n  b\nc");
}

TEST(missing_tokens_are_undefined_and_empty_ones_are_not)
{
    eh_buf out = {0};
    eh_err err = {0};
    const eh_str t = S("{{ bos_token is defined }} {{ eos_token is defined }} {{ tools is none }} {{ documents is "
                       "none }}");
    CHECK_OK(eh_chat_render(t, NULL, 0, false, (eh_str){0}, EH_STR(""), &out, &err));
    CHECK_STR(out.p, "False True True True");
    eh_buf_clear(&out);
}

/* 2 January 2006 is a Monday. */
TEST(the_day_is_the_one_that_is_given)
{
    const struct tm day = {.tm_year = 106, .tm_mon = 0, .tm_mday = 2, .tm_wday = 1, .tm_yday = 1};
    eh_buf out = {0};
    eh_err err = {0};
    CHECK_OK(eh_chat_render_at(S("{{ strftime_now('%A %d %b %Y') }}"), NULL, 0, false, (eh_str){0}, (eh_str){0},
                               &day, &out, &err));
    CHECK_STR(out.p, "Monday 02 Jan 2006");
    eh_buf_clear(&out);
    renders("{{ strftime_now('%Y') | length }}", "4");
}

/* Content that is not UTF-8 cannot reach transformers; here a stray byte is one character and survives. */
TEST(stray_bytes_pass_through)
{
    const eh_chat_message bad[] = {{{"user", 4}, {"a\xff\xc3z\0!", 6}}};
    eh_buf out = {0};
    eh_err err = {0};
    /* Python: [1, 2, 3][-5::-1] is [], [:-5:-1] is all of it backwards, [-5:2] begins at the start. */
    renders("{{ [1, 2, 3][-5::-1] }} {{ [1, 2, 3][:-5:-1] }} {{ [1, 2, 3][-5:2] }}", "[] [3, 2, 1] [1, 2]");
    renders("{{ 'abc'[-2:] }} {{ 'abc'[5:1:-1] }}", "bc c");
    CHECK_OK(eh_chat_render(S("{{ messages[0].content | length }}{{ messages[0].content[::-1] }}"), bad, 1, false,
                            (eh_str){0}, (eh_str){0}, &out, &err));
    CHECK_INT(out.n, 7);
    CHECK(memcmp(out.p, "6!\0z\xc3\xff" "a", 7) == 0);
    eh_buf_clear(&out);
}

/* ---- Refusals ---------------------------------------------------------------------------------- */

TEST(the_templates_own_refusal_is_passed_on)
{
    fails("{% if messages[0].role == 'system' %}\n  {{ raise_exception('System role not supported') }}{% endif %}",
          EH_EINVAL,
          "line 2, column 6: the template refuses these messages: System role not supported");
}

TEST(what_is_not_supported_is_refused_by_name_and_place)
{
    static const char *const cases[][2] = {
        {"x\n{{ 1 | tojsom }}", "line 2, column 8: the filter 'tojsom' is not supported"},
        {"{{ [2, 1] | sort }}", "the filter 'sort' is not supported"},
        {"{{ {} | dictsort }}", "the filter 'dictsort' is not supported"},
        {"{{ 'a' is lower }}", "the test 'lower' is not supported"},
        {"{{ '{}'.format(1) }}", "the method 'format' is not supported"},
        {"{{ messages.append(1) }}", "the method 'append' is not supported"},
        {"{{ messages[0].pop('role') }}", "the method 'pop' is not supported"},
        {"{{ '%s' % 1 }}", "formatting a string by '%' is not supported"},
        {"{% include 'x' %}", "not supported: the statement 'include'"},
        {"{% call f() %}{% endcall %}", "not supported: the statement 'call'"},
        {"{% filter upper %}{% endfilter %}", "not supported: the statement 'filter'"},
        {"{% for x in [] recursive %}{% endfor %}", "not supported: for ... 'recursive'"},
        {"{% set x | upper %}{% endset %}", "a filter on a set block is not supported"},
        {"{{ f(*[1]) }}", "arguments by * and ** are not supported"},
        {"{{ lipsum() }}", "the function 'lipsum' is not supported"},
        {"{{ pad_token }}", "the special token 'pad_token' is not supported"},
        {"{{ strftime_now('%f') }}", "strftime_now with '%f' is not supported"},
        {"{{ 'a'.startswith('a', 1) }}", "with 2 arguments is not supported"},
        {"{{ [1] | join(sep='x') }}", "with the argument 'sep' is not supported"},
        {"{{ '\xC3\x9F' | upper }}", "upper on the character U+00DF is not supported"},
        {"{{ '\xC3\xA9' | title }}", "title on text beyond ASCII is not supported"},
        {"{{ ('<' | safe) + '<' }}", "'+' with a string marked safe is not supported"},
        {"{{ 0x10 }}", "this way to write a number is not supported"},
        {"{{ 7.5 % 2 }}", "on floats are not supported"},
        {"{{ '\\N{DASH}' }}", "the escape '\\N' in a string is not supported"},
        {"{{ range(3) }}", "printing a range is not supported"},
        {"{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", "tojson with sort_keys is not supported"},
        {"{% macro f() %}{% endmacro %}{{ f(1) }}", "an argument that the macro 'f' does not name"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        fails(cases[k][0], EH_ENOSUP, cases[k][1]);
}

/* A part that the rendering does not come to is not evaluated: most templates hold one for tools. */
TEST(what_is_not_reached_is_not_refused)
{
    renders("{% if tools %}{{ tools | dictsort }}{{ '%s' % 1 }}{% else %}fine{% endif %}", "fine");
}

/* Whether the engine knows a name of docs/chat.md's table; `use` is a template with %s for the name. */
static bool is_known(const char *use, eh_str name)
{
    char plain[64], tmpl[160], quoted[80];
    eh_buf out = {0};
    eh_err err = {0};
    snprintf(plain, sizeof plain, "%.*s", (int)name.n, name.p);
    snprintf(tmpl, sizeof tmpl, use, plain);
    snprintf(quoted, sizeof quoted, "'%s'", plain);
    const int rc = render_str(S(tmpl), &out, &err);
    eh_buf_clear(&out);
    if (rc == EH_OK || strstr(err.text, quoted) == NULL)
        return true;
    return strstr(err.text, "not supported") == NULL && strstr(err.text, "is undefined, and called") == NULL &&
           strstr(err.text, "no statement") == NULL;
}

/* The names in backticks of one cell, which ends at its bar. */
static int check_cell(const char *use, const char **cell, bool known)
{
    const char *end = strstr(*cell, " |");
    int n = 0;
    CHECK(end != NULL);
    for (const char *p = *cell; (p = memchr(p, '`', (size_t)(end - p))) != NULL; n++) {
        const char *close = memchr(p + 1, '`', (size_t)(end - p - 1));
        CHECK(close != NULL);
        const eh_str name = {p + 1, close - p - 1};
        if (is_known(use, name) != known)
            fail_msg("docs/chat.md says that '%.*s' is %s", (int)name.n, name.p, known ? "understood" : "refused");
        p = close + 1;
    }
    *cell = end + 2;
    return n;
}

TEST(the_page_tells_what_is_understood_and_what_is_refused)
{
    static const struct { const char *row, *use; int understood, refused; } rows[] = {
        {"\n| statements |", "{%% %s %%}", 9, 12},
        {"\n| filters |", "{{ messages | %s }}", 27, 27},
        {"\n| tests |", "{{ [1] | select('%s') | list }}", 33, 6},
        {"\n| functions |", "{{ %s() }}", 5, 3},
        {"\n| methods of strings |", "{{ 'a'.%s() }}", 17, 30},
        {"\n| methods of mappings |", "{{ {}.%s() }}", 4, 7},
        {"\n| methods of lists |", "{{ [].%s() }}", 0, 11},
    };
    eh_buf page = {0};
    eh_err err = {0};
    CHECK_OK(eh_file_read(repo_path("docs/chat.md"), 1 << 20, &page, &err));
    CHECK(!is_known("{{ 1 | %s }}", EH_STR("nope")) && !is_known("{{ %s() }}", EH_STR("nope")) &&
          !is_known("{{ [].%s() }}", EH_STR("nope")) && !is_known("{%% %s %%}", EH_STR("nope")));
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        const char *cell = strstr(page.p, rows[k].row);
        CHECK(cell != NULL);
        cell += strlen(rows[k].row);
        CHECK_INT(check_cell(rows[k].use, &cell, true), rows[k].understood);
        CHECK_INT(check_cell(rows[k].use, &cell, false), rows[k].refused);
    }
    eh_buf_clear(&page);
}

/* ---- Bounds -------------------------------------------------------------------------------------- */

TEST(steps_are_bounded)
{
    fails("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", EH_ERANGE,
          "more than 1000000 steps");
    fails("{% macro f(n) %}{% for i in range(9) %}{{ f(n) }}{% endfor %}{% endmacro %}{{ f(1) }}", EH_ERANGE,
          "nested more than 800");
    fails("{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == "
          "ns.x }}"
          "{{ ns.x | tojson }}", EH_ERANGE, "steps");
}

TEST(output_and_strings_are_bounded)
{
    fails("{% for i in range(2000) %}{{ 'x' * 1000 }}{% endfor %}", EH_ERANGE, "the text grows beyond 1048576 bytes");
    fails("{{ 'xy' * 10000000000 }}", EH_ERANGE, "grows beyond 1048576 bytes");
    fails("{% set ns = namespace(s='ab') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", EH_ERANGE,
          "grows beyond 1048576 bytes");
    fails("{% set ns = namespace(s='ab') %}{% for i in range(64) %}{% set ns.s = ns.s.replace('', ns.s) %}{% endfor %}",
          EH_ERANGE,
          "grows beyond 1048576 bytes");
    fails("{% set x %}{% for i in range(2000) %}{{ 'x' * 1000 }}{% endfor %}{% endset %}", EH_ERANGE, "grows beyond");
    renders("{{ ('x' * 1048576) | length }}", "1048576");
}

TEST(memory_and_bytes_are_bounded)
{
    fails("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = ns.l + ['x'] %}{% endfor %}",
          EH_ERANGE, "more than");
    fails("{% set s = 'a' * 1000000 %}{% for i in range(1000) %}{% set t = (s ~ i) %}{% endfor %}", EH_ERANGE,
          "more than 268435456 bytes");
    fails("{% set s = 'a' * 100000 %}{{ (s ~ 'b' ~ s) in (s ~ s ~ s) }}{{ s * 5 in s * 10 }}{% for i in range(100) %}"
          "{{ (s ~ 'b') in s * 10 }}{% endfor %}", EH_ERANGE, "more than 268435456 bytes");
}

TEST(depth_is_bounded)
{
    static const struct { const char *before, *unit, *after; } cases[] = {
        {"{{ ", "(", " }}"},      {"{{ ", "[", " }}"},        {"{{ ", "-", "1 }}"},       {"{{ ", "not ", "1 }}"},
        {"", "{% if 1 %}", ""},   {"{{ 1", " + 1", " }}"},    {"{{ x", ".a", " }}"},      {"{{ 'a'", "|trim", " }}"},
        {"{{ f", "()", " }}"},    {"{{ 1 ", "if 1 else 2 ", " }}"}, {"{{ [1]", "|map('map'", " }}"},
        {"{{ 1 ", "or 0 ", " }}"},
        {"{{ ", "{1:", " }}"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char *tmpl = repeated(cases[k].before, cases[k].unit, 20000, cases[k].after);
        eh_buf out = {0};
        eh_err err = {0};
        const int rc = render_str(S(tmpl), &out, &err);
        CHECK(rc == EH_ERANGE || rc == EH_EFORMAT || (rc == EH_OK && strcmp(cases[k].unit, "or 0 ") == 0));
        eh_buf_clear(&out);
        free(tmpl);
    }
    char *deep = repeated("{% set ns = namespace(x=1) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}"
                          "{{ ns.x", "", 0, " }}");
    fails(deep, EH_ERANGE, "nested more than 800 deep");
    free(deep);
    fails("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}", EH_ENOSUP, "printing a namespace");
}

/* Long and flat is no error: an elif chain, a list, many statements. */
TEST(length_alone_is_no_depth)
{
    char *tmpl = repeated("{% if 0 %}", "{% elif 0 %}x", 5000, "{% else %}y{% endif %}");
    renders(tmpl, "y");
    free(tmpl);
    tmpl = repeated("{{ [", "1,", 5000, "] | length }}");
    renders(tmpl, "5000");
    free(tmpl);
}

TEST(a_template_beyond_its_bound_is_not_read)
{
    char *tmpl = repeated("", "x", (1 << 20) + 1, "");
    fails(tmpl, EH_ERANGE, "a chat template of 1048577 bytes");
    free(tmpl);
}

/* ---- Damage ---------------------------------------------------------------------------------------- */

static const char everything[] =
    "{%- set ns = namespace(n=0, s='') -%}{# note #}\n"
    "{% macro f(a, b='\\u00e9') %}[{{ a | upper }}{{ b }}]{% endmacro %}"
    "{% for m in messages if m.role != 'x' %}{% if loop.first and m['content'][:2] is string %}{{ f(m.role) }}"
    "{% elif not loop.last or m.content.strip().split(' ', 1) | length > 1 %}{% continue %}{% else %}"
    "{% set ns.s = ns.s ~ m.content | trim ~ {'k': [1, 2.5, none]} | tojson(indent=2) %}{% endif %}{% endfor %}"
    "{% set block %}{{ ns.s[::-1] }}{% endset %}{% generation %}{{ block }}{% endgeneration %}{% raw %}{{ raw }}"
    "{% endraw %}"
    "{% with q = messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list %}{{ q }}"
    "{% endwith %}"
    "{{ strftime_now('%d') | int > 0 }}{{ 'a' if ns.n else 'b' }}";

TEST(a_template_cut_anywhere_is_an_error_or_a_text)
{
    int n_fine = 0;
    for (size_t n = 0; n < sizeof everything; n++) {
        char *cut = malloc(n > 0 ? n : 1); /* of its very size, so that reading past the end is seen */
        CHECK(cut != NULL);
        memcpy(cut, everything, n);
        eh_buf out = {0};
        eh_err err = {0};
        const int rc = render_str((eh_str){cut, (int64_t)n}, &out, &err);
        CHECK(rc == EH_OK || (rc == EH_EFORMAT && strstr(err.text, "line ") != NULL));
        n_fine += rc == EH_OK;
        eh_buf_clear(&out);
        free(cut);
    }
    CHECK(n_fine > 10 && n_fine < (int)sizeof everything / 2);
}

TEST(every_allocation_may_fail)
{
    eh_err err = {0};
    bool done = false;
    for (int64_t k = 1; !done; k++) {
        CHECK(k < 10000);
        eh_buf out = {0};
        eh_mem_fail_after(k);
        const int rc = render_str(S(everything), &out, &err);
        eh_mem_fail_after(0);
        done = rc == EH_OK;
        CHECK(done || rc == EH_ENOMEM);
        CHECK(done || out.n == 0);
        eh_buf_clear(&out);
    }
}
