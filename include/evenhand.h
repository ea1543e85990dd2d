/*
 * evenhand - find where a language model's social bias lives, turn it down, prove what that did
 *
 *     eh_err err;
 *     eh_model *m;
 *     if (eh_model_open("SmolLM2.gguf", NULL, &m, &err) < 0)
 *         puts(err.text);
 *     ... eh_score(), eh_generate(), eh_audit() ...
 *     eh_model_close(m);
 */
#ifndef EVENHAND_H
#define EVENHAND_H

#include <stdbool.h>
#include <stdint.h>

#define EH_API __attribute__((visibility("default")))

/* ---- Errors ---------------------------------------------------------------------------- */

/* One list makes the codes, their names and their first words. */
#define EH_ERRORS(X) \
    X(EINVAL,   -1, "wrong use") \
    X(ENOMEM,   -2, "out of memory") \
    X(EIO,      -3, "input or output failed") \
    X(EFORMAT,  -4, "a file is not what it says it is") \
    X(ERANGE,   -5, "a number is out of range") \
    X(EDOM,     -6, "the statistic is not defined on this input") \
    X(ENUMERIC, -7, "a value stopped being finite") \
    X(ENOSUP,   -8, "not supported") \
    X(ENOENT,   -9, "not found") \
    X(ESTOP,   -10, "stopped on request") \
    X(ENOFIT,  -11, "would not fit")

enum {
    EH_OK = 0,
#define EH_ERROR_CODE(name, number, text) EH_##name = number,
    EH_ERRORS(EH_ERROR_CODE)
#undef EH_ERROR_CODE
};

/* Holds one whole sentence that someone can act on. Every failing call fills it. */
typedef struct eh_err {
    int code;
    char text[1000];
} eh_err;

/* First words for a code ("out of memory"); never NULL. */
EH_API const char *eh_error_name(int code);
EH_API const char *eh_version(void); /* of the library: "0.1.0" */

/* ======== Band 1: open and ask ============================================================== */

typedef enum eh_precision {
    EH_AUTO, /* f32 below 2 billion parameters, else bf16 where the processor has it */
    EH_F32,  /* products in float32 */
    EH_BF16  /* products in bfloat16 with float32 sums; all else in float32 */
} eh_precision;

typedef struct eh_options {
    eh_precision precision;
    int threads;            /* 0: all cores this process may use */
    int64_t batch_tokens;   /* distinct tokens that go through a layer together; 0: 4096 */
    int64_t memory;         /* bytes of packed weights kept between batches; the rest is packed anew
                               for each batch. 0: 384 MiB for scoring, all for generation */
    bool no_prefix_sharing; /* compute a prefix again for each request that has it */
    const char *product;    /* "onednn", "reference"; NULL: the best there is */
} eh_options;

typedef struct eh_model eh_model;

/*
 * eh_model_open - a model folder (config.json, safetensors) or a GGUF file
 *
 * in   path, options   options may be NULL: all defaults
 * out  m               to be closed by eh_model_close; written on success only
 *
 * Weights are mapped, not read; layers are packed when first used. The tokenizer is opened when
 * the files hold one; a model without scores token ids only.
 * Errors   EH_ENOENT no such file; EH_EFORMAT a file is damaged; EH_ENOSUP a family, type or
 *          tokenizer that is not supported; EH_ENOMEM
 */
EH_API int eh_model_open(const char *path, const eh_options *options, eh_model **m, eh_err *err);
EH_API void eh_model_close(eh_model *m); /* NULL is fine */

typedef struct eh_info {
    const char *path, *format, *family, *dtype, *tokenizer; /* dtype: of most weights; tokenizer: NULL if none */
    const char *tokenizer_trouble;                          /* why there is none, or NULL */
    const char *product, *simd, *features;                  /* backend; kernels; the processor's names for them */
    int64_t n_layer, d_model, n_head, n_kv, d_head, d_ff, n_vocab, n_ctx;
    int64_t n_param, n_byte; /* parameters; bytes of the weight files */
    bool tied;
    eh_precision precision; /* as resolved: never EH_AUTO */
    int threads;
    int64_t batch_tokens;
    int64_t packed_bytes; /* all layers and the head, packed */
    int64_t kept_bytes;   /* of which kept between batches */
    int64_t batch_bytes;  /* working memory for a full batch, about */
    int32_t bos, eos;     /* -1: none */
} eh_info;

