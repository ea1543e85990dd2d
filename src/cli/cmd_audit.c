/* evenhand audit: bias and utility benchmarks on the terminal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "stream.h"

typedef struct args {
    const char *model, *fail_if;
    eh_audit_options audit;
    eh_session_options session;
    bool resume, json;
} args;

/* ---- Gates: --fail-if 'bbq:|s_AMB|>0.2' ------------------------------------------------------ */

typedef struct gate {
    char *text, *task, *category, *score; /* category NULL: the score over all categories; "*": each */
    bool absolute;
    char compare[3]; /* "<", "<=", ">", ">=" */
    double bound;
} gate;

static void gate_clear(gate *g)
{
    free(g->text);
    free(g->task);
    free(g->category);
    free(g->score);
}

/* task:score>number or task:category:score>number, n bytes of text. */
static int gate_read(const char *text, size_t n, gate *g)
{
    *g = (gate){.text = cli_printf("%.*s", (int)n, text)};
    const char *const compare = g->text + strcspn(g->text, "<>"), *number = compare, *colon;
    char *end;
    while (*number != '\0' && strchr("<>=", *number) != NULL)
        number++;
    g->bound = strtod(number, &end);
    const char *first = memchr(g->text, ':', (size_t)(compare - g->text)), *score = first;
    while (score != NULL && (colon = memchr(score + 1, ':', (size_t)(compare - score - 1))) != NULL)
        score = colon;
    if (number == compare || number - compare > 2 || (number - compare == 2 && compare[1] != '=') || end == number ||
        *end != '\0' || !isfinite(g->bound) || first == NULL)
        return cli_fail(CLI_USAGE, "--fail-if \"%s\": task:score>number or task:category:score>number is wanted",
                        g->text);
    snprintf(g->compare, sizeof g->compare, "%.*s", (int)(number - compare), compare);
    score++;
    g->absolute = compare - score > 2 && score[0] == '|' && compare[-1] == '|';
    g->task = cli_printf("%.*s", (int)(first - g->text), g->text);
    g->score = cli_printf("%.*s", (int)(compare - score) - 2 * g->absolute, score + g->absolute);
    if (score - 1 > first)
        g->category = cli_printf("%.*s", (int)(score - 1 - first - 1), first + 1);
    return CLI_DONE;
}

/* Reads the comma list into *gates [*n], the caller's to clear one by one and free. */
static int gates_read(const char *list, gate **gates, int *n)
{
    int status = CLI_DONE;
    *gates = NULL;
    *n = 0;
    while (list != NULL && *list != '\0' && status == CLI_DONE) {
        const size_t len = strcspn(list, ",");
        *gates = cli_resize(*gates, *n + 1, (int64_t)sizeof **gates);
        status = gate_read(list, len, &(*gates)[(*n)++]);
        list += len + (list[len] == ',');
    }
    return status;
}

static bool is_total(const char *category)
{
    return category == NULL || *category == '\0' || strcmp(category, "all") == 0 || strcmp(category, "ALL") == 0;
}

/* Tells of every row that a gate stops; a score that is not there or not defined cannot pass it. */
static int gate_judge(const gate *g, const eh_score_row *row, int64_t n)
{
    int status = CLI_DONE;
    bool found = false;
    for (int64_t i = 0; i < n; i++) {
        const bool total = is_total(row[i].category);
        const bool meant = g->category == NULL             ? total
                           : strcmp(g->category, "*") == 0 ? !total
                                                           : !total && strcmp(g->category, row[i].category) == 0;
        if (!meant || strcmp(g->task, row[i].task) != 0 || strcmp(g->score, row[i].score) != 0)
            continue;
        found = true;
        if (!row[i].defined) {
            if (status == CLI_DONE)
                status = CLI_PARTLY;
            cli_fail(CLI_PARTLY, "gate %s: the score is not defined on these items", g->text);
            continue;
        }
        const double x = g->absolute ? fabs(row[i].value) : row[i].value;
        if (g->compare[0] == '>' ? x > g->bound || (g->compare[1] == '=' && x >= g->bound)
                                 : x < g->bound || (g->compare[1] == '=' && x <= g->bound))
            status = cli_fail(CLI_GATE, "gate %s: it is %.4g%s%s", g->text, row[i].value, total ? "" : " in ",
                              total ? "" : row[i].category);
    }
    return found ? status : cli_fail(CLI_PARTLY, "gate %s: this audit has no such score", g->text);
}

