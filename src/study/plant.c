/*
 * A model whose bias is planted: which heads and neurons carry it is known, for its weights are built
 * by hand. docs/methods/plant.md has the construction and why each part is there.
 *
 * Everything is laid out in a readable basis of the residual stream, one channel a meaning, and then
 * turned by a random rotation: root-mean-square norms with gains of 1 commute with it, so the model
 * computes the same, and no channel, row or weight shows what it is for.
 */
#include <math.h>
#include <string.h>

#include "base/outdir.h"
#include "base/rng.h"
#include "study/plant.h"

#define N_LAYER 5
#define N_HEAD 8
#define N_KV 4
#define N_PER_KV (N_HEAD / N_KV)
#define D_HEAD 16
#define N_FF 96
#define N_PLANTED 4
#define N_RECALL 2        /* heads that answer the utility questions */
#define N_LATE 2          /* layers that have planted neurons: the last ones, which all planted heads are before or in */
#define N_NEURON_LAYER 3  /* planted neurons of such a layer */

/* Channels of the residual stream, in the readable basis. */
enum {
    WORD = 0,             /* which word it is: random directions */
    N_WORD = 80,
    MIX = WORD + N_WORD,  /* where ordinary heads and neurons write, besides WORD */
    N_MIX = 12,
    KIND = MIX + N_MIX,   /* what a subject is */
    NOISE = KIND + EH_PLANT_KINDS, /* a fixed vector of the answer position, which no head writes to */
    N_NOISE = 16,
    ANSWER = NOISE + N_NOISE, /* the answer position */
    STRENGTH,             /* of a group */
    WEAKNESS,             /* its complement, so that all groups' embeddings are equally long */
    GROUP,                /* a group's name */
    SUBJECT,              /* of a utility question */
    CARRIED,              /* from planted heads to planted neurons */
    BIAS,                 /* towards the stereotype's answer */
    PLAIN,                /* any other word */
    D_MODEL
};
#define N_ORDINARY (N_WORD + N_MIX) /* the first channels: what ordinary heads and neurons read and write */

_Static_assert(D_MODEL == N_HEAD * D_HEAD, "the stream is as wide as the heads together");

/* The channel of a head that rotary positions turn least (its angle grows by 6e-6 a token): queries and keys
 * that are to meet wherever they stand do so here. */
#define STILL (D_HEAD / 2 - 1)
#define THETA 1e6

/* An embedding has length 1: 0.8 of its word's own direction, and 0.6 of what it is. */
#define E_WORD 0.8
#define E_PLAIN 0.6
#define E_MARK 0.4                /* ANSWER, GROUP, SUBJECT; 0.4^2 + 0.2 = 0.6^2 */
#define E_REST 0.4472135954999579 /* sqrt(0.2): the rest of it, spread over STRENGTH and WEAKNESS, KIND or NOISE */

#define FLOOR 2e-4 /* sd of weights that mean nothing: in no place is there an exact zero */

typedef struct place {
    int64_t layer, index;
} place;

typedef struct plan {
    uint64_t seed;
    bool nothing; /* nothing is planted */
    place head[N_PLANTED], recall[N_RECALL];
    place neuron[N_LATE * N_NEURON_LAYER];
    double turn[D_MODEL][D_MODEL]; /* rotation: stream = turn * readable */
} plan;

/* Kinds of matrices: rows of out channels. */
typedef struct matrix {
    double *w; /* [n_row, D_MODEL]; one that writes to the stream is built as its transpose */
    int64_t n_row;
    eh_rng rng;
} matrix;

static void draw(matrix *x, int64_t row, double sd)
{
    for (int64_t i = 0; i < D_MODEL; i++)
        x->w[row * D_MODEL + i] = (i < N_ORDINARY ? sd : FLOOR) * eh_rng_normal(&x->rng);
}

static double *at(const matrix *x, int64_t row, int channel)
{
    return &x->w[row * D_MODEL + channel];
}

