/*
 * Parity checks on the user's own model: made-up sequences go through the engine several ways that
 * must agree. Every way opens the model anew, so that nothing is left over from the one before.
 *
 * How near is near: in f32 the same bits where docs/numerics.md promises them (AVX-512, or the
 * reference product), else 1e-5 nats; in bf16 no bits are promised, and 0.25 nats catches what is
 * wrong rather than rounded.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernel/product.h"

#define LEAST_ROOM 16          /* checks: more than there are, and what the caller must have room for */
#define SEED 20240229
#define N_STEM 4               /* stems, each the start of N_BRANCH requests */
#define N_BRANCH 4
#define N_REQUEST (N_STEM * N_BRANCH + 1)
#define STEM 40                /* tokens of a stem */
#define TAIL 8                 /* tokens behind it, at most */
#define LONG 280               /* the last request: longer than the small batch, over several attention tiles */
#define N_CAND 3
#define PLAIN 12               /* tokens that go through the plain reference product */
#define NEAR_OTHER 1e-5        /* nats, f32 without AVX-512 */
#define NEAR_BF16 0.25         /* nats */
#define NEAR_REFERENCE 1e-3    /* nats, and logits against a file: other sums in another order */
#define MEAN_BF16 0.5          /* nats, mean of f32 against bf16: ten times what models show */
#define JSON_LIMIT ((int64_t)256 << 20)

/* The requests, and room for their answers laid end to end. */
typedef struct trial {
    eh_arena arena;
    eh_request request[N_REQUEST];
    eh_answer answer[N_REQUEST];
    float *value; /* [n_value] where the answers point */
    float *base;  /* [n_value] the answers of the plain way */
    int64_t n_value;
} trial;

typedef struct selftest {
    const char *path;
    eh_options options; /* as given, with prefix sharing */
    eh_info info;       /* of the model opened that way; its pointers die with the model and are not used */
    bool exact;         /* equal bits are promised */
    double near;        /* nats */
    trial trial;
    int64_t computed, asked; /* tokens of that model */
    eh_check check[LEAST_ROOM];
    int n;
    eh_err *err;
} selftest;

/* ---- The list of checks ------------------------------------------------------------------- */

static eh_check *add(selftest *t, const char *name)
{
    eh_check *c = &t->check[t->n++];
    *c = (eh_check){.name = name};
    return c;
}

static int say(eh_check *c, bool passed, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int say(eh_check *c, bool passed, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->text, sizeof c->text, format, args);
    va_end(args);
    c->passed = passed;
    return EH_OK;
}

static int skip(eh_check *c, const char *why)
{
    snprintf(c->text, sizeof c->text, "%s", why);
    c->skipped = true;
    return EH_OK;
}

/* A call that failed is what a check found, unless memory ran out: that says nothing of the model. */
static int say_failure(eh_check *c, const eh_err *err, eh_err *out)
{
    if (err->code == EH_ENOMEM)
        return eh_fail(out, err->code, "%s: %s", c->name, err->text);
    return say(c, false, "%s", err->text);
}

/* ---- Requests ----------------------------------------------------------------------------- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int32_t *draw_tokens(eh_arena *arena, eh_rng *r, int64_t n, int64_t n_vocab)
{
    int32_t *tok = eh_new_raw(arena, int32_t, n);
    for (int64_t i = 0; tok != NULL && i < n; i++)
        tok[i] = (int32_t)eh_rng_below(r, n_vocab);
    return tok;
}

/* N_STEM stems with N_BRANCH branches each, leaving their stem at different places, and a long
 * request. All of them fit the model's context, however short that is. */
