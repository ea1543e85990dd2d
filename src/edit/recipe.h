/*
 * Recipes: which units an edit touches, and how, as a file (edit.json, docs/formats.md).
 *
 *     eh_recipe *r;
 *     rc = eh_recipe_read("edit.json", &r, err);
 *     rc = eh_recipe_apply(m, r, err);             in force in memory; eh_model_save writes it
 *     eh_recipe_close(r);
 *
 * The public half is in evenhand.h; this is the rest.
 */
#ifndef EH_EDIT_RECIPE_H
#define EH_EDIT_RECIPE_H

#include "base/str.h"
#include "model/session.h"

/* The same from text; `where` is what messages call it. */
int eh_recipe_parse(eh_str text, const char *where, eh_recipe **r, eh_err *err);
/* Appends a recipe: units as they are in force in m, or as given. more may be NULL. */
void eh_recipe_put(eh_buf *b, const eh_model *m, const eh_unit_edit *unit, int64_t n, const char *fingerprint,
                   const eh_recipe_more *more);

#endif
