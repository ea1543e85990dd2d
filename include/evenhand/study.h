/*
 * evenhand/study.h - whole studies of a model (band 2: run a study)
 *
 *     eh_audit *audit;
 *     eh_audit_options o;
 *     eh_audit_options_init(&o, sizeof o);
 *     o.out = "out";
 *     rc = eh_audit_run(s, &o, &audit, &err);             our own probes: nothing to download
 *     const eh_audit_result *r = eh_audit_get(audit);     r->row[0 .. r->n_row - 1]
 *     eh_audit_close(audit);
 */
#ifndef EVENHAND_STUDY_H
#define EVENHAND_STUDY_H

#include "evenhand/edit.h"
#include "evenhand/score.h"

/* ---- Benchmarks and their scores ------------------------------------------------------------ */

/* Where better lies. */
typedef enum eh_better {
    EH_BETTER_ZERO,    /* the nearer to 0, the better */
    EH_BETTER_FIFTY,   /* a percentage: the nearer to 50, the better */
    EH_BETTER_HIGHER,
    EH_BETTER_LOWER,
    EH_BETTER_NEITHER, /* describes; does not judge */
    EH_N_BETTER
} eh_better; /* their names: EH_CHOICE_BETTER */

/* What a score is about. */
typedef enum eh_score_kind {
    EH_SCORE_BIAS,
    EH_SCORE_UTILITY,  /* what the model can do: an edit must not break it */
    EH_SCORE_POSITION, /* whether answers go by the position of options: the effect, which has a direction, and the
                          probabilities of the places, in their order, which have none */
    EH_SCORE_OTHER,
    EH_N_SCORE_KIND
} eh_score_kind; /* their names: EH_CHOICE_SCORE_KIND */

typedef struct eh_benchmark_score {
    const char *name;   /* "s_AMB" */
    const char *words;  /* "bias where the context does not answer" */
    const char *unit;   /* of its axis: "nats" */
    double low, high;   /* the range it can have; may be infinite */
    eh_better better;
    eh_score_kind kind;
    int headline;       /* place, from 1, among the few scores that stand for the benchmark; 0: it is none of them */
    const char *source; /* whose score it is */
} eh_benchmark_score;

#define EH_HEADLINES 4 /* most headline scores of a benchmark */

/* What must be given for a benchmark to have data. */
typedef enum eh_benchmark_needs {
    EH_NEEDS_NOTHING, /* its data come with evenhand */
    EH_NEEDS_DATA,    /* the folder `data` */
    EH_NEEDS_ITEMS    /* the file `items` */
} eh_benchmark_needs;

typedef struct eh_benchmark {
    const char *name;      /* "bbq" */
    const char *what;      /* one line of help */
    const char *licence;   /* of the data */
    const char *source;    /* whose data and whose method, one line */
    const char *published; /* where the data are to be had */
    const char *files;     /* what is looked for there */
    eh_benchmark_needs needs;
    const eh_benchmark_score *score; /* [n_score] */
    int n_score;
    const char *measure;   /* what heads are correlated with unless told otherwise; NULL: it cannot be located on */
    const char *lowers;    /* the score that a run lowers; NULL: it cannot judge a run */
    const char *beside;    /* comma list of benchmarks that a run measures beside it (beside items of one's own only
                              where a folder of probes is given); NULL: none */
    bool trains;           /* its items have right answers, which eh_tune can learn */
} eh_benchmark;

/* The *n benchmarks there are. Unless told otherwise an audit asks the first that needs what was given: with a file of
 * items the first that needs one, else the first that needs nothing. */
EH_API const eh_benchmark *const *eh_benchmarks(int *n);

/* ---- What is chosen by name (eh_choices) ------------------------------------------------------ */

/* Which of a benchmark's templates: no template both selects units and judges an edit of them. */
typedef enum eh_split { EH_SPLIT_ALL, EH_SPLIT_SELECT, EH_SPLIT_TUNE, EH_SPLIT_TEST } eh_split;

/* What heads are correlated with, a number of each item; docs/methods/heads.md. */
typedef enum eh_measure {
    EH_MEASURE_AUTO = -1, /* the benchmark's own (eh_benchmark) */
    EH_MEASURE_CI,        /* how far the context moves the answer */
    EH_MEASURE_CI_BIAS,   /* how far it moves it towards the biased one */
    EH_MEASURE_LOG_RATIO, /* log p of the biased answer less that of the other */
    EH_N_MEASURE
} eh_measure;

