#include "report/page.h"

#include <math.h>
#include <string.h>

#include "report/cite.h"
#include "report/figures.h"
#include "report/glossary.h"
#include "report/tables.h"

static void put(eh_doc *d, const char *html)
{
    eh_buf_str(&d->b, eh_str_of(html));
}

static void put_text(eh_doc *d, const char *text)
{
    (d->html ? eh_put_html : eh_put_markdown)(&d->b, text);
}

/* The last part of a path, without the endings that say only that it is a model. */
static const char *model_name(const eh_record *r, eh_words *w)
{
    const char *path = r->model.path == NULL ? "" : r->model.path;
    int64_t n = (int64_t)strlen(path), from;
    while (n > 1 && path[n - 1] == '/')
        n--;
    for (from = n; from > 0 && path[from - 1] != '/';)
        from--;
    if (n - from > 5 && memcmp(path + n - 5, ".gguf", 5) == 0)
        n -= 5;
    return n - from > 0 ? eh_say(w, "%.*s", (int)(n - from), path + from) : "a model";
}

/* ---- The head of the page ---------------------------------------- */

static const char *model_line(const eh_record *r, eh_words *w)
{
    const char *s = r->model.family == NULL ? "" : r->model.family;
    if (r->model.n_param > 0)
        s = eh_say(w, "%s%s%s parameters", s, s[0] == '\0' ? "" : ", ", eh_count(w, r->model.n_param));
    if (r->model.n_layer > 0 && r->model.n_head > 0)
        s = eh_say(w, "%s%s%s layers of %s heads", s, s[0] == '\0' ? "" : ", ", eh_count(w, r->model.n_layer),
                   eh_count(w, r->model.n_head));
    if (r->model.dtype != NULL)
        s = eh_say(w, "%s%s%s", s, s[0] == '\0' ? "" : ", ", r->model.dtype);
    if (r->model.precision != NULL)
        s = eh_say(w, "%s%scomputed in %s", s, s[0] == '\0' ? "" : ", ", r->model.precision);
    return s;
}

typedef struct part {
    const char *id, *title;
    bool is_there;
} part;

static void put_head(eh_doc *d, const eh_record *r, const part *parts, int n)
{
    const char *name = model_name(r, d->w);
    if (!d->html) {
        put(d, "# How even-handed is ");
        put_text(d, name);
        put(d, "?\n\n");
        eh_doc_paragraph(d, model_line(r, d->w));
        return;
    }
    put(d, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
           "<meta name=\"generator\" content=\"evenhand\">\n<title>");
    put_text(d, eh_say(d->w, "How even-handed is %s?", name));
    put(d, "</title>\n<style>\n");
    put(d, eh_page_style);
    put(d, "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#verdict\">To the verdict</a>\n<header>\n"
           "<p class=\"brand\">evenhand report</p>\n<h1>");
    put_text(d, eh_say(d->w, "How even-handed is %s?", name));
    put(d, "</h1>\n<p class=\"sub\">");
    put_text(d, model_line(r, d->w));
    put(d, "</p>\n<nav aria-label=\"Parts of this report\"><ul>\n");
    for (int i = 0; i < n; i++)
        if (parts[i].is_there)
            eh_buf_printf(&d->b, "<li><a href=\"#%s\">%s</a></li>\n", parts[i].id, parts[i].title);
    put(d, "</ul></nav>\n</header>\n<main>\n");
}

/* ---- Verdict ---------------------------------------- */

static void put_sentences(eh_doc *d, const eh_findings *f)
{
    static const char *const classes[] = {
        [EH_SAID_WORSE] = "worse",     [EH_SAID_CAUTION] = "caution",  [EH_SAID_BETTER] = "better",
        [EH_SAID_CONTROL] = "control", [EH_SAID_NOTHING] = "control",  [EH_SAID_INCONCLUSIVE] = "inconclusive",
        [EH_SAID_COST] = "control",    [EH_SAID_MEASURED] = "control",
    };
    if (d->html)
        put(d, "<ul class=\"said\">\n");
    for (int64_t i = 0; i < f->n; i++) {
        const eh_sentence *s = &f->sentence[i];
        const bool first = i == 0 || s[-1].kind != s->kind, last = i + 1 == f->n || s[1].kind != s->kind;
        if (d->html && first)
            eh_buf_printf(&d->b, "<li class=\"%s\"><strong>%s</strong><div>", classes[s->kind], s->label);
        if (d->html)
            put(d, "<p>");
        else
            eh_buf_printf(&d->b, "- **%s.** ", s->label);
        put_text(d, s->text);
        put(d, d->html ? "</p>" : "\n");
        if (d->html && last)
            put(d, "</div></li>\n");
    }
    put(d, d->html ? "</ul>\n" : "\n");
}

