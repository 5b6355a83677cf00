/* A picture cut into overlapping tiles, and put together again with feathered seams: SD upscale,
 * poor man's outpainting, and the tiles of an upscaler's network. */
#ifndef WORKER_IMAGE_TILES_H
#define WORKER_IMAGE_TILES_H

#include "worker/image/image.h"

/* Tiles are numbered row by row. They are spread evenly; the last one of a row or column ends with
 * the picture. Along an axis that is shorter than a tile there is one tile, which begins at 0. */
typedef struct {
    int w, h;           /* of the picture */
    int tile_w, tile_h; /* of every tile */
    int overlap;        /* pixels that neighbours share at least, 0 .. the shorter side - 1 */
    int columns, rows;  /* set by tile_grid_init */
} tile_grid;

/* The grid for tiles of at most tile_w x tile_h that are to be sampled: along an axis that is
 * shorter than a tile, the tile ends with the picture (rounded up to a multiple of 8, 16 at least);
 * the overlap stays below the tile's sides. columns and rows are not set yet. */
tile_grid tile_grid_within(int w, int h, int tile_w, int tile_h, int overlap);

/* Fills in columns and rows from the other fields: ceil((w - overlap) / (tile_w - overlap)), at
 * least one. ERR_INVALID when a tile has no pixels or its overlap leaves nothing of it;
 * ERR_TOO_LARGE for more than JOB_TILES_MAX tiles. */
int tile_grid_init(tile_grid *g, err *e);

int tile_count(const tile_grid *g);

/* Where tile `index` lies; beyond the picture's edge only where the picture is shorter than a tile.
 */
image_box tile_box(const tile_grid *g, int index);

/* The tiles put together: [tile_count] pictures of any channels, in the order of their numbers (in
 * whatever order they were made), each tile_w x tile_h times `scale`; so is the result. Of every
 * tile but the first of its row, the leftmost `overlap` columns are mixed with what lies there,
 * from nothing of the tile to nearly all of it; then the rows likewise from top to bottom. */
int tiles_combine(image *out, const tile_grid *g, const image *tiles, int scale, err *e);

#endif
