/*
 * Tokenizers from GGUF metadata, which name the pre-tokenizer instead of describing it.
 *
 * Expressions and normalisers are those of the families' published tokenizer.json, not of
 * llama.cpp, which rewrites some for its own engine and applies no normaliser.
 */
#include <string.h>

#include "text/parts.h"
#include "text/tokenizer.h"

#define GPT2_SPLIT "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define TAIL " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_SPLIT CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" TAIL
#define QWEN2_SPLIT CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" TAIL
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_TAIL " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TEKKEN_SPLIT \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|\\p{N}|" CASED_TAIL
#define GPT4O_SPLIT \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" \
    CONTRACTIONS "?|\\p{N}{1,3}|" CASED_TAIL
#define DEEPSEEK3_SPLIT \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" \
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define DIGITS "<digits>" /* each number character by itself, without an expression */
#define PRE_STEPS 4

typedef struct pre_row {
    const char *name;
    bool whole_words; /* ignore_merges */
    bool add_bos;     /* where the file does not say */
    bool nfc;
    const char *split[PRE_STEPS]; /* expressions in turn, matches isolated */
} pre_row;

/* Names: convert_hf_to_gguf.py, get_vocab_base_pre, and llama-vocab.cpp of llama.cpp. The columns: the
 * tokenizer.json of the model that the name was made for. */
