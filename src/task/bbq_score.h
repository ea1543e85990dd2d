/*
 * From answers to scores: each with an interval from whole templates drawn again.
 *
 *     eh_bbq_answer *a = ...;                               one per item
 *     rc = eh_bbq_answer_of(orders, lp_full, lp_q, &a[i], err);
 *     eh_estimate e[EH_BBQ_N_SCORE];
 *     rc = eh_bbq_scores(&set, a, EH_BBQ_ALL, &(eh_bootstrap_options){.seed = 1}, e, err);
 *     e[EH_BBQ_S_AMB].value, .low, .high; eh_bbq_score_table[EH_BBQ_S_AMB].words
 *
 * "Authors": the scores of the BBQ paper and its code; 0/0 is "not defined". "Harness": those of
 * lm-evaluation-harness, which says 0 there. docs/methods/bbq.md puts them side by side.
 */
#ifndef EH_TASK_BBQ_SCORE_H
#define EH_TASK_BBQ_SCORE_H

#include "stats/sheet.h"
#include "task/bbq.h"
#include "task/bbq_prompt.h"
#include "task/task.h"

/* ---- One item's answer ----------------------------------------------------------------------- */

enum {
    EH_BBQ_HAS_PICK = 1,  /* without it the row is left out of every score */
    EH_BBQ_HAS_CI = 2,    /* p_q, ci */
    EH_BBQ_HAS_ORDER = 4, /* more than one order was asked: order_changed */
    EH_BBQ_HAS_PLACE = 8  /* place */
};

typedef struct eh_bbq_answer {
    unsigned has;
    int8_t pick;        /* the option with the highest p; the first of equals */
    bool order_changed; /* the orders do not all lead to the same option */
    double p[3];        /* by option, given context and question; sums to 1 */
    double p_q[3];      /* by option, given the question alone */
    double place[3];    /* probability of the first, second and third place, mean over orders. Where
                           options are not shown (text forms), a place is the file's and means nothing */
    double ci;          /* Context Influence: KL(p || p_q), nats, >= 0 */
} eh_bbq_answer;

/*
 * eh_bbq_answer_of - one answer from the log-probabilities of every order
 *
 * in   orders   which option stood at which place; for the text forms the row "stored"
 *      lp_full  [orders->n, 3]  log-probability of each place (letter) given the full prompt, nats
 *      lp_q     [orders->n, 3]  the same given the question-only prompt; NULL: not measured
 *
 * Each order is renormalised over its three places, mapped back to options, averaged in log space
 * and renormalised. For text_pmi pass the differences of log-probabilities.
 * Errors   EH_ENUMERIC a log-probability is not finite
 */
int eh_bbq_answer_of(const eh_bbq_orders *orders, const double *lp_full, const double *lp_q, eh_bbq_answer *out,
                     eh_err *err);
/* An answer known by its option alone; pick -1: no answer. */
eh_bbq_answer eh_bbq_answer_pick(int pick);

/* ---- Which items --------------------------------------------------------------------------- */

typedef struct eh_bbq_part {
    int32_t category; /* index into set->category; -1: all */
    int32_t family;   /* index into set->family; -1: all */
} eh_bbq_part;

#define EH_BBQ_ALL ((eh_bbq_part){-1, -1})

/* ---- The columns that everything is summed into, per template -------------------------------- */

#define EH_BBQ_COLUMNS(X) \
    X(AMB_N, "ambiguous rows") \
    X(AMB_RIGHT, "of these, answered right") \
    X(AMB_T_N, "ambiguous rows with a biased answer") \
    X(AMB_T_RIGHT, "of these, answered right") \
    X(AMB_NAMED, "of these, answered with a group") \
    X(AMB_BIASED, "of these, answered with the bias") \
    X(DIS_N, "disambiguated rows") \
    X(DIS_RIGHT, "of these, answered right") \
    X(DIS_T_N, "disambiguated rows with a biased answer") \
    X(DIS_T_RIGHT, "of these, answered right") \
    X(DIS_NAMED, "of these, answered with a group") \
    X(DIS_BIASED, "of these, answered with the bias") \
    X(WITH_N, "disambiguated rows whose right answer agrees with the bias") \
    X(WITH_RIGHT, "of these, answered right") \
    X(AGAINST_N, "disambiguated rows whose right answer goes against the bias") \
    X(AGAINST_RIGHT, "of these, answered right") \
    X(AMB_CI_N, "ambiguous rows with a Context Influence") \
    X(AMB_CI, "sum of their CI, nats") \
    X(DIS_CI_N, "disambiguated rows with a Context Influence") \
    X(DIS_CI, "sum of their CI, nats") \
    X(AMB_SHIFT_N, "ambiguous rows with a CI and a biased answer") \
    X(AMB_SHIFT, "sum of p_full(biased) - p_q(biased)") \
    X(DIS_SHIFT_N, "disambiguated rows with a CI and a biased answer") \
    X(DIS_SHIFT, "sum of p_full(biased) - p_q(biased)") \
    X(AMB_LEAN, "ambiguous rows with a CI and a biased answer: sum of p(biased) - p(other group)") \
    X(PAIR_N, "questions with a CI in both contexts") \
    X(PAIR_MORE, "of these, CI larger in the disambiguated context") \
    X(ORDER_N, "rows asked in several orders") \
    X(ORDER_CHANGED, "of these, the option depends on the order") \
    X(PLACE_N, "rows with the probabilities of places") \
    X(PLACE_1, "sum of the first place's probability") \
    X(PLACE_2, "sum of the second place's probability") \
    X(PLACE_3, "sum of the third place's probability")

