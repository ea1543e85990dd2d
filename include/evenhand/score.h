/*
 * evenhand/score.h - log-probabilities, generation, perplexity (band 1: open and ask); sites, observers and
 * attribution (band 3: look inside)
 *
 *     float logprob[3];
 *     eh_answer answer = {.token_logprob = logprob};
 *     rc = eh_score(s, &(eh_request){.tok = tok, .n_tok = 4, .from = 1}, 1, &answer, &err);
 */
#ifndef EVENHAND_SCORE_H
#define EVENHAND_SCORE_H

#include "evenhand/text.h"

/* ---- Scores -------------------------------------------------------------------------------- */

/*
 * eh_score - the log-probabilities that requests ask for
 *
 * in   request [n]
 * out  answer  [n]   in the order of the requests; written on success only in full
 *
 * In f32 an answer depends on its request alone: not on what shares its batch, on prefix sharing
 * or on the number of threads (docs/numerics.md says on which machines that is bit for bit).
 * Errors   EH_EINVAL a request that is malformed or names a token outside the vocabulary;
 *          EH_ERANGE longer than the model's context; EH_ENUMERIC a value stopped being finite,
 *          with layer and site; EH_ENOMEM
 * Threads  uses the library's own; one call at a time in a session.
 */
EH_API int eh_score(eh_session *s, const eh_request *request, int64_t n, eh_answer *answer, eh_err *err);

/* ---- Generation ---------------------------------------------------------------------------- */

typedef struct eh_sampling {
    size_t size;        /* by eh_sampling_init, as all defaults */
    double temperature; /* 0: greedy */
    double top_p;       /* draw from the likeliest tokens that hold this share, above 0 to 1 */
    int64_t top_k;      /* draw from so many of the likeliest; EH_ALL */
    int64_t max_new;    /* tokens at most */
    bool ignore_eos;
    uint64_t seed; /* a text depends on (seed, prompt index, sample index) alone, not on the batch */
} eh_sampling;
EH_API void eh_sampling_init(eh_sampling *o, size_t size);

typedef struct eh_generated {
    int32_t *tok; /* [n_tok] new tokens (an end-of-text token is not among them); eh_release */
    int64_t n_tok;
    bool ended; /* by an end-of-text token */
    double logprob; /* of the new tokens under the model at temperature 1, nats */
} eh_generated;

/*
 * eh_generate - continuations of prompts, in batches, with a key/value cache
 *
 * in   prompt [n_prompt] (tok and n_tok are used); n_sample continuations of each; sampling may be NULL: defaults
 * out  out    [n_prompt * n_sample], prompt by prompt; release each tok, on success only
 * see  called for every new token as it comes (may be NULL); a non-zero return stops with EH_ESTOP
 */
typedef int eh_token_see(void *ctx, int64_t prompt, int64_t sample, int32_t tok);
EH_API int eh_generate(eh_session *s, const eh_request *prompt, int64_t n_prompt, int64_t n_sample,
                       const eh_sampling *sampling, eh_token_see *see, void *ctx, eh_generated *out, eh_err *err);

/* ---- Perplexity ---------------------------------------------------------------------------- */

typedef enum eh_perplexity_kind {
    EH_PPL_BLOCKS,  /* "wanda": disjoint blocks of `window`, tail dropped, mean over blocks */
    EH_PPL_SLIDING, /* each token once, with at least window - stride tokens before it */
    EH_PPL_ROLLING  /* "harness": by document, every token scored once, first after BOS/EOS */
} eh_perplexity_kind;

typedef struct eh_perplexity {
    int64_t n_tok;    /* tokens scored */
    int64_t n_window; /* blocks or windows */
    double nll;       /* sum, nats */
    double nll_mean;  /* nats per token; for EH_PPL_BLOCKS the mean of the blocks' means */
    double perplexity; /* exp(nll_mean) */
    int64_t n_word, n_byte;                                  /* rolling only */
    double word_perplexity, byte_perplexity, bits_per_byte; /* rolling only */
} eh_perplexity;

typedef struct eh_perplexity_options {
    size_t size;         /* by eh_perplexity_options_init, as all defaults */
    eh_perplexity_kind kind;
    int64_t window;      /* tokens; EH_AUTO: 2,048, or the model's context if that is smaller */
    int64_t stride;      /* tokens, of EH_PPL_SLIDING; EH_AUTO: 512, or the window if that is smaller */
    int64_t max_windows; /* EH_ALL */
    bool wikitext_page;  /* the text is a page of tokenised WikiText: it is scored as
                            lm-evaluation-harness detokenises it, words and bytes are the page's */
} eh_perplexity_options;
EH_API void eh_perplexity_options_init(eh_perplexity_options *o, size_t size);

/* The text is tokenised once; for EH_PPL_ROLLING it is one document. Source: docs/methods/perplexity.md.
 * options may be NULL: all defaults.
 * Errors: EH_EDOM the text is shorter than one window needs; those of eh_score. */
