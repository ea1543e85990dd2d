/* Walking the tree of a chat template. */
#include "jinja/engine.h"

#include <math.h>
#include <string.h>

typedef eh_chat_node node;

static int eval(eh_chat *c, const node *n, eh_cv *out);

/* How a list of statements ended. Errors are negative, as everywhere. */
enum { GO_ON = EH_OK, BREAK = 1, CONTINUE = 2 };
static int run(eh_chat *c, const node *body);

/* ---- Names ------------------------------------------------------------------------------------- */

static eh_chat_scope *open_scope(eh_chat *c, int64_t at, eh_chat_scope *outer)
{
    eh_chat_scope *s = eh_chat_new(c, at, 1, (int64_t)sizeof *s);
    if (s != NULL)
        s->outer = outer;
    return s;
}

static eh_chat_var *find_var(eh_chat_scope *s, eh_str name, int64_t *n_step)
{
    for (eh_chat_var *v = s->vars; v != NULL; v = v->next, (*n_step)++)
        if (eh_str_eq(v->name, name))
            return v;
    return NULL;
}

int eh_chat_set(eh_chat *c, int64_t at, eh_str name, eh_cv value)
{
    int64_t n_step = 0;
    eh_chat_var *v = find_var(c->scope, name, &n_step);
    const int rc = eh_chat_step(c, at, n_step, 0);
    if (rc < 0)
        return rc;
    if (v == NULL) {
        v = eh_chat_new(c, at, 1, (int64_t)sizeof *v);
        if (v == NULL)
            return c->err->code;
        v->name = name;
        v->next = c->scope->vars;
        c->scope->vars = v;
    }
    v->value = value;
    return EH_OK;
}

static int name_value(eh_chat *c, const node *n, eh_cv *out)
{
    /* transformers hands these to the template too; here they are not known, so they are not undefined either */
    static const char *const special[] = {"unk_token",  "sep_token",  "pad_token",
                                          "cls_token",  "mask_token", "additional_special_tokens"};
    int64_t n_step = 0;
    eh_chat_var *v = NULL;
    for (eh_chat_scope *s = c->scope; s != NULL && v == NULL; s = s->outer)
        v = find_var(s, n->name, &n_step);
    const int rc = eh_chat_step(c, n->at, n_step, 0);
    if (rc < 0)
        return rc;
    if (v != NULL) {
        *out = v->value;
        return EH_OK;
    }
    const eh_chat_row *row = eh_chat_function(n->name);
    if (row != NULL) {
        *out = (eh_cv){.kind = EH_CV_FUNC, .func = row};
        return EH_OK;
    }
    for (size_t k = 0; k < sizeof special / sizeof *special; k++)
        if (eh_str_eq(n->name, eh_str_of(special[k])))
            return eh_chat_fail(c, EH_ENOSUP, n->at, "the special token '%s' is not supported", special[k]);
    *out = eh_cv_undef(n->name);
    return EH_OK;
}

static int assign_one(eh_chat *c, const node *target, const eh_cv *value)
{
    if (target->kind == EH_CN_NAME)
        return eh_chat_set(c, target->at, target->name, *value);
    eh_cv space; /* a MEMBER: name.attribute */
    int rc = name_value(c, target, &space);
    if (rc < 0)
        return rc;
    if (space.kind != EH_CV_SPACE)
        return eh_chat_fail(c, EH_EFORMAT, target->at, "only a namespace's attributes can be set, not those of %s",
                            eh_cv_type(&space));
    return eh_cv_dict_set(c, target->at, space.dict, &target->value, value);
}

static int assign(eh_chat *c, const node *target, const eh_cv *value)
{
    if (target->kind != EH_CN_TUPLE)
        return assign_one(c, target, value);
    eh_cv_seq items;
    int rc = eh_cv_items(c, target->at, value, &items);
    if (rc < 0)
        return rc;
    int64_t n = 0;
    for (const node *t = target->list; t != NULL; t = t->next)
        n++;
    if (n != items.n)
        return eh_chat_fail(c, EH_EFORMAT, target->at, "%lld names for %lld values", (long long)n, (long long)items.n);
    n = 0;
    for (const node *t = target->list; rc == EH_OK && t != NULL; t = t->next)
        rc = assign_one(c, t, &items.v[n++]);
    return rc;
}

/* ---- Calls --------------------------------------------------------------------------------------- */

