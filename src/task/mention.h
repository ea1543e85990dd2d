/*
 * Where a text speaks of the groups: byte spans.
 *
 *     eh_mentions found = {0};
 *     rc = eh_mentions_find(item, &found, err);
 *     found.n_of[i] == 0          option i is not mentioned in the context, as far as the rules can find
 *     found.span[k], found.option[k]
 *     eh_mentions_clear(&found);
 *
 * docs/methods/heads.md says by which rules, and how often each finds what on BBQ and on our probes.
 */
#ifndef EH_TASK_MENTION_H
#define EH_TASK_MENTION_H

#include "base/range.h"
#include "task/bbq.h"
#include "task/probe.h"

/* How an option was found. Rules are tried in this order, till one finds something. */
typedef enum eh_mention_rule {
    EH_MENTION_NONE,
    EH_MENTION_PHRASE, /* the option's text, without a leading article: "their grandfather" counts, too */
    EH_MENTION_WORD,   /* the word that the data give for the group */
    EH_MENTION_PART,   /* the most of the option's last words, or first words, that the context has */
    EH_MENTION_N_RULE
} eh_mention_rule;

extern const char *const eh_mention_rule_names[EH_MENTION_N_RULE];

typedef struct eh_mentions {
    eh_range *span; /* [n] bytes of item->context, ascending; none lies within another */
    int8_t *option; /* [n] whose */
    int64_t n;
    int64_t n_of[3];         /* spans of each option; 0 for the unknown one */
    eh_mention_rule rule[3];
    int64_t room;            /* private */
} eh_mentions;

/* All mentions of the two groups: letters' case does not matter, a mention begins and ends at word
 * boundaries. What by the last two rules would name the other option as well is no mention, nor is
 * what lies within a longer mention of the other. Replaces what `out` held; its memory is kept. */
int eh_mentions_find(const eh_bbq_item *item, eh_mentions *out, eh_err *err);
void eh_mentions_clear(eh_mentions *m);

/* The words in which the two sentences differ, from the first to the last; a span is empty where one
 * sentence only lacks what the other has. */
void eh_pair_difference(const eh_pair *pair, eh_range *more, eh_range *less);

#endif
