/* convolutions: see convolutions.h. */
#include "tests/vendor/convolutions.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t side(const plan_shape *s, int64_t of)
{
    return conv_shape_side(&s->conv, s->kind, of);
}

conv_operands conv_operands_of(const plan_shape *s, int64_t rows)
{
    const conv_shape *c = &s->conv;
    int64_t n = rows * side(s, c->h) * side(s, c->w) * c->out;
    return (conv_operands){.x = array_random(s->type, rows * c->h * c->w * c->in, 1),
                           .w = array_random(s->type, c->out * c->k * c->k * c->in, 2),
                           .y = array_empty(n),
                           .bias = array_random(s->type, c->out, 3),
                           .residual = array_random(s->type, n, 4)};
}

void conv_operands_done(conv_operands *o)
{
    array *const all[] = {&o->x, &o->w, &o->y, &o->bias, &o->residual};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_done(all[i]);
}

static double *room(int64_t n)
{
    double *to = calloc((size_t)n, sizeof *to);
    assert_non_null(to);
    return to;
}

/* A small pixel times a tap goes to one large pixel: 2 y + i - 1. */
static void scatter(const plan_shape *s, const conv_operands *o, int64_t rows, double *to)
{
    const conv_shape *c = &s->conv;
    for (int64_t at = 0; at < rows * c->h * c->w * 16; at++) {
        int64_t pixel = at / 16, y = 2 * (pixel / c->w % c->h) + at / 4 % 4 - 1;
        int64_t x = 2 * (pixel % c->w) + at % 4 - 1, row = pixel / c->w / c->h;
        if (y < 0 || y >= 2 * c->h || x < 0 || x >= 2 * c->w)
            continue;
        double *sum = to + ((row * 2 * c->h + y) * 2 * c->w + x) * c->out;
        for (int64_t i = 0; i < c->in; i++)
            for (int64_t j = 0; j < c->out; j++)
                sum[j] += array_at(&o->x, s->type, pixel * c->in + i) *
                          array_at(&o->w, s->type, (i * 16 + at % 16) * c->out + j);
    }
}

typedef struct {
    int64_t row, y, x;
} place;

static double windowed(const plan_shape *s, const conv_operands *o, place p, int64_t channel)
{
    const conv_shape *c = &s->conv;
    int64_t before = c->pad_after ? 0 : c->k / 2;
    double sum = c->bias ? array_at(&o->bias, s->type, channel) : 0;
    for (int64_t i = 0; i < c->k; i++)
        for (int64_t j = 0; j < c->k; j++) {
            int64_t y = p.y * c->stride + i - before, x = p.x * c->stride + j - before;
            if (y < 0 || y >= c->h || x < 0 || x >= c->w)
                continue;
            for (int64_t l = 0; l < c->in; l++)
                sum += array_at(&o->x, s->type, ((p.row * c->h + y) * c->w + x) * c->in + l) *
                       array_at(&o->w, s->type, ((channel * c->k + i) * c->k + j) * c->in + l);
        }
    return sum;
}

double *conv_expected(const plan_shape *s, const conv_operands *o, int64_t rows)
{
    const conv_shape *c = &s->conv;
    int64_t h = side(s, c->h), w = side(s, c->w), n = rows * h * w * c->out;
    double *to = room(n);
    if (s->kind == SHAPE_UPSAMPLE)
        scatter(s, o, rows, to);
    for (int64_t i = 0; s->kind == SHAPE_CONV && i < n; i++) {
        int64_t pixel = i / c->out;
        to[i] = windowed(s, o, (place){pixel / w / h, pixel / w % h, pixel % w}, i % c->out) +
                (c->residual ? array_at(&o->residual, s->type, i) : 0);
    }
    return to;
}

/* Small numbers are halves exactly: sums of four taps of a 3x3 filter of eighths. */
static uint16_t half_of_eighths(int eighths)
{
    int size = abs(eighths), power = 15;
    if (size == 0)
        return 0;
    for (size *= 128; size < 1024; size *= 2)
        power--;
    for (; size >= 2048; size /= 2)
        power++;
    return (uint16_t)((eighths < 0) << 15 | power << 10 | (size & 1023));
}

static float tap(int64_t in, int64_t out, int i, int j)
{
    return (float)((in * 7 + out * 5 + i * 3 + j * 11) % 9 - 4) / 8;
}

double *conv_nearest_then(const plan_shape *whole, conv_operands *o)
{
    const conv_shape *c = &whole->conv;
    double *to = room(o->y.n);
    for (int64_t at = 0; at < c->in * c->out; at++) {
        int64_t in = at / c->out, out = at % c->out;
        float nine[3][3], sixteen[4][4];
        for (int i = 0; i < 9; i++)
            nine[i / 3][i % 3] = tap(in, out, i / 3, i % 3);
        upsample_taps(nine, sixteen);
        for (int i = 0; i < 16; i++)
            o->w.host[(in * 16 + i) * c->out + out] =
                half_of_eighths((int)lrintf(8 * sixteen[i / 4][i % 4]));
    }
    array_put(&o->w);
    for (int64_t at = 0; at < o->y.n; at++) {
        int64_t out = at % c->out, x = at / c->out % c->w, y = at / c->out / c->w % c->h;
        int64_t row = at / c->out / c->w / c->h;
        for (int i = 0; i < 9; i++) {
            int64_t from_y = y + i / 3 - 1, from_x = x + i % 3 - 1;
            if (from_y < 0 || from_y >= c->h || from_x < 0 || from_x >= c->w)
                continue;
            int64_t pixel = (row * (c->h / 2) + from_y / 2) * (c->w / 2) + from_x / 2;
            for (int64_t in = 0; in < c->in; in++)
                to[at] +=
                    array_at(&o->x, whole->type, pixel * c->in + in) * tap(in, out, i / 3, i % 3);
        }
    }
    return to;
}
