/* evenhand tune: a short calibration training after an edit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *model, *recipe;
    eh_tune_options tune;
    eh_session_options session;
    bool json;
} args;

static bool is_there(const char *dir, const char *name)
{
    struct stat st;
    char *path = cli_printf("%s/%s", dir, name);
    const bool there = stat(path, &st) == 0;
    free(path);
    return there;
}

static int apply_recipe(eh_session *s, const char *path)
{
    eh_err err;
    eh_recipe *r = NULL;
    int status = CLI_DONE;
    if (eh_recipe_read(path, &r, &err) < 0 || eh_recipe_apply(s, r, &err) < 0)
        status = cli_fail_with(&err);
    eh_recipe_close(r);
    return status;
}

static void put(const args *a, const char *out, const char *model, const eh_tuned *t, const eh_saved *s)
{
    if (a->json) {
        fputs("{\"out\":", stdout);
        cli_put_text(stdout, out, (int64_t)strlen(out));
        fputs(",\"model\":", stdout);
        cli_put_text(stdout, model, (int64_t)strlen(model));
        const struct {
            const char *name;
            int64_t n;
        } counts[] = {{"examples", t->n_example}, {"held_out", t->n_held_out}, {"texts", t->n_text},
                      {"too_long", t->n_too_long}, {"weights", t->n_weight}, {"steps", t->step},
                      {"best_step", t->best_step}, {"tensors_changed", s->n_changed}};
        const struct {
            const char *name;
            double x;
        } losses[] = {{"loss_first", t->loss_first}, {"loss_last", t->loss_last},
                      {"held_out_before", t->held_out_before}, {"held_out_after", t->held_out_after}};
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            printf(",\"%s\":%lld", counts[i].name, (long long)counts[i].n);
        for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
            printf(",\"%s\":", losses[i].name);
            cli_put_double(stdout, losses[i].x);
        }
        printf(",\"stopped_early\":%s}\n", t->stopped_early ? "true" : "false");
        return;
    }
    printf("%s examples to learn from, %s held out, %s pieces of text; %s weights trained\n", cli_count(t->n_example),
           cli_count(t->n_held_out), cli_count(t->n_text), cli_count(t->n_weight));
    printf("%s steps%s; nats per token of the batch: %.4f at first, %.4f at last\n", cli_count(t->step),
           t->stopped_early ? " (stopped early)" : "", t->loss_first, t->loss_last);
    if (isfinite(t->held_out_before))
        printf("nats per token of what was held out: %.4f before, %.4f after; lowest after step %s\n",
               t->held_out_before, t->held_out_after, cli_count(t->best_step));
    printf("The model is %s (%s of %s tensors written anew); the curve is in %s/tune.jsonl.\n", model,
           cli_count(s->n_changed), cli_count(s->n_tensor), out);
}

static int run(const void *given)
{
    const args *a = given;
    cli_progress progress = {.unit = "steps"};
    char *out = a->tune.out != NULL ? cli_printf("%s", a->tune.out) : cli_default_out("tune", a->model);
    char *model = NULL;
    cli_opened opened = {0};
    eh_tuned tuned;
    eh_saved saved;
    eh_model_info info;
    eh_err err;
    int status = cli_open(a->model, &a->session, &opened);

    if (status == CLI_DONE && a->recipe != NULL)
        status = apply_recipe(opened.s, a->recipe);
    if (status != CLI_DONE)
        goto done;
    eh_model_describe(opened.m, &info);
    const char *name = strcmp(info.format, "GGUF") == 0 ? "model.gguf" : "model";
    model = cli_printf("%s/%s", out, name);
    if (!a->tune.force && is_there(out, name) && !is_there(out, "tune.ckpt")) {
        status = cli_fail(CLI_USAGE, "%s is there already, and no training of ours beside it; --force replaces it",
                          model);
        goto done;
    }
    eh_tune_options o = a->tune;
    o.out = out;
    o.command = cli_command_line();
    o.progress = cli_progress_and_stop;
    o.progress_ctx = &progress;
    cli_interrupt_catch();
    if (eh_tune(opened.s, &o, &tuned, &err) < 0) {
        status = cli_study_failed(&err, out);
        goto done;
    }
    cli_progress_end();
    /* What is there is of this very training, or was to be replaced. */
    if (eh_session_save(opened.s, model, true, &saved, &err) < 0) {
        status = cli_study_failed(&err, out);
        goto done;
    }
    put(a, out, model, &tuned, &saved);
    if (tuned.n_too_long > 0)
        status = cli_fail(CLI_PARTLY, "%s examples are longer than the model's context and were left out",
                          cli_count(tuned.n_too_long));
