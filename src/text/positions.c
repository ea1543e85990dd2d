#include "text/positions.h"

int64_t eh_positions_of(const eh_ids *ids, const eh_range *span, int64_t n, int64_t shift, eh_range *pos)
{
    for (int64_t k = 0; k < n; k++) {
        pos[k] = (eh_range){0};
        for (int64_t i = 0; i < ids->n; i++) {
            const bool holds_bytes = ids->start[i] < ids->end[i] && span[k].from < span[k].end;
            if (!holds_bytes || ids->end[i] <= span[k].from + shift || ids->start[i] >= span[k].end + shift)
                continue;
            if (pos[k].end == 0)
                pos[k].from = i;
            pos[k].end = i + 1;
        }
    }
    return eh_ranges_merge(pos, n);
}
