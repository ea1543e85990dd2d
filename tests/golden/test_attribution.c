/*
 * The backward pass against float64 references (tests/golden/tiny: autograd, LXT 2.1 and hooks of the
 * same rules; ../shared/golden/tiny/README.md tells how they were made). Tolerances are that README's,
 * relative to the largest number of a tensor: gradients 2e-4, relevance and the weights' form 5e-5,
 * norms of gradients 1e-4.
 */
#include <jansson.h>
#include <string.h>

#include "check.h"
#include "session.h"
#include "golden_file.h"
#include "grad_room.h"
#include "model/stored.h"

static const char *const folders[] = {"llama",  "llama-mha",   "llama-untied-scaled", "mistral", "qwen2", "qwen3",
                                      "gemma2", "gemma3_text", "cohere",              "opt",     "gpt2"};
#define N_FOLDER (sizeof folders / sizeof *folders)
static const char *const rule_names[] = {"grad", "attnlrp", "cplrp"};
static const double tolerances[] = {2e-4, 5e-5, 5e-5};

static eh_err err;

static const char *in_folder(const char *folder, const char *file)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/tiny/%s%s", folder, file);
    return repo_path(path);
}

/* Relevance as the golden files hold it, of one sequence. */
typedef struct seen {
    int64_t n_tok, n_layer, n_head, d_ff;
    float *head, *neuron, *embed; /* [n_layer, n_tok, n_head], [n_layer, n_tok, d_ff], [n_tok] */
    double stream[32];            /* [n_layer + 1] relevance of the whole residual stream, from the embeddings on */
    const eh_tensor *position;    /* learned; NULL: none */
    int64_t offset;
} seen;

/* What of it is the learned position's: the golden files leave that out. */
static double position_share(const seen *s, int64_t depth, int64_t width, const float *g)
{
    double sum = 0;
    float p[256];
    if (s->position == NULL)
        return 0;
    CHECK(width <= 256);
    eh_tensor_rows(s->position, depth + s->offset, 1, p);
    for (int64_t i = 0; i < width; i++)
        sum += (double)p[i] * (double)g[i];
    return sum;
}

static int see(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    seen *s = ctx;
    for (int64_t r = 0; r < b->n_row; r++) {
        const float *x = b->value + r * b->width, *g = b->grad + r * b->width;
        const int64_t row = b->first + r, unit = b->site == EH_SITE_HEAD_OUT ? b->width / s->n_head : 1;
        if (b->site == EH_SITE_RESID) {
            double sum = 0;
            for (int64_t i = 0; i < b->width; i++)
                sum += (double)x[i] * (double)g[i];
            s->stream[b->layer + 1] += sum;
            if (b->layer == -1)
                s->embed[row] = (float)(sum - position_share(s, b->depth[r], b->width, g));
        } else {
            float *to = b->site == EH_SITE_HEAD_OUT ? s->head : s->neuron;
            const int64_t n = b->width / unit;
            for (int64_t u = 0; u < n; u++) {
                double sum = 0;
                for (int64_t i = u * unit; i < (u + 1) * unit; i++)
                    sum += (double)x[i] * (double)g[i];
                to[(b->layer * s->n_tok + row) * n + u] = (float)sum;
            }
        }
    }
    return 0;
}

static void compare(const eh_weights *w, const char *name, const float *got, double tolerance)
{
    int64_t n;
    float *want = golden_floats(w, name, &n);
    check_floats(got, want, n, tolerance * golden_largest(want, n), name);
    free(want);
}

