/*
 * Errors that are a sentence.
 *
 *     if (n > room)
 *         return eh_fail(err, EH_EFORMAT, "%s: %lld bytes promised, %lld left", path, n, room);
 *
 * A function that can fail returns EH_OK (0) or a negative code, takes `eh_err *err` last, and
 * leaves its outputs alone when it fails. `err` may be NULL: the code is returned all the same.
 */
#ifndef EH_BASE_ERR_H
#define EH_BASE_ERR_H

#include "evenhand.h"

/* Fills *err (when not NULL) and returns code. A text too long for err ends in "...". */
int eh_fail(eh_err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before a sentence that is already there; returns err's code. */
int eh_fail_in(eh_err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