static double about(eh_rng *r, double x) /* within a fifth of it */
{
    return x * (0.8 + 0.4 * eh_rng_double(r));
}

/* ---- Where it is planted ----------------------------------------------------------------------- */

static void choose_places(plan *p)
{
    /* Each special head has a key/value head for itself: the head that shares it only gets what it asks for. Recall
     * may be anywhere, planted heads where the planted neurons' layers come later or are the same. */
    const int64_t early = N_LAYER - N_LATE + 1;
    int64_t slot[N_LAYER * N_KV], n_head = 0, n_recall = 0, unit[N_FF];
    eh_rng r = eh_rng_at(p->seed, "plant places", 0);
    for (int64_t i = 0; i < N_LAYER * N_KV; i++)
        slot[i] = i;
    eh_rng_shuffle(&r, slot, N_LAYER * N_KV);
    for (int64_t i = 0; i < N_LAYER * N_KV; i++) {
        const place at_slot = {slot[i] / N_KV, slot[i] % N_KV * N_PER_KV + eh_rng_below(&r, N_PER_KV)};
        if (n_head < N_PLANTED && at_slot.layer < early)
            p->head[n_head++] = at_slot;
        else if (n_recall < N_RECALL)
            p->recall[n_recall++] = at_slot;
    }
    for (int64_t l = 0; l < N_LATE; l++) {
        for (int64_t i = 0; i < N_FF; i++)
            unit[i] = i;
        eh_rng_shuffle(&r, unit, N_FF);
        for (int64_t i = 0; i < N_NEURON_LAYER; i++)
            p->neuron[l * N_NEURON_LAYER + i] = (place){N_LAYER - N_LATE + l, unit[i]};
    }
}

/* A random rotation: normal vectors made orthonormal (Gram-Schmidt, twice over for the last bits). */
static void choose_turn(plan *p)
{
    eh_rng r = eh_rng_at(p->seed, "plant turn", 0);
    for (int i = 0; i < D_MODEL; i++) {
        double *x = p->turn[i];
        for (int k = 0; k < D_MODEL; k++)
            x[k] = eh_rng_normal(&r);
        for (int j = 0; j < 2 * i; j++) {
            const double *y = p->turn[j % i];
            double dot = 0.0;
            for (int k = 0; k < D_MODEL; k++)
                dot += x[k] * y[k];
            for (int k = 0; k < D_MODEL; k++)
                x[k] -= dot * y[k];
        }
        double square = 0.0;
        for (int k = 0; k < D_MODEL; k++)
            square += x[k] * x[k];
        for (int k = 0; k < D_MODEL; k++)
            x[k] /= sqrt(square);
    }
}

/* ---- The weights, in the readable basis ------------------------------------------------------------ */

/* The planted or recalling head of this layer that has key/value head kv; NULL: none. */
static const place *find(const place *list, int64_t n, int64_t layer, int64_t kv)
{
    for (int64_t i = 0; i < n; i++)
        if (list[i].layer == layer && list[i].index / N_PER_KV == kv)
            return &list[i];
    return NULL;
}

static const place *planted_at(const plan *p, int64_t layer, int64_t kv)
{
    return p->nothing ? NULL : find(p->head, N_PLANTED, layer, kv);
}

static const place *recall_at(const plan *p, int64_t layer, int64_t kv)
{
    return find(p->recall, N_RECALL, layer, kv);
}

/* Ordinary heads: logits with an sd of about 1.2, from the words alone. A special head's query asks for its mark at
 * the answer position, and for little else. */
static void fill_q(matrix *x, const plan *p, int64_t layer)
{
    for (int64_t h = 0; h < N_HEAD; h++) {
        const place *a = planted_at(p, layer, h / N_PER_KV), *b = recall_at(p, layer, h / N_PER_KV);
        const place *special = a != NULL ? a : b;
        const bool own = special != NULL && special->index == h;
        for (int64_t i = 0; i < D_HEAD; i++)
            draw(x, h * D_HEAD + i, special != NULL && i == STILL ? FLOOR : own ? 0.025 : 0.12);
        if (own)
            *at(x, h * D_HEAD + STILL, ANSWER) = 1.0;
    }
}

