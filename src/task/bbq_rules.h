/*
 * Who is who among BBQ's answers: the rules that need the row alone. Private to the room.
 */
#ifndef EH_TASK_BBQ_RULES_H
#define EH_TASK_BBQ_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef struct eh_bbq_groups {
    eh_str family;
    int64_t template_number;
    bool neg;
    int unknown;
    eh_str option[3];
    eh_str word[3];  /* answer_info[i][0]: how the row calls the group */
    eh_str group[3]; /* answer_info[i][1]: which group it is */
    const eh_str *stereotyped; /* [n_stereotyped] */
    int64_t n_stereotyped;
} eh_bbq_groups;

/* The option that names the stereotyped group, by exact names; -1 when none or two do. */
int eh_bbq_stereotyped(const eh_bbq_groups *g);
/* Both groups are given by proper names. */
bool eh_bbq_by_name(const eh_bbq_groups *g);
/* The options that lm-evaluation-harness 0.4 counts as biased, a bit each. */
int eh_bbq_harness_biased(const eh_bbq_groups *g, uint8_t *bits, eh_err *err);

#endif
