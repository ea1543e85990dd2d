/*
 * What the files of the template interpreter share: chat_parse.c makes the tree, chat_eval.c walks
 * it, chat_builtin.c holds filters, tests, methods and functions, chat_value.c the values.
 *
 * Everything lives in one arena that goes when the rendering is over. Functions return EH_OK or
 * a negative code with the sentence in c->err. `at` is a byte offset in the template, for messages.
 */
#ifndef EH_JINJA_ENGINE_H
#define EH_JINJA_ENGINE_H

#include "base/mem.h"
#include "jinja/chat.h"

#define EH_CHAT_TEMPLATE_MAX ((int64_t)1 << 20) /* bytes */
#define EH_CHAT_OUTPUT_MAX ((int64_t)1 << 20)   /* bytes */
#define EH_CHAT_STEPS_MAX 1000000               /* nodes visited, items looked at */
#define EH_CHAT_BYTES_MAX ((int64_t)1 << 28)    /* bytes compared or copied */
#define EH_CHAT_ARENA_MAX ((int64_t)1 << 28)    /* bytes */
#define EH_CHAT_PARSE_DEPTH 400                 /* grammar rules within each other */
#define EH_CHAT_DEPTH 800                       /* evaluations within each other */

/* ---- Values ---------------------------------------------------------------------------------- */

typedef enum eh_cv_kind {
    EH_CV_UNDEF, /* s: what was looked for */
    EH_CV_NONE,
    EH_CV_BOOL,
    EH_CV_INT,
    EH_CV_FLOAT,
    EH_CV_STR,
    EH_CV_LIST,
    EH_CV_TUPLE,
    EH_CV_RANGE,
    EH_CV_VIEW, /* what dict.items() and its like give: can be walked and counted, not indexed */
    EH_CV_ITER, /* a generator: walked once */
    EH_CV_DICT,
    EH_CV_SPACE, /* namespace(): the one thing that can change */
    EH_CV_MACRO,
    EH_CV_FUNC,   /* a global function */
    EH_CV_METHOD, /* a method with its object */
    EH_CV_LOOP,
} eh_cv_kind;

typedef struct eh_cv {
    eh_cv_kind kind;
    bool safe; /* a string that went through |safe: Jinja would escape what is added to it */
    union {
        bool b;
        int64_t i;
        double f;
        eh_str s;
        struct eh_cv_seq *seq;   /* LIST, TUPLE, RANGE, VIEW, ITER */
        struct eh_cv_dict *dict; /* DICT, SPACE */
        struct eh_cv_macro *macro;
        const struct eh_chat_row *func;
        struct eh_cv_method *method;
        struct eh_cv_loop *loop;
    };
} eh_cv;

typedef struct eh_cv_seq {
    eh_cv *v; /* [n] */
    int64_t n;
    int64_t next; /* ITER: the first item not handed out yet */
} eh_cv_seq;

typedef struct eh_cv_pair {
    eh_cv key, value;
} eh_cv_pair;

typedef struct eh_cv_dict {
    eh_cv_pair *pair; /* [n], in order of insertion */
    int64_t n, room;
} eh_cv_dict;

typedef struct eh_cv_method {
    eh_cv self;
    const struct eh_chat_row *row;
} eh_cv_method;

typedef struct eh_cv_macro {
    const struct eh_chat_node *node;
    struct eh_chat_scope *scope; /* where it was defined */
} eh_cv_macro;

typedef struct eh_cv_loop {
    eh_cv_seq seq;                    /* what is looped over, before the loop's own `if` */
    const struct eh_chat_node *node;  /* the for statement: its target and its `if` */
    struct eh_chat_scope *outer;
    eh_cv before, now, after;
    bool has_after; /* `after` was fetched ahead of its turn */
    int64_t next;   /* of seq */
    int64_t index0;
    int64_t length; /* -1: not asked for yet */
    eh_cv_seq changed; /* what changed() was last given; v == NULL: nothing yet */
} eh_cv_loop;

static inline eh_cv eh_cv_none(void) { return (eh_cv){.kind = EH_CV_NONE}; }
static inline eh_cv eh_cv_bool(bool b) { return (eh_cv){.kind = EH_CV_BOOL, .b = b}; }
static inline eh_cv eh_cv_int(int64_t i) { return (eh_cv){.kind = EH_CV_INT, .i = i}; }
static inline eh_cv eh_cv_float(double f) { return (eh_cv){.kind = EH_CV_FLOAT, .f = f}; }
static inline eh_cv eh_cv_str(eh_str s) { return (eh_cv){.kind = EH_CV_STR, .s = s}; }
static inline eh_cv eh_cv_undef(eh_str name) { return (eh_cv){.kind = EH_CV_UNDEF, .s = name}; }

