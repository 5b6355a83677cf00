/* reply: the outcome of a job as it goes to the broker. It is kept until the broker has settled it,
 * so that it can be sent again after a reconnect. */
#ifndef WORKER_REPLY_H
#define WORKER_REPLY_H

#include "worker/work.h"

typedef struct reply {
    struct reply *next;
    job_id id;
    uint64_t lease;
    err error;           /* code 0: done */
    bool again, release; /* release: handed back unrun */
    int pictures;
    zmq_msg_t frame[WIRE_FRAMES_MAX];
    task_picture picture[WIRE_FRAMES_MAX]; /* info, seed and size; the bytes are in the frame */
    char device_class[160];
    uint32_t run_ms;
} reply;

/* Takes what is needed out of a complete work. NULL without memory. */
reply *reply_new(work *w, const char *device_class);
void reply_free(reply **r);

/* DONE, FAIL or RELEASE. The frames are shared, not moved. */
int reply_send(reply *r, void *socket, err *e);

#endif
