/*
 * Writing a model as it is in force: the parts that the room shares. The calls are in evenhand.h.
 *
 * Every file that an edit rewrites is told the same way, whatever its format: a head (all before the
 * tensors' data) of its own, then the source's data with the bytes of some tensors replaced, then what
 * is new. So going back is the old head, the replaced bytes, and the old length.
 */
#ifndef EH_EDIT_SAVE_H
#define EH_EDIT_SAVE_H

#include "base/hash.h"
#include "edit/saved.h"
#include "model/stored.h"

#define EH_UNDO_NAME "edit.undo" /* in a folder; behind a GGUF file's name: ".undo" */

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
