#include "report/record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

/* ---- Reading with one failure remembered ---------------------------------------- */

/* After the first failure every call is a no-op, so that a part reads as a list of its fields. */
typedef struct reader {
    eh_record *r;
    const char *where; /* the file */
    eh_err *err;
    int rc;
    char at[400]; /* the object in hand: "run.json: rows[3].before" */
} reader;

static const char *const better_words[EH_N_BETTER] = {
    [EH_BETTER_ZERO] = "nearer 0",  [EH_BETTER_FIFTY] = "nearer 50",  [EH_BETTER_HIGHER] = "higher",
    [EH_BETTER_LOWER] = "lower",    [EH_BETTER_NEITHER] = "neither",
};
static const char *const split_names[] = {"select", "tune", "test"};

const char *eh_better_words(eh_better better)
{
    return better_words[better];
}

/* The entry in hand: "run.json: rows[3].before". */
static void place(reader *in, const char *list, int64_t i, const char *within)
{
    snprintf(in->at, sizeof in->at, "%.180s: %.100s[%lld]%.60s", in->where, list, (long long)i, within);
}

static int64_t whole(reader *in, const json_t *o, const char *key, int64_t low, int64_t high, int64_t missing)
{
    int64_t x = missing;
    if (in->rc == EH_OK)
        in->rc = eh_json_int_or(o, in->at, key, low, high, &x, in->err);
    return x;
}

static double real(reader *in, const json_t *o, const char *key, double low, double high)
{
    double x = NAN;
    if (in->rc == EH_OK)
        in->rc = eh_json_real_or(o, in->at, key, low, high, &x, in->err);
    return x;
}

static double number(reader *in, const json_t *o, const char *key)
{
    return real(in, o, key, -EH_RECORD_NUMBER, EH_RECORD_NUMBER);
}

static bool truth(reader *in, const json_t *o, const char *key, bool missing)
{
    bool x = missing;
    if (in->rc == EH_OK)
        in->rc = eh_json_bool_or(o, in->at, key, &x, in->err);
    return x;
}

/* Characters that would do something rather than show something: controls, and those that turn the
 * direction of writing. */
static bool acts(int32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* The text without them: blanks for line ends and tabs, U+FFFD for the others. */
static const char *cleaned(reader *in, eh_str s)
{
    bool is_clean = true;
    int32_t code = 0;
    for (int64_t at = 0, len; at < s.n && (len = eh_utf8_next(s, at, &code)) > 0; at += len)
        is_clean &= !acts(code);
    if (is_clean)
        return s.p;
    eh_buf b = {0};
    for (int64_t at = 0, len; at < s.n && (len = eh_utf8_next(s, at, &code)) > 0; at += len) {
        if (!acts(code))
            eh_buf_bytes(&b, s.p + at, len);
        else
            eh_buf_str(&b, code == '\n' || code == '\t' || code == '\r' ? EH_STR(" ") : EH_STR("\xEF\xBF\xBD"));
    }
    const char *copy = b.fault != 0 ? NULL : eh_arena_text(&in->r->mem, b.p, b.n);
    eh_buf_clear(&b);
    if (copy == NULL)
        in->rc = eh_fail(in->err, EH_ENOMEM, "%s: no memory for a text", in->at);
    return copy;
}

/* A text, NUL-terminated and fit to be shown; NULL when there is none. */
static const char *text_of(reader *in, const json_t *v, const char *key)
{
    if (in->rc < 0 || v == NULL || json_is_null(v))
        return NULL;
    const eh_str s = eh_json_text(v);
    if (!json_is_string(v))
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" is %s, wanted a string", in->at, key, eh_json_type(v));
    else if (s.n > EH_RECORD_TEXT)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" has %lld bytes, at most %d are allowed", in->at, key,
                         (long long)s.n, EH_RECORD_TEXT);
    else if (memchr(s.p, '\0', (size_t)s.n) != NULL)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" holds a NUL character", in->at, key);
    return in->rc < 0 ? NULL : cleaned(in, s);
}

