/* Between bytes and numbers, reference. In float, operation by operation as numpy does it with
 * float32: the truncation at the end makes one unit in the last place a level of the picture. */
#include <math.h>

#include "kernels/table.h"

static uint8_t to_byte(float v, pixel_range range)
{
    if (range == PIXELS_SIGNED)
        v = (v + 1) / 2;
    v = v > 0 ? v : 0; /* NaN too */
    v = v < 1 ? v : 1;
    v *= 255;
    return (uint8_t)(range == PIXELS_SIGNED ? v : rintf(v));
}

void ref_pixels_in(dev *d, const pixels_in_args *a)
{
    if (d->options.dry)
        return;
    const uint8_t *x = a->x.data;
    float *out = a->out.data;
    for (int64_t i = 0; i < tensor_count(a->x); i++)
        out[i] = a->range == PIXELS_SIGNED ? (float)x[i] / 255 * 2 - 1 : (float)x[i] / 255;
}

void ref_pixels_out(dev *d, const pixels_out_args *a)
{
    if (d->options.dry)
        return;
    int64_t h = a->out.dim[1], row = a->out.dim[2] * a->out.dim[3];
    uint8_t *out = a->out.data;
    for (int64_t y = 0; y < a->out.dim[0] * h; y++, out += row) {
        const float *x = tensor_sample(a->x, y / h).data;
        x += y % h * a->x.dim[2] * a->x.dim[3];
        for (int64_t i = 0; i < row; i++)
            out[i] = to_byte(x[i], a->range);
    }
}

void ref_preview(dev *d, const preview_args *a)
{
    if (d->options.dry)
        return;
    const float *x = a->x.data;
    uint8_t *out = a->out.data;
    for (int64_t p = 0; p < tensor_count(a->x) / 4; p++)
        for (int c = 0; c < 3; c++) {
            double v = 0;
            for (int j = 0; j < 4; j++)
                v += (double)x[p * 4 + j] * a->matrix[j][c];
            out[p * 3 + c] = to_byte((float)v, PIXELS_SIGNED);
        }
}
