/* The rows of the benchmarks: whole, kept by their functions, and known by name nowhere else. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/file.h"
#include "base/json.h"
#include "bbq_rows.h"
#include "check.h"
#include "session.h"
#include "task_row.h"

static eh_err err;
static char why[300];

static const eh_task *const none[] = {NULL};

TEST(every_row_is_whole)
{
    const eh_task *row;
    int n, i = 0;
    const eh_benchmark *const *b = eh_benchmarks(&n);
    for (; (row = eh_task_at(i, NULL)) != NULL; i++) {
        CHECK_STR(row_fault(row, NULL, why), "");
        CHECK(i < n && b[i] == &row->about);
        for (int k = 0; k < i; k++)
            CHECK(strcmp(row->about.name, b[k]->name) != 0);
    }
    CHECK_INT(i, n);
    CHECK(eh_task_find("nothing", NULL) == NULL && eh_task_at(-1, NULL) == NULL);
    CHECK(eh_task_initial(false)->about.needs == EH_NEEDS_NOTHING);
    CHECK(eh_task_initial(true)->about.needs == EH_NEEDS_ITEMS);
}

/* Extra rows come after the table's, and cannot stand for one of them. */
TEST(extra_rows_are_found)
{
    int n;
    eh_benchmarks(&n);
    eh_task mine = *eh_task_at(0, NULL), twin = mine;
    mine.about.name = "mine";
    const eh_task *const extra[] = {&mine, &twin, NULL};
    CHECK(eh_task_find("mine", NULL) == NULL && eh_task_find("mine", none) == NULL);
    CHECK(eh_task_find("mine", extra) == &mine);
    CHECK(eh_task_at(n, extra) == &mine && eh_task_at(n + 1, extra) == &twin && eh_task_at(n + 2, extra) == NULL);
    CHECK(eh_task_find(twin.about.name, extra) == eh_task_at(0, NULL));
}

/* ---- What makes a row incomplete ------------------------------------------------------------------ */

#define N_SCORE 3

/* A row that is whole, with scores, ways and works of its own to spoil. */
typedef struct spoiled {
    eh_task row;
    eh_benchmark_score score[N_SCORE];
    eh_way way[2];
    const eh_way *list[2];
    eh_ways answer;
    eh_work work[1];
} spoiled;

static void start(spoiled *s)
{
    *s = (spoiled){
        .row = *eh_task_find("probes", NULL),
        .score = {{"lean", "lean to the biased answer", "nats", -1, 1, EH_BETTER_ZERO, EH_SCORE_BIAS, 1, "a book"},
                  {"turn", "answers that turn", "share", 0, 1, EH_BETTER_LOWER, EH_SCORE_POSITION, 0, "a book"},
                  {"right", "right answers", "share", 0, 1, EH_BETTER_HIGHER, EH_SCORE_UTILITY, 2, "a book"}},
        .way = {{.name = "shown", .what = "shown", .ordered = true}, {.name = "hidden", .what = "hidden"}},
        .work = {{"everything", "A book."}},
    };
    s->list[0] = &s->way[0];
    s->list[1] = &s->way[1];
    s->answer = (eh_ways){s->list, 2, .initial = 0, .content = 1};
    s->row.about.name = "mine";
    s->row.about.lowers = "lean";
    s->row.about.score = s->score;
    s->row.about.n_score = N_SCORE;
    s->row.work = s->work;
    s->row.answer = &s->answer;
}

