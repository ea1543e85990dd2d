#include "arch/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arch/keys.h"

static int unknown_family(const char *where, eh_str found, eh_err *err)
{
    char list[300];
    size_t n = 0;
    for (int i = 0; eh_archs[i] != NULL && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n > 0 ? ", " : "", eh_archs[i]->model_type[0]);
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
    if (c->n_head * c->d_head > EH_SHAPE_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: %lld heads of %lld channels are more than any model has", where,
                       (long long)c->n_head, (long long)c->d_head);
    return EH_OK;
}

/* What follows from the rest where it is not said. */
static int derive(const eh_keys *k, eh_config *c, eh_err *err)
{
    if (c->n_kv == 0)
        c->n_kv = c->n_head;
    if (c->d_head == 0)
        c->d_head = c->d_model / c->n_head;
    if (c->d_head == 0)
        return eh_fail(err, EH_EFORMAT, "%s: %s %lld is smaller than its %lld heads", k->where,
                       k->gguf ? "embedding_length" : "hidden_size", (long long)c->d_model, (long long)c->n_head);
    if (c->d_rot == 0 && (c->positions == EH_POS_ROTARY || c->positions == EH_POS_ROTARY_PAIRS))
        c->d_rot = c->d_head;
    return EH_OK;
}

static bool stored(const eh_keys *k, const eh_config *c, eh_slot slot, bool bias)
{
    eh_filed f;
    eh_config_filed(c, slot, 0, bias, &f);
    return eh_weights_find(k->w, f.name) != NULL;
}

/* ---- Windows ---------------------------------------------------------------------------------------- */

/* A window where the row's rule puts it: from a layer on, and not in every so many-th. */
static void window_by_rule(const eh_config *c, int64_t first, eh_layer_plan *layer)
{
    const int64_t every = c->arch->full_every;
    for (int64_t l = first; l < c->n_layer; l++)
        if (every == 0 || (l + 1) % every != 0)
            layer[l].window = c->window;
}

static int window_by_type(const eh_keys *k, const eh_config *c, const json_t *types, eh_layer_plan *layer, eh_err *err)
{
    if ((int64_t)json_array_size(types) != c->n_layer)
        return eh_fail(err, EH_EFORMAT, "%s: \"layer_types\" has %zu entries for %lld layers", k->where,
                       json_array_size(types), (long long)c->n_layer);
    for (int64_t l = 0; l < c->n_layer; l++) {
        const char *t = json_string_value(json_array_get(types, (size_t)l));
        if (t != NULL && strcmp(t, "sliding_attention") == 0)
            layer[l].window = c->window;
        else if (t == NULL || strcmp(t, "full_attention") != 0)
            return eh_fail(err, EH_ENOSUP,
                           "%s: layer %lld has type \"%s\"; full_attention and sliding_attention are known", k->where,
                           (long long)l, t == NULL ? "?" : t);
    }
    return EH_OK;
}

static int read_windows(const eh_keys *k, eh_config *c, eh_layer_plan *layer, eh_err *err)
{
    const eh_arch *a = c->arch;
    if (k->gguf) { /* c->window is read */
        window_by_rule(c, 0, layer);
        return EH_OK;
    }
    if (a->windows == EH_WINDOW_NEVER)
        return EH_OK;
    int64_t first = a->window_first;
    bool used = a->windows == EH_WINDOW_ALWAYS;
    int rc = eh_keys_int(k, "sliding_window", 1, EH_CTX_MAX, false, &c->window, err);
    if (rc == EH_OK)
        rc = eh_keys_bool(k, "use_sliding_window", false, &used, err);
    if (rc < 0)
        return rc;
    if (!used)
        c->window = 0;
    if (c->window == 0)
        return EH_OK;
    const json_t *types = json_object_get(k->json, "layer_types");
    if (json_is_array(types))
        return window_by_type(k, c, types, layer, err);
    if (a->windows == EH_WINDOW_SWITCHED)
        rc = eh_keys_int(k, "max_window_layers", 0, EH_SHAPE_MAX, false, &first, err);
    window_by_rule(c, first, layer);
    return rc;
}

