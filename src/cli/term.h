/*
 * Talk with the person at the terminal: errors, progress, tables. All talk goes to stderr; results
 * go to stdout.
 *
 *     return cli_fail(CLI_USAGE, "--threads is %d; it must lie in 0..1024", n);
 */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "evenhand.h"

/* One list makes the exit statuses, the table in the help and the one in the man pages. */
#define CLI_STATUSES(X) \
    X(DONE,          0, "done") \
    X(FAILED,        1, "failed") \
    X(USAGE,         2, "wrong usage") \
    X(GATE,          3, "a --fail-if gate was not passed") \
    X(PARTLY,        4, "some items could not be scored") \
    X(NOFIT,         5, "the work would not fit in memory or on disk") \
    X(INTERRUPTED, 130, "interrupted; what was done is kept where there is a journal")

enum {
#define CLI_STATUS(name, number, text) CLI_##name = number,
    CLI_STATUSES(CLI_STATUS)
#undef CLI_STATUS
};

/* Prints "evenhand: " and one sentence; returns the exit status it was given. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for an error of the library; the status follows from its code. */
int cli_fail_with(const eh_err *err);
/* A line of talk. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether to colour this stream: a terminal that can, and NO_COLOR not set. */
bool cli_colours(FILE *stream);
#define CLI_BOLD "1"
#define CLI_RED "31"
#define CLI_GREEN "32"
#define CLI_YELLOW "33"
/* Text in a colour, or plain where the stream has none. */
void cli_put_coloured(FILE *stream, const char *colour, const char *text);

/* Zeroed memory. When there is none the program says so and ends: nothing in the program could go
 * on, and a file in the making is removed first. */
void *cli_new(int64_t n, int64_t size);
void *cli_resize(void *p, int64_t n, int64_t size); /* what is new is not zeroed */
char *cli_printf(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the caller frees */

double cli_seconds(void); /* since some fixed moment */
/* 12345678 as "12,345,678", 402653184 bytes as "384 MiB", 75 s as "1:15"; each result lives until
 * the eighth call after it. */
const char *cli_count(int64_t n);
const char *cli_bytes(int64_t n);
const char *cli_duration(double seconds);

/* ---- Progress ----------------------------------------------------------------------------- */

/* On a terminal a bar with rate, time left and memory; elsewhere one plain line each 30 s. */
typedef struct cli_progress {
    const char *unit; /* "requests" */
    char stage[80];
    double start, shown; /* seconds */
    int64_t first;       /* what was done when the stage began: a resumed run does not flatter its rate */
} cli_progress;

void cli_progress_show(cli_progress *p, const char *stage, int64_t done, int64_t total); /* total 0: not known */
void cli_progress_end(void); /* wipes the bar; every line of talk does so by itself */

/* ---- Tables --------------------------------------------------------------------------------- */

typedef struct cli_table {
    const char *align; /* a letter a column: 'l' or 'r' */
    char **cell;       /* [n_row, columns] */
    int64_t n, room;   /* cells */
} cli_table;

void cli_table_add(cli_table *t, const char *text); /* the next cell, row by row */
void cli_table_print(const cli_table *t, bool heading, FILE *stream); /* heading: the first row is one */
void cli_table_clear(cli_table *t);

/* ---- Ctrl+C --------------------------------------------------------------------------------- */

/* From here on the first Ctrl+C only asks (cli_interrupted becomes true), the second ends the
 * program. A command that does not call this is ended by the first. */
void cli_interrupt_catch(void);
bool cli_interrupted(void);
/* The one file in the making, which a second Ctrl+C removes; NULL: there is none any more. */
void cli_making(const char *path);

#endif