EH_API void eh_model_info(const eh_model *m, eh_info *info); /* pointers live as long as m */
/* A fingerprint of the weights (headers and the start of every tensor), 64 hex digits and a NUL. */
EH_API int eh_model_fingerprint(const eh_model *m, char out[65], eh_err *err);

/* ---- Requests: tokens, and what to score of them --------------------------------------------- */

typedef struct eh_request {
    const int32_t *tok;  /* [n_tok], n_tok >= 1 */
    int64_t n_tok;
    int64_t from;        /* scores log p(tok[i] | tok[0..i-1]) for i in from..n_tok-1; 1 <= from <= n_tok */
    const int32_t *cand; /* [n_cand] candidates for the token after the last */
    int64_t n_cand;
} eh_request;

typedef struct eh_answer {
    float *token_logprob; /* [n_tok - from], nats; the caller's room */
    float *cand_logprob;  /* [n_cand], nats; the caller's room */
    bool is_greedy;       /* every scored token was the likeliest of the vocabulary */
} eh_answer;

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
 * Threads  uses the library's own; one call at a time per model.
 */
EH_API int eh_score(eh_model *m, const eh_request *request, int64_t n, eh_answer *answer, eh_err *err);

/* Tokens that went through the layers since opening, and tokens that requests asked for: the
 * difference is what prefix sharing saved. */
EH_API void eh_model_counts(const eh_model *m, int64_t *computed, int64_t *asked);

/* ---- Text ------------------------------------------------------------------------------------ */

/* All text is UTF-8 with its length; arrays that come back are the caller's to eh_release. */
enum {
    EH_TEXT_SPECIAL = 1, /* special tokens written in the text are recognised */
    EH_TEXT_DEFAULT = 2  /* with the model's own BOS/EOS policy */
};
EH_API int eh_tokenize(const eh_model *m, const char *text, int64_t n, unsigned flags, int32_t **id, int64_t *n_id,
                       eh_err *err);
EH_API int eh_detokenize(const eh_model *m, const int32_t *id, int64_t n, bool skip_special, char **text,
                         int64_t *n_text, eh_err *err);
/* Context and continuation by the rule of lm-evaluation-harness: trailing blanks of the context
 * move to the continuation, both are encoded together and cut at the length of the context encoded
 * alone; an empty context becomes BOS (EOS if there is none). Too long: cut on the left.
 * The request's arrays are one allocation that *id points to. */
EH_API int eh_encode_pair(const eh_model *m, const char *context, int64_t n_context, const char *continuation,
                          int64_t n_continuation, int32_t **id, int64_t *n_id, int64_t *from, eh_err *err);
EH_API void eh_release(void *p);

/* ---- Generation ------------------------------------------------------------------------------ */

typedef struct eh_sampling {
    double temperature; /* 0: greedy */
    double top_p;       /* 0 or 1: off */
    int64_t top_k;      /* 0: off */
    int64_t max_new;    /* tokens at most */
    bool ignore_eos;
    uint64_t seed; /* a text depends on (seed, prompt index, sample index) alone, not on the batch */
} eh_sampling;

typedef struct eh_generated {
    int32_t *tok; /* [n_tok] new tokens (an end-of-text token is not among them); eh_release */
    int64_t n_tok;
    bool ended; /* by an end-of-text token */
    double logprob; /* of the new tokens under the model at temperature 1, nats */
} eh_generated;

/*
 * eh_generate - continuations of prompts, in batches, with a key/value cache
 *
 * in   prompt [n_prompt] (tok and n_tok are used); n_sample continuations of each
 * out  out    [n_prompt * n_sample], prompt by prompt; release each tok, on success only
 * see  called for every new token as it comes (may be NULL); a non-zero return stops with EH_ESTOP
 */
typedef int eh_token_see(void *ctx, int64_t prompt, int64_t sample, int32_t tok);
EH_API int eh_generate(eh_model *m, const eh_request *prompt, int64_t n_prompt, int64_t n_sample,
                       const eh_sampling *sampling, eh_token_see *see, void *ctx, eh_generated *out, eh_err *err);

/* ---- Perplexity ------------------------------------------------------------------------------ */

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
    eh_perplexity_kind kind;
    int64_t window;      /* 0: 2048, or the model's context if that is smaller */
    int64_t stride;      /* EH_PPL_SLIDING; 0: 512 */
    int64_t max_windows; /* 0: all */
    bool wikitext_page;  /* the text is a page of tokenised WikiText: it is scored as
                            lm-evaluation-harness detokenises it, words and bytes are the page's */
} eh_perplexity_options;

