/* evenhand run: the whole job, from "how biased" to "edited, measured again, proven". */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *model, *answer;
    eh_run_options run;
    eh_locate_options locate;
    eh_audit_options audit;
    eh_session_options session;
    bool plan, json;
} args;

/* "40 s", "12 min" */
static const char *duration(double seconds, char room[32])
{
    if (seconds < 90)
        snprintf(room, 32, "%.0f s", seconds);
    else
        snprintf(room, 32, "%.0f min", seconds / 60);
    return room;
}

static void say_plan(const eh_run_plan *p, FILE *to)
{
    char long_one[32], short_one[32];
    fprintf(to, "plan: %s items select heads, %s tune the edit, %s judge it; ", cli_count(p->n_select),
            cli_count(p->n_tune), cli_count(p->n_test));
    fprintf(to, "at %.1f items/s about %s, or %s if no heads are found; %.0f MB of memory\n", p->items_per_second,
            duration(p->seconds, long_one), duration(p->seconds_found_nothing, short_one), (double)p->bytes / 1e6);
}

static void put_verdict(const eh_run_result *r, const eh_verdict *v, const char *out)
{
    cli_put_coloured(stdout, CLI_BOLD, v->headline);
    fputs("\n\n", stdout);
    for (int64_t i = 0; i < v->n; i++) {
        const eh_sentence *s = &v->sentence[i];
        cli_put_coloured(stdout, s->kind == EH_SAID_WORSE || s->kind == EH_SAID_CAUTION ? CLI_YELLOW : CLI_BOLD,
                         s->label);
        printf(": %s\n", s->text);
    }
    if (r->found)
        printf("\nEdited: %s heads, the strongest by %.2f; the recipe is %s/edit.json.\n", cli_count(r->n_head),
               r->strength, out);
    printf("\nThe page is %s/report.html.\n", out);
}

static void put_json(const eh_run_result *r, const eh_verdict *v, const char *out)
{
    fputs("{\"out\":", stdout);
    cli_put_text(stdout, out, (int64_t)strlen(out));
    printf(",\"found\":%s,\"heads\":%lld,\"strength\":", r->found ? "true" : "false", (long long)r->n_head);
    cli_put_double(stdout, r->strength);
    printf(",\"answer\":\"%s\",\"headline\":", r->answer);
    cli_put_text(stdout, v->headline, (int64_t)strlen(v->headline));
    fputs(",\"verdict\":[", stdout);
    for (int64_t i = 0; i < v->n; i++) {
        if (i > 0)
            fputc(',', stdout);
        cli_put_text(stdout, v->sentence[i].text, (int64_t)strlen(v->sentence[i].text));
    }
    fputs("]}\n", stdout);
}

