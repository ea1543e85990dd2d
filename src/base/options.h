/*
 * Options of callers that know fewer fields than this library, as many, or more (evenhand/core.h).
 *
 *     void eh_x_options_init(eh_x_options *o, size_t size)
 *     {
 *         const eh_x_options initial = {.limit = EH_ALL, .q = 0.05};
 *         eh_options_init(o, size, &initial, sizeof initial);
 *     }
 *
 *     eh_x_options own;
 *     eh_x_options_init(&own, sizeof own);
 *     rc = eh_options_take(&own, sizeof own, given, "eh_x_options_init", err);
 *
 * A new field is added at the end of its struct, never where an older one had padding.
 */
#ifndef EH_BASE_OPTIONS_H
#define EH_BASE_OPTIONS_H

#include <stddef.h>

#include "base/err.h"

/* What is at *o, `size` bytes of the caller's, becomes the initial options, cut or filled up with zeros, and tells its
 * size in its first field. A size that has no room for that field: nothing is done. */
void eh_options_init(void *o, size_t size, const void *initial, size_t own_size);

/*
 * Takes what the caller gave into *own, which holds the defaults; given NULL: these stay. own->size stays its own.
 * Errors: EH_EINVAL options that `init` never filled in, or with something set that this library does not know.
 */
int eh_options_take(void *own, size_t own_size, const void *given, const char *init, eh_err *err);

#endif
