#include "edit/recipe.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/options.h"
#include "edit/saved.h"

#define RECIPE_MAX ((int64_t)256 << 20) /* bytes */
#define UNITS_MAX ((int64_t)1 << 24)
#define MANY ((int64_t)1 << 31)

struct eh_recipe {
    eh_arena arena;
    const char *where;
    const char *model;  /* fingerprint of the model it is for; NULL: any */
    eh_unit_edit *unit; /* [n] */
    int64_t *n_mean;    /* [n] numbers in unit[i].mean */
    int64_t n;
};

static int word(const json_t *o, const char *where, const char *key, eh_choice_kind kind, int *out, eh_err *err)
{
    int n_word;
    const eh_choice *c = eh_choices(kind, &n_word);
    eh_str found;
    const int rc = eh_json_str(o, where, key, &found, err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n_word; i++)
        if (eh_str_eq(found, eh_str_of(c[i].name))) {
            *out = c[i].value;
            return EH_OK;
        }
    eh_buf list = {0};
    for (int i = 0; i < n_word; i++)
        eh_buf_printf(&list, "%s\"%s\"", i == 0 ? "" : i + 1 == n_word ? " or " : ", ", c[i].name);
    const int code = eh_fail(err, EH_EFORMAT, "%s: \"%s\" is \"%.40s\", wanted %s", where, key, found.p,
                             list.p != NULL ? list.p : "another word");
    eh_buf_clear(&list);
    return code;
}

/* Keys beyond `known` are refused by name. */
static int only(const json_t *o, const char *where, const char *const *known, int n_known, eh_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        bool good = false;
        for (int i = 0; i < n_known; i++)
            good = good || strcmp(key, known[i]) == 0;
        if (!good)
            return eh_fail(err, EH_EFORMAT, "%s: \"%.100s\" is not a field of a recipe", where, key);
    }
    return EH_OK;
}

