#define _GNU_SOURCE /* sched_getaffinity */
#include "base/par.h"

#include <omp.h>
#include <sched.h>

#if defined(__SANITIZE_THREAD__)
/* libgomp is not built for the thread sanitizer, which therefore does not see that a parallel region
 * begins after, and ends before, its surroundings. The two calls say so; what the compiler itself
 * hands to the threads lies before the first of them and is not looked at. The bodies are. */
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define HAPPENS_BEFORE(addr) __tsan_release(addr)
#define HAPPENS_AFTER(addr) __tsan_acquire(addr)
#define NOT_WATCHED __attribute__((no_sanitize("thread")))
#else
#define HAPPENS_BEFORE(addr) ((void)(addr))
#define HAPPENS_AFTER(addr) ((void)(addr))
#define NOT_WATCHED
#endif

NOT_WATCHED void eh_par_for(int n_thread, int64_t n, eh_par_body *body, void *ctx)
{
    if (n_thread <= 1 || n <= 1) {
        for (int64_t i = 0; i < n; i++)
            body(ctx, i, 0);
        return;
    }
    if (n_thread > n)
        n_thread = (int)n;
    char fork = 0, join = 0;
    HAPPENS_BEFORE(&fork);
#pragma omp parallel num_threads(n_thread) default(none) shared(n, body, ctx, fork, join)
    {
        HAPPENS_AFTER(&fork);
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < n; i++)
            body(ctx, i, omp_get_thread_num());
        HAPPENS_BEFORE(&join);
    }
    HAPPENS_AFTER(&join);
}

int eh_par_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return CPU_COUNT(&set);
}

void eh_par_set_library_threads(int n_thread)
{
    omp_set_num_threads(n_thread);
}
