/*
 * What a tokenizer is made of, and how the two readers (tokjson.c, tokgguf.c) put it together:
 *
 *     eh_tokenizer *t = eh_tokenizer_new(where, err);
 *     ... vocabulary, merges, steps, policy ...
 *     rc = eh_tokenizer_finish(t, added, n_added, err);
 */
#ifndef EH_TEXT_PARTS_H
#define EH_TEXT_PARTS_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/decode.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/token_stream.h"

#define EH_STEPS_MAX EH_PRETOK_MAX
#define EH_AFFIX_MAX 8

struct eh_tokenizer {
    eh_arena arena; /* everything below lives here, but for the patterns */
    char *where;    /* for messages */
    eh_vocab vocab;
    eh_bpe bpe;
    eh_norm norm[EH_STEPS_MAX]; /* before added tokens that are looked for in the normalised text */
    int64_t n_norm;
    eh_norm open[2]; /* the pre-tokenizer's own changes to the text, if it makes any */
    int64_t n_open;
    eh_pretok split[EH_PRETOK_MAX];
    int64_t n_split;
    eh_added_set raw;    /* looked for in the text as given */
    eh_added_set normed; /* looked for in the normalised text */
    eh_decode_step decode_step[EH_STEPS_MAX];
    int64_t n_decode_step;
    eh_decoder decoder;
    int32_t prefix[EH_AFFIX_MAX], suffix[EH_AFFIX_MAX]; /* added by EH_ENCODE_DEFAULT */
    int64_t n_prefix, n_suffix;
    int32_t bos, eos; /* -1: none */
    eh_str chat_template;
};

int eh_tokenizer_new(const char *where, eh_tokenizer **t, eh_err *err);

/* Room for ids 0..n-1 and for their names. */
int eh_vocab_init(eh_tokenizer *t, int64_t n, eh_err *err);

/* Fills byte_id from the spellings: GPT-2's alphabet, or <0xNN>. */
void eh_bpe_find_bytes(eh_bpe *b);
/* Byte-level: builds the table behind whole_words. */
int eh_bpe_find_raw(eh_tokenizer *t, eh_err *err);

/* The merge of the tokens spelt left and right. */
int eh_bpe_add_merge(eh_tokenizer *t, eh_str left, eh_str right, int64_t rank, bool last_wins, eh_err *err);

/* added: [n] in the arena; their spellings and flags are in the vocabulary already. */
int eh_tokenizer_finish(eh_tokenizer *t, eh_added *added, int64_t n, eh_err *err);

#endif
