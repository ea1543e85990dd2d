#include "train/train.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/jsonw.h"
#include "base/par.h"
#include "base/rng.h"
#include "train/checkpoint.h"
#include "model/forward.h"

/* Bytes of reference log-probabilities that are there at once (those of one example at least). */
#define KL_ROOM ((int64_t)64 << 20)

/* Examples in an order drawn anew for each epoch: draw k is a function of seed and k alone. */
typedef struct deck {
    const eh_request *item;
    int64_t n;
    const char *purpose;
    int64_t epoch;  /* that `order` is of */
    int64_t *order; /* [n] */
} deck;

typedef struct trainer {
    eh_session *session, *reference;
    const eh_tune_plan *p;
    const eh_tune_data *d;
    eh_params params;
    eh_moments a;
    eh_tune_state s;
    int64_t room; /* of s.point */
    deck example, text;
    eh_answer *answer; /* [n_held_out] */
    eh_buf what;
    char *checkpoint, *curve; /* paths; NULL without dir */
    eh_arena arena;
} trainer;

/* ---- What a training is -------------------------------------------------------------------------- */

static int check_requests(const eh_model *m, const char *what, const eh_request *r, int64_t n, eh_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (r[i].from < 1 || r[i].from >= r[i].n_tok)
            return eh_fail(err, EH_EINVAL,
                           "%s %lld: %lld tokens, to be learnt from token %lld on; wanted at least one token before "
                           "that, and one to learn",
                           what, (long long)i, (long long)r[i].n_tok, (long long)r[i].from);
        if (r[i].n_tok > m->config.n_ctx)
            return eh_fail(err, EH_ERANGE, "%s %lld: %lld tokens; the model's context is %lld", what, (long long)i,
                           (long long)r[i].n_tok, (long long)m->config.n_ctx);
        for (int64_t k = 0; k < r[i].n_tok; k++)
            if (r[i].tok[k] < 0 || r[i].tok[k] >= m->config.n_vocab)
                return eh_fail(err, EH_EINVAL, "%s %lld: token %lld is %d; the vocabulary has 0 to %lld", what,
                               (long long)i, (long long)k, r[i].tok[k], (long long)m->config.n_vocab - 1);
    }
    return EH_OK;
}

