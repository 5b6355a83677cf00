/* sums: see sums.h. Columns are packed once, rows a block at a time, both so that the innermost
 * loop reads one after the other; it is compiled for two instruction sets, and products are rounded
 * before they are added, so that both give the same bits. */
#include "tests/vendor/sums.h"

#include <stdlib.h>
#include <string.h>

enum { HIGH = 4, LANES = 8, WIDE = 2 * LANES, BLOCK = 64, SLICES_MOST = 16 };

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef struct {
    lanes at[HIGH][2];
} square; /* HIGH x WIDE sums */

sum_order sum_order_of(uint64_t key)
{
    static const int tile[] = {8, 16, 32};
    uint64_t mixed = key * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    return (sum_order){
        .tile = tile[mixed % 3], .backward = mixed / 3 % 2, .slices = 1, .kept = NUMBER_F32};
}

/* One tile is added to nothing, and of two either may come first. */
bool sum_order_same(const sum_order *a, const sum_order *b, int64_t length)
{
    if (length <= a->tile && length <= b->tile)
        return true;
    return a->tile == b->tile && (a->backward == b->backward || length <= 2 * a->tile);
}

void sum_order_share(sum_order *o, int64_t rows, number_type kept)
{
    o->slices = rows >= SLICES_MOST ? 1 : SLICES_MOST / rows;
    o->kept = kept;
}

uint64_t sums_key(uint64_t key, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        key = (key ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    return key;
}

#define INLINE static inline __attribute__((always_inline))

INLINE void add_tile(square *to, const float *row, const float *column, int64_t length)
{
    square part = {0};
    for (int64_t l = 0; l < length; l++, row += HIGH, column += WIDE) {
        const lanes *c = (const lanes *)column;
#pragma GCC unroll 4 /* so that the sums stay in registers */
        for (int i = 0; i < HIGH; i++) {
            part.at[i][0] += row[i] * c[0];
            part.at[i][1] += row[i] * c[1];
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < HIGH; i++) {
        to->at[i][0] += part.at[i][0];
        to->at[i][1] += part.at[i][1];
    }
}

/* Tiles first to end. */
INLINE void add_slice(square *to, const sums *s, const float *row, const float *column,
                      int64_t first, int64_t end)
{
    for (int64_t t = first; t < end; t++) {
        int64_t l = s->order.tile * (s->order.backward ? first + end - 1 - t : t);
        int64_t n = s->length - l < s->order.tile ? s->length - l : s->order.tile;
        add_tile(to, row + l * HIGH, column + l * WIDE, n);
    }
}

INLINE void sum_square(square *to, const sums *s, const float *row, const float *column)
{
    int64_t tiles = (s->length + s->order.tile - 1) / s->order.tile;
    int64_t slices = s->order.slices > 1 ? s->order.slices : 1;
    *to = (square){0};
    for (int64_t i = 0; i < slices; i++) {
        square part = {0};
        add_slice(&part, s, row, column, i * tiles / slices, (i + 1) * tiles / slices);
        if (slices > 1)
            numbers_round((float *)&part, s->order.kept, HIGH * WIDE);
        for (int j = 0; j < HIGH; j++) {
            to->at[j][0] += part.at[j][0];
            to->at[j][1] += part.at[j][1];
        }
    }
}

typedef void sum_block(square *to, const sums *s, const float *row, const float *column);

static void sum_plain(square *to, const sums *s, const float *row, const float *column)
{
    sum_square(to, s, row, column);
}

__attribute__((target("avx2"))) static void sum_avx2(square *to, const sums *s, const float *row,
                                                     const float *column)
{
    sum_square(to, s, row, column);
}

/* `count` vectors from `first` on, side by side in groups of `group`; what is missing is zero. */
static void pack(float *to, float *one, const sums *s,
                 void (*read)(const void *from, int64_t i, float *to), int64_t first, int64_t count,
                 int64_t group)
{
    memset(to, 0, (size_t)((count + group - 1) / group * group * s->length) * sizeof *to);
    for (int64_t i = 0; i < count; i++) {
        float *at = to + i / group * group * s->length + i % group;
        read(s->from, first + i, one);
        for (int64_t l = 0; l < s->length; l++)
            at[l * group] = one[l];
    }
}

typedef struct {
    float *one, *row, *column, *sum;
    int64_t width; /* of a row of sums: whole squares */
} work_space;

static void sum_rows(const sums *s, const work_space *w, sum_block *run, int64_t rows)
{
    for (int64_t j = 0; j < w->width; j += WIDE)
        for (int64_t i = 0; i < rows; i += HIGH) {
            square part;
            run(&part, s, w->row + i * s->length, w->column + j * s->length);
            for (int k = 0; k < HIGH; k++)
                memcpy(w->sum + (i + k) * w->width + j, part.at[k], sizeof part.at[k]);
        }
}

static float *room(int64_t n)
{
    size_t bytes = (size_t)(n > 0 ? n : 1) * sizeof(float), line = sizeof(lanes);
    return aligned_alloc(line, (bytes + line - 1) / line * line);
}

uint64_t sums_time(const sums *s)
{
    enum { FLOPS_A_NS = 400000 };
    const int64_t of[] = {s->rows, s->columns, s->length, s->order.tile, s->order.backward};
    uint64_t time = (uint64_t)(2 * s->rows * s->columns * s->length) / FLOPS_A_NS + 1;
    return time + time * (sums_key(SUMS_KEY, of, sizeof of) >> 56) / 1024;
}

bool sums_run(const sums *s)
{
    int64_t width = (s->columns + WIDE - 1) / WIDE * WIDE;
    sum_block *run = __builtin_cpu_supports("avx2") ? sum_avx2 : sum_plain;
    work_space w = {.one = room(s->length),
                    .row = room(BLOCK * s->length),
                    .column = room(width * s->length),
                    .sum = room(BLOCK * width),
                    .width = width};
    bool good = w.one && w.row && w.column && w.sum;
    if (good)
        pack(w.column, w.one, s, s->column, 0, s->columns, WIDE);
    for (int64_t i = 0; good && i < s->rows; i += BLOCK) {
        int64_t rows = s->rows - i < BLOCK ? s->rows - i : BLOCK;
        pack(w.row, w.one, s, s->row, i, rows, HIGH);
        sum_rows(s, &w, run, rows);
        for (int64_t j = 0; j < rows; j++)
            s->put(s->from, i + j, w.sum + j * width);
    }
    free(w.one);
    free(w.row);
    free(w.column);
    free(w.sum);
    return good;
}
