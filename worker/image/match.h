/* Colours and contrasts of one picture given to another, by quantiles. */
#ifndef WORKER_IMAGE_MATCH_H
#define WORKER_IMAGE_MATCH_H

#include "worker/image/image.h"

/* Colour correction, in place: the picture's 8-bit LAB channels get the histograms of the target's
 * (any size), then the picture's own luma (0.299, 0.587, 0.114) comes back, colours pulled towards
 * it where they would leave the range. Both RGB. LAB as OpenCV defines it for bytes. */
int image_match_colours(image *picture, const image *target, err *e);

/* Quantile mapping. source[i]: how many samples have the i-th of `bins` ascending values;
 * target[v]: how many samples have the byte v, not all 0. map[i]: the byte, cut, at which as large
 * a share of the target lies at or below; linear between the bytes that occur. A value that does
 * not occur gets the byte of the next smaller one. */
void histogram_match(uint8_t *map, const uint32_t *source, size_t bins, const uint32_t target[256]);

#endif
