/* tokenizer.json: what is done to a text beside the model: normalizers, pre-tokenizers, post-processors. */
#include "text/tokjson.h"

#include <string.h>

#define GPT2_SPLIT "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+" /* encoder.py */

/* ---- Normalizers ------------------------------------------------------------------------- */

static int add_norm(eh_tokjson *l, eh_norm n)
{
    if (l->t->n_norm == EH_STEPS_MAX) {
        eh_pattern_close(n.pattern);
        return eh_fail(l->err, EH_ENOSUP, "%s: more than %d normalizers", l->where, EH_STEPS_MAX);
    }
    l->t->norm[l->t->n_norm++] = n;
    return EH_OK;
}

static int norm_sequence(eh_tokjson *l, const json_t *j)
{
    return eh_tokjson_read_each(l, j, "normalizers", eh_tokjson_normalizer);
}

static int norm_nfc(eh_tokjson *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_NFC});
}

static int norm_nfd(eh_tokjson *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_NFD});
}

static int norm_nfkc(eh_tokjson *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_NFKC});
}

static int norm_nfkd(eh_tokjson *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_NFKD});
}

static int norm_lowercase(eh_tokjson *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_LOWERCASE});
}

static int norm_strip_accents(eh_tokjson *l, const json_t *j)
{
    (void)j;
    return add_norm(l, (eh_norm){.kind = EH_NORMALIZE_STRIP_ACCENTS});
}

static int norm_strip(eh_tokjson *l, const json_t *j)
{
    eh_norm n = {.kind = EH_NORMALIZE_STRIP};
    int rc = eh_json_bool(j, l->where, "strip_left", &n.left, l->err);
    if (rc == EH_OK)
        rc = eh_json_bool(j, l->where, "strip_right", &n.right, l->err);
    return rc < 0 ? rc : add_norm(l, n);
}

static int norm_prepend(eh_tokjson *l, const json_t *j)
{
    eh_norm n = {.kind = EH_NORMALIZE_PREPEND};
    int rc = eh_json_str(j, l->where, "prepend", &n.text, l->err);
    if (rc == EH_OK)
        rc = eh_tokjson_keep(l, n.text, &n.text);
    return rc < 0 ? rc : add_norm(l, n);
}

static int norm_replace(eh_tokjson *l, const json_t *j)
{
    eh_norm n = {.kind = EH_NORMALIZE_REPLACE};
    int rc = eh_json_str(j, l->where, "content", &n.text, l->err);
    if (rc == EH_OK)
        rc = eh_tokjson_keep(l, n.text, &n.text);
    if (rc == EH_OK)
        rc = eh_tokjson_pattern(l, j, "normalizer Replace", &n.find, &n.pattern);
    return rc < 0 ? rc : add_norm(l, n);
}

static const eh_tokjson_kind normalizers[] = {
    {"Sequence", norm_sequence},   {"NFC", norm_nfc},
    {"NFD", norm_nfd},             {"NFKC", norm_nfkc},
    {"NFKD", norm_nfkd},           {"Lowercase", norm_lowercase},
    {"Strip", norm_strip},         {"StripAccents", norm_strip_accents},
    {"Prepend", norm_prepend},     {"Replace", norm_replace},
    {NULL, NULL},
};

int eh_tokjson_normalizer(eh_tokjson *l, const json_t *j)
{
    return eh_tokjson_read_kind(l, j, "normalizer", normalizers);
}

/* ---- Pre-tokenizers ---------------------------------------------------------------------- */

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

static int read_behavior(eh_tokjson *l, const json_t *j, eh_pretok_behavior *behavior)
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

static int add_split(eh_tokjson *l, eh_pretok s, const char *what)
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

static int add_split_by(eh_tokjson *l, const char *expression, eh_pretok_behavior behavior, bool invert,
                        const char *what)
{
    eh_pretok s = {.kind = EH_PRETOK_PATTERN, .behavior = behavior, .invert = invert};
    const int rc = eh_pattern_open(eh_str_of(expression), l->where, &s.pattern, l->err);
    return rc < 0 ? rc : add_split(l, s, what);
}

