/* The whole report as one HTML page or one Markdown file. */
#ifndef EH_REPORT_PAGE_H
#define EH_REPORT_PAGE_H

#include "report/doc.h"
#include "report/verdict.h"

extern const char eh_page_style[]; /* the style sheet */

void eh_page(eh_doc *d, const eh_record *r, const eh_findings *f);

#endif