/* The text is tokenised once; for EH_PPL_ROLLING it is one document. Source: docs/methods/perplexity.md.
 * Errors: EH_EDOM the text is shorter than one window needs; those of eh_score. */
EH_API int eh_perplexity_of(eh_model *m, const char *text, int64_t n, const eh_perplexity_options *options,
                            eh_perplexity *out, eh_err *err);

/* ======== Band 2: run a study =================================================================== */

/* Called now and then by long calls. A non-zero return asks to stop: the block in hand is finished
 * and recorded, then the call returns EH_ESTOP. */
typedef int eh_progress(void *ctx, const char *stage, int64_t done, int64_t total);

typedef struct eh_audit_options {
    const char *tasks;      /* comma list of benchmarks (eh_benchmarks); NULL: "items" with a file of them, else
                               "probes" */
    const char *data;       /* folder with the benchmarks' files; NULL: only our own probes can run */
    const char *items;      /* file of the task "items", JSON Lines (docs/formats.md); NULL: none */
    const char *probes;     /* folder of our probe set; NULL: $EVENHAND_PROBES, the installed one, the source tree's */
    const char *out;        /* out folder; made when it is not there. Required */
    const char *answer;     /* "letters", "text", "text_pmi"; NULL: letters */
    const char *orders;     /* "stored", "cyclic", "all"; NULL: cyclic (letters only) */
    const char *categories; /* comma list; NULL: all */
    const char *categories_of; /* the benchmark that they are of, the others take all; NULL: of every one */
    const char *split;      /* "select", "tune", "test": that part of the templates alone; NULL, "all": all */
    int64_t limit;          /* items of a category at most, whole templates drawn by seed; 0: all */
    int64_t rows;           /* the first rows of each category in stored order (for speed tests); 0: all */
    bool chat;              /* wrap prompts in the model's chat template */
    uint64_t seed;          /* of draws and of the bootstrap */
    int64_t resamples;      /* bootstrap; 0: 2,000 */
    double confidence;      /* 0: 0.95 */
    bool force;             /* start over in a folder that holds another run's files */
    const char *command;    /* the command line, kept in reproduce.json; may be NULL */
    eh_progress *progress;  /* may be NULL */
    void *progress_ctx;
} eh_audit_options;

typedef struct eh_score_row {
    const char *task, *category, *score; /* "bbq", "Age", "s_AMB" */
    double value, low, high;             /* NaN when !defined */
    bool defined;
    int64_t n, n_cluster;  /* items and templates behind it */
    const char *better;    /* "0", "higher", "lower", "50": where better lies */
    const char *note;      /* NULL, or what must be said beside it (position effect, few templates) */
} eh_score_row;

typedef struct eh_audit eh_audit;

/*
 * eh_audit_run - bias and utility benchmarks with intervals; docs/methods/
 *
 * Writes to options->out: samples_<task>.jsonl, results.json (lm-evaluation-harness layout),
 * reproduce.json, journal.jsonl. The same call in the same folder resumes: blocks that the journal
 * holds are not computed again. EH_ESTOP: stopped on request, everything done is kept.
 * EH_ENOENT: a data file is missing; the message says which, where it was looked for, where it is
 * published.
 */
EH_API int eh_audit_run(eh_model *m, const eh_audit_options *options, eh_audit **audit, eh_err *err);
EH_API const eh_score_row *eh_audit_rows(const eh_audit *a, int64_t *n);
/* Sentences to show: warnings (position effect above 50 %, regenerated data, ...) one a line. */
EH_API const char *eh_audit_notes(const eh_audit *a);
EH_API double eh_audit_seconds(const eh_audit *a, int64_t *n_item, int64_t *n_computed); /* of this call */
EH_API void eh_audit_close(eh_audit *a); /* NULL is fine */

/* ---- Calibration ------------------------------------------------------------------------------ */