/* ---- The tree -------------------------------------------------------------------------------- */

typedef enum eh_chat_kind {
    /* expressions */
    EH_CN_CONST,   /* value */
    EH_CN_NAME,    /* name */
    EH_CN_LIST,    /* list: items */
    EH_CN_TUPLE,   /* list: items */
    EH_CN_DICT,    /* list: pairs, each a PAIR */
    EH_CN_PAIR,    /* a: key, b: value */
    EH_CN_ATTR,    /* a.name */
    EH_CN_ITEM,    /* a[b] */
    EH_CN_SLICE,   /* a:b:c, each may be NULL */
    EH_CN_CALL,    /* a(list) */
    EH_CN_KEYWORD, /* name=a, in a list of arguments */
    EH_CN_FILTER,  /* a|name(list) */
    EH_CN_TEST,    /* a is name(list) */
    EH_CN_NOT,     /* not a */
    EH_CN_SIGN,    /* op a */
    EH_CN_AND,     /* a, b */
    EH_CN_OR,      /* a, b */
    EH_CN_COMPARE, /* a, list: OPERANDs */
    EH_CN_OPERAND, /* op a */
    EH_CN_MATH,    /* a op b */
    EH_CN_CONCAT,  /* list */
    EH_CN_COND,    /* a if b else c; c may be NULL */
    EH_CN_MEMBER,  /* name.value.s, the target of a set */
    /* statements */
    EH_CN_DATA,     /* name: the text */
    EH_CN_PRINT,    /* a */
    EH_CN_IF,       /* a: test, list: body, more: else body (an elif is an IF in it) */
    EH_CN_FOR,      /* a: target, b: over what, c: `if` or NULL, list: body, more: else body */
    EH_CN_SET,      /* a: target, b: value */
    EH_CN_SETBLOCK, /* a: target, list: body */
    EH_CN_MACRO,    /* name, more: parameters (NAME, with a: default or NULL), list: body */
    EH_CN_WITH,     /* more: SETs, list: body */
    EH_CN_SCOPE,    /* list: body of a generation block */
    EH_CN_BREAK,
    EH_CN_CONTINUE,
} eh_chat_kind;

/* Operators: the character itself, or one of these. */
enum { EH_OP_EQ = 256, EH_OP_NE, EH_OP_LE, EH_OP_GE, EH_OP_FLOORDIV, EH_OP_POW, EH_OP_IN, EH_OP_NOTIN };

typedef struct eh_chat_node {
    eh_chat_kind kind;
    int op;
    int64_t at;
    eh_str name;
    eh_cv value;
    struct eh_chat_node *a, *b, *c, *list, *more;
    struct eh_chat_node *next; /* in the list that this node is in */
} eh_chat_node;

typedef struct eh_chat_var {
    eh_str name;
    eh_cv value;
    struct eh_chat_var *next;
} eh_chat_var;

typedef struct eh_chat_scope {
    struct eh_chat_scope *outer;
    eh_chat_var *vars;
} eh_chat_scope;

typedef struct eh_chat {
    eh_arena arena;
    eh_str src; /* the template, line ends made one */
    eh_err *err; /* never NULL */
    const struct tm *now; /* or NULL */
    eh_buf *out;          /* where the template writes just now */
    eh_chat_scope *scope;
    int64_t n_step, n_byte;
    int depth;
} eh_chat;

/* Arguments of a call, evaluated. */
typedef struct eh_chat_args {
    eh_cv *v; /* [n] */
    int64_t n;
    eh_str *key; /* [n_key] keyword arguments */
    eh_cv *val;  /* [n_key] */
    int64_t n_key;
} eh_chat_args;

/* A filter, test, method or function. Its parameters are named for keyword arguments. */
#define EH_CHAT_PARAMS 4
typedef int eh_chat_fn(eh_chat *c, int64_t at, eh_cv self, eh_cv *const *arg, eh_cv *out);
typedef struct eh_chat_row {
    const char *name;
    eh_chat_fn *fn; /* NULL: there is one in Jinja or Python, but not here */
    int least;      /* parameters that must be given */
    const char *param[EH_CHAT_PARAMS];
    int (*any)(eh_chat *c, int64_t at, eh_cv self, const eh_chat_args *args, eh_cv *out); /* takes what comes */
    bool takes_safe; /* a filter that treats a string marked safe as any other */
} eh_chat_row;

/* ---- chat_value.c ------------------------------------------------------------------------------ */

