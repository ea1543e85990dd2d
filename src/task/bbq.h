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

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "task/bbq_set.h"

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

#endif