/* ---- Results ---------------------------------------------------------------------------------- */

static const char *better_word(eh_better better)
{
    return better == EH_BETTER_ZERO    ? "nearer 0"
           : better == EH_BETTER_FIFTY ? "nearer 50"
                                       : eh_choice_name(EH_CHOICE_BETTER, (int)better);
}

static const char *about_task(const char *name)
{
    const eh_benchmark *b = cli_benchmark(name);
    return b != NULL ? b->what : "";
}

/* The scores that stand for the task whose rows these are where there is room for a few only; how many. */
static int headlines(const eh_score_row *row, int64_t n, const char *score[EH_HEADLINES])
{
    const eh_benchmark *b = cli_benchmark(row[0].task);
    int k = 0;
    for (int i = 0; b != NULL && i < b->n_score; i++)
        if (b->score[i].headline > 0) {
            score[b->score[i].headline - 1] = b->score[i].name;
            k++;
        }
    for (; b == NULL && k < EH_HEADLINES && k < n && is_total(row[k].category); k++)
        score[k] = row[k].score;
    return k;
}

/* Numbered notes below the tables. */
typedef struct note_list {
    const char **text;
    int n;
} note_list;

/* Appends the mark of a note, "(1)", to out unless it is there; nothing for NULL. */
static void add_mark(note_list *notes, const char *note, char *out, size_t size)
{
    int i = 0;
    if (note == NULL)
        return;
    while (i < notes->n && strcmp(notes->text[i], note) != 0)
        i++;
    if (i == notes->n)
        notes->text[notes->n++] = note;
    char mark[16];
    snprintf(mark, sizeof mark, "(%d)", i + 1);
    if (strstr(out, mark) == NULL && strlen(out) + strlen(mark) < size)
        strcat(out, mark);
}

/* Every score over all categories, a row each. */
static void put_totals(const eh_score_row *row, int64_t n, double confidence, note_list *notes)
{
    cli_table t = {.align = "lrrrrll"};
    char text[64];

    snprintf(text, sizeof text, "%.4g %% interval", 100 * confidence);
    const char *const heading[] = {"score", "value", text, "n", "templates", "better", "note"};
    for (int i = 0; i < 7; i++)
        cli_table_add(&t, heading[i]);
    for (int64_t i = 0; i < n; i++) {
        const eh_score_row *r = &row[i];
        if (!is_total(r->category))
            continue;
        cli_table_add(&t, r->score);
        snprintf(text, sizeof text, "%.3f", r->value);
        cli_table_add(&t, r->defined ? text : "undefined");
        snprintf(text, sizeof text, "[%.3f, %.3f]", r->low, r->high);
        cli_table_add(&t, r->defined && isfinite(r->low) && isfinite(r->high) ? text : "-");
        cli_table_add(&t, cli_count(r->n));
        cli_table_add(&t, cli_count(r->n_cluster));
        cli_table_add(&t, better_word(r->better));
        text[0] = '\0';
        add_mark(notes, r->note, text, sizeof text);
        cli_table_add(&t, text);
    }
    cli_table_print(&t, true, stdout);
    cli_table_clear(&t);
}

/* "0.12 [-0.03, 0.25]"; a percentage has a digit less, for its columns are as wide. */
static void add_estimate(cli_table *t, const eh_score_row *r)
{
    char text[64] = "undefined";
    const bool large = r->defined && (fabs(r->value) >= 10 || fabs(r->high) >= 10 || fabs(r->low) >= 10);
    const int digits = large ? 1 : 2;
    if (r->defined && isfinite(r->low) && isfinite(r->high))
        snprintf(text, sizeof text, "%.*f [%.*f, %.*f]", digits, r->value, digits, r->low, digits, r->high);
    else if (r->defined)
        snprintf(text, sizeof text, "%.*f", digits, r->value);
    cli_table_add(t, text);
}

