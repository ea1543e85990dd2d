#include <string.h>

#include "command.h"

extern const cli_command cli_run, cli_audit, cli_locate, cli_edit, cli_tune, cli_report, cli_compare, cli_plant,
    cli_score, cli_generate, cli_perplexity, cli_tokenize, cli_inspect, cli_selftest, cli_help;

const cli_command *const cli_all_commands[] = {
    &cli_run,        &cli_audit,    &cli_locate,  &cli_edit,     &cli_tune,
    &cli_report,     &cli_compare,  &cli_plant,   &cli_score,    &cli_generate,
    &cli_perplexity, &cli_tokenize, &cli_inspect, &cli_selftest, &cli_help, NULL,
};

/* ---- evenhand help --------------------------------------------------------------------------- */

typedef struct args {
    const char *command, *completions;
    bool man;
} args;

static const cli_option options[] = {
    {.name = "COMMAND", .kind = CLI_TEXT, .operand = true, .at = offsetof(args, command),
     .help = "the command to explain; none for the list of commands"},
    {.name = "man", .kind = CLI_FLAG, .at = offsetof(args, man), .help = "the man page, for troff"},
    {.name = "completions", .kind = CLI_WORD, .value = "bash|zsh", .at = offsetof(args, completions),
     .help = "a script that completes evenhand's commands and options in a shell"},
    {.name = NULL},
};

static int run(const void *given)
{
    const args *a = given;
    const cli_command *c = a->command != NULL ? cli_command_named(a->command) : NULL;
    if (a->command != NULL && c == NULL)
        return cli_fail(CLI_USAGE, "there is no command \"%s\"; \"evenhand help\" lists them", a->command);
    if (a->completions != NULL)
        (strcmp(a->completions, "bash") == 0 ? cli_completions_bash : cli_completions_zsh)(stdout);
    else if (c != NULL)
        (a->man ? cli_man_command : cli_help_command)(stdout, c);
    else
        (a->man ? cli_man_overview : cli_help_overview)(stdout);
    return CLI_DONE;
}

const cli_command cli_help = {
    .name = "help",
    .what = "explain a command; write man pages and shell completions",
    .about = "Shows the commands, or the options of one.\n"
             "\n"
             "  evenhand help score\n"
             "  evenhand help --man score | man -l -\n"
             "  evenhand help --completions bash > ~/.local/share/bash-completion/completions/evenhand",
    .option = options,
    .size = sizeof(args),
    .run = run,
    .plain = true,
};
