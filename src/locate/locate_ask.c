/* What the parts of locating share: an item's requests with what to look at in them. */
#include "locate/locate.h"

int eh_locate_ask(eh_head_map *l, int64_t i, eh_ask *ask, int64_t *number, eh_arena *arena, eh_look *look, eh_err *err)
{
    const int rc = l->task->row->ask(l->task, i, ask, number, err);
    return rc == EH_OK ? l->task->row->look(l->task, i, ask, number, arena, look, err) : rc;
}
