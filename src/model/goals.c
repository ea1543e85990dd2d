#include "model/goals.h"

#include <math.h>

#include "model/forest.h"

static int check_goal(const eh_model *m, const eh_goal *g, int64_t i, bool has_kl, eh_err *err)
{
    const eh_config *c = &m->config;
    if (g->n_tok < 1)
        return eh_fail(err, EH_EINVAL, "goal %lld: %lld tokens; wanted at least one", (long long)i,
                       (long long)g->n_tok);
    if (g->n_tok > c->n_ctx)
        return eh_fail(err, EH_ERANGE, "goal %lld: %lld tokens; the model's context is %lld", (long long)i,
                       (long long)g->n_tok, (long long)c->n_ctx);
    for (int64_t t = 0; t < g->n_tok; t++)
        if (g->tok[t] < 0 || g->tok[t] >= c->n_vocab)
            return eh_fail(err, EH_EINVAL, "goal %lld: token %lld is %d; the vocabulary has 0 to %lld", (long long)i,
                           (long long)t, g->tok[t], (long long)c->n_vocab - 1);
    if (g->joined && i == 0)
        return eh_fail(err, EH_EINVAL, "goal 0 is joined to the one before it, and there is none");
    if (g->n_term < 0 || (g->n_term == 0 && !has_kl))
        return eh_fail(err, EH_EINVAL, "goal %lld has no terms; wanted at least one", (long long)i);
    for (int64_t t = 0; t < g->n_term; t++) {
        const eh_term *term = &g->term[t];
        if (term->pos < 0 || term->pos >= g->n_tok)
            return eh_fail(err, EH_EINVAL, "goal %lld, term %lld: position %lld; the goal has 0 to %lld", (long long)i,
                           (long long)t, (long long)term->pos, (long long)g->n_tok - 1);
        if (term->id < -1 || term->id >= c->n_vocab)
            return eh_fail(err, EH_EINVAL,
                           "goal %lld, term %lld: token %d; the vocabulary has 0 to %lld, and -1 is the likeliest",
                           (long long)i, (long long)t, term->id, (long long)c->n_vocab - 1);
        if (!isfinite(term->weight))
            return eh_fail(err, EH_EINVAL, "goal %lld, term %lld: the weight is not finite", (long long)i,
                           (long long)t);
    }
    return EH_OK;
}

int eh_goals_check(const eh_model *m, const eh_goal *goal, int64_t n, const eh_kl_term *kl, int64_t n_kl, eh_err *err)
{
    bool *has_kl = eh_calloc(n > 0 ? n : 1, (int64_t)sizeof *has_kl);
    if (has_kl == NULL)
        return eh_fail(err, EH_ENOMEM, "no memory for %lld goals", (long long)n);
    int rc = EH_OK;
    for (int64_t i = 0; i < n_kl && rc == EH_OK; i++) {
        if (kl[i].goal < 0 || kl[i].goal >= n || kl[i].logp == NULL || !isfinite(kl[i].weight))
            rc = eh_fail(err, EH_EINVAL, "KL term %lld: wanted a goal of 0 to %lld, a finite weight and a reference",
                         (long long)i, (long long)n - 1);
        else if (kl[i].pos < 0 || kl[i].pos >= goal[kl[i].goal].n_tok)
            rc = eh_fail(err, EH_EINVAL, "KL term %lld: position %lld; goal %lld has 0 to %lld", (long long)i,
                         (long long)kl[i].pos, (long long)kl[i].goal, (long long)goal[kl[i].goal].n_tok - 1);
        else
            has_kl[kl[i].goal] = true;
    }
    for (int64_t i = 0; i < n && rc == EH_OK; i++)
        rc = check_goal(m, &goal[i], i, has_kl[i], err);
    eh_free(has_kl);
    return rc;
}

/* Counts of each row become the place where its first one goes. */
static void to_starts(int64_t *of, int64_t n_row)
{
    int64_t at = 0;
    for (int64_t r = 0; r <= n_row; r++) {
        const int64_t n = of[r];
        of[r] = at;
        at += n;
    }
}

/* ... and, when each row's have been put there, once more its start. */
static void back_to_starts(int64_t *of, int64_t n_row)
{
    for (int64_t r = n_row; r > 0; r--)
        of[r] = of[r - 1];
    of[0] = 0;
}

/* Tokens that a joined goal has in common with the first of those it is joined to. */
static int64_t common(const eh_goal *first, const eh_goal *g)
{
    const int64_t n = first->n_tok < g->n_tok ? first->n_tok : g->n_tok;
    int64_t i = 0;
    while (i < n && first->tok[i] == g->tok[i])
        i++;
    return i;
}

/* The first goal after `from` that is not joined to it, and the rows that they take. */
static int64_t joined_end(const eh_goal *goal, int64_t n, int64_t from, int64_t *n_row)
{
    int64_t end = from + 1;
    *n_row = goal[from].n_tok;
    for (; end < n && goal[end].joined; end++)
        *n_row += goal[end].n_tok - common(&goal[from], &goal[end]);
    return end;
}

/* Where a goal's positions lie: the first `shared` with the goal that it is joined to. */
typedef struct rows {
    int64_t first, shared, own;
} rows;

static int64_t row_at(const rows *r, int64_t pos)
{
    return pos < r->shared ? r->first + pos : r->own + pos - r->shared;
}

/* How many goals fit, with those joined to them, and how large the parts become. */
typedef struct measure {
    int64_t end, n_tok, n_term, n_kl;
} measure;

