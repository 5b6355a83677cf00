/* Element by element: activate, add, geglu, conv_finish. A thread takes one or eight elements that
 * lie side by side. */
#include "kernels/cuda/element.h"

typedef struct {
    void *out;
    const void *a, *b;
    int64_t items;   /* vectors */
    uint32_t period; /* after so many b begins again */
    float scale;
    activation act;
} map_args;

template <class E, int V>
static __global__ void BOUNDS(FLAT_THREADS) activate_kernel(const map_args p)
{
    const int64_t i = item_of_thread();
    float v[V];
    if (i >= p.items)
        return;
    read(v, (const E *)p.a + i * V);
#pragma unroll
    for (int j = 0; j < V; j++)
        v[j] = apply(v[j], p.act);
    write((E *)p.out + i * V, v);
}

template <class E, int V> static int activate(cuda_stream stream, const activate_args *a)
{
    const map_args p = {a->out.data, a->x.data, NULL, tensor_count(a->x) / V, 0, 1, a->act};
    return LAUNCH((activate_kernel<E, V>), grid_flat(stream, p.items), p);
}

int launch_activate(cuda_stream stream, const activate_args *a)
{
    const bool wide = is_wide(a->x.data) && is_wide(a->out.data) && tensor_count(a->x) % 8 == 0;
    return BY_TYPE(a->x.type, wide, activate, stream, a);
}

template <class E, int V> static __global__ void BOUNDS(FLAT_THREADS) add_kernel(const map_args p)
{
    const uint32_t item = item_of_thread();
    const int64_t i = item;
    float v[V], w[V];
    if (i >= p.items)
        return;
    read(v, (const E *)p.a + i * V);
    read(w, (const E *)p.b + (int64_t)(item % p.period) * V);
#pragma unroll
    for (int j = 0; j < V; j++)
        v[j] = fmaf(p.scale, v[j], w[j]);
    write((E *)p.out + i * V, v);
}

template <class E, int V> static int add(cuda_stream stream, const add_args *a)
{
    const map_args p = {a->out.data,
                        a->a.data,
                        a->b.data,
                        tensor_count(a->a) / V,
                        (uint32_t)(tensor_count(a->b) / V),
                        a->scale,
                        ACT_NONE};
    return LAUNCH((add_kernel<E, V>), grid_flat(stream, p.items), p);
}

int launch_add(cuda_stream stream, const add_args *a)
{
    const bool wide = is_wide(a->a.data) && is_wide(a->b.data) && is_wide(a->out.data) &&
                      tensor_count(a->b) % 8 == 0;
    return BY_TYPE(a->a.type, wide, add, stream, a);
}

typedef struct {
    void *out;
    const void *x;
    int64_t items; /* vectors of the result */
    uint32_t row;  /* of one row of it */
} geglu_plan;

template <class E, int V>
static __global__ void BOUNDS(FLAT_THREADS) geglu_kernel(const geglu_plan p)
{
    const uint32_t item = item_of_thread();
    const int64_t i = item, row = item / p.row;
    float v[V], gate[V];
    if (i >= p.items)
        return;
    const E *x = (const E *)p.x + (i + row * p.row) * V;
    read(v, x);
    read(gate, x + p.row * V);
#pragma unroll
    for (int j = 0; j < V; j++)
        v[j] *= gelu(gate[j]);
    write((E *)p.out + i * V, v);
}

template <class E, int V> static int geglu(cuda_stream stream, const geglu_args *a)
{
    const geglu_plan p = {a->out.data, a->x.data, tensor_count(a->out) / V,
                          (uint32_t)(a->out.dim[3] / V)};
    return LAUNCH((geglu_kernel<E, V>), grid_flat(stream, p.items), p);
}

int launch_geglu(cuda_stream stream, const geglu_args *a)
{
    const bool wide = is_wide(a->x.data) && is_tensor_wide(a->out);
    return BY_TYPE(a->x.type, wide, geglu, stream, a);
}

typedef struct {
    void *out;
    const void *made, *bias, *residual;
    const float *slope;
    int64_t items;                           /* vectors */
    uint32_t row, made_row, out_row, out_at; /* of a pixel: of the result, made, out */
    activation act;
} finish_plan;

template <class E, int V>
static __global__ void BOUNDS(FLAT_THREADS) finish_kernel(const finish_plan p)
{
    const uint32_t item = item_of_thread();
    const int64_t i = item, pixel = item / p.row, c = item % p.row;
    float v[V], bias[V] = {0}, slope[V] = {0}, residual[V] = {0};
    if (i >= p.items)
        return;
    const int64_t at = (pixel * p.out_row + p.out_at + c) * V;
    read(v, (const E *)p.made + (pixel * p.made_row + c) * V);
    if (p.bias)
        read(bias, (const E *)p.bias + c * V);
    if (p.slope)
        read(slope, p.slope + c * V);
    if (p.residual)
        read(residual, (const E *)p.residual + at);
#pragma unroll
    for (int j = 0; j < V; j++) {
        v[j] += bias[j];
        v[j] = p.slope ? (v[j] < 0 ? v[j] * slope[j] : v[j]) : apply(v[j], p.act);
        v[j] += residual[j];
    }
    write((E *)p.out + at, v);
}

template <class E, int V>
static int finish(cuda_stream stream, const conv2d_args *a, const tensor *made)
{
    const finish_plan p = {.out = a->out.data,
                           .made = made->data,
                           .bias = a->bias.data,
                           .residual = a->residual.data,
                           .slope = (const float *)a->slope.data,
                           .items = tensor_count(*made) / made->dim[3] * a->w->out / V,
                           .row = (uint32_t)(a->w->out / V),
                           .made_row = (uint32_t)(made->dim[3] / V),
                           .out_row = (uint32_t)(a->out.dim[3] / V),
                           .out_at = (uint32_t)(a->out_at / V),
                           .act = a->act};
    return LAUNCH((finish_kernel<E, V>), grid_flat(stream, p.items), p);
}

int launch_conv_finish(cuda_stream stream, const conv2d_args *a, tensor made)
{
    const bool wide = is_tensor_wide(made) && is_tensor_wide(a->out) && a->out_at % 8 == 0 &&
                      a->w->out % 8 == 0 && is_wide(a->residual.data) && is_wide(a->slope.data) &&
                      is_wide(a->bias.data);
    return BY_TYPE(made.type, wide, finish, stream, a, &made);
}
