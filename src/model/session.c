/* Sessions: opened on a model, their memory planned, what they tell of themselves. */
#include "model/session.h"

#include <math.h>
#include <string.h>

#include "base/options.h"
#include "base/par.h"

#define SCORING_MEMORY ((int64_t)384 << 20)

/*
 * In bf16 most of the error comes from rounding the inputs of few products, measured on SmolLM2
 * (docs/numerics.md): those of the last two layers and of the output head. These stay in f32; the
 * last layer and the head see only the rows that are asked for, so that costs little.
 */
#define F32_LAST_LAYERS 2

static eh_precision layer_precision(const eh_session *s, int64_t layer)
{
    return layer >= s->m->config.n_layer - F32_LAST_LAYERS ? EH_F32 : s->precision;
}

/* ---- Linears, all of them ------------------------------------------------------------------------------ */

/* Packed, a weight takes its numbers at the precision's size (plus a little for rounding up). */
static int64_t packed_size(const eh_linear *l)
{
    return l->n_out * l->n_in * (l->precision == EH_BF16 ? 2 : 4);
}

/* Calls `what` for every linear, layers first, then the head's slices. */
static void each_linear(const eh_session *s, void (*what)(const eh_session *s, eh_linear *l, void *ctx), void *ctx)
{
    for (int64_t i = 0; i < s->m->config.n_layer; i++)
        for (int k = 0; k < EH_N_LINEAR; k++)
            what(s, &s->layer[i].linear[k], ctx);
    for (int64_t i = 0; i < s->m->n_lm_head_slice; i++)
        what(s, &s->lm_head[i], ctx);
}

static void plan_one(const eh_session *s, eh_linear *l, void *left)
{
    (void)s;
    const int64_t size = packed_size(l);
    l->keep = size <= *(int64_t *)left;
    if (l->keep)
        *(int64_t *)left -= size;
    else
        eh_linear_done(l);
}

void eh_session_plan_memory(eh_session *s, int64_t memory)
{
    int64_t left = memory < 0 ? INT64_MAX : memory;
    each_linear(s, plan_one, &left);
}

static void drop_one(const eh_session *s, eh_linear *l, void *ctx)
{
    (void)ctx;
    eh_linear_changed(l);
    eh_linear_unedit(l);
    eh_free(l->own_bias);
    if (s->own_embed == NULL || l->own < s->own_embed ||
        l->own >= s->own_embed + s->m->config.n_vocab * s->m->config.d_model)
        eh_block_free(l->own);
}

static void sum_one(const eh_session *s, eh_linear *l, void *ctx)
{
    (void)s;
    int64_t *sum = ctx;
    sum[0] += packed_size(l);
    sum[1] += l->keep ? packed_size(l) : 0;
}

/* ---- Weights of its own ---------------------------------------------------------------------------------- */

