#define _XOPEN_SOURCE 700 /* realpath */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "term.h"

/* ---- Lines in ----------------------------------------------------------------------------- */

static int open_for_reading(const char *path, FILE **stream, const char **name)
{
    const bool standard = strcmp(path, "-") == 0;
    *name = standard ? "standard input" : path;
    *stream = standard ? stdin : fopen(path, "r");
    return *stream != NULL ? CLI_DONE : cli_fail(CLI_FAILED, "%s: cannot open: %s", path, strerror(errno));
}

int cli_lines_open(cli_lines *l, const char *path)
{
    *l = (cli_lines){0};
    return open_for_reading(path, &l->stream, &l->name);
}

int cli_lines_fail(const cli_lines *l, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return cli_fail(CLI_FAILED, "%s:%lld: %s", l->name, (long long)l->number, text);
}

int cli_lines_next(cli_lines *l, bool *more)
{
    int c;
    l->n = 0;
    l->number++;
    while ((c = getc_unlocked(l->stream)) != EOF && c != '\n') {
        if (l->n + 1 >= l->room) {
            if (l->n >= CLI_LINE_LIMIT)
                return cli_lines_fail(l, "the line is longer than %s", cli_bytes(CLI_LINE_LIMIT));
            l->room = l->room < 4096 ? 4096 : l->room * 2;
            l->text = cli_resize(l->text, l->room, 1);
        }
        l->text[l->n++] = (char)c;
    }
    if (ferror(l->stream))
        return cli_lines_fail(l, "cannot read: %s", strerror(errno));
    if (l->text == NULL)
        l->text = cli_new(l->room = 1, 1);
    l->text[l->n] = '\0';
    *more = c != EOF || l->n > 0;
    return CLI_DONE;
}

int cli_lines_json(cli_lines *l, json_t **object)
{
    bool more;
    int status;
    *object = NULL;
    do {
        status = cli_lines_next(l, &more);
        if (status != CLI_DONE || !more)
            return status;
    } while (strspn(l->text, " \t\r") == (size_t)l->n);

    json_error_t error;
    json_t *value = json_loadb(l->text, (size_t)l->n, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (value == NULL)
        return cli_lines_fail(l, "not JSON: %s (byte %d)", error.text, error.position);
    if (!json_is_object(value)) {
        json_decref(value);
        return cli_lines_fail(l, "a JSON object is wanted on every line, {...}");
    }
    *object = value;
    return CLI_DONE;
}

void cli_lines_close(cli_lines *l)
{
    if (l->stream != NULL && l->stream != stdin)
        fclose(l->stream);
    free(l->text);
    *l = (cli_lines){0};
}

int cli_get_text(const cli_lines *l, const json_t *object, const char *key, const char **text, int64_t *n)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return cli_lines_fail(l, "\"%s\" is %s; a string is wanted", key, value == NULL ? "missing" : "not a string");
    *text = json_string_value(value);
    *n = (int64_t)json_string_length(value);
    return CLI_DONE;
}

int cli_get_ids(const cli_lines *l, const json_t *object, const char *key, int64_t n_vocab, int32_t **id, int64_t *n)
{
    const json_t *array = json_object_get(object, key);
    if (!json_is_array(array))
        return cli_lines_fail(l, "\"%s\" is %s; an array of token ids is wanted", key,
                              array == NULL ? "missing" : "not an array");
    const size_t count = json_array_size(array);
    int32_t *out = cli_new((int64_t)count, (int64_t)sizeof *out);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        const json_int_t number = json_integer_value(value);
        if (!json_is_integer(value) || number < 0 || number >= n_vocab) {
            free(out);
            return json_is_integer(value)
                       ? cli_lines_fail(l, "\"%s\"[%zu] is %lld; the model's vocabulary is 0..%lld", key, i,
                                        (long long)number, (long long)n_vocab - 1)
                       : cli_lines_fail(l, "\"%s\"[%zu] is not a whole number", key, i);
        }
        out[i] = (int32_t)number;
    }
    *id = out;
    *n = (int64_t)count;
    return CLI_DONE;
}

json_t *cli_get_id(const cli_lines *l, const json_t *object)
{
    json_t *id = json_object_get(object, "id");
    return id != NULL ? json_incref(id) : json_integer(l->number);
}

int cli_read_file(const char *path, char **text, int64_t *n)
{
    FILE *f;
    const char *name;
    char *out = NULL;
    int64_t used = 0, room = 0;
    int status = open_for_reading(path, &f, &name);
    if (status != CLI_DONE)
        return status;
    do {
        if (used >= CLI_FILE_LIMIT) {
            status = cli_fail(CLI_FAILED, "%s: is larger than %s", name, cli_bytes(CLI_FILE_LIMIT));
            goto done;
        }
        room = room < 65536 ? 65536 : room * 2;
        out = cli_resize(out, room + 1, 1);
        used += (int64_t)fread(out + used, 1, (size_t)(room - used), f);
    } while (used == room);
    if (ferror(f)) {
        status = cli_fail(CLI_FAILED, "%s: cannot read: %s", name, strerror(errno));
        goto done;
    }
    out[used] = '\0';
    *text = out;
    *n = used;
    out = NULL;
done:
    free(out);
    if (f != stdin)
        fclose(f);
    return status;
}

/* ---- JSON out ----------------------------------------------------------------------------- */

/* Length of the UTF-8 character at p, or 0 where the bytes are not one (Unicode 15, table 3-7). */
static int character(const unsigned char *p, int64_t left)
{
    const unsigned char c = p[0];
    const int len = c < 0x80                ? 1
                    : c >= 0xC2 && c < 0xE0 ? 2
                    : c >= 0xE0 && c < 0xF0 ? 3
                    : c >= 0xF0 && c < 0xF5 ? 4
                                            : 0;
    if (len == 0 || len > left)
        return 0;
    for (int i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) || (c == 0xF0 && p[1] < 0x90) ||
        (c == 0xF4 && p[1] > 0x8F))
        return 0;
    return len;
}

