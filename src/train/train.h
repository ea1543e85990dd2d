/*
 * Calibration: a short training that restores what an edit broke.
 *
 *     eh_tune_plan p = {.group = EH_TUNE_EDITED, .adamw = EH_ADAMW_DEFAULT, .steps = 100, .batch = 16, .clip = 1.0};
 *     const eh_tune_data d = {.example = request, .n_example = n};
 *     rc = eh_tune_train(m, NULL, &p, &d, &done, err);        the trained weights are in force
 *
 * An example is an eh_request: its tokens from `from` on are learnt, those before only read. A text is
 * one with from = 1. A step's loss, in nats per token:
 *
 *     (1 - share) * mean of -log p over the examples' learnt tokens
 *         + share * mean of -log p over the texts' tokens
 *         + kl * mean of KL(reference || model) over the texts' tokens (without texts: the learnt tokens)
 *
 * Nothing depends on the number of threads. docs/methods/tune.md
 */
#ifndef EH_TRAIN_TRAIN_H
#define EH_TRAIN_TRAIN_H

#include "train/adamw.h"
#include "train/checkpoint.h"
#include "train/params.h"

typedef struct eh_tune_plan {
    eh_tune_group group;
    eh_adamw adamw;
    int64_t steps;         /* of the optimiser */
    int64_t warmup;        /* steps in which the learning rate grows to its full size */
    bool linear;           /* then it falls linearly towards 0 at the end; else it stays */
    int64_t batch;         /* examples in a step */
    int64_t text_batch;    /* texts in a step */
    double text_share;     /* their share of the loss, 0..1 */
    double kl;             /* weight of the KL term; 0: none */
    double clip;           /* the gradient's norm at most; 0: no limit */
    int64_t eval_every;    /* steps between looks at the held-out examples; 0: only before and after */
    int64_t patience;      /* looks in a row that find no improvement, then it stops at the best; 0: never */
    int64_t save_every;    /* steps between checkpoints; 0: only at the end */
    uint64_t seed;         /* of the order of examples */
    const char *dir;       /* gets tune.ckpt and tune.jsonl; NULL: nothing is written */
    bool force;            /* start over where dir holds another training's checkpoint */
    eh_progress *progress; /* may be NULL */
    void *progress_ctx;
} eh_tune_plan;

typedef struct eh_tune_data {
    const eh_request *example; /* [n_example] */
    int64_t n_example;
    const eh_request *text; /* [n_text] */
    int64_t n_text;
    const eh_request *held_out; /* [n_held_out] */
    int64_t n_held_out;
} eh_tune_data;

/*
 * eh_tune_train - the steps; trained weights are the model's own afterwards, the edits in force are part of them
 *
 * in   reference  for the KL term: another handle, whose weights do not change; may be NULL without one
 * out  state      its point is the caller's to eh_free; written on success only
 *
 * A training that was stopped resumes from dir's checkpoint, to the same bytes.
 * Errors   EH_EINVAL a plan that makes no sense, a checkpoint of another training; EH_ENUMERIC a loss or gradient that
 *          is not finite, with the step; EH_ESTOP on request, with a checkpoint written; EH_EIO, EH_ENOMEM. When a step
 *          was taken the weights are then those after the last whole step.
 */
int eh_tune_train(eh_session *s, eh_session *reference, const eh_tune_plan *p, const eh_tune_data *d,
                  eh_tune_state *state,
                  eh_err *err);

/* The step's learning rate, steps counting from 1: lr * step / warmup, then lr or
 * lr * (steps - step + 1) / (steps - warmup). */
double eh_tune_rate(const eh_tune_plan *p, int64_t step);

#endif
