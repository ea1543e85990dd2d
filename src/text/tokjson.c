/*
 * tokenizer.json (Hugging Face tokenizers) and tokenizer_config.json (transformers).
 *
 * Each kind of component is a row of a table; a kind without a row is refused by name, for a step
 * left out would change ids silently. Left out on purpose: "truncation" and "padding", which
 * belong to the program that batches, and offsets' trimming.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "text/parts.h"
#include "text/tokenizer.h"

#define JSON_BYTES_MAX ((int64_t)256 << 20)
#define CONFIG_BYTES_MAX ((int64_t)16 << 20)
#define GPT2_SPLIT "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+" /* encoder.py */

typedef struct loader {
    eh_tokenizer *t;
    const char *where;
    const json_t *root;
    eh_added *added;
    int64_t n_added;
    bool byte_level;   /* a ByteLevel pre-tokenizer was read; nothing may follow it */
    bool has_template; /* a post-processor that adds tokens was read */
    /* of the decoder: what was read so far */
    bool fallback_read, fuse_read, whole_read;
    eh_err *err;
} loader;

typedef int read_fn(loader *l, const json_t *j);

typedef struct kind {
    const char *name;
    read_fn *read;
} kind;

/* ---- Small helpers ----------------------------------------------------------------------- */

static int keep(loader *l, eh_str s, eh_str *out)
{
    char *p = eh_arena_text(&l->t->arena, s.p, s.n);
    if (p == NULL)
        return eh_fail(l->err, EH_ENOMEM, "%s: no memory for %lld bytes of text", l->where, (long long)s.n);
    *out = (eh_str){p, s.n};
    return EH_OK;
}

/* Reads component j by the row of its type. what: "normalizer", ... */
static int read_kind(loader *l, const json_t *j, const char *what, const kind *table)
{
    eh_str type;
    if (!json_is_object(j))
        return eh_fail(l->err, EH_EFORMAT, "%s: a %s is %s, wanted an object", l->where, what, eh_json_type(j));
    const int rc = eh_json_str(j, l->where, "type", &type, l->err);
    if (rc < 0)
        return rc;
    for (const kind *k = table; k->name != NULL; k++)
        if (eh_str_eq(type, eh_str_of(k->name)))
            return k->read(l, j);
    char known[400] = "";
    size_t n = 0;
    for (const kind *k = table; k->name != NULL && n + strlen(k->name) + 3 < sizeof known; k++) {
        if (n > 0) {
            memcpy(known + n, ", ", 3);
            n += 2;
        }
        memcpy(known + n, k->name, strlen(k->name) + 1);
        n += strlen(k->name);
    }
    return eh_fail(l->err, EH_ENOSUP, "%s: %s \"%.*s\" is not supported; supported are %s", l->where, what,
                   (int)(type.n < 100 ? type.n : 100), type.p, known);
}

/* Each item of the array j[key], by read. Sequences nest at most as deep as eh_json_parse lets them. */
static int read_each(loader *l, const json_t *j, const char *key, read_fn *read)
{
    const json_t *list = json_object_get(j, key);
    if (!json_is_array(list))
        return eh_fail(l->err, EH_EFORMAT, "%s: \"%s\" is %s, wanted an array", l->where, key, eh_json_type(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const int rc = read(l, json_array_get(list, i));
        if (rc < 0)
            return rc;
    }
    return EH_OK;
}

static int read_nothing(loader *l, const json_t *j)
{
    (void)l;
    (void)j;
    return EH_OK;
}

/* {"String": s} or {"Regex": s}; regex may be NULL where only a string will do. */
static int read_pattern(loader *l, const json_t *j, const char *what, eh_str *text, eh_pattern **pattern)
{
    const json_t *p = json_object_get(j, "pattern");
    const json_t *s = json_object_get(p, "String"), *r = json_object_get(p, "Regex");
    if (json_is_string(s) && r == NULL) {
        if (json_string_length(s) == 0)
            return eh_fail(l->err, EH_ENOSUP, "%s: %s: its pattern is empty", l->where, what);
        return keep(l, eh_json_text(s), text);
    }
    if (json_is_string(r) && s == NULL && pattern != NULL)
        return eh_pattern_open(eh_json_text(r), l->where, pattern, l->err);
    return eh_fail(l->err, EH_ENOSUP, "%s: %s: its pattern is not a \"String\"%s", l->where, what,
                   pattern != NULL ? " or a \"Regex\"" : "");
}

/* ---- Normalizers ------------------------------------------------------------------------- */

static int read_normalizer(loader *l, const json_t *j);

static int add_norm(loader *l, eh_norm n)
{
    if (l->t->n_norm == EH_STEPS_MAX) {
        eh_pattern_close(n.pattern);
        return eh_fail(l->err, EH_ENOSUP, "%s: more than %d normalizers", l->where, EH_STEPS_MAX);
    }
    l->t->norm[l->t->n_norm++] = n;
    return EH_OK;
}

static int norm_sequence(loader *l, const json_t *j)
{
    return read_each(l, j, "normalizers", read_normalizer);
}

static int norm_nfc(loader *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_NFC});
}

