/* tokenizer.json: the vocabulary, added tokens, merges. */
#include "text/tokjson.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Added tokens ------------------------------------------------------------------------ */

static int check_spelling(eh_tokjson *l, eh_str s, int64_t id)
{
    if (s.n > EH_TOKEN_BYTES_MAX)
        return eh_fail(l->err, EH_ENOSUP, "%s: token %lld is spelt with %lld bytes; up to %d are supported", l->where,
                       (long long)id, (long long)s.n, EH_TOKEN_BYTES_MAX);
    return EH_OK;
}

static int read_added_item(eh_tokjson *l, const json_t *j, int64_t id)
{
    eh_added *a = &l->added[l->n_added];
    *a = (eh_added){.id = (int32_t)id, .normalized = true};
    int rc = eh_json_str(j, l->where, "content", &a->text, l->err);
    if (rc == EH_OK)
        rc = check_spelling(l, a->text, id);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "special", &a->special, l->err);
    a->normalized = !a->special;
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "normalized", &a->normalized, l->err);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "lstrip", &a->lstrip, l->err);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "rstrip", &a->rstrip, l->err);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "single_word", &a->single_word, l->err);
    if (rc == EH_OK && a->text.n > 0) /* an empty one is never found */
        l->n_added++;
    return rc;
}

/* Those of "added_tokens_decoder" whose ids are not among the ones that were read before. */
static int read_more_added(eh_tokjson *l, const json_t *more)
{
    uint8_t *seen = eh_calloc(EH_VOCAB_IDS_MAX / 8, 1); /* a table, for both lists may be long */
    if (seen == NULL)
        return eh_fail(l->err, EH_ENOMEM, "%s: no memory to compare added tokens", l->where);
    for (int64_t i = 0; i < l->n_added; i++)
        seen[l->added[i].id / 8] = (uint8_t)(seen[l->added[i].id / 8] | 1u << l->added[i].id % 8);
    int rc = EH_OK;
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)more, key, item) {
        char *end;
        const long id = strtol(key, &end, 10);
        if (end == key || *end != '\0' || id < 0 || id >= EH_VOCAB_IDS_MAX)
            rc = eh_fail(l->err, EH_EFORMAT, "%s: added_tokens_decoder: \"%.40s\" is not an id", l->where, key);
        else if ((seen[id / 8] >> id % 8 & 1) == 0)
            rc = read_added_item(l, item, id);
        if (rc < 0)
            break;
    }
    eh_free(seen);
    return rc;
}

/* "added_tokens" of tokenizer.json, and those of tokenizer_config.json that the former lacks. */
static int read_added(eh_tokjson *l, const json_t *config)
{
    const json_t *list = json_object_get(l->root, "added_tokens");
    const json_t *more = json_object_get(config, "added_tokens_decoder");
    if (list != NULL && !json_is_null(list) && !json_is_array(list))
        return eh_fail(l->err, EH_EFORMAT, "%s: \"added_tokens\" is %s, wanted an array", l->where, eh_json_type(list));
    const size_t n = json_array_size(list), n_more = json_object_size(more);
    l->added = eh_new(&l->t->arena, eh_added, (int64_t)(n + n_more));
    if (l->added == NULL)
        return eh_fail(l->err, EH_ENOMEM, "%s: no memory for %lld added tokens", l->where, (long long)(n + n_more));
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        int64_t id;
        int rc = eh_json_int(item, l->where, "id", 0, EH_VOCAB_IDS_MAX - 1, &id, l->err);
        if (rc == EH_OK)
            rc = read_added_item(l, item, id);
        if (rc < 0)
            return rc;
    }
    return n_more > 0 ? read_more_added(l, more) : EH_OK;
}

/* ---- Vocabulary and merges --------------------------------------------------------------- */

/* The highest id and the bytes of all spellings. Ids may leave gaps, but not so many that a small
 * file asks for a large table. */