static const char *text(reader *in, const json_t *o, const char *key)
{
    return text_of(in, json_object_get(o, key), key);
}

static const char *text_needed(reader *in, const json_t *o, const char *key)
{
    const char *s = text(in, o, key);
    if (in->rc == EH_OK && s == NULL)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: has no \"%s\"", in->at, key);
    return s;
}

/* Which of the names the text is; `missing` where there is none. */
static int choice(reader *in, const json_t *o, const char *key, eh_choice_kind kind, int missing)
{
    const char *s = text(in, o, key);
    const eh_choice *c = eh_choice_find(kind, s);
    if (s == NULL || c != NULL)
        return c != NULL ? c->value : missing;
    in->rc =
        eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" is \"%.40s\", which is none of the words it may be", in->at, key, s);
    return missing;
}

/* The object under a key; NULL when it is missing or null. */
static const json_t *part(reader *in, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (in->rc < 0 || v == NULL || json_is_null(v))
        return NULL;
    if (!json_is_object(v))
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" is %s, wanted an object", in->at, key, eh_json_type(v));
    return in->rc < 0 ? NULL : v;
}

/* The array under a key with its length, at most `most`; NULL when it is missing, null or empty. */
static const json_t *list(reader *in, const json_t *o, const char *key, int64_t most, int64_t *n)
{
    const json_t *v = json_object_get(o, key);
    *n = 0;
    if (in->rc < 0 || v == NULL || json_is_null(v))
        return NULL;
    const int64_t size = (int64_t)json_array_size(v);
    if (!json_is_array(v))
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" is %s, wanted an array", in->at, key, eh_json_type(v));
    else if (size > most)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" has %lld entries, at most %lld are allowed", in->at, key,
                         (long long)size, (long long)most);
    if (in->rc < 0 || size == 0)
        return NULL;
    *n = size;
    return v;
}

static void *room(reader *in, int64_t n, int64_t size)
{
    if (in->rc < 0)
        return NULL;
    void *p = eh_arena_zeroed(&in->r->mem, n > 0 ? n : 1, size);
    if (p == NULL)
        in->rc = eh_fail(in->err, EH_ENOMEM, "%s: no memory for %lld entries", in->at, (long long)n);
    return p;
}

static bool number_at(reader *in, const json_t *v, const char *key, int64_t i, double *out)
{
    *out = NAN;
    if (v == NULL || json_is_null(v))
        return true;
    const double x = json_number_value(v);
    if (!json_is_number(v))
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: %s[%lld] is %s, wanted a number or null", in->at, key, (long long)i,
                         eh_json_type(v));
    else if (!(fabs(x) <= EH_RECORD_NUMBER))
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: %s[%lld] is %g, beyond what a report can show", in->at, key,
                         (long long)i, x);
    else
        *out = x;
    return in->rc == EH_OK;
}

/* An array of numbers; NULL (and *n 0) when it is missing. */
static const double *numbers(reader *in, const json_t *o, const char *key, int64_t most, int64_t *n)
{
    const json_t *v = list(in, o, key, most, n);
    double *x = v == NULL ? NULL : room(in, *n, (int64_t)sizeof *x);
    for (int64_t i = 0; x != NULL && i < *n; i++)
        if (!number_at(in, json_array_get(v, (size_t)i), key, i, &x[i]))
            return NULL;
    return x;
}

