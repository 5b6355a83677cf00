/* The discrete Fourier transform of lines and planes of complex doubles, of any length. Nothing
 * outside worker/image needs it. */
#ifndef WORKER_IMAGE_FFT_H
#define WORKER_IMAGE_FFT_H

#include <stddef.h>

#include "proto/err.h"

typedef struct {
    double re, im;
} fft_value;

/* sum over x, y of value[y][x] exp(-2 pi i (k x / w + l y / h)), in place, not normalised; [h][w].
 * The inverse is the same with re and im of every value swapped before and after, times 1 / (w h).
 * Cost: each length n takes n times the sum of its prime factors, so lengths with a large one are
 * slow. ERR_NO_MEMORY. */
int fft_plane(fft_value *value, int w, int h, err *e);

#endif
