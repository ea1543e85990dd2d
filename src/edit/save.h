/*
 * Writing a model as it is in force: the parts that the room shares. The calls are in evenhand.h.
 *
 * Every file that an edit rewrites is told the same way, whatever its format: a head (all before the
 * tensors' data) of its own, then the source's data with the bytes of some tensors replaced, then what
 * is new. So going back is the old head, the replaced bytes, and the old length.
 */
#ifndef EH_EDIT_SAVE_H
#define EH_EDIT_SAVE_H

#include "base/file.h"
#include "base/hash.h"
#include "model/stored.h"

#define EH_UNDO_NAME "edit.undo"         /* in a folder; behind a GGUF file's name: ".undo" */
#define EH_KEY_BASE "evenhand.edit.base" /* metadata: the fingerprint of the model before */
#define EH_KEY_RECIPE "evenhand.edit.recipe"

/* Whether the weights were written by eh_model_save, and from which (by fingerprint). */
int eh_saved_base(const eh_weights *w, bool *applied, char base[65], eh_err *err);

/* ---- A folder in the making (place.c) ---------------------------------------------------------- */

typedef struct eh_place {
    char *path; /* where it will be */
    char *temp; /* beside it, until then */
} eh_place;

/* EH_EINVAL: something is at path, and not with force a model folder. */
int eh_place_open(eh_place *p, const char *path, bool force, eh_err *err);
/* Carries over every file of the folder `from`, links followed, but those that `skip` names (paths within it). */
int eh_place_copy(eh_place *p, const char *from, bool (*skip)(void *ctx, const char *name), void *ctx, eh_err *err);
int eh_place_commit(eh_place *p, eh_err *err);
void eh_place_drop(eh_place *p);
/* Nothing is at this file's path, or force says it may go. */
int eh_place_free_file(const char *path, bool force, eh_err *err);

/* ---- Going back (undo.c) ------------------------------------------------------------------------ */

typedef struct eh_undo_range {
    int64_t offset, n; /* bytes of the original that the edit replaced */
} eh_undo_range;

typedef struct eh_undo_file {
    const char *name;     /* in the folder; "model" for a GGUF */
    eh_str original;      /* its bytes */
    int64_t head;         /* of the original: kept whole */
    int64_t edited_head;  /* of the edited file: where the data begin that both share */
    char edited[65];      /* SHA-256 of the edited file */
    eh_undo_range *range; /* [n_range] behind the head, by offset */
    int64_t n_range;
} eh_undo_file;

int eh_undo_write(const char *path, const eh_undo_file *file, int64_t n, int64_t *n_byte, eh_err *err);

#endif
