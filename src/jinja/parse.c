/*
 * Tokens to the tree: Jinja's grammar, rule by rule.
 * Source: the Jinja 3.1 template designer documentation.
 */
#include "jinja/lex.h"

typedef eh_jinja_parser parser;
typedef eh_jinja_token token;

static int fail(parser *p, int code, const char *what, eh_str name)
{
    return eh_jinja_fail(p->c, code, p->now.at, "%s '%.*s'", what, (int)name.n, name.p);
}

static int unexpected(parser *p, const char *wanted)
{
    static const char *const name[] = {
        [EH_JT_END] = "the end of the template", [EH_JT_DATA] = "text",      [EH_JT_PRINT] = "'{{'",
        [EH_JT_PRINT_END] = "'}}'",              [EH_JT_BLOCK] = "'{%'",     [EH_JT_BLOCK_END] = "'%}'",
        [EH_JT_NAME] = "the name",               [EH_JT_STR] = "a string",   [EH_JT_INT] = "an integer",
        [EH_JT_FLOAT] = "a float",               [EH_JT_OP] = "the operator",
    };
    const eh_str s = p->now.kind == EH_JT_NAME || p->now.kind == EH_JT_OP ? p->now.s : EH_STR("");
    return eh_jinja_fail(p->c, EH_EFORMAT, p->now.at, "%s%s%.*s found, %s wanted", name[p->now.kind],
                         s.n > 0 ? " " : "", (int)s.n, s.p, wanted);
}

static bool is_op(const parser *p, int op)
{
    return p->now.kind == EH_JT_OP && p->now.op == op;
}

static bool is_name(const parser *p, const char *name)
{
    return p->now.kind == EH_JT_NAME && eh_str_eq(p->now.s, eh_str_of(name));
}

static int expect_op(parser *p, char op)
{
    const char wanted[] = {'\'', op, '\'', '\0'};
    return is_op(p, (unsigned char)op) ? eh_jinja_advance(p) : unexpected(p, wanted);
}

static int expect(parser *p, eh_jinja_token_kind kind, const char *wanted)
{
    return p->now.kind == kind ? eh_jinja_advance(p) : unexpected(p, wanted);
}

/* ---- Expressions ----------------------------------------------------------------------------- */

typedef eh_jinja_node node;

static int make(parser *p, eh_jinja_node_kind kind, int64_t at, node **out)
{
    node *n = eh_jinja_new(p->c, at, 1, (int64_t)sizeof *n);
    if (n == NULL)
        return p->c->err->code;
    n->kind = kind;
    n->at = at;
    *out = n;
    return EH_OK;
}

static int make_two(parser *p, eh_jinja_node_kind kind, int64_t at, int op, node *a, node *b, node **out)
{
    const int rc = make(p, kind, at, out);
    if (rc == EH_OK) {
        (*out)->op = op;
        (*out)->a = a;
        (*out)->b = b;
    }
    return rc;
}

static int deeper(parser *p)
{
    if (p->depth >= EH_JINJA_PARSE_DEPTH)
        return eh_jinja_fail(p->c, EH_ERANGE, p->now.at, "the template is nested more than %d deep",
                             EH_JINJA_PARSE_DEPTH);
    p->depth++;
    return EH_OK;
}

static int parse_expr(parser *p, node **out);
static int parse_or(parser *p, node **out);
static int parse_unary(parser *p, bool with_filter, node **out);

/* Expressions between commas up to `)`, a tag's end or a name in `stop`: one alone is itself, else a tuple. */
static int parse_tuple(parser *p, bool with_cond, bool empty_is_fine, const char *stop, node **out)
{
    const int64_t at = p->now.at;
    node *first = NULL, **end = &first;
    bool comma = false;
    for (;;) {
        if (p->now.kind == EH_JT_PRINT_END || p->now.kind == EH_JT_BLOCK_END || is_op(p, ')') ||
            (stop != NULL && is_name(p, stop)))
            break;
        int rc = with_cond ? parse_expr(p, end) : parse_or(p, end);
        if (rc < 0)
            return rc;
        end = &(*end)->next;
        if (!is_op(p, ','))
            break;
        comma = true;
        if ((rc = eh_jinja_advance(p)) < 0)
            return rc;
    }
    if (!comma && first != NULL) {
        *out = first;
        return EH_OK;
    }
    if (!comma && !empty_is_fine)
        return unexpected(p, "an expression");
    const int rc = make(p, EH_JN_TUPLE, at, out);
    if (rc == EH_OK)
        (*out)->list = first;
    return rc;
}