static int norm_nfd(loader *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_NFD});
}

static int norm_nfkc(loader *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_NFKC});
}

static int norm_nfkd(loader *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_NFKD});
}

static int norm_lowercase(loader *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_LOWERCASE});
}

static int norm_strip_accents(loader *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_STRIP_ACCENTS});
}

static int norm_strip(loader *l, const json_t *j)
{
    eh_norm n = {.kind = EH_NORMALIZE_STRIP};
    int rc = eh_json_bool(j, l->where, "strip_left", &n.left, l->err);
    if (rc == EH_OK)
        rc = eh_json_bool(j, l->where, "strip_right", &n.right, l->err);
    return rc < 0 ? rc : add_norm(l, n);
}

static int norm_prepend(loader *l, const json_t *j)
{
    eh_norm n = {.kind = EH_NORMALIZE_PREPEND};
    int rc = eh_json_str(j, l->where, "prepend", &n.text, l->err);
    if (rc == EH_OK)
        rc = keep(l, n.text, &n.text);
    return rc < 0 ? rc : add_norm(l, n);
}

static int norm_replace(loader *l, const json_t *j)
{
    eh_norm n = {.kind = EH_NORMALIZE_REPLACE};
    int rc = eh_json_str(j, l->where, "content", &n.text, l->err);
    if (rc == EH_OK)
        rc = keep(l, n.text, &n.text);
    if (rc == EH_OK)
        rc = read_pattern(l, j, "normalizer Replace", &n.find, &n.pattern);
    return rc < 0 ? rc : add_norm(l, n);
}

static const kind normalizers[] = {
    {"Sequence", norm_sequence},   {"NFC", norm_nfc},
    {"NFD", norm_nfd},             {"NFKC", norm_nfkc},
    {"NFKD", norm_nfkd},           {"Lowercase", norm_lowercase},
    {"Strip", norm_strip},         {"StripAccents", norm_strip_accents},
    {"Prepend", norm_prepend},     {"Replace", norm_replace},
    {NULL, NULL},
};

static int read_normalizer(loader *l, const json_t *j)
{
    return read_kind(l, j, "normalizer", normalizers);
}

/* ---- Pre-tokenizers ---------------------------------------------------------------------- */

static int read_pre_tokenizer(loader *l, const json_t *j);

static const struct {
    const char *name;
    eh_pretok_behavior behavior;
} behaviors[] = {
    {"Isolated", EH_PRETOK_ISOLATED},
    {"Removed", EH_PRETOK_REMOVED},
    {"Contiguous", EH_PRETOK_CONTIGUOUS},
    {"MergedWithPrevious", EH_PRETOK_MERGED_PREVIOUS},
    {"MergedWithNext", EH_PRETOK_MERGED_NEXT},
};

static int read_behavior(loader *l, const json_t *j, eh_pretok_behavior *behavior)
{
    eh_str name;
    const int rc = eh_json_str(j, l->where, "behavior", &name, l->err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof behaviors / sizeof behaviors[0]; i++)
        if (eh_str_eq(name, eh_str_of(behaviors[i].name))) {
            *behavior = behaviors[i].behavior;
            return EH_OK;
        }
    return eh_fail(l->err, EH_ENOSUP, "%s: behavior \"%.*s\" is not supported", l->where,
                   (int)(name.n < 100 ? name.n : 100), name.p);
}

