#include "task/probe.h"

#include <string.h>
#include <utf8proc.h>

#include "base/file.h"
#include "base/json.h"
#include "task/bbq_build.h"
#include "task/rows.h"
#include "task/task.h"

#define PROBE_FILE_MAX ((int64_t)16 << 20)
#define TEXT_MAX 4000 /* bytes of a template's text */
#define WORDS_MAX 200 /* bytes of one side of a fill, or of an unknown phrase */
#define FILLS_MAX 16  /* fills of one template */
#define PHRASES_MAX 100
#define CATEGORIES_MAX 1000

static int load_file(const char *task, const char *dir, const char *name, char **path, eh_buf *text, eh_err *err)
{
    *path = eh_path_join(dir, name);
    if (*path == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the path of %s", name);
    if (!eh_file_exists(*path))
        return eh_task_missing(task, name, dir, EH_PROBE_PUBLISHED, err);
    return eh_file_read(*path, PROBE_FILE_MAX, text, err);
}

/* ---- Questions in BBQ's form --------------------------------------------------------------------- */

typedef struct frame {
    eh_str id, category;
    eh_str context, disambig, question[2]; /* question[1]: the negative one */
    eh_str fill[FILLS_MAX][2];             /* stereotyped, other */
    int64_t n_fill;
    int answer[2]; /* 0: X, 1: Y; answer[1]: to the negative question */
    bool by_name;
} frame;

/* A text of the template; {X} and {Y} each `least` to 1 times, and no other braces. */
static int read_text(const eh_lines *r, const json_t *row, const char *key, int least, eh_arena *memory, eh_str *out,
                     eh_err *err)
{
    int count[2] = {0};
    const int rc = eh_row_text(r, row, key, 1, memory, out, err);
    if (rc < 0)
        return rc;
    if (out->n > TEXT_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" has %lld bytes; it may have %d", r->where, key, (long long)out->n,
                       TEXT_MAX);
    for (int64_t i = 0; i < out->n; i++) {
        if (out->p[i] != '{' && out->p[i] != '}')
            continue;
        if (i + 2 >= out->n || out->p[i] != '{' || (out->p[i + 1] != 'X' && out->p[i + 1] != 'Y') ||
            out->p[i + 2] != '}')
            return eh_fail(err, EH_EFORMAT, "%s: \"%s\" has a brace at byte %lld that belongs to no {X} or {Y}",
                           r->where, key, (long long)i);
        count[out->p[i + 1] - 'X']++;
        i += 2;
    }
    for (int k = 0; k < 2; k++)
        if (count[k] < least || count[k] > 1)
            return eh_fail(err, EH_EFORMAT, "%s: \"%s\" has {%c} %d times, wanted %s", r->where, key, 'X' + k,
                           count[k], least == 1 ? "once" : "at most once");
    return EH_OK;
}

/* "X" or "Y". */
static int read_xy(const eh_lines *r, const json_t *row, const char *key, int *out, eh_err *err)
{
    eh_str s;
    const int rc = eh_json_str(row, r->where, key, &s, err);
    if (rc < 0)
        return rc == EH_ENOENT ? eh_fail(err, EH_EFORMAT, "%s: has no \"%s\"", r->where, key) : rc;
    if (s.n != 1 || (s.p[0] != 'X' && s.p[0] != 'Y'))
        return eh_fail(err, EH_EFORMAT, "%s: \"%s\" is \"%.*s\", wanted \"X\" or \"Y\"", r->where, key,
                       (int)(s.n < 80 ? s.n : 80), s.p);
    *out = s.p[0] - 'X';
    return EH_OK;
}

static int read_fills(const eh_lines *r, const json_t *row, eh_arena *memory, frame *t, eh_err *err)
{
    static const char *const side[2] = {"stereotyped", "other"};
    const json_t *fills = json_object_get(row, "fills");
    if (!json_is_array(fills) || json_array_size(fills) < 1 || json_array_size(fills) > FILLS_MAX)
        return eh_fail(err, EH_EFORMAT, "%s: \"fills\" is %s, wanted an array of 1 to %d", r->where,
                       eh_json_type(fills), FILLS_MAX);
    t->n_fill = (int64_t)json_array_size(fills);
    for (int64_t k = 0; k < t->n_fill; k++)
        for (int s = 0; s < 2; s++) {
            const int rc = eh_row_text(r, json_array_get(fills, (size_t)k), side[s], 1, memory, &t->fill[k][s], err);
            if (rc < 0)
                return rc;
            if (t->fill[k][s].n > WORDS_MAX)
                return eh_fail(err, EH_EFORMAT, "%s: a fill has %lld bytes; it may have %d", r->where,
                               (long long)t->fill[k][s].n, WORDS_MAX);
        }
    return EH_OK;
}

static int read_template(const eh_lines *r, const json_t *row, eh_arena *memory, frame *t, eh_err *err)
{
    eh_str ignored, type = EH_STR("label");
    *t = (frame){0};
    int rc = eh_row_text(r, row, "id", 1, memory, &t->id, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "category", 1, memory, &t->category, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "stereotyped", 1, memory, &ignored, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "other", 1, memory, &ignored, err);
    if (rc == EH_OK)
        rc = read_fills(r, row, memory, t, err);
    if (rc == EH_OK)
        rc = read_text(r, row, "context", 1, memory, &t->context, err);
    if (rc == EH_OK)
        rc = read_text(r, row, "disambig", 1, memory, &t->disambig, err);
    if (rc == EH_OK)
        rc = read_text(r, row, "question_neg", 0, memory, &t->question[1], err);
    if (rc == EH_OK)
        rc = read_text(r, row, "question_nonneg", 0, memory, &t->question[0], err);
    if (rc == EH_OK)
        rc = read_xy(r, row, "answer_neg", &t->answer[1], err);
    if (rc == EH_OK)
        rc = read_xy(r, row, "answer_nonneg", &t->answer[0], err);
    if (rc == EH_OK && t->answer[0] == t->answer[1])
        rc = eh_fail(err, EH_EFORMAT,
                     "%s: \"answer_neg\" and \"answer_nonneg\" are both \"%c\"; the two ask for different people",
                     r->where, 'X' + t->answer[0]);
    if (rc == EH_OK)
        rc = eh_json_str_or(row, r->where, "label_type", &type, err);
    t->by_name = eh_str_eq(type, EH_STR("name"));
    if (rc == EH_OK && !t->by_name && !eh_str_eq(type, EH_STR("label")))
        rc = eh_fail(err, EH_EFORMAT, "%s: \"label_type\" is \"%.*s\", wanted \"label\" or \"name\"", r->where,
                     (int)(type.n < 80 ? type.n : 80), type.p);
    return rc;
}

static void put_capital(eh_buf *b, eh_str s)
{
    int32_t c = 0;
    char first[4];
    const int n = eh_utf8_next(s, 0, &c);
    if (n > 0) {
        eh_buf_bytes(b, first, eh_utf8_put(utf8proc_toupper(c), first));
        s = (eh_str){s.p + n, s.n - n};
    }
    eh_buf_str(b, s);
}

/* The text with X and Y filled in, after what b already holds. */
static void put_filled(eh_buf *b, eh_str text, const eh_str xy[2])
{
    for (int64_t i = 0; i < text.n; i++) {
        if (text.p[i] != '{') {
            eh_buf_char(b, text.p[i]);
            continue;
        }
        const eh_str s = eh_buf_get(b), word = xy[text.p[i + 1] - 'X'];
        if (s.n == 0 || eh_str_ends(s, EH_STR(". ")) || eh_str_ends(s, EH_STR("! ")) || eh_str_ends(s, EH_STR("? ")))
            put_capital(b, word);
        else
            eh_buf_str(b, word);
        i += 2;
    }
}

static int keep(eh_buf *b, eh_arena *memory, eh_str *out, eh_err *err)
{
    int rc = eh_buf_check(b, "a question", err);
    if (rc == EH_OK)
        rc = eh_text_keep(memory, eh_buf_get(b), out, err);
    eh_buf_reset(b);
    return rc;
}

/* Stereotyped, other, unknown at the three places. In every second row each stands once at each
 * place, so that the order does not go with who is X: groups as stored and swapped alternate. */
static const int8_t place_orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 2, 0}, {2, 1, 0}, {2, 0, 1}, {1, 0, 2}};

