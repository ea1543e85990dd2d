#include "check.h"

#include <stdatomic.h>
#include <string.h>

#include "base/par.h"

#define N_MOST 1000

typedef struct seen {
    _Atomic int times[N_MOST];
    _Atomic int busy[8]; /* a worker's scratch is one call's at a time */
    _Atomic int wrong;
    int n_thread;
    double result[N_MOST];
} seen;

static void look(void *ctx, int64_t i, int worker)
{
    seen *s = ctx;
    if (worker < 0 || worker >= (s->n_thread > 1 ? s->n_thread : 1) || atomic_exchange(&s->busy[worker], 1) != 0)
        atomic_fetch_add(&s->wrong, 1);
    atomic_fetch_add(&s->times[i], 1);
    double x = (double)i;
    for (int k = 0; k < 50; k++)
        x = x * 0.999 + 1.0 / (double)(i + k + 1);
    s->result[i] = x;
    if (worker >= 0 && worker < 8)
        atomic_store(&s->busy[worker], 0);
}

/* Each index once, none beyond n, and the same bits from one thread or four. */
TEST(a_parallel_loop_does_each_index_once_on_any_number_of_threads)
{
    static seen alone, s;
    const int64_t sizes[] = {0, 1, 2, 3, 7, N_MOST};
    for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
        memset(&alone, 0, sizeof alone);
        alone.n_thread = 1;
        eh_par_for(1, sizes[j], look, &alone);
        for (int n_thread = 0; n_thread <= 4; n_thread++) {
            memset(&s, 0, sizeof s);
            s.n_thread = n_thread;
            eh_par_for(n_thread, sizes[j], look, &s);
            CHECK_INT(s.wrong, 0);
            for (int64_t i = 0; i < N_MOST; i++)
                CHECK_INT(s.times[i], i < sizes[j] ? 1 : 0);
            CHECK(memcmp(s.result, alone.result, sizeof s.result) == 0);
        }
    }
}

/* What one loop wrote the next one reads, on whatever threads: the thread sanitizer watches. */
static void add_neighbours(void *ctx, int64_t i, int worker)
{
    (void)worker;
    int64_t(*x)[N_MOST] = ctx;
    x[1][i] = x[0][(i + 1) % N_MOST] + x[0][(i + 7) % N_MOST];
}

static void copy_back(void *ctx, int64_t i, int worker)
{
    (void)worker;
    int64_t(*x)[N_MOST] = ctx;
    x[0][i] = x[1][N_MOST - 1 - i] % 1000003;
}

TEST(loops_one_after_the_other_see_each_others_work)
{
    static int64_t one[2][N_MOST], four[2][N_MOST];
    for (int64_t i = 0; i < N_MOST; i++)
        one[0][i] = four[0][i] = i;
    for (int round = 0; round < 20; round++) {
        eh_par_for(1, N_MOST, add_neighbours, one);
        eh_par_for(1, N_MOST, copy_back, one);
        eh_par_for(4, N_MOST, add_neighbours, four);
        eh_par_for(3, N_MOST, copy_back, four);
    }
    CHECK(memcmp(one, four, sizeof one) == 0);
}

TEST(there_is_a_core_to_run_on)
{
    CHECK(eh_par_cores() >= 1);
}
