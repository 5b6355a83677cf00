/* pack, CPU: a matrix straight from the mapped file into the layout its convolution reads, one
 * panel of output channels a tile. No plain fp32 copy ever exists.
 *
 * Winograd filters are transformed in double: U = G g G^T, with the rows of G for the points of
 * simd.h. They take four times the memory of the 3x3 filters. */
#include "kernels/cpu/cpu.h"

enum { CHUNK = 16, TAPS_MOST = 9, WINOGRAD_LEAST = 32 };

typedef struct {
    const simd *simd;
    const pack_args *a;
} plan;

/* Elements of one panel for a chunk of input channels. */
typedef struct {
    float row[PANEL][CHUNK * TAPS_MOST]; /* as in the file: [out][in][tap] */
    int64_t from, channels;
    int taps;
} chunk;

static bool wants_winograd(const dev *d, const pack_args *a)
{
    return a->w->k == 3 && a->stride == 1 && a->w->in <= d->options.winograd_most &&
           a->w->in >= WINOGRAD_LEAST;
}

static void load_chunk(const plan *p, int64_t panel, chunk *c)
{
    const weight *w = p->a->w;
    size_t size = dtype_bytes(p->a->type);
    int64_t n = c->channels * c->taps;
    for (int64_t j = 0; j < PANEL; j++) {
        int64_t o = panel * PANEL + j;
        if (o < w->out)
            p->simd->to_float(n, c->row[j],
                              (const char *)p->a->source +
                                  (size_t)((o * w->in + c->from) * c->taps) * size,
                              p->a->type);
        else
            for (int64_t i = 0; i < n; i++)
                c->row[j][i] = 0;
    }
}

static void store_panels(const weight *w, int64_t panel, const chunk *c)
{
    float *to = (float *)w->data + panel * PANEL * w->in * c->taps;
    for (int tap = 0; tap < c->taps; tap++)
        for (int64_t i = 0; i < c->channels; i++) {
            float *line = to + (tap * w->in + c->from + i) * PANEL;
            for (int j = 0; j < PANEL; j++)
                line[j] = c->row[j][i * c->taps + tap];
        }
}

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

/* One input channel: 3x3 filters of a panel -> lines of PANEL values, `plane` floats apart. */
static void transform_filters(const filter_transform *g, const chunk *c, int64_t i, float *to,
                              int64_t plane)
{
    double half[6][3][PANEL]; /* G g */
    for (int y = 0; y < 6; y++)
        for (int x = 0; x < 3; x++)
            for (int j = 0; j < PANEL; j++) {
                const float *f = c->row[j] + i * 9 + x;
                half[y][x][j] = g->at[y][0] * (double)f[0] + g->at[y][1] * (double)f[3] +
                                g->at[y][2] * (double)f[6];
            }
    for (int y = 0; y < 6; y++)
        for (int x = 0; x < 6; x++) {
            float *line = to + (y * 6 + x) * plane;
            for (int j = 0; j < PANEL; j++)
                line[j] = (float)(half[y][0][j] * g->at[x][0] + half[y][1][j] * g->at[x][1] +
                                  half[y][2][j] * g->at[x][2]);
        }
}

static void store_winograd(const weight *w, int64_t panel, const chunk *c)
{
    filter_transform g = filter_transform_make();
    float *to = (float *)w->data + panel * w->in * PANEL;
    for (int64_t i = 0; i < c->channels; i++)
        transform_filters(&g, c, i, to + (c->from + i) * PANEL, panels_of(w->out) * w->in * PANEL);
}

static void pack_panel(void *arg, int64_t panel, int thread)
{
    (void)thread;
    const plan *p = arg;
    const weight *w = p->a->w;
    chunk c = {.taps = w->k * w->k};
    for (c.from = 0; c.from < w->in; c.from += CHUNK) {
        c.channels = w->in - c.from < CHUNK ? w->in - c.from : CHUNK;
        load_chunk(p, panel, &c);
        if (w->layout == LAYOUT_WINOGRAD)
            store_winograd(w, panel, &c);
        else
            store_panels(w, panel, &c);
    }
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
    plan p = {.simd = cpu_of(d)->simd, .a = a};
    cpu_run(d, panels_of(w->out), pack_panel, &p);
}
