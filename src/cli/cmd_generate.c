/* evenhand generate: continuations of prompts, greedy or sampled. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *model, *prompt, *prompts, *out;
    eh_session_options session;
    eh_sampling sampling;
    int64_t samples;
    bool json;
} args;

typedef struct origin {
    json_t *id;
    char *text;   /* [n] */
    int64_t n;    /* bytes */
    int32_t *tok; /* the library's to release */
} origin;

typedef struct prompts {
    origin *origin;      /* [n] */
    eh_request *request; /* [n] */
    int64_t n, room;
    int32_t start; /* the begin-of-text token, or the end-of-text token of a model without */
} prompts;

/* ---- Prompts ------------------------------------------------------------------------------ */

/* Takes id over, also when it fails. */
static int add(prompts *p, const eh_model *m, json_t *id, const char *text, int64_t n, eh_err *err)
{
    if (p->n == p->room) {
        p->room = p->room < 64 ? 64 : p->room * 2;
        p->origin = cli_resize(p->origin, p->room, (int64_t)sizeof *p->origin);
        p->request = cli_resize(p->request, p->room, (int64_t)sizeof *p->request);
    }
    int32_t *tok = NULL;
    int64_t n_tok;
    if (eh_tokenize(m, text, n, EH_TEXT_SPECIAL | EH_TEXT_DEFAULT, &tok, &n_tok, err) < 0) {
        json_decref(id);
        return err->code;
    }
    p->request[p->n] = (eh_request){.tok = tok, .n_tok = n_tok, .from = n_tok};
    if (n_tok == 0 && p->start >= 0) {
        /* An empty prompt becomes what an empty context becomes, as eh_encode_pair has it. */
        p->request[p->n].tok = &p->start;
        p->request[p->n].n_tok = p->request[p->n].from = 1;
    }
    p->origin[p->n] = (origin){.id = id, .text = cli_new(n, 1), .n = n, .tok = tok};
    memcpy(p->origin[p->n++].text, text, (size_t)n);
    return EH_OK;
}

static int add_lines(prompts *p, const eh_model *m, cli_lines *in)
{
    int status = CLI_DONE;
    while (status == CLI_DONE) {
        const char *text;
        int64_t n;
        eh_err err;
        json_t *line;
        status = cli_lines_json(in, &line);
        if (status != CLI_DONE || line == NULL)
            break;
        status = cli_get_text(in, line, "prompt", &text, &n);
        if (status == CLI_DONE && add(p, m, cli_get_id(in, line), text, n, &err) < 0)
            status = cli_lines_fail(in, "%s", err.text);
        json_decref(line);
    }
    return status;
}

static void clear(prompts *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        json_decref(p->origin[i].id);
        free(p->origin[i].text);
        eh_release(p->origin[i].tok);
    }
    free(p->origin);
    free(p->request);
}

/* ---- While it runs --------------------------------------------------------------------------- */

/* A single text streams as it comes; of many only the number of tokens is shown. */
typedef struct watch {
    const eh_model *m;
    cli_out *out;
    bool stream;
    int status; /* of show */
    int32_t *tok; /* [room] what came so far */
    int64_t n, room, total;
    int64_t n_shown; /* bytes on the terminal */
    cli_progress progress;
} watch;

/* Where the text's last character is not whole yet (cut off, or U+FFFD for each of its bytes), it waits. */
static int64_t whole(const char *text, int64_t n)
{
    while (n >= 3 && memcmp(text + n - 3, "\xEF\xBF\xBD", 3) == 0)
        n -= 3;
    for (int64_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char c = (unsigned char)text[n - back];
        if (c >= 0xC0)
            return back < (c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4) ? n - back : n;
        if (c < 0x80)
            break;
    }
    return n;
}

