#include "op/attention.h"

#include <string.h>

#include "base/par.h"

/* Queries of one work item: enough that gathering the keys costs little beside using them. */
#define ITEM_QUERIES 64

typedef struct item {
    int64_t first, end; /* rows of its queries, within one segment */
} item;

/* What a worker needs; sized for the deepest token of the batch. */
typedef struct scratch {
    float *kt;    /* [n_panel, d_head, EH_ATTN_PANEL] keys, transposed within panels */
    float *v;     /* [n_panel * EH_ATTN_PANEL, d_pad] */
    float *s;     /* [EH_ATTN_ROWS, n_panel * EH_ATTN_PANEL] scores, then probabilities */
    float *q;     /* [EH_ATTN_ROWS, d_head] */
    float *o;     /* [EH_ATTN_ROWS, d_pad] */
    int64_t *row; /* [n_panel * EH_ATTN_PANEL] the batch's row of each position */
} scratch;

typedef struct job {
    const eh_attention *a;
    const item *items;
    scratch *scratch; /* [n_thread] */
    int64_t d_pad;
} job;

/* The mask may be had of these segments. */
static int check_mask(const eh_attention *a, eh_err *err)
{
    if (a->mask == EH_MASK_ANCESTORS)
        return EH_OK;
    if (a->window > 0)
        return eh_fail(err, EH_EINVAL, "attention to everything has no window; %lld is given", (long long)a->window);
    for (int64_t r = 0; r < a->n_segment; r++)
        if (a->segment[r].parent >= 0 || a->segment[r].cache >= 0 || a->segment[r].depth != 0)
            return eh_fail(err, EH_EINVAL,
                           "attention to everything wants segments that begin a sequence; segment %lld does not",
                           (long long)r);
    return EH_OK;
}

static int64_t depth_of(const eh_attention *a, int64_t tok)
{
    const eh_segment *r = &a->segment[a->segment_of[tok]];
    return r->depth + (tok - r->first);
}

/* Copies one position's key and value of head `kv` into place `at` of the gathered block. */
static void gather_one(const eh_attention *a, const scratch *w, int64_t d_pad, int64_t at, const float *k,
                       const float *v)
{
    const int64_t d = a->d_head;
    float *kt = w->kt + at / EH_ATTN_PANEL * d * EH_ATTN_PANEL + at % EH_ATTN_PANEL;
    for (int64_t c = 0; c < d; c++)
        kt[c * EH_ATTN_PANEL] = k[c];
    float *to = w->v + at * d_pad;
    memcpy(to, v, (size_t)d * sizeof *to);
    for (int64_t c = d; c < d_pad; c++)
        to[c] = 0.0f;
}

/* Gathers keys and values of positions base..depth(last) along last's path. */
static void gather(const job *j, const scratch *w, int64_t last, int64_t kv, int64_t base)
{
    const eh_attention *a = j->a;
    const int64_t d = a->d_head;
    int64_t row = last;
    int64_t pos = depth_of(a, last);
    const int64_t end = (pos - base) / EH_ATTN_PANEL * EH_ATTN_PANEL + EH_ATTN_PANEL;

    for (int64_t at = pos - base + 1; at < end; at++) { /* the rest of the last panel */
        float *kt = w->kt + at / EH_ATTN_PANEL * d * EH_ATTN_PANEL + at % EH_ATTN_PANEL;
        for (int64_t c = 0; c < d; c++)
            kt[c * EH_ATTN_PANEL] = 0.0f;
    }
    while (pos >= base) {
        const eh_segment *r = &a->segment[a->segment_of[row]];
        for (; row >= r->first && pos >= base; row--, pos--) {
            gather_one(a, w, j->d_pad, pos - base, a->k + row * a->ld + kv * d, a->v + row * a->ld + kv * d);
            w->row[pos - base] = row;
        }
        if (pos < base)
            break;
        if (r->cache >= 0) {
            const float *ck = a->cache_k[r->cache] + kv * d;
            const float *cv = a->cache_v[r->cache] + kv * d;
            for (; pos >= base; pos--) {
                gather_one(a, w, j->d_pad, pos - base, ck + pos * a->n_kv * d, cv + pos * a->n_kv * d);
                w->row[pos - base] = -1;
            }
            break;
        }
        row = r->parent;
    }
}

/* The last position that a token sees. */
static int64_t last_seen(const eh_attention *a, int64_t tok)
{
    return a->mask == EH_MASK_ALL ? a->segment[a->segment_of[tok]].n - 1 : depth_of(a, tok);
}

