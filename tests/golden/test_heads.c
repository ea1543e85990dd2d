/*
 * Head statistics: against the double reference's attention (tests/golden/tiny), by hand, and the
 * promise that no batch, no shared prefix and no number of threads changes a bit of them.
 */
#include "probe/heads.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "session.h"
#include "golden_file.h"

static const char *const folders[] = {"llama",  "llama-mha",   "llama-untied-scaled", "mistral", "qwen2", "qwen3",
                                      "gemma2", "gemma3_text", "cohere",              "opt",     "gpt2"};
#define N_FOLDER (sizeof folders / sizeof *folders)

static eh_err err;

static eh_session *open_tiny(const char *folder, const eh_session_options *o)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/tiny/%s", folder);
    eh_session *on;
    CHECK_OK(session_open(repo_path(path), o, &on, &err));
    return on;
}

/* One statistic of one request: [n_layer * n_head]. */
static const float *stat(const eh_head_probe *p, int64_t request, eh_head_stat s)
{
    return p->value + (request * EH_HEAD_N_FORWARD + s) * p->s->m->config.n_layer * p->s->m->config.n_head;
}

static void observe(eh_session *on, eh_head_probe *p, const eh_request *r, const eh_head_set *s, int64_t n,
                    eh_answer *a)
{
    CHECK_OK(eh_head_probe_start(p, on, r, s, n, &err));
    const eh_observer o = eh_head_probe_observer(p);
    CHECK_OK(eh_score_observed(on, r, n, a, &o, 1, &err));
}

TEST(the_table_names_each_statistic_once)
{
    for (int i = 0; i < EH_HEAD_N_STAT; i++) {
        CHECK(eh_head_stat_name(i) != NULL && eh_head_stat_table[i].source != NULL);
        CHECK_INT(eh_choice_find(EH_CHOICE_HEAD_STAT, eh_head_stat_name(i))->value, i);
        CHECK_INT(eh_head_stat_table[i].backward, i >= EH_HEAD_N_FORWARD);
    }
    CHECK(eh_choice_find(EH_CHOICE_HEAD_STAT, "max_attention") == NULL);
}

TEST(attention_sums_and_entropy_are_those_of_the_reference)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        char golden[200];
        snprintf(golden, sizeof golden, "tests/golden/tiny/%s/golden.safetensors", folders[f]);
        eh_session *on = open_tiny(folders[f], NULL);
        eh_weights *w = golden_open(repo_path(golden));
        int64_t n_tok, n;
        int32_t *tok = golden_tokens(w, "tokens.len9", &n_tok);
        float *attn = golden_floats(w, "attn.len9", &n);
        const int64_t n_unit = on->m->config.n_layer * on->m->config.n_head;
        CHECK_INT(n, n_unit * 81);
        const eh_request r = {.tok = tok, .n_tok = 9, .from = 9};
        const eh_range group[] = {{1, 2}, {4, 6}};
        const eh_head_set s = {.group = group, .n_group = 2, .context = {1, 7}};
        eh_answer a = {0};
        eh_head_probe p = {0};
        observe(on, &p, &r, &s, 1, &a);
        for (int64_t u = 0; u < n_unit; u++) {
            const float *row = attn + u * 81 + 8 * 9;
            double entropy = 0.0, context = 0.0;
            for (int k = 0; k < 9; k++)
                entropy -= row[k] > 0 ? (double)row[k] * log((double)row[k]) : 0.0;
            for (int k = 1; k < 7; k++)
                context += (double)row[k];
            CHECK_NEAR(stat(&p, 0, EH_HEAD_GROUP_ATTENTION)[u], (double)row[1] + (double)row[4] + (double)row[5], 2e-5);
            CHECK_NEAR(stat(&p, 0, EH_HEAD_CONTEXT_ATTENTION)[u], context, 2e-5);
            CHECK_NEAR(stat(&p, 0, EH_HEAD_ENTROPY)[u], entropy, 1e-4);
        }
        eh_head_probe_clear(&p);
        free(tok);
        free(attn);
        eh_weights_close(w);
        session_close(on);
    }
}

