/* bench: a handle of cuDNN's stand-in, a planner for it, and plans that are made and run at once or
 * fail the test. */
#ifndef TESTS_VENDOR_BENCH_H
#define TESTS_VENDOR_BENCH_H

#include <cudnn.h>

#include "kernels/cuda/plan.h"

typedef struct {
    cudnnHandle_t handle; /* for the_stream() */
    planner *planner;
} bench;

/* cmocka's setup and teardown of a group; its state is a const bench. */
int bench_open(void **state);
int bench_close(void **state);

/* The module's choice, and a plan for a choice. */
choice bench_choice(const bench *b, const plan_shape *s);
plan *bench_plan(const bench *b, const plan_shape *s, const choice *c, int64_t rows);

/* Puts a run of a plan into the stream. */
bool bench_launch(const bench *b, const plan *p, const plan_operand *operand, void *const *at,
                  int n, void *workspace);

#endif