EH_API int eh_perplexity_of(eh_session *s, const char *text, int64_t n, const eh_perplexity_options *options,
                            eh_perplexity *out, eh_err *err);

/* ---- Look inside: sites and observers ------------------------------------------------------ */

/* Full logits [n_tok, n_vocab] of one token sequence. out is the caller's. */
EH_API int eh_logits(eh_session *s, const int32_t *tok, int64_t n_tok, float *out, eh_err *err);

/* Named places in a layer. Rows are tokens of the batch; width says how many numbers a row has. */
typedef enum eh_site {
    EH_SITE_RESID,    /* residual stream after the layer: d_model; layer -1: the embeddings */
    EH_SITE_HEAD_OUT, /* input of the output projection: n_head * d_head */
    EH_SITE_NEURON,   /* input of the down projection: d_ff */
    EH_SITE_PROB,     /* attention probabilities of one token and head, by position */
    EH_SITE_ANSWER_PROB, /* EH_SITE_PROB, but of the requests' last rows alone: what others have costs nothing */
    EH_SITE_START     /* a batch begins, in a forward pass: all its rows, value NULL, before any other site */
} eh_site;

/* A bit beside those of the sites. With it in any observer, requests that have the same tokens keep the row of position
 * from - 1, and those after it, each for itself: so many requests on one shared prefix can each be patched there. */
#define EH_SITES_APART (1u << 16)

typedef struct eh_block {
    eh_site site;
    int64_t layer;
    int64_t first, n_row; /* the batch's rows this block holds */
    int64_t width;
    float *value;         /* [n_row, width]; an observer may overwrite all but probabilities (a patch) in a
                             forward pass */
    const float *grad;    /* [n_row, width] d(goal)/d(value) by the rules in force; NULL in a forward pass */
    int64_t head;         /* of probabilities: which; n_row is 1, width the number of positions */
    const int32_t *tok;   /* [n_row] the rows' tokens */
    const int32_t *depth; /* [n_row] their positions */
    int worker;           /* the thread: 0..threads-1; blocks of probabilities come from several at once */
    int64_t batch;           /* which batch of the call, from 0 */
    int64_t n_request;       /* requests of this batch */
    const int64_t *request;  /* [n_request] their indices in the call */
    const int64_t *last_row; /* [n_request] the batch's row of each one's position from - 1: the end of its prompt;
                                in a backward pass the row of its last token */
    const int64_t *first_row; /* [n_request] backward pass only: the row of its first token; NULL otherwise */
} eh_block;

typedef struct eh_observer {
    unsigned sites; /* bits 1 << eh_site, and EH_SITES_APART */
    int (*see)(void *ctx, const eh_block *block, eh_err *err);
    void *ctx;
} eh_observer;

/* eh_score with observers; each sees every block of its sites, layer after layer. */
EH_API int eh_score_observed(eh_session *s, const eh_request *request, int64_t n, eh_answer *answer,
                             const eh_observer *observer, int n_observer, eh_err *err);

/* ---- Look inside: attribution, one backward pass and a table of rules ---------------------- */

typedef enum eh_rules { EH_RULES_GRADIENT, EH_RULES_ATTNLRP, EH_RULES_CPLRP } eh_rules;

/* A goal is a weighted sum of what tokens get after some positions of one sequence. */
typedef struct eh_term {
    int64_t pos;   /* after tok[0..pos] */
    int32_t id;    /* -1: the likeliest token there */
    bool logit;    /* its logit, else its log-probability (nats) */
    double weight;
} eh_term;

typedef struct eh_goal {
    const int32_t *tok; /* [n_tok] */
    int64_t n_tok;
    const eh_term *term; /* [n_term], n_term >= 1 */
    int64_t n_term;
    bool joined; /* to the goal before: what is wanted is the gradient of their sum, so a prefix that it shares with
                    the first of those joined is computed once. Each keeps its own value */
} eh_goal;

/*
 * eh_attribute - the gradients of goals, each by itself, at the observers' sites
 *
 * in   goal [n], rules
 * out  value [n]  each goal's value; may be NULL
 *
 * Observers of EH_SITE_RESID (layer -1: the embeddings), EH_SITE_HEAD_OUT and EH_SITE_NEURON see
 * blocks with value and grad, from the last layer to the first; a block's rows may belong to several
 * goals: goal request[i], with those joined to it, has the batch's rows first_row[i]..last_row[i]. Goals that
 * are not joined share no prefix. Relevance of a unit is the sum of value * grad.
 * Errors   as eh_score; EH_EINVAL a position or token outside
 * Cost     one forward pass, one recomputation and one backward pass of the layers; memory
 *          n_layer * n_tok * d_model floats for a batch.
 * Source   docs/methods/attribution.md, where each rule has its equation.
 */
EH_API int eh_attribute(eh_session *s, const eh_goal *goal, int64_t n, eh_rules rules, double *value,
                        const eh_observer *observer, int n_observer, eh_err *err);

#endif
