/* Resampling, byte for byte as Pillow computes it.
 *
 * The idea: a resize is two passes of weighted sums, one along the rows, one down the columns.
 * Which input samples an output sample needs, and with what weights, depends on one axis only, so
 * both passes work from a small table per axis. The weights are computed in double, normalised, and
 * rounded to 22 fractional bits; the sums are whole numbers and therefore the same on every
 * machine.
 */
#include "worker/image/image.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOBES = 3, /* Lanczos a */
    FRACTION_BITS = 22,
    HALF = 1 << (FRACTION_BITS - 1),
};

typedef struct {
    int first, count; /* input samples that one output sample needs */
} span;

typedef struct {
    span *span;      /* per output sample of the part */
    int32_t *weight; /* [outputs][taps] */
    int taps;
    bool same; /* the size does not change: Pillow skips the pass, and so do we */
} axis;

static double sinc(double x)
{
    return x == 0.0 ? 1.0 : sin(x * M_PI) / (x * M_PI);
}

static double lanczos(double x)
{
    return x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0.0;
}

/* The cubic convolution kernel with a = -1/2. */
static double bicubic(double x)
{
    x = fabs(x);
    if (x < 1.0)
        return (1.5 * x - 2.5) * x * x + 1.0;
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
}

typedef struct {
    double (*at)(double x);
    int support; /* zero from here on, to both sides */
} kernel;

static const kernel kernels[] = {
    [FILTER_BICUBIC] = {bicubic, 2},
    [FILTER_LANCZOS] = {lanczos, LOBES},
};

