#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

/* Where the value of an option comes from; what stands later here replaces what stands earlier. */
typedef struct source {
    const char *text; /* NULL: the option was not given, its argument is the default */
    enum { DEFAULT, CONFIG_ALL, CONFIG_OWN, ENVIRONMENT, LINE } from;
    long line; /* of the config file */
} source;

#define CONFIG_LIMIT (1 << 20) /* bytes */

/* ---- Names ------------------------------------------------------------------------------- */

void cli_variable_name(const char *option, char *out)
{
    int n = snprintf(out, 64, "EVENHAND_");
    for (; *option != '\0' && n < 63; option++)
        out[n++] = *option == '-' ? '_' : (char)toupper((unsigned char)*option);
    out[n] = '\0';
}

int cli_word_index(const char *words, const char *word)
{
    const size_t n = strlen(word);
    for (int i = 0;; i++) {
        const size_t len = strcspn(words, "|");
        if (len == n && memcmp(words, word, n) == 0)
            return i;
        if (words[len] == '\0')
            return -1;
        words += len + 1;
    }
}

/* Levenshtein 1965: the fewest insertions, deletions and changes that turn a into b. */
static int distance(const char *a, const char *b)
{
    int row[64];
    const int n = (int)strlen(b);
    if (strlen(a) >= 64 || n >= 64)
        return 64;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1] != '\0'; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int change = corner + (a[i - 1] != b[j - 1]);
            const int least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            corner = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[n];
}

const char *cli_nearest(const char *word, cli_deal *next, void *ctx)
{
    const char *name, *best = NULL;
    int least = 1 + (int)strlen(word) / 3;
    while ((name = next(ctx)) != NULL) {
        /* The start of a name is as near as one typing error. */
        const size_t n = strlen(word);
        const int far = n >= 2 && strncmp(word, name, n) == 0 ? 1 : distance(word, name);
        if (far < least || (far == least && best == NULL)) {
            least = far;
            best = name;
        }
    }
    return best;
}

static const char *deal_option(void *ctx)
{
    const cli_option **at = ctx;
    while ((*at)->name != NULL && (*at)->operand)
        ++*at;
    return (*at)->name != NULL ? (*at)++->name : NULL;
}

static const char *nearest_option(const cli_command *c, const char *name)
{
    const cli_option *at = c->option;
    return cli_nearest(name, deal_option, &at);
}

/* The named row (n bytes of name), or the one of the letter; NULL when there is none. */
static const cli_option *find(const cli_command *c, const char *name, size_t n, char letter)
{
    for (const cli_option *o = c->option; o->name != NULL; o++)
        if (!o->operand && (name != NULL ? strlen(o->name) == n && memcmp(o->name, name, n) == 0
                                         : letter != '\0' && o->letter == letter))
            return o;
    return NULL;
}

/* ---- Values ------------------------------------------------------------------------------- */

static int fail_value(const cli_option *o, const source *s, const char *wanted)
{
    char where[96] = "";
    if (o->operand || s->from == DEFAULT)
        snprintf(where, sizeof where, "%s", o->name);
    else if (s->from == CONFIG_ALL || s->from == CONFIG_OWN)
        snprintf(where, sizeof where, "line %ld of the config file: %s", s->line, o->name);
    else if (s->from == ENVIRONMENT)
        cli_variable_name(o->name, where);
    else
        snprintf(where, sizeof where, "--%s", o->name);
    return cli_fail(CLI_USAGE, "%s is \"%s\"; %s is wanted", where, s->text, wanted);
}

static int read_flag(const cli_option *o, const source *s, bool *out)
{
    const int i = cli_word_index("no|yes|0|1|false|true|off|on", s->text);
    if (i < 0)
        return fail_value(o, s, "yes or no");
    *out = i % 2 == 1;
    return CLI_DONE;
}

/* A number, and for a size its unit; all of the text. No blanks, hexadecimals, "inf" or "nan". */
static bool read_number(const char *text, bool size, double *x)
{
    static const char units[] = "KMGT";
    const size_t n = strspn(text, "0123456789+-.eE");
    char *end;

    *x = strtod(text, &end);
    if (n == 0 || end != text + n)
        return false;
    const char *unit = size && *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit != NULL) {
        *x *= (double)(1024ll << 10 * (unit - units));
        end += end[1] == 'i' && end[2] == 'B' ? 3 : end[1] == 'B' ? 2 : 1;
    }
    return *end == '\0' && isfinite(*x);
}

