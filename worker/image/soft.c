/* Soft inpainting's overlay: see soft.h. The one idea: a filter that sorts. Of the samples round a
 * cell, stacked by value to the height of their weights, the mean of a band of the stack is taken:
 * first near the top, so that a change spreads, then in the middle, so that single cells do not
 * count. */
#include "worker/image/soft.h"

#include <math.h>
#include <stdlib.h>

enum { REACH = 2, SIDE = 2 * REACH + 1 };

/* Part of a stack, as fractions of its height. */
typedef struct {
    double from, to;
} band;

static const band top = {0.9, 1}, middle = {0.25, 0.75};

static const double BAND_LEAST = 1; /* height of a band: the weight of the cell itself */
static const double SOFTEN_PX = 4;  /* hides that the overlay comes from cells of the latent */

typedef struct {
    double value, weight;
} sample;

typedef struct {
    const double *in;
    int w, h;
    double weight[SIDE][SIDE];
} grid;

/* A Gaussian lowered so that it is 0 one cell beyond the reach. */
static void set_weights(grid *g)
{
    const double end = exp(-9 / 2.25);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            const int dx = x - REACH, dy = y - REACH;
            g->weight[y][x] = (exp(-(dx * dx + dy * dy) / 2.25) - end) / (1 - end);
        }
}

/* The samples round a cell within the grid, in ascending order. */
static int collect(const grid *g, int x, int y, sample out[SIDE * SIDE])
{
    int count = 0;
    for (int v = y < REACH ? 0 : y - REACH; v <= y + REACH && v < g->h; v++)
        for (int u = x < REACH ? 0 : x - REACH; u <= x + REACH && u < g->w; u++) {
            const sample s = {g->in[(size_t)v * (size_t)g->w + (size_t)u],
                              g->weight[v - y + REACH][u - x + REACH]};
            int at = count++;
            for (; at > 0 && out[at - 1].value > s.value; at--)
                out[at] = out[at - 1];
            out[at] = s;
        }
    return count;
}

/* Where the band lies in a stack of this height, which is at least BAND_LEAST. */
static band place(band b, double height)
{
    band at = {b.from * height, b.to * height};
    if (at.to - at.from < BAND_LEAST) {
        const double centre = (at.from + at.to) / 2;
        at.from = fmax(0, fmin(centre - BAND_LEAST / 2, height - BAND_LEAST));
        at.to = at.from + BAND_LEAST;
    }
    return at;
}

static double band_mean(const sample *s, int count, band b)
{
    double height = 0, sum = 0, below = 0;
    for (int i = 0; i < count; i++)
        height += s[i].weight;
    const band at = place(b, height);
    for (int i = 0; i < count; i++) {
        const double overlap = fmin(at.to, below + s[i].weight) - fmax(at.from, below);
        if (overlap > 0)
            sum += overlap * s[i].value;
        below += s[i].weight;
    }
    return sum / (at.to - at.from);
}

static void filter(const grid *g, double *out, band b)
{
    sample around[SIDE * SIDE];
    for (int y = 0; y < g->h; y++)
        for (int x = 0; x < g->w; x++)
            *out++ = band_mean(around, collect(g, x, y, around), b);
}

/* How much of the source is gone where the change is `change` under a mask of m. */
static double opacity(double change, double m, const soft_inpainting *o)
{
    const double kept = 1 - pow(m, o->preservation_strength / 2);
    const double s = 0.5 * (1 - o->mask_influence) + kept * o->mask_influence;
    const double threshold = o->difference_threshold * s / (1.00001 - s);
    double q; /* 1: as good as unchanged */
    if (threshold > 0)
        q = 1 / (1 + pow(change / threshold, o->difference_contrast));
    else
        q = change > 0 ? 0 : 1;
    return 1 - q * q * q * (q * (6 * q - 15) + 10);
}

int soft_overlay(image *out, const float *change, const image *mask, int w, int h,
                 const soft_inpainting *o, err *e)
{
    const size_t cells = (size_t)mask->w * (size_t)mask->h;
    image small = {0};
    double *values = malloc(2 * cells * sizeof *values);
    *out = (image){0};
    int rc = values ? image_new(&small, mask->w, mask->h, 1, e)
                    : err_set(e, ERR_NO_MEMORY, "no memory for a mask of %dx%d", mask->w, mask->h);
    if (rc)
        goto out;
    double *other = values + cells;
    grid g = {.w = mask->w, .h = mask->h};
    set_weights(&g);
    for (size_t i = 0; i < cells; i++)
        values[i] = change[i];
    g.in = values;
    filter(&g, other, top);
    g.in = other;
    filter(&g, values, middle);
    for (size_t i = 0; i < cells; i++)
        small.px[i] = (uint8_t)(255 * opacity(values[i], mask->px[i] / 255.0, o));
    rc = image_resize(out, &small, w, h, e);
    if (!rc)
        rc = image_soften(out, SOFTEN_PX, e);
    if (rc)
        image_done(out);
out:
    image_done(&small);
    free(values);
    return rc;
}