/* Every rule on one sequence; with the weight form from the gradients of up. */
static void one_sequence(eh_session *on, const eh_weights *w, int length)
{
    const eh_config *c = &on->m->config;
    char name[100];
    int64_t n_tok;
    snprintf(name, sizeof name, "tokens.len%d", length);
    int32_t *tok = golden_tokens(w, name, &n_tok);
    const eh_term term = {.pos = n_tok - 1, .id = -1, .logit = true, .weight = 1.0};
    const eh_goal goal = {tok, n_tok, &term, 1, false};
    seen s = {.n_tok = n_tok, .n_layer = c->n_layer, .n_head = c->n_head, .d_ff = c->d_ff,
              .position = on->m->position, .offset = c->position_offset};
    s.head = calloc((size_t)(c->n_layer * n_tok * c->n_head), sizeof(float));
    s.neuron = calloc((size_t)(c->n_layer * n_tok * c->d_ff), sizeof(float));
    s.embed = calloc((size_t)n_tok, sizeof(float));
    const eh_observer o = {1u << EH_SITE_RESID | 1u << EH_SITE_HEAD_OUT | 1u << EH_SITE_NEURON, see, &s};
    for (int r = 0; r < 3; r++) {
        double value;
        memset(s.stream, 0, sizeof s.stream);
        CHECK_OK(eh_attribute(on, &goal, 1, (eh_rules)r, &value, &o, 1, &err));
        snprintf(name, sizeof name, "%s.len%d.head", rule_names[r], length);
        compare(w, name, s.head, tolerances[r]);
        snprintf(name, sizeof name, "%s.len%d.neuron", rule_names[r], length);
        compare(w, name, s.neuron, tolerances[r]);
        snprintf(name, sizeof name, "%s.len%d.embed", rule_names[r], length);
        compare(w, name, s.embed, tolerances[r]);
        if (r == EH_RULES_CPLRP) { /* without biases, what goes in at one layer comes out at the next */
            for (int64_t l = 0; l <= c->n_layer && !c->qkv_bias && !c->norm_bias; l++)
                CHECK_NEAR(s.stream[l] / value, 1.0, 1e-4);
            continue;
        }
        grad_room g = grad_room_of(on);
        CHECK_OK(eh_backward(on, &goal, 1, &(eh_backward_options){.rules = (eh_rules)r, .grads = &g.grads}, NULL, NULL,
                             0, &err));
        float *row = malloc((size_t)c->d_model * sizeof *row);
        float *up = malloc((size_t)(c->n_layer * c->d_ff) * sizeof *up);
        for (int64_t i = 0; i < c->n_layer * c->d_ff; i++) {
            const int64_t layer = i / c->d_ff, at = (c->gated ? c->d_ff : 0) + i % c->d_ff;
            double sum = 0;
            eh_linear_rows(&on->layer[layer].linear[EH_LINEAR_UP], at, 1, row);
            for (int64_t k = 0; k < c->d_model; k++)
                sum += fabs((double)row[k] * (double)g.grads.layer[layer].linear[EH_LINEAR_UP][at * c->d_model + k]);
            up[i] = (float)sum;
        }
        snprintf(name, sizeof name, "wrel.%s.len%d", rule_names[r], length);
        compare(w, name, up, 5e-5);
        free(row);
        free(up);
        grad_room_free(&g);
    }
    free(s.head);
    free(s.neuron);
    free(s.embed);
    free(tok);
}

static void every_sequence(const eh_session_options *o)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_session *on;
        CHECK_OK(session_open(in_folder(folders[f], ""), o, &on, &err));
        eh_weights *w = golden_open(in_folder(folders[f], "/golden.safetensors"));
        one_sequence(on, w, 9);
        one_sequence(on, w, 33);
        eh_weights_close(w);
        session_close(on);
    }
}

TEST(gradients_and_relevance_of_every_llama_like_family_match_the_double_reference)
{
    every_sequence(NULL);
}

TEST(the_plain_product_gives_the_same)
{
    eh_session_options o;
    eh_session_options_init(&o, sizeof o);
    o.product = "reference";
    every_sequence(&o);
}

/* Where the gradient of a stored tensor is, [n_row, n_col]. */
static const float *gradient_at(const eh_session *on, const grad_room *g, const eh_stored *t)
{
    const eh_layer_grad *l = t->layer >= 0 ? &g->grads.layer[t->layer] : NULL;
    switch (t->slot) {
    case EH_SLOT_EMBED: return g->grads.embed;
    case EH_SLOT_LM_HEAD: return g->grads.lm_head;
    case EH_SLOT_POSITION: return g->grads.position;
    case EH_SLOT_FINAL_NORM: return t->bias ? g->grads.final_norm_bias : g->grads.final_norm;
    default: break;
    }
    if (t->l == NULL)
        return (t->bias ? l->norm_bias : l->norm)[t->slot - EH_SLOT_NORM];
    return t->bias ? l->bias[t->role] + t->first : l->linear[t->role] + t->first * on->layer[0].linear[t->role].n_in;
}

/* The sum of squares of a tensor's gradient by its Hugging Face name, of all that share the tensor (GPT-2's queries,
 * keys and values). False: the model has no such weight. */
static bool square_of_gradient(const eh_session *on, const grad_room *g, const char *name, double *sum)
{
    bool found = false;
    *sum = 0.0;
    for (int64_t i = 0; i < eh_n_stored(on->m); i++) {
        eh_stored t;
        if (!eh_stored_at(on, i, &t) || strcmp(t.name, name) != 0)
            continue;
        const float *x = gradient_at(on, g, &t);
        for (int64_t k = 0; k < t.n_row * t.n_col; k++)
            *sum += (double)x[k] * (double)x[k];
        found = true;
    }
    return found;
}

