/*
 * Lines of a text in memory or of a mapped file, one at a time, each with the place that messages name.
 *
 *     eh_lines l = {.text = text, .file = "items.jsonl", .limit = 1 << 18, .skip_blank = true};
 *     while ((more = eh_lines_json(&l, &row, err)) > 0) {
 *         rc = eh_json_int(row, l.where, "label", 0, 2, &label, err);      "items.jsonl: line 12: ..."
 *         json_decref(row);
 *     }
 *
 *     rc = eh_lines_open(&l, "notes.txt", err);                  or of a file
 *     while ((more = eh_lines_next(&l, &line, err)) > 0)
 *         ...
 *     eh_lines_close(&l);                                        what next gave is no longer there
 *
 * A line ends with "\n" or "\r\n", neither of which is part of it; the last may end with the text.
 */
#ifndef EH_BASE_LINES_H
#define EH_BASE_LINES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"

#define EH_LINES_WHERE 1100 /* more than an eh_err holds */

typedef struct eh_lines {
    /* The caller's to set before the first line; zero where it does not matter. */
    eh_str text;      /* borrowed */
    const char *file; /* what messages call the text; borrowed */
    int64_t limit;    /* bytes that a line may have; 0: any number */
    bool skip_blank;  /* lines of blanks, tabs and carriage returns alone are counted, not given */
    bool whole;       /* a last line that lacks its "\n" is not given: it was being written */

    /* Of the line that was given last. */
    int64_t number;             /* from 1 */
    int64_t at;                 /* byte of the text behind it and its end: where the next one starts */
    char where[EH_LINES_WHERE]; /* "FILE: line 12" */

    eh_map map; /* by eh_lines_open */
} eh_lines;

/* Sets *l to the lines of a file, with every option zero. The path is borrowed. */
int eh_lines_open(eh_lines *l, const char *path, eh_err *err);
void eh_lines_close(eh_lines *l); /* NULL and a text in memory are fine */

/* The next line: 1, and *line is a slice of the text; 0 at the end; EH_EFORMAT: longer than the limit. */
int eh_lines_next(eh_lines *l, eh_str *line, eh_err *err);
/* The next line as a JSON object, which is the caller's to json_decref: 1; 0 at the end; EH_EFORMAT, EH_ENOMEM. */
int eh_lines_json(eh_lines *l, json_t **object, eh_err *err);

#endif
