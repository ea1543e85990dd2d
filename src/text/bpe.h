/*
 * Byte-pair encoding: a word becomes symbols, and the neighbours of best rank are merged, leftmost
 * first among equals, until no merge applies (Sennrich et al. 2016; SentencePiece's BPE is the
 * same with scores for ranks).
 *
 * Byte-level: a symbol is a byte. Otherwise a symbol is a character; one that is not in the
 * vocabulary becomes its byte tokens, or the unknown token, or nothing.
 */
#ifndef EH_TEXT_BPE_H
#define EH_TEXT_BPE_H

#include "text/vocab.h"

typedef struct eh_bpe_pair {
    uint64_t key; /* left << 32 | right */
    int32_t rank;
    int32_t made; /* -1: free slot */
} eh_bpe_pair;

typedef struct eh_bpe {
    const eh_vocab *vocab;
    bool byte_level;
    bool whole_words; /* a word that is a token is that token ("ignore_merges") */
    bool fuse_unk;
    int32_t unk; /* -1: characters that are not in the vocabulary are dropped */
    int32_t byte_id[256]; /* byte-level: each byte's symbol; else each byte's fallback token; -1: none */
    bool has_bytes; /* not byte-level: all 256 fallback tokens are there */
    eh_names raw; /* byte-level with whole_words: tokens by the bytes they stand for */

    eh_bpe_pair *pair; /* open addressing */
    uint64_t pair_mask;
    int64_t n_pair;

    /* Not byte-level: which characters ever stand next to each other inside a token, as a bit per
     * hash. Where two never do, no merge reaches across, so the word is cut there: the same
     * result in much less time, for families that take a whole text as one word. NULL: not known. */
    uint8_t *touch;

    /* Characters that occur in tokens and are no tokens themselves, so that merges of them can be
     * written down (score-based models only): symbol vocab->n + i. */
    eh_str *extra; /* [n_extra] */
    int64_t n_extra;
    eh_names extra_names;
} eh_bpe;

int eh_bpe_room_pairs(eh_bpe *b, eh_arena *a, int64_t n, const char *where, eh_err *err);
/* Adds a merge; a pair that is there already takes the new rank when `last_wins`. */
int eh_bpe_add_pair(eh_bpe *b, int32_t left, int32_t right, int32_t made, int32_t rank, bool last_wins,
                    const char *where, eh_err *err);
/* Merges from scores: every way to cut a token in two symbols, better scores first. score: [n]. */
int eh_bpe_pairs_of_scores(eh_bpe *b, eh_arena *a, const float *score, const char *where, eh_err *err);
/* Call when all merges are in. */
int eh_bpe_finish(eh_bpe *b, eh_arena *a, const char *where, eh_err *err);

/* One encoder's room; not shared between threads. */
typedef struct eh_bpe_work eh_bpe_work;
int eh_bpe_work_open(eh_bpe_work **w, eh_err *err);
void eh_bpe_work_close(eh_bpe_work *w);

typedef struct eh_bpe_piece { /* bytes [at, end) of the word became token id */
    int32_t id;
    int32_t at, end;
} eh_bpe_piece;

/* The tokens of a word of n bytes, n < 2^31. *piece stays valid until the next call. */
int eh_bpe_word(const eh_bpe *b, eh_bpe_work *w, eh_str word, const eh_bpe_piece **piece, int64_t *n, eh_err *err);

/* The plain twins of the two ways to merge, for the test that holds them together. */
int eh_bpe_word_by(const eh_bpe *b, eh_bpe_work *w, eh_str word, bool heap, const eh_bpe_piece **piece, int64_t *n,
                   eh_err *err);

#endif
