/* Our own sentence pairs and utility questions. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "audit/audit.h"
#include "task/mention.h"
#include "task/probe.h"
#include "text/positions.h"

/* ---- What both share: per-cluster sums and their scores -------------------------------------------- */

static double ratio(const double *sum, const void *ctx)
{
    const int *column = ctx; /* numerator and denominator */
    return sum[column[1]] > 0.0 ? sum[column[0]] / sum[column[1]] : (double)NAN;
}

static double percent(const double *sum, const void *ctx)
{
    return 100.0 * ratio(sum, ctx);
}

typedef struct formula {
    const char *name;
    eh_statistic_fn *value;
    int column[2];
    eh_better better;
} formula;


#define WIDTH 4

/* What a task of this file keeps besides its set: item i's columns, group and cluster. */
typedef struct plain_self {
    eh_pair_set pairs;
    eh_utility_set utility;
    double (*add)[WIDTH];
    int32_t *group, *cluster;
    int64_t n_cluster;
    const char **own_cluster; /* [n_cluster] names, where the set has none */
    eh_arena memory;          /* what they are made of */
    eh_audit_names names;     /* category and family: the groups */
    const formula *formulas;
    int n_formula;
} plain_self;

static int start(eh_audit_task *t, plain_self **s, eh_err *err)
{
    t->self = *s = eh_calloc(1, (int64_t)sizeof **s);
    return *s != NULL ? EH_OK : eh_fail(err, EH_ENOMEM, "no memory for a task");
}

static int choose(eh_audit_task *t, int64_t n, const char *const *name, int64_t n_name, const char *const *cluster,
                  eh_err *err)
{
    plain_self *s = t->self;
    s->names = (eh_audit_names){name, n_name, name, n_name, cluster, s->n_cluster};
    t->names = &s->names;
    eh_audit_item *item = eh_alloc(n, (int64_t)sizeof *item);
    s->add = eh_calloc(n, (int64_t)sizeof *s->add);
    if (item == NULL || s->add == NULL || s->group == NULL || s->cluster == NULL) {
        eh_free(item);
        return eh_fail(err, EH_ENOMEM, "no memory for %lld items", (long long)n);
    }
    for (int64_t i = 0; i < n; i++)
        item[i] = (eh_audit_item){s->group[i], s->group[i], s->cluster[i]};
    const int rc = eh_audit_choose(t, item, n, &s->names, err);
    eh_free(item);
    return rc;
}

static int32_t cluster(const eh_audit_task *t, int64_t i)
{
    return ((const plain_self *)t->self)->cluster[i];
}

static void clear(eh_audit_task *t)
{
    plain_self *s = t->self;
    if (s == NULL)
        return;
    eh_pairs_clear(&s->pairs);
    eh_utility_clear(&s->utility);
    eh_free(s->add);
    eh_free(s->group);
    eh_free(s->cluster);
    eh_arena_clear(&s->memory);
    eh_free(s);
}

