/* config.json in its variants: what is read, what is assumed, what is refused and in which words. */
#include "arch/config.h"

#include <jansson.h>
#include <string.h>

#include "check.h"
#include "weight_files.h"

static eh_err err;
static eh_arena arena; /* the layers of all that is read */

static const char base[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":4,\"hidden_size\":64,\"intermediate_size\":96,"
    "\"vocab_size\":512,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"max_position_embeddings\":256,"
    "\"rms_norm_eps\":1e-05,\"rope_theta\":100000.0,\"tie_word_embeddings\":true}";

/* Reads the base config with the fields of `changes` set (or, where null, taken out), beside a file
 * of one tensor. */
static int read_with(const char *changes, const char *tensor, eh_config *c)
{
    static const char *dir;
    if (dir == NULL)
        dir = temp_dir();
    json_t *o = json_loads(base, 0, NULL), *change = json_loads(changes, 0, NULL), *v;
    const char *key;
    CHECK(o != NULL && change != NULL);
    json_object_foreach(change, key, v) {
        if (json_is_null(v))
            json_object_del(o, key);
        else
            json_object_set(o, key, v);
    }
    char *text = json_dumps(o, 0), header[200];
    save_text(dir, "config.json", text);
    free(text);
    json_decref(o);
    json_decref(change);
    snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    eh_buf b = {0};
    safetensors(&b, header, 4);
    save(dir, "model.safetensors", &b);

    eh_weights *w;
    CHECK_OK(eh_weights_open(dir, &w, &err));
    const int rc = eh_config_read(w, &arena, c, &err);
    eh_weights_close(w);
    return rc;
}

static eh_config get(const char *changes)
{
    eh_config c;
    CHECK_OK(read_with(changes, "a", &c));
    return c;
}

static void refuse(const char *changes, int code, const char *words)
{
    eh_config c = {.n_layer = 77};
    CHECK_FAILS(read_with(changes, "a", &c), code, words);
    CHECK(strstr(err.text, "config.json") != NULL); /* the sentence names the file */
    CHECK_INT(c.n_layer, 77);
}

TEST(the_plain_fields_are_read)
{
    const eh_config c = get("{\"bos_token_id\":3,\"eos_token_id\":[4,5]}");
    CHECK_STR(c.arch->name, "Llama");
    CHECK(c.n_layer == 4 && c.d_model == 64 && c.d_ff == 96 && c.n_vocab == 512 && c.n_ctx == 256);
    CHECK(c.n_head == 4 && c.n_kv == 2 && c.d_head == 16 && c.d_rot == 16);
    CHECK_NEAR(c.norm_eps, 1e-5, 0.0);
    CHECK_NEAR(c.rope[0].theta, 1e5, 0.0);
    CHECK(c.rope[0].scaling == EH_ROPE_PLAIN && c.tied && c.window == 0);
    CHECK(!c.qkv_bias && !c.o_bias && !c.mlp_bias);
    CHECK(c.bos == 3 && c.eos == 4 && c.n_eos == 2 && c.eos_list[1] == 5);
}

TEST(missing_fields_are_what_transformers_takes_them_for)
{
    const eh_config c = get("{\"num_key_value_heads\":null,\"max_position_embeddings\":null,\"rms_norm_eps\":null,"
                            "\"rope_theta\":null}");
    CHECK_INT(c.n_kv, 4);
    CHECK_INT(c.n_ctx, 2048);
    CHECK_NEAR(c.norm_eps, 1e-6, 0.0);
    CHECK_NEAR(c.rope[0].theta, 1e4, 0.0);
    CHECK(c.bos == -1 && c.eos == -1 && c.n_eos == 0);
    CHECK_INT(get("{\"head_dim\":32}").d_head, 32);
    refuse("{\"hidden_size\":null}", EH_ENOENT, "hidden_size");
    refuse("{\"num_hidden_layers\":null}", EH_ENOENT, "num_hidden_layers");
    refuse("{\"vocab_size\":null}", EH_ENOENT, "vocab_size");
    refuse("{\"intermediate_size\":null}", EH_ENOENT, "intermediate_size");
    refuse("{\"num_attention_heads\":null}", EH_ENOENT, "num_attention_heads");
    refuse("{\"model_type\":null}", EH_ENOENT, "model_type");
}

TEST(a_head_is_tied_when_the_config_says_so_or_nothing_else_is_possible)
{
    eh_config c;
    CHECK(!get("{\"tie_word_embeddings\":false}").tied);
    CHECK(get("{\"tie_word_embeddings\":null}").tied); /* and there is no lm_head.weight */
    CHECK_OK(read_with("{\"tie_word_embeddings\":null}", "lm_head.weight", &c));
    CHECK(!c.tied);
    CHECK_OK(read_with("{\"tie_word_embeddings\":true}", "lm_head.weight", &c));
    CHECK(c.tied);
}

TEST(ids_that_cannot_occur_are_left_out)
{
    const eh_config c = get("{\"bos_token_id\":-1,\"eos_token_id\":[512,7]}");
    CHECK(c.bos == -1 && c.eos == 7 && c.n_eos == 1);
    refuse("{\"eos_token_id\":\"x\"}", EH_EFORMAT, "\"eos_token_id\" is a string");
    refuse("{\"eos_token_id\":[1,2,3,4,5,6,7,8,9]}", EH_EFORMAT, "lists 9 ids");
}

/* ---- Rotary settings ---------------------------------------------------------------------------- */

TEST(both_spellings_of_rotary_settings_say_the_same)
{
    static const char *const same[] = {
        "{\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}}",
        "{\"rope_theta\":5e5,\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
        "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}}",
        "{\"rope_theta\":null,\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":5e5,\"factor\":8.0,"
        "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}}",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const eh_config c = get(same[i]);
        CHECK(c.rope[0].scaling == EH_ROPE_LLAMA3 && c.rope[0].original_ctx == 64);
        CHECK_NEAR(c.rope[0].theta, 5e5, 0.0);
        CHECK_NEAR(c.rope[0].factor, 8.0, 0.0);
        CHECK_NEAR(c.rope[0].low, 1.0, 0.0);
        CHECK_NEAR(c.rope[0].high, 4.0, 0.0);
    }
    CHECK(get("{\"rope_scaling\":{\"rope_type\":\"default\"}}").rope[0].scaling == EH_ROPE_PLAIN);
    CHECK(get("{\"rope_parameters\":{\"rope_theta\":7.0}}").rope[0].theta == 7.0);
    const eh_config linear = get("{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5}}");
    CHECK(linear.rope[0].scaling == EH_ROPE_LINEAR && linear.rope[0].factor == 2.5);
    CHECK_INT(get("{\"rope_parameters\":{\"partial_rotary_factor\":0.5}}").d_rot, 8);
}

TEST(rotary_settings_that_are_not_known_are_refused_by_name)
{
    refuse("{\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0}}", EH_ENOSUP, "rotary scaling \"yarn\"");
    refuse("{\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":4.0}}", EH_ENOSUP, "\"dynamic\"");
    refuse("{\"rope_scaling\":\"linear\"}", EH_EFORMAT, "\"rope_scaling\" is a string");
    refuse("{\"rope_scaling\":{\"type\":\"linear\"}}", EH_ENOENT, "factor");
    refuse("{\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", EH_EFORMAT, "factor");
    refuse("{\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":4.0,\"high_freq_factor\":4.0,"
           "\"original_max_position_embeddings\":64}}",
           EH_EFORMAT, "high_freq_factor 4 is not above low_freq_factor 4");
    refuse("{\"rope_theta\":0.5}", EH_EFORMAT, "rope_theta");
    refuse("{\"rope_parameters\":{\"partial_rotary_factor\":0.2}}", EH_EFORMAT, "3 rotary channels in a head of 16");
}