done:
    cli_close(&opened);
    free(model);
    free(out);
    return status;
}

static void init(void *given)
{
    args *a = given;
    eh_session_options_init(&a->session, sizeof a->session);
    eh_tune_options_init(&a->tune, sizeof a->tune);
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "recipe", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, recipe),
     .help = "an edit (edit.json) that is applied first and held throughout"},
    {.name = "train", .kind = CLI_CHOICE, .choice = EH_CHOICE_TUNE_GROUP,
     .at = offsetof(args, tune.train),
     .help = "weights that are trained"},
    {.name = "tasks", .kind = CLI_LIST, .value = "LIST", .at = offsetof(args, tune.tasks),
     .help = "items to learn with their right answers, \"unknown\" where the context is ambiguous: ",
     .more = cli_benchmarks_learnt},
    {.name = "data", .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, tune.data),
     .help = "folder with the benchmarks' published files"},
    {.name = "probes", .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, tune.probes),
     .help = "folder with a probe set of your own in evenhand's format"},
    {.name = "examples", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, tune.examples),
     .help = "examples of your own, a line each: {\"prompt\": \"...\", \"answer\": \"...\"}; the answer is "
             "learnt, after a blank"},
    {.name = "text", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, tune.text),
     .help = "general text, learnt as a whole, to keep the model fluent"},
    {.name = "text-share", .kind = CLI_REAL, .value = "P", .high = 1.0,
     .at = offsetof(args, tune.text_share),
     .help = "of the text in the loss; the rest is the answers'"},
    {.name = "text-block", .kind = CLI_COUNT, .value = "N", .unset = "auto", .low = 2, .high = 1 << 20,
     .at = offsetof(args, tune.text_block),
     .help = "tokens of a piece of the text; auto: 256, or the model's context if that is smaller"},
    {.name = "text-batch", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 1 << 20,
     .at = offsetof(args, tune.text_batch), .help = "pieces of text in a step"},
    {.name = "answer", .kind = CLI_WORD, .value = "letters|text", .at = offsetof(args, tune.answer),
     .help = "in which form items are learnt: the letter of the right option (the default), or its text"},
    {.name = "orders", .kind = CLI_WORD, .value = "stored|cyclic|all",
     .at = offsetof(args, tune.orders),
     .help = "in which orders the options are shown (with letters): as stored, each in each place (the default), or "
             "all six; each is an example"},
    {.name = "categories", .kind = CLI_LIST, .value = "LIST", .at = offsetof(args, tune.categories),
     .help = "only these categories, parted by commas"},
    {.name = "split", .kind = CLI_CHOICE, .choice = EH_CHOICE_SPLIT, .at = offsetof(args, tune.split),
     .help = "which of the templates; what is learnt from cannot judge any more"},
    {.name = "limit", .kind = CLI_COUNT, .value = "N", .unset = "all", .low = 1, .high = 1ll << 40,
     .at = offsetof(args, tune.limit),
     .help = "items of a category at most; whole templates are drawn by the seed"},
    {.name = "chat", .kind = CLI_FLAG, .at = offsetof(args, tune.chat),
     .help = "wrap prompts in the model's chat template"},
    {.name = "held-out", .kind = CLI_REAL, .value = "P", .high = 0.9, .at = offsetof(args, tune.held_out),
     .help = "share of the templates (of your own lines) that is not learnt but looked at"},
    {.name = "lr", .kind = CLI_REAL, .value = "X", .low = 1e-12, .high = 1.0,
     .at = offsetof(args, tune.lr),
     .help = "learning rate of AdamW"},
    {.name = "beta1", .kind = CLI_REAL, .value = "X", .low = 1e-12, .high = 0.9999999,
     .at = offsetof(args, tune.beta1), .help = "of the first moment"},
    {.name = "beta2", .kind = CLI_REAL, .value = "X", .low = 1e-12, .high = 0.9999999,
     .at = offsetof(args, tune.beta2), .help = "of the second moment"},
    {.name = "eps", .kind = CLI_REAL, .value = "X", .low = 1e-30, .high = 1.0,
     .at = offsetof(args, tune.eps),
     .help = "beside the root of the second moment"},
    {.name = "weight-decay", .kind = CLI_REAL, .value = "X", .high = 1.0,
     .at = offsetof(args, tune.weight_decay),
     .help = "decoupled, on every trained tensor"},
    {.name = "clip", .kind = CLI_REAL, .value = "X", .unset = "none", .low = 1e-9, .high = 1e9,
     .at = offsetof(args, tune.clip), .help = "the gradient's norm at most"},
    {.name = "kl", .kind = CLI_REAL, .value = "X", .high = 1e6, .at = offsetof(args, tune.kl),
     .help = "weight of the divergence from the original model, on the text's tokens (without text: on the answers')"},
    {.name = "batch", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 1 << 20,
     .at = offsetof(args, tune.batch),
     .help = "examples in a step"},
    {.name = "epochs", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 1e6,
     .at = offsetof(args, tune.epochs),
     .help = "times that each example is learnt"},
    {.name = "steps", .kind = CLI_COUNT, .value = "N", .unset = "epochs", .low = 1, .high = 1 << 24,
     .at = offsetof(args, tune.steps),
     .help = "steps in all; epochs: as many as --epochs take"},
    {.name = "warmup", .kind = CLI_COUNT, .value = "N", .high = 1 << 24, .at = offsetof(args, tune.warmup),
     .help = "steps in which the learning rate grows to its full size"},
    {.name = "schedule", .kind = CLI_CHOICE, .choice = EH_CHOICE_SCHEDULE,
     .at = offsetof(args, tune.schedule),
     .help = "of the learning rate after the warm-up"},
    {.name = "eval-every", .kind = CLI_COUNT, .value = "N", .unset = "auto", .low = 1, .high = 1 << 24,
     .at = offsetof(args, tune.eval_every),
     .help = "steps between looks at what is held out; auto: a tenth of all"},
    {.name = "patience", .kind = CLI_COUNT, .value = "N", .unset = "none", .low = 1, .high = 1 << 24,
     .at = offsetof(args, tune.patience),
     .help = "looks in a row without improvement before it stops at the best; none: it trains to the end"},
    {.name = "save-every", .kind = CLI_COUNT, .value = "N", .low = 1, .high = 1 << 24,
     .at = offsetof(args, tune.save_every), .help = "steps between checkpoints"},
    {.name = "seed", .kind = CLI_COUNT, .value = "S", .high = 9007199254740992,
     .at = offsetof(args, tune.seed),
     .help = "of the order of examples and of what is held out"},
    {.name = "out", .letter = 'o', .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, tune.out),
     .help = "folder for the records and the trained model (default: evenhand-tune- and the model's name)"},
    {.name = "force", .kind = CLI_FLAG, .at = offsetof(args, tune.force),
     .help = "start over in a folder that holds another training"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "one JSON object"},
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_tune = {
    .name = "tune",
    .what = "restore an edited model's fluency by a short training",
    .about = "Trains the model a little (AdamW) on the right answers of questions, and on general text where it is "
             "given, so that an edit costs less of what the model could do. The loss is that of the answers' tokens "
             "alone. What the recipe edited stays as the edit left it: after each step it is put back exactly.\n"
             "\n"
             "Questions are those of the templates that are set apart for tuning; no template that selects units or "
             "judges the result is among them. The out folder gets the trained model (model, or model.gguf), "
             "tune.jsonl with the loss of each step, tune.json, and tune.ckpt, from which the same command resumes "
             "after Ctrl+C or a crash, to the same bytes.\n"
             "\n"
             "  evenhand tune ./model --recipe edit.json -o tuned\n"
             "  evenhand tune ./model --recipe edit.json --text wiki.txt --kl 0.1 --patience 3 -o tuned\n"
             "  evenhand tune ./model --train attention --examples mine.jsonl --epochs 2 -o tuned",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
