/*
 * Goals as a batch: each a segment of its own, or a branch of the one it is joined to, with the rows of the output
 * head that they name.
 *
 *     rc = eh_goals_check(m, goal, n, kl, n_kl, err);
 *     rc = eh_goals_pack(goal, n, kl, n_kl, from, batch_tokens, arena, &g, err);     goals from..g.end-1
 */
#ifndef EH_MODEL_GOALS_H
#define EH_MODEL_GOALS_H

#include "model/batch.h"
#include "model/model.h"

/* Adds weight * KL(reference || model) after tok[0..pos] to a goal's value:
 * sum_v exp(logp[v]) * (logp[v] - log p(v)), nats. */
typedef struct eh_kl_term {
    int64_t goal, pos;
    double weight;
    const float *logp; /* [n_vocab] log-probabilities of the reference */
} eh_kl_term;

/* One term, at a row of the output head. */
typedef struct eh_row_term {
    int64_t goal; /* in the call */
    eh_term term; /* id -1 until the logits are there */
    float got;    /* the logit of id */
} eh_row_term;

typedef struct eh_row_kl {
    eh_kl_term term;
    double sum, mass; /* sum_v p(v) (log p(v) - logit(v)) and sum_v p(v), p the reference */
} eh_row_kl;

typedef struct eh_goal_batch {
    eh_batch b;          /* ask: the rows that terms name, ascending */
    int64_t end;         /* the first goal that is left */
    int64_t *first_row;  /* [b.n_request] of a goal and those joined to it */
    int64_t *term_of;    /* [b.n_ask + 1] first term of each asked row */
    eh_row_term *term;   /* by row, then in the order given */
    int64_t *kl_of;      /* [b.n_ask + 1] the same for KL terms */
    eh_row_kl *kl;
} eh_goal_batch;

int eh_goals_check(const eh_model *m, const eh_goal *goal, int64_t n, const eh_kl_term *kl, int64_t n_kl, eh_err *err);
/* Goals from `from` on, with those joined to them, until batch_tokens are in (at least one such lot). Everything comes
 * from `arena`. b.request has the goals that are not joined. */
int eh_goals_pack(const eh_goal *goal, int64_t n, const eh_kl_term *kl, int64_t n_kl, int64_t from,
                  int64_t batch_tokens, eh_arena *arena, eh_goal_batch *out, eh_err *err);

#endif