/* The gradient of number `at` of a tensor, and the largest of its gradient. False: there is no such weight. */
static bool gradient_of_number(const eh_session *on, const grad_room *g, const char *name, int64_t at, double *x,
                               double *largest)
{
    bool found = false;
    *largest = 0.0;
    for (int64_t i = 0; i < eh_n_stored(on->m); i++) {
        eh_stored t;
        if (!eh_stored_at(on, i, &t) || strcmp(t.name, name) != 0)
            continue;
        const float *all = gradient_at(on, g, &t);
        for (int64_t k = 0; k < t.n_row * t.n_col; k++)
            *largest = fmax(*largest, fabs((double)all[k]));
        const bool vector = t.part.t->n_dim == 1, transposed = (t.part.layout & EH_LAYOUT_TRANSPOSED) != 0;
        const int64_t width = vector ? 1 : t.part.t->dim[1], row = at / width, col = at % width;
        const int64_t out = (transposed ? col : row) - t.part.first, in = transposed ? row : col;
        if (out < 0 || out >= (vector ? t.n_col : t.n_row))
            continue; /* another slice of the tensor */
        *x = (double)all[vector ? out : out * t.n_col + in];
        found = true;
    }
    return found;
}

/* The mean negative log-probability of tokens 4..32, as a goal. */
static eh_goal finetune_goal(const int32_t *tok, int64_t n_tok, eh_term *term)
{
    int64_t n = 0;
    for (int64_t p = 4; p < n_tok; p++)
        term[n++] = (eh_term){.pos = p - 1, .id = tok[p], .weight = -1.0 / (double)(n_tok - 4)};
    return (eh_goal){tok, n_tok, term, n, false};
}

TEST(norms_of_weight_gradients_match_the_double_reference)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_session *on;
        CHECK_OK(session_open(in_folder(folders[f], ""), NULL, &on, &err));
        eh_weights *w = golden_open(in_folder(folders[f], "/golden.safetensors"));
        json_error_t e;
        json_t *j = json_load_file(in_folder(folders[f], "/golden.json"), 0, &e);
        CHECK(j != NULL);
        json_t *finetune = json_object_get(j, "finetune");
        int64_t n_tok;
        int32_t *tok = golden_tokens(w, "tokens.len33", &n_tok);
        eh_term term[33];
        const eh_goal goal = finetune_goal(tok, n_tok, term);
        grad_room g = grad_room_of(on);
        double value;
        CHECK_OK(eh_backward(on, &goal, 1, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &g.grads},
                             &value, NULL, 0, &err));
        const double loss = json_number_value(json_object_get(finetune, "loss"));
        CHECK_NEAR(value, loss, 1e-5 * loss);
        double top = 0;
        const char *name;
        json_t *norm;
        json_object_foreach(json_object_get(finetune, "grad_norm"), name, norm)
            top = fmax(top, json_number_value(norm));
        CHECK(top > 0);
        json_object_foreach(json_object_get(finetune, "grad_norm"), name, norm)
        {
            double sum;
            const bool found = square_of_gradient(on, &g, name, &sum);
            if (!found)
                print_error("%s: no gradient of %s\n", folders[f], name);
            CHECK(found);
            const double want = json_number_value(norm);
            if (want > 1e-6 * top)
                check_near(sqrt(sum), want, 1e-4 * want, name, __FILE__, __LINE__);
        }
        grad_room_free(&g);
        free(tok);
        json_decref(j);
        eh_weights_close(w);
        session_close(on);
    }
}

/* Of the target logit of the 9-token sequence, three weights each. */
TEST(gradients_match_finite_differences_of_the_double_reference)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_session *on;
        CHECK_OK(session_open(in_folder(folders[f], ""), NULL, &on, &err));
        eh_weights *w = golden_open(in_folder(folders[f], "/golden.safetensors"));
        json_error_t e;
        json_t *j = json_load_file(in_folder(folders[f], "/golden.json"), 0, &e);
        CHECK(j != NULL);
        int64_t n_tok;
        int32_t *tok = golden_tokens(w, "tokens.len9", &n_tok);
        const eh_term term = {.pos = n_tok - 1, .id = -1, .logit = true, .weight = 1.0};
        const eh_goal goal = {tok, n_tok, &term, 1, false};
        grad_room g = grad_room_of(on);
        CHECK_OK(eh_backward(on, &goal, 1, &(eh_backward_options){.rules = EH_RULES_GRADIENT, .grads = &g.grads}, NULL,
                             NULL, 0, &err));
        size_t i;
        json_t *one;
        json_array_foreach(json_object_get(j, "finite_differences"), i, one)
        {
            double x = 0.0, top_here;
            CHECK(gradient_of_number(on, &g, json_string_value(json_object_get(one, "parameter")),
                                     json_integer_value(json_object_get(one, "flat_index")), &x, &top_here));
            CHECK_NEAR(x, json_number_value(json_object_get(one, "central_difference")), 2e-4 * top_here);
        }
        CHECK(i == 3);
        grad_room_free(&g);
        free(tok);
        json_decref(j);
        eh_weights_close(w);
        session_close(on);
    }
}