/* One group of four rows: group g of category c. */
static int add_group(eh_bbq_build *b, const frame *t, int64_t fill, bool swapped, int64_t g, int64_t c,
                     const eh_str *phrase, int64_t n_phrase, eh_buf *text, eh_err *err)
{
    eh_arena *memory = &b->memory;
    const eh_str xy[2] = {t->fill[fill][swapped], t->fill[fill][!swapped]};
    const int8_t *order = place_orders[(g + c) % 6];
    int8_t at[3];
    eh_str option[3], context[2], question[2];
    int rc;

    put_filled(text, t->context, xy);
    rc = keep(text, memory, &context[0], err);
    put_filled(text, t->context, xy);
    eh_buf_char(text, ' ');
    put_filled(text, t->disambig, xy);
    if (rc == EH_OK)
        rc = keep(text, memory, &context[1], err);
    for (int k = 0; rc == EH_OK && k < 2; k++) {
        put_filled(text, t->question[k], xy);
        rc = keep(text, memory, &question[k], err);
    }
    for (int8_t i = 0; rc == EH_OK && i < 3; i++) {
        put_capital(text, order[i] == 2 ? phrase[(g + g / 6) % n_phrase] : t->fill[fill][order[i]]);
        rc = keep(text, memory, &option[i], err);
        at[order[i]] = i;
    }
    for (int k = 0; rc == EH_OK && k < 4; k++) {
        const bool neg = k < 2, disambig = k % 2 != 0;
        /* Who is right in the disambiguated text: X or Y, that is stereotyped or other. */
        const int right = t->answer[neg] ^ swapped;
        const eh_bbq_row row = {
            .item = {
                .context = context[disambig],
                .question = question[neg],
                .option = {option[0], option[1], option[2]},
                .example_id = 4 * g + k,
                .neg = neg,
                .disambig = disambig,
                .by_name = t->by_name,
                .label = disambig ? at[right] : at[2],
                .unknown = at[2],
                .stereotyped = at[0],
                .biased = neg ? at[0] : at[1],
                .harness_biased = (uint8_t)(1 << (neg ? at[0] : at[1])),
            },
            .family = t->category,
            .cluster = t->id,
        };
        rc = eh_bbq_build_add(b, &row, err);
    }
    return rc;
}

