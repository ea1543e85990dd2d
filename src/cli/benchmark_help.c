/* What help says about benchmarks: from the library's rows, none of which is named here. */
#include <stdlib.h>
#include <string.h>

#include "command.h"

const eh_benchmark *cli_benchmark(const char *name)
{
    int n;
    const eh_benchmark *const *b = eh_benchmarks(&n);
    for (int i = 0; i < n; i++)
        if (strcmp(b[i]->name, name) == 0)
            return b[i];
    return NULL;
}

/* Text that grows; "" at first. */
static void append(char **text, const char *more)
{
    char *longer = cli_printf("%s%s", *text != NULL ? *text : "", more);
    free(*text);
    *text = longer;
}

/* ---- "probes (unless said), bbq (with --data), pairs" ------------------------------------------- */

typedef bool wanted(const eh_benchmark *b);

static bool any(const eh_benchmark *b)
{
    return b != NULL;
}

static bool locates(const eh_benchmark *b)
{
    return b->measure != NULL;
}

static bool judges(const eh_benchmark *b)
{
    return b->lowers != NULL && b->measure != NULL;
}

static bool trains(const eh_benchmark *b)
{
    return b->trains;
}

/* Those that are wanted, the one that is asked unless told otherwise first, with what they need. */
static char *list(wanted *is_wanted, const char *otherwise)
{
    int n, initial = 0;
    char *text = NULL;
    const eh_benchmark *const *b = eh_benchmarks(&n);
    while (initial < n - 1 && b[initial]->needs != EH_NEEDS_NOTHING)
        initial++;
    for (int k = 0; k < n; k++) {
        const int i = k == 0 ? initial : k <= initial ? k - 1 : k;
        if (!is_wanted(b[i]))
            continue;
        append(&text, text != NULL ? ", " : "");
        append(&text, b[i]->name);
        append(&text, k == 0                              ? otherwise
                      : b[i]->needs == EH_NEEDS_DATA  ? " (with --data)"
                      : b[i]->needs == EH_NEEDS_ITEMS ? " (with --items)"
                                                      : "");
    }
    return text;
}

char *cli_benchmarks_asked(void)
{
    return list(any, " (unless said)");
}

char *cli_benchmarks_located(void)
{
    return list(locates, " (unless said)");
}

char *cli_benchmarks_judging(void)
{
    return list(judges, " (unless said)");
}

char *cli_benchmarks_learnt(void)
{
    return list(trains, " (unless --examples or --text is given)");
}

/* ---- "ci_bias for bbq and probes, log_ratio for pairs" ------------------------------------------ */

typedef const char *part_of(const eh_benchmark *b); /* NULL: the benchmark has none */

static const char *measure_of(const eh_benchmark *b)
{
    return b->measure;
}

static const char *beside_of(const eh_benchmark *b)
{
    return judges(b) ? b->beside : NULL;
}

/* Benchmarks by what they have, those that have the same together. */
static char *grouped(part_of *part, const char *link)
{
    int n;
    char *text = NULL;
    const eh_benchmark *const *b = eh_benchmarks(&n);
    for (int i = 0; i < n; i++) {
        const char *const mine = part(b[i]);
        bool told = false;
        int left = 0;
        for (int k = 0; k < n && mine != NULL; k++) {
            const bool same = part(b[k]) != NULL && strcmp(part(b[k]), mine) == 0;
            told = told || (same && k < i);
            left += same;
        }
        if (mine == NULL || told)
            continue;
        append(&text, text != NULL ? "; " : "");
        append(&text, mine);
        append(&text, link);
        for (int k = i; k < n; k++)
            if (part(b[k]) != NULL && strcmp(part(b[k]), mine) == 0) {
                append(&text, k == i ? " " : left == 1 ? " and " : ", ");
                append(&text, b[k]->name);
                left--;
            }
    }
    return text;
}

char *cli_benchmark_measures(void)
{
    return grouped(measure_of, " for");
}

char *cli_benchmarks_beside(void)
{
    return grouped(beside_of, " beside");
}