static int eval_args(eh_chat *c, const node *call, eh_chat_args *args)
{
    *args = (eh_chat_args){0};
    for (const node *a = call->list; a != NULL; a = a->next)
        (*(a->kind == EH_CN_KEYWORD ? &args->n_key : &args->n))++;
    const int64_t n = args->n, n_key = args->n_key;
    if (n + n_key == 0)
        return EH_OK;
    args->v = eh_chat_new(c, call->at, n + n_key, (int64_t)sizeof *args->v);
    if (args->v == NULL)
        return c->err->code;
    args->val = args->v + n;
    if (n_key > 0 && (args->key = eh_chat_new(c, call->at, n_key, (int64_t)sizeof *args->key)) == NULL)
        return c->err->code;
    int64_t i = 0, k = 0;
    for (const node *a = call->list; a != NULL; a = a->next) {
        const bool keyword = a->kind == EH_CN_KEYWORD;
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
static int capture(eh_chat *c, int64_t at, const node *body, eh_cv *out)
{
    eh_buf b = {.limit = EH_CHAT_OUTPUT_MAX};
    eh_buf *const before = c->out;
    c->out = &b;
    const int rc = run(c, body);
    c->out = before;
    const int end = eh_chat_take(c, at, &b, rc < 0 ? rc : EH_OK, out);
    return end < 0 ? end : rc; /* a break inside goes on to its loop */
}

/* The argument for a macro's i-th parameter, marked as used. NULL: not given. */
static const eh_cv *macro_arg(const node *parameter, int64_t i, const eh_chat_args *args, int64_t *n_used)
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

static int bind_macro(eh_chat *c, int64_t at, const node *macro, const eh_chat_args *args)
{
    int64_t n_used = 0, i = 0;
    for (const node *p = macro->more; p != NULL; p = p->next) {
        const eh_cv *given = macro_arg(p, i++, args, &n_used);
        eh_cv value = eh_cv_undef(p->name);
        int rc = EH_OK;
        if (given != NULL)
            value = *given;
        else if (p->a != NULL)
            rc = eval(c, p->a, &value);
        if (rc == EH_OK)
            rc = eh_chat_set(c, at, p->name, value);
        if (rc < 0)
            return rc;
    }
    if (n_used == args->n + args->n_key)
        return EH_OK;
    return eh_chat_fail(c, EH_ENOSUP, at, "an argument that the macro '%.*s' does not name, or names twice, is not supported",
                        (int)macro->name.n, macro->name.p);
}

static int call_macro(eh_chat *c, int64_t at, const eh_cv_macro *macro, const eh_chat_args *args, eh_cv *out)
{
    eh_chat_scope *const before = c->scope;
    int rc = eh_chat_deeper(c, at);
    if (rc < 0)
        return rc;
    c->scope = open_scope(c, at, macro->scope);
    rc = c->scope == NULL ? c->err->code : bind_macro(c, at, macro->node, args);
    if (rc == EH_OK)
        rc = capture(c, at, macro->node->list, out);
    c->scope = before;
    c->depth--;
    return rc;
}

static int eval_call(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv callee;
    eh_chat_args args;
    int rc = eval(c, n->a, &callee);
    if (rc < 0)
        return rc;
    if (callee.kind == EH_CV_UNDEF)
        return eh_chat_fail(c, EH_EFORMAT, n->a->at, "'%.*s' is undefined, and called", (int)callee.s.n, callee.s.p);
    if ((rc = eval_args(c, n, &args)) < 0)
        return rc;
    switch (callee.kind) {
    case EH_CV_FUNC: return eh_chat_call_row(c, n->a->at, "the function", callee.func, eh_cv_none(), &args, out);
    case EH_CV_METHOD: return eh_chat_call_row(c, n->a->at, "the method", callee.method->row, callee.method->self, &args, out);
    case EH_CV_MACRO: return call_macro(c, n->a->at, callee.macro, &args, out);
    default: return eh_chat_fail(c, EH_EFORMAT, n->a->at, "%s cannot be called", eh_cv_type(&callee));
    }
}

/* ---- Arithmetic ------------------------------------------------------------------------------------ */

static int64_t whole(const eh_cv *v)
{
    return v->kind == EH_CV_BOOL ? v->b : v->i;
}

static double real(const eh_cv *v)
{
    return v->kind == EH_CV_FLOAT ? v->f : (double)whole(v);
}

static int cannot(eh_chat *c, const node *n, const eh_cv *a, const eh_cv *b)
{
    static const struct { int op; const char *text; } names[] = {{EH_OP_FLOORDIV, "//"}, {EH_OP_POW, "**"}};
    char one[2] = {(char)n->op, '\0'};
    const char *name = one;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (n->op == names[k].op)
            name = names[k].text;
    return eh_chat_fail(c, EH_EFORMAT, n->at, "'%s' does not work on %s and %s", name, eh_cv_type(a), eh_cv_type(b));
}

static int too_large(eh_chat *c, const node *n)
{
    return eh_chat_fail(c, EH_ERANGE, n->at, "an integer goes beyond 64 bits");
}

/* Python rounds quotients down, and a remainder has the sign of what it is divided by. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int power(eh_chat *c, const node *n, int64_t a, int64_t b, eh_cv *out)
{
    if (b < 0) {
        if (a == 0)
            return eh_chat_fail(c, EH_EFORMAT, n->at, "division by zero");
        *out = eh_cv_float(pow((double)a, (double)b));
        return EH_OK;
    }
    int64_t r = 1;
    for (int64_t k = 0; k < b && a != 1 && a != 0 && a != -1; k++)
        if (__builtin_mul_overflow(r, a, &r))
            return too_large(c, n);
    if (b > 0 && (a == 0 || a == 1 || a == -1))
        r = a == -1 ? (b % 2 != 0 ? -1 : 1) : a;
    *out = eh_cv_int(r);
    return EH_OK;
}

static int math_int(eh_chat *c, const node *n, int64_t a, int64_t b, eh_cv *out)
{
    int64_t r = 0;
    bool over = false;
    if (b == 0 && (n->op == '/' || n->op == '%' || n->op == EH_OP_FLOORDIV))
        return eh_chat_fail(c, EH_EFORMAT, n->at, "division by zero");
    switch (n->op) {
    case '+': over = __builtin_add_overflow(a, b, &r); break;
    case '-': over = __builtin_sub_overflow(a, b, &r); break;
    case '*': over = __builtin_mul_overflow(a, b, &r); break;
    case '/': *out = eh_cv_float((double)a / (double)b); return EH_OK;
    case EH_OP_POW: return power(c, n, a, b, out);
    default:
        over = n->op == EH_OP_FLOORDIV && b == -1 && a == INT64_MIN;
        if (b == -1 && !over)
            r = n->op == '%' ? 0 : -a; /* INT64_MIN % -1 traps on x86 */
        else if (!over)
            r = n->op == '%' ? a - floor_div(a, b) * b : floor_div(a, b);
    }
    *out = eh_cv_int(r);
    return over ? too_large(c, n) : EH_OK;
}

