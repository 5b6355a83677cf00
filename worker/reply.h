/* reply: the outcome of a job as it goes to the broker. It is kept until the broker has settled it,
 * so that it can be sent again after a reconnect. */
#ifndef WORKER_REPLY_H
#define WORKER_REPLY_H

#include "worker/work.h"

enum { REPLY_BYTES_MAX = WIRE_MESSAGE_MAX - WIRE_HEADER_MAX }; /* of all encoded files */

typedef struct {
    zmq_msg_t frame; /* the encoded file */
    char *info;      /* its parameters text */
    int64_t seed;
    int width, height;
} reply_picture;

typedef struct reply {
    struct reply *next;
    job_id id;
    uint64_t lease;
    err error;           /* code 0: done */
    bool again, release; /* release: handed back unrun */
    int pictures;
    reply_picture picture[JOB_PICTURES_MAX];
    const char *media; /* of the pictures */
    char device_class[192];
    char note[256]; /* of a done work */
    uint32_t run_ms;
    int64_t sent_ms; /* 0: not sent on this connection */
} reply;

/* Takes what is needed out of a complete work, whose files are within REPLY_BYTES_MAX. NULL without
 * memory. */
reply *reply_new(work *w, const char *device_class);
void reply_free(reply **r);

/* DONE, FAIL or RELEASE. The frames are shared, not moved. */
int reply_send(reply *r, void *socket, err *e);

#endif
