/*
 * Writing what is in force: the written model is the edited one, everything else is as it was, and the
 * way back gives the same bytes.
 */
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "check.h"
#include "session.h"
#include "edit/save.h"
#include "evenhand.h"
#include "tiny_model.h"

static eh_err err;

#define N_TOK 7
static const int32_t tok[N_TOK] = {1, 5, 9, 2, 60, 33, 8};
#define VOCAB_MAX 1024

static const eh_unit_edit edits[] = {
    {EH_UNIT_HEAD, 0, 1, EH_EDIT_SOFT, 0.3, NULL},
    {EH_UNIT_HEAD, 1, 2, EH_EDIT_ZERO, 1.0, NULL},
    {EH_UNIT_NEURON, 1, 7, EH_EDIT_ZERO, 1.0, NULL},
    {EH_UNIT_NEURON, 0, 3, EH_EDIT_OUTPUT, 0.5, NULL},
};
#define N_EDIT 4

static eh_session *open_model(const char *path)
{
    eh_session *on;
    CHECK_OK(session_open(path, NULL, &on, &err));
    return on;
}

static void logits(eh_session *on, float *out)
{
    memset(out, 0, N_TOK * VOCAB_MAX * sizeof *out);
    CHECK_OK(eh_logits(on, tok, N_TOK, out, &err));
}

static bool same_bytes(const char *a, const char *b)
{
    char x[65], y[65];
    CHECK_OK(eh_sha256_file(a, x, &err));
    CHECK_OK(eh_sha256_file(b, y, &err));
    return strcmp(x, y) == 0;
}

static const char *in(const char *dir, const char *name)
{
    static char path[8][4300];
    static int n;
    snprintf(path[n % 8], sizeof path[0], "%s/%s", dir, name);
    return path[n++ % 8];
}

static bool same_folders(const char *a, const char *b)
{
    char command[9000];
    snprintf(command, sizeof command, "diff -r '%s' '%s' >/dev/null", a, b);
    return system(command) == 0;
}

/* A folder with all that a model folder may hold. */
static const char *tiny_folder(const tiny_model *options)
{
    const char *dir = tiny_dir();
    tiny_model_write(dir, options);
    save_text(dir, "tokenizer_extra.txt", "words\n");
    save_text(dir, "README.md", "# a model\n");
    CHECK_OK(eh_dir_make(in(dir, "more/deeper"), &err));
    save_text(in(dir, "more/deeper"), "note", "n");
    return dir;
}

TEST(a_written_folder_is_the_edited_model_in_every_type)
{
    static float want[N_TOK * VOCAB_MAX], got[N_TOK * VOCAB_MAX];
    static const eh_dtype types[] = {EH_DTYPE_F32, EH_DTYPE_F16, EH_DTYPE_BF16};
    static const double tolerance[] = {0.0, 2e-3, 2e-2}; /* half a unit in the last place of a weight, summed up */
    for (int i = 0; i < 3; i++) {
        const tiny_model options = {.n_head = 4, .n_kv = 2, .dtype = types[i]};
        const char *dir = tiny_folder(&options), *out = tiny_dir(), *back = tiny_dir();
        eh_session *on = open_model(dir);
        eh_saved saved;
        eh_comparison c;
        CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
        logits(on, want);
        CHECK_OK(eh_session_save(on, out, false, &saved, &err));
        /* Q and O of layer 0, O of layer 1, gate, up and down of layer 1, down of layer 0. */
        CHECK(saved.n_changed == 7 && saved.n_new == 0 && saved.n_tensor == 20);
        eh_session *w = open_model(out);
        logits(w, got);
        double largest = 0;
        for (int k = 0; k < N_TOK * TINY_VOCAB; k++)
            largest = fmax(largest, fabs((double)want[k]));
        check_floats(got, want, N_TOK * TINY_VOCAB, tolerance[i] * largest, "logits of the written model");

        /* Against the source: those tensors, and no others, differ; against the edit in force: the rounding alone. */
        CHECK_OK(eh_session_edit(on, NULL, 0, &err));
        CHECK_OK(eh_compare(on, w, &c, &err));
        CHECK_INT(c.n_tensor_differ, 7);
        CHECK_INT(c.n_unit, 4);
        eh_comparison_clear(&c);
        CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
        CHECK_OK(eh_compare(on, w, &c, &err));
        CHECK(c.relative <= (i == 0 ? 0.0 : i == 1 ? 0x1p-11 : 0x1p-8));
        eh_comparison_clear(&c);
        session_close(w);
        session_close(on);

        CHECK(same_bytes(in(dir, "config.json"), in(out, "config.json")));
        CHECK(same_bytes(in(dir, "README.md"), in(out, "README.md")));
        CHECK(same_bytes(in(dir, "more/deeper/note"), in(out, "more/deeper/note")));
        CHECK_OK(eh_model_undo(out, back, false, &err));
        CHECK(same_folders(dir, back));
        CHECK(!same_folders(dir, out));
    }
}

