/*
 * The three kinds of perplexity: windows by hand on a tiny model, then WikiText-2 on SmolLM2 against
 * ../shared/golden/smollm2/perplexity.json.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "session.h"
#include "evenhand.h"

static eh_err err;

/* ---- By hand -------------------------------------------------------------------------------------- */

static const char text[] =
    "The quick brown fox jumps over the lazy dog. A second sentence follows the first, and a third one follows that. "
    "Numbers such as 12, 345 and 6789 make many tokens; so do w\xC3\xB6rds with \xC3\xA4"
    "ccents.\n\nA new paragraph ends it.";

static eh_session *on;
static int32_t *id;
static int64_t n_id;

static void forget(void)
{
    eh_release(id);
    session_close(on);
}

/* Opened by whichever test comes first, and the same for all. */
static void need_model(void)
{
    if (on != NULL)
        return;
    atexit(forget);
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama"), NULL, &on, &err));
    CHECK_OK(eh_tokenize(on->m, text, (int64_t)strlen(text), EH_TEXT_SPECIAL | EH_TEXT_DEFAULT, &id, &n_id, &err));
    CHECK(n_id > 100 && n_id <= 256);
}

/* -log p of tokens from..end-1 of tok, with those from `first` before them. */
static double nll_of(const int32_t *tok, int64_t first, int64_t from, int64_t end)
{
    float lp[256];
    double sum = 0;
    const eh_request r = {.tok = tok + first, .n_tok = end - first, .from = from - first};
    eh_answer a = {.token_logprob = lp};
    CHECK_OK(eh_score(on, &r, 1, &a, &err));
    for (int64_t i = 0; i < end - from; i++)
        sum -= (double)lp[i];
    return sum;
}

static eh_perplexity measure(const eh_perplexity_options *o)
{
    eh_perplexity p;
    CHECK_OK(eh_perplexity_of(on, text, (int64_t)strlen(text), o, &p, &err));
    return p;
}

TEST(blocks_are_disjoint_and_their_means_are_averaged)
{
    need_model();
    eh_perplexity_options o;
    eh_perplexity_options_init(&o, sizeof o);
    o.kind = EH_PPL_BLOCKS;
    o.window = 32;
    const eh_perplexity p = measure(&o);
    double mean = 0, sum = 0;
    for (int64_t b = 0; b < n_id / 32; b++) {
        const double nll = nll_of(id, b * 32, b * 32 + 1, b * 32 + 32);
        sum += nll;
        mean += nll / 31;
    }
    mean /= (double)(n_id / 32);
    CHECK_INT(p.n_window, n_id / 32); /* the tail is dropped */
    CHECK_INT(p.n_tok, n_id / 32 * 31);
    CHECK_NEAR(p.nll, sum, 1e-9 * sum);
    CHECK_NEAR(p.nll_mean, mean, 1e-9);
    CHECK_NEAR(p.perplexity, exp(mean), 1e-9 * exp(mean));
}

/* Token i is scored by the first window that reaches it. */
TEST(sliding_windows_score_every_token_once)
{
    static const int64_t cases[][2] = {{32, 8}, {32, 32}, {20, 7}, {256, 64}, {2, 1}};
    need_model();
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const int64_t window = cases[c][0], stride = cases[c][1];
        eh_perplexity_options o;
        eh_perplexity_options_init(&o, sizeof o);
        o.kind = EH_PPL_SLIDING;
        o.window = window;
        o.stride = stride;
        const eh_perplexity p = measure(&o);
        double sum = 0;
        int64_t n = 0;
        for (int64_t i = 1; i < n_id; i++) {
            int64_t at = 0;
            while (at + window <= i)
                at += stride;
            if (at == i)
                continue; /* stride = window: a window's first token has nothing before it */
            sum += nll_of(id, at, i, i + 1);
            n++;
        }
        CHECK_INT(p.n_tok, n);
        CHECK_NEAR(p.nll, sum, 1e-9 * sum);
        CHECK_NEAR(p.nll_mean, sum / (double)n, 1e-9);
        if (stride < window)
            CHECK_INT(n, n_id - 1);
    }
}

