#include <stdlib.h>
#include <string.h>

#include "command.h"

static char *command_line;

const char *cli_command_line(void)
{
    return command_line;
}

static char *quote_all(int argc, char **argv)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    int64_t room = 1;
    for (int i = 0; i < argc; i++)
        room += 4 * (int64_t)strlen(argv[i]) + 3;
    char *out = cli_new(room, 1), *p = out;
    for (int i = 0; i < argc; i++) {
        const bool quote = argv[i][0] == '\0' || argv[i][strspn(argv[i], plain)] != '\0';
        if (i > 0)
            *p++ = ' ';
        if (quote)
            *p++ = '\'';
        for (const char *c = argv[i]; *c != '\0'; c++) {
            if (*c == '\'') {
                memcpy(p, "'\\''", 4);
                p += 4;
            } else {
                *p++ = *c;
            }
        }
        if (quote)
            *p++ = '\'';
    }
    *p = '\0';
    return out;
}

void cli_command_line_keep(int argc, char **argv)
{
    command_line = quote_all(argc, argv);
}

void cli_command_line_drop(void)
{
    free(command_line);
    command_line = NULL;
}

int cli_open(const char *path, const eh_session_options *options, cli_opened *opened)
{
    eh_err err;
    if (eh_model_open(path, &opened->m, &err) < 0 || eh_session_open(opened->m, options, &opened->s, &err) < 0)
        return cli_fail_with(&err);
    return CLI_DONE;
}

int cli_open_files(const char *path, cli_opened *opened)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.precision = EH_F32;
    return cli_open(path, &o, opened);
}

void cli_close(cli_opened *opened)
{
    eh_session_close(opened->s);
    eh_model_close(opened->m);
    *opened = (cli_opened){0};
}

char *cli_default_out(const char *command, const char *model)
{
    size_t end = strlen(model);
    while (end > 1 && model[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && model[start - 1] != '/')
        start--;
    if (end - start > 5 && memcmp(model + end - 5, ".gguf", 5) == 0)
        end -= 5;
    return cli_printf("evenhand-%s-%.*s", command, (int)(end - start), model + start);
}

int cli_progress_and_stop(void *ctx, const char *stage, int64_t done, int64_t total)
{
    cli_progress_show(ctx, stage, done, total);
    return cli_interrupted();
}

int cli_study_failed(const eh_err *err, const char *out)
{
    if (err->code == EH_ESTOP)
        return cli_fail(CLI_INTERRUPTED, "stopped; what was done is kept in %s, and this resumes it: %s", out,
                        cli_command_line());
    return err->code == EH_EINVAL ? cli_fail(CLI_USAGE, "%s", err->text) : cli_fail_with(err);
}

void cli_say_notes(const char *notes)
{
    if (notes != NULL && *notes != '\0')
        cli_say("\n%.*s", (int)strlen(notes) - (notes[strlen(notes) - 1] == '\n'), notes);
}
