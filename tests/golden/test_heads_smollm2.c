/*
 * Head effects on SmolLM2-135M-Instruct against ../shared/golden/smollm2: the gradient estimate and
 * real ablations on 100 CrowS pairs, and head relevance of short prompts. Skipped where the model or
 * the goldens are not there.
 */
#include <jansson.h>
#include <string.h>

#include "check.h"
#include "session.h"
#include "golden_file.h"
#include "probe/heads.h"
#include "probe/patch.h"

#define N_PAIR 100
#define N_TOK 200

static eh_err err;
static int32_t tok[2 * N_PAIR][N_TOK]; /* more, less, more, ... */
static int64_t n_tok[2 * N_PAIR];

static void read_pairs(void)
{
    FILE *f = fopen(shared_path("golden/smollm2/crows.jsonl"), "r");
    CHECK(f != NULL);
    char *line = NULL;
    size_t room = 0;
    for (int i = 0; i < N_PAIR; i++) {
        CHECK(getline(&line, &room, f) > 0);
        json_error_t e;
        json_t *row = json_loads(line, 0, &e);
        CHECK(row != NULL);
        for (int k = 0; k < 2; k++) {
            const json_t *ids = json_array_get(json_object_get(row, "cont_ids"), (size_t)k);
            int32_t *to = tok[2 * i + k];
            int64_t n = 0;
            to[n++] = 1;
            for (size_t t = 0; t < json_array_size(ids) && n < N_TOK; t++)
                to[n++] = (int32_t)json_integer_value(json_array_get(ids, t));
            n_tok[2 * i + k] = n;
        }
        json_decref(row);
    }
    free(line);
    fclose(f);
}

static eh_session *open_model(void)
{
    if (smollm2_path() == NULL || shared_path("golden/smollm2/head_ablation_crows.safetensors") == NULL)
        SKIP("needs SmolLM2 and ../shared/golden/smollm2");
    eh_session *on;
    CHECK_OK(session_open(smollm2_path(), NULL, &on, &err));
    return on;
}

static eh_weights *open_golden(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "golden/smollm2/%s", name);
    return golden_open(shared_path(path));
}

TEST(the_gradient_estimate_on_crows_pairs_is_the_stored_one)
{
    static eh_term term[2 * N_PAIR][N_TOK];
    static eh_goal goal[2 * N_PAIR];
    static double value[2 * N_PAIR];
    eh_session *on = open_model();
    eh_weights *w = open_golden("head_ablation_crows.safetensors");
    int64_t n;
    float *want = golden_floats(w, "grad_estimate", &n), *base = golden_floats(w, "base", &n);
    read_pairs();
    for (int i = 0; i < 2 * N_PAIR; i++) {
        for (int64_t t = 1; t < n_tok[i]; t++)
            term[i][t - 1] = (eh_term){.pos = t - 1, .id = tok[i][t], .weight = 1.0};
        goal[i] = (eh_goal){tok[i], n_tok[i], term[i], n_tok[i] - 1, false};
    }
    eh_effect_probe p = {0};
    CHECK_OK(eh_effect_probe_start(&p, on, 2 * N_PAIR, &err));
    const eh_observer o = eh_effect_probe_observer(&p);
    CHECK_OK(eh_attribute(on, goal, 2 * N_PAIR, EH_RULES_GRADIENT, value, &o, 1, &err));
    double worst = 0.0, off = 0.0;
    for (int64_t i = 0; i < N_PAIR; i++) {
        off = fmax(off, fabs(value[2 * i] - value[2 * i + 1] - (double)base[i]));
        for (int64_t u = 0; u < 270; u++) /* silencing takes away what the head gave */
            worst = fmax(worst, fabs(p.value[(2 * i + 1) * 270 + u] - p.value[2 * i * 270 + u] -
                                     (double)want[u * N_PAIR + i]));
    }
    const double largest = golden_largest(want, 270 * N_PAIR);
    print_message("gradient estimates of 270 heads, 100 pairs: off by %.2g at most, largest %.3g; differences %.2g\n",
                  worst, largest, off);
    CHECK(worst <= 1e-3 * largest);
    CHECK(off <= 1e-3);
    eh_effect_probe_clear(&p);
    free(want);
    free(base);
    eh_weights_close(w);
    session_close(on);
}

