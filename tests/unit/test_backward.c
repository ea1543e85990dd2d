/*
 * The backward pass: each kernel's gradient against central differences of its forward twin in double,
 * the rules by hand, what must hold for any goals, and what must be refused.
 */
#include "model/backward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "session.h"
#include "evenhand.h"
#include "grad_room.h"
#include "op/attention.h"

static eh_err err;

static void draw(float *x, int64_t n, uint64_t seed)
{
    eh_rng r = eh_rng_at(seed, "backward", (uint64_t)n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)eh_rng_normal(&r);
}

static const char *const names[] = {"generic", "avx2", "avx512"};

static void each(void (*body)(const eh_simd *k))
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (eh_simd_named(names[i]) != NULL)
            body(eh_simd_named(names[i]));
}

/* d f(x) / d x[i] by central differences in double, f summed against g. */
#define STEP 1e-5
static double slope(double (*f)(const double *x, int64_t n, const void *ctx), double *x, int64_t n, int64_t i,
                    const void *ctx)
{
    const double was = x[i];
    x[i] = was + STEP;
    const double up = f(x, n, ctx);
    x[i] = was - STEP;
    const double down = f(x, n, ctx);
    x[i] = was;
    return (up - down) / (2 * STEP);
}

/* ---- Norm ------------------------------------------------------------------------------------------- */

typedef struct norm_case {
    const float *w, *g;
    double eps;
} norm_case;

static double norm_sum(const double *x, int64_t n, const void *ctx)
{
    const norm_case *c = ctx;
    double square = 0, sum = 0;
    for (int64_t i = 0; i < n; i++)
        square += x[i] * x[i];
    for (int64_t i = 0; i < n; i++)
        sum += (double)c->g[i] * x[i] / sqrt(square / (double)n + c->eps) * (double)c->w[i];
    return sum;
}

static void norm_goes_back(const eh_simd *k)
{
    static const int64_t sizes[] = {1, 2, 7, 16, 33, 64};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t n = sizes[s];
        float x[64], w[64], g[64], dx[64], held[64], scale;
        double xd[64], square = 0;
        draw(x, n, 1);
        draw(w, n, 2);
        draw(g, n, 3);
        for (int64_t i = 0; i < n; i++) {
            xd[i] = (double)x[i];
            square += xd[i] * xd[i];
        }
        const norm_case c = {w, g, 0.1};
        k->norm_grad(x, w, g, n, c.eps, true, dx, &scale);
        CHECK_NEAR((double)scale, 1.0 / sqrt(square / (double)n + c.eps), 1e-6);
        k->norm_grad(x, w, g, n, c.eps, false, held, &scale);
        for (int64_t i = 0; i < n; i++) {
            CHECK_NEAR((double)dx[i], slope(norm_sum, xd, n, i, &c), 2e-6);
            CHECK_NEAR((double)held[i], (double)w[i] * (double)g[i] * (double)scale, 1e-6);
        }
        k->norm_grad(x, w, g, n, c.eps, true, g, &scale); /* in place */
        CHECK(memcmp(g, dx, (size_t)n * sizeof *g) == 0);
        g[n / 2] = NAN;
        CHECK(!isfinite(k->norm_grad(x, w, g, n, c.eps, true, dx, &scale)));
    }
}

TEST(the_norms_gradient_is_that_of_central_differences_and_the_rule_holds_the_rms)
{
    each(norm_goes_back);
}

/* ---- Gate ------------------------------------------------------------------------------------------- */

