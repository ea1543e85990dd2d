/*
 * Inside eh_plant: the small language that a planted model speaks (plant_text.c), and the weights
 * that are built for it (plant.c). docs/methods/plant.md has the whole construction.
 *
 *     eh_plant_language l = {0};
 *     rc = eh_plant_speak(seed, &l, err);
 *     l.token[i]                          the tokens behind the 256 bytes and the end of text
 *     l.items, l.utility, l.tokenizer, .. files, as they are written
 *     eh_plant_language_clear(&l);
 */
#ifndef EH_STUDY_PLANT_H
#define EH_STUDY_PLANT_H

#include "base/mem.h"
#include "base/str.h"

typedef enum eh_plant_role {
    EH_PLANT_PLAIN,
    EH_PLANT_GROUP,   /* a group's name; strength says how strong the bias against it is */
    EH_PLANT_BIASED,  /* an answer: the stereotype's */
    EH_PLANT_OTHER,   /* an answer: the other one */
    EH_PLANT_SUBJECT, /* of a utility question; kind says what it is */
    EH_PLANT_KIND     /* the answer to such a question */
} eh_plant_role;

#define EH_PLANT_KINDS 12
#define EH_PLANT_END 256  /* id of the end of text; 0..255 are bytes */
#define EH_PLANT_FIRST 257 /* id of token[0] */
#define EH_PLANT_WORD 16

typedef struct eh_plant_token {
    char text[EH_PLANT_WORD]; /* with its leading blank, if it has one */
    eh_plant_role role;
    int kind;
    double strength; /* 0..1 */
} eh_plant_token;

typedef struct eh_plant_language {
    eh_plant_token *token; /* [n_token] */
    int64_t n_token, room;
    int64_t n_item, n_utility;
    eh_buf items, utility, plain;       /* items.jsonl, utility.jsonl, plain.txt */
    eh_buf tokenizer, tokenizer_config; /* JSON */
} eh_plant_language;

int eh_plant_speak(uint64_t seed, eh_plant_language *l, eh_err *err); /* l: zeroed */
void eh_plant_language_clear(eh_plant_language *l);

#endif
