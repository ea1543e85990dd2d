/* Help on the terminal, man pages and completions: all from the tables. */
#include <stdlib.h>
#include <string.h>

#include "command.h"

#define WIDTH 96
#define TEXT 2000 /* bytes of an option's help */

static const struct {
    int number;
    const char *meaning;
} statuses[] = {
#define CLI_STATUS(name, number, text) {number, text},
    CLI_STATUSES(CLI_STATUS)
#undef CLI_STATUS
};
#define N_STATUS ((int)(sizeof statuses / sizeof statuses[0]))

static const char overview[] =
    "evenhand finds where a language model's social bias lives, turns it down, and proves what that did. "
    "Models are folders in Hugging Face's layout (config.json and safetensors) or GGUF files; everything runs on the "
    "processor, and nothing touches the network.";

static const char settings[] =
    "Every option can also be set by a variable, EVENHAND_BATCH_TOKENS for --batch-tokens, and in a config file of "
    "lines \"option = value\" or \"command.option = value\"; a line that starts with # is a comment. The command "
    "line goes before the environment, the environment before the config file, and there what names the command "
    "before what does not. The file is $EVENHAND_CONFIG (none when that is empty), else "
    "$XDG_CONFIG_HOME/evenhand/config, else ~/.config/evenhand/config. NO_COLOR turns colours off.";

/* ---- Help on the terminal --------------------------------------------------------------------- */

/* Prints text at an indent, wrapped; lines that begin with a blank stay as they are. `column` is where the first line
 * has got to already; 0: it has not begun. */
static void put_wrapped_from(FILE *f, const char *text, int indent, int column)
{
    while (*text != '\0') {
        const size_t n = strcspn(text, "\n");
        if (*text == ' ' || n == 0) {
            fprintf(f, "%*s%.*s\n", n > 0 ? indent : 0, "", (int)n, text);
        } else {
            bool first = true;
            if (column < indent)
                column += fprintf(f, "%*s", indent - column, "");
            for (size_t at = 0; at < n; first = false) {
                const int word = (int)strcspn(text + at, " \n");
                if (!first && column + 1 + word > WIDTH) {
                    fprintf(f, "\n%*s", indent, "");
                    column = indent;
                    first = true;
                }
                column += fprintf(f, "%s%.*s", first ? "" : " ", word, text + at);
                at += (size_t)word;
                at += strspn(text + at, " ");
            }
            fputc('\n', f);
            column = 0;
        }
        text += n + (text[n] == '\n');
    }
}

static void put_wrapped(FILE *f, const char *text, int indent)
{
    put_wrapped_from(f, text, indent, 0);
}

static void put_heading(FILE *f, const char *text)
{
    fputc('\n', f);
    cli_put_coloured(f, CLI_BOLD, text);
    fputc('\n', f);
}

/* "score MODEL --requests FILE [options]" */
static void put_usage(FILE *f, const cli_command *c)
{
    bool optional = false;
    fputs(c->name, f);
    for (const cli_option *o = c->option; o->name != NULL; o++) {
        optional = optional || (!o->operand && !o->required);
        if (o->operand)
            fprintf(f, o->required ? " %s" : " [%s]", o->name);
        else if (o->required)
            fprintf(f, " --%s %s", o->name, o->value);
    }
    fputs(optional ? " [options]" : "", f);
}

/* The option's help with what the library's tables add to it. */
static void put_help(char *out, size_t room, const cli_option *o)
{
    char *more = o->more != NULL ? o->more() : NULL;
    snprintf(out, room, "%s%s", o->help, more != NULL ? more : "");
    free(more);
}