typedef struct eh_tune_options {
    /* What is learnt: items in BBQ's form with their right answers, lines of one's own, general text. */
    const char *tasks;      /* "probes", "bbq", or both; "": none; NULL: "probes" unless examples or text are given */
    const char *data, *probes; /* folders, as in eh_audit_options */
    const char *answer;     /* "letters" or "text": the form of items; NULL: letters */
    const char *orders;     /* of the options, letters only; NULL: cyclic */
    const char *categories; /* comma list; NULL: all */
    const char *split;      /* NULL: "tune" */
    int64_t limit;          /* items of a category at most; 0: all */
    bool chat;
    const char *examples;   /* a file, a line each: {"prompt": "..", "answer": ".."}; NULL: none */
    const char *text;       /* a file of general text; NULL: none */
    int64_t text_block;     /* tokens of a piece of it; 0: 256 */
    double text_share;      /* of the loss; 0: 0.25 where there is text; negative: 0, the text is for `kl` only */
    double held_out;        /* share of the templates or lines kept for looking only; 0: 0.2; negative: none */
    /* How. */
    const char *train;      /* "edited", "attention", "norms", "all"; NULL: edited */
    double lr, beta1, beta2, eps, weight_decay; /* 0: 2e-5, 0.9, 0.999, 1e-8, 0 */
    const char *schedule;   /* "constant", "linear"; NULL: linear */
    int64_t warmup;         /* steps; 0: none */
    int64_t batch;          /* examples a step; 0: 16 */
    int64_t text_batch;     /* pieces of text a step; 0: 1 */
    int64_t steps;          /* 0: as many as `epochs` take */
    int64_t epochs;         /* 0: 1 */
    double clip;            /* of the gradient's norm; 0: 1.0; negative: none */
    double kl;              /* weight of KL(original || model); 0: none. The original is opened beside the model */
    int64_t eval_every;     /* steps between looks at what is held out; 0: a tenth of the steps */
    int64_t patience;       /* looks without improvement before it stops at the best; 0: never stops early */
    int64_t save_every;     /* steps between checkpoints; 0: 50 */
    uint64_t seed;
    const char *out;        /* folder for tune.ckpt, tune.jsonl and tune.json. Required */
    bool force;             /* start over in a folder that holds another training */
    const char *command;    /* the command line, kept in tune.json; may be NULL */
    eh_progress *progress;  /* may be NULL */
    void *progress_ctx;
} eh_tune_options;

typedef struct eh_tuned {
    int64_t n_example, n_held_out, n_text; /* examples to learn from and to look at; pieces of text */
    int64_t n_too_long;                    /* left out: longer than the model's context */
    int64_t n_weight;                      /* weights trained */
    int64_t step, best_step;               /* steps taken; that of the lowest loss on what is held out */
    bool stopped_early;                    /* by patience; the weights are those of best_step */
    double loss_first, loss_last;          /* nats per token, of the first and the last step's batch */
    double held_out_before, held_out_after; /* nats per token; NaN where nothing is held out */
} eh_tuned;

/*
 * eh_tune - a short training that restores what an edit broke; docs/methods/tune.md
 *
 * The model's edits in force become part of its weights and are held: after each step the edited
 * slices are put back exactly. Afterwards the trained weights are in force in m, eh_model_edits() is
 * empty, and the fingerprint stands for both.
 * Ambiguous items are learnt with "unknown", disambiguated ones with their right answer.
 * Writes tune.jsonl (step, loss, tune_loss, lr, grad_norm), tune.json (what was done), tune.ckpt. The
 * same call on the same model in the same folder goes on from the checkpoint, to the same bytes.
 * Errors   EH_EINVAL no edits to train around, nothing to learn from; EH_ENOSUP a model opened in bf16;
 *          EH_ENUMERIC with the step; EH_ESTOP on request, a checkpoint written. When a step was taken
 *          the weights in force are then those after the last whole step.
 * Cost     for the weights trained: their f32 values, gradients and two moments; one packing of the
 *          model a step.
 */
EH_API int eh_tune(eh_model *m, const eh_tune_options *options, eh_tuned *tuned, eh_err *err);

/* ---- Locating heads ------------------------------------------------------------------------------ */

typedef struct eh_locate_options {
    eh_audit_options audit; /* tasks: exactly one, in whose form it is asked; split: NULL is "select"; out: required */
    const char *statistics; /* comma list beside the forward ones, which come together: "head_effect",
                               "head_relevance"; NULL: head_effect */
    const char *statistic;  /* the one that selects; NULL: "group_attention" where groups are found, else
                               "head_effect" */
    const char *measure;    /* "ci", "ci_bias", "log_ratio"; NULL: ci_bias, for sentence pairs and items log_ratio */
    const char *select;     /* "fdr" or "seed" (the published |r| >= 0.2 without a test); NULL: fdr */
    double q, floor, share; /* 0: 0.05, 0.1, 0.3 (docs/methods/heads.md) */
    int64_t permutations;   /* 0: 9,999 */
    int64_t confirm;        /* heads of the top that are really ablated, and as many random ones; -1: every head;
                               0: none */
    int64_t trace;          /* items on which one component at a time is patched; 0: none */
    bool even_noise;        /* select from a map whose reliability is below 0.3, too */
} eh_locate_options;

