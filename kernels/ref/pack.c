/* pack, reference: fp32 [out][k][k][in], the order in which the reference convolution walks. */
#include <math.h>

#include "kernels/half.h"
#include "kernels/table.h"

void ref_reserve(dev *d, const reserve_args *a)
{
    (void)d;
    weight *w = a->w;
    w->layout = 0;
    w->bytes = (size_t)(w->out * w->k * w->k * w->in) * sizeof(float);
}

static void pack_one(const pack_item *item)
{
    const weight *w = &item->w;
    const int64_t taps = (int64_t)w->k * w->k;
    const float scale = ldexpf(1, item->exponent);
    float *to = (float *)w->data + item->first * taps * w->in;
    for (int64_t o = 0; o < pack_count(item); o++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t i = 0; i < w->in; i++)
                *to++ = scale * load_float(item->source, item->type, (o * w->in + i) * taps + tap);
}

void ref_pack(dev *d, const pack_args *a)
{
    (void)d;
    for (int i = 0; i < a->n; i++)
        pack_one(&a->item[i]);
}