/* ---- Windows ---------------------------------------------------------------------------------------- */

/* The windows of four layers are these. */
static void windows(const char *changes, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const eh_config read = get(changes);
    const int64_t wanted[4] = {a, b, c, d};
    for (int l = 0; l < 4; l++)
        CHECK_INT(read.layer[l].window, wanted[l]);
}

TEST(windows_count_as_each_family_has_them)
{
    windows("{\"model_type\":\"mistral\",\"sliding_window\":8}", 8, 8, 8, 8);
    windows("{\"model_type\":\"mistral\",\"sliding_window\":8,\"use_sliding_window\":false}", 0, 0, 0, 0);
    windows("{\"model_type\":\"mistral\"}", 0, 0, 0, 0);
    windows("{\"sliding_window\":8}", 0, 0, 0, 0); /* Llama has none, whatever its config carries along */
    windows("{\"sliding_window\":8,\"use_sliding_window\":true,\"max_window_layers\":0}", 0, 0, 0, 0);

    /* Qwen: off unless switched on, then from layer max_window_layers. */
    windows("{\"model_type\":\"qwen2\",\"sliding_window\":8,\"max_window_layers\":2}", 0, 0, 0, 0);
    windows("{\"model_type\":\"qwen2\",\"sliding_window\":8,\"use_sliding_window\":false}", 0, 0, 0, 0);
    windows("{\"model_type\":\"qwen2\",\"sliding_window\":8,\"use_sliding_window\":true,\"max_window_layers\":2}",
            0, 0, 8, 8);
    windows("{\"model_type\":\"qwen3\",\"sliding_window\":8,\"use_sliding_window\":true}", 0, 0, 0, 0); /* from 28 on */
    const eh_config deep = get("{\"model_type\":\"qwen3\",\"num_hidden_layers\":30,\"sliding_window\":8,"
                               "\"use_sliding_window\":true}");
    CHECK(deep.layer[27].window == 0 && deep.layer[28].window == 8);
#define ON "{\"model_type\":\"qwen3\",\"sliding_window\":8,\"use_sliding_window\":true,\"layer_types\":"
    windows(ON "[\"full_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\"]}", 0, 8, 8, 8);
    windows(ON "[\"full_attention\",\"sliding_attention\",\"full_attention\",\"sliding_attention\"]}", 0, 8, 0, 8);
}

