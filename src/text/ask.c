#include "text/ask.h"

#include <string.h>
#include <time.h>

#include "text/chat.h"
#include "text/pair.h"

/* Templates that write the day into the prompt get this one, so that tomorrow asks the same: the
 * day that Llama 3's own template falls back to. */
static const struct tm the_day = {.tm_year = 2024 - 1900, .tm_mon = 6, .tm_mday = 26};

static int need_tokenizer(const eh_ask *a, eh_err *err)
{
    return a->who.tokenizer != NULL
               ? EH_OK
               : eh_fail(err, EH_ENOSUP, "this needs the model's tokenizer: %s", a->who.trouble);
}

/* The prompt as the model gets it: as it is, or as the user's message in a chat. */
static int wrap(const eh_ask *a, eh_str prompt, eh_buf *out, eh_err *err)
{
    if (!a->who.chat) {
        eh_buf_str(out, prompt);
        return eh_buf_check(out, "a prompt", err);
    }
    const eh_tokenizer *t = a->who.tokenizer;
    const eh_str tmpl = eh_tokenizer_chat_template(t);
    if (tmpl.n == 0)
        return eh_fail(err, EH_ENOSUP, "%s: brings no chat template", a->who.name);
    const eh_chat_message message = {EH_STR("user"), prompt};
    const eh_str none = {NULL, 0};
    const eh_str bos = eh_tokenizer_bos(t) >= 0 ? eh_tokenizer_token(t, eh_tokenizer_bos(t)) : none;
    const eh_str eos = eh_tokenizer_eos(t) >= 0 ? eh_tokenizer_token(t, eh_tokenizer_eos(t)) : none;
    return eh_chat_render_at(tmpl, &message, 1, true, bos, eos, &the_day, out, err);
}

/* A template writes BOS itself; a plain prompt gets what the model's policy adds. */
static unsigned flags(const eh_ask *a)
{
    return a->who.chat ? EH_ENCODE_SPECIAL : EH_ENCODE_SPECIAL | EH_ENCODE_DEFAULT;
}

/* Where the prompt begins in the text that was made of it (a template may have trimmed it: then -1). */
static int64_t find_prompt(eh_str text, eh_str prompt)
{
    for (int64_t at = text.n - prompt.n; at >= 0; at--) /* from the end: examples in a template come first */
        if (memcmp(text.p + at, prompt.p, (size_t)prompt.n) == 0)
            return at;
    return -1;
}

