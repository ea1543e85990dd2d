/*
 * What the numbers of a run allow to be said, and nothing beyond: docs/methods/report.md has the
 * rules in words, tests/unit/test_verdict.c has each by hand.
 *
 *     eh_findings f = {0};
 *     eh_verdict_of(&record, &words, &f);
 *     f.headline, f.sentence[0].text
 */
#ifndef EH_REPORT_VERDICT_H
#define EH_REPORT_VERDICT_H

#include "report/record.h"
#include "report/words.h"

/* What became of one row. */
typedef enum eh_move {
    EH_MOVE_UNJUDGED,      /* no "after", or no direction is better */
    EH_MOVE_UNDEFINED,     /* a value or the interval of the difference is missing */
    EH_MOVE_BETTER,
    EH_MOVE_WORSE,
    EH_MOVE_TURNED,        /* past the unbiased point: it leans the other way now */
    EH_MOVE_PERHAPS_WORSE, /* the interval of the difference says worse, but not all that a claim needs */
    EH_MOVE_INCONCLUSIVE
} eh_move;

eh_move eh_move_of(const eh_record_row *row, double fdr);
const char *eh_move_words(eh_move m); /* "better", "inconclusive", ... */

/* Does the interval keep away from the unbiased point (0 or 50)? */
bool eh_leans(const eh_measured *m, eh_better better);

/* How the edit stands among the random ones. Lower is better, p = (1 + #{draw <= edit}) / (1 + n). */
typedef enum eh_standing {
    EH_STANDING_NONE,    /* no draws, or no edit to compare */
    EH_STANDING_BEATS,   /* p <= 0.05 */
    EH_STANDING_TOO_FEW, /* below every draw, but there are too few for p <= 0.05 */
    EH_STANDING_WITHIN
} eh_standing;

eh_standing eh_standing_of(const eh_record *r, int64_t *n_draw, int64_t *n_as_low, double *p);

#define EH_POSITION_LIMIT 0.5    /* above this the model answers by position */
#define EH_RELIABILITY_LIMIT 0.3 /* below this a map is noise */
#define EH_PERPLEXITY_LIMIT 1.1  /* after / before above this leads */

/* The axis of a row's score. */
const char *eh_score_axis(eh_words *w, const eh_record_row *row); /* "s_AMB (score, -1 to 1; better: nearer 0)" */
/* "s_AMB, probes, all categories" */
const char *eh_row_name(eh_words *w, const eh_record_row *row);
bool eh_is_total(const eh_record_row *row); /* of category "all" */

typedef struct eh_findings {
    const char *headline;
    eh_sentence *sentence; /* [n] texts in the words' arena */
    int64_t n;
} eh_findings;

/* Memory that is short shows in w->starved. */
void eh_verdict_of(const eh_record *r, eh_words *w, eh_findings *f);

#endif
