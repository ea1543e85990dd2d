/* evenhand tune: a short calibration training after an edit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *model, *recipe, *train, *tasks, *data, *probes, *answer, *orders, *categories, *split, *examples, *text,
        *schedule, *out;
    cli_engine engine;
    int64_t limit, text_block, text_batch, batch, epochs, steps, warmup, eval_every, patience, save_every, seed;
    double text_share, held_out, lr, beta1, beta2, eps, weight_decay, clip, kl;
    bool chat, force, json;
} args;

/* A library option of 0 means its default; the program says 0 and means it. */
static double really(double x)
{
    return x == 0.0 ? -1.0 : x;
}

static eh_tune_options options_of(const args *a, const char *out)
{
    return (eh_tune_options){
        .tasks = a->tasks,
        .data = a->data,
        .probes = a->probes,
        .answer = a->answer,
        .orders = a->orders,
        .categories = a->categories,
        .split = a->split,
        .limit = a->limit,
        .chat = a->chat,
        .examples = a->examples,
        .text = a->text,
        .text_block = a->text_block,
        .text_share = really(a->text_share),
        .held_out = really(a->held_out),
        .train = a->train,
        .lr = a->lr,
        .beta1 = a->beta1,
        .beta2 = a->beta2,
        .eps = a->eps,
        .weight_decay = a->weight_decay,
        .schedule = a->schedule,
        .warmup = a->warmup,
        .batch = a->batch,
        .text_batch = a->text_batch,
        .steps = a->steps,
        .epochs = a->epochs,
        .clip = really(a->clip),
        .kl = a->kl,
        .eval_every = a->eval_every,
        .patience = a->patience,
        .save_every = a->save_every,
        .seed = (uint64_t)a->seed,
        .out = out,
        .force = a->force,
        .command = cli_command_line(),
    };
}

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
    char *out = a->out != NULL ? cli_printf("%s", a->out) : cli_default_out("tune", a->model);
    char *model = NULL;
    cli_opened opened = {0};
    eh_tuned tuned;
    eh_saved saved;
    eh_model_info info;
    eh_err err;
    int status = cli_open(a->model, &a->engine, &opened);

    if (status == CLI_DONE && a->recipe != NULL)
        status = apply_recipe(opened.s, a->recipe);
    if (status != CLI_DONE)
        goto done;
    eh_model_describe(opened.m, &info);
    const char *name = strcmp(info.format, "GGUF") == 0 ? "model.gguf" : "model";
    model = cli_printf("%s/%s", out, name);
    if (!a->force && is_there(out, name) && !is_there(out, "tune.ckpt")) {
        status = cli_fail(CLI_USAGE, "%s is there already, and no training of ours beside it; --force replaces it",
                          model);
        goto done;
    }
    eh_tune_options o = options_of(a, out);
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

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "recipe", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, recipe),
     .help = "an edit (edit.json) that is applied first and held throughout"},
    {.name = "train", .kind = CLI_WORD, .value = "edited|attention|norms|all", .initial = "edited",
     .at = offsetof(args, train),
     .help = "weights that are trained: the tensors that hold edited units, all attention projections, all norms, or "
             "everything"},
    {.name = "tasks", .kind = CLI_LIST, .value = "LIST", .at = offsetof(args, tasks),
     .help = "items to learn with their right answers, \"unknown\" where the context is ambiguous: ",
     .more = cli_benchmarks_learnt},
    {.name = "data", .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, data),
     .help = "folder with the benchmarks' published files"},
    {.name = "probes", .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, probes),
     .help = "folder with a probe set of your own in evenhand's format"},
    {.name = "examples", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, examples),
     .help = "examples of your own, a line each: {\"prompt\": \"...\", \"answer\": \"...\"}; the answer is "
             "learnt, after a blank"},
    {.name = "text", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, text),
     .help = "general text, learnt as a whole, to keep the model fluent"},
    {.name = "text-share", .kind = CLI_REAL, .value = "P", .initial = "0.25", .high = 1.0,
     .at = offsetof(args, text_share),
     .help = "of the text in the loss; the rest is the answers'"},
    {.name = "text-block", .kind = CLI_COUNT, .value = "N", .initial = "256", .low = 2, .high = 1 << 20,
     .at = offsetof(args, text_block), .help = "tokens of a piece of the text"},
    {.name = "text-batch", .kind = CLI_COUNT, .value = "N", .initial = "1", .low = 1, .high = 1 << 20,
     .at = offsetof(args, text_batch), .help = "pieces of text in a step"},
    {.name = "answer", .kind = CLI_WORD, .value = "letters|text", .initial = "letters", .at = offsetof(args, answer),
     .help = "in which form items are learnt: the letter of the right option, or its text"},
    {.name = "orders", .kind = CLI_WORD, .value = "stored|cyclic|all", .initial = "cyclic",
     .at = offsetof(args, orders),
     .help = "in which orders the options are shown (with letters); each is an example"},
    {.name = "categories", .kind = CLI_LIST, .value = "LIST", .at = offsetof(args, categories),
     .help = "only these categories, parted by commas"},
    {.name = "split", .kind = CLI_WORD, .value = "all|select|tune|test", .initial = "tune", .at = offsetof(args, split),
     .help = "of the templates; what is learnt from cannot judge any more"},
    {.name = "limit", .kind = CLI_COUNT, .value = "N", .initial = "0", .high = 1ll << 40, .at = offsetof(args, limit),
     .help = "items of a category at most; whole templates are drawn by the seed. 0 for all"},
    {.name = "chat", .kind = CLI_FLAG, .at = offsetof(args, chat), .help = "wrap prompts in the model's chat template"},
    {.name = "held-out", .kind = CLI_REAL, .value = "P", .initial = "0.2", .high = 0.9, .at = offsetof(args, held_out),
     .help = "share of the templates (of your own lines) that is not learnt but looked at"},
    {.name = "lr", .kind = CLI_REAL, .value = "X", .initial = "2e-5", .low = 1e-12, .high = 1.0,
     .at = offsetof(args, lr),
     .help = "learning rate of AdamW"},
    {.name = "beta1", .kind = CLI_REAL, .value = "X", .initial = "0.9", .low = 1e-12, .high = 0.9999999,
     .at = offsetof(args, beta1), .help = "of the first moment"},
    {.name = "beta2", .kind = CLI_REAL, .value = "X", .initial = "0.999", .low = 1e-12, .high = 0.9999999,
     .at = offsetof(args, beta2), .help = "of the second moment"},
    {.name = "eps", .kind = CLI_REAL, .value = "X", .initial = "1e-8", .low = 1e-30, .high = 1.0,
     .at = offsetof(args, eps),
     .help = "beside the root of the second moment"},
    {.name = "weight-decay", .kind = CLI_REAL, .value = "X", .initial = "0", .high = 1.0,
     .at = offsetof(args, weight_decay),
     .help = "decoupled, on every trained tensor"},
    {.name = "clip", .kind = CLI_REAL, .value = "X", .initial = "1", .high = 1e9, .at = offsetof(args, clip),
     .help = "the gradient's norm at most; 0 for no limit"},
    {.name = "kl", .kind = CLI_REAL, .value = "X", .initial = "0", .high = 1e6, .at = offsetof(args, kl),
     .help = "weight of the divergence from the original model, on the text's tokens (without text: on the answers')"},
    {.name = "batch", .kind = CLI_COUNT, .value = "N", .initial = "16", .low = 1, .high = 1 << 20,
     .at = offsetof(args, batch),
     .help = "examples in a step"},
    {.name = "epochs", .kind = CLI_COUNT, .value = "N", .initial = "1", .low = 1, .high = 1e6,
     .at = offsetof(args, epochs),
     .help = "times that each example is learnt"},
    {.name = "steps", .kind = CLI_COUNT, .value = "N", .initial = "0", .high = 1 << 24, .at = offsetof(args, steps),
     .help = "steps in all, in place of epochs"},
    {.name = "warmup", .kind = CLI_COUNT, .value = "N", .initial = "0", .high = 1 << 24, .at = offsetof(args, warmup),
     .help = "steps in which the learning rate grows to its full size"},
    {.name = "schedule", .kind = CLI_WORD, .value = "linear|constant", .initial = "linear",
     .at = offsetof(args, schedule),
     .help = "of the learning rate after the warm-up: falling to 0, or staying"},
    {.name = "eval-every", .kind = CLI_COUNT, .value = "N", .initial = "0", .high = 1 << 24,
     .at = offsetof(args, eval_every),
     .help = "steps between looks at what is held out; 0 for a tenth of all"},
    {.name = "patience", .kind = CLI_COUNT, .value = "N", .initial = "0", .high = 1 << 24,
     .at = offsetof(args, patience),
     .help = "looks in a row without improvement before it stops at the best; 0 to go to the end"},
    {.name = "save-every", .kind = CLI_COUNT, .value = "N", .initial = "50", .low = 1, .high = 1 << 24,
     .at = offsetof(args, save_every), .help = "steps between checkpoints"},
    {.name = "seed", .kind = CLI_COUNT, .value = "S", .initial = "0", .high = 9007199254740992,
     .at = offsetof(args, seed),
     .help = "of the order of examples and of what is held out"},
    {.name = "out", .letter = 'o', .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, out),
     .help = "folder for the records and the trained model (default: evenhand-tune- and the model's name)"},
    {.name = "force", .kind = CLI_FLAG, .at = offsetof(args, force),
     .help = "start over in a folder that holds another training"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "one JSON object"},
    CLI_ENGINE(args),
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
             "tune.jsonl with the loss of each step, tune.json, and tune.ckpt, from which the same command goes on "
             "after Ctrl+C or a crash, to the same bytes.\n"
             "\n"
             "  evenhand tune ./model --recipe edit.json -o tuned\n"
             "  evenhand tune ./model --recipe edit.json --text wiki.txt --kl 0.1 --patience 3 -o tuned\n"
             "  evenhand tune ./model --train attention --examples mine.jsonl --epochs 2 -o tuned",
    .option = options,
    .size = sizeof(args),
    .run = run,
};
