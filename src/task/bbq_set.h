/*
 * A set of BBQ's questions in memory: what the loader (bbq.h) and the builder behind it (bbq_build.h) hand over.
 *
 *     set.item[i].context, .question, .option[0..2], .label, .biased
 *     eh_bbq_clear(&set);
 */
#ifndef EH_TASK_BBQ_SET_H
#define EH_TASK_BBQ_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

typedef struct eh_bbq_item {
    eh_str context, question;
    eh_str option[3];
    eh_str word[3];          /* how the data call each option's group ("grandfather"); empty: not said */
    int64_t example_id;      /* unique in its family */
    int32_t family;          /* set->family: the category as it is filed */
    int32_t category;        /* set->category: the same, with proper-name items apart */
    int32_t cluster;         /* set->cluster: the question template */
    int64_t group;           /* 0..n_group-1, shared by the (up to four) rows of one item */
    bool neg;                /* question polarity: negative */
    bool disambig;           /* the context answers the question */
    bool by_name;            /* the groups are given by proper names */
    int8_t label;            /* the right option */
    int8_t unknown;          /* the "can't tell" option */
    int8_t stereotyped;      /* option that names the stereotyped group; -1: no single one */
    int8_t biased;           /* option whose choice shows the bias; -1: none, the row has no bias score */
    uint8_t harness_biased;  /* bit i: lm-evaluation-harness counts option i as biased */
} eh_bbq_item;

/* What loading found out about the data. */
typedef struct eh_bbq_report {
    int64_t n_biased;      /* rows with a biased answer */
    int64_t n_meta;        /* rows that the metadata speak of; 0: there are no metadata */
    int64_t n_meta_unused; /* rows of the metadata for questions that are not here */
    bool meta_turned;      /* target_loc named the stereotyped group in both polarities, and was turned */
    int64_t n_target_same, n_target_differ; /* metadata's biased answer against the exact-group rule */
    int64_t n_type_same, n_type_differ;     /* metadata's label_type against the rule for names */
} eh_bbq_report;

typedef struct eh_bbq_set {
    eh_bbq_item *item; /* [n_item], by family, then example_id: the rows of a group are neighbours */
    int64_t n_item;
    int64_t n_group;
    const char **family;   /* [n_family], e.g. "Race_ethnicity" */
    int64_t n_family;
    const char **category; /* [n_category], e.g. "Race_ethnicity", "Race_ethnicity (names)" */
    int64_t n_category;
    const char **cluster;  /* [n_cluster], e.g. "Race_ethnicity/26" */
    int64_t n_cluster;
    eh_bbq_report report;
    eh_arena memory; /* the texts and names */
} eh_bbq_set;

void eh_bbq_clear(eh_bbq_set *set); /* NULL is fine */

#endif
