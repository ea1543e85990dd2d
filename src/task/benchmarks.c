#include "task/benchmarks.h"

#include <string.h>

/* One word a benchmark: task_<name>.c has its row, eh_task_<name>. The first that needs no download is what an audit
 * asks unless another is named. */
#define TASKS(X) \
    X(bbq)         \
    X(bbq_harness) \
    X(probes)      \
    X(pairs)       \
    X(utility)     \
    X(items)

#define DECLARED(name) extern const eh_task eh_task_##name;
#define ROW(name) &eh_task_##name,
#define ABOUT(name) &eh_task_##name.about,

TASKS(DECLARED)
static const eh_task *const rows[] = {TASKS(ROW)};
static const eh_benchmark *const abouts[] = {TASKS(ABOUT)};
#define N_ROW ((int)(sizeof rows / sizeof *rows))

const eh_benchmark *const *eh_benchmarks(int *n)
{
    *n = N_ROW;
    return abouts;
}

const eh_task *eh_task_at(int i, const eh_task *const *extra)
{
    if (i < N_ROW)
        return i >= 0 ? rows[i] : NULL;
    for (int k = N_ROW; extra != NULL && *extra != NULL; extra++, k++)
        if (k == i)
            return *extra;
    return NULL;
}

const eh_task *eh_task_find(const char *name, const eh_task *const *extra)
{
    const eh_task *row;
    for (int i = 0; (row = eh_task_at(i, extra)) != NULL; i++)
        if (strcmp(row->about.name, name) == 0)
            return row;
    return NULL;
}

int eh_task_named(const char *name, const eh_task *const *extra, const eh_task **row, eh_err *err)
{
    *row = eh_task_find(name, extra);
    return *row != NULL ? EH_OK : eh_fail(err, EH_EINVAL, "there is no benchmark \"%s\"", name);
}

const eh_task *eh_task_initial(bool items_given)
{
    const eh_benchmark_needs needs = items_given ? EH_NEEDS_ITEMS : EH_NEEDS_NOTHING;
    for (int i = 0; i < N_ROW; i++)
        if (rows[i]->about.needs == needs)
            return rows[i];
    return rows[0];
}
