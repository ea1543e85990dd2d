/*
 * With p [n_pos] a head's attention from the answer position t, G the positions of the group
 * mentions, C those of the context, a [d_head] the head's output at t and W [d_model, d_head] its
 * columns of the output projection as they are in force:
 *
 *     group_attention    sum of p over G                      docs/methods/heads.md
 *     context_attention  sum of p over C
 *     entropy            - sum of p ln p, nats                Clark et al. 2019
 *     head_norm          ||a|| * ||W a||
 *     head_effect        sum over positions and channels of a * d(goal)/da: Nanda 2023, Syed et al. 2023
 *     head_relevance     the same with AttnLRP's gradient:    Achtibat et al. 2024
 */
#include "probe/heads.h"

#include <math.h>
#include <string.h>

#include "base/par.h"

#define LANES 16   /* answers side by side: the inner loop of W a */
#define GROUPS 4   /* groups of LANES that one expansion of W serves */
#define W_ROWS 32  /* rows of W in a work item */

const eh_head_stat_info eh_head_stat_table[EH_HEAD_N_STAT] = {
    [EH_HEAD_GROUP_ATTENTION] = {"this project: spans of the answers' texts in the context", false, EH_RULES_GRADIENT},
    [EH_HEAD_CONTEXT_ATTENTION] = {"this project", false, EH_RULES_GRADIENT},
    [EH_HEAD_ENTROPY] = {"Clark et al., What Does BERT Look At?, BlackboxNLP 2019", false, EH_RULES_GRADIENT},
    [EH_HEAD_NORM] = {"this project, after Kobayashi et al., Attention is Not Only a Weight, EMNLP 2020", false,
                      EH_RULES_GRADIENT},
    [EH_HEAD_EFFECT] = {"Syed et al., Attribution Patching Outperforms Automated Circuit Discovery, 2023", true,
                        EH_RULES_GRADIENT},
    [EH_HEAD_RELEVANCE] = {"Achtibat et al., AttnLRP, ICML 2024", true, EH_RULES_ATTNLRP},
};

const char *eh_head_stat_name(int stat)
{
    return eh_choice_name(EH_CHOICE_HEAD_STAT, stat);
}

/* ---- Forward: getting ready -------------------------------------------------------------------------- */

static int check_set(const eh_request *r, const eh_head_set *s, int64_t i, eh_err *err)
{
    if (s->skip)
        return EH_OK;
    int64_t end = 0;
    for (int64_t k = 0; k < s->n_group; k++) {
        const eh_range *g = &s->group[k];
        if (g->from < end || g->from >= g->end || g->end > r->from)
            return eh_fail(err, EH_EINVAL,
                           "request %lld: group mention %lld is positions %lld to %lld; wanted ascending, not empty, "
                           "and within the %lld tokens of the prompt", (long long)i, (long long)k, (long long)g->from,
                           (long long)g->end - 1, (long long)r->from);
        end = g->end;
    }
    if (s->context.from < 0 || s->context.end < s->context.from || s->context.end > r->from)
        return eh_fail(err, EH_EINVAL, "request %lld: the context is positions %lld to %lld of a prompt of %lld tokens",
                       (long long)i, (long long)s->context.from, (long long)s->context.end - 1, (long long)r->from);
    return EH_OK;
}

static int64_t n_unit(const eh_session *s)
{
    return s->m->config.n_layer * s->m->config.n_head;
}

static int64_t w_blocks(const eh_session *s)
{
    return (s->m->config.d_model + W_ROWS - 1) / W_ROWS;
}

int eh_head_probe_start(eh_head_probe *p, const eh_session *s, const eh_request *request, const eh_head_set *set,
                        int64_t n, eh_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        const int rc = check_set(&request[i], &set[i], i, err);
        if (rc < 0)
            return rc;
    }
    const eh_config *c = &s->m->config;
    const int64_t d_q = c->n_head * c->d_head, width = EH_HEAD_N_FORWARD * n_unit(s);
    eh_head_probe q = {.n = n, .s = s, .request = request, .set = set};
    if (n <= INT64_MAX / width)
        q.value = eh_new_raw(&q.memory, float, n * width);
    q.next = eh_new_raw(&q.memory, int64_t, n);
    q.row = eh_new_raw(&q.memory, int64_t, n);
    q.lane = eh_new_raw(&q.memory, float, GROUPS * LANES * d_q);
    q.weight = eh_new_raw(&q.memory, float, s->threads * W_ROWS * d_q);
    q.part = eh_new_raw(&q.memory, double, w_blocks(s) * c->n_head * GROUPS * LANES);
    if (!q.value || !q.next || !q.row || !q.lane || !q.weight || !q.part) {
        eh_arena_clear(&q.memory);
        return eh_fail(err, EH_ENOMEM, "no memory for the head statistics of %lld requests", (long long)n);
    }
    for (int64_t i = 0; i < n * width; i++)
        q.value[i] = NAN;
    q.batch = eh_arena_here(&q.memory);
    eh_head_probe_clear(p);
    *p = q;
    return EH_OK;
}

