/*
 * tokenizer.json (Hugging Face tokenizers) and tokenizer_config.json (transformers), from end to end.
 *
 * Left out on purpose: "truncation" and "padding", which belong to the program that batches, and
 * offsets' trimming.
 */
#include "text/tokjson.h"

#include <string.h>

#include "base/file.h"
#include "text/tokenizer.h"

#define JSON_BYTES_MAX ((int64_t)256 << 20)
#define CONFIG_BYTES_MAX ((int64_t)16 << 20)

/* ---- tokenizer_config.json --------------------------------------------------------------- */

/* A special token of the config: a string, or an object with "content"; null and none give -1. */
static int config_token(eh_tokjson *l, const json_t *config, const char *key, int32_t *id)
{
    const json_t *v = json_object_get(config, key);
    if (json_is_object(v))
        v = json_object_get(v, "content");
    if (!json_is_string(v))
        return EH_OK;
    const eh_str s = eh_json_text(v);
    for (int64_t i = 0; i < l->n_added; i++)
        if (eh_str_eq(l->added[i].text, s))
            *id = l->added[i].id;
    if (*id < 0)
        *id = eh_names_get(&l->t->vocab.names, s);
    return EH_OK;
}

static void drop(int32_t *list, int64_t *n, int32_t id)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < *n; i++)
        if (list[i] != id)
            list[kept++] = list[i];
    *n = kept;
}

/* add_bos_token and add_eos_token overrule the template where they are given, as in transformers. */
static int config_policy(eh_tokjson *l, const json_t *config)
{
    eh_tokenizer *t = l->t;
    bool wanted;
    int rc;
    if (json_is_boolean(json_object_get(config, "add_bos_token"))) {
        rc = eh_json_bool(config, l->where, "add_bos_token", &wanted, l->err);
        if (rc < 0)
            return rc;
        if (wanted && t->bos < 0)
            return eh_fail(l->err, EH_EFORMAT, "%s: the config adds a BOS token, and names none that is there",
                           l->where);
        if (!wanted && t->bos >= 0)
            drop(t->prefix, &t->n_prefix, t->bos);
        if (wanted && !eh_tokenizer_adds_bos(t)) {
            if (t->n_prefix == EH_AFFIX_MAX)
                return eh_fail(l->err, EH_ENOSUP, "%s: adds more than %d tokens in front", l->where, EH_AFFIX_MAX);
            memmove(t->prefix + 1, t->prefix, (size_t)t->n_prefix * sizeof t->prefix[0]);
            t->prefix[0] = t->bos;
            t->n_prefix++;
        }
    }
    if (json_is_boolean(json_object_get(config, "add_eos_token"))) {
        rc = eh_json_bool(config, l->where, "add_eos_token", &wanted, l->err);
        if (rc < 0)
            return rc;
        if (wanted && t->eos < 0)
            return eh_fail(l->err, EH_EFORMAT, "%s: the config adds an EOS token, and names none that is there",
                           l->where);
        if (!wanted && t->eos >= 0)
            drop(t->suffix, &t->n_suffix, t->eos);
        if (wanted && !eh_tokenizer_adds_eos(t))
            return eh_tokjson_add_affix(l, true, t->eos);
    }
    return EH_OK;
}

/* "chat_template": a string, or a list of {"name", "template"} of which the one called "default" counts. */
static int config_template(eh_tokjson *l, const json_t *config)
{
    const json_t *v = json_object_get(config, "chat_template");
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        const json_t *name = json_object_get(item, "name"), *text = json_object_get(item, "template");
        if (json_is_string(text) && json_is_string(name) && eh_str_eq(eh_json_text(name), EH_STR("default")))
            return eh_tokjson_keep(l, eh_json_text(text), &l->t->chat_template);
    }
    return json_is_string(v) ? eh_tokjson_keep(l, eh_json_text(v), &l->t->chat_template) : EH_OK;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static int read_optional(eh_tokjson *l, const char *key, eh_tokjson_fn *read)
{
    const json_t *j = json_object_get(l->root, key);
    return j == NULL || json_is_null(j) ? EH_OK : read(l, j);
}

