/*
 * Calibration training as the program runs it: items, lines and text become examples (train/train.h), and what was
 * done is recorded. docs/methods/tune.md
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/jsonw.h"
#include "base/options.h"
#include "base/rng.h"
#include "edit/recipe.h"
#include "train/train.h"
#include "audit/audit.h"
#include "task/rows.h"
#include "task/benchmarks.h"

#define TEXT_BLOCK 256 /* where the caller leaves it to us, and the model's context has room for it */
#define TEXT_MAX ((int64_t)256 << 20) /* bytes of a file of general text */

typedef struct study {
    eh_session *session;
    eh_tune_options o;
    eh_audit_plan plan;
    eh_ask learn, look;  /* examples to learn from, and to look at only */
    eh_ids text;         /* tokens of the general text */
    eh_request *piece;   /* [n_piece] of it */
    int64_t n_piece;
    int64_t n_too_long;
    eh_tune_plan tune;
    eh_tune_data data;
    eh_buf recipe;       /* the edits in force before */
    char before[65];     /* fingerprint then */
} study;

/* ---- Examples ------------------------------------------------------------------------------------ */

static int add(study *s, bool held_out, eh_str prompt, eh_str answer, eh_err *err)
{
    int64_t number;
    const int rc = eh_ask_text(held_out ? &s->look : &s->learn, prompt, answer, &number, err);
    s->n_too_long += rc == EH_OK && number == EH_ASK_TOO_LONG;
    return rc;
}

/* Which of n things are kept for looking only: out [n], drawn by the seed. */
static int draw_held_out(const study *s, const char *purpose, int64_t n, bool *out, eh_err *err)
{
    const double share = s->o.held_out;
    int64_t *order = eh_alloc(n > 0 ? n : 1, (int64_t)sizeof *order);
    if (order == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory to draw from %lld", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        order[i] = i;
        out[i] = false;
    }
    eh_rng r = eh_rng_at(s->o.seed, purpose, 0);
    eh_rng_shuffle(&r, order, n);
    for (int64_t i = 0; i < (int64_t)(share * (double)n + 0.5) && i < n - 1; i++)
        out[order[i]] = true;
    eh_free(order);
    return EH_OK;
}

/* Where an item's examples go. */
typedef struct taking {
    study *s;
    bool held_out;
} taking;

static int take_example(void *ctx, eh_str prompt, eh_str answer, eh_err *err)
{
    const taking *t = ctx;
    return add(t->s, t->held_out, prompt, answer, err);
}

/* The items that take part: whole templates are held out, drawn among those that are left. */
static int add_items(study *s, eh_open_task *t, eh_err *err)
{
    eh_arena mem = {0};
    int64_t *number = eh_new(&mem, int64_t, t->names.n_cluster); /* of a cluster that takes part, from 1 */
    bool *held = eh_new(&mem, bool, t->names.n_cluster);
    int64_t n = 0;
    int rc = number != NULL && held != NULL ? eh_audit_choose(t, &s->plan, err)
                                            : eh_fail(err, EH_ENOMEM, "no memory for %lld templates",
                                                      (long long)t->names.n_cluster);
    for (int64_t i = 0; i < t->n_pick && rc == EH_OK; i++)
        if (number[t->item[t->pick[i]].cluster] == 0)
            number[t->item[t->pick[i]].cluster] = ++n;
    if (rc == EH_OK)
        rc = draw_held_out(s, "tune.templates", n, held, err);
    for (int64_t i = 0; i < t->n_pick && rc == EH_OK; i++) {
        taking to = {s, held[number[t->item[t->pick[i]].cluster] - 1]};
        rc = t->row->example(t, t->pick[i], take_example, &to, err);
    }
    eh_arena_clear(&mem);
    return rc;
}

/* "there is nothing to learn from "x"; benchmarks with right answers are bbq, probes" */
static int cannot_learn(const study *s, const char *name, eh_err *err)
{
    eh_buf all = {0};
    const eh_task *row;
    for (int i = 0, n = 0; (row = eh_task_at(i, s->o.extra)) != NULL; i++)
        if (row->about.trains)
            eh_buf_printf(&all, "%s%s", n++ > 0 ? ", " : "", row->about.name);
    const int rc = eh_fail(err, EH_EINVAL,
                           "there is nothing to learn from \"%s\"; benchmarks with right answers are %s", name,
                           all.p != NULL ? all.p : "none");
    eh_buf_clear(&all);
    return rc;
}

