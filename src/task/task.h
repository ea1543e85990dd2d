/*
 * The table of benchmarks: what each is, under which licence, whose it is, where it is published,
 * which files are looked for, and in which direction it gets better. Help and the messages about
 * missing files are made from these rows.
 *
 *     const eh_task_info *t = eh_task_find("bbq");
 *     for (int64_t i = 0; i < eh_task_count; i++) puts(eh_task_table[i].what);
 */
#ifndef EH_TASK_TASK_H
#define EH_TASK_TASK_H

#include <stdint.h>

#include "base/err.h"

typedef enum eh_better {
    EH_BETTER_ZERO,   /* the nearer to 0, the better */
    EH_BETTER_FIFTY,  /* a percentage: the nearer to 50, the better */
    EH_BETTER_HIGHER,
    EH_BETTER_LOWER,
    EH_BETTER_NEITHER /* describes; does not judge */
} eh_better;

/* Where better lies: "0", "50", "higher", "lower" or "none". */
const char *eh_better_name(eh_better better);

typedef struct eh_task_info {
    const char *name;
    const char *what;      /* one line of help */
    const char *score;     /* its headline numbers */
    eh_better better;      /* of those */
    const char *licence;   /* of the data */
    const char *citation;  /* whose method */
    const char *published; /* where the data are to be had */
    const char *files;     /* what is looked for under --data DIR */
} eh_task_info;

extern const eh_task_info eh_task_table[];
extern const int64_t eh_task_count;

/* NULL where no row has that name. */
const eh_task_info *eh_task_find(const char *name);

/* Fails with EH_ENOENT and a sentence that says which file of the task is not there, where it was
 * looked for and where it is published. */
int eh_task_missing(const char *task, const char *file, const char *places, eh_err *err);

#endif
