#include "task/bbq.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "task/bbq_build.h"
#include "task/bbq_rules.h"
#include "task/csv.h"
#include "task/rows.h"
#include "task/task.h"

#define EXAMPLE_ID_MAX 100000000
#define WORD_MAX 1000  /* bytes of one word of answer_info or stereotyped_groups */
#define GROUPS_MAX 100 /* stereotyped groups of one row */

const char *const eh_bbq_families[] = {
    "Age",        "Disability_status", "Gender_identity", "Nationality", "Physical_appearance", "Race_ethnicity",
    "Race_x_SES", "Race_x_gender",     "Religion",        "SES",         "Sexual_orientation",
};
const int64_t eh_bbq_n_family = (int64_t)(sizeof eh_bbq_families / sizeof eh_bbq_families[0]);

/* ---- One row ----------------------------------------------------------------------------- */

static int borrow_text(const char *place, const json_t *v, const char *what, eh_str *out, eh_err *err)
{
    if (!json_is_string(v))
        return eh_fail(err, EH_EFORMAT, "%s: %s is %s, wanted a string", place, what, eh_json_type(v));
    *out = eh_json_text(v);
    if (out->n > WORD_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: %s has %lld bytes; it may have %d", place, what, (long long)out->n,
                       WORD_MAX);
    return EH_OK;
}

/* One of two words: which is it? */
static int either(const eh_lines *r, const json_t *row, const char *key, const char *no, const char *yes, bool *out,
                  eh_err *err)
{
    eh_str s;
    const int rc = eh_json_str(row, r->where, key, &s, err);
    if (rc < 0)
        return rc == EH_ENOENT ? eh_fail(err, EH_EFORMAT, "%s: has no \"%s\"", r->where, key) : rc;
    *out = eh_str_eq(s, eh_str_of(yes));
    if (!*out && !eh_str_eq(s, eh_str_of(no)))
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is \"%.*s\", wanted \"%s\" or \"%s\"", r->where, key,
                       (int)(s.n < 80 ? s.n : 80), s.p, no, yes);
    return EH_OK;
}

static int read_int(const eh_lines *r, const json_t *row, const char *key, int64_t high, int64_t *out, eh_err *err)
{
    const int rc = eh_json_int(row, r->where, key, 0, high, out, err);
    return rc == EH_ENOENT ? eh_fail(err, EH_EFORMAT, "%s: has no \"%s\"", r->where, key) : rc;
}

/* answer_info: the words of each answer; and which answer is the unknown one. */
static int read_answer_info(const char *place, const json_t *row, eh_bbq_groups *g, eh_err *err)
{
    const json_t *info = json_object_get(row, "answer_info");
    if (!json_is_object(info))
        return eh_fail(err, EH_EFORMAT, "%s: \"answer_info\" is %s, wanted an object", place, eh_json_type(info));
    g->unknown = -1;
    for (int i = 0; i < 3; i++) {
        char key[] = "ans0";
        key[3] = (char)('0' + i);
        const json_t *pair = json_object_get(info, key);
        if (!json_is_array(pair) || json_array_size(pair) != 2)
            return eh_fail(err, EH_EFORMAT, "%s: \"answer_info\" has %s for \"%s\", wanted [word, group]", place,
                           eh_json_type(pair), key);
        int rc = borrow_text(place, json_array_get(pair, 0), "a word in \"answer_info\"", &g->word[i], err);
        if (rc == EH_OK)
            rc = borrow_text(place, json_array_get(pair, 1), "a group in \"answer_info\"", &g->group[i], err);
        if (rc < 0)
            return rc;
        if (!eh_str_eq(g->group[i], EH_STR("unknown")))
            continue;
        if (g->unknown >= 0)
            return eh_fail(err, EH_EFORMAT, "%s: \"answer_info\" marks two answers as unknown, wanted one", place);
        g->unknown = i;
    }
    if (g->unknown < 0)
        return eh_fail(err, EH_EFORMAT, "%s: \"answer_info\" marks no answer as unknown, wanted one", place);
    return EH_OK;
}

