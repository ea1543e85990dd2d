/*
 * A document written as HTML or as Markdown by the same calls, so that both say the same.
 *
 *     eh_doc d = {.html = true, .w = &w};
 *     eh_doc_section(&d, "bias", "Bias before and after");
 *     eh_doc_paragraph(&d, "...");
 *     eh_svg s = eh_doc_figure(&d, "forest-1", "s_AMB, probes");
 *     if (d.html) ... draw ...
 *     eh_doc_figure_end(&d, "How to read it.", &table, "forest");
 *
 * Every text is escaped here; callers give plain text.
 */
#ifndef EH_REPORT_DOC_H
#define EH_REPORT_DOC_H

#include "report/svg.h"
#include "report/table.h"

typedef struct eh_doc {
    eh_buf b;
    bool html;
    bool in_section;
    const char *figure; /* title of the one in hand */
    eh_words *w;
} eh_doc;

void eh_doc_section(eh_doc *d, const char *id, const char *title); /* ends the one before */
void eh_doc_section_end(eh_doc *d);
void eh_doc_heading(eh_doc *d, const char *title); /* within a section */
void eh_doc_paragraph(eh_doc *d, const char *text);
void eh_doc_aside(eh_doc *d, const char *text); /* small print */
void eh_doc_items(eh_doc *d, const char *const *text, int64_t n);
void eh_doc_code(eh_doc *d, const char *text);
void eh_doc_table(eh_doc *d, const char *caption, const eh_table *t);

eh_svg eh_doc_figure(eh_doc *d, const char *id, const char *title);
/* `table` may be NULL; csv: the stem of the file under figures/ that holds the numbers, or NULL. */
void eh_doc_figure_end(eh_doc *d, const char *caption, const eh_table *table, const char *csv);

#endif
