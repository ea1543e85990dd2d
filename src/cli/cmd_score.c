/* evenhand score: JSON Lines in, log-probabilities out. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

/* A block is read, scored and written before the next is read. */
#define BLOCK_LINES 2048
#define BLOCK_TOKENS ((int64_t)1 << 20)

typedef struct args {
    const char *model, *requests, *out;
    eh_session_options session;
} args;

typedef struct item {
    json_t *id;
    int32_t *tok, *cand; /* [n_tok], [n_cand] */
    float *logprob;      /* [n_tok - from] or [n_cand] */
} item;

typedef struct block {
    int64_t n;
    item item[BLOCK_LINES];
    eh_request request[BLOCK_LINES];
    eh_answer answer[BLOCK_LINES];
} block;

static void block_clear(block *b)
{
    for (int64_t i = 0; i < b->n; i++) {
        json_decref(b->item[i].id);
        free(b->item[i].tok);
        free(b->item[i].cand);
        free(b->item[i].logprob);
    }
    memset(b, 0, sizeof *b);
}

static int32_t *copy_ids(const int32_t *id, int64_t n)
{
    int32_t *out = cli_new(n, (int64_t)sizeof *out);
    if (n > 0)
        memcpy(out, id, (size_t)n * sizeof *out);
    return out;
}

/* {"tokens": [...], "from": k} */
static int read_tokens(const cli_lines *in, const json_t *line, const eh_model_info *info, item *it, eh_request *r)
{
    const json_t *from = json_object_get(line, "from");
    const int status = cli_get_ids(in, line, "tokens", info->n_vocab, &it->tok, &r->n_tok);
    if (status != CLI_DONE)
        return status;
    if (!json_is_integer(from))
        return cli_lines_fail(in, "\"from\" is %s; the index of the first token to score is wanted",
                              from == NULL ? "missing" : "not a whole number");
    r->from = json_integer_value(from);
    if (r->from < 1 || r->from >= r->n_tok)
        return cli_lines_fail(in, "\"from\" is %lld; with %lld tokens it must lie in 1..%lld", (long long)r->from,
                              (long long)r->n_tok, (long long)r->n_tok - 1);
    if (r->n_tok - 1 > info->n_ctx) /* the last one is only predicted */
        return cli_lines_fail(in, "%lld tokens; the model's context is %lld", (long long)r->n_tok,
                              (long long)info->n_ctx);
    return CLI_DONE;
}

/* {"context": "...", "continuation": "..."} */
static int read_pair(const cli_lines *in, const json_t *line, const eh_model *m, item *it, eh_request *r)
{
    const char *context, *continuation;
    int64_t n_context, n_continuation;
    int32_t *id;
    eh_err err;

    if (cli_get_text(in, line, "context", &context, &n_context) != CLI_DONE ||
        cli_get_text(in, line, "continuation", &continuation, &n_continuation) != CLI_DONE)
        return CLI_FAILED;
    if (eh_encode_pair(m, context, n_context, continuation, n_continuation, &id, &r->n_tok, &r->from, &err) < 0)
        return cli_lines_fail(in, "%s", err.text);
    it->tok = copy_ids(id, r->n_tok);
    eh_release(id);
    return CLI_DONE;
}

/* {"context": "...", "choices": ["...", ...]}: of each choice the first token after the context. */
static int read_choices(const cli_lines *in, const json_t *line, const eh_model *m, item *it, eh_request *r)
{
    const json_t *choices = json_object_get(line, "choices");
    const char *context;
    int64_t n_context;

    if (cli_get_text(in, line, "context", &context, &n_context) != CLI_DONE)
        return CLI_FAILED;
    if (!json_is_array(choices) || json_array_size(choices) == 0)
        return cli_lines_fail(in, "\"choices\" is not an array of strings, or is empty");
    r->n_cand = (int64_t)json_array_size(choices);
    it->cand = cli_new(r->n_cand, (int64_t)sizeof *it->cand);
    for (int64_t i = 0; i < r->n_cand; i++) {
        const json_t *choice = json_array_get(choices, (size_t)i);
        int32_t *id;
        int64_t n, from;
        eh_err err;

        if (!json_is_string(choice))
            return cli_lines_fail(in, "\"choices\"[%lld] is not a string", (long long)i);
        if (eh_encode_pair(m, context, n_context, json_string_value(choice), (int64_t)json_string_length(choice), &id,
                           &n, &from, &err) < 0)
            return cli_lines_fail(in, "%s", err.text);
        it->cand[i] = id[from];
        /* The context is the same for every choice, unless it was too long: a longer choice then cut
         * more off its left. The shortest is taken, so that all choices are asked after one context. */
        if (it->tok == NULL || from < r->n_tok) {
            free(it->tok);
            it->tok = copy_ids(id, from);
            r->n_tok = r->from = from;
        }
        eh_release(id);
    }
    return CLI_DONE;
}

