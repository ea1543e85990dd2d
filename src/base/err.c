#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *eh_error_name(int code)
{
    switch (code) {
    case EH_OK:
        return "done";
#define EH_ERROR_NAME(name, number, text) case number: return text;
    EH_ERRORS(EH_ERROR_NAME)
#undef EH_ERROR_NAME
    default:
        return "unknown error";
    }
}

const char *eh_version(void)
{
    return EH_VERSION;
}

static void mark_cut(char *text, size_t room, int wanted)
{
    if (wanted >= 0 && (size_t)wanted >= room)
        memcpy(text + room - 4, "...", 4);
}

int eh_fail(eh_err *err, int code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        const int wanted = vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        mark_cut(err->text, sizeof err->text, wanted);
        err->code = code;
    }
    return code;
}

int eh_fail_in(eh_err *err, int code, const char *format, ...)
{
    if (err != NULL) {
        char before[sizeof err->text];
        char whole[sizeof err->text];
        va_list args;
        va_start(args, format);
        vsnprintf(before, sizeof before, format, args);
        va_end(args);
        const size_t n = strlen(before);
        snprintf(whole, sizeof whole, "%s", before);
        const int wanted = snprintf(whole + n, sizeof whole - n, ": %s", err->text);
        mark_cut(whole, sizeof whole, wanted < 0 ? -1 : wanted + (int)n);
        memcpy(err->text, whole, sizeof err->text);
        err->code = code;
    }
    return code;
}