static void gate_goes_back(const eh_simd *k)
{
    float gate[33], up[33], g[33], dgate[33], dup[33];
    draw(gate, 33, 4);
    draw(up, 33, 5);
    draw(g, 33, 6);
    k->silu.grad(gate, up, g, 33, true, 1.0f, 1.0f, dgate, dup);
    for (int i = 0; i < 33; i++) {
        const double x = (double)gate[i], u = (double)up[i], gi = (double)g[i];
        const double f = x / (1 + exp(-x));
        const double hi = (x + STEP) / (1 + exp(-x - STEP)), lo = (x - STEP) / (1 + exp(STEP - x));
        CHECK_NEAR((double)dgate[i], gi * u * (hi - lo) / (2 * STEP), 2e-6);
        CHECK_NEAR((double)dup[i], gi * f, 2e-6);
    }
    /* AttnLRP: x * gradient of each factor is half of the product's. */
    k->silu.grad(gate, up, g, 33, false, 0.5f, 0.5f, dgate, dup);
    for (int i = 0; i < 33; i++) {
        const double x = (double)gate[i], whole = (double)g[i] * x / (1 + exp(-x)) * (double)up[i];
        CHECK_NEAR((double)dgate[i] * x, whole / 2, 2e-6);
        CHECK_NEAR((double)dup[i] * (double)up[i], whole / 2, 2e-6);
    }
    /* CP-LRP: all of it to up. */
    k->silu.grad(gate, up, g, 33, false, 0.0f, 1.0f, dgate, dup);
    for (int i = 0; i < 33; i++) {
        const double x = (double)gate[i];
        CHECK_NEAR((double)dgate[i], 0.0, 0.0);
        CHECK_NEAR((double)dup[i], (double)g[i] * x / (1 + exp(-x)), 2e-6);
    }
    const float zero = 0.0f, one = 1.0f, far[2] = {-200.0f, 200.0f}, ones[2] = {1.0f, 1.0f};
    k->silu.grad(&zero, &one, &one, 1, false, 0.5f, 0.5f, dgate, dup); /* 0 / (0 + 1e-10) */
    CHECK(dgate[0] == 0.0f && dup[0] == 0.0f);
    k->silu.grad(far, ones, ones, 2, true, 1.0f, 1.0f, dgate, dup);
    CHECK_NEAR((double)dgate[0], 0.0, 1e-30);
    CHECK_NEAR((double)dgate[1], 1.0, 1e-6);
}

TEST(the_gates_gradient_is_that_of_central_differences_and_the_rules_share_it_out)
{
    each(gate_goes_back);
}

/* ---- Rotary, exponentials ------------------------------------------------------------------------------ */

static void rotation_goes_back(const eh_simd *k)
{
    float x[20], g[20], kept[20], cosine[10], sine[10];
    draw(x, 20, 7);
    draw(g, 20, 8);
    for (int i = 0; i < 10; i++) {
        cosine[i] = (float)cos(0.3 * i);
        sine[i] = (float)sin(0.3 * i);
    }
    double before = 0, after = 0; /* <R x, g> = <x, R^T g> */
    memcpy(kept, x, sizeof x);
    k->rope(x, cosine, sine, 10);
    for (int i = 0; i < 20; i++)
        before += (double)x[i] * (double)g[i];
    k->rope_grad(g, cosine, sine, 10);
    for (int i = 0; i < 20; i++)
        after += (double)kept[i] * (double)g[i];
    CHECK_NEAR(after, before, 1e-5);

    float e[20];
    memcpy(e, kept, sizeof e);
    k->exp_minus(e, 20, 0.5f, -2.0f);
    for (int i = 0; i < 20; i++)
        CHECK_NEAR((double)e[i], -2.0 * exp((double)kept[i] - 0.5), 1e-5);
}

TEST(rotating_back_is_the_transpose_of_rotating)
{
    each(rotation_goes_back);
}

/* ---- Attention ----------------------------------------------------------------------------------------- */

typedef struct attention_case {
    int64_t n_head, n_kv, d, window, n_segment, segment[4];
    const float *d_out;
} attention_case;

static int64_t n_tokens(const attention_case *c)
{
    int64_t n = 0;
    for (int64_t r = 0; r < c->n_segment; r++)
        n += c->segment[r];
    return n;
}

