/* Opening and closing a model, and what it tells of itself. */
#include <string.h>

#include "model/model.h"

static int64_t count_parameters(const eh_weights *w)
{
    int64_t n = 0;
    for (int64_t i = 0; i < eh_weights_count(w); i++)
        n += eh_tensor_count(eh_weights_at(w, i));
    return n;
}

int eh_model_open(const char *path, eh_model **out, eh_err *err)
{
    eh_model *m = eh_calloc(1, (int64_t)sizeof *m);
    if (m == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a model");
    int rc;
    m->path = eh_strdup(path);
    if (m->path == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the path %s", path);
        goto done;
    }
    if ((rc = eh_weights_open(path, &m->weights, err)) < 0 ||
        (rc = eh_config_read(m->weights, &m->arena, &m->config, err)) < 0 ||
        (rc = eh_model_load(m, err)) < 0 || (rc = eh_model_open_tokenizer(m, err)) < 0)
        goto done;
    m->n_param = count_parameters(m->weights);
    *out = m;
    m = NULL;
done:
    eh_model_close(m);
    return rc;
}

void eh_model_close(eh_model *m)
{
    if (m == NULL)
        return;
    eh_tokenizer_close(m->tokenizer);
    eh_weights_close(m->weights);
    eh_free(m->path);
    eh_arena_clear(&m->arena);
    eh_free(m);
}

void eh_model_describe(const eh_model *m, eh_model_info *info)
{
    const eh_config *c = &m->config;
    int64_t bytes = 0;
    for (int i = 0; i < eh_weights_n_file(m->weights); i++)
        bytes += eh_weights_file_map(m->weights, i)->n;
    *info = (eh_model_info){
        .path = m->path,
        .format = eh_weights_kind_of(m->weights) == EH_WEIGHTS_GGUF ? "GGUF" : "safetensors",
        .family = c->arch->name,
        .dtype = eh_dtype_get(m->layer[0].linear[EH_LINEAR_DOWN].part[0].t->dtype)->name,
        .tokenizer = m->tokenizer != NULL ? eh_tokenizer_kind(m->tokenizer) : NULL,
        .tokenizer_trouble = m->tokenizer != NULL ? NULL : m->tokenizer_trouble,
        .n_layer = c->n_layer,
        .d_model = c->d_model,
        .n_head = c->n_head,
        .n_kv = c->n_kv,
        .d_head = c->d_head,
        .d_ff = c->d_ff,
        .n_vocab = c->n_vocab,
        .n_ctx = c->n_ctx,
        .n_param = m->n_param,
        .n_byte = bytes,
        .tied = c->tied,
        .bos = c->bos,
        .eos = c->eos,
    };
}

int eh_model_fingerprint(const eh_model *m, char out[65], eh_err *err)
{
    return eh_weights_fingerprint(m->weights, out, err);
}
