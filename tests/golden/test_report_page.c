/* The whole report on records like real ones: tests/golden/report. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "check.h"

static eh_err err;
static const char *const names[] = {"success", "worse", "nothing_found", "audit_only", "nulls", "hostile", "large"};
#define N_NAME ((int)(sizeof names / sizeof names[0]))

/* Copies a record into a fresh folder as run.json. */
static void put_record(const char *name, char *dir, size_t room)
{
    char path[600];
    eh_buf b = {0};
    snprintf(path, sizeof path, "tests/golden/report/%s.json", name);
    CHECK_OK(eh_file_read(repo_path(path), 1 << 24, &b, &err));
    snprintf(dir, room, "%s/%s", temp_dir(), name);
    CHECK_OK(eh_dir_make(dir, &err));
    snprintf(path, sizeof path, "%s/run.json", dir);
    CHECK_OK(eh_file_write(path, eh_buf_get(&b), &err));
    eh_buf_clear(&b);
}

/* The text of a file of the report, the caller's to clear; empty where the file is not there. */
static eh_buf get(const char *dir, const char *name)
{
    char path[600];
    eh_buf b = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (eh_file_exists(path))
        CHECK_OK(eh_file_read(path, 1 << 26, &b, &err));
    return b;
}

/* ---- A small checker of HTML: what it does not like, it says ---------------------------------------- */

#define DEEP 64

/* Says where and what, and returns what. */
static const char *dislike(const char *page, const char *at, const char *what)
{
    print_message("at byte %lld: %s: %.80s\n", (long long)(at - page), what, at);
    return what;
}

static bool is_void(const char *name)
{
    return strcmp(name, "meta") == 0 || strcmp(name, "br") == 0;
}

/* Attributes of a tag whose name ended at *at: name="value" each, no handlers, links only within and to
 * figures/. Moves *at to where the tag ends. */
static const char *check_attributes(const char *page, const char **at)
{
    const char *p = *at;
    while (*p != '>' && *p != '/') {
        if (*p++ != ' ')
            return dislike(page, p, "a blank is wanted between attributes");
        const size_t n = strcspn(p, "= />\"");
        if (p[n] != '=' || p[n + 1] != '"')
            return dislike(page, p, "an attribute without a quoted value");
        const char *value = p + n + 2;
        if (strncmp(p, "on", 2) == 0 || strncmp(p, "src=", 4) == 0 || strncmp(p, "style=", 6) == 0)
            return dislike(page, p, "an attribute that a report has no use for");
        if (strncmp(p, "href=", 5) == 0 && value[0] != '#' && strncmp(value, "figures/", 8) != 0)
            return dislike(page, p, "a link that leads elsewhere");
        p = value + strcspn(value, "\"<>");
        if (*p != '"')
            return dislike(page, value, "a value with a mark in it");
        p++;
    }
    *at = p;
    return NULL;
}

