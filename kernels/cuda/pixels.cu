/* Between bytes and numbers, preview, finite. Operation by operation as the reference: the
 * truncation at the end makes one unit in the last place a level of the picture. */
#include "kernels/cuda/element.h"

enum { ALL_THREADS = 1024, COLOURS = 3 };

DEVICE uint8_t to_byte(float v, pixel_range range)
{
    if (range == PIXELS_SIGNED)
        v = (v + 1) / 2;
    v = v > 0 ? v : 0; /* NaN too */
    v = v < 1 ? v : 1;
    v *= 255;
    return (uint8_t)(range == PIXELS_SIGNED ? v : rintf(v));
}

static __global__ void BOUNDS(FLAT_THREADS) in_kernel(const pixels_in_args p)
{
    const uint32_t i = item_of_thread(), channels = (uint32_t)p.out.dim[3];
    const int64_t c = i % channels, pixel = i / channels;
    if (pixel >= p.out.dim[0] * p.out.dim[1] * p.out.dim[2])
        return;
    float v = 0;
    if (c < COLOURS) {
        v = (float)load((const uint8_t *)p.x.data + pixel * COLOURS + c);
        v = p.range == PIXELS_SIGNED ? v / 255 * 2 - 1 : v / 255;
    }
    write_any(p.out.data, p.out.type, i, v);
}

int launch_pixels_in(cuda_stream stream, const pixels_in_args *a)
{
    return LAUNCH(in_kernel, grid_flat(stream, tensor_count(a->out)), *a);
}

static __global__ void BOUNDS(FLAT_THREADS) out_kernel(const pixels_out_args p)
{
    const uint32_t i = item_of_thread(), c = i % COLOURS, pixel = i / COLOURS;
    const uint32_t width = (uint32_t)p.out.dim[2], height = (uint32_t)p.out.dim[1];
    const uint32_t row = pixel / width, n = row / height;
    if (n >= p.out.dim[0])
        return;
    const int64_t at = (n * p.x.dim[1] + row % height) * p.x.dim[2] + pixel % width;
    const float v = read_any(p.x.data, p.x.type, at * p.x.dim[3] + c);
    store((uint8_t *)p.out.data + i, to_byte(v, p.range));
}

int launch_pixels_out(cuda_stream stream, const pixels_out_args *a)
{
    return LAUNCH(out_kernel, grid_flat(stream, tensor_count(a->out)), *a);
}

static __global__ void BOUNDS(FLAT_THREADS) preview_kernel(const preview_args p)
{
    const int64_t pixel = item_of_thread();
    if (pixel >= p.x.dim[0] * p.x.dim[1] * p.x.dim[2])
        return;
#pragma unroll
    for (int c = 0; c < COLOURS; c++) {
        float v = 0;
#pragma unroll
        for (int j = 0; j < 4; j++)
            v += read_any(p.x.data, p.x.type, pixel * 4 + j) * p.matrix[j][c];
        store((uint8_t *)p.out.data + pixel * COLOURS + c, to_byte(v, PIXELS_SIGNED));
    }
}

int launch_preview(cuda_stream stream, const preview_args *a)
{
    return LAUNCH(preview_kernel, grid_flat(stream, tensor_count(a->x) / 4), *a);
}

typedef struct {
    const void *x;
    bool *flag;
    int64_t items; /* vectors of a sample */
} finite_plan;

/* A block a sample. */
template <class E, int V>
static __global__ void BOUNDS(ALL_THREADS) finite_kernel(const finite_plan p)
{
    bool good = true;
    for (int64_t i = threadIdx.x; i < p.items; i += ALL_THREADS) {
        float v[V];
        read(v, (const E *)p.x + (blockIdx.x * p.items + i) * V);
#pragma unroll
        for (int j = 0; j < V; j++)
            good = good && isfinite(v[j]);
    }
    good = all_of_block(good);
    if (threadIdx.x == 0)
        store(p.flag + blockIdx.x, good);
}

template <class E, int V> static int finite(cuda_stream stream, const finite_args *a)
{
    const int64_t n = a->x.dim[0];
    const finite_plan p = {a->x.data, a->flag, tensor_count(a->x) / n / V};
    const grid_shape shape = {n, 1, ALL_THREADS, 1, 0, stream};
    return LAUNCH((finite_kernel<E, V>), shape, p);
}

int launch_finite(cuda_stream stream, const finite_args *a)
{
    const bool wide = is_wide(a->x.data) && tensor_count(a->x) / a->x.dim[0] % 8 == 0;
    return BY_TYPE(a->x.type, wide, finite, stream, a);
}
