/*
 * From stretches of a text to positions of its tokens.
 *
 *     rc = eh_tokenizer_encode(t, prompt, flags, &ids, err);
 *     n_pos = eh_positions_of(&ids, span, n_span, shift, pos);        pos [n_span]
 */
#ifndef EH_TEXT_POSITIONS_H
#define EH_TEXT_POSITIONS_H

#include "base/range.h"
#include "text/tokenizer.h"

/*
 * The positions of the tokens that hold any byte of the spans: a token belongs if it overlaps, so one
 * with a leading blank belongs to its word. Tokens that stand for no byte (BOS) belong to none.
 *
 * in   ids     of the whole text, with offsets ascending
 *      span    [n] bytes of a part of the text that begins at its byte `shift`
 * out  pos     [n] merged, ascending
 * Returns how many ranges; 0 where no token overlaps.
 */
int64_t eh_positions_of(const eh_ids *ids, const eh_range *span, int64_t n, int64_t shift, eh_range *pos);

#endif