static int add_task(study *s, const char *name, eh_err *err)
{
    const eh_task *row = eh_task_find(name, s->o.extra);
    if (row == NULL || row->example == NULL)
        return cannot_learn(s, name, err);
    eh_open_task *t; /* with all categories: what --limit draws of one does not depend on which others are wanted */
    int rc = eh_task_open(row, &s->plan.task, &s->learn.who, &t, err);
    if (rc < 0)
        return rc;
    rc = add_items(s, t, err);
    eh_task_close(t);
    return rc;
}

/* Lines {"prompt": .., "answer": ..}. */
static int add_lines(study *s, eh_err *err)
{
    const char *path = s->o.examples;
    eh_buf text = {0};
    eh_arena mem = {0};
    bool *held = NULL;
    int rc = eh_file_read(path, EH_ITEMS_FILE_MAX, &text, err);
    for (int pass = 0; pass < 2 && rc == EH_OK; pass++) { /* counted, then taken */
        eh_lines r = eh_rows(eh_buf_get(&text), path);
        json_t *row;
        int64_t n = 0;
        int more;
        while (rc == EH_OK && (more = eh_lines_json(&r, &row, err)) != 0) {
            eh_str prompt, answer;
            const eh_arena_mark mark = eh_arena_here(&mem);
            if ((rc = more) < 0)
                break;
            rc = eh_row_text(&r, row, "prompt", 1, &mem, &prompt, err);
            if (rc == EH_OK)
                rc = eh_row_text(&r, row, "answer", 1, &mem, &answer, err);
            if (rc == EH_OK && pass > 0)
                rc = add(s, held[n], prompt, answer, err);
            json_decref(row);
            eh_arena_rewind(&mem, mark);
            n++;
        }
        if (rc == EH_OK && pass == 0) {
            held = eh_new(&mem, bool, n > 0 ? n : 1);
            rc = held == NULL ? eh_fail(err, EH_ENOMEM, "no memory for %lld examples", (long long)n)
                              : draw_held_out(s, "tune.lines", n, held, err);
        }
    }
    eh_arena_clear(&mem);
    eh_buf_clear(&text);
    return rc;
}

