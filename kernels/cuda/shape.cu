/* What moves elements without computing with them, or hardly: resize_nearest, pixel_shuffle,
 * pixel_unshuffle, join, gather. A thread makes one element of the result, or 16 bytes of it. */
#include "kernels/cuda/element.h"

typedef struct {
    void *out;
    const void *x, *base;
    int64_t items;
    uint32_t h, w, out_h, out_w, c, factor; /* c in units that are moved */
    dtype type;
} move_plan;

/* Pixel (y, x) of sample n of the result, and its channel. 32 bits until it comes to addresses:
 * 64 divide slowly. */
typedef struct {
    uint32_t n, y, x, c;
} position;

DEVICE position position_of(const move_plan &p, uint32_t i, uint32_t channels)
{
    const uint32_t pixel = i / channels, row = pixel / p.out_w;
    const position at = {row / p.out_h, row % p.out_h, pixel % p.out_w, i % channels};
    return at;
}

/* T: what is moved at once. */
template <class T> static __global__ void BOUNDS(FLAT_THREADS) resize_kernel(const move_plan p)
{
    const uint32_t i = item_of_thread();
    if (i >= p.items)
        return;
    const position at = position_of(p, i, p.c);
    const uint32_t y = at.y * p.h / p.out_h, x = at.x * p.w / p.out_w;
    const int64_t from = (int64_t)(at.n * p.h + y) * p.w + x;
    store((T *)p.out + i, load((const T *)p.x + from * p.c + at.c));
}

template <class T> static int resize(cuda_stream stream, const resize_nearest_args *a)
{
    move_plan p = {};
    const int64_t each = (int64_t)(sizeof(T) / dtype_bytes(a->x.type));
    p.out = a->out.data;
    p.x = a->x.data;
    p.items = tensor_count(a->out) / each;
    p.h = (uint32_t)a->x.dim[1];
    p.w = (uint32_t)a->x.dim[2];
    p.out_h = (uint32_t)a->out.dim[1];
    p.out_w = (uint32_t)a->out.dim[2];
    p.c = (uint32_t)(a->x.dim[3] / each);
    return LAUNCH((resize_kernel<T>), grid_flat(stream, p.items), p);
}

int launch_resize_nearest(cuda_stream stream, const resize_nearest_args *a)
{
    const bool wide = is_wide(a->x.data) && is_wide(a->out.data) &&
                      (size_t)a->x.dim[3] * dtype_bytes(a->x.type) % 16 == 0;
    return wide                          ? resize<uint4>(stream, a)
           : dtype_bytes(a->x.type) == 2 ? resize<uint16_t>(stream, a)
           : dtype_bytes(a->x.type) == 4 ? resize<uint32_t>(stream, a)
                                         : LAUNCH_REFUSED;
}

static __global__ void BOUNDS(FLAT_THREADS) shuffle_kernel(const move_plan p)
{
    const uint32_t i = item_of_thread(), r = p.factor;
    if (i >= p.items)
        return;
    const position at = position_of(p, i, p.c);
    const int64_t pixel = (int64_t)(at.n * p.h + at.y / r) * p.w + at.x / r;
    float v = read_any(p.x, p.type, ((pixel * p.c + at.c) * r + at.y % r) * r + at.x % r);
    if (p.base)
        v += read_any(p.base, p.type, pixel * p.c + at.c);
    write_any(p.out, p.type, i, v);
}

int launch_pixel_shuffle(cuda_stream stream, const pixel_shuffle_args *a)
{
    move_plan p = {};
    p.out = a->out.data;
    p.x = a->x.data;
    p.base = a->base.data;
    p.items = tensor_count(a->out);
    p.h = (uint32_t)a->x.dim[1];
    p.w = (uint32_t)a->x.dim[2];
    p.out_h = (uint32_t)a->out.dim[1];
    p.out_w = (uint32_t)a->out.dim[2];
    p.c = (uint32_t)a->out.dim[3];
    p.factor = (uint32_t)a->factor;
    p.type = a->x.type;
    return LAUNCH(shuffle_kernel, grid_flat(stream, p.items), p);
}

/* Where index i of a row or column of `size` comes from: mirrored beyond its end. */
DEVICE uint32_t mirrored(uint32_t i, uint32_t size)
{
    const uint32_t period = 2 * (size - 1);
    if (period == 0)
        return 0;
    i %= period;
    return i < size ? i : period - i;
}