static void put_tile(eh_doc *d, const char *name, const char *value, const char *more)
{
    put(d, d->html ? "<div><dt>" : "- ");
    put_text(d, name);
    put(d, d->html ? "</dt><dd><b>" : ": **");
    put_text(d, value);
    put(d, d->html ? "</b> <span>" : "** (");
    put_text(d, more);
    put(d, d->html ? "</span></dd></div>\n" : ")\n");
}

static void put_row_tile(eh_doc *d, const eh_record *r, const eh_record_row *row)
{
    eh_words *w = d->w;
    const char *words = row->words;
    const char *name = words == NULL ? eh_row_name(w, row) : eh_say(w, "%s (%s)", words, row->score);
    if (!row->has_after) {
        const int b = eh_decimals(row->before.value, row->before.low, row->before.high);
        put_tile(d, name, eh_fixed(w, row->before.value, b),
                 isnan(row->before.low + row->before.high)
                     ? "no interval"
                     : eh_say(w, "%s interval %s to %s", eh_percent(w, r->confidence), eh_fixed(w, row->before.low, b),
                              eh_fixed(w, row->before.high, b)));
        return;
    }
    const int v = eh_decimals(row->before.value, row->after.value, NAN);
    put_tile(d, name,
             eh_say(w, "%s \xE2\x86\x92 %s", eh_fixed(w, row->before.value, v), eh_fixed(w, row->after.value, v)),
             isnan(row->difference.low + row->difference.high)
                 ? "no interval"
                 : eh_say(w, "change %s to %s: %s", eh_signed(w, row->difference.low, v),
                          eh_signed(w, row->difference.high, v), eh_move_words(eh_move_of(row, r->fdr))));
}

/* Up to two bias scores and one of utility, then fluency and controls. */
static void put_tiles(eh_doc *d, const eh_record *r)
{
    int n_bias = 0, n_utility = 0, n = 0;
    int64_t n_draw, as_low;
    double p;
    const eh_standing standing = eh_standing_of(r, &n_draw, &as_low, &p);
    const bool has_text = !isnan(r->text.before) && !isnan(r->text.after);
    for (int round = 0; round < 2; round++) /* targeted first */
        for (int64_t i = 0; i < r->n_row; i++) {
            const eh_record_row *row = &r->row[i];
            int *of_kind = row->kind == EH_SCORE_BIAS ? &n_bias : &n_utility;
            if (eh_row_is(row, EH_SCORE_OTHER) || row->better == EH_BETTER_NEITHER || !eh_is_total(row) ||
                isnan(row->before.value) || row->targeted != (round == 0) ||
                *of_kind >= (row->kind == EH_SCORE_BIAS ? 2 : 1))
                continue;
            if (n++ == 0)
                put(d, d->html ? "<dl class=\"tiles\">\n" : "");
            ++*of_kind;
            put_row_tile(d, r, row);
        }
    if (n == 0)
        return;
    if (has_text)
        put_tile(d, "perplexity",
                 eh_say(d->w, "%s \xE2\x86\x92 %s", eh_number(d->w, r->text.before), eh_number(d->w, r->text.after)),
                 "one text, no interval");
    if (standing != EH_STANDING_NONE)
        put_tile(d, "random edits that left as little bias",
                 eh_say(d->w, "%s of %s", eh_count(d->w, as_low), eh_count(d->w, n_draw)),
                 eh_say(d->w, "p\xC2\xA0%s", eh_chance(d->w, p)));
    put(d, d->html ? "</dl>\n" : "\n");
}