static int keep_heads(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    memcpy((float *)ctx + b->layer * b->width, b->value + b->last_row[0] * b->width, (size_t)b->width * sizeof(float));
    return 0;
}

/* ||a|| * ||W a||, with W as it is in force, straight from the definition. */
static void check_norms(eh_session *on)
{
    static float out[8 * 512];
    const eh_config *c = &on->m->config;
    const int64_t d = c->d_head, d_q = c->n_head * d;
    CHECK(c->n_layer * d_q <= 8 * 512);
    const int32_t tok[] = {3, 14, 15, 92, 65, 35};
    const eh_request r = {.tok = tok, .n_tok = 6, .from = 6};
    const eh_head_set s = {.context = {0, 1}};
    eh_answer a = {0};
    eh_head_probe p = {0};
    observe(on, &p, &r, &s, 1, &a);
    const eh_observer o = {.sites = 1u << EH_SITE_HEAD_OUT, .see = keep_heads, .ctx = out};
    CHECK_OK(eh_score_observed(on, &r, 1, &a, &o, 1, &err));
    float *w = malloc((size_t)(c->d_model * d_q) * sizeof *w);
    CHECK(w != NULL);
    for (int64_t l = 0; l < c->n_layer; l++) {
        eh_linear_rows(&on->layer[l].linear[EH_LINEAR_O], 0, c->d_model, w);
        for (int64_t h = 0; h < c->n_head; h++) {
            const float *x = out + l * d_q + h * d;
            double before = 0.0, after = 0.0;
            for (int64_t i = 0; i < d; i++)
                before += (double)x[i] * (double)x[i];
            for (int64_t i = 0; i < c->d_model; i++) {
                double y = 0.0;
                for (int64_t k = 0; k < d; k++)
                    y += (double)w[i * d_q + h * d + k] * (double)x[k];
                after += y * y;
            }
            const double want = sqrt(before) * sqrt(after);
            CHECK_NEAR(stat(&p, 0, EH_HEAD_NORM)[l * c->n_head + h], want, 1e-5 * want);
        }
    }
    free(w);
    eh_head_probe_clear(&p);
}

TEST(head_norm_is_its_definition_with_and_without_edits)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_session *on = open_tiny(folders[f], NULL);
        check_norms(on);
        const eh_unit_edit edit[] = {{EH_UNIT_HEAD, 0, 1, EH_EDIT_OUTPUT, 0.5, NULL},
                                     {EH_UNIT_HEAD, 1, 2, EH_EDIT_ZERO, 1.0, NULL}};
        CHECK_OK(eh_session_edit(on, edit, 2, &err));
        check_norms(on);
        session_close(on);
    }
}

/* ---- Many requests ------------------------------------------------------------------------------------- */

#define N_REQUEST 90

typedef struct many {
    int32_t tok[N_REQUEST][40];
    int32_t cand[2];
    eh_request request[N_REQUEST];
    eh_range group[N_REQUEST][2];
    eh_head_set set[N_REQUEST];
    float logprob[N_REQUEST][2];
    eh_answer answer[N_REQUEST];
} many;

