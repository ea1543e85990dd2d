/* Walking the tree of a template. */
#include "jinja/interpreter.h"

#include <math.h>
#include <string.h>

typedef eh_jinja_node node;

static int eval(eh_jinja *c, const node *n, eh_jv *out);

/* How a list of statements ended. Errors are negative, as everywhere. */
enum { GO_ON = EH_OK, BREAK = 1, CONTINUE = 2 };
static int run(eh_jinja *c, const node *body);

/* ---- Names ----------------------------------------------------------------------------------- */

eh_jinja_scope *eh_jinja_open_scope(eh_jinja *c, int64_t at, eh_jinja_scope *outer)
{
    eh_jinja_scope *s = eh_jinja_new(c, at, 1, (int64_t)sizeof *s);
    if (s != NULL)
        s->outer = outer;
    return s;
}

static eh_jinja_binding *find_var(eh_jinja_scope *s, eh_str name, int64_t *n_step)
{
    for (eh_jinja_binding *v = s->vars; v != NULL; v = v->next, (*n_step)++)
        if (eh_str_eq(v->name, name))
            return v;
    return NULL;
}

int eh_jinja_set(eh_jinja *c, int64_t at, eh_str name, eh_jv value)
{
    int64_t n_step = 0;
    eh_jinja_binding *v = find_var(c->scope, name, &n_step);
    const int rc = eh_jinja_step(c, at, n_step, 0);
    if (rc < 0)
        return rc;
    if (v == NULL) {
        v = eh_jinja_new(c, at, 1, (int64_t)sizeof *v);
        if (v == NULL)
            return c->err->code;
        v->name = name;
        v->next = c->scope->vars;
        c->scope->vars = v;
    }
    v->value = value;
    return EH_OK;
}

static int name_value(eh_jinja *c, const node *n, eh_jv *out)
{
    int64_t n_step = 0;
    eh_jinja_binding *v = NULL;
    for (eh_jinja_scope *s = c->scope; s != NULL && v == NULL; s = s->outer)
        v = find_var(s, n->name, &n_step);
    const int rc = eh_jinja_step(c, n->at, n_step, 0);
    if (rc < 0)
        return rc;
    if (v != NULL) {
        *out = v->value;
        return EH_OK;
    }
    const eh_jinja_row *row = eh_jinja_function(n->name);
    if (row != NULL) {
        *out = (eh_jv){.kind = EH_JV_FUNC, .func = row};
        return EH_OK;
    }
    for (int64_t k = 0; k < c->in->n_var; k++)
        if (c->in->var[k].kind == EH_JINJA_REFUSED && eh_str_eq(n->name, c->in->var[k].name))
            return eh_jinja_fail(c, EH_ENOSUP, n->at, "%.*s", (int)c->in->var[k].s.n, c->in->var[k].s.p);
    *out = eh_jv_undef(n->name);
    return EH_OK;
}

static int assign_one(eh_jinja *c, const node *target, const eh_jv *value)
{
    if (target->kind == EH_JN_NAME)
        return eh_jinja_set(c, target->at, target->name, *value);
    eh_jv space; /* a MEMBER: name.attribute */
    int rc = name_value(c, target, &space);
    if (rc < 0)
        return rc;
    if (space.kind != EH_JV_SPACE)
        return eh_jinja_fail(c, EH_EFORMAT, target->at, "only a namespace's attributes can be set, not those of %s",
                             eh_jv_type(&space));
    return eh_jv_dict_set(c, target->at, space.dict, &target->value, value);
}

