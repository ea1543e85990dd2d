/* The works a report rests on: only those whose method it used. Those of the benchmarks stand in its record. */
#ifndef EH_REPORT_CITE_H
#define EH_REPORT_CITE_H

#include "report/record.h"
#include "report/words.h"

/* [*n] "Efron: ... (intervals)", in the words' arena; NULL where memory is short, which w->starved shows, too. */
const char *const *eh_cited(const eh_record *r, eh_words *w, int64_t *n);

#endif
