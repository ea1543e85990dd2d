/* A planted model does what it says: its bias is where truth.json has it, and nowhere where nothing is planted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "check.h"
#include "session.h"
#include "edit/select.h"
#include "probe/heads.h"
#include "stats/correlation.h"
#include "stats/multiple.h"
#include "audit/audit.h"
#include "task/items.h"
#include "text/positions.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define N_SEED 1
#else
#ifndef N_SEED
#define N_SEED 20
#endif
#endif
#define MOST_UNITS 64

static eh_err err;

typedef struct planted {
    char dir[400];
    eh_planted truth;
    eh_session *s;
    eh_item_set items, utility;
    double *log_ratio, *ci_bias; /* [n_item] */
    float *group;                /* [n_item, n_unit] group_attention */
} planted;

static const char *top(void)
{
    static char dir[300];
    if (dir[0] == '\0')
        snprintf(dir, sizeof dir, "%s", temp_dir());
    return dir;
}

static void plant(planted *p, uint64_t seed, bool nothing)
{
    char path[500];
    memset(p, 0, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "%s/%s%d", top(), nothing ? "null" : "seed", (int)seed);
    eh_plant_options o;
    eh_session_options one = session_options(NULL, 1);
    eh_plant_options_init(&o, sizeof o);
    o.out = p->dir;
    o.seed = seed;
    o.nothing = nothing;
    one.precision = EH_F32;
    CHECK_OK(eh_plant(&o, &p->truth, &err));
    CHECK_OK(session_open(p->dir, &one, &p->s, &err));
    snprintf(path, sizeof path, "%s/items.jsonl", p->dir);
    CHECK_OK(eh_items_load(path, &p->items, &err));
    snprintf(path, sizeof path, "%s/utility.jsonl", p->dir);
    CHECK_OK(eh_items_load(path, &p->utility, &err));
    p->log_ratio = calloc((size_t)p->items.n_item, sizeof(double));
    p->ci_bias = calloc((size_t)p->items.n_item, sizeof(double));
    p->group = calloc((size_t)(p->items.n_item * p->truth.n_layer * p->truth.n_head), sizeof(float));
    CHECK(p->log_ratio != NULL && p->ci_bias != NULL && p->group != NULL);
}

static void uproot(planted *p)
{
    session_close(p->s);
    eh_dir_remove(p->dir);
    eh_items_clear(&p->items);
    eh_items_clear(&p->utility);
    free(p->log_ratio);
    free(p->ci_bias);
    free(p->group);
}

static int64_t n_unit(const planted *p)
{
    return p->truth.n_layer * p->truth.n_head;
}

static bool is_planted(const planted *p, int64_t unit)
{
    for (int64_t i = 0; i < p->truth.n_planted_head; i++)
        if (p->truth.head[i][0] * p->truth.n_head + p->truth.head[i][1] == unit)
            return true;
    return false;
}

/* Log-probabilities of an item's choices, one token each, after a text. */
static void ask_choices(eh_ask *a, const eh_item *q, eh_str text, int64_t *number)
{
    int32_t cand[EH_ITEM_CHOICES];
    for (int k = 0; k < q->n_choice; k++)
        CHECK_OK(eh_ask_first_token(a, text, q->choice[k], &cand[k], &err));
    CHECK_OK(eh_ask_next(a, text, cand, q->n_choice, number, &err));
}

