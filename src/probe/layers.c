#include "probe/layers.h"

#include <math.h>

const char *const eh_layer_stat_names[EH_LAYER_N_STAT] = {
    "hidden_mean", "hidden_max", "hidden_sparsity", "mlp_mean", "mlp_max", "mlp_sparsity",
};

int eh_layer_probe_start(eh_layer_probe *p, const eh_session *s, int64_t n, eh_err *err)
{
    const int64_t width = s->m->config.n_layer * EH_LAYER_N_STAT;
    float *value = n <= INT64_MAX / width ? eh_calloc(n * width, (int64_t)sizeof *value) : NULL;
    if (value == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the layer summaries of %lld requests", (long long)n);
    eh_layer_probe_clear(p);
    *p = (eh_layer_probe){value, n, s->m->config.n_layer};
    return EH_OK;
}

void eh_layer_probe_clear(eh_layer_probe *p)
{
    eh_free(p->value);
    *p = (eh_layer_probe){0};
}

/* Mean, max and sparsity of x [n], n >= 1. */
static void summarise(const float *x, int64_t n, float *out)
{
    double sum = 0.0, size = 0.0;
    float max = x[0];
    int64_t n_small = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
        max = x[i] > max ? x[i] : max;
        size = fmax(size, fabs((double)x[i]));
    }
    for (int64_t i = 0; i < n; i++)
        n_small += fabs((double)x[i]) <= EH_SPARSE * size;
    out[0] = (float)(sum / (double)n);
    out[1] = max;
    out[2] = (float)((double)n_small / (double)n);
}

static int see(void *ctx, const eh_block *b, eh_err *err)
{
    const eh_layer_probe *p = ctx;
    if (b->layer < 0)
        return EH_OK;
    const eh_layer_stat first = b->site == EH_SITE_RESID ? EH_LAYER_RESID_MEAN : EH_LAYER_NEURON_MEAN;
    for (int64_t i = 0; i < b->n_request; i++) {
        const int64_t r = b->request[i], row = b->last_row[i] - b->first;
        if (r >= p->n)
            return eh_fail(err, EH_EINVAL, "request %lld of the call; the layer probe was started for %lld requests",
                           (long long)r, (long long)p->n);
        if (row >= 0 && row < b->n_row)
            summarise(b->value + row * b->width, b->width,
                      p->value + (r * p->n_layer + b->layer) * EH_LAYER_N_STAT + first);
    }
    return EH_OK;
}

eh_observer eh_layer_probe_observer(eh_layer_probe *p)
{
    return (eh_observer){.sites = 1u << EH_SITE_RESID | 1u << EH_SITE_NEURON, .see = see, .ctx = p};
}