/* Joins the names of a choice. */
static void list_choices(const cli_option *o, char *out, size_t room)
{
    int n;
    const eh_choice *c = eh_choices(o->choice, &n);
    size_t used = (size_t)snprintf(out, room, "one of ");
    if (o->unset != NULL)
        used += (size_t)snprintf(out + used, room - used, "%s, ", o->unset);
    for (int i = 0; i < n && used < room; i++)
        if (o->kind != CLI_SET || c[i].value >= 0)
            used += (size_t)snprintf(out + used, room - used, "%s%s", c[i].name, i + 1 < n ? ", " : "");
}

static int read_choice(const cli_option *o, const source *s, void *out)
{
    char wanted[400];
    const eh_choice *c = eh_choice_find(o->choice, s->text);
    if (c != NULL) {
        *(int *)out = c->value;
        return CLI_DONE;
    }
    list_choices(o, wanted, sizeof wanted);
    return fail_value(o, s, wanted);
}

static int read_set(const cli_option *o, const source *s, void *out)
{
    unsigned set = 0;
    for (const char *p = s->text; *p != '\0';) {
        char name[100], wanted[400];
        const size_t n = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < 99 ? n : 99), p);
        const eh_choice *c = eh_choice_find(o->choice, name);
        if (c == NULL || c->value < 0) {
            list_choices(o, wanted, sizeof wanted);
            return fail_value(o, &(source){.text = name, .from = s->from, .line = s->line}, wanted);
        }
        set |= 1u << c->value;
        p += n + (p[n] == ',');
    }
    *(unsigned *)out = set;
    return CLI_DONE;
}

static bool is_number(cli_kind kind)
{
    return kind == CLI_COUNT || kind == CLI_SIZE || kind == CLI_REAL;
}

/* The word for what is not given; false: this is another. */
static bool read_unset(const cli_option *o, const source *s, void *out)
{
    if (o->unset == NULL || strcmp(o->unset, s->text) != 0)
        return false;
    if (o->kind == CLI_CHOICE)
        *(int *)out = -1;
    else if (o->kind == CLI_REAL)
        *(double *)out = -1.0;
    else
        *(int64_t *)out = -1;
    return true;
}

static int read_value(const cli_option *o, const source *s, void *out)
{
    char wanted[160], or_unset[60] = "";
    double x = 0;

    if (read_unset(o, s, out))
        return CLI_DONE;
    if (o->unset != NULL && is_number(o->kind))
        snprintf(or_unset, sizeof or_unset, " or %s", o->unset);
    switch (o->kind) {
    case CLI_CHOICE:
        return read_choice(o, s, out);
    case CLI_SET:
        return read_set(o, s, out);
    case CLI_FLAG:
        return read_flag(o, s, out);
    case CLI_WORD:
        if (cli_word_index(o->value, s->text) < 0) {
            int n = snprintf(wanted, sizeof wanted, "one of ");
            for (const char *c = o->value; *c != '\0'; c++)
                n += snprintf(wanted + n, sizeof wanted - (size_t)n, *c == '|' ? ", " : "%c", *c);
            return fail_value(o, s, wanted);
        }
        *(const char **)out = s->text;
        return CLI_DONE;
    case CLI_COUNT:
    case CLI_SIZE:
    case CLI_REAL:
        if (!read_number(s->text, o->kind == CLI_SIZE, &x)) {
            snprintf(wanted, sizeof wanted, "%s%s", o->kind == CLI_SIZE ? "a size such as 512M or 2G" : "a number",
                     or_unset);
            return fail_value(o, s, wanted);
        }
        if (o->kind == CLI_COUNT && x != floor(x))
            return fail_value(o, s, "a whole number");
        if (x < o->low || x > o->high) {
            snprintf(wanted, sizeof wanted, "a number from %.16g to %.16g%s", o->low, o->high, or_unset);
            return fail_value(o, s, wanted);
        }
        if (o->kind == CLI_REAL)
            *(double *)out = x;
        else
            *(int64_t *)out = (int64_t)x;
        return CLI_DONE;
    default:
        *(const char **)out = s->text;
        return CLI_DONE;
    }
}

