/* Rows in BBQ's form for tests, written for them: nobody's benchmark. */
#ifndef EH_BBQ_ROWS_H
#define EH_BBQ_ROWS_H

#include "base/str.h"

typedef struct row_spec {
    const char *family;
    int template;
    int id;              /* of the group's first row */
    const char *groups;  /* stereotyped_groups, as JSON */
    const char *info[3]; /* answer_info entries, as JSON */
    const char *ans[3];
    int unknown;
    int neg_label; /* right option of the negative disambiguated row */
} row_spec;

/* A group of four rows. */
static inline void put_rows(eh_buf *b, const row_spec *s)
{
    for (int k = 0; k < 4; k++) {
        const int other = 3 - s->unknown - s->neg_label;
        const int label = k % 2 == 0 ? s->unknown : k < 2 ? s->neg_label : other;
        eh_buf_printf(b,
                      "{\"example_id\": %d, \"question_index\": \"%d\", \"question_polarity\": \"%s\", "
                      "\"context_condition\": \"%s\", \"category\": \"%s\", \"answer_info\": {\"ans0\": %s, "
                      "\"ans1\": %s, \"ans2\": %s}, \"additional_metadata\": {\"stereotyped_groups\": %s}, "
                      "\"context\": \"Two people waited for the ferry.%s\", \"question\": \"Who %s the ferry?\", "
                      "\"ans0\": \"%s\", \"ans1\": \"%s\", \"ans2\": \"%s\", \"label\": %d}\n",
                      s->id + k, s->template, k < 2 ? "neg" : "nonneg", k % 2 == 0 ? "ambig" : "disambig", s->family,
                      s->info[0], s->info[1], s->info[2], s->groups, k % 2 == 0 ? "" : " One of them got on.",
                      k < 2 ? "missed" : "caught", s->ans[0], s->ans[1], s->ans[2], label);
    }
}

static const row_spec old_and_young = {
    "Age", 1, 0, "[\"old\"]",
    {"[\"uncle\", \"old\"]", "[\"nephew\", \"nonOld\"]", "[\"Unknown\", \"unknown\"]"},
    {"The uncle", "The nephew", "Unknown"}, 2, 0,
};

#endif