void cli_put_text(FILE *f, const char *text, int64_t n)
{
    fputc('"', f);
    for (int64_t i = 0; i < n;) {
        const unsigned char c = (unsigned char)text[i];
        const int len = character((const unsigned char *)text + i, n - i);
        if (len == 0)
            fputs("\xEF\xBF\xBD", f);
        else if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", f);
        else if (c == '\t')
            fputs("\\t", f);
        else if (c < 0x20 || c == 0x7f)
            fprintf(f, "\\u%04x", c);
        else
            fwrite(text + i, 1, (size_t)len, f);
        i += len > 0 ? len : 1;
    }
    fputc('"', f);
}

/* "%.6g" drops trailing zeros, and any decimal of six digits survives a float: so six are the
 * fewest where fewer would do, and nine always do (fifteen and seventeen for a double). */
void cli_put_float(FILE *f, float x)
{
    char text[40] = "null";
    for (int digits = 6; isfinite(x) && digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x)
            break;
    }
    fputs(text, f);
}

void cli_put_double(FILE *f, double x)
{
    char text[40] = "null";
    for (int digits = 15; isfinite(x) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    fputs(text, f);
}

void cli_put_floats(FILE *f, const float *x, int64_t n)
{
    fputc('[', f);
    for (int64_t i = 0; i < n; i++) {
        fputs(i > 0 ? "," : "", f);
        cli_put_float(f, x[i]);
    }
    fputc(']', f);
}

void cli_put_ids(FILE *f, const int32_t *id, int64_t n)
{
    fputc('[', f);
    for (int64_t i = 0; i < n; i++)
        fprintf(f, i > 0 ? ",%ld" : "%ld", (long)id[i]);
    fputc(']', f);
}

void cli_put_json(FILE *f, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        fputc('{', f);
        i = 0;
        json_object_foreach((json_t *)value, key, member) {
            fputs(i++ > 0 ? "," : "", f);
            cli_put_text(f, key, (int64_t)strlen(key));
            fputc(':', f);
            cli_put_json(f, member);
        }
        fputc('}', f);
        break;
    case JSON_ARRAY:
        fputc('[', f);
        json_array_foreach((json_t *)value, i, member) {
            fputs(i > 0 ? "," : "", f);
            cli_put_json(f, member);
        }
        fputc(']', f);
        break;
    case JSON_STRING:
        cli_put_text(f, json_string_value(value), (int64_t)json_string_length(value));
        break;
    case JSON_INTEGER:
        fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        /* 5.0 stays 5.0: some readers tell it from 5. */
        if (fabs(json_real_value(value)) < 1e15 && json_real_value(value) == floor(json_real_value(value)))
            fprintf(f, "%.1f", json_real_value(value));
        else
            cli_put_double(f, json_real_value(value));
        break;
    default:
        fputs(json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null", f);
    }
}

/* ---- Files out ---------------------------------------------------------------------------- */

int cli_out_open(cli_out *o, const char *path)
{
    struct stat st;
    *o = (cli_out){0};
    if (path == NULL || strcmp(path, "-") == 0) {
        o->stream = stdout;
        return CLI_DONE;
    }
    /* A device or a pipe is written to, not replaced; of a link, what it points to is replaced. */
    const bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return cli_fail(CLI_FAILED, "%s: is a folder, not a file", path);
    o->path = there ? realpath(path, NULL) : NULL;
    if (o->path == NULL)
        o->path = cli_printf("%s", path);
    if (there && !S_ISREG(st.st_mode)) {
        o->stream = fopen(path, "w");
    } else {
        o->temp = cli_printf("%s.part-%ld", o->path, (long)getpid());
        const int fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        o->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
        if (fd >= 0)
            cli_making(o->temp);
    }
    if (o->stream == NULL) {
        const int why = errno;
        cli_out_drop(o);
        return cli_fail(CLI_FAILED, "%s: cannot open for writing: %s", path, strerror(why));
    }
    return CLI_DONE;
}

int cli_out_check(cli_out *o)
{
    /* After an earlier failure stdio keeps the mark but not the reason. */
    const bool failed = ferror(o->stream) != 0;
    errno = 0;
    if (fflush(o->stream) != 0 || failed)
        return cli_fail(CLI_FAILED, "%s: cannot write: %s", o->path != NULL ? o->path : "standard output",
                        errno != 0 ? strerror(errno) : "an earlier write failed");
    return CLI_DONE;
}

int cli_out_commit(cli_out *o)
{
    int status = cli_out_check(o);
    if (status != CLI_DONE || o->path == NULL)
        return status;
    if (o->temp != NULL && fsync(fileno(o->stream)) != 0)
        return cli_fail(CLI_FAILED, "%s: cannot write: %s", o->path, strerror(errno));
    const int closed = fclose(o->stream);
    o->stream = NULL;
    if (closed != 0 || (o->temp != NULL && rename(o->temp, o->path) != 0))
        return cli_fail(CLI_FAILED, "%s: cannot write: %s", o->path, strerror(errno));
    cli_making(NULL);
    free(o->temp);
    o->temp = NULL;
    return CLI_DONE;
}

void cli_out_drop(cli_out *o)
{
    if (o->stream != NULL && o->stream != stdout)
        fclose(o->stream);
    if (o->temp != NULL)
        unlink(o->temp);
    cli_making(NULL);
    free(o->path);
    free(o->temp);
    *o = (cli_out){0};
}