/* What the help calls the option's value: "N|all". */
static const char *value_of(const cli_option *o, char *out, size_t room)
{
    int n;
    const eh_choice *c = eh_choices(o->choice, &n);
    size_t used = 0;
    out[0] = '\0';
    if (o->value != NULL || o->kind != CLI_CHOICE) {
        snprintf(out, room, "%s%s%s", o->value != NULL ? o->value : "", o->unset != NULL ? "|" : "",
                 o->unset != NULL ? o->unset : "");
        return out;
    }
    if (o->unset != NULL)
        used = (size_t)snprintf(out, room, "%s|", o->unset);
    for (int i = 0; i < n && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%s", i > 0 ? "|" : "", c[i].name);
    return out;
}

/* The default as one would write it; false: there is none to tell of. */
static bool default_of(const cli_option *o, const void *args, char *out, size_t room)
{
    const void *at = (const char *)args + o->at;
    int n;
    size_t used = 0;
    if (o->required || o->operand)
        return false;
    switch (o->kind) {
    case CLI_FLAG: return false;
    case CLI_COUNT:
    case CLI_SIZE:
        if (o->unset != NULL && *(const int64_t *)at == -1)
            snprintf(out, room, "%s", o->unset);
        else
            snprintf(out, room, "%lld", (long long)*(const int64_t *)at);
        return true;
    case CLI_REAL:
        if (o->unset != NULL && *(const double *)at == -1.0)
            snprintf(out, room, "%s", o->unset);
        else
            snprintf(out, room, "%g", *(const double *)at);
        return true;
    case CLI_CHOICE: {
        const char *name = eh_choice_name(o->choice, *(const int *)at);
        snprintf(out, room, "%s", name != NULL ? name : o->unset);
        return true;
    }
    case CLI_SET: {
        const eh_choice *c = eh_choices(o->choice, &n);
        for (int i = 0; i < n; i++)
            if (c[i].value >= 0 && (*(const unsigned *)at >> c[i].value & 1u) != 0)
                used += (size_t)snprintf(out + used, room - used, "%s%s", used > 0 ? "," : "", c[i].name);
        return used > 0;
    }
    default:
        if (*(const char *const *)at == NULL)
            return false;
        snprintf(out, room, "%s", *(const char *const *)at);
        return true;
    }
}

/* And with its default. */
static void put_default(char *out, size_t room, const cli_option *o, const void *args)
{
    char initial[200];
    put_help(out, room, o);
    const size_t n = strlen(out);
    if (default_of(o, args, initial, sizeof initial))
        snprintf(out + n, room - n, " (default %s)", initial);
}

/* Member i of those that the option may name, with what it means; NULL after the last. */
static const eh_choice *member_of(const cli_option *o, int i)
{
    int n;
    const eh_choice *c = eh_choices(o->choice, &n);
    while (o->kind == CLI_SET && n > 0 && c->value < 0) {
        c++;
        n--;
    }
    return (o->kind == CLI_CHOICE || o->kind == CLI_SET) && i < n ? &c[i] : NULL;
}

void cli_help_overview(FILE *f)
{
    fputs("usage: evenhand COMMAND ...\n\n", f);
    put_wrapped(f, overview, 0);
    put_heading(f, "Commands");
    for (int i = 0; cli_commands[i] != NULL; i++)
        fprintf(f, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->what);
    fputs("\n\"evenhand help COMMAND\" shows a command's options, \"evenhand --version\" the version.\n", f);
    put_heading(f, "Settings");
    put_wrapped(f, settings, 2);
    put_heading(f, "Exit status");
    for (int i = 0; i < N_STATUS; i++)
        fprintf(f, "  %3d  %s\n", statuses[i].number, statuses[i].meaning);
}

void cli_help_command(FILE *f, const cli_command *c)
{
    fputs("usage: evenhand ", f);
    put_usage(f, c);
    void *const args = cli_arguments_new(c);
    fprintf(f, "\n\n");
    put_wrapped(f, c->about, 0);
    put_heading(f, "Options");
    for (const cli_option *o = c->option; o->name != NULL; o++) {
        char text[TEXT], left[300], value[200];
        const char letter[] = {'-', o->letter, ',', ' ', '\0'};
        snprintf(left, sizeof left, "%s%s%s%s%s", o->operand ? "" : o->letter != '\0' ? letter : "    ",
                 o->operand ? "" : "--", o->name, o->kind != CLI_FLAG && !o->operand ? " " : "",
                 o->operand ? "" : value_of(o, value, sizeof value));
        fprintf(f, "  %s\n", left);
        put_default(text, sizeof text, o, args);
        put_wrapped(f, text, 10);
        int width = 0;
        const eh_choice *m;
        for (int i = 0; (m = member_of(o, i)) != NULL; i++)
            width = (int)strlen(m->name) > width ? (int)strlen(m->name) : width;
        for (int i = 0; (m = member_of(o, i)) != NULL; i++)
            put_wrapped_from(f, m->words, 14 + width, fprintf(f, "%12s%s", "", m->name));
    }
    free(args);
}

/* ---- Man pages ------------------------------------------------------------------------------ */

/* Text for troff: a backslash, a leading dot and a hyphen mean something there. */
static void put_troff(FILE *f, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((i == 0 || text[i - 1] == '\n') && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", f);
        if (text[i] == '\\')
            fputs("\\e", f);
        else if (text[i] == '-')
            fputs("\\-", f);
        else
            fputc(text[i], f);
    }
}

static void put_paragraphs(FILE *f, const char *text)
{
    bool verbatim = false;
    while (*text != '\0') {
        const size_t n = strcspn(text, "\n");
        if ((*text == ' ') != verbatim) {
            verbatim = !verbatim;
            fputs(verbatim ? ".PP\n.nf\n" : ".fi\n", f);
        }
        if (n == 0)
            fputs(verbatim ? "" : ".PP\n", f);
        else {
            put_troff(f, text, n);
            fputc('\n', f);
        }
        text += n + (text[n] == '\n');
    }
    fputs(verbatim ? ".fi\n" : "", f);
}

static void put_man_title(FILE *f, const char *name, const char *what)
{
    fprintf(f, ".TH \"");
    for (const char *p = name; *p != '\0'; p++)
        fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, f);
    fprintf(f, "\" 1 \"\" \"evenhand\" \"evenhand\"\n.SH NAME\n");
    put_troff(f, name, strlen(name));
    fputs(" \\- ", f);
    put_troff(f, what, strlen(what));
    fputc('\n', f);
}