/* ---- Config file --------------------------------------------------------------------------- */

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    for (size_t n = strlen(text); n > 0 && strchr(" \t\r", text[n - 1]) != NULL; n--)
        text[n - 1] = '\0';
    return text;
}

const cli_command *const *cli_commands;

const cli_command *cli_command_named(const char *name)
{
    for (int i = 0; cli_commands[i] != NULL; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

/* The config file's path (the caller's to free), NULL when there is none to read. */
static char *config_path(bool *must_exist)
{
    const char *own = getenv("EVENHAND_CONFIG"), *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    *must_exist = own != NULL;
    if (own != NULL)
        return *own != '\0' ? cli_printf("%s", own) : NULL;
    if (base != NULL && *base != '\0')
        return cli_printf("%s/evenhand/config", base);
    return home != NULL && *home != '\0' ? cli_printf("%s/.config/evenhand/config", home) : NULL;
}

/* "option" or "command.option": the row it means for c, or NULL when it is another command's.
 * *own: it named c. An option that no command has is an error. */
static int find_key(const cli_command *c, const char *path, long line, const char *key, const cli_option **option,
                    bool *own)
{
    const char *dot = strchr(key, '.'), *name = dot != NULL ? dot + 1 : key, *near = NULL;
    bool known = false;

    *own = false;
    for (int i = 0; cli_commands[i] != NULL; i++) {
        const cli_command *of = cli_commands[i];
        if (of->plain || (dot != NULL && (strlen(of->name) != (size_t)(dot - key) ||
                                          memcmp(of->name, key, (size_t)(dot - key)) != 0)))
            continue;
        *own = *own || (dot != NULL && of == c);
        known = known || find(of, name, strlen(name), 0) != NULL;
        if (near == NULL)
            near = nearest_option(of, name);
    }
    *option = dot == NULL || *own ? find(c, name, strlen(name), 0) : NULL;
    if (known)
        return CLI_DONE;
    return near != NULL
               ? cli_fail(CLI_USAGE, "%s:%ld: there is no option \"%s\"; did you mean \"%s\"?", path, line, key, near)
               : cli_fail(CLI_USAGE, "%s:%ld: there is no option \"%s\"", path, line, key);
}

static int read_config(const cli_command *c, source *sources, cli_arguments *a)
{
    bool must_exist;
    int64_t n = 0;
    int status = CLI_DONE;
    char *path = config_path(&must_exist);
    FILE *f = path != NULL ? fopen(path, "r") : NULL;

    if (path != NULL && f == NULL && (must_exist || errno != ENOENT))
        status = cli_fail(CLI_USAGE, "%s: cannot open the config file: %s", path, strerror(errno));
    if (f == NULL)
        goto done;
    a->config = cli_new(CONFIG_LIMIT + 1, 1);
    n = (int64_t)fread(a->config, 1, CONFIG_LIMIT, f);
    if (ferror(f) || n == CONFIG_LIMIT || strlen(a->config) != (size_t)n) {
        status = cli_fail(CLI_USAGE, "%s: is not a config file: %s", path,
                          ferror(f)           ? strerror(errno)
                          : n == CONFIG_LIMIT ? "it is larger than 1 MiB"
                                              : "it holds a NUL");
        goto done;
    }
    long number = 1;
    for (char *line = a->config, *next; line != NULL; line = next, number++) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        char *key = trim(line), *equals = strchr(key, '=');
        if (*key == '\0' || *key == '#')
            continue;
        if (equals == NULL) {
            status = cli_fail(CLI_USAGE, "%s:%ld: \"option = value\" is wanted", path, number);
            goto done;
        }
        *equals = '\0';
        const cli_option *o;
        bool own;
        status = find_key(c, path, number, trim(key), &o, &own);
        if (status != CLI_DONE)
            goto done;
        /* What is said of this very command outweighs what is said of all, wherever it stands. */
        const source found = {.text = trim(equals + 1), .from = own ? CONFIG_OWN : CONFIG_ALL, .line = number};
        if (o != NULL && sources[o - c->option].from <= found.from)
            sources[o - c->option] = found;
    }
done:
    if (f != NULL)
        fclose(f);
    free(path);
    return status;
}

/* ---- The three sources in turn ------------------------------------------------------------------ */

static int read_line(const cli_command *c, int argc, char **argv, source *sources, cli_arguments *a)
{
    const cli_option *operand = c->option;
    bool names = true;

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value = NULL;
        const cli_option *o = NULL;

        if (names && strcmp(word, "--") == 0) {
            names = false;
            continue;
        }
        if (!names || word[0] != '-' || word[1] == '\0') {
            while (operand->name != NULL && !operand->operand)
                operand++;
            if (operand->name == NULL)
                return cli_fail(CLI_USAGE, "\"%s\" is one operand too many; \"evenhand help %s\" shows the usage",
                                word, c->name);
            sources[operand++ - c->option] = (source){.text = word, .from = LINE};
            continue;
        }
        if (word[1] == '-') {
            const size_t n = strcspn(word + 2, "=");
            o = find(c, word + 2, n, 0);
            value = word[2 + n] == '=' ? word + 3 + n : NULL;
        } else {
            o = find(c, NULL, 0, word[1]);
            value = word[2] != '\0' ? word + 2 : NULL;
        }
        if (o == NULL) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
            const char *near = word[1] == '-' ? nearest_option(c, name + 2) : NULL;
            return near != NULL ? cli_fail(CLI_USAGE, "%s has no option %s; did you mean --%s?", c->name, name, near)
                                : cli_fail(CLI_USAGE, "%s has no option %s; \"evenhand help %s\" shows what it has",
                                           c->name, name, c->name);
        }
        if (value == NULL && o->kind == CLI_FLAG) {
            value = "yes";
        } else if (value == NULL) {
            if (i + 1 == argc)
                return cli_fail(CLI_USAGE, "--%s wants a value (%s)", o->name, o->value);
            value = argv[++i];
            if (strncmp(value, "--", 2) == 0)
                return cli_fail(CLI_USAGE, "--%s wants a value (%s), not %s; write --%s=%s if that is the value",
                                o->name, o->value, value, o->name, value);
        }
        source *s = &sources[o - c->option];
        if ((o->kind == CLI_LIST || o->kind == CLI_SET) && s->from == LINE) {
            char **joined = &a->joined[o - c->option], *longer = cli_printf("%s,%s", s->text, value);
            free(*joined);
            value = *joined = longer;
        }
        *s = (source){.text = value, .from = LINE};
    }
    return CLI_DONE;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