static int check_plan(const trainer *t, eh_err *err)
{
    const eh_tune_plan *p = t->p;
    const eh_tune_data *d = t->d;
    const eh_adamw *a = &p->adamw;
    if ((int)p->group < 0 || p->group >= EH_TUNE_N_GROUP)
        return eh_fail(err, EH_EINVAL, "there is no group %d of weights to train", (int)p->group);
    if (p->steps < 1 || p->steps > (1 << 24) || p->warmup < 0 || p->warmup > p->steps)
        return eh_fail(err, EH_EINVAL,
                       "%lld steps with %lld of warm-up; wanted 1 to %d steps, and not more warm-up than steps",
                       (long long)p->steps, (long long)p->warmup, 1 << 24);
    if (!(a->lr >= 0.0 && a->lr <= 1.0) || !(a->beta1 >= 0.0 && a->beta1 < 1.0) ||
        !(a->beta2 >= 0.0 && a->beta2 < 1.0) || !(a->eps > 0.0 && a->eps <= 1.0) ||
        !(a->decay >= 0.0 && a->decay <= 1.0))
        return eh_fail(err, EH_EINVAL, "AdamW with learning rate %g, betas %g and %g, eps %g, decay %g; wanted a rate "
                       "of 0 to 1, betas from 0 to below 1, eps above 0, decay of 0 to 1",
                       a->lr, a->beta1, a->beta2, a->eps,
                       a->decay);
    if (!(p->clip >= 0.0) || !(p->kl >= 0.0 && p->kl <= 1e6) || !(p->text_share >= 0.0 && p->text_share <= 1.0))
        return eh_fail(err, EH_EINVAL, "clip %g, KL weight %g, share of text %g; wanted 0 or more of each, and at most "
                       "1 of the share", p->clip, p->kl, p->text_share);
    if (d->n_example + d->n_text == 0 || (d->n_example > 0 && p->batch < 1) || (d->n_text > 0 && p->text_batch < 1) ||
        p->batch < 0 || p->text_batch < 0 || p->batch > (1 << 20) || p->text_batch > (1 << 20))
        return eh_fail(err, EH_EINVAL, "%lld examples, %lld a step, and %lld texts, %lld a step: nothing to train on",
                       (long long)d->n_example, (long long)p->batch, (long long)d->n_text, (long long)p->text_batch);
    if (d->n_example > 0 && p->text_share >= 1.0)
        return eh_fail(err, EH_EINVAL,
                       "the share of text is 1, which leaves nothing for the examples; give less, or no examples");
    if (d->n_example > 0 && d->n_text > 0 && p->text_share == 0.0 && p->kl == 0.0)
        return eh_fail(err, EH_EINVAL,
                       "a text is given, but its share of the loss is 0 and there is no KL term; give it a share, or "
                       "a KL weight");
    if (p->eval_every < 0 || p->save_every < 0 || p->patience < 0)
        return eh_fail(err, EH_EINVAL,
                       "steps between evaluations, steps between checkpoints and patience cannot be negative");
    if (p->patience > 0 && (d->n_held_out == 0 || p->eval_every == 0))
        return eh_fail(err, EH_EINVAL,
                       "to stop early (patience), held-out examples and a number of steps between evaluations are "
                       "needed");
    if (p->kl > 0.0 && (t->reference == NULL || t->reference == t->session ||
                        t->reference->m->config.n_vocab != t->session->m->config.n_vocab))
        return eh_fail(err, EH_EINVAL, "the KL term wants the original model beside this one, with the same "
                       "vocabulary");
    int rc = check_requests(t->session->m, "example", d->example, d->n_example, err);
    if (rc == EH_OK)
        rc = check_requests(t->session->m, "text", d->text, d->n_text, err);
    return rc < 0 ? rc : check_requests(t->session->m, "held-out example", d->held_out, d->n_held_out, err);
}

static void hash_requests(eh_sha256 *h, const eh_request *r, int64_t n)
{
    eh_sha256_add(h, &n, (int64_t)sizeof n);
    for (int64_t i = 0; i < n; i++) {
        const int64_t size[2] = {r[i].n_tok, r[i].from};
        eh_sha256_add(h, size, (int64_t)sizeof size);
        eh_sha256_add(h, r[i].tok, r[i].n_tok * (int64_t)sizeof *r[i].tok);
    }
}

