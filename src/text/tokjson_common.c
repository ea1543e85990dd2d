/* What the readers of tokenizer.json's parts share. */
#include <string.h>

#include "text/tokjson.h"

int eh_tokjson_keep(eh_tokjson *l, eh_str s, eh_str *out)
{
    char *p = eh_arena_text(&l->t->arena, s.p, s.n);
    if (p == NULL)
        return eh_fail(l->err, EH_ENOMEM, "%s: no memory for %lld bytes of text", l->where, (long long)s.n);
    *out = (eh_str){p, s.n};
    return EH_OK;
}

int eh_tokjson_read_kind(eh_tokjson *l, const json_t *j, const char *what, const eh_tokjson_kind *table)
{
    eh_str type;
    if (!json_is_object(j))
        return eh_fail(l->err, EH_EFORMAT, "%s: a %s is %s, wanted an object", l->where, what, eh_json_type(j));
    const int rc = eh_json_str(j, l->where, "type", &type, l->err);
    if (rc < 0)
        return rc;
    for (const eh_tokjson_kind *k = table; k->name != NULL; k++)
        if (eh_str_eq(type, eh_str_of(k->name)))
            return k->read(l, j);
    char known[400] = "";
    size_t n = 0;
    for (const eh_tokjson_kind *k = table; k->name != NULL && n + strlen(k->name) + 3 < sizeof known; k++) {
        if (n > 0) {
            memcpy(known + n, ", ", 3);
            n += 2;
        }
        memcpy(known + n, k->name, strlen(k->name) + 1);
        n += strlen(k->name);
    }
    return eh_fail(l->err, EH_ENOSUP, "%s: %s \"%.*s\" is not supported; supported are %s", l->where, what,
                   (int)(type.n < 100 ? type.n : 100), type.p, known);
}

int eh_tokjson_read_each(eh_tokjson *l, const json_t *j, const char *key, eh_tokjson_fn *read)
{
    const json_t *list = json_object_get(j, key);
    if (!json_is_array(list))
        return eh_fail(l->err, EH_EFORMAT, "%s: \"%s\" is %s, wanted an array", l->where, key, eh_json_type(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const int rc = read(l, json_array_get(list, i));
        if (rc < 0)
            return rc;
    }
    return EH_OK;
}

int eh_tokjson_pattern(eh_tokjson *l, const json_t *j, const char *what, eh_str *text, eh_pattern **pattern)
{
    const json_t *p = json_object_get(j, "pattern");
    const json_t *s = json_object_get(p, "String"), *r = json_object_get(p, "Regex");
    if (json_is_string(s) && r == NULL) {
        if (json_string_length(s) == 0)
            return eh_fail(l->err, EH_ENOSUP, "%s: %s: its pattern is empty", l->where, what);
        return eh_tokjson_keep(l, eh_json_text(s), text);
    }
    if (json_is_string(r) && s == NULL && pattern != NULL)
        return eh_pattern_open(eh_json_text(r), l->where, pattern, l->err);
    return eh_fail(l->err, EH_ENOSUP, "%s: %s: its pattern is not a \"String\"%s", l->where, what,
                   pattern != NULL ? " or a \"Regex\"" : "");
}

int eh_tokjson_metaspace(eh_tokjson *l, const json_t *j, eh_str *replacement, eh_str *scheme)
{
    bool blank = true;
    int rc = eh_json_str(j, l->where, "replacement", replacement, l->err);
    if (rc == EH_OK && (replacement->n == 0 || eh_utf8_next(*replacement, 0, NULL) != replacement->n))
        rc = eh_fail(l->err, EH_EFORMAT, "%s: Metaspace: the replacement is not one character", l->where);
    if (rc == EH_OK)
        rc = eh_tokjson_keep(l, *replacement, replacement);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "add_prefix_space", &blank, l->err); /* older files */
    *scheme = blank ? EH_STR("always") : EH_STR("never");
    if (rc == EH_OK)
        rc = eh_json_str_or(j, l->where, "prepend_scheme", scheme, l->err);
    if (rc == EH_OK && !eh_str_eq(*scheme, EH_STR("always")) && !eh_str_eq(*scheme, EH_STR("never")) &&
        !eh_str_eq(*scheme, EH_STR("first")))
        rc = eh_fail(l->err, EH_ENOSUP, "%s: Metaspace: prepend_scheme \"%.*s\" is not supported", l->where,
                     (int)(scheme->n < 100 ? scheme->n : 100), scheme->p);
    return rc;
}

int eh_tokjson_add_affix(eh_tokjson *l, bool behind, int64_t id)
{
    eh_tokenizer *t = l->t;
    if ((behind ? t->n_suffix : t->n_prefix) == EH_AFFIX_MAX)
        return eh_fail(l->err, EH_ENOSUP, "%s: the template adds more than %d tokens on one side", l->where,
                       EH_AFFIX_MAX);
    if (behind)
        t->suffix[t->n_suffix++] = (int32_t)id;
    else
        t->prefix[t->n_prefix++] = (int32_t)id;
    return EH_OK;
}
