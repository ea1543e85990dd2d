#include "arch/keys.h"

#include <stdio.h>
#include <string.h>

/* ---- GGUF ----------------------------------------------------------------------------------------- */

#define KEY_NAME 120

static const eh_gguf_value *find(const eh_keys *k, const char *key, char name[KEY_NAME])
{
    snprintf(name, KEY_NAME, "%s.%s", k->arch, key);
    return eh_gguf_get(k->w, name);
}

/* *v NULL: not there, which is no error unless it is required. */
static int look_up(const eh_keys *k, const char *key, bool required, char name[KEY_NAME], const eh_gguf_value **v,
                   eh_err *err)
{
    *v = find(k, key, name);
    return *v == NULL && required ? eh_fail(err, EH_EFORMAT, "%s: has no metadata \"%s\"", k->where, name) : EH_OK;
}

static int gguf_int(const eh_keys *k, const char *key, int64_t low, int64_t high, bool required, int64_t *out,
                    eh_err *err)
{
    char name[KEY_NAME];
    const eh_gguf_value *v;
    const int rc = look_up(k, key, required, name, &v, err);
    if (rc < 0 || v == NULL)
        return rc;
    if (v->type >= EH_GGUF_F32 && v->type != EH_GGUF_U64 && v->type != EH_GGUF_I64)
        return eh_fail(err, EH_ENOSUP, "%s: metadata \"%s\" is not an integer (one number a layer is not supported)",
                       k->where, name);
    if (v->i < low || v->i > high)
        return eh_fail(err, EH_EFORMAT, "%s: metadata \"%s\" is %lld, wanted %lld to %lld", k->where, name,
                       (long long)v->i, (long long)low, (long long)high);
    *out = v->i;
    return EH_OK;
}

static int gguf_real(const eh_keys *k, const char *key, double low, double high, bool required, double *out,
                     eh_err *err)
{
    char name[KEY_NAME];
    const eh_gguf_value *v;
    const int rc = look_up(k, key, required, name, &v, err);
    if (rc < 0 || v == NULL)
        return rc;
    if ((v->type != EH_GGUF_F32 && v->type != EH_GGUF_F64) || !(v->f >= low && v->f <= high))
        return eh_fail(err, EH_EFORMAT, "%s: metadata \"%s\" is %g, wanted a real number, %g to %g", k->where, name,
                       v->f, low, high);
    *out = v->f;
    return EH_OK;
}

static int gguf_bool(const eh_keys *k, const char *key, bool required, bool *out, eh_err *err)
{
    char name[KEY_NAME];
    const eh_gguf_value *v;
    const int rc = look_up(k, key, required, name, &v, err);
    if (rc < 0 || v == NULL)
        return rc;
    if (v->type != EH_GGUF_BOOL)
        return eh_fail(err, EH_EFORMAT, "%s: metadata \"%s\" is no bool", k->where, name);
    *out = v->i != 0;
    return EH_OK;
}

static int gguf_text(const eh_keys *k, const char *key, bool required, eh_str *out, eh_err *err)
{
    char name[KEY_NAME];
    const eh_gguf_value *v;
    const int rc = look_up(k, key, required, name, &v, err);
    if (rc < 0 || v == NULL)
        return rc;
    if (v->type != EH_GGUF_STRING)
        return eh_fail(err, EH_EFORMAT, "%s: metadata \"%s\" is no text", k->where, name);
    *out = v->s;
    return EH_OK;
}

/* ---- Either --------------------------------------------------------------------------------------- */

bool eh_keys_has(const eh_keys *k, const char *key)
{
    char name[KEY_NAME];
    if (k->gguf)
        return find(k, key, name) != NULL;
    const json_t *v = json_object_get(k->json, key);
    return v != NULL && !json_is_null(v);
}

int eh_keys_int(const eh_keys *k, const char *key, int64_t low, int64_t high, bool required, int64_t *out, eh_err *err)
{
    if (k->gguf)
        return gguf_int(k, key, low, high, required, out, err);
    return required ? eh_json_int(k->json, k->where, key, low, high, out, err)
                    : eh_json_int_or(k->json, k->where, key, low, high, out, err);
}

int eh_keys_real(const eh_keys *k, const char *key, double low, double high, bool required, double *out, eh_err *err)
{
    if (k->gguf)
        return gguf_real(k, key, low, high, required, out, err);
    return required ? eh_json_real(k->json, k->where, key, low, high, out, err)
                    : eh_json_real_or(k->json, k->where, key, low, high, out, err);
}

int eh_keys_bool(const eh_keys *k, const char *key, bool required, bool *out, eh_err *err)
{
    if (k->gguf)
        return gguf_bool(k, key, required, out, err);
    return required ? eh_json_bool(k->json, k->where, key, out, err)
                    : eh_json_bool_or(k->json, k->where, key, out, err);
}

int eh_keys_text(const eh_keys *k, const char *key, bool required, eh_str *out, eh_err *err)
{
    if (k->gguf)
        return gguf_text(k, key, required, out, err);
    return required ? eh_json_str(k->json, k->where, key, out, err) : eh_json_str_or(k->json, k->where, key, out, err);
}