int eh_session_own_embed(eh_session *s, eh_err *err)
{
    const eh_config *c = &s->m->config;
    if (s->own_embed != NULL)
        return EH_OK;
    float *own = eh_block_alloc(c->n_vocab * c->d_model * (int64_t)sizeof *own);
    if (own == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for an own embedding");
    eh_tensor_rows(s->m->embed, 0, c->n_vocab, own);
    s->own_embed = own;
    for (int64_t i = 0; i < s->m->n_lm_head_slice && c->tied; i++) {
        s->lm_head[i].own = own + s->lm_head[i].of->first * c->d_model; /* borrowed */
        eh_linear_changed(&s->lm_head[i]);
    }
    return EH_OK;
}

int64_t eh_session_positions(const eh_session *s)
{
    return s->m->position != NULL ? s->m->config.n_ctx + s->m->config.position_offset : 0;
}

int eh_session_own_position(eh_session *s, eh_err *err)
{
    const int64_t n = eh_session_positions(s);
    if (s->own_position != NULL || n == 0)
        return EH_OK;
    s->own_position = eh_block_alloc(n * s->m->config.d_model * (int64_t)sizeof *s->own_position);
    if (s->own_position == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for own positions");
    eh_tensor_rows(s->m->position, 0, n, s->own_position);
    return EH_OK;
}

/* The vector in force becomes the session's own copy of it, at *at. */
static void own_vector(const float **now, float **own, int64_t n, float **at)
{
    if (*now == NULL)
        return;
    memcpy(*at, *now, (size_t)n * sizeof **at);
    *now = *own = *at;
    *at += n;
}

int eh_session_own_norms(eh_session *s, eh_err *err)
{
    const eh_config *c = &s->m->config;
    if (s->owns_norms)
        return EH_OK;
    int64_t n = 2 * c->d_model;
    for (int64_t i = 0; i < c->n_layer; i++)
        for (int k = 0; k < EH_N_NORM; k++)
            n += s->layer[i].norm[k] != NULL ? 2 * eh_norm_width(c, (eh_norm_role)k) : 0;
    float *at = eh_new_raw(&s->arena, float, n);
    if (at == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for own norms");
    for (int64_t i = 0; i < c->n_layer; i++)
        for (int k = 0; k < EH_N_NORM; k++) {
            eh_session_layer *l = &s->layer[i];
            const int64_t width = eh_norm_width(c, (eh_norm_role)k);
            own_vector(&l->norm[k], &l->own_norm[k], width, &at);
            own_vector(&l->norm_bias[k], &l->own_norm_bias[k], width, &at);
        }
    own_vector(&s->final_norm, &s->own_final_norm, c->d_model, &at);
    own_vector(&s->final_norm_bias, &s->own_final_norm_bias, c->d_model, &at);
    s->owns_norms = true;
    return EH_OK;
}

/* ---- Positions --------------------------------------------------------------------------------------------- */

int eh_session_need_rope(eh_session *s, int64_t n, eh_err *err)
{
    if (n <= s->n_rope_pos)
        return EH_OK;
    int64_t room = s->n_rope_pos < 512 ? 512 : 2 * s->n_rope_pos;
    if (room < n)
        room = n;
    const int64_t half = s->m->config.d_rot / 2;
    int n_rope = 0; /* tables that some layer may ask for */
    while (n_rope < EH_ROPES && s->m->rope_freq[n_rope] != NULL)
        n_rope++;
    if (n_rope == 0)
        return EH_OK;
    float *cosine = eh_alloc(n_rope * room, half * (int64_t)sizeof *cosine);
    float *sine = eh_alloc(n_rope * room, half * (int64_t)sizeof *sine);
    if (cosine == NULL || sine == NULL) {
        eh_free(cosine);
        eh_free(sine);
        return eh_fail(err, EH_ENOMEM, "no memory for rotary tables of %lld positions", (long long)room);
    }
    for (int64_t at = 0; at < n_rope * room; at++) {
        const double *freq = s->m->rope_freq[at / room], p = (double)(at % room);
        for (int64_t i = 0; i < half; i++) {
            cosine[at * half + i] = (float)cos(p * freq[i]);
            sine[at * half + i] = (float)sin(p * freq[i]);
        }
    }
    eh_free(s->rope_cos);
    eh_free(s->rope_sin);
    s->rope_cos = cosine;
    s->rope_sin = sine;
    s->n_rope_pos = room;
    return EH_OK;
}

void eh_session_rope(const eh_session *s, int64_t layer, const float **cosine, const float **sine)
{
    const int which = s->m->config.layer[layer].rope;
    const int64_t at = which * s->n_rope_pos * (s->m->config.d_rot / 2);
    const bool has = which >= 0 && s->rope_cos != NULL;
    *cosine = has ? s->rope_cos + at : NULL;
    *sine = has ? s->rope_sin + at : NULL;
}

/* ---- Open, close, tell --------------------------------------------------------------------------------------- */

void eh_session_options_init(eh_session_options *o, size_t size)
{
    const eh_session_options initial = {.threads = EH_ALL, .batch_tokens = 4096, .memory = EH_AUTO};
    eh_options_init(o, size, &initial, sizeof initial);
}

static int resolve_options(eh_session *s, const eh_session_options *given, eh_err *err)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    int rc = eh_options_take(&o, sizeof o, given, "eh_session_options_init", err);
    if (rc < 0)
        return rc;
    if ((o.threads < 1 && o.threads != EH_ALL) || o.threads > 4096)
        return eh_fail(err, EH_EINVAL, "threads is %lld, wanted 1 to 4096, or EH_ALL (%d)",
                       (long long)o.threads, EH_ALL);
    if (o.batch_tokens < 1 || o.batch_tokens > (1 << 24))
        return eh_fail(err, EH_EINVAL, "batch_tokens is %lld, wanted 1 to %d", (long long)o.batch_tokens, 1 << 24);
    if (o.memory < 0 && o.memory != EH_AUTO)
        return eh_fail(err, EH_EINVAL, "memory is %lld bytes, wanted 0 or more, or EH_AUTO (%d)", (long long)o.memory,
                       EH_AUTO);
    if (eh_choice_name(EH_CHOICE_PRECISION, (int)o.precision) == NULL)
        return eh_fail(err, EH_EINVAL, "there is no precision %d", (int)o.precision);
    s->threads = o.threads != EH_ALL ? (int)o.threads : eh_par_cores();
    s->batch_tokens = o.batch_tokens;
    s->memory = o.memory != EH_AUTO ? o.memory : SCORING_MEMORY;
    s->memory_given = o.memory != EH_AUTO;
    s->sharing = !o.no_prefix_sharing;
    s->simd = eh_simd_get();
    const eh_backend_kind *kind;
    rc = eh_backend_find(o.product, &kind, err);
    if (rc < 0)
        return rc;
    s->precision = o.precision;
    if (s->precision == EH_PRECISION_AUTO)
        s->precision = s->m->n_param < 2000000000 || !kind->has_bf16() ? EH_F32 : EH_BF16;
    return eh_backend_open(kind, s->threads, &s->backend, err);
}

static eh_linear linear_of(const eh_matrix *x, eh_precision precision)
{
    return (eh_linear){.of = x, .n_out = x->n_out, .n_in = x->n_in, .precision = precision};
}

int eh_session_open(const eh_model *m, const eh_session_options *options, eh_session **out, eh_err *err)
{
    eh_session *s = eh_calloc(1, (int64_t)sizeof *s);
    if (s == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a session");
    s->m = m;
    int rc = resolve_options(s, options, err);
    if (rc < 0)
        goto done;
    s->layer = eh_new(&s->arena, eh_session_layer, m->config.n_layer);
    s->lm_head = eh_new(&s->arena, eh_linear, m->n_lm_head_slice);
    if (s->layer == NULL || s->lm_head == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a session of %lld layers", (long long)m->config.n_layer);
        goto done;
    }
    for (int64_t i = 0; i < m->config.n_layer; i++) {
        for (int k = 0; k < EH_N_NORM; k++) {
            s->layer[i].norm[k] = m->layer[i].norm[k];
            s->layer[i].norm_bias[k] = m->layer[i].norm_bias[k];
        }
        for (int k = 0; k < EH_N_LINEAR; k++)
            s->layer[i].linear[k] = linear_of(&m->layer[i].linear[k], layer_precision(s, i));
    }
    for (int64_t i = 0; i < m->n_lm_head_slice; i++)
        s->lm_head[i] = linear_of(&m->lm_head[i], EH_F32);
    s->final_norm = m->final_norm;
    s->final_norm_bias = m->final_norm_bias;
    eh_session_plan_memory(s, s->memory);
    *out = s;
    s = NULL;
done:
    eh_session_close(s);
    return rc;
}

int eh_session_again(const eh_session *s, eh_session **out, eh_err *err)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.precision = s->precision;
    o.threads = s->threads;
    o.batch_tokens = s->batch_tokens;
    o.memory = s->memory_given ? s->memory : EH_AUTO;
    o.no_prefix_sharing = !s->sharing;
    o.product = s->backend->kind->name;
    return eh_session_open(s->m, &o, out, err);
}

void eh_session_close(eh_session *s)
{
    if (s == NULL)
        return;
    if (s->layer != NULL && s->lm_head != NULL)
        each_linear(s, drop_one, NULL);
    eh_backend_close(s->backend);
    eh_block_free(s->own_embed);
    eh_block_free(s->own_position);
    eh_session_free_edits(s);
    eh_free(s->rope_cos);
    eh_free(s->rope_sin);
    eh_arena_clear(&s->arena);
    eh_arena_clear(&s->scratch);
    eh_free(s);
}

/* The processor's words for what the products use. */
static const char *cpu_features(void)
{
#if defined(__x86_64__)
    /* amx_bf16 is not among the names gcc 12 can ask for; oneDNN finds it by itself. */
    return __builtin_cpu_supports("avx512bf16") ? "avx512 avx512_bf16"
           : __builtin_cpu_supports("avx512f")  ? "avx512"
           : __builtin_cpu_supports("avx2")     ? "avx2"
                                                : "sse2";
#else
    return "generic";
#endif
}

void eh_session_describe(const eh_session *s, eh_session_info *info)
{
    const eh_config *c = &s->m->config;
    int64_t sum[2] = {0, 0};
    each_linear(s, sum_one, sum);
    const int64_t d_qkv = (c->n_head + 2 * c->n_kv) * c->d_head;
    *info = (eh_session_info){
        .product = s->backend->kind->name,
        .simd = s->simd->name,
        .features = cpu_features(),
        .precision = s->precision,
        .threads = s->threads,
        .batch_tokens = s->batch_tokens,
        .packed_bytes = sum[0],
        .kept_bytes = sum[1],
        .batch_bytes = s->batch_tokens * (12 * c->d_model + 4 * d_qkv + 8 * c->n_head * c->d_head) +
                       (int64_t)512 * c->d_ff * 14 + (int64_t)256 * EH_LM_HEAD_SLICE * 4,
        .tokens_computed = s->n_computed,
        .tokens_asked = s->n_asked,
    };
}

const eh_model *eh_session_model(const eh_session *s)
{
    return s->m;
}
