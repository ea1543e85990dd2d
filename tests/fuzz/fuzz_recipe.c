/* Any bytes as a recipe: refused with a sentence, or units that are safe to use and that read back as written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edit/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
    if (!what)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const eh_model shape = {.config = {.d_head = 1}}; /* _put asks for the width of a mean alone */
    static const char fingerprint[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    eh_recipe *r = NULL, *again = NULL;
    eh_err err = {0};
    int64_t n, n_again;
    if (eh_recipe_parse((eh_str){(const char *)data, (int64_t)size}, "input", &r, &err) < 0) {
        must(r == NULL && err.text[0] != '\0');
        return 0;
    }
    const eh_unit_edit *u = eh_recipe_units(r, &n);
    must(n > 0);
    for (int64_t i = 0; i < n; i++) {
        must(u[i].layer >= 0 && u[i].index >= 0 && u[i].alpha >= 0.0 && u[i].alpha <= 1.0);
        must((u[i].mode == EH_EDIT_MEAN) == (u[i].mean != NULL));
        must(u[i].mean == NULL || isfinite(u[i].mean[0]));
    }
    eh_buf b = {0};
    eh_recipe_put(&b, &shape, u, n, fingerprint, NULL);
    must(eh_buf_check(&b, "again", &err) == EH_OK);
    must(eh_recipe_parse(eh_buf_get(&b), "again", &again, &err) == EH_OK);
    const eh_unit_edit *v = eh_recipe_units(again, &n_again);
    must(n == n_again);
    for (int64_t i = 0; i < n; i++)
        must(u[i].kind == v[i].kind && u[i].layer == v[i].layer && u[i].index == v[i].index && u[i].mode == v[i].mode &&
             u[i].alpha == v[i].alpha);
    eh_recipe_close(r);
    eh_recipe_close(again);
    eh_buf_clear(&b);
    return 0;
}
