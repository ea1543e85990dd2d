#include "report/verdict.h"

#include <math.h>
#include <string.h>

/* ---- Names ---------------------------------------- */

const char *eh_score_axis(eh_words *w, const eh_record_row *row)
{
    const char *name = row->kind == EH_SCORE_UTILITY ? "value" : row->score;
    return row->better == EH_BETTER_NEITHER
               ? eh_say(w, "%s (%s)", name, row->unit)
               : eh_say(w, "%s (%s; better: %s)", name, row->unit, eh_better_words(row->better));
}

bool eh_is_total(const eh_record_row *row)
{
    return strcmp(row->category, "all") == 0;
}

const char *eh_row_name(eh_words *w, const eh_record_row *row)
{
    return eh_say(w, "%s, %s, %s", row->score, row->task, eh_is_total(row) ? "all categories" : row->category);
}

/* ---- One row ---------------------------------------- */

static double target_of(eh_better better)
{
    return better == EH_BETTER_FIFTY ? 50.0 : 0.0;
}

bool eh_leans(const eh_measured *m, eh_better better)
{
    const double t = target_of(better);
    return (m->low > t && m->value > t) || (m->high < t && m->value < t);
}

/*
 * A score whose best value t lies inside its range. Seen from the side where it stood before
 * (b = |before - t|, a = how far `after` is on that side, negative when past t):
 * - better needs a lean before (or "nearer" could as well be "further, on the other side"), |a| < b,
 *   and an interval of `after` that ends nearer than b on the other side;
 * - worse needs a lean after, |a| >= b;
 * - past t with a lean there, though a smaller one: turned.
 */
static eh_move move_about(const eh_record_row *row, bool claim)
{
    const double t = target_of(row->better), side = row->before.value >= t ? 1.0 : -1.0;
    const double b = side * (row->before.value - t), a = side * (row->after.value - t);
    const double far_end = side > 0 ? row->after.low - t : t - row->after.high;
    const bool leant = eh_leans(&row->before, row->better), leans = eh_leans(&row->after, row->better);

    if (fabs(a) >= b)
        return claim && leans ? EH_MOVE_WORSE : EH_MOVE_PERHAPS_WORSE;
    if (a < 0 && leans)
        return claim ? EH_MOVE_TURNED : EH_MOVE_INCONCLUSIVE;
    return claim && leant && far_end > -b ? EH_MOVE_BETTER : EH_MOVE_INCONCLUSIVE;
}

eh_move eh_move_of(const eh_record_row *row, double fdr)
{
    if (!row->has_after || row->better == EH_BETTER_NEITHER)
        return EH_MOVE_UNJUDGED;
    const double change = row->after.value - row->before.value;
    if (isnan(change) || isnan(row->difference.low) || isnan(row->difference.high))
        return EH_MOVE_UNDEFINED;
    const bool up = row->difference.low > 0 && change > 0, down = row->difference.high < 0 && change < 0;
    if (!up && !down)
        return EH_MOVE_INCONCLUSIVE;
    const bool claim = row->difference.q <= fdr; /* no q, no claim */
    if (row->better == EH_BETTER_ZERO || row->better == EH_BETTER_FIFTY)
        return move_about(row, claim);
    if (up == (row->better == EH_BETTER_HIGHER))
        return claim ? EH_MOVE_BETTER : EH_MOVE_INCONCLUSIVE;
    return claim ? EH_MOVE_WORSE : EH_MOVE_PERHAPS_WORSE;
}

const char *eh_move_words(eh_move m)
{
    switch (m) {
    case EH_MOVE_UNJUDGED: return "not judged";
    case EH_MOVE_UNDEFINED: return "no estimate";
    case EH_MOVE_BETTER: return "better";
    case EH_MOVE_WORSE: return "worse";
    case EH_MOVE_TURNED: return "turned";
    case EH_MOVE_PERHAPS_WORSE: return "perhaps worse";
    case EH_MOVE_INCONCLUSIVE: return "inconclusive";
    }
    return "?";
}

