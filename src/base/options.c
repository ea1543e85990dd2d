#include "base/options.h"

#include <string.h>

/* No struct of options is as large: what says so was never filled in. */
#define LARGEST 65536

void eh_options_init(void *o, size_t size, const void *initial, size_t own_size)
{
    if (size < sizeof size)
        return;
    memset(o, 0, size);
    memcpy(o, initial, size < own_size ? size : own_size);
    memcpy(o, &size, sizeof size);
}

int eh_options_take(void *own, size_t own_size, const void *given, const char *init, eh_err *err)
{
    size_t size;
    if (given == NULL)
        return EH_OK;
    memcpy(&size, given, sizeof size);
    if (size <= sizeof size || size > LARGEST)
        return eh_fail(err, EH_EINVAL, "options were not initialised: call %s first", init);
    const char *from = given;
    for (size_t i = own_size; i < size; i++)
        if (from[i] != 0)
            return eh_fail(err, EH_EINVAL, "the options of %s are made for a newer evenhand: something is set that "
                           "this one (%s) does not know", init, EH_VERSION);
    memcpy((char *)own + sizeof size, from + sizeof size, (size < own_size ? size : own_size) - sizeof size);
    return EH_OK;
}
