/* What both methods of outpainting read from a job, and say of it. */
#ifndef WORKER_TASK_OUTPAINT_SIDES_H
#define WORKER_TASK_OUTPAINT_SIDES_H

#include "proto/infotext.h"
#include "proto/job.h"
#include "worker/image/outpaint.h"

/* The directions of a job as pixels per side. */
void outpaint_sides(int asked[SIDE_COUNT], const outpaint_options *o);

/* Metadata, keys of our own: the web UI's scripts leave their options out. */
int outpaint_settings(infotext *text, const outpaint_options *o, err *e);

#endif