static void put_verdict(eh_doc *d, const eh_record *r, const eh_findings *f)
{
    eh_doc_section(d, "verdict", "Verdict");
    put(d, d->html ? "<p class=\"lead\">" : "**");
    put_text(d, f->headline);
    put(d, d->html ? "</p>\n" : "**\n\n");
    put_tiles(d, r);
    put_sentences(d, f);
    if (r->n_note > 0) {
        eh_doc_heading(d, "Notes of the run");
        eh_doc_items(d, r->note, r->n_note);
    }
}

/* ---- The other parts ---------------------------------------- */

static int64_t rows_of_kind(const eh_record *r, eh_score_kind kind)
{
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_row; i++)
        n += eh_row_is(&r->row[i], kind);
    return n;
}

static void put_bias(eh_doc *d, const eh_record *r)
{
    const bool edited = eh_record_is_edited(r);
    eh_doc_section(d, "bias", edited ? "Bias before and after" : "Bias");
    eh_figures_scores(d, r, EH_SCORE_BIAS, "forest");
    eh_figure_position(d, r);
}

static void put_where(eh_doc *d, const eh_record *r)
{
    eh_words *w = d->w;
    eh_doc_section(d, "where", "Where it lives");
    if (r->locate.given) {
        const char *s = r->locate.found ? eh_say(w, "%s of %s heads were selected.", eh_count(w, r->locate.n_selected),
                                                 eh_count(w, r->model.n_layer * r->model.n_head))
                                        : "No head was selected.";
        if (r->locate.found && r->locate.n_selected == 0)
            s = "The record does not name the selected heads.";
        if (!isnan(r->locate.split_half))
            s = eh_say(w, "%s The reliability of the map, from halves of its templates, is %s%s%s.", s,
                       eh_fixed(w, r->locate.split_half, 2),
                       isnan(r->locate.low + r->locate.high)
                           ? ""
                           : eh_say(w, " (%s to %s, depending on how they are split)",
                                    eh_fixed(w, r->locate.low, 2), eh_fixed(w, r->locate.high, 2)),
                       r->locate.split_half < EH_RELIABILITY_LIMIT ? ", which is noise"
                                                                   : "; 1 is perfect, below 0.3 is noise");
        if (!isnan(r->locate.half_map_correlation))
            s = eh_say(w, "%s The half-map correlation is %s.", s, eh_fixed(w, r->locate.half_map_correlation, 2));
        eh_doc_paragraph(d, s);
        if (!r->locate.found && r->locate.why != NULL)
            eh_doc_paragraph(d, r->locate.why);
    }
    eh_figures_heads(d, r);
    eh_figure_layers(d, r);
    eh_figure_confirmation(d, r);
    const eh_table t = eh_figure_table_of("selected", r, w);
    if (eh_table_rows(&t) > 0) {
        eh_doc_heading(d, "The selected heads");
        eh_doc_table(d, "Score: as in the map above. Strength: 0 leaves a head as it is, 1 ablates it", &t);
    }
}

static void put_edit(eh_doc *d, const eh_record *r)
{
    eh_doc_section(d, "edit", "The edit");
    if (r->recipe != NULL)
        eh_doc_paragraph(d, eh_say(d->w,
                                   "The edit is kept as a recipe in %s; \"evenhand edit MODEL --recipe %s -o FOLDER\" "
                                   "applies it to the model.",
                                   r->recipe, r->recipe));
    if (r->search.rule != NULL)
        eh_doc_paragraph(d, eh_say(d->w, "How it was chosen: %s", r->search.rule));
    eh_figure_search(d, r);
    eh_figure_tune(d, r);
    if (r->n_step == 0 && r->tune_note != NULL)
        eh_doc_paragraph(d, r->tune_note);
}

static void put_damage(eh_doc *d, const eh_record *r)
{
    eh_doc_section(d, "cost", eh_record_is_edited(r) ? "What it cost" : "What the model can do");
    eh_figures_scores(d, r, EH_SCORE_UTILITY, "utility");
    const eh_table t = eh_figure_table_of("text", r, d->w);
    if (eh_table_rows(&t) > 0) {
        eh_doc_heading(d, "Fluency, and distance to the original");
        eh_doc_table(d, "On running text: next-token predictions of the edited model, compared with the original", &t);
    }
    const eh_table other = eh_figure_table_of("other", r, d->w);
    if (eh_table_rows(&other) > 0) {
        eh_doc_heading(d, "Other measurements");
        eh_doc_table(d, "Scores that measure neither bias nor utility", &other);
    }
}

