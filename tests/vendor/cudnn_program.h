/* cudnn_program: what a plan computes, read out of cuDNN's own text of it, and how. */
#ifndef TESTS_VENDOR_CUDNN_PROGRAM_H
#define TESTS_VENDOR_CUDNN_PROGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/vendor/sums.h"

enum { PROGRAM_TENSORS = 16, PROGRAM_ADDITIONS = 4, PROGRAM_WHY_BYTES = 160, PROGRAM_DIMS = 4 };

/* Dimensions n, c, h, w, or rows, heads, tokens, width. */
typedef struct {
    int64_t id, dim[PROGRAM_DIMS], stride[PROGRAM_DIMS], alignment;
    number_type type;
    bool between, by_value; /* nowhere but in the program; on the host */
} program_tensor;

typedef enum { PROGRAM_CONVOLUTION, PROGRAM_GRADIENT, PROGRAM_ATTENTION } program_kind;

/* Tensors of an operation are indices; -1 is none. */
typedef struct {
    int other, to;
    float of_sum, of_other;
} program_addition;

typedef struct {
    program_kind kind;
    int tensors, additions;
    program_tensor tensor[PROGRAM_TENSORS];
    union {
        struct {
            int in, weights, sum; /* of a gradient: dY, W, dX */
            int64_t before[2], stride[2], dilation[2];
        };
        struct {
            int q, k, v, scale, queries, keys;
        };
    };
    program_addition addition[PROGRAM_ADDITIONS];
    int out; /* what is stored at the end */
    sum_order order;
} program;

/* A plan's text, of a plan that asks for `workspace` bytes. */
bool program_read(program *p, const char *text, int64_t workspace, char why[PROGRAM_WHY_BYTES]);

/* What outlives a plan, to tell that it has ended: kernels that a plan has loaded go with it, and a
 * graph that was captured still names them. */
typedef struct program_life {
    atomic_bool ended;
    struct program_life *next;
} program_life;

/* A program with its operands, as a stream keeps it. */
typedef struct {
    program program;
    const program_life *life;
    void *at[PROGRAM_TENSORS]; /* by index; NULL where there is no memory */
    float scale;
    void *workspace;
    int64_t workspace_bytes;
} program_launch;

/* Checks every operand; a report says what is wrong. */
bool program_is_good(const program_launch *l);
/* The work of a stream: checks again, and computes. */
void program_run(const void *launch);

/* False without memory. */
bool program_convolve(const program_launch *l);
bool program_attend(const program_launch *l);

static inline int64_t program_place(const program_tensor *t, int64_t a, int64_t b, int64_t c,
                                    int64_t d)
{
    return a * t->stride[0] + b * t->stride[1] + c * t->stride[2] + d * t->stride[3];
}

#endif