static int assign(eh_jinja *c, const node *target, const eh_jv *value)
{
    if (target->kind != EH_JN_TUPLE)
        return assign_one(c, target, value);
    eh_jv_seq items;
    int rc = eh_jv_items(c, target->at, value, &items);
    if (rc < 0)
        return rc;
    int64_t n = 0;
    for (const node *t = target->list; t != NULL; t = t->next)
        n++;
    if (n != items.n)
        return eh_jinja_fail(c, EH_EFORMAT, target->at, "%lld names for %lld values", (long long)n, (long long)items.n);
    n = 0;
    for (const node *t = target->list; rc == EH_OK && t != NULL; t = t->next)
        rc = assign_one(c, t, &items.v[n++]);
    return rc;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static int eval_args(eh_jinja *c, const node *call, eh_jinja_args *args)
{
    *args = (eh_jinja_args){0};
    for (const node *a = call->list; a != NULL; a = a->next)
        (*(a->kind == EH_JN_KEYWORD ? &args->n_key : &args->n))++;
    const int64_t n = args->n, n_key = args->n_key;
    if (n + n_key == 0)
        return EH_OK;
    args->v = eh_jinja_new(c, call->at, n + n_key, (int64_t)sizeof *args->v);
    if (args->v == NULL)
        return c->err->code;
    args->val = args->v + n;
    if (n_key > 0 && (args->key = eh_jinja_new(c, call->at, n_key, (int64_t)sizeof *args->key)) == NULL)
        return c->err->code;
    int64_t i = 0, k = 0;
    for (const node *a = call->list; a != NULL; a = a->next) {
        const bool keyword = a->kind == EH_JN_KEYWORD;
        const int rc = eval(c, keyword ? a->a : a, keyword ? &args->val[k] : &args->v[i]);
        if (rc < 0)
            return rc;
        if (keyword)
            args->key[k++] = a->name;
        else
            i++;
    }
    return EH_OK;
}

/* Runs statements with what they write going to a string. */
static int capture(eh_jinja *c, int64_t at, const node *body, eh_jv *out)
{
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    eh_buf *const before = c->out;
    c->out = &b;
    const int rc = run(c, body);
    c->out = before;
    const int end = eh_jinja_take(c, at, &b, rc < 0 ? rc : EH_OK, out);
    return end < 0 ? end : rc; /* a break inside goes on to its loop */
}

/* The argument for a macro's i-th parameter, marked as used. NULL: not given. */
static const eh_jv *macro_arg(const node *parameter, int64_t i, const eh_jinja_args *args, int64_t *n_used)
{
    if (i < args->n) {
        (*n_used)++;
        return &args->v[i];
    }
    for (int64_t k = 0; k < args->n_key; k++)
        if (eh_str_eq(args->key[k], parameter->name)) {
            (*n_used)++;
            return &args->val[k];
        }
    return NULL;
}

static int bind_macro(eh_jinja *c, int64_t at, const node *macro, const eh_jinja_args *args)
{
    int64_t n_used = 0, i = 0;
    for (const node *p = macro->more; p != NULL; p = p->next) {
        const eh_jv *given = macro_arg(p, i++, args, &n_used);
        eh_jv value = eh_jv_undef(p->name);
        int rc = EH_OK;
        if (given != NULL)
            value = *given;
        else if (p->a != NULL)
            rc = eval(c, p->a, &value);
        if (rc == EH_OK)
            rc = eh_jinja_set(c, at, p->name, value);
        if (rc < 0)
            return rc;
    }
    if (n_used == args->n + args->n_key)
        return EH_OK;
    return eh_jinja_fail(c, EH_ENOSUP, at,
                         "an argument that the macro '%.*s' does not name, or names twice, is not supported",
                         (int)macro->name.n, macro->name.p);
}

static int call_macro(eh_jinja *c, int64_t at, const eh_jv_macro *macro, const eh_jinja_args *args, eh_jv *out)
{
    eh_jinja_scope *const before = c->scope;
    int rc = eh_jinja_deeper(c, at);
    if (rc < 0)
        return rc;
    c->scope = eh_jinja_open_scope(c, at, macro->scope);
    rc = c->scope == NULL ? c->err->code : bind_macro(c, at, macro->node, args);
    if (rc == EH_OK)
        rc = capture(c, at, macro->node->list, out);
    c->scope = before;
    c->depth--;
    return rc;
}

static int eval_call(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv callee;
    eh_jinja_args args;
    int rc = eval(c, n->a, &callee);
    if (rc < 0)
        return rc;
    if (callee.kind == EH_JV_UNDEF)
        return eh_jinja_fail(c, EH_EFORMAT, n->a->at, "'%.*s' is undefined, and called", (int)callee.s.n, callee.s.p);
    if ((rc = eval_args(c, n, &args)) < 0)
        return rc;
    switch (callee.kind) {
    case EH_JV_FUNC: return eh_jinja_call_row(c, n->a->at, "the function", callee.func, eh_jv_none(), &args, out);
    case EH_JV_METHOD:
        return eh_jinja_call_row(c, n->a->at, "the method", callee.method->row, callee.method->self, &args, out);
    case EH_JV_MACRO: return call_macro(c, n->a->at, callee.macro, &args, out);
    default: return eh_jinja_fail(c, EH_EFORMAT, n->a->at, "%s cannot be called", eh_jv_type(&callee));
    }
}

/* ---- Arithmetic ------------------------------------------------------------------------------ */

static int64_t whole(const eh_jv *v)
{
    return v->kind == EH_JV_BOOL ? v->b : v->i;
}

static double real(const eh_jv *v)
{
    return v->kind == EH_JV_FLOAT ? v->f : (double)whole(v);
}

static int cannot(eh_jinja *c, const node *n, const eh_jv *a, const eh_jv *b)
{
    static const struct { int op; const char *text; } names[] = {{EH_JO_FLOORDIV, "//"}, {EH_JO_POW, "**"}};
    char one[2] = {(char)n->op, '\0'};
    const char *name = one;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (n->op == names[k].op)
            name = names[k].text;
    return eh_jinja_fail(c, EH_EFORMAT, n->at, "'%s' does not work on %s and %s", name, eh_jv_type(a), eh_jv_type(b));
}

static int too_large(eh_jinja *c, const node *n)
{
    return eh_jinja_fail(c, EH_ERANGE, n->at, "an integer goes beyond 64 bits");
}

/* Python rounds quotients down, and a remainder has the sign of what it is divided by. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int power(eh_jinja *c, const node *n, int64_t a, int64_t b, eh_jv *out)
{
    if (b < 0) {
        if (a == 0)
            return eh_jinja_fail(c, EH_EFORMAT, n->at, "division by zero");
        *out = eh_jv_float(pow((double)a, (double)b));
        return EH_OK;
    }
    int64_t r = 1;
    for (int64_t k = 0; k < b && a != 1 && a != 0 && a != -1; k++)
        if (__builtin_mul_overflow(r, a, &r))
            return too_large(c, n);
    if (b > 0 && (a == 0 || a == 1 || a == -1))
        r = a == -1 ? (b % 2 != 0 ? -1 : 1) : a;
    *out = eh_jv_int(r);
    return EH_OK;
}

static int math_int(eh_jinja *c, const node *n, int64_t a, int64_t b, eh_jv *out)
{
    int64_t r = 0;
    bool over = false;
    if (b == 0 && (n->op == '/' || n->op == '%' || n->op == EH_JO_FLOORDIV))
        return eh_jinja_fail(c, EH_EFORMAT, n->at, "division by zero");
    switch (n->op) {
    case '+': over = __builtin_add_overflow(a, b, &r); break;
    case '-': over = __builtin_sub_overflow(a, b, &r); break;
    case '*': over = __builtin_mul_overflow(a, b, &r); break;
    case '/': *out = eh_jv_float((double)a / (double)b); return EH_OK;
    case EH_JO_POW: return power(c, n, a, b, out);
    default:
        over = n->op == EH_JO_FLOORDIV && b == -1 && a == INT64_MIN;
        if (b == -1 && !over)
            r = n->op == '%' ? 0 : -a; /* INT64_MIN % -1 traps on x86 */
        else if (!over)
            r = n->op == '%' ? a - floor_div(a, b) * b : floor_div(a, b);
    }
    *out = eh_jv_int(r);
    return over ? too_large(c, n) : EH_OK;
}

