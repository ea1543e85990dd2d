/*
 * The table of families: every row has all that a row needs, a model of every row can be opened in every format that it
 * states, and each stored number is found where its layout says.
 */
#include "arch/keys.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "model/stored.h"
#include "row_model.h"
#include "session.h"

static eh_err err;

/* Names the row that is looked at when a check fails. */
static const eh_arch *row;
#define ROWS for (int row_i = 0; (row = eh_archs[row_i]) != NULL; row_i++)

static bool has_key(size_t at, bool gguf, bool required)
{
    for (int t = 0; row->key[t] != NULL; t++)
        for (const eh_arch_key *k = row->key[t]; k->json != NULL || k->gguf != NULL; k++)
            if (k->at == at && (gguf ? k->gguf : k->json) != NULL && (k->required || !required))
                return true;
    return false;
}

TEST(rows_can_be_told_apart)
{
    CHECK(eh_archs[0] != NULL);
    ROWS {
        CHECK(row->name != NULL && row->name[0] != '\0' && row->model_type[0] != NULL);
        for (int k = 0; row->model_type[k] != NULL; k++)
            CHECK(eh_arch_of(EH_WEIGHTS_SAFETENSORS, eh_str_of(row->model_type[k])) == row);
        if (row->gguf.arch != NULL)
            CHECK(eh_arch_of(EH_WEIGHTS_GGUF, eh_str_of(row->gguf.arch)) == row);
        for (int i = 0; eh_archs[i] != row; i++)
            CHECK(strcmp(eh_archs[i]->name, row->name) != 0);
    }
    CHECK(eh_arch_of(EH_WEIGHTS_SAFETENSORS, EH_STR("mamba")) == NULL);
    CHECK(eh_arch_of(EH_WEIGHTS_GGUF, EH_STR("")) == NULL);
}

/* A format's names: every weight that such a model has, "%" in those of layers, and nothing twice but slices of outputs
 * that read the same input. */
static void check_names(const eh_arch_files *files, eh_weights_kind kind)
{
    eh_config c = row_config(row, kind);
    c.tied = false;
    for (int s = 0; s < EH_N_SLOT; s++) {
        const eh_slot slot = (eh_slot)s;
        const char *name = files->name[s];
        const unsigned layout = files->layout[s];
        if (eh_config_has(&c, slot) && (slot != EH_SLOT_LM_HEAD || !row->start.tied))
            CHECK(name != NULL && name[0] != '\0');
        if (name == NULL) {
            CHECK_INT(layout, 0);
            continue;
        }
        CHECK((strchr(name, '%') != NULL) == (slot >= EH_SLOT_NORM) && strlen(name) < EH_TENSOR_NAME - 32);
        CHECK(strstr(name, ".weight") == NULL);
        CHECK(layout == 0 || layout == EH_LAYOUT_TRANSPOSED ||
              (layout == EH_LAYOUT_PAIRED && (slot == EH_SLOT_Q || slot == EH_SLOT_K)));
        CHECK(layout == 0 || slot >= EH_SLOT_Q); /* tables are read by row, norms have no layout */
        eh_filed f;
        eh_config_filed(&c, slot, 0, false, &f);
        CHECK(f.first >= 0 && f.n_out > 0 && f.first + f.n_out <= f.n_whole);
        for (int k = 0; k < s; k++)
            if (files->name[k] != NULL && strcmp(files->name[k], name) == 0 && eh_config_has(&c, (eh_slot)k) &&
                eh_config_has(&c, slot))
                CHECK(k >= EH_SLOT_Q && eh_slot_cols(&c, (eh_slot)k) == eh_slot_cols(&c, slot) &&
                      (files->layout[k] & EH_LAYOUT_TRANSPOSED) == (layout & EH_LAYOUT_TRANSPOSED));
    }
}

TEST(rows_name_every_tensor_of_every_format_they_state)
{
    ROWS {
        CHECK(row->folder.name != NULL && row->folder.arch == NULL);
        check_names(&row->folder, EH_WEIGHTS_SAFETENSORS);
        CHECK((row->gguf.arch != NULL) == (row->gguf.name != NULL)); /* both, or a stated none */
        if (row->gguf.arch != NULL)
            check_names(&row->gguf, EH_WEIGHTS_GGUF);
        const char *embed = row->folder.name[EH_SLOT_EMBED];
        CHECK(row->prefix == NULL || strncmp(embed, row->prefix, strlen(row->prefix)) == 0);
    }
}

