/* Messages on sockets: one protobuf header and raw payload frames, with every limit checked.
 *
 * A wire_message owns what it received. A message that breaks a rule (too many frames, too large,
 * no header, a body the reader does not expect, a blob that points nowhere) is dropped whole: the
 * caller gets ERR_PROTOCOL with the reason, counts it, and goes on. Sending never blocks. */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "proto/err.h"
#include "proto/job.h"
#include "proto/overpaint.pb-c.h"

enum {
    WIRE_VERSION = 1,
    WIRE_HEADER_MAX = 65536,
    WIRE_FRAMES_MAX = 64,
    WIRE_MESSAGE_MAX = 64 << 20,
    WIRE_PEER_MAX = 15,
    WIRE_HIGH_WATER = 16, /* messages queued in a socket for one peer */
    WIRE_HEARTBEAT_MS = 1000,
    WIRE_LOST_MS = 5000,
};

/* Routing id of a peer behind a ROUTER socket; size 0 for a DEALER, which has one peer. */
typedef struct {
    uint8_t size;
    uint8_t id[WIRE_PEER_MAX];
} wire_peer;

typedef struct {
    wire_peer peer;
    Overpaint__Header *header; /* unpacked; NULL in an empty message */
    zmq_msg_t frame[WIRE_FRAMES_MAX];
    size_t frames;
} wire_message;

/* Names for what is long in generated code. */
typedef Overpaint__Header wire_header;
typedef Overpaint__Job wire_job;
typedef Overpaint__Blob wire_blob;

/* --- sockets ------------------------------------------------------------------------------------
 */

/* ROUTER bound to `endpoint` (mandatory, bounded) or DEALER connected to it; NULL on failure. An
 * ipc path is protected by a lock file beside it (`*lock`, for wire_unbind), because a second bind
 * would silently steal it. */
void *wire_bind(void *context, const char *endpoint, int *lock, err *e);
void *wire_connect(void *context, const char *endpoint, err *e);

/* After the socket of wire_bind is closed and its context terminated: removes the ipc path and
 * gives the lock up. The lock file stays, because whoever waits for it must find the same one. */
void wire_unbind(const char *endpoint, int lock);

/* The worker side of a broker's endpoint: ipc path + ".worker", TCP port + 1. */
int wire_worker_endpoint(const char *endpoint, char *to, size_t size, err *e);

/* OVERPAINT_ENDPOINT's fallback: ipc:// under XDG_RUNTIME_DIR, or a private folder in /tmp (made
 * 0700, and owned by this user, or it is refused). `runtime_dir` may be NULL. */
int wire_default_endpoint(const char *runtime_dir, char *to, size_t size, err *e);

/* ipc or tcp on loopback; anything else is refused until connections are encrypted. Checks lengths.
 */
int wire_check_endpoint(const char *endpoint, err *e);
bool wire_is_local(const char *endpoint); /* ipc: paths of files mean the same on both sides */

/* --- messages -----------------------------------------------------------------------------------
 */

/* 1: a message; 0: none waiting; negative: one was dropped (ERR_PROTOCOL) or the socket failed
 * (ERR_IO). `router`: the first frame is the peer's routing id. */
int wire_receive(void *socket, bool router, wire_message *m, err *e);
void wire_message_done(wire_message *m);
void wire_message_move(wire_message *to, wire_message *from); /* `from` is empty afterwards */

/* Parses a message from its frames, header first; takes them over, whatever comes of it. Keeps
 * m->peer. 1, or negative. For tests and fuzzing; wire_receive ends in it. */
int wire_parse(wire_message *m, zmq_msg_t *frames, size_t count, err *e);

/* Sends header and payload frames. The frames are moved (consumed) on success and stay the caller's
 * on failure: ERR_BUSY when the peer's queue is full, ERR_NOT_FOUND when it is gone, ERR_TOO_LARGE.
 */
int wire_send(void *socket, const wire_peer *to, const wire_header *header, zmq_msg_t *frames,
              size_t count, err *e);

/* The two halves of wire_send, for whoever keeps a message until its peer takes it. */
int wire_pack(zmq_msg_t *packed, const wire_header *header, zmq_msg_t *frames, size_t count,
              err *e);
int wire_send_packed(void *socket, const wire_peer *to, zmq_msg_t *packed, zmq_msg_t *frames,
                     size_t count, err *e);

/* Copies of frames that share the bytes (zmq_msg_copy). */
void wire_frames_copy(zmq_msg_t *to, zmq_msg_t *from, size_t count);
void wire_frames_close(zmq_msg_t *frames, size_t count);

/* --- jobs and blobs -----------------------------------------------------------------------------
 */

/* Where the options of a job's message are. */
typedef struct {
    Overpaint__InpaintOptions inpaint;
    Overpaint__SoftInpainting soft;
    Overpaint__OutpaintOptions outpaint;
    Overpaint__LoopbackOptions loopback;
    Overpaint__UpscaleOptions upscale;
} wire_job_options;

/* A job as a message. Texts that do not fit the header and the pictures become payload frames:
 * frames must have room for WIRE_FRAMES_MAX. The packed header stays below WIRE_HEADER_MAX. */
typedef struct {
    wire_job message;
    wire_job_options options;
    wire_blob input[JOB_INPUTS_MAX], *input_at[JOB_INPUTS_MAX];
    wire_blob prompt, negative_prompt;
    zmq_msg_t frame[WIRE_FRAMES_MAX];
    size_t frames;
} wire_job_packed;

int wire_job_pack(wire_job_packed *to, const job *j, err *e);
void wire_job_packed_done(wire_job_packed *p); /* closes frames that were not sent */

/* Writes every setting of the job into the message, so that defaults are decided once. Leaves id,
 * texts, pictures and unknown fields as they are. The strings are the job's or constants, the
 * options are in `room`: never free such a message. */
void wire_job_settings(wire_job *to, wire_job_options *room, const job *j);

/* The job of a message; unknown names and bad blobs are errors (ERR_INVALID), absent fields
 * defaults. Pictures point into `m`, which must live as long as the job. Does not call job_check.
 */
int wire_job_unpack(job *j, const wire_job *from, wire_message *m, err *e);

/* The bytes a blob refers to: NULL with ERR_PROTOCOL when its frame is absent or its size differs.
 */
const uint8_t *wire_blob_bytes(const wire_blob *b, wire_message *m, size_t *size, err *e);

bool wire_id(job_id *to, const ProtobufCBinaryData *from); /* false: not 16 bytes */
ProtobufCBinaryData wire_id_bytes(const job_id *id);       /* borrows */

#endif