/* What is seen of a head on an item; docs/methods/heads.md. */
typedef enum eh_head_stat {
    EH_HEAD_AUTO = -1, /* group_attention, unless most items' groups are not found in their text: then head_effect */
    EH_HEAD_GROUP_ATTENTION,
    EH_HEAD_CONTEXT_ATTENTION,
    EH_HEAD_ENTROPY,
    EH_HEAD_NORM,
    EH_HEAD_N_FORWARD, /* those above come from a forward pass, those below from a backward pass */
    EH_HEAD_EFFECT = EH_HEAD_N_FORWARD,
    EH_HEAD_RELEVANCE,
    EH_HEAD_N_STAT
} eh_head_stat;

typedef enum eh_selection {
    EH_SELECT_FDR,      /* by a false-discovery rate */
    EH_SELECT_PUBLISHED /* by the published thresholds |r| >= 0.2, without a test: for comparison only */
} eh_selection;

typedef enum eh_preset { EH_PRESET_QUICK, EH_PRESET_STANDARD, EH_PRESET_THOROUGH, EH_N_PRESET } eh_preset;

/* The weights that a training changes. */
typedef enum eh_tune_group {
    EH_TUNE_NONE = -2, /* of eh_study_run alone, as is the next */
    EH_TUNE_BY_PRESET,
    EH_TUNE_EDITED,
    EH_TUNE_ATTENTION,
    EH_TUNE_NORMS,
    EH_TUNE_ALL,
    EH_TUNE_N_GROUP
} eh_tune_group;

/* The learning rate after the warm-up. */
typedef enum eh_schedule { EH_SCHEDULE_LINEAR, EH_SCHEDULE_CONSTANT } eh_schedule;

/* ---- Audits -------------------------------------------------------------------------------- */

struct eh_task; /* private to the library */

typedef struct eh_audit_options {
    size_t size;            /* by eh_audit_options_init, as all defaults */
    const char *tasks;      /* comma list of benchmarks; NULL: see eh_benchmarks */
    const char *data;       /* folder with the benchmarks' files; NULL: only our own probes can run */
    const char *items;      /* file of items of one's own, JSON Lines (docs/formats.md); NULL: none */
    const char *probes;     /* folder of our probe set; NULL: $EVENHAND_PROBES, the installed one, the source tree's */
    const char *out;        /* out folder; made when it is not there. Required */
    const char *answer;     /* one of the benchmarks' ways of answering, as "letters", "text", "text_pmi"; NULL: the
                               first of the first benchmark that has any: letters */
    const char *orders;     /* in which the options are shown, as "stored", "cyclic", "all"; NULL likewise: cyclic */
    const char *categories; /* comma list; NULL: all */
    const char *categories_of; /* the benchmark that they are of, the others take all; NULL: of every one */
    eh_split split;         /* that part of the templates alone */
    int64_t limit;          /* items of a category at most, whole templates drawn by seed; EH_ALL */
    int64_t rows;           /* the first rows of each category in stored order (for speed tests); EH_ALL */
    bool chat;              /* wrap prompts in the model's chat template */
    uint64_t seed;          /* of draws and of the bootstrap */
    int64_t resamples;      /* of the bootstrap */
    double confidence;      /* of the intervals, between 0 and 1 */
    bool force;             /* start over in a folder that holds another run's files */
    const char *command;    /* the command line, kept in reproduce.json; may be NULL */
    eh_progress *progress;  /* may be NULL */
    void *progress_ctx;
    const struct eh_task *const *extra; /* benchmarks that eh_benchmarks() does not have, NULL at the end; NULL: none.
                                           For the library's own tests: a program cannot make one */
} eh_audit_options;
EH_API void eh_audit_options_init(eh_audit_options *o, size_t size);

typedef struct eh_score_row {
    const char *task, *category, *score; /* "bbq", "Age", "s_AMB" */
    double value, low, high;             /* NaN when !defined */
    bool defined;
    int64_t n, n_cluster;  /* items and templates behind it */
    eh_better better;
    const char *note;      /* NULL, or what must be said beside it (position effect, few templates) */
} eh_score_row;

typedef struct eh_audit_result {
    const eh_score_row *row; /* [n_row] */
    int64_t n_row;
    const char *answer, *orders; /* in which way it was asked, and with which orders of options */
    const char *notes;           /* sentences to show, one a line: strong position bias, regenerated data, ... */
    int64_t n_item, n_computed;  /* items, and how many of them this call computed */
    double seconds;              /* of this call */
} eh_audit_result;

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
EH_API int eh_audit_run(eh_session *s, const eh_audit_options *options, eh_audit **audit, eh_err *err);
EH_API const eh_audit_result *eh_audit_get(const eh_audit *a);
EH_API void eh_audit_close(eh_audit *a); /* NULL is fine */

/* ---- Calibration --------------------------------------------------------------------------- */

