/*
 * Any bytes as lines; the first says with which options they are read (bit 0: blank lines passed over, bit 1: whole
 * lines alone, bits 2 up: the longest line). Lines lie in the text in their order, none is longer than the limit, and
 * what comes as an object is one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
    if (!what)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const eh_str text = {(const char *)data + 1, (int64_t)size - 1};
    const eh_lines options = {.text = text,
                              .file = "input",
                              .limit = data[0] >> 2,
                              .skip_blank = (data[0] & 1) != 0,
                              .whole = (data[0] & 2) != 0};
    eh_lines plain = options, objects = options;
    eh_err err = {0};
    eh_str line = {NULL, 0};
    json_t *o = NULL;
    const char *from = text.p;
    int64_t number = 0;
    for (;;) {
        const int more = eh_lines_next(&plain, &line, &err);
        if (more <= 0) {
            must(more == 0 || (more == EH_EFORMAT && strncmp(err.text, plain.where, strlen(plain.where)) == 0));
            break;
        }
        must(more == 1);
        must(line.p >= from && line.n >= 0 && line.p + line.n <= text.p + plain.at);
        must(line.n == 0 || memchr(line.p, '\n', (size_t)line.n) == NULL);
        must(options.limit == 0 || line.n <= options.limit);
        must(plain.number > number && plain.at <= text.n);
        from = text.p + plain.at;
        number = plain.number;
    }
    for (int more; (more = eh_lines_json(&objects, &o, &err)) != 0;) {
        if (more < 0) {
            must(err.text[0] != '\0');
            break;
        }
        must(json_is_object(o));
        json_decref(o);
    }
    return 0;
}
