/*
 * evenhand/edit.h - heads and neurons turned down: in a session, as a recipe, as files (bands 2 and 3)
 *
 *     rc = eh_recipe_read("edit.json", &recipe, &err);
 *     rc = eh_recipe_apply(s, recipe, &err);              in force in this session
 *     rc = eh_session_save(s, "edited", false, NULL, &err);
 *     eh_recipe_close(recipe);
 */
#ifndef EVENHAND_EDIT_H
#define EVENHAND_EDIT_H

#include "evenhand/model.h"

/* ---- Units and edits ----------------------------------------------------------------------- */

typedef enum eh_unit_kind { EH_UNIT_HEAD, EH_UNIT_NEURON } eh_unit_kind;

typedef enum eh_edit_mode {
    EH_EDIT_SOFT,   /* head: Q rows times (1-a)^2, output columns times (1-a); neuron: output only */
    EH_EDIT_OUTPUT, /* output columns times (1-a) */
    EH_EDIT_ZERO,   /* head: output columns 0; neuron: its rows and its column 0 */
    EH_EDIT_MEAN    /* zero, and the mean output goes into the bias of the output projection */
} eh_edit_mode;

typedef struct eh_unit_edit {
    eh_unit_kind kind;
    int64_t layer, index; /* index: query head, or neuron of the MLP */
    eh_edit_mode mode;
    double alpha;         /* 0 leaves the unit alone, 1 ablates it; ZERO and MEAN: 1 */
    const float *mean;    /* EH_EDIT_MEAN: the unit's mean output, [d_head] of a head, [1] of a neuron */
} eh_unit_edit;

/*
 * eh_session_edit - the edits in force from now on, in memory, in place of those before; n = 0: none
 *
 * Source   docs/methods/edits.md (soft pruning for any grouping of query and key/value heads). With
 *          query/key norms the Q part of EH_EDIT_SOFT would be undone by the norm and is left out.
 * Errors   EH_ERANGE a unit the model does not have, alpha outside 0..1 or NaN; EH_EINVAL one unit
 *          named twice, a mean that is not given; EH_ENOMEM. Then the edits before stay in force.
 * Cost     the touched linears are packed anew when next used.
 */
EH_API int eh_session_edit(eh_session *s, const eh_unit_edit *edit, int64_t n, eh_err *err);
EH_API const eh_unit_edit *eh_session_edits(const eh_session *s, int64_t *n); /* those in force */

/* ---- Recipes and edited models ------------------------------------------------------------- */

typedef struct eh_recipe eh_recipe;

/* A recipe as written by hand or by eh_recipe_write (edit.json, docs/formats.md). Errors name file, unit,
 * field, what was found and wanted. */
EH_API int eh_recipe_read(const char *path, eh_recipe **recipe, eh_err *err);
EH_API void eh_recipe_close(eh_recipe *recipe); /* NULL is fine */
EH_API const eh_unit_edit *eh_recipe_units(const eh_recipe *recipe, int64_t *n); /* borrowed */
/* In force in memory from now on, in place of edits before. EH_EINVAL: the recipe names another model,
 * or the model is already the product of one; else as eh_session_edit. */
EH_API int eh_recipe_apply(eh_session *s, const eh_recipe *recipe, eh_err *err);

typedef struct eh_recipe_more { /* what a recipe may say beside its units; all may be NULL */
    size_t size;        /* by eh_recipe_more_init */
    const char *scores; /* JSON: where the choice came from */
    const char *note;
    int64_t seed;
    bool seeded; /* there is a seed */
} eh_recipe_more;
EH_API void eh_recipe_more_init(eh_recipe_more *o, size_t size);
EH_API int eh_recipe_write(const char *path, const eh_model *m, const eh_unit_edit *unit, int64_t n,
                           const eh_recipe_more *more, eh_err *err); /* more may be NULL */

typedef struct eh_saved {
    int64_t n_tensor;  /* of the file */
    int64_t n_changed; /* of them rewritten */
    int64_t n_new;     /* added: biases that hold mean outputs */
    int64_t n_byte;    /* of the weight files written */
    int64_t n_undo;    /* bytes that going back takes */
} eh_saved;

/*
 * eh_session_save - the model as it is in force, as a model of its own
 *
 * in   out    a folder where the model is one, a GGUF file where it is one; force replaces a model that is there
 * out  saved  may be NULL
 *
 * Only what changed is written anew, in its own type; all else is carried over byte for byte. What is
 * needed to go back lies beside it (edit.undo; OUT.undo). It appears whole or not at all.
 * Errors   EH_EINVAL out is there already, or the model is the product of a recipe; EH_ENOSUP a mean output where
 *          the family takes no bias; EH_EIO the disk is full, the place cannot be written
 * Source   docs/methods/edits.md: what writing in the model's own type costs
 */
EH_API int eh_session_save(const eh_session *s, const char *out, bool force, eh_saved *saved, eh_err *err);

/* The bytes that were there before eh_session_save wrote `path`, at `out`; checked by SHA-256. */
EH_API int eh_model_undo(const char *path, const char *out, bool force, eh_err *err);

typedef struct eh_lora {
    int64_t n_module; /* linears with an adapter */
    int64_t rank;     /* the largest */
    int64_t n_byte;   /* of the adapter */
    double max_abs;   /* |W + BA - W'|, the largest over all numbers */
    double relative;  /* its Frobenius norm over that of W' - W */
} eh_lora;

#define EH_LORA_RANK 512 /* a rank limit for whoever has none in mind */

/*
 * eh_session_save_lora - what is in force minus what is stored, as a PEFT adapter in the folder `out`
 *
 * in   rank_limit  the largest rank an adapter may take: EH_LORA_RANK, or 1 and more
 * Errors   EH_ENOSUP a GGUF; a change that is no matrix of low rank (a bias, a norm); a rank above the limit
 */
EH_API int eh_session_save_lora(const eh_session *s, const char *out, int64_t rank_limit, bool force, eh_lora *lora,
                              eh_err *err);

typedef struct eh_tensor_difference {
    const char *name; /* in a */
    int64_t layer;    /* -1: none */
    int64_t n;        /* numbers */
    int64_t n_differ; /* of them unequal */
    double max_abs;
    double relative;    /* Frobenius norm of b - a over that of a; NaN where a is all zero and b is not */
    double equal_bytes; /* share; NaN where the types differ */
} eh_tensor_difference;

typedef struct eh_unit_difference { /* rows and columns that are a unit's alone */
    bool neuron; /* else a query head: its rows of Q, its columns of O */
    int64_t layer, index;
    double max_abs, relative;
} eh_unit_difference;

typedef struct eh_comparison {
    eh_tensor_difference *tensor; /* [n_tensor] in the order of the layers, all of them */
    int64_t n_tensor, n_tensor_differ;
    eh_unit_difference *unit; /* [n_unit] those that differ, by relative */
    int64_t n_unit;
    double max_abs, relative; /* over all tensors */
    double equal_bytes;       /* over all tensors of one type; NaN: there are none */
} eh_comparison;

/* Two models of one shape, in whatever formats and types. Errors: EH_EINVAL the shapes differ. */
EH_API int eh_compare(const eh_session *a, const eh_session *b, eh_comparison *c, eh_err *err);
EH_API void eh_comparison_clear(eh_comparison *c);

#endif