static void do_item(void *ctx, int64_t i, int worker)
{
    const job *j = ctx;
    const eh_attention *a = j->a;
    const scratch *w = &j->scratch[worker];
    const item *it = &j->items[i / a->n_kv];
    const int64_t kv = i % a->n_kv;
    const int64_t group = a->n_head / a->n_kv;
    const int64_t d = a->d_head, d_pad = j->d_pad;

    /* With a window, positions before the first query's are not needed, but by an observer, who sees
     * whole rows; whole panels, so that a position's place in its tile stays what it is without one. */
    int64_t base = 0;
    if (a->window > 0 && a->see == NULL && depth_of(a, it->first) - a->window + 1 > 0)
        base = (depth_of(a, it->first) - a->window + 1) / EH_ATTN_PANEL * EH_ATTN_PANEL;
    const eh_segment *of = &a->segment[a->segment_of[it->first]];
    gather(j, w, a->mask == EH_MASK_ALL ? of->first + of->n - 1 : it->end - 1, kv, base);

    const int64_t n_row = (it->end - it->first) * group; /* (query, head of the group) */
    for (int64_t r0 = 0; r0 < n_row; r0 += EH_ATTN_ROWS) {
        const int64_t n = n_row - r0 < EH_ATTN_ROWS ? n_row - r0 : EH_ATTN_ROWS;
        for (int64_t r = 0; r < EH_ATTN_ROWS; r++) {
            if (r < n) {
                const int64_t tok = it->first + (r0 + r) / group, head = kv * group + (r0 + r) % group;
                memcpy(w->q + r * d, a->q + tok * a->ld + head * d, (size_t)d * sizeof *w->q);
            } else {
                memset(w->q + r * d, 0, (size_t)d * sizeof *w->q);
            }
        }
        const int64_t deepest = last_seen(a, it->first + (r0 + n - 1) / group) - base;
        const int64_t n_panel = deepest / EH_ATTN_PANEL + 1;
        const int64_t ld = n_panel * EH_ATTN_PANEL;
        a->simd->scores(w->q, w->kt, n_panel, d, w->s);
        if (a->softcap > 0.0f)
            a->simd->softcap(w->s, EH_ATTN_ROWS * ld, a->scale, a->softcap, true, NULL);
        for (int64_t r = 0; r < EH_ATTN_ROWS; r++) {
            const int64_t depth = r < n ? last_seen(a, it->first + (r0 + r) / group) : base;
            int64_t from = base;
            if (a->window > 0 && depth - a->window + 1 > base)
                from = depth - a->window + 1;
            a->simd->softmax(w->s + r * ld, ld, from - base, depth - base, a->softcap > 0.0f ? 1.0f : a->scale);
        }
        a->simd->mix(w->s, ld, w->v, 0, deepest + 1, d_pad, w->o);
        for (int64_t r = 0; r < n; r++) {
            const int64_t tok = it->first + (r0 + r) / group, head = kv * group + (r0 + r) % group;
            memcpy(a->out + (tok * a->n_head + head) * d, w->o + r * d_pad, (size_t)d * sizeof *w->o);
        }
        if (a->see != NULL)
            for (int64_t r = 0; r < n; r++) {
                const int64_t tok = it->first + (r0 + r) / group, head = kv * group + (r0 + r) % group;
                a->see(a->see_ctx, worker, tok, head, w->s + r * ld, last_seen(a, tok) + 1, w->row);
            }
    }
}