/* NULL when nothing is wrong with the page. */
static const char *html_fault(const char *page)
{
    char open[DEEP][16];
    int depth = 0, level = 0;
    const char *p = page + strlen("<!DOCTYPE html>");
    if (strncmp(page, "<!DOCTYPE html>", 15) != 0)
        return "no doctype";
    while (*p != '\0') {
        if (*p == '>' || (*p == '&' && (p[strcspn(p, "; <")] != ';' || strcspn(p, "; <") > 7)))
            return dislike(page, p, "a bare mark in text");
        if (*p++ != '<')
            continue;
        const bool ends = *p == '/';
        p += ends;
        char name[16] = "";
        const size_t n = strcspn(p, " />\n");
        if (n == 0 || n >= sizeof name)
            return dislike(page, p, "not the name of a tag");
        memcpy(name, p, n);
        if (strcmp(name, "script") == 0 || strcmp(name, "img") == 0 || strcmp(name, "iframe") == 0)
            return dislike(page, p, "a tag that a report has no use for");
        p += n;
        if (ends) {
            if (depth == 0 || strcmp(open[depth - 1], name) != 0)
                return dislike(page, p - n, "an end without a beginning");
            depth--;
        } else {
            const char *fault = check_attributes(page, &p);
            if (fault != NULL)
                return fault;
            if (name[0] == 'h' && name[1] >= '1' && name[1] <= '6') {
                if (name[1] - '0' > level + 1)
                    return dislike(page, p, "a heading that skips a level");
                level = name[1] - '0';
            }
            if (*p == '/') {
                p++;
            } else if (!is_void(name)) {
                if (depth == DEEP)
                    return dislike(page, p, "too deep");
                memcpy(open[depth++], name, sizeof name);
            }
        }
        if (*p++ != '>')
            return dislike(page, p - 1, "a tag that does not end");
        if (strcmp(name, "style") == 0 && !ends)
            p = strstr(p, "</style>");
    }
    return depth == 0 ? NULL : "a tag that is never ended";
}

/* Every id is there once, and what refers to one finds it. */
static void check_ids(const char *page)
{
    static const char *const refers[] = {"aria-labelledby=\"", "href=\"#"};
    for (const char *p = page; (p = strstr(p, " id=\"")) != NULL; p++) {
        char id[80];
        const int n = (int)strcspn(p + 5, "\"");
        snprintf(id, sizeof id, " id=\"%.*s\"", n, p + 5);
        if (strstr(page, id) != p || strstr(p + 1, id) != NULL)
            fail_msg("%.60s is there twice", id);
    }
    for (int k = 0; k < 2; k++)
        for (const char *p = page; (p = strstr(p, refers[k])) != NULL; p++)
            for (const char *word = p + strlen(refers[k]); *word != '"'; word += *word == ' ') {
                char id[80];
                const int n = (int)strcspn(word, " \"");
                snprintf(id, sizeof id, " id=\"%.*s\"", n, word);
                if (strstr(page, id) == NULL)
                    fail_msg("%.60s is not there", id);
                word += n;
            }
}

static int64_t count(const char *text, const char *part)
{
    int64_t n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
        n++;
    return n;
}

TEST(the_checker_sees_what_is_wrong)
{
    static const char *const bad[] = {
        "<p>x</b></p>",
        "<p>x",
        "x</p>",
        "<p>a & b</p>",
        "<p>a > b</p>",
        "<p a=1>x</p>",
        "<p onclick=\"x\">",
        "<script></script>",
        "<h1>a</h1><h3>b</h3>",
        "<a href=\"http://x\">y</a>",
        "<p a=\"<\">x</p>",
    };
    CHECK(html_fault("<!DOCTYPE html><p class=\"a\">x &amp; y<br><b>z</b><path d=\"M\"/></p><h1>a</h1><h2>b</h2>") ==
          NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char page[200];
        snprintf(page, sizeof page, "<!DOCTYPE html>%s", bad[i]);
        CHECK(html_fault(page) != NULL);
    }
}

TEST(every_page_is_well_formed_and_can_be_read_without_eyes)
{
    for (int i = 0; i < N_NAME; i++) {
        char dir[400];
        put_record(names[i], dir, sizeof dir);
        print_message("%s\n", names[i]);
        CHECK_OK(eh_report_write(dir, NULL, &err));
        eh_buf b = get(dir, "report.html");
        CHECK(html_fault(b.p) == NULL);
        check_ids(b.p);
        CHECK_INT(count(b.p, "<h1>"), 1);
        CHECK_INT(count(b.p, "<svg role=\"img\" aria-labelledby="), count(b.p, "<svg"));
        CHECK_INT(count(b.p, "<desc id="), count(b.p, "<svg"));
        CHECK_INT(count(b.p, "<figcaption>"), count(b.p, "<figure"));
        CHECK(count(b.p, "<details>") >= count(b.p, "<svg"));
        CHECK(strstr(b.p, "NaN") == NULL && strstr(b.p, "nan\"") == NULL && strstr(b.p, "inf\"") == NULL);
        eh_buf_clear(&b);
    }
}

