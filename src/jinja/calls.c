/* How rows are found and called. */
#include "jinja/builtin.h"

const eh_jinja_row *eh_jinja_find_row(const eh_jinja_row *row, int64_t n, eh_str name)
{
    for (int64_t k = 0; k < n; k++)
        if (eh_str_eq(name, eh_str_of(row[k].name)))
            return &row[k];
    return NULL;
}

/* Puts each argument into the place of its parameter. */
static int bind(eh_jinja *c, int64_t at, const char *what, const eh_jinja_row *row, const eh_jinja_args *args,
                eh_jv *slot[EH_JINJA_PARAMS])
{
    int n_param = 0;
    while (n_param < EH_JINJA_PARAMS && row->param[n_param] != NULL)
        n_param++;
    if (args->n > n_param)
        return eh_jinja_fail(c, EH_ENOSUP, at, "%s '%s' with %lld arguments is not supported, at most %d are", what,
                             row->name, (long long)args->n, n_param);
    for (int64_t k = 0; k < args->n; k++)
        slot[k] = &args->v[k];
    for (int64_t k = 0; k < args->n_key; k++) {
        int i = 0;
        while (i < n_param && !eh_str_eq(args->key[k], eh_str_of(row->param[i])))
            i++;
        if (i == n_param)
            return eh_jinja_fail(c, EH_ENOSUP, at, "%s '%s' with the argument '%.*s' is not supported", what, row->name,
                                 (int)args->key[k].n, args->key[k].p);
        if (slot[i] != NULL)
            return eh_jinja_fail(c, EH_EFORMAT, at, "%s '%s' is given '%s' twice", what, row->name, row->param[i]);
        slot[i] = &args->val[k];
    }
    for (int i = 0; i < row->least; i++)
        if (slot[i] == NULL)
            return eh_jinja_fail(c, EH_EFORMAT, at, "%s '%s' wants its argument '%s'", what, row->name, row->param[i]);
    return EH_OK;
}

int eh_jinja_call_row(eh_jinja *c, int64_t at, const char *what, const eh_jinja_row *row, eh_jv self,
                      const eh_jinja_args *args, eh_jv *out)
{
    if (row->any != NULL)
        return row->any(c, at, self, args, out);
    if (row->fn == NULL)
        return eh_jinja_fail(c, EH_ENOSUP, at, "%s '%s' is not supported", what, row->name);
    eh_jv *slot[EH_JINJA_PARAMS] = {NULL};
    const int rc = bind(c, at, what, row, args, slot);
    return rc == EH_OK ? row->fn(c, at, self, slot, out) : rc;
}

int eh_jinja_want_str(eh_jinja *c, int64_t at, const eh_jv *v, eh_str *out)
{
    if (v == NULL)
        return EH_OK;
    if (v->kind != EH_JV_STR)
        return eh_jinja_fail(c, EH_EFORMAT, at, "%s given, a string wanted", eh_jv_type(v));
    *out = v->s;
    return EH_OK;
}

int eh_jinja_want_int(eh_jinja *c, int64_t at, const eh_jv *v, int64_t *out)
{
    if (v == NULL)
        return EH_OK;
    if (v->kind != EH_JV_INT && v->kind != EH_JV_BOOL)
        return eh_jinja_fail(c, EH_EFORMAT, at, "%s given, an integer wanted", eh_jv_type(v));
    *out = v->kind == EH_JV_BOOL ? v->b : v->i;
    return EH_OK;
}