int eh_attention_run(const eh_attention *a, int n_thread, eh_arena *arena, eh_err *err)
{
    if (a->n_tok == 0)
        return EH_OK;
    const int rc = check_mask(a, err);
    if (rc < 0)
        return rc;
    const eh_arena_mark mark = eh_arena_here(arena);
    int64_t n_item = 0, deepest = 0;
    for (int64_t r = 0; r < a->n_segment; r++) {
        n_item += (a->segment[r].n + ITEM_QUERIES - 1) / ITEM_QUERIES;
        if (a->segment[r].depth + a->segment[r].n - 1 > deepest)
            deepest = a->segment[r].depth + a->segment[r].n - 1;
    }
    const int64_t n_pos = deepest / EH_ATTN_PANEL * EH_ATTN_PANEL + EH_ATTN_PANEL;
    const int64_t d_pad = (a->d_head + 15) / 16 * 16;
    item *items = eh_new_raw(arena, item, n_item);
    scratch *workers = eh_new(arena, scratch, n_thread);
    bool room = items != NULL && workers != NULL;
    for (int t = 0; room && t < n_thread; t++) {
        workers[t] = (scratch){
            .kt = eh_new_raw(arena, float, n_pos * a->d_head),
            .v = eh_new_raw(arena, float, n_pos * d_pad),
            .s = eh_new_raw(arena, float, EH_ATTN_ROWS * n_pos),
            .q = eh_new_raw(arena, float, EH_ATTN_ROWS * a->d_head),
            .o = eh_new_raw(arena, float, EH_ATTN_ROWS * d_pad),
            .row = eh_new_raw(arena, int64_t, n_pos),
        };
        room = workers[t].kt && workers[t].v && workers[t].s && workers[t].q && workers[t].o && workers[t].row;
    }
    if (!room) {
        eh_arena_rewind(arena, mark);
        return eh_fail(err, EH_ENOMEM, "no memory for attention over %lld positions", (long long)n_pos);
    }
    /* Deep items cost most: handed out from the end of each segment, so that the short ones fill the gaps. */
    int64_t at = 0;
    for (int64_t r = 0; r < a->n_segment; r++)
        for (int64_t q = (a->segment[r].n - 1) / ITEM_QUERIES * ITEM_QUERIES; q >= 0; q -= ITEM_QUERIES) {
            const int64_t end = q + ITEM_QUERIES < a->segment[r].n ? q + ITEM_QUERIES : a->segment[r].n;
            items[at++] = (item){a->segment[r].first + q, a->segment[r].first + end};
        }
    job j = {a, items, workers, d_pad};
    eh_par_for(n_thread, n_item * a->n_kv, do_item, &j);
    eh_arena_rewind(arena, mark);
    return EH_OK;
}

/* ---- Backwards ------------------------------------------------------------------------------------ */

/* A worker's room, for the longest segment; n_pos is a whole number of panels. */
typedef struct back_scratch {
    float *kt, *vt; /* [n_panel, d_pad, EH_ATTN_PANEL] transposed within panels */
    float *k;       /* [n_pos, d_pad] */
    float *dk, *dv; /* [n_pos, d_pad] */
    float *p, *ds;  /* [EH_ATTN_ROWS, n_pos] */
    float *slope;   /* [EH_ATTN_ROWS, n_pos] of the cap */
    float *q, *da;  /* [EH_ATTN_ROWS, d_pad] */
    float *dq;      /* [EH_ATTN_ROWS, d_pad] */
} back_scratch;

typedef struct back_job {
    const eh_attention *a;
    const eh_attention_grad *g;
    const back_scratch *scratch; /* [n_thread] */
    float *dk, *dv; /* [n_tok, n_head * d_head] each query head's part: no two workers add to one place */
    int64_t *lot;   /* [n_lot + 1] first segment of each item's */
    int64_t d_pad;
} back_job;

/* n rows of d floats, ld apart, into rows of d_pad; what is left of n_row rows is zero. */
static void pad_rows(const float *from, int64_t ld, int64_t n, int64_t d, float *to, int64_t d_pad, int64_t n_row)
{
    memset(to, 0, (size_t)(n_row * d_pad) * sizeof *to);
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * d_pad, from + i * ld, (size_t)d * sizeof *to);
}

static void transpose_panels(const float *x, int64_t n_pos, int64_t d_pad, float *xt)
{
    for (int64_t i = 0; i < n_pos; i++) {
        float *to = xt + i / EH_ATTN_PANEL * d_pad * EH_ATTN_PANEL + i % EH_ATTN_PANEL;
        for (int64_t c = 0; c < d_pad; c++)
            to[c * EH_ATTN_PANEL] = x[i * d_pad + c];
    }
}

/* Rows of a segment with its ancestors' before them, from x (rows of ld), into rows of d_pad; the rest up to n_row is
 * zero. */
static void pad_path(const float *x, int64_t ld, const eh_segment *root, const eh_segment *segment, int64_t d,
                     float *to,
                     int64_t d_pad, int64_t n_row)
{
    pad_rows(x + root->first * ld, ld, segment->depth, d, to, d_pad, segment->depth);
    pad_rows(x + segment->first * ld, ld, segment->n, d, to + segment->depth * d_pad, d_pad, n_row - segment->depth);
}

/* Adds what came to each position of the path to its row of `to` [n_tok, width]. */
static void add_path(const float *x, int64_t d_pad, const eh_segment *root, const eh_segment *segment, int64_t d,
                     float *to,
                     int64_t width)
{
    for (int64_t p = 0; p < segment->depth + segment->n; p++) {
        float *row = to + (p < segment->depth ? root->first + p : segment->first + p - segment->depth) * width;
        for (int64_t c = 0; c < d; c++)
            row[c] += x[p * d_pad + c];
    }
}

