/*
 * evenhand - find where a language model's social bias lives, turn it down, prove what that did
 *
 *     eh_err err;
 *     eh_model *m;
 *     if (eh_model_open("SmolLM2.gguf", NULL, &m, &err) < 0)
 *         puts(err.text);
 *     ... eh_score(), eh_generate(), eh_audit() ...
 *     eh_model_close(m);
 */
#ifndef EVENHAND_H
#define EVENHAND_H

#include <stdbool.h>
#include <stdint.h>

#define EH_API __attribute__((visibility("default")))

/* ---- Errors ---------------------------------------------------------------------------- */

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

/* ---- Numbers ----------------------------------------------------------------------------- */

typedef enum eh_precision {
    EH_F32, /* products in float32 */
    EH_BF16 /* products in bfloat16 with float32 sums; all else in float32 */
} eh_precision;

#endif
