/*
 * What the files of the template engine share: lex.c and parse.c make the tree, eval.c walks it,
 * builtin.c, strings.c, filters.c and tests.c hold what a template can call, value.c the values, print.c
 * their text, and render.c strings it all together.
 *
 * Everything lives in one arena that goes when the rendering is over. Functions return EH_OK or
 * a negative code with the sentence in c->err. `at` is a byte offset in the template, for messages.
 */
#ifndef EH_JINJA_INTERPRETER_H
#define EH_JINJA_INTERPRETER_H

#include "base/mem.h"
#include "jinja/jinja.h"

/* ---- Values ---------------------------------------------------------------------------------- */

typedef enum eh_jv_kind {
    EH_JV_UNDEF, /* s: what was looked for */
    EH_JV_NONE,
    EH_JV_BOOL,
    EH_JV_INT,
    EH_JV_FLOAT,
    EH_JV_STR,
    EH_JV_LIST,
    EH_JV_TUPLE,
    EH_JV_RANGE,
    EH_JV_VIEW, /* what dict.items() and its like give: can be walked and counted, not indexed */
    EH_JV_ITER, /* a generator: walked once */
    EH_JV_DICT,
    EH_JV_SPACE, /* namespace(): the one thing that can change */
    EH_JV_MACRO,
    EH_JV_FUNC,   /* a global function */
    EH_JV_METHOD, /* a method with its object */
    EH_JV_LOOP,
} eh_jv_kind;

struct eh_jinja;

typedef struct eh_jv {
    eh_jv_kind kind;
    bool safe; /* a string that went through |safe: Jinja would escape what is added to it */
    union {
        bool b;
        int64_t i;
        double f;
        eh_str s;
        struct eh_jv_seq *seq;   /* LIST, TUPLE, RANGE, VIEW, ITER */
        struct eh_jv_dict *dict; /* DICT, SPACE */
        struct eh_jv_macro *macro;
        const struct eh_jinja_row *func;
        struct eh_jv_method *method;
        struct eh_jv_loop *loop;
    };
} eh_jv;

typedef struct eh_jv_seq {
    eh_jv *v; /* [n] */
    int64_t n;
    int64_t next; /* ITER: the first item not handed out yet */
} eh_jv_seq;

typedef struct eh_jv_pair {
    eh_jv key, value;
} eh_jv_pair;

typedef struct eh_jv_dict {
    eh_jv_pair *pair; /* [n], in order of insertion */
    int64_t n, room;
} eh_jv_dict;

typedef struct eh_jv_method {
    eh_jv self;
    const struct eh_jinja_row *row;
} eh_jv_method;

typedef struct eh_jv_macro {
    const struct eh_jinja_node *node;
    struct eh_jinja_scope *scope; /* where it was defined */
} eh_jv_macro;

typedef struct eh_jv_loop {
    eh_jv_seq seq;                     /* what is looped over, before the loop's own `if` */
    const struct eh_jinja_node *node;  /* the for statement: its target and its `if` */
    struct eh_jinja_scope *outer;
    /* Whether the loop's `if` holds for an item (eval.c). */
    int (*takes)(struct eh_jinja *c, const struct eh_jv_loop *loop, const eh_jv *item, bool *takes);
    eh_jv before, now, after;
    bool has_after; /* `after` was fetched ahead of its turn */
    int64_t next;   /* of seq */
    int64_t index0;
    int64_t length; /* -1: not asked for yet */
    eh_jv_seq changed; /* what changed() was last given; v == NULL: nothing yet */
} eh_jv_loop;

static inline eh_jv eh_jv_none(void) { return (eh_jv){.kind = EH_JV_NONE}; }
static inline eh_jv eh_jv_bool(bool b) { return (eh_jv){.kind = EH_JV_BOOL, .b = b}; }
static inline eh_jv eh_jv_int(int64_t i) { return (eh_jv){.kind = EH_JV_INT, .i = i}; }
static inline eh_jv eh_jv_float(double f) { return (eh_jv){.kind = EH_JV_FLOAT, .f = f}; }
static inline eh_jv eh_jv_str(eh_str s) { return (eh_jv){.kind = EH_JV_STR, .s = s}; }
static inline eh_jv eh_jv_undef(eh_str name) { return (eh_jv){.kind = EH_JV_UNDEF, .s = name}; }

/* Booleans are whole numbers, as in Python. */
static inline bool eh_jv_is_whole(const eh_jv *v)
{
    return v->kind == EH_JV_BOOL || v->kind == EH_JV_INT;
}

static inline int64_t eh_jv_whole(const eh_jv *v)
{
    return v->kind == EH_JV_BOOL ? v->b : v->i;
}

static inline bool eh_jv_is_seq(const eh_jv *v)
{
    return v->kind == EH_JV_LIST || v->kind == EH_JV_TUPLE || v->kind == EH_JV_RANGE;
}