/* The headline scores of each category, a row a category. */
static void put_categories(const eh_score_row *row, int64_t n, double confidence, note_list *notes)
{
    const char *score[EH_HEADLINES];
    const int n_score = headlines(row, n, score);
    char align[] = "lrrrrrrl"; /* category, at most four scores, n, templates, marks */
    align[EH_HEADLINES - n_score] = 'l';
    cli_table t = {.align = &align[EH_HEADLINES - n_score]};
    int64_t n_category = 0;

    cli_table_add(&t, "category");
    for (int k = 0; k < n_score; k++)
        cli_table_add(&t, score[k]);
    cli_table_add(&t, "n");
    cli_table_add(&t, "templ.");
    cli_table_add(&t, "");
    for (int64_t first = 0, next; first < n; first = next) {
        for (next = first; next < n && strcmp(row[next].category, row[first].category) == 0; next++)
            ;
        if (is_total(row[first].category))
            continue;
        char text[64], marks[64] = "";
        int64_t most = 0, most_templates = 0;
        n_category++;
        cli_table_add(&t, row[first].category);
        for (int k = 0; k < n_score; k++) {
            int64_t i = first;
            while (i < next && strcmp(row[i].score, score[k]) != 0)
                i++;
            if (i == next) {
                cli_table_add(&t, "-");
                continue;
            }
            add_estimate(&t, &row[i]);
            add_mark(notes, row[i].note, marks, sizeof marks);
            most = row[i].n > most ? row[i].n : most;
            most_templates = row[i].n_cluster > most_templates ? row[i].n_cluster : most_templates;
        }
        /* Without commas, for a line has 120 columns. */
        snprintf(text, sizeof text, "%lld", (long long)most);
        cli_table_add(&t, text);
        snprintf(text, sizeof text, "%lld", (long long)most_templates);
        cli_table_add(&t, text);
        cli_table_add(&t, marks);
    }
    if (n_category > 0) {
        printf("\nBy category, with %.4g %% intervals:\n", 100 * confidence);
        cli_table_print(&t, true, stdout);
    }
    cli_table_clear(&t);
}

/* What was asked, and how. */
static void put_heading(const args *a, const cli_opened *opened, const eh_audit_result *r)
{
    eh_model_info info;
    eh_session_info session;
    eh_model_describe(opened->m, &info);
    eh_session_describe(opened->s, &session);
    const bool letters = strcmp(r->answer, "letters") == 0;
    cli_put_coloured(stdout, CLI_BOLD, info.path);
    printf(": %s, %s parameters, %s, computed in %s\n", info.family, cli_count(info.n_param), info.dtype,
           session.precision == EH_BF16 ? "bf16" : "f32");
    if (letters)
        printf("answers by letter, orders %s", r->orders);
    else
        printf("answers by %s", r->answer);
    printf(", %s\n\n", a->audit.chat ? "in the model's chat template" : "plain prompts");
}

static void put_tables(const args *a, const cli_opened *opened, const eh_audit_result *r, const char *out)
{
    const eh_score_row *row = r->row;
    const int64_t n = r->n_row;
    note_list notes = {.text = cli_new(n, (int64_t)sizeof *notes.text)};
    put_heading(a, opened, r);
    for (int64_t first = 0, next; first < n; first = next) {
        for (next = first; next < n && strcmp(row[next].task, row[first].task) == 0; next++)
            ;
        cli_put_coloured(stdout, CLI_BOLD, row[first].task);
        printf(": %s\n", about_task(row[first].task));
        put_totals(row + first, next - first, a->audit.confidence, &notes);
        put_categories(row + first, next - first, a->audit.confidence, &notes);
        fputc('\n', stdout);
    }
    for (int i = 0; i < notes.n; i++) {
        char mark[16];
        snprintf(mark, sizeof mark, "(%d) ", i + 1);
        cli_put_coloured(stdout, CLI_YELLOW, mark);
        printf("%s\n", notes.text[i]);
    }
    printf("%sAll scores of all categories are in %s/results.json.\n", notes.n > 0 ? "\n" : "", out);
    free(notes.text);
}

