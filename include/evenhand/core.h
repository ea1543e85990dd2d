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

/* ---- Memory -------------------------------------------------------------------------------- */

/* Gives back what the library handed over as an array or a text. NULL is fine. */
EH_API void eh_release(void *p);

#endif