static int make_trial(trial *t, const eh_info *info, eh_err *err)
{
    eh_rng r = eh_rng_at(SEED, "selftest", 0);
    const int32_t *stem = NULL;
    t->n_value = 0;
    for (int i = 0; i < N_REQUEST; i++) {
        const bool is_long = i == N_REQUEST - 1;
        const int64_t n_stem = least(is_long ? LONG : STEM, info->n_ctx);
        if (i % N_BRANCH == 0)
            stem = draw_tokens(&t->arena, &r, n_stem, info->n_vocab);
        const int64_t from = is_long ? n_stem : 1 + eh_rng_below(&r, n_stem);
        const int64_t n_tail = is_long ? 0 : eh_rng_below(&r, least(TAIL, info->n_ctx - from) + 1);
        int32_t *tok = eh_new_raw(&t->arena, int32_t, from + n_tail);
        const int32_t *tail = draw_tokens(&t->arena, &r, n_tail, info->n_vocab);
        const int32_t *cand = draw_tokens(&t->arena, &r, N_CAND, info->n_vocab);
        if (stem == NULL || tok == NULL || tail == NULL || cand == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for the selftest's requests");
        memcpy(tok, stem, (size_t)from * sizeof *tok);
        memcpy(tok + from, tail, (size_t)n_tail * sizeof *tok);
        t->request[i] = (eh_request){tok, from + n_tail, from, cand, N_CAND};
        t->n_value += n_tail + N_CAND;
    }
    t->value = eh_new(&t->arena, float, t->n_value);
    t->base = eh_new(&t->arena, float, t->n_value);
    if (t->value == NULL || t->base == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the selftest's answers");
    float *at = t->value;
    for (int i = 0; i < N_REQUEST; i++) {
        const int64_t n_tail = t->request[i].n_tok - t->request[i].from;
        t->answer[i] = (eh_answer){.token_logprob = at, .cand_logprob = at + n_tail};
        at += n_tail + N_CAND;
    }
    return EH_OK;
}

/* The answers of the model opened with these options; they come to lie in trial.value. */
static int answer_with(selftest *t, const eh_options *o, int64_t *computed, int64_t *asked, eh_err *err)
{
    eh_model *m = NULL;
    int rc = eh_model_open(t->path, o, &m, err);
    if (rc == EH_OK)
        rc = eh_score(m, t->trial.request, N_REQUEST, t->trial.answer, err);
    if (rc == EH_OK)
        eh_model_counts(m, computed, asked);
    eh_model_close(m);
    return rc;
}

/* The largest and the mean |a - b|; the largest is NaN when any difference is. */
static double difference(const float *a, const float *b, int64_t n, double *mean)
{
    double worst = 0.0, sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        sum += d;
        if (!(d <= worst) && !isnan(worst))
            worst = d;
    }
    *mean = n > 0 ? sum / (double)n : 0.0;
    return worst;
}

/* ---- The checks --------------------------------------------------------------------------- */

/* Every answer is a log-probability. These answers are what the other ways are held against. */
static int check_finite(selftest *t)
{
    eh_check *c = add(t, "finite values");
    trial *r = &t->trial;
    int64_t bad = 0;
    eh_err err;
    if (answer_with(t, &t->options, &t->computed, &t->asked, &err) < 0)
        return say_failure(c, &err, t->err);
    memcpy(r->base, r->value, (size_t)r->n_value * sizeof *r->base);
    for (int64_t i = 0; i < r->n_value; i++)
        bad += !(isfinite(r->base[i]) && r->base[i] <= 1e-4f); /* rounding may lift a sure token above 0 */
    return say(c, bad == 0, "%lld log-probabilities, %lld of them not finite or above 0", (long long)r->n_value,
               (long long)bad);
}

static int compare(selftest *t, eh_check *c, const eh_options *o, const char *extra)
{
    int64_t computed, asked;
    double mean;
    eh_err err;
    if (answer_with(t, o, &computed, &asked, &err) < 0)
        return say_failure(c, &err, t->err);
    const double worst = difference(t->trial.value, t->trial.base, t->trial.n_value, &mean);
    return say(c, worst <= t->near, "largest difference %.3g nats in %lld log-probabilities (%.3g allowed)%s", worst,
               (long long)t->trial.n_value, t->near, extra);
}

static int check_sharing(selftest *t)
{
    eh_check *c = add(t, "prefix sharing");
    char extra[80];
    eh_options o = t->options;
    o.no_prefix_sharing = true;
    snprintf(extra, sizeof extra, ", %lld tokens computed for %lld", (long long)t->computed, (long long)t->asked);
    return compare(t, c, &o, extra);
}

static int check_threads(selftest *t)
{
    eh_check *c = add(t, "thread counts");
    const int many = t->info.threads > 1 ? t->info.threads : 2;
    char extra[40];
    eh_options o = t->options;
    o.threads = t->info.threads > 1 ? 1 : many;
    snprintf(extra, sizeof extra, ", 1 thread against %d", many);
    return compare(t, c, &o, extra);
}

static int check_batches(selftest *t, int64_t batch_tokens, const char *name)
{
    eh_check *c = add(t, name);
    eh_options o = t->options;
    o.batch_tokens = batch_tokens;
    return compare(t, c, &o, "");
}

static int check_packing(selftest *t)
{
    eh_check *c = add(t, "packed anew");
    eh_options o = t->options;
    o.memory = 1; /* no weight fits: each is packed for its batch and dropped */
    return compare(t, c, &o, "");
}

/* Log-probabilities of one short request by a product backend, in f32. */
static int answer_plainly(selftest *t, const char *product, float *value, eh_err *err)
{
    const eh_request *long_one = &t->trial.request[N_REQUEST - 1];
    const int64_t n = least(PLAIN, long_one->n_tok);
    const eh_request r = {
        .tok = long_one->tok, .n_tok = n, .from = n - least(3, n - 1), .cand = long_one->cand, .n_cand = N_CAND};
    eh_answer a = {.token_logprob = value, .cand_logprob = value + (r.n_tok - r.from)};
    eh_options o = t->options;
    o.product = product;
    o.precision = EH_F32;
    eh_model *m = NULL;
    int rc = eh_model_open(t->path, &o, &m, err);
    if (rc == EH_OK)
        rc = eh_score(m, &r, 1, &a, err);
    eh_model_close(m);
    return rc;
}

static int check_reference(selftest *t)
{
    eh_check *c = add(t, "reference product");
    const char *fast = t->options.product != NULL ? t->options.product : eh_product_best()->name;
    if (strcmp(fast, "reference") == 0)
        return skip(c, "the reference is the product in use");
    float plain[3 + N_CAND] = {0}, quick[3 + N_CAND] = {0};
    double mean;
    eh_err err;
    if (answer_plainly(t, "reference", plain, &err) < 0 || answer_plainly(t, fast, quick, &err) < 0)
        return say_failure(c, &err, t->err);
    const double worst = difference(quick, plain, 3 + N_CAND, &mean);
    return say(c, worst <= NEAR_REFERENCE, "%s in f32, largest difference %.3g nats (%.3g allowed)", fast, worst,
               NEAR_REFERENCE);
}

static int check_bf16(selftest *t)
{
    eh_check *c = add(t, "f32 against bf16");
    const char *product = t->options.product != NULL ? t->options.product : eh_product_best()->name;
    if (strcmp(product, "reference") == 0 || !eh_product_has_bf16())
        return skip(c, "no bfloat16 products here");
    eh_options o = t->options;
    int64_t computed, asked;
    double mean;
    eh_err err;
    o.precision = t->info.precision == EH_F32 ? EH_BF16 : EH_F32;
    if (answer_with(t, &o, &computed, &asked, &err) < 0)
        return say_failure(c, &err, t->err);
    const double worst = difference(t->trial.value, t->trial.base, t->trial.n_value, &mean);
    return say(c, mean <= MEAN_BF16, "mean difference %.3g nats, largest %.3g (a mean of %.3g is allowed)", mean, worst,
               MEAN_BF16);
}

/* Greedy tokens with the cache are the likeliest of the plain logits at each step. */
static int check_generation(selftest *t)
{
    eh_check *c = add(t, "generation equals scoring");
    const int64_t n_prompt = least(12, t->info.n_ctx / 2), n_new = least(8, t->info.n_ctx - n_prompt);
    const int64_t n_vocab = t->info.n_vocab, n_tok = n_prompt + n_new;
    if (n_prompt < 1)
        return skip(c, "the context has room for one token only");
    const eh_request prompt = {.tok = t->trial.request[N_REQUEST - 1].tok, .n_tok = n_prompt, .from = n_prompt};
    const eh_sampling greedy = {.max_new = n_new, .ignore_eos = true};
    eh_generated out = {0};
    eh_model *m = NULL;
    eh_err err;
    float *logits = eh_alloc(n_tok * n_vocab, (int64_t)sizeof *logits);
    int32_t *tok = eh_alloc(n_tok, (int64_t)sizeof *tok);
    int rc = logits == NULL || tok == NULL ? eh_fail(&err, EH_ENOMEM, "no memory for logits") : EH_OK;
    if (rc == EH_OK)
        rc = eh_model_open(t->path, &t->options, &m, &err);
    if (rc == EH_OK)
        rc = eh_generate(m, &prompt, 1, 1, &greedy, NULL, NULL, &out, &err);
    if (rc == EH_OK) {
        memcpy(tok, prompt.tok, (size_t)n_prompt * sizeof *tok);
        memcpy(tok + n_prompt, out.tok, (size_t)out.n_tok * sizeof *tok);
        rc = eh_logits(m, tok, n_prompt + out.n_tok, logits, &err);
    }
    if (rc < 0) {
        rc = say_failure(c, &err, t->err);
        goto done;
    }
    double worst = 0.0; /* how far below the likeliest a generated token lies */
    for (int64_t i = 0; i < out.n_tok; i++) {
        const float *row = logits + (n_prompt + i - 1) * n_vocab;
        float top = row[0];
        for (int64_t v = 1; v < n_vocab; v++)
            top = row[v] > top ? row[v] : top;
        worst = fmax(worst, (double)top - (double)row[out.tok[i]]);
    }
    rc = say(c, out.n_tok == n_new && worst <= t->near,
             "%lld of %lld greedy tokens; at most %.3g below the likeliest logit (%.3g allowed)", (long long)out.n_tok,
             (long long)n_new, worst, t->near);
done:
    eh_release(out.tok);
    eh_model_close(m);
    eh_free(logits);
    eh_free(tok);
    return rc;
}

/* Text that every tokenizer must bring back byte for byte, and text that a normalising one may
 * bring back in another form, which must then stay. */
static const struct {
    const char *text;
    bool plain;
} sayings[] = {
    {"The quick brown fox jumps over the lazy dog.", true},
    {"She said: \"It's 12:45, isn't it?\"", true},
    {"a  b   c", false},
    {"if (x[i] != 0)\n\treturn -1;\n\n", false},
    {" leading and trailing ", false},
    {"1234567890 3.14159 1,000,000", false},
    {"caf\xC3\xA9 na\xC3\xAFve Stra\xC3\x9F" "e", false},
    {"e\xCC\x81 and \xC3\xA9 are one letter", false},
    {"\xCE\x95\xCE\xBB\xCE\xBB\xCE\xB7\xCE\xBD\xCE\xB9\xCE\xBA\xCE\xAC, "
     "\xD0\xA0\xD1\x83\xD1\x81\xD1\x81\xD0\xBA\xD0\xB8\xD0\xB9", false},
    {"\xE6\xBC\xA2\xE5\xAD\x97 \xED\x95\x9C\xEA\xB8\x80 \xE3\x81\xB2\xE3\x82\x89\xE3\x81\x8C\xE3\x81\xAA", false},
    {"\xD8\xA7\xD9\x84\xD8\xB9\xD8\xB1\xD8\xA8\xD9\x8A\xD8\xA9 \xD7\xA2\xD7\x91\xD7\xA8\xD7\x99\xD7\xAA", false},
    {"\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB \xF0\x9F\x87\xAA\xF0\x9F\x87\xBA \xF0\x9D\x94\x98", false},
};
#define N_SAYING ((int64_t)(sizeof sayings / sizeof sayings[0]))

/* Text to ids to text to ids: *same, the text came back; *stable, the ids did. */
static int go_round(const eh_model *m, const char *text, bool *same, bool *stable, eh_err *err)
{
    int32_t *id = NULL, *again = NULL;
    char *back = NULL;
    int64_t n_id, n_again, n_back;
    int rc = eh_tokenize(m, text, (int64_t)strlen(text), 0, &id, &n_id, err);
    if (rc == EH_OK)
        rc = eh_detokenize(m, id, n_id, false, &back, &n_back, err);
    if (rc == EH_OK)
        rc = eh_tokenize(m, back, n_back, 0, &again, &n_again, err);
    if (rc == EH_OK) {
        *same = n_back == (int64_t)strlen(text) && memcmp(back, text, (size_t)n_back) == 0;
        *stable = n_again == n_id && memcmp(again, id, (size_t)n_id * sizeof *id) == 0;
    }
    eh_release(id);
    eh_release(back);
    eh_release(again);
    return rc;
}

static int check_tokenizer(selftest *t)
{
    eh_check *c = add(t, "tokenizer round trips");
    eh_model *m = NULL;
    eh_info info;
    eh_err err;
    int64_t n_same = 0, n_stable = 0, first_bad = -1;
    int rc = eh_model_open(t->path, &t->options, &m, &err);
    if (rc == EH_OK) {
        eh_model_info(m, &info);
        if (info.tokenizer == NULL) {
            snprintf(c->text, sizeof c->text, "no tokenizer: %.150s", info.tokenizer_trouble);
            c->skipped = true;
            eh_model_close(m);
            return EH_OK;
        }
    }
    for (int64_t i = 0; rc == EH_OK && i < N_SAYING; i++) {
        bool same = false, stable = false;
        rc = go_round(m, sayings[i].text, &same, &stable, &err);
        n_same += same;
        n_stable += stable;
        if (first_bad < 0 && (!stable || (sayings[i].plain && !same)))
            first_bad = i;
    }
    if (rc < 0)
        rc = say_failure(c, &err, t->err);
    else if (first_bad >= 0)
        rc = say(c, false, "\"%.100s\" does not come back", sayings[first_bad].text);
    else
        rc = say(c, true, "%lld texts: %lld come back byte for byte, all as the same ids", (long long)N_SAYING,
                 (long long)n_same);
    eh_model_close(m);
    return rc;
}

/* ---- Reference logits (docs/formats.md) ---------------------------------------------------- */

typedef struct reference {
    const char *path;
    eh_model *m; /* opened in f32 */
    eh_info info;
    int64_t n_prompt, n_logit;
    double worst;     /* |logit - wanted| */
    double worst_sum; /* the same of logsumexp */
} reference;

/* The array of n >= 1 ids below n_vocab under `key`. */
static int read_ids(const json_t *o, const char *where, const char *key, int64_t most, int64_t n_vocab, int32_t **id,
                    int64_t *n, eh_err *err)
{
    const json_t *a = json_object_get(o, key);
    const int64_t size = (int64_t)json_array_size(a); /* 0 of what is no array */
    if (size < 1 || size > most)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is %s of %lld, wanted an array of 1 to %lld ids", where, key,
                       a == NULL ? "missing" : eh_json_type(a), (long long)size, (long long)most);
    int32_t *out = eh_alloc(size, (int64_t)sizeof *out);
    if (out == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld ids", (long long)size);
    for (int64_t i = 0; i < size; i++) {
        const json_t *v = json_array_get(a, (size_t)i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= n_vocab) {
            eh_free(out);
            return eh_fail(err, EH_EFORMAT, "%s: \"%s\"[%lld] is not an id of the vocabulary, 0 to %lld", where, key,
                           (long long)i, (long long)n_vocab - 1);
        }
        out[i] = (int32_t)json_integer_value(v);
    }
    *id = out;
    *n = size;
    return EH_OK;
}

static void widen(double *worst, double difference_found)
{
    if (!(difference_found <= *worst) && !isnan(*worst))
        *worst = difference_found;
}

/* One prompt of the file against the logits after its last token. */
static int see_prompt(reference *r, const json_t *o, const char *where, eh_err *err)
{
    const int64_t n_vocab = r->info.n_vocab;
    int32_t *tok = NULL, *top = NULL;
    float *logits = NULL;
    int64_t n_tok, n_top;
    double sum_wanted = NAN;
    int rc;
    if ((rc = read_ids(o, where, "ids", r->info.n_ctx, n_vocab, &tok, &n_tok, err)) < 0 ||
        (rc = read_ids(o, where, "top_ids", n_vocab, n_vocab, &top, &n_top, err)) < 0 ||
        (rc = eh_json_real_or(o, where, "logsumexp", -1e6, 1e6, &sum_wanted, err)) < 0)
        goto done;
    const json_t *wanted = json_object_get(o, "top_logits");
    if (!json_is_array(wanted) || (int64_t)json_array_size(wanted) != n_top) {
        rc = eh_fail(err, EH_EFORMAT, "%s: \"top_logits\" is not an array of %lld numbers, one for each of \"top_ids\"",
                     where, (long long)n_top);
        goto done;
    }
    logits = n_tok > INT64_MAX / n_vocab ? NULL : eh_alloc(n_tok * n_vocab, (int64_t)sizeof *logits);
    if (logits == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "%s: no memory for the logits of %lld tokens", where, (long long)n_tok);
        goto done;
    }
    if ((rc = eh_logits(r->m, tok, n_tok, logits, err)) < 0)
        goto done;
    const float *last = logits + (n_tok - 1) * n_vocab;
    for (int64_t i = 0; i < n_top; i++) {
        const json_t *v = json_array_get(wanted, (size_t)i);
        if (!json_is_number(v)) {
            rc = eh_fail(err, EH_EFORMAT, "%s: \"top_logits\"[%lld] is %s, wanted a number", where, (long long)i,
                         eh_json_type(v));
            goto done;
        }
        widen(&r->worst, fabs((double)last[top[i]] - json_number_value(v)));
    }
    if (!isnan(sum_wanted)) {
        double high = (double)last[0], sum = 0.0;
        for (int64_t v = 1; v < n_vocab; v++)
            high = fmax(high, (double)last[v]);
        for (int64_t v = 0; v < n_vocab; v++)
            sum += exp((double)last[v] - high);
        widen(&r->worst_sum, fabs(high + log(sum) - sum_wanted));
    }
    r->n_prompt++;
    r->n_logit += n_top;
done:
    eh_free(tok);
    eh_free(top);
    eh_free(logits);
    return rc;
}