/* Prompts on five stems, some of them the same as others; every seventh wants nothing. */
static void fill(many *x)
{
    eh_rng r = eh_rng_at(5, "heads", 0);
    *x = (many){.cand = {7, 9}};
    for (int64_t i = 0; i < N_REQUEST; i++) {
        const int64_t stem = i % 5, n = 14 + eh_rng_below(&r, 20), shared = 4 + eh_rng_below(&r, 10);
        for (int64_t k = 0; k < n; k++)
            x->tok[i][k] = (int32_t)(k < shared ? (stem * 31 + k * 7) % 300 : eh_rng_below(&r, 300));
        x->request[i] = (eh_request){x->tok[i], n, n, x->cand, 2};
        if (i >= 5 && i % 9 == 0)
            x->request[i] = x->request[i - 5];
        x->group[i][0] = (eh_range){1 + i % 3, 4};
        x->group[i][1] = (eh_range){6, 7 + i % 3};
        x->set[i] = (eh_head_set){x->group[i], i % 11 == 0 ? 0 : 2, {i % 13 == 0 ? 10 : 1, 10}, i % 7 == 0};
        x->answer[i] = (eh_answer){.cand_logprob = x->logprob[i]};
    }
}

static many x;

TEST(attention_lies_between_its_bounds)
{
    eh_session *on = open_tiny("llama", NULL);
    fill(&x);
    eh_head_probe p = {0};
    observe(on, &p, x.request, x.set, N_REQUEST, x.answer);
    for (int64_t i = 0; i < N_REQUEST; i++)
        for (int64_t u = 0; u < 8; u++) {
            const double group = (double)stat(&p, i, EH_HEAD_GROUP_ATTENTION)[u];
            const double context = (double)stat(&p, i, EH_HEAD_CONTEXT_ATTENTION)[u];
            const double entropy = (double)stat(&p, i, EH_HEAD_ENTROPY)[u];
            const double norm = (double)stat(&p, i, EH_HEAD_NORM)[u];
            const eh_head_set *s = &x.set[i];
            CHECK_INT(isnan(entropy), s->skip);
            CHECK_INT(isnan(norm), s->skip);
            CHECK_INT(isnan(group), s->skip || s->n_group == 0);
            CHECK_INT(isnan(context), s->skip || s->context.from == s->context.end);
            if (s->skip)
                continue;
            CHECK(entropy > 0.0 && entropy <= log((double)x.request[i].n_tok) + 1e-6);
            CHECK(norm > 0.0);
            if (s->n_group > 0 && s->context.from < s->context.end)
                CHECK(group > 0.0 && group <= context + 1e-7 && context <= 1.0 + 1e-6);
        }
    /* The whole prompt as context takes all there is. */
    for (int64_t i = 0; i < N_REQUEST; i++)
        x.set[i] = (eh_head_set){.context = {0, x.request[i].from}};
    observe(on, &p, x.request, x.set, N_REQUEST, x.answer);
    for (int64_t i = 0; i < N_REQUEST; i++)
        for (int64_t u = 0; u < 8; u++)
            CHECK_NEAR(stat(&p, i, EH_HEAD_CONTEXT_ATTENTION)[u], 1.0, 1e-6);
    eh_head_probe_clear(&p);
    session_close(on);
}

/* The plain product has the same bits for a row wherever it lies; the rest is the probe's own. */
TEST(no_thread_batch_or_shared_prefix_changes_a_bit)
{
    eh_session_options options[] = {session_options("reference", 1), session_options("reference", 3),
                                    session_options("reference", 2), session_options("reference", 2)};
    options[2].no_prefix_sharing = true;
    options[3].batch_tokens = 50;
    static const char *const some[] = {"llama", "mistral", "qwen3"};
    for (size_t f = 0; f < 3; f++) {
        float *first = NULL;
        float scores[N_REQUEST][2];
        size_t size = 0;
        for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
            eh_session *on = open_tiny(some[f], &options[o]);
            fill(&x);
            eh_head_probe p = {0};
            observe(on, &p, x.request, x.set, N_REQUEST, x.answer);
            const eh_config *c = &on->m->config;
            size = (size_t)(N_REQUEST * EH_HEAD_N_FORWARD * c->n_layer * c->n_head) * sizeof *first;
            if (first == NULL) {
                first = malloc(size);
                CHECK(first != NULL);
                memcpy(first, p.value, size);
                memcpy(scores, x.logprob, sizeof scores);
            }
            CHECK(memcmp(first, p.value, size) == 0);
            CHECK(memcmp(scores, x.logprob, sizeof scores) == 0);
            /* And looking on changes no score. */
            CHECK_OK(eh_score(on, x.request, N_REQUEST, x.answer, &err));
            CHECK(memcmp(scores, x.logprob, sizeof scores) == 0);
            eh_head_probe_clear(&p);
            session_close(on);
        }
        free(first);
    }
}