static bool holds_text(eh_str s, const char *text)
{
    const int64_t n = (int64_t)strlen(text);
    for (int64_t i = 0; i + n <= s.n; i++)
        if (memcmp(s.p + i, text, (size_t)n) == 0)
            return true;
    return false;
}

TEST(metadata_are_kept_and_a_second_edit_is_refused)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2};
    const char *dir = tiny_folder(&options), *out = tiny_dir();
    char base[65], fingerprint[65];
    bool applied;
    eh_recipe *r;
    eh_session *on = open_model(dir);
    CHECK_OK(eh_saved_base(on->m->weights, &applied, base, &err));
    CHECK(!applied);
    CHECK_OK(eh_session_fingerprint(on, fingerprint, &err));
    CHECK_OK(eh_recipe_write(in(dir, "edit.json"), on->m, edits, N_EDIT, NULL, &err));
    CHECK_OK(eh_recipe_read(in(dir, "edit.json"), &r, &err));
    CHECK_OK(eh_recipe_apply(on, r, &err));
    CHECK_OK(eh_session_save(on, out, false, NULL, &err));
    session_close(on);
    on = open_model(out);
    const eh_map *map = eh_weights_file_map(on->m->weights, 0);
    const eh_str head = {map->p, eh_weights_file_header(on->m->weights, 0)};
    CHECK(holds_text(head, "\"note\":\"kept\"") && holds_text(head, "\"format\":\"pt\""));
    CHECK_OK(eh_saved_base(on->m->weights, &applied, base, &err));
    CHECK(applied);
    CHECK_STR(base, fingerprint);
    CHECK_FAILS(eh_recipe_apply(on, r, &err), EH_EINVAL, "applied already");
    CHECK_OK(eh_session_edit(on, edits, 1, &err));
    CHECK_FAILS(eh_session_save(on, tiny_dir(), false, NULL, &err), EH_EINVAL, "applied already");
    session_close(on);
    eh_recipe_close(r);
}

/* Of shards, those that hold no touched tensor keep their bytes. */
TEST(shards_without_a_touched_tensor_are_carried_over)
{
    const char *dir = repo_path("tests/golden/tiny/llama-untied-scaled"), *out = tiny_dir(), *back = tiny_dir();
    static float want[N_TOK * VOCAB_MAX], got[N_TOK * VOCAB_MAX];
    char name[100];
    eh_session *on = open_model(dir);
    CHECK_OK(eh_session_edit(on, edits + 1, 1, &err));
    logits(on, want);
    CHECK_OK(eh_session_save(on, out, false, NULL, &err));
    int n_same = 0;
    for (int i = 1; i <= 3; i++) {
        snprintf(name, sizeof name, "model-0000%d-of-00003.safetensors", i);
        n_same += same_bytes(in(dir, name), in(out, name));
    }
    CHECK_INT(n_same, 2);
    CHECK(same_bytes(in(dir, "model.safetensors.index.json"), in(out, "model.safetensors.index.json")));
    session_close(on);
    on = open_model(out);
    logits(on, got);
    CHECK(memcmp(got, want, sizeof got) == 0); /* zeros are exact in bf16 */
    session_close(on);
    CHECK_OK(eh_model_undo(out, back, false, &err));
    CHECK(same_folders(dir, back));
}

