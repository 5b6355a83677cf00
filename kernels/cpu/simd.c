/* Which instruction set to use: what the operating system lets us run, not what the processor says
 * it has (a virtual machine may report units whose state it does not save). */
#include "kernels/cpu/simd.h"

#include <string.h>

const simd *simd_choose(const char *most)
{
    bool avx2_only = most && !strcmp(most, simd_avx2.name);
    __builtin_cpu_init();
    if (!avx2_only && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return &simd_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &simd_avx2;
    return NULL;
}
