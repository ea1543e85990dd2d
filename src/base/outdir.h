/*
 * A folder that appears whole or not at all: its files are written beside it, then it is renamed.
 *
 *     static const char *const names[] = {"config.json", "model.safetensors", NULL};
 *     static const eh_outdir_rule rule = {.names = names};
 *     eh_outdir d = {0};
 *     rc = eh_outdir_open(&d, "plant", &rule, force, err);
 *     rc = eh_outdir_write(&d, "config.json", text, err);
 *     rc = eh_outdir_commit(&d, err);        plant/ is now there, and whole
 *   done:
 *     eh_outdir_drop(&d);                    a committed folder is left alone
 */
#ifndef EH_BASE_OUTDIR_H
#define EH_BASE_OUTDIR_H

#include "base/file.h"

/* Which folder force may replace, for a slip in a path must not empty a home. One of the two, each ending with NULL: */
typedef struct eh_outdir_rule {
    const char *const *names; /* one that holds nothing but files of these names */
    const char *const *marks; /* one that holds a file of one of these names, */
    const char *kind;         /* which makes it a folder of this kind: "model" */
} eh_outdir_rule;

typedef struct eh_outdir {
    char *path; /* where it will be */
    char *temp; /* where it is until then, beside it: files may be written there. NULL once committed */
} eh_outdir;

/*
 * Errors   EH_EINVAL  something is there already: without force anything, with force what the rule does not let go,
 *                     or what is no folder. It stays as it is.
 *          EH_EIO, EH_ENOENT, EH_ENOMEM
 */
int eh_outdir_open(eh_outdir *d, const char *path, const eh_outdir_rule *rule, bool force, eh_err *err);
int eh_outdir_write(eh_outdir *d, const char *name, eh_str bytes, eh_err *err);
/* Carries over every file of the folder `from`, links followed, but those that `skip` names (paths within it). */
int eh_outdir_copy(eh_outdir *d, const char *from, bool (*skip)(void *ctx, const char *name), void *ctx, eh_err *err);
int eh_outdir_commit(eh_outdir *d, eh_err *err);
void eh_outdir_drop(eh_outdir *d); /* NULL is fine */

/* Of a file: nothing is at its path, or force says it may go. Else EH_EINVAL. */
int eh_outpath_check(const char *path, bool force, eh_err *err);

#endif
