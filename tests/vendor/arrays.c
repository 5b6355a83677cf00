/* arrays: see arrays.h. */
#include "tests/vendor/arrays.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/half.h"
#include "tests/vendor/single.h"
#include "tests/vendor/vendor.h"

/* A sign, a power of two from 1/16 to 1/2 and any fraction: no rounding, so no other arithmetic
 * than that of kernels/half.h. */
static uint16_t random_half(dtype type, uint32_t bits)
{
    uint16_t sign = (uint16_t)(bits >> 31 << 15), power = bits >> 28 & 3;
    if (type == F16)
        return (uint16_t)(sign | (11 + power) << 10 | (bits >> 8 & 0x3ff));
    return (uint16_t)(sign | (123 + power) << 7 | (bits >> 8 & 0x7f));
}

uint16_t *array_random(dtype type, int64_t n, uint32_t seed)
{
    uint16_t *a = single_take((size_t)n * sizeof *a);
    uint32_t bits = seed * 2654435761u + 12345;
    for (int64_t i = 0; i < n; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 17;
        bits ^= bits << 5;
        a[i] = random_half(type, bits);
    }
    return a;
}

uint16_t *array_empty(int64_t n)
{
    uint16_t *a = single_take((size_t)n * sizeof *a);
    memset(a, 0xff, (size_t)n * sizeof *a);
    return a;
}

double array_at(const uint16_t *a, dtype type, int64_t i)
{
    return load_float(a, type, i);
}

void array_assert_near(const uint16_t *got, dtype type, const double *want, int64_t n)
{
    double most = 0, tolerance = type == F16 ? 0x1p-10 : 0x1p-8;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(want[i]));
    assert_true(most > 0);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(array_at(got, type, i) - want[i]) <= tolerance * most))
            fail_msg("value %lld is %g, expected %g", (long long)i, array_at(got, type, i),
                     want[i]);
}

void assert_reported(const char *words)
{
    const char *said = vendor_reported();
    if (words ? !said || !strstr(said, words) : said != NULL)
        fail_msg("reported: %s, expected %s", said ? said : "nothing", words ? words : "nothing");
}
