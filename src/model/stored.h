/*
 * What stands for each stored tensor in a session, for writers and comparers:
 *
 *     for (int64_t i = 0; i < eh_n_stored(s->m); i++)
 *         if (eh_stored_at(s, i, &t))
 *             eh_stored_rows(s, &t, 0, t.n_row, out);       in force, Hugging Face order
 *
 * and the way back into a tensor's bytes, which several may share:
 *
 *     eh_stored_writer w;
 *     rc = eh_stored_writer_open(s, &t, &w, err);
 *     eh_stored_write(&w, row, n, bytes);                   rows row..row+n-1 of t.part.t
 *     eh_stored_writer_close(&w);
 */
#ifndef EH_MODEL_STORED_H
#define EH_MODEL_STORED_H

#include "model/session.h"

typedef struct eh_stored {
    eh_slot slot;
    bool bias;             /* of `slot`; a row of n_col numbers */
    int64_t layer;         /* -1: none */
    char name[EH_TENSOR_NAME]; /* as the model's format calls it */
    eh_part part;          /* as the file has it; part.t NULL: the file has none, an edit brought it */
    const eh_linear *l;    /* of a projection; rows first..first + n_row - 1 of it */
    eh_linear_role role;   /* of l */
    int64_t first;
    const float *vector;   /* of a bias or a norm, in force */
    int64_t n_row, n_col;
} eh_stored;

int64_t eh_n_stored(const eh_model *m);
bool eh_stored_at(const eh_session *s, int64_t i, eh_stored *t); /* false: there is no such tensor */
/* Rows row..row+n-1, in force and as they are in the file. */
void eh_stored_rows(const eh_session *s, const eh_stored *t, int64_t row, int64_t n, float *out);
void eh_stored_file_rows(const eh_stored *t, int64_t row, int64_t n, float *out);
/* Some stored number of it is not what is in force. Reads the rows that an edit or a training may have changed. */
int eh_stored_changed(const eh_session *s, const eh_stored *t, bool *changed, eh_err *err);

typedef struct eh_stored_writer {
    const eh_session *s;
    const eh_stored *t;
    float *row;   /* [threads, width] */
    float *whole; /* [n_row, n_col] of a transposed weight, else NULL */
} eh_stored_writer;

int eh_stored_writer_open(const eh_session *s, const eh_stored *t, eh_stored_writer *w, eh_err *err);
/* Brings `bytes`, rows row..row+n-1 of the file's tensor, up to what is in force. */
void eh_stored_write(const eh_stored_writer *w, int64_t row, int64_t n, char *bytes);
void eh_stored_writer_close(eh_stored_writer *w);

#endif