static int math_real(eh_chat *c, const node *n, double a, double b, eh_cv *out)
{
    double r = 0.0;
    if (b == 0.0 && (n->op == '/' || n->op == '%' || n->op == EH_OP_FLOORDIV))
        return eh_chat_fail(c, EH_EFORMAT, n->at, "division by zero");
    switch (n->op) {
    case '+': r = a + b; break;
    case '-': r = a - b; break;
    case '*': r = a * b; break;
    case '/': r = a / b; break;
    default: return eh_chat_fail(c, EH_ENOSUP, n->at, "'//', '%%' and '**' on floats are not supported");
    }
    *out = eh_cv_float(r);
    return EH_OK;
}

static bool is_list(const eh_cv *v)
{
    return v->kind == EH_CV_LIST || v->kind == EH_CV_TUPLE;
}

static int math_seq(eh_chat *c, const node *n, const eh_cv *a, const eh_cv *b, eh_cv *out)
{
    if (a->kind == EH_CV_STR) {
        if (a->safe || b->safe)
            return eh_chat_fail(c, EH_ENOSUP, n->at, "'+' with a string marked safe is not supported");
        eh_buf sum = {.limit = EH_CHAT_OUTPUT_MAX};
        eh_buf_str(&sum, a->s);
        eh_buf_str(&sum, b->s);
        return eh_chat_take(c, n->at, &sum, EH_OK, out);
    }
    const int rc = eh_chat_seq(c, n->at, a->kind, a->seq->n + b->seq->n, out);
    for (int64_t k = 0; rc == EH_OK && k < out->seq->n; k++)
        out->seq->v[k] = k < a->seq->n ? a->seq->v[k] : b->seq->v[k - a->seq->n];
    return rc;
}

