/* evenhand edit: a recipe applied to a model and written, as weights or as an adapter; and back. */
#include <string.h>

#include "command.h"

typedef struct args {
    const char *model, *recipe, *out, *lora;
    int64_t lora_rank;
    bool undo, force;
} args;

static int undo(const args *a)
{
    eh_err err;
    if (a->out == NULL)
        return cli_fail(CLI_USAGE, "--undo wants -o, where the original is to be");
    if (a->recipe != NULL || a->lora != NULL)
        return cli_fail(CLI_USAGE, "--undo takes neither --recipe nor --lora");
    if (eh_model_undo(a->model, a->out, a->force, &err) < 0)
        return cli_fail_with(&err);
    printf("%s is as it was before the edit, byte for byte\n", a->out);
    return CLI_DONE;
}

static int write_adapter(const args *a, const eh_session *s)
{
    eh_lora lora;
    eh_err err;
    if (eh_session_save_lora(s, a->lora, a->lora_rank, a->force, &lora, &err) < 0)
        return cli_fail_with(&err);
    printf("%s: adapter of %s linears, rank %s at most, %s; reconstruction error %.3g at most, %.3g of the change\n",
           a->lora, cli_count(lora.n_module), cli_count(lora.rank), cli_bytes(lora.n_byte), lora.max_abs,
           lora.relative);
    return CLI_DONE;
}

static int write_model(const args *a, const eh_session *s)
{
    eh_saved saved;
    eh_err err;
    if (eh_session_save(s, a->out, a->force, &saved, &err) < 0)
        return cli_fail_with(&err);
    printf("%s: %s of %s tensors rewritten", a->out, cli_count(saved.n_changed), cli_count(saved.n_tensor));
    if (saved.n_new > 0)
        printf(", %s added", cli_count(saved.n_new));
    printf(", %s of weights; %s kept for --undo\n", cli_bytes(saved.n_byte), cli_bytes(saved.n_undo));
    return CLI_DONE;
}

static int run(const void *given)
{
    const args *a = given;
    eh_recipe *recipe = NULL;
    cli_opened opened = {0};
    eh_err err;
    int status = CLI_DONE;

    if (a->undo)
        return undo(a);
    if (a->recipe == NULL)
        return cli_fail(CLI_USAGE, "edit wants --recipe, or --undo");
    if (a->out == NULL && a->lora == NULL)
        return cli_fail(CLI_USAGE, "edit wants -o for the edited model, --lora for an adapter, or both");
    if (eh_recipe_read(a->recipe, &recipe, &err) < 0)
        return cli_fail_with(&err);
    status = cli_open_files(a->model, &opened);
    if (status == CLI_DONE && eh_recipe_apply(opened.s, recipe, &err) < 0)
        status = cli_fail_with(&err);
    if (status == CLI_DONE && a->lora != NULL)
        status = write_adapter(a, opened.s);
    if (status == CLI_DONE && a->out != NULL)
        status = write_model(a, opened.s);
    cli_close(&opened);
    eh_recipe_close(recipe);
    return status;
}

static void init(void *given)
{
    args *a = given;
    a->lora_rank = EH_LORA_RANK;
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "recipe", .letter = 'r', .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, recipe),
     .help = "which heads and neurons to edit, and how: edit.json, by hand or from locate, tune or run"},
    {.name = "out", .letter = 'o', .kind = CLI_FILE, .value = "PATH", .at = offsetof(args, out),
     .help = "where the edited model goes: a folder for a folder, a file for a GGUF file"},
    {.name = "lora", .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, lora),
     .help = "write the edit as a LoRA adapter (PEFT) into this folder"},
    {.name = "lora-rank", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 1 << 20,
     .at = offsetof(args, lora_rank), .help = "the highest rank that an adapter may take"},
    {.name = "undo", .kind = CLI_FLAG, .at = offsetof(args, undo),
     .help = "write MODEL as it was before evenhand edited it, byte for byte, to -o"},
    {.name = "force", .kind = CLI_FLAG, .at = offsetof(args, force), .help = "replace a model that is there already"},
    {.name = NULL},
};

const cli_command cli_edit = {
    .name = "edit",
    .what = "apply, undo or export an edit of heads and neurons",
    .about = "Turns chosen attention heads and neurons down, as a recipe says, and writes the model anew. Only the "
             "tensors that the edit touches are rewritten, in their own type; everything else is carried over byte for "
             "byte, and what --undo needs is kept beside it.\n"
             "\n"
             "A recipe can be written by hand:\n"
             "\n"
             "  {\"version\": 1, \"units\": [\n"
             "    {\"kind\": \"head\", \"layer\": 3, \"index\": 5, \"mode\": \"soft\", \"alpha\": 0.7},\n"
             "    {\"kind\": \"neuron\", \"layer\": 0, \"index\": 42, \"mode\": \"zero\"}]}\n"
             "\n"
             "Modes: soft (a head's queries times (1 - alpha)^2, its output times 1 - alpha), output (the latter "
             "alone), zero, mean (zero, and the mean output into a bias).\n"
             "\n"
             "  evenhand edit SmolLM2 -r edit.json -o SmolLM2-edited\n"
             "  evenhand edit SmolLM2-edited --undo -o SmolLM2-again",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
