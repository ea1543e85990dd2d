/* evenhand locate: which attention heads correlate with the bias. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *model, *units;
    eh_locate_options locate;
    eh_audit_options audit;
    eh_session_options session;
    bool json;
} args;

#define TOP 10

/* Of the statistic that selects, the pooled row of each head. */
static const eh_head_row *pooled(const eh_locate_result *r)
{
    for (int64_t i = 0; i < r->n_row; i += r->n_layer * r->n_head)
        if (strcmp(r->row[i].category, "all") == 0 && strcmp(r->row[i].statistic, r->statistic) == 0)
            return &r->row[i];
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    const eh_head_row *x = *(const eh_head_row *const *)a, *y = *(const eh_head_row *const *)b;
    const double dx = isnan(x->score) ? -1 : fabs(x->score), dy = isnan(y->score) ? -1 : fabs(y->score);
    return dx > dy ? -1 : dx < dy;
}

static void put_top(const eh_locate_result *r)
{
    const eh_head_row *map = pooled(r);
    const int64_t n = r->n_layer * r->n_head;
    if (map == NULL)
        return;
    const eh_head_row **order = cli_new(n, (int64_t)sizeof *order);
    for (int64_t i = 0; i < n; i++)
        order[i] = &map[i];
    qsort(order, (size_t)n, sizeof *order, by_size);
    cli_table t = {.align = "rrrrrr"};
    static const char *const heading[] = {"layer", "head", "r", "95 % interval", "q", "mean"};
    char text[64];
    for (int i = 0; i < 6; i++)
        cli_table_add(&t, heading[i]);
    for (int64_t i = 0; i < n && i < TOP; i++) {
        const eh_head_row *h = order[i];
        const double number[] = {h->score, h->q, h->mean};
        cli_table_add(&t, cli_count(h->layer));
        cli_table_add(&t, cli_count(h->head));
        for (int k = 0; k < 3; k++) {
            snprintf(text, sizeof text, k == 2 ? "%.3g" : "%.3f", number[k]);
            cli_table_add(&t, isnan(number[k]) ? "-" : text);
            if (k == 0) {
                snprintf(text, sizeof text, "[%.3f, %.3f]", h->low, h->high);
                cli_table_add(&t, isnan(h->low) ? "-" : text);
            }
        }
    }
    printf("The %d heads that correlate most with %s by %s, over all categories:\n", TOP, r->measure, r->statistic);
    cli_table_print(&t, true, stdout);
    cli_table_clear(&t);
    free(order);
}

static void put_selected(const eh_locate_result *r)
{
    if (!r->found) {
        printf("\nNothing found: %s.\n", r->why);
        return;
    }
    printf("\nSelected, %s heads of %s:\n", cli_count(r->n_choice), cli_count(r->n_layer * r->n_head));
    cli_table t = {.align = "rrrrr"};
    static const char *const heading[] = {"layer", "head", "weight", "mean r", "categories"};
    char text[64];
    for (int i = 0; i < 5; i++)
        cli_table_add(&t, heading[i]);
    for (int64_t i = 0; i < r->n_choice && i < 2 * TOP; i++) {
        const eh_head_choice *c = &r->choice[i];
        cli_table_add(&t, cli_count(c->layer));
        cli_table_add(&t, cli_count(c->head));
        snprintf(text, sizeof text, "%.3f", c->weight);
        cli_table_add(&t, text);
        snprintf(text, sizeof text, "%.3f", c->score);
        cli_table_add(&t, text);
        snprintf(text, sizeof text, "%lld of %lld", (long long)c->n_category, (long long)r->n_category);
        cli_table_add(&t, text);
    }
    cli_table_print(&t, true, stdout);
    cli_table_clear(&t);
    if (r->n_choice > 2 * TOP)
        printf("and %s more, in heads.csv\n", cli_count(r->n_choice - 2 * TOP));
}