static int read_phrases(eh_str text, const char *where, eh_arena *memory, eh_str *phrase, int64_t *n, eh_err *err)
{
    json_t *root = NULL;
    int rc = eh_json_parse(text, where, &root, err);
    if (rc < 0)
        return rc;
    const json_t *list = json_object_get(root, "phrases");
    if (!json_is_array(list) || json_array_size(list) < 1 || json_array_size(list) > PHRASES_MAX) {
        rc = eh_fail(err, EH_EFORMAT, "%s: \"phrases\" is %s, wanted an array of 1 to %d strings", where,
                     eh_json_type(list), PHRASES_MAX);
        goto done;
    }
    *n = (int64_t)json_array_size(list);
    for (int64_t i = 0; rc == EH_OK && i < *n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        const eh_str s = json_is_string(v) ? eh_json_text(v) : (eh_str){0};
        if (s.n < 1 || s.n > WORDS_MAX)
            rc = eh_fail(err, EH_EFORMAT, "%s: phrase %lld is %s, wanted a string of 1 to %d bytes", where,
                         (long long)i + 1, eh_json_type(v), WORDS_MAX);
        else
            rc = eh_text_keep(memory, s, &phrase[i], err);
    }

done:
    json_decref(root);
    return rc;
}

typedef struct counter {
    eh_str name;
    int64_t n_group;
} counter;

