/* What is not about strings: functions, and the methods of mappings, lists and loops. */
#include "jinja/builtin.h"

#include <string.h>
#include <time.h>

/* ---- Mappings, lists, loops ------------------------------------------------------------------ */

int eh_jinja_view(eh_jinja *c, int64_t at, const eh_jv_dict *d, eh_jv_kind kind, bool keys, bool values, eh_jv *out)
{
    eh_jv made;
    int rc = eh_jinja_seq(c, at, kind, d->n, &made);
    for (int64_t k = 0; rc == EH_OK && k < d->n; k++) {
        eh_jv *item = &made.seq->v[k];
        if (keys && values) {
            if ((rc = eh_jinja_seq(c, at, EH_JV_TUPLE, 2, item)) < 0)
                break;
            item->seq->v[0] = d->pair[k].key;
            item->seq->v[1] = d->pair[k].value;
        } else {
            *item = keys ? d->pair[k].key : d->pair[k].value;
        }
    }
    if (rc == EH_OK)
        *out = made;
    return rc;
}

static int dict_items(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return eh_jinja_view(c, at, self.dict, EH_JV_VIEW, true, true, out);
}

static int dict_keys(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return eh_jinja_view(c, at, self.dict, EH_JV_VIEW, true, false, out);
}

static int dict_values(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)arg;
    return eh_jinja_view(c, at, self.dict, EH_JV_VIEW, false, true, out);
}

static int dict_get(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    int rc;
    const eh_jv *there = eh_jv_dict_get(c, at, self.dict, arg[0], &rc);
    *out = there != NULL ? *there : arg[1] != NULL ? *arg[1] : eh_jv_none();
    return rc;
}

static const eh_jinja_row dict_methods[] = {
    {.name = "items", .fn = dict_items},
    {.name = "keys", .fn = dict_keys},
    {.name = "values", .fn = dict_values},
    {.name = "get", .fn = dict_get, .least = 1, .param = {"key", "default"}},
    {.name = "copy"}, {.name = "fromkeys"},
    {.name = "pop"}, {.name = "popitem"}, {.name = "clear"}, {.name = "update"}, {.name = "setdefault"},
};

static const eh_jinja_row list_methods[] = {
    {.name = "append"}, {.name = "extend"}, {.name = "insert"}, {.name = "pop"}, {.name = "remove"},
    {.name = "clear"}, {.name = "sort"}, {.name = "reverse"}, {.name = "copy"}, {.name = "index"}, {.name = "count"},
};

static int no_keywords(eh_jinja *c, int64_t at, const char *name, const eh_jinja_args *args)
{
    return args->n_key == 0 ? EH_OK : eh_jinja_fail(c, EH_EFORMAT, at, "'%s' takes no named arguments", name);
}

static int loop_cycle(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out)
{
    const int rc = no_keywords(c, at, "cycle", args);
    if (rc < 0)
        return rc;
    if (args->n == 0)
        return eh_jinja_fail(c, EH_EFORMAT, at, "'cycle' has nothing to choose from");
    *out = args->v[self.loop->index0 % args->n];
    return EH_OK;
}

static int loop_changed(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out)
{
    int rc = no_keywords(c, at, "changed", args);
    eh_jv_seq *last = &self.loop->changed;
    bool same = last->v != NULL && last->n == args->n;
    for (int64_t k = 0; rc == EH_OK && same && k < args->n; k++)
        rc = eh_jv_equal(c, at, &last->v[k], &args->v[k], &same);
    if (rc < 0)
        return rc;
    *last = (eh_jv_seq){.v = args->v, .n = args->n};
    *out = eh_jv_bool(!same);
    return EH_OK;
}

static const eh_jinja_row loop_methods[] = {
    {.name = "cycle", .any = loop_cycle},
    {.name = "changed", .any = loop_changed},
};

const eh_jinja_row *eh_jinja_method(const eh_jv *v, eh_str name)
{
    switch (v->kind) {
    case EH_JV_STR: return eh_jinja_string_method(name);
    case EH_JV_DICT: return eh_jinja_find_row(dict_methods, EH_JINJA_ROWS(dict_methods), name);
    case EH_JV_LIST: return eh_jinja_find_row(list_methods, EH_JINJA_ROWS(list_methods), name);
    case EH_JV_TUPLE: /* of the list's, the last two: index and count */
        return eh_jinja_find_row(list_methods + EH_JINJA_ROWS(list_methods) - 2, 2, name);
    case EH_JV_LOOP: return eh_jinja_find_row(loop_methods, EH_JINJA_ROWS(loop_methods), name);
    default: return NULL;
    }
}

/* ---- Functions ------------------------------------------------------------------------------- */

/* range() gives at most as many numbers as Jinja's sandbox allows. */
#define RANGE_MAX 100000