static int parse_list(parser *p, node **out)
{
    node *n = NULL;
    int rc = make(p, EH_JN_LIST, p->now.at, &n);
    if (rc == EH_OK)
        rc = eh_jinja_advance(p);
    for (node **end = &n->list; rc == EH_OK && !is_op(p, ']'); end = &(*end)->next) {
        if ((rc = parse_expr(p, end)) < 0)
            return rc;
        if (!is_op(p, ']'))
            rc = expect_op(p, ',');
    }
    *out = n;
    return rc == EH_OK ? eh_jinja_advance(p) : rc;
}

static int parse_pair(parser *p, node **out)
{
    node *key, *value;
    const int64_t at = p->now.at;
    int rc = parse_expr(p, &key);
    if (rc == EH_OK)
        rc = expect_op(p, ':');
    if (rc == EH_OK)
        rc = parse_expr(p, &value);
    return rc == EH_OK ? make_two(p, EH_JN_PAIR, at, 0, key, value, out) : rc;
}

static int parse_dict(parser *p, node **out)
{
    node *n = NULL;
    int rc = make(p, EH_JN_DICT, p->now.at, &n);
    if (rc == EH_OK)
        rc = eh_jinja_advance(p);
    for (node **end = &n->list; rc == EH_OK && !is_op(p, '}'); end = &(*end)->next) {
        if ((rc = parse_pair(p, end)) < 0)
            return rc;
        if (!is_op(p, '}'))
            rc = expect_op(p, ',');
    }
    *out = n;
    return rc == EH_OK ? eh_jinja_advance(p) : rc;
}

/* "one" "after another" is one string. */
static int parse_strings(parser *p, eh_jv *out)
{
    *out = eh_jv_str(p->now.s);
    int rc = eh_jinja_advance(p);
    while (rc == EH_OK && p->now.kind == EH_JT_STR) {
        eh_buf b = {.limit = EH_JINJA_TEMPLATE_MAX};
        eh_buf_str(&b, out->s);
        eh_buf_str(&b, p->now.s);
        rc = eh_jinja_take(p->c, p->now.at, &b, EH_OK, out);
        if (rc == EH_OK)
            rc = eh_jinja_advance(p);
    }
    return rc;
}

static int parse_name(parser *p, node *n)
{
    if (is_name(p, "true") || is_name(p, "True"))
        n->value = eh_jv_bool(true);
    else if (is_name(p, "false") || is_name(p, "False"))
        n->value = eh_jv_bool(false);
    else if (is_name(p, "none") || is_name(p, "None"))
        n->value = eh_jv_none();
    else {
        n->kind = EH_JN_NAME;
        n->name = p->now.s;
    }
    return eh_jinja_advance(p);
}

static int parse_primary(parser *p, node **out)
{
    if (is_op(p, '[') || is_op(p, '{'))
        return is_op(p, '[') ? parse_list(p, out) : parse_dict(p, out);
    if (is_op(p, '(')) {
        int rc = eh_jinja_advance(p);
        if (rc == EH_OK)
            rc = parse_tuple(p, true, true, NULL, out);
        return rc == EH_OK ? expect_op(p, ')') : rc;
    }
    int rc = make(p, EH_JN_CONST, p->now.at, out);
    if (rc < 0)
        return rc;
    switch (p->now.kind) {
    case EH_JT_NAME: return parse_name(p, *out);
    case EH_JT_STR: return parse_strings(p, &(*out)->value);
    case EH_JT_INT: (*out)->value = eh_jv_int(p->now.i); return eh_jinja_advance(p);
    case EH_JT_FLOAT: (*out)->value = eh_jv_float(p->now.f); return eh_jinja_advance(p);
    default: return unexpected(p, "an expression");
    }
}