static int measure_vocab(eh_tokjson *l, const json_t *vocab, int64_t *high, int64_t *bytes)
{
    const int64_t n = (int64_t)json_object_size(vocab) + l->n_added;
    const int64_t limit = n * 8 + 65536 < EH_VOCAB_IDS_MAX ? n * 8 + 65536 : EH_VOCAB_IDS_MAX;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value) {
        const int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= limit)
            return eh_fail(l->err, EH_EFORMAT, "%s: token \"%.100s\" has an id that is not within 0 to %lld",
                           l->where, key, (long long)limit - 1);
        *high = id > *high ? id : *high;
        *bytes += (int64_t)strlen(key);
    }
    for (int64_t i = 0; i < l->n_added; i++) {
        if (l->added[i].id >= limit)
            return eh_fail(l->err, EH_EFORMAT, "%s: added token %d is not within 0 to %lld", l->where,
                           (int)l->added[i].id, (long long)limit - 1);
        *high = l->added[i].id > *high ? l->added[i].id : *high;
        *bytes += l->added[i].text.n;
    }
    return EH_OK;
}

/* One token of the vocabulary, its spelling copied to *p. */
static int put_token(eh_tokjson *l, const char *key, int64_t id, char **p)
{
    eh_vocab *v = &l->t->vocab;
    const eh_str s = {*p, (int64_t)strlen(key)};
    int rc = check_spelling(l, s, id);
    if (rc == EH_OK && v->spelling[id].p != NULL)
        rc = eh_fail(l->err, EH_EFORMAT, "%s: id %lld is given to two tokens, \"%.100s\" is one", l->where,
                     (long long)id, key);
    if (rc < 0)
        return rc;
    memcpy(*p, key, (size_t)s.n);
    *p += s.n;
    v->spelling[id] = s;
    if (eh_byte_of(s) >= 0)
        v->flags[id] |= EH_TOKEN_BYTE;
    int32_t other;
    return eh_names_put(&v->names, (int32_t)id, &other, l->where, l->err);
}

/* One added token, which may be in the vocabulary already; its text moves to *p. */
static int put_added(eh_tokjson *l, eh_added *a, char **p)
{
    eh_vocab *v = &l->t->vocab;
    const int32_t same = eh_names_get(&v->names, a->text);
    if ((same >= 0 && same != a->id) || (v->spelling[a->id].p != NULL && !eh_str_eq(v->spelling[a->id], a->text)))
        return eh_fail(l->err, EH_EFORMAT,
                       "%s: added token %d is spelt otherwise in the vocabulary, or has another id there", l->where,
                       (int)a->id);
    memcpy(*p, a->text.p, (size_t)a->text.n);
    a->text.p = *p;
    *p += a->text.n;
    v->spelling[a->id] = a->text;
    v->flags[a->id] = (uint8_t)(v->flags[a->id] | EH_TOKEN_ADDED | (a->special ? EH_TOKEN_SPECIAL : 0));
    return EH_OK;
}

static int read_vocab(eh_tokjson *l, const json_t *vocab)
{
    int64_t high = -1, bytes = 0;
    if (!json_is_object(vocab))
        return eh_fail(l->err, EH_EFORMAT, "%s: model: \"vocab\" is %s, wanted an object", l->where,
                       eh_json_type(vocab));
    int rc = measure_vocab(l, vocab, &high, &bytes);
    if (rc == EH_OK)
        rc = eh_vocab_init(l->t, high + 1, l->err);
    char *p = rc < 0 ? NULL : eh_new_raw(&l->t->arena, char, bytes);
    if (rc == EH_OK && p == NULL)
        rc = eh_fail(l->err, EH_ENOMEM, "%s: no memory for %lld bytes of tokens", l->where, (long long)bytes);
    if (rc < 0)
        return rc;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value) {
        rc = put_token(l, key, json_integer_value(value), &p);
        if (rc < 0)
            return rc;
    }
    for (int64_t i = 0; i < l->n_added && rc == EH_OK; i++)
        rc = put_added(l, &l->added[i], &p);
    return rc;
}

/* A merge: "left right", or a pair. Whatever it is not leaves an empty string. */
static void merge_of(const json_t *m, eh_str *left, eh_str *right)
{
    if (json_is_string(m)) {
        const eh_str both = eh_json_text(m);
        const char *blank = memchr(both.p, ' ', (size_t)both.n);
        if (blank != NULL && memchr(blank + 1, ' ', (size_t)(both.p + both.n - blank - 1)) == NULL) {
            *left = (eh_str){both.p, blank - both.p};
            *right = (eh_str){blank + 1, both.p + both.n - blank - 1};
        }
    } else if (json_array_size(m) == 2 && json_is_string(json_array_get(m, 0)) &&
               json_is_string(json_array_get(m, 1))) {
        *left = eh_json_text(json_array_get(m, 0));
        *right = eh_json_text(json_array_get(m, 1));
    }
}

