/* arrays: see arrays.h. */
#include "tests/vendor/arrays.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/half.h"
#include "tests/vendor/vendor.h"

cudaStream_t the_stream(void)
{
    static cudaStream_t stream;
    if (!stream)
        assert_int_equal(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    return stream;
}

/* A sign, a power of two from 1/16 to 1/2 and any fraction: no rounding, so no other arithmetic
 * than that of kernels/half.h. */
static uint16_t random_half(dtype type, uint32_t bits)
{
    uint16_t sign = (uint16_t)(bits >> 31 << 15), power = bits >> 28 & 3;
    if (type == F16)
        return (uint16_t)(sign | (11 + power) << 10 | (bits >> 8 & 0x3ff));
    return (uint16_t)(sign | (123 + power) << 7 | (bits >> 8 & 0x7f));
}

static array make(int64_t n)
{
    array a = {.host = malloc((size_t)n * sizeof *a.host), .n = n};
    assert_non_null(a.host);
    assert_int_equal(cudaMalloc(&a.device, (size_t)n * sizeof *a.host), cudaSuccess);
    return a;
}

array array_random(dtype type, int64_t n, uint32_t seed)
{
    array a = make(n);
    uint32_t bits = seed * 2654435761u + 12345;
    for (int64_t i = 0; i < n; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 17;
        bits ^= bits << 5;
        a.host[i] = random_half(type, bits);
    }
    array_put(&a);
    return a;
}

array array_empty(int64_t n)
{
    array a = make(n);
    array_clear(&a);
    return a;
}

void array_done(array *a)
{
    assert_int_equal(cudaFree(a->device), cudaSuccess);
    free(a->host);
    *a = (array){0};
}

static void copy(void *to, const void *from, const array *a, enum cudaMemcpyKind kind)
{
    size_t bytes = (size_t)a->n * sizeof *a->host;
    assert_int_equal(cudaMemcpyAsync(to, from, bytes, kind, the_stream()), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(the_stream()), cudaSuccess);
}

void array_put(const array *a)
{
    copy(a->device, a->host, a, cudaMemcpyHostToDevice);
}

void array_get(const array *a)
{
    copy(a->host, a->device, a, cudaMemcpyDeviceToHost);
}

void array_clear(const array *a)
{
    memset(a->host, 0xff, (size_t)a->n * sizeof *a->host);
    array_put(a);
}

double array_at(const array *a, dtype type, int64_t i)
{
    return load_float(a->host, type, i);
}

void array_assert_near(const array *got, dtype type, const double *want, int64_t n)
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
