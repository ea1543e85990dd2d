#include "text/chat.h"

#include "base/mem.h"
#include "jinja/jinja.h"

/* transformers hands these to a template, too. Here they are not known, so they are not undefined either. */
#define UNKNOWN(token) \
    {.name = EH_STR(token), .kind = EH_JINJA_REFUSED, .s = EH_STR("the special token '" token "' is not supported")}

/* One mapping a message, with its role and its content. */
static const eh_jinja_map *maps_of(eh_arena *arena, const eh_chat_message *msg, int64_t n)
{
    eh_jinja_map *map = eh_new_raw(arena, eh_jinja_map, n);
    eh_jinja_pair(*pair)[2] = eh_arena_raw(arena, n, (int64_t)sizeof *pair);
    if (map == NULL || pair == NULL)
        return NULL;
    for (int64_t k = 0; k < n; k++) {
        pair[k][0] = (eh_jinja_pair){EH_STR("role"), msg[k].role};
        pair[k][1] = (eh_jinja_pair){EH_STR("content"), msg[k].content};
        map[k] = (eh_jinja_map){pair[k], 2};
    }
    return map;
}

/* A special token of the model; without one the name is nobody's, and the template finds it undefined. */
static int64_t put_token(eh_jinja_var *var, int64_t n, eh_str name, eh_str token)
{
    if (token.p != NULL)
        var[n++] = (eh_jinja_var){.name = name, .kind = EH_JINJA_STR, .s = token};
    return n;
}

int eh_chat_render_at(eh_str tmpl, const eh_chat_message *msg, int64_t n, bool add_generation_prompt,
                      eh_str bos_token, eh_str eos_token, const struct tm *now, eh_buf *out, eh_err *err)
{
    eh_arena arena = {0};
    const eh_jinja_map *messages = maps_of(&arena, msg, n);
    int rc;
    if (messages == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for a chat of %lld messages", (long long)n);
    } else {
        eh_jinja_var var[12] = {
            UNKNOWN("unk_token"),
            UNKNOWN("sep_token"),
            UNKNOWN("pad_token"),
            UNKNOWN("cls_token"),
            UNKNOWN("mask_token"),
            UNKNOWN("additional_special_tokens"),
            {.name = EH_STR("messages"), .kind = EH_JINJA_MAPS, .maps = {messages, n}},
            {.name = EH_STR("tools"), .kind = EH_JINJA_NONE},
            {.name = EH_STR("documents"), .kind = EH_JINJA_NONE},
            {.name = EH_STR("add_generation_prompt"), .kind = EH_JINJA_BOOL, .b = add_generation_prompt},
        };
        int64_t n_var = 10;
        n_var = put_token(var, n_var, EH_STR("bos_token"), bos_token);
        n_var = put_token(var, n_var, EH_STR("eos_token"), eos_token);
        const eh_jinja_input in = {
            .var = var,
            .n_var = n_var,
            .now = now,
            .what = "chat template",
            .refusal = "the template refuses these messages",
        };
        rc = eh_jinja_render(tmpl, &in, out, err);
    }
    eh_arena_clear(&arena);
    return rc;
}

int eh_chat_render(eh_str tmpl, const eh_chat_message *msg, int64_t n, bool add_generation_prompt,
                   eh_str bos_token, eh_str eos_token, eh_buf *out, eh_err *err)
{
    return eh_chat_render_at(tmpl, msg, n, add_generation_prompt, bos_token, eos_token, NULL, out, err);
}