/* ---- SmolLM2 ---------------------------------------------------------------------------------------- */

/* Sums over positions, as relevance.safetensors holds them. */
static void over_positions(const float *x, int64_t n_layer, int64_t n_tok, int64_t n, float *out)
{
    for (int64_t l = 0; l < n_layer; l++)
        for (int64_t u = 0; u < n; u++) {
            double sum = 0;
            for (int64_t t = 0; t < n_tok; t++)
                sum += (double)x[(l * n_tok + t) * n + u];
            out[l * n + u] = (float)sum;
        }
}

/* Four prompts and a stretch of 512 tokens (the file has two; the second matched, too, and takes a minute). */
TEST(relevance_of_smollm2_matches_lxt)
{
    const char *path = shared_path("golden/smollm2/relevance.safetensors");
    if (path == NULL || smollm2_path() == NULL)
        SKIP("no SmolLM2, or no ../shared/golden");
    eh_session *on;
    CHECK_OK(session_open(smollm2_path(), NULL, &on, &err));
    const eh_config *c = &on->m->config;
    eh_weights *w = golden_open(path);
    float *up_grad = malloc((size_t)(c->n_layer * 2 * c->d_ff * c->d_model) * sizeof *up_grad);
    eh_layer_grad *layer = calloc((size_t)c->n_layer, sizeof *layer);
    float *out = malloc((size_t)(c->n_layer * c->d_ff) * sizeof *out);
    float *row = malloc((size_t)c->d_model * sizeof *row);
    CHECK(up_grad != NULL && layer != NULL && out != NULL && row != NULL);
    for (int64_t l = 0; l < c->n_layer; l++)
        layer[l].linear[EH_LINEAR_UP] = up_grad + l * 2 * c->d_ff * c->d_model;
    const eh_grads grads = {.layer = layer};
    for (int i = 0; i < 5; i++) {
        char name[100];
        int64_t n_tok, n;
        snprintf(name, sizeof name, "%d.tokens", i);
        int32_t *tok = golden_tokens(w, name, &n_tok);
        snprintf(name, sizeof name, "%d.target", i);
        int32_t *target = golden_tokens(w, name, &n);
        snprintf(name, sizeof name, "%d.logit", i);
        float *logit = golden_floats(w, name, &n);
        const eh_term term = {.pos = n_tok - 1, .id = -1, .logit = true, .weight = 1.0};
        const eh_goal goal = {tok, n_tok, &term, 1, false};
        seen s = {.n_tok = n_tok, .n_layer = c->n_layer, .n_head = c->n_head, .d_ff = c->d_ff};
        s.head = calloc((size_t)(c->n_layer * n_tok * c->n_head), sizeof(float));
        s.neuron = calloc((size_t)(c->n_layer * n_tok * c->d_ff), sizeof(float));
        s.embed = calloc((size_t)n_tok, sizeof(float));
        const eh_observer o = {1u << EH_SITE_RESID | 1u << EH_SITE_HEAD_OUT | 1u << EH_SITE_NEURON, see, &s};
        for (int r = 0; r < 2; r++) {
            double value;
            memset(up_grad, 0, (size_t)(c->n_layer * 2 * c->d_ff * c->d_model) * sizeof *up_grad);
            CHECK_OK(eh_backward(on, &goal, 1, &(eh_backward_options){.rules = (eh_rules)r, .grads = &grads}, &value,
                                 &o, 1, &err));
            CHECK_NEAR(value, (double)logit[0], 1e-3);
            snprintf(name, sizeof name, "%d.%s.embed", i, rule_names[r]);
            compare(w, name, s.embed, 1e-3);
            snprintf(name, sizeof name, "%d.%s.heads", i, rule_names[r]);
            over_positions(s.head, c->n_layer, n_tok, c->n_head, out);
            compare(w, name, out, 1e-3);
            snprintf(name, sizeof name, "%d.%s.neurons", i, rule_names[r]);
            over_positions(s.neuron, c->n_layer, n_tok, c->d_ff, out);
            compare(w, name, out, 1e-3);
            for (int64_t u = 0; u < c->n_layer * c->d_ff; u++) {
                const int64_t l = u / c->d_ff, at = c->d_ff + u % c->d_ff;
                double sum = 0;
                eh_linear_rows(&on->layer[l].linear[EH_LINEAR_UP], at, 1, row);
                for (int64_t k = 0; k < c->d_model; k++)
                    sum += fabs((double)row[k] * (double)layer[l].linear[EH_LINEAR_UP][at * c->d_model + k]);
                out[u] = (float)sum;
            }
            snprintf(name, sizeof name, "%d.%s.up_abs", i, rule_names[r]);
            compare(w, name, out, 1e-3);
        }
        free(s.head);
        free(s.neuron);
        free(s.embed);
        free(tok);
        free(target);
        free(logit);
    }
    free(up_grad);
    free(layer);
    free(out);
    free(row);
    eh_weights_close(w);
    session_close(on);
}