static int add_split(loader *l, eh_pretok s, const char *what)
{
    int rc = EH_OK;
    if (l->byte_level)
        rc = eh_fail(l->err, EH_ENOSUP, "%s: pre-tokenizer %s behind ByteLevel is not supported", l->where, what);
    else if (l->t->n_split == EH_PRETOK_MAX)
        rc = eh_fail(l->err, EH_ENOSUP, "%s: more than %d pre-tokenizers", l->where, EH_PRETOK_MAX);
    if (rc < 0)
        eh_pattern_close(s.pattern);
    else
        l->t->split[l->t->n_split++] = s;
    return rc;
}

static int add_split_by(loader *l, const char *expression, eh_pretok_behavior behavior, bool invert, const char *what)
{
    eh_pretok s = {.kind = EH_PRETOK_PATTERN, .behavior = behavior, .invert = invert};
    const int rc = eh_pattern_open(eh_str_of(expression), l->where, &s.pattern, l->err);
    return rc < 0 ? rc : add_split(l, s, what);
}

/* A change to the text, which only the first pre-tokenizer may make. */
static int add_open(loader *l, eh_norm n, const char *what)
{
    if (l->t->n_open > 0 || l->t->n_split > 0 || l->byte_level)
        return eh_fail(l->err, EH_ENOSUP, "%s: pre-tokenizer %s changes the text, and is not the first", l->where,
                       what);
    l->t->open[l->t->n_open++] = n;
    return EH_OK;
}

static int pre_sequence(loader *l, const json_t *j)
{
    return read_each(l, j, "pretokenizers", read_pre_tokenizer);
}

static int pre_split(loader *l, const json_t *j)
{
    eh_pretok s = {.kind = EH_PRETOK_PATTERN};
    int rc = read_behavior(l, j, &s.behavior);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "invert", &s.invert, l->err);
    if (rc == EH_OK)
        rc = read_pattern(l, j, "pre-tokenizer Split", &s.text, &s.pattern);
    if (rc < 0)
        return rc;
    if (s.pattern == NULL)
        s.kind = EH_PRETOK_TEXT;
    return add_split(l, s, "Split");
}

static int pre_digits(loader *l, const json_t *j)
{
    bool each = false;
    const int rc = eh_json_bool_or(j, l->where, "individual_digits", &each, l->err);
    const eh_pretok s = {.kind = EH_PRETOK_DIGITS, .behavior = each ? EH_PRETOK_ISOLATED : EH_PRETOK_CONTIGUOUS};
    return rc < 0 ? rc : add_split(l, s, "Digits");
}

static int pre_byte_level(loader *l, const json_t *j)
{
    bool blank = true, use_regex = true;
    int rc = eh_json_bool_or(j, l->where, "add_prefix_space", &blank, l->err);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "use_regex", &use_regex, l->err);
    if (rc == EH_OK && blank)
        rc = add_open(l, (eh_norm){.kind = EH_NORMALIZE_PREPEND_ONCE, .text = EH_STR(" ")},
                      "ByteLevel with a blank in front");
    if (rc == EH_OK && use_regex)
        rc = add_split_by(l, GPT2_SPLIT, EH_PRETOK_ISOLATED, false, "ByteLevel");
    l->byte_level = true;
    return rc;
}

/* The replacement character of a Metaspace, and whether it goes in front of every text, of none or of the first. */
static int read_metaspace(loader *l, const json_t *j, eh_str *replacement, eh_str *scheme)
{
    bool blank = true;
    int rc = eh_json_str(j, l->where, "replacement", replacement, l->err);
    if (rc == EH_OK && (replacement->n == 0 || eh_utf8_next(*replacement, 0, NULL) != replacement->n))
        rc = eh_fail(l->err, EH_EFORMAT, "%s: Metaspace: the replacement is not one character", l->where);
    if (rc == EH_OK)
        rc = keep(l, *replacement, replacement);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "add_prefix_space", &blank, l->err); /* older files */
    *scheme = blank ? EH_STR("always") : EH_STR("never");
    if (rc == EH_OK)
        rc = eh_json_str_or(j, l->where, "prepend_scheme", scheme, l->err);
    if (rc == EH_OK && !eh_str_eq(*scheme, EH_STR("always")) && !eh_str_eq(*scheme, EH_STR("never")) &&
        !eh_str_eq(*scheme, EH_STR("first")))
        rc = eh_fail(l->err, EH_ENOSUP, "%s: Metaspace: prepend_scheme \"%.*s\" is not supported", l->where,
                     (int)(scheme->n < 100 ? scheme->n : 100), scheme->p);
    return rc;
}

