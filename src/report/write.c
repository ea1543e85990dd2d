/* eh_report_write: the record in, the page, its Markdown twin and the CSV files out. */
#include <string.h>

#include "base/file.h"
#include "report/page.h"
#include "report/tables.h"

static int put_file(const char *dir, const char *name, eh_buf *b, eh_err *err)
{
    int rc = eh_buf_check(b, name, err);
    char *path = rc < 0 ? NULL : eh_path_join(dir, name);
    if (rc == EH_OK && path == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for a path");
    if (rc == EH_OK)
        rc = eh_file_write(path, eh_buf_get(b), err);
    eh_free(path);
    return rc;
}

static int put_tables(const char *dir, const eh_record *r, eh_words *w, eh_err *err)
{
    char *figures = eh_path_join(dir, "figures");
    int rc = figures == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a path") : eh_dir_make(figures, err);
    for (int i = 0; i < eh_figure_table_count && rc == EH_OK; i++) {
        char name[64];
        eh_buf b = {0};
        const eh_table t = eh_figure_tables[i].make(r, w);
        snprintf(name, sizeof name, "%s.csv", eh_figure_tables[i].name);
        if (eh_table_rows(&t) > 0) {
            eh_table_csv(&t, &b);
            rc = w->starved ? eh_fail(err, EH_ENOMEM, "no memory for figures/%s", name)
                            : put_file(figures, name, &b, err);
        }
        eh_buf_clear(&b);
    }
    eh_free(figures);
    return rc;
}

static int put_page(const char *dir, const eh_record *r, const eh_findings *f, eh_words *w, bool html, eh_err *err)
{
    eh_doc d = {.html = html, .w = w};
    const char *name = html ? "report.html" : "report.md";
    eh_page(&d, r, f);
    const int rc = w->starved ? eh_fail(err, EH_ENOMEM, "no memory for %s", name) : put_file(dir, name, &d.b, err);
    eh_buf_clear(&d.b);
    return rc;
}

/* Everything in one allocation: the sentences, then their texts. */
static int give_verdict(const eh_findings *f, eh_verdict *out, eh_err *err)
{
    int64_t n_byte = (int64_t)strlen(f->headline) + 1;
    for (int64_t i = 0; i < f->n; i++)
        n_byte += (int64_t)strlen(f->sentence[i].text) + 1;
    eh_sentence *s = eh_alloc(f->n * (int64_t)sizeof *s + n_byte, 1);
    if (s == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld sentences", (long long)f->n);
    char *text = (char *)(s + f->n);
    *out = (eh_verdict){.headline = text, .sentence = s, .n = f->n, .memory = s};
    text = stpcpy(text, f->headline) + 1;
    for (int64_t i = 0; i < f->n; i++) {
        s[i] = f->sentence[i]; /* labels are literals */
        s[i].text = text;
        text = stpcpy(text, f->sentence[i].text) + 1;
    }
    return EH_OK;
}

int eh_report_write(const char *dir, eh_verdict *verdict, eh_err *err)
{
    eh_record r = {0};
    eh_words w = {0};
    eh_findings f = {0};
    eh_verdict made = {0};
    char *path = eh_path_join(dir, "run.json");
    int rc = path == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a path") : eh_record_read(path, &r, err);
    if (rc < 0)
        goto done;
    eh_verdict_of(&r, &w, &f);
    rc = w.starved ? eh_fail(err, EH_ENOMEM, "no memory for the verdict") : give_verdict(&f, &made, err);
    if (rc == EH_OK)
        rc = put_tables(dir, &r, &w, err);
    if (rc == EH_OK)
        rc = put_page(dir, &r, &f, &w, false, err);
    if (rc == EH_OK)
        rc = put_page(dir, &r, &f, &w, true, err);
    if (rc == EH_OK && verdict != NULL) {
        *verdict = made;
        made = (eh_verdict){0};
    }
done:
    eh_verdict_clear(&made);
    eh_words_clear(&w);
    eh_record_clear(&r);
    eh_free(path);
    return rc;
}

void eh_verdict_clear(eh_verdict *v)
{
    if (v == NULL)
        return;
    eh_free(v->memory);
    *v = (eh_verdict){0};
}
