/* pack, CPU: a matrix straight from the mapped file into the layout its convolution reads, one
 * panel of output channels a tile. No plain fp32 copy ever exists.
 *
 * Winograd filters are transformed in double: U = G g G^T, with the rows of G for the points of
 * simd.h. They take four times the memory of the 3x3 filters. */
#include "kernels/cpu/cpu.h"

#include <string.h>

enum { CHUNK = 16, TAPS = 9, WINOGRAD_LEAST = 32 };

typedef struct {
    double at[6][3];
} filter_transform;

/* Row of a finite point p: (1, p, p^2) / the product of its distances to the other points. */
static filter_transform filter_transform_make(void)
{
    static const double point[5] = {0, WINOGRAD_A, -WINOGRAD_A, WINOGRAD_B, -WINOGRAD_B};
    filter_transform g = {{[5] = {0, 0, 1}}};
    for (int i = 0; i < 5; i++) {
        double distance = 1;
        for (int j = 0; j < 5; j++)
            if (j != i)
                distance *= point[i] - point[j];
        for (int j = 0; j < 3; j++)
            g.at[i][j] = (j == 0 ? 1 : j == 1 ? point[i] : point[i] * point[i]) / distance;
    }
    return g;
}

typedef struct {
    const simd *simd;
    const pack_args *a;
    filter_transform transform;
} plan;

static bool wants_winograd(const dev *d, const pack_args *a)
{
    bool allowed = a->w->winograd || a->w->in <= d->options.winograd_most;
    return a->w->k == 3 && a->stride == 1 && allowed && a->w->in >= WINOGRAD_LEAST;
}

/* A panel of 3x3 filters, CHUNK input channels at a time: the file has a row of 9 taps a channel,
 * which a panel keeps apart. */
static void pack_filters(const plan *p, const char *from, int64_t panel, int rows)
{
    const weight *w = p->a->w;
    float taps[CHUNK * TAPS][PANEL], *to = w->data;
    const int64_t width = w->in * PANEL, plane = panels_of(w->out) * width;
    for (int64_t i = 0; i < w->in; i += CHUNK) {
        int64_t channels = w->in - i < CHUNK ? w->in - i : CHUNK;
        p->simd->lines(channels * TAPS, taps[0],
                       from + (size_t)(i * TAPS) * dtype_bytes(p->a->type), w->in * TAPS, rows,
                       p->a->type);
        if (w->layout == LAYOUT_WINOGRAD)
            p->simd->winograd_filter(channels, to + panel * width + i * PANEL, plane, taps[0],
                                     p->transform.at);
        else
            for (int64_t tap = 0; tap < TAPS; tap++)
                for (int64_t j = 0; j < channels; j++)
                    memcpy(to + (panel * TAPS + tap) * width + (i + j) * PANEL,
                           taps[j * TAPS + tap], sizeof taps[0]);
    }
}

static void pack_panel(void *arg, int64_t panel, int thread)
{
    (void)thread;
    const plan *p = arg;
    const weight *w = p->a->w;
    const int64_t values = w->in * w->k * w->k, first = panel * PANEL;
    const char *from =
        (const char *)p->a->source + (size_t)(first * values) * dtype_bytes(p->a->type);
    int rows = w->out - first < PANEL ? (int)(w->out - first) : PANEL;
    if (w->k == 1)
        p->simd->lines(values, (float *)w->data + first * values, from, values, rows, p->a->type);
    else
        pack_filters(p, from, panel, rows);
}

void cpu_pack(dev *d, const pack_args *a)
{
    weight *w = a->w;
    bool winograd = wants_winograd(d, a), ok;
    int64_t lines = w->in * (winograd ? WINOGRAD_IN : w->k * w->k);
    w->layout = winograd ? LAYOUT_WINOGRAD : LAYOUT_PANELS;
    w->bytes = (size_t)(panels_of(w->out) * PANEL * lines) * sizeof(float);
    w->data = arena_take(a->to, w->bytes, &ok);
    if (!ok)
        dev_fail(d, DEV_NO_MEMORY, "%s: %zu bytes of weights on top of %zu do not fit into %zu",
                 d->name, w->bytes, a->to->used, a->to->capacity);
    if (!w->data)
        return;
    plan p = {.simd = cpu_of(d)->simd, .a = a, .transform = filter_transform_make()};
    cpu_run(d, panels_of(w->out), pack_panel, &p);
}