/* Takes the next line off *rest; false when none is left. */
static bool next_line(eh_str *rest, eh_str *line)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, '\n', (size_t)rest->n);
    line->p = rest->p;
    line->n = end != NULL ? end - rest->p : rest->n;
    rest->p += line->n + (end != NULL);
    rest->n -= line->n + (end != NULL);
    return true;
}

/* JSON Lines when the first line is a whole prompt, else one document. */
static int see_file(reference *r, eh_str text, eh_err *err)
{
    eh_str rest = text, line;
    json_t *root = NULL;
    char where[600];
    bool is_lines = false;
    int rc = EH_OK;
    if (next_line(&rest, &line) && eh_json_parse(line, r->path, &root, NULL) == EH_OK) {
        is_lines = json_object_get(root, "ids") != NULL;
        json_decref(root);
    }
    rest = text;
    for (int64_t n = 1; is_lines && rc == EH_OK && next_line(&rest, &line); n++) {
        if (line.n == 0)
            continue;
        snprintf(where, sizeof where, "%.500s: line %lld", r->path, (long long)n);
        rc = eh_json_parse(line, where, &root, err);
        if (rc == EH_OK) {
            rc = see_prompt(r, root, where, err);
            json_decref(root);
        }
    }
    if (is_lines)
        return rc;
    rc = eh_json_parse(text, r->path, &root, err);
    if (rc < 0)
        return rc;
    const json_t *prompts = json_object_get(root, "prompts");
    if (json_array_size(prompts) == 0)
        rc = eh_fail(err, EH_EFORMAT, "%s: has no prompts; wanted {\"prompts\": [{\"ids\": [..], \"top_ids\": [..], "
                     "\"top_logits\": [..]}]} or such prompts as JSON Lines", r->path);
    for (size_t i = 0; rc == EH_OK && i < json_array_size(prompts); i++) {
        snprintf(where, sizeof where, "%.500s: prompt %zu", r->path, i);
        rc = see_prompt(r, json_array_get(prompts, i), where, err);
    }
    json_decref(root);
    return rc;
}