/* Each spoils one thing, and says how the fault is told. */
#define FAULTS(X) \
    X(s->row.about.name = NULL, "no name") \
    X(s->row.about.name = "a,b", "no name") \
    X(s->row.about.what = "", "are missing") \
    X(s->row.about.licence = NULL, "are missing") \
    X(s->row.about.source = NULL, "are missing") \
    X(s->row.about.n_score = 0, "there are no scores") \
    X(s->row.about.n_score = EH_SHEET_SCORES + 1, "more than a sheet holds") \
    X(s->score[1].name = NULL, "a score has no name") \
    X(s->score[1].name = "lean", "two scores have one name") \
    X(s->score[0].words = "", "words, unit or source") \
    X(s->score[0].words = "It leans.", "full stop") \
    X(s->score[2].unit = NULL, "words, unit or source") \
    X(s->score[2].source = NULL, "words, unit or source") \
    X(s->score[0].high = -1, "range") \
    X(s->score[0].low = (double)NAN, "range") \
    X(s->score[0].better = EH_BETTER_HIGHER, "no unbiased point") \
    X(s->score[2].better = EH_BETTER_NEITHER, "no direction") \
    X(s->score[0].better = EH_BETTER_FIFTY, "no percentage") \
    X(s->score[2].kind = EH_N_SCORE_KIND, "none of the enum") \
    X(s->score[0].headline = 0, "no score is the headline") \
    X(s->score[2].headline = 3, "not numbered from 1") \
    X(s->score[2].headline = 1, "not numbered from 1") \
    X(s->score[2].headline = EH_HEADLINES + 1, "a place that there is not") \
    X(s->score[1].better = EH_BETTER_NEITHER, "one effect and its places") \
    X(s->row.n_work = 0, "cites no work") \
    X(s->work[0].used_for = NULL, "or what for") \
    X(s->row.load = NULL, "load, hash") \
    X(s->row.hash = NULL, "load, hash") \
    X(s->row.ask = NULL, "load, hash") \
    X(s->row.record = NULL, "load, hash") \
    X(s->row.read = NULL, "load, hash") \
    X(s->row.sheet = NULL, "load, hash") \
    X(s->row.look = NULL, "together or not at all") \
    X(s->row.measure = NULL, "together or not at all") \
    X(s->row.about.measure = NULL, "together or not at all") \
    X(s->row.about.measure = "length", "none of the measures") \
    X(s->row.about.lowers = "nothing", "no score of bias") \
    X(s->row.about.lowers = "right", "no score of bias") \
    X(s->row.example = NULL, "trains") \
    X(s->row.about.trains = false, "trains") \
    X(s->answer.initial = 2, "no choice") \
    X(s->answer.content = 0, "shows options") \
    X(s->way[1].name = "shown", "two ways") \
    X(s->way[1].what = NULL, "a way has no name or no words") \
    X(s->way[0].learnt = "never", "learnt as one that there is not") \
    X(s->row.about.beside = "pairs,nothing", "no benchmark")

TEST(an_incomplete_row_is_caught)
{
    spoiled one, *s = &one;
    start(s);
    CHECK_STR(row_fault(&s->row, NULL, why), "");
#define SPOIL(what, words) \
    start(s); \
    what; \
    if (strstr(row_fault(&s->row, NULL, why), words) == NULL) \
        fail_msg("%s gives \"%s\"", #what, why);
    FAULTS(SPOIL)
#undef SPOIL
}

/* ---- The functions keep to the row ----------------------------------------------------------------- */

static char dir[300], items[400];

static void put(const char *name, eh_str text)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(eh_file_write(path, text, &err));
}

/* Something for every benchmark: questions in BBQ's form, a file of items, and our own probes. */
static void put_data(void)
{
    eh_buf b = {0};
    snprintf(dir, sizeof dir, "%s", temp_dir());
    put_rows(&b, &old_and_young);
    put("Age.jsonl", eh_buf_get(&b));
    eh_buf_clear(&b);
    put("items.jsonl", EH_STR("{\"prompt\": \"The cook met the baker. Who is rude? Answer:\", \"question\": \"Who is "
                              "rude? "
                              "Answer:\", \"choices\": [\"the cook\", \"the baker\"], \"biased\": 0, \"answer\": 1, "
                              "\"cluster\": \"work\"}\n"));
    snprintf(items, sizeof items, "%s/items.jsonl", dir);
}