static int read_mean(eh_recipe *r, const json_t *v, const char *where, int64_t i, eh_err *err)
{
    if (!json_is_array(v) || json_array_size(v) == 0)
        return eh_fail(err, EH_EFORMAT, "%s: \"mean\" is %s, wanted an array of numbers", where,
                       json_is_array(v) ? "empty" : eh_json_type(v));
    const int64_t n = (int64_t)json_array_size(v);
    float *mean = eh_new_raw(&r->arena, float, n);
    if (mean == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for %lld numbers", where, (long long)n);
    for (int64_t k = 0; k < n; k++) {
        const json_t *x = json_array_get(v, (size_t)k);
        const double value = json_is_number(x) ? json_number_value(x) : 0.0;
        if (!json_is_number(x) || !(value >= -1e30 && value <= 1e30))
            return eh_fail(err, EH_EFORMAT, "%s: \"mean\"[%lld] is %s, wanted a number below 1e30", where,
                           (long long)k, json_is_number(x) ? "too large" : eh_json_type(x));
        mean[k] = (float)value;
    }
    r->unit[i].mean = mean;
    r->n_mean[i] = n;
    return EH_OK;
}

static int read_unit(eh_recipe *r, const json_t *o, int64_t i, eh_err *err)
{
    static const char *const known[] = {"kind", "layer", "index", "mode", "alpha", "mean"};
    eh_unit_edit *u = &r->unit[i];
    char where[600];
    int kind = 0, mode = 0, rc;
    snprintf(where, sizeof where, "%.500s: units[%lld]", r->where, (long long)i);
    if (!json_is_object(o))
        return eh_fail(err, EH_EFORMAT, "%s: is %s, wanted an object", where, eh_json_type(o));
    if ((rc = only(o, where, known, 6, err)) < 0 || (rc = word(o, where, "kind", EH_CHOICE_UNIT, &kind, err)) < 0 ||
        (rc = word(o, where, "mode", EH_CHOICE_EDIT_MODE, &mode, err)) < 0 ||
        (rc = eh_json_int(o, where, "layer", 0, MANY, &u->layer, err)) < 0 ||
        (rc = eh_json_int(o, where, "index", 0, MANY, &u->index, err)) < 0)
        return rc;
    u->kind = (eh_unit_kind)kind;
    u->mode = (eh_edit_mode)mode;
    u->alpha = 1.0;
    const bool graded = u->mode == EH_EDIT_SOFT || u->mode == EH_EDIT_OUTPUT;
    rc = (graded ? eh_json_real : eh_json_real_or)(o, where, "alpha", 0.0, 1.0, &u->alpha, err);
    if (rc < 0)
        return rc;
    const json_t *mean = json_object_get(o, "mean");
    if (u->mode == EH_EDIT_MEAN && mean == NULL)
        return eh_fail(err, EH_EINVAL,
                       "%s: mode \"mean\" wants \"mean\", the unit's mean output; `evenhand locate` and `evenhand run` "
                       "compute it",
                       where);
    if (u->mode != EH_EDIT_MEAN && mean != NULL)
        return eh_fail(err, EH_EFORMAT, "%s: \"mean\" belongs to mode \"mean\", not to \"%s\"", where,
                       eh_choice_name(EH_CHOICE_EDIT_MODE, mode));
    return mean != NULL ? read_mean(r, mean, where, i, err) : EH_OK;
}

static int read_recipe(eh_recipe *r, const json_t *o, eh_err *err)
{
    static const char *const known[] = {"version", "units", "model", "scores", "seed", "note"};
    int64_t version, seed = 0;
    eh_str model = {NULL, 0};
    int rc;
    if (!json_is_object(o))
        return eh_fail(err, EH_EFORMAT, "%s: is %s, wanted an object: {\"version\": 1, \"units\": [...]}", r->where,
                       eh_json_type(o));
    if ((rc = only(o, r->where, known, 6, err)) < 0 ||
        (rc = eh_json_int(o, r->where, "version", 1, 1, &version, err)) < 0 ||
        (rc = eh_json_str_or(o, r->where, "model", &model, err)) < 0 ||
        (rc = eh_json_int_or(o, r->where, "seed", 0, INT64_MAX, &seed, err)) < 0)
        return rc;
    if (model.p != NULL) {
        if (model.n != 64 || strspn(model.p, "0123456789abcdef") != 64)
            return eh_fail(err, EH_EFORMAT,
                           "%s: \"model\" is \"%.80s\", wanted a fingerprint of 64 hexadecimal digits, as `evenhand "
                           "inspect` shows it",
                           r->where, model.p);
        r->model = eh_arena_text(&r->arena, model.p, model.n);
        if (r->model == NULL)
            return eh_fail(err, EH_ENOMEM, "%s: no memory for a fingerprint", r->where);
    }
    const json_t *units = json_object_get(o, "units");
    if (!json_is_array(units))
        return eh_fail(err, EH_EFORMAT, "%s: \"units\" is %s, wanted an array", r->where,
                       units == NULL ? "missing" : eh_json_type(units));
    const int64_t n = (int64_t)json_array_size(units);
    if (n < 1 || n > UNITS_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: \"units\" holds %lld, wanted 1 to %lld", r->where, (long long)n,
                       (long long)UNITS_MAX);
    r->unit = eh_new(&r->arena, eh_unit_edit, n);
    r->n_mean = eh_new(&r->arena, int64_t, n);
    if (r->unit == NULL || r->n_mean == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for %lld units", r->where, (long long)n);
    for (int64_t i = 0; i < n; i++)
        if ((rc = read_unit(r, json_array_get(units, (size_t)i), i, err)) < 0)
            return rc;
    r->n = n;
    return EH_OK;
}

int eh_recipe_parse(eh_str text, const char *where, eh_recipe **out, eh_err *err)
{
    json_t *root = NULL;
    eh_recipe *r = eh_calloc(1, (int64_t)sizeof *r);
    if (r == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a recipe");
    r->where = eh_arena_text(&r->arena, where, (int64_t)strlen(where));
    int rc = r->where != NULL ? eh_json_parse(text, where, &root, err)
                              : eh_fail(err, EH_ENOMEM, "no memory for the path %s", where);
    if (rc == EH_OK)
        rc = read_recipe(r, root, err);
    json_decref(root);
    if (rc < 0)
        eh_recipe_close(r);
    else
        *out = r;
    return rc;
}

int eh_recipe_read(const char *path, eh_recipe **out, eh_err *err)
{
    eh_buf text = {0};
    int rc = eh_file_read(path, RECIPE_MAX, &text, err);
    if (rc == EH_OK)
        rc = eh_recipe_parse(eh_buf_get(&text), path, out, err);
    eh_buf_clear(&text);
    return rc;
}

void eh_recipe_close(eh_recipe *r)
{
    if (r == NULL)
        return;
    eh_arena_clear(&r->arena);
    eh_free(r);
}

const eh_unit_edit *eh_recipe_units(const eh_recipe *r, int64_t *n)
{
    *n = r->n;
    return r->unit;
}

int eh_recipe_apply(eh_session *s, const eh_recipe *r, eh_err *err)
{
    char base[65], now[65];
    bool applied;
    int rc = eh_saved_base(s->m->weights, &applied, base, err);
    if (rc < 0)
        return rc;
    if (applied)
        return eh_fail(err, EH_EINVAL,
                       "%s: a recipe was applied already (to the model %.12s...); go back with `evenhand edit MODEL "
                       "--undo -o ORIGINAL`, then apply the new one",
                       s->m->path, base);
    if (r->model != NULL) {
        rc = eh_weights_fingerprint(s->m->weights, now, err);
        if (rc < 0)
            return rc;
        if (strcmp(now, r->model) != 0)
            return eh_fail(err, EH_EINVAL,
                           "%s: is for another model: its fingerprint is %.12s..., that of %s is %.12s...", r->where,
                           r->model, s->m->path, now);
    }
    for (int64_t i = 0; i < r->n; i++) {
        const bool head = r->unit[i].kind == EH_UNIT_HEAD;
        const int64_t wanted = head ? s->m->config.d_head : 1;
        if (r->unit[i].mean != NULL && r->n_mean[i] != wanted)
            return eh_fail(err, EH_EINVAL, "%s: units[%lld]: \"mean\" holds %lld numbers, a %s of this model has %lld",
                           r->where, (long long)i, (long long)r->n_mean[i], 
                           eh_choice_name(EH_CHOICE_UNIT, (int)r->unit[i].kind), (long long)wanted);
    }
    rc = eh_session_edit(s, r->unit, r->n, err);
    return rc < 0 ? eh_fail_in(err, rc, "%s", r->where) : EH_OK;
}

void eh_recipe_put(eh_buf *b, const eh_model *m, const eh_unit_edit *unit, int64_t n, const char *fingerprint,
                   const eh_recipe_more *more)
{
    eh_jsonw *w = &(eh_jsonw){.b = b, .spaced = true, .lines = true, .margin = 1};
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_int(w, "version", 1);
    eh_jsonw_text(w, "model", fingerprint);
    eh_jsonw_begin(w, "units", '[');
    for (int64_t i = 0; i < n; i++) {
        const eh_unit_edit *u = &unit[i];
        eh_jsonw_line(w, 2);
        eh_jsonw_begin(w, NULL, '{');
        eh_jsonw_text(w, "kind", eh_choice_name(EH_CHOICE_UNIT, (int)u->kind));
        eh_jsonw_int(w, "layer", u->layer);
        eh_jsonw_int(w, "index", u->index);
        eh_jsonw_text(w, "mode", eh_choice_name(EH_CHOICE_EDIT_MODE, (int)u->mode));
        eh_jsonw_double(w, "alpha", u->alpha);
        if (u->mode == EH_EDIT_MEAN)
            eh_jsonw_floats(w, "mean", u->mean, u->kind == EH_UNIT_HEAD ? m->config.d_head : 1);
        eh_jsonw_end(w);
    }
    eh_jsonw_end_on_line(w, 1);
    if (more != NULL && more->seeded)
        eh_jsonw_int(w, "seed", more->seed);
    if (more != NULL && more->scores != NULL)
        eh_jsonw_raw(w, "scores", eh_str_of(more->scores));
    if (more != NULL && more->note != NULL)
        eh_jsonw_text(w, "note", more->note);
    eh_jsonw_finish(w);
}

void eh_recipe_more_init(eh_recipe_more *o, size_t size)
{
    const eh_recipe_more initial = {.scores = NULL};
    eh_options_init(o, size, &initial, sizeof initial);
}

int eh_recipe_write(const char *path, const eh_model *m, const eh_unit_edit *unit, int64_t n,
                    const eh_recipe_more *given, eh_err *err)
{
    char fingerprint[65];
    eh_buf b = {0};
    eh_recipe *again = NULL;
    eh_recipe_more more;
    eh_recipe_more_init(&more, sizeof more);
    int rc = eh_options_take(&more, sizeof more, given, "eh_recipe_more_init", err);
    if (rc == EH_OK)
        rc = eh_weights_fingerprint(m->weights, fingerprint, err);
    if (rc == EH_OK) {
        eh_recipe_put(&b, m, unit, n, fingerprint, &more);
        rc = eh_buf_check(&b, path, err);
    }
    if (rc == EH_OK) /* what cannot be read back is not written: more.scores is the caller's text */
        rc = eh_recipe_parse(eh_buf_get(&b), path, &again, err);
    if (rc == EH_OK)
        rc = eh_file_write(path, eh_buf_get(&b), err);
    eh_recipe_close(again);
    eh_buf_clear(&b);
    return rc;
}
