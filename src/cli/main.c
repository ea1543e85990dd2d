/*
 * The program: one command a call. What a command is stands in its file, beside its table of
 * options; this file starts it and answers for standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "stream.h"

/* A standard stream that was closed would hand its number to the next file that is opened, and
 * output would land there. Opened the wrong way round, its use fails as it should. */
static void occupy_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(CLI_FAILED);
}

/* libgomp reads how its threads shall wait before main begins; by itself it lets them spin, which on
 * a machine that others use costs half of the speed and more (docs/speed.md). So the program starts
 * itself anew with the wish in its environment, unless the user has said something. */
static void wait_without_spinning(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") == NULL && getenv("GOMP_SPINCOUNT") == NULL &&
        setenv("OMP_WAIT_POLICY", "passive", 0) == 0)
        execv("/proc/self/exe", argv); /* returns only where it cannot: then it runs as it is */
}

static const char *deal_command(void *ctx)
{
    const cli_command *const **at = ctx;
    return **at != NULL ? (*(*at)++)->name : NULL;
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL) {
        cli_help_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("evenhand %s\n", eh_version());
        return CLI_DONE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";

    const cli_command *c = cli_command_named(name);
    if (c == NULL) {
        const cli_command *const *at = cli_commands;
        const char *near = cli_nearest(name, deal_command, &at);
        return near != NULL ? cli_fail(CLI_USAGE, "there is no command \"%s\"; did you mean \"%s\"?", name, near)
                            : cli_fail(CLI_USAGE, "there is no command \"%s\"; \"evenhand help\" lists them", name);
    }
    cli_arguments a;
    int status = cli_arguments_read(c, argc - 2, argv + 2, &a);
    if (status == CLI_DONE && a.help)
        cli_help_command(stdout, c);
    else if (status == CLI_DONE)
        status = c->run(a.args);
    cli_arguments_clear(&a);
    return status;
}

extern const cli_command *const cli_all_commands[]; /* text_table.c */

int main(int argc, char **argv)
{
    wait_without_spinning(argv);
    occupy_standard_streams();
    /* A reader that went away is an error to report, not a silent death. */
    signal(SIGPIPE, SIG_IGN);
    cli_commands = cli_all_commands;
    cli_command_line_keep(argc, argv);

    int status = run(argc, argv);
    cli_out standard = {.stream = stdout};
    if ((status == CLI_DONE || status == CLI_PARTLY) && cli_out_check(&standard) != CLI_DONE)
        status = CLI_FAILED;
    cli_command_line_drop();
    return status;
}
