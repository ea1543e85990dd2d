#include "op/rotary.h"

#include <string.h>

#include "base/par.h"

typedef struct job {
    const eh_rotary *o;
    const eh_rule_set *rules;
    float *qk;
    int64_t n_row;
    float *raw;
    const eh_rotary_grad *to;
} job;

static void norm_row(const eh_rotary *o, float *row)
{
    const int64_t n_q = o->n_head * o->d_head, n = (o->n_head + o->n_kv) * o->d_head;
    for (int64_t at = 0; at < n; at += at < n_q ? o->q->n : o->k->n)
        eh_norm_row(at < n_q ? o->q : o->k, row + at, NULL, row + at);
}

static void run_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    const job *j = ctx;
    const eh_rotary *o = j->o;
    const int64_t n = o->n_head + o->n_kv, width = n * o->d_head;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, j->n_row); i++) {
        float *row = j->qk + i * o->ld;
        if (j->raw != NULL)
            memcpy(j->raw + i * width, row, (size_t)width * sizeof *row);
        if (o->q != NULL)
            norm_row(o, row);
        if (o->cosine == NULL)
            continue;
        const float *cosine = o->cosine + o->pos[i] * o->n_half, *sine = o->sine + o->pos[i] * o->n_half;
        for (int64_t head = 0; head < n; head++)
            (o->pairs ? o->simd->rope_pairs : o->simd->rope)(row + head * o->d_head, cosine, sine, o->n_half);
    }
}

void eh_rotary_run(const eh_rotary *o, float *qk, int64_t n_row, float *raw)
{
    job j = {.o = o, .qk = qk, .n_row = n_row, .raw = raw};
    eh_par_for(o->n_thread, eh_row_blocks(n_row), run_block, &j);
}

/* g from the norms' outputs to their inputs. */
static void norm_row_back(const job *j, const float *raw, float *g, float *dx, double *part)
{
    const eh_rotary *o = j->o;
    const int64_t n_q = o->n_head * o->d_head, n = (o->n_head + o->n_kv) * o->d_head;
    for (int64_t at = 0; at < n; at += at < n_q ? o->q->n : o->k->n) {
        const eh_norm_op *norm = at < n_q ? o->q : o->k;
        double *sum = part == NULL ? NULL : at < n_q ? part : part + o->q->n;
        const float *x = raw + at;
        float mean, scale;
        eh_norm_row_back(norm, j->rules, x, g + at, dx, &mean, &scale);
        for (int64_t c = 0; sum != NULL && c < norm->n; c++)
            sum[c] += (double)(g[at + c] * (x[c] - mean) * scale);
        memcpy(g + at, dx, (size_t)norm->n * sizeof *g);
    }
}

static void back_block(void *ctx, int64_t block, int worker)
{
    const job *j = ctx;
    const eh_rotary *o = j->o;
    const eh_rotary_grad *to = j->to;
    const int64_t n = o->n_head + o->n_kv, width = n * o->d_head, n_norm = o->q != NULL ? o->q->n + o->k->n : 0;
    double *part = to->dwq != NULL || to->dwk != NULL ? to->part + block * n_norm : NULL;
    for (int64_t c = 0; part != NULL && c < n_norm; c++)
        part[c] = 0.0;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, j->n_row); i++) {
        float *g = to->g + i * o->ld;
        if (o->cosine != NULL) {
            const float *cosine = o->cosine + o->pos[i] * o->n_half, *sine = o->sine + o->pos[i] * o->n_half;
            for (int64_t head = 0; head < n; head++)
                (o->pairs ? o->simd->rope_pairs_grad : o->simd->rope_grad)(g + head * o->d_head, cosine, sine,
                                                                           o->n_half);
        }
        if (o->q != NULL)
            norm_row_back(j, to->raw + i * width, g, to->room + worker * n_norm, part);
    }
}

void eh_rotary_back(const eh_rotary *o, const eh_rule_set *r, int64_t n_row, const eh_rotary_grad *to)
{
    job j = {.o = o, .rules = r, .n_row = n_row, .to = to};
    const int64_t n_norm = o->q != NULL ? o->q->n + o->k->n : 0;
    eh_par_for(o->n_thread, eh_row_blocks(n_row), back_block, &j);
    if (to->dwq != NULL)
        eh_row_blocks_add(to->part, eh_row_blocks(n_row), n_norm, 0, o->q->n, to->dwq);
    if (to->dwk != NULL)
        eh_row_blocks_add(to->part, eh_row_blocks(n_row), n_norm, o->q->n, o->k->n, to->dwk);
}