/* The harness' rule: the first after BOS, then windows of full length that end where they must. */
TEST(rolling_windows_score_every_token_after_the_prefix)
{
    static const int64_t sizes[] = {16, 50, 200};
    need_model();
    eh_model_info info;
    eh_model_describe(on->m, &info);
    int32_t *tok = malloc((size_t)(n_id + 1) * sizeof *tok), *plain;
    int64_t n_plain;
    CHECK(tok != NULL);
    CHECK_OK(eh_tokenize(on->m, text, (int64_t)strlen(text), EH_TEXT_SPECIAL, &plain, &n_plain, &err));
    tok[0] = info.bos;
    memcpy(tok + 1, plain, (size_t)n_plain * sizeof *tok);
    for (size_t c = 0; c < 3; c++) {
        const int64_t size = sizes[c];
        eh_perplexity_options o;
        eh_perplexity_options_init(&o, sizeof o);
        o.kind = EH_PPL_ROLLING;
        o.window = size;
        const eh_perplexity p = measure(&o);
        double sum = 0;
        int64_t done = 0;
        while (done < n_plain) { /* tok[1 + i] is token i of the text */
            const int64_t n = n_plain - done < size ? n_plain - done : size, end = done + n;
            const int64_t first = end - size - 1 < -1 ? -1 : end - size - 1;
            sum += nll_of(tok, first + 1, done + 1, end + 1);
            done = end;
        }
        CHECK_INT(p.n_tok, n_plain);
        CHECK_NEAR(p.nll, sum, 1e-9 * sum);
        CHECK_INT(p.n_byte, strlen(text));
        CHECK_INT(p.n_word, 41);
        CHECK_NEAR(p.word_perplexity, exp(sum / 41), 1e-9 * p.word_perplexity);
        CHECK_NEAR(p.byte_perplexity, exp(sum / (double)strlen(text)), 1e-9 * p.byte_perplexity);
        CHECK_NEAR(p.bits_per_byte, sum / (double)strlen(text) / log(2), 1e-9);
    }
    eh_release(plain);
    free(tok);
}

TEST(a_limit_of_windows_is_kept)
{
    need_model();
    for (int kind = 0; kind < 3; kind++) {
        eh_perplexity_options all;
        eh_perplexity_options_init(&all, sizeof all);
        all.kind = (eh_perplexity_kind)kind;
        all.window = 20;
        all.stride = 10;
        eh_perplexity_options two = all;
        two.max_windows = 2;
        CHECK_INT(measure(&two).n_window, 2);
        CHECK(measure(&all).n_window > 4);
    }
}

TEST(what_cannot_be_measured_is_refused)
{
    eh_perplexity p = {.n_tok = 77};
    eh_perplexity_options o, wide;
    eh_perplexity_options_init(&o, sizeof o);
    o.kind = EH_PPL_BLOCKS;
    o.window = 256;
    eh_perplexity_options_init(&wide, sizeof wide);
    wide.window = 257;
    eh_perplexity_options slow, one;
    eh_perplexity_options_init(&slow, sizeof slow);
    slow.window = 16;
    slow.stride = 17;
    eh_perplexity_options_init(&one, sizeof one);
    one.window = 1;
    eh_perplexity_options less;
    eh_perplexity_options_init(&less, sizeof less);
    less.window = 16;
    less.max_windows = 0;
    eh_perplexity_options sliding;
    eh_perplexity_options_init(&sliding, sizeof sliding);
    sliding.kind = EH_PPL_SLIDING;
    sliding.window = 16;
    need_model();
    CHECK_FAILS(eh_perplexity_of(on, text, 30, &o, &p, &err), EH_EDOM, "a window of 256 needs more");
    CHECK_FAILS(eh_perplexity_of(on, text, 0, &sliding, &p, &err), EH_EDOM, "tokens");
    CHECK_FAILS(eh_perplexity_of(on, text, 30, &wide, &p, &err), EH_EINVAL, "window 257");
    CHECK_FAILS(eh_perplexity_of(on, text, 30, &slow, &p, &err), EH_EINVAL, "stride 17");
    CHECK_FAILS(eh_perplexity_of(on, text, 30, &one, &p, &err), EH_EINVAL, "window 1");
    CHECK_FAILS(eh_perplexity_of(on, text, 30, &less, &p, &err), EH_EINVAL, "max_windows is 0");
    CHECK_INT(p.n_tok, 77);
    eh_session *without;
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama-mha"), NULL, &without, &err));
    CHECK_FAILS(eh_perplexity_of(without, text, 30, &sliding, &p, &err), EH_ENOSUP, "needs the model's tokenizer");
    session_close(without);
}

