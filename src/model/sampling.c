#include "model/sampling.h"

#include <math.h>
#include <stdbool.h>

/* ---- The likeliest first: a heap of ids --------------------------------------------------------------------- */

/* Ties go to the smaller id. */
static bool above(const double *p, int32_t a, int32_t b)
{
    return p[a] > p[b] || (p[a] == p[b] && a < b);
}

/* Moves heap[i] down until no child has a larger p. */
static void sift(int32_t *heap, int64_t n, int64_t i, const double *p)
{
    for (;;) {
        int64_t top = i;
        if (2 * i + 1 < n && above(p, heap[2 * i + 1], heap[top]))
            top = 2 * i + 1;
        if (2 * i + 2 < n && above(p, heap[2 * i + 2], heap[top]))
            top = 2 * i + 2;
        if (top == i)
            return;
        const int32_t t = heap[i];
        heap[i] = heap[top];
        heap[top] = t;
        i = top;
    }
}

static void heap_of(int32_t *heap, int64_t n, const double *p)
{
    for (int64_t i = 0; i < n; i++)
        heap[i] = (int32_t)i;
    for (int64_t i = n / 2 - 1; i >= 0; i--)
        sift(heap, n, i, p);
}

/* Takes the likeliest id off the heap of *size ids; it comes to lie behind the heap's new end. */
static int32_t pop(int32_t *heap, int64_t *size, const double *p)
{
    const int32_t top = heap[0];
    heap[0] = heap[--*size];
    heap[*size] = top;
    sift(heap, *size, 0, p);
    return top;
}

/* ---- Drawing ------------------------------------------------------------------------------------------------- */

/* p = exp((logits - largest) / temperature); returns their sum. */
static double weights(const eh_sampler *s, const float *logits)
{
    double max = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < s->n; i++)
        max = fmax(max, (double)logits[i]);
    for (int64_t i = 0; i < s->n; i++)
        sum += s->p[i] = exp(((double)logits[i] - max) / s->o->temperature);
    return sum;
}

/* Of all ids, in their order. */
static int32_t draw_of_all(const eh_sampler *s, double left)
{
    for (int64_t i = 0; i < s->n; i++)
        if ((left -= s->p[i]) < 0.0)
            return (int32_t)i;
    return (int32_t)(s->n - 1);
}

/* Of the n_kept likeliest, which lie at the end of the heap, the likeliest last. */
static int32_t draw_of_top(const eh_sampler *s, int64_t n_kept, double left)
{
    for (int64_t i = 0; i < n_kept; i++)
        if ((left -= s->p[s->heap[s->n - 1 - i]]) < 0.0)
            return s->heap[s->n - 1 - i];
    return s->heap[s->n - n_kept];
}

int32_t eh_sampler_draw(const eh_sampler *s, const float *logits, double u)
{
    const int64_t k = s->o->top_k > 0 && s->o->top_k < s->n ? s->o->top_k : s->n;
    const double share = s->o->top_p;
    double sum = weights(s, logits), kept = 0.0;
    int64_t size = s->n, n_kept = 0;
    if (k == s->n && share == 1.0)
        return draw_of_all(s, u * sum);
    heap_of(s->heap, s->n, s->p);
    if (k < s->n) { /* the share is one of what top_k leaves */
        sum = 0.0;
        while (size > s->n - k)
            sum += s->p[pop(s->heap, &size, s->p)];
    }
    do {
        if (k == s->n)
            pop(s->heap, &size, s->p);
        kept += s->p[s->heap[s->n - 1 - n_kept++]];
    } while (n_kept < k && kept < share * sum);
    return draw_of_top(s, n_kept, u * kept);
}
