/* The whole job: audit, locate, select, search, edit, calibrate, audit again, controls. */
#include "run/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/options.h"
#include "edit/save.h"
#include "task/benchmarks.h"

static const eh_run_preset presets[EH_N_PRESET] = {
    [EH_PRESET_QUICK] = {{[EH_SPLIT_ALL] = EH_ALL, [EH_SPLIT_SELECT] = 24, [EH_SPLIT_TUNE] = 8, [EH_SPLIT_TEST] = 16},
                         4, 5, 1999, 2, 0, 0},
    [EH_PRESET_STANDARD] = {{EH_ALL, EH_ALL, EH_ALL, EH_ALL}, 12, 5, 9999, 5, 32, 60},
    [EH_PRESET_THOROUGH] = {{EH_ALL, EH_ALL, EH_ALL, EH_ALL}, 24, 20, 9999, 10, 128, 200},
};

/* Above this share of answers that change with the order of the options, a model is asked without showing them. */
#define BY_PLACE 0.5
/* Items of a category that show whether it answers by position. */
#define PLACE_LIMIT 8
/* Where the preset trains nothing and the user asks for it without saying how long. */
#define LEAST_STEPS 20

struct eh_run {
    eh_run_result result;
    eh_arena memory; /* of its texts */
};

/* ---- Stages ---------------------------------------------------------------------------------------------- */

/* Does the model answer by position? Then answers to shown options mean nothing, and it is asked by content. */
static int choose_answer(eh_run_state *r, eh_err *err)
{
    const eh_benchmark_score *place[EH_RUN_PLACES];
    const eh_ways *ways = r->task->answer;
    const bool automatic = r->audit.answer == NULL;
    int n_place;
    const eh_benchmark_score *effect = eh_run_positions(r, place, &n_place);
    r->position_before = (double)NAN;
    for (int i = 0; i < EH_RUN_PLACES; i++)
        r->place[i] = (double)NAN;
    if (!automatic || effect == NULL || ways == NULL || ways->content < 0 || !ways->way[ways->initial]->ordered)
        return eh_audit_plan_make(r->s, &r->audit, &r->plan, err);
    const eh_way *shown = ways->way[ways->initial], *hidden = ways->way[ways->content];
    eh_audit *a = NULL;
    char folder[200];
    const int64_t limit = r->audit.limit;
    snprintf(folder, sizeof folder, "bias_evaluation/%.100s", shown->name);
    r->audit.answer = shown->name;
    r->audit.limit = limit != EH_ALL && limit < PLACE_LIMIT ? limit : PLACE_LIMIT;
    int rc = eh_run_audit(r, r->audit.tasks, EH_SPLIT_SELECT, folder, &a, err);
    r->audit.limit = limit;
    if (rc < 0)
        return rc;
    r->position_before = eh_run_score(a, r->audit.tasks, effect->name);
    for (int i = 0; i < n_place; i++)
        r->place[i] = eh_run_score(a, r->audit.tasks, place[i]->name);
    eh_audit_close(a);
    if (r->position_before > BY_PLACE) {
        r->audit.answer = hidden->name;
        rc = eh_buf_note(&r->notes, err, "By %s, %.0f %% of the answers change with the order of the options: this "
                         "model answers by position. Everything below is asked by the options' text (%s).", shown->name,
                         100.0 * r->position_before, hidden->name);
    }
    return rc == EH_OK ? eh_audit_plan_make(r->s, &r->audit, &r->plan, err) : rc;
}

static int all_tasks(const eh_run_state *r, char *out, size_t room, eh_err *err)
{
    const int n = snprintf(out, room, "%s%s%s", r->audit.tasks, r->o.also[0] != '\0' ? "," : "", r->o.also);
    return n > 0 && (size_t)n < room ? EH_OK : eh_fail(err, EH_EINVAL, "the list of benchmarks is too long");
}