static const pre_row pre_rows[] = {
    /* llama.cpp's own, for files without a name: no model's. Old GPT-NeoX and Falcon files have it. */
    {"default", false, false, false,
     {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_SPLIT, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"gpt-2", false, false, false, {GPT2_SPLIT}},          /* openai-community/gpt2 */
    {"phi-2", false, false, false, {GPT2_SPLIT}},          /* microsoft/phi-2 */
    {"mpt", false, false, true, {GPT2_SPLIT}},             /* mosaicml/mpt-7b: GPT-NeoX's, with NFC */
    {"olmo", false, false, true, {GPT2_SPLIT}},            /* allenai/OLMo-1.7-7B: likewise */
    {"llama-bpe", true, true, false, {LLAMA3_SPLIT}},      /* meta-llama/Meta-Llama-3-8B */
    {"llama3", true, true, false, {LLAMA3_SPLIT}},         /* older names of the same */
    {"llama-v3", true, true, false, {LLAMA3_SPLIT}},
    {"smaug-bpe", false, false, false, {LLAMA3_SPLIT}},    /* abacusai/Smaug-Llama-3-70B */
    {"dbrx", false, false, false, {LLAMA3_SPLIT}},         /* databricks/dbrx-base */
    {"qwen2", false, false, true, {QWEN2_SPLIT}},          /* Qwen/Qwen1.5-7B, Qwen2, Qwen2.5, Qwen3 */
    {"deepseek-r1-qwen", false, false, true, {QWEN2_SPLIT}}, /* deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B */
    {"smollm", false, false, false, {DIGITS, GPT2_SPLIT}}, /* HuggingFaceTB/SmolLM-135M, SmolLM2 */
    {"starcoder", false, false, false, {DIGITS, GPT2_SPLIT}}, /* bigcode/starcoder2-3b */
    {"refact", false, false, false, {DIGITS, GPT2_SPLIT}}, /* smallcloudai/Refact-1_6-base */
    {"codeshell", false, false, false, {DIGITS, GPT2_SPLIT}}, /* WisdomShell/CodeShell-7B */
    {"command-r", false, false, true, {DIGITS, GPT2_SPLIT}}, /* CohereForAI/c4ai-command-r-v01, Aya */
    {"tekken", true, true, false, {TEKKEN_SPLIT}},         /* mistralai/Mistral-Nemo-Base-2407 */
    {"gpt-4o", false, false, false, {GPT4O_SPLIT}},        /* Xenova/gpt-4o, gpt-oss */
    {"llama4", false, false, false, {GPT4O_SPLIT}},        /* meta-llama/Llama-4-Scout-17B-16E */
    {"deepseek-v3", false, false, false,                   /* deepseek-ai/DeepSeek-V3 */
     {"\\p{N}{1,3}", "[\\u4E00-\\u9FA5\\u3040-\\u309F\\u30A0-\\u30FF]+", DEEPSEEK3_SPLIT}},
};
#define N_PRE (sizeof pre_rows / sizeof pre_rows[0])

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

static int find_pre(const eh_gguf_vocab *v, const pre_row **row, eh_err *err)
{
    const eh_str name = v->pre.n > 0 ? v->pre : EH_STR("default");
    for (size_t i = 0; i < N_PRE; i++)
        if (eh_str_eq(name, eh_str_of(pre_rows[i].name))) {
            *row = &pre_rows[i];
            return EH_OK;
        }
    eh_buf known = {0};
    for (size_t i = 0; i < N_PRE; i++)
        eh_buf_printf(&known, "%s%s", i > 0 ? ", " : "", pre_rows[i].name);
    const int rc = eh_fail(err, EH_ENOSUP, "%s: pre-tokenizer \"%.*s\" is not known; known are %s", v->where,
                           (int)(name.n < 100 ? name.n : 100), name.p, known.fault == 0 ? known.p : "");
    eh_buf_clear(&known);
    return rc;
}

static int check_id(const eh_gguf_vocab *v, const char *what, int64_t id, eh_err *err)
{
    if (id < -1 || id >= v->n)
        return eh_fail(err, EH_EFORMAT, "%s: the %s token is %lld; there are %lld tokens", v->where, what,
                       (long long)id, (long long)v->n);
    return EH_OK;
}

/* Spellings, flags and names; *added gets the tokens that are looked for in the text. */
static int read_tokens(eh_tokenizer *t, const eh_gguf_vocab *v, bool spm, eh_added **added, int64_t *n_added,
                       eh_err *err)
{
    int64_t bytes = 0, n = 0;
    for (int64_t i = 0; i < v->n; i++) {
        const int type = v->types == NULL ? TYPE_NORMAL : v->types[i];
        if (v->tokens[i].n > EH_TOKEN_BYTES_MAX || v->tokens[i].n < 0)
            return eh_fail(err, EH_ENOSUP, "%s: token %lld is spelt with %lld bytes; up to %d are supported", v->where,
                           (long long)i, (long long)v->tokens[i].n, EH_TOKEN_BYTES_MAX);
        for (int64_t at = 0, len; at < v->tokens[i].n; at += len) {
            len = eh_utf8_next(v->tokens[i], at, NULL);
            if (len == 0)
                return eh_fail(err, EH_EFORMAT, "%s: token %lld: byte %lld of its spelling is not UTF-8", v->where,
                               (long long)i, (long long)at);
        }
        if (type < 0 || type > TYPE_BYTE)
            return eh_fail(err, EH_EFORMAT, "%s: token %lld has type %d; types go from 1 to %d", v->where, (long long)i,
                           type, TYPE_BYTE);
        bytes += v->tokens[i].n;
        n += type == TYPE_UNKNOWN || type == TYPE_CONTROL || type == TYPE_USER;
    }
    int rc = eh_vocab_init(t, v->n, err);
    char *p = rc < 0 ? NULL : eh_new_raw(&t->arena, char, bytes);
    eh_added *list = p == NULL ? NULL : eh_new(&t->arena, eh_added, n);
    if (rc == EH_OK && list == NULL)
        rc = eh_fail(err, EH_ENOMEM, "%s: no memory for %lld bytes of tokens", v->where, (long long)bytes);
    if (rc < 0)
        return rc;
    *n_added = 0;
    for (int64_t i = 0; i < v->n; i++) {
        const int type = v->types == NULL ? TYPE_NORMAL : v->types[i];
        const eh_str s = {p, v->tokens[i].n};
        uint8_t flags = 0;
        if (s.n == 0)
            continue; /* a row without a token */
        memcpy(p, v->tokens[i].p, (size_t)s.n);
        p += s.n;
        t->vocab.spelling[i] = s;
        if (type == TYPE_UNKNOWN || type == TYPE_CONTROL)
            flags = EH_TOKEN_SPECIAL | EH_TOKEN_ADDED | EH_TOKEN_HIDDEN;
        else if (type == TYPE_USER)
            flags = EH_TOKEN_ADDED;
        else if (type == TYPE_BYTE)
            flags = EH_TOKEN_BYTE | EH_TOKEN_HIDDEN;
        if (type == TYPE_BYTE && spm && eh_byte_of(s) < 0)
            return eh_fail(err, EH_EFORMAT, "%s: token %lld is a byte, and spelt \"%.*s\" instead of <0xNN>", v->where,
                           (long long)i, (int)(s.n < 40 ? s.n : 40), s.p);
        if ((flags & EH_TOKEN_ADDED) != 0)
            list[(*n_added)++] = (eh_added){.id = (int32_t)i, .text = s, .special = (flags & EH_TOKEN_SPECIAL) != 0};
        t->vocab.flags[i] = flags;
        int32_t other;
        rc = eh_names_put(&t->vocab.names, (int32_t)i, &other, v->where, err);
        if (rc < 0)
            return rc;
    }
    *added = list;
    return EH_OK;
}

static int read_byte_level(eh_tokenizer *t, const eh_gguf_vocab *v, const pre_row *row, eh_err *err)
{
    int rc = EH_OK;
    if (row->nfc)
        t->norm[t->n_norm++] = (eh_norm){.kind = EH_NORMALIZE_NFC};
    for (int i = 0; i < PRE_STEPS && row->split[i] != NULL && rc == EH_OK; i++) {
        eh_pretok *s = &t->split[t->n_split];
        *s = (eh_pretok){.kind = EH_PRETOK_DIGITS, .behavior = EH_PRETOK_ISOLATED};
        if (strcmp(row->split[i], DIGITS) != 0) {
            s->kind = EH_PRETOK_PATTERN;
            rc = eh_pattern_open(eh_str_of(row->split[i]), v->where, &s->pattern, err);
        }
        t->n_split++;
    }
    t->bpe.byte_level = true;
    t->bpe.whole_words = row->whole_words;
    if (rc < 0)
        return rc;
    eh_bpe_find_bytes(&t->bpe);
    if (row->whole_words)
        rc = eh_bpe_find_raw(t, err);
    if (rc == EH_OK)
        rc = eh_bpe_room_pairs(&t->bpe, &t->arena, v->n_merge, v->where, err);
    for (int64_t i = 0; i < v->n_merge && rc == EH_OK; i++) {
        const eh_str m = v->merges[i];
        /* The blank between the two; a token may begin with a blank of its own in the eyes of llama.cpp */
        const char *blank = m.n > 1 ? memchr(m.p + 1, ' ', (size_t)m.n - 1) : NULL;
        if (blank == NULL || blank == m.p + m.n - 1)
            return eh_fail(err, EH_EFORMAT, "%s: merge %lld is not two tokens with a blank between", v->where,
                           (long long)i);
        const eh_str left = {m.p, blank - m.p}, right = {blank + 1, m.p + m.n - blank - 1};
        if (left.n > EH_TOKEN_BYTES_MAX || right.n > EH_TOKEN_BYTES_MAX)
            return eh_fail(err, EH_EFORMAT, "%s: merge %lld is longer than any token", v->where, (long long)i);
        rc = eh_bpe_add_merge(t, left, right, i, false, err);
    }
    t->decode_step[t->n_decode_step++] = (eh_decode_step){.kind = EH_DECODE_STEP_BYTES};
    t->decoder.bytes = true;
    return rc;
}

static int read_spm(eh_tokenizer *t, const eh_gguf_vocab *v, eh_err *err)
{
    static const char mark[] = "\xE2\x96\x81"; /* U+2581 */
    const bool blank_first = v->add_space_prefix != 0; /* llama.cpp's default is to put one */
    if (v->scores == NULL)
        return eh_fail(err, EH_EFORMAT, "%s: the model \"llama\" needs tokenizer.ggml.scores", v->where);
    if (blank_first)
        t->norm[t->n_norm++] = (eh_norm){.kind = EH_NORMALIZE_PREPEND, .text = EH_STR(mark)};
    t->norm[t->n_norm++] = (eh_norm){.kind = EH_NORMALIZE_REPLACE, .find = EH_STR(" "), .text = EH_STR(mark)};
    t->bpe.fuse_unk = true;
    eh_bpe_find_bytes(&t->bpe);
    t->decode_step[t->n_decode_step++] =
        (eh_decode_step){.kind = EH_DECODE_STEP_REPLACE, .find = EH_STR(mark), .text = EH_STR(" ")};
    t->decoder.byte_fallback = true;
    t->decoder.strip = EH_STR(" ");
    t->decoder.strip_n = blank_first;
    return eh_bpe_pairs_of_scores(&t->bpe, &t->arena, v->scores, v->where, err);
}

int eh_tokenizer_open_gguf(const eh_gguf_vocab *v, eh_tokenizer **out, eh_err *err)
{
    const bool spm = eh_str_eq(v->model, EH_STR("llama"));
    const pre_row *row = NULL;
    eh_tokenizer *t = NULL;
    eh_added *added = NULL;
    int64_t n_added = 0;
    int rc = EH_OK;
    if (!spm && !eh_str_eq(v->model, EH_STR("gpt2")))
        return eh_fail(
            err, EH_ENOSUP,
            "%s: tokenizer model \"%.*s\" is not supported; supported are gpt2 (byte-level BPE) and llama "
            "(SentencePiece BPE)",
            v->where, (int)(v->model.n < 100 ? v->model.n : 100), v->model.p == NULL ? "" : v->model.p);
    if (!spm)
        rc = find_pre(v, &row, err);
    if (rc == EH_OK && (v->tokens == NULL || v->n < 1))
        rc = eh_fail(err, EH_EFORMAT, "%s: tokenizer.ggml.tokens is missing or empty", v->where);
    if (rc == EH_OK && (v->n_merge < 0 || v->n_merge >= INT32_MAX || (v->n_merge > 0 && v->merges == NULL)))
        rc = eh_fail(err, EH_EFORMAT, "%s: %lld merges", v->where, (long long)v->n_merge);
    if (rc == EH_OK)
        rc = check_id(v, "BOS", v->bos, err);
    if (rc == EH_OK)
        rc = check_id(v, "EOS", v->eos, err);
    if (rc == EH_OK)
        rc = check_id(v, "unknown", v->unk, err);
    if (rc == EH_OK)
        rc = check_id(v, "padding", v->pad, err);
    if (rc == EH_OK)
        rc = eh_tokenizer_new(v->where, &t, err);
    if (rc == EH_OK)
        rc = read_tokens(t, v, spm, &added, &n_added, err);
    if (rc < 0)
        goto done;
    /* llama.cpp's defaults for the model "llama": unknown 0, BOS 1, EOS 2 */
    t->bos = (int32_t)(v->bos >= 0 || !spm || v->n < 3 ? v->bos : 1);
    t->eos = (int32_t)(v->eos >= 0 || !spm || v->n < 3 ? v->eos : 2);
    for (int i = 0; i < 256; i++)
        t->bpe.byte_id[i] = -1;
    if (spm)
        t->bpe.unk = (int32_t)(v->unk >= 0 ? v->unk : 0);
    rc = spm ? read_spm(t, v, err) : read_byte_level(t, v, row, err);
    if (rc < 0)
        goto done;
    if (v->add_bos == 1 || (v->add_bos < 0 && (spm || row->add_bos))) {
        if (t->bos < 0) {
            rc = eh_fail(err, EH_EFORMAT, "%s: adds a BOS token, and names none", v->where);
            goto done;
        }
        t->prefix[t->n_prefix++] = t->bos;
    }
    if (v->add_eos == 1) {
        if (t->eos < 0) {
            rc = eh_fail(err, EH_EFORMAT, "%s: adds an EOS token, and names none", v->where);
            goto done;
        }
        t->suffix[t->n_suffix++] = t->eos;
    }
    if (v->chat_template.n > 0) {
        t->chat_template =
            (eh_str){eh_arena_text(&t->arena, v->chat_template.p, v->chat_template.n), v->chat_template.n};
        if (t->chat_template.p == NULL) {
            rc = eh_fail(err, EH_ENOMEM, "%s: no memory for its chat template", v->where);
            goto done;
        }
    }
    rc = eh_tokenizer_finish(t, added, n_added, err);
    if (rc == EH_OK) {
        *out = t;
        t = NULL;
    }
done:
    eh_tokenizer_close(t);
    return rc;
}