/* Measures all items, and looks at the heads while it does where `look` says so. */
static void measure(planted *p, bool look)
{
    const int64_t n = p->items.n_item;
    eh_ask a = {.who = eh_audit_asker(p->s, false), .places = true};
    int64_t *number = calloc((size_t)(2 * n), sizeof *number);
    eh_range *at = calloc((size_t)n, sizeof *at);
    eh_head_set *set = calloc((size_t)(2 * n), sizeof *set);
    CHECK(number != NULL && at != NULL && set != NULL);
    for (int64_t i = 0; i < n; i++) {
        const eh_item *q = &p->items.item[i];
        ask_choices(&a, q, q->prompt, &number[2 * i]);
        ask_choices(&a, q, q->question, &number[2 * i + 1]);
        const eh_ask_place *place = &a.place[number[2 * i]];
        CHECK_INT(q->n_mention, 1);
        CHECK_INT(eh_positions_of(&place->ids, q->mention, 1, place->prompt_at, &at[i]), 1);
        CHECK_INT(at[i].end - at[i].from, 1);
        set[2 * i] = (eh_head_set){.group = &at[i], .n_group = 1};
        set[2 * i + 1].skip = true;
    }
    eh_head_probe probe = {0};
    CHECK_OK(eh_head_probe_start(&probe, p->s, a.request, set, a.n, &err));
    const eh_observer o = eh_head_probe_observer(&probe);
    CHECK_OK(eh_audit_answer(p->s, &a, &o, look ? 1 : 0, &err));
    for (int64_t i = 0; i < n; i++) {
        const eh_item *q = &p->items.item[i];
        double d[2];
        for (int k = 0; k < 2; k++) {
            const float *lp = a.answer[number[2 * i + k]].cand_logprob;
            d[k] = (double)lp[q->biased] - (double)lp[q->other];
        }
        p->log_ratio[i] = d[0];
        p->ci_bias[i] = 1.0 / (1.0 + exp(-d[0])) - 1.0 / (1.0 + exp(-d[1])); /* there are two choices */
        if (look)
            memcpy(p->group + i * n_unit(p), probe.value + number[2 * i] * EH_HEAD_N_FORWARD * n_unit(p),
                   (size_t)n_unit(p) * sizeof(float));
    }
    eh_head_probe_clear(&probe);
    eh_ask_clear(&a);
    free(number);
    free(at);
    free(set);
}

static double accuracy(planted *p)
{
    eh_ask a = {.who = eh_audit_asker(p->s, false)};
    int64_t number, right = 0;
    for (int64_t i = 0; i < p->utility.n_item; i++) {
        ask_choices(&a, &p->utility.item[i], p->utility.item[i].prompt, &number);
        CHECK_INT(number, i);
    }
    CHECK_OK(eh_audit_answer(p->s, &a, NULL, 0, &err));
    for (int64_t i = 0; i < p->utility.n_item; i++) {
        const eh_item *q = &p->utility.item[i];
        int best = 0;
        for (int k = 1; k < q->n_choice; k++)
            if (a.answer[i].cand_logprob[k] > a.answer[i].cand_logprob[best])
                best = k;
        right += best == q->answer;
    }
    eh_ask_clear(&a);
    return (double)right / (double)p->utility.n_item;
}

