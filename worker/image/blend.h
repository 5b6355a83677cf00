/* Pillow's arithmetic for one pixel with alpha; nothing outside worker/image needs it.
 *
 * Red and blue go through each step together, 32 bits apart in one word: no product reaches 2^32.
 */
#ifndef WORKER_IMAGE_BLEND_H
#define WORKER_IMAGE_BLEND_H

#include <stdint.h>

typedef uint32_t rgba; /* red | green << 8 | blue << 16 | alpha << 24 */

#define BLEND_BOTH(value) ((uint64_t)(value) << 32 | (uint64_t)(value))

static inline rgba rgba_of(uint8_t red, uint8_t green, uint8_t blue, uint8_t alpha)
{
    return (rgba)red | (rgba)green << 8 | (rgba)blue << 16 | (rgba)alpha << 24;
}

static inline rgba rgba_load(const uint8_t *p)
{
    return rgba_of(p[0], p[1], p[2], p[3]);
}

static inline void rgba_store(uint8_t *p, rgba v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static inline uint32_t rgba_alpha(rgba v)
{
    return v >> 24;
}

static inline uint64_t rgba_red_blue(rgba v)
{
    return (v & 0xff) | (uint64_t)(v & 0xff0000) << 16;
}

static inline uint32_t rgba_green(rgba v)
{
    return v >> 8 & 0xff;
}

/* All three shifted down by `bits` and cut to a byte. */
static inline rgba rgba_join(uint64_t red_blue, uint32_t green, uint32_t alpha, int bits)
{
    red_blue = red_blue >> bits & BLEND_BOTH(0xff);
    return (rgba)(red_blue | red_blue >> 16) | (green >> bits & 0xff) << 8 | alpha << 24;
}

/* x / 255 rounded to the nearest is (x' + (x' >> 8)) >> 8 of x' = x + 1/2 in the given scale; these
 * leave the last shift to rgba_join. */
static inline uint64_t rgba_by_255(uint64_t both)
{
    return both + (both >> 8 & BLEND_BOTH(0xffffff));
}

/* An opaque colour faded to `alpha`: times alpha, divided by 255, rounded. */
static inline rgba rgba_premultiplied(const uint8_t *rgb, uint8_t alpha)
{
    uint64_t red_blue = (rgb[0] | (uint64_t)rgb[2] << 32) * alpha + BLEND_BOTH(0x80);
    uint64_t green = (uint64_t)rgb[1] * alpha + 0x80;
    return rgba_join(rgba_by_255(red_blue), (uint32_t)rgba_by_255(green), alpha, 8);
}

/* Back to the straight form: 255 colour / alpha, cut, not rounded. No colour may exceed alpha. */
static inline rgba rgba_straight(rgba p)
{
    uint32_t alpha = rgba_alpha(p);
    if (alpha == 0 || alpha == 255)
        return p;
    uint32_t scale = (255u << 16) / alpha + 1; /* exact for every colour up to alpha */
    return rgba_join(rgba_red_blue(p) * scale, rgba_green(p) * scale, alpha, 16);
}

/* `above` over `below`, both straight: 7 fractional bits in the weights, rounded at the end. */
static inline rgba rgba_over(rgba above, rgba below)
{
    uint32_t a = rgba_alpha(above), b = rgba_alpha(below);
    if (a == 0)
        return below;
    if (a == 255 || b == 0)
        return above;
    uint32_t alpha255 = a * 255 + b * (255 - a);
    uint32_t weight = b == 255 ? a << 7 : (a * 255 * 255 << 7) / alpha255;
    uint32_t rest = (255u << 7) - weight;
    uint64_t red_blue = rgba_red_blue(above) * weight + rgba_red_blue(below) * rest;
    uint64_t green = (uint64_t)rgba_green(above) * weight + (uint64_t)rgba_green(below) * rest;
    uint32_t alpha = (uint32_t)rgba_by_255(alpha255 + 0x80) >> 8;
    return rgba_join(rgba_by_255(red_blue + BLEND_BOTH(0x80 << 7)),
                     (uint32_t)rgba_by_255(green + (0x80 << 7)), alpha, 15);
}

#endif