static __global__ void BOUNDS(FLAT_THREADS) unshuffle_kernel(const move_plan p)
{
    const uint32_t i = item_of_thread(), r = p.factor;
    if (i >= p.items)
        return;
    const position at = position_of(p, i, p.c * r * r);
    const uint32_t y = mirrored(at.y * r + at.c / r % r, p.h);
    const uint32_t x = mirrored(at.x * r + at.c % r, p.w);
    const int64_t from = ((int64_t)(at.n * p.h + y) * p.w + x) * p.c + at.c / r / r;
    write_any(p.out, p.type, i, read_any(p.x, p.type, from));
}

int launch_pixel_unshuffle(cuda_stream stream, const pixel_unshuffle_args *a)
{
    move_plan p = {};
    p.out = a->out.data;
    p.x = a->x.data;
    p.items = tensor_count(a->out);
    p.h = (uint32_t)a->x.dim[1];
    p.w = (uint32_t)a->x.dim[2];
    p.out_h = (uint32_t)a->out.dim[1];
    p.out_w = (uint32_t)a->out.dim[2];
    p.c = (uint32_t)a->x.dim[3];
    p.factor = (uint32_t)a->factor;
    p.type = a->x.type;
    return LAUNCH(unshuffle_kernel, grid_flat(stream, p.items), p);
}

typedef struct {
    void *out;
    const void *x, *x2;
    int64_t items;
    uint32_t row, x_row, x2_row, x2_used; /* of a pixel, in units that are moved */
} join_plan;

template <class T> static __global__ void BOUNDS(FLAT_THREADS) join_kernel(const join_plan p)
{
    const uint32_t i = item_of_thread();
    if (i >= p.items)
        return;
    const int64_t pixel = i / p.row;
    const uint32_t c = i % p.row;
    T v = {};
    if (c < p.x_row)
        v = load((const T *)p.x + pixel * p.x_row + c);
    else if (c < p.x_row + p.x2_used)
        v = load((const T *)p.x2 + pixel * p.x2_row + c - p.x_row);
    store((T *)p.out + i, v);
}

template <class T>
static int join(cuda_stream stream, const tensor *out, const tensor *x, const tensor *x2,
                int64_t x2_channels)
{
    const int64_t each = (int64_t)(sizeof(T) / dtype_bytes(out->type));
    const join_plan p = {.out = out->data,
                         .x = x->data,
                         .x2 = x2->data,
                         .items = tensor_count(*out) / each,
                         .row = (uint32_t)(out->dim[3] / each),
                         .x_row = (uint32_t)(x->dim[3] / each),
                         .x2_row = (uint32_t)(x2->dim[3] / each),
                         .x2_used = (uint32_t)(x2_channels / each)};
    return LAUNCH((join_kernel<T>), grid_flat(stream, p.items), p);
}

int launch_join(cuda_stream stream, tensor out, tensor x, tensor x2, int64_t x2_channels)
{
    const size_t bytes = dtype_bytes(out.type);
    const bool wide = is_tensor_wide(out) && is_tensor_wide(x) &&
                      (x2_channels == 0 || (is_tensor_wide(x2) && x2_channels % 8 == 0));
    return wide         ? join<uint4>(stream, &out, &x, &x2, x2_channels)
           : bytes == 2 ? join<uint16_t>(stream, &out, &x, &x2, x2_channels)
           : bytes == 4 ? join<uint32_t>(stream, &out, &x, &x2, x2_channels)
                        : LAUNCH_REFUSED;
}

static __global__ void BOUNDS(FLAT_THREADS) gather_kernel(const gather_args p)
{
    const uint32_t i = item_of_thread(), channels = (uint32_t)p.c;
    const int64_t pixel = i / channels, c = i % channels, n = blockIdx.y;
    const int64_t pixels = p.out.dim[1] * p.out.dim[2];
    if (pixel >= pixels)
        return;
    const tensor *from = p.source + n;
    const float v = read_any(load(&from->data), load(&from->type), pixel * load(&from->dim[3]) + c);
    write_any(p.out.data, p.out.type, (n * pixels + pixel) * p.out.dim[3] + p.first + c,
              p.scale * v);
}

int launch_gather(cuda_stream stream, const gather_args *a)
{
    grid_shape shape = grid_flat(stream, a->out.dim[1] * a->out.dim[2] * a->c);
    shape.y = a->out.dim[0];
    return LAUNCH(gather_kernel, shape, *a);
}