/* ---- Tables of keys ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    eh_activation is;
} activations[] = {
    {"silu", EH_ACT_SILU},           {"swish", EH_ACT_SILU},
    {"gelu", EH_ACT_GELU},           {"gelu_pytorch_tanh", EH_ACT_GELU_TANH},
    {"gelu_new", EH_ACT_GELU_TANH},  {"relu", EH_ACT_RELU},
};
#define N_ACTIVATION (sizeof activations / sizeof *activations)

static int read_activation(const eh_keys *k, const char *key, bool required, eh_config *c, eh_activation *out,
                           eh_err *err)
{
    eh_str name = {NULL, 0};
    const int rc = eh_keys_text(k, key, required, &name, err);
    if (rc < 0 || name.p == NULL)
        return rc;
    char list[120] = "";
    const char *last = NULL; /* of two names for one, the first is told */
    int n = 0;
    for (size_t i = 0; i < N_ACTIVATION; i++) {
        if ((c->arch->activations >> activations[i].is & 1) == 0)
            continue;
        if (eh_str_eq(name, eh_str_of(activations[i].name))) {
            *out = activations[i].is;
            return EH_OK;
        }
        if (i > 0 && activations[i - 1].is == activations[i].is)
            continue;
        if (last != NULL)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", n > 1 ? ", " : "", last);
        last = activations[i].name;
        n++;
    }
    return eh_fail(err, EH_ENOSUP, "%s: %s \"%.*s\" is not supported in this family; %s%s%s %s", k->where, key,
                   (int)name.n, name.p, list, n > 1 ? " and " : "", last != NULL ? last : "none", n > 1 ? "are" : "is");
}

int eh_keys_read(const eh_keys *k, const eh_arch_key *table, eh_config *c, eh_err *err)
{
    int rc = EH_OK;
    for (const eh_arch_key *t = table; (t->json != NULL || t->gguf != NULL) && rc == EH_OK; t++) {
        const char *key = k->gguf ? t->gguf : t->json;
        void *out = (char *)c + t->at;
        if (key == NULL)
            continue;
        switch (t->type) {
        case EH_KEY_INT:
            rc = eh_keys_int(k, key, (int64_t)t->low, (int64_t)t->high, t->required, out, err);
            break;
        case EH_KEY_REAL: rc = eh_keys_real(k, key, t->low, t->high, t->required, out, err); break;
        case EH_KEY_BOOL: rc = eh_keys_bool(k, key, t->required, out, err); break;
        case EH_KEY_ACTIVATION: rc = read_activation(k, key, t->required, c, out, err); break;
        }
    }
    return rc;
}

/* ---- Rotary positions in config.json -------------------------------------------------------------- */

static int read_llama3(const json_t *o, const char *where, eh_rope *r, eh_err *err)
{
    int rc = eh_json_real(o, where, "factor", 1e-6, 1e6, &r->factor, err);
    if (rc == EH_OK)
        rc = eh_json_real(o, where, "low_freq_factor", 1e-6, 1e6, &r->low, err);
    if (rc == EH_OK)
        rc = eh_json_real(o, where, "high_freq_factor", 1e-6, 1e6, &r->high, err);
    if (rc == EH_OK)
        rc = eh_json_int(o, where, "original_max_position_embeddings", 1, EH_CTX_MAX, &r->original_ctx, err);
    if (rc == EH_OK && r->high <= r->low)
        rc = eh_fail(err, EH_EFORMAT, "%s: high_freq_factor %g is not above low_freq_factor %g", where, r->high,
                     r->low);
    return rc;
}

int eh_rope_read(const json_t *o, const char *where, eh_rope *r, int64_t *d_rot, eh_err *err)
{
    eh_str type = EH_STR("default");
    double rotated = 1.0;
    int rc = eh_json_real_or(o, where, "rope_theta", 1.0, 1e12, &r->theta, err);
    if (rc == EH_OK)
        rc = eh_json_str_or(o, where, "type", &type, err); /* the older name of rope_type */
    if (rc == EH_OK)
        rc = eh_json_str_or(o, where, "rope_type", &type, err);
    if (rc == EH_OK)
        rc = eh_json_real_or(o, where, "partial_rotary_factor", 0.0, 1.0, &rotated, err);
    if (rc < 0)
        return rc;
    *d_rot = (int64_t)((double)*d_rot * rotated);
    if (eh_str_eq(type, EH_STR("default")))
        return EH_OK;
    if (eh_str_eq(type, EH_STR("linear"))) {
        r->scaling = EH_ROPE_LINEAR;
        return eh_json_real(o, where, "factor", 1e-6, 1e6, &r->factor, err);
    }
    if (eh_str_eq(type, EH_STR("llama3"))) {
        r->scaling = EH_ROPE_LLAMA3;
        return read_llama3(o, where, r, err);
    }
    return eh_fail(err, EH_ENOSUP, "%s: rotary scaling \"%.*s\" is not supported; default, linear and llama3 are",
                   where, (int)type.n, type.p);
}
