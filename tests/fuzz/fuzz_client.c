/* What a broker can say to liboverpaint: any messages, in any order, about jobs of the handle or
 * others, as answers or not. Whatever it accepts as a result must be readable to the last byte. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/handle.h"
#include "tests/support/body.h"

enum { JOBS = 3, ASKED = 7, FRAMES_MAX = 4, RECORD = 5, BODIES = 48, WRAPPED = 16, MOST = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static job_id id_of(unsigned n)
{
    return (job_id){{(uint8_t)(n + 1)}};
}

/* One job that was submitted, one that waits for its first answer, one of another handle. */
static void add_jobs(overpaint *o)
{
    for (unsigned n = 0; n < JOBS; n++) {
        const job_id id = id_of(n);
        job_entry *j = jobs_add(&o->jobs, &id);
        job submitted;
        job_init(&submitted);
        submitted.id = id;
        submitted.task = TASK_NOOP;
        j->accepted = n == 0;
        j->request = 10 + n;
        if (n < 2 && job_entry_pack(j, &submitted, NULL))
            abort();
    }
}

/* The id field of whatever is in the message. */
static ProtobufCBinaryData *id_in(wire_header *h, protobuf_c_boolean **has)
{
    switch ((int)h->body_case) {
#define CASE(BODY, field)                                                                          \
    case OVERPAINT__HEADER__BODY_##BODY: *has = &h->field->has_id; return &h->field->id;
        CASE(ACCEPTED, accepted)
        CASE(REJECTED, rejected)
        CASE(PROGRESS, progress)
        CASE(RESULT, result)
        CASE(CANCELLED, cancelled)
#undef CASE
    default: return NULL;
    }
}

/* Luck would not find 128 bits: `how` makes the message about job how % 4, and an answer. */
static void aim(wire_header *h, unsigned how)
{
    protobuf_c_boolean *has;
    ProtobufCBinaryData *id = id_in(h, &has);
    h->request = how & 4 ? ASKED : how & 8 ? 10 + how % 4 : h->request;
    if (!id || how % 4 >= JOBS)
        return;
    const job_id aimed = id_of(how % 4);
    uint8_t *bytes = malloc(sizeof aimed.byte);
    if (!bytes)
        abort();
    memcpy(bytes, aimed.byte, sizeof aimed.byte);
    if (id->len)
        free(id->data);
    *id = (ProtobufCBinaryData){sizeof aimed.byte, bytes};
    *has = 1;
}

static void say(overpaint *o, unsigned how, unsigned frames, const uint8_t *data, size_t size)
{
    static uint8_t header[MOST + BODY_ROOM];
    zmq_msg_t frame[FRAMES_MAX];
    const size_t count = 1 + frames % FRAMES_MAX;
    err e = {0};
    size = size < MOST ? size : MOST;
    if (how & WRAPPED) {
        size = body_wrap(header, frames / FRAMES_MAX % BODIES, data, size);
        data = header;
    }
    for (size_t i = 0; i < count; i++) { /* payloads: i bytes each */
        zmq_msg_init_size(&frame[i], i ? i : size);
        memset(zmq_msg_data(&frame[i]), 'x', i ? i : 0);
    }
    if (size)
        memcpy(zmq_msg_data(&frame[0]), data, size);
    if (!o->in && !(o->in = calloc(1, sizeof *o->in)))
        abort();
    if (wire_parse(o->in, frame, count, &e) != 1)
        return;
    aim(o->in->header, how);
    handle_message(o);
}

static unsigned sum(const void *bytes, size_t size)
{
    unsigned total = 0;
    for (size_t i = 0; bytes && i < size; i++)
        total += ((const uint8_t *)bytes)[i];
    return total;
}

static void note_progress(void *arg, const overpaint_progress *p)
{
    *(unsigned *)arg += sum(p->preview, p->preview_size);
}

static void read_results(overpaint *o, unsigned *total)
{
    for (unsigned n = 0; n < JOBS; n++) {
        const job_id inner = id_of(n);
        const job_entry *j = jobs_find(&o->jobs, &inner);
        overpaint_id id;
        memcpy(id.byte, inner.byte, sizeof id.byte);
        assert(j && (!j->ended || j->state > OVERPAINT_RUNNING));
        const unsigned pictures = overpaint_pictures(o, &id);
        for (unsigned i = 0; i < pictures; i++) {
            size_t size = 0;
            const unsigned char *bytes = overpaint_picture(o, &id, i, &size);
            assert(bytes); /* checked when the result came */
            *total += sum(bytes, size) + (unsigned)overpaint_picture_seed(o, &id, i);
            const char *info = overpaint_picture_info(o, &id, i);
            *total += info ? (unsigned)strlen(info) : (unsigned)overpaint_error_code(o);
        }
        const char *text = overpaint_result_json(o, &id);
        assert(!text == !j->result);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned total;
    overpaint *o = calloc(1, sizeof *o);
    if (!o)
        return 0;
    o->link.welcome = true;
    overpaint_set_progress(o, note_progress, &total);
    add_jobs(o);
    o->asked = (question){.request = ASKED};
    while (size > RECORD) {
        size_t length = (size_t)data[2] << 8 | data[3];
        const unsigned how = data[0], frames = data[1];
        o->asked.one_job = data[4] & 1;
        data += RECORD;
        size -= RECORD;
        length = length < size ? length : size;
        say(o, how, frames, data, length);
        data += length;
        size -= length;
    }
    read_results(o, &total);
    overpaint_close(&o);
    return 0;
}
