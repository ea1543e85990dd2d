/* evenhand perplexity: three kinds, of one text or of documents. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *model, *text, *documents;
    eh_session_options session;
    eh_perplexity_options options;
    int kind; /* an eh_perplexity_kind; EH_AUTO */
    bool wikitext, json;
} args;

static eh_perplexity_options options_of(const args *a, eh_perplexity_kind kind, bool page)
{
    eh_perplexity_options o = a->options;
    o.kind = kind;
    o.wikitext_page = page;
    return o;
}

/* The rows of a WikiText file joined by blank lines: a row is a line with its newline, or nothing
 * where the line is blank (docs/methods/perplexity.md, "wanda"). The caller frees the result. */
static char *join_rows(const char *text, int64_t n, int64_t *n_out)
{
    char *out = cli_new(3 * n + 1, 1); /* each line, of a byte or more, brings two */
    int64_t used = 0;
    for (int64_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', (size_t)(n - at));
        const int64_t len = end != NULL ? end - (text + at) + 1 : n - at;
        if (at > 0) {
            memcpy(out + used, "\n\n", 2);
            used += 2;
        }
        int64_t blank = 0;
        while (blank < len && isspace((unsigned char)text[at + blank]))
            blank++;
        if (blank < len) {
            memcpy(out + used, text + at, (size_t)len);
            used += len;
        }
        at += len;
    }
    *n_out = used;
    return out;
}

static int of_file(const args *a, eh_session *s, eh_perplexity_kind kind, eh_perplexity *sum)
{
    const eh_perplexity_options o = options_of(a, kind, false);
    char *text = NULL;
    int64_t n;
    eh_err err;
    int status = cli_read_file(a->text, &text, &n);
    if (status != CLI_DONE)
        return status;
    if (a->wikitext) {
        char *joined = join_rows(text, n, &n);
        free(text);
        text = joined;
    }
    if (eh_perplexity_of(s, text, n, &o, sum, &err) < 0)
        status = cli_fail(err.code == EH_ENOFIT ? CLI_NOFIT : CLI_FAILED, "%s: %s", a->text, err.text);
    free(text);
    return status;
}

/* One document is added to the sums. */
static int add_document(const args *a, eh_session *s, const cli_lines *in, const json_t *line, eh_perplexity *sum,
                        bool *empty)
{
    const bool page = json_object_get(line, "page") != NULL;
    const eh_perplexity_options o = options_of(a, EH_PPL_ROLLING, page);
    const char *text;
    int64_t n;
    eh_perplexity one;
    eh_err err;

    const int status = cli_get_text(in, line, page ? "page" : "text", &text, &n);
    if (status != CLI_DONE)
        return status;
    *empty = n == 0;
    if (*empty)
        return CLI_DONE;
    if (eh_perplexity_of(s, text, n, &o, &one, &err) < 0)
        return cli_lines_fail(in, "%s", err.text);
    sum->n_tok += one.n_tok;
    sum->n_window += one.n_window;
    sum->nll += one.nll;
    sum->n_word += one.n_word;
    sum->n_byte += one.n_byte;
    return CLI_DONE;
}

static int of_documents(const args *a, eh_session *s, cli_lines *in, eh_perplexity *sum, int64_t *n_document,
                        int64_t *n_empty)
{
    cli_progress progress = {.unit = "documents"};
    int status = CLI_DONE;
    *sum = (eh_perplexity){0};
    for (;;) {
        json_t *line;
        bool empty;
        status = cli_lines_json(in, &line);
        if (status != CLI_DONE || line == NULL)
            break;
        status = add_document(a, s, in, line, sum, &empty);
        json_decref(line);
        if (status != CLI_DONE)
            break;
        ++*(empty ? n_empty : n_document);
        cli_progress_show(&progress, "perplexity", *n_document, 0);
    }
    if (status == CLI_DONE && *n_document == 0)
        status = cli_fail(CLI_FAILED, "%s holds no document with text", in->name);
    if (status != CLI_DONE)
        return status;
    /* Of the sums, as the harness weighs documents. */
    sum->nll_mean = sum->nll / (double)sum->n_tok;
    sum->perplexity = exp(sum->nll_mean);
    sum->word_perplexity = exp(sum->nll / (double)sum->n_word);
    sum->byte_perplexity = exp(sum->nll / (double)sum->n_byte);
    sum->bits_per_byte = sum->nll / (double)sum->n_byte / log(2);
    return CLI_DONE;
}