static int read_request(const cli_lines *in, const json_t *line, const eh_model *m, const eh_model_info *info, block *b)
{
    item *it = &b->item[b->n];
    eh_request *r = &b->request[b->n];
    const bool tokens = json_object_get(line, "tokens") != NULL,
               continuation = json_object_get(line, "continuation") != NULL,
               choices = json_object_get(line, "choices") != NULL;

    b->n++; /* from here on block_clear knows of it */
    it->id = cli_get_id(in, line);
    if (tokens + continuation + choices != 1)
        return cli_lines_fail(in, "exactly one of \"tokens\", \"continuation\" and \"choices\" is wanted");
    const int status = tokens         ? read_tokens(in, line, info, it, r)
                       : continuation ? read_pair(in, line, m, it, r)
                                      : read_choices(in, line, m, it, r);
    if (status != CLI_DONE)
        return status;
    r->tok = it->tok;
    r->cand = it->cand;
    it->logprob = cli_new(r->n_tok - r->from + r->n_cand, (int64_t)sizeof *it->logprob);
    b->answer[b->n - 1] =
        (eh_answer){.token_logprob = it->logprob, .cand_logprob = it->logprob + (r->n_tok - r->from)};
    return CLI_DONE;
}

static int read_block(cli_lines *in, const eh_model *m, const eh_model_info *info, block *b)
{
    int status = CLI_DONE;
    for (int64_t n_tok = 0; status == CLI_DONE && b->n < BLOCK_LINES && n_tok < BLOCK_TOKENS;) {
        json_t *line;
        status = cli_lines_json(in, &line);
        if (status != CLI_DONE || line == NULL)
            break;
        status = read_request(in, line, m, info, b);
        n_tok += b->request[b->n - 1].n_tok;
        json_decref(line);
    }
    return status;
}

static void put_answers(FILE *f, const block *b)
{
    for (int64_t i = 0; i < b->n; i++) {
        const eh_request *r = &b->request[i];
        const float *logprob = b->item[i].logprob;

        fputs("{\"id\":", f);
        cli_put_json(f, b->item[i].id);
        if (r->n_cand > 0) {
            fputs(",\"logprobs\":", f);
            cli_put_floats(f, logprob, r->n_cand);
            fputs(",\"tokens\":", f);
            cli_put_ids(f, r->cand, r->n_cand);
            fputs("}\n", f);
            continue;
        }
        const int64_t n = r->n_tok - r->from;
        double sum = 0;
        for (int64_t k = 0; k < n; k++)
            sum += (double)logprob[k];
        fputs(",\"logprob\":", f);
        cli_put_double(f, sum);
        fputs(",\"token_logprobs\":", f);
        cli_put_floats(f, logprob, n);
        fputs(",\"tokens\":", f);
        cli_put_ids(f, r->tok + r->from, n);
        fprintf(f, ",\"is_greedy\":%s}\n", b->answer[i].is_greedy ? "true" : "false");
    }
}