/* additional_metadata.stereotyped_groups, into list [GROUPS_MAX]. */
static int read_stereotyped(const char *place, const json_t *row, eh_str *list, int64_t *n, eh_err *err)
{
    const json_t *v = json_object_get(json_object_get(row, "additional_metadata"), "stereotyped_groups");
    if (!json_is_array(v) || json_array_size(v) > GROUPS_MAX)
        return eh_fail(err, EH_EFORMAT,
                       "%s: \"additional_metadata\" has %s for \"stereotyped_groups\", wanted up to %d strings", place,
                       eh_json_type(v), GROUPS_MAX);
    *n = (int64_t)json_array_size(v);
    for (int64_t i = 0; i < *n; i++) {
        const int rc = borrow_text(place, json_array_get(v, (size_t)i), "one of \"stereotyped_groups\"", &list[i], err);
        if (rc < 0)
            return rc;
    }
    return EH_OK;
}

/* question_index: a string of digits in the published files, a number in some copies. */
static int read_template(const char *place, const json_t *row, int64_t *out, eh_err *err)
{
    const json_t *v = json_object_get(row, "question_index");
    int64_t x = -1;
    if (json_is_integer(v)) {
        x = json_integer_value(v);
    } else if (json_is_string(v)) {
        const eh_str s = eh_json_text(v);
        if (s.n > 0 && s.n < 10)
            x = 0;
        for (int64_t i = 0; x >= 0 && i < s.n; i++)
            x = s.p[i] >= '0' && s.p[i] <= '9' ? 10 * x + (s.p[i] - '0') : -1;
    }
    if (x < 0 || x > EXAMPLE_ID_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: \"question_index\" is %s, wanted a template's number in digits", place,
                       eh_json_type(v));
    *out = x;
    return EH_OK;
}

/* The three words, one after another in one piece of memory. */
static int keep_words(const eh_str word[3], eh_arena *memory, eh_str out[3], eh_err *err)
{
    eh_buf all = {0};
    eh_str kept = {0};
    for (int i = 0; i < 3; i++)
        eh_buf_str(&all, word[i]);
    int rc = eh_buf_check(&all, "the words of a question's groups", err);
    if (rc == EH_OK)
        rc = eh_text_keep(memory, eh_buf_get(&all), &kept, err);
    eh_buf_clear(&all);
    for (int64_t i = 0, at = 0; rc == EH_OK && i < 3; at += word[i++].n)
        out[i] = (eh_str){kept.p + at, word[i].n};
    return rc;
}

static int read_row(const eh_lines *r, const json_t *row, const char *family, eh_bbq_build *b, eh_err *err)
{
    const char *place = r->where;
    eh_bbq_row out = {0};
    eh_bbq_item *item = &out.item;
    eh_bbq_groups g = {0};
    eh_str stereotyped[GROUPS_MAX];
    eh_buf cluster = {0};
    int64_t label = 0;

    int rc = eh_row_text(r, row, "category", 1, &b->memory, &out.family, err);
    if (rc == EH_OK && family != NULL && !eh_str_eq(out.family, eh_str_of(family)))
        rc = eh_fail(err, EH_EFORMAT, "%s: \"category\" is \"%.*s\", wanted \"%s\" as the file is called", place,
                     (int)(out.family.n < 80 ? out.family.n : 80), out.family.p, family);
    if (rc == EH_OK)
        rc = read_int(r, row, "example_id", EXAMPLE_ID_MAX, &item->example_id, err);
    if (rc == EH_OK)
        rc = read_template(place, row, &g.template_number, err);
    if (rc == EH_OK)
        rc = either(r, row, "question_polarity", "nonneg", "neg", &item->neg, err);
    if (rc == EH_OK)
        rc = either(r, row, "context_condition", "ambig", "disambig", &item->disambig, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "context", 1, &b->memory, &item->context, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "question", 1, &b->memory, &item->question, err);
    for (int i = 0; rc == EH_OK && i < 3; i++) {
        char key[] = "ans0";
        key[3] = (char)('0' + i);
        rc = eh_row_text(r, row, key, 1, &b->memory, &item->option[i], err);
    }
    if (rc == EH_OK)
        rc = read_int(r, row, "label", 2, &label, err);
    if (rc == EH_OK)
        rc = read_answer_info(place, row, &g, err);
    if (rc == EH_OK)
        rc = keep_words(g.word, &b->memory, item->word, err);
    if (rc == EH_OK)
        rc = read_stereotyped(place, row, stereotyped, &g.n_stereotyped, err);
    if (rc == EH_OK && (label == g.unknown) == item->disambig)
        rc = eh_fail(err, EH_EFORMAT, "%s: \"label\" is %lld, where %d is the unknown answer, and the context is %s",
                     place, (long long)label, g.unknown, item->disambig ? "disambig" : "ambig");
    if (rc < 0)
        return rc;

    g.family = out.family;
    g.neg = item->neg;
    g.stereotyped = stereotyped;
    for (int i = 0; i < 3; i++)
        g.option[i] = item->option[i];
    item->label = (int8_t)label;
    item->unknown = (int8_t)g.unknown;
    item->stereotyped = (int8_t)eh_bbq_stereotyped(&g);
    /* The three indices add up to 3; what is neither stereotyped nor unknown is the other group. */
    item->biased = item->stereotyped < 0 ? -1
                   : item->neg           ? item->stereotyped
                                         : (int8_t)(3 - item->stereotyped - item->unknown);
    item->by_name = eh_bbq_by_name(&g);
    rc = eh_bbq_harness_biased(&g, &item->harness_biased, err);
    if (rc < 0)
        return rc;

    eh_buf_str(&cluster, out.family);
    eh_buf_printf(&cluster, "/%02lld", (long long)g.template_number); /* so that byte order is theirs */
    rc = eh_buf_check(&cluster, "the name of a template", err);
    if (rc == EH_OK)
        rc = eh_text_keep(&b->memory, eh_buf_get(&cluster), &out.cluster, err);
    eh_buf_clear(&cluster);
    return rc == EH_OK ? eh_bbq_build_add(b, &out, err) : rc;
}