/* Mean outputs go into biases that the file gets; the config says so, and back again. */
TEST(mean_outputs_become_biases_where_the_family_takes_them)
{
    static float want[N_TOK * VOCAB_MAX], got[N_TOK * VOCAB_MAX];
    const tiny_model options = {.n_head = 4, .n_kv = 2},
                     qwen3 = {.n_head = 4, .n_kv = 2, .family = "qwen3", .qk_norm = true},
                     mistral = {.n_head = 4, .n_kv = 2, .family = "mistral"},
                     there = {.n_head = 4, .n_kv = 2, .attention_bias = true};
    static const float mean[TINY_HEAD] = {0.5f, -1, 2, 0, 0.25f, 3, -0.125f, 1}, one = 0.75f;
    const eh_unit_edit head = {EH_UNIT_HEAD, 1, 2, EH_EDIT_MEAN, 1.0, mean};
    const eh_unit_edit both[2] = {head, {EH_UNIT_NEURON, 0, 3, EH_EDIT_MEAN, 1.0, &one}};
    const tiny_model *const takes[] = {&options, &qwen3, &there};
    for (int i = 0; i < 3; i++) {
        const char *dir = tiny_folder(takes[i]), *out = tiny_dir(), *back = tiny_dir();
        eh_saved saved;
        eh_session *on = open_model(dir);
        CHECK_OK(eh_session_edit(on, both, i == 0 ? 2 : 1, &err));
        logits(on, want);
        CHECK_OK(eh_session_save(on, out, false, &saved, &err));
        CHECK_INT(saved.n_new, i == 0 ? TINY_LAYERS * 7 : i == 1 ? TINY_LAYERS * 4 : 0);
        session_close(on);
        on = open_model(out);
        logits(on, got);
        check_floats(got, want, N_TOK * VOCAB_MAX, 1e-5, "logits of the written model");
        session_close(on);
        CHECK_OK(eh_model_undo(out, back, false, &err));
        CHECK(same_folders(dir, back));
    }
    eh_session *on = open_model(tiny_folder(&mistral));
    const char *out = tiny_dir();
    CHECK_OK(eh_session_edit(on, &head, 1, &err));
    CHECK_FAILS(eh_session_save(on, out, false, NULL, &err), EH_ENOSUP, "Mistral family does not take");
    CHECK(access(out, F_OK) != 0);
    session_close(on);
    on = open_model(tiny_folder(&qwen3)); /* has attention_bias, has no mlp_bias */
    CHECK_OK(eh_session_edit(on, both, 2, &err));
    CHECK_FAILS(eh_session_save(on, tiny_dir(), false, NULL, &err), EH_ENOSUP, "bias in the MLP");
    session_close(on);
}

