#include "arch/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const eh_family eh_families[] = {
    /* name      model_type  gguf      bias   norm   permutes o_bias mlp_bias windows */
    {"Llama",   "llama",    "llama",  false, false, true,  true,  true,  false},
    {"Mistral", "mistral",  "",       false, false, true,  false, false, true}, /* its GGUF files say "llama" */
    {"Qwen 2",  "qwen2",    "qwen2",  true,  false, false, false, false, false},
    {"Qwen 3",  "qwen3",    "qwen3",  false, true,  false, true,  false, false},
    {0},
};

/* Bounds of a shape that anyone could mean; they keep every product of two of them in 64 bits. */
#define MANY ((int64_t)1 << 24)
#define CTX_MAX ((int64_t)1 << 24)

static int unknown_family(const char *where, eh_str found, eh_err *err)
{
    char list[200];
    size_t n = 0;
    for (const eh_family *f = eh_families; f->name != NULL; f++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n > 0 ? ", " : "", f->model_type);
    return eh_fail(err, EH_ENOSUP, "%s: model family \"%.*s\" is not known here; known: %s", where, (int)found.n,
                   found.p, list);
}

/* What must hold between the numbers, wherever they came from. */
static int check(const eh_config *c, const char *where, eh_err *err)
{
    if (c->n_head % c->n_kv != 0)
        return eh_fail(err, EH_EFORMAT, "%s: %lld query heads cannot share %lld key/value heads evenly", where,
                       (long long)c->n_head, (long long)c->n_kv);
    if (c->d_rot % 2 != 0 || c->d_rot > c->d_head)
        return eh_fail(err, EH_EFORMAT, "%s: %lld rotary channels in a head of %lld; wanted an even number, no more",
                       where, (long long)c->d_rot, (long long)c->d_head);
    if (c->n_head * c->d_head > MANY)
        return eh_fail(err, EH_EFORMAT, "%s: %lld heads of %lld channels are more than any model has", where,
                       (long long)c->n_head, (long long)c->d_head);
    return EH_OK;
}

/* ---- config.json --------------------------------------------------------------------------- */

/* Rotary settings: rope_theta and rope_scaling (transformers 4), or both in rope_parameters (5). */
static int read_rope(const json_t *o, const char *where, eh_config *c, eh_err *err)
{
    int rc = eh_json_real_or(o, where, "rope_theta", 1.0, 1e12, &c->rope_theta, err);
    if (rc < 0)
        return rc;
    const json_t *s = json_object_get(o, "rope_parameters");
    const char *from = "rope_parameters";
    if (!json_is_object(s)) {
        s = json_object_get(o, "rope_scaling");
        from = "rope_scaling";
    }
    if (s == NULL || json_is_null(s))
        return EH_OK;
    if (!json_is_object(s))
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is %s, wanted an object", where, from, eh_json_type(s));
    rc = eh_json_real_or(s, where, "rope_theta", 1.0, 1e12, &c->rope_theta, err);
    if (rc < 0)
        return rc;

    eh_str type = EH_STR("default");
    rc = eh_json_str_or(s, where, "type", &type, err); /* the older name of rope_type */
    if (rc == EH_OK)
        rc = eh_json_str_or(s, where, "rope_type", &type, err);
    if (rc < 0)
        return rc;
    double rotated = 1.0;
    rc = eh_json_real_or(s, where, "partial_rotary_factor", 0.0, 1.0, &rotated, err);
    if (rc < 0)
        return rc;
    c->d_rot = (int64_t)((double)c->d_rot * rotated);
    if (eh_str_eq(type, EH_STR("default")))
        return EH_OK;
    if (eh_str_eq(type, EH_STR("linear"))) {
        c->rope_scaling = EH_ROPE_LINEAR;
        return eh_json_real(s, where, "factor", 1e-6, 1e6, &c->rope_factor, err);
    }
    if (eh_str_eq(type, EH_STR("llama3"))) {
        c->rope_scaling = EH_ROPE_LLAMA3;
        rc = eh_json_real(s, where, "factor", 1e-6, 1e6, &c->rope_factor, err);
        if (rc == EH_OK)
            rc = eh_json_real(s, where, "low_freq_factor", 1e-6, 1e6, &c->rope_low, err);
        if (rc == EH_OK)
            rc = eh_json_real(s, where, "high_freq_factor", 1e-6, 1e6, &c->rope_high, err);
        if (rc == EH_OK)
            rc = eh_json_int(s, where, "original_max_position_embeddings", 1, CTX_MAX, &c->rope_original_ctx, err);
        if (rc == EH_OK && c->rope_high <= c->rope_low)
            rc = eh_fail(err, EH_EFORMAT, "%s: high_freq_factor %g is not above low_freq_factor %g", where,
                         c->rope_high, c->rope_low);
        return rc;
    }
    return eh_fail(err, EH_ENOSUP, "%s: rotary scaling \"%.*s\" is not supported; default, linear and llama3 are",
                   where, (int)type.n, type.p);
}