static int math_real(eh_jinja *c, const node *n, double a, double b, eh_jv *out)
{
    double r = 0.0;
    if (b == 0.0 && (n->op == '/' || n->op == '%' || n->op == EH_JO_FLOORDIV))
        return eh_jinja_fail(c, EH_EFORMAT, n->at, "division by zero");
    switch (n->op) {
    case '+': r = a + b; break;
    case '-': r = a - b; break;
    case '*': r = a * b; break;
    case '/': r = a / b; break;
    default: return eh_jinja_fail(c, EH_ENOSUP, n->at, "'//', '%%' and '**' on floats are not supported");
    }
    *out = eh_jv_float(r);
    return EH_OK;
}

static bool is_list(const eh_jv *v)
{
    return v->kind == EH_JV_LIST || v->kind == EH_JV_TUPLE;
}

static int math_seq(eh_jinja *c, const node *n, const eh_jv *a, const eh_jv *b, eh_jv *out)
{
    if (a->kind == EH_JV_STR) {
        if (a->safe || b->safe)
            return eh_jinja_fail(c, EH_ENOSUP, n->at, "'+' with a string marked safe is not supported");
        eh_buf sum = {.limit = EH_JINJA_OUTPUT_MAX};
        eh_buf_str(&sum, a->s);
        eh_buf_str(&sum, b->s);
        return eh_jinja_take(c, n->at, &sum, EH_OK, out);
    }
    const int rc = eh_jinja_seq(c, n->at, a->kind, a->seq->n + b->seq->n, out);
    for (int64_t k = 0; rc == EH_OK && k < out->seq->n; k++)
        out->seq->v[k] = k < a->seq->n ? a->seq->v[k] : b->seq->v[k - a->seq->n];
    return rc;
}

