/*
 * A BBQ set in the making: rows are added in any order, then numbered. Private to the room; the
 * loaders of BBQ's files and of the probes both build through it.
 *
 *     eh_bbq_build b = {0};
 *     rc = eh_bbq_build_add(&b, &row, err);
 *     rc = eh_bbq_build_sort(&b, err);      refuses ids that come twice
 *     rc = eh_bbq_build_finish(&b, &set, err);      b is empty afterwards
 *   done:
 *     eh_bbq_build_drop(&b);
 */
#ifndef EH_TASK_BBQ_BUILD_H
#define EH_TASK_BBQ_BUILD_H

#include "base/err.h"
#include "task/bbq_set.h"

typedef struct eh_bbq_row {
    eh_bbq_item item; /* family, category, cluster and group are not yet filled */
    eh_str family, cluster;
} eh_bbq_row;

typedef struct eh_bbq_build {
    eh_bbq_row *row; /* [n] */
    int64_t n, room;
    eh_bbq_report report;
    eh_arena memory; /* texts of the rows */
} eh_bbq_build;

int eh_bbq_build_add(eh_bbq_build *b, const eh_bbq_row *row, eh_err *err);
/* By family, then example_id. EH_EFORMAT when a family has an example_id twice. */
int eh_bbq_build_sort(eh_bbq_build *b, eh_err *err);
int eh_bbq_build_finish(eh_bbq_build *b, eh_bbq_set *set, eh_err *err);
void eh_bbq_build_drop(eh_bbq_build *b);

#endif