static void put_man_statuses(FILE *f)
{
    fputs(".SH EXIT STATUS\n", f);
    for (int i = 0; i < N_STATUS; i++)
        fprintf(f, ".TP\n%d\n%s\n", statuses[i].number, statuses[i].meaning);
}

void cli_man_overview(FILE *f)
{
    put_man_title(f, "evenhand", "find, lessen and measure the social bias of a language model");
    fputs(".SH SYNOPSIS\n.B evenhand\n.I COMMAND\n\\&...\n.SH DESCRIPTION\n", f);
    put_paragraphs(f, overview);
    fputs(".SH COMMANDS\n", f);
    for (int i = 0; cli_commands[i] != NULL; i++)
        fprintf(f, ".TP\n.BR evenhand\\-%s (1)\n%s\n", cli_commands[i]->name, cli_commands[i]->what);
    fputs(".SH SETTINGS\n", f);
    put_paragraphs(f, settings);
    put_man_statuses(f);
}

void cli_man_command(FILE *f, const cli_command *c)
{
    char name[64], text[TEXT], value[200];
    void *const args = cli_arguments_new(c);
    snprintf(name, sizeof name, "evenhand-%s", c->name);
    put_man_title(f, name, c->what);
    fputs(".SH SYNOPSIS\n.B evenhand\n", f);
    put_usage(f, c);
    fputs("\n.SH DESCRIPTION\n", f);
    put_paragraphs(f, c->about);
    fputs(".SH OPTIONS\n", f);
    for (const cli_option *o = c->option; o->name != NULL; o++) {
        fputs(".TP\n", f);
        if (o->letter != '\0')
            fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
        fputs(o->operand ? "\\fI" : "\\fB\\-\\-", f);
        put_troff(f, o->name, strlen(o->name));
        if (o->operand || o->kind == CLI_FLAG)
            fputs("\\fR\n", f);
        else
            fprintf(f, "\\fR \\fI%s\\fR\n", value_of(o, value, sizeof value));
        put_default(text, sizeof text, o, args);
        put_troff(f, text, strlen(text));
        fputc('\n', f);
        const eh_choice *m;
        for (int i = 0; (m = member_of(o, i)) != NULL; i++) {
            fprintf(f, "%s.TP\n.I ", i == 0 ? ".RS\n" : "");
            put_troff(f, m->name, strlen(m->name));
            fputc('\n', f);
            put_troff(f, m->words, strlen(m->words));
            fputs(member_of(o, i + 1) == NULL ? "\n.RE\n" : "\n", f);
        }
    }
    free(args);
    put_man_statuses(f);
    fputs(".SH SEE ALSO\n.BR evenhand (1)\n", f);
}

/* ---- Completions ---------------------------------------------------------------------------- */

static void put_words(FILE *f, const char *words)
{
    for (; *words != '\0'; words++)
        fputc(*words == '|' ? ' ' : *words, f);
}

/* Those that the option's value may be. */
static void put_words_of(FILE *f, const cli_option *o)
{
    const eh_choice *m;
    if (o->kind == CLI_WORD)
        put_words(f, o->value);
    else if (o->unset != NULL)
        fprintf(f, "%s ", o->unset);
    for (int i = 0; (m = member_of(o, i)) != NULL; i++)
        fprintf(f, "%s%s", i > 0 ? " " : "", m->name);
}

static void put_command_names(FILE *f)
{
    for (int i = 0; cli_commands[i] != NULL; i++)
        fprintf(f, "%s%s", i > 0 ? " " : "", cli_commands[i]->name);
}