static int repeat(eh_jinja *c, const node *n, const eh_jv *what, int64_t times, eh_jv *out)
{
    times = times < 0 ? 0 : times;
    if (what->kind != EH_JV_STR || what->safe)
        return eh_jinja_fail(c, EH_ENOSUP, n->at, "repeating %s by '*' is not supported", eh_jv_type(what));
    if (what->s.n > 0 && times > EH_JINJA_OUTPUT_MAX / what->s.n)
        return eh_jinja_fail(c, EH_ERANGE, n->at, "a string grows beyond %lld bytes", (long long)EH_JINJA_OUTPUT_MAX);
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    for (int64_t k = 0; what->s.n > 0 && k < times; k++)
        eh_buf_str(&b, what->s);
    return eh_jinja_take(c, n->at, &b, EH_OK, out);
}

static int eval_math(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv a, b;
    int rc = eval(c, n->a, &a);
    if (rc == EH_OK)
        rc = eval(c, n->b, &b);
    if (rc < 0)
        return rc;
    if (a.kind == EH_JV_UNDEF || b.kind == EH_JV_UNDEF) {
        const eh_str name = a.kind == EH_JV_UNDEF ? a.s : b.s;
        return eh_jinja_fail(c, EH_EFORMAT, n->at, "'%.*s' is undefined", (int)name.n, name.p);
    }
    if (n->op == '%' && a.kind == EH_JV_STR)
        return eh_jinja_fail(c, EH_ENOSUP, n->at, "formatting a string by '%%' is not supported");
    if (eh_jv_is_number(&a) && eh_jv_is_number(&b))
        return a.kind == EH_JV_FLOAT || b.kind == EH_JV_FLOAT ? math_real(c, n, real(&a), real(&b), out)
                                                              : math_int(c, n, whole(&a), whole(&b), out);
    if (n->op == '+' && a.kind == b.kind && (a.kind == EH_JV_STR || is_list(&a)))
        return math_seq(c, n, &a, &b, out);
    const bool a_times = a.kind == EH_JV_INT || a.kind == EH_JV_BOOL;
    const bool b_times = b.kind == EH_JV_INT || b.kind == EH_JV_BOOL;
    if (n->op == '*' && a_times && (b.kind == EH_JV_STR || is_list(&b)))
        return repeat(c, n, &b, whole(&a), out);
    if (n->op == '*' && b_times && (a.kind == EH_JV_STR || is_list(&a)))
        return repeat(c, n, &a, whole(&b), out);
    return cannot(c, n, &a, &b);
}