/* sum(out * d_out) of plain attention in double; x: rows of queries, keys, values side by side. */
static double attention_sum(const double *x, int64_t n_x, const void *ctx)
{
    (void)n_x;
    const attention_case *c = ctx;
    const int64_t ld = (c->n_head + 2 * c->n_kv) * c->d, group = c->n_head / c->n_kv;
    double sum = 0, p[64];
    int64_t first = 0;
    for (int64_t r = 0; r < c->n_segment; first += c->segment[r++])
        for (int64_t i = 0; i < c->segment[r]; i++)
            for (int64_t h = 0; h < c->n_head; h++) {
                const double *q = x + (first + i) * ld + h * c->d;
                const int64_t from = c->window > 0 && i - c->window + 1 > 0 ? i - c->window + 1 : 0;
                double total = 0;
                for (int64_t j = from; j <= i; j++) {
                    const double *k = x + (first + j) * ld + (c->n_head + h / group) * c->d;
                    double s = 0;
                    for (int64_t e = 0; e < c->d; e++)
                        s += q[e] * k[e];
                    p[j] = exp(s / sqrt((double)c->d));
                    total += p[j];
                }
                for (int64_t j = from; j <= i; j++) {
                    const double *v = x + (first + j) * ld + (c->n_head + c->n_kv + h / group) * c->d;
                    for (int64_t e = 0; e < c->d; e++)
                        sum += p[j] / total * v[e] * (double)c->d_out[((first + i) * c->n_head + h) * c->d + e];
                }
            }
    return sum;
}

static void attention_back_of(const attention_case *c, const float *x, float qk, float v, int n_thread, float *dx)
{
    const int64_t n = n_tokens(c), ld = (c->n_head + 2 * c->n_kv) * c->d;
    eh_segment segment[4];
    int32_t segment_of[64];
    int64_t first = 0;
    for (int64_t r = 0; r < c->n_segment; first += c->segment[r++]) {
        segment[r] = (eh_segment){.first = first, .n = c->segment[r], .parent = -1, .cache = -1};
        for (int64_t i = 0; i < c->segment[r]; i++)
            segment_of[first + i] = (int32_t)r;
    }
    const int64_t k_at = c->n_head * c->d, v_at = k_at + c->n_kv * c->d;
    const eh_attention a = {.simd = eh_simd_get(), .n_head = c->n_head, .n_kv = c->n_kv, .d_head = c->d,
                            .scale = (float)(1.0 / sqrt((double)c->d)), .window = c->window, .n_segment = c->n_segment,
                            .segment = segment, .segment_of = segment_of, .n_tok = n, .q = x, .k = x + k_at,
                                .v = x + v_at, .ld = ld};
    const eh_attention_grad g = {c->d_out, qk, v, true, dx, dx + k_at, dx + v_at};
    eh_arena arena = {0};
    CHECK_OK(eh_attention_back(&a, &g, n_thread, &arena, &err));
    CHECK_INT(arena.used, 0);
    eh_arena_clear(&arena);
}

TEST(attentions_gradient_is_that_of_central_differences)
{
    static const attention_case cases[] = {
        {4, 2, 16, 0, 2, {9, 20}, NULL}, {3, 1, 10, 0, 1, {33}, NULL}, {2, 2, 6, 5, 3, {1, 2, 24}, NULL},
        {2, 1, 8, 1, 1, {5}, NULL},      {6, 2, 4, 17, 2, {40, 8}, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention_case c = cases[i];
        const int64_t n = n_tokens(&c), ld = (c.n_head + 2 * c.n_kv) * c.d, k_at = c.n_head * c.d;
        const int64_t v_at = k_at + c.n_kv * c.d;
        float *x = malloc((size_t)(n * ld) * sizeof *x), *d_out = malloc((size_t)(n * k_at) * sizeof *d_out);
        float *dx = malloc((size_t)(n * ld) * sizeof *dx), *two = malloc((size_t)(n * ld) * sizeof *two);
        double *xd = malloc((size_t)(n * ld) * sizeof *xd);
        CHECK(x != NULL && d_out != NULL && dx != NULL && two != NULL && xd != NULL);
        draw(x, n * ld, 9);
        draw(d_out, n * k_at, 10);
        c.d_out = d_out;
        for (int64_t k = 0; k < n * ld; k++)
            xd[k] = (double)x[k];
        attention_back_of(&c, x, 1.0f, 1.0f, 1, dx);
        for (int64_t k = 0; k < n * ld; k += 7) /* 7 and the row's length share no factor: every column comes up */
            CHECK_NEAR((double)dx[k], slope(attention_sum, xd, n * ld, k, &c), 3e-5);
        attention_back_of(&c, x, 1.0f, 1.0f, 2, two);
        CHECK(memcmp(dx, two, (size_t)(n * ld) * sizeof *dx) == 0);
        /* The rules are shares of it. */
        attention_back_of(&c, x, 0.25f, 0.5f, 1, two);
        for (int64_t k = 0; k < n * ld; k++)
            CHECK(two[k] == dx[k] * (k % ld < v_at ? 0.25f : 0.5f));
        attention_back_of(&c, x, 0.0f, 1.0f, 1, two);
        for (int64_t k = 0; k < n * ld; k++)
            CHECK(two[k] == (k % ld < v_at ? 0.0f : dx[k]));
        free(x);
        free(d_out);
        free(dx);
        free(two);
        free(xd);
    }
}

/* ---- The whole pass -------------------------------------------------------------------------------------- */

static eh_session *open_tiny(const char *name, int threads, int64_t batch_tokens) /* 0: the defaults */
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/tiny/%s", name);
    eh_session_options o = session_options(NULL, threads > 0 ? threads : EH_ALL);
    if (batch_tokens > 0)
        o.batch_tokens = batch_tokens;
    eh_session *on;
    CHECK_OK(session_open(repo_path(path), &o, &on, &err));
    return on;
}