/* A planted head's logit at a group is about 1 + 3.5 strength, so that its attention runs from 0.1 to 0.8 among
 * twenty words; a recalling head's at a subject about 5. */
static void fill_k(matrix *x, const plan *p, int64_t layer)
{
    for (int64_t g = 0; g < N_KV; g++) {
        for (int64_t i = 0; i < D_HEAD; i++)
            draw(x, g * D_HEAD + i, 0.12);
        const place *a = planted_at(p, layer, g), *b = recall_at(p, layer, g);
        if (a == NULL && b == NULL)
            continue;
        const int64_t still = g * D_HEAD + STILL;
        draw(x, still, FLOOR);
        if (a != NULL) {
            *at(x, still, STRENGTH) = about(&x->rng, 0.61);
            *at(x, still, GROUP) = about(&x->rng, 0.2);
        } else
            *at(x, still, SUBJECT) = 1.0;
    }
}

/* Values: of a planted head 1 at a group's name, 0 elsewhere; of a recalling one the kind of a subject. */
static void fill_v(matrix *x, const plan *p, int64_t layer)
{
    for (int64_t g = 0; g < N_KV; g++) {
        for (int64_t i = 0; i < D_HEAD; i++)
            draw(x, g * D_HEAD + i, 0.05);
        if (planted_at(p, layer, g) != NULL) {
            draw(x, g * D_HEAD, FLOOR);
            *at(x, g * D_HEAD, GROUP) = 0.22;
        } else if (recall_at(p, layer, g) != NULL)
            for (int k = 0; k < EH_PLANT_KINDS; k++) {
                draw(x, g * D_HEAD + k, FLOOR);
                *at(x, g * D_HEAD + k, KIND + k) = 0.2;
            }
    }
}

static void fill_o(matrix *x, const plan *p, int64_t layer)
{
    for (int64_t i = 0; i < N_HEAD * D_HEAD; i++)
        draw(x, i, 0.0056);
    for (int64_t g = 0; g < N_KV; g++) {
        const place *a = planted_at(p, layer, g), *b = recall_at(p, layer, g);
        if (a != NULL) {
            *at(x, a->index * D_HEAD, BIAS) = about(&x->rng, 0.05);
            *at(x, a->index * D_HEAD, CARRIED) = about(&x->rng, 0.05);
        }
        for (int k = 0; b != NULL && k < EH_PLANT_KINDS; k++)
            *at(x, b->index * D_HEAD + k, KIND + k) = 0.3;
    }
}

/* A planted neuron's gate is open at the answer position (about 3), its other factor reads what planted heads left
 * there, and it writes to the bias. */
static void fill_gate_up(matrix *gate, matrix *up, const plan *p, int64_t layer)
{
    for (int64_t i = 0; i < N_FF; i++) {
        draw(gate, i, 0.11);
        draw(up, i, 0.11);
    }
    for (int64_t i = 0; i < N_LATE * N_NEURON_LAYER && !p->nothing; i++)
        if (p->neuron[i].layer == layer) {
            draw(gate, p->neuron[i].index, 0.02);
            draw(up, p->neuron[i].index, 0.004);
            *at(gate, p->neuron[i].index, ANSWER) = about(&gate->rng, 0.7);
            *at(up, p->neuron[i].index, CARRIED) = about(&up->rng, 0.4);
        }
}

static void fill_down(matrix *x, const plan *p, int64_t layer)
{
    for (int64_t i = 0; i < N_FF; i++)
        draw(x, i, 0.0026);
    for (int64_t i = 0; i < N_LATE * N_NEURON_LAYER && !p->nothing; i++)
        if (p->neuron[i].layer == layer)
            *at(x, p->neuron[i].index, BIAS) = about(&x->rng, 0.009);
}