TEST(real_ablations_on_crows_pairs_are_the_stored_ones)
{
    static float logprob[2 * N_PAIR][N_TOK];
    static const int64_t heads[][2] = {{0, 4}, {14, 7}};
    eh_session *on = open_model();
    eh_weights *w = open_golden("head_ablation_crows.safetensors");
    int64_t n;
    float *want = golden_floats(w, "ablation_change", &n), *base = golden_floats(w, "base", &n);
    eh_request request[2 * N_PAIR];
    eh_answer answer[2 * N_PAIR];
    read_pairs();
    for (int i = 0; i < 2 * N_PAIR; i++) {
        request[i] = (eh_request){.tok = tok[i], .n_tok = n_tok[i], .from = 1};
        answer[i] = (eh_answer){.token_logprob = logprob[i]};
    }
    for (size_t h = 0; h < sizeof heads / sizeof *heads; h++) {
        const eh_ablate list = {heads[h][0], heads[h][1], NULL};
        eh_ablation a = {on, &list, 1};
        const eh_observer o = eh_ablation_observer(&a);
        CHECK_OK(eh_score_observed(on, request, 2 * N_PAIR, answer, &o, 1, &err));
        double worst = 0.0;
        for (int64_t i = 0; i < N_PAIR; i++) {
            double sum[2] = {0};
            for (int k = 0; k < 2; k++)
                for (int64_t t = 0; t < n_tok[2 * i + k] - 1; t++)
                    sum[k] += (double)logprob[2 * i + k][t];
            const double change = (double)want[(heads[h][0] * 9 + heads[h][1]) * N_PAIR + i];
            worst = fmax(worst, fabs(sum[0] - sum[1] - (double)base[i] - change));
        }
        print_message("layer %d head %d silenced: off by %.2g at most\n", (int)heads[h][0], (int)heads[h][1], worst);
        CHECK(worst <= 1e-3);
    }
    free(want);
    free(base);
    eh_weights_close(w);
    session_close(on);
}

TEST(head_relevance_of_short_prompts_is_the_stored_one)
{
    static const char *const rule[] = {"grad", "attnlrp"};
    static const int stat[] = {EH_HEAD_EFFECT, EH_HEAD_RELEVANCE};
    eh_session *on = open_model();
    eh_weights *w = open_golden("relevance.safetensors");
    for (int k = 0; k < 2; k++)
        for (int s = 0; s < 2; s++) {
            char name[100];
            int64_t n_seq, n;
            snprintf(name, sizeof name, "%d.tokens", s);
            int32_t *seq = golden_tokens(w, name, &n_seq);
            snprintf(name, sizeof name, "%d.%s.heads", s, rule[k]);
            float *want = golden_floats(w, name, &n);
            CHECK_INT(n, 270);
            const eh_term term = {.pos = n_seq - 1, .id = -1, .logit = true, .weight = 1.0};
            const eh_goal goal = {seq, n_seq, &term, 1, false};
            eh_effect_probe p = {0};
            CHECK_OK(eh_effect_probe_start(&p, on, 1, &err));
            const eh_observer o = eh_effect_probe_observer(&p);
            CHECK_OK(eh_attribute(on, &goal, 1, eh_head_stat_table[stat[k]].rules, NULL, &o, 1, &err));
            float got[270];
            for (int64_t u = 0; u < 270; u++)
                got[u] = (float)p.value[u];
            check_floats(got, want, 270, 1e-3 * golden_largest(want, 270), name);
            eh_effect_probe_clear(&p);
            free(seq);
            free(want);
        }
    eh_weights_close(w);
    session_close(on);
}