static const int32_t tok[4][12] = {{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                                   {5, 6, 7, 301, 1, 2, 3},
                                   {9},
                                   {100, 200, 300, 310, 319, 3, 2, 1, 0}};
static const eh_term terms[4][3] = {
    {{11, 20, false, 1.0}, {11, 21, false, -1.0}, {4, 9, true, 0.5}},
    {{6, -1, true, 1.0}},
    {{0, 17, false, 2.0}},
    {{8, 3, false, -1.0}, {3, 319, false, -1.0}},
};
static const eh_goal goals[4] = {{tok[0], 12, terms[0], 3, false}, {tok[1], 7, terms[1], 1, false},
                                 {tok[2], 1, terms[2], 1, false}, {tok[3], 9, terms[3], 2, false}};

/* The value of goals[i] by eh_logits. */
static double value_of(eh_session *on, const eh_goal *g)
{
    static float logits[12 * 512];
    double value = 0;
    CHECK_OK(eh_logits(on, g->tok, g->n_tok, logits, &err));
    for (int64_t t = 0; t < g->n_term; t++) {
        const float *l = logits + g->term[t].pos * on->m->config.n_vocab;
        double sum = 0;
        int64_t top = 0;
        for (int64_t v = 0; v < on->m->config.n_vocab; v++) {
            sum += exp((double)l[v]);
            top = l[v] > l[top] ? v : top;
        }
        const int64_t id = g->term[t].id >= 0 ? g->term[t].id : top;
        value += g->term[t].weight * ((double)l[id] - (g->term[t].logit ? 0.0 : log(sum)));
    }
    return value;
}

TEST(values_are_those_of_the_logits)
{
    eh_session *on = open_tiny("llama", 2, 0);
    double value[4];
    CHECK_OK(eh_attribute(on, goals, 4, EH_RULES_GRADIENT, value, NULL, 0, &err));
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(value[i], value_of(on, &goals[i]), 1e-4);
    CHECK_OK(eh_attribute(on, goals, 0, EH_RULES_GRADIENT, value, NULL, 0, &err)); /* no goals is fine */
    session_close(on);
}

/* Everything an observer sees, goal by goal: grads of the residual stream, head outputs, neurons. */
typedef struct seen {
    const eh_goal *goal;
    float g[4][4][3][12][256]; /* goal, layer + 1, site, position */
    int n_batch;
    int last_layer; /* blocks come from the last layer to the first */
} seen;

static int see(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    seen *s = ctx;
    CHECK(b->width <= 256 && b->layer < 3 && b->grad != NULL && b->first_row != NULL);
    CHECK(b->layer == s->last_layer || b->layer == s->last_layer - 1 || b->layer == 1);
    s->last_layer = (int)b->layer;
    s->n_batch = (int)b->batch + 1;
    for (int64_t i = 0; i < b->n_request; i++)
        for (int64_t row = b->first_row[i]; row <= b->last_row[i]; row++) {
            if (row < b->first || row >= b->first + b->n_row)
                continue;
            const int64_t pos = row - b->first_row[i];
            CHECK_INT(b->depth[row - b->first], pos);
            CHECK_INT(b->tok[row - b->first], s->goal[b->request[i]].tok[pos]);
            memcpy(s->g[b->request[i]][b->layer + 1][b->site][pos], b->grad + (row - b->first) * b->width,
                   (size_t)b->width * sizeof(float));
        }
    return 0;
}

static seen *look(eh_session *on, const eh_goal *goal, int64_t n, eh_rules rules)
{
    seen *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->goal = goal;
    const eh_observer o = {1u << EH_SITE_RESID | 1u << EH_SITE_HEAD_OUT | 1u << EH_SITE_NEURON, see, s};
    CHECK_OK(eh_attribute(on, goal, n, rules, NULL, &o, 1, &err));
    return s;
}

TEST(one_thread_gives_the_bits_of_two)
{
    for (int rules = 0; rules < 3; rules++) {
        eh_session *one = open_tiny("qwen3", 1, 0), *two = open_tiny("qwen3", 2, 0);
        seen *a = look(one, goals, 4, (eh_rules)rules), *b = look(two, goals, 4, (eh_rules)rules);
        CHECK(memcmp(a, b, sizeof *a) == 0);
        free(a);
        free(b);
        grad_room ga = grad_room_of(one), gb = grad_room_of(two);
        CHECK_OK(eh_backward(one, goals, 4, &(eh_backward_options){.rules = (eh_rules)rules, .grads = &ga.grads}, NULL,
                             NULL, 0, &err));
        CHECK_OK(eh_backward(two, goals, 4, &(eh_backward_options){.rules = (eh_rules)rules, .grads = &gb.grads}, NULL,
                             NULL, 0, &err));
        CHECK(memcmp(ga.all, gb.all, (size_t)ga.n * sizeof *ga.all) == 0);
        grad_room_free(&ga);
        grad_room_free(&gb);
        session_close(one);
        session_close(two);
    }
}

/* A goal is what it is, whoever shares its batch; weight gradients are the sum. The tolerance is rounding: a
 * product cuts its rows in other places, on numbers up to 2.5. */
TEST(goals_together_give_what_each_gives_alone)
{
    eh_session *on = open_tiny("llama", 2, 0), *small = open_tiny("llama", 2, 13);
    seen *all = look(on, goals, 4, EH_RULES_GRADIENT), *cut = look(small, goals, 4, EH_RULES_GRADIENT);
    CHECK_INT(all->n_batch, 1);
    CHECK_INT(cut->n_batch, 3); /* 12, 7 + 1, 9 tokens */
    const int64_t n = (int64_t)(sizeof all->g / sizeof(float)) / 4;
    grad_room together = grad_room_of(on), apart = grad_room_of(on);
    double value[4], one;
    CHECK_OK(eh_backward(on, goals, 4, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &together.grads},
                         value, NULL, 0, &err));
    for (int i = 0; i < 4; i++) {
        seen *alone = look(on, &goals[i], 1, EH_RULES_GRADIENT);
        check_floats(&all->g[i][0][0][0][0], &alone->g[0][0][0][0][0], n, 1e-5, "alone");
        check_floats(&cut->g[i][0][0][0][0], &alone->g[0][0][0][0][0], n, 1e-5, "in smaller batches");
        free(alone);
        CHECK_OK(eh_backward(on, &goals[i], 1, &(eh_backward_options){.rules = EH_RULES_GRADIENT,
                                                                      .grads = &apart.grads}, &one, NULL, 0, &err));
        CHECK(one == value[i]);
    }
    check_floats(together.all, apart.all, together.n, 1e-5, "weight gradients");
    grad_room_free(&together);
    grad_room_free(&apart);
    free(all);
    free(cut);
    session_close(on);
    session_close(small);
}

