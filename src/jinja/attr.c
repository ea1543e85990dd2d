/* What is inside of values: lengths, attributes and methods, items, slices. */
#include "jinja/builtin.h"

int eh_jv_length(eh_jinja *c, int64_t at, const eh_jv *v, int64_t *out)
{
    switch (v->kind) {
    case EH_JV_UNDEF: *out = 0; return EH_OK;
    case EH_JV_STR: *out = eh_jinja_chars(v->s); return eh_jinja_step(c, at, 0, v->s.n);
    case EH_JV_LIST:
    case EH_JV_TUPLE:
    case EH_JV_RANGE:
    case EH_JV_VIEW: *out = v->seq->n; return EH_OK;
    case EH_JV_DICT: *out = v->dict->n; return EH_OK;
    case EH_JV_LOOP: {
        const int rc = eh_jinja_loop_length(c, at, v->loop);
        *out = v->loop->length;
        return rc;
    }
    default: return eh_jinja_fail(c, EH_EFORMAT, at, "%s has no length", eh_jv_type(v));
    }
}

/* ---- Attributes, items, slices --------------------------------------------------------------- */

static int loop_attr(eh_jinja *c, int64_t at, eh_jv_loop *loop, eh_str name, eh_jv *out)
{
    int rc = EH_OK;
    if (eh_str_eq(name, EH_STR("index"))) {
        *out = eh_jv_int(loop->index0 + 1);
    } else if (eh_str_eq(name, EH_STR("index0"))) {
        *out = eh_jv_int(loop->index0);
    } else if (eh_str_eq(name, EH_STR("first"))) {
        *out = eh_jv_bool(loop->index0 == 0);
    } else if (eh_str_eq(name, EH_STR("last"))) {
        rc = eh_jinja_loop_peek(c, at, loop);
        *out = eh_jv_bool(!loop->has_after);
    } else if (eh_str_eq(name, EH_STR("length"))) {
        rc = eh_jinja_loop_length(c, at, loop);
        *out = eh_jv_int(loop->length);
    } else if (eh_str_eq(name, EH_STR("revindex"))) {
        rc = eh_jinja_loop_length(c, at, loop);
        *out = eh_jv_int(loop->length - loop->index0);
    } else if (eh_str_eq(name, EH_STR("revindex0"))) {
        rc = eh_jinja_loop_length(c, at, loop);
        *out = eh_jv_int(loop->length - loop->index0 - 1);
    } else if (eh_str_eq(name, EH_STR("previtem"))) {
        *out = loop->index0 == 0 ? eh_jv_undef(name) : loop->before;
    } else if (eh_str_eq(name, EH_STR("nextitem"))) {
        rc = eh_jinja_loop_peek(c, at, loop);
        *out = loop->has_after ? loop->after : eh_jv_undef(name);
    } else if (eh_str_eq(name, EH_STR("depth"))) {
        *out = eh_jv_int(1); /* only recursive loops go deeper */
    } else if (eh_str_eq(name, EH_STR("depth0"))) {
        *out = eh_jv_int(0);
    } else {
        *out = eh_jv_undef(name);
    }
    return rc;
}

/* An attribute that is one of Python's: a method, or what a loop knows. False: not one. */
static int own_attr(eh_jinja *c, int64_t at, const eh_jv *v, eh_str name, eh_jv *out, bool *found)
{
    *found = false;
    const eh_jinja_row *row = eh_jinja_method(v, name);
    if (row != NULL && v->kind == EH_JV_STR && v->safe)
        return eh_jinja_fail(c, EH_ENOSUP, at, "'%s' of a string marked safe is not supported", row->name);
    if (row != NULL) {
        eh_jv_method *m = eh_jinja_new(c, at, 1, (int64_t)sizeof *m);
        if (m == NULL)
            return c->err->code;
        *m = (eh_jv_method){*v, row};
        *out = (eh_jv){.kind = EH_JV_METHOD, .method = m};
        *found = true;
        return EH_OK;
    }
    if (v->kind == EH_JV_LOOP) {
        const int rc = loop_attr(c, at, v->loop, name, out);
        *found = rc == EH_OK && out->kind != EH_JV_UNDEF;
        return rc;
    }
    if (v->kind == EH_JV_SPACE) {
        int rc;
        const eh_jv key = eh_jv_str(name);
        const eh_jv *there = eh_jv_dict_get(c, at, v->dict, &key, &rc);
        if (there != NULL) {
            *out = *there;
            *found = true;
        }
        return rc;
    }
    switch (v->kind) {
    case EH_JV_NONE:
    case EH_JV_STR:
    case EH_JV_LIST:
    case EH_JV_TUPLE:
    case EH_JV_DICT: return EH_OK;
    default:
        return eh_jinja_fail(c, EH_ENOSUP, at, "attribute '%.*s' of %s is not supported", (int)name.n, name.p,
                             eh_jv_type(v));
    }
}

static int undefined_error(eh_jinja *c, int64_t at, const eh_jv *v)
{
    return eh_jinja_fail(c, EH_EFORMAT, at, "'%.*s' is undefined", (int)v->s.n, v->s.p);
}

int eh_jv_attr(eh_jinja *c, int64_t at, const eh_jv *v, eh_str name, eh_jv *out)
{
    if (v->kind == EH_JV_UNDEF)
        return undefined_error(c, at, v);
    *out = eh_jv_undef(name);
    if (eh_str_starts(name, EH_STR("_")) && v->kind != EH_JV_SPACE && v->kind != EH_JV_DICT)
        return EH_OK; /* Python's inner attributes are closed off in a sandbox */
    bool found;
    int rc = own_attr(c, at, v, name, out, &found);
    if (rc < 0 || found || v->kind != EH_JV_DICT)
        return rc;
    const eh_jv key = eh_jv_str(name);
    const eh_jv *there = eh_jv_dict_get(c, at, v->dict, &key, &rc);
    if (there != NULL)
        *out = *there;
    return rc;
}