TEST(every_linear_of_every_row_has_parts_that_fit)
{
    ROWS {
        const eh_config c = row_config(row, EH_WEIGHTS_SAFETENSORS);
        for (int role = 0; role < EH_N_LINEAR; role++) {
            int64_t n_part = 0, n_in = 0;
            bool bias = false;
            for (int k = 0; k < EH_N_PROJECTION; k++) {
                const eh_slot slot = eh_projections[k].slot;
                if (eh_projections[k].role != (eh_linear_role)role || !eh_config_has(&c, slot))
                    continue;
                CHECK(n_part == 0 || (eh_slot_cols(&c, slot) == n_in && eh_config_has_bias(&c, slot) == bias));
                n_in = eh_slot_cols(&c, slot);
                bias = eh_config_has_bias(&c, slot);
                n_part++;
            }
            CHECK_INT(n_part, role == EH_LINEAR_QKV ? 3 : role == EH_LINEAR_UP && row->start.gated ? 2 : 1);
        }
    }
}

TEST(keys_say_what_must_be_said_and_have_ranges_that_hold)
{
    static const size_t shape[] = {offsetof(eh_config, n_layer), offsetof(eh_config, d_model),
                                   offsetof(eh_config, n_head)};
    ROWS {
        for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
            CHECK(has_key(shape[i], false, true));
            CHECK(row->gguf.arch == NULL || has_key(shape[i], true, true));
        }
        CHECK(has_key(offsetof(eh_config, n_vocab), false, true)); /* a GGUF's is its embedding's rows */
        CHECK(has_key(offsetof(eh_config, d_ff), false, false) && has_key(offsetof(eh_config, n_ctx), false, false));
        for (int t = 0; row->key[t] != NULL; t++)
            for (const eh_arch_key *k = row->key[t]; k->json != NULL || k->gguf != NULL; k++) {
                const size_t size = k->type == EH_KEY_BOOL         ? sizeof(bool)
                                    : k->type == EH_KEY_ACTIVATION ? sizeof(eh_activation)
                                                                   : sizeof(int64_t);
                CHECK(k->at % size == 0 && k->at + size <= sizeof(eh_config));
                CHECK(k->type == EH_KEY_BOOL || k->type == EH_KEY_ACTIVATION || (k->low < k->high && k->low >= 0));
            }
    }
}

/* One field is not set by two keys of one format. */
TEST(keys_do_not_contradict_each_other)
{
    ROWS {
        for (int t = 0; row->key[t] != NULL; t++)
            for (const eh_arch_key *k = row->key[t]; k->json != NULL || k->gguf != NULL; k++)
                for (int u = 0; u <= t; u++)
                    for (const eh_arch_key *o = row->key[u]; o != k && (o->json != NULL || o->gguf != NULL); o++)
                        CHECK(o->at != k->at || ((o->json == NULL || k->json == NULL) &&
                                                 (o->gguf == NULL || k->gguf == NULL)));
    }
}

TEST(rows_start_with_numbers_that_can_be)
{
    ROWS {
        const eh_config *c = &row->start;
        const bool rotary = c->positions == EH_POS_ROTARY || c->positions == EH_POS_ROTARY_PAIRS;
        CHECK((row->activations >> c->activation & 1) != 0);
        CHECK(c->norm_eps > 0.0 && c->n_ctx > 0 && c->position_offset >= 0);
        CHECK(!rotary || c->rope[0].theta > 1.0);
        CHECK(row->sliding_rope >= -1 && row->sliding_rope < EH_ROPES);
        CHECK(row->sliding_rope < 1 || c->rope[row->sliding_rope].theta > 1.0);
        CHECK(c->attn_softcap >= 0.0 && c->final_softcap >= 0.0 && c->embed_scale >= 0.0 && c->logit_scale >= 0.0);
        CHECK(row->window_first >= 0 && row->full_every >= 0);
        CHECK(c->layer == NULL && c->arch == NULL && c->n_layer == 0);
        /* A bias that an edit brings must be announced where the format has announcements. */
        CHECK(!row->folder.takes_o_bias || row->o_bias_key != NULL);
        CHECK(!row->folder.takes_mlp_bias || row->mlp_bias_key != NULL);
    }
}

/* ---- Models of every row ----------------------------------------------------------------------------- */