/* Edits in force count, and folding them into weights of one's own changes nothing. */
TEST(edits_and_own_weights_are_honoured)
{
    static const float mean[16] = {0.5f, -0.5f};
    const eh_unit_edit edits[] = {
        {EH_UNIT_HEAD, 0, 1, EH_EDIT_SOFT, 0.4, NULL},
        {EH_UNIT_HEAD, 1, 2, EH_EDIT_MEAN, 1.0, mean},
        {EH_UNIT_NEURON, 1, 5, EH_EDIT_ZERO, 1.0, NULL},
    };
    eh_session *plain = open_tiny("llama", 2, 0), *edited = open_tiny("llama", 2, 0), *own = open_tiny("llama", 2, 0);
    CHECK(plain->m->config.d_head == 16);
    CHECK_OK(eh_session_edit(edited, edits, 3, &err));
    CHECK_OK(eh_session_edit(own, edits, 3, &err));
    CHECK_OK(eh_session_own_embed(own, &err));
    for (int64_t l = 0; l < own->m->config.n_layer; l++) {
        eh_linear *all[] = {&own->layer[l].linear[EH_LINEAR_QKV], &own->layer[l].linear[EH_LINEAR_UP],
                            &own->layer[l].linear[EH_LINEAR_DOWN]};
        for (int i = 0; i < 3; i++) /* the output projection has a bias from the mean, and stays as it is */
            CHECK_OK(eh_linear_own(own, all[i], &err));
    }
    seen *a = look(plain, goals, 4, EH_RULES_GRADIENT), *b = look(edited, goals, 4, EH_RULES_GRADIENT);
    seen *c = look(own, goals, 4, EH_RULES_GRADIENT);
    const int64_t n = (int64_t)(sizeof a->g / sizeof(float));
    double far = 0, head = 0;
    for (int64_t i = 0; i < n; i++)
        far = fmax(far, fabs((double)(&a->g[0][0][0][0][0])[i] - (double)(&b->g[0][0][0][0][0])[i]));
    CHECK(far > 0.01);
    for (int pos = 0; pos < 12; pos++) /* a silenced head's output has no say */
        for (int i = 32; i < 48; i++)
            head = fmax(head, fabs((double)b->g[0][2][EH_SITE_HEAD_OUT][pos][i]));
    CHECK(head == 0.0);
    check_floats(&c->g[0][0][0][0][0], &b->g[0][0][0][0][0], n, 2e-6, "folded into own weights");
    free(a);
    free(b);
    free(c);
    session_close(plain);
    session_close(edited);
    session_close(own);
}