/* [n_layer, n_head] as an array of arrays; NULL when it is missing. */
static const double *map(reader *in, const json_t *o, const char *key)
{
    const int64_t n_layer = in->r->model.n_layer, n_head = in->r->model.n_head;
    int64_t n;
    const json_t *v = list(in, o, key, EH_RECORD_SIDE, &n);
    if (v == NULL)
        return NULL;
    if (n_layer == 0 || n_head == 0)
        in->rc =
            eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" is given, but the model has no n_layer and n_head", in->at, key);
    else if (n != n_layer)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: \"%s\" has %lld rows, the model has %lld layers", in->at, key,
                         (long long)n, (long long)n_layer);
    double *x = room(in, n_layer * n_head, (int64_t)sizeof *x); /* at most EH_RECORD_SIDE squared */
    for (int64_t l = 0; x != NULL && l < n_layer; l++) {
        const json_t *line = json_array_get(v, (size_t)l);
        if (!json_is_array(line) || (int64_t)json_array_size(line) != n_head) {
            in->rc =
                eh_fail(in->err, EH_EFORMAT, "%s: %s[%lld] is %s of %lld, wanted an array of %lld heads", in->at, key,
                        (long long)l, eh_json_type(line), (long long)json_array_size(line), (long long)n_head);
            return NULL;
        }
        for (int64_t h = 0; h < n_head; h++)
            if (!number_at(in, json_array_get(line, (size_t)h), key, l, &x[l * n_head + h]))
                return NULL;
    }
    return x;
}

/* Entry i of a list, as an object, and the place for messages. */
static const json_t *entry(reader *in, const json_t *v, const char *key, int64_t i)
{
    const json_t *o = json_array_get(v, (size_t)i);
    if (in->rc < 0)
        return NULL;
    place(in, key, i, "");
    if (!json_is_object(o))
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: is %s, wanted an object", in->at, eh_json_type(o));
    return in->rc < 0 ? NULL : o;
}

/* ---- The parts ---------------------------------------- */

static void read_model(reader *in, const json_t *root)
{
    const json_t *o = part(in, root, "model");
    if (in->rc == EH_OK && o == NULL)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: has no \"model\"", in->at);
    snprintf(in->at, sizeof in->at, "%.180s: model", in->where);
    in->r->model.path = text(in, o, "path");
    in->r->model.family = text(in, o, "family");
    in->r->model.dtype = text(in, o, "dtype");
    in->r->model.precision = text(in, o, "precision");
    in->r->model.fingerprint = text(in, o, "fingerprint");
    in->r->model.features = text(in, o, "features");
    in->r->model.n_layer = whole(in, o, "n_layer", 1, EH_RECORD_SIDE, 0);
    in->r->model.n_head = whole(in, o, "n_head", 1, EH_RECORD_SIDE, 0);
    in->r->model.n_kv = whole(in, o, "n_kv", 1, EH_RECORD_SIDE, 0);
    in->r->model.d_model = whole(in, o, "d_model", 1, 1 << 24, 0);
    in->r->model.n_param = whole(in, o, "n_param", 1, (int64_t)1 << 50, 0);
}

static void read_splits(reader *in, const json_t *root)
{
    const json_t *o = part(in, root, "splits");
    in->r->splits.given = o != NULL;
    in->r->splits.mixed = truth(in, o, "mixed", false);
    for (int i = 0; i < 3; i++) {
        snprintf(in->at, sizeof in->at, "%.180s: splits", in->where);
        const json_t *s = part(in, o, split_names[i]);
        in->r->splits.items[i] = whole(in, s, "items", 0, (int64_t)1 << 40, -1);
        in->r->splits.templates[i] = whole(in, s, "templates", 0, (int64_t)1 << 40, -1);
    }
}

static eh_measured read_measured(reader *in, const json_t *o)
{
    eh_measured m;
    m.value = number(in, o, "value");
    m.low = number(in, o, "low");
    m.high = number(in, o, "high");
    m.n = whole(in, o, "n", 0, (int64_t)1 << 40, -1);
    m.n_cluster = whole(in, o, "n_cluster", 0, (int64_t)1 << 40, -1);
    if (in->rc == EH_OK && m.low > m.high)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: its interval is %g to %g, upside down", in->at, m.low, m.high);
    return m;
}