void eh_head_probe_clear(eh_head_probe *p)
{
    eh_arena_clear(&p->memory);
    *p = (eh_head_probe){0};
}

static float *cell(const eh_head_probe *p, int64_t request, eh_head_stat s, int64_t layer, int64_t head)
{
    const eh_config *c = &p->s->m->config;
    return &p->value[(request * EH_HEAD_N_FORWARD + s) * n_unit(p->s) + layer * c->n_head + head];
}

/* ---- Forward: seeing ----------------------------------------------------------------------------------- */

/* Who answers where: so that a row's probabilities find their requests at once. */
static int see_start(eh_head_probe *p, const eh_block *b, eh_err *err)
{
    eh_arena_rewind(&p->memory, p->batch);
    p->first = eh_new_raw(&p->memory, int64_t, b->n_row);
    if (p->first == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the rows of a batch of %lld tokens", (long long)b->n_row);
    for (int64_t i = 0; i < b->n_row; i++)
        p->first[i] = -1;
    for (int64_t i = 0; i < b->n_request; i++) {
        const int64_t r = b->request[i], row = b->last_row[i];
        if (r >= p->n || b->depth[row] != p->request[r].from - 1)
            return eh_fail(err, EH_EINVAL, "request %lld of the call is not the one the head probe was started with",
                           (long long)r);
        if (p->set[r].skip)
            continue;
        p->next[r] = p->first[row];
        p->first[row] = r;
    }
    p->n_answer = 0;
    for (int64_t i = 0; i < b->n_row; i++)
        if (p->first[i] >= 0)
            p->row[p->n_answer++] = i;
    return EH_OK;
}

static double mass(const float *prob, const eh_range *range, int64_t n)
{
    double sum = 0.0;
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = range[k].from; i < range[k].end; i++)
            sum += (double)prob[i];
    return sum;
}

static void see_prob(eh_head_probe *p, const eh_block *b)
{
    if (p->first[b->first] < 0)
        return;
    double entropy = 0.0;
    for (int64_t i = 0; i < b->width; i++)
        if (b->value[i] > 0.0f)
            entropy -= (double)b->value[i] * log((double)b->value[i]);
    for (int64_t r = p->first[b->first]; r >= 0; r = p->next[r]) {
        const eh_head_set *s = &p->set[r];
        if (s->n_group > 0)
            *cell(p, r, EH_HEAD_GROUP_ATTENTION, b->layer, b->head) = (float)mass(b->value, s->group, s->n_group);
        if (s->context.from < s->context.end)
            *cell(p, r, EH_HEAD_CONTEXT_ATTENTION, b->layer, b->head) = (float)mass(b->value, &s->context, 1);
        *cell(p, r, EH_HEAD_ENTROPY, b->layer, b->head) = (float)entropy;
    }
}

/* W a for up to GROUPS * LANES answers and all heads, squared and summed over W_ROWS rows of W. Answers lie side by
 * side, so that each keeps its own order of additions whoever is beside it. */
typedef struct norm_job {
    const eh_head_probe *p;
    const eh_linear *o;
    int64_t n_group;
} norm_job;

static void norm_block(void *ctx, int64_t block, int worker)
{
    const norm_job *j = ctx;
    const eh_config *c = &j->p->s->m->config;
    const int64_t d = c->d_head, d_q = c->n_head * d;
    const int64_t from = block * W_ROWS;
    const int64_t n = c->d_model - from < W_ROWS ? c->d_model - from : W_ROWS;
    float *w = j->p->weight + worker * W_ROWS * d_q;
    eh_linear_rows(j->o, from, n, w);
    for (int64_t g = 0; g < j->n_group; g++)
        for (int64_t h = 0; h < c->n_head; h++) {
            const float *a = j->p->lane + (g * d_q + h * d) * LANES;
            double sum[LANES] = {0};
            for (int64_t r = 0; r < n; r++) {
                const float *row = w + r * d_q + h * d;
                float y[LANES] = {0};
                for (int64_t i = 0; i < d; i++)
                    for (int l = 0; l < LANES; l++)
                        y[l] += row[i] * a[i * LANES + l];
                for (int l = 0; l < LANES; l++)
                    sum[l] += (double)y[l] * (double)y[l];
            }
            memcpy(j->p->part + ((block * c->n_head + h) * GROUPS + g) * LANES, sum, sizeof sum);
        }
}

