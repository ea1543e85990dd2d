/*
 * The backward pass against float64 references (tests/golden/tiny: autograd, LXT 2.1 and hooks of the
 * same rules; ../shared/golden/tiny/README.md tells how they were made). Tolerances are that README's,
 * relative to the largest number of a tensor: gradients 2e-4, relevance 5e-5, norms of gradients 1e-4.
 */
#include <jansson.h>
#include <string.h>

#include "check.h"
#include "golden_file.h"
#include "grad_room.h"

static const char *const folders[] = {"llama", "llama-mha", "llama-untied-scaled", "mistral", "qwen2", "qwen3"};
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
} seen;

static int see(void *ctx, const eh_block *b, eh_err *e)
{
    (void)e;
    seen *s = ctx;
    for (int64_t r = 0; r < b->n_row; r++) {
        const float *x = b->value + r * b->width, *g = b->grad + r * b->width;
        const int64_t row = b->first + r, unit = b->site == EH_SITE_HEAD_OUT ? b->width / s->n_head : 1;
        if (b->site == EH_SITE_RESID && b->layer == -1) {
            double sum = 0;
            for (int64_t i = 0; i < b->width; i++)
                sum += (double)x[i] * (double)g[i];
            s->embed[row] = (float)sum;
        } else if (b->site != EH_SITE_RESID) {
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
static void one_sequence(eh_model *m, const eh_weights *w, int length)
{
    const eh_config *c = &m->config;
    char name[100];
    int64_t n_tok;
    snprintf(name, sizeof name, "tokens.len%d", length);
    int32_t *tok = golden_tokens(w, name, &n_tok);
    const eh_term term = {.pos = n_tok - 1, .id = -1, .logit = true, .weight = 1.0};
    const eh_goal goal = {tok, n_tok, &term, 1};
    seen s = {.n_tok = n_tok, .n_layer = c->n_layer, .n_head = c->n_head, .d_ff = c->d_ff};
    s.head = calloc((size_t)(c->n_layer * n_tok * c->n_head), sizeof(float));
    s.neuron = calloc((size_t)(c->n_layer * n_tok * c->d_ff), sizeof(float));
    s.embed = calloc((size_t)n_tok, sizeof(float));
    const eh_observer o = {1u << EH_SITE_RESID | 1u << EH_SITE_HEAD_OUT | 1u << EH_SITE_NEURON, see, &s};
    for (int r = 0; r < 3; r++) {
        double value;
        CHECK_OK(eh_attribute(m, &goal, 1, (eh_rules)r, &value, &o, 1, &err));
        snprintf(name, sizeof name, "%s.len%d.head", rule_names[r], length);
        compare(w, name, s.head, tolerances[r]);
        snprintf(name, sizeof name, "%s.len%d.neuron", rule_names[r], length);
        compare(w, name, s.neuron, tolerances[r]);
        snprintf(name, sizeof name, "%s.len%d.embed", rule_names[r], length);
        compare(w, name, s.embed, tolerances[r]);
        if (r == EH_RULES_CPLRP && !c->qkv_bias) { /* conservation */
            double sum = 0;
            for (int64_t i = 0; i < n_tok; i++)
                sum += (double)s.embed[i];
            CHECK_NEAR(sum / value, 1.0, 1e-4);
        }
        if (r == EH_RULES_CPLRP)
            continue;
        grad_room g = grad_room_of(m);
        CHECK_OK(eh_backward(m, &goal, 1, NULL, 0, (eh_rules)r, NULL, NULL, 0, &g.grads, &err));
        float *row = malloc((size_t)c->d_model * sizeof *row);
        float *up = malloc((size_t)(c->n_layer * c->d_ff) * sizeof *up);
        for (int64_t i = 0; i < c->n_layer * c->d_ff; i++) {
            const int64_t layer = i / c->d_ff, at = c->d_ff + i % c->d_ff;
            double sum = 0;
            eh_linear_rows(m, &m->layer[layer].gate_up, at, 1, row);
            for (int64_t k = 0; k < c->d_model; k++)
                sum += fabs((double)row[k] * (double)g.grads.layer[layer].gate_up[at * c->d_model + k]);
            up[i] = (float)sum;
        }
        snprintf(name, sizeof name, "wrel.%s.len%d", rule_names[r], length);
        compare(w, name, up, tolerances[r]);
        free(row);
        free(up);
        grad_room_free(&g);
    }
    free(s.head);
    free(s.neuron);
    free(s.embed);
    free(tok);
}

static void every_sequence(const eh_options *o)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_model *m;
        CHECK_OK(eh_model_open(in_folder(folders[f], ""), o, &m, &err));
        eh_weights *w = golden_open(in_folder(folders[f], "/golden.safetensors"));
        one_sequence(m, w, 9);
        one_sequence(m, w, 33);
        eh_weights_close(w);
        eh_model_close(m);
    }
}

TEST(gradients_and_relevance_of_every_llama_like_family_match_the_double_reference)
{
    every_sequence(NULL);
}

TEST(the_plain_product_gives_the_same)
{
    const eh_options o = {.product = "reference"};
    every_sequence(&o);
}

/* The gradient of a weight by its Hugging Face name; NULL: the model has no such weight. */
static const float *gradient_of(const eh_model *m, const grad_room *g, const char *name, int64_t *n)
{
    const eh_config *c = &m->config;
    const int64_t d = c->d_model, d_q = c->n_head * c->d_head, d_kv = c->n_kv * c->d_head;
    int layer, used = 0;
    *n = c->n_vocab * d;
    if (strcmp(name, "model.embed_tokens.weight") == 0)
        return g->grads.embed;
    if (strcmp(name, "lm_head.weight") == 0)
        return g->grads.head;
    if (strcmp(name, "model.norm.weight") == 0) {
        *n = d;
        return g->grads.final_norm;
    }
    if (sscanf(name, "model.layers.%d.%n", &layer, &used) != 1 || layer < 0 || layer >= c->n_layer)
        return NULL;
    const eh_layer_grad *l = &g->grads.layer[layer];
    const struct {
        const char *name;
        const float *at;
        int64_t n;
    } all[] = {
        {"input_layernorm.weight", l->attn_norm, d},
        {"post_attention_layernorm.weight", l->mlp_norm, d},
        {"self_attn.q_norm.weight", l->q_norm, c->d_head},
        {"self_attn.k_norm.weight", l->k_norm, c->d_head},
        {"self_attn.q_proj.weight", l->qkv, d_q * d},
        {"self_attn.k_proj.weight", l->qkv + d_q * d, d_kv * d},
        {"self_attn.v_proj.weight", l->qkv + (d_q + d_kv) * d, d_kv * d},
        {"self_attn.q_proj.bias", l->qkv_bias, d_q},
        {"self_attn.k_proj.bias", l->qkv_bias != NULL ? l->qkv_bias + d_q : NULL, d_kv},
        {"self_attn.v_proj.bias", l->qkv_bias != NULL ? l->qkv_bias + d_q + d_kv : NULL, d_kv},
        {"self_attn.o_proj.weight", l->o, d * d_q},
        {"self_attn.o_proj.bias", l->o_bias, d},
        {"mlp.gate_proj.weight", l->gate_up, c->d_ff * d},
        {"mlp.up_proj.weight", l->gate_up + c->d_ff * d, c->d_ff * d},
        {"mlp.gate_proj.bias", l->gate_up_bias, c->d_ff},
        {"mlp.up_proj.bias", l->gate_up_bias != NULL ? l->gate_up_bias + c->d_ff : NULL, c->d_ff},
        {"mlp.down_proj.weight", l->down, d * c->d_ff},
        {"mlp.down_proj.bias", l->down_bias, d},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name + used) == 0) {
            *n = all[i].n;
            return all[i].at;
        }
    return NULL;
}