static double mean(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

static void silence(planted *p, const int64_t (*unit)[2], int64_t n, eh_unit_kind kind)
{
    eh_unit_edit edit[16];
    for (int64_t i = 0; i < n; i++)
        edit[i] = (eh_unit_edit){
            .kind = kind, .layer = unit[i][0], .index = unit[i][1], .mode = EH_EDIT_ZERO, .alpha = 1.0};
    CHECK_OK(eh_session_edit(p->s, edit, n, &err));
}

/* Pearson of each head's group_attention with y over all items. */
static void correlate(const planted *p, const double *y, double r[MOST_UNITS])
{
    const int64_t n = p->items.n_item;
    double *x = calloc((size_t)n, sizeof *x);
    CHECK(x != NULL && n_unit(p) <= MOST_UNITS);
    for (int64_t u = 0; u < n_unit(p); u++) {
        for (int64_t i = 0; i < n; i++)
            x[i] = (double)p->group[i * n_unit(p) + u];
        CHECK_OK(eh_pearson(x, y, n, &r[u], &err));
    }
    free(x);
}

static double auc_of(const planted *p, const double *r)
{
    double size[MOST_UNITS], auc = 0.0;
    bool positive[MOST_UNITS];
    for (int64_t u = 0; u < n_unit(p); u++) {
        size[u] = fabs(r[u]);
        positive[u] = is_planted(p, u);
    }
    CHECK_OK(eh_auc(size, positive, n_unit(p), &auc, &err));
    return auc;
}

/* The selection of docs/methods/heads.md on all items: p by permutation within templates, Benjamini-Hochberg over
 * heads and categories at 0.05, |r| from 0.1, 30 % of the categories. Returns how many heads. */
static int64_t select_heads(const planted *p, const double *y, uint64_t seed, eh_pick *pick)
{
    const int64_t n_category = p->items.n_category, n_u = n_unit(p), n = p->items.n_item;
    double *r = calloc((size_t)(3 * n_category * n_u), sizeof *r);
    double *pv = r + n_category * n_u, *q = pv + n_category * n_u;
    float *x = calloc((size_t)(n * n_u), sizeof *x);
    double *yc = calloc((size_t)n, sizeof *yc);
    int32_t *cluster = calloc((size_t)n, sizeof *cluster);
    eh_correlation c[MOST_UNITS];
    CHECK(r != NULL && x != NULL && yc != NULL && cluster != NULL);
    for (int64_t k = 0; k < n_category; k++) {
        int64_t on = 0;
        for (int64_t i = 0; i < n; i++)
            if (p->items.item[i].category == k) {
                memcpy(x + on * n_u, p->group + i * n_u, (size_t)n_u * sizeof *x);
                yc[on] = y[i];
                cluster[on++] = p->items.item[i].cluster;
            }
        const eh_sample s = {x, yc, cluster, cluster, on, n_u};
        const eh_correlate_options options = {.seed = seed, .n_permutation = 199, .n_bootstrap = 20};
        CHECK_OK(eh_correlate(&s, &options, c, NULL, &err));
        for (int64_t u = 0; u < n_u; u++) {
            r[k * n_u + u] = c[u].r;
            pv[k * n_u + u] = c[u].p;
        }
    }
    CHECK_OK(eh_bh(pv, n_category * n_u, q, &err));
    int64_t n_pick = 0;
    CHECK_OK(eh_select_heads(r, q, n_category, p->truth.n_layer, p->truth.n_head,
                             &(eh_select_options){.q = 0.05, .floor = 0.1, .share = 0.3}, pick, &n_pick, &err));
    free(r);
    free(x);
    free(yc);
    free(cluster);
    return n_pick;
}

/* As many other heads of the same layers that are not planted. */
static void others(const planted *p, uint64_t seed, int64_t unit[16][2])
{
    eh_pick pick[16], twin[16];
    for (int64_t i = 0; i < p->truth.n_planted_head; i++)
        pick[i] = (eh_pick){.layer = p->truth.head[i][0], .head = p->truth.head[i][1]};
    CHECK_OK(eh_select_twin(pick, p->truth.n_planted_head, p->truth.n_layer, p->truth.n_head, seed, 0, twin, &err));
    for (int64_t i = 0; i < p->truth.n_planted_head; i++) {
        unit[i][0] = twin[i].layer;
        unit[i][1] = twin[i].head;
        CHECK(!is_planted(p, twin[i].layer * p->truth.n_head + twin[i].head));
    }
}

TEST(a_planted_bias_is_where_the_truth_has_it)
{
    int64_t n_planted = 0, n_false = 0;
    double least_ratio = INFINITY, least_auc = 1.0, most_left = 0.0, most_moved = 0.0, least_r = 1.0, most_r = 0.0;
    for (uint64_t seed = 1; seed <= N_SEED; seed++) {
        planted p;
        double r[MOST_UNITS];
        int64_t other[16][2], n_biased = 0;
        eh_pick pick[MOST_UNITS];
        plant(&p, seed, false);
        const int64_t n = p.items.n_item;
        measure(&p, true);

        /* The model is biased, in nearly every item, and knows its facts. */
        const double ratio = mean(p.log_ratio, n), ci = mean(p.ci_bias, n), acc = accuracy(&p);
        for (int64_t i = 0; i < n; i++)
            n_biased += p.log_ratio[i] > 0.0;
        CHECK(ratio > 1.0 && ci > 0.2 && (double)n_biased > 0.95 * (double)n);
        CHECK(acc >= 0.99);
        least_ratio = fmin(least_ratio, ratio);

        /* Its heads go with the bias, and no others do, by either measure; the selection has them first, and of
         * what else it takes no more than the false-discovery rate allows. */
        correlate(&p, p.ci_bias, r);
        CHECK(auc_of(&p, r) >= 0.99);
        correlate(&p, p.log_ratio, r);
        least_auc = fmin(least_auc, auc_of(&p, r));
        for (int64_t u = 0; u < n_unit(&p); u++)
            if (is_planted(&p, u))
                least_r = fmin(least_r, r[u]);
            else
                most_r = fmax(most_r, fabs(r[u]));
        const int64_t n_pick = select_heads(&p, p.log_ratio, seed, pick);
        CHECK(n_pick >= p.truth.n_planted_head);
        n_planted += p.truth.n_planted_head;
        n_false += n_pick - p.truth.n_planted_head;
        for (int64_t i = 0; i < p.truth.n_planted_head; i++)
            CHECK(is_planted(&p, pick[i].layer * p.truth.n_head + pick[i].head) && pick[i].score > 0.0);

        /* Without them the bias is gone, and the facts are still there. */
        silence(&p, p.truth.head, p.truth.n_planted_head, EH_UNIT_HEAD);
        measure(&p, false);
        const double left = fmax(fabs(mean(p.log_ratio, n)) / ratio, fabs(mean(p.ci_bias, n)) / ci);
        most_left = fmax(most_left, left);
        CHECK(fabs(accuracy(&p) - acc) <= 0.01);

        /* As many other heads do not carry it. */
        others(&p, seed, other);
        silence(&p, other, p.truth.n_planted_head, EH_UNIT_HEAD);
        measure(&p, false);
        most_moved = fmax(most_moved, fabs(mean(p.log_ratio, n) / ratio - 1.0));
        most_moved = fmax(most_moved, fabs(mean(p.ci_bias, n) / ci - 1.0));

        /* The planted neurons do a part of it. */
        silence(&p, p.truth.neuron, p.truth.n_planted_neuron, EH_UNIT_NEURON);
        measure(&p, false);
        const double without = mean(p.log_ratio, n) / ratio;
        CHECK(without > 0.4 && without < 0.85);
        CHECK(fabs(accuracy(&p) - acc) <= 0.01);
        uproot(&p);
    }
    print_message("%d seeds: log-ratio at least %.2f; AUC at least %.3f, planted r from %.2f, others' to %.2f; left "
                  "without the planted heads at most %.1f %%; moved by other heads at most %.1f %%; %lld selected "
                  "falsely beside %lld\n",
                  N_SEED, least_ratio, least_auc, least_r, most_r, 100.0 * most_left, 100.0 * most_moved,
                  (long long)n_false, (long long)n_planted);
    CHECK((double)n_false <= 0.05 * (double)(n_planted + n_false));
    CHECK(least_auc >= 0.99);
    CHECK(most_left <= 0.1);
    CHECK(most_moved < 0.2);
}

/* Under no effect r has a standard error of about 1 / sqrt(n): 5 % of heads pass 1.96 of them, none of 800 should
 * pass 4.5. */
TEST(where_nothing_is_planted_nothing_is_found)
{
    int64_t n_far = 0, n_all = 0, n_found = 0;
    double most = 0.0;
    for (uint64_t seed = 1; seed <= N_SEED; seed++) {
        planted p;
        double r[MOST_UNITS], square = 0.0;
        eh_pick pick[MOST_UNITS];
        plant(&p, seed, true);
        const int64_t n = p.items.n_item;
        CHECK_INT(p.truth.n_planted_head + p.truth.n_planted_neuron, 0);
        measure(&p, true);
        for (int64_t i = 0; i < n; i++)
            square += p.log_ratio[i] * p.log_ratio[i];
        CHECK(fabs(mean(p.log_ratio, n)) < 4.0 * sqrt(square) / (double)n);
        CHECK(sqrt(square / (double)n) > 0.5); /* it answers this way and that, by words alone */
        CHECK(accuracy(&p) >= 0.99);
        for (int k = 0; k < 2; k++) {
            correlate(&p, k == 0 ? p.log_ratio : p.ci_bias, r);
            for (int64_t u = 0; u < n_unit(&p); u++) {
                most = fmax(most, fabs(r[u]));
                n_far += fabs(r[u]) * sqrt((double)n) > 1.96;
                n_all++;
            }
        }
        n_found += select_heads(&p, p.log_ratio, seed, pick) > 0;
        uproot(&p);
    }
    print_message("%d seeds: largest |r| %.3f, %.1f %% beyond 1.96 standard errors; something selected in %lld\n",
                  N_SEED, most, 100.0 * (double)n_far / (double)n_all, (long long)n_found);
    CHECK(most < 4.5 / sqrt(480.0));
    CHECK((double)n_far < (N_SEED > 1 ? 0.08 : 0.2) * (double)n_all);
    CHECK(n_found <= 1 + N_SEED / 20);
}

static void read_bytes(const char *dir, const char *name, eh_buf *out)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(eh_file_read(path, 1 << 24, out, &err));
}