static int pre_metaspace(loader *l, const json_t *j)
{
    eh_str mark, scheme;
    bool split = true;
    int rc = read_metaspace(l, j, &mark, &scheme);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "split", &split, l->err);
    if (rc == EH_OK)
        rc = add_open(l, (eh_norm){.kind = EH_NORMALIZE_REPLACE, .find = EH_STR(" "), .text = mark}, "Metaspace");
    if (rc == EH_OK && !eh_str_eq(scheme, EH_STR("never")))
        l->t->open[l->t->n_open++] = (eh_norm){
            .kind = eh_str_eq(scheme, EH_STR("first")) ? EH_NORMALIZE_PREPEND_FIRST : EH_NORMALIZE_PREPEND_ONCE,
            .text = mark};
    if (rc == EH_OK && split)
        rc = add_split(l, (eh_pretok){.kind = EH_PRETOK_TEXT, .behavior = EH_PRETOK_MERGED_NEXT, .text = mark},
                       "Metaspace");
    return rc;
}

static int pre_whitespace(loader *l, const json_t *j)
{
    (void)j;
    return add_split_by(l, "\\w+|[^\\w\\s]+", EH_PRETOK_REMOVED, true, "Whitespace");
}

static int pre_whitespace_split(loader *l, const json_t *j)
{
    (void)j;
    return add_split_by(l, "\\s", EH_PRETOK_REMOVED, false, "WhitespaceSplit");
}

static int pre_punctuation(loader *l, const json_t *j)
{
    eh_pretok_behavior behavior = EH_PRETOK_ISOLATED;
    const int rc = json_object_get(j, "behavior") == NULL ? EH_OK : read_behavior(l, j, &behavior);
    return rc < 0 ? rc : add_split_by(l, "[!-/:-@\\[-`{-~\\p{P}]", behavior, false, "Punctuation");
}

static const kind pre_tokenizers[] = {
    {"Sequence", pre_sequence},     {"Split", pre_split},           {"Digits", pre_digits},
    {"ByteLevel", pre_byte_level},  {"Metaspace", pre_metaspace},   {"Whitespace", pre_whitespace},
    {"WhitespaceSplit", pre_whitespace_split}, {"Punctuation", pre_punctuation}, {NULL, NULL},
};

static int read_pre_tokenizer(loader *l, const json_t *j)
{
    return read_kind(l, j, "pre-tokenizer", pre_tokenizers);
}

/* ---- Post-processors --------------------------------------------------------------------- */

static int read_post_processor(loader *l, const json_t *j);

static int post_sequence(loader *l, const json_t *j)
{
    return read_each(l, j, "processors", read_post_processor);
}

static int one_template(loader *l)
{
    if (l->has_template)
        return eh_fail(l->err, EH_ENOSUP, "%s: more than one post-processor that adds tokens", l->where);
    l->has_template = true;
    return EH_OK;
}

static int add_affix(loader *l, bool behind, int64_t id)
{
    eh_tokenizer *t = l->t;
    if ((behind ? t->n_suffix : t->n_prefix) == EH_AFFIX_MAX)
        return eh_fail(l->err, EH_ENOSUP, "%s: the template adds more than %d tokens on one side", l->where,
                       EH_AFFIX_MAX);
    if (behind)
        t->suffix[t->n_suffix++] = (int32_t)id;
    else
        t->prefix[t->n_prefix++] = (int32_t)id;
    return EH_OK;
}

