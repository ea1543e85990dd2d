/*
 * evenhand/core.h - errors, versions, memory: what every other header needs
 *
 *     eh_err err;
 *     if (eh_model_open("SmolLM2.gguf", &m, &err) < 0)
 *         puts(err.text);
 */
#ifndef EVENHAND_CORE_H
#define EVENHAND_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EH_API __attribute__((visibility("default")))

/* ---- Errors -------------------------------------------------------------------------------- */

/* One list makes the codes, their names and their first words. */
#define EH_ERRORS(X) \
    X(EINVAL,   -1, "wrong use") \
    X(ENOMEM,   -2, "out of memory") \
    X(EIO,      -3, "input or output failed") \
    X(EFORMAT,  -4, "a file is not what it says it is") \
    X(ERANGE,   -5, "a number is out of range") \
    X(EDOM,     -6, "the statistic is not defined on this input") \
    X(ENUMERIC, -7, "a value stopped being finite") \
    X(ENOSUP,   -8, "not supported") \
    X(ENOENT,   -9, "not found") \
    X(ESTOP,   -10, "stopped on request") \
    X(ENOFIT,  -11, "would not fit")

enum {
    EH_OK = 0,
#define EH_ERROR_CODE(name, number, text) EH_##name = number,
    EH_ERRORS(EH_ERROR_CODE)
#undef EH_ERROR_CODE
};

/* Holds one whole sentence that someone can act on. Every failing call fills it. */
typedef struct eh_err {
    int code;
    char text[1000];
} eh_err;

/* First words for a code ("out of memory"); never NULL. */
EH_API const char *eh_error_name(int code);
EH_API const char *eh_version(void); /* of the library: "0.1.0" */

/* ---- Long calls ---------------------------------------------------------------------------- */

/* Called now and then by long calls. A non-zero return asks to stop: the block in hand is finished
 * and recorded, then the call returns EH_ESTOP. */
typedef int eh_progress(void *ctx, const char *stage, int64_t done, int64_t total);

/* ---- Options ------------------------------------------------------------------------------- */

/*
 * What a call leaves open is a struct of options that its own _init fills in, and nothing else knows the defaults:
 *
 *     eh_audit_options o;
 *     eh_audit_options_init(&o, sizeof o);
 *     o.limit = 100;
 *     rc = eh_audit_run(s, &o, &audit, &err);
 *
 * `size` comes first, is set by _init and left alone: by it a program that was built for an older evenhand runs with a
 * newer one, whose new options then have their defaults. Where options may be NULL, that means all defaults.
 *
 * 0 means 0. What is not given is NULL where a text is wanted, and -1 where a number is wanted, under the name that
 * says what happens then; each field's comment says which of the names it takes.
 */
enum {
    EH_ALL = -1,       /* as many as there are */
    EH_AUTO = -1,      /* found out by the library, as the field's comment says */
    EH_BY_PRESET = -1, /* what the preset says (eh_run_options) */
    EH_NO_LIMIT = -1
};

/*
 * Closed sets are enums, and this is what their members are called on the command line, in files and in help. Sets that
 * are rows of a table elsewhere go by name: benchmarks (eh_benchmarks), with their categories, ways of answering and
 * orders of options; product backends.
 */
typedef enum eh_choice_kind {
    EH_CHOICE_PRECISION,  /* eh_precision */
    EH_CHOICE_PERPLEXITY, /* eh_perplexity_kind */
    EH_CHOICE_UNIT,       /* eh_unit_kind */
    EH_CHOICE_EDIT_MODE,  /* eh_edit_mode */
    EH_CHOICE_RUN_MODE,   /* those of them that eh_study_run takes */
    EH_CHOICE_SPLIT,      /* eh_split */
    EH_CHOICE_MEASURE,    /* eh_measure */
    EH_CHOICE_HEAD_STAT,  /* eh_head_stat */
    EH_CHOICE_SELECTION,  /* eh_selection */
    EH_CHOICE_PRESET,     /* eh_preset */
    EH_CHOICE_TUNE_GROUP, /* eh_tune_group, as eh_tune takes it */
    EH_CHOICE_RUN_TRAIN,  /* the same as eh_study_run takes it: also what the preset says, and none */
    EH_CHOICE_SCHEDULE,   /* eh_schedule */
    EH_CHOICE_BETTER,     /* eh_better */
    EH_CHOICE_SCORE_KIND, /* eh_score_kind */
    EH_N_CHOICE_KIND
} eh_choice_kind;

typedef struct eh_choice {
    const char *name;  /* "fdr" */
    const char *words; /* a line of help */
    int value;         /* of the enum */
} eh_choice;

EH_API const eh_choice *eh_choices(eh_choice_kind kind, int *n); /* [*n]; NULL: there is no such kind */
EH_API const eh_choice *eh_choice_find(eh_choice_kind kind, const char *name); /* NULL: there is none of that name */
EH_API const char *eh_choice_name(eh_choice_kind kind, int value);             /* NULL: there is none of that value */

/* ---- Memory -------------------------------------------------------------------------------- */

/*
 * Who gives back what: a handle that a call opened is closed by its _close, and what its _get shows is borrowed until
 * then. A struct that a call fills in holds numbers and borrowed texts, unless it has a _clear, which gives back what
 * it owns. A bare array or text goes to eh_release. _close, _clear and eh_release take NULL, and what is zeroed.
 */
EH_API void eh_release(void *p);

#endif
