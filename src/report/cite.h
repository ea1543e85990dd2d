/* The works a report rests on: only those whose method it used. */
#ifndef EH_REPORT_CITE_H
#define EH_REPORT_CITE_H

#include "report/record.h"

typedef struct eh_cited {
    const char *what; /* what it was used for */
    const char *work;
    bool (*is_used)(const eh_record *r);
} eh_cited;

extern const eh_cited eh_cited_works[];
extern const int eh_cited_count;

#endif
