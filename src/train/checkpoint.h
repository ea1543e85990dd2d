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

#include "train/params.h"

/* After a step, or before the first. NaN: not measured. */
typedef struct eh_tune_point {
    double loss;      /* nats per token, of this step's batch before the step */
    double tune_loss; /* of the held-out examples after it */
    double lr, grad_norm; /* before clipping */
} eh_tune_point;

typedef struct eh_tune_state {
    int64_t n_weight;     /* weights trained */
    int64_t step;         /* steps done */
    eh_tune_point *point; /* [step + 1] the curve; the first is before training */
    int64_t best_step;    /* of the lowest tune_loss; 0: before training */
    int64_t worse;        /* looks since then */
    bool finished;        /* by the last step or by patience */
} eh_tune_state;

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
