/*
 * What a model is: the numbers of its shape, read from config.json or GGUF metadata by its family's row (arch/arch.h),
 * and what follows from them: which weights it has, how large, how they are called and laid out.
 *
 *     eh_config c;
 *     rc = eh_config_read(weights, &arena, &c, err);
 *     if (eh_config_has(&c, EH_SLOT_GATE)) {
 *         eh_filed f;
 *         eh_config_filed(&c, EH_SLOT_GATE, layer, false, &f);       f.name: "model.layers.3.mlp.gate_proj.weight"
 */
#ifndef EH_ARCH_CONFIG_H
#define EH_ARCH_CONFIG_H

#include "arch/arch.h"
#include "base/err.h"
#include "base/mem.h"
#include "format/weights.h"

#define EH_ROPE_FACTORS_NAME "rope_freqs.weight" /* a GGUF's tensor, whatever the family */

/* Reads and checks it; what it points to is the arena's. Errors name the file and the field, what was found and what
 * was wanted. */
int eh_config_read(const eh_weights *w, eh_arena *arena, eh_config *c, eh_err *err);
/* As a model of this family, whatever the files say that they are. */
int eh_config_read_as(const eh_weights *w, const eh_arch *a, eh_arena *arena, eh_config *c, eh_err *err);

/* ---- What is stored (slots.c) --------------------------------------------------------------------- */

bool eh_config_has(const eh_config *c, eh_slot slot);      /* a weight for it; a tied head has none */
bool eh_config_has_bias(const eh_config *c, eh_slot slot); /* and a bias beside it */
/* A weight is [rows, cols]; a norm's rows are 0. */
int64_t eh_slot_rows(const eh_config *c, eh_slot slot);
int64_t eh_slot_cols(const eh_config *c, eh_slot slot);

/* A layer's projections, in order: the parts of its linears. A plain MLP has no gate. */
typedef struct eh_projection {
    eh_slot slot;
    eh_linear_role role;
} eh_projection;
#define EH_N_PROJECTION 7
extern const eh_projection eh_projections[EH_N_PROJECTION];

#define EH_TENSOR_NAME 200

/* Where a weight or bias lies in its files. */
typedef struct eh_filed {
    char name[EH_TENSOR_NAME];
    unsigned layout;      /* EH_LAYOUT_... */
    int64_t first, n_out; /* outputs first..first + n_out - 1 */
    int64_t n_whole;      /* of so many in the tensor of this name */
    int64_t n_in;         /* 0: a vector of n_whole numbers */
} eh_filed;
void eh_config_filed(const eh_config *c, eh_slot slot, int64_t layer, bool bias, eh_filed *f);

#endif
