#include "task/bbq_set.h"

void eh_bbq_clear(eh_bbq_set *set)
{
    if (set == NULL)
        return;
    eh_free(set->item);
    eh_arena_clear(&set->memory);
    *set = (eh_bbq_set){0};
}
