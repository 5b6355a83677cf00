/* step: every sampler's update, one pixel a thread, one row of the batch along y.
 *
 * All sums of a pixel are formed before any is stored, because each sees the old values; term by
 * term in the listed order, in fp32 without fused multiply-add (nvcc --fmad=false): this decides
 * the bits of pictures. Rows are records in device memory, so that one captured launch serves
 * whatever rows stand there. */
#include "kernels/cuda/element.h"

enum { THREADS = 128 };
enum { DENOISED, X, HISTORY, SUMS = HISTORY + STEP_HISTORY };

typedef struct {
    const step_row *row;
    int channels;
} step_plan;

/* most: channels that arrays have room for; few of them are registers. */
template <int most> struct pixel_sums {
    float value[SUMS][most], change[most];
};

DEVICE const tensor *term_of(const step_row *r, int term)
{
    if (term == STEP_X)
        return &r->x;
    if (term < STEP_PAST)
        return &r->prediction[term - STEP_PREDICTION];
    if (term < STEP_NOISE)
        return &r->history[term - STEP_PAST];
    return term == STEP_NOISE ? &r->noise : &r->init;
}

DEVICE float coefficient(const step_row *r, int sum, int term)
{
    if (sum == DENOISED)
        return load(&r->coef_denoised[term]);
    return load(sum == X ? &r->coef_x[term] : &r->coef_history[sum - HISTORY][term]);
}

DEVICE float read_tensor(const tensor *t, int64_t i)
{
    return read_any(load(&t->data), load(&t->type), i);
}

DEVICE void write_tensor(const tensor *t, int64_t i, float v)
{
    write_any(load(&t->data), load(&t->type), i, v);
}

template <int most>
DEVICE void add_term(pixel_sums<most> *s, const step_row *r, int from, int term, int c,
                     const float (&value)[most])
{
#pragma unroll
    for (int i = 0; i < SUMS; i++) {
        const float coef = i < from ? 0 : coefficient(r, i, term);
        if (coef == 0)
            continue;
#pragma unroll
        for (int k = 0; k < most; k++)
            if (k < c)
                s->value[i][k] += coef * value[k];
    }
}

DEVICE bool is_read(const step_row *r, int term)
{
    bool any = false;
    for (int i = 0; i < SUMS; i++)
        any = any || coefficient(r, i, term) != 0;
    return any;
}

template <int most>
DEVICE void hold(const step_row *r, int which, int64_t pixel, int c, float (&value)[most])
{
    const step_hold *h = &r->hold[which];
    if (!load(&h->on))
        return;
    const double m = pow((double)read_tensor(&r->mask, pixel), load(&h->exponent));
    const double contrast = load(&h->contrast);
    const float init = load(&h->init), noise = load(&h->noise);
    double v[most], scale = 1, squares = 0, value_squares = 0, known_squares = 0;
#pragma unroll
    for (int k = 0; k < most; k++) {
        if (k >= c)
            continue;
        double known = 0;
        if (init != 0)
            known += (double)init * read_tensor(&r->init, pixel * c + k);
        if (noise != 0)
            known += (double)noise * read_tensor(&r->noise, pixel * c + k);
        v[k] = (1 - m) * known + m * value[k];
        squares += v[k] * v[k];
        known_squares += known * known;
        value_squares += (double)value[k] * value[k];
    }
    if (contrast > 0)
        scale = pow((1 - m) * pow(sqrt(known_squares), contrast) +
                        m * pow(sqrt(value_squares), contrast),
                    1 / contrast) /
                (sqrt(squares) + 1e-5);
#pragma unroll
    for (int k = 0; k < most; k++)
        if (k < c)
            value[k] = (float)(scale * v[k]);
}

/* All sums of the old values; then the x0 prediction is held, and what that changes is added. */
template <int most>
DEVICE void sum_pixel(pixel_sums<most> *s, const step_row *r, int64_t pixel, int c)
{
    float before[most];
#pragma unroll
    for (int i = 0; i < SUMS; i++)
#pragma unroll
        for (int k = 0; k < most; k++)
            s->value[i][k] = 0;
    for (int term = 0; term < STEP_CHANGE; term++) {
        float value[most];
        if (!is_read(r, term))
            continue;
#pragma unroll
        for (int k = 0; k < most; k++)
            value[k] = k < c ? read_tensor(term_of(r, term), pixel * c + k) : 0;
        add_term<most>(s, r, DENOISED, term, c, value);
    }
#pragma unroll
    for (int k = 0; k < most; k++)
        before[k] = s->value[DENOISED][k];
    hold<most>(r, STEP_HOLD_DENOISED, pixel, c, s->value[DENOISED]);
#pragma unroll
    for (int k = 0; k < most; k++)
        s->change[k] = s->value[DENOISED][k] - before[k];
    add_term<most>(s, r, X, STEP_CHANGE, c, s->change);
}

template <int most>
DEVICE void store_sum(const tensor *t, const float (&value)[most], int64_t pixel, int c)
{
#pragma unroll
    for (int k = 0; k < most; k++)
        if (k < c)
            write_tensor(t, pixel * c + k, value[k]);
}

template <int most> static __global__ void BOUNDS(THREADS) step_kernel(const step_plan p)
{
    const step_row *r = p.row + blockIdx.y;
    const int64_t pixel = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    const int c = p.channels;
    pixel_sums<most> s;
    if (pixel >= load(&r->x.dim[1]) * load(&r->x.dim[2]))
        return;
    sum_pixel<most>(&s, r, pixel, c);
    hold<most>(r, STEP_HOLD_X, pixel, c, s.value[X]);
    if (load(&r->denoised.data))
        store_sum<most>(&r->denoised, s.value[DENOISED], pixel, c);
    store_sum<most>(&r->x, s.value[X], pixel, c);
#pragma unroll
    for (int i = 0; i < STEP_HISTORY; i++)
        if (load(&r->stored[i]))
            store_sum<most>(&r->history[i], s.value[HISTORY + i], pixel, c);
    if (!load(&r->input.data))
        return;
    const float scale = load(&r->input_scale);
#pragma unroll
    for (int k = 0; k < most; k++)
        s.value[X][k] *= scale;
    hold<most>(r, STEP_HOLD_INPUT, pixel, c, s.value[X]);
    store_sum<most>(&r->input, s.value[X], pixel, c);
}

int launch_step(cuda_stream stream, const step_args *a, int64_t pixels, int channels)
{
    const step_plan p = {a->row, channels};
    const grid_shape shape = {grid_blocks(pixels, THREADS), a->n, THREADS, 1, 0, stream};
    if (channels < 1 || channels > STEP_CHANNELS)
        return LAUNCH_REFUSED;
    return channels <= 4 ? LAUNCH((step_kernel<4>), shape, p)
                         : LAUNCH((step_kernel<STEP_CHANNELS>), shape, p);
}