/* ---- The tree -------------------------------------------------------------------------------- */

typedef enum eh_jinja_node_kind {
    /* expressions */
    EH_JN_CONST,   /* value */
    EH_JN_NAME,    /* name */
    EH_JN_LIST,    /* list: items */
    EH_JN_TUPLE,   /* list: items */
    EH_JN_DICT,    /* list: pairs, each a PAIR */
    EH_JN_PAIR,    /* a: key, b: value */
    EH_JN_ATTR,    /* a.name */
    EH_JN_ITEM,    /* a[b] */
    EH_JN_SLICE,   /* a:b:c, each may be NULL */
    EH_JN_CALL,    /* a(list) */
    EH_JN_KEYWORD, /* name=a, in a list of arguments */
    EH_JN_FILTER,  /* a|name(list) */
    EH_JN_TEST,    /* a is name(list) */
    EH_JN_NOT,     /* not a */
    EH_JN_SIGN,    /* op a */
    EH_JN_AND,     /* a, b */
    EH_JN_OR,      /* a, b */
    EH_JN_COMPARE, /* a, list: OPERANDs */
    EH_JN_OPERAND, /* op a */
    EH_JN_MATH,    /* a op b */
    EH_JN_CONCAT,  /* list */
    EH_JN_COND,    /* a if b else c; c may be NULL */
    EH_JN_MEMBER,  /* name.value.s, the target of a set */
    /* statements */
    EH_JN_DATA,     /* name: the text */
    EH_JN_PRINT,    /* a */
    EH_JN_IF,       /* a: test, list: body, more: else body (an elif is an IF in it) */
    EH_JN_FOR,      /* a: target, b: over what, c: `if` or NULL, list: body, more: else body */
    EH_JN_SET,      /* a: target, b: value */
    EH_JN_SETBLOCK, /* a: target, list: body */
    EH_JN_MACRO,    /* name, more: parameters (NAME, with a: default or NULL), list: body */
    EH_JN_WITH,     /* more: SETs, list: body */
    EH_JN_SCOPE,    /* list: body of a generation block */
    EH_JN_BREAK,
    EH_JN_CONTINUE,
} eh_jinja_node_kind;

/* Operators: the character itself, or one of these. */
enum { EH_JO_EQ = 256, EH_JO_NE, EH_JO_LE, EH_JO_GE, EH_JO_FLOORDIV, EH_JO_POW, EH_JO_IN, EH_JO_NOTIN };

typedef struct eh_jinja_node {
    eh_jinja_node_kind kind;
    int op;
    int64_t at;
    eh_str name;
    eh_jv value;
    struct eh_jinja_node *a, *b, *c, *list, *more;
    struct eh_jinja_node *next; /* in the list that this node is in */
} eh_jinja_node;

typedef struct eh_jinja_binding {
    eh_str name;
    eh_jv value;
    struct eh_jinja_binding *next;
} eh_jinja_binding;

typedef struct eh_jinja_scope {
    struct eh_jinja_scope *outer;
    eh_jinja_binding *vars;
} eh_jinja_scope;

typedef struct eh_jinja {
    eh_arena arena;
    const eh_jinja_input *in;
    const char *what; /* the template is called so in messages */
    eh_str src;       /* the template, line ends made one */
    eh_err *err;      /* never NULL */
    eh_buf *out;      /* where the template writes just now */
    eh_jinja_scope *scope;
    int64_t n_step, n_byte;
    int depth;
} eh_jinja;

/* Arguments of a call, evaluated. */
typedef struct eh_jinja_args {
    eh_jv *v; /* [n] */
    int64_t n;
    eh_str *key; /* [n_key] keyword arguments */
    eh_jv *val;  /* [n_key] */
    int64_t n_key;
} eh_jinja_args;

/* A filter, test, method or function. Its parameters are named for keyword arguments. */
#define EH_JINJA_PARAMS 4
typedef int eh_jinja_fn(eh_jinja *c, int64_t at, eh_jv self, eh_jv *const *arg, eh_jv *out);
typedef struct eh_jinja_row {
    const char *name;
    eh_jinja_fn *fn; /* NULL: there is one in Jinja or Python, but not here */
    int least;       /* parameters that must be given */
    const char *param[EH_JINJA_PARAMS];
    int (*any)(eh_jinja *c, int64_t at, eh_jv self, const eh_jinja_args *args, eh_jv *out); /* takes what comes */
    bool takes_safe; /* a filter that treats a string marked safe as any other */
} eh_jinja_row;

/* ---- value.c --------------------------------------------------------------------------------- */