/* A change to the text, which only the first pre-tokenizer may make. */
static int add_open(eh_tokjson *l, eh_norm n, const char *what)
{
    if (l->t->n_open > 0 || l->t->n_split > 0 || l->byte_level)
        return eh_fail(l->err, EH_ENOSUP, "%s: pre-tokenizer %s changes the text, and is not the first", l->where,
                       what);
    l->t->open[l->t->n_open++] = n;
    return EH_OK;
}

static int pre_sequence(eh_tokjson *l, const json_t *j)
{
    return eh_tokjson_read_each(l, j, "pretokenizers", eh_tokjson_pre_tokenizer);
}

static int pre_split(eh_tokjson *l, const json_t *j)
{
    eh_pretok s = {.kind = EH_PRETOK_PATTERN};
    int rc = read_behavior(l, j, &s.behavior);
    if (rc == EH_OK)
        rc = eh_json_bool_or(j, l->where, "invert", &s.invert, l->err);
    if (rc == EH_OK)
        rc = eh_tokjson_pattern(l, j, "pre-tokenizer Split", &s.text, &s.pattern);
    if (rc < 0)
        return rc;
    if (s.pattern == NULL)
        s.kind = EH_PRETOK_TEXT;
    return add_split(l, s, "Split");
}

static int pre_digits(eh_tokjson *l, const json_t *j)
{
    bool each = false;
    const int rc = eh_json_bool_or(j, l->where, "individual_digits", &each, l->err);
    const eh_pretok s = {.kind = EH_PRETOK_DIGITS, .behavior = each ? EH_PRETOK_ISOLATED : EH_PRETOK_CONTIGUOUS};
    return rc < 0 ? rc : add_split(l, s, "Digits");
}

static int pre_byte_level(eh_tokjson *l, const json_t *j)
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

