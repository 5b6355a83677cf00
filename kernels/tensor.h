/* tensor: a shaped view of device memory, by value; contiguous, channels last, no owner.
 *
 * Pictures and feature maps are [n, h, w, c]; tokens are [n, 1, t, c], so that a feature map of h*w
 * pixels *is* a sequence of h*w tokens and a linear layer is a 1x1 convolution. */
#ifndef KERNELS_TENSOR_H
#define KERNELS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { F32, F16, BF16, U8, I32, DTYPE_COUNT } dtype;

typedef struct {
    void *data; /* NULL on a dry device */
    dtype type;
    int64_t dim[4]; /* all 0: no tensor (an argument that is not given) */
} tensor;

static inline size_t dtype_bytes(dtype t)
{
    return t == F32 || t == I32 ? 4 : t == U8 ? 1 : 2;
}

static inline tensor tensor_of(void *data, dtype type, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return (tensor){.data = data, .type = type, .dim = {n, h, w, c}};
}

static inline bool tensor_given(tensor t)
{
    return t.dim[0] > 0;
}

static inline int64_t tensor_count(tensor t)
{
    return t.dim[0] * t.dim[1] * t.dim[2] * t.dim[3];
}

static inline size_t tensor_bytes(tensor t)
{
    return (size_t)tensor_count(t) * dtype_bytes(t.type);
}

static inline bool tensor_same_shape(tensor a, tensor b)
{
    return a.dim[0] == b.dim[0] && a.dim[1] == b.dim[1] && a.dim[2] == b.dim[2] &&
           a.dim[3] == b.dim[3];
}

/* Sample i of a batch: [1, h, w, c]. */
static inline tensor tensor_sample(tensor t, int64_t i)
{
    tensor s = t;
    s.dim[0] = 1;
    if (t.data)
        s.data = (char *)t.data + (size_t)i * (tensor_bytes(t) / (size_t)t.dim[0]);
    return s;
}

/* The same elements under another shape of equal count. */
static inline tensor tensor_reshape(tensor t, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return tensor_of(t.data, t.type, n, h, w, c);
}

#endif
