/* embed and emphasis, reference: tokens to vectors, and the weights of a prompt. */
#include "kernels/half.h"
#include "kernels/table.h"

void ref_embed(dev *d, const embed_args *a)
{
    if (d->options.dry)
        return;
    int64_t n = a->out.dim[0], t = a->out.dim[2], c = a->out.dim[3];
    const float *position = a->position.data;
    float *out = a->out.data;
    for (int64_t i = 0; i < n * t; i++)
        for (int64_t j = 0; j < c; j++)
            *out++ = load_float(a->table.data, a->table.type, a->ids[i] * c + j) +
                     position[i % t * c + j];
}

/* The mean of the text is kept because emphasis should turn a vector, not make all of them longer
 * (as AUTOMATIC1111's "Original" emphasis). */
void ref_emphasis(dev *d, const emphasis_args *a)
{
    if (d->options.dry)
        return;
    int64_t c = a->x.dim[3], tokens = tensor_count(a->x) / c;
    float *x = a->x.data;
    double before = 0, after = 0;
    bool plain = true;
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t j = 0; j < c; j++) {
            plain &= a->weights[t] == 1;
            before += x[t * c + j];
            after += x[t * c + j] * a->weights[t];
        }
    if (plain)
        return;
    double restore = after != 0 ? before / after : 1; /* every weight 0: nothing to restore */
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t j = 0; j < c; j++)
            x[t * c + j] = (float)(x[t * c + j] * a->weights[t] * restore);
}
