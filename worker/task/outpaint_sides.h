/* The directions of a job as pixels per side. */
#ifndef WORKER_TASK_OUTPAINT_SIDES_H
#define WORKER_TASK_OUTPAINT_SIDES_H

#include "proto/job.h"
#include "worker/image/outpaint.h"

static inline void outpaint_sides(int asked[SIDE_COUNT], const outpaint_options *o)
{
    const bool grows[SIDE_COUNT] = {
        [SIDE_LEFT] = o->left, [SIDE_RIGHT] = o->right, [SIDE_UP] = o->up, [SIDE_DOWN] = o->down};
    for (int i = 0; i < SIDE_COUNT; i++)
        asked[i] = grows[i] ? o->pixels : 0;
}

#endif
