/*
 * Commands and their options, as tables. From them come parsing, EVENHAND_* variables, the config
 * file, help, man pages and completions.
 *
 *     typedef struct args {
 *         const char *model, *out;
 *         eh_session_options session;
 *     } args;
 *     static void init(void *a) { eh_session_options_init(&((args *)a)->session, sizeof(eh_session_options)); }
 *     static const cli_option options[] = {
 *         CLI_MODEL(args),
 *         {.name = "out", .letter = 'o', .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, out),
 *          .help = "..."},
 *         {.name = NULL},
 *     };
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evenhand.h"

#include "term.h"

typedef enum cli_kind {
    CLI_FLAG,   /* bool */
    CLI_TEXT,   /* const char * */
    CLI_FILE,   /* const char *; completions offer files */
    CLI_FOLDER, /* const char *; completions offer folders */
    CLI_WORD,   /* const char *: one of the words of `value`, "auto|yes|no" */
    CLI_CHOICE, /* an enum: a member of `choice` by its name */
    CLI_SET,    /* unsigned: a bit 1 << value for each member of `choice` that is named, parted by commas */
    CLI_LIST,   /* const char *: words parted by commas; given twice, the lists are joined */
    CLI_COUNT,  /* int64_t */
    CLI_SIZE,   /* int64_t: bytes, as 1048576, 512M or 1.5G */
    CLI_REAL    /* double */
} cli_kind;

typedef struct cli_option {
    const char *name;    /* "batch-tokens"; "MODEL" for an operand. NULL ends a table */
    cli_kind kind;
    bool operand;        /* stands on the command line without a name */
    bool required;
    char letter;         /* 'o' for -o; 0: none */
    const char *value;   /* what the help calls the value: "FILE"; of a CLI_WORD, its words */
    eh_choice_kind choice;
    const char *unset;   /* the word for a CLI_CHOICE, CLI_COUNT, CLI_SIZE or CLI_REAL of -1: "all"; NULL: none */
    double low, high;    /* bounds of a CLI_COUNT, CLI_SIZE or CLI_REAL */
    size_t at;           /* where in the command's arguments */
    const char *help;    /* starts small, ends without a full stop */
    char *(*more)(void); /* what the library's tables add to it, to be freed; NULL: nothing */
} cli_option;

typedef struct cli_command {
    const char *name, *what; /* "score", and a line that says what it does */
    const char *about;       /* paragraphs; lines that begin with blanks stay as they are */
    const cli_option *option;
    size_t size;             /* of its arguments */
    void (*init)(void *args); /* the defaults, in arguments that are all zero; NULL: they stay so */
    int (*run)(const void *args);
    bool plain; /* reads neither EVENHAND_* nor the config file */
} cli_command;

extern const cli_command *const *cli_commands; /* all there are, NULL at the end; main.c sets it, first of all */
const cli_command *cli_command_named(const char *name); /* NULL when there is none */

/* ---- Arguments ---------------------------------------------------------------------------- */

typedef struct cli_arguments {
    void *args;   /* the command's own struct */
    bool help;    /* --help was among them; nothing else was looked at */
    char *config; /* text of the config file, which args may point into */
    char **joined; /* [n_joined] lists that were given in parts, by option */
    int n_joined;
} cli_arguments;

/* Command line before environment before config file before default. argv begins after the
 * command's name. Returns an exit status, the person told of what is wrong. */
int cli_arguments_read(const cli_command *c, int argc, char **argv, cli_arguments *a);
void cli_arguments_clear(cli_arguments *a);

/* "EVENHAND_BATCH_TOKENS" for "batch-tokens"; out holds 64 bytes. */
void cli_variable_name(const char *option, char *out);
/* The command's arguments as they are where nothing is said; to be freed. */
void *cli_arguments_new(const cli_command *c);
/* Which of the words "a|b|c" this is; -1 when none. */
int cli_word_index(const char *words, const char *word);
/* The nearest of the names that `next` deals out, when near enough to be meant; NULL otherwise. */
typedef const char *cli_deal(void *ctx); /* NULL after the last */
const char *cli_nearest(const char *word, cli_deal *next, void *ctx);

/* The whole command line, quoted for a shell. */
const char *cli_command_line(void);
void cli_command_line_keep(int argc, char **argv); /* first of all */
void cli_command_line_drop(void);

/* ---- Benchmarks: what the library's rows say --------------------------------------------------- */

const eh_benchmark *cli_benchmark(const char *name); /* NULL: there is none */
/* Lists for help, to be freed: those that can be asked, located on, that can judge a run, and be learnt from; which
 * measure is whose; what a run measures beside which. */
char *cli_benchmarks_asked(void);
char *cli_benchmarks_located(void);
char *cli_benchmarks_judging(void);
char *cli_benchmarks_learnt(void);
char *cli_benchmark_measures(void);
char *cli_benchmarks_beside(void);

/* ---- Help, man pages, completions ------------------------------------------------------------ */