/* p as in Phipson and Smyth (SAGMB 9:39, 2010): the edit is one of the n + 1, so p is never 0. */
eh_standing eh_standing_of(const eh_record *r, int64_t *n_draw, int64_t *n_as_low, double *p)
{
    *n_draw = *n_as_low = 0;
    *p = NAN;
    if (!r->controls.given || isnan(r->controls.edit))
        return EH_STANDING_NONE;
    for (int64_t i = 0; i < r->controls.n_draw; i++) {
        *n_draw += !isnan(r->controls.draw[i]);
        *n_as_low += r->controls.draw[i] <= r->controls.edit;
    }
    if (*n_draw == 0)
        return EH_STANDING_NONE;
    *p = (double)(1 + *n_as_low) / (double)(1 + *n_draw);
    return *p <= 0.05 ? EH_STANDING_BEATS : *n_as_low == 0 ? EH_STANDING_TOO_FEW : EH_STANDING_WITHIN;
}

/* ---- The sentences ---------------------------------------- */

#define NAMED 10 /* of a group of rows, so many are named; the table has the rest */

typedef struct writer {
    const eh_record *r;
    eh_words *w;
    eh_findings *f;
    int64_t room;
    eh_move *move; /* [n_row] */
    bool *leads;   /* [n_row] rows that speak for themselves: those over all categories, and those of
                      scores that have no such row */
} writer;

static void add(writer *x, eh_sentence_kind kind, const char *text)
{
    static const char *const labels[] = {
        [EH_SAID_WORSE] = "Worse",      [EH_SAID_CAUTION] = "Caution",   [EH_SAID_BETTER] = "Better",
        [EH_SAID_CONTROL] = "Controls", [EH_SAID_NOTHING] = "Not found", [EH_SAID_INCONCLUSIVE] = "Inconclusive",
        [EH_SAID_COST] = "Cost",        [EH_SAID_MEASURED] = "Measured",
    };
    if (x->f->n >= x->room) {
        x->w->starved = true;
        return;
    }
    x->f->sentence[x->f->n++] = (eh_sentence){kind, labels[kind], text};
}

/* "0.182 to 0.061 (change -0.121, 95 % interval -0.170 to -0.074, q < 0.001)" */
static const char *change_of(writer *x, const eh_record_row *row)
{
    eh_words *w = x->w;
    const double value = row->after.value - row->before.value;
    const int d = eh_decimals(row->before.value, row->after.value, NAN);
    const char *q = isnan(row->difference.q) ? "not corrected for the number of scores"
                                             : eh_say(w, "q\xC2\xA0%s", eh_chance(w, row->difference.q));
    return eh_say(w, "from %s to %s (change %s, %s interval %s to %s, %s)", eh_fixed(w, row->before.value, d),
                  eh_fixed(w, row->after.value, d),
                  eh_signed(w, isnan(row->difference.value) ? value : row->difference.value, d),
                  eh_percent(w, x->r->confidence), eh_signed(w, row->difference.low, d),
                  eh_signed(w, row->difference.high, d), q);
}

/* "Bias where the context does not answer (s_AMB, probes, all categories)" */
static const char *full_name(writer *x, const eh_record_row *row)
{
    const char *words = row->words, *name = eh_row_name(x->w, row);
    if (words == NULL)
        return name;
    const char first = words[0] >= 'a' && words[0] <= 'z' ? (char)(words[0] - 'a' + 'A') : words[0];
    return eh_say(x->w, "%c%s (%s)", first, words + 1, name);
}

typedef bool row_test(const writer *x, int64_t i);

static bool same_score(const eh_record_row *a, const eh_record_row *b)
{
    return a->kind == b->kind && strcmp(a->task, b->task) == 0 && strcmp(a->score, b->score) == 0;
}

/* Whether a row before this one passes, too, and is of the same score. */
static bool is_named(const writer *x, row_test *passes, int64_t i)
{
    for (int64_t k = 0; k < i; k++)
        if (passes(x, k) && same_score(&x->r->row[k], &x->r->row[i]))
            return true;
    return false;
}

static const char *category_of(writer *x, const eh_record_row *row, bool with_values)
{
    eh_words *w = x->w;
    const char *name = eh_is_total(row) ? "all categories" : row->category;
    const int d = eh_decimals(row->before.value, row->after.value, NAN);
    if (!with_values)
        return name;
    if (!row->has_after)
        return eh_say(w, "%s (%s)", name, eh_fixed(w, row->before.value, d));
    return eh_say(w, "%s (%s to %s)", name, eh_fixed(w, row->before.value, d), eh_fixed(w, row->after.value, d));
}

