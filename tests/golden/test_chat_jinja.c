/* Chat templates against Jinja itself, as transformers sets it up: tests/golden/chat/make.py. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "check.h"
#include "text/chat.h"

static const struct tm day = {.tm_year = 126, .tm_mon = 10, .tm_mday = 23, .tm_hour = 13, .tm_min = 5, .tm_sec = 9,
                              .tm_wday = 1, .tm_yday = 326};

static int render(const json_t *one, eh_buf *out, eh_err *err)
{
    const json_t *talk = json_object_get(one, "talk");
    eh_chat_message msg[8];
    const size_t n = json_array_size(talk);
    CHECK(n <= 8);
    for (size_t k = 0; k < n; k++) {
        msg[k].role = eh_json_text(json_array_get(json_array_get(talk, k), 0));
        msg[k].content = eh_json_text(json_array_get(json_array_get(talk, k), 1));
    }
    return eh_chat_render_at(eh_json_text(json_object_get(one, "template")), msg, (int64_t)n,
                             json_is_true(json_object_get(one, "prompt")), EH_STR("<s>"), EH_STR("</s>"), &day,
                             out, err);
}

/* Byte for byte the same text; and where Jinja raises an error, an error with its place. */
TEST(templates_render_as_jinja_renders_them)
{
    eh_err err = {0};
    json_t *cases = NULL;
    CHECK_OK(eh_json_file(repo_path("tests/golden/chat/cases.json"), 1 << 20, &cases, &err));
    CHECK(json_array_size(cases) > 200);
    int n_wrong = 0;
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *one = json_array_get(cases, k);
        const json_t *want = json_object_get(one, "out");
        eh_buf got = {0};
        const int rc = render(one, &got, &err);
        const bool right = json_is_null(want) ? rc < 0 && strstr(err.text, "line ") != NULL
                                              : rc == EH_OK && eh_str_eq(eh_buf_get(&got), eh_json_text(want));
        if (!right) {
            fprintf(stderr, "%s: %s\n  %s\n", json_string_value(json_object_get(one, "name")),
                    json_string_value(json_object_get(one, "template")), rc < 0 ? err.text : got.p);
            n_wrong++;
        }
        eh_buf_clear(&got);
    }
    json_decref(cases);
    CHECK_INT(n_wrong, 0);
}