static void read_row(reader *in, const json_t *o, int64_t i, eh_record_row *row)
{
    row->task = text_needed(in, o, "task");
    row->category = text_needed(in, o, "category");
    row->score = text_needed(in, o, "score");
    row->note = text(in, o, "note");
    row->better = (eh_better)choice(in, o, "better", EH_CHOICE_BETTER, EH_BETTER_NEITHER);
    row->kind = (eh_score_kind)choice(in, o, "kind", EH_CHOICE_SCORE_KIND, EH_SCORE_OTHER);
    row->unit = "score";
    row->targeted = truth(in, o, "targeted", false);
    const json_t *before = part(in, o, "before"), *after = part(in, o, "after"), *d = part(in, o, "difference");
    place(in, "rows", i, ".before");
    row->before = read_measured(in, before);
    place(in, "rows", i, ".after");
    row->has_after = after != NULL;
    row->after = read_measured(in, after);
    place(in, "rows", i, ".difference");
    row->difference.value = number(in, d, "value");
    row->difference.low = number(in, d, "low");
    row->difference.high = number(in, d, "high");
    row->difference.p = real(in, d, "p", 0, 1);
    row->difference.q = real(in, d, "q", 0, 1);
    row->difference.mde = real(in, d, "mde", 0, EH_RECORD_NUMBER);
    if (in->rc == EH_OK && row->difference.low > row->difference.high)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: its interval is %g to %g, upside down", in->at, row->difference.low,
                         row->difference.high);
}

static void read_rows(reader *in, const json_t *root)
{
    int64_t n;
    const json_t *v = list(in, root, "rows", EH_RECORD_ROWS, &n);
    in->r->row = room(in, n, (int64_t)sizeof *in->r->row);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        const json_t *o = entry(in, v, "rows", i);
        if (o != NULL)
            read_row(in, o, i, &in->r->row[i]);
    }
    in->r->n_row = n;
}

/* What the scores of the rows are: words and units. Rows of a score that is not in the list keep their name. */
static void read_scores(reader *in, const json_t *root)
{
    int64_t n;
    const json_t *v = list(in, root, "scores", EH_RECORD_NAMES, &n);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        const json_t *o = entry(in, v, "scores", i);
        const char *task = text_needed(in, o, "task"), *score = text_needed(in, o, "score");
        const char *words = text(in, o, "words"), *unit = text(in, o, "unit");
        for (int64_t k = 0; k < in->r->n_row && in->rc == EH_OK; k++) {
            eh_record_row *row = &in->r->row[k];
            if (strcmp(row->task, task) != 0 || strcmp(row->score, score) != 0)
                continue;
            row->words = words != NULL && words[0] != '\0' ? words : NULL;
            row->unit = unit != NULL ? unit : row->unit;
        }
    }
}

static void read_citations(reader *in, const json_t *root)
{
    int64_t n;
    const json_t *v = list(in, root, "citations", EH_RECORD_NAMES, &n);
    eh_citation *c = room(in, n, (int64_t)sizeof *c);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        const json_t *o = entry(in, v, "citations", i);
        c[i].used_for = text_needed(in, o, "used_for");
        c[i].work = text_needed(in, o, "work");
    }
    in->r->citation = c;
    in->r->n_citation = n;
}

static void read_position(reader *in, const json_t *root)
{
    static const char *const side[] = {"before", "after"};
    const json_t *o = part(in, root, "position");
    in->r->has_position = o != NULL;
    for (int i = 0; i < 2; i++) {
        snprintf(in->at, sizeof in->at, "%.180s: position", in->where);
        const json_t *s = part(in, o, side[i]);
        eh_record_position *p = &in->r->position[i];
        p->effect = real(in, s, "effect", 0, 1);
        p->place = numbers(in, s, "places", EH_RECORD_NAMES, &p->n_place);
    }
}