static int pre_metaspace(eh_tokjson *l, const json_t *j)
{
    eh_str mark, scheme;
    bool split = true;
    int rc = eh_tokjson_metaspace(l, j, &mark, &scheme);
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

static int pre_whitespace(eh_tokjson *l, const json_t *j)
{
    (void)j;
    return add_split_by(l, "\\w+|[^\\w\\s]+", EH_PRETOK_REMOVED, true, "Whitespace");
}

static int pre_whitespace_split(eh_tokjson *l, const json_t *j)
{
    (void)j;
    return add_split_by(l, "\\s", EH_PRETOK_REMOVED, false, "WhitespaceSplit");
}

static int pre_punctuation(eh_tokjson *l, const json_t *j)
{
    eh_pretok_behavior behavior = EH_PRETOK_ISOLATED;
    const int rc = json_object_get(j, "behavior") == NULL ? EH_OK : read_behavior(l, j, &behavior);
    return rc < 0 ? rc : add_split_by(l, "[!-/:-@\\[-`{-~\\p{P}]", behavior, false, "Punctuation");
}

static const eh_tokjson_kind pre_tokenizers[] = {
    {"Sequence", pre_sequence},     {"Split", pre_split},           {"Digits", pre_digits},
    {"ByteLevel", pre_byte_level},  {"Metaspace", pre_metaspace},   {"Whitespace", pre_whitespace},
    {"WhitespaceSplit", pre_whitespace_split}, {"Punctuation", pre_punctuation}, {NULL, NULL},
};

int eh_tokjson_pre_tokenizer(eh_tokjson *l, const json_t *j)
{
    return eh_tokjson_read_kind(l, j, "pre-tokenizer", pre_tokenizers);
}

/* ---- Post-processors --------------------------------------------------------------------- */

static int post_sequence(eh_tokjson *l, const json_t *j)
{
    return eh_tokjson_read_each(l, j, "processors", eh_tokjson_post_processor);
}

static int one_template(eh_tokjson *l)
{
    if (l->has_template)
        return eh_fail(l->err, EH_ENOSUP, "%s: more than one post-processor that adds tokens", l->where);
    l->has_template = true;
    return EH_OK;
}

static bool is_id(const json_t *id)
{
    return json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < EH_VOCAB_IDS_MAX;
}

/* The ids of {"id": name}, which the list of special tokens gives. */
static int add_special(eh_tokjson *l, const json_t *token, const json_t *special, bool behind)
{
    eh_str name;
    int rc = eh_json_str(token, l->where, "id", &name, l->err);
    if (rc < 0)
        return rc;
    /* jansson's keys end at NUL, and so does this look-up: a name with a NUL finds nothing */
    const json_t *ids =
        strlen(name.p) == (size_t)name.n ? json_object_get(json_object_get(special, name.p), "ids") : NULL;
    if (!json_is_array(ids))
        return eh_fail(l->err, EH_EFORMAT, "%s: TemplateProcessing: \"%.100s\" is not among its special tokens",
                       l->where, name.p);
    for (size_t k = 0; k < json_array_size(ids) && rc == EH_OK; k++) {
        const json_t *id = json_array_get(ids, k);
        rc = is_id(id) ? eh_tokjson_add_affix(l, behind, json_integer_value(id))
                       : eh_fail(l->err, EH_EFORMAT, "%s: TemplateProcessing: \"%.100s\" has an id that is none",
                                 l->where, name.p);
    }
    return rc;
}

/* "single" tells what goes around the one text that it holds. */
static int post_template(eh_tokjson *l, const json_t *j)
{
    const json_t *single = json_object_get(j, "single"), *special = json_object_get(j, "special_tokens");
    bool text_seen = false;
    int rc = one_template(l);
    if (rc == EH_OK && !json_is_array(single))
        rc = eh_fail(l->err, EH_EFORMAT, "%s: TemplateProcessing: \"single\" is %s, wanted an array", l->where,
                     eh_json_type(single));
    for (size_t i = 0; rc == EH_OK && i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *token = json_object_get(item, "SpecialToken");
        if (json_object_get(item, "Sequence") != NULL && !text_seen)
            text_seen = true;
        else if (token != NULL)
            rc = add_special(l, token, special, text_seen);
        else
            rc = eh_fail(
                l->err, EH_EFORMAT,
                "%s: TemplateProcessing: item %d of \"single\" is neither a special token nor the one text", l->where,
                (int)i);
    }
    if (rc == EH_OK && !text_seen)
        rc = eh_fail(l->err, EH_EFORMAT, "%s: TemplateProcessing: \"single\" leaves out the text", l->where);
    return rc;
}

/* RoBERTa's and BERT's: [name, id] before and behind the text. */
static int post_cls_sep(eh_tokjson *l, const json_t *j)
{
    int rc = one_template(l);
    for (int behind = 0; behind < 2 && rc == EH_OK; behind++) {
        const char *key = behind ? "sep" : "cls";
        const json_t *id = json_array_get(json_object_get(j, key), 1);
        if (!is_id(id))
            return eh_fail(l->err, EH_EFORMAT, "%s: post-processor: \"%s\" is not a pair of name and id", l->where,
                           key);
        rc = eh_tokjson_add_affix(l, behind, json_integer_value(id));
    }
    return rc;
}

/* ByteLevel trims offsets, which here are those of the whole token. */
static int read_nothing(eh_tokjson *l, const json_t *j)
{
    (void)l;
    (void)j;
    return EH_OK;
}

static const eh_tokjson_kind post_processors[] = {
    {"Sequence", post_sequence},        {"TemplateProcessing", post_template},
    {"ByteLevel", read_nothing},        {"RobertaProcessing", post_cls_sep},
    {"BertProcessing", post_cls_sep},   {NULL, NULL},
};

int eh_tokjson_post_processor(eh_tokjson *l, const json_t *j)
{
    return eh_tokjson_read_kind(l, j, "post-processor", post_processors);
}
