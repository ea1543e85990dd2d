/*
 * The vocabulary: id -> spelling, spelling -> id. Built once, then only read.
 *
 * Its tables are open-addressing hash tables in the tokenizer's arena. A vocabulary made to
 * collide would turn every look-up into a search; the longest search is bounded while building,
 * and a file that passes the bound is refused.
 */
#ifndef EH_TEXT_VOCAB_H
#define EH_TEXT_VOCAB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

#define EH_TOKEN_BYTES_MAX (16 * 1024)   /* longest spelling taken; real ones have up to 400 bytes */
#define EH_VOCAB_IDS_MAX (16 * 1024 * 1024)

enum { /* flags of a token */
    EH_TOKEN_SPECIAL = 1, /* left out by skip_special, plain text unless EH_ENCODE_SPECIAL */
    EH_TOKEN_ADDED = 2,   /* found in the text before the model sees it */
    EH_TOKEN_HIDDEN = 4,  /* the model never makes it out of text (control, unknown, byte tokens) */
    EH_TOKEN_BYTE = 8,    /* spelt <0xNN>: stands for that byte */
};

typedef struct eh_name_slot {
    uint32_t tag; /* high half of the hash */
    int32_t id;   /* -1: free */
} eh_name_slot;

typedef struct eh_names { /* spelling -> id */
    const eh_str *key; /* [.] by id; borrowed */
    eh_name_slot *slot;
    uint64_t mask;
} eh_names;

int eh_names_init(eh_names *t, eh_arena *a, const eh_str *key, int64_t n, const char *where, eh_err *err);
/* Puts key[id] in; EH_EFORMAT when it is there already (*other gets that id), or badly placed. */
int eh_names_put(eh_names *t, int32_t id, int32_t *other, const char *where, eh_err *err);
int32_t eh_names_get(const eh_names *t, eh_str key); /* -1: not there */

typedef struct eh_vocab {
    eh_str *spelling; /* [n]; p == NULL: no such token */
    uint8_t *flags;   /* [n] */
    int64_t n;        /* largest id + 1 */
    eh_names names;   /* of the model's tokens; added ones need not be in it */
} eh_vocab;

/* The value of a byte token's spelling, "<0x0A>"; -1 for any other. */
int eh_byte_of(eh_str spelling);

/* GPT-2's alphabet: each byte as a printable character. */
int32_t eh_byte_char(uint8_t byte); /* code point */
/* Bytes of a spelling in that alphabet, at most spelling.n; -1 when a character is not of it. */
int64_t eh_byte_text(eh_str spelling, char *out);

#endif