/* One query head of one segment, whose ancestors are the first rows of `root`. */
static void back_segment(const back_job *j, const back_scratch *w, const eh_segment *root, const eh_segment *segment,
                         int64_t head)
{
    const eh_attention *a = j->a;
    const int64_t kv = head / (a->n_head / a->n_kv), depth = segment->depth;
    const int64_t d = a->d_head, d_pad = j->d_pad, width = a->n_head * d;
    const int64_t n_pos = (depth + segment->n + EH_ATTN_PANEL - 1) / EH_ATTN_PANEL * EH_ATTN_PANEL;
    const bool to_qk = j->g->qk_share != 0.0f;

    pad_path(a->v + kv * d, a->ld, root, segment, d, w->k, d_pad, n_pos);
    transpose_panels(w->k, n_pos, d_pad, w->vt);
    pad_path(a->k + kv * d, a->ld, root, segment, d, w->k, d_pad, n_pos);
    transpose_panels(w->k, n_pos, d_pad, w->kt);
    memset(w->dk, 0, (size_t)(n_pos * d_pad) * sizeof *w->dk);
    memset(w->dv, 0, (size_t)(n_pos * d_pad) * sizeof *w->dv);

    for (int64_t r0 = 0; r0 < segment->n; r0 += EH_ATTN_ROWS) {
        const int64_t n = segment->n - r0 < EH_ATTN_ROWS ? segment->n - r0 : EH_ATTN_ROWS, row = segment->first + r0;
        const int64_t p0 = depth + r0; /* the first row's position */
        pad_rows(a->q + row * a->ld + head * d, a->ld, n, d, w->q, d_pad, EH_ATTN_ROWS);
        pad_rows(j->g->d_out + row * width + head * d, width, n, d, w->da, d_pad, EH_ATTN_ROWS);
        /* Whole panels that these rows see. */
        const int64_t seen = a->window > 0 && p0 - a->window + 1 > 0 ? p0 - a->window + 1 : 0;
        const int64_t base = seen / EH_ATTN_PANEL * EH_ATTN_PANEL;
        const int64_t furthest = a->mask == EH_MASK_ALL ? segment->n - 1 : p0 + n - 1;
        const int64_t n_panel = (furthest - base) / EH_ATTN_PANEL + 1, ld = n_panel * EH_ATTN_PANEL;
        a->simd->scores(w->q, w->kt + base * d_pad, n_panel, d_pad, w->p);
        if (a->softcap > 0.0f)
            a->simd->softcap(w->p, EH_ATTN_ROWS * ld, a->scale, a->softcap, j->g->exact_cap, w->slope);
        a->simd->scores(w->da, w->vt + base * d_pad, n_panel, d_pad, w->ds);
        for (int64_t r = 0; r < EH_ATTN_ROWS; r++) {
            /* A row of padding is zero, and adds nothing anywhere. */
            const int64_t last = a->mask == EH_MASK_ALL ? furthest : p0 + (r < n ? r : n - 1);
            const int64_t first = a->window > 0 && last - a->window + 1 > base ? last - a->window + 1 : base;
            const float scale = a->softcap > 0.0f ? 1.0f : a->scale;
            a->simd->softmax(w->p + r * ld, ld, first - base, last - base, scale);
            a->simd->softmax_grad(w->p + r * ld, w->ds + r * ld, ld, scale);
            for (int64_t c = r * ld; a->softcap > 0.0f && c < (r + 1) * ld; c++)
                w->ds[c] *= w->slope[c];
        }
        a->simd->spread(w->p, ld, w->da, ld, d_pad, w->dv + base * d_pad);
        if (to_qk) {
            a->simd->spread(w->ds, ld, w->q, ld, d_pad, w->dk + base * d_pad);
            a->simd->mix(w->ds, ld, w->k + base * d_pad, 0, ld, d_pad, w->dq);
        }
        for (int64_t r = 0; r < n; r++) {
            float *dq = j->g->dq + (row + r) * a->ld + head * d;
            for (int64_t c = 0; c < d; c++)
                dq[c] = to_qk ? j->g->qk_share * w->dq[r * d_pad + c] : 0.0f;
        }
    }
    add_path(w->dk, d_pad, root, segment, d, j->dk + head * d, width);
    add_path(w->dv, d_pad, root, segment, d, j->dv + head * d, width);
}