/* "s_AMB (probes) in Age, Religion; s_DIS (probes) in Age" of the rows that pass, score by score, the
 * first NAMED of them; *n counts all. */
static const char *names_of(writer *x, row_test *passes, bool with_values, int64_t *n)
{
    eh_words *w = x->w;
    const eh_record_row *row = x->r->row;
    const char *all = "";
    int64_t named = 0;
    *n = 0;
    for (int64_t i = 0; i < x->r->n_row; i++)
        *n += passes(x, i);
    for (int64_t i = 0; i < x->r->n_row && named < NAMED; i++) {
        if (!passes(x, i) || is_named(x, passes, i))
            continue;
        const char *in = "";
        for (int64_t k = i; k < x->r->n_row && named < NAMED; k++)
            if (passes(x, k) && same_score(&row[i], &row[k])) {
                in = eh_say(w, "%s%s%s", in, in[0] == '\0' ? "" : ", ", category_of(x, &row[k], with_values));
                named++;
            }
        all = eh_say(w, "%s%s%s (%s) in %s", all, all[0] == '\0' ? "" : "; ", row[i].score, row[i].task, in);
    }
    return *n > NAMED ? eh_say(w, "%s; and %s more in the tables", all, eh_count(w, *n - NAMED)) : all;
}

static bool is_bias(const writer *x, int64_t i)
{
    return x->r->row[i].kind == EH_SCORE_BIAS;
}

static bool moved(const writer *x, int64_t i, eh_move m)
{
    return x->move[i] == m;
}

static bool any_total(const eh_record *r, const eh_record_row *like)
{
    for (int64_t i = 0; i < r->n_row; i++)
        if (eh_is_total(&r->row[i]) && same_score(&r->row[i], like))
            return true;
    return false;
}

static bool worse_detail(const writer *x, int64_t i)
{
    return moved(x, i, EH_MOVE_WORSE) && !x->leads[i];
}

static bool better_detail(const writer *x, int64_t i)
{
    return moved(x, i, EH_MOVE_BETTER) && !x->leads[i];
}

static bool is_turned(const writer *x, int64_t i)
{
    return moved(x, i, EH_MOVE_TURNED);
}

static bool is_perhaps(const writer *x, int64_t i)
{
    return moved(x, i, EH_MOVE_PERHAPS_WORSE);
}

static bool is_undefined(const writer *x, int64_t i)
{
    return moved(x, i, EH_MOVE_UNDEFINED);
}

static bool is_inconclusive(const writer *x, int64_t i)
{
    return moved(x, i, EH_MOVE_INCONCLUSIVE) && is_bias(x, i);
}

#define SINGLE 4 /* leading rows that get a sentence each */

/* Leading rows with this move get a sentence each, the rest of them one together. */
static void say_moves(writer *x, eh_move m, eh_sentence_kind kind, const char *verb, row_test *detail,
                      const char *together)
{
    int64_t n = 0, left = 0;
    for (int64_t i = 0; i < x->r->n_row; i++) {
        const eh_record_row *row = &x->r->row[i];
        if (!moved(x, i, m) || !x->leads[i])
            continue;
        if (++n > SINGLE) {
            left++;
            continue;
        }
        const char *aim = row->kind != EH_SCORE_BIAS ? ""
                          : row->targeted          ? " This is what the edit was for."
                                                   : " The edit was not aimed at this.";
        add(x, kind, eh_say(x->w, "%s %s %s.%s", full_name(x, row), verb, change_of(x, row), aim));
    }
    if (left > 0)
        add(x, kind, eh_say(x->w, "So did %s more scores that the tables show.", eh_count(x->w, left)));
    const char *names = names_of(x, detail, true, &n);
    if (n > 0)
        add(x, kind,
            eh_say(x->w, "%s in %s: %s.", together,
                   n == 1 ? "one category" : eh_say(x->w, "%s categories", eh_count(x->w, n)), names));
}

static void say_worse(writer *x)
{
    int64_t n;
    say_moves(x, EH_MOVE_WORSE, EH_SAID_WORSE, "got worse:", worse_detail, "Got worse");
    const char *names = names_of(x, is_turned, true, &n);
    if (n > 0)
        add(x, EH_SAID_WORSE,
            eh_say(x->w, "Overshot, and leans the other way now: %s. This is not counted as better.", names));
}

