/*
 * Items from outside: the first byte says which reader gets the rest.
 *
 *     b rows of BBQ          m rows of BBQ, a line "---", metadata (CSV)
 *     f probe templates      n probe templates, a line "---", unknown phrases
 *     p pairs                u utility questions             c CSV
 *     i items of one's own
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "task/bbq_score.h"
#include "task/csv.h"
#include "task/items.h"
#include "task/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader lets through must be safe to use. */
static void use(eh_bbq_set *set)
{
    eh_err err;
    eh_buf b = {0};
    eh_bbq_answer *a = calloc((size_t)set->n_item + 1, sizeof *a);
    eh_estimate e[EH_BBQ_N_SCORE];
    for (int64_t i = 0; a != NULL && i < set->n_item; i++) {
        const eh_bbq_item *item = &set->item[i];
        const eh_bbq_harness h = eh_bbq_harness_of(item);
        if (item->label < 0 || item->label > 2 || item->unknown < 0 || item->unknown > 2 || item->biased < -1 ||
            item->biased > 2 || item->biased == item->unknown || item->stereotyped == item->unknown ||
            item->cluster < 0 || item->cluster >= set->n_cluster || item->category < 0 ||
            item->category >= set->n_category || h.option[0] == item->unknown)
            abort();
        eh_bbq_prompt_letters(item, eh_bbq_orders_table[1].order[1], true, &b, &err);
        eh_bbq_prompt_harness(item, &b, &err);
        a[i] = eh_bbq_answer_pick((int)(i % 3));
    }
    if (a != NULL && set->n_item > 0)
        eh_bbq_scores(set, a, EH_BBQ_ALL, &(eh_bootstrap_options){.n_resample = 3}, e, &err);
    free(a);
    eh_buf_clear(&b);
    eh_bbq_clear(set);
}

static void use_items(eh_item_set *set)
{
    for (int64_t i = 0; i < set->n_item; i++) {
        const eh_item *q = &set->item[i];
        const int n = q->n_choice;
        if (n < 2 || n > EH_ITEM_CHOICES || q->biased < -1 || q->biased >= n || q->other < -1 || q->other >= n ||
            q->unknown < -1 || q->unknown >= n || q->answer < -1 || q->answer >= n ||
            (q->biased < 0) != (q->other < 0) || (q->biased < 0 && q->answer < 0) ||
            (q->biased >= 0 && (q->biased == q->other || q->biased == q->unknown)) ||
            q->category < 0 || q->category >= set->n_category || q->cluster < 0 || q->cluster >= set->n_cluster ||
            q->group < 0 || q->group >= set->n_group || q->prompt.n < 1)
            abort();
        for (int64_t k = 0; k < q->n_mention; k++)
            if (q->mention[k].from < (k > 0 ? q->mention[k - 1].end + 1 : 0) ||
                q->mention[k].end <= q->mention[k].from || q->mention[k].end > q->prompt.n)
                abort();
    }
    eh_items_clear(set);
}

/* The text before and behind the first line "---". */
static eh_str cut(eh_str *text)
{
    for (int64_t i = 0; i + 5 <= text->n; i++)
        if (memcmp(text->p + i, "\n---\n", 5) == 0) {
            const eh_str rest = {text->p + i + 5, text->n - i - 5};
            text->n = i + 1;
            return rest;
        }
    return (eh_str){"", 0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    eh_err err;
    eh_str text = {(const char *)data + 1, (int64_t)size - 1};
    eh_bbq_set set = {0};
    switch (data[0]) {
    case 'b':
    case 'm': {
        const eh_str rest = data[0] == 'm' ? cut(&text) : (eh_str){"", 0};
        const eh_bbq_source meta = {rest, "meta", NULL};
        if (eh_bbq_read(&(eh_bbq_source){text, "rows", NULL}, 1, data[0] == 'm' ? &meta : NULL, &set, &err) == EH_OK)
            use(&set);
        break;
    }
    case 'f':
    case 'n': {
        const eh_str rest = data[0] == 'n' ? cut(&text) : EH_STR("{\"phrases\": [\"Not known\", \"Unclear\"]}");
        if (eh_probe_read(text, "form", rest, "unknown", &set, &err) == EH_OK)
            use(&set);
        break;
    }
    case 'p': {
        eh_pair_set pairs;
        if (eh_pairs_read(text, "pairs", &pairs, &err) == EH_OK)
            eh_pairs_clear(&pairs);
        break;
    }
    case 'u': {
        eh_utility_set utility;
        if (eh_utility_read(text, "utility", &utility, &err) == EH_OK)
            eh_utility_clear(&utility);
        break;
    }
    case 'i': {
        eh_item_set items;
        if (eh_items_read(text, "items", &items, &err) == EH_OK)
            use_items(&items);
        break;
    }
    case 'c': {
        eh_csv csv;
        if (eh_csv_open(&csv, text, "csv", &err) < 0)
            break;
        int64_t x, total = 0;
        while (eh_csv_next(&csv, &err) > 0)
            for (int64_t i = 0; i < csv.n_column; i++) {
                total += eh_csv_cell(&csv, i).n;
                eh_csv_int(&csv, i, -5, 5, &x, &err);
            }
        if (total > text.n)
            abort(); /* fields are never longer than what they came from */
        eh_csv_close(&csv);
        break;
    }
    default:
        break;
    }
    return 0;
}