/* Inside [ ]: an expression, or a slice with its parts left out at will. */
static int parse_subscript(parser *p, node **out)
{
    node *part[3] = {NULL, NULL, NULL};
    const int64_t at = p->now.at;
    int n_colon = 0;
    int rc = EH_OK;
    while (rc == EH_OK && !is_op(p, ']')) {
        if (is_op(p, ':') && n_colon < 2) {
            n_colon++;
            rc = eh_jinja_advance(p);
        } else if (part[n_colon] == NULL) {
            rc = parse_expr(p, &part[n_colon]);
        } else {
            return is_op(p, ',') ? eh_jinja_fail(p->c, EH_ENOSUP, p->now.at, "a tuple as an index is not supported")
                                 : unexpected(p, "']'");
        }
    }
    if (rc < 0)
        return rc;
    if (n_colon == 0) {
        *out = part[0];
        return part[0] != NULL ? EH_OK : unexpected(p, "an index");
    }
    rc = make_two(p, EH_JN_SLICE, at, 0, part[0], part[1], out);
    if (rc == EH_OK)
        (*out)->c = part[2];
    return rc;
}

static int parse_argument(parser *p, node **out)
{
    if (is_op(p, '*') || is_op(p, EH_JO_POW))
        return eh_jinja_fail(p->c, EH_ENOSUP, p->now.at, "arguments by * and ** are not supported");
    token next = {0};
    if (p->now.kind == EH_JT_NAME) {
        const int rc = eh_jinja_look(p, &next);
        if (rc < 0)
            return rc;
    }
    if (next.kind != EH_JT_OP || next.op != '=')
        return parse_expr(p, out);
    const token name = p->now;
    node *value;
    int rc = eh_jinja_advance(p);
    if (rc == EH_OK)
        rc = eh_jinja_advance(p);
    if (rc == EH_OK)
        rc = parse_expr(p, &value);
    if (rc == EH_OK)
        rc = make_two(p, EH_JN_KEYWORD, name.at, 0, value, NULL, out);
    if (rc == EH_OK)
        (*out)->name = name.s;
    return rc;
}

/* From ( to ). */
static int parse_arguments(parser *p, node **list)
{
    bool keywords = false;
    int rc = eh_jinja_advance(p);
    for (node **end = list; rc == EH_OK && !is_op(p, ')'); end = &(*end)->next) {
        if ((rc = parse_argument(p, end)) < 0)
            return rc;
        if (keywords && (*end)->kind != EH_JN_KEYWORD)
            return eh_jinja_fail(p->c, EH_EFORMAT, (*end)->at, "an argument without a name after one with a name");
        keywords = (*end)->kind == EH_JN_KEYWORD;
        if (!is_op(p, ')'))
            rc = expect_op(p, ',');
    }
    return rc == EH_OK ? eh_jinja_advance(p) : rc;
}

static int parse_call(parser *p, node **out)
{
    node *callee = *out;
    int rc = make_two(p, EH_JN_CALL, p->now.at, 0, callee, NULL, out);
    return rc == EH_OK ? parse_arguments(p, &(*out)->list) : rc;
}

static int parse_attribute(parser *p, node **out)
{
    int rc = eh_jinja_advance(p);
    if (rc < 0)
        return rc;
    node *n = NULL, *index = NULL;
    if (p->now.kind == EH_JT_INT) {
        rc = make(p, EH_JN_CONST, p->now.at, &index);
        if (rc == EH_OK)
            index->value = eh_jv_int(p->now.i);
    } else if (p->now.kind != EH_JT_NAME) {
        return unexpected(p, "a name");
    }
    if (rc == EH_OK)
        rc = make_two(p, index != NULL ? EH_JN_ITEM : EH_JN_ATTR, p->now.at, 0, *out, index, &n);
    if (rc < 0)
        return rc;
    n->name = p->now.s;
    *out = n;
    return eh_jinja_advance(p);
}

/* Everything after a value that takes it apart or calls it. */
static int parse_postfix(parser *p, node **out)
{
    int rc = EH_OK;
    while (rc == EH_OK) {
        if (is_op(p, '.')) {
            rc = parse_attribute(p, out);
        } else if (is_op(p, '(')) {
            rc = parse_call(p, out);
        } else if (is_op(p, '[')) {
            node *index = NULL;
            const int64_t at = p->now.at;
            if ((rc = eh_jinja_advance(p)) == EH_OK && (rc = parse_subscript(p, &index)) == EH_OK)
                rc = make_two(p, EH_JN_ITEM, at, 0, *out, index, out);
            if (rc == EH_OK)
                rc = expect_op(p, ']');
        } else {
            break;
        }
    }
    return rc;
}

