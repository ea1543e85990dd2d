#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/weights.h"

static eh_err err;

static const char *const folders[] = {"llama", "llama-untied-scaled", "llama-mha", "mistral", "qwen2", "qwen3"};
static const char *const shared_folders[] = {"gemma3_text", "gemma2", "cohere",     "opt",       "gpt2",
                                             "bert",        "roberta", "distilbert", "modernbert"};
static const char *const ggufs[] = {"llama-F32",  "llama-F16",  "llama-Q8_0",        "llama-Q4_0",    "llama-Q4_1",
                                    "llama-Q5_0", "llama-Q5_1", "llama-scaled-BF16", "kmodel-Q4_K_M", "kmodel-Q5_K_M"};

static eh_weights *open_tiny(const char *name)
{
    char path[100];
    eh_weights *w;
    CHECK(snprintf(path, sizeof path, "tests/golden/tiny/%s", name) < (int)sizeof path);
    CHECK_OK(eh_weights_open(repo_path(path), &w, &err));
    return w;
}

static eh_weights *open_gguf(const char *name)
{
    char path[50];
    CHECK(snprintf(path, sizeof path, "gguf/%s.gguf", name) < (int)sizeof path);
    return open_tiny(path);
}

/* All of a tensor, on the heap. */
static float *expand(const eh_tensor *t)
{
    const int64_t n = eh_tensor_count(t), row = t->n_dim > 0 ? t->dim[t->n_dim - 1] : 1;
    float *x = malloc((size_t)n * sizeof *x);
    CHECK(x != NULL);
    eh_tensor_rows(t, 0, n / row, x);
    return x;
}

/* Hugging Face's name of a GGUF tensor of the llama family. */
static const char *hf_name(const char *gguf, char room[100])
{
    static const char *const parts[][2] = {
        {"attn_norm", "input_layernorm"},     {"ffn_norm", "post_attention_layernorm"},
        {"attn_q", "self_attn.q_proj"},       {"attn_k", "self_attn.k_proj"},
        {"attn_v", "self_attn.v_proj"},       {"attn_output", "self_attn.o_proj"},
        {"ffn_gate", "mlp.gate_proj"},        {"ffn_up", "mlp.up_proj"},
        {"ffn_down", "mlp.down_proj"},
    };
    int layer;
    char part[40];
    if (strcmp(gguf, "token_embd.weight") == 0)
        return "model.embed_tokens.weight";
    if (strcmp(gguf, "output_norm.weight") == 0)
        return "model.norm.weight";
    if (strcmp(gguf, "output.weight") == 0)
        return "lm_head.weight";
    if (sscanf(gguf, "blk.%d.%39[^.].weight", &layer, part) == 2)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (strcmp(part, parts[i][0]) == 0) {
                snprintf(room, 100, "model.layers.%d.%s.weight", layer, parts[i][1]);
                return room;
            }
    return NULL;
}

TEST(every_tiny_folder_opens_and_every_tensor_is_finite)
{
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        eh_weights *w = open_tiny(folders[i]);
        CHECK_INT(eh_weights_kind_of(w), EH_WEIGHTS_SAFETENSORS);
        CHECK_INT(eh_weights_n_file(w), strcmp(folders[i], "llama-untied-scaled") == 0 ? 3 : 1);
        CHECK((eh_weights_generation_config(w) != NULL) == (strcmp(folders[i], "llama") == 0));
        const int64_t d = json_integer_value(json_object_get(eh_weights_config(w), "hidden_size"));
        const eh_tensor *norm = eh_weights_find(w, "model.norm.weight");
        CHECK(norm != NULL && norm->n_dim == 1 && norm->dim[0] == d);
        CHECK(eh_weights_count(w) >= 20);
        for (int64_t k = 0; k < eh_weights_count(w); k++) {
            const eh_tensor *t = eh_weights_at(w, k);
            float *x = expand(t);
            CHECK(eh_weights_find(w, t->name) == t);
            for (int64_t j = 0; j < eh_tensor_count(t); j++)
                CHECK(x[j] - x[j] == 0.0f);
            free(x);
        }
        eh_weights_close(w);
    }
}

TEST(folders_of_the_other_families_open)
{
    for (size_t i = 0; i < sizeof shared_folders / sizeof *shared_folders; i++) {
        char path[100];
        eh_weights *w;
        snprintf(path, sizeof path, "golden/tiny/%s", shared_folders[i]);
        const char *there = shared_path(path);
        if (there == NULL)
            SKIP("../shared is not there");
        CHECK_OK(eh_weights_open(there, &w, &err));
        CHECK(eh_weights_count(w) >= 15);
        eh_weights_close(w);
    }
}

/* GGUF and safetensors hold the same numbers; only Q and K rows are in another order there. */
TEST(the_f32_gguf_holds_what_the_folder_holds)
{
    eh_weights *hf = open_tiny("llama"), *g = open_gguf("llama-F32");
    int n_same = 0, n_permuted = 0;
    CHECK_INT(eh_weights_count(g), eh_weights_count(hf));
    for (int64_t i = 0; i < eh_weights_count(g); i++) {
        const eh_tensor *a = eh_weights_at(g, i);
        char room[100];
        const eh_tensor *b = eh_weights_find(hf, hf_name(a->name, room));
        CHECK(b != NULL);
        CHECK_INT(a->n_dim, b->n_dim);
        for (int k = 0; k < a->n_dim; k++)
            CHECK_INT(a->dim[k], b->dim[k]);
        CHECK_INT(a->n_byte, b->n_byte);
        if (strstr(a->name, "attn_q") != NULL || strstr(a->name, "attn_k") != NULL) {
            CHECK(memcmp(a->data, b->data, (size_t)a->n_byte) != 0);
            n_permuted++;
        } else {
            CHECK(memcmp(a->data, b->data, (size_t)a->n_byte) == 0);
            n_same++;
        }
    }
    CHECK(n_same >= 15 && n_permuted >= 4);
    eh_weights_close(hf);
    eh_weights_close(g);
}