typedef struct eh_head_row {
    int64_t layer, head;
    const char *category;  /* "all": over all categories, each centred on its own means */
    const char *statistic;
    double score;          /* Pearson r with the measure; NaN: the statistic or the measure does not vary */
    double rho;            /* Spearman */
    double p, q;           /* permutation within templates; Benjamini-Hochberg over heads and categories */
    double low, high;      /* of r */
    double mean;           /* of the statistic over the items */
    int64_t n;
    bool agrees;           /* r has the sign of the association that p judges; without, it cannot select */
} eh_head_row;

typedef struct eh_head_choice {
    int64_t layer, head;
    double weight, score, q; /* sum of |r|, mean r, smallest q where it qualifies */
    int64_t n_category;      /* in how many categories */
} eh_head_choice;

typedef struct eh_ablated {
    int64_t layer, head;
    bool top;                 /* of the top; else a random head of the same layers */
    double predicted;         /* |r| of the pooled map */
    double effect;            /* minus the mean head_effect: the predicted change; NaN where it was not computed */
    double zero, zero_error;  /* mean change of the target when the head is silenced, and its standard error */
    double at_mean, at_mean_error; /* the same when it is set to its mean output */
} eh_ablated;

typedef struct eh_locate_result {
    const char *statistic, *measure;  /* those that selected */
    int64_t n_item, n_skipped, n_unplaced; /* items; left out; of the items, those whose groups were not found */
    int64_t n_category, n_layer, n_head;
    double split_half, split_half_low, split_half_high; /* Spearman-Brown; NaN: not defined */
    double seed;                      /* correlation of the maps of two draws of half the templates, as two
                                         seeds give */
    bool found;
    const char *why;                  /* a sentence when nothing was found; NULL otherwise */
    const eh_head_row *row;           /* [n_row] */
    int64_t n_row;
    const eh_head_choice *choice;     /* [n_choice] by weight */
    int64_t n_choice;
    const eh_ablated *ablated;        /* [n_ablated] */
    int64_t n_ablated;
    double confirmed;                 /* Spearman of |r| and |change|; NaN: not asked for */
    double confirmed_effect;          /* Spearman of predicted and true change by head_effect */
    const char *notes;                /* sentences, one a line */
} eh_locate_result;

typedef struct eh_head_map eh_head_map;

/*
 * eh_locate_run - which attention heads go with the bias; docs/methods/heads.md
 *
 * Writes to audit.out: samples_locate.jsonl (a record per item: measures, every statistic of every head),
 * heads.csv, layers.csv, locate.json, and with confirm confirm.csv. The same call in the same folder
 * resumes. Nothing is changed in the model.
 * Errors   as eh_audit_run; EH_EINVAL also for more than one task, an unknown statistic or measure;
 *          EH_EDOM where fewer than 8 items are left
 */
EH_API int eh_locate_run(eh_model *m, const eh_locate_options *options, eh_head_map **out, eh_err *err);
EH_API const eh_locate_result *eh_head_map_get(const eh_head_map *l);
EH_API void eh_head_map_close(eh_head_map *l); /* NULL is fine */

/* ---- The whole job --------------------------------------------------------------------------------- */

typedef struct eh_run_options {
    /* locate.audit.tasks: the one benchmark that heads are located on and that judges the edit; .out: required;
     * .answer: NULL is "auto": letters, unless the model answers by place, then text_pmi; .split is not used */
    eh_locate_options locate;
    const char *preset;  /* "quick", "standard", "thorough"; NULL: quick */
    const char *also;    /* comma list of benchmarks measured before and after beside it; NULL: "pairs,utility" */
    const char *utility; /* the one of them whose accuracy the search must spare; NULL: "utility" */
    const char *text;    /* file of plain text, for loss and distance; NULL: the probe set's */
    int64_t points;      /* settings tried by the search; 0: the preset's */
    int64_t controls;    /* random edits of the same size; 0: the preset's, 5 at least */
    int64_t heads;       /* chosen by the user, with strength: no search; 0: searched */
    double strength;     /* of the strongest head, 0..1 */
    const char *mode;    /* "soft", "output", "zero"; NULL: soft */
    const char *train;   /* what calibration trains: "none", "edited", "attention", "norms", "all"; NULL: the
                            preset's */
    int64_t steps;       /* of calibration; 0: the preset's */
    bool no_model;       /* do not write the edited model */
} eh_run_options;