static void put_controls(eh_doc *d, const eh_record *r)
{
    int64_t n, as_low;
    double p;
    eh_doc_section(d, "controls", "Would any edit have done it?");
    const eh_standing s = eh_standing_of(r, &n, &as_low, &p);
    if (s == EH_STANDING_NONE)
        eh_doc_paragraph(d, "The edit was not compared with random edits.");
    else
        eh_doc_paragraph(d, eh_say(d->w, "Of %s edits of random heads, %s left as little bias or less: p\xC2\xA0%s%s",
                                   eh_count(d->w, n), as_low == 0 ? "none" : eh_count(d->w, as_low), eh_chance(d->w, p),
                                   s == EH_STANDING_TOO_FEW ? ", the smallest value that so few can give." : "."));
    eh_figure_controls(d, r);
}

static void put_method(eh_doc *d, const eh_record *r)
{
    eh_words *w = d->w;
    eh_doc_section(d, "method", "Method");
    if (r->splits.given) {
        static const eh_column columns[] = {
            {NULL, "split", true}, {NULL, "what it is for", true}, {NULL, "items", false}, {NULL, "templates", false}};
        static const char *const names[] = {"select", "tune", "test"};
        static const char *const uses[] = {"finding the heads", "choosing the strength, training",
                                           "the scores of this report"};
        eh_table t = eh_table_of(w, columns, 4);
        for (int i = 0; i < 3; i++) {
            eh_cell_text(&t, names[i]);
            eh_cell_text(&t, uses[i]);
            eh_cell_count(&t, r->splits.items[i]);
            eh_cell_count(&t, r->splits.templates[i]);
        }
        eh_doc_paragraph(d, r->splits.mixed
                                ? "The splits were mixed on request: the same questions chose and judged."
                                : "Questions are split by template: no wording both picks a head and judges the edit.");
        eh_doc_table(d, "The three splits", &t);
    }
    eh_doc_paragraph(d,
                     eh_say(w,
                            "Intervals are %s confidence intervals. They treat each question template as one "
                            "independent observation, not each question.",
                            eh_percent(w, r->confidence)));
    if (eh_record_is_edited(r))
        eh_doc_paragraph(
            d,
            eh_say(w,
                   "Changes are paired: the same questions before and after. A change is called better or worse only "
                   "if its interval excludes no change and its q is at most %s. The q is the p-value corrected for "
                   "multiple tests (Benjamini-Hochberg): over the categories of one score, and for scores over all "
                   "categories, over all of those. For scores that are best at 0 or 50, the model must also lean "
                   "before the edit (better) or after it (worse), and better must not be a lean to the other side. "
                   "Everything else is inconclusive. Where many scores are compared, a few such changes are due to "
                   "chance.",
                   eh_fixed(w, r->fdr, r->fdr < 0.01 ? 4 : 2)));
    eh_doc_heading(d, "References");
    int64_t n;
    const char *const *items = eh_cited(r, w, &n);
    if (items != NULL)
        eh_doc_items(d, items, n);
}

static void add_fact(eh_table *t, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    eh_cell_text(t, name);
    eh_cell_text(t, value);
}