static int repeat(eh_chat *c, const node *n, const eh_cv *what, int64_t times, eh_cv *out)
{
    times = times < 0 ? 0 : times;
    if (what->kind != EH_CV_STR || what->safe)
        return eh_chat_fail(c, EH_ENOSUP, n->at, "repeating %s by '*' is not supported", eh_cv_type(what));
    if (what->s.n > 0 && times > EH_CHAT_OUTPUT_MAX / what->s.n)
        return eh_chat_fail(c, EH_ERANGE, n->at, "a string grows beyond %lld bytes", (long long)EH_CHAT_OUTPUT_MAX);
    eh_buf b = {.limit = EH_CHAT_OUTPUT_MAX};
    for (int64_t k = 0; what->s.n > 0 && k < times; k++)
        eh_buf_str(&b, what->s);
    return eh_chat_take(c, n->at, &b, EH_OK, out);
}

static int eval_math(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv a, b;
    int rc = eval(c, n->a, &a);
    if (rc == EH_OK)
        rc = eval(c, n->b, &b);
    if (rc < 0)
        return rc;
    if (a.kind == EH_CV_UNDEF || b.kind == EH_CV_UNDEF) {
        const eh_str name = a.kind == EH_CV_UNDEF ? a.s : b.s;
        return eh_chat_fail(c, EH_EFORMAT, n->at, "'%.*s' is undefined", (int)name.n, name.p);
    }
    if (n->op == '%' && a.kind == EH_CV_STR)
        return eh_chat_fail(c, EH_ENOSUP, n->at, "formatting a string by '%%' is not supported");
    if (eh_cv_is_number(&a) && eh_cv_is_number(&b))
        return a.kind == EH_CV_FLOAT || b.kind == EH_CV_FLOAT ? math_real(c, n, real(&a), real(&b), out)
                                                              : math_int(c, n, whole(&a), whole(&b), out);
    if (n->op == '+' && a.kind == b.kind && (a.kind == EH_CV_STR || is_list(&a)))
        return math_seq(c, n, &a, &b, out);
    const bool a_times = a.kind == EH_CV_INT || a.kind == EH_CV_BOOL, b_times = b.kind == EH_CV_INT || b.kind == EH_CV_BOOL;
    if (n->op == '*' && a_times && (b.kind == EH_CV_STR || is_list(&b)))
        return repeat(c, n, &b, whole(&a), out);
    if (n->op == '*' && b_times && (a.kind == EH_CV_STR || is_list(&a)))
        return repeat(c, n, &a, whole(&b), out);
    return cannot(c, n, &a, &b);
}

static int eval_sign(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv a;
    const int rc = eval(c, n->a, &a);
    if (rc < 0)
        return rc;
    if (!eh_cv_is_number(&a))
        return eh_chat_fail(c, EH_EFORMAT, n->at, "a sign does not work on %s", eh_cv_type(&a));
    if (a.kind == EH_CV_FLOAT)
        *out = eh_cv_float(n->op == '-' ? -a.f : a.f);
    else if (n->op == '-' && whole(&a) == INT64_MIN)
        return too_large(c, n);
    else
        *out = eh_cv_int(n->op == '-' ? -whole(&a) : whole(&a));
    return EH_OK;
}

static int compare(eh_chat *c, const node *n, const eh_cv *a, const eh_cv *b, bool *out)
{
    int rc, order = 0;
    switch (n->op) {
    case EH_OP_EQ:
    case EH_OP_NE:
        rc = eh_cv_equal(c, n->at, a, b, out);
        *out = *out == (n->op == EH_OP_EQ);
        return rc;
    case EH_OP_IN:
    case EH_OP_NOTIN:
        rc = eh_cv_in(c, n->at, a, b, out);
        *out = *out == (n->op == EH_OP_IN);
        return rc;
    default: break;
    }
    rc = eh_cv_order(c, n->at, a, b, &order);
    *out = n->op == '<'        ? order == -1
           : n->op == '>'      ? order == 1
           : n->op == EH_OP_LE ? order <= 0
                               : order == 0 || order == 1;
    return rc;
}

/* a < b < c is (a < b) and (b < c), each evaluated once. */
static int eval_compare(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv left, right;
    bool holds = true;
    int rc = eval(c, n->a, &left);
    for (const node *o = n->list; rc == EH_OK && holds && o != NULL; o = o->next) {
        if ((rc = eval(c, o->a, &right)) == EH_OK)
            rc = compare(c, o, &left, &right, &holds);
        left = right;
    }
    *out = eh_cv_bool(holds);
    return rc;
}

/* ---- Other expressions -------------------------------------------------------------------------------- */

