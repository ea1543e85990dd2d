/*
 * What a model that evenhand wrote is known by: its folder, and what its files' metadata say.
 *
 *     rc = eh_saved_base(weights, &applied, base, err);
 *     if (applied) ... base is the fingerprint of the model before the edit
 */
#ifndef EH_EDIT_SAVED_H
#define EH_EDIT_SAVED_H

#include <stdbool.h>

#include "base/err.h"
#include "base/json.h"
#include "base/outdir.h"
#include "format/weights.h"

#define EH_KEY_BASE "evenhand.edit.base" /* metadata: the fingerprint of the model before */
#define EH_KEY_RECIPE "evenhand.edit.recipe"

/* What --force may replace where a model is written: a model's folder, or an adapter's. */
extern const eh_outdir_rule eh_model_folder;

/* Whether the weights were written by eh_session_save, and from which (by fingerprint). */
int eh_saved_base(const eh_weights *w, bool *applied, char base[65], eh_err *err);

/* The header of a safetensors file (the caller's to json_decref, also on failure), and "__metadata__" in it:
 * NULL where it has none. */
int eh_saved_metadata(const eh_weights *w, int file, json_t **root, json_t **metadata, eh_err *err);

#endif