static int32_t to_fixed(double x)
{
    double scaled = x * (1 << FRACTION_BITS);
    return (int32_t)(x < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* The weights of output sample `index` of an axis that goes from `in` to `out` samples. `scratch`
 * holds `taps` doubles. */
static span weigh(int32_t *weight, double *scratch, const kernel *k, int in, int out, int index)
{
    double scale = (double)in / out;
    double stretch = scale < 1.0 ? 1.0 : scale;
    double support = k->support * stretch;
    double centre = (index + 0.5) * scale;
    int first = (int)(centre - support + 0.5);
    int end = (int)(centre + support + 0.5);
    first = first < 0 ? 0 : first;
    end = end > in ? in : end;

    double total = 0.0;
    for (int i = first; i < end; i++) {
        /* the reciprocal, not a division: the last bit of a weight depends on it */
        double w = k->at((i - centre + 0.5) * (1.0 / stretch));
        scratch[i - first] = w;
        total += w;
    }
    for (int i = 0; i < end - first; i++)
        weight[i] = to_fixed(total != 0.0 ? scratch[i] / total : scratch[i]);
    return (span){first, end - first};
}

static void axis_done(axis *a)
{
    free(a->span);
    free(a->weight);
    *a = (axis){0};
}

typedef struct {
    int in, out;     /* samples of the whole axis before and after */
    int first, part; /* which output samples are wanted */
} scaling;

static int axis_init(axis *a, const kernel *k, scaling s, err *e)
{
    double scale = (double)s.in / s.out;
    *a = (axis){.taps = (int)ceil(k->support * (scale < 1.0 ? 1.0 : scale)) * 2 + 1,
                .same = s.in == s.out};
    size_t weights = (size_t)s.part * (size_t)a->taps;
    double *scratch = malloc((size_t)a->taps * sizeof *scratch);
    a->span = malloc((size_t)s.part * sizeof *a->span);
    a->weight = malloc(weights * sizeof *a->weight);
    if (!scratch || !a->span || !a->weight) {
        free(scratch);
        axis_done(a);
        return err_set(e, ERR_NO_MEMORY, "no memory for %zu resampling weights", weights);
    }
    for (int i = 0; i < s.part; i++)
        a->span[i] = a->same ? (span){s.first + i, 1}
                             : weigh(a->weight + (size_t)i * (size_t)a->taps, scratch, k, s.in,
                                     s.out, s.first + i);
    free(scratch);
    return 0;
}

static uint8_t to_byte(int32_t sum)
{
    int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* One row of the horizontal pass. Inlined with constant `channels`, so the sums stay in registers.
 */
static inline void across(uint8_t *to, const uint8_t *from, const axis *x, int w, int channels)
{
    for (int i = 0; i < w; i++) {
        const int32_t *weight = x->weight + (size_t)i * (size_t)x->taps;
        const uint8_t *p = from + (size_t)x->span[i].first * (size_t)channels;
        int32_t sum[3] = {HALF, HALF, HALF};
        for (int k = 0; k < x->span[i].count; k++, p += channels)
            for (int c = 0; c < channels; c++)
                sum[c] += weight[k] * p[c];
        for (int c = 0; c < channels; c++)
            *to++ = to_byte(sum[c]);
    }
}

static size_t stride(const image *i)
{
    return (size_t)i->w * (size_t)i->channels;
}

/* Horizontal pass over the rows of `in` from `top` on, as many as `out` has. */
static void pass_rows(image *out, const image *in, const axis *x, int top)
{
    for (int row = 0; row < out->h; row++) {
        uint8_t *to = out->px + (size_t)row * stride(out);
        const uint8_t *from = in->px + (size_t)(top + row) * stride(in);
        if (x->same)
            memcpy(to, from + (size_t)x->span[0].first * (size_t)in->channels, stride(out));
        else if (in->channels == 3)
            across(to, from, x, out->w, 3);
        else
            across(to, from, x, out->w, 1);
    }
}

/* Vertical pass; row 0 of `in` is row `top` of the picture. `sum` holds one row. */
static void pass_columns(image *out, const image *in, const axis *y, int top, int32_t *sum)
{
    size_t n = stride(out);
    for (int row = 0; row < out->h; row++) {
        span s = y->span[row];
        uint8_t *to = out->px + (size_t)row * n;
        const uint8_t *from = in->px + (size_t)(s.first - top) * n;
        if (y->same) {
            memcpy(to, from, n);
            continue;
        }
        for (size_t i = 0; i < n; i++)
            sum[i] = HALF;
        for (int k = 0; k < s.count; k++, from += n) {
            int32_t weight = y->weight[(size_t)row * (size_t)y->taps + (size_t)k];
            for (size_t i = 0; i < n; i++)
                sum[i] += weight * from[i];
        }
        for (size_t i = 0; i < n; i++)
            to[i] = to_byte(sum[i]);
    }
}

/* Which pass comes first shows in the last bit, because each one rounds to bytes. Pillow (since 13)
 * starts with the height when that loses more than twice as many pixels as the width. */
static bool height_first(const image *in, int w, int h)
{
    int64_t lost = (int64_t)in->h - h;
    return lost > 0 && lost > 2 * ((int64_t)in->w - w);
}

static int run_passes(image *out, const image *in, const axis *x, const axis *y, bool by_height,
                      err *e)
{
    span last = y->span[out->h - 1];
    int top = y->span[0].first, rows = last.first + last.count - top;
    int widest = by_height ? in->w : out->w;
    image middle = {0};
    int32_t *sum = malloc((size_t)widest * (size_t)in->channels * sizeof *sum);
    int rc = sum ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a row of %d pixels", widest);
    if (!rc)
        rc = image_new(&middle, widest, by_height ? out->h : rows, in->channels, e);
    if (!rc && by_height) {
        pass_columns(&middle, in, y, 0, sum);
        pass_rows(out, &middle, x, 0);
    } else if (!rc) {
        pass_rows(&middle, in, x, top);
        pass_columns(out, &middle, y, top, sum);
    }
    free(sum);
    image_done(&middle);
    return rc;
}

static int resample_part(image *out, const image *in, const kernel *k, int w, int h, image_box part,
                         err *e)
{
    assert(in->channels != 4);
    assert(part.x >= 0 && part.w > 0 && part.w <= w - part.x);
    assert(part.y >= 0 && part.h > 0 && part.h <= h - part.y);
    axis x = {0}, y = {0};
    *out = (image){0};
    int rc = axis_init(&x, k, (scaling){in->w, w, part.x, part.w}, e);
    if (!rc)
        rc = axis_init(&y, k, (scaling){in->h, h, part.y, part.h}, e);
    if (!rc)
        rc = image_new(out, part.w, part.h, in->channels, e);
    if (!rc)
        rc = run_passes(out, in, &x, &y, height_first(in, w, h), e);
    if (rc)
        image_done(out);
    axis_done(&x);
    axis_done(&y);
    return rc;
}

/* Which input sample each output sample takes: the one under its centre. The position is summed up
 * step by step, as Pillow does, because its last bit decides at the borders. */
static void pick(int *from, int in, int out)
{
    double step = (double)in / out, at = step * 0.5;
    for (int i = 0; i < out; i++, at += step)
        from[i] = (int)at < in ? (int)at : in - 1;
}

static int nearest(image *out, const image *in, int w, int h, err *e)
{
    *out = (image){0};
    int *column = malloc(((size_t)w + (size_t)h) * sizeof *column);
    if (!column)
        return err_set(e, ERR_NO_MEMORY, "no memory for %d columns and %d rows", w, h);
    int *row = column + w;
    int rc = image_new(out, w, h, in->channels, e);
    if (!rc) {
        pick(column, in->w, w);
        pick(row, in->h, h);
        uint8_t *to = out->px;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                for (int c = 0; c < in->channels; c++)
                    *to++ = in->px[(size_t)row[y] * stride(in) +
                                   (size_t)column[x] * (size_t)in->channels + (size_t)c];
    }
    free(column);
    return rc;
}

int image_resize_part(image *out, const image *in, int w, int h, image_box part, err *e)
{
    return resample_part(out, in, &kernels[FILTER_LANCZOS], w, h, part, e);
}

int image_resample(image *out, const image *in, image_filter filter, int w, int h, err *e)
{
    if (filter == FILTER_NEAREST)
        return nearest(out, in, w, h, e);
    return resample_part(out, in, &kernels[filter], w, h, (image_box){0, 0, w, h}, e);
}

int image_resize(image *out, const image *in, int w, int h, err *e)
{
    return image_resample(out, in, FILTER_LANCZOS, w, h, e);
}
