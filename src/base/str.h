/*
 * Slices and growing buffers.
 *
 * An eh_str is a pointer and a length into memory that somebody else owns; it may hold NUL.
 * An eh_buf grows up to a ceiling. It remembers the first failure, so a caller may append many
 * times and ask once:
 *
 *     eh_buf b = {.limit = 1 << 20};
 *     eh_buf_printf(&b, "%s: ", name);
 *     eh_buf_str(&b, line);
 *     if (eh_buf_check(&b, "the message", err) < 0) ...
 *     eh_buf_clear(&b);
 */
#ifndef EH_BASE_STR_H
#define EH_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct eh_str {
    const char *p;
    int64_t n; /* bytes */
} eh_str;

#define EH_STR(literal) ((eh_str){(literal), (int64_t)sizeof(literal) - 1})

eh_str eh_str_of(const char *s); /* NULL gives the empty slice */
bool eh_str_eq(eh_str a, eh_str b);
bool eh_str_starts(eh_str s, eh_str start);
bool eh_str_ends(eh_str s, eh_str end);

typedef struct eh_buf {
    char *p;       /* [n], NUL-terminated once anything was appended */
    int64_t n;     /* bytes */
    int64_t room;
    int64_t limit; /* ceiling in bytes; 0: EH_BUF_LIMIT */
    int fault;     /* 0, EH_ENOMEM or EH_ERANGE: the first failure */
} eh_buf;

#define EH_BUF_LIMIT ((int64_t)1 << 32)

void eh_buf_bytes(eh_buf *b, const void *p, int64_t n);
void eh_buf_str(eh_buf *b, eh_str s);
void eh_buf_char(eh_buf *b, char c);
void eh_buf_printf(eh_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A double with the fewest digits (up to 17) that read back to the same double; "null" unless finite. */
void eh_buf_double(eh_buf *b, double x);
/* A float, likewise (up to 9 digits, read back as float). */
void eh_buf_float(eh_buf *b, float x);
/* The slice as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void eh_buf_json(eh_buf *b, eh_str s);

int eh_buf_check(const eh_buf *b, const char *what, eh_err *err);
/* Appends a sentence for the reader of a result, a line of its own. */
int eh_buf_note(eh_buf *b, eh_err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
void eh_buf_reset(eh_buf *b); /* empties it and forgets the failure; keeps the memory */
void eh_buf_clear(eh_buf *b); /* gives the memory back */
eh_str eh_buf_get(const eh_buf *b);

/*
 * UTF-8, by utf8proc: nothing else in the library takes it apart or puts it together. A NUL is a
 * character like any other, and ends nothing.
 *
 * eh_utf8_next gives the length (1..4) of the character at s.p[at], or 0 where the bytes there are
 * not one (a stray or missing continuation, overlong, surrogate, beyond U+10FFFF, cut off by the end
 * of s) or `at` is outside of s. *code, when not NULL, gets the code point, and is left alone on 0.
 * eh_utf8_put writes the code point (0 to 0x10FFFF) to out and gives its length (1..4).
 */
int eh_utf8_next(eh_str s, int64_t at, int32_t *code);
int eh_utf8_put(int32_t code, char out[4]);
/* White space as Python's str.isspace has it. */
bool eh_is_space(int32_t code);

#endif