/* The same for answers at..at+n-1 of p->row; writes head_norm. */
static void norm_answers(const eh_head_probe *p, const eh_block *b, int64_t at, int64_t n)
{
    const eh_config *c = &p->s->m->config;
    const int64_t d = c->d_head, d_q = c->n_head * d;
    const int64_t n_group = (n + LANES - 1) / LANES;
    for (int64_t i = 0; i < n_group * LANES; i++)
        for (int64_t k = 0; k < d_q; k++)
            p->lane[(i / LANES * d_q + k) * LANES + i % LANES] =
                i < n ? b->value[(p->row[at + i] - b->first) * d_q + k] : 0.0f;
    norm_job j = {p, &p->s->layer[b->layer].linear[EH_LINEAR_O], n_group};
    eh_par_for(p->s->threads, w_blocks(p->s), norm_block, &j);
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < c->n_head; h++) {
            double before = 0.0, after = 0.0;
            for (int64_t k = h * d; k < (h + 1) * d; k++) {
                const double x = (double)b->value[(p->row[at + i] - b->first) * d_q + k];
                before += x * x;
            }
            for (int64_t block = 0; block < w_blocks(p->s); block++)
                after += p->part[((block * c->n_head + h) * GROUPS + i / LANES) * LANES + i % LANES];
            for (int64_t r = p->first[p->row[at + i]]; r >= 0; r = p->next[r])
                *cell(p, r, EH_HEAD_NORM, b->layer, h) = (float)(sqrt(before) * sqrt(after));
        }
}

static int see_head(void *ctx, const eh_block *b, eh_err *err)
{
    eh_head_probe *p = ctx;
    if (b->site == EH_SITE_START)
        return see_start(p, b, err);
    if (b->site == EH_SITE_ANSWER_PROB) {
        see_prob(p, b);
        return EH_OK;
    }
    int64_t at = 0;
    while (at < p->n_answer && p->row[at] < b->first)
        at++;
    while (at < p->n_answer && p->row[at] < b->first + b->n_row) {
        int64_t n = 1;
        while (n < GROUPS * LANES && at + n < p->n_answer && p->row[at + n] < b->first + b->n_row)
            n++;
        norm_answers(p, b, at, n);
        at += n;
    }
    return EH_OK;
}

eh_observer eh_head_probe_observer(eh_head_probe *p)
{
    return (eh_observer){.sites = 1u << EH_SITE_START | 1u << EH_SITE_ANSWER_PROB | 1u << EH_SITE_HEAD_OUT,
                         .see = see_head,
                         .ctx = p};
}

/* ---- Backward -------------------------------------------------------------------------------------------- */

int eh_effect_probe_start(eh_effect_probe *p, const eh_session *s, int64_t n, eh_err *err)
{
    double *value = n <= INT64_MAX / n_unit(s) ? eh_calloc(n * n_unit(s), (int64_t)sizeof *value) : NULL;
    if (value == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for the head effects of %lld goals", (long long)n);
    eh_effect_probe_clear(p);
    *p = (eh_effect_probe){value, n, s};
    return EH_OK;
}

void eh_effect_probe_clear(eh_effect_probe *p)
{
    eh_free(p->value);
    *p = (eh_effect_probe){0};
}

typedef struct effect_job {
    const eh_effect_probe *p;
    const eh_block *b;
} effect_job;

/* One goal's rows, in their order; a goal that lies in several blocks adds up over them. */
static void effect_goal(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const effect_job *j = ctx;
    const eh_block *b = j->b;
    const eh_config *c = &j->p->s->m->config;
    double *value = j->p->value + b->request[i] * n_unit(j->p->s) + b->layer * c->n_head;
    const int64_t from = b->first_row[i] > b->first ? b->first_row[i] : b->first;
    const int64_t last = b->last_row[i] < b->first + b->n_row ? b->last_row[i] : b->first + b->n_row - 1;
    for (int64_t row = from; row <= last; row++)
        for (int64_t h = 0; h < c->n_head; h++) {
            const int64_t at = (row - b->first) * b->width + h * c->d_head;
            double sum = 0.0;
            for (int64_t k = at; k < at + c->d_head; k++)
                sum += (double)b->value[k] * (double)b->grad[k];
            value[h] += sum;
        }
}

static int see_effect(void *ctx, const eh_block *b, eh_err *err)
{
    const eh_effect_probe *p = ctx;
    if (b->grad == NULL)
        return eh_fail(err, EH_EINVAL, "head effects come from eh_attribute; this is a forward pass");
    for (int64_t i = 0; i < b->n_request; i++)
        if (b->request[i] >= p->n)
            return eh_fail(err, EH_EINVAL, "goal %lld of the call; the effect probe was started for %lld goals",
                           (long long)b->request[i], (long long)p->n);
    effect_job j = {p, b};
    eh_par_for(p->s->threads, b->n_request, effect_goal, &j);
    return EH_OK;
}

eh_observer eh_effect_probe_observer(eh_effect_probe *p)
{
    return (eh_observer){.sites = 1u << EH_SITE_HEAD_OUT, .see = see_effect, .ctx = p};
}