/* KL(q || p) = sum q log q - sum q log p: its gradient is that of as many terms as there are tokens. */
TEST(a_kl_term_is_the_sum_over_the_vocabulary)
{
    eh_session *on = open_tiny("llama", 2, 0);
    const int64_t n_vocab = on->m->config.n_vocab;
    float *logp = malloc((size_t)n_vocab * sizeof *logp);
    eh_term *each_token = malloc((size_t)n_vocab * sizeof *each_token);
    CHECK(logp != NULL && each_token != NULL);
    draw(logp, n_vocab, 11);
    logp[7] = -INFINITY; /* a token that the reference never says */
    double sum = 0, entropy = 0;
    for (int64_t v = 0; v < n_vocab; v++)
        sum += exp((double)logp[v]);
    for (int64_t v = 0; v < n_vocab; v++) {
        logp[v] = (float)((double)logp[v] - log(sum));
        const double q = exp((double)logp[v]);
        entropy += q > 0 ? q * (double)logp[v] : 0;
        each_token[v] = (eh_term){.pos = 5, .id = (int32_t)v, .weight = -0.5 * q};
    }
    const eh_kl_term kl = {.goal = 1, .pos = 5, .weight = 0.5, .logp = logp};
    const eh_goal by_kl[2] = {goals[1], {tok[0], 12, NULL, 0, false}};
    const eh_goal by_term[2] = {goals[1], {tok[0], 12, each_token, n_vocab, false}};
    grad_room a = grad_room_of(on), b = grad_room_of(on);
    double va[2], vb[2];
    CHECK_OK(eh_backward(on, by_kl, 2, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .kl = &kl, .n_kl = 1,
                                                              .grads = &a.grads}, va, NULL, 0, &err));
    CHECK_OK(eh_backward(on, by_term, 2, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &b.grads}, vb,
                         NULL, 0, &err));
    CHECK_NEAR(va[0], vb[0], 0.0);
    CHECK_NEAR(va[1], vb[1] + 0.5 * entropy, 1e-5);
    CHECK(va[1] > 0.0);
    check_floats(a.all, b.all, a.n, 2e-6, "KL");
    grad_room_free(&a);
    grad_room_free(&b);
    free(logp);
    free(each_token);
    session_close(on);
}