static int read_merges(eh_tokjson *l, const json_t *merges)
{
    if (!json_is_array(merges))
        return eh_fail(l->err, EH_EFORMAT, "%s: model: \"merges\" is %s, wanted an array", l->where,
                       eh_json_type(merges));
    const int64_t n = (int64_t)json_array_size(merges);
    if (n >= INT32_MAX)
        return eh_fail(l->err, EH_ENOSUP, "%s: %lld merges", l->where, (long long)n);
    int rc = eh_bpe_room_pairs(&l->t->bpe, &l->t->arena, n, l->where, l->err);
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        eh_str left = {0}, right = {0};
        merge_of(json_array_get(merges, (size_t)i), &left, &right);
        if (left.n == 0 || right.n == 0)
            return eh_fail(l->err, EH_EFORMAT, "%s: merge %lld is not a pair of tokens", l->where, (long long)i);
        rc = eh_bpe_add_merge(l->t, left, right, i, true, l->err);
    }
    return rc;
}

/* ---- The model --------------------------------------------------------------------------- */

/* Fields of the model that are not supported unless empty. */
static int refuse_field(eh_tokjson *l, const json_t *model, const char *key)
{
    const json_t *v = json_object_get(model, key);
    const bool none = v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0) ||
                      (json_is_number(v) && !(fabs(json_number_value(v)) > 0));
    return none ? EH_OK : eh_fail(l->err, EH_ENOSUP, "%s: model: \"%s\" is not supported", l->where, key);
}

int eh_tokjson_model(eh_tokjson *l, const json_t *model, const json_t *config)
{
    eh_tokenizer *t = l->t;
    eh_bpe *b = &t->bpe;
    eh_str type = EH_STR("BPE"), unk = {0};
    bool byte_fallback = false;
    if (!json_is_object(model))
        return eh_fail(l->err, EH_EFORMAT, "%s: \"model\" is %s, wanted an object", l->where, eh_json_type(model));
    int rc = eh_json_str_or(model, l->where, "type", &type, l->err);
    if (rc == EH_OK && !eh_str_eq(type, EH_STR("BPE")))
        rc = eh_fail(l->err, EH_ENOSUP, "%s: model \"%.*s\" is not supported; supported is BPE", l->where,
                     (int)(type.n < 100 ? type.n : 100), type.p);
    static const char *const refused[] = {"continuing_subword_prefix", "end_of_word_suffix", "dropout"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0] && rc == EH_OK; i++)
        rc = refuse_field(l, model, refused[i]);
    if (rc == EH_OK)
        rc = eh_json_bool_or(model, l->where, "fuse_unk", &b->fuse_unk, l->err);
    if (rc == EH_OK)
        rc = eh_json_bool_or(model, l->where, "byte_fallback", &byte_fallback, l->err);
    if (rc == EH_OK)
        rc = eh_json_bool_or(model, l->where, "ignore_merges", &b->whole_words, l->err);
    if (rc == EH_OK)
        rc = eh_json_str_or(model, l->where, "unk_token", &unk, l->err);
    if (rc == EH_OK && l->byte_level && byte_fallback)
        rc = eh_fail(l->err, EH_ENOSUP, "%s: byte_fallback behind a ByteLevel pre-tokenizer", l->where);
    if (rc == EH_OK)
        rc = read_added(l, config);
    if (rc == EH_OK)
        rc = read_vocab(l, json_object_get(model, "vocab"));
    if (rc < 0)
        return rc;
    b->byte_level = l->byte_level;
    if (unk.p != NULL) {
        b->unk = eh_names_get(&t->vocab.names, unk);
        if (b->unk < 0)
            return eh_fail(l->err, EH_EFORMAT, "%s: the unknown token \"%.100s\" is not in the vocabulary", l->where,
                           unk.p);
    }
    for (int i = 0; i < 256; i++)
        b->byte_id[i] = -1;
    if (b->byte_level || byte_fallback)
        eh_bpe_find_bytes(b);
    if (b->byte_level && b->whole_words)
        rc = eh_bpe_find_raw(t, l->err);
    return rc < 0 ? rc : read_merges(l, json_object_get(model, "merges"));
}