/* Prints what is new and complete of the text so far; all of it when it ended. */
static void show(watch *w, bool ended)
{
    char *text;
    int64_t n;
    eh_err err;
    if (w->status != CLI_DONE)
        return;
    if (eh_detokenize(w->m, w->tok, w->n, true, &text, &n, &err) < 0) {
        w->status = cli_fail_with(&err);
        return;
    }
    const int64_t to = ended ? n : whole(text, n);
    if (to > w->n_shown) {
        fwrite(text + w->n_shown, 1, (size_t)(to - w->n_shown), stdout);
        w->n_shown = to;
    }
    if (ended)
        fputc('\n', stdout);
    eh_release(text);
    w->status = cli_out_check(w->out);
}

static int see(void *ctx, int64_t prompt, int64_t sample, int32_t tok)
{
    watch *w = ctx;
    (void)prompt;
    (void)sample;
    if (w->stream && w->n < w->room) {
        w->tok[w->n++] = tok;
        show(w, false);
    } else {
        cli_progress_show(&w->progress, "generate", ++w->n, w->total);
    }
    return w->status != CLI_DONE || cli_interrupted();
}

/* ---- Results ---------------------------------------------------------------------------------- */

static int put_generated(FILE *f, const eh_model *m, const prompts *p, int64_t n_sample, const eh_generated *g)
{
    for (int64_t i = 0; i < p->n * n_sample; i++) {
        char *text;
        int64_t n;
        eh_err err;
        if (eh_detokenize(m, g[i].tok, g[i].n_tok, true, &text, &n, &err) < 0)
            return cli_fail_with(&err);
        fputs("{\"id\":", f);
        const origin *of = &p->origin[i / n_sample];
        cli_put_json(f, of->id);
        fprintf(f, ",\"sample\":%lld,\"prompt\":", (long long)(i % n_sample));
        cli_put_text(f, of->text, of->n);
        fputs(",\"text\":", f);
        cli_put_text(f, text, n);
        fputs(",\"tokens\":", f);
        cli_put_ids(f, g[i].tok, g[i].n_tok);
        fputs(",\"logprob\":", f);
        cli_put_double(f, g[i].logprob);
        fprintf(f, ",\"ended\":%s}\n", g[i].ended ? "true" : "false");
        eh_release(text);
    }
    return CLI_DONE;
}

static int run(const void *given)
{
    const args *a = given;
    cli_opened opened = {0};
    eh_generated *g = NULL;
    eh_model_info info;
    eh_err err;
    prompts p = {0};
    cli_lines in = {0};
    cli_out out = {0};
    watch w = {.out = &out, .progress = {.unit = "tokens"}};
    int64_t n_text = 0;
    int rc, status = CLI_DONE;

    if ((a->prompt != NULL) == (a->prompts != NULL))
        return cli_fail(CLI_USAGE, "generate wants either --prompt or --prompts");
    if (a->samples > 1 && a->sampling.temperature <= 0)
        return cli_fail(CLI_USAGE, "without a --temperature above 0 all %s samples would be the same",
                        cli_count(a->samples));
    if (a->prompts != NULL)
        status = cli_lines_open(&in, a->prompts);
    if (status == CLI_DONE)
        status = cli_open(a->model, &a->session, &opened);
    if (status != CLI_DONE)
        goto done;
    eh_model_describe(opened.m, &info);
    p.start = info.bos >= 0 ? info.bos : info.eos;
    if (a->prompt != NULL && add(&p, opened.m, json_integer(0), a->prompt, (int64_t)strlen(a->prompt), &err) < 0)
        status = cli_fail_with(&err);
    else if (a->prompts != NULL)
        status = add_lines(&p, opened.m, &in);
    if (status == CLI_DONE)
        status = cli_out_open(&out, a->out);
    if (status != CLI_DONE)
        goto done;

    n_text = p.n * a->samples;
    w.m = opened.m;
    w.stream = a->prompt != NULL && a->samples == 1 && !a->json && a->out == NULL;
    w.room = a->sampling.max_new;
    w.total = n_text * a->sampling.max_new;
    w.tok = cli_new(w.room, (int64_t)sizeof *w.tok);
    g = cli_new(n_text, (int64_t)sizeof *g);
    cli_interrupt_catch();
    rc = eh_generate(opened.s, p.request, p.n, a->samples, &a->sampling, see, &w, g, &err);
    if (w.stream)
        show(&w, true);
    status = w.status;
    if (rc < 0) {
        n_text = 0; /* nothing was written to g */
        if (status == CLI_DONE)
            status = cli_interrupted() ? cli_fail(CLI_INTERRUPTED, "interrupted") : cli_fail_with(&err);
        goto done;
    }
    if (!w.stream && status == CLI_DONE)
        status = put_generated(out.stream, opened.m, &p, a->samples, g);
    if (status == CLI_DONE)
        status = cli_out_commit(&out);
done:
    for (int64_t i = 0; i < n_text && g != NULL; i++)
        eh_release(g[i].tok);
    free(g);
    free(w.tok);
    cli_out_drop(&out);
    clear(&p);
    cli_close(&opened);
    cli_lines_close(&in);
    return status;
}