/* The name of a filter or test, with dots in it as Jinja allows: none of those is known. */
static int parse_filter_name(parser *p, node *n)
{
    if (p->now.kind != EH_JT_NAME)
        return unexpected(p, "a name");
    n->at = p->now.at;
    n->name = p->now.s;
    int rc = eh_jinja_advance(p);
    if (rc == EH_OK && is_op(p, '.'))
        return eh_jinja_fail(p->c, EH_ENOSUP, p->now.at, "filters and tests with dots in their name are not supported");
    return rc;
}

static int parse_filter(parser *p, node **out)
{
    node *n = NULL;
    int rc = make_two(p, EH_JN_FILTER, p->now.at, 0, *out, NULL, &n);
    if (rc == EH_OK && (rc = eh_jinja_advance(p)) == EH_OK)
        rc = parse_filter_name(p, n);
    if (rc == EH_OK && is_op(p, '('))
        rc = parse_arguments(p, &n->list);
    *out = n;
    return rc;
}

static int parse_test(parser *p, node **out)
{
    node *n = NULL;
    int rc = make_two(p, EH_JN_TEST, p->now.at, 0, *out, NULL, &n);
    if (rc == EH_OK)
        rc = eh_jinja_advance(p);
    const bool negated = is_name(p, "not");
    if (rc == EH_OK && negated)
        rc = eh_jinja_advance(p);
    if (rc == EH_OK)
        rc = parse_filter_name(p, n);
    if (rc < 0)
        return rc;
    if (is_op(p, '(')) {
        rc = parse_arguments(p, &n->list);
    } else if (is_name(p, "is")) {
        return eh_jinja_fail(p->c, EH_EFORMAT, p->now.at, "tests with `is` cannot follow one another");
    } else if ((p->now.kind == EH_JT_NAME && !is_name(p, "else") && !is_name(p, "or") && !is_name(p, "and")) ||
               p->now.kind == EH_JT_STR || p->now.kind == EH_JT_INT || p->now.kind == EH_JT_FLOAT || is_op(p, '[') ||
               is_op(p, '{')) {
        if ((rc = parse_primary(p, &n->list)) == EH_OK)
            rc = parse_postfix(p, &n->list);
    }
    if (rc < 0)
        return rc;
    *out = n;
    return negated ? make_two(p, EH_JN_NOT, n->at, 0, n, NULL, out) : EH_OK;
}

static int parse_unary_inner(parser *p, bool with_filter, node **out)
{
    int rc;
    if (is_op(p, '-') || is_op(p, '+')) {
        const token sign = p->now;
        node *n = NULL;
        if ((rc = eh_jinja_advance(p)) < 0 || (rc = parse_unary(p, false, &n)) < 0)
            return rc;
        rc = make_two(p, EH_JN_SIGN, sign.at, sign.op, n, NULL, out);
    } else {
        rc = parse_primary(p, out);
    }
    if (rc == EH_OK)
        rc = parse_postfix(p, out);
    while (rc == EH_OK && with_filter) {
        if (is_op(p, '|'))
            rc = parse_filter(p, out);
        else if (is_name(p, "is"))
            rc = parse_test(p, out);
        else if (is_op(p, '('))
            rc = parse_call(p, out);
        else
            break;
    }
    return rc;
}

static int parse_unary(parser *p, bool with_filter, node **out)
{
    int rc = deeper(p);
    if (rc < 0)
        return rc;
    rc = parse_unary_inner(p, with_filter, out);
    p->depth--;
    return rc;
}

/* The binary operators that bind tighter than ~, by level: 0 is **, 1 is * / // %. */
static bool op_of_level(const parser *p, int level)
{
    if (level == 0)
        return is_op(p, EH_JO_POW);
    return is_op(p, '*') || is_op(p, '/') || is_op(p, EH_JO_FLOORDIV) || is_op(p, '%');
}

static int parse_math(parser *p, int level, node **out)
{
    int rc = level == 0 ? parse_unary(p, true, out) : parse_math(p, level - 1, out);
    while (rc == EH_OK && op_of_level(p, level)) {
        const token op = p->now;
        node *right;
        if ((rc = eh_jinja_advance(p)) == EH_OK)
            rc = level == 0 ? parse_unary(p, true, &right) : parse_math(p, level - 1, &right);
        if (rc == EH_OK)
            rc = make_two(p, EH_JN_MATH, op.at, op.op, *out, right, out);
    }
    return rc;
}