/* Weights of one's own (training), edits on top: what is in force is what is written. */
TEST(trained_weights_are_written_too)
{
    static float want[N_TOK * VOCAB_MAX], got[N_TOK * VOCAB_MAX];
    const tiny_model options = {.n_head = 4, .n_kv = 2, .family = "qwen2", .qkv_bias = true};
    const char *dir = tiny_folder(&options), *out = tiny_dir(), *back = tiny_dir();
    eh_session *on = open_model(dir);
    eh_saved saved;
    CHECK_OK(eh_linear_own(on, &on->layer[0].linear[EH_LINEAR_UP], &err));
    CHECK_OK(eh_linear_own(on, &on->layer[1].linear[EH_LINEAR_QKV], &err));
    CHECK_OK(eh_session_own_embed(on, &err));
    CHECK_OK(eh_session_own_norms(on, &err));
    on->layer[0].linear[EH_LINEAR_UP].own[(TINY_FF + 5) * TINY_WIDTH + 3] += 1.0f; /* row 5 of up */
    on->own_embed[9 * TINY_WIDTH] *= 2.0f;
    on->layer[1].own_norm[EH_NORM_MLP][0] += 0.5f;
    on->layer[1].linear[EH_LINEAR_QKV].own_bias[1] -= 0.5f;
    CHECK_OK(eh_session_edit(on, edits, 1, &err));
    logits(on, want);
    CHECK_OK(eh_session_save(on, out, false, &saved, &err));
    CHECK_INT(saved.n_changed, 7); /* up, embedding, norm, Q's bias; Q, its bias and O of layer 0 */
    session_close(on);
    on = open_model(out);
    logits(on, got);
    CHECK(memcmp(got, want, sizeof got) == 0);
    session_close(on);
    CHECK_OK(eh_model_undo(out, back, false, &err));
    CHECK(same_folders(dir, back));
}

/* ---- GGUF ---------------------------------------------------------------------------------- */

/* Tolerances by type: of the norm of the difference between written and in force, over all tensors. The
 * heads of these models have 16 channels, half a block, so a scaled head's columns are rounded to the grid
 * of a block whose other half must stay: half a step of the type in 1/4 of two output projections. */
TEST(a_written_gguf_is_the_edited_model_within_its_type)
{
    static const struct {
        const char *name;
        double relative;
    } file[] = {{"llama-F32", 0},        {"llama-F16", 2e-5},  {"llama-Q8_0", 6e-4},     {"llama-Q4_0", 1e-2},
                {"llama-Q4_1", 1e-2},    {"llama-Q5_0", 5e-3}, {"llama-Q5_1", 6e-3},     {"llama-scaled-BF16", 2e-4},
                {"kmodel-Q4_K_M", 5e-3}, {"kmodel-Q5_K_M", 5e-3}};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        char name[200], undo[4300];
        snprintf(name, sizeof name, "tests/golden/tiny/gguf/%s.gguf", file[i].name);
        const char *path = repo_path(name), *out = tiny_dir(), *back = tiny_dir();
        eh_session *on = open_model(path);
        eh_model_info info;
        eh_model_describe(on->m, &info);
        eh_unit_edit e[N_EDIT];
        memcpy(e, edits, sizeof e);
        for (int k = 0; k < N_EDIT; k++)
            e[k].layer = e[k].layer < info.n_layer ? e[k].layer : 0;
        CHECK_OK(eh_session_edit(on, e, N_EDIT, &err));
        const int made = mkdir(out, 0700);
        CHECK(made == 0);
        out = in(out, "m.gguf");
        CHECK_OK(eh_session_save(on, out, false, NULL, &err));
        eh_session *w = open_model(out);
        eh_comparison c;
        CHECK_OK(eh_compare(on, w, &c, &err));
        if (!(c.relative <= file[i].relative))
            print_error("%s: relative difference %g\n", file[i].name, c.relative);
        CHECK(c.relative <= file[i].relative);
        eh_comparison_clear(&c);

        /* Every zero in force that makes a whole head or neuron is a zero in the file. */
        const eh_linear *o = &w->layer[e[1].layer].linear[EH_LINEAR_O],
            *gate_up = &w->layer[e[2].layer].linear[EH_LINEAR_UP];
        float *row = malloc((size_t)(o->n_in + gate_up->n_in) * sizeof *row);
        CHECK(row != NULL);
        const char *type = eh_dtype_get(o->of->part[0].t->dtype)->name;
        const bool whole = type[strlen(type) - 1] != '1' || info.d_head % 32 == 0;
        for (int64_t r = 0; r < o->n_out; r++) {
            eh_linear_rows(o, r, 1, row);
            for (int64_t k = 0; k < info.d_head && whole; k++)
                CHECK(row[e[1].index * info.d_head + k] == 0.0f);
        }
        for (int64_t part = 0; part < 2; part++) {
            eh_linear_rows(gate_up, part * info.d_ff + e[2].index, 1, row);
            for (int64_t k = 0; k < gate_up->n_in; k++)
                CHECK(row[k] == 0.0f);
        }
        free(row);

        /* Untouched tensors keep their bytes, metadata their values. */
        int64_t n_same = 0;
        for (int64_t k = 0; k < eh_weights_count(on->m->weights); k++) {
            const eh_tensor *a = eh_weights_at(on->m->weights, k), *b = eh_weights_find(w->m->weights, a->name);
            CHECK(b != NULL && a->dtype == b->dtype && a->n_byte == b->n_byte);
            n_same += memcmp(a->data, b->data, (size_t)a->n_byte) == 0;
        }
        CHECK(n_same >= eh_weights_count(on->m->weights) - 7);
        for (int64_t k = 0; k < eh_gguf_count(on->m->weights); k++)
            CHECK(eh_str_eq(eh_gguf_at(on->m->weights, k)->key, eh_gguf_at(w->m->weights, k)->key));
        CHECK(eh_gguf_get(w->m->weights, EH_KEY_BASE) != NULL);
        CHECK_OK(eh_session_edit(w, e, 1, &err));
        CHECK_FAILS(eh_session_save(w, back, false, NULL, &err), EH_EINVAL, "applied already");
        session_close(w);
        session_close(on);

        CHECK_FAILS(eh_model_undo(out, out, false, &err), EH_EINVAL, "is there already");
        CHECK_OK(eh_model_undo(out, back, false, &err));
        CHECK(same_bytes(path, back));
        snprintf(undo, sizeof undo, "%s.undo", out);
        CHECK(unlink(undo) == 0);
        CHECK_FAILS(eh_model_undo(out, tiny_dir(), false, &err), EH_ENOENT, "m.gguf.undo");
    }
}