static int run(const void *given)
{
    const args *a = given;
    cli_opened opened = {0};
    eh_model_info info;
    eh_err err;
    cli_lines in = {0};
    cli_out out = {0};
    cli_progress progress = {.unit = "requests"};
    int64_t n_done = 0;
    block *b = cli_new(1, (int64_t)sizeof *b);

    int status = cli_lines_open(&in, a->requests);
    if (status != CLI_DONE)
        goto done;
    status = cli_open(a->model, &a->session, &opened);
    if (status != CLI_DONE)
        goto done;
    eh_model_describe(opened.m, &info);
    status = cli_out_open(&out, a->out);
    if (status != CLI_DONE)
        goto done;

    cli_interrupt_catch();
    const double start = cli_seconds();
    for (;;) {
        const int64_t first = in.number + 1;
        status = read_block(&in, opened.m, &info, b);
        if (status != CLI_DONE || b->n == 0)
            break;
        if (eh_score(opened.s, b->request, b->n, b->answer, &err) < 0) {
            status = cli_fail(err.code == EH_ENOFIT ? CLI_NOFIT : CLI_FAILED, "%s:%lld-%lld: %s", in.name,
                              (long long)first, (long long)in.number, err.text);
            break;
        }
        put_answers(out.stream, b);
        status = cli_out_check(&out);
        n_done += b->n;
        block_clear(b);
        if (status == CLI_DONE && cli_interrupted())
            status = cli_fail(CLI_INTERRUPTED, "interrupted after %s requests%s", cli_count(n_done),
                              out.path != NULL ? "; the output file was not written" : "");
        if (status != CLI_DONE)
            break;
        cli_progress_show(&progress, "score", n_done, 0);
    }
    if (status == CLI_DONE)
        status = cli_out_commit(&out);
    if (status == CLI_DONE) {
        eh_session_info session;
        eh_session_describe(opened.s, &session);
        cli_say("%s requests in %.1f s; %s tokens computed for %s asked", cli_count(n_done), cli_seconds() - start,
                cli_count(session.tokens_computed), cli_count(session.tokens_asked));
    }
done:
    block_clear(b);
    free(b);
    cli_out_drop(&out);
    cli_close(&opened);
    cli_lines_close(&in);
    return status;
}

static void init(void *given)
{
    args *a = given;
    eh_session_options_init(&a->session, sizeof a->session);
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "requests", .kind = CLI_FILE, .required = true, .value = "FILE", .at = offsetof(args, requests),
     .help = "requests, a JSON object a line; - reads standard input"},
    {.name = "out", .letter = 'o', .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, out),
     .help = "where answers go; it appears whole when all is done (default: standard output)"},
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_score = {
    .name = "score",
    .what = "log-probabilities of continuations, tokens or choices",
    .about =
        "Reads requests, one JSON object a line, and writes an answer a line, in their order. A request is one of\n"
        "\n"
        "  {\"id\": 1, \"context\": \"The sky is\", \"continuation\": \" blue\"}\n"
        "  {\"id\": 2, \"tokens\": [504, 6398, 314, 4461], \"from\": 3}\n"
        "  {\"id\": 3, \"context\": \"Answer:\", \"choices\": [\" A\", \" B\", \" C\"]}\n"
        "\n"
        "The answers to the first two look like\n"
        "\n"
        "  {\"id\":1,\"logprob\":-1.25,\"token_logprobs\":[-1.25],\"tokens\":[4461],\"is_greedy\":false}\n"
        "\n"
        "with natural logarithms, their sum, the tokens that were scored, and whether each was the likeliest of the "
        "vocabulary. The answer to the third is the log-probability that each choice's first token comes next:\n"
        "\n"
        "  {\"id\":3,\"logprobs\":[-1.5,-2.25,-3],\"tokens\":[330,389,340]}\n"
        "\n"
        "An id may be any JSON value; without one the line's number stands for it. Numbers have the fewest digits "
        "that read back to the same float.\n"
        "\n"
        "Text becomes tokens by the rule of lm-evaluation-harness: blanks at the end of the context move to the "
        "continuation, both are encoded together and cut at the length of the context encoded alone; special tokens "
        "written in the text are recognised; no begin-of-text token is added, except that an empty context becomes "
        "one (the end-of-text token where a model has none); what is too long is cut on the left. A choice is "
        "encoded as a continuation, and its first token after the cut is asked for. \"tokens\" are taken as they are "
        "and need no tokenizer: tokens from, from + 1, ... are scored, each given all before it.\n"
        "\n"
        "A line that cannot be read stops the command with the file and the line; the output file is then left as it "
        "was.",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