TEST(sets_outside_their_request_are_refused)
{
    eh_session *on = open_tiny("llama", NULL);
    const int32_t tok[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const eh_request r = {.tok = tok, .n_tok = 8, .from = 6};
    eh_head_probe p = {0};
    const eh_range late = {5, 7}, empty = {2, 2}, below = {-1, 2};
    const eh_range twice[] = {{1, 3}, {2, 4}}, turned[] = {{3, 4}, {1, 2}};
    const struct {
        eh_head_set set;
        const char *words;
    } bad[] = {
        {{.group = &late, .n_group = 1}, "mention 0 is positions 5 to 6"},
        {{.group = &empty, .n_group = 1}, "not empty"},
        {{.group = &below, .n_group = 1}, "mention 0 is positions -1 to 1"},
        {{.group = twice, .n_group = 2}, "mention 1 is positions 2 to 3"},
        {{.group = turned, .n_group = 2}, "ascending"},
        {{.context = {0, 7}}, "the context is positions 0 to 6 of a prompt of 6 tokens"},
        {{.context = {-1, 3}}, "the context"},
        {{.context = {3, 2}}, "the context"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(eh_head_probe_start(&p, on, &r, &bad[i].set, 1, &err), EH_EINVAL, bad[i].words);
        CHECK(p.value == NULL);
    }
    /* Another call than the one it was started for. */
    const eh_head_set s = {.context = {0, 6}};
    CHECK_OK(eh_head_probe_start(&p, on, &r, &s, 1, &err));
    const eh_observer o = eh_head_probe_observer(&p);
    const eh_request shorter = {.tok = tok, .n_tok = 8, .from = 5}, both[] = {r, r};
    float logprob[2][3];
    eh_answer a[] = {{.token_logprob = logprob[0]}, {.token_logprob = logprob[1]}};
    CHECK_FAILS(eh_score_observed(on, &shorter, 1, a, &o, 1, &err), EH_EINVAL, "not the one");
    CHECK_FAILS(eh_score_observed(on, both, 2, a, &o, 1, &err), EH_EINVAL, "request 1");
    CHECK_OK(eh_score_observed(on, &r, 1, a, &o, 1, &err));
    eh_head_probe_clear(&p);
    session_close(on);
}

/* ---- Backward ---------------------------------------------------------------------------------------------- */

/* Two goals over two blocks of three rows: goal 4 has rows 0..3, goal 1 rows 4..5. */
TEST(head_effect_adds_up_by_hand)
{
    eh_session *on = open_tiny("llama", NULL);
    const int64_t width = on->m->config.n_head * on->m->config.d_head;
    float *value = calloc((size_t)(6 * width), sizeof *value), *grad = calloc((size_t)(6 * width), sizeof *grad);
    CHECK(value != NULL && grad != NULL);
    for (int64_t row = 0; row < 6; row++)
        for (int64_t k = 0; k < width; k++) {
            value[row * width + k] = (float)(row + 1);
            grad[row * width + k] = (float)(k / on->m->config.d_head + 1) * (k % 2 == 0 ? 1.0f : -0.5f);
        }
    eh_effect_probe p = {0};
    CHECK_OK(eh_effect_probe_start(&p, on, 5, &err));
    const eh_observer o = eh_effect_probe_observer(&p);
    CHECK_INT(o.sites, 1u << EH_SITE_HEAD_OUT);
    const int64_t request[] = {4, 1}, first[] = {0, 4}, last[] = {3, 5};
    eh_block b = {.site = EH_SITE_HEAD_OUT, .layer = 1, .n_row = 3, .width = width, .n_request = 2, .request = request,
                  .first_row = first, .last_row = last};
    for (b.first = 0; b.first < 6; b.first += 3) {
        b.value = value + b.first * width;
        b.grad = grad + b.first * width;
        CHECK_OK(o.see(o.ctx, &b, &err));
    }
    for (int64_t g = 0; g < 5; g++)
        for (int64_t l = 0; l < 2; l++)
            for (int64_t h = 0; h < 4; h++) {
                /* Half the channels count 1, half -1/2; rows count 1+2+3+4 and 5+6. */
                const double rows = l != 1 ? 0 : g == 4 ? 10 : g == 1 ? 11 : 0;
                CHECK_NEAR(p.value[g * 8 + l * 4 + h], rows * (double)(h + 1) * 0.25 * (double)on->m->config.d_head,
                           1e-12);
            }
    b.grad = NULL;
    CHECK_FAILS(o.see(o.ctx, &b, &err), EH_EINVAL, "forward pass");
    b.grad = grad;
    const int64_t beyond[] = {5, 1};
    b.request = beyond;
    CHECK_FAILS(o.see(o.ctx, &b, &err), EH_EINVAL, "goal 5");
    eh_effect_probe_clear(&p);
    free(value);
    free(grad);
    session_close(on);
}

/* The sums over positions of the reference's head attributions; its goal is the likeliest token's logit. */
TEST(head_effect_and_relevance_are_those_of_the_reference)
{
    static const char *const rule[] = {"grad", "attnlrp"};
    static const int stat_of[] = {EH_HEAD_EFFECT, EH_HEAD_RELEVANCE}, lengths[] = {9, 33};
    for (size_t f = 0; f < N_FOLDER; f++) {
        char name[200];
        snprintf(name, sizeof name, "tests/golden/tiny/%s/golden.safetensors", folders[f]);
        eh_session *on = open_tiny(folders[f], NULL);
        eh_weights *w = golden_open(repo_path(name));
        const int64_t n_layer = on->m->config.n_layer, n_head = on->m->config.n_head;
        for (int k = 0; k < 2; k++) {
            const eh_term term[] = {{.pos = 8, .id = -1, .logit = true, .weight = 1.0},
                                    {.pos = 32, .id = -1, .logit = true, .weight = 1.0}};
            eh_goal goal[2];
            float *want[2];
            int64_t n;
            for (int i = 0; i < 2; i++) {
                snprintf(name, sizeof name, "tokens.len%d", lengths[i]);
                goal[i] = (eh_goal){.term = &term[i], .n_term = 1};
                goal[i].tok = golden_tokens(w, name, &goal[i].n_tok);
                snprintf(name, sizeof name, "%s.len%d.head", rule[k], lengths[i]);
                want[i] = golden_floats(w, name, &n);
                CHECK_INT(n, n_layer * lengths[i] * n_head);
            }
            eh_effect_probe p = {0};
            CHECK_OK(eh_effect_probe_start(&p, on, 2, &err));
            const eh_observer o = eh_effect_probe_observer(&p);
            CHECK_OK(eh_attribute(on, goal, 2, eh_head_stat_table[stat_of[k]].rules, NULL, &o, 1, &err));
            for (int i = 0; i < 2; i++) {
                const double tolerance = 2e-4 * golden_largest(want[i], n_layer * lengths[i] * n_head);
                for (int64_t u = 0; u < n_layer * n_head; u++) {
                    double sum = 0.0;
                    for (int64_t t = 0; t < lengths[i]; t++)
                        sum += (double)want[i][(u / n_head * lengths[i] + t) * n_head + u % n_head];
                    CHECK_NEAR(p.value[i * n_layer * n_head + u], sum, tolerance);
                }
                free(want[i]);
                free((void *)(uintptr_t)goal[i].tok);
            }
            eh_effect_probe_clear(&p);
        }
        eh_weights_close(w);
        session_close(on);
    }
}

/* Goals that are joined share what they have in common; the sum of their gradients, and each one's value, stay what
 * they are apart. A branch, one that has nothing in common, one that is all prefix, another branch, then a goal of its
 * own; all rules, windows and grouped heads among the families. */
TEST(joined_goals_are_their_sum)
{
    enum { N = 6 };
    static const int32_t tok[N][12] = {{3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 3}, {3, 14, 15, 9, 26, 5, 36, 2},
                                       {20, 21, 22, 23},                        {3, 14, 15, 9},
                                       {3, 14, 15, 9, 26, 5, 35, 8, 4, 4},      {27, 18, 28}};
    static const int64_t n_tok[N] = {12, 8, 4, 4, 10, 3};
    const eh_term term[N][2] = {{{.pos = 11, .id = 4, .weight = 1.0}, {.pos = 6, .id = 8, .weight = 0.5}},
                                {{.pos = 7, .id = 9, .weight = -1.0}, {.pos = 5, .id = 36, .weight = -0.5}},
                                {{.pos = 3, .id = 9, .weight = 1.5}, {.pos = 2, .id = 23, .weight = -0.5}},
                                {{.pos = 3, .id = 2, .logit = true, .weight = 2.0}, {.pos = 0, .id = 1, .weight = 1.0}},
                                {{.pos = 9, .id = 7, .weight = 0.7}, {.pos = 8, .id = 1, .weight = -0.7}},
                                {{.pos = 2, .id = 5, .weight = 1.0}, {.pos = 1, .id = 6, .weight = 1.0}}};
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_session *on = open_tiny(folders[f], NULL);
        const int64_t n_unit = on->m->config.n_layer * on->m->config.n_head;
        for (int rules = 0; rules < 3; rules++) {
            eh_goal goal[N];
            double apart[N], joined[N];
            eh_effect_probe p = {0}, q = {0};
            for (int i = 0; i < N; i++)
                goal[i] = (eh_goal){tok[i], n_tok[i], term[i], 2, false};
            CHECK_OK(eh_effect_probe_start(&p, on, N, &err));
            const eh_observer see_apart = eh_effect_probe_observer(&p);
            CHECK_OK(eh_attribute(on, goal, N, (eh_rules)rules, apart, &see_apart, 1, &err));
            for (int i = 1; i < N - 1; i++)
                goal[i].joined = true;
            CHECK_OK(eh_effect_probe_start(&q, on, N, &err));
            const eh_observer see_joined = eh_effect_probe_observer(&q);
            CHECK_OK(eh_attribute(on, goal, N, (eh_rules)rules, joined, &see_joined, 1, &err));
            double largest = 0.0;
            for (int64_t u = 0; u < N * n_unit; u++)
                largest = fmax(largest, fabs(p.value[u]));
            for (int i = 0; i < N; i++)
                CHECK_NEAR(joined[i], apart[i], 1e-4);
            for (int64_t u = 0; u < n_unit; u++) {
                double sum = 0.0;
                for (int i = 0; i < N - 1; i++)
                    sum += p.value[i * n_unit + u];
                CHECK_NEAR(q.value[u], sum, 2e-5 * largest);
                CHECK_NEAR(q.value[3 * n_unit + u], 0.0, 0.0);
                CHECK_NEAR(q.value[(N - 1) * n_unit + u], p.value[(N - 1) * n_unit + u], 2e-5 * largest);
            }
            eh_effect_probe_clear(&p);
            eh_effect_probe_clear(&q);
        }
        const eh_goal first = {tok[0], 12, term[0], 2, true};
        CHECK_FAILS(eh_attribute(on, &first, 1, EH_RULES_GRADIENT, NULL, NULL, 0, &err), EH_EINVAL, "there is none");
        session_close(on);
    }
}