static int eval_sign(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv a;
    const int rc = eval(c, n->a, &a);
    if (rc < 0)
        return rc;
    if (!eh_jv_is_number(&a))
        return eh_jinja_fail(c, EH_EFORMAT, n->at, "a sign does not work on %s", eh_jv_type(&a));
    if (a.kind == EH_JV_FLOAT)
        *out = eh_jv_float(n->op == '-' ? -a.f : a.f);
    else if (n->op == '-' && whole(&a) == INT64_MIN)
        return too_large(c, n);
    else
        *out = eh_jv_int(n->op == '-' ? -whole(&a) : whole(&a));
    return EH_OK;
}

static int compare(eh_jinja *c, const node *n, const eh_jv *a, const eh_jv *b, bool *out)
{
    int rc, order = 0;
    switch (n->op) {
    case EH_JO_EQ:
    case EH_JO_NE:
        rc = eh_jv_equal(c, n->at, a, b, out);
        *out = *out == (n->op == EH_JO_EQ);
        return rc;
    case EH_JO_IN:
    case EH_JO_NOTIN:
        rc = eh_jv_in(c, n->at, a, b, out);
        *out = *out == (n->op == EH_JO_IN);
        return rc;
    default: break;
    }
    rc = eh_jv_order(c, n->at, a, b, &order);
    *out = n->op == '<'        ? order == -1
           : n->op == '>'      ? order == 1
           : n->op == EH_JO_LE ? order <= 0
                               : order == 0 || order == 1;
    return rc;
}

/* a < b < c is (a < b) and (b < c), each evaluated once. */
static int eval_compare(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv left, right;
    bool holds = true;
    int rc = eval(c, n->a, &left);
    for (const node *o = n->list; rc == EH_OK && holds && o != NULL; o = o->next) {
        if ((rc = eval(c, o->a, &right)) == EH_OK)
            rc = compare(c, o, &left, &right, &holds);
        left = right;
    }
    *out = eh_jv_bool(holds);
    return rc;
}

/* ---- Other expressions ----------------------------------------------------------------------- */

static int eval_list(eh_jinja *c, const node *n, eh_jv *out)
{
    int64_t count = 0;
    for (const node *item = n->list; item != NULL; item = item->next)
        count++;
    eh_jv made;
    int rc = eh_jinja_seq(c, n->at, n->kind == EH_JN_LIST ? EH_JV_LIST : EH_JV_TUPLE, count, &made);
    count = 0;
    for (const node *item = n->list; rc == EH_OK && item != NULL; item = item->next)
        rc = eval(c, item, &made.seq->v[count++]);
    *out = made;
    return rc;
}

static int eval_dict(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv_dict *d = eh_jinja_new(c, n->at, 1, (int64_t)sizeof *d);
    if (d == NULL)
        return c->err->code;
    for (const node *pair = n->list; pair != NULL; pair = pair->next) {
        eh_jv key, value;
        int rc = eval(c, pair->a, &key);
        if (rc == EH_OK)
            rc = eval(c, pair->b, &value);
        if (rc == EH_OK)
            rc = eh_jv_dict_set(c, pair->at, d, &key, &value);
        if (rc < 0)
            return rc;
    }
    *out = (eh_jv){.kind = EH_JV_DICT, .dict = d};
    return EH_OK;
}