/* Everything that the numbers depend on: what a checkpoint must agree with. */
static int say_what(trainer *t, eh_err *err)
{
    const eh_tune_plan *p = t->p;
    eh_jsonw *w = &(eh_jsonw){.b = &t->what};
    char model[65], reference[65] = "", data[EH_SHA256_TEXT];
    eh_sha256 h;
    int rc = eh_session_fingerprint(t->session, model, err);
    if (rc == EH_OK && p->kl > 0.0)
        rc = eh_session_fingerprint(t->reference, reference, err);
    if (rc < 0)
        return rc;
    eh_sha256_begin(&h);
    hash_requests(&h, t->d->example, t->d->n_example);
    hash_requests(&h, t->d->text, t->d->n_text);
    hash_requests(&h, t->d->held_out, t->d->n_held_out);
    if ((rc = eh_sha256_end(&h, data, err)) < 0)
        return rc;
    eh_jsonw_begin(w, NULL, '{');
    eh_jsonw_text(w, "evenhand", EH_VERSION);
    eh_jsonw_text(w, "model", model);
    eh_jsonw_text(w, "reference", reference);
    eh_jsonw_text(w, "train", eh_choice_name(EH_CHOICE_TUNE_GROUP, p->group));
    eh_jsonw_text(w, "data", data);
    eh_jsonw_double(w, "lr", p->adamw.lr);
    eh_jsonw_double(w, "beta1", p->adamw.beta1);
    eh_jsonw_double(w, "beta2", p->adamw.beta2);
    eh_jsonw_double(w, "eps", p->adamw.eps);
    eh_jsonw_double(w, "weight_decay", p->adamw.decay);
    eh_jsonw_double(w, "clip", p->clip);
    eh_jsonw_double(w, "kl", p->kl);
    eh_jsonw_double(w, "text_share", p->text_share);
    eh_jsonw_int(w, "steps", p->steps);
    eh_jsonw_int(w, "warmup", p->warmup);
    eh_jsonw_text(w, "schedule", p->linear ? "linear" : "constant");
    eh_jsonw_int(w, "batch", p->batch);
    eh_jsonw_int(w, "text_batch", p->text_batch);
    eh_jsonw_int(w, "eval_every", p->eval_every);
    eh_jsonw_int(w, "patience", p->patience);
    eh_jsonw_uint(w, "seed", p->seed);
    eh_jsonw_int(w, "batch_tokens", t->session->batch_tokens);
    eh_jsonw_text(w, "product", t->session->backend->kind->name);
    eh_jsonw_end(w);
    return eh_buf_check(&t->what, "the training's description", err);
}

/* ---- Draws --------------------------------------------------------------------------------------- */

static int open_deck(trainer *t, deck *d, const eh_request *item, int64_t n, const char *purpose, eh_err *err)
{
    *d = (deck){item, n, purpose, -1, eh_new_raw(&t->arena, int64_t, n)};
    return d->order != NULL ? EH_OK : eh_fail(err, EH_ENOMEM, "no memory for the order of %lld examples", (long long)n);
}

static const eh_request *draw(deck *d, uint64_t seed, int64_t k)
{
    const int64_t epoch = k / d->n;
    if (epoch != d->epoch) {
        eh_rng r = eh_rng_at(seed, d->purpose, (uint64_t)epoch);
        for (int64_t i = 0; i < d->n; i++)
            d->order[i] = i;
        eh_rng_shuffle(&r, d->order, d->n);
        d->epoch = epoch;
    }
    return &d->item[d->order[k % d->n]];
}

/* ---- Loss and gradient of a step ----------------------------------------------------------------- */

static int64_t n_learnt(const eh_request *r)
{
    return r->n_tok - r->from;
}

typedef struct sequence {
    const eh_request *r;
    double weight; /* of a learnt token's log-probability */
    bool kl;       /* takes part in the KL term */
} sequence;

typedef struct lse_job {
    const eh_simd *simd;
    float *x; /* [., n] */
    int64_t n;
} lse_job;

static void log_softmax_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const lse_job *j = ctx;
    float *x = j->x + i * j->n;
    int64_t top;
    const double lse = j->simd->logsumexp(x, j->n, &top);
    for (int64_t v = 0; v < j->n; v++)
        x[v] = (float)((double)x[v] - lse);
}

/* out [n_learnt, n_vocab]: the reference's log-probabilities before each learnt token. */
static int reference_of(trainer *t, const eh_request *r, float *out, eh_err *err)
{
    lse_job j = {t->session->simd, out, t->session->m->config.n_vocab};
    const int rc = eh_logits_from(t->reference, r->tok, r->n_tok - 1, r->from - 1, out, err);
    if (rc == EH_OK)
        eh_par_for(t->session->threads, n_learnt(r), log_softmax_row, &j);
    return rc;
}

