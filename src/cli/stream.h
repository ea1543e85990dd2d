/*
 * What flows through the program: lines in, JSON out, files that appear whole or not at all.
 *
 *     cli_lines in = {0};
 *     cli_out out = {0};
 *     status = cli_lines_open(&in, "requests.jsonl");
 *     while ((status = cli_lines_json(&in, &line)) == CLI_DONE && line != NULL) ...
 *     status = cli_out_commit(&out);
 *   done:
 *     cli_out_drop(&out);
 *     cli_lines_close(&in);
 *
 * Functions return an exit status; where that is not CLI_DONE the person was told why.
 */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* ---- Lines in ----------------------------------------------------------------------------- */

#define CLI_LINE_LIMIT ((int64_t)256 << 20) /* bytes */
#define CLI_FILE_LIMIT ((int64_t)4 << 30)   /* bytes */

typedef struct cli_lines {
    FILE *stream;
    const char *name; /* as messages call it */
    int64_t number;   /* of the line last read, from 1 */
    char *text;       /* [n] the line without its newline, NUL-terminated */
    int64_t n, room;  /* bytes */
} cli_lines;

int cli_lines_open(cli_lines *l, const char *path); /* "-": standard input. path must outlive l */
/* The next line; *more is false at the end of the file. */
int cli_lines_next(cli_lines *l, bool *more);
/* The next line that is not blank, as a JSON object (the caller's to json_decref); NULL at the end. */
int cli_lines_json(cli_lines *l, json_t **object);
void cli_lines_close(cli_lines *l);
/* "evenhand: in.jsonl:3: sentence"; returns CLI_FAILED. */
int cli_lines_fail(const cli_lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Members of the line's object, borrowed from it. A member that is absent or of another kind is an error. */
int cli_get_text(const cli_lines *l, const json_t *object, const char *key, const char **text, int64_t *n);
/* An array of token ids in 0..n_vocab-1; *id is the caller's to free. */
int cli_get_ids(const cli_lines *l, const json_t *object, const char *key, int64_t n_vocab, int32_t **id, int64_t *n);
/* The line's own "id", or its number: a new reference. */
json_t *cli_get_id(const cli_lines *l, const json_t *object);

/* A whole file ("-": standard input); *text is the caller's to free and NUL-terminated. */
int cli_read_file(const char *path, char **text, int64_t *n);

/* ---- JSON out ----------------------------------------------------------------------------- */

void cli_put_text(FILE *f, const char *text, int64_t n); /* with quotes; bytes that are not UTF-8 become U+FFFD */
void cli_put_float(FILE *f, float x); /* the fewest digits that read back to x; null unless finite */
void cli_put_double(FILE *f, double x);
void cli_put_floats(FILE *f, const float *x, int64_t n);
void cli_put_ids(FILE *f, const int32_t *id, int64_t n);
void cli_put_json(FILE *f, const json_t *value); /* any value, on one line */

/* ---- Files out ---------------------------------------------------------------------------- */

typedef struct cli_out {
    FILE *stream;
    char *path, *temp; /* where it will be; where it is until then. NULL for standard output */
} cli_out;

int cli_out_open(cli_out *o, const char *path); /* NULL or "-": standard output */
int cli_out_check(cli_out *o);                  /* a full disk or a closed pipe is told now, not at the end */
int cli_out_commit(cli_out *o);                 /* flushes to the disk, then renames */
void cli_out_drop(cli_out *o);                  /* a committed file is left alone */

#endif