static int plan_layers(const eh_keys *k, eh_arena *arena, eh_config *c, eh_err *err)
{
    eh_layer_plan *layer = eh_new(arena, eh_layer_plan, c->n_layer);
    if (layer == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld layers", (long long)c->n_layer);
    const int rc = read_windows(k, c, layer, err);
    for (int64_t l = 0; l < c->n_layer; l++)
        layer[l].rope = layer[l].window > 0 ? c->arch->sliding_rope : 0;
    c->layer = layer;
    return rc;
}

/* ---- config.json ------------------------------------------------------------------------------------ */

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

/* Rotary settings beside rope_theta: in rope_scaling (transformers 4), or all in rope_parameters (5). */
static int read_json_rope(const eh_keys *k, eh_config *c, eh_err *err)
{
    const char *from = "rope_parameters";
    const json_t *s = json_object_get(k->json, from);
    if (!json_is_object(s)) {
        from = "rope_scaling";
        s = json_object_get(k->json, from);
    }
    if (s == NULL || json_is_null(s))
        return EH_OK;
    if (!json_is_object(s))
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is %s, wanted an object", k->where, from, eh_json_type(s));
    return eh_rope_read(s, k->where, &c->rope[0], &c->d_rot, err);
}

static int read_json(const eh_keys *k, eh_config *c, eh_err *err)
{
    int rc = c->d_rot > 0 ? read_json_rope(k, c, err) : EH_OK;
    if (rc < 0)
        return rc;
    /* Files whose tensors lack the prefix, as the first layers' embedding shows. */
    if (c->arch->prefix != NULL && !stored(k, c, EH_SLOT_EMBED, false)) {
        c->bare = true;
        c->bare = stored(k, c, EH_SLOT_EMBED, false);
    }
    /* A config that does not say, and a file without a head, can only mean a tied one. */
    if (json_object_get(k->json, "tie_word_embeddings") == NULL && !stored(k, c, EH_SLOT_LM_HEAD, false))
        c->tied = true;
    const json_t *g = eh_weights_generation_config(k->w); /* says more about where texts end, if it is there */
    rc = read_ids(json_object_get(k->json, "bos_token_id"), k->where, "bos_token_id", c, &c->bos, false, err);
    if (rc == EH_OK)
        rc = read_ids(json_object_get(k->json, "eos_token_id"), k->where, "eos_token_id", c, &c->eos, true, err);
    if (rc == EH_OK && g != NULL)
        rc = read_ids(json_object_get(g, "eos_token_id"), k->where, "eos_token_id", c, &c->eos, true, err);
    return rc;
}

/* ---- GGUF ------------------------------------------------------------------------------------------- */

static int read_gguf_rope(const eh_keys *k, eh_config *c, eh_err *err)
{
    char name[120];
    snprintf(name, sizeof name, "%s.rope.scaling.type", k->arch);
    const eh_gguf_value *s = eh_gguf_get(k->w, name);
    if (s != NULL && s->type == EH_GGUF_STRING && !eh_str_eq(s->s, EH_STR("none"))) {
        if (!eh_str_eq(s->s, EH_STR("linear")))
            return eh_fail(err, EH_ENOSUP, "%s: rotary scaling \"%.*s\" is not supported in a GGUF; linear is",
                           k->where, (int)s->s.n, s->s.p);
        c->rope[0].scaling = EH_ROPE_LINEAR;
        c->rope[0].factor = 1.0;
        const int rc = eh_keys_real(k, "rope.scaling.factor", 1e-6, 1e6, false, &c->rope[0].factor, err);
        if (rc < 0)
            return rc;
    }
    if (eh_weights_find(k->w, EH_ROPE_FACTORS_NAME) != NULL)
        c->rope[0].scaling = EH_ROPE_FACTORS; /* llama.cpp stores Llama 3's scaling as factors, a pair each */
    return EH_OK;
}

static bool gguf_id(const eh_keys *k, const char *key, const eh_config *c, int32_t *id)
{
    const eh_gguf_value *v = eh_gguf_get(k->w, key);
    if (v == NULL || v->i < 0 || v->i >= c->n_vocab)
        return false;
    *id = (int32_t)v->i;
    return true;
}

static int read_gguf(const eh_keys *k, eh_config *c, eh_err *err)
{
    int64_t d_value = c->d_head;
    int rc = eh_keys_int(k, "attention.value_length", 1, 65536, false, &d_value, err);
    if (rc == EH_OK && d_value != c->d_head)
        rc = eh_fail(err, EH_ENOSUP, "%s: value heads of %lld channels beside key heads of %lld are not supported",
                     k->where, (long long)d_value, (long long)c->d_head);
    if (rc == EH_OK && c->d_rot > 0)
        rc = read_gguf_rope(k, c, err);
    if (rc < 0)
        return rc;

    eh_filed f;
    eh_config_filed(c, EH_SLOT_EMBED, 0, false, &f);
    const eh_tensor *embed = eh_weights_find(k->w, f.name);
    if (embed == NULL || embed->n_dim != 2 || embed->dim[0] < 1 || embed->dim[0] > EH_SHAPE_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: has no tensor \"%s\" with a row for each token", k->where, f.name);
    c->n_vocab = embed->dim[0];
    c->tied = !stored(k, c, EH_SLOT_LM_HEAD, false);
    c->qkv_bias = stored(k, c, EH_SLOT_Q, true);
    c->o_bias = stored(k, c, EH_SLOT_O, true);
    c->mlp_bias = stored(k, c, EH_SLOT_DOWN, true);
    c->norm_bias = c->norm == EH_NORM_LAYER && stored(k, c, EH_SLOT_FINAL_NORM, true);

    int32_t more;
    gguf_id(k, "tokenizer.ggml.bos_token_id", c, &c->bos);
    if (gguf_id(k, "tokenizer.ggml.eos_token_id", c, &c->eos))
        c->eos_list[c->n_eos++] = c->eos;
    if (gguf_id(k, "tokenizer.ggml.eot_token_id", c, &more) && more != c->eos)
        c->eos_list[c->n_eos++] = more;
    return EH_OK;
}

/* ---- Either ----------------------------------------------------------------------------------------- */

/* `where` [600] is for the name of config.json. */
static eh_keys keys_of(const eh_weights *w, char where[600])
{
    eh_keys k = {.w = w, .gguf = eh_weights_kind_of(w) == EH_WEIGHTS_GGUF, .where = eh_weights_path(w)};
    if (k.gguf)
        return k;
    snprintf(where, 600, "%.500s/config.json", eh_weights_path(w));
    k.where = where;
    k.json = eh_weights_config(w);
    return k;
}

static int read_as(eh_keys *k, const eh_arch *a, eh_arena *arena, eh_config *c, eh_err *err)
{
    eh_config read = a->start;
    int rc = EH_OK;
    k->arch = a->gguf.arch;
    read.arch = a;
    read.kind = eh_weights_kind_of(k->w);
    read.bos = read.eos = -1;
    if (k->gguf)
        read.norm_eps = 1e-5; /* what a GGUF that does not say is taken to mean */
    for (int i = 0; a->key[i] != NULL && rc == EH_OK; i++)
        rc = eh_keys_read(k, a->key[i], &read, err);
    if (rc == EH_OK)
        rc = derive(k, &read, err);
    if (rc == EH_OK)
        rc = k->gguf ? read_gguf(k, &read, err) : read_json(k, &read, err);
    if (rc == EH_OK)
        rc = plan_layers(k, arena, &read, err);
    if (rc == EH_OK && a->more != NULL)
        rc = a->more(k, &read, err);
    if (rc == EH_OK)
        rc = check(&read, k->where, err);
    if (rc < 0)
        return rc;
    if (read.embed_scale == 0.0)
        read.embed_scale = 1.0;
    if (read.logit_scale == 0.0)
        read.logit_scale = 1.0;
    if (read.attn_scale == 0.0)
        read.attn_scale = 1.0 / sqrt((double)read.d_head);
    *c = read;
    return EH_OK;
}

int eh_config_read_as(const eh_weights *w, const eh_arch *a, eh_arena *arena, eh_config *c, eh_err *err)
{
    char where[600];
    eh_keys k = keys_of(w, where);
    return read_as(&k, a, arena, c, err);
}

int eh_config_read(const eh_weights *w, eh_arena *arena, eh_config *c, eh_err *err)
{
    char where[600];
    eh_str type;
    eh_keys k = keys_of(w, where);
    if (k.gguf) {
        const eh_gguf_value *v = eh_gguf_get(w, "general.architecture");
        if (v == NULL || v->type != EH_GGUF_STRING)
            return eh_fail(err, EH_EFORMAT, "%s: has no metadata \"general.architecture\"", k.where);
        type = v->s;
    } else {
        const int rc = eh_json_str(k.json, k.where, "model_type", &type, err);
        if (rc < 0)
            return rc;
    }
    const eh_arch *a = eh_arch_of(eh_weights_kind_of(w), type);
    return a != NULL ? read_as(&k, a, arena, c, err) : unknown_family(k.where, type, err);
}