static const eh_selected *read_selected(reader *in, const json_t *o, int64_t *n_out)
{
    int64_t n;
    const json_t *v = list(in, o, "selected", EH_RECORD_POINTS, &n);
    eh_selected *s = room(in, n, (int64_t)sizeof *s);
    if (n > 0 && in->rc == EH_OK && (in->r->model.n_layer == 0 || in->r->model.n_head == 0))
        in->rc =
            eh_fail(in->err, EH_EFORMAT, "%s: heads are selected, but the model has no n_layer and n_head", in->at);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        const json_t *e = entry(in, v, "locate.selected", i);
        if (e == NULL)
            break;
        s[i].layer = whole(in, e, "layer", 0, in->r->model.n_layer - 1, -1);
        s[i].head = whole(in, e, "head", 0, in->r->model.n_head - 1, -1);
        s[i].n_category = whole(in, e, "n_category", 0, EH_RECORD_ROWS, -1);
        s[i].score = number(in, e, "score");
        s[i].q = real(in, e, "q", 0, 1);
        s[i].alpha = real(in, e, "alpha", 0, 1);
        if (in->rc == EH_OK && (s[i].layer < 0 || s[i].head < 0))
            in->rc = eh_fail(in->err, EH_EFORMAT, "%s: has no \"%s\"", in->at, s[i].layer < 0 ? "layer" : "head");
    }
    *n_out = n;
    return s;
}

static void read_locate(reader *in, const json_t *root)
{
    const json_t *o = part(in, root, "locate");
    eh_record *r = in->r;
    snprintf(in->at, sizeof in->at, "%.180s: locate", in->where);
    r->locate.given = o != NULL;
    r->locate.statistic = text(in, o, "statistic");
    r->locate.measure = text(in, o, "measure");
    r->locate.unit = text(in, o, "unit");
    r->locate.why = text(in, o, "why");
    r->locate.n_item = whole(in, o, "n_item", 0, (int64_t)1 << 40, -1);
    r->locate.before = map(in, o, "before");
    r->locate.after = map(in, o, "after");
    r->locate.q = map(in, o, "q");
    const json_t *reliability = part(in, o, "reliability"), *confirmation = part(in, o, "confirmation");
    r->locate.found = truth(in, o, "found", json_array_size(json_object_get(o, "selected")) > 0);
    r->locate.selected = read_selected(in, o, &r->locate.n_selected);
    snprintf(in->at, sizeof in->at, "%.180s: locate.reliability", in->where);
    r->locate.split_half = number(in, reliability, "split_half");
    r->locate.low = number(in, reliability, "low");
    r->locate.high = number(in, reliability, "high");
    r->locate.half_map_correlation = number(in, reliability, "half_map_correlation");
    if (json_object_get(reliability, "half_map_correlation") == NULL) /* what version 0.1 called it */
        r->locate.half_map_correlation = number(in, reliability, "seed");
    snprintf(in->at, sizeof in->at, "%.180s: locate.confirmation", in->where);
    r->locate.spearman = real(in, confirmation, "spearman", -1, 1);
    r->locate.top = numbers(in, confirmation, "top", EH_RECORD_POINTS, &r->locate.n_top);
    r->locate.random = numbers(in, confirmation, "random", EH_RECORD_POINTS, &r->locate.n_random);
}

static void read_layers(reader *in, const json_t *root)
{
    const json_t *o = part(in, root, "layers");
    int64_t n, n_value;
    snprintf(in->at, sizeof in->at, "%.180s: layers", in->where);
    const json_t *v = list(in, o, "curves", EH_RECORD_NAMES, &n);
    eh_curve *c = room(in, n, (int64_t)sizeof *c);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        const json_t *e = entry(in, v, "layers.curves", i);
        c[i].name = text_needed(in, e, "name");
        c[i].value = numbers(in, e, "values", EH_RECORD_SIDE, &n_value);
        if (in->rc == EH_OK && (n_value == 0 || n_value != in->r->model.n_layer))
            in->rc = eh_fail(in->err, EH_EFORMAT, "%s: has %lld values, the model has %lld layers", in->at,
                             (long long)n_value, (long long)in->r->model.n_layer);
    }
    in->r->curve = c;
    in->r->n_curve = n;
}