/* Logits of the file against logits in force. In plain types, where only rounding lies between. */
TEST(logits_of_a_written_gguf_are_those_in_force)
{
    static const char *const name[] = {"llama-F32", "llama-F16", "llama-Q8_0"};
    static const double tolerance[] = {0, 5e-3, 5e-3};
    static float want[N_TOK * VOCAB_MAX], got[N_TOK * VOCAB_MAX];
    for (int i = 0; i < 3; i++) {
        char path[200];
        snprintf(path, sizeof path, "tests/golden/tiny/gguf/%s.gguf", name[i]);
        const char *out = tiny_dir();
        eh_session *on = open_model(repo_path(path));
        CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
        logits(on, want);
        CHECK_OK(eh_session_save(on, out, false, NULL, &err));
        session_close(on);
        on = open_model(out);
        logits(on, got);
        double largest = 0;
        for (int k = 0; k < N_TOK * VOCAB_MAX; k++)
            largest = fmax(largest, fabs((double)want[k]));
        check_floats(got, want, N_TOK * VOCAB_MAX, tolerance[i] * largest, name[i]);
        session_close(on);
    }
}

TEST(mean_outputs_become_new_tensors_of_a_gguf)
{
    static float want[N_TOK * VOCAB_MAX], got[N_TOK * VOCAB_MAX], mean[64];
    const char *path = repo_path("tests/golden/tiny/gguf/llama-F32.gguf"), *out = tiny_dir(), *back = tiny_dir();
    for (int i = 0; i < 64; i++)
        mean[i] = 0.1f * (float)(i % 7 - 3);
    const eh_unit_edit e[2] = {{EH_UNIT_HEAD, 1, 2, EH_EDIT_MEAN, 1.0, mean},
                               {EH_UNIT_NEURON, 0, 3, EH_EDIT_MEAN, 1.0, mean}};
    eh_session *on = open_model(path);
    eh_model_info info;
    eh_saved saved;
    eh_model_describe(on->m, &info);
    CHECK_OK(eh_session_edit(on, e, 2, &err));
    logits(on, want);
    CHECK_OK(eh_session_save(on, out, false, &saved, &err));
    CHECK_INT(saved.n_new, 4 * info.n_layer);
    session_close(on);
    on = open_model(out);
    logits(on, got);
    check_floats(got, want, N_TOK * VOCAB_MAX, 1e-5, "logits of the written model");
    session_close(on);
    CHECK_OK(eh_model_undo(out, back, false, &err));
    CHECK(same_bytes(path, back));
}

