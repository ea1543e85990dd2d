/* Generation on a tiny model: greedy, drawn, cut, reproducible, and held against scoring. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "session.h"
#include "evenhand.h"

static eh_err err;

#define N_VOCAB 512
#define N_NEW 12

static const int32_t prompts[5][9] = {
    {5, 17, 300, 42, 8, 9, 10, 11, 12}, {1, 2, 3, 4, 5, 6, 7, 8, 9},        {400, 1, 77}, {33},
    {5, 17, 300, 42, 8, 9, 10, 11, 13},
};
static const int64_t lengths[5] = {9, 9, 3, 1, 9};

static eh_session *on;

static void need_model(void)
{
    if (on == NULL)
        CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), NULL, &on, &err));
}

static eh_request prompt(int i)
{
    return (eh_request){.tok = prompts[i], .n_tok = lengths[i], .from = lengths[i]};
}

/* One prompt, one sample. */
static eh_generated generate(int i, const eh_sampling *options)
{
    const eh_request r = prompt(i);
    eh_generated out;
    need_model();
    CHECK_OK(eh_generate(on, &r, 1, 1, options, NULL, NULL, &out, &err));
    return out;
}

static bool same(const eh_generated *a, const eh_generated *b)
{
    return a->n_tok == b->n_tok && a->ended == b->ended && memcmp(&a->logprob, &b->logprob, sizeof a->logprob) == 0 &&
           memcmp(a->tok, b->tok, (size_t)a->n_tok * sizeof *a->tok) == 0;
}

/* Logits after a prompt. */
static void last_logits(const int32_t *tok, int64_t n, float *out)
{
    float *all = malloc((size_t)(n * N_VOCAB) * sizeof *all);
    CHECK(all != NULL);
    CHECK_OK(eh_logits(on, tok, n, all, &err));
    memcpy(out, all + (n - 1) * N_VOCAB, N_VOCAB * sizeof *out);
    free(all);
}

/* ---- Greedy ------------------------------------------------------------------------------------------ */

TEST(greedy_tokens_are_the_likeliest_of_the_logits_at_each_step)
{
    eh_sampling options;
    eh_sampling_init(&options, sizeof options);
    options.max_new = N_NEW;
    options.ignore_eos = true;
    for (int i = 0; i < 5; i++) {
        const eh_generated g = generate(i, &options);
        int32_t tok[9 + N_NEW];
        float logits[N_VOCAB];
        CHECK_INT(g.n_tok, N_NEW);
        CHECK(!g.ended);
        memcpy(tok, prompts[i], sizeof prompts[i]);
        for (int64_t t = 0; t < N_NEW; t++) {
            int32_t top = 0;
            last_logits(tok, lengths[i] + t, logits);
            for (int32_t v = 1; v < N_VOCAB; v++)
                top = logits[v] > logits[top] ? v : top;
            CHECK_INT(g.tok[t], top);
            tok[lengths[i] + t] = top;
        }
        eh_release(g.tok);
    }
}

TEST(logprob_is_the_scored_one_of_the_new_tokens)
{
    eh_sampling options;
    eh_sampling_init(&options, sizeof options);
    options.max_new = N_NEW;
    options.temperature = 1.5;
    options.seed = 4;
    for (int i = 0; i < 5; i++) {
        const eh_generated g = generate(i, &options);
        int32_t tok[9 + N_NEW];
        float lp[N_NEW];
        double sum = 0;
        memcpy(tok, prompts[i], sizeof prompts[i]);
        memcpy(tok + lengths[i], g.tok, (size_t)g.n_tok * sizeof *tok);
        const eh_request r = {.tok = tok, .n_tok = lengths[i] + g.n_tok, .from = lengths[i]};
        eh_answer a = {.token_logprob = lp};
        CHECK_OK(eh_score(on, &r, 1, &a, &err));
        for (int64_t t = 0; t < g.n_tok; t++)
            sum += (double)lp[t];
        CHECK_NEAR(g.logprob, sum, 1e-5); /* twelve floats of about 6, rounded */
        eh_release(g.tok);
    }
}

