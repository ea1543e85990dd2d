/* A loop as its body sees it: what comes next, and how long it is. */
#include "jinja/interpreter.h"

int eh_jinja_loop_peek(eh_jinja *c, int64_t at, eh_jv_loop *loop)
{
    while (!loop->has_after && loop->next < loop->seq.n) {
        const eh_jv *item = &loop->seq.v[loop->next++];
        int rc = eh_jinja_step(c, at, 1, 0);
        if (rc == EH_OK)
            rc = loop->takes(c, loop, item, &loop->has_after);
        if (rc < 0)
            return rc;
        loop->after = *item;
    }
    return EH_OK;
}

int eh_jinja_loop_length(eh_jinja *c, int64_t at, eh_jv_loop *loop)
{
    if (loop->length >= 0)
        return EH_OK;
    int64_t kept = 0;
    for (int64_t k = loop->next; k < loop->seq.n; k++) {
        bool takes;
        int rc = eh_jinja_step(c, at, 1, 0);
        if (rc == EH_OK)
            rc = loop->takes(c, loop, &loop->seq.v[k], &takes);
        if (rc < 0)
            return rc;
        kept += takes;
    }
    loop->length = kept + loop->index0 + 1 + loop->has_after;
    return EH_OK;
}
