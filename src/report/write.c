/* eh_report_write: the record in, the page, its Markdown twin and the CSV files out. */
#include <string.h>

#include "base/file.h"
#include "report/page.h"
#include "report/tables.h"

#define FILES 32 /* the page, its twin, and the figures' tables */

/* All files are made before the first is written: a record that cannot be shown leaves no file behind. */
typedef struct made_files {
    struct {
        char name[64];
        eh_buf text;
    } file[FILES];
    int n;
} made_files;

static eh_buf *next_file(made_files *m, const char *format, const char *name)
{
    snprintf(m->file[m->n].name, sizeof m->file[m->n].name, format, name);
    return &m->file[m->n++].text;
}

static void make_files(const eh_record *r, const eh_findings *f, eh_words *w, made_files *m)
{
    for (int i = 0; i < eh_figure_table_count; i++) {
        const eh_table t = eh_figure_tables[i].make(r, w);
        if (eh_table_rows(&t) > 0)
            eh_table_csv(&t, next_file(m, "figures/%s.csv", eh_figure_tables[i].name));
    }
    for (int html = 0; html < 2; html++) { /* the page last: when it is there, all it points to is */
        eh_doc d = {.html = html == 1, .w = w};
        eh_page(&d, r, f);
        *next_file(m, "report.%s", html == 1 ? "html" : "md") = d.b;
    }
}

static int put_files(const char *dir, const made_files *m, eh_err *err)
{
    char *figures = eh_path_join(dir, "figures");
    int rc = figures == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a path") : eh_dir_make(figures, err);
    for (int i = 0; i < m->n && rc == EH_OK; i++) {
        char *path = eh_path_join(dir, m->file[i].name);
        rc = path == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a path")
                          : eh_file_write(path, eh_buf_get(&m->file[i].text), err);
        eh_free(path);
    }
    eh_free(figures);
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
    *out = (eh_verdict){.headline = text, .sentence = s, .n = f->n};
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
    made_files m = {.n = 0};
    char *path = eh_path_join(dir, "run.json");
    int rc = path == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a path") : eh_record_read(path, &r, err);
    if (rc < 0)
        goto done;
    eh_verdict_of(&r, &w, &f);
    make_files(&r, &f, &w, &m);
    if (w.starved)
        rc = eh_fail(err, EH_ENOMEM, "no memory for the report of %s", path);
    for (int i = 0; i < m.n && rc == EH_OK; i++)
        rc = eh_buf_check(&m.file[i].text, m.file[i].name, err);
    if (rc == EH_OK)
        rc = give_verdict(&f, &made, err);
    if (rc == EH_OK)
        rc = put_files(dir, &m, err);
    if (rc == EH_OK && verdict != NULL) {
        *verdict = made;
        made = (eh_verdict){0};
    }
done:
    for (int i = 0; i < m.n; i++)
        eh_buf_clear(&m.file[i].text);
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
    eh_free((void *)(uintptr_t)v->sentence); /* with all texts behind it */
    *v = (eh_verdict){0};
}
