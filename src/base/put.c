#include "base/put.h"

#include "base/file.h"
#include "base/mem.h"

void eh_put_key(eh_buf *b, const char *key)
{
    eh_buf_json(b, eh_str_of(key));
    eh_buf_char(b, ':');
}

void eh_put_text(eh_buf *b, const char *key, const char *text)
{
    eh_put_key(b, key);
    if (text == NULL)
        eh_buf_str(b, EH_STR("null"));
    else
        eh_buf_json(b, eh_str_of(text));
    eh_buf_char(b, ',');
}

void eh_put_int(eh_buf *b, const char *key, int64_t x)
{
    eh_put_key(b, key);
    eh_buf_printf(b, "%lld,", (long long)x);
}

void eh_put_double(eh_buf *b, const char *key, double x)
{
    eh_put_key(b, key);
    eh_buf_double(b, x);
    eh_buf_char(b, ',');
}

void eh_put_bool(eh_buf *b, const char *key, bool x)
{
    eh_put_key(b, key);
    eh_buf_str(b, x ? EH_STR("true,") : EH_STR("false,"));
}

void eh_put_end(eh_buf *b, const char *close)
{
    int64_t n = b->n;
    while (n > 0 && b->p[n - 1] == '\n')
        n--;
    if (n > 0 && b->p[n - 1] == ',')
        b->n = n - 1;
    eh_buf_str(b, eh_str_of(close));
}

int eh_put_file(const char *dir, const char *name, const eh_buf *b, eh_err *err)
{
    int rc = eh_buf_check(b, name, err);
    char *path = rc < 0 ? NULL : eh_path_join(dir, name);
    if (rc == EH_OK && path == NULL)
        rc = eh_fail(err, EH_ENOMEM, "no memory for a path");
    if (rc == EH_OK)
        rc = eh_file_write(path, eh_buf_get(b), err);
    eh_free(path);
    return rc;
}