static int count_example(void *ctx, eh_str prompt, eh_str answer, eh_err *e)
{
    (void)e;
    *(int64_t *)ctx += prompt.n > 0 && answer.n > 0;
    return EH_OK;
}

/* Asks item i, and takes the answer back from its record. */
static void ask_item(eh_open_task *t, eh_session *s, int64_t i)
{
    const eh_task *row = t->row;
    eh_ask ask = {.who = t->who, .places = true};
    eh_arena arena = {0};
    eh_buf record = {0};
    eh_jsonw w = {.b = &record};
    int64_t number[EH_TASK_NUMBERS];
    double measure[EH_N_MEASURE];
    eh_look look = {.skip = "not asked"};
    json_t *json;
    CHECK_OK(row->ask(t, i, &ask, number, &err));
    CHECK(ask.n >= 1 && ask.n <= EH_TASK_NUMBERS);
    if (row->look != NULL)
        CHECK_OK(row->look(t, i, &ask, number, &arena, &look, &err));
    CHECK_OK(eh_audit_answer(s, &ask, NULL, 0, &err));
    eh_jsonw_begin(&w, NULL, '{');
    eh_jsonw_int(&w, "doc_id", i);
    CHECK_OK(row->record(t, i, &ask, number, &w, &err));
    CHECK_INT(w.depth, 1); /* what it began, it ended */
    eh_jsonw_finish(&w);
    CHECK_OK(eh_buf_check(&record, "a record", &err));
    CHECK_OK(eh_json_parse(eh_buf_get(&record), "a record", &json, &err));
    CHECK_OK(row->read(t, i, json, "a record", &err));
    json_decref(json);
    if (look.skip == NULL) {
        CHECK(look.n_forward >= 1 && look.n_forward <= EH_LOOK_REQUESTS);
        CHECK(look.n_part >= 1 && look.n_part <= EH_LOOK_REQUESTS);
        CHECK(look.category == t->item[i].category && look.cluster == t->item[i].cluster);
        CHECK_OK(row->measure(t, i, &ask, number, measure, &err));
        CHECK(isfinite(measure[eh_choice_find(EH_CHOICE_MEASURE, row->about.measure)->value]));
    }
    eh_buf_clear(&record);
    eh_arena_clear(&arena);
    eh_ask_clear(&ask);
}

/* Every benchmark is asked a few items: its records are read back, its sheets have the scores that it describes, and
 * what it says of locating and learning holds. */
TEST(every_row_does_what_it_says)
{
    eh_session *s;
    eh_audit_plan plan;
    const eh_task *row;
    put_data();
    const eh_session_options one = session_options(NULL, 1);
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), &one, &s, &err));
    eh_audit_options o;
    eh_audit_options_init(&o, sizeof o);
    o.data = dir;
    o.probes = repo_path("data/probes");
    o.out = dir;
    o.limit = 1;
    CHECK_OK(eh_audit_plan_make(s, &o, &plan, &err));
    plan.task.items = items;
    for (int i = 0; (row = eh_task_at(i, NULL)) != NULL; i++) {
        eh_open_task *t;
        eh_sheet sheet;
        const char *category = NULL;
        int64_t k = 0, n_sheet = 0, n_example = 0;
        int rc;
        CHECK_OK(eh_audit_task_open(s, &plan, row->about.name, &t, &err));
        CHECK_OK(eh_audit_prepare(t, &err));
        CHECK(t->n_pick >= 1);
        for (int64_t p = 0; p < t->n_pick; p++)
            ask_item(t, s, t->pick[p]);
        eh_buf notes = {0};
        if (row->note != NULL)
            CHECK_OK(row->note(t, &notes, &err));
        eh_buf_clear(&notes);
        while ((rc = row->sheet(t, k++, &sheet, &category, &err)) != EH_TASK_LAST) {
            CHECK(rc == EH_OK || rc == EH_TASK_NO_SHEET);
            if (rc != EH_OK)
                continue;
            CHECK_INT(sheet.n_score, row->about.n_score);
            for (int64_t q = 0; q < sheet.n_score; q++)
                CHECK(sheet.score[q].value != NULL);
            n_sheet++;
            eh_sheet_clear(&sheet);
        }
        CHECK(n_sheet >= 2); /* all, and a category at least */
        if (row->example != NULL)
            CHECK_OK(row->example(t, t->pick[0], count_example, &n_example, &err));
        CHECK((n_example > 0) == row->about.trains);
        eh_task_close(t);
    }
    session_close(s);
}