int eh_jinja_fail(eh_jinja *c, int code, int64_t at, const char *format, ...) __attribute__((format(printf, 4, 5)));
int eh_jinja_step(eh_jinja *c, int64_t at, int64_t n_step, int64_t n_byte); /* counts; EH_ERANGE when used up */
int eh_jinja_deeper(eh_jinja *c, int64_t at); /* on EH_OK the caller does c->depth-- when it is done */
void *eh_jinja_new(eh_jinja *c, int64_t at, int64_t n, int64_t size); /* zeroed; NULL: c->err says why */
int eh_jinja_text(eh_jinja *c, int64_t at, const char *p, int64_t n, eh_jv *out); /* a copy */
int eh_jinja_seq(eh_jinja *c, int64_t at, eh_jv_kind kind, int64_t n, eh_jv *out); /* n undefined items */
int eh_jinja_take(eh_jinja *c, int64_t at, eh_buf *b, int rc, eh_jv *out); /* clears b; a string of its bytes */

const char *eh_jv_type(const eh_jv *v); /* "a string", "none", ... */
bool eh_jv_true(const eh_jv *v);
bool eh_jv_is_number(const eh_jv *v); /* booleans are numbers, as in Python */
int eh_jv_equal(eh_jinja *c, int64_t at, const eh_jv *a, const eh_jv *b, bool *out);
int eh_jv_order(eh_jinja *c, int64_t at, const eh_jv *a, const eh_jv *b, int *out); /* -1, 0, 1; 2: unordered */
int eh_jv_in(eh_jinja *c, int64_t at, const eh_jv *what, const eh_jv *where, bool *out);
int eh_jv_items(eh_jinja *c, int64_t at, const eh_jv *v, eh_jv_seq *out); /* what `for` walks; uses up an ITER */
eh_jv *eh_jv_dict_get(eh_jinja *c, int64_t at, const eh_jv_dict *d, const eh_jv *key, int *rc); /* NULL: not there */
int eh_jv_dict_set(eh_jinja *c, int64_t at, eh_jv_dict *d, const eh_jv *key, const eh_jv *value);

int eh_jinja_char(eh_str s, int64_t i, int32_t *code); /* length of the character at i; a stray byte: 1, code -1 */
int64_t eh_jinja_chars(eh_str s);
int64_t eh_jinja_find(eh_str s, eh_str what, int64_t from, int64_t *n_byte); /* -1: not there; adds to *n_byte */

/* ---- print.c --------------------------------------------------------------------------------- */

int eh_jv_put(eh_jinja *c, int64_t at, const eh_jv *v, eh_buf *b); /* str(v) */
int eh_jv_json(eh_jinja *c, int64_t at, const eh_jv *v, bool ascii, const eh_str *indent, eh_str comma, eh_str colon,
               bool sorted, eh_buf *b);
int eh_jv_to_str(eh_jinja *c, int64_t at, const eh_jv *v, eh_str *out); /* str(v), in the arena */

/* ---- loop.c ---------------------------------------------------------------------------------- */

/* Fetches the next item that the loop takes into `after`. Items are tested one ahead at most, as in Jinja: the `if` may
 * depend on what the loop's body does to a namespace. */
int eh_jinja_loop_peek(eh_jinja *c, int64_t at, eh_jv_loop *loop);
int eh_jinja_loop_length(eh_jinja *c, int64_t at, eh_jv_loop *loop);

/* ---- attr.c ---------------------------------------------------------------------------------- */

int eh_jv_length(eh_jinja *c, int64_t at, const eh_jv *v, int64_t *out);
int eh_jv_attr(eh_jinja *c, int64_t at, const eh_jv *v, eh_str name, eh_jv *out);        /* v.name */
int eh_jv_item(eh_jinja *c, int64_t at, const eh_jv *v, const eh_jv *key, eh_jv *out);   /* v[key] */
int eh_jv_slice(eh_jinja *c, int64_t at, const eh_jv *v, const eh_jv bound[3], eh_jv *out); /* none: left out */

/* ---- builtin.c, strings.c, filters.c, tests.c ------------------------------------------------ */

const eh_jinja_row *eh_jinja_function(eh_str name);
const eh_jinja_row *eh_jinja_method(const eh_jv *v, eh_str name);
int eh_jinja_call_row(eh_jinja *c, int64_t at, const char *what, const eh_jinja_row *row, eh_jv self,
                      const eh_jinja_args *args, eh_jv *out);
int eh_jinja_filter(eh_jinja *c, int64_t at, eh_str name, eh_jv v, const eh_jinja_args *args, eh_jv *out);
int eh_jinja_test(eh_jinja *c, int64_t at, eh_str name, eh_jv v, const eh_jinja_args *args, bool *out);

/* ---- parse.c, eval.c ------------------------------------------------------------------------- */

int eh_jinja_parse(eh_jinja *c, eh_jinja_node **body);
int eh_jinja_run(eh_jinja *c, const eh_jinja_node *body);
eh_jinja_scope *eh_jinja_open_scope(eh_jinja *c, int64_t at, eh_jinja_scope *outer); /* NULL: c->err says why */
int eh_jinja_set(eh_jinja *c, int64_t at, eh_str name, eh_jv value); /* in the innermost scope */

#endif