typedef struct eh_run_plan {
    int64_t n_select, n_tune, n_test; /* items of the splits */
    double items_per_second;          /* plain audit, measured for two seconds */
    double seconds, seconds_found_nothing; /* about: with an edit; when no heads are found. Calibration not counted */
    int64_t bytes;                    /* working memory, about */
} eh_run_plan;

typedef struct eh_run_result {
    bool found;       /* heads were selected and edited */
    const char *why;  /* when not: a sentence */
    int64_t n_head;   /* edited */
    double strength;
    int64_t n_item, n_computed; /* items asked in all stages, and how many of them by this call */
    const char *answer; /* the form that was asked in */
    const char *notes;  /* sentences, one a line */
    void *memory;       /* holds the texts; eh_run_result_clear gives it back */
} eh_run_result;

/*
 * eh_study_run - from "how biased" to "edited, measured again, proven"; docs/methods/run.md
 *
 * Audit (test split), locate and select (select split), search (tune split), calibrate (tune split), audit
 * again (test split, and everything else), controls; run.json and unlearning_results.csv say what held, and
 * eh_report_write makes the page. Every stage keeps a journal in its own folder: the same call goes on
 * where it stopped. Afterwards m has no edits in force, unless calibration changed its weights.
 * Errors   as eh_audit_run, eh_locate_run, eh_model_edit, eh_model_save
 */
EH_API int eh_study_run(eh_model *m, const eh_run_options *options, eh_run_result *result, eh_err *err);
/* What that would take. Two seconds of scoring, nothing written. */
EH_API int eh_study_plan(eh_model *m, const eh_run_options *options, eh_run_plan *plan, eh_err *err);
EH_API void eh_run_result_clear(eh_run_result *result); /* NULL and zeroed are fine */

typedef struct eh_benchmark {
    const char *name, *what, *licence, *source, *published, *better;
} eh_benchmark;
EH_API const eh_benchmark *eh_benchmarks(int *n);

typedef struct eh_plant_options {
    const char *out; /* folder, which must not be there. Required */
    uint64_t seed;   /* places and weights */
    bool nothing;    /* plant nothing: a model without a bias to find */
    bool force;      /* replace a folder that an earlier call made */
} eh_plant_options;

typedef struct eh_planted {
    int64_t n_layer, n_head;     /* of the model; n_head in a layer */
    int64_t n_planted_head, n_planted_neuron;
    int64_t head[16][2], neuron[16][2]; /* layer, index: the first n_planted_... */
    int64_t n_item, n_utility;
} eh_planted;

/*
 * eh_plant - a small model whose bias is planted in known heads and neurons, to try methods on
 *
 * Writes a model folder (Llama family, 5 layers of 8 heads, word tokens) with items.jsonl (biased items),
 * utility.jsonl (questions that the planted units have no part in) and truth.json (what was planted).
 * The weights are built, not trained: no bias of this world is in it. docs/methods/plant.md.
 *
 * out  planted   may be NULL
 * Errors   EH_EINVAL the folder is there already; EH_EIO; EH_ENOMEM. Then no folder is left.
 */
EH_API int eh_plant(const eh_plant_options *options, eh_planted *planted, eh_err *err);

typedef struct eh_check {
    const char *name;   /* "prefix sharing" */
    bool passed, skipped;
    char text[200];     /* what was found: "largest difference 0 over 96 requests" */
} eh_check;
/* Parity checks on the user's own model: finite values, prefix sharing against none, thread counts,
 * batch sizes, reference product, f32 against bf16, tokenizer round trips; `against` (may be NULL)
 * a JSON file with reference logits (docs/formats.md). check has room for *n (>= 16); *n is set. */
EH_API int eh_selftest(const char *path, const eh_options *options, const char *against, eh_check *check, int *n,
                       eh_err *err);

/* ---- Recipes and edited models ------------------------------------------------------------------ */

struct eh_unit_edit; /* below, with eh_model_edit */

typedef struct eh_recipe eh_recipe;

/* A recipe as written by hand or by eh_recipe_write (edit.json, docs/formats.md). Errors name file, unit,
 * field, what was found and wanted. */
