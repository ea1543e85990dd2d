#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define DEPTH_MAX 512

/*
 * jansson's reader does not look whether the text of a token could be kept (its issue 362): without
 * memory it reads past the end of a string, or ends the process by an assertion at a number. So
 * each parse holds a reserve. The first allocation that fails, and the few after it, come from
 * there; the text is dealt out in small pieces and ends with the piece in hand; and what was read
 * is not believed.
 */
#define PIECE 64         /* bytes of text that jansson can still read after a failure */
#define PIECE_ROOM 32768 /* enough for the values that they hold: "[" takes most, 104 bytes */

static _Thread_local struct {
    bool starved;
    char *p; /* [n], the reserve; NULL when no parse is on */
    int64_t n, used;
} reserve;

static void *take(size_t n)
{
    void *p = n > INT64_MAX ? NULL : eh_alloc((int64_t)n, 1);
    if (p != NULL)
        return p;
    reserve.starved = true;
    if (reserve.p == NULL || n > (size_t)(reserve.n - reserve.used))
        return NULL;
    p = reserve.p + reserve.used;
    n = (n + 15) / 16 * 16; /* a multiple, as is reserve.n */
    reserve.used += (int64_t)n;
    return p;
}

static void give_back(void *p)
{
    const uintptr_t at = (uintptr_t)p, from = (uintptr_t)reserve.p;
    if (reserve.p == NULL || at < from || at >= from + (uintptr_t)reserve.n)
        eh_free(p);
}

__attribute__((constructor)) static void route_jansson_through_eh_alloc(void)
{
    json_set_alloc_funcs(take, give_back);
}

/* Deals the text out to jansson, piece by piece. */
static size_t deal(void *out, size_t room, void *ctx)
{
    eh_str *rest = ctx;
    int64_t n = rest->n < PIECE ? rest->n : PIECE;
    n = reserve.starved ? 0 : n < (int64_t)room ? n : (int64_t)room;
    if (n > 0)
        memcpy(out, rest->p, (size_t)n);
    rest->p += n;
    rest->n -= n;
    return (size_t)n;
}

/* An upper bound of the longest token: the longest string, or run without blanks and marks. */
static int64_t longest_token(eh_str s)
{
    int64_t longest = 0, from = 0;
    bool in_string = false;
    for (int64_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        if (in_string ? c != '"' : c != '\0' && strchr(" \t\r\n,:[]{}\"", c) == NULL) {
            i += in_string && c == '\\';
            continue;
        }
        longest = i - from > longest ? i - from : longest;
        from = i;
        in_string ^= c == '"';
    }
    return s.n - from > longest ? s.n - from : longest;
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
            depth -= depth > 0; /* jansson refuses the one too many */
        }
    }
    return EH_OK;
}

int eh_json_parse(eh_str text, const char *where, json_t **root, eh_err *err)
{
    int rc = depth_check(text, where, err);
    if (rc < 0)
        return rc;
    /* A token's text is kept in a buffer that doubles as it grows: all its sizes together are less
     * than four times the last. */
    const int64_t longest = longest_token(text);
    if (longest > INT64_MAX / 16)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for its JSON", where);
    json_error_t e;
    reserve.n = PIECE_ROOM + 4 * (longest / 16 + 2) * 16;
    reserve.used = 0;
    reserve.starved = false;
    reserve.p = eh_alloc(reserve.n, 1);
    if (reserve.p == NULL)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for its JSON", where);
    eh_str rest = text;
    json_t *v = json_load_callback(deal, &rest, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
    if (reserve.starved) {
        json_decref(v);
        v = NULL;
    }
    eh_free(reserve.p);
    reserve.p = NULL;
    if (reserve.starved)
        return eh_fail(err, EH_ENOMEM, "%s: no memory for its JSON", where);
    if (v == NULL)
        return eh_fail(err, EH_EFORMAT, "%s: line %d, column %d: %s", where, e.line, e.column, e.text);
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

/* The value of a field; *v is NULL when it is missing or null. */
static int field(const json_t *o, const char *where, const char *key, const json_t **v, eh_err *err)
{
    if (o != NULL && !json_is_object(o))
        return eh_fail(err, EH_EFORMAT, "%s: is %s, wanted an object with \"%s\"", where, eh_json_type(o), key);
    *v = json_object_get(o, key);
    if (json_is_null(*v))
        *v = NULL;
    return EH_OK;
}

static int need(const json_t *o, const char *where, const char *key, eh_err *err)
{
    const json_t *v = NULL;
    const int rc = field(o, where, key, &v, err);
    if (rc < 0)
        return rc;
    return v == NULL ? eh_fail(err, EH_ENOENT, "%s: has no \"%s\"", where, key) : EH_OK;
}

static int wrong(const json_t *v, const char *where, const char *key, const char *wanted, eh_err *err)
{
    return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is %s, wanted %s", where, key, eh_json_type(v), wanted);
}

int eh_json_int_or(const json_t *o, const char *where, const char *key, int64_t low, int64_t high, int64_t *out,
                   eh_err *err)
{
    const json_t *v = NULL;
    const int rc = field(o, where, key, &v, err);
    if (rc < 0 || v == NULL)
        return rc;
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
    const json_t *v = NULL;
    const int rc = field(o, where, key, &v, err);
    if (rc < 0 || v == NULL)
        return rc;
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
    const json_t *v = NULL;
    const int rc = field(o, where, key, &v, err);
    if (rc < 0 || v == NULL)
        return rc;
    if (!json_is_boolean(v))
        return wrong(v, where, key, "true or false", err);
    *out = json_is_true(v);
    return EH_OK;
}

int eh_json_str_or(const json_t *o, const char *where, const char *key, eh_str *out, eh_err *err)
{
    const json_t *v = NULL;
    const int rc = field(o, where, key, &v, err);
    if (rc < 0 || v == NULL)
        return rc;
    if (!json_is_string(v))
        return wrong(v, where, key, "a string", err);
    *out = eh_json_text(v);
    return EH_OK;
}

int eh_json_int(const json_t *o, const char *where, const char *key, int64_t low, int64_t high, int64_t *out,
                eh_err *err)
{
    const int rc = need(o, where, key, err);
    return rc < 0 ? rc : eh_json_int_or(o, where, key, low, high, out, err);
}

int eh_json_real(const json_t *o, const char *where, const char *key, double low, double high, double *out,
                 eh_err *err)
{
    const int rc = need(o, where, key, err);
    return rc < 0 ? rc : eh_json_real_or(o, where, key, low, high, out, err);
}

int eh_json_bool(const json_t *o, const char *where, const char *key, bool *out, eh_err *err)
{
    const int rc = need(o, where, key, err);
    return rc < 0 ? rc : eh_json_bool_or(o, where, key, out, err);
}

int eh_json_str(const json_t *o, const char *where, const char *key, eh_str *out, eh_err *err)
{
    const int rc = need(o, where, key, err);
    return rc < 0 ? rc : eh_json_str_or(o, where, key, out, err);
}