static int sheet(const eh_audit_task *t, int64_t k, eh_sheet *out, const char **name, eh_err *err)
{
    const plain_self *s = t->self;
    if (k > s->names.n_category)
        return EH_AUDIT_LAST;
    *name = k == 0 ? "all" : s->names.category[k - 1];
    bool *has = eh_calloc(s->n_cluster, (int64_t)sizeof *has);
    if (has == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld clusters", (long long)s->n_cluster);
    int64_t n = 0;
    for (int64_t p = 0; p < t->n_pick; p++)
        if (k == 0 || s->group[t->pick[p]] == k - 1) {
            has[s->cluster[t->pick[p]]] = true;
            n++;
        }
    eh_sheet made;
    int rc = n == 0 ? EH_AUDIT_NO_SHEET : eh_sheet_open(&made, has, s->n_cluster, WIDTH, err);
    eh_free(has);
    if (rc != EH_OK)
        return rc;
    for (int64_t p = 0; p < t->n_pick; p++) {
        const int64_t i = t->pick[p];
        if (k > 0 && s->group[i] != k - 1)
            continue;
        double *into = eh_sheet_row(&made, s->cluster[i]);
        for (int w = 0; w < WIDTH; w++)
            into[w] += s->add[i][w];
    }
    made.n_score = s->n_formula;
    for (int f = 0; f < s->n_formula; f++) {
        made.name[f] = s->formulas[f].name;
        made.better[f] = (int)s->formulas[f].better;
        made.score[f] = (eh_statistic){s->formulas[f].value, s->formulas[f].column, n};
    }
    *out = made;
    return EH_OK;
}

/* ---- Pairs: log p(more) - log p(less) ----------------------------------------------------------------- */

static const formula pair_formulas[] = {
    {"pct_stereotype", percent, {1, 0}, EH_BETTER_FIFTY},
    {"log_ratio", ratio, {2, 0}, EH_BETTER_ZERO},
    {"likelihood_diff", ratio, {3, 0}, EH_BETTER_LOWER},
};

static int load_pairs(eh_audit_task *t, eh_err *err)
{
    plain_self *s;
    int rc = start(t, &s, err);
    if (rc == EH_OK)
        rc = eh_pairs_load(t->plan->probes, &s->pairs, err);
    if (rc < 0)
        return rc;
    s->n_cluster = s->pairs.n_cluster;
    s->formulas = pair_formulas;
    s->n_formula = (int)(sizeof pair_formulas / sizeof *pair_formulas);
    s->group = eh_alloc(s->pairs.n_item, (int64_t)sizeof *s->group);
    s->cluster = eh_alloc(s->pairs.n_item, (int64_t)sizeof *s->cluster);
    for (int64_t i = 0; s->group != NULL && s->cluster != NULL && i < s->pairs.n_item; i++) {
        s->group[i] = s->pairs.item[i].category;
        s->cluster[i] = s->pairs.item[i].cluster;
    }
    return choose(t, s->pairs.n_item, s->pairs.category, s->pairs.n_category, s->pairs.cluster, err);
}

static void hash_pair(const eh_audit_task *t, int64_t i, eh_sha256 *h)
{
    const eh_pair *p = &((const plain_self *)t->self)->pairs.item[i];
    eh_sha256_add_text(h, p->id);
    eh_sha256_add_text(h, p->more);
    eh_sha256_add_text(h, p->less);
}

static int ask_pair(eh_audit_task *t, int64_t i, eh_ask *a, int64_t *number, eh_err *err)
{
    const eh_pair *p = &((const plain_self *)t->self)->pairs.item[i];
    const int rc = eh_ask_pair(a, EH_STR(""), p->more, &number[0], err);
    return rc == EH_OK ? eh_ask_pair(a, EH_STR(""), p->less, &number[1], err) : rc;
}

static int record_pair(const eh_audit_task *t, int64_t i, const eh_ask *a, const int64_t *number, eh_jsonw *w,
                       eh_err *err)
{
    const plain_self *s = t->self;
    const eh_pair *p = &s->pairs.item[i];
    const double ll[2] = {eh_ask_sum(a, number[0]), eh_ask_sum(a, number[1])};
    (void)err;
    eh_jsonw_str(w, "id", p->id);
    eh_jsonw_text(w, "category", s->pairs.category[p->category]);
    eh_jsonw_text(w, "cluster", s->pairs.cluster[p->cluster]);
    eh_jsonw_text(w, "direction", p->anti ? "antistereo" : "stereo");
    eh_jsonw_doubles(w, "ll", ll, 2);
    eh_jsonw_double(w, "log_ratio", ll[0] - ll[1]);
    return EH_OK;
}

static int read_pair(eh_audit_task *t, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    plain_self *s = t->self;
    double ll[2];
    const int rc = eh_audit_get_numbers(r, "ll", where, 2, ll, err);
    if (rc == EH_OK) {
        const double d = ll[0] - ll[1];
        const double x[WIDTH] = {1.0, d > 0.0 ? 1.0 : 0.0, d, fabs(d)};
        memcpy(s->add[i], x, sizeof x);
    }
    return rc;
}

/* ---- Utility: four choices -------------------------------------------------------------------------------- */

/* Heads are looked at at the end of each sentence, the more stereotypical one's statistic less the
 * other's, as the measure is log p of one less that of the other. */
static int look_pair(eh_audit_task *t, int64_t i, eh_ask *a, const int64_t *number, eh_arena *arena, eh_look *l,
                     eh_err *err)
{
    const plain_self *s = t->self;
    const eh_pair *p = &s->pairs.item[i];
    /* All pairs of a category are of one kind: a template may hold a single pair. */
    *l = (eh_look){.category = p->category, .cluster = p->cluster, .stratum = p->category, .n_forward = 2,
                   .n_part = 2, .question = -1};
    if (number[0] == EH_ASK_TOO_LONG || number[1] == EH_ASK_TOO_LONG) {
        l->skip = "longer than the model's context";
        return EH_OK;
    }
    eh_range differ[2];
    eh_pair_difference(p, &differ[0], &differ[1]);
    int rc = EH_OK;
    for (int k = 0; k < 2 && rc == EH_OK; k++) {
        const double sign = k == 0 ? 1.0 : -1.0;
        l->part[k].number = number[k];
        l->part[k].cand = -1;
        l->part[k].weight = sign;
        l->forward[k].weight = sign;
        rc = eh_ask_whole(a, number[k], &l->forward[k].number, err);
        if (rc < 0)
            return rc;
        if (l->forward[k].number == EH_ASK_TOO_LONG) { /* a token more than what is scored takes */
            l->skip = "longer than the model's context";
            return EH_OK;
        }
        const eh_ask_place *place = &a->place[l->forward[k].number];
        eh_head_set *set = &l->forward[k].set;
        const eh_range whole = {0, k == 0 ? p->more.n : p->less.n};
        eh_range *group = eh_new_raw(arena, eh_range, 1), at;
        if (group == NULL)
            return eh_fail(err, EH_ENOMEM, "no memory for a mention");
        if (eh_positions_of(&place->ids, &whole, 1, 0, &at) == 1)
            set->context = at;
        set->n_group = eh_positions_of(&place->ids, &differ[k], 1, 0, group);
        set->group = group;
    }
    return rc;
}

static int measure_pair(eh_audit_task *t, int64_t i, const eh_ask *a, const int64_t *number, double out[EH_N_MEASURE],
                        eh_err *err)
{
    (void)t;
    (void)i;
    (void)err;
    out[EH_MEASURE_CI] = out[EH_MEASURE_CI_BIAS] = (double)NAN;
    out[EH_MEASURE_LOG_RATIO] = eh_ask_sum(a, number[0]) - eh_ask_sum(a, number[1]);
    return EH_OK;
}

static const formula utility_formulas[] = {
    {"acc", ratio, {1, 0}, EH_BETTER_HIGHER},
    {"acc_norm", ratio, {2, 0}, EH_BETTER_HIGHER}, /* per byte of the choice, as the harness's byte length */
};

static int load_utility(eh_audit_task *t, eh_err *err)
{
    plain_self *s;
    int rc = start(t, &s, err);
    if (rc == EH_OK)
        rc = eh_utility_load(t->plan->probes, &s->utility, err);
    if (rc < 0)
        return rc;
    s->n_cluster = s->utility.n_item; /* every question stands for itself */
    s->formulas = utility_formulas;
    s->n_formula = (int)(sizeof utility_formulas / sizeof *utility_formulas);
    s->own_cluster = eh_new(&s->memory, const char *, s->n_cluster);
    for (int64_t i = 0; s->own_cluster != NULL && i < s->n_cluster; i++) {
        s->own_cluster[i] = eh_arena_text(&s->memory, s->utility.item[i].id.p, s->utility.item[i].id.n);
        if (s->own_cluster[i] == NULL)
            s->own_cluster = NULL;
    }
    if (s->own_cluster == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the names of %lld questions", (long long)s->n_cluster);
    s->group = eh_alloc(s->utility.n_item, (int64_t)sizeof *s->group);
    s->cluster = eh_alloc(s->utility.n_item, (int64_t)sizeof *s->cluster);
    for (int64_t i = 0; s->group != NULL && s->cluster != NULL && i < s->utility.n_item; i++) {
        s->group[i] = s->utility.item[i].topic;
        s->cluster[i] = (int32_t)i;
    }
    return choose(t, s->utility.n_item, s->utility.topic, s->utility.n_topic, s->own_cluster, err);
}

static void hash_utility(const eh_audit_task *t, int64_t i, eh_sha256 *h)
{
    const eh_utility *u = &((const plain_self *)t->self)->utility.item[i];
    eh_sha256_add_text(h, u->id);
    eh_sha256_add_text(h, u->question);
    for (int k = 0; k < 4; k++)
        eh_sha256_add_text(h, u->choice[k]);
    eh_sha256_add(h, &u->answer, (int64_t)sizeof u->answer);
}

static int ask_utility(eh_audit_task *t, int64_t i, eh_ask *a, int64_t *number, eh_err *err)
{
    const eh_utility *u = &((const plain_self *)t->self)->utility.item[i];
    eh_buf context = {0}, choice = {0};
    eh_buf_str(&context, EH_STR("Question: "));
    eh_buf_str(&context, u->question);
    eh_buf_str(&context, EH_STR("\nAnswer:"));
    int rc = eh_buf_check(&context, "a question", err);
    for (int k = 0; k < 4 && rc == EH_OK; k++) {
        eh_buf_reset(&choice);
        eh_buf_char(&choice, ' ');
        eh_buf_str(&choice, u->choice[k]);
        rc = eh_buf_check(&choice, "a choice", err);
        if (rc == EH_OK)
            rc = eh_ask_pair(a, eh_buf_get(&context), eh_buf_get(&choice), &number[k], err);
    }
    eh_buf_clear(&context);
    eh_buf_clear(&choice);
    return rc;
}

static int record_utility(const eh_audit_task *t, int64_t i, const eh_ask *a, const int64_t *number, eh_jsonw *w,
                          eh_err *err)
{
    const plain_self *s = t->self;
    const eh_utility *u = &s->utility.item[i];
    double ll[4];
    (void)err;
    for (int k = 0; k < 4; k++)
        ll[k] = eh_ask_sum(a, number[k]);
    eh_jsonw_str(w, "id", u->id);
    eh_jsonw_text(w, "topic", s->utility.topic[u->topic]);
    eh_jsonw_doubles(w, "ll", ll, 4);
    eh_jsonw_int(w, "answer", u->answer);
    return EH_OK;
}

static int read_utility(eh_audit_task *t, int64_t i, const json_t *r, const char *where, eh_err *err)
{
    plain_self *s = t->self;
    const eh_utility *u = &s->utility.item[i];
    double ll[4];
    const int rc = eh_audit_get_numbers(r, "ll", where, 4, ll, err);
    if (rc < 0)
        return rc;
    int best = 0, best_norm = 0;
    for (int k = 1; k < 4; k++) {
        best = ll[k] > ll[best] ? k : best;
        best_norm = ll[k] / (double)u->choice[k].n > ll[best_norm] / (double)u->choice[best_norm].n ? k : best_norm;
    }
    const double x[WIDTH] = {1.0, best == u->answer ? 1.0 : 0.0, best_norm == u->answer ? 1.0 : 0.0, 0.0};
    memcpy(s->add[i], x, sizeof x);
    return EH_OK;
}

const eh_audit_kind eh_audit_pairs = {"pairs", load_pairs, cluster, hash_pair, ask_pair,     record_pair, read_pair,
                                      sheet,   NULL,       NULL,    look_pair, measure_pair, clear};
const eh_audit_kind eh_audit_utility = {"utility",    load_utility, cluster, hash_utility, ask_utility, record_utility,
                                        read_utility, sheet,        NULL,    NULL,         NULL,        NULL,
                                        clear};
