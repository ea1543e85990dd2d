/*
 * Weights that lie in their files otherwise than they are used: as slices of one tensor, transposed, with rows in
 * another order. First numbers by hand, then a Llama whose family fuses and transposes what it can: it computes, is
 * edited, trained, saved and taken back like the plain one.
 */
#include "model/layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "edit/save.h"
#include "evenhand.h"
#include "row_model.h"
#include "session.h"
#include "train/params.h"

static eh_err err;

/* ---- By hand ------------------------------------------------------------------------------------------ */

/* 4 x 3:  1 2 3 / 4 5 6 / 7 8 9 / 10 11 12 */
static const float twelve[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static eh_tensor tensor_of(const void *data, eh_dtype dtype, int64_t rows, int64_t cols)
{
    return (eh_tensor){.name = "t", .dtype = dtype, .n_dim = 2, .dim = {rows, cols}, .data = data,
                       .n_byte = rows * cols * 4};
}

static void rows_are(const eh_part *p, int64_t row, int64_t n, const float *wanted)
{
    float got[16];
    eh_part_rows(p, row, n, got);
    check_floats(got, wanted, n * (p->n_in > 0 ? p->n_in : 1), 0.0, "rows");
}

TEST(a_slice_is_some_of_the_rows)
{
    const eh_tensor t = tensor_of(twelve, EH_DTYPE_F32, 4, 3);
    const eh_part p = {.t = &t, .first = 1, .n_out = 2, .n_in = 3};
    rows_are(&p, 0, 2, (const float[]){4, 5, 6, 7, 8, 9});
    rows_are(&p, 1, 1, (const float[]){7, 8, 9});
}

TEST(a_transposed_slice_is_some_of_the_columns)
{
    const eh_tensor t = tensor_of(twelve, EH_DTYPE_F32, 4, 3);
    const eh_part p = {.t = &t, .layout = EH_LAYOUT_TRANSPOSED, .first = 1, .n_out = 2, .n_in = 4};
    rows_are(&p, 0, 2, (const float[]){2, 5, 8, 11, 3, 6, 9, 12});
    rows_are(&p, 1, 1, (const float[]){3, 6, 9, 12});
}

/* A head of four rows is stored as 0 2 1 3: the pairs that rotate, (0, 2) and (1, 3), lie side by side. */
TEST(paired_rows_come_back_in_order)
{
    const eh_tensor t = tensor_of(twelve, EH_DTYPE_F32, 4, 3);
    const eh_part p = {.t = &t, .layout = EH_LAYOUT_PAIRED, .n_out = 4, .n_in = 3, .d_head = 4};
    rows_are(&p, 0, 4, (const float[]){1, 2, 3, 7, 8, 9, 4, 5, 6, 10, 11, 12});
    for (int64_t r = 0; r < 4; r++)
        CHECK_INT(eh_part_row_at(&p, eh_part_stored_row(&p, r)), r);
    const eh_part bias = {.t = &t, .layout = EH_LAYOUT_PAIRED, .n_out = 4, .d_head = 4};
    rows_are(&bias, 0, 4, (const float[]){1, 3, 2, 4});
}

/* A transposed weight wider than a strip, in every type that may lie so. */
TEST(wide_transposed_weights_are_read_in_every_type)
{
    enum { N_IN = 3, N_OUT = 150 };
    float x[N_IN * N_OUT], got[N_IN * N_OUT];
    char stored[sizeof x];
    for (int i = 0; i < N_IN * N_OUT; i++)
        x[i] = (float)(i % 251); /* exact in all three */
    for (int dtype = EH_DTYPE_F32; dtype <= EH_DTYPE_BF16; dtype++) {
        eh_dtype_from_f32((eh_dtype)dtype, x, N_IN * N_OUT, stored);
        const eh_tensor t = tensor_of(stored, (eh_dtype)dtype, N_IN, N_OUT);
        const eh_part p = {.t = &t, .layout = EH_LAYOUT_TRANSPOSED, .first = 10, .n_out = N_OUT - 10, .n_in = N_IN};
        eh_part_rows(&p, 0, p.n_out, got);
        for (int r = 0; r < N_OUT - 10; r++)
            for (int i = 0; i < N_IN; i++)
                CHECK_NEAR((double)got[r * N_IN + i], (double)x[i * N_OUT + 10 + r], 0.0);
    }
}

TEST(an_overlay_changes_its_own_numbers_alone)
{
    float bytes[12];
    const float minus[4] = {-1, -2, -3, -4};
    const eh_tensor t = tensor_of(twelve, EH_DTYPE_F32, 4, 3);
    const eh_part turned = {.t = &t, .layout = EH_LAYOUT_TRANSPOSED, .first = 1, .n_out = 2, .n_in = 4};
    const eh_part slice = {.t = &t, .first = 2, .n_out = 2, .n_in = 3};
    int64_t from, to;
    eh_part_span(&turned, &from, &to);
    CHECK(from == 0 && to == 4 && eh_part_width(&turned) == 2);
    memcpy(bytes, twelve, sizeof bytes);
    eh_part_overlay(&turned, minus, (char *)(bytes + 3)); /* row 1 */
    check_floats(bytes, (const float[]){1, 2, 3, 4, -1, -2, 7, 8, 9, 10, 11, 12}, 12, 0.0, "transposed");
    eh_part_span(&slice, &from, &to);
    CHECK(from == 2 && to == 4 && eh_part_width(&slice) == 3);
    memcpy(bytes, twelve, sizeof bytes);
    eh_part_overlay(&slice, minus, (char *)(bytes + 6)); /* row 2 */
    check_floats(bytes, (const float[]){1, 2, 3, 4, 5, 6, -1, -2, -3, 10, 11, 12}, 12, 0.0, "slice");
}

TEST(blocks_across_outputs_are_refused)
{
    static const char zeros[4 * 64 * 4];
    eh_tensor t = tensor_of(zeros, EH_DTYPE_Q8_0, 4, 64);
    const eh_filed turned = {.name = "t", .layout = EH_LAYOUT_TRANSPOSED, .n_out = 64, .n_whole = 64, .n_in = 4};
    const eh_filed rows = {.name = "t", .n_out = 2, .n_whole = 4, .n_in = 64};
    const eh_filed shape = {.name = "t", .n_out = 2, .n_whole = 5, .n_in = 64};
    const eh_part p = {.t = &t, .layout = EH_LAYOUT_TRANSPOSED, .n_out = 64, .n_in = 4};
    const eh_part q = {.t = &t, .n_out = 2, .n_in = 64}, none = {.n_out = 2, .n_in = 64};
    CHECK_FAILS(eh_part_check(&p, &turned, "m", &err), EH_ENOSUP, "\"t\" is Q8_0 in blocks across");
    CHECK_OK(eh_part_check(&q, &rows, "m", &err));
    CHECK_FAILS(eh_part_check(&q, &shape, "m", &err), EH_EFORMAT, "\"t\" is 4 x 64, wanted 5 x 64");
    CHECK_FAILS(eh_part_check(&none, &rows, "m", &err), EH_EFORMAT, "has no tensor \"t\"");
    t.n_dim = 1;
    t.dim[0] = 256;
    const eh_filed part = {.name = "t", .n_out = 128, .n_whole = 256};
    CHECK_FAILS(eh_part_check(&q, &part, "m", &err), EH_ENOSUP, "in blocks across");
}

/* ---- A family that fuses and transposes ----------------------------------------------------------------- */

#define N_TOK 6
static const int32_t tok[N_TOK] = {3, 1, 39, 7, 7, 20};
#define VOCAB 40

static const char *names[EH_N_SLOT];
static eh_arch fused, plain;

static void make_rows(bool biases)
{
    plain = *eh_arch_of(EH_WEIGHTS_SAFETENSORS, EH_STR("llama"));
    plain.start.qkv_bias = plain.start.o_bias = plain.start.mlp_bias = biases;
    fused = plain;
    memcpy(names, plain.folder.name, sizeof names);
    names[EH_SLOT_Q] = names[EH_SLOT_K] = names[EH_SLOT_V] = "model.layers.%.attn.qkv";
    names[EH_SLOT_GATE] = names[EH_SLOT_UP] = "model.layers.%.mlp.gate_up";
    fused.folder.name = names;
    fused.folder.layout[EH_SLOT_Q] = fused.folder.layout[EH_SLOT_K] = fused.folder.layout[EH_SLOT_V] =
        EH_LAYOUT_TRANSPOSED;
    fused.folder.layout[EH_SLOT_DOWN] = EH_LAYOUT_TRANSPOSED;
}

static const char *path_of(const char *name)
{
    static const char *root;
    static char path[8][4000];
    static int n;
    root = root != NULL ? root : temp_dir();
    snprintf(path[n % 8], sizeof path[0], "%s/%d-%s", root, n, name);
    return path[n++ % 8];
}

static const char *write_as(const eh_arch *a)
{
    const char *dir = path_of(a == &fused ? "fused" : "plain");
    const eh_config c = row_config(a, EH_WEIGHTS_SAFETENSORS);
    eh_config tied = c;
    tied.tied = true;
    row_write(dir, &tied, "{\"tie_word_embeddings\":true}");
    return dir;
}

/* eh_model_open for a family that no table has. */
static eh_session *open_as(const char *path, const eh_arch *a)
{
    eh_session *s;
    eh_model *m = eh_calloc(1, (int64_t)sizeof *m);
    CHECK(m != NULL);
    m->path = eh_strdup(path);
    CHECK_OK(eh_weights_open(path, &m->weights, &err));
    CHECK_OK(eh_config_read_as(m->weights, a, &m->arena, &m->config, &err));
    CHECK_OK(eh_model_load(m, &err));
    CHECK_OK(eh_session_open(m, NULL, &s, &err));
    return s;
}

static void same_logits(eh_session *a, eh_session *b)
{
    static float x[N_TOK * VOCAB], y[N_TOK * VOCAB];
    CHECK_OK(eh_logits(a, tok, N_TOK, x, &err));
    CHECK_OK(eh_logits(b, tok, N_TOK, y, &err));
    check_floats(x, y, N_TOK * VOCAB, 0.0, "logits");
}

static bool same_bytes(const char *dir_a, const char *dir_b)
{
    char a[4400], b[4400], x[65], y[65];
    snprintf(a, sizeof a, "%s/model.safetensors", dir_a);
    snprintf(b, sizeof b, "%s/model.safetensors", dir_b);
    CHECK_OK(eh_sha256_file(a, x, &err));
    CHECK_OK(eh_sha256_file(b, y, &err));
    return strcmp(x, y) == 0;
}

static const float mean[4] = {0.5f, -1.0f, 0.25f, 2.0f};
static const eh_unit_edit edits[] = {
    {EH_UNIT_HEAD, 0, 1, EH_EDIT_SOFT, 0.3, NULL},   {EH_UNIT_HEAD, 1, 3, EH_EDIT_MEAN, 1.0, mean},
    {EH_UNIT_NEURON, 1, 7, EH_EDIT_ZERO, 1.0, NULL}, {EH_UNIT_NEURON, 2, 23, EH_EDIT_MEAN, 1.0, mean},
};
#define N_EDIT 4

TEST(a_fused_and_transposed_model_computes_what_the_plain_one_does)
{
    make_rows(true);
    eh_session *f = open_as(write_as(&fused), &fused), *p = open_as(write_as(&plain), &plain);
    same_logits(f, p);
    CHECK_OK(eh_session_edit(f, edits, N_EDIT, &err));
    CHECK_OK(eh_session_edit(p, edits, N_EDIT, &err));
    same_logits(f, p);
    session_close(f);
    session_close(p);
}

TEST(an_edit_of_it_is_saved_and_taken_back)
{
    make_rows(true);
    const char *dir = write_as(&fused), *out = path_of("out"), *back = path_of("back");
    eh_session *f = open_as(dir, &fused);
    eh_saved saved;
    CHECK_OK(eh_session_edit(f, edits, N_EDIT, &err));
    CHECK_OK(eh_session_save(f, out, false, &saved, &err));
    /* Layer 0: Q's slice of the weight and of the bias, O. Layer 1: O and its bias; gate and up, weight and bias; down.
     * Layer 2: down and its bias. */
    CHECK(saved.n_changed == 3 + 2 + 3 + 2 && saved.n_new == 0);
    eh_session *o = open_as(out, &fused);
    same_logits(f, o);
    CHECK(!same_bytes(dir, out));

    /* Keys and values, which share their tensor with the queries that changed, are untouched. */
    float wanted[ROW_NUMBERS], got[ROW_NUMBERS];
    for (int64_t i = 0; i < eh_n_stored(o->m); i++) {
        eh_stored t;
        if (!eh_stored_at(o, i, &t) || (t.slot != EH_SLOT_K && t.slot != EH_SLOT_V))
            continue;
        row_weight(&o->m->config, t.slot, t.layer, t.bias, wanted);
        eh_stored_rows(o, &t, 0, t.n_row, got);
        check_floats(got, wanted, t.n_row * t.n_col, 0.0, t.name);
    }
    session_close(o);
    CHECK_OK(eh_model_undo(out, back, false, &err));
    CHECK(same_bytes(dir, back));
    session_close(f);
}

TEST(weights_of_its_own_are_saved)
{
    make_rows(true);
    const char *out = path_of("trained");
    eh_session *f = open_as(write_as(&fused), &fused);
    eh_linear *const l[3] = {&f->layer[1].linear[EH_LINEAR_QKV], &f->layer[2].linear[EH_LINEAR_UP],
                             &f->layer[0].linear[EH_LINEAR_DOWN]};
    for (int k = 0; k < 3; k++) {
        CHECK_OK(eh_linear_own(f, l[k], &err));
        for (int64_t i = 0; i < l[k]->n_out * l[k]->n_in; i++)
            l[k]->own[i] += (float)(i % 7) * 0.125f;
        l[k]->own_bias[3] = -4.5f;
        eh_linear_changed(l[k]);
    }
    CHECK_OK(eh_session_save(f, out, false, NULL, &err));
    eh_session *o = open_as(out, &fused);
    same_logits(f, o);
    session_close(o);
    session_close(f);
}

/* B A of a module's tensor, [outputs, inputs]; all zero where the adapter does not have it. */
static void read_adapter(const eh_weights *w, const char *tensor, int64_t n_row, int64_t n_col, float *ba)
{
    char name[300];
    float left[64], right[64];
    const int bare = (int)(strlen(tensor) - strlen(".weight"));
    snprintf(name, sizeof name, "base_model.model.%.*s.lora_A.weight", bare, tensor);
    const eh_tensor *a = eh_weights_find(w, name);
    snprintf(name, sizeof name, "base_model.model.%.*s.lora_B.weight", bare, tensor);
    const eh_tensor *b = eh_weights_find(w, name);
    memset(ba, 0, (size_t)(n_row * n_col) * sizeof *ba);
    CHECK((a == NULL) == (b == NULL));
    if (a == NULL)
        return;
    CHECK(a->dim[1] == n_col && b->dim[0] == n_row && a->dim[0] == b->dim[1] && a->dim[0] <= 64);
    for (int64_t r = 0; r < n_row; r++) {
        eh_tensor_rows(b, r, 1, left);
        for (int64_t k = 0; k < a->dim[0]; k++) {
            eh_tensor_rows(a, k, 1, right);
            for (int64_t c = 0; c < n_col; c++)
                ba[r * n_col + c] += left[k] * right[c];
        }
    }
}

/* One module for what shares a tensor: stored plus B A is what is in force, in every slice of it. */
TEST(an_adapter_for_it_has_a_module_for_each_tensor)
{
    static float ba[ROW_NUMBERS], now[ROW_NUMBERS], was[ROW_NUMBERS];
    static const eh_unit_edit some[] = {{EH_UNIT_HEAD, 0, 1, EH_EDIT_SOFT, 0.3, NULL},
                                        {EH_UNIT_NEURON, 1, 7, EH_EDIT_ZERO, 1.0, NULL}};
    make_rows(false);
    const char *out = path_of("lora");
    eh_session *f = open_as(write_as(&fused), &fused);
    eh_weights *w;
    eh_lora told;
    eh_buf config = {0};
    char path[4400];
    CHECK_OK(eh_session_edit(f, some, 2, &err));
    CHECK_OK(eh_session_save_lora(f, out, EH_LORA_RANK, false, &told, &err));
    /* qkv by 4 rows, o by 4 columns; gate_up by 2 rows, down by 1 column */
    CHECK(told.n_module == 4 && told.rank == 4);
    snprintf(path, sizeof path, "%s/adapter_config.json", out);
    CHECK_OK(eh_file_read(path, 1 << 20, &config, &err));
    CHECK(strstr(config.p, "\"fan_in_fan_out\": true") != NULL);
    save(out, "config.json", &config); /* so that it opens as weights */
    snprintf(path, sizeof path, "mv '%s/adapter_model.safetensors' '%s/model.safetensors'", out, out);
    CHECK_INT(system(path), 0);
    CHECK_OK(eh_weights_open(out, &w, &err));
    for (int64_t i = 0; i < eh_n_stored(f->m); i++) {
        eh_stored t;
        if (!eh_stored_at(f, i, &t) || t.l == NULL)
            continue;
        read_adapter(w, t.name, eh_tensor_count(t.part.t) / t.n_col, t.n_col, ba);
        eh_stored_rows(f, &t, 0, t.n_row, now);
        eh_stored_file_rows(&t, 0, t.n_row, was);
        for (int64_t k = 0; k < t.n_row * t.n_col; k++)
            was[k] += ba[t.part.first * t.n_col + k];
        check_floats(was, now, t.n_row * t.n_col, 1e-7, t.name);
    }
    eh_weights_close(w);
    session_close(f);
}

/* Zeros beside Q alone would be no bias that the format knows. */
TEST(a_new_bias_beside_a_fused_weight_is_refused)
{
    make_rows(false);
    eh_session *f = open_as(write_as(&fused), &fused);
    const char *out = path_of("bias");
    CHECK_OK(eh_session_edit(f, &edits[1], 1, &err));
    CHECK_FAILS(eh_session_save(f, out, false, NULL, &err), EH_ENOSUP, "a part of \"model.layers.0.attn.qkv.weight\"");
    fused.folder.takes_o_bias = false;
    CHECK_FAILS(eh_session_save(f, out, false, NULL, &err), EH_ENOSUP, "which the Llama family does not take");
    CHECK(!eh_dir_exists(out));
    session_close(f);
}

/* ---- A plain MLP, and norms with biases ------------------------------------------------------------------- */

static eh_arch layered;

static void make_layered(void)
{
    make_rows(true);
    layered = fused;
    layered.start.gated = false;
    layered.start.norm = EH_NORM_LAYER;
    layered.start.norm_bias = true;
    layered.start.positions = EH_POS_LEARNED;
    layered.start.position_offset = 2;
    names[EH_SLOT_POSITION] = "model.positions";
    names[EH_SLOT_GATE] = NULL;
    names[EH_SLOT_UP] = "model.layers.%.mlp.up_proj";
}

/* Of slot `slot` in layer 0: number i, in force. */
static float number(const eh_session *s, eh_slot slot, bool bias, int64_t i)
{
    static float x[ROW_NUMBERS];
    for (int64_t k = 0; k < eh_n_stored(s->m); k++) {
        eh_stored t;
        if (!eh_stored_at(s, k, &t) || t.layer > 0 || t.slot != slot || t.bias != bias)
            continue;
        eh_stored_rows(s, &t, 0, t.n_row, x);
        return x[i];
    }
    CHECK(false);
    return 0.0f;
}

TEST(a_plain_mlp_has_one_part_and_its_neurons_are_edited)
{
    make_layered();
    const char *dir = write_as(&layered), *out = path_of("neuron"), *back = path_of("neuron-back");
    eh_session *s = open_as(dir, &layered);
    const eh_config *c = &s->m->config;
    const eh_matrix *up = &s->m->layer[0].linear[EH_LINEAR_UP];
    CHECK(up->n_part == 1 && up->n_out == c->d_ff && s->m->position->dim[0] == c->n_ctx + 2 && c->d_rot == 0);
    CHECK(s->final_norm_bias != NULL && s->layer[1].norm_bias[EH_NORM_MLP] != NULL);
    const eh_unit_edit zero = {EH_UNIT_NEURON, 0, 5, EH_EDIT_ZERO, 1.0, NULL};
    const float was = number(s, EH_SLOT_UP, false, 6 * c->d_model + 2);
    CHECK_OK(eh_session_edit(s, &zero, 1, &err));
    CHECK_OK(eh_session_save(s, out, false, NULL, &err));
    session_close(s);
    s = open_as(out, &layered);
    CHECK(number(s, EH_SLOT_UP, false, 5 * 16 + 2) == 0.0f && number(s, EH_SLOT_UP, true, 5) == 0.0f);
    CHECK(number(s, EH_SLOT_UP, false, 6 * 16 + 2) == was && number(s, EH_SLOT_UP, true, 6) != 0.0f);
    CHECK(number(s, EH_SLOT_DOWN, false, 3 * 24 + 5) == 0.0f && number(s, EH_SLOT_DOWN, false, 3 * 24 + 4) != 0.0f);
    session_close(s);
    CHECK_OK(eh_model_undo(out, back, false, &err));
    CHECK(same_bytes(dir, back));
}

TEST(biases_of_norms_are_trained_and_saved)
{
    make_layered();
    const char *out = path_of("norms");
    eh_session *s = open_as(write_as(&layered), &layered);
    eh_params p = {0};
    CHECK_OK(eh_params_open(s, EH_TUNE_NORMS, &p, &err));
    CHECK_INT(p.n_weight, (2 * ROW_LAYERS + 1) * 2 * 16); /* two norms a layer and the last, weight and bias each */
    eh_params_zero(&p);
    for (int64_t i = 0; i < p.n_piece; i++) {
        p.piece[i].w[1] = (float)i + 0.5f;
        p.grad[p.piece[i].at] = 2.0f;
    }
    CHECK_NEAR(eh_params_norm(&p), 2.0 * 3.7416573867739413, 1e-12); /* sqrt(14) */
    CHECK(p.grads.final_norm_bias != NULL && p.grads.layer[2].norm_bias[EH_NORM_ATTN] != NULL);
    eh_params_changed(&p);
    eh_params_clear(&p);
    CHECK_OK(eh_session_save(s, out, false, NULL, &err));
    session_close(s);
    s = open_as(out, &layered);
    CHECK(number(s, EH_SLOT_NORM, false, 1) == 0.5f && number(s, EH_SLOT_NORM, true, 1) == 1.5f);
    CHECK(number(s, EH_SLOT_FINAL_NORM, false, 1) == 12.5f && number(s, EH_SLOT_FINAL_NORM, true, 1) == 13.5f);
    session_close(s);
}

/* ---- Layers that differ ----------------------------------------------------------------------------------- */

/* Theta 10000 in layers that see all, 100 in those with a window: cos and sin of position * theta^(-2i / 4). */
TEST(layers_with_a_window_have_the_rotary_positions_that_the_row_says)
{
    make_rows(false);
    plain.windows = EH_WINDOW_ALWAYS;
    plain.full_every = 3;
    plain.sliding_rope = 1;
    plain.start.window = 5;
    plain.start.rope[1].theta = 100.0;
    const char *dir = write_as(&plain);
    for (int none = 0; none < 2; none++) {
        if (none)
            plain.sliding_rope = -1;
        eh_session *s = open_as(dir, &plain);
        CHECK_OK(eh_session_need_rope(s, 8, &err));
        for (int64_t l = 0; l < ROW_LAYERS; l++) {
            const float *cosine, *sine;
            eh_session_rope(s, l, &cosine, &sine);
            CHECK_INT(s->m->config.layer[l].window, l == 2 ? 0 : 5);
            if (l < 2 && none) {
                CHECK(cosine == NULL && sine == NULL);
                continue;
            }
            CHECK_NEAR((double)cosine[7 * 2], cos(7.0), 1e-7);
            CHECK_NEAR((double)cosine[7 * 2 + 1], cos(7.0 * (l == 2 ? 0.01 : 0.1)), 1e-7);
            CHECK_NEAR((double)sine[7 * 2 + 1], sin(7.0 * (l == 2 ? 0.01 : 0.1)), 1e-7);
        }
        session_close(s);
    }
}