/* ---- Refusals ------------------------------------------------------------------------------ */

TEST(places_that_cannot_be_written_are_refused_and_left_alone)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2};
    const char *dir = tiny_folder(&options), *other = tiny_dir(), *home = tiny_dir(), *back = tiny_dir();
    eh_session *on = open_model(dir);
    CHECK_OK(eh_session_edit(on, edits, 1, &err));
    CHECK_FAILS(eh_session_save(on, dir, true, NULL, &err), EH_EINVAL, "is the model itself");
    CHECK_FAILS(eh_session_save(on, "", false, NULL, &err), EH_EINVAL, "no name");
    CHECK_OK(eh_dir_make(home, &err));
    save_text(home, "letter", "dear");
    CHECK_FAILS(eh_session_save(on, home, false, NULL, &err), EH_EINVAL, "is there already");
    CHECK_FAILS(eh_session_save(on, home, true, NULL, &err), EH_EINVAL, "is no model folder");
    CHECK_FAILS(eh_session_save(on, in(home, "letter"), true, NULL, &err), EH_EINVAL, "is a file");
    CHECK_FAILS(eh_session_save(on, in(home, "letter/m"), false, NULL, &err), EH_EIO, "letter");
    CHECK(eh_file_exists(in(home, "letter")));
    CHECK_OK(eh_session_save(on, other, false, NULL, &err));
    char killed[300]; /* what a killed process with our number left does not get into a model */
    snprintf(killed, sizeof killed, "%.200s.part-%ld", other, (long)getpid());
    CHECK_OK(eh_dir_make(killed, &err));
    save_text(killed, "stale", "s");
    CHECK_OK(eh_session_save(on, other, true, NULL, &err)); /* a model is replaced, when told to */
    CHECK_OK(eh_model_undo(other, back, false, &err));
    CHECK(same_folders(dir, back));
    session_close(on);

    CHECK_FAILS(eh_model_undo(dir, tiny_dir(), false, &err), EH_ENOENT, "edit.undo");
    CHECK_FAILS(eh_model_undo(in(dir, "none"), tiny_dir(), false, &err), EH_ENOENT, "no such model");
    /* A weight changed by someone else: the undo file no longer fits. */
    FILE *f = fopen(in(other, "model.safetensors"), "r+b");
    CHECK(f != NULL && fseek(f, -1, SEEK_END) == 0 && fputc(0x55, f) != EOF && fclose(f) == 0);
    const char *none = tiny_dir();
    CHECK_FAILS(eh_model_undo(other, none, false, &err), EH_EINVAL, "was changed after the edit");
    CHECK(access(none, F_OK) != 0);
}