/* The mean negative log-probability of tokens 4..32, as a goal. */
static eh_goal finetune_goal(const int32_t *tok, int64_t n_tok, eh_term *term)
{
    int64_t n = 0;
    for (int64_t p = 4; p < n_tok; p++)
        term[n++] = (eh_term){.pos = p - 1, .id = tok[p], .weight = -1.0 / (double)(n_tok - 4)};
    return (eh_goal){tok, n_tok, term, n};
}

TEST(norms_of_weight_gradients_match_the_double_reference)
{
    for (size_t f = 0; f < N_FOLDER; f++) {
        eh_model *m;
        CHECK_OK(eh_model_open(in_folder(folders[f], ""), NULL, &m, &err));
        eh_weights *w = golden_open(in_folder(folders[f], "/golden.safetensors"));
        json_error_t e;
        json_t *j = json_load_file(in_folder(folders[f], "/golden.json"), 0, &e);
        CHECK(j != NULL);
        json_t *finetune = json_object_get(j, "finetune");
        int64_t n_tok;
        int32_t *tok = golden_tokens(w, "tokens.len33", &n_tok);
        eh_term term[33];
        const eh_goal goal = finetune_goal(tok, n_tok, term);
        grad_room g = grad_room_of(m);
        double value;
        CHECK_OK(eh_backward(m, &goal, 1, NULL, 0, EH_RULES_GRADIENT, &value, NULL, 0, &g.grads, &err));
        CHECK_NEAR(value, json_number_value(json_array_get(json_object_get(finetune, "loss_after_steps"), 0)), 1e30);
        double top = 0;
        const char *name;
        json_t *norm;
        json_object_foreach(json_object_get(finetune, "grad_norm"), name, norm)
            top = fmax(top, json_number_value(norm));
        CHECK(top > 0);
        json_object_foreach(json_object_get(finetune, "grad_norm"), name, norm)
        {
            int64_t n;
            const float *x = gradient_of(m, &g, name, &n);
            if (x == NULL)
                print_error("%s: no gradient of %s\n", folders[f], name);
            CHECK(x != NULL);
            double sum = 0;
            for (int64_t i = 0; i < n; i++)
                sum += (double)x[i] * (double)x[i];
            const double want = json_number_value(norm);
            if (want > 1e-6 * top)
                check_near(sqrt(sum), want, 1e-4 * want, name, __FILE__, __LINE__);
        }
        grad_room_free(&g);
        free(tok);
        json_decref(j);
        eh_weights_close(w);
        eh_model_close(m);
    }
}
