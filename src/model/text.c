/* The tokenizer a model brings, and the public face of it. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "model/model.h"
#include "text/pair.h"

static int64_t id_or_none(const eh_gguf_value *v)
{
    return v != NULL && v->type != EH_GGUF_STRING && v->type != EH_GGUF_ARRAY ? v->i : -1;
}

static eh_str string_or_empty(const eh_gguf_value *v)
{
    return v != NULL && v->type == EH_GGUF_STRING ? v->s : (eh_str){"", 0};
}

static int flag_or_unsaid(const eh_gguf_value *v)
{
    return v != NULL && v->type == EH_GGUF_BOOL ? v->i != 0 : -1;
}

/* An array of numbers as the tokenizer wants it; NULL when it is not there or not of length n, and
 * when there is no room for it, which *short_of_room notes. */
static void *numbers(const eh_weights *w, const char *key, int64_t n, bool real, eh_arena *arena, bool *short_of_room)
{
    const eh_gguf_value *v = eh_gguf_get(w, key);
    if (v == NULL || v->type != EH_GGUF_ARRAY || v->n != n || v->strings != NULL)
        return NULL;
    if (real) {
        float *x = eh_new_raw(arena, float, n);
        *short_of_room |= x == NULL;
        for (int64_t i = 0; x != NULL && i < n; i++)
            x[i] = (float)eh_gguf_item_real(v, i);
        return x;
    }
    int32_t *x = eh_new_raw(arena, int32_t, n);
    *short_of_room |= x == NULL;
    for (int64_t i = 0; x != NULL && i < n; i++)
        x[i] = (int32_t)eh_gguf_item_int(v, i);
    return x;
}

static int open_gguf(eh_model *m, eh_err *err)
{
    const eh_weights *w = m->weights;
    const eh_gguf_value *tokens = eh_gguf_get(w, "tokenizer.ggml.tokens");
    if (tokens == NULL || tokens->strings == NULL)
        return eh_fail(err, EH_ENOENT, "%s: brings no tokenizer (no metadata \"tokenizer.ggml.tokens\")", m->path);
    const eh_gguf_value *merges = eh_gguf_get(w, "tokenizer.ggml.merges");
    const bool has_merges = merges != NULL && merges->strings != NULL;
    eh_arena arena = {0};
    bool short_of_room = false;
    const eh_gguf_vocab v = {
        .where = m->path,
        .model = string_or_empty(eh_gguf_get(w, "tokenizer.ggml.model")),
        .pre = string_or_empty(eh_gguf_get(w, "tokenizer.ggml.pre")),
        .tokens = tokens->strings,
        .n = tokens->n,
        .scores = numbers(w, "tokenizer.ggml.scores", tokens->n, true, &arena, &short_of_room),
        .types = numbers(w, "tokenizer.ggml.token_type", tokens->n, false, &arena, &short_of_room),
        .merges = has_merges ? merges->strings : NULL,
        .n_merge = has_merges ? merges->n : 0,
        .bos = id_or_none(eh_gguf_get(w, "tokenizer.ggml.bos_token_id")),
        .eos = id_or_none(eh_gguf_get(w, "tokenizer.ggml.eos_token_id")),
        .unk = id_or_none(eh_gguf_get(w, "tokenizer.ggml.unknown_token_id")),
        .pad = id_or_none(eh_gguf_get(w, "tokenizer.ggml.padding_token_id")),
        .add_bos = flag_or_unsaid(eh_gguf_get(w, "tokenizer.ggml.add_bos_token")),
        .add_eos = flag_or_unsaid(eh_gguf_get(w, "tokenizer.ggml.add_eos_token")),
        .add_space_prefix = flag_or_unsaid(eh_gguf_get(w, "tokenizer.ggml.add_space_prefix")),
        .chat_template = string_or_empty(eh_gguf_get(w, "tokenizer.chat_template")),
    };
    const int rc = short_of_room ? eh_fail(err, EH_ENOMEM, "no memory for %lld tokens", (long long)tokens->n)
                                 : eh_tokenizer_open_gguf(&v, &m->tokenizer, err);
    eh_arena_clear(&arena);
    return rc;
}