static int eval_list(eh_chat *c, const node *n, eh_cv *out)
{
    int64_t count = 0;
    for (const node *item = n->list; item != NULL; item = item->next)
        count++;
    eh_cv made;
    int rc = eh_chat_seq(c, n->at, n->kind == EH_CN_LIST ? EH_CV_LIST : EH_CV_TUPLE, count, &made);
    count = 0;
    for (const node *item = n->list; rc == EH_OK && item != NULL; item = item->next)
        rc = eval(c, item, &made.seq->v[count++]);
    *out = made;
    return rc;
}

static int eval_dict(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv_dict *d = eh_chat_new(c, n->at, 1, (int64_t)sizeof *d);
    if (d == NULL)
        return c->err->code;
    for (const node *pair = n->list; pair != NULL; pair = pair->next) {
        eh_cv key, value;
        int rc = eval(c, pair->a, &key);
        if (rc == EH_OK)
            rc = eval(c, pair->b, &value);
        if (rc == EH_OK)
            rc = eh_cv_dict_set(c, pair->at, d, &key, &value);
        if (rc < 0)
            return rc;
    }
    *out = (eh_cv){.kind = EH_CV_DICT, .dict = d};
    return EH_OK;
}

static int eval_item(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv v, key;
    int rc = eval(c, n->a, &v);
    if (rc < 0)
        return rc;
    if (n->b->kind != EH_CN_SLICE) {
        rc = eval(c, n->b, &key);
        return rc == EH_OK ? eh_cv_item(c, n->at, &v, &key, out) : rc;
    }
    const node *part[3] = {n->b->a, n->b->b, n->b->c};
    eh_cv bound[3] = {eh_cv_none(), eh_cv_none(), eh_cv_none()};
    for (int k = 0; k < 3; k++)
        if (part[k] != NULL && (rc = eval(c, part[k], &bound[k])) < 0)
            return rc;
    return eh_cv_slice(c, n->at, &v, bound, out);
}

static int eval_concat(eh_chat *c, const node *n, eh_cv *out)
{
    eh_buf b = {.limit = EH_CHAT_OUTPUT_MAX};
    int rc = EH_OK;
    for (const node *part = n->list; rc == EH_OK && part != NULL; part = part->next) {
        eh_cv v;
        rc = eval(c, part, &v);
        if (rc == EH_OK)
            rc = eh_cv_put(c, part->at, &v, &b);
    }
    return eh_chat_take(c, n->at, &b, rc, out);
}

static int eval_filter(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv v;
    eh_chat_args args;
    int rc = eval(c, n->a, &v);
    if (rc == EH_OK)
        rc = eval_args(c, n, &args);
    return rc == EH_OK ? eh_chat_filter(c, n->at, n->name, v, &args, out) : rc;
}

static int eval_test(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv v;
    eh_chat_args args;
    bool passes = false;
    int rc = eval(c, n->a, &v);
    if (rc == EH_OK)
        rc = eval_args(c, n, &args);
    if (rc == EH_OK)
        rc = eh_chat_test(c, n->at, n->name, v, &args, &passes);
    *out = eh_cv_bool(passes);
    return rc;
}

static int eval_cond(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv test;
    const int rc = eval(c, n->b, &test);
    if (rc < 0)
        return rc;
    if (eh_cv_true(&test))
        return eval(c, n->a, out);
    *out = eh_cv_undef(EH_STR("if without else"));
    return n->c != NULL ? eval(c, n->c, out) : EH_OK;
}

/* `and` and `or` give one of their operands, as in Python. */
static int eval_logic(eh_chat *c, const node *n, eh_cv *out)
{
    const int rc = eval(c, n->a, out);
    if (rc < 0 || eh_cv_true(out) != (n->kind == EH_CN_AND))
        return rc;
    return eval(c, n->b, out);
}

static int eval_attr(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv v;
    const int rc = eval(c, n->a, &v);
    return rc == EH_OK ? eh_cv_attr(c, n->at, &v, n->name, out) : rc;
}

static int eval_not(eh_chat *c, const node *n, eh_cv *out)
{
    eh_cv v;
    const int rc = eval(c, n->a, &v);
    if (rc == EH_OK)
        *out = eh_cv_bool(!eh_cv_true(&v));
    return rc;
}