/* A file that cannot be read is wrong use, not a finding about the model; so it is looked at before
 * the checks that take their time. */
static int check_against(selftest *t, const char *path)
{
    eh_check *c = add(t, "reference logits");
    reference r = {.path = path};
    eh_options o = t->options;
    eh_buf text = {0};
    o.precision = EH_F32;
    eh_err err;
    int rc = eh_file_read(path, JSON_LIMIT, &text, &err);
    if (rc == EH_OK)
        rc = eh_model_open(t->path, &o, &r.m, &err);
    if (rc == EH_OK) {
        eh_model_info(r.m, &r.info);
        rc = see_file(&r, eh_buf_get(&text), &err);
    }
    if (rc == EH_ENUMERIC)
        rc = say(c, false, "%.190s", err.text);
    else if (rc < 0)
        eh_fail(t->err, rc, "%s", err.text);
    else
        say(c, r.worst <= NEAR_REFERENCE && r.worst_sum <= NEAR_REFERENCE,
            "%lld prompts, %lld logits: largest difference %.3g, of logsumexp %.3g (%.3g allowed)",
            (long long)r.n_prompt, (long long)r.n_logit, r.worst, r.worst_sum, NEAR_REFERENCE);
    eh_model_close(r.m);
    eh_buf_clear(&text);
    return rc;
}