/* The second time over the first, and in another folder: the same bytes. */
TEST(the_same_record_gives_the_same_bytes)
{
    static const char *const files[] = {"report.html", "report.md", "figures/forest.csv", "figures/heads_before.csv"};
    char dir[400];
    put_record("success", dir, sizeof dir);
    CHECK_OK(eh_report_write(dir, NULL, &err));
    eh_buf first[4];
    for (int i = 0; i < 4; i++)
        first[i] = get(dir, files[i]);
    CHECK_OK(eh_report_write(dir, NULL, &err));
    for (int i = 0; i < 4; i++) {
        eh_buf again = get(dir, files[i]);
        CHECK(again.n > 0 && eh_str_eq(eh_buf_get(&first[i]), eh_buf_get(&again)));
        eh_buf_clear(&again);
        eh_buf_clear(&first[i]);
    }
}

TEST(page_markdown_and_verdict_say_the_same)
{
    char dir[400];
    eh_verdict v = {0};
    put_record("worse", dir, sizeof dir);
    CHECK_OK(eh_report_write(dir, &v, &err));
    CHECK(v.n > 3);
    CHECK_INT(v.sentence[0].kind, EH_SAID_WORSE);
    eh_buf page = get(dir, "report.html"), text = get(dir, "report.md");
    CHECK(strstr(page.p, v.headline) != NULL && strstr(text.p, v.headline) != NULL);
    CHECK(strstr(page.p, "0.120 to \xE2\x88\x92"
                         "0.100") != NULL &&
          strstr(text.p, "0.120 to \xE2\x88\x92"
                         "0.100") != NULL);
    CHECK(strstr(page.p, "<h2 id=\"verdict\">") < strstr(page.p, "<h2 id=\"bias\">"));
    eh_buf_clear(&page);
    eh_buf_clear(&text);
    eh_verdict_clear(&v);
    eh_verdict_clear(&v);
    eh_verdict_clear(NULL);
}

TEST(csv_files_hold_all_digits_and_nothing_for_what_is_not_defined)
{
    char dir[400];
    put_record("nulls", dir, sizeof dir);
    CHECK_OK(eh_report_write(dir, NULL, &err));
    eh_buf b = get(dir, "figures/forest.csv");
    CHECK(strncmp(b.p, "task,category,score,better,kind,targeted,before,before_low,before_high,after,", 76) == 0);
    CHECK(strstr(b.p, "\nbbq,all,s_AMB,0,bias,yes,,,,,,,,,,,,,0,0,no estimate,\n") != NULL);
    eh_buf_clear(&b);

    put_record("success", dir, sizeof dir);
    CHECK_OK(eh_report_write(dir, NULL, &err));
    b = get(dir, "figures/heads_before.csv");
    CHECK_INT(count(b.p, "\n"), 271);
    CHECK(strstr(b.p, "\n14,6,0.52,0.003,yes\n") != NULL);
    eh_buf_clear(&b);
    b = get(dir, "figures/forest.csv");
    CHECK(strstr(b.p, "probes,all,s_AMB,0,bias,yes,0.181,") != NULL && strstr(b.p, ",better,\n") != NULL);
    eh_buf_clear(&b);
    b = get(dir, "figures/search.csv");
    CHECK(b.n > 0);
    eh_buf_clear(&b);
}

