/* evenhand report: the page of a run again, from its records. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *dir;
    bool json;
} args;

static const char *colour_of(eh_sentence_kind kind)
{
    switch (kind) {
    case EH_SAID_WORSE: return CLI_RED;
    case EH_SAID_CAUTION: return CLI_YELLOW;
    case EH_SAID_BETTER: return CLI_GREEN;
    default: return CLI_BOLD;
    }
}

/* The text in lines of up to 100 columns, indented under its label. */
static void put_wrapped(const char *text, int indent)
{
    int at = indent;
    while (*text != '\0') {
        int n = (int)strcspn(text, " "), columns = 0;
        for (int i = 0; i < n; i++)
            columns += ((unsigned char)text[i] & 0xC0) != 0x80; /* a UTF-8 character counts once */
        if (at > indent && at + 1 + columns > 100) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", n, text);
        at += columns;
        text += n;
        while (*text == ' ')
            text++;
    }
    putchar('\n');
}

static void put_readable(const char *dir, const eh_verdict *v)
{
    enum { INDENT = 14 };
    put_wrapped(v->headline, 0);
    putchar('\n');
    for (int64_t i = 0; i < v->n; i++) {
        cli_put_coloured(stdout, colour_of(v->sentence[i].kind), v->sentence[i].label);
        printf("%*s", INDENT - (int)strlen(v->sentence[i].label), "");
        put_wrapped(v->sentence[i].text, INDENT);
    }
    printf("\nThe page is %s/report.html, the same as text %s/report.md, its numbers %s/figures/*.csv\n", dir, dir,
           dir);
}

static void put_json(const char *dir, const eh_verdict *v)
{
    char *page = cli_printf("%s/report.html", dir), *text = cli_printf("%s/report.md", dir);
    json_t *sentences = json_array();
    for (int64_t i = 0; i < v->n; i++)
        json_array_append_new(sentences,
                              json_pack("{ss ss}", "kind", v->sentence[i].label, "text", v->sentence[i].text));
    json_t *out =
        json_pack("{ss so ss ss}", "headline", v->headline, "verdict", sentences, "page", page, "markdown", text);
    cli_put_json(stdout, out);
    putchar('\n');
    json_decref(out);
    free(page);
    free(text);
}

static int run(const void *given)
{
    const args *a = given;
    eh_verdict verdict = {0};
    eh_err err;
    char *dir = cli_printf("%s", a->dir);

    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
        dir[n - 1] = '\0';
    int status = CLI_DONE;
    if (eh_report_write(dir, &verdict, &err) < 0)
        status = cli_fail_with(&err);
    else
        (a->json ? put_json : put_readable)(dir, &verdict);
    eh_verdict_clear(&verdict);
    free(dir);
    return status;
}

static const cli_option options[] = {
    {.name = "DIR",
     .kind = CLI_FOLDER,
     .operand = true,
     .required = true,
     .at = offsetof(args, dir),
     .help = "the out folder of a run; it holds run.json"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "the verdict as one JSON object"},
    {.name = NULL},
};

const cli_command cli_report = {
    .name = "report",
    .what = "the page of a run again, from its records; prints the verdict",
    .about =
        "Reads run.json in the folder of a run and writes report.html (one page that needs no network and runs no "
        "script), report.md (the same as text) and the figures' numbers as figures/*.csv. Prints the verdict: what "
        "got worse, what got better, how sure that is, and what could not be told. The same record gives the same "
        "bytes.",
    .option = options,
    .size = sizeof(args),
    .run = run,
};
