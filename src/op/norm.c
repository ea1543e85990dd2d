#include "op/norm.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/par.h"

const float *eh_norm_weight(eh_norm_kind kind, const float *w, int64_t n, float *room)
{
    if (kind != EH_NORM_RMS_PLUS1 || w == NULL)
        return w;
    for (int64_t i = 0; i < n; i++)
        room[i] = 1.0f + w[i];
    return room;
}

bool eh_norm_row(const eh_norm_op *o, float *x, const float *delta, float *out)
{
    return isfinite(o->kind == EH_NORM_LAYER ? o->simd->layer_norm(x, delta, o->w, o->b, o->n, o->eps, out)
                                             : o->simd->norm(x, delta, o->w, o->n, o->eps, out));
}

bool eh_norm_row_back(const eh_norm_op *o, const eh_rule_set *r, const float *x, const float *g, float *dx, float *mean,
                      float *scale)
{
    *mean = 0.0f;
    return isfinite(o->kind == EH_NORM_LAYER
                        ? o->simd->layer_norm_grad(x, o->w, g, o->n, o->eps, r->exact_norm, dx, mean, scale)
                        : o->simd->norm_grad(x, o->w, g, o->n, o->eps, r->exact_norm, dx, scale));
}

/* ---- Forward ---------------------------------------------------------------------------------------------- */

typedef struct run_job {
    const eh_norm_op *o;
    float *x;
    const float *delta;
    int64_t n_row;
    eh_precision to;
    float *room;
    void *out;
    _Atomic int64_t bad_row;
} run_job;

static void run_block(void *ctx, int64_t block, int worker)
{
    run_job *j = ctx;
    const int64_t n = j->o->n;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, j->n_row); i++) {
        const bool bf16 = j->to == EH_BF16;
        float *out = bf16 ? j->room + worker * n : (float *)j->out + i * n;
        if (!eh_norm_row(j->o, j->x + i * n, j->delta != NULL ? j->delta + i * n : NULL, out))
            atomic_store(&j->bad_row, i);
        if (bf16)
            j->o->simd->to_bf16(out, n, (uint16_t *)j->out + i * n);
    }
}

int64_t eh_norm_run(const eh_norm_op *o, float *x, const float *delta, int64_t n_row, eh_precision to, float *room,
                    void *out)
{
    run_job j = {.o = o, .x = x, .delta = delta, .n_row = n_row, .to = to, .room = room, .out = out};
    atomic_store(&j.bad_row, -1);
    eh_par_for(o->n_thread, eh_row_blocks(n_row), run_block, &j);
    return atomic_load(&j.bad_row);
}

int64_t eh_norm_again(const eh_norm_op *o, const float *x, int64_t n_row, float *out)
{
    /* Nothing is added to x, so it is not written to. */
    return eh_norm_run(o, (float *)(uintptr_t)x, NULL, n_row, EH_F32, NULL, out);
}

/* ---- Backward --------------------------------------------------------------------------------------------- */

typedef struct back_job {
    const eh_norm_op *o;
    const eh_rule_set *rules;
    const float *x, *g;
    int64_t n_row;
    const eh_norm_grad *to;
    _Atomic int64_t bad_row;
} back_job;

static void back_block(void *ctx, int64_t block, int worker)
{
    back_job *j = ctx;
    const eh_norm_grad *to = j->to;
    const int64_t n = j->o->n;
    const bool sums = to->dw != NULL || to->db != NULL;
    float *dx = to->room + worker * n, mean, scale;
    double *part = sums ? to->part + block * 2 * n : NULL;
    for (int64_t c = 0; sums && c < 2 * n; c++)
        part[c] = 0.0;
    for (int64_t i = block * EH_ROW_BLOCK; i < eh_row_block_end(block, j->n_row); i++) {
        const float *x = j->x + i * n, *g = j->g + i * n;
        if (!eh_norm_row_back(j->o, j->rules, x, g, dx, &mean, &scale))
            atomic_store(&j->bad_row, i);
        for (int64_t c = 0; sums && c < n; c++) {
            part[c] += (double)(g[c] * (x[c] - mean) * scale);
            part[n + c] += (double)g[c];
        }
        if (to->add)
            j->o->simd->add(to->dx + i * n, dx, n);
        else
            memcpy(to->dx + i * n, dx, (size_t)n * sizeof *dx);
    }
}

int64_t eh_norm_back(const eh_norm_op *o, const eh_rule_set *r, const float *x, const float *g, int64_t n_row,
                     const eh_norm_grad *to)
{
    back_job j = {.o = o, .rules = r, .x = x, .g = g, .n_row = n_row, .to = to};
    atomic_store(&j.bad_row, -1);
    eh_par_for(o->n_thread, eh_row_blocks(n_row), back_block, &j);
    if (to->dw != NULL)
        eh_row_blocks_add(to->part, eh_row_blocks(n_row), 2 * o->n, 0, o->n, to->dw);
    if (to->db != NULL)
        eh_row_blocks_add(to->part, eh_row_blocks(n_row), 2 * o->n, o->n, o->n, to->db);
    return atomic_load(&j.bad_row);
}
