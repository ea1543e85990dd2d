/*
 * Context and continuation to tokens, by the rule of lm-evaluation-harness (api/model.py,
 * TemplateLM._encode_pair and loglikelihood, 0.4.x):
 *
 * - blanks at the end of the context move to the start of the continuation;
 * - both are encoded together, without BOS, and cut at the length of the context encoded alone;
 * - an empty context is the prefix token (BOS; EOS if there is none); a continuation that starts
 *   with that token itself lends it as the context;
 * - what is longer than the model's context is cut on the left.
 */
#ifndef EH_TEXT_PAIR_H
#define EH_TEXT_PAIR_H

#include "text/tokenizer.h"

/* ids->id[*from..] is the continuation; 1 <= *from <= ids->n. prefix: the token for an empty context,
 * -1: the tokenizer's own. max_tok: most tokens to keep (context length + 1); 0: all.
 * Errors: EH_EINVAL an empty continuation, or no prefix token where one is needed. */
int eh_pair_encode(const eh_tokenizer *t, eh_str context, eh_str continuation, int32_t prefix, int64_t max_tok,
                   eh_ids *ids, int64_t *from, eh_err *err);

/* Bytes of s without the white space at its end, as Python's str.rstrip sees it. */
int64_t eh_str_rstrip(eh_str s);

#endif