/* One id or a list of ids. */
static int read_ids(const json_t *v, const char *where, const char *key, eh_config *c, int32_t *first, bool is_eos,
                    eh_err *err)
{
    if (v == NULL || json_is_null(v))
        return EH_OK;
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > 8)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" lists %zu ids, wanted at most 8", where, key, n);
    if (is_eos)
        c->n_eos = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_integer(one))
            return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is %s, wanted an id or a list of ids", where, key,
                           eh_json_type(one));
        const json_int_t id = json_integer_value(one);
        if (id < 0 || id >= c->n_vocab)
            continue; /* published configs do name ids that do not exist (-1 for none); they can never occur */
        if (is_eos)
            c->eos_list[c->n_eos++] = (int32_t)id;
        if (*first < 0 || i == 0)
            *first = (int32_t)id;
    }
    return EH_OK;
}

static int read_window(const json_t *o, const char *where, eh_config *c, eh_err *err)
{
    int64_t window = 0;
    int rc = eh_json_int_or(o, where, "sliding_window", 1, CTX_MAX, &window, err);
    if (rc < 0)
        return rc;
    bool used = c->family->windows; /* Mistral has no switch; Qwen's is off where it is missing */
    rc = eh_json_bool_or(o, where, "use_sliding_window", &used, err);
    if (rc < 0 || !used || window == 0)
        return rc;
    c->window = window;
    const json_t *types = json_object_get(o, "layer_types");
    if (!json_is_array(types)) {
        c->window_first = c->family->windows ? 0 : 28; /* Qwen's default */
        return eh_json_int_or(o, where, "max_window_layers", 0, MANY, &c->window_first, err);
    }
    if ((int64_t)json_array_size(types) != c->n_layer)
        return eh_fail(err, EH_EFORMAT, "%s: \"layer_types\" has %zu entries for %lld layers", where,
                       json_array_size(types), (long long)c->n_layer);
    c->window_first = c->n_layer;
    for (int64_t l = 0; l < c->n_layer; l++) {
        const char *t = json_string_value(json_array_get(types, (size_t)l));
        const bool slides = t != NULL && strcmp(t, "sliding_attention") == 0;
        if (!slides && (t == NULL || strcmp(t, "full_attention") != 0))
            return eh_fail(err, EH_ENOSUP, "%s: layer %lld has type \"%s\"; full_attention and sliding_attention are known",
                           where, (long long)l, t == NULL ? "?" : t);
        if (slides && c->window_first == c->n_layer)
            c->window_first = l;
        else if (!slides && l > c->window_first)
            return eh_fail(err, EH_ENOSUP, "%s: layer %lld is full_attention after a sliding one; not supported in this family",
                           where, (long long)l);
    }
    return EH_OK;
}