/* Pieces of the general text, the tail dropped. Where there is nothing else, the last ones are held out. */
static int add_text(study *s, eh_err *err)
{
    const int64_t n_ctx = s->session->m->config.n_ctx;
    const int64_t size = s->o.text_block != EH_AUTO ? s->o.text_block : TEXT_BLOCK < n_ctx ? TEXT_BLOCK : n_ctx;
    eh_buf text = {0};
    if (size < 2)
        return eh_fail(err, EH_EINVAL,
                       "text is cut into pieces of %lld tokens; at least 2 are needed, one to predict the next",
                       (long long)size);
    if (s->session->m->tokenizer == NULL)
        return eh_fail(err, EH_ENOSUP, "this needs the model's tokenizer: %s", s->session->m->tokenizer_trouble);
    int rc = eh_file_read(s->o.text, TEXT_MAX, &text, err);
    if (rc == EH_OK)
        rc = eh_tokenizer_encode(s->session->m->tokenizer, eh_buf_get(&text), EH_ENCODE_DEFAULT, &s->text, err);
    eh_buf_clear(&text);
    if (rc < 0)
        return rc;
    s->n_piece = s->text.n / size;
    if (s->n_piece == 0)
        return eh_fail(err, EH_EINVAL, "%s: has %lld tokens, fewer than one piece of %lld", s->o.text,
                       (long long)s->text.n, (long long)size);
    s->piece = eh_calloc(s->n_piece, (int64_t)sizeof *s->piece);
    if (s->piece == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld pieces of text", (long long)s->n_piece);
    for (int64_t i = 0; i < s->n_piece; i++)
        s->piece[i] = (eh_request){.tok = s->text.id + i * size, .n_tok = size, .from = 1};
    return EH_OK;
}

static int gather(study *s, eh_err *err)
{
    const eh_tune_options *o = &s->o;
    const char *tasks = o->tasks != NULL ? o->tasks
                        : o->examples == NULL && o->text == NULL ? eh_task_initial(false)->about.name
                                                                 : "";
    int rc = EH_OK;
    for (const char *p = tasks; *p != '\0' && rc == EH_OK;) {
        const size_t n = strcspn(p, ",");
        char name[100];
        snprintf(name, sizeof name, "%.*s", (int)(n < 99 ? n : 99), p);
        rc = add_task(s, name, err);
        p += n + (p[n] == ',');
    }
    if (rc == EH_OK && o->examples != NULL)
        rc = add_lines(s, err);
    if (rc == EH_OK && o->text != NULL)
        rc = add_text(s, err);
    if (rc < 0)
        return rc;
    int64_t n_text = s->n_piece;
    eh_tune_data *d = &s->data;
    *d = (eh_tune_data){s->learn.request, s->learn.n, s->piece, n_text, s->look.request, s->look.n};
    if (d->n_example + d->n_held_out == 0 && n_text > 1) {
        const double share = o->held_out;
        d->n_held_out = (int64_t)(share * (double)n_text + 0.5);
        d->n_held_out = d->n_held_out < n_text ? d->n_held_out : n_text - 1;
        d->n_text = n_text - d->n_held_out;
        d->held_out = s->piece + d->n_text;
    }
    if (d->n_example + d->n_text == 0)
        return eh_fail(err, EH_EINVAL, "there is nothing to learn from: no item is left by --split, --categories and "
                       "--limit, no example fits the model's context, no text is given");
    return EH_OK;
}

/* ---- The plan ------------------------------------------------------------------------------------ */

static int check_options(const eh_tune_options *o, eh_err *err)
{
    if (eh_choice_name(EH_CHOICE_TUNE_GROUP, (int)o->train) == NULL)
        return eh_fail(err, EH_EINVAL, "there are no weights %d to train", (int)o->train);
    if (eh_choice_name(EH_CHOICE_SCHEDULE, (int)o->schedule) == NULL)
        return eh_fail(err, EH_EINVAL, "there is no schedule %d", (int)o->schedule);
    if ((o->steps < 1 && o->steps != EH_AUTO) || o->epochs < 1 || o->batch < 1 || o->text_batch < 1)
        return eh_fail(err, EH_EINVAL, "steps is %lld, epochs %lld, batch %lld, text_batch %lld; wanted 1 or more each",
                       (long long)o->steps, (long long)o->epochs, (long long)o->batch, (long long)o->text_batch);
    if (!(o->held_out >= 0.0 && o->held_out < 1.0) || !(o->lr >= 0.0) || !(o->weight_decay >= 0.0))
        return eh_fail(err, EH_EINVAL, "the share held out is %g, wanted 0 to below 1; learning rate %g and weight "
                       "decay %g, wanted not negative", o->held_out, o->lr, o->weight_decay);
    if (!(o->clip > 0.0) && o->clip != EH_NO_LIMIT)
        return eh_fail(err, EH_EINVAL, "clip is %g, wanted above 0, or EH_NO_LIMIT (%d)", o->clip, EH_NO_LIMIT);
    if ((o->patience < 1 && o->patience != EH_NO_LIMIT) || (o->eval_every < 1 && o->eval_every != EH_AUTO) ||
        o->save_every < 1)
        return eh_fail(err, EH_EINVAL, "patience is %lld, eval_every %lld, save_every %lld; wanted 1 or more each, of "
                       "patience also EH_NO_LIMIT, of eval_every EH_AUTO (both %d)", (long long)o->patience,
                       (long long)o->eval_every, (long long)o->save_every, EH_AUTO);
    return EH_OK;
}

static int make_plan(study *s, eh_err *err)
{
    const eh_tune_options *o = &s->o;
    const bool by_example = s->data.n_example > 0;
    const int64_t n = by_example ? s->data.n_example : s->data.n_text, each = by_example ? o->batch : o->text_batch;
    if (o->epochs > INT64_MAX / 2 / n)
        return eh_fail(err, EH_ERANGE, "%lld epochs are too many", (long long)o->epochs);
    const int64_t steps = o->steps != EH_AUTO ? o->steps : (o->epochs * n + each - 1) / each;
    const int64_t tenth = steps / 10 > 0 ? steps / 10 : 1;
    s->tune = (eh_tune_plan){
        .group = o->train,
        .adamw = {.lr = o->lr, .beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps, .decay = o->weight_decay},
        .steps = steps,
        .warmup = o->warmup,
        .linear = o->schedule == EH_SCHEDULE_LINEAR,
        .batch = by_example ? o->batch : 0,
        .text_batch = s->data.n_text > 0 ? o->text_batch : 0,
        .text_share = !by_example ? 1.0 : s->data.n_text > 0 ? o->text_share : 0.0,
        .kl = o->kl,
        .clip = o->clip > 0.0 ? o->clip : 0.0,
        .eval_every = o->eval_every != EH_AUTO ? o->eval_every : tenth,
        .patience = o->patience != EH_NO_LIMIT ? o->patience : 0,
        .save_every = o->save_every,
        .seed = o->seed,
        .dir = o->out,
        .force = o->force,
        .progress = o->progress,
        .progress_ctx = o->progress_ctx,
    };
    return EH_OK;
}

/* ---- The record ---------------------------------------------------------------------------------- */

static int write_record(const study *s, const eh_tuned *r, eh_err *err)
{
    const eh_tune_options *o = &s->o;
    const eh_tune_plan *p = &s->tune;
    char after[65];
    eh_buf b = {0};
    eh_jsonw *w = &(eh_jsonw){.b = &b, .lines = true};
    int rc = eh_session_fingerprint(s->session, after, err);
    if (rc < 0)
        return rc;
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_text(w, "evenhand", EH_VERSION);
    eh_jsonw_text(w, "command", o->command);
    eh_jsonw_text(w, "model", s->session->m->path);
    eh_jsonw_text(w, "fingerprint_before", s->before);
    eh_jsonw_text(w, "fingerprint_after", after);
    eh_jsonw_raw(w, "recipe", s->recipe.n > 0 ? eh_buf_get(&s->recipe) : EH_STR("null"));
    eh_jsonw_text(w, "train", eh_choice_name(EH_CHOICE_TUNE_GROUP, (int)p->group));
    eh_jsonw_text(w, "tasks", o->tasks);
    eh_jsonw_text(w, "examples", o->examples);
    eh_jsonw_text(w, "text", o->text);
    eh_jsonw_text(w, "answer", s->plan.answer->name);
    eh_jsonw_text(w, "orders", s->plan.orders->name);
    eh_jsonw_text(w, "split", eh_choice_name(EH_CHOICE_SPLIT, (int)o->split));
    eh_jsonw_text(w, "categories", o->categories);
    eh_jsonw_text(w, "chat", o->chat ? "yes" : "no");
    eh_jsonw_int(w, "limit", o->limit != EH_ALL ? o->limit : 0); /* in files 0 is all */
    eh_jsonw_uint(w, "seed", o->seed);
    eh_jsonw_double(w, "lr", p->adamw.lr);
    eh_jsonw_double(w, "beta1", p->adamw.beta1);
    eh_jsonw_double(w, "beta2", p->adamw.beta2);
    eh_jsonw_double(w, "eps", p->adamw.eps);
    eh_jsonw_double(w, "weight_decay", p->adamw.decay);
    eh_jsonw_text(w, "schedule", eh_choice_name(EH_CHOICE_SCHEDULE, (int)o->schedule));
    eh_jsonw_int(w, "steps", p->steps);
    eh_jsonw_int(w, "warmup", p->warmup);
    eh_jsonw_int(w, "batch", p->batch);
    eh_jsonw_int(w, "text_batch", p->text_batch);
    eh_jsonw_double(w, "text_share", p->text_share);
    eh_jsonw_double(w, "kl", p->kl);
    eh_jsonw_double(w, "clip", p->clip);
    eh_jsonw_int(w, "patience", p->patience);
    eh_jsonw_int(w, "n_example", r->n_example);
    eh_jsonw_int(w, "n_held_out", r->n_held_out);
    eh_jsonw_int(w, "n_text", r->n_text);
    eh_jsonw_int(w, "n_too_long", r->n_too_long);
    eh_jsonw_int(w, "n_weight", r->n_weight);
    eh_jsonw_int(w, "steps_taken", r->step);
    eh_jsonw_int(w, "best_step", r->best_step);
    eh_jsonw_text(w, "stopped_early", r->stopped_early ? "yes" : "no");
    eh_jsonw_double(w, "loss_first", r->loss_first);
    eh_jsonw_double(w, "loss_last", r->loss_last);
    eh_jsonw_double(w, "held_out_before", r->held_out_before);
    eh_jsonw_double(w, "held_out_after", r->held_out_after);
    eh_jsonw_end_on_line(w, 0);
    eh_jsonw_finish(w);
    rc = eh_file_write_in(o->out, "tune.json", &b, err);
    eh_buf_clear(&b);
    return rc;
}

/* ---- eh_tune ------------------------------------------------------------------------------------- */

void eh_tune_options_init(eh_tune_options *o, size_t size)
{
    const eh_adamw adamw = EH_ADAMW_DEFAULT;
    const eh_tune_options initial = {
        .split = EH_SPLIT_TUNE,
        .limit = EH_ALL,
        .text_block = EH_AUTO,
        .text_share = 0.25,
        .held_out = 0.2,
        .train = EH_TUNE_EDITED,
        .lr = adamw.lr,
        .beta1 = adamw.beta1,
        .beta2 = adamw.beta2,
        .eps = adamw.eps,
        .weight_decay = adamw.decay,
        .schedule = EH_SCHEDULE_LINEAR,
        .batch = 16,
        .text_batch = 1,
        .steps = EH_AUTO,
        .epochs = 1,
        .clip = 1.0,
        .eval_every = EH_AUTO,
        .patience = EH_NO_LIMIT,
        .save_every = 50,
    };
    eh_options_init(o, size, &initial, sizeof initial);
}

static int begin(study *s, eh_err *err)
{
    const eh_tune_options *o = &s->o;
    if (o->out == NULL || o->out[0] == '\0')
        return eh_fail(err, EH_EINVAL, "a training needs an out folder");
    eh_audit_options a;
    eh_audit_options_init(&a, sizeof a);
    a.data = o->data;
    a.probes = o->probes;
    a.out = o->out;
    a.answer = o->answer;
    a.orders = o->orders;
    a.categories = o->categories;
    a.split = o->split;
    a.limit = o->limit;
    a.chat = o->chat;
    a.seed = o->seed;
    a.extra = o->extra;
    int rc = check_options(o, err);
    if (rc == EH_OK)
        rc = eh_audit_plan_make(s->session, &a, &s->plan, err);
    s->learn = s->look = (eh_ask){.who = eh_audit_asker(s->session, o->chat)};
    if (rc == EH_OK)
        rc = gather(s, err);
    if (rc == EH_OK)
        rc = make_plan(s, err);
    if (rc == EH_OK)
        rc = eh_session_fingerprint(s->session, s->before, err);
    if (rc == EH_OK && s->session->n_edit > 0) {
        char base[65];
        rc = eh_weights_fingerprint(s->session->m->weights, base, err);
        if (rc == EH_OK)
            eh_recipe_put(&s->recipe, s->session->m, s->session->edit, s->session->n_edit, base, NULL);
        if (rc == EH_OK)
            rc = eh_buf_check(&s->recipe, "the recipe", err);
    }
    return rc;
}

int eh_tune(eh_session *session, const eh_tune_options *options, eh_tuned *out, eh_err *err)
{
    study s = {.session = session};
    eh_session *original = NULL;
    eh_tune_state state = {0};
    eh_tune_options_init(&s.o, sizeof s.o);
    int rc = eh_options_take(&s.o, sizeof s.o, options, "eh_tune_options_init", err);
    if (rc == EH_OK)
        rc = begin(&s, err);
    if (rc == EH_OK && s.tune.kl > 0.0)
        rc = eh_session_again(session, &original, err);
    if (rc == EH_OK)
        rc = eh_tune_train(session, original, &s.tune, &s.data, &state, err);
    if (rc < 0)
        goto done;
    const eh_tuned r = {
        .n_example = s.data.n_example,
        .n_held_out = s.data.n_held_out,
        .n_text = s.data.n_text,
        .n_too_long = s.n_too_long,
        .n_weight = state.n_weight,
        .step = state.step,
        .best_step = state.best_step,
        .stopped_early = state.step < s.tune.steps,
        .loss_first = state.point[1].loss,
        .loss_last = state.point[state.step].loss,
        .held_out_before = state.point[0].tune_loss,
        .held_out_after = state.point[s.tune.patience > 0 ? state.best_step : state.step].tune_loss,
    };
    if ((rc = write_record(&s, &r, err)) == EH_OK)
        *out = r;
done:
    eh_free(state.point);
    eh_session_close(original);
    eh_ask_clear(&s.learn);
    eh_ask_clear(&s.look);
    eh_ids_clear(&s.text);
    eh_free(s.piece);
    eh_buf_clear(&s.recipe);
    return rc;
}