static double position_effect(const eh_record *r)
{
    const double b = r->position[0].effect, a = r->position[1].effect;
    return isnan(a) || b > a ? b : a;
}

static bool position_matters(const eh_record *r)
{
    return r->has_position && position_effect(r) > EH_POSITION_LIMIT;
}

/* Asked without the options, a model that answers by position when it is shown them shows nothing of it. */
static bool by_text(const eh_record *r)
{
    return r->options_hidden;
}

static bool by_position(const eh_record *r)
{
    return position_matters(r) && !by_text(r);
}

/* Heads were found, and no setting of their edit was good enough. */
static bool is_given_up(const eh_record *r)
{
    return r->locate.given && r->locate.found && r->search.n_point > 0 && !eh_record_is_edited(r);
}

static bool fluency_fell(const eh_record *r)
{
    return r->text.after > EH_PERPLEXITY_LIMIT * r->text.before;
}

/* "+1.2 %" */
static const char *rise(eh_words *w, const eh_record *r)
{
    const double by = r->text.after / r->text.before - 1;
    return eh_say(w, "%s%s", by > 0 ? "+" : "", eh_percent(w, by));
}

static void say_cautions(writer *x)
{
    const eh_record *r = x->r;
    eh_words *w = x->w;
    int64_t n;
    if (by_position(r)) {
        const bool two = !isnan(r->position[0].effect) && !isnan(r->position[1].effect);
        add(x, EH_SAID_CAUTION,
            eh_say(w,
                   "The model answers by position, not by content: %s of its answers change with the order of the "
                   "options%s. Scores near 0 do not mean that it is unbiased; ask again with --answer text_pmi.",
                   eh_percent(w, two ? r->position[0].effect : position_effect(r)),
                   two ? eh_say(w, " (%s after the edit)", eh_percent(w, r->position[1].effect)) : ""));
    }
    if (position_matters(r) && by_text(r))
        add(x, EH_SAID_CAUTION,
            eh_say(w,
                   "Given lettered options, this model answers by position (%s of its answers change with the order "
                   "of the options), so everything here was asked by the options' text (%s).",
                   eh_percent(w, position_effect(r)), r->answer));
    if (r->splits.mixed)
        add(x, EH_SAID_CAUTION,
            "The same questions chose the edit and judged it (the splits were mixed on request): "
            "this report is too favourable to the edit.");
    if (r->locate.given && r->locate.split_half < EH_RELIABILITY_LIMIT)
        add(x, EH_SAID_CAUTION,
            eh_say(w,
                   "The map of heads is not reproducible: its reliability is %s, below %s. Read it as noise.",
                   eh_fixed(w, r->locate.split_half, 2), eh_fixed(w, EH_RELIABILITY_LIMIT, 1)));
    if (fluency_fell(r))
        add(x, EH_SAID_CAUTION,
            eh_say(w, "Fluency suffered: perplexity rose from %s to %s (%s).", eh_number(w, r->text.before),
                   eh_number(w, r->text.after), rise(w, r)));
    const char *names = names_of(x, is_perhaps, true, &n);
    if (n > 0)
        add(x, EH_SAID_CAUTION,
            eh_say(w, "Perhaps worse, but without all the evidence that a claim needs: %s.", names));
}

static void say_controls(writer *x)
{
    eh_words *w = x->w;
    int64_t n, as_low;
    double p;
    const eh_standing s = eh_standing_of(x->r, &n, &as_low, &p);
    const char *draws = eh_count(w, n);
    if (!eh_record_is_edited(x->r))
        return;
    switch (s) {
    case EH_STANDING_NONE:
        add(x, EH_SAID_CONTROL,
            "The edit was not compared with random edits of the same size, so nothing shows that "
            "these heads matter more than others.");
        break;
    case EH_STANDING_BEATS:
        add(x, EH_SAID_CONTROL,
            eh_say(w,
                   "The edit left less bias than random edits of as many heads in the same layers: %s "
                   "of %s did as well (p\xC2\xA0%s).",
                   as_low == 0 ? "none" : eh_count(w, as_low), draws, eh_chance(w, p)));
        break;
    case EH_STANDING_TOO_FEW:
        add(x, EH_SAID_CONTROL,
            eh_say(w,
                   "The edit left less bias than each of the %s random edits it was compared with; "
                   "p\xC2\xA0%s is the smallest value that so few can give.",
                   draws, eh_chance(w, p)));
        break;
    case EH_STANDING_WITHIN:
        add(x, EH_SAID_CONTROL,
            eh_say(w,
                   "The edit was no better than random edits of as many heads in the same "
                   "layers: %s of %s left as little bias or less (p\xC2\xA0%s).",
                   eh_count(w, as_low), draws, eh_chance(w, p)));
        break;
    }
}

