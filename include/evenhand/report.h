/*
 * evenhand/report.h - the page of a run, and what its numbers allow to be said (band 2: run a study)
 *
 *     eh_verdict verdict;
 *     rc = eh_report_write("out", &verdict, &err);
 *     puts(verdict.headline);
 *     eh_verdict_clear(&verdict);
 */
#ifndef EVENHAND_REPORT_H
#define EVENHAND_REPORT_H

#include "evenhand/core.h"

typedef enum eh_sentence_kind {
    EH_SAID_WORSE,    /* what got worse: leads */
    EH_SAID_CAUTION,  /* what must be known before the rest is believed */
    EH_SAID_BETTER,
    EH_SAID_CONTROL,  /* the edit against random edits of the same size */
    EH_SAID_NOTHING,  /* nothing was found, which is a result */
    EH_SAID_INCONCLUSIVE, /* what the data do not settle */
    EH_SAID_COST,     /* utility and fluency */
    EH_SAID_MEASURED  /* an audit without an edit */
} eh_sentence_kind;

typedef struct eh_sentence {
    eh_sentence_kind kind;
    const char *label; /* "Worse" */
    const char *text;
} eh_sentence;

typedef struct eh_verdict {
    const char *headline;
    const eh_sentence *sentence; /* [n] in the order they should be read */
    int64_t n;
} eh_verdict; /* owns its texts: eh_verdict_clear */

/*
 * eh_report_write - the page of a run, from its records alone
 *
 * in   dir      holds run.json (docs/formats.md); gets report.html, report.md and the figures'
 *               numbers as figures/<name>.csv. The same record gives the same bytes.
 * out  verdict  what the numbers allow to be said (docs/methods/report.md); may be NULL.
 *               To be cleared; written on success only
 *
 * Errors   EH_ENOENT no run.json; EH_EFORMAT one of its fields is wrong, which the message names;
 *          EH_EIO; EH_ENOMEM. Each file is written whole or not at all.
 */
EH_API int eh_report_write(const char *dir, eh_verdict *verdict, eh_err *err);
EH_API void eh_verdict_clear(eh_verdict *v); /* NULL and zeroed are fine */

#endif