/* Adds gradients and loss of sequences from..end-1. */
static int add_sequences(trainer *t, const sequence *s, int64_t from, int64_t end, double kl_weight, double *loss,
                         eh_err *err)
{
    const int64_t n = end - from, n_vocab = t->session->m->config.n_vocab;
    const eh_arena_mark mark = eh_arena_here(&t->arena);
    int64_t n_term = 0, n_kl = 0;
    for (int64_t i = from; i < end; i++) {
        n_term += n_learnt(s[i].r);
        n_kl += s[i].kl ? n_learnt(s[i].r) : 0;
    }
    eh_goal *goal = eh_new(&t->arena, eh_goal, n);
    eh_term *term = eh_new(&t->arena, eh_term, n_term);
    eh_kl_term *kl = eh_new(&t->arena, eh_kl_term, n_kl);
    double *value = eh_new(&t->arena, double, n);
    float *logp = n_kl > 0 ? eh_block_alloc(n_kl * n_vocab * (int64_t)sizeof *logp) : NULL;
    int rc = EH_OK;
    if (!goal || !term || !kl || !value || (n_kl > 0 && !logp)) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %lld tokens to learn", (long long)n_term);
        goto done;
    }
    int64_t at = 0, at_kl = 0;
    for (int64_t i = from; i < end && rc == EH_OK; i++) {
        const eh_request *r = s[i].r;
        goal[i - from] = (eh_goal){.tok = r->tok,
                                  .n_tok = r->n_tok,
                                  .term = term + at,
                                  .n_term = s[i].weight != 0.0 ? n_learnt(r) : 0};
        for (int64_t k = r->from; k < r->n_tok && s[i].weight != 0.0; k++)
            term[at++] = (eh_term){.pos = k - 1, .id = r->tok[k], .weight = s[i].weight};
        if (s[i].kl)
            rc = reference_of(t, r, logp + at_kl * n_vocab, err);
        for (int64_t k = r->from; k < r->n_tok && s[i].kl; k++, at_kl++)
            kl[at_kl] = (eh_kl_term){i - from, k - 1, kl_weight, logp + at_kl * n_vocab};
    }
    if (rc == EH_OK)
        rc = eh_backward(t->session, goal, n, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .kl = kl, .n_kl = n_kl,
                                                                     .grads = &t->params.grads}, value, NULL, 0, err);
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        *loss += value[i];
done:
    eh_block_free(logp);
    eh_arena_rewind(&t->arena, mark);
    return rc;
}

/* The step's sequences with their weights; returns how many. */
static int64_t draw_step(trainer *t, int64_t step, sequence *s, double *kl_weight)
{
    const eh_tune_plan *p = t->p;
    const bool has_text = t->text.n > 0;
    const double share = t->example.n == 0 ? 1.0 : has_text ? p->text_share : 0.0;
    int64_t n = 0, n_tok[2] = {0}; /* learnt tokens of examples, of texts */
    for (int64_t i = 0; t->example.n > 0 && i < p->batch; i++)
        s[n++] = (sequence){draw(&t->example, p->seed, (step - 1) * p->batch + i), 0.0, p->kl > 0.0 && !has_text};
    const int64_t n_example = n;
    for (int64_t i = 0; has_text && i < p->text_batch; i++)
        s[n++] = (sequence){draw(&t->text, p->seed, (step - 1) * p->text_batch + i), 0.0, p->kl > 0.0};
    for (int64_t i = 0; i < n; i++)
        n_tok[i >= n_example] += n_learnt(s[i].r);
    for (int64_t i = 0; i < n; i++)
        s[i].weight = i < n_example ? -(1.0 - share) / (double)n_tok[0] : -share / (double)n_tok[1];
    *kl_weight = p->kl / (double)n_tok[has_text];
    return n;
}

