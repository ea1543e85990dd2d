/*
 * Perplexity of a text: three conventions, three names. docs/methods/perplexity.md
 */
#include <math.h>

#include "base/options.h"
#include "model/session.h"
#include "text/pair.h"
#include "text/wikitext.h"

/* Tokens first..end-1 run together; those from `from` on are scored. */
typedef struct window {
    int64_t first, from, end;
} window;

static int64_t plan_blocks(int64_t n, int64_t size, int64_t most, window *w)
{
    int64_t k = 0;
    for (int64_t at = 0; at + size <= n && (most == EH_ALL || k < most); at += size, k++)
        if (w != NULL)
            w[k] = (window){at, at + 1, at + size};
    return k;
}

static int64_t plan_sliding(int64_t n, int64_t size, int64_t stride, int64_t most, window *w)
{
    int64_t k = 0, scored = 1; /* the first token of all has nothing before it */
    for (int64_t at = 0; scored < n && (most == EH_ALL || k < most); at += stride, k++) {
        const int64_t end = at + size < n ? at + size : n;
        if (w != NULL)
            w[k] = (window){at, scored > at ? scored : at + 1, end};
        scored = end;
    }
    return k;
}

/* lm-evaluation-harness, utils.get_rolling_token_windows with context_len 1. Token 0 is the prefix. */
static int64_t plan_rolling(int64_t n, int64_t size, int64_t most, window *w)
{
    int64_t k = 0;
    for (int64_t scored = 1; scored < n && (most == EH_ALL || k < most); k++) {
        const int64_t end = scored + size < n ? scored + size : n;
        const int64_t first = end - size - 1 > 0 ? end - size - 1 : 0;
        if (w != NULL)
            w[k] = (window){first, scored, end};
        scored = end;
    }
    return k;
}

/* len(re.split(r"\s+", text)) and len(text.encode()): the harness' words and bytes. */
static void count_words(eh_str s, int64_t *words, int64_t *bytes)
{
    *bytes = s.n;
    *words = 1;
    bool in_space = false;
    for (int64_t i = 0; i < s.n;) {
        const int len = eh_utf8_next(s, i, NULL);
        const bool space = len > 0 && eh_str_rstrip((eh_str){s.p + i, len}) == 0;
        if (space && !in_space)
            (*words)++;
        in_space = space;
        i += len > 0 ? len : 1;
    }
}

/* Adds up what the windows say; *block_mean: the mean over windows of their means. */
static int score_windows(eh_session *s, const int32_t *tok, const window *w, int64_t n, eh_perplexity *p,
                         double *block_mean, eh_err *err)
{
    double block_sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t n_score = w[i].end - w[i].from;
        float *lp = eh_alloc(n_score, (int64_t)sizeof *lp);
        if (lp == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for %lld scores", (long long)n_score);
        const eh_request r = {.tok = tok + w[i].first, .n_tok = w[i].end - w[i].first, .from = w[i].from - w[i].first};
        eh_answer a = {.token_logprob = lp};
        const int rc = eh_score(s, &r, 1, &a, err);
        double nll = 0.0;
        for (int64_t t = 0; rc == EH_OK && t < n_score; t++)
            nll -= (double)lp[t];
        eh_free(lp);
        if (rc < 0)
            return rc;
        p->nll += nll;
        p->n_tok += n_score;
        p->n_window++;
        block_sum += nll / (double)n_score;
    }
    p->nll_mean = p->nll / (double)p->n_tok;
    *block_mean = block_sum / (double)n;
    return EH_OK;
}

void eh_perplexity_options_init(eh_perplexity_options *o, size_t size)
{
    const eh_perplexity_options initial = {
        .kind = EH_PPL_BLOCKS, .window = EH_AUTO, .stride = EH_AUTO, .max_windows = EH_ALL};
    eh_options_init(o, size, &initial, sizeof initial);
}

