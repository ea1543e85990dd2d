/* The tests: what may stand behind `is`. */
#include "jinja/builtin.h"

typedef enum test_kind {
    IS_DEFINED, IS_UNDEFINED, IS_NONE, IS_BOOLEAN, IS_TRUE, IS_FALSE, IS_INTEGER, IS_FLOAT, IS_NUMBER, IS_STRING,
    IS_MAPPING, IS_ITERABLE, IS_SEQUENCE, IS_CALLABLE, IS_ODD, IS_EVEN,
    /* with an argument */
    IS_DIVISIBLE, IS_IN, IS_EQ, IS_NE, IS_LT, IS_LE, IS_GT, IS_GE,
} test_kind;

static const struct {
    const char *name;
    test_kind kind;
} tests[] = {
    {"defined", IS_DEFINED}, {"undefined", IS_UNDEFINED}, {"none", IS_NONE},       {"boolean", IS_BOOLEAN},
    {"true", IS_TRUE},       {"false", IS_FALSE},         {"integer", IS_INTEGER}, {"float", IS_FLOAT},
    {"number", IS_NUMBER},   {"string", IS_STRING},       {"mapping", IS_MAPPING}, {"iterable", IS_ITERABLE},
    {"odd", IS_ODD},         {"even", IS_EVEN},           {"in", IS_IN},           {"sequence", IS_SEQUENCE},
    {"callable", IS_CALLABLE}, {"divisibleby", IS_DIVISIBLE},
    {"==", IS_EQ},           {"eq", IS_EQ},               {"equalto", IS_EQ},      {"!=", IS_NE},
    {"ne", IS_NE},           {"<", IS_LT},                {"lt", IS_LT},           {"lessthan", IS_LT},
    {"<=", IS_LE},           {"le", IS_LE},               {">", IS_GT},            {"gt", IS_GT},
    {"greaterthan", IS_GT},  {">=", IS_GE},               {"ge", IS_GE},
};

static bool can_be_walked(const eh_jv *v)
{
    switch (v->kind) {
    case EH_JV_NONE:
    case EH_JV_BOOL:
    case EH_JV_INT:
    case EH_JV_FLOAT:
    case EH_JV_SPACE:
    case EH_JV_MACRO:
    case EH_JV_FUNC:
    case EH_JV_METHOD: return false;
    default: return true;
    }
}

static int test_remainder(eh_jinja *c, int64_t at, const eh_jv *v, int64_t by, int64_t want, bool *out)
{
    int64_t i = 0;
    const int rc = eh_jinja_want_int(c, at, v, &i);
    if (rc < 0)
        return rc;
    if (by == 0)
        return eh_jinja_fail(c, EH_EFORMAT, at, "division by zero");
    const int64_t rest = by == -1 ? 0 : i % by;
    *out = (rest < 0 ? -rest : rest) == want;
    return EH_OK;
}

static int test_with(eh_jinja *c, int64_t at, test_kind kind, const eh_jv *v, const eh_jv *arg, bool *out)
{
    int rc, order = 0;
    if (kind == IS_DIVISIBLE) {
        int64_t by = 0;
        rc = eh_jinja_want_int(c, at, arg, &by);
        return rc == EH_OK ? test_remainder(c, at, v, by, 0, out) : rc;
    }
    if (kind == IS_IN)
        return eh_jv_in(c, at, v, arg, out);
    if (kind == IS_EQ || kind == IS_NE) {
        rc = eh_jv_equal(c, at, v, arg, out);
        *out = *out == (kind == IS_EQ);
        return rc;
    }
    rc = eh_jv_order(c, at, v, arg, &order);
    *out = kind == IS_LT   ? order == -1
           : kind == IS_GT ? order == 1
           : kind == IS_LE ? order <= 0
                           : order == 0 || order == 1;
    return rc;
}

static int test_alone(eh_jinja *c, int64_t at, test_kind kind, const eh_jv *v, bool *out)
{
    switch (kind) {
    case IS_DEFINED: *out = v->kind != EH_JV_UNDEF; return EH_OK;
    case IS_UNDEFINED: *out = v->kind == EH_JV_UNDEF; return EH_OK;
    case IS_NONE: *out = v->kind == EH_JV_NONE; return EH_OK;
    case IS_BOOLEAN: *out = v->kind == EH_JV_BOOL; return EH_OK;
    case IS_TRUE: *out = v->kind == EH_JV_BOOL && v->b; return EH_OK;
    case IS_FALSE: *out = v->kind == EH_JV_BOOL && !v->b; return EH_OK;
    case IS_INTEGER: *out = v->kind == EH_JV_INT; return EH_OK;
    case IS_FLOAT: *out = v->kind == EH_JV_FLOAT; return EH_OK;
    case IS_NUMBER: *out = eh_jv_is_number(v); return EH_OK;
    case IS_STRING: *out = v->kind == EH_JV_STR; return EH_OK;
    case IS_MAPPING: *out = v->kind == EH_JV_DICT; return EH_OK;
    case IS_ITERABLE: *out = can_be_walked(v); return EH_OK;
    case IS_SEQUENCE: /* has a length and, in Python's eyes, items by index: mappings and undefined do too */
        *out = can_be_walked(v) && v->kind != EH_JV_VIEW && v->kind != EH_JV_ITER && v->kind != EH_JV_LOOP;
        return EH_OK;
    case IS_CALLABLE:
        *out = v->kind == EH_JV_UNDEF || v->kind == EH_JV_MACRO || v->kind == EH_JV_FUNC || v->kind == EH_JV_METHOD ||
               v->kind == EH_JV_LOOP;
        return EH_OK;
    case IS_ODD: return test_remainder(c, at, v, 2, 1, out);
    default: return test_remainder(c, at, v, 2, 0, out);
    }
}

int eh_jinja_test(eh_jinja *c, int64_t at, eh_str name, eh_jv v, const eh_jinja_args *args, bool *out)
{
    for (size_t k = 0; k < sizeof tests / sizeof *tests; k++) {
        if (!eh_str_eq(name, eh_str_of(tests[k].name)))
            continue;
        const int64_t n = tests[k].kind >= IS_DIVISIBLE;
        if (args->n != n || args->n_key > 0)
            return eh_jinja_fail(c, EH_EFORMAT, at, "the test '%s' takes %lld arguments, %lld given", tests[k].name,
                                 (long long)n, (long long)(args->n + args->n_key));
        const int rc = eh_jinja_step(c, at, 1, 0);
        if (rc < 0)
            return rc;
        return n > 0 ? test_with(c, at, tests[k].kind, &v, &args->v[0], out)
                     : test_alone(c, at, tests[k].kind, &v, out);
    }
    return eh_jinja_fail(c, EH_ENOSUP, at, "the test '%.*s' is not supported", (int)name.n, name.p);
}