/* One seed, one folder, byte for byte; another seed, other places and weights. */
TEST(a_planted_model_depends_on_its_seed_alone)
{
    char dir[3][400];
    eh_planted truth[3];
    for (int i = 0; i < 3; i++) {
        snprintf(dir[i], sizeof dir[i], "%s/m", temp_dir());
        eh_plant_options o;
        eh_plant_options_init(&o, sizeof o);
        o.out = dir[i];
        o.seed = i == 2 ? 8 : 7;
        CHECK_OK(eh_plant(&o, &truth[i], &err));
    }
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                                        "items.jsonl", "utility.jsonl", "plain.txt", "truth.json"};
    for (int f = 0; f < 8; f++) {
        eh_buf a = {0}, b = {0}, c = {0};
        read_bytes(dir[0], files[f], &a);
        read_bytes(dir[1], files[f], &b);
        read_bytes(dir[2], files[f], &c);
        CHECK(a.n == b.n && memcmp(a.p, b.p, (size_t)a.n) == 0);
        if (f != 0 && f != 3)
            CHECK(a.n != c.n || memcmp(a.p, c.p, (size_t)a.n) != 0);
        eh_buf_clear(&a);
        eh_buf_clear(&b);
        eh_buf_clear(&c);
    }
    CHECK(memcmp(truth[0].head, truth[2].head, sizeof truth[0].head) != 0);
}