static void put_confirmation(const eh_locate_result *r)
{
    double sum[2] = {0, 0};
    int64_t n[2] = {0, 0};
    for (int64_t i = 0; i < r->n_ablated; i++) {
        sum[r->ablated[i].top] += fabs(r->ablated[i].zero);
        n[r->ablated[i].top]++;
    }
    if (n[1] == 0)
        return;
    printf("\nReally ablated, one at a time: the top %s move the target by %.4f nats on average", cli_count(n[1]),
           sum[1] / (double)n[1]);
    if (n[0] > 0)
        printf(", as many random ones of the same layers by %.4f", sum[0] / (double)n[0]);
    printf(".\n");
    if (isfinite(r->confirmed))
        printf("The order by |r| and the order by true change agree at Spearman %.2f", r->confirmed);
    if (isfinite(r->confirmed) && isfinite(r->confirmed_effect))
        printf("; by head_effect %.2f", r->confirmed_effect);
    printf(isfinite(r->confirmed) ? ".\n" : "");
}

static void put_json(const char *out, const eh_locate_result *r)
{
    const struct {
        const char *name;
        double number;
    } numbers[] = {{"split_half", r->split_half}, {"half_map_correlation", r->half_map_correlation},
                   {"confirmed", r->confirmed}, {"confirmed_effect", r->confirmed_effect}};
    fputs("{\"out\":", stdout);
    cli_put_text(stdout, out, (int64_t)strlen(out));
    printf(",\"statistic\":\"%s\",\"measure\":\"%s\",\"n_item\":%lld,\"found\":%s", r->statistic, r->measure,
           (long long)r->n_item, r->found ? "true" : "false");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        printf(",\"%s\":", numbers[i].name);
        cli_put_double(stdout, numbers[i].number);
    }
    fputs(",\"why\":", stdout);
    if (r->why != NULL)
        cli_put_text(stdout, r->why, (int64_t)strlen(r->why));
    else
        fputs("null", stdout);
    fputs(",\"selected\":[", stdout);
    for (int64_t i = 0; i < r->n_choice; i++) {
        printf("%s{\"layer\":%lld,\"head\":%lld,\"weight\":", i > 0 ? "," : "", (long long)r->choice[i].layer,
               (long long)r->choice[i].head);
        cli_put_double(stdout, r->choice[i].weight);
        fputc('}', stdout);
    }
    fputs("]}\n", stdout);
}

static int run(const void *given)
{
    const args *a = given;
    cli_progress progress = {.unit = "items"};
    char *out = a->audit.out != NULL ? cli_printf("%s", a->audit.out) : cli_default_out("locate", a->model);
    cli_opened opened = {0};
    eh_head_map *map = NULL;
    eh_err err;
    int status = cli_open(a->model, &a->session, &opened);
    if (status != CLI_DONE)
        goto done;
    eh_audit_options audit = a->audit;
    eh_locate_options o = a->locate;
    o.audit = &audit;
    audit.out = out;
    audit.command = cli_command_line();
    audit.progress = cli_progress_and_stop;
    audit.progress_ctx = &progress;
    cli_interrupt_catch();
    if (eh_locate_run(opened.s, &o, &map, &err) < 0) {
        status = cli_study_failed(&err, out);
        goto done;
    }
    const eh_locate_result *r = eh_head_map_get(map);
    cli_progress_end();
    if (a->json) {
        put_json(out, r);
    } else {
        put_top(r);
        put_selected(r);
        put_confirmation(r);
        printf("\nReliability of the map, from two halves of the templates: %.2f", r->split_half);
        if (isfinite(r->split_half_low))
            printf(" (%.2f to %.2f by split)", r->split_half_low, r->split_half_high);
        printf(".\nEvery head, category and statistic is in %s/heads.csv.\n", out);
        fflush(stdout);
        cli_say_notes(r->notes);
    }
done:
    eh_head_map_close(map);
    cli_close(&opened);
    free(out);
    return status;
}

