/* Pillow's Gaussian blur: three box blurs a line, whatever the radius.
 *
 * The idea: a box blur is a running sum, so its cost does not depend on its radius. The four
 * samples of a pixel run along together, two in each 64-bit word, 32 bits apart: a sum of up to 255
 * times a weight of 24 fractional bits stays below 2^32, so one multiplication serves two samples.
 * Columns are copied out in strips, so that the same loop runs over them and every cache line is
 * fetched once. */
#include "worker/image/image.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PASSES = 3,
    STRIP = 16, /* lines copied out at a time: 16 pixels of 4 bytes are a cache line */
};

/* Two samples, in the low bytes of the two halves; in a sum, the whole halves. */
#define LOW  UINT64_C(0x000000ff000000ff)
#define HALF UINT64_C(0x0080000000800000) /* 1/2 of 24 fractional bits */

typedef struct {
    uint64_t even, odd; /* samples 0 and 2, 1 and 3 */
} quad;

typedef struct {
    int radius;            /* whole samples to each side of the middle */
    uint64_t inner, outer; /* weights of these, and of the one beyond them on each side */
} box;

/* The box whose threefold use has the variance of a Gaussian (Gwosdek and others, "Theoretical
 * foundations of Gaussian convolution by extended box filtering", 2011). In float, as Pillow. */
static float box_radius(double sigma)
{
    float radius = (float)sigma;
    float variance = radius * radius / PASSES;
    float length = (float)sqrt(12.0 * variance + 1.0);
    float whole = (float)floor((length - 1.0) / 2.0);
    float rest = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
    rest /= 6 * (variance - (whole + 1) * (whole + 1));
    return whole + rest;
}

static box box_of(double sigma)
{
    float radius = box_radius(sigma);
    int whole = (int)radius;
    uint32_t inner = (uint32_t)((float)(1 << 24) / (radius * 2 + 1));
    uint32_t rest = (1u << 24) - (uint32_t)(whole * 2 + 1) * inner;
    return (box){whole, inner, rest / 2};
}

int image_soften_reach(double radius)
{
    return radius > 0 ? PASSES * (box_of(radius).radius + 1) : 0;
}

static quad unpack(uint32_t p)
{
    uint64_t all = p | (uint64_t)p << 16;
    return (quad){all & LOW, all >> 8 & LOW};
}

static uint32_t pack(quad q)
{
    uint64_t all = q.even | q.odd << 8;
    return (uint32_t)(all | all >> 16);
}

/* line[radius + 1 ..] holds n pixels; the outermost ones are repeated to both sides of them. */
static void pad(quad *line, int n, int radius)
{
    quad *first = line + radius + 1, *last = first + n - 1;
    for (int i = 1; i <= radius + 1; i++) {
        first[-i] = *first;
        last[i] = *last;
    }
}

/* One box blur of a padded line; `to` begins where the result of the next padding goes. */
static void blur_line(quad *to, const quad *from, int n, const box *b)
{
    int width = 2 * b->radius + 1;
    uint64_t even = 0, odd = 0;
    for (int i = 1; i <= width; i++) {
        even += from[i].even;
        odd += from[i].odd;
    }
    for (int i = 0; i < n; i++) {
        const quad *left = from + i, *right = left + width + 1;
        uint64_t even_ends = left->even + right->even, odd_ends = left->odd + right->odd;
        to[i].even = (even * b->inner + even_ends * b->outer + HALF) >> 24 & LOW;
        to[i].odd = (odd * b->inner + odd_ends * b->outer + HALF) >> 24 & LOW;
        even += right->even - left[1].even;
        odd += right->odd - left[1].odd;
    }
}