static int64_t check_values(const eh_session *s)
{
    static float wanted[ROW_NUMBERS], got[ROW_NUMBERS];
    const eh_config *c = &s->m->config;
    int64_t n = 0;
    for (int64_t i = 0; i < eh_n_stored(s->m); i++) {
        eh_stored t;
        if (!eh_stored_at(s, i, &t))
            continue;
        bool changed = true;
        const int64_t n_t = t.n_row * t.n_col;
        row_weight(c, t.slot, t.layer < 0 ? 0 : t.layer, t.bias, wanted);
        CHECK_INT(n_t, row_count(c, t.slot, t.bias));
        eh_stored_rows(s, &t, 0, t.n_row, got);
        check_floats(got, wanted, n_t, 0.0, t.name);
        eh_stored_file_rows(&t, 0, t.n_row, got);
        check_floats(got, wanted, n_t, 0.0, t.name);
        CHECK_OK(eh_stored_changed(s, &t, &changed, &err));
        CHECK(!changed);
        n += n_t;
    }
    return n;
}

static void check_model(eh_weights_kind kind, bool tied, bool bare)
{
    eh_config c = row_config(row, kind);
    eh_session *s;
    char path[4000];
    c.tied = tied;
    c.bare = bare;
    snprintf(path, sizeof path, kind == EH_WEIGHTS_GGUF ? "%s" : "%s/folder", temp_dir());
    row_write(path, &c, tied ? "{\"tie_word_embeddings\":true}" : "{\"tie_word_embeddings\":false}");
    if (kind == EH_WEIGHTS_GGUF)
        strcat(path, "/model.gguf");
    CHECK_OK(session_open(path, NULL, &s, &err));
    CHECK(s->m->config.arch == row && s->m->config.kind == kind);
    CHECK(s->m->config.n_kv == c.n_kv && s->m->config.d_ff == c.d_ff && s->m->config.tied == tied);
    CHECK(s->m->config.bare == bare);
    CHECK_INT(check_values(s), s->m->n_param); /* every number of the files, once */
    session_close(s);
}

TEST(a_model_of_every_row_opens_and_its_numbers_are_where_they_should_be)
{
    ROWS {
        check_model(EH_WEIGHTS_SAFETENSORS, true, false);
        if (row->prefix != NULL)
            check_model(EH_WEIGHTS_SAFETENSORS, true, true);
        if (row->folder.name[EH_SLOT_LM_HEAD] != NULL && !row->start.tied)
            check_model(EH_WEIGHTS_SAFETENSORS, false, false);
        if (row->gguf.arch != NULL)
            check_model(EH_WEIGHTS_GGUF, false, false);
    }
}