static int gradient(trainer *t, int64_t step, double *loss, eh_err *err)
{
    const int64_t row = t->session->m->config.n_vocab * (int64_t)sizeof(float);
    const eh_arena_mark mark = eh_arena_here(&t->arena);
    sequence *s = eh_new(&t->arena, sequence, t->p->batch + t->p->text_batch);
    if (s == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a step's examples");
    double kl_weight;
    const int64_t n = draw_step(t, step, s, &kl_weight);
    int rc = EH_OK;
    *loss = 0.0;
    eh_params_zero(&t->params);
    for (int64_t from = 0, end; from < n && rc == EH_OK; from = end) {
        int64_t room = KL_ROOM / row - (s[from].kl ? n_learnt(s[from].r) : 0);
        for (end = from + 1; end < n; end++) {
            room -= s[end].kl ? n_learnt(s[end].r) : 0;
            if (s[end].kl && room < 0)
                break;
        }
        rc = add_sequences(t, s, from, end, kl_weight, loss, err);
    }
    eh_arena_rewind(&t->arena, mark);
    return rc;
}

/* ---- A step -------------------------------------------------------------------------------------- */

double eh_tune_rate(const eh_tune_plan *p, int64_t step)
{
    if (step <= p->warmup)
        return p->adamw.lr * (double)step / (double)p->warmup;
    return p->linear ? p->adamw.lr * (double)(p->steps - step + 1) / (double)(p->steps - p->warmup) : p->adamw.lr;
}

typedef struct step_job {
    const trainer *t;
    int64_t step;
    double lr, scale;
} step_job;

static void step_piece(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const step_job *j = ctx;
    const trainer *t = j->t;
    const eh_param_piece *k = &t->params.piece[i];
    eh_adamw_step(&t->p->adamw, j->step, j->lr, j->scale, k->n, k->w, t->params.grad + k->at, t->a.m + k->at,
                  t->a.v + k->at);
}

static int take_step(trainer *t, eh_tune_point *point, eh_err *err)
{
    const int64_t step = t->s.step + 1;
    *point = (eh_tune_point){.tune_loss = (double)NAN, .lr = eh_tune_rate(t->p, step)};
    const int rc = gradient(t, step, &point->loss, err);
    if (rc < 0)
        return eh_fail_in(err, rc, "step %lld", (long long)step);
    point->grad_norm = eh_params_norm(&t->params);
    if (!isfinite(point->loss) || !isfinite(point->grad_norm))
        return eh_fail(err, EH_ENUMERIC, "step %lld: the loss is %g and the gradient's norm %g; a smaller learning "
                       "rate or a longer warm-up may help", (long long)step, point->loss, point->grad_norm);
    /* As torch.nn.utils.clip_grad_norm_. */
    const double most = t->p->clip / (point->grad_norm + 1e-6);
    step_job j = {t, step, point->lr, t->p->clip > 0.0 && most < 1.0 ? most : 1.0};
    eh_par_for(t->session->threads, t->params.n_piece, step_piece, &j);
    eh_params_changed(&t->params);
    return EH_OK;
}

/* ---- Held-out examples -------------------------------------------------------------------------------------- */

static int get_answers(trainer *t, eh_err *err)
{
    const eh_tune_data *d = t->d;
    t->answer = eh_new(&t->arena, eh_answer, d->n_held_out);
    bool good = t->answer != NULL;
    for (int64_t i = 0; good && i < d->n_held_out; i++) {
        t->answer[i].token_logprob = eh_new_raw(&t->arena, float, n_learnt(&d->held_out[i]));
        good = t->answer[i].token_logprob != NULL;
    }
    return good ? EH_OK : eh_fail(err, EH_ENOMEM, "no memory for %lld held-out examples", (long long)d->n_held_out);
}

static int look(trainer *t, double *loss, eh_err *err)
{
    const eh_tune_data *d = t->d;
    *loss = (double)NAN;
    if (d->n_held_out == 0)
        return EH_OK;
    const int rc = eh_score(t->session, d->held_out, d->n_held_out, t->answer, err);
    if (rc < 0)
        return eh_fail_in(err, rc, "held-out examples after step %lld", (long long)t->s.step);
    double sum = 0.0;
    int64_t n = 0;
    for (int64_t i = 0; i < d->n_held_out; i++) {
        for (int64_t k = 0; k < n_learnt(&d->held_out[i]); k++)
            sum -= (double)t->answer[i].token_logprob[k];
        n += n_learnt(&d->held_out[i]);
    }
    *loss = sum / (double)n;
    return EH_OK;
}

static void copy_best(trainer *t, bool back)
{
    for (int64_t i = 0; t->a.best != NULL && i < t->params.n_piece; i++) {
        const eh_param_piece *k = &t->params.piece[i];
        memcpy(back ? k->w : t->a.best + k->at, back ? t->a.best + k->at : k->w, (size_t)k->n * sizeof *k->w);
    }
}

/* Looks where one is due; remembers the best, and ends the training when patience is out. */
static int judge(trainer *t, eh_err *err)
{
    eh_tune_state *s = &t->s;
    const eh_tune_plan *p = t->p;
    eh_tune_point *now = &s->point[s->step];
    if (s->step > 0 && s->step < p->steps && (p->eval_every == 0 || s->step % p->eval_every != 0))
        return EH_OK;
    const int rc = look(t, &now->tune_loss, err);
    if (rc < 0 || t->d->n_held_out == 0)
        return rc;
    if (s->step == 0 || now->tune_loss < s->point[s->best_step].tune_loss) {
        s->best_step = s->step;
        s->worse = 0;
        copy_best(t, false);
    } else {
        s->worse++;
    }
    s->finished = p->patience > 0 && s->worse >= p->patience;
    return EH_OK;
}

/* ---- Files --------------------------------------------------------------------------------------- */

static int save_curve(const trainer *t, eh_err *err)
{
    if (t->curve == NULL)
        return EH_OK;
    eh_buf b = {0};
    eh_jsonw *w = &(eh_jsonw){.b = &b};
    for (int64_t i = 0; i <= t->s.step; i++) {
        const eh_tune_point *x = &t->s.point[i];
        eh_jsonw_begin(w, NULL, '{');
        eh_jsonw_int(w, "step", i);
        eh_jsonw_double(w, "loss", x->loss);
        eh_jsonw_double(w, "tune_loss", x->tune_loss);
        eh_jsonw_double(w, "lr", x->lr);
        eh_jsonw_double(w, "grad_norm", x->grad_norm);
        eh_jsonw_finish(w);
    }
    int rc = eh_buf_check(&b, "the loss curve", err);
    if (rc == EH_OK)
        rc = eh_file_write(t->curve, eh_buf_get(&b), err);
    eh_buf_clear(&b);
    return rc;
}

static int save(const trainer *t, eh_err *err)
{
    if (t->checkpoint == NULL)
        return EH_OK;
    const int rc = eh_checkpoint_write(t->checkpoint, eh_buf_get(&t->what), &t->params, &t->a, &t->s, err);
    return rc == EH_OK ? save_curve(t, err) : rc;
}

/* ---- All of it ----------------------------------------------------------------------------------- */

static int get_memory(trainer *t, eh_err *err)
{
    const int64_t n = t->params.n_grad * (int64_t)sizeof(float);
    t->a.m = eh_block_alloc(n);
    t->a.v = eh_block_alloc(n);
    t->a.best = t->p->patience > 0 ? eh_block_alloc(n) : NULL;
    if (t->a.m == NULL || t->a.v == NULL || (t->p->patience > 0 && t->a.best == NULL))
        return eh_fail(err, EH_ENOMEM, "no memory for the moments of %lld weights", (long long)t->params.n_weight);
    memset(t->a.m, 0, (size_t)n);
    memset(t->a.v, 0, (size_t)n);
    return EH_OK;
}

static int need_point(trainer *t, int64_t step, eh_err *err)
{
    if (step < t->room)
        return EH_OK;
    const int64_t room = step < 64 ? 64 : 2 * step;
    eh_tune_point *more = eh_realloc(t->s.point, room, (int64_t)sizeof *more);
    if (more == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a curve of %lld steps", (long long)room);
    t->s.point = more;
    t->room = room;
    return EH_OK;
}

static int begin(trainer *t, eh_err *err)
{
    bool found = false;
    int rc = EH_OK;
    if (t->checkpoint != NULL && !t->p->force)
        rc = eh_checkpoint_read(t->checkpoint, eh_buf_get(&t->what), &t->params, &t->a, &t->s, &found, err);
    if (found) {
        t->room = t->s.step + 1;
        eh_params_changed(&t->params);
    } else if (rc == EH_OK && (rc = need_point(t, 0, err)) == EH_OK) {
        t->s.point[0] = (eh_tune_point){(double)NAN, (double)NAN, (double)NAN, (double)NAN};
        rc = judge(t, err);
    }
    return rc == EH_OK ? save_curve(t, err) : rc; /* a folder that cannot be written to is told now */
}

static int run(trainer *t, eh_err *err)
{
    const eh_tune_plan *p = t->p;
    eh_tune_state *s = &t->s;
    int rc = begin(t, err);
    const bool was_finished = s->finished;
    while (rc == EH_OK && !s->finished && s->step < p->steps) {
        if (p->progress != NULL && p->progress(p->progress_ctx, "tune", s->step, p->steps) != 0) {
            rc = save(t, err);
            return rc < 0 ? rc : eh_fail(err, EH_ESTOP, "stopped on request after %lld of %lld steps",
                                         (long long)s->step, (long long)p->steps);
        }
        eh_tune_point point;
        if ((rc = need_point(t, s->step + 1, err)) < 0 || (rc = take_step(t, &point, err)) < 0)
            break;
        s->point[++s->step] = point;
        rc = judge(t, err);
        if (rc == EH_OK && !s->finished && s->step < p->steps && p->save_every > 0 && s->step % p->save_every == 0)
            rc = save(t, err);
    }
    if (rc < 0 || was_finished)
        return rc;
    s->finished = true;
    copy_best(t, true);
    eh_params_changed(&t->params);
    if (p->progress != NULL)
        p->progress(p->progress_ctx, "tune", s->step, s->step);
    return save(t, err);
}

int eh_tune_train(eh_session *s, eh_session *reference, const eh_tune_plan *p, const eh_tune_data *d,
                  eh_tune_state *state,
                  eh_err *err)
{
    trainer t = {.session = s, .reference = reference, .p = p, .d = d};
    int rc = check_plan(&t, err);
    if (rc < 0 || (rc = say_what(&t, err)) < 0)
        goto done;
    if (p->dir != NULL) {
        if ((rc = eh_dir_make(p->dir, err)) < 0)
            goto done;
        t.checkpoint = eh_path_join(p->dir, "tune.ckpt");
        t.curve = eh_path_join(p->dir, "tune.jsonl");
        if (t.checkpoint == NULL || t.curve == NULL) {
            rc = eh_fail(err, EH_ENOMEM, "no memory for the paths in %s", p->dir);
            goto done;
        }
    }
    if ((rc = open_deck(&t, &t.example, d->example, d->n_example, "tune.examples", err)) < 0 ||
        (rc = open_deck(&t, &t.text, d->text, d->n_text, "tune.texts", err)) < 0 || (rc = get_answers(&t, err)) < 0 ||
        (rc = eh_params_open(s, p->group, &t.params, err)) < 0)
        goto done;
    rc = get_memory(&t, err);
    if (rc == EH_OK)
        rc = run(&t, err);
    const int signed_rc = eh_params_sign(&t.params, rc == EH_OK ? err : NULL); /* of a broken-off training, too */
    rc = rc == EH_OK ? signed_rc : rc;
    if (rc == EH_OK) {
        *state = t.s;
        state->n_weight = t.params.n_weight;
        t.s.point = NULL;
    }
done:
    eh_free(t.s.point);
    eh_params_clear(&t.params);
    eh_block_free(t.a.m);
    eh_block_free(t.a.v);
    eh_block_free(t.a.best);
    eh_free(t.checkpoint);
    eh_free(t.curve);
    eh_buf_clear(&t.what);
    eh_arena_clear(&t.arena);
    return rc;
}
