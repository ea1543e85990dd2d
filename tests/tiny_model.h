/*
 * Small random model folders of any shape, written by the test itself.
 *
 *     tiny_model how = {.n_head = 6, .n_kv = 2};
 *     tiny_model_write(dir, &how);             dir/config.json, dir/model.safetensors
 */
#ifndef EH_TESTS_TINY_MODEL_H
#define EH_TESTS_TINY_MODEL_H

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "tensor/dtype.h"
#include "weight_files.h"

#define TINY_LAYERS 2
#define TINY_WIDTH 32
#define TINY_HEAD 8
#define TINY_FF 40
#define TINY_VOCAB 64

typedef struct tiny_model {
    int64_t n_head, n_kv;
    const char *family; /* model_type; NULL: "llama" */
    bool qkv_bias, qk_norm, attention_bias; /* which tensors there are; attention_bias: config.json says so, too */
    eh_dtype dtype;     /* F32, F16, BF16 */
    const char *config; /* more of config.json: ", \"a\": 1"; may be NULL */
} tiny_model;

/* A fresh folder's path under one temporary folder; lives until the next call but seven. It is not made. */
static inline const char *tiny_dir(void)
{
    static const char *root;
    static char path[8][4200];
    static int n;
    root = root != NULL ? root : temp_dir();
    snprintf(path[n % 8], sizeof path[0], "%s/%d", root, n);
    return path[n++ % 8];
}

typedef struct tiny_writer {
    const tiny_model *options;
    eh_buf header, data;
    uint64_t n;
} tiny_writer;

static inline void tiny_tensor(tiny_writer *w, const char *name, int64_t rows, int64_t cols)
{
    eh_rng r = eh_rng_at(17, "tiny model", w->n++);
    const int64_t from = w->data.n;
    for (int64_t i = 0; i < (rows > 0 ? rows : 1) * cols; i++) {
        const float x = (float)(rows > 0 ? 0.3 * eh_rng_normal(&r) : 0.5 + eh_rng_double(&r));
        const uint16_t half = eh_f32_to_f16_one(x);
        uint16_t brain;
        eh_f32_to_bf16(&x, 1, &brain);
        if (w->options->dtype == EH_DTYPE_F32)
            eh_buf_bytes(&w->data, &x, 4);
        else
            eh_buf_bytes(&w->data, w->options->dtype == EH_DTYPE_F16 ? &half : &brain, 2);
    }
    eh_buf_printf(&w->header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", name,
                  eh_dtype_get(w->options->dtype)->safetensors);
    if (rows > 0)
        eh_buf_printf(&w->header, "%lld,", (long long)rows);
    eh_buf_printf(&w->header, "%lld],\"data_offsets\":[%lld,%lld]}", (long long)cols, (long long)from,
                  (long long)w->data.n);
}

static inline void tiny_layer_tensor(tiny_writer *w, int layer, const char *name, int64_t rows, int64_t cols)
{
    char full[200];
    snprintf(full, sizeof full, "model.layers.%d.%s", layer, name);
    tiny_tensor(w, full, rows, cols);
}

static inline void tiny_model_write(const char *dir, const tiny_model *options)
{
    eh_err err;
    CHECK_OK(eh_dir_make(dir, &err));
    tiny_writer w = {.options = options};
    const int64_t d_q = options->n_head * TINY_HEAD, d_kv = options->n_kv * TINY_HEAD;
    const bool bias = options->qkv_bias || options->attention_bias;
    eh_buf_printf(&w.header, "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"kept\"}");
    tiny_tensor(&w, "model.embed_tokens.weight", TINY_VOCAB, TINY_WIDTH);
    for (int l = 0; l < TINY_LAYERS; l++) {
        tiny_layer_tensor(&w, l, "input_layernorm.weight", 0, TINY_WIDTH);
        tiny_layer_tensor(&w, l, "post_attention_layernorm.weight", 0, TINY_WIDTH);
        tiny_layer_tensor(&w, l, "self_attn.q_proj.weight", d_q, TINY_WIDTH);
        tiny_layer_tensor(&w, l, "self_attn.k_proj.weight", d_kv, TINY_WIDTH);
        tiny_layer_tensor(&w, l, "self_attn.v_proj.weight", d_kv, TINY_WIDTH);
        tiny_layer_tensor(&w, l, "self_attn.o_proj.weight", TINY_WIDTH, d_q);
        tiny_layer_tensor(&w, l, "mlp.gate_proj.weight", TINY_FF, TINY_WIDTH);
        tiny_layer_tensor(&w, l, "mlp.up_proj.weight", TINY_FF, TINY_WIDTH);
        tiny_layer_tensor(&w, l, "mlp.down_proj.weight", TINY_WIDTH, TINY_FF);
        if (bias) {
            tiny_layer_tensor(&w, l, "self_attn.q_proj.bias", 0, d_q);
            tiny_layer_tensor(&w, l, "self_attn.k_proj.bias", 0, d_kv);
            tiny_layer_tensor(&w, l, "self_attn.v_proj.bias", 0, d_kv);
        }
        if (options->attention_bias)
            tiny_layer_tensor(&w, l, "self_attn.o_proj.bias", 0, TINY_WIDTH);
        if (options->qk_norm) {
            tiny_layer_tensor(&w, l, "self_attn.q_norm.weight", 0, TINY_HEAD);
            tiny_layer_tensor(&w, l, "self_attn.k_norm.weight", 0, TINY_HEAD);
        }
    }
    tiny_tensor(&w, "model.norm.weight", 0, TINY_WIDTH);
    eh_buf_printf(&w.header, "}");
    eh_buf file = {0};
    put_u64(&file, (uint64_t)w.header.n);
    eh_buf_str(&file, eh_buf_get(&w.header));
    eh_buf_str(&file, eh_buf_get(&w.data));
    save(dir, "model.safetensors", &file);
    eh_buf_printf(&file, "{\n  \"model_type\": \"%s\",\n  \"num_hidden_layers\": %d, \"hidden_size\": %d, "
                         "\"intermediate_size\": %d, \"vocab_size\": %d,\n  \"num_attention_heads\": %lld, "
                         "\"num_key_value_heads\": %lld, \"head_dim\": %d, \"rms_norm_eps\": 1e-05, "
                         "\"tie_word_embeddings\": true%s%s\n}\n",
                  options->family != NULL ? options->family : "llama", TINY_LAYERS, TINY_WIDTH, TINY_FF, TINY_VOCAB,
                  (long long)options->n_head, (long long)options->n_kv, TINY_HEAD,
                  options->attention_bias ? ", \"attention_bias\": true" : "",
                  options->config != NULL ? options->config : "");
    save(dir, "config.json", &file);
    eh_buf_clear(&w.header);
    eh_buf_clear(&w.data);
}

#endif