static int eval_inner(eh_chat *c, const node *n, eh_cv *out)
{
    switch (n->kind) {
    case EH_CN_CONST: *out = n->value; return EH_OK;
    case EH_CN_NAME: return name_value(c, n, out);
    case EH_CN_LIST:
    case EH_CN_TUPLE: return eval_list(c, n, out);
    case EH_CN_DICT: return eval_dict(c, n, out);
    case EH_CN_ATTR: return eval_attr(c, n, out);
    case EH_CN_ITEM: return eval_item(c, n, out);
    case EH_CN_CALL: return eval_call(c, n, out);
    case EH_CN_FILTER: return eval_filter(c, n, out);
    case EH_CN_TEST: return eval_test(c, n, out);
    case EH_CN_NOT: return eval_not(c, n, out);
    case EH_CN_SIGN: return eval_sign(c, n, out);
    case EH_CN_AND:
    case EH_CN_OR: return eval_logic(c, n, out);
    case EH_CN_COMPARE: return eval_compare(c, n, out);
    case EH_CN_MATH: return eval_math(c, n, out);
    case EH_CN_CONCAT: return eval_concat(c, n, out);
    case EH_CN_COND: return eval_cond(c, n, out);
    default: return eh_chat_fail(c, EH_EFORMAT, n->at, "not an expression");
    }
}

static int eval(eh_chat *c, const node *n, eh_cv *out)
{
    int rc = eh_chat_step(c, n->at, 1, 0);
    if (rc == EH_OK)
        rc = eh_chat_deeper(c, n->at);
    if (rc < 0)
        return rc;
    eh_cv v = eh_cv_none();
    rc = eval_inner(c, n, &v);
    c->depth--;
    *out = v;
    return rc;
}

/* ---- Loops -------------------------------------------------------------------------------------------------- */

/* Whether the loop's `if` holds for an item; its target is set in a scope of its own. */
static int loop_takes(eh_chat *c, const eh_cv_loop *loop, const eh_cv *item, bool *takes)
{
    *takes = true;
    if (loop->node->c == NULL)
        return EH_OK;
    eh_chat_scope *const before = c->scope;
    c->scope = open_scope(c, loop->node->at, loop->outer);
    eh_cv test;
    int rc = c->scope == NULL ? c->err->code : assign(c, loop->node->a, item);
    if (rc == EH_OK)
        rc = eval(c, loop->node->c, &test);
    if (rc == EH_OK)
        *takes = eh_cv_true(&test);
    c->scope = before;
    return rc;
}

/* Fetches the next item that the loop takes into `after`. Items are tested one ahead at most, as in
 * Jinja: the `if` may depend on what the loop's body does to a namespace. */
int eh_chat_loop_peek(eh_chat *c, int64_t at, eh_cv_loop *loop)
{
    while (!loop->has_after && loop->next < loop->seq.n) {
        const eh_cv *item = &loop->seq.v[loop->next++];
        int rc = eh_chat_step(c, at, 1, 0);
        if (rc == EH_OK)
            rc = loop_takes(c, loop, item, &loop->has_after);
        if (rc < 0)
            return rc;
        loop->after = *item;
    }
    return EH_OK;
}

int eh_chat_loop_length(eh_chat *c, int64_t at, eh_cv_loop *loop)
{
    if (loop->length >= 0)
        return EH_OK;
    int64_t kept = 0;
    for (int64_t k = loop->next; k < loop->seq.n; k++) {
        bool takes;
        int rc = eh_chat_step(c, at, 1, 0);
        if (rc == EH_OK)
            rc = loop_takes(c, loop, &loop->seq.v[k], &takes);
        if (rc < 0)
            return rc;
        kept += takes;
    }
    loop->length = kept + loop->index0 + 1 + loop->has_after;
    return EH_OK;
}

static int loop_once(eh_chat *c, const node *n, eh_cv_loop *loop, eh_chat_scope *outer)
{
    c->scope = open_scope(c, n->at, outer);
    if (c->scope == NULL)
        return c->err->code;
    loop->before = loop->now;
    loop->now = loop->after;
    loop->has_after = false;
    loop->index0++;
    int rc = assign(c, n->a, &loop->now);
    if (rc == EH_OK)
        rc = eh_chat_set(c, n->at, EH_STR("loop"), (eh_cv){.kind = EH_CV_LOOP, .loop = loop});
    return rc == EH_OK ? run(c, n->list) : rc;
}