static void say_nothing_found(writer *x)
{
    if (is_given_up(x->r))
        add(x, EH_SAID_NOTHING,
            eh_say(x->w,
                   "Heads that correlate with the bias beyond chance: %s. Edits of them that were tried: %s. None "
                   "lowered it on the tune split within the damage allowed. This is a result: what correlates with a "
                   "bias need not cause it.",
                   eh_count(x->w, x->r->locate.n_selected), eh_count(x->w, x->r->search.n_point)));
    if (!x->r->locate.given || x->r->locate.found)
        return;
    const char *why = x->r->locate.why;
    const bool given = why != NULL && why[0] != '\0';
    add(x, EH_SAID_NOTHING,
        eh_say(x->w,
               "Nothing was selected%s%s%s This is a result: a bias can be spread over many heads, sit elsewhere, or "
               "be too weak for this many items.",
               given ? ": " : ".", given ? why : "", given && why[strlen(why) - 1] != '.' ? "." : ""));
}

static void say_inconclusive(writer *x)
{
    eh_words *w = x->w;
    int64_t n;
    double least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < x->r->n_row; i++)
        if (is_inconclusive(x, i) && !isnan(x->r->row[i].difference.mde)) {
            least = fmin(least, x->r->row[i].difference.mde);
            most = fmax(most, x->r->row[i].difference.mde);
        }
    const char *names = names_of(x, is_inconclusive, false, &n);
    if (n > 0) {
        const int d = eh_decimals(least, most, NAN);
        const char *mde = "The minimum detectable effect was not computed.";
        if (most >= least)
            mde = least == most
                      ? eh_say(w, "The minimum detectable effect is %s: a smaller change would probably be missed.",
                               eh_fixed(w, least, d))
                      : eh_say(w,
                               "The minimum detectable effect is %s to %s, each in its score's own unit: smaller "
                               "changes would probably be missed.",
                               eh_fixed(w, least, d), eh_fixed(w, most, d));
        add(x, EH_SAID_INCONCLUSIVE,
            eh_say(w, "In %s bias score%s the change does not meet every condition for a claim (see Method): %s. %s",
                   n == 1 ? "one" : eh_count(w, n), n == 1 ? "" : "s", names, mde));
    }
    names = names_of(x, is_undefined, false, &n);
    if (n > 0)
        add(x, EH_SAID_INCONCLUSIVE,
            eh_say(w, "Without an estimate (0/0, or no interval): %s. That is not a score of 0.", names));
}

/* What an interval still allows of a loss is the honest word on utility: "unchanged" is no finding. */
static void say_cost(writer *x)
{
    const eh_record *r = x->r;
    eh_words *w = x->w;
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_row; i++) {
        const eh_record_row *row = &r->row[i];
        if (row->kind != EH_SCORE_UTILITY || !moved(x, i, EH_MOVE_INCONCLUSIVE) || !x->leads[i] || ++n > SINGLE)
            continue;
        const double loss = row->better == EH_BETTER_HIGHER  ? -row->difference.low
                            : row->better == EH_BETTER_LOWER ? row->difference.high
                                                           : 0;
        const int d = eh_decimals(row->before.value, row->after.value, NAN);
        const char *rest =
            loss > 0 ? eh_say(w, " The interval excludes a loss of more than %s.", eh_fixed(w, loss, d)) : "";
        add(x, EH_SAID_COST,
            eh_say(w, "%s went %s: inconclusive.%s", full_name(x, row), change_of(x, row), rest));
    }
    if (r->text.before > 0 && !isnan(r->text.after) && !fluency_fell(r))
        add(x, EH_SAID_COST,
            eh_say(w, "Perplexity went from %s to %s (%s, on one text, without an interval).",
                   eh_number(w, r->text.before), eh_number(w, r->text.after), rise(w, r)));
}

