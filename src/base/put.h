/*
 * Writing a study's JSON: objects put together field by field, and landed whole.
 *
 *     eh_buf b = {0};
 *     eh_buf_char(&b, '{');
 *     eh_put_text(&b, "task", "probes");
 *     eh_put_double(&b, "value", x);                 null unless finite
 *     eh_put_end(&b, "}\n");                         the last comma goes
 *     rc = eh_put_file(dir, "results.json", &b, err);
 */
#ifndef EH_BASE_PUT_H
#define EH_BASE_PUT_H

#include "base/str.h"

void eh_put_key(eh_buf *b, const char *key);
void eh_put_text(eh_buf *b, const char *key, const char *text); /* NULL: null */
void eh_put_int(eh_buf *b, const char *key, int64_t x);
void eh_put_double(eh_buf *b, const char *key, double x);
void eh_put_bool(eh_buf *b, const char *key, bool x);
/* Ends an object or list: the comma after its last entry goes, with the end of its line. */
void eh_put_end(eh_buf *b, const char *close);

int eh_put_file(const char *dir, const char *name, const eh_buf *b, eh_err *err);

#endif
