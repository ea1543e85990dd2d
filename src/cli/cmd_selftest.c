/* evenhand selftest: does the engine agree with itself, and with a reference, on this model? */
#include "command.h"
#include "stream.h"

#define ROOM 64

typedef struct args {
    const char *model, *against;
    eh_session_options session;
    bool json;
} args;

static const char *verdict(const eh_check *c)
{
    return c->skipped ? "skipped" : c->passed ? "ok" : "FAILED";
}

static int run(const void *given)
{
    const args *a = given;
    eh_model *m = NULL;
    eh_check check[ROOM];
    eh_err err;
    int n = ROOM, n_failed = 0;

    const bool failed = eh_model_open(a->model, &m, &err) < 0 ||
        eh_selftest(m, &a->session, a->against, check, &n, &err) < 0;
    eh_model_close(m);
    if (failed)
        return cli_fail_with(&err);
    for (int i = 0; i < n; i++)
        n_failed += !check[i].passed && !check[i].skipped;

    if (a->json) {
        json_t *out = json_array();
        for (int i = 0; i < n; i++)
            json_array_append_new(out, json_pack("{ss ss ss}", "name", check[i].name, "result", verdict(&check[i]),
                                                 "found", check[i].text));
        cli_put_json(stdout, out);
        fputc('\n', stdout);
        json_decref(out);
    } else {
        cli_table t = {.align = "lll"};
        for (int i = 0; i < n; i++) {
            cli_table_add(&t, verdict(&check[i]));
            cli_table_add(&t, check[i].name);
            cli_table_add(&t, check[i].text);
        }
        cli_table_print(&t, false, stdout);
        cli_table_clear(&t);
    }
    return n_failed > 0 ? cli_fail(CLI_FAILED, "%d of %d checks failed", n_failed, n) : CLI_DONE;
}

static void init(void *given)
{
    args *a = given;
    eh_session_options_init(&a->session, sizeof a->session);
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "against", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, against),
     .help = "reference logits, as JSON (docs/formats.md), that the model must reach"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "the checks as a JSON array"},
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_selftest = {
    .name = "selftest",
    .what = "parity checks on your own model and machine",
    .about = "Runs the model on a few made-up sequences, several ways that must agree: with and without prefix "
             "sharing, with one thread and more, in small batches and large, on the plain reference product, in f32 "
             "and bf16; looks for values that are not finite; takes text through the tokenizer and back. Exit status "
             "1 when a check failed.",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