static int eval_item(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv v, key;
    int rc = eval(c, n->a, &v);
    if (rc < 0)
        return rc;
    if (n->b->kind != EH_JN_SLICE) {
        rc = eval(c, n->b, &key);
        return rc == EH_OK ? eh_jv_item(c, n->at, &v, &key, out) : rc;
    }
    const node *part[3] = {n->b->a, n->b->b, n->b->c};
    eh_jv bound[3] = {eh_jv_none(), eh_jv_none(), eh_jv_none()};
    for (int k = 0; k < 3; k++)
        if (part[k] != NULL && (rc = eval(c, part[k], &bound[k])) < 0)
            return rc;
    return eh_jv_slice(c, n->at, &v, bound, out);
}

static int eval_concat(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_buf b = {.limit = EH_JINJA_OUTPUT_MAX};
    int rc = EH_OK;
    for (const node *part = n->list; rc == EH_OK && part != NULL; part = part->next) {
        eh_jv v;
        rc = eval(c, part, &v);
        if (rc == EH_OK)
            rc = eh_jv_put(c, part->at, &v, &b);
    }
    return eh_jinja_take(c, n->at, &b, rc, out);
}

static int eval_filter(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv v;
    eh_jinja_args args;
    int rc = eval(c, n->a, &v);
    if (rc == EH_OK)
        rc = eval_args(c, n, &args);
    return rc == EH_OK ? eh_jinja_filter(c, n->at, n->name, v, &args, out) : rc;
}

static int eval_test(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv v;
    eh_jinja_args args;
    bool passes = false;
    int rc = eval(c, n->a, &v);
    if (rc == EH_OK)
        rc = eval_args(c, n, &args);
    if (rc == EH_OK)
        rc = eh_jinja_test(c, n->at, n->name, v, &args, &passes);
    *out = eh_jv_bool(passes);
    return rc;
}

static int eval_cond(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv test;
    const int rc = eval(c, n->b, &test);
    if (rc < 0)
        return rc;
    if (eh_jv_true(&test))
        return eval(c, n->a, out);
    *out = eh_jv_undef(EH_STR("if without else"));
    return n->c != NULL ? eval(c, n->c, out) : EH_OK;
}

/* `and` and `or` give one of their operands, as in Python. */
static int eval_logic(eh_jinja *c, const node *n, eh_jv *out)
{
    const int rc = eval(c, n->a, out);
    if (rc < 0 || eh_jv_true(out) != (n->kind == EH_JN_AND))
        return rc;
    return eval(c, n->b, out);
}

static int eval_attr(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv v;
    const int rc = eval(c, n->a, &v);
    return rc == EH_OK ? eh_jv_attr(c, n->at, &v, n->name, out) : rc;
}

static int eval_not(eh_jinja *c, const node *n, eh_jv *out)
{
    eh_jv v;
    const int rc = eval(c, n->a, &v);
    if (rc == EH_OK)
        *out = eh_jv_bool(!eh_jv_true(&v));
    return rc;
}

static int eval_inner(eh_jinja *c, const node *n, eh_jv *out)
{
    switch (n->kind) {
    case EH_JN_CONST: *out = n->value; return EH_OK;
    case EH_JN_NAME: return name_value(c, n, out);
    case EH_JN_LIST:
    case EH_JN_TUPLE: return eval_list(c, n, out);
    case EH_JN_DICT: return eval_dict(c, n, out);
    case EH_JN_ATTR: return eval_attr(c, n, out);
    case EH_JN_ITEM: return eval_item(c, n, out);
    case EH_JN_CALL: return eval_call(c, n, out);
    case EH_JN_FILTER: return eval_filter(c, n, out);
    case EH_JN_TEST: return eval_test(c, n, out);
    case EH_JN_NOT: return eval_not(c, n, out);
    case EH_JN_SIGN: return eval_sign(c, n, out);
    case EH_JN_AND:
    case EH_JN_OR: return eval_logic(c, n, out);
    case EH_JN_COMPARE: return eval_compare(c, n, out);
    case EH_JN_MATH: return eval_math(c, n, out);
    case EH_JN_CONCAT: return eval_concat(c, n, out);
    case EH_JN_COND: return eval_cond(c, n, out);
    default: return eh_jinja_fail(c, EH_EFORMAT, n->at, "not an expression");
    }
}

