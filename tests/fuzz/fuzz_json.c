/* Any bytes as JSON: refused with a sentence, or a value whose strings are UTF-8 and read back as themselves. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
    if (!what)
        abort();
}

static void look(const json_t *v)
{
    const char *key;
    json_t *inner;
    size_t i;
    eh_err err;
    if (json_is_string(v)) {
        eh_buf b = {0};
        json_t *again;
        for (int64_t at = 0; at < eh_json_text(v).n;) {
            const int len = eh_utf8_next(eh_json_text(v), at, NULL);
            must(len > 0);
            at += len;
        }
        eh_buf_json(&b, eh_json_text(v));
        must(eh_json_parse(eh_buf_get(&b), "again", &again, &err) == EH_OK);
        must(eh_str_eq(eh_json_text(again), eh_json_text(v)));
        json_decref(again);
        eh_buf_clear(&b);
    } else if (json_is_real(v)) {
        eh_buf b = {0};
        eh_buf_double(&b, json_real_value(v));
        must(strtod(eh_buf_get(&b).p, NULL) == json_real_value(v));
        eh_buf_clear(&b);
    }
    json_array_foreach(v, i, inner)
        look(inner);
    json_object_foreach((json_t *)(uintptr_t)v, key, inner) {
        int64_t n = 7;
        const int rc = eh_json_int(v, "input", key, 0, 100, &n, &err);
        must(rc == EH_OK ? n >= 0 && n <= 100 : n == 7 && err.text[0] != '\0');
        look(inner);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *v = NULL;
    eh_err err = {0};
    if (eh_json_parse((eh_str){(const char *)data, (int64_t)size}, "input", &v, &err) == EH_OK)
        look(v);
    else
        must(v == NULL && err.text[0] != '\0');
    json_decref(v);
    return 0;
}
