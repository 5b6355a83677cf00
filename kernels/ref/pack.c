/* pack, reference: fp32 [out][k][k][in], the order in which the reference convolution walks. */
#include "kernels/half.h"
#include "kernels/table.h"

void ref_pack(dev *d, const pack_args *a)
{
    weight *w = a->w;
    int64_t taps = (int64_t)w->k * w->k;
    bool ok;
    w->layout = 0;
    w->bytes = (size_t)(w->out * taps * w->in) * sizeof(float);
    w->data = arena_take(a->to, w->bytes, &ok);
    if (!ok)
        dev_fail(d, DEV_NO_MEMORY, "%s: %zu bytes of weights on top of %zu do not fit into %zu",
                 d->name, w->bytes, a->to->used, a->to->capacity);
    if (!w->data)
        return;
    float *to = w->data;
    for (int64_t o = 0; o < w->out; o++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t i = 0; i < w->in; i++)
                *to++ = load_float(a->source, a->type, (o * w->in + i) * taps + tap);
}