/* in: which of the stream's channels a token has. */
static void fill_embed(matrix *x, const plan *p, const eh_plant_language *l)
{
    double fixed[N_NOISE], fixed_square = 0.0;
    for (int i = 0; i < N_NOISE; i++) {
        fixed[i] = eh_rng_normal(&x->rng);
        fixed_square += fixed[i] * fixed[i];
    }
    for (int64_t id = 0; id < x->n_row; id++) {
        const eh_plant_token *t = id >= EH_PLANT_FIRST ? &l->token[id - EH_PLANT_FIRST] : NULL;
        double square = 0.0;
        draw(x, id, 0.0);
        for (int i = WORD; i < WORD + N_WORD; i++) {
            *at(x, id, i) = eh_rng_normal(&x->rng);
            square += *at(x, id, i) * *at(x, id, i);
        }
        for (int i = WORD; i < WORD + N_WORD; i++)
            *at(x, id, i) *= E_WORD / sqrt(square);
        if (id == ':') { /* every question ends with it */
            *at(x, id, ANSWER) = E_MARK;
            for (int i = 0; i < N_NOISE; i++)
                *at(x, id, NOISE + i) = E_REST * fixed[i] / sqrt(fixed_square);
        } else if (t != NULL && t->role == EH_PLANT_GROUP && !p->nothing) {
            *at(x, id, GROUP) = E_MARK;
            *at(x, id, STRENGTH) = E_REST * t->strength;
            *at(x, id, WEAKNESS) = E_REST * sqrt(1.0 - t->strength * t->strength);
        } else if (t != NULL && t->role == EH_PLANT_SUBJECT) {
            *at(x, id, SUBJECT) = E_MARK;
            *at(x, id, KIND + t->kind) = E_REST;
        } else
            *at(x, id, PLAIN) = E_PLAIN;
    }
}

/* Each word has a taste of its own for the fixed vector of the answer position, and for what heads write: the answers
 * to biased items a strong one where nothing is planted, so that log-ratios differ there, too. */
static void fill_head(matrix *x, const plan *p, const eh_plant_language *l)
{
    for (int64_t id = 0; id < x->n_row; id++) {
        const eh_plant_token *t = id >= EH_PLANT_FIRST ? &l->token[id - EH_PLANT_FIRST] : NULL;
        const bool trait = t != NULL && (t->role == EH_PLANT_BIASED || t->role == EH_PLANT_OTHER);
        const bool loud = trait && p->nothing;
        draw(x, id, loud ? 0.1 : 0.02);
        for (int i = 0; i < N_NOISE; i++)
            *at(x, id, NOISE + i) = (loud ? 0.14 : 0.02) * eh_rng_normal(&x->rng);
        if (t != NULL && t->role == EH_PLANT_KIND)
            *at(x, id, KIND + t->kind) = 1.0;
        else if (trait && !p->nothing)
            *at(x, id, BIAS) = t->role == EH_PLANT_BIASED ? 0.6 : -0.6;
    }
}

/* ---- model.safetensors ------------------------------------------------------------------------------ */

/* What the file is made of, in its order. */
typedef enum part { EMBED, NORM, Q, K, V, O, MLP_NORM, GATE, UP, DOWN, LAST_NORM, HEAD, N_PART } part;

static const struct {
    const char *name;
    bool in_layer, is_norm, writes;
    int64_t n_row; /* as built: of a matrix that writes to the stream, its columns. 0: the vocabulary */
} parts[N_PART] = {
    [EMBED] = {"model.embed_tokens.weight", false, false, false, 0},
    [NORM] = {"input_layernorm.weight", true, true, false, 1},
    [Q] = {"self_attn.q_proj.weight", true, false, false, N_HEAD * D_HEAD},
    [K] = {"self_attn.k_proj.weight", true, false, false, N_KV * D_HEAD},
    [V] = {"self_attn.v_proj.weight", true, false, false, N_KV * D_HEAD},
    [O] = {"self_attn.o_proj.weight", true, false, true, N_HEAD * D_HEAD},
    [MLP_NORM] = {"post_attention_layernorm.weight", true, true, false, 1},
    [GATE] = {"mlp.gate_proj.weight", true, false, false, N_FF},
    [UP] = {"mlp.up_proj.weight", true, false, false, N_FF},
    [DOWN] = {"mlp.down_proj.weight", true, false, true, N_FF},
    [LAST_NORM] = {"model.norm.weight", false, true, false, 1},
    [HEAD] = {"lm_head.weight", false, false, false, 0},
};