/* Gradients are added to what is there, and only those asked for. */
TEST(gradients_are_added_and_may_be_asked_for_one_by_one)
{
    eh_session *on = open_tiny("qwen2", 2, 0);
    grad_room all = grad_room_of(on), again = grad_room_of(on);
    CHECK_OK(eh_backward(on, goals, 4, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &all.grads}, NULL,
                         NULL, 0, &err));
    eh_layer_grad *layer = calloc((size_t)on->m->config.n_layer, sizeof *layer);
    CHECK(layer != NULL);
    layer[1].bias[EH_LINEAR_QKV] = again.grads.layer[1].bias[EH_LINEAR_QKV];
    layer[1].norm[EH_NORM_ATTN] = again.grads.layer[1].norm[EH_NORM_ATTN];
    const eh_grads some = {.layer = layer};
    for (int i = 0; i < 2; i++)
        CHECK_OK(eh_backward(on, goals, 4, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &some}, NULL,
                             NULL, 0, &err));
    double rest = 0;
    for (int64_t i = 0; i < again.n; i++) {
        const float *at = &again.all[i];
        const int64_t d_qkv = on->layer[1].linear[EH_LINEAR_QKV].n_out, d = on->m->config.d_model;
        if (at >= layer[1].bias[EH_LINEAR_QKV] && at < layer[1].bias[EH_LINEAR_QKV] + d_qkv)
            CHECK_NEAR((double)*at, 2 * (double)all.all[i], 1e-6);
        else if (at >= layer[1].norm[EH_NORM_ATTN] && at < layer[1].norm[EH_NORM_ATTN] + d)
            CHECK_NEAR((double)*at, 2 * (double)all.all[i], 1e-5);
        else
            rest += fabs((double)*at);
    }
    CHECK(rest == 0.0);
    free(layer);
    grad_room_free(&all);
    grad_room_free(&again);
    session_close(on);
}

/* In bf16 the forward pass is rounded, and the way back is not: near the f32 result, not equal to it. */
TEST(a_bf16_model_goes_back_in_f32)
{
    eh_session_options half, whole;
    eh_session_options_init(&half, sizeof half);
    half.precision = EH_BF16;
    half.product = "reference";
    eh_session_options_init(&whole, sizeof whole);
    whole.product = "reference";
    eh_session *a, *b;
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama-untied-scaled"), &half, &a, &err));
    CHECK_OK(session_open(repo_path("tests/golden/tiny/llama-untied-scaled"), &whole, &b, &err));
    CHECK(a->layer[0].linear[EH_LINEAR_QKV].precision == EH_BF16);
    grad_room ga = grad_room_of(a), gb = grad_room_of(b);
    CHECK_OK(eh_backward(a, goals, 4, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &ga.grads}, NULL,
                         NULL, 0, &err));
    CHECK_OK(eh_backward(b, goals, 4, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &gb.grads}, NULL,
                         NULL, 0, &err));
    double dot = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < ga.n; i++) {
        dot += (double)ga.all[i] * (double)gb.all[i];
        aa += (double)ga.all[i] * (double)ga.all[i];
        bb += (double)gb.all[i] * (double)gb.all[i];
    }
    CHECK(dot / sqrt(aa * bb) > 0.999 && dot != bb);
    grad_room_free(&ga);
    grad_room_free(&gb);
    session_close(a);
    session_close(b);
}

/* ---- What must be refused -------------------------------------------------------------------------------- */

static int fails(void *ctx, const eh_block *b, eh_err *e)
{
    (void)ctx;
    e->code = EH_ESTOP;
    strcpy(e->text, "enough");
    return b->site == EH_SITE_HEAD_OUT ? EH_ESTOP : EH_OK;
}

