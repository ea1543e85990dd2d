/*
 * A folder that appears whole or not at all: its files are written beside it, then it is renamed.
 *
 *     static const char *const names[] = {"config.json", "model.safetensors", NULL};
 *     eh_outdir d = {0};
 *     rc = eh_outdir_open(&d, "plant", names, force, err);
 *     rc = eh_outdir_write(&d, "config.json", text, err);
 *     rc = eh_outdir_commit(&d, err);        plant/ is now there, and whole
 *   done:
 *     eh_outdir_drop(&d);                    a committed folder is left alone
 */
#ifndef EH_BASE_OUTDIR_H
#define EH_BASE_OUTDIR_H

#include "base/file.h"

typedef struct eh_outdir {
    const char *const *names; /* the files it may hold; NULL ends the list. Borrowed */
    char *path; /* where it will be */
    char *temp; /* where it is until then, beside it; NULL once committed */
} eh_outdir;

/*
 * Errors   EH_EINVAL  something is there already: without force anything, with force what is no folder
 *                     or holds a file that is none of `names` (it is somebody's, and stays)
 *          EH_EIO, EH_ENOENT, EH_ENOMEM
 */
int eh_outdir_open(eh_outdir *d, const char *path, const char *const *names, bool force, eh_err *err);
int eh_outdir_write(eh_outdir *d, const char *name, eh_str bytes, eh_err *err); /* name is one of the names */
int eh_outdir_commit(eh_outdir *d, eh_err *err);
void eh_outdir_drop(eh_outdir *d);

#endif
