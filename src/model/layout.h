/*
 * A weight as its file has it: plain, a slice of a tensor that several share, transposed, or with rows in another
 * order. What is read and written here is always [n_out, n_in] in Hugging Face order, whatever the file does.
 *
 *     eh_part p = {.t = t, .n_out = 64, .n_in = 32, .layout = EH_LAYOUT_TRANSPOSED};
 *     eh_part_rows(&p, 0, p.n_out, w);                       w [64, 32], t is [32, 64]
 *     eh_part_overlay(&p, 3, row, bytes);                    bytes of t's row 3, with numbers 0..63 of row in place
 */
#ifndef EH_MODEL_LAYOUT_H
#define EH_MODEL_LAYOUT_H

#include "arch/config.h"

typedef struct eh_part {
    const eh_tensor *t;   /* NULL: the file has none */
    unsigned layout;      /* EH_LAYOUT_... */
    int64_t first, n_out; /* its rows in t; transposed: its columns; of a vector (n_in 0): its numbers */
    int64_t n_in;
    int64_t d_head;       /* paired: rows that belong together */
} eh_part;

/* Where f lies; found by name, nothing checked. */
eh_part eh_part_find(const eh_weights *w, const eh_config *c, const eh_filed *f);
/* The tensor's shape is what f says, it holds weights, and they can be reached as they lie. */
int eh_part_check(const eh_part *p, const eh_filed *f, const char *where, eh_err *err);

/* Rows row..row+n-1 to f32: out [n, n_in]. Of a vector: numbers row..row+n-1. */
void eh_part_rows(const eh_part *p, int64_t row, int64_t n, float *out);
/* Row r (of a vector: number r) lies at this row of the part, and the other way round. */
int64_t eh_part_stored_row(const eh_part *p, int64_t r);
int64_t eh_part_row_at(const eh_part *p, int64_t at);

/* Rows of the tensor that hold something of the part: from..to-1. */
void eh_part_span(const eh_part *p, int64_t *from, int64_t *to);
/* Numbers of the part in one of them. */
int64_t eh_part_width(const eh_part *p);
/* `bytes`, a row of the tensor as stored, takes over the part's numbers x [eh_part_width] where they differ
 * (eh_dtype_update). */
void eh_part_overlay(const eh_part *p, const float *x, char *bytes);

#endif