TEST(bad_goals_are_refused_and_outputs_stay)
{
    eh_session *on = open_tiny("llama", 1, 0);
    double value = 7.0;
    const eh_term good = {0, 1, true, 1.0};
    const struct {
        eh_term term;
        const char *words;
    } bad[] = {
        {{12, 1, true, 1.0}, "position 12"},  {{-1, 1, true, 1.0}, "position -1"},
        {{0, 512, true, 1.0}, "token 512"},   {{0, -2, true, 1.0}, "token -2"},
        {{0, 1, true, (double)NAN}, "weight"}, {{0, 1, true, (double)INFINITY}, "weight"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const eh_goal g = {tok[0], 12, &bad[i].term, 1, false};
        CHECK_FAILS(eh_attribute(on, &g, 1, EH_RULES_GRADIENT, &value, NULL, 0, &err), EH_EINVAL, bad[i].words);
    }
    const int32_t beyond[2] = {1, 512};
    const eh_goal none = {tok[0], 12, &good, 0, false}, empty = {tok[0], 0, &good, 1, false};
    const eh_goal outside = {beyond, 2, &good, 1, false};
    CHECK_FAILS(eh_attribute(on, &none, 1, EH_RULES_GRADIENT, &value, NULL, 0, &err), EH_EINVAL, "no terms");
    CHECK_FAILS(eh_attribute(on, &empty, 1, EH_RULES_GRADIENT, &value, NULL, 0, &err), EH_EINVAL, "at least one");
    CHECK_FAILS(eh_attribute(on, &outside, 1, EH_RULES_GRADIENT, &value, NULL, 0, &err), EH_EINVAL, "token 1 is 512");
    int32_t *many = calloc((size_t)on->m->config.n_ctx + 1, sizeof *many);
    CHECK(many != NULL);
    const eh_goal too_long = {many, on->m->config.n_ctx + 1, &good, 1, false};
    CHECK_FAILS(eh_attribute(on, &too_long, 1, EH_RULES_GRADIENT, &value, NULL, 0, &err), EH_ERANGE, "context");
    free(many);
    const eh_goal fine = {tok[0], 12, &good, 1, false};
    CHECK_FAILS(eh_attribute(on, &fine, 1, (eh_rules)3, &value, NULL, 0, &err), EH_EINVAL, "rule set 3");
    const eh_observer prob = {1u << EH_SITE_PROB, fails, NULL}, stop = {1u << EH_SITE_HEAD_OUT, fails, NULL};
    CHECK_FAILS(eh_attribute(on, &fine, 1, EH_RULES_GRADIENT, &value, &prob, 1, &err), EH_EINVAL, "observer 0");
    CHECK_FAILS(eh_attribute(on, &fine, 1, EH_RULES_GRADIENT, &value, &stop, 1, &err), EH_ESTOP, "enough");
    const float logp[512] = {0};
    const eh_kl_term kls[] = {{1, 0, 1.0, logp}, {0, 12, 1.0, logp}, {0, 0, 1.0, NULL}, {0, 0, (double)NAN, logp}};
    for (int i = 0; i < 4; i++)
        CHECK_FAILS(eh_backward(on, &fine, 1, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .kl = &kls[i],
                                                                     .n_kl = 1}, &value, NULL, 0, &err), EH_EINVAL,
                    "KL term 0");
    CHECK(value == 7.0);
    session_close(on);
}

TEST(a_gradient_that_stops_being_finite_is_an_error_with_its_place)
{
    eh_session *on = open_tiny("llama", 2, 0);
    double value = 7.0;
    const eh_term huge = {3, 1, true, 1e300}, large = {3, 1, true, 1e38};
    const eh_goal at_once = {tok[0], 12, &huge, 1, false}, on_the_way = {tok[0], 12, &large, 1, false};
    CHECK_FAILS(eh_attribute(on, &at_once, 1, EH_RULES_GRADIENT, &value, NULL, 0, &err), EH_ENUMERIC,
                "final norm: the gradient is not finite at position 3");
    CHECK_FAILS(eh_attribute(on, &on_the_way, 1, EH_RULES_GRADIENT, &value, NULL, 0, &err), EH_ENUMERIC,
                "the gradient is not finite");
    CHECK_OK(eh_session_own_embed(on, &err));
    on->own_embed[tok[0][2] * on->m->config.d_model] = NAN;
    CHECK_FAILS(eh_attribute(on, goals, 1, EH_RULES_GRADIENT, &value, NULL, 0, &err), EH_ENUMERIC,
                "layer 0, attention");
    CHECK(value == 7.0);
    session_close(on);
}
