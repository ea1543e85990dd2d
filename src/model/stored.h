/*
 * What stands for each stored tensor in a session, for writers and comparers:
 *
 *     for (int64_t i = 0; i < eh_n_stored(s->m); i++)
 *         if (eh_stored_at(s, i, &t))
 *             eh_stored_rows(s, &t, 0, t.n_row, out);       in force, Hugging Face order
 */
#ifndef EH_MODEL_STORED_H
#define EH_MODEL_STORED_H

#include "model/session.h"

typedef struct eh_stored {
    eh_slot slot;
    bool bias;             /* of the projection `slot`; a row of n_col numbers */
    int64_t layer;         /* -1: none */
    char name[EH_TENSOR_NAME]; /* as the model's format calls it */
    const eh_tensor *t;    /* NULL: the file has none; an edit brought it */
    const eh_linear *l;    /* of a projection; rows first..first + n_row - 1 of it */
    eh_linear_role role;   /* of l */
    int64_t first;
    bool unpermute;        /* the file has the rows in another order: eh_stored_row */
    const float *vector;   /* of a bias or a norm, in force */
    int64_t n_row, n_col;
} eh_stored;

int64_t eh_n_stored(const eh_model *m);
bool eh_stored_at(const eh_session *s, int64_t i, eh_stored *t); /* false: there is no such tensor */
void eh_stored_rows(const eh_session *s, const eh_stored *t, int64_t row, int64_t n, float *out);
/* The row (of a bias: the number) that lies at `at` in the file. */
int64_t eh_stored_row(const eh_session *s, const eh_stored *t, int64_t at);
/* Some stored number of it is not what is in force. Reads the rows that an edit or a training may have changed. */
int eh_stored_changed(const eh_session *s, const eh_stored *t, bool *changed, eh_err *err);

#endif