static int run_for(eh_chat *c, const node *n)
{
    eh_chat_scope *const outer = c->scope;
    bool reached_end = false; /* Jinja runs the else unless some round came to the end of the body */
    eh_cv over;
    int rc = eval(c, n->b, &over);
    if (rc < 0)
        return rc;
    eh_cv_loop *loop = eh_chat_new(c, n->at, 1, (int64_t)sizeof *loop);
    if (loop == NULL)
        return c->err->code;
    *loop = (eh_cv_loop){.node = n, .outer = outer, .index0 = -1, .length = -1};
    rc = eh_cv_items(c, n->at, &over, &loop->seq);
    while (rc == GO_ON) {
        if ((rc = eh_chat_loop_peek(c, n->at, loop)) < 0 || !loop->has_after)
            break;
        rc = loop_once(c, n, loop, outer);
        reached_end = reached_end || rc == GO_ON;
        rc = rc == CONTINUE ? GO_ON : rc;
    }
    c->scope = outer;
    if (rc == BREAK)
        rc = GO_ON;
    if (rc == GO_ON && !reached_end && n->more != NULL) {
        if ((c->scope = open_scope(c, n->at, outer)) == NULL)
            rc = c->err->code;
        else
            rc = run(c, n->more);
        c->scope = outer;
    }
    return rc;
}

/* ---- Statements ----------------------------------------------------------------------------------------------- */

static int run_if(eh_chat *c, const node *n)
{
    for (;;) {
        eh_cv test;
        const int rc = eval(c, n->a, &test);
        if (rc < 0)
            return rc;
        if (eh_cv_true(&test))
            return run(c, n->list);
        if (n->more == NULL || n->more->kind != EH_CN_IF || n->more->next != NULL)
            return run(c, n->more);
        n = n->more; /* an elif, or an if alone in the else: a long chain of them is no deep one */
    }
}

static int run_print(eh_chat *c, const node *n)
{
    eh_cv v;
    int rc = eval(c, n->a, &v);
    if (rc == EH_OK)
        rc = eh_cv_put(c, n->at, &v, c->out);
    return rc;
}

static int run_set(eh_chat *c, const node *n)
{
    eh_cv v;
    const int rc = eval(c, n->b, &v);
    return rc == EH_OK ? assign(c, n->a, &v) : rc;
}