/* The category of that name, made where it is new; NULL when there are too many. */
static counter *find_category(counter *list, int64_t *n, eh_str name)
{
    for (int64_t i = 0; i < *n; i++)
        if (eh_str_eq(list[i].name, name))
            return &list[i];
    if (*n == CATEGORIES_MAX)
        return NULL;
    list[*n] = (counter){name, 0};
    return &list[(*n)++];
}

int eh_probe_read(eh_str form, const char *form_where, eh_str unknown, const char *unknown_where, eh_bbq_set *set,
                  eh_err *err)
{
    eh_bbq_build b = {0};
    eh_lines r = eh_rows(form, form_where);
    eh_buf text = {0};
    eh_row_ids ids = {0};
    eh_str phrase[PHRASES_MAX];
    counter *list = NULL;
    json_t *row = NULL;
    int64_t n_phrase = 0, n_category = 0;
    int rc = read_phrases(unknown, unknown_where, &b.memory, phrase, &n_phrase, err);
    if (rc < 0)
        goto done;
    list = eh_alloc(CATEGORIES_MAX, (int64_t)sizeof *list);
    if (list == NULL) {
        rc = eh_fail(err, EH_ENOMEM, "no memory for %d categories", CATEGORIES_MAX);
        goto done;
    }
    while ((rc = eh_lines_json(&r, &row, err)) > 0) {
        frame t;
        rc = read_template(&r, row, &b.memory, &t, err);
        json_decref(row);
        if (rc == EH_OK)
            rc = eh_row_ids_add(&ids, t.id, r.number, err);
        if (rc < 0)
            goto done;
        counter *c = find_category(list, &n_category, t.category);
        if (c == NULL) {
            rc = eh_fail(err, EH_EFORMAT, "%s: more than %d categories", r.where, CATEGORIES_MAX);
            goto done;
        }
        for (int64_t k = 0; k < 2 * t.n_fill; k++) {
            rc = add_group(&b, &t, k / 2, k % 2 != 0, c->n_group++, c - list, phrase, n_phrase, &text, err);
            if (rc < 0)
                goto done;
        }
    }
    if (rc == EH_OK)
        rc = eh_row_ids_unique(&ids, form_where, err);
    if (rc == EH_OK && b.n == 0)
        rc = eh_fail(err, EH_EFORMAT, "%s: holds no template", form_where);
    if (rc == EH_OK)
        rc = eh_bbq_build_sort(&b, err);
    if (rc == EH_OK)
        rc = eh_bbq_build_finish(&b, set, err);

done:
    eh_free(list);
    eh_row_ids_clear(&ids);
    eh_buf_clear(&text);
    eh_bbq_build_drop(&b);
    return rc;
}

int eh_probe_load(const char *dir, eh_bbq_set *set, eh_err *err)
{
    char *form_path = NULL, *unknown_path = NULL;
    eh_buf form = {0}, unknown = {0};
    int rc = load_file("probes", dir, "bbq_form.jsonl", &form_path, &form, err);
    if (rc == EH_OK)
        rc = load_file("probes", dir, "unknown.json", &unknown_path, &unknown, err);
    if (rc == EH_OK)
        rc = eh_probe_read(eh_buf_get(&form), form_path, eh_buf_get(&unknown), unknown_path, set, err);
    eh_free(form_path);
    eh_free(unknown_path);
    eh_buf_clear(&form);
    eh_buf_clear(&unknown);
    return rc;
}

/* ---- Pairs --------------------------------------------------------------------------------------- */

/* The keys of a file's items, for eh_names_number. */
typedef struct keys {
    eh_str *key; /* [n] */
    int64_t n, room;
} keys;

static int keys_add(keys *k, eh_str s, eh_err *err)
{
    eh_str *more = eh_list_grow(k->key, k->n, &k->room, (int64_t)sizeof *more, err);
    if (more == NULL)
        return EH_ENOMEM;
    k->key = more;
    k->key[k->n++] = s;
    return EH_OK;
}