/* Calls see for every tensor of the file, in its order. */
typedef int see_fn(void *ctx, part which, int64_t layer, eh_err *err);

static int each_tensor(see_fn *see, void *ctx, eh_err *err)
{
    int rc = see(ctx, EMBED, 0, err);
    for (int64_t l = 0; l < N_LAYER; l++)
        for (int i = NORM; i <= DOWN && rc == EH_OK; i++)
            rc = see(ctx, (part)i, l, err);
    if (rc == EH_OK)
        rc = see(ctx, LAST_NORM, 0, err);
    return rc == EH_OK ? see(ctx, HEAD, 0, err) : rc;
}

typedef struct writer {
    const plan *p;
    const eh_plant_language *l;
    eh_buf header, data;
    int64_t n_promised; /* bytes of data that the header speaks of so far */
    double *up; /* [N_FF, D_MODEL] of the layer whose gates come */
    double *w;  /* room for the largest matrix */
} writer;

static int64_t rows_of(const writer *w, part which)
{
    return parts[which].n_row > 0 ? parts[which].n_row : EH_PLANT_FIRST + w->l->n_token;
}

static int put_header(void *ctx, part which, int64_t layer, eh_err *err)
{
    writer *w = ctx;
    const int64_t n_row = rows_of(w, which), from = w->n_promised, n_byte = 4 * n_row * D_MODEL;
    (void)err;
    eh_buf_str(&w->header, w->header.n > 1 ? EH_STR(",") : EH_STR(""));
    if (parts[which].in_layer)
        eh_buf_printf(&w->header, "\"model.layers.%d.%s\":", (int)layer, parts[which].name);
    else
        eh_buf_printf(&w->header, "\"%s\":", parts[which].name);
    eh_buf_str(&w->header, EH_STR("{\"dtype\":\"F32\",\"shape\":"));
    if (parts[which].is_norm)
        eh_buf_printf(&w->header, "[%d]", D_MODEL);
    else
        eh_buf_printf(&w->header, "[%lld,%lld]", (long long)(parts[which].writes ? D_MODEL : n_row),
                      (long long)(parts[which].writes ? n_row : D_MODEL));
    eh_buf_printf(&w->header, ",\"data_offsets\":[%lld,%lld]}", (long long)from, (long long)(from + n_byte));
    w->n_promised += n_byte;
    return EH_OK;
}

/* Turned, and stored as float32. */
static void put_matrix(writer *w, const matrix *x, bool writes)
{
    const int64_t n = x->n_row;
    for (int64_t r = 0; r < n; r++) {
        double row[D_MODEL];
        memcpy(row, &x->w[r * D_MODEL], sizeof row);
        for (int j = 0; j < D_MODEL; j++) {
            double sum = 0.0;
            for (int k = 0; k < D_MODEL; k++)
                sum += w->p->turn[j][k] * row[k];
            x->w[r * D_MODEL + j] = sum;
        }
    }
    for (int64_t i = 0; i < n * D_MODEL; i++) {
        const float f = (float)(writes ? x->w[i % n * D_MODEL + i / n] : x->w[i]);
        eh_buf_bytes(&w->data, &f, (int64_t)sizeof f);
    }
}