/* ---- Drawing ------------------------------------------------------------------------------------------ */

TEST(the_same_seed_gives_the_same_text_and_another_another)
{
    eh_sampling one;
    eh_sampling_init(&one, sizeof one);
    one.max_new = N_NEW;
    one.temperature = 1.0;
    one.seed = 1;
    one.ignore_eos = true;
    eh_sampling two;
    eh_sampling_init(&two, sizeof two);
    two.max_new = N_NEW;
    two.temperature = 1.0;
    two.seed = 2;
    two.ignore_eos = true;
    const eh_generated a = generate(0, &one), b = generate(0, &one), c = generate(0, &two);
    CHECK(same(&a, &b));
    CHECK(!same(&a, &c));
    eh_release(a.tok);
    eh_release(b.tok);
    eh_release(c.tok);
}

/* Stream (seed, prompt index, sample index): prompt 0 alone says what it says among five, and its
 * first sample alone what it says among three; on one thread or two. */
TEST(a_text_does_not_depend_on_its_batch)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.threads = 1;
    eh_sampling options;
    eh_sampling_init(&options, sizeof options);
    options.max_new = N_NEW;
    options.temperature = 1.0;
    options.seed = 9;
    options.top_p = 0.9;
    eh_request all[5];
    eh_generated five[15];
    eh_session *other;
    for (int i = 0; i < 5; i++)
        all[i] = prompt(i);
    const eh_generated alone = generate(0, &options);
    CHECK_OK(eh_generate(on, all, 5, 3, &options, NULL, NULL, five, &err));
    CHECK(same(&alone, &five[0]));
    CHECK(!same(&five[0], &five[1])); /* samples differ */
    eh_generated again[15];
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), &o, &other, &err));
    CHECK_OK(eh_generate(other, all, 5, 3, &options, NULL, NULL, again, &err));
    for (int i = 0; i < 15; i++) {
        CHECK(same(&five[i], &again[i]));
        eh_release(five[i].tok);
        eh_release(again[i].tok);
    }
    eh_release(alone.tok);
    session_close(other);
}

TEST(cutting_to_one_token_is_greedy)
{
    eh_sampling greedy;
    eh_sampling_init(&greedy, sizeof greedy);
    greedy.max_new = N_NEW;
    eh_sampling k1;
    eh_sampling_init(&k1, sizeof k1);
    k1.max_new = N_NEW;
    k1.temperature = 3.0;
    k1.top_k = 1;
    k1.seed = 5;
    eh_sampling p0;
    eh_sampling_init(&p0, sizeof p0);
    p0.max_new = N_NEW;
    p0.temperature = 3.0;
    p0.top_p = 1e-9;
    p0.seed = 6;
    eh_sampling both;
    eh_sampling_init(&both, sizeof both);
    both.max_new = N_NEW;
    both.temperature = 3.0;
    both.top_p = 1e-9;
    both.top_k = 7;
    both.seed = 6;
    eh_sampling cold;
    eh_sampling_init(&cold, sizeof cold);
    cold.max_new = N_NEW;
    cold.temperature = 1e-4;
    cold.seed = 7;
    for (int i = 0; i < 5; i++) {
        const eh_generated g = generate(i, &greedy), a = generate(i, &k1), b = generate(i, &p0), c = generate(i, &both),
                           d = generate(i, &cold);
        CHECK(same(&g, &a) && same(&g, &b) && same(&g, &c) && same(&g, &d));
        eh_release(g.tok);
        eh_release(a.tok);
        eh_release(b.tok);
        eh_release(c.tok);
        eh_release(d.tok);
    }
}

