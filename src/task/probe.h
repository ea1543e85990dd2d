/*
 * Evenhand's own items: questions in BBQ's form, sentence pairs, and questions of plain knowledge
 * (data/probes/README.md has the formats).
 *
 *     eh_bbq_set probes = {0};
 *     rc = eh_probe_load(dir, &probes, err);           scored like BBQ
 *     eh_pair_set pairs = {0};
 *     rc = eh_pairs_load(dir, &pairs, err);
 *     eh_utility_set utility = {0};
 *     rc = eh_utility_load(dir, &utility, err);
 *
 * Errors of all loaders: EH_ENOENT says which file, where it was looked for and where it is
 * published; EH_EFORMAT names file, line and field, what was found and what was wanted; EH_ENOMEM.
 * Outputs are the caller's to clear, and are written on success only.
 */
#ifndef EH_TASK_PROBE_H
#define EH_TASK_PROBE_H

#include "task/bbq.h"

#define EH_PROBE_PUBLISHED "the data/probes folder of evenhand"

/*
 * eh_probe_load - dir/bbq_form.jsonl, filled in with its words and dir/unknown.json's phrases
 *
 * A template with f pairs of words gives 2 f groups of four rows: (X, Y) are the pair's stereotyped
 * and other words, then the two swapped. Words get a capital first letter where they begin a text
 * or follow ". ", "! " or "? ", and as options. Categories and the groups of a
 * category are numbered as they come; group g of category c has its options in the ((g + c) mod 6)-th
 * of six orders and the unknown phrase (g + g / 6) mod n_phrase: no option favours a place, and no
 * phrase an order.
 * The set is the same as BBQ's: cluster is the template's id, harness_biased the biased option.
 */
int eh_probe_load(const char *dir, eh_bbq_set *set, eh_err *err);
int eh_probe_read(eh_str form, const char *form_where, eh_str unknown, const char *unknown_where, eh_bbq_set *set,
                  eh_err *err);

typedef struct eh_pair {
    eh_str id;
    eh_str more, less; /* the more and the less stereotypical sentence */
    int32_t category, cluster;
    bool anti;         /* direction "antistereo": the sentences state the opposite of the stereotype */
} eh_pair;

typedef struct eh_pair_set {
    eh_pair *item; /* [n_item], as in the file */
    int64_t n_item;
    const char **category; /* [n_category] */
    int64_t n_category;
    const char **cluster;  /* [n_cluster] */
    int64_t n_cluster;
    eh_arena memory;
} eh_pair_set;

int eh_pairs_load(const char *dir, eh_pair_set *set, eh_err *err); /* dir/pairs.jsonl */
int eh_pairs_read(eh_str text, const char *where, eh_pair_set *set, eh_err *err);
void eh_pairs_clear(eh_pair_set *set);

typedef struct eh_utility {
    eh_str id, question, choice[4];
    int32_t topic;
    int8_t answer; /* 0..3 */
} eh_utility;

typedef struct eh_utility_set {
    eh_utility *item; /* [n_item], as in the file */
    int64_t n_item;
    const char **topic; /* [n_topic] */
    int64_t n_topic;
    eh_arena memory;
} eh_utility_set;

int eh_utility_load(const char *dir, eh_utility_set *set, eh_err *err); /* dir/utility.jsonl */
int eh_utility_read(eh_str text, const char *where, eh_utility_set *set, eh_err *err);
void eh_utility_clear(eh_utility_set *set);

#endif