static int open_folder(eh_model *m, eh_err *err)
{
    char *path = eh_path_join(m->path, "tokenizer.json");
    if (path == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the path %s", m->path);
    const int rc = eh_file_exists(path) ? eh_tokenizer_open_json(m->path, &m->tokenizer, err)
                                        : eh_fail(err, EH_ENOENT, "%s: is not there", path);
    eh_free(path);
    return rc;
}

int eh_model_open_tokenizer(eh_model *m, eh_err *err)
{
    eh_err trouble;
    const int rc = eh_weights_kind_of(m->weights) == EH_WEIGHTS_GGUF ? open_gguf(m, &trouble)
        : open_folder(m, &trouble);
    if (rc == EH_ENOMEM)
        return eh_fail(err, rc, "%s", trouble.text);
    /* Token requests need no tokenizer: whoever needs one is told then what was wrong with it. */
    if (rc < 0)
        snprintf(m->tokenizer_trouble, sizeof m->tokenizer_trouble, "%s", trouble.text);
    return EH_OK;
}

int eh_model_need_tokenizer(const eh_model *m, eh_err *err)
{
    if (m->tokenizer != NULL)
        return EH_OK;
    return eh_fail(err, EH_ENOSUP, "this needs the model's tokenizer: %s", m->tokenizer_trouble);
}

static unsigned encode_flags(unsigned flags)
{
    return (flags & EH_TEXT_SPECIAL ? EH_ENCODE_SPECIAL : 0u) | (flags & EH_TEXT_DEFAULT ? EH_ENCODE_DEFAULT : 0u);
}

/* Gives the ids to the caller and the rest back. */
static void hand_over(eh_ids *ids, int32_t **id, int64_t *n_id)
{
    *id = ids->id;
    *n_id = ids->n;
    ids->id = NULL;
    eh_ids_clear(ids);
}

int eh_tokenize(const eh_model *m, const char *text, int64_t n, unsigned flags, int32_t **id, int64_t *n_id,
                eh_err *err)
{
    eh_ids ids = {0};
    int rc = eh_model_need_tokenizer(m, err);
    if (rc == EH_OK)
        rc = eh_tokenizer_encode(m->tokenizer, (eh_str){text, n}, encode_flags(flags), &ids, err);
    if (rc == EH_OK)
        hand_over(&ids, id, n_id);
    eh_ids_clear(&ids);
    return rc;
}

int eh_detokenize(const eh_model *m, const int32_t *id, int64_t n, bool skip_special, char **text, int64_t *n_text,
                  eh_err *err)
{
    eh_buf b = {0};
    int rc = eh_model_need_tokenizer(m, err);
    if (rc == EH_OK)
        rc = eh_tokenizer_decode(m->tokenizer, id, n, skip_special, &b, err);
    if (rc == EH_OK) {
        eh_buf_str(&b, EH_STR("")); /* so that even no text ends in a NUL */
        rc = eh_buf_check(&b, "the text", err);
    }
    if (rc < 0) {
        eh_buf_clear(&b);
        return rc;
    }
    *text = b.p;
    *n_text = b.n;
    return EH_OK;
}

int eh_encode_pair(const eh_model *m, const char *context, int64_t n_context, const char *continuation,
                   int64_t n_continuation, int32_t **id, int64_t *n_id, int64_t *from, eh_err *err)
{
    eh_ids ids = {0};
    int rc = eh_model_need_tokenizer(m, err);
    if (rc == EH_OK)
        rc = eh_pair_encode(m->tokenizer, (eh_str){context, n_context}, (eh_str){continuation, n_continuation}, -1,
                            m->config.n_ctx + 1, &ids, from, err);
    if (rc == EH_OK)
        hand_over(&ids, id, n_id);
    eh_ids_clear(&ids);
    return rc;
}

void eh_release(void *p)
{
    eh_free(p);
}