static int post_template(loader *l, const json_t *j)
{
    const json_t *single = json_object_get(j, "single"), *special = json_object_get(j, "special_tokens");
    bool text_seen = false;
    int rc = one_template(l);
    if (rc < 0)
        return rc;
    if (!json_is_array(single))
        return eh_fail(l->err, EH_EFORMAT, "%s: TemplateProcessing: \"single\" is %s, wanted an array", l->where,
                       eh_json_type(single));
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *s = json_object_get(item, "SpecialToken");
        if (json_object_get(item, "Sequence") != NULL && !text_seen) {
            text_seen = true;
            continue;
        }
        eh_str name;
        if (s == NULL)
            return eh_fail(
                l->err, EH_EFORMAT,
                "%s: TemplateProcessing: item %d of \"single\" is neither a special token nor the one text", l->where,
                (int)i);
        rc = eh_json_str(s, l->where, "id", &name, l->err);
        if (rc < 0)
            return rc;
        /* jansson's keys end at NUL, and so does this look-up: a name with a NUL finds nothing */
        const json_t *ids =
            strlen(name.p) == (size_t)name.n ? json_object_get(json_object_get(special, name.p), "ids") : NULL;
        if (!json_is_array(ids))
            return eh_fail(l->err, EH_EFORMAT, "%s: TemplateProcessing: \"%.100s\" is not among its special tokens",
                           l->where, name.p);
        for (size_t k = 0; k < json_array_size(ids); k++) {
            const json_t *id = json_array_get(ids, k);
            if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= EH_VOCAB_IDS_MAX)
                return eh_fail(l->err, EH_EFORMAT, "%s: TemplateProcessing: \"%.100s\" has an id that is none",
                               l->where, name.p);
            rc = add_affix(l, text_seen, json_integer_value(id));
            if (rc < 0)
                return rc;
        }
    }
    return text_seen
               ? EH_OK
               : eh_fail(l->err, EH_EFORMAT, "%s: TemplateProcessing: \"single\" leaves out the text", l->where);
}

/* RoBERTa's and BERT's: [name, id] before and behind the text. */
static int post_cls_sep(loader *l, const json_t *j)
{
    int rc = one_template(l);
    for (int behind = 0; behind < 2 && rc == EH_OK; behind++) {
        const char *key = behind ? "sep" : "cls";
        const json_t *id = json_array_get(json_object_get(j, key), 1);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= EH_VOCAB_IDS_MAX)
            return eh_fail(l->err, EH_EFORMAT, "%s: post-processor: \"%s\" is not a pair of name and id", l->where,
                           key);
        rc = add_affix(l, behind, json_integer_value(id));
    }
    return rc;
}

static const kind post_processors[] = {
    {"Sequence", post_sequence},        {"TemplateProcessing", post_template},
    {"ByteLevel", read_nothing},        {"RobertaProcessing", post_cls_sep},
    {"BertProcessing", post_cls_sep},   {NULL, NULL},
}; /* ByteLevel trims offsets, which here are those of the whole token */

static int read_post_processor(loader *l, const json_t *j)
{
    return read_kind(l, j, "post-processor", post_processors);
}

/* ---- Decoders ---------------------------------------------------------------------------- */

static int read_decoder(loader *l, const json_t *j);

/* A step on tokens one by one, which must come before those that look at the neighbours. */
static int add_decode_step(loader *l, eh_decode_step s, const char *what)
{
    eh_tokenizer *t = l->t;
    if (l->fallback_read || l->whole_read)
        return eh_fail(l->err, EH_ENOSUP, "%s: decoder %s at this place is not supported", l->where, what);
    if (t->n_decode_step == EH_STEPS_MAX)
        return eh_fail(l->err, EH_ENOSUP, "%s: more than %d decoders", l->where, EH_STEPS_MAX);
    t->decode_step[t->n_decode_step++] = s;
    return EH_OK;
}

static int dec_sequence(loader *l, const json_t *j)
{
    return read_each(l, j, "decoders", read_decoder);
}

static int dec_byte_level(loader *l, const json_t *j)
{
    (void)j;
    const int rc = add_decode_step(l, (eh_decode_step){.kind = EH_DECODE_STEP_BYTES}, "ByteLevel");
    l->t->decoder.bytes = true;
    l->whole_read = l->fuse_read = true;
    return rc;
}

