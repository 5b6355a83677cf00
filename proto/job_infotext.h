/* Settings travel with pictures: what a picture's parameters say, as settings of a job. */
#ifndef PROTO_JOB_INFOTEXT_H
#define PROTO_JOB_INFOTEXT_H

#include "proto/infotext.h"
#include "proto/job.h"

/* Prompts and every key that the job's task can use, from a text of this program or of the web UI,
 * go into the job. Other keys are ignored, the model among them: pictures do not choose models.
 * Size is left alone by inpainting, outpainting and upscaling, where the input decides. A value
 * that makes no sense, or is not available here, is not taken and is listed in `notes`, with no
 * code when there is none. Of two equal keys the last one counts. ERR_INVALID when the job had a
 * number out of its range before; ERR_NO_MEMORY. */
int job_from_infotext(job *j, const infotext *t, err *notes, err *e);

#endif