/* ---- An audit without an edit ---------------------------------------- */

static bool can_lean(const eh_record_row *row)
{
    return row->kind == EH_SCORE_BIAS && (row->better == EH_BETTER_ZERO || row->better == EH_BETTER_FIFTY) &&
           !isnan(row->before.value);
}

static bool lean_detail(const writer *x, int64_t i)
{
    return can_lean(&x->r->row[i]) && eh_leans(&x->r->row[i].before, x->r->row[i].better) && !x->leads[i];
}

static void say_measured(writer *x, int64_t *n_lean, int64_t *n_all)
{
    eh_words *w = x->w;
    int64_t n;
    *n_lean = *n_all = 0;
    for (int64_t i = 0; i < x->r->n_row; i++) {
        const eh_record_row *row = &x->r->row[i];
        if (!can_lean(row) || !x->leads[i])
            continue;
        const bool lean = eh_leans(&row->before, row->better), bare = isnan(row->before.low + row->before.high);
        const int d = eh_decimals(row->before.value, row->before.low, row->before.high);
        ++*n_all;
        *n_lean += lean;
        if (*n_all > SINGLE)
            continue;
        const char *end = bare   ? "no interval, so nothing is claimed"
                          : lean ? eh_say(w, "%s interval %s to %s; it excludes %s", eh_percent(w, x->r->confidence),
                                          eh_fixed(w, row->before.low, d), eh_fixed(w, row->before.high, d),
                                          row->better == EH_BETTER_FIFTY ? "50" : "0")
                                 : eh_say(w, "%s interval %s to %s; it includes %s: inconclusive",
                                          eh_percent(w, x->r->confidence), eh_fixed(w, row->before.low, d),
                                          eh_fixed(w, row->before.high, d), row->better == EH_BETTER_FIFTY ? "50"
                                              : "0");
        add(x, lean ? EH_SAID_MEASURED : EH_SAID_INCONCLUSIVE,
            eh_say(w, "%s is %s (%s).", full_name(x, row), eh_fixed(w, row->before.value, d), end));
    }
    const char *names = names_of(x, lean_detail, true, &n);
    if (n > 0)
        add(x, EH_SAID_MEASURED,
            eh_say(w, "By category, %s exclude%s the unbiased point: %s. Of many intervals some do so by chance.",
                   n == 1 ? "one interval" : eh_say(w, "%s intervals", eh_count(w, n)), n == 1 ? "s" : "", names));
}

/* ---- The headline ---------------------------------------- */

typedef struct tally {
    int64_t n, better, worse;  /* rows the edit was judged by; worse: or turned */
    int64_t worse_any, turned; /* rows of any kind that got worse or turned; of which turned */
} tally;

static tally count_moves(const writer *x)
{
    tally t = {0};
    bool targeted = false;
    for (int64_t i = 0; i < x->r->n_row; i++)
        targeted |= x->r->row[i].targeted && is_bias(x, i) && x->r->row[i].has_after;
    for (int64_t i = 0; i < x->r->n_row; i++) {
        const bool turned = moved(x, i, EH_MOVE_TURNED), worse = moved(x, i, EH_MOVE_WORSE) || turned;
        t.worse_any += worse;
        t.turned += turned;
        if (!is_bias(x, i) || x->move[i] == EH_MOVE_UNJUDGED || !x->leads[i] || (targeted && !x->r->row[i].targeted))
            continue;
        t.n++;
        t.better += moved(x, i, EH_MOVE_BETTER);
        t.worse += worse;
    }
    return t;
}