static void read_search(reader *in, const json_t *root)
{
    const json_t *o = part(in, root, "search");
    int64_t n;
    snprintf(in->at, sizeof in->at, "%.180s: search", in->where);
    in->r->search.objective = text(in, o, "objective");
    in->r->search.rule = text(in, o, "rule");
    const json_t *v = list(in, o, "points", EH_RECORD_POINTS, &n), *original = part(in, o, "original");
    eh_point *p = room(in, n, (int64_t)sizeof *p);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        const json_t *e = entry(in, v, "search.points", i);
        p[i].heads = number(in, e, "heads");
        p[i].strength = number(in, e, "strength");
        p[i].bias = number(in, e, "bias");
        p[i].kl_median = number(in, e, "kl_median");
        p[i].kl_p95 = number(in, e, "kl_p95");
        p[i].perplexity = number(in, e, "perplexity");
        p[i].utility = number(in, e, "utility");
        p[i].front = truth(in, e, "front", false);
        p[i].chosen = truth(in, e, "chosen", false);
    }
    in->r->search.point = p;
    in->r->search.n_point = n;
    snprintf(in->at, sizeof in->at, "%.180s: search.original", in->where);
    in->r->search.bias = number(in, original, "bias");
    in->r->search.perplexity = number(in, original, "perplexity");
    in->r->search.utility = number(in, original, "utility");
}

static void read_controls(reader *in, const json_t *root)
{
    const json_t *o = part(in, root, "controls");
    snprintf(in->at, sizeof in->at, "%.180s: controls", in->where);
    in->r->controls.given = o != NULL;
    in->r->controls.score = text(in, o, "score");
    in->r->controls.unit = text(in, o, "unit");
    in->r->controls.edit = number(in, o, "edit");
    in->r->controls.draw = numbers(in, o, "draws", EH_RECORD_POINTS, &in->r->controls.n_draw);
    in->r->controls.p = real(in, o, "p", 0, 1);
}

static void read_tune(reader *in, const json_t *root)
{
    const json_t *o = part(in, root, "tune");
    int64_t n;
    snprintf(in->at, sizeof in->at, "%.180s: tune", in->where);
    in->r->tune_note = text(in, o, "note");
    const json_t *v = list(in, o, "steps", EH_RECORD_POINTS, &n);
    eh_step *s = room(in, n, (int64_t)sizeof *s);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        const json_t *e = entry(in, v, "tune.steps", i);
        s[i].step = number(in, e, "step");
        s[i].loss = number(in, e, "loss");
        s[i].tune_loss = number(in, e, "tune_loss");
    }
    in->r->step = s;
    in->r->n_step = n;
}

static void read_text(reader *in, const json_t *root)
{
    const json_t *o = part(in, root, "text");
    snprintf(in->at, sizeof in->at, "%.180s: text", in->where);
    in->r->text.given = o != NULL;
    const json_t *perplexity = part(in, o, "perplexity"), *kl = part(in, o, "kl");
    snprintf(in->at, sizeof in->at, "%.180s: text.perplexity", in->where);
    in->r->text.before = real(in, perplexity, "before", 0, EH_RECORD_NUMBER);
    in->r->text.after = real(in, perplexity, "after", 0, EH_RECORD_NUMBER);
    snprintf(in->at, sizeof in->at, "%.180s: text.kl", in->where);
    in->r->text.mean = number(in, kl, "mean");
    in->r->text.median = number(in, kl, "median");
    in->r->text.p95 = number(in, kl, "p95");
    in->r->text.p99 = number(in, kl, "p99");
    in->r->text.max = number(in, kl, "max");
    in->r->text.same_top = real(in, kl, "same_top", 0, 1);
}