static int parse_concat(parser *p, node **out)
{
    node *first;
    int rc = parse_math(p, 1, &first);
    *out = first;
    if (rc < 0 || !is_op(p, '~'))
        return rc;
    if ((rc = make(p, EH_JN_CONCAT, p->now.at, out)) < 0)
        return rc;
    (*out)->list = first;
    node **end = &first->next;
    while (rc == EH_OK && is_op(p, '~')) {
        if ((rc = eh_jinja_advance(p)) == EH_OK && (rc = parse_math(p, 1, end)) == EH_OK)
            end = &(*end)->next;
    }
    return rc;
}

static int parse_sum(parser *p, node **out)
{
    int rc = parse_concat(p, out);
    while (rc == EH_OK && (is_op(p, '+') || is_op(p, '-'))) {
        const token op = p->now;
        node *right;
        if ((rc = eh_jinja_advance(p)) == EH_OK && (rc = parse_concat(p, &right)) == EH_OK)
            rc = make_two(p, EH_JN_MATH, op.at, op.op, *out, right, out);
    }
    return rc;
}

/* The comparison at hand, or 0; `not in` takes its `not`. */
static int comparison(parser *p, int *op)
{
    *op = 0;
    if (is_op(p, EH_JO_EQ) || is_op(p, EH_JO_NE) || is_op(p, EH_JO_LE) || is_op(p, EH_JO_GE) || is_op(p, '<') ||
        is_op(p, '>')) {
        *op = p->now.op;
    } else if (is_name(p, "in")) {
        *op = EH_JO_IN;
    } else if (is_name(p, "not")) {
        token next;
        const int rc = eh_jinja_look(p, &next);
        if (rc < 0)
            return rc;
        if (next.kind == EH_JT_NAME && eh_str_eq(next.s, EH_STR("in"))) {
            *op = EH_JO_NOTIN;
            return eh_jinja_advance(p);
        }
    }
    return EH_OK;
}

static int parse_compare(parser *p, node **out)
{
    node *first;
    int rc = parse_sum(p, &first);
    *out = first;
    node **end = NULL;
    while (rc == EH_OK) {
        int op;
        const int64_t at = p->now.at;
        node *right;
        if ((rc = comparison(p, &op)) < 0 || op == 0)
            break;
        if (end == NULL) {
            if ((rc = make_two(p, EH_JN_COMPARE, at, 0, first, NULL, out)) < 0)
                break;
            end = &(*out)->list;
        }
        if ((rc = eh_jinja_advance(p)) < 0 || (rc = parse_sum(p, &right)) < 0)
            break;
        if ((rc = make_two(p, EH_JN_OPERAND, at, op, right, NULL, end)) == EH_OK)
            end = &(*end)->next;
    }
    return rc;
}

static int parse_not(parser *p, node **out)
{
    if (!is_name(p, "not"))
        return parse_compare(p, out);
    const int64_t at = p->now.at;
    node *n = NULL;
    int rc = deeper(p);
    if (rc < 0)
        return rc;
    if ((rc = eh_jinja_advance(p)) == EH_OK && (rc = parse_not(p, &n)) == EH_OK)
        rc = make_two(p, EH_JN_NOT, at, 0, n, NULL, out);
    p->depth--;
    return rc;
}

static int parse_and(parser *p, node **out)
{
    int rc = parse_not(p, out);
    while (rc == EH_OK && is_name(p, "and")) {
        const int64_t at = p->now.at;
        node *right;
        if ((rc = eh_jinja_advance(p)) == EH_OK && (rc = parse_not(p, &right)) == EH_OK)
            rc = make_two(p, EH_JN_AND, at, 0, *out, right, out);
    }
    return rc;
}

static int parse_or(parser *p, node **out)
{
    int rc = parse_and(p, out);
    while (rc == EH_OK && is_name(p, "or")) {
        const int64_t at = p->now.at;
        node *right;
        if ((rc = eh_jinja_advance(p)) == EH_OK && (rc = parse_and(p, &right)) == EH_OK)
            rc = make_two(p, EH_JN_OR, at, 0, *out, right, out);
    }
    return rc;
}