static int read_rows(eh_bbq_build *b, const eh_bbq_source *file, eh_err *err)
{
    eh_lines r = eh_rows(file->text, file->where);
    json_t *row;
    int rc;
    while ((rc = eh_lines_json(&r, &row, err)) > 0) {
        rc = read_row(&r, row, file->family, b, err);
        json_decref(row);
        if (rc < 0)
            break;
    }
    return rc;
}

/* ---- The authors' metadata --------------------------------------------------------------- */

typedef struct meta_row {
    int64_t row;   /* in the build */
    int8_t target; /* as found; -1: none */
    bool by_name;
    bool typed; /* by_name was said */
} meta_row;

/* The row of that family and id, or -1. */
static int64_t find_row(const eh_bbq_build *b, eh_str family, int64_t id)
{
    int64_t low = 0, high = b->n;
    while (low < high) {
        const int64_t mid = low + (high - low) / 2;
        const int c = eh_str_order(b->row[mid].family, family);
        if (c < 0 || (c == 0 && b->row[mid].item.example_id < id))
            low = mid + 1;
        else
            high = mid;
    }
    return low < b->n && eh_str_eq(b->row[low].family, family) && b->row[low].item.example_id == id ? low : -1;
}

/* An empty cell, R's NA, and the x of the authors' script all mean: no single such answer. */
static bool no_value(eh_str s)
{
    return s.n == 0 || eh_str_eq(s, EH_STR("NA")) || eh_str_eq(s, EH_STR("x"));
}

static int read_meta_row(const eh_csv *csv, const int64_t *column, eh_bbq_build *b, meta_row *out, eh_err *err)
{
    int64_t id, target = -1;
    int rc = eh_csv_int(csv, column[1], 0, EXAMPLE_ID_MAX, &id, err);
    if (rc == EH_OK && !no_value(eh_csv_cell(csv, column[2])))
        rc = eh_csv_int(csv, column[2], 0, 2, &target, err);
    if (rc < 0)
        return rc;
    const eh_str type = eh_csv_cell(csv, column[3]);
    const bool name = eh_str_eq(type, EH_STR("name"));
    if (!name && !no_value(type) && !eh_str_eq(type, EH_STR("label")))
        return eh_fail(err, EH_EFORMAT, "%s: line %lld: \"label_type\" is \"%.*s\", wanted \"label\" or \"name\"",
                       csv->where, (long long)csv->row_line, (int)(type.n < 80 ? type.n : 80), type.p);
    *out = (meta_row){find_row(b, eh_csv_cell(csv, column[0]), id), (int8_t)target, name, !no_value(type)};
    if (out->row >= 0 && target == b->row[out->row].item.unknown)
        return eh_fail(err, EH_EFORMAT,
                       "%s: line %lld: \"target_loc\" is %lld, which is the unknown answer of that question",
                       csv->where, (long long)csv->row_line, (long long)target);
    return EH_OK;
}

