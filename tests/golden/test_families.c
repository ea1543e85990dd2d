/*
 * Families beyond Llama's, on tiny models that transformers made (tests/golden/tiny): what their configs mean, and that
 * weights are found where transformers' names and shapes say.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "model/stored.h"
#include "session.h"

static eh_err err;

/* Number `at` of a tensor is (row, col) of a slot. */
typedef struct spot {
    const char *tensor;
    int64_t at;
    eh_slot slot;
    int64_t layer;
    bool bias;
    int64_t row, col;
} spot;

typedef struct family {
    const char *folder, *name;
    spot spot[6];
    void (*check)(const eh_config *c);
} family;

static void is_gpt2(const eh_config *c)
{
    CHECK(c->n_layer == 2 && c->d_model == 48 && c->d_ff == 192 && c->n_head == 4 && c->n_kv == 4 && c->n_ctx == 64);
    CHECK(c->norm == EH_NORM_LAYER && c->positions == EH_POS_LEARNED && c->activation == EH_ACT_GELU_TANH);
    CHECK(!c->gated && c->tied && c->qkv_bias && c->norm_bias && c->d_rot == 0 && c->bos == 0 && c->eos == 1);
    CHECK_NEAR(c->attn_scale, 1.0 / sqrt(12.0), 1e-15);
}

static void is_opt(const eh_config *c)
{
    CHECK(c->n_layer == 2 && c->d_model == 64 && c->d_ff == 128 && c->n_head == 4 && c->n_ctx == 64);
    CHECK_INT(c->n_vocab, 344);
    CHECK(c->norm == EH_NORM_LAYER && c->order == EH_BLOCK_PRE && c->position_offset == 2);
    CHECK(c->activation == EH_ACT_RELU && !c->gated && c->tied && c->mlp_bias && c->norm_eps == 1e-5);
}

static void is_gemma2(const eh_config *c)
{
    CHECK(c->n_head == 4 && c->n_kv == 2 && c->d_head == 16 && c->d_rot == 16 && c->norm == EH_NORM_RMS_PLUS1);
    CHECK(c->order == EH_BLOCK_SANDWICH && c->activation == EH_ACT_GELU_TANH && c->gated && c->tied);
    CHECK(c->attn_softcap == 3.0 && c->final_softcap == 8.0 && c->qk_norm == EH_QK_NORM_NONE);
    CHECK_NEAR(c->attn_scale, 1.0 / sqrt(24.0), 1e-15);
    CHECK_NEAR(c->embed_scale, sqrt(48.0), 1e-15);
    CHECK(c->layer[0].window == 8 && c->layer[1].window == 0 && c->layer[0].rope == 0);
}

static void is_gemma3(const eh_config *c)
{
    CHECK(c->n_layer == 4 && c->n_kv == 1 && c->d_head == 24 && c->qk_norm == EH_QK_NORM_HEAD);
    CHECK(c->attn_softcap == 0.0 && c->final_softcap == 0.0);
    CHECK_NEAR(c->attn_scale, 1.0 / sqrt(20.0), 1e-15);
    CHECK(c->rope[0].theta == 1e6 && c->rope[1].theta == 1e4);
    for (int l = 0; l < 4; l++)
        CHECK(c->layer[l].window == (l == 2 ? 0 : 8) && c->layer[l].rope == (l == 2 ? 0 : 1));
}

static void is_cohere(const eh_config *c)
{
    CHECK(c->order == EH_BLOCK_PARALLEL && c->norm == EH_NORM_LAYER && !c->norm_bias && c->norm_eps == 1e-5);
    CHECK(c->positions == EH_POS_ROTARY_PAIRS && c->logit_scale == 0.25 && c->d_rot == 16 && c->n_kv == 2);
    CHECK(!eh_config_has(c, EH_SLOT_NORM + EH_NORM_MLP) && c->tied);
}