static int parse_expr_inner(parser *p, node **out)
{
    int rc = parse_or(p, out);
    while (rc == EH_OK && is_name(p, "if")) {
        node *test, *other = NULL;
        const int64_t at = p->now.at;
        if ((rc = eh_jinja_advance(p)) < 0 || (rc = parse_or(p, &test)) < 0)
            break;
        if (is_name(p, "else") && ((rc = eh_jinja_advance(p)) < 0 || (rc = parse_expr(p, &other)) < 0))
            break;
        if ((rc = make_two(p, EH_JN_COND, at, 0, *out, test, out)) == EH_OK)
            (*out)->c = other;
    }
    return rc;
}

static int parse_expr(parser *p, node **out)
{
    int rc = deeper(p);
    if (rc < 0)
        return rc;
    rc = parse_expr_inner(p, out);
    p->depth--;
    return rc;
}

/* ---- Statements ------------------------------------------------------------------------------ */

static int parse_body(parser *p, const char *const *stop, node **list);

/* The rest of a tag, then its body up to one of the tags in `stop`, whose name is then at hand. */
static int parse_block(parser *p, const char *const *stop, node **list)
{
    int rc = is_op(p, ':') ? eh_jinja_advance(p) : EH_OK;
    if (rc == EH_OK)
        rc = expect(p, EH_JT_BLOCK_END, "'%}'");
    return rc == EH_OK ? parse_body(p, stop, list) : rc;
}

/* A body with nothing but its end tag after it; the end tag's name is passed over. */
static int parse_last_block(parser *p, const char *end, node **list)
{
    const char *const stop[] = {end, NULL};
    const int rc = parse_block(p, stop, list);
    return rc == EH_OK ? eh_jinja_advance(p) : rc;
}

static int parse_target_name(parser *p, bool with_member, node **out)
{
    if (p->now.kind != EH_JT_NAME)
        return unexpected(p, "a name to assign to");
    static const char *const fixed[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++)
        if (is_name(p, fixed[k]))
            return fail(p, EH_EFORMAT, "cannot assign to", p->now.s);
    int rc = make(p, EH_JN_NAME, p->now.at, out);
    if (rc < 0)
        return rc;
    (*out)->name = p->now.s;
    if ((rc = eh_jinja_advance(p)) < 0 || !with_member || !is_op(p, '.'))
        return rc;
    if ((rc = eh_jinja_advance(p)) < 0)
        return rc;
    if (p->now.kind != EH_JT_NAME)
        return unexpected(p, "a name");
    (*out)->kind = EH_JN_MEMBER;
    (*out)->value = eh_jv_str(p->now.s);
    return eh_jinja_advance(p);
}

/* One name or several between commas, in parentheses or not. */
static int parse_target(parser *p, bool with_member, node **out)
{
    const bool parenthesis = is_op(p, '(');
    const int64_t at = p->now.at;
    int rc = parenthesis ? eh_jinja_advance(p) : EH_OK;
    node *first = NULL, **end = &first;
    bool comma = false;
    while (rc == EH_OK) {
        if ((rc = parse_target_name(p, with_member, end)) < 0)
            return rc;
        end = &(*end)->next;
        if (!is_op(p, ','))
            break;
        comma = true;
        rc = eh_jinja_advance(p);
        if (p->now.kind != EH_JT_NAME || is_name(p, "in"))
            break; /* a comma may end the names */
    }
    if (rc == EH_OK && parenthesis)
        rc = expect_op(p, ')');
    *out = first;
    if (rc < 0 || !comma)
        return rc;
    rc = make(p, EH_JN_TUPLE, at, out);
    if (rc == EH_OK)
        (*out)->list = first;
    return rc;
}

static int parse_for(parser *p, node *n)
{
    static const char *const stop[] = {"endfor", "else", NULL};
    n->kind = EH_JN_FOR;
    int rc = parse_target(p, false, &n->a);
    if (rc == EH_OK && !is_name(p, "in"))
        rc = unexpected(p, "'in'");
    if (rc == EH_OK && (rc = eh_jinja_advance(p)) == EH_OK)
        rc = parse_tuple(p, false, false, "recursive", &n->b);
    if (rc == EH_OK && is_name(p, "if") && (rc = eh_jinja_advance(p)) == EH_OK)
        rc = parse_expr(p, &n->c);
    if (rc == EH_OK && is_name(p, "recursive"))
        rc = fail(p, EH_ENOSUP, "not supported: for ...", p->now.s);
    if (rc < 0)
        return rc;
    p->n_loop++;
    rc = parse_block(p, stop, &n->list);
    p->n_loop--;
    if (rc < 0)
        return rc;
    const bool has_else = is_name(p, "else");
    if ((rc = eh_jinja_advance(p)) == EH_OK && has_else)
        rc = parse_last_block(p, "endfor", &n->more);
    return rc;
}

