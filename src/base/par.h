/*
 * The parallel loop: the only place that knows OpenMP.
 *
 *     static void row(void *ctx, int64_t i, int worker) { ... }
 *     eh_par_for(n_thread, n_row, row, &ctx);
 *
 * Calls row(ctx, 0), ..., row(ctx, n - 1), each once, on up to n_thread threads, in chunks handed
 * out as they come. `worker` is 0..n_thread-1 and says whose scratch to use. What a call computes
 * must depend on i alone. A body that fails notes it in ctx. Not to be nested.
 */
#ifndef EH_BASE_PAR_H
#define EH_BASE_PAR_H

#include <stdint.h>

typedef void eh_par_body(void *ctx, int64_t i, int worker);

void eh_par_for(int n_thread, int64_t n, eh_par_body *body, void *ctx);
/* Cores this process may use. */
int eh_par_cores(void);
/* Threads that libraries with OpenMP loops of their own (oneDNN) use when called from here. */
void eh_par_set_library_threads(int n_thread);

#endif
