/*
 * Chat templates: the text that a model was trained to see for a conversation, made by the Jinja
 * template that comes with its tokenizer, as the transformers library makes it.
 *
 *     eh_chat_message talk[] = {{EH_STR("user"), EH_STR("Hello!")}};
 *     eh_buf text = {0};
 *     rc = eh_chat_render(template, talk, 1, true, EH_STR("<s>"), EH_STR("</s>"), &text, err);
 *     eh_buf_clear(&text);
 *
 * docs/chat.md says what a template may do, and what it sees.
 */
#ifndef EH_TEXT_CHAT_H
#define EH_TEXT_CHAT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "base/str.h"

typedef struct eh_chat_message {
    eh_str role, content; /* UTF-8; a byte that is not counts as one character */
} eh_chat_message;

/*
 * eh_chat_render - the text that a model was trained to see for a conversation
 *
 * in   tmpl                   the template, at most 1 MiB
 *      msg                    [n], n may be 0
 *      add_generation_prompt  end with the words that open the model's answer
 *      bos_token, eos_token   as the template should write them; p == NULL: the model has none, and
 *                             the template finds the name undefined
 * out  out                    the text is appended, on success only; at most 1 MiB of it
 *
 * The template sees `tools` and `documents` as none, and no other variable than these. The names of
 * the other special tokens (pad_token, ...) are refused, since they are not known here.
 * Errors   EH_EINVAL  the template itself refuses the messages (raise_exception): its own words
 *          else as eh_jinja_render
 * Cost     bounded as a template is (jinja/jinja.h): 1e6 steps, 256 MiB of memory
 */
int eh_chat_render(eh_str tmpl, const eh_chat_message *msg, int64_t n, bool add_generation_prompt,
                   eh_str bos_token, eh_str eos_token, eh_buf *out, eh_err *err);

/* The same with the date that strftime_now() tells; now == NULL: the local time. A study that must
 * give the same prompt tomorrow passes its own (Llama 3's templates write the day into the prompt). */
int eh_chat_render_at(eh_str tmpl, const eh_chat_message *msg, int64_t n, bool add_generation_prompt,
                      eh_str bos_token, eh_str eos_token, const struct tm *now, eh_buf *out, eh_err *err);

#endif
