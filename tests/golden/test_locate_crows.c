/*
 * Locating on 100 CrowS pairs of SmolLM2, held to PyTorch: head_effect item by item to its gradient
 * estimate, and our confirmation by ablation to its real ablations of the same heads
 * (golden/smollm2/head_ablation_crows.safetensors; its README has the signs).
 */
#include "check.h"
#include "session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "golden_file.h"
#include "stats/correlation.h"

#define N_LAYER 30
#define N_HEAD 9
#define N_UNIT (N_LAYER * N_HEAD)
#define N_PAIR 100

/* crows.jsonl's first pairs in the form of our own. */
static void write_pairs(const char *dir)
{
    eh_buf text = {0}, out = {0};
    eh_err err;
    char path[5000];
    CHECK_OK(eh_file_read(shared_path("golden/smollm2/crows.jsonl"), 1 << 24, &text, &err));
    int64_t at = 0;
    for (int i = 0; i < N_PAIR; i++) {
        const char *end = memchr(text.p + at, '\n', (size_t)(text.n - at));
        CHECK(end != NULL);
        json_t *o = NULL;
        eh_str more, less;
        CHECK_OK(eh_json_parse((eh_str){text.p + at, end - (text.p + at)}, "crows.jsonl", &o, &err));
        CHECK_OK(eh_json_str(o, "crows.jsonl", "sent_more", &more, &err));
        CHECK_OK(eh_json_str(o, "crows.jsonl", "sent_less", &less, &err));
        eh_buf_printf(&out, "{\"id\":\"%03d\",\"category\":\"Crows\",\"direction\":\"stereo\",\"cluster\":\"%03d\",", i,
                      i);
        eh_buf_str(&out, EH_STR("\"sent_more\":"));
        eh_buf_json(&out, more);
        eh_buf_str(&out, EH_STR(",\"sent_less\":"));
        eh_buf_json(&out, less);
        eh_buf_str(&out, EH_STR("}\n"));
        json_decref(o);
        at = end - text.p + 1;
    }
    snprintf(path, sizeof path, "%s/pairs.jsonl", dir);
    CHECK_OK(eh_file_write(path, eh_buf_get(&out), &err));
    eh_buf_clear(&text);
    eh_buf_clear(&out);
}

/* Every line of a JSON Lines file. */
static json_t *read_lines(const char *dir, const char *name)
{
    char path[5000];
    eh_buf text = {0};
    eh_err err;
    json_t *all = json_array();
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(eh_file_read(path, 1 << 28, &text, &err));
    for (int64_t at = 0; at < text.n;) {
        const char *end = memchr(text.p + at, '\n', (size_t)(text.n - at));
        json_t *o = NULL;
        CHECK_OK(eh_json_parse((eh_str){text.p + at, end - (text.p + at)}, name, &o, &err));
        json_array_append_new(all, o);
        at = end - text.p + 1;
    }
    eh_buf_clear(&text);
    return all;
}

static double number_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

