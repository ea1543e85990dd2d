#include "base/lines.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

int eh_lines_open(eh_lines *l, const char *path, eh_err *err)
{
    eh_map map;
    const int rc = eh_map_open(path, &map, err);
    if (rc == EH_OK)
        *l = (eh_lines){.text = {map.p, map.n}, .file = path, .map = map};
    return rc;
}

void eh_lines_close(eh_lines *l)
{
    if (l == NULL)
        return;
    eh_map_close(&l->map);
    l->text = (eh_str){"", 0};
    l->at = 0;
}

static bool is_blank(eh_str s)
{
    for (int64_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r')
            return false;
    return true;
}

/* Takes the next line off the text, whatever it holds; false at the end. */
static bool take(eh_lines *l, eh_str *line)
{
    const int64_t left = l->text.n - l->at;
    if (left <= 0)
        return false;
    const char *from = l->text.p + l->at, *end = memchr(from, '\n', (size_t)left);
    if (end == NULL && l->whole)
        return false;
    *line = (eh_str){from, end == NULL ? left : end - from};
    l->at += line->n + (end != NULL);
    l->number++;
    if (end != NULL && line->n > 0 && end[-1] == '\r')
        line->n--;
    return true;
}

int eh_lines_next(eh_lines *l, eh_str *line, eh_err *err)
{
    eh_str s;
    do
        if (!take(l, &s))
            return 0;
    while (l->skip_blank && is_blank(s));
    snprintf(l->where, sizeof l->where, "%.1050s: line %lld", l->file, (long long)l->number);
    if (l->limit > 0 && s.n > l->limit)
        return eh_fail(err, EH_EFORMAT, "%s: has %lld bytes; a row may have %lld", l->where, (long long)s.n,
                       (long long)l->limit);
    *line = s;
    return 1;
}

int eh_lines_json(eh_lines *l, json_t **object, eh_err *err)
{
    eh_str line;
    json_t *v;
    const int more = eh_lines_next(l, &line, err);
    if (more <= 0)
        return more;
    const int rc = eh_json_parse(line, l->where, &v, err);
    if (rc < 0)
        return rc;
    if (!json_is_object(v)) {
        const char *type = eh_json_type(v);
        json_decref(v);
        return eh_fail(err, EH_EFORMAT, "%s: is %s, wanted an object", l->where, type);
    }
    *object = v;
    return 1;
}