static const family families[] = {
    {"gpt2",
     "GPT-2",
     {{"transformer.h.1.attn.c_attn.weight", 5 * 144 + 2 * 48 + 7, EH_SLOT_V, 1, false, 7, 5},
      {"transformer.h.1.attn.c_attn.bias", 48 + 3, EH_SLOT_K, 1, true, 0, 3},
      {"transformer.h.0.mlp.c_fc.weight", 6 * 192 + 100, EH_SLOT_UP, 0, false, 100, 6},
      {"transformer.h.0.mlp.c_proj.weight", 100 * 48 + 6, EH_SLOT_DOWN, 0, false, 6, 100},
      {"transformer.wpe.weight", 63 * 48 + 1, EH_SLOT_POSITION, 0, false, 63, 1}},
     is_gpt2},
    {"opt",
     "OPT",
     {{"model.decoder.layers.1.self_attn.out_proj.weight", 3 * 64 + 9, EH_SLOT_O, 1, false, 3, 9},
      {"model.decoder.layers.0.fc1.bias", 77, EH_SLOT_UP, 0, true, 0, 77},
      {"model.decoder.layers.1.final_layer_norm.bias", 5, EH_SLOT_NORM + EH_NORM_MLP, 1, true, 0, 5},
      {"model.decoder.embed_positions.weight", 65 * 64 + 2, EH_SLOT_POSITION, 0, false, 65, 2}},
     is_opt},
    {"gemma2",
     "Gemma 2",
     {{"model.layers.1.post_attention_layernorm.weight", 5, EH_SLOT_NORM + EH_NORM_POST_ATTN, 1, false, 0, 5},
      {"model.layers.1.pre_feedforward_layernorm.weight", 5, EH_SLOT_NORM + EH_NORM_MLP, 1, false, 0, 5},
      {"model.layers.0.post_feedforward_layernorm.weight", 47, EH_SLOT_NORM + EH_NORM_POST_MLP, 0, false, 0, 47}},
     is_gemma2},
    {"gemma3_text",
     "Gemma 3",
     {{"model.layers.3.self_attn.k_norm.weight", 23, EH_SLOT_NORM + EH_NORM_K, 3, false, 0, 23},
      {"model.layers.3.self_attn.v_proj.weight", 48 * 23 + 1, EH_SLOT_V, 3, false, 23, 1}},
     is_gemma3},
    {"cohere",
     "Cohere",
     {{"model.layers.1.input_layernorm.weight", 63, EH_SLOT_NORM + EH_NORM_ATTN, 1, false, 0, 63},
      {"model.layers.0.mlp.gate_proj.weight", 79 * 64, EH_SLOT_GATE, 0, false, 79, 0}},
     is_cohere},
    {0},
};

static float value_of(const eh_session *s, const spot *p)
{
    static float x[65536];
    for (int64_t i = 0; i < eh_n_stored(s->m); i++) {
        eh_stored t;
        if (!eh_stored_at(s, i, &t) || t.slot != p->slot || t.bias != p->bias || (t.layer >= 0 && t.layer != p->layer))
            continue;
        eh_stored_rows(s, &t, p->row, 1, x);
        return x[p->col];
    }
    CHECK(false);
    return 0.0f;
}

TEST(families_open_with_their_fields_and_their_weights)
{
    for (const family *f = families; f->folder != NULL; f++) {
        char path[300];
        eh_session *s;
        snprintf(path, sizeof path, "tests/golden/tiny/%s", f->folder);
        CHECK_OK(session_open(repo_path(path), NULL, &s, &err));
        CHECK_STR(s->m->config.arch->name, f->name);
        f->check(&s->m->config);
        int64_t n = 0;
        for (int64_t i = 0; i < eh_n_stored(s->m); i++) {
            eh_stored t;
            if (eh_stored_at(s, i, &t))
                n += t.n_row * t.n_col;
        }
        CHECK_INT(n, s->m->n_param); /* no number of the file is left over, or read twice */
        for (int k = 0; f->spot[k].tensor != NULL; k++) {
            const eh_tensor *t = eh_weights_find(s->m->weights, f->spot[k].tensor);
            float wanted;
            CHECK(t != NULL && t->dtype == EH_DTYPE_F32);
            memcpy(&wanted, t->data + 4 * f->spot[k].at, 4);
            CHECK_NEAR((double)value_of(s, &f->spot[k]), (double)wanted, 0.0);
        }
        session_close(s);
    }
}