static void put_reproduce(eh_doc *d, const eh_record *r)
{
    static const eh_column facts[] = {{NULL, "what", true}, {NULL, "value", true}};
    static const eh_column files[] = {{NULL, "file", true}, {NULL, "SHA-256", true}};
    eh_words *w = d->w;
    eh_doc_section(d, "reproduce", "Reproduce");
    if (r->command != NULL) {
        eh_doc_paragraph(d, "The command of this run:");
        eh_doc_code(d, r->command);
    }
    if (r->n_file > 0)
        eh_doc_paragraph(d, "With the same version, settings, model and data, a run in f32 writes the same records, "
                            "byte for byte, on the same kind of processor. The hashes below tell whether it did.");
    eh_table t = eh_table_of(w, facts, 2);
    add_fact(&t, "evenhand", r->evenhand);
    add_fact(&t, "preset", r->preset);
    add_fact(&t, "form of answer", r->answer);
    add_fact(&t, "seed", r->has_seed ? eh_say(w, "%lld", (long long)r->seed) : NULL);
    add_fact(&t, "model", r->model.path);
    add_fact(&t, "fingerprint of the weights", r->model.fingerprint);
    add_fact(&t, "processor features used", r->model.features);
    if (eh_table_rows(&t) > 0)
        eh_doc_table(d, "Settings of the run", &t);
    eh_table h = eh_table_of(w, files, 2);
    for (int64_t i = 0; i < r->n_file; i++) {
        eh_cell_text(&h, r->file[i].name);
        eh_cell_text(&h, r->file[i].sha256);
    }
    if (eh_table_rows(&h) > 0)
        eh_doc_table(d, "Files of the run, and what they hash to", &h);
}

static void put_limits(eh_doc *d, const eh_record *r)
{
    const char *items[8];
    int64_t n = 0;
    items[n++] =
        "The scores speak for questions like these, in this language and form, not for all that people could ask.";
    items[n++] =
        "Intervals cover the choice of questions. They do not cover what the questions miss, and with few templates "
        "they tend to be too narrow.";
    items[n++] = "\"Inconclusive\" does not mean \"no change\" or \"no bias\": there may be one that so few questions "
                 "cannot show.";
    if (r->locate.given)
        items[n++] =
            "A head that correlates with a bias need not cause it; only ablation and the random edits test that.";
    if (eh_record_is_edited(r)) {
        items[n++] = "An edited model is not an unbiased model. Whatever was not measured here may have changed, too.";
        items[n++] =
            "The edit was judged once, on the test split. Choosing among several runs by these numbers would make "
            "them too favourable.";
    }
    if (r->locate.statistic != NULL && strcmp(r->locate.statistic, "head_relevance") == 0)
        items[n++] = "Layer-wise relevance propagation is patented; its authors grant use for personal and scientific "
                     "purposes.";
    eh_doc_section(d, "limits", "What this report cannot say");
    eh_doc_items(d, items, n);
}

static void put_glossary(eh_doc *d, const eh_record *r)
{
    const eh_table t = eh_glossary_of(d, r);
    eh_doc_section(d, "glossary", "Glossary");
    eh_doc_table(d, "Technical terms on this page", &t);
}

void eh_page(eh_doc *d, const eh_record *r, const eh_findings *f)
{
    const bool edited = eh_record_is_edited(r);
    const part parts[] = {
        {"verdict", "Verdict", true},
        {"bias", "Bias", rows_of_kind(r, EH_SCORE_BIAS) > 0 || r->has_position},
        {"where", "Where it lives", r->locate.given || r->n_curve > 0},
        {"edit", "The edit", r->recipe != NULL || r->search.n_point > 0 || r->n_step > 0 || r->tune_note != NULL},
        {"cost", edited ? "Cost" : "Utility",
         rows_of_kind(r, EH_SCORE_UTILITY) > 0 || rows_of_kind(r, EH_SCORE_OTHER) > 0 || r->text.given},
        {"controls", "Controls", r->controls.given},
        {"method", "Method", true},
        {"reproduce", "Reproduce", true},
        {"limits", "Limits", true},
        {"glossary", "Glossary", true},
    };
    static void (*const writers[])(eh_doc *, const eh_record *) = {
        NULL,         put_bias,   put_where,     put_edit,   put_damage,
        put_controls, put_method, put_reproduce, put_limits, put_glossary,
    };
    const int n = (int)(sizeof parts / sizeof parts[0]);
    put_head(d, r, parts, n);
    put_verdict(d, r, f);
    for (int i = 1; i < n; i++)
        if (parts[i].is_there)
            writers[i](d, r);
    eh_doc_section_end(d);
    if (d->html)
        put(d, "</main>\n<footer><p>Made by evenhand from the records of the run alone. This page needs no network and "
               "runs no script.</p></footer>\n</body>\n</html>\n");
}
