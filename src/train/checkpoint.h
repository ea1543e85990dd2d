/*
 * A training on the disk: everything that the next step depends on, in one file that is whole or not there.
 *
 *     rc = eh_checkpoint_write(path, what, &params, &moments, &state, err);
 *     rc = eh_checkpoint_read(path, what, &params, &moments, &state, &found, err);
 *
 * "EVHTUNE1", the length of the header (int64, little-endian as all numbers), the header (JSON: `what` the training
 * is, and its state), then f32: weights, first and second moments, and the best weights so far where they are kept;
 * at the end the SHA-256 of all that, 64 hexadecimal digits. docs/formats.md
 */
#ifndef EH_TRAIN_CHECKPOINT_H
#define EH_TRAIN_CHECKPOINT_H

#include "train/train.h"

typedef struct eh_moments {
    float *m, *v; /* [n_grad], laid out as the gradients */
    float *best;  /* [n_grad] weights of the best step; NULL: not kept */
} eh_moments;

/* `what` is a JSON object with everything that the training's numbers depend on. */
int eh_checkpoint_write(const char *path, eh_str what, const eh_params *p, const eh_moments *a, const eh_tune_state *s,
                        eh_err *err);
/* Puts weights, moments and state in place; *found is false, and nothing done, where there is no file. Errors:
 * EH_EINVAL a checkpoint of something else than `what`, with the first field that differs; EH_EFORMAT one that is
 * damaged. */
int eh_checkpoint_read(const char *path, eh_str what, eh_params *p, eh_moments *a, eh_tune_state *s, bool *found,
                       eh_err *err);

#endif
