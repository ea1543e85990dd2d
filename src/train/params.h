/*
 * The weights that a training changes: chosen, given memory of their own, and held where they were edited.
 *
 *     eh_params p = {0};
 *     rc = eh_params_open(s, EH_TUNE_EDITED, &p, err);
 *     eh_params_zero(&p);
 *     rc = eh_backward(s, ..., &p.grads, err);             sums into p.grad
 *     norm = eh_params_norm(&p);                           of what is free to move
 *     ... each p.piece[i]: w [n], and g, moments at `at` ...
 *     eh_params_changed(&p);                               edited slices are put back, exactly
 *     eh_params_clear(&p);
 *
 * Opening makes the edits in force part of the model's own weights (eh_linear_own) and then holds
 * their slices: from then on eh_session_edits() is empty, so that no edit can be applied twice, and
 * s->trained stands for them in the fingerprint. Weights that are neither trained nor edited stay mapped.
 */
#ifndef EH_TRAIN_PARAMS_H
#define EH_TRAIN_PARAMS_H

#include "evenhand/study.h"
#include "model/backward.h"

#define EH_PARAM_PIECE 65536 /* weights of a piece at most: a work item */

typedef struct eh_param_piece {
    float *w;
    int64_t n, at; /* its gradient is grad[at .. at + n - 1] */
} eh_param_piece;

/* A block that was edited: rows `stride` apart. */
typedef struct eh_hold {
    float *w, *g;
    int64_t n_row, n_col, stride;
    float *value; /* [n_row, n_col] what is put back */
} eh_hold;

typedef struct eh_params {
    eh_session *s;
    eh_tune_group group;
    eh_param_piece *piece; /* [n_piece], in the order of the layers */
    int64_t n_piece;
    int64_t n_weight; /* of all pieces */
    float *grad;      /* [n_grad]; a linear that is trained in part has its whole gradient here */
    int64_t n_grad;
    eh_grads grads;   /* places in it */
    eh_linear **linear; /* [n_linear] with weights that change */
    int64_t n_linear;
    eh_hold *hold; /* [n_hold] */
    int64_t n_hold;
    float *held;
    double *part; /* [n_piece] sums of squares */
} eh_params;

/* Errors: EH_EINVAL nothing to train (no edits in force); EH_ENOSUP a model opened in bf16; EH_ENOMEM. The model is
 * then as it was, but for own copies of the embedding and of norms. */
int eh_params_open(eh_session *s, eh_tune_group group, eh_params *p, eh_err *err);
void eh_params_clear(eh_params *p); /* the weights stay in the model */
void eh_params_zero(eh_params *p);  /* gradients */
/* The gradient's L2 norm over all pieces; that of edited slices is set to 0 first. */
double eh_params_norm(eh_params *p);
void eh_params_changed(eh_params *p);
/* Adds all pieces' bytes to a hash and sets s->trained. */
int eh_params_sign(eh_params *p, eh_err *err);

#endif