static int char_at(eh_jinja *c, int64_t at, const eh_jv *v, int64_t index, eh_jv *out)
{
    const eh_str s = v->s;
    if (index < 0)
        index += eh_jinja_chars(s);
    if (index < 0)
        return EH_OK;
    int64_t i = 0;
    for (int64_t k = 0; k < index && i < s.n; k++)
        i += eh_jinja_char(s, i, NULL);
    if (i < s.n) {
        *out = eh_jv_str((eh_str){s.p + i, eh_jinja_char(s, i, NULL)});
        out->safe = v->safe;
    }
    return eh_jinja_step(c, at, 1, s.n);
}

int eh_jv_item(eh_jinja *c, int64_t at, const eh_jv *v, const eh_jv *key, eh_jv *out)
{
    if (v->kind == EH_JV_UNDEF)
        return undefined_error(c, at, v);
    *out = eh_jv_undef(key->kind == EH_JV_STR ? key->s : EH_STR("[...]"));
    if (v->kind == EH_JV_DICT) {
        if (key->kind == EH_JV_LIST || key->kind == EH_JV_DICT)
            return EH_OK; /* Python's TypeError becomes undefined in Jinja */
        int rc;
        const eh_jv *there = eh_jv_dict_get(c, at, v->dict, key, &rc);
        if (there != NULL)
            *out = *there;
        if (rc < 0 || there != NULL)
            return rc;
    } else if (eh_jv_is_whole(key)) {
        int64_t i = eh_jv_whole(key);
        if (v->kind == EH_JV_STR)
            return char_at(c, at, v, i, out);
        if (eh_jv_is_seq(v)) {
            i += i < 0 ? v->seq->n : 0;
            if (i >= 0 && i < v->seq->n)
                *out = v->seq->v[i];
        }
        return EH_OK;
    }
    if (key->kind != EH_JV_STR || eh_str_starts(key->s, EH_STR("_")))
        return EH_OK;
    bool found;
    const eh_jv undefined = *out;
    const int rc = own_attr(c, at, v, key->s, out, &found);
    if (rc == EH_OK && !found)
        *out = undefined;
    return rc;
}

/* Python's slice.indices(): clamps the bounds to a sequence of n; *count items from *from by *by. */
static void slice_bounds(int64_t n, const eh_jv bound[3], int64_t *from, int64_t *by, int64_t *count)
{
    const int64_t step = bound[2].kind == EH_JV_NONE ? 1 : eh_jv_whole(&bound[2]);
    const int64_t least = step < 0 ? -1 : 0, most = step < 0 ? n - 1 : n;
    int64_t start = step < 0 ? most : least, stop = step < 0 ? least : most;
    for (int k = 0; k < 2; k++) {
        if (bound[k].kind == EH_JV_NONE)
            continue;
        int64_t i = eh_jv_whole(&bound[k]);
        if (i < 0)
            i = i < -n ? -1 : i + n; /* i + n cannot overflow; below the start it clamps as -1 does */
        i = i < least ? least : i > most ? most : i;
        *(k == 0 ? &start : &stop) = i;
    }
    *from = start;
    *by = step;
    *count = 0;
    if (step > 0 && stop > start)
        *count = (stop - start - 1) / step + 1;
    else if (step < 0 && start > stop)
        *count = step == INT64_MIN ? 1 : (start - stop - 1) / -step + 1;
}

int eh_jv_slice(eh_jinja *c, int64_t at, const eh_jv *v, const eh_jv bound[3], eh_jv *out)
{
    if (v->kind == EH_JV_UNDEF)
        return undefined_error(c, at, v);
    *out = eh_jv_undef(EH_STR("[:]"));
    if (v->kind != EH_JV_STR && !eh_jv_is_seq(v))
        return EH_OK;
    for (int k = 0; k < 3; k++)
        if (bound[k].kind != EH_JV_NONE && !eh_jv_is_whole(&bound[k]))
            return EH_OK; /* a TypeError in Python, undefined in Jinja */
    if (bound[2].kind != EH_JV_NONE && eh_jv_whole(&bound[2]) == 0)
        return eh_jinja_fail(c, EH_EFORMAT, at, "a slice cannot go in steps of 0");
    int rc;
    eh_jv_seq items;
    if ((rc = eh_jv_items(c, at, v, &items)) < 0)
        return rc;
    int64_t from, by, count;
    slice_bounds(items.n, bound, &from, &by, &count);
    if (v->kind == EH_JV_STR && by == 1) {
        const char *p = count > 0 ? items.v[from].s.p : "";
        const char *end = count > 0 ? items.v[from + count - 1].s.p + items.v[from + count - 1].s.n : p;
        *out = eh_jv_str((eh_str){p, end - p});
        out->safe = v->safe;
        return EH_OK;
    }
    if (v->kind == EH_JV_STR) {
        eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
        for (int64_t k = 0; k < count; k++)
            eh_buf_str(&b, items.v[from + k * by].s);
        rc = eh_jinja_take(c, at, &b, EH_OK, out);
        out->safe = v->safe;
        return rc;
    }
    eh_jv made;
    if ((rc = eh_jinja_seq(c, at, v->kind, count, &made)) < 0)
        return rc;
    for (int64_t k = 0; k < count; k++)
        made.seq->v[k] = items.v[from + k * by];
    *out = made;
    return EH_OK;
}