/* Takes a request over: tokens and room for answers are the arena's. */
static int add(eh_ask *a, const eh_ids *ids, int64_t prompt_at, int64_t from, const int32_t *cand, int64_t n_cand,
               int64_t *number, eh_err *err)
{
    const int32_t *tok = ids->id;
    const int64_t n_tok = ids->n;
    /* The last token of a continuation is scored and not asked: it does not go through the model. */
    const int64_t depth = n_cand > 0 || from == n_tok ? n_tok : n_tok - 1;
    if (depth > a->who.n_ctx) {
        *number = EH_ASK_TOO_LONG;
        return EH_OK;
    }
    if (a->n == a->room) {
        const int64_t room = a->room < 64 ? 64 : 2 * a->room;
        eh_request *r = eh_realloc(a->request, room, (int64_t)sizeof *r);
        if (r != NULL)
            a->request = r;
        eh_answer *w = r != NULL ? eh_realloc(a->answer, room, (int64_t)sizeof *w) : NULL;
        if (w == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for %lld requests", (long long)room);
        a->answer = w;
        eh_ask_place *p = a->places ? eh_realloc(a->place, room, (int64_t)sizeof *p) : NULL;
        if (a->places && p == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for %lld requests", (long long)room);
        a->place = p;
        a->room = room;
    }
    if (a->places) {
        int64_t *start = eh_new_raw(&a->arena, int64_t, n_tok), *end = eh_new_raw(&a->arena, int64_t, n_tok);
        if (start == NULL || end == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for the places of %lld tokens", (long long)n_tok);
        memcpy(start, ids->start, (size_t)n_tok * sizeof *start);
        memcpy(end, ids->end, (size_t)n_tok * sizeof *end);
        a->place[a->n] = (eh_ask_place){{.start = start, .end = end, .n = n_tok}, prompt_at};
    }
    int32_t *t = eh_new_raw(&a->arena, int32_t, n_tok);
    int32_t *c = eh_new_raw(&a->arena, int32_t, n_cand);
    float *tl = eh_new_raw(&a->arena, float, n_tok - from);
    float *cl = eh_new_raw(&a->arena, float, n_cand);
    if (t == NULL || c == NULL || tl == NULL || cl == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for a request of %lld tokens", (long long)n_tok);
    memcpy(t, tok, (size_t)n_tok * sizeof *t);
    if (n_cand > 0)
        memcpy(c, cand, (size_t)n_cand * sizeof *c);
    if (a->places)
        a->place[a->n].ids.id = t;
    a->request[a->n] = (eh_request){t, n_tok, from, c, n_cand};
    a->answer[a->n] = (eh_answer){tl, cl, false};
    *number = a->n++;
    return EH_OK;
}

int eh_ask_next(eh_ask *a, eh_str prompt, const int32_t *cand, int64_t n_cand, int64_t *number, eh_err *err)
{
    eh_buf text = {0};
    eh_ids ids = {0};
    int rc = need_tokenizer(a, err);
    if (rc == EH_OK)
        rc = wrap(a, prompt, &text, err);
    if (rc == EH_OK)
        rc = eh_tokenizer_encode(a->who.tokenizer, eh_buf_get(&text), flags(a), &ids, err);
    if (rc == EH_OK)
        rc = add(a, &ids, find_prompt(eh_buf_get(&text), prompt), ids.n, cand, n_cand, number, err);
    eh_ids_clear(&ids);
    eh_buf_clear(&text);
    return rc;
}

/* Prompt and answer encoded together, cut at the length of the prompt alone. */
static int together(const eh_ask *a, eh_str prompt, eh_str text, eh_ids *ids, int64_t *cut, int64_t *prompt_at,
                    eh_err *err)
{
    eh_buf b = {0};
    eh_ids alone = {0};
    int rc = need_tokenizer(a, err);
    if (rc == EH_OK)
        rc = wrap(a, prompt, &b, err);
    if (rc == EH_OK)
        rc = eh_tokenizer_encode(a->who.tokenizer, eh_buf_get(&b), flags(a), &alone, err);
    if (rc == EH_OK) {
        *prompt_at = find_prompt(eh_buf_get(&b), prompt);
        if (!a->who.chat)
            eh_buf_char(&b, ' ');
        eh_buf_str(&b, text);
        rc = eh_buf_check(&b, "a prompt", err);
    }
    if (rc == EH_OK)
        rc = eh_tokenizer_encode(a->who.tokenizer, eh_buf_get(&b), flags(a), ids, err);
    if (rc == EH_OK && alone.n >= ids->n)
        rc = eh_fail(err, EH_EINVAL, "the answer \"%.*s\" adds no token to its prompt",
                     (int)(text.n < 99 ? text.n : 99),
                     text.p);
    *cut = alone.n;
    eh_ids_clear(&alone);
    eh_buf_clear(&b);
    return rc;
}

int eh_ask_text(eh_ask *a, eh_str prompt, eh_str text, int64_t *number, eh_err *err)
{
    eh_ids ids = {0};
    int64_t cut = 0, at = -1;
    int rc = together(a, prompt, text, &ids, &cut, &at, err);
    if (rc == EH_OK)
        rc = add(a, &ids, at, cut, NULL, 0, number, err);
    eh_ids_clear(&ids);
    return rc;
}

int eh_ask_first_token(eh_ask *a, eh_str prompt, eh_str text, int32_t *id, eh_err *err)
{
    eh_ids ids = {0};
    int64_t cut = 0, at = -1;
    const int rc = together(a, prompt, text, &ids, &cut, &at, err);
    if (rc == EH_OK)
        *id = ids.id[cut];
    eh_ids_clear(&ids);
    return rc;
}

int eh_ask_pair(eh_ask *a, eh_str context, eh_str continuation, int64_t *number, eh_err *err)
{
    eh_ids ids = {0};
    int64_t from = 0;
    int rc = need_tokenizer(a, err);
    if (rc == EH_OK)
        rc = eh_pair_encode(a->who.tokenizer, context, continuation, -1, a->who.n_ctx + 1, &ids, &from, err);
    if (rc == EH_OK)
        rc = add(a, &ids, 0, from, NULL, 0, number, err);
    eh_ids_clear(&ids);
    return rc;
}

int eh_ask_whole(eh_ask *a, int64_t of, int64_t *number, eh_err *err)
{
    const eh_ids ids = a->places ? a->place[of].ids
                                 : (eh_ids){.id = (int32_t *)(uintptr_t)a->request[of].tok, .n = a->request[of].n_tok};
    return add(a, &ids, a->places ? a->place[of].prompt_at : -1, ids.n, NULL, 0, number, err);
}

double eh_ask_sum(const eh_ask *a, int64_t number)
{
    double sum = 0.0;
    for (int64_t i = 0; i < a->request[number].n_tok - a->request[number].from; i++)
        sum += (double)a->answer[number].token_logprob[i];
    return sum;
}

void eh_ask_reset(eh_ask *a)
{
    a->n = 0;
    eh_arena_clear(&a->arena);
}

void eh_ask_clear(eh_ask *a)
{
    eh_ask_reset(a);
    eh_free(a->request);
    eh_free(a->answer);
    eh_free(a->place);
    a->place = NULL;
    a->request = NULL;
    a->answer = NULL;
    a->room = 0;
}