static int parse_if(parser *p, node *n)
{
    static const char *const stop[] = {"elif", "else", "endif", NULL};
    for (;;) {
        n->kind = EH_JN_IF;
        int rc = parse_tuple(p, false, false, NULL, &n->a);
        if (rc == EH_OK)
            rc = parse_block(p, stop, &n->list);
        if (rc < 0)
            return rc;
        const bool is_elif = is_name(p, "elif"), is_else = is_name(p, "else");
        const int64_t at = p->now.at;
        if ((rc = eh_jinja_advance(p)) < 0)
            return rc;
        if (is_else)
            return parse_last_block(p, "endif", &n->more);
        if (!is_elif)
            return EH_OK;
        if ((rc = make(p, EH_JN_IF, at, &n->more)) < 0)
            return rc;
        n = n->more;
    }
}

static int parse_set(parser *p, node *n)
{
    n->kind = EH_JN_SET;
    int rc = parse_target(p, true, &n->a);
    if (rc < 0)
        return rc;
    if (is_op(p, '=')) {
        rc = eh_jinja_advance(p);
        return rc == EH_OK ? parse_tuple(p, true, false, NULL, &n->b) : rc;
    }
    if (is_op(p, '|'))
        return eh_jinja_fail(p->c, EH_ENOSUP, p->now.at, "a filter on a set block is not supported");
    n->kind = EH_JN_SETBLOCK;
    return parse_last_block(p, "endset", &n->list);
}

static int parse_parameter(parser *p, bool *defaults, node **out)
{
    int rc = parse_target_name(p, false, out);
    if (rc < 0)
        return rc;
    if (is_op(p, '=')) {
        *defaults = true;
        rc = eh_jinja_advance(p);
        return rc == EH_OK ? parse_expr(p, &(*out)->a) : rc;
    }
    return *defaults ? unexpected(p, "a default, as the parameter before it has one") : EH_OK;
}

static int parse_macro(parser *p, node *n)
{
    n->kind = EH_JN_MACRO;
    n->name = p->now.s;
    bool defaults = false;
    int rc = expect(p, EH_JT_NAME, "the macro's name");
    if (rc == EH_OK)
        rc = expect_op(p, '(');
    for (node **end = &n->more; rc == EH_OK && !is_op(p, ')'); end = &(*end)->next) {
        if ((rc = parse_parameter(p, &defaults, end)) < 0)
            return rc;
        if (!is_op(p, ')'))
            rc = expect_op(p, ',');
    }
    if (rc == EH_OK)
        rc = eh_jinja_advance(p);
    if (rc < 0)
        return rc;
    const int n_loop = p->n_loop;
    p->n_loop = 0;
    rc = parse_last_block(p, "endmacro", &n->list);
    p->n_loop = n_loop;
    return rc;
}

static int parse_with(parser *p, node *n)
{
    n->kind = EH_JN_WITH;
    int rc = EH_OK;
    for (node **end = &n->more; rc == EH_OK && p->now.kind != EH_JT_BLOCK_END; end = &(*end)->next) {
        if ((rc = make(p, EH_JN_SET, p->now.at, end)) < 0 || (rc = parse_target_name(p, false, &(*end)->a)) < 0 ||
            (rc = expect_op(p, '=')) < 0 || (rc = parse_expr(p, &(*end)->b)) < 0)
            return rc;
        if (p->now.kind != EH_JT_BLOCK_END)
            rc = expect_op(p, ',');
    }
    return rc == EH_OK ? parse_last_block(p, "endwith", &n->list) : rc;
}

static int parse_generation(parser *p, node *n)
{
    n->kind = EH_JN_SCOPE;
    const int n_loop = p->n_loop;
    p->n_loop = 0; /* the block is a function to Jinja, so a break in it has no loop */
    const int rc = parse_last_block(p, "endgeneration", &n->list);
    p->n_loop = n_loop;
    return rc;
}

