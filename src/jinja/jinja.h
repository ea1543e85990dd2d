/*
 * Templates in Jinja, rendered as the jinja2 library renders them in the sandbox that transformers
 * sets up for it.
 *
 *     const eh_jinja_pair ada[] = {{EH_STR("name"), EH_STR("Ada")}};
 *     const eh_jinja_map people[] = {{ada, 1}};
 *     const eh_jinja_var var[] = {
 *         {.name = EH_STR("greeting"), .kind = EH_JINJA_STR, .s = EH_STR("Hello")},
 *         {.name = EH_STR("people"), .kind = EH_JINJA_MAPS, .maps = {people, 1}},
 *     };
 *     const eh_jinja_input in = {.var = var, .n_var = 2};
 *     eh_buf text = {0};
 *     rc = eh_jinja_render(EH_STR("{% for p in people %}{{ greeting }}, {{ p.name }}!{% endfor %}"), &in, &text, err);
 *     eh_buf_clear(&text);
 *
 * docs/chat.md lists what of Jinja is understood. The rest is refused by name, with line and
 * column, when the rendering comes to it; nothing is skipped over.
 */
#ifndef EH_JINJA_JINJA_H
#define EH_JINJA_JINJA_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "base/str.h"

/* What one rendering may use. */
#define EH_JINJA_TEMPLATE_MAX ((int64_t)1 << 20) /* bytes */
#define EH_JINJA_OUTPUT_MAX ((int64_t)1 << 20)   /* bytes of the result, and of any string on the way */
#define EH_JINJA_STEPS_MAX 1000000               /* nodes visited, items looked at */
#define EH_JINJA_BYTES_MAX ((int64_t)1 << 28)    /* bytes compared or copied */
#define EH_JINJA_ARENA_MAX ((int64_t)1 << 28)    /* bytes of memory */
#define EH_JINJA_PARSE_DEPTH 400                 /* grammar rules within each other */
#define EH_JINJA_DEPTH 800                       /* evaluations within each other */

typedef enum eh_jinja_kind {
    EH_JINJA_NONE,
    EH_JINJA_BOOL,    /* b */
    EH_JINJA_STR,     /* s: UTF-8; a byte that is not counts as one character */
    EH_JINJA_MAPS,    /* maps: a list of mappings from strings to strings */
    EH_JINJA_REFUSED, /* s: a sentence. The name means something, and its value is not known here: a
                       * template that reads it is refused with EH_ENOSUP and this sentence, where a
                       * name that nobody gave would be undefined */
} eh_jinja_kind;

typedef struct eh_jinja_pair {
    eh_str key, value;
} eh_jinja_pair;

typedef struct eh_jinja_map {
    const eh_jinja_pair *pair; /* [n], in the order in which the template walks them */
    int64_t n;
} eh_jinja_map;

typedef struct eh_jinja_var {
    eh_str name;
    eh_jinja_kind kind;
    union {
        bool b;
        eh_str s;
        struct {
            const eh_jinja_map *v; /* [n] */
            int64_t n;
        } maps;
    };
} eh_jinja_var;

typedef struct eh_jinja_input {
    const eh_jinja_var *var; /* [n_var]; a name given twice has the later value */
    int64_t n_var;
    const struct tm *now; /* what strftime_now() tells; NULL: the local time */
    const char *what;     /* for messages: what the template is; NULL: "template" */
    const char *refusal;  /* for messages: what it means that the template calls raise_exception();
                           * NULL: "the template raises an exception" */
} eh_jinja_input;

/*
 * eh_jinja_render - the text that a template makes of its variables
 *
 * in   tmpl   the template, at most EH_JINJA_TEMPLATE_MAX bytes
 *      in     its variables; only borrowed
 * out  out    the text is appended, on success only; at most EH_JINJA_OUTPUT_MAX bytes of it
 *
 * Errors   EH_EINVAL  the template called raise_exception(): its own words
 *          EH_EFORMAT the template is malformed, or does what Python would raise an error for
 *          EH_ENOSUP  it uses a part of Jinja that is not supported; the message names it
 *          EH_ERANGE  it goes beyond one of the bounds above
 *          EH_ENOMEM
 *          All but the last give line and column.
 * Source   the Jinja 3.1 template documentation; transformers, "Templates for chat models".
 */
int eh_jinja_render(eh_str tmpl, const eh_jinja_input *in, eh_buf *out, eh_err *err);

#endif
