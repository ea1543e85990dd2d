/* The input is a chat template; the conversation is always the same. */
#include <stddef.h>
#include <stdint.h>

#include "text/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const eh_chat_message talk[] = {
        {EH_STR("system"), EH_STR("Be brief.\n")},
        {EH_STR("user"), EH_STR("  Gr\xC3\xBC\xC3\x9F \"dich\" \xFF\xE6\x97 {{ x }}")},
        {EH_STR("assistant"), EH_STR("<think>\nhm\n</think>\n\nHello, 12.5")},
        {EH_STR("user"), EH_STR("")},
    };
    const struct tm day = {.tm_year = 126, .tm_mday = 1, .tm_wday = 4};
    eh_buf out = {0};
    eh_err err;
    eh_chat_render_at((eh_str){(const char *)data, (int64_t)size}, talk, 4, true, EH_STR("<s>"), EH_STR("</s>"),
                      &day, &out, &err);
    eh_buf_clear(&out);
    return 0;
}