static void put_json(const char *out, const eh_score_row *row, int64_t n, const char *notes)
{
    fputs("{\"out\":", stdout);
    cli_put_text(stdout, out, (int64_t)strlen(out));
    fputs(",\"rows\":[", stdout);
    for (int64_t i = 0; i < n; i++) {
        const eh_score_row *r = &row[i];
        const struct {
            const char *name, *text;
        } texts[] = {{"task", r->task}, {"category", r->category}, {"score", r->score},
                     {"better", eh_choice_name(EH_CHOICE_BETTER, (int)r->better)},
                     {"note", r->note}};
        const struct {
            const char *name;
            double number;
        } numbers[] = {{"value", r->value}, {"low", r->low}, {"high", r->high}};

        fputs(i > 0 ? ",\n{" : "\n{", stdout);
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            printf("\"%s\":", texts[k].name);
            if (texts[k].text != NULL)
                cli_put_text(stdout, texts[k].text, (int64_t)strlen(texts[k].text));
            else
                fputs("null", stdout);
            fputc(',', stdout);
        }
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            printf("\"%s\":", numbers[k].name);
            cli_put_double(stdout, r->defined ? numbers[k].number : NAN);
            fputc(',', stdout);
        }
        printf("\"n\":%lld,\"n_cluster\":%lld}", (long long)r->n, (long long)r->n_cluster);
    }
    fputs("],\n\"notes\":[", stdout);
    for (int i = 0; notes != NULL && *notes != '\0'; i++) {
        const size_t len = strcspn(notes, "\n");
        fputs(i > 0 ? "," : "", stdout);
        cli_put_text(stdout, notes, (int64_t)len);
        notes += len + (notes[len] == '\n');
    }
    fputs("]}\n", stdout);
}

/* ---- The command ------------------------------------------------------------------------------ */

static const char *deal_benchmark(void *ctx)
{
    int n, *at = ctx;
    const eh_benchmark *const *b = eh_benchmarks(&n);
    return *at < n ? b[(*at)++]->name : NULL;
}

static int check_tasks(const char *list)
{
    while (list != NULL && *list != '\0') {
        char name[64];
        int at = 0;
        const size_t len = strcspn(list, ",");
        snprintf(name, sizeof name, "%.*s", (int)len, list);
        if (cli_benchmark(name) == NULL) {
            const char *near = cli_nearest(name, deal_benchmark, &at);
            return near != NULL
                       ? cli_fail(CLI_USAGE, "there is no benchmark \"%s\"; did you mean \"%s\"?", name, near)
                       : cli_fail(CLI_USAGE, "there is no benchmark \"%s\"", name);
        }
        list += len + (list[len] == ',');
    }
    return CLI_DONE;
}

