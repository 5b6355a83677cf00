/* walk_ops: the ops of the walks, one by one, and what they work on. For walks.c only. */
#ifndef TESTS_VENDOR_WALK_OPS_H
#define TESTS_VENDOR_WALK_OPS_H

#include "tests/vendor/walks.h"

enum { SIDE = 4, CHANNELS = 32, PIXELS = SIDE * SIDE, HEADS = 2, KEYS = 7, LATENT = 4 };
enum { MATRIX = 2 * CHANNELS * CHANNELS * 9, PERIOD = CHANNELS / 2 };

typedef enum {
    X,
    Y,
    ADDEND,
    TEXT_K,
    TEXT_V,
    NARROW,
    WIDE,
    ADDED,
    BIAS,
    NARROW_BIAS,
    SLOPE,
    SCALE,
    SHIFT,
    SCALE2,
    SHIFT2,
    NOISY,
    PAST,
    MASK,
    PIXELS_U8,
    TABLE,
    POSITION,
    MAYBE,
    PERHAPS,
    INPUTS
} input;

typedef enum { MAP, REAL, BYTE, TYPES } input_type;

typedef struct {
    input_type type;
    int64_t n, h, w, c;
} input_shape;

extern const input_shape walk_inputs[INPUTS];

/* 3x3, 1x1, 1x1 over two inputs, 3x3 of few channels */
enum { THREE, ONE, BOTH, IN_OUT, WEIGHTS };

typedef struct {
    dev *d;
    const struct op *op;
    walk_kind kind;
    arena arena;
    weight weight[WEIGHTS];
    tensor slab[TYPES];               /* of each type: inputs, what nobody touches, results */
    int64_t read[TYPES], made[TYPES]; /* how much of it is inputs, and results */
    int64_t last[TYPES];              /* where the inputs' numbers end */
    tensor in[INPUTS], out[WALK_OPS];
    int time, first, rows; /* this time: rows first .. first+rows-1 of the inputs */
    bool finite[WALK_OPS][WALK_ROWS], *next;
} bench;

/* The numbers of this time. */
static inline int seed_of(const bench *b)
{
    return walk_is_soft(b->time) ? b->time : 0;
}

/* Any number, the same for the same three. */
uint32_t walk_scrambled(int a, int b, int64_t i);

typedef struct op {
    const char *name;
    void (*call)(bench *b, tensor *out);
    input_shape out; /* of type MAP, REAL or BYTE; n 0: no tensor, but one of b->finite */
} op;

typedef struct {
    const char *name;
    const op *op;
    unsigned inputs, weights; /* which of them its ops read: others are not there */
} walk_of_ops;

#define BIT(which) (1u << (which))
extern const walk_of_ops walk_table[WALKS];

#endif
