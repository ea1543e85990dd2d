#include <string.h>

#include "command.h"

eh_session_options cli_engine_options(const cli_engine *engine)
{
    /* The words stand in the order of eh_precision. */
    return (eh_session_options){.precision = (eh_precision)cli_word_index("auto|f32|bf16", engine->precision),
                        .threads = (int)engine->threads,
                        .batch_tokens = engine->batch_tokens,
                        .memory = engine->memory,
                        .no_prefix_sharing = engine->no_prefix_sharing};
}

int cli_open(const char *path, const cli_engine *engine, cli_opened *opened)
{
    eh_err err;
    const eh_session_options options = cli_engine_options(engine);
    if (eh_model_open(path, &opened->m, &err) < 0 || eh_session_open(opened->m, &options, &opened->s, &err) < 0)
        return cli_fail_with(&err);
    return CLI_DONE;
}

void cli_close(cli_opened *opened)
{
    eh_session_close(opened->s);
    eh_model_close(opened->m);
    *opened = (cli_opened){0};
}

eh_audit_options cli_audit_options(const cli_questions *q)
{
    return (eh_audit_options){.data = q->data,
                              .items = q->items,
                              .probes = q->probes,
                              .answer = q->answer,
                              .orders = q->orders,
                              .categories = q->categories,
                              .limit = q->limit,
                              .chat = q->chat,
                              .seed = (uint64_t)q->seed,
                              .resamples = q->resamples,
                              .confidence = q->confidence,
                              .command = cli_command_line()};
}

char *cli_default_out(const char *command, const char *model)
{
    size_t end = strlen(model);
    while (end > 1 && model[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && model[start - 1] != '/')
        start--;
    if (end - start > 5 && memcmp(model + end - 5, ".gguf", 5) == 0)
        end -= 5;
    return cli_printf("evenhand-%s-%.*s", command, (int)(end - start), model + start);
}

int cli_progress_and_stop(void *ctx, const char *stage, int64_t done, int64_t total)
{
    cli_progress_show(ctx, stage, done, total);
    return cli_interrupted();
}

int cli_study_failed(const eh_err *err, const char *out)
{
    if (err->code == EH_ESTOP)
        return cli_fail(CLI_INTERRUPTED, "stopped; what was done is kept in %s, where this goes on with it: %s", out,
                        cli_command_line());
    return err->code == EH_EINVAL ? cli_fail(CLI_USAGE, "%s", err->text) : cli_fail_with(err);
}

void cli_say_notes(const char *notes)
{
    if (notes != NULL && *notes != '\0')
        cli_say("\n%.*s", (int)strlen(notes) - (notes[strlen(notes) - 1] == '\n'), notes);
}
