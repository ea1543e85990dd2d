/*
 * Writing JSON: entries one after the other, with the commas and line breaks between them.
 *
 *     eh_buf b = {0};
 *     eh_jsonw w = {.b = &b};
 *     eh_jsonw_begin(&w, NULL, '{');
 *     eh_jsonw_text(&w, "task", "probes");
 *     eh_jsonw_double(&w, "value", x);                 null unless finite
 *     eh_jsonw_begin(&w, "rows", '[');
 *     for (...) {
 *         eh_jsonw_line(&w, 1);                        each on a line of its own, a blank before it
 *         eh_jsonw_double(&w, NULL, row[i]);           entries of a list have no key
 *     }
 *     eh_jsonw_end(&w);
 *     eh_jsonw_finish(&w);                             {"task":"probes","value":0.5,"rows":[\n 1,\n 2]}\n
 *     rc = eh_buf_check(&b, "results.json", err);      what went wrong on the way, if anything
 *
 * Numbers have the fewest digits that read back to the same (str.h). A writer holds nothing of its own: there is
 * nothing to close, and several may append to one buffer, one after the other.
 */
#ifndef EH_BASE_JSONW_H
#define EH_BASE_JSONW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define EH_JSONW_DEPTH 16 /* objects and lists that may be open; one more is EH_ERANGE in the buffer */

typedef struct eh_jsonw {
    eh_buf *b;
    bool spaced; /* ", " and ": " for "," and ":" */
    bool lines;  /* what is in the outermost object begins a line, all but its first entry, */
    int margin;  /* with so many blanks */

    int depth;
    char close[EH_JSONW_DEPTH]; /* what ends each that is open */
    bool some[EH_JSONW_DEPTH];  /* has an entry already */
    bool on_line;               /* the next entry begins a line, */
    int indent;                 /* with so many blanks */
} eh_jsonw;

/* An object ('{') or list ('[') begins, or the innermost one ends. */
void eh_jsonw_begin(eh_jsonw *w, const char *key, char open);
void eh_jsonw_end(eh_jsonw *w);
void eh_jsonw_end_on_line(eh_jsonw *w, int indent); /* its bracket begins a line */
/* Ends all that is open, then the line. */
void eh_jsonw_finish(eh_jsonw *w);

/* The next entry begins a line, if one comes before the end of what is open. */
void eh_jsonw_line(eh_jsonw *w, int indent);

/* Entries: key NULL in a list. */
void eh_jsonw_text(eh_jsonw *w, const char *key, const char *text); /* NULL: null */
void eh_jsonw_str(eh_jsonw *w, const char *key, eh_str text);       /* bytes that are not UTF-8 become U+FFFD */
void eh_jsonw_int(eh_jsonw *w, const char *key, int64_t x);
void eh_jsonw_uint(eh_jsonw *w, const char *key, uint64_t x);
void eh_jsonw_double(eh_jsonw *w, const char *key, double x);
void eh_jsonw_float(eh_jsonw *w, const char *key, float x);
void eh_jsonw_bool(eh_jsonw *w, const char *key, bool x);
void eh_jsonw_raw(eh_jsonw *w, const char *key, eh_str json); /* JSON already, taken as it is */

/* Lists of n numbers. */
void eh_jsonw_ints(eh_jsonw *w, const char *key, const int64_t *x, int64_t n);
void eh_jsonw_doubles(eh_jsonw *w, const char *key, const double *x, int64_t n);
void eh_jsonw_floats(eh_jsonw *w, const char *key, const float *x, int64_t n);
/* An entry of the list that is open for each line of a text; NULL: none. */
void eh_jsonw_texts(eh_jsonw *w, const char *lines);

/* Appends a value that jansson holds: indent 0 on one line, else by so many blanks a level. Without memory the buffer
 * notes EH_ENOMEM. */
void eh_buf_json_value(eh_buf *b, const json_t *v, int indent);

#endif
