/* The formula of the test models' weights. The one idea: a value depends on its tensor's name, the
 * seed and its index alone, so any slice can be made anywhere, in any order, by any thread. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tests/support/fixture.h"
#include "worker/sample/noise.h"

static uint64_t fnv1a64(const char *s)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001B3u;
    return h;
}

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end);
    return a >= b && strcmp(s + a - b, end) == 0;
}

/* Mean and deviation: the variance is kept from layer to layer, so that no activation leaves the
 * range of F16. */
static void law(double *mean, double *deviation, const char *name, const int64_t *dim, int dims)
{
    int64_t fan_in = 1;
    for (int i = 1; i < dims; i++)
        fan_in *= dim[i];
    bool gained = strcmp(name, "first_stage_model.encoder.conv_out.weight") == 0;
    *mean = 0;
    if (ends_with(name, "token_embedding.weight")) {
        *deviation = 0.5;
    } else if (ends_with(name, "position_embedding.weight")) {
        *deviation = 0.25;
    } else if (dims == 1) {
        bool scale = ends_with(name, ".weight");
        *mean = scale ? 1 : 0;
        *deviation = scale ? 0.125 : 0.0625;
    } else {
        *deviation = (gained ? 6 : 1) / sqrt((double)fan_in);
    }
}

/* To nearest even, for |x| < 65504. */
static uint16_t half_of(double x)
{
    uint64_t bits, sign;
    memcpy(&bits, &x, sizeof bits);
    sign = bits >> 48 & 0x8000;
    bits &= INT64_MAX;
    if (fabs(x) < 0x1p-14) /* too small for F16's exponent: steps of 2^-24 */
        return (uint16_t)(sign | (uint64_t)lrint(fabs(x) * 0x1p24));
    bits += 0x1ffffffffff + (bits >> 42 & 1);
    return (uint16_t)(sign | ((bits >> 42) - ((1023 - 15) << 10)));
}

void fixture_values(uint16_t *out, const char *name, const int64_t *dim, int dims, uint64_t seed,
                    int64_t first, int64_t count)
{
    double mean, deviation;
    uint64_t hash = fnv1a64(name) ^ seed * 0x9E3779B97F4A7C15u;
    uint32_t key[2] = {(uint32_t)hash, (uint32_t)(hash >> 32)}, word[4];
    law(&mean, &deviation, name, dim, dims);
    for (int64_t i = first; i < first + count; i++) {
        uint64_t block = (uint64_t)i / 2;
        if (i == first || i % 2 == 0)
            noise_philox((uint32_t[4]){(uint32_t)block, (uint32_t)(block >> 32), 0, 0}, key, word);
        uint32_t a = word[i % 2 * 2], b = word[i % 2 * 2 + 1];
        uint32_t sum = (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16);
        double z = (sum - 131070.0) * (1.7320508075688772 / 65536);
        out[i - first] = half_of(mean + deviation * z);
    }
}