static int dec_replace(loader *l, const json_t *j)
{
    eh_decode_step s = {.kind = EH_DECODE_STEP_REPLACE};
    int rc = eh_json_str(j, l->where, "content", &s.text, l->err);
    if (rc == EH_OK)
        rc = keep(l, s.text, &s.text);
    if (rc == EH_OK)
        rc = read_pattern(l, j, "decoder Replace", &s.find, NULL);
    return rc < 0 ? rc : add_decode_step(l, s, "Replace");
}

static int dec_byte_fallback(loader *l, const json_t *j)
{
    (void)j;
    if (l->fallback_read || l->whole_read)
        return eh_fail(l->err, EH_ENOSUP, "%s: decoder ByteFallback at this place is not supported", l->where);
    l->t->decoder.byte_fallback = l->fallback_read = true;
    return EH_OK;
}

static int dec_fuse(loader *l, const json_t *j)
{
    (void)j;
    l->fuse_read = l->whole_read = true;
    return EH_OK;
}

static int dec_strip(loader *l, const json_t *j)
{
    eh_decode_step s = {.kind = EH_DECODE_STEP_STRIP};
    int64_t stop = 0;
    int rc = eh_json_str(j, l->where, "content", &s.find, l->err);
    if (rc == EH_OK && (s.find.n == 0 || eh_utf8_next(s.find, 0, NULL) != s.find.n))
        rc = eh_fail(l->err, EH_EFORMAT, "%s: decoder Strip: the content is not one character", l->where);
    if (rc == EH_OK)
        rc = keep(l, s.find, &s.find);
    if (rc == EH_OK)
        rc = eh_json_int(j, l->where, "start", 0, 1 << 20, &s.start, l->err);
    if (rc == EH_OK)
        rc = eh_json_int(j, l->where, "stop", 0, INT64_MAX, &stop, l->err);
    if (rc == EH_OK && stop != 0)
        rc = eh_fail(l->err, EH_ENOSUP, "%s: decoder Strip: taking off the end (\"stop\" %lld) is not supported",
                     l->where, (long long)stop);
    if (rc < 0 || !l->fuse_read)
        return rc < 0 ? rc : add_decode_step(l, s, "Strip");
    if (l->t->decoder.strip_n > 0 || l->t->decoder.bytes)
        return eh_fail(l->err, EH_ENOSUP, "%s: decoder Strip at this place is not supported", l->where);
    l->t->decoder.strip = s.find;
    l->t->decoder.strip_n = s.start;
    return EH_OK;
}

static int dec_metaspace(loader *l, const json_t *j)
{
    eh_str mark, scheme;
    int rc = read_metaspace(l, j, &mark, &scheme);
    if (rc == EH_OK && (l->fallback_read || l->whole_read))
        rc = eh_fail(l->err, EH_ENOSUP, "%s: decoder Metaspace at this place is not supported", l->where);
    if (rc < 0)
        return rc;
    l->t->decoder.metaspace = mark;
    l->t->decoder.metaspace_drop = !eh_str_eq(scheme, EH_STR("never"));
    l->whole_read = true;
    return EH_OK;
}

static const kind decoders[] = {
    {"Sequence", dec_sequence},           {"ByteLevel", dec_byte_level}, {"Replace", dec_replace},
    {"ByteFallback", dec_byte_fallback},  {"Fuse", dec_fuse},            {"Strip", dec_strip},
    {"Metaspace", dec_metaspace},         {NULL, NULL},
};

static int read_decoder(loader *l, const json_t *j)
{
    return read_kind(l, j, "decoder", decoders);
}

/* ---- Vocabulary and merges --------------------------------------------------------------- */

static int check_spelling(loader *l, eh_str s, int64_t id)
{
    if (s.n > EH_TOKEN_BYTES_MAX)
        return eh_fail(l->err, EH_ENOSUP, "%s: token %lld is spelt with %lld bytes; up to %d are supported", l->where,
                       (long long)id, (long long)s.n, EH_TOKEN_BYTES_MAX);
    return EH_OK;
}

static int read_added_item(loader *l, const json_t *j, int64_t id)
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

