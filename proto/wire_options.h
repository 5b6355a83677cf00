/* The part of wire_job.c that knows the options of the picture tasks. */
#ifndef PROTO_WIRE_OPTIONS_H
#define PROTO_WIRE_OPTIONS_H

#include "proto/wire.h"

/* All options of the job into the message, in `room`; blobs and unknown fields in those that the
 * message has already stay. */
void wire_options_put(wire_job *m, wire_job_options *room, const job *j);
/* Those that the message has. ERR_INVALID for a name that is too long. */
int wire_options_get(job *j, const wire_job *from, err *e);

/* A name (NULL: nothing happens) into a field of `room` bytes. ERR_INVALID: too long. */
int wire_name_get(char *to, size_t room, const char *what, const char *name, err *e);

#endif
