/*
 * Summaries of hidden states and MLP activations, layer by layer, at each request's answer position.
 *
 *     eh_layer_probe p = {0};
 *     rc = eh_layer_probe_start(&p, m, n, err);
 *     const eh_observer o = eh_layer_probe_observer(&p);
 *     rc = eh_score_observed(m, request, n, answer, &o, 1, err);
 *     p.value[(i * n_layer + l) * EH_LAYER_N_STAT + EH_LAYER_NEURON_MAX]
 *     eh_layer_probe_clear(&p);
 *
 * Mean and max are of the numbers with their signs. Sparsity is the share of numbers whose size is at
 * most EH_SPARSE times that of the row's largest.
 */
#ifndef EH_PROBE_LAYERS_H
#define EH_PROBE_LAYERS_H

#include "model/session.h"

#define EH_SPARSE 1e-3

typedef enum eh_layer_stat {
    EH_LAYER_RESID_MEAN,
    EH_LAYER_RESID_MAX,
    EH_LAYER_RESID_SPARSITY,
    EH_LAYER_NEURON_MEAN,
    EH_LAYER_NEURON_MAX,
    EH_LAYER_NEURON_SPARSITY,
    EH_LAYER_N_STAT
} eh_layer_stat;

extern const char *const eh_layer_stat_names[EH_LAYER_N_STAT]; /* "hidden_mean", ..., "mlp_sparsity" */

typedef struct eh_layer_probe {
    float *value; /* [n, n_layer, EH_LAYER_N_STAT]; the hidden state is that after the layer */
    int64_t n;
    int64_t n_layer; /* private */
} eh_layer_probe;

/* Ready for one call of eh_score_observed with n requests. */
int eh_layer_probe_start(eh_layer_probe *p, const eh_session *s, int64_t n, eh_err *err);
eh_observer eh_layer_probe_observer(eh_layer_probe *p);
void eh_layer_probe_clear(eh_layer_probe *p);

#endif