/* "added_tokens" of tokenizer.json, and those of tokenizer_config.json that the former lacks. */
static int read_added(loader *l, const json_t *config)
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
    if (n_more == 0)
        return EH_OK;

    /* Which ids are named already; a table, for both lists may be long. */
    uint8_t *seen = eh_calloc(EH_VOCAB_IDS_MAX / 8, 1);
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
        if (end == key || *end != '\0' || id < 0 || id >= EH_VOCAB_IDS_MAX) {
            rc = eh_fail(l->err, EH_EFORMAT, "%s: added_tokens_decoder: \"%.40s\" is not an id", l->where, key);
            break;
        }
        if ((seen[id / 8] >> id % 8 & 1) == 0)
            rc = read_added_item(l, item, id);
        if (rc < 0)
            break;
    }
    eh_free(seen);
    return rc;
}

static int read_vocab(loader *l, const json_t *vocab)
{
    eh_tokenizer *t = l->t;
    eh_vocab *v = &t->vocab;
    int64_t high = -1, bytes = 0;
    const char *key;
    json_t *value;
    if (!json_is_object(vocab))
        return eh_fail(l->err, EH_EFORMAT, "%s: model: \"vocab\" is %s, wanted an object", l->where,
                       eh_json_type(vocab));
    const int64_t n = (int64_t)json_object_size(vocab) + l->n_added;
    const int64_t limit = n * 8 + 65536 < EH_VOCAB_IDS_MAX ? n * 8 + 65536 : EH_VOCAB_IDS_MAX;
    json_object_foreach((json_t *)vocab, key, value) {
        const int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= limit)
            return eh_fail(l->err, EH_EFORMAT, "%s: token \"%.100s\" has an id that is not within 0 to %lld",
                           l->where, key, (long long)limit - 1);
        high = id > high ? id : high;
        bytes += (int64_t)strlen(key);
    }
    for (int64_t i = 0; i < l->n_added; i++) {
        if (l->added[i].id >= limit)
            return eh_fail(l->err, EH_EFORMAT, "%s: added token %d is not within 0 to %lld", l->where,
                           (int)l->added[i].id, (long long)limit - 1);
        high = l->added[i].id > high ? l->added[i].id : high;
        bytes += l->added[i].text.n;
    }
    int rc = eh_vocab_init(t, high + 1, l->err);
    char *p = rc < 0 ? NULL : eh_new_raw(&t->arena, char, bytes);
    if (rc == EH_OK && p == NULL)
        rc = eh_fail(l->err, EH_ENOMEM, "%s: no memory for %lld bytes of tokens", l->where, (long long)bytes);
    if (rc < 0)
        return rc;
    json_object_foreach((json_t *)vocab, key, value) {
        const int64_t id = json_integer_value(value);
        const eh_str s = {p, (int64_t)strlen(key)};
        rc = check_spelling(l, s, id);
        if (rc == EH_OK && v->spelling[id].p != NULL)
            rc = eh_fail(l->err, EH_EFORMAT, "%s: id %lld is given to two tokens, \"%.100s\" is one", l->where,
                         (long long)id, key);
        if (rc < 0)
            return rc;
        memcpy(p, key, (size_t)s.n);
        p += s.n;
        v->spelling[id] = s;
        if (eh_byte_of(s) >= 0)
            v->flags[id] |= EH_TOKEN_BYTE;
        int32_t other;
        rc = eh_names_put(&v->names, (int32_t)id, &other, l->where, l->err);
        if (rc < 0)
            return rc;
    }
    for (int64_t i = 0; i < l->n_added; i++) {
        eh_added *a = &l->added[i];
        const int32_t same = eh_names_get(&v->names, a->text);
        if ((same >= 0 && same != a->id) || (v->spelling[a->id].p != NULL && !eh_str_eq(v->spelling[a->id], a->text)))
            return eh_fail(l->err, EH_EFORMAT,
                           "%s: added token %d is spelt otherwise in the vocabulary, or has another id there",
                           l->where, (int)a->id);
        memcpy(p, a->text.p, (size_t)a->text.n);
        a->text.p = p;
        p += a->text.n;
        v->spelling[a->id] = a->text;
        v->flags[a->id] = (uint8_t)(v->flags[a->id] | EH_TOKEN_ADDED | (a->special ? EH_TOKEN_SPECIAL : 0));
    }
    return EH_OK;
}

