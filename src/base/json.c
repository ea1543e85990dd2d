#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define DEPTH_MAX 512

/* jansson calls some failed allocations a syntax error, or nothing at all. */
static _Thread_local bool starved;

static void *take(size_t n)
{
    void *p = n > INT64_MAX ? NULL : eh_alloc((int64_t)n, 1);
    if (p == NULL)
        starved = true;
    return p;
}

__attribute__((constructor)) static void route_jansson_through_eh_alloc(void)
{
    json_set_alloc_funcs(take, eh_free);
}

/* jansson bounds the depth at 2,048 by recursion; a count before parsing makes the bound ours and
 * lets the message give the place. Brackets inside strings do not count. */
static int depth_check(eh_str s, const char *where, eh_err *err)
{
    int depth = 0;
    bool in_string = false;
    for (int64_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX)
                return eh_fail(err, EH_EFORMAT, "%s: at byte %lld: JSON is nested more than %d deep", where,
                               (long long)i, DEPTH_MAX);
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return EH_OK;
}

int eh_json_parse(eh_str text, const char *where, json_t **root, eh_err *err)
{
    int rc = depth_check(text, where, err);
    if (rc < 0)
        return rc;
    json_error_t e;
    starved = false;
    json_t *v = json_loadb(text.p, (size_t)text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
    if (v == NULL) {
        if (starved || json_error_code(&e) == json_error_out_of_memory)
            return eh_fail(err, EH_ENOMEM, "%s: no memory for its JSON", where);
        return eh_fail(err, EH_EFORMAT, "%s: line %d, column %d: %s", where, e.line, e.column, e.text);
    }
    *root = v;
    return EH_OK;
}

int eh_json_file(const char *path, int64_t limit, json_t **root, eh_err *err)
{
    eh_buf b = {0};
    int rc = eh_file_read(path, limit, &b, err);
    if (rc == EH_OK)
        rc = eh_json_parse(eh_buf_get(&b), path, root, err);
    eh_buf_clear(&b);
    return rc;
}

const char *eh_json_type(const json_t *v)
{
    if (v == NULL)
        return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a real number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "?";
}

eh_str eh_json_text(const json_t *string)
{
    return (eh_str){json_string_value(string), (int64_t)json_string_length(string)};
}

static const json_t *field(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

static int missing(const char *where, const char *key, eh_err *err)
{
    return eh_fail(err, EH_ENOENT, "%s: has no \"%s\"", where, key);
}

static int wrong(const json_t *v, const char *where, const char *key, const char *wanted, eh_err *err)
{
    return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is %s, wanted %s", where, key, eh_json_type(v), wanted);
}

int eh_json_int_or(const json_t *o, const char *where, const char *key, int64_t low, int64_t high, int64_t *out,
                   eh_err *err)
{
    const json_t *v = field(o, key);
    if (v == NULL)
        return EH_OK;
    if (!json_is_integer(v))
        return wrong(v, where, key, "an integer", err);
    const int64_t x = json_integer_value(v);
    if (x < low || x > high)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is %lld, wanted %lld to %lld", where, key, (long long)x,
                       (long long)low, (long long)high);
    *out = x;
    return EH_OK;
}

int eh_json_real_or(const json_t *o, const char *where, const char *key, double low, double high, double *out,
                    eh_err *err)
{
    const json_t *v = field(o, key);
    if (v == NULL)
        return EH_OK;
    if (!json_is_number(v))
        return wrong(v, where, key, "a number", err);
    const double x = json_number_value(v);
    if (!(x >= low && x <= high))
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is %g, wanted %g to %g", where, key, x, low, high);
    *out = x;
    return EH_OK;
}

int eh_json_bool_or(const json_t *o, const char *where, const char *key, bool *out, eh_err *err)
{
    const json_t *v = field(o, key);
    if (v == NULL)
        return EH_OK;
    if (!json_is_boolean(v))
        return wrong(v, where, key, "true or false", err);
    *out = json_is_true(v);
    return EH_OK;
}

int eh_json_str_or(const json_t *o, const char *where, const char *key, eh_str *out, eh_err *err)
{
    const json_t *v = field(o, key);
    if (v == NULL)
        return EH_OK;
    if (!json_is_string(v))
        return wrong(v, where, key, "a string", err);
    *out = eh_json_text(v);
    return EH_OK;
}

int eh_json_int(const json_t *o, const char *where, const char *key, int64_t low, int64_t high, int64_t *out,
                eh_err *err)
{
    return field(o, key) == NULL ? missing(where, key, err) : eh_json_int_or(o, where, key, low, high, out, err);
}

int eh_json_real(const json_t *o, const char *where, const char *key, double low, double high, double *out,
                 eh_err *err)
{
    return field(o, key) == NULL ? missing(where, key, err) : eh_json_real_or(o, where, key, low, high, out, err);
}

int eh_json_bool(const json_t *o, const char *where, const char *key, bool *out, eh_err *err)
{
    return field(o, key) == NULL ? missing(where, key, err) : eh_json_bool_or(o, where, key, out, err);
}

int eh_json_str(const json_t *o, const char *where, const char *key, eh_str *out, eh_err *err)
{
    return field(o, key) == NULL ? missing(where, key, err) : eh_json_str_or(o, where, key, out, err);
}