static int fn_range(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)self;
    int64_t v[3] = {0, 0, 1};
    for (int k = 0; k < 3; k++) {
        const int rc = eh_jinja_want_int(c, at, arg[k], &v[k]);
        if (rc < 0)
            return rc;
    }
    const int64_t from = arg[1] != NULL ? v[0] : 0, to = arg[1] != NULL ? v[1] : v[0], by = v[2];
    if (by == 0)
        return eh_jinja_fail(c, EH_EFORMAT, at, "a range cannot go in steps of 0");
    int64_t n = 0;
    for (int64_t i = from; by > 0 ? i < to : i > to;) {
        if (++n > RANGE_MAX)
            return eh_jinja_fail(c, EH_ERANGE, at, "a range of more than %d numbers", RANGE_MAX);
        if (__builtin_add_overflow(i, by, &i))
            break;
    }
    eh_jv made;
    const int rc = eh_jinja_seq(c, at, EH_JV_RANGE, n, &made);
    for (int64_t k = 0; rc == EH_OK && k < n; k++)
        made.seq->v[k] = eh_jv_int(from + k * by);
    if (rc == EH_OK)
        *out = made;
    return rc;
}

static int make_dict(eh_jinja *c, int64_t at, eh_jv_kind kind, const eh_jinja_args *args, eh_jv *out)
{
    if (args->n > 1 || (args->n == 1 && args->v[0].kind != EH_JV_DICT))
        return eh_jinja_fail(c, EH_ENOSUP, at, "a mapping made from other than one mapping and names is not supported");
    eh_jv_dict *d = eh_jinja_new(c, at, 1, (int64_t)sizeof *d);
    if (d == NULL)
        return c->err->code;
    int rc = EH_OK;
    if (args->n == 1)
        for (int64_t k = 0; rc == EH_OK && k < args->v[0].dict->n; k++)
            rc = eh_jv_dict_set(c, at, d, &args->v[0].dict->pair[k].key, &args->v[0].dict->pair[k].value);
    for (int64_t k = 0; rc == EH_OK && k < args->n_key; k++) {
        const eh_jv key = eh_jv_str(args->key[k]);
        rc = eh_jv_dict_set(c, at, d, &key, &args->val[k]);
    }
    if (rc == EH_OK)
        *out = (eh_jv){.kind = kind, .dict = d};
    return rc;
}

static int fn_dict(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out)
{
    (void)self;
    return make_dict(c, at, EH_JV_DICT, args, out);
}

static int fn_namespace(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out)
{
    (void)self;
    return make_dict(c, at, EH_JV_SPACE, args, out);
}

static int fn_raise(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)self;
    (void)out;
    eh_str text;
    const int rc = eh_jv_to_str(c, at, arg[0], &text);
    if (rc < 0)
        return rc;
    const char *means = c->in->refusal != NULL ? c->in->refusal : "the template raises an exception";
    return eh_jinja_fail(c, EH_EINVAL, at, "%s: %.*s", means, (int)text.n, text.p);
}

static int fn_strftime(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out)
{
    (void)self;
    eh_str format = {0};
    int rc = eh_jinja_want_str(c, at, arg[0], &format);
    if (rc < 0)
        return rc;
    struct tm now;
    if (c->in->now != NULL) {
        now = *c->in->now;
    } else {
        const time_t t = time(NULL);
        if (localtime_r(&t, &now) == NULL)
            return eh_jinja_fail(c, EH_EIO, at, "the system does not tell the local time");
    }
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    for (int64_t i = 0; rc == EH_OK && i < format.n; i++) {
        if (format.p[i] != '%') {
            eh_buf_char(&b, format.p[i]);
            continue;
        }
        const char what = ++i < format.n ? format.p[i] : '\0';
        if (what == '\0' || strchr("aAbBcdHIjmMpSwxXyY%", what) == NULL) {
            rc = eh_jinja_fail(c, EH_ENOSUP, at, "strftime_now with '%%%c' is not supported",
                               what == '\0' ? ' ' : what);
            break;
        }
        const char one[] = {'%', what, '\0'};
        char text[100];
        eh_buf_bytes(&b, text, (int64_t)strftime(text, sizeof text, one, &now));
    }
    return eh_jinja_take(c, at, &b, rc, out);
}

static const eh_jinja_row functions[] = {
    {.name = "range", .fn = fn_range, .least = 1, .param = {"start", "stop", "step"}},
    {.name = "dict", .any = fn_dict},
    {.name = "namespace", .any = fn_namespace},
    {.name = "raise_exception", .fn = fn_raise, .least = 1, .param = {"message"}},
    {.name = "strftime_now", .fn = fn_strftime, .least = 1, .param = {"format"}},
    {.name = "lipsum"}, {.name = "cycler"}, {.name = "joiner"},
};

const eh_jinja_row *eh_jinja_function(eh_str name)
{
    return eh_jinja_find_row(functions, EH_JINJA_ROWS(functions), name);
}