/* truth.json says what the call says; no two special heads share a key/value head. */
TEST(the_truth_is_written_as_it_is_told)
{
    for (uint64_t seed = 100; seed < 103; seed++) {
        char path[500];
        planted p;
        json_t *root;
        bool taken[64] = {false};
        plant(&p, seed, false);
        snprintf(path, sizeof path, "%s/truth.json", p.dir);
        CHECK_OK(eh_json_file(path, 1 << 16, &root, &err));
        CHECK_INT(json_array_size(json_object_get(root, "heads")), p.truth.n_planted_head);
        CHECK_INT(json_array_size(json_object_get(root, "neurons")), p.truth.n_planted_neuron);
        static const char *const lists[] = {"heads", "utility_heads"};
        for (int k = 0; k < 2; k++)
            for (size_t i = 0; i < json_array_size(json_object_get(root, lists[k])); i++) {
                const json_t *v = json_array_get(json_object_get(root, lists[k]), i);
                const int64_t l = json_integer_value(json_array_get(v, 0));
                const int64_t h = json_integer_value(json_array_get(v, 1));
                if (k == 0)
                    CHECK(l == p.truth.head[i][0] && h == p.truth.head[i][1]);
                CHECK(l >= 0 && l < p.truth.n_layer && h >= 0 && h < p.truth.n_head && !taken[l * 4 + h / 2]);
                taken[l * 4 + h / 2] = true;
            }
        json_decref(root);
        CHECK(p.items.n_category >= 6 && p.items.n_cluster >= 8 * p.items.n_category);
        uproot(&p);
    }
}

TEST(planting_refuses)
{
    char dir[400], file[500];
    eh_buf b = {0};
    snprintf(dir, sizeof dir, "%s/m", temp_dir());
    eh_plant_options o, again;
    eh_plant_options_init(&o, sizeof o);
    o.out = dir;
    eh_plant_options_init(&again, sizeof again);
    again.out = dir;
    again.force = true;
    eh_planted truth = {.n_item = 77};
    CHECK_FAILS(eh_plant(NULL, &truth, &err), EH_EINVAL, "needs an out folder");
    CHECK_OK(eh_plant(&o, NULL, &err));
    CHECK_FAILS(eh_plant(&o, &truth, &err), EH_EINVAL, "is there already");
    CHECK_OK(eh_plant(&again, NULL, &err));
    snprintf(file, sizeof file, "%s/thesis.tex", dir);
    CHECK_OK(eh_file_write(file, EH_STR("mine"), &err));
    CHECK_FAILS(eh_plant(&again, &truth, &err), EH_EINVAL, "holds thesis.tex");
    read_bytes(dir, "thesis.tex", &b);
    eh_buf_clear(&b);
    again.out = file;
    CHECK_FAILS(eh_plant(&again, &truth, &err), EH_EINVAL, "is not a folder");
    CHECK_INT(truth.n_item, 77);
}
