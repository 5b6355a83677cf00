/* A job being written: the struct behind overpaint_job. */
#ifndef CLIENT_DRAFT_H
#define CLIENT_DRAFT_H

#include "client/client.h"
#include "proto/job.h"

struct overpaint_job {
    job job;    /* owns the bytes of its inputs */
    err error;  /* of the last call */
    err broken; /* why it can never be submitted */
    err notes;  /* of the last overpaint_job_from */
    bool has_id;
    bool goal_from; /* an upscale's factor or size is what a picture said, if anything */
};

#endif
