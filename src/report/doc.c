#include "report/doc.h"

#include <string.h>

static void put(eh_doc *d, const char *text)
{
    (d->html ? eh_put_html : eh_put_markdown)(&d->b, text);
}

static void put_raw(eh_doc *d, const char *html, const char *markdown)
{
    eh_buf_str(&d->b, eh_str_of(d->html ? html : markdown));
}

void eh_doc_section_end(eh_doc *d)
{
    if (d->html && d->in_section)
        eh_buf_str(&d->b, EH_STR("</section>\n"));
    d->in_section = false;
}

void eh_doc_section(eh_doc *d, const char *id, const char *title)
{
    eh_doc_section_end(d);
    d->in_section = true;
    if (d->html)
        eh_buf_printf(&d->b, "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">", id, id);
    else
        eh_buf_str(&d->b, EH_STR("\n## "));
    put(d, title);
    put_raw(d, "</h2>\n", "\n\n");
}

void eh_doc_heading(eh_doc *d, const char *title)
{
    put_raw(d, "<h3>", "### ");
    put(d, title);
    put_raw(d, "</h3>\n", "\n\n");
}

void eh_doc_paragraph(eh_doc *d, const char *text)
{
    put_raw(d, "<p>", "");
    put(d, text);
    put_raw(d, "</p>\n", "\n\n");
}

void eh_doc_aside(eh_doc *d, const char *text)
{
    put_raw(d, "<p class=\"small\">", "");
    put(d, text);
    put_raw(d, "</p>\n", "\n\n");
}

void eh_doc_items(eh_doc *d, const char *const *text, int64_t n)
{
    put_raw(d, "<ul>\n", "");
    for (int64_t i = 0; i < n; i++) {
        put_raw(d, "<li>", "- ");
        put(d, text[i]);
        put_raw(d, "</li>\n", "\n");
    }
    put_raw(d, "</ul>\n", "\n");
}

/* In Markdown as an indented block, which nothing in one line of text can end. */
void eh_doc_code(eh_doc *d, const char *text)
{
    if (d->html) {
        eh_buf_str(&d->b, EH_STR("<pre tabindex=\"0\"><code>"));
        eh_put_html(&d->b, text);
        eh_buf_str(&d->b, EH_STR("</code></pre>\n"));
        return;
    }
    eh_buf_printf(&d->b, "    %s\n\n", text);
}

static void put_table(eh_doc *d, const char *caption, const eh_table *t)
{
    if (d->html)
        eh_table_html(t, caption, &d->b);
    else
        eh_table_markdown(t, &d->b);
    if (eh_table_rows(t) > EH_TABLE_SHOWN)
        eh_doc_aside(d, eh_say(d->w, "The first %d rows of %s; the CSV file has all.", EH_TABLE_SHOWN,
                               eh_count(d->w, eh_table_rows(t))));
}

void eh_doc_table(eh_doc *d, const char *caption, const eh_table *t)
{
    if (!d->html) {
        eh_put_markdown(&d->b, caption);
        eh_buf_char(&d->b, '\n');
    }
    put_table(d, caption, t);
}

eh_svg eh_doc_figure(eh_doc *d, const char *id, const char *title)
{
    if (d->html)
        eh_buf_printf(&d->b, "<figure id=\"%s\">\n<h3>", id);
    else
        eh_buf_str(&d->b, EH_STR("### "));
    put(d, title);
    put_raw(d, "</h3>\n", "\n\n");
    d->figure = title;
    return (eh_svg){&d->b, d->w};
}

void eh_doc_figure_end(eh_doc *d, const char *caption, const eh_table *table, const char *csv)
{
    put_raw(d, "<figcaption>", "");
    put(d, caption);
    put_raw(d, "</figcaption>\n", "\n\n");
    if (d->html && table != NULL)
        eh_buf_str(&d->b, EH_STR("<details><summary>The numbers of this figure</summary>\n"));
    if (table != NULL)
        put_table(d, d->figure, table);
    if (csv != NULL && d->html)
        eh_buf_printf(&d->b, "<p class=\"small\">With all digits: <a href=\"figures/%s.csv\">figures/%s.csv</a></p>\n",
                      csv, csv);
    else if (csv != NULL)
        eh_buf_printf(&d->b, "With all digits: [figures/%s.csv](figures/%s.csv)\n\n", csv, csv);
    if (d->html && table != NULL)
        eh_buf_str(&d->b, EH_STR("</details>\n"));
    put_raw(d, "</figure>\n", "");
}