/* What a benchmark loads must hold together: said before anything is asked. */
static int load_badly(eh_open_task *t, eh_err *e)
{
    static const char *const names[] = {"one"};
    const int rc = eh_task_item_room(t, 2, 0, e);
    t->names = (eh_task_names){names, 1, names, 1, names, 1};
    if (rc == EH_OK)
        t->item[1].cluster = 1;
    return rc;
}

TEST(items_that_do_not_hold_together_are_refused)
{
    const eh_asker nobody = {.trouble = "nobody is asked"};
    const eh_task_options o = {.answer = "aloud"};
    eh_open_task *t;
    eh_task bad = {.about = {.name = "bad"}, .load = load_badly};
    CHECK_FAILS(eh_task_open(&bad, &o, &nobody, &t, &err), EH_EINVAL,
                "item 1 is of category 0, family 0 and template 1");
    /* A way that the row does not have; a row without ways does not look at it. */
    bad.answer = eh_task_find("probes", NULL)->answer;
    CHECK_FAILS(eh_task_open(&bad, &o, &nobody, &t, &err), EH_EINVAL,
                "bad has no answer form \"aloud\"; it has letters,");
}

/* ---- Benchmarks are known by their rows alone -------------------------------------------------------- */

/* Words that are also something else: fields of records, options, and what is counted. */
static bool is_common(const char *name)
{
    static const char *const common[] = {"bias", "utility", "items", "probes"};
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (strcmp(name, common[i]) == 0)
            return true;
    return false;
}

/* Fails where the file has the name as a text of its own. */
static void must_not_name(const char *path, const char *source, const char *name)
{
    char quoted[100];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    if (!is_common(name) && strstr(source, quoted) != NULL)
        fail_msg("%s knows %s: what it goes by belongs into the benchmark's row", path, quoted);
}

static void must_know_no_benchmark(const char *path)
{
    eh_buf source = {0};
    const eh_task *row;
    CHECK_OK(eh_file_read(path, 1 << 22, &source, &err));
    for (int i = 0; (row = eh_task_at(i, NULL)) != NULL; i++) {
        must_not_name(path, source.p, row->about.name);
        for (int k = 0; k < row->about.n_score; k++)
            must_not_name(path, source.p, row->about.score[k].name);
    }
    eh_buf_clear(&source);
}

TEST(no_other_room_knows_a_benchmark_by_name)
{
    static const char *const rooms[] = {"audit", "cli", "locate", "report", "run", "train"};
    int64_t n = 0;
    for (size_t r = 0; r < sizeof rooms / sizeof rooms[0]; r++) {
        char room[400], path[700];
        snprintf(room, sizeof room, "%s/%s", repo_path("src"), rooms[r]);
        DIR *d = opendir(room);
        CHECK(d != NULL);
        for (const struct dirent *e; (e = readdir(d)) != NULL;) {
            const size_t len = strlen(e->d_name);
            if (len < 3 || (strcmp(e->d_name + len - 2, ".c") != 0 && strcmp(e->d_name + len - 2, ".h") != 0))
                continue;
            snprintf(path, sizeof path, "%.400s/%.200s", room, e->d_name);
            must_know_no_benchmark(path);
            n++;
        }
        closedir(d);
    }
    CHECK(n > 40);
}
