/* Between bytes and numbers, reference. In float, operation by operation as numpy does it with
 * float32: the truncation at the end makes one unit in the last place a level of the picture. */
#include "kernels/table.h"

static uint8_t to_byte(float v)
{
    v = (v + 1) / 2;
    v = v > 0 ? v : 0; /* NaN too */
    v = v < 1 ? v : 1;
    return (uint8_t)(v * 255);
}

void ref_pixels_in(dev *d, const pixels_in_args *a)
{
    if (d->options.dry)
        return;
    const uint8_t *x = a->x.data;
    float *out = a->out.data;
    for (int64_t i = 0; i < tensor_count(a->x); i++)
        out[i] = (float)x[i] / 255 * 2 - 1;
}

void ref_pixels_out(dev *d, const pixels_out_args *a)
{
    if (d->options.dry)
        return;
    const float *x = a->x.data;
    uint8_t *out = a->out.data;
    for (int64_t i = 0; i < tensor_count(a->x); i++)
        out[i] = to_byte(x[i]);
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
            out[p * 3 + c] = to_byte((float)v);
        }
}