static int parse_jump(parser *p, node *n)
{
    return p->n_loop > 0 ? EH_OK : eh_jinja_fail(p->c, EH_EFORMAT, n->at, "break or continue outside of a loop");
}

static int parse_break(parser *p, node *n)
{
    n->kind = EH_JN_BREAK;
    return parse_jump(p, n);
}

static int parse_continue(parser *p, node *n)
{
    n->kind = EH_JN_CONTINUE;
    return parse_jump(p, n);
}

/* The second half are Jinja's other statements; published chat templates do without them. */
static const struct {
    const char *name;
    int (*parse)(parser *p, node *n); /* after the name */
} statements[] = {
    {"if", parse_if},       {"for", parse_for},   {"set", parse_set},           {"macro", parse_macro},
    {"break", parse_break}, {"with", parse_with}, {"continue", parse_continue}, {"generation", parse_generation},
    {"call", NULL},         {"filter", NULL},     {"block", NULL},              {"extends", NULL},
    {"include", NULL},      {"import", NULL},     {"from", NULL},               {"print", NULL},
    {"do", NULL},           {"trans", NULL},      {"debug", NULL},              {"autoescape", NULL},
};

static int parse_statement_inner(parser *p, node **out)
{
    if (p->now.kind != EH_JT_NAME)
        return unexpected(p, "a statement");
    for (size_t k = 0; k < sizeof statements / sizeof *statements; k++) {
        if (!is_name(p, statements[k].name))
            continue;
        if (statements[k].parse == NULL)
            return fail(p, EH_ENOSUP, "not supported: the statement", p->now.s);
        int rc = make(p, EH_JN_SCOPE, p->now.at, out);
        if (rc == EH_OK)
            rc = eh_jinja_advance(p);
        return rc == EH_OK ? statements[k].parse(p, *out) : rc;
    }
    return fail(p, EH_EFORMAT, "no statement, or none that can stand here, is called", p->now.s);
}

static int parse_statement(parser *p, node **out)
{
    int rc = deeper(p);
    if (rc < 0)
        return rc;
    rc = parse_statement_inner(p, out);
    p->depth--;
    return rc;
}

static bool at_stop(const parser *p, const char *const *stop)
{
    for (; stop != NULL && *stop != NULL; stop++)
        if (is_name(p, *stop))
            return true;
    return false;
}

static int parse_piece(parser *p, node **out)
{
    if (p->now.kind == EH_JT_DATA) {
        const int rc = make(p, EH_JN_DATA, p->now.at, out);
        if (rc < 0)
            return rc;
        (*out)->name = p->now.s;
        return eh_jinja_advance(p);
    }
    int rc = make(p, EH_JN_PRINT, p->now.at, out);
    if (rc == EH_OK && (rc = eh_jinja_advance(p)) == EH_OK)
        rc = parse_tuple(p, true, false, NULL, &(*out)->a);
    return rc == EH_OK ? expect(p, EH_JT_PRINT_END, "'}}'") : rc;
}

static int parse_body(parser *p, const char *const *stop, node **list)
{
    int rc = EH_OK;
    for (node **end = list; rc == EH_OK; end = &(*end)->next) {
        if (p->now.kind == EH_JT_END)
            break;
        if (p->now.kind == EH_JT_BLOCK) {
            if ((rc = eh_jinja_advance(p)) < 0 || at_stop(p, stop))
                return rc;
            if ((rc = parse_statement(p, end)) == EH_OK)
                rc = expect(p, EH_JT_BLOCK_END, "'%}'");
        } else {
            rc = parse_piece(p, end);
        }
        if (rc < 0)
            return rc;
    }
    if (rc == EH_OK && stop != NULL)
        return unexpected(p, stop[1] == NULL ? stop[0] : "the end of a for or an if");
    return rc;
}

int eh_jinja_parse(eh_jinja *c, eh_jinja_node **body)
{
    parser *p = eh_jinja_new(c, 0, 1, (int64_t)sizeof *p);
    if (p == NULL)
        return c->err->code;
    p->c = c;
    p->s = c->src;
    p->line_start = true;
    *body = NULL;
    const int rc = eh_jinja_advance(p);
    return rc == EH_OK ? parse_body(p, NULL, body) : rc;
}