static int run(const void *given)
{
    const args *a = given;
    cli_progress progress = {.unit = "items"};
    char *out = a->audit.out != NULL ? cli_printf("%s", a->audit.out) : cli_default_out("run", a->model);
    cli_opened opened = {0};
    eh_run *done = NULL;
    eh_verdict verdict = {0};
    eh_err err;
    int status = cli_open(a->model, &a->session, &opened);
    if (status != CLI_DONE)
        goto done;
    eh_audit_options audit = a->audit;
    eh_locate_options locate = a->locate;
    eh_run_options o = a->run;
    o.locate = &locate;
    locate.audit = &audit;
    audit.answer = strcmp(a->answer, "auto") == 0 ? NULL : a->answer;
    audit.out = out;
    audit.command = cli_command_line();
    audit.progress = cli_progress_and_stop;
    audit.progress_ctx = &progress;
    cli_interrupt_catch();
    if (a->plan || !a->json) {
        eh_run_plan plan;
        if (eh_study_plan(opened.s, &o, &plan, &err) < 0) {
            status = cli_study_failed(&err, out);
            goto done;
        }
        say_plan(&plan, a->plan ? stdout : stderr);
        if (a->plan)
            goto done;
    }
    if (eh_study_run(opened.s, &o, &done, &err) < 0) {
        status = cli_study_failed(&err, out);
        goto done;
    }
    cli_progress_end();
    const eh_run_result *result = eh_run_get(done);
    if (eh_report_write(out, &verdict, &err) < 0) {
        status = cli_fail_with(&err);
        goto done;
    }
    if (a->json)
        put_json(result, &verdict, out);
    else
        put_verdict(result, &verdict, out);
    fflush(stdout);
    if (!a->json) {
        cli_say_notes(result->notes);
        cli_say("\n%s items in all stages, %s of them computed now; everything is in %s", cli_count(result->n_item),
                cli_count(result->n_computed), out);
    }
done:
    eh_verdict_clear(&verdict);
    eh_run_close(done);
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
    eh_run_options_init(&a->run, sizeof a->run);
    a->answer = "auto";
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "tasks", .kind = CLI_LIST, .value = "TASK", .at = offsetof(args, audit.tasks),
     .help = "the benchmark on which heads are located and the edit is judged: ", .more = cli_benchmarks_judging},
    {.name = "out", .letter = 'o', .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, audit.out),
     .help = "folder for everything (default: evenhand-run- and the model's name)"},
    {.name = "preset", .kind = CLI_CHOICE, .choice = EH_CHOICE_PRESET, .at = offsetof(args, run.preset),
     .help = "how thorough it is; options that are \"preset\" are chosen by it"},
    {.name = "also", .kind = CLI_LIST, .value = "LIST", .at = offsetof(args, run.also),
     .help = "benchmarks measured before and after beside it. Unless said (with --items, only where --probes is "
             "given): ",
     .more = cli_benchmarks_beside},
    {.name = "answer", .kind = CLI_WORD, .value = "auto|letters|text|text_pmi",
     .at = offsetof(args, answer),
     .help = "how an answer is read; auto: by letters, unless the answers turn out to go by the options' position; "
             "then text_pmi"},
    {.name = "measure", .kind = CLI_CHOICE, .choice = EH_CHOICE_MEASURE, .at = offsetof(args, locate.measure),
     .help = "what heads are correlated with"},
    {.name = "statistic", .kind = CLI_CHOICE, .choice = EH_CHOICE_HEAD_STAT, .value = "NAME",
     .at = offsetof(args, locate.statistic), .help = "what is measured of heads to select them by"},
    {.name = "mode", .kind = CLI_CHOICE, .choice = EH_CHOICE_RUN_MODE, .at = offsetof(args, run.mode),
     .help = "what an edit does to a head"},
    {.name = "points", .kind = CLI_COUNT, .value = "N", .unset = "preset", .low = 1, .high = 1000,
     .at = offsetof(args, run.points), .help = "settings that the search tries"},
    {.name = "controls", .kind = CLI_COUNT, .value = "N", .unset = "preset", .low = 5, .high = 1000,
     .at = offsetof(args, run.controls), .help = "random edits of the same size, 5 at least"},
    {.name = "heads", .kind = CLI_COUNT, .value = "N", .unset = "search", .low = 1, .high = 1 << 20,
     .at = offsetof(args, run.heads), .help = "edit so many of the selected heads, by --strength, without a search"},
    {.name = "strength", .kind = CLI_REAL, .value = "A", .high = 1, .at = offsetof(args, run.strength),
     .help = "by how much the strongest head is turned down, above 0 to 1; with --heads"},
    {.name = "train", .kind = CLI_CHOICE, .choice = EH_CHOICE_RUN_TRAIN, .at = offsetof(args, run.train),
     .help = "weights that calibration trains after the edit"},
    {.name = "steps", .kind = CLI_COUNT, .value = "N", .unset = "preset", .high = 1e6, .at = offsetof(args, run.steps),
     .help = "of calibration; preset: 60 or 200, and 20 where the preset trains nothing by itself"},
    {.name = "text", .kind = CLI_FILE, .value = "FILE", .at = offsetof(args, run.text),
     .help = "plain text on which loss and distance from the original are measured; the probe set's unless given"},
    {.name = "even-noise", .kind = CLI_FLAG, .at = offsetof(args, locate.even_noise),
     .help = "select from a map whose two halves do not agree, too"},
    {.name = "no-model", .kind = CLI_FLAG, .at = offsetof(args, run.no_model),
     .help = "do not write the edited model; its recipe is written anyway"},
    {.name = "plan", .kind = CLI_FLAG, .at = offsetof(args, plan),
     .help = "say what it would take, after two seconds of measuring, and stop"},
    {.name = "force", .kind = CLI_FLAG, .at = offsetof(args, audit.force),
     .help = "start over in a folder that holds another run"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "the verdict as one JSON object"},
    CLI_LIMIT(args, "preset"),
    CLI_QUESTIONS(args),
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_run = {
    .name = "run",
    .what = "the whole job: audit, locate, edit, and prove what that did",
    .about = "Audits the model, finds the attention heads that correlate with its bias, looks for the edit that lowers "
             "the bias at the least damage, calibrates, measures everything again, and writes a page that says what "
             "held.\n"
             "\n"
             "Question templates are split three ways: some select heads, some tune the edit, some judge it; no "
             "template does two of these. The same edit on random heads of the same layers is the control. When no "
             "head correlates with the bias beyond chance, nothing is edited, and the page says so: that is a result.\n"
             "\n"
             "Each stage keeps what is done; after Ctrl+C, or a crash, the same command resumes.\n"
             "\n"
             "  evenhand run SmolLM2.gguf -o out\n"
             "  evenhand run ./model --tasks bbq --data BBQ/data --categories Age,Religion --preset standard",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
