/* Tokenised WikiText back to plain text, by the rules of lm-evaluation-harness'
 * tasks/wikitext/preprocess_wikitext.py (wikitext_detokenizer), in its order. */
#ifndef EH_TEXT_WIKITEXT_H
#define EH_TEXT_WIKITEXT_H

#include "base/str.h"

int eh_wikitext_detokenise(eh_str page, eh_buf *out, eh_err *err);

#endif