/* ---- WikiText-2 on SmolLM2 -------------------------------------------------------------------------- */

#define START 60000 /* bytes of the text that make more than 4096 tokens */

/* The start of wiki.test.raw: rows are lines with their newline, blank lines are empty rows; rows
 * are joined by two newlines. */
static char *joined_rows(void)
{
    FILE *f = fopen(shared_path("data/wikitext-2/wiki.test.raw"), "r");
    char *out = calloc(1, START + 100000), *line = NULL;
    size_t room = 0;
    CHECK(f != NULL && out != NULL);
    for (bool first = true; strlen(out) < START && getline(&line, &room, f) > 0; first = false) {
        if (!first)
            strcat(out, "\n\n");
        if (strspn(line, " \t\n") < strlen(line))
            strcat(out, line);
    }
    free(line);
    fclose(f);
    return out;
}

static double number(const json_t *o, const char *key)
{
    CHECK(json_is_number(json_object_get(o, key)));
    return json_number_value(json_object_get(o, key));
}

TEST(smollm2_reaches_the_golden_figures)
{
    if (smollm2_path() == NULL || shared_path("golden/smollm2/perplexity.json") == NULL ||
        shared_path("data/wikitext-2/wiki.test.raw") == NULL)
        SKIP("needs SmolLM2, ../shared/golden/smollm2 and ../shared/data/wikitext-2");
    json_t *golden = json_load_file(shared_path("golden/smollm2/perplexity.json"), JSON_ALLOW_NUL, NULL);
    CHECK(golden != NULL);
    char *rows = joined_rows();
    eh_perplexity p;
    eh_session *smollm2;
    CHECK_OK(session_open(smollm2_path(), NULL, &smollm2, &err));

    eh_perplexity_options blocks;
    eh_perplexity_options_init(&blocks, sizeof blocks);
    blocks.kind = EH_PPL_BLOCKS;
    blocks.max_windows = 1;
    const json_t *block = json_array_get(json_object_get(json_object_get(golden, "blocks"), "block"), 0);
    CHECK_OK(eh_perplexity_of(smollm2, rows, (int64_t)strlen(rows), &blocks, &p, &err));
    CHECK_INT(p.n_tok, 2047);
    CHECK_NEAR(p.nll_mean, number(block, "nll_mean"), 2e-5);
    CHECK_NEAR(p.nll / number(block, "nll_sum"), 1.0, 1e-5);

    eh_perplexity_options sliding;
    eh_perplexity_options_init(&sliding, sizeof sliding);
    sliding.kind = EH_PPL_SLIDING;
    sliding.max_windows = 2;
    const json_t *w = json_object_get(json_object_get(golden, "sliding"), "windows");
    const double nll = number(json_array_get(w, 0), "nll_sum") + number(json_array_get(w, 1), "nll_sum");
    const double n = number(json_array_get(w, 0), "predictions") + number(json_array_get(w, 1), "predictions");
    CHECK_OK(eh_perplexity_of(smollm2, rows, (int64_t)strlen(rows), &sliding, &p, &err));
    CHECK_INT(p.n_tok, (int64_t)n);
    CHECK_NEAR(p.perplexity / exp(nll / n), 1.0, 1e-4);

    eh_perplexity_options rolling;
    eh_perplexity_options_init(&rolling, sizeof rolling);
    rolling.kind = EH_PPL_ROLLING;
    rolling.wikitext_page = true;
    const json_t *doc = json_array_get(json_object_get(json_object_get(golden, "lm_eval_rolling"), "docs"), 0);
    const char *page = json_string_value(json_object_get(doc, "page"));
    CHECK_OK(eh_perplexity_of(smollm2, page, (int64_t)strlen(page), &rolling, &p, &err));
    CHECK_INT(p.n_tok, (int64_t)number(doc, "n_ids"));
    CHECK_INT(p.n_word, (int64_t)number(doc, "words"));
    CHECK_INT(p.n_byte, (int64_t)number(doc, "bytes"));
    CHECK_NEAR(p.nll, -number(doc, "ll"), 5e-4 + 2e-5 * (double)p.n_tok);
    CHECK_NEAR(p.word_perplexity / exp(-number(doc, "ll") / number(doc, "words")), 1.0, 1e-4);

    json_decref(golden);
    free(rows);
    session_close(smollm2);
}
