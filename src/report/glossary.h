/*
 * The technical terms of a report, a plain sentence each, and the scores in the words of their benchmarks; the page
 * ends with those that it really uses.
 *
 *     eh_doc_section(d, "glossary", "Glossary");
 *     const eh_table t = eh_glossary_of(d, r);     terms found in what the document holds so far
 */
#ifndef EH_REPORT_GLOSSARY_H
#define EH_REPORT_GLOSSARY_H

#include "report/doc.h"
#include "report/record.h"

/* No rows where no term is used. Memory that is short shows in d->w->starved. */
eh_table eh_glossary_of(const eh_doc *d, const eh_record *r);

#endif
