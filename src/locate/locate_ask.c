/* What the parts of locating share: an item's requests with what to look at in them, and notes. */
#include <stdarg.h>
#include <stdio.h>

#include "locate/locate.h"

int eh_locate_note(eh_head_map *l, eh_err *err, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    eh_buf_printf(&l->notes, "%s\n", text);
    return eh_buf_check(&l->notes, "the notes", err);
}

int eh_locate_ask(eh_head_map *l, int64_t i, eh_ask *ask, int64_t *number, eh_arena *arena, eh_look *look, eh_err *err)
{
    const int rc = l->task->row->ask(l->task, i, ask, number, err);
    return rc == EH_OK ? l->task->row->look(l->task, i, ask, number, arena, look, err) : rc;
}