typedef struct eh_tune_options {
    size_t size;            /* by eh_tune_options_init, as all defaults */
    /* What is learnt: items in BBQ's form with their right answers, lines of one's own, general text. */
    const char *tasks;      /* comma list of benchmarks that train; "": none; NULL: the first that needs nothing, unless
                               examples or text are given */
    const char *data, *probes; /* folders, as in eh_audit_options */
    const char *answer;     /* "letters" or "text": the form of items; NULL: letters */
    const char *orders;     /* of the options, letters only; NULL: cyclic */
    const char *categories; /* comma list; NULL: all */
    eh_split split;         /* the templates that tune */
    int64_t limit;          /* items of a category at most; EH_ALL */
    bool chat;
    const char *examples;   /* a file, a line each: {"prompt": "..", "answer": ".."}; NULL: none */
    const char *text;       /* a file of general text; NULL: none */
    int64_t text_block;     /* tokens of a piece of it; EH_AUTO: 256, or the model's context if that is smaller */
    double text_share;      /* of the loss, where there is text; 0: the text is for `kl` only */
    double held_out;        /* share of the templates or lines kept for looking only; 0: none */
    /* In which way. */
    eh_tune_group train;
    double lr, beta1, beta2, eps, weight_decay; /* of AdamW */
    eh_schedule schedule;
    int64_t warmup;         /* steps */
    int64_t batch;          /* examples a step */
    int64_t text_batch;     /* pieces of text a step */
    int64_t steps;          /* EH_AUTO: as many as `epochs` take */
    int64_t epochs;
    double clip;            /* the gradient's norm at most; EH_NO_LIMIT */
    double kl;              /* weight of KL(original || model); 0: none. The original is opened beside the model */
    int64_t eval_every;     /* steps between looks at what is held out; EH_AUTO: a tenth of the steps */
    int64_t patience;       /* looks without improvement before it stops at the best; EH_NO_LIMIT: to the end */
    int64_t save_every;     /* steps between checkpoints */
    uint64_t seed;
    const char *out;        /* folder for tune.ckpt, tune.jsonl and tune.json. Required */
    bool force;             /* start over in a folder that holds another training */
    const char *command;    /* the command line, kept in tune.json; may be NULL */
    eh_progress *progress;  /* may be NULL */
    void *progress_ctx;
    const struct eh_task *const *extra; /* as in eh_audit_options */
} eh_tune_options;
EH_API void eh_tune_options_init(eh_tune_options *o, size_t size);

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
 * slices are put back exactly. Afterwards the trained weights are in force in s, eh_session_edits() is
 * empty, and the fingerprint stands for both.
 * Ambiguous items are learnt with "unknown", disambiguated ones with their right answer.
 * Writes tune.jsonl (step, loss, tune_loss, lr, grad_norm), tune.json (what was done), tune.ckpt. The
 * same call on the same model in the same folder resumes from the checkpoint, to the same bytes.
 * Errors   EH_EINVAL no edits to train around, nothing to learn from; EH_ENOSUP a model opened in bf16;
 *          EH_ENUMERIC with the step; EH_ESTOP on request, a checkpoint written. When a step was taken
 *          the weights in force are then those after the last whole step.
 * Cost     for the weights trained: their f32 values, gradients and two moments; one packing of the
 *          model a step.
 */
EH_API int eh_tune(eh_session *s, const eh_tune_options *options, eh_tuned *tuned, eh_err *err);

/* ---- Locating heads ------------------------------------------------------------------------ */

typedef struct eh_locate_options {
    size_t size;                   /* by eh_locate_options_init, as all defaults */
    const eh_audit_options *audit; /* how items are asked. tasks: exactly one; out: required; split: not used */
    eh_split split;                /* the templates that heads are located on: those that select units */
    unsigned statistics;    /* bits 1 << eh_head_stat: those measured beside the forward ones, which come together.
                               head_effect */
    eh_head_stat statistic; /* the one that selects */
    eh_measure measure;
    eh_selection select;
    double q, floor, share; /* how a head qualifies: largest q, smallest |r|, share of the categories
                               (docs/methods/heads.md) */
    int64_t permutations;   /* of the test, to begin with */
    int64_t confirm;        /* heads of the top that are really ablated, and as many random ones; 0: none; EH_ALL: every
                               head */
    int64_t trace;          /* items on which one component at a time is patched; 0: none */
    bool even_noise;        /* select from a map whose reliability is below 0.3, too */
} eh_locate_options;
EH_API void eh_locate_options_init(eh_locate_options *o, size_t size);

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
    double zero, zero_error;  /* mean change of the target when the head is ablated, and its standard error */
    double at_mean, at_mean_error; /* the same when it is set to its mean output */
} eh_ablated;

