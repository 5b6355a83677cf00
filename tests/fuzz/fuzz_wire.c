/* Any message: the first two bytes say how the input is cut into a header and payload frames, and
 * whether it is a whole header or the job in one. What
 * is accepted as a job must pass job_check or be refused with a reason, and survive being packed
 * and read again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"

enum { FRAMES_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_frame(zmq_msg_t *f, const uint8_t *data, size_t size)
{
    zmq_msg_init_size(f, size);
    if (size)
        memcpy(zmq_msg_data(f), data, size);
}

static void read_again(const job *j)
{
    wire_job_packed packed;
    wire_message m = {.frames = 0};
    zmq_msg_t frames[WIRE_FRAMES_MAX + 1];
    err e = {0};
    job again;
    if (wire_job_pack(&packed, j, &e))
        return;
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Submit submit = OVERPAINT__SUBMIT__INIT;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = OVERPAINT__HEADER__BODY_SUBMIT;
    h.submit = &submit;
    submit.job = &packed.message;
    int rc = wire_pack(&frames[0], &h, packed.frame, packed.frames, &e);
    assert(!rc);
    wire_frames_copy(frames + 1, packed.frame, packed.frames);
    rc = wire_parse(&m, frames, packed.frames + 1, &e);
    assert(rc == 1);
    rc = wire_job_unpack(&again, m.header->submit->job, &m, &e);
    assert(!rc && job_id_equal(&again.id, &j->id) && again.inputs == j->inputs);
    assert(again.seed == j->seed && again.sampler == j->sampler && again.steps == j->steps);
    assert(again.inpaint.padding == j->inpaint.padding && again.upscale.scale == j->upscale.scale);
    assert(again.outpaint.pixels == j->outpaint.pixels &&
           again.loopback.loops == j->loopback.loops);
    assert(!job_find_input(&again, INPUT_MASK) == !job_find_input(j, INPUT_MASK));
    assert(!strcmp(again.prompt ? again.prompt : "", j->prompt ? j->prompt : ""));
    job_done(&again);
    wire_message_done(&m);
    wire_job_packed_done(&packed);
}

static void read_job(wire_message *m)
{
    job j;
    err e = {0};
    int rc = wire_job_unpack(&j, m->header->submit->job, m, &e);
    assert(rc == (int)e.code && (!rc || e.text[0]));
    if (!rc)
        rc = job_check(&j, &e);
    assert(rc == (int)e.code && (!rc || e.text[0]));
    if (!rc)
        read_again(&j);
    job_done(&j);
}

/* The bytes as the job of a SUBMIT, so that its fields are reached soon. */
static void wrap(zmq_msg_t *frame)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Submit submit = OVERPAINT__SUBMIT__INIT;
    zmq_msg_t packed;
    submit.job = overpaint__job__unpack(NULL, zmq_msg_size(frame), zmq_msg_data(frame));
    if (!submit.job)
        return;
    static uint8_t id[JOB_ID_BYTES] = {1};
    if (!submit.job->has_id) {
        submit.job->has_id = 1;
        submit.job->id = (ProtobufCBinaryData){sizeof id, malloc(sizeof id)};
        memcpy(submit.job->id.data, id, sizeof id);
    }
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = OVERPAINT__HEADER__BODY_SUBMIT;
    h.submit = &submit;
    if (!wire_pack(&packed, &h, NULL, 0, NULL)) {
        zmq_msg_move(frame, &packed);
        zmq_msg_close(&packed);
    }
    overpaint__job__free_unpacked(submit.job, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zmq_msg_t frames[FRAMES_MAX];
    wire_message m = {.frames = 0};
    err e = {0};
    const bool wrapped = size && data[0] & 0x80;
    size_t count = size ? data[0] % FRAMES_MAX : 0;
    size_t piece = size > 1 ? data[1] : 0;
    data += size < 2 ? size : 2;
    size -= size < 2 ? size : 2;
    for (size_t i = count; i-- > 1;) { /* payload from the end, the header takes what is left */
        const size_t n = piece < size ? piece : size;
        put_frame(&frames[i], data + size - n, n);
        size -= n;
    }
    if (count)
        put_frame(&frames[0], data, size);
    if (wrapped && count)
        wrap(&frames[0]);
    int rc = wire_parse(&m, frames, count, &e);
    assert(rc == 1 || (rc == ERR_PROTOCOL && e.code == ERR_PROTOCOL && e.text[0]));
    if (rc == 1 && m.header->body_case == OVERPAINT__HEADER__BODY_SUBMIT)
        read_job(&m);
    wire_message_done(&m);
    return 0;
}
