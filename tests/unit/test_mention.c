/* Group mentions: found by hand, on all our probes, and on BBQ where it is there. */
#include "task/mention.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

static eh_err err;

static eh_bbq_item item_of(const char *context, const char *a, const char *b, const char *word_a, const char *word_b)
{
    return (eh_bbq_item){
        .context = eh_str_of(context),
        .option = {eh_str_of(a), EH_STR("Can't be determined"), eh_str_of(b)},
        .word = {eh_str_of(word_a), EH_STR("unknown"), eh_str_of(word_b)},
        .unknown = 1,
    };
}

/* The mentions as "0:grandson 2:grandfather". */
static const char *found(const eh_bbq_item *item, eh_mentions *m)
{
    static char text[1000];
    size_t n = 0;
    CHECK_OK(eh_mentions_find(item, m, &err));
    text[0] = '\0';
    for (int64_t k = 0; k < m->n; k++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%d:%.*s", k > 0 ? " " : "", m->option[k],
                              (int)(m->span[k].end - m->span[k].from), item->context.p + m->span[k].from);
    return text;
}

TEST(mentions_by_hand)
{
    eh_mentions m = {0};
    /* Whole words, whatever the case, all of them, whatever article stands before. */
    eh_bbq_item i = item_of("A grandson met his Grandfather. The grandsons of the grandfather left.", "The grandfather",
                            "The grandson", "", "");
    CHECK_STR(found(&i, &m), "2:grandson 0:Grandfather 0:grandfather");
    CHECK_INT(m.n_of[0], 2);
    CHECK_INT(m.n_of[1], 0);
    CHECK_INT(m.n_of[2], 1);
    CHECK_INT(m.rule[0], EH_MENTION_PHRASE);
    CHECK_INT(m.rule[1], EH_MENTION_NONE);
    /* Letters beyond ASCII have a case, too; punctuation ends a word. */
    i = item_of("\xc3\x89va's friend, \xc3\xa9va-Lou; Iv\xc3\xb3?", "\xc3\xa9va", "Iv\xc3\xb3", "", "");
    CHECK_STR(found(&i, &m), "0:\xc3\x89va 0:\xc3\xa9va 2:Iv\xc3\xb3");
    /* The word of the data, where the option's text is not there. */
    i = item_of("the rich part and the poor part", "rich people", "Poor people.", "rich", "poor");
    CHECK_STR(found(&i, &m), "0:rich 2:poor");
    CHECK_INT(m.rule[0], EH_MENTION_WORD);
    /* Parts: the last words before the first, the most of them; not what the other option has as well. */
    i = item_of("one with braces, a kind person, and Mary Smith; Mary", "The person with braces",
                "Mary Smith, the kind one", "", "");
    CHECK_STR(found(&i, &m), "0:with braces 2:Mary Smith");
    CHECK_INT(m.rule[2], EH_MENTION_PART);
    /* What lies in a longer mention of the other is the other's. */
    i = item_of("an old man and a man", "The man", "The old man", "", "");
    CHECK_STR(found(&i, &m), "2:old man 0:man");
    /* Both options need a mention of their own. */
    i = item_of("an African American boy and an African boy", "The African American student", "The African student",
                "African American", "African");
    CHECK_STR(found(&i, &m), "0:African American");
    CHECK_INT(m.n_of[2], 0);
    CHECK_INT(m.rule[2], EH_MENTION_NONE);
    eh_mentions_clear(&m);
}

TEST(texts_that_are_hardly_texts_are_searched_in_bounds)
{
    static const char *const odd[] = {"",  " ", "the ", "\xc3", "a\xff\xfe", "\x80\x80", "...", "a", "\xc3\xa9",
                                      " a a  a "};
    const int n = (int)(sizeof odd / sizeof *odd);
    eh_mentions m = {0};
    for (int c = 0; c < n; c++)
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n; b++) {
                const eh_bbq_item i = item_of(odd[c], odd[a], odd[b], odd[b], odd[c]);
                CHECK_OK(eh_mentions_find(&i, &m, &err));
                for (int64_t k = 0; k < m.n; k++)
                    CHECK(m.span[k].from >= 0 && m.span[k].from < m.span[k].end && m.span[k].end <= i.context.n);
                eh_range more, less;
                const eh_pair p = {.more = eh_str_of(odd[a]), .less = eh_str_of(odd[b])};
                eh_pair_difference(&p, &more, &less);
                CHECK(more.from >= 0 && more.from <= more.end && more.end <= p.more.n);
                CHECK(less.from >= 0 && less.from <= less.end && less.end <= p.less.n);
            }
    eh_mentions_clear(&m);
}