static int eval(eh_jinja *c, const node *n, eh_jv *out)
{
    int rc = eh_jinja_step(c, n->at, 1, 0);
    if (rc == EH_OK)
        rc = eh_jinja_deeper(c, n->at);
    if (rc < 0)
        return rc;
    eh_jv v = eh_jv_none();
    rc = eval_inner(c, n, &v);
    c->depth--;
    *out = v;
    return rc;
}

/* ---- Loops ----------------------------------------------------------------------------------- */

/* Whether the loop's `if` holds for an item; its target is set in a scope of its own. */
static int loop_takes(eh_jinja *c, const eh_jv_loop *loop, const eh_jv *item, bool *takes)
{
    *takes = true;
    if (loop->node->c == NULL)
        return EH_OK;
    eh_jinja_scope *const before = c->scope;
    c->scope = eh_jinja_open_scope(c, loop->node->at, loop->outer);
    eh_jv test;
    int rc = c->scope == NULL ? c->err->code : assign(c, loop->node->a, item);
    if (rc == EH_OK)
        rc = eval(c, loop->node->c, &test);
    if (rc == EH_OK)
        *takes = eh_jv_true(&test);
    c->scope = before;
    return rc;
}

static int loop_once(eh_jinja *c, const node *n, eh_jv_loop *loop, eh_jinja_scope *outer)
{
    c->scope = eh_jinja_open_scope(c, n->at, outer);
    if (c->scope == NULL)
        return c->err->code;
    loop->before = loop->now;
    loop->now = loop->after;
    loop->has_after = false;
    loop->index0++;
    int rc = assign(c, n->a, &loop->now);
    if (rc == EH_OK)
        rc = eh_jinja_set(c, n->at, EH_STR("loop"), (eh_jv){.kind = EH_JV_LOOP, .loop = loop});
    return rc == EH_OK ? run(c, n->list) : rc;
}

static int run_for(eh_jinja *c, const node *n)
{
    eh_jinja_scope *const outer = c->scope;
    bool reached_end = false; /* Jinja runs the else unless some round came to the end of the body */
    eh_jv over;
    int rc = eval(c, n->b, &over);
    if (rc < 0)
        return rc;
    eh_jv_loop *loop = eh_jinja_new(c, n->at, 1, (int64_t)sizeof *loop);
    if (loop == NULL)
        return c->err->code;
    *loop = (eh_jv_loop){.node = n, .outer = outer, .takes = loop_takes, .index0 = -1, .length = -1};
    rc = eh_jv_items(c, n->at, &over, &loop->seq);
    while (rc == GO_ON) {
        if ((rc = eh_jinja_loop_peek(c, n->at, loop)) < 0 || !loop->has_after)
            break;
        rc = loop_once(c, n, loop, outer);
        reached_end = reached_end || rc == GO_ON;
        rc = rc == CONTINUE ? GO_ON : rc;
    }
    c->scope = outer;
    if (rc == BREAK)
        rc = GO_ON;
    if (rc == GO_ON && !reached_end && n->more != NULL) {
        if ((c->scope = eh_jinja_open_scope(c, n->at, outer)) == NULL)
            rc = c->err->code;
        else
            rc = run(c, n->more);
        c->scope = outer;
    }
    return rc;
}

/* ---- Statements ------------------------------------------------------------------------------ */

static int run_if(eh_jinja *c, const node *n)
{
    for (;;) {
        eh_jv test;
        const int rc = eval(c, n->a, &test);
        if (rc < 0)
            return rc;
        if (eh_jv_true(&test))
            return run(c, n->list);
        if (n->more == NULL || n->more->kind != EH_JN_IF || n->more->next != NULL)
            return run(c, n->more);
        n = n->more; /* an elif, or an if alone in the else: a long chain of them is no deep one */
    }
}

