/* Pictures for tests: files of tests/golden, and comparing what came out. */
#ifndef TESTS_SUPPORT_PICTURE_H
#define TESTS_SUPPORT_PICTURE_H

#include "worker/image/image.h"

/* The bytes of tests/golden/<file> (malloc'ed); fails the test when it cannot be read. */
uint8_t *picture_bytes(const char *file, size_t *size);

/* tests/golden/<file>, decoded; fails the test when it cannot be. */
image picture_golden(const char *file);

/* The same as one channel, for files that are grey. */
image picture_golden_grey(const char *file);

/* Any file, decoded; fails the test when it cannot be. */
image picture_file(const char *path);

/* A deterministic picture with smooth and sharp parts. */
image picture_pattern(int w, int h, int channels);

/* Peak signal-to-noise ratio in dB of two pictures of one shape; infinite: no difference. */
double picture_psnr(const image *a, const image *b);

/* The largest difference of any sample; 256 when size or channels differ. */
int picture_difference(const image *a, const image *b);

#endif