/* An undo file is outside input, too. */
TEST(damaged_undo_files_are_refused)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2};
    char dir[200], out[200]; /* paths that outlive the loops */
    snprintf(dir, sizeof dir, "%.199s", tiny_folder(&options));
    snprintf(out, sizeof out, "%.199s", tiny_dir());
    eh_session *on = open_model(dir);
    CHECK_OK(eh_session_edit(on, edits, 1, &err));
    CHECK_OK(eh_session_save(on, out, false, NULL, &err));
    session_close(on);
    eh_buf text = {0};
    CHECK_OK(eh_file_read(in(out, "edit.undo"), 1 << 20, &text, &err));
    const eh_str whole = eh_buf_get(&text);
    for (int64_t n = 0; n < whole.n; n += n < 16 ? 1 : whole.n / 23) { /* cut off */
        CHECK_OK(eh_file_write(in(out, "edit.undo"), (eh_str){whole.p, n}, &err));
        CHECK(eh_model_undo(out, tiny_dir(), false, &err) < 0);
    }
    CHECK(whole.n > 0);
    char *bad = eh_alloc(whole.n, 1);
    CHECK(bad != NULL);
    for (int64_t at = 0; at < whole.n; at += at < 700 ? 1 : 997) { /* one byte changed */
        memcpy(bad, whole.p, (size_t)whole.n);
        bad[at] = (char)(bad[at] ^ 4);
        CHECK_OK(eh_file_write(in(out, "edit.undo"), (eh_str){bad, whole.n}, &err));
        const char *to = tiny_dir();
        if (eh_model_undo(out, to, false, &err) == EH_OK) /* such as the name of the mark's value */
            CHECK(same_folders(dir, to));
        else
            CHECK(access(to, F_OK) != 0);
    }
    const char *evil = "{\"__metadata__\":{\"evenhand.undo\":\"1\",\"../x\":\"{}\"}}";
    eh_buf b = {0};
    safetensors(&b, evil, 0);
    save(out, "edit.undo", &b);
    CHECK_FAILS(eh_model_undo(out, tiny_dir(), false, &err), EH_EFORMAT, "not the name of a file");
    /* A file that is said to have been larger than what is left of it. */
    char *size = NULL;
    for (char *p = bad; p + 20 < bad + whole.n && size == NULL; p++)
        size = memcmp(whole.p + (p - bad), "\\\"size\\\":", 9) == 0 ? p : NULL;
    CHECK(size != NULL);
    memcpy(bad, whole.p, (size_t)whole.n);
    for (char *p = size + 9; *p >= '0' && *p <= '9'; p++)
        *p = '9';
    CHECK_OK(eh_file_write(in(out, "edit.undo"), (eh_str){bad, whole.n}, &err));
    CHECK_FAILS(eh_model_undo(out, tiny_dir(), false, &err), EH_EFORMAT, "edit.undo: lacks bytes of");
    eh_free(bad);
    eh_buf_clear(&text);
}

/* ---- LoRA ---------------------------------------------------------------------------------- */