static void read_names(reader *in, const json_t *root)
{
    int64_t n;
    const json_t *v = list(in, root, "notes", EH_RECORD_NAMES, &n);
    const char **note = room(in, n, (int64_t)sizeof *note);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        note[i] = text_of(in, json_array_get(v, (size_t)i), "notes");
        if (note[i] == NULL)
            note[i] = "";
    }
    in->r->note = note;
    in->r->n_note = n;

    v = list(in, root, "files", EH_RECORD_NAMES, &n);
    eh_named_hash *file = room(in, n, (int64_t)sizeof *file);
    for (int64_t i = 0; i < n && in->rc == EH_OK; i++) {
        const json_t *e = entry(in, v, "files", i);
        file[i].name = text_needed(in, e, "name");
        file[i].sha256 = text(in, e, "sha256");
    }
    in->r->file = file;
    in->r->n_file = n;
}

static void read_all(reader *in, const json_t *root)
{
    static void (*const parts[])(reader *, const json_t *) = {
        read_model,  read_splits, read_rows,     read_scores, read_citations, read_position, read_locate,
        read_layers, read_search, read_controls, read_tune,   read_text,      read_names,
    };
    snprintf(in->at, sizeof in->at, "%.180s", in->where);
    if (!json_is_object(root)) {
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: is %s, wanted an object", in->at, eh_json_type(root));
        return;
    }
    if (whole(in, root, "version", 1, 1, 0) != 1 && in->rc == EH_OK)
        in->rc = eh_fail(in->err, EH_EFORMAT, "%s: has no \"version\"; this evenhand reads version 1", in->at);
    in->r->evenhand = text(in, root, "evenhand");
    in->r->command = text(in, root, "command");
    in->r->preset = text(in, root, "preset");
    in->r->recipe = text(in, root, "recipe");
    in->r->answer = text(in, root, "answer");
    /* Version 0.1 did not say; of its ways of asking, one showed the options. */
    const json_t *shown = json_object_get(root, "options_shown");
    in->r->options_hidden = shown != NULL ? !json_is_true(shown)
                                          : in->r->answer != NULL && strcmp(in->r->answer, "letters") != 0;
    in->r->has_seed = json_is_integer(json_object_get(root, "seed"));
    in->r->seed = whole(in, root, "seed", INT64_MIN, INT64_MAX, 0);
    in->r->confidence = real(in, root, "confidence", 0.5, 0.9999);
    in->r->fdr = real(in, root, "fdr", 0, 1);
    if (isnan(in->r->confidence))
        in->r->confidence = 0.95;
    if (isnan(in->r->fdr))
        in->r->fdr = 0.05;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && in->rc == EH_OK; i++) {
        snprintf(in->at, sizeof in->at, "%.180s", in->where);
        parts[i](in, root);
    }
}

int eh_record_parse(eh_str s, const char *where, eh_record *r, eh_err *err)
{
    eh_record made = {0};
    reader in = {.r = &made, .where = where, .err = err};
    in.rc = eh_json_parse(s, where, &made.root, err);
    if (in.rc == EH_OK)
        read_all(&in, made.root);
    if (in.rc < 0) {
        eh_record_clear(&made);
        return in.rc;
    }
    *r = made;
    return EH_OK;
}

int eh_record_read(const char *path, eh_record *r, eh_err *err)
{
    eh_buf b = {0};
    int rc = eh_file_read(path, EH_RECORD_BYTES, &b, err);
    if (rc == EH_OK)
        rc = eh_record_parse(eh_buf_get(&b), path, r, err);
    eh_buf_clear(&b);
    return rc;
}

void eh_record_clear(eh_record *r)
{
    if (r == NULL)
        return;
    json_decref(r->root);
    eh_arena_clear(&r->mem);
    *r = (eh_record){0};
}

bool eh_row_is(const eh_record_row *row, eh_score_kind kind)
{
    return kind == EH_SCORE_OTHER ? row->kind != EH_SCORE_BIAS && row->kind != EH_SCORE_UTILITY : row->kind == kind;
}

bool eh_record_is_edited(const eh_record *r)
{
    for (int64_t i = 0; i < r->n_row; i++)
        if (r->row[i].has_after)
            return true;
    return false;
}
