/*
 * Items of one's own: prompts with choices, one of them biased (docs/methods/items.md; docs/formats.md has
 * the fields).
 *
 *     eh_item_set set = {0};
 *     rc = eh_items_load("mine.jsonl", &set, err);
 *     set.item[i].prompt, set.item[i].choice[set.item[i].biased]
 *     eh_items_clear(&set);
 */
#ifndef EH_TASK_ITEMS_H
#define EH_TASK_ITEMS_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/range.h"
#include "base/str.h"

#define EH_ITEM_CHOICES 6   /* most choices of an item */
#define EH_ITEM_MENTIONS 64 /* most mentions in a prompt */

typedef struct eh_item {
    eh_str prompt;
    eh_str question; /* the prompt without its context; p NULL: not given */
    eh_str choice[EH_ITEM_CHOICES];
    int8_t n_choice;
    int8_t biased, other, unknown, answer; /* choices; -1: none. biased and other: both or neither */
    int32_t category, cluster, group;
    const eh_range *mention; /* [n_mention] bytes of the prompt: ascending, none touching another */
    int64_t n_mention;
} eh_item;

typedef struct eh_item_set {
    eh_item *item; /* [n_item], as in the file */
    int64_t n_item;
    const char **category; /* [n_category] "items" where the file names none */
    int64_t n_category;
    const char **cluster;  /* [n_cluster] */
    int64_t n_cluster;
    const char **group;    /* [n_group] "" where the file names none */
    int64_t n_group;
    eh_arena memory;
} eh_item_set;

/*
 * Errors   EH_ENOENT no such file; EH_EFORMAT file, line and field, what was found and what was wanted;
 *          EH_ENOMEM. The set is the caller's to clear, and is written on success only.
 */
int eh_items_load(const char *path, eh_item_set *set, eh_err *err);
int eh_items_read(eh_str text, const char *where, eh_item_set *set, eh_err *err);
void eh_items_clear(eh_item_set *set); /* NULL is fine */

#endif