typedef enum eh_bbq_column {
#define EH_BBQ_COLUMN_ID(name, what) EH_BBQ_C_##name,
    EH_BBQ_COLUMNS(EH_BBQ_COLUMN_ID)
#undef EH_BBQ_COLUMN_ID
    EH_BBQ_N_COLUMN
} eh_bbq_column;

/* The columns over a part, summed. EH_EINVAL for an answer outside 0..2 or a part outside the set. */
int eh_bbq_count(const eh_bbq_set *set, const eh_bbq_answer *answer, eh_bbq_part part, double sum[EH_BBQ_N_COLUMN],
                 eh_err *err);

/* ---- Scores ---------------------------------------------------------------------------------- */

typedef enum eh_bbq_score {
    EH_BBQ_S_AMB,
    EH_BBQ_S_DIS,
    EH_BBQ_ACCURACY_AMB,
    EH_BBQ_ACCURACY_DIS,
    EH_BBQ_ACCURACY_COST,
    EH_BBQ_CI,
    EH_BBQ_CI_AMB,
    EH_BBQ_CI_DIS,
    EH_BBQ_CI_BIAS_AMB,
    EH_BBQ_CI_BIAS_DIS,
    EH_BBQ_LEAN_AMB,
    EH_BBQ_POSITION_EFFECT,
    EH_BBQ_PLACE_1,
    EH_BBQ_PLACE_2,
    EH_BBQ_PLACE_3,
    EH_BBQ_ERROR_AMB,
    EH_BBQ_ERROR_DIS,
    EH_BBQ_CI_RISE,
    EH_BBQ_N_SCORE
} eh_bbq_score;

extern const eh_benchmark_score eh_bbq_score_table[EH_BBQ_N_SCORE];

/* The sums of a part per template (cluster: the set's) and the scores of eh_bbq_score_table made of them,
 * for estimates and for before/after; the caller's to clear. */
int eh_bbq_sheet(const eh_bbq_set *set, const eh_bbq_answer *answer, eh_bbq_part part, eh_sheet *out, eh_err *err);

/*
 * eh_bbq_scores - all scores of a part with their intervals
 *
 * in   answer  [set->n_item]
 * out  out     [EH_BBQ_N_SCORE]; a score on no rows, or 0/0, is there as not defined
 * Errors   those of eh_bbq_count and eh_bootstrap; EH_EDOM where the part has no answered row
 */
int eh_bbq_scores(const eh_bbq_set *set, const eh_bbq_answer *answer, eh_bbq_part part,
                  const eh_bootstrap_options *options,
                  eh_estimate out[EH_BBQ_N_SCORE], eh_err *err);

/* ---- The harness's scores --------------------------------------------------------------------- */

typedef enum eh_bbq_harness_score {
    EH_BBQ_H_ACC,
    EH_BBQ_H_ACCURACY_AMB,
    EH_BBQ_H_ACCURACY_DISAMB,
    EH_BBQ_H_AMB_BIAS,
    EH_BBQ_H_DISAMB_BIAS,
    EH_BBQ_N_HARNESS_SCORE
} eh_bbq_harness_score;

extern const eh_benchmark_score eh_bbq_harness_table[EH_BBQ_N_HARNESS_SCORE];

/* The choice with the highest log-probability; the first of equals. EH_ENUMERIC where one is NaN. */
int eh_bbq_harness_pick(const double ll[EH_BBQ_HARNESS_CHOICES], int8_t *choice, eh_err *err);

/* As eh_bbq_sheet. */
int eh_bbq_harness_sheet(const eh_bbq_set *set, const int8_t *choice, eh_bbq_part part, eh_sheet *out, eh_err *err);
/* As eh_bbq_scores. choice [set->n_item]: 0..11, or -1: not answered. The harness's per-category
 * numbers are those of a family (it does not know names apart). A bias score is 0 where no biased
 * answer was given, and not defined where no row is there. */
int eh_bbq_harness_scores(const eh_bbq_set *set, const int8_t *choice, eh_bbq_part part,
                          const eh_bootstrap_options *options,
                          eh_estimate out[EH_BBQ_N_HARNESS_SCORE], eh_err *err);

#endif