/* Statements in a scope of their own; with `into`, what they write becomes a string there. */
static int run_scope(eh_chat *c, const node *n, eh_cv *into)
{
    eh_chat_scope *const outer = c->scope;
    eh_chat_scope *inner = open_scope(c, n->at, outer);
    if (inner == NULL)
        return c->err->code;
    int rc = GO_ON;
    for (const node *set = n->kind == EH_CN_WITH ? n->more : NULL; rc == GO_ON && set != NULL; set = set->next) {
        eh_cv v; /* evaluated outside, set inside */
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

static int run_macro(eh_chat *c, const node *n)
{
    eh_cv_macro *m = eh_chat_new(c, n->at, 1, (int64_t)sizeof *m);
    if (m == NULL)
        return c->err->code;
    *m = (eh_cv_macro){n, c->scope};
    return eh_chat_set(c, n->at, n->name, (eh_cv){.kind = EH_CV_MACRO, .macro = m});
}

static int run_setblock(eh_chat *c, const node *n)
{
    eh_cv v;
    const int rc = run_scope(c, n, &v);
    return rc == GO_ON ? assign(c, n->a, &v) : rc;
}

static int run_one(eh_chat *c, const node *n)
{
    switch (n->kind) {
    case EH_CN_DATA: eh_buf_str(c->out, n->name); return eh_chat_step(c, n->at, 0, n->name.n);
    case EH_CN_PRINT: return run_print(c, n);
    case EH_CN_IF: return run_if(c, n);
    case EH_CN_FOR: return run_for(c, n);
    case EH_CN_SET: return run_set(c, n);
    case EH_CN_SETBLOCK: return run_setblock(c, n);
    case EH_CN_MACRO: return run_macro(c, n);
    case EH_CN_WITH:
    case EH_CN_SCOPE: return run_scope(c, n, NULL);
    case EH_CN_BREAK: return BREAK;
    case EH_CN_CONTINUE: return CONTINUE;
    default: return eh_chat_fail(c, EH_EFORMAT, n->at, "not a statement");
    }
}

static int run(eh_chat *c, const node *body)
{
    int rc = GO_ON;
    for (const node *n = body; n != NULL && rc == GO_ON; n = n->next) {
        if ((rc = eh_chat_step(c, n->at, 1, 0)) < 0 || (rc = eh_chat_deeper(c, n->at)) < 0)
            return rc;
        rc = run_one(c, n);
        c->depth--;
        if (rc >= 0 && c->out->fault != 0)
            rc = c->out->fault == EH_ENOMEM
                     ? eh_chat_fail(c, EH_ENOMEM, n->at, "no memory for the text")
                     : eh_chat_fail(c, EH_ERANGE, n->at, "the text grows beyond %lld bytes", (long long)EH_CHAT_OUTPUT_MAX);
    }
    return rc;
}

int eh_chat_run(eh_chat *c, const eh_chat_node *body)
{
    return run(c, body);
}

/* ---- Rendering ---------------------------------------------------------------------------------------------------- */

/* The template with its line ends made one and the last of them gone, as Jinja reads it. */
static int take_source(eh_chat *c, eh_str tmpl)
{
    if (tmpl.n > EH_CHAT_TEMPLATE_MAX)
        return eh_fail(c->err, EH_ERANGE, "a chat template of %lld bytes; at most %lld are read", (long long)tmpl.n,
                       (long long)EH_CHAT_TEMPLATE_MAX);
    char *p = eh_chat_new(c, 0, tmpl.n + 1, 1);
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

static int set_messages(eh_chat *c, const eh_chat_message *msg, int64_t n)
{
    eh_cv list;
    int rc = eh_chat_seq(c, 0, EH_CV_LIST, n, &list);
    for (int64_t k = 0; rc == EH_OK && k < n; k++) {
        const eh_cv role = eh_cv_str(EH_STR("role")), content = eh_cv_str(EH_STR("content"));
        const eh_cv role_is = eh_cv_str(msg[k].role), content_is = eh_cv_str(msg[k].content);
        eh_cv_dict *d = eh_chat_new(c, 0, 1, (int64_t)sizeof *d);
        if (d == NULL)
            return c->err->code;
        rc = eh_cv_dict_set(c, 0, d, &role, &role_is);
        if (rc == EH_OK)
            rc = eh_cv_dict_set(c, 0, d, &content, &content_is);
        list.seq->v[k] = (eh_cv){.kind = EH_CV_DICT, .dict = d};
    }
    return rc == EH_OK ? eh_chat_set(c, 0, EH_STR("messages"), list) : rc;
}

static int set_inputs(eh_chat *c, const eh_chat_message *msg, int64_t n, bool add_generation_prompt, eh_str bos, eh_str eos)
{
    if ((c->scope = open_scope(c, 0, NULL)) == NULL)
        return c->err->code;
    int rc = set_messages(c, msg, n);
    if (rc == EH_OK)
        rc = eh_chat_set(c, 0, EH_STR("tools"), eh_cv_none());
    if (rc == EH_OK)
        rc = eh_chat_set(c, 0, EH_STR("documents"), eh_cv_none());
    if (rc == EH_OK)
        rc = eh_chat_set(c, 0, EH_STR("add_generation_prompt"), eh_cv_bool(add_generation_prompt));
    if (rc == EH_OK && bos.p != NULL)
        rc = eh_chat_set(c, 0, EH_STR("bos_token"), eh_cv_str(bos));
    if (rc == EH_OK && eos.p != NULL)
        rc = eh_chat_set(c, 0, EH_STR("eos_token"), eh_cv_str(eos));
    return rc;
}

int eh_chat_render_at(eh_str tmpl, const eh_chat_message *msg, int64_t n, bool add_generation_prompt,
                      eh_str bos_token, eh_str eos_token, const struct tm *now, eh_buf *out, eh_err *err)
{
    eh_err own = {0};
    eh_buf text = {.limit = EH_CHAT_OUTPUT_MAX};
    eh_chat c = {.arena = {.limit = EH_CHAT_ARENA_MAX}, .err = err != NULL ? err : &own, .now = now, .out = &text};
    node *body;

    int rc = take_source(&c, tmpl);
    if (rc == EH_OK)
        rc = set_inputs(&c, msg, n, add_generation_prompt, bos_token, eos_token);
    if (rc == EH_OK)
        rc = eh_chat_parse(&c, &body);
    if (rc == EH_OK)
        rc = eh_chat_run(&c, body);
    if (rc == EH_OK) {
        eh_buf_str(out, eh_buf_get(&text));
        rc = eh_buf_check(out, "the rendered chat", err);
    }
    eh_buf_clear(&text);
    eh_arena_clear(&c.arena);
    return rc;
}

int eh_chat_render(eh_str tmpl, const eh_chat_message *msg, int64_t n, bool add_generation_prompt,
                   eh_str bos_token, eh_str eos_token, eh_buf *out, eh_err *err)
{
    return eh_chat_render_at(tmpl, msg, n, add_generation_prompt, bos_token, eos_token, NULL, out, err);
}