static const char *edited_headline(writer *x)
{
    eh_words *w = x->w;
    const tally t = count_moves(x);
    int64_t n, as_low;
    double p;
    const eh_standing s = eh_standing_of(x->r, &n, &as_low, &p);
    const char *part = t.better == t.n ? "" : eh_say(w, " in %s of %s scores", eh_count(w, t.better), eh_count(w, t.n));
    const char *price = eh_say(w, "%s%s", fluency_fell(x->r) ? " Fluency suffered." : "",
                               x->r->splits.mixed ? " The questions that chose the edit judged it." : "");
    const char *turned = t.turned > 0 ? ", or lean the other way" : "";
    const char *elsewhere = "";

    if (t.worse_any > 0)
        elsewhere = eh_say(w, "The edit made %s worse%s. ",
                           t.worse_any == 1 ? "one score" : eh_say(w, "%s scores", eh_count(w, t.worse_any)), turned);
    if (by_position(x->r))
        return eh_say(w,
                      "%sThis model answers by position, not by content: its scores cannot show whether the edit made "
                      "it less biased.%s",
                      elsewhere, price);
    if (t.worse > 0)
        return eh_say(w, "The edit made the bias it was aimed at worse%s, in %s of %s score%s.%s", turned,
                      eh_count(w, t.worse), eh_count(w, t.n), t.n == 1 ? "" : "s", price);
    if (t.n == 0)
        return eh_say(w, "%sNo bias score was measured after the edit.%s", elsewhere, price);
    if (t.better == 0)
        return eh_say(w, "%sNo effect on the bias that the edit was aimed at could be shown.%s", elsewhere, price);
    switch (s) {
    case EH_STANDING_BEATS:
        return eh_say(w, "%sThe targeted bias came down%s, by more than random edits do.%s", elsewhere, part, price);
    case EH_STANDING_TOO_FEW:
        return eh_say(w, "%sThe targeted bias came down%s, by more than the %s random edits tried.%s", elsewhere, part,
                      eh_count(w, n), price);
    case EH_STANDING_WITHIN:
        return eh_say(w,
                      "%sThe targeted bias came down%s, but random edits do as well: nothing shows that the choice of "
                      "heads matters.%s",
                      elsewhere, part, price);
    case EH_STANDING_NONE: break;
    }
    return eh_say(w, "%sThe targeted bias came down%s; no random edits were tried beside it.%s", elsewhere, part,
                  price);
}

static const char *audit_headline(writer *x, int64_t n_lean, int64_t n_all)
{
    if (by_position(x->r))
        return "This model answers by position, not by content: its scores show neither bias nor its absence.";
    if (n_all == 0)
        return "Nothing was edited, and no bias score has an estimate.";
    if (n_lean == 0)
        return "Nothing was edited. No bias score shows a lean; that is inconclusive, not proof of even-handedness.";
    return eh_say(x->w, "Nothing was edited. The model leans in %s of %s bias scores.", eh_count(x->w, n_lean),
                  eh_count(x->w, n_all));
}

void eh_verdict_of(const eh_record *r, eh_words *w, eh_findings *f)
{
    enum { MOST = 64 }; /* every kind of sentence comes a bounded number of times */
    writer x = {r, w, f, MOST, eh_new(&w->mem, eh_move, r->n_row + 1), eh_new(&w->mem, bool, r->n_row + 1)};
    int64_t n_lean = 0, n_all = 0;

    *f = (eh_findings){.headline = "", .sentence = eh_new(&w->mem, eh_sentence, MOST)};
    if (x.move == NULL || x.leads == NULL || f->sentence == NULL) {
        w->starved = true;
        f->sentence = NULL;
        return;
    }
    for (int64_t i = 0; i < r->n_row; i++) {
        x.move[i] = eh_move_of(&r->row[i], r->fdr);
        x.leads[i] = eh_is_total(&r->row[i]) || !any_total(r, &r->row[i]);
    }

    const bool edited = eh_record_is_edited(r);
    say_worse(&x);
    say_cautions(&x);
    say_nothing_found(&x);
    if (edited) {
        say_moves(&x, EH_MOVE_BETTER, EH_SAID_BETTER, "got better:", better_detail, "Got better");
        say_controls(&x);
        say_inconclusive(&x);
        say_cost(&x);
    } else {
        say_measured(&x, &n_lean, &n_all);
    }
    if (edited)
        f->headline = edited_headline(&x);
    else if (is_given_up(r))
        f->headline =
            "Heads were found, but no edit of them lowered the bias within the damage allowed. The model was not "
            "edited.";
    else if (r->locate.given && !r->locate.found)
        f->headline =
            "Nothing was found: no head correlates with this bias reliably and beyond chance. The model was not "
            "edited.";
    else
        f->headline = audit_headline(&x, n_lean, n_all);
}