/* First tokens of 2,000 draws of prompt 2 under the given cuts. */
static void draw_counts(const eh_sampling *given, int64_t *count)
{
    const eh_request r = prompt(2);
    eh_sampling options = *given;
    memset(count, 0, N_VOCAB * sizeof *count);
    need_model();
    options.max_new = 1;
    options.ignore_eos = true;
    for (int round = 0; round < 20; round++) {
        eh_generated out[100];
        options.seed = 1000 + (uint64_t)round;
        CHECK_OK(eh_generate(on, &r, 1, 100, &options, NULL, NULL, out, &err));
        for (int i = 0; i < 100; i++) {
            count[out[i].tok[0]]++;
            eh_release(out[i].tok);
        }
    }
}

static int64_t by_falling_p(const double *p, int64_t *order)
{
    for (int64_t i = 0; i < N_VOCAB; i++) {
        int64_t at = i;
        for (; at > 0 && p[order[at - 1]] < p[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return N_VOCAB;
}

/* Probabilities after prompt 2 at a temperature, with ids in falling order. */
static void probabilities(double temperature, double *p, int64_t *order)
{
    float logits[N_VOCAB];
    double sum = 0;
    need_model();
    last_logits(prompts[2], lengths[2], logits);
    for (int i = 0; i < N_VOCAB; i++)
        sum += p[i] = exp((double)logits[i] / temperature);
    for (int i = 0; i < N_VOCAB; i++)
        p[i] /= sum;
    by_falling_p(p, order);
}

/* Chi-square of the counts over ids in falling order, grouped until a group expects 20 or more. Its
 * mean is about the number of groups less one, its standard deviation sqrt(2) times the root of that. */
static double chi_square(const double *p, const int64_t *order, int64_t n, const int64_t *count, int *n_group)
{
    double chi = 0, expected = 0, got = 0;
    *n_group = 0;
    for (int64_t i = 0; i < n; i++) {
        expected += 2000 * p[order[i]];
        got += (double)count[order[i]];
        if (expected >= 20) {
            chi += (got - expected) * (got - expected) / expected;
            expected = got = 0;
            ++*n_group;
        }
    }
    return chi;
}

TEST(draws_follow_the_softmax_at_their_temperature)
{
    static const double temperatures[2] = {1.0, 0.5};
    for (int t = 0; t < 2; t++) {
        eh_sampling options;
        eh_sampling_init(&options, sizeof options);
        options.temperature = temperatures[t];
        double p[N_VOCAB];
        int64_t order[N_VOCAB], count[N_VOCAB];
        int n_group;
        draw_counts(&options, count);
        probabilities(temperatures[t], p, order);
        const double chi = chi_square(p, order, N_VOCAB, count, &n_group);
        print_message("temperature %g: chi-square %.1f over %d groups\n", temperatures[t], chi, n_group);
        CHECK(n_group > 10);
        CHECK(chi < n_group + 4 * sqrt(2.0 * n_group));
        /* And it can fail: the counts of one temperature do not fit the other. */
        probabilities(temperatures[1 - t], p, order);
        CHECK(chi_square(p, order, N_VOCAB, count, &n_group) > n_group + 10 * sqrt(2.0 * n_group));
    }
}

TEST(cut_draws_follow_the_softmax_of_what_is_left)
{
    double p[N_VOCAB];
    int64_t order[N_VOCAB], count[N_VOCAB];
    int n_group;

    /* The 10 likeliest. */
    eh_sampling k10;
    eh_sampling_init(&k10, sizeof k10);
    k10.temperature = 1.0;
    k10.top_k = 10;
    draw_counts(&k10, count);
    probabilities(1.0, p, order);
    double kept = 0;
    for (int i = 0; i < 10; i++)
        kept += p[order[i]];
    for (int i = 0; i < N_VOCAB; i++)
        p[i] /= kept;
    for (int i = 10; i < N_VOCAB; i++)
        CHECK_INT(count[order[i]], 0);
    CHECK(chi_square(p, order, 10, count, &n_group) < 10 + 4 * sqrt(20.0));
    CHECK(n_group == 10);

    /* The fewest that make 0.3: the one that crosses the line is kept. */
    eh_sampling p30;
    eh_sampling_init(&p30, sizeof p30);
    p30.temperature = 1.0;
    p30.top_p = 0.3;
    draw_counts(&p30, count);
    probabilities(1.0, p, order);
    int n = 0;
    for (kept = 0; kept < 0.3; n++)
        kept += p[order[n]];
    for (int i = 0; i < N_VOCAB; i++)
        p[i] /= kept;
    for (int i = n; i < N_VOCAB; i++)
        CHECK_INT(count[order[i]], 0);
    CHECK(chi_square(p, order, n, count, &n_group) < n_group + 4 * sqrt(2.0 * n_group));
    CHECK(count[order[n - 1]] > 0);

    /* Both: the share is one of what top_k leaves. */
    eh_sampling both;
    eh_sampling_init(&both, sizeof both);
    both.temperature = 1.0;
    both.top_k = 10;
    both.top_p = 0.5;
    draw_counts(&both, count);
    probabilities(1.0, p, order);
    double ten = 0;
    for (int i = 0; i < 10; i++)
        ten += p[order[i]];
    for (n = 0, kept = 0; kept < 0.5 * ten; n++)
        kept += p[order[n]];
    for (int i = 0; i < N_VOCAB; i++)
        p[i] /= kept;
    for (int i = n; i < N_VOCAB; i++)
        CHECK_INT(count[order[i]], 0);
    CHECK(chi_square(p, order, n, count, &n_group) < n_group + 4 * sqrt(2.0 * n_group));
}

/* ---- Ends --------------------------------------------------------------------------------------------- */

TEST(a_text_ends_at_an_end_token_which_is_not_part_of_it)
{
    eh_sampling free_run;
    eh_sampling_init(&free_run, sizeof free_run);
    free_run.max_new = 60;
    free_run.temperature = 3.0;
    free_run.ignore_eos = true;
    eh_sampling stops;
    eh_sampling_init(&stops, sizeof stops);
    stops.max_new = 60;
    stops.temperature = 3.0;
    int n_ended = 0;
    need_model();
    const eh_request r = prompt(1);
    eh_generated goes[100], off[100];
    CHECK_OK(eh_generate(on, &r, 1, 100, &free_run, NULL, NULL, goes, &err));
    CHECK_OK(eh_generate(on, &r, 1, 100, &stops, NULL, NULL, off, &err));
    for (int i = 0; i < 100; i++) {
        int64_t end = 0; /* 508 and 511 end a text, says the config */
        while (end < 60 && goes[i].tok[end] != 508 && goes[i].tok[end] != 511)
            end++;
        CHECK_INT(off[i].n_tok, end);
        CHECK_INT(off[i].ended, end < 60);
        CHECK(memcmp(goes[i].tok, off[i].tok, (size_t)end * sizeof(int32_t)) == 0);
        n_ended += off[i].ended;
        eh_release(goes[i].tok);
        eh_release(off[i].tok);
    }
    CHECK(n_ended > 3);
}

TEST(a_text_stops_where_the_context_is_full)
{
    int32_t long_prompt[256];
    for (int i = 0; i < 256; i++)
        long_prompt[i] = i;
    eh_sampling options;
    eh_sampling_init(&options, sizeof options);
    options.max_new = 20;
    options.ignore_eos = true;
    need_model();
    for (int64_t n = 250; n <= 256; n++) {
        const eh_request r = {.tok = long_prompt, .n_tok = n, .from = n};
        eh_generated out;
        CHECK_OK(eh_generate(on, &r, 1, 1, &options, NULL, NULL, &out, &err));
        CHECK_INT(out.n_tok, 257 - n); /* the last token is chosen when 256 have run */
        eh_release(out.tok);
    }
}

typedef struct heard {
    int32_t tok[2][3][N_NEW];
    int64_t n[2][3];
    int left; /* calls until it asks to stop; 0: never */
} heard;

static int hear(void *ctx, int64_t p, int64_t sample, int32_t tok)
{
    heard *h = ctx;
    h->tok[p][sample][h->n[p][sample]++] = tok;
    return h->left > 0 && --h->left == 0;
}

TEST(tokens_are_shown_as_they_come_and_a_listener_may_stop)
{
    const eh_request two[2] = {prompt(0), prompt(1)};
    eh_sampling options;
    eh_sampling_init(&options, sizeof options);
    options.max_new = N_NEW;
    options.temperature = 1.0;
    eh_generated out[6];
    heard h = {.left = 0};
    need_model();
    CHECK_OK(eh_generate(on, two, 2, 3, &options, hear, &h, out, &err));
    for (int i = 0; i < 6; i++) {
        CHECK_INT(h.n[i / 3][i % 3], out[i].n_tok);
        CHECK(memcmp(h.tok[i / 3][i % 3], out[i].tok, (size_t)out[i].n_tok * sizeof(int32_t)) == 0);
        eh_release(out[i].tok);
    }
    h = (heard){.left = 8};
    CHECK_FAILS(eh_generate(on, two, 2, 3, &options, hear, &h, out, &err), EH_ESTOP, "stopped on request");
}

/* ---- Refusals -------------------------------------------------------------------------------------------- */

static void refuse(eh_sampling options, int64_t n_sample, eh_request r, int code, const char *words)
{
    eh_generated out[200];
    CHECK_FAILS(eh_generate(on, &r, 1, n_sample, &options, NULL, NULL, out, &err), code, words);
}

static eh_sampling with(int64_t max_new, double temperature, double top_p, int64_t top_k)
{
    eh_sampling o;
    eh_sampling_init(&o, sizeof o);
    o.max_new = max_new;
    o.temperature = temperature;
    o.top_p = top_p;
    o.top_k = top_k;
    return o;
}

TEST(calls_that_make_no_sense_are_refused)
{
    static const int32_t bad[2] = {1, 512}, many[300] = {0};
    const eh_request ok = prompt(0), none = {.tok = bad}, outside = {.tok = bad, .n_tok = 2};
    const eh_request far = {.tok = many, .n_tok = 257};
    eh_sampling options;
    eh_sampling_init(&options, sizeof options);
    options.max_new = 5;
    need_model();
    refuse(options, 0, ok, EH_EINVAL, "0 samples");
    refuse(options, 129, ok, EH_EINVAL, "129 samples");
    refuse(with(5, -1.0, 1.0, EH_ALL), 1, ok, EH_EINVAL, "temperature -1");
    refuse(with(5, NAN, 1.0, EH_ALL), 1, ok, EH_EINVAL, "temperature");
    refuse(with(0, 0.0, 1.0, EH_ALL), 1, ok, EH_EINVAL, "0 tokens");
    refuse(with(257, 0.0, 1.0, EH_ALL), 1, ok, EH_EINVAL, "257 tokens");
    refuse(with(5, 0.0, 1.5, EH_ALL), 1, ok, EH_EINVAL, "top_p 1.5");
    refuse(with(5, 0.0, 0.0, EH_ALL), 1, ok, EH_EINVAL, "top_p 0");
    refuse(with(5, 0.0, NAN, EH_ALL), 1, ok, EH_EINVAL, "top_p");
    refuse(with(5, 0.0, 1.0, 0), 1, ok, EH_EINVAL, "top_k 0");
    refuse(with(5, 0.0, 1.0, -2), 1, ok, EH_EINVAL, "top_k -2");
    refuse((eh_sampling){.max_new = 5}, 1, ok, EH_EINVAL, "call eh_sampling_init first");
    refuse(options, 1, none, EH_EINVAL, "prompt 0 has no token");
    refuse(options, 1, outside, EH_EINVAL, "token 1 is 512");
    refuse(options, 1, far, EH_ERANGE, "257 tokens");
    session_close(on);
    on = NULL;
}
