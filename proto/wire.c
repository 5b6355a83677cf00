/* Messages on sockets: see wire.h. The one idea: nothing of a message is looked at before its frame
 * count, its sizes and its header have passed, and a message that fails costs one drop. */
#include "proto/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------- receiving */

static int check_sizes(zmq_msg_t *frames, size_t count, err *e)
{
    if (count < 1)
        return err_set(e, ERR_PROTOCOL, "message without a header");
    if (count > WIRE_FRAMES_MAX + 1)
        return err_set(e, ERR_PROTOCOL, "more than %d payload frames", WIRE_FRAMES_MAX);
    size_t header = zmq_msg_size(&frames[0]), total = 0;
    if (header > WIRE_HEADER_MAX)
        return err_set(e, ERR_PROTOCOL, "header of %zu bytes, at most %d are allowed", header,
                       WIRE_HEADER_MAX);
    for (size_t i = 0; i < count; i++)
        total += zmq_msg_size(&frames[i]);
    if (total > (size_t)WIRE_MESSAGE_MAX)
        return err_set(e, ERR_PROTOCOL, "message of %zu bytes, at most %d are allowed", total,
                       WIRE_MESSAGE_MAX);
    return 0;
}

int wire_parse(wire_message *m, zmq_msg_t *frames, size_t count, err *e)
{
    int rc = check_sizes(frames, count, e);
    m->header = NULL;
    m->frames = 0;
    if (!rc) {
        m->header =
            overpaint__header__unpack(NULL, zmq_msg_size(&frames[0]), zmq_msg_data(&frames[0]));
        if (!m->header)
            rc = err_set(e, ERR_PROTOCOL, "header of %zu bytes is not a protobuf Header",
                         zmq_msg_size(&frames[0]));
        else if (m->header->version != WIRE_VERSION)
            rc = err_set(e, ERR_PROTOCOL, "protocol version %u, this side speaks %d",
                         m->header->version, WIRE_VERSION);
        else if (m->header->body_case == OVERPAINT__HEADER__BODY__NOT_SET)
            rc = err_set(e, ERR_PROTOCOL, "header without a body this side knows");
    }
    if (rc) {
        wire_frames_close(frames, count);
        wire_message_done(m);
        return rc;
    }
    zmq_msg_close(&frames[0]);
    m->frames = count - 1;
    for (size_t i = 0; i < m->frames; i++) {
        zmq_msg_init(&m->frame[i]);
        zmq_msg_move(&m->frame[i], &frames[i + 1]);
        zmq_msg_close(&frames[i + 1]);
    }
    return 1;
}

/* Reads the frames of one message; those beyond `most` are read and dropped, and counted in *seen.
 */