static bool is_here(const eh_kl_term *kl, int64_t from, int64_t end)
{
    return kl->goal >= from && kl->goal < end;
}

static measure measure_of(const eh_goal *goal, int64_t n, const eh_kl_term *kl, int64_t n_kl, int64_t from,
                          int64_t batch_tokens)
{
    measure m = {.end = from};
    while (m.end < n) {
        int64_t n_row;
        const int64_t next = joined_end(goal, n, m.end, &n_row);
        if (m.end > from && m.n_tok + n_row > batch_tokens)
            break;
        m.n_tok += n_row;
        for (; m.end < next; m.end++)
            m.n_term += goal[m.end].n_term;
    }
    for (int64_t i = 0; i < n_kl; i++)
        m.n_kl += is_here(&kl[i], from, m.end);
    return m;
}

/* The goals' paths, and where each one's positions lie: at [end - from]. */
static void add_paths(eh_goal_batch *g, const eh_goal *goal, int64_t from, rows *at)
{
    eh_batch *b = &g->b;
    for (int64_t i = from, first = from; i < g->end; i++) {
        first = i > from && goal[i].joined ? first : i;
        rows *r = &at[i - from];
        *r = (rows){.first = at[first - from].own, .shared = i > first ? common(&goal[first], &goal[i]) : 0,
                    .own = b->n_tok};
        eh_forest_add(b, goal[i].tok + r->shared, goal[i].n_tok - r->shared, r->shared,
                      r->shared > 0 ? r->first + r->shared - 1 : -1, -1);
        if (i == first) {
            g->first_row[b->n_request] = r->own;
            b->request[b->n_request++] = i;
        }
        b->last_row[b->n_request - 1] = b->n_tok - 1;
    }
}

/* The goals' terms by the row that they name, in the order given; index: of each row in ask. */
static void place_terms(eh_goal_batch *g, const eh_goal *goal, int64_t from, const rows *at, const int64_t *index)
{
    for (int64_t i = from; i < g->end; i++)
        for (int64_t t = 0; t < goal[i].n_term; t++)
            g->term_of[index[row_at(&at[i - from], goal[i].term[t].pos)]]++;
    to_starts(g->term_of, g->b.n_ask);
    for (int64_t i = from; i < g->end; i++)
        for (int64_t t = 0; t < goal[i].n_term; t++) {
            const int64_t row = index[row_at(&at[i - from], goal[i].term[t].pos)];
            g->term[g->term_of[row]++] = (eh_row_term){.goal = i, .term = goal[i].term[t]};
        }
    back_to_starts(g->term_of, g->b.n_ask);
}

static void place_kl(eh_goal_batch *g, const eh_kl_term *kl, int64_t n_kl, int64_t from, const rows *at,
                     const int64_t *index)
{
    for (int64_t i = 0; i < n_kl; i++)
        if (is_here(&kl[i], from, g->end))
            g->kl_of[index[row_at(&at[kl[i].goal - from], kl[i].pos)]]++;
    to_starts(g->kl_of, g->b.n_ask);
    for (int64_t i = 0; i < n_kl; i++)
        if (is_here(&kl[i], from, g->end))
            g->kl[g->kl_of[index[row_at(&at[kl[i].goal - from], kl[i].pos)]]++] = (eh_row_kl){.term = kl[i]};
    back_to_starts(g->kl_of, g->b.n_ask);
}

int eh_goals_pack(const eh_goal *goal, int64_t n, const eh_kl_term *kl, int64_t n_kl, int64_t from,
                  int64_t batch_tokens, eh_arena *arena, eh_goal_batch *out, eh_err *err)
{
    const measure m = measure_of(goal, n, kl, n_kl, from, batch_tokens);
    eh_goal_batch g = {
        .b = {.request = eh_new_raw(arena, int64_t, m.end - from),
              .last_row = eh_new_raw(arena, int64_t, m.end - from)},
        .end = m.end,
        .first_row = eh_new_raw(arena, int64_t, m.end - from),
        .term_of = eh_new(arena, int64_t, m.n_tok + 1),
        .term = eh_new_raw(arena, eh_row_term, m.n_term),
        .kl_of = eh_new(arena, int64_t, m.n_tok + 1),
        .kl = eh_new_raw(arena, eh_row_kl, m.n_kl),
    };
    int64_t *index = eh_new_raw(arena, int64_t, m.n_tok);
    bool *asked = eh_new(arena, bool, m.n_tok);
    rows *at = eh_new_raw(arena, rows, m.end - from);
    if (!eh_forest_room(&g.b, m.n_tok, m.end - from, arena) || !g.b.request || !g.b.last_row || !g.first_row ||
        !g.term_of || !g.term || !g.kl_of || !g.kl || !index || !asked || !at)
        return eh_fail(err, EH_ENOMEM, "no memory for a batch of %lld tokens", (long long)m.n_tok);

    add_paths(&g, goal, from, at);
    for (int64_t i = from; i < m.end; i++)
        for (int64_t t = 0; t < goal[i].n_term; t++)
            asked[row_at(&at[i - from], goal[i].term[t].pos)] = true;
    for (int64_t i = 0; i < n_kl; i++)
        if (is_here(&kl[i], from, m.end))
            asked[row_at(&at[kl[i].goal - from], kl[i].pos)] = true;
    eh_forest_ask(&g.b, asked, index);
    place_terms(&g, goal, from, at, index);
    place_kl(&g, kl, n_kl, from, at, index);
    *out = g;
    return EH_OK;
}