static void init(void *given)
{
    args *a = given;
    eh_session_options_init(&a->session, sizeof a->session);
    eh_sampling_init(&a->sampling, sizeof a->sampling);
    a->samples = 1;
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "prompt", .kind = CLI_TEXT, .value = "TEXT", .at = offsetof(args, prompt), .help = "continue this text"},
    {.name = "prompts", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, prompts),
     .help = "continue each {\"prompt\": \"...\"} of this file, a line each; - reads standard input"},
    {.name = "out", .letter = 'o', .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, out),
     .help = "where the JSON Lines go (default: standard output)"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "JSON also for a single text"},
    {.name = "samples", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 128,
     .at = offsetof(args, samples), .help = "continuations of each prompt"},
    {.name = "max-new", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 1e6,
     .at = offsetof(args, sampling.max_new), .help = "tokens of a continuation at most"},
    {.name = "temperature", .kind = CLI_REAL, .value = "T", .high = 100,
     .at = offsetof(args, sampling.temperature), .help = "0 takes the likeliest token each time"},
    {.name = "top-p", .kind = CLI_REAL, .value = "P", .low = 1e-12, .high = 1,
     .at = offsetof(args, sampling.top_p),
     .help = "draw from the likeliest tokens that hold this share of the probability"},
    {.name = "top-k", .kind = CLI_COUNT, .value = "K", .unset = "all", .low = 1, .high = 1e9,
     .at = offsetof(args, sampling.top_k),
     .help = "draw from the K likeliest tokens"},
    {.name = "seed", .kind = CLI_COUNT, .value = "S", .high = 9007199254740992,
     .at = offsetof(args, sampling.seed), .help = "of the draws; each text depends on seed, prompt and sample alone"},
    {.name = "ignore-eos", .kind = CLI_FLAG, .at = offsetof(args, sampling.ignore_eos),
     .help = "continue after an end-of-text token"},
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_generate = {
    .name = "generate",
    .what = "continue prompts, greedily or by sampling",
    .about = "Continues a prompt and prints the text as it comes. With several prompts or samples, or --json, it "
             "writes JSON Lines when all is done:\n"
             "\n"
             "  {\"id\":1,\"sample\":0,\"prompt\":\"..\",\"text\":\"..\",\"tokens\":[..],\"logprob\":-9.5,"
             "\"ended\":true}\n"
             "\n"
             "where logprob is that of the new tokens under the model at temperature 1, in nats, and ended says that "
             "the model ended the text itself. No chat template is applied. A prompt's \"id\" is kept; without one "
             "the line's number stands for it.\n"
             "\n"
             "  evenhand generate MODEL --prompt 'The nurse said that'\n"
             "  evenhand generate MODEL --prompts p.jsonl --samples 25 --temperature 1 --top-p 0.9 -o g.jsonl",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
