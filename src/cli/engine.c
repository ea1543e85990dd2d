#include "command.h"

eh_options cli_engine_options(const cli_engine *engine)
{
    /* The words stand in the order of eh_precision. */
    return (eh_options){.precision = (eh_precision)cli_word_index("auto|f32|bf16", engine->precision),
                        .threads = (int)engine->threads,
                        .batch_tokens = engine->batch_tokens,
                        .memory = engine->memory,
                        .no_prefix_sharing = engine->no_prefix_sharing};
}

int cli_model_open(const char *path, const cli_engine *engine, eh_model **m)
{
    eh_err err;
    const eh_options options = cli_engine_options(engine);
    return eh_model_open(path, &options, m, &err) < 0 ? cli_fail_with(&err) : CLI_DONE;
}