TEST(sentence_pairs_differ_where_they_do)
{
    static const struct {
        const char *more, *less, *want_more, *want_less;
    } row[] = {
        {"My sister left.", "My brother left.", "sister", "brother"},
        {"The woman ran.", "The man ran.", "woman", "man"},
        {"The boy ran.", "The boys ran.", "boy", "boys"},
        {"She said her dog ran.", "He said his dog ran.", "She said her", "He said his"},
        {"the old man", "the man", "old", ""},
        {"same", "same", "", ""},
        {"\xc3\xa9va sings", "\xc3\xa8va sings", "\xc3\xa9va", "\xc3\xa8va"},
        {"He left, sad", "He left; sad", ",", ";"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const eh_pair p = {.more = eh_str_of(row[i].more), .less = eh_str_of(row[i].less)};
        eh_range more, less;
        eh_pair_difference(&p, &more, &less);
        CHECK(eh_str_eq((eh_str){p.more.p + more.from, more.end - more.from}, eh_str_of(row[i].want_more)));
        CHECK(eh_str_eq((eh_str){p.less.p + less.from, less.end - less.from}, eh_str_of(row[i].want_less)));
    }
}

/* Shares of rows where both groups are found; prints them by rule. */
static double share_found(const eh_bbq_set *set, const char *name, int64_t family)
{
    eh_mentions m = {0};
    int64_t n = 0, both = 0, by[EH_MENTION_N_RULE] = {0};
    for (int64_t i = 0; i < set->n_item; i++) {
        const eh_bbq_item *item = &set->item[i];
        if (family >= 0 && item->family != family)
            continue;
        CHECK_OK(eh_mentions_find(item, &m, &err));
        n++;
        bool all = true;
        for (int k = 0; k < 3; k++)
            if (k != item->unknown) {
                by[m.rule[k]]++;
                all = all && m.n_of[k] > 0;
            }
        both += all;
    }
    eh_mentions_clear(&m);
    print_message("%-20s %6lld rows, both groups in %.2f %%; by phrase %lld, word %lld, part %lld, none %lld\n", name,
                  (long long)n, 100.0 * (double)both / (double)n, (long long)by[EH_MENTION_PHRASE],
                  (long long)by[EH_MENTION_WORD], (long long)by[EH_MENTION_PART], (long long)by[EH_MENTION_NONE]);
    return (double)both / (double)n;
}

TEST(both_groups_of_every_probe_are_found)
{
    eh_bbq_set set;
    CHECK_OK(eh_probe_load(repo_path("data/probes"), &set, &err));
    CHECK(share_found(&set, "probes", -1) == 1.0);
    eh_bbq_clear(&set);
    eh_pair_set pairs;
    CHECK_OK(eh_pairs_load(repo_path("data/probes"), &pairs, &err));
    for (int64_t i = 0; i < pairs.n_item; i++) {
        eh_range more, less;
        eh_pair_difference(&pairs.item[i], &more, &less);
        CHECK(more.from < more.end && less.from < less.end);
    }
    eh_pairs_clear(&pairs);
}

TEST(both_groups_of_nearly_all_of_bbq_are_found)
{
    if (shared_path("data/bbq/Age.jsonl.gz") == NULL)
        SKIP("needs ../shared/data/bbq");
    eh_bbq_set set;
    CHECK_OK(eh_bbq_load(shared_path("data/bbq"), NULL, 0, &set, &err));
    for (int64_t f = 0; f < set.n_family; f++)
        CHECK(share_found(&set, set.family[f], f) > 0.98);
    CHECK(share_found(&set, "all", -1) > 0.997);
    eh_bbq_clear(&set);
}
