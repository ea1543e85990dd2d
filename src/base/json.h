/*
 * Reading JSON that comes from outside, on top of jansson: bounded, with errors that name the
 * file, the field, what was found and what was wanted.
 *
 *     json_t *root;
 *     rc = eh_json_file("config.json", 16 << 20, &root, err);
 *     rc = eh_json_int(root, "config.json", "hidden_size", 1, 1 << 20, &d, err);
 *     json_decref(root);
 */
#ifndef EH_BASE_JSON_H
#define EH_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Parses one JSON value. Duplicate keys, depth beyond 512 and bytes that are not UTF-8 are
 * errors; strings may hold NUL. `where` names the source in messages. */
int eh_json_parse(eh_str text, const char *where, json_t **root, eh_err *err);
int eh_json_file(const char *path, int64_t limit, json_t **root, eh_err *err);

/* Fields of an object. A missing or null field is EH_ENOENT, a wrong type or range EH_EFORMAT.
 * `low` and `high` are inclusive. `o` may be NULL, which has no fields; what is not an object is EH_EFORMAT. */
int eh_json_int(const json_t *o, const char *where, const char *key, int64_t low, int64_t high, int64_t *out,
                eh_err *err);
int eh_json_real(const json_t *o, const char *where, const char *key, double low, double high, double *out,
                 eh_err *err);
int eh_json_bool(const json_t *o, const char *where, const char *key, bool *out, eh_err *err);
int eh_json_str(const json_t *o, const char *where, const char *key, eh_str *out, eh_err *err); /* borrowed */

/* Same, but a missing or null field leaves *out as it was and is no error. */
int eh_json_int_or(const json_t *o, const char *where, const char *key, int64_t low, int64_t high, int64_t *out,
                   eh_err *err);
int eh_json_real_or(const json_t *o, const char *where, const char *key, double low, double high, double *out,
                    eh_err *err);
int eh_json_bool_or(const json_t *o, const char *where, const char *key, bool *out, eh_err *err);
int eh_json_str_or(const json_t *o, const char *where, const char *key, eh_str *out, eh_err *err);

eh_str eh_json_text(const json_t *string); /* borrowed bytes of a JSON string */
const char *eh_json_type(const json_t *v); /* "a string", "an object", ... */

#endif