void cli_completions_bash(FILE *f)
{
    fputs("# bash completion for evenhand; made by \"evenhand help --completions bash\"\n"
          "_evenhand()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n"
          "    local names=\"", f);
    put_command_names(f);
    fputs("\"\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ] || [ \"$command\" = help ]; then\n"
          "        case $word in\n"
          "        -*) names=\"--help --version --man --completions\" ;;\n"
          "        esac\n"
          "        COMPREPLY=($(compgen -W \"$names\" -- \"$word\"))\n"
          "        return\n"
          "    fi\n"
          "    case \"$command $before\" in\n", f);
    for (int i = 0; cli_commands[i] != NULL; i++)
        for (const cli_option *o = cli_commands[i]->option; o->name != NULL; o++) {
            if (o->operand || o->kind == CLI_FLAG)
                continue;
            fprintf(f, "    \"%s --%s\"", cli_commands[i]->name, o->name);
            if (o->letter != '\0')
                fprintf(f, " | \"%s -%c\"", cli_commands[i]->name, o->letter);
            if (o->kind == CLI_WORD || o->kind == CLI_CHOICE) {
                fputs(") COMPREPLY=($(compgen -W \"", f);
                put_words_of(f, o);
                fputs("\" -- \"$word\")); return ;;\n", f);
            } else if (o->kind == CLI_FILE || o->kind == CLI_FOLDER) {
                fprintf(f, ") COMPREPLY=($(compgen -%c -- \"$word\")); return ;;\n", o->kind == CLI_FILE ? 'f' : 'd');
            } else {
                fputs(") return ;;\n", f);
            }
        }
    fputs("    esac\n"
          "    case $word in\n"
          "    -*)\n"
          "        case $command in\n", f);
    for (int i = 0; cli_commands[i] != NULL; i++) {
        fprintf(f, "        %s) names=\"", cli_commands[i]->name);
        for (const cli_option *o = cli_commands[i]->option; o->name != NULL; o++)
            if (!o->operand)
                fprintf(f, "--%s ", o->name);
        fputs("--help\" ;;\n", f);
    }
    fputs("        esac\n"
          "        COMPREPLY=($(compgen -W \"$names\" -- \"$word\"))\n"
          "        ;;\n"
          "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
          "    esac\n"
          "}\n"
          "complete -o filenames -F _evenhand evenhand\n", f);
}

/* Text inside single quotes and square brackets, where zsh wants colons and brackets escaped. */
static void put_zsh(FILE *f, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\'", f);
        else if (strchr("[]:\\", *text) != NULL)
            fputc('\\', f);
        fputc(*text, f);
    }
}

void cli_completions_zsh(FILE *f)
{
    fputs("#compdef evenhand\n"
          "# zsh completion for evenhand; made by \"evenhand help --completions zsh\"\n"
          "_evenhand() {\n"
          "    local -a commands=(\n", f);
    for (int i = 0; cli_commands[i] != NULL; i++) {
        fprintf(f, "        '%s:", cli_commands[i]->name);
        put_zsh(f, cli_commands[i]->what);
        fputs("'\n", f);
    }
    fputs("    )\n"
          "    if (( CURRENT == 2 )); then\n"
          "        _describe command commands\n"
          "        return\n"
          "    fi\n"
          "    local command=$words[2]\n"
          "    shift words\n"
          "    (( CURRENT-- ))\n"
          "    case $command in\n", f);
    for (int i = 0; cli_commands[i] != NULL; i++) {
        fprintf(f, "    %s) _arguments", cli_commands[i]->name);
        for (const cli_option *o = cli_commands[i]->option; o->name != NULL; o++) {
            if (o->operand) {
                fprintf(f, " \\\n        ':%s:_files'", o->name);
                continue;
            }
            if (o->letter != '\0')
                fprintf(f, " \\\n        '(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter, o->name);
            else
                fprintf(f, " \\\n        '--%s[", o->name);
            char text[TEXT];
            put_help(text, sizeof text, o);
            put_zsh(f, text);
            fputc(']', f);
            if (o->kind == CLI_WORD || o->kind == CLI_CHOICE) {
                fprintf(f, ":%s:(", o->name);
                put_words_of(f, o);
                fputc(')', f);
            } else if (o->kind != CLI_FLAG) {
                fprintf(f, ":%s:%s", o->value,
                        o->kind == CLI_FILE ? "_files" : o->kind == CLI_FOLDER ? "_files -/" : " ");
            }
            fputc('\'', f);
        }
        fputs(" ;;\n", f);
    }
    fputs("    esac\n"
          "}\n"
          "_evenhand \"$@\"\n", f);
}
