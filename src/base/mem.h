/*
 * Memory: one door to the heap, and arenas.
 *
 *     eh_arena a = {0};
 *     float *x = eh_new(&a, float, n);          zeroed, 64-byte aligned; NULL when it does not fit
 *     eh_arena_mark here = eh_arena_here(&a);
 *     ... scratch ...
 *     eh_arena_rewind(&a, here);
 *     eh_arena_clear(&a);
 *
 * Every allocation of the library goes through eh_alloc (jansson's too), so that a test can fail
 * each one in turn (eh_mem_fail_after) and see that nothing leaks and nothing crashes.
 */
#ifndef EH_BASE_MEM_H
#define EH_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* malloc, calloc, realloc and free with signed, checked sizes: n * size is refused when it overflows. */
void *eh_alloc(int64_t n, int64_t size);            /* not zeroed */
void *eh_calloc(int64_t n, int64_t size);           /* zeroed */
void *eh_realloc(void *p, int64_t n, int64_t size); /* p stays valid when NULL comes back */
void eh_free(void *p);                              /* NULL is fine */
char *eh_strdup(const char *s);

/* Blocks of working memory: on a 64-byte boundary, not zeroed. Large ones come from the system and
 * go back to it, so that a batch's buffers, which come and go in many sizes, leave no holes behind. */
void *eh_block_alloc(int64_t n_byte);
void eh_block_free(void *p); /* NULL is fine */

/* For tests: the k-th allocation from now (1 = the next) and all after it fail; 0 turns that off.
 * One counter for all threads. */
void eh_mem_fail_after(int64_t k);
/* Allocations since the last eh_mem_fail_after, failed ones included. */
int64_t eh_mem_count(void);

typedef struct eh_arena_chunk eh_arena_chunk;

typedef struct eh_arena {
    eh_arena_chunk *top; /* newest chunk; chunks are a list downwards */
    int64_t used;        /* bytes handed out and not rewound */
    int64_t high;        /* the largest `used` so far */
    int64_t limit;       /* refuse to hand out more than this; 0: no limit */
} eh_arena;

typedef struct eh_arena_mark {
    eh_arena_chunk *top;
    int64_t at;
    int64_t used;
} eh_arena_mark;

/* Room for n things of `size` bytes, 64-byte aligned. NULL when n or size is negative, when
 * n * size overflows, when the limit would be passed, or when the heap has no more. */
void *eh_arena_raw(eh_arena *a, int64_t n, int64_t size);
void *eh_arena_zeroed(eh_arena *a, int64_t n, int64_t size);
#define eh_new(a, type, n) ((type *)eh_arena_zeroed((a), (n), (int64_t)sizeof(type)))
#define eh_new_raw(a, type, n) ((type *)eh_arena_raw((a), (n), (int64_t)sizeof(type)))

/* A copy of n bytes with a NUL behind them; NULL when there is no room. */
char *eh_arena_text(eh_arena *a, const char *p, int64_t n);

eh_arena_mark eh_arena_here(const eh_arena *a);
void eh_arena_rewind(eh_arena *a, eh_arena_mark mark); /* gives back all that came after mark */
void eh_arena_clear(eh_arena *a);                      /* gives back everything; `high` and `limit` stay */

#endif
