/* evenhand inspect: what a model is and what it needs. */
#include <stdarg.h>
#include <string.h>

#include "command.h"
#include "stream.h"

/* The probe that measures time: tokens, and the parameters above which "auto" leaves it out. */
#define PROBE_TOKENS 256
#define PROBE_PARAMETERS 3000000000

typedef struct args {
    const char *model, *time;
    eh_session_options session;
    bool json;
} args;

/* Seconds for 1,000 tokens, from one request of random tokens; the one before it packs what is kept. */
static int measure(eh_session *s, const eh_model_info *info, double *seconds)
{
    int32_t tok[PROBE_TOKENS];
    float logprob[PROBE_TOKENS];
    const int64_t n = info->n_ctx > 1 && info->n_ctx < PROBE_TOKENS ? info->n_ctx : PROBE_TOKENS;
    uint32_t state = 1;
    eh_err err;
    double start = 0;

    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u; /* Knuth, vol. 2, 3.3.4, line 26 of table 1: any tokens will do */
        tok[i] = (int32_t)((int64_t)(state >> 1) % info->n_vocab);
    }
    for (int round = 0; round < 2; round++) {
        const eh_request r = {.tok = tok, .n_tok = round == 0 ? 2 : n, .from = 1};
        eh_answer answer = {.token_logprob = logprob};
        start = cli_seconds();
        if (eh_score(s, &r, 1, &answer, &err) < 0)
            return cli_fail_with(&err);
    }
    *seconds = (cli_seconds() - start) * 1000 / (double)n;
    return CLI_DONE;
}

static void __attribute__((format(printf, 3, 4))) put_row(cli_table *t, const char *name, const char *format, ...)
{
    char text[1000];
    va_list rest;
    va_start(rest, format);
    vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    cli_table_add(t, name);
    cli_table_add(t, text);
}

static void put_readable(const eh_model_info *i, const eh_session_info *s, const char *fingerprint, double seconds)
{
    cli_table t = {.align = "ll"};
    put_row(&t, "model", "%s", i->path);
    put_row(&t, "format", "%s, family %s", i->format, i->family);
    put_row(&t, "parameters", "%s, %s in %s%s", cli_count(i->n_param), cli_bytes(i->n_byte), i->dtype,
            i->tied ? ", lm_head tied to the embeddings" : "");
    put_row(&t, "layers", "%s of width %s, MLP %s", cli_count(i->n_layer), cli_count(i->d_model), cli_count(i->d_ff));
    put_row(&t, "attention", "%s heads of %s channels, %s for keys and values", cli_count(i->n_head),
            cli_count(i->d_head), cli_count(i->n_kv));
    put_row(&t, "vocabulary", "%s tokens", cli_count(i->n_vocab));
    put_row(&t, "context", "%s tokens", cli_count(i->n_ctx));
    if (i->tokenizer != NULL)
        put_row(&t, "tokenizer", "%s, begin-of-text %ld, end-of-text %ld", i->tokenizer, (long)i->bos, (long)i->eos);
    else
        put_row(&t, "tokenizer", "none: %s",
                i->tokenizer_trouble != NULL ? i->tokenizer_trouble : "the files hold none");
    put_row(&t, "runs in", "%s, %d threads, %s products, %s kernels (%s)", s->precision == EH_BF16 ? "bf16" : "f32",
            s->threads, s->product, s->simd, s->features);
    put_row(&t, "memory", "%s for a batch of %s tokens, %s of %s packed weights kept", cli_bytes(s->batch_bytes),
            cli_count(s->batch_tokens), cli_bytes(s->kept_bytes), cli_bytes(s->packed_bytes));
    if (seconds >= 0)
        put_row(&t, "time", "%.3g s for 1,000 tokens, measured", seconds);
    else
        put_row(&t, "time", "not measured; --time yes does it");
    put_row(&t, "fingerprint", "%s", fingerprint);
    cli_table_print(&t, false, stdout);
    cli_table_clear(&t);
}

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static void put_json(const eh_model_info *i, const eh_session_info *s, const char *fingerprint, double seconds)
{
    json_t *out = json_object();
    const struct {
        const char *name, *text;
    } texts[] = {
        {"path", i->path}, {"format", i->format}, {"family", i->family}, {"dtype", i->dtype},
        {"tokenizer", i->tokenizer}, {"tokenizer_trouble", i->tokenizer_trouble}, {"product", s->product},
        {"simd", s->simd}, {"features", s->features}, {"precision", s->precision == EH_BF16 ? "bf16" : "f32"},
        {"fingerprint", fingerprint},
    };
    const struct {
        const char *name;
        int64_t number;
    } numbers[] = {
        {"n_layer", i->n_layer},
        {"d_model", i->d_model},
        {"n_head", i->n_head},
        {"n_kv", i->n_kv},
        {"d_head", i->d_head},
        {"d_ff", i->d_ff},
        {"n_vocab", i->n_vocab},
        {"n_ctx", i->n_ctx},
        {"n_param", i->n_param},
        {"n_byte", i->n_byte},
        {"threads", s->threads},
        {"batch_tokens", s->batch_tokens},
        {"packed_bytes", s->packed_bytes},
        {"kept_bytes", s->kept_bytes},
        {"batch_bytes", s->batch_bytes},
        {"bos", i->bos},
        {"eos", i->eos},
    };
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        json_object_set_new(out, texts[k].name, text_or_null(texts[k].text));
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
        json_object_set_new(out, numbers[k].name, json_integer(numbers[k].number));
    json_object_set_new(out, "tied", json_boolean(i->tied));
    json_object_set_new(out, "seconds_per_1000_tokens", seconds >= 0 ? json_real(seconds) : json_null());
    cli_put_json(stdout, out);
    fputc('\n', stdout);
    json_decref(out);
}

static int run(const void *given)
{
    const args *a = given;
    cli_opened opened = {0};
    eh_model_info info;
    eh_session_info session;
    eh_err err;
    char fingerprint[65];
    double seconds = -1;

    int status = cli_open(a->model, &a->session, &opened);
    if (status != CLI_DONE)
        goto done;
    eh_model_describe(opened.m, &info);
    eh_session_describe(opened.s, &session);
    if (eh_model_fingerprint(opened.m, fingerprint, &err) < 0) {
        status = cli_fail_with(&err);
        goto done;
    }
    if (strcmp(a->time, "yes") == 0 || (strcmp(a->time, "auto") == 0 && info.n_param <= PROBE_PARAMETERS))
        status = measure(opened.s, &info, &seconds);
    if (status == CLI_DONE)
        (a->json ? put_json : put_readable)(&info, &session, fingerprint, seconds);
done:
    cli_close(&opened);
    return status;
}

static void init(void *given)
{
    args *a = given;
    eh_session_options_init(&a->session, sizeof a->session);
    a->time = "auto";
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "one JSON object instead of the table"},
    {.name = "time", .kind = CLI_WORD, .value = "auto|yes|no", .at = offsetof(args, time),
     .help = "whether to measure the time for 1,000 tokens; auto does so below 3 billion parameters"},
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_inspect = {
    .name = "inspect",
    .what = "a model's shapes, type, tokenizer, and the memory and time it needs",
    .about = "Shows what a model is and what it needs on this machine: shapes, family, type of the weights, "
             "tokenizer, memory with these settings, the time for 1,000 tokens (measured on 256 random ones), and a "
             "fingerprint of the weights (SHA-256 over the headers and the start of every tensor).",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