TEST(windows_that_make_no_sense_are_refused)
{
    refuse(ON "[\"full_attention\"]}", EH_EFORMAT, "\"layer_types\" has 1 entries for 4 layers");
    refuse(ON "[\"full_attention\",\"chunked_attention\",\"full_attention\",\"full_attention\"]}", EH_ENOSUP,
           "\"chunked_attention\"");
    refuse(ON "[1,2,3,4]}", EH_ENOSUP, "layer 0 has type \"?\"");
    refuse("{\"model_type\":\"mistral\",\"sliding_window\":-5}", EH_EFORMAT, "sliding_window");
}

/* ---- What is not known, and what cannot be ---------------------------------------------------------- */

TEST(families_bring_their_variants)
{
    CHECK(get("{\"model_type\":\"qwen2\"}").qkv_bias && !get("{\"model_type\":\"qwen2\"}").o_bias);
    CHECK(get("{\"model_type\":\"qwen3\"}").qk_norm == EH_QK_NORM_HEAD && !get("{\"model_type\":\"qwen3\"}").qkv_bias);
    const eh_config biased = get("{\"attention_bias\":true,\"mlp_bias\":true}");
    CHECK(biased.qkv_bias && biased.o_bias && biased.mlp_bias);
}

TEST(unknown_families_and_activations_are_refused_by_name)
{
    refuse("{\"model_type\":\"mamba\"}", EH_ENOSUP, "model family \"mamba\" is not known here; known: llama, mistral");
    refuse("{\"model_type\":7}", EH_EFORMAT, "model_type");
    refuse("{\"hidden_act\":\"gelu\"}", EH_ENOSUP, "hidden_act \"gelu\"");
    refuse("{\"hidden_act\":[]}", EH_EFORMAT, "hidden_act");
}

TEST(absurd_numbers_are_refused)
{
    refuse("{\"num_hidden_layers\":0}", EH_EFORMAT, "num_hidden_layers");
    refuse("{\"num_hidden_layers\":4000000000}", EH_EFORMAT, "num_hidden_layers");
    refuse("{\"hidden_size\":9000000000000000000}", EH_EFORMAT, "hidden_size");
    refuse("{\"hidden_size\":-64}", EH_EFORMAT, "hidden_size");
    refuse("{\"hidden_size\":64.5}", EH_EFORMAT, "hidden_size");
    refuse("{\"hidden_size\":\"64\"}", EH_EFORMAT, "hidden_size");
    refuse("{\"hidden_size\":2}", EH_EFORMAT, "hidden_size 2 is smaller than its 4 heads");
    refuse("{\"num_key_value_heads\":3}", EH_EFORMAT, "4 query heads cannot share 3");
    refuse("{\"num_key_value_heads\":8}", EH_EFORMAT, "4 query heads cannot share 8");
    refuse("{\"num_key_value_heads\":0}", EH_EFORMAT, "num_key_value_heads");
    refuse("{\"num_attention_heads\":65536,\"num_key_value_heads\":1,\"hidden_size\":65536,\"head_dim\":65536}",
           EH_EFORMAT, "65536 heads of 65536 channels");
    refuse("{\"head_dim\":15}", EH_EFORMAT, "15 rotary channels");
    refuse("{\"rms_norm_eps\":-1e-5}", EH_EFORMAT, "rms_norm_eps");
    refuse("{\"max_position_embeddings\":0}", EH_EFORMAT, "max_position_embeddings");
    refuse("{\"tie_word_embeddings\":1}", EH_EFORMAT, "tie_word_embeddings");
}
