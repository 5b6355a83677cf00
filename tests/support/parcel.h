/* What tests of messages send: frames, and a job in which everything differs from the defaults. */
#ifndef TESTS_SUPPORT_PARCEL_H
#define TESTS_SUPPORT_PARCEL_H

#include "proto/wire.h"

/* A frame with a copy of the bytes. */
zmq_msg_t parcel_frame(const void *bytes, size_t size);

/* A job in which no field has its default: a text that needs a frame, a picture, a path. */
job parcel_job(void);

/* The job as it arrives: packed, cut into frames, parsed. Fails the test when that fails. */
void parcel_deliver(wire_message *m, const job *j);

#endif
