/* Golden data: see golden.h. A golden file is a checkpoint like any other, so the product's own
 * reader opens it. */
#include "tests/support/golden.h"
#include "tests/support/places.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

checkpoint *golden_open(const char *file)
{
    char path[1024];
    err e = {0};
    snprintf(path, sizeof path, "%s/%s", place_golden(), file);
    checkpoint *c = checkpoint_open(path, &e);
    if (!c)
        fprintf(stderr, "%s: %s\n", path, e.text);
    assert(c);
    return c;
}

static void *copy(const checkpoint *c, const char *type, int64_t dim[CHECKPOINT_DIMS],
                  const char *format, va_list args)
{
    char name[256];
    vsnprintf(name, sizeof name, format, args);
    const checkpoint_tensor *t = checkpoint_find(c, name);
    if (!t || strcmp(t->type_name, type))
        fprintf(stderr, "golden tensor %s is missing or not %s\n", name, type);
    assert(t && !strcmp(t->type_name, type));
    for (int i = 0; i < CHECKPOINT_DIMS; i++)
        dim[i] = i < t->dims ? t->dim[i] : 1;
    void *x = malloc(t->bytes + 1);
    assert(x);
    memcpy(x, t->data, t->bytes);
    return x;
}

float *golden_floats(const checkpoint *c, int64_t dim[CHECKPOINT_DIMS], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    float *x = copy(c, "F32", dim, format, args);
    va_end(args);
    return x;
}

double *golden_doubles(const checkpoint *c, int64_t dim[CHECKPOINT_DIMS], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    double *x = copy(c, "F64", dim, format, args);
    va_end(args);
    return x;
}

int64_t *golden_wholes(const checkpoint *c, int64_t dim[CHECKPOINT_DIMS], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int64_t *x = copy(c, "I64", dim, format, args);
    va_end(args);
    return x;
}

json_t *golden_json(const char *file)
{
    char path[1024];
    json_error_t e;
    snprintf(path, sizeof path, "%s/%s", place_golden(), file);
    json_t *j = json_load_file(path, 0, &e);
    if (!j)
        fprintf(stderr, "%s: line %d: %s\n", path, e.line, e.text);
    assert(j);
    return j;
}

float *golden_nhwc(const float *x, int64_t n, int64_t c, int64_t h, int64_t w)
{
    float *y = malloc((size_t)(n * c * h * w) * sizeof *y + 1);
    assert(y);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < h * w; p++)
                y[(i * h * w + p) * c + k] = x[(i * c + k) * h * w + p];
    return y;
}

double golden_distance(const float *a, const float *b, int64_t count)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / (size > 0 ? size : 1));
}