TEST(an_adapter_holds_the_edit_exactly)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2};
    const char *dir = tiny_folder(&options), *out = tiny_dir();
    eh_lora lora;
    eh_session *on = open_model(dir);
    CHECK_FAILS(eh_session_save_lora(on, out, EH_LORA_RANK, false, &lora, &err), EH_EINVAL, "nothing in it differs");
    CHECK_OK(eh_session_edit(on, edits, N_EDIT, &err));
    CHECK_OK(eh_session_save_lora(on, out, EH_LORA_RANK, false, &lora, &err));
    CHECK_INT(lora.n_module, 7);
    CHECK_INT(lora.rank, TINY_HEAD);
    CHECK(lora.relative < 0x1p-22 && lora.max_abs < 1e-7);

    /* B A added to W by hand gives W'. */
    save_text(out, "config.json", "{}");
    CHECK(rename(in(out, "adapter_model.safetensors"), in(out, "model.safetensors")) == 0);
    eh_weights *w;
    CHECK_OK(eh_weights_open(out, &w, &err));
    CHECK_INT(eh_weights_count(w), 14);
    for (int64_t i = 0; i < eh_n_stored(on->m); i++) {
        eh_stored s;
        char name[400];
        if (!eh_stored_at(on, i, &s) || s.l == NULL || s.bias)
            continue;
        snprintf(name, sizeof name, "base_model.model.%.*s.lora_A.weight", (int)strlen(s.name) - 7, s.name);
        const eh_tensor *a = eh_weights_find(w, name);
        snprintf(name, sizeof name, "base_model.model.%.*s.lora_B.weight", (int)strlen(s.name) - 7, s.name);
        const eh_tensor *b = eh_weights_find(w, name);
        if (a == NULL)
            continue;
        CHECK(b != NULL && a->dim[0] == b->dim[1] && a->dim[1] == s.n_col && b->dim[0] == s.n_row);
        for (int64_t r = 0; r < s.n_row; r++) {
            float now[64], was[64], left[64], right[64];
            eh_stored_rows(on, &s, r, 1, now);
            eh_stored_file_rows(&s, r, 1, was);
            eh_tensor_rows(b, r, 1, left);
            for (int64_t k = 0; k < a->dim[0]; k++) {
                eh_tensor_rows(a, k, 1, right);
                for (int64_t c = 0; c < s.n_col; c++)
                    was[c] += left[k] * right[c];
            }
            for (int64_t c = 0; c < s.n_col; c++)
                CHECK_NEAR((double)was[c], (double)now[c], 1e-7);
        }
    }
    eh_weights_close(w);
    CHECK_FAILS(eh_session_save_lora(on, tiny_dir(), 4, false, &lora, &err), EH_ENOSUP,
                "rank 8 is above the limit of 4");
    session_close(on);

    const tiny_model qwen2 = {.n_head = 4, .n_kv = 2, .family = "qwen2", .qkv_bias = true};
    on = open_model(tiny_folder(&qwen2));
    CHECK_OK(eh_session_edit(on, edits, 1, &err));
    CHECK_FAILS(eh_session_save_lora(on, tiny_dir(), EH_LORA_RANK, false, &lora, &err), EH_ENOSUP, "q_proj.bias");
    session_close(on);
    on = open_model(repo_path("tests/golden/tiny/gguf/llama-F32.gguf"));
    CHECK_FAILS(eh_session_save_lora(on, tiny_dir(), EH_LORA_RANK, false, &lora, &err), EH_ENOSUP, "is a GGUF file");
    session_close(on);
}

/* ---- Compare ------------------------------------------------------------------------------- */

TEST(comparing_by_hand_and_across_formats)
{
    const tiny_model options = {.n_head = 4, .n_kv = 2}, wide = {.n_head = 8, .n_kv = 2};
    eh_comparison c;
    eh_session *a = open_model(tiny_folder(&options)), *b = open_model(tiny_folder(&options)),
             *z = open_model(tiny_folder(&wide));
    CHECK_OK(eh_compare(a, b, &c, &err));
    CHECK(c.n_tensor_differ == 0 && c.n_unit == 0 && c.max_abs == 0.0 && c.relative == 0.0 && c.equal_bytes == 1.0);
    CHECK_INT(c.n_tensor, 20);
    eh_comparison_clear(&c);
    /* A zeroed head: its columns of O differ by themselves, so by 1 relative to O's share of the unit. */
    CHECK_OK(eh_session_edit(b, edits + 1, 1, &err));
    CHECK_OK(eh_compare(a, b, &c, &err));
    CHECK(c.n_tensor_differ == 1 && c.n_unit == 1);
    CHECK(!c.unit[0].neuron && c.unit[0].layer == 1 && c.unit[0].index == 2);
    CHECK(c.unit[0].relative > 0.5 && c.unit[0].relative < 1.0);
    eh_comparison_clear(&c);
    CHECK_FAILS(eh_compare(a, z, &c, &err), EH_EINVAL, "4 heads");
    session_close(a);
    session_close(b);
    session_close(z);
    /* One model in two formats, rows of Q and K in two orders. */
    a = open_model(repo_path("tests/golden/tiny/llama"));
    b = open_model(repo_path("tests/golden/tiny/gguf/llama-F32.gguf"));
    CHECK_OK(eh_compare(a, b, &c, &err));
    CHECK_INT(c.n_tensor_differ, 0);
    eh_comparison_clear(&c);
    session_close(a);
    session_close(b);
}