static int read_frames(void *socket, zmq_msg_t *frames, size_t most, size_t *seen)
{
    int more = 1;
    for (*seen = 0; more; (*seen)++) {
        zmq_msg_t spare, *f = *seen < most ? &frames[*seen] : &spare;
        zmq_msg_init(f);
        if (zmq_msg_recv(f, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(f);
            return -1;
        }
        more = zmq_msg_more(f);
        if (f == &spare)
            zmq_msg_close(f);
    }
    return 0;
}

int wire_receive(void *socket, bool router, wire_message *m, err *e)
{
    zmq_msg_t frames[WIRE_FRAMES_MAX + 2];
    const size_t most = sizeof frames / sizeof *frames, first = router ? 1 : 0;
    size_t seen = 0;
    memset(m, 0, sizeof *m);
    if (read_frames(socket, frames, most, &seen)) {
        int why = errno;
        wire_frames_close(frames, seen < most ? seen : most);
        if (why == EAGAIN || why == EINTR)
            return 0;
        return err_set(e, ERR_IO, "receiving: %s", zmq_strerror(why));
    }
    size_t kept = seen < most ? seen : most;
    size_t id = router ? zmq_msg_size(&frames[0]) : 0;
    if (id <= WIRE_PEER_MAX) {
        m->peer.size = (uint8_t)id;
        memcpy(m->peer.id, zmq_msg_data(&frames[0]), id);
    }
    if (id > WIRE_PEER_MAX || seen > WIRE_FRAMES_MAX + 1 + first) {
        wire_frames_close(frames, kept);
        return id > WIRE_PEER_MAX
                   ? err_set(e, ERR_PROTOCOL, "routing id of %zu bytes, at most %d", id,
                             WIRE_PEER_MAX)
                   : err_set(e, ERR_PROTOCOL, "%zu payload frames, at most %d are allowed",
                             seen - 1 - first, WIRE_FRAMES_MAX);
    }
    if (router)
        zmq_msg_close(&frames[0]);
    return wire_parse(m, frames + first, kept - first, e);
}

void wire_message_done(wire_message *m)
{
    if (m->header)
        overpaint__header__free_unpacked(m->header, NULL);
    wire_frames_close(m->frame, m->frames);
    m->header = NULL;
    m->frames = 0;
}

void wire_message_move(wire_message *to, wire_message *from)
{
    to->peer = from->peer;
    to->header = from->header;
    to->frames = from->frames;
    for (size_t i = 0; i < from->frames; i++) {
        zmq_msg_init(&to->frame[i]);
        zmq_msg_move(&to->frame[i], &from->frame[i]);
    }
    from->header = NULL;
    wire_message_done(from);
}

/* ---------------------------------------------------------------- sending */

static int send_failed(err *e)
{
    if (errno == EAGAIN)
        return err_set(e, ERR_BUSY, "the peer takes no more messages now");
    if (errno == EHOSTUNREACH)
        return err_set(e, ERR_NOT_FOUND, "the peer is gone");
    return err_set(e, ERR_IO, "sending: %s", zmq_strerror(errno));
}

int wire_pack(zmq_msg_t *packed, const wire_header *header, zmq_msg_t *frames, size_t count, err *e)
{
    size_t size = overpaint__header__get_packed_size(header), total = size;
    for (size_t i = 0; i < count; i++)
        total += zmq_msg_size(&frames[i]);
    if (size > WIRE_HEADER_MAX || total > (size_t)WIRE_MESSAGE_MAX || count > WIRE_FRAMES_MAX)
        return err_set(
            e, ERR_TOO_LARGE,
            "message with a header of %zu, %zu frames and %zu bytes; at most %d, %d and %d", size,
            count, total, WIRE_HEADER_MAX, WIRE_FRAMES_MAX, WIRE_MESSAGE_MAX);
    if (zmq_msg_init_size(packed, size))
        return err_set(e, ERR_NO_MEMORY, "no memory for a header of %zu bytes", size);
    overpaint__header__pack(header, zmq_msg_data(packed));
    return 0;
}

/* Sends a copy that shares the bytes, so that `frame` is still there when this fails. */
static int send_frame(void *socket, zmq_msg_t *frame, bool more)
{
    zmq_msg_t copy;
    zmq_msg_init(&copy);
    zmq_msg_copy(&copy, frame);
    int rc = zmq_msg_send(&copy, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    zmq_msg_close(&copy);
    return rc < 0 ? -1 : 0;
}

int wire_send_packed(void *socket, const wire_peer *to, zmq_msg_t *packed, zmq_msg_t *frames,
                     size_t count, err *e)
{
    const bool routed = to && to->size;
    if (routed && zmq_send(socket, to->id, to->size, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return send_failed(e);
    if (send_frame(socket, packed, count > 0))
        return send_failed(e);
    /* The first frame decides whether the message goes. If the connection dies in the middle,
     * ZeroMQ expects the remaining frames all the same and swallows them: without them it would
     * swallow the next message instead. */
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        if (send_frame(socket, &frames[i], i + 1 < count))
            rc = send_failed(e);
    if (rc)
        return rc;
    zmq_msg_close(packed);
    wire_frames_close(frames, count);
    return 0;
}

int wire_send(void *socket, const wire_peer *to, const wire_header *header, zmq_msg_t *frames,
              size_t count, err *e)
{
    zmq_msg_t packed;
    int rc = wire_pack(&packed, header, frames, count, e);
    if (rc)
        return rc;
    rc = wire_send_packed(socket, to, &packed, frames, count, e);
    if (rc)
        zmq_msg_close(&packed);
    return rc;
}

void wire_frames_copy(zmq_msg_t *to, zmq_msg_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&to[i]);
        zmq_msg_copy(&to[i], &from[i]);
    }
}

void wire_frames_close(zmq_msg_t *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        zmq_msg_close(&frames[i]);
}

/* ---------------------------------------------------------------- small parts */

const uint8_t *wire_blob_bytes(const wire_blob *b, wire_message *m, size_t *size, err *e)
{
    if (!b || b->frame < 1 || b->frame > m->frames) {
        err_set(e, ERR_PROTOCOL, "blob points to frame %u of %zu", b ? b->frame : 0, m->frames);
        return NULL;
    }
    zmq_msg_t *f = &m->frame[b->frame - 1];
    *size = zmq_msg_size(f);
    if (b->has_size && b->size != *size) {
        err_set(e, ERR_PROTOCOL, "blob says %llu bytes, its frame has %zu",
                (unsigned long long)b->size, *size);
        return NULL;
    }
    return zmq_msg_data(f);
}

bool wire_id(job_id *to, const ProtobufCBinaryData *from)
{
    if (from->len != JOB_ID_BYTES)
        return false;
    memcpy(to->byte, from->data, JOB_ID_BYTES);
    return true;
}

ProtobufCBinaryData wire_id_bytes(const job_id *id)
{
    return (ProtobufCBinaryData){.len = JOB_ID_BYTES, .data = (uint8_t *)id->byte};
}