EH_API int eh_recipe_read(const char *path, eh_recipe **recipe, eh_err *err);
EH_API void eh_recipe_close(eh_recipe *recipe); /* NULL is fine */
EH_API const struct eh_unit_edit *eh_recipe_units(const eh_recipe *recipe, int64_t *n); /* borrowed */
/* In force in memory from now on, in place of edits before. EH_EINVAL: the recipe names another model,
 * or the model is already the product of one; else as eh_model_edit. */
EH_API int eh_recipe_apply(eh_model *m, const eh_recipe *recipe, eh_err *err);

typedef struct eh_recipe_more { /* what a recipe may say beside its units; all may be NULL */
    const char *scores; /* JSON: where the choice came from */
    const char *note;
    int64_t seed;
    bool seeded; /* there is a seed */
} eh_recipe_more;
EH_API int eh_recipe_write(const char *path, const eh_model *m, const struct eh_unit_edit *unit, int64_t n,
                           const eh_recipe_more *more, eh_err *err);

typedef struct eh_saved {
    int64_t n_tensor;  /* of the file */
    int64_t n_changed; /* of them rewritten */
    int64_t n_new;     /* added: biases that hold mean outputs */
    int64_t n_byte;    /* of the weight files written */
    int64_t n_undo;    /* bytes that going back takes */
} eh_saved;

/*
 * eh_model_save - the model as it is in force, as a model of its own
 *
 * in   out    a folder where m is one, a GGUF file where m is one; force replaces a model that is there
 * out  saved  may be NULL
 *
 * Only what changed is written anew, in its own type; all else is carried over byte for byte. What is
 * needed to go back lies beside it (edit.undo; OUT.undo). It appears whole or not at all.
 * Errors   EH_EINVAL out is there already, or m is the product of a recipe; EH_ENOSUP a mean output where
 *          the family takes no bias; EH_EIO the disk is full, the place cannot be written
 * Source   docs/methods/edits.md: what writing in the model's own type costs
 */
EH_API int eh_model_save(const eh_model *m, const char *out, bool force, eh_saved *saved, eh_err *err);

/* The bytes that were there before eh_model_save wrote `path`, at `out`; checked by SHA-256. */
EH_API int eh_model_undo(const char *path, const char *out, bool force, eh_err *err);

typedef struct eh_lora {
    int64_t n_module; /* linears with an adapter */
    int64_t rank;     /* the largest */
    int64_t n_byte;   /* of the adapter */
    double max_abs;   /* |W + BA - W'|, the largest over all numbers */
    double relative;  /* its Frobenius norm over that of W' - W */
} eh_lora;

/*
 * eh_model_save_lora - what is in force minus what is stored, as a PEFT adapter in the folder `out`
 *
 * in   rank_limit  0: 512
 * Errors   EH_ENOSUP a GGUF; a change that is no matrix of low rank (a bias, a norm); a rank above the limit
 */
EH_API int eh_model_save_lora(const eh_model *m, const char *out, int64_t rank_limit, bool force, eh_lora *lora,
                              eh_err *err);

typedef struct eh_tensor_difference {
    const char *name; /* in a */
    int64_t layer;    /* -1: none */
    int64_t n;        /* numbers */
    int64_t n_differ; /* of them unequal */
    double max_abs;
    double relative;    /* Frobenius norm of b - a over that of a; NaN where a is all zero and b is not */
    double equal_bytes; /* share; NaN where the types differ */
} eh_tensor_difference;

typedef struct eh_unit_difference { /* rows and columns that are a unit's alone */
    bool neuron; /* else a query head: its rows of Q, its columns of O */
    int64_t layer, index;
    double max_abs, relative;
} eh_unit_difference;

typedef struct eh_comparison {
    eh_tensor_difference *tensor; /* [n_tensor] in the order of the layers, all of them */
    int64_t n_tensor, n_tensor_differ;
    eh_unit_difference *unit; /* [n_unit] those that differ, by relative */
    int64_t n_unit;
    double max_abs, relative; /* over all tensors */
    double equal_bytes;       /* over all tensors of one type; NaN: there are none */
} eh_comparison;

/* Two models of one shape, in whatever formats and types. Errors: EH_EINVAL the shapes differ. */
EH_API int eh_compare(const eh_model *a, const eh_model *b, eh_comparison *c, eh_err *err);
EH_API void eh_comparison_clear(eh_comparison *c);
/* ---- Report ---------------------------------------------------------------------------------- */