int eh_chat_fail(eh_chat *c, int code, int64_t at, const char *format, ...) __attribute__((format(printf, 4, 5)));
int eh_chat_step(eh_chat *c, int64_t at, int64_t n_step, int64_t n_byte); /* counts; EH_ERANGE when used up */
int eh_chat_deeper(eh_chat *c, int64_t at); /* on EH_OK the caller does c->depth-- when it is done */
void *eh_chat_new(eh_chat *c, int64_t at, int64_t n, int64_t size); /* zeroed; NULL: c->err says why */
int eh_chat_text(eh_chat *c, int64_t at, const char *p, int64_t n, eh_cv *out); /* a copy */
int eh_chat_seq(eh_chat *c, int64_t at, eh_cv_kind kind, int64_t n, eh_cv *out); /* n undefined items */
int eh_chat_take(eh_chat *c, int64_t at, eh_buf *b, int rc, eh_cv *out); /* clears b; a string of its bytes */

const char *eh_cv_type(const eh_cv *v); /* "a string", "none", ... */
bool eh_cv_true(const eh_cv *v);
bool eh_cv_is_number(const eh_cv *v); /* booleans are numbers, as in Python */
int eh_cv_equal(eh_chat *c, int64_t at, const eh_cv *a, const eh_cv *b, bool *out);
int eh_cv_order(eh_chat *c, int64_t at, const eh_cv *a, const eh_cv *b, int *out); /* -1, 0, 1; 2: unordered */
int eh_cv_in(eh_chat *c, int64_t at, const eh_cv *what, const eh_cv *where, bool *out);
int eh_cv_put(eh_chat *c, int64_t at, const eh_cv *v, eh_buf *b);  /* str(v) */
int eh_cv_json(eh_chat *c, int64_t at, const eh_cv *v, bool ascii, const eh_str *indent, eh_str comma, eh_str colon,
               bool sorted, eh_buf *b);
int eh_cv_to_str(eh_chat *c, int64_t at, const eh_cv *v, eh_str *out);   /* str(v), in the arena */
int eh_cv_items(eh_chat *c, int64_t at, const eh_cv *v, eh_cv_seq *out); /* what `for` walks; uses up an ITER */
int eh_cv_length(eh_chat *c, int64_t at, const eh_cv *v, int64_t *out);
eh_cv *eh_cv_dict_get(eh_chat *c, int64_t at, const eh_cv_dict *d, const eh_cv *key, int *rc); /* NULL: not there */
int eh_cv_dict_set(eh_chat *c, int64_t at, eh_cv_dict *d, const eh_cv *key, const eh_cv *value);
int eh_cv_attr(eh_chat *c, int64_t at, const eh_cv *v, eh_str name, eh_cv *out);        /* v.name */
int eh_cv_item(eh_chat *c, int64_t at, const eh_cv *v, const eh_cv *key, eh_cv *out);   /* v[key] */
int eh_cv_slice(eh_chat *c, int64_t at, const eh_cv *v, const eh_cv bound[3], eh_cv *out); /* none: left out */

int eh_chat_char(eh_str s, int64_t i, int32_t *code); /* length of the character at i; a stray byte: 1, code -1 */
int64_t eh_chat_chars(eh_str s);
bool eh_chat_is_space(int32_t code); /* str.isspace() */
int64_t eh_chat_find(eh_str s, eh_str what, int64_t from, int64_t *n_byte); /* -1: not there; adds to *n_byte */

/* ---- chat_builtin.c ---------------------------------------------------------------------------- */

const eh_chat_row *eh_chat_function(eh_str name);
const eh_chat_row *eh_chat_method(const eh_cv *v, eh_str name);
int eh_chat_call_row(eh_chat *c, int64_t at, const char *what, const eh_chat_row *row, eh_cv self,
                     const eh_chat_args *args, eh_cv *out);
int eh_chat_filter(eh_chat *c, int64_t at, eh_str name, eh_cv v, const eh_chat_args *args, eh_cv *out);
int eh_chat_test(eh_chat *c, int64_t at, eh_str name, eh_cv v, const eh_chat_args *args, bool *out);

/* ---- chat_parse.c, chat_eval.c ------------------------------------------------------------------- */

int eh_chat_parse(eh_chat *c, eh_chat_node **body);
int eh_chat_run(eh_chat *c, const eh_chat_node *body);
int eh_chat_set(eh_chat *c, int64_t at, eh_str name, eh_cv value); /* in the innermost scope */
int eh_chat_loop_length(eh_chat *c, int64_t at, eh_cv_loop *loop);
int eh_chat_loop_peek(eh_chat *c, int64_t at, eh_cv_loop *loop);

#endif
