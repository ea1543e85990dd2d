/*
 * The lexer, which hands the parser one token after another:
 *
 *     rc = eh_jinja_advance(p);           the next token is p->now
 *     rc = eh_jinja_look(p, &next);       the one after it; p->now stays
 */
#ifndef EH_JINJA_LEX_H
#define EH_JINJA_LEX_H

#include "jinja/interpreter.h"

typedef enum eh_jinja_token_kind {
    EH_JT_END,
    EH_JT_DATA,      /* s: text outside of tags */
    EH_JT_PRINT,     /* {{ */
    EH_JT_PRINT_END, /* }} */
    EH_JT_BLOCK,     /* {% */
    EH_JT_BLOCK_END, /* %} */
    EH_JT_NAME,      /* s */
    EH_JT_STR,       /* s, unescaped */
    EH_JT_INT,       /* i */
    EH_JT_FLOAT,     /* f */
    EH_JT_OP,        /* op */
} eh_jinja_token_kind;

typedef struct eh_jinja_token {
    eh_jinja_token_kind kind;
    int64_t at;
    eh_str s;
    int64_t i;
    double f;
    int op;
} eh_jinja_token;

typedef enum eh_jinja_mode { EH_JINJA_IN_TEXT, EH_JINJA_IN_PRINT, EH_JINJA_IN_BLOCK, EH_JINJA_IN_RAW } eh_jinja_mode;

typedef struct eh_jinja_parser {
    eh_jinja *c;
    eh_str s; /* the template */
    int64_t pos;
    eh_jinja_mode mode;
    bool line_start; /* the last tag ended with a line end */
    eh_jinja_token_kind opening; /* handed out before the tag's inside: PRINT or BLOCK; END: none */
    int64_t opening_at;
    int n_open; /* brackets */
    char open[EH_JINJA_PARSE_DEPTH];
    eh_jinja_token now;
    int depth;
    int n_loop; /* for statements around this place, within the same macro */
} eh_jinja_parser;

int eh_jinja_advance(eh_jinja_parser *p);
int eh_jinja_look(eh_jinja_parser *p, eh_jinja_token *next);

#endif
