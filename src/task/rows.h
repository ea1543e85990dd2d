/*
 * What the loaders of items share: rows of JSON Lines, names made into numbers, and the refusal
 * of an id that comes twice.
 *
 *     eh_lines r = eh_rows(text, path);
 *     while ((more = eh_lines_json(&r, &row, err)) > 0) {
 *         rc = eh_row_text(&r, row, "question", 1, &memory, &item.question, err);
 *         json_decref(row);
 *     }
 */
#ifndef EH_TASK_ROWS_H
#define EH_TASK_ROWS_H

#include <jansson.h>
#include <stdint.h>

#include "base/lines.h"
#include "base/mem.h"

#define EH_ROW_MAX (256 << 10)              /* bytes of one line */
#define EH_ITEMS_FILE_MAX ((int64_t)256 << 20) /* bytes of one file, unpacked */

/* The lines of a file of items: blank ones passed over, the others bounded. Text and name are borrowed. */
eh_lines eh_rows(eh_str text, const char *file);

/* A string field of a row, copied into memory. Shorter than `least` bytes or missing: EH_EFORMAT. */
int eh_row_text(const eh_lines *r, const json_t *row, const char *key, int64_t least, eh_arena *memory, eh_str *out,
                eh_err *err);
/* A string copied into memory. */
int eh_text_keep(eh_arena *memory, eh_str s, eh_str *out, eh_err *err);

/* Numbers the distinct keys 0, 1, .. in byte order: index[i] is the number of key[i], names[k] the
 * k-th key as a C string in memory (a NUL inside a key ends it there). */
int eh_names_number(const eh_str *key, int64_t n, eh_arena *memory, int32_t *index, const char ***names,
                    int64_t *n_name, eh_err *err);

/* The ids of a file's rows, with the lines they stand on. */
typedef struct eh_row_ids {
    eh_str *id;    /* [n], borrowed */
    int64_t *line; /* [n] */
    int64_t n, room, line_room;
} eh_row_ids;

int eh_row_ids_add(eh_row_ids *ids, eh_str id, int64_t line, eh_err *err);
/* EH_EFORMAT when two ids are equal; the message gives both lines. */
int eh_row_ids_unique(const eh_row_ids *ids, const char *where, eh_err *err);
void eh_row_ids_clear(eh_row_ids *ids);

/* list, with room for more than n things of `size` bytes: as it is, or moved to twice the room.
 * NULL when memory is short; then the old one still stands. */
void *eh_list_grow(void *list, int64_t n, int64_t *room, int64_t size, eh_err *err);

/* Byte order; <0, 0, >0. */
int eh_str_order(eh_str a, eh_str b);

#endif