static void init(void *given)
{
    args *a = given;
    eh_session_options_init(&a->session, sizeof a->session);
    eh_audit_options_init(&a->audit, sizeof a->audit);
    eh_locate_options_init(&a->locate, sizeof a->locate);
    a->units = "heads";
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "tasks", .kind = CLI_LIST, .value = "TASK", .at = offsetof(args, audit.tasks),
     .help = "the benchmark whose items are asked: ", .more = cli_benchmarks_located},
    {.name = "out", .letter = 'o', .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, audit.out),
     .help = "folder for the tables (default: evenhand-locate- and the model's name)"},
    {.name = "units", .kind = CLI_WORD, .value = "heads", .at = offsetof(args, units),
     .help = "what is located"},
    {.name = "split", .kind = CLI_CHOICE, .choice = EH_CHOICE_SPLIT, .at = offsetof(args, locate.split),
     .help = "which of the templates. Units that were picked on all templates cannot be judged on any"},
    {.name = "measure", .kind = CLI_CHOICE, .choice = EH_CHOICE_MEASURE, .at = offsetof(args, locate.measure),
     .help = "what heads are correlated with. The benchmarks' own: ", .more = cli_benchmark_measures},
    {.name = "statistics", .kind = CLI_SET, .choice = EH_CHOICE_HEAD_STAT, .value = "LIST",
     .at = offsetof(args, locate.statistics),
     .help = "what is measured of each head, parted by commas. The first four come in any case, from one pass"},
    {.name = "statistic", .kind = CLI_CHOICE, .choice = EH_CHOICE_HEAD_STAT, .value = "NAME",
     .at = offsetof(args, locate.statistic),
     .help = "the one of --statistics that selects"},
    {.name = "select", .kind = CLI_CHOICE, .choice = EH_CHOICE_SELECTION, .at = offsetof(args, locate.select),
     .help = "how heads are selected"},
    {.name = "q", .kind = CLI_REAL, .value = "Q", .low = 1e-6, .high = 0.5, .at = offsetof(args, locate.q),
     .help = "largest false-discovery rate at which a head qualifies in a category"},
    {.name = "floor", .kind = CLI_REAL, .value = "R", .high = 0.99, .at = offsetof(args, locate.floor),
     .help = "smallest |r| at which it does"},
    {.name = "share", .kind = CLI_REAL, .value = "S", .low = 0.001, .high = 1, .at = offsetof(args, locate.share),
     .help = "share of the categories in which it must, with one sign"},
    {.name = "permutations", .kind = CLI_COUNT, .value = "N", .low = 99, .high = 1e6,
     .at = offsetof(args, locate.permutations), .help = "of the test, to begin with"},
    {.name = "confirm", .kind = CLI_COUNT, .value = "N", .unset = "all", .high = 1 << 20,
     .at = offsetof(args, locate.confirm),
     .help = "heads of the top that are really ablated, one at a time, and as many random ones of their layers; all: "
             "every head; 0: none"},
    {.name = "trace", .kind = CLI_COUNT, .value = "N", .high = 1 << 20, .at = offsetof(args, locate.trace),
     .help = "items on which each layer's attention and MLP output is patched, one at a time"},
    {.name = "even-noise", .kind = CLI_FLAG, .at = offsetof(args, locate.even_noise),
     .help = "select from a map whose two halves do not agree, too"},
    {.name = "force", .kind = CLI_FLAG, .at = offsetof(args, audit.force),
     .help = "start over in a folder that holds another study"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "what was found as one JSON object"},
    CLI_ANSWER(args),
    CLI_LIMIT(args, "all"),
    CLI_QUESTIONS(args),
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_locate = {
    .name = "locate",
    .what = "which attention heads correlate with the bias, and how sure that is",
    .about = "Asks the questions of a benchmark, looks at every attention head while the model answers, and correlates "
             "what it sees with the bias of each answer. Each correlation has an interval and a p-value from "
             "permutation within templates; heads are selected when they pass a false-discovery rate in enough "
             "categories with one sign. The map's reliability is printed with it, and nothing is selected from a map "
             "whose two halves do not agree: \"nothing found\" is a result.\n"
             "\n"
             "The out folder gets heads.csv (a row a head, category and statistic; category \"all\" is over all of "
             "them), layers.csv, confirm.csv, locate.json and samples_locate.jsonl.\n"
             "\n"
             "  evenhand locate SmolLM2.gguf --answer text_pmi\n"
             "  evenhand locate ./model --tasks pairs --statistic head_effect --confirm all",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
