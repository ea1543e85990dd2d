/*
 * BBQ, and what has its form: questions about two groups in groups of four rows (question negative
 * or not, context ambiguous or disambiguated), each with three options, one of them "unknown".
 *
 *     eh_bbq_set set = {0};
 *     rc = eh_bbq_load("DIR", NULL, 0, &set, err);      all categories that are there
 *     set.item[i].context, .question, .option[0..2], .label, .biased
 *     eh_bbq_clear(&set);
 *
 * Parrish et al., BBQ: A Hand-Built Bias Benchmark for Question Answering, Findings of ACL 2022.
 * docs/methods/bbq.md has the rules; task/bbq_prompt.h the prompts; task/bbq_score.h the scores.
 */
#ifndef EH_TASK_BBQ_H
#define EH_TASK_BBQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
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

#define EH_BBQ_PUBLISHED "https://github.com/nyu-mll/BBQ (data/*.jsonl, supplemental/additional_metadata.csv)"

/* The families of the published set. */
extern const char *const eh_bbq_families[];
extern const int64_t eh_bbq_n_family;

/*
 * eh_bbq_load - the questions of a folder
 *
 * Each family's rows are looked for as <Family>.jsonl and <Family>.jsonl.gz in DIR/bbq, DIR and
 * DIR/data, the metadata as additional_metadata.csv[.gz] there and in DIR/supplemental. Families
 * that are not there are passed over unless they are asked for.
 *
 * in   only     [n_only] families wanted; NULL: all that are there
 * out  set      the caller's to eh_bbq_clear; written on success only
 *
 * Biased answer   with metadata: their target_loc, as the authors score. Without, or where the
 *                 metadata leave a row out: the exact-group rule (docs/methods/bbq.md), which gives
 *                 the same answer as exact group names in 55,716 of 55,716 rows.
 * Names           with metadata: label_type. Without: by rule; same in 55,716 of 55,716 rows.
 * Errors          EH_ENOENT   says which file, where it was looked for, where it is published
 *                 EH_EINVAL   an unknown family was asked for
 *                 EH_EFORMAT  names file, line and field, what was found and what was wanted
 *                 EH_ENOMEM
 */
int eh_bbq_load(const char *dir, const char *const *only, int64_t n_only, eh_bbq_set *set, eh_err *err);

/* JSON Lines (or, for metadata, CSV) in memory. */
typedef struct eh_bbq_source {
    eh_str text;
    const char *where;  /* for messages */
    const char *family; /* every row must say this; NULL: any */
} eh_bbq_source;

/* The same from memory; meta may be NULL. */
int eh_bbq_read(const eh_bbq_source *file, int64_t n_file, const eh_bbq_source *meta, eh_bbq_set *set, eh_err *err);

void eh_bbq_clear(eh_bbq_set *set);

#endif