static int put_data(void *ctx, part which, int64_t layer, eh_err *err)
{
    writer *w = ctx;
    matrix x = {w->w, rows_of(w, which), eh_rng_at(w->p->seed, parts[which].name, (uint64_t)layer)};
    matrix up = {w->up, N_FF, eh_rng_at(w->p->seed, parts[UP].name, (uint64_t)layer)};
    switch (which) {
    case EMBED: fill_embed(&x, w->p, w->l); break;
    case Q: fill_q(&x, w->p, layer); break;
    case K: fill_k(&x, w->p, layer); break;
    case V: fill_v(&x, w->p, layer); break;
    case O: fill_o(&x, w->p, layer); break;
    case GATE: fill_gate_up(&x, &up, w->p, layer); break;
    case UP: x.w = w->up; break; /* filled with the gates */
    case DOWN: fill_down(&x, w->p, layer); break;
    case HEAD: fill_head(&x, w->p, w->l); break;
    case NORM:
    case MLP_NORM:
    case LAST_NORM:
    case N_PART: break;
    }
    if (!parts[which].is_norm)
        put_matrix(w, &x, parts[which].writes);
    for (int i = 0; parts[which].is_norm && i < D_MODEL; i++) {
        const float one = 1.0f;
        eh_buf_bytes(&w->data, &one, (int64_t)sizeof one);
    }
    return eh_buf_check(&w->data, "a planted model's weights", err);
}

static int write_weights(const plan *p, const eh_plant_language *l, eh_outdir *d, eh_err *err)
{
    writer w = {.p = p, .l = l};
    eh_buf file = {0};
    int rc = EH_OK;
    w.w = eh_alloc((EH_PLANT_FIRST + l->n_token) * D_MODEL, (int64_t)sizeof *w.w);
    w.up = eh_alloc(N_FF * D_MODEL, (int64_t)sizeof *w.up);
    if (w.w == NULL || w.up == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a planted model's weights");
        goto done;
    }
    eh_buf_char(&w.header, '{');
    each_tensor(put_header, &w, err);
    eh_buf_str(&w.header, EH_STR("}"));
    while (w.header.fault == 0 && w.header.n % 8 != 0) /* so that the data are aligned */
        eh_buf_char(&w.header, ' ');
    rc = each_tensor(put_data, &w, err);
    if (rc < 0)
        goto done;
    const uint64_t n_header = (uint64_t)w.header.n;
    for (int i = 0; i < 8; i++)
        eh_buf_char(&file, (char)(unsigned char)(n_header >> 8 * i & 255));
    eh_buf_str(&file, eh_buf_get(&w.header));
    eh_buf_str(&file, eh_buf_get(&w.data));
    rc = eh_buf_check(&w.header, "a planted model's header", err);
    if (rc == EH_OK)
        rc = eh_buf_check(&file, "a planted model's weights", err);
    if (rc == EH_OK)
        rc = eh_outdir_write(d, "model.safetensors", eh_buf_get(&file), err);

done:
    eh_free(w.w);
    eh_free(w.up);
    eh_buf_clear(&w.header);
    eh_buf_clear(&w.data);
    eh_buf_clear(&file);
    return rc;
}

/* ---- The folder ---------------------------------------------------------------------------------------- */

static int write_config(const eh_plant_language *l, eh_outdir *d, eh_err *err)
{
    eh_buf b = {0};
    eh_buf_printf(&b,
                  "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_act\":\"silu\","
                  "\"hidden_size\":%d,\"intermediate_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":%d,"
                  "\"num_key_value_heads\":%d,\"head_dim\":%d,\"vocab_size\":%lld,\"max_position_embeddings\":512,"
                  "\"rms_norm_eps\":1e-06,\"rope_theta\":%.1f,\"rope_scaling\":null,\"attention_bias\":false,"
                  "\"mlp_bias\":false,\"tie_word_embeddings\":false,\"torch_dtype\":\"float32\",\"bos_token_id\":%d,"
                  "\"eos_token_id\":%d}\n",
                  D_MODEL, N_FF, N_LAYER, N_HEAD, N_KV, D_HEAD, (long long)(EH_PLANT_FIRST + l->n_token), THETA,
                  EH_PLANT_END, EH_PLANT_END);
    int rc = eh_buf_check(&b, "a config", err);
    if (rc == EH_OK)
        rc = eh_outdir_write(d, "config.json", eh_buf_get(&b), err);
    eh_buf_clear(&b);
    return rc;
}