int eh_perplexity_of(eh_session *s, const char *text, int64_t n, const eh_perplexity_options *options,
                     eh_perplexity *out, eh_err *err)
{
    eh_perplexity_options o;
    eh_perplexity_options_init(&o, sizeof o);
    int rc = eh_options_take(&o, sizeof o, options, "eh_perplexity_options_init", err);
    if (rc < 0)
        return rc;
    const eh_perplexity_kind kind = o.kind;
    const int64_t ctx = s->m->config.n_ctx, most = o.max_windows;
    const int64_t size = o.window != EH_AUTO ? o.window : ctx < 2048 ? ctx : 2048;
    const int64_t stride = o.stride != EH_AUTO ? o.stride : size < 512 ? size : 512;
    if (eh_choice_name(EH_CHOICE_PERPLEXITY, (int)kind) == NULL)
        return eh_fail(err, EH_EINVAL, "there is no kind %d of perplexity", (int)kind);
    if (size < 2 || size > ctx || stride < 1 || stride > size)
        return eh_fail(err, EH_EINVAL,
                       "window %lld, stride %lld; wanted a window of 2 to %lld tokens (the context), and a stride of "
                       "1 to the window",
                       (long long)size, (long long)stride, (long long)ctx);
    if (most < 1 && most != EH_ALL)
        return eh_fail(err, EH_EINVAL, "max_windows is %lld, wanted 1 or more, or EH_ALL (%d)",
                       (long long)most, EH_ALL);
    if (s->m->tokenizer == NULL)
        return eh_fail(err, EH_ENOSUP, "this needs the model's tokenizer: %s", s->m->tokenizer_trouble);

    eh_ids ids = {0};
    window *w = NULL;
    int64_t n_window;
    eh_buf plain = {0};
    eh_str scored = {text, n};
    if (o.wikitext_page) {
        rc = eh_wikitext_detokenise(scored, &plain, err);
        if (rc < 0)
            goto done;
        scored = eh_buf_get(&plain);
    }
    if (kind == EH_PPL_ROLLING) {
        int64_t from;
        rc = eh_pair_encode(s->m->tokenizer, EH_STR(""), scored, -1, 0, &ids, &from, err);
    } else {
        /* As Hugging Face tokenizers do by default: with BOS where the model has that policy. */
        rc = eh_tokenizer_encode(s->m->tokenizer, scored, EH_ENCODE_SPECIAL | EH_ENCODE_DEFAULT, &ids, err);
    }
    if (rc < 0)
        goto done;
    for (int pass = 0; pass < 2; pass++) { /* count, then fill */
        n_window = kind == EH_PPL_BLOCKS    ? plan_blocks(ids.n, size, most, w)
                   : kind == EH_PPL_SLIDING ? plan_sliding(ids.n, size, stride, most, w)
                                            : plan_rolling(ids.n, size, most, w);
        if (pass == 0 && (w = eh_alloc(n_window, (int64_t)sizeof *w)) == NULL) {
            rc = eh_fail(err, EH_ENOMEM, "no memory for %lld windows", (long long)n_window);
            goto done;
        }
    }
    if (n_window == 0) {
        rc = eh_fail(err, EH_EDOM, "the text has %lld tokens; a window of %lld needs more", (long long)ids.n,
                     (long long)size);
        goto done;
    }
    eh_perplexity p = {0};
    double block_mean = 0.0;
    rc = score_windows(s, ids.id, w, n_window, &p, &block_mean, err);
    if (rc < 0)
        goto done;
    if (kind == EH_PPL_BLOCKS)
        p.nll_mean = block_mean;
    p.perplexity = exp(p.nll_mean);
    if (kind == EH_PPL_ROLLING) {
        count_words((eh_str){text, n}, &p.n_word, &p.n_byte);
        p.word_perplexity = exp(p.nll / (double)p.n_word);
        p.byte_perplexity = exp(p.nll / (double)p.n_byte);
        p.bits_per_byte = p.nll / (double)p.n_byte / 0.69314718055994530942;
    }
    *out = p;
done:
    eh_buf_clear(&plain);
    eh_free(w);
    eh_ids_clear(&ids);
    return rc;
}