static int read_merges(loader *l, const json_t *merges)
{
    if (!json_is_array(merges))
        return eh_fail(l->err, EH_EFORMAT, "%s: model: \"merges\" is %s, wanted an array", l->where,
                       eh_json_type(merges));
    const int64_t n = (int64_t)json_array_size(merges);
    if (n >= INT32_MAX)
        return eh_fail(l->err, EH_ENOSUP, "%s: %lld merges", l->where, (long long)n);
    int rc = eh_bpe_room_pairs(&l->t->bpe, &l->t->arena, n, l->where, l->err);
    for (int64_t i = 0; i < n && rc == EH_OK; i++) {
        const json_t *m = json_array_get(merges, (size_t)i);
        eh_str left = {0}, right = {0};
        if (json_is_string(m)) { /* "left right" */
            const eh_str both = eh_json_text(m);
            const char *blank = memchr(both.p, ' ', (size_t)both.n);
            if (blank != NULL && memchr(blank + 1, ' ', (size_t)(both.p + both.n - blank - 1)) == NULL) {
                left = (eh_str){both.p, blank - both.p};
                right = (eh_str){blank + 1, both.p + both.n - blank - 1};
            }
        } else if (json_array_size(m) == 2 && json_is_string(json_array_get(m, 0)) &&
                   json_is_string(json_array_get(m, 1))) {
            left = eh_json_text(json_array_get(m, 0));
            right = eh_json_text(json_array_get(m, 1));
        }
        if (left.n == 0 || right.n == 0)
            return eh_fail(l->err, EH_EFORMAT, "%s: merge %lld is not a pair of tokens", l->where, (long long)i);
        rc = eh_bpe_add_merge(l->t, left, right, i, true, l->err);
    }
    return rc;
}

/* Fields of the model that are not supported unless empty. */
static int refuse_field(loader *l, const json_t *model, const char *key)
{
    const json_t *v = json_object_get(model, key);
    const bool none = v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0) ||
                      (json_is_number(v) && !(fabs(json_number_value(v)) > 0));
    return none ? EH_OK : eh_fail(l->err, EH_ENOSUP, "%s: model: \"%s\" is not supported", l->where, key);
}

static int read_model(loader *l, const json_t *model, const json_t *config)
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

/* ---- tokenizer_config.json --------------------------------------------------------------- */

/* A special token of the config: a string, or an object with "content"; null and none give -1. */
static int config_token(loader *l, const json_t *config, const char *key, int32_t *id)
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
static int config_policy(loader *l, const json_t *config)
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
            return add_affix(l, true, t->eos);
    }
    return EH_OK;
}

/* "chat_template": a string, or a list of {"name", "template"} of which the one called "default" counts. */
static int config_template(loader *l, const json_t *config)
{
    const json_t *v = json_object_get(config, "chat_template");
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        const json_t *name = json_object_get(item, "name"), *text = json_object_get(item, "template");
        if (json_is_string(text) && json_is_string(name) && eh_str_eq(eh_json_text(name), EH_STR("default")))
            return keep(l, eh_json_text(text), &l->t->chat_template);
    }
    return json_is_string(v) ? keep(l, eh_json_text(v), &l->t->chat_template) : EH_OK;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static int read_optional(loader *l, const char *key, read_fn *read)
{
    const json_t *j = json_object_get(l->root, key);
    return j == NULL || json_is_null(j) ? EH_OK : read(l, j);
}

int eh_tokenizer_open_bytes(eh_str tokenizer_json, eh_str config_json, const char *where, eh_tokenizer **t, eh_err *err)
{
    loader l = {.where = where, .err = err};
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
    rc = read_optional(&l, "normalizer", read_normalizer);
    if (rc == EH_OK)
        rc = read_optional(&l, "pre_tokenizer", read_pre_tokenizer);
    if (rc == EH_OK)
        rc = read_model(&l, json_object_get(root, "model"), config);
    if (rc == EH_OK)
        rc = read_optional(&l, "post_processor", read_post_processor);
    l.t->decoder.blank_between =
        json_object_get(root, "decoder") == NULL || json_is_null(json_object_get(root, "decoder"));
    if (rc == EH_OK)
        rc = read_optional(&l, "decoder", read_decoder);
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