/* One query head of segments that have nothing to do with any others: nobody else adds to their rows. */
static void back_item(void *ctx, int64_t i, int worker)
{
    const back_job *j = ctx;
    const eh_attention *a = j->a;
    const int64_t lot = i / a->n_head;
    for (int64_t r = j->lot[lot]; r < j->lot[lot + 1]; r++) {
        const eh_segment *segment = &a->segment[r];
        back_segment(j, &j->scratch[worker], segment->parent < 0 ? segment
                     : &a->segment[a->segment_of[segment->parent]], segment, i % a->n_head);
    }
}

/* Cuts the segments where none from there on has a parent before it: lot [n_lot + 1] are the first of each piece, and
 * n_segment. Returns n_lot. */
static int64_t cut_runs(const eh_attention *a, int64_t *lot)
{
    int64_t n = 0, least = a->n_tok;
    for (int64_t r = a->n_segment - 1; r >= 0; r--) { /* from the back, so back to front in `lot` */
        if (a->segment[r].parent >= 0)
            least = a->segment[r].parent < least ? a->segment[r].parent : least;
        else if (least >= a->segment[r].first)
            lot[n++] = r;
    }
    for (int64_t i = 0; i < n / 2; i++) {
        const int64_t r = lot[i];
        lot[i] = lot[n - 1 - i];
        lot[n - 1 - i] = r;
    }
    lot[n] = a->n_segment;
    return n;
}

/* Sums the parts of the query heads that share a key/value head. */
static void back_sum_row(void *ctx, int64_t row, int worker)
{
    (void)worker;
    const back_job *j = ctx;
    const eh_attention *a = j->a;
    const int64_t d = a->d_head, group = a->n_head / a->n_kv;
    for (int64_t kv = 0; kv < a->n_kv; kv++) {
        const int64_t from = (row * a->n_head + kv * group) * d, to = row * a->ld + kv * d;
        for (int64_t c = 0; c < d; c++) {
            float k = 0.0f, v = 0.0f;
            for (int64_t h = 0; h < group; h++) {
                k += j->dk[from + h * d + c];
                v += j->dv[from + h * d + c];
            }
            j->g->dk[to + c] = j->g->qk_share * k;
            j->g->dv[to + c] = j->g->v_share * v;
        }
    }
}

int eh_attention_back(const eh_attention *a, const eh_attention_grad *g, int n_thread, eh_arena *arena, eh_err *err)
{
    const int rc = check_mask(a, err);
    if (rc < 0)
        return rc;
    const eh_arena_mark mark = eh_arena_here(arena);
    const int64_t d_pad = (a->d_head + 15) / 16 * 16, width = a->n_head * a->d_head;
    int64_t longest = 0;
    for (int64_t r = 0; r < a->n_segment; r++)
        longest = a->segment[r].depth + a->segment[r].n > longest ? a->segment[r].depth + a->segment[r].n : longest;
    const int64_t n_pos = (longest + EH_ATTN_PANEL - 1) / EH_ATTN_PANEL * EH_ATTN_PANEL, n = n_pos * d_pad;
    back_scratch *workers = eh_new(arena, back_scratch, n_thread);
    back_job j = {
        .a = a,
        .g = g,
        .scratch = workers,
        .dk = eh_new(arena, float, a->n_tok * width),
        .dv = eh_new(arena, float, a->n_tok * width),
        .lot = eh_new_raw(arena, int64_t, a->n_segment + 1),
        .d_pad = d_pad,
    };
    bool room = workers != NULL && j.dk != NULL && j.dv != NULL && j.lot != NULL;
    for (int t = 0; room && t < n_thread; t++) {
        back_scratch *w = &workers[t];
        float **const part[] = {&w->kt, &w->vt, &w->k, &w->dk, &w->dv, &w->p, &w->ds, &w->slope, &w->q, &w->da, &w->dq};
        for (int i = 0; room && i < 11; i++) {
            const int64_t size = i < 5 ? n : i < 8 ? EH_ATTN_ROWS * n_pos : EH_ATTN_ROWS * d_pad;
            *part[i] = eh_new_raw(arena, float, size);
            room = *part[i] != NULL;
        }
    }
    if (room) {
        eh_par_for(n_thread, cut_runs(a, j.lot) * a->n_head, back_item, &j);
        eh_par_for(n_thread, a->n_tok, back_sum_row, &j);
    }
    eh_arena_rewind(arena, mark);
    return room ? EH_OK : eh_fail(err, EH_ENOMEM, "no memory to go back through attention over %lld positions",
                                  (long long)longest);
}