static void put(const args *a, eh_perplexity_kind kind, const eh_perplexity *p)
{
    const bool rolling = kind == EH_PPL_ROLLING;
    const struct {
        const char *name;
        bool shown, whole;
        double value;
    } rows[] = {
        {"perplexity", true, false, p->perplexity},
        {"nats per token", true, false, p->nll_mean},
        {"tokens", true, true, (double)p->n_tok},
        {"windows", true, true, (double)p->n_window},
        {"nats", true, false, p->nll},
        {"word perplexity", rolling, false, p->word_perplexity},
        {"byte perplexity", rolling, false, p->byte_perplexity},
        {"bits per byte", rolling, false, p->bits_per_byte},
        {"words", rolling, true, (double)p->n_word},
        {"bytes", rolling, true, (double)p->n_byte},
    };
    if (a->json)
        fprintf(stdout, "{\"kind\":\"%s\"", eh_choice_name(EH_CHOICE_PERPLEXITY, (int)kind));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].shown)
            continue;
        if (a->json) {
            fputs(",\"", stdout);
            for (const char *c = rows[i].name; *c != '\0'; c++)
                fputc(*c == ' ' ? '_' : *c, stdout);
            fputs("\":", stdout);
            cli_put_double(stdout, rows[i].value);
        } else if (rows[i].whole) {
            printf("%-16s %s\n", rows[i].name, cli_count((int64_t)rows[i].value));
        } else {
            printf("%-16s %.6f\n", rows[i].name, rows[i].value);
        }
    }
    fputs(a->json ? "}\n" : "", stdout);
}

static int run(const void *given)
{
    const args *a = given;
    const eh_perplexity_kind kind = a->kind != EH_AUTO       ? (eh_perplexity_kind)a->kind
                                    : a->documents != NULL ? EH_PPL_ROLLING
                                                           : a->options.kind;
    cli_opened opened = {0};
    eh_perplexity p;
    cli_lines in = {0};
    int64_t n_document = 0, n_empty = 0;
    int status = CLI_DONE;

    if ((a->text != NULL) == (a->documents != NULL))
        return cli_fail(CLI_USAGE, "perplexity wants either --text or --documents");
    if (a->documents != NULL && (kind != EH_PPL_ROLLING || a->wikitext))
        return cli_fail(CLI_USAGE, "--documents wants --kind harness, and no --wikitext");
    if (a->documents != NULL)
        status = cli_lines_open(&in, a->documents);
    if (status == CLI_DONE)
        status = cli_open(a->model, &a->session, &opened);
    if (status == CLI_DONE)
        status = a->text != NULL ? of_file(a, opened.s, kind, &p)
            : of_documents(a, opened.s, &in, &p, &n_document, &n_empty);
    if (status == CLI_DONE) {
        put(a, kind, &p);
        if (n_empty > 0)
            status = cli_fail(CLI_PARTLY, "%s documents are empty and were left out", cli_count(n_empty));
    }
    cli_close(&opened);
    cli_lines_close(&in);
    return status;
}

static void init(void *given)
{
    args *a = given;
    eh_session_options_init(&a->session, sizeof a->session);
    eh_perplexity_options_init(&a->options, sizeof a->options);
    a->kind = EH_AUTO;
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "text", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, text),
     .help = "a text; - reads standard input"},
    {.name = "documents", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, documents),
     .help = "documents, a line each: {\"text\": \"...\"}, or {\"page\": \"...\"} for a page of WikiText, whose "
             "blanks around punctuation are taken out by the harness' rule"},
    {.name = "kind", .kind = CLI_CHOICE, .choice = EH_CHOICE_PERPLEXITY, .unset = "auto",
     .at = offsetof(args, kind), .help = "which of three conventions; auto: wanda, or harness with --documents"},
    {.name = "wikitext", .kind = CLI_FLAG, .at = offsetof(args, wikitext),
     .help = "the text is a WikiText file: its lines are joined by blank lines, as all published figures have it"},
    {.name = "window", .kind = CLI_COUNT, .value = "N", .unset = "auto", .low = 2, .high = 1 << 24,
     .at = offsetof(args, options.window),
     .help = "tokens the model sees at once; auto: 2,048, or the model's context if that is smaller"},
    {.name = "stride", .kind = CLI_COUNT, .value = "N", .unset = "auto", .low = 1, .high = 1 << 24,
     .at = offsetof(args, options.stride),
     .help = "of the sliding kind: how far each window moves; auto: 512, or the window if that is smaller"},
    {.name = "max-windows", .kind = CLI_COUNT, .value = "N", .unset = "all", .low = 1, .high = 1ll << 40,
     .at = offsetof(args, options.max_windows), .help = "stop after this many windows"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "one JSON object"},
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_perplexity = {
    .name = "perplexity",
    .what = "how well a model predicts a text, in three standard ways",
    .about = "Three kinds (--kind), whose figures do not compare with each other. The harness kind also gives "
             "word and byte perplexity and bits per byte. Losses are in nats.\n"
             "\n"
             "  evenhand perplexity MODEL --wikitext --text wiki.test.raw --kind sliding --max-windows 20",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