static int read_json(const eh_weights *w, eh_config *c, eh_err *err)
{
    const json_t *o = eh_weights_config(w);
    char where[600];
    snprintf(where, sizeof where, "%.500s/config.json", eh_weights_path(w));

    eh_str type;
    int rc = eh_json_str(o, where, "model_type", &type, err);
    if (rc < 0)
        return rc;
    for (c->family = eh_families; c->family->name != NULL; c->family++)
        if (eh_str_eq(type, eh_str_of(c->family->model_type)))
            break;
    if (c->family->name == NULL)
        return unknown_family(where, type, err);

    eh_str act = EH_STR("silu");
    if ((rc = eh_json_int(o, where, "num_hidden_layers", 1, 100000, &c->n_layer, err)) < 0 ||
        (rc = eh_json_int(o, where, "hidden_size", 1, MANY, &c->d_model, err)) < 0 ||
        (rc = eh_json_int(o, where, "intermediate_size", 1, MANY, &c->d_ff, err)) < 0 ||
        (rc = eh_json_int(o, where, "vocab_size", 1, MANY, &c->n_vocab, err)) < 0 ||
        (rc = eh_json_int(o, where, "num_attention_heads", 1, 65536, &c->n_head, err)) < 0 ||
        (rc = eh_json_str_or(o, where, "hidden_act", &act, err)) < 0)
        return rc;
    if (!eh_str_eq(act, EH_STR("silu")))
        return eh_fail(err, EH_ENOSUP, "%s: hidden_act \"%.*s\" is not supported in this family; silu is", where,
                       (int)act.n, act.p);
    c->n_kv = c->n_head;
    c->d_head = c->d_model / c->n_head;
    c->n_ctx = 2048;
    c->norm_eps = 1e-6;
    if ((rc = eh_json_int_or(o, where, "num_key_value_heads", 1, 65536, &c->n_kv, err)) < 0 ||
        (rc = eh_json_int_or(o, where, "head_dim", 1, 65536, &c->d_head, err)) < 0 ||
        (rc = eh_json_int_or(o, where, "max_position_embeddings", 1, CTX_MAX, &c->n_ctx, err)) < 0 ||
        (rc = eh_json_real_or(o, where, "rms_norm_eps", 0.0, 1.0, &c->norm_eps, err)) < 0)
        return rc;
    if (c->d_head == 0)
        return eh_fail(err, EH_EFORMAT, "%s: hidden_size %lld is smaller than its %lld heads", where,
                       (long long)c->d_model, (long long)c->n_head);
    c->d_rot = c->d_head;
    c->rope_theta = 10000.0;
    if ((rc = read_rope(o, where, c, err)) < 0)
        return rc;

    bool attention_bias = false;
    c->tied = false;
    if ((rc = eh_json_bool_or(o, where, "attention_bias", &attention_bias, err)) < 0 ||
        (rc = eh_json_bool_or(o, where, "mlp_bias", &c->mlp_bias, err)) < 0 ||
        (rc = eh_json_bool_or(o, where, "tie_word_embeddings", &c->tied, err)) < 0)
        return rc;
    c->qkv_bias = c->family->qkv_bias || attention_bias;
    c->o_bias = attention_bias;
    /* A config that does not say, and a file without a head, can only mean a tied one. */
    if (json_object_get(o, "tie_word_embeddings") == NULL && eh_weights_find(w, "lm_head.weight") == NULL)
        c->tied = true;
    if ((rc = read_window(o, where, c, err)) < 0)
        return rc;

    if ((rc = read_ids(json_object_get(o, "bos_token_id"), where, "bos_token_id", c, &c->bos, false, err)) < 0 ||
        (rc = read_ids(json_object_get(o, "eos_token_id"), where, "eos_token_id", c, &c->eos, true, err)) < 0)
        return rc;
    const json_t *g = eh_weights_generation_config(w); /* says more about where texts end, if it is there */
    if (g != NULL && (rc = read_ids(json_object_get(g, "eos_token_id"), where, "eos_token_id", c, &c->eos, true, err)) < 0)
        return rc;
    return check(c, where, err);
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

static const eh_gguf_value *arch_key(const eh_weights *w, const char *arch, const char *key, char name[120])
{
    snprintf(name, 120, "%s.%s", arch, key);
    return eh_gguf_get(w, name);
}

static int gguf_int(const eh_weights *w, const char *arch, const char *key, int64_t low, int64_t high, bool required,
                    int64_t *out, eh_err *err)
{
    char name[120];
    const eh_gguf_value *v = arch_key(w, arch, key, name);
    if (v == NULL)
        return required ? eh_fail(err, EH_EFORMAT, "%s: has no metadata \"%s\"", eh_weights_path(w), name) : EH_OK;
    if (v->type >= EH_GGUF_F32 && v->type != EH_GGUF_U64 && v->type != EH_GGUF_I64)
        return eh_fail(err, EH_ENOSUP, "%s: metadata \"%s\" is not an integer (one number a layer is not supported)",
                       eh_weights_path(w), name);
    if (v->i < low || v->i > high)
        return eh_fail(err, EH_EFORMAT, "%s: metadata \"%s\" is %lld, wanted %lld to %lld", eh_weights_path(w), name,
                       (long long)v->i, (long long)low, (long long)high);
    *out = v->i;
    return EH_OK;
}

static int gguf_real(const eh_weights *w, const char *arch, const char *key, double low, double high, double *out,
                     eh_err *err)
{
    char name[120];
    const eh_gguf_value *v = arch_key(w, arch, key, name);
    if (v == NULL)
        return EH_OK;
    if ((v->type != EH_GGUF_F32 && v->type != EH_GGUF_F64) || !(v->f >= low && v->f <= high))
        return eh_fail(err, EH_EFORMAT, "%s: metadata \"%s\" is %g, wanted a real number, %g to %g",
                       eh_weights_path(w), name, v->f, low, high);
    *out = v->f;
    return EH_OK;
}

static int read_gguf(const eh_weights *w, eh_config *c, eh_err *err)
{
    const char *where = eh_weights_path(w);
    const eh_gguf_value *a = eh_gguf_get(w, "general.architecture");
    if (a == NULL || a->type != EH_GGUF_STRING)
        return eh_fail(err, EH_EFORMAT, "%s: has no metadata \"general.architecture\"", where);
    for (c->family = eh_families; c->family->name != NULL; c->family++)
        if (eh_str_eq(a->s, eh_str_of(c->family->gguf)))
            break;
    if (c->family->name == NULL)
        return unknown_family(where, a->s, err);
    const char *arch = c->family->gguf;

    int rc;
    if ((rc = gguf_int(w, arch, "block_count", 1, 100000, true, &c->n_layer, err)) < 0 ||
        (rc = gguf_int(w, arch, "embedding_length", 1, MANY, true, &c->d_model, err)) < 0 ||
        (rc = gguf_int(w, arch, "feed_forward_length", 1, MANY, true, &c->d_ff, err)) < 0 ||
        (rc = gguf_int(w, arch, "attention.head_count", 1, 65536, true, &c->n_head, err)) < 0)
        return rc;
    c->n_kv = c->n_head;
    c->d_head = c->d_model / c->n_head;
    c->n_ctx = 2048;
    c->norm_eps = 1e-5;
    c->rope_theta = 10000.0;
    if ((rc = gguf_int(w, arch, "attention.head_count_kv", 1, 65536, false, &c->n_kv, err)) < 0 ||
        (rc = gguf_int(w, arch, "attention.key_length", 1, 65536, false, &c->d_head, err)) < 0 ||
        (rc = gguf_int(w, arch, "context_length", 1, CTX_MAX, false, &c->n_ctx, err)) < 0 ||
        (rc = gguf_int(w, arch, "attention.sliding_window", 0, CTX_MAX, false, &c->window, err)) < 0 ||
        (rc = gguf_real(w, arch, "attention.layer_norm_rms_epsilon", 0.0, 1.0, &c->norm_eps, err)) < 0 ||
        (rc = gguf_real(w, arch, "rope.freq_base", 1.0, 1e12, &c->rope_theta, err)) < 0)
        return rc;
    if (c->d_head == 0)
        return eh_fail(err, EH_EFORMAT, "%s: embedding_length %lld is smaller than its %lld heads", where,
                       (long long)c->d_model, (long long)c->n_head);
    int64_t d_value = c->d_head;
    if ((rc = gguf_int(w, arch, "attention.value_length", 1, 65536, false, &d_value, err)) < 0)
        return rc;
    if (d_value != c->d_head)
        return eh_fail(err, EH_ENOSUP, "%s: value heads of %lld channels beside key heads of %lld are not supported",
                       where, (long long)d_value, (long long)c->d_head);
    c->d_rot = c->d_head;
    if ((rc = gguf_int(w, arch, "rope.dimension_count", 1, 65536, false, &c->d_rot, err)) < 0)
        return rc;

    char name[120];
    const eh_gguf_value *s = arch_key(w, arch, "rope.scaling.type", name);
    if (s != NULL && s->type == EH_GGUF_STRING && !eh_str_eq(s->s, EH_STR("none"))) {
        if (!eh_str_eq(s->s, EH_STR("linear")))
            return eh_fail(err, EH_ENOSUP, "%s: rotary scaling \"%.*s\" is not supported in a GGUF; linear is", where,
                           (int)s->s.n, s->s.p);
        c->rope_scaling = EH_ROPE_LINEAR;
        c->rope_factor = 1.0;
        if ((rc = gguf_real(w, arch, "rope.scaling.factor", 1e-6, 1e6, &c->rope_factor, err)) < 0)
            return rc;
    }
    if (eh_weights_find(w, "rope_freqs.weight") != NULL)
        c->rope_scaling = EH_ROPE_FACTORS; /* llama.cpp stores Llama 3's scaling as factors, a pair each */

    const eh_tensor *embed = eh_weights_find(w, "token_embd.weight");
    if (embed == NULL || embed->n_dim != 2 || embed->dim[0] < 1 || embed->dim[0] > MANY)
        return eh_fail(err, EH_EFORMAT, "%s: has no tensor \"token_embd.weight\" with a row for each token", where);
    c->n_vocab = embed->dim[0];
    c->tied = eh_weights_find(w, "output.weight") == NULL;
    c->qkv_bias = eh_weights_find(w, "blk.0.attn_q.bias") != NULL;
    c->o_bias = eh_weights_find(w, "blk.0.attn_output.bias") != NULL;
    c->mlp_bias = eh_weights_find(w, "blk.0.ffn_down.bias") != NULL;

    const eh_gguf_value *bos = eh_gguf_get(w, "tokenizer.ggml.bos_token_id");
    const eh_gguf_value *eos = eh_gguf_get(w, "tokenizer.ggml.eos_token_id");
    const eh_gguf_value *eot = eh_gguf_get(w, "tokenizer.ggml.eot_token_id");
    if (bos != NULL && bos->i >= 0 && bos->i < c->n_vocab)
        c->bos = (int32_t)bos->i;
    if (eos != NULL && eos->i >= 0 && eos->i < c->n_vocab) {
        c->eos = (int32_t)eos->i;
        c->eos_list[c->n_eos++] = c->eos;
    }
    if (eot != NULL && eot->i >= 0 && eot->i < c->n_vocab && eot->i != c->eos)
        c->eos_list[c->n_eos++] = (int32_t)eot->i;
    return check(c, where, err);
}

int eh_config_read(const eh_weights *w, eh_config *c, eh_err *err)
{
    eh_config read = {.bos = -1, .eos = -1, .gated = true, .embed_scale = 1.0, .logit_scale = 1.0};
    const int rc =
        eh_weights_kind_of(w) == EH_WEIGHTS_GGUF ? read_gguf(w, &read, err) : read_json(w, &read, err);
    if (rc < 0)
        return rc;
    read.qk_norm = read.family->qk_norm ? EH_QK_NORM_HEAD : EH_QK_NORM_NONE;
    read.attn_scale = 1.0 / sqrt((double)read.d_head);
    *c = read;
    return EH_OK;
}
