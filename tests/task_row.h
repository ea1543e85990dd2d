/*
 * Is the row of a benchmark (task/task.h) whole?
 *
 *     char why[300];
 *     CHECK_STR(row_fault(&eh_task_mine, NULL, why), "");
 */
#ifndef TESTS_TASK_ROW_H
#define TESTS_TASK_ROW_H

#include <stdio.h>
#include <string.h>

#include "task/benchmarks.h"

static inline bool row_empty(const char *s)
{
    return s == NULL || *s == '\0';
}

/* A name stands in file names, on command lines and in lists parted by commas. */
static inline bool row_is_name(const char *s)
{
    return !row_empty(s) &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static inline const char *row_score_fault(const eh_benchmark_score *s)
{
    if (!row_is_name(s->name))
        return "a score has no name that can stand in a list";
    if (row_empty(s->words) || row_empty(s->unit) || row_empty(s->source))
        return "words, unit or source of a score are missing";
    if (s->words[strlen(s->words) - 1] == '.')
        return "the words of a score end with a full stop";
    if (!(s->low < s->high))
        return "the range of a score is empty";
    if ((unsigned)s->better >= EH_N_BETTER || (unsigned)s->kind >= EH_N_SCORE_KIND)
        return "better or kind of a score is none of the enum";
    if (s->kind == EH_SCORE_BIAS && s->better != EH_BETTER_ZERO && s->better != EH_BETTER_FIFTY)
        return "a score of bias has no unbiased point";
    if (s->kind == EH_SCORE_UTILITY && s->better != EH_BETTER_HIGHER && s->better != EH_BETTER_LOWER)
        return "a score of utility has no direction";
    if (s->better == EH_BETTER_FIFTY && (s->low < 0.0 || s->high < 50.0 || s->high > 100.0))
        return "a score whose best is 50 is no percentage";
    return NULL;
}

static inline const char *row_scores_fault(const eh_benchmark *b)
{
    int place[EH_HEADLINES + 1] = {0}, n_effect = 0, n_place = 0;
    if (b->score == NULL || b->n_score < 1 || b->n_score > EH_SHEET_SCORES)
        return "there are no scores, or more than a sheet holds";
    for (int i = 0; i < b->n_score; i++) {
        const eh_benchmark_score *s = &b->score[i];
        const char *fault = row_score_fault(s);
        if (fault != NULL)
            return fault;
        for (int k = 0; k < i; k++)
            if (strcmp(s->name, b->score[k].name) == 0)
                return "two scores have one name";
        if (s->headline < 0 || s->headline > EH_HEADLINES)
            return "a headline score has a place that there is not";
        place[s->headline]++;
        n_effect += s->kind == EH_SCORE_POSITION && s->better != EH_BETTER_NEITHER;
        n_place += s->kind == EH_SCORE_POSITION && s->better == EH_BETTER_NEITHER;
    }
    if (place[1] == 0)
        return "no score is the headline";
    for (int i = 1; i <= EH_HEADLINES; i++)
        if (place[i] > 1 || (i > 1 && place[i] > place[i - 1]))
            return "the headline scores are not numbered from 1";
    if (n_effect > 1 || (n_place > 0 && n_effect == 0))
        return "the scores of position are not one effect and its places";
    return NULL;
}

static inline const char *row_ways_fault(const eh_ways *w, bool answers)
{
    if (w == NULL)
        return NULL;
    if (w->n < 2 || w->initial < 0 || w->initial >= w->n || w->content < -1 || w->content >= w->n)
        return "a list of ways is no choice";
    for (int i = 0; i < w->n; i++) {
        if (!row_is_name(w->way[i]->name) || row_empty(w->way[i]->what))
            return "a way has no name or no words";
        if (eh_way_find(w, w->way[i]->name) != w->way[i])
            return "two ways have one name";
        if (w->way[i]->learnt != NULL && eh_way_find(w, w->way[i]->learnt) == NULL)
            return "a way is learnt as one that there is not";
    }
    if (answers && w->content >= 0 && w->way[w->content]->ordered)
        return "the way that goes by content shows options in an order";
    return NULL;
}

/* The name at the start of a comma list is a benchmark's, and so on. */
static inline bool row_all_known(const char *list, const eh_task *const *extra)
{
    for (const char *p = list; p != NULL && *p != '\0';) {
        char name[100];
        const size_t n = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        if (eh_task_find(name, extra) == NULL)
            return false;
        p += n + (p[n] == ',');
    }
    return true;
}

/* What is wrong with the row, in `why`; "" where nothing is. */
static inline const char *row_fault(const eh_task *row, const eh_task *const *extra, char why[300])
{
    const eh_benchmark *b = &row->about;
    const char *fault = NULL;
    const eh_benchmark_score *lowers = eh_task_score(row, b->lowers);
    if (!row_is_name(b->name))
        fault = "it has no name that can stand in a list";
    else if (row_empty(b->what) || row_empty(b->licence) || row_empty(b->source) || row_empty(b->published) ||
             row_empty(b->files))
        fault = "what it is, its licence, its source, where it is published or its files are missing";
    else if ((fault = row_scores_fault(b)) != NULL)
        ;
    else if (row->n_work < 0 || (row->n_work == 0 && b->needs != EH_NEEDS_ITEMS))
        fault = "it cites no work";
    else if (row->load == NULL || row->hash == NULL || row->ask == NULL || row->record == NULL || row->read == NULL ||
             row->sheet == NULL)
        fault = "one of load, hash, ask, record, read and sheet is missing";
    else if ((row->look != NULL) != (row->measure != NULL) || (row->look != NULL) != (b->measure != NULL))
        fault = "look, measure and the name of a measure are there together or not at all";
    else if (b->measure != NULL && eh_choice_find(EH_CHOICE_MEASURE, b->measure) == NULL)
        fault = "its measure is none of the measures";
    else if (b->lowers != NULL && (lowers == NULL || lowers->kind != EH_SCORE_BIAS || lowers->better != EH_BETTER_ZERO))
        fault = "what a run lowers is no score of bias whose best is 0";
    else if (b->trains != (row->example != NULL))
        fault = "it says that it trains and has no example, or the other way round";
    else if ((fault = row_ways_fault(row->answer, true)) == NULL)
        fault = row_ways_fault(row->orders, false);
    if (fault == NULL && !row_all_known(b->beside, extra))
        fault = "what is measured beside it is no benchmark";
    for (int i = 0; i < row->n_work && fault == NULL; i++)
        if (row_empty(row->work[i].used_for) || row_empty(row->work[i].work))
            fault = "a work that it cites, or what for, is missing";
    snprintf(why, 300, "%s%s%s", fault != NULL && b->name != NULL ? b->name : "", fault != NULL ? ": " : "",
             fault != NULL ? fault : "");
    return why;
}

#endif