static int run_print(eh_jinja *c, const node *n)
{
    eh_jv v;
    int rc = eval(c, n->a, &v);
    if (rc == EH_OK)
        rc = eh_jv_put(c, n->at, &v, c->out);
    return rc;
}

static int run_set(eh_jinja *c, const node *n)
{
    eh_jv v;
    const int rc = eval(c, n->b, &v);
    return rc == EH_OK ? assign(c, n->a, &v) : rc;
}

/* Statements in a scope of their own; with `into`, what they write becomes a string there. */
static int run_scope(eh_jinja *c, const node *n, eh_jv *into)
{
    eh_jinja_scope *const outer = c->scope;
    eh_jinja_scope *inner = eh_jinja_open_scope(c, n->at, outer);
    if (inner == NULL)
        return c->err->code;
    int rc = GO_ON;
    for (const node *set = n->kind == EH_JN_WITH ? n->more : NULL; rc == GO_ON && set != NULL; set = set->next) {
        eh_jv v; /* evaluated outside, set inside */
        c->scope = outer;
        rc = eval(c, set->b, &v);
        c->scope = inner;
        if (rc == GO_ON)
            rc = assign(c, set->a, &v);
    }
    c->scope = inner;
    if (rc == GO_ON)
        rc = into != NULL ? capture(c, n->at, n->list, into) : run(c, n->list);
    c->scope = outer;
    return rc;
}

static int run_macro(eh_jinja *c, const node *n)
{
    eh_jv_macro *m = eh_jinja_new(c, n->at, 1, (int64_t)sizeof *m);
    if (m == NULL)
        return c->err->code;
    *m = (eh_jv_macro){n, c->scope};
    return eh_jinja_set(c, n->at, n->name, (eh_jv){.kind = EH_JV_MACRO, .macro = m});
}

static int run_setblock(eh_jinja *c, const node *n)
{
    eh_jv v;
    const int rc = run_scope(c, n, &v);
    return rc == GO_ON ? assign(c, n->a, &v) : rc;
}

static int run_one(eh_jinja *c, const node *n)
{
    switch (n->kind) {
    case EH_JN_DATA: eh_buf_str(c->out, n->name); return eh_jinja_step(c, n->at, 0, n->name.n);
    case EH_JN_PRINT: return run_print(c, n);
    case EH_JN_IF: return run_if(c, n);
    case EH_JN_FOR: return run_for(c, n);
    case EH_JN_SET: return run_set(c, n);
    case EH_JN_SETBLOCK: return run_setblock(c, n);
    case EH_JN_MACRO: return run_macro(c, n);
    case EH_JN_WITH:
    case EH_JN_SCOPE: return run_scope(c, n, NULL);
    case EH_JN_BREAK: return BREAK;
    case EH_JN_CONTINUE: return CONTINUE;
    default: return eh_jinja_fail(c, EH_EFORMAT, n->at, "not a statement");
    }
}

static int run(eh_jinja *c, const node *body)
{
    int rc = GO_ON;
    for (const node *n = body; n != NULL && rc == GO_ON; n = n->next) {
        if ((rc = eh_jinja_step(c, n->at, 1, 0)) < 0 || (rc = eh_jinja_deeper(c, n->at)) < 0)
            return rc;
        rc = run_one(c, n);
        c->depth--;
        if (rc >= 0 && c->out->fault != 0)
            rc = c->out->fault == EH_ENOMEM
                     ? eh_jinja_fail(c, EH_ENOMEM, n->at, "no memory for the text")
                     : eh_jinja_fail(c, EH_ERANGE, n->at, "the text grows beyond %lld bytes",
                                     (long long)EH_JINJA_OUTPUT_MAX);
    }
    return rc;
}

int eh_jinja_run(eh_jinja *c, const eh_jinja_node *body)
{
    return run(c, body);
}
