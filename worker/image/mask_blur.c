/* OpenCV's Gaussian blur of bytes, along one axis at a time.
 *
 * The idea: the taps are bytes that add up to 256, so a sum of 255s still fits 16 bits, and the
 * rounding error of each tap is handed on to the next, so nothing is lost. Both directions work on
 * blocks of a fixed number of samples that lie side by side, which compilers turn into vectors.
 * Where the mask is black for a whole reach around, the result is black too and is not computed. */
#include "worker/image/mask.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, ONE = 256 };

typedef struct {
    uint16_t *tap; /* tap[d]: weight of the samples at distance d; owned */
    int reach;     /* the largest distance whose tap is not 0 */
} gauss;

static int gauss_init(gauss *g, double sigma, err *e)
{
    int reach = (int)(2.5 * sigma + 0.5);
    double *weight = malloc((size_t)(reach + 1) * sizeof *weight), total = 1.0, carried = 0.0;
    *g = (gauss){malloc((size_t)(reach + 1) * sizeof *g->tap), reach};
    if (!weight || !g->tap) {
        free(weight);
        free(g->tap);
        *g = (gauss){0};
        return err_set(e, ERR_NO_MEMORY, "no memory for %d taps", reach + 1);
    }
    for (int d = reach; d > 0; d--) {
        weight[d] = exp(-0.5 / (sigma * sigma) * (d * d));
        total += 2.0 * weight[d];
    }
    int middle = ONE;
    for (int d = reach; d > 0; d--) { /* from the outside in, so that the rest stays symmetric */
        double exact = weight[d] / total * ONE + carried;
        double rounded = rint(exact);
        carried = exact - rounded;
        g->tap[d] = (uint16_t)rounded;
        middle -= 2 * (int)rounded;
    }
    g->tap[0] = (uint16_t)middle;
    while (g->reach > 0 && !g->tap[g->reach])
        g->reach--;
    free(weight);
    return 0;
}

/* Position i of a line of n, mirrored at both ends as often as it takes. */
static int mirror(int i, int n)
{
    if (n == 1)
        return 0;
    int period = 2 * (n - 1);
    i = abs(i) % period;
    return i < n ? i : period - i;
}

static void begin(uint16_t sum[BLOCK], const uint8_t *middle, uint16_t tap)
{
    for (int i = 0; i < BLOCK; i++)
        sum[i] = (uint16_t)(tap * middle[i] + ONE / 2);
}

static void add(uint16_t sum[BLOCK], const uint8_t *a, const uint8_t *b, uint16_t tap)
{
    for (int i = 0; i < BLOCK; i++)
        sum[i] = (uint16_t)(sum[i] + tap * (uint16_t)(a[i] + b[i]));
}

static void finish(uint8_t *to, const uint16_t sum[BLOCK])
{
    for (int i = 0; i < BLOCK; i++)
        to[i] = (uint8_t)(sum[i] >> 8);
}

/* A copy of some rows whose lines have room for whole blocks. */
typedef struct {
    uint8_t *px;
    size_t stride;
    int first, rows; /* row 0 is row `first` of the mask */
} band;

/* One row; `line` holds it from line[reach] on, with room for the mirrored ends and a block. */
static void blur_row(uint8_t *to, uint8_t *line, int w, const gauss *g)
{
    for (int i = 1; i <= g->reach; i++) {
        line[g->reach - i] = line[g->reach + mirror(-i, w)];
        line[g->reach + w - 1 + i] = line[g->reach + mirror(w - 1 + i, w)];
    }
    for (int x = 0; x < w; x += BLOCK) {
        const uint8_t *middle = line + g->reach + x;
        uint16_t sum[BLOCK];
        begin(sum, middle, g->tap[0]);
        for (int d = 1; d <= g->reach; d++)
            add(sum, middle - d, middle + d, g->tap[d]);
        finish(to + x, sum);
    }
}

static int blur_x(band *b, const image *mask, double sigma, err *e)
{
    gauss g;
    int rc = gauss_init(&g, sigma, e);
    if (rc)
        return rc;
    uint8_t *line = calloc(b->stride + 2 * (size_t)g.reach, 1);
    if (!line)
        rc = err_set(e, ERR_NO_MEMORY, "no memory to blur rows of %d pixels", mask->w);
    for (int y = 0; y < b->rows && !rc; y++) {
        size_t row = (size_t)(b->first + y) * (size_t)mask->w;
        memcpy(line + g.reach, mask->px + row, (size_t)mask->w);
        blur_row(b->px + (size_t)y * b->stride, line, mask->w, &g);
    }
    free(line);
    free(g.tap);
    return rc;
}

/* line[i]: where row first + i of the mask (mirrored) lies in the band, or `black`, a line of
 * zeros. */
static void find_lines(const uint8_t **line, const band *b, int h, int first, int count,
                       const uint8_t *black)
{
    for (int i = 0; i < count; i++) {
        int row = mirror(first + i, h) - b->first;
        line[i] = row >= 0 && row < b->rows ? b->px + (size_t)row * b->stride : black;
    }
}

/* `rows` rows of the mask from row `first` on; line[g->reach] is the first one's in the band. Block
 * by block, so that a block's rows stay in the cache. */
static void blur_rows(image *mask, const uint8_t *const *line, const gauss *g, int first, int rows)
{
    for (int x = 0; x < mask->w; x += BLOCK) {
        size_t left = (size_t)(mask->w - x);
        for (int y = 0; y < rows; y++) {
            const uint8_t *const *middle = line + y + g->reach;
            uint16_t sum[BLOCK];
            uint8_t done[BLOCK];
            begin(sum, *middle + x, g->tap[0]);
            for (int d = 1; d <= g->reach; d++)
                add(sum, middle[-d] + x, middle[d] + x, g->tap[d]);
            finish(done, sum);
            memcpy(mask->px + (size_t)(first + y) * (size_t)mask->w + x, done,
                   left < BLOCK ? left : BLOCK);
        }
    }
}

static int blur_y(image *mask, const band *b, double sigma, err *e)
{
    gauss g;
    int rc = gauss_init(&g, sigma, e);
    if (rc)
        return rc;
    int first = b->first > g.reach ? b->first - g.reach : 0;
    int end = b->first + b->rows + g.reach;
    int rows = (end < mask->h ? end : mask->h) - first, lines = rows + 2 * g.reach;
    uint8_t *black = calloc(b->stride, 1);
    const uint8_t **line = malloc((size_t)lines * sizeof *line);
    if (black && line) {
        find_lines(line, b, mask->h, first - g.reach, lines, black);
        blur_rows(mask, line, &g, first, rows);
    } else {
        rc = err_set(e, ERR_NO_MEMORY, "no memory to blur columns of %d pixels", mask->h);
    }
    free(line);
    free(black);
    free(g.tap);
    return rc;
}

int mask_blur(image *mask, double sigma_x, double sigma_y, err *e)
{
    assert(mask->channels == 1 && sigma_x >= 0 && sigma_y >= 0);
    image_box lit;
    if (!mask_bounds(&lit, mask))
        return 0;
    band b = {
        .stride = ((size_t)mask->w + BLOCK - 1) / BLOCK * BLOCK, .first = lit.y, .rows = lit.h};
    b.px = calloc((size_t)b.rows, b.stride);
    if (!b.px)
        return err_set(e, ERR_NO_MEMORY, "no memory to blur a mask of %d x %d pixels", mask->w,
                       mask->h);
    int rc = blur_x(&b, mask, sigma_x, e);
    if (!rc)
        rc = blur_y(mask, &b, sigma_y, e);
    free(b.px);
    return rc;
}
