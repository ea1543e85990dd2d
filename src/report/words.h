/*
 * Texts and numbers of a report: sentences in an arena, numbers with sensible digits, and the
 * escapes of the three formats.
 *
 *     eh_words w = {0};
 *     const char *s = eh_say(&w, "from %s to %s", eh_fixed(&w, 0.31, 2), eh_fixed(&w, 0.12, 2));
 *     if (w.starved) ...                      every call gave a text all the same
 *     eh_words_clear(&w);
 *
 * Numbers never go through printf's %f or %g: a program's locale must not change a report.
 */
#ifndef EH_REPORT_WORDS_H
#define EH_REPORT_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

typedef struct eh_words {
    eh_arena mem;
    bool starved; /* memory was short at least once */
} eh_words;

void eh_words_clear(eh_words *w);
const char *eh_say(eh_words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* How many decimals show the largest of |a|, |b|, |c| with three digits or so; NaN does not count. */
int eh_decimals(double a, double b, double c);
/* "0.312", with U+2212 for minus; "not defined" for NaN. */
const char *eh_fixed(eh_words *w, double x, int decimals);
const char *eh_signed(eh_words *w, double x, int decimals); /* with its sign, "+0.012" */
const char *eh_number(eh_words *w, double x);               /* eh_fixed with the decimals of x alone */
const char *eh_chance(eh_words *w, double p);               /* "= 0.012", "< 0.001" */
const char *eh_percent(eh_words *w, double share);          /* "83 %" */
const char *eh_count(eh_words *w, int64_t n);               /* "134,515,008" */

/* Text as HTML (also within quotes), as Markdown in a table or a paragraph, as a CSV field. The
 * record has no control characters left in its texts. */
void eh_put_html(eh_buf *b, const char *s);
void eh_put_markdown(eh_buf *b, const char *s);
void eh_put_csv(eh_buf *b, const char *s);
/* x to a tenth, for the coordinates of a figure. */
void eh_put_coord(eh_buf *b, double x);

#endif
