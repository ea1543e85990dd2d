#include "report/glossary.h"

#include <string.h>

/* What a term stands for, under each of its spellings; the first is its name. */
typedef struct glossary_term {
    const char *spellings; /* separated by ", " */
    const char *meaning;
} glossary_term;

static const glossary_term terms[] = {
    {"ablation, ablated, ablates", "Taking away what a head contributes, to see what changes without it."},
    {"attention head, head, heads",
     "A part of one of the model's layers that decides which earlier words to use; each layer has several."},
    {"entropy", "How widely a head spreads its attention, in nats; 0 is attention to a single word."},
    {"group_attention", "The share of a head's attention that goes to the words naming the groups."},
    {"half-map correlation",
     "How well the maps from two halves of the templates agree, before the correction for their being halves."},
    {"head_effect", "An estimate, from gradients, of how much ablating the head would weaken the biased answer."},
    {"head_relevance", "The same estimate by layer-wise relevance propagation."},
    {"inconclusive", "The data do not meet the conditions for a claim, which does not mean that nothing is there."},
    {"interval, intervals",
     "A range around an estimate; ranges made this way contain the true value in about the stated share of cases."},
    {"KL", "Kullback-Leibler divergence: how far the edited model's predictions are from the original's; 0 is equal."},
    {"log-ratio, log_ratio",
     "The logarithm of one choice's probability divided by the other's; 0 is even, 0.69 is twice as likely."},
    {"minimum detectable effect", "The size from which these questions would show a true change four times in five."},
    {"nats", "The unit of natural logarithms of probabilities: 0.69 nats is a factor of 2."},
    {"p", "The probability of a result at least this large by chance alone."},
    {"perplexity", "How badly the model predicts running text; lower is better."},
    {"position effect", "The share of answers that change when only the order of the options changes (position bias)."},
    {"q, Benjamini-Hochberg",
     "p corrected for many tests: of the findings with q up to 0.05, at most about one in twenty should be false."},
    {"rank correlation", "Whether two lists have the same order: 1 fully, 0 not at all, -1 the reverse."},
    {"reliability",
     "How well a map would agree with one from new templates, estimated from halves (Spearman-Brown); 1 is perfect."},
    {"template, templates",
     "A wording from which several questions are made; one template's questions are not independent of each other."},
    {"text_pmi", "Asking by the options' texts, each scored less what its words get without the question."},
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '/' || c == '.';
}

/* Whether text holds the word by itself. A term of more than one letter may begin a sentence: its first letter then
 * is a capital. "." and "/" keep the names of files and options out; a full stop behind a word is none of them. */
static bool holds_word(eh_str text, eh_str word)
{
    for (int64_t i = 0; i + word.n <= text.n; i++) {
        const char first = text.p[i], *rest = text.p + i + 1;
        const bool capital = word.n > 2 && word.p[0] >= 'a' && word.p[0] <= 'z' && first == word.p[0] - 'a' + 'A';
        if ((first != word.p[0] && !capital) || memcmp(rest, word.p + 1, (size_t)(word.n - 1)) != 0)
            continue;
        const int64_t end = i + word.n;
        const bool stop = end < text.n && text.p[end] == '.' && (end + 1 == text.n || !is_word(text.p[end + 1]));
        if ((i == 0 || !is_word(text.p[i - 1])) && (end == text.n || stop || !is_word(text.p[end])))
            return true;
    }
    return false;
}

static bool is_used(const glossary_term *t, eh_str text)
{
    for (const char *p = t->spellings; *p != '\0';) {
        const int64_t n = (int64_t)strcspn(p, ",");
        if (holds_word(text, (eh_str){p, n}))
            return true;
        p += n + (p[n] == ',' ? 2 : 0);
    }
    return false;
}

/* What a reader sees: of HTML neither tags nor the style sheet, of Markdown no backslashes. */
static eh_str plain_text(const eh_doc *d)
{
    const eh_str in = eh_buf_get(&d->b);
    char *out = eh_new_raw(&d->w->mem, char, in.n + 1);
    int64_t n = 0;
    bool tag = false;
    d->w->starved |= out == NULL;
    for (int64_t i = 0; out != NULL && i < in.n; i++) {
        const char c = in.p[i];
        if (d->html && c == '<') {
            const char *end = in.n - i > 7 && memcmp(in.p + i, "<style>", 7) == 0 ? strstr(in.p + i, "</style>") : NULL;
            if (end != NULL) /* a page that memory ran out on may end within it */
                i = end - in.p;
            tag = true;
            out[n++] = ' ';
        } else if (d->html && c == '>') {
            tag = false;
        } else if (!tag && (d->html || c != '\\')) {
            out[n++] = c;
        }
    }
    return (eh_str){out, n};
}

/* Row i is the first of its score, whatever the benchmark and category. */
static bool is_first_of_score(const eh_record *r, int64_t i)
{
    for (int64_t k = 0; k < i; k++)
        if (strcmp(r->row[k].score, r->row[i].score) == 0)
            return false;
    return true;
}

/* Scores are explained by the record, which has its benchmarks' own words for them. */
static void add_scores(eh_table *t, const eh_doc *d, const eh_record *r, eh_str text)
{
    for (int64_t i = 0; text.p != NULL && i < r->n_row; i++) {
        const eh_record_row *row = &r->row[i];
        const bool word = strspn(row->score, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
                          strlen(row->score); /* a record may call a score anything */
        if (row->words == NULL || !word || !is_first_of_score(r, i) || !holds_word(text, eh_str_of(row->score)))
            continue;
        eh_cell_text(t, row->score);
        eh_cell_text(t, eh_say(d->w, "A score: %s (%s).", row->words, row->unit));
    }
}

eh_table eh_glossary_of(const eh_doc *d, const eh_record *r)
{
    static const eh_column columns[] = {{NULL, "term", true}, {NULL, "what it means", true}};
    const eh_str text = plain_text(d);
    eh_table t = eh_table_of(d->w, columns, 2);
    for (size_t i = 0; text.p != NULL && i < sizeof terms / sizeof terms[0]; i++)
        if (is_used(&terms[i], text)) {
            eh_cell_text(&t, terms[i].spellings);
            eh_cell_text(&t, terms[i].meaning);
        }
    add_scores(&t, d, r, text);
    return t;
}