TEST(hostile_texts_stay_texts)
{
    char dir[400];
    put_record("hostile", dir, sizeof dir);
    CHECK_OK(eh_report_write(dir, NULL, &err));
    eh_buf b = get(dir, "report.html");
    CHECK_INT(count(b.p, "<script"), 0);
    CHECK_INT(count(b.p, "<img"), 0);
    CHECK_INT(count(b.p, "</style>"), 1);
    CHECK(count(b.p, "&lt;script&gt;") > 10);
    CHECK_INT(count(b.p, "\xE2\x80\xAE"), 0); /* right-to-left override */
    eh_buf_clear(&b);
    b = get(dir, "report.md");
    CHECK_INT(count(b.p, "\n# <"), 0);
    CHECK_INT(count(b.p, "\n# "), 0); /* the title is the first line; nothing else made itself one */
    CHECK(count(b.p, "\\[x\\](javascript") > 5);
    CHECK_INT(count(b.p, "](javascript"),
              count(b.p, "\\](javascript") + count(b.p, "    <script>alert(1)</script>\"'`|*_[x](javascript"));
    eh_buf_clear(&b);
}

TEST(a_large_model_makes_a_page_that_can_be_opened)
{
    char dir[400];
    put_record("large", dir, sizeof dir);
    CHECK_OK(eh_report_write(dir, NULL, &err));
    eh_buf b = get(dir, "report.html");
    CHECK(b.n < 1 << 20);
    CHECK_INT(count(b.p, "class=\"hit\""), 0); /* 5,120 cells get no boxes of their own */
    CHECK(count(b.p, "<tr>") < 1000);
    eh_buf_clear(&b);
    b = get(dir, "figures/heads_after.csv");
    CHECK_INT(count(b.p, "\n"), 80 * 64 + 1);
    eh_buf_clear(&b);
}

TEST(parts_that_are_not_there_are_left_out)
{
    char dir[400];
    put_record("audit_only", dir, sizeof dir);
    CHECK_OK(eh_report_write(dir, NULL, &err));
    eh_buf b = get(dir, "report.html");
    CHECK_INT(count(b.p, "<h2 id=\"where\">"), 0);
    CHECK_INT(count(b.p, "<h2 id=\"controls\">"), 0);
    CHECK_INT(count(b.p, "Hossain"), 0); /* nothing of that work was used */
    CHECK_INT(count(b.p, "Parrish"), 1);
    CHECK_INT(count(b.p, "before the edit"), 0);
    eh_buf_clear(&b);
    b = get(dir, "figures/heads_before.csv");
    CHECK_INT(b.n, 0);
    eh_buf_clear(&b);
}

/* ---- The glossary ---------------------------------------- */

/* Markdown without its backslashes. */
static void drop_backslashes(char *s)
{
    char *to = s;
    for (; *s != '\0'; s++)
        if (*s != '\\')
            *to++ = *s;
    *to = '\0';
}

/* The terms of the glossary in report.md, each between two "|"; `before` gets where it begins. */
static void glossary_of(char *page, char *terms, size_t room, char **before)
{
    drop_backslashes(page);
    *before = strstr(page, "\n## Glossary\n");
    CHECK(*before != NULL);
    snprintf(terms, room, "|");
    for (char *row = strstr(*before, "\n| --- |"); row != NULL && strncmp(row, "\n| ", 3) == 0;
         row = strchr(row + 1, '\n'))
        if (strncmp(row, "\n| --- |", 8) != 0) {
            const size_t at = strlen(terms), n = strcspn(row + 3, "|") - 1;
            CHECK(at + n + 2 < room);
            snprintf(terms + at, room - at, "%.*s|", (int)n, row + 3);
        }
}

static bool holds_either_case(const char *text, const char *word, size_t n)
{
    for (; *text != '\0'; text++)
        if (strncasecmp(text, word, n) == 0)
            return true;
    return false;
}