/* bf16 on both sides: the sharded folder and its GGUF expand to the same floats. */
TEST(the_bf16_gguf_holds_what_the_shards_hold)
{
    eh_weights *hf = open_tiny("llama-untied-scaled"), *g = open_gguf("llama-scaled-BF16");
    int n_same = 0;
    for (int64_t i = 0; i < eh_weights_count(g); i++) {
        const eh_tensor *a = eh_weights_at(g, i);
        char room[100];
        const char *name = hf_name(a->name, room);
        if (name == NULL || strstr(a->name, "attn_q") != NULL || strstr(a->name, "attn_k") != NULL)
            continue;
        const eh_tensor *b = eh_weights_find(hf, name);
        CHECK(b != NULL);
        float *x = expand(a), *y = expand(b);
        check_floats(x, y, eh_tensor_count(b), 0.0, a->name);
        free(x);
        free(y);
        n_same++;
    }
    CHECK(n_same >= 20);
    CHECK(eh_weights_find(g, "rope_freqs.weight") != NULL);
    eh_weights_close(hf);
    eh_weights_close(g);
}

/* golden.json says which type each tensor has. Against the unquantised weights: b bits over a range
 * r may be off by one step, r / 2^b. (Half a step and the scale's own rounding would do, were it not
 * that Q4_0 and Q5_0 have no code for the larger end's mirror image and cut it off.) */
TEST(quantised_files_have_the_types_of_the_golden_and_are_near_the_weights)
{
    json_t *golden;
    CHECK_OK(eh_json_file(repo_path("tests/golden/tiny/gguf/golden.json"), 1 << 20, &golden, &err));
    eh_weights *plain = open_gguf("llama-F32");
    for (size_t i = 0; i < sizeof ggufs / sizeof *ggufs; i++) {
        eh_weights *g = open_gguf(ggufs[i]);
        const json_t *types = json_object_get(json_object_get(golden, ggufs[i]), "tensor_types");
        CHECK_INT(eh_weights_count(g), json_object_size(types));
        for (int64_t k = 0; k < eh_weights_count(g); k++) {
            const eh_tensor *t = eh_weights_at(g, k);
            const char *type = eh_dtype_get(t->dtype)->name;
            CHECK_STR(type, json_string_value(json_object_get(types, t->name)));
            CHECK_INT(t->offset % 32, 0);
            const eh_tensor *p = strncmp(ggufs[i], "llama-Q", 7) == 0 ? eh_weights_find(plain, t->name) : NULL;
            if (p == NULL || t->dtype == EH_DTYPE_F32)
                continue;
            const int bits = type[1] - '0';
            const int64_t n = eh_tensor_count(p);
            float *x = expand(t), *y = expand(p);
            for (int64_t block = 0; block < n; block += 32) {
                float low = y[block], high = y[block];
                for (int64_t j = block; j < block + 32; j++) {
                    low = y[j] < low ? y[j] : low;
                    high = y[j] > high ? y[j] : high;
                }
                const float size = high > -low ? high : -low; /* Q?_0 are symmetric about zero */
                const double range = type[3] == '1' ? (double)(high - low) : 2.0 * (double)size;
                check_floats(x + block, y + block, 32, range / (1 << bits), t->name);
            }
            free(x);
            free(y);
        }
        eh_weights_close(g);
    }
    eh_weights_close(plain);
    json_decref(golden);
}

TEST(the_metadata_of_a_real_file_is_there)
{
    eh_weights *w = open_gguf("llama-F16");
    CHECK(eh_str_eq(eh_gguf_get(w, "general.architecture")->s, EH_STR("llama")));
    CHECK_INT(eh_gguf_get(w, "llama.block_count")->i, 2);
    CHECK(eh_gguf_get(w, "llama.attention.layer_norm_rms_epsilon")->f > 0);
    const eh_gguf_value *tokens = eh_gguf_get(w, "tokenizer.ggml.tokens");
    CHECK_INT(tokens->n, eh_weights_find(w, "token_embd.weight")->dim[0]);
    for (int64_t i = 0; i < tokens->n; i++)
        CHECK(tokens->strings[i].n > 0);
    const eh_gguf_value *kinds = eh_gguf_get(w, "tokenizer.ggml.token_type");
    CHECK(kinds->item == EH_GGUF_I32 && kinds->n == tokens->n);
    for (int64_t i = 0; i < kinds->n; i++)
        CHECK(eh_gguf_item_int(kinds, i) >= 1 && eh_gguf_item_int(kinds, i) <= 6);
    eh_weights_close(w);
}

/* The model of the examples: 135 million weights in Q4_1 and Q8_0. */
TEST(smollm2_opens)
{
    const char *path = smollm2_path();
    if (path == NULL)
        SKIP("no SmolLM2 here");
    eh_weights *w;
    CHECK_OK(eh_weights_open(path, &w, &err));
    const eh_tensor *t = eh_weights_find(w, "token_embd.weight");
    CHECK(t != NULL && t->dim[0] == 49152 && t->dim[1] == 576);
    CHECK_INT(eh_weights_find(w, "blk.29.ffn_up.weight")->dim[0], 1536);
    eh_weights_close(w);
}