typedef enum eh_sentence_kind {
    EH_SAID_WORSE,    /* what got worse: leads */
    EH_SAID_CAUTION,  /* what must be known before the rest is believed */
    EH_SAID_BETTER,
    EH_SAID_CONTROL,  /* the edit against random edits of the same size */
    EH_SAID_NOTHING,  /* nothing was found, which is a result */
    EH_SAID_UNTOLD,   /* what could not be told */
    EH_SAID_COST,     /* utility and fluency */
    EH_SAID_MEASURED  /* an audit without an edit */
} eh_sentence_kind;

typedef struct eh_sentence {
    eh_sentence_kind kind;
    const char *label; /* "Worse" */
    const char *text;
} eh_sentence;

typedef struct eh_verdict {
    const char *headline;
    const eh_sentence *sentence; /* [n] in the order they should be read */
    int64_t n;
    void *memory; /* holds all of it; eh_verdict_clear gives it back */
} eh_verdict;

/*
 * eh_report_write - the page of a run, from its records alone
 *
 * in   dir      holds run.json (docs/formats.md); gets report.html, report.md and the figures'
 *               numbers as figures/<name>.csv. The same record gives the same bytes.
 * out  verdict  what the numbers allow to be said (docs/methods/report.md); may be NULL.
 *               To be cleared; written on success only
 *
 * Errors   EH_ENOENT no run.json; EH_EFORMAT one of its fields is wrong, which the message names;
 *          EH_EIO; EH_ENOMEM. Each file is written whole or not at all.
 */
EH_API int eh_report_write(const char *dir, eh_verdict *verdict, eh_err *err);
EH_API void eh_verdict_clear(eh_verdict *v); /* NULL and zeroed are fine */

/* ======== Band 3: look inside ================================================================ */

/* ---- Units and edits ------------------------------------------------------------------------- */

typedef enum eh_unit_kind { EH_UNIT_HEAD, EH_UNIT_NEURON } eh_unit_kind;

typedef enum eh_edit_mode {
    EH_EDIT_SOFT,   /* head: Q rows times (1-a)^2, output columns times (1-a); neuron: output only */
    EH_EDIT_OUTPUT, /* output columns times (1-a) */
    EH_EDIT_ZERO,   /* head: output columns 0; neuron: its rows and its column 0 */
    EH_EDIT_MEAN    /* zero, and the mean output goes into the bias of the output projection */
} eh_edit_mode;

typedef struct eh_unit_edit {
    eh_unit_kind kind;
    int64_t layer, index; /* index: query head, or neuron of the MLP */
    eh_edit_mode mode;
    double alpha;         /* 0 leaves the unit alone, 1 silences it; ZERO and MEAN: 1 */
    const float *mean;    /* EH_EDIT_MEAN: the unit's mean output, [d_head] of a head, [1] of a neuron */
} eh_unit_edit;

/*
 * eh_model_edit - the edits in force from now on, in memory, in place of those before; n = 0: none
 *
 * Source   docs/methods/edits.md (soft pruning for any grouping of query and key/value heads). With
 *          query/key norms the Q part of EH_EDIT_SOFT would be undone by the norm and is left out.
 * Errors   EH_ERANGE a unit the model does not have, alpha outside 0..1 or NaN; EH_EINVAL one unit
 *          named twice, a mean that is not given; EH_ENOMEM. Then the edits before stay in force.
 * Cost     the touched linears are packed anew when next used.
 */
EH_API int eh_model_edit(eh_model *m, const eh_unit_edit *edit, int64_t n, eh_err *err);
EH_API const eh_unit_edit *eh_model_edits(const eh_model *m, int64_t *n); /* those in force */

/* ---- Sites and observers --------------------------------------------------------------------- */

/* Full logits [n_tok, n_vocab] of one token sequence. out is the caller's. */
EH_API int eh_logits(eh_model *m, const int32_t *tok, int64_t n_tok, float *out, eh_err *err);

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
EH_API int eh_score_observed(eh_model *m, const eh_request *request, int64_t n, eh_answer *answer,
                             const eh_observer *observer, int n_observer, eh_err *err);

/* ---- Attribution: one backward pass, a table of rules ------------------------------------------ */

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
EH_API int eh_attribute(eh_model *m, const eh_goal *goal, int64_t n, eh_rules rules, double *value,
                        const eh_observer *observer, int n_observer, eh_err *err);

#endif
