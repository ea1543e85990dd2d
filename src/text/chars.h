/* Classes of characters, as the tokenizers of Hugging Face mean them. */
#ifndef EH_TEXT_CHARS_H
#define EH_TEXT_CHARS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

bool eh_char_is_space(int32_t c);   /* White_Space */
bool eh_char_is_number(int32_t c);  /* category N */
bool eh_char_is_word(int32_t c);    /* Alphabetic, marks, decimal digits, connectors: \w of Unicode's UTS 18 */
bool eh_char_is_mark(int32_t c);    /* category M */

/* What stands at the head of p: n > 0, a character of n bytes; n < 0, -n bytes that begin no
 * character (Unicode's "maximal subpart", for which a decoder puts one U+FFFD); 0, the beginning
 * of a character that is cut off at the end of p. p.n > 0. */
int eh_utf8_step(eh_str p);

#endif
