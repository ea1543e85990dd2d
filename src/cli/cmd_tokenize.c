/* evenhand tokenize: text to token ids and back. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *model, *input, *text, *out;
    bool decode, plain, no_special;
} args;

static int put_tokens(FILE *f, const eh_model *m, unsigned flags, const char *key, const char *text, int64_t n,
                      eh_err *err)
{
    int32_t *id;
    int64_t n_id;
    const int rc = eh_tokenize(m, text, n, flags, &id, &n_id, err);
    if (rc < 0)
        return rc;
    fprintf(f, "\"%s\":", key);
    cli_put_ids(f, id, n_id);
    eh_release(id);
    return EH_OK;
}

/* One line of output: the ids of a text, or the text of ids. */
static int put_encoded(FILE *f, const eh_model *m, const args *a, const char *text, int64_t n, eh_err *err)
{
    const unsigned special = a->no_special ? 0 : EH_TEXT_SPECIAL;
    int rc = put_tokens(f, m, special, "ids", text, n, err);
    if (rc < 0)
        return rc;
    fputc(',', f);
    rc = put_tokens(f, m, special | EH_TEXT_DEFAULT, "ids_default", text, n, err);
    fputs("}\n", f);
    return rc;
}

static int put_decoded(FILE *f, const eh_model *m, const args *a, const int32_t *id, int64_t n, eh_err *err)
{
    char *text;
    int64_t n_text;
    const int rc = eh_detokenize(m, id, n, a->no_special, &text, &n_text, err);
    if (rc < 0)
        return rc;
    fputs("\"text\":", f);
    cli_put_text(f, text, n_text);
    fputs("}\n", f);
    eh_release(text);
    return EH_OK;
}

/* Opens the line's object, with its id when it has one. */
static void put_start(FILE *f, const json_t *line)
{
    const json_t *id = json_object_get(line, "id");
    fputc('{', f);
    if (id != NULL) {
        fputs("\"id\":", f);
        cli_put_json(f, id);
        fputc(',', f);
    }
}

static int do_json(const args *a, const eh_model *m, int64_t n_vocab, const cli_lines *in, const json_t *line,
                   FILE *f)
{
    const char *text;
    int32_t *id;
    int64_t n;
    eh_err err;
    int rc;
    int status =
        a->decode ? cli_get_ids(in, line, "ids", n_vocab, &id, &n) : cli_get_text(in, line, "text", &text, &n);
    if (status != CLI_DONE)
        return status;
    put_start(f, line);
    if (a->decode) {
        rc = put_decoded(f, m, a, id, n, &err);
        free(id);
    } else {
        rc = put_encoded(f, m, a, text, n, &err);
    }
    return rc < 0 ? cli_lines_fail(in, "%s", err.text) : CLI_DONE;
}

static int do_lines(const args *a, const eh_model *m, int64_t n_vocab, cli_out *out)
{
    cli_lines in = {0};
    eh_err err;
    bool more = true;
    int status = cli_lines_open(&in, a->input != NULL ? a->input : "-");

    while (status == CLI_DONE && more) {
        if (a->plain) {
            status = cli_lines_next(&in, &more);
            if (status != CLI_DONE || !more)
                break;
            put_start(out->stream, NULL);
            if (put_encoded(out->stream, m, a, in.text, in.n, &err) < 0)
                status = cli_lines_fail(&in, "%s", err.text);
        } else {
            json_t *line;
            status = cli_lines_json(&in, &line);
            if (status != CLI_DONE || line == NULL)
                break;
            status = do_json(a, m, n_vocab, &in, line, out->stream);
            json_decref(line);
        }
        if (ferror(out->stream))
            break;
    }
    cli_lines_close(&in);
    return status;
}

static int run(const void *given)
{
    const args *a = given;
    cli_opened opened = {0};
    eh_model_info info;
    eh_err err;
    cli_out out = {0};

    if (a->text != NULL && (a->input != NULL || a->decode))
        return cli_fail(CLI_USAGE, "--text takes neither --input nor --decode");
    if (a->plain && (a->decode || a->text != NULL))
        return cli_fail(CLI_USAGE, "--plain takes neither --text nor --decode");
    int status = cli_open_files(a->model, &opened);
    if (status != CLI_DONE)
        goto done;
    eh_model_describe(opened.m, &info);
    if (info.tokenizer == NULL) {
        status = cli_fail(CLI_FAILED, "%s has no tokenizer%s%s", a->model, info.tokenizer_trouble != NULL ? ": " : "",
                          info.tokenizer_trouble != NULL ? info.tokenizer_trouble : "");
        goto done;
    }
    status = cli_out_open(&out, a->out);
    if (status != CLI_DONE)
        goto done;
    if (a->text != NULL) {
        put_start(out.stream, NULL);
        if (put_encoded(out.stream, opened.m, a, a->text, (int64_t)strlen(a->text), &err) < 0)
            status = cli_fail_with(&err);
    } else {
        status = do_lines(a, opened.m, info.n_vocab, &out);
    }
    if (status == CLI_DONE)
        status = cli_out_commit(&out);
done:
    cli_out_drop(&out);
    cli_close(&opened);
    return status;
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "input", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, input),
     .help = "what to encode or decode, a line each (default: standard input)"},
    {.name = "text", .kind = CLI_TEXT, .value = "TEXT", .at = offsetof(args, text),
     .help = "encode this text instead"},
    {.name = "plain", .kind = CLI_FLAG, .at = offsetof(args, plain), .help = "lines are text as it is, not JSON"},
    {.name = "decode", .kind = CLI_FLAG, .at = offsetof(args, decode), .help = "from ids to text"},
    {.name = "no-special", .kind = CLI_FLAG, .at = offsetof(args, no_special),
     .help = "take special tokens written in the text as plain text; when decoding, leave them out"},
    {.name = "out", .letter = 'o', .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, out),
     .help = "where the result goes; it appears whole when all is done (default: standard output)"},
    {.name = NULL},
};

const cli_command cli_tokenize = {
    .name = "tokenize",
    .what = "text to token ids and back",
    .about = "Reads {\"text\": \"...\"} a line and writes\n"
             "\n"
             "  {\"ids\":[504,6398],\"ids_default\":[1,504,6398]}\n"
             "\n"
             "where the second has the begin- and end-of-text tokens that the model's own policy adds. With --decode "
             "it reads {\"ids\": [...]} a line and writes {\"text\":\"...\"}; bytes that are not UTF-8 become "
             "U+FFFD. A line's \"id\" is kept.\n"
             "\n"
             "  evenhand tokenize MODEL --text 'Hello, world'\n"
             "  evenhand tokenize MODEL --plain < book.txt > book.jsonl\n"
             "  evenhand tokenize MODEL --decode < book.jsonl",
    .option = options,
    .size = sizeof(args),
    .run = run,
};
