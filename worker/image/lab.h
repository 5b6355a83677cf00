/* 8-bit LAB, equal to OpenCV 5 for each of the 2^24 colours in both directions: L from 0..100 to
 * 0..255, a and b with 128 added; whole-number arithmetic over tables. Nothing outside worker/image
 * needs it. */
#ifndef WORKER_IMAGE_LAB_H
#define WORKER_IMAGE_LAB_H

#include <stdint.h>

enum {
    LAB_LINEAR = 3072, /* linear light, 8 per level, up to one and a half times white */
    LAB_LIGHTS = 4096,
};

typedef struct {
    uint16_t linear[256];          /* sRGB byte -> linear light, 8 per level */
    uint16_t root[LAB_LINEAR];     /* linear light -> f of it, 15 fractional bits */
    int32_t light[256], f_of[256]; /* L -> Y and f of Y, 14 fractional bits */
    uint8_t srgb[LAB_LIGHTS];      /* linear light of 12 bits -> sRGB byte */
} lab;

void lab_init(lab *space);
void lab_from_rgb(const lab *space, uint8_t out[3], const uint8_t rgb[3]);
void lab_to_rgb(const lab *space, uint8_t rgb[3], const uint8_t in[3]);

#endif