#define N_PAIR 3

/* Sums value * grad of each head over its channels and the rows of each goal. */
typedef struct head_sums {
    int64_t n_layer, n_head;
    double sum[2 * N_PAIR][30][9];
} head_sums;

static int see_heads(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    head_sums *s = ctx;
    const int64_t d = b->width / s->n_head;
    for (int64_t g = 0; g < b->n_request; g++)
        for (int64_t row = b->first_row[g]; row <= b->last_row[g]; row++)
            for (int64_t i = 0; i < b->width; i++)
                s->sum[b->request[g]][b->layer][i / d] +=
                    (double)b->value[row * b->width + i] * (double)b->grad[row * b->width + i];
    return 0;
}

/* -(activation x gradient) of ll(sent_more) - ll(sent_less), both after the context [1]: as the golden has it. */
TEST(the_gradient_estimate_of_head_ablations_matches)
{
    const char *path = shared_path("golden/smollm2/head_ablation_crows.safetensors");
    const char *crows = shared_path("golden/smollm2/crows.jsonl");
    if (path == NULL || crows == NULL || smollm2_path() == NULL)
        SKIP("no SmolLM2, or no ../shared/golden");
    static int32_t tok[2 * N_PAIR][200];
    static eh_term term[2 * N_PAIR][200];
    eh_goal goal[2 * N_PAIR];
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen(crows, "r");
    CHECK(f != NULL);
    for (int i = 0; i < N_PAIR; i++) {
        json_error_t e;
        CHECK(getline(&line, &room, f) > 0);
        json_t *j = json_loads(line, JSON_ALLOW_NUL, &e);
        CHECK(j != NULL);
        for (int k = 0; k < 2; k++) {
            json_t *ids = json_array_get(json_object_get(j, "cont_ids"), (size_t)k);
            const int64_t n = (int64_t)json_array_size(ids);
            int32_t *t = tok[2 * i + k];
            CHECK(n > 1 && n < 199);
            t[0] = 1;
            for (int64_t p = 0; p < n; p++) {
                t[p + 1] = (int32_t)json_integer_value(json_array_get(ids, (size_t)p));
                term[2 * i + k][p] = (eh_term){.pos = p, .id = t[p + 1], .weight = k == 0 ? 1.0 : -1.0};
            }
            goal[2 * i + k] = (eh_goal){t, n, term[2 * i + k], n, false}; /* the last token is only scored */
        }
        json_decref(j);
    }
    free(line);
    fclose(f);
    eh_session *on;
    CHECK_OK(session_open(smollm2_path(), NULL, &on, &err));
    static head_sums s = {.n_layer = 30, .n_head = 9};
    const eh_observer o = {1u << EH_SITE_HEAD_OUT, see_heads, &s};
    double value[2 * N_PAIR];
    CHECK_OK(eh_attribute(on, goal, 2 * N_PAIR, EH_RULES_GRADIENT, value, &o, 1, &err));
    eh_weights *w = golden_open(path);
    int64_t n;
    float *base = golden_floats(w, "base", &n), *want = golden_floats(w, "grad_estimate", &n);
    CHECK_INT(n, 30 * 9 * 100);
    for (int i = 0; i < N_PAIR; i++) {
        float got_one[270], want_one[270];
        CHECK_NEAR(value[2 * i] + value[2 * i + 1], (double)base[i], 2e-3);
        for (int u = 0; u < 270; u++) {
            got_one[u] = (float)-(s.sum[2 * i][u / 9][u % 9] + s.sum[2 * i + 1][u / 9][u % 9]);
            want_one[u] = want[u * 100 + i];
        }
        check_floats(got_one, want_one, 270, 1e-3 * golden_largest(want_one, 270), "grad_estimate");
    }
    free(base);
    free(want);
    eh_weights_close(w);
    session_close(on);
}
