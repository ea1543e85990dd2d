/* One rendering from end to end: the source, the variables, the tree, the text. */
#include "jinja/interpreter.h"

#include <string.h>

/* The template with its line ends made one and the last of them gone, as Jinja reads it. */
static int take_source(eh_jinja *c, eh_str tmpl)
{
    if (tmpl.n > EH_JINJA_TEMPLATE_MAX)
        return eh_fail(c->err, EH_ERANGE, "a %s of %lld bytes; at most %lld are read", c->what, (long long)tmpl.n,
                       (long long)EH_JINJA_TEMPLATE_MAX);
    char *p = eh_jinja_new(c, 0, tmpl.n + 1, 1);
    if (p == NULL)
        return c->err->code;
    int64_t n = 0;
    for (int64_t i = 0; i < tmpl.n; i++) {
        if (tmpl.p[i] == '\r' && i + 1 < tmpl.n && tmpl.p[i + 1] == '\n')
            continue;
        p[n++] = tmpl.p[i] == '\r' ? '\n' : tmpl.p[i];
    }
    if (n > 0 && p[n - 1] == '\n')
        n--;
    c->src = (eh_str){p, n};
    return EH_OK;
}

static int make_map(eh_jinja *c, const eh_jinja_map *map, eh_jv *out)
{
    eh_jv_dict *d = eh_jinja_new(c, 0, 1, (int64_t)sizeof *d);
    if (d == NULL)
        return c->err->code;
    int rc = EH_OK;
    for (int64_t k = 0; rc == EH_OK && k < map->n; k++) {
        const eh_jv key = eh_jv_str(map->pair[k].key), value = eh_jv_str(map->pair[k].value);
        rc = eh_jv_dict_set(c, 0, d, &key, &value);
    }
    *out = (eh_jv){.kind = EH_JV_DICT, .dict = d};
    return rc;
}

static int make_maps(eh_jinja *c, const eh_jinja_map *map, int64_t n, eh_jv *out)
{
    int rc = eh_jinja_seq(c, 0, EH_JV_LIST, n, out);
    for (int64_t k = 0; rc == EH_OK && k < n; k++)
        rc = make_map(c, &map[k], &out->seq->v[k]);
    return rc;
}

static int set_variable(eh_jinja *c, const eh_jinja_var *var)
{
    eh_jv value = eh_jv_none();
    int rc = EH_OK;
    switch (var->kind) {
    case EH_JINJA_NONE: break;
    case EH_JINJA_BOOL: value = eh_jv_bool(var->b); break;
    case EH_JINJA_STR: value = eh_jv_str(var->s); break;
    case EH_JINJA_MAPS: rc = make_maps(c, var->maps.v, var->maps.n, &value); break;
    case EH_JINJA_REFUSED: return EH_OK; /* met when nothing else has the name */
    }
    return rc == EH_OK ? eh_jinja_set(c, 0, var->name, value) : rc;
}

static int set_variables(eh_jinja *c, const eh_jinja_input *in)
{
    c->scope = eh_jinja_open_scope(c, 0, NULL);
    int rc = c->scope != NULL ? EH_OK : c->err->code;
    for (int64_t k = 0; rc == EH_OK && k < in->n_var; k++)
        rc = set_variable(c, &in->var[k]);
    return rc;
}

int eh_jinja_render(eh_str tmpl, const eh_jinja_input *in, eh_buf *out, eh_err *err)
{
    eh_err own = {0};
    eh_buf text = {.limit = EH_JINJA_OUTPUT_MAX};
    eh_jinja c = {
        .arena = {.limit = EH_JINJA_ARENA_MAX},
        .in = in,
        .what = in->what != NULL ? in->what : "template",
        .err = err != NULL ? err : &own,
        .out = &text,
    };
    eh_jinja_node *body;

    int rc = take_source(&c, tmpl);
    if (rc == EH_OK)
        rc = set_variables(&c, in);
    if (rc == EH_OK)
        rc = eh_jinja_parse(&c, &body);
    if (rc == EH_OK)
        rc = eh_jinja_run(&c, body);
    if (rc == EH_OK) {
        eh_buf_str(out, eh_buf_get(&text));
        rc = eh_buf_check(out, "the rendered template", err);
    }
    eh_buf_clear(&text);
    eh_arena_clear(&c.arena);
    return rc;
}
