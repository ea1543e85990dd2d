/*
 * The benchmarks there are.
 *
 *     const eh_task *row = eh_task_find("bbq", NULL);
 *     for (int i = 0; (row = eh_task_at(i, NULL)) != NULL; i++) puts(row->about.what);
 *
 * `extra` are rows that the table does not have, NULL at the end (eh_audit_options.extra); NULL: none.
 */
#ifndef EH_TASK_BENCHMARKS_H
#define EH_TASK_BENCHMARKS_H

#include "task/task.h"

/* Row i, the extra ones after the table's; NULL after the last. */
const eh_task *eh_task_at(int i, const eh_task *const *extra);
/* NULL where no row has that name. */
const eh_task *eh_task_find(const char *name, const eh_task *const *extra);
/* The same; EH_EINVAL where there is none. */
int eh_task_named(const char *name, const eh_task *const *extra, const eh_task **row, eh_err *err);
/* The one that is asked unless another is named (evenhand/study.h). */
const eh_task *eh_task_initial(bool items_given);

#endif
