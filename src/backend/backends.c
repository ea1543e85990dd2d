/* The backends of this build, the best first; the last runs everywhere. A new one is a file and a row here. */
#include <stdio.h>
#include <string.h>

#include "backend/backend.h"

extern const eh_backend_kind eh_backend_onednn, eh_backend_reference;

static const eh_backend_kind *const rows[] = {
#if EH_ONEDNN
    &eh_backend_onednn,
#endif
    &eh_backend_reference,
};

#define N_ROW ((int)(sizeof rows / sizeof *rows))

const eh_backend_kind *eh_backend_row(int i)
{
    return i >= 0 && i < N_ROW ? rows[i] : NULL;
}

/* "onednn, reference" */
static void list_names(char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < N_ROW && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", i > 0 ? ", " : "", rows[i]->name);
}

int eh_backend_find(const char *name, const eh_backend_kind **kind, eh_err *err)
{
    for (int i = 0; i < N_ROW; i++) {
        if (name != NULL && strcmp(name, rows[i]->name) != 0)
            continue;
        if (rows[i]->available()) {
            *kind = rows[i];
            return EH_OK;
        }
        if (name != NULL)
            return eh_fail(err, EH_ENOSUP, "product backend \"%s\" (%s) does not run on this machine", name,
                           rows[i]->words);
    }
    char names[200];
    list_names(names, sizeof names);
    return eh_fail(err, EH_EINVAL, "product backend \"%.100s\" is not in this build, which has: %s",
                   name != NULL ? name : "", names);
}