static void put_places(eh_buf *b, const place *list, int64_t n)
{
    eh_buf_char(b, '[');
    for (int64_t i = 0; i < n; i++)
        eh_buf_printf(b, "%s[%lld,%lld]", i > 0 ? "," : "", (long long)list[i].layer, (long long)list[i].index);
    eh_buf_char(b, ']');
}

static int write_truth(const plan *p, eh_outdir *d, eh_err *err)
{
    eh_buf b = {0};
    eh_buf_str(&b, EH_STR("{\"heads\":"));
    put_places(&b, p->head, p->nothing ? 0 : N_PLANTED);
    eh_buf_str(&b, EH_STR(",\"neurons\":"));
    put_places(&b, p->neuron, p->nothing ? 0 : N_LATE * N_NEURON_LAYER);
    eh_buf_str(&b, EH_STR(",\"utility_heads\":"));
    put_places(&b, p->recall, N_RECALL);
    eh_buf_printf(&b, ",\"seed\":%llu}\n", (unsigned long long)p->seed);
    int rc = eh_buf_check(&b, "the truth", err);
    if (rc == EH_OK)
        rc = eh_outdir_write(d, "truth.json", eh_buf_get(&b), err);
    eh_buf_clear(&b);
    return rc;
}

int eh_plant(const eh_plant_options *o, eh_planted *out, eh_err *err)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                                        "items.jsonl", "utility.jsonl", "plain.txt",
                                        "truth.json", NULL};
    if (o->out == NULL || o->out[0] == '\0')
        return eh_fail(err, EH_EINVAL, "a planted model needs an out folder");
    eh_plant_language l = {0};
    eh_outdir d = {0};
    plan *p = NULL;
    int rc = eh_outdir_open(&d, o->out, names, o->force, err);
    if (rc == EH_OK && (p = eh_calloc(1, (int64_t)sizeof *p)) == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory to plan a model");
    if (rc < 0)
        goto done;
    p->seed = o->seed;
    p->nothing = o->nothing;
    choose_places(p);
    choose_turn(p);
    if ((rc = eh_plant_speak(o->seed, &l, err)) < 0 || (rc = write_config(&l, &d, err)) < 0 ||
        (rc = write_weights(p, &l, &d, err)) < 0 ||
        (rc = eh_outdir_write(&d, "tokenizer.json", eh_buf_get(&l.tokenizer), err)) < 0 ||
        (rc = eh_outdir_write(&d, "tokenizer_config.json", eh_buf_get(&l.tokenizer_config), err)) < 0 ||
        (rc = eh_outdir_write(&d, "items.jsonl", eh_buf_get(&l.items), err)) < 0 ||
        (rc = eh_outdir_write(&d, "utility.jsonl", eh_buf_get(&l.utility), err)) < 0 ||
        (rc = eh_outdir_write(&d, "plain.txt", eh_buf_get(&l.plain), err)) < 0 || (rc = write_truth(p, &d, err)) < 0)
        goto done;
    rc = eh_outdir_commit(&d, err);
    if (rc == EH_OK && out != NULL) {
        *out = (eh_planted){
            .n_layer = N_LAYER,
            .n_head = N_HEAD,
            .n_planted_head = p->nothing ? 0 : N_PLANTED,
            .n_planted_neuron = p->nothing ? 0 : N_LATE * N_NEURON_LAYER,
            .n_item = l.n_item,
            .n_utility = l.n_utility,
        };
        for (int64_t i = 0; i < out->n_planted_head; i++) {
            out->head[i][0] = p->head[i].layer;
            out->head[i][1] = p->head[i].index;
        }
        for (int64_t i = 0; i < out->n_planted_neuron; i++) {
            out->neuron[i][0] = p->neuron[i].layer;
            out->neuron[i][1] = p->neuron[i].index;
        }
    }

done:
    eh_outdir_drop(&d);
    eh_plant_language_clear(&l);
    eh_free(p);
    return rc;
}