void *cli_arguments_new(const cli_command *c)
{
    void *args = cli_new(1, (int64_t)c->size);
    if (c->init != NULL)
        c->init(args);
    return args;
}

int cli_arguments_read(const cli_command *c, int argc, char **argv, cli_arguments *a)
{
    int n = 0, status = CLI_DONE;
    while (c->option[n].name != NULL)
        n++;
    source *sources = cli_new(n, (int64_t)sizeof *sources);
    *a = (cli_arguments){.args = cli_arguments_new(c), .n_joined = n, .help = wants_help(argc, argv)};
    a->joined = cli_new(n, (int64_t)sizeof *a->joined);
    if (a->help)
        goto done;

    if (!c->plain) {
        status = read_config(c, sources, a);
        if (status != CLI_DONE)
            goto done;
    }
    for (int i = 0; i < n && !c->plain; i++) {
        char variable[64];
        cli_variable_name(c->option[i].name, variable);
        const char *text = c->option[i].operand ? NULL : getenv(variable);
        if (text != NULL && *text != '\0')
            sources[i] = (source){.text = text, .from = ENVIRONMENT};
    }
    status = read_line(c, argc, argv, sources, a);
    for (int i = 0; i < n && status == CLI_DONE; i++) {
        const cli_option *o = &c->option[i];
        if (sources[i].text != NULL)
            status = read_value(o, &sources[i], (char *)a->args + o->at);
        else if (o->required)
            status = cli_fail(CLI_USAGE, "%s wants %s%s%s%s; \"evenhand help %s\" shows the usage", c->name,
                              o->operand ? "a " : "--", o->name, o->operand ? "" : " ", o->operand ? "" : o->value,
                              c->name);
    }
done:
    free(sources);
    return status;
}

void cli_arguments_clear(cli_arguments *a)
{
    for (int i = 0; i < a->n_joined; i++)
        free(a->joined[i]);
    free(a->joined);
    free(a->config);
    free(a->args);
    *a = (cli_arguments){0};
}
