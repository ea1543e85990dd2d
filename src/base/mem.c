#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN 64
#define CHUNK_LEAST (64 * 1024)

static _Atomic int64_t n_alloc;
static _Atomic int64_t fail_from; /* 0: never */

void eh_mem_fail_after(int64_t k)
{
    atomic_store(&n_alloc, 0);
    atomic_store(&fail_from, k);
}

int64_t eh_mem_count(void)
{
    return atomic_load(&n_alloc);
}

static bool told_to_fail(void)
{
    const int64_t i = atomic_fetch_add(&n_alloc, 1) + 1;
    const int64_t from = atomic_load(&fail_from);
    return from > 0 && i >= from;
}

/* -1 when the product is not a size. */
static int64_t product(int64_t n, int64_t size)
{
    int64_t bytes;
    if (n < 0 || size < 0 || __builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX - 2 * ALIGN)
        return -1;
    return bytes;
}

void *eh_alloc(int64_t n, int64_t size)
{
    const int64_t bytes = product(n, size);
    if (bytes < 0 || told_to_fail())
        return NULL;
    return malloc(bytes > 0 ? (size_t)bytes : 1);
}

void *eh_calloc(int64_t n, int64_t size)
{
    const int64_t bytes = product(n, size);
    if (bytes < 0 || told_to_fail())
        return NULL;
    return calloc(bytes > 0 ? (size_t)bytes : 1, 1);
}

void *eh_realloc(void *p, int64_t n, int64_t size)
{
    const int64_t bytes = product(n, size);
    if (bytes < 0 || told_to_fail())
        return NULL;
    return realloc(p, bytes > 0 ? (size_t)bytes : 1);
}

void eh_free(void *p)
{
    free(p);
}

char *eh_strdup(const char *s)
{
    const int64_t n = (int64_t)strlen(s) + 1;
    char *copy = eh_alloc(n, 1);
    if (copy != NULL)
        memcpy(copy, s, (size_t)n);
    return copy;
}

/* ---- Blocks ------------------------------------------------------------------------------- */

#define LARGE (1024 * 1024)

/* Lies before the block, in a slot of one alignment unit. */
typedef struct block_head {
    size_t mapped; /* bytes with this slot, where they were mapped; 0: from the heap */
} block_head;

void *eh_block_alloc(int64_t n_byte)
{
    const int64_t bytes = product(n_byte, 1);
    if (bytes < 0 || told_to_fail())
        return NULL;
    const size_t whole = (size_t)(bytes + 2 * ALIGN - 1) / ALIGN * ALIGN;
    char *p;
    if (bytes >= LARGE) {
        p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
    } else {
        p = aligned_alloc(ALIGN, whole);
        if (p == NULL)
            return NULL;
    }
    *(block_head *)(void *)p = (block_head){bytes >= LARGE ? whole : 0};
    return p + ALIGN;
}

void eh_block_free(void *p)
{
    if (p == NULL)
        return;
    char *start = (char *)p - ALIGN;
    const block_head head = *(block_head *)(void *)start;
    if (head.mapped > 0)
        munmap(start, head.mapped);
    else
        free(start);
}

/* ---- Arenas ------------------------------------------------------------------------------- */

/* A chunk's header takes one alignment unit; its bytes follow. */
struct eh_arena_chunk {
    eh_arena_chunk *below;
    int64_t room; /* bytes after the header */
    int64_t at;   /* of which handed out */
};
_Static_assert(sizeof(eh_arena_chunk) <= ALIGN, "the chunk header must fit its slot");

static void *chunk_bytes(eh_arena_chunk *c)
{
    return (char *)c + ALIGN;
}

static eh_arena_chunk *chunk_new(int64_t room)
{
    eh_arena_chunk *c = eh_block_alloc(room + ALIGN);
    if (c != NULL)
        *c = (eh_arena_chunk){.room = room};
    return c;
}

void *eh_arena_raw(eh_arena *a, int64_t n, int64_t size)
{
    int64_t bytes = product(n, size);
    if (bytes < 0)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (a->limit > 0 && bytes > a->limit - a->used)
        return NULL;
    if (a->top == NULL || bytes > a->top->room - a->top->at) {
        /* Doubling keeps the list short; a large request gets a chunk of just its size. */
        int64_t room = a->top == NULL ? CHUNK_LEAST : 2 * a->top->room;
        if (room > 16 * 1024 * 1024)
            room = 16 * 1024 * 1024;
        if (room < bytes)
            room = bytes;
        eh_arena_chunk *c = chunk_new(room);
        if (c == NULL)
            return NULL;
        c->below = a->top;
        a->top = c;
    }
    void *p = (char *)chunk_bytes(a->top) + a->top->at;
    a->top->at += bytes;
    a->used += bytes;
    if (a->used > a->high)
        a->high = a->used;
    return p;
}

void *eh_arena_zeroed(eh_arena *a, int64_t n, int64_t size)
{
    void *p = eh_arena_raw(a, n, size);
    if (p != NULL)
        memset(p, 0, (size_t)(n * size));
    return p;
}

char *eh_arena_text(eh_arena *a, const char *p, int64_t n)
{
    if (n < 0 || n == INT64_MAX)
        return NULL;
    char *copy = eh_arena_raw(a, n + 1, 1);
    if (copy != NULL) {
        if (n > 0)
            memcpy(copy, p, (size_t)n);
        copy[n] = '\0';
    }
    return copy;
}

eh_arena_mark eh_arena_here(const eh_arena *a)
{
    return (eh_arena_mark){a->top, a->top == NULL ? 0 : a->top->at, a->used};
}

void eh_arena_rewind(eh_arena *a, eh_arena_mark mark)
{
    while (a->top != mark.top) {
        eh_arena_chunk *c = a->top;
        a->top = c->below;
        eh_block_free(c);
    }
    if (a->top != NULL)
        a->top->at = mark.at;
    a->used = mark.used;
}

void eh_arena_clear(eh_arena *a)
{
    eh_arena_rewind(a, (eh_arena_mark){0});
}
