/* The figures of a report. Each leaves itself out where the record has nothing for it. */
#ifndef EH_REPORT_FIGURES_H
#define EH_REPORT_FIGURES_H

#include "report/doc.h"
#include "report/record.h"

/* One forest plot for each score of a kind of rows, the targeted ones first. */
void eh_figures_scores(eh_doc *d, const eh_record *r, eh_score_kind kind, const char *csv);
void eh_figure_position(eh_doc *d, const eh_record *r);
void eh_figures_heads(eh_doc *d, const eh_record *r);  /* maps before and after on one colour scale */
void eh_figure_layers(eh_doc *d, const eh_record *r);
void eh_figure_confirmation(eh_doc *d, const eh_record *r);
void eh_figure_search(eh_doc *d, const eh_record *r);
void eh_figure_controls(eh_doc *d, const eh_record *r);
void eh_figure_tune(eh_doc *d, const eh_record *r);

#endif