/*
 * target_loc is, by the authors' word (their issue 11), the answer that shows the bias: in nonneg
 * rows the group that is not stereotyped. Their published script, however, fills the column with
 * the stereotyped group's place in both polarities. Which of the two a file holds is plain from its
 * nonneg rows, and a wrong guess would turn every score's sign: so it is looked at, not assumed.
 */
static bool names_the_stereotyped(const eh_bbq_build *b, const meta_row *m, int64_t n)
{
    int64_t stereotyped = 0, biased = 0;
    for (int64_t i = 0; i < n; i++) {
        const eh_bbq_item *item = &b->row[m[i].row].item;
        stereotyped += !item->neg && item->stereotyped >= 0 && m[i].target == item->stereotyped;
        biased += !item->neg && item->stereotyped >= 0 && m[i].target == item->biased;
    }
    return stereotyped > biased;
}

static int apply_meta(eh_bbq_build *b, const eh_bbq_source *file, eh_err *err)
{
    static const char *const names[4] = {"category", "example_id", "target_loc", "label_type"};
    int64_t column[4], n = 0;
    eh_bbq_report *report = &b->report;
    eh_csv csv;
    meta_row *list = NULL;
    bool *seen = NULL;
    int rc = eh_csv_open(&csv, file->text, file->where, err);
    if (rc < 0)
        return rc;
    for (int i = 0; rc == EH_OK && i < 4; i++)
        rc = eh_csv_column(&csv, names[i], &column[i], err);
    if (rc < 0)
        goto done;
    list = eh_alloc(b->n > 0 ? b->n : 1, (int64_t)sizeof *list);
    seen = eh_calloc(b->n > 0 ? b->n : 1, (int64_t)sizeof *seen);
    if (list == NULL || seen == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for the metadata of %lld questions", (long long)b->n);
        goto done;
    }
    while ((rc = eh_csv_next(&csv, err)) > 0) {
        meta_row m;
        rc = read_meta_row(&csv, column, b, &m, err);
        if (rc < 0)
            goto done;
        if (m.row < 0) {
            report->n_meta_unused++;
            continue;
        }
        if (seen[m.row]) {
            rc = eh_fail(err, EH_EFORMAT, "%s: line %lld: a second row for %.*s example_id %lld", file->where,
                         (long long)csv.row_line, (int)(b->row[m.row].family.n < 80 ? b->row[m.row].family.n : 80),
                         b->row[m.row].family.p, (long long)b->row[m.row].item.example_id);
            goto done;
        }
        seen[m.row] = true;
        list[n++] = m;
    }
    if (rc < 0)
        goto done;

    report->n_meta = n;
    report->meta_turned = names_the_stereotyped(b, list, n);
    for (int64_t i = 0; i < n; i++) {
        eh_bbq_item *item = &b->row[list[i].row].item;
        if (report->meta_turned && !item->neg && list[i].target >= 0)
            list[i].target = (int8_t)(3 - item->unknown - list[i].target);
        report->n_target_same += list[i].target == item->biased;
        report->n_target_differ += list[i].target != item->biased;
        item->biased = list[i].target;
        item->stereotyped = item->biased < 0 ? -1
                            : item->neg      ? item->biased
                                             : (int8_t)(3 - item->unknown - item->biased);
        if (!list[i].typed)
            continue;
        report->n_type_same += list[i].by_name == item->by_name;
        report->n_type_differ += list[i].by_name != item->by_name;
        item->by_name = list[i].by_name;
    }

done:
    eh_free(list);
    eh_free(seen);
    eh_csv_close(&csv);
    return rc;
}

/* ---- From memory, from a folder ------------------------------------------------------------ */

int eh_bbq_read(const eh_bbq_source *file, int64_t n_file, const eh_bbq_source *meta, eh_bbq_set *set, eh_err *err)
{
    eh_bbq_build b = {0};
    int rc = EH_OK;
    for (int64_t i = 0; rc == EH_OK && i < n_file; i++)
        rc = read_rows(&b, &file[i], err);
    if (rc == EH_OK)
        rc = eh_bbq_build_sort(&b, err);
    if (rc == EH_OK && meta != NULL)
        rc = apply_meta(&b, meta, err);
    if (rc == EH_OK)
        rc = eh_bbq_build_finish(&b, set, err);
    eh_bbq_build_drop(&b);
    return rc;
}