/* By hand: what these two pages speak of, and nothing that they do not. */
TEST(the_glossary_has_what_the_page_uses)
{
    static const struct {
        const char *name, *terms;
    } pages[] = {
        {"audit_only", "|attention head, head, heads|inconclusive|interval, intervals|position effect|"
                       "template, templates|text_pmi|s_AMB|s_DIS|pct_stereotype|acc|acc_norm|"
                       "accuracy_amb|accuracy_dis|ci|"},
        {"nothing_found",
         "|ablation, ablated, ablates|attention head, head, heads|half-map correlation|"
         "head_effect|inconclusive|interval, intervals|nats|position effect|q, Benjamini-Hochberg|reliability|"
         "template, templates|s_AMB|s_DIS|pct_stereotype|acc|acc_norm|accuracy_amb|accuracy_dis|ci|"},
    };
    for (int i = 0; i < 2; i++) {
        char dir[400], terms[2000], *at;
        put_record(pages[i].name, dir, sizeof dir);
        CHECK_OK(eh_report_write(dir, NULL, &err));
        eh_buf b = get(dir, "report.md");
        glossary_of(b.p, terms, sizeof terms, &at);
        CHECK_STR(terms, pages[i].terms);
        eh_buf_clear(&b);
    }
}

/* On every page: a term that is listed stands above the glossary, and the page in HTML lists it as well. */
TEST(no_glossary_lists_what_its_page_does_not_say)
{
    for (int i = 0; i < N_NAME; i++) {
        char dir[400], terms[2000], *at;
        put_record(names[i], dir, sizeof dir);
        CHECK_OK(eh_report_write(dir, NULL, &err));
        eh_buf b = get(dir, "report.md"), page = get(dir, "report.html");
        glossary_of(b.p, terms, sizeof terms, &at);
        const char *html = strstr(page.p, "<h2 id=\"glossary\">");
        CHECK(html != NULL && strlen(terms) > 20);
        *at = '\0';
        for (const char *t = terms + 1; *t != '\0'; t += strcspn(t, "|") + 1) {
            const size_t n = strcspn(t, "|");
            char cell[200];
            snprintf(cell, sizeof cell, ">%.*s</t", (int)n, t);
            bool said = false;
            for (size_t k = 0; k < n; k += strcspn(t + k, ",|") + 2)
                said |= holds_either_case(b.p, t + k, strcspn(t + k, ",|"));
            if (!said || strstr(html, cell) == NULL)
                fail_msg("%s: \"%.*s\" is in the glossary, but %s", names[i], (int)n, t,
                         said ? "not in that of the page" : "not in the text");
        }
        eh_buf_clear(&b);
        eh_buf_clear(&page);
    }
}

/* ---- Refusals ---------------------------------------- */

TEST(what_cannot_be_done_is_said_and_leaves_the_verdict_alone)
{
    char dir[400], path[500];
    eh_verdict v = {.n = 77};
    CHECK_FAILS(eh_report_write("/nonexistent", &v, &err), EH_ENOENT, "/nonexistent/run.json");
    snprintf(dir, sizeof dir, "%s/empty", temp_dir());
    CHECK_OK(eh_dir_make(dir, &err));
    CHECK_FAILS(eh_report_write(dir, &v, &err), EH_ENOENT, "run.json");
    put_record("success", dir, sizeof dir);
    for (int k = 1; k < 60; k += 7) { /* a disk that is full from the k-th write on */
        eh_file_fail_after(k);
        const int rc = eh_report_write(dir, &v, &err);
        eh_file_fail_after(0);
        CHECK(rc == EH_EIO || rc == EH_OK);
        if (rc == EH_OK) {
            CHECK(k > 20);
            eh_verdict_clear(&v);
            v.n = 77;
        }
        CHECK_INT(v.n, 77);
    }
    snprintf(path, sizeof path, "%s/run.json", dir);
    CHECK_OK(eh_file_write(path, EH_STR("{\"version\":1,\"model\":{\"n_layer\":\"x\"}}"), &err));
    CHECK_FAILS(eh_report_write(dir, &v, &err), EH_EFORMAT, "model: \"n_layer\" is a string");
    CHECK_INT(v.n, 77);
}
