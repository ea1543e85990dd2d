/* evenhand plant: a small model whose bias is known, to try methods on. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    eh_plant_options plant;
    bool json;
} args;

static void put_units(const char *what, const int64_t (*unit)[2], int64_t n)
{
    printf("%s:", what);
    for (int64_t i = 0; i < n; i++)
        printf("%s %lld.%lld", i > 0 ? "," : "", (long long)unit[i][0], (long long)unit[i][1]);
    fputc('\n', stdout);
}

static void put_json_units(const char *key, const int64_t (*unit)[2], int64_t n)
{
    printf(",\"%s\":[", key);
    for (int64_t i = 0; i < n; i++)
        printf("%s[%lld,%lld]", i > 0 ? "," : "", (long long)unit[i][0], (long long)unit[i][1]);
    fputc(']', stdout);
}

static int run(const void *given)
{
    const args *a = given;
    eh_planted p;
    eh_err err;
    if (eh_plant(&a->plant, &p, &err) < 0)
        return err.code == EH_EINVAL ? cli_fail(CLI_USAGE, "%s", err.text) : cli_fail_with(&err);
    if (a->json) {
        fputs("{\"out\":", stdout);
        cli_put_text(stdout, a->plant.out, (int64_t)strlen(a->plant.out));
        printf(",\"items\":%lld,\"utility\":%lld", (long long)p.n_item, (long long)p.n_utility);
        put_json_units("heads", p.head, p.n_planted_head);
        put_json_units("neurons", p.neuron, p.n_planted_neuron);
        fputs("}\n", stdout);
        return CLI_DONE;
    }
    printf("%s: a model of %lld layers of %lld heads, %s biased items, %s utility questions\n", a->plant.out,
           (long long)p.n_layer, (long long)p.n_head, cli_count(p.n_item), cli_count(p.n_utility));
    if (p.n_planted_head == 0) {
        puts("nothing is planted: there is no bias to find");
    } else {
        put_units("planted heads (layer.head)", p.head, p.n_planted_head);
        put_units("planted neurons (layer.neuron)", p.neuron, p.n_planted_neuron);
    }
    return CLI_DONE;
}

static void init(void *given)
{
    args *a = given;
    eh_plant_options_init(&a->plant, sizeof a->plant);
}

static const cli_option options[] = {
    {.name = "out", .letter = 'o', .kind = CLI_FOLDER, .value = "DIR", .required = true,
     .at = offsetof(args, plant.out), .help = "folder to make"},
    {.name = "seed", .kind = CLI_COUNT, .value = "S", .high = 9007199254740992,
     .at = offsetof(args, plant.seed), .help = "of the planted places and of all weights"},
    {.name = "null", .kind = CLI_FLAG, .at = offsetof(args, plant.nothing),
     .help = "plant nothing: the same model without a bias"},
    {.name = "force", .kind = CLI_FLAG, .at = offsetof(args, plant.force),
     .help = "replace a folder that plant made before"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "what was planted as one JSON object"},
    {.name = NULL},
};

const cli_command cli_plant = {
    .name = "plant",
    .what = "make a small model whose bias is known",
    .about = "Writes a model folder in which known heads and neurons carry a bias, so that what a method finds and "
             "mends can be held against the truth. The weights are built by hand from the seed; its groups and words "
             "are made up. With --null nothing is planted, and nothing should be found.\n"
             "\n"
             "The folder holds the model (config.json, model.safetensors, tokenizer.json; it loads in transformers, "
             "too), items.jsonl with biased items, utility.jsonl with questions that the bias has no part in, and "
             "truth.json with the planted heads and neurons.\n"
             "\n"
             "  evenhand plant -o planted --seed 1\n"
             "  evenhand audit planted --items planted/items.jsonl",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