TEST(crows_effects_and_ablations_are_pytorchs)
{
    if (smollm2_path() == NULL || shared_path("golden/smollm2/head_ablation_crows.safetensors") == NULL)
        SKIP("needs SmolLM2 and the golden ablations");
    eh_err err;
    eh_session *on;
    eh_head_map *map;
    char pairs[4096], out[5000];
    snprintf(pairs, sizeof pairs, "%s", temp_dir());
    snprintf(out, sizeof out, "%s/out", temp_dir());
    write_pairs(pairs);
    CHECK_OK(session_open(smollm2_path(), NULL, &on, &err));
    eh_locate_options o;
    eh_locate_options_init(&o, sizeof o);
    eh_audit_options audit;
    eh_audit_options_init(&audit, sizeof audit);
    audit.tasks = "pairs";
    audit.probes = pairs;
    audit.out = out;
    audit.resamples = 1000;
    o.audit = &audit;
    o.split = EH_SPLIT_ALL;
    o.statistic = EH_HEAD_EFFECT;
    o.permutations = 99;
    o.confirm = 3;
    CHECK_OK(eh_locate_run(on, &o, &map, &err));
    const eh_locate_result *r = eh_head_map_get(map);
    CHECK_INT(r->n_item, N_PAIR);
    CHECK(!r->found); /* no head carries the bias of all pairs of this set */

    eh_weights *w = golden_open(shared_path("golden/smollm2/head_ablation_crows.safetensors"));
    int64_t n_base, n_change, n_estimate;
    float *base = golden_floats(w, "base", &n_base);
    float *change = golden_floats(w, "ablation_change", &n_change);
    float *estimate = golden_floats(w, "grad_estimate", &n_estimate);
    CHECK(n_base == N_PAIR && n_change == N_UNIT * N_PAIR && n_estimate == N_UNIT * N_PAIR);

    /* Item by item: the measure, and head_effect = -grad_estimate, relative to the largest of all. */
    json_t *items = read_lines(out, "samples_locate.jsonl");
    double largest = 0.0, worst = 0.0, worst_base = 0.0;
    static double mean_effect[N_UNIT], mean_change[N_UNIT], mean_want[N_UNIT];
    CHECK_INT(json_array_size(items), N_PAIR);
    for (size_t i = 0; i < N_PAIR; i++) {
        const json_t *item = json_array_get(items, i);
        const json_t *effect = json_object_get(json_object_get(item, "heads"), "head_effect");
        worst_base = fmax(worst_base, fabs(number_at(json_object_get(item, "measure"), 2) - (double)base[i]));
        for (size_t u = 0; u < N_UNIT; u++) {
            const double want = -(double)estimate[u * N_PAIR + i], got = number_at(effect, u);
            largest = fmax(largest, fabs(want));
            worst = fmax(worst, fabs(want - got));
            mean_effect[u] -= got / N_PAIR;
            mean_want[u] -= want / N_PAIR;
            mean_change[u] += (double)change[u * N_PAIR + i] / N_PAIR;
        }
    }
    json_decref(items);
    CHECK_NEAR(worst_base, 0.0, 1e-3);
    CHECK_NEAR(worst / largest, 0.0, 1e-3);

    /* Our mean effects rank heads as PyTorch's do: nearly the same order (the means are within 5e-4 of the largest
     * effect, so only heads nearer to each other than that can change places), and so the same rank correlation with
     * PyTorch's ablations. That one is computed here from the golden file; its README says 0.70. */
    double rho, want_rho, same;
    CHECK_OK(eh_spearman(mean_want, mean_change, N_UNIT, &want_rho, &err));
    CHECK_NEAR(want_rho, 0.70, 0.005);
    CHECK_OK(eh_spearman(mean_effect, mean_change, N_UNIT, &rho, &err));
    CHECK_NEAR(rho, want_rho, 1e-3);
    CHECK_OK(eh_spearman(mean_effect, mean_want, N_UNIT, &same, &err));
    CHECK_NEAR(same, 1.0, 1e-4);

    /* Our ablations of six heads, item by item. */
    json_t *heads = read_lines(out, "samples_confirm.jsonl");
    double worst_change = 0.0;
    CHECK_INT(json_array_size(heads), 6);
    for (size_t k = 0; k < json_array_size(heads); k++) {
        const json_t *h = json_array_get(heads, k);
        const int64_t u = json_integer_value(json_object_get(h, "layer")) * N_HEAD +
                          json_integer_value(json_object_get(h, "head"));
        for (size_t i = 0; i < N_PAIR; i++)
            worst_change = fmax(worst_change, fabs(number_at(json_object_get(h, "zero"), i) -
                                                   (double)change[u * N_PAIR + (int64_t)i]));
    }
    json_decref(heads);
    CHECK_NEAR(worst_change, 0.0, 1e-3);
    printf("base within %.1e, head_effect within %.1e of the largest, Spearman %.4f (PyTorch's %.4f, between the two "
           "%.6f), ablations within %.1e nats\n",
           worst_base, worst / largest, rho, want_rho, same, worst_change);
    free(base);
    free(change);
    free(estimate);
    eh_weights_close(w);
    eh_head_map_close(map);
    session_close(on);
}