typedef struct eh_locate_result {
    const char *statistic, *measure;  /* those that selected */
    int64_t n_item, n_skipped, n_unplaced; /* items; left out; of the items, those whose groups were not found */
    int64_t n_category, n_layer, n_head;
    double split_half, split_half_low, split_half_high; /* Spearman-Brown; NaN: not defined */
    double half_map_correlation;      /* of two maps, each of a random half of the templates; NaN: not defined */
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
 * eh_locate_run - which attention heads correlate with the bias; docs/methods/heads.md
 *
 * Writes to audit->out: samples_locate.jsonl (a record per item: measures, every statistic of every head),
 * heads.csv, layers.csv, locate.json, and with confirm confirm.csv. The same call in the same folder
 * resumes. Nothing is changed in the session.
 * Errors   as eh_audit_run; EH_EINVAL also for more than one task;
 *          EH_EDOM where fewer than 8 items are left
 */
EH_API int eh_locate_run(eh_session *s, const eh_locate_options *options, eh_head_map **out, eh_err *err);
EH_API const eh_locate_result *eh_head_map_get(const eh_head_map *l);
EH_API void eh_head_map_close(eh_head_map *l); /* NULL is fine */

/* ---- The whole job ------------------------------------------------------------------------- */

typedef struct eh_run_options {
    size_t size; /* by eh_run_options_init, as all defaults */
    /* How heads are located; its split, permutations, confirm and trace are not used. Of locate->audit: tasks is the
     * one benchmark that heads are located on and that judges the edit; out is required; answer NULL is letters,
     * unless the model's answers go by position: then text_pmi; limit EH_ALL is EH_BY_PRESET. */
    const eh_locate_options *locate;
    eh_preset preset;
    const char *also;      /* comma list of benchmarks measured before and after beside it; NULL: its `beside` */
    const char *utility;   /* the one of them that the search must spare; NULL: the first with none but scores of
                              utility */
    const char *text;      /* file of plain text, for loss and distance; NULL: the probe set's */
    int64_t permutations, confirm, trace; /* as in eh_locate_options; EH_BY_PRESET */
    int64_t points;        /* settings tried by the search; EH_BY_PRESET */
    int64_t controls;      /* random edits of the same size, 5 at least; EH_BY_PRESET */
    int64_t heads;         /* edited by `strength`, without a search; EH_AUTO: both are searched */
    double strength;       /* of the strongest head, above 0 to 1; 0 with heads EH_AUTO */
    eh_edit_mode mode;     /* not EH_EDIT_MEAN */
    eh_tune_group train;   /* what calibration trains; EH_TUNE_BY_PRESET */
    int64_t steps;         /* of calibration; 0: none; EH_BY_PRESET */
    bool no_model;         /* do not write the edited model */
} eh_run_options;
EH_API void eh_run_options_init(eh_run_options *o, size_t size);

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
} eh_run_result;

typedef struct eh_run eh_run;

/*
 * eh_study_run - from "how biased" to "edited, measured again, proven"; docs/methods/run.md
 *
 * Audit (test split), locate and select (select split), search (tune split), calibrate (tune split), audit
 * again (test split, and everything else), controls; run.json and unlearning_results.csv say what held, and
 * eh_report_write makes the page. Every stage keeps a journal in its own folder: the same call resumes
 * where it stopped. It works in a session of its own: edits in force in s stay, and are no part of it.
 * Errors   as eh_audit_run, eh_locate_run, eh_session_edit, eh_session_save
 */
EH_API int eh_study_run(eh_session *s, const eh_run_options *options, eh_run **out, eh_err *err);
EH_API const eh_run_result *eh_run_get(const eh_run *r);
EH_API void eh_run_close(eh_run *r); /* NULL is fine */
/* What that would take. Two seconds of scoring, nothing written. */
EH_API int eh_study_plan(eh_session *s, const eh_run_options *options, eh_run_plan *plan, eh_err *err);

/* ---- Planted models, checks ---------------------------------------------------------------- */

typedef struct eh_plant_options {
    size_t size;     /* by eh_plant_options_init, as all defaults */
    const char *out; /* folder, which must not be there. Required */
    uint64_t seed;   /* places and weights */
    bool nothing;    /* plant nothing: a model without a bias to find */
    bool force;      /* replace a folder that an earlier call made */
} eh_plant_options;
EH_API void eh_plant_options_init(eh_plant_options *o, size_t size);

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
EH_API int eh_selftest(const eh_model *m, const eh_session_options *options, const char *against, eh_check *check,
                       int *n,
                       eh_err *err);

#endif
