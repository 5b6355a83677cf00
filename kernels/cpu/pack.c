/* pack, CPU: matrices straight from the mapped file into the layout their convolutions read, some
 * panels of output channels a tile. No plain fp32 copy ever exists, and a page of memory is written
 * soon after the system cleared it.
 *
 * Winograd filters are transformed in double: U = G g G^T, with the rows of G for the points of
 * simd.h. They take four times the memory of the 3x3 filters. */
#include "kernels/cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 16, TAPS = 9, WINOGRAD_LEAST = 32, TILE_BYTES = 2 << 20 };

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

static_assert((int)PACK_CHANNELS % (int)PANEL == 0, "matrices of one weight share no panel");

typedef struct {
    const simd *simd;
    const pack_args *a;
    filter_transform transform;
} plan;

/* n elements of `rows` rows, `stride` elements apart, times the item's power of two. */
static void read_lines(const plan *p, const pack_item *item, int64_t n, float *to, const char *from,
                       int64_t stride, int rows)
{
    p->simd->lines(n, to, from, stride, rows, item->type);
    if (item->exponent == 0)
        return;
    const float scale = ldexpf(1, item->exponent);
    for (int64_t i = 0; i < n * PANEL; i++)
        to[i] *= scale;
}

/* A panel of 3x3 filters, CHUNK input channels at a time: the file has a row of 9 taps a channel,
 * which a panel keeps apart. */
static void pack_filters(const plan *p, const pack_item *item, const char *from, int64_t panel,
                         int rows)
{
    const weight *w = &item->w;
    float taps[CHUNK * TAPS][PANEL], *to = w->data;
    const int64_t width = w->in * PANEL, plane = panels_of(w->out) * width;
    for (int64_t i = 0; i < w->in; i += CHUNK) {
        int64_t channels = w->in - i < CHUNK ? w->in - i : CHUNK;
        read_lines(p, item, channels * TAPS, taps[0],
                   from + (size_t)(i * TAPS) * dtype_bytes(item->type), w->in * TAPS, rows);
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

/* Panel of the item's own. */
static void pack_panel(const plan *p, const pack_item *item, int64_t panel)
{
    const weight *w = &item->w;
    const int64_t values = w->in * w->k * w->k, at = panel * PANEL, left = pack_count(item) - at;
    const char *from = (const char *)item->source + (size_t)(at * values) * dtype_bytes(item->type);
    const int rows = left < PANEL ? (int)left : PANEL;
    if (w->k == 1)
        read_lines(p, item, values, (float *)w->data + (item->first + at) * values, from, values,
                   rows);
    else
        pack_filters(p, item, from, item->first / PANEL + panel, rows);
}

/* Enough panels that threads seldom meet in one huge page, which each of them would clear. */
static int64_t tiles_of(const pack_item *item)
{
    const int64_t panels = panels_of(pack_count(item));
    const int64_t bytes = (int64_t)item->w.bytes / panels_of(item->w.out) * panels;
    const int64_t tiles = ceil_div(bytes, TILE_BYTES);
    return tiles < panels ? tiles : panels;
}

/* Tiles are counted through all the weights. */
static void pack_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const plan *p = arg;
    const pack_item *item = p->a->item;
    while (tile >= tiles_of(item))
        tile -= tiles_of(item++);
    const int64_t panels = panels_of(pack_count(item)), tiles = tiles_of(item);
    for (int64_t i = part_begin(panels, tiles, tile); i < part_begin(panels, tiles, tile + 1); i++)
        pack_panel(p, item, i);
}

void cpu_pack(dev *d, const pack_args *a)
{
    plan p = {.simd = cpu_of(d)->simd, .a = a, .transform = filter_transform_make()};
    int64_t tiles = 0;
    for (int i = 0; i < a->n; i++)
        tiles += tiles_of(&a->item[i]);
    cpu_run(d, tiles, pack_tile, &p);
}

static bool wants_winograd(const dev *d, const reserve_args *a)
{
    bool allowed = a->w->winograd || a->w->in <= d->options.winograd_most;
    return a->w->k == 3 && a->stride == 1 && allowed && a->w->in >= WINOGRAD_LEAST;
}

void cpu_reserve(dev *d, const reserve_args *a)
{
    weight *w = a->w;
    bool winograd = wants_winograd(d, a);
    int64_t lines = w->in * (winograd ? WINOGRAD_IN : w->k * w->k);
    w->layout = winograd ? LAYOUT_WINOGRAD : LAYOUT_PANELS;
    w->bytes = (size_t)(panels_of(w->out) * PANEL * lines) * sizeof(float);
}