int eh_tokenizer_open_bytes(eh_str tokenizer_json, eh_str config_json, const char *where, eh_tokenizer **t, eh_err *err)
{
    eh_tokjson l = {.where = where, .err = err};
    json_t *root = NULL, *config = NULL;
    int rc = eh_json_parse(tokenizer_json, where, &root, err);
    if (rc == EH_OK && config_json.n > 0)
        rc = eh_json_parse(config_json, where, &config, err);
    if (rc == EH_OK && !json_is_object(root))
        rc = eh_fail(err, EH_EFORMAT, "%s: is %s, wanted an object", where, eh_json_type(root));
    if (rc == EH_OK)
        rc = eh_tokenizer_new(where, &l.t, err);
    if (rc < 0)
        goto done;
    l.root = root;
    /* The model first: a WordPiece file shall be refused for its model, not for its normaliser. The
     * pre-tokenizer says whether the model's alphabet is bytes, so it is read before the vocabulary. */
    const json_t *type = json_object_get(json_object_get(root, "model"), "type");
    if (json_is_string(type) && !eh_str_eq(eh_json_text(type), EH_STR("BPE"))) {
        rc = eh_fail(err, EH_ENOSUP, "%s: model \"%.100s\" is not supported; supported is BPE", where,
                     json_string_value(type));
        goto done;
    }
    rc = read_optional(&l, "normalizer", eh_tokjson_normalizer);
    if (rc == EH_OK)
        rc = read_optional(&l, "pre_tokenizer", eh_tokjson_pre_tokenizer);
    if (rc == EH_OK)
        rc = eh_tokjson_model(&l, json_object_get(root, "model"), config);
    if (rc == EH_OK)
        rc = read_optional(&l, "post_processor", eh_tokjson_post_processor);
    l.t->decoder.blank_between =
        json_object_get(root, "decoder") == NULL || json_is_null(json_object_get(root, "decoder"));
    if (rc == EH_OK)
        rc = read_optional(&l, "decoder", eh_tokjson_decoder);
    if (rc == EH_OK)
        rc = config_token(&l, config, "bos_token", &l.t->bos);
    if (rc == EH_OK)
        rc = config_token(&l, config, "eos_token", &l.t->eos);
    if (rc == EH_OK)
        rc = config_policy(&l, config);
    if (rc == EH_OK)
        rc = config_template(&l, config);
    if (rc == EH_OK)
        rc = eh_tokenizer_finish(l.t, l.added, l.n_added, err);
    if (rc == EH_OK) {
        *t = l.t;
        l.t = NULL;
    }
done:
    eh_tokenizer_close(l.t);
    json_decref(root);
    json_decref(config);
    return rc;
}

/* A file that need not be there. */
static int read_if_there(const char *path, eh_buf *out, eh_err *err)
{
    return path != NULL && eh_file_exists(path) ? eh_file_read(path, CONFIG_BYTES_MAX, out, err) : EH_OK;
}

int eh_tokenizer_open_json(const char *dir, eh_tokenizer **t, eh_err *err)
{
    eh_buf json = {0}, config = {0}, chat = {0};
    char *json_path = eh_path_join(dir, "tokenizer.json");
    char *config_path = eh_path_join(dir, "tokenizer_config.json");
    char *chat_path = eh_path_join(dir, "chat_template.jinja"); /* newer folders keep it apart, and it counts */
    eh_tokenizer *p = NULL;
    int rc = EH_OK;
    if (json_path == NULL || config_path == NULL || chat_path == NULL)
        rc = eh_fail(err, EH_ENOMEM, "%s: no memory for the paths of its tokenizer", dir);
    if (rc == EH_OK)
        rc = eh_file_read(json_path, JSON_BYTES_MAX, &json, err);
    if (rc == EH_OK)
        rc = read_if_there(config_path, &config, err);
    if (rc == EH_OK)
        rc = read_if_there(chat_path, &chat, err);
    if (rc == EH_OK)
        rc = eh_tokenizer_open_bytes(eh_buf_get(&json), eh_buf_get(&config), json_path, &p, err);
    if (rc == EH_OK && chat.n > 0) {
        p->chat_template = (eh_str){eh_arena_text(&p->arena, chat.p, chat.n), chat.n};
        if (p->chat_template.p == NULL)
            rc = eh_fail(err, EH_ENOMEM, "%s: no memory for its chat template", dir);
    }
    if (rc == EH_OK) {
        *t = p;
        p = NULL;
    }
    eh_tokenizer_close(p);
    eh_buf_clear(&json);
    eh_buf_clear(&config);
    eh_buf_clear(&chat);
    eh_free(json_path);
    eh_free(config_path);
    eh_free(chat_path);
    return rc;
}
