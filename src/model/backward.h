/*
 * The backward pass: what goals change with, by one of several tables of rules.
 *
 *     const eh_grads grads = {.layer = layer, .embed = embed};     sums are added to what is there
 *     const eh_backward_options o = {.rules = EH_RULES_GRADIENT, .grads = &grads};
 *     rc = eh_backward(s, goal, n, &o, value, NULL, 0, err);
 *
 * Each goal is a segment of its own; segments share batches of m->batch_tokens. A goal's value and what
 * observers see of it do not depend on the other goals; `grads` are of the sum of all goals. Nothing
 * depends on the number of threads. Layers are recomputed from the residual stream kept at their inputs.
 *
 * Source   docs/methods/attribution.md
 */
#ifndef EH_MODEL_BACKWARD_H
#define EH_MODEL_BACKWARD_H

#include "model/goals.h"
#include "model/session.h"

/* Where the gradients of a layer's weights are added. NULL: not wanted. Linears like eh_linear's `own`: stacked parts,
 * [n_out, n_in], Hugging Face order. */
typedef struct eh_layer_grad {
    float *norm[EH_N_NORM], *norm_bias[EH_N_NORM]; /* [eh_norm_width] */
    float *linear[EH_N_LINEAR]; /* [n_out, n_in] */
    float *bias[EH_N_LINEAR];   /* [n_out] */
} eh_layer_grad;

typedef struct eh_grads {
    eh_layer_grad *layer; /* [n_layer] */
    float *embed;         /* [n_vocab, d_model]; of a tied model with the head's share, and head is NULL */
    float *lm_head;       /* [n_vocab, d_model] */
    float *position;      /* [eh_session_positions, d_model] of learned positions */
    float *final_norm, *final_norm_bias; /* [d_model] */
} eh_grads;

typedef struct eh_backward_options {
    eh_rules rules;
    int64_t batch_tokens; /* at most so many of a batch, which keeps n_layer residual streams; 0: as the session */
    const eh_kl_term *kl; /* [n_kl] in any order (a goal with KL terms may have n_term = 0) */
    int64_t n_kl;
    const eh_grads *grads; /* sums are added; NULL: no weight gradient is computed. Under rules other than
                              EH_RULES_GRADIENT they are what the modified gradient gives for the weights. Of weights as
                              they are in force: d/dW of the edited W, not of what edits were laid on */
} eh_backward_options;

/*
 * eh_backward - goals, and their gradients at the observers' sites and in the weights
 *
 * in   goal [n], options
 * out  value [n]  may be NULL; and options->grads
 *
 * When it fails, value and grads may hold some goals already and others not.
 * Errors   as eh_attribute
 */
int eh_backward(eh_session *s, const eh_goal *goal, int64_t n, const eh_backward_options *options, double *value,
                const eh_observer *observer, int n_observer, eh_err *err);

#endif
