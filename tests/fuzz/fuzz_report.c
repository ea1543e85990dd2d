/* Any bytes as run.json: refused with a sentence, or a page whose marks are all its own. */
#include <stdlib.h>
#include <string.h>

#include "report/page.h"
#include "report/tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
    if (!what)
        abort();
}

static int64_t count(eh_str s, const char *part)
{
    const int64_t len = (int64_t)strlen(part);
    int64_t n = 0;
    for (int64_t i = 0; i + len <= s.n; i++)
        n += memcmp(s.p + i, part, (size_t)len) == 0;
    return n;
}

/* Texts are escaped, so every '<' and '>' of the page is a mark of ours, and pairs up. */
static void check_page(eh_str page)
{
    int64_t open = 0;
    for (int64_t i = 0; i < page.n; i++) {
        open += page.p[i] == '<';
        open -= page.p[i] == '>';
        must(open == 0 || open == 1);
    }
    must(open == 0);
    must(count(page, "<script") == 0 && count(page, "</style>") == 1 && count(page, "</html>") == 1);
    must(count(page, "<section") == count(page, "</section>") && count(page, "<figure") == count(page, "</figure>"));
    must(count(page, "<svg") == count(page, "</svg>") && count(page, "<table>") == count(page, "</table>"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    eh_record r = {0};
    eh_words w = {0};
    eh_findings f;
    eh_err err = {0};
    if (eh_record_parse((eh_str){(const char *)data, (int64_t)size}, "run.json", &r, &err) < 0) {
        must(err.text[0] != '\0' && r.row == NULL);
        return 0;
    }
    eh_verdict_of(&r, &w, &f);
    must(!w.starved && f.headline[0] != '\0');
    for (int html = 0; html < 2; html++) {
        eh_doc d = {.html = html == 1, .w = &w};
        eh_page(&d, &r, &f);
        must(d.b.fault == 0 && !w.starved);
        if (html == 1)
            check_page(eh_buf_get(&d.b));
        eh_buf_clear(&d.b);
    }
    for (int i = 0; i < eh_figure_table_count; i++) {
        const eh_table t = eh_figure_tables[i].make(&r, &w);
        must(t.n_column == 0 ? t.n == 0 : t.n % t.n_column == 0);
    }
    eh_words_clear(&w);
    eh_record_clear(&r);
    return 0;
}