void cli_help_overview(FILE *f);
void cli_help_command(FILE *f, const cli_command *c);
void cli_man_overview(FILE *f);
void cli_man_command(FILE *f, const cli_command *c);
void cli_completions_bash(FILE *f);
void cli_completions_zsh(FILE *f);

/* ---- What most commands share ------------------------------------------------------------------ */

/* Rows for a table of options. They stand in the argument struct as `const char *model`, `eh_session_options session`
 * and `eh_audit_options audit`. */
#define CLI_MODEL(args) \
    {.name = "MODEL", .kind = CLI_FILE, .operand = true, .required = true, .at = offsetof(args, model), \
     .help = "a model folder (config.json and safetensors) or a GGUF file"}
#define CLI_SESSION(args) \
    {.name = "precision", .kind = CLI_CHOICE, .choice = EH_CHOICE_PRECISION, \
     .at = offsetof(args, session.precision), .help = "of matrix products"}, \
    {.name = "threads", .kind = CLI_COUNT, .value = "N", .unset = "all", .low = 1, .high = 1024, \
     .at = offsetof(args, session.threads), .help = "threads; all: every core this process may use"}, \
    {.name = "batch-tokens", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 1 << 24, \
     .at = offsetof(args, session.batch_tokens), .help = "tokens that go through a layer together"}, \
    {.name = "memory", .kind = CLI_SIZE, .value = "SIZE", .unset = "auto", .high = 1ll << 50, \
     .at = offsetof(args, session.memory), \
     .help = "room for packed weights that are kept between batches, such as 2G; the rest is packed anew for each. " \
             "auto: 384M, and all weights when generating"}, \
    {.name = "no-prefix-sharing", .kind = CLI_FLAG, .at = offsetof(args, session.no_prefix_sharing), \
     .help = "compute a prefix again for each request that has it; slower, and the same numbers in f32"}

/* What is asked: common to all commands that ask a benchmark's questions. */
#define CLI_QUESTIONS(args) \
    {.name = "data", .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, audit.data), \
     .help = "folder with the benchmarks' published files"}, \
    {.name = "items", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, audit.items), \
     .help = "items of your own, JSON Lines: the task \"items\", which is then the one that is meant unless --tasks " \
             "says more"}, \
    {.name = "probes", .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, audit.probes), \
     .help = "folder with a probe set of your own in evenhand's format"}, \
    {.name = "orders", .kind = CLI_WORD, .value = "stored|cyclic|all", .at = offsetof(args, audit.orders), \
     .help = "in which orders the options are shown (with letters): as stored, each in each place (the default), or " \
             "all six"}, \
    {.name = "categories", .kind = CLI_LIST, .value = "LIST", .at = offsetof(args, audit.categories), \
     .help = "only these categories, parted by commas"}, \
    {.name = "chat", .kind = CLI_FLAG, .at = offsetof(args, audit.chat), \
     .help = "wrap prompts in the model's chat template"}, \
    {.name = "seed", .kind = CLI_COUNT, .value = "S", .high = 9007199254740992, \
     .at = offsetof(args, audit.seed), .help = "of draws and of the bootstrap"}, \
    {.name = "resamples", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 1e7, \
     .at = offsetof(args, audit.resamples), .help = "of the bootstrap"}, \
    {.name = "confidence", .kind = CLI_REAL, .value = "P", .low = 0.5, .high = 0.9999, \
     .at = offsetof(args, audit.confidence), .help = "of the intervals"}
#define CLI_ANSWER(args) \
    {.name = "answer", .kind = CLI_WORD, .value = "letters|text|text_pmi", .at = offsetof(args, audit.answer), \
     .help = "how an answer is read: the letter's log-probability (the default), the option's text, or its text " \
             "against the text alone"}
#define CLI_LIMIT(args, what_unset) \
    {.name = "limit", .kind = CLI_COUNT, .value = "N", .unset = what_unset, .low = 1, .high = 1ll << 40, \
     .at = offsetof(args, audit.limit), \
     .help = "items of a category at most; whole templates are drawn by the seed"}

/* "evenhand-audit-" and the model's name; to be freed. */
char *cli_default_out(const char *command, const char *model);
/* An eh_progress: shows the bar (ctx is a cli_progress), and asks to stop after Ctrl+C. */
int cli_progress_and_stop(void *ctx, const char *stage, int64_t done, int64_t total);
/* Tells of a study that failed or was stopped; its exit status. */
int cli_study_failed(const eh_err *err, const char *out);
void cli_say_notes(const char *notes); /* sentences, one a line; may be NULL */

/* A model and a session on it. NULL: not open. */
typedef struct cli_opened {
    eh_model *m;
    eh_session *s;
} cli_opened;
int cli_open(const char *path, const eh_session_options *options, cli_opened *opened); /* an exit status */
int cli_open_files(const char *path, cli_opened *opened); /* where nothing is computed */
void cli_close(cli_opened *opened);

#endif
