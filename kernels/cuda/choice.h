/* A choice: which of a library's kernels serves a shape, as data. And the rule that says which
 * choices give the same bytes for every number of rows. No CUDA type here. */
#ifndef KERNELS_CUDA_CHOICE_H
#define KERNELS_CUDA_CHOICE_H

#include "kernels/cuda/shape.h"

enum {
    CHOICE_KNOBS = 16,
    CHOICE_ALGO_WORDS = 8,
    CHOICE_TEXT_BYTES = 512,
    CHOICE_WORKSPACE = 64 << 20 /* bytes of a card's memory that there are, for one stream */
};

typedef enum {
    CHOICE_ENGINE, /* cuDNN: an engine and its knobs */
    CHOICE_ALGO,   /* cuBLASLt: its own 64 bytes */
    CHOICE_SWITCH  /* this way of computing is used, or not */
} choice_kind;

typedef struct {
    int type; /* cudnnBackendKnobType_t */
    int64_t value;
} choice_knob;

typedef struct {
    choice_kind kind;
    union {
        struct {
            int64_t engine; /* global index */
            int knobs;
            choice_knob knob[CHOICE_KNOBS]; /* ascending types */
        };
        uint64_t algo[CHOICE_ALGO_WORDS];
        bool on;
    };
} choice;

/* "engine 41 2:19 13:1", "algo <128 hex digits>", "on", "off". */
void choice_write(const choice *c, char text[CHOICE_TEXT_BYTES]);
/* Exactly what choice_write gives, `bytes` of it; false when the text is anything else. */
bool choice_read(choice *c, const char *text, size_t bytes);

/* Under which name a shape's choice is kept: its own, or with the one number of rows that the
 * choice is for. No shape is called like that. */
void choice_name(const char *shape, int64_t alone, char name[SHAPE_NAME_BYTES]);

bool choice_equal(const choice *a, const choice *b);

/* Whether an engine's knobs leave the order of summation to the shape of one row. The rule, found
 * by planning every configuration at every number of rows:
 *  - WORKSPACE, where there is one, is 1. With 0 the tiles of the last wave are shared out, by a
 *    number that follows the number of rows (the workspace shows it: 131 B become 1.2 MB).
 *  - Sums are split along the channels (SPLIT_K_SLC a slice) only with a buffer (SPLIT_K_BUF) for
 *    every slice but the last, so that they are added in order and not as they come.
 *    Engines that have STREAM_K count slices by the same knob: one.
 *  - No other knob that splits sums is on. */
bool choice_is_safe(const choice *c, const plan_shape *s);

/* The most workspace that a safe choice may need: next to nothing, or the buffers of its slices,
 * and never more than CHOICE_WORKSPACE. A plan that wants more splits its sums in a way the knobs
 * do not tell, or is not worth the memory. */
int64_t choice_workspace_most(const choice *c, const plan_shape *s, int64_t rows);

#endif