static int locate(eh_run_state *r, const char *folder, bool again, eh_head_map **out, eh_err *err)
{
    eh_locate_options o = r->locate;
    eh_audit_options audit = eh_run_options_of(r, EH_SPLIT_SELECT);
    audit.out = eh_run_path(r, folder);
    if (audit.out == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    o.audit = &audit;
    o.split = EH_SPLIT_SELECT;
    o.permutations = r->o.permutations;
    o.confirm = again ? 0 : r->o.confirm;
    o.trace = again ? 0 : r->o.trace;
    if (again) { /* the one that selected is enough */
        o.statistic = (eh_head_stat)r->before->statistic;
        o.statistics = 1u << r->before->statistic;
    }
    const int rc = eh_locate_run(r->s, &o, out, err);
    if (rc == EH_OK) {
        r->n_item += (*out)->task->n_pick;
        r->n_computed += (*out)->n_computed;
    }
    return rc;
}

static int open_text(eh_run_state *r, eh_err *err)
{
    eh_buf text = {0};
    char path[EH_RUN_PATH];
    eh_run_text(r, path);
    int rc = eh_file_read(path, (int64_t)1 << 24, &text, err);
    if (rc == EH_OK)
        rc = eh_fluency_open(&r->fluency, r->s, eh_buf_get(&text), err);
    eh_buf_clear(&text);
    r->has_text = rc == EH_OK;
    if (rc == EH_EDOM || (rc == EH_ENOENT && r->o.text == NULL))
        return eh_buf_note(&r->notes, err, "Loss and distance on plain text were not measured: %s.", err->text);
    return rc;
}

/* The edit of the chosen setting, in force, and as a recipe. */
static int apply_choice(eh_run_state *r, const eh_pick *pick, eh_err *err)
{
    const eh_setting *p = &r->point[r->chosen];
    r->edit = eh_new(&r->memory, eh_unit_edit, p->heads);
    if (r->edit == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld edits", (long long)p->heads);
    eh_run_edit(r, pick, p->heads, p->strength, r->edit);
    r->n_edit = p->heads;
    const char *recipe = eh_run_path(r, "edit.json");
    if (recipe == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    char scores[300];
    snprintf(scores, sizeof scores, "{\"task\":\"%s\",\"statistic\":\"%s\",\"measure\":\"%s\",\"map\":\"%s\"}",
             r->audit.tasks, eh_head_map_get(r->before)->statistic, eh_head_map_get(r->before)->measure,
             "bias_localization_before/locate.json");
    eh_recipe_more more;
    eh_recipe_more_init(&more, sizeof more);
    more.scores = scores;
    more.seed = (int64_t)r->audit.seed;
    more.seeded = true;
    int rc = eh_session_edit(r->s, NULL, 0, err);
    if (rc == EH_OK)
        rc = eh_recipe_write(recipe, r->s->m, r->edit, r->n_edit, &more, err);
    return rc == EH_OK ? eh_session_edit(r->s, r->edit, r->n_edit, err) : rc;
}

/* How much less biased: the change of the score's size against the audit before. */
static double less_biased(const eh_run_state *r, const eh_audit *before, const eh_audit *after)
{
    const char *task = r->audit.tasks;
    return fabs(eh_run_score(after, task, r->score)) - fabs(eh_run_score(before, task, r->score));
}

/* The same edit on random heads of the same layers, judged like the edit itself, before calibration. */
static int controls(eh_run_state *r, const eh_pick *pick, const eh_audit *before, eh_err *err)
{
    const int64_t n = r->o.controls;
    const eh_setting *p = &r->point[r->chosen];
    eh_pick *twin = eh_new(&r->memory, eh_pick, p->heads);
    r->control = eh_new(&r->memory, double, n);
    if (twin == NULL || r->control == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld controls", (long long)n);
    eh_audit *a = NULL;
    int rc = eh_run_audit(r, r->audit.tasks, EH_SPLIT_TEST, "controls/edit", &a, err);
    if (rc < 0)
        return rc;
    r->control_edit = less_biased(r, before, a);
    eh_audit_close(a);
    for (int64_t k = 0; k < n && rc == EH_OK; k++) {
        char folder[100];
        snprintf(folder, sizeof folder, "controls/%03lld", (long long)k + 1);
        rc = eh_select_twin(pick, p->heads, r->s->m->config.n_layer, r->s->m->config.n_head, r->audit.seed, k, twin,
                            err);
        if (rc == EH_OK)
            rc = eh_run_apply(r, twin, p->heads, p->strength, err);
        a = NULL;
        if (rc == EH_OK)
            rc = eh_run_audit(r, r->audit.tasks, EH_SPLIT_TEST, folder, &a, err);
        if (rc == EH_OK) {
            r->control[r->n_control++] = less_biased(r, before, a);
            eh_audit_close(a);
        }
    }
    return rc == EH_OK ? eh_session_edit(r->s, r->edit, r->n_edit, err) : rc;
}

static int save_model(eh_run_state *r, eh_err *err)
{
    if (r->o.no_model)
        return EH_OK;
    const bool gguf = eh_weights_kind_of(r->s->m->weights) == EH_WEIGHTS_GGUF;
    if (gguf) {
        const char *dir = eh_run_path(r, "model");
        const int rc = dir == NULL ? eh_fail(err, EH_ENOMEM, "no memory for a path") : eh_dir_make(dir, err);
        if (rc < 0)
            return rc;
    }
    const char *path = eh_run_path(r, gguf ? "model/model.gguf" : "model");
    if (path == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    return eh_session_save(r->s, path, true, NULL, err); /* ours: an earlier call of this run may have written it */
}

/* Of n templates before and after can be exchanged in 2^n ways, two of which are as extreme as any: below six no
 * category can reach p = 0.05, however large its change. */
static int note_few_templates(eh_run_state *r, eh_err *err)
{
    int64_t few = 0, n = 0, least = INT64_MAX;
    for (int64_t i = 0; i < r->changes.n; i++) {
        const eh_change *c = &r->changes.row[i];
        if (strcmp(c->task, r->audit.tasks) != 0 || strcmp(c->score, r->score) != 0 || strcmp(c->category, "all") == 0)
            continue;
        n++;
        few += c->before.n_cluster < 6;
        least = c->before.n_cluster < least ? c->before.n_cluster : least;
    }
    if (few == 0)
        return EH_OK;
    return eh_buf_note(&r->notes, err, "In %lld of %lld categories fewer than 6 templates judge the edit (the fewest: "
                       "%lld). With so few, no p below 0.05 is possible, however large the change: look at the "
                       "intervals, and at all categories together.", (long long)few, (long long)n, (long long)least);
}

/* From a selection to an edit that was judged. */
static int mend(eh_run_state *r, const char *tasks, const eh_audit *before, eh_err *err)
{
    int64_t n_pick;
    int rc = eh_run_search(r, err);
    if (rc < 0)
        return rc;
    if (r->chosen < 0)
        return eh_buf_note(&r->notes, err, "No setting lowered the bias on the tune split within the damage allowed: "
                           "nothing was edited. The front is in bias_mitigation.");
    const eh_pick *pick = eh_run_picks(r, &n_pick);
    if (pick == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld heads", (long long)n_pick);
    if ((rc = apply_choice(r, pick, err)) < 0 || (rc = controls(r, pick, before, err)) < 0 ||
        (rc = eh_run_calibrate(r, err)) < 0 ||
        (rc = eh_run_audit(r, tasks, EH_SPLIT_TEST, "bias_evaluation_after", NULL, err)) < 0 ||
        (rc = locate(r, "bias_localization_after", true, &r->after, err)) < 0)
        return rc;
    if (r->has_text && (rc = eh_fluency_measure(&r->fluency, r->s, &r->text, err)) < 0)
        return rc;
    if ((rc = save_model(r, err)) < 0)
        return rc;
    eh_audit_options o = eh_run_options_of(r, EH_SPLIT_TEST);
    o.tasks = tasks;
    const char *first = eh_run_path(r, "bias_evaluation"), *second = eh_run_path(r, "bias_evaluation_after");
    if (first == NULL || second == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a path");
    rc = eh_changes_of(r->s, &o, first, second, &r->changes, err);
    return rc == EH_OK ? note_few_templates(r, err) : rc;
}

/* The benchmarks beside the one that judges, and the one of them that must be spared. */
static int take_beside(eh_run_state *r, eh_err *err)
{
    const char *const utility = r->o.utility;
    int rc = EH_OK;
    for (const char *p = r->o.also; *p != '\0';) {
        const size_t len = strcspn(p, ",");
        char name[100];
        snprintf(name, sizeof name, "%.*s", (int)(len < 99 ? len : 99), p);
        if (r->n_beside == EH_RUN_BESIDE)
            return eh_fail(err, EH_EINVAL, "more than %d benchmarks are named (%s)", EH_RUN_BESIDE, r->o.also);
        const eh_task **row = &r->beside[r->n_beside++];
        if ((rc = eh_task_named(name, r->audit.extra, row, err)) < 0)
            return rc;
        if (r->spared == NULL && eh_task_is_utility(*row))
            r->spared = *row;
        p += len + (p[len] == ',');
    }
    if (utility != NULL) {
        r->spared = NULL;
        rc = utility[0] != '\0' ? eh_task_named(utility, r->audit.extra, &r->spared, err) : EH_OK;
    }
    if (rc == EH_OK && r->spared != NULL && eh_task_score_of_kind(r->spared, EH_SCORE_UTILITY) == NULL)
        rc = eh_fail(err, EH_EINVAL, "%s has no score of utility that could be spared", r->spared->about.name);
    r->o.utility = r->spared != NULL ? r->spared->about.name : "";
    return rc;
}

void eh_run_options_init(eh_run_options *o, size_t size)
{
    const eh_run_options initial = {
        .preset = EH_PRESET_QUICK,
        .permutations = EH_BY_PRESET,
        .confirm = EH_BY_PRESET,
        .trace = EH_BY_PRESET,
        .points = EH_BY_PRESET,
        .controls = EH_BY_PRESET,
        .heads = EH_AUTO,
        .mode = EH_EDIT_SOFT,
        .train = EH_TUNE_BY_PRESET,
        .steps = EH_BY_PRESET,
    };
    eh_options_init(o, size, &initial, sizeof initial);
}

/* The three structs of options, the preset's numbers in place of EH_BY_PRESET. */
static int take_numbers(eh_run_state *r, const eh_run_options *given, eh_err *err)
{
    eh_run_options *o = &r->o;
    eh_run_options_init(o, sizeof *o);
    eh_locate_options_init(&r->locate, sizeof r->locate);
    eh_audit_options_init(&r->audit, sizeof r->audit);
    int rc = eh_options_take(o, sizeof *o, given, "eh_run_options_init", err);
    if (rc == EH_OK)
        rc = eh_options_take(&r->locate, sizeof r->locate, o->locate, "eh_locate_options_init", err);
    if (rc == EH_OK)
        rc = eh_options_take(&r->audit, sizeof r->audit, r->locate.audit, "eh_audit_options_init", err);
    if (rc < 0)
        return rc;
    if (eh_choice_name(EH_CHOICE_PRESET, (int)o->preset) == NULL)
        return eh_fail(err, EH_EINVAL, "there is no preset %d", (int)o->preset);
    if (eh_choice_name(EH_CHOICE_RUN_MODE, (int)o->mode) == NULL)
        return eh_fail(err, EH_EINVAL, "a run does not edit in mode %d; it does in soft, output and zero",
                       (int)o->mode);
    if (eh_choice_name(EH_CHOICE_RUN_TRAIN, (int)o->train) == NULL)
        return eh_fail(err, EH_EINVAL, "there are no weights %d to train", (int)o->train);
    const eh_run_preset *p = r->preset = &presets[o->preset];
    o->permutations = o->permutations != EH_BY_PRESET ? o->permutations : p->permutations;
    o->confirm = o->confirm != EH_BY_PRESET ? o->confirm : p->confirm;
    o->trace = o->trace != EH_BY_PRESET ? o->trace : p->trace;
    o->points = o->points != EH_BY_PRESET ? o->points : p->points;
    o->controls = o->controls != EH_BY_PRESET ? o->controls : p->controls;
    if (o->train == EH_TUNE_BY_PRESET)
        o->train = p->steps > 0 ? EH_TUNE_EDITED : EH_TUNE_NONE;
    if (o->steps == EH_BY_PRESET)
        o->steps = p->steps > 0 ? p->steps : LEAST_STEPS;
    if (o->heads != EH_AUTO ? o->heads < 1 || !(o->strength > 0.0 && o->strength <= 1.0) : o->strength != 0.0)
        return eh_fail(err, EH_EINVAL, "heads is %lld and strength %g: give both, strength above 0 to 1, or neither",
                       (long long)o->heads, o->strength);
    if (o->points < 1 || o->steps < 0)
        return eh_fail(err, EH_EINVAL, "points is %lld and steps %lld; wanted 1 or more, 0 or more",
                       (long long)o->points, (long long)o->steps);
    if (o->controls < 5)
        return eh_fail(err, EH_EINVAL, "controls is %lld; at least 5 are wanted", (long long)o->controls);
    return EH_OK;
}

static int take_options(eh_run_state *r, const eh_run_options *given, eh_err *err)
{
    int rc = take_numbers(r, given, err);
    if (rc < 0)
        return rc;
    r->out = r->audit.out;
    r->chosen = -1;
    if (r->out == NULL || r->out[0] == '\0')
        return eh_fail(err, EH_EINVAL, "a run needs an out folder");
    if (r->audit.tasks == NULL)
        r->audit.tasks = eh_task_initial(r->audit.items != NULL)->about.name;
    r->audit.categories_of = r->audit.tasks;
    if (strchr(r->audit.tasks, ',') != NULL)
        return eh_fail(err, EH_EINVAL, "a run locates and judges on one benchmark; \"%s\" names several (see --also)",
                       r->audit.tasks);
    rc = eh_task_named(r->audit.tasks, r->audit.extra, &r->task, err);
    if (rc < 0)
        return rc;
    r->score = r->task->about.lowers;
    if (r->score == NULL || r->task->about.measure == NULL)
        return eh_fail(err, EH_EINVAL, "a run cannot locate on %s and judge by it: its items name no groups",
                       r->audit.tasks);
    /* Items of one's own may be about anything: our questions tell something only of a model that speaks English,
     * unless a folder with others is given. */
    const bool alone = r->task->about.needs == EH_NEEDS_ITEMS && r->audit.probes == NULL;
    const char *beside = alone || r->task->about.beside == NULL ? "" : r->task->about.beside;
    r->o.also = r->o.also != NULL ? r->o.also : beside;
    if ((rc = take_beside(r, err)) < 0)
        return rc;
    return eh_audit_plan_make(r->s, &r->audit, &r->plan, err);
}

/* A model that a recipe made cannot be saved with another: said now, not after an hour. */
static int check_source(const eh_run_state *r, eh_err *err)
{
    bool applied = false;
    char base[65];
    const int rc = eh_saved_base(r->s->m->weights, &applied, base, err);
    if (rc < 0 || !applied || r->o.no_model)
        return rc;
    return eh_fail(err, EH_EINVAL, "%s: a recipe was applied already (to the model %.12s...); go back with `evenhand "
                                   "edit MODEL --undo -o ORIGINAL`, or run with --no-model", r->s->m->path, base);
}

static void run_clear(eh_run_state *r)
{
    eh_fluency_clear(&r->fluency);
    eh_head_map_close(r->before);
    eh_head_map_close(r->after);
    eh_changes_clear(&r->changes);
    eh_buf_clear(&r->notes);
    eh_arena_clear(&r->memory);
}

static char *copy_of(eh_arena *a, const char *text)
{
    return text == NULL ? NULL : eh_arena_text(a, text, (int64_t)strlen(text));
}

int eh_study_run(eh_session *s, const eh_run_options *options, eh_run **out, eh_err *err)
{
    eh_session *own = NULL; /* the caller's edits stay as they are */
    eh_audit *before = NULL;
    char tasks[300];
    int rc = eh_session_again(s, &own, err);
    if (rc < 0)
        return rc;
    eh_run_state r = {.s = own};
    if ((rc = take_options(&r, options, err)) < 0 || (rc = check_source(&r, err)) < 0 ||
        (rc = choose_answer(&r, err)) < 0 || (rc = all_tasks(&r, tasks, sizeof tasks, err)) < 0 ||
        (rc = eh_run_audit(&r, tasks, EH_SPLIT_TEST, "bias_evaluation", &before, err)) < 0 ||
        (rc = locate(&r, "bias_localization_before", false, &r.before, err)) < 0 || (rc = open_text(&r, err)) < 0)
        goto done;
    const eh_locate_result *l = eh_head_map_get(r.before);
    if (l->found)
        rc = mend(&r, tasks, before, err);
    if (rc == EH_OK)
        rc = eh_run_write(&r, before, err);
    if (rc < 0)
        goto done;
    eh_run *done = eh_calloc(1, (int64_t)sizeof *done);
    if (done == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the result");
        goto done;
    }
    done->result = (eh_run_result){.found = r.n_edit > 0,
                                   .why = copy_of(&done->memory, l->found ? NULL : l->why),
                                   .n_head = r.n_edit,
                                   .strength = r.chosen >= 0 ? r.point[r.chosen].strength : 0.0,
                                   .n_item = r.n_item,
                                   .n_computed = r.n_computed,
                                   .answer = copy_of(&done->memory, r.plan.answer->name),
                                   .notes = copy_of(&done->memory, r.notes.p != NULL ? r.notes.p : "")};
    *out = done;
done:
    eh_audit_close(before);
    run_clear(&r);
    eh_session_close(own);
    return rc;
}

int eh_study_plan(eh_session *s, const eh_run_options *options, eh_run_plan *plan, eh_err *err)
{
    eh_run_state r = {.s = s};
    int rc = take_options(&r, options, err);
    if (rc == EH_OK)
        rc = eh_run_time(&r, plan, err);
    run_clear(&r);
    return rc;
}

const eh_run_result *eh_run_get(const eh_run *r)
{
    return &r->result;
}

void eh_run_close(eh_run *r)
{
    if (r == NULL)
        return;
    eh_arena_clear(&r->memory);
    eh_free(r);
}