/* ---- All of them --------------------------------------------------------------------------- */

static int look_at_model(selftest *t)
{
    eh_model *m;
    int rc = eh_model_open(t->path, &t->options, &m, t->err);
    if (rc < 0)
        return rc;
    eh_model_info(m, &t->info);
    t->exact = t->info.precision == EH_F32 &&
               (strncmp(t->info.features, "avx512", 6) == 0 || strcmp(t->info.product, "reference") == 0);
    t->near = t->exact ? 0.0 : t->info.precision == EH_F32 ? NEAR_OTHER : NEAR_BF16;
    rc = make_trial(&t->trial, &t->info, t->err);
    eh_model_close(m);
    return rc;
}

int eh_selftest(const char *path, const eh_options *options, const char *against, eh_check *check, int *n, eh_err *err)
{
    if (*n < LEAST_ROOM)
        return eh_fail(err, EH_EINVAL, "room for %d checks, wanted %d", *n, LEAST_ROOM);
    selftest t = {.path = path, .options = options != NULL ? *options : (eh_options){0}, .err = err};
    t.options.no_prefix_sharing = false;
    int rc;
    if ((rc = look_at_model(&t)) < 0 || (against != NULL && (rc = check_against(&t, against)) < 0) ||
        (rc = check_finite(&t)) < 0)
        goto done;
    if (t.check[t.n - 1].passed && /* without answers there is nothing to compare */
        ((rc = check_sharing(&t)) < 0 || (rc = check_threads(&t)) < 0 ||
         (rc = check_batches(&t, 256, "batches of 256 tokens")) < 0 ||
         (rc = check_batches(&t, 4096, "batches of 4096 tokens")) < 0 || (rc = check_packing(&t)) < 0 ||
         (rc = check_reference(&t)) < 0 || (rc = check_bf16(&t)) < 0 || (rc = check_generation(&t)) < 0))
        goto done;
    rc = check_tokenizer(&t);
    if (rc == EH_OK) {
        memcpy(check, t.check, (size_t)t.n * sizeof *check);
        *n = t.n;
    }
done:
    eh_arena_clear(&t.trial.arena);
    return rc;
}
