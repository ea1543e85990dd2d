/*
 * Questions as requests: gathered for one call of the engine, and read back by number.
 *
 *     eh_ask a = {.who = {.tokenizer = t, .n_ctx = 2048}};
 *     rc = eh_ask_next(&a, prompt, letters, 3, &number, err);      number: which request this is
 *     ... answer a.request [a.n] into a.answer ...                 eh_score, with a model
 *     a.answer[number].cand_logprob[0]
 *     eh_ask_clear(&a);
 *
 * Making requests of text takes a tokenizer, the length of a context and perhaps a chat template; no model.
 */
#ifndef EH_TEXT_ASK_H
#define EH_TEXT_ASK_H

#include "base/mem.h"
#include "base/str.h"
#include "evenhand/text.h"
#include "text/tokenizer.h"

/* Who is asked. */
typedef struct eh_asker {
    const eh_tokenizer *tokenizer; /* NULL: none, then `trouble` says why */
    const char *trouble;
    const char *name; /* the model's, for messages */
    int64_t n_ctx;    /* tokens that go through it at most */
    bool chat;        /* prompts are wrapped in the tokenizer's chat template */
} eh_asker;

/* Where a request's tokens lie in the text it was made of. */
typedef struct eh_ask_place {
    eh_ids ids;        /* the request's tokens with their bytes of the text; the ask's memory */
    int64_t prompt_at; /* byte of the text at which the prompt as given begins; -1: not found in it */
} eh_ask_place;

typedef struct eh_ask {
    eh_asker who;
    bool places; /* keep where tokens lie; then place[number] is there */
    eh_ask_place *place;
    eh_request *request; /* [n] */
    eh_answer *answer;   /* [n] with their room, for whoever answers */
    int64_t n, room;
    eh_arena arena;
} eh_ask;

#define EH_ASK_TOO_LONG (-1) /* a number: the prompt does not fit the model's context */

/* Log-probabilities of n_cand tokens after a prompt, encoded with the model's own BOS policy. */
int eh_ask_next(eh_ask *a, eh_str prompt, const int32_t *cand, int64_t n_cand, int64_t *number, eh_err *err);
/* Log-probabilities of " " + text (with a chat template: of text, opening the model's answer). */
int eh_ask_text(eh_ask *a, eh_str prompt, eh_str text, int64_t *number, eh_err *err);
/* The same by the harness's rule: no BOS, no template. */
int eh_ask_pair(eh_ask *a, eh_str context, eh_str continuation, int64_t *number, eh_err *err);
/* The first token of " " + text after a prompt (with a chat template: of text). */
int eh_ask_first_token(eh_ask *a, eh_str prompt, eh_str text, int32_t *id, eh_err *err);

/* The same tokens with nothing scored: its last row is the text's last token. */
int eh_ask_whole(eh_ask *a, int64_t of, int64_t *number, eh_err *err);

double eh_ask_sum(const eh_ask *a, int64_t number); /* of the answer's token_logprob, nats */
void eh_ask_reset(eh_ask *a); /* forgets the requests, keeps the memory */
void eh_ask_clear(eh_ask *a);

#endif