TEST(an_unknown_family_is_refused_with_a_list_of_the_known_ones)
{
    const char *dir = temp_dir();
    eh_weights *w;
    eh_arena arena = {0};
    eh_config c = {.n_layer = 77};
    eh_buf b = {0};
    save_text(dir, "config.json", "{\"model_type\":\"mamba\"}");
    safetensors(&b, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    save(dir, "model.safetensors", &b);
    CHECK_OK(eh_weights_open(dir, &w, &err));
    CHECK_FAILS(eh_config_read(w, &arena, &c, &err), EH_ENOSUP, "\"mamba\" is not known");
    ROWS
        CHECK(strstr(err.text, row->model_type[0]) != NULL);
    CHECK_INT(c.n_layer, 77);
    eh_weights_close(w);
    eh_arena_clear(&arena);
}

/* ---- Keys --------------------------------------------------------------------------------------------- */

static eh_keys json_keys(const char *text, json_t **root)
{
    *root = json_loads(text, 0, NULL);
    CHECK(*root != NULL);
    return (eh_keys){.where = "config.json", .json = *root};
}

TEST(a_key_of_json_is_read_where_it_is_said)
{
    json_t *o;
    const eh_keys k = json_keys("{\"i\":7,\"r\":0.5,\"b\":true,\"t\":\"x\",\"n\":null}", &o);
    int64_t i = 1;
    double r = 1.0;
    bool b = false;
    eh_str t = {NULL, 0};
    CHECK(eh_keys_has(&k, "i") && !eh_keys_has(&k, "n") && !eh_keys_has(&k, "z"));
    CHECK_OK(eh_keys_int(&k, "n", 1, 9, false, &i, &err));
    CHECK_INT(i, 1); /* null says nothing */
    CHECK_OK(eh_keys_int(&k, "i", 1, 9, true, &i, &err));
    CHECK_OK(eh_keys_real(&k, "r", 0.0, 1.0, false, &r, &err));
    CHECK_OK(eh_keys_bool(&k, "b", true, &b, &err));
    CHECK_OK(eh_keys_text(&k, "t", false, &t, &err));
    CHECK(i == 7 && r == 0.5 && b && eh_str_eq(t, EH_STR("x")));
    CHECK_FAILS(eh_keys_int(&k, "i", 1, 6, false, &i, &err), EH_EFORMAT, "\"i\"");
    CHECK_FAILS(eh_keys_real(&k, "z", 0.0, 1.0, true, &r, &err), EH_ENOENT, "\"z\"");
    CHECK_FAILS(eh_keys_bool(&k, "i", false, &b, &err), EH_EFORMAT, "\"i\"");
    CHECK(i == 7 && r == 0.5 && b);
    json_decref(o);
}

TEST(a_key_of_a_gguf_is_behind_its_architecture)
{
    eh_buf file = {0};
    eh_weights *w;
    int64_t i = 1;
    double r = 1.0;
    bool b = false;
    eh_str t = {NULL, 0};
    gguf_start(&file, 3, 0, 4);
    gguf_u32(&file, "x.i", 7);
    gguf_key(&file, "x.b", EH_GGUF_BOOL);
    eh_buf_char(&file, 1);
    gguf_key(&file, "x.t", EH_GGUF_STRING);
    gguf_string(&file, "abc");
    gguf_u32(&file, "y.i", 8);
    const char *path = save(temp_dir(), "keys.gguf", &file);
    CHECK_OK(eh_weights_open(path, &w, &err));
    const eh_keys k = {.w = w, .where = "keys.gguf", .gguf = true, .arch = "x"};
    CHECK(eh_keys_has(&k, "i") && !eh_keys_has(&k, "x.i"));
    CHECK_OK(eh_keys_int(&k, "i", 1, 9, true, &i, &err));
    CHECK_OK(eh_keys_bool(&k, "b", true, &b, &err));
    CHECK_OK(eh_keys_text(&k, "t", true, &t, &err));
    CHECK_OK(eh_keys_real(&k, "z", 0.0, 1.0, false, &r, &err));
    CHECK(i == 7 && b && eh_str_eq(t, EH_STR("abc")) && r == 1.0);
    CHECK_FAILS(eh_keys_int(&k, "i", 1, 6, true, &i, &err), EH_EFORMAT, "\"x.i\" is 7, wanted 1 to 6");
    CHECK_FAILS(eh_keys_int(&k, "t", 1, 6, true, &i, &err), EH_ENOSUP, "\"x.t\" is not an integer");
    CHECK_FAILS(eh_keys_real(&k, "i", 1, 6, true, &r, &err), EH_EFORMAT, "wanted a real number");
    CHECK_FAILS(eh_keys_bool(&k, "i", false, &b, &err), EH_EFORMAT, "\"x.i\" is no bool");
    CHECK_FAILS(eh_keys_text(&k, "i", false, &t, &err), EH_EFORMAT, "\"x.i\" is no text");
    CHECK_FAILS(eh_keys_text(&k, "z", true, &t, &err), EH_EFORMAT, "has no metadata \"x.z\"");
    eh_weights_close(w);
}

TEST(activations_are_read_by_name_and_others_refused_with_the_list)
{
    static const eh_arch_key table[] = {{offsetof(eh_config, activation), EH_KEY_ACTIVATION, "act", NULL, 0, 0, false},
                                        {0}};
    static const struct {
        const char *config;
        eh_activation is;
    } good[] = {{"{\"act\":\"gelu\"}", EH_ACT_GELU},
                {"{\"act\":\"gelu_new\"}", EH_ACT_GELU_TANH},
                {"{\"act\":\"gelu_pytorch_tanh\"}", EH_ACT_GELU_TANH},
                {"{}", EH_ACT_RELU}};
    const eh_arch a = {.activations = 1u << EH_ACT_GELU | 1u << EH_ACT_GELU_TANH | 1u << EH_ACT_RELU};
    json_t *o;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        eh_config c = {.arch = &a, .activation = EH_ACT_RELU};
        const eh_keys k = json_keys(good[i].config, &o);
        CHECK_OK(eh_keys_read(&k, table, &c, &err));
        CHECK_INT(c.activation, good[i].is);
        json_decref(o);
    }
    eh_config c = {.arch = &a, .activation = EH_ACT_RELU};
    const eh_keys k = json_keys("{\"act\":\"silu\"}", &o);
    CHECK_FAILS(eh_keys_read(&k, table, &c, &err), EH_ENOSUP,
                "act \"silu\" is not supported in this family; gelu, gelu_pytorch_tanh and relu are");
    json_decref(o);
}
