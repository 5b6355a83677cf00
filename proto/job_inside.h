/* The parts of job_check. Each adds what it finds to `found` and returns nothing. */
#ifndef PROTO_JOB_INSIDE_H
#define PROTO_JOB_INSIDE_H

#include "proto/job.h"

/* job_range.c: every number and choice within its range, whatever the task. */
void job_check_ranges(const job *j, err *found);

/* job_task.c: what the job's task needs: inputs, options that belong together, how many pictures.
 */
void job_check_task(const job *j, err *found);
/* The defaults that depend on the task, of a job that passed. Once more changes nothing. */
void job_resolve(job *j);

#endif
