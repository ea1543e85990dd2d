/*
 * Patches: parts of a forward pass overwritten on the way, to see what they carry.
 *
 *     const eh_ablate list[] = {{.layer = 3, .head = 1}, {.layer = 7, .head = 0, .mean = mean}};
 *     eh_ablation a = {m, list, 2};                       heads ablated, or set to a mean
 *     const eh_observer o = eh_ablation_observer(&a);
 *     rc = eh_score_observed(m, request, n, answer, &o, 1, err);
 *
 *     eh_head_means means = {0};                          what heads put out on average
 *     rc = eh_head_means_start(&means, m, err);
 *     const eh_observer o = eh_head_means_observer(&means);
 *     ... calls of eh_score_observed ...
 *     eh_head_means_get(&means, layer, head, mean);
 *     eh_head_means_clear(&means);
 *
 *     rc = eh_trace(m, source, target, n, logprob, err);   layer tracing, one component at a time
 *
 * The output projection and the down projection are linear: what enters them at a row settles what
 * the layer's attention, or its MLP, adds to the residual stream there. So components are patched at
 * EH_SITE_HEAD_OUT and EH_SITE_NEURON.
 */
#ifndef EH_PROBE_PATCH_H
#define EH_PROBE_PATCH_H

#include "model/session.h"

/* ---- Heads ablated ------------------------------------------------------------------------------ */

typedef struct eh_ablate {
    int64_t layer, head;
    const float *mean; /* [d_head] what the head puts out at every position; NULL: zero */
} eh_ablate;

/* Room for the observer, which borrows all of it. A unit the model does not have: EH_ERANGE. */
typedef struct eh_ablation {
    const eh_session *s;
    const eh_ablate *list; /* [n] */
    int64_t n;
} eh_ablation;

eh_observer eh_ablation_observer(eh_ablation *a);

/* Means over all the rows that the layers compute, in any number of calls: a prefix that requests
 * share counts once. */
typedef struct eh_head_means {
    double *sum; /* [n_layer, n_head * d_head] */
    int64_t n_row;
    const eh_session *s; /* private */
} eh_head_means;

int eh_head_means_start(eh_head_means *p, const eh_session *s, eh_err *err); /* of nothing yet */
eh_observer eh_head_means_observer(eh_head_means *p);
void eh_head_means_get(const eh_head_means *p, int64_t layer, int64_t head, float *mean); /* [d_head] */
void eh_head_means_clear(eh_head_means *p);

/* ---- One row taken, one row put ------------------------------------------------------------------ */

/* Takes a site's values at each request's answer position. */
typedef struct eh_capture {
    float *value; /* [n, n_layer, width] */
    int64_t n, width;
    int64_t n_layer; /* private */
    eh_site site;
} eh_capture;

int eh_capture_start(eh_capture *t, const eh_session *s, eh_site site, int64_t n, eh_err *err); /* HEAD_OUT or NEURON */
eh_observer eh_capture_observer(eh_capture *t);
void eh_capture_clear(eh_capture *t);

/* Puts a value in place of a site's at one layer and a request's answer position. */
typedef struct eh_patch {
    eh_site site;  /* EH_SITE_HEAD_OUT or EH_SITE_NEURON */
    int64_t layer; /* -1: nothing is put */
    const float *value; /* [width] */
} eh_patch;

typedef struct eh_patches {
    const eh_patch *put; /* [n], one for each request */
    int64_t n;
} eh_patches;

eh_observer eh_patches_observer(eh_patches *p); /* requests are kept apart (EH_SITES_APART) */

/* ---- Layer tracing --------------------------------------------------------------------------------- */

enum { EH_TRACE_ATTENTION, EH_TRACE_MLP, EH_TRACE_N };

/*
 * eh_trace - what one component of one layer carries at the answer position
 *
 * Each component's output at source[i]'s answer position is put in its place at target[i]'s, one
 * component at a time, and the target's candidates are scored.
 *
 * in   source, target  [n] prompts with candidates and nothing scored (from == n_tok); all of target
 *                      have the same n_cand >= 1; source's are not used
 * out  plain    [n, n_cand]  nats, of the target as it is
 *      patched  [n, n_layer, EH_TRACE_N, n_cand]
 *
 * Errors   EH_EINVAL requests of another form; those of eh_score
 * Cost     a target's prefix is computed once for all its patches: about 2 n_layer more tokens a target.
 */
int eh_trace(eh_session *s, const eh_request *source, const eh_request *target, int64_t n, float *plain, float *patched,
             eh_err *err);

#endif