/* Numbers the keys into a fresh index [n], which the caller frees. */
static int keys_number(const keys *k, eh_arena *memory, int32_t **index, const char ***names, int64_t *n_name,
                       eh_err *err)
{
    *index = eh_alloc(k->n > 0 ? k->n : 1, (int64_t)sizeof **index);
    if (*index == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld names", (long long)k->n);
    return eh_names_number(k->key, k->n, memory, *index, names, n_name, err);
}

static int read_pair(const eh_lines *r, const json_t *row, eh_arena *memory, eh_pair *p, eh_str *category,
                     eh_str *cluster, eh_err *err)
{
    eh_str direction;
    *p = (eh_pair){0};
    int rc = eh_row_text(r, row, "id", 1, memory, &p->id, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "category", 1, memory, category, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "cluster", 1, memory, cluster, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "sent_more", 1, memory, &p->more, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "sent_less", 1, memory, &p->less, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "direction", 1, memory, &direction, err);
    if (rc < 0)
        return rc;
    p->anti = eh_str_eq(direction, EH_STR("antistereo"));
    if (!p->anti && !eh_str_eq(direction, EH_STR("stereo")))
        return eh_fail(err, EH_EFORMAT, "%s: \"direction\" is \"%.*s\", wanted \"stereo\" or \"antistereo\"",
                       r->where, (int)(direction.n < 80 ? direction.n : 80), direction.p);
    if (eh_str_eq(p->more, p->less))
        return eh_fail(err, EH_EFORMAT, "%s: \"sent_more\" and \"sent_less\" are the same sentence", r->where);
    return EH_OK;
}

int eh_pairs_read(eh_str text, const char *where, eh_pair_set *set, eh_err *err)
{
    eh_pair_set s = {0};
    eh_lines r = eh_rows(text, where);
    eh_row_ids ids = {0};
    keys category = {0}, cluster = {0};
    int32_t *category_number = NULL, *cluster_number = NULL;
    int64_t room = 0;
    json_t *row;
    int rc;
    while ((rc = eh_lines_json(&r, &row, err)) > 0) {
        eh_pair p;
        eh_str in, of;
        rc = read_pair(&r, row, &s.memory, &p, &in, &of, err);
        json_decref(row);
        if (rc == EH_OK)
            rc = eh_row_ids_add(&ids, p.id, r.number, err);
        if (rc == EH_OK)
            rc = keys_add(&category, in, err);
        if (rc == EH_OK)
            rc = keys_add(&cluster, of, err);
        if (rc < 0)
            goto done;
        eh_pair *more = eh_list_grow(s.item, s.n_item, &room, (int64_t)sizeof *more, err);
        if (more == NULL) {
            rc = EH_ENOMEM;
            goto done;
        }
        s.item = more;
        s.item[s.n_item++] = p;
    }
    if (rc == EH_OK && s.n_item == 0)
        rc = eh_fail(err, EH_EFORMAT, "%s: holds no pair", where);
    if (rc == EH_OK)
        rc = eh_row_ids_unique(&ids, where, err);
    if (rc == EH_OK)
        rc = keys_number(&category, &s.memory, &category_number, &s.category, &s.n_category, err);
    if (rc == EH_OK)
        rc = keys_number(&cluster, &s.memory, &cluster_number, &s.cluster, &s.n_cluster, err);
    for (int64_t i = 0; rc == EH_OK && i < s.n_item; i++) {
        s.item[i].category = category_number[i];
        s.item[i].cluster = cluster_number[i];
    }

done:
    eh_free(category.key);
    eh_free(cluster.key);
    eh_free(category_number);
    eh_free(cluster_number);
    eh_row_ids_clear(&ids);
    if (rc == EH_OK)
        *set = s;
    else
        eh_pairs_clear(&s);
    return rc;
}

void eh_pairs_clear(eh_pair_set *set)
{
    if (set == NULL)
        return;
    eh_free(set->item);
    eh_arena_clear(&set->memory);
    *set = (eh_pair_set){0};
}

int eh_pairs_load(const char *dir, eh_pair_set *set, eh_err *err)
{
    char *path = NULL;
    eh_buf text = {0};
    int rc = load_file("pairs", dir, "pairs.jsonl", &path, &text, err);
    if (rc == EH_OK)
        rc = eh_pairs_read(eh_buf_get(&text), path, set, err);
    eh_free(path);
    eh_buf_clear(&text);
    return rc;
}

/* ---- Utility -------------------------------------------------------------------------------------- */

static int read_utility(const eh_lines *r, const json_t *row, eh_arena *memory, eh_utility *u, eh_str *topic,
                        eh_err *err)
{
    int64_t answer = 0;
    *u = (eh_utility){0};
    int rc = eh_row_text(r, row, "id", 1, memory, &u->id, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "topic", 1, memory, topic, err);
    if (rc == EH_OK)
        rc = eh_row_text(r, row, "question", 1, memory, &u->question, err);
    if (rc == EH_OK)
        rc = eh_json_int(row, r->where, "answer", 0, 3, &answer, err);
    if (rc < 0)
        return rc == EH_ENOENT ? eh_fail(err, EH_EFORMAT, "%s: has no \"answer\"", r->where) : rc;
    u->answer = (int8_t)answer;
    const json_t *choices = json_object_get(row, "choices");
    if (!json_is_array(choices) || json_array_size(choices) != 4)
        return eh_fail(err, EH_EFORMAT, "%s: \"choices\" is %s of %lld, wanted an array of 4 strings", r->where,
                       eh_json_type(choices), (long long)json_array_size(choices));
    for (int i = 0; rc == EH_OK && i < 4; i++) {
        const json_t *v = json_array_get(choices, (size_t)i);
        if (!json_is_string(v) || json_string_length(v) == 0)
            return eh_fail(err, EH_EFORMAT, "%s: choice %d is %s, wanted a string that is not empty", r->where, i,
                           eh_json_type(v));
        rc = eh_text_keep(memory, eh_json_text(v), &u->choice[i], err);
    }
    return rc;
}

int eh_utility_read(eh_str text, const char *where, eh_utility_set *set, eh_err *err)
{
    eh_utility_set s = {0};
    eh_lines r = eh_rows(text, where);
    eh_row_ids ids = {0};
    keys topic = {0};
    int32_t *topic_number = NULL;
    int64_t room = 0;
    json_t *row;
    int rc;
    while ((rc = eh_lines_json(&r, &row, err)) > 0) {
        eh_utility u;
        eh_str in;
        rc = read_utility(&r, row, &s.memory, &u, &in, err);
        json_decref(row);
        if (rc == EH_OK)
            rc = eh_row_ids_add(&ids, u.id, r.number, err);
        if (rc == EH_OK)
            rc = keys_add(&topic, in, err);
        if (rc < 0)
            goto done;
        eh_utility *more = eh_list_grow(s.item, s.n_item, &room, (int64_t)sizeof *more, err);
        if (more == NULL) {
            rc = EH_ENOMEM;
            goto done;
        }
        s.item = more;
        s.item[s.n_item++] = u;
    }
    if (rc == EH_OK && s.n_item == 0)
        rc = eh_fail(err, EH_EFORMAT, "%s: holds no question", where);
    if (rc == EH_OK)
        rc = eh_row_ids_unique(&ids, where, err);
    if (rc == EH_OK)
        rc = keys_number(&topic, &s.memory, &topic_number, &s.topic, &s.n_topic, err);
    for (int64_t i = 0; rc == EH_OK && i < s.n_item; i++)
        s.item[i].topic = topic_number[i];

done:
    eh_free(topic.key);
    eh_free(topic_number);
    eh_row_ids_clear(&ids);
    if (rc == EH_OK)
        *set = s;
    else
        eh_utility_clear(&s);
    return rc;
}

void eh_utility_clear(eh_utility_set *set)
{
    if (set == NULL)
        return;
    eh_free(set->item);
    eh_arena_clear(&set->memory);
    *set = (eh_utility_set){0};
}

int eh_utility_load(const char *dir, eh_utility_set *set, eh_err *err)
{
    char *path = NULL;
    eh_buf text = {0};
    int rc = load_file("utility", dir, "utility.jsonl", &path, &text, err);
    if (rc == EH_OK)
        rc = eh_utility_read(eh_buf_get(&text), path, set, err);
    eh_free(path);
    eh_buf_clear(&text);
    return rc;
}