static int run(const void *given)
{
    const args *a = given;
    cli_progress progress = {.unit = "items"};
    char *out = a->audit.out != NULL ? cli_printf("%s", a->audit.out) : cli_default_out("audit", a->model);
    cli_opened opened = {0};
    eh_audit *audit = NULL;
    eh_err err;
    gate *gates = NULL;
    int n_gate = 0;
    int status = check_tasks(a->audit.tasks);

    if (status == CLI_DONE && a->audit.force && a->resume)
        status = cli_fail(CLI_USAGE, "--resume keeps what is there and --force starts over; choose one");
    if (status == CLI_DONE)
        status = gates_read(a->fail_if, &gates, &n_gate);
    if (status == CLI_DONE)
        status = cli_open(a->model, &a->session, &opened);
    if (status != CLI_DONE)
        goto done;

    eh_audit_options o = a->audit;
    o.out = out;
    o.command = cli_command_line();
    o.progress = cli_progress_and_stop;
    o.progress_ctx = &progress;
    cli_interrupt_catch();
    if (eh_audit_run(opened.s, &o, &audit, &err) < 0) {
        status = cli_study_failed(&err, out);
        goto done;
    }

    const eh_audit_result *r = eh_audit_get(audit);
    cli_progress_end();
    if (a->json)
        put_json(out, r->row, r->n_row, r->notes);
    else
        put_tables(a, &opened, r, out);
    fflush(stdout);
    if (!a->json)
        cli_say_notes(r->notes);
    cli_say("\n%s items, %s of them computed now, in %.1f s; records are in %s", cli_count(r->n_item),
            cli_count(r->n_computed), r->seconds, out);
    for (int i = 0; i < n_gate; i++) {
        const int judged = gate_judge(&gates[i], r->row, r->n_row);
        if (judged == CLI_GATE || status == CLI_DONE)
            status = judged;
    }
done:
    for (int i = 0; i < n_gate; i++)
        gate_clear(&gates[i]);
    free(gates);
    eh_audit_close(audit);
    cli_close(&opened);
    free(out);
    return status;
}

static void init(void *given)
{
    args *a = given;
    eh_session_options_init(&a->session, sizeof a->session);
    eh_audit_options_init(&a->audit, sizeof a->audit);
}

static const cli_option options[] = {
    CLI_MODEL(args),
    {.name = "tasks", .kind = CLI_LIST, .value = "LIST", .at = offsetof(args, audit.tasks),
     .help = "benchmarks, parted by commas: ", .more = cli_benchmarks_asked},
    {.name = "out", .letter = 'o', .kind = CLI_FOLDER, .value = "DIR", .at = offsetof(args, audit.out),
     .help = "folder for the records (default: evenhand-audit- and the model's name)"},
    {.name = "split", .kind = CLI_CHOICE, .choice = EH_CHOICE_SPLIT, .at = offsetof(args, audit.split),
     .help = "which of the templates"},
    {.name = "rows", .kind = CLI_COUNT, .value = "N", .unset = "all", .low = 1, .high = 1ll << 40,
     .at = offsetof(args, audit.rows),
     .help = "only the first rows of each category as stored (for speed tests)"},
    {.name = "resume", .kind = CLI_FLAG, .at = offsetof(args, resume),
     .help = "resume what the out folder holds of this very audit; this is done anyway"},
    {.name = "force", .kind = CLI_FLAG, .at = offsetof(args, audit.force),
     .help = "start over in a folder that holds another audit"},
    {.name = "json", .kind = CLI_FLAG, .at = offsetof(args, json), .help = "scores and notes as one JSON object"},
    {.name = "fail-if", .kind = CLI_LIST, .value = "GATE", .at = offsetof(args, fail_if),
     .help = "exit with status 3 when task:score>number or task:category:score>number holds (also <, >=, <=; |score| "
             "for its size; * for any category). May be given several times"},
    CLI_ANSWER(args),
    CLI_LIMIT(args, "all"),
    CLI_QUESTIONS(args),
    CLI_SESSION(args),
    {.name = NULL},
};

const cli_command cli_audit = {
    .name = "audit",
    .what = "how biased a model is, with intervals",
    .about = "Asks the model the questions of bias and utility benchmarks and prints a score for each category with "
             "its interval (cluster bootstrap over templates), the number of items and templates behind it, and "
             "where better lies. What must be said beside a number, such as a strong preference for one answer "
             "position, stands as a note below.\n"
             "\n"
             "The out folder gets results.json (in lm-evaluation-harness' layout), samples_TASK.jsonl with "
             "everything needed to compute each score again, and reproduce.json. Ctrl+C finishes the block in hand; "
             "the same command resumes where it stopped.\n"
             "\n"
             "  evenhand audit SmolLM2.gguf\n"
             "  evenhand audit ./model --tasks bbq,probes --data ./data --fail-if 'bbq:|s_AMB|>0.2'",
    .option = options,
    .size = sizeof(args),
    .init = init,
    .run = run,
};
