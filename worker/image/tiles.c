/* Overlapping tiles: where they lie, and how their seams are hidden.
 *
 * A row of tiles is put together first, then the rows; both are the same paste, whose first columns
 * or rows fade in. What a seam shows therefore depends on the numbers of the tiles, not on when
 * they were made. */
#include "worker/image/tiles.h"

#include <assert.h>
#include <string.h>

static int tiles_along(int size, int tile, int overlap)
{
    int step = tile - overlap, count = size > overlap ? (size - overlap + step - 1) / step : 1;
    return count > 0 ? count : 1;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* The side of a sampled tile along an axis of `size` pixels. */
static int side_within(int size, int tile)
{
    const int rounded = (size + 7) / 8 * 8;
    return smaller(tile, rounded > JOB_SIDE_MIN ? rounded : JOB_SIDE_MIN);
}

tile_grid tile_grid_within(int w, int h, int tile_w, int tile_h, int overlap)
{
    tile_grid g = {
        .w = w, .h = h, .tile_w = side_within(w, tile_w), .tile_h = side_within(h, tile_h)};
    g.overlap = smaller(overlap, smaller(g.tile_w, g.tile_h) - 1);
    return g;
}

int tile_grid_init(tile_grid *g, err *e)
{
    if (g->w < 1 || g->h < 1 || g->tile_w < 1 || g->tile_h < 1)
        return err_set(e, ERR_INVALID,
                       "tiles of %d x %d pixels for a picture of %d x %d, expected at least 1 x 1",
                       g->tile_w, g->tile_h, g->w, g->h);
    int shorter = g->tile_w < g->tile_h ? g->tile_w : g->tile_h;
    if (g->overlap < 0 || g->overlap >= shorter)
        return err_set(e, ERR_INVALID, "tile overlap is %d pixels, expected 0 to %d", g->overlap,
                       shorter - 1);
    g->columns = tiles_along(g->w, g->tile_w, g->overlap);
    g->rows = tiles_along(g->h, g->tile_h, g->overlap);
    int64_t count = (int64_t)g->columns * g->rows;
    if (count > JOB_TILES_MAX)
        return err_set(e, ERR_TOO_LARGE, "%lld tiles, expected at most %d", (long long)count,
                       JOB_TILES_MAX);
    return 0;
}

int tile_count(const tile_grid *g)
{
    return g->columns * g->rows;
}

static int position(int size, int tile, int count, int index)
{
    if (count == 1)
        return 0;
    return index == count - 1 ? size - tile : (int)(index * ((double)(size - tile) / (count - 1)));
}

image_box tile_box(const tile_grid *g, int index)
{
    assert(index >= 0 && index < tile_count(g));
    return (image_box){position(g->w, g->tile_w, g->columns, index % g->columns),
                       position(g->h, g->tile_h, g->rows, index / g->columns), g->tile_w,
                       g->tile_h};
}

/* How many columns or rows fade in, the i-th with the weight 255 i / count; one of them is 0. */
typedef struct {
    int columns, rows;
} feather;

static void mix(uint8_t *to, const uint8_t *from, int channels, int alpha)
{
    for (int c = 0; c < channels; c++)
        to[c] = (uint8_t)((to[c] * (255 - alpha) + from[c] * alpha + 127) / 255);
}

/* Pastes `part` at x, y, faded in; what reaches beyond the picture is cut. */
static void paste(image *picture, const image *part, int x, int y, feather f)
{
    size_t channels = (size_t)part->channels;
    int w = part->w < picture->w - x ? part->w : picture->w - x;
    int h = part->h < picture->h - y ? part->h : picture->h - y;
    for (int row = 0; row < h; row++) {
        size_t at = (size_t)(y + row) * (size_t)picture->w + (size_t)x;
        uint8_t *to = picture->px + at * channels;
        const uint8_t *from = part->px + (size_t)row * (size_t)part->w * channels;
        int faded = row < f.rows ? w : f.columns < w ? f.columns : w;
        for (int i = 0; i < faded; i++, to += channels, from += channels)
            mix(to, from, part->channels, row < f.rows ? 255 * row / f.rows : 255 * i / f.columns);
        memcpy(to, from, (size_t)(w - faded) * channels);
    }
}

int tiles_combine(image *out, const tile_grid *g, const image *tiles, int scale, err *e)
{
    int channels = tiles[0].channels, overlap = g->overlap * scale;
    image row = {0};
    int rc = image_new(out, g->w * scale, g->h * scale, channels, e);
    if (!rc)
        rc = image_new(&row, g->w * scale, g->tile_h * scale, channels, e);
    for (int r = 0; r < g->rows && !rc; r++) {
        for (int c = 0; c < g->columns; c++) {
            int index = r * g->columns + c;
            assert(tiles[index].w == g->tile_w * scale && tiles[index].h == g->tile_h * scale &&
                   tiles[index].channels == channels);
            paste(&row, &tiles[index], tile_box(g, index).x * scale, 0,
                  (feather){c ? overlap : 0, 0});
        }
        paste(out, &row, 0, tile_box(g, r * g->columns).y * scale, (feather){0, r ? overlap : 0});
    }
    if (rc)
        image_done(out);
    image_done(&row);
    return rc;
}