static const char *const places[] = {"bbq/", "", "data/", "supplemental/"};

/* The file of that name in one of the places, plain or packed; *path is NULL where there is none. */
static int find_file(const char *dir, const char *name, int n_place, char **path, eh_err *err)
{
    *path = NULL;
    for (int i = 0; i < n_place; i++)
        for (int packed = 0; packed < 2; packed++) {
            eh_buf b = {0};
            eh_buf_printf(&b, "%s/%s%s%s", dir, places[i], name, packed ? ".gz" : "");
            const int rc = eh_buf_check(&b, "a path", err);
            if (rc < 0) {
                eh_buf_clear(&b);
                return rc;
            }
            if (eh_file_exists(b.p)) {
                *path = b.p;
                return EH_OK;
            }
            eh_buf_clear(&b);
        }
    return EH_OK;
}

static int missing(const char *dir, const char *file, eh_err *err)
{
    eh_buf b = {0};
    eh_buf_printf(&b, "%s, %s/bbq and %s/data", dir, dir, dir);
    int rc = eh_buf_check(&b, "a list of places", err);
    if (rc == EH_OK)
        rc = eh_task_missing("bbq", file, b.p, EH_BBQ_PUBLISHED, err);
    eh_buf_clear(&b);
    return rc;
}

static bool is_family(const char *name)
{
    for (int64_t k = 0; k < eh_bbq_n_family; k++)
        if (strcmp(name, eh_bbq_families[k]) == 0)
            return true;
    return false;
}

int eh_bbq_load(const char *dir, const char *const *only, int64_t n_only, eh_bbq_set *set, eh_err *err)
{
    for (int64_t i = 0; only != NULL && i < n_only; i++)
        if (!is_family(only[i]))
            return eh_fail(
                err, EH_EINVAL,
                "\"%s\" is no category of BBQ; there are Age, Disability_status, Gender_identity, Nationality, "
                "Physical_appearance, Race_ethnicity, Race_x_SES, Race_x_gender, Religion, SES and "
                "Sexual_orientation",
                only[i]);

    eh_bbq_build b = {0};
    eh_buf text = {0};
    char *path = NULL;
    int64_t n_found = 0;
    int rc = EH_OK;
    for (int64_t k = 0; k < eh_bbq_n_family; k++) {
        bool asked = only == NULL;
        for (int64_t i = 0; only != NULL && i < n_only; i++)
            asked |= strcmp(only[i], eh_bbq_families[k]) == 0;
        if (!asked)
            continue;
        char name[64];
        memcpy(name, eh_bbq_families[k], strlen(eh_bbq_families[k]) + 1);
        strcat(name, ".jsonl");
        rc = find_file(dir, name, 3, &path, err);
        if (rc == EH_OK && path == NULL && only != NULL)
            rc = missing(dir, name, err);
        if (rc < 0)
            goto done;
        if (path == NULL)
            continue;
        rc = eh_file_read(path, EH_ITEMS_FILE_MAX, &text, err);
        if (rc == EH_OK)
            rc = read_rows(&b, &(eh_bbq_source){eh_buf_get(&text), path, eh_bbq_families[k]}, err);
        if (rc < 0)
            goto done;
        n_found++;
        eh_free(path);
        path = NULL;
    }
    if (n_found == 0) {
        rc = missing(dir, "<Category>.jsonl or <Category>.jsonl.gz (Age to Sexual_orientation)", err);
        goto done;
    }
    rc = eh_bbq_build_sort(&b, err);
    if (rc == EH_OK)
        rc = find_file(dir, "additional_metadata.csv", 4, &path, err);
    if (rc == EH_OK && path != NULL) {
        rc = eh_file_read(path, EH_ITEMS_FILE_MAX, &text, err);
        if (rc == EH_OK)
            rc = apply_meta(&b, &(eh_bbq_source){eh_buf_get(&text), path, NULL}, err);
    }
    if (rc == EH_OK)
        rc = eh_bbq_build_finish(&b, set, err);

done:
    eh_free(path);
    eh_buf_clear(&text);
    eh_bbq_build_drop(&b);
    return rc;
}
