#include "backend/simd.h"

#include <stddef.h>
#include <string.h>

extern const eh_simd eh_simd_generic;
#if defined(__x86_64__)
extern const eh_simd eh_simd_avx2;
extern const eh_simd eh_simd_avx512;
#endif

const eh_simd *eh_simd_named(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return &eh_simd_avx512;
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &eh_simd_avx2;
#endif
    return strcmp(name, "generic") == 0 ? &eh_simd_generic : NULL;
}

const eh_simd *eh_simd_get(void)
{
    /* Asking the processor is a few loads, and gives every caller the same answer. */
    const eh_simd *best = eh_simd_named("avx512");
    if (best == NULL)
        best = eh_simd_named("avx2");
    return best != NULL ? best : &eh_simd_generic;
}