/* All passes over one line of n packed pixels; room: two padded lines. */
static void blur_packed(uint32_t *line, int n, const box *b, quad *room)
{
    size_t margin = (size_t)b->radius + 1;
    quad *from = room, *to = room + (size_t)n + 2 * margin;
    for (int i = 0; i < n; i++)
        from[margin + (size_t)i] = unpack(line[i]);
    for (int pass = 0; pass < PASSES; pass++) {
        pad(from, n, b->radius);
        blur_line(to + margin, from, n, b);
        quad *swap = from;
        from = to;
        to = swap;
    }
    for (int i = 0; i < n; i++)
        line[i] = pack(from[margin + (size_t)i]);
}

/* Lines of a picture in one direction: sample `at` of line `line` begins at line * across + at *
 * along. */
typedef struct {
    uint8_t *px;
    int lines, length;
    size_t across, along;
} direction;

/* Copies `count` lines out to rows of `room` pixels, or back; the innermost loop is the one whose
 * bytes of the picture lie side by side. Inlined with constant `channels` and `back`. */
static inline void copy_strip(uint32_t *strip, size_t room, const direction *d, int line, int count,
                              int channels, bool back)
{
    bool rows = d->along < d->across;
    int outer = rows ? count : d->length, inner = rows ? d->length : count;
    size_t outer_px = rows ? d->across : d->along, inner_px = rows ? d->along : d->across;
    size_t outer_strip = rows ? room : 1, inner_strip = rows ? 1 : room;
    for (int i = 0; i < outer; i++) {
        uint8_t *p = d->px + (size_t)line * d->across + (size_t)i * outer_px;
        uint32_t *packed = strip + (size_t)i * outer_strip;
        for (int k = 0; k < inner; k++, p += inner_px, packed += inner_strip)
            if (back)
                memcpy(p, packed, (size_t)channels);
            else
                memcpy(packed, p, (size_t)channels);
    }
}

static void move_strip(uint32_t *strip, size_t room, const direction *d, int line, int count,
                       int channels, bool back)
{
    if (channels == 1 && back)
        copy_strip(strip, room, d, line, count, 1, true);
    else if (channels == 1)
        copy_strip(strip, room, d, line, count, 1, false);
    else if (channels == 3 && back)
        copy_strip(strip, room, d, line, count, 3, true);
    else if (channels == 3)
        copy_strip(strip, room, d, line, count, 3, false);
    else if (back)
        copy_strip(strip, room, d, line, count, 4, true);
    else
        copy_strip(strip, room, d, line, count, 4, false);
}

static int blur_direction(const direction *d, int channels, const box *b, err *e)
{
    /* Rows of a strip lie a cache line off a power of two, or they would evict each other. */
    size_t room = ((size_t)d->length + 15) / 16 * 16 + 16;
    uint32_t *strip = calloc(room * STRIP, sizeof *strip);
    quad *lines = malloc(((size_t)d->length + 2 * (size_t)(b->radius + 1)) * 2 * sizeof *lines);
    int rc = 0;
    if (!strip || !lines)
        rc = err_set(e, ERR_NO_MEMORY, "no memory to blur lines of %d pixels", d->length);
    for (int line = 0; line < d->lines && !rc; line += STRIP) {
        int count = d->lines - line < STRIP ? d->lines - line : STRIP;
        move_strip(strip, room, d, line, count, channels, false);
        for (int i = 0; i < count; i++)
            blur_packed(strip + (size_t)i * room, d->length, b, lines);
        move_strip(strip, room, d, line, count, channels, true);
    }
    free(strip);
    free(lines);
    return rc;
}

int image_soften(image *picture, double radius, err *e)
{
    assert(radius >= 0);
    if (radius == 0)
        return 0;
    box b = box_of(radius);
    size_t pixel = (size_t)picture->channels, row = (size_t)picture->w * pixel;
    direction rows = {picture->px, picture->h, picture->w, row, pixel};
    direction columns = {picture->px, picture->w, picture->h, pixel, row};
    int rc = blur_direction(&rows, picture->channels, &b, e);
    return rc ? rc : blur_direction(&columns, picture->channels, &b, e);
}
